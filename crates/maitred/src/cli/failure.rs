//! How a command fails: with a sentence for a person, and an exit status for a script.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use maitred_engine::log::LogError;
use maitred_engine::recovery::RecoveryError;
use maitred_storage::open::OpenError;

use crate::assemble::StartError;
use crate::config::ConfigError;

/// The exit statuses, for the help.
pub const EXIT_STATUSES: &str = "\
Exit status: 0 done; 1 done, and the answer is no (check found something, an import refused lines, a load failed); \
2 the command line or the configuration is wrong; 3 it could not be done (folder or address in use, no permission, \
server not reachable); 70 the log broke, a restart may help; 130 stopped by a second signal; 141 the reader of its \
output went away.";

/// The exit status when nobody reads the output any more: that of a program which SIGPIPE ended.
const EXIT_UNREAD: u8 = 141;

/// Why a command ended without what was asked for.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
}

/// The result of a command.
pub type Done = Result<ExitCode, Failure>;

impl Failure {
    /// The command line or the configuration is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Failure { status: 2, message: message.to_string() }
    }

    /// It could not be done.
    pub fn unable(message: impl fmt::Display) -> Self {
        Failure { status: 3, message: message.to_string() }
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Says it, and gives the status. One whose reader went away says nothing.
    pub fn report(&self) -> ExitCode {
        if self.status != EXIT_UNREAD {
            eprintln!("maitred: {}", self.message);
        }
        ExitCode::from(self.status)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::usage(error)
    }
}

/// Why an engine does not start on the folder `dir`, with the next step where the log is damaged.
pub(super) fn not_started(error: &StartError, dir: &Path) -> Failure {
    let damaged = matches!(
        error,
        StartError::Open(OpenError::Log(LogError::DataLoss(_)))
            | StartError::Recovery(RecoveryError::Log(LogError::DataLoss(_)))
    );
    if !damaged {
        return Failure::unable(error);
    }
    let dir = dir.display();
    Failure::unable(format!(
        "{error}\nNext: do not delete anything. `maitred check --data {dir}` says all that is wrong; take the named \
         segment, or the whole folder, from a backup, and check again. docs/operations.md has every step."
    ))
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Failure::unable(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let status = if error.kind() == std::io::ErrorKind::BrokenPipe { EXIT_UNREAD } else { 3 };
        Failure { status, message: error.to_string() }
    }
}
