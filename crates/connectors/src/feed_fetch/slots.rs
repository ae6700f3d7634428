//! Who may have a request under way.
//!
//! Slots are given in the order in which they were asked for. Who was too slow the last time first waits for one of a
//! quarter of them: however many hang, three quarters stay with the others.

use tokio::sync::{Semaphore, SemaphorePermit};

#[derive(Debug)]
pub(super) struct Slots {
    all: Semaphore,
    slow: Semaphore,
}

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    _of_all: Option<SemaphorePermit<'a>>,
    _of_slow: Option<SemaphorePermit<'a>>,
}

impl Slots {
    pub(super) fn new(slots: usize) -> Self {
        let slots = slots.clamp(4, Semaphore::MAX_PERMITS);
        Slots { all: Semaphore::new(slots), slow: Semaphore::new(slots / 4) }
    }

    pub(super) async fn take(&self, slow: bool) -> Slot<'_> {
        // Neither is ever closed, so there is always one to come.
        let of_slow = if slow { self.slow.acquire().await.ok() } else { None };
        Slot { _of_all: self.all.acquire().await.ok(), _of_slow: of_slow }
    }
}
