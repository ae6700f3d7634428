//! The rules of a small shop: goods come in, and are sold as long as there are any.

use std::sync::atomic::{AtomicUsize, Ordering};

use maitred_core::{
    Actor, At, Class, Context, Decision, Domain, Key, Read, Recorded, Rejection, Storable, Table,
    TenantNumber, Timestamp, Undecodable, Write, key::Parts,
};
use maitred_engine::apply;
use maitred_engine::batch::Idempotency;
use maitred_engine::sync::{Condvar, Mutex};
use maitred_engine::{Answer, Envelope};

use super::wait_until;

/// What a customer or the shopkeeper asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// So many pieces of an item came in.
    Stock { item: u64, count: u64 },
    /// A customer wants so many.
    Take { item: u64, count: u64 },
    /// Nothing more is left of the item: its record goes.
    Clear { item: u64 },
    /// Accepted, and changes nothing.
    Look { item: u64 },
    /// So many facts, each with so many bytes that say nothing.
    Noise { facts: usize, bytes: usize },
    /// Refused in a way that does not stick under a key.
    Lost,
    /// The rules have a bug here.
    Panic,
    /// The rules have a bug where they write the fact down.
    PanicInEncode,
}

/// An item's stock has become another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Which item.
    pub(crate) item: u64,
    /// How many are left; `None` where the record is gone.
    pub(crate) left: Option<u64>,
    /// What was there when this was decided: [`seen`].
    seen: u64,
    /// How many bytes follow that say nothing.
    noise: u32,
}

/// The item of a fact that cannot be written down.
const UNWRITABLE: u64 = u64::MAX;

/// How many are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left(pub(crate) u64);

/// The rules, and how often they were asked.
#[derive(Default)]
pub(crate) struct Shop {
    decided: Mutex<usize>,
    changed: Condvar,
    /// How often a fact was applied.
    pub(crate) applied: AtomicUsize,
}

impl Shop {
    /// Waits until so many commands were decided, those that panicked not counted.
    pub(crate) fn wait_decided(&self, count: usize) {
        let decided = self.decided.lock().expect("nobody panics while holding it");
        wait_until(&self.changed, decided, |decided| *decided >= count);
    }

    /// How many commands were decided, decided again included.
    pub(crate) fn decided(&self) -> usize {
        *self.decided.lock().expect("nobody panics while holding it")
    }
}

fn record(tenant: TenantNumber, item: u64) -> Key {
    Key::of(Table::Record, tenant).u8(1).u64(item)
}

/// How many of an item are left.
pub(crate) fn left(view: &dyn Read, tenant: TenantNumber, item: u64) -> Option<u64> {
    view.get(&record(tenant, item)).map(|left| Parts(left).u64())
}

fn last_batch(view: &dyn Read) -> u64 {
    apply::seq_at(view, Timestamp::from_micros(i64::MAX))
}

