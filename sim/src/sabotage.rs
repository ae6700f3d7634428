//! Rules and `apply` as they are, or broken on purpose: the checkers must catch each of these.

use std::sync::{Arc, Mutex};

use maitred_booking::flash_sales::processing::OrderProcessing;
use maitred_booking::salons::command::{Advance, OfferTime};
use maitred_booking::salons::offering::WaitlistOffers;
use maitred_booking::{Booking, Command, Fact, Outcome, appointments, flash_sales, salons};
use maitred_core::view::{Entry, Visit};
use maitred_core::{
    At, ChangeId, Context, Decision, Domain, Read, Rejection, Table, TenantNumber, Timestamp, Write,
};
use maitred_engine::consumers::{Bookkeeping, Consumer, Hold, KeyStanding, Note, Part, Standing};
use maitred_engine::timers::Timed;

/// A way to break the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// None: the engine as it is.
    #[default]
    None,
    /// The disk ignores syncs of files.
    NoSync,
    /// The disk ignores syncs of the folder.
    NoDirSync,
    /// Commands are acknowledged before their batch is in the log.
    AnswersEarly,
    /// A stale update counts as new.
    NoStalenessCheck,
    /// A superseded version's key lacks the ordinal: two versions of one batch are one.
    VersionKeyWithoutOrdinal,
    /// A purchase leaves the counts of its sale as they were.
    PurchaseWithoutCount,
    /// A booking claims the first minute of its time alone.
    ClaimCutShort,
    /// A hold can be confirmed for a while when it is over.
    LateConfirmation,
    /// What is offered is calculated for a later instant than that of the question.
    OffersAhead,
    /// The holds of bookings that are over are never settled.
    ForgetsBookings,
    /// An order that is completed already is completed again.
    CompletesAgain,
    /// The consumer's cursor is kept ahead of what it has done.
    CursorAhead,
    /// The consumer cannot deal with every fourth order.
    ConsumerFails,
    /// Every third superseded version is thrown away.
    TrimsVersions,
    /// A time that comes free is offered to whoever entered the waitlist last.
    OffersToTheLast,
}

impl Sabotage {
    /// All that break something.
    pub const ALL: [Sabotage; 15] = [
        Sabotage::NoSync,
        Sabotage::NoDirSync,
        Sabotage::AnswersEarly,
        Sabotage::NoStalenessCheck,
        Sabotage::VersionKeyWithoutOrdinal,
        Sabotage::PurchaseWithoutCount,
        Sabotage::ClaimCutShort,
        Sabotage::LateConfirmation,
        Sabotage::OffersAhead,
        Sabotage::ForgetsBookings,
        Sabotage::CompletesAgain,
        Sabotage::CursorAhead,
        Sabotage::ConsumerFails,
        Sabotage::TrimsVersions,
        Sabotage::OffersToTheLast,
    ];

    /// What the checker that is meant to notice says, in one of the seeds.
    pub const fn caught_as(self) -> &'static str {
        match self {
            Sabotage::None => "nothing",
            Sabotage::NoSync | Sabotage::NoDirSync | Sabotage::AnswersEarly => "I3: ",
            Sabotage::NoStalenessCheck | Sabotage::LateConfirmation => "I6/I7: ",
            Sabotage::PurchaseWithoutCount => "I6: sale ",
            Sabotage::ClaimCutShort => " is claimed by ",
            Sabotage::OffersAhead => " is offered for ",
            Sabotage::ForgetsBookings => "a hold is not settled",
            Sabotage::CompletesAgain => " ends twice",
            Sabotage::CursorAhead => " is not processed",
            Sabotage::ConsumerFails => " put aside",
            Sabotage::OffersToTheLast => " comes before ",
            Sabotage::VersionKeyWithoutOrdinal | Sabotage::TrimsVersions => "I8: ",
        }
    }
}

/// How late a hold can still be confirmed.
const LATE_MICROS: i64 = 20_000_000;
/// How far ahead a sabotaged cursor is kept, in batches.
const AHEAD: u64 = 2;

