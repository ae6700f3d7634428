//! The native API of salons. Handlers translate and nothing else: every rule stands in [`super::rules`].

pub mod aside;
pub mod availability;
pub mod bodies;
pub mod booking;
pub mod bookings;
pub mod calendar;
pub mod clock;
pub mod customers;
pub mod employees;
pub(crate) mod ical;
pub mod legacy_bookings;
pub mod phone;
pub mod plans;
mod records;
pub mod resources;
pub mod series;
pub mod services;
pub mod settings;
pub mod shifts;
mod tokens;
pub mod waitlist;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maitred_core::{ChangeId, Position, TenantNumber};
use maitred_web::{AsOf, AtLeast, ETag, Limit, Page, Preconditions, Problem, Reply, etag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Effect;
use super::view::{self, Kept};
use crate::app::{App, Scope, submit, version_wanted};
use crate::flash_sales::Versioned;
use crate::paging::{self, Listing};
use crate::record::RecordId;

/// Which past of one record is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneQuery {
    /// As the system knew it then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
}

/// Which records of a list are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
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

impl ListQuery {
    async fn open(
        &self,
        app: &App,
        (list, of): (&str, Option<Uuid>),
        tenant: TenantNumber,
        at_least: AtLeast,
    ) -> Result<Listing, Problem> {
        let cursors = app.cursors().of(list, tenant).filtered_by(of);
        let cursors = cursors.filtered_by(self.as_of.map(|as_of| format!("{as_of:?}")));
        Listing::open(app, cursors, self.cursor.as_deref(), self.as_of, at_least).await
    }
}

/// One version of a record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SalonRecordVersion)]
pub struct RecordVersion<T> {
    #[serde(flatten)]
    record: T,
    /// Where it stands in the log: `<partition>.<seq>.<ordinal>`.
    position: String,
}

/// The answer to a command: the record as it is now, and its path below the tenant if it is new.
pub(super) fn write_reply<T: Serialize>(
    app: &App,
    tenant: TenantNumber,
    (effect, version, body): (Effect, u64, T),
    path: impl FnOnce() -> String,
    (position, replayed): (Position, bool),
) -> Response {
    let reply = match effect {
        Effect::Created => {
            let slug = crate::tenants::tenant(&app.engine().view(), tenant).map(|tenant| tenant.profile.slug);
            Reply::created(&format!("/v1/tenants/{}/{}", slug.unwrap_or_default(), path()), body)
        }
        _ => Reply::new(StatusCode::OK, body),
    };
    reply.at(position).tagged(ETag::version(version)).replayed(replayed).into_response()
}

/// The answer to a read of one record: the record, or that the client has it.
pub(super) fn read_reply<T: Serialize>(
    (version, body): (u64, T),
    position: Position,
    preconditions: &Preconditions,
) -> Response {
    let etag = ETag::version(version);
    if preconditions.is_fresh(&etag) {
        return etag::not_modified(etag);
    }
    Reply::ok(body).at(position).tagged(etag).into_response()
}

/// One record that is there.
async fn get<T: Kept, Body: From<Versioned<T>> + Serialize>(
    app: &App,
    scope: &Scope,
    id: Uuid,
    query: &OneQuery,
    (at_least, preconditions): (AtLeast, Preconditions),
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let found = view::get::<T>(&view, scope.tenant, id, as_of);
    let found = found.ok_or_else(|| Problem::not_found(T::KIND.as_str()))?;
    Ok(read_reply((found.version, Body::from(found)), view.position(), &preconditions))
}

/// A page of the records of a kind, by id: those that were noted first come first, to the millisecond.
async fn list<T: Kept, Body: From<Versioned<T>> + Serialize>(
    app: &App,
    scope: &Scope,
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let listing = query.open(app, (T::KIND.as_str(), None), scope.tenant, at_least).await?;
    let after = listing.after.as_deref().map(|place| Uuid::from_bytes(paging::place(place)));
    let found = view::records::<T>(&listing.view, scope.tenant, after, listing.as_of, query.limit.get());
    let next = found.next.map(Uuid::into_bytes);
    Ok(listing.reply(found.items.into_iter().map(Body::from), next))
}

/// A page of the versions of a record, the oldest first.
async fn versions<T: Kept, Body: From<Versioned<T>> + Serialize>(
    app: &App,
    scope: &Scope,
    id: Uuid,
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let record = view::record_id::<T>(scope.tenant, id);
    let found = versions_of::<T, Body>(app, (record, id), query, at_least).await?;
    found.ok_or_else(|| Problem::not_found(T::KIND.as_str()))
}

/// A page of the versions of any record, the oldest first; `None` where there are none at all.
async fn versions_of<T: DeserializeOwned, Body: From<Versioned<T>> + Serialize>(
    app: &App,
    (record, id): (RecordId, Uuid),
    query: &ListQuery,
    at_least: AtLeast,
) -> Result<Option<Response>, Problem> {
    let list = format!("{} versions", record.kind.as_str());
    let listing = query.open(app, (&list, Some(id)), record.tenant, at_least).await?;
    let after = listing.after.as_deref().map(paging::read_change);
    let found = view::versions::<T>(&listing.view, record, after, listing.as_of, query.limit.get() + 1);
    if found.is_empty() && after.is_none() {
        return Ok(None);
    }
    let partition = listing.view.position().partition;
    let place = |(change, _): &(ChangeId, Versioned<T>)| paging::write_change(*change);
    Ok(Some(listing.reply_cut(found, query.limit, place, |(change, version)| RecordVersion {
        record: Body::from(version),
        position: change.to_text(partition),
    })))
}

/// The answer where a record that is always there has no version yet.
fn no_versions<Body: Serialize>(position: Position) -> Response {
    let page = Page::<RecordVersion<Body>> { items: Vec::new(), next_cursor: None };
    Reply::ok(page).at(position).into_response()
}

/// The version at which alone a command may be carried out.
fn if_version<T: Kept>(
    app: &App,
    scope: &Scope,
    preconditions: &Preconditions,
    id: Uuid,
) -> Result<Option<u64>, Problem> {
    version_wanted(preconditions, || {
        Some(view::get::<T>(&app.engine().view(), scope.tenant, id, None)?.version)
    })
}
