//! `/v1/tenants/{tenant}/bookings…`: lists, and the creation of a booking. What happens to one is in [`super::booking`].

use axum::extract::State;
use axum::response::Response;
use maitred_core::Timestamp;
use maitred_engine::View;
use maitred_web::address::one_client;
use maitred_web::page::ListCursors;
use maitred_web::{
    AsOf, AtLeast, Attempt, ClientAddress, JsonBody, Limit, Page, Permission, Problem, Query, Time,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::aside;
use super::availability::{EmployeeChoice, Slot};
use super::bodies::{BookingBody, BookingStatusName, CustomerBody, ServiceBody};
use super::customers::CustomerInput;
use super::tokens::{new_token, token_hash};
use super::{submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::flash_sales::Versioned;
use crate::name;
use crate::paging::{self, Listing};
use crate::parameters::{IdempotencyHeader, PositionHeader, TenantPath};
use crate::salons::booking::Booking;
use crate::salons::bookings_view::{self, BookingPlace, BookingQuery};
use crate::salons::command::{Book, Command, ForCustomer, WantedItem};
use crate::salons::fact::{Customer, Service};
use crate::salons::gather::{Asked, Wanted, zone};
use crate::salons::local_time::{local_date, plus_days};
use crate::salons::offers::{self, ALTERNATIVE_DAYS};
use crate::salons::rules::{Outcome, SLOT_UNAVAILABLE};
use crate::salons::view;

/// A service that is wanted.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookingItemInput {
    service_id: Uuid,
    /// Who is to do it: an id, or `any`.
    #[serde(default)]
    employee_id: EmployeeChoice,
}

impl From<BookingItemInput> for WantedItem {
    fn from(item: BookingItemInput) -> Self {
        WantedItem { service: item.service_id, employee: item.employee_id.id() }
    }
}

/// A visit to be booked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookingInput {
    /// For whom; or `customer`.
    #[serde(default)]
    customer_id: Option<Uuid>,
    /// For somebody new; or `customer_id`.
    #[serde(default)]
    customer: Option<CustomerInput>,
    starts_at: Time,
    /// What is done, one after another.
    #[schema(min_items = 1, max_items = 10)]
    items: Vec<BookingItemInput>,
    /// How long its time is kept until it is confirmed; without it, it is confirmed at once, which takes the permission
    /// `staff`.
    #[schema(minimum = 1, maximum = 900)]
    #[serde(default)]
    hold_seconds: Option<u32>,
    /// For people.
    #[schema(max_length = 2000)]
    #[serde(default)]
    notes: Option<String>,
    /// Put it where it is not offered: outside of shifts, off the step, too soon. Time that is taken stays taken. It is
    /// recorded, and takes the permission `staff`.
    #[serde(default)]
    force: bool,
}

/// A new booking.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewBooking {
    #[serde(flatten)]
    booking: BookingBody,
    /// By which whoever booked it may see, confirm, move and cancel it (`?token=`). It is shown once: a repeated request
    /// is answered without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Book a visit.
///
/// Who is allotted where `any` employee is asked for is said by the same function as in `GET …/availability`.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/bookings",
    tag = "salons",
    operation_id = "bookings_create",
    params(TenantPath, IdempotencyHeader),
    request_body = BookingInput,
    responses(
        (status = 201, description = "It is booked, with the employees that were allotted", body = NewBooking),
        (status = 409, description = "The visit cannot start then: `reason` says why, `alternatives` has up to five starts that are near"),
        (status = 429, description = "The customer, or the address, holds as many bookings as one may"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    ClientAddress(address): ClientAddress,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<BookingInput>,
) -> Result<Response, Problem> {
    let works_here = scope.caller.role.has(Permission::Staff);
    if !works_here && (value.hold_seconds.is_none() || value.force) {
        let detail = "Without the permission staff a booking is held first (hold_seconds), and never forced.";
        return Err(Problem::forbidden(detail));
    }
    let customer = for_customer(value.customer_id, value.customer)?;
    let token = new_token()?;
    let command = Book {
        customer,
        starts_at: value.starts_at.0,
        items: value.items.into_iter().map(WantedItem::from).collect(),
        hold_seconds: value.hold_seconds,
        holder: address.filter(|_| !works_here).map(|address| name::hash(&one_client(address).to_string())),
        token_hash: Some(token_hash(&token)),
        force: value.force,
        notes: value.notes,
    };
    let (starts_at, items) = (command.starts_at, command.items.clone());
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::Book(command)).await;
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(problem) => {
            let wanted = |view: &View| offers::wanted(view, scope.tenant, &items);
            return Err(with_alternatives(&app, &scope, problem, starts_at, (wanted, None)).await);
        }
    };
    let Accepted { outcome: Outcome::Booking(effect, booking), position, replayed } = accepted else {
        unreachable!("a booking is answered with {accepted:?}");
    };
    let (id, version) = (booking.is.id, booking.version);
    let body = NewBooking { booking: BookingBody::recorded(booking), token: (!replayed).then_some(token) };
    let path = || format!("bookings/{id}");
    Ok(write_reply(&app, scope.tenant, (effect, version, body), path, (position, replayed)))
}

/// For whom it is: one of the two says so.
pub(super) fn for_customer(id: Option<Uuid>, new: Option<CustomerInput>) -> Result<ForCustomer, Problem> {
    match (id, new) {
        (Some(id), None) => Ok(ForCustomer::Known(id)),
        (None, Some(input)) => Ok(ForCustomer::New(input.details())),
        _ => Err(Problem::field_refused("/customer_id", "customer_id or customer is required, not both")),
    }
}

