//! What the product does by itself: its timers and its consumers, as the engine runs them.
//!
//! Next: [`crate::timer`] for what is due when, [`crate::consumers`] for what is kept of consumers;
//! `maitred_engine::timers` and `maitred_engine::consumers` for how they are run.

use std::sync::Arc;

use maitred_core::{ChangeId, Read, TenantNumber, Timestamp};
use maitred_engine::consumers::{Bookkeeping, Consumer, DeadLetter, Hold, KeyStanding, Note, Standing};
use maitred_engine::timers::Timed;

use crate::consumers::{self, CursorKept, DeadLetterParked, Holder};
use crate::flash_sales::processing::OrderProcessing;
use crate::mail::notices::Notices;
use crate::salons::offering::WaitlistOffers;
use crate::{Booking, Command, timer};

/// Every consumer of the product. Each has a name of its own.
pub fn all_consumers() -> Vec<Arc<dyn Consumer<Booking>>> {
    vec![Arc::new(OrderProcessing), Arc::new(WaitlistOffers), Arc::new(Notices)]
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
    fn standing(&self, view: &dyn Read, consumer: &str) -> Standing {
        consumers::view::standing(view, consumer)
    }

    fn key_standing(&self, view: &dyn Read, consumer: &str, tenant: TenantNumber, key: u128) -> KeyStanding {
        match consumers::view::of_key(view, consumer, tenant, key) {
            (0, 0) => KeyStanding::Free,
            (_, 0) => KeyStanding::Parked,
            _ => KeyStanding::TakenUp,
        }
    }

    fn taken_up(&self, view: &dyn Read, consumer: &str, limit: usize) -> Vec<ChangeId> {
        consumers::view::taken_up(view, consumer, limit)
    }

    fn crashes(&self, view: &dyn Read, hold: Hold, fact: ChangeId) -> u32 {
        consumers::view::crashes(view, hold.consumer, hold.epoch, fact)
    }

    fn note(&self, Hold { consumer, epoch }: Hold, note: Note) -> Command {
        let holder = Holder { consumer: consumer.into(), epoch };
        match note {
            Note::Claim => consumers::Command::Claim(holder),
            Note::Cursor(ChangeId { seq, ordinal }) => {
                consumers::Command::KeepCursor(holder, CursorKept { consumer: consumer.into(), seq, ordinal })
            }
            Note::Trying(place) => consumers::Command::Try(holder, place.into()),
            Note::Park(letter) => consumers::Command::Park(holder, parked(letter)),
            Note::Settle(place) => consumers::Command::Settle(holder, place.into()),
        }
        .into()
    }

    fn is_bookkeeping(&self, kind: u16) -> bool {
        consumers::Fact::KINDS.iter().any(|known| known.kind == kind)
    }
}

fn parked(letter: DeadLetter) -> DeadLetterParked {
    let DeadLetter { consumer, fact, decided_at, tenant, key, attempts, reason } = letter;
    DeadLetterParked {
        consumer: consumer.into(),
        seq: fact.seq,
        ordinal: fact.ordinal,
        decided_at,
        tenant: tenant.0,
        key,
        attempts,
        reason,
    }
}
