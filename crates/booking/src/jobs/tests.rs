//! Every answer that commands on jobs and schedules are given.

mod closed;
mod model;

use maitred_core::{ChangeId, Seq, TenantNumber, Timestamp};
use maitred_core::{Read, Recorded};
use uuid::Uuid;

use super::command::{NewJob, ScheduleDetails, SchedulePatch};
use super::fact::{Schedule, Trouble};
use super::view::{job, later, list, live, open_jobs, queued, schedule, schedules};
use super::*;
use crate::record::{self, ChangeType, Kind};
use crate::testing::World;
use crate::{Booking, timer};

const TENANT: TenantNumber = TenantNumber(3);

/// The product's rules and a tenant with jobs: timers are of the product.
struct Jobs(World<Booking>);

impl Jobs {
    fn new() -> Self {
        Jobs(World::new(Booking))
    }

    fn ask_of(&mut self, tenant: TenantNumber, command: Command) -> Result<(usize, Outcome), String> {
        let answer = self.0.submit(tenant, &command.into());
        let (facts, outcome) = answer.map_err(|rejection| rejection.code.to_string())?;
        let crate::Outcome::Jobs(outcome) = outcome else { panic!("{outcome:?}") };
        Ok((facts.len(), outcome))
    }

    fn ask(&mut self, command: Command) -> Result<Job, String> {
        match self.ask_of(TENANT, command)? {
            (_, Outcome::Job(_, job)) => Ok(job.is),
            other => panic!("{other:?}"),
        }
    }

    fn queue(&mut self) -> Uuid {
        self.ask(Command::Queue(export())).expect("it may be").id
    }

    fn start(&mut self, id: Uuid) -> Job {
        self.ask(Command::Start { job: id }).expect("it waits")
    }

    fn finish(&mut self, id: Uuid, start: u32, how: Finished) -> Result<Job, String> {
        self.ask(Command::Finish { job: id, start, how })
    }

    fn fail(&mut self, id: Uuid, start: u32) -> Job {
        let trouble = Trouble { code: "x".into(), detail: "It went wrong.".into() };
        self.finish(id, start, Finished::Failed(trouble)).expect("it has the lease")
    }

    /// Lets so many seconds pass, and has everything done that is due. Returns how many facts that were.
    fn pass(&mut self, seconds: i64) -> usize {
        self.0.timestamp = later(self.0.timestamp, seconds);
        self.serve()
    }

    fn serve(&mut self) -> usize {
        let due = timer::due(&self.0.view, self.0.timestamp, 99);
        due.into_iter()
            .map(|(tenant, command)| self.0.submit(tenant, &command).expect("accepted").0.len())
            .sum()
    }

    fn job(&self, id: Uuid) -> Job {
        job(&self.0.view, TENANT, id, None).expect("it is there").is
    }

    fn schedule(&mut self, timing: Timing) -> Schedule {
        let details = ScheduleDetails { name: "nightly".into(), job: export(), timing, active: true };
        match self.ask_of(TENANT, Command::CreateSchedule(details)) {
            Ok((1, Outcome::Schedule(Effect::Created, schedule))) => schedule.is,
            other => panic!("{other:?}"),
        }
    }

    fn check(&self) {
        assert_eq!(self.0.replay(), self.0.view);
    }
}

fn export() -> NewJob {
    NewJob { kind: "export".into(), input: None }
}

