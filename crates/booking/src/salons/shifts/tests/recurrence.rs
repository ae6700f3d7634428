//! The examples of RFC 5545 §3.8.5.3 that a week which comes again can express, with the dates that the RFC prints, in New
//! York as there: a shift from 9 to 10 on each, by the summer's clocks (EDT) and then by the winter's (EST).

use super::*;

/// A pattern as a recurrence: from `first` to `last`, both included, on the weekdays named as in the RFC.
fn weekly(every_weeks: u16, by_day: &str, first: &str, last: &str) -> WeeklyPattern {
    const DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    assert!(by_day.split(',').all(|day| DAYS.contains(&day)), "{by_day}");
    let days = DAYS.map(|day| spans(if by_day.contains(day) { "9:00-10:00" } else { "" }));
    let valid_to = (!last.is_empty()).then(|| plus_days(date(last), 1));
    WeeklyPattern { valid_from: date(first), valid_to, every_weeks, days }
}

/// `EDT 1997-09 2 9; 1997-10 7; EST 1997-10 28` as shifts.
fn shifts(text: &str) -> Vec<Span> {
    let mut offset = "";
    let mut found = Vec::new();
    for month in text.split(';') {
        let mut words = month.split_whitespace().peekable();
        offset = match words.next_if(|word| matches!(*word, "EDT" | "EST")) {
            Some("EDT") => "-04:00",
            Some(_) => "-05:00",
            None => offset,
        };
        let month = words.next().expect("a month");
        found.extend(words.map(|day| {
            let at =
                |hour| Timestamp::parse_rfc3339(&format!("{month}-{day:0>2}T{hour}:00:00{offset}")).unwrap();
            Span::new(at("09"), at("10"))
        }));
    }
    found
}

/// From half a year before to half a year behind the examples' winter, or as far as the RFC prints an example, a plan has
/// these shifts.
fn check(plan: &ShiftPlan, to: &str, expected: &str) {
    let zone = zone("America/New_York");
    let range = days_span(&zone, date("1997-03-01"), date(to));
    assert_eq!(plan.working(&zone, range).spans(), shifts(expected), "{expected}");
}

const END: &str = "1998-09-01";

#[test]
fn examples_of_every_day() {
    let every = "MO,TU,WE,TH,FR,SA,SU";
    // Daily for 10 occurrences.
    check(&plan(weekly(1, every, "1997-09-02", "1997-09-11")), END, "EDT 1997-09 2 3 4 5 6 7 8 9 10 11");
    // Daily until December 24, 1997.
    let days = |from: u32, to: u32| (from..=to).map(|day| day.to_string()).collect::<Vec<_>>().join(" ");
    let expected = format!(
        "EDT 1997-09 {}; 1997-10 {}; EST 1997-10 {}; 1997-11 {}; 1997-12 {}",
        days(2, 30),
        days(1, 25),
        days(26, 31),
        days(1, 30),
        days(1, 23)
    );
    check(&plan(weekly(1, every, "1997-09-02", "1997-12-23")), END, &expected);
}

#[test]
fn examples_of_every_week() {
    // Weekly for 10 occurrences.
    let expected = "EDT 1997-09 2 9 16 23 30; 1997-10 7 14 21; EST 1997-10 28; 1997-11 4";
    check(&plan(weekly(1, "TU", "1997-09-02", "1997-11-04")), END, expected);
    // Weekly until December 24, 1997.
    let expected = "EDT 1997-09 2 9 16 23 30; 1997-10 7 14 21; \
                    EST 1997-10 28; 1997-11 4 11 18 25; 1997-12 2 9 16 23";
    check(&plan(weekly(1, "TU", "1997-09-02", "1997-12-23")), END, expected);
    // Weekly on Tuesday and Thursday for five weeks, by its end and by its count.
    let expected = "EDT 1997-09 2 4 9 11 16 18 23 25 30; 1997-10 2";
    for last in ["1997-10-06", "1997-10-02"] {
        check(&plan(weekly(1, "TU,TH", "1997-09-02", last)), END, expected);
    }
}

#[test]
fn examples_of_every_other_week() {
    // Every other week, forever: as far as the RFC prints it.
    let expected = "EDT 1997-09 2 16 30; 1997-10 14; EST 1997-10 28; 1997-11 11 25; 1997-12 9 23; \
                    1998-01 6 20; 1998-02 3 17";
    check(&plan(weekly(2, "TU", "1997-09-02", "")), "1998-02-18", expected);
    // Every other week on Monday, Wednesday, and Friday until December 24, 1997, starting on Monday, September 1.
    let expected = "EDT 1997-09 1 3 5 15 17 19 29; 1997-10 1 3 13 15 17; \
                    EST 1997-10 27 29 31; 1997-11 10 12 14 24 26 28; 1997-12 8 10 12 22";
    check(&plan(weekly(2, "MO,WE,FR", "1997-09-01", "1997-12-23")), END, expected);
    // Every other week on Tuesday and Thursday, for 8 occurrences.
    let expected = "EDT 1997-09 2 4 16 18 30; 1997-10 2 14 16";
    check(&plan(weekly(2, "TU,TH", "1997-09-02", "1997-10-16")), END, expected);
}

#[test]
fn an_example_where_the_first_day_of_the_week_matters() {
    // Weeks from Monday, as ours are.
    check(&plan(weekly(2, "TU,SU", "1997-08-05", "1997-08-24")), END, "EDT 1997-08 5 10 19 24");
    // Weeks from Sunday: the Sundays are those of the week before, a pattern of their own.
    let mut by_sunday = plan(weekly(2, "TU", "1997-08-05", "1997-08-31"));
    by_sunday.patterns.push(weekly(2, "SU", "1997-08-17", "1997-08-31"));
    check(&by_sunday, END, "EDT 1997-08 5 17 19 31");
}

#[test]
fn an_exception_takes_a_day_out_of_an_example_and_puts_one_in() {
    // Weekly for 10 occurrences, but not in the last week of summer time; on the day on which the clocks change instead.
    let mut plan = plan(weekly(1, "TU", "1997-09-02", "1997-11-04"));
    plan.exceptions.insert(date("1997-10-21"), vec![]);
    plan.exceptions.insert(date("1997-10-26"), spans("9:00-10:00"));
    check(&plan, END, "EDT 1997-09 2 9 16 23 30; 1997-10 7 14; EST 1997-10 26 28; 1997-11 4");
}
