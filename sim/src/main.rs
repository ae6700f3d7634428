//! `maitred-sim [SEEDS [FIRST]]`: runs that many seeds, from the first on, and prints what they met.

use std::process::ExitCode;

use maitred_sim::report::Report;
use maitred_sim::sabotage::Sabotage;
use maitred_sim::world;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(seeds), Ok(first)) = (arguments.next().unwrap_or(Ok(200)), arguments.next().unwrap_or(Ok(0)))
    else {
        eprintln!("usage: maitred-sim [SEEDS [FIRST]]");
        return ExitCode::FAILURE;
    };
    let mut report = Report::default();
    for seed in first..first + seeds {
        match world::run(seed, Sabotage::None) {
            Ok(outcome) => report.merge(&outcome.report),
            Err(what) => {
                eprintln!("seed {seed} failed: {what}\nrun it again: just sim 1 {seed}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{seeds} seeds from {first} passed\n{report}");
    let missing = report.missing();
    if seeds >= 200 && !missing.is_empty() {
        eprintln!("never met: {missing:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
