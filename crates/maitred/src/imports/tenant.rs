//! The tenant that records are imported into, which is made where it is not there.

use maitred_booking::tenants::{self, CreateTenant, DropIn, DropIns};
use maitred_booking::{Booking, Command, Outcome};
use maitred_core::{Actor, Rejection, TenantNumber};
use maitred_engine::{Engine, Envelope, Unavailable};

/// The time zone of a tenant that is made, where none is named.
pub const TIME_ZONE: &str = "Europe/Berlin";
/// Its currency and its language.
const CURRENCY: &str = "EUR";
const LOCALE: &str = "de-DE";
/// What answers for it: the clients of the system whose records they are go on with it.
const DROP_IN: DropIn = DropIn::Fapi;
/// What such a command counts as in the queue.
const COMMAND_BYTES: usize = 1_024;

/// The open tenant of this slug, which `actor` makes where it is not there.
///
/// # Errors
/// That it could not be decided; within, the rejection: no slug, or that of a tenant which is closed.
pub async fn find_or_make(
    engine: &Engine<Booking>,
    actor: Actor,
    slug: &str,
    time_zone: &str,
) -> Result<Result<TenantNumber, Rejection>, Unavailable> {
    let there = || tenants::tenant_by_slug(&engine.view(), slug).map(|tenant| tenant.profile.tenant());
    if let Some(tenant) = there() {
        return Ok(Ok(tenant));
    }
    let command = tenants::Command::CreateTenant(CreateTenant {
        slug: slug.to_owned(),
        alias: None,
        name: slug.to_owned(),
        time_zone: time_zone.to_owned(),
        currency: CURRENCY.to_owned(),
        locale: LOCALE.to_owned(),
        drop_ins: DropIns::NONE.with(DROP_IN),
        public: false,
        automatic: false,
    });
    let envelope = Envelope {
        tenant: TenantNumber::SYSTEM,
        actor,
        idempotency: None,
        bytes: COMMAND_BYTES,
        command: Command::Tenants(command),
    };
    match engine.submit(envelope).await?.result {
        Ok(Outcome::Tenants(
            tenants::Outcome::TenantCreated(tenant) | tenants::Outcome::TenantExists(tenant),
        )) => Ok(Ok(tenant.profile.tenant())),
        Ok(other) => unreachable!("creating a tenant is answered with {other:?}"),
        // Somebody else has made it meanwhile, or it is closed.
        Err(rejection) => Ok(there().ok_or(rejection)),
    }
}
