//! `/v1/tenants/{tenant}/availability`.

use std::borrow::Cow;
use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_core::TenantNumber;
use maitred_web::{AtLeast, Problem, Query, Reply, Time};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::aside;
use super::clock::LocalDate;
use super::shifts::days;
use crate::app::{App, Scope};
use crate::parameters::{PositionHeader, TenantPath};
use crate::salons::calculus::{Offer, SERVICES_IN_A_ROW_MAX};
use crate::salons::command::WantedItem;
use crate::salons::gather::{Asked, Wanted, zone};
use crate::salons::offers::{self, Days};
use crate::salons::view;

/// The most starts of one answer.
pub const SLOTS_MAX: usize = 100_000;

/// Who is to do a service: an employee's id, or `any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmployeeChoice {
    /// Whoever suits best.
    #[default]
    Any,
    /// This employee.
    One(Uuid),
}

impl EmployeeChoice {
    /// The employee, if it is one.
    pub fn id(self) -> Option<Uuid> {
        match self {
            EmployeeChoice::Any => None,
            EmployeeChoice::One(id) => Some(id),
        }
    }
}

impl<'de> Deserialize<'de> for EmployeeChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = EmployeeChoice;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the id of an employee, or any")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<EmployeeChoice, E> {
                if text == "any" {
                    return Ok(EmployeeChoice::Any);
                }
                let id = Uuid::try_parse(text);
                id.map(EmployeeChoice::One).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl PartialSchema for EmployeeChoice {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^any$|^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))
            .description(Some("The id of an employee, or `any`"))
            .examples(["any"])
            .into()
    }
}

impl ToSchema for EmployeeChoice {
    fn name() -> Cow<'static, str> {
        "EmployeeChoice".into()
    }
}

/// Whether starts come once for each employee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExpandEmployees {
    /// A start comes once for every employee who can do the first service.
    Employees,
}

/// Which starts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AvailabilityQuery {
    /// What is to be done, one after another: 1 to 10 services.
    #[param(min_items = 1, max_items = 10)]
    service_id: Vec<Uuid>,
    /// By whom all of it is to be done: an id, or `any`.
    #[param(inline)]
    #[serde(default)]
    employee_id: EmployeeChoice,
    /// The first local day of the starts.
    #[param(inline)]
    from: LocalDate,
    /// The first local day behind them; at most 366 days later.
    #[param(inline)]
    to: LocalDate,
    /// A multiple of the salon's step, to be offered fewer starts.
    #[param(minimum = 5, maximum = 1440)]
    #[serde(default)]
    step_minutes: Option<u32>,
    /// `employees`: each start once for every employee, and not only with the one who suits best.
    #[param(inline)]
    #[serde(default)]
    expand: Option<ExpandEmployees>,
}

/// What can start when, and with whom.
#[derive(Debug, Serialize, ToSchema)]
pub struct Availability {
    /// Where local days and times are meant.
    time_zone: String,
    /// By start, then employee.
    slots: Vec<Slot>,
}

/// A start that can be booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Slot {
    starts_at: Time,
    ends_at: Time,
    /// Who does the first service.
    employee_id: Uuid,
    /// Who does each service, where several are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<SlotItem>,
}

/// A service of a start that can be booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SlotItem {
    service_id: Uuid,
    employee_id: Uuid,
    starts_at: Time,
    ends_at: Time,
}

impl Slot {
    /// An offer of these services.
    pub(super) fn new(offer: &Offer, wanted: &[Wanted]) -> Self {
        let items = offer.items.iter().zip(wanted).map(|(allotted, wanted)| SlotItem {
            service_id: wanted.service.id,
            employee_id: Uuid::from_u128(allotted.employee),
            starts_at: Time(allotted.span.starts_at),
            ends_at: Time(allotted.span.ends_at),
        });
        Slot {
            starts_at: Time(offer.span.starts_at),
            ends_at: Time(offer.span.ends_at),
            employee_id: offer.items.first().map_or(Uuid::nil(), |first| Uuid::from_u128(first.employee)),
            items: if wanted.len() > 1 { items.collect() } else { Vec::new() },
        }
    }
}

/// What can start when, and with whom.
///
/// Starts are aligned in local time from midnight to the salon's step. A local time that a change of clocks skips
/// is moved forward by the gap; of one that comes twice the first is meant (RFC 5545, 3.3.5). Whatever is offered can be
/// booked by `POST …/bookings` with the same services and employee, and nothing else can. An answer has at most 100,000
/// starts: a year of several employees at a short step has more, and is asked for in parts.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/availability",
    tag = "salons",
    operation_id = "availability_get",
    params(TenantPath, AvailabilityQuery, PositionHeader),
    responses(
        (status = 200, description = "The starts", body = Availability),
        (status = 400, description = "`query-invalid`: the days, the step or the services are not as they may be, or there are more than 100,000 starts"),
        (status = 404, description = "There is no such service or employee, or it cannot be booked"),
    )
)]
pub async fn get(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<AvailabilityQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    days(query.from, query.to)?;
    if !(1..=SERVICES_IN_A_ROW_MAX).contains(&query.service_id.len()) {
        let detail = format!("1 to {SERVICES_IN_A_ROW_MAX} services can be asked for");
        return Err(Problem::query_invalid("service_id", detail));
    }
    let view = app.view(at_least).await?;
    let tenant: TenantNumber = scope.tenant;
    let step = view::settings(&view, tenant, None).is.step_minutes;
    if query.step_minutes.is_some_and(|asked| asked == 0 || asked % step != 0 || asked > 1_440) {
        let detail = format!("must be a multiple of the salon's step, which is {step}, and at most 1440");
        return Err(Problem::query_invalid("step_minutes", detail));
    }
    let employee = query.employee_id.id();
    let items: Vec<WantedItem> =
        query.service_id.iter().map(|service| WantedItem { service: *service, employee }).collect();
    let wanted = offers::wanted(&view, tenant, &items);
    let wanted = wanted.ok_or_else(|| Problem::not_found("service or employee that can be booked"))?;
    let now = app.engine().now().max(view.timestamp());
    let days = Days {
        from: query.from.0,
        to: query.to.0,
        step_minutes: query.step_minutes,
        each_employee: query.expand.is_some(),
    };
    let employee_days = aside::employee_days(&view, tenant, (query.from.0, query.to.0), employee, None);
    let answer = move || {
        let asked = Asked { view: &view, tenant, now, except: None };
        let slots = slots(&asked, &wanted, &days)?;
        let time_zone = zone(&view, tenant).iana_name().unwrap_or("UTC").to_owned();
        Ok(Reply::ok(Availability { time_zone, slots }).at(view.position()).into_response())
    };
    aside::work_out(employee_days, answer).await?
}

/// All starts, unless there are more than one answer has.
fn slots(asked: &Asked<'_>, wanted: &[Wanted], days: &Days) -> Result<Vec<Slot>, Problem> {
    let mut slots = Vec::new();
    let mut too_many = false;
    offers::offers(asked, wanted, days, |offer| {
        too_many = slots.len() == SLOTS_MAX;
        if too_many {
            return ControlFlow::Break(());
        }
        slots.push(Slot::new(offer, wanted));
        ControlFlow::Continue(())
    });
    if too_many {
        let detail =
            format!("there are more than {SLOTS_MAX} starts; ask for fewer days, or for a longer step");
        return Err(Problem::query_invalid("to", detail));
    }
    Ok(slots)
}
