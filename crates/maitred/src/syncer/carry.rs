//! What becomes of a feed that was fetched whole: it is read once to see what would change, and once more to change it.
//!
//! Runs on a thread of its own: it reads a file, and waits for each of its commands.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::tz::TimeZone;
use maitred_booking::Outcome as AnyOutcome;
use maitred_booking::app::App;
use maitred_booking::catalogue::command::EVENTS_PER_COMMAND_MAX;
use maitred_booking::catalogue::rules::{Applied, EVENT_BYTES_MAX};
use maitred_booking::catalogue::status::RunOutcome;
use maitred_booking::catalogue::view::{self, Scheduled};
use maitred_booking::catalogue::{
    ApplyEvents, BeginRun, Command, Counts, FeedEvent, Outcome, Run, RunProblem, RunState, Validators,
    VanishEvents,
};
use maitred_connectors::feed_fetch::Spool;
use maitred_connectors::xml_feed::{Changes, Known, KnownEvent, Options, Refused, Survey, Tally, survey};
use maitred_core::{Actor, Rejection};
use maitred_engine::Unavailable;
use uuid::Uuid;

use super::event::resolved;
use super::{Ending, Shared, finish};

/// How many bytes of events a command has, about.
const GROUP_BYTES: usize = 96 * 1024;
/// How often a command is sent again that met an overloaded server.
const TRIES_MAX: usize = 10;

/// Why a feed is carried over no further.
enum Stopped {
    /// It is not to be believed.
    Refused(Refused),
    /// The rules refuse it: the run was taken over by another, the provider has too many events.
    Rejected(Rejection),
    /// Nothing can be written now.
    Unavailable(Unavailable),
    /// The file cannot be read.
    Unreadable(std::io::Error),
    /// An operator decides first.
    Held,
    /// The server stops.
    Stopping,
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Stopped::Refused(refused)
    }
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Stopped::Unreadable(error)
    }
}

/// Carries a feed over.
pub(super) fn carry(shared: &Shared, due: &Scheduled, spool: &Spool) -> RunOutcome {
    let runtime = tokio::runtime::Handle::current();
    let mut carrying = Carrying { shared, due, spool, runtime, run: None, counts: Counts::default() };
    let ended = carrying.carry();
    let (run, counts) = (carrying.run, carrying.counts);
    let failed = |code: &str, detail: String| {
        let problems = vec![RunProblem { code: code.to_owned(), detail }];
        Ending { run, counts, problems, ..Ending::default() }
    };
    let ending = match ended {
        Ok(ending) => ending,
        Err(Stopped::Refused(refused)) => failed(refused.reason.code(), refused.detail),
        Err(Stopped::Rejected(rejection)) => failed(&rejection.code, rejection.detail),
        Err(Stopped::Unreadable(error)) => failed("spool-unreadable", error.to_string()),
        Err(Stopped::Held) => {
            tracing::warn!(
                tenant.number = due.tenant.0,
                provider.name = %due.provider.name,
                missing = counts.missing,
                "a run would lose many events of a provider: it waits for an operator"
            );
            return RunOutcome::Held;
        }
        Err(Stopped::Unavailable(error)) => {
            tracing::warn!(error = %error, provider.name = %due.provider.name, "a feed was not carried over whole");
            return RunOutcome::Broken;
        }
        Err(Stopped::Stopping) => return RunOutcome::Broken,
    };
    carrying.runtime.block_on(finish(shared, due, ending))
}

/// A feed under way.
struct Carrying<'a> {
    shared: &'a Shared,
    due: &'a Scheduled,
    spool: &'a Spool,
    runtime: tokio::runtime::Handle,
    run: Option<Uuid>,
    counts: Counts,
}

