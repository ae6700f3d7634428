//! What happens by itself, under faults: the real timers and consumers on the real engine, with crashes at any step.
//!
//! The rules are the engine's own small shop (`maitred_engine::testing`): holds expire by timers, orders are
//! completed by a consumer, and some orders cannot be completed at all.
//!
//! Checked after every commit: no hold expires before its time by the log's own clock; the kept cursor passes no
//! fact that is neither done nor put aside. Checked at the end, after all faults have healed: every hold whose
//! time has come has expired, every order is completed or put aside, every fact was given to the consumer at
//! least once, and then nothing more is written.

mod rules;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maitred_core::{Actor, At, ChangeId, Read, Recorded, TenantNumber, Timestamp};
use maitred_engine::background::{Machine, Round};
use maitred_engine::clock::{Clock, ClockGuard};
use maitred_engine::committer::{Committed, Committer};
use maitred_engine::consumers::{Bookkeeping, ConsumerRunner, Status};
use maitred_engine::flusher::Flusher;
use maitred_engine::log::{Log, LogError, LogReader};
use maitred_engine::meta::Schema;
use maitred_engine::publish::Shared;
use maitred_engine::queue::{Queue, Queued};
use maitred_engine::recovery::{NoSnapshots, Recovery};
use maitred_engine::store::Store;
use maitred_engine::testing::{
    self, COMPLETION, Changed, Command, Completion, Fact, Orders, is_parked, is_poison,
};
use maitred_engine::timers::TimerRunner;
use maitred_engine::view_hash::ViewHash;
use maitred_engine::writer::{Prepared, Writer};
use maitred_engine::{Envelope, Unavailable, View};
use maitred_storage::log_file::{FileLog, Options};
use maitred_storage::view_memory::MemoryStore;

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::random::Random;
use crate::report::Report;

pub use rules::Breach;
use rules::Rules;

/// How many orders are in the log of a run at least.
pub const ORDERS_MIN: u64 = 150;
/// How many faults strike in a run at least.
pub const FAULTS_MIN: u64 = 5;
/// What a set of runs must have met at least once.
pub const EXPECTED: &[&str] = &[
    "consumed again after a crash",
    "fault: clock back",
    "fault: clock far ahead",
    "fault: disk full",
    "fault: power cut",
    "fault: process killed",
    "order: completed",
    "order: expired",
    "order: put aside",
    "refused: clock suspect",
    "refused: overloaded",
    "start: behind a kept cursor",
    "timer: too early by the log's time",
];
const TENANTS: u64 = 3;
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// After this many steps a run that has not come to its end is stuck: something is never done.
const STEPS_MAX: u64 = 100_000;
/// After this many steps without a new batch everything is at rest.
const REST_STEPS: u64 = 300;

type Result<T = ()> = std::result::Result<T, String>;

/// Runs `seed` to its end. Equal for two runs of one seed.
///
/// # Errors
/// What a checker found, with the step.
pub fn run(seed: u64, breach: Breach) -> Result<(Report, blake3::Hash)> {
    let mut world = World::new(seed, breach);
    while !world.is_at_rest() {
        if world.steps >= STEPS_MAX {
            let unfinished = world.unfinished();
            return Err(format!("step {}: never done: {unfinished:?}; {:?}", world.steps, world.report));
        }
        world.step().map_err(|what| format!("step {}: {what}", world.steps))?;
    }
    world.finish().map_err(|what| format!("at the end: {what}"))
}

/// A process on the simulated machine.
struct Node {
    queue: Queue<Rules>,
    waiting: VecDeque<Queued<Rules>>,
    writer: Writer<Rules>,
    prepared: VecDeque<Prepared<Rules>>,
    committer: Committer<Rules>,
    flusher: Flusher,
    shared: Arc<Shared>,
    reader: Arc<dyn LogReader>,
    guard: ClockGuard,
    timers: TimerRunner<Rules>,
    consumer: ConsumerRunner<Rules>,
}

/// An order as the log has it.
#[derive(Debug, Clone, Copy)]
struct Placed {
    tenant: TenantNumber,
    order: u64,
    holds_until: Option<Timestamp>,
}

/// How often each fact was given to the consumer.
type Consumed = Arc<Mutex<BTreeMap<ChangeId, u64>>>;

struct World {
    random: Random,
    rules: Arc<Rules>,
    disk: SimDisk,
    clock: Arc<SimClock>,
    store: Arc<dyn Store>,
    boot: u64,
    node: Option<Node>,
    options: Options,
    /// How the next crash ends: what a power cut keeps, or a killed process.
    power_cut: Option<u64>,
    orders: u64,
    placed: BTreeMap<ChangeId, Placed>,
    consumed: Consumed,
    /// Up to this batch the log was looked at.
    seen: u64,
    /// When the last batch was seen.
    seen_at: u64,
    report: Report,
    steps: u64,
    healed: bool,
}

