//! `/v1/tenants/{tenant}/waitlist…`: who waits for a time that is taken.
//!
//! Whoever works there may do all of it; whoever waits may see and leave the list by the entry's token, which also opens the
//! bookings that are offered to them.

use axum::extract::State;
use axum::response::Response;
use maitred_core::Timestamp;
use maitred_web::{
    AsOf, AtLeast, Attempt, JsonBody, Limit, Page, Path, Permission, Preconditions, Problem, Query, Time,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::booking::TokenQuery;
use super::tokens::{self, new_token, token_hash};
use super::{ListQuery, RecordVersion, if_version, read_reply, submit, write_reply};
use crate::app::{Accepted, App, Scope};
use crate::flash_sales::Versioned;
use crate::paging::{self, Listing};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, EnterWaitlist};
use crate::salons::rules::{Effect, Outcome};
use crate::salons::view;
use crate::salons::waitlist::{
    OPEN_MAX, OPEN_OF_CUSTOMER_MAX, OpenOffer, PASSED_MAX, WINDOW_DAYS_MAX, WaitlistEntry, WaitlistStatus,
};

// The texts below take literals alone.
const _: () =
    assert!(OPEN_MAX == 500 && OPEN_OF_CUSTOMER_MAX == 10 && PASSED_MAX == 20 && WINDOW_DAYS_MAX == 62);

/// Somebody who is to be noted as waiting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitlistInput {
    /// Who waits.
    customer_id: Uuid,
    /// What is to be done, one after another.
    #[schema(min_items = 1, max_items = 10)]
    service_ids: Vec<Uuid>,
    /// By whom; by whoever suits best without it.
    #[serde(default)]
    employee_id: Option<Uuid>,
    /// The visit begins then or later.
    from: Time,
    /// The visit ends then or sooner; at most 62 days behind `from`.
    to: Time,
}

/// Where an entry of the waitlist stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WaitlistStatus)]
pub enum WaitlistStatusName {
    /// For a time that comes free.
    Waiting,
    /// A time is held for them.
    Offered,
    /// They took an offer.
    Taken,
    /// The time that was waited for is over, or 20 offers were not taken.
    Expired,
    /// They wait no more.
    Cancelled,
}

/// The same names for both.
macro_rules! as_named {
    ($($status:ident)*) => {
        impl From<WaitlistStatus> for WaitlistStatusName {
            fn from(from: WaitlistStatus) -> Self {
                match from {
                    $(WaitlistStatus::$status => WaitlistStatusName::$status,)*
                }
            }
        }

        impl From<WaitlistStatusName> for WaitlistStatus {
            fn from(from: WaitlistStatusName) -> Self {
                match from {
                    $(WaitlistStatusName::$status => WaitlistStatus::$status,)*
                }
            }
        }
    };
}

as_named! { Waiting Offered Taken Expired Cancelled }

/// An offer: a booking that is held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitlistOffer)]
pub struct OfferBody {
    /// The booking: to be confirmed, or cancelled, as any other.
    booking_id: Uuid,
    /// Until when it is, or was, held.
    expires_at: Time,
}

