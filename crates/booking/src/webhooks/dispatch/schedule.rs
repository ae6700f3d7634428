//! When a delivery is tried again: ten attempts over about three days, with full jitter.
//!
//! Source: Standard Webhooks, "Deliverability"; the jitter is AWS's "Exponential Backoff And Jitter".

use std::time::Duration;

use maitred_core::Timestamp;

use super::super::rules::ATTEMPTS_MAX;
use super::{AILING_AFTER, PAUSE_MAX};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The longest wait after each attempt but the last, in seconds. With full jitter the waits are half of these on average:
/// three days together.
const WAITS: [u64; ATTEMPTS_MAX as usize - 1] =
    [10, 2 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 32 * HOUR, 48 * HOUR, 48 * HOUR];

/// SplitMix64: where a wait falls.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Anything from nothing to `longest`.
    pub(super) fn within(&mut self, longest: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (z ^ (z >> 31)) >> 11;
        longest.mul_f64(share as f64 / (1_u64 << 53) as f64)
    }
}

/// When a change is tried again that has failed `attempts` times, the last time at `now`.
pub(super) fn next_attempt(
    attempts: u32,
    now: Timestamp,
    retry_after: Option<Duration>,
    random: &mut Random,
) -> Timestamp {
    let place = (attempts.max(1) as usize - 1).min(WAITS.len() - 1);
    let wait = random.within(Duration::from_secs(WAITS[place]));
    later(now, wait.max(retry_after.unwrap_or_default()))
}

/// Until when an endpoint is left alone that has failed `streak` times in a row.
pub(super) fn pause(
    streak: u32,
    now: Timestamp,
    retry_after: Option<Duration>,
    random: &mut Random,
) -> Timestamp {
    let asked = retry_after.unwrap_or_default().min(PAUSE_MAX);
    let own = match streak.checked_sub(AILING_AFTER) {
        None => Duration::ZERO,
        Some(over) => random.within(Duration::from_secs(1 << over.min(16)).min(PAUSE_MAX)),
    };
    later(now, own.max(asked))
}

pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.as_micros().saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_take_about_three_days() {
        let mut random = Random::new(7);
        let mut days = Vec::new();
        for _ in 0..1_000 {
            let at =
                (1..ATTEMPTS_MAX).fold(Timestamp::default(), |at, n| next_attempt(n, at, None, &mut random));
            days.push(at.as_micros() as f64 / 86_400e6);
        }
        let mean = days.iter().sum::<f64>() / days.len() as f64;
        assert!((2.8..3.3).contains(&mean), "{mean} days");
        assert!(days.iter().all(|days| *days < 6.2));
        assert!(
            days.iter().any(|days| *days < 2.0) && days.iter().any(|days| *days > 4.0),
            "they are spread"
        );
    }

    #[test]
    fn what_a_receiver_asks_for_is_waited_for_at_least() {
        let mut random = Random::new(7);
        let asked = Duration::from_secs(3_600);
        for attempts in 0..20 {
            let next = next_attempt(attempts, Timestamp::default(), Some(asked), &mut random);
            assert!(next >= later(Timestamp::default(), asked));
        }
        assert_eq!(pause(1, Timestamp::default(), None, &mut random), Timestamp::default());
        assert_eq!(
            pause(1, Timestamp::default(), Some(asked), &mut random),
            later(Timestamp::default(), PAUSE_MAX)
        );
        for streak in 0..200 {
            assert!(
                pause(streak, Timestamp::default(), None, &mut random)
                    <= later(Timestamp::default(), PAUSE_MAX)
            );
        }
    }
}
