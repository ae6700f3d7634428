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
    let just_before = theirs(Timestamp::from_micros(midnight.as_micros().saturating_sub(1)));
    let day_ends_at = theirs(Timestamp::from_micros(midnight.as_micros().saturating_add(DAY)));
    let changes = zone.following(just_before).next().is_some_and(|next| next.timestamp() < day_ends_at);
    !changes && !zone.to_ambiguous_timestamp(local(date, 0)).is_ambiguous()
}

fn local(date: Date, minute: u32) -> DateTime {
    let days = i32::try_from(minute / DAY_MINUTES).unwrap_or(i32::MAX);
    let (hour, minute) = (minute % DAY_MINUTES / 60, minute % 60);
    let time = Time::new(hour as i8, minute as i8, 0, 0).unwrap_or(Time::midnight());
    DateTime::from_parts(plus_days(date, days), time)
}

fn ours(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_microsecond())
}

fn theirs(at: Timestamp) -> jiff::Timestamp {
    let nearest = if at.as_micros() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(nearest)
}
