//! What can be read of tenants and keys. A closed tenant is found by its versions, as of a batch at which it was open,
//! by [`profile_as_of`] and by [`closed_tenant_by_slug`]; by nothing else.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, Table, TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{KeyState, Profile, Role};
use crate::encoding::micros;
use crate::name::{self, Counter, NameKind};
use crate::record::{self, Index, Kind, RecordId, Version};

/// One version of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// From 1.
    pub version: u64,
    /// When this version was decided.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// What it is.
    pub profile: Profile,
}

/// A version of a tenant and the fact that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantVersion {
    /// Where it stands in the log.
    pub change: ChangeId,
    /// What it was.
    pub tenant: Tenant,
}

/// An API key as its owner may see it: without the hash of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The number of the tenant whose it is; `None` for the server's own.
    pub tenant: Option<u32>,
    /// For people.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whether it is revoked for good.
    pub revoked: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// What the edge needs to let a caller in.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyCredential {
    /// The key.
    pub key: ApiKey,
    /// The SHA-256 of its secret, to be compared in constant time: only half of it led here.
    pub secret_hash: [u8; 32],
}

impl std::fmt::Debug for ApiKeyCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyCredential").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The tenant of a number.
pub fn tenant(view: &dyn Read, number: TenantNumber) -> Option<Tenant> {
    tenant_as_of(view, number, None)
}

/// The tenant of a number as it was after the batch `as_of`, or now; nothing if it was closed then.
pub fn tenant_as_of(view: &dyn Read, number: TenantNumber, as_of: Option<Seq>) -> Option<Tenant> {
    let tenant = read(&record::as_of(view, tenant_record(number), as_of)?);
    (!tenant.profile.closed).then_some(tenant)
}

/// What a tenant was after the batch `as_of`, closed or not.
pub fn profile_as_of(view: &dyn Read, number: TenantNumber, as_of: Seq) -> Option<Profile> {
    Some(read(&record::as_of(view, tenant_record(number), Some(as_of))?).profile)
}

/// The versions of a tenant that came behind `after`, the oldest first, at most `limit`.
pub fn tenant_versions(
    view: &dyn Read,
    number: TenantNumber,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<TenantVersion> {
    let mut found = Vec::new();
    record::versions(view, tenant_record(number), after, as_of, &mut |version| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push(TenantVersion { change: version.change, tenant: read(&version) });
        ControlFlow::Continue(())
    });
    found
}

/// The tenant of a slug.
pub fn tenant_by_slug(view: &dyn Read, slug: &str) -> Option<Tenant> {
    tenant_by_alias_or_slug(view, slug).filter(|tenant| tenant.profile.slug == slug)
}

/// The number of the tenant of a slug, if it is closed.
pub fn closed_tenant_by_slug(view: &dyn Read, slug: &str) -> Option<TenantNumber> {
    let number = name::number(view, TenantNumber::SYSTEM, NameKind::Tenant, slug).ok().flatten()?;
    let tenant = read(&record::current(view, tenant_record(TenantNumber(number)))?);
    (tenant.profile.closed && tenant.profile.slug == slug).then_some(TenantNumber(number))
}

/// The tenant of an alias or a slug. No text is the alias of one tenant and the slug of another.
pub fn tenant_by_alias_or_slug(view: &dyn Read, text: &str) -> Option<Tenant> {
    // A text whose hash another one holds leads nowhere.
    let number = name::number(view, TenantNumber::SYSTEM, NameKind::Tenant, text).ok().flatten()?;
    tenant(view, TenantNumber(number))
}

/// The tenants whose number is above `after`, by number, at most `limit`.
pub fn tenants(view: &dyn Read, after: TenantNumber, limit: usize) -> Vec<Tenant> {
    tenants_as_of(view, after, None, limit)
}

/// The same as they were after the batch `as_of`, or now.
pub fn tenants_as_of(view: &dyn Read, after: TenantNumber, as_of: Option<Seq>, limit: usize) -> Vec<Tenant> {
    let table = Key::of(Table::Record, TenantNumber::SYSTEM).u8(Kind::Tenant as u8);
    let mut found = Vec::new();
    view.scan(&table.u128(u128::from(after.0) + 1), &table.end(), &mut |_, value| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let current = read(&Version::read(value));
        // A closed tenant may have been open then.
        let tenant = match as_of {
            None => Some(current).filter(|tenant| !tenant.profile.closed),
            Some(_) => tenant_as_of(view, current.profile.tenant(), as_of),
        };
        found.extend(tenant);
        ControlFlow::Continue(())
    });
    found
}

