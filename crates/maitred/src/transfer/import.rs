//! Reading a tenant's lines into commands, many under way at once, each line answered for in its order.

use std::borrow::Cow;
use std::collections::VecDeque;

use maitred_booking::tenants::{self, Tenant, UpdateTenant};
use maitred_booking::{Booking, Command, Outcome};
use maitred_booking::{accounts, appointments, flash_sales, salons};
use maitred_core::{Actor, Rejection, TenantNumber};
use maitred_engine::queue::Pending;
use maitred_engine::{Answer, Engine, Envelope, Unavailable};
use serde::Serialize;

use super::line::{self, Line, Malformed, TenantInput};

/// How many commands of one import wait in the queue at once.
const WINDOW: usize = 256;

/// Where an import goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A tenant that is there; its profile becomes the file's.
    Tenant(TenantNumber),
    /// The tenant of this slug, or of the file's; made where it is not there.
    Slug(Option<String>),
}

/// An import under way.
#[derive(Debug)]
pub struct Import {
    engine: Engine<Booking>,
    actor: Actor,
    into: Destination,
    waiting: VecDeque<(u64, Waiting)>,
    tally: Tally,
    refused: Vec<Refused>,
    /// The lines so far, blank ones not counted.
    lines: u64,
    ended: bool,
}

#[derive(Debug)]
enum Waiting {
    Answer(Pending<Booking>),
    Malformed(Malformed),
}

/// What became of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Taken over.
    pub imported: u64,
    /// There already.
    pub unchanged: u64,
    /// Refused.
    pub refused: u64,
}

/// A line that was refused; the others were not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its number, from 1.
    pub line: u64,
    /// The stable code.
    pub code: Cow<'static, str>,
    /// A sentence for a person.
    pub detail: String,
}

/// The import could not go on. What was imported stays; running it again does the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the import stopped at line {line}: {why}")]
pub struct Stopped {
    /// The line that could not be decided.
    pub line: u64,
    /// Why.
    pub why: String,
}

impl Import {
    /// An import by `actor`.
    pub fn new(engine: Engine<Booking>, actor: Actor, into: Destination) -> Self {
        let (tally, refused) = (Tally::default(), Vec::new());
        Import { engine, actor, into, waiting: VecDeque::new(), tally, refused, lines: 0, ended: false }
    }

    /// What became of the lines so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The refusals since the last call.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// Takes the line of this number; `Err` is one that was too long to be read.
    ///
    /// # Errors
    /// [`Stopped`]: no further line will be taken.
    pub async fn line(&mut self, number: u64, line: Result<&[u8], ()>) -> Result<(), Stopped> {
        let read = match line {
            Ok(line) if line.iter().all(u8::is_ascii_whitespace) => return Ok(()),
            Ok(line) => line::read(line),
            Err(()) => {
                let detail = format!("a line has at most {} bytes", line::LINE_BYTES_MAX);
                Err(Malformed { code: "line-too-long", detail })
            }
        };
        let bytes = line.map_or(0, <[u8]>::len);
        if self.ended {
            let detail = "it stands behind the end".to_owned();
            return self
                .wait(number, Waiting::Malformed(Malformed { code: "line-behind-end", detail }))
                .await;
        }
        self.lines += 1;
        match read {
            Ok(Line::Tenant(tenant)) => self.tenant(number, &tenant).await,
            Ok(Line::Appointment(import)) => {
                self.record(number, bytes, appointments::Command::Import(import)).await
            }
            Ok(Line::User(import)) => self.record(number, bytes, accounts::Command::Import(import)).await,
            Ok(Line::Product(import)) => {
                self.record(number, bytes, flash_sales::Command::ImportProduct(import)).await
            }
            Ok(Line::Sale(import)) => {
                self.record(number, bytes, flash_sales::Command::ImportSale(import)).await
            }
            Ok(Line::Order(import)) => {
                self.record(number, bytes, flash_sales::Command::ImportOrder(import)).await
            }
            Ok(Line::Salon(import)) => {
                self.record(number, bytes, salons::Command::Import(Box::new(import))).await
            }
            Ok(Line::End { lines }) => {
                self.ended = true;
                let before = self.lines - 1;
                if lines == before {
                    return Ok(());
                }
                let detail = format!("{lines} lines were exported, and {before} have come");
                self.wait(number, Waiting::Malformed(Malformed { code: "lines-missing", detail })).await
            }
            Err(malformed) => self.wait(number, Waiting::Malformed(malformed)).await,
        }
    }

