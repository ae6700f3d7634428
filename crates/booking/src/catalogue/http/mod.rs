//! The native API of the catalogue: `/v1/tenants/{tenant}/providers…` and `…/events…`.
//!
//! Handlers translate and nothing else: every rule stands in [`super::rules`].

pub mod bodies;
pub mod events;
pub mod providers;
pub mod runs;
pub mod zones;

pub use bodies::{EventBody, ProviderBody};

use crate::app::submit;