/// A number that stands for all stocks of a tenant and for the batch before.
fn seen(view: &dyn Read, tenant: TenantNumber) -> u64 {
    let mut sum = last_batch(view);
    let records = Key::of(Table::Record, tenant);
    view.scan(&records, &records.end(), &mut |key, value| {
        for byte in key.iter().chain(value) {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        std::ops::ControlFlow::Continue(())
    });
    sum
}

impl Changed {
    /// A change as it would be decided on `view`.
    pub(crate) fn on(view: &dyn Read, tenant: TenantNumber, item: u64, left: Option<u64>) -> Self {
        Changed { item, left, seen: seen(view, tenant), noise: 0 }
    }
}

impl Domain for Shop {
    type Command = Ask;
    type Fact = Changed;
    type Outcome = Left;
    const RULES_VERSION: u16 = 7;
    const VIEW_SCHEMA: u16 = 3;

    fn decide(
        &self,
        view: &dyn Read,
        command: &Ask,
        cx: &Context,
    ) -> Result<Decision<Changed, Left>, Rejection> {
        assert!(*command != Ask::Panic, "as the test wishes");
        *self.decided.lock().expect("nobody panics while holding it") += 1;
        self.changed.notify_all();
        let free = |item| left(view, cx.tenant, item);
        let changed = |item, left: Option<u64>| Decision {
            facts: vec![Changed::on(view, cx.tenant, item, left)],
            outcome: Left(left.unwrap_or(0)),
        };
        match *command {
            Ask::Stock { item, count } => Ok(changed(item, Some(free(item).unwrap_or(0) + count))),
            Ask::Take { item, count } => match free(item).and_then(|free| free.checked_sub(count)) {
                Some(left) => Ok(changed(item, Some(left))),
                None => Err(Rejection::conflict("sold-out", "Nothing is left.")),
            },
            Ask::Clear { item } => Ok(changed(item, None)),
            Ask::Look { item } => Ok(Decision { facts: vec![], outcome: Left(free(item).unwrap_or(0)) }),
            Ask::Noise { facts, bytes } => {
                let fact = Changed { noise: bytes as u32, ..Changed::on(view, cx.tenant, 0, None) };
                let quiet = Changed { seen: 0, ..fact.clone() };
                let facts = std::iter::once(fact).chain(std::iter::repeat_n(quiet, facts - 1)).collect();
                Ok(Decision { facts, outcome: Left(0) })
            }
            Ask::Lost => Err(Rejection::new(Class::Absent, "absent", "It is not there.")),
            Ask::Panic => unreachable!("it has panicked"),
            Ask::PanicInEncode => Ok(changed(UNWRITABLE, None)),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Changed, at: At) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        if fact.seen != 0 {
            assert_eq!(fact.seen, seen(view, at.tenant), "I2: applied where it was not decided, at {at:?}");
            assert_eq!(
                last_batch(view),
                at.seq - 1,
                "I2: decided on another batch than the one before, at {at:?}"
            );
        }
        match fact.left {
            Some(left) => view.put(&record(at.tenant, fact.item), &left.to_be_bytes()),
            None => view.delete(&record(at.tenant, fact.item)),
        }
    }
}

impl Recorded for Changed {
    fn kind(&self) -> u16 {
        1
    }

    fn version(&self) -> u8 {
        1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.item != UNWRITABLE, "as the test wishes");
        out.extend_from_slice(&self.item.to_be_bytes());
        out.extend_from_slice(&self.seen.to_be_bytes());
        out.push(u8::from(self.left.is_some()));
        out.extend_from_slice(&self.left.unwrap_or(0).to_be_bytes());
        out.resize(out.len() + self.noise as usize, 0);
    }

    fn decode(_: u16, _: u8, body: &[u8]) -> Result<Self, Undecodable> {
        let mut parts = Parts(body);
        let (item, seen, is_left, left) = (parts.u64(), parts.u64(), parts.u8(), parts.u64());
        Ok(Changed { item, left: (is_left == 1).then_some(left), seen, noise: parts.0.len() as u32 })
    }
}

impl Storable for Left {
    fn store(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        Ok(Left(Parts(bytes).u64()))
    }
}

/// A command of a tenant.
pub(crate) fn ask(tenant: u32, command: Ask) -> Envelope<Ask> {
    let (tenant, actor) = (TenantNumber(tenant), Actor::Anonymous);
    Envelope { tenant, actor, idempotency: None, bytes: 64, command }
}

/// The same with an idempotency key.
pub(crate) fn keyed(tenant: u32, key: u128, fingerprint: u128, command: Ask) -> Envelope<Ask> {
    Envelope { idempotency: Some(Idempotency { key, fingerprint }), ..ask(tenant, command) }
}

/// What an answer says in short: how many are left, or the code of the refusal.
pub(crate) fn said(answer: &Answer<Left>) -> Result<u64, &str> {
    answer.result.as_ref().map(|left| left.0).map_err(|rejection| &*rejection.code)
}
