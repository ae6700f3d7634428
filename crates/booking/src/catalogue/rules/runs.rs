//! Runs: which one of a provider may write, and what becomes of the others.
//!
//! A provider has at most one open run and at most one held one. A run that was left open by a crash ends as soon as
//! the next one begins or ends.

use maitred_core::{Context, Decision, Read, Rejection, TenantNumber};
use uuid::Uuid;

use super::{Decided, Effect, Outcome, provider_of};
use crate::catalogue::command::{BeginRun, FinishRun, PROBLEM_CHARS_MAX, PROBLEMS_MAX};
use crate::catalogue::fact::{Counts, Fact, Provider, Run, RunProblem, RunState};
use crate::catalogue::view::{self, ProviderState};

/// A run is held that would lose more than so many of a hundred events of its provider,
pub const HELD_PERCENT: u64 = 20;
/// and at least so many.
pub const HELD_EVENTS_MIN: u64 = 100;

/// The code of the problem of a run that a crash left open.
const INTERRUPTED: &str = "interrupted";

pub(super) fn request(view: &dyn Read, provider: &str, cx: &Context) -> Decided {
    active(view, cx.tenant, provider)?;
    match open(view, cx.tenant, provider) {
        Some(run) => Ok(unchanged(run)),
        None => Ok(recorded(Vec::new(), Effect::Created, new_run(provider, RunState::Requested, cx))),
    }
}

pub(super) fn begin(view: &dyn Read, command: &BeginRun, cx: &Context) -> Decided {
    let BeginRun { provider, counts, digest } = command;
    active(view, cx.tenant, provider)?;
    let state = view::state(view, cx.tenant, provider);
    let open = open(view, cx.tenant, provider);
    let held = held(view, cx.tenant, &state);
    let loses = loses_many(&state, counts.missing);
    let mut facts = Vec::new();
    let requested = match open {
        Some(run) if run.state == RunState::Requested => Some(run),
        Some(interrupted) => {
            facts.push(Fact::RunRecorded(interrupt(interrupted, cx)));
            None
        }
        None => None,
    };
    if loses && requested.is_none() {
        // Nobody asked, and an operator knows, or has said what to do with it.
        let same = held.as_ref().filter(|held| held.digest == Some(*digest)).cloned();
        let set_aside = || {
            let run =
                Run { digest: Some(*digest), counts: *counts, ..new_run(provider, RunState::Discarded, cx) };
            (state.discarded == Some(*digest)).then_some(run)
        };
        if let Some(run) = same.or_else(set_aside) {
            return Ok(Decision { facts, outcome: Outcome::Run { effect: Effect::Unchanged, run } });
        }
    }
    if let Some(held) = held {
        facts.push(Fact::RunRecorded(Run { state: RunState::Discarded, updated_at: cx.timestamp, ..held }));
    }
    let begun = if loses { RunState::Held } else { RunState::Running };
    let run = Run {
        state: begun,
        updated_at: cx.timestamp,
        counts: *counts,
        digest: Some(*digest),
        ..requested.unwrap_or_else(|| new_run(provider, begun, cx))
    };
    Ok(recorded(facts, Effect::Created, run))
}

/// Whether a run that misses so many events is held.
fn loses_many(state: &ProviderState, missing: u64) -> bool {
    missing >= HELD_EVENTS_MIN && missing * 100 > state.events * HELD_PERCENT && missing > state.loss_allowed
}

pub(super) fn finish(view: &dyn Read, command: &FinishRun, cx: &Context) -> Decided {
    provider_of(view, cx.tenant, &command.provider)?;
    let open = open(view, cx.tenant, &command.provider);
    let mut facts = Vec::new();
    let run = match (command.run, open) {
        (Some(wanted), Some(open)) if open.id == wanted => open,
        (Some(_), _) => return Err(not_open()),
        (None, Some(open)) if open.state == RunState::Requested => open,
        (None, left) => {
            facts.extend(left.map(|left| Fact::RunRecorded(interrupt(left, cx))));
            new_run(&command.provider, command.state, cx)
        }
    };
    let cut = |problem: &RunProblem| RunProblem {
        code: problem.code.clone(),
        detail: problem.detail.chars().take(PROBLEM_CHARS_MAX).collect(),
    };
    let run = Run {
        state: command.state,
        updated_at: cx.timestamp,
        counts: command.counts,
        problems: command.problems.iter().take(PROBLEMS_MAX).map(cut).collect(),
        digest: command.digest,
        validators: command.validators.clone(),
        ..run
    };
    Ok(recorded(facts, Effect::Updated, run))
}

