//! How a consumer's work is carried out: a window over the log, in which facts are done beside each other.
//!
//! Invariants:
//! - The kept cursor never passes a fact that is not done: its commands are durable or settled, or it is put aside
//!   as a dead letter, durably.
//! - Nothing is consumed that is not published.
//! - The facts of one key are done in the log's order. One that fails holds back those of its own key alone, until
//!   it is done or put aside.
//! - That the server takes no commands (a full disk, a suspect clock, overload) is no fact's fault: it is tried
//!   again for ever, and counts for no dead letter.
//! - No tenant takes all the room that there is for commands under way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use maitred_core::{Actor, At, ChangeId, Domain, Ordinal, Recorded, TenantNumber};
use tokio::sync::oneshot::error::TryRecvError;

use super::{Bookkeeping, Consumer, DeadLetter, NAME_BYTES_MAX, REASON_CHARS_MAX, Status};
use crate::{
    Envelope, Unavailable, View,
    background::{Machine, Round},
    backoff::Backoff,
    batch::Sealed,
    log::{LogError, LogReader},
    queue::Pending,
};

/// How often a fact is tried before it is put aside.
pub const ATTEMPTS_MAX: u32 = 8;
/// No further batch is looked through while so many facts are not done.
pub const WINDOW_MAX: usize = 1_024;
/// The most facts whose commands are under way at once, and of one tenant.
pub const IN_FLIGHT_MAX: usize = 256;
/// See [`IN_FLIGHT_MAX`].
pub const TENANT_IN_FLIGHT_MAX: usize = 128;
/// How many bytes of log are read in a step.
const READ_BYTES: usize = 256 * 1024;
/// A cursor is kept at most this often...
const CURSOR_EVERY: Duration = Duration::from_secs(1);
/// ...or after so many facts that were done. Without any there is no hurry.
const CURSOR_FACTS: u64 = 1_000;
/// After so many facts that were none of the consumer's it is kept too: a start looks through them again.
const CURSOR_PASSED: u64 = 100_000;
/// What a command counts as in the queue.
const COMMAND_BYTES: usize = 256;
/// The runner looks at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And this often while something is under way: a refusal comes without a batch.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Between two steps there is at least this, however many batches are published: a server in a rush publishes
/// thousands a second.
const PAUSE: Duration = Duration::from_millis(5);
/// The waits before another try.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The waits for commands to be taken again do not grow after so many.
const WAITS_MAX: u32 = 5;

/// Carries out a consumer's work.
pub struct ConsumerRunner<D: Bookkeeping> {
    domain: Arc<D>,
    consumer: Arc<dyn Consumer<D>>,
    log: Arc<dyn LogReader>,
    status: Arc<Status>,
    backoff: Backoff,
    /// Everything up to here was looked through; what is to be done of it is in the window.
    scanned: ChangeId,
    window: VecDeque<Task<D>>,
    cursor: Cursor<D>,
    /// No batch is read before then, by the monotonic clock: the log could not be read.
    read_again: Duration,
}

/// A fact to be done.
struct Task<D: Domain> {
    fact: D::Fact,
    at: At,
    key: u128,
    /// How often it failed, by its own fault.
    attempts: u32,
    /// How often in a row its commands were not taken.
    waits: u32,
    state: State<D>,
}

enum State<D: Domain> {
    /// Until then, by the monotonic clock.
    Waits(Duration),
    UnderWay(Vec<Pending<D>>, Outcome),
    /// It is being put aside.
    Parking(Pending<D>),
    Done,
}

/// What became of a fact's commands so far: the worst of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Done,
    /// Nobody could decide it at the moment.
    Unavailable,
    Failed(String),
}

/// The cursor, and whether it is worth keeping.
struct Cursor<D: Domain> {
    kept: ChangeId,
    keeping: Option<(Pending<D>, ChangeId)>,
    /// When it was last tried, by the monotonic clock.
    tried: Duration,
    /// Facts that were done since.
    done: u64,
    /// Facts that were passed since, bookkeeping not counted.
    passed: u64,
}

impl<D: Bookkeeping> std::fmt::Debug for ConsumerRunner<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, scanned) = (self.consumer.name(), self.scanned.seq);
        write!(f, "consumer {name} at batch {scanned}, {} facts not done", self.window.len())
    }
}

