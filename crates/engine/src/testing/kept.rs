//! What the small shop keeps of its consumer, in the simplest form: every fact carries the epoch it was written in, so
//! that a checker sees who wrote it.
//!
//! Tables, all of the system tenant: `Counter/1` → the cursor; `Counter/2` → epoch 8 · stalled 4 · the cursor at the
//! claim 12; `Was/place` → a [`Letter`]; `Version/place` → epoch 8 · crashes 4 of a fact that is tried.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Rejection, Table, TenantNumber, Write};

use super::{Command, Orders};
use crate::consumers::{Bookkeeping, Hold, KeyStanding, Note, SUPERSEDED, Standing};

const CURSOR_KEPT: u16 = 4;
const PARKED: u16 = 5;
const CLAIMED: u16 = 6;
const TRIED: u16 = 7;
const TAKEN_UP: u16 = 8;
const REMOVED: u16 = 9;

/// What is kept of the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It is claimed: how many claims in a row have found this cursor.
    Claimed {
        /// The new epoch.
        epoch: u64,
        /// How often the cursor was where it had been.
        stalled: u32,
    },
    /// It is done with everything up to here.
    CursorKept(u64, ChangeId),
    /// It tries this fact next, which was being tried at the end of so many processes.
    Tried(u64, ChangeId, u32),
    /// A fact is put aside, or back.
    Parked(u64, Letter),
    /// A dead letter is to be tried again. The epoch is 0: an operator's.
    TakenUp(ChangeId),
    /// A dead letter is gone: done by this epoch, or thrown away by an operator.
    Removed(u64, ChangeId),
}

/// A fact that was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    /// Where it stands.
    pub place: ChangeId,
    /// Whose it is.
    pub tenant: TenantNumber,
    /// What it is about.
    pub key: u128,
    /// Whether it is to be tried again.
    pub taken_up: bool,
}

fn system(table: Table) -> Key {
    Key::of(table, TenantNumber::SYSTEM)
}

/// Everything that is put aside, in the log's order.
pub fn letters(view: &dyn Read) -> Vec<Letter> {
    let table = system(Table::Was);
    let mut letters = Vec::new();
    view.scan(&table, &table.end(), &mut |key, value| {
        let place = Parts::behind_tenant(key).change();
        let mut parts = Parts(value);
        let (tenant, key) = (TenantNumber(parts.u32()), parts.u128());
        letters.push(Letter { place, tenant, key, taken_up: parts.u8() == 1 });
        ControlFlow::Continue(())
    });
    letters
}

/// Whether the fact at this place is put aside.
pub fn is_parked(view: &dyn Read, fact: ChangeId) -> bool {
    view.get(&system(Table::Was).change(fact)).is_some()
}

fn claim(view: &dyn Read) -> Option<(u64, u32, ChangeId)> {
    let mut parts = Parts(view.get(&system(Table::Counter).u8(2))?);
    Some((parts.u64(), parts.u32(), parts.change()))
}

/// Of every fact that is being tried: its place, the epoch, and how many processes ended meanwhile.
fn tried(view: &dyn Read) -> Vec<(ChangeId, u64, u32)> {
    let table = system(Table::Version);
    let mut tried = Vec::new();
    view.scan(&table, &table.end(), &mut |key, value| {
        let mut parts = Parts(value);
        tried.push((Parts::behind_tenant(key).change(), parts.u64(), parts.u32()));
        ControlFlow::Continue(())
    });
    tried
}

