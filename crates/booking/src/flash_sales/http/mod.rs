//! The native API of flash sales: `/v1/tenants/{tenant}/products…`, `…/sales…` and `…/orders…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`]. Who buys is settled here
//! ([`buyer`], [`confined_to`]): a customer for themselves, whoever works for the tenant for anybody.

pub mod orders;
pub mod products;
pub mod reports;
pub mod sales;

pub use orders::OrderBody;
pub use products::ProductBody;
pub use sales::{SaleBody, SaleStateName};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use maitred_core::{Actor, ChangeId, Position, Rejection, Timestamp};
use maitred_web::{AtLeast, Caller, Credentials, ETag, Problem, Reply, Role, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Outcome;
use super::view::{self, Versioned};
use crate::accounts::LoggedIn;
use crate::app::{Access, App, Scope, submit};
use crate::money::{Money, MoneyBody};
use crate::paging::{self, ListQuery};
use crate::record::{Kind, RecordId};
use crate::violation::refuse_any;

/// The size of a purchase in memory, roughly.
const COMMAND_BYTES: usize = 256;

/// One version of a record.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordVersion<T> {
    #[serde(flatten)]
    record: T,
    /// Where it stands in the log: `<partition>.<seq>.<ordinal>`.
    position: String,
}

/// Who asks about orders: as [`Scope`], and on an open server, which reads no credentials of itself, the user whose token
/// comes with the request.
///
/// # Errors
/// As an argument of a handler: 401 for a token that is not valid, 403 for one of another tenant.
#[derive(Debug, Clone, Copy)]
pub struct Asking(pub Scope);

impl FromRequestParts<App> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let scope = Scope::from_request_parts(parts, app).await?;
        let has_token = || matches!(Credentials::parse(&parts.headers), Ok(Credentials::Token(_)));
        if app.access() == Access::Open && has_token() {
            let user = LoggedIn::from_request_parts(parts, app).await?;
            return Ok(Asking(Scope { caller: user.caller(), ..scope }));
        }
        Ok(Asking(scope))
    }
}

/// The id of whoever asks, where they are a customer: they see and touch their own and nothing else.
fn confined_to(caller: &Caller) -> Option<Uuid> {
    match (caller.role, caller.actor) {
        (Role::Customer, Actor::User(id) | Actor::ApiKey(id)) => Some(Uuid::from_u128(id)),
        (Role::Customer, _) => Some(Uuid::nil()),
        _ => None,
    }
}

/// For whom a piece is bought.
///
/// # Errors
/// 403 for a customer who buys for another, 422 where whoever works there says nobody.
fn buyer(caller: &Caller, named: Option<Uuid>) -> Result<Uuid, Problem> {
    match (confined_to(caller), named) {
        (Some(own), Some(named)) if own != named => {
            Err(Problem::forbidden("A customer buys for themselves; leave buyer_id out."))
        }
        (Some(own), _) => Ok(own),
        (None, Some(named)) => Ok(named),
        (None, None) => {
            let detail = "required, unless the request carries the buyer's own token: \
                          POST /v1/tenants/{tenant}/users registers a buyer, POST …/users/authenticate logs one in, and \
                          the `token` of either answer is sent as `Authorization: Bearer <token>`";
            Err(Problem::field_refused("/buyer_id", detail))
        }
    }
}

/// The outcome of a command of this domain.
pub(crate) fn own(outcome: crate::Outcome) -> Outcome {
    match outcome {
        crate::Outcome::FlashSales(outcome) => outcome,
        other => unreachable!("a command on flash sales is answered with {other:?}"),
    }
}

/// The tag of a body that shows a version and what changes without one.
pub(crate) fn tag(version: u64, body: &impl Serialize) -> ETag {
    let json = serde_json::to_vec(body).expect("texts and numbers have a JSON form");
    let hash = blake3::hash(&json);
    let (head, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
    ETag::live(version, u64::from_le_bytes(*head))
}

/// The answer to a command: `location` is the path of what was made.
pub(crate) fn write_reply<T: Serialize>(
    (version, body): (u64, T),
    location: Option<String>,
    (position, replayed): (Position, bool),
) -> Response {
    let etag = tag(version, &body);
    let reply = match location {
        Some(location) => Reply::created(&location, body),
        None => Reply::new(StatusCode::OK, body),
    };
    reply.at(position).tagged(etag).replayed(replayed).into_response()
}

/// The price of a body.
///
/// # Errors
/// `invalid-currency`.
fn price(body: &MoneyBody) -> Result<Money, Rejection> {
    body.to_price().map_err(|violation| refuse_any(&[violation]).expect_err("a violation is refused"))
}

/// An instant that may be missing.
fn time(at: Option<Timestamp>) -> Option<Time> {
    at.map(Time)
}

/// The versions of a product, a sale or an order, the oldest first.
async fn versions<T, Body>(
    app: &App,
    scope: &Scope,
    (kind, id): (Kind, Uuid),
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Response, Problem>
where
    T: DeserializeOwned,
    Body: From<Versioned<T>> + Serialize,
{
    versions_of::<T, Body>(app, view::record_id(scope.tenant, kind, id), query, at_least).await
}

/// The versions of a record of any kind, the oldest first.
pub(crate) async fn versions_of<T, Body>(
    app: &App,
    record: RecordId,
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Response, Problem>
where
    T: DeserializeOwned,
    Body: From<Versioned<T>> + Serialize,
{
    let list = format!("{} versions", record.kind.as_str());
    let of = record.id.to_be_bytes();
    let listing = query.open(app, (&list, Some(&of)), record.tenant, at_least).await?;
    let after = listing.after.as_deref().map(paging::read_change);
    let found = view::versions::<T>(&listing.view, record, after, listing.as_of, query.limit.get() + 1);
    if found.is_empty() && after.is_none() {
        return Err(Problem::not_found(record.kind.as_str()));
    }
    let partition = listing.view.position().partition;
    let place = |(change, _): &(ChangeId, Versioned<T>)| paging::write_change(*change);
    Ok(listing.reply_cut(found, query.limit, place, |(change, version)| RecordVersion {
        record: Body::from(version),
        position: change.to_text(partition),
    }))
}
