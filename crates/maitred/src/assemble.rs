//! What a server is made of: data folder → log and store → recovery → engine → handlers' state.

use std::path::Path;
use std::sync::Arc;

use maitred_booking::Booking;
use maitred_booking::app::{Access, App};
use maitred_core::PartitionId;
use maitred_engine::clock::SystemClock;
use maitred_engine::engine::{Engine, Parts, Threads};
use maitred_engine::log::LogError;
use maitred_engine::recovery::{NoSnapshots, Recovery, RecoveryError, Report};
use maitred_storage::open::{DataFolder, Keeper, OpenError, boot_id};

/// One machine has exactly this partition.
pub const PARTITION: PartitionId = 0;
/// The exit status after the log broke: the data are safe, and a restart may help.
pub const EXIT_BROKEN: i32 = 70;

/// A running engine on its data folder.
#[derive(Debug)]
pub struct Node {
    /// The engine.
    pub engine: Engine<Booking>,
    /// What recovery found.
    pub report: Report,
    threads: Threads,
    keeper: Keeper,
    folder: DataFolder,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The view cannot be brought up.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The system gives no random bits.
    #[error("the system gives no random bits: {0}")]
    Random(getrandom::Error),
}

impl Node {
    /// Opens the folder, brings the view to the log's tail, and starts the engine.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed but what recovery mends.
    pub fn start(dir: &Path) -> Result<Node, StartError> {
        let folder = DataFolder::take(dir)?;
        let opened = folder.open_log(PARTITION)?;
        if let Some(torn) = &opened.report.torn {
            tracing::warn!(
                log.segment = torn.segment, log.offset = torn.offset, log.seq = torn.seq, kept = torn.kept_in,
                "a batch that was never acknowledged had been torn by a crash; it was cut, and its remains kept"
            );
        }
        let boot = boot_id();
        let store = folder.open_store(&boot)?;
        let domain = Arc::new(Booking);
        let recovery = Recovery {
            domain: &*domain,
            log: &*opened.log.reader(),
            store: &store,
            snapshots: &NoSnapshots,
            partition: PARTITION,
            boot: &boot,
        };
        let (published, report) = recovery.run()?;
        let (engine, threads) = Engine::start(Parts {
            domain,
            log: opened.log,
            store,
            published,
            clock: Arc::new(SystemClock::default()),
            partition: PARTITION,
            seed: random().map(u128::from_le_bytes)?,
            on_broken: Box::new(exit),
        });
        let keeper = Keeper::start(opened.preparer, exit);
        Ok(Node { engine, report, threads, keeper, folder })
    }

    /// The state of the handlers.
    ///
    /// # Errors
    /// [`StartError`] when the folder's keys cannot be read or made.
    pub fn app(&self, access: Access, default_tenant: &str) -> Result<App, StartError> {
        let key = self.folder.secret("cursor", random()?)?;
        Ok(App::new(self.engine.clone(), &key, access, default_tenant))
    }

    /// Answers what waits, flushes, and lets go of the folder.
    pub fn stop(self) {
        self.threads.stop();
        self.keeper.stop();
    }
}

/// Bits from the system's source.
fn random<const LEN: usize>() -> Result<[u8; LEN], StartError> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}

/// A log that failed to sync may hold anything; only a restart reads what is really there.
fn exit(error: &LogError) {
    tracing::error!(error = %error, "the log cannot be trusted any more: exiting; start again to recover");
    std::process::exit(EXIT_BROKEN);
}
