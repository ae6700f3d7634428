//! `GET /sales` and `POST /sales/update`: that service knew one sale. Here it is the tenant's first sale, whose ids its
//! clients know, or else the one that was announced last.

use std::ops::ControlFlow;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_booking::app::App;
use maitred_booking::flash_sales::{ResetSale, Sale, SaleState, Versioned, validate_reset, view};
use maitred_booking::record::Kind;
use maitred_core::{Class, Key, Read, Table, TenantNumber};
use maitred_web::auth::PublicRoutes;
use maitred_web::{Attempt, Permission, Problem, Time};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Answer;
use super::body::{self, Fields};
use super::instant::{self, Instant};
use super::tenant;
use crate::first_sale::{self, NotSet, SALE};

/// What that service says of an update that passes its validator and cannot be.
const NOT_UPDATED: &str = "Failed to create sale";
/// The most sales that are looked through, from the newest back, for one whose product was not deleted.
const SALES_MAX: usize = 1_000;

/// The sale as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = BookipiSale)]
pub(super) struct SaleBody {
    flash_sale_id: Uuid,
    start_date: Time,
    end_date: Time,
    product_id: Uuid,
    /// How many pieces were set last.
    quantity: u32,
    /// The product's name.
    name: String,
    price_in_cent: i64,
    /// `upcoming`, `active` or `ended`.
    #[schema(pattern = "^(upcoming|active|ended)$")]
    status: &'static str,
    /// How many are left.
    remaining_stock: u32,
}

/// What a sale is to be from now on.
#[derive(ToSchema)]
#[schema(as = BookipiSaleUpdate)]
#[expect(dead_code, reason = "the API document alone reads it; the body is read as that service read it")]
pub(super) struct UpdateInput {
    /// ISO 8601; in UTC where it has no zone.
    #[schema(example = "2026-11-21T10:00:00Z")]
    start_date: String,
    /// After `start_date`.
    #[schema(example = "2026-11-21T11:00:00Z")]
    end_date: String,
    /// How many pieces are left from now on. Orders and buyers stay.
    #[schema(maximum = 1_000_000)]
    quantity: u32,
}

/// What was set, as it was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = BookipiSaleUpdated)]
pub(super) struct Updated<'a> {
    product_id: Uuid,
    start_date: &'a Value,
    end_date: &'a Value,
    flash_sale_id: Uuid,
    quantity: &'a Value,
}

/// The sale of a tenant: the first one, or else the one that was announced last; none whose product was deleted.
pub(super) fn current(view: &dyn Read, tenant: TenantNumber) -> Option<Versioned<Sale>> {
    // A product can go when all of its sales are closed.
    let is_of_something =
        |sale: &Sale| sale.closed.is_none() || view::product(view, tenant, sale.product, None).is_some();
    let sale = |id| view::sale(view, tenant, id, None).filter(|sale| is_of_something(&sale.is));
    sale(SALE).or_else(|| {
        let table = Key::of(Table::Record, tenant).u8(Kind::Sale as u8);
        let (mut looked, mut found) = (0, None);
        view.scan_back(&table, &table.end(), &mut |key, _| {
            looked += 1;
            found = Uuid::from_slice(&key[key.len() - 16..]).ok().and_then(sale);
            if found.is_some() || looked == SALES_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        found
    })
}

/// The sale.
#[utoipa::path(
    get,
    path = "/sales",
    operation_id = "bookipi_sales_get",
    tag = "bookipi",
    params(("X-Tenant" = Option<String>, Header)),
    security(()),
    responses(
        (status = 200, description = "The sale", body = SaleBody),
        (status = 500, description = "The tenant has no sale", body = serde_json::Value, example = json!({"error": "Flash sale not found"})),
    )
)]
pub(super) async fn get(State(app): State<App>, headers: HeaderMap) -> Result<Response, Answer> {
    let not_found = || Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "Flash sale not found");
    let tenant = tenant::of_read(&app, &headers)?.ok_or_else(not_found)?;
    let view = app.engine().view();
    let Versioned { is: sale, .. } = current(&view, tenant).ok_or_else(not_found)?;
    let now = app.engine().now().max(view.timestamp());
    let stock = view::stock_at(&view, tenant, sale.id, now, None).unwrap_or_default();
    let status = match sale.state_at(now, stock.free) {
        SaleState::Upcoming => "upcoming",
        SaleState::Active | SaleState::SoldOut => "active",
        SaleState::Ended | SaleState::Cancelled => "ended",
    };
    let body = SaleBody {
        flash_sale_id: sale.id,
        start_date: Time(sale.starts_at),
        end_date: Time(sale.ends_at),
        product_id: sale.product,
        quantity: sale.restocked.unwrap_or(sale.quantity),
        name: view::product_name(&view, tenant, sale.product, None).unwrap_or_default(),
        price_in_cent: sale.price.amount,
        status,
        // What a closed sale gave back to its product is what that service would still show.
        remaining_stock: stock.free + stock.returned,
    };
    Ok(Answer::json(StatusCode::OK, &body).into_response())
}

