//! The native API of the catalogue: `/v1/tenants/{tenant}/providers…` and `…/events…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`].

pub mod bodies;
pub mod events;
pub mod providers;
pub mod runs;
pub mod zones;

pub use bodies::{EventBody, ProviderBody};

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
        crate::Outcome::Catalogue(outcome) => Ok(Accepted { outcome, position, replayed }),
        other => unreachable!("a command on the catalogue is answered with {other:?}"),
    }
}
