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
//! Invariants of what is kept ([`Bookkeeping`]):
//! - A consumer has one runner that may write for it: the one of the newest epoch. Whatever an older one writes is
//!   refused ([`SUPERSEDED`]), and it stops. A runner claims its epoch before it does anything.
//! - Nothing of a key overtakes a fact of that key that is put aside: what follows is put aside behind it, in order,
//!   until somebody redrives or discards what is there.
//! - A fact that was being tried when the process ended, again and again, is put aside like any other that fails
//!   ([`runner`] says how).
//!
//! Next: [`runner`] for how it is carried out, [`crate::background`] for the threads.

mod runner;
mod status;

use maitred_core::{At, ChangeId, Class, Domain, Read, Rejection, TenantNumber, Timestamp};

pub use runner::{
    ATTEMPTS_MAX, CRASHED, ConsumerRunner, IN_FLIGHT_MAX, KEY_PARKED, TENANT_IN_FLIGHT_MAX,
    TENANT_WINDOW_MAX, WINDOW_MAX,
};
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

    /// A part of what a fact leads to: from 0 on, and then from where the part before says ([`Part::next`]). A consumer
    /// that may have much to do for one fact does it so, each part as of the newest view: between two parts those of
    /// others have their turn. When the process ends, all parts come again. By default all is done at once.
    ///
    /// # Errors
    /// See [`Consumer::consume`]; the part is tried again.
    fn consume_part(
        &self,
        view: &dyn Read,
        fact: &D::Fact,
        at: At,
        from: u64,
    ) -> Result<Part<D::Command>, String> {
        let _ = from; // there is one part
        Ok(Part { commands: self.consume(view, fact, at)?, next: None })
    }

    /// Whether a refused command is as good as done: by default where the state has moved on. What else is
    /// refused is tried again.
    fn is_settled(&self, rejection: &Rejection) -> bool {
        matches!(rejection.class, Class::Conflict | Class::Absent | Class::Precondition)
    }
}

/// A part of what a fact leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<C> {
    /// The commands.
    pub commands: Vec<C>,
    /// From where the next part goes on, once these are decided; `None` where this is the last one. Each is greater than
    /// the one before.
    pub next: Option<u64>,
}

/// The code of what is refused to a runner whose consumer another one has claimed since.
pub const SUPERSEDED: &str = "consumer-superseded";

/// What a domain keeps of consumers, in the system tenant.
pub trait Bookkeeping: Domain {
    /// What is known of a consumer: nothing for one that is new.
    fn standing(&self, view: &dyn Read, consumer: &str) -> Standing;

    /// Whether facts of this key may be carried out.
    fn key_standing(&self, view: &dyn Read, consumer: &str, tenant: TenantNumber, key: u128) -> KeyStanding;

    /// The facts that were put aside and are to be taken up again, in the log's order; at most `limit`.
    fn taken_up(&self, view: &dyn Read, consumer: &str, limit: usize) -> Vec<ChangeId>;

    /// How often the process ended while it was said of this fact that it is tried ([`Note::Trying`]), in other
    /// epochs than this one.
    fn crashes(&self, view: &dyn Read, hold: Hold, fact: ChangeId) -> u32;

    /// The command that keeps `note`. It is refused with [`SUPERSEDED`] unless `hold` is of the newest epoch, or, for
    /// [`Note::Claim`], of the one after it. What is known already changes nothing.
    fn note(&self, hold: Hold, note: Note) -> Self::Command;

    /// Whether facts of this kind are written by notes: a cursor does not move for their sake alone.
    fn is_bookkeeping(&self, kind: u16) -> bool;

    /// The last fact that a consumer is done with, and all before it: `(0, 0)` for one that is new.
    fn cursor(&self, view: &dyn Read, consumer: &str) -> ChangeId {
        self.standing(view, consumer).cursor
    }
}

/// For whom a runner writes, and in which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The consumer's name.
    pub consumer: &'static str,
    /// Its epoch: each claim has the next one, from 1.
    pub epoch: u64,
}

/// What a runner has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It takes the consumer over.
    Claim,
    /// It is done with everything up to here.
    Cursor(ChangeId),
    /// It tries this fact next, and whatever it tried before in this epoch has come to its end.
    Trying(ChangeId),
    /// It puts this fact aside. One that was taken up again goes back, and those of its key behind it with it.
    Park(DeadLetter),
    /// It is done with a fact that was taken up again.
    Settle(ChangeId),
}

/// What is known of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The last fact that it is done with, and all before it.
    pub cursor: ChangeId,
    /// The newest epoch; 0 before the first claim.
    pub epoch: u64,
    /// How many claims in a row, up to the newest, have found the cursor where the claim before had found it.
    pub stalled: u32,
}

/// Whether facts of a key may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// None of its facts is put aside.
    Free,
    /// Some of them are taken up again: others wait for these.
    TakenUp,
    /// Some of them are put aside, and none is taken up: others go behind them.
    Parked,
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
