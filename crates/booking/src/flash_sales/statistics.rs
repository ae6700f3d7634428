//! How purchases were admitted: tries, refusals by reason and rates, for each sale.
//!
//! A refused try writes nothing to the log, so refusals are counted here, in memory, since the server's start and on
//! this node. What was accepted is in the log, and is read from there ([`accepted`]).
//!
//! Invariant: what is remembered is bounded: [`SALES_MAX`] sales, [`SECONDS_MAX`] seconds of each, [`CODES_MAX`] reasons.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use maitred_core::{ChangeId, Read, TenantNumber, Timestamp};
use uuid::Uuid;

use super::stock::{self, Entry};

/// The most sales whose tries are counted; the one that was tried longest ago is forgotten first.
pub const SALES_MAX: usize = 1_000;
/// The most seconds with a try that are remembered of a sale, the newest ones.
pub const SECONDS_MAX: usize = 900;
/// The most reasons that are counted apart; any others are counted together as `other`.
pub const CODES_MAX: usize = 16;
/// The most entries of a sale's ledger that are read for one answer.
pub const LEDGER_MAX: usize = 200_000;

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try<'a> {
    /// A piece was bought.
    Accepted,
    /// The answer of an earlier try was given again.
    Replayed,
    /// It was refused, with this code.
    Refused(&'a str),
    /// It was not decided: too many at once, say.
    Undecided,
}

type Key = (TenantNumber, Uuid);
type SharedTally = Arc<Mutex<Tally>>;

/// The counts of all sales.
#[derive(Debug)]
pub struct Statistics {
    since: Timestamp,
    sales: RwLock<HashMap<Key, SharedTally>>,
}

/// The counts of one sale.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// How often it was tried.
    pub tries: u64,
    /// How many of them were accepted.
    pub accepted: u64,
    /// How many were answered as an earlier one.
    pub replayed: u64,
    /// How many were not decided.
    pub undecided: u64,
    /// How many were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// When it was tried last.
    pub last_try: Option<Timestamp>,
    /// The newest seconds with a try, the oldest first.
    pub seconds: VecDeque<Second>,
}

/// What happened within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    /// Its first instant.
    pub at: Timestamp,
    /// How many tries there were.
    pub tries: u32,
    /// How many of them were accepted.
    pub accepted: u32,
}

impl Statistics {
    /// Nothing yet.
    pub fn since(since: Timestamp) -> Self {
        Statistics { since, sales: RwLock::default() }
    }

    /// Since when tries are counted.
    pub fn started_at(&self) -> Timestamp {
        self.since
    }

    /// Counts a try on a sale that is there.
    pub fn count(&self, tenant: TenantNumber, sale: Uuid, at: Timestamp, what: Try<'_>) {
        let known = self.tally((tenant, sale));
        let tally = known.unwrap_or_else(|| self.insert((tenant, sale)));
        lock(&tally).count(at, what);
    }

    /// The counts of a sale.
    pub fn of(&self, tenant: TenantNumber, sale: Uuid) -> Tally {
        self.tally((tenant, sale)).map_or_else(Tally::default, |tally| lock(&tally).clone())
    }

    fn tally(&self, of: Key) -> Option<SharedTally> {
        self.sales.read().unwrap_or_else(PoisonError::into_inner).get(&of).map(Arc::clone)
    }

    fn insert(&self, of: Key) -> SharedTally {
        let mut sales = self.sales.write().unwrap_or_else(PoisonError::into_inner);
        if sales.len() >= SALES_MAX && !sales.contains_key(&of) {
            let oldest = sales.iter().min_by_key(|(_, tally)| lock(tally).last_try).map(|(of, _)| *of);
            if let Some(oldest) = oldest {
                sales.remove(&oldest);
            }
        }
        Arc::clone(sales.entry(of).or_default())
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn count(&mut self, at: Timestamp, what: Try<'_>) {
        self.tries += 1;
        self.last_try = self.last_try.max(Some(at));
        match what {
            Try::Accepted => self.accepted += 1,
            Try::Replayed => self.replayed += 1,
            Try::Undecided => self.undecided += 1,
            Try::Refused(code) => {
                let room = self.refused.len() < CODES_MAX || self.refused.contains_key(code);
                let code = if room { code } else { "other" };
                *self.refused.entry(code.to_owned()).or_default() += 1;
            }
        }
        let second = second_of(at);
        // Clocks of two threads may differ by a hair: a late try is counted in the newest second.
        if self.seconds.back().is_none_or(|newest| newest.at < second) {
            if self.seconds.len() == SECONDS_MAX {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second { at: second, tries: 0, accepted: 0 });
        }
        if let Some(newest) = self.seconds.back_mut() {
            newest.tries += 1;
            newest.accepted += u32::from(what == Try::Accepted);
        }
    }
}

fn second_of(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().div_euclid(1_000) * 1_000)
}

