//! `maitred-sim [SEEDS [FIRST]]`: runs that many seeds, from the first on, and prints what they met. Each is a run of the
//! product and one of its timers and consumers alone.

use std::process::ExitCode;

use maitred_sim::report::Report;
use maitred_sim::sabotage::Sabotage;
use maitred_sim::side_effects::{self, Breach};
use maitred_sim::world;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(seeds), Ok(first)) = (arguments.next().unwrap_or(Ok(200)), arguments.next().unwrap_or(Ok(0)))
    else {
        eprintln!("usage: maitred-sim [SEEDS [FIRST]]");
        return ExitCode::FAILURE;
    };
    side_effects::hush();
    let (mut report, mut beside) = (Report::default(), Report::default());
    for seed in first..first + seeds {
        let whole = world::run(seed, Sabotage::None).map(|outcome| report.merge(&outcome.report));
        let both = whole.and_then(|()| side_effects::run(seed, Breach::None));
        match both {
            Ok((one, _)) => beside.merge(&one),
            Err(what) => {
                eprintln!("seed {seed} failed: {what}\nrun it again: just sim 1 {seed}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{seeds} seeds from {first} passed\n{report}\ntimers and consumers alone\n{beside}");
    let missing = report.missing();
    if seeds >= 200 && !missing.is_empty() {
        eprintln!("never met: {missing:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
