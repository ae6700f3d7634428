//! The native API of tenants and API keys: `/v1/tenants…` and `/v1/api-keys…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`], but that a time zone is known,
//! which only the edge can tell (the rules hold no table of them).
//!
//! Here is what both have in common. Next: [`tenants`] and [`keys`].

pub mod keys;
pub mod tenants;

use maitred_core::TenantNumber;
use maitred_web::{AsOf, AtLeast, Attempt, Limit, Problem, idempotency};
use serde::Deserialize;
use utoipa::IntoParams;

use super::command::Command;
use super::rules::Outcome;
use crate::app::{Accepted, App, Scope};
use crate::paging::Listing;

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

/// Which records are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// As the system knew them then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

impl ListQuery {
    async fn listing(
        &self,
        app: &App,
        list: &str,
        tenant: TenantNumber,
        at_least: AtLeast,
    ) -> Result<Listing, Problem> {
        let as_of = self.as_of.map(|as_of| format!("{as_of:?}"));
        let cursors = app.cursors().of(list, tenant).filtered_by(as_of);
        Listing::open(app, cursors, self.cursor.as_deref(), self.as_of, at_least).await
    }
}

/// Which past is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneQuery {
    /// As the system knew it then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
}
