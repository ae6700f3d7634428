//! What is wrong with a command in itself, found alike at the edge and by the rules.

use super::calculus::{
    BUFFER_MINUTES_MAX, DURATION_MINUTES_MAX, SERVICES_IN_A_ROW_MAX, STEP_MINUTES_MAX, STEP_MINUTES_MIN,
};
use super::command::{
    Book, BookSeries, CustomerDetails, DAY_SPANS_MAX, EMAIL_CHARS_MAX, EVERY_WEEKS_MAX,
    EXTERNAL_ID_CHARS_MAX, EmployeeDetails, EnterWaitlist, ForCustomer, HOLD_SECONDS_MAX, HORIZON_DAYS_MAX,
    LEGACY_DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, NOTES_CHARS_MAX, NOTICE_MINUTES_MAX, OFFER_MINUTES_MAX,
    PATTERNS_MAX, PHONE_CHARS_MAX, PlanChange, PutCustomer, PutLegacyBooking, RESOURCE_KIND_CHARS_MAX,
    ResourceDetails, SKILLS_MAX, ServiceDetails, TITLE_CHARS_MAX, WantedItem,
};
use super::fact::{ServiceTime, Settings};
use super::plan::{AbsenceTime, DayTime, Pattern};
use super::waitlist::WINDOW_DAYS_MAX;
use crate::accounts::command::invalid_email;
use crate::accounts::email;
use crate::money::check_price;
use crate::violation::{Violation, check_text};

/// What is wrong with settings.
pub fn settings(settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut number = |pointer, value: u32, range: std::ops::RangeInclusive<u32>| {
        check_number(&mut found, pointer, "invalid-settings", value, range);
    };
    number("/step_minutes", settings.step_minutes, STEP_MINUTES_MIN..=STEP_MINUTES_MAX);
    number("/min_notice_minutes", settings.min_notice_minutes, 0..=NOTICE_MINUTES_MAX);
    number("/max_horizon_days", settings.max_horizon_days, 1..=HORIZON_DAYS_MAX);
    number("/offer_minutes", settings.offer_minutes, 1..=OFFER_MINUTES_MAX);
    found
}

