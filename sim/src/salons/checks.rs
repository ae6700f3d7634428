//! What a view must say of the salons: each checker names its invariant in what it finds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use maitred_booking::salons::booking::{BookedItem, Place};
use maitred_booking::salons::bookings_view::{BookingQuery, bookings};
use maitred_booking::salons::command::{Book, Command, ForCustomer, WantedItem};
use maitred_booking::salons::gather::{Asked, zone};
use maitred_booking::salons::local_time::{local_date, plus_days};
use maitred_booking::salons::offers::{self, Days};
use maitred_booking::salons::view::{self, Kept as OfAKind};
use maitred_booking::salons::{Booking, BookingStatus};
use maitred_booking::slot::{self, Interval};
use maitred_core::{Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::fits::{Diary, instant, spans};
use super::kept::{Gone, Kept};
use super::{Salon, Salons, status_at};
use crate::random::Random;

/// The most records that a list is asked for: more than there ever are.
const ALL: usize = 10_000;

/// What was offered at a position, to be put to the rules as the very next command.
#[derive(Debug)]
pub struct Probe {
    /// Whose.
    pub tenant: TenantNumber,
    /// Books what was offered, or what was not.
    pub command: Command,
    /// Who does what then; `None` if it was not offered.
    pub offered: Option<Vec<(u128, Option<u128>)>>,
}

impl Salons {
    /// I6: what is claimed is what the bookings say, and nobody and nothing is claimed twice at once.
    ///
    /// # Errors
    /// Who is.
    pub fn check_claims(&self, view: &dyn Read) -> Result<(), String> {
        for (tenant, salon) in &self.0 {
            let expected = salon.claims();
            let employees = salon.employees.all().map(|found| found.is.number);
            let resources = salon.resources.all().map(|found| found.is.number);
            for number in employees.chain(resources) {
                let found = slot::standing(view, *tenant, number, Interval::ALL, None, None, ALL).claims;
                let found: Vec<_> =
                    found.iter().map(|claim| (claim.starts_at, claim.ends_at, claim.id)).collect();
                if let Some(twice) = found.windows(2).find(|pair| pair[0].1 > pair[1].0) {
                    return Err(format!("I6: tenant {}: {number} is claimed twice: {twice:?}", tenant.0));
                }
                let expected = expected.get(&number).map_or(&[][..], Vec::as_slice);
                if found != expected {
                    return Err(format!(
                        "I6: tenant {}: {number} is claimed by {found:?}; the bookings say {expected:?}",
                        tenant.0
                    ));
                }
            }
        }
        Ok(())
    }

    /// I6: a hold that is over is over for every list, whether or not it is settled, now and as of a batch.
    ///
    /// # Errors
    /// What a list shows.
    pub fn check_lists(
        &self,
        view: &dyn Read,
        at: Timestamp,
        as_of: Option<Seq>,
        status: Option<BookingStatus>,
    ) -> Result<(), String> {
        for (tenant, salon) in &self.0 {
            let query = BookingQuery { at, as_of, status, ..BookingQuery::default() };
            let found = bookings(view, *tenant, &query, None, ALL).items;
            let mut expected: Vec<_> = salon.bookings.as_of(as_of.unwrap_or(Seq::MAX)).collect();
            expected.retain(|known| status.is_none_or(|status| status_at(&known.is, at) == status));
            expected.sort_by_key(|known| (known.is.starts_at, known.is.id));
            if !found.iter().eq(expected.iter().copied()) {
                return Err(format!(
                    "I6: tenant {}: bookings that are {status:?} at {at} as of {as_of:?}: {found:?}; the model has \
                     {expected:?}",
                    tenant.0
                ));
            }
        }
        Ok(())
    }

    /// Every version of every record, and what each was as of a batch.
    ///
    /// # Errors
    /// What is not as it was answered.
    pub fn check_records(&self, view: &dyn Read, as_of: Seq) -> Result<(), String> {
        for (tenant, salon) in &self.0 {
            check_kept(view, *tenant, &salon.services, as_of)?;
            check_kept(view, *tenant, &salon.employees, as_of)?;
            check_kept(view, *tenant, &salon.resources, as_of)?;
            check_kept(view, *tenant, &salon.customers, as_of)?;
            check_kept(view, *tenant, &salon.bookings, as_of)?;
            check_kept(view, *tenant, &salon.legacy, as_of)?;
            check_kept(view, *tenant, &salon.series, as_of)?;
            check_kept(view, *tenant, &salon.waitlist, as_of)?;
            for (id, _) in salon.plans.versions() {
                let found = view::plan(view, *tenant, id, Some(as_of));
                let known = salon.plans.as_of(as_of).find(|known| known.is.employee == id);
                if known.map_or(found.version != 0, |known| *known != found) {
                    return Err(format!(
                        "the plan of {id} as of {as_of}: {found:?}; the model has {known:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What is offered is what the model has free, to the start. Returns an offer, and a start that is not offered, for
    /// the rules to say the same.
    ///
    /// # Errors
    /// The start that one has and the other has not.
    pub fn check_offers(
        &self,
        random: &mut Random,
        view: &dyn Read,
        (at, asked_at): (Timestamp, Timestamp),
    ) -> Result<Vec<Probe>, String> {
        let mut probes = Vec::new();
        for (tenant, salon) in &self.0 {
            let Some((items, day)) = salon.any_question(random) else { continue };
            let diary = Diary::new(salon, day, at, None);
            let mut offered = BTreeMap::new();
            if let Some(wanted) = offers::wanted(view, *tenant, &items) {
                let asked = Asked { view, tenant: *tenant, now: asked_at, except: None };
                let from = local_date(&zone(view, *tenant), day);
                let days = Days { from, to: plus_days(from, 1), step_minutes: None, each_employee: false };
                offers::offers(&asked, &wanted, &days, |offer| {
                    let items = offer.items.iter().map(|item| (item.employee, item.resource));
                    offered.insert(offer.span.starts_at, items.collect::<Vec<_>>());
                    ControlFlow::Continue(())
                });
            }
            let starts: Vec<Timestamp> = Salon::starts_of(day).collect();
            let fits = |start: &&Timestamp| diary.fits(&items, **start, false);
            let expected: Vec<Timestamp> = starts.iter().filter(fits).copied().collect();
            if !offered.keys().eq(&expected) {
                let offered: Vec<_> = offered.keys().collect();
                return Err(format!(
                    "I6: tenant {}: at {at} {offered:?} is offered for {items:?}; the model has {expected:?}",
                    tenant.0
                ));
            }
            check_alternatives(salon, view, (*tenant, at), &items, *random.pick(&starts))?;
            let Some(customer) = salon.customers.there().next() else { continue };
            let mut probe = |starts_at: Timestamp| {
                let book = Book {
                    customer: ForCustomer::Known(customer.id),
                    starts_at,
                    items: items.clone(),
                    hold_seconds: None,
                    holder: None,
                    token_hash: None,
                    force: false,
                    notes: None,
                };
                let offered = offered.get(&starts_at).cloned();
                probes.push(Probe { tenant: *tenant, command: Command::Book(book), offered });
            };
            if !expected.is_empty() {
                probe(*random.pick(&expected));
            }
            let other: Vec<Timestamp> =
                starts.into_iter().filter(|start| !expected.contains(start)).collect();
            if !other.is_empty() {
                probe(*random.pick(&other));
            }
        }
        Ok(probes)
    }

    /// A booking that is held still: its hold has come to no end.
    pub fn held(&self) -> Option<Uuid> {
        let all = self.0.values().flat_map(|salon| salon.bookings.all());
        all.map(|found| &found.is)
            .find(|booking| booking.status == BookingStatus::Held)
            .map(|booking| booking.id)
    }
}

impl Salon {
    /// What the records of the bookings claim, by employee or resource: a hold that is over claims until it is settled.
    fn claims(&self) -> BTreeMap<u32, Vec<(Timestamp, Timestamp, u128)>> {
        let mut claims: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        let claiming = |booking: &&Booking| booking.status.claims_time();
        for booking in self.bookings.all().map(|found| &found.is).filter(claiming) {
            for item in &booking.items {
                for Place { number, .. } in places(item) {
                    let spans = spans(item, number);
                    let spans = spans.map(|(from, to)| (instant(from), instant(to), booking.id.as_u128()));
                    claims.entry(number).or_default().extend(spans);
                }
            }
        }
        claims.values_mut().for_each(|claims| claims.sort_unstable());
        claims
    }
}

/// I6: what is named instead of a start that is not to be had can be had.
fn check_alternatives(
    salon: &Salon,
    view: &dyn Read,
    (tenant, at): (TenantNumber, Timestamp),
    items: &[WantedItem],
    wanted_start: Timestamp,
) -> Result<(), String> {
    let Some(wanted) = offers::wanted(view, tenant, items) else { return Ok(()) };
    let asked = Asked { view, tenant, now: at, except: None };
    for offer in offers::alternatives(&asked, &wanted, wanted_start) {
        let start = offer.span.starts_at;
        if !Diary::new(salon, start, at, None).fits(items, start, false) {
            let tenant = tenant.0;
            return Err(format!(
                "I6: tenant {tenant}: {start} is named instead of {wanted_start} at {at} for {items:?}"
            ));
        }
    }
    Ok(())
}

fn places(item: &BookedItem) -> impl Iterator<Item = Place> {
    [Some(item.employee), item.resource].into_iter().flatten()
}

fn check_kept<T: OfAKind + Gone + Clone + PartialEq + std::fmt::Debug>(
    view: &dyn Read,
    tenant: TenantNumber,
    kept: &Kept<T>,
    as_of: Seq,
) -> Result<(), String> {
    for (id, versions) in kept.versions() {
        let found = view::versions::<T>(view, view::record_id::<T>(tenant, id), None, None, ALL);
        let found: Vec<_> = found.into_iter().map(|(change, version)| (change.seq, version)).collect();
        if found != versions {
            return Err(format!("{id} of tenant {}: {found:?}; the model has {versions:?}", tenant.0));
        }
        let found = view::any::<T>(view, tenant, id, Some(as_of));
        let known = versions.iter().rev().find(|(wrote, _)| *wrote <= as_of).map(|(_, version)| version);
        if found.as_ref() != known {
            return Err(format!("{id} as of {as_of}: {found:?}; the model has {known:?}"));
        }
    }
    Ok(())
}

/// Ids as the offers name them.
pub fn allotted(booking: &Booking) -> Vec<(u128, Option<u128>)> {
    let id = |id: Uuid| id.as_u128();
    booking.items.iter().map(|item| (id(item.employee.id), item.resource.map(|place| id(place.id)))).collect()
}
