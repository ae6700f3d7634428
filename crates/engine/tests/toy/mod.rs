//! A small shop, and a log, a store and a clock that do what a test says: everything an engine is made of.
//!
//! The rules keep the engine honest by themselves: a fact says what was seen when it was decided, and
//! cannot be applied where something else stands (I2).

use std::time::Duration;

use maitred_engine::sync::{Condvar, MutexGuard};

pub(crate) mod clock;
pub(crate) mod log;
pub(crate) mod model;
pub(crate) mod shop;
pub(crate) mod store;

/// How long a test waits before it says that it hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

/// Waits until what is guarded has become so.
pub(crate) fn wait_until<T>(changed: &Condvar, guard: MutexGuard<'_, T>, is: impl Fn(&T) -> bool) {
    let waited = changed.wait_timeout_while(guard, HANGS, |state| !is(state));
    let (state, timeout) = waited.expect("nobody panics while holding it");
    drop(state);
    assert!(!timeout.timed_out(), "what the test waits for does not come");
}
