//! Configuration: every setting is a flag, a variable and a key of the file.
//!
//! Invariants:
//! - A flag goes before its variable, that before the file, that before the built-in value.
//! - An unknown key, a value of another type and one out of range stop the program, and are named.
//! - Providers of events stand in the file alone ([`providers`]), or are named by `serve --provider`.
//! - `maitred.default.toml` names every key with its built-in value; a test holds it to that.

mod brokers;
mod limits;
mod listen;
mod log;
mod mail;
mod outgoing;
mod providers;
mod proxies;
mod rates;
mod server;
mod settings;
mod storage;
#[cfg(test)]
mod tests;
mod tokens;

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::Args;
use maitred_engine::overlay::LAYER_BYTES_MAX;
use maitred_web::rate::QUOTA_MAX;
use serde::Deserialize;

pub use brokers::{Broker, Commands, Consume, From, Publish, Unroutable};
pub use limits::{Limits, LimitsLayer};
pub use listen::Listen;
pub use log::{Log, LogFormat, LogLayer};
pub use mail::{Mail, MailLayer, MailLogin, MailSecurity};
pub use outgoing::{Outgoing, OutgoingLayer};
pub use providers::{FileProvider, HeaderSource, Headers};
pub use proxies::{Networks, ProxyHeader};
pub use rates::{Rates, RatesLayer};
pub use server::{Server, ServerLayer};
use settings::settings;
pub use storage::{Storage, StorageLayer};
pub use tokens::{TokenSecrets, Tokens, TokensLayer};

/// The settings of a server, as they apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Where and for whom.
    pub server: Server,
    /// What is logged.
    pub log: Log,
    /// The bounds of requests.
    pub limits: Limits,
    /// How often callers may ask.
    pub rates: Rates,
    /// How the data folder is used.
    pub storage: Storage,
    /// Where the secrets of users' tokens are.
    pub tokens: Tokens,
    /// Which servers the program may ask on its own.
    pub outgoing: Outgoing,
    /// Providers of events, of the file alone.
    pub providers: Vec<FileProvider>,
    /// The brokers. They stand in the file alone; `serve --publish` adds one.
    pub brokers: Vec<Broker>,
    /// The server that takes mail.
    pub mail: Mail,
}

/// What the command line and the environment say. On the command line no section has a name.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// File of settings; `maitred.default.toml` describes all of them
    #[arg(long, env = "MAITRED_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where and for whom.
    #[command(flatten)]
    pub server: ServerLayer,
    /// What is logged.
    #[command(flatten, next_help_heading = "Log")]
    pub log: LogLayer,
    /// The bounds of requests.
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitsLayer,
    /// How often callers may ask.
    #[command(flatten, next_help_heading = "Rates")]
    pub rates: RatesLayer,
    /// How the data folder is used.
    #[command(flatten, next_help_heading = "Storage")]
    pub storage: StorageLayer,
    /// Where the secrets of users' tokens are.
    #[command(flatten, next_help_heading = "Tokens")]
    pub tokens: TokensLayer,
    /// Which servers the program may ask on its own.
    #[command(flatten, next_help_heading = "Outgoing requests")]
    pub outgoing: OutgoingLayer,
    /// The server that takes mail.
    #[command(flatten, next_help_heading = "Mail")]
    pub mail: MailLayer,
}

/// What the file says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLayer {
    server: ServerLayer,
    log: LogLayer,
    limits: LimitsLayer,
    rates: RatesLayer,
    storage: StorageLayer,
    tokens: TokensLayer,
    outgoing: OutgoingLayer,
    providers: Vec<FileProvider>,
    brokers: Vec<Broker>,
    mail: MailLayer,
}

/// Why a configuration does not apply.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says what cannot be.
    #[error("{}: {key}{reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The key, such as `log.level: `, if it can be told.
        key: String,
        /// Why, with the line.
        reason: String,
    },
    /// A value is out of range.
    #[error("{key}: {value} is not between {} and {}; choose a value in this range", .range.start(), .range.end())]
    Range {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        range: RangeInclusive<u64>,
    },
    /// A value makes no sense for another reason.
    #[error("{key}: {reason}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Why.
        reason: String,
    },
}

