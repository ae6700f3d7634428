//! `/v1/tenants/{tenant}/customers…`.

use axum::extract::State;
use axum::response::Response;
use maitred_web::{AtLeast, Attempt, JsonBody, Page, Path, Preconditions, Problem, Query};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::bodies::CustomerBody;
use super::records::{self, Routed, record_routes};
use super::{ListQuery, OneQuery, RecordVersion};
use crate::app::{App, Scope};
use crate::flash_sales::Versioned;
use crate::json::given;
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::salons::command::{Change, Command, CustomerDetails, CustomerPatch};
use crate::salons::fact::Customer;
use crate::salons::rules::{Effect, Outcome};

/// A customer to be noted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerInput {
    /// For people: not blanks alone, and without control characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Where to write: one address such as `name@example.com`, without blanks and quotes.
    #[schema(max_length = 254)]
    #[serde(default)]
    email: Option<String>,
    /// Where to call.
    #[schema(max_length = 64)]
    #[serde(default)]
    phone: Option<String>,
    /// What one should know of them.
    #[schema(max_length = 2000)]
    #[serde(default)]
    notes: Option<String>,
}

/// New values of a customer's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CustomerPatch)]
pub struct CustomerPatchInput {
    /// The name.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// The email address; null takes it away.
    #[schema(value_type = Option<String>, max_length = 254)]
    #[serde(default, deserialize_with = "given")]
    email: Option<Option<String>>,
    /// The telephone number; null takes it away.
    #[schema(value_type = Option<String>, max_length = 64)]
    #[serde(default, deserialize_with = "given")]
    phone: Option<Option<String>>,
    /// The notes; null takes them away.
    #[schema(value_type = Option<String>, max_length = 2000)]
    #[serde(default, deserialize_with = "given")]
    notes: Option<Option<String>>,
}

impl CustomerInput {
    pub(super) fn details(self) -> CustomerDetails {
        let CustomerInput { name, email, phone, notes } = self;
        CustomerDetails { name, email, phone, notes }
    }
}

impl CustomerPatchInput {
    fn patch(self) -> CustomerPatch {
        let CustomerPatchInput { name, email, phone, notes } = self;
        CustomerPatch { name, email, phone, notes }
    }
}

impl Routed for Customer {
    type Body = CustomerBody;
    type Input = CustomerInput;
    type Patch = CustomerPatchInput;
    const PATH: &'static str = "customers";

    fn create(input: CustomerInput) -> Result<Command, Problem> {
        Ok(Command::CreateCustomer(input.details()))
    }

    fn update(id: Uuid, patch: CustomerPatchInput, if_version: Option<u64>) -> Result<Command, Problem> {
        Ok(Command::UpdateCustomer(Change { id, what: patch.patch(), if_version }))
    }

    fn delete(change: Change<Uuid, ()>) -> Command {
        Command::DeleteCustomer(change)
    }

    fn told(outcome: Outcome) -> Option<(Effect, Versioned<Customer>)> {
        match outcome {
            Outcome::Customer(effect, found) => Some((effect, found)),
            _ => None,
        }
    }
}

record_routes! {
    Customer, CustomerBody, CustomerInput, CustomerPatchInput;
    "/v1/tenants/{tenant}/customers",
    "/v1/tenants/{tenant}/customers/{id}",
    "/v1/tenants/{tenant}/customers/{id}/versions";
    "customer", "a customer", "customers";
    create: "Note a customer.";
    delete: "Take a customer away for good; their history stays.";
}
