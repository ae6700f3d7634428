//! Who asks, and what they may do.
//!
//! Invariants:
//! - A key is 256 random bits; what is stored is its SHA-256 hash, which is compared in constant time. Such a key
//!   cannot be guessed, so failed attempts need no delay.
//! - No secret has a `Debug` or `Display` form, and none enters a log.
//! - A caller's tenant bounds everything it may do; only `admin` has none.
//!
//! Finding a key and checking a user's token is the program's part, by [`Known`]: this module knows no view.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use maitred_core::{Actor, TenantNumber};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::Problem;

/// What an API key begins with.
pub const API_KEY_PREFIX: &str = "mk_";
/// The random bytes of an API key.
pub const API_KEY_BYTES: usize = 32;
/// The longest `Authorization` header that is read, in bytes.
pub const AUTHORIZATION_BYTES_MAX: usize = 8 << 10;

/// An API key in the clear: `mk_` and 43 characters of base64url. Shown once, when it is made.
#[derive(Clone)]
pub struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(mk_…)")
    }
}

impl ApiKey {
    /// A new key from random bytes of the operating system.
    pub fn from_random(bytes: &[u8; API_KEY_BYTES]) -> Self {
        ApiKey(format!("{API_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads a key; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(API_KEY_PREFIX)?).ok()?;
        (bytes.len() == API_KEY_BYTES).then(|| ApiKey(text.to_owned()))
    }

    /// The text, to be shown to whoever made it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(&self.0).into())
    }
}

/// The SHA-256 hash of an API key's text. Compared in constant time.
#[derive(Debug, Clone, Copy)]
pub struct KeyHash(pub [u8; 32]);

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

/// What a request presents, as an argument of a handler or of the program's authentication.
///
/// # Errors
/// 401 `credentials-invalid` for an `Authorization` header that cannot be read.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing.
    None,
    /// An API key: `Authorization: Bearer mk_…`, or as the password of HTTP Basic.
    ApiKey(ApiKey),
    /// Another bearer token: a user's JWT, not verified yet.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::ApiKey(_) => "ApiKey(…)",
            Credentials::Token(_) => "Token(…)",
        })
    }
}

impl Credentials {
    /// Reads the `Authorization` header.
    ///
    /// # Errors
    /// 401 `credentials-invalid`: more than one header, another scheme, or a form that is not its scheme's.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Credentials::None) };
        let text = value.to_str().ok().filter(|text| text.len() <= AUTHORIZATION_BYTES_MAX);
        match (text.and_then(read), values.next()) {
            (Some(credentials), None) => Ok(credentials),
            _ => Err(Problem::credentials_invalid()),
        }
    }
}

/// Whom the program knows: it looks keys up in a view, and verifies users' tokens.
pub trait Known {
    /// The live key with this hash, if there is one.
    fn key(&self, hash: &KeyHash) -> Option<KnownKey>;
    /// Who holds this token, if it is valid now.
    fn token(&self, token: &str) -> Option<Caller>;
}

/// An API key as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownKey {
    /// Its whole hash, whatever part of it the index is by.
    pub hash: KeyHash,
    /// Who presents it.
    pub caller: Caller,
}

impl Credentials {
    /// Who presents these credentials; nobody in particular where there are none.
    ///
    /// # Errors
    /// 401 `credentials-invalid` for a key or token that is not known.
    pub fn authenticate(&self, known: &impl Known) -> Result<Caller, Problem> {
        let caller = match self {
            Credentials::None => Some(Caller::ANONYMOUS),
            Credentials::ApiKey(key) => {
                let hash = key.hash();
                known.key(&hash).filter(|found| found.hash == hash).map(|found| found.caller)
            }
            Credentials::Token(token) => known.token(token),
        };
        caller.ok_or_else(Problem::credentials_invalid)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Credentials {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Credentials::parse(&parts.headers)
    }
}

fn read(authorization: &str) -> Option<Credentials> {
    let (scheme, secret) = authorization.trim().split_once(' ')?;
    let secret = secret.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        if secret.starts_with(API_KEY_PREFIX) {
            return ApiKey::parse(secret).map(Credentials::ApiKey);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        return (!secret.is_empty() && secret.bytes().all(plain)).then(|| Credentials::Token(secret.into()));
    }
    scheme.eq_ignore_ascii_case("basic").then(|| basic(secret))?.map(Credentials::ApiKey)
}

/// The password of HTTP Basic (RFC 7617), whatever the user name. Clients that take it from a URL without undoing
/// its percent-encoding are understood too: no key has a `%` of its own.
fn basic(secret: &str) -> Option<ApiKey> {
    let bytes = STANDARD.decode(secret).or_else(|_| STANDARD_NO_PAD.decode(secret)).ok()?;
    let (at, _) = bytes.iter().enumerate().find(|(_, byte)| **byte == b':')?;
    let password = std::str::from_utf8(&bytes[at + 1..]).ok()?;
    ApiKey::parse(&percent_decode_str(password).decode_utf8().ok()?)
}

/// Who a caller is, as far as it matters for what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nobody in particular.
    Anonymous,
    /// A registered user of one tenant, by their token.
    Customer,
    /// A system of one tenant that pushes and follows: appointments, imports, changes.
    Integration,
    /// Someone at work in one tenant.
    Staff,
    /// Whoever answers for one tenant.
    Owner,
    /// The operator of the server.
    Admin,
}

