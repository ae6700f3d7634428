//! One outcome per idempotency key within its day (I7).

use std::time::Duration;

use maitred_core::{Key, Read, Table, TenantNumber, Timestamp, Write};
use maitred_engine::apply::{self, IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_MICROS};
use maitred_engine::batch::GENESIS;
use maitred_engine::meta::{self, Flushed, Schema};
use maitred_engine::recovery::Origin;

use crate::toy::clock::START;
use crate::toy::model::Map;
use crate::toy::shop::{Ask, Shop, ask, keyed, said};
use crate::toy::store::ToyStore;
use crate::world::{BOOT, Ground, World, outcome};

const TENANT: TenantNumber = TenantNumber(1);
const DAY: Duration = Duration::from_micros(IDEMPOTENCY_MICROS as u64);
const STOCK: Ask = Ask::Stock { item: 1, count: 1 };
const TAKE: Ask = Ask::Take { item: 1, count: 1 };

/// How many keys are there: by the counter, by key, and by age.
fn counts(view: &dyn Read) -> [u64; 3] {
    let entries = |table| {
        let (from, mut count) = (Key::of(table, TENANT), 0);
        view.scan(&from, &from.end(), &mut |_, _| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        });
        count
    };
    [apply::remembered_keys(view, TENANT), entries(Table::Idempotency), entries(Table::IdempotencyDue)]
}

#[test]
fn a_repeated_command_is_given_its_first_answer() {
    let world = World::new();
    let first = world.submit(keyed(1, 5, 50, STOCK)).unwrap();
    assert!(!first.replayed);
    world.tell(STOCK).unwrap();
    let again = world.submit(keyed(1, 5, 50, STOCK)).unwrap();
    assert!(again.replayed);
    assert_eq!(again.result, first.result);
    assert_eq!(again.position.seq, 2, "it includes the first, and more");
    assert_eq!(world.log.facts(1).len(), 2, "it was carried out once");
    let other_tenant = world.submit(keyed(2, 5, 50, STOCK)).unwrap();
    assert!(!other_tenant.replayed, "keys belong to a tenant");
    world.check_view();
}

#[test]
fn a_repetition_within_one_batch_is_noticed_too() {
    let world = World::new();
    world.log.hold();
    let under_way = [STOCK, STOCK].map(|command| world.enter(ask(2, command)));
    world.log.wait_attempts(1);
    let twice = [(); 2].map(|()| world.enter(keyed(1, 5, 50, STOCK)));
    world.log.release();
    let replayed = twice.map(|pending| world.wait(pending).unwrap().replayed);
    assert_eq!(replayed, [false, true]);
    drop(under_way);
    assert_eq!(world.log.facts(1).len(), 1);
}

#[test]
fn a_business_rejection_sticks_and_any_other_does_not() {
    let world = World::new();
    assert_eq!(outcome(&world.submit(keyed(1, 5, 50, TAKE))), Err("sold-out".into()));
    world.tell(STOCK).unwrap();
    let again = world.submit(keyed(1, 5, 50, TAKE)).unwrap();
    assert_eq!((said(&again), again.replayed), (Err("sold-out"), true), "though there is a piece by now");
    assert_eq!(again.result.unwrap_err().detail, "Nothing is left.", "word for word");

    assert_eq!(outcome(&world.submit(keyed(1, 6, 60, Ask::Lost))), Err("absent".into()));
    let again = world.submit(keyed(1, 6, 60, TAKE)).unwrap();
    assert_eq!((said(&again), again.replayed), (Ok(0), false));
    world.check_view();
}

#[test]
fn a_key_is_not_taken_for_another_request() {
    let world = World::new();
    world.submit(keyed(1, 5, 50, STOCK)).unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(&world.submit(keyed(1, 5, 51, STOCK))), Err("idempotency-key-reused".into()));
    }
    assert!(world.submit(keyed(1, 5, 50, STOCK)).unwrap().replayed, "the first is not forgotten for that");
    assert_eq!(world.log.facts(1).len(), 1);
}

