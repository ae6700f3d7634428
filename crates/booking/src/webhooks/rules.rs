//! How commands on webhooks are answered.

use std::collections::BTreeMap;
use std::time::Duration;

use maitred_core::{
    At, ChangeId, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Timestamp,
    Undecodable, Write,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::{
    Command, CreateWebhook, Failed, OVERLAP_HOURS_MAX, UpdateWebhook, validate_create, validate_update,
};
use super::fact::{
    Cursor, CursorsKept, DeliveryDied, DeliveryFailed, Disabled, DisabledReason, Endpoint, EndpointRecovered,
    Fact, Lane, LaneMoved, Place, Previous, RecordKey, Replay, ReplayBegun, RetryAsked,
};
use super::view::{self, Dead, State};
use crate::flash_sales::Versioned;
use crate::record::{self, ChangeType};
use crate::timer::{self, Timer, TimerKind};
use crate::violation::refuse_any;
use crate::{Booking, encoding};

/// The most webhooks of a tenant.
pub const WEBHOOKS_MAX: usize = 50;
/// How often a change is tried before it is a dead letter.
pub const ATTEMPTS_MAX: u32 = 10;
/// The most lanes of an endpoint. Nothing further of its feed is begun while it has so many.
pub const LANES_MAX: u32 = 1_000;
/// The most dead letters of an endpoint: with so many it is disabled.
pub const DEAD_MAX: u32 = 10_000;
/// The most dead letters that are sent again at once.
pub const RETRIED_MAX: usize = 500;
/// An endpoint that has failed for so long without a success is disabled.
pub const FAILING_MAX: Duration = Duration::from_secs(5 * 24 * 60 * 60);
/// The most cursors of a command that keeps them.
pub const CURSORS_MAX: usize = 1_000;

/// The rules of webhooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What whoever asked is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The endpoint as it is now.
    Endpoint {
        /// Whether it is new.
        created: bool,
        /// The endpoint.
        endpoint: Box<Versioned<Endpoint>>,
    },
    /// The delivery is noted.
    Noted,
    /// Dead letters are sent again.
    Retried {
        /// How many.
        retried: u32,
        /// How many dead letters there are still.
        left: u32,
    },
}

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        match command {
            Command::Create(create) => self::create(view, create, cx),
            Command::Update(update) => self::update(view, update, cx),
            Command::Delete { endpoint, if_version } => delete(view, *endpoint, *if_version, cx),
            Command::RotateSecret { endpoint, secret, overlap_hours } => {
                let found = wanted(view, *endpoint, None, cx)?;
                let hours = i64::from((*overlap_hours).min(OVERLAP_HOURS_MAX));
                let until = later(cx.timestamp, Duration::from_secs(hours.unsigned_abs() * 3_600));
                let old = found.is.secret.clone();
                let previous = (hours > 0).then_some(Previous { secret: old, until });
                let is = Endpoint { secret: secret.clone(), previous, ..found.is };
                Ok(changed(Fact::WebhookUpdated, found.version, is, cx))
            }
            Command::Retry { endpoint, change } => retry(view, *endpoint, *change, cx),
            Command::RetryDead { endpoint } => retry_dead(view, *endpoint, cx),
            Command::Replay { endpoint, after, to } => replay(view, *endpoint, (*after, *to), cx),
            Command::DropPrevious { endpoint } => {
                let Some(found) = view::endpoint(view, cx.tenant, *endpoint, None) else {
                    return Ok(noted([]));
                };
                match &found.is.previous {
                    Some(previous) if previous.until <= cx.timestamp => {
                        let is = Endpoint { previous: None, ..found.is };
                        Ok(changed(Fact::WebhookUpdated, found.version, is, cx))
                    }
                    _ => Ok(noted([])),
                }
            }
            Command::KeepCursors(cursors) => Ok(keep(view, cursors, cx)),
            Command::Fail(failed) => fail(view, failed, cx),
            Command::Deliver { endpoint, record, change, through } => {
                Ok(deliver(view, (*endpoint, *record), *change, *through, cx))
            }
            Command::Recover { endpoint } => {
                let state = view::state(view, cx.tenant, *endpoint);
                let failing = state.is_some_and(|state| state.failing_since.is_some());
                let fact = Fact::EndpointRecovered(EndpointRecovered { endpoint: *endpoint });
                Ok(noted(failing.then_some(fact)))
            }
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        match fact {
            Fact::WebhookCreated(endpoint) => put_endpoint(view, ChangeType::Created, endpoint, at),
            Fact::WebhookUpdated(endpoint) | Fact::WebhookDisabled(endpoint) => {
                put_endpoint(view, ChangeType::Updated, endpoint, at);
            }
            Fact::WebhookDeleted(endpoint) => put_endpoint(view, ChangeType::Deleted, endpoint, at),
            Fact::CursorsKept(CursorsKept { cursors }) => {
                cursors.iter().for_each(|cursor| put_cursor(view, cursor));
            }
            Fact::DeliveryFailed(failed) => {
                touch(view, at, failed.endpoint, |view, state| {
                    let place = (at.tenant, failed.endpoint, failed.record);
                    grow(&mut state.lanes, view::put_lane(view, place, Some(&failed.lane)));
                    state.failing_since.get_or_insert(at.timestamp);
                });
            }
            Fact::LaneDelivered(moved) => touch(view, at, moved.endpoint, |view, state| {
                let place = (at.tenant, moved.endpoint, moved.record);
                grow(&mut state.lanes, view::put_lane(view, place, moved.lane.as_ref()));
                state.failing_since = None;
            }),
            Fact::DeliveryDied(died) => touch(view, at, died.endpoint, |view, state| {
                let place = (at.tenant, died.endpoint, died.record);
                grow(&mut state.lanes, view::put_lane(view, place, died.lane.as_ref()));
                let dead = Dead { record: died.record, lane: died.dead.clone() };
                let place = (at.tenant, died.endpoint, died.dead.change);
                grow(&mut state.dead, view::put_dead(view, place, Some(&dead)));
                state.failing_since.get_or_insert(at.timestamp);
            }),
            Fact::EndpointRecovered(EndpointRecovered { endpoint }) => {
                touch(view, at, *endpoint, |_, state| state.failing_since = None);
            }
            Fact::RetryAsked(asked) => touch(view, at, asked.endpoint, |view, state| {
                let place = (at.tenant, asked.endpoint, asked.record);
                grow(&mut state.lanes, view::put_lane(view, place, Some(&asked.lane)));
                let place = (at.tenant, asked.endpoint, asked.change);
                grow(&mut state.dead, view::put_dead(view, place, None));
            }),
            Fact::ReplayBegun(ReplayBegun { endpoint, replay }) => {
                touch(view, at, *endpoint, |_, state| state.replay = Some(*replay));
            }
        }
    }
}

