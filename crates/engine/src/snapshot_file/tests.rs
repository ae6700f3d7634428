//! Snapshots are read back as written, and every damage to one is noticed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use maitred_core::{KEY_BYTES_MAX, Key, Table, TenantNumber};
use proptest::prelude::*;

use super::*;
use crate::{
    meta,
    store::{Change, StoreSnapshot},
    view_hash::view_hash,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store of a map, which counts its transactions and may be full.
#[derive(Default)]
struct MapStore {
    map: Mutex<Arc<Map>>,
    writes: Mutex<Vec<usize>>,
    entries_max: Option<usize>,
}

struct MapSnapshot(Arc<Map>);

impl StoreSnapshot for MapSnapshot {}

impl Read for MapSnapshot {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }
    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.0.iter().map(|(key, value)| (&key[..], &value[..])).find(|(key, _)| (from..to).contains(key))
    }
    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.0
            .iter()
            .rev()
            .map(|(key, value)| (&key[..], &value[..]))
            .find(|(key, _)| (from..to).contains(key))
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        let mut within = self.0.iter().filter(|(key, _)| (from..to).contains(&&key[..]));
        let _ = within.try_for_each(|(key, value)| visit(key, value));
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        let within = self.0.iter().filter(|(key, _)| (from..to).contains(&&key[..]));
        let _ = within.rev().try_for_each(|(key, value)| visit(key, value));
    }
}

impl Store for MapStore {
    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        Box::new(MapSnapshot(self.map.lock().unwrap().clone()))
    }
    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StoreError> {
        let mut map = self.map.lock().unwrap();
        let mut changed = Map::clone(&map);
        let added: Vec<_> = changes
            .map(|(key, value)| (key.to_vec(), value.expect("a load deletes nothing").to_vec()))
            .collect();
        self.writes.lock().unwrap().push(added.iter().map(|(key, value)| key.len() + value.len()).sum());
        changed.extend(added);
        if self.entries_max.is_some_and(|most| changed.len() > most) {
            return Err(StoreError::Full("as it was told to be".into()));
        }
        *map = Arc::new(changed);
        Ok(())
    }
    fn clear(&self) -> Result<(), StoreError> {
        *self.map.lock().unwrap() = Arc::default();
        Ok(())
    }
}

fn header() -> Header {
    let flushed = Flushed {
        tail: (42, [7; 32]),
        timestamp: Timestamp::from_micros(1_600_000_000_123_456),
        schema: Schema(3),
    };
    Header { partition: 5, flushed }
}

fn written(map: &Map) -> Vec<u8> {
    let mut bytes = Vec::new();
    let entries = write(&mut bytes, &header(), &MapSnapshot(Arc::new(map.clone()))).unwrap();
    assert_eq!(entries as usize, map.len());
    bytes
}

fn read_all(bytes: &[u8]) -> Result<(Header, Map), SnapshotError> {
    let (header, mut entries) = read(bytes)?;
    let mut map = Map::new();
    while let Some((key, value)) = entries.next_entry()? {
        map.insert(key.to_vec(), value.to_vec());
    }
    Ok((header, map))
}

/// What stands in `tests/golden/snapshot-1.bin`.
fn sample() -> Map {
    let record = |id: u128, value: &[u8]| {
        (Key::of(Table::Record, TenantNumber(3)).u8(1).u128(id).to_vec(), value.to_vec())
    };
    Map::from([
        record(1, b"the first"),
        record(2, b""),
        record(u128::MAX, &[0xff; 40]),
        (Key::new(Table::Time).u64(9).to_vec(), 1u64.to_be_bytes().to_vec()),
    ])
}

