//! The smallest shop in which something happens by itself: for the tests of timers and consumers, and for the
//! simulation.
//!
//! An order that holds something expires at its instant, by a timer. One that does not is completed by the consumer
//! [`Completion`]. Some orders cannot be completed, whatever is tried ([`is_poison`]), and some end the process that
//! tries ([`is_killer`]). Two orders may have one key ([`key_of`]): the later one waits for the earlier.
//!
//! Next: `kept` for what is kept of the consumer.

mod kept;

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{
    At, ChangeId, Context, Decision, Domain, Key, Read, Recorded, Rejection, Storable, Table, TenantNumber,
    Timestamp, Undecodable, Write,
};

pub use kept::{Letter, Noted, is_parked, letters};

use crate::consumers::{Consumer, Hold, Note};
use crate::timers::Timed;

/// The one consumer of [`Orders`].
pub const COMPLETION: &str = "completion";
/// What the rules say when they panic on purpose.
pub const BUG: &str = "a bug in the rules, on purpose";

const PLACED: u16 = 1;
const COMPLETED: u16 = 2;
const EXPIRED: u16 = 3;

/// The rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Orders;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A new order, which holds something for so many microseconds, or nothing.
    Place(u64, Option<i64>),
    /// An order was carried out.
    Complete(u64),
    /// An order has held what it holds for too long.
    Expire(u64),
    /// See [`crate::consumers::Bookkeeping`].
    Note(Hold, Note),
    /// An operator has this dead letter taken up again, with those of its key before it.
    TakeUp(ChangeId),
    /// An operator throws this dead letter away.
    Discard(ChangeId),
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The order is new, and holds something until then.
    Placed(u64, Option<Timestamp>),
    /// The order was carried out.
    Completed(u64),
    /// The order no longer holds what it held until then.
    Expired(u64, Timestamp),
    /// What is kept of the consumer.
    Kept(Noted),
}

/// Whether the command changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed(pub bool);

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It holds something until then, or waits to be carried out.
    Placed(Option<Timestamp>),
    /// It was carried out.
    Completed,
    /// It no longer holds anything.
    Expired,
}

/// Whether an order can never be completed: it is refused, or the consumer itself fails, or deciding it panics
/// with [`BUG`].
pub fn is_poison(order: u64) -> bool {
    order % 8 == 7
}

/// An order.
pub fn status(view: &dyn Read, tenant: TenantNumber, order: u64) -> Option<Status> {
    let mut parts = Parts(view.get(&order_key(tenant, order))?);
    Some(match parts.u8() {
        0 => Status::Placed(Some(parts.time())),
        1 => Status::Placed(None),
        2 => Status::Completed,
        _ => Status::Expired,
    })
}

/// Whether trying to complete an order ends the process: the simulation's part, not this consumer's.
pub fn is_killer(order: u64) -> bool {
    order % 64 == 34
}

/// What an order is about: the same for a poisonous order and the next one.
pub fn key_of(order: u64) -> u128 {
    u128::from(order.div_ceil(2))
}

fn order_key(tenant: TenantNumber, order: u64) -> Key {
    Key::of(Table::Record, tenant).u8(1).u64(order)
}

fn due_key(due: Timestamp, tenant: TenantNumber, order: u64) -> Key {
    Key::new(Table::Index).time(due).u32(tenant.0).u64(order)
}

impl Domain for Orders {
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
        let of = |order| status(view, cx.tenant, order);
        let fact = match *command {
            Command::Place(order, holds) => of(order).is_none().then(|| {
                let until = |micros| Timestamp::from_micros(cx.timestamp.as_micros() + micros);
                Fact::Placed(order, holds.map(until))
            }),
            Command::Complete(order) if is_poison(order) => {
                assert!(order % 16 == 7, "{BUG}");
                return Err(Rejection::new(maitred_core::Class::Unprocessable, "poison", "It is poison."));
            }
            Command::Complete(order) => {
                matches!(of(order), Some(Status::Placed(None))).then_some(Fact::Completed(order))
            }
            Command::Expire(order) => match of(order) {
                Some(Status::Placed(Some(until))) if until <= cx.timestamp => {
                    Some(Fact::Expired(order, until))
                }
                _ => None,
            },
            Command::Note(..) | Command::TakeUp(_) | Command::Discard(_) => {
                let facts = kept::decide(view, command)?;
                let outcome = Changed(!facts.is_empty());
                return Ok(Decision { facts: facts.into_iter().map(Fact::Kept).collect(), outcome });
            }
        };
        let outcome = Changed(fact.is_some());
        Ok(Decision { facts: fact.into_iter().collect(), outcome })
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        match *fact {
            Fact::Placed(order, None) => view.put(&order_key(at.tenant, order), &[1]),
            Fact::Placed(order, Some(until)) => {
                let mut value = vec![0];
                value.extend_from_slice(&until.to_ordered().to_be_bytes());
                view.put(&order_key(at.tenant, order), &value);
                view.put(&due_key(until, at.tenant, order), &[]);
            }
            Fact::Completed(order) => view.put(&order_key(at.tenant, order), &[2]),
            Fact::Expired(order, until) => {
                view.put(&order_key(at.tenant, order), &[3]);
                view.delete(&due_key(until, at.tenant, order));
            }
            Fact::Kept(ref noted) => kept::apply(view, noted),
        }
    }
}

