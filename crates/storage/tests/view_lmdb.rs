//! The store in LMDB is a store, survives its process, and says clearly what it refuses.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use maitred_engine::{
    store::{Store, StoreError},
    store_conformance,
};
use maitred_storage::view_lmdb::{LmdbOptions, LmdbStore};

const MIB: usize = 1024 * 1024;
const SMALL: LmdbOptions = LmdbOptions { map_bytes: 256 * MIB, snapshots_max: 64 };

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("maitred-view-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Fields are dropped in order: the store is closed before its folder goes.
struct InFolder {
    store: LmdbStore,
    folder: Folder,
}

impl Deref for InFolder {
    type Target = LmdbStore;
    fn deref(&self) -> &LmdbStore {
        &self.store
    }
}

fn open(options: LmdbOptions) -> InFolder {
    let folder = Folder::new();
    InFolder { store: LmdbStore::open(&folder.0, options).unwrap(), folder }
}

fn put(store: &LmdbStore, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    store.write(&mut std::iter::once((key, Some(value))))
}

fn failure<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Failed(what)) => what,
        Err(other) => panic!("not a failure but {other:?}"),
        Ok(_) => panic!("it was let through"),
    }
}

store_conformance!(open(SMALL));

#[test]
fn a_store_is_found_again_as_it_was_left() {
    let folder = Folder::new();
    for round in 0..3u8 {
        let store = LmdbStore::open(&folder.0, SMALL).unwrap();
        assert_eq!(store.snapshot().get(b"round"), round.checked_sub(1).as_ref().map(std::slice::from_ref));
        put(&store, b"round", &[round]).unwrap();
        store.ease();
    }
}

#[test]
fn a_store_is_not_opened_twice_in_one_process() {
    let first = open(SMALL);
    let error = failure(LmdbStore::open(&first.folder.0, SMALL));
    assert!(error.contains("open already"), "{error}");
    let other_name = first.folder.0.join("..").join(first.folder.0.file_name().unwrap());
    let error = failure(LmdbStore::open(&other_name, SMALL));
    assert!(error.contains("open already"), "{error}");
    put(&first, b"key", b"value").unwrap();
    assert_eq!(first.snapshot().get(b"key"), Some(&b"value"[..]));
}

#[test]
fn a_snapshot_outlives_the_store_it_was_taken_from() {
    let InFolder { store, folder } = open(SMALL);
    put(&store, b"key", b"value").unwrap();
    let snapshot = store.snapshot();
    drop(store);
    assert_eq!(snapshot.get(b"key"), Some(&b"value"[..]));
    failure(LmdbStore::open(&folder.0, SMALL));
    drop(snapshot);
    LmdbStore::open(&folder.0, SMALL).unwrap();
}

#[test]
fn a_destroyed_store_is_opened_empty() {
    let InFolder { store, folder } = open(SMALL);
    put(&store, b"key", b"value").unwrap();
    let error = failure(LmdbStore::destroy(&folder.0));
    assert!(error.contains("while it is open"), "{error}");
    drop(store);
    fs::write(folder.0.join("note.txt"), "not the store's").unwrap();
    LmdbStore::destroy(&folder.0).unwrap();
    LmdbStore::destroy(&folder.0).unwrap();
    LmdbStore::destroy(Path::new("/there/is/no/such/folder")).unwrap();
    let store = LmdbStore::open(&folder.0, SMALL).unwrap();
    assert_eq!(store.snapshot().get(b"key"), None);
    assert!(folder.0.join("note.txt").exists());
}

#[test]
fn a_file_that_is_not_a_store_is_refused_and_can_be_destroyed() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join("data.mdb"), vec![7; 100_000]).unwrap();
    let opened = LmdbStore::open(&folder.0, SMALL).map(drop);
    let Err(StoreError::Damaged(error)) = opened else { panic!("it is no store: {opened:?}") };
    assert!(error.contains(folder.0.to_str().unwrap()), "{error}");
    LmdbStore::destroy(&folder.0).unwrap();
    LmdbStore::open(&folder.0, SMALL).unwrap();
}

#[test]
fn a_full_store_says_so_and_keeps_what_it_had() {
    let store = open(LmdbOptions { map_bytes: MIB, ..SMALL });
    let value = [1; 10_000];
    let mut key = 0u32;
    let error = loop {
        match put(&store, &key.to_be_bytes(), &value) {
            Ok(()) => key += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, StoreError::Full(what) if what.contains("1048576 bytes")), "{error}");
    let snapshot = store.snapshot();
    assert!(key > 30, "only {key} values of 10 kB in 1 MiB");
    assert!((0..key).all(|key| snapshot.get(&key.to_be_bytes()) == Some(&value[..])));
    assert_eq!(snapshot.get(&key.to_be_bytes()), None);
}

#[test]
fn a_larger_map_takes_a_full_store_on() {
    let InFolder { store, folder } = open(LmdbOptions { map_bytes: MIB, ..SMALL });
    let fill = |store: &LmdbStore, bytes: usize| put(store, b"filler", &vec![1; bytes]);
    assert!(matches!(fill(&store, 2 * MIB), Err(StoreError::Full(_))));
    drop(store);
    let store = LmdbStore::open(&folder.0, LmdbOptions { map_bytes: 8 * MIB, ..SMALL }).unwrap();
    fill(&store, 2 * MIB).unwrap();
    assert!(store.file_bytes().unwrap() > 2 * MIB as u64);
}

#[test]
fn as_many_snapshots_are_held_as_was_said_and_given_back() {
    let store = open(LmdbOptions { snapshots_max: 5, ..SMALL });
    put(&store, b"key", b"value").unwrap();
    for _ in 0..3 {
        let held: Vec<_> = (0..5).map(|_| store.snapshot()).collect();
        assert!(held.iter().all(|snapshot| snapshot.get(b"key").is_some()));
    }
}

#[test]
#[should_panic(expected = "5 snapshots of a view are held at once")]
fn one_snapshot_more_is_a_bug() {
    let store = open(LmdbOptions { snapshots_max: 5, ..SMALL });
    let _held: Vec<_> = (0..6).map(|_| store.snapshot()).collect();
}

#[test]
fn pages_of_the_past_are_used_again() {
    let store = open(SMALL);
    let mut keys: Vec<_> = (0..1000u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    keys.sort_unstable();
    let round = |number: u8| {
        let value = [number; 500];
        store.write(&mut keys.iter().map(|key| (&key[..], Some(&value[..])))).unwrap();
    };
    (0..5).for_each(round);
    let settled = store.file_bytes().unwrap();
    (5..60).for_each(round);
    assert!(store.file_bytes().unwrap() <= settled * 3 / 2, "{settled} grew to {:?}", store.file_bytes());
}
