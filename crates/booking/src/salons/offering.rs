//! What offers a time to whoever waits for one: a consumer that follows what is decided about a salon.
//!
//! A fact may bring time that was not to be had before it ([`Brought`]). Whoever waits for such a time is looked through in
//! order of entry; a command for each who could have something then looks again, at the writer's instant, and holds what it
//! finds. Time that only comes within the salon's horizon, or was free all along, is not offered but to somebody new.
//!
//! Invariants:
//! - Following a fact again leads to offers of what is still free, or to nothing.
//! - The facts of a salon are followed one after another, as of the newest view: what is free there may have come free by a
//!   fact behind the one that is followed, and goes to those first on the list all the same.
//! - What is searched is bounded: by the open entries of the list, and by what a fact can bring. A long list is looked
//!   through in parts, of about [`EMPLOYEE_DAYS_MAX`] each, so that other salons wait little for it; what one entry could
//!   have is asked of those before it within the same part, however many they are.

use std::ops::ControlFlow;

use maitred_core::{At, Read, TenantNumber, Timestamp};
use maitred_engine::consumers::{Consumer, Part};
use uuid::Uuid;

use super::booking::{BookedItem, Booking};
use super::calculus::BUFFER_MINUTES_MAX;
use super::command::{Command, OfferTime};
use super::fact::{Customer, Fact, Settings};
use super::gather::{self, Asked, Wanted};
use super::intervals::Span;
use super::local_time::{earlier, later, local_date, plus_days};
use super::offers::{self, Days};
use super::plan::PlanState;
use super::rules::allotment::{Wish, allot};
use super::view;
use super::waitlist::{self, Open, WaitlistEntry, WaitlistStatus};
use crate::Booking as Product;
use crate::record::Kind;

/// How many local days are searched at once: what is near is found without looking at what is far.
const DAYS_AT_ONCE: i32 = 8;
/// How much one part of a search looks at: days of an employee each, about 50 µs for one who is booked out
/// (`examples/waitlist_speed.rs`). An entry is looked at as a whole, however long it waits and however many work there.
pub const EMPLOYEE_DAYS_MAX: u64 = 1_000;
/// All of time.
const ALWAYS: Span = Span::new(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));

/// The consumer that makes the offers.
#[derive(Debug, Clone, Copy, Default)]
pub struct WaitlistOffers;

impl Consumer<Product> for WaitlistOffers {
    fn name(&self) -> &'static str {
        "waitlist-offers"
    }

    fn wants(&self, kind: u16) -> bool {
        let wanted = [
            "BookingCancelled",
            "BookingExpired",
            "BookingNoShow",
            "BookingRescheduled",
            "PlanChanged",
            "SettingsChanged",
            "EmployeeUpdated",
            "ServiceUpdated",
            "ResourceCreated",
            "ResourceUpdated",
            "WaitlistEntered",
            "WaitlistPassed",
        ];
        Fact::KINDS.iter().any(|known| known.kind == kind && wanted.contains(&known.name))
    }

    /// All of a salon's facts are about one thing: its list.
    fn key(&self, fact: &crate::Fact, _: At) -> Option<u128> {
        matches!(fact, crate::Fact::Salons(_)).then_some(0)
    }

    /// All parts, without what is decided between them: for whoever has no engine.
    fn consume(&self, view: &dyn Read, fact: &crate::Fact, at: At) -> Result<Vec<crate::Command>, String> {
        let (mut commands, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let part = self.consume_part(view, fact, at, from)?;
            commands.extend(part.commands);
            next = part.next;
        }
        Ok(commands)
    }

    /// A part begins behind the entry of the number `from`.
    fn consume_part(
        &self,
        view: &dyn Read,
        fact: &crate::Fact,
        at: At,
        from: u64,
    ) -> Result<Part<crate::Command>, String> {
        const NOTHING: Part<crate::Command> = Part { commands: Vec::new(), next: None };
        let crate::Fact::Salons(fact) = fact else { return Ok(NOTHING) };
        let open = waitlist::open(view, at.tenant, at.timestamp);
        let brought = match open.is_empty() {
            true => None,
            false => brought(view, fact, &open, at),
        };
        let Some(brought) = brought else { return Ok(NOTHING) };
        let Part { commands, next } = part(view, &open, brought, at, from);
        Ok(Part { commands: commands.into_iter().map(crate::Command::from).collect(), next })
    }
}

