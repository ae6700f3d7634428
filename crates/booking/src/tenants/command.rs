//! What may be asked about tenants and their keys. Every command belongs to the system tenant.

use std::borrow::Cow;

use maitred_core::TenantNumber;
use uuid::Uuid;

use super::fact::{DropIns, Role};
use crate::violation::{Violation, check_text};

/// The longest slug, in bytes; the shortest has one.
pub const SLUG_BYTES_MAX: usize = 63;
/// The longest alias, in characters; the shortest has one.
pub const ALIAS_CHARS_MAX: usize = 128;
/// The longest name of a tenant or a key, in characters; the shortest has one.
pub const NAME_CHARS_MAX: usize = 200;
/// The longest name of a time zone, in bytes.
pub const TIME_ZONE_BYTES_MAX: usize = 64;
/// The longest locale (BCP 47), in bytes.
pub const LOCALE_BYTES_MAX: usize = 35;

/// A command on a tenant or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create a tenant.
    CreateTenant(CreateTenant),
    /// Change a tenant.
    UpdateTenant(UpdateTenant),
    /// Close a tenant for good.
    DeleteTenant(DeleteTenant),
    /// Create an API key.
    CreateApiKey(CreateApiKey),
    /// Revoke an API key for good.
    RevokeApiKey(RevokeApiKey),
}

/// Creates a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTenant {
    /// Its name in paths: `^[a-z0-9][a-z0-9-]{0,62}$`. It never changes.
    pub slug: String,
    /// The text under which clients of a replaced service know it; 1 to [`ALIAS_CHARS_MAX`] characters, no
    /// blanks around.
    pub alias: Option<String>,
    /// Its name for people; 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// An IANA time zone. The edge checks that it is known; the rules check its shape.
    pub time_zone: String,
    /// An ISO 4217 code: three upper-case letters.
    pub currency: String,
    /// A BCP 47 language tag, such as `de-DE`.
    pub locale: String,
    /// The replaced services that answer for it while the server demands keys.
    pub drop_ins: DropIns,
    /// Whether its public routes answer without a key.
    pub public: bool,
    /// A drop-in's first write asks for it: an alias that leads to a tenant already is answered with that one,
    /// and the number of such tenants is limited.
    pub automatic: bool,
}

/// Changes what is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateTenant {
    /// Which.
    pub tenant: TenantNumber,
    /// What.
    pub patch: TenantPatch,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// New values of a tenant's fields; `None` leaves a field alone. The bounds are those of [`CreateTenant`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantPatch {
    /// The alias; `Some(None)` takes it away, and frees it.
    pub alias: Option<Option<String>>,
    /// The name.
    pub name: Option<String>,
    /// The time zone.
    pub time_zone: Option<String>,
    /// The currency. Money that was recorded keeps its own.
    pub currency: Option<String>,
    /// The locale.
    pub locale: Option<String>,
    /// The drop-ins.
    pub drop_ins: Option<DropIns>,
    /// Whether public routes answer without a key.
    pub public: Option<bool>,
}

/// Closes a tenant for good: no API finds it any more, and its slug and alias stay reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTenant {
    /// Which.
    pub tenant: TenantNumber,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// Creates an API key, whose secret the edge has made and shown.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateApiKey {
    /// Whose; `None` for the server's own, which have the role [`Role::Admin`] and no other.
    pub tenant: Option<TenantNumber>,
    /// Made by the edge, so that a repeated command creates one key.
    pub id: Uuid,
    /// For people; 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The SHA-256 of the secret.
    pub secret_hash: [u8; 32],
}

/// Revokes an API key for good. Revoking once more is accepted and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeApiKey {
    /// Whose; `None` for the server's own.
    pub tenant: Option<TenantNumber>,
    /// Which.
    pub id: Uuid,
}

impl std::fmt::Debug for CreateApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CreateApiKey { tenant, id, name, role, .. } = self;
        f.debug_struct("CreateApiKey")
            .field("tenant", tenant)
            .field("id", id)
            .field("name", name)
            .field("role", role)
            .finish_non_exhaustive()
    }
}

