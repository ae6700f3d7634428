//! Timers and consumers on their threads, behind an engine on its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use maitred_core::{Actor, At, ChangeId, Read, Recorded, Seq, TenantNumber, Timestamp};
use maitred_engine::background::{Background, Machine, Round};
use maitred_engine::batch::{GENESIS, RawFact, Sealed};
use maitred_engine::consumers::{
    self, ATTEMPTS_MAX, Bookkeeping, Consumer, ConsumerRunner, Hold, Note, Part, WINDOW_MAX,
};
use maitred_engine::engine::{Bounds, Parts, Threads};
use maitred_engine::log::{Appended, Log, LogError, LogReader, Tail};
use maitred_engine::queue::Reply;
use maitred_engine::recovery::{NoSnapshots, Recovery};
use maitred_engine::store::Store;
use maitred_engine::testing::{
    COMPLETION, Command, Completion, Fact, Orders, Status, is_parked, letters, status,
};
use maitred_engine::timers::{TimerRunner, UNDER_WAY_MAX};
use maitred_engine::{Engine, Envelope, Unavailable, View};

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

/// An engine on this log, with nothing behind it.
fn engine(log: &PlainLog, clock: &Arc<Hands>) -> (Engine<Orders>, Threads) {
    let store = Arc::new(ToyStore::default()) as Arc<dyn Store>;
    let (domain, snapshots) = (Arc::new(Orders), &NoSnapshots);
    let recovery = Recovery { domain: &*domain, log, store: &store, snapshots, partition: 0, boot: BOOT };
    let (published, _) = recovery.run().expect("what is there can be recovered");
    // Time passes here ten times as fast: on a busy machine a command would wait for too long, and be tried again.
    let bounds = Bounds { queue_wait_max: Duration::from_secs(3_600), ..Bounds::default() };
    let parts = Parts {
        domain,
        log: Box::new(log.clone()),
        store,
        published,
        clock: Arc::clone(clock) as _,
        partition: 0,
        seed: 1,
        on_broken: Box::new(|error| panic!("the engine gives up: {error}")),
    };
    Engine::start_within(bounds, parts)
}

