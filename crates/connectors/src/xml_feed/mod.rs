//! Feeds of events for sale, as providers serve them: a `planList` in XML, of any size, read as it arrives.
//!
//! ```text
//!   bytes ──▶ Source (encoding, limits) ──▶ Feed (one event after the other, what is bad left out and counted)
//!   spooled file ──▶ survey: counts, compares ──▶ Changes: what is new or changed, in bounded groups
//!   Event ──▶ FeedWriter ──▶ bytes
//! ```
//!
//! Invariants:
//! - A feed that is not well-formed to its last byte is refused as a whole. What was read of it before is to be
//!   thrown away: that is why a spooled file is read twice, and written from in the second reading alone.
//! - A bad zone costs itself, a bad plan itself and its zones, a bad event itself and its plans; each is counted.
//! - Memory is bounded by the limits named in [`limits`], whatever is read.
//! - No document type is read, no entity but the five of XML and references to characters.
//! - The plans of an event, and the zones of a plan, are in the order of their ids, each id once: of what is repeated
//!   the last attributes hold, and the plans and zones below are merged.
//! - Nothing here reads a clock or knows a time zone.
//!
//! The form, and what of it may be missing, is that of the services that maitred replaces, observed on the wire.
//!
//! Next: [`Feed`] for reading, [`survey`] and [`Changes`] for the two readings of a file, [`FeedWriter`] for writing.

mod attributes;
mod changes;
mod digest;
pub mod limits;
mod problem;
mod read;
mod record;
mod source;
mod survey;
mod value;
mod write;

pub use self::changes::{Changed, Changes, Written};
pub use self::digest::Digest;
pub use self::problem::{Reason, Refused, Tally};
pub use self::read::{Feed, Options};
pub use self::record::{Event, Moment, Plan, SellMode, Zone};
pub use self::survey::{Known, KnownEvent, Loss, Survey, survey};
pub use self::write::FeedWriter;
