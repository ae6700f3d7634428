//! How facts get into the window: the log is looked through behind the cursor, and what was put aside and is taken up
//! again is looked up by its place.

use std::collections::HashMap;
use std::time::Duration;

use maitred_core::{At, ChangeId, Ordinal, Recorded, Seq, TenantNumber};

use super::doing::{State, Task};
use super::{ConsumerRunner, RETRY_MAX, TAKEN_UP_MAX, TENANT_WINDOW_MAX, WINDOW_MAX, before, place};
use crate::{View, batch::Sealed, consumers::Bookkeeping, log::LogError};

/// How many bytes of log are read in a step.
const READ_BYTES: usize = 256 * 1024;
/// How many for a tenant that had no room.
const CATCH_UP_BYTES: usize = 64 * 1024;
/// No further batch is looked through while so many tenants have no room.
const DEFERRED_MAX: usize = 64;
/// No further batch is looked through that is so many behind what is not done: a start looks through them again.
const AHEAD_MAX: Seq = 100_000;

/// How many facts of each tenant are in the window.
type Shares = HashMap<TenantNumber, usize>;

impl<D: Bookkeeping> ConsumerRunner<D> {
    /// Looks through further batches. True when there may be more to read at once.
    pub(super) fn read(&mut self, view: &View, now: Duration) -> bool {
        if now < self.read_again {
            return false;
        }
        let mut shares: Shares = HashMap::new();
        for task in &self.window {
            *shares.entry(task.at.tenant).or_default() += 1;
        }
        let read = self.catch_up(&mut shares).and_then(|more| Ok(more | self.read_on(view, &mut shares)?));
        read.unwrap_or_else(|error| self.cannot_read(&error, now))
    }

    /// Whether a further batch may be looked through.
    fn has_room(&self) -> bool {
        self.window.len() < WINDOW_MAX
            && self.deferred.len() < DEFERRED_MAX
            && self.scanned.seq.saturating_sub(self.done().seq) <= AHEAD_MAX
    }

    fn read_on(&mut self, view: &View, shares: &mut Shares) -> Result<bool, LogError> {
        let mut bytes = 0;
        while self.has_room() && bytes < READ_BYTES {
            let next = next(self.scanned);
            if next > view.seq() {
                return Ok(false); // the log may have it already: it is read when it is published
            }
            let batches = self.log.read(next, READ_BYTES - bytes)?;
            for batch in batches.iter().take_while(|batch| batch.header.seq <= view.seq()) {
                if !self.has_room() {
                    return Ok(false);
                }
                self.scan(batch, shares)?;
                bytes += batch.bytes.len();
            }
            if batches.is_empty() {
                return Ok(false); // published, and not in the log: a view that is ahead is another's worry (I4)
            }
        }
        Ok(self.has_room())
    }

    fn cannot_read(&mut self, error: &LogError, now: Duration) -> bool {
        tracing::error!(consumer = self.consumer.name(), error = %error, "the log cannot be read; trying again");
        self.read_again = now + RETRY_MAX;
        false
    }

    /// Puts into the window what is to be done of a batch, as far as its tenants have room.
    fn scan(&mut self, batch: &Sealed, shares: &mut Shares) -> Result<(), LogError> {
        let (mut tasks, mut passed) = (Vec::new(), 0);
        let scanned = self.scanned;
        let is_new = |at, kind| {
            passed += u64::from(!self.domain.is_bookkeeping(kind));
            place(at) > scanned
        };
        self.visit(batch, is_new, &mut tasks)?;
        for task in tasks {
            let tenant = task.at.tenant;
            if self.deferred.contains_key(&tenant) {
                continue;
            }
            let share = shares.entry(tenant).or_default();
            if *share >= TENANT_WINDOW_MAX {
                self.deferred.insert(tenant, before(task.at));
            } else {
                *share += 1;
                self.window.push(task);
            }
        }
        self.cursor.passed += passed;
        self.scanned = ChangeId { seq: batch.header.seq, ordinal: Ordinal::MAX };
        Ok(())
    }

