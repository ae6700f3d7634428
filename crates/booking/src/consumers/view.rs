//! What can be read of consumers.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{
    At, ChangeId, Key, Ordinal, Read, Rejection, Table, TenantNumber, Timestamp, Undecodable, Write,
};
use maitred_engine::consumers::Standing;

use super::fact::{ConsumerClaimed, DeadLetterParked, DeadLettersChosen, Fact, FactTried};
use crate::{encoding, name};

/// Where a dead letter lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Shelf {
    /// Put aside.
    Parked = 2,
    /// Taken up again.
    TakenUp = 5,
}

/// The newest claim of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) epoch: u64,
    pub(super) stalled: u32,
    /// The cursor that it found.
    pub(super) cursor: ChangeId,
}

/// What somebody decided about dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The fact that says so.
    pub change: ChangeId,
    /// When.
    pub at: Timestamp,
    /// Whether they were taken up again; they were thrown away otherwise.
    pub redriven: bool,
    /// Who, and which.
    pub chosen: DeadLettersChosen,
}

/// How far a consumer is; `(0, 0)` for one that was never heard of.
pub fn cursor(view: &dyn Read, consumer: &str) -> ChangeId {
    named_cursor(view, consumer).unwrap_or_default()
}

/// What a runner asks before it begins.
pub fn standing(view: &dyn Read, consumer: &str) -> Standing {
    let claim = named_claim(view, consumer).ok().flatten();
    let (epoch, stalled) = claim.map_or((0, 0), |claim| (claim.epoch, claim.stalled));
    Standing { cursor: cursor(view, consumer), epoch, stalled }
}

/// How many facts it has put aside, those included that are taken up again.
pub fn dead_letter_count(view: &dyn Read, consumer: &str) -> u64 {
    view.get(&count_key(consumer)).map_or(0, |count| Parts(count).u64())
}

/// How many dead letters of a key are put aside, and how many are taken up again.
pub fn of_key(view: &dyn Read, consumer: &str, tenant: TenantNumber, key: u128) -> (u32, u32) {
    view.get(&parked_key(consumer, tenant, key)).map_or((0, 0), |counts| {
        let mut parts = Parts(counts);
        (parts.u32(), parts.u32())
    })
}

/// Where the dead letters stand that are taken up again, in the log's order; at most `limit`.
pub fn taken_up(view: &dyn Read, consumer: &str, limit: usize) -> Vec<ChangeId> {
    let mut found = Vec::new();
    let shelf = shelf(consumer, Shelf::TakenUp);
    view.scan(&shelf, &shelf.end(), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push(place_of(key));
        ControlFlow::Continue(())
    });
    found
}

/// In how many epochs but this one the process ended while a fact was tried.
pub fn crashes(view: &dyn Read, consumer: &str, epoch: u64, fact: ChangeId) -> u32 {
    view.get(&tried(consumer).change(fact)).map_or(0, |value| {
        let mut parts = Parts(value);
        let of = parts.u64();
        parts.u32() + u32::from(of != epoch)
    })
}

/// What it has put aside, behind the fact at `after`, in the log's order; at most `limit`.
pub fn dead_letters(
    view: &dyn Read,
    consumer: &str,
    after: Option<ChangeId>,
    limit: usize,
) -> Vec<DeadLetterParked> {
    let mut found = Vec::new();
    if limit > 0 {
        visit_letters(view, consumer, Shelf::Parked, after, &mut |letter| {
            found.push(letter);
            found.len() < limit
        });
    }
    found
}

