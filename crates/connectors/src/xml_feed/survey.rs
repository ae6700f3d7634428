//! The first reading of a feed: is it whole, what does it say, and what would be lost by believing it?

use std::io::Read;

use super::digest::Digest;
use super::limits::{LOSS_EVENTS_MIN, LOSS_PERCENT_MAX, PENDING_BYTES_MAX, ROUNDS_MAX};
use super::problem::{Reason, Refused, Tally};
use super::read::{Feed, Options};
use crate::Place;

/// What is known of a provider's events, as the feed before this one left them.
pub trait Known {
    /// The event with this id of the provider, present or vanished.
    fn event(&self, id: &str) -> Option<KnownEvent>;

    /// How many events of the provider are known that have not vanished.
    fn present(&self) -> u64;
}

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownEvent {
    /// Its [`super::Event::digest`] when it was last written.
    pub digest: Digest,
    /// Whether a later feed did not have it.
    pub vanished: bool,
}

/// What a whole feed says, compared with what is known.
#[derive(Debug)]
pub struct Survey {
    /// What was read and left out; with `events_repeated`.
    pub tally: Tally,
    /// Events that are not known.
    pub new: u64,
    /// Events that are known otherwise, or as vanished. Of those that the feed repeats in different words it shows only
    /// in the second reading; here they count as changed.
    pub changed: u64,
    /// Events that are known just so.
    pub unchanged: u64,
    /// What believing the feed would lose.
    pub loss: Loss,
    /// Each event once, by its key.
    rows: Vec<Row>,
    /// Those that stand in it more than once, by their keys.
    repeats: Vec<Repeat>,
    rounds: u64,
}

/// How many events would vanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Events that are known and have not vanished.
    pub present: u64,
    /// Those of them that the feed does not have.
    pub lost: u64,
}

/// 128 bits of a hash of an id: no provider can make two of its ids meet.
pub(super) type Key = [u64; 2];

/// An event in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    key: Key,
    /// A part of its digest.
    digest: u64,
    footprint: u32,
    known: Compared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Compared {
    New,
    Unchanged,
    Changed,
    Reappeared,
}

/// An event that stands in the feed more than once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeat {
    key: Key,
    /// How often.
    pub(super) times: u32,
    /// Whether not every time in the same words.
    pub(super) differs: bool,
}

/// Reads a feed to its end, and compares it with what is known; `time_zone` is the provider's, for
/// [`super::Event::digest`].
///
/// # Errors
/// [`Refused`]: the feed is not to be believed in any part.
pub fn survey<R: Read>(
    input: R,
    options: Options,
    time_zone: &str,
    known: &impl Known,
) -> Result<Survey, Refused> {
    let mut feed = Feed::new(input, options);
    let mut rows = Vec::new();
    while let Some(event) = feed.next_event()? {
        let digest = event.digest(time_zone);
        rows.push(Row {
            key: key_of(&event.id),
            digest: part(&digest, 0),
            footprint: u32::try_from(event.footprint()).unwrap_or(u32::MAX),
            known: compare(known.event(&event.id), &digest),
        });
    }
    let end = feed.place();
    Survey::of(rows, feed.into_tally(), known.present(), end)
}

impl Survey {
    fn of(mut rows: Vec<Row>, mut tally: Tally, present: u64, end: Place) -> Result<Self, Refused> {
        rows.sort_unstable();
        let mut repeats = Vec::new();
        let mut pending: u64 = 0;
        for same in rows.chunk_by(|a, b| a.key == b.key).filter(|same| same.len() > 1) {
            let differs = same.iter().any(|row| row.digest != same[0].digest);
            if differs {
                pending += same.iter().map(|row| u64::from(row.footprint)).sum::<u64>();
            }
            let times = u32::try_from(same.len()).unwrap_or(u32::MAX);
            tally.events_repeated += u64::from(times) - 1;
            repeats.push(Repeat { key: same[0].key, times, differs });
        }
        let rounds = pending.div_ceil(PENDING_BYTES_MAX as u64).max(1);
        if rounds > ROUNDS_MAX {
            let reason = Reason::TooManyRepeats;
            return Err(Refused { reason, place: end, detail: reason.sentence() });
        }
        // Of rows of one event the greatest is left, so one that differs from what is known says so.
        rows.dedup_by(|later, earlier| {
            let same = later.key == earlier.key;
            if same {
                earlier.known = earlier.known.max(later.known);
            }
            same
        });
        let count = |known: &[Compared]| rows.iter().filter(|row| known.contains(&row.known)).count() as u64;
        let still_there = count(&[Compared::Unchanged, Compared::Changed]);
        Ok(Survey {
            new: count(&[Compared::New]),
            changed: count(&[Compared::Changed, Compared::Reappeared]),
            unchanged: count(&[Compared::Unchanged]),
            loss: Loss { present, lost: present.saturating_sub(still_there) },
            tally,
            rows,
            repeats,
            rounds,
        })
    }

    /// How many events the feed has, repeated ones counted once.
    pub fn events(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Whether the event with this id is in the feed: those known that are not have vanished.
    pub fn contains(&self, id: &str) -> bool {
        let key = key_of(id);
        self.rows.binary_search_by_key(&key, |row| row.key).is_ok()
    }

    /// Where in the list of repeated events this one stands, and how it is repeated; none if it is not.
    pub(super) fn repeat(&self, key: Key) -> Option<(usize, Repeat)> {
        let at = self.repeats.binary_search_by_key(&key, |repeat| repeat.key).ok()?;
        Some((at, self.repeats[at]))
    }

    /// How many events are repeated.
    pub(super) fn repeats(&self) -> usize {
        self.repeats.len()
    }

    /// How many times the file must be read so that what waits for the rest of itself stays small.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }
}

impl Loss {
    /// Whether it is so much that an operator should look first: at least [`LOSS_EVENTS_MIN`] events, and more than
    /// [`LOSS_PERCENT_MAX`] in a hundred.
    pub fn is_suspicious(self) -> bool {
        self.lost >= LOSS_EVENTS_MIN
            && u128::from(self.lost) * 100 > u128::from(self.present) * u128::from(LOSS_PERCENT_MAX)
    }
}

/// What the feed's event is to what is known.
fn compare(known: Option<KnownEvent>, digest: &Digest) -> Compared {
    match known {
        None => Compared::New,
        Some(known) if known.vanished => Compared::Reappeared,
        Some(known) if known.digest == *digest => Compared::Unchanged,
        Some(_) => Compared::Changed,
    }
}

pub(super) fn key_of(id: &str) -> Key {
    let hash = blake3::hash(id.as_bytes());
    [part(hash.as_bytes(), 0), part(hash.as_bytes(), 1)]
}

/// Eight bytes of a hash.
fn part(hash: &[u8; 32], number: usize) -> u64 {
    (0..8).fold(0, |part, at| part << 8 | u64::from(hash[number * 8 + at]))
}
