//! Consumers: what follows from facts, after they are durable, at least once.
//!
//! ```text
//!   log ── batches ──▶ ConsumerRunner ── facts ──▶ Consumer ── commands ──▶ queue
//!                            │
//!                            └── cursor, dead letters: commands of the system tenant
//! ```
//!
//! A consumer follows the log, not a view: it meets every fact once in the log's order, whatever became of the
//! view meanwhile. How far it has come is a fact of the system tenant, so a start goes on where the last one
//! ended, and repeats what was done since the cursor was kept. Whatever it leads to must be harmless when it
//! comes again.
//!
//! Next: [`runner`] for how it is carried out, [`crate::background`] for the threads.

mod runner;
mod status;

use maitred_core::{At, ChangeId, Class, Domain, Read, Rejection, TenantNumber, Timestamp};

pub use runner::{ATTEMPTS_MAX, ConsumerRunner, IN_FLIGHT_MAX, TENANT_IN_FLIGHT_MAX, WINDOW_MAX};
pub use status::Status;

/// The longest name of a consumer, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest reason in a dead letter, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// Follows the log, and answers facts with commands.
pub trait Consumer<D: Domain>: Send + Sync {
    /// Its name: `[a-z0-9-]`, at most [`NAME_BYTES_MAX`] bytes. It is stored, and never another consumer's.
    fn name(&self) -> &'static str;

    /// Whether it wants facts of this kind; others are not even decoded.
    fn wants(&self, kind: u16) -> bool;

    /// What a fact is about, or `None` where there is nothing to do. The facts about one thing of a tenant are
    /// carried out one after another, in the log's order; others beside each other.
    fn key(&self, fact: &D::Fact, at: At) -> Option<u128>;

    /// The commands that a fact leads to, in its own tenant, as of the newest view. They may have been carried
    /// out before.
    ///
    /// # Errors
    /// Why it cannot be done at the moment. It is tried again, and put aside after [`ATTEMPTS_MAX`] times.
    fn consume(&self, view: &dyn Read, fact: &D::Fact, at: At) -> Result<Vec<D::Command>, String>;

    /// Whether a refused command is as good as done: by default where the state has moved on. What else is
    /// refused is tried again.
    fn is_settled(&self, rejection: &Rejection) -> bool {
        matches!(rejection.class, Class::Conflict | Class::Absent | Class::Precondition)
    }
}

/// What a domain keeps of consumers, in the system tenant.
pub trait Bookkeeping: Domain {
    /// The last fact that a consumer is done with, and all before it: `(0, 0)` for one that is new.
    fn cursor(&self, view: &dyn Read, consumer: &str) -> ChangeId;

    /// Keeps a cursor. One that is not behind the kept one changes nothing.
    fn keep_cursor(&self, consumer: &'static str, cursor: ChangeId) -> Self::Command;

    /// Puts a fact aside that a consumer cannot deal with. One that was put aside already changes nothing.
    fn park(&self, letter: DeadLetter) -> Self::Command;

    /// Whether facts of this kind are written by the two above: a cursor does not move for their sake alone.
    fn is_bookkeeping(&self, kind: u16) -> bool;
}

/// A fact that a consumer could not deal with. It stands in the log for ever, so its place is enough to take it up
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose work it was.
    pub consumer: &'static str,
    /// Where the fact stands.
    pub fact: ChangeId,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Whose it is.
    pub tenant: TenantNumber,
    /// What it is about ([`Consumer::key`]).
    pub key: u128,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time; at most [`REASON_CHARS_MAX`] characters.
    pub reason: String,
}
