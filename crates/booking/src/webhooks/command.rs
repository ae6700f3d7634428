//! What may be asked about webhooks. The first ones come from clients, the others from the server's own work.

use maitred_core::{ChangeId, Timestamp};
use uuid::Uuid;

use super::fact::{Attempt, Cursor, RecordKey};
use super::secret::Sealed;
use crate::record::{ChangeType, Kind};
use crate::violation::{Violation, check_text};

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 500;
/// The most kinds that a filter names.
pub const KINDS_MAX: usize = 64;
/// The longest time for which the secret before a rotation signs too, in hours.
pub const OVERLAP_HOURS_MAX: u32 = 24 * 7;

/// A command on webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create an endpoint.
    Create(CreateWebhook),
    /// Change what is given of an endpoint.
    Update(UpdateWebhook),
    /// Take an endpoint away for good.
    Delete {
        /// Which.
        endpoint: Uuid,
        /// Only if this is the current version (`If-Match`).
        if_version: Option<u64>,
    },
    /// Give an endpoint another secret.
    RotateSecret {
        /// Which.
        endpoint: Uuid,
        /// The new one.
        secret: Sealed,
        /// For how many hours the old one signs too, at most [`OVERLAP_HOURS_MAX`].
        overlap_hours: u32,
    },
    /// Send a change again, whatever became of it.
    Retry {
        /// To which endpoint.
        endpoint: Uuid,
        /// Which change.
        change: ChangeId,
    },
    /// Send what was given up again, the first [`RETRIED_MAX`](super::rules::RETRIED_MAX) of it.
    RetryDead {
        /// To which endpoint.
        endpoint: Uuid,
    },
    /// Send a part of the feed again.
    Replay {
        /// To which endpoint.
        endpoint: Uuid,
        /// What lies behind this place.
        after: ChangeId,
        /// The last place of it.
        to: ChangeId,
    },
    /// The secret before the last rotation signs no more: forget it.
    DropPrevious {
        /// Whose.
        endpoint: Uuid,
    },
    /// Keep how far endpoints are; of the system tenant.
    KeepCursors(Vec<Cursor>),
    /// A delivery failed.
    Fail(Failed),
    /// A change of a lane was delivered.
    Deliver {
        /// To which endpoint.
        endpoint: Uuid,
        /// Of which record.
        record: RecordKey,
        /// Which change.
        change: ChangeId,
        /// The lane stands for changes of its record up to this place.
        through: ChangeId,
    },
    /// An endpoint that failed has answered.
    Recover {
        /// Which.
        endpoint: Uuid,
    },
}

/// Creates an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateWebhook {
    /// Made by the edge, which seals the secret for it.
    pub id: Uuid,
    /// Where changes are sent; the edge has asked the guard of outgoing requests.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// The kinds of record that it wants, by their names; all of them where there is none.
    pub kinds: Vec<String>,
    /// The types of change that it wants, by their names; all of them where there is none.
    pub types: Vec<String>,
    /// Whether it gets anything.
    pub active: bool,
    /// What deliveries are signed with.
    pub secret: Sealed,
}

/// Changes what is given of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateWebhook {
    /// Which.
    pub endpoint: Uuid,
    /// The URL.
    pub url: Option<String>,
    /// The description; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// The kinds.
    pub kinds: Option<Vec<String>>,
    /// The types.
    pub types: Option<Vec<String>>,
    /// Whether it gets anything; true also where the server had disabled it.
    pub active: Option<bool>,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// A delivery failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// To which endpoint.
    pub endpoint: Uuid,
    /// Of which record.
    pub record: RecordKey,
    /// Which change.
    pub change: ChangeId,
    /// The attempt.
    pub attempt: Attempt,
    /// When it is tried again, unless this was the last time.
    pub next_at: Timestamp,
    /// The lane stands for changes of its record up to this place.
    pub through: ChangeId,
    /// Whether the endpoint said that it is gone (410).
    pub gone: bool,
}

/// What is wrong with a URL, but for what only the guard of outgoing requests sees.
pub fn check_url(found: &mut Vec<Violation>, url: &str) {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if url.len() > URL_BYTES_MAX || !is_web {
        let detail =
            format!("url must begin with https:// or http://, and have at most {URL_BYTES_MAX} bytes");
        found.push(Violation::new("/url", "invalid-url", detail));
    }
}

/// What is wrong with a description.
pub fn check_description(found: &mut Vec<Violation>, description: Option<&str>) {
    if let Some(text) = description {
        check_text(found, "/description", "invalid-description", text, 0..=DESCRIPTION_CHARS_MAX);
    }
}

/// What is wrong with the kinds of a filter.
pub fn check_kinds(found: &mut Vec<Violation>, kinds: &[String]) {
    let known = |name: &String| Kind::in_feeds().any(|kind| kind.as_str() == name);
    if kinds.len() > KINDS_MAX || !kinds.iter().all(known) {
        let known: Vec<&str> = Kind::in_feeds().map(Kind::as_str).collect();
        let detail = format!("kinds are some of {}", known.join(", "));
        found.push(Violation::new("/kinds", "invalid-filter", detail));
    }
}

/// What is wrong with the types of a filter.
pub fn check_types(found: &mut Vec<Violation>, types: &[String]) {
    let known = |name: &String| ChangeType::ALL.iter().any(|known| known.as_str() == name);
    if types.len() > ChangeType::ALL.len() || !types.iter().all(known) {
        let known = ChangeType::ALL.map(ChangeType::as_str);
        let detail = format!("types are some of {}", known.join(", "));
        found.push(Violation::new("/types", "invalid-filter", detail));
    }
}

/// What is wrong with an endpoint to be created.
pub fn validate_create(create: &CreateWebhook) -> Vec<Violation> {
    let mut found = Vec::new();
    check_url(&mut found, &create.url);
    check_description(&mut found, create.description.as_deref());
    check_kinds(&mut found, &create.kinds);
    check_types(&mut found, &create.types);
    found
}

/// What is wrong with new values of an endpoint.
pub fn validate_update(update: &UpdateWebhook) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(url) = &update.url {
        check_url(&mut found, url);
    }
    check_description(&mut found, update.description.as_ref().and_then(Option::as_deref));
    check_kinds(&mut found, update.kinds.as_deref().unwrap_or_default());
    check_types(&mut found, update.types.as_deref().unwrap_or_default());
    found
}
