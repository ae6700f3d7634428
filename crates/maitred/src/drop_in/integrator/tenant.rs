//! Which tenant a request is about, and who may ask.
//!
//! Invariants:
//! - A text in `X-Tenant` is a tenant's alias, else its slug. Without it, it is the server's default tenant.
//! - Reading creates nothing: an open server knows no events of a tenant that is not there.
//! - Where keys are demanded, the tenant must be there and have this drop-in enabled. Whether anybody may ask, or
//!   whoever has a key of the tenant, is what the tenant says of its public routes.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use maitred_booking::app::{Access, App};
use maitred_booking::tenants::{self, DropIn};
use maitred_core::TenantNumber;
use maitred_web::Permission;
use maitred_web::auth::PublicRoutes;

use super::answer::Answer;

/// The header that names a tenant.
const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// The tenant of a read; `None` where an open server knows none.
///
/// # Errors
/// 400 for a text that is no alias; 401 and 403 where the caller may not.
pub(super) fn of_read(app: &App, request: &Request) -> Result<Option<TenantNumber>, Answer> {
    let headers = request.headers();
    let found = tenants::tenant_by_alias_or_slug(&app.engine().view(), name(app, headers)?);
    if app.access() == Access::Open {
        return Ok(found.map(|found| found.profile.tenant()));
    }
    let caller = app.caller_of(request)?;
    let profile = found.map(|found| found.profile);
    let tenant = profile.as_ref().map_or(TenantNumber(u32::MAX), tenants::Profile::tenant);
    let public = profile.as_ref().is_some_and(|profile| profile.public);
    let public = if public { PublicRoutes::Open } else { PublicRoutes::Closed };
    caller.require(Permission::Public, tenant, public)?;
    let enabled = profile.is_some_and(|profile| profile.drop_ins.contains(DropIn::EventIntegrator));
    if !enabled {
        let message = "This API is not enabled for this tenant";
        return Err(Answer::error(StatusCode::FORBIDDEN, "forbidden", message));
    }
    Ok(Some(tenant))
}

fn name<'a>(app: &'a App, headers: &'a HeaderMap) -> Result<&'a str, Answer> {
    let Some(name) = headers.get(X_TENANT) else { return Ok(app.default_tenant()) };
    let bad = || Answer::bad_request("X-Tenant must have 1 to 128 characters, and no blanks around");
    std::str::from_utf8(name.as_bytes()).map_err(|_| bad())
}
