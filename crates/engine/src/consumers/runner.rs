//! How a consumer's work is carried out: a window over the log, in which facts are done beside each other.
//!
//! Invariants:
//! - The kept cursor never passes a fact that is not done: its commands are durable or settled, or it is put aside
//!   as a dead letter, durably.
//! - Nothing is consumed that is not published, and nothing before the consumer is claimed, durably.
//! - The facts of one key are done in the log's order. One that fails holds back those of its own key alone, until
//!   it is done or put aside; then they are put aside behind it.
//! - A fact that is done in parts ([`Consumer::consume_part`]) is done when its last part is. Between two parts the facts of
//!   other tenants have their turn.
//! - That the server takes no commands (a full disk, a suspect clock, overload) is no fact's fault: it is tried
//!   again for ever, and counts for no dead letter.
//! - No tenant takes all the room that there is: neither for commands under way nor in the window. The facts of one
//!   that has many undone are left where they are in the log, and read when it has room again, while those of others go
//!   on. What is done leaves the window at once, so that one fact that fails keeps no other out.
//! - A fact that ends the process is put aside in the end, and a fact that is done costs nothing for that. A runner
//!   that claims a consumer whose cursor has not moved since the claim before is careful as far as the log went at its
//!   claim: it does one fact at a time, and says durably which before it tries it ([`Note::Trying`]). So a
//!   start that ends badly leaves the name of its fact, and after [`ATTEMPTS_MAX`] of them that fact is not tried
//!   any more. What was put aside and is taken up again is always tried so.
//!
//! Next: `reading` for how facts get into the window, `doing` for what becomes of them, `holding` for the claim and
//! the cursor.

mod doing;
mod holding;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use maitred_core::{Actor, At, ChangeId, Domain, Ordinal, TenantNumber};

use super::{Bookkeeping, Consumer, Hold, NAME_BYTES_MAX, Note, Status};
use crate::{
    Envelope, View,
    background::{Machine, Round},
    backoff::Backoff,
    log::LogReader,
    queue::Pending,
};
pub use doing::{CRASHED, KEY_PARKED};
use doing::{State, Task};
use holding::{Claim, Cursor};

/// How often a fact is tried before it is put aside.
pub const ATTEMPTS_MAX: u32 = 8;
/// No further batch is looked through while so many facts are not done.
pub const WINDOW_MAX: usize = 2_048;
/// The most facts of one tenant that are not done; further ones are read later.
pub const TENANT_WINDOW_MAX: usize = 256;
/// The most facts whose commands are under way at once, and of one tenant.
pub const IN_FLIGHT_MAX: usize = 256;
/// See [`IN_FLIGHT_MAX`].
pub const TENANT_IN_FLIGHT_MAX: usize = 128;
/// The most facts that were put aside and are under way again.
const TAKEN_UP_MAX: usize = 64;
/// What a command counts as in the queue.
const COMMAND_BYTES: usize = 256;
/// The runner looks at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And this often while something is under way: a refusal comes without a batch.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Between two steps there is at least this, however many batches are published: a server in a rush publishes
/// thousands a second.
const PAUSE: Duration = Duration::from_millis(5);
/// The waits before another try.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Carries out a consumer's work.
pub struct ConsumerRunner<D: Bookkeeping> {
    domain: Arc<D>,
    consumer: Arc<dyn Consumer<D>>,
    log: Arc<dyn LogReader>,
    status: Arc<Status>,
    backoff: Backoff,
    claim: Claim<D>,
    /// Everything up to here was looked through; what is to be done of it is in the window.
    scanned: ChangeId,
    window: Vec<Task<D>>,
    /// The tenants that had no room in the window, and the last place before what is to be read of each.
    deferred: BTreeMap<TenantNumber, ChangeId>,
    /// What was put aside and is taken up again. All of it stands at or before the kept cursor.
    taken_up: Vec<Task<D>>,
    cursor: Cursor<D>,
    /// No batch is read before then, by the monotonic clock: the log could not be read.
    read_again: Duration,
}

impl<D: Bookkeeping> std::fmt::Debug for ConsumerRunner<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, scanned) = (self.consumer.name(), self.scanned.seq);
        write!(f, "consumer {name} at batch {scanned}, {} facts not done", self.window.len())
    }
}

