//! `/v1/tenants/{tenant}/calendar`: shifts, absences and bookings of every employee, side by side.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_core::{Read, TenantNumber};
use maitred_web::{AsOf, AtLeast, Problem, Query, Reply, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::aside;
use super::bodies::{BookingBody, CustomerBody};
use super::clock::LocalDate;
use crate::app::{App, Scope};
use crate::parameters::{PositionHeader, TenantPath};
use crate::reading::Moment;
use crate::salons::fact::{Customer, Employee};
use crate::salons::gather::{Asked, zone_as_of};
use crate::salons::intervals::{Intervals, Span};
use crate::salons::local_time::{days_span, plus_days};
use crate::salons::offers::bookings_within;
use crate::salons::view;

/// The most local days of one calendar.
pub const CALENDAR_DAYS_MAX: i32 = 62;

/// Which days are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CalendarQuery {
    /// The first local day.
    #[param(inline)]
    from: LocalDate,
    /// The first local day behind them; at most 62 days later.
    #[param(inline)]
    to: LocalDate,
    /// That of this employee alone.
    #[serde(default)]
    employee_id: Option<Uuid>,
    /// As the system knew it then, bookings, plans and time zone: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
}

/// A calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct Calendar {
    /// Where the local days are meant.
    time_zone: String,
    /// By id.
    employees: Vec<EmployeeDays>,
}

/// The days of an employee.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmployeeDays {
    employee_id: Uuid,
    /// For people.
    name: String,
    /// For calendars.
    colour: Option<String>,
    /// When they work, absences not taken out.
    shifts: Vec<TimeSpan>,
    /// When they are away.
    absences: Vec<TimeSpan>,
    /// What is booked of them and stands, with its customer.
    bookings: Vec<BookingBody>,
}

/// From an instant to before another.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimeSpan {
    starts_at: Time,
    ends_at: Time,
}

impl From<&Span> for TimeSpan {
    fn from(span: &Span) -> Self {
        TimeSpan { starts_at: Time(span.starts_at), ends_at: Time(span.ends_at) }
    }
}

/// Shifts, absences and bookings of employees within these local days.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/calendar",
    tag = "salons",
    operation_id = "calendar_get",
    params(TenantPath, CalendarQuery, PositionHeader),
    responses((status = 200, description = "The calendar", body = Calendar))
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<CalendarQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    if query.from >= query.to || query.to.0 > plus_days(query.from.0, CALENDAR_DAYS_MAX) {
        let detail = format!("to must be after from, and at most {CALENDAR_DAYS_MAX} days later");
        return Err(Problem::query_invalid("to", detail));
    }
    let view = app.view(at_least).await?;
    let tenant = scope.tenant;
    let moment = Moment::of(&app, &view, query.as_of)?;
    let employee_days =
        aside::employee_days(&view, tenant, (query.from.0, query.to.0), query.employee_id, moment.as_of);
    let answer = move || {
        let calendar = calendar(&view, tenant, moment, &query);
        Reply::ok(calendar).at(view.position()).into_response()
    };
    aside::work_out(employee_days, answer).await
}

fn calendar(
    view: &dyn Read,
    tenant: TenantNumber,
    Moment { as_of, at: now }: Moment,
    query: &CalendarQuery,
) -> Calendar {
    let zone = zone_as_of(view, tenant, as_of);
    let range = days_span(&zone, query.from.0, query.to.0);
    let asked = Asked { view, tenant, now, except: None };
    let wanted = |employee: &Employee| query.employee_id.is_none_or(|id| id == employee.id);
    let employees: Vec<Employee> = view::all_as_of(view, tenant, as_of);
    let days = |employee: Employee| {
        let plan = view::plan(view, tenant, employee.id, as_of).is;
        let absences = Intervals::of(plan.absences.iter().map(|absence| absence.time.span(&zone)));
        let bookings = bookings_within(&asked, employee.number, range, as_of).into_iter().map(|booking| {
            let customer = view::any::<Customer>(view, tenant, booking.is.customer, as_of);
            let mut body = BookingBody::new(booking, now);
            body.customer = customer.map(CustomerBody::from);
            body
        });
        EmployeeDays {
            employee_id: employee.id,
            name: employee.name,
            colour: employee.colour,
            shifts: plan.calculated().shifts(&zone, range).spans().iter().map(TimeSpan::from).collect(),
            absences: absences.within(range).spans().iter().map(TimeSpan::from).collect(),
            bookings: bookings.collect(),
        }
    };
    let employees = employees.into_iter().filter(wanted).map(days).collect();
    let time_zone = zone.iana_name().unwrap_or("UTC").to_owned();
    Calendar { time_zone, employees }
}
