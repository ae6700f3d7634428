//! `/v1/tenants/{tenant}/events/{id}/sales`: a zone of an event is put on sale, and its capacity is the stock.
//!
//! Invariants:
//! - A zone has one product, whose id follows from the event, the plan and the zone, and whose inventory is the zone's
//!   capacity as it was when it was last put on sale. So all sales of a zone together give out no more than it holds.
//! - The product is brought in by one command and the sale announced by the next. A request that was cut off between
//!   them finds the product when it comes again.

use axum::extract::State;
use axum::response::Response;
use maitred_core::{Class, Rejection};
use maitred_web::{Attempt, JsonBody, Path, Problem, Time};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{Accepted, App, Scope};
use crate::catalogue::fact::{Event, Plan, Zone};
use crate::catalogue::view;
use crate::flash_sales::http::sales::{self, SaleWithStock};
use crate::flash_sales::{
    self, Command, CreateProduct, CreateSale, NAME_CHARS_MAX, ProductPatch, QUANTITY_MAX, UpdateProduct,
};
use crate::money::Money;
use crate::parameters::{IdempotencyHeader, TenantPath};

/// The size of a command in memory, roughly.
const COMMAND_BYTES: usize = 1_024;

/// A zone to be put on sale.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneSaleInput {
    /// The provider's id of the plan.
    #[schema(max_length = 128)]
    plan_id: String,
    /// The provider's id of the zone.
    #[schema(max_length = 128)]
    zone_id: String,
    /// The first instant at which it sells; now if absent.
    #[serde(default)]
    starts_at: Option<Time>,
    /// The first instant at which it no longer does; the plan's `sell_to` if absent, else its start.
    #[serde(default)]
    ends_at: Option<Time>,
    /// How many pieces it gives out; the zone's capacity if absent.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default)]
    quantity: Option<u32>,
    /// How many pieces one buyer may have; 1 if absent.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    #[serde(default)]
    buyer_limit: Option<u32>,
    /// For how many seconds a piece is held until it is paid. Without it nothing need be paid here.
    #[schema(minimum = 1, maximum = 86_400)]
    #[serde(default)]
    hold_seconds: Option<u32>,
}

/// Put a zone of an event on sale: its capacity is the stock, its price the price.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/events/{id}/sales",
    tag = "catalogue",
    operation_id = "events_sell_zone",
    params(TenantPath, ("id" = Uuid, Path, description = "The event's id"), IdempotencyHeader),
    request_body = ZoneSaleInput,
    responses(
        (status = 201, description = "The sale is announced", body = SaleWithStock),
        (status = 404, description = "There is no such event, plan or zone"),
        (status = 409, description = "Other sales have taken what the zone holds; or the provider sells it no more"),
        (status = 422, description = "The zone has no price that can be paid"),
    )
)]
pub async fn sell(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<ZoneSaleInput>,
) -> Result<Response, Problem> {
    let found = view::event(&app.engine().view(), scope.tenant, id, None);
    let event = found.ok_or_else(|| Problem::not_found("event"))?.is;
    let plan = event.plans.iter().find(|plan| plan.id == value.plan_id);
    let plan = plan.ok_or_else(|| Problem::not_found("plan"))?;
    let zone = plan.zones.iter().find(|zone| zone.id == value.zone_id);
    let zone = zone.ok_or_else(|| Problem::not_found("zone"))?;
    for_sale(&event, plan, zone)?;
    let price = price(&event, zone)?;
    let product = product_id(&event, plan, zone);
    stock(&app, &scope, (product, price), &event, zone).await?;
    let now = app.engine().now();
    let sale = CreateSale {
        id: None,
        product,
        starts_at: value.starts_at.map_or(now, |at| at.0),
        ends_at: value.ends_at.map_or(plan.sell_to.unwrap_or(plan.starts_at), |at| at.0),
        quantity: value.quantity.unwrap_or(zone.capacity.min(QUANTITY_MAX)),
        buyer_limit: value.buyer_limit.unwrap_or(1),
        hold_seconds: value.hold_seconds,
        price: Some(price),
    };
    let key = attempt.identify(scope.caller.actor, &bytes);
    let Accepted { outcome, position, replayed } =
        app.submit(scope.who(), key, COMMAND_BYTES, Command::CreateSale(sale)).await?;
    let outcome = flash_sales::http::own(outcome);
    Ok(sales::answer(&app, scope.tenant, Accepted { outcome, position, replayed }))
}

/// What the provider does not state any more, or has sold out, nobody else can sell.
fn for_sale(event: &Event, plan: &Plan, zone: &Zone) -> Result<(), Rejection> {
    let detail = if event.gone.is_some() || plan.vanished || zone.vanished {
        "The provider's feed does not have the zone any more."
    } else if plan.sold_out {
        "The provider says that the plan is sold out."
    } else {
        return Ok(());
    };
    Err(Rejection::conflict("zone-not-for-sale", detail))
}