#[test]
fn a_job_is_queued_started_and_done() {
    let mut jobs = Jobs::new();
    let id = jobs.queue();
    assert_eq!(queued(&jobs.0.view, jobs.0.timestamp, 9), [(TENANT, id)]);
    assert_eq!(view::waiting(&jobs.0.view, jobs.0.timestamp), (1, Some(jobs.0.timestamp)));
    assert_eq!(open_jobs(&jobs.0.view, TENANT), 1);
    let started = jobs.start(id);
    assert_eq!((started.state, started.starts), (JobState::Running, 1));
    assert_eq!(queued(&jobs.0.view, jobs.0.timestamp, 9), []);
    assert_eq!(jobs.ask(Command::Start { job: id }), Err("job-not-queued".into()), "another has it");
    for (progress, expected) in [(250_000, 250_000), (100, 250_000), (9_000_000, WHOLE)] {
        jobs.ask(Command::Say { job: id, start: 1, progress }).expect("it has the lease");
        let live = live(&jobs.0.view, TENANT, id).expect("it runs");
        assert_eq!((live.progress, live.until), (expected, later(jobs.0.timestamp, LEASE_SECONDS)));
    }
    for start in [0, 2] {
        let lost = Err("job-lease-lost".into());
        assert_eq!(jobs.ask(Command::Say { job: id, start, progress: 1 }), lost);
        assert_eq!(jobs.finish(id, start, Finished::Succeeded(None)), lost);
    }
    let done = jobs.finish(id, 1, Finished::Succeeded(Some("{\"a\": 1}".into()))).expect("it has the lease");
    assert_eq!((done.state, done.result.as_deref()), (JobState::Succeeded, Some("{\"a\": 1}")));
    assert_eq!(view::result_kept_until(&done), Some(later(jobs.0.timestamp, RESULT_KEPT)));
    assert_eq!(
        jobs.finish(id, 1, Finished::Succeeded(None)),
        Err("job-lease-lost".into()),
        "it is said once"
    );
    assert_eq!((live(&jobs.0.view, TENANT, id), open_jobs(&jobs.0.view, TENANT)), (None, 0));
    jobs.check();
}

#[test]
fn what_a_lease_leaves_is_taken_up_again_and_fails_in_the_end() {
    let mut jobs = Jobs::new();
    let id = jobs.queue();
    for start in 1..=TRIES {
        assert_eq!(jobs.start(id).starts, start);
        assert_eq!(jobs.pass(LEASE_SECONDS - 2), 0, "the lease holds");
        jobs.ask(Command::Say { job: id, start, progress: 1 }).expect("it has the lease");
        assert_eq!(jobs.pass(LEASE_SECONDS - 2), 0, "it was renewed");
        assert_eq!(jobs.pass(9), 1, "it has run out");
        let said = jobs.ask(Command::Say { job: id, start, progress: 2 });
        assert_eq!(said, Err("job-lease-lost".into()), "whoever comes back is told so");
        let left = jobs.job(id);
        assert_eq!(left.problem.expect("there is a reason").code, "worker-gone");
        let expected = if start < TRIES { JobState::Queued } else { JobState::Failed };
        assert_eq!(left.state, expected);
        if start < TRIES {
            assert_eq!(
                jobs.ask(Command::Start { job: id }),
                Err("job-not-queued".into()),
                "it waits a while"
            );
            assert_eq!(queued(&jobs.0.view, jobs.0.timestamp, 9), []);
            jobs.pass(60);
        }
    }
    let again = jobs.ask(Command::Retry { job: id }).expect("it has failed");
    assert_eq!((again.state, again.tries_left, again.ended_at), (JobState::Queued, TRIES, None));
    assert_eq!(jobs.start(id).starts, TRIES + 1);
    assert_eq!(jobs.ask(Command::Retry { job: id }), Err("job-not-ended".into()));
    jobs.check();
}

#[test]
fn a_try_that_fails_is_repeated_later_and_one_that_always_would_is_not() {
    let mut jobs = Jobs::new();
    let id = jobs.queue();
    let mut waits = Vec::new();
    for start in 1..TRIES {
        jobs.start(id);
        let failed = jobs.fail(id, start);
        waits.push((failed.not_before.as_micros() - jobs.0.timestamp.as_micros()) / 1_000_000);
        jobs.pass(60);
    }
    assert_eq!(waits, [5, 10]);
    jobs.start(id);
    assert_eq!(jobs.fail(id, TRIES).state, JobState::Failed);
    let id = jobs.queue();
    jobs.start(id);
    let trouble = Trouble { code: "x".into(), detail: "ü".repeat(2 * DETAIL_CHARS_MAX) };
    let failed = jobs.finish(id, 1, Finished::FailedForGood(trouble)).expect("it has the lease");
    assert_eq!(failed.state, JobState::Failed);
    assert_eq!(failed.problem.expect("a reason").detail.chars().count(), DETAIL_CHARS_MAX);
    let id = jobs.queue();
    for start in 1..=9 {
        jobs.start(id);
        let back = jobs.finish(id, start, Finished::Interrupted).expect("it has the lease");
        assert_eq!(
            (back.state, back.tries_left),
            (JobState::Queued, TRIES),
            "a server that stops is no failure"
        );
    }
    jobs.check();
}

