//! A disk that fails, and one that is full.

use std::io::ErrorKind;

use maitred_engine::conformance::log::{append_all, batch_after, read_all};
use maitred_engine::log::{Appended, Log, LogError};
use maitred_storage::disk::Disk;
use maitred_storage::log_file::{FileLog, Options, PREPARE_STEP_BYTES, Preparation};

use crate::crash::{Life, SEGMENT_BYTES, body_of_sectors, keeps_promises};
use crate::crash_disk::{Call, CrashDisk};
use crate::folder::small;

fn open(disk: &CrashDisk) -> FileLog<CrashDisk> {
    FileLog::open(disk.clone(), small(SEGMENT_BYTES)).unwrap().log
}

fn append(log: &mut FileLog<CrashDisk>, sectors: usize) -> Result<Appended, LogError> {
    log.append_if(log.tail(), &batch_after(log.tail(), 7, body_of_sectors(sectors)))
}

#[test]
fn after_any_failed_write_or_sync_nothing_is_appended_and_reads_go_on() {
    // The last append begins a segment: it prepares one, names it, and writes into it.
    let cases = [
        (Call::Write, 0),
        (Call::Write, 1),
        (Call::Write, 2),
        (Call::Sync, 0),
        (Call::Sync, 1),
        (Call::Sync, 2),
        (Call::Rename, 1),
        (Call::SyncDir, 0),
    ];
    for (call, calls_before) in cases {
        let disk = CrashDisk::new();
        let mut log = open(&disk);
        let promised = append_all(&mut log, &[body_of_sectors(3), body_of_sectors(3)]);
        disk.fail_nth(call, calls_before, ErrorKind::Other);
        let failed = append(&mut log, 4);
        assert!(matches!(failed, Err(LogError::Broken(_))), "{call:?} {calls_before}: {failed:?}");
        let contents = disk.contents();
        assert_eq!(append(&mut log, 1), failed, "the first failure is told again");
        assert_eq!(log.preparer().step().map(|_| Appended::Committed), failed);
        assert_eq!(disk.contents(), contents, "{call:?}: something was written after a failure");
        assert_eq!(read_all(&*log.reader()).unwrap(), promised);

        let in_flight = Some(batch_after(log.tail(), 7, body_of_sectors(4)));
        let life = Life { opened: true, promised, in_flight, torn: None };
        keeps_promises(&disk.after_process_crash(), &life).unwrap();
        for loss in disk.losses() {
            keeps_promises(&disk.after_power_loss(&loss), &life).unwrap();
        }
    }
}

/// The system may keep pages it could not write, and call them clean: the next process reads them, and a
/// sync finds nothing to do.
#[test]
fn a_batch_that_only_memory_holds_after_a_failed_sync_is_not_served_by_the_next_process() {
    let disk = CrashDisk::new();
    let mut log = open(&disk);
    let promised = append_all(&mut log, &[10, 20]);
    disk.fail_next(Call::Sync, ErrorKind::Other);
    assert!(matches!(append(&mut log, 2), Err(LogError::Broken(_))));
    let disk = disk.after_process_crash();
    let mut log = open(&disk);
    assert_eq!(read_all(&*log.reader()).unwrap(), promised);
    assert_eq!(append(&mut log, 2), Ok(Appended::Committed));
}

#[test]
fn a_failed_sync_while_opening_is_fatal() {
    let disk = CrashDisk::new();
    append_all(&mut open(&disk), &[10]);
    for call in [Call::SyncDir, Call::Sync] {
        disk.fail_next(call, ErrorKind::Other);
        let answer = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).map(|_| ());
        assert!(matches!(answer, Err(LogError::Broken(_))), "{call:?}: {answer:?}");
    }
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_works_again_when_there_is_room() {
    let disk = CrashDisk::new();
    let mut log = open(&disk);
    let mut promised = append_all(&mut log, &[body_of_sectors(3), body_of_sectors(3)]);
    disk.set_free_bytes(SEGMENT_BYTES - 1);
    let contents = disk.contents();
    for _ in 0..3 {
        assert!(matches!(append(&mut log, 4), Err(LogError::Full(_))));
        assert_eq!(log.preparer().step(), Ok(Preparation::NearlyFull));
    }
    assert_eq!(disk.contents(), contents);
    assert_eq!(log.confirm(log.tail()), Ok(()));
    assert_eq!(read_all(&*log.reader()).unwrap(), promised);
    // What fits in the segment is still taken: its space is allotted.
    promised.extend(append_all(&mut log, &[body_of_sectors(1)]));
    assert!(matches!(append(&mut log, 1), Err(LogError::Full(_))));
    disk.set_free_bytes(SEGMENT_BYTES);
    promised.extend(append_all(&mut log, &[body_of_sectors(4)]));
    assert_eq!(read_all(&*log.reader()).unwrap(), promised);
}

