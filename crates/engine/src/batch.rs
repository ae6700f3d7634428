//! The batch: the facts of the commands decided together. Unit of append, durability and checksum.
//!
//! All numbers are little-endian. Every released layout stays readable (golden files in `tests/golden/`).
//!
//! ```text
//!   0  magic "mtrd"       4 |  28  batch_id · writer    32
//!   4  format             2 |  60  timestamp (µs)        8
//!   6  rules_version      2 |  68  prev_hash            32
//!   8  log                4 | 100  items (count)         4
//!  12  epoch              8 | 104  reserved, zero        4
//!  20  seq                8 | 108  item …
//!
//!  item:  tenant 4 · actor 1 (+16) · flags 1 · [key 16 · fingerprint 16 · outcome len 4 · outcome]
//!         · facts (count) 2 · fact …
//!  fact:  kind 2 · version 1 · body len 4 · body
//!
//!  after the items:  hash 32 = BLAKE3 of everything before it · crc32c 4 of everything before it
//! ```
//!
//! `prev_hash` is the `hash` of the batch before, so the hashes form a chain that starts at [`GENESIS`].

use maitred_core::{Actor, Seq, TenantNumber, Timestamp};

/// The most commands in one batch.
pub const BATCH_COMMANDS_MAX: usize = 512;
/// A batch is sealed when it has reached this size; the last command may carry it over by
/// [`COMMAND_BYTES_MAX`].
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of one command's facts and remembered outcome together.
pub const COMMAND_BYTES_MAX: usize = 256 * 1024;
/// What a fact takes besides its body.
pub const FACT_BYTES: usize = 7;
/// The longest sealed batch that a log must take.
pub const SEALED_BYTES_MAX: usize = BATCH_BYTES_MAX + COMMAND_BYTES_MAX + 4096;
/// The format that [`BatchBuilder`] writes.
pub const FORMAT: u16 = 1;
/// The length of a batch's header.
pub const HEADER_BYTES: usize = 108;
const TRAILER_BYTES: usize = 36;
const MAGIC: [u8; 4] = *b"mtrd";

/// A link of the hash chain.
pub type Hash = [u8; 32];
/// The hash before the first batch.
pub const GENESIS: Hash = [0; 32];

/// What a batch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version of the rules that decided.
    pub rules_version: u16,
    /// The partition's log.
    pub log: u32,
    /// The writer's claim on the partition; 0 on one machine.
    pub epoch: u64,
    /// The batch's number; contiguous from 1.
    pub seq: Seq,
    /// Tells this batch from any other that somebody tried to put at the same seq.
    pub batch_id: u128,
    /// The process that wrote it.
    pub writer: u128,
    /// When it was decided; strictly above every earlier batch's.
    pub timestamp: Timestamp,
    /// The hash of the batch before.
    pub prev_hash: Hash,
}

/// The idempotency key of a command, hashed with its scope, and what it was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// Hash of tenant-local scope and key.
    pub key: u128,
    /// Hash of method, path and body.
    pub fingerprint: u128,
}

/// One fact as the log holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFact<'a> {
    /// Which kind of fact, over all domains.
    pub kind: u16,
    /// The version of the body's encoding.
    pub version: u8,
    /// The encoded body.
    pub body: &'a [u8],
}

/// One command's part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// Whose command it was.
    pub tenant: TenantNumber,
    /// Who asked.
    pub actor: Actor,
    /// The key, and the answer to be remembered under it, in its stored form.
    pub idempotency: Option<(Idempotency, &'a [u8])>,
    /// What was decided.
    pub facts: Vec<RawFact<'a>>,
}

/// A batch ready to be appended, or read back and verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The whole batch, trailer included.
    pub bytes: Vec<u8>,
    /// Its header.
    pub header: Header,
    /// Its link of the chain.
    pub hash: Hash,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "batch {} ({} bytes)", self.header.seq, self.bytes.len())
    }
}

/// Bytes that are no valid batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too short, or a length inside points outside.
    #[error("the batch is cut short or its lengths do not add up")]
    Malformed,
    /// The first bytes are not a batch's.
    #[error("no batch starts here")]
    NotABatch,
    /// Written by a newer build.
    #[error("batch format {0} is newer than this build knows")]
    UnknownFormat(u16),
    /// The checksum does not match.
    #[error("the batch's checksum does not match its bytes")]
    Checksum,
    /// The hash does not match.
    #[error("the batch's hash does not match its bytes")]
    Hash,
}

