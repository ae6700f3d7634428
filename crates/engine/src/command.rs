//! A command on its way to the writer, and the answer on its way back.

use std::time::Duration;

use maitred_core::{Actor, Domain, Position, Rejection, TenantNumber, Timestamp};

use crate::batch::Idempotency;

/// A command with what the engine must know of it besides its content.
#[derive(Debug)]
pub struct Envelope<C> {
    /// Whose command it is. Commands of one tenant are decided in the order of their arrival.
    pub tenant: TenantNumber,
    /// Who asks.
    pub actor: Actor,
    /// The idempotency key, if the client sent one.
    pub idempotency: Option<Idempotency>,
    /// Its size in memory, roughly, for the queue's byte budget.
    pub bytes: usize,
    /// What is asked.
    pub command: C,
}

/// What became of a command that was decided. Durable when it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<O> {
    /// The outcome, or the business "no".
    pub result: Result<O, Rejection>,
    /// The point in the log that includes it, and everything it rested on.
    pub position: Position,
    /// When it was decided.
    pub timestamp: Timestamp,
    /// Whether this is the remembered answer of an earlier command with the same idempotency key.
    pub replayed: bool,
}

/// The answer type of a domain.
pub type AnswerOf<D> = Answer<<D as Domain>::Outcome>;

/// Why a command was not decided. Nothing of it was written, except where it says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// More waits than can be served before the deadline.
    #[error("the server is overloaded; try again in {} s", .retry_after.as_secs())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The server is shutting down and takes no new work.
    #[error("the server is shutting down; try again")]
    Draining,
    /// The disk has no room for another batch; reads go on.
    #[error("the disk is full: writes are refused until there is room, reads go on")]
    DiskFull,
    /// The log cannot be reached; nothing was written.
    #[error("the log cannot be written at the moment; nothing was written, try again")]
    LogAway,
    /// The wall clock ran far ahead of the monotonic one; an operator must confirm it.
    #[error("the clock jumped ahead: writes are refused until an operator confirms the time")]
    ClockSuspect,
    /// The view has not reached the position that was asked for in time.
    #[error("this node has not caught up with the position asked for; try again")]
    ReplicaBehind,
    /// The outcome is unknown: the command may have been written. Repeat it with its idempotency key.
    #[error("the outcome is unknown; repeat the request with the same Idempotency-Key")]
    Unknown,
    /// Deciding it panicked. A bug, logged; nothing was written.
    #[error("an internal error; nothing was written")]
    Bug,
}
