//! The providers that the command line or the file names, and those of the demo: they are brought into a tenant, or changed
//! there.
//!
//! Invariants:
//! - A start that names the same providers as the one before writes nothing.
//! - A provider that was set aside (`active` is false) stays so, whatever names it: a start undoes no operator's decision.

use std::str::FromStr;

use maitred_booking::app::App;
use maitred_booking::catalogue::command::INTERVAL_SECONDS_MAX;
use maitred_booking::catalogue::fact::Format;
use maitred_booking::catalogue::http::providers::header_context;
use maitred_booking::catalogue::{
    self, Command, CreateProvider, Provider, ProviderPatch, SealedHeader, UpdateProvider,
};
use maitred_booking::money::Currency;
use maitred_booking::tenants;
use maitred_connectors::outgoing::AllowedHost;
use maitred_core::{Actor, Rejection, TenantNumber};
use maitred_engine::Unavailable;
use serde::Deserialize;

use crate::config::{ConfigError, FileProvider, Headers};

/// How long a fetch takes at most where nobody says otherwise, in seconds.
const TIMEOUT_SECONDS: u32 = 10;
/// How often a provider is synced where nobody says otherwise.
const INTERVAL_SECONDS: u32 = 60;

/// A provider as the command line names it: `NAME=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFeed {
    /// Its slug.
    pub name: String,
    /// Where its feed is.
    pub url: String,
    /// The host of the URL: it may have a private address, since the operator named it.
    pub host: AllowedHost,
}

impl FromStr for NamedFeed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = text.split_once('=').ok_or("write NAME=URL")?;
        if !tenants::is_slug(name) {
            return Err(format!("{name:?} is no name of a provider: lower-case letters, digits and hyphens"));
        }
        let (rest, port) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, "80"),
            (_, Some(rest)) => (rest, "443"),
            _ => return Err(format!("{url:?} is no URL: it begins with http:// or https://")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let host = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        Ok(NamedFeed { name: name.to_owned(), url: url.to_owned(), host: host.parse()? })
    }
}

/// A provider as it is to be. What is not given stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its tenant, by alias or slug.
    pub tenant: String,
    /// Its name and its URL.
    pub feed: NamedFeed,
    /// How often it is synced.
    pub interval: Option<Interval>,
    /// How long a fetch may take.
    pub timeout: Option<Interval>,
    /// An IANA time zone.
    pub time_zone: Option<String>,
    /// In which currency its prices are.
    pub currency: Option<String>,
    /// All headers, by their names in lower case and in this order.
    pub headers: Option<Headers>,
}

impl Wanted {
    /// A provider of a tenant that was named with its URL and interval alone.
    pub fn named(tenant: &str, feed: &NamedFeed, interval: Interval) -> Self {
        let (tenant, feed) = (tenant.to_owned(), feed.clone());
        let (timeout, time_zone, currency, headers) = (None, None, None, None);
        Wanted { tenant, feed, interval: Some(interval), timeout, time_zone, currency, headers }
    }

    /// A provider as the file names it, its headers read.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn of_file(provider: &FileProvider, default_tenant: &str) -> Result<Self, ConfigError> {
        Ok(Wanted {
            tenant: provider.tenant.clone().unwrap_or_else(|| default_tenant.to_owned()),
            feed: provider.feed()?,
            interval: provider.interval,
            timeout: provider.timeout,
            time_zone: provider.time_zone.clone(),
            currency: provider.currency.clone(),
            headers: provider.headers()?,
        })
    }
}

/// A time as the command line and the file write it: `15s`, `5m`, `1h`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Interval {
    /// In seconds.
    pub seconds: u32,
}

impl TryFrom<String> for Interval {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no interval: write 15s, 5m, 1h or 1d, at most a week");
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let seconds = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
        let seconds = seconds.filter(|seconds| (1..=INTERVAL_SECONDS_MAX).contains(seconds));
        Ok(Interval { seconds: seconds.ok_or_else(wrong)? })
    }
}