/// Builds a batch item by item.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    header: Header,
    items: u32,
    facts: u32,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(header: Header) -> Self {
        let mut bytes = Vec::with_capacity(32 * 1024);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&header.rules_version.to_le_bytes());
        bytes.extend_from_slice(&header.log.to_le_bytes());
        bytes.extend_from_slice(&header.epoch.to_le_bytes());
        bytes.extend_from_slice(&header.seq.to_le_bytes());
        bytes.extend_from_slice(&header.batch_id.to_le_bytes());
        bytes.extend_from_slice(&header.writer.to_le_bytes());
        bytes.extend_from_slice(&header.timestamp.as_micros().to_le_bytes());
        bytes.extend_from_slice(&header.prev_hash);
        bytes.extend_from_slice(&[0; 8]);
        assert_eq!(bytes.len(), HEADER_BYTES);
        BatchBuilder { bytes, header, items: 0, facts: 0 }
    }

    /// The header it was begun with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many items it has.
    pub fn items(&self) -> usize {
        self.items as usize
    }

    /// How many facts it has: the ordinal of the next.
    pub fn facts(&self) -> u32 {
        self.facts
    }

    /// Its length so far, without the trailer.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no items.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Adds an item. `facts` appends each fact by [`Facts::push`].
    pub fn push(
        &mut self,
        tenant: TenantNumber,
        actor: Actor,
        idempotency: Option<(Idempotency, &[u8])>,
        facts: impl FnOnce(&mut Facts<'_>),
    ) {
        let out = &mut self.bytes;
        out.extend_from_slice(&tenant.0.to_le_bytes());
        match actor {
            Actor::System => out.push(0),
            Actor::Anonymous => out.push(1),
            Actor::ApiKey(id) => {
                out.push(2);
                out.extend_from_slice(&id.to_le_bytes());
            }
            Actor::User(id) => {
                out.push(3);
                out.extend_from_slice(&id.to_le_bytes());
            }
        }
        out.push(u8::from(idempotency.is_some()));
        if let Some((Idempotency { key, fingerprint }, outcome)) = idempotency {
            out.extend_from_slice(&key.to_le_bytes());
            out.extend_from_slice(&fingerprint.to_le_bytes());
            out.extend_from_slice(&(outcome.len() as u32).to_le_bytes());
            out.extend_from_slice(outcome);
        }
        let count_at = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut list = Facts { out, count: 0 };
        facts(&mut list);
        let count = list.count;
        self.bytes[count_at..count_at + 2].copy_from_slice(&count.to_le_bytes());
        self.items += 1;
        self.facts += u32::from(count);
    }

    /// Closes the batch: counts, hash, checksum.
    pub fn seal(mut self) -> Sealed {
        self.bytes[HEADER_BYTES - 8..HEADER_BYTES - 4].copy_from_slice(&self.items.to_le_bytes());
        let hash = *blake3::hash(&self.bytes).as_bytes();
        self.bytes.extend_from_slice(&hash);
        let crc = crc32c::crc32c(&self.bytes);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        Sealed { bytes: self.bytes, header: self.header, hash }
    }
}

/// The facts of an item under construction.
#[derive(Debug)]
pub struct Facts<'a> {
    out: &'a mut Vec<u8>,
    count: u16,
}

impl Facts<'_> {
    /// Adds a fact; `body` appends its encoded body.
    pub fn push(&mut self, kind: u16, version: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(&kind.to_le_bytes());
        self.out.push(version);
        let len_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        body(self.out);
        let len = (self.out.len() - len_at - 4) as u32;
        self.out[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
        self.count = self.count.checked_add(1).expect("a command has few facts");
    }
}

impl Sealed {
    /// Verifies checksum and hash, and reads the header.
    ///
    /// # Errors
    /// See [`BatchError`]; the bytes come back with it.
    pub fn verify(bytes: Vec<u8>) -> Result<Sealed, BatchError> {
        if bytes.len() < HEADER_BYTES + TRAILER_BYTES {
            return Err(BatchError::Malformed);
        }
        if bytes[..4] != MAGIC {
            return Err(BatchError::NotABatch);
        }
        let mut reader = Reader(&bytes[4..]);
        let format = reader.u16();
        if format == 0 || format > FORMAT {
            return Err(BatchError::UnknownFormat(format));
        }
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        if crc32c::crc32c(body).to_le_bytes() != crc {
            return Err(BatchError::Checksum);
        }
        let (body, hash) = body.split_at(body.len() - 32);
        if blake3::hash(body).as_bytes() != hash {
            return Err(BatchError::Hash);
        }
        let hash = hash.try_into().expect("32 bytes");
        let header = Header {
            rules_version: reader.u16(),
            log: reader.u32(),
            epoch: reader.u64(),
            seq: reader.u64(),
            batch_id: reader.u128(),
            writer: reader.u128(),
            timestamp: Timestamp::from_micros(reader.u64() as i64),
            prev_hash: reader.take(32).try_into().expect("32 bytes"),
        };
        Ok(Sealed { bytes, header, hash })
    }

