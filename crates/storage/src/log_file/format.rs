//! The bytes of a segment. All numbers are little-endian.
//!
//! ```text
//!  segment, a file `<first seq, 20 digits>.segment`:
//!
//!   sector 0        header
//!   sector 1 …      frame of batch first_seq, frame of first_seq + 1, …, then zeros to the end
//!
//!  header, one sector:
//!    0  magic "mtrd.seg"        8 | 24  first_seq                    8
//!    8  format                  2 | 32  first_seq of the segment     8
//!   10  reserved, zero          2 |     before, 0 for the first
//!   12  log                     4 | 40  hash of batch first_seq - 1 32
//!   16  bytes of the segment    8 | 72  zeros                      436
//!                                 |508  crc32c of everything before  4
//!
//!  frame, whole sectors, each of them:
//!    0  stamp                   1 |  1  payload                    511
//!
//!  the payloads, one after the other:
//!    0  magic "frme"            4 |  8  seq                          8
//!    4  bytes of the batch      4 | 16  crc32c of these 16           4
//!   20  the sealed batch, then zeros to the end of the last sector
//!
//!  stamp:  0xA0 | seq mod 16 on the first sector of a frame, 0x50 | seq mod 16 on the others
//! ```
//!
//! An append writes only sectors that no batch stands in. A stamp is never zero, so a sector that is all
//! zero was never written, whatever bytes clients send; that is what tells a torn batch from a damaged
//! one. Stamps differ from zero and from each other's kind in two bits at least, so that one flipped bit
//! never makes a written sector look unwritten.

use maitred_core::Seq;
use maitred_engine::batch::{Hash, SEALED_BYTES_MAX};

pub(super) use crate::disk::SECTOR_BYTES;

/// The format that is written; every earlier one stays readable.
pub(super) const FORMAT: u16 = 1;
/// The longest frame: what an interrupted append may have left behind.
pub(super) const FRAME_BYTES_MAX: u64 = frame_bytes(SEALED_BYTES_MAX);

const SEGMENT_MAGIC: [u8; 8] = *b"mtrd.seg";
const FRAME_MAGIC: [u8; 4] = *b"frme";
const FRAME_HEADER_BYTES: usize = 20;
const PAYLOAD_BYTES: usize = SECTOR_BYTES - 1;
const HEADER_CRC_AT: usize = SECTOR_BYTES - 4;

