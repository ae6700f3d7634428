//! The queue by itself, by a clock on paper.

use std::collections::VecDeque;
use std::time::Duration;

use maitred_engine::Unavailable;
use maitred_engine::batch::BATCH_COMMANDS_MAX;
use maitred_engine::queue::{Pending, Queue, Queued, RETRY_AFTER};

use crate::toy::shop::{Ask, Shop, ask};

const OVERLOADED: Unavailable = Unavailable::Overloaded { retry_after: RETRY_AFTER };
const SECOND: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// What a command counts as besides its own bytes.
const OVERHEAD: usize = 256;

fn queue() -> Queue<Shop> {
    Queue::new(64 * 1024 * 1024, WAIT_MAX)
}

fn push(queue: &Queue<Shop>, tenant: u32, bytes: usize, now: Duration) -> Result<Pending<Shop>, Unavailable> {
    let envelope = ask(tenant, Ask::Look { item: 0 });
    queue.push(maitred_engine::Envelope { bytes, ..envelope }, now)
}

/// Keeps the pending ends, so that nothing looks as if its sender had gone.
fn push_all(
    queue: &Queue<Shop>,
    tenant: u32,
    bytes: usize,
    count: usize,
    now: Duration,
) -> Vec<Pending<Shop>> {
    (0..count).map(|_| push(queue, tenant, bytes, now).expect("it is let in")).collect()
}

fn drain(queue: &Queue<Shop>, now: Duration) -> Vec<Queued<Shop>> {
    let mut out = VecDeque::new();
    queue.drain(&mut out, now);
    out.into()
}

fn tenants(queued: &[Queued<Shop>]) -> Vec<u32> {
    queued.iter().map(|queued| queued.envelope.tenant.0).collect()
}

#[test]
fn a_late_comer_waits_for_a_turn_however_long_the_other_line_is() {
    let queue = queue();
    let _rush = push_all(&queue, 1, 64, 10_000, Duration::ZERO);
    for round in 0..10 {
        let now = round * Duration::from_millis(10);
        assert_eq!(drain(&queue, now).len(), BATCH_COMMANDS_MAX);
        let _other = push(&queue, 2, 64, now).expect("there is room for another tenant");
        let taken = tenants(&drain(&queue, now));
        let before = taken.iter().position(|tenant| *tenant == 2).expect("it is taken with the next batch");
        assert!(before <= 16 * 1024 / (64 + OVERHEAD), "round {round}: behind {before} others");
    }
}

#[test]
fn two_tenants_are_served_the_same_bytes_whatever_the_size_of_their_commands() {
    let queue = queue();
    let sizes = [64, 9_000];
    let _small = push_all(&queue, 0, sizes[0], 20_000, Duration::ZERO);
    let _large = push_all(&queue, 1, sizes[1], 600, Duration::ZERO);
    let mut served = [0usize; 2];
    while served[1] < 500 * (sizes[1] + OVERHEAD) {
        for tenant in tenants(&drain(&queue, Duration::ZERO)) {
            served[tenant as usize] += sizes[tenant as usize] + OVERHEAD;
        }
        let ahead = served[0].abs_diff(served[1]);
        assert!(ahead <= 2 * 16 * 1024, "{ahead} bytes ahead: {served:?}");
    }
}

#[test]
fn a_command_larger_than_a_turn_is_served_all_the_same() {
    let queue = queue();
    let _huge = push(&queue, 1, 1024 * 1024, Duration::ZERO).unwrap();
    let _others = push_all(&queue, 2, 64, 10_000, Duration::ZERO);
    let drained = (0..10).find(|_| tenants(&drain(&queue, Duration::ZERO)).contains(&1));
    assert!(drained.is_some(), "it starves");
}

#[test]
fn a_command_may_wait_exactly_as_long_as_it_may() {
    let queue = queue();
    let mut pending = push(&queue, 1, 64, Duration::ZERO).unwrap();
    let in_time = push(&queue, 1, 64, Duration::from_micros(1)).unwrap();
    assert_eq!(drain(&queue, WAIT_MAX + Duration::from_micros(1)).len(), 1);
    assert_eq!(pending.try_recv().unwrap().map(drop), Err(OVERLOADED));
    drop(in_time);
    assert_eq!(queue.depth(), (0, 0));
}

