//! The workers that do jobs: a few threads, each with one job at a time.
//!
//! Invariants:
//! - A job is done under a lease, which a thread of its own renews for all of them, and which says at most once a second
//!   how far they are. A worker that cannot renew its lease for as long as it lasts gives the job up before another may
//!   have it.
//! - Of one tenant one job is done at a time: no tenant keeps the others waiting.
//! - A job that panics has failed; a server that stops hands its jobs back, and they count for nothing.
//!
//! Next: [`work`] for what a job may ask its worker, [`export`] and [`scrub`] for what can be done.

mod export;
mod scrub;
pub mod work;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use maitred_booking::jobs::fact::Trouble;
use maitred_booking::jobs::{self, Command, Finished, Job, JobFiles, KINDS, LEASE_SECONDS, Outcome, view};
use maitred_booking::{Booking, soundness::Soundness};
use maitred_core::{Actor, TenantNumber};
use maitred_engine::{Answer, Engine, Envelope};
use maitred_storage::disk::RealDisk;

pub use work::{Failure, JobKind, Work};

/// How many jobs are done at once.
pub const WORKERS: usize = 2;
/// How often a worker looks whether there is a job.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many waiting jobs a worker looks at to find one of a tenant that has none under way.
const LOOK_MAX: usize = 512;
/// How often leases and progress are looked after.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// A lease is renewed when so much of it has passed.
const RENEW_AFTER: Duration = Duration::from_secs(LEASE_SECONDS as u64 / 3);
/// A worker that has heard nothing for so long does not know any more whether the job is its own.
const LOST_AFTER: Duration = Duration::from_secs(LEASE_SECONDS as u64 - 3);
/// How often files are looked for whose time is over...
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// ...and how long after their time they go.
const SWEEP_AFTER: Duration = Duration::from_secs(jobs::RESULT_KEPT as u64);
/// The size of a command of a worker in memory, roughly.
const COMMAND_BYTES: usize = 512;
/// The niceness of the workers: they give way to the threads that answer.
const NICENESS: i32 = 10;

/// The workers, running.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share.
struct Shared {
    engine: Engine<Booking>,
    kinds: HashMap<&'static str, Box<dyn JobKind>>,
    files: JobFiles,
    stopping: Arc<AtomicBool>,
    under_way: Mutex<Vec<Arc<Work>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "workers with {} jobs under way", self.under_way().len())
    }
}

/// The kinds of job that there are, as this program does them.
pub fn all_kinds(
    engine: &Engine<Booking>,
    files: &JobFiles,
    log: RealDisk,
    soundness: Soundness,
) -> Vec<Box<dyn JobKind>> {
    vec![
        Box::new(export::ExportJob { engine: engine.clone(), files: files.clone() }),
        Box::new(scrub::ScrubJob { log: Arc::new(log), soundness }),
    ]
}

impl Workers {
    /// Starts them. Each kind that the rules know is among `kinds`, once.
    pub fn start(engine: &Engine<Booking>, files: &JobFiles, kinds: Vec<Box<dyn JobKind>>) -> Self {
        let kinds: HashMap<_, _> = kinds.into_iter().map(|kind| (kind.name(), kind)).collect();
        assert!(KINDS.iter().all(|(name, _)| kinds.contains_key(name)), "a kind of job has no code");
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            kinds,
            files: files.clone(),
            stopping: Arc::default(),
            under_way: Mutex::default(),
        });
        let mut threads: Vec<_> = (0..WORKERS)
            .map(|number| spawn(format!("maitred-job-{number}"), &shared, Shared::work))
            .collect();
        threads.push(spawn("maitred-jobs".to_owned(), &shared, Shared::keep));
        Workers { shared, threads }
    }

    /// Ends them: what is under way is handed back.
    pub fn stop(self) {
        self.shared.stopping.store(true, Relaxed);
        for thread in self.threads {
            thread.thread().unpark();
            let _ = thread.join(); // a panic was reported by the thread itself
        }
    }
}

fn spawn(name: String, shared: &Arc<Shared>, run: fn(&Shared)) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    let run = move || {
        // Where it is not allowed, the thread competes with the others.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        while !shared.stopping.load(Relaxed) {
            if catch_unwind(AssertUnwindSafe(|| run(&shared))).is_err() {
                tracing::error!("a bug in the workers; starting over");
                thread::park_timeout(KEEP_EVERY);
            }
        }
    };
    thread::Builder::new().name(name).spawn(run).expect("a thread can be started")
}

impl Shared {
    fn under_way(&self) -> MutexGuard<'_, Vec<Arc<Work>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Has a command decided. Nothing where nobody could, or where nobody knows.
    fn decide(&self, tenant: TenantNumber, command: Command) -> Option<Answer<maitred_booking::Outcome>> {
        let (actor, bytes) = (Actor::System, COMMAND_BYTES);
        let envelope = Envelope { tenant, actor, idempotency: None, bytes, command: command.into() };
        self.engine.enter(envelope).ok()?.blocking_recv().ok()?.ok()
    }

