//! What a command writes to standard output.
//!
//! Invariants:
//! - A reader that has seen enough (`maitred keys list | head -1`) is no error: the command ends quietly, with the
//!   status of a program that SIGPIPE ended.
//! - No write to standard output panics.

use std::fmt::Display;
use std::io::{self, Write};

use super::failure::Failure;

/// Writes a line.
///
/// # Errors
/// [`Failure`] where it cannot be written; a quiet one where nobody reads any more.
pub(super) fn line(text: impl Display) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Writes a line for whoever reads; the command goes on in any case, and its exit status says the same.
pub(super) fn tell(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}"); // nobody reads, or there is nowhere to write
}
