//! The seeds of every test run, and the engines broken on purpose that the checkers must catch.

use maitred_sim::report::Report;
use maitred_sim::sabotage::Sabotage;
use maitred_sim::world;

/// How many seeds every test run tries.
const SEEDS: u64 = 200;
/// How many of them run twice.
const SEEDS_TWICE: u64 = 20;
/// Within how many seeds a broken engine must be caught.
const SEEDS_TO_CATCH: u64 = 100;

#[test]
fn every_seed_passes_and_together_they_meet_every_fault() {
    let mut report = Report::default();
    for seed in 0..SEEDS {
        match world::run(seed, Sabotage::None) {
            Ok(outcome) => {
                assert!(outcome.report.of("commands") >= world::COMMANDS_MIN, "seed {seed}");
                assert!(outcome.report.faults() >= world::FAULTS_MIN, "seed {seed}");
                report.merge(&outcome.report);
            }
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    println!("{report}");
    assert!(report.missing().is_empty(), "never met: {:?}", report.missing());
}

#[test]
fn two_runs_of_a_seed_are_equal() {
    for seed in 0..SEEDS_TWICE {
        let (one, two) = (world::run(seed, Sabotage::None), world::run(seed, Sabotage::None));
        assert_eq!(one, two, "seed {seed}");
    }
}

#[test]
fn every_sabotage_is_caught() {
    for sabotage in Sabotage::ALL {
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| {
            let what = world::run(seed, sabotage).err()?;
            what.contains(sabotage.caught_as()).then_some((seed, what))
        });
        let (seed, what) = caught.unwrap_or_else(|| panic!("{sabotage:?} went unnoticed by its checker"));
        println!("{sabotage:?}: seed {seed}: {what}");
    }
}
