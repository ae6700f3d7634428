//! `/v1/tenants/{tenant}/employees/{id}/shifts`, `…/absences` and `…/shift-exceptions`. Next: [`super::shifts`] for what
//! they mean as instants.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::PlanBody;
use super::clock::{LocalDate, TimeOfDay};
use super::{ListQuery, OneQuery, RecordVersion, no_versions, read_reply, submit, versions_of, write_reply};
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, PlanChange};
use crate::salons::fact::Employee;
use crate::salons::plan::{AbsenceState, AbsenceTime, Day, DayTime, Pattern, PlanState};
use crate::salons::rules::Outcome;
use crate::salons::view;

/// A span of a day in local time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DaySpan)]
pub struct DaySpanBody {
    /// 00:00 to 23:59.
    from: TimeOfDay,
    /// At or before `from` it is a time of the day after: 22:00 to 06:00 is a night.
    to: TimeOfDay,
}

/// The spans of each day of a week; a day that is left out has none.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = WeekDays)]
pub struct WeekBody {
    #[schema(max_items = 10)]
    monday: Vec<DaySpanBody>,
    #[schema(max_items = 10)]
    tuesday: Vec<DaySpanBody>,
    #[schema(max_items = 10)]
    wednesday: Vec<DaySpanBody>,
    #[schema(max_items = 10)]
    thursday: Vec<DaySpanBody>,
    #[schema(max_items = 10)]
    friday: Vec<DaySpanBody>,
    #[schema(max_items = 10)]
    saturday: Vec<DaySpanBody>,
    #[schema(max_items = 10)]
    sunday: Vec<DaySpanBody>,
}

/// A week that comes again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WeeklyPattern)]
pub struct PatternBody {
    /// The first day that it is valid on.
    valid_from: LocalDate,
    /// The first day that it is not valid on any more.
    #[serde(default)]
    valid_to: Option<LocalDate>,
    /// 1 is every week, 2 every other one, counted from the ISO week of `valid_from`.
    #[serde(default = "every_week")]
    #[schema(minimum = 1, maximum = 52, default = 1)]
    every_weeks: u16,
    /// In local time.
    days: WeekBody,
}

fn every_week() -> u16 {
    1
}

/// A day whose spans are these, whatever the patterns say.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ShiftException)]
pub struct ExceptionBody {
    date: LocalDate,
    /// None of them: a day without a shift.
    spans: Vec<DaySpanBody>,
}

/// A time in which an employee is away: whole days, or between two instants.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Absence)]
pub struct AbsenceBody {
    id: Uuid,
    /// The first local day.
    from: Option<LocalDate>,
    /// The first local day after it.
    to: Option<LocalDate>,
    starts_at: Option<Time>,
    ends_at: Option<Time>,
    /// For people.
    reason: Option<String>,
}

impl From<DaySpanBody> for DayTime {
    fn from(span: DaySpanBody) -> Self {
        DayTime { from_minute: span.from.0, to_minute: span.to.0 }
    }
}

impl From<DayTime> for DaySpanBody {
    fn from(time: DayTime) -> Self {
        DaySpanBody { from: TimeOfDay(time.from_minute), to: TimeOfDay(time.to_minute) }
    }
}

fn times(spans: Vec<DaySpanBody>) -> Vec<DayTime> {
    spans.into_iter().map(DayTime::from).collect()
}

fn spans(times: Vec<DayTime>) -> Vec<DaySpanBody> {
    times.into_iter().map(DaySpanBody::from).collect()
}

impl From<PatternBody> for Pattern {
    fn from(body: PatternBody) -> Self {
        let WeekBody { monday, tuesday, wednesday, thursday, friday, saturday, sunday } = body.days;
        Pattern {
            valid_from: Day::of(body.valid_from.0),
            valid_to: body.valid_to.map(|date| Day::of(date.0)),
            every_weeks: body.every_weeks,
            days: [monday, tuesday, wednesday, thursday, friday, saturday, sunday].map(times),
        }
    }
}

impl From<Pattern> for PatternBody {
    fn from(pattern: Pattern) -> Self {
        let [monday, tuesday, wednesday, thursday, friday, saturday, sunday] = pattern.days.map(spans);
        PatternBody {
            valid_from: LocalDate(pattern.valid_from.date()),
            valid_to: pattern.valid_to.map(|day| LocalDate(day.date())),
            every_weeks: pattern.every_weeks,
            days: WeekBody { monday, tuesday, wednesday, thursday, friday, saturday, sunday },
        }
    }
}

