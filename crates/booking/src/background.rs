//! What the product does by itself: its timers and its consumers, as the engine runs them.
//!
//! Next: [`crate::timer`] for what is due when, [`crate::consumers`] for what is kept of consumers;
//! `maitred_engine::timers` and `maitred_engine::consumers` for how they are run.

use std::sync::Arc;

use maitred_core::{ChangeId, Read, TenantNumber, Timestamp};
use maitred_engine::consumers::{Bookkeeping, Consumer, DeadLetter};
use maitred_engine::timers::Timed;

use crate::consumers::{self, CursorKept, DeadLetterParked};
use crate::flash_sales::processing::OrderProcessing;
use crate::salons::offering::WaitlistOffers;
use crate::{Booking, Command, timer};

/// Every consumer of the product. Each has a name of its own.
pub fn all_consumers() -> Vec<Arc<dyn Consumer<Booking>>> {
    vec![Arc::new(OrderProcessing), Arc::new(WaitlistOffers)]
}

impl Timed for Booking {
    fn next_due(&self, view: &dyn Read) -> Option<Timestamp> {
        timer::next_due(view)
    }

    fn due(&self, view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Command)> {
        timer::due(view, now, limit)
    }
}

impl Bookkeeping for Booking {
    fn cursor(&self, view: &dyn Read, consumer: &str) -> ChangeId {
        consumers::cursor(view, consumer)
    }

    fn keep_cursor(&self, consumer: &'static str, ChangeId { seq, ordinal }: ChangeId) -> Command {
        consumers::Command::KeepCursor(CursorKept { consumer: consumer.into(), seq, ordinal }).into()
    }

    fn park(&self, letter: DeadLetter) -> Command {
        let DeadLetter { consumer, fact, decided_at, tenant, key, attempts, reason } = letter;
        consumers::Command::Park(DeadLetterParked {
            consumer: consumer.into(),
            seq: fact.seq,
            ordinal: fact.ordinal,
            decided_at,
            tenant: tenant.0,
            key,
            attempts,
            reason,
        })
        .into()
    }

    fn is_bookkeeping(&self, kind: u16) -> bool {
        consumers::Fact::KINDS.iter().any(|known| known.kind == kind)
    }
}
