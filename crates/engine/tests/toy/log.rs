//! A log in memory that keeps the view of every batch, and does with an append what the test wrote down.

use std::collections::VecDeque;
use std::sync::Arc;

use maitred_core::{Actor, Recorded, Seq, TenantNumber, Timestamp};
use maitred_engine::apply;
use maitred_engine::batch::{BatchBuilder, GENESIS, Header, Sealed};
use maitred_engine::log::{Appended, Log, LogError, LogReader, Tail};
use maitred_engine::sync::{Condvar, Mutex, MutexGuard};

use super::model::Map;
use super::shop::{Changed, Shop};
use super::wait_until;

/// What becomes of an append instead of what should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is appended, as it should.
    Good,
    /// The disk is full.
    Full,
    /// It fails, and everybody knows.
    Determinate,
    /// It happens or not, and nobody is told.
    Unknown { happens: bool },
    /// Another writer is first: this item of this tenant is set to that.
    Rival { tenant: u32, item: u64, left: Option<u64> },
    /// Three batches of another writer are first.
    ThreeRivals,
    /// The log cannot be trusted any more.
    Broken,
    /// The code has a bug.
    Panic,
}

/// The log, as the test holds it.
#[derive(Default)]
pub(crate) struct ToyLog {
    state: Mutex<State>,
    changed: Condvar,
    shop: Shop,
}

#[derive(Default)]
struct State {
    batches: Vec<Sealed>,
    /// The view after each batch, from before the first on.
    views: Vec<Arc<Map>>,
    fates: VecDeque<Fate>,
    /// How many appends may go on; `None` for all.
    permits: Option<usize>,
    /// Every append that has arrived.
    attempts: Vec<Sealed>,
}

impl State {
    fn tail(&self) -> Tail {
        self.batches.last().map_or((0, GENESIS), |batch| (batch.header.seq, batch.hash))
    }

    fn push(&mut self, shop: &Shop, batch: &Sealed) {
        let batch = Sealed::verify(batch.bytes.clone()).expect("what is appended is a batch");
        assert_eq!((batch.header.seq - 1, batch.header.prev_hash), self.tail(), "I1: the chain goes on");
        let last = self.batches.last().map(|batch| batch.header.timestamp);
        assert!(last < Some(batch.header.timestamp), "I9: timestamps rise");
        let mut view = Map::clone(self.views.last().expect("the first is empty"));
        apply::apply_batch(shop, &mut view, &batch).expect("what is appended can be applied");
        self.views.push(Arc::new(view));
        self.batches.push(batch);
    }

    fn rival(&self, tenant: u32, item: u64, left: Option<u64>) -> Sealed {
        let ((seq, prev_hash), last) = (self.tail(), self.batches.last());
        let timestamp = last.map_or(0, |batch| batch.header.timestamp.as_micros()) + 1;
        let mut batch = BatchBuilder::new(Header {
            rules_version: 1,
            log: 0,
            epoch: 0,
            seq: seq + 1,
            batch_id: u128::from(seq) + 1,
            writer: 77,
            timestamp: Timestamp::from_micros(timestamp),
            prev_hash,
        });
        let tenant = TenantNumber(tenant);
        let fact = Changed::on(&**self.views.last().expect("the first is empty"), tenant, item, left);
        batch.push(tenant, Actor::System, None, |facts| {
            facts.push(fact.kind(), fact.version(), |body| fact.encode(body));
        });
        batch.seal()
    }
}

impl ToyLog {
    /// An empty log.
    pub(crate) fn new() -> Arc<Self> {
        let log = ToyLog::default();
        log.state().views.push(Arc::default());
        Arc::new(log)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test fails where it panics")
    }

    /// What its one writer holds.
    pub(crate) fn handle(self: &Arc<Self>) -> Box<dyn Log> {
        Box::new(Handle(Arc::clone(self)))
    }