    /// There are no more lines: waits for what is under way. `last` is the last line's number.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn finish(&mut self, last: u64) -> Result<(), Stopped> {
        while !self.waiting.is_empty() {
            self.settle().await?;
        }
        if !self.ended {
            let detail = "the last line of an export is missing: it has been cut short".to_owned();
            self.refuse(last, "end-missing".into(), detail);
        }
        Ok(())
    }

    /// Makes the tenant, or makes the one that is there alike.
    async fn tenant(&mut self, number: u64, input: &TenantInput) -> Result<(), Stopped> {
        let existing = match &self.into {
            Destination::Tenant(tenant) => tenants::tenant(&self.engine.view(), *tenant),
            Destination::Slug(slug) => {
                tenants::tenant_by_slug(&self.engine.view(), slug.as_ref().unwrap_or(&input.slug))
            }
        };
        let command = match (&existing, &self.into) {
            (Some(Tenant { profile, .. }), _) => tenants::Command::UpdateTenant(UpdateTenant {
                tenant: profile.tenant(),
                patch: input.patch(),
                if_version: None,
            }),
            (None, Destination::Slug(slug)) => {
                let slug = slug.clone().unwrap_or_else(|| input.slug.clone());
                tenants::Command::CreateTenant(input.create(slug))
            }
            (None, Destination::Tenant(_)) => {
                return Err(Stopped { line: number, why: "the tenant was closed".to_owned() });
            }
        };
        let envelope = Envelope {
            tenant: TenantNumber::SYSTEM,
            actor: self.actor,
            idempotency: None,
            bytes: 1_024,
            command: Command::Tenants(command),
        };
        let stopped = |why: Unavailable| Stopped { line: number, why: why.to_string() };
        let Answer { result, .. } = self.engine.submit(envelope).await.map_err(stopped)?;
        match (result, existing) {
            (Ok(Outcome::Tenants(outcome)), existing) => {
                let (tenants::Outcome::TenantCreated(tenant)
                | tenants::Outcome::TenantExists(tenant)
                | tenants::Outcome::TenantUpdated(tenant)) = outcome
                else {
                    unreachable!("creating or changing a tenant is answered so")
                };
                self.into = Destination::Tenant(tenant.profile.tenant());
                let unchanged = existing.is_some_and(|existing| existing.version == tenant.version);
                *if unchanged { &mut self.tally.unchanged } else { &mut self.tally.imported } += 1;
                Ok(())
            }
            (Ok(other), _) => unreachable!("a tenant's command is answered with {other:?}"),
            // The records of a tenant that is there can be imported without its profile.
            (Err(Rejection { code, detail, .. }), Some(tenant)) => {
                self.into = Destination::Tenant(tenant.profile.tenant());
                self.refuse(number, code, detail);
                Ok(())
            }
            (Err(rejection), None) => {
                Err(Stopped { line: number, why: format!("{} ({})", rejection.detail, rejection.code) })
            }
        }
    }

    /// Takes a version over.
    async fn record(
        &mut self,
        number: u64,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<(), Stopped> {
        let command = command.into();
        let tenant = match &self.into {
            Destination::Tenant(tenant) => *tenant,
            Destination::Slug(Some(slug))
                if let Some(tenant) = tenants::tenant_by_slug(&self.engine.view(), slug) =>
            {
                tenant.profile.tenant()
            }
            Destination::Slug(_) => {
                let why = "no line of a tenant stands before it".to_owned();
                return Err(Stopped { line: number, why });
            }
        };
        self.into = Destination::Tenant(tenant);
        loop {
            let command = command.clone();
            let envelope = Envelope { tenant, actor: self.actor, idempotency: None, bytes, command };
            match self.engine.enter(envelope) {
                Ok(pending) => return self.wait(number, Waiting::Answer(pending)).await,
                // Others are busy: nothing of ours waits any more once all is settled.
                Err(Unavailable::Overloaded { .. }) if !self.waiting.is_empty() => self.settle().await?,
                Err(Unavailable::Overloaded { retry_after }) => tokio::time::sleep(retry_after).await,
                Err(why) => return Err(Stopped { line: number, why: why.to_string() }),
            }
        }
    }

    async fn wait(&mut self, number: u64, waiting: Waiting) -> Result<(), Stopped> {
        if self.waiting.len() == WINDOW {
            self.settle().await?;
        }
        self.waiting.push_back((number, waiting));
        Ok(())
    }

    /// Waits for the oldest line under way.
    async fn settle(&mut self) -> Result<(), Stopped> {
        let Some((number, waiting)) = self.waiting.pop_front() else { return Ok(()) };
        let answer = match waiting {
            Waiting::Answer(pending) => pending.await.unwrap_or(Err(Unavailable::Unknown)),
            Waiting::Malformed(Malformed { code, detail }) => {
                self.refuse(number, code.into(), detail);
                return Ok(());
            }
        };
        match answer.map_err(|why| Stopped { line: number, why: why.to_string() })?.result {
            Ok(outcome) if is_unchanged(&outcome) => self.tally.unchanged += 1,
            Ok(_) => self.tally.imported += 1,
            Err(Rejection { code, detail, .. }) => self.refuse(number, code, detail),
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, code: Cow<'static, str>, detail: String) {
        self.tally.refused += 1;
        self.refused.push(Refused { line, code, detail });
    }
}

/// Whether a version was there already.
fn is_unchanged(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Appointments(outcome) => outcome.effect == appointments::Effect::Unchanged,
        Outcome::Accounts(outcome) => outcome.effect == accounts::Effect::Unchanged,
        Outcome::FlashSales(outcome) => outcome.effect() == flash_sales::Effect::Unchanged,
        Outcome::Salons(outcome) => outcome.effect() == salons::Effect::Unchanged,
        other => unreachable!("the import of a version is answered with {other:?}"),
    }
}