/// The product's rules under a sabotage.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules(pub Sabotage);

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;
    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(
        &self,
        view: &dyn Read,
        command: &Command,
        cx: &Context,
    ) -> Result<Decision<Fact, Outcome>, Rejection> {
        if self.0 == Sabotage::NoStalenessCheck
            && let Command::Appointments(appointments::Command::Upsert(upsert)) = command
        {
            let mut upsert = upsert.clone();
            let known = appointments::get(view, cx.tenant, &upsert.external_id, None);
            if let Some(known) = known {
                let behind = Timestamp::from_millis(known.updated_at.as_millis() + 1);
                upsert.updated_at = upsert.updated_at.max(behind);
            }
            return Booking.decide(view, &appointments::Command::Upsert(upsert).into(), cx);
        }
        if self.0 == Sabotage::LateConfirmation
            && let Command::Salons(salons::Command::Advance(change)) = command
            && change.what == Advance::Confirm
            && let Some(found) = salons::view::get::<salons::Booking>(view, cx.tenant, change.id, None)
            && found.is.status_at(cx.timestamp) == salons::BookingStatus::Expired
        {
            let Context { timestamp, tenant, actor, .. } = *cx;
            let timestamp = Timestamp::from_micros(timestamp.as_micros() - LATE_MICROS);
            let ids = maitred_core::Ids::new(timestamp, 0);
            return Booking.decide(view, command, &Context { timestamp, tenant, actor, ids });
        }
        if self.0 == Sabotage::CompletesAgain
            && let Command::FlashSales(flash_sales::Command::CompleteOrder { order }) = command
            && let Some(found) = flash_sales::view::order(view, cx.tenant, *order, None)
            && found.is.status == flash_sales::OrderStatus::Completed
        {
            let Decision { mut facts, outcome } = Booking.decide(view, command, cx)?;
            facts.push(Fact::FlashSales(flash_sales::Fact::OrderCompleted(found.is)));
            return Ok(Decision { facts, outcome });
        }
        Booking.decide(view, command, cx)
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        let bent = match (self.0, fact) {
            (Sabotage::VersionKeyWithoutOrdinal | Sabotage::TrimsVersions, _) => true,
            (Sabotage::ClaimCutShort, Fact::Salons(_)) => true,
            (Sabotage::PurchaseWithoutCount, Fact::FlashSales(fact)) => {
                matches!(fact, flash_sales::Fact::OrderPlaced(_))
            }
            _ => false,
        };
        if bent {
            return Booking.apply(&mut Bent { view, sabotage: self.0 }, fact, at);
        }
        Booking.apply(view, fact, at);
    }
}

impl Timed for Rules {
    fn next_due(&self, view: &dyn Read) -> Option<Timestamp> {
        Booking.next_due(view)
    }

    fn due(&self, view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Command)> {
        let mut due = Booking.due(view, now, limit);
        let forgets = self.0 == Sabotage::ForgetsBookings;
        due.retain(|(_, command)| !forgets || !matches!(command, Command::Salons(_)));
        due
    }
}

impl Bookkeeping for Rules {
    fn standing(&self, view: &dyn Read, consumer: &str) -> Standing {
        Booking.standing(view, consumer)
    }

    fn key_standing(&self, view: &dyn Read, consumer: &str, tenant: TenantNumber, key: u128) -> KeyStanding {
        Booking.key_standing(view, consumer, tenant, key)
    }

    fn taken_up(&self, view: &dyn Read, consumer: &str, limit: usize) -> Vec<ChangeId> {
        Booking.taken_up(view, consumer, limit)
    }

    fn crashes(&self, view: &dyn Read, hold: Hold, fact: ChangeId) -> u32 {
        Booking.crashes(view, hold, fact)
    }

    fn note(&self, hold: Hold, note: Note) -> Command {
        let note = match note {
            Note::Cursor(cursor) if self.0 == Sabotage::CursorAhead => {
                Note::Cursor(ChangeId { seq: cursor.seq + AHEAD, ..cursor })
            }
            note => note,
        };
        Booking.note(hold, note)
    }

    fn is_bookkeeping(&self, kind: u16) -> bool {
        Booking.is_bookkeeping(kind)
    }
}

/// The product's own consumer of orders, under a sabotage.
#[derive(Debug, Clone, Copy)]
pub struct Processing(pub Sabotage);

impl Processing {
    fn is(&self) -> &dyn Consumer<Booking> {
        &OrderProcessing
    }
}

