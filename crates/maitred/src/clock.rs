//! An operator's word that the machine's clock is right.
//!
//! A wall clock that ran ahead of the monotonic one stops writes, since every later batch would have to stay above
//! it; see [`maitred_engine::clock::ClockGuard`]. Only somebody who has looked at another clock can tell.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_booking::app::App;
use maitred_web::{Reply, Time};
use serde::Serialize;
use utoipa::ToSchema;

/// What was believed of the clock, and what is believed now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockConfirmed {
    /// Whether writes were refused because of it.
    was_suspect: bool,
    /// What the clock was thought to be: where it stood at the last write, and the time that has passed since.
    expected: Time,
    /// What it is, which is believed from now on.
    now: Time,
}

/// Confirm that the machine's clock is right, after it jumped ahead: writes that were refused with `clock-suspect` go
/// on. Harmless when repeated, so it takes no idempotency key. Every later write is stamped with a later time: look
/// at another clock first.
#[utoipa::path(
    post,
    path = "/v1/clock/confirm",
    tag = "operation",
    operation_id = "clock_confirm",
    responses((status = 200, description = "The clock is believed", body = ClockConfirmed))
)]
pub async fn confirm(State(app): State<App>) -> Response {
    let confirmed = app.engine().confirm_clock();
    let (was_suspect, expected, now) = (confirmed.was_suspect(), confirmed.expected, confirmed.now);
    tracing::warn!(
        clock.was_suspect = was_suspect,
        clock.expected = %expected,
        clock.now = %now,
        "an operator confirmed the clock: {now}, where {expected} was expected"
    );
    Reply::ok(ClockConfirmed { was_suspect, expected: Time(expected), now: Time(now) }).into_response()
}
