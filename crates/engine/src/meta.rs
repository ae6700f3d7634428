//! What a store says of itself: how far it has followed the log, and since which boot of the machine.
//!
//! These entries are the engine's, stand outside the view's hash, and are never in the overlay.

use maitred_core::{Domain, Key, PartitionId, Read, Table, Timestamp, key::Parts};

use crate::{batch::Hash, log::Tail};

/// The version of the engine's own tables in a view (times, idempotency keys), counted from 0. Raised when the
/// engine writes other bytes into them than before.
const TABLES_VERSION: u16 = 0;

/// The layout of all tables of a view: the engine's and the domain's. A view of another layout is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema(pub u32);

impl Schema {
    /// The layout that this build writes for a domain: the version of the engine's tables in the high half, that
    /// of the domain's in the low one.
    pub const fn of<D: Domain>() -> Schema {
        Schema((TABLES_VERSION as u32) << 16 | D::VIEW_SCHEMA as u32)
    }
}

/// How far a store has followed the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// The last batch in the store, and its hash.
    pub tail: Tail,
    /// That batch's timestamp.
    pub timestamp: Timestamp,
    /// The layout of the tables.
    pub schema: Schema,
}

/// The key of [`Flushed`].
pub fn flushed_key() -> Key {
    Key::new(Table::Meta).u8(0)
}

/// The key of the boot id.
pub fn boot_key() -> Key {
    Key::new(Table::Meta).u8(1)
}

/// The key of the partition's number.
pub fn partition_key() -> Key {
    Key::new(Table::Meta).u8(2)
}

impl Flushed {
    /// The stored form: seq, hash, timestamp, schema.
    pub fn to_bytes(self) -> [u8; 52] {
        let mut bytes = [0; 52];
        bytes[..8].copy_from_slice(&self.tail.0.to_be_bytes());
        bytes[8..40].copy_from_slice(&self.tail.1);
        bytes[40..48].copy_from_slice(&self.timestamp.to_ordered().to_be_bytes());
        bytes[48..].copy_from_slice(&self.schema.0.to_be_bytes());
        bytes
    }
}

/// How far `store` has followed the log; `None` for an empty store.
pub fn flushed(store: &dyn Read) -> Option<Flushed> {
    let mut parts = Parts(store.get(&flushed_key())?);
    let seq = parts.u64();
    let hash: Hash = parts.raw(32).try_into().expect("32 bytes");
    Some(Flushed { tail: (seq, hash), timestamp: parts.time(), schema: Schema(parts.u32()) })
}

/// The boot of the machine during which the store was last opened.
pub fn boot(store: &dyn Read) -> Option<&[u8]> {
    store.get(&boot_key())
}

/// The partition the store belongs to.
pub fn partition(store: &dyn Read) -> Option<PartitionId> {
    store.get(&partition_key()).map(|bytes| Parts(bytes).u32())
}
