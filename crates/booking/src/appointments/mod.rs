//! Appointments: time on a resource, owned by another system, which names it by an external id.
//!
//! Invariants:
//! - The last write wins on `updated_at`: an equal or older one is accepted as `ignored_stale` and changes
//!   nothing. That is seen before any overlap, so a stale update is never refused for one.
//! - Two active appointments of a tenant on one resource never overlap; ends that touch do not.
//! - Nothing is forgotten: every version stays, and what stood at any time before can be listed.
//! - Cancelling frees the time and keeps the record. The cancellation of an unknown id is kept too (a
//!   tombstone), so that an older write that arrives late is stale. A newer write brings either back.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-time-range`, `invalid-created-at`, `invalid-external-id`, `invalid-resource`, `invalid-title`, `invalid-metadata`, `invalid-version`, `invalid-tombstone` | unprocessable | a field breaks a rule ([`validate`]) |
//! | `id-collision` | conflict | another text has the hash of this external id or resource |
//! | `version-mismatch` | precondition | `if_version` is not the current version, or there is none |
//! | `already-exists` | precondition | `if_none_match_any`, and the appointment exists, cancelled or not |
//! | (accepted) | | `updated_at` is not newer: `ignored_stale` |
//! | (accepted) | | an imported version is there already: `unchanged` |
//! | `version-differs` | conflict | another content, or another id, is here under an imported version |
//! | `version-missing` | conflict | versions are missing before an imported one |
//! | `version-not-newer` | conflict | an imported version is not newer than the one before it |
//! | `time-range-unavailable` | conflict | another active appointment overlaps; `conflicts` names up to 10 |
//!
//! Sources: the appointment service that is replaced (its routes are the drop-in `sesami`).

pub mod command;
pub mod fact;
pub mod http;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::{
    Cancel, Command, EXTERNAL_ID_CHARS_MAX, Import, ImportDetails, METADATA_BYTES_MAX, RESOURCE_CHARS_MAX,
    RESOURCE_DEFAULT, TITLE_CHARS_MAX, Upsert, validate, validate_external_id, validate_import,
};
pub use fact::Fact;
pub use rules::{CONFLICTS_MAX, Effect, Outcome, Rules};
pub use view::{
    Appointment, Cursor, Page, Query, Versioned, from_version, get, list, record_id, scan, versions,
};