    /// The items, in the order in which they were decided.
    ///
    /// # Errors
    /// [`BatchError::Malformed`] at the item whose lengths do not add up; nothing follows it.
    pub fn items(&self) -> impl Iterator<Item = Result<Item<'_>, BatchError>> {
        let body = &self.bytes[..self.bytes.len() - TRAILER_BYTES];
        let mut left =
            u32::from_le_bytes(body[HEADER_BYTES - 8..HEADER_BYTES - 4].try_into().expect("four bytes"));
        let mut reader = Reader(&body[HEADER_BYTES..]);
        std::iter::from_fn(move || {
            if left == 0 {
                return (!reader.0.is_empty()).then(|| {
                    reader.0 = &[];
                    Err(BatchError::Malformed)
                });
            }
            left -= 1;
            let item = reader.item().ok_or(BatchError::Malformed);
            if item.is_err() {
                left = 0;
                reader.0 = &[];
            }
            Some(item)
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn try_take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        self.try_take(len).expect("the header's length was checked")
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.take(16).try_into().expect("sixteen bytes"))
    }

    fn try_u8(&mut self) -> Option<u8> {
        self.try_take(1).map(|b| b[0])
    }

    fn try_u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.try_take(2)?.try_into().ok()?))
    }

    fn try_u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.try_take(4)?.try_into().ok()?))
    }

    fn try_u128(&mut self) -> Option<u128> {
        Some(u128::from_le_bytes(self.try_take(16)?.try_into().ok()?))
    }

    fn item(&mut self) -> Option<Item<'a>> {
        let tenant = TenantNumber(self.try_u32()?);
        let actor = match self.try_u8()? {
            0 => Actor::System,
            1 => Actor::Anonymous,
            2 => Actor::ApiKey(self.try_u128()?),
            3 => Actor::User(self.try_u128()?),
            _ => return None,
        };
        let idempotency = match self.try_u8()? {
            0 => None,
            1 => {
                let idempotency = Idempotency { key: self.try_u128()?, fingerprint: self.try_u128()? };
                let len = self.try_u32()? as usize;
                Some((idempotency, self.try_take(len)?))
            }
            _ => return None,
        };
        let count = self.try_u16()?;
        let mut facts = Vec::with_capacity(usize::from(count).min(64));
        for _ in 0..count {
            let (kind, version) = (self.try_u16()?, self.try_u8()?);
            let len = self.try_u32()? as usize;
            facts.push(RawFact { kind, version, body: self.try_take(len)? });
        }
        Some(Item { tenant, actor, idempotency, facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Sealed {
        let mut builder = BatchBuilder::new(Header {
            rules_version: 1,
            log: 0,
            epoch: 0,
            seq: 1,
            batch_id: 7,
            writer: 9,
            timestamp: Timestamp::from_millis(1_600_000_000_000),
            prev_hash: GENESIS,
        });
        let idempotency = Idempotency { key: 1, fingerprint: 2 };
        builder.push(TenantNumber(3), Actor::ApiKey(5), Some((idempotency, b"kept")), |facts| {
            facts.push(17, 1, |body| body.extend_from_slice(b"one"));
            facts.push(18, 2, |_| {});
        });
        builder.push(TenantNumber(4), Actor::Anonymous, None, |_| {});
        builder.seal()
    }

    #[test]
    fn a_batch_is_read_back_as_it_was_built() {
        let sealed = sample();
        let read = Sealed::verify(sealed.bytes.clone()).unwrap();
        assert_eq!(read, sealed);
        let items: Vec<_> = read.items().map(Result::unwrap).collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].idempotency.unwrap().1, b"kept");
        assert_eq!(items[0].facts[0], RawFact { kind: 17, version: 1, body: b"one" });
        assert_eq!(items[1].facts, []);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = sample();
        for at in 0..sealed.bytes.len() {
            for bit in 0..8 {
                let mut bytes = sealed.bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(Sealed::verify(bytes).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Sealed::verify(sealed.bytes[..at].to_vec()).is_err(), "cut at {at}");
        }
    }

    proptest::proptest! {
        /// What a program with a fault might write, with a hash and a checksum that fit.
        #[test]
        fn what_is_sealed_and_makes_no_sense_is_malformed_and_no_more(
            changes in proptest::collection::vec((0..1_000_usize, 0..4_u8, proptest::num::u8::ANY), 1..6),
        ) {
            let mut body = sample().bytes;
            body.truncate(body.len() - TRAILER_BYTES);
            for (at, how, byte) in changes {
                // Behind the magic and the format, which have errors of their own.
                let at = 6 + at % (body.len() - 6);
                match how {
                    0 => body[at] = byte,
                    1 => body[at] ^= 1 << (byte % 8),
                    2 => body.insert(at, byte),
                    _ if at >= HEADER_BYTES => body.truncate(at),
                    _ => {}
                }
            }
            let hash = blake3::hash(&body);
            body.extend_from_slice(hash.as_bytes());
            let crc = crc32c::crc32c(&body).to_le_bytes();
            body.extend_from_slice(&crc);
            let bytes = body.len();
            let sealed = Sealed::verify(body).expect("the sums fit");
            let items: Vec<_> = sealed.items().collect();
            proptest::prop_assert!(items.len() <= bytes, "an item takes bytes");
            let wrong = items.iter().position(Result::is_err);
            proptest::prop_assert!(wrong.is_none_or(|at| at + 1 == items.len()), "nothing follows what is wrong");
        }
    }
}
