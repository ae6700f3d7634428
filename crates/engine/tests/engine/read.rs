//! What readers see, and how they wait for it.

use std::time::Duration;

use maitred_core::{Timestamp, time::TIMESTAMP_MAX};
use maitred_engine::Unavailable;
use maitred_engine::engine::Bounds;

use crate::toy::model::Map;
use crate::toy::shop::{Ask, ask, said};
use crate::world::{Ground, World};

const STOCK: Ask = Ask::Stock { item: 1, count: 1 };

#[test]
fn a_reader_can_wait_for_a_position() {
    let world = World::new();
    world.log.hold();
    let first = world.enter(ask(1, STOCK));
    world.log.wait_attempts(1);
    let behind = world.within(world.engine.wait_for(1, Duration::from_millis(1)));
    assert_eq!(behind, Some(Err(Unavailable::ReplicaBehind)), "it is not published yet");
    let waits = async {
        let reached = world.engine.wait_for(1, Duration::from_secs(60));
        tokio::pin!(reached);
        let now = std::future::poll_fn(|cx| std::task::Poll::Ready(reached.as_mut().poll(cx)));
        assert!(now.await.is_pending());
        world.log.release();
        reached.await
    };
    assert_eq!(world.within(waits), Some(Ok(())));
    assert_eq!(world.engine.view().seq(), 1);
    world.wait(first).unwrap();
    assert_eq!(world.within(world.engine.wait_for(1, Duration::ZERO)), Some(Ok(())), "no wait where it is");
}

#[test]
fn a_view_stays_at_its_batch_whatever_is_decided_and_flushed_meanwhile() {
    let bounds = Bounds { layer_bytes_max: 1, ..Bounds::default() };
    let world = Ground { bounds, ..Ground::default() }.start();
    let mut views = vec![world.engine.view()];
    for n in 1..60 {
        let command =
            if n % 7 == 0 { Ask::Clear { item: n % 3 } } else { Ask::Stock { item: n % 3, count: n } };
        world.tell(command).unwrap();
        views.push(world.engine.view());
    }
    world.store.wait_committed(50);
    for (seq, view) in views.iter().enumerate() {
        assert_eq!(view.seq(), seq as u64);
        assert_eq!(Map::of(view), *world.log.view(view.seq()), "the view at batch {seq}");
    }
    world.check_view();
}

#[test]
fn an_instant_leads_to_the_last_batch_of_its_millisecond() {
    let world = World::new();
    let at = |answer: maitred_engine::Answer<_>| answer.timestamp;
    world.clock.jump(Duration::from_micros(998));
    let first = at(world.submit(ask(1, STOCK)).unwrap());
    let second = at(world.submit(ask(1, STOCK)).unwrap());
    let third = at(world.submit(ask(1, STOCK)).unwrap());
    assert_eq!([first, second, third].map(|at| at.as_micros() % 1_000), [998, 999, 0], "they rise by one");
    let view = world.engine.view();
    let millis = first.as_millis();
    let seq_at = |millis| view.seq_at(Timestamp::from_millis(millis));
    assert_eq!([seq_at(millis - 1), seq_at(millis), seq_at(millis + 1)], [0, 2, 3]);
    assert_eq!(view.seq_at(TIMESTAMP_MAX), 3);
    assert_eq!(view.timestamp(), third);
    let decided = [0, 1, 2, 3, 4].map(|seq| view.timestamp_of(seq));
    assert_eq!(decided, [Timestamp::from_micros(i64::MIN), first, second, third, third]);
}

#[test]
fn a_refusal_without_a_key_needs_no_writer() {
    let world = World::new();
    world.tell(STOCK).unwrap();
    world.log.hold();
    let sold = world.enter(ask(1, Ask::Take { item: 1, count: 1 }));
    world.log.wait_attempts(2);
    let take = ask(1, Ask::Take { item: 1, count: 1 });
    assert_eq!(world.engine.refuse(&take), None, "what is not durable refuses nobody");
    world.log.release();
    world.wait(sold).unwrap();
    let refused = world.engine.refuse(&take).expect("nothing is left");
    assert_eq!((said(&refused), refused.position.seq), (Err("sold-out"), 2));
    let with_key = crate::toy::shop::keyed(1, 1, 1, Ask::Take { item: 1, count: 1 });
    assert_eq!(world.engine.refuse(&with_key), None, "a refusal under a key must stick");
}