    /// A worker's thread: one job after another.
    fn work(&self) {
        while !self.is_stopping() {
            match self.take() {
                Some(work) => {
                    self.run(&work);
                    self.under_way().retain(|other| !Arc::ptr_eq(other, &work));
                }
                None => thread::park_timeout(LOOK_EVERY),
            }
        }
    }

    /// Takes up the job that has waited longest, of a tenant that has none under way.
    fn take(&self) -> Option<Arc<Work>> {
        let claimed = {
            let mut under_way = self.under_way();
            let engine_view = self.engine.view();
            let waiting = view::queued(&engine_view, self.engine.now(), LOOK_MAX);
            let found = waiting.into_iter().find_map(|(tenant, id)| {
                let idle = under_way.iter().all(|work| work.tenant != tenant);
                let job = view::job(&engine_view, tenant, id, None).filter(|_| idle)?.is;
                self.kinds.contains_key(job.kind.as_str()).then_some((tenant, job))
            });
            let (tenant, job) = found?;
            // From here on the other worker leaves this tenant alone.
            let claimed = Arc::new(Work::new(tenant, job, &self.stopping));
            under_way.push(Arc::clone(&claimed));
            claimed
        };
        let answer = self.decide(claimed.tenant, Command::Start { job: claimed.job.id });
        let started = answer.and_then(|answer| answer.result.ok()).and_then(job_of);
        let mut under_way = self.under_way();
        under_way.retain(|other| !Arc::ptr_eq(other, &claimed));
        let work = Arc::new(Work::new(claimed.tenant, started?, &self.stopping));
        under_way.push(Arc::clone(&work));
        Some(work)
    }

    /// Does a job, and says what became of it.
    fn run(&self, work: &Arc<Work>) {
        let Work { tenant, job, .. } = &**work;
        tracing::info!(tenant.number = tenant.0, job.id = %job.id, job.kind = job.kind, job.start = job.starts, "a job begins");
        let ran = match self.kinds.get(job.kind.as_str()) {
            Some(kind) => catch_unwind(AssertUnwindSafe(|| kind.run(work))).unwrap_or_else(|_| {
                Err(Failure::Failed(Trouble {
                    code: "internal-error".into(),
                    detail: "The job panicked.".into(),
                }))
            }),
            None => Err(Failure::Stopped),
        };
        let how = match ran {
            Ok(result) => Finished::Succeeded(result.map(|result| result.to_string())),
            Err(Failure::Failed(trouble)) => Finished::Failed(trouble),
            Err(Failure::FailedForGood(trouble)) => Finished::FailedForGood(trouble),
            Err(Failure::Stopped) if work.is_cancelled() => Finished::Cancelled,
            Err(Failure::Stopped) => Finished::Interrupted,
        };
        tracing::info!(tenant.number = tenant.0, job.id = %job.id, job.kind = job.kind, how = ?how, "a job ends");
        // What cannot be said now may be in a while; after the lease it is another's.
        while !work.is_lost() {
            let command = Command::Finish { job: job.id, start: job.starts, how: how.clone() };
            if self.decide(*tenant, command).is_some() || self.is_stopping() {
                return;
            }
            thread::park_timeout(KEEP_EVERY);
        }
    }

    /// The thread that renews leases, says how far jobs are, hears who asks for their end, and takes away old files.
    fn keep(&self) {
        let mut swept: Option<Instant> = None;
        while !self.is_stopping() {
            if swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
                self.sweep();
                swept = Some(Instant::now());
            }
            let under_way = self.under_way().clone();
            for work in under_way.iter().filter(|work| work.job.starts > 0) {
                self.look_after(work);
            }
            thread::park_timeout(KEEP_EVERY);
        }
    }

    fn look_after(&self, work: &Work) {
        let Work { tenant, job, .. } = work;
        let known = view::job(&self.engine.view(), *tenant, job.id, None);
        if known.is_some_and(|known| known.is.starts == job.starts && known.is.cancel_asked) {
            work.ask_for_end();
        }
        if let Some(progress) = work.to_say(RENEW_AFTER) {
            let command = Command::Say { job: job.id, start: job.starts, progress };
            match self.decide(*tenant, command) {
                Some(Answer { result: Ok(_), .. }) => work.said(progress),
                Some(Answer { result: Err(rejection), .. }) if rejection.code == "job-lease-lost" => {
                    work.lose();
                }
                _ => {} // it is said again
            }
        }
        if work.unheard_for() >= LOST_AFTER {
            work.lose();
        }
    }

    fn sweep(&self) {
        let now = SystemTime::now();
        let under_way: Vec<_> = self.under_way().iter().map(|work| work.job.id).collect();
        let keeps = |job, modified: SystemTime| {
            let age = now.duration_since(modified).unwrap_or_default();
            under_way.contains(&job) || age < SWEEP_AFTER
        };
        match self.files.sweep(keeps) {
            Ok(0) => {}
            Ok(gone) => tracing::info!(files = gone, "took away files of jobs whose time was over"),
            Err(error) => tracing::warn!(error = %error, "the files of jobs cannot be looked through"),
        }
    }
}

fn job_of(outcome: maitred_booking::Outcome) -> Option<Job> {
    match outcome {
        maitred_booking::Outcome::Jobs(Outcome::Job(_, job)) => Some(job.is),
        _ => None,
    }
}
