//! Timers and consumers on their threads, behind an engine on its own.

use std::sync::{Arc, Mutex};

use maitred_core::{Actor, ChangeId, Seq, TenantNumber};
use maitred_engine::background::Background;
use maitred_engine::batch::{GENESIS, Sealed};
use maitred_engine::consumers::{ATTEMPTS_MAX, Bookkeeping, Consumer};
use maitred_engine::engine::{Parts, Threads};
use maitred_engine::log::{Appended, Log, LogError, LogReader, Tail};
use maitred_engine::recovery::{NoSnapshots, Recovery};
use maitred_engine::store::Store;
use maitred_engine::testing::{COMPLETION, Command, Completion, Orders, Status, is_parked, status};
use maitred_engine::{Engine, Envelope, View};

use crate::toy::HANGS;
use crate::toy::clock::Hands;
use crate::toy::store::ToyStore;
use crate::world::BOOT;

const TENANT: TenantNumber = TenantNumber(1);

/// Nothing but its batches.
#[derive(Clone, Default)]
struct PlainLog(Arc<Mutex<Vec<Sealed>>>);

impl LogReader for PlainLog {
    fn read(&self, from: Seq, _: usize) -> Result<Vec<Sealed>, LogError> {
        Ok(self.0.lock().unwrap().iter().skip(from as usize - 1).take(2).cloned().collect())
    }

    fn tail(&self) -> Tail {
        self.0.lock().unwrap().last().map_or((0, GENESIS), |last| (last.header.seq, last.hash))
    }
}

impl Log for PlainLog {
    fn tail(&self) -> Tail {
        LogReader::tail(self)
    }

    fn append_if(&mut self, _: Tail, batch: &Sealed) -> Result<Appended, LogError> {
        self.0.lock().unwrap().push(batch.clone());
        Ok(Appended::Committed)
    }

    fn confirm(&mut self, _: Tail) -> Result<(), LogError> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(self.clone())
    }
}

/// What survives a server, and the server.
struct World {
    log: PlainLog,
    clock: Arc<Hands>,
    /// What the consumer was given, over all servers.
    consumed: Arc<Mutex<Vec<u64>>>,
    engine: Engine<Orders>,
    threads: Threads,
    background: Background,
    runtime: tokio::runtime::Runtime,
}

fn start(log: PlainLog, clock: Arc<Hands>, consumed: Arc<Mutex<Vec<u64>>>) -> World {
    let store = Arc::new(ToyStore::default()) as Arc<dyn Store>;
    let (domain, snapshots) = (Arc::new(Orders), &NoSnapshots);
    let recovery =
        Recovery { domain: &*domain, log: &log, store: &store, snapshots, partition: 0, boot: BOOT };
    let (published, _) = recovery.run().expect("what is there can be recovered");
    let (engine, threads) = Engine::start(Parts {
        domain,
        log: Box::new(log.clone()),
        store,
        published,
        clock: Arc::clone(&clock) as _,
        partition: 0,
        seed: 1,
        on_broken: Box::new(|error| panic!("the engine gives up: {error}")),
    });
    let told = Arc::clone(&consumed);
    let consumer = Completion(move |_, order| told.lock().unwrap().push(order));
    let background = Background::start(&engine, vec![Arc::new(consumer) as Arc<dyn Consumer<Orders>>], 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    World { log, clock, consumed, engine, threads, background, runtime }
}

impl World {
    fn new() -> Self {
        start(PlainLog::default(), Arc::default(), Arc::default())
    }

    /// The server ends, and another one begins on what is left.
    fn restart(self) -> Self {
        let World { log, clock, consumed, threads, background, .. } = self;
        background.stop();
        threads.stop();
        start(log, clock, consumed)
    }

    /// Places an order. Returns the batch.
    fn place(&self, order: u64, holds_micros: Option<i64>) -> Seq {
        let command = Command::Place(order, holds_micros);
        let envelope =
            Envelope { tenant: TENANT, actor: Actor::Anonymous, idempotency: None, bytes: 64, command };
        let answer = self.runtime.block_on(self.engine.submit(envelope)).expect("it is decided");
        assert!(answer.result.is_ok());
        answer.position.seq
    }

    fn status(&self, order: u64) -> Option<Status> {
        status(&self.engine.view(), TENANT, order)
    }

    /// Waits until a published view is so. Lets time pass, so that waits come to their end.
    fn wait_until(&self, is: impl Fn(&View) -> bool) {
        let mut published = self.engine.watch();
        let look = async {
            loop {
                published.mark_unchanged();
                if is(&self.engine.view()) {
                    return;
                }
                let a_while = std::time::Duration::from_millis(20);
                let _ = tokio::time::timeout(a_while, published.changed()).await;
                self.clock.pass(a_while * 10);
            }
        };
        let waited = self.runtime.block_on(async { tokio::time::timeout(HANGS, look).await });
        waited.expect("what the test waits for does not come");
    }

    fn stop(self) {
        self.background.stop();
        self.threads.stop();
    }
}

#[test]
fn orders_are_completed_and_holds_expire_by_themselves() {
    let world = World::new();
    for order in 0..5 {
        world.place(order, None);
    }
    let hour = 3_600_000_000;
    world.place(5, Some(1_000));
    world.place(6, Some(hour));
    world.wait_until(|view| (0..5).all(|order| status(view, TENANT, order) == Some(Status::Completed)));
    world.wait_until(|view| status(view, TENANT, 5) == Some(Status::Expired));
    assert!(matches!(world.status(6), Some(Status::Placed(Some(_)))), "its time has not come");
    world.stop();
}

#[test]
fn a_consumer_goes_on_behind_its_cursor_after_a_restart() {
    let world = World::new();
    world.place(1, None);
    let seq = world.place(2, None);
    world.wait_until(|view| Orders.cursor(view, COMPLETION) >= ChangeId { seq, ordinal: 0 });
    let world = world.restart();
    world.place(3, None);
    world.wait_until(|view| status(view, TENANT, 3) == Some(Status::Completed));
    assert_eq!(*world.consumed.lock().unwrap(), [1, 2, 3], "nothing before the cursor comes again");
    world.stop();
}

#[test]
fn what_cannot_be_done_is_put_aside_and_the_rest_goes_on() {
    let world = World::new();
    for order in [7, 15, 31, 1] {
        world.place(order, None); // refused, not consumed, a bug in the rules, and a good one
    }
    world.wait_until(|view| status(view, TENANT, 1) == Some(Status::Completed));
    world.wait_until(|view| (1..=3).all(|seq| is_parked(view, ChangeId { seq, ordinal: 0 })));
    let tries = |order| world.consumed.lock().unwrap().iter().filter(|given| **given == order).count();
    assert_eq!(
        [7, 15, 31, 1].map(tries),
        [ATTEMPTS_MAX as usize, ATTEMPTS_MAX as usize, ATTEMPTS_MAX as usize, 1]
    );
    let [completion] = &world.engine.consumers()[..] else { panic!("there is one consumer") };
    world.wait_until(|_| completion.unfinished() == 0);
    let (facts, failures, parked) = (completion.facts(), completion.failures(), completion.parked());
    assert_eq!((facts, failures, parked), (4, 3 * u64::from(ATTEMPTS_MAX), 3));
    assert!(completion.done() >= 4);
    world.stop();
}
