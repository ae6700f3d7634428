//! Damage is found, named and never served; nothing is changed in a damaged log.

use maitred_engine::batch::Sealed;
use maitred_engine::conformance::log::{append_all, batch_after, batch_with, read_all, tail_after};
use maitred_engine::log::{Appended, Log, LogError};
use maitred_storage::disk::{Disk, SECTOR_BYTES};
use maitred_storage::log_file::verify::{segments, verify_segment};
use maitred_storage::log_file::{FileLog, Options};

use crate::crash::body_of_sectors;
use crate::crash_disk::CrashDisk;
use crate::folder::small;

const SEGMENT_BYTES: u64 = 16 * 512;
/// The frames of the first segment, in sectors; four sectors stay unwritten behind them.
const FRAMES: [usize; 4] = [1, 3, 2, 5];

fn name_of(first_seq: u64) -> String {
    format!("{first_seq:020}.segment")
}

/// A log with one segment of four batches, and with `more` a second one of three.
fn log(more: bool) -> (CrashDisk, Vec<Sealed>) {
    let disk = CrashDisk::new();
    let mut log = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log;
    let bodies: Vec<_> = FRAMES.iter().chain(&[5, 2, 1][..if more { 3 } else { 0 }]).collect();
    let bodies: Vec<_> = bodies.into_iter().map(|sectors| body_of_sectors(*sectors) - 40).collect();
    let batches = append_all(&mut log, &bodies);
    (disk, batches)
}

/// The batch whose frame holds this byte of the first segment: the next one behind them all.
fn seq_at(byte: usize) -> u64 {
    let mut end = SECTOR_BYTES;
    for (frame, seq) in FRAMES.iter().zip(1..) {
        end += frame * SECTOR_BYTES;
        if byte < end {
            return seq;
        }
    }
    FRAMES.len() as u64 + 1
}

/// Starts must fail, say where and what, and change nothing.
fn assert_stops(disk: &CrashDisk, file: &str, seq: u64, case: &str) -> u64 {
    let contents = disk.contents();
    let Err(LogError::DataLoss(what)) = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).map(|_| ()) else {
        panic!("{case}: the log opened");
    };
    let (place, reason) = what.split_once(": ").unwrap();
    let [named, offset, batch] = place.split(", ").collect::<Vec<_>>()[..] else { panic!("{what}") };
    assert_eq!(named, format!("log/{file}"), "{case}: {what}");
    assert_eq!(batch, format!("batch {seq}"), "{case}: {what}");
    assert!(!reason.is_empty(), "{case}");
    assert_eq!(disk.contents(), contents, "{case}: something was changed");
    offset.strip_prefix("byte ").unwrap().parse().unwrap()
}

#[test]
fn every_flipped_bit_of_the_newest_segment_stops_the_start_and_is_named() {
    let (disk, _) = log(false);
    let file = name_of(1);
    for at in 0..SEGMENT_BYTES as usize {
        for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF] {
            disk.tamper(&file, |bytes| bytes[at] ^= flip);
            let offset = assert_stops(&disk, &file, seq_at(at), &format!("byte {at} flipped by {flip:#04x}"));
            let same_frame = at < SECTOR_BYTES || seq_at(offset as usize) == seq_at(at);
            assert!(same_frame, "byte {at} was flipped, byte {offset} was named");
            disk.tamper(&file, |bytes| bytes[at] ^= flip);
        }
    }
    FileLog::open(disk, small(SEGMENT_BYTES)).map(|_| ()).unwrap();
}

