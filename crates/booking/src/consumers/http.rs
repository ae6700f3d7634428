//! `/v1/consumers…`: how far the consumers are, what they could not deal with, and what becomes of that. For operators.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`]. What a consumer does at the moment is the
//! server's own knowledge, and what it has put aside the view's.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_core::{ChangeId, Class, Rejection, TenantNumber};
use maitred_engine::View;
use maitred_engine::consumers::Status;
use maitred_web::{AtLeast, Attempt, JsonBody, Limit, Page, Path, Problem, Query, Reply, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::command::{Command, Selection};
use super::fact::{By, DeadLetterParked, Place};
use super::rules::{CHOSEN_MAX, Outcome, chosen};
use super::view::{self, Choice};
use crate::app::{App, Scope, tenant_not_found};
use crate::brokers::{CONSUMER_PREFIX, Publishing};
use crate::json::given;
use crate::paging::{read_change, write_change};
use crate::parameters::{IdempotencyHeader, PositionHeader};
use crate::tenants;

/// The size of a command of an operator in memory, roughly.
const COMMAND_BYTES: usize = 256;

/// A consumer: what follows the log and does what follows from facts. What publishes changes to a broker is one too; it puts
/// nothing aside, and what a broker does not take waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Consumer)]
pub struct ConsumerBody {
    /// Its name; of what publishes to a broker, `broker-` and the broker's.
    name: Cow<'static, str>,
    /// Its newest epoch: each runner that takes the consumer over has the next one.
    epoch: u64,
    /// The last change it is known to be done with, and all before it: `<partition>.<seq>.<ordinal>`.
    cursor: String,
    /// Batches that it is not done with.
    behind: u64,
    /// Facts that it knows of and is not done with.
    unfinished: u64,
    /// The age of the oldest of these, in seconds.
    oldest_seconds: f64,
    /// Facts that are put aside, those included that are taken up again.
    dead_letters: u64,
    /// Attempts since the server started.
    attempts: u64,
    /// Those of them that failed.
    failures: u64,
    /// Whether another runner has taken the consumer over: the one of this server has stopped.
    superseded: bool,
    /// Whether it is connected with its broker; null for what has none.
    connected: Option<bool>,
}

/// A fact that a consumer could not deal with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterBody {
    /// Where the fact stands in the log: `<partition>.<seq>.<ordinal>`.
    id: String,
    /// When it was decided.
    decided_at: Time,
    /// The slug of its tenant; null where that is closed.
    tenant: Option<String>,
    /// What it is about, as the consumer sees it: those of one key wait for each other.
    key: Uuid,
    /// How often it was tried; 0 for one that waits behind another of its key.
    attempts: u32,
    /// What went wrong the last time.
    reason: String,
}

/// Which dead letters are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLettersQuery {
    /// Of the tenant of this slug.
    #[param(max_length = 63)]
    #[serde(default)]
    tenant: Option<String>,
    /// About this key.
    #[serde(default)]
    key: Option<Uuid>,
    /// Decided before this instant.
    #[param(value_type = Option<Time>)]
    #[serde(default)]
    before: Option<Time>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// Which decisions are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DecisionsQuery {
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// Which dead letters are meant: those that have all that is named; all of the consumer's where nothing is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterSelection {
    /// Of the tenant of this slug.
    #[schema(value_type = String, required = false, max_length = 63)]
    #[serde(default, deserialize_with = "given")]
    tenant: Option<String>,
    /// About this key.
    #[schema(value_type = Uuid, required = false)]
    #[serde(default, deserialize_with = "given")]
    key: Option<Uuid>,
    /// Decided before this instant.
    #[schema(value_type = Time, required = false)]
    #[serde(default, deserialize_with = "given")]
    before: Option<Time>,
    /// Only say which it would be. It is done where this is `false`, and nowhere else.
    #[schema(default = true)]
    #[serde(default = "yes")]
    dry_run: bool,
}