pub(super) fn accept(view: &dyn Read, provider: &str, run: Uuid, cx: &Context) -> Decided {
    settle(view, provider, run, RunState::Accepted, cx)
}

pub(super) fn discard(view: &dyn Read, provider: &str, run: Uuid, cx: &Context) -> Decided {
    settle(view, provider, run, RunState::Discarded, cx)
}

fn settle(view: &dyn Read, provider: &str, run: Uuid, settled: RunState, cx: &Context) -> Decided {
    provider_of(view, cx.tenant, provider)?;
    let run = view::run(view, cx.tenant, provider, run).ok_or_else(|| {
        let detail = "There is no such run of the provider, or it is no longer kept.";
        Rejection::new(maitred_core::Class::Absent, "run-not-found", detail)
    })?;
    match run.state {
        RunState::Held => {
            let run = Run { state: settled, updated_at: cx.timestamp, ..run };
            Ok(recorded(Vec::new(), Effect::Updated, run))
        }
        state if state == settled => Ok(unchanged(run)),
        state => {
            let detail =
                format!("The run is {}: only a held run can be {}.", state.as_str(), settled.as_str());
            Err(Rejection::conflict("invalid-transition", detail))
        }
    }
}

/// A provider that is synced.
pub(super) fn active(view: &dyn Read, tenant: TenantNumber, name: &str) -> Result<Provider, Rejection> {
    let provider = provider_of(view, tenant, name)?.is;
    if !provider.active {
        return Err(Rejection::conflict(
            "provider-inactive",
            "The provider is not synced: it is not active.",
        ));
    }
    Ok(provider)
}

/// Refuses to write for a run that is not the one that writes.
pub(super) fn require_running(
    view: &dyn Read,
    tenant: TenantNumber,
    provider: &str,
    run: Uuid,
) -> Result<(), Rejection> {
    let open = open(view, tenant, provider);
    match open.is_some_and(|open| open.id == run && open.state == RunState::Running) {
        true => Ok(()),
        false => Err(not_open()),
    }
}

fn not_open() -> Rejection {
    Rejection::conflict("run-not-open", "The run is over, or another one is open.")
}

fn open(view: &dyn Read, tenant: TenantNumber, provider: &str) -> Option<Run> {
    let id = view::state(view, tenant, provider).open_run?;
    view::run(view, tenant, provider, Uuid::from_bytes(id))
}

fn held(view: &dyn Read, tenant: TenantNumber, state: &ProviderState) -> Option<Run> {
    view::run(view, tenant, &state.name, Uuid::from_bytes(state.held_run?))
}

fn interrupt(run: Run, cx: &Context) -> Run {
    let detail = "The server stopped while it wrote.".to_owned();
    let problems = vec![RunProblem { code: INTERRUPTED.to_owned(), detail }];
    Run { state: RunState::Failed, updated_at: cx.timestamp, problems, ..run }
}

fn new_run(provider: &str, state: RunState, cx: &Context) -> Run {
    Run {
        id: cx.ids.next(),
        provider: provider.to_owned(),
        state,
        created_at: cx.timestamp,
        updated_at: cx.timestamp,
        counts: Counts::default(),
        problems: Vec::new(),
        digest: None,
        validators: None,
    }
}

fn recorded(mut facts: Vec<Fact>, effect: Effect, run: Run) -> Decision<Fact, Outcome> {
    facts.push(Fact::RunRecorded(run.clone()));
    Decision { facts, outcome: Outcome::Run { effect, run } }
}

fn unchanged(run: Run) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome: Outcome::Run { effect: Effect::Unchanged, run } }
}