#[test]
fn the_first_format_is_written_and_read_as_ever() {
    let golden = include_bytes!("../../tests/golden/snapshot-1.bin");
    assert_eq!(written(&sample()), golden);
    assert_eq!(read_all(golden).unwrap(), (header(), sample()));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = written(&sample());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(read_all(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_cut_is_called_one() {
    let bytes = written(&sample());
    for at in 0..bytes.len() {
        let error = read_all(&bytes[..at]).unwrap_err();
        assert!(matches!(error, SnapshotError::Cut), "cut at {at}: {error}");
    }
    let error = read_all(&[&bytes[..], &[0]].concat()).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged("something stands behind its end")), "{error}");
}

#[test]
fn whole_blocks_that_are_missing_doubled_or_swapped_are_noticed() {
    const FRAME: usize = 4 + 64 * 1024 + 4;
    // Each block is one whole entry, so that all but the order and the count of entries stays plausible.
    let key = |n: u8| vec![1, n];
    let map: Map = (1..=3).map(|n| (key(n), vec![n; 64 * 1024 - 7])).collect();
    let bytes = written(&map);
    let (head, rest) = bytes.split_at(HEADER_BYTES);
    let (blocks, trailer) = rest.split_at(3 * FRAME);
    let block: Vec<&[u8]> = blocks.chunks(FRAME).collect();
    let with = |order: &[usize]| -> Vec<u8> {
        let chosen: Vec<u8> = order.iter().flat_map(|at| block[*at].to_vec()).collect();
        [head, &chosen, trailer].concat()
    };
    assert_eq!(read_all(&with(&[0, 1, 2])).unwrap().1, map);
    for order in [&[0, 1][..], &[1, 2], &[], &[0, 1, 1, 2], &[0, 2, 1]] {
        let error = read_all(&with(order)).unwrap_err();
        assert!(matches!(error, SnapshotError::Damaged(_)), "{order:?}: {error}");
    }
}

#[test]
fn what_is_no_snapshot_or_a_newer_one_is_called_so() {
    let bytes = written(&sample());
    assert!(matches!(read_all(&[7; 500]).unwrap_err(), SnapshotError::NotASnapshot));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert!(matches!(read_all(&newer).unwrap_err(), SnapshotError::UnknownFormat(2)));
    let mut header = bytes;
    header[20] ^= 1;
    assert!(matches!(read_all(&header).unwrap_err(), SnapshotError::Damaged(_)));
}

#[test]
fn the_engines_own_table_stays_behind() {
    let mut map = sample();
    map.insert(meta::boot_key().to_vec(), b"this boot".to_vec());
    map.insert(meta::flushed_key().to_vec(), b"up to here".to_vec());
    let mut bytes = Vec::new();
    let entries = write(&mut bytes, &header(), &MapSnapshot(Arc::new(map))).unwrap();
    assert_eq!((entries, read_all(&bytes).unwrap().1), (4, sample()));
}

#[test]
fn a_loaded_store_holds_the_snapshot_and_nothing_else() {
    let map: Map =
        (0..20_000u32).map(|n| ([&[1][..], &n.to_be_bytes()].concat(), vec![n as u8; 900])).collect();
    let store = MapStore::default();
    store.write(&mut std::iter::once((&[9; 5][..], Some(&b"from before"[..])))).unwrap();
    store.writes.lock().unwrap().clear();
    assert_eq!(load(&written(&map)[..], &store).unwrap(), header());
    assert_eq!(**store.map.lock().unwrap(), map);
    assert_eq!(view_hash(&*store.snapshot()), view_hash(&MapSnapshot(Arc::new(map))));
    let writes = store.writes.lock().unwrap();
    assert!(writes.len() >= 4 && writes.iter().all(|bytes| *bytes < LOAD_BYTES + 1000), "{writes:?}");
}

#[test]
fn a_store_is_left_empty_when_the_snapshot_fails_at_its_end() {
    let map: Map = (0..20_000u32).map(|n| ([&[1][..], &n.to_be_bytes()].concat(), vec![7; 900])).collect();
    let mut bytes = written(&map);
    *bytes.last_mut().unwrap() ^= 1;
    let store = MapStore::default();
    let error = load(&bytes[..], &store).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged("its hash does not match")), "{error}");
    assert!(store.writes.lock().unwrap().len() > 2, "the failure came before anything was written");
    assert!(store.map.lock().unwrap().is_empty());
}

#[test]
fn a_full_store_is_said_to_be_full_and_left_empty() {
    let map: Map = (0..20_000u32).map(|n| ([&[1][..], &n.to_be_bytes()].concat(), vec![7; 900])).collect();
    let store = MapStore { entries_max: Some(10_000), ..MapStore::default() };
    let error = load(&written(&map)[..], &store).unwrap_err();
    assert!(matches!(error, SnapshotError::Store(StoreError::Full(_))), "{error}");
    assert!(store.map.lock().unwrap().is_empty());
}

#[test]
fn a_store_is_not_touched_by_what_is_no_snapshot() {
    let store = MapStore::default();
    store.write(&mut std::iter::once((&[9; 5][..], Some(&b"from before"[..])))).unwrap();
    load(&[7; 500][..], &store).unwrap_err();
    assert_eq!(store.map.lock().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_written_is_an_error() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let map = Map::from([(vec![1], vec![1; 200_000])]);
    let whole = written(&map).len();
    for room in [0, 50, 100_000, whole - 1] {
        let error = write(&mut Full(room), &header(), &MapSnapshot(Arc::new(map.clone()))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "room for {room}");
    }
    write(&mut Full(whole), &header(), &MapSnapshot(Arc::new(map))).unwrap();
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    (1u8..12, prop::collection::vec(any::<u8>(), 0..KEY_BYTES_MAX))
        .prop_map(|(table, key)| [vec![table], key].concat())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        10 => prop::collection::vec(any::<u8>(), 0..30),
        1 => (65_000usize..67_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_is_read_as_it_was_written(
        map in prop::collection::btree_map(key(), value(), 0..60),
        damage in any::<prop::sample::Index>(),
    ) {
        let mut bytes = written(&map);
        prop_assert_eq!(read_all(&bytes).unwrap(), (header(), map));
        let at = damage.index(bytes.len());
        bytes[at] ^= 0x40;
        prop_assert!(read_all(&bytes).is_err(), "byte {}", at);
    }
}
