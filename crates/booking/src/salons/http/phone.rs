//! `/v1/tenants/{tenant}/employees/{id}/calendar.ics`: what a phone shows of an employee's bookings (RFC 5545), and the
//! token by which it reads them, whether or not the tenant has public routes.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maitred_web::{Attempt, Path, Permission, Preconditions, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::ical::Ical;
use super::tokens::{new_token, opens, token_hash};
use super::{if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, TenantPath};
use crate::salons::command::{Change, Command};
use crate::salons::fact::{Customer, Employee};
use crate::salons::gather::{Asked, zone};
use crate::salons::intervals::Span;
use crate::salons::local_time::{earlier, later};
use crate::salons::offers::bookings_within;
use crate::salons::rules::Outcome;
use crate::salons::view;

const DAY_MINUTES: u32 = 24 * 60;
/// How many days back, and ahead, a phone is shown.
const DAYS_BACK: u32 = 31;
const DAYS_AHEAD: u32 = 366;

/// Where a phone reads a calendar, if it is to.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarToken {
    employee_id: Uuid,
    /// The path with the token in it. It is shown once: a repeated request is answered without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// Make the address by which a phone reads an employee's calendar; the one before it opens nothing any more.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/employees/{id}/calendar-token",
    tag = "salons",
    operation_id = "calendar_token_create",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "The address", body = CalendarToken),
        (status = 404, description = "There is no such employee"),
        (status = 412, description = "The employee is at another version"),
    )
)]
pub async fn create_token(
    State(app): State<App>,
    scope: Scope,
    Path((tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = if_version::<Employee>(&app, &scope, &preconditions, id)?;
    let token = new_token()?;
    let command = Command::SetCalendarToken(Change { id, what: Some(token_hash(&token)), if_version });
    let path = format!("/v1/tenants/{tenant}/employees/{id}/calendar.ics?token={token}");
    set_token((&app, &scope, &attempt), command, Some(path)).await
}

/// Take the address of an employee's calendar away: it opens nothing any more.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/employees/{id}/calendar-token",
    tag = "salons",
    operation_id = "calendar_token_revoke",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "There is no address any more", body = CalendarToken),
        (status = 404, description = "There is no such employee"),
        (status = 412, description = "The employee is at another version"),
    )
)]
pub async fn revoke_token(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = if_version::<Employee>(&app, &scope, &preconditions, id)?;
    let command = Command::SetCalendarToken(Change { id, what: None, if_version });
    set_token((&app, &scope, &attempt), command, None).await
}

async fn set_token(
    (app, scope, attempt): (&App, &Scope, &Attempt),
    command: Command,
    path: Option<String>,
) -> Result<Response, Problem> {
    let accepted = submit(app, scope, attempt, &[], command).await?;
    let Accepted { outcome: Outcome::Employee(effect, found), position, replayed } = accepted else {
        unreachable!("a calendar's token is answered with {accepted:?}");
    };
    let body = CalendarToken { employee_id: found.is.id, path: path.filter(|_| !replayed) };
    let said = (effect, found.version, body);
    Ok(write_reply(app, scope.tenant, said, String::new, (position, replayed)))
}

/// By what right a calendar is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CalendarTokenQuery {
    /// The calendar's token, for whoever does not work there.
    #[param(max_length = 128)]
    #[serde(default)]
    token: Option<String>,
}

/// An employee's bookings for a phone: those of the last month, and of the year ahead.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/employees/{id}/calendar.ics",
    tag = "salons",
    operation_id = "calendar_ics",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), CalendarTokenQuery),
    responses(
        (status = 200, description = "The calendar (RFC 5545)", body = String, content_type = "text/calendar"),
        (status = 404, description = "There is no such employee, or the token is not theirs"),
    )
)]
pub async fn calendar(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<CalendarTokenQuery>,
) -> Result<Response, Problem> {
    let view = app.engine().view();
    let works_here = scope.caller.role.has(Permission::Staff);
    let employee = view::get::<Employee>(&view, scope.tenant, id, None).map(|found| found.is);
    let employee = employee
        .filter(|employee| works_here || opens(query.token.as_deref(), employee.calendar_token_hash))
        .ok_or_else(|| Problem::not_found("calendar"))?;
    let now = app.engine().now().max(view.timestamp());
    let shown = Span::new(earlier(now, DAYS_BACK * DAY_MINUTES), later(now, DAYS_AHEAD * DAY_MINUTES));
    let asked = Asked { view: &view, tenant: scope.tenant, now, except: None };
    let mut calendar = Ical::new(&employee.name, zone(&view, scope.tenant), shown);
    for booking in bookings_within(&asked, employee.number, shown, None) {
        let customer = view::any::<Customer>(&view, scope.tenant, booking.is.customer, None);
        let customer = customer.map_or(String::new(), |customer| customer.is.name);
        calendar.add(&booking, id, &customer);
    }
    let mut response = calendar.finish().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}
