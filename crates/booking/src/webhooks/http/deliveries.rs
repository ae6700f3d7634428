//! `…/webhooks/{id}/deliveries`, `…/replay` and `…/test`.
//!
//! What is failing or dead stands in the view; of what was delivered the newest attempts are remembered in memory, since
//! the server started.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maitred_core::{ChangeId, PartitionId, Position};
use maitred_engine::View;
use maitred_web::{AsOf, AtLeast, Attempt, JsonBody, Limit, Page, Path, Problem, Query, Reply, Time};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::submit;
use crate::app::{App, Scope};
use crate::paging::{self, Listing};
use crate::parameters::{IdempotencyHeader, PositionHeader, TenantPath};
use crate::webhooks::courier::{self, Job};
use crate::webhooks::dispatch::{delivery_id, read_delivery_id};
use crate::webhooks::fact::{self, Lane, RecordKey};
use crate::webhooks::secret;
use crate::webhooks::{Command, Outcome, view};

/// How long a test waits for its answer: less than a request may take.
const TEST_PATIENCE: Duration = Duration::from_secs(8);

/// Which deliveries are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// The newest attempts since the server started, the newest first; at most 50.
    #[default]
    Attempted,
    /// Those that failed and are tried again, by record.
    Failing,
    /// Those that were given up, in the order of the log.
    Dead,
}

/// Which deliveries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesQuery {
    /// `attempted`, `failing` or `dead`.
    #[param(inline)]
    #[serde(default)]
    state: DeliveryState,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// A delivery, and its last attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryBody {
    /// The header `webhook-id` of all its attempts.
    #[schema(example = "msg_0190d3c5a4b27cde8f00112233445566_0_42_0")]
    id: String,
    /// The change, as the change feed names it.
    change_id: String,
    /// `delivered`, `failing` or `dead`; of an attempt, what came of it.
    state: &'static str,
    /// How often it was tried since it began to fail; null in the list of attempts.
    attempts: Option<u32>,
    /// When it is tried again.
    next_attempt_at: Option<Time>,
    /// The last attempt; null where it is still to come.
    attempt: Option<AttemptBody>,
}

/// An attempt at a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub struct AttemptBody {
    /// When it began.
    at: Time,
    /// How long it took.
    duration_ms: u32,
    /// The status of the answer; null where there was none.
    status: Option<u16>,
    /// The beginning of the answer's body, at most 512 bytes of it.
    answer: String,
    /// Why there was no answer.
    problem: Option<String>,
}

impl From<fact::Attempt> for AttemptBody {
    fn from(attempt: fact::Attempt) -> Self {
        let fact::Attempt { at, duration_ms, status, answer, problem } = attempt;
        AttemptBody { at: Time(at), duration_ms, status, answer, problem }
    }
}

impl DeliveryBody {
    fn new(partition: PartitionId, endpoint: Uuid, state: &'static str, lane: Lane) -> Self {
        let change = ChangeId::from(lane.change);
        DeliveryBody {
            id: delivery_id(partition, endpoint, change),
            change_id: change.to_text(partition),
            state,
            attempts: Some(lane.attempts),
            next_attempt_at: (state == "failing").then_some(Time(lane.next_at)),
            attempt: lane.last.map(AttemptBody::from),
        }
    }
}

