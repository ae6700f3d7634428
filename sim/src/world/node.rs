//! The steps of a node: it starts, decides, commits, flushes, prepares segments and writes snapshots. The model carries
//! out every batch that comes to be, and must say the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use maitred_core::ChangeId;
use maitred_engine::clock::{Clock, ClockGuard};
use maitred_engine::committer::{Committed, Committer};
use maitred_engine::consumers::{Bookkeeping as _, Consumer as _};
use maitred_engine::flusher::Flusher;
use maitred_engine::log::{LogError, LogReader, Tail};
use maitred_engine::meta::Schema;
use maitred_engine::publish::Shared;
use maitred_engine::queue::Queue;
use maitred_engine::recovery::{Origin, Recovery};
use maitred_engine::timers::TimerRunner;
use maitred_engine::writer::Writer;
use maitred_engine::{Unavailable, View};
use maitred_storage::log_file::{FileLog, Preparation};

use super::background::{self, Moment, When};
use super::clients::asked;
use super::{Asked, Crash, Node, Promise, Result, World};
use crate::log::SimLog;
use crate::model::Verdict;
use crate::operation;
use crate::sabotage::{Offering, Processing, Rules};

impl World {
    pub(super) fn boot(&mut self) -> Result {
        let opened = match FileLog::open(self.disk.clone(), self.options) {
            Ok(opened) => opened,
            Err(_) if self.disk.is_down() => return self.crash_now(),
            Err(LogError::Full(_)) => {
                self.disk.set_faults(|faults| faults.free_bytes = u64::MAX);
                return Ok(());
            }
            Err(LogError::Broken(_)) => return self.crash_now(),
            Err(error) => return Err(format!("I3: the log does not open: {error}")),
        };
        if opened.report.torn.is_some() {
            self.report.count("recovery: torn tail cut");
        }
        let preparer = opened.log.preparer();
        let log = SimLog::new(opened.log, self.faults.clone());
        let reader = maitred_engine::log::Log::reader(&log);
        self.settle_promises(&*reader)?;
        let boot = self.boot.to_be_bytes();
        let recovery = Recovery {
            domain: &*self.rules,
            log: &*reader,
            store: &self.store,
            snapshots: &self.snapshots,
            partition: 0,
            boot: &boot,
        };
        let (published, found) = match recovery.run() {
            Ok(found) => found,
            Err(_) if self.disk.is_down() => return self.crash_now(),
            Err(error) => return Err(format!("I4: recovery fails: {error}")),
        };
        self.report.count(match found.store {
            Origin::Kept => "recovery: from the store as it was",
            Origin::Snapshot => "recovery: from a snapshot",
            Origin::Rebuilt => "recovery: from the log alone",
        });
        let shared = Arc::new(Shared::new(published));
        let view = View::take(0, || shared.published(), &*self.store);
        let cursor = self.rules.cursor(&view, Processing(self.sabotage).name());
        if cursor > ChangeId::default() {
            self.report.count("start: behind a kept cursor");
        }
        let parts = (&self.rules, &reader, &view);
        let consumer = background::consumer(parts, Processing(self.sabotage), self.random.bits());
        self.looks.take();
        let offering = Offering(self.sabotage, self.looks.clone());
        let offering = background::consumer(parts, offering, self.random.bits());
        let timers = TimerRunner::new(Arc::clone(&self.rules), self.random.bits());
        let (rules, store) = (Arc::clone(&self.rules), Arc::clone(&self.store));
        let seed = u128::from(self.random.bits()) << 64 | u128::from(self.random.bits());
        self.node = Some(Node {
            queue: Queue::new(8 * 1024, Duration::from_secs(60)),
            waiting: VecDeque::new(),
            writer: Writer::new(Arc::clone(&rules), Arc::clone(&store), Arc::clone(&shared), 0, seed)
                .with_layer_bytes_max(self.layer_bytes),
            prepared: VecDeque::new(),
            committer: Committer::new(rules, Box::new(log), Arc::clone(&store), Arc::clone(&shared)),
            flusher: Flusher::new(Arc::clone(&shared), store, Schema::of::<Rules>()),
            shared,
            reader,
            preparer,
            guard: ClockGuard::new(&*self.clock),
            timers,
            consumer,
            offering,
        });
        self.follow()?;
        self.check_sales()?;
        self.check_view()?;
        self.check_pointers()?;
        self.check_books()?;
        if self.random.chance(1, 4) {
            self.lose_older_segment()?;
            self.lose_segment()?;
        }
        Ok(())
    }

