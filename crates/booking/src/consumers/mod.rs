//! How far the consumers are, and what they could not deal with. All of it lives in the system tenant.
//!
//! Table `Consumer/_system/hash of the name/…`:
//! - `0` → seq 8 · ordinal 4 · name: the cursor.
//! - `1` → how many dead letters there are.
//! - `2/seq/ordinal` → a dead letter, under the place of its fact.
//!
//! Invariants:
//! - A cursor never goes back.
//! - These are no records: they have no versions, and no change feed tells of them, for they are the server's own
//!   housekeeping, written as often as once a second.
//! - A dead letter names a fact that stands in the log for ever: its place is enough to take it up again.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `id-collision` | conflict | another consumer's name has the same hash |
//! | (accepted) | | the cursor is there or further already, or the fact is put aside already |
//! | `too-many-dead-letters` | too many | the consumer has as many as it may have: it waits, and loses none |

pub mod command;
pub mod fact;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::Command;
pub use fact::{CursorKept, DeadLetterParked, Fact};
pub use rules::{DEAD_LETTERS_MAX, Outcome, Rules};
pub use view::{cursor, dead_letter_count, dead_letters};
