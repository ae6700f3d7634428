//! Whole-system benchmarks: the server beside a yardstick, in one run, on one machine.
//!
//! `maitred-bench ceiling` serves the yardstick ([`ceiling`]); `maitred-bench run` starts both servers, loads them in
//! turns and prints what each part of the [`run`] measured as a share of the yardstick.

mod ceiling;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

/// Beside a server that answers the same bytes, how fast is ours?
#[derive(Debug, clap::Parser)]
#[command(name = "maitred-bench")]
enum Command {
    /// Serves the yardstick: the same HTTP stack with no work behind it
    Ceiling(ceiling::Ceiling),
    /// Compares the server with the yardstick
    Run(run::Run),
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let ended = match Command::parse() {
        Command::Ceiling(options) => options.run().map(|()| true).map_err(|error| error.to_string()),
        Command::Run(options) => options.run().map_err(|error| error.to_string()),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