impl World {
    fn new(seed: u64, breach: Breach) -> Self {
        let mut random = Random::new(seed);
        let segment_bytes = 512 * random.between(16, 256);
        World {
            rules: Arc::new(Rules(breach)),
            disk: SimDisk::default(),
            clock: Arc::new(SimClock::new(START)),
            store: Arc::new(MemoryStore::new()),
            boot: 0,
            node: None,
            options: Options { log: 0, segment_bytes, free_bytes_min: 0 },
            power_cut: None,
            orders: 0,
            placed: BTreeMap::new(),
            consumed: Consumed::default(),
            seen: 0,
            seen_at: 0,
            report: Report::default(),
            steps: 0,
            healed: false,
            random,
        }
    }

    fn is_at_rest(&self) -> bool {
        self.healed
            && self.node.is_some()
            && self.steps > self.seen_at + REST_STEPS
            && self.unfinished().is_empty()
    }

    fn step(&mut self) -> Result {
        self.steps += 1;
        if self.placed.len() as u64 >= ORDERS_MIN && self.report.faults() >= FAULTS_MIN && !self.healed {
            self.heal();
        }
        if self.node.is_none() {
            return self.start();
        }
        match self.random.below(100) {
            0..14 if !self.healed => self.place(),
            0..32 => self.decide(),
            32..50 => self.commit()?,
            50..54 => self.flush()?,
            54..68 => self.step_timers(),
            68..86 => self.step_consumer(),
            86..96 => self.clock.advance(Duration::from_micros(self.random.below(1_000_000))),
            _ if self.healed => {}
            _ => self.strike(),
        }
        if self.disk.is_down() { self.crash() } else { Ok(()) }
    }

    /// From here on nothing goes wrong, and everything must be done.
    fn heal(&mut self) {
        self.healed = true;
        self.disk.set_faults(|faults| {
            faults.down_after = None;
            faults.free_bytes = u64::MAX;
        });
        if let Some(node) = &mut self.node {
            node.guard.confirm(&*self.clock);
        }
    }

    fn strike(&mut self) {
        let random = &mut self.random;
        match random.below(12) {
            0..3 => {
                let after = random.below(8);
                self.disk.set_faults(|faults| faults.down_after = Some(after));
            }
            3..5 => {
                let after = random.below(8);
                self.power_cut = Some(*random.pick(&[0, 1, 4, 7, 8]));
                self.disk.set_faults(|faults| faults.down_after = Some(after));
            }
            5 => {
                self.report.count("fault: disk full");
                self.disk.set_faults(|faults| faults.free_bytes = 0);
            }
            6..8 => self.disk.set_faults(|faults| faults.free_bytes = u64::MAX),
            8..10 => {
                self.report.count("fault: clock back");
                self.clock.jump(-(random.below(20_000_000) as i64));
            }
            10 => {
                self.report.count("fault: clock far ahead");
                self.clock.jump(random.between(61, 600) as i64 * 1_000_000);
            }
            _ => {
                if let Some(node) = &mut self.node {
                    node.guard.confirm(&*self.clock);
                }
            }
        }
    }

