//! When a schedule is due: every so many seconds, or by five fields on the clocks of a time zone.
//!
//! `minute hour day-of-month month day-of-week`: each a `*`, a number, a range `a-b`, any of them with a step `/n`, or
//! several of these with commas; months and days of the week also by their first three letters; Sunday is 0 and 7. Where
//! neither of the two days is a `*`, a date needs only one of them, as in every cron since Version 7 (crontab(5)).
//!
//! Where clocks are put forward or back, the rule is that of Vixie's cron. An hour field that is a `*`, with or without a
//! step, follows elapsed time: the hour that is left out has no instants, and the one that comes twice has them twice.
//! Any other hour is a time of the day, and is there exactly once: one that is left out is due as much later as the
//! clocks were put forward, and of two equal ones the first is due.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use maitred_core::Timestamp;

use super::fact::Timing;
use crate::salons::local_time::{first_instant, instant, local_date, plus_days};

/// After so many days without an instant there is none: the calendar repeats after 28 years, but for the years that are
/// no leap years, such as 2100.
const DAYS_MAX: i32 = 40 * 366;
/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 200;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The five fields, as sets of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// A text that is no such expression: which field, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCron(String);

impl fmt::Display for NotCron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cron must be five fields (minute hour day month weekday): {}", self.0)
    }
}

impl std::error::Error for NotCron {}

/// The numbers of a field, as bits, and whether it was a `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    bits: u64,
    any: bool,
}

impl Field {
    fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits >> number & 1 == 1)
    }

    fn numbers(self) -> impl Iterator<Item = i8> {
        (0..60).filter(move |number| self.has(*number))
    }

    fn parse(text: &str, what: &str, (min, max): (u32, u32), names: &[&str]) -> Result<Self, NotCron> {
        let wrong = || NotCron(format!("\"{}\" is no {what}", text.escape_debug()));
        let digits = |text: &str| {
            let are_digits = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            are_digits.then(|| text.parse::<u32>().ok()).flatten()
        };
        // Months count from 1, and weekdays from 0.
        let number = |text: &str| match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            Some(place) => Some(place as u32 + u32::from(names.len() == MONTHS.len())),
            None => digits(text),
        };
        let (mut bits, mut any) = (0, false);
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                None => (part, None),
                Some((range, step)) => {
                    let step = digits(step).filter(|step| (1..=max).contains(step));
                    (range, Some(step.ok_or_else(wrong)?))
                }
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => {
                    any = true;
                    (min, max)
                }
                Some((first, last)) => (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?),
                // `5/10` means from 5 on.
                None => {
                    let first = number(range).ok_or_else(wrong)?;
                    (first, if step.is_some() { max } else { first })
                }
            };
            if first < min || last > max || first > last {
                return Err(wrong());
            }
            for number in (first..=last).step_by(step.unwrap_or(1) as usize) {
                bits |= 1 << number;
            }
        }
        Ok(Field { bits, any })
    }
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`NotCron`].
    pub fn parse(text: &str) -> Result<Self, NotCron> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(NotCron(format!("there are {}", fields.len())));
        };
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(NotCron(format!("it is longer than {EXPRESSION_BYTES_MAX} bytes")));
        }
        let mut weekdays = Field::parse(weekdays, "day of the week", (0, 7), &WEEKDAYS)?;
        weekdays.bits |= weekdays.bits >> 7 & 1; // 7 is Sunday too
        Ok(Cron {
            minutes: Field::parse(minutes, "minute", (0, 59), &[])?,
            hours: Field::parse(hours, "hour", (0, 23), &[])?,
            days: Field::parse(days, "day of the month", (1, 31), &[])?,
            months: Field::parse(months, "month", (1, 12), &MONTHS)?,
            weekdays,
        })
    }

    /// The first instant after another, by the clocks of `zone`; none where there is no such day.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // What was moved out of a gap may be of the day before, and may come before the first of the next.
        let today = local_date(zone, after);
        let mut date = plus_days(today, -1);
        for _ in 0..DAYS_MAX {
            let next = plus_days(date, 1);
            let of_two = [date, next].into_iter().filter_map(|date| self.first_of(date, after, zone));
            if let Some(first) = of_two.min() {
                return Some(first);
            }
            if next == Date::MAX {
                return None;
            }
            date = next;
        }
        None
    }

    /// The first instant of a date that is after another.
    fn first_of(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // Nothing of a date is later than the end of the day after it: gaps are a day at most.
        if !self.has_date(date) || first_instant(zone, plus_days(date, 2)) <= after {
            return None;
        }
        let mut first: Option<Timestamp> = None;
        for hour in self.hours.numbers() {
            for minute in self.minutes.numbers() {
                let Ok(time) = Time::new(hour, minute, 0, 0) else { continue };
                for at in self.instants(DateTime::from_parts(date, time), zone).into_iter().flatten() {
                    if at > after && first.is_none_or(|first| at < first) {
                        first = Some(at);
                    }
                }
            }
        }
        first
    }

    fn has_date(&self, date: Date) -> bool {
        let (day, weekday) =
            (self.days.has(date.day()), self.weekdays.has(date.weekday().to_sunday_zero_offset()));
        let either = !self.days.any && !self.weekdays.any;
        self.months.has(date.month()) && if either { day || weekday } else { day && weekday }
    }

    /// When clocks show this.
    fn instants(&self, local: DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
        let once = [Some(instant(zone, local)), None];
        if !self.hours.any {
            return once;
        }
        let ambiguous = zone.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => once,
            AmbiguousOffset::Gap { .. } => [None, None],
            AmbiguousOffset::Fold { .. } => {
                let later = ambiguous.later().ok();
                [once[0], later.map(|later| Timestamp::from_micros(later.as_microsecond()))]
            }
        }
    }
}