// ---- what clients ask for -------------------------------------------------------------------------------

fn create(view: &dyn Read, create: &CreateWebhook, cx: &Context) -> Decided {
    refuse_any(&validate_create(create))?;
    if view::count(view, cx.tenant) >= WEBHOOKS_MAX {
        let detail = format!("The tenant has {WEBHOOKS_MAX} webhooks already.");
        return Err(Rejection::new(Class::TooMany, "too-many-webhooks", detail));
    }
    if record::current(view, view::record_of(cx.tenant, create.id)).is_some() {
        return Err(Rejection::conflict("id-taken", "There is a webhook of this id already."));
    }
    let CreateWebhook { id, url, description, kinds, types, active, secret } = create.clone();
    let (disabled, previous, created_at) = (None, None, cx.timestamp);
    let is = Endpoint {
        id,
        url,
        description,
        kinds,
        types,
        active,
        disabled,
        secret,
        previous,
        deleted: false,
        created_at,
    };
    let endpoint = Box::new(Versioned { version: 1, updated_at: cx.timestamp, is: is.clone() });
    Ok(Decision {
        facts: vec![Fact::WebhookCreated(is)],
        outcome: Outcome::Endpoint { created: true, endpoint },
    })
}

fn update(view: &dyn Read, update: &UpdateWebhook, cx: &Context) -> Decided {
    refuse_any(&validate_update(update))?;
    let found = wanted(view, update.endpoint, update.if_version, cx)?;
    let UpdateWebhook { url, description, kinds, types, active, .. } = update.clone();
    let was = found.is.clone();
    let is = Endpoint {
        url: url.unwrap_or(found.is.url),
        description: description.unwrap_or(found.is.description),
        kinds: kinds.unwrap_or(found.is.kinds),
        types: types.unwrap_or(found.is.types),
        active: active.unwrap_or(found.is.active),
        disabled: if active == Some(true) { None } else { found.is.disabled },
        ..was.clone()
    };
    if is == was {
        let endpoint = Box::new(Versioned { is, ..found });
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::Endpoint { created: false, endpoint } });
    }
    Ok(changed(Fact::WebhookUpdated, found.version, is, cx))
}

