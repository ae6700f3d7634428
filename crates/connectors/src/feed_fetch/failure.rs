//! Why there is no feed.

use std::fmt;
use std::time::Duration;

use super::BYTES_PER_SECOND_MIN;
use crate::outgoing;

/// Why there is no feed. None of it holds a header of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The provider is being asked by another fetch.
    Busy,
    /// It failed too often, or asked for a rest: it is left alone for so long.
    CircuitOpen {
        /// When it may be asked again.
        again_in: Duration,
    },
    /// A header of the order cannot be sent: which, and why.
    Header(String),
    /// There was no whole answer.
    Outgoing(outgoing::Failure),
    /// The answer is neither the feed nor that it is unchanged. Redirects are not followed.
    Status {
        /// 100 to 999, not 200.
        status: u16,
        /// `Retry-After`, if it was given.
        retry_after: Option<Duration>,
    },
    /// It came more slowly than [`BYTES_PER_SECOND_MIN`].
    TooSlow,
    /// All spools together would take more than this.
    NoRoom(u64),
    /// The spool could not be written.
    Unwritten(String),
}

impl Failure {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Busy => "provider-busy",
            Failure::CircuitOpen { .. } => "provider-circuit-open",
            Failure::Header(_) => "provider-header-invalid",
            Failure::Status { .. } => "provider-status",
            Failure::TooSlow => "provider-too-slow",
            Failure::NoRoom(_) | Failure::Unwritten(_) => "spool-unwritten",
            Failure::Outgoing(failure) => match failure {
                outgoing::Failure::Refused(_) => "provider-url-refused",
                outgoing::Failure::Unresolved(_) => "provider-unresolved",
                outgoing::Failure::Unreachable(_) => "provider-unreachable",
                outgoing::Failure::Untrusted(_) => "provider-untrusted",
                outgoing::Failure::TimedOut(_) => "provider-too-slow",
                outgoing::Failure::TooLarge(..) => "feed-too-long",
                outgoing::Failure::Broken(_) => "provider-answer-broken",
                outgoing::Failure::Unwritten(_) => "provider-url-refused",
            },
        }
    }

    /// Whether asking again soon may help: 408, 429 and 5xx.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Failure::Status { status: 408 | 429 | 500..=599, .. })
    }

    /// Whether it held its slot for long.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Failure::TooSlow | Failure::Outgoing(outgoing::Failure::TimedOut(_)))
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Busy => f.write_str("the provider is being asked already"),
            Failure::CircuitOpen { again_in } => {
                write!(f, "the provider has failed, and is not asked for another {} s", again_in.as_secs())
            }
            Failure::Header(why) => f.write_str(why),
            Failure::Outgoing(failure) => write!(f, "{failure}"),
            Failure::Status { status: status @ 300..=399, .. } => {
                write!(f, "the provider answered {status}; redirects are not followed")
            }
            Failure::Status { status, .. } => write!(f, "the provider answered {status}"),
            Failure::TooSlow => {
                write!(f, "the feed came more slowly than {BYTES_PER_SECOND_MIN} bytes a second")
            }
            Failure::NoRoom(bytes) => {
                write!(f, "all feeds on the disk together would take more than {bytes} bytes")
            }
            Failure::Unwritten(why) => write!(f, "the feed could not be written to the disk: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
