//! Local days and times of day of a time zone, as instants.
//!
//! The rule is that of RFC 5545 §3.3.5: a local time that does not exist, because clocks were put forward,
//! is meant in the offset before, and so moves forward by the gap; one that exists twice means the first.
//! A start is aligned when it is the instant of a local time that is a multiple of the step after midnight,
//! so the second pass of a repeated hour has no aligned starts, and the times of a gap are offered where
//! they move to. A start belongs to the day `[first instant of the date, first instant of the next)`.
//!
//! No function here fails: what lies outside the calendar becomes its nearest end.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use maitred_core::Timestamp;

use super::intervals::Span;

/// The minutes of a day on which clocks stand still.
pub const DAY_MINUTES: u32 = 24 * 60;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = DAY_MINUTES as i64 * MINUTE;

/// The instant that is `minutes` later, or the last one that can be told.
#[must_use]
pub fn later(at: Timestamp, minutes: u32) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(i64::from(minutes) * MINUTE))
}

/// The instant that is `minutes` earlier, or the first one that can be told.
#[must_use]
pub fn earlier(at: Timestamp, minutes: u32) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(i64::from(minutes) * MINUTE))
}

/// The date that is `days` later (earlier, where negative).
#[must_use]
pub fn plus_days(date: Date, days: i32) -> Date {
    date.saturating_add(SignedDuration::from_hours(24 * i64::from(days)))
}

/// The Monday of a date's ISO week.
#[must_use]
pub fn monday(date: Date) -> Date {
    plus_days(date, -i32::from(date.weekday().since(Weekday::Monday)))
}

/// The instant of a local date and time.
pub fn instant(zone: &TimeZone, local: DateTime) -> Timestamp {
    let nearest = if local.year() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    ours(zone.to_ambiguous_timestamp(local).compatible().unwrap_or(nearest))
}

/// The instant at which clocks show `minute` minutes after midnight of `date`; from 1,440 on it is a time
/// of the following days.
pub fn instant_of(zone: &TimeZone, date: Date, minute: u32) -> Timestamp {
    instant(zone, local(date, minute))
}

/// The first instant of a date.
pub fn first_instant(zone: &TimeZone, date: Date) -> Timestamp {
    instant(zone, DateTime::from_parts(date, Time::midnight()))
}

/// The local date and time of an instant.
pub fn local_time(zone: &TimeZone, at: Timestamp) -> DateTime {
    zone.to_datetime(theirs(at))
}

/// The local date of an instant.
pub fn local_date(zone: &TimeZone, at: Timestamp) -> Date {
    local_time(zone, at).date()
}

/// All of the local days from `from` to before `to`.
pub fn days_span(zone: &TimeZone, from: Date, to: Date) -> Span {
    Span::new(first_instant(zone, from), first_instant(zone, to))
}

/// The local days from `from` to before `to`, each as a span. A date that a zone skipped has none.
pub fn days(zone: &TimeZone, from: Date, to: Date) -> Vec<Span> {
    let mut days = Vec::new();
    let mut starts_at = first_instant(zone, from);
    let mut date = from;
    while date < to {
        date = plus_days(date, 1);
        let ends_at = first_instant(zone, date);
        if starts_at < ends_at {
            days.push(Span::new(starts_at, ends_at));
            starts_at = ends_at;
        }
        if date == Date::MAX {
            break;
        }
    }
    days
}

/// The aligned starts within the local days from `from` to before `to`, in order, each once.
/// A step of 0 is taken as 1 minute.
pub fn aligned_starts(zone: &TimeZone, from: Date, to: Date, step_minutes: u32) -> Vec<Timestamp> {
    let step_minutes = step_minutes.max(1);
    let range = days_span(zone, from, to);
    let mut starts = Vec::new();
    // The times of the day before may have moved into the first day.
    let mut date = plus_days(from, -1);
    while date < to {
        push_times_of(zone, date, step_minutes, &mut starts);
        if date == Date::MAX {
            break;
        }
        date = plus_days(date, 1);
    }
    starts.retain(|at| range.has(*at));
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// Whether an instant is an aligned start.
pub fn is_aligned(zone: &TimeZone, at: Timestamp, step_minutes: u32) -> bool {
    let date = local_date(zone, at);
    let starts = aligned_starts(zone, plus_days(date, -1), plus_days(date, 2), step_minutes);
    starts.binary_search(&at).is_ok()
}

/// Adds the instants of every `step_minutes`-th minute of a date, wherever they moved to.
fn push_times_of(zone: &TimeZone, date: Date, step_minutes: u32, starts: &mut Vec<Timestamp>) {
    let minutes = (0..DAY_MINUTES).step_by(step_minutes as usize);
    let midnight = first_instant(zone, date);
    if is_plain(zone, midnight, date) {
        starts.extend(minutes.map(|minute| later(midnight, minute)));
    } else {
        starts.extend(minutes.map(|minute| instant_of(zone, date, minute)));
    }
}

/// Whether clocks run through all of this date without being put forward or back.
fn is_plain(zone: &TimeZone, midnight: Timestamp, date: Date) -> bool {
    let day_ends_at = theirs(Timestamp::from_micros(midnight.as_micros().saturating_add(DAY)));
    let changes = zone.following(theirs(midnight)).next().is_some_and(|next| next.timestamp() < day_ends_at);
    !changes && !zone.to_ambiguous_timestamp(local(date, 0)).is_ambiguous()
}

fn local(date: Date, minute: u32) -> DateTime {
    let days = i32::try_from(minute / DAY_MINUTES).unwrap_or(i32::MAX);
    let (hour, minute) = (minute % DAY_MINUTES / 60, minute % 60);
    let time = Time::new(hour as i8, minute as i8, 0, 0).unwrap_or(Time::midnight());
    DateTime::from_parts(plus_days(date, days), time)
}

/// An instant of jiff.
pub(super) fn ours(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_microsecond())
}

