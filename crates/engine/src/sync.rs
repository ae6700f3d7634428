//! Locks, channels and threads: the machine's, or under the feature `shuttle` those of a checker that runs
//! the engine over many schedules (`tests/shuttle.rs`).
//!
//! Invariant: one thread of the engine waits for another only through what stands here. What wakes a task
//! (`tokio::sync::oneshot`, `watch`) makes no thread wait, and stays what it is.

#[cfg(feature = "shuttle")]
pub use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, mpsc},
    thread,
};
#[cfg(not(feature = "shuttle"))]
pub use std::{
    sync::{Condvar, Mutex, MutexGuard, mpsc},
    thread,
};
