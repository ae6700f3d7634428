//! How a command fails: with a sentence for a person, and an exit status for a script.

use std::fmt;
use std::process::ExitCode;

use crate::assemble::StartError;
use crate::config::ConfigError;

/// The exit statuses, for the help.
pub const EXIT_STATUSES: &str = "\
Exit status: 0 done; 1 done, and the answer is no (check found something, an import refused lines, a load failed); \
2 the command line or the configuration is wrong; 3 it could not be done (folder or address in use, no permission, \
server not reachable); 70 the log broke, a restart may help; 130 stopped by a second signal.";

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

    /// Says it, and gives the status.
    pub fn report(&self) -> ExitCode {
        eprintln!("maitred: {}", self.message);
        ExitCode::from(self.status)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::usage(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Failure::unable(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::unable(error)
    }
}
