//! How purchases were admitted: tries, refusals by reason and rates, for each sale.
//!
//! ```text
//!   a try ─▶ counting ──(a second later)──▶ writing ──▶ TriesCounted in the log ──▶ kept
//! ```
//!
//! A refused try writes nothing to the log, so tries are counted here, in memory, and their sums are written by a task
//! of their own: one fact for a sale and a second in which it was tried, and none while nothing happens. A process that
//! is killed loses what was counted since, about a second; one that is stopped loses nothing. What was accepted is in
//! the log anyhow, and is read from there too ([`accepted`]).
//!
//! Invariants:
//! - What is remembered is bounded: [`SALES_MAX`] sales, and of each what [`super::tries`] says.
//! - What is remembered of a sale is all there is of it: of a sale that is not remembered, the view says it.
//! - No try is counted twice: what may have been written is not written again.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use maitred_core::{Actor, Read, TenantNumber, Timestamp};
use maitred_engine::Unavailable;
use uuid::Uuid;

use super::Command;
use super::fact::{Second, Tally, TriesCounted};
use super::stock::{self, Entry};
use super::tries::{self, SECONDS_MAX, second_of};
use crate::app::App;

/// The most sales whose tries are remembered; the one that was tried longest ago is forgotten first.
pub const SALES_MAX: usize = 1_000;
/// The most entries of a sale's ledger that are read for one answer.
pub const LEDGER_MAX: usize = 200_000;
/// How long tries are counted before their sums are written.
pub const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// The size of a command in memory, roughly.
const COMMAND_BYTES: usize = 512;

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

/// The counts of all sales.
#[derive(Debug, Default)]
pub struct Statistics {
    sales: RwLock<HashMap<Key, Arc<Mutex<Counts>>>>,
    /// Whether a task will write what is counted now.
    is_awaited: AtomicBool,
    /// Held by whoever writes.
    writing: tokio::sync::Mutex<()>,
}

/// The counts of one sale: a try is in one of them.
#[derive(Debug, Default)]
struct Counts {
    /// In the log.
    kept: Tally,
    /// On the way there.
    writing: Tally,
    /// Since then.
    counting: Tally,
}

impl App {
    /// Counts a try on a sale that is there. Its sums are written soon.
    pub fn count_try(&self, tenant: TenantNumber, sale: Uuid, what: Try<'_>) {
        let statistics = self.sale_statistics();
        let kept = || tries::read(&self.engine().view(), tenant, sale);
        statistics.count((tenant, sale), kept, self.engine().now(), what);
        if !statistics.is_awaited.load(Ordering::Relaxed)
            && !statistics.is_awaited.swap(true, Ordering::AcqRel)
        {
            tokio::spawn(self.clone().write_tries_soon());
        }
    }

    /// How often a sale was tried, and what became of it.
    pub fn tries(&self, tenant: TenantNumber, sale: Uuid) -> Tally {
        let known = self.sale_statistics().of((tenant, sale));
        known.unwrap_or_else(|| tries::read(&self.engine().view(), tenant, sale))
    }

    /// Writes what was counted; what could not be written now stays counted. A server does it before it stops.
    ///
    /// # Errors
    /// Why the first one could not be written.
    pub async fn write_tries(&self) -> Result<(), Unavailable> {
        let statistics = self.sale_statistics();
        let _turn = statistics.writing.lock().await;
        // All are entered before any is waited for, so that they come into few batches.
        let entered: Vec<_> = statistics
            .take()
            .into_iter()
            .map(|((tenant, sale), tries)| {
                let bytes = COMMAND_BYTES + tries.seconds.len() * size_of::<Second>();
                let command = Command::CountTries(TriesCounted { sale, tries });
                ((tenant, sale), self.enter((tenant, Actor::System), None, bytes, command))
            })
            .collect();
        let mut written = Ok(());
        for (of, entered) in entered {
            let decided = match entered {
                Ok(pending) => pending.await.unwrap_or(Err(Unavailable::Unknown)),
                Err(unavailable) => Err(unavailable),
            };
            match decided {
                Ok(_) | Err(Unavailable::Unknown) => statistics.written(of),
                Err(unavailable) => {
                    statistics.not_written(of);
                    written = written.and(Err(unavailable));
                }
            }
        }
        written
    }

