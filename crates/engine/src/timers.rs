//! Timers: what is due at a certain instant is submitted as a command of the actor `system`.
//!
//! The domain keeps an index of its view by instant, and says what is due. Rules and reads treat what is due as
//! done already, so a timer that is late harms nobody: serving it is housekeeping.
//!
//! Invariants:
//! - Nothing is submitted before it is due by the log's time, and nothing while the wall clock is suspect. The
//!   rules look again: by the time of the batch it is decided in, it may be early (a clock that went back), and
//!   is then accepted and changes nothing.
//! - A command is never under way twice at once. It is done when the view no longer says that it is due; until
//!   then it is tried again, with growing waits, for ever. At least once: the command must be harmless when it
//!   comes again.
//! - Tenants are served in turns, and what fails keeps nobody else waiting.
//!
//! [`TimerRunner`] is a state machine that [`crate::background`] runs on a thread of its own and the simulation
//! steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use maitred_core::{Actor, Domain, Read, Seq, TenantNumber, Timestamp};
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    Envelope, Unavailable,
    background::{Machine, Round},
    backoff::Backoff,
    queue::Pending,
};

/// The most commands of timers that are under way at once.
pub const UNDER_WAY_MAX: usize = 256;
/// The most that are remembered to be under way or to wait for another try.
pub const TRIED_MAX: usize = 1_024;
/// How many of those that are due are looked at, so that tenants can be served in turns.
const LOOK_MAX: usize = 512;
/// What a timer's command counts as in the queue.
const COMMAND_BYTES: usize = 64;
/// The runner looks at least this often: the wall clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And this often while something waits for an answer or for another try.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Between two looks there is at least this, however many batches are published.
const PAUSE: Duration = Duration::from_millis(5);
/// The waits before something that is still due is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// After so many tries something is wrong, and is said once.
const TRIES_TOLD: u32 = 5;

/// A domain with timers.
pub trait Timed: Domain<Command: Clone + PartialEq> {
    /// When the next command of any tenant is due. It may be past.
    fn next_due(&self, view: &dyn Read) -> Option<Timestamp>;

    /// The commands that are due at `now`, and whose: the longest due first, at most `limit`. A command is the
    /// same whenever it is asked for, so that it is known again.
    fn due(&self, view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Self::Command)>;
}

/// Submits what is due.
pub struct TimerRunner<D: Timed> {
    domain: Arc<D>,
    tried: Vec<Tried<D>>,
    backoff: Backoff,
}

/// A command that was submitted, and that the view does not yet say to be done.
struct Tried<D: Domain> {
    tenant: TenantNumber,
    command: D::Command,
    tries: u32,
    state: State<D>,
}

enum State<D: Domain> {
    UnderWay(Pending<D>),
    /// It was decided in this batch, or on it: a view that includes it tells whether that was all.
    Decided(Seq),
    /// Until then, by the monotonic clock.
    Waits(Duration),
}

impl<D: Timed> std::fmt::Debug for TimerRunner<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "timers, {} of them tried", self.tried.len())
    }
}

impl<D: Timed> TimerRunner<D> {
    /// A runner that has tried nothing yet. `seed` is for the jitter of its waits.
    pub fn new(domain: Arc<D>, seed: u64) -> Self {
        TimerRunner { domain, tried: Vec::new(), backoff: Backoff::new(RETRY_FIRST, RETRY_MAX, seed) }
    }

    /// Takes in the answers that have arrived. What could not be decided waits.
    fn collect(&mut self, now: Duration) {
        for tried in &mut self.tried {
            let State::UnderWay(pending) = &mut tried.state else { continue };
            let unavailable = match pending.try_recv() {
                Err(TryRecvError::Empty) => continue,
                Ok(Ok(answer)) => {
                    if let Err(rejection) = &answer.result {
                        let (tenant, code) = (tried.tenant.0, &*rejection.code);
                        tracing::debug!(tenant.number = tenant, code, "a timer's command was refused");
                    }
                    tried.state = State::Decided(answer.position.seq);
                    continue;
                }
                Ok(Err(unavailable)) => unavailable,
                Err(TryRecvError::Closed) => Unavailable::Unknown,
            };
            let tenant = tried.tenant.0;
            tracing::debug!(tenant.number = tenant, reason = %unavailable, "a timer's command was not decided");
            tried.state = State::Waits(now + self.backoff.delay(tried.tries));
        }
    }

