//! How the keys of a view are made: a table, then the tenant, then big-endian parts that sort as
//! their values do.
//!
//! Invariant: no text of a client stands in a key. External ids enter as 128-bit hashes (the value
//! holds the text), names are interned to integers by facts. So every key fits [`KEY_BYTES_MAX`].

use crate::{ChangeId, TenantNumber, Timestamp};

/// The length of the longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 47;

/// The tables of a view. The number is the first byte of every key in it, and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// The engine's own: flushed seq, chain hash, last timestamp, schema, boot id.
    Meta = 0,
    /// `tenant kind id` → the current version of a record.
    Record = 1,
    /// `tenant resource start` → end and owner: active claims on time.
    Slot = 2,
    /// `tenant resource start seq ordinal` → a superseded claim and when it ended.
    Was = 3,
    /// `tenant kind id seq ordinal` → a superseded version, by the position that wrote it.
    Version = 4,
    /// `tenant seq ordinal` → which record a fact changed.
    Change = 5,
    /// `timestamp` → the seq of the batch decided then.
    Time = 6,
    /// `tenant hash` → the remembered answer of an idempotency key.
    Idempotency = 7,
    /// `tenant timestamp hash` → nothing: idempotency keys by age.
    IdempotencyDue = 8,
    /// `tenant kind hash` → the number of an interned name.
    Name = 9,
    /// `tenant kind number` → the text of an interned name.
    Number = 10,
    /// `tenant kind` → a counter.
    Counter = 11,
    /// `tenant index parts…` → what it leads to: further ways to find records.
    Index = 12,
    /// `tenant owner` → how many pieces there are of it, and where they are.
    Stock = 13,
    /// `tenant sale buyer` → the pieces that a buyer has.
    Buyer = 14,
    /// `tenant owner seq ordinal` → the stock as a fact left it.
    Ledger = 15,
    /// `due kind tenant id` → nothing: what is to be done, the earliest of all tenants first.
    Timer = 16,
    /// `tenant consumer parts…` → how far a consumer is, and what it could not deal with.
    Consumer = 20,
    /// `tenant sale` → how often a sale was tried, and what became of it; behind it, by second, the newest ones.
    Tries = 30,
}

/// A key under construction, or whole. Holds at most [`KEY_BYTES_MAX`] bytes inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    len: u8,
}

impl Key {
    /// A key of `table`, with nothing behind it yet.
    #[inline]
    pub fn new(table: Table) -> Self {
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[0] = table as u8;
        Key { bytes, len: 1 }
    }

    /// A key of a tenant's part of `table`.
    #[inline]
    pub fn of(table: Table, tenant: TenantNumber) -> Self {
        Key::new(table).u32(tenant.0)
    }

    /// A key with these bytes.
    ///
    /// # Panics
    /// When they are more than [`KEY_BYTES_MAX`].
    #[inline]
    pub fn from_bytes(from: &[u8]) -> Self {
        assert!(from.len() <= KEY_BYTES_MAX, "a key of {} bytes; the most is {KEY_BYTES_MAX}", from.len());
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[..from.len()].copy_from_slice(from);
        Key { bytes, len: from.len() as u8 }
    }

    /// Appends raw bytes.
    #[must_use]
    #[inline]
    pub fn raw(mut self, part: &[u8]) -> Self {
        let at = usize::from(self.len);
        assert!(at + part.len() <= KEY_BYTES_MAX, "a key longer than {KEY_BYTES_MAX} bytes");
        self.bytes[at..at + part.len()].copy_from_slice(part);
        self.len += part.len() as u8;
        self
    }

    /// Appends one byte.
    #[must_use]
    #[inline]
    pub fn u8(self, part: u8) -> Self {
        self.raw(&[part])
    }

    /// Appends a 32-bit number.
    #[must_use]
    #[inline]
    pub fn u32(self, part: u32) -> Self {
        self.raw(&part.to_be_bytes())
    }

