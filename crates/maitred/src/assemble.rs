//! What a server is made of: data folder → log and store → recovery → engine → timers and consumers → handlers'
//! state.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maitred_booking::Booking;
use maitred_booking::accounts::Accounts;
use maitred_booking::accounts::token::Secrets;
use maitred_booking::app::{Access, App};
use maitred_booking::background::all_consumers;
use maitred_booking::jobs::JobFiles;
use maitred_booking::sealing::Sealer;
use maitred_booking::soundness::Soundness;
use maitred_booking::webhooks::secret;
use maitred_connectors::outgoing::Client;
use maitred_core::{PartitionId, Timestamp};
use maitred_engine::background::Background;
use maitred_engine::batch::GENESIS;
use maitred_engine::clock::{Clock, SystemClock};
use maitred_engine::engine::{Bounds, Engine, Parts, Threads};
use maitred_engine::log::LogError;
use maitred_engine::meta::Schema;
use maitred_engine::overlay::Overlay;
use maitred_engine::publish::Published;
use maitred_engine::recovery::{Origin, Recovery, RecoveryError, Report};
use maitred_engine::witness;
use maitred_storage::disk::RealDisk;
use maitred_storage::log_file::{self, Options, verify};
use maitred_storage::log_memory::MemoryLog;
use maitred_storage::open::{DataFolder, Keeper, OpenError, boot_id};
use maitred_storage::snapshots::{Schedule, SnapshotFolder};
use maitred_storage::view_lmdb::LmdbOptions;
use maitred_storage::view_memory::MemoryStore;

use crate::config::{Storage, TokenSecrets};
use crate::jobs::{Workers, all_kinds};
use crate::mail::{self, Relay};
use crate::scrubber::{Rate, SCRUB_PAUSE, Scrubber};
use crate::snapshotter::Snapshotter;
use crate::webhooks::{self, HttpCourier};

/// One machine has exactly this partition.
pub const PARTITION: PartitionId = 0;
/// The folder within the data folder where jobs put their files.
const JOB_FILES: &str = "jobs";
/// The exit status after the log broke: the data are safe, and a restart may help.
pub const EXIT_BROKEN: i32 = 70;

/// A running engine on its data folder.
#[derive(Debug)]
pub struct Node {
    /// The engine.
    pub engine: Engine<Booking>,
    /// What the start found and did.
    pub started: Started,
    threads: Threads,
    /// Nobody, where the folder is only looked at or filled.
    staff: Option<Staff>,
    keeper: Keeper,
    snapshotter: Snapshotter,
    scrubber: Scrubber,
    soundness: Soundness,
    folder: DataFolder,
}

/// Who works behind a server.
#[derive(Debug)]
struct Staff {
    /// The timers and consumers.
    background: Background,
    jobs: Workers,
}

/// What a start found and did.
#[derive(Debug)]
pub struct Started {
    /// What opening the log found.
    pub log: log_file::Report,
    /// How long that took.
    pub log_took: Duration,
    /// What recovery did.
    pub view: Report,
    /// How long that took.
    pub view_took: Duration,
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
    /// Starts on a folder with the default settings; see [`Node::start_with`].
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(dir: &Path) -> Result<Node, StartError> {
        Node::start_with(dir, &Storage::default())
    }

    /// Opens the folder, brings the view to the log's tail, and starts the engine with its timers and consumers.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed but what recovery mends.
    pub fn start_with(dir: &Path, storage: &Storage) -> Result<Node, StartError> {
        Node::start_by(Arc::new(SystemClock::default()), dir, storage)
    }

    /// The same by another clock than the machine's.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed but what recovery mends.
    pub fn start_by(clock: Arc<dyn Clock>, dir: &Path, storage: &Storage) -> Result<Node, StartError> {
        let mut node = Node::bring_up(clock, dir, storage)?;
        node.staff = Some(node.hire()?);
        Ok(node)
    }

    /// Opens the folder for a command that looks at it or fills it: without timers, consumers and jobs. What they have
    /// to do is done by the next server, so that no command sends mail, and what is exported stands still.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed but what recovery mends.
    pub fn open_with(dir: &Path, storage: &Storage) -> Result<Node, StartError> {
        Node::bring_up(Arc::new(SystemClock::default()), dir, storage)
    }

