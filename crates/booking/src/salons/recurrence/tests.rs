//! The examples of RFC 5545 §3.8.5.3 that lie within the part, a row each, and what is refused.

use super::*;

/// A series in New York that starts at `start` has visits on these days, written as in the RFC, at the same
/// local time.
fn check(rule: &str, start: &str, expected: &str) {
    let zone = TimeZone::get("America/New_York").unwrap();
    let start: DateTime = start.parse().unwrap();
    let series = Recurrence::parse(rule).unwrap().occurrences(&zone, instant(&zone, start));
    let series = series.unwrap_or_else(|refused| panic!("{rule}: {refused}"));
    let days: Vec<String> = series.iter().map(|at| local_time(&zone, *at).date().to_string()).collect();
    assert!(series.iter().all(|at| local_time(&zone, *at).time() == start.time()), "{rule}");
    assert_eq!(days, dates(expected), "{rule}");
}

/// `1997-09 2 9; 1997-10 7` as single dates.
fn dates(text: &str) -> Vec<String> {
    let months = text.split(';').map(str::trim);
    let days = months.flat_map(|month| {
        let mut words = month.split_whitespace();
        let name = words.next().unwrap_or_default();
        words.map(move |day| format!("{name}-{day:0>2}"))
    });
    days.collect()
}

/// The rule, or the series that starts on 1997-09-02 at 9 in New York, is refused with these words.
fn check_refused(rule: &str, words: &str) {
    let zone = TimeZone::get("America/New_York").unwrap();
    let start = instant(&zone, "1997-09-02T09:00".parse().unwrap());
    let refused = Recurrence::parse(rule).and_then(|rule| rule.occurrences(&zone, start)).unwrap_err();
    assert!(refused.to_string().contains(words), "{rule}: {refused}");
}

const TUESDAY: &str = "1997-09-02T09:00";
const FRIDAY: &str = "1997-09-05T09:00";

#[test]
fn examples_of_days_and_weeks() {
    check("FREQ=DAILY;COUNT=10", TUESDAY, "1997-09 2 3 4 5 6 7 8 9 10 11");
    check("FREQ=DAILY;INTERVAL=10;COUNT=5", TUESDAY, "1997-09 2 12 22; 1997-10 2 12");
    check("RRULE:FREQ=WEEKLY;COUNT=10", TUESDAY, "1997-09 2 9 16 23 30; 1997-10 7 14 21 28; 1997-11 4");
    check(
        "FREQ=WEEKLY;UNTIL=19971224T000000Z",
        TUESDAY,
        "1997-09 2 9 16 23 30; 1997-10 7 14 21 28; 1997-11 4 11 18 25; 1997-12 2 9 16 23",
    );
    check(
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;BYDAY=TU,TH",
        TUESDAY,
        "1997-09 2 4 9 11 16 18 23 25 30; 1997-10 2",
    );
    check("FREQ=WEEKLY;COUNT=10;BYDAY=TU,TH", TUESDAY, "1997-09 2 4 9 11 16 18 23 25 30; 1997-10 2");
    check(
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;BYDAY=MO,WE,FR",
        "1997-09-01T09:00",
        "1997-09 1 3 5 15 17 19 29; 1997-10 1 3 13 15 17 27 29 31; 1997-11 10 12 14 24 26 28; 1997-12 8 10 12 22",
    );
    check("FREQ=WEEKLY;INTERVAL=2;COUNT=8;BYDAY=TU,TH", TUESDAY, "1997-09 2 4 16 18 30; 1997-10 2 14 16");
    // Where weeks begin matters: on Monday, as in the RFC's WKST=MO.
    check("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU", "1997-08-05T09:00", "1997-08 5 10 19 24");
}