impl Config {
    /// The settings that apply.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn load(flags: Flags) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = &flags.config {
            let file = read(path)?;
            config.server.overlay(file.server);
            config.log.overlay(file.log);
            config.limits.overlay(file.limits);
            config.rates.overlay(file.rates);
            config.storage.overlay(file.storage);
            config.tokens.overlay(file.tokens);
            config.outgoing.overlay(file.outgoing);
            config.providers = file.providers;
            config.brokers = file.brokers;
            config.mail.overlay(file.mail);
        }
        config.server.overlay(flags.server);
        config.log.overlay(flags.log);
        config.limits.overlay(flags.limits);
        config.rates.overlay(flags.rates);
        config.storage.overlay(flags.storage);
        config.tokens.overlay(flags.tokens);
        config.outgoing.overlay(flags.outgoing);
        config.mail.overlay(flags.mail);
        config.check()?;
        Ok(config)
    }

    /// Adds the broker of `serve --publish`.
    ///
    /// # Errors
    /// [`ConfigError`] where it cannot be, or the file has another of its name.
    pub fn publish_to(&mut self, url: String) -> Result<(), ConfigError> {
        self.brokers.push(Broker::of_flag(url));
        brokers::check(&self.brokers)
    }

    /// The brokers with their addresses.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the broker, and nothing of a secret.
    #[cfg(feature = "rabbitmq")]
    pub fn broker_addresses(
        &self,
    ) -> Result<Vec<(Broker, maitred_connectors::rabbitmq::Address)>, ConfigError> {
        let roots = String::from_utf8(self.outgoing.roots()?).ok().filter(|roots| !roots.is_empty());
        let variable = |name: &str| std::env::var(name).ok();
        let with_address = |broker: &Broker| Ok((broker.clone(), broker.address(roots.clone(), variable)?));
        self.brokers.iter().map(with_address).collect()
    }

    fn check(&self) -> Result<(), ConfigError> {
        const DAY: u64 = 86_400;
        const GIB: u64 = 1 << 30;
        const QUOTAS: RangeInclusive<u64> = 0..=QUOTA_MAX as u64;
        let Config { server, log, limits, rates, storage, tokens: _, outgoing, mail, providers, brokers } =
            self;
        outgoing.allowed()?;
        mail.check()?;
        providers::check(providers, &server.default_tenant)?;
        brokers::check(brokers)?;
        for (key, value, range) in [
            ("limits.body_bytes", limits.body_bytes, 1_024..=GIB),
            ("limits.batch_body_bytes", limits.batch_body_bytes, 1_024..=GIB),
            ("limits.import_body_bytes", limits.import_body_bytes, 1_024..=1_024 * GIB),
            ("limits.request_seconds", limits.request_seconds, 1..=DAY),
            ("limits.header_bytes", limits.header_bytes, 8_192..=1_024 * 1_024),
            ("limits.connections", limits.connections, 1..=1_024 * 1_024),
            ("limits.stop_delay_seconds", limits.stop_delay_seconds, 0..=DAY),
            ("limits.drain_seconds", limits.drain_seconds, 0..=DAY),
            ("mail.per_second", u64::from(mail.per_second), 1..=1_000),
            ("mail.parallel", u64::from(mail.parallel), 1..=64),
            ("mail.timeout_seconds", mail.timeout_seconds, 1..=600),
            ("rates.address_per_minute", rates.address_per_minute, QUOTAS),
            ("rates.user_per_minute", rates.user_per_minute, QUOTAS),
            ("rates.key_per_minute", rates.key_per_minute, QUOTAS),
            ("storage.segment_bytes", storage.segment_bytes, 64 * 1_024..=GIB),
            ("storage.free_bytes", storage.free_bytes, 0..=1_024 * GIB),
            ("storage.snapshot_log_bytes", storage.snapshot_log_bytes, 0..=1_024 * GIB),
            ("storage.scrub_bytes_per_second", storage.scrub_bytes_per_second, 0..=GIB),
            ("storage.view_bytes", storage.view_bytes, 16 * 1_024 * 1_024..=64 * 1_024 * GIB),
            ("storage.overlay_bytes", storage.overlay_bytes, 4 * LAYER_BYTES_MAX as u64..=64 * GIB),
        ] {
            if !range.contains(&value) {
                return Err(ConfigError::Range { key, value, range });
            }
        }
        let invalid = |key, reason: String| Err(ConfigError::Invalid { key, reason });
        for (key, value) in
            [("storage.segment_bytes", storage.segment_bytes), ("storage.view_bytes", storage.view_bytes)]
        {
            if !value.is_multiple_of(4_096) {
                return invalid(key, format!("{value} is not a multiple of 4096"));
            }
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log.level) {
            return invalid("log.level", format!("\"{}\": {error}", log.level));
        }
        let name = &server.default_tenant;
        if name.is_empty() || name.trim() != name || name.chars().count() > 128 {
            let reason = "a tenant's name has 1 to 128 characters and no blanks around";
            return invalid("server.default_tenant", reason.to_owned());
        }
        let listen = server.listen.0;
        if !server.auth && !listen.ip().is_loopback() {
            let reason = format!(
                "{} is not a loopback address, and without authentication only this machine is served. \
                 Start with --auth (MAITRED_AUTH=true), or listen on 127.0.0.1:{}",
                listen,
                listen.port()
            );
            return invalid("server.listen", reason);
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<FileLayer, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| {
        let key = error.span().and_then(|span| key_at(&text, span.start)).unwrap_or_default();
        ConfigError::File { path: path.to_owned(), key, reason: error.to_string().trim_end().to_owned() }
    })
}

/// The key on the line of a place in the file, with its section, ready to be put before a reason.
fn key_at(text: &str, place: usize) -> Option<String> {
    let before = text.get(..place)?;
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let key = text[line_start..].lines().next()?.split_once('=')?.0.trim();
    let section =
        |line: &str| line.trim().strip_prefix('[')?.split_once(']').map(|(name, _)| name.to_owned());
    let section = text[..line_start].lines().rev().find_map(section);
    Some(match section {
        Some(section) => format!("{section}.{key}: "),
        None => format!("{key}: "),
    })
}
