//! One node, its clients, and everything that befalls them.
//!
//! A run is a loop of steps, each drawn by lot: a client asks, the writer decides, the committer appends,
//! the flusher flushes, a reader reads, time passes, a fault strikes. After each step the checkers look.
//!
//! Checked here, by the names of the invariants: I1 and I2 (the log read back is one chain), I3 (what was
//! acknowledged is in the log after every crash), I4 (view and log agree), I5 (no reader ahead of the log),
//! I6 (claims do not overlap, and no piece is sold twice or lost: the model refuses it), I7 (one outcome per key),
//! I9 (timestamps rise), I10 (a follower that replays the log has the same view). And now and then a start is tried on
//! a copy whose newest segment is gone: it must refuse if store or snapshot prove that, and leave them as they are.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use maitred_booking::appointments::{self, Appointment};
use maitred_booking::tenants;
use maitred_booking::testing::MemoryView;
use maitred_core::{Actor, Seq, TenantNumber, Timestamp};
use maitred_engine::batch::GENESIS;
use maitred_engine::clock::{Clock, ClockGuard};
use maitred_engine::committer::{Committed, Committer};
use maitred_engine::flusher::Flusher;
use maitred_engine::log::{Log as _, LogError, LogReader, Tail};
use maitred_engine::meta::{self, Schema};
use maitred_engine::publish::Shared;
use maitred_engine::queue::{Pending, Queue, Queued};
use maitred_engine::recovery::{Origin, Recovery, RecoveryError};
use maitred_engine::store::Store;
use maitred_engine::view_hash::ViewHash;
use maitred_engine::writer::{Prepared, Writer};
use maitred_engine::{Answer, Envelope, Unavailable, View, apply};
use maitred_storage::disk::Disk as _;
use maitred_storage::log_file::{FileLog, Options, Preparation, Preparer};
use maitred_storage::snapshots::SnapshotFolder;
use maitred_storage::view_memory::MemoryStore;

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::log::{SharedFaults, SimLog};
use crate::model::{Model, Verdict};
use crate::operation::{self, Operation, TENANTS};
use crate::random::Random;
use crate::report::Report;
use crate::sabotage::{Rules, Sabotage};
use crate::users;

/// How many commands a run carries out at least.
pub const COMMANDS_MIN: u64 = 500;
/// How many faults strike in a run at least.
pub const FAULTS_MIN: u64 = 5;
const CLIENTS: usize = 12;
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// After this many steps a run that has not come to its end is stuck.
const STEPS_MAX: u64 = 200_000;

type Result<T = ()> = std::result::Result<T, String>;

/// What ran in a run, and a digest of it: equal for two runs of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub report: Report,
    /// BLAKE3 of every answer and of the last view.
    pub digest: blake3::Hash,
}

