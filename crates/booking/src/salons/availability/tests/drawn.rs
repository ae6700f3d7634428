//! What the model and the calculation are both given: salons, plans, bookings and questions by chance.
//!
//! Times are minutes from the start of the question's first day in UTC, days are counted from that day.

use std::collections::BTreeMap;

use super::model::Busy;
use super::*;
use crate::salons::calculus::Choice;
use proptest::prelude::*;

const DAY: i64 = 1_440;

/// Days on which clocks are put forward or back: by an hour, half an hour, two hours, a day; at two, at
/// midnight, a minute after it, before it.
const ODD_DAYS: &[(&str, &str)] = &[
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("Australia/Lord_Howe", "2025-10-05"),
    ("Australia/Lord_Howe", "2025-04-06"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Asia/Kathmandu", "2025-06-02"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-17"),
    ("Africa/Cairo", "2025-04-25"),
    ("Africa/Cairo", "2025-10-30"),
    ("Asia/Beirut", "2025-03-30"),
    ("Asia/Beirut", "2025-10-25"),
    ("America/Havana", "2025-03-09"),
    ("America/Havana", "2025-11-02"),
    ("America/St_Johns", "2010-03-14"),
    ("America/St_Johns", "2010-11-07"),
    ("America/Asuncion", "2024-03-23"),
    ("America/Caracas", "2016-05-01"),
    ("Asia/Pyongyang", "2015-08-14"),
    ("Pacific/Chatham", "2025-09-28"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Antarctica/Troll", "2025-03-30"),
    ("UTC", "2025-06-02"),
];

/// A pattern as it is drawn: days back and forth for its validity, spans per weekday.
#[derive(Debug, Clone)]
pub(super) struct DrawnPattern {
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    pub(super) every_weeks: u16,
    pub(super) days: Vec<Vec<(u16, u16)>>,
}

#[derive(Debug, Clone)]
pub(super) struct DrawnPerson {
    pub(super) skills: [bool; 3],
    pub(super) patterns: Vec<DrawnPattern>,
    pub(super) exceptions: BTreeMap<i64, Vec<(u16, u16)>>,
    pub(super) away_days: Option<(i64, i64)>,
    pub(super) away: Option<(i64, i64)>,
    pub(super) busy: Vec<Busy>,
}

#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) zone: TimeZone,
    pub(super) first_day: i64,
    pub(super) days: i64,
    pub(super) step: u32,
    pub(super) asked_step: u32,
    pub(super) flags: (bool, bool, bool),
    pub(super) shortest: u32,
    pub(super) notice: (i64, u32, u32),
    pub(super) services: Vec<Service>,
    pub(super) items: Vec<(usize, Choice)>,
    pub(super) people: Vec<DrawnPerson>,
    pub(super) chairs: Vec<(u32, Vec<Busy>)>,
    pub(super) tries: Vec<i64>,
}

fn day_number(date: jiff::civil::Date) -> i64 {
    i64::from((date - jiff::civil::date(1970, 1, 1)).get_days())
}

pub(super) fn date_of(day: i64) -> jiff::civil::Date {
    plus_days(jiff::civil::date(1970, 1, 1), i32::try_from(day).unwrap())
}

fn places() -> impl Strategy<Value = (TimeZone, i64)> {
    let odd = (prop::sample::select(ODD_DAYS), -2..2_i64)
        .prop_map(|((name, day), by)| (TimeZone::get(name).unwrap(), day_number(day.parse().unwrap()) + by));
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    assert!(names.len() > 400, "the bundled database is there");
    // 1975 to 2037.
    let any = (prop::sample::select(names), 1_826..24_837_i64)
        .prop_map(|(name, day)| (TimeZone::get(&name).unwrap(), day));
    prop_oneof![3 => odd, 1 => any]
}

/// Times of day at quarters mostly, sometimes at any minute.
fn time_of_day() -> impl Strategy<Value = u16> {
    prop_oneof![4 => (0..96_u16).prop_map(|quarter| quarter * 15), 1 => 0..1_440_u16]
}

fn day_spans() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let end = prop_oneof![6 => time_of_day(), 1 => Just(1_440)];
    prop_oneof![
        1 => Just(vec![]),
        4 => prop::collection::vec((time_of_day(), end), 1..3),
    ]
}

