//! How often sales were tried, as the view keeps it: sums, and the newest seconds with a try.
//!
//! Table:
//! - `Tries/tenant/sale` → the sums, and how many seconds stand behind them.
//! - `Tries/tenant/sale/second` → tries 4 · accepted 4.
//!
//! Invariants: at most [`SECONDS_MAX`] seconds of a sale are kept, and [`CODES_MAX`] codes with one more for all others.
//! Nothing here is a record: it has no versions, no change feed tells of it, and it is not exported.
//!
//! Next: [`super::statistics`] for how tries are counted before they come here.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, Table, TenantNumber, Timestamp, Undecodable, Write};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{Second, Tally, TriesCounted};
use crate::encoding;

/// The most seconds with a try that are remembered of a sale, the newest ones.
pub const SECONDS_MAX: usize = 900;
/// The most reasons that are counted apart; any others are counted together as [`OTHER`].
pub const CODES_MAX: usize = 16;
/// What the refusals are counted as that have no place of their own.
pub const OTHER: &str = "other";

/// What stands under a sale.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The sums; its seconds have entries of their own.
    sums: Tally,
    seconds: u32,
}

/// What was counted of a sale.
pub fn read(view: &dyn Read, tenant: TenantNumber, sale: Uuid) -> Tally {
    let key = key(tenant, sale);
    let mut tally = kept(view, &key).sums;
    view.scan(&behind(&key), &key.end(), &mut |second, value| {
        let at = Parts(&second[second.len() - 8..]).time();
        let (tries, accepted) = counts(value);
        tally.seconds.push_back(Second { at, tries, accepted });
        ControlFlow::Continue(())
    });
    tally
}

/// Adds what was counted.
pub(super) fn add(view: &mut dyn Write, tenant: TenantNumber, counted: &TriesCounted) {
    let key = key(tenant, counted.sale);
    let Kept { mut sums, mut seconds } = kept(view, &key);
    sums.add_sums(&counted.tries);
    for Second { at, tries, accepted } in &counted.tries.seconds {
        let key = key.time(*at);
        let before = view.get(&key).map(counts);
        seconds += u32::from(before.is_none());
        let before = before.unwrap_or_default();
        let mut value = [0; 8];
        value[..4].copy_from_slice(&before.0.saturating_add(*tries).to_be_bytes());
        value[4..].copy_from_slice(&before.1.saturating_add(*accepted).to_be_bytes());
        view.put(&key, &value);
    }
    while seconds as usize > SECONDS_MAX {
        let oldest = view.first(&behind(&key), &key.end()).map(|(key, _)| Key::from_bytes(key));
        view.delete(&oldest.expect("every second that is counted has its entry"));
        seconds -= 1;
    }
    let mut value = Vec::new();
    encoding::encode(&Kept { sums, seconds }, &mut value);
    view.put(&key, &value);
}

fn key(tenant: TenantNumber, sale: Uuid) -> Key {
    Key::of(Table::Tries, tenant).u128(sale.as_u128())
}

/// Where the seconds begin: the sums stand before them.
fn behind(key: &Key) -> Key {
    key.u64(0)
}

fn kept(view: &dyn Read, key: &Key) -> Kept {
    let undecodable = || Undecodable { what: "the tries of a sale".into() };
    view.get(key).map_or_else(Kept::default, |value| {
        encoding::decode(value, undecodable).expect("a view holds what this build wrote")
    })
}

fn counts(value: &[u8]) -> (u32, u32) {
    let mut parts = Parts(value);
    (parts.u32(), parts.u32())
}

/// The first instant of the second in which `at` is.
pub(super) fn second_of(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().div_euclid(1_000) * 1_000)
}

impl Tally {
    /// How many tries there were.
    pub fn count(&self) -> u64 {
        let refused = self.refused.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        [self.accepted, self.replayed, self.undecided].into_iter().fold(refused, u64::saturating_add)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.last_at.is_none()
    }

    /// Adds what else was counted.
    pub fn add(&mut self, other: &Tally) {
        self.add_sums(other);
        for second in &other.seconds {
            self.add_second(*second);
        }
    }

    /// Counts refusals of one code.
    pub(super) fn refuse(&mut self, code: &str, count: u64) {
        let room = self.refused.len() < CODES_MAX || self.refused.contains_key(code);
        let code = if room { code } else { OTHER };
        match self.refused.get_mut(code) {
            Some(before) => *before = before.saturating_add(count),
            None => {
                self.refused.insert(code.to_owned(), count);
            }
        }
    }

