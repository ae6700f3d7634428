//! `maitred openapi`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::failure::{Done, Failure};
use crate::{assemble, router};

/// Options of `openapi`.
#[derive(Debug, Args)]
#[command(after_help = "Example: maitred openapi > openapi.json")]
pub struct OpenApi {}

impl OpenApi {
    /// Prints the document that a server gives at `/openapi.json`.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be written.
    pub fn run(self) -> Done {
        let (app, threads) = assemble::in_memory()?;
        let (_, document) = router::router(&app);
        let json = document.to_pretty_json().map_err(Failure::unable)?;
        threads.stop();
        writeln!(std::io::stdout(), "{json}")?;
        Ok(ExitCode::SUCCESS)
    }
}
