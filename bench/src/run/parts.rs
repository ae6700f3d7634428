//! What is measured, part by part. Each leaves its rows, figures and targets in the results.

use std::fs;
use std::io;
use std::path::Path;

use super::backlog::{self, Backlog};
use super::load::{Aftermath, median};
use super::results::Comparison;
use super::{Bench, BenchError, Extent, Load, recovery, sales, salons};

/// A share at many connections is at least so much of that at few.
const SHARE_KEPT_MIN: f64 = 0.9;
/// A median latency at many connections is at most so many times that at few.
const LATENCY_GROWTH_MAX: f64 = 1.1;
/// The slowest of a hundred answers, in milliseconds, at the most connections.
const P99_MILLIS_MAX: f64 = 500.0;

/// Shares of the ceiling that are wanted.
const BURST_SHARE_MIN: f64 = 0.45;
const SUSTAINED_SHARE_MIN: f64 = 0.25;
const READ_SHARE_MIN: f64 = 0.70;
/// The connections at which a burst is to reach its share.
const BURST_CONNECTIONS: u64 = 256;
/// The slowest of a hundred upserts at half of a burst's rate, in milliseconds.
const ON_TIME_P99_MILLIS_MAX: f64 = 10.0;
/// After so long a sustained load's overlay is as large as it is going to be.
const OVERLAY_SETTLED_SECONDS: usize = 10;

/// A part of the benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Upserts as fast as answers come, few enough to fit into memory; then at half of that rate on time, for longer
    Burst,
    /// Upserts as fast as answers come, for minutes
    Sustained,
    /// Single reads and reads of an instant
    Reads,
    /// Upserts that are refused because the time is taken
    Conflict,
    /// Whether many connections are served as well as few
    Degradation,
    /// Purchases, refused and accepted, in a rush and on time, alone and beside a login storm
    FlashSale,
    /// Salons: imported, read by the week, asked for what can be booked, booked, and a thousand of them at once
    Salons,
    /// Starts after a kill, with much to replay and without a view; lists of the past; bytes per upsert on disk
    Recovery,
}

impl Part {
    pub(crate) const ALL: [Part; 8] = [
        Part::Burst,
        Part::Sustained,
        Part::Reads,
        Part::Conflict,
        Part::Degradation,
        Part::FlashSale,
        Part::Salons,
        Part::Recovery,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Part::Burst => "burst",
            Part::Sustained => "sustained",
            Part::Reads => "reads",
            Part::Conflict => "conflict",
            Part::Degradation => "degradation",
            Part::FlashSale => "flash-sale",
            Part::Salons => "salons",
            Part::Recovery => "recovery",
        }
    }

    pub(crate) fn measure(self, bench: &mut Bench) -> Result<(), BenchError> {
        match self {
            Part::Burst => burst(bench),
            Part::Sustained => sustained(bench),
            Part::Reads => closed_loops(bench, self.name(), &["get", "at"], Some(READ_SHARE_MIN)),
            Part::Conflict => closed_loops(bench, self.name(), &["conflict"], None),
            Part::Degradation => degradation(bench),
            Part::FlashSale => sales::measure(bench),
            Part::Salons => salons::measure(bench),
            Part::Recovery => recovery::measure(bench),
        }
    }
}

fn burst(bench: &mut Bench) -> Result<(), BenchError> {
    let extent = Extent::Requests(bench.sizes.burst_requests);
    let mut fastest = Vec::new();
    for connections in bench.sizes.connections.clone() {
        let closed = Load { mix: "upsert", connections, extent, rate: None, keys: "uniform" };
        let comparison = bench.compare("burst", "upsert", &closed)?;
        if connections == BURST_CONNECTIONS {
            bench.target_share(&comparison, BURST_SHARE_MIN);
        }
        fastest.push((closed, per_second(&comparison)));
    }
    for (closed, per_second) in fastest {
        let rate = Some(((per_second / 2.0) as u64).max(1));
        // Longer than a burst: what happens behind the answers now and then is to be in it. Behind the bursts, since
        // it makes many more records than they do.
        let extent = Extent::Seconds(bench.sizes.on_time_seconds);
        let on_time = Load { rate, extent, ..closed };
        let comparison = bench.compare("burst", "upsert at half the rate", &on_time)?;
        bench.target_latencies(&comparison, [None, None, Some(ON_TIME_P99_MILLIS_MAX)]);
    }
    Ok(())
}

