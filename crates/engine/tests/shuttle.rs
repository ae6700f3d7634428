//! The engine over many schedules of its threads, drawn by lot and by priority (PCT, Burckhardt 2010).
//!
//! Every lock, channel and wait of the engine and of the toy log and store below it is a place where any
//! other thread may go on. Checked: a view reads exactly as the log's fold at its batch and never goes
//! back; what is flushed lies between the overlay's base and its head; every batch is decided on exactly
//! the one before (the toy's facts say what was seen); nobody waits for ever (a deadlock fails the run).
//! Each rule of the protocol is also broken on purpose, and the breach must be found.
//!
//! Run with `cargo test --release -p maitred-engine --features shuttle --test shuttle`.

#[expect(dead_code, reason = "the tests on real threads use the rest")]
mod toy;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use maitred_core::{Seq, Timestamp};
use maitred_engine::batch::GENESIS;
use maitred_engine::committer::{Committed, Committer};
use maitred_engine::engine::{Bounds, Parts};
use maitred_engine::flusher::{self, Flusher};
use maitred_engine::meta::Schema;
use maitred_engine::overlay::Overlay;
use maitred_engine::publish::{Published, Shared};
use maitred_engine::queue::Queued;
use maitred_engine::store::Store;
use maitred_engine::sync::mpsc::{Receiver, SyncSender, sync_channel};
use maitred_engine::sync::{Mutex, thread};
use maitred_engine::writer::{Prepared, Writer};
use maitred_engine::{Engine, Envelope, Unavailable, View, meta};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use toy::clock::{Hands, START};
use toy::log::{Fate, ToyLog};
use toy::model::Map;
use toy::shop::{Ask, Shop, ask, said};
use toy::store::ToyStore;

/// How many schedules of each kind are tried where nothing may be found.
const SCHEDULES: usize = 15_000;
/// How many are tried at most until a breach is found.
const SCHEDULES_BROKEN: usize = 20_000;
/// How many switches against the priorities a PCT schedule makes.
const PCT_DEPTH: usize = 4;

/// A rule of the protocol that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    None,
    /// A batch is published before it is appended.
    PublishesEarly,
    /// The flusher drops its layer before the store has committed it.
    DropsEarly,
    /// A reader takes overlay and store as they come.
    ChecksNothing,
    /// A reader takes the store first, and only looks that it is not ahead of the overlay.
    IgnoresBase,
    /// A reader only looks that the store is not behind the overlay.
    IgnoresHead,
    /// The committer goes on in the old generation after it has followed another writer.
    KeepsGeneration,
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config
}

fn explore(scheduler: impl Scheduler + 'static, run: impl Fn() + Send + Sync + 'static) -> usize {
    Runner::new(scheduler, config()).run(run)
}

// ---- the protocol, with threads that can be made to break it ------------------------------------------

/// What the threads of the protocol share.
struct Ground {
    breach: Breach,
    log: Arc<ToyLog>,
    store: Arc<ToyStore>,
    shared: Arc<Shared>,
    /// Commands that lost their place.
    displaced: Mutex<VecDeque<Queued<Shop>>>,
    decided_all: Mutex<bool>,
}

fn queued(command: Ask) -> Queued<Shop> {
    let (reply, _) = tokio::sync::oneshot::channel();
    Queued { envelope: ask(1, command), reply, arrived: Duration::ZERO }
}

