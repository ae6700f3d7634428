//! What can start when, and with whom: the one predicate behind what is offered and what can be booked.
//!
//! [`offers`] asks `Search::at` for every aligned start of a range, [`fits`] asks it for one. So what is
//! offered can be booked, and what is not offered cannot.
//!
//! Invariants:
//! - Occupied time lies within working time, with its buffers unless these may leave the shift. Midnight is
//!   no border: a buffer crosses it where the shift does.
//! - Occupied time keeps its buffers' distance from all that is booked for the same employee or resource.
//! - A start needs one employee, and one resource, for all of a service: what several have free in turn is
//!   added up as starts, never as time.
//! - The services of a visit follow each other without a pause, so they never compete for anybody: each is
//!   looked at for itself.
//! - Who is allotted is a function of the question: for `Any` the employee who then has the fewest free
//!   gaps beside the visit that are shorter than the shortest service, then the fewest minutes booked on
//!   the day of the visit's start, then the smallest id; of the resources the one with the smallest id. Of
//!   a visit of several services those with a named employee are allotted first, then the others in order,
//!   each beside what is allotted already.
//!
//! Next: `openings.rs` beside this file for the starts that one employee or resource has.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use jiff::civil::Date;
use maitred_core::Timestamp;

use super::calculus::{
    Allotted, BUFFER_MINUTES_MAX, DAYS_MAX, Item, Misfit, Occupied, Offer, Question, SERVICES_IN_A_ROW_MAX,
    Salon, Settings,
};
use super::intervals::Span;
use super::local_time::{aligned_starts, days, days_span, earlier, is_aligned, later, local_date, plus_days};
use super::openings::Openings;

/// The window of a question: of employees and resources, all that is booked or worked within it must be
/// given, and nothing outside of it has a say. `days` are those of the starts: of one start its
/// [`day_of`].
pub fn window(shortest_service_minutes: u32, items: &[Item], days: Span) -> Span {
    let visit =
        items.iter().fold(0, |sum: u32, item| sum.saturating_add(item.service.duration_minutes.max(1)));
    let margin = (2 * BUFFER_MINUTES_MAX).saturating_add(shortest_service_minutes);
    Span::new(earlier(days.starts_at, margin), later(later(days.ends_at, visit), margin))
}

/// The local days of a question, as one span.
pub fn days_of(settings: &Settings, from: Date, to: Date) -> Span {
    days_span(&settings.zone, from, to)
}

/// The local day that an instant belongs to.
pub fn day_of(settings: &Settings, at: Timestamp) -> Span {
    let date = local_date(&settings.zone, at);
    let around = days(&settings.zone, plus_days(date, -1), plus_days(date, 2));
    around.into_iter().find(|day| day.has(at)).unwrap_or(Span::new(at, at))
}

/// Hands over every start that can be booked, in order, until there are no more or `each` breaks off.
/// With `each_employee` a start comes once for every employee who can do the first service, by id.
pub fn offers(
    salon: &Salon,
    question: &Question,
    now: Timestamp,
    mut each: impl FnMut(&Offer) -> ControlFlow<()>,
) {
    let settings = &salon.settings;
    let to = question.to.min(plus_days(question.from, DAYS_MAX.cast_signed()));
    let days = days(&settings.zone, question.from, to);
    let Some(mut search) = Search::new(salon, &question.items, &days) else { return };
    let step = offered_step(settings, question.step_minutes);
    let bookable = bookable(settings, now);
    let mut day = 0;
    let starts = aligned_starts(&settings.zone, question.from, to, step);
    for starts_at in starts.into_iter().filter(|at| bookable.has(*at)) {
        while days.get(day).is_some_and(|span| span.ends_at <= starts_at) {
            day += 1;
        }
        let firsts = if question.each_employee { search.first_candidates() } else { 1 };
        for first in 0..firsts {
            let wanted = question.each_employee.then_some(first);
            if search.at(starts_at, day, wanted).is_ok() && each(&search.offer).is_break() {
                return;
            }
        }
    }
}