/// What was sent to a webhook: the newest attempts, what is failing, or what was given up.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/webhooks/{id}/deliveries",
    tag = "webhooks",
    operation_id = "webhook_deliveries_list",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id"), DeliveriesQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of deliveries", body = Page<DeliveryBody>),
        (status = 404, description = "The webhook is not there"),
    )
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<DeliveriesQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let name = match query.state {
        DeliveryState::Attempted => "webhook attempts",
        DeliveryState::Failing => "failing deliveries",
        DeliveryState::Dead => "dead deliveries",
    };
    let cursors = paging::cursors(&app, name, scope.tenant, None).filtered_by(Some(id.as_bytes()));
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), None, at_least).await?;
    let view = &listing.view;
    require(view, &scope, id)?;
    let (partition, limit) = (view.position().partition, query.limit.get() + 1);
    let after = listing.after.as_deref();
    Ok(match query.state {
        DeliveryState::Attempted => {
            let recent = app.webhooks().recent(scope.tenant, id).into_iter().take(query.limit.get());
            let body = |found: courier::Remembered| DeliveryBody {
                id: delivery_id(partition, id, found.change),
                change_id: found.change.to_text(partition),
                state: if found.delivered { "delivered" } else { "failing" },
                attempts: None,
                next_attempt_at: None,
                attempt: Some(found.attempt.into()),
            };
            listing.reply(recent.map(body), None::<[u8; 0]>)
        }
        DeliveryState::Failing => {
            let after = after.map(|place| read_record(&paging::place(place)));
            let found = view::lanes(view, scope.tenant, id, after, limit);
            let body = |(_, lane)| DeliveryBody::new(partition, id, "failing", lane);
            listing.reply_cut(found, query.limit, |(record, _)| write_record(*record), body)
        }
        DeliveryState::Dead => {
            let found = view::dead_letters(view, scope.tenant, id, after.map(paging::read_change), limit);
            let place = |dead: &view::Dead| paging::write_change(dead.lane.change.into());
            listing.reply_cut(found, query.limit, place, |dead| {
                DeliveryBody::new(partition, id, "dead", dead.lane)
            })
        }
    })
}

/// Send a change again, whether it is failing, was given up or was delivered. What came later of its record is sent
/// again behind it, so that the receiver ends with the newest.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks/{id}/deliveries/{delivery}/retry",
    tag = "webhooks",
    operation_id = "webhook_deliveries_retry",
    params(
        TenantPath,
        ("id" = Uuid, Path, description = "The webhook's id"),
        ("delivery" = String, Path, description = "The delivery's id", max_length = 128),
        IdempotencyHeader
    ),
    responses(
        (status = 202, description = "It is tried at once", body = Asked),
        (status = 404, description = "The webhook, or the delivery, is not there"),
    )
)]
pub async fn retry(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, endpoint, delivery)): Path<(String, Uuid, String)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let change = read_delivery_id(&delivery, app.engine().partition(), endpoint);
    // One that cannot be is refused by the same rule as one that is not there.
    let change = change.unwrap_or(ChangeId { seq: u64::MAX, ordinal: 0 });
    asked(&app, &scope, &attempt, &[], Command::Retry { endpoint, change }).await
}

/// How many dead letters are sent again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// How many are tried at once, at most 500: the first ones, in the order of the log. 0 while 500 records and more have
    /// changes that fail.
    #[schema(example = 120)]
    retried: u32,
    /// How many dead letters are left: ask again for them, once what fails has become less.
    #[schema(example = 0)]
    left: u32,
}

/// Send all again that was given up, once the receiver is mended: up to 500 changes, the first ones; ask again while some
/// are left. What came later of their records is sent again behind them.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks/{id}/deliveries/retry",
    tag = "webhooks",
    operation_id = "webhook_deliveries_retry_dead",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id"), IdempotencyHeader),
    responses(
        (status = 202, description = "They are tried at once", body = Retried),
        (status = 404, description = "The webhook is not there"),
        (status = 409, description = "It delivers nothing"),
    )
)]
pub async fn retry_dead(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, endpoint)): Path<(String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let accepted = submit(&app, &scope, &attempt, &[], Command::RetryDead { endpoint }).await?;
    let Outcome::Retried { retried, left } = accepted.outcome else { return Err(Problem::internal_error()) };
    let reply = Reply::new(StatusCode::ACCEPTED, Retried { retried, left });
    Ok(reply.at(accepted.position).replayed(accepted.replayed).into_response())
}

/// What is to be sent again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayInput {
    /// Behind this change (`0.42.1`) or position (`0.42`), or from this instant on.
    #[schema(max_length = 64, example = "2026-11-21T09:30:00Z")]
    from: String,
    /// Up to this change or position, or before this instant; up to now where it is not said.
    #[schema(max_length = 64)]
    #[serde(default)]
    to: Option<String>,
}

/// That something will be sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Asked {
    /// Always true.
    accepted: bool,
}

