//! How the commands of consumers are answered.

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Undecodable, Write,
};
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::fact::Fact;
use super::view;
use crate::{Booking, encoding};

/// The most dead letters of one consumer. Past it the consumer waits with what it cannot deal with.
pub const DEAD_LETTERS_MAX: u64 = 10_000;

/// The rules of consumers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What a consumer's runner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is kept now.
    Kept,
    /// It was kept already, or more.
    Known,
}

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    /// # Panics
    /// When the command does not belong to the system tenant: the runners submit it there.
    fn decide(
        &self,
        view: &dyn Read,
        command: &Command,
        cx: &Context,
    ) -> Result<Decision<Fact, Outcome>, Rejection> {
        assert_eq!(cx.tenant, TenantNumber::SYSTEM, "consumers belong to the system tenant");
        let fact = match command {
            Command::KeepCursor(cursor) => {
                let kept = view::named_cursor(view, &cursor.consumer)?;
                (cursor.place() > kept).then(|| Fact::CursorKept(cursor.clone()))
            }
            Command::Park(letter) => {
                view::named_cursor(view, &letter.consumer)?;
                let is_new = !view::is_parked(view, &letter.consumer, letter.place());
                if is_new && view::dead_letter_count(view, &letter.consumer) >= DEAD_LETTERS_MAX {
                    return Err(too_many_dead_letters());
                }
                is_new.then(|| Fact::DeadLetterParked(letter.clone()))
            }
        };
        let outcome = if fact.is_some() { Outcome::Kept } else { Outcome::Known };
        Ok(Decision { facts: fact.into_iter().collect(), outcome })
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, _: At) {
        match fact {
            Fact::CursorKept(cursor) => view::put_cursor(view, &cursor.consumer, cursor.place()),
            Fact::DeadLetterParked(letter) => view::put_dead_letter(view, letter),
        }
    }
}

fn too_many_dead_letters() -> Rejection {
    let detail = format!("The consumer has {DEAD_LETTERS_MAX} dead letters already.");
    Rejection::new(Class::TooMany, "too-many-dead-letters", detail)
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a consumer's command")
    }
}
