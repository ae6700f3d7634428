//! The starts of one service that one employee or resource has: the interval check.
//!
//! A service is one or two pieces of occupied time at fixed distances from its start. Each piece allows the
//! starts that put it within working time, and everything booked forbids those that bring a piece too near.
//! Both are intervals of starts, so the starts that are left are found by taking sets from sets, without
//! looking at one instant after another.
//!
//! Invariants: exact to the microsecond, whatever the step; a start is in the result if and only if every
//! piece keeps every rule there.

use maitred_core::Timestamp;

use super::calculus::{Buffers, Employee, Occupied, Resource, Service, Settings};
use super::intervals::{Intervals, Span};

/// Behind every instant.
const NEVER: Span = Span::new(Timestamp::from_micros(i64::MAX), Timestamp::from_micros(i64::MAX));

/// The starts of a service, asked for in rising order.
pub(super) struct Openings {
    /// Those that the first piece allows.
    first: Cursor,
    /// Those that the last one allows, where it is another.
    last: Option<Cursor>,
}

/// What is around a start: how much free time there is before and after, in microseconds, buffers not
/// counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) before: i64,
    pub(super) after: i64,
}

impl Openings {
    /// Where an employee can do a service.
    pub(super) fn of_employee(settings: &Settings, service: &Service, employee: &Employee) -> Self {
        let mut pieces = service.employee_time(Timestamp::default()).map(|piece| {
            let piece = Piece::new(piece);
            let allowed = employee.working.spans().iter();
            let allowed = allowed.map(|span| piece.within(*span, settings.buffers_may_leave_shift));
            piece.starts(allowed, &employee.booked, settings.buffers)
        });
        let first = Cursor::new(pieces.next().unwrap_or(Intervals::NONE));
        Openings { first, last: pieces.next().map(Cursor::new) }
    }

    /// When a service can be done at a resource.
    pub(super) fn of_resource(settings: &Settings, service: &Service, resource: &Resource) -> Self {
        let always = Span::new(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        let piece = Piece::new(service.resource_time(Timestamp::default()));
        let starts = piece.starts(std::iter::once(always), &resource.booked, settings.buffers);
        Openings { first: Cursor::new(starts), last: None }
    }

    /// Before this instant, and from what was asked for last on, there is no start.
    pub(super) fn next(&self) -> Timestamp {
        let first = self.first.span.starts_at;
        self.last.as_ref().map_or(first, |last| first.max(last.span.starts_at))
    }

    /// What is around a start, if the service can start there. Starts are asked for in rising order.
    pub(super) fn at(&mut self, starts_at: Timestamp) -> Option<Opening> {
        let first = self.first.at(starts_at)?;
        let last = match &mut self.last {
            None => first,
            Some(last) => last.at(starts_at)?,
        };
        let at = starts_at.as_micros();
        Some(Opening {
            before: at.saturating_sub(first.starts_at.as_micros()),
            // The last start that is allowed stands before the end of the span.
            after: last.ends_at.as_micros().saturating_sub(at).saturating_sub(1),
        })
    }
}

/// A set that is looked into from front to back.
struct Cursor {
    set: Intervals,
    next: usize,
    /// The first span that ends behind what was asked for last; where there is none, all of time behind time.
    span: Span,
}

impl Cursor {
    fn new(set: Intervals) -> Self {
        let span = set.spans().first().copied().unwrap_or(NEVER);
        Cursor { set, next: 1, span }
    }

    fn at(&mut self, at: Timestamp) -> Option<Span> {
        while self.span.ends_at <= at && self.span != NEVER {
            self.span = self.set.spans().get(self.next).copied().unwrap_or(NEVER);
            self.next += 1;
        }
        self.span.has(at).then_some(self.span)
    }
}

/// Occupied time relative to the start of its service, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Piece {
    starts: i64,
    ends: i64,
    before_minutes: u32,
    after_minutes: u32,
}

impl Piece {
    /// Of the time that is occupied when the service starts at the epoch.
    fn new(occupied: Occupied) -> Self {
        Piece {
            starts: occupied.span.starts_at.as_micros(),
            ends: occupied.span.ends_at.as_micros(),
            before_minutes: occupied.before_minutes,
            after_minutes: occupied.after_minutes,
        }
    }

    /// The starts that put the piece, and its buffers unless these may leave it, within a span of work.
    fn within(self, working: Span, buffers_may_leave: bool) -> Span {
        let counted = |minutes: u32| if buffers_may_leave { 0 } else { micros(minutes) };
        let first = minus(working.starts_at, self.starts - counted(self.before_minutes));
        let last = minus(working.ends_at, self.ends + counted(self.after_minutes));
        Span::new(first, minus(last, -1))
    }

    /// The starts that are allowed and that nothing booked forbids.
    fn starts(self, allowed: impl Iterator<Item = Span>, booked: &[Occupied], buffers: Buffers) -> Intervals {
        let booked = booked.iter().filter(|booked| !booked.span.is_empty());
        let forbidden = booked.map(|booked| {
            let before = micros(buffers.between(self.after_minutes, booked.before_minutes));
            let after = micros(buffers.between(booked.after_minutes, self.before_minutes));
            // The last start before it that is allowed, and the first behind it.
            let last = minus(booked.span.starts_at, self.ends + before);
            let first = minus(booked.span.ends_at, self.starts - after);
            Span::new(minus(last, -1), first)
        });
        Intervals::of(allowed).subtract(&Intervals::of(forbidden))
    }
}

fn minus(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(micros))
}

fn micros(minutes: u32) -> i64 {
    i64::from(minutes) * 60_000_000
}
