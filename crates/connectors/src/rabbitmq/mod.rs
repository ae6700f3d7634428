//! RabbitMQ (AMQP 0-9-1): messages that are published with confirms, and messages that are taken from a queue.
//!
//! Invariants:
//! - A connection that fails once is done: whoever uses it opens another. Nothing is sent again in secret.
//! - What is waited for has a bound: a connection [`CONNECT_MAX`], an answer of the broker [`ANSWER_MAX`].
//! - A connection ends with its socket and its thread when nobody holds it any more, and so does an attempt at one
//!   ([`link`]).
//! - No password is in a text that this module gives: neither in its errors nor in how an address is shown.
//!
//! The broker's own rules: <https://www.rabbitmq.com/docs/confirms>, <https://www.rabbitmq.com/docs/dlx>.
//!
//! Next: [`address`] for where a broker is, [`outlet`] for publishing, [`intake`] for taking.

pub mod address;
pub mod intake;
mod link;
pub mod outlet;

use std::time::Duration;

pub use address::Address;
pub use intake::{Intake, Queue, Received};
pub use outlet::{Exchange, Message, Outlet, Receipt};

/// How long a connection may take until it can be used.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a broker may take to answer, a confirm included. One that is short of memory or disk takes no messages,
/// and confirms none.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The longest name of an exchange, a queue or a routing key, in bytes: that of AMQP's short strings.
pub const NAME_BYTES_MAX: usize = 255;
/// Both sides say at least this often that they are there, unless the address says otherwise.
const HEARTBEAT_SECONDS: u16 = 15;

/// Why a broker could not be used: for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        Failure(error.to_string())
    }
}

/// What a step of the broker gives, unless it takes too long.
async fn within<T>(
    patience: Duration,
    what: &str,
    step: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, step).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure(format!("{what}: no answer within {patience:?}"))),
    }
}