/// An instant for jiff, or the nearest that it knows.
pub(super) fn theirs(at: Timestamp) -> jiff::Timestamp {
    let nearest = if at.as_micros() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// A local date and time of a zone is this instant.
    fn check(name: &str, local: &str, expected: &str) {
        let expected = Timestamp::parse_rfc3339(expected).unwrap();
        assert_eq!(instant(&zone(name), local.parse().unwrap()), expected, "{name} {local}");
    }

    #[test]
    fn a_time_in_a_gap_moves_forward_by_the_gap_and_a_repeated_one_means_the_first() {
        check("Europe/Berlin", "2025-03-30T01:59", "2025-03-30T01:59:00+01:00");
        check("Europe/Berlin", "2025-03-30T02:00", "2025-03-30T03:00:00+02:00");
        check("Europe/Berlin", "2025-03-30T02:30", "2025-03-30T03:30:00+02:00");
        check("Europe/Berlin", "2025-03-30T03:00", "2025-03-30T03:00:00+02:00");
        check("Europe/Berlin", "2025-10-26T02:30", "2025-10-26T02:30:00+02:00");
        check("Europe/Berlin", "2025-10-26T03:00", "2025-10-26T03:00:00+01:00");
        // The two examples of RFC 5545 §3.3.5.
        check("America/New_York", "2007-11-04T01:30", "2007-11-04T01:30:00-04:00");
        check("America/New_York", "2007-03-11T02:30", "2007-03-11T03:30:00-04:00");
        // Half an hour.
        check("Australia/Lord_Howe", "2025-10-05T02:10", "2025-10-05T02:40:00+11:00");
        check("Australia/Lord_Howe", "2025-04-06T01:45", "2025-04-06T01:45:00+11:00");
        check("Australia/Lord_Howe", "2025-04-06T02:00", "2025-04-06T02:00:00+10:30");
        // A whole day.
        check("Pacific/Apia", "2011-12-29T23:59", "2011-12-29T23:59:00-10:00");
        check("Pacific/Apia", "2011-12-30T12:00", "2011-12-31T12:00:00+14:00");
        // No change, an odd offset.
        check("Asia/Kathmandu", "2025-06-01T00:00", "2025-05-31T18:15:00Z");
        // A gap at midnight: the day begins at one.
        check("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T01:00:00-02:00");
        check("Africa/Cairo", "2025-04-25T00:30", "2025-04-25T01:30:00+03:00");
        check("Asia/Beirut", "2025-03-30T00:00", "2025-03-30T01:00:00+03:00");
        // The hour before midnight twice.
        check("Africa/Cairo", "2025-10-30T23:30", "2025-10-30T23:30:00+03:00");
        check("Africa/Cairo", "2025-10-31T00:00", "2025-10-31T00:00:00+02:00");
    }

    /// A local day has so many minutes, and so many aligned starts at a step of 15 minutes.
    fn check_day(name: &str, day: &str, minutes: i64, starts: usize) {
        let (zone, day) = (zone(name), date(day));
        let span = days_span(&zone, day, plus_days(day, 1));
        assert_eq!(span.micros() / MINUTE, minutes, "{name} {day}");
        let aligned = aligned_starts(&zone, day, plus_days(day, 1), 15);
        assert_eq!(aligned.len(), starts, "{name} {day}");
        assert!(aligned.iter().all(|at| span.has(*at) && is_aligned(&zone, *at, 15)), "{name} {day}");
        assert_eq!(days(&zone, day, plus_days(day, 1)), if minutes > 0 { vec![span] } else { vec![] });
    }

    #[test]
    fn days_are_as_long_as_clocks_make_them() {
        check_day("UTC", "2025-03-30", 1_440, 96);
        check_day("Europe/Berlin", "2025-03-29", 1_440, 96);
        check_day("Europe/Berlin", "2025-03-30", 1_380, 92);
        check_day("Europe/Berlin", "2025-10-26", 1_500, 96);
        check_day("Australia/Lord_Howe", "2025-10-05", 1_410, 94);
        check_day("Australia/Lord_Howe", "2025-04-06", 1_470, 96);
        check_day("Pacific/Apia", "2011-12-30", 0, 0);
        check_day("Pacific/Apia", "2011-12-31", 1_440, 96);
        check_day("America/Sao_Paulo", "2018-11-04", 1_380, 92);
        check_day("America/Sao_Paulo", "2018-02-17", 1_500, 96);
        check_day("Africa/Cairo", "2025-04-25", 1_380, 92);
        check_day("Africa/Cairo", "2025-10-30", 1_500, 96);
        check_day("Asia/Beirut", "2025-03-30", 1_380, 92);
        check_day("America/Havana", "2025-11-02", 1_500, 96);
        check_day("Asia/Kathmandu", "2025-06-01", 1_440, 96);
        check_day("America/St_Johns", "2010-03-14", 1_380, 92);
    }

    #[test]
    fn starts_count_from_local_midnight_whatever_the_offset() {
        let kathmandu = zone("Asia/Kathmandu");
        let starts = aligned_starts(&kathmandu, date("2025-06-01"), date("2025-06-02"), 60);
        assert_eq!(starts[1].to_string(), "2025-05-31T19:15:00.000Z");
        assert!(!is_aligned(&kathmandu, Timestamp::parse_rfc3339("2025-05-31T19:00:00Z").unwrap(), 60));
        // 50 minutes do not divide a day: the last is 23:20, and the next day begins anew.
        let starts = aligned_starts(&zone("UTC"), date("2025-06-01"), date("2025-06-03"), 50);
        assert_eq!(starts.len(), 2 * 29);
        assert_eq!(starts[28].to_string(), "2025-06-01T23:20:00.000Z");
        assert_eq!(starts[29].to_string(), "2025-06-02T00:00:00.000Z");
    }

    #[test]
    fn the_second_pass_of_an_hour_has_no_starts_and_a_gap_has_those_that_move_out_of_it() {
        let aligned = |name: &str, at: &str, step: u32| {
            is_aligned(&zone(name), Timestamp::parse_rfc3339(at).unwrap(), step)
        };
        assert!(aligned("Europe/Berlin", "2025-10-26T02:30:00+02:00", 30));
        assert!(!aligned("Europe/Berlin", "2025-10-26T02:30:00+01:00", 30));
        // 02:00 of the clocks is shown as 02:30 there.
        assert!(aligned("Australia/Lord_Howe", "2025-10-05T02:30:00+11:00", 60));
        assert!(!aligned("Australia/Lord_Howe", "2025-10-05T03:30:00+11:00", 60));
        // A microsecond beside it is not aligned.
        assert!(!aligned("UTC", "2025-10-26T02:30:00.001Z", 30));
    }

    #[test]
    fn a_range_has_the_starts_of_its_days_and_no_others() {
        for name in ["Pacific/Apia", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe"] {
            let zone = zone(name);
            for year in [2010, 2011, 2018] {
                let (from, to) = (jiff::civil::date(year, 1, 1), jiff::civil::date(year + 1, 1, 1));
                let whole = aligned_starts(&zone, from, to, 20);
                let mut by_day = Vec::new();
                let mut date = from;
                while date < to {
                    by_day.extend(aligned_starts(&zone, date, plus_days(date, 1), 20));
                    date = plus_days(date, 1);
                }
                assert_eq!(whole, by_day, "{name} {year}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_trouble() {
        let zone = zone("Europe/Berlin");
        for at in [i64::MIN, i64::MAX] {
            let at = Timestamp::from_micros(at);
            let date = local_date(&zone, at);
            let _ = is_aligned(&zone, at, 5);
            assert!(days(&zone, plus_days(date, -3), plus_days(date, 3)).len() <= 6);
            assert!(aligned_starts(&zone, plus_days(date, -3), plus_days(date, 3), 0).len() <= 6 * 1_440);
        }
        assert_eq!(plus_days(Date::MAX, i32::MAX), Date::MAX);
        assert_eq!(plus_days(Date::MIN, i32::MIN), Date::MIN);
    }
}
