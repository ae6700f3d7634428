//! Every sync is needed: without any one of them, some crash breaks a promise.
//!
//! A log lives twice. Both lives are cut off after every single call, by a crash of the process and by a
//! loss of power that leaves any of what was not synced; then the log is opened a third time and held to
//! what was promised. With all syncs in place no promise is broken; with any kind of sync left out, one is.

use std::collections::{BTreeSet, HashSet};

use crate::crash::{Life, keeps_promises, live};
use crate::crash_disk::CrashDisk;

const KINDS: [&str; 9] = [
    "sync after sync of names",
    "sync after writing .segment",
    "sync after writing .segment.torn.new",
    "sync after writing next.spare",
    "sync after zeroing .segment",
    "sync after zeroing next.spare.new",
    "sync of names after rename to .segment",
    "sync of names after rename to .segment.torn",
    "sync of names after start",
];

/// Every way in which a disk may be found after its process, or its power, has gone.
fn crashes(disk: &CrashDisk) -> Vec<CrashDisk> {
    let mut seen = HashSet::new();
    std::iter::once(disk.after_process_crash())
        .chain(disk.losses().iter().map(|loss| disk.after_power_loss(loss)))
        .filter(|found| seen.insert(found.fingerprint()))
        .collect()
}

/// Explores both lives.
///
/// # Errors
/// The first broken promise.
fn explore(ignored: Option<&str>, kinds: &mut BTreeSet<String>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for calls in 0.. {
        let disk = CrashDisk::new();
        if let Some(kind) = ignored {
            disk.ignore_sync(kind);
        }
        disk.crash_after(calls);
        let life = live(&disk, 1, &[1, 4, 3])?;
        for found in crashes(&disk) {
            let promised = (life.promised.len(), life.in_flight.is_some());
            if seen.insert((found.fingerprint(), promised)) {
                explore_second(&found, &life, kinds).map_err(|what| format!("call {calls}: {what}"))?;
            }
        }
        if !disk.has_crashed() {
            return Ok(());
        }
    }
    unreachable!("the first life ends");
}

fn explore_second(found: &CrashDisk, before: &Life, kinds: &mut BTreeSet<String>) -> Result<(), String> {
    let remains = torn_remains(found)?;
    for calls in 0.. {
        let disk = found.after_process_crash();
        disk.crash_after(calls);
        let life = live(&disk, 2, &[2])?.or(before);
        kinds.extend(disk.sync_kinds());
        for left in crashes(&disk) {
            keeps_promises(&left, &life).map_err(|what| format!("then call {calls}: {what}"))?;
            let files = left.contents();
            let mut kept = files.iter().filter(|(name, _)| is_torn(name)).map(|(_, bytes)| bytes);
            if remains.as_ref().is_some_and(|remains| !kept.any(|bytes| bytes == remains)) {
                return Err(format!("then call {calls}: the remains of the torn batch are gone"));
            }
        }
        if !disk.has_crashed() {
            return Ok(());
        }
    }
    unreachable!("the second life ends");
}

/// What a start would keep of a torn batch.
fn torn_remains(found: &CrashDisk) -> Result<Option<Vec<u8>>, String> {
    let copy = found.after_process_crash();
    let torn = live(&copy, 3, &[])?.torn;
    Ok(torn.map(|torn| copy.bytes_of(torn.kept_in.trim_start_matches("log/"))))
}

fn is_torn(name: &str) -> bool {
    name.contains(".torn") && !name.ends_with(".new")
}

#[test]
fn with_all_syncs_no_crash_breaks_a_promise() {
    let mut kinds = BTreeSet::new();
    assert_eq!(explore(None, &mut kinds), Ok(()));
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), KINDS);
}

#[test]
fn without_any_one_kind_of_sync_some_crash_breaks_a_promise() {
    for kind in KINDS {
        let broken = explore(Some(kind), &mut BTreeSet::new());
        assert!(broken.is_err(), "nothing depends on the {kind}");
    }
}
