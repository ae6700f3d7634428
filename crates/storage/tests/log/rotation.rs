//! Segments: made ahead or in place, filled, found again.

use std::sync::atomic::{AtomicBool, Ordering};

use maitred_engine::conformance::log::{append_all, batch_after, read_all};
use maitred_engine::log::{Appended, Log};
use maitred_storage::disk::SECTOR_BYTES;
use maitred_storage::log_file::verify::{segments, verify_segment};
use maitred_storage::log_file::{FileLog, Options, PREPARE_STEP_BYTES, Preparation};

use crate::crash::body_of_sectors;
use crate::crash_disk::{Call, CrashDisk};
use crate::folder::{Folder, small};

const SEGMENT_BYTES: u64 = 8 * 512;

fn open(disk: &CrashDisk, segment_bytes: u64) -> FileLog<CrashDisk> {
    FileLog::open(disk.clone(), small(segment_bytes)).unwrap().log
}

#[test]
fn a_log_is_the_same_whether_its_segments_are_made_ahead_or_not() {
    let contents = [false, true].map(|ahead| {
        let disk = CrashDisk::new();
        let mut log = open(&disk, SEGMENT_BYTES);
        for sectors in [3, 4, 2, 5, 1, 7] {
            if ahead {
                while log.preparer().step() != Ok(Preparation::Ready) {}
            }
            append_all(&mut log, &[body_of_sectors(sectors)]);
        }
        disk.contents()
    });
    assert_eq!(contents[0].len(), 4);
    assert_eq!(contents[0], contents[1]);
}

#[test]
fn an_append_writes_once_and_syncs_only_its_own_sectors() {
    let disk = CrashDisk::new();
    let mut log = open(&disk, SEGMENT_BYTES);
    append_all(&mut log, &[body_of_sectors(1)]);
    let (writes, syncs) = (disk.calls(Call::Write), disk.calls(Call::Sync));
    append_all(&mut log, &[body_of_sectors(4)]);
    assert_eq!((disk.calls(Call::Write), disk.calls(Call::Sync)), (writes + 1, syncs + 1));
    assert_eq!(disk.synced_sectors().last(), Some(&4));
}

#[test]
fn a_spare_made_ahead_leaves_one_sector_to_sync_when_it_becomes_a_segment() {
    let disk = CrashDisk::new();
    let mut log = open(&disk, SEGMENT_BYTES);
    while log.preparer().step() != Ok(Preparation::Ready) {}
    let before = disk.synced_sectors().len();
    append_all(&mut log, &[body_of_sectors(2)]);
    assert_eq!(disk.synced_sectors()[before..], [1, 2]);
}

#[test]
fn a_step_of_preparing_is_bounded() {
    let disk = CrashDisk::new();
    let log = open(&disk, 2 * PREPARE_STEP_BYTES + 512);
    let preparer = log.preparer();
    let mut steps = 0;
    while preparer.step() != Ok(Preparation::Ready) {
        steps += 1;
    }
    assert_eq!(steps, 3, "one to create the file, and two full ones before the last");
    let step_sectors = PREPARE_STEP_BYTES as usize / SECTOR_BYTES;
    assert_eq!(disk.synced_sectors(), [step_sectors, step_sectors, 1]);
}

#[test]
fn a_batch_longer_than_a_segment_gets_a_longer_one() {
    let disk = CrashDisk::new();
    let mut log = open(&disk, SEGMENT_BYTES);
    while log.preparer().step() != Ok(Preparation::Ready) {}
    let batches = append_all(&mut log, &[body_of_sectors(20), body_of_sectors(1), body_of_sectors(30)]);
    assert_eq!(segments(&disk, 0).unwrap(), [1, 2, 3]);
    assert_eq!(verify_segment(&disk, 0, 1).unwrap().bytes, 21 * 512);
    let reader = open(&disk, SEGMENT_BYTES).reader();
    assert_eq!(read_all(&*reader).unwrap(), batches);
}

#[test]
fn a_spare_of_another_length_is_made_anew_and_old_segments_keep_theirs() {
    let disk = CrashDisk::new();
    let mut log = open(&disk, SEGMENT_BYTES);
    let mut batches = append_all(&mut log, &[body_of_sectors(7)]);
    while log.preparer().step() != Ok(Preparation::Ready) {}
    drop(log);
    let mut log = open(&disk, 2 * SEGMENT_BYTES);
    batches.extend(append_all(&mut log, &[body_of_sectors(15), body_of_sectors(15)]));
    let lengths =
        segments(&disk, 0).unwrap().into_iter().map(|seq| verify_segment(&disk, 0, seq).unwrap().bytes);
    assert_eq!(lengths.collect::<Vec<_>>(), [SEGMENT_BYTES, 2 * SEGMENT_BYTES, 2 * SEGMENT_BYTES]);
    assert_eq!(read_all(&*log.reader()).unwrap(), batches);
}

