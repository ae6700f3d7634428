//! The folder of snapshots: what is written is loaded, the newest two are kept, and what is damaged is passed over.

use std::path::PathBuf;
use std::sync::Arc;

use maitred_core::{Key, Read, Table, TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_engine::meta::{self, Flushed, Schema};
use maitred_engine::overlay::Overlay;
use maitred_engine::publish::Published;
use maitred_engine::recovery::Snapshots;
use maitred_engine::store::Store;
use maitred_engine::view_hash::view_hash;
use maitred_storage::disk::RealDisk;
use maitred_storage::snapshots::{SNAPSHOTS_KEPT, Schedule, SnapshotFolder};
use maitred_storage::view_memory::MemoryStore;

const SCHEMA: Schema = Schema(1);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("maitred-snapshots-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder); // what a killed run left
        Folder(folder)
    }

    fn snapshots(&self) -> SnapshotFolder<RealDisk> {
        SnapshotFolder::new(RealDisk::new(&self.0).unwrap(), SCHEMA)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // left behind at worst
    }
}

/// A view at batch `seq` with that many entries.
fn view(seq: u64) -> View {
    let store = MemoryStore::new();
    let flushed =
        Flushed { tail: (seq, [seq as u8; 32]), timestamp: Timestamp::from_micros(7), schema: SCHEMA };
    let mut entries = vec![(meta::flushed_key(), flushed.to_bytes().to_vec())];
    let table = Key::of(Table::Record, TenantNumber(1));
    entries.extend((0..seq).map(|i| (table.u64(i), vec![i as u8; 1_000])));
    store.write(&mut entries.iter().map(|(key, value)| (&**key, Some(&**value)))).unwrap();
    let published =
        Arc::new(Published { overlay: Overlay::new(seq), tail: flushed.tail, timestamp: flushed.timestamp });
    View::take(0, || Arc::clone(&published), &store)
}

fn loaded(folder: &Folder, fits: impl Fn(u64) -> bool) -> Option<(u64, [u8; 32])> {
    let store = MemoryStore::new();
    let flushed = folder.snapshots().load(&store, &|tail| fits(tail.0)).unwrap()?;
    assert_eq!(flushed.tail.1, [flushed.tail.0 as u8; 32]);
    let snapshot: &dyn Read = &*store.snapshot();
    Some((flushed.tail.0, view_hash(snapshot)))
}

#[test]
fn what_is_written_is_loaded_and_the_newest_two_are_kept() {
    let folder = Folder::new("kept");
    assert_eq!(loaded(&folder, |_| true), None);
    for seq in [3, 10, 200, 2_000] {
        assert_eq!(folder.snapshots().write(&view(seq)).unwrap(), seq);
        assert_eq!(loaded(&folder, |_| true), Some((seq, view_hash(&view(seq)))));
    }
    assert_eq!(folder.snapshots().newest_first().unwrap(), [2_000, 200]);
    assert_eq!(folder.files().len(), SNAPSHOTS_KEPT);
    assert_eq!(folder.snapshots().write(&view(2_000)).unwrap(), 2_000, "once more changes nothing");
    assert_eq!(folder.files().len(), SNAPSHOTS_KEPT);
}

#[test]
fn one_that_does_not_fit_the_log_is_passed_over() {
    let folder = Folder::new("fits");
    folder.snapshots().write(&view(5)).unwrap();
    folder.snapshots().write(&view(9)).unwrap();
    assert_eq!(loaded(&folder, |seq| seq < 9), Some((5, view_hash(&view(5)))));
    assert_eq!(loaded(&folder, |_| false), None);
}

#[test]
fn each_bears_witness_of_its_batch_whatever_its_layout_and_even_if_its_entries_are_damaged() {
    let folder = Folder::new("witness");
    folder.snapshots().write(&view(5)).unwrap();
    let later = SnapshotFolder::new(RealDisk::new(&folder.0).unwrap(), Schema(2));
    later.write(&view(9)).unwrap();
    let newest = folder.0.join(folder.files().pop().unwrap());
    let mut bytes = std::fs::read(&newest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&newest, &bytes).unwrap();
    let tails = |partition| -> Vec<_> {
        folder.snapshots().witnesses(partition).into_iter().map(|witness| witness.tail).collect()
    };
    assert_eq!(tails(0), [(9, [9; 32]), (5, [5; 32])]);
    assert_eq!(tails(1), [], "of another partition's log it says nothing");
    bytes[20] ^= 1;
    std::fs::write(&newest, &bytes).unwrap();
    assert_eq!(tails(0), [(5, [5; 32])], "its header is damaged");
}

#[test]
fn one_of_another_layout_is_passed_over() {
    let folder = Folder::new("layout");
    folder.snapshots().write(&view(5)).unwrap();
    let later = SnapshotFolder::new(RealDisk::new(&folder.0).unwrap(), Schema(2));
    assert_eq!(later.load(&MemoryStore::new(), &|_| true), Ok(None));
    later.write(&view(9)).unwrap();
    assert_eq!(
        loaded(&folder, |_| true),
        Some((5, view_hash(&view(5)))),
        "nor is the later one this build's"
    );
}

#[test]
fn a_damaged_or_cut_one_is_passed_over_and_what_was_not_finished_is_removed() {
    let folder = Folder::new("damaged");
    folder.snapshots().write(&view(300)).unwrap();
    folder.snapshots().write(&view(400)).unwrap();
    let newest = folder.0.join(folder.files().pop().unwrap());
    let whole = std::fs::read(&newest).unwrap();
    for at in [0, 60, 5_000, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&newest, &flipped).unwrap();
        assert_eq!(loaded(&folder, |_| true), Some((300, view_hash(&view(300)))), "byte {at}");
    }
    std::fs::write(&newest, &whole[..whole.len() - 50]).unwrap();
    assert_eq!(loaded(&folder, |_| true).map(|(seq, _)| seq), Some(300));
    std::fs::write(folder.0.join("next.snapshot.new"), b"half").unwrap();
    folder.snapshots().write(&view(500)).unwrap();
    assert!(folder.files().iter().all(|name| name.ends_with(".snapshot")), "{:?}", folder.files());
}

#[test]
fn a_snapshot_is_due_when_the_log_has_grown_by_so_much() {
    let mut schedule = Schedule::new(100, 30);
    let due = |schedule: &Schedule| (schedule.is_due(), schedule.is_due_before_stop());
    assert_eq!(due(&schedule), (false, false));
    schedule.grow(20);
    assert_eq!(due(&schedule), (false, true));
    schedule.grow(50);
    assert_eq!(due(&schedule), (true, true));
    schedule.restart();
    assert_eq!(due(&schedule), (false, false));
    let mut never = Schedule::new(0, u64::MAX);
    never.grow(u64::MAX);
    assert_eq!(due(&never), (false, false));
}
