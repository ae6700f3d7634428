//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use maitred_core::Timestamp;
use maitred_engine::clock::Clock;

/// Where the wall clock stands at first, in microseconds.
pub(crate) const START: i64 = 1_790_000_000_000_000;

/// Both clocks, in microseconds.
pub(crate) struct Hands {
    wall: AtomicI64,
    monotonic: AtomicU64,
}

impl Default for Hands {
    fn default() -> Self {
        Hands { wall: AtomicI64::new(START), monotonic: AtomicU64::new(0) }
    }
}

impl Hands {
    /// Time passes.
    pub(crate) fn pass(&self, by: Duration) {
        self.jump(by);
        self.monotonic.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    /// The wall clock is set ahead.
    pub(crate) fn jump(&self, by: Duration) {
        self.wall.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic.load(Ordering::SeqCst))
    }
}
