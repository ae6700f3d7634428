//! The job `export`: a tenant as lines of JSON, as it stands when the job begins, in a file.

use std::io::{self, Write};
use std::sync::Arc;

use maitred_booking::Booking;
use maitred_booking::jobs::JobFiles;
use maitred_booking::jobs::fact::Trouble;
use maitred_core::Position;
use maitred_engine::Engine;
use maitred_storage::log_file::FREE_BYTES_MIN;
use serde_json::{Value, json};

use super::work::{Failure, JobKind, Work};
use crate::transfer::Export;

/// How much is read from one view, and written at once.
const PIECE_BYTES: usize = 256 * 1024;
/// The file leaves so much room on the disk: twice what the log leaves, which goes before it.
const FREE_BYTES: u64 = 2 * FREE_BYTES_MIN;

/// See the module.
pub(super) struct ExportJob {
    pub(super) engine: Engine<Booking>,
    pub(super) files: JobFiles,
}

impl JobKind for ExportJob {
    fn name(&self) -> &'static str {
        "export"
    }

    fn run(&self, work: &Arc<Work>) -> Result<Option<Value>, Failure> {
        let view = self.engine.view();
        let through = view.seq();
        let position = Position { seq: through, ..view.position() };
        let export = Export::new(&view, work.tenant, through);
        drop(view);
        let mut export = export.map_err(|gone| {
            Failure::FailedForGood(Trouble { code: "tenant-not-found".to_owned(), detail: gone.to_string() })
        })?;
        let mut file = self.files.begin(work.job.id).map_err(failure)?;
        let (mut piece, mut bytes, mut more) = (Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8), 0, true);
        while more {
            work.go_on()?;
            self.require_room()?;
            piece.clear();
            more = export.fill(&self.engine.view(), &mut piece, PIECE_BYTES);
            file.write_all(&piece).map_err(failure)?;
            bytes += piece.len();
            let (done, all) = export.progress();
            work.progress(done, all);
        }
        self.files.finish(work.job.id, &file).map_err(failure)?;
        Ok(Some(json!({ "bytes": bytes, "position": position.to_string() })))
    }
}

impl ExportJob {
    fn require_room(&self) -> Result<(), Failure> {
        let Some(folder) = self.files.folder() else { return Ok(()) };
        let stat = rustix::fs::statvfs(folder).map_err(|error| failure(error.into()))?;
        if stat.f_bavail.saturating_mul(stat.f_frsize) < FREE_BYTES {
            return Err(Failure::failed("disk-full", "There is too little room on the disk for the file."));
        }
        Ok(())
    }
}

fn failure(error: io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::StorageFull { "disk-full" } else { "file-failed" };
    Failure::failed(code, error)
}
