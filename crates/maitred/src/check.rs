//! Verifying a data folder that no server uses: the log, the views that follow from it, and what must hold in them.
//!
//! ```text
//!   log ── scrubbed ──▶ rebuilt view ── compared with ──▶ the stored view, caught up
//!                            │                        └──▶ each snapshot, caught up
//!                            └─ invariants: claims, versions, timestamps
//! ```
//! Of a time that is over, the view is rebuilt from the log up to then, its invariants are looked at, and each sale is
//! reconciled: what is stored is of the present.
//!
//! Invariant: the folder is only read. Views are rebuilt and copied in folders of their own, which are removed at
//! the end; the log is read through a disk that keeps in memory what opening it would mend.

mod accounts;
mod compare;
mod invariants;
mod past;
mod stock;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use maitred_booking::Booking;
use maitred_core::{PartitionId, Seq};
use maitred_engine::View;
use maitred_engine::batch::Sealed;
use maitred_engine::log::{Log, LogError, LogReader, Tail};
use maitred_engine::meta::{self, Flushed, Schema};
use maitred_engine::recovery::{NoSnapshots, Origin, Recovery, RecoveryError, Report, Snapshots};
use maitred_engine::snapshot_file;
use maitred_engine::store::{Store, StoreError};
use maitred_engine::witness::{self, Witness};
use maitred_storage::disk::RealDisk;
use maitred_storage::log_file::{FileLog, Options, verify};
use maitred_storage::open::{DataFolder, OpenError, boot_id};
use maitred_storage::snapshots::SnapshotFolder;
use maitred_storage::untouched::Untouched;
use maitred_web::AsOf;

use crate::assemble::PARTITION;

/// Where the rebuilt view stands, and where what is compared with it.
const REBUILT: &str = "rebuilt";
const COMPARED: &str = "compared";

/// Follows a check.
pub trait Watch: Sync {
    /// Something of so many steps begins.
    fn begin(&self, what: &'static str, steps: u64);
    /// So many of them are done.
    fn reach(&self, step: u64);
    /// Something was found, good or bad.
    fn found(&self, finding: &Finding);
}

/// What was found, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub good: bool,
    /// One sentence, which names the place.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.good { "ok     " } else { "PROBLEM" }, self.text)
    }
}

/// Verifies the folder `dir`, as it is or as it was, and returns how many problems there are.
///
/// # Errors
/// [`OpenError`] when it cannot look: the folder is in use, or there is no room for the rebuilt view.
pub fn check(dir: &Path, as_of: Option<AsOf>, watch: &dyn Watch) -> Result<usize, OpenError> {
    let folder = DataFolder::look(dir)?;
    let aside = Aside(&folder);
    aside.remove()?;
    let mut check = Check { folder: &folder, watch, problems: 0 };
    if check.log()? {
        match as_of {
            Some(as_of) => check.past(as_of)?,
            None => check.views()?,
        }
    }
    let problems = check.problems;
    aside.remove()?;
    Ok(problems)
}

/// The folders beside the view, removed whatever happens.
struct Aside<'a>(&'a DataFolder);

impl Aside<'_> {
    fn remove(&self) -> Result<(), OpenError> {
        self.0.remove_aside(REBUILT)?;
        self.0.remove_aside(COMPARED)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let _ = self.remove(); // what went wrong has been told already
    }
}

struct Check<'a> {
    folder: &'a DataFolder,
    watch: &'a dyn Watch,
    problems: usize,
}

impl<'a> Check<'a> {
    fn good(&self, text: impl Into<String>) {
        self.watch.found(&Finding { good: true, text: text.into() });
    }

    fn bad(&mut self, text: impl Into<String>) {
        self.problems += 1;
        self.watch.found(&Finding { good: false, text: text.into() });
    }

    /// Scrubs the log. Returns whether a view can be built from it.
    fn log(&mut self) -> Result<bool, OpenError> {
        let disk = self.folder.log_disk()?;
        let segments = match verify::segments(&disk, PARTITION) {
            Ok(segments) => segments,
            Err(error) => {
                self.bad(format!("the log: {error}"));
                return Ok(false);
            }
        };
        self.watch.begin("verifying the log", segments.len() as u64);
        let (mut batches, mut bytes, mut sound) = (0, 0, true);
        for (nth, first_seq) in segments.iter().enumerate() {
            match verify::verify_segment(&disk, PARTITION, *first_seq) {
                Ok(verified) => {
                    batches += verified.batches;
                    bytes += verified.bytes;
                    if verified.torn_bytes > 0 {
                        self.good(format!(
                            "{}: {} bytes at its end are of a batch that a crash interrupted before it was \
                             acknowledged; the next start cuts them",
                            verified.segment, verified.torn_bytes
                        ));
                    }
                }
                Err(error) => {
                    self.bad(format!("the log: {error}"));
                    sound = false;
                }
            }
            self.watch.reach(nth as u64 + 1);
        }
        if sound {
            let segments = segments.len();
            self.good(format!(
                "the log: {batches} batches in {segments} segments of {bytes} bytes; every checksum, hash and \
                 link of the chain is right"
            ));
        }
        for torn in verify::torn_files(&disk)? {
            self.good(format!(
                "{torn}: remains of a batch that a crash had torn before it was acknowledged, kept since; it may \
                 be deleted"
            ));
        }
        Ok(sound)
    }

