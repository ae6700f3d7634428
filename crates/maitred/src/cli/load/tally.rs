//! What is counted while a load runs: answers by status and outcome, failures, bytes, latencies.
//!
//! Each generator thread has one [`Ledger`] of its own, so counting never contends; what falls into the warm-up is
//! counted apart, and is checked, but measures nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::client::ExchangeError;

/// Longest latency that is told apart; longer ones count as this long. Above the longest time limit.
const LATENCY_MICROS_MAX: u64 = 120_000_000;
/// Latencies are kept to a tenth of a percent.
const LATENCY_DIGITS: u8 = 3;

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Outcome {
    /// A record was created.
    Created,
    /// A record was given a newer version.
    Updated,
    /// The write was equal to or older than what is there, and ignored.
    IgnoredStale,
    /// 409: the time is taken.
    Conflict,
    /// A read found what it asked for.
    Found,
    /// A list came back empty.
    Empty,
    /// 404.
    Missing,
    /// 409: nothing is left of the sale.
    SoldOut,
    /// 409: the buyer has as many pieces as one may have.
    BuyerLimitReached,
    /// 409: the sale's window has not begun, or is over.
    SaleNotActive,
    /// Another 4xx: the server takes the request for wrong.
    Refused,
    /// 429, 503 or 507: try again later.
    Unavailable,
    /// Another 5xx.
    Failed,
    /// An answer that cannot be made sense of.
    Other,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Outcome; 14] = [
        Outcome::Created,
        Outcome::Updated,
        Outcome::IgnoredStale,
        Outcome::Conflict,
        Outcome::Found,
        Outcome::Empty,
        Outcome::Missing,
        Outcome::SoldOut,
        Outcome::BuyerLimitReached,
        Outcome::SaleNotActive,
        Outcome::Refused,
        Outcome::Unavailable,
        Outcome::Failed,
        Outcome::Other,
    ];

    /// Its name in options and reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::IgnoredStale => "ignored_stale",
            Outcome::Conflict => "conflict",
            Outcome::Found => "found",
            Outcome::Empty => "empty",
            Outcome::Missing => "missing",
            Outcome::SoldOut => "sold_out",
            Outcome::BuyerLimitReached => "buyer_limit_reached",
            Outcome::SaleNotActive => "sale_not_active",
            Outcome::Refused => "refused",
            Outcome::Unavailable => "unavailable",
            Outcome::Failed => "failed",
            Outcome::Other => "other",
        }
    }

    /// What a status says that carries no outcome of its own.
    pub(super) fn of_error_status(status: u16) -> Outcome {
        match status {
            404 => Outcome::Missing,
            409 => Outcome::Conflict,
            429 | 503 | 507 => Outcome::Unavailable,
            400..500 => Outcome::Refused,
            500..600 => Outcome::Failed,
            _ => Outcome::Other,
        }
    }
}

/// How often each outcome came. One answer may hold many: a batch has one per item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcomes([u64; Outcome::ALL.len()]);

impl Outcomes {
    pub(super) fn add(&mut self, outcome: Outcome, times: u64) {
        self.0[outcome as usize] += times;
    }

    pub(super) fn count(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that came, by name.
    pub(super) fn named(&self) -> BTreeMap<&'static str, u64> {
        let came = Outcome::ALL.into_iter().filter(|outcome| self.count(*outcome) > 0);
        came.map(|outcome| (outcome.name(), self.count(outcome))).collect()
    }

    pub(super) fn merge(&mut self, other: &Outcomes) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// Exchanges that got no answer, by cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Failures {
    pub(super) connect: u64,
    pub(super) lost: u64,
    pub(super) timeout: u64,
    pub(super) malformed: u64,
    /// The text of the first.
    pub(super) first: Option<String>,
}

impl Failures {
    pub(super) fn add(&mut self, error: &ExchangeError) {
        let counter = match error {
            ExchangeError::Connect(_) => &mut self.connect,
            ExchangeError::Lost(_) => &mut self.lost,
            ExchangeError::Timeout => &mut self.timeout,
            ExchangeError::Malformed(_) => &mut self.malformed,
        };
        *counter += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }

    pub(super) fn total(&self) -> u64 {
        self.connect + self.lost + self.timeout + self.malformed
    }

    fn merge(&mut self, other: &Failures) {
        self.connect += other.connect;
        self.lost += other.lost;
        self.timeout += other.timeout;
        self.malformed += other.malformed;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }
}

/// Counts of answers, either of the warm-up or of the measured time.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub(super) answers: u64,
    pub(super) outcomes: Outcomes,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

impl Counters {
    fn merge(&mut self, other: &Counters) {
        self.answers += other.answers;
        self.outcomes.merge(&other.outcomes);
        for (status, times) in &other.statuses {
            *self.statuses.entry(*status).or_default() += times;
        }
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}

/// One answered exchange.
#[derive(Debug)]
pub(super) struct Answered {
    /// When it was to start: the latency counts from here.
    pub(super) intended: Instant,
    /// When it was sent.
    pub(super) sent: Instant,
    /// When the first bytes of its answer came.
    pub(super) began: Instant,
    /// When its answer was complete.
    pub(super) done: Instant,
    pub(super) status: u16,
    pub(super) outcomes: Outcomes,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

/// Everything one generator thread counts.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) warm_up: Counters,
    pub(super) measured: Counters,
    pub(super) failures: Failures,
    /// Connections opened anew: after a failure, or because the server had closed one in good order.
    pub(super) reconnects: u64,
    /// Microseconds from the intended start to the complete answer.
    pub(super) latency: Histogram<u64>,
    /// The same to the first bytes of the answer.
    pub(super) first_bytes: Histogram<u64>,
    /// The latency by the first digit of the status: a refusal may cost less than what it refuses.
    pub(super) latency_by_class: BTreeMap<u16, Histogram<u64>>,
    /// Microseconds from the intended start to the sending: what the load tester itself adds, in an open loop.
    pub(super) wait: Histogram<u64>,
    /// When the last measured answer was complete.
    pub(super) last_done: Option<Instant>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Ledger {
            warm_up: Counters::default(),
            measured: Counters::default(),
            failures: Failures::default(),
            reconnects: 0,
            latency: latencies(),
            first_bytes: latencies(),
            latency_by_class: BTreeMap::new(),
            wait: latencies(),
            last_done: None,
        }
    }

    /// Counts an answer, as measured if its exchange was to start at `measured_from` or later.
    pub(super) fn add(&mut self, answered: &Answered, measured_from: Instant) {
        let measured = answered.intended >= measured_from;
        let counters = if measured { &mut self.measured } else { &mut self.warm_up };
        counters.answers += 1;
        counters.outcomes.merge(&answered.outcomes);
        *counters.statuses.entry(answered.status).or_default() += 1;
        counters.bytes_sent += answered.bytes_sent;
        counters.bytes_received += answered.bytes_received;
        if measured {
            let latency = micros(answered.done - answered.intended);
            self.latency.saturating_record(latency);
            self.of_class(answered.status / 100).saturating_record(latency);
            self.first_bytes.saturating_record(micros(answered.began - answered.intended));
            self.wait.saturating_record(micros(answered.sent - answered.intended));
            self.last_done = self.last_done.max(Some(answered.done));
        }
    }

    fn of_class(&mut self, class: u16) -> &mut Histogram<u64> {
        self.latency_by_class.entry(class).or_insert_with(latencies)
    }

    pub(super) fn merge(&mut self, other: &Ledger) {
        self.warm_up.merge(&other.warm_up);
        self.measured.merge(&other.measured);
        self.failures.merge(&other.failures);
        self.reconnects += other.reconnects;
        // Their bounds are the same, so adding cannot fail.
        let _ = self.latency.add(&other.latency);
        let _ = self.first_bytes.add(&other.first_bytes);
        let _ = self.wait.add(&other.wait);
        for (class, latency) in &other.latency_by_class {
            let _ = self.of_class(*class).add(latency);
        }
        self.last_done = self.last_done.max(other.last_done);
    }