/// The time zone of a name that the database has.
pub fn zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZone::get(name).ok()?;
    (!zone.is_unknown() && zone.iana_name() == Some(name)).then_some(zone)
}

/// When a timing is due first after an instant. `since` is what `every` counts from.
pub fn next_after(timing: &Timing, since: Timestamp, after: Timestamp) -> Option<Timestamp> {
    match timing {
        Timing::Every { seconds } => {
            let step = i64::from(*seconds) * 1_000_000;
            let passed = after.as_micros().saturating_sub(since.as_micros()).max(0);
            Some(Timestamp::from_micros(
                since.as_micros().checked_add((passed / step + 1).checked_mul(step)?)?,
            ))
        }
        Timing::Cron { expression, time_zone } => {
            Cron::parse(expression).ok()?.next_after(after, &zone(time_zone)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instants(expression: &str, name: &str, after: &str, count: usize) -> Vec<String> {
        let (cron, zone) = (Cron::parse(expression).expect("an expression"), zone(name).expect("a zone"));
        let mut at = Timestamp::parse_rfc3339(after).expect("an instant");
        let mut found = Vec::new();
        for _ in 0..count {
            at = cron.next_after(at, &zone).expect("there is one");
            let shown = at.to_string();
            found.push(shown[..16].to_owned());
        }
        found
    }

    #[test]
    fn fields_mean_what_crontab_says() {
        let rows: &[(&str, &[&str])] = &[
            ("* * * * *", &["2026-11-21T09:31", "2026-11-21T09:32"]),
            ("30 9 * * *", &["2026-11-22T09:30", "2026-11-23T09:30"]),
            ("*/20 9 * * *", &["2026-11-21T09:40", "2026-11-22T09:00", "2026-11-22T09:20"]),
            ("5/25 * * * *", &["2026-11-21T09:55", "2026-11-21T10:05", "2026-11-21T10:30"]),
            ("0 8-10,22 * * *", &["2026-11-21T10:00", "2026-11-21T22:00", "2026-11-22T08:00"]),
            ("0 0 1 * *", &["2026-12-01T00:00", "2027-01-01T00:00"]),
            ("0 0 * * mon", &["2026-11-23T00:00", "2026-11-30T00:00"]),
            ("0 0 * * 7", &["2026-11-22T00:00", "2026-11-29T00:00"]),
            ("0 0 * * 0", &["2026-11-22T00:00", "2026-11-29T00:00"]),
            ("0 0 * * 5-7", &["2026-11-22T00:00", "2026-11-27T00:00", "2026-11-28T00:00"]),
            // Either day will do where both are given; both are needed where one is a star.
            ("0 0 23 * fri", &["2026-11-23T00:00", "2026-11-27T00:00", "2026-12-04T00:00"]),
            ("0 0 13 * */1", &["2026-12-13T00:00"]),
            ("0 0 29 2 *", &["2028-02-29T00:00", "2032-02-29T00:00"]),
            ("59 23 31 DEC *", &["2026-12-31T23:59", "2027-12-31T23:59"]),
        ];
        for (expression, expected) in rows {
            let found = instants(expression, "UTC", "2026-11-21T09:30:00Z", expected.len());
            assert_eq!(found, *expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * 0 *",
            "* * * * 8",
            "5-3 * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "a * * * *",
            "1- * * * *",
            ", * * * *",
            "1,,2 * * * *",
            "-1 * * * *",
            "+1 * * * *",
            "* * * * mon/tue",
            "001 * * * *",
            "@daily",
        ] {
            assert!(Cron::parse(text).is_err(), "{text:?}");
        }
        let long = format!("{} * * * *", "1,".repeat(100) + "1");
        assert!(Cron::parse(&long).is_err());
        let never = Cron::parse("0 0 30 2 *").expect("an expression");
        assert_eq!(never.next_after(Timestamp::from_millis(0), &TimeZone::UTC), None);
    }

    #[test]
    fn a_time_of_the_day_is_there_once_a_day_whatever_clocks_do() {
        // Forward at 02:00: 02:30 is left out, and due at 03:30.
        let found = instants("30 2 * * *", "Europe/Berlin", "2025-03-28T12:00:00Z", 4);
        assert_eq!(found, ["2025-03-29T01:30", "2025-03-30T01:30", "2025-03-31T00:30", "2025-04-01T00:30"]);
        // Back at 03:00: the first 02:30 of two.
        let found = instants("30 2 * * *", "Europe/Berlin", "2025-10-24T12:00:00Z", 3);
        assert_eq!(found, ["2025-10-25T00:30", "2025-10-26T00:30", "2025-10-27T01:30"]);
        // Half an hour, and a gap at midnight.
        let found = instants("10 2 * * *", "Australia/Lord_Howe", "2025-10-04T12:00:00Z", 2);
        assert_eq!(found, ["2025-10-04T15:40", "2025-10-05T15:10"]);
        let found = instants("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2);
        assert_eq!(found, ["2018-11-04T03:00", "2018-11-05T02:00"]);
        // A date that a zone skipped: its times are those of the next.
        let found = instants("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 3);
        assert_eq!(found, ["2011-12-30T22:00", "2011-12-31T22:00", "2012-01-01T22:00"]);
    }

    #[test]
    fn every_hour_is_every_hour_that_passes() {
        let found = instants("0 * * * *", "Europe/Berlin", "2025-10-25T22:30:00Z", 5);
        assert_eq!(
            found,
            [
                "2025-10-25T23:00",
                "2025-10-26T00:00",
                "2025-10-26T01:00",
                "2025-10-26T02:00",
                "2025-10-26T03:00"
            ]
        );
        let found = instants("0 * * * *", "Europe/Berlin", "2025-03-29T23:30:00Z", 3);
        assert_eq!(found, ["2025-03-30T00:00", "2025-03-30T01:00", "2025-03-30T02:00"]);
        let found = instants("30 */2 * * *", "Europe/Berlin", "2025-10-25T22:40:00Z", 4);
        assert_eq!(found, ["2025-10-26T00:30", "2025-10-26T01:30", "2025-10-26T03:30", "2025-10-26T05:30"]);
    }

    #[test]
    fn the_next_instant_is_the_first_of_all_that_a_slow_search_finds() {
        for name in ["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"] {
            let zone = zone(name).expect("a zone");
            for expression in ["7 * * * *", "30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "0 */5 * * sun"] {
                let cron = Cron::parse(expression).expect("an expression");
                for year in [2011, 2025] {
                    let (from, to) = (jiff::civil::date(year, 1, 1), jiff::civil::date(year + 1, 1, 1));
                    let mut all = Vec::new();
                    let mut date = from;
                    while date < to {
                        let of_date = (0..24 * 60).filter(|minute| {
                            cron.has_date(date)
                                && cron.hours.has((minute / 60) as i8)
                                && cron.minutes.has((minute % 60) as i8)
                        });
                        for minute in of_date {
                            let time = jiff::civil::time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                            let local = DateTime::from_parts(date, time);
                            all.extend(cron.instants(local, &zone).into_iter().flatten());
                        }
                        date = plus_days(date, 1);
                    }
                    all.sort_unstable();
                    all.dedup();
                    for pair in all.windows(2).skip(40) {
                        assert_eq!(cron.next_after(pair[0], &zone), Some(pair[1]), "{name} {expression}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_so_many_seconds_counts_from_the_beginning() {
        let timing = Timing::Every { seconds: 60 };
        let next = |after: i64| {
            let at = next_after(&timing, Timestamp::from_millis(5_000), Timestamp::from_millis(after));
            at.expect("there is one").as_millis()
        };
        assert_eq!(
            [0, 5_000, 64_999, 65_000, 1_000_000].map(next),
            [65_000, 65_000, 65_000, 125_000, 1_025_000]
        );
    }
}
