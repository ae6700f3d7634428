//! Getting what was written to the disk bit by bit.
//!
//! Commits leave pages in the kernel's cache. Left to itself, the kernel writes them all at once half a minute later,
//! and whoever syncs another file then, the log, waits behind them: 0.4 to 0.7 s were seen. So a thread goes through
//! the file every few seconds and has one slice after the other written, each when the one before is
//! done: a sync of the log, which also empties the disk's own cache, then waits behind a few slices at most. It needs no
//! sync of the file system's journal. (A pause of 5 ms behind each slice made every sync a little slower, and helped no
//! percentile.)
//!
//! Not after each transaction: the pages of a view are written again and again, and what is written again before it is
//! on the disk goes there once.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// From the beginning of one pass through the file to that of the next: the kernel's own period of looking for what
/// to write.
const WRITE_BACK_EVERY: Duration = Duration::from_secs(5);
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
            let _ = thread.join(); // it has nothing that could panic
        }
    }
}

fn run(file: &File, told: &Receiver<()>, ends: &AtomicBool) {
    let mut written = false;
    while written || told.recv().is_ok() {
        let next = Instant::now() + WRITE_BACK_EVERY;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        for offset in (0..bytes).step_by(SLICE_BYTES as usize) {
            if ends.load(Ordering::Relaxed) {
                return;
            }
            write_slice(file, offset);
        }
        written = false;
        loop {
            match told.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(()) => written = true,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Has the kernel write what it has of a slice, and waits until that is on the disk.
#[cfg(target_os = "linux")]
fn write_slice(file: &File, offset: u64) {
    use std::os::fd::AsRawFd;

    #[expect(unsafe_code, reason = "neither std nor rustix has this call")]
    // SAFETY: The signature is that of glibc and musl, which std links. The call takes numbers only, so no argument can
    // make it unsound.
    unsafe extern "C" {
        safe fn sync_file_range(fd: i32, offset: i64, bytes: i64, flags: u32) -> i32;
    }
    /// `SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER` of `<fcntl.h>`.
    const WRITE_AND_WAIT: u32 = 1 | 2 | 4;

    // What cannot be written now is written by the kernel later, and a failing disk fails the log first.
    let _ = sync_file_range(file.as_raw_fd(), offset as i64, SLICE_BYTES as i64, WRITE_AND_WAIT);
}

/// Leaves it to the kernel.
#[cfg(not(target_os = "linux"))]
fn write_slice(_: &File, _: u64) {}

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
        assert!(begin.elapsed() < WRITE_BACK_EVERY / 2, "took {:?}", begin.elapsed());
        std::fs::remove_file(path).unwrap();
    }
}
