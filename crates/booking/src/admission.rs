//! Who may do what: the way of every request to its handler.
//!
//! Invariants:
//! - A handler that takes a [`Scope`] runs only after [`authorize`] let the caller in: the route's permission
//!   stands in the program's router, and a route without one does not start.
//! - What is remembered of tenants and keys is thrown away as soon as any of them changes: a revoked key is
//!   refused by the first request that comes after the revocation's answer.
//! - A stranger is told nothing of which tenants there are.
//! - Where rates are limited, whoever is let in was counted before anything is done for them, and so was whoever is not
//!   ([`App::count_request`]).
//! - A closed tenant is there for nobody, but that an admin may read and export what it was while it was open.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::ControlFlow;
use std::sync::{PoisonError, RwLock};

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use futures_util::FutureExt as _;
use maitred_core::{Actor, ChangeId, Ordinal, Rejection, Seq, TenantNumber};
use maitred_engine::View;
use maitred_web::auth::{Caller, Credentials, KeyHash, Known, KnownKey, PublicRoutes};
use maitred_web::rate::{Sender, Standing};
use maitred_web::{AsOf, ClientAddress, Permission, Problem, Role, path, problem, query};

use crate::accounts::token::TenantKeys;
use crate::app::{Access, App};
use crate::{record, tenants};

/// The most tenants, and the most keys, that are remembered between requests.
const REMEMBERED_MAX: usize = 16_384;
/// What is said of a tenant that is not there.
const TENANT_NOT_FOUND: &str = "tenant-not-found";
/// The number of no tenant.
const NO_TENANT: TenantNumber = TenantNumber(u32::MAX);

/// The tenant a request is about, and who asks: what [`authorize`] found.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The tenant of the path; the system tenant where the path has none.
    pub tenant: TenantNumber,
    /// Who asks.
    pub caller: Caller,
}

impl Scope {
    /// Whether the tenant of the path is still to be made: only where [`authorize_or_make`] lets a caller in.
    pub fn is_without_tenant(&self) -> bool {
        self.tenant == NO_TENANT
    }

    /// For [`App::submit`].
    pub fn who(&self) -> (TenantNumber, Actor) {
        (self.tenant, self.caller.actor)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().copied().ok_or_else(|| {
            tracing::error!("a route has no permission: the request is refused");
            Problem::internal_error()
        })
    }
}

/// What a [`maitred_web::Guard`] of a route asks: lets a caller with `permission` through, and nobody else. It gives what
/// is left of the caller's quota, where there is one.
pub fn authorize(
    app: App,
    permission: Permission,
) -> impl Fn(&mut Request) -> Result<Option<Standing>, Problem> + Clone + Send + Sync + 'static {
    move |request| {
        let (scope, standing) = admit(&app, permission, request)?;
        request.extensions_mut().insert(scope);
        Ok(standing)
    }
}

/// As [`authorize`], of a route that has tokens of its own for whoever has no permission. With `?token=` a request comes
/// through as nobody's: its handler looks at the token, and whether there is such a tenant is told to whoever has it.
pub fn authorize_or_token(
    app: App,
    permission: Permission,
) -> impl Fn(&mut Request) -> Result<Option<Standing>, Problem> + Clone + Send + Sync + 'static {
    move |request| {
        let given = request.uri().query().and_then(|given| query::one::<String>(given, "token"));
        let (scope, standing) = match given {
            Some(_) => by_token(&app, request)?,
            None => admit(&app, permission, request)?,
        };
        request.extensions_mut().insert(scope);
        Ok(standing)
    }
}

/// As [`authorize`], of a route whose handler makes the tenant where it is missing: who may make tenants comes through to
/// one that is not there.
pub fn authorize_or_make(
    app: App,
    permission: Permission,
) -> impl Fn(&mut Request) -> Result<Option<Standing>, Problem> + Clone + Send + Sync + 'static {
    move |request| {
        let found = admit(&app, permission, request);
        let (scope, standing) = match found {
            Err(problem) if problem.code() == TENANT_NOT_FOUND => {
                let caller = app.caller(request.headers())?;
                caller.require_on_server(Permission::Admin).map_err(|_| problem)?;
                (Scope { tenant: NO_TENANT, caller }, None)
            }
            found => found?,
        };
        request.extensions_mut().insert(scope);
        Ok(standing)
    }
}

/// Nobody, in the tenant of the path, or in one that is never there.
fn by_token(app: &App, request: &mut Request) -> Result<(Scope, Option<Standing>), Problem> {
    let params = path_params(request)?;
    let slug = params.iter().find(|(name, _)| *name == "tenant").map(|(_, slug)| slug);
    let found = slug.and_then(|slug| app.tenant(slug));
    let tenant = found.map_or(NO_TENANT, |found| found.number);
    let standing = app.count_request(tenant, &Caller::ANONYMOUS, request)?;
    Ok((Scope { tenant, caller: Caller::ANONYMOUS }, standing))
}