impl From<(Day, Vec<DayTime>)> for ExceptionBody {
    fn from((day, times): (Day, Vec<DayTime>)) -> Self {
        ExceptionBody { date: LocalDate(day.date()), spans: spans(times) }
    }
}

impl From<AbsenceState> for AbsenceBody {
    fn from(AbsenceState { id, time, reason }: AbsenceState) -> Self {
        let (from, to, starts_at, ends_at) = match time {
            AbsenceTime::Days(from, to) => {
                (Some(LocalDate(from.date())), Some(LocalDate(to.date())), None, None)
            }
            AbsenceTime::Instants(from, to) => (None, None, Some(Time(from)), Some(Time(to))),
        };
        AbsenceBody { id, from, to, starts_at, ends_at, reason }
    }
}

impl From<ExceptionBody> for (Day, Vec<DayTime>) {
    fn from(body: ExceptionBody) -> Self {
        (Day::of(body.date.0), times(body.spans))
    }
}

impl AbsenceBody {
    /// What it shows; `None` where it is neither in days nor between instants.
    pub fn state(self) -> Option<AbsenceState> {
        let time = absence_time((self.from, self.to), (self.starts_at, self.ends_at))?;
        Some(AbsenceState { id: self.id, time, reason: self.reason })
    }
}

/// The time that two days or two instants mean, and never some of both.
fn absence_time(
    days: (Option<LocalDate>, Option<LocalDate>),
    instants: (Option<Time>, Option<Time>),
) -> Option<AbsenceTime> {
    match (days, instants) {
        ((Some(from), Some(to)), (None, None)) => Some(AbsenceTime::Days(Day::of(from.0), Day::of(to.0))),
        ((None, None), (Some(from), Some(to))) => Some(AbsenceTime::Instants(from.0, to.0)),
        _ => None,
    }
}

/// All the weekly patterns of an employee.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftsInput {
    /// Several may be valid at a time; none is nobody's shift.
    #[schema(max_items = 20)]
    patterns: Vec<PatternBody>,
}

/// When an employee is away: `from` and `to`, or `starts_at` and `ends_at`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AbsenceInput {
    /// The first local day.
    #[serde(default)]
    from: Option<LocalDate>,
    /// The first local day after it.
    #[serde(default)]
    to: Option<LocalDate>,
    #[serde(default)]
    starts_at: Option<Time>,
    #[serde(default)]
    ends_at: Option<Time>,
    /// For people.
    #[schema(max_length = 2000)]
    #[serde(default)]
    reason: Option<String>,
}

/// The spans of a day.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftExceptionInput {
    /// None of them: a day without a shift.
    #[schema(max_items = 10)]
    spans: Vec<DaySpanBody>,
}

async fn change(
    (app, scope): (&App, &Scope),
    employee: Uuid,
    what: PlanChange,
    preconditions: Option<&Preconditions>,
    (attempt, bytes): (&Attempt, &[u8]),
) -> Result<Response, Problem> {
    let current = || Some(view::plan(&app.engine().view(), scope.tenant, employee, None).version);
    let if_version = preconditions.map_or(Ok(None), |wanted| version_wanted(wanted, current))?;
    let command = Command::ChangePlan(Change { id: employee, what, if_version });
    let Accepted { outcome, position, replayed } = submit(app, scope, attempt, bytes, command).await?;
    let Outcome::Plan(effect, plan) = outcome else {
        unreachable!("a change of a shift plan is answered with {outcome:?}");
    };
    let said = (effect, plan.version, PlanBody::from(plan));
    let path = || format!("employees/{employee}/shifts");
    Ok(write_reply(app, scope.tenant, said, path, (position, replayed)))
}

/// Set the weekly patterns of an employee. Exceptions and absences stay.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/employees/{id}/shifts",
    tag = "salons",
    operation_id = "shifts_put",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), IfMatchHeader, IdempotencyHeader),
    request_body = ShiftsInput,
    responses(
        (status = 200, description = "The shift plan as it is now", body = PlanBody),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn put_shifts(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ShiftsInput>,
) -> Result<Response, Problem> {
    let patterns = value.patterns.into_iter().map(Pattern::from).collect();
    let what = PlanChange::SetPatterns(patterns);
    change((&app, &scope), employee, what, Some(&preconditions), (&attempt, &bytes)).await
}

/// The shift plan of an employee: patterns, exceptions and absences.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/employees/{id}/shifts",
    tag = "salons",
    operation_id = "shifts_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The shift plan", body = PlanBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "There is no such employee, or was none then"),
    )
)]
pub async fn get_shifts(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee)): Path<(String, Uuid)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
    preconditions: Preconditions,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    let as_of = app.as_of(&view, query.as_of)?;
    view::get::<Employee>(&view, scope.tenant, employee, as_of)
        .ok_or_else(|| Problem::not_found("employee"))?;
    let plan = view::plan(&view, scope.tenant, employee, as_of);
    Ok(read_reply((plan.version, PlanBody::from(plan)), view.position(), &preconditions))
}

