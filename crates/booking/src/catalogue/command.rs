//! What may be asked of providers, runs and events.

use maitred_core::Timestamp;
use uuid::Uuid;

use super::fact::{Counts, Format, RunProblem, RunState, SealedHeader, SellMode, Validators};
use crate::money::Currency;
use crate::tenants::command::{check_time_zone, is_slug};
use crate::violation::{Violation, check_text};

/// The longest URL, in characters.
pub const URL_CHARS_MAX: usize = 2_000;
/// The shortest time between two runs of a provider, in seconds.
pub const INTERVAL_SECONDS_MIN: u32 = 1;
/// The longest: a week.
pub const INTERVAL_SECONDS_MAX: u32 = 604_800;
/// The longest that a fetch may take, in seconds; the shortest is one.
pub const TIMEOUT_SECONDS_MAX: u32 = 600;
/// The most headers that are sent with a fetch.
pub const HEADERS_MAX: usize = 16;
/// The longest name of a header, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 100;
/// The longest value of a header, sealed, in bytes.
pub const HEADER_SEALED_BYTES_MAX: usize = 4_200;
/// The most problems that are kept of a run.
pub const PROBLEMS_MAX: usize = 20;
/// The longest description of a problem, in characters; the rest is cut off.
pub const PROBLEM_CHARS_MAX: usize = 300;
/// The longest title of an event, in characters.
pub const TITLE_CHARS_MAX: usize = 1_000;
/// The longest id that a provider gives to an event, in characters.
pub const ID_CHARS_MAX: usize = 255;
/// The most events of one command.
pub const EVENTS_PER_COMMAND_MAX: usize = 256;

/// A command on a provider, a run or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Bring in a provider.
    CreateProvider(CreateProvider),
    /// Change a provider.
    UpdateProvider(UpdateProvider),
    /// Ask for a run now.
    RequestRun {
        /// Of which provider.
        provider: String,
    },
    /// Of the system: begin to write what a feed states.
    BeginRun(BeginRun),
    /// Of the system: write what a feed states of some events.
    ApplyEvents(ApplyEvents),
    /// Of the system: mark events that are missing.
    VanishEvents(VanishEvents),
    /// Of the system: say how a run ended; also one that was never begun, because nothing had to be written.
    FinishRun(FinishRun),
    /// Let the next run lose as many events as this held one would have.
    AcceptRun {
        /// Of which provider.
        provider: String,
        /// Which.
        run: Uuid,
    },
    /// Set a held run aside: as long as the feed states the same, no run is held again.
    DiscardRun {
        /// Of which provider.
        provider: String,
        /// Which.
        run: Uuid,
    },
}

/// Brings in a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateProvider {
    /// Its slug.
    pub name: String,
    /// Where its feed is: `http` or `https`, at most [`URL_CHARS_MAX`] characters.
    pub url: String,
    /// The form of its feed.
    pub format: Format,
    /// [`INTERVAL_SECONDS_MIN`] to [`INTERVAL_SECONDS_MAX`].
    pub interval_seconds: u32,
    /// 1 to [`TIMEOUT_SECONDS_MAX`].
    pub timeout_seconds: u32,
    /// An IANA time zone.
    pub time_zone: String,
    /// In which currency its prices are.
    pub currency: Currency,
    /// At most [`HEADERS_MAX`], each name once.
    pub headers: Vec<SealedHeader>,
    /// Whether it is synced.
    pub active: bool,
}

/// Changes what is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProvider {
    /// Which.
    pub provider: String,
    /// What.
    pub patch: ProviderPatch,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// New values of a provider's fields; `None` leaves a field alone. The bounds are those of [`CreateProvider`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderPatch {
    /// The URL.
    pub url: Option<String>,
    /// The interval.
    pub interval_seconds: Option<u32>,
    /// The timeout.
    pub timeout_seconds: Option<u32>,
    /// The time zone: events are stated anew by the next run.
    pub time_zone: Option<String>,
    /// The currency: events are stated anew by the next run.
    pub currency: Option<Currency>,
    /// All headers.
    pub headers: Option<Vec<SealedHeader>>,
    /// Whether it is synced.
    pub active: Option<bool>,
}

/// Begins to write what a feed states, or holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginRun {
    /// Of which provider.
    pub provider: String,
    /// What was found so far; [`Counts::missing`] decides whether it is held.
    pub counts: Counts,
    /// The hash of everything that the feed states.
    pub digest: [u8; 32],
}

/// Writes what a feed states of some events. Events behind those for which there is room are left out, and the outcome
/// says how many were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyEvents {
    /// Of which provider.
    pub provider: String,
    /// The open run.
    pub run: Uuid,
    /// At most [`EVENTS_PER_COMMAND_MAX`].
    pub events: Vec<FeedEvent>,
}

/// Marks events that are missing; as [`ApplyEvents`], as many as there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VanishEvents {
    /// Of which provider.
    pub provider: String,
    /// The open run.
    pub run: Uuid,
    /// At most [`EVENTS_PER_COMMAND_MAX`], by our ids.
    pub events: Vec<Uuid>,
}