/// Somebody who waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitlistEntry)]
pub struct WaitlistBody {
    id: Uuid,
    customer_id: Uuid,
    /// What is to be done, one after another.
    service_ids: Vec<Uuid>,
    /// By whom; by whoever suits best without it.
    employee_id: Option<Uuid>,
    /// The visit begins then or later.
    from: Time,
    /// The visit ends then or sooner.
    to: Time,
    /// Where it stands.
    status: WaitlistStatusName,
    /// The offer that is open, or was taken.
    offer: Option<OfferBody>,
    /// How many offers were not taken.
    offers_passed: usize,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl WaitlistBody {
    /// An entry at an instant.
    fn new(found: Versioned<WaitlistEntry>, at: Timestamp) -> Self {
        let status = found.is.status_at(at);
        Self::with_status(found, status)
    }

    fn with_status(found: Versioned<WaitlistEntry>, status: WaitlistStatus) -> Self {
        let Versioned { version, updated_at, is } = found;
        let is_shown = matches!(status, WaitlistStatus::Offered | WaitlistStatus::Taken);
        let offer = is.offer.filter(|_| is_shown).map(|OpenOffer { booking, expires_at }| OfferBody {
            booking_id: booking,
            expires_at: Time(expires_at),
        });
        WaitlistBody {
            id: is.id,
            customer_id: is.customer,
            service_ids: is.services,
            employee_id: is.employee,
            from: Time(is.from),
            to: Time(is.to),
            status: status.into(),
            offer,
            offers_passed: is.passed.len(),
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// An entry as its record says.
impl From<Versioned<WaitlistEntry>> for WaitlistBody {
    fn from(found: Versioned<WaitlistEntry>) -> Self {
        let status = found.is.status;
        Self::with_status(found, status)
    }
}

/// A new entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewWaitlistEntry {
    #[serde(flatten)]
    entry: WaitlistBody,
    /// By which whoever waits may see and leave the list, and see, confirm, move and cancel what is offered (`?token=`). It
    /// is shown once: a repeated request is answered without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

fn answer(app: &App, scope: &Scope, accepted: Accepted<Outcome>, token: Option<String>) -> Response {
    let Accepted { outcome: Outcome::Waitlist(effect, found), position, replayed } = accepted else {
        unreachable!("a command on the waitlist is answered with {accepted:?}");
    };
    let (id, version) = (found.is.id, found.version);
    let token = token.filter(|_| effect == Effect::Created && !replayed);
    let body = NewWaitlistEntry { entry: found.into(), token };
    let path = || format!("waitlist/{id}");
    write_reply(app, scope.tenant, (effect, version, body), path, (position, replayed))
}

/// Note that a customer waits for a time.
///
/// Whatever comes free, or is free, between `from` and `to` is offered in order of entry: a booking is held for them for the
/// salon's `offer_minutes`, and the change feed tells of it. Confirming it takes the offer; cancelling it, or letting it
/// pass, offers the time to the next.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/waitlist",
    tag = "salons",
    operation_id = "waitlist_create",
    params(TenantPath, IdempotencyHeader),
    request_body = WaitlistInput,
    responses(
        (status = 201, description = "They wait", body = NewWaitlistEntry),
        (status = 404, description = "The customer, a service or the employee is not there"),
        (status = 429, description = "The salon has 500 open entries, or the customer 10"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<WaitlistInput>,
) -> Result<Response, Problem> {
    let token = new_token()?;
    let command = EnterWaitlist {
        customer: value.customer_id,
        services: value.service_ids,
        employee: value.employee_id,
        from: value.from.0,
        to: value.to.0,
        token_hash: Some(token_hash(&token)),
    };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::EnterWaitlist(command)).await?;
    Ok(answer(&app, &scope, accepted, Some(token)))
}

/// Which entries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitlistQuery {
    /// Those of this customer.
    #[serde(default)]
    customer_id: Option<Uuid>,
    /// Those with this status.
    #[param(inline)]
    #[serde(default)]
    status: Option<WaitlistStatusName>,
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

/// The waitlist, by id: those who came first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/waitlist",
    tag = "salons",
    operation_id = "waitlist_list",
    params(TenantPath, WaitlistQuery, PositionHeader),
    responses((status = 200, description = "A page of entries; it may be short and have a next one", body = Page<WaitlistBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<WaitlistQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = paging::cursors(&app, "waitlist", scope.tenant, query.as_of);
    let status = query.status.map(|status| format!("{status:?}"));
    let cursors = cursors.filtered_by(query.customer_id).filtered_by(status);
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), query.as_of, at_least).await?;
    let after = listing.after.as_deref().map(|place| Uuid::from_bytes(paging::place(place)));
    let (as_of, limit, at) = (listing.as_of, query.limit.get(), listing.at);
    let status = query.status.map(WaitlistStatus::from);
    let wants = |entry: &WaitlistEntry| {
        query.customer_id.is_none_or(|customer| entry.customer == customer)
            && status.is_none_or(|status| entry.status_at(at) == status)
    };
    let found = view::records_where(&listing.view, scope.tenant, after, as_of, limit, wants);
    let next = found.next.map(Uuid::into_bytes);
    Ok(listing.reply(found.items.into_iter().map(|entry| WaitlistBody::new(entry, at)), next))
}

/// An entry that whoever asks may touch.
fn permitted(app: &App, scope: &Scope, id: Uuid, token: Option<&str>) -> Result<(), Problem> {
    if scope.caller.role.has(Permission::Staff) {
        return Ok(());
    }
    match view::get::<WaitlistEntry>(&app.engine().view(), scope.tenant, id, None) {
        Some(found) if tokens::opens(token, found.is.token_hash) => Ok(()),
        _ => Err(Problem::not_found("waitlist_entry")),
    }
}

/// Which past of an entry is wanted, and by what right.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitlistOneQuery {
    /// As the system knew it then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// The entry's token, for whoever does not work there.
    #[param(max_length = 128)]
    #[serde(default)]
    token: Option<String>,
}

/// One entry of the waitlist.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/waitlist/{id}",
    tag = "salons",
    operation_id = "waitlist_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The entry's id"), WaitlistOneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The entry", body = WaitlistBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then, or is somebody else's"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<WaitlistOneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    permitted(&app, &scope, id, query.token.as_deref())?;
    let view = app.view(at_least).await?;
    let moment = crate::reading::Moment::of(&app, &view, query.as_of)?;
    let found = view::get::<WaitlistEntry>(&view, scope.tenant, id, moment.as_of);
    let found = found.ok_or_else(|| Problem::not_found("waitlist_entry"))?;
    let is_settled = found.is.status == found.is.status_at(moment.at);
    let said = (found.version, WaitlistBody::new(found, moment.at));
    // What is shown changes without a new version while it is not settled: no client has it.
    let preconditions = if is_settled { preconditions } else { Preconditions::default() };
    Ok(read_reply(said, view.position(), &preconditions))
}

/// Every version of an entry, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/waitlist/{id}/versions",
    tag = "salons",
    operation_id = "waitlist_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The entry's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions, each with the status that was recorded", body = Page<RecordVersion<WaitlistBody>>),
        (status = 404, description = "It was never there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::versions::<WaitlistEntry, WaitlistBody>(&app, &scope, id, &query, at_least).await
}

/// Take a customer off the waitlist. An open offer is declined by it.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/waitlist/{id}",
    tag = "salons",
    operation_id = "waitlist_delete",
    params(TenantPath, ("id" = Uuid, Path, description = "The entry's id"), TokenQuery, IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "They wait no more; this is the entry's last version", body = WaitlistBody),
        (status = 404, description = "It is not there, or is somebody else's"),
        (status = 409, description = "They took an offer, or the time is over"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn delete(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<TokenQuery>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    permitted(&app, &scope, id, query.token())?;
    let if_version = if_version::<WaitlistEntry>(&app, &scope, &preconditions, id)?;
    let command = Command::CancelWaitlistEntry(Change { id, what: (), if_version });
    let accepted = submit(&app, &scope, &attempt, &[], command).await?;
    Ok(answer(&app, &scope, accepted, None))
}
