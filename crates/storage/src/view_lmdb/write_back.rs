//! Getting what was written to the disk bit by bit.
//!
//! Commits leave pages in the kernel's cache. Left to itself, the kernel writes them all at once half a minute later,
//! and whoever syncs another file then, the log, waits behind them: 0.4 to 0.7 s were seen. So a thread goes through
//! the file slice by slice, round and round, as evenly as it can: a sync of the log, which also empties the disk's own
//! cache, then waits behind a slice or two. It needs no sync of the file system's journal.
//!
//! Not after each transaction: the pages of a view are written again and again, and what is written again before it is
//! on the disk goes there once.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::disk::DiskFile;

/// How long a pass through the file takes: the kernel's own period of looking for what to write.
const PASS: Duration = Duration::from_secs(5);
/// How much of the file is on its way to the disk at once.
const SLICE_BYTES: u64 = 1 << 20;

/// The thread that writes back.
#[derive(Debug)]
pub(super) struct WriteBack {
    /// None once it ends.
    written: Option<SyncSender<()>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WriteBack {
    /// Starts it for a file.
    pub(super) fn of(file: File) -> Self {
        let (written, told) = sync_channel(1);
        let ends = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&ends);
        let run = move || run(&file, &told, &ending);
        let thread = thread::Builder::new().name("maitred-writeback".into()).spawn(run);
        // Without a thread it is left to the kernel.
        WriteBack { written: Some(written), ends, thread: thread.ok() }
    }

    /// Tells it that the file was written to.
    pub(super) fn note(&self) {
        if let Some(written) = &self.written {
            let _ = written.try_send(()); // where that fails it knows already
        }
    }
}

impl Drop for WriteBack {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.written = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join(); // it has nothing that could panic
        }
    }
}

fn run(file: &File, told: &Receiver<()>, ends: &AtomicBool) {
    while told.recv().is_ok() {
        let begun = Instant::now();
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let slices = u32::try_from(bytes.div_ceil(SLICE_BYTES)).unwrap_or(u32::MAX).max(1);
        for slice in 0..slices {
            thread::park_timeout((begun + PASS / slices * slice).saturating_duration_since(Instant::now()));
            if ends.load(Ordering::Relaxed) {
                return;
            }
            file.write_back(u64::from(slice) * SLICE_BYTES, SLICE_BYTES);
        }
        thread::park_timeout((begun + PASS).saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_writes_what_was_noted_and_ends_at_once_in_its_pause() {
        let path = std::env::temp_dir().join(format!("maitred-write-back-{}", std::process::id()));
        std::fs::write(&path, vec![7; 3 * SLICE_BYTES as usize + 5]).unwrap();
        let write_back = WriteBack::of(File::open(&path).unwrap());
        for _ in 0..3 {
            write_back.note();
        }
        thread::sleep(Duration::from_millis(50)); // it is in its pause now, or writes still
        let begin = Instant::now();
        drop(write_back);
        assert!(begin.elapsed() < PASS / 2, "took {:?}", begin.elapsed());
        std::fs::remove_file(path).unwrap();
    }
}
