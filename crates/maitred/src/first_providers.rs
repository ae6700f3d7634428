//! The providers that the command line names, and those of the demo: they are brought into a tenant, or changed there.
//!
//! Invariant: a start that names the same providers as the one before writes nothing.

use std::str::FromStr;

use maitred_booking::app::App;
use maitred_booking::catalogue::fact::Format;
use maitred_booking::catalogue::{
    self, Command, CreateProvider, ProviderPatch, UpdateProvider, command::INTERVAL_SECONDS_MAX,
};
use maitred_booking::money::Currency;
use maitred_booking::tenants;
use maitred_connectors::outgoing::AllowedHost;
use maitred_core::{Actor, Rejection, TenantNumber};
use maitred_engine::Unavailable;

/// How long a fetch of such a provider may take, in seconds.
const TIMEOUT_SECONDS: u32 = 10;

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

/// How often providers are synced that the command line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// In seconds.
    pub seconds: u32,
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no interval: write 15s, 5m, 1h or 1d, at most a week");
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match &text[digits.len()..] {
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

/// Brings the providers into a tenant, by its alias or slug, with this URL and interval.
///
/// # Errors
/// [`NotThere`].
pub async fn ensure(
    app: &App,
    tenant: &str,
    feeds: &[NamedFeed],
    interval: Interval,
) -> Result<(), NotThere> {
    if feeds.is_empty() {
        return Ok(());
    }
    let view = app.engine().view();
    let found = tenants::tenant_by_alias_or_slug(&view, tenant);
    let profile = found.ok_or_else(|| NotThere::NoTenant(tenant.to_owned()))?.profile;
    drop(view);
    for feed in feeds {
        let refused =
            |rejection: Rejection| NotThere::Refused { name: feed.name.clone(), detail: rejection.detail };
        let known = catalogue::view::provider(&app.engine().view(), profile.tenant(), &feed.name, None);
        let command = match known {
            Some(_) => Command::UpdateProvider(UpdateProvider {
                provider: feed.name.clone(),
                patch: ProviderPatch {
                    url: Some(feed.url.clone()),
                    interval_seconds: Some(interval.seconds),
                    active: Some(true),
                    ..ProviderPatch::default()
                },
                if_version: None,
            }),
            None => Command::CreateProvider(create(feed, interval, &profile)),
        };
        decide(app, profile.tenant(), command).await?.map_err(refused)?;
    }
    Ok(())
}

fn create(feed: &NamedFeed, interval: Interval, profile: &tenants::Profile) -> CreateProvider {
    let euro = || Currency::parse("EUR").expect("a code");
    CreateProvider {
        name: feed.name.clone(),
        url: feed.url.clone(),
        format: Format::default(),
        interval_seconds: interval.seconds,
        timeout_seconds: TIMEOUT_SECONDS,
        time_zone: profile.time_zone.clone(),
        currency: Currency::parse(&profile.currency).unwrap_or_else(euro),
        headers: Vec::new(),
        active: true,
    }
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
    fn an_interval_has_a_unit() {
        let seconds = |text: &str| text.parse::<Interval>().ok().map(|interval| interval.seconds);
        assert_eq!(["15s", "5m", "1h", "7d"].map(seconds), [15, 300, 3_600, 604_800].map(Some));
        assert_eq!(
            ["", "15", "s", "0s", "8d", "1.5s", "-1s", "15 s", "99999999999s"].map(seconds),
            [None; 9]
        );
    }
}
