//! What is decided, and in which order.

use maitred_core::Position;
use maitred_engine::Unavailable;
use maitred_engine::batch::{COMMAND_BYTES_MAX, SEALED_BYTES_MAX};

use crate::toy::shop::{Ask, ask, said};
use crate::world::{World, outcome};

#[test]
fn each_command_sees_what_was_decided_before_it() {
    let world = World::new();
    assert_eq!(world.tell(Ask::Stock { item: 7, count: 2 }), Ok(2));
    assert_eq!(world.tell(Ask::Take { item: 7, count: 1 }), Ok(1));
    assert_eq!(world.tell(Ask::Take { item: 7, count: 2 }), Err("sold-out".into()));
    assert_eq!(world.tell(Ask::Look { item: 7 }), Ok(1));
    assert_eq!(world.log.facts(1), [(7, Some(2)), (7, Some(1))], "what changes nothing is not logged");
    assert_eq!(world.log.seq(), 2);
    world.check_view();
}

#[test]
fn commands_of_a_tenant_are_decided_in_the_order_of_their_arrival() {
    let world = World::new();
    world.log.hold();
    let pending: Vec<_> =
        (1..=2_000).map(|n| world.enter(ask(n % 3, Ask::Stock { item: u64::from(n), count: 1 }))).collect();
    world.log.release();
    for pending in pending {
        assert_eq!(outcome(&world.wait(pending)), Ok(1));
    }
    for tenant in 0..3 {
        let items: Vec<u64> = world.log.facts(tenant).iter().map(|(item, _)| *item).collect();
        let entered: Vec<u64> = (1..=2_000).filter(|n| n % 3 == u64::from(tenant)).collect();
        assert_eq!(items, entered);
    }
    assert!(world.log.commands().iter().all(|commands| *commands <= 512), "{:?}", world.log.commands());
    world.check_view();
}

#[test]
fn the_answers_of_a_batch_name_its_position_and_time() {
    let world = World::new();
    world.log.hold();
    let first = world.enter(ask(1, Ask::Stock { item: 1, count: 1 }));
    world.log.wait_attempts(1);
    let second = world.enter(ask(1, Ask::Stock { item: 2, count: 1 }));
    world.shop.wait_decided(2); // two batches are under way, so what comes now is decided together
    let batch = [Ask::Take { item: 1, count: 1 }, Ask::Take { item: 1, count: 1 }, Ask::Look { item: 1 }];
    let third = batch.map(|command| world.enter(ask(1, command)));
    world.log.release();
    let [first, second] = [first, second].map(|pending| world.wait(pending).unwrap());
    let third = third.map(|pending| world.wait(pending).unwrap());
    assert_eq!(first.position, Position { partition: 0, seq: 1 });
    assert!(first.timestamp < second.timestamp && second.timestamp < third[0].timestamp);
    assert_eq!(third.each_ref().map(said), [Ok(0), Err("sold-out"), Ok(0)]);
    for answer in &third {
        assert_eq!((answer.position.seq, answer.timestamp), (3, third[0].timestamp), "{answer:?}");
    }
}

#[test]
fn a_bug_in_the_rules_spoils_its_own_command_alone() {
    for bug in [Ask::Panic, Ask::PanicInEncode] {
        let world = World::new();
        world.log.hold();
        let first = world.enter(ask(1, Ask::Stock { item: 1, count: 5 }));
        world.log.wait_attempts(1);
        let before = world.enter(ask(1, Ask::Take { item: 1, count: 1 }));
        let broken = world.enter(ask(1, bug.clone()));
        let behind = world.enter(ask(1, Ask::Take { item: 1, count: 1 }));
        world.log.release();
        assert_eq!(outcome(&world.wait(first)), Ok(5));
        assert_eq!(outcome(&world.wait(before)), Ok(4));
        assert_eq!(world.wait(broken).map(drop), Err(Unavailable::Bug), "{bug:?}");
        assert_eq!(outcome(&world.wait(behind)), Ok(3));
        assert_eq!(world.log.facts(1).len(), 3);
        world.check_view();
    }
}

#[test]
fn a_command_whose_facts_are_too_large_is_refused_and_changes_nothing() {
    /// What a fact takes in the log besides its noise: 25 bytes of its own and 7 around them.
    const FACT: usize = 25 + 7;
    let world = World::new();
    let noise = |facts, bytes| world.tell(Ask::Noise { facts, bytes });
    assert_eq!(noise(1, COMMAND_BYTES_MAX - FACT), Ok(0));
    assert_eq!(noise(1, COMMAND_BYTES_MAX - FACT + 1), Err("command-too-large".into()));
    // Many small facts are as large in the log as one large fact.
    assert_eq!(noise(COMMAND_BYTES_MAX / FACT, 0), Ok(0));
    assert_eq!(noise(COMMAND_BYTES_MAX / FACT + 1, 0), Err("command-too-large".into()));
    assert_eq!(world.log.seq(), 2);
    world.check_view();
}

#[test]
fn no_batch_is_longer_than_a_log_must_take() {
    let world = World::new();
    world.log.hold();
    let pending: Vec<_> = (0..20)
        .map(|_| world.enter(ask(1, Ask::Noise { facts: 1, bytes: COMMAND_BYTES_MAX - 256 })))
        .collect();
    world.log.release();
    for pending in pending {
        assert_eq!(outcome(&world.wait(pending)), Ok(0));
    }
    let longest = world.log.attempts().iter().map(|batch| batch.bytes.len()).max().unwrap();
    assert!(longest <= SEALED_BYTES_MAX, "{longest}");
    assert!(longest > SEALED_BYTES_MAX - 16 * 1024, "the test fills a batch: {longest}");
}
