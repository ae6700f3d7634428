//! What a consumer does, for whoever measures it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use maitred_core::{Seq, Timestamp};

/// Nothing is unfinished.
const NOTHING: i64 = i64::MIN;

/// How far a consumer is, and what it has done since the start. Read it any time.
#[derive(Debug)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// Everything up to this batch is done.
    pub(super) done: AtomicU64,
    /// Facts that are done.
    pub(super) facts: AtomicU64,
    /// Attempts, whatever became of them.
    pub(super) attempts: AtomicU64,
    /// Attempts that failed.
    pub(super) failures: AtomicU64,
    /// Facts that were put aside.
    pub(super) parked: AtomicU64,
    /// Another runner has claimed the consumer, and this one has stopped.
    pub(super) superseded: AtomicBool,
    /// Facts that are known and not done.
    pub(super) unfinished: AtomicU64,
    /// When the oldest of them was decided, in microseconds.
    oldest: AtomicI64,
}

impl Status {
    /// Of a consumer that has done nothing yet.
    pub fn new(name: &'static str) -> Self {
        let zero = AtomicU64::default;
        let oldest = AtomicI64::new(NOTHING);
        Status {
            name,
            done: zero(),
            facts: zero(),
            attempts: zero(),
            failures: zero(),
            parked: zero(),
            superseded: AtomicBool::new(false),
            unfinished: zero(),
            oldest,
        }
    }

    /// Everything up to this batch is done.
    pub fn done(&self) -> Seq {
        self.done.load(Relaxed)
    }

    /// How many facts are done since the start; it only rises.
    pub fn facts(&self) -> u64 {
        self.facts.load(Relaxed)
    }

    /// How many attempts there were since the start; it only rises.
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Relaxed)
    }

    /// Whether another runner has claimed the consumer since: this one has stopped for good.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Relaxed)
    }

    /// How many attempts have failed since the start; it only rises.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How many facts were put aside since the start; it only rises.
    pub fn parked(&self) -> u64 {
        self.parked.load(Relaxed)
    }

    /// How many facts it knows of that are not done.
    pub fn unfinished(&self) -> u64 {
        self.unfinished.load(Relaxed)
    }

    /// How old the oldest of these is at `now`; nothing where there is none.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        match self.oldest.load(Relaxed) {
            NOTHING => Duration::ZERO,
            oldest => Duration::from_micros(now.as_micros().saturating_sub(oldest).max(0).unsigned_abs()),
        }
    }

    pub(super) fn set(&self, done: Seq, unfinished: usize, oldest: Option<Timestamp>) {
        self.done.store(done, Relaxed);
        self.unfinished.store(unfinished as u64, Relaxed);
        self.oldest.store(oldest.map_or(NOTHING, Timestamp::as_micros), Relaxed);
    }
}
