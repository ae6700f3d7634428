//! What can be read of providers, their runs and their events.
//!
//! Tables besides the records:
//! - `Index/tenant/EventByExternal/provider/external id` → event 16 · digest 32 · gone 1: what was stated of it last.
//! - `Index/tenant/RunByProvider/provider/run` → the run as it is now. The newest [`RUNS_MAX`] of a provider are kept.
//! - `Index/system/ProviderState/tenant/provider` → a [`ProviderState`], of all tenants in one range, so that whoever
//!   syncs finds what is due by one scan.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, TenantNumber, Timestamp, Write};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{Event, Provider, Run, Validators};
use crate::encoding::{self, micros};
use crate::flash_sales::view as listed;
use crate::name;
use crate::record::{self, Index, Kind, RecordId, Version};

pub use listed::{Found, Versioned};

/// The most runs that are kept of a provider.
pub const RUNS_MAX: u32 = 1_000;

/// What of a provider changes far more often than its record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProviderState {
    /// Its name.
    pub name: String,
    /// When its last run ended, whatever came of it; nothing where the next one is due at once.
    #[serde(with = "micros::option")]
    pub last_run_at: Option<Timestamp>,
    /// When its feed was last carried over as a whole.
    #[serde(with = "micros::option")]
    pub last_success_at: Option<Timestamp>,
    /// What the provider gave then to ask for changes alone.
    pub validators: Option<Validators>,
    /// The hash of everything that the feed stated then.
    pub digest: Option<[u8; 32]>,
    /// The runs since then that came to nothing.
    pub failures: u32,
    /// How many of its events are stated now.
    pub events: u64,
    /// How many of its events are missing from the feed.
    pub vanished: u64,
    /// How many runs are kept.
    pub runs: u32,
    /// The run that is asked for or writes.
    pub open_run: Option<[u8; 16]>,
    /// The run that an operator is to decide on.
    pub held_run: Option<[u8; 16]>,
    /// How many events the next run may lose.
    pub loss_allowed: u64,
    /// The hash of a feed that was set aside.
    pub discarded: Option<[u8; 32]>,
}

/// A provider whose runs are due at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Whose it is.
    pub tenant: TenantNumber,
    /// What it is.
    pub provider: Provider,
    /// How far it is.
    pub state: ProviderState,
}

impl Scheduled {
    /// When its next run is due: at once where one was asked for.
    pub fn due_at(&self) -> Timestamp {
        match self.state.last_run_at {
            Some(last) if self.state.open_run.is_none() => {
                let interval = i64::from(self.provider.interval_seconds) * 1_000_000;
                Timestamp::from_micros(last.as_micros().saturating_add(interval))
            }
            _ => Timestamp::from_micros(i64::MIN),
        }
    }
}

/// What was stated of an event last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: Uuid,
    /// The hash of what was stated.
    pub digest: [u8; 32],
    /// Whether it is missing from the feed.
    pub gone: bool,
}

impl Known {
    pub(super) fn write(&self) -> [u8; 49] {
        let mut bytes = [0; 49];
        bytes[..16].copy_from_slice(self.id.as_bytes());
        bytes[16..48].copy_from_slice(&self.digest);
        bytes[48] = u8::from(self.gone);
        bytes
    }

    fn read(value: &[u8]) -> Self {
        let mut parts = Parts(value);
        let id = Uuid::from_u128(parts.u128());
        let digest = parts.raw(32).try_into().expect("32 bytes");
        Known { id, digest, gone: parts.u8() == 1 }
    }
}

/// The record of a provider.
pub fn provider_record(tenant: TenantNumber, name: &str) -> RecordId {
    RecordId { tenant, kind: Kind::Provider, id: name::hash(name) }
}

/// The record of an event.
pub fn event_record(tenant: TenantNumber, id: Uuid) -> RecordId {
    RecordId { tenant, kind: Kind::Event, id: id.as_u128() }
}

/// A provider, now or after the batch `as_of`.
pub fn provider(
    view: &dyn Read,
    tenant: TenantNumber,
    name: &str,
    as_of: Option<Seq>,
) -> Option<Versioned<Provider>> {
    let found = record::as_of(view, provider_record(tenant, name), as_of)?;
    let found = Versioned::<Provider>::read(&found);
    (found.is.name == name).then_some(found)
}

/// The providers behind the record `after`, at most `limit`.
pub fn providers(
    view: &dyn Read,
    tenant: TenantNumber,
    after: Option<u128>,
    as_of: Option<Seq>,
    limit: usize,
) -> Found<Versioned<Provider>, Uuid> {
    let after = after.map(Uuid::from_u128);
    listed::records(view, tenant, Kind::Provider, after, as_of, limit, &|_| true)
}

/// How far a provider is.
pub fn state(view: &dyn Read, tenant: TenantNumber, name: &str) -> ProviderState {
    let value = view.get(&state_key(tenant, name));
    value.map_or_else(|| ProviderState { name: name.to_owned(), ..ProviderState::default() }, read)
}