#[test]
fn a_job_is_cancelled_at_once_or_when_its_worker_hears_of_it() {
    let mut jobs = Jobs::new();
    let id = jobs.queue();
    assert_eq!(jobs.ask(Command::Cancel { job: id }).expect("it waits").state, JobState::Cancelled);
    assert_eq!(jobs.ask_of(TENANT, Command::Cancel { job: id }).expect("it is").0, 0, "it is so already");
    assert_eq!(queued(&jobs.0.view, jobs.0.timestamp, 9), []);
    assert_eq!(jobs.ask(Command::Start { job: id }), Err("job-not-queued".into()));
    assert_eq!(jobs.ask(Command::Retry { job: id }).expect("it is cancelled").state, JobState::Queued);
    jobs.start(id);
    let asked = jobs.ask(Command::Cancel { job: id }).expect("it runs");
    assert_eq!((asked.state, asked.cancel_asked), (JobState::Running, true));
    assert_eq!(jobs.ask_of(TENANT, Command::Cancel { job: id }).expect("it was asked").0, 0);
    assert!(live(&jobs.0.view, TENANT, id).is_some(), "its worker still has it");
    assert_eq!(jobs.finish(id, 1, Finished::Cancelled).expect("it has the lease").state, JobState::Cancelled);
    // A worker that dies, fails or stops after it was asked leaves a cancelled job.
    for how in [
        None,
        Some(Finished::Interrupted),
        Some(Finished::Failed(Trouble { code: "x".into(), detail: String::new() })),
    ] {
        let id = jobs.queue();
        jobs.start(id);
        jobs.ask(Command::Cancel { job: id }).expect("it runs");
        match how {
            None => drop(jobs.pass(LEASE_SECONDS + 1)),
            Some(how) => drop(jobs.finish(id, 1, how).expect("it has the lease")),
        }
        assert_eq!(jobs.job(id).state, JobState::Cancelled);
    }
    let id = jobs.queue();
    jobs.start(id);
    jobs.finish(id, 1, Finished::Succeeded(None)).expect("it has the lease");
    assert_eq!(jobs.ask(Command::Cancel { job: id }), Err("job-ended".into()));
    assert_eq!(jobs.ask(Command::Retry { job: id }), Err("job-not-ended".into()));
    jobs.check();
}

#[test]
fn a_job_that_has_ended_leaves_the_list_and_is_found_by_its_id() {
    let mut jobs = Jobs::new();
    let ids = [jobs.queue(), jobs.queue(), jobs.queue()];
    let listed = |jobs: &Jobs| {
        list::<Job>(&jobs.0.view, TENANT, Kind::Job, None, 9).iter().map(|job| job.is.id).collect::<Vec<_>>()
    };
    jobs.start(ids[1]);
    jobs.finish(ids[1], 1, Finished::Succeeded(None)).expect("it has the lease");
    jobs.ask(Command::Cancel { job: ids[0] }).expect("it waits");
    assert_eq!(jobs.pass(HISTORY_KEPT - 9), 0);
    assert_eq!(listed(&jobs), ids);
    jobs.ask(Command::Retry { job: ids[0] }).expect("it is cancelled");
    assert_eq!(jobs.pass(20), 1);
    assert_eq!(listed(&jobs), [ids[0], ids[2]], "what is open stays");
    assert_eq!(jobs.job(ids[1]).state, JobState::Succeeded);
    assert_eq!(list::<Job>(&jobs.0.view, TENANT, Kind::Job, Some(ids[0]), 9).len(), 1);
    assert_eq!(timer::next_due(&jobs.0.view), None);
    jobs.check();
}

