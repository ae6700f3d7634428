//! The records of other systems: read from their files as the bytes arrive, and written in their shapes.
//!
//! ```text
//!   bytes ──▶ Reader (json, csv, sql, avro) ──▶ fields by name ──▶ Customer | LegacyBooking, or a Problem
//!   Customer | LegacyBooking ──▶ Writer (json, csv, sql, avro) ──▶ bytes
//! ```
//!
//! Beside them stand [`outgoing`], how a server that somebody named is spoken to; [`xml_feed`], the events that
//! providers have for sale; [`feed_fetch`], how these come here; and, as the feature `rabbitmq`, how messages are
//! published to a broker and taken from it.
//!
//! Invariants:
//! - Nothing here knows the product: what a record means is said elsewhere. Nothing but [`outgoing`],
//!   [`feed_fetch`] and `rabbitmq` does I/O or reads a clock.
//! - Memory is bounded by [`RECORD_BYTES_MAX`] and a piece of the input (for Avro, by a block), whatever is read.
//! - No input makes a reader panic, and how the input is cut into pieces changes nothing.
//! - A broken record costs itself: it is named with its place, and reading goes on behind it.
//!
//! Next: [`salon`] for the records, [`Reader`] for reading, [`Writer`] for writing, [`outgoing`] for requests,
//! [`xml_feed`] for feeds.

mod avro;
pub mod feed_fetch;
mod fields;
pub mod outgoing;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
mod read;
pub mod salon;
mod write;
pub mod xml_feed;

pub use read::{FORMAT_PROBLEMS_MAX, Format, Place, Problem, RECORD_BYTES_MAX, Reader};
pub use write::Writer;