/// The facts that a command of the bookkeeping leads to.
pub(super) fn decide(view: &dyn Read, command: &Command) -> Result<Vec<Noted>, Rejection> {
    let letters = letters(view);
    let of = |place| letters.iter().find(|letter| letter.place == place);
    let (hold, note) = match command {
        Command::Note(hold, note) => (hold, note),
        Command::TakeUp(place) => {
            let Some(last) = of(*place) else { return Ok(vec![]) };
            let with = |letter: &&Letter| {
                (letter.tenant, letter.key, letter.taken_up) == (last.tenant, last.key, false)
                    && letter.place <= *place
            };
            return Ok(letters.iter().filter(with).map(|letter| Noted::TakenUp(letter.place)).collect());
        }
        Command::Discard(place) => {
            let letter = of(*place).filter(|letter| !letter.taken_up);
            return Ok(letter.map(|letter| Noted::Removed(0, letter.place)).into_iter().collect());
        }
        _ => return Ok(vec![]),
    };
    let standing = Orders.standing(view, hold.consumer);
    let epoch = hold.epoch;
    if epoch != standing.epoch + u64::from(*note == Note::Claim) {
        return Err(Rejection::conflict(SUPERSEDED, "Another runner has claimed the consumer."));
    }
    Ok(match note {
        Note::Claim => {
            let same = claim(view).filter(|(_, _, cursor)| *cursor == standing.cursor);
            vec![Noted::Claimed { epoch, stalled: same.map_or(0, |(_, stalled, _)| stalled + 1) }]
        }
        Note::Cursor(cursor) if *cursor <= standing.cursor => vec![],
        Note::Cursor(cursor) => vec![Noted::CursorKept(epoch, *cursor)],
        Note::Trying(place) => vec![Noted::Tried(epoch, *place, Orders.crashes(view, *hold, *place))],
        Note::Park(letter) => {
            let (place, tenant, key) = (letter.fact, letter.tenant, letter.key);
            let back = Letter { place, tenant, key, taken_up: false };
            match of(place) {
                None => vec![Noted::Parked(epoch, back)],
                Some(letter) if !letter.taken_up => vec![],
                Some(_) => {
                    let with = |letter: &&Letter| {
                        (letter.tenant, letter.key, letter.taken_up) == (tenant, key, true)
                            && letter.place >= place
                    };
                    let back = |letter: &Letter| Noted::Parked(epoch, Letter { taken_up: false, ..*letter });
                    letters.iter().filter(with).map(back).collect()
                }
            }
        }
        Note::Settle(place) => {
            let letter = of(*place).filter(|letter| letter.taken_up);
            letter.map(|letter| Noted::Removed(epoch, letter.place)).into_iter().collect()
        }
    })
}

pub(super) fn apply(view: &mut dyn Write, noted: &Noted) {
    match *noted {
        Noted::Claimed { epoch, stalled } => {
            let mut value = epoch.to_be_bytes().to_vec();
            value.extend_from_slice(&stalled.to_be_bytes());
            value.extend_from_slice(&bytes(Orders.standing(view, "").cursor));
            view.put(&system(Table::Counter).u8(2), &value);
        }
        Noted::CursorKept(_, cursor) => {
            view.put(&system(Table::Counter).u8(1), &bytes(cursor));
            for (place, ..) in tried(view).iter().filter(|(place, ..)| *place <= cursor) {
                if !is_parked(view, *place) {
                    view.delete(&system(Table::Version).change(*place));
                }
            }
        }
        Noted::Tried(epoch, place, crashes) => {
            // What the same epoch tried before did not end the process.
            for (before, ..) in tried(view).iter().filter(|(_, of, _)| *of == epoch) {
                view.delete(&system(Table::Version).change(*before));
            }
            let mut value = epoch.to_be_bytes().to_vec();
            value.extend_from_slice(&crashes.to_be_bytes());
            view.put(&system(Table::Version).change(place), &value);
        }
        Noted::Parked(_, letter) => {
            view.delete(&system(Table::Version).change(letter.place));
            put(view, letter);
        }
        Noted::TakenUp(place) => {
            let letter = letters(view).into_iter().find(|letter| letter.place == place);
            if let Some(letter) = letter {
                put(view, Letter { taken_up: true, ..letter });
            }
        }
        Noted::Removed(_, place) => {
            view.delete(&system(Table::Version).change(place));
            view.delete(&system(Table::Was).change(place));
        }
    }
}

fn put(view: &mut dyn Write, letter: Letter) {
    let mut value = letter.tenant.0.to_be_bytes().to_vec();
    value.extend_from_slice(&letter.key.to_be_bytes());
    value.push(u8::from(letter.taken_up));
    view.put(&system(Table::Was).change(letter.place), &value);
}

