//! What the handlers of every domain share: the engine, and who is asking for what.
//!
//! Invariants:
//! - A handler that takes a [`Scope`] runs only after [`authorize`] let the caller in: the route's permission
//!   stands in the program's router, and a route without one does not start.
//! - A tenant is what its path says, looked up in the view that the request reads.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maitred_core::{Actor, Position, Rejection, Seq, TenantNumber};
use maitred_engine::{Answer, Engine, Envelope, Unavailable, View, batch::Idempotency, queue::Pending};
use maitred_web::auth::{Caller, Credentials, KeyHash, PublicRoutes};
use maitred_web::etag::Versions;
use maitred_web::page::Cursors;
use maitred_web::{AsOf, AtLeast, ETag, Permission, Preconditions, Problem, Role, problem};

use crate::{Booking, Command, Outcome, tenants};

/// How long a read waits for the position it asks for.
pub const POSITION_WAIT_MAX: Duration = Duration::from_secs(2);

/// The state of every handler. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine<Booking>,
    cursors: Cursors,
    access: Access,
    default_tenant: String,
}

/// Whether callers must say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody on this machine may do everything.
    Open,
    /// API keys and tokens decide.
    Keys,
}

impl App {
    /// The state of a server over `engine`. Cursors are sealed with `cursor_key`.
    pub fn new(
        engine: Engine<Booking>,
        cursor_key: &[u8; 32],
        access: Access,
        default_tenant: impl Into<String>,
    ) -> Self {
        let (cursors, default_tenant) = (Cursors::new(cursor_key), default_tenant.into());
        App(Arc::new(Inner { engine, cursors, access, default_tenant }))
    }

    /// The engine.
    pub fn engine(&self) -> &Engine<Booking> {
        &self.0.engine
    }

    /// Seals and opens the cursors of lists.
    pub fn cursors(&self) -> &Cursors {
        &self.0.cursors
    }

    /// Whether callers must say who they are.
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// The tenant of a drop-in request that names none.
    pub fn default_tenant(&self) -> &str {
        &self.0.default_tenant
    }

    /// Decides a command of `tenant`. `bytes` is its size in memory, roughly.
    ///
    /// # Errors
    /// The rejection or the unavailability, as a problem.
    pub async fn submit(
        &self,
        (tenant, actor): (TenantNumber, Actor),
        idempotency: Option<Idempotency>,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<Accepted<Outcome>, Problem> {
        let answer = self.decide((tenant, actor), idempotency, bytes, command).await?;
        let Answer { result, position, replayed, .. } = answer;
        match result {
            Ok(outcome) => Ok(Accepted { outcome, position, replayed }),
            Err(rejection) => Err(refusal(rejection, position, replayed)),
        }
    }

    /// The same, with the rejection as the rules gave it.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn decide(
        &self,
        (tenant, actor): (TenantNumber, Actor),
        idempotency: Option<Idempotency>,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<Answer<Outcome>, Unavailable> {
        self.0.engine.submit(Envelope { tenant, actor, idempotency, bytes, command: command.into() }).await
    }

    /// Enters a command into its tenant's line, and leaves the waiting to the caller: commands that are entered
    /// one after another are decided in that order.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn enter(
        &self,
        (tenant, actor): (TenantNumber, Actor),
        idempotency: Option<Idempotency>,
        bytes: usize,
        command: impl Into<Command>,
    ) -> Result<Pending<Booking>, Unavailable> {
        self.0.engine.enter(Envelope { tenant, actor, idempotency, bytes, command: command.into() })
    }

    /// A view that includes the position that the client asks for.
    ///
    /// # Errors
    /// 503 `replica-behind`.
    pub async fn view(&self, at_least: AtLeast) -> Result<View, Problem> {
        if let Some(position) = at_least.0 {
            self.require_partition(position)?;
            self.0.engine.wait_for(position.seq, POSITION_WAIT_MAX).await?;
        }
        Ok(self.0.engine.view())
    }

    /// The batch that `as_of` means.
    ///
    /// # Errors
    /// 400 for a position of another partition, 503 `replica-behind` for one that is not there yet.
    pub fn as_of(&self, view: &View, as_of: Option<AsOf>) -> Result<Option<Seq>, Problem> {
        match as_of {
            None => Ok(None),
            Some(AsOf::Instant(instant)) => Ok(Some(view.seq_at(instant))),
            Some(AsOf::Position(position)) => {
                self.require_partition(position)?;
                if position.seq > view.seq() {
                    return Err(Unavailable::ReplicaBehind.into());
                }
                Ok(Some(position.seq))
            }
        }
    }