impl<D: Bookkeeping> ConsumerRunner<D> {
    /// A runner that goes on behind the cursor in `view`. `seed` is for the jitter of its waits.
    pub fn new(
        domain: Arc<D>,
        consumer: Arc<dyn Consumer<D>>,
        log: Arc<dyn LogReader>,
        status: Arc<Status>,
        view: &View,
        seed: u64,
    ) -> Self {
        let name = consumer.name();
        assert!((1..=NAME_BYTES_MAX).contains(&name.len()), "{name} is no consumer's name");
        let kept = domain.cursor(view, name);
        let cursor = Cursor { kept, keeping: None, tried: Duration::ZERO, done: 0, passed: 0 };
        let backoff = Backoff::new(RETRY_FIRST, RETRY_MAX, seed);
        let (window, read_again) = (VecDeque::new(), Duration::ZERO);
        ConsumerRunner { domain, consumer, log, status, backoff, scanned: kept, window, cursor, read_again }
    }

    /// What it does is counted here.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Everything up to here is done.
    fn done(&self) -> ChangeId {
        self.window.front().map_or(self.scanned, |task| before(task.at))
    }

    // ---- reading --------------------------------------------------------------------------------------

    /// Looks through further batches. True when there may be more to read at once.
    fn read(&mut self, view: &View, now: Duration) -> bool {
        if now < self.read_again {
            return false;
        }
        let mut bytes = 0;
        while self.window.len() < WINDOW_MAX && bytes < READ_BYTES {
            let ChangeId { seq, ordinal } = self.scanned;
            // The first batch is number 1, and `(0, 0)` stands before it.
            let next = if ordinal == Ordinal::MAX { seq + 1 } else { seq.max(1) };
            if next > view.seq() {
                return false; // the log may have it already: it is read when it is published
            }
            let batches = match self.log.read(next, READ_BYTES - bytes) {
                Ok(batches) => batches,
                Err(error) => return self.cannot_read(&error, now),
            };
            for batch in batches.iter().take_while(|batch| batch.header.seq <= view.seq()) {
                if self.window.len() >= WINDOW_MAX {
                    return true;
                }
                if let Err(error) = self.scan(batch) {
                    return self.cannot_read(&error, now);
                }
                bytes += batch.bytes.len();
            }
            if batches.is_empty() {
                return false; // published, and not in the log: a view that is ahead is another's worry (I4)
            }
        }
        self.window.len() < WINDOW_MAX
    }

    fn cannot_read(&mut self, error: &LogError, now: Duration) -> bool {
        tracing::error!(consumer = self.consumer.name(), error = %error, "the log cannot be read; trying again");
        self.read_again = now + RETRY_MAX;
        false
    }

    /// Puts into the window what is to be done of a batch.
    fn scan(&mut self, batch: &Sealed) -> Result<(), LogError> {
        let (seq, timestamp) = (batch.header.seq, batch.header.timestamp);
        let unreadable = |what: String| LogError::DataLoss(format!("batch {seq}: {what}"));
        let (mut tasks, mut passed, mut ordinal) = (Vec::new(), 0, 0);
        for item in batch.items() {
            let item = item.map_err(|error| unreadable(error.to_string()))?;
            for raw in &item.facts {
                let at = At { tenant: item.tenant, seq, ordinal, timestamp };
                ordinal += 1;
                passed += u64::from(!self.domain.is_bookkeeping(raw.kind));
                let is_new = ChangeId { seq, ordinal: at.ordinal } > self.scanned;
                if !is_new || !self.consumer.wants(raw.kind) {
                    continue;
                }
                let fact = D::Fact::decode(raw.kind, raw.version, raw.body)
                    .map_err(|error| unreadable(error.to_string()))?;
                if let Some(key) = self.consumer.key(&fact, at) {
                    let state = State::Waits(Duration::ZERO);
                    tasks.push(Task { fact, at, key, attempts: 0, waits: 0, state });
                }
            }
        }
        self.window.extend(tasks);
        self.cursor.passed += passed;
        self.scanned = ChangeId { seq, ordinal: Ordinal::MAX };
        Ok(())
    }

    // ---- doing ----------------------------------------------------------------------------------------

