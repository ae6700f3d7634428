//! A clock that the simulation moves.

use std::sync::Mutex;
use std::time::Duration;

use maitred_core::Timestamp;
use maitred_engine::clock::Clock;

/// Both clocks of a simulated machine.
#[derive(Debug)]
pub struct SimClock(Mutex<(Timestamp, Duration)>);

impl SimClock {
    /// Starts at `wall`.
    pub fn new(wall: Timestamp) -> Self {
        SimClock(Mutex::new((wall, Duration::ZERO)))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.0.lock().expect("the simulation has one thread");
        hands.0 = Timestamp::from_micros(hands.0.as_micros() + by.as_micros() as i64);
        hands.1 += by;
    }

    /// Sets the wall clock forward or back, as a time server does.
    pub fn jump(&self, micros: i64) {
        let mut hands = self.0.lock().expect("the simulation has one thread");
        hands.0 = Timestamp::from_micros(hands.0.as_micros() + micros);
    }
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        self.0.lock().expect("the simulation has one thread").0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().expect("the simulation has one thread").1
    }
}
