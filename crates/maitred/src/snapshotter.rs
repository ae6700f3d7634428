//! The thread that writes a snapshot of the view from time to time, so that a start has little to replay, and looks
//! how much room is left on the disk.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use maitred_booking::Booking;
use maitred_booking::soundness::Soundness;
use maitred_engine::Engine;
use maitred_storage::disk::RealDisk;
use maitred_storage::snapshots::{Schedule, SnapshotFolder};

/// How often the thread looks at how far the log has grown.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The niceness of the thread: it gives way to the threads that answer. Not more than needed: while a snapshot is
/// written the view's store keeps its old pages.
const NICENESS: i32 = 5;

/// The thread, running.
#[derive(Debug)]
pub struct Snapshotter {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Snapshotter {
    /// Starts it.
    pub fn start(
        engine: Engine<Booking>,
        snapshots: SnapshotFolder<RealDisk>,
        mut schedule: Schedule,
        soundness: Soundness,
    ) -> Self {
        let (stop, stopped) = channel();
        let look = move |snapshots: &SnapshotFolder<RealDisk>| {
            // A disk that cannot say is as it was.
            if let Ok(bytes) = snapshots.free_bytes() {
                soundness.set_free_bytes(bytes);
            }
        };
        look(&snapshots);
        let run = move || {
            // Where it is not allowed, the thread competes with the others.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            let mut seen = 0;
            loop {
                look(&snapshots);
                let going_on = stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout);
                let log_bytes = engine.counters().log_bytes.load(Ordering::Relaxed);
                schedule.grow(log_bytes - seen);
                seen = log_bytes;
                if if going_on { schedule.is_due() } else { schedule.is_due_before_stop() } {
                    write(&engine, &snapshots);
                    schedule.restart();
                }
                if !going_on {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("maitred-snapshots".into()).spawn(run);
        Snapshotter { stop, thread: thread.expect("a thread can be started") }
    }

    /// Ends it, after a last snapshot if much has been written since the one before.
    pub fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join(); // a panic was reported by the thread itself
    }
}

fn write(engine: &Engine<Booking>, snapshots: &SnapshotFolder<RealDisk>) {
    let started = Instant::now();
    match snapshots.write(&engine.view()) {
        Ok(seq) => tracing::info!(
            snapshot.seq = seq,
            duration_ms = started.elapsed().as_millis() as u64,
            "wrote a snapshot of the view"
        ),
        Err(error) => tracing::warn!(
            error = %error,
            "a snapshot of the view cannot be written; the next start replays more of the log"
        ),
    }
}
