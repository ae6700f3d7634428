//! A tenant as lines of JSON: exported from one server, imported into another, and the same there.
//!
//! ```text
//!   {"type":"tenant","format":1,"slug":…}         the profile; keys are not exported
//!   {"type":"user","version":1,…}                 every version of every record, in the order of the log: users with
//!   {"type":"product","version":1,"latest":…}     the hashes of their passwords, products, sales, orders,
//!   {"type":"sale","version":1,"latest":…}        appointments, and all of a salon: `salon_settings`, `employee`,
//!   {"type":"order","version":1,"latest":…}       `service`, `resource`, `customer`, `shift_plan`, `booking`, `series`,
//!   {"type":"appointment","version":1,…}          `waitlist_entry` and `legacy_booking`, with what it is under `record`
//!   {"type":"employee","version":1,"latest":…}
//!   {"type":"end","lines":2}                      how many lines stand before it
//! ```
//!
//! Invariants:
//! - An export is the tenant as it stood after one batch, however long it takes and whatever is written meanwhile.
//! - Versions come in the order in which they were decided, so that an import into an empty tenant meets no overlap
//!   that was not there.
//! - What is personal of a user is exported as it is when its line is written; of an account that is closed by then
//!   nothing is, whatever past is exported.
//! - An import is made of ordinary commands. Importing a file again changes nothing.
//! - What ends by itself does so again where it is imported, but not before its newest version is there (`latest`): an
//!   older one was followed by what stands further down. So a hold that is running when it is exported is running after
//!   the import, until the same instant; one that is over by then is settled, and an export has that version too.

mod export;
mod import;
mod line;
#[cfg(test)]
mod tests;

pub use export::{Export, NoSuchTenant};
pub use import::{Destination, Import, Refused, Stopped, Tally};
pub use line::{FORMAT, LINE_BYTES_MAX, Lines, tenant_slug};
