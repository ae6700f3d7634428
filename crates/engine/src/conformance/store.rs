//! What every view's store must do. `store_conformance!` makes a test of each case.
//!
//! A case gets an empty store. What it should hold is modelled by a [`BTreeMap`]; random choices come from
//! a fixed seed, so a failure repeats.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use maitred_core::{KEY_BYTES_MAX, Read};

use crate::store::{Change, Store};

/// Makes a test of every case of the suite. The argument is an expression that gives an empty store, behind
/// something that derefs to it.
#[macro_export]
macro_rules! store_conformance {
    ($open:expr) => {
        $crate::store_conformance! { $open;
            random_changes_leave_what_a_map_would_hold
            a_snapshot_stays_what_it_was
            a_snapshot_is_read_on_another_thread
            a_transaction_is_seen_whole_or_not_at_all
            a_transaction_that_is_cut_short_changes_nothing
            ranges_hold_their_start_and_not_their_end
            a_visitor_that_breaks_is_not_called_again
            values_may_be_empty_and_long
            keys_may_be_as_long_as_keys_get
            what_is_not_there_may_be_deleted
            a_cleared_store_is_empty_and_usable
        }
    };
    ($open:expr; $($case:ident)*) => {
        $(#[test]
        fn $case() {
            let store = $open;
            $crate::conformance::store::$case(&*store);
        })*
    };
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A fixed sequence of numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Few different bytes, so that keys repeat and are prefixes of each other.
    fn key(&mut self) -> Vec<u8> {
        let len = 1 + self.below(5);
        (0..len).map(|_| [0, 1, 7, 0xff][self.below(4) as usize]).collect()
    }

    /// Now and then empty, and now and then longer than a page.
    fn value(&mut self) -> Vec<u8> {
        let len = [0, 8, 100, 5000][self.below(4) as usize];
        vec![self.below(256) as u8; len]
    }
}