fn yes() -> bool {
    true
}

/// What was, or would be, taken up or thrown away.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterSelected {
    /// Whether nothing was done.
    dry_run: bool,
    /// How many dead letters it was, or would be: one request takes 1,000 at most, the first ones in the log's order.
    count: u64,
    /// How many more are meant: repeat the request for them.
    more: u64,
    /// The first of them, 100 at most: the places of their facts.
    ids: Vec<String>,
}

/// What somebody decided about dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterDecision)]
pub struct DecisionBody {
    /// Where the decision stands in the log.
    id: String,
    /// When.
    at: Time,
    /// `redrive` or `discard`.
    r#type: &'static str,
    /// Who: `system`, `anonymous` (on an open server), `api_key` or `user`.
    actor: &'static str,
    /// The id of that key or user.
    actor_id: Option<Uuid>,
    /// The places of the facts.
    dead_letters: Vec<String>,
}

/// The consumers of this server, and what publishes to brokers.
#[utoipa::path(
    get,
    path = "/v1/consumers",
    tag = "operation",
    operation_id = "consumers_list",
    params(PositionHeader),
    responses((status = 200, description = "All of them, on one page", body = Page<ConsumerBody>))
)]
pub async fn list(State(app): State<App>, at_least: AtLeast) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let engine = app.engine();
    let body = |status: &Status| {
        let standing = view::standing(&view, status.name);
        ConsumerBody {
            name: status.name.into(),
            epoch: standing.epoch,
            cursor: standing.cursor.to_text(view.position().partition),
            behind: view.seq().saturating_sub(status.done()),
            unfinished: status.unfinished(),
            oldest_seconds: status.oldest_age(engine.now()).as_secs_f64(),
            dead_letters: view::dead_letter_count(&view, status.name),
            attempts: status.attempts(),
            failures: status.failures(),
            superseded: status.is_superseded(),
            connected: None,
        }
    };
    let publisher = |status: &Publishing| {
        let name = format!("{CONSUMER_PREFIX}{}", status.broker);
        let standing = view::standing(&view, &name);
        ConsumerBody {
            epoch: standing.epoch,
            cursor: standing.cursor.to_text(view.position().partition),
            behind: status.behind.load(Relaxed),
            unfinished: status.waiting.load(Relaxed),
            oldest_seconds: status.oldest_age(engine.now()).as_secs_f64(),
            dead_letters: 0,
            attempts: status.published.load(Relaxed) + status.retried.load(Relaxed),
            failures: status.retried.load(Relaxed),
            superseded: status.superseded.load(Relaxed),
            connected: Some(status.connected.load(Relaxed)),
            name: name.into(),
        }
    };
    let mut items: Vec<_> = engine.consumers().iter().map(|status| body(status)).collect();
    items.extend(app.brokers().publishing().iter().map(|status| publisher(status)));
    Ok(Reply::ok(Page { items, next_cursor: None::<String> }).at(view.position()).into_response())
}

/// What a consumer has put aside, in the log's order. What is taken up again is not among it.
#[utoipa::path(
    get,
    path = "/v1/consumers/{name}/dead-letters",
    tag = "operation",
    operation_id = "consumers_dead_letters",
    params(("name" = String, Path, description = "The consumer's name"), DeadLettersQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of dead letters", body = Page<DeadLetterBody>),
        (status = 404, description = "There is no such consumer, or no such tenant"),
    )
)]
pub async fn dead_letters(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<DeadLettersQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let consumer = known(&app, &name)?;
    let view = app.view(at_least).await?;
    let DeadLettersQuery { tenant, key, before, limit, cursor } = query;
    let selection = selection(&view, consumer, tenant.as_deref(), key, before)?;
    let cursors = app.cursors().of("dead letters", TenantNumber::SYSTEM).filtered_by(Some(consumer));
    let cursors = cursors.filtered_by(tenant.as_deref()).filtered_by(key);
    let cursors = cursors.filtered_by(before.map(|before| before.0.as_micros().to_be_bytes()));
    let after = cursor.map(|cursor| cursors.open(&cursor)).transpose()?.map(|place| read_change(&place));
    let mut found = Vec::new();
    view::visit_letters(&view, consumer, view::Shelf::Parked, after, &mut |letter| {
        if selection.has(&letter) {
            found.push(letter);
        }
        found.len() <= limit.get()
    });
    let more = found.len() > limit.get();
    found.truncate(limit.get());
    let next_cursor = found.last().filter(|_| more).map(|last| cursors.seal(&write_change(last.place())));
    let items: Vec<_> = found.into_iter().map(|letter| letter_body(&view, letter)).collect();
    Ok(Reply::ok(Page { items, next_cursor }).at(view.position()).into_response())
}

