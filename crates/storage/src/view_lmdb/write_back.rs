//! Getting what was written to the disk bit by bit.
//!
//! Commits leave pages in the kernel's cache. Left to itself, the kernel writes them all at once half a
//! minute later, and whoever syncs another file then, the log, waits behind them: 0.4 to 0.7 s were seen.
//! So the kernel is asked to begin writing, without waiting for it, without a sync of the file system's
//! journal and without emptying the disk's own cache.
//!
//! But not after each transaction: that cost 2.6 µs of CPU per upsert, since the pages of a view are written
//! again and again, and on a busy disk the log's syncs waited 115 to 187 ms behind them (p99.9; 15 to 30 ms
//! without, in runs of some seconds). So once in [`WRITE_BACK_EVERY`]; what is written in between goes along.

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the kernel is asked at most: its own period of looking for what to write.
const WRITE_BACK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct WriteBack {
    file: File,
    /// When the kernel was asked the last time.
    asked: Mutex<Option<Instant>>,
}

impl WriteBack {
    pub(super) fn of(file: File) -> Self {
        WriteBack { file, asked: Mutex::new(None) }
    }

    /// Has the kernel begin to write every page of the file that is not on the disk yet, if that is due. Whether it
    /// was.
    pub(super) fn start(&self, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = asked.is_none_or(|asked| now.saturating_duration_since(asked) >= WRITE_BACK_EVERY);
        if due {
            *asked = Some(now);
            drop(asked);
            self.ask();
        }
        due
    }

    #[cfg(target_os = "linux")]
    fn ask(&self) {
        use std::os::fd::AsRawFd;

        #[expect(unsafe_code, reason = "neither std nor rustix has this call")]
        // SAFETY: The signature is that of glibc and musl, which std links. The call takes numbers only, so
        // no argument can make it unsound.
        unsafe extern "C" {
            safe fn sync_file_range(fd: i32, offset: i64, bytes: i64, flags: u32) -> i32;
        }
        /// `SYNC_FILE_RANGE_WRITE` of `<fcntl.h>`.
        const WRITE: u32 = 2;
        /// From the offset to the end of the file.
        const ALL: i64 = 0;

        // What cannot be written now is written by the kernel later, and a failing disk fails the log first.
        let _ = sync_file_range(self.file.as_raw_fd(), 0, ALL, WRITE);
    }

    /// Leaves it to the kernel.
    #[cfg(not(target_os = "linux"))]
    fn ask(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_once_in_a_while() {
        let write_back = WriteBack::of(File::open("/dev/null").unwrap());
        let begin = Instant::now();
        let asked = [0, 1, 4_999, 5_000, 5_001, 9_999, 10_000]
            .map(|millis| write_back.start(begin + Duration::from_millis(millis)));
        assert_eq!(asked, [true, false, false, true, false, false, true]);
    }
}