    fn crash(&mut self) -> Result {
        self.node = None;
        match self.power_cut.take() {
            Some(keep_of_8) => {
                self.report.count("fault: power cut");
                self.disk.cut_power(&mut self.random, keep_of_8);
                self.boot += 1;
            }
            None => {
                self.report.count("fault: process killed");
                self.disk.restart_process();
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result {
        let opened = match FileLog::open(self.disk.clone(), self.options) {
            Ok(opened) => opened,
            Err(_) if self.disk.is_down() => return self.crash(),
            Err(LogError::Full(_)) => {
                self.disk.set_faults(|faults| faults.free_bytes = u64::MAX);
                return Ok(());
            }
            Err(error) => return Err(format!("the log does not open: {error}")),
        };
        let log = opened.log;
        let reader = log.reader();
        let recovery = Recovery {
            domain: &*self.rules,
            log: &*reader,
            store: &self.store,
            snapshots: &NoSnapshots,
            partition: 0,
            boot: &self.boot.to_be_bytes(),
        };
        let published = match recovery.run() {
            Ok((published, _)) => published,
            Err(_) if self.disk.is_down() => return self.crash(),
            Err(error) => return Err(format!("recovery fails: {error}")),
        };
        let shared = Arc::new(Shared::new(published));
        let (rules, store) = (Arc::clone(&self.rules), Arc::clone(&self.store));
        let seed = self.random.bits();
        let view = View::take(0, || shared.published(), &*store);
        if rules.cursor(&view, COMPLETION) > ChangeId::default() {
            self.report.count("start: behind a kept cursor");
        }
        let consumed = Arc::clone(&self.consumed);
        let consumer = Completion(move |at: At, _| {
            let place = ChangeId { seq: at.seq, ordinal: at.ordinal };
            *consumed.lock().expect("the simulation has one thread").entry(place).or_default() += 1;
        });
        let status = Arc::new(Status::new(COMPLETION));
        let (log_reader, domain) = (Arc::clone(&reader), Arc::clone(&rules));
        let consumer = ConsumerRunner::new(domain, Arc::new(consumer), log_reader, status, &view, seed);
        self.node = Some(Node {
            queue: Queue::new(8 * 1024, Duration::from_secs(60)),
            waiting: VecDeque::new(),
            writer: Writer::new(Arc::clone(&rules), Arc::clone(&store), Arc::clone(&shared), 0, seed.into())
                .with_layer_bytes_max(2 * 1024),
            prepared: VecDeque::new(),
            committer: Committer::new(
                Arc::clone(&rules),
                Box::new(log),
                Arc::clone(&store),
                Arc::clone(&shared),
            ),
            flusher: Flusher::new(Arc::clone(&shared), store, Schema::of::<Rules>()),
            shared,
            reader,
            guard: ClockGuard::new(&*self.clock),
            timers: TimerRunner::new(rules, seed),
            consumer,
        });
        self.look()
    }

    // ---- the node's steps -----------------------------------------------------------------------------

    /// A client places an order, and does not wait for the answer.
    fn place(&mut self) {
        let Some(node) = &self.node else { return };
        let tenant = TenantNumber(1 + self.random.below(TENANTS) as u32);
        let holds = self.random.chance(1, 2).then(|| self.random.below(20_000_000) as i64);
        let command = Command::Place(self.orders, holds);
        let envelope = Envelope { tenant, actor: Actor::Anonymous, idempotency: None, bytes: 64, command };
        if node.queue.push(envelope, self.clock.monotonic()).is_ok() {
            self.orders += 1;
        }
    }

    fn decide(&mut self) {
        let Some(node) = &mut self.node else { return };
        if node.prepared.len() >= 2 {
            return;
        }
        if node.waiting.is_empty() {
            node.queue.drain(&mut node.waiting, self.clock.monotonic());
        }
        let Some(wall) = node.guard.read(&*self.clock) else {
            for queued in node.waiting.drain(..) {
                self.report.count("refused: clock suspect");
                let _ = queued.reply.send(Err(Unavailable::ClockSuspect));
            }
            return;
        };
        let prepared = node.writer.decide(&mut node.waiting, wall);
        for decided in &prepared.decided {
            let is_timer = matches!(decided.queued.envelope.command, Command::Expire(_));
            if is_timer && decided.answer.as_ref().is_ok_and(|answer| answer.result == Ok(Changed(false))) {
                self.report.count("timer: too early by the log's time");
            }
        }
        node.prepared.push_back(prepared);
    }

    fn commit(&mut self) -> Result {
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(prepared) = node.prepared.pop_front() else { return Ok(()) };
        match node.committer.commit(prepared) {
            Ok(Committed::Done | Committed::Refused) => {}
            Ok(Committed::Displaced(queued)) => node.queue.displace(queued),
            Ok(Committed::Unknown(_)) => return Err("a file knows what became of an append".into()),
            Err(_) if self.disk.is_down() => return Ok(()),
            Err(error) => return Err(format!("a healthy disk made the log say: {error}")),
        }
        if self.disk.is_down() {
            return Ok(());
        }
        self.look()
    }

    fn flush(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        node.flusher.step().map(drop).map_err(|error| format!("the store fails: {error}"))
    }

    fn step_timers(&mut self) {
        self.step_machine(|node| &mut node.timers);
    }

    fn step_consumer(&mut self) {
        self.step_machine(|node| &mut node.consumer);
    }

    fn step_machine<M: Machine<Rules> + 'static>(&mut self, machine: impl Fn(&mut Node) -> &mut M) {
        let Some(mut node) = self.node.take() else { return };
        let view = View::take(0, || node.shared.published(), &*self.store);
        let monotonic = self.clock.monotonic();
        let now = node.guard.read(&*self.clock).map(|wall| wall.max(view.timestamp()));
        let queue = std::mem::take(&mut node.queue);
        let report = &mut self.report;
        let mut submit =
            |envelope| queue.push(envelope, monotonic).inspect_err(|_| report.count("refused: overloaded"));
        machine(&mut node).step(&mut Round { view: &view, now, monotonic, submit: &mut submit });
        node.queue = queue;
        self.node = Some(node);
    }

    // ---- checkers -------------------------------------------------------------------------------------

    fn view(&self) -> Option<View> {
        let node = self.node.as_ref()?;
        Some(View::take(0, || node.shared.published(), &*self.store))
    }

    /// Looks at what is new in the log, and at the cursor.
    fn look(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let read = node.reader.read(self.seen + 1, 1 << 20);
        for batch in read.map_err(|error| format!("the log cannot be read: {error}"))? {
            let header = batch.header;
            let items = batch.items().map(|item| item.expect("it was verified"));
            let facts = items.flat_map(|item| item.facts.into_iter().map(move |raw| (item.tenant, raw)));
            for ((tenant, raw), ordinal) in facts.zip(0..) {
                let fact =
                    Fact::decode(raw.kind, raw.version, raw.body).map_err(|error| error.to_string())?;
                match fact {
                    Fact::Placed(order, holds_until) => {
                        let placed = Placed { tenant, order, holds_until };
                        self.placed.insert(ChangeId { seq: header.seq, ordinal }, placed);
                    }
                    Fact::Expired(order, until) if header.timestamp < until => {
                        let at = header.timestamp;
                        return Err(format!("order {order} holds until {until}, and expired at {at}"));
                    }
                    Fact::Expired(..) => self.report.count("order: expired"),
                    Fact::Completed(_) => self.report.count("order: completed"),
                    Fact::Parked(_) => self.report.count("order: put aside"),
                    Fact::CursorKept(_) => self.report.count("cursor: kept"),
                }
            }
            (self.seen, self.seen_at) = (header.seq, self.steps);
        }
        self.check_cursor()
    }

    /// Nothing at or before the cursor is undone.
    fn check_cursor(&self) -> Result {
        let Some(view) = self.view() else { return Ok(()) };
        let cursor = Orders.cursor(&view, COMPLETION);
        let undone = |(place, placed): &(&ChangeId, &Placed)| {
            placed.holds_until.is_none() && !is_done(&view, **place, placed)
        };
        match self.placed.range(..=cursor).find(undone) {
            None => Ok(()),
            Some((place, placed)) => Err(format!("the cursor {cursor:?} has passed {placed:?} at {place:?}")),
        }
    }

    /// What is not done yet.
    fn unfinished(&self) -> Vec<Placed> {
        let Some(view) = self.view() else { return self.placed.values().copied().collect() };
        let undone = self.placed.iter().filter(|(place, placed)| !is_done(&view, **place, placed));
        undone.map(|(_, placed)| *placed).collect()
    }

    fn finish(mut self) -> Result<(Report, blake3::Hash)> {
        let view = self.view().ok_or("the node is down")?;
        let consumed = self.consumed.lock().expect("the simulation has one thread").clone();
        for (place, placed) in &self.placed {
            let times = consumed.get(place).copied().unwrap_or(0);
            if placed.holds_until.is_none() && times == 0 {
                return Err(format!("{placed:?} at {place:?} was never given to the consumer"));
            }
            if times > 1 && !is_poison(placed.order) {
                self.report.count("consumed again after a crash");
            }
            if placed.holds_until.is_none() && is_parked(&view, *place) != is_poison(placed.order) {
                return Err(format!("{placed:?} at {place:?} is put aside, or should be"));
            }
        }
        let cursor = Orders.cursor(&view, COMPLETION);
        let mut consumable = self.placed.iter().filter(|(_, placed)| placed.holds_until.is_none());
        let last = consumable.next_back().map_or(ChangeId::default(), |(place, _)| *place);
        if cursor < last {
            return Err(format!("the cursor stays at {cursor:?}, before {last:?}"));
        }
        self.report.add("orders", self.placed.len() as u64);
        self.report.add("steps", self.steps);
        let mut digest = blake3::Hasher::new();
        digest.update(&ViewHash::of(&view).to_bytes());
        digest.update(&view.seq().to_be_bytes()).update(&self.steps.to_be_bytes());
        Ok((self.report, digest.finalize()))
    }
}

fn is_done(view: &dyn Read, place: ChangeId, placed: &Placed) -> bool {
    let status = testing::status(view, placed.tenant, placed.order);
    match placed.holds_until {
        Some(_) => status == Some(testing::Status::Expired),
        None => status == Some(testing::Status::Completed) || is_parked(view, place),
    }
}
