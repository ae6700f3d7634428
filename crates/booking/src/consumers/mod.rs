//! How far the consumers are, and what they could not deal with. All of it lives in the system tenant.
//!
//! Table `Consumer/_system/hash of the name/…`:
//! - `0` → seq 8 · ordinal 4 · name: the cursor.
//! - `1` → how many dead letters there are.
//! - `2/seq/ordinal` → a dead letter, under the place of its fact.
//! - `3` → epoch 8 · stalled 4 · seq 8 · ordinal 4 of the cursor at the claim · name: the newest claim.
//! - `4/tenant/key` → how many dead letters of a key are parked 4 · taken up again 4.
//! - `5/seq/ordinal` → a dead letter that is taken up again. It is not in `2` then.
//! - `6/seq/ordinal` → epoch 8 · crashes 4: a fact that was being tried, in which epoch, and how often before the process
//!   ended by it.
//! - `7/seq/ordinal` → what somebody decided about dead letters, under the place of that fact.
//!
//! Invariants:
//! - A cursor never goes back, and the runner of the newest epoch alone moves it.
//! - These are no records: they have no versions, and no change feed tells of them, for they are the server's own
//!   housekeeping, written as often as once a second.
//! - A dead letter names a fact that stands in the log for ever: its place is enough to take it up again.
//! - Of one key, what is taken up again stands before what stays aside: a selection takes a beginning of each key's
//!   letters, and one that fails again goes back with those behind it.
//! - Only what stands at or before the cursor is taken up or thrown away: what stands behind it is still the runner's.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `id-collision` | conflict | another consumer's name has the same hash |
//! | `consumer-superseded` | conflict | another runner has claimed the consumer since |
//! | (accepted) | | the cursor is there or further already, or the fact is put aside already |
//! | `too-many-dead-letters` | too many | the consumer has as many as it may have: it waits, and loses none |

pub mod command;
pub mod fact;
pub mod http;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::{Command, Holder, Selection};
pub use fact::{CursorKept, DeadLetterParked, Fact, Place};
pub use rules::{CHOSEN_MAX, DEAD_LETTERS_MAX, Outcome, Rules};
pub use view::{cursor, dead_letter_count, dead_letters};