    /// Takes in the answers that have arrived.
    fn collect(&mut self, round: &mut Round<'_, D>) {
        let mut window = std::mem::take(&mut self.window);
        for task in &mut window {
            let settled = match &mut task.state {
                State::UnderWay(pendings, worst) => {
                    pendings.retain_mut(|pending| match answered(&*self.consumer, pending) {
                        None => true,
                        Some(outcome) => {
                            *worst = outcome.max(worst.clone());
                            false
                        }
                    });
                    pendings.is_empty().then(|| std::mem::replace(worst, Outcome::Done))
                }
                State::Parking(pending) => match pending.try_recv() {
                    Err(TryRecvError::Empty) => None,
                    Ok(Ok(answer)) if answer.result.is_ok() => {
                        self.status.parked.fetch_add(1, Relaxed);
                        Some(Outcome::Done)
                    }
                    _ => Some(Outcome::Unavailable), // it is tried itself once more, then put aside again
                },
                State::Waits(_) | State::Done => None,
            };
            if let Some(outcome) = settled {
                self.settle(task, outcome, round);
            }
        }
        self.window = window;
        while self.window.pop_front_if(|task| matches!(task.state, State::Done)).is_some() {}
    }

    /// Starts what may be started. Returns when the next one may be, by the monotonic clock.
    fn start(&mut self, round: &mut Round<'_, D>) -> Option<Duration> {
        let mut window = std::mem::take(&mut self.window);
        let (mut in_flight, mut earliest) = (0, None);
        let mut of_tenant: HashMap<TenantNumber, usize> = HashMap::new();
        for task in &window {
            if matches!(task.state, State::UnderWay(..) | State::Parking(_)) {
                in_flight += 1;
                *of_tenant.entry(task.at.tenant).or_default() += 1;
            }
        }
        let mut keys: HashSet<(TenantNumber, u128)> = HashSet::new();
        for task in window.iter_mut().filter(|task| !matches!(task.state, State::Done)) {
            if !keys.insert((task.at.tenant, task.key)) {
                continue; // an earlier one of its key is not done
            }
            let State::Waits(until) = task.state else { continue };
            if until > round.monotonic {
                earliest = Some(earliest.map_or(until, |earliest: Duration| earliest.min(until)));
                continue;
            }
            let of_tenant = of_tenant.entry(task.at.tenant).or_default();
            if in_flight < IN_FLIGHT_MAX && *of_tenant < TENANT_IN_FLIGHT_MAX {
                in_flight += 1;
                *of_tenant = if self.attempt(task, round) { *of_tenant + 1 } else { TENANT_IN_FLIGHT_MAX };
            }
        }
        self.window = window;
        while self.window.pop_front_if(|task| matches!(task.state, State::Done)).is_some() {}
        earliest
    }

    /// Tries a fact: asks the consumer, and submits what it says. False when its tenant's line is full, or no
    /// commands are taken at all.
    fn attempt(&mut self, task: &mut Task<D>, round: &mut Round<'_, D>) -> bool {
        let consume = || self.consumer.consume(round.view, &task.fact, task.at);
        let consumed = catch_unwind(AssertUnwindSafe(consume));
        let commands = consumed.unwrap_or_else(|_| Err("the consumer panicked".into()));
        let (mut pendings, mut worst) = (Vec::new(), Outcome::Done);
        match commands {
            Err(reason) => worst = Outcome::Failed(reason),
            Ok(commands) => {
                for command in commands {
                    match (round.submit)(envelope(task.at.tenant, command)) {
                        Ok(pending) => pendings.push(pending),
                        Err(_) => {
                            worst = Outcome::Unavailable;
                            break;
                        }
                    }
                }
            }
        }
        let taken = worst != Outcome::Unavailable;
        if pendings.is_empty() {
            self.settle(task, worst, round);
        } else {
            task.state = State::UnderWay(pendings, worst);
        }
        taken
    }

    /// A fact's attempt has come to its end.
    fn settle(&mut self, task: &mut Task<D>, outcome: Outcome, round: &mut Round<'_, D>) {
        match outcome {
            Outcome::Done => {
                task.state = State::Done;
                self.cursor.done += 1;
                self.status.facts.fetch_add(1, Relaxed);
                return;
            }
            Outcome::Unavailable => task.waits = WAITS_MAX.min(task.waits + 1),
            Outcome::Failed(reason) => {
                (task.attempts, task.waits) = (task.attempts.saturating_add(1), 0);
                self.status.failures.fetch_add(1, Relaxed);
                if task.attempts >= ATTEMPTS_MAX {
                    let letter = self.letter(task, &reason);
                    let park = envelope(TenantNumber::SYSTEM, self.domain.park(letter));
                    if let Ok(pending) = (round.submit)(park) {
                        task.state = State::Parking(pending);
                        return;
                    }
                }
            }
        }
        let delay = self.backoff.delay(task.attempts.max(task.waits));
        task.state = State::Waits(round.monotonic + delay);
    }