/// Take dead letters up again: they are tried as if they were new, each key's in their order. Says which it would be
/// unless `dry_run` is false. What stands behind the consumer's cursor is not taken up yet.
#[utoipa::path(
    post,
    path = "/v1/consumers/{name}/redrive",
    tag = "operation",
    operation_id = "consumers_redrive",
    params(("name" = String, Path, description = "The consumer's name"), IdempotencyHeader),
    request_body = DeadLetterSelection,
    responses(
        (status = 200, description = "Which they are, or would be", body = DeadLetterSelected),
        (status = 404, description = "There is no such consumer, or no such tenant"),
    )
)]
pub async fn redrive(
    State(app): State<App>,
    scope: Scope,
    Path(name): Path<String>,
    attempt: Attempt,
    body: JsonBody<DeadLetterSelection>,
) -> Result<Response, Problem> {
    decide(&app, &scope, &name, (&attempt, body), Command::Redrive).await
}

/// Throw dead letters away for good; the facts stay in the log. Says which it would be unless `dry_run` is false.
#[utoipa::path(
    post,
    path = "/v1/consumers/{name}/discard",
    tag = "operation",
    operation_id = "consumers_discard",
    params(("name" = String, Path, description = "The consumer's name"), IdempotencyHeader),
    request_body = DeadLetterSelection,
    responses(
        (status = 200, description = "Which they are, or would be", body = DeadLetterSelected),
        (status = 404, description = "There is no such consumer, or no such tenant"),
    )
)]
pub async fn discard(
    State(app): State<App>,
    scope: Scope,
    Path(name): Path<String>,
    attempt: Attempt,
    body: JsonBody<DeadLetterSelection>,
) -> Result<Response, Problem> {
    decide(&app, &scope, &name, (&attempt, body), Command::Discard).await
}

/// Who decided what about a consumer's dead letters, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/consumers/{name}/decisions",
    tag = "operation",
    operation_id = "consumers_decisions",
    params(("name" = String, Path, description = "The consumer's name"), DecisionsQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of decisions", body = Page<DecisionBody>),
        (status = 404, description = "There is no such consumer"),
    )
)]
pub async fn decisions(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(DecisionsQuery { limit, cursor }): Query<DecisionsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let consumer = known(&app, &name)?;
    let view = app.view(at_least).await?;
    let cursors = app.cursors().of("decisions", TenantNumber::SYSTEM).filtered_by(Some(consumer));
    let after = cursor.map(|cursor| cursors.open(&cursor)).transpose()?.map(|place| read_change(&place));
    let mut found = view::choices(&view, consumer, after, limit.get() + 1);
    let more = found.len() > limit.get();
    found.truncate(limit.get());
    let next_cursor = found.last().filter(|_| more).map(|last| cursors.seal(&write_change(last.change)));
    let items: Vec<_> = found.into_iter().map(|choice| decision_body(&view, choice)).collect();
    Ok(Reply::ok(Page { items, next_cursor }).at(view.position()).into_response())
}

