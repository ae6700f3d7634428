//! A job under way: what its code may ask and say, and what its worker knows of the lease.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use maitred_booking::jobs::fact::Trouble;
use maitred_booking::jobs::{Job, WHOLE};
use maitred_core::TenantNumber;
use serde_json::Value;

/// What can be done as a job.
pub trait JobKind: Send + Sync {
    /// The name in [`maitred_booking::jobs::KINDS`].
    fn name(&self) -> &'static str;

    /// Does it. Asks [`Work::go_on`] at least once a second or so, and begins anew where an earlier start has ended in
    /// the middle.
    ///
    /// # Errors
    /// Why it did not come to its end.
    fn run(&self, work: &Arc<Work>) -> Result<Option<Value>, Failure>;
}

/// Why a job did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It went wrong; another try may help.
    Failed(Trouble),
    /// It went wrong, and would again.
    FailedForGood(Trouble),
    /// It was told to end: [`Work::go_on`].
    Stopped,
}

impl Failure {
    /// A failure that another try may mend.
    pub fn failed(code: &str, detail: impl ToString) -> Self {
        Failure::Failed(Trouble { code: code.to_owned(), detail: detail.to_string() })
    }
}

/// A job under way.
#[derive(Debug)]
pub struct Work {
    /// Whose it is.
    pub tenant: TenantNumber,
    /// What it was when it was taken up.
    pub job: Job,
    progress: AtomicU32,
    /// Somebody asks for its end.
    cancelled: AtomicBool,
    /// The lease is another's, or may be.
    lost: AtomicBool,
    stopping: Arc<AtomicBool>,
    said: Mutex<Said>,
}

/// What was said last of it, durably.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: Instant,
    progress: u32,
}

impl Work {
    /// A job that was taken up now.
    pub fn new(tenant: TenantNumber, job: Job, stopping: &Arc<AtomicBool>) -> Self {
        Work {
            tenant,
            job,
            progress: AtomicU32::new(0),
            cancelled: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            stopping: Arc::clone(stopping),
            said: Mutex::new(Said { at: Instant::now(), progress: 0 }),
        }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Failure::Stopped`]: the job has to end now.
    pub fn go_on(&self) -> Result<(), Failure> {
        let ends = [&self.cancelled, &self.lost, &self.stopping].iter().any(|flag| flag.load(Relaxed));
        if ends { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Says that so much of all is done.
    pub fn progress(&self, done: u64, all: u64) {
        let millionths = u128::from(done) * u128::from(WHOLE) / u128::from(all.max(1));
        self.progress.fetch_max(u32::try_from(millionths).unwrap_or(WHOLE).min(WHOLE), Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    pub(super) fn ask_for_end(&self) {
        self.cancelled.store(true, Relaxed);
    }

    pub(super) fn lose(&self) {
        if !self.lost.swap(true, Relaxed) {
            tracing::warn!(job.id = %self.job.id, "the lease of a job is lost: it is given up here");
        }
    }

    /// The progress, where it is to be said: it has changed, or the lease is to be renewed.
    pub(super) fn to_say(&self, renew_after: Duration) -> Option<u32> {
        let said = *self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = self.progress.load(Relaxed);
        (progress != said.progress || said.at.elapsed() >= renew_after).then_some(progress)
    }

    pub(super) fn said(&self, progress: u32) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Said { at: Instant::now(), progress };
    }

    /// How long nothing has been heard of the lease.
    pub(super) fn unheard_for(&self) -> Duration {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).at.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_rises_and_is_said_once() {
        let stopping = Arc::new(AtomicBool::new(false));
        let work = Work::new(TenantNumber(1), testing_job(), &stopping);
        let hour = Duration::from_secs(3_600);
        assert_eq!(work.to_say(hour), None);
        work.progress(1, 4);
        assert_eq!(work.to_say(hour), Some(WHOLE / 4));
        work.said(WHOLE / 4);
        work.progress(1, 8);
        assert_eq!(work.to_say(hour), None, "it never goes back");
        assert_eq!(work.to_say(Duration::ZERO), Some(WHOLE / 4), "a lease is renewed all the same");
        work.progress(9, 0);
        assert_eq!(work.to_say(hour), Some(WHOLE));
        assert_eq!(work.go_on(), Ok(()));
        stopping.store(true, Relaxed);
        assert_eq!(work.go_on(), Err(Failure::Stopped));
    }

    fn testing_job() -> Job {
        use maitred_booking::jobs::JobState;
        use maitred_core::Timestamp;
        Job {
            id: uuid::Uuid::nil(),
            kind: "export".to_owned(),
            input: None,
            state: JobState::Running,
            starts: 1,
            tries_left: 2,
            not_before: Timestamp::default(),
            cancel_asked: false,
            result: None,
            problem: None,
            schedule: None,
            created_at: Timestamp::default(),
            started_at: None,
            ended_at: None,
        }
    }
}
