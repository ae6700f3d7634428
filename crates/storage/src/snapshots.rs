//! The folder of a view's snapshots: `<seq>.snapshot`, the newest two of them.
//!
//! Invariants:
//! - A name that ends in `.snapshot` is durable together with all of its file: written under another name,
//!   synced, renamed.
//! - A snapshot is disposable. One that cannot be read is passed over, and nothing is lost but time.

use std::io;
use std::thread;
use std::time::Duration;

use maitred_core::{PartitionId, Seq};
use maitred_engine::View;
use maitred_engine::log::Tail;
use maitred_engine::meta::{Flushed, Schema};
use maitred_engine::recovery::Snapshots;
use maitred_engine::snapshot_file::{self, Header, SnapshotError};
use maitred_engine::store::{Store, StoreError};
use maitred_engine::witness::Witness;

use crate::disk::{Disk, DiskFile};
use crate::log_file::FREE_BYTES_MIN;

/// By how much the log grows between two snapshots, unless it is said otherwise.
pub const SNAPSHOT_LOG_BYTES: u64 = 256 * 1024 * 1024;
/// How many snapshots are kept: the newest, and the one before in case it cannot be read.
pub const SNAPSHOTS_KEPT: usize = 2;
/// How much is written to the disk, or read from it, at a time.
const BUFFER_BYTES: usize = 1024 * 1024;
/// How long to wait behind each piece that is written: the log's syncs wait behind it. Not longer than needed: while a
/// snapshot is written, the view's store keeps its old pages, and grows.
const PIECE_PAUSE: Duration = Duration::from_millis(4);

const ENDING: &str = ".snapshot";
const UNFINISHED: &str = "next.snapshot.new";

/// The snapshots of one view.
#[derive(Debug)]
pub struct SnapshotFolder<D: Disk> {
    disk: D,
    schema: Schema,
}

impl<D: Disk> SnapshotFolder<D> {
    /// The snapshots on `disk`, of views whose tables have the layout `schema`. Those of another are passed over.
    pub fn new(disk: D, schema: Schema) -> Self {
        SnapshotFolder { disk, schema }
    }

    /// The batches at which there are snapshots, the newest first.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn newest_first(&self) -> io::Result<Vec<Seq>> {
        let names = self.disk.list()?;
        let mut seqs: Vec<_> =
            names.iter().filter_map(|name| name.strip_suffix(ENDING)?.parse::<Seq>().ok()).collect();
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(seqs)
    }

    /// Writes a snapshot of `view`, durably, and removes all but the newest ones. Returns its batch. The view is
    /// held meanwhile: a store keeps its old pages for so long.
    ///
    /// # Errors
    /// Whatever the disk says; the snapshots before are still there.
    pub fn write(&self, view: &View) -> io::Result<Seq> {
        let seq = view.seq();
        if self.newest_first()?.contains(&seq) {
            return Ok(seq);
        }
        self.remove_unfinished()?;
        if self.disk.free_bytes()? < FREE_BYTES_MIN {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "too little room is left for a snapshot"));
        }
        self.write_new(view).inspect_err(|_| {
            let _ = self.remove_unfinished(); // the log needs the room more
        })?;
        for old in self.newest_first()?.into_iter().skip(SNAPSHOTS_KEPT) {
            self.disk.remove(&name_of(old))?;
        }
        Ok(seq)
    }

    fn write_new(&self, view: &View) -> io::Result<()> {
        let file = self.disk.create(UNFINISHED)?;
        let flushed = Flushed { tail: view.tail(), timestamp: view.timestamp(), schema: self.schema };
        let header = Header { partition: view.position().partition, flushed };
        let mut out = Writer { file: &file, buffer: Vec::with_capacity(BUFFER_BYTES), offset: 0 };
        snapshot_file::write(&mut out, &header, view)?;
        io::Write::flush(&mut out)?;
        file.sync_data()?;
        self.disk.rename(UNFINISHED, &name_of(view.seq()))?;
        self.disk.sync_dir()
    }

    fn remove_unfinished(&self) -> io::Result<()> {
        if self.disk.list()?.iter().any(|name| name == UNFINISHED) {
            self.disk.remove(UNFINISHED)?;
        }
        Ok(())
    }

    /// The file of the snapshot of batch `seq`, as an operator would look for it.
    pub fn full_name(&self, seq: Seq) -> String {
        self.disk.full_name(&name_of(seq))
    }

    /// How many bytes may still be written to the disk.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    /// Opens the snapshot of batch `seq`.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn open(&self, seq: Seq) -> io::Result<impl io::Read + use<D>> {
        let file = self.disk.open(&name_of(seq))?;
        let length = file.length()?;
        Ok(io::BufReader::with_capacity(BUFFER_BYTES, Reader { file, offset: 0, length }))
    }

    /// What the snapshot of batch `seq` bears witness of. `None` if it cannot be read, or is of another partition.
    pub fn witness(&self, seq: Seq, partition: PartitionId) -> Option<Witness> {
        let (header, _) = snapshot_file::read(self.open(seq).ok()?).ok()?;
        let witness = Witness { name: self.full_name(seq), tail: header.flushed.tail };
        (header.partition == partition).then_some(witness)
    }

    fn load_one(
        &self,
        seq: Seq,
        store: &dyn Store,
        fits: &dyn Fn(Tail) -> bool,
    ) -> Result<Option<Flushed>, SnapshotError> {
        let (header, _) = snapshot_file::read(self.open(seq)?)?;
        if header.flushed.schema != self.schema || !fits(header.flushed.tail) {
            return Ok(None);
        }
        let header = snapshot_file::load(self.open(seq)?, store)?;
        Ok(Some(header.flushed))
    }
}

