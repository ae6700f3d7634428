//! How commands on jobs and schedules are answered.
//!
//! Next: [`jobs`] and [`schedules`] for the decisions, [`apply`] for what facts do to the view.

mod apply;
mod jobs;
mod schedules;

use maitred_core::{At, Class, Context, Decision, Domain, Read, Rejection, Storable, Undecodable, Write};
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::fact::{Fact, Job, Schedule};
use crate::flash_sales::Versioned;
use crate::{Booking, encoding};

pub use apply::put_queued;
pub use jobs::enqueue;

/// The rules of jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What whoever submitted a command is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The job as it is now.
    Job(Effect, Box<Versioned<Job>>),
    /// The schedule as it is now.
    Schedule(Effect, Box<Versioned<Schedule>>),
    /// What was due is done, or nothing was.
    Attended,
}

/// What an accepted command did. In a stored outcome it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing: it was so already.
    Unchanged,
    /// The record is new.
    Created,
    /// It has another content.
    Updated,
    /// It is gone for good.
    Deleted,
}

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        match command {
            Command::Queue(job) => jobs::queue(view, job, cx),
            Command::Start { job } => jobs::start(view, *job, cx),
            Command::Say { job, start, progress } => jobs::say(view, *job, (*start, *progress), cx),
            Command::Finish { job, start, how } => jobs::finish(view, *job, (*start, how), cx),
            Command::Cancel { job } => jobs::cancel(view, *job, cx),
            Command::Retry { job } => jobs::retry(view, *job, cx),
            Command::Attend { job } => jobs::attend(view, *job, cx),
            Command::CreateSchedule(details) => schedules::create(view, details, cx),
            Command::UpdateSchedule { schedule, patch, if_version } => {
                schedules::update(view, (*schedule, *if_version), patch, cx)
            }
            Command::DeleteSchedule { schedule, if_version } => {
                schedules::delete(view, (*schedule, *if_version), cx)
            }
            Command::Fire { schedule } => schedules::fire(view, *schedule, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        apply::apply(view, fact, at);
    }
}

/// A decision that changes a job.
fn of_job(effect: Effect, version: u64, job: Job, cx: &Context, fact: fn(Job) -> Fact) -> Decided {
    let outcome = Versioned { version, updated_at: cx.timestamp, is: job.clone() };
    Ok(Decision { facts: vec![fact(job)], outcome: Outcome::Job(effect, Box::new(outcome)) })
}

/// A decision that leaves a job as it is.
fn same_job(job: Versioned<Job>) -> Decided {
    Ok(Decision { facts: vec![], outcome: Outcome::Job(Effect::Unchanged, Box::new(job)) })
}

fn attended(facts: Vec<Fact>) -> Decided {
    Ok(Decision { facts, outcome: Outcome::Attended })
}

fn absent(what: &'static str, code: &'static str) -> Rejection {
    Rejection::new(Class::Absent, code, format!("There is no such {what}."))
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a command on jobs")
    }
}
