//! The job `scrub`: all older segments of the log are read and verified once, sooner than the scrub in the background
//! gets to them. What it finds stands in its result, in `/health` and in `/metrics`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use maitred_booking::soundness::Soundness;
use maitred_engine::log::LogError;
use maitred_storage::disk::RealDisk;
use maitred_storage::log_file::verify::{self, Pace};
use serde_json::{Value, json};

use super::work::{Failure, JobKind, Work};
use crate::assemble::PARTITION;
use crate::scrubber;

/// How many bytes are read in a second: somebody waits for it.
const BYTES_PER_SECOND: u64 = 128 * 1024 * 1024;

/// See the module.
pub(super) struct ScrubJob {
    pub(super) log: Arc<RealDisk>,
    pub(super) soundness: Soundness,
}

impl JobKind for ScrubJob {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn run(&self, work: &Arc<Work>) -> Result<Option<Value>, Failure> {
        let pace: Pace = {
            let work = Arc::clone(work);
            Arc::new(move |bytes| {
                thread::sleep(Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64));
                work.go_on().is_ok()
            })
        };
        let segments = verify::segments(&*self.log, PARTITION);
        let segments = segments.map_err(|error| Failure::failed("log-unreadable", error))?;
        // The last one is appended to.
        let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        let (mut bytes, mut damaged) = (0, Vec::new());
        for (done, first_seq) in sealed.iter().enumerate() {
            work.go_on()?;
            work.progress(done as u64, sealed.len() as u64);
            match verify::scrub_segment(&*self.log, PARTITION, *first_seq, &pace) {
                Ok(None) => return Err(Failure::Stopped),
                Ok(Some(verified)) => {
                    bytes += verified.bytes;
                    self.soundness.sound(*first_seq, 0); // the bytes of the background's own rounds are counted
                }
                Err(error @ LogError::DataLoss(_)) => {
                    scrubber::report(*first_seq, &error, &self.soundness);
                    damaged.push(json!({ "first_batch": first_seq, "detail": error.to_string() }));
                }
                Err(error) => return Err(Failure::failed("log-unreadable", error)),
            }
        }
        Ok(Some(json!({ "segments": sealed.len(), "bytes": bytes, "damaged": damaged })))
    }
}
