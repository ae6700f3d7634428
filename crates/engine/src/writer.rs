//! The writer: decides commands one after another, each seeing the ones before it, and seals batches.
//!
//! It is a state machine without threads, clocks or I/O; [`crate::engine`] runs it on a thread of its own
//! and the simulation steps it. It decides on its own overlay, which runs ahead of what is published: the
//! next batch is decided while the last one is still being synced, and nobody else sees either before it
//! is durable. When a batch loses its place, everything decided on top of it is dropped.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use maitred_core::{
    At, Class, Context, Decision, Domain, Ids, PartitionId, Position, Read, Recorded, Rejection, Timestamp,
};

use crate::{
    Answer, AnswerOf, Envelope, Unavailable,
    apply::{self, IDEMPOTENCY_KEYS_MAX},
    batch::{
        BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, BatchBuilder, COMMAND_BYTES_MAX, FACT_BYTES, Header,
        Idempotency, Sealed,
    },
    log::Tail,
    overlay::{LAYER_BYTES_MAX, Overlay, WriterOverlay},
    publish::Shared,
    queue::Queued,
    store::Store,
    view::Scratch,
};

/// Decides commands and seals batches.
pub struct Writer<D: Domain> {
    domain: Arc<D>,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    partition: PartitionId,
    /// This process, as the batches name it.
    id: u128,
    generation: u64,
    overlay: WriterOverlay,
    tail: Tail,
    timestamp: Timestamp,
    seed: u64,
    layer_bytes_max: usize,
    bodies: Vec<u8>,
    answer: Vec<u8>,
}

/// A command that was decided but whose answer is not yet safe to give.
pub struct Decided<D: Domain> {
    /// The command.
    pub queued: Queued<D>,
    /// What it is answered once everything it rests on is durable.
    pub answer: Result<AnswerOf<D>, Unavailable>,
}

/// A batch that was decided: what to append, what to publish, whom to answer.
pub struct Prepared<D: Domain> {
    /// The generation of the published state it was decided on; see [`Shared`].
    pub generation: u64,
    /// The tail it was decided on.
    pub expected: Tail,
    /// The batch; none when nothing was accepted.
    pub sealed: Option<Sealed>,
    /// What readers see once it is durable.
    pub overlay: Overlay,
    /// The tail then.
    pub tail: Tail,
    /// The last batch's timestamp then.
    pub timestamp: Timestamp,
    /// The commands, in the order in which they were decided.
    pub decided: Vec<Decided<D>>,
}

impl<D: Domain> std::fmt::Debug for Prepared<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} commands on batch {}, {:?}", self.decided.len(), self.expected.0, self.sealed)
    }
}

impl<D: Domain> Writer<D> {
    /// A writer that goes on from the published state. `seed` must differ between processes.
    pub fn new(
        domain: Arc<D>,
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        partition: PartitionId,
        seed: u128,
    ) -> Self {
        let (generation, published) = shared.current();
        Writer {
            domain,
            store,
            shared,
            partition,
            id: seed,
            generation,
            overlay: WriterOverlay::above(&published.overlay, published.tail, published.timestamp),
            tail: published.tail,
            timestamp: published.timestamp,
            seed: (seed ^ (seed >> 64)) as u64,
            layer_bytes_max: LAYER_BYTES_MAX,
            bodies: Vec::new(),
            answer: Vec::new(),
        }
    }

    /// Freezes layers at this size instead of [`LAYER_BYTES_MAX`].
    #[must_use]
    pub fn with_layer_bytes_max(mut self, bytes: usize) -> Self {
        self.layer_bytes_max = bytes;
        self
    }

    /// The memory that the writer's overlay pins.
    pub fn overlay_bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Ends the newest layer, so that the flusher can take it once it is published: for a server that is
    /// idle or about to stop. False if there is nothing to flush.
    pub fn fill(&mut self) -> bool {
        let filled = self.overlay.newest_bytes() > 0;
        if filled {
            self.overlay.fill(self.tail, self.timestamp);
        }
        filled
    }

    /// Decides commands from the front of `queue` until a batch is full, at the wall time `wall`.
    pub fn decide(&mut self, queue: &mut VecDeque<Queued<D>>, wall: Timestamp) -> Prepared<D> {
        loop {
            self.catch_up();
            if let Some(prepared) = self.try_decide(queue, wall) {
                return prepared;
            }
        }
    }

