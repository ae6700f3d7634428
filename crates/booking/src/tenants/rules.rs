//! How commands on tenants and keys are answered.

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Undecodable, Write,
};
use serde::{Deserialize, Serialize};

use super::command::{
    Command, CreateApiKey, CreateTenant, DeleteTenant, RevokeApiKey, UpdateTenant, validate_api_key,
    validate_create, validate_patch,
};
use super::fact::{Fact, KeyState, Profile};
use super::view::{self, ApiKey, Tenant};
use crate::name::{self, Counter, NameKind};
use crate::record::{self, ChangeType};
use crate::violation::refuse_any;
use crate::{Booking, encoding};

/// The most tenants that drop-in routes create by themselves, closed ones included.
pub const TENANTS_AUTOMATIC_MAX: u64 = 10_000;
/// The most keys that a tenant (or the server) has at once, revoked ones not counted.
pub const API_KEYS_MAX: u64 = 1_000;

const SYSTEM: TenantNumber = TenantNumber::SYSTEM;

/// The rules of tenants and keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What the client of an accepted command is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The tenant is new.
    TenantCreated(Tenant),
    /// The tenant was there already: what an automatic creation found.
    TenantExists(Tenant),
    /// The tenant as it is now, changed or not.
    TenantUpdated(Tenant),
    /// The tenant is closed.
    TenantClosed(Tenant),
    /// The key is new.
    ApiKeyCreated(ApiKey),
    /// The key is revoked, now or before.
    ApiKeyRevoked(ApiKey),
}

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;
    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    /// # Panics
    /// When the command does not belong to the system tenant: the edge submits it there.
    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        assert_eq!(cx.tenant, SYSTEM, "tenants and keys belong to the system tenant");
        match command {
            Command::CreateTenant(command) => create_tenant(view, command, cx),
            Command::UpdateTenant(command) => update_tenant(view, command, cx),
            Command::DeleteTenant(command) => delete_tenant(view, command, cx),
            Command::CreateApiKey(command) => create_api_key(view, command, cx),
            Command::RevokeApiKey(command) => revoke_api_key(view, command),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        match fact {
            Fact::TenantCreated(profile) => {
                apply_profile(view, ChangeType::Created, profile, at);
                name::set_counter(view, SYSTEM, Counter::Tenants, 0, u64::from(profile.number));
                if profile.automatic {
                    count(view, Counter::TenantsAutomatic, 0, 1);
                }
            }
            Fact::TenantUpdated(profile) => apply_profile(view, ChangeType::Updated, profile, at),
            Fact::TenantClosed(profile) => apply_profile(view, ChangeType::Deleted, profile, at),
            Fact::ApiKeyCreated(key) => {
                let id = key.id.as_u128();
                record::put_version(view, view::key_record(id), ChangeType::Created, at, key);
                view.put(&view::secret_key(&key.secret_hash), &id.to_be_bytes());
                view.put(&view::keys_of(key.tenant).u128(id), &[]);
                count(view, Counter::ApiKeys, key.tenant, 1);
            }
            Fact::ApiKeyRevoked(key) => {
                let record = view::key_record(key.id.as_u128());
                record::put_version(view, record, ChangeType::Deleted, at, key);
                count(view, Counter::ApiKeys, key.tenant, -1);
            }
        }
    }
}

fn create_tenant(view: &dyn Read, command: &CreateTenant, cx: &Context) -> Decided {
    refuse_any(&validate_create(command))?;
    if command.automatic
        && let Some(alias) = &command.alias
        && let Some(tenant) = view::tenant_by_alias_or_slug(view, alias)
    {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::TenantExists(tenant) });
    }
    if name::number(view, SYSTEM, NameKind::Tenant, &command.slug)?.is_some() {
        return Err(slug_taken());
    }
    if let Some(alias) = &command.alias
        && name::number(view, SYSTEM, NameKind::Tenant, alias)?.is_some()
    {
        return Err(alias_taken());
    }
    if command.automatic && name::counter(view, SYSTEM, Counter::TenantsAutomatic, 0) >= TENANTS_AUTOMATIC_MAX
    {
        let detail = format!("There are {TENANTS_AUTOMATIC_MAX} tenants created by first writes already.");
        return Err(Rejection::new(Class::TooMany, "too-many-automatic-tenants", detail));
    }
    let profile = Profile {
        number: name::next_number(view, SYSTEM, Counter::Tenants),
        id: cx.ids.next(),
        slug: command.slug.clone(),
        alias: command.alias.clone(),
        name: command.name.clone(),
        time_zone: command.time_zone.clone(),
        currency: command.currency.clone(),
        locale: command.locale.clone(),
        drop_ins: command.drop_ins,
        public: command.public,
        automatic: command.automatic,
        closed: false,
        created_at: cx.timestamp,
    };
    let tenant = Tenant { version: 1, updated_at: cx.timestamp, profile: profile.clone() };
    Ok(Decision { facts: vec![Fact::TenantCreated(profile)], outcome: Outcome::TenantCreated(tenant) })
}

