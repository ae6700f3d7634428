//! `maitred completions`.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::failure::Done;

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example: maitred completions bash > /etc/bash_completion.d/maitred")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// [`Failure`](super::failure::Failure) where it cannot be written; a reader that has seen enough is none.
    pub fn run(self) -> Done {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "maitred", &mut script);
        match std::io::stdout().write_all(&script) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}