    /// Decides as [`Writer::decide`] does, or takes nothing from `queue` and says `None`: when a batch has
    /// lost its place since [`Writer::catch_up`]. What was decided on that batch is to be decided first.
    pub fn try_decide(&mut self, queue: &mut VecDeque<Queued<D>>, wall: Timestamp) -> Option<Prepared<D>> {
        // In this order: what takes another's place is in no store before the generation has risen.
        let store = self.store.snapshot();
        if self.shared.generation() != self.generation {
            return None;
        }
        if self.overlay.newest_bytes() >= self.layer_bytes_max {
            self.overlay.fill(self.tail, self.timestamp);
        }
        let expected = self.tail;
        let mut batch = self.begin(wall);
        let timestamp = batch.header().timestamp;
        let mut decided = Vec::with_capacity(queue.len().min(BATCH_COMMANDS_MAX));
        while batch.len() < BATCH_BYTES_MAX
            && decided.len() < BATCH_COMMANDS_MAX
            && let Some(queued) = queue.pop_front()
        {
            let answer = self.decide_one(&*store, &queued, &mut batch);
            decided.push((queued, answer));
        }
        let sealed = (!batch.is_empty()).then(|| {
            let sealed = batch.seal();
            let mut view = Scratch { overlay: &mut self.overlay, store: &*store };
            apply::finish(&mut view, sealed.header.seq, timestamp);
            (self.tail, self.timestamp) = ((sealed.header.seq, sealed.hash), timestamp);
            sealed
        });
        // Every answer rests on all that was decided so far, and is given when that is durable.
        let position = Position { partition: self.partition, seq: self.tail.0 };
        let answered = |(queued, answer): (_, Result<Verdict<D>, _>)| Decided {
            queued,
            answer: answer.map(|(result, replayed)| Answer { result, position, timestamp, replayed }),
        };
        Some(Prepared {
            generation: self.generation,
            expected,
            sealed,
            overlay: self.overlay.to_publish(),
            tail: self.tail,
            timestamp: self.timestamp,
            decided: decided.into_iter().map(answered).collect(),
        })
    }

    fn begin(&mut self, wall: Timestamp) -> BatchBuilder {
        // I9: timestamps rise strictly, whatever the wall clock does.
        let timestamp = wall.max(Timestamp::from_micros(self.timestamp.as_micros() + 1));
        BatchBuilder::new(Header {
            rules_version: D::RULES_VERSION,
            log: self.partition,
            epoch: 0,
            seq: self.tail.0 + 1,
            batch_id: (u128::from(self.next_seed()) << 64) | u128::from(self.next_seed()),
            writer: self.id,
            timestamp,
            prev_hash: self.tail.1,
        })
    }

    /// Drops what the flusher has put into the store, and starts over from the published state when a
    /// batch has lost its place: then it says true.
    pub fn catch_up(&mut self) -> bool {
        let (generation, published) = self.shared.current();
        let displaced = generation != self.generation;
        if displaced {
            self.generation = generation;
            self.overlay = WriterOverlay::above(&published.overlay, published.tail, published.timestamp);
            (self.tail, self.timestamp) = (published.tail, published.timestamp);
        } else {
            self.overlay.forget(published.overlay.base());
        }
        displaced
    }

