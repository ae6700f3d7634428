//! Providers of events that the file names: `[[providers]]`.
//!
//! Invariants:
//! - The values of secret headers are in files or variables, never in this one, and are never shown.
//! - A provider is named once for each tenant. What is left out stays as it is, or is as the API has it for a new one.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;

use maitred_booking::catalogue::PROVIDERS_MAX;
use maitred_connectors::feed_fetch::{HEADERS_MAX, check_header};
use serde::Deserialize;

use super::ConfigError;
use crate::first_providers::{Interval, NamedFeed};

/// The only form of a feed.
const FORMAT: &str = "planlist-xml";
const KEY: &str = "providers";

/// A provider as the file names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileProvider {
    /// Its slug.
    pub name: String,
    /// The alias or slug of its tenant; the default tenant without it.
    pub tenant: Option<String>,
    /// Where its feed is. Its host may have a private address.
    pub url: String,
    /// The form of its feed: `planlist-xml`.
    pub format: Option<String>,
    /// How often it is synced, such as `15s`.
    pub interval: Option<Interval>,
    /// How long a fetch may take.
    pub timeout: Option<Interval>,
    /// In which IANA time zone its times without an offset are.
    pub time_zone: Option<String>,
    /// In which currency its prices are.
    pub currency: Option<String>,
    /// Headers that are sent with each fetch, and where their values are.
    pub headers: Option<BTreeMap<String, HeaderSource>>,
}

/// Where the value of a header is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderSource {
    /// In this variable of the environment.
    Env(String),
    /// In this file, whose last line end does not count.
    File(PathBuf),
}

/// The headers of a provider, read.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers(…)")
    }
}

impl FileProvider {
    /// Its name, its URL, and the host of that.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with them.
    pub fn feed(&self) -> Result<NamedFeed, ConfigError> {
        let parsed = format!("{}={}", self.name, self.url).parse();
        parsed.map_err(|reason: String| self.wrong(&reason))
    }

    /// Reads the headers from where they are.
    ///
    /// # Errors
    /// [`ConfigError`] names the header, and nothing of its value.
    pub fn headers(&self) -> Result<Option<Headers>, ConfigError> {
        let Some(headers) = &self.headers else { return Ok(None) };
        let mut read = Vec::with_capacity(headers.len());
        for (name, source) in headers {
            let value = match source {
                HeaderSource::Env(variable) => std::env::var(variable)
                    .map_err(|_| self.wrong(&format!("header {name}: there is no variable {variable}")))?,
                HeaderSource::File(path) => std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?,
            };
            let value = value.trim_end_matches(['\r', '\n']).to_owned();
            if value.is_empty() {
                return Err(self.wrong(&format!("header {name}: its value is empty")));
            }
            check_header(name, &value).map_err(|reason| self.wrong(&reason))?;
            read.push((name.to_ascii_lowercase(), value));
        }
        read.sort();
        Ok(Some(Headers(read)))
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.feed()?;
        if let Some(format) = self.format.as_deref().filter(|format| *format != FORMAT) {
            return Err(self.wrong(&format!("format {format:?} is not known; there is {FORMAT:?}")));
        }
        if let Some(zone) = &self.time_zone
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            return Err(
                self.wrong(&format!("time_zone {zone:?} is no IANA time zone, such as Europe/Berlin"))
            );
        }
        if self.headers.as_ref().is_some_and(|headers| headers.len() > HEADERS_MAX) {
            return Err(self.wrong(&format!("more than {HEADERS_MAX} headers")));
        }
        Ok(())
    }

    fn wrong(&self, reason: &str) -> ConfigError {
        ConfigError::Invalid { key: KEY, reason: format!("{}: {reason}", self.name) }
    }
}

/// What can be said of providers without a tenant or a secret.
pub(super) fn check(providers: &[FileProvider], default_tenant: &str) -> Result<(), ConfigError> {
    if providers.len() > PROVIDERS_MAX {
        let reason = format!("{} of them; the most is {PROVIDERS_MAX}", providers.len());
        return Err(ConfigError::Invalid { key: KEY, reason });
    }
    let mut named = HashSet::new();
    for provider in providers {
        provider.check()?;
        if !named.insert((provider.tenant.as_deref().unwrap_or(default_tenant), &*provider.name)) {
            return Err(provider.wrong("it is there twice"));
        }
    }
    Ok(())
}