fn write(store: &dyn Store, model: &mut Model, changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
    let mut as_changes = changes.iter().map(|(key, value)| (&key[..], value.as_deref()));
    store.write(&mut as_changes).expect("the store has room");
    for (key, value) in changes {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

fn put_all<'a>(store: &dyn Store, entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Model {
    let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
        entries.into_iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect();
    let mut model = Model::new();
    write(store, &mut model, &changes);
    model
}

fn scanned(store: &dyn Read, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    store.scan(from, to, &mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    entries
}

/// Everything there is to ask of a range.
fn check_range(store: &dyn Read, model: &Model, from: &[u8], to: &[u8]) {
    let within: Vec<_> = model
        .iter()
        .filter(|(key, _)| from <= &key[..] && &key[..] < to)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    assert_eq!(scanned(store, from, to), within, "{from:02x?}..{to:02x?}");
    let borrowed: Vec<_> = within.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    assert_eq!(store.first(from, to), borrowed.first().copied(), "first of {from:02x?}..{to:02x?}");
    assert_eq!(store.last(from, to), borrowed.last().copied(), "last of {from:02x?}..{to:02x?}");
    let mut back = borrowed.iter().rev();
    store.scan_back(from, to, &mut |key, value| {
        assert_eq!(Some(&(key, value)), back.next(), "{from:02x?}..{to:02x?} back");
        ControlFlow::Continue(())
    });
    assert_eq!(back.next(), None, "{from:02x?}..{to:02x?} back");
}

/// That a store holds what the model holds, and nothing else.
fn check(store: &dyn Read, model: &Model) {
    check_range(store, model, &[], &[0xff; KEY_BYTES_MAX + 1]);
    for (key, value) in model {
        assert_eq!(store.get(key), Some(&value[..]), "{key:02x?}");
    }
}

/// Puts, overwrites and deletes in many transactions.
pub fn random_changes_leave_what_a_map_would_hold(store: &dyn Store) {
    let (mut random, mut model) = (Random(1), Model::new());
    for _ in 0..100 {
        let count = random.below(60);
        let changes =
            (0..count).map(|_| (random.key(), (random.below(3) > 0).then(|| random.value()))).collect();
        write(store, &mut model, &changes);
        let snapshot = store.snapshot();
        check(&*snapshot, &model);
        for _ in 0..20 {
            let (from, to) = (random.key(), random.key());
            check_range(&*snapshot, &model, &from, &to);
            assert_eq!(snapshot.get(&from), model.get(&from).map(|value| &value[..]));
        }
    }
    assert!(model.len() > 100, "the case has become too small to mean anything");
}

/// Also while and after others write and clear.
pub fn a_snapshot_stays_what_it_was(store: &dyn Store) {
    let (mut random, mut model, mut moments) = (Random(2), Model::new(), Vec::new());
    for _ in 0..20 {
        let changes =
            (0..200).map(|_| (random.key(), (random.below(3) > 0).then(|| random.value()))).collect();
        write(store, &mut model, &changes);
        moments.push((store.snapshot(), model.clone()));
    }
    store.clear().expect("the store has room");
    moments.push((store.snapshot(), Model::new()));
    for (snapshot, then) in &moments {
        check(&**snapshot, then);
    }
    assert_ne!(moments[0].1, moments[1].1);
}

/// A snapshot may be taken here, and read and dropped there.
pub fn a_snapshot_is_read_on_another_thread(store: &dyn Store) {
    let model = put_all(store, [(&b"key"[..], &b"value"[..])]);
    let snapshot = store.snapshot();
    std::thread::scope(|scope| {
        scope.spawn(move || check(&*snapshot, &model)).join().expect("the check holds");
    });
}

/// A reader beside a writer that sets every key to the same number.
pub fn a_transaction_is_seen_whole_or_not_at_all(store: &dyn Store) {
    const TRANSACTIONS: u64 = 200;
    let keys: Vec<[u8; 8]> = (0..100u64).map(u64::to_be_bytes).collect();
    let numbers = || -> Vec<u64> {
        let entries = scanned(&*store.snapshot(), &[], &[0xff]);
        entries.iter().map(|(_, value)| u64::from_be_bytes(value[..].try_into().expect("a number"))).collect()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=TRANSACTIONS {
                let number = number.to_be_bytes();
                let mut changes = keys.iter().map(|key| (&key[..], Some(&number[..])));
                store.write(&mut changes).expect("the store has room");
            }
        });
        let mut newest = 0;
        while newest < TRANSACTIONS {
            let seen = numbers();
            let number = seen.first().copied().unwrap_or(0);
            assert!(seen.is_empty() || seen == vec![number; keys.len()], "half a transaction: {seen:?}");
            assert!(number >= newest, "{number} was seen after {newest}");
            newest = number;
        }
    });
}

/// Whoever makes the changes may panic.
pub fn a_transaction_that_is_cut_short_changes_nothing(store: &dyn Store) {
    let mut model = put_all(store, [(&b"a"[..], &b"1"[..]), (b"b", b"2")]);
    let mut left = 2;
    let mut changes = std::iter::from_fn(|| -> Option<Change<'_>> {
        left -= 1;
        assert!(left > 0, "no more changes can be made");
        Some((b"a", None))
    });
    let cut = catch_unwind(AssertUnwindSafe(|| store.write(&mut changes)));
    assert!(cut.is_err(), "the panic went missing");
    check(&*store.snapshot(), &model);
    write(store, &mut model, &BTreeMap::from([(b"c".to_vec(), Some(b"3".to_vec()))]));
    check(&*store.snapshot(), &model);
}

