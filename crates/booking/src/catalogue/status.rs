//! How the syncing of providers goes, as whoever watches the server sees it. It is no part of the log: a start forgets
//! it.
//!
//! Invariant: at most [`PROVIDERS_KEPT_MAX`] providers are known; runs of further ones are counted in no place.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maitred_core::TenantNumber;

/// The most providers of all tenants of which anything is remembered.
pub const PROVIDERS_KEPT_MAX: usize = 4_096;

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// The feed was carried over.
    Finished,
    /// The feed states what it stated before.
    Unchanged,
    /// It came to nothing: the run says why.
    Failed,
    /// It waits for an operator.
    Held,
    /// It was broken off, and the next one goes on: the server stops, or takes nothing now.
    Broken,
    /// The provider was left alone, because it has failed too often.
    Skipped,
}

impl RunOutcome {
    /// All of them.
    pub const ALL: [RunOutcome; 6] = [
        RunOutcome::Finished,
        RunOutcome::Unchanged,
        RunOutcome::Failed,
        RunOutcome::Held,
        RunOutcome::Broken,
        RunOutcome::Skipped,
    ];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Finished => "finished",
            RunOutcome::Unchanged => "unchanged",
            RunOutcome::Failed => "failed",
            RunOutcome::Held => "held",
            RunOutcome::Broken => "broken",
            RunOutcome::Skipped => "skipped",
        }
    }
}

/// How the circuit of a provider stands, in the order of badness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Breaker {
    /// It is asked.
    #[default]
    Closed,
    /// The next fetch decides.
    HalfOpen,
    /// It is left alone.
    Open,
}

/// How the syncing of a provider goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Syncing {
    /// How many runs had each outcome since the start, in the order of [`RunOutcome::ALL`].
    pub outcomes: [u64; RunOutcome::ALL.len()],
    /// How long all these took together, from the fetch's beginning; those that were skipped took no time.
    pub took: Duration,
    /// How long the last of them took.
    pub took_last: Duration,
    /// How many events, plans and zones the last feed that was read had that could not be read.
    pub quarantined: u64,
    /// Its circuit.
    pub breaker: Breaker,
}

/// How the syncing of all providers goes.
#[derive(Debug, Default)]
pub struct SyncStatus(Mutex<HashMap<(TenantNumber, String), Syncing>>);

impl SyncStatus {
    /// Counts a run.
    pub fn ran(&self, (tenant, provider): (TenantNumber, &str), outcome: RunOutcome, took: Duration) {
        self.change((tenant, provider), |syncing| {
            syncing.outcomes[outcome as usize] += 1;
            if outcome != RunOutcome::Skipped {
                syncing.took += took;
                syncing.took_last = took;
            }
        });
    }

    /// Remembers what a reading of a feed has left out.
    pub fn read(&self, of: (TenantNumber, &str), quarantined: u64) {
        self.change(of, |syncing| syncing.quarantined = quarantined);
    }

    /// Remembers how a circuit stands.
    pub fn stands(&self, of: (TenantNumber, &str), breaker: Breaker) {
        self.change(of, |syncing| syncing.breaker = breaker);
    }

    /// How it goes with a provider, since the start.
    pub fn of(&self, (tenant, provider): (TenantNumber, &str)) -> Syncing {
        self.lock().get(&(tenant, provider.to_owned())).copied().unwrap_or_default()
    }

    fn change(&self, (tenant, provider): (TenantNumber, &str), change: impl FnOnce(&mut Syncing)) {
        let mut known = self.lock();
        let key = (tenant, provider.to_owned());
        if known.len() < PROVIDERS_KEPT_MAX || known.contains_key(&key) {
            change(known.entry(key).or_default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantNumber, String), Syncing>> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_provider_and_outcome_and_no_more_providers_than_are_kept() {
        let status = SyncStatus::default();
        let arena = (TenantNumber(1), "arena");
        status.ran(arena, RunOutcome::Failed, Duration::from_secs(2));
        status.ran(arena, RunOutcome::Finished, Duration::from_secs(1));
        status.ran(arena, RunOutcome::Skipped, Duration::from_secs(9));
        status.read(arena, 7);
        status.stands(arena, Breaker::Open);
        let seen = status.of(arena);
        assert_eq!(seen.outcomes, [1, 0, 1, 0, 0, 1]);
        assert_eq!((seen.took, seen.took_last), (Duration::from_secs(3), Duration::from_secs(1)));
        assert_eq!((seen.quarantined, seen.breaker), (7, Breaker::Open));
        for number in 0..PROVIDERS_KEPT_MAX as u32 + 1 {
            status.read((TenantNumber(2), &number.to_string()), 1);
        }
        assert_eq!(status.of((TenantNumber(2), "4096")), Syncing::default());
        assert_eq!(status.of((TenantNumber(3), "arena")), Syncing::default(), "tenants are told apart");
        status.read(arena, 8);
        assert_eq!(status.of(arena).quarantined, 8, "who is known stays known");
    }
}