/// What is wrong with an employee.
pub fn employee(employee: &EmployeeDetails) -> Vec<Violation> {
    let mut found = Vec::new();
    check_text(&mut found, "/name", "invalid-name", &employee.name, 1..=NAME_CHARS_MAX);
    check_count(&mut found, "/skills", "invalid-skills", employee.skills.len(), 0..=SKILLS_MAX);
    let hex = |colour: &String| {
        colour.len() == 7
            && colour.starts_with('#')
            && colour[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !employee.colour.as_ref().is_none_or(hex) {
        found.push(Violation::new("/colour", "invalid-colour", "colour must be one such as #1a2b3c"));
    }
    found
}

/// What is wrong with a service.
pub fn service(service: &ServiceDetails) -> Vec<Violation> {
    let mut found = Vec::new();
    check_text(&mut found, "/name", "invalid-name", &service.name, 1..=NAME_CHARS_MAX);
    check_time(&mut found, service.time);
    check_price(&mut found, service.price);
    if let Some(kind) = &service.needs_resource {
        check_text(&mut found, "/needs_resource", "invalid-resource-kind", kind, 1..=RESOURCE_KIND_CHARS_MAX);
    }
    found
}

/// Checks the times of a service.
pub(super) fn check_time(found: &mut Vec<Violation>, time: ServiceTime) {
    let mut number = |pointer, value, range| {
        check_number(found, pointer, "invalid-duration", value, range);
    };
    number("/duration_minutes", time.duration_minutes, 1..=DURATION_MINUTES_MAX);
    number("/buffer_before_minutes", time.buffer_before_minutes, 0..=BUFFER_MINUTES_MAX);
    number("/buffer_after_minutes", time.buffer_after_minutes, 0..=BUFFER_MINUTES_MAX);
    if !time.calculated(uuid::Uuid::nil(), None).has_sound_processing() {
        let detail = "processing must begin at least a minute after the start, be at least a minute long, and end before \
                      the service does";
        found.push(Violation::new("/processing", "invalid-processing", detail));
    }
}

/// What is wrong with a resource.
pub fn resource(resource: &ResourceDetails) -> Vec<Violation> {
    let mut found = Vec::new();
    check_text(&mut found, "/name", "invalid-name", &resource.name, 1..=NAME_CHARS_MAX);
    check_text(&mut found, "/kind", "invalid-resource-kind", &resource.kind, 1..=RESOURCE_KIND_CHARS_MAX);
    found
}

/// What is wrong with a customer that was `before`, if they were there. What stays as it was may be as other systems had
/// it: only what is new must be a name for people and an address that mail can be sent to.
pub fn customer(customer: &CustomerDetails, before: Option<&CustomerDetails>) -> Vec<Violation> {
    let CustomerDetails { name, email, phone, notes } = customer;
    let mut found = Vec::new();
    check_text(&mut found, "/name", "invalid-name", name, 1..=NAME_CHARS_MAX);
    let is_no_name = name.trim().is_empty() || name.contains(char::is_control);
    if found.is_empty() && is_no_name && before.is_none_or(|before| before.name != *name) {
        let detail = "name must be more than blanks, without control characters";
        found.push(Violation::new("/name", "invalid-name", detail));
    }
    let new_email = email.as_ref().filter(|_| before.is_none_or(|before| before.email != *email));
    if new_email.is_some_and(|email| !email::can_be_written_to(email)) {
        found.push(invalid_email());
    }
    check_phone(&mut found, phone.as_deref());
    check_notes(&mut found, "/notes", notes.as_deref());
    found
}

/// What is wrong with a customer as any system may have kept them.
pub(super) fn kept_customer(customer: &CustomerDetails) -> Vec<Violation> {
    let mut found = Vec::new();
    check_customer(&mut found, &customer.name, customer.email.as_deref(), customer.phone.as_deref());
    check_notes(&mut found, "/notes", customer.notes.as_deref());
    found
}

/// What is wrong with a customer of another system.
pub fn put_customer(customer: &PutCustomer) -> Vec<Violation> {
    let mut found = Vec::new();
    check_text(&mut found, "/id", "invalid-external-id", &customer.external_id, 1..=EXTERNAL_ID_CHARS_MAX);
    check_customer(&mut found, &customer.name, customer.email.as_deref(), customer.phone.as_deref());
    found
}

/// What is wrong with a legacy booking.
pub fn put_legacy_booking(booking: &PutLegacyBooking) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(id) = &booking.external_id {
        check_text(&mut found, "/id", "invalid-external-id", id, 1..=EXTERNAL_ID_CHARS_MAX);
    }
    let customer = &booking.customer_id;
    check_text(&mut found, "/customerId", "invalid-external-id", customer, 0..=EXTERNAL_ID_CHARS_MAX);
    check_text(&mut found, "/title", "invalid-title", &booking.title, 0..=TITLE_CHARS_MAX);
    let description = &booking.description;
    let range = 0..=LEGACY_DESCRIPTION_CHARS_MAX;
    check_text(&mut found, "/description", "invalid-description", description, range);
    found
}

/// What is wrong with a change of a shift plan.
pub fn plan_change(change: &PlanChange) -> Vec<Violation> {
    let mut found = Vec::new();
    match change {
        PlanChange::SetPatterns(patterns) => {
            check_count(&mut found, "/patterns", "invalid-shifts", patterns.len(), 0..=PATTERNS_MAX);
            patterns.iter().for_each(|pattern| check_pattern(&mut found, pattern));
        }
        PlanChange::SetException(_, spans) => check_spans(&mut found, "/spans", spans),
        PlanChange::AddAbsence { time, reason } => {
            let is_empty = match time {
                AbsenceTime::Days(from, to) => from >= to,
                AbsenceTime::Instants(from, to) => from >= to,
            };
            if is_empty {
                found.push(Violation::new("/to", "invalid-time-range", "to must be after from"));
            }
            check_notes(&mut found, "/reason", reason.as_deref());
        }
        PlanChange::RemoveException(_) | PlanChange::RemoveAbsence(_) => {}
    }
    found
}

/// What is wrong with a new customer within another body.
fn customer_of(of: &ForCustomer) -> Vec<Violation> {
    let ForCustomer::New(details) = of else { return Vec::new() };
    let mut found = customer(details, None);
    for violation in &mut found {
        violation.pointer = match violation.pointer {
            "/name" => "/customer/name",
            "/email" => "/customer/email",
            "/phone" => "/customer/phone",
            "/notes" => "/customer/notes",
            other => other,
        };
    }
    found
}

/// What is wrong with a booking.
pub fn book(book: &Book) -> Vec<Violation> {
    let mut found = customer_of(&book.customer);
    found.extend(items(&book.items));
    if let Some(seconds) = book.hold_seconds {
        check_number(&mut found, "/hold_seconds", "invalid-hold-seconds", seconds, 1..=HOLD_SECONDS_MAX);
    }
    check_notes(&mut found, "/notes", book.notes.as_deref());
    found
}

/// What is wrong with a series, but for its rule.
pub fn book_series(series: &BookSeries) -> Vec<Violation> {
    let mut found = customer_of(&series.customer);
    found.extend(items(&series.items));
    check_notes(&mut found, "/notes", series.notes.as_deref());
    found
}

/// What is wrong with an entry of the waitlist.
pub fn enter_waitlist(entry: &EnterWaitlist) -> Vec<Violation> {
    let mut found = Vec::new();
    let services = entry.services.len();
    check_count(&mut found, "/service_ids", "invalid-items", services, 1..=SERVICES_IN_A_ROW_MAX);
    let micros = entry.to.as_micros().saturating_sub(entry.from.as_micros());
    if !(1..=WINDOW_DAYS_MAX * 86_400_000_000).contains(&micros) {
        let detail = format!("to must be after from, and at most {WINDOW_DAYS_MAX} days after it");
        found.push(Violation::new("/to", "invalid-time-range", detail));
    }
    found
}

/// What is wrong with the services of a visit.
pub fn items(items: &[WantedItem]) -> Vec<Violation> {
    let mut found = Vec::new();
    check_count(&mut found, "/items", "invalid-items", items.len(), 1..=SERVICES_IN_A_ROW_MAX);
    found
}

fn check_pattern(found: &mut Vec<Violation>, pattern: &Pattern) {
    if pattern.valid_to.is_some_and(|valid_to| valid_to <= pattern.valid_from) {
        let detail = "valid_to must be after valid_from";
        found.push(Violation::new("/patterns/valid_to", "invalid-time-range", detail));
    }
    let weeks = u32::from(pattern.every_weeks);
    let range = 1..=u32::from(EVERY_WEEKS_MAX);
    check_number(found, "/patterns/every_weeks", "invalid-shifts", weeks, range);
    pattern.days.iter().for_each(|spans| check_spans(found, "/patterns/days", spans));
}

fn check_spans(found: &mut Vec<Violation>, pointer: &'static str, spans: &[DayTime]) {
    check_count(found, pointer, "invalid-shifts", spans.len(), 0..=DAY_SPANS_MAX);
    if !spans.iter().all(|span| super::shifts::DaySpan::from(*span).is_valid()) {
        let detail = "from must be 00:00 to 23:59, and to 00:00 to 24:00";
        found.push(Violation::new(pointer, "invalid-shifts", detail));
    }
}

fn check_customer(found: &mut Vec<Violation>, name: &str, email: Option<&str>, phone: Option<&str>) {
    check_text(found, "/name", "invalid-name", name, 1..=NAME_CHARS_MAX);
    if let Some(email) = email {
        check_text(found, "/email", "invalid-email", email, 0..=EMAIL_CHARS_MAX);
    }
    check_phone(found, phone);
}

fn check_phone(found: &mut Vec<Violation>, phone: Option<&str>) {
    if let Some(phone) = phone {
        check_text(found, "/phone", "invalid-phone", phone, 0..=PHONE_CHARS_MAX);
    }
}

pub(super) fn check_notes(found: &mut Vec<Violation>, pointer: &'static str, notes: Option<&str>) {
    if let Some(notes) = notes {
        check_text(found, pointer, "invalid-notes", notes, 0..=NOTES_CHARS_MAX);
    }
}

fn check_number(
    found: &mut Vec<Violation>,
    pointer: &'static str,
    code: &'static str,
    number: u32,
    range: std::ops::RangeInclusive<u32>,
) {
    if !range.contains(&number) {
        let detail = format!("{} must be {} to {}", &pointer[1..], range.start(), range.end());
        found.push(Violation::new(pointer, code, detail));
    }
}

pub(super) fn check_count(
    found: &mut Vec<Violation>,
    pointer: &'static str,
    code: &'static str,
    count: usize,
    range: std::ops::RangeInclusive<usize>,
) {
    if !range.contains(&count) {
        let detail = format!("{} must be {} to {} entries", &pointer[1..], range.start(), range.end());
        found.push(Violation::new(pointer, code, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_new_customer_is_named_within_the_body_that_brings_it() {
        let long = || Some("x".repeat(10_000));
        let details = CustomerDetails { name: String::new(), email: long(), phone: long(), notes: long() };
        let alone: Vec<_> = customer(&details, None).iter().map(|violation| violation.pointer).collect();
        assert_eq!(alone, ["/name", "/email", "/phone", "/notes"]);
        let within = customer_of(&ForCustomer::New(details));
        let within: Vec<_> = within.iter().map(|violation| violation.pointer).collect();
        assert_eq!(within, ["/customer/name", "/customer/email", "/customer/phone", "/customer/notes"]);
    }
}