fn price(event: &Event, zone: &Zone) -> Result<Money, Rejection> {
    let amount = zone.price.filter(|amount| *amount >= 0);
    let refused = || {
        let detail = "The zone has no price, or one below zero.";
        Rejection::new(Class::Unprocessable, "zone-without-price", detail)
    };
    Ok(Money { amount: amount.ok_or_else(refused)?, currency: event.currency })
}

/// The id of a zone's product: the same whenever it is put on sale.
fn product_id(event: &Event, plan: &Plan, zone: &Zone) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("maitred 2026-11-21 the product of a zone");
    hasher.update(event.id.as_bytes());
    for id in [&plan.id, &zone.id] {
        hasher.update(&(id.len() as u64).to_le_bytes()).update(id.as_bytes());
    }
    let hash = hasher.finalize();
    let (head, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
    uuid::Builder::from_custom_bytes(*head).into_uuid()
}

/// Brings in the product of a zone, or sets its inventory to what the zone holds now.
async fn stock(
    app: &App,
    scope: &Scope,
    (product, price): (Uuid, Money),
    event: &Event,
    zone: &Zone,
) -> Result<(), Problem> {
    let inventory = u64::from(zone.capacity);
    let known = flash_sales::view::product(&app.engine().view(), scope.tenant, product, None);
    let command = match known {
        Some(known) if known.is.inventory == inventory => return Ok(()),
        Some(_) => Command::UpdateProduct(UpdateProduct {
            product,
            patch: ProductPatch { inventory: Some(inventory), ..ProductPatch::default() },
            if_version: None,
        }),
        None => {
            let (name, id) = (name(event, zone), Some(product));
            Command::CreateProduct(CreateProduct { id, name, description: None, price, inventory })
        }
    };
    match app.submit(scope.who(), None, COMMAND_BYTES, command).await {
        // Somebody else was faster.
        Err(problem) if problem.code() == "id-taken" => Ok(()),
        submitted => submitted.map(drop),
    }
}

fn name(event: &Event, zone: &Zone) -> String {
    let name = format!("{}: {}", event.title, zone.name);
    name.chars().filter(|letter| *letter != '\0').take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use maitred_core::Timestamp;

    use super::*;
    use crate::catalogue::fact::SellMode;
    use crate::money::Currency;

    fn event(price: Option<i64>) -> Event {
        let zone = Zone {
            id: "1".into(),
            name: "Seats".into(),
            capacity: 5,
            price,
            numbered: true,
            vanished: false,
        };
        let at = Timestamp::from_millis(0);
        let plan = Plan {
            id: "1".into(),
            starts_at: at,
            ends_at: at,
            sell_from: None,
            sell_to: None,
            sold_out: false,
            vanished: false,
            zones: vec![zone],
        };
        Event {
            id: Uuid::from_u128(7),
            provider: "arena".into(),
            external_id: "1".into(),
            title: "A".repeat(300),
            sell_mode: Some(SellMode::Online),
            organizer: None,
            ever_online: true,
            currency: Currency::parse("EUR").expect("a code"),
            plans: vec![plan],
            first_seen_at: at,
            gone: None,
            digest: [0; 32],
        }
    }

    #[test]
    fn what_its_provider_sells_no_more_is_not_for_sale() {
        let sold = event(Some(100));
        let told = |event: &Event, change: &dyn Fn(&mut Plan)| {
            let mut plan = event.plans[0].clone();
            change(&mut plan);
            for_sale(event, &plan, &plan.zones[0]).err().map(|refused| refused.code)
        };
        assert_eq!(told(&sold, &|_| {}), None);
        for change in [
            (|plan| plan.vanished = true) as fn(&mut Plan),
            |plan| plan.zones[0].vanished = true,
            |plan| plan.sold_out = true,
        ] {
            assert_eq!(told(&sold, &change).as_deref(), Some("zone-not-for-sale"));
        }
    }

    #[test]
    fn a_zone_has_one_product_and_a_price_that_can_be_paid() {
        let sold = event(Some(100));
        let (plan, zone) = (&sold.plans[0], &sold.plans[0].zones[0]);
        let id = product_id(&sold, plan, zone);
        assert_eq!((id, id.get_version_num()), (product_id(&sold, plan, zone), 8));
        assert_ne!(id, product_id(&sold, &Plan { id: "11".into(), ..plan.clone() }, zone));
        assert_eq!(name(&sold, zone).chars().count(), NAME_CHARS_MAX);
        for (amount, code) in
            [(Some(0), None), (None, Some("zone-without-price")), (Some(-1), Some("zone-without-price"))]
        {
            let event = event(amount);
            let told = price(&event, &event.plans[0].zones[0]).err().map(|refused| refused.code);
            assert_eq!(told.as_deref(), code);
        }
    }
}
