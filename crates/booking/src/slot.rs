//! Claims on time: who holds which resource from when to when, now and at any time before.
//!
//! Tables:
//! - `Slot/tenant/resource/start` → end 8 · owner's kind 1 · owner's id 16 · since 12: the claims that stand; and behind
//!   it before 4 · after 4 · until 8, where its [`Terms`] are not the usual ones.
//! - `Was/tenant/resource/start/since` → end 8 · owner's kind 1 · owner's id 16 · ended 12: those that stood.
//! - `Counter/tenant/LongestWas/resource` → the longest of the latter, in microseconds.
//!
//! Invariants: no two standing claims on a resource overlap, so the one that starts last also ends last,
//! and one seek finds what is in the way. A claim stood as of batch S when `since <= S < ended`; those do
//! not overlap either. Intervals are half-open: ends that touch are no overlap.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, Table, TenantNumber, Timestamp, Write};

use crate::name::{self, Counter};
use crate::record::{Kind, RecordId};

/// The most entries that [`standing`] looks at before it hands over what it has, so that no read keeps
/// the store's transaction for long.
pub const VISITS_MAX: usize = 10_000;

/// A resource's number within its tenant.
pub type ResourceNumber = u32;

/// A half-open interval `[from, to)`; an end that is `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// The first instant in it.
    pub from: Option<Timestamp>,
    /// The first instant behind it.
    pub to: Option<Timestamp>,
}

impl Interval {
    /// All of time.
    pub const ALL: Interval = Interval { from: None, to: None };

    /// From `from` to before `to`.
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Interval { from: Some(from), to: Some(to) }
    }

    /// One instant: what overlaps it covers it.
    pub const fn at(at: Timestamp) -> Self {
        Interval::new(at, after(at))
    }

    /// The instant, of an interval that has only one.
    fn instant(self) -> Option<Timestamp> {
        self.from.filter(|from| self.to == Some(after(*from)))
    }
}

/// On what terms a claim stands: what its owner says of it besides, for those who ask what is free. They are no part of its
/// history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// What is kept free before it, in minutes.
    pub before_minutes: u32,
    /// What is kept free behind it, in minutes.
    pub after_minutes: u32,
    /// From when on it holds no more, whether or not it was ended by then.
    pub until: Option<Timestamp>,
}

/// A claim of a record on a resource's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Of what.
    pub resource: ResourceNumber,
    /// The first instant.
    pub starts_at: Timestamp,
    /// The first instant behind it.
    pub ends_at: Timestamp,
    /// The kind of the record that claims.
    pub kind: Kind,
    /// The record's id.
    pub id: u128,
    /// The fact since which the claim stands.
    pub since: ChangeId,
    /// The terms, if it stands.
    pub terms: Terms,
}

/// Claims of a resource in the order of their start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The claims.
    pub claims: Vec<Claim>,
    /// `None` when these are all; else all that start at or before this instant, and more may follow.
    pub through: Option<Timestamp>,
    /// What it cost to find them: entries looked at, and one for the seeks.
    pub visits: usize,
}

/// The first number of a salon's employees and resources: they have ids of their own, and no names here.
pub const SALON_NUMBER_MIN: ResourceNumber = 1 << 31;

/// Whether nobody but `except` claims any of `[starts_at, ends_at)`.
pub fn is_free(
    view: &dyn Read,
    except: RecordId,
    resource: ResourceNumber,
    starts_at: Timestamp,
    ends_at: Timestamp,
) -> bool {
    let slots = slots(except.tenant, resource);
    let mut to = slots.time(ends_at);
    while let Some((key, value)) = view.last(&slots, &to) {
        let claim = Claim::read(key, value);
        if claim.ends_at <= starts_at {
            return true;
        }
        if !claim.is_of(except) {
            return false;
        }
        to = Key::from_bytes(key);
    }
    true
}

/// The claims on `[starts_at, ends_at)` but those of `except`, by start: the first `max`, and whether
/// there are more.
pub fn in_the_way(
    view: &dyn Read,
    except: RecordId,
    resource: ResourceNumber,
    starts_at: Timestamp,
    ends_at: Timestamp,
    max: usize,
) -> (Vec<Claim>, bool) {
    let slots = slots(except.tenant, resource);
    let from = slots.time(first_start(view, &slots, starts_at));
    let mut claims = Vec::new();
    let mut more = false;
    view.scan(&from, &slots.time(ends_at), &mut |key, value| {
        let claim = Claim::read(key, value);
        if claim.is_of(except) {
            return ControlFlow::Continue(());
        }
        more = claims.len() == max;
        if more {
            return ControlFlow::Break(());
        }
        claims.push(claim);
        ControlFlow::Continue(())
    });
    (claims, more)
}

