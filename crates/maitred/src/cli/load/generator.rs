//! The load generator: connections that send what a [`Workload`] asks for, as fast as answers come or on time.
//!
//! Each generator thread runs its own single-threaded runtime, its share of the connections, its own share of the
//! request numbers (thread `t` of `T` sends `t, t + T, …`) and its own ledger: threads share nothing while they
//! run. In the open loop request `k` is due at `start + k / rate`, whoever sends it: a free connection takes the
//! next number and waits until that is due. If none is free the number is taken late, and the delay counts.
//!
//! Invariants: every exchange ends by the time limit; nothing is due after the end, and what was due before and is
//! still not sent [`DRAIN_MAX`] later never is; so a run ends in time, and one that does not is given up with an
//! error.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::LoadError;
use super::answer::Answer;
use super::client::{Connection, ExchangeError};
use super::schedule::Schedule;
use super::tally::{Answered, Ledger, Outcomes};
use crate::open_files;

/// Connections a thread opens at the same time.
const OPENING_MAX: usize = 128;
/// How long after one connection a thread opens the next: servers accept no faster, and turn away what they cannot
/// queue.
const OPENING_EVERY: Duration = Duration::from_micros(250);
/// How long opening all connections may take; what is not open then has failed.
const OPENING_TIME_MAX: Duration = Duration::from_secs(60);
/// How often connections that were closed before all were open are opened again.
const OPENING_ROUNDS_MAX: u32 = 5;
/// First and longest pause before a lost connection is opened again.
const REOPEN_PAUSE_MIN: Duration = Duration::from_millis(20);
const REOPEN_PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long after the end requests are sent that were due before it.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How long a run may outlast its end and its time limit before it is given up.
const OVERRUN_MAX: Duration = Duration::from_secs(10);
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Open files besides the connections.
const OTHER_FILES: u64 = 64;

/// What a load sends, and what it makes of the answers.
pub(super) trait Workload: Send + Sync + 'static {
    /// Writes request `number`, head and body, into `out`, which is empty. `scratch` is for its use.
    fn request(&self, number: u64, out: &mut Vec<u8>, scratch: &mut Vec<u8>);

    /// Says what the answer to request `number` means.
    fn judge(&self, number: u64, answer: Answer<'_>) -> Outcomes;

    /// How much of each body `judge` needs.
    fn body_bytes_max(&self) -> usize;
}

/// How a load is applied.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) connections: usize,
    pub(super) threads: usize,
    /// Arrivals a second over all connections; none: each connection sends as soon as it has its answer.
    pub(super) rate: Option<f64>,
    pub(super) warm_up: Duration,
    /// From the end of the warm-up. No request starts later.
    pub(super) duration: Duration,
    /// Requests after which the run ends early, those of the warm-up included.
    pub(super) requests_max: u64,
    pub(super) timeout: Duration,
    /// Opens lost connections again and goes on.
    pub(super) reconnect: bool,
}

