//! Demo data: two chairs and a week of appointments around today, some of them moved or cancelled; a salon
//! ([`crate::demo_salon`]); and a flash sale of a week, in the demo tenant and in the default one, where the clients of the replaced service look.
//!
//! Invariant: it is written by ordinary commands whose ids and instants follow from the day alone, so that seeding
//! again on the same day changes nothing, and on another day adds what is missing.

use std::net::SocketAddr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use maitred_booking::app::{Access, App};
use maitred_booking::appointments::{self, Cancel, Upsert};
use maitred_booking::flash_sales::{self, ResetSale};
use maitred_booking::json::JsonObject;
use maitred_booking::tenants::{self, CreateTenant, DropIns};
use maitred_booking::{Command, Outcome};
use maitred_core::{Actor, TenantNumber, Timestamp};
use maitred_engine::Unavailable;

use crate::demo_salon;
use crate::first_sale::{self, NotSet};

/// The demo tenant's slug.
pub const TENANT: &str = "demo";
/// Its chairs.
pub const CHAIRS: [&str; 2] = ["chair-1", "chair-2"];
/// The days before and after today that are filled.
const DAYS_AROUND: i64 = 3;
const TIME_ZONE: &str = "Europe/Berlin";
/// Start (hour, minute), length in minutes, and what is done; for the second chair 15 minutes later.
const VISITS: [((i8, i8), i64, &str); 4] =
    [((9, 0), 45, "Cut"), ((10, 30), 90, "Colour"), ((13, 0), 30, "Beard"), ((15, 15), 60, "Cut and style")];

/// How long the sale lasts from the first instant of today, in milliseconds: a week.
const SALE_MILLIS: i64 = 7 * 86_400_000;

/// Why the demo data are not there.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A command was not decided.
    #[error("the demo data cannot be written: {0}")]
    Unavailable(#[from] Unavailable),
    /// A command was refused: somebody has used the demo tenant.
    #[error("the demo data cannot be written: {0}; start without --demo, or with --data of an empty folder")]
    Refused(String),
    /// Today is no day of the calendar, or a day has no such hour.
    #[error("the demo data have no day: {0}")]
    Calendar(#[from] jiff::Error),
}

/// What the demo tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeded {
    today: Date,
    /// How many commands changed something.
    pub changed: usize,
    /// How many met appointments that somebody else had made there.
    pub refused: usize,
    /// How many visits to the salon were booked.
    pub visits: usize,
    /// How many sales were announced, or opened again.
    pub sales: usize,
}

/// Fills the demo tenant for the week around the engine's today.
///
/// # Errors
/// [`DemoError`].
pub async fn seed(app: &App) -> Result<Seeded, DemoError> {
    let zone = TimeZone::get(TIME_ZONE)?;
    let now = jiff::Timestamp::from_microsecond(app.engine().now().as_micros())?;
    let today = now.to_zoned(zone.clone()).date();
    let tenant = tenant(app).await?;
    let mut seeded = Seeded { today, changed: 0, refused: 0, visits: 0, sales: 0 };
    for command in week(today, &zone)? {
        let answer = app.decide((tenant, Actor::System), None, 512, Command::Appointments(command)).await?;
        match answer.result {
            Ok(Outcome::Appointments(outcome)) if outcome.effect == appointments::Effect::IgnoredStale => {}
            Ok(_) => seeded.changed += 1,
            Err(_) => seeded.refused += 1, // a visitor has taken the time, and keeps it
        }
    }
    seeded.visits = demo_salon::seed(app, tenant, today).await?;
    let default = tenants::tenant_by_alias_or_slug(&app.engine().view(), app.default_tenant());
    let default = default.map(|found| found.profile.tenant()).filter(|default| *default != tenant);
    // Of the day in UTC: there it may still be yesterday, and the sale is on.
    let today = now.to_zoned(TimeZone::UTC).start_of_day()?.timestamp().as_millisecond();
    for tenant in [tenant].into_iter().chain(default) {
        seeded.sales += usize::from(open_sale(app, tenant, Timestamp::from_millis(today)).await?);
    }
    Ok(seeded)
}

