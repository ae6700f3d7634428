//! `maitred completions`.

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
    /// Never.
    pub fn run(self) -> Done {
        clap_complete::generate(self.shell, &mut Cli::command(), "maitred", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