/// Send a part of the feed again: every change of it that the webhook wants, in order.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks/{id}/replay",
    tag = "webhooks",
    operation_id = "webhook_replay",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id"), IdempotencyHeader),
    request_body = ReplayInput,
    responses(
        (status = 202, description = "It has begun", body = Asked),
        (status = 404, description = "The webhook is not there"),
        (status = 409, description = "It delivers nothing, or is still at an earlier part"),
    )
)]
pub async fn replay(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, endpoint)): Path<(String, Uuid)>,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ReplayInput>,
) -> Result<Response, Problem> {
    let view = app.engine().view();
    let after = place(&view, "/from", &value.from)?;
    let to = value.to.as_deref().map(|to| place(&view, "/to", to)).transpose()?;
    let to = to.unwrap_or(ChangeId { seq: view.seq(), ordinal: u32::MAX });
    drop(view);
    asked(&app, &scope, &attempt, &bytes, Command::Replay { endpoint, after, to }).await
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tested {
    /// The header `webhook-id`.
    id: String,
    /// Whether it was accepted.
    delivered: bool,
    #[serde(flatten)]
    attempt: AttemptBody,
}

/// Send a ping to a webhook, active or not, and wait for what comes of it: up to 8 seconds. It is signed like a delivery,
/// its body is `{"type": "ping", …}`, and it is tried once.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/webhooks/{id}/test",
    tag = "webhooks",
    operation_id = "webhook_test",
    params(TenantPath, ("id" = Uuid, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "What came of it", body = Tested),
        (status = 404, description = "The webhook is not there"),
        (status = 429, description = "Too many tests at once"),
    )
)]
pub async fn test(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
) -> Result<Response, Problem> {
    let now = app.engine().now();
    let found = view::endpoint(&app.engine().view(), scope.tenant, id, None)
        .ok_or_else(|| Problem::not_found("webhook"))?;
    let webhooks = app.webhooks();
    let open = |sealed| webhooks.sealer()?.open(sealed, scope.tenant, id);
    let (Some(secret), Some(courier)) = (open(&found.is.secret), webhooks.courier()) else {
        tracing::error!(webhook.id = %id, "the secret of a webhook cannot be opened: rotate it");
        return Err(Problem::internal_error());
    };
    let Ok(_place) = webhooks.tests.try_acquire() else {
        return Err(Problem::rate_limited(Duration::from_secs(1)));
    };
    let payload = json!({ "type": "ping", "at": Time(now), "webhook_id": id }).to_string();
    let name = format!("msg_{}_ping_{}", id.simple(), now.as_micros());
    let signature = secret::signatures(&[secret], &name, now, payload.as_bytes());
    let job = Job { url: found.is.url, id: name.clone(), at: now, signature, payload };
    let answered = courier.deliver(job, TEST_PATIENCE).await;
    let attempt = answered.attempt(now).into();
    Ok(Reply::ok(Tested { id: name, delivered: answered.is_delivered(), attempt }).into_response())
}

async fn asked(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Response, Problem> {
    let accepted = submit(app, scope, attempt, body, command).await?;
    let reply = Reply::new(StatusCode::ACCEPTED, Asked { accepted: true });
    Ok(reply.at(accepted.position).replayed(accepted.replayed).into_response())
}

fn require(view: &View, scope: &Scope, id: Uuid) -> Result<(), Problem> {
    view::endpoint(view, scope.tenant, id, None).map(drop).ok_or_else(|| Problem::not_found("webhook"))
}

/// The place that a text means: of a change or a position itself, of an instant the last one before it.
fn place(view: &View, pointer: &'static str, text: &str) -> Result<ChangeId, Problem> {
    let own = view.position().partition;
    if let Ok((partition, change)) = ChangeId::parse(text)
        && partition == own
    {
        return Ok(change);
    }
    match AsOf::parse(text) {
        Some(AsOf::Instant(instant)) => {
            let before = maitred_core::Timestamp::from_millis(instant.as_millis() - 1);
            Ok(ChangeId { seq: view.seq_at(before), ordinal: u32::MAX })
        }
        Some(AsOf::Position(Position { .. })) | None => {
            let detail = "a change such as 0.42.1, a position such as 0.42, or an instant of RFC 3339.";
            Err(Problem::field_refused(pointer, detail))
        }
    }
}

fn write_record(RecordKey { kind, id }: RecordKey) -> [u8; 17] {
    let mut bytes = [kind; 17];
    bytes[1..].copy_from_slice(&id.to_be_bytes());
    bytes
}

fn read_record(bytes: &[u8; 17]) -> RecordKey {
    let [kind, id @ ..] = *bytes;
    RecordKey { kind, id: u128::from_be_bytes(id) }
}