fn delete(view: &dyn Read, endpoint: Uuid, if_version: Option<u64>, cx: &Context) -> Decided {
    let found = wanted(view, endpoint, if_version, cx)?;
    let is = Endpoint { deleted: true, active: false, ..found.is };
    Ok(changed(Fact::WebhookDeleted, found.version, is, cx))
}

fn retry(view: &dyn Read, endpoint: Uuid, change: ChangeId, cx: &Context) -> Decided {
    let found = wanted(view, endpoint, None, cx)?;
    let record = view::with_change(view, cx.tenant, change, |change| {
        let wanted = found.is.wants(change.record.kind.as_str(), change.change_type.as_str());
        wanted.then(|| view::record_key(change.record))
    });
    let Some(record) = record.flatten() else {
        let detail = "The webhook has no delivery of this id.";
        return Err(Rejection::new(Class::Absent, "delivery-not-found", detail));
    };
    let change = Place::from(change);
    let lane = match view::lane(view, cx.tenant, endpoint, record) {
        // It comes after the one that fails; which is tried now.
        Some(lane) if lane.change < change => Lane { next_at: cx.timestamp, ..lane },
        _ => Lane { change, attempts: 0, next_at: cx.timestamp, last: None },
    };
    let fact = Fact::RetryAsked(RetryAsked { endpoint, record, change, lane });
    Ok(noted([fact]))
}

/// In the order of the log, the earliest of a record first, what came later behind it. They take no more than half of the
/// lanes, for the feed goes on beside them. What the filter does not want any more is let go when its turn comes.
fn retry_dead(view: &dyn Read, endpoint: Uuid, cx: &Context) -> Decided {
    let found = wanted(view, endpoint, None, cx)?;
    if !found.is.delivers() {
        return Err(inactive());
    }
    let state = view::state(view, cx.tenant, endpoint).ok_or_else(not_found)?;
    let (mut facts, mut lanes, mut count) = (Vec::new(), BTreeMap::new(), state.lanes);
    for Dead { record, lane: dead } in view::dead_letters(view, cx.tenant, endpoint, None, RETRIED_MAX) {
        let known = lanes.get(&record).cloned().or_else(|| view::lane(view, cx.tenant, endpoint, record));
        let lane = match known {
            Some(lane) if lane.change < dead.change => Lane { next_at: cx.timestamp, ..lane },
            None if count >= LANES_MAX / 2 => break,
            known => {
                count += u32::from(known.is_none());
                fresh(dead.change, cx)
            }
        };
        lanes.insert(record, lane.clone());
        facts.push(Fact::RetryAsked(RetryAsked { endpoint, record, change: dead.change, lane }));
    }
    let retried = u32::try_from(facts.len()).unwrap_or(u32::MAX);
    let outcome = Outcome::Retried { retried, left: state.dead.saturating_sub(retried) };
    Ok(Decision { facts, outcome })
}

fn replay(view: &dyn Read, endpoint: Uuid, (after, to): (ChangeId, ChangeId), cx: &Context) -> Decided {
    let found = wanted(view, endpoint, None, cx)?;
    if !found.is.delivers() {
        return Err(inactive());
    }
    let state = view::state(view, cx.tenant, endpoint).ok_or_else(not_found)?;
    if state.replay.is_some() {
        let detail = "The webhook is still sending an earlier range again.";
        return Err(Rejection::conflict("replay-under-way", detail));
    }
    // What lies behind the cursor comes anyway.
    let to = Place::from(to).min(state.through);
    if Place::from(after) >= to {
        return Ok(noted([]));
    }
    let replay = Replay { through: after.into(), to };
    Ok(noted([Fact::ReplayBegun(ReplayBegun { endpoint, replay })]))
}

