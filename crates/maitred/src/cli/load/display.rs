//! Progress of a run: a bar on a terminal, else a plain line a second, so that a log of it can be read.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::generator::{Plan, Progress};
use super::report::grouped;

/// Shows progress on standard error.
pub(super) struct Display {
    bar: Option<ProgressBar>,
    /// Whether the run ends by its number of requests rather than by time.
    by_requests: bool,
    answers_before: u64,
    elapsed_before: Duration,
}

impl Display {
    pub(super) fn new(plan: &Plan, label: &str) -> Self {
        let by_requests = plan.requests_max != u64::MAX;
        let whole = if by_requests { plan.requests_max } else { millis(plan.warm_up + plan.duration) };
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(whole);
            if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(label.to_owned());
            bar
        });
        Display { bar, by_requests, answers_before: 0, elapsed_before: Duration::ZERO }
    }

    /// Shows how far the run is.
    pub(super) fn show(&mut self, progress: Progress<'_>) {
        let answers = progress.ledger.answers();
        let seconds = (progress.elapsed - self.elapsed_before).as_secs_f64().max(f64::EPSILON);
        let rate = (answers - self.answers_before) as f64 / seconds;
        let millis_at = |quantile| progress.ledger.latency.value_at_quantile(quantile) as f64 / 1000.0;
        let line = format!(
            "{:>4} s  {:>9}/s  p50 {:.2} ms  p99 {:.2} ms  {} failures",
            progress.elapsed.as_secs(),
            grouped(rate as u64),
            millis_at(0.5),
            millis_at(0.99),
            progress.ledger.failures.total()
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(if self.by_requests { answers } else { millis(progress.elapsed) });
                bar.set_message(line);
            }
            None => eprintln!("{line}"),
        }
        (self.answers_before, self.elapsed_before) = (answers, progress.elapsed);
    }

    /// Takes the bar away: the table follows.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