/// The claims on a resource that overlap `interval`, now or as they stood after the batch `as_of`, from
/// the first that starts after `behind`; at most `claims_max` of them (at least 1).
pub fn standing(
    view: &dyn Read,
    tenant: TenantNumber,
    resource: ResourceNumber,
    interval: Interval,
    as_of: Option<Seq>,
    behind: Option<Timestamp>,
    claims_max: usize,
) -> Standing {
    let slots = slots(tenant, resource);
    let start_min = behind.map_or(Timestamp::from_micros(i64::MIN), after);
    if let (Some(at), None) = (interval.instant(), as_of) {
        let claim = covering(view, &slots, at).filter(|claim| claim.starts_at >= start_min);
        return Standing { claims: claim.into_iter().collect(), through: None, visits: 1 };
    }
    let from = interval.from.map_or(start_min, |from| first_start(view, &slots, from).max(start_min));
    let to = interval.to.map_or(slots.end(), |to| slots.time(to));
    let mut gathered = Gathered { claims: Vec::new(), claims_max, visits: 0, last: None, through: None };
    view.scan(&slots.time(from), &to, &mut |key, value| {
        let claim = Claim::read(key, value);
        gathered.visit(claim.starts_at, as_of.is_none_or(|seq| claim.since.seq <= seq).then_some(claim))
    });
    let Gathered { mut claims, mut through, mut visits, .. } = gathered;

    if let Some(seq) = as_of {
        let was = was(tenant, resource);
        let longest = name::counter(view, tenant, Counter::LongestWas, resource);
        let from = interval.from.map_or(start_min, |from| before(from, longest).max(start_min));
        // What the first scan did not come to is not wanted here either.
        let to = match (through, interval.to) {
            (Some(through), _) => was.time(after(through)),
            (None, Some(to)) => was.time(to),
            (None, None) => was.end(),
        };
        let mut gathered = Gathered { claims: Vec::new(), claims_max, visits: 0, last: None, through: None };
        view.scan(&was.time(from), &to, &mut |key, value| {
            let (claim, ended) = Claim::read_ended(key, value);
            let stood = claim.since.seq <= seq && seq < ended.seq;
            let overlaps = interval.from.is_none_or(|from| claim.ends_at > from);
            gathered.visit(claim.starts_at, (stood && overlaps).then_some(claim))
        });
        visits += gathered.visits;
        if gathered.through.is_some() {
            through = gathered.through;
        }
        claims.retain(|claim| through.is_none_or(|through| claim.starts_at <= through));
        claims.append(&mut gathered.claims);
        claims.sort_unstable_by_key(|claim| claim.starts_at);
        if claims.len() > claims_max {
            claims.truncate(claims_max);
            through = claims.last().map(|claim| claim.starts_at);
        }
    }
    Standing { claims, through, visits: visits + 1 }
}

/// The first resource with a name, from `from` on, that is, or with `past` was, claimed by anyone.
pub fn next_resource(
    view: &dyn Read,
    tenant: TenantNumber,
    from: ResourceNumber,
    past: bool,
) -> Option<ResourceNumber> {
    let first = |table| {
        let table = Key::of(table, tenant);
        let (key, _) = view.first(&table.u32(from), &table.u32(SALON_NUMBER_MIN))?;
        Some(Parts::behind_tenant(key).u32())
    };
    let was = if past { first(Table::Was) } else { None };
    [first(Table::Slot), was].into_iter().flatten().min()
}

/// Puts a claim. The rules saw that it is free.
pub fn put(view: &mut dyn Write, tenant: TenantNumber, claim: &Claim) {
    let key = slots(tenant, claim.resource).time(claim.starts_at);
    let value = value(claim, claim.since);
    if claim.terms == Terms::default() {
        return view.put(&key, &value);
    }
    let Terms { before_minutes, after_minutes, until } = claim.terms;
    let until = until.unwrap_or(Timestamp::from_micros(i64::MAX)).to_ordered();
    let mut value = value.to_vec();
    value.extend_from_slice(&before_minutes.to_be_bytes());
    value.extend_from_slice(&after_minutes.to_be_bytes());
    value.extend_from_slice(&until.to_be_bytes());
    view.put(&key, &value);
}

/// Puts other terms to the claim of `owner` that starts at `starts_at`.
///
/// # Panics
/// When `owner` has no such claim.
pub fn renew(
    view: &mut dyn Write,
    owner: RecordId,
    resource: ResourceNumber,
    starts_at: Timestamp,
    terms: Terms,
) {
    let key = slots(owner.tenant, resource).time(starts_at);
    let claim = Claim::read(&key, view.get(&key).expect("an active record has its claim"));
    assert!(claim.is_of(owner), "a record renews its own claims only");
    put(view, owner.tenant, &Claim { terms, ..claim });
}

