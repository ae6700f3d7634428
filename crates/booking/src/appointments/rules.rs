//! How commands on appointments are answered.

use std::ops::ControlFlow;

use maitred_core::{
    At, ChangeId, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Timestamp,
    Undecodable, Write,
};
use serde::{Deserialize, Serialize};

use super::command::{Cancel, Command, Import, Upsert, validate, validate_external_id, validate_import};
use super::fact::{Details, Fact, Imported, ResourceNamed, State};
use super::view::{self, Appointment, Found};
use crate::json::JsonObject;
use crate::name::{self, Counter, NameKind};
use crate::record::{self, ChangeType, RecordId};
use crate::slot::{self, Claim, ResourceNumber, Terms};
use crate::violation::refuse_any;
use crate::{Booking, encoding};

/// The most appointments that a refusal names as being in the way.
pub const CONFLICTS_MAX: usize = 10;

/// The rules of appointments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What the client of an accepted command is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What happened.
    pub effect: Effect,
    /// The appointment as it is now.
    pub appointment: Appointment,
}

/// What an accepted command did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It is new.
    Created,
    /// It has another content, or is back after it was cancelled.
    Updated,
    /// Nothing: what is known is at least as new.
    IgnoredStale,
    /// It is cancelled.
    Cancelled,
    /// A version was taken over.
    Imported,
    /// Nothing: the imported version is here already.
    Unchanged,
}

impl Effect {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::Created => "created",
            Effect::Updated => "updated",
            Effect::IgnoredStale => "ignored_stale",
            Effect::Cancelled => "cancelled",
            Effect::Imported => "imported",
            Effect::Unchanged => "unchanged",
        }
    }
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
            Command::Upsert(command) => upsert(view, command, cx),
            Command::Cancel(command) => cancel(view, command, cx),
            Command::Import(command) => import(view, command, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        match fact {
            Fact::ResourceNamed(named) => {
                name::put(view, at.tenant, NameKind::Resource, named.number, &named.name);
                name::set_counter(view, at.tenant, Counter::Resources, 0, u64::from(named.number));
            }
            Fact::AppointmentCreated(state) => apply_state(view, ChangeType::Created, state, at),
            Fact::AppointmentUpdated(state) => apply_state(view, ChangeType::Updated, state, at),
            Fact::AppointmentCancelled(state) => apply_state(view, ChangeType::Cancelled, state, at),
            Fact::AppointmentImported(Imported { version, received_at, state }) => {
                let change_type = match (state.cancelled, version) {
                    (true, _) => ChangeType::Cancelled,
                    (false, 1) => ChangeType::Created,
                    (false, _) => ChangeType::Updated,
                };
                // The record remembers when its version was decided first, not when it was taken over.
                apply_state(view, change_type, state, At { timestamp: *received_at, ..at });
            }
        }
    }
}

fn upsert(view: &dyn Read, command: &Upsert, cx: &Context) -> Decided {
    refuse_any(&validate(command))?;
    let record = view::record_id(cx.tenant, &command.external_id);
    let found = view::find(view, record, &command.external_id)?;
    check_version(&found, command.if_version)?;
    if command.if_none_match_any && found.is_some() {
        let detail = "There is an appointment of this external id already.";
        return Err(Rejection::new(Class::Precondition, "already-exists", detail));
    }
    if let Some(found) = &found
        && found.state.updated_at >= command.updated_at
    {
        return Ok(ignored_stale(view, cx.tenant, found));
    }
    let known = name::number(view, cx.tenant, NameKind::Resource, &command.resource)?;
    if let Some(resource) = known {
        check_free(view, record, resource, &command.resource, (command.starts_at, command.ends_at))?;
    }

    let mut facts = Vec::with_capacity(2);
    let resource = known.unwrap_or_else(|| {
        let number = name::next_number(view, cx.tenant, Counter::Resources);
        facts.push(Fact::ResourceNamed(ResourceNamed { number, name: command.resource.clone() }));
        number
    });
    let state = State {
        id: found.as_ref().map_or_else(|| cx.ids.next(), |found| found.state.id),
        external_id: command.external_id.clone(),
        updated_at: command.updated_at,
        cancelled: false,
        details: Some(Details {
            resource,
            starts_at: command.starts_at,
            ends_at: command.ends_at,
            created_at: command.created_at,
            title: command.title.clone(),
            metadata: command.metadata.as_ref().map(|metadata| metadata.as_str().to_owned()),
        }),
    };
    let effect = if found.is_some() { Effect::Updated } else { Effect::Created };
    let outcome = outcome(effect, &found, &state, Some(&command.resource), cx);
    facts.push(match effect {
        Effect::Created => Fact::AppointmentCreated(state),
        _ => Fact::AppointmentUpdated(state),
    });
    Ok(Decision { facts, outcome })
}

