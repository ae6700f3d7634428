//! The thread that reads the log's older segments again and again, so that damage is found while a backup is young.
//!
//! Invariants:
//! - It changes nothing, and stops nothing: the newest state is in the view, so reads and writes go on.
//! - It reads no faster than it is told to, from the disk rather than from memory, and behind every other thread.
//! - Damage is an error in the log once, and stands in `/health` and `/metrics` until the segment is sound again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use maitred_booking::soundness::Soundness;
use maitred_core::Seq;
use maitred_engine::log::LogError;
use maitred_storage::disk::RealDisk;
use maitred_storage::log_file::verify::{self, Pace};

use crate::assemble::PARTITION;

/// How many bytes are read in a second, unless it is said otherwise: 28 GiB of log in an hour, and a small part of
/// what the slowest disk in use can do.
pub const SCRUB_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;
/// How long it rests after it has read everything.
pub const SCRUB_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// The thread's priority, as of `nice`: the lowest.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

/// How fast it goes.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How many bytes it reads in a second; 0: it reads none.
    pub bytes_per_second: u64,
    /// How long it rests after it has read everything.
    pub pause: Duration,
}

/// The thread, running.
#[derive(Debug)]
pub struct Scrubber {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Scrubber {
    /// Starts it on a folder of segments, the last of which it leaves alone. It tells `soundness` what it finds.
    pub fn start(disk: RealDisk, rate: Rate, soundness: Soundness) -> Self {
        let (stop, stopped) = channel();
        let run = move || {
            // Where this is not allowed it goes on as it is: it has little to do.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::setpriority_process(None, NICE); // of this thread alone, on Linux
            let stopped = Stopped(Arc::new(Mutex::new(stopped)));
            if rate.bytes_per_second == 0 {
                return;
            }
            loop {
                if !pass(&disk, rate.bytes_per_second, &stopped, &soundness) || stopped.within(rate.pause) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("maitred-scrub".into()).spawn(run);
        Scrubber { stop, thread: thread.expect("a thread can be started") }
    }

    /// Ends it, within one read.
    pub fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join(); // a panic was reported by the thread itself
    }
}

/// The word to stop: the other end is gone.
#[derive(Clone)]
struct Stopped(Arc<Mutex<Receiver<()>>>);

impl Stopped {
    /// Waits for it, at most `patience`.
    fn within(&self, patience: Duration) -> bool {
        let stopped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }
}

/// Looks at every segment but the one that is appended to. False when it was stopped.
fn pass(disk: &RealDisk, bytes_per_second: u64, stopped: &Stopped, soundness: &Soundness) -> bool {
    let pace: Pace = {
        let stopped = stopped.clone();
        Arc::new(move |bytes| {
            !stopped.within(Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64))
        })
    };
    let segments = match verify::segments(disk, PARTITION) {
        Ok(segments) => segments,
        Err(error) => {
            report(0, &error, soundness);
            return true;
        }
    };
    soundness.sound(0, 0); // no header is damaged
    for first_seq in segments.split_last().map_or(&[][..], |(_, sealed)| sealed) {
        match verify::scrub_segment(disk, PARTITION, *first_seq, &pace) {
            Ok(None) => return false,
            Ok(Some(verified)) => soundness.sound(*first_seq, verified.bytes),
            Err(error) => report(*first_seq, &error, soundness),
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    soundness.complete(now.as_secs());
    true
}

/// `first_seq` is 0 where the segments' headers are what is damaged.
pub(crate) fn report(first_seq: Seq, error: &LogError, soundness: &Soundness) {
    let LogError::DataLoss(what) = error else {
        tracing::warn!(error = %error, "the log's older segments cannot be looked at; trying again later");
        return;
    };
    if soundness.damaged(first_seq, what) {
        tracing::error!(
            log.segment = first_seq,
            error = %what,
            "a segment of the log is damaged: take it from a backup; reads and writes go on"
        );
    }
}
