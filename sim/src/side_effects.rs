//! What happens by itself, under faults: the real timers and consumers on the real engine, with crashes at any step.
//!
//! The rules are the engine's own small shop (`maitred_engine::testing`): holds expire by timers, orders are
//! completed by a consumer, some orders cannot be completed at all, and some end the process whenever it tries. Further
//! runners claim the consumer while older ones still run, and an operator has dead letters taken up again.
//!
//! Checked after every commit: no hold expires before its time by the log's own clock; the kept cursor passes no
//! fact that is neither done nor put aside; nothing is written by a runner but that of the newest epoch; no order is
//! completed while an earlier one of its key is put aside. Checked at the end, after all faults have healed: every hold
//! whose time has come has expired, every order is completed or was put aside, every fact was given to the consumer at
//! least once, what waited behind a dead letter is completed once that is thrown away, and then nothing more is written.
//!
//! Next: `checks` for the checkers.

mod checks;
mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maitred_core::{Actor, At, ChangeId, TenantNumber, Timestamp};
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
    COMPLETION, Changed, Command, Completion, Letter, is_killer, is_poison, letters,
};
use maitred_engine::timers::TimerRunner;
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
pub use rules::hush;

/// How many orders are in the log of a run at least.
pub const ORDERS_MIN: u64 = 150;
/// How many faults strike in a run at least.
pub const FAULTS_MIN: u64 = 5;
/// What a set of runs must have met at least once.
pub const EXPECTED: &[&str] = &[
    "a fact ended the process",
    "an older runner has stopped",
    "another runner",
    "consumed again after a crash",
    "dead letter: done",
    "dead letter: put back",
    "dead letter: taken up",
    "dead letter: thrown away",
    "dead letter: waits behind another",
    "fault: clock back",
    "fault: clock far ahead",
    "fault: disk full",
    "fault: power cut",
    "fault: process killed",
    "order: ends processes, put aside",
    "order: completed",
    "order: expired",
    "order: put aside",
    "refused: clock suspect",
    "refused: overloaded",
    "start: behind a kept cursor",
    "timer: too early by the log's time",
];
const TENANTS: u64 = 2;
/// How many runners of the consumer run at once at most.
const RUNNERS_MAX: usize = 3;
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// After this many steps a run that has not come to its end is stuck: something is never done.
const STEPS_MAX: u64 = 200_000;
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
    /// The newest last.
    consumers: Vec<ConsumerRunner<Rules>>,
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
    /// A fact that ends the process was given to the consumer.
    killed: Arc<AtomicBool>,
    /// The newest epoch in the log.
    epoch: u64,
    /// What is put aside, as the log has it.
    aside: BTreeMap<ChangeId, Letter>,
    /// What was ever put aside.
    ever_aside: BTreeSet<ChangeId>,
    /// What an operator has thrown away.
    discarded: BTreeSet<ChangeId>,
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
            killed: Arc::default(),
            epoch: 0,
            aside: BTreeMap::new(),
            ever_aside: BTreeSet::new(),
            discarded: BTreeSet::new(),
            seen: 0,
            seen_at: 0,
            report: Report::default(),
            steps: 0,
            healed: false,
            random,
        }
    }

    /// Whether everything is done. An operator who finds dead letters then decides about each, and it goes on.
    fn is_at_rest(&mut self) -> bool {
        let rests = self.healed
            && self.node.is_some()
            && self.steps > self.seen_at + REST_STEPS
            && self.unfinished().is_empty();
        if !rests {
            return false;
        }
        let letters = self.view().map(|view| letters(&view)).unwrap_or_default();
        for letter in &letters {
            let never =
                self.placed.get(&letter.place).is_some_and(|is| is_poison(is.order) || is_killer(is.order));
            let place = letter.place;
            self.operate(if never { Command::Discard(place) } else { Command::TakeUp(place) });
        }
        if !letters.is_empty() {
            self.seen_at = self.steps;
        }
        letters.is_empty()
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
            68..85 => self.step_consumer(),
            85 if !self.healed => self.redrive(),
            86..96 => self.clock.advance(Duration::from_micros(self.random.below(1_000_000))),
            _ if self.healed => {}
            _ => self.strike(),
        }
        let killed = self.killed.swap(false, Relaxed);
        if killed {
            self.report.count("a fact ended the process");
        }
        if killed || self.disk.is_down() { self.crash() } else { Ok(()) }
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
        match random.below(13) {
            12 => self.add_runner(),
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
            consumers: Vec::new(),
        });
        self.add_runner();
        self.look()
    }

    /// Another runner of the consumer, as if another node had begun.
    fn add_runner(&mut self) {
        let (seed, view) = (self.random.bits(), self.view());
        let (Some(node), Some(view)) = (&mut self.node, view) else { return };
        if node.consumers.len() >= RUNNERS_MAX {
            return;
        }
        if !node.consumers.is_empty() {
            self.report.count("another runner");
        }
        let (consumed, killed) = (Arc::clone(&self.consumed), Arc::clone(&self.killed));
        let consumer = Completion(move |at: At, order| {
            let place = ChangeId { seq: at.seq, ordinal: at.ordinal };
            *consumed.lock().expect("the simulation has one thread").entry(place).or_default() += 1;
            killed.fetch_or(is_killer(order), Relaxed);
        });
        let status = Arc::new(Status::new(COMPLETION));
        let (log, rules) = (Arc::clone(&node.reader), Arc::clone(&self.rules));
        node.consumers.push(ConsumerRunner::new(rules, Arc::new(consumer), log, status, &view, seed));
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

    /// An operator has a dead letter taken up again, with those of its key before it.
    fn redrive(&mut self) {
        let Some(view) = self.view() else { return };
        let (cursor, letters) = (self.rules.cursor(&view, COMPLETION), letters(&view));
        let taken = letters.iter().filter(|letter| !letter.taken_up && letter.place <= cursor);
        let places: Vec<ChangeId> = taken.map(|letter| letter.place).collect();
        if !places.is_empty() {
            let place = *self.random.pick(&places);
            self.operate(Command::TakeUp(place));
        }
    }

    fn operate(&self, command: Command) {
        let Some(node) = &self.node else { return };
        let (tenant, actor) = (TenantNumber::SYSTEM, Actor::ApiKey(1));
        let envelope = Envelope { tenant, actor, idempotency: None, bytes: 64, command };
        let _ = node.queue.push(envelope, self.clock.monotonic()); // an operator tries again
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
        let Some(node) = &self.node else { return };
        let which = self.random.below(node.consumers.len() as u64) as usize;
        let was = node.consumers[which].status().is_superseded();
        self.step_machine(|node| &mut node.consumers[which]);
        if let Some(node) = &self.node
            && node.consumers[which].status().is_superseded() != was
        {
            self.report.count("an older runner has stopped");
        }
    }

    fn step_machine<M: Machine<Rules> + 'static>(&mut self, machine: impl Fn(&mut Node) -> &mut M) {
        let Some(mut node) = self.node.take() else { return };
        let view = View::take(0, || node.shared.published(), &*self.store);
        let monotonic = self.clock.monotonic();
        let now = node.guard.read(&*self.clock).map(|wall| wall.max(view.timestamp()));
        let queue = std::mem::take(&mut node.queue);
        let (report, killed) = (&mut self.report, &self.killed);
        let mut submit = |envelope| match killed.load(Relaxed) {
            true => Err(Unavailable::Unknown), // there is nobody any more who could
            false => queue.push(envelope, monotonic).inspect_err(|_| report.count("refused: overloaded")),
        };
        machine(&mut node).step(&mut Round { view: &view, now, monotonic, submit: &mut submit });
        node.queue = queue;
        self.node = Some(node);
    }
}