impl Plan {
    /// Requests that the open loop is to send; none in the closed loop.
    pub(super) fn arrivals(&self) -> Option<u64> {
        let rate = self.rate?;
        Some(((rate * (self.warm_up + self.duration).as_secs_f64()) as u64).min(self.requests_max))
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ledger: Ledger,
    /// From the end of the warm-up to the last measured answer.
    pub(super) elapsed: Duration,
    /// CPU time the load tester took from the end of the warm-up on, where the system tells.
    pub(super) cpu: Option<Duration>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress<'a> {
    /// Since the start, warm-up included.
    pub(super) elapsed: Duration,
    pub(super) ledger: &'a Ledger,
}

/// Applies the load, telling its progress once a second.
///
/// # Errors
/// The plan needs more open files than this process may have, a generator thread could not be set up, or the run
/// did not end when it should have. Failures of exchanges are no errors here: they are counted in the ledger.
pub(super) fn drive<W: Workload>(
    plan: &Plan,
    workload: &Arc<W>,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Run, LoadError> {
    raise_open_files(plan.connections as u64 + OTHER_FILES)?;
    let (events_in, events) = mpsc::channel();
    let mut threads = Vec::new();
    for number in 0..plan.threads {
        let (start_in, start) = mpsc::channel();
        let ledger = Arc::new(Mutex::new(Ledger::new()));
        let generator = Generator {
            plan: plan.clone(),
            workload: Arc::clone(workload),
            thread: number,
            ledger: Arc::clone(&ledger),
            events: events_in.clone(),
            start,
        };
        let handle = std::thread::Builder::new()
            .name(format!("load-{number}"))
            .spawn(move || generator.run())
            .map_err(|error| LoadError::Unavailable(format!("starting a thread: {error}")))?;
        threads.push((handle, start_in, ledger));
    }
    drop(events_in);

    for _ in 0..plan.threads {
        match events.recv_timeout(OPENING_TIME_MAX + OVERRUN_MAX) {
            Ok(Event::Opened) => {}
            Ok(Event::Failed(error)) => return Err(error),
            Err(_) => {
                return Err(LoadError::Unavailable("the connections were not opened in time".to_owned()));
            }
        }
    }
    let start = Instant::now();
    for (_, start_in, _) in &threads {
        // A thread that is gone shows below, as one that has ended.
        let _ = start_in.send(start);
    }

    let merged = || {
        let mut all = Ledger::new();
        for (_, _, ledger) in &threads {
            all.merge(&lock(ledger));
        }
        all
    };
    let measured_from = start + plan.warm_up;
    let cpu = watch(&events, plan, start, |elapsed| progress(Progress { elapsed, ledger: &merged() }))?;
    let ledger = merged();
    for (handle, ..) in threads {
        handle.join().map_err(|_panic| LoadError::Unavailable("a generator thread panicked".to_owned()))?;
    }
    let elapsed =
        ledger.last_done.map_or(Duration::ZERO, |done| done.saturating_duration_since(measured_from));
    Ok(Run { ledger, elapsed, cpu })
}

/// Waits until all threads have ended. Gives back the CPU time taken since the end of the warm-up.
fn watch(
    events: &mpsc::Receiver<Event>,
    plan: &Plan,
    start: Instant,
    mut tell: impl FnMut(Duration),
) -> Result<Option<Duration>, LoadError> {
    let measured_from = start + plan.warm_up;
    let deadline = measured_from + plan.duration + DRAIN_MAX + plan.timeout + OVERRUN_MAX;
    let mut cpu_before = None;
    let mut next_tell = start + PROGRESS_EVERY;
    loop {
        let now = Instant::now();
        if cpu_before.is_none() && now >= measured_from {
            cpu_before = Some(cpu_time());
        }
        if now >= next_tell {
            tell(now - start);
            next_tell += PROGRESS_EVERY;
        }
        let wake = if cpu_before.is_none() { next_tell.min(measured_from) } else { next_tell };
        match events.recv_timeout(wake.saturating_duration_since(Instant::now())) {
            Ok(Event::Opened) => {}
            Ok(Event::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if now < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(LoadError::Unavailable("the run did not end in time".to_owned()));
            }
        }
    }
    Ok(cpu_time().zip(cpu_before.flatten()).map(|(after, before)| after.saturating_sub(before)))
}

enum Event {
    /// A thread has opened its connections.
    Opened,
    /// A thread cannot go on.
    Failed(LoadError),
}

/// One generator thread before its start.
struct Generator<W> {
    plan: Plan,
    workload: Arc<W>,
    thread: usize,
    ledger: Arc<Mutex<Ledger>>,
    events: mpsc::Sender<Event>,
    start: mpsc::Receiver<Instant>,
}

impl<W: Workload> Generator<W> {
    fn run(self) {
        let events = self.events.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.and_then(|runtime| runtime.block_on(self.generate()));
        if let Err(error) = ended {
            // If nobody listens any more, the run is over.
            let _ = events.send(Event::Failed(LoadError::Unavailable(format!("generator: {error}"))));
        }
    }

    async fn generate(self) -> io::Result<()> {
        let Generator { plan, workload, thread, ledger, events, start } = self;
        let schedule = plan.rate.is_some().then(Schedule::new).transpose()?;
        let share = share_of(plan.connections, plan.threads, thread);
        let kept_bytes_max = workload.body_bytes_max();
        let connections = open_all(&plan, share, kept_bytes_max, &ledger).await;
        if events.send(Event::Opened).is_err() {
            return Ok(());
        }
        drop(events);
        // Blocks this thread's runtime, in which nothing runs yet.
        let Ok(start) = start.recv() else { return Ok(()) };
        let worker = Arc::new(Worker {
            measured_from: start + plan.warm_up,
            end: start + plan.warm_up + plan.duration,
            start,
            plan,
            workload,
            thread: thread as u64,
            taken: AtomicU64::new(0),
            schedule,
            ledger,
        });
        let keeper = worker.schedule.is_some().then(|| {
            let worker = Arc::clone(&worker);
            tokio::spawn(async move {
                match &worker.schedule {
                    Some(schedule) => schedule.keep().await,
                    None => Ok(()),
                }
            })
        });
        let slots: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::spawn(Arc::clone(&worker).serve(connection)))
            .collect();
        for slot in slots {
            slot.await??;
        }
        if let Some(keeper) = keeper {
            keeper.abort();
        }
        Ok(())
    }
}

/// Opens a thread's connections. One that fails is counted, and left out unless it may be opened again.
async fn open_all(
    plan: &Plan,
    share: usize,
    kept_bytes_max: usize,
    ledger: &Mutex<Ledger>,
) -> Vec<Option<Connection>> {
    let deadline = Instant::now() + OPENING_TIME_MAX;
    let mut connections = Vec::with_capacity(share);
    let mut missing = share;
    for _ in 0..OPENING_ROUNDS_MAX {
        for outcome in open_some(plan, missing, kept_bytes_max, deadline).await {
            match outcome {
                Ok(connection) => connections.push(Some(connection)),
                Err(error) => {
                    lock(ledger).failures.add(&error);
                    if plan.reconnect {
                        connections.push(None);
                    }
                }
            }
        }
        // Where opening takes long, the server has closed the first again when the last is open.
        let opened = connections.len();
        connections.retain(|connection| !connection.as_ref().is_some_and(Connection::has_expired));
        missing = opened - connections.len();
        if missing == 0 {
            break;
        }
    }
    // What is missing still is opened when it is its turn.
    connections.resize_with(connections.len() + missing, || None);
    connections
}

async fn open_some(
    plan: &Plan,
    count: usize,
    kept_bytes_max: usize,
    deadline: Instant,
) -> Vec<Result<Connection, ExchangeError>> {
    let begin = Instant::now();
    futures_util::stream::iter(0..u32::try_from(count).unwrap_or(u32::MAX))
        .map(|number| async move {
            tokio::time::sleep_until(begin + OPENING_EVERY * number).await;
            let opening = Connection::open(plan.address, plan.timeout, kept_bytes_max);
            let too_late = |_elapsed| Err(ExchangeError::Connect(io::ErrorKind::TimedOut.into()));
            tokio::time::timeout_at(deadline, opening).await.unwrap_or_else(too_late)
        })
        .buffer_unordered(OPENING_MAX)
        .collect()
        .await
}

/// What the connections of one thread share.
struct Worker<W> {
    plan: Plan,
    workload: Arc<W>,
    thread: u64,
    start: Instant,
    measured_from: Instant,
    end: Instant,
    /// Request numbers of this thread that were taken.
    taken: AtomicU64,
    schedule: Option<Schedule>,
    ledger: Arc<Mutex<Ledger>>,
}

impl<W: Workload> Worker<W> {
    /// Sends one request after the other over one connection until the end.
    async fn serve(self: Arc<Self>, mut connection: Option<Connection>) -> io::Result<()> {
        let (mut request, mut scratch) = (Vec::new(), Vec::new());
        while let Some((number, due)) = self.next_turn().await? {
            if connection.as_ref().is_none_or(Connection::has_expired) {
                connection = self.reopen().await;
            }
            let Some(open) = connection.as_mut() else { return Ok(()) };
            request.clear();
            self.workload.request(number, &mut request, &mut scratch);
            let sent = Instant::now();
            match open.exchange(&request, sent).await {
                Ok(()) => {
                    let done = Instant::now();
                    let answered = Answered {
                        intended: due.unwrap_or(sent),
                        sent,
                        began: open.began().unwrap_or(done),
                        done,
                        status: open.answer().status,
                        outcomes: self.workload.judge(number, open.answer()),
                        bytes_sent: request.len() as u64,
                        bytes_received: open.answer_bytes(),
                    };
                    lock(&self.ledger).add(&answered, self.measured_from);
                    if open.closes() {
                        connection = None;
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    connection = None;
                    if !self.plan.reconnect {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The number of the next request and, in the open loop, when it was due: waits for that.
    async fn next_turn(&self) -> io::Result<Option<(u64, Option<Instant>)>> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let number = taken * self.plan.threads as u64 + self.thread;
        if number >= self.plan.requests_max {
            return Ok(None);
        }
        let Some((schedule, rate)) = self.schedule.as_ref().zip(self.plan.rate) else {
            return Ok((Instant::now() < self.end).then_some((number, None)));
        };
        let due = self.start + Duration::from_secs_f64(number as f64 / rate);
        if due >= self.end {
            return Ok(None);
        }
        schedule.until(due).await?;
        Ok((Instant::now() < self.end + DRAIN_MAX).then_some((number, Some(due))))
    }

    /// Opens the connection again. None if that is not wanted any more.
    async fn reopen(&self) -> Option<Connection> {
        let mut pause = REOPEN_PAUSE_MIN;
        while Instant::now() < self.end {
            match Connection::open(self.plan.address, self.plan.timeout, self.workload.body_bytes_max()).await
            {
                Ok(connection) => {
                    lock(&self.ledger).reconnects += 1;
                    return Some(connection);
                }
                Err(error) => {
                    self.failed(&error);
                    if !self.plan.reconnect {
                        return None;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REOPEN_PAUSE_MAX);
        }
        None
    }

    fn failed(&self, error: &ExchangeError) {
        lock(&self.ledger).failures.add(error);
    }
}

/// The part of `total` that falls to one of `threads`.
fn share_of(total: usize, threads: usize, thread: usize) -> usize {
    total / threads + usize::from(thread < total % threads)
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the system allow so many open files.
fn raise_open_files(needed: u64) -> Result<(), LoadError> {
    let allowed = open_files::allow(needed)
        .map_err(|error| LoadError::Unavailable(format!("raising the limit of open files: {error}")))?;
    if allowed >= needed {
        return Ok(());
    }
    Err(LoadError::Invalid(format!(
        "{needed} open files are needed and {allowed} are allowed: raise the hard limit (ulimit -Hn) or lower --connections"
    )))
}

/// CPU time of this process so far, from Linux's `/proc/self/stat` (`proc(5)`: fields 14 and 15, in hundredths).
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold blanks; it ends with the last bracket, behind which field 3 begins.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}
