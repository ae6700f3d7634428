//! What may be asked of appointments.

use maitred_core::Timestamp;

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

/// What is wrong with an upsert whatever is in the view, the gravest first: times (as the replaced
/// service has it), then texts. The edges and the rules check alike.
pub fn validate(upsert: &Upsert) -> Vec<Violation> {
    let mut found = Vec::new();
    if upsert.starts_at >= upsert.ends_at {
        found.push(Violation::new("/ends_at", "invalid-time-range", "ends_at must be after starts_at"));
    }
    if upsert.created_at > upsert.updated_at {
        let detail = "created_at must not be after updated_at";
        found.push(Violation::new("/created_at", "invalid-created-at", detail));
    }
    check_external_id(&mut found, &upsert.external_id);
    check_text(&mut found, "/resource", "invalid-resource", &upsert.resource, 1..=RESOURCE_CHARS_MAX);
    if let Some(title) = &upsert.title {
        check_text(&mut found, "/title", "invalid-title", title, 0..=TITLE_CHARS_MAX);
    }
    if upsert.metadata.as_ref().is_some_and(|metadata| metadata.as_str().len() > METADATA_BYTES_MAX) {
        let detail = format!("metadata must have at most {METADATA_BYTES_MAX} bytes");
        found.push(Violation::new("/metadata", "invalid-metadata", detail));
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
