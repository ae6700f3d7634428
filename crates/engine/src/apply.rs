//! How a batch changes a view: the domain's facts, and the engine's own entries beside them.
//!
//! Invariant: a view is a pure function of the log. The writer applies each command through
//! [`apply_facts`], [`remember`] and [`finish`] as it decides; recovery and followers apply whole batches
//! through [`apply_batch`], which calls the same three.

use maitred_core::{
    At, Domain, Key, Read, Recorded, Rejection, Seq, Storable, Table, TenantNumber, Timestamp, Undecodable,
    Write, key::Parts,
};

use crate::batch::{BatchError, Idempotency, Sealed};

/// How long an idempotency key's answer is remembered, in microseconds of log time: 24 hours.
pub const IDEMPOTENCY_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// The most keys a tenant may have remembered at once.
pub const IDEMPOTENCY_KEYS_MAX: u64 = 1_000_000;
/// How many expired keys are forgotten with each new one: more than one, so that the number falls.
const IDEMPOTENCY_FORGOTTEN_EACH: usize = 2;
/// The engine's own counter of a tenant's remembered keys; domains count from 0.
const COUNTER_IDEMPOTENCY: u8 = 0xff;

/// A batch that cannot be applied: written by a newer build, or damaged in a way its checksum missed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A fact of an unknown kind or version.
    #[error("batch {seq}: {source}")]
    Fact {
        /// The batch.
        seq: Seq,
        /// What could not be decoded.
        source: Undecodable,
    },
    /// The batch's lengths do not add up.
    #[error("batch {seq}: {source}")]
    Batch {
        /// The batch.
        seq: Seq,
        /// What is wrong with it.
        source: BatchError,
    },
}

/// Applies a verified batch.
///
/// # Errors
/// [`ApplyError`]; the view is then half changed and must be discarded.
pub fn apply_batch<D: Domain>(domain: &D, view: &mut dyn Write, sealed: &Sealed) -> Result<(), ApplyError> {
    let seq = sealed.header.seq;
    let mut ordinal = 0;
    for item in sealed.items() {
        let item = item.map_err(|source| ApplyError::Batch { seq, source })?;
        let mut at = At { tenant: item.tenant, seq, ordinal, timestamp: sealed.header.timestamp };
        for raw in &item.facts {
            let fact = D::Fact::decode(raw.kind, raw.version, raw.body)
                .map_err(|source| ApplyError::Fact { seq, source })?;
            domain.apply(view, &fact, at);
            at.ordinal += 1;
        }
        ordinal = at.ordinal;
        if let Some((idempotency, answer)) = item.idempotency {
            remember(view, idempotency, answer, at);
        }
    }
    finish(view, seq, sealed.header.timestamp);
    Ok(())
}

/// Applies the facts of one command, from ordinal `at.ordinal` on.
pub fn apply_facts<D: Domain>(domain: &D, view: &mut dyn Write, facts: &[D::Fact], mut at: At) {
    for fact in facts {
        domain.apply(view, fact, at);
        at.ordinal += 1;
    }
}

/// Ends a batch: from its timestamp its seq can be found.
pub fn finish(view: &mut dyn Write, seq: Seq, timestamp: Timestamp) {
    view.put(&Key::new(Table::Time).time(timestamp), &seq.to_be_bytes());
}

/// The last batch decided at or before `instant`; 0 when there is none.
pub fn seq_at(view: &dyn Read, instant: Timestamp) -> Seq {
    let from = Key::new(Table::Time);
    let to = from.time(Timestamp::from_micros(instant.as_micros().saturating_add(1)));
    view.last(&from, &to).map_or(0, |(_, seq)| Parts(seq).u64())
}

/// When batch `seq` was decided: timestamps rise with the batches, so that halving finds it. The newest one's timestamp
/// for a later batch, and the earliest instant for batch 0.
pub fn timestamp_of(view: &dyn Read, seq: Seq) -> Timestamp {
    let table = Key::new(Table::Time);
    let Some((newest, _)) = view.last(&table, &table.end()) else {
        return Timestamp::from_micros(i64::MIN);
    };
    // The batch lies in `[from, to]`.
    let (mut from, mut to) = (0, Parts(&newest[1..]).u64());
    while from < to {
        let middle = from + (to - from) / 2;
        let through = table.u64(middle).end();
        let reached = view.last(&table, &through).map_or(0, |(_, seq)| Parts(seq).u64());
        if reached >= seq { to = middle } else { from = middle + 1 }
    }
    Timestamp::from_ordered(to)
}

