//! The commands of `maitred`.

pub mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The booking engine: gives out what is scarce, exactly once.
#[derive(Debug, Parser)]
#[command(name = "maitred", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Serve),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maitred: {error}");
            ExitCode::FAILURE
        }
    }
}
