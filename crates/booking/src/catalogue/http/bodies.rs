//! Providers, runs and events as the native API shows them.

use maitred_core::Timestamp;
use maitred_web::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::catalogue::fact::{Counts, Event, Plan, Provider, Run, Zone};
use crate::catalogue::view::{ProviderState, Versioned};
use crate::money::Currency;

/// Who states events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderBody {
    id: Uuid,
    /// Its name in paths.
    name: String,
    /// Where its feed is.
    url: String,
    /// The form of its feed: `planlist-xml`.
    format: &'static str,
    /// How long after a run the next one begins.
    interval_seconds: u32,
    /// How long a fetch may take.
    timeout_seconds: u32,
    /// In which time zone its times without an offset are.
    time_zone: String,
    /// In which currency its prices are.
    currency: String,
    /// The names of the headers that are sent with each fetch. Their values are never shown.
    header_names: Vec<String>,
    /// Whether it is synced.
    active: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Provider>> for ProviderBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Provider>) -> Self {
        ProviderBody {
            id: is.id,
            name: is.name,
            url: is.url,
            format: is.format.as_str(),
            interval_seconds: is.interval_seconds,
            timeout_seconds: is.timeout_seconds,
            time_zone: is.time_zone,
            currency: is.currency.as_str().to_owned(),
            header_names: is.headers.into_iter().map(|header| header.name).collect(),
            active: is.active,
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A provider, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderStatus {
    #[serde(flatten)]
    provider: ProviderBody,
    /// How many events its feed states.
    events: u64,
    /// How many events it stated once and states no more.
    vanished_events: u64,
    /// When its last run ended; null where the next one is due at once.
    last_run_at: Option<Time>,
    /// When its feed was last carried over as a whole.
    last_success_at: Option<Time>,
    /// The runs since then that came to nothing.
    failures: u32,
    /// The run that is asked for, or writes.
    open_run: Option<Uuid>,
    /// The run that waits for an operator.
    held_run: Option<Uuid>,
}

impl ProviderStatus {
    /// What is there now.
    pub fn new(provider: Versioned<Provider>, state: &ProviderState) -> Self {
        ProviderStatus {
            provider: provider.into(),
            events: state.events,
            vanished_events: state.vanished,
            last_run_at: state.last_run_at.map(Time),
            last_success_at: state.last_success_at.map(Time),
            failures: state.failures,
            open_run: state.open_run.map(Uuid::from_bytes),
            held_run: state.held_run.map(Uuid::from_bytes),
        }
    }
}

/// One statement of a provider, carried over or not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueRun)]
pub struct RunBody {
    id: Uuid,
    /// The name of the provider.
    provider: String,
    /// `requested`, `running`, `finished`, `unchanged` (the feed stated what it stated before), `failed`, `held` (it would
    /// lose many events: an operator decides), `accepted` or `discarded`.
    state: &'static str,
    created_at: Time,
    /// When it came to stand there.
    updated_at: Time,
    counts: CountsBody,
    /// What was wrong; the first ones.
    problems: Vec<RunProblemBody>,
}

/// What a run found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueRunCounts)]
pub struct CountsBody {
    /// The feed's bytes.
    bytes: u64,
    /// The events that the feed states.
    events: u64,
    /// Those that are new.
    created: u64,
    /// Those that are stated otherwise than before.
    updated: u64,
    /// Those that were there and are missing.
    missing: u64,
    /// Statements of an event beyond its first: they are merged, the last attributes count.
    duplicates: u64,
    /// Events, plans and zones that could not be read.
    skipped: u64,
}

/// Something that was wrong in a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueRunProblem)]
pub struct RunProblemBody {
    /// Stable, in kebab-case.
    code: String,
    /// One sentence.
    detail: String,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        let Counts { bytes, events, created, updated, missing, duplicates, skipped } = run.counts;
        let problems = run.problems.into_iter();
        RunBody {
            id: run.id,
            provider: run.provider,
            state: run.state.as_str(),
            created_at: Time(run.created_at),
            updated_at: Time(run.updated_at),
            counts: CountsBody { bytes, events, created, updated, missing, duplicates, skipped },
            problems: problems
                .map(|found| RunProblemBody { code: found.code, detail: found.detail })
                .collect(),
        }
    }
}

/// An event as a search shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventFound)]
pub struct EventRow {
    id: Uuid,
    /// The name of the provider.
    provider: String,
    /// The provider's id of it.
    external_id: String,
    title: String,
    /// The earliest start of its plans.
    starts_at: Time,
    /// The latest end of its plans.
    ends_at: Time,
    /// The smallest price of its zones.
    min_price: Option<EventPrice>,
    /// The greatest price of its zones.
    max_price: Option<EventPrice>,
    /// Whether every plan is.
    sold_out: bool,
    /// Whether it is missing from its provider's feed.
    vanished: bool,
}

/// A concert or a show, with everything that its provider states.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    id: Uuid,
    /// The name of the provider.
    provider: String,
    /// The provider's id of it.
    external_id: String,
    title: String,
    /// `online` or `offline`; null where the provider says something else.
    sell_mode: Option<&'static str>,
    /// The provider's id of who organises it.
    organizer: Option<String>,
    /// Whether it was ever sold online.
    ever_online: bool,
    /// The earliest start of its plans; null without a plan.
    starts_at: Option<Time>,
    /// The latest end of its plans.
    ends_at: Option<Time>,
    /// The smallest price of its zones; null without a price.
    min_price: Option<EventPrice>,
    /// The greatest price of its zones.
    max_price: Option<EventPrice>,
    /// When it takes place; those that are missing from the feed too.
    plans: Vec<PlanBody>,
    /// When it was stated first.
    first_seen_at: Time,
    /// Since when it is missing from the feed.
    vanished_at: Option<Time>,
    /// From 1.
    version: u64,
    /// When this version was decided.
    updated_at: Time,
}

