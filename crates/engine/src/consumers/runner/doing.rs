//! What becomes of the facts in the window: tried, done, tried again, put aside.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use maitred_core::{At, ChangeId, Domain, Seq, TenantNumber};
use tokio::sync::oneshot::error::TryRecvError;

use super::{
    ATTEMPTS_MAX, ConsumerRunner, Heard, IN_FLIGHT_MAX, TENANT_IN_FLIGHT_MAX, envelope, heard, place,
};
use crate::{
    Unavailable,
    background::Round,
    consumers::{Bookkeeping, Consumer, DeadLetter, Hold, KeyStanding, Note, Part, REASON_CHARS_MAX},
    queue::Pending,
};

/// The waits for commands to be taken again do not grow after so many.
const WAITS_MAX: u32 = 5;
/// The reason of a dead letter that was not tried.
pub const KEY_PARKED: &str = "an earlier fact of its key is put aside";
/// The reason of a dead letter that ended the process, or seemed to, every time that it was tried.
pub const CRASHED: &str = "the process ended while it was tried";

/// A fact to be done.
pub(super) struct Task<D: Domain> {
    /// `None`: there is nothing to do about it any more.
    pub(super) fact: Option<D::Fact>,
    pub(super) at: At,
    pub(super) key: u128,
    /// Whether it was put aside before.
    pub(super) taken_up: bool,
    /// From where its next part goes on ([`Consumer::consume_part`]).
    pub(super) from: u64,
    /// From where the part behind the one under way goes on.
    pub(super) next: Option<u64>,
    /// How often it failed, by its own fault.
    pub(super) attempts: u32,
    /// How often in a row its commands were not taken.
    pub(super) waits: u32,
    pub(super) state: State<D>,
}

pub(super) enum State<D: Domain> {
    /// Until then, by the monotonic clock.
    Waits(Duration),
    /// It is being said that it is tried next.
    Announcing(Pending<D>),
    /// That is known.
    Announced,
    UnderWay(Vec<Pending<D>>, Outcome),
    /// It is being put aside.
    Parking(Pending<D>),
    /// It was taken up, is done, and that is being said.
    Settling(Pending<D>),
    /// It is put aside, or settled, since this batch: done for whoever looks at a view that includes it.
    Noted(Seq),
    Done,
}

impl<D: Domain> State<D> {
    pub(super) fn is_in_flight(&self) -> bool {
        matches!(
            self,
            State::Announcing(_)
                | State::Announced
                | State::UnderWay(..)
                | State::Parking(_)
                | State::Settling(_)
        )
    }
}

/// What became of a fact's commands so far: the worst of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Done,
    /// Nobody could decide it at the moment.
    Unavailable,
    Failed(String),
}

impl<D: Domain> Task<D> {
    pub(super) fn new(fact: Option<D::Fact>, at: At, key: u128) -> Self {
        let state = State::Waits(Duration::ZERO);
        Task { fact, at, key, taken_up: false, from: 0, next: None, attempts: 0, waits: 0, state }
    }
}

impl<D: Bookkeeping> ConsumerRunner<D> {
    /// Drops from the window what is done.
    fn trim(&mut self) {
        self.window.retain(|task| !matches!(task.state, State::Done));
    }

    /// Takes in the answers that have arrived.
    pub(super) fn collect(&mut self, round: &mut Round<'_, D>) {
        let super::Claim::Held(hold, _) = self.claim else { return };
        let (mut window, mut taken_up) =
            (std::mem::take(&mut self.window), std::mem::take(&mut self.taken_up));
        let mut superseded = false;
        for task in taken_up.iter_mut().chain(&mut window) {
            superseded |= self.collect_one(task, hold, round).is_err();
        }
        (self.window, self.taken_up) = (window, taken_up);
        if superseded {
            return self.supersede();
        }
        self.taken_up.retain(|task| !matches!(task.state, State::Done));
        self.trim();
    }

