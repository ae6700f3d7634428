//! What each thread of an engine does: they drain, decide and hand over; append, publish and answer; flush. They are
//! thin: the machines that they run are stepped by the simulation without them.
//!
//! Invariant: whichever thread cannot go on says so once ([`Inner::give_up`]), and leaves nobody waiting.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use maitred_core::Domain;

use super::Inner;
use crate::{
    Unavailable,
    committer::{Committed, Committer},
    flusher::Flusher,
    log::LogError,
    queue::{Queued, RETRY_AFTER},
    sync::{
        Condvar, Mutex,
        mpsc::{Receiver, SyncSender},
        thread::{self, JoinHandle},
    },
    throttle::Throttle,
    writer::{Prepared, Writer},
};

/// An idle server flushes what it has after this long, so that its next start has little to replay.
const IDLE: Duration = Duration::from_secs(2);
/// Past this many times its bound the overlay takes no more: the flusher is stuck, and what would be
/// decided is refused.
const OVERLAY_STUCK: usize = 2;
/// How long an append of unknown outcome waits before it is sent again.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(20);
/// The niceness of the flusher's thread (Linux has it per thread): a tenth of the others' share when all want to run.
const FLUSHER_NICENESS: i32 = 10;
/// How long the flusher waits before it tries a store again that could not be written.
const FLUSH_PAUSE: Duration = Duration::from_secs(1);

pub(super) fn spawn<D: Domain>(
    name: &'static str,
    inner: &Arc<Inner<D>>,
    run: impl FnOnce(&Inner<D>) + Send + 'static,
) -> JoinHandle<()> {
    let inner = Arc::clone(inner);
    let run = move || {
        if catch_unwind(AssertUnwindSafe(|| run(&inner))).is_err() {
            inner.give_up(&LogError::Broken(format!("{name} panicked")));
        }
    };
    thread::Builder::new().name(name.into()).spawn(run).expect("a thread can be started")
}

/// The writer's thread: drains, decides, hands over. Handing over waits until the committer has taken the
/// batch before, so at most two are under way.
pub(super) fn write<D: Domain>(inner: &Inner<D>, mut writer: Writer<D>, committer: &SyncSender<Prepared<D>>) {
    let mut waiting = VecDeque::new();
    while write_next(inner, &mut writer, &mut waiting, committer).is_some() {}
    refuse(&mut waiting, &Unavailable::Unknown);
    inner.queue.abandon(&Unavailable::Unknown);
}

/// One round of the writer's thread. `None` when the queue is closed and empty, or when the committer takes
/// no more: it has given up then, and has said why.
fn write_next<D: Domain>(
    inner: &Inner<D>,
    writer: &mut Writer<D>,
    waiting: &mut VecDeque<Queued<D>>,
    committer: &SyncSender<Prepared<D>>,
) -> Option<()> {
    if writer.catch_up() {
        settle(inner, writer, committer)?;
        inner.queue.displace(waiting.drain(..));
    }
    if waiting.is_empty() {
        inner.queue.drain(waiting, inner.clock.monotonic());
    }
    if waiting.is_empty() {
        let open = inner.queue.wait(IDLE);
        if inner.queue.depth().0 == 0 && (writer.fill() || !open) {
            settle(inner, writer, committer)?;
        }
        return (open || inner.queue.depth().0 > 0).then_some(());
    }
    let overlay_bytes = writer.overlay_bytes();
    if overlay_bytes >= OVERLAY_STUCK * inner.overlay_bytes_max {
        refuse(waiting, &Unavailable::Overloaded { retry_after: RETRY_AFTER });
        return Some(());
    }
    let throttle = Throttle::of(overlay_bytes, inner.overlay_bytes_max);
    if !throttle.pause.is_zero() {
        thread::sleep(throttle.pause);
    }
    let wall = inner.guard.lock().expect("nobody panics while holding the clock guard").read(&*inner.clock);
    let Some(wall) = wall else {
        refuse(waiting, &Unavailable::ClockSuspect);
        return Some(());
    };
    let rest = waiting.split_off(throttle.commands_max.min(waiting.len()));
    let prepared = writer.try_decide(waiting, wall);
    waiting.extend(rest);
    // `None` when a batch has just lost its place: the next round settles that first.
    if let Some(prepared) = prepared {
        inner.counters.commands.fetch_add(prepared.decided.len() as u64, Ordering::Relaxed);
        committer.send(prepared).ok()?;
    }
    Some(())
}