/// Ends the claim of `owner` that starts at `starts_at`, and keeps what it was.
///
/// # Panics
/// When `owner` has no such claim: whoever ends a claim has put it.
pub fn end(
    view: &mut dyn Write,
    owner: RecordId,
    resource: ResourceNumber,
    starts_at: Timestamp,
    ended: ChangeId,
) {
    let key = slots(owner.tenant, resource).time(starts_at);
    let claim = Claim::read(&key, view.get(&key).expect("an active record has its claim"));
    assert!(claim.is_of(owner), "a record ends its own claims only");
    view.delete(&key);
    let key = was(owner.tenant, resource).time(starts_at).change(claim.since);
    view.put(&key, &value(&claim, ended));
    let length = claim.starts_at.as_micros().abs_diff(claim.ends_at.as_micros());
    if length > name::counter(view, owner.tenant, Counter::LongestWas, resource) {
        name::set_counter(view, owner.tenant, Counter::LongestWas, resource, length);
    }
}

impl Claim {
    /// The record that claims.
    pub fn owner(&self, tenant: TenantNumber) -> RecordId {
        RecordId { tenant, kind: self.kind, id: self.id }
    }

    fn is_of(&self, owner: RecordId) -> bool {
        self.kind == owner.kind && self.id == owner.id
    }

    fn read(key: &[u8], value: &[u8]) -> Self {
        let mut key = Parts::behind_tenant(key);
        let mut value = Parts(value);
        Claim {
            resource: key.u32(),
            starts_at: key.time(),
            ends_at: value.time(),
            kind: Kind::from_number(value.u8()),
            id: value.u128(),
            since: value.change(),
            terms: match value.0 {
                [] => Terms::default(),
                _ => Terms::read(value),
            },
        }
    }

    /// A claim that stood, and when it ended.
    fn read_ended(key: &[u8], value: &[u8]) -> (Self, ChangeId) {
        let claim = Claim::read(key, value);
        let since = Parts(&key[key.len() - 12..]).change();
        (Claim { since, ..claim }, claim.since)
    }
}

impl Terms {
    fn read(mut value: Parts<'_>) -> Self {
        let (before_minutes, after_minutes) = (value.u32(), value.u32());
        let until = Some(value.time()).filter(|until| until.as_micros() < i64::MAX);
        Terms { before_minutes, after_minutes, until }
    }
}

/// What [`standing`] gathers of one table, entry by entry in the order of their start.
struct Gathered {
    claims: Vec<Claim>,
    claims_max: usize,
    visits: usize,
    last: Option<Timestamp>,
    through: Option<Timestamp>,
}

impl Gathered {
    /// Takes an entry, or stops before it when there is enough. Entries of one start are never torn apart.
    fn visit(&mut self, starts_at: Timestamp, claim: Option<Claim>) -> ControlFlow<()> {
        let enough = self.claims.len() >= self.claims_max || self.visits >= VISITS_MAX;
        if enough && self.last != Some(starts_at) {
            self.through = self.last;
            return ControlFlow::Break(());
        }
        self.visits += 1;
        self.last = Some(starts_at);
        self.claims.extend(claim);
        ControlFlow::Continue(())
    }
}

/// The claim that covers an instant: only the last one to start by then can.
fn covering(view: &dyn Read, slots: &Key, at: Timestamp) -> Option<Claim> {
    let (key, value) = view.last(slots, &slots.time(after(at)))?;
    Some(Claim::read(key, value)).filter(|claim| claim.ends_at > at)
}

/// Where claims that overlap an interval from `from` on begin: at the one that covers its first instant, if any.
fn first_start(view: &dyn Read, slots: &Key, from: Timestamp) -> Timestamp {
    covering(view, slots, from).map_or(from, |claim| claim.starts_at)
}

fn value(claim: &Claim, position: ChangeId) -> [u8; 37] {
    let mut value = [0; 37];
    value[..8].copy_from_slice(&claim.ends_at.to_ordered().to_be_bytes());
    value[8] = claim.kind as u8;
    value[9..25].copy_from_slice(&claim.id.to_be_bytes());
    value[25..33].copy_from_slice(&position.seq.to_be_bytes());
    value[33..].copy_from_slice(&position.ordinal.to_be_bytes());
    value
}

fn slots(tenant: TenantNumber, resource: ResourceNumber) -> Key {
    Key::of(Table::Slot, tenant).u32(resource)
}

fn was(tenant: TenantNumber, resource: ResourceNumber) -> Key {
    Key::of(Table::Was, tenant).u32(resource)
}

const fn after(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(1))
}

fn before(at: Timestamp, micros: u64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub_unsigned(micros))
}
