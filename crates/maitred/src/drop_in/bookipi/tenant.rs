//! Which tenant a request is about, and whose token came with it.
//!
//! Invariants:
//! - A text in `X-Tenant` is a tenant's alias, else its slug. Without it, it is the server's default tenant.
//! - Where the server demands no keys, the first write creates the tenant. Reading creates nothing.
//! - Where it does, the tenant must be there and have this drop-in enabled. Users need no key: they are who registers
//!   and logs in.

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use maitred_booking::accounts::LoggedIn;
use maitred_booking::app::{Access, App};
use maitred_booking::tenants::{self, DropIn};
use maitred_core::{Class, TenantNumber};
use maitred_web::Problem;

use super::answer::Answer;
use crate::drop_in::tenant::{self, NotCreated};

/// The header that names a tenant.
const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// The tenant of a write.
///
/// # Errors
/// 400 for a text that is no alias, 403 where the drop-in is off or the tenant is closed, 429 where too many tenants
/// were created so.
pub async fn of_write(app: &App, headers: &HeaderMap) -> Result<TenantNumber, Answer> {
    if let Some(tenant) = of_read(app, headers)? {
        return Ok(tenant);
    }
    tenant::create(app, name(app, headers)?, DropIn::Bookipi).await.map_err(|error| match error {
        NotCreated::Unavailable(unavailable) => unavailable.into(),
        NotCreated::Refused(rejection) => match rejection.class {
            Class::Unprocessable => bad_name(),
            Class::Conflict => Answer::error(StatusCode::FORBIDDEN, "This tenant is closed"),
            _ => Problem::from(rejection).into(),
        },
    })
}

/// The tenant of a read; `None` where an open server knows none.
///
/// # Errors
/// 400 for a text that is no alias, 403 where the drop-in is off.
pub fn of_read(app: &App, headers: &HeaderMap) -> Result<Option<TenantNumber>, Answer> {
    let found = tenants::tenant_by_alias_or_slug(&app.engine().view(), name(app, headers)?);
    if app.access() == Access::Open {
        return Ok(found.map(|found| found.profile.tenant()));
    }
    let enabled = found.filter(|found| found.profile.drop_ins.contains(DropIn::Bookipi));
    let off = || Answer::error(StatusCode::FORBIDDEN, "This API is not enabled for this tenant");
    enabled.map(|found| Some(found.profile.tenant())).ok_or_else(off)
}

/// What of a request says who sends it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its headers.
    pub headers: HeaderMap,
    /// Whose token it brings, where that has been found out already.
    known: Option<LoggedIn>,
}

impl Asked {
    /// Where rates are limited, whose token it is had to be known to count the request: a token is verified once.
    pub fn of(app: &App, request: &Request) -> Self {
        let caller = app.rates().and_then(|_| app.caller_of(request).ok());
        let known = caller.as_ref().and_then(LoggedIn::of);
        Asked { headers: request.headers().clone(), known }
    }
}

/// The user of `tenant` whose token came with a request: `Bearer <token>`, or the token alone.
///
/// # Errors
/// 401 `Access token required` without a token, 401 `Invalid token` with one that is not valid in this tenant.
pub fn user(app: &App, tenant: TenantNumber, asked: &Asked) -> Result<LoggedIn, Answer> {
    let Some(given) = asked.headers.get(AUTHORIZATION) else {
        return Err(Answer::error(StatusCode::UNAUTHORIZED, "Access token required"));
    };
    let given = given.to_str().unwrap_or_default();
    let user = match given.strip_prefix("Bearer ") {
        Some(token) => asked.known.or_else(|| app.user_of_token(token)),
        None => app.user_of_token(given),
    };
    let here = user.filter(|user| user.tenant == tenant);
    here.ok_or_else(|| Answer::error(StatusCode::UNAUTHORIZED, "Invalid token"))
}

fn name<'a>(app: &'a App, headers: &'a HeaderMap) -> Result<&'a str, Answer> {
    let Some(name) = headers.get(X_TENANT) else { return Ok(app.default_tenant()) };
    std::str::from_utf8(name.as_bytes()).map_err(|_| bad_name())
}

fn bad_name() -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, "X-Tenant must have 1 to 128 characters, and no blanks around")
}