fn inactive() -> Rejection {
    Rejection::conflict("webhook-inactive", "The webhook delivers nothing; set active to true first.")
}

// ---- what became of deliveries --------------------------------------------------------------------------

fn keep(view: &dyn Read, cursors: &[Cursor], cx: &Context) -> Decision<Fact, Outcome> {
    assert_eq!(cx.tenant, TenantNumber::SYSTEM, "the cursors of all endpoints belong to the system tenant");
    let moves = |cursor: &&Cursor| {
        let state = view::state(view, TenantNumber(cursor.tenant), cursor.endpoint);
        state.is_some_and(|state| {
            let replayed = state.replay.map(|replay| replay.through);
            cursor.through > state.through || (replayed.is_some() && cursor.replayed > replayed)
        })
    };
    let cursors: Vec<Cursor> = cursors.iter().filter(moves).copied().take(CURSORS_MAX).collect();
    noted((!cursors.is_empty()).then_some(Fact::CursorsKept(CursorsKept { cursors })))
}

fn fail(view: &dyn Read, failed: &Failed, cx: &Context) -> Decided {
    let Failed { endpoint, record, change, attempt, next_at, through, gone } = failed.clone();
    let Some(found) = view::endpoint(view, cx.tenant, endpoint, None) else { return Ok(noted([])) };
    let Some(state) = view::state(view, cx.tenant, endpoint) else { return Ok(noted([])) };
    let place = Place::from(change);
    let attempts = match view::lane(view, cx.tenant, endpoint, record) {
        // The lane stands for this change already, and has an earlier one to deliver.
        Some(lane) if lane.change < place => return Ok(noted([])),
        Some(lane) if lane.change == place => lane.attempts + 1,
        Some(_) => 1,
        None if state.lanes >= LANES_MAX => {
            let detail = format!("{LANES_MAX} records have changes that could not be delivered.");
            return Err(Rejection::new(Class::TooMany, "too-many-failing", detail));
        }
        None => 1,
    };
    let lane = Lane { change: place, attempts, next_at, last: Some(attempt) };
    let mut facts = Vec::new();
    let mut reason = gone.then_some(DisabledReason::Gone);
    if attempts >= ATTEMPTS_MAX {
        let next = view::next_wanted(view, &found.is, (cx.tenant, record), change, through);
        let next = next.map(|change| fresh(change, cx));
        facts.push(Fact::DeliveryDied(DeliveryDied { endpoint, record, dead: lane, lane: next }));
        if state.dead + 1 >= DEAD_MAX {
            reason = reason.or(Some(DisabledReason::DeadLetters));
        }
    } else {
        facts.push(Fact::DeliveryFailed(DeliveryFailed { endpoint, record, lane }));
    }
    if state.failing_since.is_some_and(|since| cx.timestamp >= later(since, FAILING_MAX)) {
        reason = reason.or(Some(DisabledReason::Failing));
    }
    if let Some(reason) = reason.filter(|_| found.is.delivers()) {
        let disabled = Some(Disabled { reason, at: cx.timestamp });
        facts.push(Fact::WebhookDisabled(Endpoint { disabled, ..found.is }));
    }
    Ok(noted(facts))
}

fn deliver(
    view: &dyn Read,
    (endpoint, record): (Uuid, RecordKey),
    change: ChangeId,
    through: ChangeId,
    cx: &Context,
) -> Decision<Fact, Outcome> {
    let found = view::endpoint(view, cx.tenant, endpoint, None);
    let lane = view::lane(view, cx.tenant, endpoint, record);
    let (Some(found), Some(lane)) = (found, lane) else { return noted([]) };
    if lane.change != Place::from(change) {
        return noted([]);
    }
    let next = view::next_wanted(view, &found.is, (cx.tenant, record), change, through);
    let lane = next.map(|change| fresh(change, cx));
    noted([Fact::LaneDelivered(LaneMoved { endpoint, record, lane })])
}

