//! Which tenant a request is about, and who may ask.
//!
//! Invariants:
//! - A text in `X-Tenant` is a tenant's alias, else its slug. Without it, it is the server's default tenant.
//! - Where the server demands no keys, the first write creates the tenant. Reading creates nothing.
//! - Where it does, the tenant must be there and have this drop-in enabled, and the key must carry the permission
//!   `staff` in it: bookings come with their customers. A stranger is not told which tenants there are.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use maitred_booking::app::{Access, App};
use maitred_booking::tenants::{self, DropIn, Tenant};
use maitred_core::{Class, TenantNumber};
use maitred_web::auth::PublicRoutes;
use maitred_web::{Caller, Permission, Problem, Role};
use uuid::Uuid;

use super::answer::Answer;
use crate::drop_in::tenant::{self, NotCreated};

/// The header that names a tenant.
const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// A tenant that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Its number.
    pub(super) number: TenantNumber,
    /// Its id, which answers show.
    pub(super) id: Uuid,
}

impl From<Tenant> for Found {
    fn from(tenant: Tenant) -> Self {
        Found { number: tenant.profile.tenant(), id: tenant.profile.id }
    }
}

/// Who asks.
///
/// # Errors
/// 401 where the server demands a key and a sound one is missing.
pub(super) fn caller(app: &App, request: &Request) -> Result<Caller, Answer> {
    if app.access() == Access::Open {
        return Ok(Caller::OPEN);
    }
    let caller = app.caller_of(request)?;
    match caller.role {
        Role::Anonymous => Err(Problem::unauthenticated().into()),
        _ => Ok(caller),
    }
}

/// The tenant of a write.
///
/// # Errors
/// 400 for a text that is no alias, 403 where the caller may not or the tenant is closed, 429 where too many tenants
/// were created so.
pub(super) async fn of_write(app: &App, headers: &HeaderMap, caller: &Caller) -> Result<Found, Answer> {
    let name = name(app, headers)?;
    if let Some(found) = find(app, name, caller)? {
        return Ok(found);
    }
    let number = tenant::create(app, name, DropIn::Fapi).await.map_err(|error| match error {
        NotCreated::Unavailable(unavailable) => unavailable.into(),
        NotCreated::Refused(rejection) => match rejection.class {
            Class::Unprocessable => bad_name(),
            Class::Conflict => Answer::error(StatusCode::FORBIDDEN, "This tenant is closed"),
            _ => Problem::from(rejection).into(),
        },
    })?;
    let found = tenants::tenant(&app.engine().view(), number);
    found.map(Found::from).ok_or_else(|| Answer::error(StatusCode::FORBIDDEN, "This tenant is closed"))
}

/// The tenant of a read; `None` where an open server knows none.
///
/// # Errors
/// 401 without a key where one is demanded, 400 for a text that is no alias, 403 where the caller may not.
pub(super) fn of_read(app: &App, request: &Request) -> Result<Option<Found>, Answer> {
    let caller = caller(app, request)?;
    find(app, name(app, request.headers())?, &caller)
}

fn find(app: &App, name: &str, caller: &Caller) -> Result<Option<Found>, Answer> {
    let found = tenants::tenant_by_alias_or_slug(&app.engine().view(), name);
    if app.access() == Access::Keys {
        let no_entry = || Answer::error(StatusCode::FORBIDDEN, "This key gives no access to this tenant");
        let profile = &found.as_ref().ok_or_else(no_entry)?.profile;
        let permitted = caller.require(Permission::Staff, profile.tenant(), PublicRoutes::Closed);
        permitted.map_err(|_| no_entry())?;
        if !profile.drop_ins.contains(DropIn::Fapi) {
            return Err(Answer::error(StatusCode::FORBIDDEN, "This API is not enabled for this tenant"));
        }
    }
    Ok(found.map(Found::from))
}

fn name<'a>(app: &'a App, headers: &'a HeaderMap) -> Result<&'a str, Answer> {
    let Some(name) = headers.get(X_TENANT) else { return Ok(app.default_tenant()) };
    std::str::from_utf8(name.as_bytes()).map_err(|_| bad_name())
}

fn bad_name() -> Answer {
    let message = "X-Tenant must have 1 to 128 characters, and no blanks around";
    Answer::error(StatusCode::BAD_REQUEST, message)
}
