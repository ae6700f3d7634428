//! How changes become deliveries: a state machine without threads, clocks or I/O, as [`maitred_engine::background`] has
//! them. The program calls [`Dispatcher::step`] whenever something is published, answered or due, sends the jobs that it
//! is given, and says by [`Dispatcher::finished`] what came of each.
//!
//! Invariants:
//! - Of one record at most one change is under way to an endpoint, whichever way it came: by the feed, a lane, a replay.
//! - What is counted as done of the feed is delivered, or its lane was seen in a view.
//! - An endpoint has one delivery under way at first, and one more with every answer, up to
//!   [`ENDPOINT_IN_FLIGHT_MAX`]; none is begun while it lets one wait for [`SLOW_AFTER`]. What is answered at once shares
//!   [`PROMPT_IN_FLIGHT_MAX`] places, [`TENANT_IN_FLIGHT_MAX`] of them for one tenant, and what is slow is not counted
//!   there; those who failed the last time share [`AILING_IN_FLIGHT_MAX`]. So whoever answers is kept waiting by those
//!   who hang for [`SLOW_AFTER`] at most. Endpoints are served in turns.
//! - An endpoint that fails [`AILING_AFTER`] times in a row is asked one at a time, ever more seldom, at least every
//!   [`PAUSE_MAX`]; when it answers again, all that waits for it is tried at once.
//!
//! Next: [`follower`] for what is known of one endpoint.

mod follower;
mod noting;
mod schedule;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use maitred_core::{ChangeId, Seq, TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_engine::queue::Pending;
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

use super::courier::{Answered, Job, Remembered, Webhooks};
use super::fact::{Cursor, Place};
use super::rules::CURSORS_MAX;
use super::{Command, view};
use crate::{Booking, tenants};
use follower::{Follower, Picked, Source};
use schedule::Random;

/// The most deliveries under way at once, slow ones included.
pub const IN_FLIGHT_MAX: usize = 512;
/// The most that are not slow, to endpoints whose last delivery did not fail.
pub const PROMPT_IN_FLIGHT_MAX: usize = 96;
/// The most of these of one tenant.
pub const TENANT_IN_FLIGHT_MAX: usize = 32;
/// A delivery that is not answered by then is slow.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);
/// The most of one endpoint.
pub const ENDPOINT_IN_FLIGHT_MAX: usize = 8;
/// The most to endpoints whose last delivery failed.
pub const AILING_IN_FLIGHT_MAX: usize = 32;
/// After so many failures in a row an endpoint is asked one at a time.
pub const AILING_AFTER: u32 = 5;
/// An endpoint that fails is asked at least this often, as long as there is something for it.
pub const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// The most changes that are read of a feed and are not done.
pub const WINDOW_MAX: usize = 256;
/// Cursors are kept at most this often.
const CURSORS_EVERY: Duration = Duration::from_secs(1);
/// It looks at least this often,
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// and this often while it waits for the answer to a command, or has more to read.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

type Key = (TenantNumber, Uuid);

/// Enters a command of the actor `system` into a tenant's line; `None` where it is not taken at the moment.
pub type Submit<'a> = &'a mut dyn FnMut(TenantNumber, Command) -> Option<Pending<Booking>>;

/// Turns changes into deliveries.
#[derive(Debug)]
pub struct Dispatcher {
    followers: BTreeMap<Key, Follower>,
    flights: HashMap<u64, Flight>,
    /// The number of the last job.
    last: u64,
    /// Whose turn was last.
    turn: Key,
    /// What was read of the endpoints is as of this batch.
    read: Option<Seq>,
    keeping: Option<(Pending<Booking>, Vec<Cursor>)>,
    kept_at: Timestamp,
    /// Whose cursor was kept last.
    kept_last: Key,
    random: Random,
}

/// A delivery under way.
#[derive(Debug)]
struct Flight {
    key: Key,
    change: ChangeId,
    source: Source,
    began: Timestamp,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Step {
    /// To be sent, each with the number for [`Dispatcher::finished`].
    pub jobs: Vec<(u64, Job)>,
    /// The next step is due after this at the latest.
    pub patience: Duration,
}

impl Dispatcher {
    /// A dispatcher that goes on behind the cursors in the view. `seed` is for the jitter of its waits.
    pub fn new(seed: u64) -> Self {
        Dispatcher {
            followers: BTreeMap::new(),
            flights: HashMap::new(),
            last: 0,
            turn: (TenantNumber::SYSTEM, Uuid::nil()),
            read: None,
            keeping: None,
            kept_at: Timestamp::default(),
            kept_last: (TenantNumber::SYSTEM, Uuid::nil()),
            random: Random::new(seed),
        }
    }