    fn bring_up(clock: Arc<dyn Clock>, dir: &Path, storage: &Storage) -> Result<Node, StartError> {
        let folder = DataFolder::take(dir)?;
        folder.tighten();
        let boot = boot_id();
        let map_bytes = usize::try_from(storage.view_bytes).unwrap_or(usize::MAX);
        let lmdb = LmdbOptions { map_bytes, ..LmdbOptions::default() };
        let snapshots = SnapshotFolder::new(folder.snapshot_disk()?, Schema::of::<Booking>());
        let kept = folder.kept_store(&boot, lmdb)?;
        let witness = witness::furthest(kept.as_deref(), &snapshots, PARTITION, &boot);

        let opening = Instant::now();
        let options = Options {
            log: PARTITION,
            segment_bytes: storage.segment_bytes,
            free_bytes_min: storage.free_bytes,
        };
        let judge_end = |end| witness.as_ref().map_or(Ok(()), |witness| witness.judge_end(end));
        let opened = folder.open_log(options, judge_end)?;
        let log_took = opening.elapsed();

        let recovering = Instant::now();
        if let Some(witness) = &witness {
            witness.judge(&*opened.log.reader()).map_err(OpenError::from)?;
        }
        let store = match kept {
            Some(store) => store,
            None => folder.new_store(&boot, lmdb)?,
        };
        let domain = Arc::new(Booking);
        let recovery = Recovery {
            domain: &*domain,
            log: &*opened.log.reader(),
            store: &store,
            snapshots: &snapshots,
            partition: PARTITION,
            boot: &boot,
        };
        let (published, view) = recovery.run()?;
        let started = Started { log: opened.report, log_took, view, view_took: recovering.elapsed() };

        let behind = log_bytes_behind_snapshot(&folder.log_disk()?, &snapshots, storage.segment_bytes);
        let overlay_bytes_max = usize::try_from(storage.overlay_bytes).unwrap_or(usize::MAX);
        let bounds = Bounds { overlay_bytes_max, ..Bounds::default() };
        let (engine, threads) = Engine::start_within(
            bounds,
            Parts {
                domain,
                log: opened.log,
                store,
                published,
                clock,
                partition: PARTITION,
                seed: random().map(u128::from_le_bytes)?,
                on_broken: Box::new(exit),
            },
        );
        let keeper = Keeper::start(opened.preparer, exit);
        let schedule = Schedule::new(storage.snapshot_log_bytes, behind);
        let rate = Rate { bytes_per_second: storage.scrub_bytes_per_second, pause: SCRUB_PAUSE };
        let soundness = Soundness::default();
        let snapshotter = Snapshotter::start(engine.clone(), snapshots, schedule, soundness.clone());
        let scrubber = Scrubber::start(folder.log_disk()?, rate, soundness.clone());
        Ok(Node { engine, started, threads, staff: None, keeper, snapshotter, scrubber, soundness, folder })
    }

    fn hire(&self) -> Result<Staff, StartError> {
        let engine = &self.engine;
        let background = Background::start(engine, all_consumers(), random().map(u64::from_le_bytes)?);
        let files = JobFiles::default();
        let path = self.folder.dir().join(JOB_FILES);
        files.set(path.clone()).map_err(|source| OpenError::Io { path, source })?;
        let kinds = all_kinds(engine, &files, self.folder.log_disk()?, self.soundness.clone());
        Ok(Staff { background, jobs: Workers::start(engine, &files, kinds) })
    }

    /// The state of the handlers.
    ///
    /// # Errors
    /// [`StartError`] when the folder's keys cannot be read or made.
    pub fn app(&self, access: Access, default_tenant: &str) -> Result<App, StartError> {
        self.app_with(access, default_tenant, TokenSecrets::default())
    }

    /// The same with the secrets of users' tokens that the configuration names. The folder's own is the one that signs
    /// where it names none, and the one before where it names no such.
    ///
    /// # Errors
    /// As [`Node::app`].
    pub fn app_with(
        &self,
        access: Access,
        default_tenant: &str,
        secrets: TokenSecrets,
    ) -> Result<App, StartError> {
        let cursor_key = self.folder.secret("cursor", random()?)?;
        let body_key = self.folder.secret("body", random()?)?;
        let secrets = match secrets {
            TokenSecrets { current: None, previous } => {
                Secrets { current: self.folder.secret("token", random()?)?, previous }
            }
            // Whoever names a secret for the first time ends nobody's session.
            TokenSecrets { current: Some(current), previous: None } => {
                Secrets { current, previous: self.folder.kept_secret("token")? }
            }
            TokenSecrets { current: Some(current), previous } => Secrets { current, previous },
        };
        let accounts = Accounts::new(secrets, body_key);
        let sealer = Sealer::new(&self.folder.secret("sealing", random()?)?);
        let app = App::new(
            self.engine.clone(),
            &cursor_key,
            (accounts, sealer),
            access,
            default_tenant,
            self.soundness.clone(),
        );
        let path = self.folder.dir().join(JOB_FILES);
        app.job_files().set(path.clone()).map_err(|source| OpenError::Io { path, source })?;
        Ok(app)
    }