impl<D: Bookkeeping> ConsumerRunner<D> {
    /// A runner that goes on behind the cursor in `view`. `seed` is for the jitter of its waits.
    pub fn new(
        domain: Arc<D>,
        consumer: Arc<dyn Consumer<D>>,
        log: Arc<dyn LogReader>,
        status: Arc<Status>,
        view: &View,
        seed: u64,
    ) -> Self {
        let name = consumer.name();
        assert!((1..=NAME_BYTES_MAX).contains(&name.len()), "{name} is no consumer's name");
        let kept = domain.cursor(view, name);
        let backoff = Backoff::new(RETRY_FIRST, RETRY_MAX, seed);
        ConsumerRunner {
            domain,
            consumer,
            log,
            status,
            backoff,
            claim: Claim::None(Duration::ZERO),
            scanned: kept,
            window: Vec::new(),
            deferred: BTreeMap::new(),
            taken_up: Vec::new(),
            cursor: Cursor::at(kept),
            read_again: Duration::ZERO,
        }
    }

    /// What it does is counted here.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Everything up to here is done.
    fn done(&self) -> ChangeId {
        let undone = self.window.iter().map(|task| before(task.at));
        undone.chain(self.deferred.values().copied()).min().unwrap_or(self.scanned)
    }

    /// The command of a note, on its way.
    fn say(&self, hold: Hold, note: Note, round: &mut Round<'_, D>) -> Option<Pending<D>> {
        (round.submit)(envelope(TenantNumber::SYSTEM, self.domain.note(hold, note))).ok()
    }
}

impl<D: Bookkeeping> Machine<D> for ConsumerRunner<D> {
    const PAUSE: Duration = PAUSE;

    fn step(&mut self, round: &mut Round<'_, D>) -> Duration {
        self.collect(round);
        if matches!(self.claim, Claim::Superseded) {
            return LOOK_EVERY;
        }
        let more = self.read(round.view, round.monotonic);
        self.take_up(round.view, round.monotonic);
        let mut earliest = None;
        if let Some((hold, careful)) = self.hold(round) {
            earliest = self.start(hold, careful, round);
            self.keep_cursor(hold, round);
        }
        let done = self.done();
        let done_seq = if done.ordinal == Ordinal::MAX { done.seq } else { done.seq.saturating_sub(1) };
        let unfinished = self.window.len() + self.taken_up.len();
        self.status.set(done_seq, unfinished, self.window.iter().map(|task| task.at.timestamp).min());
        if more {
            return Duration::ZERO;
        }
        let in_flight = |task: &Task<D>| task.state.is_in_flight() || matches!(task.state, State::Noted(_));
        let tasks = || self.taken_up.iter().chain(&self.window);
        let busy = self.cursor.is_being_kept() || self.claim.is_under_way() || tasks().any(in_flight);
        let look = if busy { LOOK_AGAIN } else { LOOK_EVERY };
        earliest
            .map_or(look, |earliest: Duration| look.min(earliest.saturating_sub(round.monotonic)).max(PAUSE))
    }
}

fn envelope<C>(tenant: TenantNumber, command: C) -> Envelope<C> {
    Envelope { tenant, actor: Actor::System, idempotency: None, bytes: COMMAND_BYTES, command }
}

/// The place of a fact.
fn place(At { seq, ordinal, .. }: At) -> ChangeId {
    ChangeId { seq, ordinal }
}

/// The last place before a fact.
fn before(At { seq, ordinal, .. }: At) -> ChangeId {
    match (seq, ordinal.checked_sub(1)) {
        (seq, Some(ordinal)) => ChangeId { seq, ordinal },
        (1, None) => ChangeId::default(),
        (seq, None) => ChangeId { seq: seq - 1, ordinal: Ordinal::MAX },
    }
}

/// What became of a note.
enum Heard {
    /// It is kept since this batch, or longer.
    Kept(maitred_core::Seq),
    /// Another runner has claimed the consumer.
    Superseded,
    /// It is worth another try.
    Not,
}

/// What the answer to a note says, if it has arrived.
fn heard<D: Domain>(pending: &mut Pending<D>) -> Option<Heard> {
    use tokio::sync::oneshot::error::TryRecvError;
    Some(match pending.try_recv() {
        Err(TryRecvError::Empty) => return None,
        Ok(Ok(answer)) => match &answer.result {
            Ok(_) => Heard::Kept(answer.position.seq),
            Err(rejection) if rejection.code == super::SUPERSEDED => Heard::Superseded,
            Err(_) => Heard::Not,
        },
        Ok(Err(_)) | Err(TryRecvError::Closed) => Heard::Not,
    })
}