impl Consumer<Rules> for Processing {
    fn name(&self) -> &'static str {
        self.is().name()
    }

    fn wants(&self, kind: u16) -> bool {
        self.is().wants(kind)
    }

    fn key(&self, fact: &Fact, at: At) -> Option<u128> {
        self.is().key(fact, at)
    }

    fn consume(&self, view: &dyn Read, fact: &Fact, at: At) -> Result<Vec<Command>, String> {
        if self.0 == Sabotage::ConsumerFails && at.seq.is_multiple_of(4) {
            return Err("sabotaged".into());
        }
        self.is().consume(view, fact, at)
    }

    fn is_settled(&self, rejection: &Rejection) -> bool {
        self.is().is_settled(rejection)
    }
}

/// What the consumer of freed time has found: for which fact, and for whom.
#[derive(Debug, Clone, Default)]
pub struct Looks(Arc<Mutex<Vec<Look>>>);

/// The fact that was followed, and the offers to be made.
pub type Look = (At, Vec<OfferTime>);

impl Looks {
    /// What was found since they were taken last.
    pub fn take(&self) -> Vec<Look> {
        std::mem::take(&mut *self.0.lock().expect("the simulation has one thread"))
    }
}

/// The product's own consumer of freed time, under a sabotage; what it finds is noted.
#[derive(Debug, Clone)]
pub struct Offering(pub Sabotage, pub Looks);

impl Consumer<Rules> for Offering {
    fn name(&self) -> &'static str {
        WaitlistOffers.name()
    }

    fn wants(&self, kind: u16) -> bool {
        WaitlistOffers.wants(kind)
    }

    fn key(&self, fact: &Fact, at: At) -> Option<u128> {
        WaitlistOffers.key(fact, at)
    }

    fn consume(&self, view: &dyn Read, fact: &Fact, at: At) -> Result<Vec<Command>, String> {
        WaitlistOffers.consume(view, fact, at)
    }

    fn consume_part(&self, view: &dyn Read, fact: &Fact, at: At, from: u64) -> Result<Part<Command>, String> {
        let Part { mut commands, next } = WaitlistOffers.consume_part(view, fact, at, from)?;
        if self.0 == Sabotage::OffersToTheLast {
            commands.reverse();
        }
        let offer = |command: &Command| match command {
            Command::Salons(salons::Command::OfferTime(offer)) => Some(offer.clone()),
            _ => None,
        };
        let offers: Vec<OfferTime> = commands.iter().filter_map(offer).collect();
        if !offers.is_empty() {
            self.1.0.lock().expect("the simulation has one thread").push((at, offers));
        }
        Ok(Part { commands, next })
    }
}

/// A view that is not written as it should be: it takes the ordinal out of the keys of superseded versions or throws
/// some of them away, forgets the counts of sales, or cuts claims short.
struct Bent<'a> {
    view: &'a mut dyn Write,
    sabotage: Sabotage,
}

impl Read for Bent<'_> {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.view.get(key)
    }
    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.view.first(from, to)
    }
    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.view.last(from, to)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
        self.view.scan(from, to, visit);
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
        self.view.scan_back(from, to, visit);
    }
}

impl Write for Bent<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        match self.sabotage {
            Sabotage::VersionKeyWithoutOrdinal if key.first() == Some(&(Table::Version as u8)) => {
                let mut key = key.to_vec();
                let ordinal = key.len() - 4;
                key[ordinal..].fill(0);
                self.view.put(&key, value);
            }
            Sabotage::TrimsVersions if key.first() == Some(&(Table::Version as u8)) => {
                if value[7] % 3 != 2 {
                    self.view.put(key, value);
                }
            }
            Sabotage::ClaimCutShort if key.first() == Some(&(Table::Slot as u8)) => {
                // The key ends with the start, the value begins with the end.
                let start =
                    u64::from_be_bytes(*key.last_chunk().expect("a key of a claim ends with its start"));
                let mut value = value.to_vec();
                value[..8].copy_from_slice(&(start + 60_000_000).to_be_bytes());
                self.view.put(key, &value);
            }
            Sabotage::PurchaseWithoutCount if key.first() == Some(&(Table::Stock as u8)) => {}
            _ => self.view.put(key, value),
        }
    }

    fn delete(&mut self, key: &[u8]) {
        self.view.delete(key);
    }
}
