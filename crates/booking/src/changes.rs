//! The change feed: `/v1/tenants/{tenant}/changes`, and `/v1/changes` for the server's own records.
//!
//! One resource in two forms: JSON in pages, and server-sent events for who wants to hear at once ([`crate::feed`]).
//! Both tell every version of every record in the order of the log, in the shapes of this API, and go on behind
//! any change.

use std::ops::ControlFlow;

use axum::extract::State;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use maitred_core::{ChangeId, Position};
use maitred_engine::View;
use maitred_web::sse::{self, LastEventId};
use maitred_web::{AtLeast, Limit, Problem, Query, Reply, Time, problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::accounts::http::UserBody;
use crate::app::{App, Scope};
use crate::appointments::http::AppointmentBody;
use crate::catalogue::http::{EventBody, ProviderBody};
use crate::flash_sales::http::{OrderBody, ProductBody, SaleBody};
use crate::flash_sales::{Order, Product, Sale, Versioned};
use crate::jobs::http::{JobBody, ScheduleBody};
use crate::mail::http::MailSettingsBody;
use crate::parameters::{PositionHeader, TenantPath};
use crate::record::{self, Change, Kind};
use crate::salons::http::bodies::{
    BookingBody, CustomerBody, EmployeeBody, LegacyBookingBody, PlanBody, ResourceBody, ServiceBody,
    SettingsBody,
};
use crate::salons::http::series::SeriesBody;
use crate::salons::http::waitlist::WaitlistBody;
use crate::salons::plan::PlanState;
use crate::tenants::http::keys::ApiKeyBody;
use crate::tenants::http::tenants::TenantBody;
use crate::webhooks::Endpoint;
use crate::webhooks::http::WebhookBody;
use crate::{accounts, appointments, catalogue, feed, jobs, mail, salons, tenants};

/// A page is cut when its records have about this many bytes, so that no view is held for long.
const PAGE_BYTES: usize = 256 * 1024;

/// What happened to one record, and what it is since.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeBody {
    /// Where it stands in the log: `<partition>.<seq>.<ordinal>`. Later changes have greater numbers.
    #[schema(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$", example = "0.42.0")]
    id: String,
    /// When it was decided.
    at: Time,
    /// The kind of record: `appointment`, `product`, `sale`, `order`, `user`, `salon_settings`, `employee`, `service`,
    /// `resource`, `customer`, `shift_plan` (its `record_id` is the employee's), `booking`, `booking_series`,
    /// `waitlist_entry`, `legacy_booking`, `webhook`, `provider` (of events), `event`, `mail_settings`, `job` or `schedule`; in the
    /// server's feed `tenant`, `api_key`, `job` or `schedule`.
    kind: &'static str,
    /// The record's `id`.
    record_id: Uuid,
    /// The version that it made: from 1, without gaps for one record.
    version: u64,
    /// What happened: `created`, `updated`, `cancelled` (it may come back) or `deleted`.
    r#type: &'static str,
    /// The record as this change left it.
    data: ChangeData,
}

/// A record of any kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ChangeData {
    /// Of the kind `appointment`.
    Appointment(AppointmentBody),
    /// Of the kind `product`.
    Product(ProductBody),
    /// Of the kind `sale`.
    Sale(SaleBody),
    /// Of the kind `order`.
    Order(OrderBody),
    /// Of the kind `salon_settings`.
    SalonSettings(SettingsBody),
    /// Of the kind `employee`.
    Employee(EmployeeBody),
    /// Of the kind `service`.
    Service(ServiceBody),
    /// Of the kind `resource`.
    Resource(ResourceBody),
    /// Of the kind `customer`.
    Customer(CustomerBody),
    /// Of the kind `shift_plan`.
    ShiftPlan(PlanBody),
    /// Of the kind `booking`.
    Booking(BookingBody),
    /// Of the kind `booking_series`.
    Series(SeriesBody),
    /// Of the kind `waitlist_entry`.
    WaitlistEntry(WaitlistBody),
    /// Of the kind `legacy_booking`.
    LegacyBooking(LegacyBookingBody),
    /// Of the kind `job`.
    Job(JobBody),
    /// Of the kind `schedule`.
    Schedule(ScheduleBody),
    /// Of the kind `webhook`.
    Webhook(WebhookBody),
    /// Of the kind `provider`.
    Provider(ProviderBody),
    /// Of the kind `event`.
    Event(EventBody),
    /// Of the kind `mail_settings`.
    MailSettings(MailSettingsBody),
    /// Of the kind `tenant`.
    Tenant(TenantBody),
    /// Of the kind `api_key`.
    ApiKey(ApiKeyBody),
    /// Of the kind `user`.
    User(UserBody),
}

impl ChangeBody {
    fn read(view: &View, change: &Change<'_>) -> Self {
        let (record_id, data) = data(view, change);
        ChangeBody {
            id: change.version.change.to_text(view.position().partition),
            at: Time(change.version.at),
            kind: change.record.kind.as_str(),
            record_id,
            version: change.version.version,
            r#type: change.change_type.as_str(),
            data,
        }
    }
}