/// Says how a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishRun {
    /// Of which provider.
    pub provider: String,
    /// The open run; without it the run that was asked for, or a new one.
    pub run: Option<Uuid>,
    /// [`RunState::Finished`], [`RunState::Unchanged`] or [`RunState::Failed`].
    pub state: RunState,
    /// What was found.
    pub counts: Counts,
    /// What was wrong; the first [`PROBLEMS_MAX`] are kept.
    pub problems: Vec<RunProblem>,
    /// The hash of everything that the feed states.
    pub digest: Option<[u8; 32]>,
    /// What the provider gave to ask for changes alone.
    pub validators: Option<Validators>,
}

/// An event as a feed states it, its times resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// The provider's id of it.
    pub external_id: String,
    /// For people.
    pub title: String,
    /// How it is sold.
    pub sell_mode: Option<SellMode>,
    /// The provider's id of who organises it.
    pub organizer: Option<String>,
    /// When it takes place; each id once.
    pub plans: Vec<FeedPlan>,
    /// The hash of all of this, by which it is known again.
    pub digest: [u8; 32],
}

/// A plan as a feed states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPlan {
    /// The provider's id of it, within the event.
    pub id: String,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Since when it is sold.
    pub sell_from: Option<Timestamp>,
    /// Until when it is sold.
    pub sell_to: Option<Timestamp>,
    /// Whether nothing is left.
    pub sold_out: bool,
    /// Where one can sit; each id once.
    pub zones: Vec<FeedZone>,
}

/// A zone as a feed states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedZone {
    /// The provider's id of it, within the plan.
    pub id: String,
    /// For people.
    pub name: String,
    /// How many can sit there.
    pub capacity: u32,
    /// What it costs, in minor units.
    pub price: Option<i64>,
    /// Whether the seats have numbers.
    pub numbered: bool,
}

/// What is wrong with a provider to be brought in.
pub fn validate_create(create: &CreateProvider) -> Vec<Violation> {
    let mut found = Vec::new();
    if !is_slug(&create.name) {
        let detail =
            "name must be lower-case letters, digits and hyphens, at most 63, and not begin with a hyphen";
        found.push(Violation::new("/name", "invalid-slug", detail));
    }
    check_url(&mut found, &create.url);
    check_interval(&mut found, create.interval_seconds);
    check_timeout(&mut found, create.timeout_seconds);
    check_time_zone(&mut found, &create.time_zone);
    check_headers(&mut found, &create.headers);
    found
}

/// What is wrong with a change of a provider.
pub fn validate_patch(patch: &ProviderPatch) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(url) = &patch.url {
        check_url(&mut found, url);
    }
    check_interval(&mut found, patch.interval_seconds.unwrap_or(INTERVAL_SECONDS_MIN));
    check_timeout(&mut found, patch.timeout_seconds.unwrap_or(1));
    if let Some(time_zone) = &patch.time_zone {
        check_time_zone(&mut found, time_zone);
    }
    check_headers(&mut found, patch.headers.as_deref().unwrap_or_default());
    found
}

fn check_url(found: &mut Vec<Violation>, url: &str) {
    let before = found.len();
    check_text(found, "/url", "invalid-url", url, 1..=URL_CHARS_MAX);
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let plain = |rest: &str| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !host.is_empty() && !host.contains('@') && rest.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if found.len() == before && !rest.is_some_and(plain) {
        let detail = "url must be an http or https URL of visible ASCII characters, without a user in it: a \
                      password belongs into headers";
        found.push(Violation::new("/url", "invalid-url", detail));
    }
}

fn check_interval(found: &mut Vec<Violation>, seconds: u32) {
    if !(INTERVAL_SECONDS_MIN..=INTERVAL_SECONDS_MAX).contains(&seconds) {
        let detail =
            format!("interval_seconds must be from {INTERVAL_SECONDS_MIN} to {INTERVAL_SECONDS_MAX}");
        found.push(Violation::new("/interval_seconds", "invalid-interval", detail));
    }
}

fn check_timeout(found: &mut Vec<Violation>, seconds: u32) {
    if !(1..=TIMEOUT_SECONDS_MAX).contains(&seconds) {
        let detail = format!("timeout_seconds must be from 1 to {TIMEOUT_SECONDS_MAX}");
        found.push(Violation::new("/timeout_seconds", "invalid-timeout", detail));
    }
}

/// Headers that the connection itself sets.
const HEADERS_OF_CONNECTION: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];

fn check_headers(found: &mut Vec<Violation>, headers: &[SealedHeader]) {
    let is_token = |name: &str| {
        (1..=HEADER_NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.!#$%&'*+^`|~".contains(&byte)
            })
            && !HEADERS_OF_CONNECTION.contains(&name)
    };
    let repeated = |i: usize| headers[..i].iter().any(|other| other.name == headers[i].name);
    let sound = |(i, header): (usize, &SealedHeader)| {
        is_token(&header.name) && header.sealed.len() <= HEADER_SEALED_BYTES_MAX && !repeated(i)
    };
    if headers.len() > HEADERS_MAX || !headers.iter().enumerate().all(sound) {
        let detail = format!(
            "at most {HEADERS_MAX} headers, each name once, of at most {HEADER_NAME_BYTES_MAX} characters, and none \
             that the connection sets"
        );
        found.push(Violation::new("/headers", "invalid-headers", detail));
    }
}
