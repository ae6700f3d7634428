//! The native API of webhooks: `/v1/tenants/{tenant}/webhooks…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`]. Next: [`endpoints`] for the webhooks
//! themselves, [`deliveries`] for what is sent to them.

pub mod deliveries;
pub mod endpoints;

pub use endpoints::WebhookBody;

use maitred_web::Problem;

use crate::app::submit;

/// Bits from the system's source.
fn random<const LEN: usize>() -> Result<[u8; LEN], Problem> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(error = %error, "the system gives no random bits");
        Problem::internal_error()
    })?;
    Ok(bytes)
}