/// Runs `seed` to its end.
///
/// # Errors
/// What a checker found, with the step.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Outcome> {
    let mut world = World::new(seed, sabotage)?;
    while !world.is_done() {
        if world.steps >= STEPS_MAX {
            return Err(format!("step {}: the world is stuck: {:?}", world.steps, world.report));
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
    preparer: Preparer<SimDisk>,
    guard: ClockGuard,
}

/// A batch under way: what the model will be told if it comes to be.
#[derive(Debug, Clone)]
struct Promise {
    tail: Tail,
    entries: Vec<(Asked, std::result::Result<Answer<maitred_booking::Outcome>, Unavailable>)>,
}

/// What a client asks.
#[derive(Debug, Clone)]
enum Asked {
    Tenant(u32),
    Operation(Box<Operation>),
}

struct Client {
    asked: Option<(Asked, Pending<Rules>)>,
    /// A request whose answer was lost in a crash, to be sent again.
    again: Option<Asked>,
}

struct World {
    random: Random,
    sabotage: Sabotage,
    rules: Arc<Rules>,
    disk: SimDisk,
    snapshot_disk: SimDisk,
    snapshots: SnapshotFolder<SimDisk>,
    faults: SharedFaults,
    clock: Arc<SimClock>,
    store: Arc<dyn Store>,
    boot: u64,
    node: Option<Node>,
    options: Options,
    layer_bytes: usize,
    clients: Vec<Client>,
    model: Model,
    /// The batches that were decided and whose append has not been answered.
    promises: VecDeque<Promise>,
    /// The rival's, which waits to be first at the next append.
    rival: Option<Promise>,
    /// Whether it was, and the node does not know it yet.
    rival_first: bool,
    /// The last batch that is known to be durable, and one that was acknowledged.
    durable: Tail,
    acknowledged: Seq,
    follower: MemoryView,
    followed: Tail,
    followed_at: Timestamp,
    decided_at: Vec<(Seq, Timestamp)>,
    report: Report,
    digest: blake3::Hasher,
    steps: u64,
    answered: u64,
    crash: Option<Crash>,
    healed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Process,
    Power { keep_of_8: u64 },
}

impl World {
    fn new(seed: u64, sabotage: Sabotage) -> Result<Self> {
        let mut random = Random::new(seed);
        let (disk, snapshot_disk) = (SimDisk::default(), SimDisk::default());
        disk.set_faults(|faults| {
            faults.ignores_sync = sabotage == Sabotage::NoSync;
            faults.ignores_sync_dir = sabotage == Sabotage::NoDirSync;
        });
        let faults = SharedFaults::default();
        faults.lock().answers_early = sabotage == Sabotage::AnswersEarly;
        let segment_bytes = 512 * random.between(16, 256);
        let mut world = World {
            sabotage,
            rules: Arc::new(Rules(sabotage)),
            snapshots: SnapshotFolder::new(snapshot_disk.clone(), Schema::of::<Rules>()),
            snapshot_disk,
            disk,
            faults,
            clock: Arc::new(SimClock::new(START)),
            store: Arc::new(MemoryStore::new()),
            boot: 0,
            node: None,
            options: Options { log: 0, segment_bytes, free_bytes_min: 0 },
            layer_bytes: random.between(1, 40) as usize * 1024,
            clients: (0..CLIENTS).map(|_| Client { asked: None, again: None }).collect(),
            model: Model::default(),
            promises: VecDeque::new(),
            rival: None,
            rival_first: false,
            durable: (0, GENESIS),
            acknowledged: 0,
            follower: MemoryView::default(),
            followed: (0, GENESIS),
            followed_at: Timestamp::from_micros(i64::MIN),
            decided_at: Vec::new(),
            report: Report::default(),
            digest: blake3::Hasher::new(),
            steps: 0,
            answered: 0,
            crash: None,
            healed: false,
            random,
        };
        world.boot()?;
        for (tenant, client) in (1..=TENANTS).zip(0..) {
            world.ask(client, Asked::Tenant(tenant));
        }
        while world.clients.iter().any(|client| client.asked.is_some()) {
            world.decide()?;
            world.commit()?;
        }
        Ok(world)
    }

    fn is_done(&self) -> bool {
        self.healed && self.clients.iter().all(|client| client.asked.is_none() && client.again.is_none())
    }

    fn step(&mut self) -> Result {
        self.steps += 1;
        if self.answered >= COMMANDS_MIN && self.report.faults() >= FAULTS_MIN && !self.healed {
            self.heal();
        }
        if self.node.is_none() {
            return self.boot();
        }
        match self.random.below(100) {
            0..30 => self.any_client_asks(),
            30..55 => self.decide()?,
            55..80 => self.commit()?,
            80..84 => self.flush()?,
            84..87 => self.prepare()?,
            87..93 => self.read()?,
            93 => self.snapshot()?,
            94..97 => self.clock.advance(Duration::from_micros(self.random.below(2_000_000))),
            _ if self.healed => {}
            97 if self.random.chance(1, 8) => self.clock.advance(Duration::from_secs(9 * 3600)),
            _ => self.strike(),
        }
        if self.disk.is_down() || self.snapshot_disk.is_down() { self.crash_now() } else { Ok(()) }
    }

    /// From here on nothing goes wrong, and everybody must get an answer.
    fn heal(&mut self) {
        self.healed = true;
        for disk in [&self.disk, &self.snapshot_disk] {
            disk.set_faults(|faults| {
                faults.down_after = None;
                faults.sync_fails = false;
                faults.free_bytes = u64::MAX;
            });
        }
        let mut faults = self.faults.lock();
        (faults.unknown, faults.rival) = (None, None);
        if let Some(node) = &mut self.node {
            node.guard.confirm(&*self.clock);
        }
    }

    // ---- faults -----------------------------------------------------------------------------------

    fn strike(&mut self) {
        let random = &mut self.random;
        match random.below(24) {
            0..3 => {
                let after = random.below(12);
                self.crash = Some(Crash::Process);
                self.disk.set_faults(|faults| faults.down_after = Some(after));
            }
            3..7 => {
                let after = random.below(12);
                let keep_of_8 = *random.pick(&[0, 1, 4, 7, 8]);
                self.crash = Some(Crash::Power { keep_of_8 });
                let disk = if random.chance(1, 8) { &self.snapshot_disk } else { &self.disk };
                disk.set_faults(|faults| faults.down_after = Some(after));
            }
            7 => self.disk.set_faults(|faults| faults.sync_fails = true),
            8..11 => {
                self.report.count("fault: disk full");
                let left = random.below(4) * 4096;
                self.disk.set_faults(|faults| faults.free_bytes = left);
            }
            11..15 => self.disk.set_faults(|faults| faults.free_bytes = u64::MAX),
            15..17 => {
                self.report.count("fault: clock back");
                self.clock.jump(-(random.below(5_000_000) as i64));
            }
            17 => {
                self.report.count("fault: clock far ahead");
                self.clock.jump(random.between(61, 7200) as i64 * 1_000_000);
            }
            18..20 => {
                if let Some(node) = &mut self.node {
                    node.guard.confirm(&*self.clock);
                }
            }
            20..22 => self.faults.lock().unknown = Some(random.chance(1, 2)),
            _ => self.rival(),
        }
    }

    /// Another node decides a command on the same tail, and will be there first.
    fn rival(&mut self) {
        let Some(node) = &self.node else { return };
        if self.sabotage == Sabotage::AnswersEarly || !node.prepared.is_empty() {
            return;
        }
        let published = node.shared.published();
        let shared = Arc::new(Shared::new((*published).clone()));
        let seed = u128::from(self.random.bits());
        let mut rival = Writer::new(Arc::clone(&self.rules), Arc::clone(&self.store), shared, 0, seed);
        let operation = Operation::any(&mut self.random, self.steps, &self.model.users, &self.model.sales);
        let (reply, _) = tokio::sync::oneshot::channel();
        let arrived = self.clock.monotonic();
        let mut queue = VecDeque::from([Queued {
            envelope: envelope(&Asked::Operation(Box::new(operation.clone()))),
            reply,
            arrived,
        }]);
        let prepared = rival.decide(&mut queue, self.clock.wall());
        let Some(sealed) = prepared.sealed else { return };
        let answer = prepared.decided.into_iter().next().expect("one was decided").answer;
        self.rival = Some(Promise {
            tail: prepared.tail,
            entries: vec![(Asked::Operation(Box::new(operation)), answer)],
        });
        self.faults.lock().rival = Some(sealed);
    }

    fn crash_now(&mut self) -> Result {
        self.node = None;
        self.rival_first = false;
        self.faults.lock().unknown = None;
        self.faults.lock().rival = None;
        match self.crash.take() {
            Some(Crash::Power { keep_of_8 }) => {
                self.report.count("fault: power cut");
                self.disk.cut_power(&mut self.random, keep_of_8);
                self.snapshot_disk.cut_power(&mut self.random, keep_of_8);
                self.boot += 1;
            }
            _ => {
                self.report.count("fault: process killed");
                self.disk.restart_process();
                self.snapshot_disk.restart_process();
            }
        }
        for client in &mut self.clients {
            if let Some((asked, _)) = client.asked.take() {
                client.again = Some(asked);
            }
        }
        Ok(())
    }

    /// The log broke under the process: it exits, and what is on the disk decides.
    fn broken(&mut self, error: &LogError) -> Result {
        match error {
            LogError::Broken(_) => {}
            _ if self.disk.is_down() => {}
            other => return Err(format!("I3: a healthy disk made the log say: {other}")),
        }
        if !self.disk.is_down() {
            self.report.count("fault: sync failed");
        }
        self.crash_now()
    }

    // ---- the node's steps -------------------------------------------------------------------------

    /// Tries a start on a copy of everything whose log has lost its newest segment.
    fn lose_segment(&mut self) -> Result {
        let disk = self.disk.copy();
        let names = disk.list().map_err(|error| error.to_string())?;
        let Some(newest) = names.iter().rfind(|name| name.ends_with(".segment")) else { return Ok(()) };
        disk.remove(newest).map_err(|error| error.to_string())?;
        let opened = FileLog::open(disk, self.options).map_err(|error| format!("a shorter log: {error}"))?;
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let kept = self.store.snapshot();
        let mut entries = Vec::new();
        kept.scan(&[], &[u8::MAX], &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        let filled = store.write(&mut entries.iter().map(|(key, value)| (&**key, Some(&**value))));
        filled.map_err(|error| error.to_string())?;
        let copied = meta::flushed(&*store.snapshot());
        let snapshots = SnapshotFolder::new(self.snapshot_disk.copy(), Schema::of::<Rules>());
        let boot = self.boot.to_be_bytes();
        let in_store = copied.filter(|_| meta::boot(&*store.snapshot()) == Some(&boot[..]));
        let in_snapshots = snapshots.newest_first().map_err(|error| error.to_string())?.first().copied();
        let end = opened.log.reader().tail().0;
        let proved = in_store.map(|flushed| flushed.tail.0).max(in_snapshots) > Some(end);
        let (log, snapshots) = (&*opened.log.reader(), &snapshots);
        let domain = &*self.rules;
        match (Recovery { domain, log, store: &store, snapshots, partition: 0, boot: &boot }.run(), proved) {
            (Err(RecoveryError::Log(LogError::DataLoss(_))), true) => {
                self.report.count("lost segment: refused");
                if meta::flushed(&*store.snapshot()) == copied {
                    return Ok(());
                }
                Err("I3: a start that was refused has changed the store".to_owned())
            }
            (Ok(_), false) => {
                self.report.count("lost segment: nothing proves it");
                Ok(())
            }
            (Ok(_), true) => Err("I3: a start passes over a segment that is missing".to_owned()),
            (Err(error), _) => Err(format!("I3: a log without its newest segment: {error}")),
        }
    }

    fn boot(&mut self) -> Result {
        let opened = match FileLog::open(self.disk.clone(), self.options) {
            Ok(opened) => opened,
            Err(_) if self.disk.is_down() => return self.crash_now(),
            Err(LogError::Full(_)) => {
                self.disk.set_faults(|faults| faults.free_bytes = u64::MAX);
                return Ok(());
            }
            Err(LogError::Broken(_)) => return self.crash_now(),
            Err(error) => return Err(format!("I3: the log does not open: {error}")),
        };
        if opened.report.torn.is_some() {
            self.report.count("recovery: torn tail cut");
        }
        let preparer = opened.log.preparer();
        let log = SimLog::new(opened.log, self.faults.clone());
        let reader = maitred_engine::log::Log::reader(&log);
        self.settle_promises(&*reader)?;
        let boot = self.boot.to_be_bytes();
        let recovery = Recovery {
            domain: &*self.rules,
            log: &*reader,
            store: &self.store,
            snapshots: &self.snapshots,
            partition: 0,
            boot: &boot,
        };
        let (published, found) = match recovery.run() {
            Ok(found) => found,
            Err(_) if self.disk.is_down() => return self.crash_now(),
            Err(error) => return Err(format!("I4: recovery fails: {error}")),
        };
        self.report.count(match found.store {
            Origin::Kept => "recovery: from the store as it was",
            Origin::Snapshot => "recovery: from a snapshot",
            Origin::Rebuilt => "recovery: from the log alone",
        });
        let shared = Arc::new(Shared::new(published));
        let (rules, store) = (Arc::clone(&self.rules), Arc::clone(&self.store));
        let seed = u128::from(self.random.bits()) << 64 | u128::from(self.random.bits());
        self.node = Some(Node {
            queue: Queue::new(8 * 1024, Duration::from_secs(60)),
            waiting: VecDeque::new(),
            writer: Writer::new(Arc::clone(&rules), Arc::clone(&store), Arc::clone(&shared), 0, seed)
                .with_layer_bytes_max(self.layer_bytes),
            prepared: VecDeque::new(),
            committer: Committer::new(rules, Box::new(log), Arc::clone(&store), Arc::clone(&shared)),
            flusher: Flusher::new(Arc::clone(&shared), store, Schema::of::<Rules>()),
            shared,
            reader,
            preparer,
            guard: ClockGuard::new(&*self.clock),
        });
        self.follow()?;
        self.check_sales()?;
        self.check_view()?;
        if self.random.chance(1, 4) { self.lose_segment() } else { Ok(()) }
    }

    /// After a crash the log says what became of the batches under way.
    fn settle_promises(&mut self, reader: &dyn LogReader) -> Result {
        let tail = reader.tail();
        if tail.0 < self.acknowledged {
            return Err(format!(
                "I3: batch {} was acknowledged; the log ends at {}",
                self.acknowledged, tail.0
            ));
        }
        let rival = self.rival.take();
        let mut promises = rival.into_iter().chain(std::mem::take(&mut self.promises));
        for promise in &mut promises {
            if promise.tail.0 > tail.0 {
                self.report.count("recovery: batch of unknown outcome lost");
                continue;
            }
            if promise.tail.0 > self.durable.0 {
                let found = reader.read(promise.tail.0, 1).map_err(|error| format!("I3: {error}"))?;
                if found.first().is_some_and(|found| found.hash == promise.tail.1) {
                    self.report.count("recovery: batch of unknown outcome kept");
                    self.fulfil(&promise)?;
                }
            }
        }
        if self.durable != tail {
            return Err(format!("I3: the log ends at {}; {} was expected", tail.0, self.durable.0));
        }
        Ok(())
    }

    fn decide(&mut self) -> Result {
        let Some(node) = &mut self.node else { return Ok(()) };
        // Depth two: one batch is being appended, one is decided on top of it.
        if node.prepared.len() >= 2 {
            return Ok(());
        }
        if node.waiting.is_empty() {
            node.queue.drain(&mut node.waiting, self.clock.monotonic());
        }
        if node.waiting.is_empty() && !self.random.chance(1, 8) {
            return Ok(());
        }
        let Some(wall) = node.guard.read(&*self.clock) else {
            for queued in node.waiting.drain(..) {
                let _ = queued.reply.send(Err(Unavailable::ClockSuspect));
            }
            return self.collect();
        };
        if self.random.chance(1, 50) {
            node.writer.fill();
        }
        let prepared = node.writer.decide(&mut node.waiting, wall);
        self.promises.push_back(Promise {
            tail: prepared.tail,
            entries: prepared
                .decided
                .iter()
                .map(|decided| (asked(&decided.queued), decided.answer.clone()))
                .collect(),
        });
        node.prepared.push_back(prepared);
        Ok(())
    }

    fn commit(&mut self) -> Result {
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(prepared) = node.prepared.pop_front() else { return Ok(()) };
        let tail = prepared.tail;
        let unknown = self.faults.lock().unknown;
        let committed = node.committer.commit(prepared);
        let rival_first = self.faults.lock().rival_first.take();
        // An append that broke may have left the batch there: then the next start finds out.
        if rival_first == Some(false) && committed.is_ok() {
            self.rival = None;
        }
        self.rival_first |= rival_first == Some(true);
        match committed {
            Ok(Committed::Done) => {
                let promise = self.promise_of(tail)?;
                self.fulfil(&promise)?;
            }
            Ok(Committed::Refused) => {
                self.promises.pop_front();
            }
            Ok(Committed::Displaced(queued)) => {
                node.queue.displace(queued);
                if std::mem::take(&mut self.rival_first) {
                    let promise = self.rival.take().expect("the rival promised");
                    self.report.count("fault: append lost to a rival");
                    self.fulfil(&promise)?;
                }
                self.promises.pop_front();
            }
            Ok(Committed::Unknown(again)) => {
                let done = if unknown == Some(true) { "done" } else { "not done" };
                self.report.count(format!("fault: append of unknown outcome, {done}"));
                node.prepared.push_front(*again);
            }
            Err(error) => return self.broken(&error),
        }
        if self.disk.is_down() {
            return Ok(());
        }
        self.collect()?;
        self.follow()?;
        self.check_sales()
    }

    fn promise_of(&mut self, tail: Tail) -> Result<Promise> {
        let promise = self.promises.pop_front().ok_or("a batch nobody decided was committed")?;
        if promise.tail != tail {
            return Err(format!("I1: batch {} was committed before batch {}", tail.0, promise.tail.0));
        }
        Ok(promise)
    }

    /// A batch has come to be: the model carries it out too, and must say the same.
    fn fulfil(&mut self, promise: &Promise) -> Result {
        if promise.tail.0 > self.durable.0 {
            if promise.tail.0 != self.durable.0 + 1 {
                return Err(format!("I1: batch {} follows batch {}", promise.tail.0, self.durable.0));
            }
            self.durable = promise.tail;
        }
        for (asked, answer) in &promise.entries {
            let (Asked::Operation(operation), Ok(answer)) = (asked, answer) else { continue };
            let (expected, replayed) = self.model.carry_out(operation, promise.tail.0, answer.timestamp);
            let found = Verdict::of(&answer.result);
            if (&found, answer.replayed) != (&expected, replayed) {
                return Err(format!(
                    "I6/I7: batch {}: {operation:?} was answered {found:?} (replayed: {}), the model says {expected:?} ({replayed})",
                    promise.tail.0, answer.replayed
                ));
            }
            match &answer.result {
                Ok(maitred_booking::Outcome::Appointments(outcome)) => {
                    self.check_record(operation.tenant, &outcome.appointment)?;
                }
                Ok(maitred_booking::Outcome::Accounts(outcome)) if !replayed => {
                    self.model.users.adopt(operation.tenant, outcome);
                }
                Ok(maitred_booking::Outcome::FlashSales(outcome)) if !replayed => {
                    self.model.sales.adopt(outcome);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        if node.flusher.step().map_err(|error| format!("the store fails: {error}"))?.is_some() {
            self.report.count("step: flush");
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        match node.preparer.step() {
            Ok(Preparation::Advanced) => self.report.count("step: segment prepared"),
            Ok(_) | Err(LogError::Determinate(_)) => {}
            Err(error) => return self.broken(&error),
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        match self.snapshots.write(&view) {
            Ok(_) => self.report.count("step: snapshot"),
            // A snapshot is disposable: whatever keeps it from being written harms nobody.
            Err(_) => self.report.count("step: snapshot failed"),
        }
        Ok(())
    }

    // ---- clients ----------------------------------------------------------------------------------

    fn any_client_asks(&mut self) {
        let idle: Vec<_> =
            (0..self.clients.len()).filter(|client| self.clients[*client].asked.is_none()).collect();
        if idle.is_empty() {
            return;
        }
        let client = *self.random.pick(&idle);
        if let Some(again) = self.clients[client].again.take() {
            return self.ask(client, again);
        }
        if self.healed {
            return;
        }
        let due = self.random.chance(1, 8).then(|| self.any_due()).flatten();
        let operation = due.unwrap_or_else(|| {
            Operation::any(&mut self.random, self.steps, &self.model.users, &self.model.sales)
        });
        self.ask(client, Asked::Operation(Box::new(operation)));
    }

    /// What a timer would submit now.
    fn any_due(&mut self) -> Option<Operation> {
        let view = self.view(self.node.as_ref()?);
        let now = self.clock.wall().max(view.timestamp());
        Operation::due(&mut self.random, &view, now)
    }

    fn ask(&mut self, client: usize, asked: Asked) {
        let Some(node) = &self.node else { return };
        match node.queue.push(envelope(&asked), self.clock.monotonic()) {
            Ok(pending) => self.clients[client].asked = Some((asked, pending)),
            Err(_) => {
                self.report.count("refused: overloaded");
                self.clients[client].again = Some(asked);
            }
        }
    }

    /// Takes in the answers that have arrived.
    fn collect(&mut self) -> Result {
        for client in 0..self.clients.len() {
            let Some((asked, pending)) = &mut self.clients[client].asked else { continue };
            let Ok(answer) = pending.try_recv() else { continue };
            let asked = asked.clone();
            self.clients[client].asked = None;
            match answer {
                Ok(answer) => self.acknowledge(&asked, &answer)?,
                Err(refused) => {
                    self.report.count(match refused {
                        Unavailable::ClockSuspect => "refused: clock suspect",
                        Unavailable::DiskFull => "refused: disk full",
                        Unavailable::Overloaded { .. } => "refused: overloaded",
                        Unavailable::Unknown => "refused: unknown outcome",
                        other => return Err(format!("nobody expected the refusal {other}")),
                    });
                    if refused == Unavailable::DiskFull && self.random.chance(1, 2) {
                        self.disk.set_faults(|faults| faults.free_bytes = u64::MAX);
                    }
                    if refused == Unavailable::ClockSuspect
                        && self.random.chance(1, 4)
                        && let Some(node) = &mut self.node
                    {
                        node.guard.confirm(&*self.clock);
                    }
                    self.clients[client].again = Some(asked);
                }
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, asked: &Asked, answer: &Answer<maitred_booking::Outcome>) -> Result {
        self.acknowledged = self.acknowledged.max(answer.position.seq);
        if answer.position.seq > self.durable.0 {
            return Err(format!("I3: batch {} is acknowledged, not committed", answer.position.seq));
        }
        let Asked::Operation(_) = asked else { return Ok(()) };
        self.answered += 1;
        let verdict = Verdict::of(&answer.result);
        if answer.replayed {
            self.report.count("answer: replayed");
        } else {
            self.report.count(match &verdict {
                Verdict::Accepted(effect, _) => format!("answer: accepted {}", effect.as_str()),
                Verdict::Account(effect, _) => format!("answer: account {}", users::name(*effect)),
                Verdict::Sale(effect) => format!("answer: sale {}", effect.as_str()),
                Verdict::Refused(code) => format!("answer: {code}"),
            });
        }
        self.digest.update(format!("{:?} {verdict:?} {}", answer.position, answer.timestamp).as_bytes());
        Ok(())
    }

    // ---- checkers ---------------------------------------------------------------------------------

    fn view(&self, node: &Node) -> View {
        View::take(0, || node.shared.published(), &*self.store)
    }

    /// The follower reads what was appended: I1, I2 and I9 on the way.
    fn follow(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        if self.sabotage == Sabotage::AnswersEarly {
            return Ok(()); // what was answered is not there to be read
        }
        let read = node.reader.read(self.followed.0 + 1, 1 << 20);
        let batches = read.map_err(|error| format!("I3: the log cannot be read: {error}"))?;
        for batch in batches {
            let header = &batch.header;
            if (header.seq, header.prev_hash) != (self.followed.0 + 1, self.followed.1) {
                return Err(format!("I1/I2: batch {} does not follow batch {}", header.seq, self.followed.0));
            }
            if header.timestamp <= self.followed_at {
                return Err(format!("I9: batch {} is not later than the one before", header.seq));
            }
            apply::apply_batch(&*self.rules, &mut self.follower, &batch)
                .map_err(|error| format!("I10: {error}"))?;
            (self.followed, self.followed_at) = ((header.seq, batch.hash), header.timestamp);
            self.decided_at.push((header.seq, header.timestamp));
        }
        Ok(())
    }

    /// I4, I10: the view is what replaying the log gives.
    fn check_view(&self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        if self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        // A batch of unknown outcome may be in the log, and is not published before that is known.
        let mut under_way = self.rival.iter().chain(&self.promises);
        if view.seq() + 1 == self.followed.0 && under_way.any(|next| next.tail == self.followed) {
            return Ok(());
        }
        if view.seq() != self.followed.0 {
            return Err(format!("I4: the view is at batch {}, the log at {}", view.seq(), self.followed.0));
        }
        if ViewHash::of(&view) != ViewHash::of(&self.follower) {
            return Err(format!("I4/I10: the view at batch {} is not what the log gives", view.seq()));
        }
        Ok(())
    }

    /// I6: what is left, held and sold of every sale is what the model says.
    fn check_sales(&self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        // A batch of unknown outcome is known to neither until it is settled.
        if view.seq() != self.durable.0 || self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        self.model.sales.check(&view, view.timestamp())
    }

    /// An instant means every batch whose timestamp, cut to milliseconds, is at or before it.
    fn check_instant(&mut self, view: &View) -> Result {
        let Some(batch) = self.random.below(self.decided_at.len() as u64 + 1).checked_sub(1) else {
            return Ok(());
        };
        let (_, near) = self.decided_at[batch as usize];
        let instant = Timestamp::from_millis(near.as_millis() + self.random.below(3) as i64 - 1);
        let within =
            |(seq, at): &&(Seq, Timestamp)| *seq <= view.seq() && at.as_millis() <= instant.as_millis();
        let within = self.decided_at.iter().rev().find(within);
        let (expected, found) = (within.map_or(0, |(seq, _)| *seq), view.seq_at(instant));
        if found == expected { Ok(()) } else { Err(format!("{instant} is batch {found}, not {expected}")) }
    }

    /// A reader looks at something, now or in the past.
    fn read(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        if view.seq() > self.durable.0 {
            return Err(format!(
                "I5: a reader sees batch {}, and {} is the last",
                view.seq(),
                self.durable.0
            ));
        }
        if self.random.chance(1, 4) {
            self.check_view()?;
            self.check_instant(&view)?;
            self.model.users.check(&view, self.random.below(view.seq() + 1), false)?;
            let as_of = self.random.below(view.seq() + 1);
            self.model.sales.check_orders(&view, view.timestamp(), Some(as_of))?;
        }
        let tenant = TenantNumber(1 + self.random.below(u64::from(TENANTS)) as u32);
        let as_of = self.random.chance(1, 2).then(|| self.random.below(view.seq() + 1));
        let seq = as_of.unwrap_or(view.seq());
        if self.random.chance(1, 2) {
            let external_id = Operation::any_external_id(&mut self.random);
            let found = appointments::get(&view, tenant, &external_id, as_of);
            let expected = self.model.as_of(tenant, &external_id, seq);
            return same(expected, found.as_ref(), || format!("{external_id} at {seq}"));
        }
        let resource = format!("chair-{}", self.random.below(3));
        let query =
            appointments::Query { resource: Some(&resource), as_of, ..appointments::Query::default() };
        let found = appointments::list(&view, tenant, &query, None, 1_000).items;
        let expected = self.model.standing(tenant, &resource, seq);
        if found.len() != expected.len() {
            let (found, expected) = (found.len(), expected.len());
            return Err(format!("I6: {found} claims on {resource} at {seq}; the model has {expected}"));
        }
        for ((id, version), found) in expected.into_iter().zip(&found) {
            same(Some(version), Some(found).filter(|found| found.external_id == id), || {
                format!("{id} on {resource} at {seq}")
            })?;
        }
        Ok(())
    }

    fn check_record(&self, tenant: TenantNumber, answered: &Appointment) -> Result {
        let expected = self.model.versions(tenant, &answered.external_id);
        let expected = expected.iter().find(|version| version.version == answered.version);
        same(expected, Some(answered), || format!("the answer about {}", answered.external_id))
    }

    /// Everything is answered: every version of everything is compared, once more after a last crash.
    fn finish(mut self) -> Result<Outcome> {
        self.follow()?;
        self.check_view()?;
        self.check_versions()?;
        for crash in [Crash::Process, Crash::Power { keep_of_8: 0 }] {
            self.crash = Some(crash);
            self.crash_now()?;
            while self.node.is_none() {
                self.boot()?;
            }
            self.check_versions()?;
            let node = self.node.as_ref().ok_or("the node is down")?;
            let view = self.view(node);
            self.model.sales.check_orders(&view, view.timestamp(), None)?;
        }
        self.digest.update(&ViewHash::of(&self.follower).to_bytes());
        let disk = self.disk.counts();
        self.report.add("disk: syncs", disk.syncs);
        self.report.add("disk: sectors lost", disk.lost_sectors);
        self.report.add("disk: names lost", disk.lost_names);
        self.report.add("batches", self.durable.0);
        self.report.add("commands", self.answered);
        self.report.add("steps", self.steps);
        Ok(Outcome { report: self.report, digest: self.digest.finalize() })
    }

    fn check_versions(&self) -> Result {
        let node = self.node.as_ref().ok_or("the node is down")?;
        let view = self.view(node);
        self.model.users.check(&view, view.seq(), true)?;
        for tenant in (1..=TENANTS).map(TenantNumber) {
            for id in self.model.external_ids(tenant) {
                let expected = self.model.versions(tenant, id);
                let found = appointments::versions(&view, tenant, id, None, None, usize::MAX);
                if found.len() != expected.len() {
                    let (found, expected) = (found.len(), expected.len());
                    return Err(format!("{id} has {found} versions; the model has {expected}"));
                }
                for (expected, found) in expected.iter().zip(&found) {
                    same(Some(expected), Some(&found.appointment), || format!("a version of {id}"))?;
                }
            }
        }
        Ok(())
    }
}

fn same(
    expected: Option<&crate::model::ModelVersion>,
    found: Option<&Appointment>,
    what: impl FnOnce() -> String,
) -> Result {
    let equal = match (expected, found) {
        (None, None) => true,
        (Some(expected), Some(found)) => expected.is(found),
        _ => false,
    };
    if equal { Ok(()) } else { Err(format!("{}: found {found:?}; the model has {expected:?}", what())) }
}

/// A request as the engine takes it.
fn envelope(asked: &Asked) -> Envelope<maitred_booking::Command> {
    match asked {
        Asked::Tenant(number) => Envelope {
            tenant: TenantNumber::SYSTEM,
            actor: Actor::System,
            idempotency: None,
            bytes: 64,
            command: tenants::Command::CreateTenant(tenants::CreateTenant {
                slug: format!("tenant-{number}"),
                alias: None,
                name: format!("Tenant {number}"),
                time_zone: "Europe/Berlin".into(),
                currency: "EUR".into(),
                locale: "de-DE".into(),
                drop_ins: Default::default(),
                public: false,
                automatic: false,
            })
            .into(),
        },
        Asked::Operation(operation) => Envelope {
            tenant: operation.tenant,
            actor: Actor::Anonymous,
            idempotency: operation.idempotency,
            bytes: 300,
            command: operation.command(),
        },
    }
}

/// What a queued command asks.
fn asked(queued: &Queued<Rules>) -> Asked {
    let envelope = &queued.envelope;
    let operation = |command| {
        let (tenant, idempotency) = (envelope.tenant, envelope.idempotency);
        Asked::Operation(Box::new(Operation { tenant, idempotency, command }))
    };
    match &envelope.command {
        maitred_booking::Command::Appointments(command) => {
            operation(operation::Asked::Appointment(command.clone()))
        }
        maitred_booking::Command::Accounts(command) => operation(operation::Asked::Account(command.clone())),
        maitred_booking::Command::FlashSales(command) => operation(operation::Asked::Sale(command.clone())),
        _ => Asked::Tenant(0),
    }
}