/// A remembered answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered<'a> {
    /// When the first command was decided.
    pub timestamp: Timestamp,
    /// What the key was used for.
    pub fingerprint: u128,
    /// The batch that holds it.
    pub seq: Seq,
    /// The answer in its stored form; see [`restore_answer`].
    pub answer: &'a [u8],
}

/// The answer remembered under `key`, if it is younger than 24 hours at `now`.
pub fn remembered(
    view: &dyn Read,
    tenant: TenantNumber,
    key: u128,
    now: Timestamp,
) -> Option<Remembered<'_>> {
    let value = view.get(&Key::of(Table::Idempotency, tenant).u128(key))?;
    let mut parts = Parts(value);
    let found =
        Remembered { timestamp: parts.time(), fingerprint: parts.u128(), seq: parts.u64(), answer: parts.0 };
    let age = now.as_micros() - found.timestamp.as_micros();
    (age < IDEMPOTENCY_MICROS).then_some(found)
}

/// Whether `tenant` can have no further key remembered at `now`: as many as may be are, and none of them is
/// about to be forgotten for it.
pub fn keys_exhausted(view: &dyn Read, tenant: TenantNumber, now: Timestamp) -> bool {
    remembered_keys(view, tenant) >= IDEMPOTENCY_KEYS_MAX && {
        let (due, expired) = expired(tenant, now);
        view.first(&due, &expired).is_none()
    }
}

/// The range of the tenant's keys by age that are expired at `now`.
fn expired(tenant: TenantNumber, now: Timestamp) -> (Key, Key) {
    let due = Key::of(Table::IdempotencyDue, tenant);
    (due, due.time(Timestamp::from_micros(now.as_micros() - IDEMPOTENCY_MICROS + 1)))
}

/// How many idempotency keys `tenant` has remembered, those about to be forgotten included.
pub fn remembered_keys(view: &dyn Read, tenant: TenantNumber) -> u64 {
    view.get(&counter(tenant)).map_or(0, |count| Parts(count).u64())
}

fn counter(tenant: TenantNumber) -> Key {
    Key::of(Table::Counter, tenant).u8(COUNTER_IDEMPOTENCY)
}

/// Remembers `answer` under a key, and forgets the oldest expired ones.
pub fn remember(
    view: &mut dyn Write,
    Idempotency { key, fingerprint }: Idempotency,
    answer: &[u8],
    At { tenant, seq, timestamp, .. }: At,
) {
    let mut count = remembered_keys(view, tenant);
    let (due, expired) = expired(tenant, timestamp);
    let entry = Key::of(Table::Idempotency, tenant).u128(key);
    if let Some(old) = view.get(&entry) {
        let old = Parts(old).time();
        view.delete(&due.time(old).u128(key));
        count -= 1;
    }
    for _ in 0..IDEMPOTENCY_FORGOTTEN_EACH {
        let Some((oldest, _)) = view.first(&due, &expired) else { break };
        let oldest = Key::from_bytes(oldest);
        let mut parts = Parts::behind_tenant(&oldest);
        let (_, forgotten) = (parts.time(), parts.u128());
        view.delete(&oldest);
        view.delete(&Key::of(Table::Idempotency, tenant).u128(forgotten));
        count -= 1;
    }
    let mut value = Vec::with_capacity(32 + answer.len());
    value.extend_from_slice(&timestamp.to_ordered().to_be_bytes());
    value.extend_from_slice(&fingerprint.to_be_bytes());
    value.extend_from_slice(&seq.to_be_bytes());
    value.extend_from_slice(answer);
    view.put(&entry, &value);
    view.put(&due.time(timestamp).u128(key), &[]);
    view.put(&counter(tenant), &(count + 1).to_be_bytes());
}

/// The stored form of an answer: a byte that tells an outcome from a rejection, then its own form.
pub fn store_answer<O: Storable>(answer: &Result<O, Rejection>, out: &mut Vec<u8>) {
    match answer {
        Ok(outcome) => {
            out.push(0);
            outcome.store(out);
        }
        Err(rejection) => {
            out.push(1);
            rejection.store(out);
        }
    }
}

/// Reads what [`store_answer`] wrote.
///
/// # Errors
/// [`Undecodable`] for a form that this build does not know.
pub fn restore_answer<O: Storable>(bytes: &[u8]) -> Result<Result<O, Rejection>, Undecodable> {
    match bytes.split_first() {
        Some((0, outcome)) => O::restore(outcome).map(Ok),
        Some((1, rejection)) => Rejection::restore(rejection).map(Err),
        _ => Err(Undecodable { what: "a remembered answer".into() }),
    }
}
