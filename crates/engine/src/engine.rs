//! The engine at work: the writer, the committer and the flusher on threads of their own, and the handle
//! through which everybody else submits commands and reads.
//!
//! ```text
//!   submit ─▶ queue ─▶ writer ─▶ committer ─▶ answers
//!                        ▲           │ publishes
//!                        └─ flusher ◀┘          view() ─▶ readers
//! ```
//!
//! The threads are thin: everything that can go wrong stands in the state machines they run, which the
//! simulation runs without them. What each does is in `threads.rs` beside this file.

mod threads;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maitred_core::{Domain, PartitionId, Position, Seq, TenantNumber, Timestamp};
use tokio::sync::watch;

use self::threads::{Signal, commit, flush, spawn, write};
use crate::{
    Answer, AnswerOf, Envelope, Unavailable,
    clock::{Clock, ClockGuard, Confirmed},
    committer::Committer,
    consumers,
    flusher::Flusher,
    log::{Log, LogError, LogReader},
    meta::Schema,
    overlay::{LAYER_BYTES_MAX, OVERLAY_BYTES_MAX},
    publish::{Published, Shared},
    queue::{Pending, QUEUE_BYTES_MAX, QUEUE_WAIT_MAX, Queue},
    store::Store,
    sync::{Mutex, mpsc::sync_channel, thread::JoinHandle},
    view::View,
    writer::Writer,
};

/// What an engine is made of.
pub struct Parts<D: Domain> {
    /// The rules.
    pub domain: Arc<D>,
    /// The log, open at its tail.
    pub log: Box<dyn Log>,
    /// The view's store.
    pub store: Arc<dyn Store>,
    /// What recovery published; its tail is the log's.
    pub published: Published,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The partition's number.
    pub partition: PartitionId,
    /// Random bits: names this process in the log and seeds its ids.
    pub seed: u128,
    /// Called once from a thread of the engine when the log cannot be trusted any more, or the thread
    /// itself has panicked. The process must exit: what it knows may differ from what is durable.
    pub on_broken: Box<dyn Fn(&LogError) + Send>,
}

/// How much an engine takes on. The defaults are meant for every server; tests make them small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A layer of the overlay is flushed when it has reached this size.
    pub layer_bytes_max: usize,
    /// From half of this size of the overlay on the writer slows down ([`Throttle`]), so that it settles below;
    /// past twice as much it refuses.
    pub overlay_bytes_max: usize,
    /// The most bytes of commands that wait.
    pub queue_bytes_max: usize,
    /// The longest a command may wait to be decided.
    pub queue_wait_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            layer_bytes_max: LAYER_BYTES_MAX,
            overlay_bytes_max: OVERLAY_BYTES_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            queue_wait_max: QUEUE_WAIT_MAX,
        }
    }
}

/// A running engine. Clones are handles to the same.
pub struct Engine<D: Domain>(Arc<Inner<D>>);

impl<D: Domain> Clone for Engine<D> {
    fn clone(&self) -> Self {
        Engine(Arc::clone(&self.0))
    }
}

impl<D: Domain> std::fmt::Debug for Engine<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "engine at {}", self.position())
    }
}

struct Inner<D: Domain> {
    domain: Arc<D>,
    queue: Queue<D>,
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    log: Arc<dyn LogReader>,
    consumers: Mutex<Vec<Arc<consumers::Status>>>,
    clock: Arc<dyn Clock>,
    guard: Mutex<ClockGuard>,
    partition: PartitionId,
    flush: Signal,
    counters: Counters,
    overlay_bytes_max: usize,
    on_broken: Mutex<Option<OnBroken>>,
}

type OnBroken = Box<dyn Fn(&LogError) + Send>;

/// What the engine has done since it started. Read them any time; they only rise.
#[derive(Debug, Default)]
pub struct Counters {
    /// Commands that were decided, whatever the outcome.
    pub commands: AtomicU64,
    /// Batches that were appended.
    pub batches: AtomicU64,
    /// Their bytes.
    pub log_bytes: AtomicU64,
    /// Microseconds spent in appending them, syncs included.
    pub append_micros: AtomicU64,
    /// Layers that were flushed.
    pub flushes: AtomicU64,
    /// Microseconds spent in flushing them.
    pub flush_micros: AtomicU64,
    /// Commands that were refused because too many waited.
    pub overloaded: AtomicU64,
}

