//! Records out of Avro object container files (Avro specification 1.11, "Object Container Files").
//!
//! ```text
//!   "Obj" 1 │ metadata: avro.schema, avro.codec │ 16 bytes of sync
//!   count │ size │ size bytes of records, perhaps deflated │ the same 16 bytes          … a block, again and again
//! ```
//!
//! Read by hand and not by a library: the one there is pulls from a blocking reader, where ours are pushed pieces as
//! they arrive, and brings twenty crates for what is a page here. Blocks are read whole, within
//! [`BLOCK_BYTES_MAX`]; a broken one costs what is left of it, and reading goes on behind the next sync.
//!
//! Next: [`schema`] for types, [`decode`] for values.

mod decode;
mod schema;

use std::sync::Arc;

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use self::decode::Bytes;
use self::schema::Schema;
use crate::read::{Found, Place, Problem, Window};
use crate::salon::Kind;

/// What every file begins with.
pub(crate) const MAGIC: &[u8] = b"Obj\x01";
/// The length of a sync.
pub(crate) const SYNC_BYTES: usize = 16;
/// The longest block, deflated or not. Writers make them of some ten kilobytes.
pub(crate) const BLOCK_BYTES_MAX: usize = 16 << 20;
/// The longest head, schema and all.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// The longest count and size before a block.
const NUMBERS_BYTES_MAX: usize = 20;
/// Most entries of the metadata.
const METADATA_ENTRIES_MAX: i64 = 1_000;

/// Reads the records of a file.
#[derive(Debug)]
pub(crate) struct Container {
    kind: Option<Kind>,
    head: Option<Arc<Head>>,
    block: Option<Block>,
    /// The next block begins behind the next sync.
    lost: bool,
    /// Records that came before.
    records: u64,
}

#[derive(Debug)]
struct Head {
    schema: Schema,
    deflated: bool,
    sync: [u8; SYNC_BYTES],
}

/// A block whose records are being read.
#[derive(Debug)]
struct Block {
    place: Place,
    data: Vec<u8>,
    /// Bytes of `data` that were read, and records that were not.
    at: usize,
    left: u64,
}

impl Container {
    pub(crate) fn new(kind: Option<Kind>) -> Self {
        Container { kind, head: None, block: None, lost: false, records: 0 }
    }

    pub(crate) fn advance(&mut self, window: &mut Window, found: &mut Found) -> bool {
        let Some(head) = self.head.clone() else { return self.begin(window, found) };
        // One record at a time: a block can hold more of them than should be in memory.
        if let Some(block) = self.block.take() {
            self.record(&head, block, found);
            return true;
        }
        if self.lost {
            return self.find(&head, window);
        }
        if window.rest().is_empty() {
            return false;
        }
        self.block(&head, window, found)
    }

    fn begin(&mut self, window: &mut Window, found: &mut Found) -> bool {
        let rest = window.rest();
        let mut bytes = Bytes::new(rest);
        match head(&mut bytes) {
            Ok(_) if bytes.position() > HEAD_BYTES_MAX => {
                let why = format!("the head of the file is longer than {HEAD_BYTES_MAX} bytes");
                found.fatal(Problem::new(window.place(), "format-unknown", why));
            }
            Ok(head) => {
                let length = bytes.position();
                window.take(length);
                self.head = Some(Arc::new(head));
                found.of_format = true;
                return true;
            }
            Err(HeadError::Short) if rest.len() <= HEAD_BYTES_MAX && !window.has_ended() => return false,
            Err(HeadError::Short) if rest.is_empty() => return false,
            Err(HeadError::Short) => {
                let why = format!("the head of the file does not end within {HEAD_BYTES_MAX} bytes");
                found.fatal(Problem::new(window.place(), "format-unknown", why));
            }
            Err(HeadError::Wrong(why)) => found.fatal(Problem::new(window.place(), "format-unknown", why)),
        }
        true
    }