/// What a route asks for. Each route names exactly one, in the program's `router.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Services, availability, event search, sale state, a booking by its manage token. A tenant can switch its
    /// public routes off; they are then open to whoever it knows.
    Public,
    /// A customer's own bookings, orders and account. Staff may act for a customer; the handler confines a
    /// [`Role::Customer`] to their own records.
    Customer,
    /// Appointments, imports, changes.
    Integration,
    /// Calendar, bookings, customers.
    Staff,
    /// All of the tenant: settings, keys, webhooks.
    Owner,
    /// All of the server: tenants, the operator's routes.
    Admin,
}

impl Role {
    /// Whether the role has the permission:
    ///
    /// | | public | customer | integration | staff | owner | admin |
    /// |---|---|---|---|---|---|---|
    /// | anonymous | yes | | | | | |
    /// | customer | yes | yes | | | | |
    /// | integration | yes | | yes | | | |
    /// | staff | yes | yes | | yes | | |
    /// | owner | yes | yes | yes | yes | yes | |
    /// | admin | yes | yes | yes | yes | yes | yes |
    pub const fn has(self, permission: Permission) -> bool {
        match permission {
            Permission::Public => true,
            Permission::Customer => matches!(self, Role::Customer | Role::Staff | Role::Owner | Role::Admin),
            Permission::Integration => matches!(self, Role::Integration | Role::Owner | Role::Admin),
            Permission::Staff => matches!(self, Role::Staff | Role::Owner | Role::Admin),
            Permission::Owner => matches!(self, Role::Owner | Role::Admin),
            Permission::Admin => matches!(self, Role::Admin),
        }
    }
}

impl Permission {
    /// The name, as `router.rs`, the API document and refusals have it.
    pub const fn name(self) -> &'static str {
        match self {
            Permission::Public => "public",
            Permission::Customer => "customer",
            Permission::Integration => "integration",
            Permission::Staff => "staff",
            Permission::Owner => "owner",
            Permission::Admin => "admin",
        }
    }
}

/// Whether a tenant's public routes are open to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicRoutes {
    /// To anybody.
    Open,
    /// To those whom the tenant knows.
    Closed,
}

/// Who asks, once the credentials are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who, for the log and for idempotency.
    pub actor: Actor,
    /// As what.
    pub role: Role,
    /// The one tenant to which the role is bound; `None` for [`Role::Admin`] and [`Role::Anonymous`].
    pub tenant: Option<TenantNumber>,
}

impl Caller {
    /// Nobody in particular, on a server with authentication.
    pub const ANONYMOUS: Caller = Caller { actor: Actor::Anonymous, role: Role::Anonymous, tenant: None };
    /// Anybody, on a server without authentication: it answers loopback alone, and everything is permitted.
    pub const OPEN: Caller = Caller { actor: Actor::Anonymous, role: Role::Admin, tenant: None };

    /// Refuses what the caller may not do in `tenant`.
    ///
    /// # Errors
    /// 401 `unauthenticated` for an anonymous caller, 403 `forbidden` for any other.
    pub fn require(
        &self,
        permission: Permission,
        tenant: TenantNumber,
        public_routes: PublicRoutes,
    ) -> Result<(), Problem> {
        let at_home = self.tenant.is_none_or(|own| own == tenant);
        let admitted = match (permission, public_routes) {
            (Permission::Public, PublicRoutes::Open) => true,
            (Permission::Public, PublicRoutes::Closed) => at_home && self.role != Role::Anonymous,
            _ => at_home && self.role.has(permission),
        };
        if admitted { Ok(()) } else { Err(self.refused(permission)) }
    }

    /// Refuses what the caller may not do on the server as a whole.
    ///
    /// # Errors
    /// As [`Caller::require`].
    pub fn require_on_server(&self, permission: Permission) -> Result<(), Problem> {
        let admitted =
            self.role.has(permission) && (self.tenant.is_none() || permission == Permission::Public);
        if admitted { Ok(()) } else { Err(self.refused(permission)) }
    }

    #[cold]
    fn refused(&self, permission: Permission) -> Problem {
        if self.actor == Actor::Anonymous {
            return Problem::unauthenticated();
        }
        Problem::forbidden(format!("This needs the permission `{}` in this tenant.", permission.name()))
    }
}
