//! `/v1/tenants/{tenant}/shifts`: when employees work, as instants.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_core::Timestamp;
use maitred_web::{AsOf, AtLeast, Problem, Query, Reply, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::aside;
use super::clock::LocalDate;
use crate::app::{App, Scope};
use crate::parameters::{PositionHeader, TenantPath};
use crate::salons::calculus::DAYS_MAX;
use crate::salons::fact::Employee;
use crate::salons::gather::zone_as_of;
use crate::salons::local_time::{days_span, plus_days};
use crate::salons::view;

/// Which shifts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShiftsQuery {
    /// The first local day.
    #[param(inline)]
    from: LocalDate,
    /// The first local day behind them; at most 366 days later.
    #[param(inline)]
    to: LocalDate,
    /// Those of this employee alone.
    #[serde(default)]
    employee_id: Option<Uuid>,
    /// As the system knew them then, plans and time zone: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
}

/// A time in which an employee works.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shift {
    employee_id: Uuid,
    starts_at: Time,
    ends_at: Time,
}

/// Shifts as instants.
#[derive(Debug, Serialize, ToSchema)]
pub struct Shifts {
    /// Where the local days are meant.
    time_zone: String,
    /// By employee, then start.
    items: Vec<Shift>,
}

/// The days of a query.
///
/// # Errors
/// 400 where `to` is not after `from`, or more than [`DAYS_MAX`] days later.
pub(super) fn days(from: LocalDate, to: LocalDate) -> Result<(), Problem> {
    let days_max = i32::try_from(DAYS_MAX).unwrap_or(i32::MAX);
    if from.0 < to.0 && to.0 <= plus_days(from.0, days_max) {
        return Ok(());
    }
    Err(Problem::query_invalid("to", format!("to must be after from, and at most {DAYS_MAX} days later")))
}

/// When employees work within these local days, as instants: shifts without absences.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/shifts",
    tag = "salons",
    operation_id = "shifts_list",
    params(TenantPath, ShiftsQuery, PositionHeader),
    responses((status = 200, description = "The shifts", body = Shifts))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ShiftsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    days(query.from, query.to)?;
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let tenant = scope.tenant;
    let employee_days =
        aside::employee_days(&view, tenant, (query.from.0, query.to.0), query.employee_id, as_of);
    let answer = move || {
        let zone = zone_as_of(&view, tenant, as_of);
        let range = days_span(&zone, query.from.0, query.to.0);
        let wanted = |employee: &Employee| query.employee_id.is_none_or(|id| id == employee.id);
        let employees: Vec<Employee> = view::all_as_of(&view, tenant, as_of);
        let mut items = Vec::new();
        for employee in employees.into_iter().filter(wanted) {
            let plan = view::plan(&view, tenant, employee.id, as_of).is.calculated();
            let shift = |starts_at: Timestamp, ends_at: Timestamp| Shift {
                employee_id: employee.id,
                starts_at: Time(starts_at),
                ends_at: Time(ends_at),
            };
            let working = plan.working(&zone, range);
            items.extend(working.spans().iter().map(|span| shift(span.starts_at, span.ends_at)));
        }
        let time_zone = zone.iana_name().unwrap_or("UTC").to_owned();
        Reply::ok(Shifts { time_zone, items }).at(view.position()).into_response()
    };
    aside::work_out(employee_days, answer).await
}