/// Hands over a batch of nothing. When it is taken, everything before it has been dealt with: what lost
/// its place is back in the queue, in order, and nothing newer was decided before it.
fn settle<D: Domain>(
    inner: &Inner<D>,
    writer: &mut Writer<D>,
    committer: &SyncSender<Prepared<D>>,
) -> Option<()> {
    committer.send(writer.decide(&mut VecDeque::new(), inner.clock.wall())).ok()
}

fn refuse<D: Domain>(queued: &mut VecDeque<Queued<D>>, why: &Unavailable) {
    for queued in queued.drain(..) {
        let _ = queued.reply.send(Err(why.clone())); // its sender may have gone
    }
}

/// The committer's thread.
pub(super) fn commit<D: Domain>(
    inner: &Inner<D>,
    mut committer: Committer<D>,
    prepared: &Receiver<Prepared<D>>,
) -> Result<(), LogError> {
    while let Ok(mut prepared) = prepared.recv() {
        let bytes = prepared.sealed.as_ref().map_or(0, |sealed| sealed.bytes.len() as u64);
        let started = inner.clock.monotonic();
        loop {
            match committer.commit(prepared)? {
                Committed::Done | Committed::Refused => break,
                Committed::Displaced(queued) => {
                    inner.queue.displace(queued);
                    break;
                }
                Committed::Unknown(again) => {
                    thread::sleep(UNKNOWN_PAUSE);
                    prepared = *again;
                }
            }
        }
        if bytes > 0 {
            let took = inner.clock.monotonic().saturating_sub(started).as_micros() as u64;
            inner.counters.batches.fetch_add(1, Ordering::Relaxed);
            inner.counters.log_bytes.fetch_add(bytes, Ordering::Relaxed);
            inner.counters.append_micros.fetch_add(took, Ordering::Relaxed);
        }
        if inner.shared.published().overlay.oldest_full().is_some() {
            inner.flush.raise();
        }
    }
    Ok(())
}

/// The flusher's thread. It gives way to the threads that answer: a burst fits into the overlay, and what does not
/// is slowed down by the overlay's bound, which is when this thread has the processor to itself.
pub(super) fn flush<D: Domain>(inner: &Inner<D>, flusher: &Flusher) {
    // Where it is not allowed, the thread competes with the others.
    let _ = rustix::process::setpriority_process(None, FLUSHER_NICENESS);
    loop {
        let going_on = inner.flush.wait();
        loop {
            let started = inner.clock.monotonic();
            match flusher.step() {
                Ok(Some(_)) => {
                    let took = inner.clock.monotonic().saturating_sub(started).as_micros() as u64;
                    inner.counters.flushes.fetch_add(1, Ordering::Relaxed);
                    inner.counters.flush_micros.fetch_add(took, Ordering::Relaxed);
                    inner.store.ease();
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(error = %error, "the view's store cannot be written; trying again");
                    if inner.flush.wait_for_end(FLUSH_PAUSE) {
                        return; // what is not in the store is replayed from the log
                    }
                }
            }
        }
        if !going_on {
            return;
        }
    }
}

/// Wakes a thread that has work, and tells it when to end.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SignalState {
    raised: bool,
    ended: bool,
}

impl Signal {
    pub(super) fn raise(&self) {
        self.state.lock().expect("nobody panics while holding a signal").raised = true;
        self.changed.notify_one();
    }

    pub(super) fn end(&self) {
        self.state.lock().expect("nobody panics while holding a signal").ended = true;
        self.changed.notify_one();
    }

    /// Waits at most `patience` until the signal is ended; false when it is not.
    fn wait_for_end(&self, patience: Duration) -> bool {
        let state = self.state.lock().expect("nobody panics while holding a signal");
        let (state, _) = self
            .changed
            .wait_timeout_while(state, patience, |state| !state.ended)
            .expect("nobody panics while holding a signal");
        state.ended
    }

    /// Waits until the signal is raised or ended; false when it is ended.
    fn wait(&self) -> bool {
        let state = self.state.lock().expect("nobody panics while holding a signal");
        let mut state = self
            .changed
            .wait_while(state, |state| !state.raised && !state.ended)
            .expect("nobody panics while holding a signal");
        state.raised = false;
        !state.ended
    }
}
