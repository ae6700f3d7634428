//! Customers and bookings of the replaced salon system, read from its files into commands: many under way at once,
//! each record answered for in its order.
//!
//! Invariants:
//! - An import is made of ordinary commands that the newest change wins: importing a file again changes nothing, and
//!   an import that was cut off is finished by sending all of it once more.
//! - Memory is bounded by a piece of the input, a record, and [`WINDOW`] commands. While the engine is busy nothing
//!   further is read.
//! - A record that cannot be read, or is refused, is named with its place, and the rest goes on, however many there are.
//!   Only an input of which nothing is of the format is given up ([`Import::given_up`]).
//! - Everything that was read is counted once: `read` is the sum of what became of it.
//! - All records of one import are of one tenant of the other system: a file of two salons is not mixed into one.
//!
//! Next: [`tenant`] for where they go, [`command`] for what becomes of a record, [`maitred_connectors::Reader`] for how it is read.

mod command;
pub mod tenant;

use std::borrow::Cow;
use std::collections::VecDeque;

use maitred_booking::salons::Effect;
use maitred_booking::{Booking, Outcome};
use maitred_connectors::salon::{Kind, Record};
use maitred_connectors::{Format, Place, Reader};
use maitred_core::{Actor, Rejection, TenantNumber};
use maitred_engine::queue::Pending;
use maitred_engine::{Engine, Envelope, Unavailable};
use serde::{Deserialize, Serialize};

/// How many commands of one import wait in the queue at once: two full batches, of which one is decided while the
/// other is synced.
const WINDOW: usize = 1_024;
/// After so many answers the caller takes them, before anything further is read.
const ANSWERS_AT_ONCE: usize = 1_000;
/// How much of the content is looked at for its format.
const SNIFFED_BYTES: usize = 512;

/// An import under way.
#[derive(Debug)]
pub struct Import {
    engine: Engine<Booking>,
    actor: Actor,
    tenant: TenantNumber,
    source: Source,
    kind: Option<Kind>,
    /// The other system's name of the tenant, once a record has told it.
    foreign_tenant: Option<String>,
    waiting: VecDeque<Read>,
    tally: Tally,
    /// Whether records that were taken are told too.
    tells_all: bool,
    answers: Vec<Answer>,
    ended: bool,
}

/// Something that was read, and waits for what becomes of it.
#[derive(Debug)]
struct Read {
    place: Place,
    /// The record's own id; none where no record could be read.
    id: Option<String>,
    waiting: Waiting,
}

#[derive(Debug)]
enum Source {
    /// The beginning, whose format is not known yet.
    Unknown(Vec<u8>),
    Known(Box<Reader>),
}

#[derive(Debug)]
enum Waiting {
    Decision(Pending<Booking>),
    /// What could not be read waits too, so that all is told in its order.
    Unreadable(maitred_connectors::Problem),
    Refused(Refusal),
}

/// Why a record is not taken.
#[derive(Debug)]
struct Refusal {
    code: Cow<'static, str>,
    detail: String,
}

/// What became of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All that was answered for: the sum of the others.
    pub read: u64,
    /// New, or newer than what was there.
    pub imported: u64,
    /// There already, or older than what is there.
    pub unchanged: u64,
    /// Read, and refused.
    pub refused: u64,
    /// Places at which no record could be read.
    pub problems: u64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Taken {
        /// Its line, from 1; none where there are no lines.
        line: Option<u64>,
        /// How many bytes stand before it.
        byte: u64,
        /// Its own id.
        id: String,
        /// Whether it is new or newer, or was there already.
        imported: bool,
    },
    /// It was not.
    Problem(Problem),
}

/// A record that was not imported; the others were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its line, from 1; absent where there are no lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// How many bytes stand before it.
    pub byte: u64,
    /// Its own id, where it could be read and was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The stable code.
    pub code: Cow<'static, str>,
    /// A sentence for a person.
    pub detail: String,
}

/// The import could not go on. What was imported stays; running it again does the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the import stopped: {0}")]
pub struct Stopped(pub String);

impl Import {
    /// An import by `actor` into a tenant. The format and the kind are told by the content where they are not given.
    pub fn new(
        engine: Engine<Booking>,
        (tenant, actor): (TenantNumber, Actor),
        format: Option<Format>,
        kind: Option<Kind>,
    ) -> Self {
        let source = match format {
            Some(format) => Source::Known(Box::new(Reader::new(format, kind))),
            None => Source::Unknown(Vec::new()),
        };
        Import {
            engine,
            actor,
            tenant,
            source,
            kind,
            foreign_tenant: None,
            waiting: VecDeque::new(),
            tally: Tally::default(),
            tells_all: false,
            answers: Vec::new(),
            ended: false,
        }
    }

    /// Tells of the records that were taken too.
    #[must_use]
    pub fn telling_all(mut self, tells_all: bool) -> Self {
        self.tells_all = tells_all;
        self
    }

    /// What became of the records that were answered for so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What became of records since the last call, in their order: of those that were not taken, or of all of them.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Why the input is not of the format, once that is known: nothing further is read of it.
    pub fn given_up(&self) -> Option<&str> {
        match &self.source {
            Source::Known(reader) => reader.given_up(),
            Source::Unknown(_) => None,
        }
    }