    /// Starts the workers behind webhooks, who send by `client`. They are to be stopped before the node.
    ///
    /// # Errors
    /// As [`Node::app`].
    pub fn employ(&self, app: &App, client: Client) -> Result<webhooks::Workers, StartError> {
        let sealer = secret::Sealer::new(&self.folder.secret("webhook", random()?)?);
        app.webhooks().employ(sealer, Box::new(HttpCourier(client)));
        Ok(webhooks::Workers::start(app.clone(), random().map(u64::from_le_bytes)?))
    }

    /// Starts the worker behind mail, who sends by `relay`. It is to be stopped before the node.
    ///
    /// # Errors
    /// [`StartError::Random`].
    pub fn employ_mail(&self, app: &App, relay: Relay) -> Result<mail::Worker, StartError> {
        Ok(mail::Worker::start(app.clone(), relay, random().map(u64::from_le_bytes)?))
    }

    /// Answers what waits, flushes, and lets go of the folder.
    pub fn stop(self) {
        if let Some(Staff { background, jobs }) = self.staff {
            jobs.stop();
            background.stop();
        }
        self.scrubber.stop();
        self.threads.stop();
        self.keeper.stop();
        self.snapshotter.stop();
    }
}

impl Started {
    /// One line for an operator.
    pub fn to_line(&self) -> String {
        let Started { log, log_took, view, view_took } = self;
        let origin = match view.store {
            Origin::Kept => format!("the view was kept at batch {}", view.store_seq),
            Origin::Snapshot => format!("the view was filled from the snapshot of batch {}", view.store_seq),
            Origin::Rebuilt => "the view was rebuilt from the log's beginning".to_owned(),
        };
        format!(
            "recovered: {} segments, {} batches of the newest verified in {} ms; {origin}, {} batches replayed \
             in {} ms; at batch {}",
            log.segments,
            log.batches_verified,
            log_took.as_millis(),
            view.replayed,
            view_took.as_millis(),
            view.seq,
        )
    }
}

/// An application on nothing but memory: to describe the API, not to serve it.
///
/// # Errors
/// [`StartError::Random`].
pub fn in_memory() -> Result<(App, Threads), StartError> {
    let published =
        Published { overlay: Overlay::new(0), tail: (0, GENESIS), timestamp: Timestamp::default() };
    let (engine, threads) = Engine::start(Parts {
        domain: Arc::new(Booking),
        log: Box::new(MemoryLog::new(PARTITION)),
        store: Arc::new(MemoryStore::new()),
        published,
        clock: Arc::new(SystemClock::default()),
        partition: PARTITION,
        seed: random().map(u128::from_le_bytes)?,
        on_broken: Box::new(exit),
    });
    let accounts = Accounts::new(Secrets { current: random()?, previous: None }, random()?);
    let secrets = (accounts, Sealer::new(&random()?));
    Ok((App::new(engine, &random()?, secrets, Access::Keys, "default", Soundness::default()), threads))
}

/// Bits from the system's source.
///
/// # Errors
/// [`StartError::Random`].
pub fn random<const LEN: usize>() -> Result<[u8; LEN], StartError> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}

/// About how many bytes of log lie behind the newest snapshot: whole segments are counted.
fn log_bytes_behind_snapshot(
    log: &RealDisk,
    snapshots: &SnapshotFolder<RealDisk>,
    segment_bytes: u64,
) -> u64 {
    // A folder that cannot be listed is no reason not to serve; the snapshot's own attempt will say so.
    let newest = snapshots.newest_first().ok().and_then(|seqs| seqs.first().copied()).unwrap_or(0);
    let segments = verify::segments(log, PARTITION).unwrap_or_default();
    segments.iter().filter(|first_seq| **first_seq > newest).count() as u64 * segment_bytes
}

/// A log that failed to sync may hold anything; only a restart reads what is really there.
fn exit(error: &LogError) {
    tracing::error!(error = %error, "the log cannot be trusted any more: exiting; start again to recover");
    std::process::exit(EXIT_BROKEN);
}