    /// Answers of the warm-up and of the measured time.
    pub(super) fn answers(&self) -> u64 {
        self.warm_up.answers + self.measured.answers
    }

    /// Outcomes of both.
    pub(super) fn outcomes(&self) -> Outcomes {
        let mut all = self.warm_up.outcomes;
        all.merge(&self.measured.outcomes);
        all
    }
}

fn latencies() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, LATENCY_DIGITS) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constant: {error}"),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(intended: Instant, sent_after: u64, done_after: u64, outcome: Outcome) -> Answered {
        let mut outcomes = Outcomes::default();
        outcomes.add(outcome, 1);
        Answered {
            intended,
            sent: intended + Duration::from_micros(sent_after),
            began: intended + Duration::from_micros(done_after / 2),
            done: intended + Duration::from_micros(done_after),
            status: 200,
            outcomes,
            bytes_sent: 10,
            bytes_received: 20,
        }
    }

    #[test]
    fn the_warm_up_is_counted_apart_and_measures_nothing() {
        let start = Instant::now();
        let measured_from = start + Duration::from_secs(1);
        let mut ledger = Ledger::new();
        ledger.add(&answered(start, 0, 90_000, Outcome::Failed), measured_from);
        ledger.add(&answered(measured_from, 300, 500, Outcome::Created), measured_from);
        assert_eq!((ledger.warm_up.answers, ledger.measured.answers, ledger.answers()), (1, 1, 2));
        assert_eq!((ledger.latency.len(), ledger.latency.max()), (1, 500));
        assert_eq!((ledger.first_bytes.len(), ledger.first_bytes.max()), (1, 250));
        assert_eq!(ledger.wait.max(), 300);
        assert_eq!((ledger.latency_by_class.len(), ledger.latency_by_class[&2].max()), (1, 500));
        assert_eq!(ledger.measured.bytes_received, 20);
        assert_eq!(ledger.outcomes().count(Outcome::Failed), 1, "the warm-up is checked all the same");
        assert_eq!(ledger.last_done, Some(measured_from + Duration::from_micros(500)));
    }

    #[test]
    fn merging_adds_everything() {
        let start = Instant::now();
        let mut one = Ledger::new();
        one.add(&answered(start, 0, 100, Outcome::Created), start);
        one.failures.add(&ExchangeError::Timeout);
        let mut two = Ledger::new();
        two.add(&answered(start, 0, 200, Outcome::Conflict), start);
        two.failures.add(&ExchangeError::Lost(std::io::ErrorKind::UnexpectedEof.into()));
        two.reconnects = 3;
        one.merge(&two);
        assert_eq!(one.measured.statuses, BTreeMap::from([(200, 2)]));
        assert_eq!(one.measured.outcomes.named(), BTreeMap::from([("conflict", 1), ("created", 1)]));
        assert_eq!((one.latency.len(), one.latency.max(), one.latency.min()), (2, 200, 100));
        assert_eq!(one.latency_by_class[&2].len(), 2);
        assert_eq!(
            (one.failures.timeout, one.failures.lost, one.failures.total(), one.reconnects),
            (1, 1, 2, 3)
        );
        assert_eq!(one.failures.first.as_deref(), Some("no answer within the time limit"));
    }

    #[test]
    fn each_outcome_has_the_number_and_the_name_of_its_place() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
            let option = outcome.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(option.as_deref(), Some(outcome.name()));
        }
        assert_eq!(Outcome::ALL.len(), Outcome::value_variants().len());
    }

    #[test]
    fn statuses_without_an_outcome_are_told_apart() {
        let rows =
            [(404, "missing"), (409, "conflict"), (401, "refused"), (503, "unavailable"), (500, "failed")];
        for (status, name) in rows {
            assert_eq!(Outcome::of_error_status(status).name(), name);
        }
    }
}
