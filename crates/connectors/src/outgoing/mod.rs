//! Requests to servers that others name: webhooks, feeds. Every outgoing request of the program is made here.
//!
//! ```text
//!   text ──▶ Target::parse ──▶ Client::send ──▶ resolve ──▶ judge every address ──▶ connect ──▶ TLS ──▶ HTTP/1.1
//!            form, host        (bounds)  │      once        one refused: none        to one of these, no other  ▲
//!                                        └──▶ a connection that was kept ──▶ judge its address ──────────────────┘
//! ```
//!
//! Invariants:
//! - Nothing is sent to an address that [`Rules`] refuse: the URL's host is looked at, then every address it
//!   resolves to, then the peer of the connection. There is one resolving a connection, which goes to an address of that
//!   answer, so a name that changes its meaning in between (DNS rebinding) gains nothing; and a connection that was kept
//!   is judged by its peer before each request.
//! - A redirect is an answer like any other, and is not followed. No proxy of the environment is used.
//! - What is waited for and what is read has a bound in [`Bounds`]; a head has [`HEAD_BYTES_MAX`] and
//!   [`HEADERS_MAX`]. Nothing is decompressed: no encoding is accepted.
//! - A connection serves one request after another, and of one host, port and scheme alone. What was sent over a kept one
//!   that closes without an answer is sent once more: whatever is sent here may arrive twice.
//!
//! A webhook is a [`Client::send`] and a look at [`Response::status`]. A feed is asked for with what was kept of the
//! last answer, and goes to a file piece by piece, so that memory does not grow with it:
//!
//! ```no_run
//! # use maitred_connectors::outgoing::{Bounds, Client, Failure, Fetched, Rules, Target, Validators};
//! # async fn fetch(client: &Client, kept: &Validators, file: std::fs::File) -> Result<(), Failure> {
//! let target = Target::parse("https://example.com/feed.xml", client.rules())?;
//! match client.fetch(&target, kept, Bounds::FEED).await? {
//!     Fetched::NotModified => {}                     // 304: what is there is still right
//!     Fetched::Changed { validators, body } => {     // 200: keep the validators with what is read
//!         let spooled = body.spool(file).await?;     // the file, and how many bytes it has
//!         # let _ = (validators, spooled);
//!     }
//!     Fetched::Refused(answer) => { let _ = (answer.status, answer.retry_after()); } // anything else
//! }
//! # Ok(()) }
//! ```
//!
//! Headers of a caller's own (a feed's secret) go into [`Request::headers`]; [`Validators::put`] and
//! [`Validators::of`] serve who sends by [`Client::send`]. `Bounds { body_bytes_max: …, ..Bounds::FEED }` changes a
//! bound.
//!
//! Next: [`target`](Target) for what a URL may be, [`address`](AddressClass) for what an address is.

mod address;
mod body;
mod client;
mod conditional;
mod kept;
mod resolve;
mod target;
mod tls;

use std::fmt;
use std::time::Duration;

pub use address::AddressClass;
pub use body::{Body, Spooled};
pub use client::{Client, HEAD_BYTES_MAX, HEADERS_MAX, Request, Response, Settings};
pub use conditional::{Fetched, RETRY_AFTER_MAX, Validators};
pub use hyper::{HeaderMap, Method, StatusCode, header};
pub use kept::{AGE_MAX, IDLE_MAX, KEPT_MAX, KEPT_PER_SERVER_MAX};
pub use resolve::{Addresses, RESOLVING_MAX, Resolve, SystemResolver};
pub use target::{ALLOWED_MAX, AllowedHost, Refused, Rules, Target, URL_BYTES_MAX};

/// How long is waited, and how much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the name to the connection, TLS included.
    pub connect: Duration,
    /// From the connection to the head of the answer.
    pub answer: Duration,
    /// Between two pieces of the body.
    pub silence: Duration,
    /// For everything together.
    pub total: Duration,
    /// The most bytes of a body. One that says it has more is not begun.
    pub body_bytes_max: u64,
}

impl Bounds {
    /// Of a webhook: 15 s for everything, and the beginning of an answer, whose body is waited for a second.
    pub const WEBHOOK: Bounds = Bounds {
        connect: Duration::from_secs(10),
        answer: Duration::from_secs(15),
        silence: Duration::from_secs(1),
        total: Duration::from_secs(15),
        body_bytes_max: 64 * 1024,
    };

    /// Of a feed: up to 2 GiB in 15 minutes, as long as it keeps coming.
    pub const FEED: Bounds = Bounds {
        connect: Duration::from_secs(10),
        answer: Duration::from_secs(30),
        silence: Duration::from_secs(30),
        total: Duration::from_secs(15 * 60),
        body_bytes_max: 2 * 1024 * 1024 * 1024,
    };
}

/// Why there is no answer, or no whole one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The guard let it go nowhere. Trying again helps only if the name gets another address.
    Refused(Refused),
    /// The name has no address.
    Unresolved(String),
    /// No address of it took a connection.
    Unreachable(String),
    /// There is no trust between both sides: a certificate, a version.
    Untrusted(String),
    /// One of the [`Bounds`] of time is over: what was waited for.
    TimedOut(&'static str),
    /// The answer has more than is read: of what, and how much at most.
    TooLarge(&'static str, u64),
    /// What came is no whole answer.
    Broken(String),
    /// It could not be written down here.
    Unwritten(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(refused) => write!(f, "{refused}"),
            Failure::Unresolved(why) => write!(f, "the name has no address: {why}"),
            Failure::Unreachable(why) => write!(f, "no connection: {why}"),
            Failure::Untrusted(why) => write!(f, "no TLS: {why}"),
            Failure::TimedOut(what) => write!(f, "too slow: {what}"),
            Failure::TooLarge(what, bytes) => write!(f, "{what} has more than {bytes} bytes"),
            Failure::Broken(why) => write!(f, "the answer is broken: {why}"),
            Failure::Unwritten(why) => write!(f, "the answer could not be written down: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Failure::Refused(refused)
    }
}