/// What a segment says of itself in its first sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The log that it belongs to.
    pub(super) log: u32,
    /// The length of the file.
    pub(super) bytes: u64,
    /// The number of its first batch.
    pub(super) first_seq: Seq,
    /// The number of the first batch of the segment before, or 0.
    pub(super) previous_first_seq: Seq,
    /// The hash of the batch before its first.
    pub(super) prev_hash: Hash,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SECTOR_BYTES] {
        let mut sector = [0; SECTOR_BYTES];
        sector[..8].copy_from_slice(&SEGMENT_MAGIC);
        sector[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        sector[12..16].copy_from_slice(&self.log.to_le_bytes());
        sector[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        sector[24..32].copy_from_slice(&self.first_seq.to_le_bytes());
        sector[32..40].copy_from_slice(&self.previous_first_seq.to_le_bytes());
        sector[40..72].copy_from_slice(&self.prev_hash);
        let crc = crc32c::crc32c(&sector[..HEADER_CRC_AT]);
        sector[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        sector
    }

    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn decode(sector: &[u8; SECTOR_BYTES]) -> Result<Self, String> {
        if sector[..8] != SEGMENT_MAGIC {
            return Err("no segment starts here".to_owned());
        }
        if crc32c::crc32c(&sector[..HEADER_CRC_AT]) != u32_at(sector, HEADER_CRC_AT) {
            return Err("the checksum of the segment's header does not match".to_owned());
        }
        let format = u16::from_le_bytes([sector[8], sector[9]]);
        if format == 0 || format > FORMAT {
            return Err(format!("this build does not know segment format {format}"));
        }
        Ok(SegmentHeader {
            log: u32_at(sector, 12),
            bytes: u64_at(sector, 16),
            first_seq: u64_at(sector, 24),
            previous_first_seq: u64_at(sector, 32),
            prev_hash: sector[40..72].try_into().expect("32 bytes"),
        })
    }
}

/// The length of the frame of a batch with so many bytes.
pub(super) const fn frame_bytes(batch_bytes: usize) -> u64 {
    ((FRAME_HEADER_BYTES + batch_bytes).div_ceil(PAYLOAD_BYTES) * SECTOR_BYTES) as u64
}

/// Writes the frame of a batch into `frame`, in place of what was there.
pub(super) fn encode_frame(seq: Seq, batch: &[u8], frame: &mut Vec<u8>) {
    let mut header = [0; FRAME_HEADER_BYTES];
    header[..4].copy_from_slice(&FRAME_MAGIC);
    header[4..8].copy_from_slice(&(batch.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c(&header[..16]);
    header[16..].copy_from_slice(&crc.to_le_bytes());

    frame.clear();
    frame.reserve(frame_bytes(batch.len()) as usize);
    let (first, rest) = batch.split_at(batch.len().min(PAYLOAD_BYTES - FRAME_HEADER_BYTES));
    frame.push(stamp(seq, true));
    frame.extend_from_slice(&header);
    frame.extend_from_slice(first);
    for payload in rest.chunks(PAYLOAD_BYTES) {
        frame.push(stamp(seq, false));
        frame.extend_from_slice(payload);
    }
    frame.resize(frame.len().next_multiple_of(SECTOR_BYTES), 0);
}

/// The length of the batch whose frame starts with this sector.
///
/// # Errors
/// In words, why it is not the frame of batch `seq`.
pub(super) fn decode_frame_header(sector: &[u8], seq: Seq) -> Result<usize, String> {
    let header = &sector[1..=FRAME_HEADER_BYTES];
    if is_zero(sector) {
        return Err("no batch was written here".to_owned());
    }
    if header[..4] != FRAME_MAGIC {
        return Err("no batch starts here".to_owned());
    }
    if crc32c::crc32c(&header[..16]) != u32_at(header, 16) {
        return Err("the checksum of the frame's header does not match".to_owned());
    }
    let found = u64_at(header, 8);
    if found != seq {
        return Err(format!("batch {found} stands here"));
    }
    if sector[0] != stamp(seq, true) {
        return Err("the first sector is not stamped as the first of this batch".to_owned());
    }
    let batch_bytes = u32_at(header, 4) as usize;
    if batch_bytes > SEALED_BYTES_MAX {
        return Err(format!("a batch of {batch_bytes} bytes is longer than any"));
    }
    Ok(batch_bytes)
}

/// What is wrong with a frame whose header is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFrame {
    /// The offset within the frame.
    pub(super) within: u64,
    /// Whether a sector was never written.
    pub(super) unwritten: bool,
    pub(super) what: &'static str,
}

/// The sealed batch inside a frame, whose header was read before.
///
/// # Errors
/// The first sector that is not as it was written.
pub(super) fn decode_frame(frame: &[u8], seq: Seq, batch_bytes: usize) -> Result<Vec<u8>, BadFrame> {
    let mut batch = Vec::with_capacity(frame.len());
    for (number, sector) in frame.chunks(SECTOR_BYTES).enumerate() {
        let within = (number * SECTOR_BYTES) as u64;
        if is_zero(sector) {
            let what = "a sector of the batch was never written";
            return Err(BadFrame { within, unwritten: true, what });
        }
        if sector[0] != stamp(seq, number == 0) {
            let what = "a sector is not stamped as one of this batch";
            return Err(BadFrame { within, unwritten: false, what });
        }
        let skip = if number == 0 { 1 + FRAME_HEADER_BYTES } else { 1 };
        batch.extend_from_slice(&sector[skip..]);
    }
    if !is_zero(&batch[batch_bytes..]) {
        let within = (frame.len() - SECTOR_BYTES) as u64;
        return Err(BadFrame { within, unwritten: false, what: "the space after the batch is not zero" });
    }
    batch.truncate(batch_bytes);
    Ok(batch)
}

/// The first byte of every sector of batch `seq`.
pub(super) fn stamp(seq: Seq, first: bool) -> u8 {
    let kind = if first { 0xA0 } else { 0x50 };
    kind | (seq % 16) as u8
}

/// Whether nothing but zeros is there. Folding whole pieces lets the compiler use wide registers.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(128).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(frame: &[u8], seq: Seq) -> Result<Vec<u8>, String> {
        let batch_bytes = decode_frame_header(&frame[..SECTOR_BYTES], seq)?;
        assert_eq!(frame_bytes(batch_bytes), frame.len() as u64);
        decode_frame(frame, seq, batch_bytes).map_err(|bad| bad.what.to_owned())
    }

    proptest! {
        #[test]
        fn a_frame_of_any_length_gives_its_batch_back_and_has_no_zero_sector(
            seq in 1_u64..,
            bytes in 0_usize..5_000,
            fill: u8,
        ) {
            let batch = vec![fill; bytes];
            let mut frame = vec![7; 3];
            encode_frame(seq, &batch, &mut frame);
            prop_assert_eq!(frame.len() as u64, frame_bytes(bytes));
            prop_assert!(frame.chunks(SECTOR_BYTES).all(|sector| !is_zero(sector)));
            prop_assert_eq!(read_back(&frame, seq), Ok(batch));
        }

        #[test]
        fn a_segment_header_gives_its_fields_back(log: u32, bytes: u64, first_seq: u64, prev_hash: [u8; 32]) {
            let header =
                SegmentHeader { log, bytes, first_seq, previous_first_seq: first_seq / 2, prev_hash };
            prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn no_stamp_is_one_bit_away_from_zero_or_from_the_other_kind() {
        for seq in 0..16 {
            let (first, other) = (stamp(seq, true), stamp(seq, false));
            assert!(first.count_ones() >= 2 && other.count_ones() >= 2);
            for against in 0..16 {
                assert!((first ^ stamp(against, false)).count_ones() >= 2);
            }
        }
    }

    #[test]
    fn a_batch_longer_than_any_is_no_batch() {
        let mut frame = Vec::new();
        encode_frame(1, &vec![1; SEALED_BYTES_MAX], &mut frame);
        assert_eq!(decode_frame_header(&frame[..SECTOR_BYTES], 1), Ok(SEALED_BYTES_MAX));
        assert_eq!(frame.len() as u64, FRAME_BYTES_MAX);
        encode_frame(1, &vec![1; SEALED_BYTES_MAX + 1], &mut frame);
        assert!(decode_frame_header(&frame[..SECTOR_BYTES], 1).unwrap_err().contains("longer than any"));
    }

    #[test]
    fn a_segment_of_a_later_format_is_not_read() {
        let header =
            SegmentHeader { log: 0, bytes: 4096, first_seq: 1, previous_first_seq: 0, prev_hash: [0; 32] };
        for format in [0, FORMAT + 1] {
            let mut sector = header.encode();
            sector[8..10].copy_from_slice(&format.to_le_bytes());
            let crc = crc32c::crc32c(&sector[..HEADER_CRC_AT]);
            sector[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
            let what = SegmentHeader::decode(&sector).unwrap_err();
            assert_eq!(what, format!("this build does not know segment format {format}"));
        }
    }

    #[test]
    fn frames_fill_whole_sectors_exactly() {
        let room = PAYLOAD_BYTES - FRAME_HEADER_BYTES;
        assert_eq!(frame_bytes(room), 512);
        assert_eq!(frame_bytes(room + 1), 1024);
        assert_eq!(frame_bytes(room + PAYLOAD_BYTES), 1024);
        assert_eq!(frame_bytes(room + PAYLOAD_BYTES + 1), 1536);
    }
}
