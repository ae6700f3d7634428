//! What a crash leaves: every acknowledged batch, and the last one whole or cut.

use maitred_engine::batch::Sealed;
use maitred_engine::conformance::log::{batch_after, read_all, tail_after};
use maitred_engine::log::{Appended, Log, LogError};
use maitred_storage::disk::SECTOR_BYTES;
use maitred_storage::log_file::verify::{segments, torn_files, verify_segment};
use maitred_storage::log_file::{FileLog, Opened, Torn};
use proptest::prelude::*;

use crate::crash_disk::CrashDisk;
use crate::folder::small;

/// Seven sectors for batches in each.
pub(crate) const SEGMENT_BYTES: u64 = 8 * 512;
const SEGMENT: &str = "00000000000000000001.segment";

/// A log's life in one process, as a client of it knows it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Life {
    /// Whether it got as far as serving anything.
    pub(crate) opened: bool,
    /// What was served or acknowledged.
    pub(crate) promised: Vec<Sealed>,
    /// The batch whose append failed.
    pub(crate) in_flight: Option<Sealed>,
    pub(crate) torn: Option<Torn>,
}

impl Life {
    /// This life, or the one before where it ended too early to promise anything.
    pub(crate) fn or(self, before: &Life) -> Life {
        if self.opened { self } else { before.clone() }
    }
}

/// A body that gives a frame of exactly so many sectors.
pub(crate) fn body_of_sectors(sectors: usize) -> usize {
    let empty = batch_after((0, [0; 32]), 1, 0).bytes.len();
    sectors * 511 - 20 - empty
}

/// Opens the log and appends batches of these many sectors, until one fails. `id` tells the lives apart.
pub(crate) fn live(disk: &CrashDisk, id: u128, sectors: &[usize]) -> Result<Life, String> {
    let Opened { mut log, report } = match FileLog::open(disk.clone(), small(SEGMENT_BYTES)) {
        Ok(opened) => opened,
        Err(_) if disk.has_crashed() => return Ok(Life::default()),
        Err(error) => return Err(format!("the log does not open: {error}")),
    };
    let promised = read_all(&*log.reader()).map_err(|error| format!("the log is not read: {error}"))?;
    if log.tail() != promised.last().map_or((0, [0; 32]), tail_after) {
        return Err(format!("the tail is {:?}, the last batch {:?}", log.tail(), promised.last()));
    }
    let mut life = Life { opened: true, promised, in_flight: None, torn: report.torn };
    for sectors in sectors {
        let batch = batch_after(log.tail(), id, body_of_sectors(*sectors));
        match log.append_if(log.tail(), &batch) {
            Ok(Appended::Committed) => life.promised.push(batch),
            Err(_) if disk.has_crashed() => {
                life.in_flight = Some(batch);
                break;
            }
            other => return Err(format!("the append answered {other:?}")),
        }
    }
    Ok(life)
}

/// Opens what an earlier life left behind, and holds it against what that life had promised.
///
/// # Errors
/// In words, which promise is broken.
pub(crate) fn keeps_promises(disk: &CrashDisk, before: &Life) -> Result<Life, String> {
    let after = live(disk, 99, &[1, 3])?;
    let served = after.promised.len() - 2;
    let kept = before.promised.len();
    if after.promised.get(..kept) != Some(&before.promised[..]) || served < kept {
        return Err(format!("{kept} batches were promised, {served} are served"));
    }
    match &after.promised[kept..served] {
        [] => {}
        [extra] if Some(extra) == before.in_flight.as_ref() => {}
        extra => return Err(format!("nobody appended {extra:?}")),
    }
    let again = live(disk, 100, &[])?;
    if again.promised != after.promised || again.torn.is_some() {
        return Err("another start finds something else".to_owned());
    }
    for first_seq in segments(disk, 0).map_err(|error| error.to_string())? {
        verify_segment(disk, 0, first_seq).map_err(|error| error.to_string())?;
    }
    Ok(after)
}

/// Appends two batches and then one of `sectors` sectors, and stops before the last one's sync.
fn torn_in_the_last(sectors: usize) -> (CrashDisk, Life) {
    let disk = CrashDisk::new();
    live(&disk, 1, &[1, 1]).unwrap();
    // Opening syncs the names and the segment; then comes the write.
    disk.crash_after(3);
    let life = live(&disk, 1, &[sectors]).unwrap();
    assert!(life.promised.len() == 2 && life.in_flight.is_some());
    (disk, life)
}

#[test]
fn the_last_batch_is_whole_or_cut_for_every_choice_of_its_sectors() {
    for sectors in 1..=5 {
        let (disk, before) = torn_in_the_last(sectors);
        let losses = disk.losses();
        assert_eq!(losses.len(), 1 << sectors);
        for loss in losses {
            let found = disk.after_power_loss(&loss);
            let remains = found.bytes_of(SEGMENT)[3 * SECTOR_BYTES..].to_vec();
            let written: Vec<_> = remains.chunks(SECTOR_BYTES).map(|s| s.iter().any(|b| *b != 0)).collect();
            let last_written = written.iter().rposition(|written| *written).map_or(0, |at| at + 1);
            let whole = written[..sectors].iter().all(|written| *written);

            let after = keeps_promises(&found, &before).unwrap();
            assert_eq!(after.promised.get(2) == before.in_flight.as_ref(), whole, "{loss:?}");
            let Some(torn) = after.torn else {
                assert!(whole || last_written == 0, "{loss:?} was not called torn");
                continue;
            };
            assert!(!whole && last_written > 0, "{loss:?} was called torn");
            assert_eq!((torn.seq, torn.offset), (3, 3 * SECTOR_BYTES as u64));
            assert_eq!(torn.bytes, (last_written * SECTOR_BYTES) as u64);
            assert_eq!(torn.kept_in, format!("log/{SEGMENT}.torn"));
            assert_eq!(found.bytes_of(&format!("{SEGMENT}.torn")), remains[..last_written * SECTOR_BYTES]);
        }
    }
}

