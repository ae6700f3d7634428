//! An engine at work, and everything it stands on.

use std::sync::{Arc, Mutex};

use maitred_engine::engine::{Bounds, Parts, Threads};
use maitred_engine::log::{LogError, LogReader};
use maitred_engine::queue::Pending;
use maitred_engine::recovery::{NoSnapshots, Recovery, Report, Snapshots};
use maitred_engine::store::Store;
use maitred_engine::{Answer, Engine, Envelope, Unavailable};

use crate::toy::HANGS;
use crate::toy::clock::Hands;
use crate::toy::log::ToyLog;
use crate::toy::model::Map;
use crate::toy::shop::{Ask, Left, Shop, ask, said};
use crate::toy::store::ToyStore;

pub(crate) const BOOT: &[u8] = b"this boot";

pub(crate) type Answered = Result<Answer<Left>, Unavailable>;

/// What survives an engine.
pub(crate) struct Ground {
    pub(crate) log: Arc<ToyLog>,
    pub(crate) store: Arc<ToyStore>,
    pub(crate) clock: Arc<Hands>,
    pub(crate) bounds: Bounds,
}

/// An engine on its ground.
pub(crate) struct World {
    pub(crate) log: Arc<ToyLog>,
    pub(crate) store: Arc<ToyStore>,
    pub(crate) clock: Arc<Hands>,
    pub(crate) shop: Arc<Shop>,
    pub(crate) engine: Engine<Shop>,
    pub(crate) report: Report,
    /// What `on_broken` was called with.
    pub(crate) broken: Arc<Mutex<Vec<LogError>>>,
    pub(crate) bounds: Bounds,
    threads: Threads,
    runtime: tokio::runtime::Runtime,
}

impl Default for Ground {
    fn default() -> Self {
        Ground { log: ToyLog::new(), store: Arc::default(), clock: Arc::default(), bounds: Bounds::default() }
    }
}

impl Ground {
    /// Recovers and starts, with this boot and these snapshots at hand.
    pub(crate) fn start_with(self, boot: &[u8], snapshots: &dyn Snapshots) -> World {
        let shop = Arc::new(Shop::default());
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let recovery = Recovery {
            domain: &*shop,
            log: &*self.log as &dyn LogReader,
            store: &store,
            snapshots,
            partition: 0,
            boot,
        };
        let (published, report) = recovery.run().expect("what is there can be recovered");
        let broken = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&broken);
        let parts = Parts {
            domain: Arc::clone(&shop),
            log: self.log.handle(),
            store,
            published,
            clock: Arc::clone(&self.clock) as _,
            partition: 0,
            seed: 1,
            on_broken: Box::new(move |error| told.lock().unwrap().push(error.clone())),
        };
        let (engine, threads) = Engine::start_within(self.bounds, parts);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let Ground { log, store, clock, bounds } = self;
        World { log, store, clock, shop, engine, report, broken, threads, bounds, runtime }
    }

    pub(crate) fn start(self) -> World {
        self.start_with(BOOT, &NoSnapshots)
    }
}

impl World {
    /// A new engine on an empty log.
    pub(crate) fn new() -> Self {
        Ground::default().start()
    }

    /// Enters a command that is let in.
    pub(crate) fn enter(&self, envelope: Envelope<Ask>) -> Pending<Shop> {
        self.engine.enter(envelope).expect("it is let in")
    }

    /// Waits for an answer.
    pub(crate) fn wait(&self, pending: Pending<Shop>) -> Answered {
        let answer = self.within(pending).expect("the test does not hang");
        answer.unwrap_or(Err(Unavailable::Unknown))
    }

    /// Waits for a future as long as no test should take.
    pub(crate) fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(HANGS, future).await.ok() })
    }

    /// Enters a command and waits for its answer.
    pub(crate) fn submit(&self, envelope: Envelope<Ask>) -> Answered {
        self.wait(self.enter(envelope))
    }

    /// Enters a command of tenant 1 that must be decided, and says what became of it.
    pub(crate) fn tell(&self, command: Ask) -> Result<u64, String> {
        let answer = self.submit(ask(1, command)).expect("it is decided");
        said(&answer).map_err(str::to_owned)
    }

    /// Checks that the live view is the fold of the log.
    pub(crate) fn check_view(&self) {
        let view = self.engine.view();
        assert_eq!(view.seq(), self.log.seq());
        assert_eq!(Map::of(&view), *self.log.view(view.seq()));
    }

    /// Stops the engine, and leaves what survives it.
    pub(crate) fn stop(self) -> Ground {
        let World { log, store, clock, threads, bounds, runtime, .. } = self;
        let stopped = runtime.spawn_blocking(move || threads.stop());
        runtime.block_on(async {
            tokio::time::timeout(HANGS, stopped).await.expect("stopping does not hang").unwrap();
        });
        Ground { log, store, clock, bounds }
    }
}

/// Whether an answer has arrived.
pub(crate) fn is_answered(pending: &mut Pending<Shop>) -> bool {
    !matches!(pending.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty))
}

/// What was said, or why nothing was decided.
pub(crate) fn outcome(answered: &Answered) -> Result<u64, String> {
    match answered {
        Ok(answer) => said(answer).map_err(str::to_owned),
        Err(unavailable) => Err(format!("{unavailable:?}")),
    }
}
