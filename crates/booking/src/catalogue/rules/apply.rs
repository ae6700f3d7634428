//! What facts do to the view: total, and without any rule.

use maitred_core::{At, Write};

use crate::catalogue::fact::{Event, Fact, Provider, Run, RunState};
use crate::catalogue::rows;
use crate::catalogue::view::{self, Known, ProviderState, RUNS_MAX};
use crate::name;
use crate::record::{self, ChangeType};

pub(super) fn apply(view: &mut dyn Write, fact: &Fact, at: At) {
    match fact {
        Fact::ProviderCreated(provider) => put_provider(view, ChangeType::Created, provider, at),
        Fact::ProviderUpdated(provider) => put_provider(view, ChangeType::Updated, provider, at),
        Fact::RunRecorded(run) => put_run(view, run, at),
        Fact::EventCreated(event) => put_event(view, ChangeType::Created, event, at),
        Fact::EventUpdated(event) | Fact::EventVanished(event) => {
            put_event(view, ChangeType::Updated, event, at);
        }
    }
}

/// Whoever changes a provider wants to see what comes of it: the next run is due at once, and asks for everything.
fn put_provider(view: &mut dyn Write, change_type: ChangeType, provider: &Provider, at: At) {
    record::put_version(view, view::provider_record(at.tenant, &provider.name), change_type, at, provider);
    let state = view::state(view, at.tenant, &provider.name);
    view::put_state(view, at.tenant, &ProviderState { last_run_at: None, validators: None, ..state });
}

fn put_run(view: &mut dyn Write, run: &Run, at: At) {
    let mut state = view::state(view, at.tenant, &run.provider);
    let id = *run.id.as_bytes();
    if view::run(view, at.tenant, &run.provider, run.id).is_none() {
        match state.runs < RUNS_MAX {
            true => state.runs += 1,
            false => view::forget_oldest_run(view, at.tenant, &run.provider),
        }
    }
    view::put_run(view, at.tenant, run);
    state.open_run = if run.state.is_open() { Some(id) } else { state.open_run.filter(|open| *open != id) };
    state.held_run = state.held_run.filter(|held| *held != id);
    match run.state {
        RunState::Requested | RunState::Running => {}
        RunState::Finished | RunState::Unchanged => {
            state.last_run_at = Some(at.timestamp);
            state.last_success_at = Some(at.timestamp);
            state.validators = run.validators.clone();
            state.digest = run.digest.or(state.digest);
            state.failures = 0;
            state.loss_allowed = 0;
            state.discarded = None;
        }
        RunState::Failed => {
            state.last_run_at = Some(at.timestamp);
            state.failures = state.failures.saturating_add(1);
        }
        RunState::Held => {
            state.last_run_at = Some(at.timestamp);
            state.held_run = Some(id);
        }
        RunState::Accepted => {
            state.last_run_at = None;
            state.validators = None;
            state.loss_allowed = run.counts.missing;
        }
        RunState::Discarded => state.discarded = run.digest,
    }
    view::put_state(view, at.tenant, &state);
}

fn put_event(view: &mut dyn Write, change_type: ChangeType, event: &Event, at: At) {
    let superseded =
        record::put_version(view, view::event_record(at.tenant, event.id), change_type, at, event);
    let old = superseded.as_ref().map(|old| old.version().decode::<Event>());
    rows::replace(view, old.as_ref(), event, at);

    let known = Known { id: event.id, digest: event.digest, gone: event.gone.is_some() };
    let key = view::external_key(at.tenant, &event.provider, name::hash(&event.external_id));
    view.put(&key, &known.write());

    let was_gone = old.map(|old| old.gone.is_some());
    if was_gone != Some(known.gone) {
        let mut state = view::state(view, at.tenant, &event.provider);
        match was_gone {
            Some(true) => state.vanished = state.vanished.saturating_sub(1),
            Some(false) => state.events = state.events.saturating_sub(1),
            None => {}
        }
        match known.gone {
            true => state.vanished += 1,
            false => state.events += 1,
        }
        view::put_state(view, at.tenant, &state);
    }
}