// ---- helpers --------------------------------------------------------------------------------------------

fn wanted(
    view: &dyn Read,
    endpoint: Uuid,
    if_version: Option<u64>,
    cx: &Context,
) -> Result<Versioned<Endpoint>, Rejection> {
    let found = view::endpoint(view, cx.tenant, endpoint, None).ok_or_else(not_found)?;
    match if_version {
        Some(wanted) if wanted != found.version => {
            let detail = format!("The current version is {}, not {wanted}.", found.version);
            Err(Rejection::new(Class::Precondition, "version-mismatch", detail))
        }
        _ => Ok(found),
    }
}

fn not_found() -> Rejection {
    Rejection::new(Class::Absent, "webhook-not-found", "There is no such webhook.")
}

fn changed(
    fact: impl FnOnce(Endpoint) -> Fact,
    version: u64,
    is: Endpoint,
    cx: &Context,
) -> Decision<Fact, Outcome> {
    let endpoint = Box::new(Versioned { version: version + 1, updated_at: cx.timestamp, is: is.clone() });
    Decision { facts: vec![fact(is)], outcome: Outcome::Endpoint { created: false, endpoint } }
}

fn noted(facts: impl IntoIterator<Item = Fact>) -> Decision<Fact, Outcome> {
    Decision { facts: facts.into_iter().collect(), outcome: Outcome::Noted }
}

/// A lane whose change was not tried yet.
fn fresh(change: Place, cx: &Context) -> Lane {
    Lane { change, attempts: 0, next_at: cx.timestamp, last: None }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.as_micros().saturating_add(by))
}

fn grow(count: &mut u32, by: i32) {
    *count = count.saturating_add_signed(by);
}

fn put_endpoint(view: &mut dyn Write, change_type: ChangeType, endpoint: &Endpoint, at: At) {
    let timer = |due| Timer { due, kind: TimerKind::WebhookSecretEnd, tenant: at.tenant, id: endpoint.id };
    let superseded =
        record::put_version(view, view::record_of(at.tenant, endpoint.id), change_type, at, endpoint);
    let was = superseded.map(|superseded| superseded.version().decode::<Endpoint>());
    if let Some(previous) = was.as_ref().and_then(|was| was.previous.as_ref()) {
        timer::remove(view, &timer(previous.until));
    }
    if endpoint.deleted {
        view::delete_state(view, at.tenant, endpoint.id);
        return;
    }
    if let Some(previous) = &endpoint.previous {
        timer::put(view, &timer(previous.until));
    }
    let touched = Place { seq: at.seq, ordinal: at.ordinal };
    let resumed = was.as_ref().is_some_and(|was| !was.delivers()) && endpoint.delivers();
    let state = match view::state(view, at.tenant, endpoint.id) {
        // Whoever activates it again gives it its time again.
        Some(state) if resumed => State { failing_since: None, touched, ..state },
        Some(state) => State { touched, ..state },
        None => State { through: touched, replay: None, failing_since: None, lanes: 0, dead: 0, touched },
    };
    view::put_state(view, at.tenant, endpoint.id, &state);
}

fn put_cursor(view: &mut dyn Write, cursor: &Cursor) {
    let tenant = TenantNumber(cursor.tenant);
    let Some(mut state) = view::state(view, tenant, cursor.endpoint) else { return };
    state.through = state.through.max(cursor.through);
    if let (Some(replay), Some(replayed)) = (&mut state.replay, cursor.replayed) {
        replay.through = replay.through.max(replayed);
    }
    state.replay = state.replay.filter(|replay| replay.through < replay.to);
    view::put_state(view, tenant, cursor.endpoint, &state);
}

/// Changes what is kept of an endpoint that is there.
fn touch(view: &mut dyn Write, at: At, endpoint: Uuid, change: impl FnOnce(&mut dyn Write, &mut State)) {
    let Some(mut state) = view::state(view, at.tenant, endpoint) else { return };
    change(view, &mut state);
    state.touched = Place { seq: at.seq, ordinal: at.ordinal };
    view::put_state(view, at.tenant, endpoint, &state);
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a webhook's command")
    }
}