/// Visits the dead letters of a shelf behind the fact at `after`, in the log's order, while `visit` says true.
pub fn visit_letters(
    view: &dyn Read,
    consumer: &str,
    from: Shelf,
    after: Option<ChangeId>,
    visit: &mut dyn FnMut(DeadLetterParked) -> bool,
) {
    let table = shelf(consumer, from);
    view.scan(&behind(table, after), &table.end(), &mut |_, value| {
        if visit(decode(value)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
}

/// The dead letter of the fact at `place`, if it lies there.
pub fn letter(view: &dyn Read, consumer: &str, on: Shelf, place: ChangeId) -> Option<DeadLetterParked> {
    view.get(&shelf(consumer, on).change(place)).map(decode)
}

/// What was decided about its dead letters, behind the decision at `after`, in the log's order; at most `limit`.
pub fn choices(view: &dyn Read, consumer: &str, after: Option<ChangeId>, limit: usize) -> Vec<Choice> {
    let table = of(consumer).u8(7);
    let mut found = Vec::new();
    view.scan(&behind(table, after), &table.end(), &mut |key, value| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let mut parts = Parts(value);
        let (at, redriven) = (parts.time(), parts.u8() == 1);
        let undecodable = || Undecodable { what: "a decision about dead letters".into() };
        let chosen = encoding::decode(parts.0, undecodable).expect("a view holds what this build wrote");
        found.push(Choice { change: place_of(key), at, redriven, chosen });
        ControlFlow::Continue(())
    });
    found
}

/// How far a consumer is.
///
/// # Errors
/// `id-collision` when another name of the same hash stands there.
pub(super) fn named_cursor(view: &dyn Read, consumer: &str) -> Result<ChangeId, Rejection> {
    let Some(value) = view.get(&cursor_key(consumer)) else { return Ok(ChangeId::default()) };
    let mut parts = Parts(value);
    let place = parts.change();
    if parts.0 == consumer.as_bytes() { Ok(place) } else { Err(name::collision()) }
}

/// The newest claim.
///
/// # Errors
/// As [`named_cursor`].
pub(super) fn named_claim(view: &dyn Read, consumer: &str) -> Result<Option<Claim>, Rejection> {
    let Some(value) = view.get(&claim_key(consumer)) else { return Ok(None) };
    let mut parts = Parts(value);
    let claim = Claim { epoch: parts.u64(), stalled: parts.u32(), cursor: parts.change() };
    if parts.0 == consumer.as_bytes() { Ok(Some(claim)) } else { Err(name::collision()) }
}

pub(super) fn put_cursor(view: &mut dyn Write, consumer: &str, place: ChangeId) {
    let mut value = Vec::with_capacity(12 + consumer.len());
    put_place(&mut value, place);
    value.extend_from_slice(consumer.as_bytes());
    view.put(&cursor_key(consumer), &value);
    // What was tried before it is done; but for what is taken up again.
    let table = tried(consumer);
    if view.first(&table, &table.end()).is_none() {
        return;
    }
    let again = taken_up(view, consumer, usize::MAX);
    forget_tried(view, &table, &behind(table, Some(place)), |of, _| again.binary_search(&of).is_err());
}

pub(super) fn put_claim(view: &mut dyn Write, claim: &ConsumerClaimed) {
    let mut value = claim.epoch.to_be_bytes().to_vec();
    value.extend_from_slice(&claim.stalled.to_be_bytes());
    put_place(&mut value, cursor(view, &claim.consumer));
    value.extend_from_slice(claim.consumer.as_bytes());
    view.put(&claim_key(&claim.consumer), &value);
}

pub(super) fn put_tried(view: &mut dyn Write, is: &FactTried) {
    // What this epoch tried before did not end the process.
    let table = tried(&is.consumer);
    forget_tried(view, &table, &table.end(), |_, epoch| epoch == is.epoch);
    let mut value = is.epoch.to_be_bytes().to_vec();
    value.extend_from_slice(&is.crashes.to_be_bytes());
    view.put(&table.change(is.place.into()), &value);
}

fn forget_tried(view: &mut dyn Write, from: &[u8], to: &[u8], is_over: impl Fn(ChangeId, u64) -> bool) {
    let mut over = Vec::new();
    view.scan(from, to, &mut |key, value| {
        if is_over(place_of(key), Parts(value).u64()) {
            over.push(Key::from_bytes(key));
        }
        ControlFlow::Continue(())
    });
    for key in over {
        view.delete(&key);
    }
}

/// Puts a letter on the shelf of those that are put aside. One that was taken up goes back, and nothing of its key
/// overtakes it: those behind it go with it.
pub(super) fn put_dead_letter(view: &mut dyn Write, is: &DeadLetterParked) {
    let (consumer, place) = (&is.consumer, is.place());
    if letter(view, consumer, Shelf::TakenUp, place).is_some() {
        remove(view, consumer, Shelf::TakenUp, place);
        let mut with = Vec::new();
        visit_letters(view, consumer, Shelf::TakenUp, Some(place), &mut |behind| {
            if (behind.tenant, behind.key) == (is.tenant, is.key) {
                with.push(behind);
            }
            true
        });
        for behind in with {
            remove(view, consumer, Shelf::TakenUp, behind.place());
            put(view, Shelf::Parked, &behind);
            count(view, &behind, (1, 0));
        }
    }
    if letter(view, consumer, Shelf::Parked, place).is_none() {
        count(view, is, (1, 0));
    }
    forget_try(view, consumer, place);
    put(view, Shelf::Parked, is);
}

/// Moves a letter from those that are put aside to those that are taken up.
pub(super) fn take_up(view: &mut dyn Write, consumer: &str, place: ChangeId) {
    let Some(letter) = letter(view, consumer, Shelf::Parked, place) else { return };
    remove(view, consumer, Shelf::Parked, place);
    put(view, Shelf::TakenUp, &letter);
    count(view, &letter, (0, 1));
}

/// Takes a letter away, if it lies there.
pub(super) fn remove(view: &mut dyn Write, consumer: &str, from: Shelf, place: ChangeId) {
    let Some(letter) = letter(view, consumer, from, place) else { return };
    view.delete(&shelf(consumer, from).change(place));
    forget_try(view, consumer, place);
    count(view, &letter, if from == Shelf::Parked { (-1, 0) } else { (0, -1) });
}

pub(super) fn put_decision(view: &mut dyn Write, consumer: &str, at: At, fact: &Fact) {
    let (redriven, chosen) = match fact {
        Fact::DeadLettersRedriven(chosen) => (true, chosen),
        Fact::DeadLettersDiscarded(chosen) => (false, chosen),
        _ => return,
    };
    let mut value = at.timestamp.to_ordered().to_be_bytes().to_vec();
    value.push(u8::from(redriven));
    encoding::encode(chosen, &mut value);
    let key = of(consumer).u8(7).change(ChangeId { seq: at.seq, ordinal: at.ordinal });
    view.put(&key, &value);
}

/// A fact that is put aside, taken up or gone is tried as if it were new.
fn forget_try(view: &mut dyn Write, consumer: &str, place: ChangeId) {
    let key = tried(consumer).change(place);
    if view.get(&key).is_some() {
        view.delete(&key);
    }
}

fn put(view: &mut dyn Write, on: Shelf, letter: &DeadLetterParked) {
    let mut value = Vec::new();
    encoding::encode(letter, &mut value);
    view.put(&shelf(&letter.consumer, on).change(letter.place()), &value);
}

/// Counts a letter that came onto a shelf, or left it: put aside, taken up.
fn count(view: &mut dyn Write, letter: &DeadLetterParked, (parked, taken): (i32, i32)) {
    let consumer = &letter.consumer;
    let all = dead_letter_count(view, consumer).saturating_add_signed(i64::from(parked + taken));
    view.put(&count_key(consumer), &all.to_be_bytes());
    let key = parked_key(consumer, letter.tenant(), letter.key);
    let (was_parked, was_taken) = of_key(view, consumer, letter.tenant(), letter.key);
    let counts = (was_parked.saturating_add_signed(parked), was_taken.saturating_add_signed(taken));
    if counts == (0, 0) {
        return view.delete(&key);
    }
    let mut value = counts.0.to_be_bytes().to_vec();
    value.extend_from_slice(&counts.1.to_be_bytes());
    view.put(&key, &value);
}

fn decode(value: &[u8]) -> DeadLetterParked {
    let undecodable = || Undecodable { what: "a dead letter".into() };
    encoding::decode(value, undecodable).expect("a view holds what this build wrote")
}

fn put_place(value: &mut Vec<u8>, place: ChangeId) {
    value.extend_from_slice(&place.seq.to_be_bytes());
    value.extend_from_slice(&place.ordinal.to_be_bytes());
}

/// The place that a key of a consumer's ends with.
fn place_of(key: &[u8]) -> ChangeId {
    Parts(&key[key.len() - 12..]).change()
}

fn behind(table: Key, after: Option<ChangeId>) -> Key {
    after.map_or(table, |after| match after.ordinal {
        Ordinal::MAX => table.change(ChangeId { seq: after.seq + 1, ordinal: 0 }),
        ordinal => table.change(ChangeId { ordinal: ordinal + 1, ..after }),
    })
}

fn of(consumer: &str) -> Key {
    Key::of(Table::Consumer, TenantNumber::SYSTEM).u128(name::hash(consumer))
}

fn cursor_key(consumer: &str) -> Key {
    of(consumer).u8(0)
}

fn count_key(consumer: &str) -> Key {
    of(consumer).u8(1)
}

fn claim_key(consumer: &str) -> Key {
    of(consumer).u8(3)
}

fn parked_key(consumer: &str, tenant: TenantNumber, key: u128) -> Key {
    of(consumer).u8(4).u32(tenant.0).u128(key)
}

fn tried(consumer: &str) -> Key {
    of(consumer).u8(6)
}

fn shelf(consumer: &str, shelf: Shelf) -> Key {
    of(consumer).u8(shelf as u8)
}