#[test]
fn examples_of_months() {
    check(
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        FRIDAY,
        "1997-09 5; 1997-10 3; 1997-11 7; 1997-12 5; 1998-01 2; 1998-02 6; 1998-03 6; 1998-04 3; 1998-05 1; 1998-06 5",
    );
    check(
        "FREQ=MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR",
        FRIDAY,
        "1997-09 5; 1997-10 3; 1997-11 7; 1997-12 5",
    );
    check(
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "1997-09-07T09:00",
        "1997-09 7 28; 1997-11 2 30; 1998-01 4 25; 1998-03 1 29; 1998-05 3 31",
    );
    check(
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        "1997-09-22T09:00",
        "1997-09 22; 1997-10 20; 1997-11 17; 1997-12 22; 1998-01 19; 1998-02 16",
    );
    check(
        "FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=6",
        "1997-09-28T09:00",
        "1997-09 28; 1997-10 29; 1997-11 28; 1997-12 29; 1998-01 29; 1998-02 26",
    );
    check(
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        TUESDAY,
        "1997-09 2 15; 1997-10 2 15; 1997-11 2 15; 1997-12 2 15; 1998-01 2 15",
    );
    check(
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "1997-09-30T09:00",
        "1997-09 30; 1997-10 1 31; 1997-11 1 30; 1997-12 1 31; 1998-01 1 31; 1998-02 1",
    );
    check(
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997-09-10T09:00",
        "1997-09 10 11 12 13 14 15; 1999-03 10 11 12 13",
    );
    check(
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU;COUNT=18",
        TUESDAY,
        "1997-09 2 9 16 23 30; 1997-11 4 11 18 25; 1998-01 6 13 20 27; 1998-03 3 10 17 24 31",
    );
    check(
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13;COUNT=10",
        "1997-09-13T09:00",
        "1997-09 13; 1997-10 11; 1997-11 8; 1997-12 13; 1998-01 10; 1998-02 7; 1998-03 7; 1998-04 11; 1998-05 9; 1998-06 13",
    );
    check(
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=5",
        "1998-02-13T09:00",
        "1998-02 13; 1998-03 13; 1998-11 13; 1999-08 13; 2000-10 13",
    );
    // The example of a date that does not exist: 30 February.
    check(
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
        "2007-01-15T09:00",
        "2007-01 15 30; 2007-02 15; 2007-03 15 30",
    );
}

#[test]
fn ends_in_all_three_forms_include_the_last_visit() {
    for until in ["19970904", "19970904T090000", "19970904T130000Z"] {
        check(&format!("FREQ=DAILY;UNTIL={until}"), TUESDAY, "1997-09 2 3 4");
    }
    for until in ["19970903", "19970904T085959", "19970904T125959Z"] {
        check(&format!("FREQ=DAILY;UNTIL={until}"), TUESDAY, "1997-09 2 3");
    }
    check("freq=monthly;count=3", "1997-10-31T09:00", "1997-10 31; 1997-12 31; 1998-01 31");
    check("FREQ=DAILY;COUNT=3;BYDAY=MO,TU", TUESDAY, "1997-09 2 8 9");
    check("FREQ=DAILY;COUNT=3;BYMONTHDAY=2,-1", TUESDAY, "1997-09 2 30; 1997-10 2");
}

#[test]
fn what_is_beyond_the_part_is_refused_by_name() {
    for (rule, words) in [
        ("FREQ=YEARLY;COUNT=10;BYMONTH=6,7", "FREQ=YEARLY is not understood"),
        ("FREQ=HOURLY;INTERVAL=3;COUNT=4", "FREQ=HOURLY is not understood"),
        ("FREQ=DAILY;COUNT=10;BYMONTH=1", "BYMONTH is not understood"),
        ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "BYSETPOS is not understood"),
        ("FREQ=WEEKLY;COUNT=4;WKST=SU;BYDAY=TU,SU", "WKST is not understood"),
        ("FREQ=DAILY;COUNT=2;BYHOUR=9", "BYHOUR is not understood"),
        ("FREQ=DAILY;COUNT=2;X-A=1", "X-A is not understood"),
        ("FREQ=DAILY;INTERVAL=2", "COUNT or UNTIL"),
        ("FREQ=DAILY;COUNT=2;UNTIL=19971224", "exclude each other"),
        ("FREQ=WEEKLY;COUNT=2;BYDAY=1TU", "only with FREQ=MONTHLY"),
        ("FREQ=WEEKLY;COUNT=2;BYMONTHDAY=2", "does not stand with FREQ=WEEKLY"),
        ("COUNT=2", "needs FREQ"),
        ("FREQ=DAILY;FREQ=DAILY;COUNT=2", "FREQ stands in the rule twice"),
        ("FREQ=DAILY;COUNT=0", "1 to 104"),
        ("FREQ=DAILY;COUNT=105", "1 to 104"),
        ("FREQ=DAILY;COUNT=+5", "1 to 104"),
        ("FREQ=DAILY;INTERVAL=0;COUNT=2", "1 to 999"),
        ("FREQ=DAILY;COUNT=2;BYDAY=", "list of MO to SU"),
        ("FREQ=MONTHLY;COUNT=2;BYDAY=6MO", "list of MO to SU"),
        ("FREQ=MONTHLY;COUNT=2;BYDAY=0MO", "list of MO to SU"),
        ("FREQ=MONTHLY;COUNT=2;BYDAY=\u{e9}MO", "list of MO to SU"),
        ("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=32", "-1 to -31"),
        ("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=--1", "-1 to -31"),
        ("FREQ=DAILY;UNTIL=19970230", "20261224"),
        ("FREQ=DAILY;UNTIL=1997-12-24", "20261224"),
        ("FREQ=DAILY;UNTIL=19971224T0000", "20261224"),
        ("", "NAME=VALUE"),
        ("FREQ=DAILY;;COUNT=2", "NAME=VALUE"),
    ] {
        check_refused(rule, words);
    }
    check_refused(&"FREQ=DAILY;".repeat(50), "at most 512 bytes");
}