    fn require_partition(&self, position: Position) -> Result<(), Problem> {
        if position.partition == self.0.engine.partition() {
            return Ok(());
        }
        let detail = format!("There is no partition {} here.", position.partition);
        Err(Problem::new(problem::POSITION_INVALID, detail))
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 `credentials-invalid`.
    pub fn caller(&self, view: &View, credentials: &Credentials) -> Result<Caller, Problem> {
        if self.0.access == Access::Open {
            return Ok(Caller::OPEN);
        }
        let key = match credentials {
            Credentials::None => return Ok(Caller::ANONYMOUS),
            Credentials::Token(_) => return Err(Problem::credentials_invalid()),
            Credentials::ApiKey(key) => key.hash(),
        };
        let found = tenants::api_key_by_secret_hash(view, &key.0)
            .filter(|found| KeyHash(found.secret_hash) == key && !found.key.revoked)
            .ok_or_else(Problem::credentials_invalid)?;
        let role = match found.key.role {
            tenants::Role::Public => Role::Anonymous,
            tenants::Role::Customer => Role::Customer,
            tenants::Role::Integration => Role::Integration,
            tenants::Role::Staff => Role::Staff,
            tenants::Role::Owner => Role::Owner,
            tenants::Role::Admin => Role::Admin,
        };
        let tenant = found.key.tenant.map(TenantNumber);
        Ok(Caller { actor: Actor::ApiKey(found.key.id.as_u128()), role, tenant })
    }
}

/// An accepted command.
#[derive(Debug, Clone)]
pub struct Accepted<O> {
    /// What the client is told.
    pub outcome: O,
    /// The point in the log that includes it.
    pub position: Position,
    /// Whether this is the remembered answer of an earlier command.
    pub replayed: bool,
}

/// A rejection with the point in the log that it rested on.
pub fn refusal(rejection: Rejection, position: Position, replayed: bool) -> Problem {
    let problem = Problem::from(rejection)
        .with_header(maitred_web::position::MAITRED_POSITION, maitred_web::position::header_value(position));
    if !replayed {
        return problem;
    }
    let replayed = maitred_web::idempotency::IDEMPOTENT_REPLAYED;
    problem.with_header(replayed, axum::http::HeaderValue::from_static("true"))
}

/// The tenant a request is about, and who asks: what [`authorize`] found.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The tenant of the path; the system tenant where the path has none.
    pub tenant: TenantNumber,
    /// Who asks.
    pub caller: Caller,
}

impl Scope {
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

/// The layer that lets a caller with `permission` through to a route, and nobody else.
pub async fn authorize(
    State((app, permission)): State<(App, Permission)>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let tenant = params.iter().find_map(|(name, value)| (name == "tenant").then_some(value));
    let scope = match admit(&app, permission, tenant, &request) {
        Ok(scope) => scope,
        Err(problem) => return problem.into_response(),
    };
    let mut request = request;
    request.extensions_mut().insert(scope);
    next.run(request).await
}

fn admit(
    app: &App,
    permission: Permission,
    tenant: Option<&str>,
    request: &Request,
) -> Result<Scope, Problem> {
    let view = app.engine().view();
    let caller = app.caller(&view, &Credentials::parse(request.headers())?)?;
    let Some(slug) = tenant else {
        caller.require_on_server(permission)?;
        return Ok(Scope { tenant: TenantNumber::SYSTEM, caller });
    };
    let found = tenants::tenant_by_slug(&view, slug);
    // A stranger is told nothing of which tenants there are.
    let number = found.as_ref().map_or(TenantNumber(u32::MAX), |found| found.profile.tenant());
    let open = found.as_ref().is_some_and(|found| found.profile.public);
    let public = if open { PublicRoutes::Open } else { PublicRoutes::Closed };
    caller.require(permission, number, public)?;
    match found {
        Some(_) => Ok(Scope { tenant: number, caller }),
        None => Err(tenant_not_found(slug)),
    }
}

/// 404 for a tenant that is not there.
pub fn tenant_not_found(slug: &str) -> Problem {
    Rejection::new(
        maitred_core::Class::Absent,
        "tenant-not-found",
        format!("There is no tenant \"{}\".", slug.escape_debug()),
    )
    .into()
}

/// The version at which alone a command may be carried out, given the version that is there now.
///
/// A record never goes away, so that "it exists" can be seen here; the writer compares the version again.
///
/// # Errors
/// 412 `precondition-failed` where the present version is none of those that `If-Match` permits.
pub fn version_wanted(preconditions: &Preconditions, current: Option<u64>) -> Result<Option<u64>, Problem> {
    let Some(if_match) = &preconditions.if_match else { return Ok(None) };
    let current = current.ok_or_else(Problem::precondition_failed)?;
    match if_match.versions() {
        Versions::Any => Ok(None),
        Versions::OneOf(versions) if versions.contains(&current) => Ok(Some(current)),
        Versions::OneOf(_) => Err(Problem::precondition_failed()),
    }
}

/// Whether a read can be answered with 304.
pub fn is_fresh(preconditions: &Preconditions, version: u64) -> bool {
    preconditions.is_fresh(&ETag::version(version))
}
