//! When a batch becomes durable, and what happens when it does not.

use maitred_core::Domain;
use maitred_engine::Unavailable;
use maitred_engine::log::{LogError, LogReader};

use crate::toy::log::Fate;
use crate::toy::shop::{Ask, Shop, ask, left};
use crate::world::{World, is_answered, outcome};

const TAKE: Ask = Ask::Take { item: 1, count: 1 };

/// Tenant 1 has one piece of item 1, and nothing is under way.
fn world_with_one_piece() -> World {
    let world = World::new();
    assert_eq!(world.tell(Ask::Stock { item: 1, count: 1 }), Ok(1));
    world
}

fn stock(item: u64) -> maitred_engine::Envelope<Ask> {
    ask(1, Ask::Stock { item, count: 1 })
}

#[test]
fn the_next_batch_is_decided_while_one_is_appended_and_nobody_sees_either_before_it_is_durable() {
    let world = world_with_one_piece();
    let decided = world.shop.decided();
    world.log.hold();
    let mut first = world.enter(ask(1, TAKE));
    world.log.wait_attempts(2);
    let mut second = world.enter(stock(2));
    world.shop.wait_decided(decided + 2); // decided, while the first waits to be appended
    let seen = |item| left(&world.engine.view(), maitred_core::TenantNumber(1), item);
    assert_eq!((seen(1), seen(2), world.engine.position().seq), (Some(1), None, 1));
    assert!(!is_answered(&mut first) && !is_answered(&mut second));

    world.log.let_one();
    assert_eq!(outcome(&world.wait(first)), Ok(0));
    world.log.wait_attempts(3);
    assert_eq!((seen(1), seen(2), world.engine.position().seq), (Some(0), None, 2));
    assert!(!is_answered(&mut second));

    world.log.let_one();
    assert_eq!(outcome(&world.wait(second)), Ok(1));
    assert_eq!((seen(1), seen(2), world.engine.position().seq), (Some(0), Some(1), 3));
    world.check_view();
}

#[test]
fn a_rejection_is_answered_after_what_it_rested_on() {
    let world = world_with_one_piece();
    let decided = world.shop.decided();
    world.log.hold();
    let first = world.enter(ask(1, TAKE));
    world.log.wait_attempts(2);
    let mut refused = world.enter(ask(1, TAKE));
    let mut looked = world.enter(ask(1, Ask::Look { item: 1 }));
    world.shop.wait_decided(decided + 2);
    assert!(!is_answered(&mut refused) && !is_answered(&mut looked));
    world.log.release();
    let refused = world.wait(refused);
    assert_eq!(outcome(&refused), Err("sold-out".into()));
    assert_eq!(refused.unwrap().position.seq, 2);
    assert_eq!(outcome(&world.wait(first)), Ok(0));
    assert_eq!(outcome(&world.wait(looked)), Ok(0));
}

#[test]
fn a_rejection_is_decided_again_when_what_it_rested_on_was_not_appended() {
    let rows = [(Fate::Full, Unavailable::DiskFull), (Fate::Determinate, Unavailable::LogAway)];
    for (fate, told) in rows {
        let world = world_with_one_piece();
        let decided = world.shop.decided();
        world.log.hold();
        world.log.fates([fate]);
        let first = world.enter(ask(1, TAKE));
        world.log.wait_attempts(2);
        let second = world.enter(ask(1, TAKE));
        world.shop.wait_decided(decided + 2);
        world.log.release();
        assert_eq!(world.wait(first).map(drop), Err(told), "{fate:?}");
        assert_eq!(outcome(&world.wait(second)), Ok(0), "the piece was not sold after all");
        assert_eq!(world.log.facts(1), [(1, Some(1)), (1, Some(0))]);
        world.check_view();
    }
}

#[test]
fn a_full_disk_refuses_everybody_until_there_is_room() {
    let world = world_with_one_piece();
    world.log.hold();
    world.log.fates([Fate::Full, Fate::Full, Fate::Good]);
    let first: Vec<_> = (2..5).map(|item| world.enter(stock(item))).collect();
    world.log.let_one();
    world.log.let_one();
    for pending in first {
        assert_eq!(world.wait(pending).map(drop), Err(Unavailable::DiskFull));
    }
    assert_eq!(left(&world.engine.view(), maitred_core::TenantNumber(1), 1), Some(1), "reads go on");
    world.log.release();
    let _ = world.submit(stock(9)); // one refusal may be left
    assert_eq!(world.tell(Ask::Stock { item: 9, count: 1 }).map(|left| left > 0), Ok(true));
    world.check_view();
}

#[test]
fn what_lost_its_place_is_decided_again_before_anything_newer_of_its_tenant() {
    for fate in [Fate::Rival { tenant: 2, item: 1, left: Some(8) }, Fate::Determinate] {
        for _ in 0..50 {
            let world = world_with_one_piece();
            let decided = world.shop.decided();
            world.log.hold();
            world.log.fates([fate]);
            let first = world.enter(stock(2));
            world.log.wait_attempts(2);
            let second = world.enter(stock(3));
            world.shop.wait_decided(decided + 2);
            let rest: Vec<_> = (4..40).map(|item| world.enter(stock(item))).collect();
            world.log.release();
            let first = world.wait(first);
            assert_eq!(outcome(&world.wait(second)), Ok(1));
            for pending in rest {
                assert_eq!(outcome(&world.wait(pending)), Ok(1));
            }
            let lost = fate != Fate::Determinate;
            assert_eq!(outcome(&first), if lost { Ok(1) } else { Err("LogAway".into()) });
            let items: Vec<u64> = world.log.facts(1).iter().map(|(item, _)| *item).collect();
            let expected: Vec<u64> = (1..40).filter(|item| lost || *item != 2).collect();
            assert_eq!(items, expected, "{fate:?}");
            world.check_view();
        }
    }
}

