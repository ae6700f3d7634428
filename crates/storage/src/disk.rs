//! What the file log needs of a disk: one folder of files, and every effect the log has on the world.
//!
//! [`RealDisk`] is the operating system's; tests and the simulation put a disk here that loses, reorders
//! and tears whatever was not synced. Nothing behind this trait starts a thread or reads a clock.
//!
//! Invariants that an implementation keeps:
//! - what [`DiskFile::sync_data`] returned `Ok` for survives a power cut, and the file's length with it;
//! - a name is durable once [`Disk::sync_dir`] returned `Ok` after the call that made it;
//! - a sector ([`SECTOR_BYTES`]) is written whole or not at all. Larger writes may be torn at sectors.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::private;

/// The largest unit that a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// One folder, whose files are named by plain names without separators.
pub trait Disk: Send + Sync + 'static {
    /// An open file of this disk.
    type File: DiskFile;

    /// Creates an empty file and opens it to read and write.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one, and whatever the disk says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file to read and write.
    ///
    /// # Errors
    /// `NotFound` when there is none, and whatever the disk says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The names of the folder's files, ascending.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, atomically. The caller has made sure that no file has that name.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every create, rename and remove so far durable.
    ///
    /// # Errors
    /// Whatever the disk says. After an error nothing is known, and trying again proves nothing.
    fn sync_dir(&self) -> io::Result<()>;

    /// How many bytes may still be written to this disk.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn free_bytes(&self) -> io::Result<u64>;

    /// The name as an operator would look for it.
    fn full_name(&self, name: &str) -> String;
}

/// An open file. Reads and writes name their offset, so that a handle may be shared.
pub trait DiskFile: Send + Sync + 'static {
    /// The file's length in bytes.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before, and whatever the disk says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, and makes the file longer where that reaches past its end.
    ///
    /// # Errors
    /// Whatever the disk says; any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written so far durable (fdatasync).
    ///
    /// # Errors
    /// Whatever the disk says. After an error nothing is known, and trying again proves nothing: the
    /// system may have marked the pages clean without having written them.
    fn sync_data(&self) -> io::Result<()>;

    /// Has the system give what it has of these bytes to the disk, and waits until it has. It makes nothing durable:
    /// it leaves less to a later sync, and less for another file's sync to wait behind.
    fn write_back(&self, _offset: u64, _bytes: u64) {}

    /// Forgets what memory holds of this file beyond what was synced, so that reads show what the disk
    /// itself has. Only called after a successful [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// Whatever the disk says.
    fn drop_cache(&self) -> io::Result<()>;
}

/// A folder of the operating system.
#[derive(Debug, Clone)]
pub struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    /// The folder at `folder`, created durably where it does not exist.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = std::path::absolute(folder.into())?;
        create_durably(&folder)?;
        Ok(RealDisk { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        assert!(!name.contains('/'), "a disk is one folder");
        self.folder.join(name)
    }
}

impl Disk for RealDisk {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        private::file().read(true).write(true).create_new(true).open(self.path(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let path = self.path(name);
        match OpenOptions::new().read(true).write(true).open(&path) {
            // Whoever only looks can do so there too; a write says what is wrong.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(&path),
            opened => opened,
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn full_name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    #[cfg(target_os = "linux")]
    fn write_back(&self, offset: u64, bytes: u64) {
        use std::os::fd::AsRawFd;

        #[expect(unsafe_code, reason = "neither std nor rustix has this call")]
        // SAFETY: The signature is that of glibc and musl, which std links. The call takes numbers only, so no argument
        // can make it unsound.
        unsafe extern "C" {
            safe fn sync_file_range(fd: i32, offset: i64, bytes: i64, flags: u32) -> i32;
        }
        /// `SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER` of `<fcntl.h>`.
        const WRITE_AND_WAIT: u32 = 1 | 2 | 4;

        // What cannot be written now is written later; a sync says what is wrong.
        let _ = sync_file_range(self.as_raw_fd(), offset as i64, bytes as i64, WRITE_AND_WAIT);
    }

    #[cfg(target_os = "linux")]
    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A folder's name stands in its parent, so each new folder's parent is synced too.
fn create_durably(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    create_durably(parent)?;
    match DirBuilder::new().mode(private::FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// Whether an error says that there is no room, rather than that something broke.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_folder_keeps_the_contract() {
        let parent = std::env::temp_dir().join(format!("maitred-disk-{}", std::process::id()));
        let disk = RealDisk::new(parent.join("a/b")).unwrap();
        let file: Box<dyn DiskFile> = Box::new(disk.create("one").unwrap());
        assert_eq!(disk.create("one").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.open("two").unwrap_err().kind(), io::ErrorKind::NotFound);

        file.write_at(b"later", 3).unwrap();
        file.sync_data().unwrap();
        file.drop_cache().unwrap();
        let mut bytes = [9; 8];
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!((&bytes, file.length().unwrap()), (b"\0\0\0later", 8));
        assert_eq!(file.read_at(&mut bytes, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

        drop(disk.create("three").unwrap());
        disk.rename("one", "two").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(disk.list().unwrap(), ["three", "two"]);
        disk.remove("two").unwrap();
        assert_eq!(disk.list().unwrap(), ["three"]);
        assert!(disk.free_bytes().unwrap() > 0);
        assert_eq!(disk.full_name("x"), parent.join("a/b/x").display().to_string());
        std::fs::remove_dir_all(parent).unwrap();
    }
    #[test]
    #[should_panic(expected = "a disk is one folder")]
    fn a_name_does_not_lead_out_of_the_folder() {
        let disk = RealDisk { folder: std::env::temp_dir() };
        let _ = disk.open("../passwd"); // it panics
    }
}
