//! How long to wait before something that failed is tried again.
//!
//! The waiting times grow exponentially, with full jitter (Brooker 2015): what failed together does not come
//! back together.

use std::time::Duration;

/// Waiting times, from the first to the longest, and the chance behind them.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    state: u64,
}

impl Backoff {
    /// The first wait is at most `first`, each further one at most twice as long, and none longer than `max`.
    pub fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Backoff { first, max, state: seed }
    }

    /// How long to wait after so many failures in a row, from 1. Never nothing: who waits lets others go first.
    pub fn delay(&mut self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let most = doubled.min(self.max).as_micros() as u64;
        Duration::from_micros(1 + self.random() % most.max(1))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_differ() {
        let (first, max) = (Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, max, 7);
        let mut longest = |failures| (0..200).map(|_| backoff.delay(failures)).max().expect("200 of them");
        let (one, three, many) = (longest(1), longest(3), longest(u32::MAX));
        assert!(one <= first && one > first / 2, "{one:?}");
        assert!(three <= 4 * first && three > 2 * first, "{three:?}");
        assert!(many <= max && many > max / 2, "{many:?}");
        assert!(backoff.delay(1) != backoff.delay(1));
    }
}
