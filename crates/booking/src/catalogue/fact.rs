//! What is decided about providers, their runs and their events, as the log keeps it for ever.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::{micros, recorded};
use crate::money::Currency;

recorded! {
    /// A fact of this domain. It carries all of its record's new state.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A provider is new.
        ProviderCreated(Provider) = 800 version 1,
        /// A provider has another content.
        ProviderUpdated(Provider) = 801 version 1,
        /// A run stands where it stood not before: new, or further.
        RunRecorded(Run) = 810 version 1,
        /// An event was stated for the first time.
        EventCreated(Event) = 820 version 1,
        /// An event is stated otherwise than before, or again after it was missing.
        EventUpdated(Event) = 821 version 1,
        /// An event is missing from its provider's feed.
        EventVanished(Event) = 822 version 1,
    }
    older {}
}

/// Who states events, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Its slug; it never changes.
    pub name: String,
    /// Where its feed is.
    pub url: String,
    /// The form of its feed.
    pub format: Format,
    /// How long after a run the next one begins.
    pub interval_seconds: u32,
    /// How long a fetch may take.
    pub timeout_seconds: u32,
    /// In which IANA time zone its times without an offset are.
    pub time_zone: String,
    /// In which currency its prices are.
    pub currency: Currency,
    /// What is sent with each fetch.
    pub headers: Vec<SealedHeader>,
    /// Whether it is synced.
    pub active: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// The form of a feed. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Format {
    /// XML: `planList` / `output` / `base_plan` / `plan` / `zone`.
    #[default]
    PlanlistXml,
}

impl Format {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::PlanlistXml => "planlist-xml",
        }
    }
}

/// A header of a request, whose value only the server can read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedHeader {
    /// Its name, in lower case.
    pub name: String,
    /// Its value, sealed.
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for SealedHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One statement of a provider, carried over or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The name of the provider.
    pub provider: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for, or begun.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// When this was decided.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// What was found.
    pub counts: Counts,
    /// What was wrong, at most [`super::command::PROBLEMS_MAX`].
    pub problems: Vec<RunProblem>,
    /// The hash of everything that the feed states; nothing where none was read.
    pub digest: Option<[u8; 32]>,
    /// What the provider gave to ask for changes alone.
    pub validators: Option<Validators>,
}

/// Where a run stands. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunState {
    /// Somebody has asked for it.
    Requested,
    /// It writes.
    Running,
    /// It wrote what was new.
    Finished,
    /// The feed states what it stated last time.
    Unchanged,
    /// It came to nothing: what was there is there.
    Failed,
    /// It would lose many events: an operator decides.
    Held,
    /// An operator accepts the loss: the next run may do it.
    Accepted,
    /// What was held is set aside.
    Discarded,
}

impl RunState {
    /// Every state.
    pub const ALL: [RunState; 8] = [
        RunState::Requested,
        RunState::Running,
        RunState::Finished,
        RunState::Unchanged,
        RunState::Failed,
        RunState::Held,
        RunState::Accepted,
        RunState::Discarded,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunState::Requested => "requested",
            RunState::Running => "running",
            RunState::Finished => "finished",
            RunState::Unchanged => "unchanged",
            RunState::Failed => "failed",
            RunState::Held => "held",
            RunState::Accepted => "accepted",
            RunState::Discarded => "discarded",
        }
    }

    /// Whether such a run goes on by itself.
    pub const fn is_open(self) -> bool {
        matches!(self, RunState::Requested | RunState::Running)
    }

    /// Whether such a run has read the whole feed and carried it over.
    pub const fn is_success(self) -> bool {
        matches!(self, RunState::Finished | RunState::Unchanged)
    }
}

/// What a run found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// The feed's bytes.
    pub bytes: u64,
    /// The events that the feed states.
    pub events: u64,
    /// Those that are new.
    pub created: u64,
    /// Those that are stated otherwise than before.
    pub updated: u64,
    /// Those that were there and are missing.
    pub missing: u64,
    /// Events that were stated more than once.
    pub duplicates: u64,
    /// Events, plans and zones that could not be read.
    pub skipped: u64,
}

/// Something that was wrong in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProblem {
    /// Stable, in kebab-case.
    pub code: String,
    /// One sentence for a person.
    pub detail: String,
}

/// What a provider gives with a feed, to be asked for changes alone (RFC 9110, section 8.8).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// An event, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The name of the provider.
    pub provider: String,
    /// The provider's id of it.
    pub external_id: String,
    /// For people.
    pub title: String,
    /// How it is sold; nothing where the provider says something unknown.
    pub sell_mode: Option<SellMode>,
    /// The provider's id of who organises it.
    pub organizer: Option<String>,
    /// Whether it was ever sold online.
    pub ever_online: bool,
    /// In which currency its prices are.
    pub currency: Currency,
    /// When it takes place; those that are missing from the feed too.
    pub plans: Vec<Plan>,
    /// When it was stated first.
    #[serde(with = "micros")]
    pub first_seen_at: Timestamp,
    /// Since when it is missing from the feed.
    pub gone: Option<Gone>,
    /// The hash of what was stated last.
    pub digest: [u8; 32],
}

/// How an event is sold. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SellMode {
    /// Online.
    Online,
    /// Not online.
    Offline,
}

impl SellMode {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            SellMode::Online => "online",
            SellMode::Offline => "offline",
        }
    }

    /// The one that a feed means, whatever its case.
    pub fn from_name(name: &str) -> Option<Self> {
        [SellMode::Online, SellMode::Offline]
            .into_iter()
            .find(|mode| name.eq_ignore_ascii_case(mode.as_str()))
    }
}

/// That an event is missing from its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// When that was found.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// When it was stated last.
    #[serde(with = "micros")]
    pub last_seen_at: Timestamp,
}

/// When an event takes place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The provider's id of it, within the event.
    pub id: String,
    /// When it starts.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// When it ends; providers state ends before starts.
    #[serde(with = "micros")]
    pub ends_at: Timestamp,
    /// Since when it is sold.
    #[serde(with = "micros::option")]
    pub sell_from: Option<Timestamp>,
    /// Until when it is sold.
    #[serde(with = "micros::option")]
    pub sell_to: Option<Timestamp>,
    /// Whether nothing is left.
    pub sold_out: bool,
    /// Whether it is missing from the feed.
    pub vanished: bool,
    /// Where one can sit.
    pub zones: Vec<Zone>,
}

/// Where one can sit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The provider's id of it, within the plan.
    pub id: String,
    /// For people.
    pub name: String,
    /// How many can.
    pub capacity: u32,
    /// What it costs, in minor units; nothing where the provider does not say.
    pub price: Option<i64>,
    /// Whether the seats have numbers.
    pub numbered: bool,
    /// Whether it is missing from the feed.
    pub vanished: bool,
}

impl Event {
    /// From the earliest start to the latest end of its plans; nothing without a plan.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let start = self.plans.iter().map(|plan| plan.starts_at).min()?;
        let end = self.plans.iter().map(|plan| plan.ends_at).max()?;
        Some((start, end))
    }

    /// The smallest and the greatest price of its zones; nothing where none has a price.
    pub fn prices(&self) -> Option<(i64, i64)> {
        let prices = || self.plans.iter().flat_map(|plan| &plan.zones).filter_map(|zone| zone.price);
        Some((prices().min()?, prices().max()?))
    }
}