    fn decide_one(
        &mut self,
        store: &dyn Read,
        queued: &Queued<D>,
        batch: &mut BatchBuilder,
    ) -> Result<Verdict<D>, Unavailable> {
        let Envelope { tenant, actor, idempotency, ref command, .. } = queued.envelope;
        let Header { seq, timestamp, .. } = *batch.header();
        let at = At { tenant, seq, ordinal: batch.facts(), timestamp };
        let cx = Context { timestamp, tenant, actor, ids: Ids::new(timestamp, self.next_seed()) };
        let mut view = Scratch { overlay: &mut self.overlay, store };

        if let Some(idempotency) = idempotency
            && let Some(known) = known_already::<D>(&view, at, idempotency)?
        {
            return Ok(known);
        }
        // A panic leaves nothing behind: nothing is changed before all of it is written down.
        let (bodies, answer) = (&mut self.bodies, &mut self.answer);
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            encode::<D>(self.domain.decide(&view, command, &cx), idempotency, bodies, answer)
        }));
        let Encoded { facts, ends, result, remembered } = encoded.map_err(|_| Unavailable::Bug)?;
        if facts.is_empty() && remembered.is_none() {
            return Ok((result, false));
        }
        let bytes = self.bodies.len() + facts.len() * FACT_BYTES + self.answer.len();
        if bytes > COMMAND_BYTES_MAX {
            return Ok((Err(too_large(bytes)), false));
        }
        batch.push(tenant, actor, remembered.map(|key| (key, &self.answer[..])), |list| {
            let mut start = 0;
            for (fact, end) in facts.iter().zip(ends) {
                list.push(fact.kind(), fact.version(), |body| {
                    body.extend_from_slice(&self.bodies[start..end]);
                });
                start = end;
            }
        });
        apply::apply_facts(&*self.domain, &mut view, &facts, at);
        if let Some(idempotency) = remembered {
            apply::remember(&mut view, idempotency, &self.answer, at);
        }
        Ok((result, false))
    }

    /// A number that no other command of any process is given again, for all practical purposes:
    /// SplitMix64 from a random seed.
    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What was decided, and whether it is the remembered answer of an earlier command.
type Verdict<D> = (Result<<D as Domain>::Outcome, Rejection>, bool);

/// What was decided, with its facts' bodies and the answer to be remembered written down.
struct Encoded<D: Domain> {
    facts: Vec<D::Fact>,
    /// Where each fact's body ends.
    ends: Vec<usize>,
    result: Result<D::Outcome, Rejection>,
    /// The key that the answer is to be remembered under.
    remembered: Option<Idempotency>,
}

fn encode<D: Domain>(
    decision: Result<Decision<D::Fact, D::Outcome>, Rejection>,
    idempotency: Option<Idempotency>,
    bodies: &mut Vec<u8>,
    answer: &mut Vec<u8>,
) -> Encoded<D> {
    let (facts, result) = match decision {
        Ok(Decision { facts, outcome }) => (facts, Ok(outcome)),
        Err(rejection) => (Vec::new(), Err(rejection)),
    };
    let sticks = match &result {
        Ok(_) => true,
        Err(rejection) => rejection.class == Class::Conflict,
    };
    let remembered = idempotency.filter(|_| sticks);
    answer.clear();
    if remembered.is_some() {
        apply::store_answer(&result, answer);
    }
    bodies.clear();
    let mut ends = Vec::with_capacity(facts.len());
    for fact in &facts {
        fact.encode(bodies);
        ends.push(bodies.len());
    }
    Encoded { facts, ends, result, remembered }
}

/// What an idempotency key alone decides: the answer it was given before, or that it may not be used.
fn known_already<D: Domain>(
    view: &dyn Read,
    At { tenant, timestamp, .. }: At,
    Idempotency { key, fingerprint }: Idempotency,
) -> Result<Option<Verdict<D>>, Unavailable> {
    if let Some(found) = apply::remembered(view, tenant, key, timestamp) {
        if found.fingerprint != fingerprint {
            return Ok(Some((Err(key_reused()), false)));
        }
        let result = apply::restore_answer(found.answer).map_err(|_| Unavailable::Bug)?;
        return Ok(Some((result, true)));
    }
    if apply::keys_exhausted(view, tenant, timestamp) {
        return Ok(Some((Err(too_many_keys()), false)));
    }
    Ok(None)
}

fn key_reused() -> Rejection {
    Rejection::new(
        Class::Unprocessable,
        "idempotency-key-reused",
        "This Idempotency-Key was used for another request within the last 24 hours. Use a new key.",
    )
}

fn too_many_keys() -> Rejection {
    Rejection::new(
        Class::TooMany,
        "idempotency-keys-exhausted",
        format!("The tenant has used {IDEMPOTENCY_KEYS_MAX} idempotency keys within 24 hours. Try later."),
    )
}

fn too_large(bytes: usize) -> Rejection {
    Rejection::new(
        Class::TooLarge,
        "command-too-large",
        format!("The command needs {bytes} bytes of log; the most is {COMMAND_BYTES_MAX}. Split it."),
    )
}