fn start(log: PlainLog, clock: Arc<Hands>, consumed: Arc<Mutex<Vec<u64>>>) -> World {
    let (engine, threads) = engine(&log, &clock);
    let told = Arc::clone(&consumed);
    let consumer = Completion(move |_, order| told.lock().unwrap().push(order));
    let background = Background::start(&engine, vec![Arc::new(consumer) as Arc<dyn Consumer<Orders>>], 1);
    World { log, clock, consumed, engine, threads, background, runtime: runtime() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn place(tenant: u32, order: u64, holds_micros: Option<i64>) -> Envelope<Command> {
    let command = Command::Place(order, holds_micros);
    let (tenant, actor) = (TenantNumber(tenant), Actor::Anonymous);
    Envelope { tenant, actor, idempotency: None, bytes: 64, command }
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
        let envelope = place(TENANT.0, order, holds_micros);
        let answer = self.runtime.block_on(self.engine.submit(envelope)).expect("it is decided");
        assert!(answer.result.is_ok());
        answer.position.seq
    }

    /// Places an order. Returns where its fact stands: a note of the consumer may have come into its batch before it.
    fn place_at(&self, order: u64) -> ChangeId {
        let seq = self.place(order, None);
        let batches = self.log.read(seq, 1).expect("the batch is in the log");
        let items = batches[0].items().map(|item| item.expect("a sound item"));
        let facts = items.flat_map(|item| item.facts.clone());
        let is_it = |raw: RawFact<'_>| {
            Fact::decode(raw.kind, raw.version, raw.body).is_ok_and(|fact| fact == Fact::Placed(order, None))
        };
        let ordinal = facts.into_iter().position(is_it).expect("its fact");
        ChangeId { seq, ordinal: ordinal as u32 }
    }

    fn status(&self, order: u64) -> Option<Status> {
        status(&self.engine.view(), TENANT, order)
    }

    /// Waits until a published view is so. Lets time pass, so that waits come to their end.
    #[track_caller]
    fn wait_until(&self, is: impl Fn(&View) -> bool) {
        let mut published = self.engine.watch();
        let look = async {
            loop {
                published.mark_unchanged();
                if is(&self.engine.view()) {
                    return;
                }
                let a_while = Duration::from_millis(20);
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
    let place = world.place_at(2);
    world.wait_until(|view| Orders.cursor(view, COMPLETION) >= place);
    let world = world.restart();
    world.place(3, None);
    world.wait_until(|view| status(view, TENANT, 3) == Some(Status::Completed));
    assert_eq!(*world.consumed.lock().unwrap(), [1, 2, 3], "nothing before the cursor comes again");
    world.stop();
}

#[test]
fn what_cannot_be_done_is_put_aside_and_the_rest_goes_on() {
    let world = World::new();
    // Refused, not consumed, a bug in the rules, and a good one.
    let places = [7, 15, 31, 1].map(|order| world.place_at(order));
    world.wait_until(|view| status(view, TENANT, 1) == Some(Status::Completed));
    world.wait_until(|view| places[..3].iter().all(|place| is_parked(view, *place)));
    let tries = |order| world.consumed.lock().unwrap().iter().filter(|given| **given == order).count();
    assert_eq!(
        [7, 15, 31, 1].map(tries),
        [ATTEMPTS_MAX as usize, ATTEMPTS_MAX as usize, ATTEMPTS_MAX as usize, 1]
    );
    let [completion] = &world.engine.consumers()[..] else { panic!("there is one consumer") };
    world.wait_until(|_| completion.unfinished() == 0);
    let (facts, failures, parked) = (completion.facts(), completion.failures(), completion.parked());
    assert_eq!((facts, failures, parked), (4, 3 * u64::from(ATTEMPTS_MAX), 3));
    assert!(completion.done() >= places[3].seq);
    assert_eq!(completion.attempts(), 3 * u64::from(ATTEMPTS_MAX) + 1);
    world.stop();
}

#[test]
fn what_follows_a_dead_letter_waits_behind_it_until_somebody_decides() {
    let world = World::new();
    let poison = world.place_at(7);
    let behind = [world.place_at(8)]; // of the same key
    let other = world.place_at(9);
    world.wait_until(|view| is_parked(view, poison) && is_parked(view, behind[0]));
    world.wait_until(|view| status(view, TENANT, 9) == Some(Status::Completed));
    assert_eq!(world.status(8), Some(Status::Placed(None)), "it has overtaken nothing");
    world.wait_until(|view| Orders.cursor(view, COMPLETION) >= other);

    let operate = |command| {
        let (tenant, actor) = (TenantNumber::SYSTEM, Actor::ApiKey(1));
        let envelope = Envelope { tenant, actor, idempotency: None, bytes: 64, command };
        let answer = world.runtime.block_on(world.engine.submit(envelope)).expect("it is decided");
        assert!(answer.result.is_ok());
    };
    let tries = |order| world.consumed.lock().unwrap().iter().filter(|given| **given == order).count();
    operate(Command::TakeUp(behind[0])); // and what is before it
    world.wait_until(|_| tries(7) == 2 * ATTEMPTS_MAX as usize);
    world.wait_until(|view| letters(view).iter().all(|letter| !letter.taken_up));
    assert!(is_parked(&world.engine.view(), behind[0]), "it goes back with what is before it");
    assert_eq!(tries(8), 0);
    operate(Command::Discard(poison));
    operate(Command::TakeUp(behind[0]));
    world.wait_until(|view| status(view, TENANT, 8) == Some(Status::Completed) && letters(view).is_empty());
    world.stop();
}

/// The consumer of orders in three parts; what it was given is told, with from where.
struct InParts(Mutex<Vec<(u64, u64)>>);

impl Consumer<Orders> for InParts {
    fn name(&self) -> &'static str {
        COMPLETION
    }

    fn wants(&self, kind: u16) -> bool {
        Consumer::<Orders>::wants(&Completion(|_, _| ()), kind)
    }

    fn key(&self, fact: &Fact, at: At) -> Option<u128> {
        Consumer::<Orders>::key(&Completion(|_, _| ()), fact, at)
    }

    fn consume(&self, _: &dyn Read, _: &Fact, _: At) -> Result<Vec<Command>, String> {
        Err("it is consumed in parts".into())
    }

    fn consume_part(&self, view: &dyn Read, fact: &Fact, at: At, from: u64) -> Result<Part<Command>, String> {
        let told = |_, order| self.0.lock().unwrap().push((order, from));
        let commands = Consumer::<Orders>::consume(&Completion(told), view, fact, at)?;
        let is_last = from == 20;
        let next = (!is_last).then_some(from + 10);
        Ok(Part { commands: if is_last { commands } else { Vec::new() }, next })
    }
}

#[test]
fn what_is_done_in_parts_is_done_with_its_last_one_and_holds_back_its_key_alone() {
    let (log, clock) = (PlainLog::default(), Arc::new(Hands::default()));
    let (engine, threads) = engine(&log, &clock);
    let consumer = Arc::new(InParts(Mutex::default()));
    let background = Background::start(&engine, vec![Arc::clone(&consumer) as Arc<dyn Consumer<Orders>>], 1);
    let world =
        World { log, clock, consumed: Arc::default(), engine, threads, background, runtime: runtime() };
    // The first two are of one key.
    let places = [1, 2, 4].map(|order| world.place_at(order));
    world.wait_until(|view| Orders.cursor(view, COMPLETION) >= places[2]);
    assert_eq!([1, 2, 4].map(|order| world.status(order)), [Some(Status::Completed); 3]);
    let told = consumer.0.lock().unwrap().clone();
    let of_key: Vec<_> = told.iter().filter(|(order, _)| *order != 4).copied().collect();
    assert_eq!(of_key, [(1, 0), (1, 10), (1, 20), (2, 0), (2, 10), (2, 20)], "{told:?}");
    assert_eq!(told.len(), 9);
    let [status] = &world.engine.consumers()[..] else { panic!("there is one consumer") };
    assert_eq!((status.facts(), status.failures()), (3, 0));
    world.stop();
}

#[test]
fn a_tenant_with_more_failing_facts_than_the_window_holds_keeps_no_other_waiting() {
    let world = World::new();
    let poison = |number: u64| 8 * number + 7;
    let count = WINDOW_MAX as u64 + 500;
    let entered: Vec<_> = (0..count)
        .map(|number| world.engine.enter(place(TENANT.0, poison(number), None)).expect("it is let in"))
        .collect();
    for pending in entered {
        world.runtime.block_on(pending).expect("it is answered").expect("it is decided");
    }
    let last = world.runtime.block_on(world.engine.submit(place(2, 1, None))).expect("it is decided");
    let good = ChangeId { seq: last.position.seq, ordinal: 0 };
    let is_done = |view: &View| status(view, TenantNumber(2), 1) == Some(Status::Completed);
    world.wait_until(is_done);
    let put_aside = letters(&world.engine.view()).len() as u64;
    assert!(put_aside < count / 2, "{put_aside} were put aside before another tenant had its turn");
    assert!(Orders.cursor(&world.engine.view(), COMPLETION) < good, "what is not done is not passed");
    world.stop();
}

#[test]
fn a_runner_whose_consumer_another_one_has_claimed_stops_and_says_so() {
    let world = World::new();
    world.place(1, None);
    world.wait_until(|view| status(view, TENANT, 1) == Some(Status::Completed));
    let [first] = &world.engine.consumers()[..] else { panic!("there is one consumer") };
    assert!(!first.is_superseded());
    let epoch = Orders.standing(&world.engine.view(), COMPLETION).epoch;
    assert_eq!(epoch, 1);
    // Another node begins.
    let hold = Hold { consumer: COMPLETION, epoch: epoch + 1 };
    let command = Orders.note(hold, Note::Claim);
    let envelope = Envelope {
        tenant: TenantNumber::SYSTEM,
        actor: Actor::System,
        idempotency: None,
        bytes: 64,
        command,
    };
    let answer = world.runtime.block_on(world.engine.submit(envelope)).expect("it is decided");
    assert!(answer.result.is_ok());
    let cursor = Orders.cursor(&world.engine.view(), COMPLETION);
    world.place(2, None);
    world.wait_until(|_| first.is_superseded());
    assert!(Orders.cursor(&world.engine.view(), COMPLETION) <= cursor, "it has kept nothing any more");
    world.stop();
}

#[test]
fn a_batch_that_is_in_the_log_before_it_is_published_is_left_to_a_later_step() {
    let log = PlainLog::default();
    let (engine, threads) = engine(&log, &Arc::default());
    let before = engine.view();
    assert_eq!(before.seq(), 0, "nothing has been published");
    runtime()
        .block_on(engine.submit(place(1, 1, None)))
        .expect("it is decided")
        .result
        .expect("it is placed");
    assert_eq!(LogReader::tail(&log).0, 1);

    let consumer = Arc::new(Completion(|_, order| panic!("{order} is not published")));
    let (log, status) = (Arc::new(log) as _, Arc::new(consumers::Status::new("completion")));
    let mut runner = ConsumerRunner::new(Arc::new(Orders), consumer, log, status, &before, 1);
    let mut submit = |_: Envelope<Command>| panic!("there is nothing to do");
    let (now, monotonic) = (None, Duration::ZERO);
    let patience = runner.step(&mut Round { view: &before, now, monotonic, submit: &mut submit });
    assert!(patience > Duration::ZERO);
    threads.stop();
}

/// What a runner submits in one step. The answers are the test's to give.
fn step(
    runner: &mut TimerRunner<Orders>,
    view: &View,
    now: Option<Timestamp>,
    monotonic: Duration,
) -> Vec<(TenantNumber, Command, Reply<Orders>)> {
    let mut submitted = Vec::new();
    let mut submit = |Envelope { tenant, actor, command, .. }| {
        assert_eq!(actor, Actor::System);
        let (reply, pending) = tokio::sync::oneshot::channel();
        submitted.push((tenant, command, reply));
        Ok(pending)
    };
    runner.step(&mut Round { view, now, monotonic, submit: &mut submit });
    submitted
}

#[test]
fn due_commands_go_out_in_turns_once_each_and_again_when_they_were_not_taken() {
    let (engine, threads) = engine(&PlainLog::default(), &Arc::default());
    let rush = (0..300).map(|order| place(1, order, Some(1)));
    let orders = rush.chain((300..303).map(|order| place(2, order, Some(1))));
    let pending: Vec<_> = orders.map(|order| engine.enter(order).expect("it is let in")).collect();
    for pending in pending {
        runtime().block_on(pending).expect("it is answered").expect("it is decided");
    }
    let view = engine.view();
    let mut runner = TimerRunner::new(Arc::new(Orders), 1);
    let (later, start) = (Some(Timestamp::from_micros(i64::MAX - 1)), Duration::ZERO);
    assert_eq!(step(&mut runner, &view, None, start).len(), 0, "the clock is suspect");
    assert_eq!(step(&mut runner, &view, Some(Timestamp::default()), start).len(), 0, "nothing is due");

    let mut first = step(&mut runner, &view, later, start);
    assert_eq!(first.len(), UNDER_WAY_MAX);
    let tenants: Vec<u32> = first.iter().take(8).map(|(tenant, ..)| tenant.0).collect();
    assert_eq!(tenants, [1, 2, 1, 2, 1, 2, 1, 1]);
    assert_eq!(step(&mut runner, &view, later, start).len(), 0, "as many are under way as may be");

    let (tenant, refused, reply) = first.swap_remove(0);
    let _ = reply.send(Err(Unavailable::Draining));
    let next = step(&mut runner, &view, later, start);
    let [(_, other, _)] = &next[..] else { panic!("there is room for one: {}", next.len()) };
    assert!(*other != refused && first.iter().all(|(_, command, _)| command != other), "another one's turn");
    drop(next); // its answer is lost
    let hour = Duration::from_secs(3_600);
    let again = step(&mut runner, &view, later, hour);
    let again: Vec<_> = again.iter().map(|(of, command, _)| (*of, command)).collect();
    assert_eq!(again[0], (tenant, &refused), "it has waited long enough: {again:?}");
    drop(first); // every answer is lost
    let lost = step(&mut runner, &view, later, hour).len();
    assert!(lost > 0, "what else is due has its turn meanwhile");
    threads.stop();
}
