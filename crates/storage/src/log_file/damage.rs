//! Damage: a committed batch, or the place of one, that is not as it was written.

use std::io;

use maitred_core::Seq;
use maitred_engine::log::LogError;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, byte {offset}, batch {seq}: {what}")]
pub(super) struct Damage {
    /// The file's full name.
    pub(super) file: String,
    /// The first byte of what failed.
    pub(super) offset: u64,
    /// The batch that stands there, or should.
    pub(super) seq: Seq,
    /// What failed, in words.
    pub(super) what: String,
}

impl Damage {
    pub(super) fn new(file: &str, offset: u64, seq: Seq, what: impl Into<String>) -> Self {
        Damage { file: file.to_owned(), offset, seq, what: what.into() }
    }

    /// Bytes that cannot be read are lost as surely as wrong ones.
    pub(super) fn unreadable(file: &str, offset: u64, seq: Seq, error: &io::Error) -> Self {
        Damage::new(file, offset, seq, format!("it cannot be read: {error}"))
    }
}

impl From<Damage> for LogError {
    fn from(damage: Damage) -> Self {
        LogError::DataLoss(damage.to_string())
    }
}
