//! A log whose calls happen or not, and are answered or not.

use std::sync::{Arc, Mutex, PoisonError};

use maitred_core::Seq;

use crate::batch::{Hash, Sealed};
use crate::log::{Appended, Log, LogError, LogReader, Tail};

/// How often [`append_surely`] sends a batch before it gives up.
pub const SENDS_MAX: usize = 100;

/// A call to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// [`Log::append_if`].
    Append,
    /// [`Log::confirm`].
    Confirm,
    /// [`LogReader::read`].
    Read,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It happens, and the caller hears of it.
    Answered,
    /// It happens, and the answer is lost.
    Unheard,
    /// It does not happen, and the caller is told so.
    Refused,
    /// It does not happen, and the caller is told nothing.
    Dropped,
}

impl Fate {
    /// All of them.
    pub const ALL: [Fate; 4] = [Fate::Answered, Fate::Unheard, Fate::Refused, Fate::Dropped];
}

/// Any log, behind a network that follows a plan.
///
/// It holds the caller to the contract as well: after [`LogError::Indeterminate`] it panics at any call
/// but the same append again.
pub struct Faulty<P> {
    log: Box<dyn Log>,
    plan: Arc<Mutex<P>>,
    /// What the caller can know, which is less than what the log behind does.
    tail: Tail,
    unresolved: Option<(Tail, Hash)>,
}

impl<P: FnMut(Call) -> Fate + Send + 'static> Faulty<P> {
    /// `log`, with `plan` deciding every call's fate.
    pub fn new(log: Box<dyn Log>, plan: P) -> Self {
        let tail = log.tail();
        Faulty { log, plan: Arc::new(Mutex::new(plan)), tail, unresolved: None }
    }
}

impl<P: FnMut(Call) -> Fate + Send + 'static> Log for Faulty<P> {
    fn tail(&self) -> Tail {
        self.tail
    }

    fn append_if(&mut self, expected: Tail, batch: &Sealed) -> Result<Appended, LogError> {
        let this = (expected, batch.hash);
        assert!(
            self.unresolved.is_none_or(|unresolved| unresolved == this),
            "another append came before an indeterminate one was resolved"
        );
        let fate = decide(&self.plan, Call::Append);
        if fate == Fate::Refused {
            return Err(LogError::Determinate("refused by the plan".to_owned()));
        }
        let answer = match fate {
            Fate::Dropped => Ok(Appended::Committed),
            _ => self.log.append_if(expected, batch),
        };
        // An error of the log itself is passed on: the plan only hides what went well.
        if fate != Fate::Answered && answer.is_ok() {
            self.unresolved = Some(this);
            return Err(LogError::Indeterminate("no answer, by the plan".to_owned()));
        }
        match answer {
            Ok(Appended::Committed) => (self.tail, self.unresolved) = ((batch.header.seq, batch.hash), None),
            Ok(Appended::Lost { .. }) => (self.tail, self.unresolved) = (self.log.tail(), None),
            Err(_) => {}
        }
        answer
    }

    fn confirm(&mut self, at: Tail) -> Result<(), LogError> {
        assert!(self.unresolved.is_none(), "confirm came before an indeterminate append was resolved");
        match decide(&self.plan, Call::Confirm) {
            Fate::Answered => self.log.confirm(at),
            _ => Err(LogError::Determinate("not confirmed, by the plan".to_owned())),
        }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(FaultyReader { reader: self.log.reader(), plan: Arc::clone(&self.plan) })
    }
}

struct FaultyReader<P> {
    reader: Arc<dyn LogReader>,
    plan: Arc<Mutex<P>>,
}

impl<P: FnMut(Call) -> Fate + Send + 'static> LogReader for FaultyReader<P> {
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Sealed>, LogError> {
        match decide(&self.plan, Call::Read) {
            Fate::Answered => self.reader.read(from, bytes_max),
            _ => Err(LogError::Determinate("not read, by the plan".to_owned())),
        }
    }

    fn tail(&self) -> Tail {
        self.reader.tail()
    }
}

fn decide<P: FnMut(Call) -> Fate>(plan: &Mutex<P>, call: Call) -> Fate {
    (plan.lock().unwrap_or_else(PoisonError::into_inner))(call)
}

/// Sends the same bytes again until the log says what became of them.
///
/// # Errors
/// Whatever else than [`LogError::Indeterminate`] and [`LogError::Determinate`] the log answers, and those
/// after [`SENDS_MAX`] of them.
pub fn append_surely(log: &mut dyn Log, expected: Tail, batch: &Sealed) -> Result<Appended, LogError> {
    let mut sends = 0;
    loop {
        sends += 1;
        match log.append_if(expected, batch) {
            Err(LogError::Indeterminate(_) | LogError::Determinate(_)) if sends < SENDS_MAX => {}
            answer => return answer,
        }
    }
}