/// The key whose secret's hash starts as `secret_hash` does, revoked or not. The caller compares the whole
/// hash in constant time, sees whether it is revoked, and whether its tenant is still there.
pub fn api_key_by_secret_hash(view: &dyn Read, secret_hash: &[u8; 32]) -> Option<ApiKeyCredential> {
    let id = Parts(view.get(&secret_key(secret_hash))?).u128();
    let state = key_state(view, id).expect("a secret's index leads to its key");
    Some(ApiKeyCredential { key: ApiKey::from(&state), secret_hash: state.secret_hash })
}

/// A key of a tenant, or with `None` of the server.
pub fn api_key(view: &dyn Read, tenant: Option<TenantNumber>, id: Uuid) -> Option<ApiKey> {
    api_key_as_of(view, tenant, id, None)
}

/// The same as it was after the batch `as_of`, or now.
pub fn api_key_as_of(
    view: &dyn Read,
    tenant: Option<TenantNumber>,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<ApiKey> {
    let state = record::as_of(view, key_record(id.as_u128()), as_of)?.decode::<KeyState>();
    (state.tenant == owner_number(tenant)).then(|| ApiKey::from(&state))
}

/// How many keys of a tenant, or with `None` of the server, are not revoked.
pub fn live_api_keys(view: &dyn Read, tenant: Option<TenantNumber>) -> u64 {
    name::counter(view, TenantNumber::SYSTEM, Counter::ApiKeys, owner_number(tenant))
}

/// The keys of a tenant, or with `None` of the server, whose id is above `after`; by id, so the oldest
/// first; revoked ones too; at most `limit`.
pub fn api_keys(
    view: &dyn Read,
    tenant: Option<TenantNumber>,
    after: Option<Uuid>,
    limit: usize,
) -> Vec<ApiKey> {
    api_keys_as_of(view, tenant, after, None, limit)
}

/// The same as they were after the batch `as_of`, or now.
pub fn api_keys_as_of(
    view: &dyn Read,
    tenant: Option<TenantNumber>,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<ApiKey> {
    let index = keys_of(owner_number(tenant));
    let from = after.map_or(Some(0), |after| after.as_u128().checked_add(1));
    let Some(from) = from else { return Vec::new() };
    let mut found = Vec::new();
    view.scan(&index.u128(from), &index.end(), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let id = Parts(&key[key.len() - 16..]).u128();
        found.extend(api_key_as_of(view, tenant, Uuid::from_u128(id), as_of));
        ControlFlow::Continue(())
    });
    found
}

/// A tenant from its record, such as one of the change stream. Closed ones too.
pub fn read(version: &Version<'_>) -> Tenant {
    Tenant { version: version.version, updated_at: version.at, profile: version.decode() }
}

/// A key from its record, such as one of the change stream.
pub fn read_api_key(version: &Version<'_>) -> ApiKey {
    ApiKey::from(&version.decode::<KeyState>())
}

pub(super) fn tenant_record(number: TenantNumber) -> RecordId {
    RecordId { tenant: TenantNumber::SYSTEM, kind: Kind::Tenant, id: u128::from(number.0) }
}

pub(super) fn key_record(id: u128) -> RecordId {
    RecordId { tenant: TenantNumber::SYSTEM, kind: Kind::ApiKey, id }
}

pub(super) fn key_state(view: &dyn Read, id: u128) -> Option<KeyState> {
    record::current(view, key_record(id)).map(|version| version.decode())
}

/// The number under which a key's owner stands: a tenant's, or 0 for the server.
pub(super) fn owner_number(tenant: Option<TenantNumber>) -> u32 {
    tenant.unwrap_or(TenantNumber::SYSTEM).0
}

/// Where a secret's hash leads to its key.
pub(super) fn secret_key(secret_hash: &[u8; 32]) -> Key {
    Index::ApiKeyBySecret.key(TenantNumber::SYSTEM).raw(&secret_hash[..16])
}

/// Where the keys of an owner stand, by id.
pub(super) fn keys_of(owner: u32) -> Key {
    Index::ApiKeyByOwner.key(TenantNumber::SYSTEM).u32(owner)
}

impl From<&KeyState> for ApiKey {
    fn from(state: &KeyState) -> Self {
        ApiKey {
            id: state.id,
            tenant: (state.tenant != TenantNumber::SYSTEM.0).then_some(state.tenant),
            name: state.name.clone(),
            role: state.role,
            revoked: state.revoked,
            created_at: state.created_at,
        }
    }
}
