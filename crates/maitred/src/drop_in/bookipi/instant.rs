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

/// Reads a date: `2025-01-01`, `2025-01-01T10:00[:00[.000]][Z|+02:00]`, a blank for the `T`.
pub(super) fn read(text: &str) -> Instant {
    match parse(text) {
        Some(Some(at)) => Instant::At(at),
        Some(None) => Instant::Unknown,
        None if is_week_or_short(text) => Instant::Unknown,
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
            offset = reader.offset()?;
        }
    }
    if !reader.0.is_empty() {
        return None;
    }
    let local = Timestamp::from_civil(date, time, millis);
    Some(local.map(|local| Timestamp::from_micros(local.as_micros() - offset * 60_000_000)))
}

/// A year, a month or a week (`2025`, `2025-01`, `2025-W01`, `2025-W01-1`): ISO 8601, and no instant.
fn is_week_or_short(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    ["dddd", "dddd-dd", "dddd-Wdd", "dddd-Wdd-d"].contains(&&*shape)
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
            ("2025-01-01T10:00:00.1239Z", "2025-01-01T10:00:00.123Z"),
        ] {
            let Instant::At(at) = read(text) else { panic!("{text} is a date") };
            assert_eq!(at.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_the_validator_lets_through_and_nobody_understands_is_told_from_what_it_refuses() {
        for text in ["2025-W01", "2025-W01-1", "2025", "2025-01", "2021-02-30"] {
            assert_eq!(read(text), Instant::Unknown, "{text}");
        }
        for text in ["", "x", "2025-13-01", "2025-01-32", "2025-01-01T25:00", "01.01.2025", "2025-01-01T10"] {
            assert_eq!(read(text), Instant::Malformed, "{text}");
        }
    }
}
