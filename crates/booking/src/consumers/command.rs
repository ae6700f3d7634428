//! What a consumer's runner notes, and what an operator decides about dead letters. Every command belongs to the system
//! tenant.

use maitred_core::{TenantNumber, Timestamp};

use super::fact::{CursorKept, DeadLetterParked, Place};

/// A command of a consumer's runner, or of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A runner takes the consumer over.
    Claim(Holder),
    /// Keep a cursor.
    KeepCursor(Holder, CursorKept),
    /// A runner is about to try a fact.
    Try(Holder, Place),
    /// Put a fact aside that the consumer cannot deal with.
    Park(Holder, DeadLetterParked),
    /// A fact that was taken up again is done.
    Settle(Holder, Place),
    /// Take dead letters up again.
    Redrive(Selection),
    /// Throw dead letters away.
    Discard(Selection),
}

/// Which runner says so: the one of this epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The consumer's name.
    pub consumer: String,
    /// The epoch.
    pub epoch: u64,
}

/// Which dead letters of a consumer are meant: those that have all that is named here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The consumer's name.
    pub consumer: String,
    /// Of this tenant.
    pub tenant: Option<TenantNumber>,
    /// About this.
    pub key: Option<u128>,
    /// Decided before this instant.
    pub before: Option<Timestamp>,
}

impl Selection {
    /// Whether it means this letter.
    pub fn has(&self, letter: &DeadLetterParked) -> bool {
        self.tenant.is_none_or(|tenant| tenant == letter.tenant())
            && self.key.is_none_or(|key| key == letter.key)
            && self.before.is_none_or(|before| letter.decided_at < before)
    }
}
