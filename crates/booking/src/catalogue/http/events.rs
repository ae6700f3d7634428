//! `/v1/tenants/{tenant}/events…`: anybody may ask, where the tenant's public routes are open.
//!
//! Invariants:
//! - An event that was never sold online is there for whoever works for the tenant, and for nobody else.
//! - A search copies rows as they stand in the view: the more it finds, the less it costs for each.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, ETAG};
use axum::response::Response;
use maitred_core::{TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_web::{
    AtLeast, ETag, Limit, Page, Path, Permission, Preconditions, Problem, Query, Time, etag, json, position,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::bodies::{EventBody, EventRow, EventSeen};
use crate::app::{App, Scope};
use crate::catalogue::fact::Event;
use crate::catalogue::search::{self, Form, Match, Place, Search};
use crate::catalogue::view::{self, Versioned};
use crate::catalogue::{fold, rows};
use crate::flash_sales::http::{RecordVersion, tag, versions_of};
use crate::name;
use crate::paging::{self, ListQuery};
use crate::parameters::{IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};

/// How long a search's answer is fresh, and how long after that it may be shown while a new one is fetched.
const CACHED: HeaderValue = HeaderValue::from_static("max-age=1, stale-while-revalidate=30");
/// Part of the tag of every answer: raised when a row is written otherwise than before.
const ROWS_VERSION: u64 = 1;
/// About how long a row is.
const ROW_BYTES: usize = 320;
/// The longest text that is searched for, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// What is searched for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// The start of the range.
    #[param(inline)]
    starts_at: Time,
    /// Its end: not before its start.
    #[param(inline)]
    ends_at: Time,
    /// How plans and range go together: `start`, a plan starts in it, both ends included; `overlap`, a plan takes place in
    /// it at least in part; `contained`, a plan starts and ends in it.
    #[param(inline)]
    #[serde(default)]
    r#match: MatchName,
    /// Words that all stand in the title; neither case nor accents make a difference.
    #[param(max_length = 200)]
    #[serde(default)]
    q: Option<String>,
    /// A zone costs at least so much, in minor units.
    #[serde(default)]
    min_price: Option<i64>,
    /// A zone costs at most so much, in minor units.
    #[serde(default)]
    max_price: Option<i64>,
    /// The name of the provider.
    #[param(max_length = 63)]
    #[serde(default)]
    provider: Option<String>,
    /// How many events a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// How plans and a range of time go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchName {
    /// A plan starts in the range, both ends included.
    #[default]
    Start,
    /// A plan takes place in the range, at least in part.
    Overlap,
    /// A plan starts and ends in the range.
    Contained,
}

impl SearchQuery {
    fn to_search(&self) -> Result<Search, Problem> {
        let (from, to) = (self.starts_at.0, self.ends_at.0);
        if to < from {
            return Err(Problem::query_invalid("ends_at", "not before starts_at."));
        }
        let text = self.q.as_deref().unwrap_or_default();
        if text.len() > TEXT_CHARS_MAX && text.chars().count() > TEXT_CHARS_MAX {
            return Err(Problem::query_invalid("q", format!("at most {TEXT_CHARS_MAX} characters.")));
        }
        Ok(Search {
            from,
            to,
            matching: match self.r#match {
                MatchName::Start => Match::Start,
                MatchName::Overlap => Match::Overlap,
                MatchName::Contained => Match::Contained,
            },
            words: fold::words(text),
            min_price: self.min_price,
            max_price: self.max_price,
            provider: self.provider.as_deref().map(name::hash),
        })
    }
}

/// The events of a range of time, by the start of the plan that makes them match.
///
/// A page may be short and have a next one. The answer's `ETag` changes when the catalogue does.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/events/search",
    tag = "catalogue",
    operation_id = "events_search",
    params(TenantPath, SearchQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "A page of events, each once", body = Page<EventRow>),
        (status = 304, description = "The client has it"),
    )
)]
pub async fn search(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<SearchQuery>,
    preconditions: Preconditions,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let wanted = query.to_search()?;
    let cursors = || app.cursors().of("events", scope.tenant).filtered_by(Some(format!("{wanted:?}")));
    let after = query.cursor.as_deref().map(|cursor| cursors().open(cursor)).transpose()?;
    let after = after.map(|place| read_place(&place));
    let view = app.view(at_least).await?;
    let etag = tag_of(&view, scope.tenant);
    if preconditions.is_fresh(&etag) {
        return Ok(with_cache_control(etag::not_modified(etag)));
    }
    let limit = query.limit.get();
    let mut body = Vec::with_capacity(64 + limit.min(100) * ROW_BYTES);
    body.extend_from_slice(b"{\"items\":[");
    let found = search::search(&view, scope.tenant, &wanted, (after, limit), Form::Native, &mut body);
    body.extend_from_slice(b"],\"next_cursor\":");
    match found.next {
        // A cursor is base64.
        Some(next) => {
            body.push(b'"');
            body.extend_from_slice(cursors().seal(&write_place(next)).as_bytes());
            body.extend_from_slice(b"\"}");
        }
        None => body.extend_from_slice(b"null}"),
    }
    let mut response = with_cache_control(json::encoded(body.into()));
    let headers = response.headers_mut();
    headers.insert(position::MAITRED_POSITION, position::header_value(view.position()));
    headers.insert(ETAG, etag.into());
    Ok(response)
}

/// The tag of every search of a tenant's catalogue.
pub fn tag_of(view: &View, tenant: TenantNumber) -> ETag {
    let mut hasher = blake3::Hasher::new();
    for part in [ROWS_VERSION, u64::from(tenant.0), rows::changed(view, tenant)] {
        hasher.update(&part.to_le_bytes());
    }
    let hash = hasher.finalize();
    let (head, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
    ETag::hash(u64::from_le_bytes(*head))
}

fn with_cache_control(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    response
}

fn write_place(place: Place) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&place.start.to_ordered().to_be_bytes());
    bytes[8..].copy_from_slice(&place.event.to_be_bytes());
    bytes
}

fn read_place(opened: &[u8]) -> Place {
    let (start, event) = opened.split_at(8);
    let start = Timestamp::from_ordered(u64::from_be_bytes(paging::place(start)));
    Place { start, event: u128::from_be_bytes(paging::place(event)) }
}

/// Whether a caller may see an event.
fn may_see(scope: &Scope, event: &Event) -> bool {
    event.ever_online || scope.caller.role.has(Permission::Staff)
}

/// One event with its plans and zones.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/events/{id}",
    tag = "catalogue",
    operation_id = "events_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The event's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The event", body = EventSeen),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    let found = view::event(&one.view, one.who.tenant, id, one.moment.as_of)
        .filter(|found| may_see(&one.who, &found.is))
        .ok_or_else(|| Problem::not_found("event"))?;
    let version = found.version;
    let seen = view::last_seen_at(&one.view, one.who.tenant, &found).min(one.moment.at);
    let body = EventSeen::new(found, seen);
    Ok(one.reply(tag(version, &body), body))
}

/// Every version of an event, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/events/{id}/versions",
    tag = "catalogue",
    operation_id = "events_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The event's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<EventBody>>),
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
    let view = app.view(at_least).await?;
    let visible = |found: Versioned<Event>| may_see(&scope, &found.is);
    if !view::event(&view, scope.tenant, id, None).is_some_and(visible) {
        return Err(Problem::not_found("event"));
    }
    drop(view);
    versions_of::<Event, EventBody>(&app, view::event_record(scope.tenant, id), &query, at_least).await
}