#[test]
fn a_key_is_free_again_after_a_day_of_the_logs_time() {
    let world = World::new();
    world.submit(keyed(1, 5, 50, STOCK)).unwrap();
    world.clock.pass(DAY - Duration::from_micros(1));
    assert!(world.submit(keyed(1, 5, 50, STOCK)).unwrap().replayed);
    world.clock.pass(Duration::from_micros(1));
    let anew = world.submit(keyed(1, 5, 51, STOCK)).unwrap();
    assert_eq!((said(&anew), anew.replayed), (Ok(2), false), "even for another request");
    assert_eq!(counts(&world.engine.view()), [1; 3]);
    world.check_view();
}

#[test]
fn a_new_key_forgets_two_expired_ones_and_no_more() {
    let world = World::new();
    for key in 0..6 {
        world.submit(keyed(1, key, 0, STOCK)).unwrap();
    }
    world.clock.pass(DAY + Duration::from_secs(1));
    for (key, left) in (10..16).zip([5, 4, 3, 4, 5, 6]) {
        world.submit(keyed(1, key, 0, STOCK)).unwrap();
        assert_eq!(counts(&world.engine.view()), [left; 3], "key {key}");
    }
    assert!((10..16).all(|key| world.submit(keyed(1, key, 0, STOCK)).unwrap().replayed));
    world.check_view();
}

/// A world whose tenant has as many remembered keys as it may have, but for `free`. Of them, these are
/// as old.
fn world_with_keys(free: u64, ages: &[Duration]) -> World {
    let mut map = Map::default();
    let flushed =
        Flushed { tail: (0, GENESIS), timestamp: Timestamp::from_micros(0), schema: Schema::of::<Shop>() };
    map.put(&meta::flushed_key(), &flushed.to_bytes());
    map.put(&meta::boot_key(), BOOT);
    map.put(&meta::partition_key(), &0u32.to_be_bytes());
    let count = IDEMPOTENCY_KEYS_MAX - free;
    map.put(&Key::of(Table::Counter, TENANT).u8(0xff), &count.to_be_bytes());
    for (key, age) in (1_000u128..).zip(ages) {
        let at = Timestamp::from_micros(START - age.as_micros() as i64);
        let value = [&at.to_ordered().to_be_bytes()[..], &[0; 24]].concat();
        map.put(&Key::of(Table::Idempotency, TENANT).u128(key), &value);
        map.put(&Key::of(Table::IdempotencyDue, TENANT).time(at).u128(key), &[]);
    }
    let world = Ground { store: ToyStore::with(map).into(), ..Ground::default() }.start();
    assert_eq!(world.report.store, Origin::Kept);
    world
}

#[test]
fn a_tenant_cannot_fill_the_view_with_keys() {
    let world = world_with_keys(1, &[]);
    assert_eq!(outcome(&world.submit(keyed(1, 5, 50, STOCK))), Ok(1));
    assert_eq!(outcome(&world.submit(keyed(1, 6, 60, STOCK))), Err("idempotency-keys-exhausted".into()));
    assert!(world.submit(keyed(1, 5, 50, STOCK)).unwrap().replayed, "what is remembered stays so");
    assert_eq!(world.tell(STOCK), Ok(2), "without a key it is decided");
    assert_eq!(outcome(&world.submit(keyed(2, 6, 60, STOCK))), Ok(1), "another tenant has its own");
}

#[test]
fn expired_keys_lock_nobody_out() {
    let young = DAY - Duration::from_secs(1);
    let world = world_with_keys(0, &[DAY, DAY, DAY, young]);
    let keys = || apply::remembered_keys(&world.engine.view(), TENANT);
    assert_eq!(outcome(&world.submit(keyed(1, 5, 50, STOCK))), Ok(1), "there is one to be forgotten");
    assert_eq!(keys(), IDEMPOTENCY_KEYS_MAX - 1);
    assert_eq!(outcome(&world.submit(keyed(1, 6, 60, STOCK))), Ok(2));
    assert_eq!(keys(), IDEMPOTENCY_KEYS_MAX - 1, "the third is forgotten, the fourth is young");
    assert_eq!(outcome(&world.submit(keyed(1, 7, 70, STOCK))), Ok(3));
    assert_eq!(outcome(&world.submit(keyed(1, 8, 80, STOCK))), Err("idempotency-keys-exhausted".into()));
}
