//! Opening a log: verify the newest segment, cut a torn batch, or stop at damage.
//!
//! Invariants:
//! - what is found whole is made durable before anybody is told of it: a crash of the process alone leaves
//!   whole batches behind that were never synced;
//! - nothing is changed in a log that is damaged, or whose end is judged to be missing;
//! - a crash at any step here leaves a log that the next opening treats alike: the remains of a torn batch
//!   are copied before they are zeroed, and however many of their sectors have been zeroed, they are still
//!   the remains of a torn batch.

use std::io;
use std::sync::Arc;

use maitred_core::Seq;
use maitred_engine::batch::GENESIS;
use maitred_engine::log::{LogError, Tail};

use super::damage::Damage;
use super::format::SECTOR_BYTES;
use super::scan::{Remains, Scan, scan_segment};
use super::segment::{Segment, UNFINISHED, read_headers, torn_name};
use super::shared::{Shared, broken, unchanged};
use super::spare::recover_spare;
use super::{Current, FileLog, Options};
use crate::disk::{Disk, DiskFile, is_full};

/// A log that was opened, and what was found on the way.
pub struct Opened<D: Disk> {
    /// The log, ready to be appended to.
    pub log: FileLog<D>,
    /// What was found.
    pub report: Report,
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many segments there are.
    pub segments: usize,
    /// The last batch.
    pub tail: Tail,
    /// How many batches of the newest segment were verified.
    pub batches_verified: u64,
    /// How many bytes were read to verify them.
    pub bytes_verified: u64,
    /// The batch that a crash had torn, and that was cut.
    pub torn: Option<Torn>,
}

/// A batch that was never acknowledged, because a crash interrupted its append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Where its remains have been kept: full name of a file.
    pub kept_in: String,
    /// Where they were: full name of the segment.
    pub segment: String,
    /// The offset there.
    pub offset: u64,
    /// The number it would have had.
    pub seq: Seq,
    /// From its first sector to the last one that was written.
    pub bytes: u64,
}

/// Opens the log of a folder.
pub(super) fn open<D: Disk>(
    disk: D,
    options: Options,
    judge: impl FnOnce(Tail) -> Result<(), LogError>,
) -> Result<Opened<D>, LogError> {
    assert!(options.segment_bytes.is_multiple_of(SECTOR_BYTES as u64), "a segment is made of sectors");
    // A crash of the process alone leaves names that are seen but not durable.
    disk.sync_dir().map_err(|error| broken(&disk, "syncing", "", &error))?;
    let names = disk.list().map_err(|error| unchanged(&disk, "listing", "", &error))?;
    let headers = read_headers(&disk, options.log, &names)?;
    let segments: Vec<_> = headers.into_iter().map(|header| Arc::new(Segment::new(&disk, header))).collect();

    let mut report = Report {
        segments: segments.len(),
        tail: (0, GENESIS),
        batches_verified: 0,
        bytes_verified: 0,
        torn: None,
    };
    let scanned = segments.last().map(|newest| verify_newest(&disk, newest)).transpose()?;
    judge(scanned.as_ref().map_or(report.tail, |(_, scan)| scan.tail))?;
    let mut current = None;
    if let Some((newest, (file, scan))) = segments.last().zip(scanned) {
        if let Some(remains) = scan.torn {
            report.torn = Some(cut(&disk, &names, newest, &file, &scan, remains)?);
        }
        report.tail = scan.tail;
        report.batches_verified = scan.tail.0 + 1 - newest.header.first_seq;
        report.bytes_verified = newest.header.bytes;
        newest.set_index(scan.index);
        current = Some(Current { segment: Arc::clone(newest), file, end: scan.end });
    }
    let spare = recover_spare(&disk, &names, options.segment_bytes)
        .map_err(|error| unchanged(&disk, "taking up the spare in", "", &error))?;

    let end = current.as_ref().map_or(0, |current| current.end);
    let shared = Arc::new(Shared::new(disk, options, spare, (report.tail, end), segments));
    Ok(Opened { log: FileLog { shared, tail: report.tail, current, frame: Vec::new() }, report })
}

fn verify_newest<D: Disk>(disk: &D, newest: &Segment) -> Result<(D::File, Scan), LogError> {
    let name = &newest.name;
    let file = disk.open(name).map_err(|error| unchanged(disk, "opening", name, &error))?;
    file.sync_data().map_err(|error| broken(disk, "syncing", name, &error))?;
    // Pages that an earlier process failed to sync may be in memory still, clean, and not on the disk.
    file.drop_cache().map_err(|error| unchanged(disk, "reading afresh", name, &error))?;
    let scan = scan_segment(&file, &newest.full_name, &newest.header)?;
    Ok((file, scan))
}

/// Keeps the remains of a torn batch in a file of their own, and makes their place zero again.
fn cut<D: Disk>(
    disk: &D,
    names: &[String],
    segment: &Segment,
    file: &D::File,
    scan: &Scan,
    remains: Remains,
) -> Result<Torn, LogError> {
    let (seq, offset) = (scan.tail.0 + 1, scan.end);
    let mut bytes = vec![0; remains.bytes as usize];
    file.read_at(&mut bytes, offset)
        .map_err(|error| Damage::unreadable(&segment.full_name, offset, seq, &error))?;
    let kept_in = keep(disk, names, &segment.name, &bytes)?;
    bytes.fill(0);
    file.write_at(&bytes, offset)
        .and_then(|()| file.sync_data())
        .map_err(|error| broken(disk, "zeroing the torn end of", &segment.name, &error))?;
    let torn = Torn { kept_in, segment: segment.full_name.clone(), offset, seq, bytes: remains.bytes };
    tracing::warn!(
        log.segment = torn.segment,
        log.offset = torn.offset,
        log.seq = torn.seq,
        log.kept_in = torn.kept_in,
        "cut a batch that a crash had torn before it was acknowledged; its remains are kept in {}",
        torn.kept_in
    );
    Ok(torn)
}

/// Writes the remains to a new file, durably, and gives its full name.
fn keep<D: Disk>(disk: &D, names: &[String], segment: &str, bytes: &[u8]) -> Result<String, LogError> {
    let name = torn_name(segment, names);
    let unfinished = format!("{name}{UNFINISHED}");
    let write = || {
        if names.contains(&unfinished) {
            disk.remove(&unfinished)?;
        }
        let copy = disk.create(&unfinished)?;
        copy.write_at(bytes, 0)?;
        copy.sync_data()?;
        disk.rename(&unfinished, &name)?;
        disk.sync_dir()
    };
    // The log itself is as it was, so a later start may do all of this again.
    write().map_err(|error: io::Error| {
        if is_full(&error) {
            LogError::Full(format!("no room to keep a torn batch in {}", disk.full_name(&name)))
        } else {
            broken(disk, "keeping a torn batch in", &name, &error)
        }
    })?;
    Ok(disk.full_name(&name))
}
