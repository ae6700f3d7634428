//! The rules of the shop as they are, or broken on purpose.

use maitred_core::{
    At, ChangeId, Context, Decision, Domain, Read, Rejection, TenantNumber, Timestamp, Write,
};
use maitred_engine::consumers::{Bookkeeping, Hold, KeyStanding, Note, Standing};
use maitred_engine::testing::{Changed, Command, Fact, Noted, Orders};
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
    /// A runner whose consumer was claimed by another goes on writing.
    NoFence,
    /// Facts go past those of their key that are put aside.
    Overtakes,
    /// That a process ended while it tried a fact is forgotten: it is tried for ever.
    ForgetsCrashes,
}

impl Breach {
    /// All that break something.
    pub const ALL: [Breach; 7] = [
        Breach::ExpiresEarly,
        Breach::CursorSkips,
        Breach::CursorAhead,
        Breach::ForgetsTenant,
        Breach::NoFence,
        Breach::Overtakes,
        Breach::ForgetsCrashes,
    ];
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
        let cx = Context { timestamp, tenant, actor, ids };
        let Command::Note(hold, note @ Note::Cursor(_)) = command else {
            return Orders.decide(view, command, &cx);
        };
        if self.0 != Breach::NoFence {
            return Orders.decide(view, command, &cx);
        }
        let epoch = Orders.standing(view, hold.consumer).epoch;
        let newest = Command::Note(Hold { epoch, ..*hold }, note.clone());
        let mut decision = Orders.decide(view, &newest, &cx)?;
        for fact in &mut decision.facts {
            if let Fact::Kept(Noted::CursorKept(by, _)) = fact {
                *by = hold.epoch;
            }
        }
        Ok(decision)
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
    fn standing(&self, view: &dyn Read, consumer: &str) -> Standing {
        let standing = Orders.standing(view, consumer);
        let skips = if self.0 == Breach::CursorSkips { 2 } else { 0 };
        let cursor = ChangeId { seq: standing.cursor.seq + skips, ..standing.cursor };
        Standing { cursor, ..standing }
    }

    fn key_standing(&self, view: &dyn Read, consumer: &str, tenant: TenantNumber, key: u128) -> KeyStanding {
        if self.0 == Breach::Overtakes {
            return KeyStanding::Free;
        }
        Orders.key_standing(view, consumer, tenant, key)
    }

    fn taken_up(&self, view: &dyn Read, consumer: &str, limit: usize) -> Vec<ChangeId> {
        Orders.taken_up(view, consumer, limit)
    }

    fn crashes(&self, view: &dyn Read, hold: Hold, fact: ChangeId) -> u32 {
        if self.0 == Breach::ForgetsCrashes { 0 } else { Orders.crashes(view, hold, fact) }
    }

    fn note(&self, hold: Hold, note: Note) -> Command {
        match note {
            Note::Cursor(cursor) if self.0 == Breach::CursorAhead => {
                Orders.note(hold, Note::Cursor(ChangeId { seq: cursor.seq + 2, ..cursor }))
            }
            note => Orders.note(hold, note),
        }
    }

    fn is_bookkeeping(&self, kind: u16) -> bool {
        Orders.is_bookkeeping(kind)
    }
}

/// Says nothing of panics on purpose, of which there are thousands.
pub fn hush() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(maitred_engine::testing::BUG) {
            hook(info);
        }
    }));
}
