//! `/v1/tenants/{tenant}/employees/{id}/calendar.ics`: what a phone shows of an employee's bookings (RFC 5545).

use std::fmt::Write;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maitred_core::Timestamp;
use maitred_web::{Attempt, Path, Permission, Preconditions, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::tokens::{new_token, opens, token_hash};
use super::{if_version, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::flash_sales::Versioned;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, TenantPath};
use crate::salons::booking::{Booking, BookingStatus};
use crate::salons::command::{Change, Command};
use crate::salons::fact::{Customer, Employee};
use crate::salons::gather::Asked;
use crate::salons::intervals::Span;
use crate::salons::local_time::{earlier, later};
use crate::salons::offers::bookings_within;
use crate::salons::rules::Outcome;
use crate::salons::view;

const DAY_MINUTES: u32 = 24 * 60;
/// How many days back, and ahead, a phone is shown.
const DAYS_BACK: u32 = 31;
const DAYS_AHEAD: u32 = 366;
/// The longest line of a calendar, in bytes (RFC 5545, 3.1).
const LINE_BYTES_MAX: usize = 75;

/// Where a phone reads a calendar.
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
    let command = Command::SetCalendarToken(Change { id, what: token_hash(&token), if_version });
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    let Accepted { outcome: Outcome::Employee(effect, found), position, replayed } = accepted else {
        unreachable!("a calendar's token is answered with {accepted:?}");
    };
    let path = format!("/v1/tenants/{tenant}/employees/{id}/calendar.ics?token={token}");
    let body = CalendarToken { employee_id: id, path: (!replayed).then_some(path) };
    let said = (effect, found.version, body);
    Ok(write_reply(&app, scope.tenant, said, String::new, (position, replayed)))
}

/// By what right a calendar is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CalendarTokenQuery {
    /// The calendar's token.
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
    let mut calendar = Lines::default();
    calendar.line("BEGIN:VCALENDAR");
    calendar.line("VERSION:2.0");
    calendar.line("PRODID:-//maitred//salons//EN");
    calendar.line(&format!("X-WR-CALNAME:{}", escaped(&employee.name)));
    for booking in bookings_within(&asked, employee.number, shown) {
        let customer = view::any::<Customer>(&view, scope.tenant, booking.is.customer, None);
        let customer = customer.map_or(String::new(), |customer| customer.is.name);
        calendar.event(&booking, id, &customer);
    }
    calendar.line("END:VCALENDAR");
    let mut response = calendar.0.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// Lines of a calendar.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    /// Adds a line, folded where it is long: never within a character.
    fn line(&mut self, line: &str) {
        let mut room = LINE_BYTES_MAX;
        for character in line.chars() {
            if character.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE_BYTES_MAX - 1;
            }
            self.0.push(character);
            room -= character.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    /// Adds a booking, from the first to the last service that this employee does.
    fn event(&mut self, booking: &Versioned<Booking>, employee: Uuid, customer: &str) {
        let own = || booking.is.items.iter().filter(|item| item.employee.id == employee);
        let (Some(first), Some(last)) = (own().next(), own().next_back()) else { return };
        let services: Vec<&str> = own().map(|item| &*item.name).collect();
        self.line("BEGIN:VEVENT");
        self.line(&format!("UID:{}@maitred", booking.is.id));
        self.line(&format!("SEQUENCE:{}", booking.version - 1));
        self.line(&format!("DTSTAMP:{}", instant(booking.updated_at)));
        self.line(&format!("DTSTART:{}", instant(first.starts_at)));
        self.line(&format!("DTEND:{}", instant(last.ends_at())));
        self.line(&format!("SUMMARY:{}", escaped(&format!("{}: {customer}", services.join(", ")))));
        if let Some(notes) = &booking.is.notes {
            self.line(&format!("DESCRIPTION:{}", escaped(notes)));
        }
        let held = booking.is.status == BookingStatus::Held;
        self.line(if held { "STATUS:TENTATIVE" } else { "STATUS:CONFIRMED" });
        self.line("END:VEVENT");
    }
}

/// An instant in UTC to the second: `20261121T093000Z`.
fn instant(at: Timestamp) -> String {
    let mut text = String::new();
    at.write_rfc3339(&mut text);
    let seconds = text.split('.').next().unwrap_or_default();
    seconds.chars().filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
}

/// A text as a value of a calendar (RFC 5545, 3.3.11), without the characters that none can hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => {
                let _ = write!(out, "\\{character}"); // a String takes every text
            }
            '\n' => out.push_str("\\n"),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_between_characters() {
        let mut lines = Lines::default();
        lines.line(&format!("SUMMARY:{}", "ä".repeat(80)));
        assert!(lines.0.split("\r\n").all(|line| line.len() <= LINE_BYTES_MAX));
        assert_eq!(lines.0.replace("\r\n ", ""), format!("SUMMARY:{}\r\n", "ä".repeat(80)));
    }

    #[test]
    fn texts_and_instants_have_the_form_of_calendars() {
        assert_eq!(escaped("a,b;c\\d\r\ne\0"), "a\\,b\\;c\\\\d\\ne");
        assert_eq!(instant(Timestamp::from_millis(1_763_718_600_123)), "20251121T095000Z");
    }
}