/// Why a provider is not there.
#[derive(Debug, thiserror::Error)]
pub enum NotThere {
    /// The tenant is not there.
    #[error("there is no tenant \"{0}\" for the providers: create it, or name another with --default-tenant")]
    NoTenant(String),
    /// The rules refuse the provider.
    #[error("the provider {name} cannot be brought in: {detail}")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        detail: String,
    },
    /// Nothing can be written.
    #[error("the providers cannot be brought in: {0}")]
    Unavailable(#[from] Unavailable),
}

/// Brings the providers into their tenants.
///
/// # Errors
/// [`NotThere`].
pub async fn ensure(app: &App, providers: &[Wanted]) -> Result<(), NotThere> {
    for wanted in providers {
        let view = app.engine().view();
        let found = tenants::tenant_by_alias_or_slug(&view, &wanted.tenant);
        let profile = found.ok_or_else(|| NotThere::NoTenant(wanted.tenant.clone()))?.profile;
        let name = &wanted.feed.name;
        let known = catalogue::view::provider(&view, profile.tenant(), name, None);
        drop(view);
        let refused = |detail: String| NotThere::Refused { name: name.clone(), detail };
        let command = match known {
            Some(known) => Command::UpdateProvider(UpdateProvider {
                provider: name.clone(),
                patch: patch(app, wanted, profile.tenant(), &known.is).map_err(refused)?,
                if_version: None,
            }),
            None => Command::CreateProvider(create(app, wanted, &profile).map_err(refused)?),
        };
        let decided = decide(app, profile.tenant(), command).await?;
        decided.map_err(|rejection| refused(rejection.detail))?;
    }
    Ok(())
}

/// What is to be changed of a provider. Headers are sealed anew only where one is another.
fn patch(
    app: &App,
    wanted: &Wanted,
    tenant: TenantNumber,
    known: &Provider,
) -> Result<ProviderPatch, String> {
    let opened = |header: &SealedHeader| {
        let context = header_context(tenant, &known.name, &header.name);
        let value = app.sealer().open(&header.sealed, &context)?;
        Some((header.name.clone(), String::from_utf8(value).ok()?))
    };
    let headers = wanted.headers.as_ref().filter(|Headers(wanted)| {
        let known: Option<Vec<_>> = known.headers.iter().map(opened).collect();
        known.is_none_or(|mut known| {
            known.sort();
            known != *wanted
        })
    });
    Ok(ProviderPatch {
        url: Some(wanted.feed.url.clone()),
        interval_seconds: wanted.interval.map(|interval| interval.seconds),
        timeout_seconds: wanted.timeout.map(|timeout| timeout.seconds),
        time_zone: wanted.time_zone.clone(),
        currency: wanted.currency.as_deref().map(currency).transpose()?,
        headers: headers.map(|headers| sealed(app, tenant, &known.name, headers)).transpose()?,
        active: None,
    })
}

fn create(app: &App, wanted: &Wanted, profile: &tenants::Profile) -> Result<CreateProvider, String> {
    let none = Headers(Vec::new());
    let name = wanted.feed.name.clone();
    let headers = wanted.headers.as_ref().unwrap_or(&none);
    Ok(CreateProvider {
        headers: sealed(app, profile.tenant(), &name, headers)?,
        name,
        url: wanted.feed.url.clone(),
        format: Format::default(),
        interval_seconds: wanted.interval.map_or(INTERVAL_SECONDS, |interval| interval.seconds),
        timeout_seconds: wanted.timeout.map_or(TIMEOUT_SECONDS, |timeout| timeout.seconds),
        time_zone: wanted.time_zone.clone().unwrap_or_else(|| profile.time_zone.clone()),
        currency: currency(wanted.currency.as_deref().unwrap_or(&profile.currency))?,
        active: true,
    })
}

fn currency(code: &str) -> Result<Currency, String> {
    Currency::parse(code).ok_or_else(|| format!("{code:?} is no currency: write a code such as EUR"))
}

