//! Verifying segments one at a time, for `check` and for the scrub in the background. Changes nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use maitred_core::Seq;
use maitred_engine::log::{LogError, Tail};

use super::damage::Damage;
use super::scan::scan_segment;
use super::segment::{Segment, is_torn_name, read_headers};
use super::shared::unchanged;
use crate::disk::{Disk, DiskFile};

/// A segment that is as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its file's full name.
    pub segment: String,
    /// How many batches it holds.
    pub batches: u64,
    /// The last of them.
    pub last: Tail,
    /// How many bytes were verified.
    pub bytes: u64,
    /// Bytes left by an append that a crash interrupted: nothing acknowledged is missing, and the next
    /// start cuts them. Only ever in the newest segment of a log that is not open.
    pub torn_bytes: u64,
}

/// The first batches of log `log`'s segments, in order, from their headers. The last one is appended to:
/// a scrub of an open log leaves it out.
///
/// # Errors
/// [`LogError::DataLoss`] when a segment is missing, misplaced, cut short or has a damaged header;
/// [`LogError::Determinate`] when the folder cannot be listed.
pub fn segments<D: Disk>(disk: &D, log: u32) -> Result<Vec<Seq>, LogError> {
    Ok(read_headers(disk, log, &list(disk)?)?.iter().map(|header| header.first_seq).collect())
}

/// Verifies the segment that starts with batch `first_seq`: every batch's checksum, hash, number and link to
/// the one before, the link to the segment behind, and the zeros at the end.
///
/// # Errors
/// [`LogError::DataLoss`] says in words what is wrong, and where; [`LogError::Determinate`] when there is no
/// such segment or the folder cannot be listed.
pub fn verify_segment<D: Disk>(disk: &D, log: u32, first_seq: Seq) -> Result<Verified, LogError> {
    verify(disk, log, first_seq, |file| file)
}

/// What a scrub asks before it reads so many bytes: it waits as long as they should take. False ends the scrub.
pub type Pace = Arc<dyn Fn(usize) -> bool + Send + Sync>;

/// Verifies a segment as [`verify_segment`] does, from the disk rather than from memory, and not faster than `pace`.
/// `None` if that ended it.
///
/// # Errors
/// As [`verify_segment`].
pub fn scrub_segment<D: Disk>(
    disk: &D,
    log: u32,
    first_seq: Seq,
    pace: &Pace,
) -> Result<Option<Verified>, LogError> {
    let ended = Arc::new(AtomicBool::new(false));
    let verified = verify(disk, log, first_seq, |file| {
        // A sealed segment was synced, so nothing is lost; where it cannot be done, what memory has is verified.
        let _ = file.drop_cache();
        Paced { file, pace: Arc::clone(pace), ended: Arc::clone(&ended) }
    });
    if ended.load(Ordering::Relaxed) { Ok(None) } else { verified.map(Some) }
}

fn verify<D: Disk, F: DiskFile>(
    disk: &D,
    log: u32,
    first_seq: Seq,
    through: impl FnOnce(D::File) -> F,
) -> Result<Verified, LogError> {
    let headers = read_headers(disk, log, &list(disk)?)?;
    let at = headers
        .binary_search_by_key(&first_seq, |header| header.first_seq)
        .map_err(|_| LogError::Determinate(format!("no segment starts with batch {first_seq}")))?;
    let Segment { header, name, full_name, .. } = Segment::new(disk, headers[at]);
    let file = disk.open(&name).map_err(|e| Damage::unreadable(&full_name, 0, first_seq, &e))?;
    let scan = scan_segment(&through(file), &full_name, &header)?;
    if let Some(next) = headers.get(at + 1) {
        let damaged = |what: &str| Damage::new(&full_name, scan.end, scan.tail.0 + 1, what);
        if scan.torn.is_some() {
            return Err(damaged("the batch is not whole, and others follow").into());
        }
        if next.first_seq != scan.tail.0 + 1 {
            let what = format!("no batch stands here, and the next segment starts with {}", next.first_seq);
            return Err(damaged(&what).into());
        }
        if next.prev_hash != scan.tail.1 {
            return Err(damaged("the next segment does not follow: the hashes do not chain").into());
        }
    }
    Ok(Verified {
        segment: full_name,
        batches: scan.tail.0 + 1 - first_seq,
        last: scan.tail,
        bytes: header.bytes,
        torn_bytes: scan.torn.map_or(0, |remains| remains.bytes),
    })
}

/// The full names of the files in which the remains of torn batches have been kept.
///
/// # Errors
/// [`LogError::Determinate`] when the folder cannot be listed.
pub fn torn_files<D: Disk>(disk: &D) -> Result<Vec<String>, LogError> {
    Ok(list(disk)?.iter().filter(|name| is_torn_name(name)).map(|name| disk.full_name(name)).collect())
}

/// A file that is read at a pace, and leaves nothing of it in memory.
struct Paced<F: DiskFile> {
    file: F,
    pace: Pace,
    ended: Arc<AtomicBool>,
}

impl<F: DiskFile> Drop for Paced<F> {
    fn drop(&mut self) {
        let _ = self.file.drop_cache(); // the view needs the room more; it is none of the scrub's findings
    }
}

impl<F: DiskFile> DiskFile for Paced<F> {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if !(self.pace)(bytes.len()) {
            self.ended.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }
}

fn list<D: Disk>(disk: &D) -> Result<Vec<String>, LogError> {
    disk.list().map_err(|error| unchanged(disk, "listing", "", &error))
}