#[test]
fn a_series_meets_its_start_and_ends_in_time() {
    // The RFC's example until 24 December has 113 visits.
    check_refused("FREQ=DAILY;UNTIL=19971224T000000Z", "at most 104 visits");
    check_refused("FREQ=WEEKLY;COUNT=2;BYDAY=WE", "must meet the start");
    check_refused("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=1", "must meet the start");
    check_refused("FREQ=DAILY;UNTIL=19970901", "ends before the start");
    check_refused("FREQ=MONTHLY;INTERVAL=12;COUNT=12", "at most 3653 days");
    check_refused("FREQ=DAILY;INTERVAL=999;COUNT=5", "at most 3653 days");
    let late = Timestamp::parse_rfc3339("9999-12-30T09:00:00Z").unwrap();
    let rule = Recurrence::parse("FREQ=DAILY;COUNT=100").unwrap();
    assert!(rule.occurrences(&TimeZone::UTC, late).is_err());
    for at in [i64::MIN, i64::MAX] {
        assert!(
            rule.occurrences(&TimeZone::UTC, Timestamp::from_micros(at))
                .is_ok_and(|series| series.len() <= 100)
                || at == i64::MAX
        );
    }
}

/// A daily series of three in a zone is at these instants.
fn check_instants(name: &str, start: &str, expected: [&str; 3]) {
    let start = Timestamp::parse_rfc3339(start).unwrap();
    let rule = Recurrence::parse("FREQ=DAILY;COUNT=3").unwrap();
    let series = rule.occurrences(&TimeZone::get(name).unwrap(), start).unwrap();
    assert_eq!(series, expected.map(|at| Timestamp::parse_rfc3339(at).unwrap()), "{name}");
}

#[test]
fn visits_keep_their_local_time_when_clocks_change() {
    check_instants(
        "Europe/Berlin",
        "2025-03-29T10:00:00+01:00",
        ["2025-03-29T10:00:00+01:00", "2025-03-30T10:00:00+02:00", "2025-03-31T10:00:00+02:00"],
    );
    check_instants(
        "Europe/Berlin",
        "2025-03-29T02:30:00+01:00",
        ["2025-03-29T02:30:00+01:00", "2025-03-30T03:30:00+02:00", "2025-03-31T02:30:00+02:00"],
    );
    check_instants(
        "Europe/Berlin",
        "2025-10-25T02:30:00+02:00",
        ["2025-10-25T02:30:00+02:00", "2025-10-26T02:30:00+02:00", "2025-10-27T02:30:00+01:00"],
    );
    // 30 December 2011 did not take place: its visit and the next day's are one.
    check_instants(
        "Pacific/Apia",
        "2011-12-29T10:00:00-10:00",
        ["2011-12-29T10:00:00-10:00", "2011-12-31T10:00:00+14:00", "2012-01-01T10:00:00+14:00"],
    );
}
