//! Webhooks: a tenant's changes, sent to servers of its own by HTTP, signed as Standard Webhooks says.
//!
//! ```text
//!   change feed ──▶ Dispatcher ──▶ job ──▶ an HTTP client of the program ──▶ what came of it
//!                      │   ▲                                                     │
//!      cursors, failures   └─────────────────────────────────────────────────────┘
//!                      ▼
//!                  commands of this domain
//! ```
//!
//! An endpoint has a cursor in its tenant's change feed: what lies before it is delivered, or in a lane. A **lane** is
//! opened for a record when a change of it could not be delivered: it names the first change that was not, and stands
//! for it and for every later change of that record. So the rest of the feed goes on, and of each record the changes
//! arrive in their order.
//!
//! Invariants:
//! - Every change that an endpoint wants is delivered at least once, or is a dead letter: the cursor passes it only
//!   when it was answered by 2xx or when its lane is durable, and a lane moves on when it was answered or is dead.
//! - A change never arrives for the first time after a later one of the same record. A retry and a replay send again
//!   what follows in its record, so that a receiver ends with the newest.
//! - The happy path writes cursors only, those of all endpoints in one fact, at most once a second.
//! - Secrets are in one answer each, the one that made them. Facts and views hold them sealed ([`secret`]).
//! - Everything here has a bound: [`WEBHOOKS_MAX`] endpoints a tenant, [`LANES_MAX`] lanes and [`DEAD_MAX`] dead
//!   letters an endpoint, [`ATTEMPTS_MAX`] attempts a change. An endpoint that has failed for [`FAILING_MAX`] without a
//!   success is disabled, by a change that its owner can see.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-url`, `invalid-description`, `invalid-filter` | unprocessable | a field breaks a rule, or the guard of outgoing requests refuses the URL |
//! | `webhook-not-found` | absent | the tenant has no such webhook |
//! | `version-mismatch` | precondition | it is at another version than demanded |
//! | `too-many-webhooks` | too many | the tenant has as many as it may have |
//! | `webhook-inactive` | conflict | a replay of a webhook that delivers nothing |
//! | `replay-under-way` | conflict | it is still sending an earlier range again |
//! | `delivery-not-found` | absent | there is no such change, or the webhook does not want it |
//!
//! Next: [`dispatch`] for how changes become jobs, [`secret`] for signatures.

pub mod command;
pub mod courier;
pub mod dispatch;
pub mod fact;
pub mod http;
pub mod rules;
pub mod secret;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::Command;
pub use courier::{Courier, Webhooks};
pub use fact::{Endpoint, Fact};
pub use rules::{ATTEMPTS_MAX, DEAD_MAX, FAILING_MAX, LANES_MAX, Outcome, Rules, WEBHOOKS_MAX};