    /// Does what can be done without waiting.
    pub fn step(&mut self, view: &View, now: Timestamp, webhooks: &Webhooks, submit: Submit<'_>) -> Step {
        if self.read != Some(view.seq()) {
            self.refresh(view, webhooks);
            self.read = Some(view.seq());
        }
        let mut more = false;
        for ((tenant, _), follower) in &mut self.followers {
            more |= follower.note(view, now, &mut |command| submit(*tenant, command));
            more |= follower.read(view, *tenant);
        }
        let jobs = self.start(view, now);
        let keeping = self.keep_cursors(now, submit);
        self.report(view, webhooks);
        let busy = more || keeping;
        Step { jobs, patience: if busy { LOOK_AGAIN } else { LOOK_EVERY } }
    }

    /// Notes what is not noted yet before a stop, without waiting for an answer.
    pub fn leave(&mut self, view: &View, now: Timestamp, submit: Submit<'_>) {
        for ((tenant, _), follower) in &mut self.followers {
            follower.note(view, now, &mut |command| submit(*tenant, command));
        }
        (self.kept_at, self.keeping) = (Timestamp::default(), None);
        self.keep_cursors(now, submit);
    }

    /// Says what came of a job.
    pub fn finished(&mut self, number: u64, answered: &Answered, now: Timestamp, webhooks: &Webhooks) {
        let Some(Flight { key, change, source, began }) = self.flights.remove(&number) else { return };
        let (attempt, delivered) = (answered.attempt(began), answered.is_delivered());
        webhooks.status.count(answered);
        webhooks.remember(key.0, key.1, Remembered { change, attempt: attempt.clone(), delivered });
        if let Some(follower) = self.followers.get_mut(&key) {
            let retry_after = answered.result.as_ref().ok().and_then(|answer| answer.retry_after);
            follower.finished(source, change, (attempt, retry_after), now, &mut self.random);
        }
    }

    /// Reads which endpoints there are, and what has changed of them.
    fn refresh(&mut self, view: &View, webhooks: &Webhooks) {
        let mut gone = std::mem::take(&mut self.followers);
        let mut open = (TenantNumber::SYSTEM, false);
        view::states(view, &mut |tenant, id, state| {
            let key = (tenant, id);
            // They come tenant by tenant.
            if open.0 != tenant {
                open = (tenant, tenants::tenant(view, tenant).is_some());
            }
            if !open.1 {
                return;
            }
            let follower = match gone.remove(&key) {
                Some(follower) if follower.is_current(&state) => Some(follower),
                other => Follower::refreshed(other, view, key, &state, webhooks),
            };
            if let Some(follower) = follower {
                self.followers.insert(key, follower);
            }
        });
        for key in gone.into_keys() {
            if view::state(view, key.0, key.1).is_none() {
                webhooks.forget(key.0, key.1);
            }
        }
    }

    /// Starts what may be started, an endpoint after the other, one delivery each, as long as there is any.
    fn start(&mut self, view: &View, now: Timestamp) -> Vec<(u64, Job)> {
        let mut jobs = Vec::new();
        let (mut ailing, mut prompt, mut slow) = (0, 0, BTreeSet::new());
        let mut of_tenant: HashMap<TenantNumber, usize> = HashMap::new();
        for Flight { key, began, .. } in self.flights.values() {
            if now > schedule::later(*began, SLOW_AFTER) {
                slow.insert(*key);
            } else if self.followers.get(key).is_some_and(|follower| !follower.is_ailing()) {
                prompt += 1;
                *of_tenant.entry(key.0).or_default() += 1;
            }
            ailing += usize::from(self.followers.get(key).is_some_and(Follower::is_ailing));
        }
        let behind: Vec<Key> = self.followers.range(self.turn..).map(|(key, _)| *key).collect();
        let before = self.followers.range(..self.turn).map(|(key, _)| *key);
        let mut turns: Vec<Key> = behind.into_iter().chain(before).collect();
        if turns.first() == Some(&self.turn) {
            turns.rotate_left(1);
        }
        while !turns.is_empty() && self.flights.len() < IN_FLIGHT_MAX {
            turns.retain(|key| {
                let tenant = of_tenant.entry(key.0).or_default();
                let Some(follower) = self.followers.get_mut(key) else { return false };
                let is_ailing = follower.is_ailing();
                let has_place = match is_ailing {
                    true => ailing < AILING_IN_FLIGHT_MAX,
                    false => prompt < PROMPT_IN_FLIGHT_MAX && *tenant < TENANT_IN_FLIGHT_MAX,
                };
                if !has_place || slow.contains(key) || self.flights.len() >= IN_FLIGHT_MAX {
                    return false;
                }
                let Some(Picked { change, source, payload }) = follower.pick(view, key.0, now) else {
                    return false;
                };
                self.last += 1;
                self.turn = *key;
                if is_ailing {
                    ailing += 1;
                } else {
                    prompt += 1;
                    *tenant += 1;
                }
                follower.begin(source, change);
                jobs.push((self.last, follower.job(view, key.1, change, payload, now)));
                self.flights.insert(self.last, Flight { key: *key, change, source, began: now });
                true
            });
        }
        jobs
    }