    fn letter(&self, task: &Task<D>, reason: &str) -> DeadLetter {
        let (consumer, At { tenant, seq, ordinal, timestamp }) = (self.consumer.name(), task.at);
        if task.attempts == ATTEMPTS_MAX {
            tracing::error!(
                consumer,
                tenant.number = tenant.0,
                fact.seq = seq,
                fact.ordinal = ordinal,
                reason,
                "a consumer cannot deal with a fact: it is put aside as a dead letter"
            );
        }
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let (fact, attempts) = (ChangeId { seq, ordinal }, task.attempts);
        DeadLetter { consumer, fact, decided_at: timestamp, tenant, key: task.key, attempts, reason }
    }

    // ---- the cursor -----------------------------------------------------------------------------------

    /// Keeps the cursor where that is worth it.
    fn keep_cursor(&mut self, round: &mut Round<'_, D>) {
        let done = self.done();
        let cursor = &mut self.cursor;
        if let Some((pending, place)) = &mut cursor.keeping {
            match pending.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(Ok(answer)) if answer.result.is_ok() => cursor.kept = *place,
                _ => cursor.done = cursor.done.max(1), // it is worth another try
            }
            cursor.keeping = None;
        }
        let for_time = round.monotonic.saturating_sub(cursor.tried) >= CURSOR_EVERY;
        let is_worth_it =
            cursor.done >= CURSOR_FACTS || cursor.passed >= CURSOR_PASSED || for_time && cursor.done > 0;
        if !is_worth_it || done <= cursor.kept {
            return;
        }
        let keep = self.domain.keep_cursor(self.consumer.name(), done);
        if let Ok(pending) = (round.submit)(envelope(TenantNumber::SYSTEM, keep)) {
            cursor.keeping = Some((pending, done));
            (cursor.done, cursor.passed) = (0, 0);
        }
        cursor.tried = round.monotonic;
    }
}

impl<D: Bookkeeping> Machine<D> for ConsumerRunner<D> {
    const PAUSE: Duration = PAUSE;

    fn step(&mut self, round: &mut Round<'_, D>) -> Duration {
        self.collect(round);
        let more = self.read(round.view, round.monotonic);
        let earliest = self.start(round);
        self.keep_cursor(round);
        let done = self.done();
        let done_seq = if done.ordinal == Ordinal::MAX { done.seq } else { done.seq.saturating_sub(1) };
        self.status.set(done_seq, self.window.len(), self.window.front().map(|task| task.at.timestamp));
        if more {
            return Duration::ZERO;
        }
        let in_flight = |task: &Task<D>| matches!(task.state, State::UnderWay(..) | State::Parking(_));
        let look = if self.cursor.keeping.is_some() || self.window.iter().any(in_flight) {
            LOOK_AGAIN
        } else {
            LOOK_EVERY
        };
        earliest.map_or(look, |earliest| look.min(earliest.saturating_sub(round.monotonic)).max(PAUSE))
    }
}

/// What an answer means for the fact that its command came of.
fn answered<D: Domain>(consumer: &dyn Consumer<D>, pending: &mut Pending<D>) -> Option<Outcome> {
    Some(match pending.try_recv() {
        Err(TryRecvError::Empty) => return None,
        Ok(Ok(answer)) => match answer.result {
            Ok(_) => Outcome::Done,
            Err(rejection) if consumer.is_settled(&rejection) => Outcome::Done,
            Err(rejection) => Outcome::Failed(format!("{}: {}", rejection.code, rejection.detail)),
        },
        Ok(Err(Unavailable::Bug)) => Outcome::Failed("deciding its command panicked".into()),
        Ok(Err(_)) | Err(TryRecvError::Closed) => Outcome::Unavailable,
    })
}

fn envelope<C>(tenant: TenantNumber, command: C) -> Envelope<C> {
    Envelope { tenant, actor: Actor::System, idempotency: None, bytes: COMMAND_BYTES, command }
}

/// The last place before a fact.
fn before(At { seq, ordinal, .. }: At) -> ChangeId {
    match (seq, ordinal.checked_sub(1)) {
        (seq, Some(ordinal)) => ChangeId { seq, ordinal },
        (1, None) => ChangeId::default(),
        (seq, None) => ChangeId { seq: seq - 1, ordinal: Ordinal::MAX },
    }
}
