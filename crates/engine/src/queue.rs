//! Admission: commands wait here for the writer, in one line per tenant.
//!
//! Invariants:
//! - Within a tenant commands are decided in the order in which they entered its line.
//! - Between tenants the lines are served by deficit round robin (Shreedhar, Varghese 1995), so that a
//!   tenant in a rush delays another by at most one turn.
//! - What waits is bounded in bytes and in expected time, both reckoned for the tenant that asks, so that a
//!   rush is refused before it takes the room of others. What would wait too long is refused at once, and
//!   what did wait too long is refused instead of decided.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use maitred_core::{Domain, TenantNumber};
use tokio::sync::oneshot;

use crate::{
    AnswerOf, Envelope, Unavailable,
    batch::BATCH_COMMANDS_MAX,
    sync::{Condvar, Mutex, MutexGuard},
};

/// The most bytes of commands that wait, over all tenants.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest a command may wait to be decided.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_secs(2);
/// What a refused client is told to wait.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How many bytes of a tenant's commands are served in its turn.
const TURN_BYTES: usize = 16 * 1024;
/// What a command costs beside its own bytes: its place, its reply.
const COMMAND_BYTES: usize = 256;

/// What a command's sender waits for.
pub type Reply<D> = oneshot::Sender<Result<AnswerOf<D>, Unavailable>>;
/// Where the answer arrives.
pub type Pending<D> = oneshot::Receiver<Result<AnswerOf<D>, Unavailable>>;

/// A command that waits to be decided.
pub struct Queued<D: Domain> {
    /// The command.
    pub envelope: Envelope<D::Command>,
    /// Where its answer goes.
    pub reply: Reply<D>,
    /// When it entered its tenant's line, by the monotonic clock.
    pub arrived: Duration,
}

impl<D: Domain> Queued<D> {
    fn cost(&self) -> usize {
        self.envelope.bytes + COMMAND_BYTES
    }
}

impl<D: Domain> std::fmt::Debug for Queued<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a command of tenant {}", self.envelope.tenant.0)
    }
}

/// The lines of all tenants.
pub struct Queue<D: Domain> {
    lines: Mutex<Lines<D>>,
    arrived: Condvar,
    bytes_max: usize,
    wait_max: Duration,
}

struct Lines<D: Domain> {
    by_tenant: HashMap<TenantNumber, Line<D>>,
    /// The tenants with a line, in the order of their turns.
    turns: VecDeque<TenantNumber>,
    /// Commands whose batch lost its place in the log: decided again before all others.
    displaced: VecDeque<Queued<D>>,
    commands: usize,
    bytes: usize,
    /// Bytes taken per second of late; 0 while unknown.
    rate: f64,
    /// Since when it is being measured anew, and the bytes taken since.
    measured: Duration,
    measured_bytes: usize,
    /// When the writer last came for what waits, or when the first of it arrived.
    served: Duration,
    closed: bool,
    writer_waits: bool,
}

struct Line<D: Domain> {
    queued: VecDeque<Queued<D>>,
    /// What `queued` is counted as.
    bytes: usize,
    /// How much of it may be taken before it is another's turn.
    deficit: usize,
}

impl<D: Domain> Default for Queue<D> {
    fn default() -> Self {
        Self::new(QUEUE_BYTES_MAX, QUEUE_WAIT_MAX)
    }
}

impl<D: Domain> std::fmt::Debug for Queue<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines();
        write!(f, "{} commands of {} tenants", lines.commands, lines.turns.len())
    }
}

impl<D: Domain> Queue<D> {
    /// An empty queue with these bounds.
    pub fn new(bytes_max: usize, wait_max: Duration) -> Self {
        let lines = Lines {
            by_tenant: HashMap::new(),
            turns: VecDeque::new(),
            displaced: VecDeque::new(),
            commands: 0,
            bytes: 0,
            rate: 0.0,
            measured: Duration::ZERO,
            measured_bytes: 0,
            served: Duration::ZERO,
            closed: false,
            writer_waits: false,
        };
        Queue { lines: Mutex::new(lines), arrived: Condvar::new(), bytes_max, wait_max }
    }

