//! Chores of this repository: `cargo run --release -p xtask -- tidy`.
//!
//! Next: [`tidy`] for what it checks.

mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["tidy"] {
        eprintln!("usage: xtask tidy");
        return ExitCode::FAILURE;
    }
    match tidy::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}
