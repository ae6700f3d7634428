//! A fact of every kind of the domain of jobs, and the newer ones of consumers.

use maitred_booking::consumers::fact::{
    By, ConsumerClaimed, DeadLetterSettled, DeadLettersChosen, FactTried, Place,
};
use maitred_booking::consumers::{self, DeadLetterParked};
use maitred_booking::jobs::fact::{Fact, JobProgressed, JobRemoved, Trouble};
use maitred_booking::jobs::{Job, JobState, Schedule, Timing};
use maitred_core::Timestamp;
use uuid::Uuid;

fn id(last: u8) -> Uuid {
    Uuid::from_bytes([1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, last])
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

/// Jobs and schedules, in an order in which the facts could have been decided.
pub(crate) fn jobs() -> impl Iterator<Item = (&'static str, Fact)> {
    let job = |last| Job {
        id: id(last),
        kind: "export".into(),
        input: None,
        state: JobState::Queued,
        starts: 0,
        tries_left: 3,
        not_before: at(0),
        cancel_asked: false,
        result: None,
        problem: None,
        schedule: None,
        created_at: at(0),
        started_at: None,
        ended_at: None,
    };
    let started =
        Job { state: JobState::Running, starts: 1, tries_left: 2, started_at: Some(at(1_000)), ..job(30) };
    let trouble = Trouble { code: "disk-full".into(), detail: "No room.".into() };
    let again =
        Job { state: JobState::Queued, not_before: at(6_000), problem: Some(trouble), ..started.clone() };
    let second = Job { state: JobState::Running, starts: 2, tries_left: 1, ..again.clone() };
    let asked = Job { cancel_asked: true, ..second.clone() };
    let cancelled = Job { state: JobState::Cancelled, ended_at: Some(at(9_000)), ..asked.clone() };
    let with_input = Job { input: Some("{\"a\":1}".into()), schedule: Some(id(40)), ..job(31) };
    let running = Job { state: JobState::Running, starts: 1, ..with_input.clone() };
    let done = Job {
        state: JobState::Succeeded,
        result: Some("{\"bytes\":7}".into()),
        ended_at: Some(at(10_000)),
        ..running.clone()
    };
    let failed = Job { state: JobState::Failed, ended_at: Some(at(11_000)), ..job(32) };
    let schedule = Schedule {
        id: id(40),
        name: "nightly".into(),
        kind: "export".into(),
        input: Some("{\"a\":1}".into()),
        timing: Timing::Every { seconds: 60 },
        active: true,
        next: Some(at(60_000)),
        fired_at: None,
        last_job: None,
        skipped: 0,
        deleted: false,
        created_at: at(0),
    };
    let cron = Schedule {
        timing: Timing::Cron { expression: "30 3 * * *".into(), time_zone: "Europe/Berlin".into() },
        next: Some(at(90_000)),
        ..schedule.clone()
    };
    let fired = Schedule {
        fired_at: Some(at(90_000)),
        last_job: Some(id(31)),
        skipped: 1,
        next: Some(at(180_000)),
        ..cron.clone()
    };
    let deleted = Schedule { deleted: true, active: false, next: None, ..fired.clone() };
    let progressed = |last, progress| JobProgressed { id: id(last), progress, until: at(20_000) };
    [
        ("job_queued", Fact::JobQueued(job(30))),
        ("job_started", Fact::JobStarted(started)),
        ("job_progressed", Fact::JobProgressed(progressed(30, 250_000))),
        ("job_requeued", Fact::JobRequeued(again)),
        ("job_started_again", Fact::JobStarted(second)),
        ("job_cancel_asked", Fact::JobCancelAsked(asked)),
        ("job_ended_cancelled", Fact::JobEnded(cancelled)),
        ("job_queued_by_schedule", Fact::JobQueued(with_input)),
        ("job_started_by_schedule", Fact::JobStarted(running)),
        ("job_progressed_whole", Fact::JobProgressed(progressed(31, 1_000_000))),
        ("job_ended_succeeded", Fact::JobEnded(done)),
        ("job_queued_third", Fact::JobQueued(job(32))),
        ("job_ended_failed", Fact::JobEnded(failed)),
        ("job_queued_fourth", Fact::JobQueued(job(33))),
        ("job_removed", Fact::JobRemoved(JobRemoved { id: id(30) })),
        ("schedule_created", Fact::ScheduleCreated(schedule)),
        ("schedule_updated", Fact::ScheduleUpdated(cron)),
        ("schedule_fired", Fact::ScheduleFired(fired)),
        ("schedule_deleted", Fact::ScheduleDeleted(deleted)),
    ]
    .into_iter()
}

/// What is kept of consumers besides cursors, behind the samples that put the letter 999/3 aside.
pub(crate) fn consumers() -> impl Iterator<Item = (&'static str, consumers::Fact)> {
    use consumers::Fact::{
        ConsumerClaimed as Claimed, DeadLetterParked as Parked, DeadLetterSettled as Settled,
        DeadLettersDiscarded as Discarded, DeadLettersRedriven as Redriven, FactTried as Tried,
    };
    let consumer = || "orders".to_owned();
    let place = |seq| Place { seq, ordinal: 3 };
    let parked = |seq| DeadLetterParked {
        consumer: consumer(),
        seq,
        ordinal: 3,
        decided_at: at(120_000),
        tenant: 1,
        key: id(12).as_u128(),
        attempts: 0,
        reason: "an earlier fact of its key is put aside".into(),
    };
    let claimed = |epoch, stalled| Claimed(ConsumerClaimed { consumer: consumer(), epoch, stalled });
    let tried =
        |seq, crashes| Tried(FactTried { consumer: consumer(), epoch: 2, place: place(seq), crashes });
    let chosen = |by, places: &[u64]| DeadLettersChosen {
        consumer: consumer(),
        by,
        places: places.iter().map(|seq| place(*seq)).collect(),
    };
    [
        ("consumer_claimed", claimed(1, 0)),
        ("consumer_claimed_again", claimed(2, 1)),
        ("fact_tried", tried(1_001, 0)),
        ("fact_tried_again", tried(1_002, 3)),
        ("dead_letter_parked_behind", Parked(parked(1_000))),
        ("dead_letter_parked_last", Parked(parked(1_001))),
        ("dead_letters_redriven", Redriven(chosen(By::ApiKey(7), &[999, 1_000]))),
        ("dead_letter_settled", Settled(DeadLetterSettled { consumer: consumer(), place: place(999) })),
        ("dead_letters_redriven_anonymous", Redriven(chosen(By::Anonymous, &[1_001]))),
        ("dead_letter_parked_back", Parked(parked(1_000))),
        ("dead_letters_discarded", Discarded(chosen(By::User(8), &[1_000]))),
        ("dead_letters_discarded_system", Discarded(chosen(By::System, &[1_001]))),
        ("fact_tried_last", tried(1_003, 1)),
    ]
    .into_iter()
}
