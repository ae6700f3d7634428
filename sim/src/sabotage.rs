//! Rules and `apply` as they are, or broken on purpose: the checkers must catch each of these.

use maitred_booking::{Booking, Command, Fact, Outcome, appointments, flash_sales};
use maitred_core::view::{Entry, Visit};
use maitred_core::{At, Context, Decision, Domain, Read, Rejection, Table, Timestamp, Write};

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
}

impl Sabotage {
    /// All that break something.
    pub const ALL: [Sabotage; 6] = [
        Sabotage::NoSync,
        Sabotage::NoDirSync,
        Sabotage::AnswersEarly,
        Sabotage::NoStalenessCheck,
        Sabotage::VersionKeyWithoutOrdinal,
        Sabotage::PurchaseWithoutCount,
    ];
}

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
        Booking.decide(view, command, cx)
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        let bent = match (self.0, fact) {
            (Sabotage::VersionKeyWithoutOrdinal, _) => true,
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

/// A view that is not written as it should be: it takes the ordinal out of the keys of superseded versions, or forgets
/// the counts of sales.
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
            Sabotage::PurchaseWithoutCount if key.first() == Some(&(Table::Stock as u8)) => {}
            _ => self.view.put(key, value),
        }
    }

    fn delete(&mut self, key: &[u8]) {
        self.view.delete(key);
    }
}
