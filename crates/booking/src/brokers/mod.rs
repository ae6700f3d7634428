//! Message brokers: tenants' changes published to them, and commands taken from their queues.
//!
//! ```text
//!   change feeds ──▶ Outbox ──▶ message ──▶ a broker ──▶ confirmed, refused, or lost with the connection
//!                      │  ▲                                          │
//!             cursor   │  └──────────────────────────────────────────┘
//!                      ▼
//!        commands of crate::consumers, as every consumer's
//! ```
//!
//! Nothing here knows a broker's protocol: the program speaks it, by what [`outbox`] says.
//!
//! Invariants:
//! - What lies before a publisher's cursor is confirmed by the broker: at least once.
//! - A change of a record never goes out before an earlier one of it is confirmed, so that receivers get each
//!   record's changes in their order, whatever fails in between. What comes twice has the same id.
//! - A publisher holds [`outbox::WINDOW_MAX`] changes at most, and about [`outbox::WINDOW_BYTES_MAX`] of them; of one
//!   tenant [`outbox::TENANT_WINDOW_MAX`].
//! - The server is as ready without its brokers as with them.
//!
//! Next: [`outbox`] for publishing, [`status`] for what is measured.

pub mod outbox;
pub mod status;

pub use outbox::{Message, Outbox, Selection};
pub use status::{Brokers, Consuming, Publishing};

/// The longest name of a broker: with [`CONSUMER_PREFIX`] before it, it is the name of a consumer.
pub const NAME_BYTES_MAX: usize = 32;
/// What stands before the name of a broker in that of its consumer.
pub const CONSUMER_PREFIX: &str = "broker-";