impl Timed for Orders {
    fn next_due(&self, view: &dyn Read) -> Option<Timestamp> {
        let table = Key::new(Table::Index);
        view.first(&table, &table.end()).map(|(key, _)| Parts(&key[1..]).time())
    }

    fn due(&self, view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Command)> {
        let table = Key::new(Table::Index);
        let mut found = Vec::new();
        view.scan(&table, &table.time(Timestamp::from_micros(now.as_micros() + 1)), &mut |key, _| {
            if found.len() == limit {
                return ControlFlow::Break(());
            }
            let mut parts = Parts(&key[9..]);
            found.push((TenantNumber(parts.u32()), Command::Expire(parts.u64())));
            ControlFlow::Continue(())
        });
        found
    }
}

/// Completes every order that holds nothing. Tells what it was given.
pub struct Completion<T: Fn(At, u64) + Send + Sync>(pub T);

impl<T: Fn(At, u64) + Send + Sync> std::fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(COMPLETION)
    }
}

impl<D, T> Consumer<D> for Completion<T>
where
    D: Domain<Command = Command, Fact = Fact>,
    T: Fn(At, u64) + Send + Sync,
{
    fn name(&self) -> &'static str {
        COMPLETION
    }

    fn wants(&self, kind: u16) -> bool {
        kind == PLACED
    }

    fn key(&self, fact: &Fact, _: At) -> Option<u128> {
        match fact {
            Fact::Placed(order, None) => Some(key_of(*order)),
            _ => None,
        }
    }

    fn consume(&self, _: &dyn Read, fact: &Fact, at: At) -> Result<Vec<Command>, String> {
        let Fact::Placed(order, None) = *fact else { return Err("it wants nothing else".into()) };
        (self.0)(at, order);
        if is_poison(order) && order % 32 == 15 {
            return Err("nobody answers".into());
        }
        Ok(vec![Command::Complete(order)])
    }
}

impl Recorded for Fact {
    fn kind(&self) -> u16 {
        match self {
            Fact::Placed(..) => PLACED,
            Fact::Completed(_) => COMPLETED,
            Fact::Expired(..) => EXPIRED,
            Fact::Kept(noted) => noted.kind(),
        }
    }

    fn version(&self) -> u8 {
        1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Fact::Placed(order, until) => {
                out.extend_from_slice(&order.to_be_bytes());
                out.extend(until.map(|until| until.to_ordered().to_be_bytes()).into_iter().flatten());
            }
            Fact::Completed(order) => out.extend_from_slice(&order.to_be_bytes()),
            Fact::Expired(order, until) => {
                out.extend_from_slice(&order.to_be_bytes());
                out.extend_from_slice(&until.to_ordered().to_be_bytes());
            }
            Fact::Kept(ref noted) => noted.encode(out),
        }
    }

    fn decode(kind: u16, _: u8, body: &[u8]) -> Result<Self, Undecodable> {
        let mut parts = Parts(body);
        Ok(match kind {
            PLACED => Fact::Placed(parts.u64(), (!parts.0.is_empty()).then(|| parts.time())),
            COMPLETED => Fact::Completed(parts.u64()),
            EXPIRED => Fact::Expired(parts.u64(), parts.time()),
            _ => {
                let noted = Noted::decode(kind, &mut parts);
                Fact::Kept(noted.ok_or_else(|| Undecodable { what: format!("fact {kind}").into() })?)
            }
        })
    }
}

impl Storable for Changed {
    fn store(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.0));
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        Ok(Changed(bytes == [1]))
    }
}