/// What a [`maitred_web::Guard`] asks of a route whose handler finds out by itself whom it admits: nothing but that the
/// caller keeps to their quota.
pub fn count(
    app: App,
) -> impl Fn(&mut Request) -> Result<Option<Standing>, Problem> + Clone + Send + Sync + 'static {
    move |request| {
        // Who is not known counts as anybody; what is wrong with the credentials the handler says, in its manner.
        let found = app.caller(request.headers());
        let caller = found.as_ref().unwrap_or(&Caller::ANONYMOUS);
        let standing = app.count_request(TenantNumber::SYSTEM, caller, request)?;
        request.extensions_mut().insert(Counted(found));
        Ok(standing)
    }
}

/// Who asks, as [`count`] has found out.
#[derive(Debug, Clone)]
struct Counted(Result<Caller, Problem>);

fn admit(
    app: &App,
    permission: Permission,
    request: &mut Request,
) -> Result<(Scope, Option<Standing>), Problem> {
    let params = path_params(request)?;
    let caller = match app.caller(request.headers()) {
        Ok(caller) => caller,
        Err(problem) => {
            app.count_request(TenantNumber::SYSTEM, &Caller::ANONYMOUS, request)?;
            return Err(problem);
        }
    };
    let Some((_, slug)) = params.iter().find(|(name, _)| *name == "tenant") else {
        // What is public of the server as a whole is its health, for which load balancers ask as often as they like.
        let standing = match permission {
            Permission::Public => None,
            _ => app.count_request(TenantNumber::SYSTEM, &caller, request)?,
        };
        caller.require_on_server(permission)?;
        return Ok((Scope { tenant: TenantNumber::SYSTEM, caller }, standing));
    };
    let found = app.tenant(slug).or_else(|| app.closed_tenant(slug, caller, request));
    let number = found.map_or(NO_TENANT, |found| found.number);
    let standing = app.count_request(number, &caller, request)?;
    let public =
        if found.is_some_and(|found| found.public) { PublicRoutes::Open } else { PublicRoutes::Closed };
    caller.require(permission, number, public)?;
    match found {
        Some(_) => Ok((Scope { tenant: number, caller }, standing)),
        None => Err(tenant_not_found(slug)),
    }
}

fn path_params(request: &mut Request) -> Result<RawPathParams, Problem> {
    let (mut parts, body) = std::mem::take(request).into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &()).now_or_never();
    *request = Request::from_parts(parts, body);
    path::require_encoded(request.uri().path())?;
    let params = params.expect("the router has split the path already: nothing is waited for");
    params.map_err(|_| Problem::new(problem::PATH_INVALID, "The path is not UTF-8."))
}

/// 404 for a tenant that is not there.
pub fn tenant_not_found(slug: &str) -> Problem {
    let detail = format!("There is no tenant \"{}\".", slug.escape_debug());
    Rejection::new(maitred_core::Class::Absent, TENANT_NOT_FOUND, detail).into()
}

/// What admission needs to know of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantEntry {
    /// Its number.
    pub number: TenantNumber,
    /// Whether its public routes answer anybody.
    pub public: bool,
}

/// Tenants and keys as the last requests found them.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    tenants: Remembered<String, TenantEntry>,
    keys: Remembered<[u8; 32], KnownKey>,
    token_keys: Remembered<TenantNumber, TenantKeys>,
}

impl App {
    /// The open tenant of a slug.
    pub fn tenant(&self, slug: &str) -> Option<TenantEntry> {
        self.directory().tenants.get(self, slug, |view| {
            let profile = tenants::tenant_by_slug(view, slug)?.profile;
            Some(TenantEntry { number: profile.tenant(), public: profile.public })
        })
    }

    /// A tenant that is closed, where an admin reads what it was before: any `GET` with an `as_of` at which it was
    /// open, or its export.
    fn closed_tenant(&self, slug: &str, caller: Caller, request: &Request) -> Option<TenantEntry> {
        if caller.role != Role::Admin || !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let view = self.engine().view();
        let closed = tenants::closed_tenant_by_slug(&view, slug)?;
        let query = request.uri().query().unwrap_or_default();
        let was_open = match query::one::<AsOf>(query, "as_of") {
            Some(as_of) => {
                let seq = self.as_of(&view, Some(as_of)).ok()?;
                tenants::tenant_as_of(&view, closed, seq).is_some()
            }
            None => request.uri().path().ends_with("/export"),
        };
        was_open.then_some(TenantEntry { number: closed, public: false })
    }

    /// Whether whoever was let in by these headers would be let in again.
    pub(crate) fn still_admits(&self, scope: &Scope, headers: &HeaderMap) -> bool {
        let open = || tenants::tenant(&self.engine().view(), scope.tenant).is_some();
        (scope.tenant == TenantNumber::SYSTEM || open())
            && self.caller(headers).is_ok_and(|caller| caller == scope.caller)
    }

