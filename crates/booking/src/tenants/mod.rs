//! Tenants and their API keys. All of it lives in the system tenant, whose number is 0.
//!
//! Invariants:
//! - A tenant is found by its slug, or by its alias: any text under which the clients of a replaced service
//!   know it. Slugs and aliases are one name space: no tenant can take a name that leads to another.
//! - A closed tenant is found by nothing but its number. Its slug and alias stay reserved for ever, so that
//!   nobody inherits the clients of a business that has left.
//! - A key's secret is made and hashed at the edge; nothing here ever sees it, and no list shows its hash.
//! - The system tenant itself is implicit: in no table and in no list. `_system` is no slug.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-slug`, `invalid-alias`, `invalid-name`, `invalid-time-zone`, `invalid-currency`, `invalid-locale`, `invalid-role` | unprocessable | a field breaks a rule |
//! | `tenant-not-found` | absent | there is no such tenant, or it is closed |
//! | `api-key-not-found` | absent | the tenant has no such key |
//! | `version-mismatch` | precondition | `if_version` is not the current version |
//! | (accepted) | | `automatic`, and the alias leads to an open tenant: that one is answered |
//! | `id-taken` | conflict | there is a key of this id |
//! | `id-collision` | conflict | another text has the hash of this name, or another secret the start of this hash |
//! | `slug-taken`, `alias-taken` | conflict | it leads to another tenant, open or closed |
//! | `too-many-automatic-tenants`, `too-many-api-keys` | too many | the limit is reached |

pub mod command;
pub mod fact;
pub mod http;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod view;

pub use command::{
    ALIAS_CHARS_MAX, Command, CreateApiKey, CreateTenant, DeleteTenant, NAME_CHARS_MAX, RevokeApiKey,
    SLUG_BYTES_MAX, TenantPatch, UpdateTenant, is_slug, slug_for,
};
pub use fact::{DropIn, DropIns, Fact, Profile, Role};
pub use rules::{API_KEYS_MAX, Outcome, Rules, TENANTS_AUTOMATIC_MAX};
pub use view::{
    ApiKey, ApiKeyCredential, Tenant, TenantVersion, api_key, api_key_as_of, api_key_by_secret_hash,
    api_keys, api_keys_as_of, closed_tenant_by_slug, live_api_keys, profile_as_of, tenant, tenant_as_of,
    tenant_by_alias_or_slug, tenant_by_slug, tenant_versions, tenants, tenants_as_of,
};