impl<D: Disk> Snapshots for SnapshotFolder<D> {
    fn load(&self, store: &dyn Store, fits: &dyn Fn(Tail) -> bool) -> Result<Option<Flushed>, StoreError> {
        let seqs = self.newest_first().map_err(|error| StoreError::Failed(error.to_string()))?;
        for seq in seqs {
            match self.load_one(seq, store, fits) {
                Ok(Some(flushed)) => return Ok(Some(flushed)),
                Ok(None) => {
                    let why = "of another build's tables, or the log cannot be read there";
                    tracing::warn!(snapshot.seq = seq, "a snapshot is {why}; passed over");
                }
                Err(SnapshotError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::warn!(snapshot.seq = seq, error = %error, "a snapshot cannot be read; passed over");
                }
            }
        }
        Ok(None)
    }

    fn witnesses(&self, partition: PartitionId) -> Vec<Witness> {
        // A folder that cannot be listed is told when one is to be loaded.
        let seqs = self.newest_first().unwrap_or_default();
        seqs.into_iter().filter_map(|seq| self.witness(seq, partition)).collect()
    }
}

/// When the next snapshot is due: the log has grown by so much since the last one.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    every_bytes: u64,
    behind_bytes: u64,
}

impl Schedule {
    /// A snapshot every `every_bytes` of log (0: never), of which `behind_bytes` lie behind the last one already.
    pub fn new(every_bytes: u64, behind_bytes: u64) -> Self {
        Schedule { every_bytes, behind_bytes }
    }

    /// The log has grown by `bytes`.
    pub fn grow(&mut self, bytes: u64) {
        self.behind_bytes = self.behind_bytes.saturating_add(bytes);
    }

    /// Whether a snapshot should be written now.
    pub fn is_due(&self) -> bool {
        self.every_bytes > 0 && self.behind_bytes >= self.every_bytes
    }

    /// Whether one is worth its while before a stop: half of the way to the next is behind the last.
    pub fn is_due_before_stop(&self) -> bool {
        self.every_bytes > 0 && self.behind_bytes >= self.every_bytes.div_ceil(2)
    }

    /// A snapshot was written, or could not be: the next is due after as much log again.
    pub fn restart(&mut self) {
        self.behind_bytes = 0;
    }
}

fn name_of(seq: Seq) -> String {
    format!("{seq:020}{ENDING}")
}

/// Writes a file from front to back, and has each piece on its way to the disk before the next: half a gigabyte that
/// is synced at once would stop the log's syncs for so long.
struct Writer<'a, F> {
    file: &'a F,
    buffer: Vec<u8>,
    offset: u64,
}

impl<F: DiskFile> io::Write for Writer<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
            thread::sleep(PIECE_PAUSE);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.offset)?;
        self.file.write_back(self.offset, self.buffer.len() as u64);
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a file from front to back.
struct Reader<F> {
    file: F,
    offset: u64,
    length: u64,
}

impl<F: DiskFile> io::Read for Reader<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.offset).unwrap_or(usize::MAX);
        let len = bytes.len().min(left);
        self.file.read_at(&mut bytes[..len], self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}
