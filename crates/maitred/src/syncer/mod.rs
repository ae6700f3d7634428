//! Keeps the catalogue as its providers' feeds are: fetches each when it is due, and carries over what is new.
//!
//! ```text
//!   scheduled(view) ──▶ due? ──▶ Fetcher::fetch ──▶ spool ──▶ carry: survey, begin, groups of events, what is missing, end
//!      every TICK        each provider in a task of its own              commands, one after another
//! ```
//!
//! Invariants:
//! - When a provider was synced last stands in the log: a restart neither skips a run nor repeats one.
//! - A provider is synced by one task at a time, and no provider waits for another: what they share is bounded by the
//!   fetcher's slots and by [`CARRIED_MAX`].
//! - Whatever a feed is, what was there stays until a whole one was read. A run that is cut off in the middle has
//!   written whole events, and the next one writes the rest.
//!
//! Next: [`carry`] for what becomes of a feed.

mod carry;
mod event;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use maitred_booking::app::App;
use maitred_booking::catalogue::http::providers::header_context;
use maitred_booking::catalogue::status::{Breaker, RunOutcome};
use maitred_booking::catalogue::view::{self, Scheduled, scheduled};
use maitred_booking::catalogue::{
    Command, Counts, FinishRun, ProviderState, RunProblem, RunState, Validators,
};
use maitred_booking::tenants;
use maitred_connectors::feed_fetch::{Circuit, Failure, Fetcher, Order};
use maitred_connectors::outgoing;
use maitred_connectors::xml_feed::limits::FEED_BYTES_MAX;
use maitred_core::{Actor, TenantNumber, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// How often is looked for what is due.
const TICK: Duration = Duration::from_millis(250);
/// How many feeds are carried over at once: each takes a thread, and the memory of a survey.
const CARRIED_MAX: usize = 2;
/// How many providers are synced at once; the rest is due at the next tick.
const UNDER_WAY_MAX: usize = 1_024;
/// How long a provider is left alone at least whose run could not even be recorded.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long a stop waits for what is under way.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The task that syncs, running.
#[derive(Debug)]
pub struct Syncer {
    stopping: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Syncer {
    /// Starts it, on the runtime of the caller.
    pub fn start(app: &App, fetcher: Fetcher) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            app: app.clone(),
            fetcher,
            stopping: Arc::clone(&stopping),
            carried: Semaphore::new(CARRIED_MAX),
            left_alone: Mutex::default(),
        });
        Syncer { stopping, task: tokio::spawn(run(shared)) }
    }

    /// Ends it: fetches are given up, and a feed that is carried over ends with the command that is under way.
    pub async fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        // A feed that does not end is left to the end of the process.
        let _ = tokio::time::timeout(STOP_MAX, self.task).await;
    }
}

/// A provider of a tenant.
type Key = (TenantNumber, String);

/// What the tasks share.
struct Shared {
    app: App,
    fetcher: Fetcher,
    stopping: Arc<AtomicBool>,
    carried: Semaphore,
    left_alone: Mutex<HashMap<Key, LeftAlone>>,
}

/// Why a provider is not synced although the log says that it is due.
enum LeftAlone {
    /// It is being synced.
    UnderWay,
    /// Its last run left nothing in the log: it is left alone until then, unless somebody changes where it stands.
    Until(Timestamp, Box<ProviderState>),
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The due providers that nobody syncs; they are marked as synced.
    fn take_due(&self, limit: usize) -> Vec<Scheduled> {
        let view = self.app.engine().view();
        let now = self.app.engine().now();
        // Nothing panics under this lock.
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.retain(|_, why| !matches!(why, LeftAlone::Until(until, _) if *until <= now));
        let mut due = Vec::new();
        for found in scheduled(&view) {
            if due.len() == limit {
                break;
            }
            let key = (found.tenant, found.provider.name.clone());
            let rests = match left_alone.get(&key) {
                None => false,
                Some(LeftAlone::UnderWay) => true,
                Some(LeftAlone::Until(_, stood)) => **stood == found.state,
            };
            if found.due_at() <= now && !rests && tenants::tenant(&view, found.tenant).is_some() {
                left_alone.insert(key, LeftAlone::UnderWay);
                due.push(found);
            }
        }
        due
    }

    /// Says that a provider is synced no more, and how long it is left alone although the log says that it is due.
    fn put_back(&self, key: Key, pause: Option<Duration>) {
        let engine = self.app.engine();
        let why = pause.map(|pause| {
            let micros = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
            let until = Timestamp::from_micros(engine.now().as_micros().saturating_add(micros));
            LeftAlone::Until(until, Box::new(view::state(&engine.view(), key.0, &key.1)))
        });
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            None => drop(left_alone.remove(&key)),
            Some(why) => drop(left_alone.insert(key, why)),
        }
    }
}

/// Whether a run is in the log, which says then when the next one is due.
fn is_recorded(outcome: RunOutcome) -> bool {
    matches!(outcome, RunOutcome::Finished | RunOutcome::Unchanged | RunOutcome::Failed)
}

