//! The files that jobs make: one for each job at most, in a folder of the data folder, named by the job's id.
//!
//! Invariants:
//! - A file has its name when it is whole and synced, and not before.
//! - No file outlives its time, [`super::RESULT_KEPT`] from when it was written, by more than a sweep of the folder comes
//!   late.
//! - What is made here is readable to its owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use uuid::Uuid;

/// What stands behind the id in the name of a file that is not whole.
const PART: &str = ".part";

/// The folder. A clone is another handle to the same; there is none until the program names it.
#[derive(Debug, Clone, Default)]
pub struct JobFiles(Arc<OnceLock<PathBuf>>);

impl JobFiles {
    /// Names the folder: once, at the start. It is made where it is missing.
    ///
    /// # Errors
    /// That it cannot be made.
    pub fn set(&self, folder: PathBuf) -> io::Result<()> {
        DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        self.0.get_or_init(|| folder);
        Ok(())
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.0.get().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(folder.join(name))
    }

    /// The folder, if it is named.
    pub fn folder(&self) -> Option<&PathBuf> {
        self.0.get()
    }

    /// Begins the file of a job, from nothing.
    ///
    /// # Errors
    /// Those of the system.
    pub fn begin(&self, job: Uuid) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(self.path(&format!("{job}{PART}"))?)
    }

    /// Makes the file that was begun the job's.
    ///
    /// # Errors
    /// Those of the system; the file is not there then.
    pub fn finish(&self, job: Uuid, file: &File) -> io::Result<()> {
        file.sync_all()?;
        let path = self.path(&job.to_string())?;
        fs::rename(self.path(&format!("{job}{PART}"))?, &path)?;
        // The name is to be found after a power cut too: the job says that it has succeeded.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// Opens the file of a job.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none (any more).
    pub fn open(&self, job: Uuid) -> io::Result<File> {
        File::open(self.path(&job.to_string())?)
    }

    /// Takes away every file that `keeps` says no to, by its job's id and when it was written last. One that is being
    /// made has its job's id too.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sweep(&self, keeps: impl Fn(Uuid, SystemTime) -> bool) -> io::Result<usize> {
        let Some(folder) = self.0.get() else { return Ok(0) };
        let mut gone = 0;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().map(|name| name.strip_suffix(PART).unwrap_or(name));
            // What has another name is not ours.
            let Some(id) = id.and_then(|id| Uuid::parse_str(id).ok()) else { continue };
            if !keeps(id, entry.metadata()?.modified()?) {
                fs::remove_file(entry.path())?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_file_is_there_when_it_is_whole_and_goes_when_nobody_keeps_it() {
        let folder = std::env::temp_dir().join(format!("maitred-job-files-{}", std::process::id()));
        let files = JobFiles::default();
        let id = Uuid::from_u128;
        assert_eq!(files.open(id(1)).expect_err("no folder").kind(), io::ErrorKind::NotFound);
        assert_eq!(files.sweep(|_, _| false).expect("no folder, no files"), 0);
        files.set(folder.clone()).expect("a folder");
        let mut file = files.begin(id(1)).expect("a file");
        file.write_all(b"half").expect("room");
        assert!(files.open(id(1)).is_err(), "it is not whole");
        let mut file = files.begin(id(1)).expect("begun again");
        file.write_all(b"whole").expect("room");
        files.finish(id(1), &file).expect("it is whole");
        files.begin(id(2)).expect("another");
        fs::write(folder.join("notes"), "not ours").expect("room");
        let mut text = String::new();
        files.open(id(1)).expect("it is there").read_to_string(&mut text).expect("text");
        assert_eq!(text, "whole");
        assert_eq!(files.sweep(|job, _| job == id(1)).expect("a folder"), 1, "what was half made");
        assert_eq!(files.sweep(|_, _| false).expect("a folder"), 1);
        assert!(files.open(id(1)).is_err());
        assert!(folder.join("notes").exists());
        fs::remove_dir_all(folder).expect("it is ours");
    }
}
