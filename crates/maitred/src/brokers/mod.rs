//! The connections to RabbitMQ: a thread of its own, with a task for each publisher and each queue.
//!
//! Invariants:
//! - Nothing waits for a broker but its own tasks: the server starts, serves and is ready without it.
//! - A connection that is lost is opened again, after waits that grow, with full jitter.
//! - What is told of it: `/metrics`, and one line of the log when a connection comes, goes, or fails in another way than
//!   before. No password is in either.
//!
//! Next: [`publish`] and [`consume`]; `maitred_booking::brokers::outbox` for which change is sent when,
//! `maitred_connectors::rabbitmq` for the protocol, [`crate::config::Broker`] for the settings.

mod consume;
mod line;
mod publish;
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use maitred_booking::app::App;
use maitred_connectors::rabbitmq::{Address, Failure};
use maitred_engine::backoff::Backoff;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Broker;

/// The waits before a connection is tried again.
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_MAX: Duration = Duration::from_secs(10);
/// A connection that has lasted so long has been a good one: the waits begin anew.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How long a stop waits for confirms and answers; for a broker that does not answer at all, twice as long.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// What follows a decision gives way to deciding.
const NICENESS: i32 = 10;
/// How long a task is left alone after a panic.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// The thread, running.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What every task needs.
#[derive(Debug, Clone)]
struct Shared {
    app: App,
    seed: u64,
    stopping: watch::Receiver<bool>,
    /// The monotonic clock counts from here.
    started: Instant,
}

impl Shared {
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits, unless the server stops.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut self.stopping) => {}
        }
    }
}

/// Until the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await; // whoever told it is gone, and so is the server
}

impl Workers {
    /// Starts what these settings ask for, each broker with its address. `seed` is for the jitter of waits.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(app: &App, brokers: Vec<(Broker, Address)>, seed: u64) -> std::io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let shared = Shared { app: app.clone(), seed, stopping, started: Instant::now() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("maitred-brokers")
            .on_thread_start(|| {
                // Where it is not allowed, the thread competes with the others.
                let _ = rustix::process::setpriority_process(None, NICENESS);
            })
            .enable_all()
            .build()?;
        let thread = thread::Builder::new().name("maitred-broker".into()).spawn(move || {
            runtime.block_on(run(shared, brokers));
            runtime.shutdown_timeout(STOP_PATIENCE);
        })?;
        Ok(Workers { stop, thread })
    }

    /// Ends it. What is not confirmed by then is sent again after the next start, and what is not acknowledged comes
    /// again.
    pub fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.thread.join(); // a panic was reported by the thread itself
    }
}

async fn run(shared: Shared, brokers: Vec<(Broker, Address)>) {
    let (mut tasks, mut stopping) = (JoinSet::new(), shared.stopping.clone());
    for (broker, address) in brokers {
        let broker = Arc::new(broker);
        if broker.publish.is_some() {
            let (status, shared) = (publish::known(&shared.app, &broker), shared.clone());
            let (broker, address) = (Arc::clone(&broker), address.clone());
            tasks.spawn(lasting(shared, move |shared| {
                publish::publish(shared, Arc::clone(&broker), address.clone(), Arc::clone(&status))
            }));
        }
        for (number, consume) in broker.consume.iter().enumerate() {
            let (status, shared) = (consume::known(&shared.app, &broker, consume), shared.clone());
            let (broker, address) = (Arc::clone(&broker), address.clone());
            tasks.spawn(lasting(shared, move |shared| {
                consume::consume(shared, (Arc::clone(&broker), number), address.clone(), Arc::clone(&status))
            }));
        }
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    let too_late = async {
        stopped(&mut stopping).await;
        tokio::time::sleep(2 * STOP_PATIENCE).await;
    };
    tokio::select! {
        () = all => {}
        () = too_late => tracing::warn!("a broker does not answer: stopping without it"),
    }
}

/// Runs a task until it ends; one that panics begins anew from what is kept.
async fn lasting<F>(mut shared: Shared, task: impl Fn(Shared) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(task(shared.clone())).await {
        tracing::error!(error = %error, "a bug at a connection to a broker: starting over from what is kept");
        shared.pause(PANIC_PAUSE).await;
        if shared.is_stopping() {
            return;
        }
    }
}

/// Says what becomes of one connection after the other, and how long to wait.
struct Reconnecting {
    /// For people: which broker, and what for.
    what: String,
    backoff: Backoff,
    failures: u32,
    said: Option<String>,
    connected: Option<Duration>,
}

impl Reconnecting {
    fn new(what: String, seed: u64) -> Self {
        let backoff = Backoff::new(RECONNECT_FIRST, RECONNECT_MAX, seed);
        Reconnecting { what, backoff, failures: 0, said: None, connected: None }
    }

    fn connected(&mut self, now: Duration) {
        tracing::info!("connected: {}", self.what);
        (self.said, self.connected) = (None, Some(now));
    }

    /// The connection is lost, or was none. How long to wait before the next.
    fn failed(&mut self, failure: &Failure, now: Duration) -> Duration {
        if self.connected.take().is_some_and(|since| now.saturating_sub(since) >= GOOD_AFTER) {
            self.failures = 0;
        }
        self.failures += 1;
        let text = failure.to_string();
        if self.said.as_ref() != Some(&text) {
            tracing::warn!(error = %text, "not connected, and trying again: {}", self.what);
            self.said = Some(text);
        }
        self.backoff.delay(self.failures)
    }
}