/// Set the sale's window, and how many pieces are left. Where the server demands keys, this needs an owner's.
#[utoipa::path(
    post,
    path = "/sales/update",
    operation_id = "bookipi_sales_update",
    tag = "bookipi",
    params(("X-Tenant" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    request_body = UpdateInput,
    security(("bearer" = []), ("basic" = [])),
    responses(
        (status = 200, description = "What was set, as it was sent", body = serde_json::Value),
        (status = 400, description = "Fields that do not keep their rules, an entry for each rule", body = serde_json::Value, example = json!({"errors": [{"type": "field", "value": 5.5, "msg": "Invalid value", "path": "quantity", "location": "body"}]})),
    )
)]
pub(super) async fn update(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let attempt = Attempt::parse(request.headers(), request.method(), request.uri())?;
    let (headers, caller) = (request.headers().clone(), app.caller_of(&request));
    let bytes = body::read(request).await?;
    let fields = Fields::parse(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes), &bytes)?;
    let (starts_at, ends_at, left) = check(&fields)?;
    let mut reset = ResetSale { sale: SALE, starts_at, ends_at, left };
    if !validate_reset(&reset).is_empty() {
        // Before there is a tenant or a sale for it: what fails changes nothing.
        return Err(Answer::error(StatusCode::BAD_REQUEST, NOT_UPDATED));
    }
    let caller = caller?;
    let tenant = tenant::of_write(&app, &headers).await?;
    caller.require(Permission::Owner, tenant, PublicRoutes::Closed)?;
    let who = (tenant, caller.actor);
    match current(&app.engine().view(), tenant) {
        Some(sale) => reset.sale = sale.is.id,
        None => reset.sale = first_sale::announce(&app, who).await?,
    }
    let (sale, replayed) = first_sale::set(&app, who, reset, attempt.identify(caller.actor, &bytes)).await?;
    let sent = |name| fields.get(name).unwrap_or(&Value::Null);
    let body = Updated {
        product_id: sale.is.product,
        start_date: sent("start_date"),
        end_date: sent("end_date"),
        flash_sale_id: sale.is.id,
        quantity: sent("quantity"),
    };
    Ok(Answer::json(StatusCode::OK, &body).replayed(replayed).into_response())
}

/// The window and the quantity, if the fields keep their rules.
fn check(fields: &Fields) -> Result<(maitred_core::Timestamp, maitred_core::Timestamp, u32), Answer> {
    let is_date = |text: &str| instant::read(text) != Instant::Malformed;
    let mut invalid = Vec::new();
    for name in ["start_date", "end_date"] {
        for rule in [&is_date as &dyn Fn(&str) -> bool, &|text: &str| !text.is_empty()] {
            if !fields.keeps(name, rule) {
                invalid.push(fields.invalid(name));
            }
        }
    }
    if !fields.keeps("quantity", is_whole_number) {
        invalid.push(fields.invalid("quantity"));
    }
    if !invalid.is_empty() {
        return Err(Answer::invalid(&invalid));
    }
    let date = |name| match fields.text(name).map(instant::read) {
        Some(Instant::At(at)) => Ok(at),
        _ => Err(Answer::error(StatusCode::BAD_REQUEST, NOT_UPDATED)),
    };
    let quantity = match fields.get("quantity") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => body::spelt(Some(number)).parse().ok(),
        None => None,
    };
    let quantity = quantity.ok_or_else(|| Answer::error(StatusCode::BAD_REQUEST, NOT_UPDATED))?;
    Ok((date("start_date")?, date("end_date")?, quantity))
}

fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl From<NotSet> for Answer {
    fn from(not_set: NotSet) -> Self {
        match not_set {
            NotSet::Unavailable(unavailable) => unavailable.into(),
            NotSet::Refused(rejection) if rejection.class == Class::Unprocessable => {
                Answer::error(StatusCode::BAD_REQUEST, NOT_UPDATED)
            }
            NotSet::Refused(rejection) => Problem::from(rejection).into(),
        }
    }
}
