//! How an engine comes back: from its store, from a snapshot, from the log alone.

use std::sync::Arc;

use maitred_core::{PartitionId, Read, Seq, Write};
use maitred_engine::engine::Bounds;
use maitred_engine::log::{LogError, LogReader, Tail};
use maitred_engine::meta::{self, Flushed, Schema};
use maitred_engine::recovery::{NoSnapshots, Origin, Recovery, RecoveryError, Snapshots};
use maitred_engine::store::{Store, StoreError};
use maitred_engine::view_hash::view_hash;
use maitred_engine::witness::Witness;

use crate::toy::log::{Fate, ToyLog};
use crate::toy::model::Map;
use crate::toy::shop::{Ask, Shop, keyed};
use crate::toy::store::ToyStore;
use crate::world::{BOOT, Ground, World};

/// A world that has flushed some of its 30 batches, and how its store stood when 20 were decided.
fn lived() -> (World, Arc<Map>) {
    let bounds = Bounds { layer_bytes_max: 1, ..Bounds::default() };
    let world = Ground { bounds, ..Ground::default() }.start();
    let live = |from: u64, to: u64| {
        for n in from..to {
            let command =
                if n % 5 == 4 { Ask::Clear { item: n % 4 } } else { Ask::Stock { item: n % 4, count: n } };
            world.submit(keyed(1, u128::from(n), 0, command)).unwrap();
        }
    };
    live(0, 20);
    world.store.wait_begun(12); // the stamp of recovery, and some layers
    let then = world.store.map();
    live(20, 30);
    assert_eq!(world.engine.view().seq(), 30);
    (world, then)
}

/// Stops the world, puts `store` in the place of its own, starts again, and compares the views.
fn revive(
    store: impl FnOnce(Arc<Map>) -> Map,
    boot: &[u8],
    snapshots: impl FnOnce(&Arc<ToyLog>) -> Box<dyn Snapshots>,
) -> World {
    let (world, then) = lived();
    let (hash, live) = (view_hash(&world.engine.view()), Map::of(&world.engine.view()));
    let ground = world.stop();
    let snapshots = snapshots(&ground.log);
    let store = Arc::new(ToyStore::with(store(then)));
    let revived = Ground { store, ..ground }.start_with(boot, &*snapshots);
    assert_eq!(Map::of(&revived.engine.view()), live);
    assert_eq!(view_hash(&revived.engine.view()), hash);
    revived.check_view();
    revived.tell(Ask::Stock { item: 1, count: 1 }).unwrap();
    revived.check_view();
    revived
}

fn none(_: &Arc<ToyLog>) -> Box<dyn Snapshots> {
    Box::new(NoSnapshots)
}

fn flushed(map: &Map) -> Flushed {
    meta::flushed(map).expect("recovery has stamped it")
}

#[test]
fn a_store_of_this_boot_and_this_log_is_kept_and_caught_up() {
    let mut kept = 0;
    let world = revive(
        |then| {
            kept = flushed(&then).tail.0;
            (*then).clone()
        },
        BOOT,
        none,
    );
    assert!((1..30).contains(&kept), "the store was behind: at {kept}");
    assert_eq!(world.report.store, Origin::Kept);
    assert_eq!((world.report.store_seq, world.report.replayed, world.report.seq), (kept, 30 - kept, 30));
}

fn restamp(map: &mut Map, change: fn(&mut Flushed)) {
    let mut stamped = flushed(map);
    change(&mut stamped);
    map.put(&meta::flushed_key(), &stamped.to_bytes());
}