    /// Adds to a second, and forgets the oldest one where there are too many.
    pub(super) fn add_second(&mut self, Second { at, tries, accepted }: Second) {
        let place = match self.seconds.back() {
            // Nearly always.
            Some(newest) if newest.at == at => Ok(self.seconds.len() - 1),
            _ => self.seconds.binary_search_by_key(&at, |second| second.at),
        };
        match place {
            Ok(place) => {
                let second = &mut self.seconds[place];
                second.tries = second.tries.saturating_add(tries);
                second.accepted = second.accepted.saturating_add(accepted);
            }
            Err(place) => self.seconds.insert(place, Second { at, tries, accepted }),
        }
        if self.seconds.len() > SECONDS_MAX {
            self.seconds.pop_front();
        }
    }

    fn add_sums(&mut self, other: &Tally) {
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.replayed = self.replayed.saturating_add(other.replayed);
        self.undecided = self.undecided.saturating_add(other.undecided);
        for (code, count) in &other.refused {
            self.refuse(code, *count);
        }
        self.first_at = [self.first_at, other.first_at].into_iter().flatten().min();
        self.last_at = self.last_at.max(other.last_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryView;

    const TENANT: TenantNumber = TenantNumber(1);
    const SALE: Uuid = Uuid::from_u128(7);

    fn second(second: i64, tries: u32, accepted: u32) -> Second {
        Second { at: Timestamp::from_millis(second * 1_000), tries, accepted }
    }

    /// A sale that was tried within these seconds, and sold out for whoever got nothing.
    fn tried(seconds: &[Second]) -> Tally {
        let mut tally = Tally::default();
        for second in seconds {
            tally.accepted += u64::from(second.accepted);
            tally.refuse("sold-out", u64::from(second.tries - second.accepted));
            tally.add_second(*second);
        }
        tally.first_at = tally.seconds.front().map(|second| second.at);
        tally.last_at = tally.seconds.back().map(|second| second.at);
        tally
    }

    #[test]
    fn what_is_added_in_parts_is_the_whole_in_the_view_as_in_memory() {
        let parts = [
            tried(&[second(1, 5, 2)]),
            tried(&[second(1, 3, 0), second(2, 4, 1)]),
            tried(&[second(0, 1, 1)]),
            Tally {
                replayed: 2,
                undecided: 1,
                last_at: tried(&[second(9, 1, 0)]).last_at,
                ..Tally::default()
            },
        ];
        let (mut view, mut whole) = (MemoryView::default(), Tally::default());
        for tries in parts {
            whole.add(&tries);
            add(&mut view, TENANT, &TriesCounted { sale: SALE, tries });
            assert_eq!(read(&view, TENANT, SALE), whole);
        }
        assert_eq!((whole.count(), whole.accepted, whole.refused["sold-out"]), (16, 4, 9));
        assert_eq!(whole.seconds, [second(0, 1, 1), second(1, 8, 2), second(2, 4, 1)]);
        let edges = [whole.first_at, whole.last_at].map(|at| at.map(Timestamp::as_millis));
        assert_eq!(edges, [Some(0), Some(9_000)]);
        assert_eq!(read(&view, TENANT, Uuid::from_u128(8)), Tally::default(), "another sale's are apart");
        assert_eq!(read(&view, TenantNumber(2), SALE), Tally::default(), "another tenant's are apart");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut view, mut whole) = (MemoryView::default(), Tally::default());
        for number in 0..SECONDS_MAX as i64 + 10 {
            let mut tries = tried(&[second(number, 1, 0)]);
            tries.refuse(&format!("code-{}", number % 30), 1);
            whole.add(&tries);
            add(&mut view, TENANT, &TriesCounted { sale: SALE, tries });
        }
        assert_eq!(read(&view, TENANT, SALE), whole);
        assert_eq!((whole.seconds.len(), whole.seconds[0]), (SECONDS_MAX, second(10, 1, 0)));
        assert_eq!(whole.refused.len(), CODES_MAX + 1);
        assert_eq!(whole.count(), 2 * (SECONDS_MAX as u64 + 10), "nothing is lost of the sums");
        let all = Key::of(Table::Tries, TENANT);
        let mut entries = 0;
        view.scan(&all, &all.end(), &mut |_, _| {
            entries += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(entries, SECONDS_MAX + 1);
    }
}
