//! Values of attributes: numbers, prices and times, as feeds write them.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use super::limits::PRICE_MINOR_MAX;
use super::record::Moment;

/// A whole number that is not negative.
pub(super) fn capacity(text: &str) -> Option<u32> {
    let text = text.trim_matches(' ');
    text.strip_prefix('+').unwrap_or(text).parse().ok().filter(|_| !text.starts_with("++"))
}

/// Whether a switch is on.
pub(super) fn switch(text: &str) -> bool {
    let text = text.trim_matches(' ');
    text.eq_ignore_ascii_case("true") || text == "1"
}

/// A price in minor units, of which a major one has ten to the power of `decimals`: `20`, `20.00`, `-3.5`, `2e1`. `NaN` is
/// no price, and no mistake (`Some(None)`).
///
/// Rounded half away from zero, by digits: no float comes near it.
pub(super) fn price(text: &str, decimals: u8) -> Option<Option<i64>> {
    let text = text.trim_matches(' ');
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.eq_ignore_ascii_case("nan") {
        return Some(None);
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let every_digit = || whole.bytes().chain(fraction.bytes());
    if every_digit().next().is_none() || !every_digit().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // The first so many digits are whole minor units, and the next one rounds.
    let kept = whole.len() as i64 + i64::from(exponent) + i64::from(decimals);
    let mut minor: i64 = 0;
    for (at, digit) in (0..).zip(every_digit()).take_while(|(at, _)| *at <= kept) {
        let digit = i64::from(digit - b'0');
        if at < kept {
            minor = minor * 10 + digit;
        } else if digit >= 5 {
            minor += 1;
        }
        if minor > PRICE_MINOR_MAX {
            return None;
        }
    }
    // Digits that are not written are zeros.
    for _ in (whole.len() + fraction.len()) as i64..kept {
        if minor == 0 {
            break;
        }
        minor = minor.checked_mul(10).filter(|minor| *minor <= PRICE_MINOR_MAX)?;
    }
    Some(Some(if negative { -minor } else { minor }))
}

/// `2021-06-30T21:00:00` with more or fewer digits: seconds and the time of day may be missing, a fraction is cut to
/// milliseconds; then nothing, `Z`, or an offset of hours and minutes.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let mut rest = Digits(text.trim_matches(' ').as_bytes());
    let (year, month, day) = (rest.number(4)?, rest.after(b"-", 2)?, rest.after(b"-", 2)?);
    let date =
        Date::new(i16::try_from(year).ok()?, month as i8, day as i8).ok().filter(|date| date.year() > 0)?;
    if rest.0.is_empty() {
        return Some(Moment::Civil(date.to_datetime(Time::midnight())));
    }
    let (hour, minute) = (rest.after(b"Tt ", 2)?, rest.after(b":", 2)?);
    let second = if rest.0.first() == Some(&b':') { rest.after(b":", 2)? } else { 0 };
    let millis = if matches!(rest.0.first(), Some(b'.' | b',')) { rest.millis()? } else { 0 };
    let time = Time::new(hour as i8, minute as i8, second as i8, millis * 1_000_000).ok()?;
    let civil = date.to_datetime(time);
    if rest.0.is_empty() {
        return Some(Moment::Civil(civil));
    }
    let instant = rest.offset()?.to_timestamp(civil).ok()?;
    let in_range = (1..=9999).contains(&Offset::UTC.to_datetime(instant).year());
    in_range.then_some(Moment::Instant(instant))
}