fn sealed(
    app: &App,
    tenant: TenantNumber,
    provider: &str,
    Headers(headers): &Headers,
) -> Result<Vec<SealedHeader>, String> {
    let seal = |(name, value): &(String, String)| {
        let sealed = app.sealer().seal(value.as_bytes(), &header_context(tenant, provider, name));
        let sealed = sealed.ok_or("the system gives no random bits")?;
        Ok(SealedHeader { name: name.clone(), sealed })
    };
    headers.iter().map(seal).collect()
}

async fn decide(
    app: &App,
    tenant: TenantNumber,
    command: Command,
) -> Result<Result<(), Rejection>, Unavailable> {
    let answer = app.decide((tenant, Actor::System), None, 1_024, command).await?;
    Ok(answer.result.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_with_its_url() {
        for (text, host) in [
            ("arena=http://127.0.0.1:9000/a?b=c", "127.0.0.1:9000"),
            ("arena=http://feeds.example", "feeds.example:80"),
            ("arena=https://feeds.example/x", "feeds.example:443"),
            ("arena=http://[::1]/x", "[::1]:80"),
        ] {
            let feed: NamedFeed = text.parse().expect(text);
            assert_eq!((feed.name.as_str(), feed.host.to_string().as_str()), ("arena", host), "{text}");
        }
        for text in
            ["arena", "Arena=http://x", "=http://x", "arena=ftp://x", "arena=http://", "arena=http://a@b/"]
        {
            assert!(text.parse::<NamedFeed>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_provider_that_an_operator_has_set_aside_stays_so_at_the_next_start() {
        let (app, threads) = crate::assemble::in_memory().expect("random bits");
        std::mem::forget(threads); // they live as long as the engine
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let feed = |url: &str| format!("arena={url}").parse::<NamedFeed>().expect("a feed");
        let wanted = |url| [Wanted::named("default", &feed(url), Interval { seconds: 15 })];
        runtime.block_on(async {
            let create = tenants::Command::CreateTenant(tenants::CreateTenant {
                slug: "default".to_owned(),
                alias: None,
                name: "default".to_owned(),
                time_zone: "UTC".to_owned(),
                currency: "EUR".to_owned(),
                locale: "en".to_owned(),
                drop_ins: tenants::DropIns::NONE,
                public: false,
                automatic: false,
            });
            app.submit((TenantNumber::SYSTEM, Actor::System), None, 64, create).await.expect("accepted");
            let found = tenants::tenant_by_slug(&app.engine().view(), "default").expect("it is there");
            let number = found.profile.tenant();
            let known = || {
                let found = catalogue::view::provider(&app.engine().view(), number, "arena", None);
                found.expect("it is there").is
            };
            ensure(&app, &wanted("http://127.0.0.1:9/a")).await.expect("it is brought in");
            assert!(known().active);
            let aside = Command::UpdateProvider(UpdateProvider {
                provider: "arena".to_owned(),
                patch: ProviderPatch { active: Some(false), ..ProviderPatch::default() },
                if_version: None,
            });
            decide(&app, number, aside).await.expect("decided").expect("accepted");
            ensure(&app, &wanted("http://127.0.0.1:9/b")).await.expect("it is changed");
            assert_eq!((known().active, &*known().url), (false, "http://127.0.0.1:9/b"));
        });
    }

    #[test]
    fn an_interval_has_a_unit() {
        let seconds = |text: &str| text.parse::<Interval>().ok().map(|interval| interval.seconds);
        assert_eq!(["15s", "5m", "1h", "7d"].map(seconds), [15, 300, 3_600, 604_800].map(Some));
        assert_eq!(
            ["", "15", "s", "0s", "8d", "1.5s", "-1s", "+5s", "15 s", "5s5s", "99999999999s"].map(seconds),
            [None; 11]
        );
        let said = "+5s".parse::<Interval>().expect_err("it has a sign");
        assert_eq!(said, "\"+5s\" is no interval: write 15s, 5m, 1h or 1d, at most a week");
    }
}
