//! The spare: the next segment's file, written with zeros ahead of its use.
//!
//! ```text
//!   None ──create──▶ Filling (next.spare.new) ──step…, rename──▶ Ready (next.spare) ──rotation──▶ None
//! ```
//!
//! Zeros are really written, and synced bit by bit: so an append allocates nothing and its sync has only
//! its own sectors to write, and a sector that is zero after a crash is known never to have been written.
//! A finished spare outlives a restart: on a disk that has become nearly full it is what is left to write.

use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use maitred_engine::log::LogError;

use super::segment::UNFINISHED;
use super::shared::Shared;
use crate::disk::{Disk, DiskFile, is_full};

/// The most bytes that one step writes.
pub const PREPARE_STEP_BYTES: u64 = 1024 * 1024;

/// The name of a finished spare.
pub(super) const SPARE: &str = "next.spare";

/// Prepares the next segment while the log is appended to: a background thread or the simulation calls
/// [`Preparer::step`] until it answers [`Preparation::Ready`], and again after a while.
pub struct Preparer<D: Disk>(pub(super) Arc<Shared<D>>);

/// How far the next segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// Some of it was written; step again.
    Advanced,
    /// There is nothing to do until the log takes the spare.
    Ready,
    /// There is too little room on the disk; step again when that may have changed.
    NearlyFull,
}

#[derive(Debug)]
pub(super) enum Spare<F> {
    None,
    Filling { file: F, filled: u64, bytes: u64 },
    Ready { file: F, bytes: u64 },
}

impl<D: Disk> Preparer<D> {
    /// Writes at most [`PREPARE_STEP_BYTES`] of the next segment, durably.
    ///
    /// # Errors
    /// [`LogError::Broken`] when a write or a sync failed: the process must exit. [`LogError::Determinate`]
    /// for any other failure; trying again is allowed.
    pub fn step(&self) -> Result<Preparation, LogError> {
        self.0.check_usable()?;
        let mut spare = self.0.lock_spare();
        self.0.prepare(&mut spare, self.0.options.segment_bytes)
    }
}

/// A spare that is becoming a segment. It still has the name [`SPARE`], so until it has another, no next spare may be
/// finished: that would take this one's name, and the segment's batches would go to a file without any.
pub(super) struct Taken<'a, F> {
    pub(super) file: F,
    pub(super) bytes: u64,
    /// Let go of once the file has its segment's name.
    pub(super) lock: MutexGuard<'a, Spare<F>>,
}

impl<D: Disk> Shared<D> {
    /// Takes a spare of at least `bytes_min` bytes, finished here and now if need be.
    ///
    /// # Errors
    /// [`LogError::Full`] when there is no room for one, else as [`Preparer::step`].
    pub(super) fn take_spare(&self, bytes_min: u64) -> Result<Taken<'_, D::File>, LogError> {
        let mut spare = self.lock_spare();
        loop {
            match self.prepare(&mut spare, bytes_min)? {
                Preparation::Advanced => {}
                Preparation::NearlyFull => {
                    return Err(LogError::Full(format!(
                        "another segment would leave fewer than {} bytes free in {}",
                        self.options.free_bytes_min,
                        self.disk.full_name("")
                    )));
                }
                Preparation::Ready => {
                    if let Spare::Ready { file, bytes } = std::mem::replace(&mut *spare, Spare::None) {
                        return Ok(Taken { file, bytes, lock: spare });
                    }
                }
            }
        }
    }

    fn lock_spare(&self) -> MutexGuard<'_, Spare<D::File>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self, spare: &mut Spare<D::File>, bytes_min: u64) -> Result<Preparation, LogError> {
        match spare {
            Spare::None => self.begin(spare, bytes_min),
            Spare::Filling { bytes, .. } | Spare::Ready { bytes, .. } if *bytes < bytes_min => {
                self.discard(spare)?;
                self.begin(spare, bytes_min)
            }
            Spare::Filling { .. } => self.fill(spare),
            Spare::Ready { .. } => Ok(Preparation::Ready),
        }
    }

    fn begin(&self, spare: &mut Spare<D::File>, bytes: u64) -> Result<Preparation, LogError> {
        if !self.has_free(bytes)? {
            return Ok(Preparation::NearlyFull);
        }
        let name = unfinished();
        match self.disk.create(&name) {
            Ok(file) => *spare = Spare::Filling { file, filled: 0, bytes },
            Err(error) if is_full(&error) => return Ok(Preparation::NearlyFull),
            Err(error) => return Err(self.unchanged("creating", &name, &error)),
        }
        Ok(Preparation::Advanced)
    }

    fn fill(&self, spare: &mut Spare<D::File>) -> Result<Preparation, LogError> {
        let Spare::Filling { file, filled, bytes } = spare else { return Ok(Preparation::Ready) };
        let name = unfinished();
        let step = PREPARE_STEP_BYTES.min(*bytes - *filled);
        if !self.has_free(step)? {
            return Ok(Preparation::NearlyFull);
        }
        let written = file.write_at(&vec![0; step as usize], *filled).and_then(|()| file.sync_data());
        match written {
            Ok(()) => *filled += step,
            // Nothing rests on a spare, so that it found no room breaks nothing.
            Err(error) if is_full(&error) => {
                self.discard(spare)?;
                return Ok(Preparation::NearlyFull);
            }
            Err(error) => return Err(self.broken("writing", &name, &error)),
        }
        if *filled < *bytes {
            return Ok(Preparation::Advanced);
        }
        self.disk.rename(&name, SPARE).map_err(|error| self.unchanged("renaming", &name, &error))?;
        if let Spare::Filling { file, bytes, .. } = std::mem::replace(spare, Spare::None) {
            *spare = Spare::Ready { file, bytes };
        }
        Ok(Preparation::Ready)
    }

    fn discard(&self, spare: &mut Spare<D::File>) -> Result<(), LogError> {
        let name = if matches!(spare, Spare::Ready { .. }) { SPARE.to_owned() } else { unfinished() };
        self.disk.remove(&name).map_err(|error| self.unchanged("removing", &name, &error))?;
        *spare = Spare::None;
        Ok(())
    }

    fn has_free(&self, bytes: u64) -> Result<bool, LogError> {
        let free =
            self.disk.free_bytes().map_err(|error| self.unchanged("asking for the room in", "", &error))?;
        Ok(free >= self.options.free_bytes_min.saturating_add(bytes))
    }
}

/// Takes up what an earlier run left: a finished spare of the right length is used, the rest removed.
pub(super) fn recover_spare<D: Disk>(
    disk: &D,
    names: &[String],
    bytes_wanted: u64,
) -> io::Result<Spare<D::File>> {
    let exists = |name: &str| names.iter().any(|found| found == name);
    if exists(&unfinished()) {
        disk.remove(&unfinished())?;
    }
    if !exists(SPARE) {
        return Ok(Spare::None);
    }
    let file = disk.open(SPARE)?;
    let bytes = file.length()?;
    if bytes == bytes_wanted {
        return Ok(Spare::Ready { file, bytes });
    }
    disk.remove(SPARE)?;
    Ok(Spare::None)
}

fn unfinished() -> String {
    format!("{SPARE}{UNFINISHED}")
}
