//! What can be read of consumers.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Ordinal, Read, Rejection, Table, TenantNumber, Undecodable, Write};

use super::fact::DeadLetterParked;
use crate::{encoding, name};

/// How far a consumer is; `(0, 0)` for one that was never heard of.
pub fn cursor(view: &dyn Read, consumer: &str) -> ChangeId {
    named_cursor(view, consumer).unwrap_or_default()
}

/// How many facts it has put aside.
pub fn dead_letter_count(view: &dyn Read, consumer: &str) -> u64 {
    view.get(&count_key(consumer)).map_or(0, |count| Parts(count).u64())
}

/// What it has put aside, behind the fact at `after`, in the log's order; at most `limit`.
pub fn dead_letters(
    view: &dyn Read,
    consumer: &str,
    after: Option<ChangeId>,
    limit: usize,
) -> Vec<DeadLetterParked> {
    let table = letters(consumer);
    let from = after.map_or(table, |after| match after.ordinal {
        Ordinal::MAX => table.change(ChangeId { seq: after.seq + 1, ordinal: 0 }),
        ordinal => table.change(ChangeId { ordinal: ordinal + 1, ..after }),
    });
    let mut found = Vec::new();
    view.scan(&from, &table.end(), &mut |_, value| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let undecodable = || Undecodable { what: "a dead letter".into() };
        found.push(encoding::decode(value, undecodable).expect("a view holds what this build wrote"));
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

pub(super) fn is_parked(view: &dyn Read, consumer: &str, fact: ChangeId) -> bool {
    view.get(&letters(consumer).change(fact)).is_some()
}

pub(super) fn put_cursor(view: &mut dyn Write, consumer: &str, place: ChangeId) {
    let mut value = Vec::with_capacity(12 + consumer.len());
    value.extend_from_slice(&place.seq.to_be_bytes());
    value.extend_from_slice(&place.ordinal.to_be_bytes());
    value.extend_from_slice(consumer.as_bytes());
    view.put(&cursor_key(consumer), &value);
}

pub(super) fn put_dead_letter(view: &mut dyn Write, letter: &DeadLetterParked) {
    let mut value = Vec::new();
    encoding::encode(letter, &mut value);
    view.put(&letters(&letter.consumer).change(letter.place()), &value);
    let count = dead_letter_count(view, &letter.consumer) + 1;
    view.put(&count_key(&letter.consumer), &count.to_be_bytes());
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

fn letters(consumer: &str) -> Key {
    of(consumer).u8(2)
}
