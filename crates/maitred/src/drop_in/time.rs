//! Timestamps as clients in JavaScript write them, to Sesami and to FAPI.
//!
//! The grammar (surrounding blanks trimmed, UTC where no zone is given, digits behind the millisecond cut off):
//! ```text
//! YYYY | YYYY-MM | YYYY-MM-DD                                          midnight
//! YYYY-MM-DD HH:mm[:ss]
//! YYYY-MM-DDTHH:mm[:ss[.fff]][Z | ±HH[[:]mm]]                          ISO 8601
//! ```
//! `24:00` is the next midnight. A date that does not exist is refused, where those services rolled it over; so is every
//! other spelling that JavaScript's `Date` guesses at.

use maitred_core::Timestamp;
use maitred_core::time::{Digits, TIMESTAMP_MAX, TIMESTAMP_MIN};

const MINUTE_MILLIS: i64 = 60_000;
const DAY_MILLIS: i64 = 24 * 60 * MINUTE_MILLIS;

/// Reads a timestamp; `None` for another form, a date that does not exist, or a year outside 0001 to 9999.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let mut reader = Digits(trim(text).as_bytes());
    let (date, precision) = read_date(&mut reader)?;
    let Time { hour, minute, second, millis, offset_minutes } = match precision {
        Precision::Day => read_time(&mut reader)?,
        Precision::Coarser => Time::default(),
    };
    if !reader.0.is_empty() {
        return None;
    }
    let midnight_after = hour == 24;
    if midnight_after && (minute, second, millis) != (0, 0, 0) {
        return None;
    }
    let hour = if midnight_after { 0 } else { hour };
    let local = Timestamp::from_civil(date, (hour, minute, second), millis)?.as_millis();
    let days_on = if midnight_after { DAY_MILLIS } else { 0 };
    let at = Timestamp::from_millis(local + days_on - offset_minutes * MINUTE_MILLIS);
    (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&at).then_some(at)
}

/// Without what JavaScript's `trim` takes away: white space and line ends, the byte order mark among them.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

enum Precision {
    Day,
    Coarser,
}

#[derive(Default)]
struct Time {
    hour: i64,
    minute: i64,
    second: i64,
    millis: i64,
    offset_minutes: i64,
}

/// A date as year, month and day; the day of a month, and the month of a year, is the first.
fn read_date(reader: &mut Digits<'_>) -> Option<((i64, i64, i64), Precision)> {
    let year = reader.number(4)?;
    if reader.0.is_empty() {
        return Some(((year, 1, 1), Precision::Coarser));
    }
    reader.one_of(b"-")?;
    let month = reader.number(2)?;
    if reader.0.is_empty() {
        return Some(((year, month, 1), Precision::Coarser));
    }
    reader.one_of(b"-")?;
    Some(((year, month, reader.number(2)?), Precision::Day))
}

/// What stands behind a whole date; nothing is midnight.
fn read_time(reader: &mut Digits<'_>) -> Option<Time> {
    if reader.0.is_empty() {
        return Some(Time::default());
    }
    let is_iso = reader.one_of(b"T ")? == b'T';
    let hour = reader.number(2)?;
    reader.one_of(b":")?;
    let mut time = Time { hour, minute: reader.number(2)?, ..Time::default() };
    if reader.one_of(b":").is_some() {
        time.second = reader.number(2)?;
        time.millis = if is_iso { reader.fraction()? } else { 0 };
    }
    if is_iso {
        time.offset_minutes = read_offset(reader)?;
    }
    Some(time)
}