#[test]
fn a_torn_batch_that_somebody_misses_is_left_where_it_is() {
    let (disk, before) = torn_in_the_last(3);
    for loss in disk.losses() {
        let found = disk.after_power_loss(&loss);
        let contents = found.contents();
        let judge = |(seq, _)| if seq < 3 { Err(LogError::DataLoss("batch 3".into())) } else { Ok(()) };
        match FileLog::open_if(found.clone(), small(SEGMENT_BYTES), judge).map(|_| ()) {
            Ok(()) => {
                let after = keeps_promises(&found, &before).unwrap();
                assert_eq!(after.promised.get(2), before.in_flight.as_ref(), "{loss:?}");
            }
            Err(error) => {
                assert_eq!(error, LogError::DataLoss("batch 3".into()));
                assert_eq!(found.contents(), contents, "{loss:?}: something was changed");
            }
        }
    }
}

#[test]
fn each_torn_batch_is_kept_in_a_file_of_its_own() {
    let mut disk = CrashDisk::new();
    live(&disk, 1, &[1]).unwrap();
    for nth in 1..=3 {
        // Opening syncs names and segment, and from the second time on keeps and zeroes what is torn.
        disk.crash_after(if nth == 1 { 3 } else { 10 });
        let life = live(&disk, nth, &[3]).unwrap();
        assert!(life.in_flight.is_some());
        let loss = disk.losses().into_iter().nth(nth as usize).unwrap();
        disk = disk.after_power_loss(&loss);
    }
    live(&disk, 9, &[3]).unwrap();
    let names: Vec<_> = ["torn", "torn-2", "torn-3"].map(|end| format!("log/{SEGMENT}.{end}")).into();
    assert_eq!(torn_files(&disk).unwrap(), names);
    let kept: Vec<_> = names.iter().map(|name| disk.bytes_of(&name["log/".len()..])).collect();
    assert!(kept[0] != kept[1] && kept[1] != kept[2] && kept[0] != kept[2]);
}

#[test]
fn a_torn_batch_is_only_reported_by_a_check_that_may_not_change_anything() {
    let (disk, _) = torn_in_the_last(4);
    let losses = disk.losses();
    let found = disk.after_power_loss(&losses[0b0101]);
    let contents = found.contents();
    let verified = verify_segment(&found, 0, 1).unwrap();
    assert_eq!((verified.batches, verified.torn_bytes), (2, 3 * SECTOR_BYTES as u64));
    assert_eq!(found.contents(), contents);
}

#[test]
fn a_batch_that_only_the_process_crash_spared_is_durable_once_it_is_served() {
    let (disk, before) = torn_in_the_last(3);
    let found = disk.after_process_crash();
    let served = live(&found, 2, &[]).unwrap();
    assert_eq!(served.promised.len(), before.promised.len() + 1);
    for loss in found.losses() {
        keeps_promises(&found.after_power_loss(&loss), &served).unwrap();
    }
}

#[test]
fn a_half_made_segment_is_begun_anew_whatever_step_of_rotation_crashed() {
    let disk = CrashDisk::new();
    let filled = live(&disk, 1, &[3, 4]).unwrap();
    let mut calls = 0;
    loop {
        let disk = disk.after_process_crash();
        disk.crash_after(calls);
        let life = live(&disk, 2, &[2]).unwrap().or(&filled);
        if !disk.has_crashed() {
            break;
        }
        for loss in disk.losses() {
            keeps_promises(&disk.after_power_loss(&loss), &life).unwrap();
        }
        keeps_promises(&disk.after_process_crash(), &life).unwrap();
        calls += 1;
    }
    assert!(calls > 8, "rotation took {calls} calls");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn promises_outlive_any_series_of_crashes(
        lives in prop::collection::vec((prop::collection::vec(1..6_usize, 0..6), 0..40_usize, any::<u32>()), 1..8),
    ) {
        let mut disk = CrashDisk::new();
        let mut known = Life::default();
        for (id, (sectors, calls, choice)) in (1..).zip(lives) {
            disk.crash_after(calls);
            let life = live(&disk, id, &sectors).map_err(TestCaseError::fail)?;
            known = life.or(&known);
            let losses = disk.losses();
            disk = match choice as usize % (losses.len() + 1) {
                0 => disk.after_process_crash(),
                nth => disk.after_power_loss(&losses[nth - 1]),
            };
            let copy = disk.after_process_crash();
            keeps_promises(&copy, &known).map_err(TestCaseError::fail)?;
        }
    }
}