#[test]
fn what_cannot_be_queued_is_refused() {
    let mut jobs = Jobs::new();
    let queue = |kind: &str, input: Option<&str>| {
        Command::Queue(NewJob { kind: kind.into(), input: input.map(str::to_owned) })
    };
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(INPUT_BYTES_MAX));
    for (command, code) in [
        (queue("", None), "invalid-job-kind"),
        (queue("scrub", None), "invalid-job-kind"),
        (queue("export", Some("[]")), "invalid-job-input"),
        (queue("export", Some(&long)), "invalid-job-input"),
    ] {
        assert_eq!(jobs.ask(command), Err(code.into()));
    }
    let of_server = |jobs: &mut Jobs, kind| jobs.ask_of(TenantNumber::SYSTEM, queue(kind, None)).map(drop);
    assert_eq!(of_server(&mut jobs, "export"), Err("invalid-job-kind".into()));
    assert_eq!(of_server(&mut jobs, "scrub"), Ok(()));
    let nobody = Uuid::nil();
    for command in [
        Command::Start { job: nobody },
        Command::Say { job: nobody, start: 1, progress: 0 },
        Command::Finish { job: nobody, start: 1, how: Finished::Cancelled },
        Command::Cancel { job: nobody },
        Command::Retry { job: nobody },
    ] {
        assert_eq!(jobs.ask(command), Err("job-not-found".into()));
    }
    assert_eq!(jobs.ask_of(TENANT, Command::Attend { job: nobody }), Ok((0, Outcome::Attended)));
    assert_eq!(jobs.ask_of(TENANT, Command::Fire { schedule: nobody }), Ok((0, Outcome::Attended)));
    let first = jobs.queue();
    for _ in 1..OPEN_JOBS_MAX {
        jobs.queue();
    }
    assert_eq!(jobs.ask(Command::Queue(export())), Err("too-many-jobs".into()));
    jobs.ask(Command::Cancel { job: first }).expect("it waits");
    jobs.queue();
    assert_eq!(jobs.ask(Command::Retry { job: first }), Err("too-many-jobs".into()));
    jobs.check();
}