/// What the log knows of a sale's purchases, over all time and nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// How many orders were placed.
    pub orders: u64,
    /// When the first was.
    pub first_at: Option<Timestamp>,
    /// When the last was.
    pub last_at: Option<Timestamp>,
    /// How many in each second with one, the newest [`SECONDS_MAX`], the oldest first.
    pub seconds: VecDeque<(Timestamp, u32)>,
    /// Behind this fact there may be more: this many entries of the ledger were read.
    pub more_behind: Option<ChangeId>,
}

/// Counts the purchases of a sale in its ledger, at most [`LEDGER_MAX`] entries of it.
pub fn accepted(view: &dyn Read, tenant: TenantNumber, sale: Uuid) -> Accepted {
    let mut found = Accepted::default();
    let mut entries = 0;
    stock::ledger(view, tenant, sale, None, None, &mut |line| {
        if entries == LEDGER_MAX {
            found.more_behind = Some(line.change);
            return ControlFlow::Break(());
        }
        entries += 1;
        if line.entry == Entry::Placed {
            found.orders += 1;
            found.first_at = found.first_at.or(Some(line.at));
            found.last_at = Some(line.at);
            let second = second_of(line.at);
            match found.seconds.back_mut() {
                Some((newest, count)) if *newest == second => *count += 1,
                _ => {
                    if found.seconds.len() == SECONDS_MAX {
                        found.seconds.pop_front();
                    }
                    found.seconds.push_back((second, 1));
                }
            }
        }
        ControlFlow::Continue(())
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantNumber = TenantNumber(1);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn tries_are_counted_by_what_became_of_them_and_by_second() {
        let statistics = Statistics::since(at(0));
        let sale = Uuid::from_u128(1);
        for (millis, what) in [
            (1_000, Try::Accepted),
            (1_999, Try::Refused("sold-out")),
            (3_000, Try::Refused("sold-out")),
            (2_999, Try::Replayed),
            (3_001, Try::Undecided),
        ] {
            statistics.count(TENANT, sale, at(millis), what);
        }
        let tally = statistics.of(TENANT, sale);
        assert_eq!((tally.tries, tally.accepted, tally.replayed, tally.undecided), (5, 1, 1, 1));
        assert_eq!(tally.refused, BTreeMap::from([("sold-out".to_owned(), 2)]));
        assert_eq!(tally.last_try, Some(at(3_001)));
        let seconds: Vec<_> = tally.seconds.iter().map(|s| (s.at, s.tries, s.accepted)).collect();
        assert_eq!(seconds, [(at(1_000), 2, 1), (at(3_000), 3, 0)]);
        assert_eq!(statistics.of(TenantNumber(2), sale), Tally::default(), "another tenant's are apart");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let statistics = Statistics::since(at(0));
        let sale = |number: usize| Uuid::from_u128(number as u128);
        for second in 0..SECONDS_MAX + 10 {
            statistics.count(TENANT, sale(0), at(second as i64 * 1_000), Try::Accepted);
        }
        for code in 0..CODES_MAX + 3 {
            statistics.count(TENANT, sale(0), at(1), Try::Refused(&format!("code-{code}")));
        }
        let tally = statistics.of(TENANT, sale(0));
        assert_eq!((tally.seconds.len(), tally.seconds[0].at), (SECONDS_MAX, at(10_000)));
        assert_eq!((tally.refused.len(), tally.refused["other"]), (CODES_MAX + 1, 3));
        for number in 1..=SALES_MAX {
            statistics.count(TENANT, sale(number), at(2_000_000_000 + number as i64), Try::Accepted);
        }
        assert_eq!(statistics.of(TENANT, sale(0)), Tally::default(), "the longest silent is forgotten");
        assert_eq!(statistics.of(TENANT, sale(1)).tries, 1);
        assert_eq!(statistics.of(TENANT, sale(SALES_MAX)).tries, 1);
    }
}
