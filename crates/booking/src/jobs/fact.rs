//! Jobs and schedules as the log keeps them for ever.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::{micros, recorded};

recorded! {
    /// A fact of this domain.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A job is new, and waits for a worker.
        JobQueued(Job) = 1000 version 1,
        /// A worker has taken a job up.
        JobStarted(Job) = 1001 version 1,
        /// A job waits for a worker again.
        JobRequeued(Job) = 1002 version 1,
        /// Somebody asks a running job to end.
        JobCancelAsked(Job) = 1003 version 1,
        /// A job has succeeded, failed, or is cancelled.
        JobEnded(Job) = 1004 version 1,
        /// The worker of a job is there, and so far.
        JobProgressed(JobProgressed) = 1005 version 1,
        /// A job has left the lists.
        JobRemoved(JobRemoved) = 1006 version 1,
        /// A schedule is new.
        ScheduleCreated(Schedule) = 1010 version 1,
        /// A schedule has another content.
        ScheduleUpdated(Schedule) = 1011 version 1,
        /// A schedule was due, and has its next instant.
        ScheduleFired(Schedule) = 1012 version 1,
        /// A schedule is gone for good.
        ScheduleDeleted(Schedule) = 1013 version 1,
    }
    older {}
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What is to be done: one of [`super::KINDS`].
    pub kind: String,
    /// What it needs to know: a JSON object.
    pub input: Option<String>,
    /// Where it is in its life.
    pub state: JobState,
    /// How often a worker has taken it up: the number of its newest start.
    pub starts: u32,
    /// How often it is still tried by itself.
    pub tries_left: u32,
    /// While it is queued: no worker takes it up before then.
    #[serde(with = "micros")]
    pub not_before: Timestamp,
    /// Whether somebody asked for its end.
    pub cancel_asked: bool,
    /// What it has led to: a JSON object.
    pub result: Option<String>,
    /// Why it has failed, the last time.
    pub problem: Option<Trouble>,
    /// The schedule that queued it.
    pub schedule: Option<Uuid>,
    /// When it was queued first.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// When it was taken up the last time.
    #[serde(with = "micros::option")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "micros::option")]
    pub ended_at: Option<Timestamp>,
}

/// Where a job is in its life. In a stored fact it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It is done.
    Succeeded,
    /// It was tried as often as it may be.
    Failed,
    /// Somebody has cancelled it.
    Cancelled,
}

impl JobState {
    /// Whether it may still be worked at.
    pub const fn is_open(self) -> bool {
        matches!(self, JobState::Queued | JobState::Running)
    }
}

/// Why a job has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A stable code.
    pub code: String,
    /// A sentence for a person.
    pub detail: String,
}

/// A sign of life of a job's worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgressed {
    /// The job.
    pub id: Uuid,
    /// How far it is, in millionths.
    pub progress: u32,
    /// Its lease runs until then.
    #[serde(with = "micros")]
    pub until: Timestamp,
}

/// A job that lists do not show any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRemoved {
    /// The job.
    pub id: Uuid,
}

/// What queues jobs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// What is to be done.
    pub kind: String,
    /// What that needs to know: a JSON object.
    pub input: Option<String>,
    /// When.
    pub timing: Timing,
    /// Whether it queues anything.
    pub active: bool,
    /// When it is due; nothing where it is not active, or where no instant is left.
    #[serde(with = "micros::option")]
    pub next: Option<Timestamp>,
    /// When it queued a job the last time.
    #[serde(with = "micros::option")]
    pub fired_at: Option<Timestamp>,
    /// The job that it queued then.
    pub last_job: Option<Uuid>,
    /// How often it was due while its last job was open, and queued none.
    pub skipped: u64,
    /// Whether it is gone for good.
    pub deleted: bool,
    /// When it was made.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// When a schedule is due. In a stored fact it is its place in this list: new ones come last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timing {
    /// Every so many seconds, from when it was made.
    Every {
        /// How many.
        seconds: u32,
    },
    /// By the clocks of a zone.
    Cron {
        /// Five fields: minute, hour, day of the month, month, day of the week.
        expression: String,
        /// The IANA time zone.
        time_zone: String,
    },
}
