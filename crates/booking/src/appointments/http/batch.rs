//! The batch of appointments: `POST /v1/tenants/{tenant}/appointments/batch`.
//!
//! Invariant: under an `Idempotency-Key` nothing of a batch is entered before its own key is remembered
//! ([`crate::batches`]).

use std::fmt;

use axum::extract::{Request, State};
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use maitred_core::{Position, Timestamp};
use maitred_engine::{Answer, Unavailable, queue::Pending};
use maitred_web::limits::BATCH_BODY_BYTES_MAX;
use maitred_web::{
    Attempt, Guard, JsonBody, Preconditions, Problem, Reply, Time, idempotency, problem, query,
};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::super::command::Command;
use super::{AppointmentAnswer, AppointmentInput, delete, get, outcome, put, raw, upsert};
use crate::app::{App, Scope};
use crate::parameters::{IdempotencyHeader, TenantPath};
use crate::{Booking, batches};

/// The most items of one batch.
pub const BATCH_ITEMS_MAX: usize = 10_000;
/// How many commands of one batch wait in the queue at once.
const BATCH_WINDOW: usize = 256;
/// The routes of `…/appointments/batch`: the batch, and the appointment whose external id is `batch`.
pub fn routes() -> UtoipaMethodRouter<App> {
    // The document does not have these, from which the router sees which writes read a query.
    let no_query = |request: &mut Request| query::refuse_any(request.uri().query().unwrap_or_default());
    let put = axum::routing::put(put).route_layer(Guard::new(no_query));
    routes!(batch).map(|routes| routes.merge(put).get(get).delete(delete))
}

/// Many upserts at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchInput {
    /// At most 10,000, decided in this order.
    #[schema(max_items = 10000)]
    items: Vec<BatchItem>,
}

/// One upsert of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchItem {
    /// The owner's id.
    #[schema(min_length = 1, max_length = 255)]
    external_id: String,
    /// On what; `default` if absent.
    #[schema(min_length = 1, max_length = 128, default = "default")]
    #[serde(default)]
    resource: Option<String>,
    /// The first instant.
    #[schema(value_type = Time)]
    starts_at: TimeText,
    /// The first instant behind it.
    #[schema(value_type = Time)]
    ends_at: TimeText,
    /// When the owner created it; not after `updated_at`.
    #[schema(value_type = Time)]
    created_at: TimeText,
    /// When the owner changed it last; the newest wins.
    #[schema(value_type = Time)]
    updated_at: TimeText,
    /// A title.
    #[schema(max_length = 200)]
    #[serde(default)]
    title: Option<String>,
    /// Any JSON object; its text has at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
}

/// An instant, or why the text that was sent is none: that is its item's outcome, and not the batch's.
#[derive(Debug)]
struct TimeText(Result<Time, String>);

