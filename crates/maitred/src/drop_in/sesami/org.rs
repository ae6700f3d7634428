//! Which tenant an organisation is, and who may write and read there.
//!
//! Invariants:
//! - An organisation's text is a tenant's alias, else its slug. The text [`ORG_DEFAULT`] means the server's default
//!   tenant.
//! - Where the server demands no keys, everybody may do everything, and the first write creates the tenant. Reading
//!   creates nothing.
//! - Where it does, the tenant must be there and have this drop-in enabled, and the key must carry the permission
//!   `integration` in it. A stranger is not told which organisations there are.

use axum::extract::Request;
use maitred_booking::app::{Access, App};
use maitred_booking::tenants::{self, DropIn, Tenant};
use maitred_core::{Class, Rejection, TenantNumber};
use maitred_web::auth::PublicRoutes;
use maitred_web::{Caller, Permission, Problem, Role};

use super::answer::Answer;
use crate::drop_in::tenant::{self, NotCreated};

/// The organisation of a request that names none.
pub const ORG_DEFAULT: &str = "default";

/// Who asks. An open server reads no credentials: what a client sends there was meant for another.
///
/// # Errors
/// 401 where the server demands a key and a sound one is missing.
pub(super) fn caller(app: &App, request: &Request) -> Result<Caller, Answer> {
    if app.access() == Access::Open {
        return Ok(Caller::OPEN);
    }
    let caller = app.caller_of(request)?;
    match caller.role {
        Role::Anonymous => Err(Answer::unauthorized()),
        _ => Ok(caller),
    }
}

/// The tenant that `caller` writes to as `org`.
///
/// # Errors
/// 403 where the caller may not, 400 for a text that is no alias, 429 where too many tenants were created so.
pub(super) async fn of_write(app: &App, caller: &Caller, org: &str) -> Result<TenantNumber, Answer> {
    match of_read(app, caller, org)? {
        Some(tenant) => Ok(tenant),
        None => create(app, alias(app, org)).await,
    }
}

/// The tenant that `caller` reads as `org`; `None` where an open server knows none.
///
/// # Errors
/// 403 where the caller may not.
pub(super) fn of_read(app: &App, caller: &Caller, org: &str) -> Result<Option<TenantNumber>, Answer> {
    let found = tenants::tenant_by_alias_or_slug(&app.engine().view(), alias(app, org));
    if app.access() == Access::Keys {
        admit(caller, found.as_ref())?;
    }
    Ok(found.map(|found| found.profile.tenant()))
}

fn alias<'a>(app: &'a App, org: &'a str) -> &'a str {
    if org == ORG_DEFAULT { app.default_tenant() } else { org }
}

fn admit(caller: &Caller, found: Option<&Tenant>) -> Result<(), Answer> {
    let no_entry = || Answer::forbidden("This key gives no access to this organization.");
    let Some(Tenant { profile, .. }) = found else { return Err(no_entry()) };
    let permitted = caller.require(Permission::Integration, profile.tenant(), PublicRoutes::Closed);
    permitted.map_err(|_| no_entry())?;
    if profile.drop_ins.contains(DropIn::Sesami) {
        return Ok(());
    }
    Err(Answer::forbidden("This API is not enabled for this organization."))
}

async fn create(app: &App, alias: &str) -> Result<TenantNumber, Answer> {
    tenant::create(app, alias, DropIn::Sesami).await.map_err(|error| match error {
        NotCreated::Refused(rejection) => refused(rejection),
        NotCreated::Unavailable(unavailable) => unavailable.into(),
    })
}

fn refused(rejection: Rejection) -> Answer {
    match rejection.class {
        Class::Unprocessable => Answer::bad_request(&format!("orgId: {}", rejection.detail)),
        // Both names are free but for those of tenants that are closed, which nobody inherits.
        Class::Conflict => Answer::forbidden("This organization is closed."),
        _ => Problem::from(rejection).into(),
    }
}