    /// After a crash the log says what became of the batches under way.
    pub(super) fn settle_promises(&mut self, reader: &dyn LogReader) -> Result {
        let tail = reader.tail();
        if tail.0 < self.acknowledged {
            return Err(format!(
                "I3: batch {} was acknowledged; the log ends at {}",
                self.acknowledged, tail.0
            ));
        }
        let rival = self.rival.take();
        let mut promises = rival.into_iter().chain(std::mem::take(&mut self.promises));
        for promise in &mut promises {
            if promise.tail.0 > tail.0 {
                self.report.count("recovery: batch of unknown outcome lost");
                continue;
            }
            if promise.tail.0 > self.durable.0 {
                let found = reader.read(promise.tail.0, 1).map_err(|error| format!("I3: {error}"))?;
                if found.first().is_some_and(|found| found.hash == promise.tail.1) {
                    self.report.count("recovery: batch of unknown outcome kept");
                    self.fulfil(&promise)?;
                }
            }
        }
        if self.durable != tail {
            return Err(format!("I3: the log ends at {}; {} was expected", tail.0, self.durable.0));
        }
        Ok(())
    }

    pub(super) fn decide(&mut self) -> Result {
        let Some(node) = &mut self.node else { return Ok(()) };
        // Depth two: one batch is being appended, one is decided on top of it.
        if node.prepared.len() >= 2 {
            return Ok(());
        }
        if node.waiting.is_empty() {
            node.queue.drain(&mut node.waiting, self.clock.monotonic());
        }
        if node.waiting.is_empty() && !self.random.chance(1, 8) {
            return Ok(());
        }
        let Some(wall) = node.guard.read(&*self.clock) else {
            for queued in node.waiting.drain(..) {
                let _ = queued.reply.send(Err(Unavailable::ClockSuspect));
            }
            return self.collect();
        };
        if self.random.chance(1, 50) {
            node.writer.fill();
        }
        let prepared = node.writer.decide(&mut node.waiting, wall);
        self.promises.push_back(Promise {
            offers: background::offers(&prepared)?,
            tail: prepared.tail,
            entries: prepared
                .decided
                .iter()
                .map(|decided| (asked(&decided.queued), decided.answer.clone()))
                .collect(),
        });
        node.prepared.push_back(prepared);
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result {
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(prepared) = node.prepared.pop_front() else { return Ok(()) };
        let tail = prepared.tail;
        let mut faults = self.faults.lock();
        let unknown = faults.unknown;
        let is_plain = unknown.is_none() && faults.rival.is_none() && prepared.sealed.is_some();
        let promise = self.promises.front();
        let moment = self.moment.filter(|_| is_plain && !faults.answers_early);
        let when = moment.zip(promise).and_then(|(moment, promise)| moment.of(promise));
        faults.killed = when == Some(When::Appended);
        drop(faults);
        if when.is_some() {
            self.moment = None;
        }
        if when == Some(When::Decided) {
            return self.kill(moment);
        }
        let committed = node.committer.commit(prepared);
        let rival_first = self.faults.lock().rival_first.take();
        // An append that broke may have left the batch there: then the next start finds out.
        if rival_first == Some(false) && committed.is_ok() {
            self.rival = None;
        }
        self.rival_first |= rival_first == Some(true);
        match committed {
            Ok(Committed::Done) => {
                let promise = self.promise_of(tail)?;
                self.fulfil(&promise)?;
                if when == Some(When::Published) && !self.disk.is_down() {
                    self.collect()?;
                    return self.kill(moment);
                }
            }
            Ok(Committed::Refused) => {
                self.promises.pop_front();
            }
            Ok(Committed::Displaced(queued)) => {
                node.queue.displace(queued);
                if std::mem::take(&mut self.rival_first) {
                    let promise = self.rival.take().expect("the rival promised");
                    self.report.count("fault: append lost to a rival");
                    self.fulfil(&promise)?;
                }
                self.promises.pop_front();
            }
            Ok(Committed::Unknown(again)) => {
                let done = if unknown == Some(true) { "done" } else { "not done" };
                self.report.count(format!("fault: append of unknown outcome, {done}"));
                node.prepared.push_front(*again);
            }
            Err(_) if when == Some(When::Appended) && !self.disk.is_down() => return self.kill(moment),
            Err(error) => return self.broken(&error),
        }
        if self.disk.is_down() {
            return Ok(());
        }
        self.collect()?;
        self.follow()?;
        self.check_sales()
    }

    /// The process ends at a certain moment, or the power does.
    fn kill(&mut self, moment: Option<Moment>) -> Result {
        if let Some(moment) = moment {
            self.report.count(moment.to_string());
        }
        let power = self.random.chance(1, 4);
        self.crash = power.then_some(Crash::Power { keep_of_8: 0 });
        self.crash_now()
    }

    pub(super) fn promise_of(&mut self, tail: Tail) -> Result<Promise> {
        let promise = self.promises.pop_front().ok_or("a batch nobody decided was committed")?;
        if promise.tail != tail {
            return Err(format!("I1: batch {} was committed before batch {}", tail.0, promise.tail.0));
        }
        Ok(promise)
    }

    /// A batch has come to be: the model carries it out too, and must say the same.
    pub(super) fn fulfil(&mut self, promise: &Promise) -> Result {
        if promise.tail.0 > self.durable.0 {
            if promise.tail.0 != self.durable.0 + 1 {
                return Err(format!("I1: batch {} follows batch {}", promise.tail.0, self.durable.0));
            }
            self.durable = promise.tail;
        }
        for (asked, answer) in &promise.entries {
            let (Asked::Operation(operation), Ok(answer)) = (asked, answer) else { continue };
            let (expected, replayed) = self.model.carry_out(operation, promise.tail.0, answer.timestamp);
            let found = Verdict::of(&answer.result);
            if (&found, answer.replayed) != (&expected, replayed) {
                return Err(format!(
                    "I6/I7: batch {}: {operation:?} was answered {found:?} (replayed: {}), the model says {expected:?} ({replayed})",
                    promise.tail.0, answer.replayed
                ));
            }
            match &answer.result {
                Ok(maitred_booking::Outcome::Appointments(outcome)) => {
                    self.check_record(operation.tenant, &outcome.appointment)?;
                }
                Ok(maitred_booking::Outcome::Accounts(outcome)) if !replayed => {
                    self.model.users.adopt(operation.tenant, outcome);
                }
                Ok(maitred_booking::Outcome::FlashSales(outcome)) if !replayed => {
                    self.model.sales.adopt(outcome);
                }
                Ok(maitred_booking::Outcome::Salons(outcome)) if !replayed => {
                    let when = (promise.tail.0, answer.timestamp);
                    if let operation::Asked::Salon(command) = &operation.command {
                        let offers = &promise.offers;
                        self.model.salons.adopt(operation.tenant, command, outcome, offers, when)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        if node.flusher.step().map_err(|error| format!("the store fails: {error}"))?.is_some() {
            self.report.count("step: flush");
        }
        Ok(())
    }

    pub(super) fn prepare(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        match node.preparer.step() {
            Ok(Preparation::Advanced) => self.report.count("step: segment prepared"),
            Ok(_) | Err(LogError::Determinate(_)) => {}
            Err(error) => return self.broken(&error),
        }
        Ok(())
    }

    pub(super) fn snapshot(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        match self.snapshots.write(&view) {
            Ok(_) => self.report.count("step: snapshot"),
            // A snapshot is disposable: whatever keeps it from being written harms nobody.
            Err(_) => self.report.count("step: snapshot failed"),
        }
        Ok(())
    }
}