fn update_tenant(view: &dyn Read, command: &UpdateTenant, cx: &Context) -> Decided {
    let patch = &command.patch;
    refuse_any(&validate_patch(patch))?;
    let tenant = open_tenant(view, command.tenant, command.if_version)?;
    if let Some(Some(alias)) = &patch.alias {
        let leads_to = name::number(view, SYSTEM, NameKind::Tenant, alias)?;
        if leads_to.is_some_and(|number| number != command.tenant.0) {
            return Err(alias_taken());
        }
    }
    let mut profile = tenant.profile.clone();
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut profile.name, &patch.name);
    set(&mut profile.time_zone, &patch.time_zone);
    set(&mut profile.currency, &patch.currency);
    set(&mut profile.locale, &patch.locale);
    if let Some(alias) = &patch.alias {
        profile.alias.clone_from(alias);
    }
    profile.drop_ins = patch.drop_ins.unwrap_or(profile.drop_ins);
    profile.public = patch.public.unwrap_or(profile.public);

    if profile == tenant.profile {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::TenantUpdated(tenant) });
    }
    let tenant = Tenant { version: tenant.version + 1, updated_at: cx.timestamp, profile: profile.clone() };
    Ok(Decision { facts: vec![Fact::TenantUpdated(profile)], outcome: Outcome::TenantUpdated(tenant) })
}

fn delete_tenant(view: &dyn Read, command: &DeleteTenant, cx: &Context) -> Decided {
    let Tenant { version, profile, .. } = open_tenant(view, command.tenant, command.if_version)?;
    let profile = Profile { closed: true, ..profile };
    let tenant = Tenant { version: version + 1, updated_at: cx.timestamp, profile: profile.clone() };
    Ok(Decision { facts: vec![Fact::TenantClosed(profile)], outcome: Outcome::TenantClosed(tenant) })
}

fn create_api_key(view: &dyn Read, command: &CreateApiKey, cx: &Context) -> Decided {
    refuse_any(&validate_api_key(command))?;
    if let Some(tenant) = command.tenant {
        open_tenant(view, tenant, None)?;
    }
    if view::key_state(view, command.id.as_u128()).is_some() {
        return Err(Rejection::conflict("id-taken", "There is an API key of this id already."));
    }
    if view.get(&view::secret_key(&command.secret_hash)).is_some() {
        return Err(name::collision());
    }
    let owner = view::owner_number(command.tenant);
    if name::counter(view, SYSTEM, Counter::ApiKeys, owner) >= API_KEYS_MAX {
        let detail = format!("There are {API_KEYS_MAX} API keys already; revoke some.");
        return Err(Rejection::new(Class::TooMany, "too-many-api-keys", detail));
    }
    let key = KeyState {
        id: command.id,
        tenant: owner,
        name: command.name.clone(),
        role: command.role,
        secret_hash: command.secret_hash,
        revoked: false,
        created_at: cx.timestamp,
    };
    let outcome = Outcome::ApiKeyCreated(ApiKey::from(&key));
    Ok(Decision { facts: vec![Fact::ApiKeyCreated(key)], outcome })
}

fn revoke_api_key(view: &dyn Read, command: &RevokeApiKey) -> Decided {
    let key = view::key_state(view, command.id.as_u128())
        .filter(|key| key.tenant == view::owner_number(command.tenant))
        .ok_or_else(|| Rejection::new(Class::Absent, "api-key-not-found", "There is no such API key."))?;
    if key.revoked {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::ApiKeyRevoked(ApiKey::from(&key)) });
    }
    let key = KeyState { revoked: true, ..key };
    let outcome = Outcome::ApiKeyRevoked(ApiKey::from(&key));
    Ok(Decision { facts: vec![Fact::ApiKeyRevoked(key)], outcome })
}

/// An open tenant, of a certain version if one is demanded.
fn open_tenant(view: &dyn Read, number: TenantNumber, if_version: Option<u64>) -> Result<Tenant, Rejection> {
    let Some(tenant) = view::tenant(view, number) else {
        return Err(Rejection::new(Class::Absent, "tenant-not-found", "There is no such tenant."));
    };
    match if_version {
        Some(wanted) if wanted != tenant.version => {
            let detail = format!("The current version is {}, not {wanted}.", tenant.version);
            Err(Rejection::new(Class::Precondition, "version-mismatch", detail))
        }
        _ => Ok(tenant),
    }
}

fn slug_taken() -> Rejection {
    let detail = "The slug leads to another tenant, or belonged to one that is closed.";
    Rejection::conflict("slug-taken", detail)
}

fn alias_taken() -> Rejection {
    let detail = "The alias leads to another tenant, or belonged to one that is closed.";
    Rejection::conflict("alias-taken", detail)
}

/// Puts the new version, and lets slug and alias lead to it. A closed tenant keeps both.
fn apply_profile(view: &mut dyn Write, change_type: ChangeType, profile: &Profile, at: At) {
    let record = view::tenant_record(profile.tenant());
    let superseded = record::put_version(view, record, change_type, at, profile);
    let before = superseded.map(|superseded| superseded.version().decode::<Profile>());
    let Some(before) = before else {
        lead(view, &profile.slug, profile.number);
        if let Some(alias) = &profile.alias {
            lead(view, alias, profile.number);
        }
        return;
    };
    if before.alias == profile.alias {
        return;
    }
    if let Some(alias) = before.alias.filter(|alias| *alias != profile.slug) {
        name::forget(view, SYSTEM, NameKind::Tenant, &alias);
    }
    if let Some(alias) = &profile.alias {
        lead(view, alias, profile.number);
    }
}

/// Lets a slug or an alias lead to a tenant.
fn lead(view: &mut dyn Write, name: &str, number: u32) {
    name::put(view, SYSTEM, NameKind::Tenant, number, name);
}

fn count(view: &mut dyn Write, counter: Counter, of: u32, by: i64) {
    let value = name::counter(view, SYSTEM, counter, of).saturating_add_signed(by);
    name::set_counter(view, SYSTEM, counter, of, value);
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a tenant's command")
    }
}