/// A price of an event; a provider may state one below zero.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPrice {
    /// In minor units: cents, say.
    amount: i64,
    /// An ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

/// When an event takes place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPlan)]
pub struct PlanBody {
    /// The provider's id of it, within the event.
    id: String,
    starts_at: Time,
    /// Providers state ends before starts.
    ends_at: Time,
    /// Since when it is sold.
    sell_from: Option<Time>,
    /// Until when it is sold.
    sell_to: Option<Time>,
    /// Whether nothing is left.
    sold_out: bool,
    /// Whether it is missing from the feed.
    vanished: bool,
    zones: Vec<ZoneBody>,
}

/// Where one can sit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventZone)]
pub struct ZoneBody {
    /// The provider's id of it, within the plan.
    id: String,
    name: String,
    /// How many can.
    capacity: u32,
    /// What it costs; null where the provider does not say.
    price: Option<EventPrice>,
    /// Whether the seats have numbers.
    numbered: bool,
    /// Whether it is missing from the feed.
    vanished: bool,
}

/// An event, and when it was stated last.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventSeen {
    #[serde(flatten)]
    event: EventBody,
    /// When its provider stated it last.
    last_seen_at: Time,
}

impl EventSeen {
    /// What is there.
    pub fn new(event: Versioned<Event>, last_seen_at: Timestamp) -> Self {
        EventSeen { event: event.into(), last_seen_at: Time(last_seen_at) }
    }
}

fn price(amount: Option<i64>, currency: Currency) -> Option<EventPrice> {
    amount.map(|amount| EventPrice { amount, currency: currency.as_str().to_owned() })
}

impl From<Versioned<Event>> for EventBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Event>) -> Self {
        let (starts_at, ends_at) = is.span().unzip();
        let (min, max) = is.prices().unzip();
        EventBody {
            id: is.id,
            provider: is.provider,
            external_id: is.external_id,
            title: is.title,
            sell_mode: is.sell_mode.map(crate::catalogue::SellMode::as_str),
            organizer: is.organizer,
            ever_online: is.ever_online,
            starts_at: starts_at.map(Time),
            ends_at: ends_at.map(Time),
            min_price: price(min, is.currency),
            max_price: price(max, is.currency),
            plans: is.plans.into_iter().map(|plan| PlanBody::new(plan, is.currency)).collect(),
            first_seen_at: Time(is.first_seen_at),
            vanished_at: is.gone.map(|gone| Time(gone.at)),
            version,
            updated_at: Time(updated_at),
        }
    }
}

impl PlanBody {
    fn new(plan: Plan, currency: Currency) -> Self {
        PlanBody {
            id: plan.id,
            starts_at: Time(plan.starts_at),
            ends_at: Time(plan.ends_at),
            sell_from: plan.sell_from.map(Time),
            sell_to: plan.sell_to.map(Time),
            sold_out: plan.sold_out,
            vanished: plan.vanished,
            zones: plan.zones.into_iter().map(|zone| ZoneBody::new(zone, currency)).collect(),
        }
    }
}

impl ZoneBody {
    fn new(zone: Zone, currency: Currency) -> Self {
        ZoneBody {
            id: zone.id,
            name: zone.name,
            capacity: zone.capacity,
            price: price(zone.price, currency),
            numbered: zone.numbered,
            vanished: zone.vanished,
        }
    }
}