impl<'de> Deserialize<'de> for TimeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = TimeText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 instant")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeText, E> {
                let parsed = Timestamp::parse_rfc3339(text).map(Time);
                Ok(TimeText(parsed.map_err(|error| error.to_string())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl BatchItem {
    /// The id and the content.
    ///
    /// # Errors
    /// 400 `body-invalid`, naming every time that is none.
    fn into_input(self) -> Result<(String, AppointmentInput), Problem> {
        let Self { external_id, resource, starts_at, ends_at, created_at, updated_at, title, metadata } =
            self;
        match (starts_at.0, ends_at.0, created_at.0, updated_at.0) {
            (Ok(starts_at), Ok(ends_at), Ok(created_at), Ok(updated_at)) => {
                let input = AppointmentInput {
                    resource,
                    starts_at,
                    ends_at,
                    created_at,
                    updated_at,
                    title,
                    metadata,
                };
                Ok((external_id, input))
            }
            (starts_at, ends_at, created_at, updated_at) => {
                let times = [
                    ("/starts_at", starts_at),
                    ("/ends_at", ends_at),
                    ("/created_at", created_at),
                    ("/updated_at", updated_at),
                ];
                let problem = Problem::new(problem::BODY_INVALID, "A time is no RFC 3339 instant.");
                Err(times.into_iter().fold(problem, |problem, (pointer, time)| match time {
                    Ok(_) => problem,
                    Err(detail) => problem.with_field(pointer, detail),
                }))
            }
        }
    }
}

/// One item as a message has it, as a command.
///
/// # Errors
/// [`Problem`] for what is no item, or one that no command can express. Texts and the order of times are the rules'
/// business.
pub fn read_item(json: &[u8]) -> Result<Command, Problem> {
    let item: BatchItem = serde_json::from_slice(json)
        .map_err(|error| Problem::new(problem::BODY_INVALID, format!("{error}.")))?;
    let (external_id, input) = item.into_input()?;
    Ok(Command::Upsert(upsert(external_id, input)?))
}

/// What became of one item of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchAnswerItem {
    /// It was accepted.
    Accepted {
        /// What was done.
        #[serde(flatten)]
        answer: AppointmentAnswer,
        /// True where this is the remembered answer of an earlier attempt; else absent.
        #[schema(required = false)]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
    /// It was refused, or could not be decided; the other items were.
    Refused {
        /// `refused`.
        #[schema(pattern = "^refused$")]
        outcome: &'static str,
        /// Why.
        #[schema(value_type = Problem)]
        problem: Box<RawValue>,
        /// True where this is the remembered answer of an earlier attempt; else absent.
        #[schema(required = false)]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
}

impl BatchAnswerItem {
    /// Whether this request changed something by it.
    fn is_new(&self) -> bool {
        matches!(self, BatchAnswerItem::Accepted { replayed: false, .. })
    }
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// One outcome for each item, in their order.
    items: Vec<BatchAnswerItem>,
}

/// Up to 10,000 upserts, in order; each is accepted or refused on its own, also for a time that is none. The body has
/// at most 8 MiB; where it is not of this shape (a field is unknown, missing or of another type), nothing of it is done.
///
/// With an `Idempotency-Key`, a retry replays what is done and does the rest; items that are replayed say so. Where
/// nothing was left to do, the answer says `Idempotent-Replayed: true`.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/appointments/batch",
    tag = "appointments",
    operation_id = "appointments_batch",
    params(TenantPath, IdempotencyHeader),
    request_body = BatchInput,
    responses((status = 200, description = "What became of each item", body = BatchAnswer))
)]
pub async fn batch(
    State(app): State<App>,
    scope: Scope,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<BatchInput, BATCH_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    refuse_preconditions(&preconditions)?;
    if value.items.len() > BATCH_ITEMS_MAX {
        let detail =
            format!("A batch has at most {BATCH_ITEMS_MAX} items; this one has {}.", value.items.len());
        return Err(Problem::field_refused("/items", detail));
    }
    let key = attempt.identify(scope.caller.actor, &bytes);
    let item_bytes = bytes.len() / value.items.len().max(1);
    drop(bytes);
    let mut position = None;
    let begun_before = match key {
        // Whatever else the key was used for, this request writes nothing then.
        Some(_) => {
            let begun = app.submit(scope.who(), key, 64, batches::Command::Begin).await?;
            position = Some(begun.position);
            begun.replayed
        }
        None => false,
    };
    let mut answers = Vec::with_capacity(value.items.len());
    let mut pending = std::collections::VecDeque::with_capacity(BATCH_WINDOW);
    for (i, item) in value.items.into_iter().enumerate() {
        if pending.len() == BATCH_WINDOW {
            let done = pending.pop_front().expect("the window is full");
            answers.push(settle(done, &mut position).await);
        }
        let key = key.map(|key| idempotency::derived(key, i as u32));
        let entered = item
            .into_input()
            .and_then(|(external_id, input)| upsert(external_id, input))
            .and_then(|command| Ok(app.enter(scope.who(), key, item_bytes, Command::Upsert(command))?));
        pending.push_back(entered);
    }
    for done in pending {
        answers.push(settle(done, &mut position).await);
    }
    let replayed = begun_before && !answers.iter().any(BatchAnswerItem::is_new);
    let reply = Reply::ok(BatchAnswer { items: answers }).replayed(replayed);
    Ok(match position {
        Some(position) => reply.at(position).into_response(),
        None => reply.into_response(),
    })
}

/// Refuses a batch that is meant to be conditional: there is no one record whose version could be compared.
fn refuse_preconditions(preconditions: &Preconditions) -> Result<(), Problem> {
    let header = match preconditions {
        Preconditions { if_match: Some(_), .. } => IF_MATCH,
        Preconditions { if_none_match: Some(_), .. } => IF_NONE_MATCH,
        _ => return Ok(()),
    };
    let detail =
        "A batch has no version. Leave the header out, or send each appointment by a PUT of its own.";
    Err(Problem::header_invalid(problem::PRECONDITION_INVALID, &header, detail))
}

/// Waits for one item's answer.
async fn settle(
    entered: Result<Pending<Booking>, Problem>,
    position: &mut Option<Position>,
) -> BatchAnswerItem {
    let answer = match entered {
        Ok(pending) => pending.await.unwrap_or(Err(Unavailable::Unknown)).map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    let (problem, replayed) = match answer {
        Ok(Answer { result, position: at, replayed, .. }) => {
            *position = Some(at);
            match result {
                Ok(accepted) => {
                    return BatchAnswerItem::Accepted { answer: outcome(accepted).into(), replayed };
                }
                Err(rejection) => (rejection.into(), replayed),
            }
        }
        Err(problem) => (problem, false),
    };
    BatchAnswerItem::Refused { outcome: "refused", problem: raw(problem.to_json(None)), replayed }
}