/// Cancels once more what is cancelled already, if it is newer: a write older than the last word stays stale.
fn cancel(view: &dyn Read, command: &Cancel, cx: &Context) -> Decided {
    refuse_any(&validate_external_id(&command.external_id))?;
    let record = view::record_id(cx.tenant, &command.external_id);
    let found = view::find(view, record, &command.external_id)?;
    check_version(&found, command.if_version)?;
    let state = match &found {
        Some(found) if found.state.updated_at >= command.updated_at => {
            return Ok(ignored_stale(view, cx.tenant, found));
        }
        Some(found) => State { updated_at: command.updated_at, cancelled: true, ..found.state.to_owned() },
        None => State {
            id: cx.ids.next(),
            external_id: command.external_id.clone(),
            updated_at: command.updated_at,
            cancelled: true,
            details: None,
        },
    };
    let resource =
        state.details.as_ref().map(|details| view::resource_name(view, cx.tenant, details.resource));
    let outcome = outcome(Effect::Cancelled, &found, &state, resource, cx);
    Ok(Decision { facts: vec![Fact::AppointmentCancelled(state)], outcome })
}

/// Takes a version over if it is the next one, and the time it claims is free.
fn import(view: &dyn Read, command: &Import, cx: &Context) -> Decided {
    refuse_any(&validate_import(command))?;
    let record = view::record_id(cx.tenant, &command.external_id);
    let found = view::find(view, record, &command.external_id)?;
    let newest = found.as_ref().map_or(0, |found| found.version.version);
    if command.version <= newest {
        return import_known(view, record, command);
    }
    if command.version > newest + 1 {
        let detail = format!("The newest version here is {newest}; those before this one are missing.");
        return Err(Rejection::conflict("version-missing", detail));
    }
    if let Some(found) = &found {
        if found.state.id != command.id {
            return Err(version_differs());
        }
        if found.state.updated_at >= command.updated_at {
            let detail = "updated_at must be newer than in the version before.";
            return Err(Rejection::conflict("version-not-newer", detail));
        }
    }
    let mut facts = Vec::with_capacity(2);
    let mut details = None;
    if let Some(imported) = &command.details {
        let known = name::number(view, cx.tenant, NameKind::Resource, &imported.resource)?;
        if let Some(resource) = known
            && !command.cancelled
        {
            let times = (imported.starts_at, imported.ends_at);
            check_free(view, record, resource, &imported.resource, times)?;
        }
        let resource = known.unwrap_or_else(|| {
            let number = name::next_number(view, cx.tenant, Counter::Resources);
            facts.push(Fact::ResourceNamed(ResourceNamed { number, name: imported.resource.clone() }));
            number
        });
        details = Some(Details {
            resource,
            starts_at: imported.starts_at,
            ends_at: imported.ends_at,
            created_at: imported.created_at,
            title: imported.title.clone(),
            metadata: imported.metadata.as_ref().map(|metadata| metadata.as_str().to_owned()),
        });
    }
    let state = State {
        id: command.id,
        external_id: command.external_id.clone(),
        updated_at: command.updated_at,
        cancelled: command.cancelled,
        details,
    };
    let resource = command.details.as_ref().map(|details| &*details.resource);
    let appointment =
        Appointment::new(command.version, command.received_at, state.borrowed(), resource).to_owned();
    let (version, received_at) = (command.version, command.received_at);
    facts.push(Fact::AppointmentImported(Imported { version, received_at, state }));
    Ok(Decision { facts, outcome: Outcome { effect: Effect::Imported, appointment } })
}

/// An import of a version that is here: the same one, or another.
fn import_known(view: &dyn Read, record: RecordId, command: &Import) -> Decided {
    let mut found = None;
    record::versions(view, record, None, None, &mut |version| {
        if version.version < command.version {
            return ControlFlow::Continue(());
        }
        found = Some(view::from_version(view, record.tenant, &version).to_owned());
        ControlFlow::Break(())
    });
    let appointment = found.expect("versions count without a gap up to the newest");
    if !is_same(&appointment, command) {
        return Err(version_differs());
    }
    Ok(Decision { facts: Vec::new(), outcome: Outcome { effect: Effect::Unchanged, appointment } })
}

/// Whether a version is the one that was exported. What the API shows in milliseconds is compared so; blanks
/// between the tokens of the metadata mean nothing.
fn is_same(here: &Appointment, there: &Import) -> bool {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    let details = there.details.as_ref();
    let metadata = details.and_then(|details| details.metadata.as_ref()).map(JsonObject::as_str);
    let same_metadata = match (here.metadata.as_deref(), metadata) {
        (Some(here), Some(there)) => {
            let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
            here == there || value(here) == value(there)
        }
        (here, there) => here == there,
    };
    here.id == there.id
        && here.received_at.as_millis() == there.received_at.as_millis()
        && here.updated_at.as_millis() == there.updated_at.as_millis()
        && here.cancelled == there.cancelled
        && here.resource.as_deref() == details.map(|details| &*details.resource)
        && millis(here.starts_at) == millis(details.map(|details| details.starts_at))
        && millis(here.ends_at) == millis(details.map(|details| details.ends_at))
        && millis(here.created_at) == millis(details.map(|details| details.created_at))
        && here.title.as_deref() == details.and_then(|details| details.title.as_deref())
        && same_metadata
}