#[test]
fn a_store_that_cannot_be_trusted_is_rebuilt() {
    type Spoil = fn(&mut Map);
    let rows: [(&str, Spoil); 6] = [
        ("of another boot", |map| map.put(&meta::boot_key(), b"an earlier boot")),
        ("whose domain's tables are of another layout", |map| restamp(map, |stamp| stamp.schema.0 += 1)),
        ("whose engine's tables are of another layout", |map| {
            restamp(map, |stamp| stamp.schema.0 += 1 << 16);
        }),
        ("of another partition", |map| map.put(&meta::partition_key(), &1u32.to_be_bytes())),
        ("that says nothing of itself", |map| map.delete(&meta::flushed_key())),
        ("that is empty", |map| map.0.clear()),
    ];
    for (what, spoil) in rows {
        let store = |then: Arc<Map>| {
            let mut map = Map::clone(&then);
            // What stands in it must not shine through.
            map.put(&maitred_core::Key::new(maitred_core::Table::Index).u64(1), b"of old");
            spoil(&mut map);
            map
        };
        let world = revive(store, BOOT, none);
        assert_eq!((world.report.store, world.report.replayed), (Origin::Rebuilt, 30), "a store {what}");
    }
}

/// Recovers on what is left, and gives what it is refused with. Nothing may have been changed.
fn refusal(store: Map, boot: &[u8], snapshots: impl FnOnce(&Arc<ToyLog>) -> Box<dyn Snapshots>) -> String {
    let ground = lived().0.stop();
    let toy = Arc::new(ToyStore::with(store));
    let before = toy.map();
    let store = Arc::clone(&toy) as Arc<dyn Store>;
    let log = &*ground.log as &dyn LogReader;
    let snapshots = &*snapshots(&ground.log);
    let shop = Shop::default();
    let refused = Recovery { domain: &shop, log, store: &store, snapshots, partition: 0, boot }.run();
    assert_eq!((toy.map(), toy.committed()), (before, 0), "the store was changed");
    match refused.map(|(_, report)| report) {
        Err(RecoveryError::Log(LogError::DataLoss(what))) => what,
        other => panic!("no loss of data was found: {other:?}"),
    }
}

#[test]
fn a_log_that_ends_before_its_own_store_is_refused() {
    let ahead = |change: fn(&mut Flushed), boot: &[u8]| {
        let mut map = Map::clone(&lived().1);
        restamp(&mut map, change);
        map.put(&meta::boot_key(), boot);
        map
    };
    let what = refusal(ahead(|stamp| stamp.tail.0 = 33, BOOT), BOOT, none);
    let said = "the log ends at batch 30, but the view's store (`view`) was made of batches up to 33: batches 31 to 33, \
                which were acknowledged, are missing. Nothing was changed.";
    assert!(what.starts_with(said), "{what}");
    let what = refusal(ahead(|stamp| stamp.tail.1[0] ^= 1, BOOT), BOOT, none);
    assert!(what.contains("of the log is not the one that the view's store (`view`) was made of"), "{what}");

    // What a power cut may have written is believed by nobody.
    let world = revive(|_| ahead(|stamp| stamp.tail.0 = 33, b"an earlier boot"), BOOT, none);
    assert_eq!(world.report.store, Origin::Rebuilt);
}

#[test]
fn a_log_that_ends_before_a_snapshot_is_refused_in_any_boot() {
    struct Ahead(Tail);
    impl Snapshots for Ahead {
        fn load(&self, _: &dyn Store, _: &dyn Fn(Tail) -> bool) -> Result<Option<Flushed>, StoreError> {
            panic!("nothing is loaded");
        }
        fn witnesses(&self, _: PartitionId) -> Vec<Witness> {
            let older = Witness { name: "the older one".into(), tail: (1, [0; 32]) };
            vec![older, Witness { name: "its snapshot".into(), tail: self.0 }]
        }
    }
    for boot in [BOOT, b"a new boot"] {
        for store in [Map::default(), Map::clone(&lived().1)] {
            let what = refusal(store, boot, |_| Box::new(Ahead((31, [7; 32]))));
            assert!(
                what.contains("but its snapshot was made of batches up to 31: batches 31 to 31"),
                "{what}"
            );
        }
        let what = refusal(Map::default(), boot, |_| Box::new(Ahead((30, [7; 32]))));
        assert!(what.contains("batch 30 of the log is not the one that its snapshot was made of"), "{what}");
    }
}