/// Every version of an employee's shift plan, the oldest first: patterns, exceptions and absences as they were.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/employees/{id}/shifts/versions",
    tag = "salons",
    operation_id = "shifts_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<PlanBody>>),
        (status = 404, description = "There was never such an employee"),
    )
)]
pub async fn shift_versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let record = (view::plan_record(scope.tenant, employee), employee);
    let found = versions_of::<PlanState, PlanBody>(&app, record, &query, at_least).await?;
    if let Some(page) = found {
        return Ok(page);
    }
    let view = app.engine().view();
    view::any::<Employee>(&view, scope.tenant, employee, None)
        .ok_or_else(|| Problem::not_found("employee"))?;
    Ok(no_versions::<PlanBody>(view.position()))
}

/// Note that an employee is away.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/employees/{id}/absences",
    tag = "salons",
    operation_id = "absences_create",
    params(TenantPath, ("id" = Uuid, Path, description = "The employee's id"), IdempotencyHeader),
    request_body = AbsenceInput,
    responses((status = 200, description = "The shift plan as it is now", body = PlanBody))
)]
pub async fn create_absence(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee)): Path<(String, Uuid)>,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<AbsenceInput>,
) -> Result<Response, Problem> {
    let time = absence_time((value.from, value.to), (value.starts_at, value.ends_at));
    let time = time.ok_or_else(|| {
        Problem::field_refused("/from", "from and to, or starts_at and ends_at, are required")
    })?;
    let what = PlanChange::AddAbsence { time, reason: value.reason };
    change((&app, &scope), employee, what, None, (&attempt, &bytes)).await
}

/// Take an absence back.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/employees/{id}/absences/{absence}",
    tag = "salons",
    operation_id = "absences_delete",
    params(
        TenantPath,
        ("id" = Uuid, Path, description = "The employee's id"),
        ("absence" = Uuid, Path, description = "The absence's id"),
        IdempotencyHeader,
    ),
    responses(
        (status = 200, description = "The shift plan as it is now", body = PlanBody),
        (status = 404, description = "There is no such employee or absence"),
    )
)]
pub async fn delete_absence(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee, absence)): Path<(String, Uuid, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    change((&app, &scope), employee, PlanChange::RemoveAbsence(absence), None, (&attempt, &[])).await
}

/// Set the spans of one day, whatever the patterns say.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant}/employees/{id}/shift-exceptions/{date}",
    tag = "salons",
    operation_id = "shift_exceptions_put",
    params(
        TenantPath,
        ("id" = Uuid, Path, description = "The employee's id"),
        ("date" = LocalDate, Path, description = "The local day"),
        IdempotencyHeader,
    ),
    request_body = ShiftExceptionInput,
    responses((status = 200, description = "The shift plan as it is now", body = PlanBody))
)]
pub async fn put_exception(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee, date)): Path<(String, Uuid, LocalDate)>,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ShiftExceptionInput>,
) -> Result<Response, Problem> {
    let what = PlanChange::SetException(Day::of(date.0), times(value.spans));
    change((&app, &scope), employee, what, None, (&attempt, &bytes)).await
}

/// Let the patterns hold again on a day.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/employees/{id}/shift-exceptions/{date}",
    tag = "salons",
    operation_id = "shift_exceptions_delete",
    params(
        TenantPath,
        ("id" = Uuid, Path, description = "The employee's id"),
        ("date" = LocalDate, Path, description = "The local day"),
        IdempotencyHeader,
    ),
    responses((status = 200, description = "The shift plan as it is now", body = PlanBody))
)]
pub async fn delete_exception(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, employee, date)): Path<(String, Uuid, LocalDate)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let what = PlanChange::RemoveException(Day::of(date.0));
    change((&app, &scope), employee, what, None, (&attempt, &[])).await
}