#[test]
fn a_log_with_a_spare_goes_on_until_that_is_full_also_after_a_restart() {
    let disk = CrashDisk::new();
    let mut log = open(&disk);
    append_all(&mut log, &[body_of_sectors(7)]);
    while log.preparer().step() != Ok(Preparation::Ready) {}
    disk.set_free_bytes(0);
    drop(log);
    let mut log = open(&disk);
    append_all(&mut log, &[body_of_sectors(4), body_of_sectors(3)]);
    assert!(matches!(append(&mut log, 1), Err(LogError::Full(_))));
}

#[test]
fn preparing_leaves_the_room_that_others_need() {
    let options = Options { free_bytes_min: 1_000_000, ..small(SEGMENT_BYTES) };
    let disk = CrashDisk::new();
    let mut log = FileLog::open(disk.clone(), options).unwrap().log;
    disk.set_free_bytes(1_000_000 + SEGMENT_BYTES - 1);
    assert!(matches!(append(&mut log, 1), Err(LogError::Full(_))));
    disk.set_free_bytes(1_000_000 + SEGMENT_BYTES);
    assert_eq!(append(&mut log, 1), Ok(Appended::Committed));
    assert!(disk.free_bytes().unwrap() >= 1_000_000);
}

#[test]
fn preparing_stops_where_others_have_taken_the_room_meanwhile() {
    let segment_bytes = 2 * PREPARE_STEP_BYTES;
    let options = Options { free_bytes_min: 1_000_000, ..small(segment_bytes) };
    let disk = CrashDisk::new();
    let preparer = FileLog::open(disk.clone(), options).unwrap().log.preparer();
    let made = |disk: &CrashDisk| disk.contents().values().map(|bytes| bytes.len() as u64).sum::<u64>();
    assert_eq!(preparer.step(), Ok(Preparation::Advanced));
    assert_eq!(preparer.step(), Ok(Preparation::Advanced));
    disk.set_free_bytes(1_000_000 + PREPARE_STEP_BYTES - 1);
    assert_eq!(preparer.step(), Ok(Preparation::NearlyFull));
    assert_eq!(made(&disk), PREPARE_STEP_BYTES);
    disk.set_free_bytes(1_000_000 + PREPARE_STEP_BYTES);
    assert_eq!(preparer.step(), Ok(Preparation::Ready));
    assert_eq!(made(&disk), segment_bytes);
}

#[test]
fn a_torn_batch_that_there_is_no_room_to_keep_is_not_cut() {
    let disk = CrashDisk::new();
    append_all(&mut open(&disk), &[10]);
    // Opening syncs names and segment; then comes the write, whose second sector is lost.
    disk.crash_after(3);
    assert!(append(&mut open(&disk), 2).is_err());
    let losses = disk.losses();
    let disk = disk.after_power_loss(&losses[0b01]);
    let segment = disk.contents();
    // The first sync is that of the segment.
    for (call, calls_before) in [(Call::Create, 0), (Call::Write, 0), (Call::Sync, 1)] {
        disk.fail_nth(call, calls_before, ErrorKind::StorageFull);
        let answer = FileLog::open(disk.clone(), small(SEGMENT_BYTES)).map(|_| ());
        assert!(matches!(answer, Err(LogError::Full(_))), "{call:?}: {answer:?}");
        assert!(segment.iter().all(|(name, bytes)| disk.bytes_of(name) == *bytes), "{call:?}");
    }
    assert!(FileLog::open(disk, small(SEGMENT_BYTES)).unwrap().report.torn.is_some());
}

#[test]
fn a_disk_that_fills_up_while_a_segment_is_made_breaks_nothing() {
    for call in [Call::Create, Call::Write, Call::Sync] {
        let disk = CrashDisk::new();
        let mut log = open(&disk);
        let mut promised = append_all(&mut log, &[body_of_sectors(7)]);
        disk.fail_next(call, ErrorKind::StorageFull);
        let answer = append(&mut log, 2);
        assert!(matches!(answer, Err(LogError::Full(_))), "{call:?}: {answer:?}");
        assert_eq!(disk.list().unwrap().len(), 1, "{call:?}: half a spare is left");
        promised.extend(append_all(&mut log, &[body_of_sectors(2)]));
        assert_eq!(read_all(&*log.reader()).unwrap(), promised);
    }
}

#[test]
fn a_segment_that_cannot_be_created_may_be_tried_again() {
    let disk = CrashDisk::new();
    let mut log = open(&disk);
    disk.fail_next(Call::Create, ErrorKind::PermissionDenied);
    assert!(matches!(append(&mut log, 1), Err(LogError::Determinate(_))));
    assert_eq!(append(&mut log, 1), Ok(Appended::Committed));
}