/// From the first minute of the question's first UTC day.
fn busy(days: i64) -> impl Strategy<Value = Vec<Busy>> {
    let buffer = prop_oneof![2 => Just(0_i64), 1 => 0..40_i64];
    let one = (-600..days * DAY + 600, 0..150_i64, buffer.clone(), buffer)
        .prop_map(|(from, len, before, after)| (from / 5 * 5, from / 5 * 5 + len / 5 * 5, before, after));
    prop::collection::vec(one, 0..6)
}

fn person(days: i64) -> impl Strategy<Value = DrawnPerson> {
    let pattern =
        (-20..3_i64, prop::option::weighted(0.3, -2..6_i64), 1..3_u16, prop::collection::vec(day_spans(), 7))
            .prop_map(|(from, to, every_weeks, days)| DrawnPattern { from, to, every_weeks, days });
    let away = prop::option::weighted(
        0.2,
        (-300..days * DAY, 0..600_i64).prop_map(|(from, len)| (from, from + len)),
    );
    (
        prop::array::uniform3(prop::bool::weighted(0.9)),
        prop::collection::vec(pattern, 1..3),
        prop::collection::btree_map(-2..4_i64, day_spans(), 0..2),
        prop::option::weighted(0.1, (-1..2_i64, 0..3_i64).prop_map(|(from, len)| (from, from + len))),
        away,
        busy(days),
    )
        .prop_map(|(skills, patterns, exceptions, away_days, away, busy)| DrawnPerson {
            skills,
            patterns,
            exceptions,
            away_days,
            away,
            busy,
        })
}

fn services() -> impl Strategy<Value = Vec<Service>> {
    let buffer = prop_oneof![2 => Just(0_u32), 1 => 0..40_u32];
    let gap = prop::option::weighted(0.3, (1..60_u32, 1..60_u32, 1..60_u32));
    let one = (1..180_u32, buffer.clone(), buffer, gap, prop::option::weighted(0.3, 0..2_u32));
    let service = one.prop_map(|(minutes, before, after, gap, needs_resource)| Service {
        id: 0,
        duration_minutes: gap.map_or(minutes, |(first, between, last)| first + between + last),
        buffer_before_minutes: before,
        buffer_after_minutes: after,
        processing: gap.map(|(after_minutes, for_minutes, _)| Processing { after_minutes, for_minutes }),
        needs_resource,
    });
    prop::collection::vec(service, 3)
        .prop_map(|drawn| (0..).zip(drawn).map(|(id, service)| Service { id, ..service }).collect())
}

pub(super) fn drawn() -> impl Strategy<Value = Drawn> {
    let choice = prop_oneof![
        8 => Just(Choice::Any),
        1 => (1..4_u128).prop_map(Choice::One),
        1 => (1..4_u128).prop_map(Choice::Keeps)
    ];
    let item = (0..3_usize, choice);
    let steps = (prop::sample::select(vec![5_u32, 7, 10, 15, 20, 30, 45, 60]), 0..4_u32);
    (places(), 1..3_i64).prop_flat_map(move |((zone, first_day), days)| {
        (
            (Just(zone), Just(first_day), Just(days), steps.clone(), any::<(bool, bool, bool)>(), 1..60_u32),
            (-2_000..300_i64, prop_oneof![2 => Just(0_u32), 1 => 0..600_u32], 1..5_u32),
            services(),
            prop_oneof![2 => prop::collection::vec(item.clone(), 1), 1 => prop::collection::vec(item.clone(), 2..4)],
            prop::collection::vec(person(days), 1..4),
            prop::collection::vec((0..2_u32, busy(days)), 0..4),
            prop::collection::vec(-300..days * DAY + 300, 3),
        )
            .prop_map(
                |(
                    (zone, first_day, days, (step, times), flags, shortest),
                    notice,
                    services,
                    items,
                    people,
                    chairs,
                    tries,
                )| {
                    // 3 asks for a step that may be no multiple.
                    let asked_step = if times == 3 { 25 } else { step * times };
                    Drawn {
                        zone,
                        first_day,
                        days,
                        step,
                        asked_step,
                        flags,
                        shortest,
                        notice,
                        services,
                        items,
                        people,
                        chairs,
                        tries,
                    }
                },
            )
    })
}