#[test]
fn a_boot_that_has_no_name_trusts_no_store() {
    let store = |then: Arc<Map>| {
        let mut map = Map::clone(&then);
        map.put(&meta::boot_key(), b"");
        map
    };
    assert_eq!(revive(store, b"", none).report.store, Origin::Rebuilt);
}

/// Snapshots of the log's views, newest first; the hash of one can be of another log.
struct Kept {
    log: Arc<ToyLog>,
    newest_first: Vec<(Seq, bool)>,
    schema: Schema,
}

impl Snapshots for Kept {
    fn load(&self, store: &dyn Store, fits: &dyn Fn(Tail) -> bool) -> Result<Option<Flushed>, StoreError> {
        for (seq, genuine) in &self.newest_first {
            let batch = &self.log.read(*seq, 1).expect("it is there")[0];
            let mut tail = (*seq, batch.hash);
            tail.1[0] ^= u8::from(!genuine);
            if fits(tail) {
                let view = self.log.view(*seq);
                store.write(&mut view.0.iter().map(|(key, value)| (&key[..], Some(&value[..]))))?;
                return Ok(Some(Flushed { tail, timestamp: batch.header.timestamp, schema: self.schema }));
            }
        }
        Ok(None)
    }

    fn witnesses(&self, _: PartitionId) -> Vec<Witness> {
        let of = |seq| self.log.read(seq, 1).expect("it is there")[0].hash;
        let genuine = self.newest_first.iter().filter(|(_, genuine)| *genuine);
        genuine.map(|&(seq, _)| Witness { name: format!("snapshot {seq}"), tail: (seq, of(seq)) }).collect()
    }
}

#[test]
fn the_newest_snapshot_that_fits_saves_replaying_what_is_before_it() {
    let snapshots = |log: &Arc<ToyLog>| {
        let newest_first = vec![(28, false), (24, true), (10, true)];
        let schema = Schema::of::<Shop>();
        Box::new(Kept { log: Arc::clone(log), newest_first, schema }) as Box<dyn Snapshots>
    };
    let world = revive(|then| (*then).clone(), b"another boot", snapshots);
    assert_eq!(world.report.store, Origin::Snapshot);
    assert_eq!((world.report.store_seq, world.report.replayed), (24, 6));
}

#[test]
fn a_snapshot_of_another_layout_leaves_nothing_behind() {
    let snapshots = |log: &Arc<ToyLog>| {
        let schema = Schema(Schema::of::<Shop>().0 + 1);
        Box::new(Kept { log: Arc::clone(log), newest_first: vec![(24, true)], schema }) as Box<dyn Snapshots>
    };
    let world = revive(|then| (*then).clone(), b"another boot", snapshots);
    assert_eq!((world.report.store, world.report.replayed), (Origin::Rebuilt, 30));
}

#[test]
fn the_second_start_finds_what_the_first_has_stamped() {
    let world = revive(|_| Map::default(), b"a new boot", none);
    let world = world.stop().start_with(b"a new boot", &NoSnapshots);
    assert_eq!((world.report.store, world.report.replayed), (Origin::Kept, 0), "all was flushed at the end");
    assert!(world.engine.view().get(&meta::boot_key()).is_some());
    world.check_view();
}

#[test]
fn a_process_that_died_with_a_batch_of_unknown_outcome_finds_it_or_not() {
    for happens in [false, true] {
        let world = World::new();
        world.tell(Ask::Stock { item: 1, count: 1 }).unwrap();
        world.log.hold();
        world.log.fates([Fate::Unknown { happens }]);
        let _lost = world.enter(crate::toy::shop::ask(1, Ask::Take { item: 1, count: 1 }));
        world.log.let_one();
        world.log.wait_attempts(3); // it is being sent again, and stays there
        let ground = Ground { log: Arc::clone(&world.log), ..Ground::default() };
        let revived = ground.start();
        assert_eq!(revived.report.seq, 1 + u64::from(happens));
        assert_eq!(Map::of(&revived.engine.view()), *world.log.view(revived.report.seq));
        world.log.release();
        world.stop();
    }
}