fn version_differs() -> Rejection {
    let detail = "This version is here already, with another content; it is not overwritten.";
    Rejection::conflict("version-differs", detail)
}

fn check_version(found: &Option<Found<'_>>, if_version: Option<u64>) -> Result<(), Rejection> {
    let Some(wanted) = if_version else { return Ok(()) };
    let detail = match found {
        Some(found) if found.version.version == wanted => return Ok(()),
        Some(found) => format!("The current version is {}, not {wanted}.", found.version.version),
        None => "There is no appointment of this external id.".to_owned(),
    };
    Err(Rejection::new(Class::Precondition, "version-mismatch", detail))
}

fn check_free(
    view: &dyn Read,
    record: RecordId,
    resource: ResourceNumber,
    resource_name: &str,
    (starts_at, ends_at): (Timestamp, Timestamp),
) -> Result<(), Rejection> {
    if slot::is_free(view, record, resource, starts_at, ends_at) {
        return Ok(());
    }
    let (claims, more) = slot::in_the_way(view, record, resource, starts_at, ends_at, CONFLICTS_MAX);
    let conflicts: Vec<_> =
        claims.iter().map(|claim| conflict(view, record.tenant, claim, resource_name)).collect();
    let detail = "The time range is not available: it overlaps with other appointments on this resource.";
    let conflicts = serde_json::to_string(&conflicts).expect("texts become JSON");
    Err(Rejection::conflict("time-range-unavailable", detail)
        .with("conflicts", conflicts)
        .with("conflicts_more", more.to_string()))
}

/// An appointment in the way, as the refused client is told of it.
#[derive(Serialize)]
struct Conflict<'a> {
    external_id: &'a str,
    resource: &'a str,
    starts_at: String,
    ends_at: String,
}

fn conflict<'a>(view: &'a dyn Read, tenant: TenantNumber, claim: &Claim, resource: &'a str) -> Conflict<'a> {
    let record = record::current(view, claim.owner(tenant)).expect("a claim has its record");
    Conflict {
        external_id: record.decode::<State<&str>>().external_id,
        resource,
        starts_at: claim.starts_at.to_string(),
        ends_at: claim.ends_at.to_string(),
    }
}

fn ignored_stale(view: &dyn Read, tenant: TenantNumber, found: &Found<'_>) -> Decision<Fact, Outcome> {
    let appointment = view::from_version(view, tenant, &found.version).to_owned();
    Decision { facts: Vec::new(), outcome: Outcome { effect: Effect::IgnoredStale, appointment } }
}

/// The answer to a command whose facts will be applied at `cx.timestamp`.
fn outcome(
    effect: Effect,
    found: &Option<Found<'_>>,
    state: &State,
    resource: Option<&str>,
    cx: &Context,
) -> Outcome {
    let version = found.as_ref().map_or(1, |found| found.version.version + 1);
    Outcome {
        effect,
        appointment: Appointment::new(version, cx.timestamp, state.borrowed(), resource).to_owned(),
    }
}

/// Puts the new version, and moves the claim on time if it is another one. A change that leaves the time
/// alone leaves the claim alone too.
fn apply_state(view: &mut dyn Write, change_type: ChangeType, state: &State, at: At) {
    let record = view::record_id(at.tenant, &state.external_id);
    let superseded = record::put_version(view, record, change_type, at, state);
    let before = superseded.as_ref().map(|superseded| superseded.version().decode::<State<&str>>());
    let claimed = |details: &Details<&str>| (details.resource, details.starts_at, details.ends_at);
    let old: Option<(ResourceNumber, Timestamp, Timestamp)> =
        before.as_ref().and_then(State::active).map(claimed);
    let new = state.active().map(|details| (details.resource, details.starts_at, details.ends_at));
    if old == new {
        return;
    }
    let change = ChangeId { seq: at.seq, ordinal: at.ordinal };
    if let Some((resource, starts_at, _)) = old {
        slot::end(view, record, resource, starts_at, change);
    }
    if let Some((resource, starts_at, ends_at)) = new {
        let (kind, id, terms) = (record.kind, record.id, Terms::default());
        let claim = Claim { resource, starts_at, ends_at, kind, id, since: change, terms };
        slot::put(view, at.tenant, &claim);
    }
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of an appointment's command")
    }
}