    /// Whether nothing further is read: the input is over, or given up.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes the next bytes of the input. What was there before has been read: [`Import::advance`] said so.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.source {
            Source::Known(reader) => reader.push(bytes),
            Source::Unknown(beginning) => {
                beginning.extend_from_slice(bytes);
                if beginning.len() >= SNIFFED_BYTES {
                    self.begin();
                }
            }
        }
    }

    /// The input is over.
    pub fn end(&mut self) {
        self.begin().end();
        self.ended = true;
    }

    /// Goes on, and waits while there is too much under way. Returns whether there is more to do before further bytes
    /// can be taken; when the input is over, before all is decided. The answers should be taken each time.
    ///
    /// # Errors
    /// [`Stopped`]: nothing further will be taken.
    pub async fn advance(&mut self) -> Result<bool, Stopped> {
        while let Source::Known(reader) = &mut self.source
            && let Some(item) = reader.next()
        {
            match item {
                Ok((place, record)) => self.record(place, record).await?,
                Err(problem) => {
                    self.wait(problem.place, None, Waiting::Unreadable(problem)).await?;
                    // Finding the next record may have taken long, and others wait for this thread.
                    tokio::task::yield_now().await;
                }
            }
            if self.answers.len() >= ANSWERS_AT_ONCE {
                return Ok(true);
            }
        }
        self.ended |= self.given_up().is_some();
        if self.ended {
            self.settle().await?;
        }
        Ok(self.ended && !self.waiting.is_empty())
    }

    /// The reader, which is made of the beginning where there is none yet.
    fn begin(&mut self) -> &mut Reader {
        if let Source::Unknown(beginning) = &self.source {
            let mut reader = Reader::new(Format::of_content(beginning), self.kind);
            reader.push(beginning);
            self.source = Source::Known(Box::new(reader));
        }
        match &mut self.source {
            Source::Known(reader) => reader,
            Source::Unknown(_) => unreachable!("it was just begun"),
        }
    }

    async fn record(&mut self, place: Place, record: Record) -> Result<(), Stopped> {
        let id = Some(match &record {
            Record::Customer(customer) => customer.id.clone(),
            Record::Booking(booking) => booking.id.clone(),
        });
        if let Err(refusal) = self.check_tenant(&record) {
            return self.wait(place, id, Waiting::Refused(refusal)).await;
        }
        let (command, bytes) = match command::of(record) {
            Ok(command) => command,
            Err((code, detail)) => {
                let refusal = Refusal { code: code.into(), detail };
                return self.wait(place, id, Waiting::Refused(refusal)).await;
            }
        };
        loop {
            let command = command.clone().into();
            let envelope =
                Envelope { tenant: self.tenant, actor: self.actor, idempotency: None, bytes, command };
            match self.engine.enter(envelope) {
                Ok(pending) => return self.wait(place, id, Waiting::Decision(pending)).await,
                // Others are busy: nothing of ours waits any more once all is settled.
                Err(Unavailable::Overloaded { .. }) if !self.waiting.is_empty() => self.settle().await?,
                Err(Unavailable::Overloaded { retry_after }) => tokio::time::sleep(retry_after).await,
                Err(why) => return Err(Stopped(why.to_string())),
            }
        }
    }

    /// Refuses a record of another tenant than the records before.
    fn check_tenant(&mut self, record: &Record) -> Result<(), Refusal> {
        let tenant = match record {
            Record::Customer(customer) => &customer.tenant,
            Record::Booking(booking) => &booking.tenant,
        };
        match (tenant, &self.foreign_tenant) {
            (None, _) => Ok(()),
            (Some(tenant), None) => {
                self.foreign_tenant = Some(tenant.clone());
                Ok(())
            }
            // The other system spells it in either case.
            (Some(tenant), Some(first)) if tenant.eq_ignore_ascii_case(first) => Ok(()),
            (Some(tenant), Some(first)) => {
                let detail = format!(
                    "it is of the tenant {tenant:?}, and those before it of {first:?}: import each into a tenant of its own"
                );
                Err(Refusal { code: "tenant-differs".into(), detail })
            }
        }
    }

    async fn wait(&mut self, place: Place, id: Option<String>, waiting: Waiting) -> Result<(), Stopped> {
        if self.waiting.len() == WINDOW {
            self.settle().await?;
        }
        self.waiting.push_back(Read { place, id, waiting });
        Ok(())
    }

    /// Waits for the oldest record under way.
    async fn settle(&mut self) -> Result<(), Stopped> {
        let Some(Read { place, id, waiting }) = self.waiting.pop_front() else { return Ok(()) };
        let answer = match waiting {
            Waiting::Decision(pending) => pending.await.unwrap_or(Err(Unavailable::Unknown)),
            Waiting::Unreadable(problem) => {
                self.tally.read += 1;
                self.tally.problems += 1;
                self.problem(place, id, problem.code.into(), problem.detail);
                return Ok(());
            }
            Waiting::Refused(Refusal { code, detail }) => {
                self.tally.read += 1;
                self.tally.refused += 1;
                self.problem(place, id, code, detail);
                return Ok(());
            }
        };
        let result = answer.map_err(|why| Stopped(why.to_string()))?.result;
        self.tally.read += 1;
        match result {
            Ok(Outcome::Salons(outcome))
                if matches!(outcome.effect(), Effect::Unchanged | Effect::IgnoredStale) =>
            {
                self.tally.unchanged += 1;
                self.taken(place, id, false);
            }
            Ok(_) => {
                self.tally.imported += 1;
                self.taken(place, id, true);
            }
            Err(Rejection { code, detail, .. }) => {
                self.tally.refused += 1;
                self.problem(place, id, code, detail);
            }
        }
        Ok(())
    }

    fn taken(&mut self, place: Place, id: Option<String>, imported: bool) {
        if self.tells_all {
            let (Place { line, byte }, id) = (place, id.unwrap_or_default());
            self.answers.push(Answer::Taken { line, byte, id, imported });
        }
    }

    fn problem(&mut self, place: Place, id: Option<String>, code: Cow<'static, str>, detail: String) {
        let Place { line, byte } = place;
        self.answers.push(Answer::Problem(Problem { line, byte, id, code, detail }));
    }
}
