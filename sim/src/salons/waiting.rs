//! Series of visits and the waitlist: what should become of each command, and of an entry when its offer ends.
//!
//! Which start an offer has is no choice of the product's: it is the first that the entry could have. Whom it is with is:
//! that is looked at as with any visit, once the log says whom (`made`).

use std::collections::BTreeMap;

use maitred_booking::flash_sales::Versioned;
use maitred_booking::salons::command::{
    BookSeries, CancelSeries, Change, EnterWaitlist, ForCustomer, OfferTime, OnClash, WantedItem,
};
use maitred_booking::salons::intervals::Span;
use maitred_booking::salons::rules::{Occurrence, Visited};
use maitred_booking::salons::series::Series;
use maitred_booking::salons::waitlist::{
    OPEN_OF_CUSTOMER_MAX, OpenOffer, PASSED_MAX, PassedOffer, WaitlistEntry, WaitlistStatus,
};
use maitred_booking::salons::{Booking, BookingStatus, Effect};
use maitred_core::{Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::fits::{DAY, Diary, MINUTE, instant, minute};
use super::visits::{check_items, same};
use super::{Salon, Salons, Verdict, status_at, updated};

/// Rules of series: how many days lie between two visits, and how many there are.
pub(super) const RULES: [(&str, i64, i64); 4] = [
    ("FREQ=DAILY;COUNT=3", 1, 3),
    ("FREQ=DAILY;INTERVAL=2;COUNT=3", 2, 3),
    ("FREQ=WEEKLY;COUNT=2", 7, 2),
    ("FREQ=DAILY;COUNT=1", 1, 1),
];
/// Starts are looked at so many minutes apart: every step is a multiple of it.
const STEP: i64 = 15;

type When = (Seq, Timestamp);

impl Salons {
    /// I6: what was found free for somebody who waits is of no use to anybody who entered before them and waits too.
    /// `offers` are what the consumer found, as of now and for the instant `at`.
    ///
    /// # Errors
    /// Who comes before.
    pub fn check_order(
        &self,
        tenant: TenantNumber,
        offers: &[OfferTime],
        at: Timestamp,
    ) -> Result<(), String> {
        // The next ones are found beside the first.
        let (Some(salon), Some(first)) = (self.0.get(&tenant), offers.first()) else { return Ok(()) };
        let start = first.starts.starts_at;
        let Some(found) = salon.waitlist.get(first.entry) else { return Ok(()) };
        let diary = Diary::new(salon, start, at, None);
        let before = salon.waitlist.there().filter(|entry| {
            entry.number < found.number && entry.status == WaitlistStatus::Waiting && at < entry.to
        });
        for entry in before {
            if salon.customers.get(entry.customer).is_some() && salon.could_have(&diary, entry, start) {
                return Err(format!("I6: {entry:?} comes before {found:?}, who is to be offered {start}"));
            }
        }
        Ok(())
    }

    /// An entry that is open still, though its time is over.
    pub fn waiting(&self, now: Timestamp) -> Option<Uuid> {
        let mut all = self.0.values().flat_map(|salon| salon.waitlist.there());
        all.find(|entry| entry.status.is_open() && entry.to <= now).map(|entry| entry.id)
    }
}

impl Salon {
    pub(super) fn book_series(&self, command: &BookSeries, at: Timestamp) -> Verdict {
        if let ForCustomer::Known(id) = command.customer {
            self.customers.get(id).ok_or("customer-not-found")?;
        }
        self.require_items(&command.items)?;
        let visits = visits(command);
        // Visits of different days are in nobody's way, so each can be asked for alone.
        let fits = |start: &&Timestamp| {
            Diary::new(self, **start, at, None).fits(&command.items, **start, command.force)
        };
        let had = visits.iter().filter(fits).count();
        let refused = had == 0 || (command.on_clash == OnClash::Refuse && had < visits.len());
        if refused { Err("series-clashes") } else { Ok(Effect::Created) }
    }

    /// All of a series or, if it may, what was to be had of it: nothing else.
    pub(super) fn adopt_series(
        &mut self,
        command: &BookSeries,
        found: &Versioned<Series>,
        occurrences: &[Occurrence],
        when: When,
    ) -> Result<(), String> {
        let visits = visits(command);
        if !occurrences.iter().map(|occurrence| occurrence.starts_at).eq(visits.iter().copied()) {
            return Err(format!("the visits are {occurrences:?}"));
        }
        let tasks = self.tasks(&command.items).ok_or("a service is not there")?;
        let mut bookings = Vec::new();
        for Occurrence { starts_at, visited } in occurrences {
            let diary = Diary::new(self, *starts_at, when.1, None);
            match visited {
                Visited::Booked(visit) => {
                    let is = &visit.is;
                    let belongs = (is.series, is.customer, is.status, is.forced);
                    let expected =
                        (Some(found.is.id), found.is.customer, BookingStatus::Confirmed, command.force);
                    if belongs != expected {
                        return Err(format!("a visit of the series is {is:?}"));
                    }
                    check_items(&diary, &tasks, is, *starts_at, command.force)?;
                    self.put_booking(Effect::Created, visit, when)?;
                    bookings.push(is.id);
                }
                Visited::Clashed(_)
                    if command.on_clash == OnClash::Skip
                        && !diary.fits(&command.items, *starts_at, command.force) => {}
                other => return Err(format!("the visit at {starts_at} is {other:?}")),
            }
        }
        let expected = Series {
            id: found.is.id,
            customer: found.is.customer,
            starts_at: command.starts_at,
            rule: command.rule.clone(),
            bookings,
            cancelled_from: None,
            created_at: when.1,
        };
        if found.is != expected {
            return Err(format!("the series is {:?}, not {expected:?}", found.is));
        }
        self.adopt_customer(&command.customer, found.is.customer, when)?;
        self.series.adopt(found.is.id, Effect::Created, found, when)
    }

    pub(super) fn cancel_series(&self, command: &CancelSeries, at: Timestamp) -> Verdict {
        let found = self.series.at_version(command.series, command.if_version, "series-not-found")?;
        let from = command.from.unwrap_or(at);
        let is_new = found.is.cancelled_from.is_none_or(|before| from < before);
        Ok(updated(is_new || !self.ahead(&found.is, from).is_empty()))
    }

    /// The visits of a series that stand, and begin then or later.
    fn ahead(&self, series: &Series, from: Timestamp) -> Vec<Booking> {
        let known = series.bookings.iter().filter_map(|id| self.bookings.get(*id));
        let stands =
            |visit: &&Booking| matches!(visit.status, BookingStatus::Held | BookingStatus::Confirmed);
        known.filter(stands).filter(|visit| visit.starts_at >= from).cloned().collect()
    }

    pub(super) fn adopt_cancelled_series(
        &mut self,
        command: &CancelSeries,
        effect: Effect,
        found: &Versioned<Series>,
        occurrences: &[Occurrence],
        when: When,
    ) -> Result<(), String> {
        let known = self.series.get(command.series).ok_or("it is not there")?.clone();
        let from = command.from.unwrap_or(when.1);
        let ahead = self.ahead(&known, from);
        let told = occurrences.iter().map(|occurrence| match &occurrence.visited {
            Visited::Cancelled(visit) => Some((visit.is.id, visit.is.status)),
            _ => None,
        });
        if !told.eq(ahead.iter().map(|visit| Some((visit.id, BookingStatus::Cancelled)))) {
            return Err(format!("{occurrences:?} are called off of {ahead:?}"));
        }
        for visit in ahead {
            let visit = Booking { status: BookingStatus::Cancelled, ..visit };
            self.bookings.push(visit.id, when.0, when.1, visit);
        }
        let cancelled_from = known.cancelled_from.map_or(from, |before| before.min(from));
        let expected = Series { cancelled_from: Some(cancelled_from), ..known };
        if found.is != expected {
            return Err(format!("the series is {:?}, not {expected:?}", found.is));
        }
        self.series.adopt(found.is.id, effect, found, when)
    }

    pub(super) fn enter(&self, command: &EnterWaitlist, at: Timestamp) -> Verdict {
        if command.to <= at {
            return Err("invalid-time-range");
        }
        self.customers.get(command.customer).ok_or("customer-not-found")?;
        self.require_items(&command.items())?;
        let is_theirs = |entry: &&WaitlistEntry| {
            entry.customer == command.customer && entry.status.is_open() && at < entry.to
        };
        match self.waitlist.there().filter(is_theirs).count() < OPEN_OF_CUSTOMER_MAX {
            true => Ok(Effect::Created),
            false => Err("too-many-waiting"),
        }
    }

    pub(super) fn adopt_entered(
        &mut self,
        command: &EnterWaitlist,
        found: &Versioned<WaitlistEntry>,
        when: When,
    ) -> Result<(), String> {
        let expected = WaitlistEntry {
            id: found.is.id,
            number: self.waitlist.there().count() as u64 + 1,
            customer: command.customer,
            services: command.services.clone(),
            employee: command.employee,
            from: command.from,
            to: command.to,
            status: WaitlistStatus::Waiting,
            offer: None,
            passed: Vec::new(),
            token_hash: command.token_hash,
            created_at: when.1,
        };
        self.put_entry(Effect::Created, found, expected, when)
    }

    pub(super) fn leave(&self, change: &Change<Uuid, ()>, at: Timestamp) -> Verdict {
        let found = self.waitlist.at_version(change.id, change.if_version, "waitlist-entry-not-found")?;
        match entry_status_at(&found.is, at) {
            WaitlistStatus::Cancelled => Ok(Effect::Unchanged),
            WaitlistStatus::Waiting | WaitlistStatus::Offered => Ok(Effect::Updated),
            WaitlistStatus::Taken | WaitlistStatus::Expired => Err("invalid-transition"),
        }
    }

    pub(super) fn adopt_left(
        &mut self,
        id: Uuid,
        effect: Effect,
        found: &Versioned<WaitlistEntry>,
        when: When,
    ) -> Result<(), String> {
        let known = self.waitlist.get(id).ok_or("it is not there")?.clone();
        let offer = known.offer.filter(|_| known.status == WaitlistStatus::Offered);
        let held = offer.and_then(|offer| self.bookings.get(offer.booking));
        if let Some(held) = held.filter(|held| held.status == BookingStatus::Held).cloned() {
            let is_over = status_at(&held, when.1) == BookingStatus::Expired;
            let status = if is_over { BookingStatus::Expired } else { BookingStatus::Cancelled };
            self.bookings.push(held.id, when.0, when.1, Booking { status, ..held });
        }
        let expected = WaitlistEntry { status: WaitlistStatus::Cancelled, offer: None, ..known };
        self.put_entry(effect, found, expected, when)
    }

    pub(super) fn expire_entry(&self, id: Uuid, at: Timestamp) -> Verdict {
        let found = self.waitlist.at_version(id, None, "waitlist-entry-not-found")?;
        Ok(updated(found.is.status.is_open() && found.is.to <= at))
    }

    pub(super) fn adopt_expired(
        &mut self,
        id: Uuid,
        effect: Effect,
        found: &Versioned<WaitlistEntry>,
        when: When,
    ) -> Result<(), String> {
        let known = self.waitlist.get(id).ok_or("it is not there")?.clone();
        let expected = match effect {
            Effect::Updated => WaitlistEntry { status: WaitlistStatus::Expired, offer: None, ..known },
            _ => known,
        };
        self.put_entry(effect, found, expected, when)
    }

    pub(super) fn offer(&self, command: &OfferTime, at: Timestamp) -> Verdict {
        self.waitlist.at_version(command.entry, None, "waitlist-entry-not-found")?;
        Ok(updated(self.offered_start(command, at).is_some()))
    }

    /// The first start of a visit for whoever waits that can be had, if they wait still.
    fn offered_start(&self, command: &OfferTime, at: Timestamp) -> Option<Timestamp> {
        let entry = self.waitlist.get(command.entry)?;
        let waits = entry.status == WaitlistStatus::Waiting && at < entry.to;
        self.customers.get(entry.customer).filter(|_| waits)?;
        let Span { starts_at, ends_at } = command.starts;
        let from = starts_at.max(entry.from).max(Timestamp::from_micros(at.as_micros() + 1));
        let to = ends_at.min(entry.to);
        let mut start = minute(from).div_euclid(STEP) * STEP;
        let mut diary: Option<(i64, Diary<'_>)> = None;
        while instant(start) < to {
            let day = start.div_euclid(DAY);
            if diary.as_ref().is_none_or(|(known, _)| *known != day) {
                diary = Some((day, Diary::new(self, instant(start), at, None)));
            }
            let had = diary.as_ref().is_some_and(|(_, diary)| self.could_have(diary, entry, instant(start)));
            if from <= instant(start) && had {
                return Some(instant(start));
            }
            start += STEP;
        }
        None
    }

    /// Whether somebody who waits could have a visit at a start, and wants it.
    fn could_have(&self, diary: &Diary<'_>, entry: &WaitlistEntry, start: Timestamp) -> bool {
        let services = entry.services.iter().map(|id| self.services.get(*id));
        let minutes: Option<i64> =
            services.map(|service| Some(i64::from(service?.time.duration_minutes))).sum();
        let Some(minutes) = minutes else { return false };
        let end = Timestamp::from_micros(start.as_micros() + minutes * MINUTE);
        let apart = |passed: &PassedOffer| {
            let Span { starts_at, ends_at } = passed.span();
            end <= starts_at || ends_at <= start
        };
        entry.from <= start
            && end <= entry.to
            && entry.passed.iter().all(apart)
            && diary.fits(&items_of(entry), start, false)
    }

    /// An offer is a booking that is held: `made` has it. Nobody else has its time ([`Salon::put_booking`]).
    pub(super) fn adopt_offer(
        &mut self,
        command: &OfferTime,
        effect: Effect,
        found: &Versioned<WaitlistEntry>,
        made: &BTreeMap<Uuid, Booking>,
        when: When,
    ) -> Result<(), String> {
        let (seq, at) = when;
        let known = self.waitlist.get(command.entry).ok_or("it is not there")?.clone();
        if effect != Effect::Updated {
            return self.put_entry(effect, found, known, when);
        }
        let start = self.offered_start(command, at).ok_or("there is nothing to offer")?;
        let offer = found.is.offer.ok_or("there is no offer")?;
        let booking = made.get(&offer.booking).ok_or("the log has no such booking")?;
        let minutes = i64::from(self.settings().offer_minutes);
        let expires_at = Timestamp::from_micros(at.as_micros() + minutes * MINUTE).min(start);
        let expected = Booking {
            id: offer.booking,
            customer: known.customer,
            status: BookingStatus::Held,
            hold_expires_at: Some(expires_at),
            holder: None,
            token_hash: known.token_hash,
            series: None,
            offered_to: Some(known.id),
            forced: false,
            notes: None,
            created_at: at,
            ..booking.clone()
        };
        same(booking, &expected)?;
        let diary = Diary::new(self, start, at, None);
        let tasks = self.tasks(&items_of(&known)).ok_or("a service is not there")?;
        check_items(&diary, &tasks, booking, start, false)?;
        let booking = Versioned { version: 1, updated_at: at, is: booking.clone() };
        self.put_booking(Effect::Created, &booking, (seq, at))?;
        let offer = Some(OpenOffer { booking: booking.is.id, expires_at });
        let expected = WaitlistEntry { status: WaitlistStatus::Offered, offer, ..known };
        self.put_entry(effect, found, expected, when)
    }

    /// What becomes of whoever was offered a booking that is held no more.
    pub(super) fn end_offer(&mut self, booking: &Booking, (seq, at): When) {
        let entry = booking.offered_to.and_then(|id| self.waitlist.get(id)).cloned();
        let is_open = |entry: &WaitlistEntry| {
            entry.status == WaitlistStatus::Offered
                && entry.offer.is_some_and(|offer| offer.booking == booking.id)
        };
        let Some(entry) = entry.filter(is_open) else { return };
        let next = if booking.status == BookingStatus::Confirmed {
            WaitlistEntry { status: WaitlistStatus::Taken, ..entry }
        } else {
            let mut passed = entry.passed.clone();
            passed.push(PassedOffer::new(Span::new(booking.starts_at, booking.ends_at)));
            let is_last = passed.len() == PASSED_MAX;
            let status = if is_last { WaitlistStatus::Expired } else { WaitlistStatus::Waiting };
            WaitlistEntry { status, offer: None, passed, ..entry }
        };
        self.waitlist.push(next.id, seq, at, next);
    }

    fn put_entry(
        &mut self,
        effect: Effect,
        found: &Versioned<WaitlistEntry>,
        expected: WaitlistEntry,
        when: When,
    ) -> Result<(), String> {
        if found.is != expected {
            return Err(format!("the entry is {:?}, not {expected:?}", found.is));
        }
        self.waitlist.adopt(expected.id, effect, found, when)
    }
}

/// When the visits of a series begin.
fn visits(command: &BookSeries) -> Vec<Timestamp> {
    let rule = RULES.iter().find(|(rule, ..)| *rule == command.rule);
    let (_, days, count) = rule.expect("clients draw from these rules");
    let first = command.starts_at.as_micros();
    (0..*count).map(|visit| Timestamp::from_micros(first + visit * days * DAY * MINUTE)).collect()
}

fn items_of(entry: &WaitlistEntry) -> Vec<WantedItem> {
    let item = |service: &Uuid| WantedItem { service: *service, employee: entry.employee };
    entry.services.iter().map(item).collect()
}

/// Where an entry stands: what is over is over, and an offer that is over was not taken.
fn entry_status_at(entry: &WaitlistEntry, at: Timestamp) -> WaitlistStatus {
    let is_over = entry.offer.is_none_or(|offer| offer.expires_at <= at);
    match entry.status {
        status if status.is_open() && entry.to <= at => WaitlistStatus::Expired,
        WaitlistStatus::Offered if is_over && entry.passed.len() + 1 == PASSED_MAX => WaitlistStatus::Expired,
        WaitlistStatus::Offered if is_over => WaitlistStatus::Waiting,
        status => status,
    }
}
