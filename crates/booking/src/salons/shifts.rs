//! Shift plans: when an employee works, from weekly patterns in local time to instants.
//!
//! Invariants:
//! - A day's spans are those of every pattern that is valid on it, or, where there is an exception for the
//!   day, those of the exception alone. Overlapping spans are one; the order in a plan has no meaning.
//! - A span belongs to the day on which it starts, and is kept whole: it may end on the day after, beyond
//!   `valid_to`, or on a day that has an exception of its own.
//! - Local times become instants by the rule of [`super::local_time`]. A span whose end would not come
//!   behind its start, since clocks were put forward over it, is none.
//! - Absences are taken out last, whatever the shift.
//!
//! Every n-th week is counted from the ISO week (Monday to Sunday) of `valid_from`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::intervals::{Intervals, Span};
use super::local_time::{DAY_MINUTES, days_span, instant_of, local_date, monday, plus_days};

/// A span of a day in local time, in minutes after midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DaySpan {
    /// The first minute, 0 to 1,439.
    pub from_minute: u16,
    /// The first minute behind it, 0 to 1,440. At or before `from_minute` it is one of the day after:
    /// 22:00 to 06:00 is a night, 00:00 to 00:00 or to 24:00 a whole day.
    pub to_minute: u16,
}

impl DaySpan {
    /// Whether both ends are within their ranges.
    pub fn is_valid(self) -> bool {
        u32::from(self.from_minute) < DAY_MINUTES && u32::from(self.to_minute) <= DAY_MINUTES
    }

    /// The instants of the span that starts on `date`; empty where clocks skip it.
    pub fn on(self, zone: &TimeZone, date: Date) -> Span {
        let next_day = if self.to_minute <= self.from_minute { DAY_MINUTES } else { 0 };
        let starts_at = instant_of(zone, date, u32::from(self.from_minute));
        let ends_at = instant_of(zone, date, u32::from(self.to_minute) + next_day);
        Span::new(starts_at, ends_at)
    }
}

/// A week that comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeeklyPattern {
    /// The first day that it is valid on. Weeks are counted from the ISO week of this day.
    pub valid_from: Date,
    /// The first day that it is not valid on any more; none is never.
    pub valid_to: Option<Date>,
    /// 1 is every week, 2 every other one. 0 is taken as 1.
    pub every_weeks: u16,
    /// The spans of each day, Monday first.
    pub days: [Vec<DaySpan>; 7],
}

impl WeeklyPattern {
    /// The spans that start on `date`.
    pub fn spans_on(&self, date: Date) -> &[DaySpan] {
        if date < self.valid_from || self.valid_to.is_some_and(|valid_to| valid_to <= date) {
            return &[];
        }
        let weeks = days_between(monday(self.valid_from), monday(date)) / 7;
        if weeks % i64::from(self.every_weeks.max(1)) != 0 {
            return &[];
        }
        &self.days[usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0)]
    }
}

/// Time in which an employee does not work, whatever the shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Between two instants.
    Instants(Span),
    /// Whole local days, from the first to before the second.
    Days(Date, Date),
}

impl Absence {
    /// The absence as instants.
    pub fn span(self, zone: &TimeZone) -> Span {
        match self {
            Absence::Instants(span) => span,
            Absence::Days(from, to) => days_span(zone, from, to),
        }
    }
}

/// All that says when an employee works.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShiftPlan {
    /// Weekly patterns; several may be valid at a time.
    pub patterns: Vec<WeeklyPattern>,
    /// Days whose spans are these, and not those of a pattern. No spans: a day without a shift.
    pub exceptions: BTreeMap<Date, Vec<DaySpan>>,
    /// When the employee is away.
    pub absences: Vec<Absence>,
}

impl ShiftPlan {
    /// The shifts within `range`, absences not taken out. The cost is a step per day of the range.
    pub fn shifts(&self, zone: &TimeZone, range: Span) -> Intervals {
        if range.is_empty() {
            return Intervals::NONE;
        }
        // A night begins the day before, and a gap can move its end by as much as a day.
        let mut date = plus_days(local_date(zone, range.starts_at), -2);
        let last = plus_days(local_date(zone, range.ends_at), 1);
        let mut spans = Vec::new();
        while date <= last {
            spans.extend(self.spans_on(date).map(|span| span.on(zone, date)));
            if date == Date::MAX {
                break;
            }
            date = plus_days(date, 1);
        }
        Intervals::of(spans).within(range)
    }

    /// When the employee works within `range`: the shifts without the absences.
    pub fn working(&self, zone: &TimeZone, range: Span) -> Intervals {
        let absent = Intervals::of(self.absences.iter().map(|absence| absence.span(zone)));
        self.shifts(zone, range).subtract(&absent)
    }

    /// The spans that start on a day.
    fn spans_on(&self, date: Date) -> impl Iterator<Item = &DaySpan> {
        let exception = self.exceptions.get(&date);
        let patterns = if exception.is_some() { &[] } else { self.patterns.as_slice() };
        exception.into_iter().flatten().chain(patterns.iter().flat_map(move |pattern| pattern.spans_on(date)))
    }
}

fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_secs() / SignedDuration::from_hours(24).as_secs()
}
