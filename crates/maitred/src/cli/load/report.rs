//! What a run came to: as a table for people, as JSON for the benchmarks, and whether it passed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::generator::{Plan, Run};
use super::tally::{Failures, Outcome};

/// A finished run. Its JSON is the object that `--json` prints; durations are in the unit of their name.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    scenario: String,
    connections: usize,
    threads: usize,
    /// Arrivals a second that were asked for; null in the closed loop.
    rate: Option<f64>,
    warm_up_seconds: f64,
    /// From the end of the warm-up to the last measured answer.
    seconds: f64,
    /// Measured answers.
    requests: u64,
    /// Answers of the warm-up besides.
    requests_warm_up: u64,
    requests_per_second: f64,
    /// Outcomes a second: more than requests where one request is a batch.
    outcomes_per_second: f64,
    latency: Latency,
    /// The same to the first bytes of an answer.
    first_bytes: Latency,
    /// The latency by class of status, such as `4xx`.
    latency_by_class: BTreeMap<String, Latency>,
    /// How much of the latency passed before the request was sent: what the open loop makes visible.
    unsent: Latency,
    outcomes: BTreeMap<&'static str, u64>,
    statuses: BTreeMap<u16, u64>,
    failures: Failures,
    reconnects: u64,
    /// Requests of the open loop that were due and never sent.
    requests_unsent: u64,
    bytes_sent: u64,
    bytes_received: u64,
    /// CPU time the load tester itself took per measured request.
    client_cpu_micros_per_request: Option<f64>,
    /// Why the run failed; empty if it passed.
    problems: Vec<String>,
}

/// Microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    min: u64,
    mean: f64,
    p50: u64,
    p95: u64,
    p99: u64,
    p99_9: u64,
    max: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        Latency {
            min: histogram.min(),
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p95: histogram.value_at_quantile(0.95),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

impl Report {
    /// Sums a run up. `expected` are the outcomes it may have; none: any.
    pub(super) fn new(scenario: String, plan: &Plan, run: Run, expected: Option<&[Outcome]>) -> Self {
        let problems = problems(plan, &run, expected);
        let Run { ledger, elapsed, cpu } = run;
        let per_second =
            |count: u64| if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() };
        let requests = ledger.measured.answers;
        let per_request = |cpu: Duration| cpu.as_secs_f64() * 1e6 / requests as f64;
        Report {
            scenario,
            connections: plan.connections,
            threads: plan.threads,
            rate: plan.rate,
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            seconds: elapsed.as_secs_f64(),
            requests,
            requests_warm_up: ledger.warm_up.answers,
            requests_per_second: per_second(requests),
            outcomes_per_second: per_second(ledger.measured.outcomes.total()),
            latency: Latency::of(&ledger.latency),
            first_bytes: Latency::of(&ledger.first_bytes),
            latency_by_class: {
                let classes = ledger.latency_by_class.iter();
                classes.map(|(class, latency)| (format!("{class}xx"), Latency::of(latency))).collect()
            },
            unsent: Latency::of(&ledger.wait),
            outcomes: ledger.measured.outcomes.named(),
            requests_unsent: requests_unsent(plan, ledger.answers(), &ledger.failures),
            statuses: ledger.measured.statuses,
            failures: ledger.failures,
            reconnects: ledger.reconnects,
            bytes_sent: ledger.measured.bytes_sent,
            bytes_received: ledger.measured.bytes_received,
            client_cpu_micros_per_request: cpu.filter(|_| requests > 0).map(per_request),
            problems,
        }
    }

    /// Answers, those of the warm-up included.
    pub(super) fn requests(&self) -> u64 {
        self.requests + self.requests_warm_up
    }

    /// Exchanges that got no answer.
    pub(super) fn failures(&self) -> u64 {
        self.failures.total()
    }

    /// Why the run failed; empty if it passed.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether everything was as expected.
    pub(super) fn passed(&self) -> bool {
        self.problems.is_empty()
    }

    /// Fails the run for a further reason.
    pub(super) fn fail(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Fails the run unless exactly so many requests were answered.
    pub(super) fn demand_requests(&mut self, requests: u64) {
        if self.requests != requests {
            self.fail(format!("{} of {requests} requests were answered", self.requests));
        }
    }

    /// The table, with a line per problem below.
    pub(super) fn table(&self) -> String {
        self.table_with(Vec::new())
    }

    /// The table with further rows.
    pub(super) fn table_with(&self, further: Vec<(&'static str, String)>) -> String {
        let pace = match self.rate {
            Some(rate) => format!("open loop, {rate} arrivals/s"),
            None => "closed loop".to_owned(),
        };
        let mut rows = vec![
            ("scenario", self.scenario.clone()),
            ("load", format!("{pace}, {} connections, {:.1} s measured", self.connections, self.seconds)),
            (
                "requests",
                format!("{}, {}/s", grouped(self.requests), grouped(self.requests_per_second as u64)),
            ),
            ("latency", latency_text(&self.latency)),
        ];
        if self.latency_by_class.len() > 1 {
            let classes = self.latency_by_class.iter();
            rows.extend(
                classes
                    .map(|(class, latency)| ("  of a class", format!("{class}: {}", latency_text(latency)))),
            );
        }
        if self.first_bytes.max != self.latency.max {
            rows.push(("first bytes", latency_text(&self.first_bytes)));
        }
        if self.rate.is_some() {
            rows.push(("before sending", latency_text(&self.unsent)));
        }
        if self.outcomes_per_second > self.requests_per_second {
            rows.push(("outcomes/s", grouped(self.outcomes_per_second as u64)));
        }
        rows.push(("outcomes", counts(&self.outcomes)));
        rows.push(("statuses", counts(&self.statuses)));
        let Failures { connect, lost, timeout, malformed, .. } = &self.failures;
        rows.push((
            "failures",
            format!(
                "{connect} connect, {lost} lost, {timeout} timed out, {malformed} malformed; {} reconnects",
                self.reconnects
            ),
        ));
        rows.push((
            "bytes",
            format!("{} sent, {} received", grouped(self.bytes_sent), grouped(self.bytes_received)),
        ));
        if let Some(cpu) = self.client_cpu_micros_per_request {
            rows.push(("own CPU", format!("{cpu:.1} us/request")));
        }
        rows.extend(further);
        let mut table = String::new();
        for (name, text) in rows {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{name:<15} {text}");
        }
        for problem in &self.problems {
            let _ = writeln!(table, "{:<15} {problem}", "FAILED");
        }
        table
    }
}

fn requests_unsent(plan: &Plan, answers: u64, failures: &Failures) -> u64 {
    let sent = answers + failures.lost + failures.timeout + failures.malformed;
    plan.arrivals().map_or(0, |arrivals| arrivals.saturating_sub(sent))
}

fn problems(plan: &Plan, run: &Run, expected: Option<&[Outcome]>) -> Vec<String> {
    let ledger = &run.ledger;
    let mut problems = Vec::new();
    let failed = ledger.failures.total();
    if failed > 0 && !plan.reconnect {
        let first = ledger.failures.first.as_deref().unwrap_or_default();
        problems.push(format!("{failed} exchanges failed, the first with: {first}"));
    }
    if ledger.answers() == 0 {
        problems.push("no answer was received".to_owned());
    } else if ledger.measured.answers == 0 {
        problems.push("nothing was measured: the run was over within its warm-up".to_owned());
    }
    let unsent = requests_unsent(plan, ledger.answers(), &ledger.failures);
    if unsent > 0 && !plan.reconnect {
        problems
            .push(format!("{unsent} requests were due and not sent: the rate is more than can be answered"));
    }
    if let Some(expected) = expected {
        let outcomes = ledger.outcomes();
        for outcome in Outcome::ALL.into_iter().filter(|outcome| !expected.contains(outcome)) {
            let times = outcomes.count(outcome);
            if times > 0 {
                problems.push(format!("{times} unexpected outcomes `{}`{}", outcome.name(), hint(outcome)));
            }
        }
    }
    problems
}

/// What usually lies behind an outcome that was not expected.
fn hint(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::IgnoredStale => {
            ": these records were written before; move on with --first, or raise --revision"
        }
        Outcome::Missing | Outcome::Empty => {
            ": preload as many records as --records says, with the same --seed; or there is no tenant of that name"
        }
        Outcome::Conflict => ": the tenant holds other appointments at these times",
        _ => "",
    }
}

fn latency_text(latency: &Latency) -> String {
    let millis = |micros: u64| micros as f64 / 1000.0;
    format!(
        "min {:.3} ms, mean {:.3} ms, p50 {:.3} ms, p95 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms",
        millis(latency.min),
        latency.mean / 1000.0,
        millis(latency.p50),
        millis(latency.p95),
        millis(latency.p99),
        millis(latency.p99_9),
        millis(latency.max)
    )
}

fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let texts: Vec<_> = counts.iter().map(|(name, times)| format!("{name}: {}", grouped(*times))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

/// A number with a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::client::ExchangeError;
    use super::super::tally::{Answered, Ledger, Outcomes};
    use super::*;

    fn plan(rate: Option<f64>, reconnect: bool) -> Plan {
        Plan {
            address: "127.0.0.1:1".parse().unwrap(),
            connections: 2,
            threads: 1,
            rate,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(2),
            requests_max: u64::MAX,
            timeout: Duration::from_secs(1),
            reconnect,
        }
    }

    /// A run in which each of `outcomes` came once, a millisecond after it was due.
    fn run(outcomes: &[Outcome], failures: &[ExchangeError]) -> Run {
        let start = Instant::now();
        let mut ledger = Ledger::new();
        for outcome in outcomes {
            let mut one = Outcomes::default();
            one.add(*outcome, 1);
            let answered = Answered {
                intended: start,
                sent: start,
                began: start + Duration::from_micros(400),
                done: start + Duration::from_millis(1),
                status: 200,
                outcomes: one,
                bytes_sent: 1,
                bytes_received: 1,
            };
            ledger.add(&answered, start);
        }
        for failure in failures {
            ledger.failures.add(failure);
        }
        Run { ledger, elapsed: Duration::from_secs(2), cpu: Some(Duration::from_millis(4)) }
    }

    fn check(rate: Option<f64>, reconnect: bool, run: Run, problems: &[&str]) {
        let expected = [Outcome::Created];
        let report = Report::new("test".to_owned(), &plan(rate, reconnect), run, Some(&expected));
        assert_eq!(report.problems.len(), problems.len(), "{:?}", report.problems);
        for (found, begin) in report.problems.iter().zip(problems) {
            assert!(found.starts_with(begin), "{found}");
        }
        assert_eq!(report.passed(), problems.is_empty());
    }

    #[test]
    fn a_run_passes_only_if_all_was_sent_answered_and_expected() {
        use Outcome::{Conflict, Created};
        check(None, false, run(&[Created, Created], &[]), &[]);
        check(None, false, run(&[], &[]), &["no answer was received"]);
        check(None, false, run(&[Created, Conflict], &[]), &["1 unexpected outcomes `conflict`"]);
        let failed = "1 exchanges failed, the first with: no answer within";
        check(None, false, run(&[Created], &[ExchangeError::Timeout]), &[failed]);
        check(None, true, run(&[Created], &[ExchangeError::Timeout]), &[]);
        check(Some(1.0), false, run(&[Created, Created], &[]), &[]);
        check(Some(1.0), false, run(&[Created], &[]), &["1 requests were due and not sent"]);
    }

    #[test]
    fn a_run_that_measured_nothing_fails() {
        let mut ledger = Ledger::new();
        ledger.warm_up.answers = 5;
        let run = Run { ledger, elapsed: Duration::ZERO, cpu: None };
        check(None, false, run, &["nothing was measured"]);
    }

    #[test]
    fn the_numbers_are_those_of_the_run() {
        let run = run(&[Outcome::Created, Outcome::Created], &[]);
        let report = Report::new("test".to_owned(), &plan(None, false), run, None);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["requests"], 2);
        assert_eq!(json["requests_per_second"], 1.0);
        assert_eq!(json["latency"]["p99_9"], 1000);
        assert_eq!(json["first_bytes"]["p99"], 400);
        assert_eq!(json["outcomes"]["created"], 2);
        assert_eq!(json["statuses"]["200"], 2);
        assert_eq!(json["client_cpu_micros_per_request"], 2000.0);
        let table = report.table();
        assert!(table.contains("p50 1.000 ms") && table.contains("created: 2"), "{table}");
        assert!(!table.contains("FAILED"), "{table}");
    }

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