/// Whether a visit can start at an instant, and whom it is allotted to.
///
/// # Errors
/// The first reason why not.
pub fn fits(salon: &Salon, items: &[Item], starts_at: Timestamp, now: Timestamp) -> Result<Offer, Misfit> {
    let settings = &salon.settings;
    let day = [day_of(settings, starts_at)];
    let mut search = Search::new(salon, items, &day).ok_or(Misfit::Services)?;
    let bookable = bookable(settings, now);
    if starts_at < bookable.starts_at {
        return Err(Misfit::TooSoon);
    }
    if starts_at >= bookable.ends_at {
        return Err(Misfit::TooFar);
    }
    if !is_aligned(&settings.zone, starts_at, settings.step_minutes) {
        return Err(Misfit::NotAligned);
    }
    search.at(starts_at, 0, None)?;
    Ok(search.offer)
}

/// When a visit may start, seen from now.
fn bookable(settings: &Settings, now: Timestamp) -> Span {
    let horizon_minutes = settings.max_horizon_days.saturating_mul(24 * 60);
    Span::new(later(now, settings.min_notice_minutes), later(now, horizon_minutes))
}

/// The step that was asked for, if it is a multiple of the tenant's.
fn offered_step(settings: &Settings, asked: u32) -> u32 {
    if asked.is_multiple_of(settings.step_minutes.max(1)) && asked > 0 {
        asked
    } else {
        settings.step_minutes
    }
}

/// A question made ready: for each service the openings of all who could do it. It is asked for one start
/// after another, in order.
struct Search {
    places: Vec<Place>,
    /// From the start of the visit to the start and the end of each service, in microseconds.
    times: Vec<(i64, i64)>,
    /// How much of each local day each employee is booked, in microseconds: a row for each employee.
    booked: Vec<i64>,
    days: usize,
    /// A free time shorter than this, in microseconds, cannot be sold.
    shortest: i64,
    /// Who does which service, as far as that is settled: a number among the employees.
    settled: Vec<Option<usize>>,
    /// The last answer.
    offer: Offer,
}

/// By whom and where a service of the visit can be done.
struct Place {
    is_named: bool,
    /// By id.
    candidates: Vec<Candidate>,
    /// Nobody is free before this instant. Starts are asked for in rising order, so it only rises.
    not_before: Timestamp,
    needs_resource: bool,
    /// By id.
    resources: Vec<(u128, Openings)>,
}

struct Candidate {
    id: u128,
    /// The number among the employees.
    employee: usize,
    openings: Openings,
}

impl Search {
    fn new(salon: &Salon, items: &[Item], days: &[Span]) -> Option<Search> {
        if !(1..=SERVICES_IN_A_ROW_MAX).contains(&items.len()) {
            return None;
        }
        let mut ends = 0;
        let times = items.iter().map(|item| {
            let starts = ends;
            ends += micros(item.service.duration_minutes.max(1));
            (starts, ends)
        });
        let nowhere = Span::new(Timestamp::default(), Timestamp::default());
        let nobody = Allotted { span: nowhere, employee: 0, resource: None };
        Some(Search {
            times: times.collect(),
            places: items.iter().map(|item| Place::new(salon, item)).collect(),
            booked: salon
                .employees
                .iter()
                .flat_map(|employee| booked_by_day(&employee.booked, days))
                .collect(),
            days: days.len(),
            shortest: micros(salon.shortest_service_minutes),
            settled: vec![None; items.len()],
            offer: Offer { span: nowhere, items: vec![nobody; items.len()] },
        })
    }

    /// How many could do the first service at some time.
    fn first_candidates(&self) -> usize {
        self.places.first().map_or(0, |place| place.candidates.len())
    }

    /// The predicate: whether the visit can start at an instant of the day with this number; where it can,
    /// [`Search::offer`] says with whom. `first` demands a certain candidate for the first service.
    fn at(&mut self, starts_at: Timestamp, day: usize, first: Option<usize>) -> Result<(), Misfit> {
        if first.is_some_and(|first| !self.is_free_for_the_first(first, starts_at)) {
            return Err(Misfit::NoEmployee(0));
        }
        self.settled.fill(None);
        for number in 0..self.places.len() {
            let demanded = first.filter(|_| number == 0);
            if demanded.is_some() || self.places[number].is_named {
                self.settle(number, starts_at, day, demanded);
            }
        }
        for number in 0..self.places.len() {
            let demanded = first.filter(|_| number == 0);
            if self.settled[number].is_none() {
                self.settle(number, starts_at, day, demanded);
            }
            if self.settled[number].is_none() {
                return Err(Misfit::NoEmployee(number));
            }
            let place = &mut self.places[number];
            let allotted = &mut self.offer.items[number];
            if place.needs_resource {
                let free = place
                    .resources
                    .iter_mut()
                    .find_map(|(id, openings)| openings.at(allotted.span.starts_at).map(|_| *id));
                allotted.resource = Some(free.ok_or(Misfit::NoResource(number))?);
            }
        }
        let ends = self.times.last().map_or(0, |(_, ends)| *ends);
        self.offer.span = Span::new(starts_at, plus(starts_at, ends));
        Ok(())
    }

