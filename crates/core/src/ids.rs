//! Tenants' numbers, and new ids from a seed.

use std::cell::Cell;

use uuid::Uuid;

use crate::Timestamp;

/// A tenant, interned to a number that is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TenantNumber(pub u32);

impl TenantNumber {
    /// The reserved tenant `_system`, which holds tenants, keys, the directory and cursors.
    pub const SYSTEM: TenantNumber = TenantNumber(0);
}

/// A source of UUIDv7 ids: time from the batch, the rest from a seed that the engine gives.
///
/// The ids are unique, not secret. Facts carry the ids that were made, so replay needs no seed.
#[derive(Debug)]
pub struct Ids {
    timestamp: Timestamp,
    state: Cell<u64>,
}

impl Ids {
    /// A source for one command. Two commands must not share a `seed`.
    pub fn new(timestamp: Timestamp, seed: u64) -> Self {
        Ids { timestamp, state: Cell::new(seed) }
    }

    /// A new id, sorting by time (RFC 9562, version 7).
    pub fn next(&self) -> Uuid {
        let millis = u64::try_from(self.timestamp.as_millis()).unwrap_or(0);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_le_bytes());
        random[8..].copy_from_slice(&self.random().to_le_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full-period sequence.
    fn random(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_differ_and_follow_from_the_seed() {
        let ids = |seed| Ids::new(Timestamp::from_millis(1_600_000_000_000), seed);
        let one = ids(1);
        let (a, b) = (one.next(), one.next());
        assert_eq!(a.get_version_num(), 7);
        assert_ne!(a, b);
        assert_eq!(ids(1).next(), a);
        assert_ne!(ids(2).next(), a);
    }
}
