//! The rules of the shop as they are, or broken on purpose.

use maitred_core::{
    At, ChangeId, Context, Decision, Domain, Read, Rejection, TenantNumber, Timestamp, Write,
};
use maitred_engine::consumers::{Bookkeeping, DeadLetter};
use maitred_engine::testing::{Changed, Command, Fact, Orders};
use maitred_engine::timers::Timed;

/// A way to break timers or consumers: the checkers must catch each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Breach {
    /// None: as they are.
    #[default]
    None,
    /// A hold expires a while before its time.
    ExpiresEarly,
    /// A consumer goes on a little behind its cursor: what lies between is never done.
    CursorSkips,
    /// A cursor is kept that is ahead of what is done.
    CursorAhead,
    /// Timers of one tenant are never due.
    ForgetsTenant,
}

impl Breach {
    /// All that break something.
    pub const ALL: [Breach; 4] =
        [Breach::ExpiresEarly, Breach::CursorSkips, Breach::CursorAhead, Breach::ForgetsTenant];
}

/// The shop's rules under a breach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules(pub(super) Breach);

/// How much earlier.
const EARLY_MICROS: i64 = 3_000_000;

impl Rules {
    fn time(self, timestamp: Timestamp) -> Timestamp {
        let early = if self.0 == Breach::ExpiresEarly { EARLY_MICROS } else { 0 };
        Timestamp::from_micros(timestamp.as_micros() + early)
    }
}

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Changed;

    const RULES_VERSION: u16 = 1;
    const VIEW_SCHEMA: u16 = 1;

    fn decide(
        &self,
        view: &dyn Read,
        command: &Command,
        cx: &Context,
    ) -> Result<Decision<Fact, Changed>, Rejection> {
        let Context { timestamp, tenant, actor, .. } = *cx;
        let timestamp = if matches!(command, Command::Expire(_)) { self.time(timestamp) } else { timestamp };
        let ids = maitred_core::Ids::new(timestamp, 0);
        Orders.decide(view, command, &Context { timestamp, tenant, actor, ids })
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        Orders.apply(view, fact, at);
    }
}

impl Timed for Rules {
    fn next_due(&self, view: &dyn Read) -> Option<Timestamp> {
        Orders.next_due(view)
    }

    fn due(&self, view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Command)> {
        let mut due = Orders.due(view, self.time(now), limit);
        due.retain(|(tenant, _)| self.0 != Breach::ForgetsTenant || tenant.0 != 2);
        due
    }
}

impl Bookkeeping for Rules {
    fn cursor(&self, view: &dyn Read, consumer: &str) -> ChangeId {
        let cursor = Orders.cursor(view, consumer);
        let skips = if self.0 == Breach::CursorSkips { 2 } else { 0 };
        ChangeId { seq: cursor.seq + skips, ..cursor }
    }

    fn keep_cursor(&self, consumer: &'static str, cursor: ChangeId) -> Command {
        let ahead = if self.0 == Breach::CursorAhead { 2 } else { 0 };
        Orders.keep_cursor(consumer, ChangeId { seq: cursor.seq + ahead, ..cursor })
    }

    fn park(&self, letter: DeadLetter) -> Command {
        Orders.park(letter)
    }

    fn is_bookkeeping(&self, kind: u16) -> bool {
        Orders.is_bookkeeping(kind)
    }
}