/// What a fact may have brought.
#[derive(Debug, Clone, Copy)]
struct Brought {
    /// When there may be time that was not to be had.
    span: Span,
    /// To whom alone it is of use, if that is so.
    only: Option<Uuid>,
}

fn brought(view: &dyn Read, fact: &Fact, open: &[Open], at: At) -> Option<Brought> {
    let time = |span: Span| (!span.is_empty()).then_some(Brought { span, only: None });
    match fact {
        Fact::BookingCancelled(booking) | Fact::BookingExpired(booking) | Fact::BookingNoShow(booking) => {
            time(Span::new(booking.starts_at, booking.ends_at))
        }
        Fact::BookingRescheduled(booking) => {
            let before = view::any::<Booking>(view, at.tenant, booking.id, at.seq.checked_sub(1))?.is;
            time(Span::new(before.starts_at, before.ends_at))
        }
        Fact::PlanChanged(plan) => time(gained(view, plan, open, at)?),
        Fact::SettingsChanged(settings) => {
            // How long an offer is held brings no time.
            let before = view::settings(view, at.tenant, at.seq.checked_sub(1)).is;
            let is_time = Settings { offer_minutes: settings.offer_minutes, ..before } != *settings;
            is_time.then_some(Brought { span: ALWAYS, only: None })
        }
        Fact::WaitlistEntered(entry) | Fact::WaitlistPassed(entry) => {
            Some(Brought { span: ALWAYS, only: Some(entry.id) })
        }
        _ => time(ALWAYS),
    }
}

/// When an employee works who did not work then before, as one span.
fn gained(view: &dyn Read, plan: &PlanState, open: &[Open], at: At) -> Option<Span> {
    let from = open.iter().map(|open| open.window.starts_at).min()?.max(at.timestamp);
    let window = Span::new(from, open.iter().map(|open| open.window.ends_at).max()?);
    let zone = gather::zone(view, at.tenant);
    let before = view::plan(view, at.tenant, plan.employee, at.seq.checked_sub(1)).is;
    let working = |plan: &PlanState| plan.calculated().working(&zone, window);
    let gained = working(plan).subtract(&working(&before));
    let (first, last) = (gained.spans().first()?, gained.spans().last()?);
    Some(Span::new(first.starts_at, last.ends_at))
}

/// Somebody who waits, and what for.
struct Waiting {
    entry: WaitlistEntry,
    wanted: Vec<Wanted>,
}

impl Waiting {
    /// How long the visit is.
    fn minutes(&self) -> u32 {
        self.wanted.iter().map(|wanted| wanted.service.time.duration_minutes).sum()
    }
}

/// An entry that waits, if what it waits for can be booked.
fn waiting(view: &dyn Read, tenant: TenantNumber, open: &Open) -> Option<Waiting> {
    let entry = view::get::<WaitlistEntry>(view, tenant, open.id, None)?.is;
    if entry.status != WaitlistStatus::Waiting {
        return None;
    }
    view::get::<Customer>(view, tenant, entry.customer, None)?;
    let wanted = offers::wanted(view, tenant, &entry.items())?;
    Some(Waiting { entry, wanted })
}

/// A command for each behind `from` who could have something of what was brought, as far as one part goes.
fn part(view: &dyn Read, open: &[Open], brought: Brought, at: At, from: u64) -> Part<Command> {
    let asked = Asked { view, tenant: at.tenant, now: at.timestamp, except: None };
    let mut round = Round { asked, beside: Vec::new(), commands: Vec::new() };
    let read = |open: &Open| waiting(view, at.tenant, open);
    if let Some(only) = brought.only {
        let place = open.iter().position(|open| open.id == only);
        let one = place.and_then(|place| Some((&open[..place], read(&open[place])?)));
        if let Some((before, waiting)) = one
            && let Some(found) = round.first(&waiting, ALWAYS)
        {
            round.offer_behind(&mut before.iter().filter_map(read).collect(), &waiting, found, ALWAYS);
        }
        return Part { commands: round.commands, next: None };
    }
    let mut before: Vec<Waiting> = open.iter().filter_map(read).collect();
    // What a long visit finds must have been looked at for the short ones before it: all have one reach.
    let reach = reach(brought.span, before.iter().map(Waiting::minutes).max().unwrap_or(0));
    let behind = before.split_off(before.partition_point(|waiting| waiting.entry.number <= from));
    let employees = view::count(view, at.tenant, Kind::Employee) as u64;
    let mut left = EMPLOYEE_DAYS_MAX;
    let mut last = from;
    for waiting in &behind {
        let days = employees * days_of(reach.common(waiting.entry.window()));
        if left < days && last != from {
            return Part { commands: round.commands, next: Some(last) };
        }
        (left, last) = (left.saturating_sub(days), waiting.entry.number);
        if let Some(found) = round.first(waiting, reach) {
            // Those of the parts before were looked at in another view.
            let days = before.iter().filter(|before| before.entry.window().overlaps(found.visit)).count();
            left = left.saturating_sub(employees * 2 * days as u64);
            round.offer_behind(&mut before, waiting, found, reach);
        }
    }
    Part { commands: round.commands, next: None }
}

