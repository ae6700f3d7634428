//! What a consumer's runner asks for. Every command belongs to the system tenant, and none comes from a client.

use super::fact::{CursorKept, DeadLetterParked};

/// A command of a consumer's runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keep a cursor.
    KeepCursor(CursorKept),
    /// Put a fact aside that the consumer cannot deal with.
    Park(DeadLetterParked),
}
