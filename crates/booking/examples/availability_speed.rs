//! How long a salon's availability takes: 20 employees, 0 to 8 bookings each a day, starts every 15 minutes.
//!
//! `cargo run --release -p maitred-booking --example availability_speed`: one core, no I/O; the figures hold
//! the expansion of the shifts as well as the answer, as they are made for one request.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use maitred_booking::salons::availability::{days_of, fits, offers, window};
use maitred_booking::salons::calculus::{
    Buffers, Choice, Employee, Item, Occupied, Question, Salon, Service, Settings,
};
use maitred_booking::salons::intervals::Span;
use maitred_booking::salons::local_time::{days, instant_of, later, plus_days};
use maitred_booking::salons::shifts::{DaySpan, ShiftPlan, WeeklyPattern};

const EMPLOYEES: u128 = 20;

fn main() {
    for (name, days, rounds) in [("30 days", 30, 2_000), ("366 days", 366, 200)] {
        for bookings_a_day in [0, 4, 8] {
            for (who, each_employee) in [("any", false), ("each employee", true)] {
                let name = format!("{name}, {bookings_a_day} bookings a day, {who}");
                measure(&name, days, bookings_a_day, each_employee, rounds);
            }
        }
    }
    measure_fits();
}

fn settings() -> Settings {
    Settings {
        zone: TimeZone::get("Europe/Berlin").expect("the time zone is bundled"),
        step_minutes: 15,
        buffers: Buffers::Sum,
        buffers_may_leave_shift: false,
        min_notice_minutes: 0,
        max_horizon_days: 400,
    }
}

fn items() -> Vec<Item> {
    let service = Service {
        id: 1,
        duration_minutes: 30,
        buffer_before_minutes: 0,
        buffer_after_minutes: 5,
        processing: None,
        needs_resource: None,
    };
    vec![Item { service, employee: Choice::Any }]
}

/// Eight to twelve and one to seven, every day.
fn plan() -> ShiftPlan {
    let spans = [(8, 12), (13, 19)].map(|(from, to)| DaySpan { from_minute: from * 60, to_minute: to * 60 });
    let pattern = WeeklyPattern {
        valid_from: date(2024, 1, 1),
        valid_to: None,
        every_weeks: 1,
        days: std::array::from_fn(|_| spans.to_vec()),
    };
    ShiftPlan { patterns: vec![pattern], ..ShiftPlan::default() }
}

/// Bookings of 25 to 45 minutes over the day, at other times for each employee.
fn booked(zone: &TimeZone, id: u128, a_day: u32, from: Date, to: Date) -> Vec<Occupied> {
    let shift = u32::try_from(id * 7 % 20).expect("small");
    let of = |day: Span| {
        (0..a_day).map(move |number| {
            let starts_at = later(day.starts_at, 8 * 60 + shift + number * 80);
            let span = Span::new(starts_at, later(starts_at, 25 + number * 11 % 20));
            Occupied { span, before_minutes: 0, after_minutes: 5 }
        })
    };
    days(zone, from, to).into_iter().flat_map(of).collect()
}

fn salon(plan: &ShiftPlan, booked: &[Vec<Occupied>], window: Span) -> Salon {
    let settings = settings();
    let employees = (1..).zip(booked).map(|(id, booked)| Employee {
        id,
        skills: vec![1],
        working: plan.working(&settings.zone, window),
        booked: booked.clone(),
    });
    Salon { employees: employees.collect(), settings, shortest_service_minutes: 15, resources: vec![] }
}

fn measure(name: &str, days: i32, a_day: u32, each_employee: bool, rounds: usize) {
    let from = date(2025, 1, 6);
    let to = plus_days(from, days);
    let question = Question { items: items(), from, to, step_minutes: 15, each_employee };
    let (plan, settings) = (plan(), settings());
    let booked: Vec<_> = (1..=EMPLOYEES).map(|id| booked(&settings.zone, id, a_day, from, to)).collect();
    let now = instant_of(&settings.zone, from, 0);
    let mut offered = 0;
    let times = (0..rounds).map(|_| {
        let started = Instant::now();
        let window = window(15, &question.items, days_of(&settings, from, to));
        let salon = salon(&plan, &booked, window);
        offered = 0;
        offers(&salon, &question, now, |offer| {
            black_box(offer);
            offered += 1;
            ControlFlow::Continue(())
        });
        started.elapsed()
    });
    let times: Vec<Duration> = times.collect();
    report(&format!("{name}: {offered} slots"), times);
}

fn measure_fits() {
    let settings = settings();
    let (from, to) = (date(2025, 1, 6), date(2025, 1, 7));
    let booked: Vec<_> = (1..=EMPLOYEES).map(|id| booked(&settings.zone, id, 8, from, to)).collect();
    let (plan, items) = (plan(), items());
    let now = instant_of(&settings.zone, from, 0);
    let mut fitting = 0;
    let times = (0..20_000).map(|round| {
        let at = instant_of(&settings.zone, from, 8 * 60 + round % 44 * 15);
        let started = Instant::now();
        let salon = salon(&plan, &booked, window(15, &items, days_of(&settings, from, to)));
        fitting += usize::from(black_box(fits(&salon, &items, at, now)).is_ok());
        started.elapsed()
    });
    let times: Vec<Duration> = times.collect();
    report(&format!("one start: {fitting} fit"), times);
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{name}: p50 {:.3} ms, p99 {:.3} ms, slowest {:.3} ms", at(50), at(99), at(100));
}