    /// Rebuilds the view, looks at it, and compares it with what is stored.
    fn views(&mut self) -> Result<(), OpenError> {
        let log = self.reader()?;
        if let Some((rebuilt, hash)) = self.rebuilt(&log)? {
            self.stored_view(&log, &rebuilt, &hash)?;
            self.snapshots(&log, &rebuilt, &hash)?;
        }
        Ok(())
    }

    /// Rebuilds the view as it was, looks at it, and reconciles the sales of then.
    fn past(&mut self, as_of: AsOf) -> Result<(), OpenError> {
        let mut log = self.reader()?;
        let end = match past::end(&*log.log, as_of) {
            Ok(end) => end,
            Err(why) => {
                self.bad(why);
                return Ok(());
            }
        };
        log.end = end.tail;
        if let Some((rebuilt, _)) = self.rebuilt(&log)? {
            self.watch.begin("reconciling sales", 0);
            self.tell(past::reconcile(&rebuilt, end.at));
        }
        Ok(())
    }

    fn reader(&self) -> Result<Watched<'a>, OpenError> {
        let options = Options { log: PARTITION, ..Options::default() };
        let opened = FileLog::open(Untouched::new(self.folder.log_disk()?), options)?;
        let log = opened.log.reader();
        Ok(Watched { end: log.tail(), log, watch: self.watch })
    }

    /// The view of the log alone, in which the invariants have been looked at.
    fn rebuilt(&mut self, log: &Watched<'_>) -> Result<Option<(View, compare::Hashed)>, OpenError> {
        let store = self.folder.open_aside(REBUILT)?;
        self.watch.begin("rebuilding the view", log.tail().0);
        let (rebuilt, _) = match build(log, &store, &NoSnapshots, b"check") {
            Ok(rebuilt) => rebuilt,
            Err(error) => {
                self.bad(format!("the view cannot be rebuilt from the log: {error}"));
                return Ok(None);
            }
        };
        let hash = compare::hash(&rebuilt, self.watch);
        self.good(format!(
            "the view: rebuilt from the log alone up to batch {}: {} entries, hash {}",
            rebuilt.seq(),
            hash.entries,
            hash.short()
        ));
        self.tell(invariants::check(&rebuilt, self.watch));
        Ok(Some((rebuilt, hash)))
    }

    fn tell(&mut self, found: invariants::Found) {
        for text in found.good {
            self.good(text);
        }
        for text in found.bad {
            self.bad(text);
        }
    }

    /// Compares the stored view, once it has caught up, with the rebuilt one.
    fn stored_view(
        &mut self,
        log: &Watched<'_>,
        rebuilt: &View,
        hash: &compare::Hashed,
    ) -> Result<(), OpenError> {
        let boot = boot_id();
        if !self.folder.has_store_of(&boot) {
            self.good("the stored view: none of this boot of the machine; the next start builds it anew");
            return Ok(());
        }
        let store = match self.folder.open_copy_aside(COMPARED) {
            Ok(Some(store)) => store,
            Ok(None) => {
                self.good("the stored view: there is none; the next start builds it");
                return Ok(());
            }
            Err(OpenError::Store(StoreError::Damaged(what))) => {
                self.bad(format!(
                    "the stored view: {what}. The log is right, and the next start builds it anew"
                ));
                return self.folder.remove_aside(COMPARED);
            }
            Err(error) => return Err(error),
        };
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let flushed = meta::flushed(&*store.snapshot()).map_or(0, |flushed| flushed.tail.0);
            if let Some(witness) = witness::furthest(Some(&*store), &NoSnapshots, PARTITION, &boot) {
                witness.judge(log).map_err(|error| format!("the stored view: {error}"))?;
            }
            self.watch.begin("catching up the stored view", log.tail().0);
            let (stored, report) = build(log, &store, &NoSnapshots, &boot)
                .map_err(|error| format!("the stored view: {error}"))?;
            if report.store != Origin::Kept {
                let text = "the stored view does not follow this log; the next start builds it anew";
                return if flushed == 0 { Ok(text.to_owned()) } else { Err(text.to_owned()) };
            }
            let same = compare::hash(&stored, self.watch) == *hash;
            if same {
                return Ok(format!(
                    "the stored view: at batch {}, {} batches caught up: equal to the rebuilt one",
                    report.store_seq, report.replayed
                ));
            }
            let difference = compare::first_difference(rebuilt, &stored);
            Err(format!(
                "the stored view differs from the one rebuilt from the log: {difference}. The log is right: delete {} \
                 and the next start builds it anew",
                self.folder.dir().join("view").display()
            ))
        }));
        match looked {
            Ok(Ok(good)) => self.good(good),
            Ok(Err(bad)) => self.bad(bad),
            Err(_) => self.bad(format!(
                "the stored view cannot be read: its file is damaged. The log is right: delete {} and the next start \
                 builds it anew",
                self.folder.dir().join("view").display()
            )),
        }
        drop(store);
        self.folder.remove_aside(COMPARED)
    }

    /// Loads each snapshot, lets it catch up, and compares it with the rebuilt view.
    fn snapshots(
        &mut self,
        log: &Watched<'_>,
        rebuilt: &View,
        hash: &compare::Hashed,
    ) -> Result<(), OpenError> {
        if !self.folder.dir().join("snapshots").is_dir() {
            return Ok(());
        }
        let snapshots = SnapshotFolder::new(self.folder.snapshot_disk()?, Schema::of::<Booking>());
        let io = |source| OpenError::Io { path: self.folder.dir().join("snapshots"), source };
        for seq in snapshots.newest_first().map_err(io)? {
            let name = snapshots.full_name(seq);
            let lost = snapshots.witness(seq, PARTITION).and_then(|witness| witness.judge(log).err());
            if let Some(error) = lost {
                self.bad(format!("{name}: {error}"));
                continue;
            }
            let store = self.folder.open_aside(COMPARED)?;
            let only = Only { snapshots: &snapshots, seq, error: RefCell::new(None) };
            self.watch.begin("verifying a snapshot", log.tail().0);
            let built = build(log, &store, &only, b"check");
            let why = only.error.take();
            match (built, why) {
                (_, Some(why)) => {
                    self.bad(format!(
                        "{name}: {why}. Nothing is lost: the log is right, and it may be deleted"
                    ));
                }
                (Err(error), None) => self.bad(format!("{name}: {error}")),
                (Ok((view, report)), None) if compare::hash(&view, self.watch) == *hash => {
                    let replayed = report.replayed;
                    self.good(format!("{name}: {replayed} batches caught up: equal to the rebuilt view"));
                }
                (Ok((view, _)), None) => {
                    let difference = compare::first_difference(rebuilt, &view);
                    self.bad(format!(
                        "{name}: differs from the view rebuilt from the log: {difference}. The log is right: delete it"
                    ));
                }
            }
            drop(store);
            self.folder.remove_aside(COMPARED)?;
        }
        Ok(())
    }
}

