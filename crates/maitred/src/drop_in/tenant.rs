//! Tenants that the clients of replaced services bring along.

use maitred_booking::Outcome;
use maitred_booking::app::App;
use maitred_booking::tenants::{self, CreateTenant, DropIn, DropIns, slug_for};
use maitred_core::{Actor, Rejection, TenantNumber};
use maitred_engine::Unavailable;

/// The time zone, the currency and the locale of a tenant that a first write creates. The operator sets what else is
/// wanted.
const SETTINGS_DEFAULT: (&str, &str, &str) = ("UTC", "EUR", "en");

/// Why there is no such tenant after a first write.
#[derive(Debug)]
pub(super) enum NotCreated {
    /// The rules refuse it: the text is no alias, its tenant is closed, there are too many.
    Refused(Rejection),
    /// It could not be decided.
    Unavailable(Unavailable),
}

/// Creates the tenant of `alias`, for which `drop_in` answers, unless another first write was faster.
pub(super) async fn create(app: &App, alias: &str, drop_in: DropIn) -> Result<TenantNumber, NotCreated> {
    let (time_zone, currency, locale) = SETTINGS_DEFAULT;
    let command = CreateTenant {
        slug: slug_for(alias).into_owned(),
        alias: Some(alias.to_owned()),
        name: alias.to_owned(),
        time_zone: time_zone.to_owned(),
        currency: currency.to_owned(),
        locale: locale.to_owned(),
        drop_ins: DropIns::NONE.with(drop_in),
        public: false,
        automatic: true,
    };
    let bytes = size_of::<CreateTenant>() + 3 * alias.len();
    let who = (TenantNumber::SYSTEM, Actor::Anonymous);
    let decided = app.decide(who, None, bytes, tenants::Command::CreateTenant(command)).await;
    match decided.map_err(NotCreated::Unavailable)?.result {
        Ok(Outcome::Tenants(
            tenants::Outcome::TenantCreated(tenant) | tenants::Outcome::TenantExists(tenant),
        )) => Ok(tenant.profile.tenant()),
        Ok(other) => unreachable!("the creation of a tenant is answered with {other:?}"),
        Err(rejection) => Err(NotCreated::Refused(rejection)),
    }
}
