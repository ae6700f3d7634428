//! The product: what maitred gives out, one folder per domain.
//!
//! Every domain is a pure, synchronous set of rules: `decide` looks at the view and says in facts what
//! changed, `apply` puts the facts into the view. Nothing here reads a clock, makes a random number or
//! waits. A domain's folder holds `command.rs` (what may be asked), `rules.rs` (what is answered),
//! `fact.rs` (what the log keeps), `view.rs` (what can be read) and `tests.rs`.
//!
//! Next: [`registry`] for how the domains become one, [`record`], [`name`], [`slot`] and [`timer`] for the
//! tables they share, [`appointments`] for a domain to read first, [`background`] for what happens by itself.

pub mod accounts;
pub mod admission;
pub mod app;
pub mod appointments;
pub mod background;
pub mod batches;
pub mod brokers;
pub mod catalogue;
pub mod changes;
pub mod consumers;
pub mod encoding;
pub mod feed;
pub mod flash_sales;
pub mod imported;
pub mod jobs;
pub mod json;
pub mod mail;
pub mod money;
pub mod name;
pub mod paging;
pub mod parameters;
pub mod readiness;
pub mod reading;
pub mod record;
pub mod registry;
pub mod salons;
pub mod sealing;
pub mod slot;
pub mod soundness;
pub mod tenants;
pub mod testing;
pub mod timer;
pub mod violation;
pub mod webhooks;

pub use registry::{Booking, Command, Fact, Outcome};
