//! Series of visits: a small part of the recurrence rules of RFC 5545 §3.3.10, and nothing else of them.
//!
//! `FREQ=DAILY|WEEKLY|MONTHLY`, `INTERVAL`, `COUNT` or `UNTIL`, `BYDAY` and `BYMONTHDAY`; weeks begin on
//! Monday. Whatever else a rule says is refused with a text that names it, never passed over.
//!
//! Invariants:
//! - A rule is expanded in local dates and times, which become instants by the rule of
//!   [`super::local_time`]: a visit in a gap of the clocks moves forward with it (§3.3.10 says so of local
//!   start times that do not exist, and a line above it that they be left out; what holds for every other
//!   local time here holds for these). A date that does not exist, such as 30 February, is left out.
//! - The start is the first occurrence. A start that the rule does not meet is refused, since RFC 5545 does
//!   not say what such a series is.
//! - A series ends: after at most [`OCCURRENCES_MAX`] visits and within [`SERIES_DAYS_MAX`] days.
//!
//! Why this is not a library: `rrule` and `calcard`, the two that are kept, bring `chrono`, `chrono-tz` and
//! with it a second time-zone database; `rrule` has open bugs at daylight-saving changes (its issues 109
//! and 115), and a general expander must be kept from running without end. What is needed here is one screen
//! of dates.

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use maitred_core::Timestamp;

use super::local_time::{instant, local_time, monday, plus_days};

/// The most visits of one series.
pub const OCCURRENCES_MAX: usize = 104;
/// How far behind its start a series may reach, in days: ten years.
pub const SERIES_DAYS_MAX: i32 = 3_653;
/// The longest text of a rule, in bytes.
pub const RULE_BYTES_MAX: usize = 512;
/// The largest `INTERVAL`.
pub const INTERVAL_MAX: u32 = 999;

/// Why a rule, or a series of it, is refused, in words for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A rule by which visits come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    frequency: Frequency,
    interval: u32,
    end: End,
    by_day: Vec<ByDay>,
    by_month_day: Vec<i8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Count(usize),
    /// The last local date.
    Date(Date),
    /// The last local date and time.
    Local(DateTime),
    /// The last instant.
    Instant(Timestamp),
}

/// A weekday; of a month the n-th one, counted from its end where negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ByDay {
    weekday: Weekday,
    nth: Option<i8>,
}

impl Recurrence {
    /// Reads a rule, such as `FREQ=WEEKLY;INTERVAL=6;COUNT=8`; `RRULE:` may stand before it.
    ///
    /// # Errors
    /// [`Refused`] for what is no rule, or one beyond the part that is understood here.
    pub fn parse(text: &str) -> Result<Recurrence, Refused> {
        if text.len() > RULE_BYTES_MAX {
            return refuse(format!("a rule has at most {RULE_BYTES_MAX} bytes"));
        }
        let text = text.to_ascii_uppercase();
        let mut parts = Parts::default();
        for part in text.strip_prefix("RRULE:").unwrap_or(&text).split(';') {
            let Some((name, value)) = part.split_once('=') else {
                return refuse(format!("{part:?} is no part of a rule: NAME=VALUE is"));
            };
            parts.put(name, value)?;
        }
        parts.rule()
    }

    /// The instants of a series that starts at `starts_at`, in order.
    ///
    /// # Errors
    /// [`Refused`] when the rule does not meet the start, or reaches further than it may.
    pub fn occurrences(&self, zone: &TimeZone, starts_at: Timestamp) -> Result<Vec<Timestamp>, Refused> {
        let start = local_time(zone, starts_at);
        let last_date = plus_days(start.date(), SERIES_DAYS_MAX);
        let mut series = Vec::new();
        for period in 0..=SERIES_DAYS_MAX.unsigned_abs() {
            for date in self.period(start.date(), period) {
                let local = DateTime::from_parts(date, start.time());
                let at = if date == start.date() { starts_at } else { instant(zone, local) };
                if self.is_over(series.len(), local, at) {
                    return if series.is_empty() {
                        refuse("the rule ends before the start")
                    } else {
                        Ok(series)
                    };
                }
                if series.is_empty() && date != start.date() {
                    return refuse("the rule must meet the start: its first visit would be on another day");
                }
                if date > last_date {
                    return refuse(too_far());
                }
                if series.len() == OCCURRENCES_MAX {
                    return refuse(format!("a series has at most {OCCURRENCES_MAX} visits"));
                }
                // A date that the zone skipped moves on to the next one: the two are one visit.
                if series.last() != Some(&at) {
                    series.push(at);
                }
            }
        }
        refuse(too_far())
    }

