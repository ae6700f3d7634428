//! How commands on providers, runs and events are answered.
//!
//! Next: [`runs`] for when a run may write, [`events`] for what becomes of what it states, [`apply`] for what facts do
//! to the view.

mod apply;
mod events;
mod providers;
mod runs;

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Undecodable, Write,
};
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::fact::{Fact, Provider, Run};
use super::view::{self, Versioned};
use crate::Booking;
use crate::encoding;

pub use self::runs::{HELD_EVENTS_MIN, HELD_PERCENT};

/// The most providers of a tenant.
pub const PROVIDERS_MAX: usize = 1_000;
/// The most events of a provider that are stated at once.
pub const EVENTS_MAX: u64 = 1_000_000;
/// The most bytes of one event, as the log keeps it. Of one that grew over the years, plans that are missing from the
/// feed give way, the first ones first.
pub const EVENT_BYTES_MAX: usize = 160 * 1024;
/// When the events of a command have so many bytes, the rest is left for the next command.
pub const APPLIED_BYTES_MAX: usize = 160 * 1024;

/// The rules of the catalogue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What the client of an accepted command is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The provider as it is now.
    Provider {
        /// What happened.
        effect: Effect,
        /// The provider.
        provider: Versioned<Provider>,
    },
    /// The run as it is now.
    Run {
        /// What happened.
        effect: Effect,
        /// The run.
        run: Run,
    },
    /// What became of the first events of a command.
    Applied(Applied),
}

/// What became of the first events of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// How many were dealt with; the rest is to be sent again.
    pub taken: u32,
    /// How many of them are new.
    pub created: u32,
    /// How many are stated otherwise than before, or are missing now.
    pub updated: u32,
    /// How many have more than [`EVENT_BYTES_MAX`] bytes, or a title or an id that is too long, and were left as they
    /// were.
    pub too_large: u32,
}

/// What an accepted command did. In a stored outcome it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing: it was so already.
    Unchanged,
    /// The provider is new, or the run.
    Created,
    /// It has another content.
    Updated,
}

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        match command {
            Command::CreateProvider(command) => providers::create(view, command, cx),
            Command::UpdateProvider(command) => providers::update(view, command, cx),
            Command::RequestRun { provider } => runs::request(view, provider, cx),
            Command::BeginRun(command) => runs::begin(view, command, cx),
            Command::ApplyEvents(command) => events::apply(view, command, cx),
            Command::VanishEvents(command) => events::vanish(view, command, cx),
            Command::FinishRun(command) => runs::finish(view, command, cx),
            Command::AcceptRun { provider, run } => runs::accept(view, provider, *run, cx),
            Command::DiscardRun { provider, run } => runs::discard(view, provider, *run, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        apply::apply(view, fact, at);
    }
}

/// The provider of a name.
fn provider_of(view: &dyn Read, tenant: TenantNumber, name: &str) -> Result<Versioned<Provider>, Rejection> {
    view::provider(view, tenant, name, None)
        .ok_or_else(|| Rejection::new(Class::Absent, "provider-not-found", "There is no such provider."))
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a command on the catalogue")
    }
}
