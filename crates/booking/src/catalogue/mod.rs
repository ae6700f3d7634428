//! The catalogue of events: what providers' feeds say, kept version by version, and searched by time.
//!
//! An event is a concert or a show; it has plans (when it takes place) and each of these has zones (where one sits, and
//! for how much). A provider states all of its events again and again; one such statement that is carried over is a run.
//!
//! Invariants:
//! - An event has one id of ours, given when its provider stated it first; it never changes.
//! - Ids of plans are scoped by their event, ids of zones by their plan.
//! - Nothing that was stated goes away: an event, a plan or a zone that is missing from a later feed is marked, and is
//!   still served. An event that was ever sold online stays so.
//! - An event that is stated as it was last time writes nothing. What the search reads is written by the same fact as
//!   the record ([`rows`]), so that both are one state at every batch.
//! - Only the open run of a provider writes events. A run that would lose more than [`HELD_PERCENT`] % of a provider's
//!   events, and at least [`HELD_EVENTS_MIN`], writes none of them until an operator accepts that.
//! - A provider's secret headers stand here sealed; nothing in this domain can open them.
//!
//! Commands are refused in this order:
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-slug`, `invalid-url`, `invalid-interval`, `invalid-timeout`, `invalid-time-zone`, `invalid-currency`, `invalid-headers` | unprocessable | a field breaks a rule |
//! | `provider-not-found` | absent | there is no such provider |
//! | `version-mismatch` | precondition | `if_version` is not the current version |
//! | `provider-exists` | conflict | there is a provider of this name |
//! | `too-many-providers` | too many | the tenant has [`PROVIDERS_MAX`] |
//! | `provider-inactive` | conflict | the provider is not synced |
//! | `run-not-found` | absent | there is no such run of the provider, or it is no longer kept |
//! | `run-not-open` | conflict | the run is over, or another one is open |
//! | `invalid-transition` | conflict | a run that is not held can be neither accepted nor discarded |
//! | `too-many-events` | too many | the provider has [`EVENTS_MAX`] events that are there |
//!
//! Sources: the event integrator that is replaced, as its answers were taken down.

pub mod command;
pub mod fact;
pub mod fold;
pub mod http;
pub mod rows;
pub mod rules;
pub mod search;
pub mod status;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::{
    ApplyEvents, BeginRun, Command, CreateProvider, FeedEvent, FeedPlan, FeedZone, FinishRun, ProviderPatch,
    UpdateProvider, VanishEvents,
};
pub use fact::{
    Counts, Event, Fact, Gone, Plan, Provider, Run, RunProblem, RunState, SealedHeader, SellMode, Validators,
    Zone,
};
pub use rules::{EVENTS_MAX, Effect, HELD_EVENTS_MIN, HELD_PERCENT, Outcome, PROVIDERS_MAX, Rules};
pub use search::{Match, Search};
pub use view::{ProviderState, Versioned};
