//! The native API of tenants and API keys: `/v1/tenants…` and `/v1/api-keys…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`], but that a time zone is known,
//! which only the edge can tell (the rules hold no table of them).
//!
//! Here is what both have in common. Next: [`tenants`] and [`keys`].

pub mod keys;
pub mod tenants;

use maitred_core::TenantNumber;
use maitred_web::{Attempt, Problem, idempotency};

use super::command::Command;
use super::rules::Outcome;
use crate::app::{Accepted, App, Scope};

/// The size of a command of this domain in memory, roughly.
const COMMAND_BYTES: usize = 512;

/// Decides a command of this domain, which belongs to the system tenant. Its idempotency key is one of the tenant
/// that the path names.
async fn submit(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Accepted<Outcome>, Problem> {
    let key = attempt.identify(scope.caller.actor, body);
    let key = key.map(|key| idempotency::derived(key, scope.tenant.0));
    let who = (TenantNumber::SYSTEM, scope.caller.actor);
    let Accepted { outcome, position, replayed } =
        app.submit(who, key, COMMAND_BYTES + body.len(), command).await?;
    match outcome {
        crate::Outcome::Tenants(outcome) => Ok(Accepted { outcome, position, replayed }),
        other => unreachable!("a command on tenants is answered with {other:?}"),
    }
}
