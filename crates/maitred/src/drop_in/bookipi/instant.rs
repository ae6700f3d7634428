//! Dates as that service's validator takes them: ISO 8601 (its extended forms), in UTC where no zone is given.
//!
//! Unlike there, an offset counts, and a date that does not exist is refused.

use maitred_core::Timestamp;
use maitred_core::time::Digits;

/// A date of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instant {
    /// This one.
    At(Timestamp),
    /// It has the form of one that the validator lets through, and is none that is understood.
    Unknown,
    /// It has not.
    Malformed,
}

/// Reads a date: `2025-01-01`, `2025-01-01T10:00[:00[.000]][Z|+02:00|+0200|+02]`, a blank for the `T`.
pub(super) fn read(text: &str) -> Instant {
    match parse(text) {
        Some(Some(at)) => Instant::At(at),
        Some(None) => Instant::Unknown,
        None if is_of_another_form(text) => Instant::Unknown,
        None => Instant::Malformed,
    }
}

/// The instant of a text of that form; `Some(None)` where there is no such day.
fn parse(text: &str) -> Option<Option<Timestamp>> {
    let mut reader = Digits(text.as_bytes());
    let date = reader.date()?;
    if !(1..=12).contains(&date.1) || !(1..=31).contains(&date.2) {
        return None;
    }
    let (mut time, mut millis, mut offset) = ((0, 0, 0), 0, 0);
    if !reader.0.is_empty() {
        reader.one_of(b"T ")?;
        time.0 = reader.number(2)?;
        reader.one_of(b":")?;
        time.1 = reader.number(2)?;
        if reader.one_of(b":").is_some() {
            time.2 = reader.number(2)?;
            millis = reader.fraction()?;
        }
        if time.0 > 23 || time.1 > 59 || time.2 > 59 {
            return None;
        }
        if !reader.0.is_empty() {
            offset = offset_of(&mut reader)?;
        }
    }
    if !reader.0.is_empty() {
        return None;
    }
    let local = Timestamp::from_civil(date, time, millis);
    Some(local.map(|local| Timestamp::from_micros(local.as_micros() - offset * 60_000_000)))
}

/// An offset from UTC in minutes, with or without its colon and its minutes.
fn offset_of(reader: &mut Digits<'_>) -> Option<i64> {
    let sign = match reader.one_of(b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = reader.number(2)?;
    let minutes = match reader.one_of(b":") {
        None if reader.0.is_empty() => 0,
        _ => reader.number(2)?,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// ISO 8601, and nothing that service could make an instant of: a year, a month, a week, a day of the year, the basic
/// forms (`20250101T100000Z`), an hour alone, a comma before the fraction.
fn is_of_another_form(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    let shape = shape.trim_end_matches(['Z', 'z']);
    let forms = [
        "dddd",
        "dddd-dd",
        "dddd-Wdd",
        "dddd-Wdd-d",
        "dddd-ddd",
        "dddddddd",
        "ddddddddTdddd",
        "ddddddddTdddddd",
        "dddd-dd-ddTdd",
        "dddd-dd-ddTdd:dd:dd,d",
        "dddd-dd-ddTdd:dd:dd,dd",
        "dddd-dd-ddTdd:dd:dd,ddd",
    ];
    forms.contains(&shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_with_their_offset_and_in_utc_without() {
        for (text, expected) in [
            ("2025-01-01", "2025-01-01T00:00:00.000Z"),
            ("2025-01-01T10:00", "2025-01-01T10:00:00.000Z"),
            ("2025-01-01 10:00:07", "2025-01-01T10:00:07.000Z"),
            ("2025-01-01T10:00:00+02:00", "2025-01-01T08:00:00.000Z"),
            ("2025-01-01T10:00:00+0230", "2025-01-01T07:30:00.000Z"),
            ("2025-01-01T10:00:00-02", "2025-01-01T12:00:00.000Z"),
            ("2025-01-01T10:00:00.1239Z", "2025-01-01T10:00:00.123Z"),
        ] {
            let Instant::At(at) = read(text) else { panic!("{text} is a date") };
            assert_eq!(at.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_the_validator_lets_through_and_nobody_understands_is_told_from_what_it_refuses() {
        let unknown = [
            "2025-W01",
            "2025-W01-1",
            "2025",
            "2025-01",
            "2021-02-30",
            "20250101",
            "20250101T100000Z",
            "2025-001",
            "2025-01-01T10",
            "2025-01-01T10:00:00,123Z",
        ];
        for text in unknown {
            assert_eq!(read(text), Instant::Unknown, "{text}");
        }
        let offsets =
            ["2025-01-01T10:00+2", "2025-01-01T10:00+24", "2025-01-01T10:00+02:", "2025-01-01T10:00+02:0"];
        for text in
            ["", "x", "2025-13-01", "2025-01-32", "2025-01-01T25:00", "01.01.2025"].iter().chain(&offsets)
        {
            assert_eq!(read(text), Instant::Malformed, "{text}");
        }
    }
}
