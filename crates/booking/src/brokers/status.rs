//! What the connections to brokers do, for whoever measures it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use maitred_core::Timestamp;

/// Every connection that this server has, or tries to have.
#[derive(Debug, Default)]
pub struct Brokers {
    publishing: Mutex<Vec<Arc<Publishing>>>,
    consuming: Mutex<Vec<Arc<Consuming>>>,
}

/// What a publisher does. The counters only rise.
#[derive(Debug, Default)]
pub struct Publishing {
    /// The broker's name.
    pub broker: String,
    /// Whether there is a connection.
    pub connected: AtomicBool,
    /// Whether another server has claimed its name: this one has stopped.
    pub superseded: AtomicBool,
    /// Changes that the broker has confirmed.
    pub published: AtomicU64,
    /// Times that a change was handed over again, or waits to be.
    pub retried: AtomicU64,
    /// Times that no queue took a change.
    pub unroutable: AtomicU64,
    /// Batches that are not published to their end.
    pub behind: AtomicU64,
    /// Changes that are read and not confirmed.
    pub waiting: AtomicU64,
    /// When the oldest of these was decided, in microseconds since 1970; 0 for none.
    pub oldest: AtomicI64,
}

/// What is taken from a queue. The counters only rise.
#[derive(Debug, Default)]
pub struct Consuming {
    /// The broker's name.
    pub broker: String,
    /// The queue's.
    pub queue: String,
    /// Whether there is a connection.
    pub connected: AtomicBool,
    /// Messages whose command was accepted, those included that changed nothing.
    pub accepted: AtomicU64,
    /// Messages that were put aside as dead letters.
    pub put_aside: AtomicU64,
    /// Times that a command was entered again.
    pub retried: AtomicU64,
    /// Messages that are taken and not done.
    pub waiting: AtomicU64,
}

impl Brokers {
    /// Knows a publisher.
    pub fn add_publishing(&self, status: Arc<Publishing>) {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    /// Knows a consumer of a queue.
    pub fn add_consuming(&self, status: Arc<Consuming>) {
        self.consuming.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    /// The publishers.
    pub fn publishing(&self) -> Vec<Arc<Publishing>> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The consumers of queues.
    pub fn consuming(&self) -> Vec<Arc<Consuming>> {
        self.consuming.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Publishing {
    /// How old the oldest change is that is read and not confirmed.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        match self.oldest.load(Relaxed) {
            0 => Duration::ZERO,
            oldest => Duration::from_micros(u64::try_from(now.as_micros() - oldest).unwrap_or(0)),
        }
    }
}
