//! Requests that are many commands: which request an idempotency key was used for.
//!
//! Each item of a batch is a command of its own, under a key derived from the batch's. The batch's own key is
//! remembered by a command that stands before them all and changes nothing: with it a key that was used for another
//! request is refused before anything is written, whatever the two requests have in common.
//!
//! Invariants:
//! - [`Begin`](Command::Begin) is always accepted, so that its key sticks with the request's fingerprint.
//! - It is answered before the first item is entered. A crash behind it leaves a batch of which nothing is done; the
//!   retry finds the key to be its own, and does the rest.
//!
//! Next: [`crate::appointments::http`].

use std::convert::Infallible;

use maitred_core::{At, Context, Decision, Domain, Read, Recorded, Rejection, Storable, Undecodable, Write};
use serde::{Deserialize, Serialize};

use crate::Booking;
use crate::encoding::{self, FactKind, undecodable_fact};

/// A command on a batch as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Begins it, or does so again.
    Begin,
}

/// What the client of an accepted command is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The items may follow.
    Begun,
}

/// A batch leaves no facts but those of its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact(Infallible);

impl Fact {
    /// None.
    pub const KINDS: &[FactKind] = &[];
}

impl Recorded for Fact {
    fn kind(&self) -> u16 {
        match self.0 {}
    }

    fn version(&self) -> u8 {
        match self.0 {}
    }

    fn encode(&self, _: &mut Vec<u8>) {
        match self.0 {}
    }

    fn decode(kind: u16, version: u8, _: &[u8]) -> Result<Self, Undecodable> {
        Err(undecodable_fact(kind, version))
    }
}

/// The rules of batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;
    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(
        &self,
        _: &dyn Read,
        Command::Begin: &Command,
        _: &Context,
    ) -> Result<Decision<Fact, Outcome>, Rejection> {
        Ok(Decision { facts: Vec::new(), outcome: Outcome::Begun })
    }

    fn apply(&self, _: &mut dyn Write, fact: &Fact, _: At) {
        match fact.0 {}
    }
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a batch's command")
    }
}
