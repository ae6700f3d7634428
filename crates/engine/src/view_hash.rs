//! A hash of a view's contents, by which nodes find out that they differ (invariant I10).
//!
//! The sum, modulo 2^256, of the BLAKE3 of every entry. A sum does not depend on order, so it can be
//! kept up to date entry by entry, and checked against a scan. It tells honest nodes apart; it is no proof
//! against somebody who chooses the entries.
//!
//! The engine's own table is left out: it says where a store stands, which differs between equal views.

use std::ops::ControlFlow;

use maitred_core::{KEY_BYTES_MAX, Key, Read, Table};

/// The hash of a view, as it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewHash {
    /// A number of 256 bits, least significant word first.
    words: [u64; 4],
}

impl ViewHash {
    /// The hash of everything in `view`.
    pub fn of(view: &dyn Read) -> Self {
        let mut hash = ViewHash::default();
        scan(view, |key, value| {
            hash.add(key, value);
            ControlFlow::Continue(())
        });
        hash
    }

    /// An entry was added. The caller knows that its key was not there.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        if is_hashed(key) {
            self.sum(entry(key, value), u64::carrying_add);
        }
    }

    /// An entry was removed. The caller knows that it was there, with this value.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        if is_hashed(key) {
            self.sum(entry(key, value), u64::borrowing_sub);
        }
    }

    /// What is under `key` has become another; `None` where there was or is nothing.
    pub fn replace(&mut self, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
        if let Some(before) = before {
            self.remove(key, before);
        }
        if let Some(after) = after {
            self.add(key, after);
        }
    }

    /// The hash as bytes, to be shown and compared.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.words) {
            *to = word.to_le_bytes();
        }
        bytes
    }

    fn sum(&mut self, other: [u64; 4], step: impl Fn(u64, u64, bool) -> (u64, bool)) {
        let mut carry = false;
        for (word, other) in self.words.iter_mut().zip(other) {
            (*word, carry) = step(*word, other, carry);
        }
    }
}

/// The hash of a view's contents; see [`ViewHash`].
pub fn view_hash(view: &dyn Read) -> [u8; 32] {
    ViewHash::of(view).to_bytes()
}

/// Visits all of a view but the engine's own table, ascending.
pub(crate) fn scan(view: &dyn Read, mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
    view.scan(&Key::new(Table::Meta).end(), &[0xff; KEY_BYTES_MAX + 1], &mut visit);
}

fn is_hashed(key: &[u8]) -> bool {
    key.first() != Some(&(Table::Meta as u8))
}

/// The hash of one entry. The key's length stands first, so that no byte can move from value to key.
fn entry(key: &[u8], value: &[u8]) -> [u64; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[key.len() as u8]).update(key).update(value);
    let digest = *hasher.finalize().as_bytes();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::meta;

    fn hash_of(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> ViewHash {
        let mut hash = ViewHash::default();
        entries.iter().for_each(|(key, value)| hash.add(key, value));
        hash
    }

    fn change() -> impl Strategy<Value = (Vec<u8>, Option<Vec<u8>>)> {
        let key = prop::collection::vec(1u8..3, 1..4);
        (key, prop::option::of(prop::collection::vec(any::<u8>(), 0..3)))
    }

    proptest! {
        #[test]
        fn a_hash_that_is_kept_up_is_that_of_what_is_left(changes in prop::collection::vec(change(), 0..60)) {
            let (mut kept, mut entries) = (ViewHash::default(), BTreeMap::new());
            for (key, value) in changes {
                let before = match value.clone() {
                    Some(value) => entries.insert(key.clone(), value),
                    None => entries.remove(&key),
                };
                kept.replace(&key, before.as_deref(), value.as_deref());
            }
            prop_assert_eq!(kept, hash_of(&entries));
            prop_assert_eq!(kept == ViewHash::default(), entries.is_empty());
        }
    }

    #[test]
    fn carries_reach_the_highest_word() {
        let mut hash = ViewHash { words: [u64::MAX, u64::MAX, u64::MAX, 6] };
        hash.sum([1, 0, 0, 0], u64::carrying_add);
        assert_eq!(hash.words, [0, 0, 0, 7]);
        hash.sum([1, 0, 0, 8], u64::borrowing_sub);
        assert_eq!(hash.words, [u64::MAX, u64::MAX, u64::MAX, u64::MAX - 1]);
    }

    #[test]
    fn a_byte_that_moves_from_value_to_key_changes_the_hash() {
        let hash = |key: &[u8], value: &[u8]| hash_of(&BTreeMap::from([(key.to_vec(), value.to_vec())]));
        assert_ne!(hash(&[1, 2], &[3]), hash(&[1], &[2, 3]));
        assert_ne!(hash(&[1, 2], &[3]), hash(&[1, 2, 3], &[]));
    }

    #[test]
    fn the_engines_own_table_is_left_out() {
        let mut hash = ViewHash::default();
        hash.add(&meta::boot_key(), b"this boot");
        hash.replace(&meta::flushed_key(), Some(b"then"), Some(b"now"));
        assert_eq!(hash, ViewHash::default());
    }

    #[test]
    fn the_hash_of_an_entry_never_changes() {
        let mut hash = ViewHash::default();
        hash.add(&[1, 2, 3], b"value");
        let expected = *blake3::hash(b"\x03\x01\x02\x03value").as_bytes();
        assert_eq!(hash.to_bytes(), expected);
    }
}