    /// Whether a visit at `local`, which is the instant `at`, comes behind the end of the series.
    fn is_over(&self, before: usize, local: DateTime, at: Timestamp) -> bool {
        match self.end {
            End::Count(count) => before >= count,
            End::Date(last) => local.date() > last,
            End::Local(last) => local > last,
            End::Instant(last) => at > last,
        }
    }

    /// The dates of the period with this number (a day, a week or a month) that the rule meets, in order,
    /// from `start` on.
    fn period(&self, start: Date, number: u32) -> impl Iterator<Item = Date> {
        let steps = i32::try_from(number.saturating_mul(self.interval)).unwrap_or(i32::MAX);
        let (first, days) = match self.frequency {
            Frequency::Daily => (plus_days(start, steps), 1),
            Frequency::Weekly => (plus_days(monday(start), steps.saturating_mul(7)), 7),
            Frequency::Monthly => {
                let first = plus_months(start.first_of_month(), steps);
                (first, i32::from(first.days_in_month()))
            }
        };
        let dates = (0..days).map(move |day| plus_days(first, day));
        dates.filter(move |date| *date >= start && self.meets(start, *date))
    }

    fn meets(&self, start: Date, date: Date) -> bool {
        let from_end = date.day() - date.days_in_month() - 1;
        let by_day = self.by_day.is_empty() || self.by_day.iter().any(|by_day| by_day.is(date));
        let by_month_day = self.by_month_day.is_empty()
            || self.by_month_day.contains(&date.day())
            || self.by_month_day.contains(&from_end);
        let as_the_start = match self.frequency {
            _ if !self.by_day.is_empty() || !self.by_month_day.is_empty() => true,
            Frequency::Daily => true,
            Frequency::Weekly => date.weekday() == start.weekday(),
            Frequency::Monthly => date.day() == start.day(),
        };
        by_day && by_month_day && as_the_start
    }
}

impl ByDay {
    fn is(self, date: Date) -> bool {
        let nth = (date.day() - 1) / 7 + 1;
        let from_end = (date.day() - date.days_in_month()) / 7 - 1;
        date.weekday() == self.weekday && self.nth.is_none_or(|wanted| wanted == nth || wanted == from_end)
    }

    /// Reads `MO`, `1FR` or `-2MO`.
    fn parse(text: &str) -> Option<ByDay> {
        let (nth, weekday) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let weekday = match weekday {
            "MO" => Weekday::Monday,
            "TU" => Weekday::Tuesday,
            "WE" => Weekday::Wednesday,
            "TH" => Weekday::Thursday,
            "FR" => Weekday::Friday,
            "SA" => Weekday::Saturday,
            "SU" => Weekday::Sunday,
            _ => return None,
        };
        if nth.is_empty() {
            return Some(ByDay { weekday, nth: None });
        }
        let nth = signed(nth, 5)?;
        Some(ByDay { weekday, nth: Some(nth) })
    }
}

/// What stands in a rule, each at most once.
#[derive(Default)]
struct Parts {
    frequency: Option<Frequency>,
    interval: Option<u32>,
    count: Option<usize>,
    until: Option<End>,
    by_day: Option<Vec<ByDay>>,
    by_month_day: Option<Vec<i8>>,
}

impl Parts {
    fn put(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        let (understood, first) = match name {
            "FREQ" => once(&mut self.frequency, frequency(value)),
            "INTERVAL" => once(&mut self.interval, number(value, INTERVAL_MAX)),
            "COUNT" => {
                let count =
                    number(value, OCCURRENCES_MAX as u32).and_then(|count| usize::try_from(count).ok());
                once(&mut self.count, count)
            }
            "UNTIL" => once(&mut self.until, until(value)),
            "BYDAY" => once(&mut self.by_day, list(value, ByDay::parse)),
            "BYMONTHDAY" => once(&mut self.by_month_day, list(value, |text| signed(text, 31))),
            _ => {
                return refuse(format!(
                    "{name} is not understood here: FREQ, INTERVAL, COUNT, UNTIL, BYDAY and BYMONTHDAY are"
                ));
            }
        };
        if !first {
            return refuse(format!("{name} stands in the rule twice"));
        }
        if !understood {
            return refuse(format!("{name}={value} is not understood here: {}", expected(name)));
        }
        Ok(())
    }