#[test]
fn every_flipped_byte_of_an_older_segment_is_found_by_the_scrub_and_never_served() {
    let (disk, batches) = log(true);
    let file = name_of(1);
    for at in 0..SEGMENT_BYTES as usize {
        disk.tamper(&file, |bytes| bytes[at] ^= 0xFF);
        let found = verify_segment(&disk, 0, 1);
        let Err(LogError::DataLoss(what)) = found else { panic!("byte {at}: {found:?}") };
        assert!(what.starts_with(&format!("log/{file}, byte ")), "{what}");
        assert!(what.contains(&format!(", batch {}: ", seq_at(at))), "byte {at}: {what}");
        if at < SECTOR_BYTES {
            assert_stops(&disk, &file, 1, &format!("header byte {at}"));
        } else {
            let log = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log;
            let damaged = seq_at(at);
            for batch in &batches {
                // A batch behind the damaged one is only found through the frames before it.
                match log.reader().read(batch.header.seq, 0) {
                    Ok(read) => assert_eq!(read, std::slice::from_ref(batch), "byte {at}"),
                    Err(LogError::DataLoss(_)) => assert!((damaged..=4).contains(&damaged), "byte {at}"),
                    Err(other) => panic!("byte {at}: {other}"),
                }
            }
            if damaged <= 4 {
                let read = log.reader().read(damaged, 0);
                assert!(matches!(read, Err(LogError::DataLoss(_))), "byte {at}: {read:?}");
            }
            assert_eq!(log.reader().read(5, usize::MAX).unwrap(), batches[4..]);
        }
        disk.tamper(&file, |bytes| bytes[at] ^= 0xFF);
    }
    verify_segment(&disk, 0, 1).unwrap();
}

#[test]
fn bytes_that_rot_under_an_open_log_are_not_served() {
    let (disk, batches) = log(false);
    let log = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log;
    let reader = log.reader();
    let file = name_of(1);
    for at in SECTOR_BYTES..SEGMENT_BYTES as usize {
        disk.tamper(&file, |bytes| bytes[at] ^= 0x10);
        match (reader.read(1, usize::MAX), seq_at(at)) {
            (Ok(read), 5) => assert_eq!(read, batches),
            (Err(LogError::DataLoss(what)), 1..=4) => {
                assert!(what.contains(&format!(", batch {}: ", seq_at(at))), "byte {at}: {what}");
            }
            (other, seq) => panic!("byte {at} of batch {seq}: {other:?}"),
        }
        disk.tamper(&file, |bytes| bytes[at] ^= 0x10);
    }
}

#[test]
fn a_sector_that_cannot_be_read_stops_the_start_and_is_named() {
    let (disk, batches) = log(false);
    let reader = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log.reader();
    for sector in 0..SEGMENT_BYTES as usize / SECTOR_BYTES {
        disk.fail_reads_at(&name_of(1), sector * SECTOR_BYTES);
        // A start reads far ahead, so the batch it stops at may stand before the sector.
        let Err(LogError::DataLoss(what)) = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).map(|_| ())
        else {
            panic!("sector {sector}: the log opened");
        };
        assert!(what.starts_with(&format!("log/{}, byte ", name_of(1))), "{what}");
        assert!(what.ends_with("it cannot be read: a bad sector"), "{what}");
        for batch in &batches {
            match reader.read(batch.header.seq, 0) {
                Ok(read) => assert_eq!(read, std::slice::from_ref(batch)),
                Err(error) => assert!(matches!(error, LogError::DataLoss(_)), "{error}"),
            }
        }
    }
    disk.fail_reads_at("no file", 0);
    assert_eq!(reader.read(1, usize::MAX).unwrap(), batches);
}

#[test]
fn a_segment_of_any_other_length_stops_the_start() {
    let (disk, _) = log(false);
    let file = name_of(1);
    let whole = disk.bytes_of(&file);
    let sectors = (0..SEGMENT_BYTES as usize).step_by(SECTOR_BYTES);
    let odd = (1..SEGMENT_BYTES as usize).step_by(37).chain([511, 513, SEGMENT_BYTES as usize - 1]);
    for length in sectors.chain(odd).chain([SEGMENT_BYTES as usize + 1, 2 * SEGMENT_BYTES as usize]) {
        disk.tamper(&file, |bytes| bytes.resize(length, 0));
        assert_stops(&disk, &file, 1, &format!("{length} bytes"));
        disk.tamper(&file, |bytes| bytes.clone_from(&whole));
    }
}