#[test]
fn jobs_of_all_tenants_wait_in_one_line() {
    let mut jobs = Jobs::new();
    let mut expected = Vec::new();
    for tenant in [5, 3, 9, 3] {
        let tenant = TenantNumber(tenant);
        match jobs.ask_of(tenant, Command::Queue(export())) {
            Ok((1, Outcome::Job(Effect::Created, job))) => expected.push((tenant, job.is.id)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(queued(&jobs.0.view, jobs.0.timestamp, 9), expected);
    assert_eq!(queued(&jobs.0.view, jobs.0.timestamp, 2), expected[..2]);
}

#[test]
fn a_schedule_queues_one_job_however_long_nobody_looked() {
    let mut jobs = Jobs::new();
    let made = jobs.schedule(Timing::Every { seconds: 60 });
    assert_eq!(made.next, Some(later(made.created_at, 60)));
    assert_eq!(jobs.pass(50), 0);
    assert_eq!(jobs.pass(600), 2, "the job, and the next instant");
    assert_eq!(jobs.serve(), 0, "not twice");
    let now = schedule(&jobs.0.view, TENANT, made.id, None).expect("it is there").is;
    let next = now.next.expect("it goes on");
    assert!(next > jobs.0.timestamp && next <= later(jobs.0.timestamp, 60));
    assert_eq!(
        (next.as_micros() - made.created_at.as_micros()) % 60_000_000,
        0,
        "in step with its beginning"
    );
    let first = now.last_job.expect("it has queued one");
    assert_eq!((jobs.job(first).schedule, jobs.job(first).state), (Some(made.id), JobState::Queued));
    assert_eq!(jobs.pass(60), 1, "its job is open: none is queued, and the next instant is noted");
    let now = schedule(&jobs.0.view, TENANT, made.id, None).expect("it is there").is;
    assert_eq!((now.skipped, now.last_job), (1, Some(first)));
    jobs.ask(Command::Cancel { job: first }).expect("it waits");
    assert_eq!(jobs.pass(60), 2);
    assert_eq!(open_jobs(&jobs.0.view, TENANT), 1);
    jobs.check();
}

#[test]
fn a_schedule_follows_the_clocks_of_its_zone() {
    let mut jobs = Jobs::new();
    jobs.0.timestamp = Timestamp::parse_rfc3339("2025-03-28T12:00:00Z").expect("an instant");
    let timing = Timing::Cron { expression: "30 2 * * *".into(), time_zone: "Europe/Berlin".into() };
    let made = jobs.schedule(timing);
    let mut fired = Vec::new();
    while fired.len() < 3 {
        jobs.pass(600);
        let now = schedule(&jobs.0.view, TENANT, made.id, None).expect("it is there").is;
        if let Some(at) = now.fired_at.filter(|at| fired.last() != Some(at)) {
            fired.push(at);
            jobs.ask(Command::Cancel { job: now.last_job.expect("it has") }).expect("it waits");
        }
    }
    let fired: Vec<_> = fired.iter().map(|at| at.to_string()[..13].to_owned()).collect();
    assert_eq!(fired, ["2025-03-29T01", "2025-03-30T01", "2025-03-31T00"]);
    jobs.check();
}

#[test]
fn a_schedule_is_changed_and_deleted() {
    let mut jobs = Jobs::new();
    let made = jobs.schedule(Timing::Every { seconds: 60 });
    let update =
        |patch, if_version| Command::UpdateSchedule { schedule: made.id, patch: Box::new(patch), if_version };
    let mut ask = |command| match jobs.ask_of(TENANT, command) {
        Ok((facts, Outcome::Schedule(effect, schedule))) => {
            Ok((facts, effect, schedule.version, schedule.is))
        }
        Ok(other) => panic!("{other:?}"),
        Err(code) => Err(code),
    };
    let renamed = SchedulePatch { name: Some("daily".into()), ..SchedulePatch::default() };
    let (facts, effect, version, is) = ask(update(renamed.clone(), Some(1))).expect("it is at version 1");
    assert_eq!((facts, effect, version, is.next), (1, Effect::Updated, 2, made.next));
    assert_eq!(ask(update(renamed.clone(), Some(1))), Err("version-mismatch".into()));
    let (facts, effect, version, _) = ask(update(renamed, None)).expect("it is there");
    assert_eq!((facts, effect, version), (0, Effect::Unchanged, 2));
    let paused = SchedulePatch { active: Some(false), ..SchedulePatch::default() };
    assert_eq!(ask(update(paused, None)).expect("it is there").3.next, None);
    let cron = Timing::Cron { expression: "0 3 * * *".into(), time_zone: "UTC".into() };
    let moved = SchedulePatch {
        timing: Some(cron),
        active: Some(true),
        input: Some(Some("{}".into())),
        ..SchedulePatch::default()
    };
    let is = ask(update(moved, None)).expect("it is there").3;
    assert_eq!(is.next.map(|at| at.to_string()), Some("1970-01-01T03:00:00.000Z".to_owned()));
    let wrong = SchedulePatch { timing: Some(Timing::Every { seconds: 9 }), ..SchedulePatch::default() };
    assert_eq!(ask(update(wrong, None)), Err("invalid-schedule".into()));
    let delete = |if_version| Command::DeleteSchedule { schedule: made.id, if_version };
    assert_eq!(ask(delete(Some(1))), Err("version-mismatch".into()));
    let (_, effect, _, is) = ask(delete(None)).expect("it is there");
    assert_eq!((effect, is.deleted, is.next), (Effect::Deleted, true, None));
    assert_eq!(ask(delete(None)), Err("schedule-not-found".into()));
    assert_eq!(ask(update(SchedulePatch::default(), None)), Err("schedule-not-found".into()));
    assert_eq!(timer::next_due(&jobs.0.view), None);
    assert_eq!(schedules(&jobs.0.view, TENANT), 0);
    assert!(list::<Schedule>(&jobs.0.view, TENANT, Kind::Schedule, None, 9).is_empty());
    jobs.check();
}

#[test]
fn what_is_no_schedule_is_refused() {
    let mut jobs = Jobs::new();
    let cron = |expression: &str, time_zone: &str| Timing::Cron {
        expression: expression.into(),
        time_zone: time_zone.into(),
    };
    let mut refused = |name: &str, kind: &str, timing| {
        let job = NewJob { kind: kind.into(), input: None };
        let details = ScheduleDetails { name: name.into(), job, timing, active: true };
        jobs.ask_of(TENANT, Command::CreateSchedule(details)).expect_err("it is wrong")
    };
    let every = |seconds| Timing::Every { seconds };
    assert_eq!(refused("", "export", every(60)), "invalid-name");
    assert_eq!(refused("a", "scrub", every(60)), "invalid-job-kind");
    for timing in [every(9), every(31_622_401), cron("0 3 * *", "UTC"), cron("0 0 30 2 *", "UTC")] {
        assert_eq!(refused("a", "export", timing), "invalid-schedule");
    }
    for zone in ["", "Berlin", "Europe/Nowhere"] {
        assert_eq!(refused("a", "export", cron("0 3 * * *", zone)), "invalid-time-zone");
    }
    for _ in 0..SCHEDULES_MAX {
        jobs.schedule(every(60));
    }
    let details = ScheduleDetails { name: "a".into(), job: export(), timing: every(60), active: true };
    let refused = jobs.ask_of(TENANT, Command::CreateSchedule(details));
    assert_eq!(refused, Err("too-many-schedules".into()));
}

/// Another domain, whose command leads to a job in its own batch: see [`enqueue`].
#[test]
fn the_rules_of_another_domain_queue_a_job_in_their_own_batch() {
    let mut jobs = Jobs::new();
    let view = &mut jobs.0.view;
    let timestamp = Timestamp::from_millis(1_000);
    let ids = maitred_core::Ids::new(timestamp, 1);
    let cx = maitred_core::Context { timestamp, tenant: TENANT, actor: maitred_core::Actor::System, ids };
    let queued_job = enqueue(&*view, &export(), &cx).expect("there is room");
    let at = maitred_core::At { tenant: TENANT, seq: 1, ordinal: 0, timestamp };
    put_queued(view, &queued_job, at);
    jobs.0.timestamp = timestamp;
    assert_eq!(jobs.start(queued_job.id).state, JobState::Running);
}

#[test]
fn a_job_is_a_record_with_versions_and_its_progress_is_none() {
    let mut jobs = Jobs::new();
    let id = jobs.queue();
    jobs.start(id);
    let before = jobs.0.seq;
    jobs.ask(Command::Say { job: id, start: 1, progress: 500_000 }).expect("it has the lease");
    jobs.finish(id, 1, Finished::Succeeded(None)).expect("it has the lease");
    let mut told = Vec::new();
    record::changes(&jobs.0.view, TENANT, ChangeId::default(), &mut |change| {
        told.push((change.record.kind, change.change_type, change.version.version));
        std::ops::ControlFlow::Continue(())
    });
    let expected = [ChangeType::Created, ChangeType::Updated, ChangeType::Updated];
    assert_eq!(
        told,
        expected.iter().zip(1..).map(|(change, version)| (Kind::Job, *change, version)).collect::<Vec<_>>()
    );
    let then = |seq: Seq| job(&jobs.0.view, TENANT, id, Some(seq)).map(|job| job.is.state);
    assert_eq!(
        [0, 1, before, before + 1, jobs.0.seq].map(then),
        [
            None,
            Some(JobState::Queued),
            Some(JobState::Running),
            Some(JobState::Running),
            Some(JobState::Succeeded),
        ]
    );
    let record = view::record_id(TENANT, Kind::Job, id);
    assert_eq!(view::versions::<Job>(&jobs.0.view, record, (None, None), 9).len(), 3);
    assert_eq!(view::versions::<Job>(&jobs.0.view, record, (None, None), 2).len(), 2);
}

/// What the random histories look at.
fn state_of(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<(JobState, u32, u32, bool)> {
    job(view, tenant, id, None)
        .map(|job| (job.is.state, job.is.starts, job.is.tries_left, job.is.cancel_asked))
}

#[test]
fn a_fact_of_a_job_is_small() {
    let mut jobs = Jobs::new();
    let id = jobs.queue();
    let mut body = Vec::new();
    Fact::JobQueued(jobs.job(id)).encode(&mut body);
    assert!(body.len() < 80, "{} bytes", body.len());
}