#[test]
fn a_line_that_is_too_long_for_the_pace_takes_no_more_but_others_do() {
    let queue = queue();
    let _rush = push_all(&queue, 1, 64, 10_000, Duration::ZERO);
    // 512 commands in 200 ms: some 2,500 a second, so that two seconds' worth is some 5,000.
    let drained: usize = (1..=5).map(|n| drain(&queue, n * Duration::from_millis(200)).len()).sum();
    assert_eq!(drained, 5 * BATCH_COMMANDS_MAX);
    assert_eq!(push(&queue, 1, 64, SECOND).map(drop), Err(OVERLOADED));
    let _other = push(&queue, 2, 64, SECOND).expect("its turn comes soon");
    let mut now = SECOND;
    while queue.depth().0 > 2_500 {
        now += Duration::from_millis(200);
        drain(&queue, now);
    }
    let _again = push(&queue, 1, 64, now).expect("by now it would be served in time");
}

#[test]
fn a_burst_after_a_long_rest_is_not_mistaken_for_a_slow_server() {
    let queue = queue();
    drain(&queue, Duration::ZERO);
    let (hour, soon) = (3_600 * SECOND, 3_600 * SECOND + Duration::from_millis(5));
    let _burst = push_all(&queue, 1, 64, 4_000, hour);
    assert_eq!(drain(&queue, soon).len(), BATCH_COMMANDS_MAX);
    let _more = push(&queue, 1, 64, soon).expect("an hour of rest is not an hour of work");
}

#[test]
fn a_pace_that_was_slow_is_forgotten_when_nothing_waits() {
    let queue = queue();
    let _slow = push_all(&queue, 1, 64, 2_000, Duration::ZERO);
    drain(&queue, SECOND); // 512 a second: 2 seconds' worth are some 1,000
    assert_eq!(push(&queue, 1, 64, SECOND).map(drop), Err(OVERLOADED));
    while queue.depth().0 > 0 {
        drain(&queue, SECOND);
    }
    let _burst = push_all(&queue, 1, 64, 4_000, SECOND);
}

#[test]
fn a_queue_that_nobody_serves_takes_no_more() {
    let queue = queue();
    let _first = push(&queue, 1, 64, 5 * SECOND).unwrap();
    let _second = push(&queue, 2, 64, 5 * SECOND + WAIT_MAX).expect("the writer may still come");
    let late = 5 * SECOND + WAIT_MAX + Duration::from_micros(1);
    assert_eq!(push(&queue, 3, 64, late).map(drop), Err(OVERLOADED));
    drain(&queue, late);
    let _third = push(&queue, 3, 64, late).expect("the writer has come");
}

#[test]
fn one_tenant_cannot_take_the_room_of_all() {
    const BYTES_MAX: usize = 1024 * 1024;
    let queue = Queue::<Shop>::new(BYTES_MAX, WAIT_MAX);
    let mut pending = Vec::new();
    for tenant in 0..20 {
        let before = pending.len();
        pending.extend(std::iter::from_fn(|| push(&queue, tenant, 64, Duration::ZERO).ok()));
        assert!(pending.len() > before || tenant > 10, "there is no room for tenant {tenant}");
    }
    let (commands, bytes) = queue.depth();
    assert_eq!((commands, bytes), (pending.len(), pending.len() * (64 + OVERHEAD)));
    assert!((BYTES_MAX * 9 / 10..=BYTES_MAX).contains(&bytes), "{bytes}");
}

#[test]
fn what_was_displaced_goes_first_and_keeps_its_order() {
    let queue = queue();
    let _pending = [3, 1, 2].map(|tenant| push(&queue, tenant, 64, Duration::ZERO).unwrap());
    let taken = drain(&queue, Duration::ZERO);
    let _newer = push(&queue, 3, 64, Duration::ZERO).unwrap();
    queue.displace(taken);
    assert_eq!(tenants(&drain(&queue, WAIT_MAX * 2)), [3, 1, 2], "it is not refused for its age either");
}

#[test]
fn what_is_abandoned_is_answered_once() {
    let queue = queue();
    let pending = [1, 1, 2].map(|tenant| push(&queue, tenant, 64, Duration::ZERO).unwrap());
    let mut out = VecDeque::new();
    queue.drain(&mut out, Duration::ZERO);
    queue.displace(out.drain(..2));
    queue.abandon(&Unavailable::Unknown);
    assert_eq!(push(&queue, 1, 64, Duration::ZERO).map(drop), Err(Unavailable::Draining));
    assert_eq!(queue.depth(), (0, 0));
    assert!(!queue.wait(Duration::ZERO), "closed and empty");
    let mut told = pending.map(|mut pending| pending.try_recv().ok());
    told.sort_by_key(Option::is_none);
    assert_eq!(told.map(|told| told.map(|told| told.map(drop))), {
        [Some(Err(Unavailable::Unknown)), Some(Err(Unavailable::Unknown)), None]
    });
}
