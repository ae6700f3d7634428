//! One run of `maitred load` against a server, and what the server took for it.

use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::server::Server;

/// The load tester's program.
#[derive(Debug)]
pub(crate) struct LoadTester {
    pub(crate) program: PathBuf,
    pub(crate) key: Option<String>,
}

/// Whether what the server still does for a load once it is answered belongs to the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aftermath {
    /// Yes: its CPU time and what it writes are counted until it rests.
    Counts,
    /// No: it is not waited for.
    Ignored,
}

/// What one run measured. Latencies in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    /// To the first bytes of the answer.
    pub(crate) first_p50: f64,
    pub(crate) first_p99: f64,
    pub(crate) max: f64,
    /// CPU time of the server per request, warm-up and aftermath included, in microseconds.
    pub(crate) cpu_micros: f64,
    /// CPU time of the load tester per request, in microseconds.
    pub(crate) client_cpu_micros: f64,
    /// Bytes that the data's device wrote per request, those of the aftermath included.
    pub(crate) written_bytes: f64,
    /// Anonymous resident memory of the server when the load ended.
    pub(crate) anonymous_bytes: f64,
    /// All requests of the run, warm-up included.
    pub(crate) requests: f64,
}

/// The part of the load tester's report that is needed here.
#[derive(Debug, Deserialize)]
struct Report {
    requests: u64,
    requests_warm_up: u64,
    requests_per_second: f64,
    latency: Latency,
    first_bytes: Latency,
    client_cpu_micros_per_request: Option<f64>,
    problems: Vec<String>,
}

/// What the load tester prints: of some loads a report for each of their parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reports {
    One(Report),
    Parts(Vec<Report>),
}

#[derive(Debug, Deserialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl LoadTester {
    /// Runs `maitred load` with `arguments` to its end, and waits as `aftermath` says before the server's counters
    /// are read again. Of a load of several parts the rate and the latencies are those of the first.
    ///
    /// # Errors
    /// The run could not be made, or did not pass: a benchmark of wrong answers measures nothing.
    pub(crate) fn run(
        &self,
        server: &Server,
        arguments: &[String],
        aftermath: Aftermath,
    ) -> Result<Sample, BenchError> {
        let mut command = Command::new(&self.program);
        command.arg("load").args(arguments).args(["--json", "--url", &server.url()]);
        if let Some(key) = &self.key {
            command.env("MAITRED_KEY", key);
        }
        let before = server.reading()?;
        let output = command
            .output()
            .map_err(|error| BenchError(format!("starting {}: {error}", self.program.display())))?;
        let anonymous_bytes = server.reading()?.anonymous_bytes as f64;
        if aftermath == Aftermath::Counts {
            server.rest()?;
        }
        let after = server.reading()?;
        let reports: Reports = serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            BenchError(format!("load {}: no report ({error}): {}", arguments.join(" "), said.trim()))
        })?;
        let reports = match reports {
            Reports::One(report) => vec![report],
            Reports::Parts(parts) => parts,
        };
        let problems: Vec<&str> =
            reports.iter().flat_map(|report| &report.problems).map(String::as_str).collect();
        if !problems.is_empty() {
            return Err(BenchError(format!("load {}: {}", arguments.join(" "), problems.join("; "))));
        }
        let requests =
            reports.iter().map(|report| report.requests + report.requests_warm_up).sum::<u64>() as f64;
        let report = reports.first().ok_or_else(|| BenchError("a load of no parts".to_owned()))?;
        Ok(Sample {
            per_second: report.requests_per_second,
            p50: report.latency.p50,
            p95: report.latency.p95,
            p99: report.latency.p99,
            p99_9: report.latency.p99_9,
            first_p50: report.first_bytes.p50,
            first_p99: report.first_bytes.p99,
            max: report.latency.max,
            cpu_micros: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / requests,
            client_cpu_micros: report.client_cpu_micros_per_request.unwrap_or(0.0),
            written_bytes: after.written_bytes.saturating_sub(before.written_bytes) as f64 / requests,
            anonymous_bytes,
            requests,
        })
    }
}

/// The median of each measure by itself.
pub(crate) fn median(samples: &[Sample]) -> Option<Sample> {
    if samples.is_empty() {
        return None;
    }
    let of = |measure: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(measure).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        }
    };
    Some(Sample {
        per_second: of(|sample| sample.per_second),
        p50: of(|sample| sample.p50),
        p95: of(|sample| sample.p95),
        p99: of(|sample| sample.p99),
        p99_9: of(|sample| sample.p99_9),
        first_p50: of(|sample| sample.first_p50),
        first_p99: of(|sample| sample.first_p99),
        max: of(|sample| sample.max),
        cpu_micros: of(|sample| sample.cpu_micros),
        client_cpu_micros: of(|sample| sample.client_cpu_micros),
        written_bytes: of(|sample| sample.written_bytes),
        anonymous_bytes: of(|sample| sample.anonymous_bytes),
        requests: of(|sample| sample.requests),
    })
}

#[cfg(test)]
pub(crate) fn sample(per_second: f64, p50: f64) -> Sample {
    Sample {
        per_second,
        p50,
        p95: p50 * 2.0,
        p99: p50 * 3.0,
        p99_9: p50 * 4.0,
        first_p50: p50,
        first_p99: p50 * 3.0,
        max: p50 * 5.0,
        cpu_micros: 10.0,
        client_cpu_micros: 4.0,
        written_bytes: 500.0,
        anonymous_bytes: 1e8,
        requests: 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_measure_by_measure() {
        let samples = [sample(10.0, 3.0), sample(30.0, 1.0), sample(20.0, 9.0)];
        let middle = median(&samples).unwrap();
        assert_eq!((middle.per_second, middle.p50, middle.p99), (20.0, 3.0, 9.0));
        let even = median(&samples[..2]).unwrap();
        assert_eq!((even.per_second, even.p50), (20.0, 2.0));
        assert!(median(&[]).is_none());
    }
}