/// Whatever sector stands in place of another, what is served is what was appended, and at most a last
/// batch that lacks a sector is cut, which is said.
#[test]
fn no_sector_in_another_ones_place_is_served_and_only_a_missing_one_of_the_last_batch_is_torn() {
    let (disk, batches) = log(false);
    let file = name_of(1);
    let whole = disk.bytes_of(&file);
    let sectors = SEGMENT_BYTES as usize / SECTOR_BYTES;
    let last_frame = sectors - 4 - FRAMES[3]..sectors - 4;
    let (mut stopped, mut torn) = (0, 0);
    for from in 0..sectors {
        for to in 0..sectors {
            let (source, target) = (from * SECTOR_BYTES, to * SECTOR_BYTES);
            if whole[source..source + SECTOR_BYTES] == whole[target..target + SECTOR_BYTES] {
                continue;
            }
            let copy = disk.after_process_crash();
            copy.tamper(&file, |bytes| bytes.copy_within(source..source + SECTOR_BYTES, target));
            let unwritten = from >= sectors - 4;
            if unwritten && last_frame.contains(&to) {
                let opened = FileLog::open(copy, small(SEGMENT_BYTES)).unwrap();
                assert_eq!(opened.report.torn.unwrap().seq, 4);
                assert_eq!(read_all(&*opened.log.reader()).unwrap(), batches[..3]);
                torn += 1;
            } else {
                assert_stops(&copy, &file, seq_at(target), &format!("sector {from} stands at {to}"));
                stopped += 1;
            }
        }
    }
    assert!(torn == 4 * FRAMES[3] && stopped > 150, "{torn} torn, {stopped} stopped");
}

#[test]
fn no_batch_of_an_older_segment_is_called_torn() {
    let (disk, _) = log(true);
    let last_frame = (SEGMENT_BYTES as usize / SECTOR_BYTES - 4 - FRAMES[3]) * SECTOR_BYTES;
    let verify_without = |sectors: usize| {
        let copy = disk.after_process_crash();
        copy.tamper(&name_of(1), |bytes| bytes[last_frame..][..sectors * SECTOR_BYTES].fill(0));
        verify_segment(&copy, 0, 1).unwrap_err().to_string()
    };
    let place = format!("data loss: log/{}, byte {last_frame}, batch 4: ", name_of(1));
    for sectors in 1..FRAMES[3] {
        let what = verify_without(sectors);
        assert_eq!(what, format!("{place}the batch is not whole, and others follow"));
    }
    let what = verify_without(FRAMES[3]);
    assert_eq!(what, format!("{place}no batch stands here, and the next segment starts with 5"));
}

