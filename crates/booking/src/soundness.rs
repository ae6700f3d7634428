//! What is known of the disk under the log: what the background scrub has found so far, and how much room is left.
//! The program tells it, health and metrics ask.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maitred_core::Seq;

/// A handle on what is known of the log's older segments. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Soundness(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    bytes_verified: AtomicU64,
    completed: AtomicU64,
    free_bytes: AtomicU64,
    /// By the first batch of its segment. No more than there are segments.
    damage: Mutex<BTreeMap<Seq, String>>,
}

impl Soundness {
    /// The segment that starts with batch `first_seq`, of so many bytes, is as it was written.
    pub fn sound(&self, first_seq: Seq, bytes: u64) {
        self.0.bytes_verified.fetch_add(bytes, Relaxed);
        self.damaged_segments().remove(&first_seq);
    }

    /// It is not; `what` names file, byte and batch. False if this was known.
    pub fn damaged(&self, first_seq: Seq, what: &str) -> bool {
        self.damaged_segments().insert(first_seq, what.to_owned()).is_none_or(|known| known != what)
    }

    /// All segments were looked at, at this time: seconds since 1970.
    pub fn complete(&self, unix_seconds: u64) {
        self.0.completed.store(unix_seconds, Relaxed);
    }

    /// How many bytes were found to be as they were written, since the start. Only rises.
    pub fn bytes_verified(&self) -> u64 {
        self.0.bytes_verified.load(Relaxed)
    }

    /// When all segments had been looked at the last time, in seconds since 1970; 0 if not yet since the start.
    pub fn completed(&self) -> u64 {
        self.0.completed.load(Relaxed)
    }

    /// So many bytes may still be written to the data's disk.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.0.free_bytes.store(bytes, Relaxed);
    }

    /// How many bytes may still be written to the data's disk; 0 if nobody has looked yet.
    pub fn free_bytes(&self) -> u64 {
        self.0.free_bytes.load(Relaxed)
    }

    /// What is damaged, each with its place, in the log's order.
    pub fn damage(&self) -> Vec<String> {
        self.damaged_segments().values().cloned().collect()
    }

    fn damaged_segments(&self) -> MutexGuard<'_, BTreeMap<Seq, String>> {
        self.0.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_news_once_and_ends_when_the_segment_is_sound_again() {
        let soundness = Soundness::default();
        soundness.sound(1, 100);
        assert!(soundness.damaged(50, "byte 3"));
        assert!(!soundness.clone().damaged(50, "byte 3"));
        assert!(soundness.damaged(50, "byte 2"));
        assert!(soundness.damaged(9, "byte 7"));
        assert_eq!(soundness.damage(), ["byte 7", "byte 2"]);
        soundness.sound(50, 20);
        soundness.complete(1_700_000_000);
        assert_eq!((soundness.damage(), soundness.bytes_verified()), (vec!["byte 7".to_owned()], 120));
        assert_eq!(soundness.completed(), 1_700_000_000);
    }
}