/// What is left of a text of digits and marks.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// A number of exactly so many digits.
    fn number(&mut self, len: usize) -> Option<i32> {
        let (digits, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0'))
        })
    }

    /// The same behind one of these marks.
    fn after(&mut self, marks: &[u8], len: usize) -> Option<i32> {
        let (mark, rest) = self.0.split_first()?;
        self.0 = rest;
        marks.contains(mark).then(|| self.number(len)).flatten()
    }

    /// A fraction of a second: at least one digit, of which three count.
    fn millis(&mut self) -> Option<i32> {
        let len = self.0[1..].iter().take_while(|digit| digit.is_ascii_digit()).count();
        let (fraction, rest) = self.0[1..].split_at(len);
        self.0 = rest;
        let digit = |at: usize| fraction.get(at).map_or(0, |digit| i32::from(digit - b'0'));
        (len > 0).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// The offset, behind which nothing may stand.
    fn offset(&mut self) -> Option<Offset> {
        if matches!(self.0, b"Z" | b"z") {
            return Some(Offset::UTC);
        }
        let sign = if *self.0.first()? == b'-' { -1 } else { 1 };
        let hours = self.after(b"+-", 2)?;
        let minutes = match self.0 {
            [] => 0,
            [b':', ..] => self.after(b":", 2)?,
            _ => self.number(2)?,
        };
        let fits = self.0.is_empty() && hours < 24 && minutes < 60;
        if fits { Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_hundredths_by_its_digits() {
        let rows: &[(&str, Option<Option<i64>>)] = &[
            ("20.00", Some(Some(2_000))),
            ("20", Some(Some(2_000))),
            ("20.", Some(Some(2_000))),
            (".5", Some(Some(50))),
            (" 1.10 ", Some(Some(110))),
            ("0.005", Some(Some(1))),
            ("0.0049999999999999999999999999", Some(Some(0))),
            ("1.005", Some(Some(101))),
            ("-1.005", Some(Some(-101))),
            ("-20.5", Some(Some(-2_050))),
            ("+3", Some(Some(300))),
            ("2e1", Some(Some(2_000))),
            ("2.55E-1", Some(Some(26))),
            ("1e-3", Some(Some(0))),
            ("5e-3", Some(Some(1))),
            ("5e-4", Some(Some(0))),
            ("0e9999", Some(Some(0))),
            ("00000000000000000000000000012.00", Some(Some(1_200))),
            ("10000000000", Some(Some(PRICE_MINOR_MAX))),
            ("10000000000.01", None),
            ("1e30000", None),
            ("NaN", Some(None)),
            ("-nan", Some(None)),
            ("inf", None),
            ("", None),
            (".", None),
            ("-", None),
            ("e5", None),
            ("1e", None),
            ("1,50", None),
            ("1.2.3", None),
            ("--1", None),
            ("1_000", None),
            ("20 €", None),
            ("٣", None),
        ];
        for (text, expected) in rows {
            assert_eq!(price(text, 2), *expected, "{text}");
        }
    }

    #[test]
    fn a_price_has_as_many_decimals_as_its_currency() {
        for (text, decimals, minor) in [
            ("5000", 0, 5_000),
            ("5000.50", 0, 5_001),
            ("0.4", 0, 0),
            ("1.255", 3, 1_255),
            ("20", 3, 20_000),
            ("2e1", 4, 200_000),
        ] {
            assert_eq!(price(text, decimals), Some(Some(minor)), "{text} with {decimals}");
        }
    }

    #[test]
    fn a_moment_is_civil_without_an_offset_and_an_instant_with_one() {
        let civil = |text: &str| Some(Moment::Civil(text.parse().expect("a time")));
        let instant = |text: &str| Some(Moment::Instant(text.parse().expect("an instant")));
        let rows = [
            ("2021-06-30T21:00:00", civil("2021-06-30T21:00:00")),
            ("2021-06-30 21:00", civil("2021-06-30T21:00:00")),
            ("2021-06-30", civil("2021-06-30T00:00:00")),
            (" 2021-06-30T21:00:00.1239 ", civil("2021-06-30T21:00:00.123")),
            ("0001-01-01T00:00:00", civil("0001-01-01T00:00:00")),
            ("2021-06-30T10:00:00+05:00", instant("2021-06-30T05:00:00Z")),
            ("2021-06-30T10:00:00-0530", instant("2021-06-30T15:30:00Z")),
            ("2021-06-30T10:00:00+02", instant("2021-06-30T08:00:00Z")),
            ("2021-06-30t10:00:00.5z", instant("2021-06-30T10:00:00.5Z")),
            ("2024-02-29T00:00:00", civil("2024-02-29T00:00:00")),
            ("2021-02-30T10:00:00", None),
            ("2021-06-30T24:00:00", None),
            ("2021-06-30T23:59:60", None),
            ("2021-06-30T21:00:00.", None),
            ("2021-06-30T21:00:00 +02:00", None),
            ("2021-06-30T21:00:00+25:00", None),
            ("2021-06-30T21:00:00Zulu", None),
            ("2021-06-30T", None),
            ("0000-01-01T00:00:00", None),
            ("0001-01-01T00:00:00+01:00", None),
            ("2021-6-30T21:00:00", None),
            ("30/06/2021", None),
            ("", None),
            ("soon", None),
            ("２０２１-06-30", None),
        ];
        for (text, expected) in rows {
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    #[test]
    fn a_capacity_is_a_whole_number() {
        let rows = [("243", Some(243)), (" 0 ", Some(0)), ("+7", Some(7)), ("4294967295", Some(u32::MAX))];
        for (text, expected) in rows {
            assert_eq!(capacity(text), expected, "{text}");
        }
        for text in ["", "-1", "1.0", "x", "4294967296", "++1", "1 2"] {
            assert_eq!(capacity(text), None, "{text}");
        }
    }
}