async fn decide(
    app: &App,
    scope: &Scope,
    name: &str,
    (attempt, body): (&Attempt, JsonBody<DeadLetterSelection>),
    command: impl Fn(Selection) -> Command,
) -> Result<Response, Problem> {
    let consumer = known(app, name)?;
    let JsonBody { value, bytes } = body;
    let DeadLetterSelection { tenant, key, before, dry_run } = value;
    let view = app.engine().view();
    let selection = selection(&view, consumer, tenant.as_deref(), key, before)?;
    let places = chosen(&view, &selection);
    let (mut count, mut position, mut replayed) = (places.len().min(CHOSEN_MAX), view.position(), false);
    if !dry_run {
        let identified = attempt.identify(scope.caller.actor, &bytes);
        let who = (TenantNumber::SYSTEM, scope.caller.actor);
        let accepted = app.submit(who, identified, COMMAND_BYTES + bytes.len(), command(selection)).await?;
        (position, replayed) = (accepted.position, accepted.replayed);
        count = match accepted.outcome {
            crate::Outcome::Consumers(Outcome::Chosen(count)) => count as usize,
            other => unreachable!("a decision about dead letters is answered with {other:?}"),
        };
    }
    let id = |place: &Place| ChangeId::from(*place).to_text(position.partition);
    let selected = DeadLetterSelected {
        dry_run,
        count: count as u64,
        more: places.len().saturating_sub(count) as u64,
        ids: places.iter().take(count.min(100)).map(id).collect(),
    };
    Ok(Reply::ok(selected).at(position).replayed(replayed).into_response())
}

/// The name of a consumer that this server runs.
fn known(app: &App, name: &str) -> Result<&'static str, Problem> {
    let consumers = app.engine().consumers();
    let found = consumers.iter().map(|status| status.name).find(|known| *known == name);
    found.ok_or_else(|| {
        let detail = format!("There is no consumer \"{}\".", name.escape_debug());
        Rejection::new(Class::Absent, "consumer-not-found", detail).into()
    })
}

fn selection(
    view: &View,
    consumer: &str,
    tenant: Option<&str>,
    key: Option<Uuid>,
    before: Option<Time>,
) -> Result<Selection, Problem> {
    let number = |slug: &str| {
        let open = tenants::tenant_by_slug(view, slug).map(|tenant| tenant.profile.tenant());
        open.or_else(|| tenants::closed_tenant_by_slug(view, slug)).ok_or_else(|| tenant_not_found(slug))
    };
    let (key, before) = (key.map(|key| key.as_u128()), before.map(|before| before.0));
    Ok(Selection { consumer: consumer.to_owned(), tenant: tenant.map(number).transpose()?, key, before })
}

fn letter_body(view: &View, letter: DeadLetterParked) -> DeadLetterBody {
    DeadLetterBody {
        id: letter.place().to_text(view.position().partition),
        decided_at: Time(letter.decided_at),
        tenant: tenants::tenant(view, letter.tenant()).map(|tenant| tenant.profile.slug),
        key: Uuid::from_u128(letter.key),
        attempts: letter.attempts,
        reason: letter.reason,
    }
}

fn decision_body(view: &View, choice: Choice) -> DecisionBody {
    let partition = view.position().partition;
    let (actor, actor_id) = match choice.chosen.by {
        By::System => ("system", None),
        By::Anonymous => ("anonymous", None),
        By::ApiKey(id) => ("api_key", Some(Uuid::from_u128(id))),
        By::User(id) => ("user", Some(Uuid::from_u128(id))),
    };
    let places = choice.chosen.places.into_iter();
    DecisionBody {
        id: choice.change.to_text(partition),
        at: Time(choice.at),
        r#type: if choice.redriven { "redrive" } else { "discard" },
        actor,
        actor_id,
        dead_letters: places.map(|place| ChangeId::from(place).to_text(partition)).collect(),
    }
}