/// Opens the sale for a week, unless it is open; tells whether it did.
async fn open_sale(app: &App, tenant: TenantNumber, today: Timestamp) -> Result<bool, DemoError> {
    let view = app.engine().view();
    let is_deleted = |product| flash_sales::view::product(&view, tenant, product, None).is_none();
    let sale = flash_sales::view::sale(&view, tenant, first_sale::SALE, None).map(|sale| sale.is);
    if sale.is_some_and(|sale| !sale.is_over(app.engine().now()) || is_deleted(sale.product)) {
        return Ok(false);
    }
    let who = (tenant, Actor::System);
    let sale = first_sale::announce(app, who).await?;
    let ends_at = Timestamp::from_millis(today.as_millis() + SALE_MILLIS);
    let left = first_sale::INVENTORY as u32;
    let reset = ResetSale { sale, starts_at: today, ends_at, left };
    first_sale::set(app, who, reset, None).await?;
    Ok(true)
}

impl From<NotSet> for DemoError {
    fn from(not_set: NotSet) -> Self {
        match not_set {
            NotSet::Unavailable(unavailable) => DemoError::Unavailable(unavailable),
            NotSet::Refused(rejection) => {
                DemoError::Refused(format!("{} ({})", rejection.detail, rejection.code))
            }
        }
    }
}

async fn tenant(app: &App) -> Result<TenantNumber, DemoError> {
    if let Some(tenant) = tenants::tenant_by_slug(&app.engine().view(), TENANT) {
        return Ok(tenant.profile.tenant());
    }
    let create = CreateTenant {
        slug: TENANT.to_owned(),
        alias: Some("Demo Salon".to_owned()),
        name: "Demo Salon".to_owned(),
        time_zone: TIME_ZONE.to_owned(),
        currency: "EUR".to_owned(),
        locale: "en".to_owned(),
        drop_ins: DropIns::NONE,
        public: true,
        automatic: false,
    };
    let command = Command::Tenants(tenants::Command::CreateTenant(create));
    let answer = app.decide((TenantNumber::SYSTEM, Actor::System), None, 512, command).await?;
    match answer.result {
        Ok(Outcome::Tenants(tenants::Outcome::TenantCreated(tenant))) => Ok(tenant.profile.tenant()),
        Ok(other) => unreachable!("creating a tenant is answered with {other:?}"),
        Err(rejection) => Err(DemoError::Refused(format!("{} ({})", rejection.detail, rejection.code))),
    }
}

