//! Shift plans as facts and records keep them: an employee's weekly patterns, exceptions and absences.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::intervals::Span;
use super::shifts::{self, DaySpan, ShiftPlan, WeeklyPattern};
use crate::encoding::micros;

/// All that says when an employee works.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanState {
    /// Whose plan it is.
    #[serde(with = "uuid::serde::compact")]
    pub employee: Uuid,
    /// Weekly patterns; several may be valid at a time.
    pub patterns: Vec<Pattern>,
    /// Days whose spans are these, by date, each date once.
    pub exceptions: Vec<(Day, Vec<DayTime>)>,
    /// When the employee is away, by id.
    pub absences: Vec<AbsenceState>,
}

/// A date: days after 1 January 1970, or before it where it is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Day(i32);

/// A span of a day in local time: from which minute after midnight, to before which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DayTime {
    /// 0 to 1,439.
    pub from_minute: u16,
    /// 0 to 1,440; at or before `from_minute` it is one of the day after.
    pub to_minute: u16,
}

/// A week that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The first day that it is valid on.
    pub valid_from: Day,
    /// The first day that it is not valid on any more.
    pub valid_to: Option<Day>,
    /// 1 is every week, 2 every other one.
    pub every_weeks: u16,
    /// The spans of each day, Monday first.
    pub days: [Vec<DayTime>; 7],
}

/// A time in which an employee does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceState {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// When.
    pub time: AbsenceTime,
    /// For people.
    pub reason: Option<String>,
}

/// When somebody is away. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbsenceTime {
    /// Whole local days, from the first to before the second.
    Days(Day, Day),
    /// Between two instants.
    Instants(#[serde(with = "micros")] Timestamp, #[serde(with = "micros")] Timestamp),
}

impl Day {
    /// Of a date.
    pub fn of(date: Date) -> Self {
        let epoch = jiff::civil::date(1970, 1, 1);
        Day(i32::try_from(date.duration_since(epoch).as_hours() / 24).unwrap_or(0)) // a calendar has fewer days
    }

    /// The date.
    pub fn date(self) -> Date {
        super::local_time::plus_days(jiff::civil::date(1970, 1, 1), self.0)
    }
}

impl From<DayTime> for DaySpan {
    fn from(DayTime { from_minute, to_minute }: DayTime) -> Self {
        DaySpan { from_minute, to_minute }
    }
}

impl AbsenceTime {
    /// As instants.
    pub fn span(self, zone: &TimeZone) -> Span {
        self.calculated().span(zone)
    }

    fn calculated(self) -> shifts::Absence {
        match self {
            AbsenceTime::Days(from, to) => shifts::Absence::Days(from.date(), to.date()),
            AbsenceTime::Instants(from, to) => shifts::Absence::Instants(Span::new(from, to)),
        }
    }
}

impl PlanState {
    /// As the calculation takes it.
    pub fn calculated(&self) -> ShiftPlan {
        let spans = |spans: &[DayTime]| spans.iter().copied().map(DaySpan::from).collect::<Vec<_>>();
        let patterns = self.patterns.iter().map(|pattern| WeeklyPattern {
            valid_from: pattern.valid_from.date(),
            valid_to: pattern.valid_to.map(Day::date),
            every_weeks: pattern.every_weeks,
            days: std::array::from_fn(|day| spans(&pattern.days[day])),
        });
        ShiftPlan {
            patterns: patterns.collect(),
            exceptions: self.exceptions.iter().map(|(day, times)| (day.date(), spans(times))).collect(),
            absences: self.absences.iter().map(|absence| absence.time.calculated()).collect(),
        }
    }
}
