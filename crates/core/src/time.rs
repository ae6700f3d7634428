//! Instants, in microseconds, and their RFC 3339 form in milliseconds.
//!
//! The log counts microseconds, so that two batches of one millisecond still differ. The API speaks
//! milliseconds: what a client sends is cut to them, and what it is told is written with three decimals.

use std::fmt;

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The first instant that the API accepts: 0001-01-01T00:00:00Z.
pub const TIMESTAMP_MIN: Timestamp = Timestamp::from_millis(-62_135_596_800_000);
/// The last: 9999-12-31T23:59:59.999Z.
pub const TIMESTAMP_MAX: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// A text that is no instant the API accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnInstant;

impl fmt::Display for NotAnInstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an instant has the form 2026-11-21T09:30:00Z or 2026-11-21T09:30:00.000+01:00 (RFC 3339), \
             from year 0001 to 9999",
        )
    }
}

impl std::error::Error for NotAnInstant {}

impl Timestamp {
    /// From microseconds since the epoch.
    #[inline]
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// From milliseconds since the epoch.
    #[inline]
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis * 1_000)
    }

    /// Microseconds since the epoch.
    #[inline]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    #[inline]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The last microsecond of this instant's millisecond: an instant a client names includes it.
    #[must_use]
    #[inline]
    pub const fn end_of_millisecond(self) -> Self {
        Timestamp(self.as_millis() * 1_000 + 999)
    }

    /// As an unsigned number that sorts alike.
    #[inline]
    pub const fn to_ordered(self) -> u64 {
        (self.0 as u64) ^ (1 << 63)
    }

    /// Back from [`Timestamp::to_ordered`].
    #[inline]
    pub const fn from_ordered(ordered: u64) -> Self {
        Timestamp((ordered ^ (1 << 63)) as i64)
    }

    /// Reads an RFC 3339 instant with an offset, cut to milliseconds. Dates that do not exist are refused.
    ///
    /// # Errors
    /// [`NotAnInstant`] for another form, no offset, or a year outside 0001 to 9999.
    pub fn parse_rfc3339(text: &str) -> Result<Self, NotAnInstant> {
        let mut reader = Digits(text.as_bytes());
        let (at, offset) = reader.rfc3339().ok_or(NotAnInstant)?;
        let at = Timestamp(at.0 - offset * 60_000_000);
        if (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&at) { Ok(at) } else { Err(NotAnInstant) }
    }

    /// The instant of a date and a time of day in UTC, or `None` where they do not exist. Seconds run to 59.
    pub fn from_civil(date: (i64, i64, i64), time: (i64, i64, i64), millis: i64) -> Option<Self> {
        let (year, month, day) = date;
        let (hour, minute, second) = time;
        let exists = (0..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        exists.then(|| Timestamp::from_millis(seconds * 1_000 + millis))
    }

    /// The instant as `2026-11-21T09:30:00.000Z`: ASCII. Years are shown as 0000 to 9999.
    pub fn to_rfc3339(self) -> [u8; 24] {
        const DAY: i64 = 86_400_000;
        let millis = self.as_millis();
        let (year, month, day) = civil_from_days(millis.div_euclid(DAY).clamp(YEAR_0, YEAR_9999_END));
        let rest = millis.rem_euclid(DAY) as u32;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut pair = |at: usize, value: u32| {
            text[at] = b'0' + (value / 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        };
        pair(0, year / 100);
        pair(2, year % 100);
        pair(5, month);
        pair(8, day);
        pair(11, rest / 3_600_000);
        pair(14, rest / 60_000 % 60);
        pair(17, rest / 1_000 % 60);
        pair(20, rest % 1_000 / 10);
        text[22] = b'0' + (rest % 10) as u8;
        text
    }

    /// Writes the instant to `out` as [`Self::to_rfc3339`] has it.
    pub fn write_rfc3339(self, out: &mut String) {
        out.push_str(std::str::from_utf8(&self.to_rfc3339()).expect("ASCII"));
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(24);
        self.write_rfc3339(&mut text);
        f.write_str(&text)
    }
}

/// Reads the parts of a written instant from front to back; `None` where the text has another form.
#[derive(Debug, Clone)]
pub struct Digits<'a>(pub &'a [u8]);