    fn lines(&self) -> MutexGuard<'_, Lines<D>> {
        self.lines.lock().expect("nobody panics while holding the queue")
    }

    /// Enters a command into its tenant's line at the monotonic time `now`.
    ///
    /// # Errors
    /// [`Unavailable::Overloaded`] when it could not be decided in time, [`Unavailable::Draining`] when
    /// the queue is closed.
    pub fn push(&self, envelope: Envelope<D::Command>, now: Duration) -> Result<Pending<D>, Unavailable> {
        let (reply, pending) = oneshot::channel();
        let queued = Queued { envelope, reply, arrived: now };
        let mut lines = self.lines();
        if lines.closed {
            return Err(Unavailable::Draining);
        }
        let tenant = queued.envelope.tenant;
        if !lines.has_room(tenant, queued.cost(), self.bytes_max)
            || lines.is_late(tenant, queued.cost(), now, self.wait_max)
        {
            return Err(Unavailable::Overloaded { retry_after: RETRY_AFTER });
        }
        lines.enter(queued, now);
        if lines.writer_waits {
            lines.writer_waits = false;
            self.arrived.notify_one();
        }
        Ok(pending)
    }

    /// Puts back commands whose batch lost its place. They keep their order and go first.
    pub fn displace(&self, queued: impl IntoIterator<Item = Queued<D>>) {
        let mut lines = self.lines();
        for queued in queued {
            lines.bytes += queued.cost();
            lines.commands += 1;
            lines.displaced.push_back(queued);
        }
        self.arrived.notify_one();
    }

    /// Takes up to a batch of commands into `out`, fairly, without waiting. Those that waited too long
    /// are refused here.
    pub fn drain(&self, out: &mut VecDeque<Queued<D>>, now: Duration) {
        let mut lines = self.lines();
        lines.drain(out, now, self.wait_max);
    }

    /// Waits until there is something to drain, at most `patience`. False when the queue is closed and empty.
    pub fn wait(&self, patience: Duration) -> bool {
        let mut lines = self.lines();
        if lines.commands == 0 && !lines.closed {
            lines.writer_waits = true;
            (lines, _) = self
                .arrived
                .wait_timeout_while(lines, patience, |lines| lines.commands == 0 && !lines.closed)
                .expect("nobody panics while holding the queue");
            lines.writer_waits = false;
        }
        lines.commands > 0 || !lines.closed
    }

    /// Takes no more commands. What waits is still decided.
    pub fn close(&self) {
        self.lines().closed = true;
        self.arrived.notify_all();
    }

    /// Takes no more commands, and answers all that wait with `why`: nobody will decide them.
    pub fn abandon(&self, why: &Unavailable) {
        let mut lines = self.lines();
        lines.closed = true;
        let mut waiting: Vec<_> = lines.displaced.drain(..).collect();
        waiting.extend(lines.by_tenant.drain().flat_map(|(_, line)| line.queued));
        lines.turns.clear();
        (lines.commands, lines.bytes) = (0, 0);
        drop(lines);
        self.arrived.notify_all();
        for queued in waiting {
            let _ = queued.reply.send(Err(why.clone())); // its sender may have gone
        }
    }

    /// How many commands wait, and how many bytes they are counted as.
    pub fn depth(&self) -> (usize, usize) {
        let lines = self.lines();
        (lines.commands, lines.bytes)
    }
}

impl<D: Domain> Lines<D> {
    /// A tenant may take as much as it leaves to others. (A dynamic threshold; Choudhury, Hahne 1998.)
    fn has_room(&self, tenant: TenantNumber, cost: usize, bytes_max: usize) -> bool {
        let of_tenant = self.by_tenant.get(&tenant).map_or(0, |line| line.bytes);
        of_tenant + cost <= bytes_max.saturating_sub(self.bytes)
    }

