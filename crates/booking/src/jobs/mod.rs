//! Jobs: long work of a tenant or of the server, as records in the log; and schedules, which queue jobs by themselves.
//!
//! A job is queued by a command, in the command's own batch; a worker takes it up under a lease, says now and then how
//! far it is, and ends it. A worker that is gone leaves a lease that runs out, and another takes the job up again.
//! Workers are clients like everybody else ([`crate::background`]): they look at views and submit commands.
//!
//! Records: `Job` and `Schedule`. Besides, in the table `Index`:
//! - `QueuedJob`, of the system tenant: not before, tenant, id → nothing: what waits for a worker, of all tenants.
//! - `JobRecord`: kind, id → nothing: the jobs and schedules that lists show.
//! - `JobState`: `0` → how many jobs are open; `1`, id → the lease and the progress of a running job; `2` → how many
//!   schedules there are.
//!
//! Invariants:
//! - A job is at one worker at a time, as far as leases tell: each start has a number, and what a worker says under
//!   another number than the newest, or after its lease has run out and the job was taken from it, is refused.
//! - A job is tried [`TRIES`] times by itself, crashes included, and then fails; somebody may have it tried again.
//! - A job that is asked to be cancelled is never taken up again by itself.
//! - Progress only rises within a start, and is no version of the record: it is kept beside it, at most once a second.
//! - A schedule that is due queues one job, however many of its instants have passed meanwhile, and none while the job
//!   before it is open. Its next instant stands in the view, so that a restart neither loses nor repeats one. Where the
//!   tenant was closed meanwhile it queues nothing any more.
//! - A job that has ended leaves the lists after [`HISTORY_KEPT`]. By its id it is found for ever.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | command | code | class | when |
//! |---|---|---|---|
//! | queue | `invalid-job-kind`, `invalid-job-input` | unprocessable | no such kind here, or an input that is no object or too long |
//! | queue | `too-many-jobs` | too many | the tenant has [`OPEN_JOBS_MAX`] open ones |
//! | all on a job | `job-not-found` | absent | there is none |
//! | start | `job-not-queued` | conflict | it is not queued, or not to be begun yet |
//! | say, end | `job-lease-lost` | conflict | another start has the job, or none |
//! | cancel | (accepted) | | it was asked already, or is cancelled |
//! | cancel | `job-ended` | conflict | it has succeeded or failed |
//! | retry | `job-not-ended` | conflict | it is open, or has succeeded |
//! | create or change a schedule | `invalid-name`, `invalid-job-kind`, `invalid-job-input`, `invalid-schedule`, `invalid-time-zone` | unprocessable | a field against its rule |
//! | create a schedule | `too-many-schedules` | too many | the tenant has [`SCHEDULES_MAX`] |
//! | change, delete a schedule | `schedule-not-found` | absent | there is none, or it is deleted |
//! | change, delete a schedule | `version-mismatch` | precondition | it is at another version |

pub mod command;
pub mod cron;
pub mod fact;
pub mod files;
pub mod http;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::{Command, Finished, NewJob, ScheduleDetails, SchedulePatch};
pub use fact::{Fact, Job, JobState, Schedule, Timing};
pub use files::JobFiles;
pub use rules::{Effect, Outcome, Rules, enqueue, put_queued};

/// What can be done as a job: its name, and whether it is the server's and no tenant's.
pub const KINDS: &[(&str, bool)] = &[("export", false), ("scrub", true)];
/// How often a job is tried by itself.
pub const TRIES: u32 = 3;
/// How long a worker has a job without saying anything.
pub const LEASE_SECONDS: i64 = 15;
/// How long a job that has ended stays in the lists.
pub const HISTORY_KEPT: i64 = 7 * 86_400;
/// How long the file that a job has made is kept, in seconds from its end.
pub const RESULT_KEPT: i64 = 86_400;
/// The most open jobs of a tenant.
pub const OPEN_JOBS_MAX: u64 = 100;
/// The most schedules of a tenant.
pub const SCHEDULES_MAX: u64 = 100;
/// The longest input and the longest result of a job, in bytes of JSON.
pub const INPUT_BYTES_MAX: usize = 16 * 1024;
/// The longest detail of a job's problem, in characters.
pub const DETAIL_CHARS_MAX: usize = 1_000;
/// All of a job is done.
pub const WHOLE: u32 = 1_000_000;