/// The active providers of all tenants.
pub fn scheduled(view: &dyn Read) -> Vec<Scheduled> {
    let table = Index::ProviderState.key(TenantNumber::SYSTEM);
    let mut found = Vec::new();
    view.scan(&table, &table.end(), &mut |key, value| {
        let tenant = TenantNumber(Parts(&key[table.len()..]).u32());
        let state: ProviderState = read(value);
        if let Some(provider) = provider(view, tenant, &state.name, None)
            && provider.is.active
        {
            found.push(Scheduled { tenant, provider: provider.is, state });
        }
        ControlFlow::Continue(())
    });
    found
}

/// An event, now or after the batch `as_of`.
pub fn event(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<Event>> {
    record::as_of(view, event_record(tenant, id), as_of).map(|version| Versioned::read(&version))
}

/// When an event was stated last.
pub fn last_seen_at(view: &dyn Read, tenant: TenantNumber, event: &Versioned<Event>) -> Timestamp {
    match event.is.gone {
        Some(gone) => gone.last_seen_at,
        None => {
            let whole = state(view, tenant, &event.is.provider).last_success_at;
            whole.map_or(event.updated_at, |whole| whole.max(event.updated_at))
        }
    }
}

/// What was stated last of the event that a provider calls `external_id`.
pub fn known(view: &dyn Read, tenant: TenantNumber, provider: &str, external_id: &str) -> Option<Known> {
    view.get(&external_key(tenant, provider, name::hash(external_id))).map(Known::read)
}

/// Visits what was stated of a provider's events, with the hashes of their external ids, in the order of these.
pub fn each_known(
    view: &dyn Read,
    tenant: TenantNumber,
    provider: &str,
    visit: &mut dyn FnMut(u128, Known) -> ControlFlow<()>,
) {
    let index = Index::EventByExternal.key(tenant).u128(name::hash(provider));
    view.scan(&index, &index.end(), &mut |key, value| {
        visit(Parts(&key[index.len()..]).u128(), Known::read(value))
    });
}

/// A run of a provider that is kept.
pub fn run(view: &dyn Read, tenant: TenantNumber, provider: &str, id: Uuid) -> Option<Run> {
    view.get(&run_key(tenant, provider).u128(id.as_u128())).map(read)
}

/// The runs of a provider before `before`, the newest first, at most `limit`.
pub fn runs(
    view: &dyn Read,
    tenant: TenantNumber,
    provider: &str,
    before: Option<Uuid>,
    limit: usize,
) -> Vec<Run> {
    let index = run_key(tenant, provider);
    let to = before.map_or(index.end(), |before| index.u128(before.as_u128()));
    let mut found = Vec::new();
    view.scan_back(&index, &to, &mut |_, value| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push(read(value));
        ControlFlow::Continue(())
    });
    found
}

/// The versions of an event that came behind `after`, the oldest first, at most `limit`.
pub fn versions(
    view: &dyn Read,
    record: RecordId,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<(ChangeId, Versioned<Event>)> {
    listed::versions(view, record, after, as_of, limit)
}

/// From a record, such as one of the change stream.
pub fn from_version(version: &Version<'_>) -> Versioned<Event> {
    Versioned::read(version)
}

pub(super) fn put_state(view: &mut dyn Write, tenant: TenantNumber, state: &ProviderState) {
    let mut value = Vec::with_capacity(192);
    encoding::encode(state, &mut value);
    view.put(&state_key(tenant, &state.name), &value);
}

pub(super) fn put_run(view: &mut dyn Write, tenant: TenantNumber, run: &Run) {
    let mut value = Vec::with_capacity(192);
    encoding::encode(run, &mut value);
    view.put(&run_key(tenant, &run.provider).u128(run.id.as_u128()), &value);
}

/// Forgets the oldest run of a provider.
pub(super) fn forget_oldest_run(view: &mut dyn Write, tenant: TenantNumber, provider: &str) {
    let index = run_key(tenant, provider);
    if let Some(key) = view.first(&index, &index.end()).map(|(key, _)| Key::from_bytes(key)) {
        view.delete(&key);
    }
}

pub(super) fn external_key(tenant: TenantNumber, provider: &str, external_id: u128) -> Key {
    Index::EventByExternal.key(tenant).u128(name::hash(provider)).u128(external_id)
}

fn run_key(tenant: TenantNumber, provider: &str) -> Key {
    Index::RunByProvider.key(tenant).u128(name::hash(provider))
}

fn state_key(tenant: TenantNumber, provider: &str) -> Key {
    Index::ProviderState.key(TenantNumber::SYSTEM).u32(tenant.0).u128(name::hash(provider))
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> T {
    postcard::from_bytes(value).expect("a view holds what this build wrote")
}