fn protocol(breach: Breach) {
    let log = ToyLog::new();
    let rival = Fate::Rival { tenant: 1, item: thread_rng().gen_range(0..3), left: Some(70) };
    let fates = [Fate::Good, Fate::Unknown { happens: true }, Fate::Determinate, rival, Fate::ThreeRivals];
    log.fates((0..5).map(|_| fates[thread_rng().gen_range(0..fates.len())]));
    let published =
        Published { overlay: Overlay::new(0), tail: (0, GENESIS), timestamp: Timestamp::default() };
    let ground = Arc::new(Ground {
        breach,
        log,
        store: Arc::default(),
        shared: Arc::new(Shared::new(published)),
        displaced: Mutex::default(),
        decided_all: Mutex::new(false),
    });
    let (to_committer, from_writer) = sync_channel(0);
    let spawn = |run: Box<dyn FnOnce(&Ground) + Send>| {
        let ground = Arc::clone(&ground);
        thread::spawn(move || run(&ground))
    };
    let threads = [
        spawn(Box::new(move |ground| write(ground, &to_committer))),
        spawn(Box::new(move |ground| commit(ground, &from_writer))),
        spawn(Box::new(flush)),
        spawn(Box::new(read)),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    check(&ground, &take(&ground));
    assert_eq!(ground.shared.published().seq(), ground.log.seq());
}

fn write(ground: &Ground, committer: &SyncSender<Prepared<Shop>>) {
    let store = Arc::clone(&ground.store) as Arc<dyn Store>;
    let layer_bytes_max = if thread_rng().gen_bool(0.5) { 1 } else { usize::MAX };
    let mut writer = Writer::new(Arc::new(Shop::default()), store, Arc::clone(&ground.shared), 0, 1)
        .with_layer_bytes_max(layer_bytes_max);
    let commands = [
        Ask::Stock { item: 0, count: 5 },
        Ask::Stock { item: 1, count: 5 },
        Ask::Take { item: 0, count: 1 },
        Ask::Clear { item: 1 },
        Ask::Stock { item: 2, count: 5 },
    ];
    let mut waiting: VecDeque<_> = commands.map(queued).into();
    let wall = Timestamp::from_micros(START);
    loop {
        writer.catch_up();
        let displaced = ground.displaced.lock().unwrap().pop_front();
        if let Some(next) = displaced.or_else(|| waiting.pop_front()) {
            let mut next = VecDeque::from([next]);
            if let Some(prepared) = writer.try_decide(&mut next, wall) {
                committer.send(prepared).unwrap();
            }
            waiting.extend(next);
            if thread_rng().gen_bool(0.3) {
                writer.fill();
            }
        } else {
            writer.fill();
            let nothing = writer.decide(&mut VecDeque::new(), wall);
            committer.send(nothing).unwrap();
            if ground.displaced.lock().unwrap().is_empty() {
                return;
            }
        }
    }
}

fn commit(ground: &Ground, from_writer: &Receiver<Prepared<Shop>>) {
    let store = Arc::clone(&ground.store) as Arc<dyn Store>;
    let shared = Arc::clone(&ground.shared);
    let mut committer = Committer::new(Arc::new(Shop::default()), ground.log.handle(), store, shared);
    while let Ok(mut prepared) = from_writer.recv() {
        if ground.breach == Breach::PublishesEarly && prepared.generation == ground.shared.generation() {
            ground.shared.publish(prepared.overlay.clone(), prepared.tail, prepared.timestamp);
        }
        if ground.breach == Breach::KeepsGeneration {
            prepared.generation = ground.shared.generation();
        }
        loop {
            match committer.commit(prepared).expect("the log is sound") {
                Committed::Done | Committed::Refused => break,
                Committed::Displaced(queued) => break ground.displaced.lock().unwrap().extend(queued),
                Committed::Unknown(again) => prepared = *again,
            }
        }
    }
    *ground.decided_all.lock().unwrap() = true;
}

fn flush(ground: &Ground) {
    let flusher = Flusher::new(Arc::clone(&ground.shared), Arc::clone(&ground.store), Schema::of::<Shop>());
    loop {
        let last = *ground.decided_all.lock().unwrap();
        let oldest = ground.shared.published().overlay.oldest_full().cloned();
        match oldest {
            None if last => return,
            None => thread::yield_now(),
            Some(layer) if ground.breach == Breach::DropsEarly => {
                ground.shared.flushed(layer.tail.0);
                flusher::write(&*ground.store, &layer, Schema::of::<Shop>()).unwrap();
            }
            Some(layer) => assert_eq!(flusher.step(), Ok(Some(layer.tail.0))),
        }
    }
}

fn read(ground: &Ground) {
    let mut last = 0;
    for _ in 0..4 {
        let view = take(ground);
        assert!(last <= view.seq(), "a reader is thrown back from batch {last} to {}", view.seq());
        last = view.seq();
        check(ground, &view);
    }
}

fn take(ground: &Ground) -> View {
    let store = &*ground.store;
    let flushed = |snapshot: &dyn maitred_core::Read| meta::flushed(snapshot).map_or(0, |is| is.tail.0);
    match ground.breach {
        Breach::ChecksNothing => View::unchecked(0, ground.shared.published(), store.snapshot()),
        Breach::IgnoresBase => loop {
            let snapshot = store.snapshot();
            let published = ground.shared.published();
            if flushed(&*snapshot) <= published.seq() {
                return View::unchecked(0, published, snapshot);
            }
        },
        Breach::IgnoresHead => loop {
            let published = ground.shared.published();
            let snapshot = store.snapshot();
            if published.overlay.base() <= flushed(&*snapshot) {
                return View::unchecked(0, published, snapshot);
            }
        },
        _ => View::take(0, || ground.shared.published(), store),
    }
}

/// A view reads as the log's fold at its batch, and both ends of what was flushed hold.
fn check(ground: &Ground, view: &View) {
    let seq = view.seq();
    assert!(seq <= ground.log.seq(), "I5: batch {seq} is seen before it is in the log");
    assert_eq!(Map::of(view), *ground.log.view(seq), "I4: the view at batch {seq}");
    // In this order the base cannot be ahead of what is flushed, in the other the head not behind it.
    let base = ground.shared.published().overlay.base();
    let flushed = meta::flushed(&*ground.store.snapshot()).map_or(0, |flushed| flushed.tail.0);
    let head = ground.shared.published().seq();
    assert!((base..=head).contains(&flushed), "{base} <= {flushed} <= {head}");
}

#[test]
fn every_view_is_the_logs_fold_at_its_batch() {
    explore(RandomScheduler::new(SCHEDULES), || protocol(Breach::None));
    explore(PctScheduler::new(PCT_DEPTH, SCHEDULES), || protocol(Breach::None));
}

/// Explores until the breach is found, which must be for the reason it is there for.
fn check_found(breach: Breach, reasons: &[&str]) {
    let scheduler = PctScheduler::new_from_seed(1, PCT_DEPTH, SCHEDULES_BROKEN);
    let explored = catch_unwind(AssertUnwindSafe(|| explore(scheduler, move || protocol(breach))));
    let Err(panic) = explored else { panic!("{breach:?} is not found in {SCHEDULES_BROKEN} schedules") };
    let text = panic.downcast_ref::<String>().map_or("no text", String::as_str);
    assert!(
        reasons.iter().any(|reason| text.contains(reason)),
        "{breach:?} is found for another reason: {text}"
    );
}

#[test]
fn a_batch_that_is_published_before_it_is_appended_is_found() {
    check_found(Breach::PublishesEarly, &["I5: batch", "the log is sound: Regressed"]);
}

#[test]
fn a_layer_that_is_dropped_before_the_store_has_it_is_found() {
    check_found(Breach::DropsEarly, &["I2: ", "<= "]);
}

#[test]
fn a_reader_that_checks_nothing_is_found() {
    check_found(Breach::ChecksNothing, &["I4: the view"]);
}

#[test]
fn a_reader_that_ignores_the_base_is_found() {
    check_found(Breach::IgnoresBase, &["I4: the view"]);
}

#[test]
fn a_reader_that_ignores_the_head_is_found() {
    check_found(Breach::IgnoresHead, &["I4: the view"]);
}

#[test]
fn a_committer_that_keeps_its_generation_is_found() {
    check_found(Breach::KeepsGeneration, &["the log is sound: Regressed"]);
}

// ---- the whole engine ---------------------------------------------------------------------------------

/// Clients, a reader and one who stops it all, on the engine's own threads.
fn engine() {
    let log = ToyLog::new();
    let rival = Fate::Rival { tenant: 9, item: 1, left: Some(1) };
    let fates = [Fate::Good, Fate::Good, Fate::Full, Fate::Unknown { happens: false }, rival];
    log.fates((0..4).map(|_| fates[thread_rng().gen_range(0..fates.len())]));
    let store = Arc::new(ToyStore::default());
    let published =
        Published { overlay: Overlay::new(0), tail: (0, GENESIS), timestamp: Timestamp::default() };
    let parts = Parts {
        domain: Arc::new(Shop::default()),
        log: log.handle(),
        store: Arc::clone(&store) as Arc<dyn Store>,
        published,
        clock: Arc::new(Hands::default()),
        partition: 0,
        seed: 1,
        on_broken: Box::new(|error| panic!("the engine gives up: {error}")),
    };
    let bounds = Bounds { layer_bytes_max: 1, ..Bounds::default() };
    let (engine, threads) = Engine::start_within(bounds, parts);
    let clients = [1, 2].map(|tenant| {
        let engine = engine.clone();
        thread::spawn(move || client(&engine, tenant))
    });
    let reader = {
        let (engine, log) = (engine.clone(), Arc::clone(&log));
        thread::spawn(move || {
            let mut last = 0;
            for _ in 0..3 {
                last = see(&engine.view(), &log, last);
            }
        })
    };
    if thread_rng().gen_bool(0.5) {
        engine.drain(); // at any moment, as far as the clients can tell
    }
    let accepted = clients.map(|client| client.join().unwrap());
    threads.stop();
    reader.join().unwrap();
    see(&engine.view(), &log, log.seq());
    for (tenant, accepted) in (1..).zip(accepted) {
        let items: Vec<u64> = log.facts(tenant).iter().map(|(item, _)| *item).collect();
        assert_eq!(items, accepted, "tenant {tenant}: what was accepted, in the order of arrival");
    }
}

/// Enters three commands, then waits for their answers. Returns the items of those that were accepted.
fn client(engine: &Engine<Shop>, tenant: u32) -> Vec<u64> {
    let stock = |item| -> Envelope<Ask> { ask(tenant, Ask::Stock { item, count: 1 }) };
    let entered = [1, 2, 3].map(|item| (item, engine.enter(stock(item))));
    let mut accepted = Vec::new();
    for (item, entered) in entered {
        let answer = entered.and_then(|pending| shuttle::future::block_on(pending).expect("it is answered"));
        match answer {
            Ok(answer) => {
                assert_eq!(said(&answer), Ok(1));
                assert!(
                    answer.position.seq <= engine.view().seq(),
                    "an answer is published before it is given"
                );
                accepted.push(item);
            }
            Err(Unavailable::DiskFull | Unavailable::Draining) => {}
            Err(other) => panic!("a sound log made the engine say: {other}"),
        }
    }
    accepted
}

fn see(view: &View, log: &ToyLog, last: Seq) -> Seq {
    assert!(last <= view.seq(), "a reader is thrown back from batch {last} to {}", view.seq());
    assert!(view.seq() <= log.seq(), "I5: batch {} is seen before it is in the log", view.seq());
    assert_eq!(Map::of(view), *log.view(view.seq()), "I4: the view at batch {}", view.seq());
    view.seq()
}

#[test]
fn an_engine_answers_everybody_in_order_and_comes_to_its_end() {
    explore(RandomScheduler::new(SCHEDULES), engine);
    explore(PctScheduler::new(PCT_DEPTH, SCHEDULES), engine);
}