    async fn write_tries_soon(self) {
        let is_awaited = &self.sale_statistics().is_awaited;
        loop {
            tokio::time::sleep(WRITE_PAUSE).await;
            // Before anything is taken: what is counted from here on has a task of its own.
            is_awaited.store(false, Ordering::Release);
            if self.write_tries().await.is_ok() || is_awaited.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

impl Statistics {
    /// Counts a try. `kept` says what the log has of a sale that is not remembered.
    fn count(&self, of: Key, kept: impl FnOnce() -> Tally, at: Timestamp, what: Try<'_>) {
        let counts = self.counts(of).unwrap_or_else(|| self.remember(of, kept));
        lock(&counts).counting.count_one(at, what);
    }

    /// All that was counted of a sale, if it is remembered.
    fn of(&self, of: Key) -> Option<Tally> {
        let counts = self.counts(of)?;
        let Counts { kept, writing, counting } = &*lock(&counts);
        let mut all = kept.clone();
        all.add(writing);
        all.add(counting);
        Some(all)
    }

    fn counts(&self, of: Key) -> Option<Arc<Mutex<Counts>>> {
        self.sales.read().unwrap_or_else(PoisonError::into_inner).get(&of).map(Arc::clone)
    }

    fn remember(&self, of: Key, kept: impl FnOnce() -> Tally) -> Arc<Mutex<Counts>> {
        let mut sales = self.sales.write().unwrap_or_else(PoisonError::into_inner);
        if sales.len() >= SALES_MAX && !sales.contains_key(&of) {
            // What is in the log goes first. (Of as many sales as that, all tried within a second, one loses it.)
            let last_try = |counts: &Mutex<Counts>| {
                let Counts { kept, writing, counting } = &*lock(counts);
                let is_kept = writing.is_empty() && counting.is_empty();
                (!is_kept, kept.last_at.max(writing.last_at).max(counting.last_at))
            };
            let oldest = sales.iter().min_by_key(|(_, counts)| last_try(counts)).map(|(of, _)| *of);
            if let Some(oldest) = oldest {
                sales.remove(&oldest);
            }
        }
        // The view is read here, where nobody can forget the sale meanwhile.
        let counts = sales
            .entry(of)
            .or_insert_with(|| Arc::new(Mutex::new(Counts { kept: kept(), ..Counts::default() })));
        Arc::clone(counts)
    }

    /// What is to be written: nothing is on the way already.
    fn take(&self) -> Vec<(Key, Tally)> {
        let sales = self.sales.read().unwrap_or_else(PoisonError::into_inner);
        let taken = sales.iter().filter_map(|(of, counts)| {
            let mut counts = lock(counts);
            if counts.counting.is_empty() {
                return None;
            }
            counts.writing = std::mem::take(&mut counts.counting);
            Some((*of, counts.writing.clone()))
        });
        taken.collect()
    }

    fn written(&self, of: Key) {
        let Some(counts) = self.counts(of) else { return };
        let mut counts = lock(&counts);
        let writing = std::mem::take(&mut counts.writing);
        counts.kept.add(&writing);
    }

    fn not_written(&self, of: Key) {
        let Some(counts) = self.counts(of) else { return };
        let mut counts = lock(&counts);
        let writing = std::mem::take(&mut counts.writing);
        counts.counting.add(&writing);
    }
}

fn lock(counts: &Mutex<Counts>) -> std::sync::MutexGuard<'_, Counts> {
    // Nothing here leaves the counts half changed.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn count_one(&mut self, at: Timestamp, what: Try<'_>) {
        self.first_at = self.first_at.or(Some(at));
        self.last_at = self.last_at.max(Some(at));
        match what {
            Try::Accepted => self.accepted += 1,
            Try::Replayed => self.replayed += 1,
            Try::Undecided => self.undecided += 1,
            Try::Refused(code) => self.refuse(code, 1),
        }
        // Clocks of two threads may differ by a hair: a late try is counted in the newest second.
        let second = second_of(at);
        let second = self.seconds.back().map_or(second, |newest| newest.at.max(second));
        self.add_second(Second { at: second, tries: 1, accepted: u32::from(what == Try::Accepted) });
    }
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
    /// Whether these are all: of a sale of more movements the newest [`LEDGER_MAX`] are counted.
    pub complete: bool,
}

/// Counts the purchases of a sale in its ledger, the newest [`LEDGER_MAX`] entries of it.
pub fn accepted(view: &dyn Read, tenant: TenantNumber, sale: Uuid) -> Accepted {
    accepted_within(view, tenant, sale, LEDGER_MAX)
}

fn accepted_within(view: &dyn Read, tenant: TenantNumber, sale: Uuid, entries_max: usize) -> Accepted {
    let mut found = Accepted { complete: true, ..Accepted::default() };
    let mut entries = 0;
    stock::ledger_back(view, tenant, sale, &mut |line| {
        if entries == entries_max {
            found.complete = false;
            return ControlFlow::Break(());
        }
        entries += 1;
        if line.entry == Entry::Placed {
            found.orders += 1;
            found.first_at = Some(line.at);
            found.last_at = found.last_at.or(Some(line.at));
            let second = second_of(line.at);
            let has_room = found.seconds.len() < SECONDS_MAX;
            match found.seconds.front_mut() {
                Some((oldest, count)) if *oldest == second => *count += 1,
                _ if has_room => found.seconds.push_front((second, 1)),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    });
    if !found.complete {
        stock::ledger(view, tenant, sale, None, None, &mut |line| match line.entry {
            Entry::Placed => {
                found.first_at = Some(line.at);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TENANT: TenantNumber = TenantNumber(1);
    const SALE: Key = (TENANT, Uuid::from_u128(1));

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Counts a try on a sale of which the log has nothing.
    fn count(statistics: &Statistics, of: Key, millis: i64, what: Try<'_>) {
        statistics.count(of, Tally::default, at(millis), what);
    }

    #[test]
    fn tries_are_counted_by_what_became_of_them_and_by_second() {
        let statistics = Statistics::default();
        for (millis, what) in [
            (1_000, Try::Accepted),
            (1_999, Try::Refused("sold-out")),
            (3_000, Try::Refused("sold-out")),
            (2_999, Try::Replayed),
            (3_001, Try::Undecided),
        ] {
            count(&statistics, SALE, millis, what);
        }
        let tally = statistics.of(SALE).expect("it was tried");
        assert_eq!((tally.count(), tally.accepted, tally.replayed, tally.undecided), (5, 1, 1, 1));
        assert_eq!(tally.refused, BTreeMap::from([("sold-out".to_owned(), 2)]));
        assert_eq!((tally.first_at, tally.last_at), (Some(at(1_000)), Some(at(3_001))));
        let seconds: Vec<_> = tally.seconds.iter().map(|s| (s.at, s.tries, s.accepted)).collect();
        assert_eq!(seconds, [(at(1_000), 2, 1), (at(3_000), 3, 0)]);
        assert_eq!(statistics.of((TenantNumber(2), SALE.1)), None, "another tenant's are apart");
    }

    #[test]
    fn a_try_is_told_of_while_it_is_written_and_written_once() {
        let statistics = Statistics::default();
        let told = || statistics.of(SALE).expect("it was tried").count();
        let taken = || statistics.take().into_iter().map(|(_, tally)| tally.count()).collect::<Vec<_>>();
        count(&statistics, SALE, 1, Try::Accepted);
        count(&statistics, SALE, 2, Try::Replayed);
        assert_eq!((taken(), told()), (vec![2], 2));
        count(&statistics, SALE, 3, Try::Replayed);
        assert_eq!(told(), 3);
        statistics.not_written(SALE);
        assert_eq!((taken(), told()), (vec![3], 3));
        statistics.written(SALE);
        assert_eq!((taken(), told()), (vec![], 3), "nothing happened since");
        count(&statistics, SALE, 4, Try::Replayed);
        assert_eq!((taken(), told()), (vec![1], 4));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_kept_is_forgotten_first() {
        let statistics = Statistics::default();
        let sale = |number: usize| (TENANT, Uuid::from_u128(number as u128));
        for number in 0..SALES_MAX {
            count(&statistics, sale(number), number as i64, Try::Accepted);
        }
        statistics.take();
        for kept in [5, 7] {
            statistics.written(sale(kept));
        }
        for number in SALES_MAX..SALES_MAX + 3 {
            count(&statistics, sale(number), number as i64, Try::Accepted);
        }
        let forgotten: Vec<usize> =
            (0..SALES_MAX + 3).filter(|number| statistics.of(sale(*number)).is_none()).collect();
        assert_eq!(forgotten, [0, 5, 7], "those that are kept, then the longest silent");
        let known = Tally { accepted: 41, last_at: Some(at(0)), ..Tally::default() };
        statistics.count(sale(5), || known, at(2_000), Try::Accepted);
        assert_eq!(statistics.of(sale(5)).expect("it was tried").accepted, 42, "it goes on where it was");
    }
}
