//! What happens when more comes than can be done, or the ground gives way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use maitred_engine::Unavailable;
use maitred_engine::engine::Bounds;
use maitred_engine::queue::{QUEUE_WAIT_MAX, RETRY_AFTER};

use crate::toy::shop::{Ask, ask};
use crate::world::{Ground, World, outcome};

const STOCK: Ask = Ask::Stock { item: 1, count: 1 };
const OVERLOADED: Unavailable = Unavailable::Overloaded { retry_after: RETRY_AFTER };

#[test]
fn a_tenant_in_a_rush_delays_another_by_about_a_turn() {
    let world = World::new();
    world.log.hold();
    let first = world.enter(ask(1, STOCK));
    world.log.wait_attempts(1);
    let second = world.enter(ask(1, STOCK));
    world.shop.wait_decided(2);
    let rush: Vec<_> = (0..10_000).map(|_| world.enter(ask(1, STOCK))).collect();
    let other = world.enter(ask(2, STOCK));
    world.log.release();
    assert_eq!(outcome(&world.wait(other)), Ok(1));
    for pending in [first, second].into_iter().chain(rush) {
        world.wait(pending).unwrap();
    }
    let before = world.log.tenants().iter().position(|tenant| *tenant == 2).unwrap();
    assert!((2..2 + 60).contains(&before), "it came after {before} others");
    world.check_view();
}

#[test]
fn what_does_not_fit_is_refused_at_once_and_let_in_when_there_is_room() {
    let bounds = Bounds { queue_bytes_max: 64 * 1024, ..Bounds::default() };
    let world = Ground { bounds, ..Ground::default() }.start();
    world.log.hold();
    let mut pending = vec![world.enter(ask(1, STOCK))];
    world.log.wait_attempts(1);
    let refused = loop {
        match world.engine.enter(ask(1, STOCK)) {
            Ok(let_in) => pending.push(let_in),
            Err(refused) => break refused,
        }
        assert!(pending.len() < 2_000, "a bound that does not bind");
    };
    assert_eq!(refused, OVERLOADED);
    pending.push(world.enter(ask(2, STOCK))); // one tenant's rush is not another's
    world.log.release();
    for pending in pending {
        world.wait(pending).unwrap();
    }
    assert_eq!(world.engine.queue_depth(), (0, 0));
    world.tell(STOCK).unwrap();
    world.check_view();
}

#[test]
fn what_waited_too_long_is_refused_instead_of_decided() {
    let world = World::new();
    world.log.hold();
    let under_way = world.enter(ask(1, STOCK));
    world.log.wait_attempts(1);
    let decided = world.enter(ask(1, STOCK));
    world.shop.wait_decided(2);
    let waits = world.enter(ask(1, STOCK));
    world.clock.pass(world.bounds.queue_wait_max + Duration::from_micros(1));
    assert_eq!(world.engine.enter(ask(2, STOCK)).map(drop), Err(OVERLOADED), "nobody comes for it");
    world.log.release();
    assert_eq!(world.wait(waits).map(drop), Err(OVERLOADED));
    assert_eq!([under_way, decided].map(|pending| outcome(&world.wait(pending))), [Ok(1), Ok(2)]);
    assert_eq!(world.tell(STOCK), Ok(3));
}

#[test]
fn a_clock_that_jumps_ahead_stops_writes_until_it_is_confirmed() {
    let world = World::new();
    world.tell(STOCK).unwrap();
    world.clock.jump(Duration::from_secs(61));
    for _ in 0..3 {
        assert_eq!(world.submit(ask(1, STOCK)).map(drop), Err(Unavailable::ClockSuspect));
    }
    assert_eq!(world.engine.view().seq(), 1, "reads go on");
    assert!(world.engine.confirm_clock().was_suspect());
    let answer = world.submit(ask(1, STOCK)).unwrap();
    assert_eq!(answer.timestamp, world.engine.now());
    world.check_view();
}

#[test]
fn an_overlay_that_cannot_be_flushed_is_bounded() {
    const BYTES_MAX: usize = 128 * 1024;
    let bounds = Bounds { layer_bytes_max: 1, overlay_bytes_max: BYTES_MAX, ..Bounds::default() };
    let world = Ground { bounds, ..Ground::default() }.start();
    world.store.hold();
    let mut item = 0;
    let refused = loop {
        item += 1;
        let command = Ask::Stock { item, count: 1 };
        if let Err(refused) = world.submit(ask(1, command)) {
            break refused;
        }
        assert!(item < 1_000, "the overlay grows without end: {} bytes", world.engine.overlay_bytes());
    };
    assert_eq!(refused, OVERLOADED);
    assert!(world.engine.overlay_bytes() < 3 * BYTES_MAX, "{}", world.engine.overlay_bytes());
    assert_eq!(world.store.committed(), 1, "the stamp of recovery alone");
    world.store.release();
    world.store.wait_committed(10);
    assert_eq!(world.submit(ask(1, STOCK)).map(drop), Ok(()), "there is room again");
    world.check_view();
}

#[test]
fn an_overlay_over_a_slow_store_settles_under_its_bound() {
    const BYTES_MAX: usize = 256 * 1024;
    const COMMANDS: u64 = 20_000;
    const AT_ONCE: usize = 64;
    // A layer a batch, and 3 ms a layer: unthrottled, batches come several times as fast.
    let bounds = Bounds { layer_bytes_max: 1, overlay_bytes_max: BYTES_MAX, ..Bounds::default() };
    let world = Ground { bounds, ..Ground::default() }.start();
    world.store.slow_down(Duration::from_millis(3));
    let (mut under_way, mut overlay_max, mut wait_max) = (VecDeque::new(), 0, Duration::ZERO);
    let mut settle = |under_way: &mut VecDeque<(Instant, _)>| {
        let Some((entered, pending)) = under_way.pop_front() else { return false };
        world.wait(pending).expect("nothing is refused");
        wait_max = wait_max.max(Instant::elapsed(&entered));
        overlay_max = overlay_max.max(world.engine.overlay_bytes());
        true
    };
    for n in 0..COMMANDS {
        under_way.push_back((Instant::now(), world.enter(ask(1, Ask::Stock { item: n % 8, count: 1 }))));
        if under_way.len() == AT_ONCE {
            settle(&mut under_way);
        }
    }
    while settle(&mut under_way) {}
    assert!(overlay_max > BYTES_MAX / 2, "it was never throttled: {overlay_max} bytes");
    // A busy machine lets the store sleep for longer than it is told: then it may go past its bound, but not far.
    assert!(overlay_max < BYTES_MAX / 4 * 5, "it went far past its bound: {overlay_max} bytes");
    assert!(world.engine.overlay_bytes() < BYTES_MAX, "it did not settle under its bound");
    assert!(wait_max < QUEUE_WAIT_MAX, "a command waited {wait_max:?}");
    world.check_view();
}
