//! Timers and consumers by seeds, and broken on purpose.

use maitred_sim::report::Report;
use maitred_sim::side_effects::{self, Breach, EXPECTED, FAULTS_MIN, ORDERS_MIN, hush};

/// How many seeds every test run tries.
const SEEDS: u64 = 200;
/// How many of them run twice.
const SEEDS_TWICE: u64 = 20;
/// Within how many seeds a breach must be caught.
const SEEDS_TO_CATCH: u64 = 50;

#[test]
fn after_all_faults_everything_was_done_and_nothing_early() {
    hush();
    let mut report = Report::default();
    for seed in 0..SEEDS {
        match side_effects::run(seed, Breach::None) {
            Ok((one, _)) => {
                assert!(one.of("orders") >= ORDERS_MIN, "seed {seed}");
                assert!(one.faults() >= FAULTS_MIN, "seed {seed}");
                report.merge(&one);
            }
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    println!("{report}");
    let missing: Vec<_> = EXPECTED.iter().filter(|what| report.of(what) == 0).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}

#[test]
fn two_runs_of_a_seed_are_equal() {
    hush();
    for seed in 0..SEEDS_TWICE {
        let (one, two) = (side_effects::run(seed, Breach::None), side_effects::run(seed, Breach::None));
        assert_eq!(one, two, "seed {seed}");
    }
}

#[test]
fn every_breach_is_caught() {
    hush();
    for breach in Breach::ALL {
        let caught =
            (0..SEEDS_TO_CATCH).find_map(|seed| Some((seed, side_effects::run(seed, breach).err()?)));
        let (seed, what) = caught.unwrap_or_else(|| panic!("{breach:?} went unnoticed"));
        println!("{breach:?}: seed {seed}: {what}");
    }
}