/// The engine's threads.
#[derive(Debug)]
pub struct Threads {
    stop: Box<dyn Stop>,
    handles: Vec<JoinHandle<()>>,
}

trait Stop: Send + std::fmt::Debug {
    fn stop(&self);
}

impl<D: Domain> Stop for Engine<D> {
    fn stop(&self) {
        self.0.queue.close();
    }
}

impl Threads {
    /// Refuses new commands, answers those that wait, flushes, and ends the threads.
    pub fn stop(self) {
        self.stop.stop();
        for handle in self.handles {
            let _ = handle.join(); // a panic was reported by the thread itself
        }
    }
}

impl<D: Domain> Engine<D> {
    /// Starts the threads.
    pub fn start(parts: Parts<D>) -> (Engine<D>, Threads) {
        Engine::start_within(Bounds::default(), parts)
    }

    /// Starts the threads with other bounds than the default ones.
    pub fn start_within(bounds: Bounds, parts: Parts<D>) -> (Engine<D>, Threads) {
        let Parts { domain, log, store, published, clock, partition, seed, on_broken } = parts;
        let shared = Arc::new(Shared::new(published));
        let inner = Arc::new(Inner {
            domain: Arc::clone(&domain),
            queue: Queue::new(bounds.queue_bytes_max, bounds.queue_wait_max),
            shared: Arc::clone(&shared),
            store: Arc::clone(&store),
            log: log.reader(),
            consumers: Mutex::default(),
            guard: Mutex::new(ClockGuard::new(&*clock)),
            clock,
            partition,
            flush: Signal::default(),
            counters: Counters::default(),
            overlay_bytes_max: bounds.overlay_bytes_max,
            on_broken: Mutex::new(Some(on_broken)),
        });
        let writer =
            Writer::new(Arc::clone(&domain), Arc::clone(&store), Arc::clone(&shared), partition, seed)
                .with_layer_bytes_max(bounds.layer_bytes_max);
        let committer = Committer::new(domain, log, Arc::clone(&store), Arc::clone(&shared));
        let flusher = Flusher::new(shared, store, Schema::of::<D>());
        let (to_committer, from_writer) = sync_channel(0);
        let handles = vec![
            spawn("maitred-writer", &inner, move |inner| write(inner, writer, &to_committer)),
            spawn("maitred-committer", &inner, move |inner| {
                if let Err(error) = commit(inner, committer, &from_writer) {
                    inner.give_up(&error);
                }
                inner.flush.end();
            }),
            spawn("maitred-flusher", &inner, move |inner| flush(inner, &flusher)),
        ];
        let engine = Engine(inner);
        (engine.clone(), Threads { stop: Box::new(engine), handles })
    }

    /// Decides a command and waits until the answer is durable.
    ///
    /// # Errors
    /// [`Unavailable`]: it was not decided, or (only [`Unavailable::Unknown`]) nobody can tell.
    pub async fn submit(&self, envelope: Envelope<D::Command>) -> Result<AnswerOf<D>, Unavailable> {
        self.enter(envelope)?.await.unwrap_or(Err(Unavailable::Unknown))
    }