fn data(view: &View, change: &Change<'_>) -> (Uuid, ChangeData) {
    match change.record.kind {
        Kind::Appointment => {
            let found = appointments::from_version(view, change.record.tenant, &change.version);
            (found.id, ChangeData::Appointment(found.to_owned().into()))
        }
        Kind::Product => {
            let found = Versioned::<Product>::read(&change.version);
            (found.is.id, ChangeData::Product(found.into()))
        }
        Kind::Sale => {
            let found = Versioned::<Sale>::read(&change.version);
            (found.is.id, ChangeData::Sale(found.into()))
        }
        Kind::Order => {
            let found = Versioned::<Order>::read(&change.version);
            let status = found.is.status;
            (found.is.id, ChangeData::Order(OrderBody::new(found, status)))
        }
        Kind::SalonSettings => {
            let found = Versioned::<salons::Settings>::read(&change.version);
            (Uuid::nil(), ChangeData::SalonSettings(found.into()))
        }
        Kind::Employee => {
            let found = Versioned::<salons::Employee>::read(&change.version);
            (found.is.id, ChangeData::Employee(found.into()))
        }
        Kind::Service => {
            let found = Versioned::<salons::Service>::read(&change.version);
            (found.is.id, ChangeData::Service(found.into()))
        }
        Kind::Resource => {
            let found = Versioned::<salons::Resource>::read(&change.version);
            (found.is.id, ChangeData::Resource(found.into()))
        }
        Kind::Customer => {
            let found = Versioned::<salons::Customer>::read(&change.version);
            (found.is.id, ChangeData::Customer(found.into()))
        }
        Kind::ShiftPlan => {
            let found = Versioned::<PlanState>::read(&change.version);
            (found.is.employee, ChangeData::ShiftPlan(found.into()))
        }
        Kind::Booking => {
            let found = Versioned::<salons::Booking>::read(&change.version);
            (found.is.id, ChangeData::Booking(BookingBody::recorded(found)))
        }
        Kind::Series => {
            let found = Versioned::<salons::Series>::read(&change.version);
            (found.is.id, ChangeData::Series(found.into()))
        }
        Kind::WaitlistEntry => {
            let found = Versioned::<salons::WaitlistEntry>::read(&change.version);
            (found.is.id, ChangeData::WaitlistEntry(found.into()))
        }
        Kind::LegacyBooking => {
            let found = Versioned::<salons::LegacyBooking>::read(&change.version);
            (found.is.id, ChangeData::LegacyBooking(found.into()))
        }
        Kind::Job => {
            let found = Versioned::<jobs::Job>::read(&change.version);
            (found.is.id, ChangeData::Job(JobBody::recorded(found)))
        }
        Kind::Schedule => {
            let found = Versioned::<jobs::Schedule>::read(&change.version);
            (found.is.id, ChangeData::Schedule(found.into()))
        }
        Kind::Webhook => {
            let found = Versioned::<Endpoint>::read(&change.version);
            (found.is.id, ChangeData::Webhook(found.into()))
        }
        Kind::Provider => {
            let found = Versioned::<catalogue::Provider>::read(&change.version);
            (found.is.id, ChangeData::Provider(found.into()))
        }
        Kind::Event => {
            let found = Versioned::<catalogue::Event>::read(&change.version);
            (found.is.id, ChangeData::Event(found.into()))
        }
        Kind::MailSettings => {
            let found = Versioned::<mail::Settings>::read(&change.version);
            (Uuid::nil(), ChangeData::MailSettings(found.into()))
        }
        Kind::Tenant => {
            let found = tenants::view::read(&change.version);
            (found.profile.id, ChangeData::Tenant(found.into()))
        }
        Kind::User => {
            let found = accounts::from_version(view, change.record.tenant, &change.version);
            (found.account.account.id, ChangeData::User(found.into()))
        }
        Kind::ApiKey => {
            let found = tenants::view::read_api_key(&change.version);
            (found.id, ChangeData::ApiKey(found.into()))
        }
    }
}

/// A change's id, and the change as JSON text.
pub(crate) fn encode(view: &View, change: &Change<'_>) -> (String, String) {
    let body = ChangeBody::read(view, change);
    let json = serde_json::to_string(&body).expect("texts and numbers have a JSON form");
    (body.id, json)
}

/// Which changes are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// Those behind this change (`0.42.0`), or behind this position (`0.42`); all of them without it.
    #[param(pattern = r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")]
    #[serde(default)]
    after: Option<String>,
    /// How many a page may have. A stream takes none.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    #[serde(default)]
    limit: Option<Limit>,
}

/// Where a stream goes on.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct LastEventIdHeader {
    /// The id of the last event that was received. It wins over `after`.
    #[param(rename = "Last-Event-ID", pattern = r"^[0-9]+\.[0-9]+(\.[0-9]+)?$", example = "0.42.0")]
    pub last_event_id: Option<String>,
}