    /// What becomes of the next appends that nothing is written down for yet.
    pub(crate) fn fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state().fates.extend(fates);
    }

    /// From now on an append waits to be let go.
    pub(crate) fn hold(&self) {
        self.state().permits = Some(0);
    }

    /// Lets one append go.
    pub(crate) fn let_one(&self) {
        *self.state().permits.as_mut().expect("appends are held") += 1;
        self.changed.notify_all();
    }

    /// Lets all appends go.
    pub(crate) fn release(&self) {
        self.state().permits = None;
        self.changed.notify_all();
    }

    /// Another writer sets this item of this tenant to that, while nothing is being appended.
    pub(crate) fn intrude(&self, tenant: u32, item: u64, left: Option<u64>) {
        let mut state = self.state();
        let rival = state.rival(tenant, item, left);
        state.push(&self.shop, &rival);
    }

    /// The last batch is gone.
    pub(crate) fn lose_last(&self) {
        let mut state = self.state();
        state.batches.pop();
        state.views.pop();
    }

    /// Waits until so many appends have arrived.
    pub(crate) fn wait_attempts(&self, count: usize) {
        wait_until(&self.changed, self.state(), |state| state.attempts.len() >= count);
    }

    /// Every append that has arrived.
    pub(crate) fn attempts(&self) -> Vec<Sealed> {
        self.state().attempts.clone()
    }

    /// The view after batch `seq`.
    pub(crate) fn view(&self, seq: Seq) -> Arc<Map> {
        Arc::clone(&self.state().views[seq as usize])
    }

    /// The number of its last batch.
    pub(crate) fn seq(&self) -> Seq {
        self.state().tail().0
    }

    /// What was decided for a tenant, in the log's order: item, and how many were left.
    pub(crate) fn facts(&self, tenant: u32) -> Vec<(u64, Option<u64>)> {
        let state = self.state();
        let items = state.batches.iter().flat_map(Sealed::items).map(|item| item.expect("it was verified"));
        let of_tenant = items.filter(|item| item.tenant == TenantNumber(tenant));
        let facts = of_tenant.flat_map(|item| item.facts);
        facts
            .map(|raw| Changed::decode(raw.kind, raw.version, raw.body).expect("it can be decoded"))
            .map(|changed| (changed.item, changed.left))
            .collect()
    }

    /// Whose each command is that was logged.
    pub(crate) fn tenants(&self) -> Vec<u32> {
        let state = self.state();
        let items = state.batches.iter().flat_map(Sealed::items);
        items.map(|item| item.expect("it was verified").tenant.0).collect()
    }

    /// How many commands each batch holds.
    pub(crate) fn commands(&self) -> Vec<usize> {
        self.state().batches.iter().map(|batch| batch.items().count()).collect()
    }
}

impl LogReader for ToyLog {
    fn read(&self, from: Seq, _: usize) -> Result<Vec<Sealed>, LogError> {
        let state = self.state();
        // One batch at a time, so that who follows has to come again.
        Ok(state.batches.iter().skip(from as usize - 1).take(1).cloned().collect())
    }

    fn tail(&self) -> Tail {
        self.state().tail()
    }
}

struct Handle(Arc<ToyLog>);

impl Log for Handle {
    fn tail(&self) -> Tail {
        self.0.state().tail()
    }

    fn append_if(&mut self, expected: Tail, batch: &Sealed) -> Result<Appended, LogError> {
        let log = &*self.0;
        log.state().attempts.push(batch.clone());
        log.changed.notify_all();
        let let_go = log.changed.wait_while(log.state(), |state| state.permits == Some(0));
        let mut state = let_go.expect("a test fails where it panics");
        if let Some(permits) = &mut state.permits {
            *permits -= 1;
        }
        if state.tail() == (batch.header.seq, batch.hash) {
            return Ok(Appended::Committed); // it was sent before, and nobody was told
        }
        let fate = state.fates.pop_front().unwrap_or(Fate::Good);
        let rivals = match fate {
            Fate::Rival { tenant, item, left } => vec![(tenant, item, left)],
            Fate::ThreeRivals => vec![(1, 1, Some(70)), (1, 2, Some(80)), (1, 0, None)],
            _ => vec![],
        };
        for (tenant, item, left) in rivals {
            let rival = state.rival(tenant, item, left);
            state.push(&log.shop, &rival);
        }
        if state.tail() != expected {
            return Ok(Appended::Lost { head: state.tail().0 });
        }
        let what = "as the test wishes".to_owned();
        match fate {
            Fate::Good | Fate::Rival { .. } | Fate::ThreeRivals => state.push(&log.shop, batch),
            Fate::Full => return Err(LogError::Full(what)),
            Fate::Determinate => return Err(LogError::Determinate(what)),
            Fate::Broken => return Err(LogError::Broken(what)),
            Fate::Unknown { happens } => {
                if happens {
                    state.push(&log.shop, batch);
                }
                return Err(LogError::Indeterminate(what));
            }
            Fate::Panic => {
                drop(state);
                panic!("{what}");
            }
        }
        Ok(Appended::Committed)
    }

    fn confirm(&mut self, at: Tail) -> Result<(), LogError> {
        if self.0.state().tail() == at { Ok(()) } else { Err(LogError::Regressed("another tail".into())) }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::clone(&self.0) as Arc<dyn LogReader>
    }
}
