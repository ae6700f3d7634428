//! `/v1/tenants/{tenant}/resources…`.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::ResourceBody;
use super::records::{self, Routed, record_routes, yes};
use super::{ListQuery, OneQuery, RecordVersion};
use crate::app::{App, Scope};
use crate::flash_sales::Versioned;
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, ResourceDetails, ResourcePatch};
use crate::salons::fact::Resource;
use crate::salons::rules::{Effect, Outcome};

/// A resource to be brought in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it is: services need a resource of a kind.
    #[schema(min_length = 1, max_length = 50, example = "chair")]
    kind: String,
    /// Whether it can be booked.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

/// New values of a resource's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResourcePatch)]
pub struct ResourcePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The kind.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 50)]
    #[serde(default, deserialize_with = "given")]
    kind: Option<String>,
    /// Whether it can be booked.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

impl ResourceInput {
    fn details(self) -> ResourceDetails {
        let ResourceInput { name, kind, active } = self;
        ResourceDetails { name, kind, active }
    }
}

impl ResourcePatchInput {
    fn patch(self) -> ResourcePatch {
        let ResourcePatchInput { name, kind, active } = self;
        ResourcePatch { name, kind, active }
    }
}

impl Routed for Resource {
    type Body = ResourceBody;
    type Input = ResourceInput;
    type Patch = ResourcePatchInput;
    const PATH: &'static str = "resources";

    fn create(input: ResourceInput) -> Result<Command, Problem> {
        Ok(Command::CreateResource(input.details()))
    }

    fn update(id: Uuid, patch: ResourcePatchInput, if_version: Option<u64>) -> Result<Command, Problem> {
        Ok(Command::UpdateResource(Change { id, what: patch.patch(), if_version }))
    }

    fn delete(change: Change<Uuid, ()>) -> Command {
        Command::DeleteResource(change)
    }

    fn told(outcome: Outcome) -> Option<(Effect, Versioned<Resource>)> {
        match outcome {
            Outcome::Resource(effect, found) => Some((effect, found)),
            _ => None,
        }
    }
}

record_routes! {
    Resource, ResourceBody, ResourceInput, ResourcePatchInput;
    "/v1/tenants/{tenant}/resources",
    "/v1/tenants/{tenant}/resources/{id}",
    "/v1/tenants/{tenant}/resources/{id}/versions";
    "resource", "a resource", "resources";
    create: "Bring in a resource: a chair, a room.";
    delete: "Take a resource away for good; its history stays.", in_use: "There are bookings ahead";
}