    /// Forgets what is done: what is no longer due in a view that knows of its answer. What still is waits.
    fn settle(&mut self, seq: Seq, due: &[(TenantNumber, D::Command)], now: Duration) {
        let backoff = &mut self.backoff;
        self.tried.retain_mut(|tried| {
            let is_due = || due.iter().any(|(tenant, command)| tried.is(*tenant, command));
            match tried.state {
                State::UnderWay(_) => true,
                State::Decided(decided) if decided > seq => true,
                State::Decided(_) | State::Waits(_) if !is_due() => false,
                State::Waits(_) => true,
                State::Decided(_) => {
                    if tried.tries == TRIES_TOLD {
                        let tenant = tried.tenant.0;
                        tracing::warn!(
                            tenant.number = tenant,
                            "a timer is still due after {TRIES_TOLD} tries"
                        );
                    }
                    tried.state = State::Waits(now + backoff.delay(tried.tries));
                    true
                }
            }
        });
    }

    /// Submits what has waited long enough, and what is new, as far as there is room.
    fn submit(&mut self, due: Vec<(TenantNumber, D::Command)>, round: &mut Round<'_, D>) {
        let is_under_way = |tried: &&Tried<D>| matches!(tried.state, State::UnderWay(_));
        let mut room = UNDER_WAY_MAX.saturating_sub(self.tried.iter().filter(is_under_way).count());
        let fresh =
            due.into_iter().filter(|(tenant, command)| !self.tried.iter().any(|t| t.is(*tenant, command)));
        let fresh = in_turns(fresh.collect());
        for tried in &mut self.tried {
            if room > 0 && matches!(tried.state, State::Waits(until) if until <= round.monotonic) {
                room -= 1;
                tried.tries = tried.tries.saturating_add(1);
                tried.submit(round, &mut self.backoff);
            }
        }
        let known = TRIED_MAX.saturating_sub(self.tried.len());
        for (tenant, command) in fresh.into_iter().take(room.min(known)) {
            let state = State::Waits(Duration::ZERO);
            let mut tried = Tried { tenant, command, tries: 1, state };
            tried.submit(round, &mut self.backoff);
            self.tried.push(tried);
        }
    }
}

impl<D: Timed> Tried<D> {
    fn is(&self, tenant: TenantNumber, command: &D::Command) -> bool {
        self.tenant == tenant && self.command == *command
    }

    fn submit(&mut self, round: &mut Round<'_, D>, backoff: &mut Backoff) {
        let (tenant, command) = (self.tenant, self.command.clone());
        let envelope =
            Envelope { tenant, actor: Actor::System, idempotency: None, bytes: COMMAND_BYTES, command };
        self.state = match (round.submit)(envelope) {
            Ok(pending) => State::UnderWay(pending),
            Err(_) => State::Waits(round.monotonic + backoff.delay(self.tries)),
        };
    }
}

impl<D: Timed> Machine<D> for TimerRunner<D> {
    const PAUSE: Duration = PAUSE;

    fn step(&mut self, round: &mut Round<'_, D>) -> Duration {
        self.collect(round.monotonic);
        let Some(now) = round.now else { return LOOK_EVERY };
        let due = self.domain.due(round.view, now, LOOK_MAX + self.tried.len());
        self.settle(round.view.seq(), &due, round.monotonic);
        self.submit(due, round);
        if !self.tried.is_empty() {
            return LOOK_AGAIN;
        }
        let Some(next) = self.domain.next_due(round.view) else { return LOOK_EVERY };
        let micros = next.as_micros().saturating_sub(now.as_micros()).max(0);
        Duration::from_micros(micros.unsigned_abs()).min(LOOK_EVERY)
    }
}

/// One of each tenant, then another of each, and so on; the tenants and each tenant's own in their order.
fn in_turns<C>(due: Vec<(TenantNumber, C)>) -> Vec<(TenantNumber, C)> {
    let mut lines: Vec<(TenantNumber, VecDeque<C>)> = Vec::new();
    let count = due.len();
    for (tenant, command) in due {
        match lines.iter_mut().find(|(of, _)| *of == tenant) {
            Some((_, line)) => line.push_back(command),
            None => lines.push((tenant, VecDeque::from([command]))),
        }
    }
    let mut turns = Vec::with_capacity(count);
    while turns.len() < count {
        for (tenant, line) in &mut lines {
            turns.extend(line.pop_front().map(|command| (*tenant, command)));
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_in_a_rush_waits_for_its_turn() {
        let due = [(1, 'a'), (1, 'b'), (1, 'c'), (2, 'd'), (3, 'e'), (2, 'f')];
        let due = due.map(|(tenant, command)| (TenantNumber(tenant), command)).into();
        let turns: String = in_turns(due).into_iter().map(|(_, command)| command).collect();
        assert_eq!(turns, "adebfc");
    }
}
