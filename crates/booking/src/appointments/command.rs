//! What may be asked of appointments.

use maitred_core::Timestamp;
use uuid::Uuid;

use crate::json::JsonObject;
use crate::violation::{Violation, check_text};

/// The longest external id, in characters; the shortest has one.
pub const EXTERNAL_ID_CHARS_MAX: usize = 255;
/// The longest name of a resource, in characters; the shortest has one.
pub const RESOURCE_CHARS_MAX: usize = 128;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// The longest metadata, in bytes of its JSON text.
pub const METADATA_BYTES_MAX: usize = 4 * 1024;
/// The resource of an appointment that names none.
pub const RESOURCE_DEFAULT: &str = "default";

/// A command on one appointment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create it, or change it.
    Upsert(Upsert),
    /// Cancel it.
    Cancel(Cancel),
    /// Take over one version of it from another server's export.
    Import(Import),
}

/// Creates an appointment, or gives it another content, if `updated_at` is newer than what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upsert {
    /// The owner's name for it; 1 to [`EXTERNAL_ID_CHARS_MAX`] characters.
    pub external_id: String,
    /// On what; 1 to [`RESOURCE_CHARS_MAX`] characters, [`RESOURCE_DEFAULT`] where the client names none.
    pub resource: String,
    /// The first instant.
    pub starts_at: Timestamp,
    /// The first instant behind it; after `starts_at`.
    pub ends_at: Timestamp,
    /// When the owner created it; not after `updated_at`.
    pub created_at: Timestamp,
    /// When the owner changed it last. The newest wins.
    pub updated_at: Timestamp,
    /// At most [`TITLE_CHARS_MAX`] characters.
    pub title: Option<String>,
    /// Whatever the owner wants to keep; at most [`METADATA_BYTES_MAX`] bytes.
    pub metadata: Option<JsonObject>,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
    /// Only if there is no such appointment, not even a cancelled one (`If-None-Match: *`).
    pub if_none_match_any: bool,
}

/// Cancels an appointment, if `updated_at` is newer than what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The owner's name for it; 1 to [`EXTERNAL_ID_CHARS_MAX`] characters.
    pub external_id: String,
    /// When the owner cancelled it.
    pub updated_at: Timestamp,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// Takes over one version of an appointment as another server exported it, id and instants included. Versions
/// come in their order. One that is there already is accepted, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The id that the appointment had there; the same in every version.
    pub id: Uuid,
    /// The owner's name for it; 1 to [`EXTERNAL_ID_CHARS_MAX`] characters.
    pub external_id: String,
    /// The number that the version had there: one above the newest that is here.
    pub version: u64,
    /// When the version was decided there.
    pub received_at: Timestamp,
    /// When the owner changed it; newer than in the version before.
    pub updated_at: Timestamp,
    /// Whether it claims no time.
    pub cancelled: bool,
    /// What it is; nothing for a tombstone, which is cancelled.
    pub details: Option<ImportDetails>,
}

/// What an imported version is about. The bounds are those of [`Upsert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportDetails {
    /// On what.
    pub resource: String,
    /// The first instant.
    pub starts_at: Timestamp,
    /// The first instant behind it.
    pub ends_at: Timestamp,
    /// When the owner created it.
    pub created_at: Timestamp,
    /// A title.
    pub title: Option<String>,
    /// Whatever the owner wants to keep.
    pub metadata: Option<JsonObject>,
}

/// What is wrong with an upsert whatever is in the view, the gravest first: times (as the replaced
/// service has it), then texts. The edges and the rules check alike.
pub fn validate(upsert: &Upsert) -> Vec<Violation> {
    let mut found = Vec::new();
    check_times(&mut found, upsert.starts_at, upsert.ends_at, upsert.created_at, upsert.updated_at);
    check_external_id(&mut found, &upsert.external_id);
    check_texts(&mut found, &upsert.resource, upsert.title.as_deref(), upsert.metadata.as_ref());
    found
}

/// What is wrong with an imported version whatever is in the view.
pub fn validate_import(import: &Import) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(details) = &import.details {
        let ImportDetails { starts_at, ends_at, created_at, .. } = *details;
        check_times(&mut found, starts_at, ends_at, created_at, import.updated_at);
    } else if !import.cancelled {
        let detail = "a version without times must be cancelled";
        found.push(Violation::new("/cancelled", "invalid-tombstone", detail));
    }
    if import.version == 0 {
        found.push(Violation::new("/version", "invalid-version", "versions count from 1"));
    }
    check_external_id(&mut found, &import.external_id);
    if let Some(details) = &import.details {
        check_texts(&mut found, &details.resource, details.title.as_deref(), details.metadata.as_ref());
    }
    found
}

/// What is wrong with an external id.
pub fn validate_external_id(external_id: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    check_external_id(&mut found, external_id);
    found
}

fn check_external_id(found: &mut Vec<Violation>, external_id: &str) {
    check_text(found, "/external_id", "invalid-external-id", external_id, 1..=EXTERNAL_ID_CHARS_MAX);
}

fn check_times(
    found: &mut Vec<Violation>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
) {
    if starts_at >= ends_at {
        found.push(Violation::new("/ends_at", "invalid-time-range", "ends_at must be after starts_at"));
    }
    if created_at > updated_at {
        let detail = "created_at must not be after updated_at";
        found.push(Violation::new("/created_at", "invalid-created-at", detail));
    }
}

fn check_texts(
    found: &mut Vec<Violation>,
    resource: &str,
    title: Option<&str>,
    metadata: Option<&JsonObject>,
) {
    check_text(found, "/resource", "invalid-resource", resource, 1..=RESOURCE_CHARS_MAX);
    if let Some(title) = title {
        check_text(found, "/title", "invalid-title", title, 0..=TITLE_CHARS_MAX);
    }
    if metadata.is_some_and(|metadata| metadata.as_str().len() > METADATA_BYTES_MAX) {
        let detail = format!("metadata must have at most {METADATA_BYTES_MAX} bytes");
        found.push(Violation::new("/metadata", "invalid-metadata", detail));
    }
}
