//! The native API of webhooks: `/v1/tenants/{tenant}/webhooks…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`]. Next: [`endpoints`] for the webhooks
//! themselves, [`deliveries`] for what is sent to them.

pub mod deliveries;
pub mod endpoints;

pub use endpoints::WebhookBody;

use maitred_web::{Attempt, Problem};

use super::{Command, Outcome};
use crate::app::{Accepted, App, Scope};

/// The size of a command of this domain in memory, roughly.
const COMMAND_BYTES: usize = 512;

/// Decides a command of this domain.
async fn submit(
    app: &App,
    scope: &Scope,
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Accepted<Outcome>, Problem> {
    let key = attempt.identify(scope.caller.actor, body);
    let Accepted { outcome, position, replayed } =
        app.submit(scope.who(), key, COMMAND_BYTES + body.len(), command).await?;
    match outcome {
        crate::Outcome::Webhooks(outcome) => Ok(Accepted { outcome, position, replayed }),
        other => unreachable!("a command on webhooks is answered with {other:?}"),
    }
}

/// Bits from the system's source.
fn random<const LEN: usize>() -> Result<[u8; LEN], Problem> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(error = %error, "the system gives no random bits");
        Problem::internal_error()
    })?;
    Ok(bytes)
}
