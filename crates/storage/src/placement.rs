//! Where a batch would stand in a log that has exactly one tail: the rules of `append_if` that need no I/O.
//!
//! Used by the logs whose tail the process knows for certain (file and memory).

use maitred_engine::batch::{SEALED_BYTES_MAX, Sealed};
use maitred_engine::log::{LogError, Tail};

/// Where an acceptable batch would stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Right after the tail.
    Next,
    /// Where a batch stands already: this one, sent again, or another's.
    Taken,
}

/// Judges `append_if(expected, batch)` on log number `log`, which ends at `tail`.
///
/// # Errors
/// [`LogError::Determinate`] for a batch that this log never takes, and [`LogError::Regressed`] when the
/// log does not hold what the caller has seen in it.
pub(crate) fn place(log: u32, tail: Tail, expected: Tail, batch: &Sealed) -> Result<Place, LogError> {
    let header = &batch.header;
    if header.log != log {
        return Err(LogError::Determinate(format!("the batch is for log {}, this is log {log}", header.log)));
    }
    if header.seq.checked_sub(1) != Some(expected.0) || header.prev_hash != expected.1 {
        return Err(LogError::Determinate(format!(
            "batch {} does not follow the tail it was decided on, {}",
            header.seq, expected.0
        )));
    }
    if batch.bytes.len() > SEALED_BYTES_MAX {
        return Err(LogError::Determinate(format!(
            "the batch has {} bytes, and the most is {SEALED_BYTES_MAX}",
            batch.bytes.len()
        )));
    }
    if expected == tail {
        Ok(Place::Next)
    } else if header.seq <= tail.0 {
        Ok(Place::Taken)
    } else {
        Err(regressed(tail, expected))
    }
}

/// Judges `confirm(at)` on a log that ends at `tail`.
///
/// # Errors
/// [`LogError::Regressed`] when it does not end there.
pub(crate) fn confirm(tail: Tail, at: Tail) -> Result<(), LogError> {
    if tail == at { Ok(()) } else { Err(regressed(tail, at)) }
}

fn regressed(tail: Tail, expected: Tail) -> LogError {
    let hash = if tail.0 == expected.0 { ", with another hash" } else { "" };
    LogError::Regressed(format!("it ends at batch {}{hash}, and batch {} was expected", tail.0, expected.0))
}
