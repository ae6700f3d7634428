//! Getting what was written to the disk bit by bit.
//!
//! Commits leave pages in the kernel's cache. Left to itself, the kernel writes them all at once half a
//! minute later, and whoever syncs another file then, the log, waits behind them: 0.4 to 0.7 s were seen.
//! So after each transaction the kernel is asked to begin writing, without waiting for it, without a sync
//! of the file system's journal and without emptying the disk's own cache.

use std::fs::File;

#[derive(Debug)]
pub(super) struct WriteBack(File);

impl WriteBack {
    pub(super) fn of(file: File) -> Self {
        WriteBack(file)
    }

    /// Has the kernel begin to write every page of the file that is not on the disk yet.
    #[cfg(target_os = "linux")]
    pub(super) fn start(&self) {
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
        let _ = sync_file_range(self.0.as_raw_fd(), 0, ALL, WRITE);
    }

    /// Leaves it to the kernel.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn start(&self) {}
}