    /// Reads on for tenants that had no room and have some again. True when one may have more at once.
    fn catch_up(&mut self, shares: &mut Shares) -> Result<bool, LogError> {
        let mut more = false;
        let tenants: Vec<_> = self.deferred.iter().map(|(tenant, after)| (*tenant, *after)).collect();
        for (tenant, after) in tenants {
            let share = shares.entry(tenant).or_default();
            if *share > TENANT_WINDOW_MAX / 2 {
                continue;
            }
            let mut after = after;
            let batches = self.log.read(next(after), CATCH_UP_BYTES)?;
            'read: for batch in batches.iter().take_while(|batch| batch.header.seq <= self.scanned.seq) {
                let mut tasks = Vec::new();
                let is_next = |at: At, _| at.tenant == tenant && place(at) > after;
                self.visit(batch, is_next, &mut tasks)?;
                for task in tasks {
                    if *share >= TENANT_WINDOW_MAX {
                        after = before(task.at);
                        break 'read;
                    }
                    *share += 1;
                    self.window.push(task);
                }
                after = ChangeId { seq: batch.header.seq, ordinal: Ordinal::MAX };
            }
            if after >= self.scanned {
                self.deferred.remove(&tenant);
            } else {
                self.deferred.insert(tenant, after);
                more |= *share < TENANT_WINDOW_MAX;
            }
        }
        Ok(more)
    }

    /// Adds what the consumer has to do of those facts of a batch that are wanted.
    fn visit(
        &self,
        batch: &Sealed,
        mut is_wanted: impl FnMut(At, u16) -> bool,
        tasks: &mut Vec<Task<D>>,
    ) -> Result<(), LogError> {
        let (seq, timestamp) = (batch.header.seq, batch.header.timestamp);
        let unreadable = |what: String| LogError::DataLoss(format!("batch {seq}: {what}"));
        let mut ordinal = 0;
        for item in batch.items() {
            let item = item.map_err(|error| unreadable(error.to_string()))?;
            for raw in &item.facts {
                let at = At { tenant: item.tenant, seq, ordinal, timestamp };
                ordinal += 1;
                if !is_wanted(at, raw.kind) || !self.consumer.wants(raw.kind) {
                    continue;
                }
                let fact = D::Fact::decode(raw.kind, raw.version, raw.body)
                    .map_err(|error| unreadable(error.to_string()))?;
                if let Some(key) = self.consumer.key(&fact, at) {
                    tasks.push(Task::new(Some(fact), at, key));
                }
            }
        }
        Ok(())
    }

    /// Looks which of the facts that were put aside are to be taken up, and which are no more.
    pub(super) fn take_up(&mut self, view: &View, now: Duration) {
        let wanted = self.domain.taken_up(view, self.consumer.name(), TAKEN_UP_MAX);
        let is_wanted = |task: &Task<D>| wanted.binary_search(&place(task.at)).is_ok();
        self.taken_up.retain(|task| match task.state {
            State::Done => false,
            State::Waits(_) => is_wanted(task),
            _ => true, // what is under way comes to its end first
        });
        for wanted in &wanted {
            let is_known = self.taken_up.iter().any(|task| place(task.at) == *wanted);
            if is_known || self.taken_up.len() >= TAKEN_UP_MAX || now < self.read_again {
                continue;
            }
            match self.look_up(*wanted) {
                Ok(task) => self.taken_up.push(task),
                Err(error) => drop(self.cannot_read(&error, now)),
            }
        }
        self.taken_up.sort_unstable_by_key(|task| place(task.at));
    }

    /// One fact of the log. A consumer that has nothing to do about it any more is done with it.
    fn look_up(&self, wanted: ChangeId) -> Result<Task<D>, LogError> {
        let batches = self.log.read(wanted.seq, 1)?;
        let gone = || LogError::DataLoss(format!("batch {} is not there", wanted.seq));
        let batch = batches.first().filter(|batch| batch.header.seq == wanted.seq).ok_or_else(gone)?;
        let (mut tasks, mut there) = (Vec::new(), None);
        let is_it = |at: At, _: u16| {
            let is_it = place(at) == wanted;
            there = if is_it { Some(at) } else { there };
            is_it
        };
        self.visit(batch, is_it, &mut tasks)?;
        match (tasks.pop(), there) {
            (Some(task), _) => Ok(Task { taken_up: true, ..task }),
            (None, Some(at)) => Ok(Task { taken_up: true, ..Task::new(None, at, 0) }),
            (None, None) => Err(LogError::DataLoss(format!("batch {} has no such fact", wanted.seq))),
        }
    }
}

/// The batch with what comes behind a place. The first batch is number 1, and `(0, 0)` stands before it.
fn next(ChangeId { seq, ordinal }: ChangeId) -> Seq {
    if ordinal == Ordinal::MAX { seq + 1 } else { seq.max(1) }
}
