//! A row per rule of shift plans, days on which clocks change among them.

mod recurrence;

use super::*;
use maitred_core::Timestamp;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// `9:00-12:00 13:00-17:30` as spans of a day.
fn spans(text: &str) -> Vec<DaySpan> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':').unwrap();
        hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap()
    };
    let span = |text: &str| {
        let (from, to) = text.split_once('-').unwrap();
        DaySpan { from_minute: minute(from), to_minute: minute(to) }
    };
    text.split_whitespace().map(span).collect()
}

/// The same spans on every day, from a Monday on.
fn every_day(text: &str) -> WeeklyPattern {
    let days = std::array::from_fn(|_| spans(text));
    WeeklyPattern { valid_from: date("2010-01-04"), valid_to: None, every_weeks: 1, days }
}

fn plan(pattern: WeeklyPattern) -> ShiftPlan {
    ShiftPlan { patterns: vec![pattern], ..ShiftPlan::default() }
}

/// Working times as text: `2025-03-30T09:00:00+02:00/2025-03-30T12:00:00+02:00`, one after the other.
fn intervals(expected: &[&str]) -> Intervals {
    Intervals::of(expected.iter().map(|text| {
        let (from, to) = text.split_once('/').unwrap();
        Span::new(Timestamp::parse_rfc3339(from).unwrap(), Timestamp::parse_rfc3339(to).unwrap())
    }))
}

/// On the local days `from` to before `to` a plan has these working times.
fn check(plan: &ShiftPlan, name: &str, (from, to): (&str, &str), expected: &[&str]) {
    let zone = zone(name);
    let range = days_span(&zone, date(from), date(to));
    assert_eq!(plan.working(&zone, range), intervals(expected), "{name} {from}");
}