    /// Keeps the cursors that have moved. True while it waits for that.
    fn keep_cursors(&mut self, now: Timestamp, submit: Submit<'_>) -> bool {
        if let Some((pending, cursors)) = &mut self.keeping {
            match pending.try_recv() {
                Err(TryRecvError::Empty) => return true,
                Ok(Ok(answer)) if answer.result.is_ok() => {
                    for cursor in cursors {
                        let key = (TenantNumber(cursor.tenant), cursor.endpoint);
                        if let Some(follower) = self.followers.get_mut(&key) {
                            follower.kept(cursor);
                        }
                    }
                    self.keeping = None;
                }
                // They are kept the next time.
                _ => self.keeping = None,
            }
        }
        let since = now.as_micros().saturating_sub(self.kept_at.as_micros());
        if (0..CURSORS_EVERY.as_micros() as i64).contains(&since) {
            return false;
        }
        let moved = |(key, follower): (&Key, &Follower)| {
            let (through, replayed) = follower.moved()?;
            Some(Cursor { tenant: key.0.0, endpoint: key.1, through, replayed })
        };
        // In turns too: there may be more than one command takes.
        let behind = self.followers.range((Excluded(self.kept_last), Unbounded));
        let turns = behind.chain(self.followers.range(..=self.kept_last));
        let cursors: Vec<Cursor> = turns.filter_map(moved).take(CURSORS_MAX).collect();
        let Some(last) = cursors.last() else { return false };
        self.kept_last = (TenantNumber(last.tenant), last.endpoint);
        self.kept_at = now;
        self.keeping = submit(TenantNumber::SYSTEM, Command::KeepCursors(cursors.clone()))
            .map(|pending| (pending, cursors));
        self.keeping.is_some()
    }

    fn report(&self, view: &View, webhooks: &Webhooks) {
        let (mut depth, mut oldest) = (0, None);
        for follower in self.followers.values() {
            depth += follower.depth();
            oldest = oldest.into_iter().chain(follower.oldest(view)).min();
        }
        webhooks.status.depth.store(depth as u64, Relaxed);
        webhooks.status.oldest.store(oldest.map_or(0, Timestamp::as_micros), Relaxed);
    }
}

/// The id of a delivery, the same at every attempt: of an endpoint and a change.
pub fn delivery_id(partition: u32, endpoint: Uuid, change: ChangeId) -> String {
    let ChangeId { seq, ordinal } = change;
    format!("msg_{}_{partition}_{seq}_{ordinal}", endpoint.simple())
}

/// The change of a delivery of this endpoint and partition.
pub fn read_delivery_id(text: &str, partition: u32, endpoint: Uuid) -> Option<ChangeId> {
    let mut parts = text.strip_prefix("msg_")?.strip_prefix(&endpoint.simple().to_string())?.split('_');
    let (nothing, there) = (parts.next()?, parts.next()?.parse::<u32>().ok()?);
    let change = ChangeId { seq: parts.next()?.parse().ok()?, ordinal: parts.next()?.parse().ok()? };
    (nothing.is_empty() && there == partition && parts.next().is_none()).then_some(change)
}

/// The place before a change: all before it is done.
fn place_before(change: ChangeId) -> Place {
    match change.ordinal {
        0 => Place { seq: change.seq.saturating_sub(1), ordinal: u32::MAX },
        ordinal => Place { seq: change.seq, ordinal: ordinal - 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_delivery_is_read_for_its_own_endpoint_alone() {
        let (endpoint, change) = (Uuid::from_u128(0x0a0b), ChangeId { seq: 42, ordinal: 7 });
        let id = delivery_id(0, endpoint, change);
        assert_eq!(id, "msg_00000000000000000000000000000a0b_0_42_7");
        assert_eq!(read_delivery_id(&id, 0, endpoint), Some(change));
        assert_eq!(read_delivery_id(&id, 1, endpoint), None);
        assert_eq!(read_delivery_id(&id, 0, Uuid::from_u128(1)), None);
        for text in [
            "",
            "msg_",
            "msg_00000000000000000000000000000a0b_0_42",
            "msg_00000000000000000000000000000a0b_0_42_7_1",
        ] {
            assert_eq!(read_delivery_id(text, 0, endpoint), None, "{text}");
        }
    }
}