    /// Takes in what has arrived for one fact. An error where another runner has claimed the consumer.
    fn collect_one(&mut self, task: &mut Task<D>, hold: Hold, round: &mut Round<'_, D>) -> Result<(), ()> {
        let parks = matches!(task.state, State::Parking(_));
        match &mut task.state {
            State::UnderWay(pendings, worst) => {
                pendings.retain_mut(|pending| match answered(&*self.consumer, pending) {
                    None => true,
                    Some(outcome) => {
                        *worst = outcome.max(worst.clone());
                        false
                    }
                });
                if pendings.is_empty() {
                    let outcome = std::mem::replace(worst, Outcome::Done);
                    self.settle(task, outcome, hold, round);
                }
            }
            State::Announcing(pending) => match heard::<D>(pending) {
                None => {}
                Some(Heard::Kept(_)) => task.state = State::Announced,
                Some(Heard::Superseded) => return Err(()),
                Some(Heard::Not) => self.settle(task, Outcome::Unavailable, hold, round),
            },
            State::Parking(pending) | State::Settling(pending) => match heard::<D>(pending) {
                None => {}
                Some(Heard::Kept(seq)) => {
                    self.status.parked.fetch_add(u64::from(parks), Relaxed);
                    self.cursor.done += 1;
                    self.status.facts.fetch_add(1, Relaxed);
                    task.state = State::Noted(seq);
                }
                Some(Heard::Superseded) => return Err(()),
                // It is tried itself once more, then put aside again.
                Some(Heard::Not) => self.settle(task, Outcome::Unavailable, hold, round),
            },
            State::Noted(_) | State::Waits(_) | State::Announced | State::Done => {}
        }
        if let State::Noted(seq) = task.state
            && seq <= round.view.seq()
        {
            task.state = State::Done;
        }
        Ok(())
    }

    /// Starts what may be started; up to `careful` one at a time, and of those that were put aside always. Returns when
    /// the next one may be, by the monotonic clock.
    pub(super) fn start(
        &mut self,
        hold: Hold,
        careful: ChangeId,
        round: &mut Round<'_, D>,
    ) -> Option<Duration> {
        let is_careful = self.done() < careful;
        let (mut window, mut taken_up) =
            (std::mem::take(&mut self.window), std::mem::take(&mut self.taken_up));
        let (mut in_flight, mut again, mut earliest) = (0, false, None);
        let mut of_tenant: HashMap<TenantNumber, usize> = HashMap::new();
        for task in taken_up.iter().chain(&window).filter(|task| task.state.is_in_flight()) {
            in_flight += 1;
            again |= task.taken_up;
            *of_tenant.entry(task.at.tenant).or_default() += 1;
        }
        let most = if is_careful { 1 } else { IN_FLIGHT_MAX };
        let mut keys: HashSet<(TenantNumber, u128)> = HashSet::new();
        for task in taken_up.iter_mut().chain(&mut window).filter(|task| !matches!(task.state, State::Done)) {
            if !keys.insert((task.at.tenant, task.key)) {
                continue; // an earlier one of its key is not done
            }
            match task.state {
                State::Announced => {
                    self.attempt(task, hold, round);
                    earliest = sooner(earliest, task);
                    continue;
                }
                State::Waits(until) if until > round.monotonic => {
                    earliest = sooner(earliest, task);
                    continue;
                }
                State::Waits(_) => {}
                _ => continue,
            }
            let of_tenant = of_tenant.entry(task.at.tenant).or_default();
            if in_flight < most && *of_tenant < TENANT_IN_FLIGHT_MAX && !(again && task.taken_up) {
                let taken = self.begin(task, hold, is_careful || task.taken_up, round);
                in_flight += usize::from(task.state.is_in_flight());
                again |= task.taken_up && task.state.is_in_flight();
                *of_tenant = if taken { *of_tenant + 1 } else { TENANT_IN_FLIGHT_MAX };
                earliest = sooner(earliest, task);
            }
        }
        (self.window, self.taken_up) = (window, taken_up);
        self.trim();
        earliest
    }

    /// Tries a fact, or says first that it will be, or puts it aside behind others of its key. False when its tenant's
    /// line is full, or no commands are taken at all.
    fn begin(&mut self, task: &mut Task<D>, hold: Hold, careful: bool, round: &mut Round<'_, D>) -> bool {
        let name = hold.consumer;
        let key = if task.taken_up {
            KeyStanding::Free // the order of those that were put aside is their own
        } else {
            self.domain.key_standing(round.view, name, task.at.tenant, task.key)
        };
        match key {
            KeyStanding::TakenUp => return true, // until a view says otherwise
            KeyStanding::Parked => return self.park(task, KEY_PARKED, hold, round),
            KeyStanding::Free => {}
        }
        if !careful {
            return self.attempt(task, hold, round);
        }
        let crashes = self.domain.crashes(round.view, hold, place(task.at));
        if crashes.saturating_add(task.attempts) >= ATTEMPTS_MAX {
            task.attempts = task.attempts.saturating_add(crashes);
            return self.park(task, CRASHED, hold, round);
        }
        match self.say(hold, Note::Trying(place(task.at)), round) {
            Some(pending) => task.state = State::Announcing(pending),
            None => self.settle(task, Outcome::Unavailable, hold, round),
        }
        true
    }