#[test]
fn any_batch_of_many_segments_is_found_by_its_number() {
    const BATCHES: usize = 1_000;
    let disk = CrashDisk::new();
    let mut log = open(&disk, 64 * 512);
    let bodies: Vec<_> = (0..BATCHES).map(|nth| body_of_sectors(1 + nth * nth % 3) - 30).collect();
    let batches = append_all(&mut log, &bodies);
    assert!(segments(&disk, 0).unwrap().len() > 20);
    let reopened = open(&disk, 64 * 512);
    for reader in [log.reader(), reopened.reader()] {
        for nth in (0..BATCHES).map(|nth| nth * 389 % BATCHES) {
            assert_eq!(reader.read(nth as u64 + 1, 0).unwrap(), batches[nth..=nth]);
        }
        assert_eq!(read_all(&*reader).unwrap(), batches);
        assert_eq!(reader.read(1, usize::MAX).unwrap(), batches);
    }
    let verified = segments(&disk, 0).unwrap().into_iter().map(|seq| verify_segment(&disk, 0, seq).unwrap());
    assert_eq!(verified.map(|segment| segment.batches).sum::<u64>(), BATCHES as u64);
}

#[test]
fn opening_reports_what_it_found() {
    let disk = CrashDisk::new();
    let mut log = open(&disk, SEGMENT_BYTES);
    append_all(&mut log, &[body_of_sectors(7), body_of_sectors(1), body_of_sectors(2)]);
    let tail = log.tail();
    let report = FileLog::open(disk, small(SEGMENT_BYTES)).unwrap().report;
    assert_eq!((report.segments, report.tail, report.torn), (2, tail, None));
    assert_eq!((report.batches_verified, report.bytes_verified), (2, SEGMENT_BYTES));
}

#[test]
#[should_panic(expected = "a segment is made of sectors")]
fn a_segment_that_is_not_made_of_sectors_is_a_mistake() {
    drop(FileLog::open(CrashDisk::new(), Options { segment_bytes: 1_000, ..small(0) }));
}

#[test]
fn a_log_whose_newest_segment_is_empty_goes_on() {
    let disk = CrashDisk::new();
    let mut log = open(&disk, SEGMENT_BYTES);
    let mut batches = append_all(&mut log, &[body_of_sectors(7)]);
    let tail = log.tail();
    // The zeros of the next segment and its header are written; the frame is not.
    disk.fail_nth(Call::Write, 2, std::io::ErrorKind::Other);
    assert!(log.append_if(tail, &batch_after(tail, 5, 10)).is_err());
    let disk = disk.after_process_crash();
    assert_eq!(segments(&disk, 0).unwrap(), [1, 2]);
    assert_eq!(verify_segment(&disk, 0, 2).unwrap().batches, 0);
    let mut log = open(&disk, SEGMENT_BYTES);
    assert_eq!(log.tail(), tail);
    let batch = batch_after(tail, 6, 10);
    assert_eq!(log.append_if(tail, &batch), Ok(Appended::Committed));
    batches.push(batch);
    assert_eq!(read_all(&*log.reader()).unwrap(), batches);
}

#[test]
fn segments_keep_their_names_while_another_thread_makes_the_next_one_as_fast_as_it_can() {
    let folder = Folder::new();
    let mut log = FileLog::open(folder.disk(), small(SEGMENT_BYTES)).unwrap().log;
    let (preparer, done) = (log.preparer(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                preparer.step().unwrap();
            }
        });
        // A panic must not leave the other thread running.
        let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..300 {
                append_all(&mut log, &[body_of_sectors(5)]);
            }
        }));
        done.store(true, Ordering::Relaxed);
        appended.unwrap();
    });
    let kept = read_all(&*log.reader());
    drop(log);
    let reopened = FileLog::open(folder.disk(), small(SEGMENT_BYTES)).unwrap();
    assert_eq!((reopened.report.segments, reopened.report.tail.0), (300, 300));
    assert_eq!(read_all(&*reopened.log.reader()), kept);
}