impl Carrying<'_> {
    fn carry(&mut self) -> Result<Ending, Stopped> {
        let provider = &self.due.provider;
        let zone = TimeZone::get(&provider.time_zone).unwrap_or(TimeZone::UTC);
        // Whatever changes what an event of the same words is.
        let context = format!("{} {}", provider.time_zone, provider.currency.as_str());
        let known = KnownEvents::new(&self.shared.app, self.due);
        let file = self.spool.rewound()?;
        let survey = survey(file, self.options(), &context, &known)?;
        let digest = known.digest();
        self.counts = counts(self.spool, &survey);
        self.shared.app.syncing().read((self.due.tenant, &provider.name), self.counts.skipped);
        let is_new = survey.new + survey.changed + survey.loss.lost > 0;
        let mut problems = problems(&survey.tally);
        if is_new {
            self.begin(digest)?;
            let (states, mut written) = (self.options(), Applied::default());
            let mut changes = Changes::new(file, states, &survey, &context, &known)?;
            while let Some(group) = changes.next_group(EVENTS_PER_COMMAND_MAX, GROUP_BYTES)? {
                let events = group.into_iter().map(|changed| resolved(changed, &zone)).collect();
                self.apply(events, &mut written)?;
            }
            self.counts.skipped = skipped(&changes.tally()) + u64::from(written.too_large);
            (self.counts.created, self.counts.updated) = (written.created.into(), written.updated.into());
            if written.too_large > 0 {
                let detail = format!(
                    "{} events have more than {EVENT_BYTES_MAX} bytes and were left as they were.",
                    written.too_large
                );
                problems.insert(0, RunProblem { code: "event-too-large".to_owned(), detail });
            }
            self.vanish(&survey)?;
        }
        let validators = self.spool.validators();
        Ok(Ending {
            run: self.run,
            state: if is_new { RunState::Finished } else { RunState::Unchanged },
            counts: self.counts,
            problems,
            digest: Some(digest),
            validators: Some(Validators {
                etag: validators.etag.clone(),
                last_modified: validators.last_modified.clone(),
            }),
        })
    }

    fn options(&self) -> Options {
        let options = self.spool.options();
        let (stopping, mut in_time) = (Arc::clone(&self.shared.stopping), options.go_on);
        let go_on = Box::new(move || !stopping.load(Ordering::Relaxed) && in_time());
        Options { price_decimals: self.due.provider.currency.decimals(), go_on, ..options }
    }

    fn begin(&mut self, digest: [u8; 32]) -> Result<(), Stopped> {
        let provider = self.due.provider.name.clone();
        let begin = BeginRun { provider, counts: self.counts, digest };
        match self.submit(512, &Command::BeginRun(begin))? {
            Outcome::Run { run: Run { id, state: RunState::Running, .. }, .. } => {
                self.run = Some(id);
                Ok(())
            }
            _ => Err(Stopped::Held),
        }
    }

    fn apply(&self, mut events: Vec<FeedEvent>, written: &mut Applied) -> Result<(), Stopped> {
        while !events.is_empty() {
            let provider = self.due.provider.name.clone();
            let run = self.run.unwrap_or_default();
            let apply = Command::ApplyEvents(ApplyEvents { provider, run, events });
            let applied = self.applied(GROUP_BYTES, &apply)?;
            written.created += applied.created;
            written.updated += applied.updated;
            written.too_large += applied.too_large;
            let Command::ApplyEvents(apply) = apply else { return Ok(()) };
            events = apply.events;
            events.drain(..(applied.taken as usize).min(events.len()));
        }
        Ok(())
    }

    /// Marks what is known and not in the feed.
    fn vanish(&self, survey: &Survey) -> Result<(), Stopped> {
        if survey.loss.lost == 0 {
            return Ok(());
        }
        let mut missing = self.missing(survey);
        while !missing.is_empty() {
            let rest = missing.split_off(missing.len().min(EVENTS_PER_COMMAND_MAX));
            let mut events = std::mem::replace(&mut missing, rest);
            while !events.is_empty() {
                let provider = self.due.provider.name.clone();
                let run = self.run.unwrap_or_default();
                let vanish = VanishEvents { provider, run, events: events.clone() };
                let applied = self.applied(8_192, &Command::VanishEvents(vanish))?;
                events.drain(..(applied.taken as usize).min(events.len()));
            }
        }
        Ok(())
    }

    fn missing(&self, survey: &Survey) -> Vec<Uuid> {
        let (tenant, provider) = (self.due.tenant, self.due.provider.name.as_str());
        let view = self.shared.app.engine().view();
        let mut missing = Vec::new();
        view::each_known(&view, tenant, provider, &mut |_, known| {
            if !known.gone
                && let Some(event) = view::event(&view, tenant, known.id, None)
                && !survey.contains(&event.is.external_id)
            {
                missing.push(known.id);
            }
            ControlFlow::Continue(())
        });
        missing
    }

    fn applied(&self, bytes: usize, command: &Command) -> Result<Applied, Stopped> {
        match self.submit(bytes, command)? {
            Outcome::Applied(applied) if applied.taken > 0 => Ok(applied),
            other => unreachable!("a group of events is answered with {other:?}"),
        }
    }

    /// Decides a command, and waits where the server has too much to do.
    fn submit(&self, bytes: usize, command: &Command) -> Result<Outcome, Stopped> {
        let mut tries = 0;
        loop {
            if self.shared.is_stopping() {
                return Err(Stopped::Stopping);
            }
            tries += 1;
            let who = (self.due.tenant, Actor::System);
            let decided = self.runtime.block_on(self.shared.app.decide(who, None, bytes, command.clone()));
            match decided {
                Ok(answer) => match answer.result {
                    Ok(AnyOutcome::Catalogue(outcome)) => return Ok(outcome),
                    Ok(other) => unreachable!("a command on the catalogue is answered with {other:?}"),
                    Err(rejection) => return Err(Stopped::Rejected(rejection)),
                },
                Err(Unavailable::Overloaded { retry_after }) if tries < TRIES_MAX => {
                    std::thread::sleep(retry_after);
                }
                Err(unavailable) => return Err(Stopped::Unavailable(unavailable)),
            }
        }
    }
}

