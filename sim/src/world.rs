//! One node, its clients, and everything that befalls them.
//!
//! A run is a loop of steps, each drawn by lot: a client asks, the writer decides, the committer appends,
//! the flusher flushes, a reader reads, time passes, a fault strikes. After each step the checkers look.
//!
//! Checked here, by the names of the invariants: I1 and I2 (the log read back is one chain), I3 (what was
//! acknowledged is in the log after every crash), I4 (view and log agree), I5 (no reader ahead of the log),
//! I6 (claims do not overlap, what is offered can be booked, no piece is sold twice or lost, every order comes to one
//! end), I7 (one outcome per key), I8 (what the view points to is there), I9 (timestamps rise), I10 (a follower that
//! replays the log has the same view). And now and then a start is tried on a copy that lacks a segment: it must refuse
//! if store or snapshot prove that, and leave them as they are.
//!
//! Next: in the folder beside this file `node.rs` for its steps, `clients.rs` for what is asked, `background.rs` for what
//! happens by itself, `faults.rs` for what befalls it, `checks.rs` for the checkers.

mod background;
mod checks;
mod clients;
mod faults;
mod node;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use maitred_booking::salons::Booking;
use maitred_booking::testing::MemoryView;
use maitred_core::{Seq, TenantNumber, Timestamp};
use maitred_engine::batch::GENESIS;
use maitred_engine::clock::ClockGuard;
use maitred_engine::committer::Committer;
use maitred_engine::consumers::ConsumerRunner;
use maitred_engine::flusher::Flusher;
use maitred_engine::log::{LogReader, Tail};
use maitred_engine::meta::Schema;
use maitred_engine::publish::Shared;
use maitred_engine::queue::{Pending, Queue, Queued};
use maitred_engine::store::Store;
use maitred_engine::timers::TimerRunner;
use maitred_engine::view_hash::ViewHash;
use maitred_engine::writer::{Prepared, Writer};
use maitred_engine::{Answer, Unavailable};
use maitred_storage::log_file::{Options, Preparer};
use maitred_storage::snapshots::SnapshotFolder;
use maitred_storage::view_memory::MemoryStore;
use uuid::Uuid;

use self::background::Moment;
use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::log::SharedFaults;
use crate::model::Model;
use crate::operation::{Operation, TENANTS};
use crate::random::Random;
use crate::report::Report;
use crate::sabotage::{Looks, Rules, Sabotage};

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
/// What a checker found, with the step; I8 too where a read met a pointer that leads nowhere, and said so.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Outcome> {
    catch_unwind(|| run_to_the_end(seed, sabotage)).unwrap_or_else(|panic| {
        match panic.downcast_ref::<String>().filter(|text| text.starts_with("data loss: ")) {
            Some(text) => Err(format!("I8: a read says {text}")),
            None => resume_unwind(panic),
        }
    })
}

fn run_to_the_end(seed: u64, sabotage: Sabotage) -> Result<Outcome> {
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
    timers: TimerRunner<Rules>,
    consumer: ConsumerRunner<Rules>,
    /// The consumer that offers time to those on a waitlist.
    offering: ConsumerRunner<Rules>,
}

/// A batch under way: what the model will be told if it comes to be.
#[derive(Debug, Clone)]
struct Promise {
    tail: Tail,
    entries: Vec<(Asked, std::result::Result<Answer<maitred_booking::Outcome>, Unavailable>)>,
    /// The bookings that it offers to those on a waitlist, which no answer tells.
    offers: BTreeMap<Uuid, Booking>,
}

/// What a client asks.
#[derive(Debug, Clone)]
enum Asked {
    Tenant(u32),
    Operation(Box<Operation>),
    /// What a consumer keeps of itself: no client's, and nothing that the model knows.
    Bookkeeping,
}

struct Client {
    asked: Option<(Asked, Pending<Rules>)>,
    /// A request whose answer was lost in a crash, to be sent again.
    again: Option<Asked>,
    /// A request of many commands that is under way: they are asked for one after another.
    import: Option<Import>,
}

/// A request of many commands. When the server goes down under it, the client sends all of it again.
struct Import {
    operations: Vec<Operation>,
    next: usize,
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
    /// The moment at which the process is killed next.
    moment: Option<Moment>,
    /// What the consumer of freed time has found since it was stepped last.
    looks: Looks,
    /// Of every order how many facts say what became of it.
    ends: BTreeMap<(TenantNumber, Uuid), u32>,
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
            clients: (0..CLIENTS).map(|_| Client { asked: None, again: None, import: None }).collect(),
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
            moment: None,
            looks: Looks::default(),
            ends: BTreeMap::new(),
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
        let is_idle =
            |client: &Client| client.asked.is_none() && client.again.is_none() && client.import.is_none();
        self.healed && self.clients.iter().all(is_idle)
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
            0..27 => self.any_client_asks(),
            27..50 => self.decide()?,
            50..73 => self.commit()?,
            73..77 => self.flush()?,
            77..80 => self.prepare()?,
            80..86 => self.read()?,
            86 => self.snapshot()?,
            87..90 => self.step_timers(),
            90..92 => self.step_consumer(),
            92..94 => self.step_offering()?,
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
        self.moment = None;
        for disk in [&self.disk, &self.snapshot_disk] {
            disk.set_faults(|faults| {
                faults.down_after = None;
                faults.sync_fails = false;
                faults.free_bytes = u64::MAX;
            });
        }
        let mut faults = self.faults.lock();
        (faults.unknown, faults.rival, faults.killed) = (None, None, false);
        if let Some(node) = &mut self.node {
            node.guard.confirm(&*self.clock);
        }
    }

    /// Everything is answered, and comes to rest: every version of everything is compared, once more after a last crash.
    fn finish(mut self) -> Result<Outcome> {
        self.come_to_rest()?;
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
            self.model.salons.check_claims(&view)?;
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
}
