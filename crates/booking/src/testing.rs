//! A view in memory, and a world of one writer around a domain: for tests, models and the simulation.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{Bound, ControlFlow};

use maitred_core::view::Entry;
use maitred_core::{
    Actor, At, Context, Domain, Ids, Key, Ordinal, Read, Recorded, Rejection, Seq, Storable, TenantNumber,
    Timestamp, Write,
};

/// A view as an ordered map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryView(BTreeMap<Key, Vec<u8>>);

impl MemoryView {
    /// Every key and value, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.0.iter().map(|(key, value)| (&**key, value.as_slice()))
    }

    /// The BLAKE3 of every key and value with their lengths, in order.
    pub fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in self.entries() {
            hasher.update(&(key.len() as u64).to_le_bytes()).update(key);
            hasher.update(&(value.len() as u64).to_le_bytes()).update(value);
        }
        hasher.finalize()
    }

    fn range(&self, from: &[u8], to: &[u8]) -> std::collections::btree_map::Range<'_, Key, Vec<u8>> {
        // `BTreeMap::range` panics where the end is before the start; here such a range is empty.
        let to = if to < from { from } else { to };
        self.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
    }
}

impl Read for MemoryView {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.range(from, to).next().map(|(key, value)| (&**key, value.as_slice()))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
        self.range(from, to).next_back().map(|(key, value)| (&**key, value.as_slice()))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        let _ = self.range(from, to).try_for_each(|(key, value)| visit(key, value));
    }

    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
        let _ = self.range(from, to).rev().try_for_each(|(key, value)| visit(key, value));
    }
}

impl Write for MemoryView {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(Key::from_bytes(key), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(&Key::from_bytes(key));
    }
}

/// A command's answer: its facts and outcome, or why not.
pub type Answer<D> = Result<(Vec<<D as Domain>::Fact>, <D as Domain>::Outcome), Rejection>;

/// One writer over one view: decides, sends every fact and outcome through its encoding, applies.
#[derive(Debug, Clone)]
pub struct World<D> {
    /// The rules.
    pub domain: D,
    /// What was applied so far.
    pub view: MemoryView,
    /// The last batch's number.
    pub seq: Seq,
    /// The last batch's timestamp.
    pub timestamp: Timestamp,
    log: Vec<Logged>,
    commands: u64,
}

/// A fact as the log keeps it: where, kind, version, body.
type Logged = (At, u16, u8, Vec<u8>);

impl<D: Domain> World<D>
where
    D::Fact: Debug + PartialEq,
    D::Outcome: Debug + PartialEq,
{
    /// An empty world in which the first batch is decided one second after the epoch.
    pub fn new(domain: D) -> Self {
        let timestamp = Timestamp::from_millis(0);
        World { domain, view: MemoryView::default(), seq: 0, timestamp, log: Vec::new(), commands: 0 }
    }

    /// One command in a batch of its own.
    ///
    /// # Errors
    /// The command's rejection.
    pub fn submit(&mut self, tenant: TenantNumber, command: &D::Command) -> Answer<D> {
        self.batch(tenant, std::slice::from_ref(command)).pop().expect("one command has one answer")
    }

    /// Commands decided together, each on what the ones before it left. Batches come a second apart.
    pub fn batch(&mut self, tenant: TenantNumber, commands: &[D::Command]) -> Vec<Answer<D>> {
        self.seq += 1;
        self.timestamp = Timestamp::from_micros(self.timestamp.as_micros() + 1_000_000);
        let mut ordinal = 0;
        commands.iter().map(|command| self.decide_and_apply(tenant, command, &mut ordinal)).collect()
    }

    fn decide_and_apply(
        &mut self,
        tenant: TenantNumber,
        command: &D::Command,
        ordinal: &mut Ordinal,
    ) -> Answer<D> {
        self.commands += 1;
        let timestamp = self.timestamp;
        let ids = Ids::new(timestamp, self.commands);
        let cx = Context { timestamp, tenant, actor: Actor::System, ids };
        let decision = self.domain.decide(&self.view, command, &cx)?;
        for fact in &decision.facts {
            let at = At { tenant, seq: self.seq, ordinal: *ordinal, timestamp };
            let mut body = Vec::new();
            fact.encode(&mut body);
            let logged = (at, fact.kind(), fact.version(), body);
            assert_eq!(&read::<D::Fact>(&logged), fact, "a fact comes back from the log as it was decided");
            self.domain.apply(&mut self.view, fact, at);
            self.log.push(logged);
            *ordinal += 1;
        }
        let mut stored = Vec::new();
        decision.outcome.store(&mut stored);
        assert_eq!(D::Outcome::restore(&stored).as_ref(), Ok(&decision.outcome));
        Ok((decision.facts, decision.outcome))
    }

    /// The view that the log gives, from the start.
    pub fn replay(&self) -> MemoryView {
        let mut view = MemoryView::default();
        for logged in &self.log {
            self.domain.apply(&mut view, &read::<D::Fact>(logged), logged.0);
        }
        view
    }
}

fn read<F: Recorded>((_, kind, version, body): &Logged) -> F {
    F::decode(*kind, *version, body).expect("what was written can be read")
}
