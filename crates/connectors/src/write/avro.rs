//! Avro object container files, written block by block.

use std::io::{self, Write};

use miniz_oxide::deflate::compress_to_vec;

use super::{Cell, cells, columns};
use crate::avro::MAGIC;
use crate::salon::{Kind, Record, Status};

/// A block ends once its records have so many bytes.
const BLOCK_BYTES: usize = 64 * 1024;
/// Of 0 to 10: the fastest that compresses at all well.
const DEFLATE_LEVEL: u8 = 1;

/// The block at hand of a file.
#[derive(Debug)]
pub(super) struct Container {
    kind: Kind,
    sync: [u8; 16],
    count: u64,
    block: Vec<u8>,
}

impl Container {
    pub(super) fn new(kind: Kind, sync: [u8; 16]) -> Self {
        Container { kind, sync, count: 0, block: Vec::new() }
    }

    /// What the file begins with.
    pub(super) fn head(&self) -> Vec<u8> {
        let schema = schema(self.kind);
        let mut head = MAGIC.to_vec();
        let entries: [(&str, &[u8]); 2] = [("avro.codec", b"deflate"), ("avro.schema", schema.as_bytes())];
        push_long(&mut head, entries.len() as i64);
        for (key, value) in entries {
            push_sized(&mut head, key.as_bytes());
            push_sized(&mut head, value);
        }
        push_long(&mut head, 0);
        head.extend_from_slice(&self.sync);
        head
    }

    pub(super) fn write(&mut self, record: &Record, out: &mut impl Write) -> io::Result<()> {
        let status = columns(self.kind).iter().position(|(name, _)| *name == "status");
        for (at, cell) in cells(record).into_iter().enumerate() {
            match cell {
                Cell::Text(text) if Some(at) == status => {
                    let symbol = Status::ALL.iter().position(|status| status.as_str() == text);
                    push_long(&mut self.block, symbol.unwrap_or_default() as i64);
                }
                Cell::Text(text) => push_sized(&mut self.block, text.as_bytes()),
                Cell::Instant(at) => push_long(&mut self.block, at.as_millisecond()),
                Cell::Number(number) => self.block.extend_from_slice(&number.to_le_bytes()),
            }
        }
        self.count += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block(out) } else { Ok(()) }
    }

    /// Writes what is not written yet.
    pub(super) fn end_block(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let deflated = compress_to_vec(&self.block, DEFLATE_LEVEL);
        let mut head = Vec::new();
        push_long(&mut head, self.count.cast_signed());
        push_long(&mut head, deflated.len() as i64);
        self.block.clear();
        self.count = 0;
        out.write_all(&head)?;
        out.write_all(&deflated)?;
        out.write_all(&self.sync)
    }
}

fn schema(kind: Kind) -> String {
    let fields = columns(kind).iter().map(|(name, ty)| {
        let ty = match (*name, ty.split(['(', ' ']).next()) {
            ("status", _) => {
                let symbols: Vec<_> =
                    Status::ALL.iter().map(|status| format!("\"{}\"", status.as_str())).collect();
                format!("{{\"type\":\"enum\",\"name\":\"Status\",\"symbols\":[{}]}}", symbols.join(","))
            }
            (_, Some("TIMESTAMP")) => "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}".to_owned(),
            (_, Some("DECIMAL")) => "\"double\"".to_owned(),
            _ => "\"string\"".to_owned(),
        };
        format!("{{\"name\":\"{name}\",\"type\":{ty}}}")
    });
    let fields = fields.collect::<Vec<_>>().join(",");
    let name = match kind {
        Kind::Customer => "Customer",
        Kind::Booking => "Booking",
    };
    format!("{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":[{fields}]}}")
}

/// Zigzag, seven bits a byte, the lowest first.
fn push_long(out: &mut Vec<u8>, number: i64) {
    let mut bits = (number << 1 ^ number >> 63).cast_unsigned();
    while bits >= 0x80 {
        out.push(bits as u8 & 0x7f | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    push_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}