/// `Z`, `+02:00`, `+0200`, `+02`, or nothing, which is UTC.
fn read_offset(reader: &mut Digits<'_>) -> Option<i64> {
    let sign = match reader.one_of(b"Z+-") {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Some(0),
    };
    let hours = reader.number(2)?;
    let colon = reader.one_of(b":").is_some();
    let minutes = if colon || !reader.0.is_empty() { reader.number(2)? } else { 0 };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text).map(|at| at.to_string()).as_deref(), Some(expected), "{text:?}");
    }

    #[test]
    fn a_date_with_a_time_behind_a_blank_is_in_utc() {
        check("2020-10-10 20:20", "2020-10-10T20:20:00.000Z");
        check("2020-10-10 20:20:05", "2020-10-10T20:20:05.000Z");
    }

    #[test]
    fn an_iso_instant_keeps_its_milliseconds_and_its_offset() {
        check("2020-10-10T20:20:00Z", "2020-10-10T20:20:00.000Z");
        check("2020-10-10T20:20:00.123Z", "2020-10-10T20:20:00.123Z");
        check("2020-10-10T20:20:00.5", "2020-10-10T20:20:00.500Z");
        check("2020-10-10T20:20:00.1234567Z", "2020-10-10T20:20:00.123Z");
        check("2020-10-10T20:20:00+02:00", "2020-10-10T18:20:00.000Z");
        check("2020-10-10T23:10-05:30", "2020-10-11T04:40:00.000Z");
        check("2020-10-10T20:20:00+0200", "2020-10-10T18:20:00.000Z");
        check("2020-10-10T20:20:00+02", "2020-10-10T18:20:00.000Z");
    }

    #[test]
    fn without_a_zone_an_iso_instant_is_in_utc() {
        check("2020-10-10T20:20:00", "2020-10-10T20:20:00.000Z");
        check("2020-10-10T20:20", "2020-10-10T20:20:00.000Z");
    }

    #[test]
    fn a_date_alone_is_its_midnight_and_a_year_its_first() {
        check("2022-03-06", "2022-03-06T00:00:00.000Z");
        check("2020", "2020-01-01T00:00:00.000Z");
        check("2020-10", "2020-10-01T00:00:00.000Z");
    }

    #[test]
    fn twenty_four_hours_are_the_next_midnight() {
        check("2022-02-02 24:00", "2022-02-03T00:00:00.000Z");
        check("2022-02-28 24:00:00", "2022-03-01T00:00:00.000Z");
        check("2022-12-31T24:00:00.000+01:00", "2022-12-31T23:00:00.000Z");
    }

    #[test]
    fn surrounding_blanks_are_trimmed() {
        check("  2020-10-10 20:20\t\n", "2020-10-10T20:20:00.000Z");
        check("\u{feff}2020\u{a0}", "2020-01-01T00:00:00.000Z");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            " ",
            "x",
            // Not times.
            "2020-10-10 25:61",
            "2020-10-10 24:01",
            "2020-10-10T24:00:00.001Z",
            "2020-10-10 20:60",
            "2020-10-10T20:20:60Z",
            // Not dates: Sesami rolled the first one over.
            "2021-02-30 10:00",
            "2021-02-29",
            "2021-13-01 10:00",
            "2021-00-01",
            "2021-13",
            "0000-01-01",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31 24:00",
            "+275759-01-01T00:00:00Z",
            // Two blanks; a plus that was not encoded in a query; a fraction or a zone behind a blank.
            "2020-10-10  20:20",
            "2020-10-10T23:10:00 02:00",
            "2020-10-10 20:20:00.123",
            "2020-10-10 20:20:00Z",
            // What JavaScript guesses at.
            "Mar 5 2022 10:00 GMT",
            "2022/03/06",
            "2022-3-6",
            "1602361200000",
            "20201010",
            "20",
            // Cut short, or with something behind.
            "2020-10-10T",
            "2020-10-10T20",
            "2020-10-10T20:20:00.",
            "2020-10-10T20:20:00+2",
            "2020-10-10T20:20:00+02:0",
            "2020-10-10T20:20:00+24:00",
            "2020-10-10T20:20:00Z[UTC]",
            "2020-10-10t20:20:00z",
            "2020Z",
            "2020-",
            "2020-10-",
            "２０２０",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
