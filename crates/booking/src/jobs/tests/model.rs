//! Random histories against the plainest picture of a job: its state, and when its lease ends.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone, Copy)]
struct Model {
    state: JobState,
    starts: u32,
    tries: u32,
    asked: bool,
    not_before: i64,
    lease: i64,
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What becomes of a job that nobody works at any more.
fn back(is: &mut Model, now: i64, failed: bool) {
    is.state = match (is.asked, failed && is.tries == 0) {
        (true, _) => JobState::Cancelled,
        (_, true) => JobState::Failed,
        _ => JobState::Queued,
    };
    let tried = i64::from((TRIES - is.tries).clamp(1, TRIES));
    is.not_before = if failed { now + 5 * (1 << (tried - 1)) } else { now };
}

#[test]
fn random_histories_agree_with_the_model() {
    let mut met = BTreeMap::new();
    for seed in 0..60 {
        let mut random = Random(seed * 7_919 + 1);
        let mut jobs = Jobs::new();
        let mut models: BTreeMap<Uuid, Model> = BTreeMap::new();
        for step in 0..300 {
            if random.below(6) == 0 || models.is_empty() {
                let queued = jobs.ask(Command::Queue(export()));
                let open = models.values().filter(|is| is.state.is_open()).count() as u64;
                assert_eq!(queued.is_ok(), open < OPEN_JOBS_MAX);
                if let Ok(job) = queued {
                    let (state, not_before) = (JobState::Queued, now(&jobs));
                    let tries = TRIES;
                    models.insert(
                        job.id,
                        Model { state, starts: 0, tries, asked: false, not_before, lease: 0 },
                    );
                }
                continue;
            }
            let ids: Vec<Uuid> = models.keys().copied().collect();
            let id = ids[random.below(ids.len() as u64) as usize];
            let is = models.get_mut(&id).expect("it is one of them");
            let start = if random.below(8) == 0 { is.starts + 1 } else { is.starts };
            let runs = is.state == JobState::Running && start == is.starts;
            let trouble = Trouble { code: "x".into(), detail: "It went wrong.".into() };
            let what = random.below(10);
            let answer = match what {
                0..3 => jobs.ask(Command::Start { job: id }).map(drop),
                3 => jobs.ask(Command::Say { job: id, start, progress: 1 }).map(drop),
                4 => jobs.finish(id, start, Finished::Succeeded(None)).map(drop),
                5 => jobs.finish(id, start, Finished::Failed(trouble)).map(drop),
                6 => jobs.finish(id, start, Finished::Interrupted).map(drop),
                7 => jobs.ask(Command::Cancel { job: id }).map(drop),
                8 => jobs.ask(Command::Retry { job: id }).map(drop),
                _ => {
                    jobs.0.timestamp = later(jobs.0.timestamp, random.below(20) as i64);
                    // The world's clock goes on by a second with each command, those of timers included.
                    let due = timer::due(&jobs.0.view, jobs.0.timestamp, 99);
                    for (tenant, command) in due {
                        jobs.0.submit(tenant, &command).expect("what is due is accepted");
                        let now = now(&jobs);
                        let crate::Command::Jobs(Command::Attend { job }) = command else {
                            panic!("{command:?}")
                        };
                        let is = models.get_mut(&job).expect("it is one of them");
                        if is.state == JobState::Running && is.lease <= now {
                            back(is, now, true);
                        }
                    }
                    Ok(())
                }
            };
            let now = now(&jobs);
            let may = match what {
                0..3 => is_some_queued(&models[&id], now),
                3..7 => runs,
                7 => !matches!(models[&id].state, JobState::Succeeded | JobState::Failed),
                8 => {
                    let open = models.values().filter(|is| is.state.is_open()).count() as u64;
                    matches!(models[&id].state, JobState::Failed | JobState::Cancelled)
                        && open < OPEN_JOBS_MAX
                }
                _ => true,
            };
            assert_eq!(answer.is_ok(), may, "seed {seed} step {step}: {what} {:?} {answer:?}", models[&id]);
            let is = models.get_mut(&id).expect("it is one of them");
            match what {
                _ if !may => {}
                0..3 => {
                    is.state = JobState::Running;
                    is.starts += 1;
                    is.tries = is.tries.saturating_sub(1);
                    is.lease = now + LEASE_SECONDS;
                }
                3 => is.lease = now + LEASE_SECONDS,
                4 => is.state = JobState::Succeeded,
                5 => back(is, now, true),
                6 => {
                    is.tries = (is.tries + 1).min(TRIES);
                    back(is, now, false);
                }
                7 => {
                    is.asked |= is.state.is_open();
                    if is.state == JobState::Queued {
                        is.state = JobState::Cancelled;
                    }
                }
                8 => {
                    (is.state, is.tries, is.asked, is.not_before) = (JobState::Queued, TRIES, false, now);
                }
                _ => {}
            }
            for (id, is) in &models {
                let found = state_of(&jobs.0.view, TENANT, *id);
                assert_eq!(
                    found,
                    Some((is.state, is.starts, is.tries, is.asked)),
                    "seed {seed} step {step} after {what}: {is:?}"
                );
                *met.entry(format!("{:?}", is.state)).or_insert(0) += 1;
            }
            let mut waiting: Vec<_> = models
                .iter()
                .filter(|(_, is)| is_some_queued(is, now))
                .map(|(id, is)| (is.not_before, *id))
                .collect();
            waiting.sort_unstable();
            let found: Vec<_> =
                queued(&jobs.0.view, jobs.0.timestamp, 999).into_iter().map(|(_, id)| id).collect();
            assert_eq!(
                found,
                waiting.into_iter().map(|(_, id)| id).collect::<Vec<_>>(),
                "seed {seed} step {step}"
            );
            let open = models.values().filter(|is| is.state.is_open()).count() as u64;
            assert_eq!(open_jobs(&jobs.0.view, TENANT), open, "seed {seed} step {step}");
        }
        jobs.check();
    }
    assert_eq!(met.len(), 5, "a state was never met: {met:?}");
}

fn is_some_queued(is: &Model, now: i64) -> bool {
    is.state == JobState::Queued && is.not_before <= now
}

fn now(jobs: &Jobs) -> i64 {
    jobs.0.timestamp.as_micros() / 1_000_000
}
