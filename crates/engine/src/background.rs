//! The threads behind the engine: timers and consumers, each on one of its own, each a thin shell around its
//! state machine.
//!
//! Invariants:
//! - They do what any client does: they look at published views, and submit commands. Without them nothing is
//!   answered wrongly, only late.
//! - A thread waits for a batch to be published, or for the clock, always with a bound, and never longer than
//!   its machine says. It pauses between two steps, so that a server in a rush is not woken for every batch.
//! - A machine that panics is built anew from the view, after a while: it has no state that could be lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use maitred_core::{Domain, Seq, Timestamp};
use tokio::sync::watch;

use crate::{
    Engine, Envelope, Unavailable, View,
    consumers::{Bookkeeping, Consumer, ConsumerRunner},
    queue::Pending,
    timers::{Timed, TimerRunner},
};

/// How long a machine that panicked is left alone.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// The niceness of the consumers' threads: in a rush, what follows a decision gives way to deciding. Their cursors keep
/// what is left to do.
const CONSUMER_NICENESS: i32 = 10;

/// What a machine sees in one step, and how it submits commands.
pub struct Round<'a, D: Domain> {
    /// The newest published view.
    pub view: &'a View,
    /// The log's time: the wall clock, or the last batch's timestamp if that is later. `None` while the wall
    /// clock is suspect.
    pub now: Option<Timestamp>,
    /// The monotonic clock.
    pub monotonic: Duration,
    /// Enters a command into its tenant's line.
    pub submit: &'a mut dyn FnMut(Envelope<D::Command>) -> Result<Pending<D>, Unavailable>,
}

impl<D: Domain> std::fmt::Debug for Round<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a round at {:?}", self.view)
    }
}

/// What runs behind the engine: a state machine without threads, clocks or I/O but the log's.
pub trait Machine<D: Domain> {
    /// Between two steps there is at least this.
    const PAUSE: Duration;

    /// Does what can be done without waiting. Returns after how long it must be called again at the latest,
    /// though no batch is published.
    fn step(&mut self, round: &mut Round<'_, D>) -> Duration;
}

/// The threads, running.
#[derive(Debug)]
pub struct Background {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the timers and these consumers, no two of one name. `seed` is for the jitter of their waits.
    pub fn start<D: Timed + Bookkeeping>(
        engine: &Engine<D>,
        consumers: Vec<Arc<dyn Consumer<D>>>,
        seed: u64,
    ) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let timers = {
            let domain = Arc::clone(engine.domain());
            spawn("maitred-timers".into(), engine, &stopping, move |_| {
                TimerRunner::new(Arc::clone(&domain), seed)
            })
        };
        let mut threads = vec![timers];
        for consumer in consumers {
            let status = engine.add_consumer(consumer.name());
            let name = format!("maitred-{}", consumer.name());
            threads.push(spawn(name, engine, &stopping, move |engine: &Engine<D>| {
                // Where it is not allowed, the thread competes with the others.
                let _ = rustix::process::setpriority_process(None, CONSUMER_NICENESS);
                let (domain, log) = (Arc::clone(engine.domain()), Arc::clone(engine.log()));
                let (consumer, status) = (Arc::clone(&consumer), Arc::clone(&status));
                ConsumerRunner::new(domain, consumer, log, status, &engine.view(), seed)
            }));
        }
        Background { stopping, threads }
    }

    /// Ends the threads. What they have not done is done after the next start.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        for thread in self.threads {
            thread.thread().unpark();
            let _ = thread.join(); // a panic was reported by the thread itself
        }
    }
}

fn spawn<D: Domain, M: Machine<D>>(
    name: String,
    engine: &Engine<D>,
    stopping: &Arc<AtomicBool>,
    make: impl Fn(&Engine<D>) -> M + Send + 'static,
) -> JoinHandle<()> {
    let (engine, stopping) = (engine.clone(), Arc::clone(stopping));
    let run = move || {
        let mut published = engine.watch();
        while !stopping.load(Ordering::Acquire) {
            let run = AssertUnwindSafe(|| run(&engine, make(&engine), &mut published, &stopping));
            if catch_unwind(run).is_err() {
                let thread = thread::current();
                tracing::error!(thread = thread.name(), "a bug behind the engine; starting over");
                thread::park_timeout(PANIC_PAUSE);
            }
        }
    };
    thread::Builder::new().name(name).spawn(run).expect("a thread can be started")
}

fn run<D: Domain, M: Machine<D>>(
    engine: &Engine<D>,
    mut machine: M,
    published: &mut watch::Receiver<Seq>,
    stopping: &AtomicBool,
) {
    while !stopping.load(Ordering::Acquire) {
        published.borrow_and_update(); // before the view is taken: what comes later wakes
        let view = engine.view();
        let (now, monotonic) = (engine.log_time(view.timestamp()), engine.monotonic());
        let mut submit = |envelope| engine.enter(envelope);
        let patience = machine.step(&mut Round { view: &view, now, monotonic, submit: &mut submit });
        drop(view);
        if patience.is_zero() {
            continue;
        }
        thread::park_timeout(M::PAUSE.min(patience));
        if patience > M::PAUSE && !stopping.load(Ordering::Acquire) {
            wait(published, patience - M::PAUSE);
        }
    }
}

/// Waits for a batch to be published, or for `patience` to be over, or for this thread to be unparked.
fn wait(published: &mut watch::Receiver<Seq>, patience: Duration) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let changed = pin!(published.changed());
    if changed.poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park_timeout(patience);
    }
}

/// Wakes a thread where a task would be woken.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
