//! How an engine comes to its end.

use maitred_engine::Unavailable;
use maitred_engine::engine::Bounds;

use crate::toy::log::Fate;
use crate::toy::shop::{Ask, ask};
use crate::world::{Ground, World, outcome};

fn stock(item: u64) -> maitred_engine::Envelope<Ask> {
    ask(item as u32 % 5, Ask::Stock { item, count: 1 })
}

#[test]
fn what_waits_is_answered_and_what_is_new_is_refused() {
    let world = World::new();
    world.log.hold();
    let pending: Vec<_> = (0..2_000).map(|item| world.enter(stock(item))).collect();
    world.engine.drain();
    assert_eq!(world.engine.enter(stock(1)).map(drop), Err(Unavailable::Draining));
    world.log.release();
    for pending in pending {
        assert_eq!(outcome(&world.wait(pending)), Ok(1));
    }
    let ground = world.stop();
    assert_eq!(ground.log.commands().iter().sum::<usize>(), 2_000);
    assert_eq!(ground.store.map().0.len(), 2_000 + ground.log.seq() as usize + 3, "all of it was flushed");
}

#[test]
fn what_loses_its_place_at_the_very_end_is_still_answered() {
    for fates in [&[Fate::Rival { tenant: 9, item: 1, left: Some(1) }; 3][..], &[Fate::Determinate]] {
        for _ in 0..50 {
            let world = World::new();
            world.log.hold();
            world.log.fates(fates.iter().copied());
            let first = world.enter(stock(1));
            world.log.wait_attempts(1);
            let second = world.enter(stock(2));
            world.shop.wait_decided(2);
            world.engine.drain();
            world.log.release();
            assert!(world.wait(first).is_ok() || fates == [Fate::Determinate]);
            assert_eq!(outcome(&world.wait(second)), Ok(1));
            world.stop();
        }
    }
}

#[test]
fn a_store_that_cannot_be_written_does_not_delay_the_end() {
    let bounds = Bounds { layer_bytes_max: 1, ..Bounds::default() };
    let world = Ground { bounds, ..Ground::default() }.start();
    world.store.fail(true);
    for item in 0..3 {
        assert_eq!(outcome(&world.submit(stock(item))), Ok(1));
    }
    world.store.wait_failed(1);
    let ground = world.stop();
    ground.store.fail(false);
    let world = ground.start();
    assert_eq!((world.report.store_seq, world.report.replayed), (0, 3), "it is replayed");
    world.check_view();
}
