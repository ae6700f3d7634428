//! When a provider that fails is left alone (a circuit breaker).
//!
//! Closed: it is asked. After [`FAILURES_MAX`] failed fetches in a row, open: it is not, for [`OPEN_FOR`]. Then half
//! open: the next fetch tells whether it closes or opens again. Time is an input.

use std::time::Duration;

use tokio::time::Instant;

/// Failed fetches in a row that open the circuit.
pub const FAILURES_MAX: u32 = 5;
/// How long it stays open.
pub const OPEN_FOR: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is kept to.
pub const REST_MAX: Duration = Duration::from_secs(10 * 60);

/// How a provider's circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// It is asked.
    Closed,
    /// It is left alone.
    Open,
    /// The next fetch decides.
    HalfOpen,
}

#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    pub(super) fn circuit(&self, now: Instant) -> Circuit {
        match self.open_until {
            None => Circuit::Closed,
            Some(until) if now < until => Circuit::Open,
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// Whether the provider is asked now; else in how long. That one fetch at a time asks it, others see to.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        match self.open_until {
            Some(until) if now < until => Err(until - now),
            _ => Ok(()),
        }
    }

    /// Whether there is anything to remember.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// A fetch failed, and the provider asked for a rest, perhaps.
    pub(super) fn failed(&mut self, now: Instant, rest: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let open = (self.failures >= FAILURES_MAX).then_some(OPEN_FOR);
        let longest = open.max(rest.map(|rest| rest.min(REST_MAX)));
        self.open_until = longest.map(|longest| now + longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_fetch_decides() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker.failed(now, None);
            assert_eq!((breaker.circuit(now), breaker.admit(now)), (Circuit::Closed, Ok(())));
        }
        breaker.failed(now, None);
        assert_eq!((breaker.circuit(now), breaker.admit(now)), (Circuit::Open, Err(OPEN_FOR)));
        now += OPEN_FOR - Duration::from_millis(1);
        assert_eq!(breaker.admit(now), Err(Duration::from_millis(1)));
        now += Duration::from_millis(1);
        assert_eq!((breaker.circuit(now), breaker.admit(now)), (Circuit::HalfOpen, Ok(())));
        breaker.failed(now, None);
        assert_eq!(breaker.admit(now), Err(OPEN_FOR), "it fails once, and opens at once");
    }

    #[test]
    fn a_rest_that_is_asked_for_is_given_within_bounds() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(now, Some(Duration::from_secs(5)));
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(5)));
        breaker.failed(now, Some(Duration::from_secs(86_400)));
        assert_eq!(breaker.admit(now), Err(REST_MAX));
        for _ in 2..FAILURES_MAX {
            breaker.failed(now, Some(Duration::from_secs(5)));
        }
        assert_eq!(breaker.admit(now), Err(OPEN_FOR), "the longer of both");
    }
}
