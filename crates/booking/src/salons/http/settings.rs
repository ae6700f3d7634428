//! `/v1/tenants/{tenant}/salon-settings`.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::{BuffersName, SettingsBody};
use super::{ListQuery, OneQuery, RecordVersion, no_versions, read_reply, submit, versions_of, write_reply};
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, SettingsPatch};
use crate::salons::fact::Settings;
use crate::salons::rules::Outcome;
use crate::salons::view;

/// New values of a salon's settings; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SalonSettingsPatch)]
pub struct SettingsPatchInput {
    /// Starts are multiples of this after local midnight.
    #[schema(value_type = u32, required = false, minimum = 5, maximum = 60)]
    #[serde(default, deserialize_with = "given")]
    step_minutes: Option<u32>,
    /// How far two visits stay apart.
    #[schema(value_type = BuffersName, required = false)]
    #[serde(default, deserialize_with = "given")]
    buffers: Option<BuffersName>,
    /// Whether buffers may lie outside of shifts.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    buffers_may_leave_shift: Option<bool>,
    /// A visit starts at least this long after it is booked.
    #[schema(value_type = u32, required = false, maximum = 86_400)]
    #[serde(default, deserialize_with = "given")]
    min_notice_minutes: Option<u32>,
    /// A visit starts less than this many times 24 hours after it is booked.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 731)]
    #[serde(default, deserialize_with = "given")]
    max_horizon_days: Option<u32>,
    /// How long a freed time is held for whoever waits for it.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 1440)]
    #[serde(default, deserialize_with = "given")]
    offer_minutes: Option<u32>,
}

/// A salon's rules for offering time. Its time zone is the tenant's.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/salon-settings",
    tag = "salons",
    operation_id = "salon_settings_get",
    params(TenantPath, OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The settings", body = SettingsBody),
        (status = 304, description = "The client has them"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    let found = view::settings(&view, scope.tenant, as_of);
    Ok(read_reply((found.version, SettingsBody::from(found)), view.position(), &preconditions))
}

/// Every version of a salon's rules, the oldest first: none while nobody has changed them.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/salon-settings/versions",
    tag = "salons",
    operation_id = "salon_settings_versions",
    params(TenantPath, ListQuery, PositionHeader),
    responses((status = 200, description = "A page of versions", body = Page<RecordVersion<SettingsBody>>))
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let record = (view::settings_record(scope.tenant), Uuid::nil());
    let found = versions_of::<Settings, SettingsBody>(&app, record, &query, at_least).await?;
    Ok(found.unwrap_or_else(|| no_versions::<SettingsBody>(app.engine().position())))
}

/// Change a salon's rules: what is absent stays. Bookings that are there stay as they are.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/salon-settings",
    tag = "salons",
    operation_id = "salon_settings_update",
    params(TenantPath, IfMatchHeader, IdempotencyHeader),
    request_body = SettingsPatchInput,
    responses(
        (status = 200, description = "The settings as they are now", body = SettingsBody),
        (status = 412, description = "They are at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<SettingsPatchInput>,
) -> Result<Response, Problem> {
    let current = || Some(view::settings(&app.engine().view(), scope.tenant, None).version);
    let if_version = version_wanted(&preconditions, current)?;
    let what = SettingsPatch {
        step_minutes: value.step_minutes,
        buffers: value.buffers.map(Into::into),
        buffers_may_leave_shift: value.buffers_may_leave_shift,
        min_notice_minutes: value.min_notice_minutes,
        max_horizon_days: value.max_horizon_days,
        offer_minutes: value.offer_minutes,
    };
    let command = Command::ChangeSettings(Change { id: (), what, if_version });
    let Accepted { outcome, position, replayed } = submit(&app, &scope, &attempt, &bytes, command).await?;
    let Outcome::Settings(effect, found) = outcome else {
        unreachable!("a change of settings is answered with {outcome:?}");
    };
    let said = (effect, found.version, SettingsBody::from(found));
    Ok(write_reply(&app, scope.tenant, said, || "salon-settings".to_owned(), (position, replayed)))
}