    fn block(&mut self, head: &Head, window: &mut Window, found: &mut Found) -> bool {
        let rest = window.rest();
        let place = window.place();
        let mut bytes = Bytes::new(rest);
        let numbers = (bytes.long(), bytes.long());
        let (Some(count), Some(size)) = numbers else {
            if rest.len() >= NUMBERS_BYTES_MAX || window.has_ended() {
                self.lose(found, Problem::malformed(place, "no block begins here"));
                return true;
            }
            return false;
        };
        let (Ok(count), Ok(size)) = (u64::try_from(count), usize::try_from(size)) else {
            self.lose(found, Problem::malformed(place, "a block has a negative count or size"));
            return true;
        };
        if size > BLOCK_BYTES_MAX {
            let why = format!("a block has {size} bytes, and the most is {BLOCK_BYTES_MAX}");
            self.lose(found, Problem::new(place, "record-too-long", why));
            return true;
        }
        let begin = bytes.position();
        let Some(sync) = rest.get(begin + size..begin + size + SYNC_BYTES) else {
            if window.has_ended() {
                let why = format!("the file ends within a block of {count} records");
                self.lose(found, Problem::new(place, "record-cut-short", why));
                return true;
            }
            return false;
        };
        if sync != head.sync {
            self.lose(
                found,
                Problem::malformed(place, format!("a block of {count} records does not end where it should")),
            );
            return true;
        }
        let data = &rest[begin..begin + size];
        let data = if head.deflated {
            decompress_to_vec_with_limit(data, BLOCK_BYTES_MAX).ok()
        } else {
            Some(data.to_vec())
        };
        match data {
            Some(data) => self.block = Some(Block { place, data, at: 0, left: count }),
            None => {
                let why =
                    format!("a block of {count} records cannot be inflated within {BLOCK_BYTES_MAX} bytes");
                found.problem(Problem::malformed(place, why));
            }
        }
        window.take(begin + size + SYNC_BYTES);
        true
    }

    /// The next record of a block.
    fn record(&mut self, head: &Head, block: Block, found: &mut Found) {
        let Block { place, data, at, left } = block;
        if left == 0 {
            return;
        }
        self.records = self.records.saturating_add(1);
        let mut bytes = Bytes::new(&data[at..]);
        // A record without bytes could be there any number of times.
        let fields = head.schema.decode(&mut bytes).filter(|_| bytes.position() > 0);
        let Some(fields) = fields else {
            let number = self.records;
            let why = format!("record {number} of the file is broken; with it {left} of its block are lost");
            found.problem(Problem::malformed(place, why));
            return;
        };
        found.fields(place, &fields, self.kind);
        let at = at + bytes.position();
        self.block = Some(Block { place, data, at, left: left - 1 });
    }

    fn lose(&mut self, found: &mut Found, problem: Problem) {
        found.problem(problem);
        self.lost = true;
    }

    /// Leaves out what stands before the next sync, and it.
    fn find(&mut self, head: &Head, window: &mut Window) -> bool {
        let rest = window.rest();
        if let Some(at) = rest.windows(SYNC_BYTES).position(|bytes| bytes == head.sync) {
            window.take(at + SYNC_BYTES);
            self.lost = false;
            return true;
        }
        let kept = if window.has_ended() { 0 } else { SYNC_BYTES - 1 };
        let skipped = rest.len().saturating_sub(kept);
        window.take(skipped);
        false
    }
}

enum HeadError {
    /// It may go on.
    Short,
    Wrong(String),
}

fn head(bytes: &mut Bytes<'_>) -> Result<Head, HeadError> {
    let wrong = |why: &str| HeadError::Wrong(why.to_owned());
    let magic = bytes.take(MAGIC.len()).ok_or(HeadError::Short)?;
    if magic != MAGIC {
        return Err(wrong("this is no Avro object container file"));
    }
    let (mut schema, mut codec) = (None, None);
    let mut entries = 0;
    loop {
        let mut count = bytes.long().ok_or(HeadError::Short)?;
        if count == 0 {
            break;
        }
        if count < 0 {
            // A negative count is followed by the size, which nobody needs here.
            bytes.long().ok_or(HeadError::Short)?;
            count = count.checked_neg().unwrap_or(i64::MAX);
        }
        entries += count.min(METADATA_ENTRIES_MAX);
        if entries >= METADATA_ENTRIES_MAX {
            return Err(wrong("the head has too many entries"));
        }
        for _ in 0..count {
            let key = bytes.sized().ok_or(HeadError::Short)?;
            let value = bytes.sized().ok_or(HeadError::Short)?;
            match key {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = Some(value),
                _ => {}
            }
        }
    }
    let sync = bytes.take(SYNC_BYTES).ok_or(HeadError::Short)?;
    let deflated = match codec {
        None | Some(b"null" | b"") => false,
        Some(b"deflate") => true,
        Some(other) => {
            let other: String = String::from_utf8_lossy(other).chars().take(20).collect();
            return Err(HeadError::Wrong(format!("its codec is \"{other}\"; null and deflate are read")));
        }
    };
    let schema = schema.ok_or_else(|| wrong("its head names no schema"))?;
    let schema = Schema::parse(schema).map_err(HeadError::Wrong)?;
    let sync = sync.try_into().map_err(|_| HeadError::Short)?;
    Ok(Head { schema, deflated, sync })
}