/// Brings a store to the log's tail, and gives the view over it.
fn build(
    log: &Watched<'_>,
    store: &Arc<dyn Store>,
    snapshots: &dyn Snapshots,
    boot: &[u8],
) -> Result<(View, Report), RecoveryError> {
    let recovery = Recovery { domain: &Booking, log, store, snapshots, partition: PARTITION, boot };
    let (published, report) = recovery.run()?;
    let published = Arc::new(published);
    Ok((View::take(PARTITION, || Arc::clone(&published), &**store), report))
}

/// A log whose reader is watched, and ends where it is to end.
struct Watched<'a> {
    log: Arc<dyn LogReader>,
    end: Tail,
    watch: &'a dyn Watch,
}

impl LogReader for Watched<'_> {
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Sealed>, LogError> {
        self.watch.reach(from);
        let mut batches = self.log.read(from, bytes_max)?;
        batches.retain(|batch| batch.header.seq <= self.end.0);
        Ok(batches)
    }

    fn tail(&self) -> Tail {
        self.end
    }
}

/// One snapshot, and why it could not be loaded.
struct Only<'a> {
    snapshots: &'a SnapshotFolder<RealDisk>,
    seq: Seq,
    error: RefCell<Option<String>>,
}

impl Snapshots for Only<'_> {
    fn load(&self, store: &dyn Store, fits: &dyn Fn(Tail) -> bool) -> Result<Option<Flushed>, StoreError> {
        let load = || {
            let input = self.snapshots.open(self.seq).map_err(|error| error.to_string())?;
            let header = snapshot_file::load(input, store).map_err(|error| error.to_string())?;
            if fits(header.flushed.tail) {
                Ok(header.flushed)
            } else {
                Err("it is of another partition, or the log cannot be read there".to_owned())
            }
        };
        match load() {
            Ok(flushed) => Ok(Some(flushed)),
            Err(why) => {
                self.error.replace(Some(why));
                store.clear()?;
                Ok(None)
            }
        }
    }

    /// The log has been compared with it already.
    fn witnesses(&self, _: PartitionId) -> Vec<Witness> {
        Vec::new()
    }
}
