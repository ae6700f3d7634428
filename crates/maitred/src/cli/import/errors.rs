//! The file beside an imported one that names what was not imported: a line of JSON for each record.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::imports::Problem;

/// The problems of one input, in `FILE.errors.ndjson`, or on standard error where the input is no file.
pub(super) struct Errors {
    path: Option<PathBuf>,
    file: Option<BufWriter<File>>,
}

impl Errors {
    /// The file beside `input`; the one of an earlier import goes.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn beside(input: Option<&Path>) -> Result<Self, Failure> {
        let path = input.map(|input| {
            let mut path = input.as_os_str().to_owned();
            path.push(".errors.ndjson");
            PathBuf::from(path)
        });
        if let Some(path) = &path {
            match fs::remove_file(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(path, &error)),
            }
        }
        Ok(Errors { path, file: None })
    }

    /// Writes a line. The file is made by the first one.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn add(&mut self, problem: &Problem) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            let Problem { line, byte, code, detail, .. } = problem;
            let place = line.map_or_else(|| format!("byte {byte}"), |line| format!("line {line}"));
            eprintln!("{place}: {detail} ({code})");
            return Ok(());
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.file.insert(BufWriter::new(File::create(path).map_err(|error| failed(path, &error))?))
            }
        };
        let line = serde_json::to_string(problem).map_err(Failure::unable)?;
        writeln!(file, "{line}").map_err(|error| failed(path, &error))
    }

    /// Writes what is not written yet. Where there is something to read, says where.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn finish(self) -> Result<Option<PathBuf>, Failure> {
        let (Some(path), Some(mut file)) = (self.path, self.file) else { return Ok(None) };
        file.flush().map_err(|error| failed(&path, &error))?;
        Ok(Some(path))
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::unable(format!("{}: {error}", path.display()))
}
