//! Time as an input: the program reads the machine's clocks here, the simulation its own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maitred_core::Timestamp;

/// How far the wall clock may run ahead of what the monotonic clock expects before writes are refused.
pub const CLOCK_JUMP_MAX: Duration = Duration::from_secs(60);

/// Where the engine reads the time.
pub trait Clock: Send + Sync {
    /// The wall clock, which may jump.
    fn wall(&self) -> Timestamp;
    /// Time since some fixed moment, which never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp::from_micros(micros)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Notices a wall clock that jumps ahead: one bad second of a time server would otherwise stamp the log
/// with a future that every later batch has to stay above.
#[derive(Debug)]
pub struct ClockGuard {
    wall: Timestamp,
    monotonic: Duration,
}

impl ClockGuard {
    /// Trusts the clock as it is now.
    pub fn new(clock: &dyn Clock) -> Self {
        ClockGuard { wall: clock.wall(), monotonic: clock.monotonic() }
    }

    /// Reads the wall clock; `None` while it is suspect.
    ///
    /// Once suspect it stays so until [`ClockGuard::confirm`], or until the clock is back where it is
    /// expected.
    pub fn read(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        if is_suspect(wall, self.expected(monotonic)) {
            return None;
        }
        (self.wall, self.monotonic) = (wall, monotonic);
        Some(wall)
    }

    /// An operator's word that the wall clock is right.
    pub fn confirm(&mut self, clock: &dyn Clock) -> Confirmed {
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        let expected = self.expected(monotonic);
        *self = ClockGuard { wall, monotonic };
        Confirmed { expected, now: wall }
    }

    /// Where the wall clock would be now if it had not jumped.
    fn expected(&self, monotonic: Duration) -> Timestamp {
        let elapsed = monotonic.saturating_sub(self.monotonic).as_micros() as i64;
        Timestamp::from_micros(self.wall.as_micros() + elapsed)
    }
}

/// What an operator's word has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Where the monotonic clock expected the wall clock to be.
    pub expected: Timestamp,
    /// Where the wall clock is, which is believed from now on.
    pub now: Timestamp,
}

impl Confirmed {
    /// Whether writes were refused for it: the clock was further ahead than [`CLOCK_JUMP_MAX`].
    pub fn was_suspect(&self) -> bool {
        is_suspect(self.now, self.expected)
    }
}

fn is_suspect(wall: Timestamp, expected: Timestamp) -> bool {
    wall.as_micros() - expected.as_micros() > CLOCK_JUMP_MAX.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Hands(Mutex<(i64, u64)>);

    impl Clock for Hands {
        fn wall(&self) -> Timestamp {
            Timestamp::from_micros(self.0.lock().unwrap().0 * 1_000_000)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_refused_until_it_is_confirmed_or_back() {
        let hands = Hands(Mutex::new((1_000, 0)));
        let mut guard = ClockGuard::new(&hands);
        let at = |wall, monotonic, guard: &mut ClockGuard| {
            *hands.0.lock().unwrap() = (wall, monotonic);
            guard.read(&hands).map(|t| t.as_micros() / 1_000_000)
        };
        assert_eq!(at(1_010, 10, &mut guard), Some(1_010));
        assert_eq!(at(1_080, 20, &mut guard), Some(1_080), "exactly 60 s ahead is still allowed");
        assert_eq!(at(1_151, 30, &mut guard), None, "61 s ahead is not");
        assert_eq!(at(1_100, 40, &mut guard), Some(1_100), "back again");
        assert_eq!(at(900, 50, &mut guard), Some(900), "going back is the log's business, not the guard's");
        assert_eq!(at(9_000, 60, &mut guard), None);
        let confirmed = guard.confirm(&hands);
        assert_eq!((confirmed.expected.as_micros(), confirmed.now.as_micros()), (910_000_000, 9_000_000_000));
        assert!(confirmed.was_suspect() && !guard.confirm(&hands).was_suspect());
        assert_eq!(guard.read(&hands).map(|t| t.as_micros()), Some(9_000_000_000));
    }
}