#[test]
fn what_stands_behind_a_torn_batch_makes_it_damage() {
    let (disk, _) = log(false);
    let file = name_of(1);
    let sectors = SEGMENT_BYTES as usize / SECTOR_BYTES;
    for missing in sectors - 4 - FRAMES[3]..sectors - 4 {
        let stamp = disk.bytes_of(&file)[(sectors - 5) * SECTOR_BYTES];
        for behind in (sectors - 4) * SECTOR_BYTES..SEGMENT_BYTES as usize {
            // Not even a sector that bears this very batch's stamp. Without its first sector nobody knows
            // how long the batch was.
            for byte in [1, stamp] {
                let first_is_missing = missing == sectors - 4 - FRAMES[3];
                if byte == stamp && behind % SECTOR_BYTES == 0 && first_is_missing {
                    continue;
                }
                let copy = disk.after_process_crash();
                copy.tamper(&file, |bytes| {
                    bytes[missing * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
                    bytes[behind] = byte;
                });
                let case = format!("sector {missing} missing, byte {behind} is {byte}");
                assert_stops(&copy, &file, 4, &case);
            }
        }
    }
}

#[test]
fn a_missing_foreign_or_misplaced_segment_stops_the_start() {
    let (disk, _) = log(true);
    let third = |disk: &CrashDisk| {
        let mut log = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log;
        append_all(&mut log, &[body_of_sectors(10)]);
    };
    third(&disk);
    assert_eq!(segments(&disk, 0).unwrap(), [1, 5, 8]);
    for (missing, found_at) in [(1, 5), (5, 8)] {
        let copy = disk.after_process_crash();
        copy.remove(&name_of(missing)).unwrap();
        assert_stops(&copy, &name_of(found_at), found_at, &format!("segment {missing} missing"));
    }
    let copy = disk.after_process_crash();
    copy.rename(&name_of(5), &name_of(6)).unwrap();
    assert_stops(&copy, &name_of(6), 6, "a segment under another name");

    let answer = FileLog::open(disk, Options { log: 1, ..small(SEGMENT_BYTES) });
    assert!(matches!(answer.map(|_| ()), Err(LogError::DataLoss(what)) if what.contains("belongs to log 0")));
}

/// Two logs that differ in their first batch only, so that whatever follows is sound but not theirs.
fn forks() -> [(CrashDisk, Vec<Sealed>); 2] {
    [1, 2].map(|id| {
        let disk = CrashDisk::new();
        let mut log = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log;
        let mut batches = vec![batch_after(log.tail(), id, body_of_sectors(5))];
        for seq in 2..=4 {
            batches.push(batch_after(tail_after(&batches[seq - 2]), 3, body_of_sectors(5)));
        }
        for batch in &batches {
            assert_eq!(log.append_if(log.tail(), batch), Ok(Appended::Committed));
        }
        (disk, batches)
    })
}

#[test]
fn a_sound_batch_of_another_history_does_not_chain() {
    let [(one, _), (other, _)] = forks();
    let second = 6 * SECTOR_BYTES..11 * SECTOR_BYTES;
    let foreign = other.bytes_of(&name_of(1))[second.clone()].to_vec();
    one.tamper(&name_of(1), |bytes| bytes[second].copy_from_slice(&foreign));
    let what = verify_segment(&one, 0, 1).unwrap_err().to_string();
    assert!(what.contains(", byte 3072, batch 2: ") && what.contains("do not chain"), "{what}");
    let reader = FileLog::open(one, small(SEGMENT_BYTES)).unwrap().log.reader();
    assert!(
        matches!(reader.read(1, usize::MAX), Err(LogError::DataLoss(what)) if what.contains("do not chain"))
    );
}

#[test]
fn a_sound_batch_of_another_log_is_none_of_ours() {
    let [ours, theirs] = [0, 1].map(|number| {
        let disk = CrashDisk::new();
        let options = Options { log: number, ..small(SEGMENT_BYTES) };
        let mut log = FileLog::open(disk.clone(), options).unwrap().log;
        let batch = batch_with(log.tail(), 1, b"whose", number);
        assert_eq!(log.append_if(log.tail(), &batch), Ok(Appended::Committed));
        disk
    });
    let foreign = theirs.bytes_of(&name_of(1))[SECTOR_BYTES..].to_vec();
    ours.tamper(&name_of(1), |bytes| bytes[SECTOR_BYTES..].copy_from_slice(&foreign));
    assert_stops(&ours, &name_of(1), 1, "a batch of log 1");
}

#[test]
fn a_sound_segment_of_another_history_does_not_chain() {
    let [(one, _), (other, batches)] = forks();
    let foreign = other.bytes_of(&name_of(4));
    let reader = FileLog::open(one.clone(), small(SEGMENT_BYTES)).unwrap().log.reader();
    let copy = one.bytes_of(&name_of(4));
    one.tamper(&name_of(4), |bytes| bytes[SECTOR_BYTES..].copy_from_slice(&foreign[SECTOR_BYTES..]));
    assert!(matches!(reader.read(4, 0), Err(LogError::DataLoss(what)) if what.contains("do not chain")));
    one.tamper(&name_of(4), |bytes| bytes.clone_from(&copy));
    reader.read(4, 0).unwrap();

    one.tamper(&name_of(4), |bytes| bytes.clone_from(&foreign));
    let what = verify_segment(&one, 0, 1).unwrap_err().to_string();
    assert!(what.contains("the next segment does not follow"), "{what}");
    let reader = FileLog::open(one, small(SEGMENT_BYTES)).unwrap().log.reader();
    assert!(
        matches!(reader.read(3, usize::MAX), Err(LogError::DataLoss(what)) if what.contains("do not chain"))
    );
    assert_eq!(reader.read(4, 0).unwrap(), batches[3..]);
}
