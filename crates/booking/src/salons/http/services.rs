//! `/v1/tenants/{tenant}/services…`.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::{ProcessingBody, ServiceBody};
use super::records::{self, Routed, record_routes, yes};
use super::{ListQuery, OneQuery, RecordVersion};
use crate::app::{App, Scope};
use crate::flash_sales::Versioned;
use crate::json::given;
use crate::money::{Money, MoneyBody};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, ServiceDetails, ServicePatch, TimePatch};
use crate::salons::fact::{Service, ServiceTime};
use crate::salons::rules::{Effect, Outcome};
use crate::violation::refuse_any;

/// A service to be brought in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// How long the client is there, a processing gap included.
    #[schema(minimum = 1, maximum = 1440)]
    duration_minutes: u32,
    /// What employee and resource need before it.
    #[schema(maximum = 240, default = 0)]
    #[serde(default)]
    buffer_before_minutes: u32,
    /// What they need after it.
    #[schema(maximum = 240, default = 0)]
    #[serde(default)]
    buffer_after_minutes: u32,
    /// The gap in which the client sits and the employee is free.
    #[serde(default)]
    processing: Option<ProcessingBody>,
    /// What it costs.
    price: MoneyBody,
    /// The kind of resource that it takes for the whole duration.
    #[schema(min_length = 1, max_length = 50, example = "chair")]
    #[serde(default)]
    needs_resource: Option<String>,
    /// Whether it can be booked.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

/// New values of a service's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServicePatch)]
pub struct ServicePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The duration.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 1440)]
    #[serde(default, deserialize_with = "given")]
    duration_minutes: Option<u32>,
    /// The buffer before it.
    #[schema(value_type = u32, required = false, maximum = 240)]
    #[serde(default, deserialize_with = "given")]
    buffer_before_minutes: Option<u32>,
    /// The buffer after it.
    #[schema(value_type = u32, required = false, maximum = 240)]
    #[serde(default, deserialize_with = "given")]
    buffer_after_minutes: Option<u32>,
    /// The processing gap; null takes it away.
    #[schema(value_type = Option<ProcessingBody>)]
    #[serde(default, deserialize_with = "given")]
    processing: Option<Option<ProcessingBody>>,
    /// The price. Bookings that are there keep theirs.
    #[schema(value_type = MoneyBody, required = false)]
    #[serde(default, deserialize_with = "given")]
    price: Option<MoneyBody>,
    /// The kind of resource; null: none.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50)]
    #[serde(default, deserialize_with = "given")]
    needs_resource: Option<Option<String>>,
    /// Whether it can be booked.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

impl ServiceInput {
    fn details(self) -> Result<ServiceDetails, Problem> {
        let time = ServiceTime {
            duration_minutes: self.duration_minutes,
            buffer_before_minutes: self.buffer_before_minutes,
            buffer_after_minutes: self.buffer_after_minutes,
            processing: self.processing.map(Into::into),
        };
        let ServiceInput { name, price, needs_resource, active, .. } = self;
        Ok(ServiceDetails { name, time, price: money(&price)?, needs_resource, active })
    }
}

impl ServicePatchInput {
    fn patch(self) -> Result<ServicePatch, Problem> {
        let time = TimePatch {
            duration_minutes: self.duration_minutes,
            buffer_before_minutes: self.buffer_before_minutes,
            buffer_after_minutes: self.buffer_after_minutes,
            processing: self.processing.map(|processing| processing.map(Into::into)),
        };
        let ServicePatchInput { name, price, needs_resource, active, .. } = self;
        let price = price.as_ref().map(money).transpose()?;
        Ok(ServicePatch { name, time, price, needs_resource, active })
    }
}

fn money(body: &MoneyBody) -> Result<Money, Problem> {
    body.to_price()
        .map_err(|violation| Problem::from(refuse_any(&[violation]).expect_err("a violation is refused")))
}

impl Routed for Service {
    type Body = ServiceBody;
    type Input = ServiceInput;
    type Patch = ServicePatchInput;
    const PATH: &'static str = "services";

    fn create(input: ServiceInput) -> Result<Command, Problem> {
        Ok(Command::CreateService(input.details()?))
    }

    fn update(id: Uuid, patch: ServicePatchInput, if_version: Option<u64>) -> Result<Command, Problem> {
        Ok(Command::UpdateService(Change { id, what: patch.patch()?, if_version }))
    }

    fn delete(change: Change<Uuid, ()>) -> Command {
        Command::DeleteService(change)
    }

    fn told(outcome: Outcome) -> Option<(Effect, Versioned<Service>)> {
        match outcome {
            Outcome::Service(effect, found) => Some((effect, found)),
            _ => None,
        }
    }
}

record_routes! {
    Service, ServiceBody, ServiceInput, ServicePatchInput;
    "/v1/tenants/{tenant}/services",
    "/v1/tenants/{tenant}/services/{id}",
    "/v1/tenants/{tenant}/services/{id}/versions";
    "service", "a service", "services";
    create: "Bring in a service.";
    delete: "Take a service away for good; its history stays.";
}
