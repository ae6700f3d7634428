//! How the commands of consumers are answered.

use maitred_core::{
    At, ChangeId, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Undecodable,
    Write,
};
use maitred_engine::consumers::SUPERSEDED;
use serde::{Deserialize, Serialize};

use super::command::{Command, Holder, Selection};
use super::fact::{
    ConsumerClaimed, DeadLetterParked, DeadLetterSettled, DeadLettersChosen, Fact, FactTried, Place,
};
use super::view::{self, Shelf};
use crate::{Booking, encoding};

/// The most dead letters of one consumer. Past it the consumer waits with what it cannot deal with.
pub const DEAD_LETTERS_MAX: u64 = 10_000;
/// The most dead letters that one command takes up or throws away: the first ones in the log's order.
pub const CHOSEN_MAX: usize = 1_000;

/// The rules of consumers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What a consumer's runner or an operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is kept now.
    Kept,
    /// It was kept already, or more.
    Known,
    /// So many dead letters were taken up or thrown away.
    Chosen(u32),
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
        let facts: Vec<Fact> = match command {
            Command::Claim(holder) => vec![claim(view, holder)?],
            Command::KeepCursor(holder, cursor) => {
                require(view, holder)?;
                let kept = view::named_cursor(view, &cursor.consumer)?;
                (cursor.place() > kept).then(|| Fact::CursorKept(cursor.clone())).into_iter().collect()
            }
            Command::Try(holder, place) => {
                require(view, holder)?;
                let Holder { consumer, epoch } = holder.clone();
                let crashes = view::crashes(view, &consumer, epoch, (*place).into());
                vec![Fact::FactTried(FactTried { consumer, epoch, place: *place, crashes })]
            }
            Command::Park(holder, letter) => {
                require(view, holder)?;
                park(view, letter)?
            }
            Command::Settle(holder, place) => {
                require(view, holder)?;
                let consumer = holder.consumer.clone();
                let is_there = view::letter(view, &consumer, Shelf::TakenUp, (*place).into()).is_some();
                let settled = DeadLetterSettled { consumer, place: *place };
                is_there.then_some(Fact::DeadLetterSettled(settled)).into_iter().collect()
            }
            Command::Redrive(selection) => {
                return Ok(choose(view, selection, cx, Fact::DeadLettersRedriven));
            }
            Command::Discard(selection) => {
                return Ok(choose(view, selection, cx, Fact::DeadLettersDiscarded));
            }
        };
        let outcome = if facts.is_empty() { Outcome::Known } else { Outcome::Kept };
        Ok(Decision { facts, outcome })
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        match fact {
            Fact::CursorKept(cursor) => view::put_cursor(view, &cursor.consumer, cursor.place()),
            Fact::DeadLetterParked(letter) => view::put_dead_letter(view, letter),
            Fact::ConsumerClaimed(claim) => view::put_claim(view, claim),
            Fact::FactTried(tried) => view::put_tried(view, tried),
            Fact::DeadLettersRedriven(chosen) => {
                for place in &chosen.places {
                    view::take_up(view, &chosen.consumer, (*place).into());
                }
                view::put_decision(view, &chosen.consumer, at, fact);
            }
            Fact::DeadLettersDiscarded(chosen) => {
                for place in &chosen.places {
                    view::remove(view, &chosen.consumer, Shelf::Parked, (*place).into());
                }
                view::put_decision(view, &chosen.consumer, at, fact);
            }
            Fact::DeadLetterSettled(DeadLetterSettled { consumer, place }) => {
                view::remove(view, consumer, Shelf::TakenUp, (*place).into());
            }
        }
    }
}

/// A runner may take a consumer over in the epoch after the newest.
fn claim(view: &dyn Read, holder: &Holder) -> Result<Fact, Rejection> {
    let Holder { consumer, epoch } = holder;
    let cursor = view::named_cursor(view, consumer)?;
    let newest = view::named_claim(view, consumer)?;
    if *epoch != newest.map_or(0, |newest| newest.epoch) + 1 {
        return Err(superseded());
    }
    let stalled = newest.filter(|newest| newest.cursor == cursor).map_or(0, |newest| newest.stalled + 1);
    Ok(Fact::ConsumerClaimed(ConsumerClaimed { consumer: consumer.clone(), epoch: *epoch, stalled }))
}

/// Nobody but the runner of the newest epoch writes for a consumer.
fn require(view: &dyn Read, Holder { consumer, epoch }: &Holder) -> Result<(), Rejection> {
    view::named_cursor(view, consumer)?;
    let newest = view::named_claim(view, consumer)?.map_or(0, |newest| newest.epoch);
    if *epoch == newest { Ok(()) } else { Err(superseded()) }
}

fn park(view: &dyn Read, letter: &DeadLetterParked) -> Result<Vec<Fact>, Rejection> {
    let (consumer, place) = (&letter.consumer, letter.place());
    if view::letter(view, consumer, Shelf::Parked, place).is_some() {
        return Ok(vec![]);
    }
    let is_back = view::letter(view, consumer, Shelf::TakenUp, place).is_some();
    if !is_back && view::dead_letter_count(view, consumer) >= DEAD_LETTERS_MAX {
        return Err(too_many_dead_letters());
    }
    Ok(vec![Fact::DeadLetterParked(letter.clone())])
}

/// The letters that an operator means, as far as one command goes.
fn choose(
    view: &dyn Read,
    selection: &Selection,
    cx: &Context,
    fact: impl Fn(DeadLettersChosen) -> Fact,
) -> Decision<Fact, Outcome> {
    let consumer = selection.consumer.clone();
    let mut places = chosen(view, selection);
    places.truncate(CHOSEN_MAX);
    let outcome = Outcome::Chosen(places.len() as u32);
    if places.is_empty() {
        return Decision { facts: vec![], outcome };
    }
    let by = cx.actor.into();
    Decision { facts: vec![fact(DeadLettersChosen { consumer, by, places })], outcome }
}

/// Where the letters stand that are meant and may be decided about: the runner is done with them.
pub fn chosen(view: &dyn Read, selection: &Selection) -> Vec<Place> {
    let cursor: ChangeId = view::cursor(view, &selection.consumer);
    let mut places = Vec::new();
    view::visit_letters(view, &selection.consumer, Shelf::Parked, None, &mut |letter| {
        if letter.place() <= cursor && selection.has(&letter) {
            places.push(letter.place().into());
        }
        letter.place() <= cursor
    });
    places
}

fn superseded() -> Rejection {
    Rejection::conflict(SUPERSEDED, "Another runner has claimed the consumer since.")
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