impl Bookkeeping for Orders {
    fn standing(&self, view: &dyn Read, _: &str) -> Standing {
        let cursor = view.get(&system(Table::Counter).u8(1));
        let cursor = cursor.map_or(ChangeId::default(), |cursor| Parts(cursor).change());
        let (epoch, stalled, _) = claim(view).unwrap_or_default();
        Standing { cursor, epoch, stalled }
    }

    fn key_standing(&self, view: &dyn Read, _: &str, tenant: TenantNumber, key: u128) -> KeyStanding {
        let mut standing = KeyStanding::Free;
        for letter in letters(view).iter().filter(|letter| (letter.tenant, letter.key) == (tenant, key)) {
            if letter.taken_up {
                return KeyStanding::TakenUp;
            }
            standing = KeyStanding::Parked;
        }
        standing
    }

    fn taken_up(&self, view: &dyn Read, _: &str, limit: usize) -> Vec<ChangeId> {
        let letters = letters(view).into_iter().filter(|letter| letter.taken_up);
        letters.map(|letter| letter.place).take(limit).collect()
    }

    fn crashes(&self, view: &dyn Read, hold: Hold, fact: ChangeId) -> u32 {
        let tried = tried(view).into_iter().find(|(place, ..)| *place == fact);
        tried.map_or(0, |(_, epoch, crashes)| crashes + u32::from(epoch != hold.epoch))
    }

    fn note(&self, hold: Hold, note: Note) -> Command {
        Command::Note(hold, note)
    }

    fn is_bookkeeping(&self, kind: u16) -> bool {
        (CURSOR_KEPT..=REMOVED).contains(&kind)
    }
}

impl Noted {
    /// The epoch that wrote it; 0 for an operator's.
    pub fn epoch(&self) -> u64 {
        match *self {
            Noted::Claimed { epoch, .. }
            | Noted::CursorKept(epoch, _)
            | Noted::Tried(epoch, ..)
            | Noted::Parked(epoch, _)
            | Noted::Removed(epoch, _) => epoch,
            Noted::TakenUp(_) => 0,
        }
    }

    pub(super) fn kind(&self) -> u16 {
        match self {
            Noted::Claimed { .. } => CLAIMED,
            Noted::CursorKept(..) => CURSOR_KEPT,
            Noted::Tried(..) => TRIED,
            Noted::Parked(..) => PARKED,
            Noted::TakenUp(_) => TAKEN_UP,
            Noted::Removed(..) => REMOVED,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch().to_be_bytes());
        match *self {
            Noted::Claimed { stalled, .. } => out.extend_from_slice(&stalled.to_be_bytes()),
            Noted::CursorKept(_, place) | Noted::TakenUp(place) | Noted::Removed(_, place) => {
                out.extend_from_slice(&bytes(place));
            }
            Noted::Tried(_, place, crashes) => {
                out.extend_from_slice(&bytes(place));
                out.extend_from_slice(&crashes.to_be_bytes());
            }
            Noted::Parked(_, letter) => {
                out.extend_from_slice(&bytes(letter.place));
                out.extend_from_slice(&letter.tenant.0.to_be_bytes());
                out.extend_from_slice(&letter.key.to_be_bytes());
            }
        }
    }

    pub(super) fn decode(kind: u16, parts: &mut Parts<'_>) -> Option<Self> {
        let epoch = parts.u64();
        Some(match kind {
            CLAIMED => Noted::Claimed { epoch, stalled: parts.u32() },
            CURSOR_KEPT => Noted::CursorKept(epoch, parts.change()),
            TRIED => Noted::Tried(epoch, parts.change(), parts.u32()),
            PARKED => {
                let (place, tenant) = (parts.change(), TenantNumber(parts.u32()));
                Noted::Parked(epoch, Letter { place, tenant, key: parts.u128(), taken_up: false })
            }
            TAKEN_UP => Noted::TakenUp(parts.change()),
            REMOVED => Noted::Removed(epoch, parts.change()),
            _ => return None,
        })
    }
}

fn bytes(place: ChangeId) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&place.seq.to_be_bytes());
    bytes[8..].copy_from_slice(&place.ordinal.to_be_bytes());
    bytes
}
