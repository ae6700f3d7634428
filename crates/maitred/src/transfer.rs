//! A tenant as lines of JSON: exported from one server, imported into another, and the same there.
//!
//! ```text
//!   {"type":"tenant","format":1,"slug":…}         the profile; keys are not exported
//!   {"type":"appointment","version":1,…}          every version of every record, in the order of the log
//!   {"type":"end","lines":2}                      how many lines stand before it
//! ```
//!
//! Invariants:
//! - An export is the tenant as it stood after one batch, however long it takes and whatever is written meanwhile.
//! - Versions come in the order in which they were decided, so that an import into an empty tenant meets no overlap
//!   that was not there.
//! - An import is made of ordinary commands. Importing a file again changes nothing.

mod export;
mod import;
mod line;
#[cfg(test)]
mod tests;

pub use export::{Export, NoSuchTenant};
pub use import::{Destination, Import, Refused, Stopped, Tally};
pub use line::{FORMAT, LINE_BYTES_MAX, Lines, tenant_slug};
