//! Nobody but the server's own user reads what is in a data folder: files are made with mode 0600, folders with 0700.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
pub(crate) const FOLDER_MODE: u32 = 0o700;
/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// Makes a folder, and those above it that are missing. One that is there is left as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// How a file is opened that may have to be made.
pub(crate) fn file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Takes from others what they may do with `path` and, `levels` below it, with what is in it.
pub(crate) fn tighten(path: &Path, levels: u32) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let mode = found.permissions().mode();
    if mode & OTHERS != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?;
    }
    if found.is_dir() && levels > 0 {
        for entry in fs::read_dir(path)? {
            tighten(&entry?.path(), levels - 1)?;
        }
    }
    Ok(())
}