    /// Enters a command into its tenant's line. The answer arrives durable; a receiver that fails instead
    /// means [`Unavailable::Unknown`].
    ///
    /// # Errors
    /// [`Unavailable`]: it will not be decided.
    pub fn enter(&self, envelope: Envelope<D::Command>) -> Result<Pending<D>, Unavailable> {
        self.0.queue.push(envelope, self.0.clock.monotonic()).inspect_err(|refused| {
            if matches!(refused, Unavailable::Overloaded { .. }) {
                self.0.counters.overloaded.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Refuses a command on the caller's own thread, by the same rules against the newest published view,
    /// or says `None`: then only the writer can decide it. Not for commands with an idempotency key, whose
    /// refusal must stick.
    pub fn refuse(&self, envelope: &Envelope<D::Command>) -> Option<AnswerOf<D>> {
        if envelope.idempotency.is_some() {
            return None;
        }
        let view = self.view();
        // By a clock that is not to be trusted nothing is refused: the writer says so.
        let timestamp = self.log_time(view.timestamp())?;
        let cx = maitred_core::Context {
            timestamp,
            tenant: envelope.tenant,
            actor: envelope.actor,
            ids: maitred_core::Ids::new(timestamp, 0),
        };
        let rejection = self.0.domain.decide(&view, &envelope.command, &cx).err()?;
        Some(Answer { result: Err(rejection), position: view.position(), timestamp, replayed: false })
    }

    /// The newest published view.
    pub fn view(&self) -> View {
        View::take(self.0.partition, || self.0.shared.published(), &*self.0.store)
    }

    /// The position of the newest published batch.
    pub fn position(&self) -> Position {
        Position { partition: self.0.partition, seq: self.0.shared.published().seq() }
    }

    /// The partition this engine serves.
    pub fn partition(&self) -> PartitionId {
        self.0.partition
    }

    /// Follows the number of the newest published batch.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.0.shared.watch()
    }

    /// The tenants whose commands were decided behind batch `after`, or more; `None` if that is not known any more.
    pub fn touched(&self, after: Seq) -> Option<BTreeSet<TenantNumber>> {
        self.0.shared.touched().behind(after)
    }

    /// Waits until batch `seq` is published, at most `patience`.
    ///
    /// # Errors
    /// [`Unavailable::ReplicaBehind`].
    pub async fn wait_for(&self, seq: Seq, patience: Duration) -> Result<(), Unavailable> {
        if self.0.shared.published().seq() >= seq {
            return Ok(());
        }
        let mut published = self.watch();
        let reached = published.wait_for(|published| *published >= seq);
        match tokio::time::timeout(patience, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Unavailable::ReplicaBehind),
        }
    }

    /// The time now, by the engine's wall clock.
    pub fn now(&self) -> Timestamp {
        self.0.clock.wall()
    }

    /// The log's time: the wall clock, but never before `last`, its last batch's timestamp. `None` while the
    /// wall clock is suspect.
    pub(crate) fn log_time(&self, last: Timestamp) -> Option<Timestamp> {
        let mut guard = self.0.guard.lock().expect("nobody panics while holding the clock guard");
        guard.read(&*self.0.clock).map(|wall| wall.max(last))
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    pub(crate) fn domain(&self) -> &Arc<D> {
        &self.0.domain
    }

    /// The log, to be read; of it only what is published is anybody's business.
    pub(crate) fn log(&self) -> &Arc<dyn LogReader> {
        &self.0.log
    }

    /// How far the consumers are, in the order in which they were started.
    pub fn consumers(&self) -> Vec<Arc<consumers::Status>> {
        self.0.consumers.lock().expect("nobody panics while holding it").clone()
    }

    pub(crate) fn add_consumer(&self, name: &'static str) -> Arc<consumers::Status> {
        let status = Arc::new(consumers::Status::new(name));
        let mut consumers = self.0.consumers.lock().expect("nobody panics while holding it");
        assert!(consumers.iter().all(|other| other.name != name), "two consumers of the name {name}");
        consumers.push(Arc::clone(&status));
        status
    }

    /// An operator's word that the wall clock is right, after it jumped ahead.
    pub fn confirm_clock(&self) -> Confirmed {
        self.0.guard.lock().expect("nobody panics while holding the clock guard").confirm(&*self.0.clock)
    }

    /// What the engine has done so far.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// How many commands wait, and how many bytes they are counted as.
    pub fn queue_depth(&self) -> (usize, usize) {
        self.0.queue.depth()
    }

    /// The memory that the published overlay pins, in bytes.
    pub fn overlay_bytes(&self) -> usize {
        self.0.shared.published().overlay.bytes()
    }

    /// Refuses new commands from now on; those that wait are still decided.
    pub fn drain(&self) {
        self.0.queue.close();
    }
}

impl<D: Domain> Inner<D> {
    /// The engine cannot go on: says so once, and lets nobody wait for an answer that will not come.
    fn give_up(&self, error: &LogError) {
        let on_broken = self.on_broken.lock().expect("nobody panics while holding it").take();
        if let Some(on_broken) = on_broken {
            on_broken(error);
        }
        self.queue.abandon(&Unavailable::Unknown);
        self.flush.end();
    }
}