    /// Appends a 64-bit number.
    #[must_use]
    #[inline]
    pub fn u64(self, part: u64) -> Self {
        self.raw(&part.to_be_bytes())
    }

    /// Appends a 128-bit number: an id or a hash.
    #[must_use]
    #[inline]
    pub fn u128(self, part: u128) -> Self {
        self.raw(&part.to_be_bytes())
    }

    /// Appends an instant so that earlier ones sort first, those before 1970 included.
    #[must_use]
    #[inline]
    pub fn time(self, part: Timestamp) -> Self {
        self.u64(part.to_ordered())
    }

    /// Appends a position within the log: seq, then ordinal.
    #[must_use]
    #[inline]
    pub fn change(self, part: ChangeId) -> Self {
        self.u64(part.seq).u32(part.ordinal)
    }

    /// The first key behind every key that starts with this one: the exclusive end of its range.
    ///
    /// # Panics
    /// When every byte is 0xff, which no table's number allows.
    #[must_use]
    #[inline]
    pub fn end(mut self) -> Self {
        loop {
            assert!(self.len > 0, "no key follows one of 0xff bytes alone");
            let last = usize::from(self.len) - 1;
            if self.bytes[last] != 0xff {
                self.bytes[last] += 1;
                return self;
            }
            self.bytes[last] = 0;
            self.len -= 1;
        }
    }
}

impl std::ops::Deref for Key {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A key is looked up by its bytes; the order is theirs.
impl std::borrow::Borrow<[u8]> for Key {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads the parts of a key, or of a value of fixed parts, from front to back.
#[derive(Debug, Clone)]
pub struct Parts<'a>(pub &'a [u8]);

impl<'a> Parts<'a> {
    /// The parts behind a key's table and tenant.
    #[inline]
    pub fn behind_tenant(key: &'a [u8]) -> Self {
        Parts(&key[5..])
    }

    /// The next `len` bytes.
    ///
    /// # Panics
    /// When fewer are left; views hold only what this build wrote.
    #[inline]
    pub fn raw(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        head
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> u8 {
        self.raw(1)[0]
    }

    /// The next 32-bit number.
    #[inline]
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.raw(4).try_into().expect("four bytes"))
    }

    /// The next 64-bit number.
    #[inline]
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.raw(8).try_into().expect("eight bytes"))
    }

    /// The next 128-bit number.
    #[inline]
    pub fn u128(&mut self) -> u128 {
        u128::from_be_bytes(self.raw(16).try_into().expect("sixteen bytes"))
    }

    /// The next instant.
    #[inline]
    pub fn time(&mut self) -> Timestamp {
        Timestamp::from_ordered(self.u64())
    }

    /// The next position within the log.
    #[inline]
    pub fn change(&mut self) -> ChangeId {
        ChangeId { seq: self.u64(), ordinal: self.u32() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_parts_do() {
        let key =
            |tenant, micros| Key::of(Table::Slot, TenantNumber(tenant)).time(Timestamp::from_micros(micros));
        let sorted = [key(1, i64::MIN), key(1, -1), key(1, 0), key(1, 1), key(1, i64::MAX), key(2, -5)];
        assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_end_of_a_range_is_behind_all_of_it_and_nothing_else() {
        let key = Key::of(Table::Slot, TenantNumber(u32::MAX));
        assert!(key.u64(u64::MAX) < key.end());
        assert_eq!(key.end(), Key::new(Table::Was));
        assert_eq!(Key::of(Table::Slot, TenantNumber(7)).end(), Key::of(Table::Slot, TenantNumber(8)));
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        let at = ChangeId { seq: 9, ordinal: 3 };
        let key = Key::of(Table::Version, TenantNumber(4)).u8(2).u128(77).change(at);
        let mut parts = Parts::behind_tenant(&key);
        assert_eq!((parts.u8(), parts.u128(), parts.change()), (2, 77, at));
        assert!(parts.0.is_empty());
    }
}