    /// Whether a command that entered now would wait too long.
    fn is_late(&self, tenant: TenantNumber, cost: usize, now: Duration, wait_max: Duration) -> bool {
        if self.commands > 0 && now.saturating_sub(self.served) > wait_max {
            return true; // nobody has come for what waits; the pace of before says nothing
        }
        let of_tenant = self.by_tenant.get(&tenant).map_or(0, |line| line.bytes);
        let turns = (of_tenant + cost).div_ceil(TURN_BYTES);
        let before = self.bytes.min(turns * TURN_BYTES * (self.turns.len() + 1));
        self.rate > 0.0 && before as f64 / self.rate > wait_max.as_secs_f64()
    }

    fn enter(&mut self, queued: Queued<D>, now: Duration) {
        if self.commands == 0 {
            (self.served, self.measured, self.measured_bytes) = (now, now, 0);
        }
        self.bytes += queued.cost();
        self.commands += 1;
        let tenant = queued.envelope.tenant;
        let line = self.by_tenant.entry(tenant).or_insert_with(|| {
            self.turns.push_back(tenant);
            Line { queued: VecDeque::new(), bytes: 0, deficit: TURN_BYTES }
        });
        line.bytes += queued.cost();
        line.queued.push_back(queued);
    }

    fn drain(&mut self, out: &mut VecDeque<Queued<D>>, now: Duration, wait_max: Duration) {
        let before = self.bytes;
        while out.len() < BATCH_COMMANDS_MAX
            && let Some(queued) = self.displaced.pop_front()
        {
            self.leave(&queued);
            out.push_back(queued);
        }
        while out.len() < BATCH_COMMANDS_MAX
            && let Some(tenant) = self.turns.pop_front()
        {
            self.turn(tenant, out, now, wait_max);
        }
        self.served = now;
        self.measure(before - self.bytes, now);
    }

    /// One tenant's turn: as many of its commands as its deficit pays for.
    fn turn(
        &mut self,
        tenant: TenantNumber,
        out: &mut VecDeque<Queued<D>>,
        now: Duration,
        wait_max: Duration,
    ) {
        let mut line = self.by_tenant.remove(&tenant).expect("every turn has a line");
        while let Some(next) = line.queued.front()
            && out.len() < BATCH_COMMANDS_MAX
            && next.cost() <= line.deficit
        {
            let queued = line.queued.pop_front().expect("it is there");
            line.deficit -= queued.cost();
            line.bytes -= queued.cost();
            self.leave(&queued);
            if now.saturating_sub(queued.arrived) > wait_max {
                let refusal = Unavailable::Overloaded { retry_after: RETRY_AFTER };
                let _ = queued.reply.send(Err(refusal)); // its sender may have gone
            } else {
                out.push_back(queued);
            }
        }
        match line.queued.front() {
            None => return,
            // The batch is full in the middle of its turn: the turn goes on with the next.
            Some(next) if next.cost() <= line.deficit => self.turns.push_front(tenant),
            Some(_) => {
                line.deficit += TURN_BYTES;
                self.turns.push_back(tenant);
            }
        }
        self.by_tenant.insert(tenant, line);
    }

    fn leave(&mut self, queued: &Queued<D>) {
        self.commands -= 1;
        self.bytes -= queued.cost();
    }

    /// Keeps the rate at which bytes leave, over windows of at least 100 ms in which something waited all
    /// the time: a queue that runs empty tells nothing of how fast it could have gone.
    fn measure(&mut self, left: usize, now: Duration) {
        self.measured_bytes += left;
        let window = now.saturating_sub(self.measured);
        if self.commands == 0 {
            self.rate = 0.0;
        } else if window >= Duration::from_millis(100) {
            let rate = self.measured_bytes as f64 / window.as_secs_f64();
            self.rate = if self.rate > 0.0 { 0.7 * self.rate + 0.3 * rate } else { rate };
            (self.measured, self.measured_bytes) = (now, 0);
        }
    }
}