/// Also bounds that are equal, in the wrong order, empty, or longer than any key.
pub fn ranges_hold_their_start_and_not_their_end(store: &dyn Store) {
    let keys: [&[u8]; 8] = [&[0], &[1], &[1, 0], &[1, 0, 0], &[1, 1], &[2], &[2, 0xff], &[0xff, 0xff]];
    check_range(&*store.snapshot(), &Model::new(), &[], &[0xff]);
    let model = put_all(store, keys.iter().map(|key| (*key, *key)));
    let long = [&[2, 0xff][..], &[0; 600]].concat();
    let between: [&[u8]; 7] = [&[], &[0, 0], &[1, 0, 1], &[1, 0xff], &long, &[3], &[0xff; 3]];
    let bounds: Vec<&[u8]> = keys.iter().chain(&between).copied().collect();
    let snapshot = store.snapshot();
    for from in &bounds {
        for to in &bounds {
            check_range(&*snapshot, &model, from, to);
        }
        assert_eq!(snapshot.get(from), model.get(*from).map(|value| &value[..]), "{from:02x?}");
    }
}

/// In either direction.
pub fn a_visitor_that_breaks_is_not_called_again(store: &dyn Store) {
    put_all(store, [&b"a"[..], b"b", b"c", b"d"].map(|key| (key, key)));
    let snapshot = store.snapshot();
    let mut seen = Vec::new();
    let mut until_b_or_c = |key: &[u8], _: &[u8]| {
        seen.push(key[0]);
        if matches!(key, b"b" | b"c") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    snapshot.scan(b"a", b"z", &mut until_b_or_c);
    snapshot.scan_back(b"a", b"z", &mut until_b_or_c);
    assert_eq!(seen, b"abdc");
}

/// A value may grow and shrink.
pub fn values_may_be_empty_and_long(store: &dyn Store) {
    let mut model = Model::new();
    for len in [0, 1, 300_000, 5, 2_000_000, 0, 4096] {
        let value = vec![len as u8; len];
        let changes = [&b"below"[..], b"key", b"upper"].map(|key| (key.to_vec(), Some(value.clone())));
        write(store, &mut model, &BTreeMap::from(changes));
        check(&*store.snapshot(), &model);
    }
}

/// And differ in their last byte alone.
pub fn keys_may_be_as_long_as_keys_get(store: &dyn Store) {
    let keys: Vec<Vec<u8>> =
        (0..=255).map(|last| [vec![0xff; KEY_BYTES_MAX - 1], vec![last]].concat()).collect();
    let mut model = put_all(store, keys.iter().map(|key| (&key[..], &key[40..])));
    check(&*store.snapshot(), &model);
    check_range(&*store.snapshot(), &model, &keys[7], &keys[9]);
    write(store, &mut model, &BTreeMap::from([(keys[8].clone(), None)]));
    check(&*store.snapshot(), &model);
}

/// Down to nothing and back.
pub fn what_is_not_there_may_be_deleted(store: &dyn Store) {
    let key = |n: u64| n.to_be_bytes().to_vec();
    let deletes = |from: u64, to: u64| (from..to).map(|n| (key(n), None)).collect();
    let mut model = Model::new();
    write(store, &mut model, &deletes(0, 10));
    check(&*store.snapshot(), &model);
    write(store, &mut model, &(0..1000).map(|n| (key(n), Some(key(n)))).collect());
    write(store, &mut model, &deletes(990, 1010));
    check(&*store.snapshot(), &model);
    // The last keys are deleted and others put behind them in one transaction.
    let mut both: BTreeMap<_, _> = deletes(980, 995);
    both.extend((995..1005).map(|n| (key(n), Some(vec![]))));
    write(store, &mut model, &both);
    check(&*store.snapshot(), &model);
    write(store, &mut model, &deletes(0, 1100));
    assert!(model.is_empty());
    check(&*store.snapshot(), &model);
}

/// And so is one that was empty before; a transaction of no changes is one too.
pub fn a_cleared_store_is_empty_and_usable(store: &dyn Store) {
    for round in 0..3u8 {
        store.clear().expect("the store has room");
        check(&*store.snapshot(), &Model::new());
        store.write(&mut std::iter::empty()).expect("the store has room");
        check(&*store.snapshot(), &Model::new());
        let model = put_all(store, [(&[round, 1][..], &[round][..]), (&[round, 2], &[])]);
        check(&*store.snapshot(), &model);
    }
}