#[test]
fn a_batch_that_lost_its_place_is_decided_again_on_the_winner() {
    let world = world_with_one_piece();
    world.log.fates([Fate::Rival { tenant: 1, item: 1, left: Some(0) }]);
    assert_eq!(world.tell(TAKE), Err("sold-out".into()), "the rival has sold it");
    assert_eq!(world.engine.position().seq, 2);
    world.log.fates([Fate::Rival { tenant: 1, item: 1, left: Some(6) }]);
    assert_eq!(world.tell(Ask::Stock { item: 1, count: 1 }), Ok(7));
    assert_eq!(world.log.facts(1), [(1, Some(1)), (1, Some(0)), (1, Some(6)), (1, Some(7))]);
    world.log.fates([Fate::ThreeRivals]);
    assert_eq!(world.tell(Ask::Stock { item: 2, count: 1 }), Ok(81));
    assert_eq!(world.engine.position().seq, 8, "it has followed all of them");
    world.check_view();
}

#[test]
fn an_append_of_unknown_outcome_is_sent_again_until_it_is_known_with_the_same_bytes() {
    for happens in [false, true] {
        let world = world_with_one_piece();
        let unknown = Fate::Unknown { happens };
        world.log.fates(if happens { vec![unknown] } else { vec![unknown; 3] });
        let first = world.enter(ask(1, TAKE));
        let second = world.enter(ask(1, TAKE));
        assert_eq!(outcome(&world.wait(first)), Ok(0));
        assert_eq!(outcome(&world.wait(second)), Err("sold-out".into()));
        let sent = world.log.attempts().split_off(1);
        assert_eq!(sent.len(), if happens { 2 } else { 4 });
        assert!(sent.iter().all(|batch| batch.bytes == sent[0].bytes), "the same bytes, nothing in between");
        assert_eq!(world.log.facts(1).len(), 2, "once in the log");
        world.check_view();
    }
}

#[test]
fn an_unknown_append_may_turn_out_to_have_lost_its_place() {
    let world = world_with_one_piece();
    let rival = Fate::Rival { tenant: 1, item: 1, left: Some(0) };
    world.log.fates([Fate::Unknown { happens: false }, rival]);
    assert_eq!(world.tell(TAKE), Err("sold-out".into()));
    world.check_view();
}

#[test]
fn a_broken_log_leaves_nobody_waiting() {
    for fate in [Fate::Broken, Fate::Panic] {
        let world = world_with_one_piece();
        let decided = world.shop.decided();
        world.log.hold();
        world.log.fates([fate]);
        let appended = world.enter(stock(2));
        world.log.wait_attempts(2);
        let decided_on_it = world.enter(stock(3));
        world.shop.wait_decided(decided + 2);
        let waiting: Vec<_> = (4..1_000).map(|item| world.enter(ask(item as u32 % 7, TAKE))).collect();
        world.log.release();
        for pending in [appended, decided_on_it].into_iter().chain(waiting) {
            assert_eq!(world.wait(pending).map(drop), Err(Unavailable::Unknown), "{fate:?}");
        }
        assert_eq!(world.engine.enter(stock(9)).map(drop), Err(Unavailable::Draining));
        assert_eq!(world.engine.view().seq(), 1, "reads go on");
        let broken = std::sync::Arc::clone(&world.broken);
        world.stop();
        let broken = broken.lock().unwrap();
        assert!(matches!(broken[..], [LogError::Broken(_)]), "told once: {broken:?}");
    }
}

#[test]
fn what_appends_nothing_is_answered_on_the_tail_too() {
    let world = world_with_one_piece();
    world.log.intrude(1, 1, Some(4));
    assert_eq!(world.tell(Ask::Look { item: 1 }), Ok(4), "decided again on what the other has appended");
    world.log.intrude(1, 1, Some(0));
    assert_eq!(world.tell(TAKE), Err("sold-out".into()));
    assert_eq!(world.engine.position().seq, 3);
    world.check_view();
}

#[test]
fn a_log_that_has_gone_back_is_not_followed() {
    for command in [TAKE, Ask::Look { item: 1 }] {
        for rivals in 0..3 {
            let world = world_with_one_piece();
            assert_eq!(world.tell(Ask::Stock { item: 2, count: 1 }), Ok(1));
            world.log.lose_last();
            (0..rivals).for_each(|item| world.log.intrude(1, item, None));
            assert_eq!(world.submit(ask(1, command.clone())).map(drop), Err(Unavailable::Unknown));
            let (broken, position) = (std::sync::Arc::clone(&world.broken), world.engine.position());
            world.stop();
            let broken = broken.lock().unwrap();
            assert!(matches!(broken[..], [LogError::Regressed(_)]), "{rivals} rivals: {broken:?}");
            assert_eq!(position.seq, 2, "nothing of it is published");
        }
    }
}

#[test]
fn a_batch_bears_the_version_of_the_rules_that_decided_it() {
    let world = world_with_one_piece();
    let batch = &world.log.read(1, 1).expect("it is there")[0];
    assert_eq!(batch.header.rules_version, Shop::RULES_VERSION);
}