    fn rule(self) -> Result<Recurrence, Refused> {
        let Some(frequency) = self.frequency else { return refuse("a rule needs FREQ") };
        let end = match (self.count, self.until) {
            (Some(count), None) => End::Count(count),
            (None, Some(until)) => until,
            (None, None) => return refuse("a series needs an end: COUNT or UNTIL"),
            (Some(_), Some(_)) => return refuse("COUNT and UNTIL exclude each other"),
        };
        let by_day = self.by_day.unwrap_or_default();
        let by_month_day = self.by_month_day.unwrap_or_default();
        if frequency != Frequency::Monthly && by_day.iter().any(|by_day| by_day.nth.is_some()) {
            return refuse("BYDAY has numbers only with FREQ=MONTHLY");
        }
        if frequency == Frequency::Weekly && !by_month_day.is_empty() {
            return refuse("BYMONTHDAY does not stand with FREQ=WEEKLY");
        }
        Ok(Recurrence { frequency, interval: self.interval.unwrap_or(1), end, by_day, by_month_day })
    }
}

/// Puts a value where there is none yet. Answers whether there was a value to put, and no other before.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> (bool, bool) {
    let first = place.is_none();
    let understood = value.is_some();
    *place = value;
    (understood, first)
}

fn expected(name: &str) -> String {
    match name {
        "FREQ" => "it is DAILY, WEEKLY or MONTHLY".into(),
        "INTERVAL" => format!("it is 1 to {INTERVAL_MAX}"),
        "COUNT" => format!("it is 1 to {OCCURRENCES_MAX}"),
        "UNTIL" => "it is 20261224, 20261224T180000 or 20261224T180000Z".into(),
        "BYDAY" => "it is a list of MO to SU, with 1 to 5 or -1 to -5 before them".into(),
        _ => "it is a list of 1 to 31 or -1 to -31".into(),
    }
}

fn frequency(text: &str) -> Option<Frequency> {
    match text {
        "DAILY" => Some(Frequency::Daily),
        "WEEKLY" => Some(Frequency::Weekly),
        "MONTHLY" => Some(Frequency::Monthly),
        _ => None,
    }
}

fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(item).collect()
}

/// A number of digits alone, from 1 to `max`.
fn number(text: &str, max: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=max).contains(number))
}

/// A number from 1 to `max`, with or without a sign.
fn signed(text: &str, max: u32) -> Option<i8> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    i8::try_from(number(digits, max)?).ok().map(|number| sign * number)
}

/// Reads `19971224`, `19971224T180000` or `19971224T180000Z`.
fn until(text: &str) -> Option<End> {
    let (date, time) = text.split_at_checked(8)?;
    let (year, rest) = date.split_at_checked(4)?;
    let date = Date::new(part(year)?, two(rest, 0)?, two(rest, 2)?).ok()?;
    if time.is_empty() {
        return Some(End::Date(date));
    }
    let digits = time.strip_prefix('T')?;
    let (digits, is_utc) = digits.strip_suffix('Z').map_or((digits, false), |digits| (digits, true));
    if digits.len() != 6 {
        return None;
    }
    let time = Time::new(two(digits, 0)?, two(digits, 2)?, two(digits, 4)?, 0).ok()?;
    let local = DateTime::from_parts(date, time);
    Some(if is_utc { End::Instant(instant(&TimeZone::UTC, local)) } else { End::Local(local) })
}

fn two(text: &str, at: usize) -> Option<i8> {
    part(text.get(at..at + 2)?)
}

/// A number of digits alone.
fn part<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The first of the month that is `months` later.
fn plus_months(first: Date, months: i32) -> Date {
    let month = i32::from(first.year()) * 12 + i32::from(first.month()) - 1;
    let month = month.saturating_add(months);
    let (year, month) = (i16::try_from(month.div_euclid(12)), i8::try_from(month.rem_euclid(12) + 1));
    let date = year.ok().zip(month.ok()).and_then(|(year, month)| Date::new(year, month, 1).ok());
    date.unwrap_or(Date::MAX)
}

fn too_far() -> String {
    format!("a series reaches at most {SERIES_DAYS_MAX} days beyond its start")
}

fn refuse<T>(detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(detail.into()))
}