    /// Whether a candidate is free for the first service: a short way out, where each employee is asked for.
    fn is_free_for_the_first(&mut self, candidate: usize, starts_at: Timestamp) -> bool {
        let candidate = self.places.first_mut().and_then(|place| place.candidates.get_mut(candidate));
        candidate.is_some_and(|candidate| candidate.openings.at(starts_at).is_some())
    }

    /// Finds who does a service best, beside what is settled already.
    fn settle(&mut self, number: usize, visit_starts_at: Timestamp, day: usize, demanded: Option<usize>) {
        let (starts, ends) = self.times[number];
        let span = Span::new(plus(visit_starts_at, starts), plus(visit_starts_at, ends));
        let place = &mut self.places[number];
        if span.starts_at < place.not_before {
            return;
        }
        let mut best: Option<((u8, i64), usize, u128)> = None;
        let mut next = Timestamp::from_micros(i64::MAX);
        let asked = demanded.map_or(0..place.candidates.len(), |demanded| demanded..demanded + 1);
        for candidate in place.candidates.get_mut(asked).unwrap_or_default() {
            let Some(opening) = candidate.openings.at(span.starts_at) else {
                next = next.min(candidate.openings.next());
                continue;
            };
            let (mut before, mut after) = (opening.before, opening.after);
            for (other, settled) in self.settled.iter().enumerate() {
                if *settled == Some(candidate.employee) && other < number {
                    before = before.min(starts - self.times[other].1);
                } else if *settled == Some(candidate.employee) && other > number {
                    after = after.min(self.times[other].0 - ends);
                }
            }
            let is_lost = |free: i64| 0 < free && free < self.shortest;
            let gaps = u8::from(is_lost(before)) + u8::from(is_lost(after));
            let booked = self.booked.get(candidate.employee * self.days + day).copied().unwrap_or(0);
            let cost = (gaps, booked);
            if best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, candidate.employee, candidate.id));
            }
        }
        if let Some((_, employee, id)) = best {
            self.settled[number] = Some(employee);
            self.offer.items[number] = Allotted { span, employee: id, resource: None };
        } else if demanded.is_none() {
            place.not_before = next;
        }
    }
}

impl Place {
    fn new(salon: &Salon, item: &Item) -> Place {
        let service = &item.service;
        let employees = salon.employees.iter().enumerate();
        let mut candidates: Vec<Candidate> = employees
            .filter(|(_, employee)| item.employee.allows(service, employee))
            .map(|(number, employee)| Candidate {
                id: employee.id,
                employee: number,
                openings: Openings::of_employee(&salon.settings, service, employee),
            })
            .collect();
        candidates.sort_by_key(|candidate| candidate.id);
        let resources =
            salon.resources.iter().filter(|resource| service.needs_resource == Some(resource.kind));
        let mut resources: Vec<(u128, Openings)> = resources
            .map(|resource| (resource.id, Openings::of_resource(&salon.settings, service, resource)))
            .collect();
        resources.sort_by_key(|(id, _)| *id);
        Place {
            is_named: item.employee.named().is_some(),
            candidates,
            not_before: Timestamp::from_micros(i64::MIN),
            needs_resource: service.needs_resource.is_some(),
            resources,
        }
    }
}

/// How much of each day is booked, in microseconds.
fn booked_by_day(booked: &[Occupied], days: &[Span]) -> Vec<i64> {
    let mut sums = vec![0_i64; days.len()];
    for occupied in booked {
        let first = days.partition_point(|day| day.ends_at <= occupied.span.starts_at);
        for (day, sum) in days.iter().zip(&mut sums).skip(first) {
            if day.starts_at >= occupied.span.ends_at {
                break;
            }
            *sum = sum.saturating_add(day.common(occupied.span).micros());
        }
    }
    sums
}

fn plus(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}

fn micros(minutes: u32) -> i64 {
    i64::from(minutes) * 60_000_000
}
