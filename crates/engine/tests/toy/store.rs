//! A store in memory. What stands between a snapshot and a transaction's commit is a lock, where the
//! checker of schedules may go on with any other thread.

use std::sync::Arc;
use std::time::Duration;

use maitred_core::{Read, view::Entry, view::Visit};
use maitred_engine::store::{Change, Store, StoreError, StoreSnapshot};
use maitred_engine::sync::{Condvar, Mutex, MutexGuard, thread};

use super::{model::Map, wait_until};

/// A store whose transactions a test can hold back or make fail.
#[derive(Default)]
pub(crate) struct ToyStore {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    map: Arc<Map>,
    held: bool,
    /// How long a transaction takes.
    takes: Duration,
    fails: bool,
    /// Transactions that were begun, that failed, and that were committed.
    begun: usize,
    failed: usize,
    committed: usize,
}

impl ToyStore {
    /// A store with these entries.
    pub(crate) fn with(map: Map) -> Self {
        let store = ToyStore::default();
        store.state().map = Arc::new(map);
        store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the store")
    }

    fn set(&self, set: impl FnOnce(&mut State)) {
        set(&mut self.state());
        self.changed.notify_all();
    }

    fn wait_until(&self, is: impl Fn(&State) -> bool) {
        wait_until(&self.changed, self.state(), is);
    }

    /// From now on a transaction waits before its commit.
    pub(crate) fn hold(&self) {
        self.set(|state| state.held = true);
    }

    /// Transactions are committed again.
    pub(crate) fn release(&self) {
        self.set(|state| state.held = false);
    }

    /// From now on each transaction takes so long.
    pub(crate) fn slow_down(&self, takes: Duration) {
        self.set(|state| state.takes = takes);
    }

    /// From now on transactions fail, or no longer.
    pub(crate) fn fail(&self, fails: bool) {
        self.set(|state| state.fails = fails);
    }

    /// Waits until so many transactions have been begun.
    pub(crate) fn wait_begun(&self, count: usize) {
        self.wait_until(|state| state.begun >= count);
    }

    /// Waits until so many have failed.
    pub(crate) fn wait_failed(&self, count: usize) {
        self.wait_until(|state| state.failed >= count);
    }

    /// Waits until so many have been committed.
    pub(crate) fn wait_committed(&self, count: usize) {
        self.wait_until(|state| state.committed >= count);
    }

    /// How many were committed.
    pub(crate) fn committed(&self) -> usize {
        self.state().committed
    }

    /// What it holds.
    pub(crate) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.state().map)
    }
}

impl Store for ToyStore {
    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        Box::new(Snapshot(self.map()))
    }

    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StoreError> {
        // Under one lock: each further one is another schedule to the checker of schedules.
        let mut takes = Duration::ZERO;
        self.set(|state| {
            state.begun += 1;
            takes = state.takes;
        });
        if !takes.is_zero() {
            thread::sleep(takes);
        }
        let mut map = Map::clone(&self.map());
        let mut last = None;
        for (key, value) in changes {
            assert!(last.as_deref() < Some(key), "changes are in ascending order");
            last = Some(key.to_vec());
            match value {
                Some(value) => drop(map.0.insert(key.to_vec(), value.to_vec())),
                None => drop(map.0.remove(key)),
            }
        }
        let held = self.changed.wait_while(self.state(), |state| state.held);
        let mut state = held.expect("nobody panics while holding the store");
        if state.fails {
            state.failed += 1;
            drop(state);
            self.changed.notify_all();
            return Err(StoreError::Full("as the test wishes".into()));
        }
        state.map = Arc::new(map);
        state.committed += 1;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.set(|state| state.map = Arc::default());
        Ok(())
    }
}

struct Snapshot(Arc<Map>);

impl StoreSnapshot for Snapshot {}

impl Read for Snapshot {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key)
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.0.first(from, to)
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.0.last(from, to)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
        self.0.scan(from, to, visit);
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
        self.0.scan_back(from, to, visit);
    }
}