impl Digits<'_> {
    /// A number of exactly `len` digits.
    pub fn number(&mut self, len: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        head.iter().try_fold(0, |sum, digit| {
            Some(sum * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?))
        })
    }

    /// One of these bytes.
    pub fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, tail) = self.0.split_first()?;
        bytes.contains(first).then_some(())?;
        self.0 = tail;
        Some(*first)
    }

    /// A date: `2026-11-21`.
    pub fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.number(4)?;
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        Some((year, month, self.number(2)?))
    }

    /// A fraction of a second behind the seconds, if one is there: its milliseconds, the rest cut off.
    pub fn fraction(&mut self) -> Option<i64> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let len = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, tail) = self.0.split_at(len);
        self.0 = tail;
        let digit = |i: usize| digits.get(i).map_or(0, |digit| i64::from(digit - b'0'));
        (1..=9).contains(&len).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// An offset from UTC in minutes: `Z`, `+02:00`.
    pub fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2)?;
        self.one_of(b":")?;
        let minutes = self.number(2)?;
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }

    /// A whole RFC 3339 instant and nothing behind it: the local time as if in UTC, and the offset in minutes.
    fn rfc3339(&mut self) -> Option<(Timestamp, i64)> {
        let date = self.date()?;
        self.one_of(b"Tt ")?;
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        self.one_of(b":")?;
        let second = self.number(2)?;
        let at = Timestamp::from_civil(date, (hour, minute, second), self.fraction()?)?;
        let offset = self.offset()?;
        self.0.is_empty().then_some((at, offset))
    }
}

/// The length of a month of the Gregorian calendar.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of the Gregorian calendar to days since the epoch (Hinnant, "chrono-compatible
/// low-level date algorithms", `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The first day of the year 0 and the last of 9999, in days since the epoch: what four digits can show.
const YEAR_0: i64 = -719_528;
const YEAR_9999_END: i64 = 2_932_896;

/// Days since the epoch, of the years 0 to 9999, to year, month and day of the Gregorian calendar (Neri and Schneider,
/// "Euclidean affine functions and their application to calendar algorithms", 2023).
fn civil_from_days(days: i64) -> (u32, u32, u32) {
    // From the first of March of the year -400 on.
    let days = (days + 719_468 + 146_097) as u32;
    let of_century = 4 * days + 3;
    let century = of_century / 146_097;
    let of_year = u64::from((of_century % 146_097) | 3) * 2_939_745;
    let year_of_century = (of_year >> 32) as u32;
    let day_of_year = of_year as u32 / 2_939_745 / 4;
    let of_month = 2_141 * day_of_year + 197_913;
    let (month, day) = (of_month >> 16, (of_month & 0xffff) / 2_141 + 1);
    let is_next_year = day_of_year >= 306;
    let year = 100 * century + year_of_century + u32::from(is_next_year);
    (year - 400, if is_next_year { month - 12 } else { month }, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Timestamp::parse_rfc3339(text).map(|t| t.to_string()), Ok(expected.into()), "{text}");
    }

    #[test]
    fn instants_are_read_with_their_offset_and_cut_to_milliseconds() {
        check("2020-10-10T20:20:00Z", "2020-10-10T20:20:00.000Z");
        check("2020-10-10T20:20:00.1239Z", "2020-10-10T20:20:00.123Z");
        check("2020-10-10T20:20:00+02:00", "2020-10-10T18:20:00.000Z");
        check("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z");
        check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z");
        check("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
        check("2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000Z");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2020-10-10",
            "2020-10-10T20:20:00",
            "2021-02-30T10:00:00Z",
            "2020-10-10T25:00:00Z",
            "2020-10-10T20:20:00Z[UTC]",
            "2020-10-10T20:20:60Z",
            "2020-10-10T20:20:00.Z",
            "2020-10-10T20:20:00+2:00",
            "2020-10-10T20:20:00+24:00",
            "2020-10-10T20:20:00Z ",
            "0000-01-01T00:00:00Z",
            "+012020-10-10T20:20:00Z",
            "tomorrow at noon or so..",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Err(NotAnInstant), "{text:?}");
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_has_its_own_date() {
        assert_eq!(civil_from_days(YEAR_0), (0, 1, 1));
        assert_eq!(civil_from_days(YEAR_9999_END), (9999, 12, 31));
        for days in YEAR_0..=YEAR_9999_END {
            let (year, month, day) = civil_from_days(days);
            assert!((1..=12).contains(&month) && (1..=31).contains(&day));
            assert_eq!(days_from_civil(year.into(), month.into(), day.into()), days);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_agrees_with_jiff(millis in TIMESTAMP_MIN.as_millis()..=TIMESTAMP_MAX.as_millis()) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse_rfc3339(&at.to_string()), Ok(at));
            if let Ok(jiff) = jiff::Timestamp::from_millisecond(millis) {
                prop_assert_eq!(at.to_string(), format!("{jiff:.3}"));
            }
            prop_assert_eq!(Timestamp::from_ordered(at.to_ordered()), at);
        }
    }
}