/// Whether a text is a slug: `^[a-z0-9][a-z0-9-]{0,62}$`.
pub fn is_slug(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=SLUG_BYTES_MAX).contains(&text.len())
        && text.as_bytes().first().is_some_and(plain)
        && text.bytes().all(|byte| byte == b'-' || plain(&byte))
}

/// The slug of a tenant that is created for `alias`: the same text where it is a slug, else `org-` and the
/// first 16 hex digits of its BLAKE3.
pub fn slug_for(alias: &str) -> Cow<'_, str> {
    if is_slug(alias) {
        return Cow::Borrowed(alias);
    }
    Cow::Owned(format!("org-{}", &blake3::hash(alias.as_bytes()).to_hex()[..16]))
}

/// What is wrong with a tenant to be created, but for an unknown time zone.
pub fn validate_create(create: &CreateTenant) -> Vec<Violation> {
    let mut found = Vec::new();
    if !is_slug(&create.slug) {
        let detail = "slug must match ^[a-z0-9][a-z0-9-]{0,62}$";
        found.push(Violation::new("/slug", "invalid-slug", detail));
    }
    check_alias(&mut found, create.alias.as_deref());
    check_name(&mut found, &create.name);
    check_time_zone(&mut found, &create.time_zone);
    check_currency(&mut found, &create.currency);
    check_locale(&mut found, &create.locale);
    found
}

/// What is wrong with a patch, but for an unknown time zone.
pub fn validate_patch(patch: &TenantPatch) -> Vec<Violation> {
    let mut found = Vec::new();
    check_alias(&mut found, patch.alias.as_ref().and_then(Option::as_deref));
    for (text, check) in [
        (&patch.name, check_name as fn(&mut Vec<Violation>, &str)),
        (&patch.time_zone, check_time_zone),
        (&patch.currency, check_currency),
        (&patch.locale, check_locale),
    ] {
        if let Some(text) = text {
            check(&mut found, text);
        }
    }
    found
}

/// What is wrong with a key to be created.
pub fn validate_api_key(create: &CreateApiKey) -> Vec<Violation> {
    let mut found = Vec::new();
    check_name(&mut found, &create.name);
    if (create.role == Role::Admin) != create.tenant.is_none() {
        let detail = "the role admin is for the server's own keys, and they have no other";
        found.push(Violation::new("/role", "invalid-role", detail));
    }
    found
}

fn check_alias(found: &mut Vec<Violation>, alias: Option<&str>) {
    let Some(alias) = alias else { return };
    if alias.trim() != alias {
        found.push(Violation::new("/alias", "invalid-alias", "alias must not begin or end with a blank"));
    } else {
        check_text(found, "/alias", "invalid-alias", alias, 1..=ALIAS_CHARS_MAX);
    }
}

fn check_name(found: &mut Vec<Violation>, name: &str) {
    check_text(found, "/name", "invalid-name", name, 1..=NAME_CHARS_MAX);
}

pub(crate) fn check_time_zone(found: &mut Vec<Violation>, time_zone: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    if !(1..=TIME_ZONE_BYTES_MAX).contains(&time_zone.len()) || !time_zone.bytes().all(plain) {
        let detail = "time_zone must be an IANA time zone, such as Europe/Berlin";
        found.push(Violation::new("/time_zone", "invalid-time-zone", detail));
    }
}

fn check_currency(found: &mut Vec<Violation>, currency: &str) {
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let detail = "currency must be an ISO 4217 code, such as EUR";
        found.push(Violation::new("/currency", "invalid-currency", detail));
    }
}

fn check_locale(found: &mut Vec<Violation>, locale: &str) {
    let mut subtags = locale.split('-');
    let language = |tag: &str| (2..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphabetic());
    let further = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    let shaped = subtags.next().is_some_and(language) && subtags.all(further);
    if locale.len() > LOCALE_BYTES_MAX || !shaped {
        let detail = "locale must be a BCP 47 language tag, such as de-DE";
        found.push(Violation::new("/locale", "invalid-locale", detail));
    }
}
