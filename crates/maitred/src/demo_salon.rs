//! The salon of the demo tenant: services, staff with shifts, chairs, customers, and four weeks of bookings ahead.
//!
//! Invariant: it is written by ordinary commands, and only where the tenant has no employee yet: seeding again changes
//! nothing.

use std::ops::ControlFlow;

use jiff::ToSpan;
use jiff::civil::Date;
use maitred_booking::Outcome;
use maitred_booking::app::App;
use maitred_booking::money::{Currency, Money};
use maitred_booking::salons::calculus::Offer;
use maitred_booking::salons::command::{
    Book, Change, CustomerDetails, EmployeeDetails, ForCustomer, PlanChange, ResourceDetails, ServiceDetails,
    WantedItem,
};
use maitred_booking::salons::fact::{Employee, ServiceTime};
use maitred_booking::salons::gather::Asked;
use maitred_booking::salons::offers::{self, Days};
use maitred_booking::salons::plan::{Day, DayTime, Pattern};
use maitred_booking::salons::{self, Command, view};
use maitred_core::{Actor, TenantNumber};
use uuid::Uuid;

use crate::demo::DemoError;

/// For how many days from tomorrow on there are bookings.
const DAYS_AHEAD: i64 = 28;
/// How many visits a day are tried to be booked.
const VISITS_A_DAY: usize = 6;
/// Name, minutes, processing gap, price in cents, whether it takes a chair.
type ServiceRow = (&'static str, u32, Option<(u32, u32)>, i64, bool);
const SERVICES: [ServiceRow; 4] = [
    ("Cut", 30, None, 3_500, false),
    ("Cut and style", 60, None, 5_900, true),
    ("Colour", 90, Some((30, 45)), 8_900, true),
    ("Beard", 15, None, 1_500, false),
];
/// Name, colour, and which of the services.
const STAFF: [(&str, &str, &[usize]); 3] =
    [("Ada", "#2a9d8f", &[0, 1, 2, 3]), ("Ben", "#e9c46a", &[0, 3]), ("Cleo", "#e76f51", &[0, 1, 2])];
const CUSTOMERS: [&str; 6] =
    ["Anna Adler", "Bruno Berg", "Clara Conrad", "David Dorn", "Emma Ebel", "Fritz Falk"];

/// Fills the salon of a tenant that has none. Returns how many visits were booked.
pub(crate) async fn seed(app: &App, tenant: TenantNumber, today: Date) -> Result<usize, DemoError> {
    if !view::all::<Employee>(&app.engine().view(), tenant).is_empty() {
        return Ok(0);
    }
    let salon = Salon { app, tenant };
    let mut services = Vec::new();
    for (name, duration_minutes, processing, amount, takes_chair) in SERVICES {
        let time =
            ServiceTime { duration_minutes, buffer_before_minutes: 0, buffer_after_minutes: 5, processing };
        let currency = Currency::parse("EUR").expect("a code");
        let details = ServiceDetails {
            name: name.to_owned(),
            time,
            price: Money { amount, currency },
            needs_resource: takes_chair.then(|| "chair".to_owned()),
            active: true,
        };
        services.push(salon.create(Command::CreateService(details)).await?);
    }
    for name in crate::demo::CHAIRS {
        let details = ResourceDetails { name: name.to_owned(), kind: "chair".to_owned(), active: true };
        salon.create(Command::CreateResource(details)).await?;
    }
    for (name, colour, skills) in STAFF {
        let details = EmployeeDetails {
            name: name.to_owned(),
            skills: skills.iter().map(|skill| services[*skill]).collect(),
            colour: Some(colour.to_owned()),
            active: true,
        };
        let id = salon.create(Command::CreateEmployee(details)).await?;
        let what = PlanChange::SetPatterns(vec![week(today)]);
        salon.create(Command::ChangePlan(Change { id, what, if_version: None })).await?;
    }
    let mut customers = Vec::new();
    for name in CUSTOMERS {
        let first = name.split(' ').next().unwrap_or(name).to_lowercase();
        let details = CustomerDetails {
            name: name.to_owned(),
            email: Some(format!("{first}@example.com")),
            phone: None,
            notes: None,
        };
        customers.push(salon.create(Command::CreateCustomer(details)).await?);
    }
    let mut booked = 0;
    for day in 1..=DAYS_AHEAD {
        let date = today.checked_add(day.days())?;
        for visit in 0..VISITS_A_DAY {
            let number = booked + visit;
            let item = WantedItem { service: services[number % services.len()], employee: None };
            let Some(offer) = salon.offer(item, date, visit) else { continue };
            let book = Book {
                customer: ForCustomer::Known(customers[number % customers.len()]),
                starts_at: offer.span.starts_at,
                items: vec![item],
                hold_seconds: None,
                holder: None,
                token_hash: None,
                force: false,
                notes: None,
            };
            salon.create(Command::Book(book)).await?;
            booked += 1;
        }
    }
    Ok(booked)
}

/// Nine to six from Monday to Friday with a break, nine to two on Saturday.
fn week(from: Date) -> Pattern {
    let span = |from: u16, to: u16| DayTime { from_minute: from * 60, to_minute: to * 60 };
    let days = std::array::from_fn(|day| match day {
        0..=4 => vec![span(9, 13), span(14, 18)],
        5 => vec![span(9, 14)],
        _ => Vec::new(),
    });
    Pattern { valid_from: Day::of(from), valid_to: None, every_weeks: 1, days }
}

struct Salon<'a> {
    app: &'a App,
    tenant: TenantNumber,
}

impl Salon<'_> {
    /// Decides a command, and tells the id of its record.
    async fn create(&self, command: Command) -> Result<Uuid, DemoError> {
        let answer = self.app.decide((self.tenant, Actor::System), None, 512, command).await?;
        match answer.result {
            Ok(Outcome::Salons(outcome)) => Ok(match outcome {
                salons::Outcome::Employee(_, found) => found.is.id,
                salons::Outcome::Service(_, found) => found.is.id,
                salons::Outcome::Resource(_, found) => found.is.id,
                salons::Outcome::Customer(_, found) => found.is.id,
                salons::Outcome::Plan(_, found) => found.is.employee,
                salons::Outcome::Booking(_, found) => found.is.id,
                other => unreachable!("the demo salon is not answered with {other:?}"),
            }),
            Ok(other) => unreachable!("a command on a salon is answered with {other:?}"),
            Err(rejection) => Err(DemoError::Refused(format!("{} ({})", rejection.detail, rejection.code))),
        }
    }

    /// One of the starts of a day, later ones for later visits.
    fn offer(&self, item: WantedItem, date: Date, visit: usize) -> Option<Offer> {
        let view = self.app.engine().view();
        let now = self.app.engine().now().max(view.timestamp());
        let asked = Asked { view: &view, tenant: self.tenant, now, except: None };
        let wanted = offers::wanted(&view, self.tenant, &[item])?;
        let to = date.checked_add(1.day()).ok()?;
        let days = Days { from: date, to, step_minutes: None, each_employee: false };
        let mut found: Vec<Offer> = Vec::new();
        offers::offers(&asked, &wanted, &days, |offer| {
            found.push(offer.clone());
            ControlFlow::Continue(())
        });
        found.get(found.len() * visit / VISITS_A_DAY).cloned()
    }
}
