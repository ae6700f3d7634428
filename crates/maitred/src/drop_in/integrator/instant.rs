//! Instants as the event integrator reads them.
//!
//! The grammar:
//! ```text
//! YYYY-M[M]-D[D] (T | blank) h[h]:m[m][:s[s][.f…]][Z | ±HH[[:]MM]]
//! ```
//! A date alone is none. Digits behind the microsecond are cut off, twelve are read at most.

use maitred_core::Timestamp;
use maitred_core::time::{TIMESTAMP_MAX, TIMESTAMP_MIN};

/// An instant, and whether its zone was told; without one it is in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    pub(super) at: Timestamp,
    pub(super) zoned: bool,
}

/// Reads an instant; `None` for another form, a date that does not exist, or a year outside 0001 to 9999.
pub(super) fn parse(text: &str) -> Option<Instant> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.number(4, 4)?;
    rest.one_of(b"-")?;
    let month = rest.number(1, 2)?;
    rest.one_of(b"-")?;
    let day = rest.number(1, 2)?;
    rest.one_of(b"T ")?;
    let hour = rest.number(1, 2)?;
    rest.one_of(b":")?;
    let minute = rest.number(1, 2)?;
    let (mut second, mut micros) = (0, 0);
    if rest.one_of(b":").is_some() {
        second = rest.number(1, 2)?;
        if rest.one_of(b".").is_some() {
            micros = rest.micros()?;
        }
    }
    let offset = rest.offset()?;
    let civil = Timestamp::from_civil((year, month, day), (hour, minute, second), 0).filter(|_| year > 0)?;
    let offset_minutes = offset.unwrap_or(0);
    let at = Timestamp::from_micros(civil.as_micros() + micros - offset_minutes * 60_000_000);
    let in_years = (TIMESTAMP_MIN..=TIMESTAMP_MAX.end_of_millisecond()).contains(&at);
    (rest.0.is_empty() && in_years).then_some(Instant { at, zoned: offset.is_some() })
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// A number of so many digits.
    fn number(&mut self, min: usize, max: usize) -> Option<i64> {
        let len = self.digits();
        if !(min..=max).contains(&len) {
            return None;
        }
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| bytes.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    fn micros(&mut self) -> Option<i64> {
        let len = self.digits();
        if !(1..=12).contains(&len) {
            return None;
        }
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        Some((0..6).fold(0, |sum, at| sum * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0'))))
    }

    /// The minutes of an offset; nothing where none is told.
    fn offset(&mut self) -> Option<Option<i64>> {
        let sign = match self.one_of(b"Z+-") {
            None => return Some(None),
            Some(b'Z') => return Some(Some(0)),
            Some(b'+') => 1,
            Some(_) => -1,
        };
        let (hours, rest) = self.0.split_at_checked(2)?;
        self.0 = rest;
        let hours = Rest(hours).number(2, 2)?;
        let colon = self.one_of(b":").is_some();
        let minutes = if colon || !self.0.is_empty() { self.number(2, 2)? } else { 0 };
        (hours < 24 && minutes < 60).then_some(Some(sign * (hours * 60 + minutes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_with_and_without_a_zone() {
        for (text, at, zoned) in [
            ("2021-01-01T00:00:00Z", "2021-01-01T00:00:00.000Z", true),
            ("2021-01-01T00:00:00+02:00", "2020-12-31T22:00:00.000Z", true),
            ("2021-01-01T00:00:00-0530", "2021-01-01T05:30:00.000Z", true),
            ("2021-01-01T00:00:00+02", "2020-12-31T22:00:00.000Z", true),
            ("2021-01-01T00:00:00", "2021-01-01T00:00:00.000Z", false),
            ("2021-1-2 3:4", "2021-01-02T03:04:00.000Z", false),
            ("2021-01-01T00:00:00.1234567", "2021-01-01T00:00:00.123Z", false),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z", true),
        ] {
            let read = parse(text).unwrap_or_else(|| panic!("{text} is an instant"));
            assert_eq!((read.at.to_string().as_str(), read.zoned), (at, zoned), "{text}");
        }
        assert_eq!(
            parse("2021-01-01T00:00:00.1234567").map(|read| read.at.as_micros() % 1_000_000),
            Some(123_456)
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "x",
            "invalid-date",
            "2021-01-01",
            "2021/01/01",
            "1609459200",
            "Fri, 01 Jan 2021 00:00:00 GMT",
            "2021-01-01T00:00:00 02:00",
            "2021-02-30T00:00:00Z",
            "2021-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2021-01-01T24:00:00Z",
            "2021-01-01T00:60:00Z",
            "2021-01-01T00:00:60Z",
            "2021-01-01T00:00:00z",
            "2021-01-01t00:00:00Z",
            "2021-01-01T00:00:00.",
            "2021-01-01T00:00:00+24:00",
            "2021-01-01T00:00:00+2",
            "2021-01-01T00:00:00Zx",
            " 2021-01-01T00:00:00Z",
            "20210101T000000Z",
            "2021-01-01T00",
            "٢٠٢١-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