async fn run(shared: Arc<Shared>) {
    let mut under_way = JoinSet::new();
    while !shared.is_stopping() {
        while under_way.try_join_next().is_some() {}
        for due in shared.take_due(UNDER_WAY_MAX - under_way.len().min(UNDER_WAY_MAX)) {
            let shared = Arc::clone(&shared);
            under_way.spawn(async move {
                let key = (due.tenant, due.provider.name.clone());
                let interval = Duration::from_secs(due.provider.interval_seconds.into());
                let (began, circuit_of) = (Instant::now(), fetched_as(&key));
                // A task that panics leaves its provider alone until the next start; the panic is logged.
                let outcome = sync(&shared, due).await;
                let (status, of) = (shared.app.syncing(), (key.0, key.1.as_str()));
                status.ran(of, outcome, began.elapsed());
                status.stands(
                    of,
                    match shared.fetcher.circuit(&circuit_of) {
                        Circuit::Closed => Breaker::Closed,
                        Circuit::HalfOpen => Breaker::HalfOpen,
                        Circuit::Open => Breaker::Open,
                    },
                );
                shared.put_back(key, (!is_recorded(outcome)).then(|| interval.max(PAUSE_MIN)));
            });
        }
        tokio::time::sleep(TICK).await;
    }
    under_way.abort_all();
    while under_way.join_next().await.is_some() {}
}

/// How the fetcher tells providers apart.
fn fetched_as((tenant, provider): &Key) -> String {
    format!("{}/{provider}", tenant.0)
}

/// One run of one provider.
async fn sync(shared: &Arc<Shared>, due: Scheduled) -> RunOutcome {
    let headers = match opened_headers(&shared.app, &due) {
        Ok(headers) => headers,
        Err(problem) => return finish_failed(shared, &due, problem).await,
    };
    let kept = due.state.validators.clone().unwrap_or_default();
    let kept = outgoing::Validators { etag: kept.etag, last_modified: kept.last_modified };
    let provider = fetched_as(&(due.tenant, due.provider.name.clone()));
    if due.state.open_run.is_some() || due.state.last_run_at.is_none() {
        // Somebody asked for it, or has changed the provider: that it failed before does not count.
        shared.fetcher.forget(&provider);
    }
    let order = Order {
        provider: &provider,
        url: &due.provider.url,
        headers: &headers,
        kept: &kept,
        timeout: Duration::from_secs(due.provider.timeout_seconds.into()),
        bytes_max: FEED_BYTES_MAX,
    };
    let fetched = shared.fetcher.fetch(&order).await;
    match fetched.feed {
        Ok(Some(spool)) => {
            let Ok(_place) = shared.carried.acquire().await else { return RunOutcome::Broken };
            let carried = Arc::clone(shared);
            let carry = move || carry::carry(&carried, &due, &spool);
            tokio::task::spawn_blocking(carry).await.unwrap_or(RunOutcome::Broken)
        }
        Ok(None) => {
            let digest = due.state.digest;
            let end = Ending { state: RunState::Unchanged, digest, ..Ending::default() };
            finish(shared, &due, Ending { validators: due.state.validators.clone(), ..end }).await
        }
        // It is known that it fails, and it was not asked: nothing happened that is worth a fact.
        Err(Failure::CircuitOpen { .. }) if due.state.open_run.is_none() => RunOutcome::Skipped,
        Err(failure) => {
            let problem = RunProblem { code: failure.code().to_owned(), detail: failure.to_string() };
            finish_failed(shared, &due, problem).await
        }
    }
}

fn opened_headers(app: &App, due: &Scheduled) -> Result<Vec<(String, String)>, RunProblem> {
    let headers = due.provider.headers.iter().map(|header| {
        let context = header_context(due.tenant, &due.provider.name, &header.name);
        let value =
            app.sealer().open(&header.sealed, &context).and_then(|value| String::from_utf8(value).ok());
        value.map(|value| (header.name.clone(), value)).ok_or_else(|| RunProblem {
            code: "header-unreadable".to_owned(),
            detail: format!("The header {} was sealed with another key: set it again.", header.name),
        })
    });
    headers.collect()
}

/// How a run ends.
#[derive(Debug, Clone)]
struct Ending {
    run: Option<uuid::Uuid>,
    state: RunState,
    counts: Counts,
    problems: Vec<RunProblem>,
    digest: Option<[u8; 32]>,
    validators: Option<Validators>,
}

impl Default for Ending {
    fn default() -> Self {
        Ending {
            run: None,
            state: RunState::Failed,
            counts: Counts::default(),
            problems: Vec::new(),
            digest: None,
            validators: None,
        }
    }
}

async fn finish_failed(shared: &Shared, due: &Scheduled, problem: RunProblem) -> RunOutcome {
    finish(shared, due, Ending { problems: vec![problem], ..Ending::default() }).await
}

/// Records the end of a run.
async fn finish(shared: &Shared, due: &Scheduled, ending: Ending) -> RunOutcome {
    let Ending { run, state, counts, problems, digest, validators } = ending;
    if let Some(problem) = problems.first().filter(|_| state == RunState::Failed) {
        tracing::warn!(
            tenant.number = due.tenant.0,
            provider.name = %due.provider.name,
            problem.code = %problem.code,
            "a provider's feed was not carried over: {}",
            problem.detail
        );
    }
    let provider = due.provider.name.clone();
    let command = FinishRun { provider, run, state, counts, problems, digest, validators };
    let who = (due.tenant, Actor::System);
    let decided = shared.app.decide(who, None, 1_024, Command::FinishRun(command)).await;
    match decided.map(|answer| answer.result) {
        Ok(Ok(_)) => match state {
            RunState::Finished => RunOutcome::Finished,
            RunState::Unchanged => RunOutcome::Unchanged,
            _ => RunOutcome::Failed,
        },
        // Another run has begun meanwhile, or the tenant is gone.
        Ok(Err(_)) => RunOutcome::Broken,
        Err(unavailable) => {
            tracing::warn!(error = %unavailable, provider.name = %due.provider.name, "a run could not be recorded");
            RunOutcome::Broken
        }
    }
}