/// The commands of the week around a day.
fn week(today: Date, zone: &TimeZone) -> Result<Vec<appointments::Command>, jiff::Error> {
    let mut commands = Vec::new();
    for day in -DAYS_AROUND..=DAYS_AROUND {
        let day = today.checked_add(day.days())?;
        for (chair, name) in CHAIRS.into_iter().enumerate() {
            for (visit, ((hour, minute), minutes, title)) in VISITS.into_iter().enumerate() {
                let instant = |days: i64, later: Span| {
                    let zoned = day.at(hour, minute, 0, 0).to_zoned(zone.clone())?;
                    let zoned = zoned.checked_add(later)?.checked_sub(days.days())?;
                    Ok::<_, jiff::Error>(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
                };
                let shift = 15 * chair as i64;
                let booked = Upsert {
                    external_id: format!("demo-{day}-{name}-{}", visit + 1),
                    resource: name.to_owned(),
                    starts_at: instant(0, shift.minutes())?,
                    ends_at: instant(0, (shift + minutes).minutes())?,
                    created_at: instant(14, 0.minutes())?,
                    updated_at: instant(14, 0.minutes())?,
                    title: Some(title.to_owned()),
                    metadata: JsonObject::parse(r#"{"source":"demo"}"#).ok(),
                    if_version: None,
                    if_none_match_any: false,
                };
                commands.push(appointments::Command::Upsert(booked.clone()));
                // Of each day's visits one has been moved by half an hour, and one has been cancelled.
                if (chair, visit) == (0, 2) {
                    commands.push(appointments::Command::Upsert(Upsert {
                        starts_at: instant(0, 30.minutes())?,
                        ends_at: instant(0, (30 + minutes).minutes())?,
                        updated_at: instant(10, 0.minutes())?,
                        title: Some(format!("{title} (moved)")),
                        ..booked
                    }));
                } else if (chair, visit) == (1, 3) {
                    let (external_id, updated_at) = (booked.external_id, instant(10, 0.minutes())?);
                    let cancel = Cancel { external_id, updated_at, if_version: None };
                    commands.push(appointments::Command::Cancel(cancel));
                }
            }
        }
    }
    Ok(commands)
}

impl Seeded {
    /// What a newcomer can paste.
    pub fn to_text(&self, address: SocketAddr, access: Access) -> String {
        let Seeded { today, .. } = self;
        let base = format!("http://{address}/v1/tenants/{TENANT}/appointments");
        let (key, hint) = match access {
            Access::Open => ("", ""),
            Access::Keys => (
                "-H \"Authorization: Bearer $MAITRED_KEY\" ",
                "\nMAITRED_KEY is a key that `maitred keys create` has printed, before the server was started.",
            ),
        };
        let tomorrow = today.checked_add(1.day()).unwrap_or(*today);
        format!(
            "The tenant \"{TENANT}\" has two chairs and a week of appointments. Try:\n\
             \n  curl {key}'{base}?resource={chair}&from={today}T00:00:00Z&to={tomorrow}T00:00:00Z'\
             \n  curl {key}'{base}/demo-{today}-{chair}-3/versions'\
             \n  curl {key}-X PUT '{base}/my-first' -H 'Content-Type: application/json' -d '{{\
             \"resource\":\"{chair}\",\"starts_at\":\"{today}T20:00:00Z\",\"ends_at\":\"{today}T21:00:00Z\",\
             \"created_at\":\"{today}T08:00:00Z\",\"updated_at\":\"{today}T08:00:00Z\",\"title\":\"My first\"}}'\
             \n\nIt is a salon too, with four weeks of bookings: http://{address}/v1/tenants/{TENANT}/bookings?expand=customer\
             \n\nA flash sale is open too:\n\n  curl {key}http://{address}/v1/tenants/{TENANT}/sales\n{hint}",
            chair = CHAIRS[0],
        )
    }
}

impl From<DemoError> for crate::cli::failure::Failure {
    fn from(error: DemoError) -> Self {
        crate::cli::failure::Failure::unable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seed_twice(app: &App) -> [Seeded; 2] {
        [seed(app).await.expect("a first time"), seed(app).await.expect("a second time")]
    }

    #[test]
    fn seeding_again_changes_nothing() {
        let (app, threads) = crate::assemble::in_memory().expect("memory");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let [first, second] = runtime.block_on(seed_twice(&app));
        threads.stop();
        // Seven days of eight visits, of which one each was moved and one cancelled.
        assert_eq!((first.changed, first.refused, first.sales), (7 * 10, 0, 1));
        assert!(first.visits >= 100, "{first:?}");
        assert_eq!((second.changed, second.refused, second.visits, second.sales), (0, 0, 0, 0));
    }

    #[test]
    fn a_week_over_the_change_of_clocks_has_no_overlap() {
        let zone = TimeZone::get(TIME_ZONE).expect("a known zone");
        for day in [jiff::civil::date(2026, 3, 29), jiff::civil::date(2026, 10, 25)] {
            let (app, threads) = crate::assemble::in_memory().expect("memory");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let tenant = tenant(&app).await.expect("a tenant");
                for command in week(day, &zone).expect("a week") {
                    let command = Command::Appointments(command);
                    let answer =
                        app.decide((tenant, Actor::System), None, 512, command).await.expect("decided");
                    assert!(answer.result.is_ok(), "{:?}", answer.result);
                }
            });
            threads.stop();
        }
    }

    #[test]
    fn the_requests_name_the_address_and_the_key_where_one_is_needed() {
        let seeded =
            Seeded { today: jiff::civil::date(2026, 11, 21), changed: 0, refused: 0, visits: 0, sales: 0 };
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let open = seeded.to_text(address, Access::Open);
        assert_eq!(open.matches("\n  curl ").count(), 4);
        assert_eq!(open.matches("http://127.0.0.1:8080/v1/tenants/demo/appointments").count(), 3);
        assert!(!open.contains("MAITRED_KEY"), "{open}");
        let keyed = seeded.to_text(address, Access::Keys);
        assert_eq!(keyed.matches("Bearer $MAITRED_KEY").count(), 4);
    }
}