#[test]
fn a_day_has_several_spans_and_those_that_touch_or_overlap_are_one() {
    check(
        &plan(every_day("13:00-15:00 9:00-12:00 15:00-17:30 14:00-16:00")),
        "Europe/Berlin",
        ("2025-06-02", "2025-06-03"),
        &[
            "2025-06-02T09:00:00+02:00/2025-06-02T12:00:00+02:00",
            "2025-06-02T13:00:00+02:00/2025-06-02T17:30:00+02:00",
        ],
    );
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_starts() {
    let mut pattern = every_day("");
    pattern.days[0] = spans("22:00-6:00");
    let night = ["2025-06-02T22:00:00Z/2025-06-03T06:00:00Z"];
    check(&plan(pattern.clone()), "UTC", ("2025-06-02", "2025-06-04"), &night);
    check(
        &plan(pattern.clone()),
        "UTC",
        ("2025-06-03", "2025-06-04"),
        &["2025-06-03T00:00:00Z/2025-06-03T06:00:00Z"],
    );
    // It is whole although the pattern ends with the Monday, or the Tuesday has an exception.
    pattern.valid_to = Some(date("2025-06-03"));
    check(&plan(pattern.clone()), "UTC", ("2025-06-02", "2025-06-11"), &night);
    let mut plan = plan(pattern);
    plan.exceptions.insert(date("2025-06-03"), vec![]);
    check(&plan, "UTC", ("2025-06-02", "2025-06-04"), &night);
}

#[test]
fn a_whole_day_is_written_in_three_ways() {
    for text in ["0:00-24:00", "0:00-0:00", "0:00-12:00 12:00-0:00"] {
        check(
            &plan(every_day(text)),
            "UTC",
            ("2025-06-02", "2025-06-04"),
            &["2025-06-02T00:00:00Z/2025-06-04T00:00:00Z"],
        );
    }
    check(
        &plan(every_day("9:00-9:00")),
        "UTC",
        ("2025-06-02", "2025-06-03"),
        &["2025-06-02T00:00:00Z/2025-06-03T00:00:00Z"],
    );
}

#[test]
fn a_pattern_is_valid_from_a_day_to_before_another() {
    let mut pattern = every_day("9:00-10:00");
    (pattern.valid_from, pattern.valid_to) = (date("2025-06-03"), Some(date("2025-06-05")));
    check(
        &plan(pattern.clone()),
        "UTC",
        ("2025-06-01", "2025-06-08"),
        &["2025-06-03T09:00:00Z/2025-06-03T10:00:00Z", "2025-06-04T09:00:00Z/2025-06-04T10:00:00Z"],
    );
    pattern.valid_to = Some(pattern.valid_from);
    check(&plan(pattern), "UTC", ("2025-06-01", "2025-06-08"), &[]);
}

#[test]
fn every_other_week_is_counted_from_the_iso_week_of_valid_from() {
    // Thursday: its week began on Monday, 2 June, and the next one that counts on 16 June.
    let mut pattern = every_day("");
    (pattern.valid_from, pattern.every_weeks) = (date("2025-06-05"), 2);
    pattern.days[0] = spans("9:00-10:00");
    pattern.days[6] = spans("11:00-12:00");
    let expected = [
        "2025-06-08T11:00:00Z/2025-06-08T12:00:00Z",
        "2025-06-16T09:00:00Z/2025-06-16T10:00:00Z",
        "2025-06-22T11:00:00Z/2025-06-22T12:00:00Z",
    ];
    check(&plan(pattern.clone()), "UTC", ("2025-06-01", "2025-06-30"), &expected);
    // Across a year of 53 weeks: 28 December 2026 begins week 53, so 4 January 2027 is the odd one out.
    pattern.valid_from = date("2026-12-28");
    let expected = ["2026-12-28T09:00:00Z/2026-12-28T10:00:00Z", "2027-01-11T09:00:00Z/2027-01-11T10:00:00Z"];
    check(&plan(pattern.clone()), "UTC", ("2026-12-28", "2027-01-03"), &expected[..1]);
    check(&plan(pattern.clone()), "UTC", ("2027-01-04", "2027-01-17"), &expected[1..]);
    pattern.every_weeks = 0;
    check(
        &plan(pattern),
        "UTC",
        ("2027-01-04", "2027-01-05"),
        &["2027-01-04T09:00:00Z/2027-01-04T10:00:00Z"],
    );
}

#[test]
fn patterns_that_are_valid_together_are_added_up() {
    let mut plan = plan(every_day("9:00-12:00"));
    let mut saturday = every_day("");
    saturday.days[5] = spans("11:00-14:00");
    plan.patterns.push(saturday);
    check(&plan, "UTC", ("2025-06-07", "2025-06-08"), &["2025-06-07T09:00:00Z/2025-06-07T14:00:00Z"]);
}

#[test]
fn an_exception_replaces_its_day_and_an_absence_takes_time_out_of_it() {
    let mut plan = plan(every_day("9:00-12:00"));
    plan.exceptions.insert(date("2025-06-02"), spans("14:00-20:00"));
    plan.exceptions.insert(date("2025-06-03"), vec![]);
    let (from, to) = ("2025-06-02T15:00:00Z", "2025-06-02T16:00:00Z");
    let instants = Span::new(Timestamp::parse_rfc3339(from).unwrap(), Timestamp::parse_rfc3339(to).unwrap());
    plan.absences = vec![Absence::Days(date("2025-06-04"), date("2025-06-06")), Absence::Instants(instants)];
    check(
        &plan,
        "UTC",
        ("2025-06-02", "2025-06-07"),
        &[
            "2025-06-02T14:00:00Z/2025-06-02T15:00:00Z",
            "2025-06-02T16:00:00Z/2025-06-02T20:00:00Z",
            "2025-06-06T09:00:00Z/2025-06-06T12:00:00Z",
        ],
    );
    let range = days_span(&zone("UTC"), date("2025-06-04"), date("2025-06-05"));
    assert_eq!(plan.shifts(&zone("UTC"), range), intervals(&["2025-06-04T09:00:00Z/2025-06-04T12:00:00Z"]));
}

#[test]
fn shifts_follow_the_clocks() {
    let day = plan(every_day("9:00-17:00"));
    check(
        &day,
        "Europe/Berlin",
        ("2025-03-30", "2025-03-31"),
        &["2025-03-30T07:00:00Z/2025-03-30T15:00:00Z"],
    );
    check(
        &day,
        "Europe/Berlin",
        ("2025-10-26", "2025-10-27"),
        &["2025-10-26T08:00:00Z/2025-10-26T16:00:00Z"],
    );
    check(
        &day,
        "Asia/Kathmandu",
        ("2025-06-02", "2025-06-03"),
        &["2025-06-02T03:15:00Z/2025-06-02T11:15:00Z"],
    );
    check(&day, "Pacific/Apia", ("2011-12-30", "2011-12-31"), &[]);
    check(
        &day,
        "Pacific/Apia",
        ("2011-12-31", "2012-01-01"),
        &["2011-12-31T09:00:00+14:00/2011-12-31T17:00:00+14:00"],
    );
    // A night is an hour shorter or longer.
    let night = plan(every_day("22:00-6:00"));
    let of = |day: &str, name: &str| {
        let span = spans("22:00-6:00")[0].on(&zone(name), date(day));
        span.micros() / 60_000_000
    };
    assert_eq!([of("2025-03-29", "Europe/Berlin"), of("2025-10-25", "Europe/Berlin")], [420, 540]);
    assert_eq!(
        [of("2025-10-04", "Australia/Lord_Howe"), of("2025-04-05", "Australia/Lord_Howe")],
        [450, 510]
    );
    assert_eq!([of("2018-11-03", "America/Sao_Paulo"), of("2025-04-24", "Africa/Cairo")], [420, 420]);
    assert_eq!(of("2025-03-29", "Asia/Beirut"), 420);
    assert_eq!(
        night.shifts(&zone("UTC"), Span::new(Timestamp::default(), Timestamp::default())),
        Intervals::NONE
    );
}

#[test]
fn ends_in_a_gap_move_forward_and_spans_that_clocks_skip_are_none() {
    let check = |text: &str, expected: &[&str]| {
        check(&plan(every_day(text)), "Europe/Berlin", ("2025-03-30", "2025-03-31"), expected);
    };
    check("1:00-2:30", &["2025-03-30T01:00:00+01:00/2025-03-30T03:30:00+02:00"]);
    check("2:15-2:45", &["2025-03-30T03:15:00+02:00/2025-03-30T03:45:00+02:00"]);
    check("2:00-3:00", &[]);
    check("2:30-3:15", &[]);
}

#[test]
fn any_numbers_are_borne() {
    let wild = DaySpan { from_minute: u16::MAX, to_minute: u16::MAX };
    assert!(!wild.is_valid());
    let mut pattern = every_day("");
    pattern.days = std::array::from_fn(|_| vec![wild]);
    (pattern.valid_from, pattern.every_weeks) = (Date::MIN, u16::MAX);
    let mut plan = plan(pattern);
    plan.absences.push(Absence::Days(Date::MAX, Date::MIN));
    plan.exceptions.insert(Date::MAX, vec![wild]);
    for at in [i64::MIN, i64::MAX - 10] {
        let range = Span::new(Timestamp::from_micros(at), Timestamp::from_micros(at + 10));
        assert!(plan.working(&zone("Europe/Berlin"), range).spans().len() <= 1);
    }
}
