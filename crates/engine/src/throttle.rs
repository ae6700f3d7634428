//! How the writer slows down as the overlay fills, so that its rate comes down to the flusher's without a cliff.
//!
//! Below half of the overlay's bound nothing happens: that much is the flusher's normal work in progress. From there to
//! the bound two things grow smoothly with the excess: a pause before each batch, by its square, and how far the largest
//! batch shrinks. The pause alone would not do: a batch of 512 commands every 4 ms is more than any store on a
//! disk takes in, and a longer pause would be seen in every answer. Together they come down from no limit at half of
//! the bound over about 136,000 commands a second in the middle to 8,000 a second at the bound, which is below what
//! the store takes in, so that the overlay settles in between.

use std::time::Duration;

use crate::batch::BATCH_COMMANDS_MAX;

/// The longest pause before a batch: at the bound, and past it.
pub const PAUSE_MAX: Duration = Duration::from_millis(4);
/// The most commands of a batch at the bound, and past it.
pub const THROTTLED_COMMANDS_MAX: usize = 32;

/// What the writer may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// How long it sleeps before the next batch.
    pub pause: Duration,
    /// The most commands it puts into that.
    pub commands_max: usize,
}

impl Throttle {
    /// For an overlay of so many bytes under a bound of so many.
    pub fn of(overlay_bytes: usize, bytes_max: usize) -> Throttle {
        let half = (bytes_max / 2).max(1);
        let excess = (overlay_bytes.saturating_sub(half) as f64 / half as f64).min(1.0);
        let fewer = (BATCH_COMMANDS_MAX - THROTTLED_COMMANDS_MAX) as f64 * excess;
        Throttle {
            pause: PAUSE_MAX.mul_f64(excess * excess),
            commands_max: BATCH_COMMANDS_MAX - fewer as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Throttle = Throttle { pause: Duration::ZERO, commands_max: BATCH_COMMANDS_MAX };
    const FULL: Throttle = Throttle { pause: PAUSE_MAX, commands_max: THROTTLED_COMMANDS_MAX };

    #[test]
    fn up_to_half_of_the_bound_nothing_is_slower_and_past_it_nothing_is_slower_still() {
        for (bytes, is) in [(0, FREE), (500, FREE), (1_000, FULL), (1_900, FULL), (usize::MAX, FULL)] {
            assert_eq!(Throttle::of(bytes, 1_000), is, "{bytes}");
        }
        assert_eq!(Throttle::of(750, 1_000), Throttle { pause: PAUSE_MAX / 4, commands_max: 272 });
        assert_eq!(Throttle::of(2, 0), FULL, "no room at all");
    }

    #[test]
    fn it_grows_without_a_step() {
        const BOUND: usize = 64 * 1024 * 1024;
        let mut last = FREE;
        for percent in 50..=100 {
            let now = Throttle::of(BOUND / 100 * percent, BOUND);
            assert!(now.pause >= last.pause && now.commands_max <= last.commands_max, "{percent}");
            assert!(now.pause - last.pause < PAUSE_MAX / 20, "{percent}");
            assert!(last.commands_max - now.commands_max <= 12, "{percent}");
            last = now;
        }
    }
}