/// What the catalogue knows of a provider's events.
struct KnownEvents<'a> {
    app: &'a App,
    due: &'a Scheduled,
    present: u64,
    /// Of the ids that were asked for, one after another: of those that the feed states.
    ids: RefCell<blake3::Hasher>,
}

impl<'a> KnownEvents<'a> {
    fn new(app: &'a App, due: &'a Scheduled) -> Self {
        let present = view::state(&app.engine().view(), due.tenant, &due.provider.name).events;
        KnownEvents { app, due, present, ids: RefCell::new(blake3::Hasher::new()) }
    }

    /// The hash of the ids that were asked for so far.
    fn digest(&self) -> [u8; 32] {
        *self.ids.borrow().finalize().as_bytes()
    }
}

impl Known for KnownEvents<'_> {
    fn event(&self, id: &str) -> Option<KnownEvent> {
        self.ids.borrow_mut().update(&(id.len() as u64).to_le_bytes()).update(id.as_bytes());
        // A view of its own for each: a feed of any length keeps no old pages alive.
        let known = view::known(&self.app.engine().view(), self.due.tenant, &self.due.provider.name, id)?;
        Some(KnownEvent { digest: known.digest, vanished: known.gone })
    }

    fn present(&self) -> u64 {
        self.present
    }
}

fn counts(spool: &Spool, survey: &Survey) -> Counts {
    Counts {
        bytes: spool.bytes(),
        events: survey.events(),
        created: 0,
        updated: 0,
        missing: survey.loss.lost,
        duplicates: survey.tally.events_repeated,
        skipped: skipped(&survey.tally),
    }
}

fn skipped(tally: &Tally) -> u64 {
    tally.events_left_out + tally.plans_left_out + tally.zones_left_out
}

/// What the reading found wrong, each with its place.
fn problems(tally: &Tally) -> Vec<RunProblem> {
    let mut problems = Vec::new();
    if tally.events_repeated > 0 {
        let detail = format!(
            "{} statements of an event beyond its first: the last attributes count, plans are merged.",
            tally.events_repeated
        );
        problems.push(RunProblem { code: "event-repeated".to_owned(), detail });
    }
    problems.extend(tally.problems.iter().map(|problem| {
        let place = match problem.place.line {
            Some(line) => format!("line {line}, byte {}", problem.place.byte),
            None => format!("byte {}", problem.place.byte),
        };
        RunProblem { code: problem.code.to_owned(), detail: format!("{place}: {}", problem.detail) }
    }));
    problems
}