    /// Tries a fact: asks the consumer, and submits what it says. False when its tenant's line is full, or no
    /// commands are taken at all.
    fn attempt(&mut self, task: &mut Task<D>, hold: Hold, round: &mut Round<'_, D>) -> bool {
        self.status.attempts.fetch_add(1, Relaxed);
        let part = match &task.fact {
            None => Ok(Part { commands: Vec::new(), next: None }),
            Some(fact) => {
                let consume = || self.consumer.consume_part(round.view, fact, task.at, task.from);
                let consumed = catch_unwind(AssertUnwindSafe(consume));
                consumed.unwrap_or_else(|_| Err("the consumer panicked".into()))
            }
        };
        let (mut pendings, mut worst) = (Vec::new(), Outcome::Done);
        match part {
            Err(reason) => worst = Outcome::Failed(reason),
            Ok(Part { commands, next }) => {
                task.next = next;
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
            self.settle(task, worst, hold, round);
        } else {
            task.state = State::UnderWay(pendings, worst);
        }
        taken
    }

    /// A fact's attempt has come to its end.
    fn settle(&mut self, task: &mut Task<D>, outcome: Outcome, hold: Hold, round: &mut Round<'_, D>) {
        match outcome {
            Outcome::Done if task.next.is_some() => {
                task.from = task.next.take().unwrap_or(task.from);
                (task.attempts, task.waits) = (0, 0);
                task.state = State::Waits(round.monotonic);
                return;
            }
            Outcome::Done if task.taken_up => {
                if let Some(pending) = self.say(hold, Note::Settle(place(task.at)), round) {
                    task.state = State::Settling(pending);
                    return;
                }
                task.waits = WAITS_MAX.min(task.waits + 1);
            }
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
                if task.attempts >= ATTEMPTS_MAX && self.park(task, &reason, hold, round) {
                    return;
                }
            }
        }
        let delay = self.backoff.delay(task.attempts.max(task.waits));
        task.state = State::Waits(round.monotonic + delay);
    }

    /// Puts a fact aside. False when no commands are taken.
    fn park(&mut self, task: &mut Task<D>, reason: &str, hold: Hold, round: &mut Round<'_, D>) -> bool {
        let letter = self.letter(task, reason);
        match self.say(hold, Note::Park(letter), round) {
            Some(pending) => task.state = State::Parking(pending),
            None => {
                task.waits = WAITS_MAX.min(task.waits + 1);
                task.state = State::Waits(round.monotonic + self.backoff.delay(task.waits));
                return false;
            }
        }
        true
    }

    fn letter(&self, task: &Task<D>, reason: &str) -> DeadLetter {
        let (consumer, At { tenant, seq, ordinal, timestamp }) = (self.consumer.name(), task.at);
        let (tenant_number, attempts) = (tenant.0, task.attempts);
        if reason == KEY_PARKED {
            tracing::debug!(
                consumer,
                tenant.number = tenant_number,
                fact.seq = seq,
                fact.ordinal = ordinal,
                reason,
                "put aside"
            );
        } else {
            tracing::error!(
                consumer,
                tenant.number = tenant_number,
                fact.seq = seq,
                fact.ordinal = ordinal,
                attempts,
                reason,
                "a consumer cannot deal with a fact: it is put aside as a dead letter"
            );
        }
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let (fact, key) = (ChangeId { seq, ordinal }, task.key);
        DeadLetter { consumer, fact, decided_at: timestamp, tenant, key, attempts, reason }
    }
}

/// When the next task may be started, this one included.
fn sooner<D: Domain>(earliest: Option<Duration>, task: &Task<D>) -> Option<Duration> {
    match task.state {
        State::Waits(until) => Some(earliest.map_or(until, |earliest| earliest.min(until))),
        _ => earliest,
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