/// Names starts that are to be had to whoever is refused one; `wanted` says for which services, if they can be booked.
pub(super) async fn with_alternatives(
    app: &App,
    scope: &Scope,
    problem: Problem,
    starts_at: Timestamp,
    (wanted, except): (impl FnOnce(&View) -> Option<Vec<Wanted>>, Option<Uuid>),
) -> Problem {
    if problem.code() != SLOT_UNAVAILABLE {
        return problem;
    }
    let view = app.engine().view();
    let now = app.engine().now().max(view.timestamp());
    let tenant = scope.tenant;
    let Some(wanted) = wanted(&view) else { return problem.with_member("alternatives", &[(); 0]) };
    let from = local_date(&zone(&view, tenant), starts_at);
    let days = (from, plus_days(from, ALTERNATIVE_DAYS));
    let employee = if let [only] = &wanted[..] { only.employee } else { None };
    let employee_days = aside::employee_days(&view, tenant, days, employee, None);
    let find = move || -> Vec<Slot> {
        let asked = Asked { view: &view, tenant, now, except };
        let nearest = offers::alternatives(&asked, &wanted, starts_at);
        nearest.iter().map(|offer| Slot::new(offer, &wanted)).collect()
    };
    // What went wrong there is logged; the refusal stands without alternatives.
    let found = aside::work_out(employee_days, find).await.unwrap_or_default();
    problem.with_member("alternatives", &found)
}

/// Which bookings are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BookingsQuery {
    /// Those that start at this instant or later.
    #[param(inline)]
    #[serde(default)]
    from: Option<Time>,
    /// Those that start before this instant.
    #[param(inline)]
    #[serde(default)]
    to: Option<Time>,
    /// Those in which this employee does something.
    #[serde(default)]
    employee_id: Option<Uuid>,
    /// Those of this customer.
    #[serde(default)]
    customer_id: Option<Uuid>,
    /// Those of this series.
    #[serde(default)]
    series_id: Option<Uuid>,
    /// Those with this status.
    #[param(inline)]
    #[serde(default)]
    status: Option<BookingStatusName>,
    /// What is embedded: `customer`, `service`, or both with a comma between.
    #[param(pattern = "^(customer|service)(,(customer|service))?$")]
    #[serde(default)]
    expand: Option<String>,
    /// As the system knew them then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// What is embedded in bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Expand {
    customer: bool,
    service: bool,
}

impl Expand {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let mut expand = Expand::default();
        for name in text.iter().flat_map(|text| text.split(',')) {
            match name {
                "customer" => expand.customer = true,
                "service" => expand.service = true,
                _ => return Err(Problem::query_invalid("expand", "customer and service can be embedded")),
            }
        }
        Ok(expand)
    }

    /// A booking at an instant, with what is embedded as it is now.
    pub(super) fn body(
        self,
        view: &View,
        scope: &Scope,
        found: Versioned<Booking>,
        at: Timestamp,
    ) -> BookingBody {
        let customer = found.is.customer;
        let services: Vec<Uuid> = found.is.items.iter().map(|item| item.service).collect();
        let mut body = BookingBody::new(found, at);
        if self.customer {
            body.customer = view::any::<Customer>(view, scope.tenant, customer, None).map(CustomerBody::from);
        }
        if self.service {
            for (item, service) in body.items.iter_mut().zip(services) {
                item.service = view::any::<Service>(view, scope.tenant, service, None).map(ServiceBody::from);
            }
        }
        body
    }
}

impl BookingsQuery {
    fn cursors(&self, app: &App, scope: &Scope) -> ListCursors {
        let time = |time: Option<Time>| time.map(|time| time.0.as_micros().to_be_bytes());
        app.cursors()
            .of("bookings", scope.tenant)
            .filtered_by(time(self.from))
            .filtered_by(time(self.to))
            .filtered_by(self.employee_id)
            .filtered_by(self.customer_id)
            .filtered_by(self.series_id)
            .filtered_by(self.status.map(|status| format!("{status:?}")))
            .filtered_by(self.as_of.map(|as_of| format!("{as_of:?}")))
    }
}

/// The bookings, by start.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/bookings",
    tag = "salons",
    operation_id = "bookings_list",
    params(TenantPath, BookingsQuery, PositionHeader),
    responses((status = 200, description = "A page of bookings; it may be short and have a next one", body = Page<BookingBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<BookingsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let expand = Expand::parse(query.expand.as_deref())?;
    let cursors = query.cursors(&app, &scope);
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), query.as_of, at_least).await?;
    let view = &listing.view;
    let at = listing.at;
    let wanted = BookingQuery {
        from: query.from.map(|time| time.0),
        to: query.to.map(|time| time.0),
        employee: query.employee_id,
        customer: query.customer_id,
        series: query.series_id,
        status: query.status.map(Into::into),
        at,
        as_of: listing.as_of,
    };
    let after = listing.after.as_deref().map(read_place);
    let found = bookings_view::bookings(view, scope.tenant, &wanted, after, query.limit.get());
    let items = found.items.into_iter().map(|booking| expand.body(view, &scope, booking, at));
    Ok(listing.reply(items, found.next.map(write_place)))
}

pub(super) fn write_place(place: BookingPlace) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&place.starts_at.as_micros().to_be_bytes());
    bytes[8..].copy_from_slice(place.id.as_bytes());
    bytes
}

pub(super) fn read_place(opened: &[u8]) -> BookingPlace {
    let (starts_at, id) = opened.split_at(8);
    BookingPlace {
        starts_at: Timestamp::from_micros(i64::from_be_bytes(paging::place(starts_at))),
        id: Uuid::from_bytes(paging::place(id)),
    }
}