fn sustained(bench: &mut Bench) -> Result<(), BenchError> {
    let connections = bench.sizes.sustained_connections;
    for keys in ["uniform", "clustered"] {
        let long = Extent::Seconds(bench.sizes.sustained_seconds);
        let load = Load { mix: "upsert", connections, extent: long, rate: None, keys };
        let ceiling = vec![bench.load_ceiling(&load)?];
        let backlog = Backlog::watch(bench.server()?.address());
        let server = bench.load_server(&load, Aftermath::Counts);
        let mut seen = backlog.stop();
        seen.truncate(bench.sizes.sustained_seconds as usize); // the server's rest is no load
        let server = vec![server?];
        if let Some(growth) = backlog::growth(&seen, OVERLAY_SETTLED_SECONDS) {
            let largest = seen.iter().max().map_or(0.0, |bytes| *bytes as f64 / 1e6);
            bench.figure(format!("largest overlay, {keys} keys"), largest, "MB");
            let name = format!(
                "overlay at the end by that after {OVERLAY_SETTLED_SECONDS} s, {keys} keys, at most 1"
            );
            bench.target(name, growth, growth <= 1.0);
        }
        let case = format!("upsert, {keys}");
        let comparison = Comparison { part: "sustained", case, connections, rate: None, ceiling, server };
        bench.target_share(&comparison, SUSTAINED_SHARE_MIN);
        bench.results.comparisons.push(comparison);
    }
    Ok(())
}

fn closed_loops(
    bench: &mut Bench,
    part: &'static str,
    mixes: &[&'static str],
    share_min: Option<f64>,
) -> Result<(), BenchError> {
    let extent = Extent::Seconds(bench.sizes.seconds);
    for mix in mixes {
        for connections in bench.sizes.connections.clone() {
            let load = Load { mix, connections, extent, rate: None, keys: "uniform" };
            let comparison = bench.compare(part, mix, &load)?;
            if let Some(min) = share_min {
                bench.target_share(&comparison, min);
            }
        }
    }
    Ok(())
}

fn degradation(bench: &mut Bench) -> Result<(), BenchError> {
    let extent = Extent::Requests(bench.sizes.burst_requests);
    let mut shares = Vec::new();
    for connections in bench.sizes.degradation_connections.clone() {
        let load = Load { mix: "upsert", connections, extent, rate: None, keys: "uniform" };
        let share = bench.compare("degradation", "upsert", &load)?.share().unwrap_or(0.0);
        shares.push((connections, share));
    }
    let Some(((few, share_of_few), rest)) = shares.split_first() else { return Ok(()) };
    for (connections, share) in rest {
        let kept = share / share_of_few;
        let name = format!("share at {connections} connections by that at {few}, at least {SHARE_KEPT_MIN}");
        bench.target(name, kept, kept >= SHARE_KEPT_MIN);
    }

    let rate = bench.sizes.degradation_rate;
    let extent = Extent::Seconds(bench.sizes.seconds);
    let most = rest.last().map_or(*few, |(connections, _)| *connections);
    let mut open = |connections| {
        let load = Load { mix: "upsert", connections, extent, rate: Some(rate), keys: "uniform" };
        let comparison = bench.compare("degradation", "upsert on time", &load)?;
        median(&comparison.server).ok_or_else(|| BenchError("nothing was measured".to_owned()))
    };
    let (at_few, at_most) = (open(*few)?, open(most)?);
    let growth = at_most.p50 / at_few.p50;
    let name = format!("p50 at {rate}/s, {most} connections by {few}, at most {LATENCY_GROWTH_MAX}");
    bench.target(name, growth, growth <= LATENCY_GROWTH_MAX);
    let p99 = at_most.p99 / 1000.0;
    bench.target(
        format!("p99 at {rate}/s, {most} connections, ms, below {P99_MILLIS_MAX}"),
        p99,
        p99 < P99_MILLIS_MAX,
    );
    Ok(())
}

fn per_second(comparison: &Comparison) -> f64 {
    median(&comparison.server).map_or(0.0, |sample| sample.per_second)
}

/// Bytes of the log: of the data's folder of that name, where there is one.
pub(crate) fn log_bytes(data: &Path) -> Option<u64> {
    bytes_under(&data.join("log")).ok()
}

/// Bytes of all files under a folder.
fn bytes_under(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_under(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_measured_without_what_lies_beside_it() {
        let data = std::env::temp_dir().join(format!("maitred-bench-{}-log", std::process::id()));
        fs::create_dir_all(data.join("log/0")).unwrap();
        fs::write(data.join("log/0/segment"), [0; 300]).unwrap();
        fs::write(data.join("log/names"), [0; 20]).unwrap();
        fs::write(data.join("view"), [0; 4000]).unwrap();
        let with = log_bytes(&data);
        fs::remove_dir_all(data.join("log")).unwrap();
        let without = log_bytes(&data);
        fs::remove_dir_all(&data).unwrap();
        assert_eq!((with, without), (Some(320), None));
    }

    #[test]
    fn every_part_can_be_named() {
        use clap::ValueEnum as _;
        assert_eq!(Part::ALL, Part::value_variants());
        for part in Part::ALL {
            assert_eq!(part.to_possible_value().unwrap().get_name(), part.name());
        }
    }
}
