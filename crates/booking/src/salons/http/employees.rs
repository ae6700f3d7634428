//! `/v1/tenants/{tenant}/employees…`.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::EmployeeBody;
use super::records::{self, Routed, record_routes, yes};
use super::{ListQuery, OneQuery, RecordVersion};
use crate::app::{App, Scope};
use crate::flash_sales::Versioned;
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, EmployeeDetails, EmployeePatch};
use crate::salons::fact::Employee;
use crate::salons::rules::{Effect, Outcome};

/// An employee to be taken on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmployeeInput {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The ids of the services that they do.
    #[schema(max_items = 200)]
    #[serde(default)]
    skills: Vec<Uuid>,
    /// For calendars.
    #[schema(pattern = "^#[0-9A-Fa-f]{6}$")]
    #[serde(default)]
    colour: Option<String>,
    /// Whether it can be booked.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

/// New values of an employee's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmployeePatch)]
pub struct EmployeePatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// All the skills.
    #[schema(value_type = Vec<Uuid>, required = false, max_items = 200)]
    #[serde(default, deserialize_with = "given")]
    skills: Option<Vec<Uuid>>,
    /// The colour; null takes it away.
    #[schema(value_type = Option<String>, pattern = "^#[0-9A-Fa-f]{6}$")]
    #[serde(default, deserialize_with = "given")]
    colour: Option<Option<String>>,
    /// Whether it can be booked.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

impl EmployeeInput {
    fn details(self) -> EmployeeDetails {
        let EmployeeInput { name, skills, colour, active } = self;
        EmployeeDetails { name, skills, colour, active }
    }
}

impl EmployeePatchInput {
    fn patch(self) -> EmployeePatch {
        let EmployeePatchInput { name, skills, colour, active } = self;
        EmployeePatch { name, skills, colour, active }
    }
}

impl Routed for Employee {
    type Body = EmployeeBody;
    type Input = EmployeeInput;
    type Patch = EmployeePatchInput;
    const PATH: &'static str = "employees";

    fn create(input: EmployeeInput) -> Result<Command, Problem> {
        Ok(Command::CreateEmployee(input.details()))
    }

    fn update(id: Uuid, patch: EmployeePatchInput, if_version: Option<u64>) -> Result<Command, Problem> {
        Ok(Command::UpdateEmployee(Change { id, what: patch.patch(), if_version }))
    }

    fn delete(change: Change<Uuid, ()>) -> Command {
        Command::DeleteEmployee(change)
    }

    fn told(outcome: Outcome) -> Option<(Effect, Versioned<Employee>)> {
        match outcome {
            Outcome::Employee(effect, found) => Some((effect, found)),
            _ => None,
        }
    }
}

record_routes! {
    Employee, EmployeeBody, EmployeeInput, EmployeePatchInput;
    "/v1/tenants/{tenant}/employees",
    "/v1/tenants/{tenant}/employees/{id}",
    "/v1/tenants/{tenant}/employees/{id}/versions";
    "employee", "an employee", "employees";
    create: "Take an employee on.";
    delete: "Take an employee away for good; their history stays.", in_use: "There are bookings ahead";
}