/// How many local days a search within a span touches, or one more.
fn days_of(span: Span) -> u64 {
    const DAY_MICROS: i64 = 86_400_000_000;
    let micros = span.ends_at.as_micros().saturating_sub(span.starts_at.as_micros());
    u64::try_from(micros / DAY_MICROS + 2).unwrap_or(1)
}

/// A visit that could be offered, and until when the search went that found it.
#[derive(Debug, Clone, Copy)]
struct Found {
    visit: Span,
    end: Timestamp,
}

/// Offers that are made together, each beside those before it.
struct Round<'a> {
    asked: Asked<'a>,
    beside: Vec<BookedItem>,
    commands: Vec<Command>,
}

impl Round<'_> {
    /// The first visit for somebody that begins within `reach`.
    fn first(&self, Waiting { entry, wanted }: &Waiting, reach: Span) -> Option<Found> {
        let starts = reach.common(entry.window());
        let visit = first_time(&self.asked, entry, wanted, starts, &self.beside)?;
        Some(Found { visit, end: starts.ends_at })
    }

    fn offer(&mut self, Waiting { entry, wanted }: &Waiting, Found { visit, end }: Found) {
        let wish = Wish { wanted, starts_at: visit.starts_at, force: false, beside: &self.beside };
        let Ok(items) = allot(&self.asked, &wish) else { return };
        self.beside.extend(items);
        // The writer may find that this one is taken, and a later one is not.
        let starts = Span::new(visit.starts_at, end);
        self.commands.push(Command::OfferTime(OfferTime { entry: entry.id, starts }));
    }

    /// Offers to somebody what is free within `reach`, which is `found` first, but before that to those before them on the
    /// list what these want of it: it may have come free by a fact that is yet to be followed.
    fn offer_behind(&mut self, before: &mut Vec<Waiting>, waiting: &Waiting, mut found: Found, within: Span) {
        loop {
            let wants = |(place, waiting): (usize, &Waiting)| {
                Some((place, self.first(waiting, reach(found.visit, waiting.minutes()))?))
            };
            let Some((place, theirs)) = before.iter().enumerate().find_map(wants) else { break };
            self.offer(&before.remove(place), theirs);
            match self.first(waiting, within) {
                Some(next) => found = next,
                None => return,
            }
        }
        self.offer(waiting, found);
    }
}

/// When visits of so many minutes begin that could use time within `span`, be it for a buffer.
fn reach(span: Span, minutes: u32) -> Span {
    let margin = 2 * BUFFER_MINUTES_MAX;
    Span::new(earlier(earlier(span.starts_at, minutes), margin), later(span.ends_at, margin))
}

/// The first visit that is to be had, begins within `starts` and in the future, and is wanted by the entry.
pub(super) fn first_time(
    asked: &Asked<'_>,
    entry: &WaitlistEntry,
    wanted: &[Wanted],
    starts: Span,
    beside: &[BookedItem],
) -> Option<Span> {
    let ahead = Timestamp::from_micros(asked.now.as_micros().saturating_add(1));
    let starts = starts.common(Span::new(ahead.max(entry.from), entry.to));
    if starts.is_empty() {
        return None;
    }
    let zone = gather::zone(asked.view, asked.tenant);
    let mut from = local_date(&zone, starts.starts_at);
    let end = plus_days(local_date(&zone, starts.ends_at), 1);
    let mut found = None;
    while from < end && found.is_none() {
        let to = plus_days(from, DAYS_AT_ONCE).min(end);
        let days = Days { from, to, step_minutes: None, each_employee: false };
        offers::offers_beside(asked, wanted, beside, &days, |offer| {
            if starts.has(offer.span.starts_at) && entry.wants(offer.span) {
                found = Some(offer.span);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        from = to;
    }
    found
}
