//! Every bound on a feed, by name.

/// Most bytes of a feed, as it is served.
pub const FEED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Most events in a feed, repeated ones counted: each costs 32 bytes of memory while the feed is compared.
pub const EVENTS_MAX: u64 = 2_000_000;
/// Longest tag, comment, instruction or piece of text, in bytes of UTF-8.
pub const MARKUP_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of elements; a feed needs five.
pub const DEPTH_MAX: usize = 32;
/// Most attributes of an element.
pub const ATTRIBUTES_MAX: usize = 64;
/// Longest id of an event, a plan, a zone or a company, in characters.
pub const ID_CHARS_MAX: usize = 128;
/// Longest title of an event and name of a zone, in characters.
pub const TEXT_CHARS_MAX: usize = 1_000;
/// Most plans of an event.
pub const PLANS_MAX: usize = 1_000;
/// Most zones of an event, over all of its plans.
pub const ZONES_MAX: usize = 5_000;
/// Largest event, counted by [`super::Event::size`]: it must fit into one command.
pub const EVENT_BYTES_MAX: usize = 128 * 1024;
/// Largest price in minor units, as well as largest debt.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;
/// Most problems that are kept with their places; all are counted.
pub const PROBLEMS_KEPT_MAX: usize = 100;
/// Most characters of the feed's own text in a problem's sentence.
pub const EXCERPT_CHARS_MAX: usize = 40;
/// Most characters of a parser's complaint.
pub const COMPLAINT_CHARS_MAX: usize = 160;
/// Bytes of memory for repeated events that wait for the rest of themselves, in one reading.
pub const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most readings of a file for the sake of repeated events that differ.
pub const ROUNDS_MAX: u64 = 32;
/// A run that would lose fewer events is never held.
pub const LOSS_EVENTS_MIN: u64 = 100;
/// A run that would lose at most so many percent of a provider's events is not held.
pub const LOSS_PERCENT_MAX: u64 = 20;