    /// The keys of the tokens of a tenant's users; none of a tenant that is closed.
    pub(crate) fn token_keys(&self, tenant: TenantNumber) -> Option<TenantKeys> {
        self.directory().token_keys.get(self, &tenant, |view| {
            let id = tenants::tenant(view, tenant)?.profile.id;
            Some(self.accounts().secrets().of(tenant, id))
        })
    }

    /// Counts a request: of a key or a user in the tenant to which they are bound, else in `tenant`, or of the address
    /// from which it came. Nothing where no limit applies.
    ///
    /// # Errors
    /// 429 `rate-limited`.
    pub fn count_request(
        &self,
        tenant: TenantNumber,
        caller: &Caller,
        request: &Request,
    ) -> Result<Option<Standing>, Problem> {
        let Some(rates) = self.rates() else { return Ok(None) };
        let tenant = caller.tenant.unwrap_or(tenant);
        let sender = match caller.actor {
            Actor::ApiKey(id) => Sender::Key(id),
            Actor::User(id) => Sender::User(id),
            Actor::System | Actor::Anonymous => match request.extensions().get() {
                Some(ClientAddress(Some(address))) => Sender::Address(*address),
                _ => return Ok(None),
            },
        };
        rates.count(tenant, sender)
    }

    /// Who asks, by the headers of a request.
    ///
    /// # Errors
    /// 401 `credentials-invalid`.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        match self.access() {
            // An open server reads no credentials: what a client sends was meant for another.
            Access::Open => Ok(Caller::OPEN),
            Access::Keys => Credentials::parse(headers)?.authenticate(self),
        }
    }

    /// Who asks, as [`count`] has found out, or else by the headers of the request.
    ///
    /// # Errors
    /// 401 `credentials-invalid`.
    pub fn caller_of(&self, request: &Request) -> Result<Caller, Problem> {
        match request.extensions().get() {
            Some(Counted(found)) => found.clone(),
            None => self.caller(request.headers()),
        }
    }
}

impl Known for App {
    fn key(&self, hash: &KeyHash) -> Option<KnownKey> {
        self.directory().keys.get(self, &hash.0, |view| {
            let found = tenants::api_key_by_secret_hash(view, &hash.0)?;
            (!found.key.revoked).then(|| known(&found))
        })
    }

    fn token(&self, token: &str) -> Option<Caller> {
        self.user_of_token(token).map(|user| user.caller())
    }
}

fn known(found: &tenants::ApiKeyCredential) -> KnownKey {
    let role = match found.key.role {
        tenants::Role::Public => Role::Anonymous,
        tenants::Role::Customer => Role::Customer,
        tenants::Role::Integration => Role::Integration,
        tenants::Role::Staff => Role::Staff,
        tenants::Role::Owner => Role::Owner,
        tenants::Role::Admin => Role::Admin,
    };
    let actor = Actor::ApiKey(found.key.id.as_u128());
    let caller = Caller { actor, role, tenant: found.key.tenant.map(TenantNumber) };
    KnownKey { hash: KeyHash(found.secret_hash), caller }
}

/// Answers of the system tenant's tables, kept until any fact of that tenant is published.
///
/// A request on the hot path pays for one look at the newest position and one at a hash map; the first one
/// after each batch also pays for a view, and for a look whether the batch touched the system tenant.
#[derive(Debug)]
struct Remembered<K, V>(RwLock<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    /// `values` are what the view says at this batch.
    through: Seq,
    values: HashMap<K, V>,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Remembered(RwLock::new(Entries { through: 0, values: HashMap::new() }))
    }
}

impl<K: Hash + Eq, V: Copy> Remembered<K, V> {
    /// The value of `key`, from memory or by `read`. What is not there is not remembered: anybody can ask for it.
    fn get<Q>(&self, app: &App, key: &Q, read: impl FnOnce(&View) -> Option<V>) -> Option<V>
    where
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
        K: Borrow<Q>,
    {
        let newest = app.engine().position().seq;
        {
            // Nothing here leaves the entries half changed, so that a panic elsewhere does not matter.
            let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if entries.through >= newest
                && let Some(value) = entries.values.get(key)
            {
                return Some(*value);
            }
        }
        let view = app.engine().view();
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.catch_up(&view);
        if let Some(value) = entries.values.get(key) {
            return Some(*value);
        }
        let value = read(&view)?;
        if entries.through == view.seq() {
            if entries.values.len() >= REMEMBERED_MAX {
                entries.values.clear();
            }
            entries.values.insert(key.to_owned(), value);
        }
        Some(value)
    }
}

impl<K, V> Entries<K, V> {
    fn catch_up(&mut self, view: &View) {
        if view.seq() <= self.through {
            return;
        }
        let after = ChangeId { seq: self.through, ordinal: Ordinal::MAX };
        let mut changed = false;
        record::changes(view, TenantNumber::SYSTEM, after, &mut |_| {
            changed = true;
            ControlFlow::Break(())
        });
        if changed {
            self.values.clear();
        }
        self.through = view.seq();
    }
}
