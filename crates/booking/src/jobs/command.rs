//! What may be asked about jobs and schedules, and what is wrong with it whatever is in the view.

use maitred_core::Timestamp;
use uuid::Uuid;

use super::cron;
use super::fact::{Timing, Trouble};
use super::{INPUT_BYTES_MAX, KINDS};
use crate::json::JsonObject;
use crate::violation::{Violation, check_text};

/// A schedule is due at most this often, in seconds...
pub const EVERY_SECONDS_MIN: u32 = 10;
/// ...and at least this often.
pub const EVERY_SECONDS_MAX: u32 = 366 * 86_400;

/// A command on jobs and schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Queue a job.
    Queue(NewJob),
    /// A worker takes a job up.
    Start {
        /// The job.
        job: Uuid,
    },
    /// A worker says that it is there, and how far.
    Say {
        /// The job.
        job: Uuid,
        /// The number of its start.
        start: u32,
        /// How far, in millionths.
        progress: u32,
    },
    /// A worker ends a job.
    Finish {
        /// The job.
        job: Uuid,
        /// The number of its start.
        start: u32,
        /// How.
        how: Finished,
    },
    /// Have a job cancelled: one that runs is asked to end.
    Cancel {
        /// The job.
        job: Uuid,
    },
    /// Have a job tried again that has failed or was cancelled.
    Retry {
        /// The job.
        job: Uuid,
    },
    /// A job's time has come: its lease has run out, or it leaves the lists. By the system.
    Attend {
        /// The job.
        job: Uuid,
    },
    /// Make a schedule.
    CreateSchedule(ScheduleDetails),
    /// Change a schedule.
    UpdateSchedule {
        /// Which.
        schedule: Uuid,
        /// New values.
        patch: Box<SchedulePatch>,
        /// Only at this version.
        if_version: Option<u64>,
    },
    /// Take a schedule away for good.
    DeleteSchedule {
        /// Which.
        schedule: Uuid,
        /// Only at this version.
        if_version: Option<u64>,
    },
    /// A schedule is due. By the system.
    Fire {
        /// Which.
        schedule: Uuid,
    },
}

/// A job to be queued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewJob {
    /// What is to be done.
    pub kind: String,
    /// What it needs to know: the text of a JSON object.
    pub input: Option<String>,
}

/// How a worker has ended a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// It is done. The text of a JSON object.
    Succeeded(Option<String>),
    /// It went wrong; another try may help.
    Failed(Trouble),
    /// It went wrong, and would again.
    FailedForGood(Trouble),
    /// Somebody asked for its end.
    Cancelled,
    /// The worker has to stop: the job is not at fault, and waits for another.
    Interrupted,
}

/// A schedule to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleDetails {
    /// For people.
    pub name: String,
    /// What is to be done.
    pub job: NewJob,
    /// When.
    pub timing: Timing,
    /// Whether it queues anything.
    pub active: bool,
}

/// New values of a schedule's fields; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulePatch {
    /// The name.
    pub name: Option<String>,
    /// What the job needs to know; `Some(None)`: nothing.
    pub input: Option<Option<String>>,
    /// When.
    pub timing: Option<Timing>,
    /// Whether it queues anything.
    pub active: Option<bool>,
}

/// What is wrong with a job that is to be queued for the server or for a tenant.
pub fn validate_job(job: &NewJob, of_server: bool, found: &mut Vec<Violation>) {
    if !KINDS.contains(&(job.kind.as_str(), of_server)) {
        let known = KINDS.iter().filter(|(_, of)| *of == of_server).map(|(kind, _)| *kind);
        let known = known.collect::<Vec<_>>().join(", ");
        let detail = format!("kind must be one of those that there are here: {known}");
        found.push(Violation::new("/kind", "invalid-job-kind", detail));
    }
    validate_input(job.input.as_deref(), found);
}

/// What is wrong with a schedule.
pub fn validate_schedule(is: &ScheduleDetails, of_server: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    check_text(&mut found, "/name", "invalid-name", &is.name, 1..=200);
    validate_job(&is.job, of_server, &mut found);
    validate_timing(&is.timing, &mut found);
    found
}

fn validate_input(input: Option<&str>, found: &mut Vec<Violation>) {
    let Some(input) = input else { return };
    if input.len() > INPUT_BYTES_MAX || JsonObject::parse(input).is_err() {
        let detail = format!("input must be a JSON object of at most {INPUT_BYTES_MAX} bytes");
        found.push(Violation::new("/input", "invalid-job-input", detail));
    }
}

fn validate_timing(timing: &Timing, found: &mut Vec<Violation>) {
    match timing {
        Timing::Every { seconds } if (EVERY_SECONDS_MIN..=EVERY_SECONDS_MAX).contains(seconds) => {}
        Timing::Every { .. } => {
            let detail = format!("every_seconds must be {EVERY_SECONDS_MIN} to {EVERY_SECONDS_MAX}");
            found.push(Violation::new("/every_seconds", "invalid-schedule", detail));
        }
        Timing::Cron { expression, time_zone } => {
            let Some(zone) = cron::zone(time_zone) else {
                let detail = "time_zone must be a known IANA time zone, such as Europe/Berlin";
                found.push(Violation::new("/time_zone", "invalid-time-zone", detail));
                return;
            };
            let cron = cron::Cron::parse(expression);
            let detail = match cron {
                Err(error) => error.to_string(),
                // Any instant will do: what is never due after it is never due at all.
                Ok(cron) if cron.next_after(Timestamp::from_millis(0), &zone).is_none() => {
                    "cron must have instants: there is no such day".to_owned()
                }
                Ok(_) => return,
            };
            found.push(Violation::new("/cron", "invalid-schedule", detail));
        }
    }
}
