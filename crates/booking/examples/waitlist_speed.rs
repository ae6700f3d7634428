//! How long the consumer of the waitlist looks through a full list: 20 employees who are booked out for two months, so that
//! every search goes to its end, and as many who wait as may, each for all of that time.
//!
//! `cargo run --release -p maitred-booking --example waitlist_speed`: one core, no I/O, a view in memory.

use std::time::{Duration, Instant};

use jiff::civil::date;
use maitred_booking::money::{Currency, Money};
use maitred_booking::salons::command::*;
use maitred_booking::salons::fact::{Service, ServiceTime};
use maitred_booking::salons::offering::WaitlistOffers;
use maitred_booking::salons::plan::{Day, DayTime, Pattern};
use maitred_booking::salons::rules::{Outcome, Rules};
use maitred_booking::salons::waitlist::{OPEN_MAX, OPEN_OF_CUSTOMER_MAX, WINDOW_DAYS_MAX};
use maitred_booking::salons::{Fact, view};
use maitred_booking::testing::World;
use maitred_core::{At, TenantNumber, Timestamp};
use maitred_engine::consumers::Consumer;
use uuid::Uuid;

const TENANT: TenantNumber = TenantNumber(1);
const EMPLOYEES: usize = 20;
/// Visits of half an hour from nine to five.
const VISITS_A_DAY: i64 = 16;

struct Salon {
    world: World<Rules>,
}

impl Salon {
    fn submit(&mut self, command: Command) -> (Vec<Fact>, Outcome) {
        self.world.submit(TENANT, &command).expect("it is accepted")
    }

    fn customer(&mut self) -> Uuid {
        let details = CustomerDetails { name: "x".into(), email: None, phone: None, notes: None };
        match self.submit(Command::CreateCustomer(details)).1 {
            Outcome::Customer(_, found) => found.is.id,
            other => panic!("{other:?}"),
        }
    }

    /// Follows the last fact, part by part. What it leads to is not decided: the view stays, and each part offers what the
    /// one before has offered.
    fn follow(&self, name: &str, fact: &Fact) {
        let at = At { tenant: TENANT, seq: self.world.seq, ordinal: 0, timestamp: self.world.timestamp };
        let fact = maitred_booking::Fact::Salons(fact.clone());
        let (mut times, mut offers, mut next) = (Vec::new(), 0, Some(0));
        while let Some(from) = next {
            let begun = Instant::now();
            let part = WaitlistOffers.consume_part(&self.world.view, &fact, at, from).expect("commands");
            times.push(begun.elapsed());
            (offers, next) = (offers + part.commands.len(), part.next);
        }
        let (count, longest) = (times.len(), times.iter().max().copied().unwrap_or_default());
        let all: Duration = times.iter().sum();
        println!(
            "{name}: {offers} offers in {count} parts, {all:.1?} in all, the longest part {longest:.1?}"
        );
    }
}

fn day_minute(day: i64, minute: i64) -> Timestamp {
    Timestamp::from_millis((day * 1_440 + minute) * 60_000)
}

fn main() {
    let mut salon = Salon { world: World::new(Rules) };
    let price = Money { amount: 4_500, currency: Currency::parse("EUR").expect("a code") };
    let time = ServiceTime {
        duration_minutes: 30,
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        processing: None,
    };
    let (name, needs_resource) = ("Cut".to_owned(), None);
    let service = ServiceDetails { name, time, price, needs_resource, active: true };
    salon.submit(Command::CreateService(service));
    let cut = view::all::<Service>(&salon.world.view, TENANT)[0].id;
    let customer = salon.customer();
    let mut employees = Vec::new();
    for number in 0..EMPLOYEES {
        let (name, skills) = (format!("employee {number}"), vec![cut]);
        let details = EmployeeDetails { name, skills, colour: None, active: true };
        let Outcome::Employee(_, found) = salon.submit(Command::CreateEmployee(details)).1 else { continue };
        let day = vec![DayTime { from_minute: 540, to_minute: 1_020 }];
        let days = std::array::from_fn(|_| day.clone());
        let valid_from = Day::of(date(1970, 1, 1));
        let pattern = Pattern { valid_from, valid_to: None, every_weeks: 1, days };
        let what = PlanChange::SetPatterns(vec![pattern]);
        salon.submit(Command::ChangePlan(Change { id: found.is.id, what, if_version: None }));
        employees.push(found.is.id);
    }
    let mut visits = Vec::new();
    for employee in &employees {
        for day in 1..=WINDOW_DAYS_MAX {
            for visit in 0..VISITS_A_DAY {
                let book = Book {
                    customer: ForCustomer::Known(customer),
                    starts_at: day_minute(day, 540 + visit * 30),
                    items: vec![WantedItem { service: cut, employee: Some(*employee) }],
                    hold_seconds: None,
                    holder: None,
                    token_hash: None,
                    force: true,
                    notes: None,
                };
                visits.push(Command::Book(book));
            }
        }
    }
    let answers = salon.world.batch(TENANT, &visits);
    let booked = answers.into_iter().map(|answer| match answer.expect("it is free").1 {
        Outcome::Booking(_, found) => found.is.id,
        other => panic!("{other:?}"),
    });
    let booked: Vec<Uuid> = booked.collect();
    let mut last = None;
    for _ in 0..OPEN_MAX / OPEN_OF_CUSTOMER_MAX {
        let customer = salon.customer();
        for _ in 0..OPEN_OF_CUSTOMER_MAX {
            let entry = EnterWaitlist {
                customer,
                services: vec![cut],
                employee: None,
                from: day_minute(1, 0),
                to: day_minute(WINDOW_DAYS_MAX, 0),
                token_hash: None,
            };
            last = salon.submit(Command::EnterWaitlist(entry)).0.pop();
        }
    }
    println!("{OPEN_MAX} wait, {} visits are booked", booked.len());
    salon.follow("somebody enters", &last.expect("they entered"));
    let settings = SettingsPatch { min_notice_minutes: Some(20), ..SettingsPatch::default() };
    let changed = salon.submit(Command::ChangeSettings(Change { id: (), what: settings, if_version: None }));
    salon.follow("the settings change, and nothing is free", &changed.0[0]);
    let cancel = Change { id: booked[VISITS_A_DAY as usize * 40], what: Advance::Cancel, if_version: None };
    let cancelled = salon.submit(Command::Advance(cancel));
    salon.follow("a visit is called off", &cancelled.0[0]);
}
