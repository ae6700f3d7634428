//! The committer: makes decided batches durable, publishes them, answers.
//!
//! Like the writer it is a state machine that [`crate::engine`] runs on a thread of its own. It takes
//! prepared batches in order, and gives no answer before everything the answer rests on is durable.

use std::sync::Arc;

use maitred_core::Domain;

use crate::{
    Unavailable, apply,
    log::{Appended, Log, LogError, Tail},
    overlay::WriterOverlay,
    publish::Shared,
    queue::Queued,
    store::Store,
    view::Scratch,
    writer::{Decided, Prepared},
};

/// How many bytes of other writers' batches are read at a time.
const FOLLOW_BYTES: usize = 4 * 1024 * 1024;

/// Appends, publishes, answers.
pub struct Committer<D: Domain> {
    domain: Arc<D>,
    log: Box<dyn Log>,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
}

impl<D: Domain> std::fmt::Debug for Committer<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "committer at batch {}", self.log.tail().0)
    }
}

/// What became of a prepared batch.
#[derive(Debug)]
pub enum Committed<D: Domain> {
    /// It is durable and published; everybody was answered.
    Done,
    /// Nothing was appended, and everybody was told so.
    Refused,
    /// It has lost its place, or rested on one that did. Its commands must be decided again, first.
    Displaced(Vec<Queued<D>>),
    /// The outcome of the append is unknown: call [`Committer::commit`] again with this same batch.
    Unknown(Box<Prepared<D>>),
}

impl<D: Domain> Committer<D> {
    /// A committer on `log`, whose tail is what is published.
    pub fn new(domain: Arc<D>, log: Box<dyn Log>, store: Arc<dyn Store>, shared: Arc<Shared>) -> Self {
        assert_eq!(log.tail(), shared.published().tail, "the log and the published state agree");
        Committer { domain, log, store, shared }
    }

    /// The log.
    pub fn log(&self) -> &dyn Log {
        &*self.log
    }

    /// Makes one prepared batch durable and answers its commands.
    ///
    /// # Errors
    /// A [`LogError`] after which this process must not go on: the log is broken, has gone back, or
    /// cannot be followed. Everybody was told that the outcome is unknown.
    pub fn commit(&mut self, prepared: Prepared<D>) -> Result<Committed<D>, LogError> {
        if prepared.generation != self.shared.generation() {
            return Ok(Committed::Displaced(queued(prepared.decided)));
        }
        let appended = match &prepared.sealed {
            Some(sealed) => self.log.append_if(prepared.expected, sealed),
            None => self.confirm(prepared.expected),
        };
        match appended {
            Ok(Appended::Committed) => {
                if prepared.sealed.is_some() {
                    let tenants = prepared.decided.iter().map(|decided| decided.queued.envelope.tenant);
                    self.shared.touched().note(prepared.tail.0, tenants);
                }
                self.shared.publish(prepared.overlay, prepared.tail, prepared.timestamp);
                for Decided { queued, answer } in prepared.decided {
                    let _ = queued.reply.send(answer); // its sender may have gone
                }
                Ok(Committed::Done)
            }
            Ok(Appended::Lost { .. }) => match self.follow() {
                Ok(()) => Ok(Committed::Displaced(queued(prepared.decided))),
                Err(error) => Err(give_up(prepared.decided, error)),
            },
            Err(LogError::Indeterminate(_)) => Ok(Committed::Unknown(Box::new(prepared))),
            Err(LogError::Full(_)) => Ok(self.refuse(prepared.decided, &Unavailable::DiskFull)),
            Err(LogError::Determinate(_)) => Ok(self.refuse(prepared.decided, &Unavailable::LogAway)),
            Err(error) => Err(give_up(prepared.decided, error)),
        }
    }

    /// Confirms the tail, or says that another writer has gone on from it.
    fn confirm(&mut self, expected: Tail) -> Result<Appended, LogError> {
        match self.log.confirm(expected) {
            Err(LogError::Regressed(_)) if self.log.reader().tail().0 > expected.0 => {
                Ok(Appended::Lost { head: self.log.reader().tail().0 })
            }
            confirmed => confirmed.map(|()| Appended::Committed),
        }
    }

    /// Tells everybody that nothing was written; what was decided on top is void.
    fn refuse(&self, decided: Vec<Decided<D>>, why: &Unavailable) -> Committed<D> {
        self.shared.displace();
        for Decided { queued, .. } in decided {
            let _ = queued.reply.send(Err(why.clone()));
        }
        Committed::Refused
    }

    /// Applies and publishes the batches that others have appended: there is one at least.
    fn follow(&mut self) -> Result<(), LogError> {
        let reader = self.log.reader();
        let mut followed = false;
        loop {
            let published = self.shared.published();
            let batches = reader.read(published.seq() + 1, FOLLOW_BYTES)?;
            let Some(last) = batches.last() else { break };
            let (tail, timestamp): (Tail, _) = ((last.header.seq, last.hash), last.header.timestamp);
            let mut overlay = WriterOverlay::above(&published.overlay, published.tail, published.timestamp);
            let store = self.store.snapshot();
            let mut view = Scratch { overlay: &mut overlay, store: &*store };
            let mut before = published.tail;
            for sealed in &batches {
                if (sealed.header.seq, sealed.header.prev_hash) != (before.0 + 1, before.1) {
                    let what = format!("batch {} does not follow batch {}", sealed.header.seq, before.0);
                    return Err(LogError::Regressed(what));
                }
                before = (sealed.header.seq, sealed.hash);
                apply::apply_batch(&*self.domain, &mut view, sealed)
                    .map_err(|error| LogError::DataLoss(error.to_string()))?;
            }
            self.shared.touched().forget(tail.0);
            self.shared.follow(overlay.to_publish(), tail, timestamp);
            followed = true;
        }
        let nobody = || LogError::Regressed("a batch has lost its place to none that is there".into());
        followed.then_some(()).ok_or_else(nobody)
    }
}

fn queued<D: Domain>(decided: Vec<Decided<D>>) -> Vec<Queued<D>> {
    decided.into_iter().map(|decided| decided.queued).collect()
}

fn give_up<D: Domain>(decided: Vec<Decided<D>>, error: LogError) -> LogError {
    for Decided { queued, .. } in decided {
        let _ = queued.reply.send(Err(Unavailable::Unknown));
    }
    error
}
