//! Brokers: where RabbitMQ is, what is published to it, and what is taken from it.
//!
//! Invariant: a password stands in a file, in a variable or in the URL, and is never shown.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use maitred_booking::brokers::NAME_BYTES_MAX;
use maitred_booking::record::Kind;
use serde::Deserialize;

use super::ConfigError;

/// The most brokers.
const BROKERS_MAX: usize = 16;
/// The most queues that are consumed of one broker.
const QUEUES_MAX: usize = 64;
/// The most tenants that one publisher names; it may publish those of all without naming any.
const TENANTS_MAX: usize = 1_000;
/// What `prefetch` may be.
const PREFETCH_MAX: u16 = 1_000;
/// The longest name of an exchange or a queue, in bytes: with `.dead` behind it, it is a name still.
const NAME_IN_BROKER_BYTES_MAX: usize = 250;
/// The name of the broker that `serve --publish` adds.
const NAME_OF_FLAG: &str = "publish";

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Its name here: 1 to [`NAME_BYTES_MAX`] of `[a-z0-9-]`. The publisher's place in the log is kept under it.
    pub name: String,
    /// `amqp://user@host:port/vhost`, or `amqps://…`.
    pub url: SecretUrl,
    /// File with the password; or the variable `MAITRED_BROKER_<NAME>_PASSWORD`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// What is published to it.
    #[serde(default)]
    pub publish: Option<Publish>,
    /// What is taken from it.
    #[serde(default)]
    pub consume: Vec<Consume>,
}

/// A URL that may have a password in it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(pub String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    /// The slugs of the tenants whose changes are published; none: all.
    pub tenants: Vec<String>,
    /// The kinds of records whose changes are published; none: all.
    pub kinds: Vec<String>,
    /// The topic exchange.
    pub exchange: String,
    /// Whether it is declared.
    pub declare: bool,
    /// Where a publisher begins that has never published.
    pub from: From,
    /// What becomes of a message that no queue takes.
    pub unroutable: Unroutable,
}

impl Default for Publish {
    fn default() -> Self {
        Publish {
            tenants: Vec::new(),
            kinds: Vec::new(),
            exchange: "maitred".to_owned(),
            declare: true,
            from: From::Now,
            unroutable: Unroutable::Wait,
        }
    }
}

/// Where a publisher begins that has never published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With what is decided from then on.
    Now,
    /// With the first change that there is.
    Start,
}

/// What becomes of a message that no queue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unroutable {
    /// It is sent again until one does.
    Wait,
    /// It counts as published.
    Drop,
}

/// What is taken from a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// The queue.
    pub queue: String,
    /// The slug of the tenant that the commands are for.
    pub tenant: String,
    /// What the messages say.
    pub commands: Commands,
    /// The most messages that are taken and not acknowledged.
    #[serde(default = "prefetch")]
    pub prefetch: u16,
    /// The exchange for what cannot be carried out.
    #[serde(default = "dead_letter_exchange")]
    pub dead_letter_exchange: String,
    /// Whether the queue, that exchange and the queue `<queue>.dead` behind it are declared.
    #[serde(default = "yes")]
    pub declare: bool,
}

fn prefetch() -> u16 {
    64
}

fn dead_letter_exchange() -> String {
    "maitred.dead".to_owned()
}

fn yes() -> bool {
    true
}

/// The shape of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commands {
    /// An item of a batch of appointments.
    Appointments,
    /// The body of Sesami's `POST /api/appointments`.
    Sesami,
}

impl Broker {
    /// The one that `serve --publish` adds.
    pub fn of_flag(url: String) -> Self {
        Broker {
            name: NAME_OF_FLAG.to_owned(),
            url: SecretUrl(url),
            password_file: None,
            publish: Some(Publish::default()),
            consume: Vec::new(),
        }
    }

    /// The variable with its password.
    pub fn password_variable(&self) -> String {
        format!("MAITRED_BROKER_{}_PASSWORD", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The address, with the password from where it is.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the key, and nothing of the secret.
    #[cfg(feature = "rabbitmq")]
    pub fn address(
        &self,
        roots: Option<String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<maitred_connectors::rabbitmq::Address, ConfigError> {
        let password = match (&self.password_file, variable(&self.password_variable())) {
            (Some(_), Some(_)) => {
                return Err(
                    self.invalid("password_file", "the password is given twice, by a file and by a variable")
                );
            }
            (Some(path), None) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, given) => given.filter(|text| !text.is_empty()),
        };
        let address = maitred_connectors::rabbitmq::Address::parse(&self.url.0, password);
        Ok(address.map_err(|reason| self.invalid("url", &reason))?.trusting(roots))
    }

    fn invalid(&self, key: &'static str, reason: &str) -> ConfigError {
        let reason = format!("{key} of \"{}\": {reason}", self.name.escape_debug());
        ConfigError::Invalid { key: "brokers", reason }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=NAME_BYTES_MAX).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            let reason = format!("1 to {NAME_BYTES_MAX} lower-case letters, digits and -");
            return Err(self.invalid("name", &reason));
        }
        let named = |key, name: &str| match name.len() {
            1..=NAME_IN_BROKER_BYTES_MAX => Ok(()),
            _ => Err(self.invalid(key, &format!("1 to {NAME_IN_BROKER_BYTES_MAX} bytes"))),
        };
        if let Some(publish) = &self.publish {
            named("publish.exchange", &publish.exchange)?;
            if publish.tenants.len() > TENANTS_MAX {
                return Err(
                    self.invalid("publish.tenants", &format!("at most {TENANTS_MAX}; none means all"))
                );
            }
            let known = |kind: &String| Kind::in_feeds().any(|known| known.as_str() == kind);
            if let Some(kind) = publish.kinds.iter().find(|kind| !known(kind)) {
                let kinds: Vec<_> = Kind::in_feeds().map(Kind::as_str).collect();
                let reason = format!("\"{}\" is none of {}", kind.escape_debug(), kinds.join(", "));
                return Err(self.invalid("publish.kinds", &reason));
            }
        }
        if self.consume.len() > QUEUES_MAX {
            return Err(self.invalid("consume", &format!("at most {QUEUES_MAX} queues")));
        }
        let mut queues = HashSet::new();
        for consume in &self.consume {
            named("consume.queue", &consume.queue)?;
            named("consume.dead_letter_exchange", &consume.dead_letter_exchange)?;
            if !(1..=PREFETCH_MAX).contains(&consume.prefetch) {
                return Err(self.invalid("consume.prefetch", &format!("1 to {PREFETCH_MAX}")));
            }
            if !queues.insert(&consume.queue) {
                return Err(self.invalid("consume.queue", &format!("{} is there twice", consume.queue)));
            }
        }
        Ok(())
    }
}

/// Whether these brokers can be: each sound, and no two of one name.
pub(super) fn check(brokers: &[Broker]) -> Result<(), ConfigError> {
    let invalid = |reason: String| Err(ConfigError::Invalid { key: "brokers", reason });
    if brokers.len() > BROKERS_MAX {
        return invalid(format!("{} of them; the most is {BROKERS_MAX}", brokers.len()));
    }
    if !cfg!(feature = "rabbitmq") && !brokers.is_empty() {
        return invalid("this program was built without the feature rabbitmq".to_owned());
    }
    let mut names = HashSet::new();
    for broker in brokers {
        broker.check()?;
        if !names.insert(&broker.name) {
            return invalid(format!("two of them are named {}", broker.name));
        }
    }
    Ok(())
}