/// Changes in the order of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangePage {
    /// The changes; empty when there is nothing new.
    items: Vec<ChangeBody>,
    /// The `after` of the next request, whether or not there was anything.
    #[schema(pattern = r"^[0-9]+\.[0-9]+(\.[0-9]+)?$", example = "0.42.0")]
    next_after: String,
}

/// The changes of a tenant's records, as JSON or as server-sent events.
///
/// With `Accept: text/event-stream` the answer goes on: first every change behind `Last-Event-ID` or `after`, then
/// each new one as soon as it is durable. An event's `data` is a change, its `id` the change's. A client that
/// reconnects with `Last-Event-ID`, as browsers do, misses nothing and gets nothing twice. The stream ends when the
/// server shuts down, and soon after its key was revoked or its tenant closed.
///
/// As JSON, an empty `items` means that there is nothing new; ask again with `next_after`.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/changes",
    tag = "changes",
    operation_id = "changes_list",
    params(TenantPath, ChangesQuery, PositionHeader, LastEventIdHeader),
    responses(
        (status = 200, description = "The changes", content((ChangePage = "application/json"), (String = "text/event-stream"))),
        (status = 503, description = "This node has not caught up with the place asked for"),
    )
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ChangesQuery>,
    last: LastEventId,
    at_least: AtLeast,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut response = if wants_events(&headers) {
        if query.limit.is_some() {
            return Err(Problem::query_invalid("limit", "a stream has no pages."));
        }
        let after = place(&app, query.after.as_deref(), last).await?;
        app.view(at_least).await?;
        sse::stream(feed::listen(&app, scope, &headers, after))
    } else {
        let after = place(&app, query.after.as_deref(), LastEventId(None)).await?;
        let view = app.view(at_least).await?;
        let page = page(&view, scope, after, query.limit.unwrap_or_default());
        Reply::ok(page).at(view.position()).into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// The changes of the server's own records, tenants and API keys, as JSON or as server-sent events.
#[utoipa::path(
    get,
    path = "/v1/changes",
    tag = "changes",
    operation_id = "server_changes_list",
    params(ChangesQuery, PositionHeader, LastEventIdHeader),
    responses(
        (status = 200, description = "The changes", content((ChangePage = "application/json"), (String = "text/event-stream"))),
        (status = 503, description = "This node has not caught up with the place asked for"),
    )
)]
pub async fn list_of_server(
    state: State<App>,
    scope: Scope,
    query: Query<ChangesQuery>,
    last: LastEventId,
    at_least: AtLeast,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    list(state, scope, query, last, at_least, headers).await
}

/// The place to go on behind. A place that is not there yet is waited for, as a position is.
async fn place(app: &App, after: Option<&str>, last: LastEventId) -> Result<ChangeId, Problem> {
    let (partition, place) = match (last.0, after) {
        (Some((partition, _)), _) if partition != app.engine().partition() => {
            let detail =
                "Last-Event-ID is the id of an event of another server: there is no such partition here.";
            return Err(Problem::header_invalid(problem::LAST_EVENT_ID_INVALID, &sse::LAST_EVENT_ID, detail));
        }
        (Some(last), _) => last,
        (None, None) => return Ok(ChangeId::default()),
        (None, Some(after)) => ChangeId::parse(after).map_err(|_| {
            Problem::query_invalid("after", "the id of a change or a position, such as 0.42.1 or 0.42.")
        })?,
    };
    app.view(AtLeast(Some(Position { partition, seq: place.seq }))).await?;
    Ok(place)
}

fn page(view: &View, scope: Scope, after: ChangeId, limit: Limit) -> ChangePage {
    let mut items: Vec<ChangeBody> = Vec::new();
    let mut bytes = 0;
    let mut last = after;
    let mut next = None;
    record::changes(view, scope.tenant, after, &mut |change| {
        if items.len() == limit.get() || bytes >= PAGE_BYTES {
            next = Some(last);
            return ControlFlow::Break(());
        }
        bytes += change.version.body.len();
        last = change.version.change;
        items.push(ChangeBody::read(view, &change));
        ControlFlow::Continue(())
    });
    // At the end of the feed everything up to the view's position was seen: no later request need look at it.
    let next_after = match next {
        Some(next) => ChangeId::to_text(next, view.position().partition),
        None => view.position().to_string(),
    };
    ChangePage { items, next_after }
}

/// Whether the client asks for events by name; `*/*` means JSON, and so does a weight of nothing.
fn wants_events(headers: &HeaderMap) -> bool {
    let named = |value: &str| {
        value.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/event-stream"));
            is_named && !parts.any(is_refused)
        })
    };
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(named))
}

/// Whether a parameter of a media range is `q=0`, in whichever of its spellings (RFC 9110, section 12.4.2).
fn is_refused(parameter: &str) -> bool {
    let weight = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, weight)| weight.trim().parse() == Ok(0.0_f32))
}
