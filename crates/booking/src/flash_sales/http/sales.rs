//! `/v1/tenants/{tenant}/sales…`, but for the orders.

use axum::extract::State;
use axum::response::Response;
use maitred_core::{TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_web::{
    AsOf, AtLeast, Attempt, JsonBody, Limit, Page, Path, Preconditions, Problem, Query, Time, sse,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{RecordVersion, price, submit, tag, write_reply};
use crate::app::{Accepted, App, Scope, version_wanted};
use crate::flash_sales::command::{
    BUYER_LIMIT_MAX, Command, CreateSale, HOLD_SECONDS_MAX, QUANTITY_MAX, SalePatch, UpdateSale,
};
use crate::flash_sales::fact::Sale;
use crate::flash_sales::live;
use crate::flash_sales::rules::{Effect, Outcome};
use crate::flash_sales::stock::Stock;
use crate::flash_sales::view::{self, SaleState, Versioned};
use crate::json::given;
use crate::money::MoneyBody;
use crate::paging::{self, ListQuery, Listing};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{Moment, One, OneQuery};
use crate::record::Kind;
use crate::violation::{Violation, refuse_any};

// The attributes below take literals alone.
const _: () = assert!(QUANTITY_MAX == 1_000_000 && BUYER_LIMIT_MAX == 100 && HOLD_SECONDS_MAX == 86_400);

/// Where a sale stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SaleState)]
pub enum SaleStateName {
    /// Its window has not begun.
    Upcoming,
    /// It sells.
    Active,
    /// Its window is open, and nothing is left.
    SoldOut,
    /// Its window is over, or somebody ended it.
    Ended,
    /// Somebody cancelled it.
    Cancelled,
}

impl From<SaleState> for SaleStateName {
    fn from(from: SaleState) -> Self {
        match from {
            SaleState::Upcoming => SaleStateName::Upcoming,
            SaleState::Active => SaleStateName::Active,
            SaleState::SoldOut => SaleStateName::SoldOut,
            SaleState::Ended => SaleStateName::Ended,
            SaleState::Cancelled => SaleStateName::Cancelled,
        }
    }
}

/// A sale to be announced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaleInput {
    /// Of what.
    product_id: Uuid,
    /// The first instant at which it sells.
    starts_at: Time,
    /// The first instant at which it no longer does; after `starts_at`.
    ends_at: Time,
    /// How many pieces it gives out. They are taken from the product's inventory at once.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: u32,
    /// How many pieces one buyer may have; 1 if absent.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    #[serde(default)]
    buyer_limit: Option<u32>,
    /// For how many seconds a piece is held until it is paid. Without it nothing need be paid here.
    #[schema(minimum = 1, maximum = 86_400)]
    #[serde(default)]
    hold_seconds: Option<u32>,
    /// What a piece costs; the product's price if absent.
    #[serde(default)]
    price: Option<MoneyBody>,
}

/// New values of a sale's fields; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SalePatch)]
pub struct SalePatchInput {
    /// The start.
    #[schema(value_type = Time, required = false)]
    #[serde(default, deserialize_with = "given")]
    starts_at: Option<Time>,
    /// The end.
    #[schema(value_type = Time, required = false)]
    #[serde(default, deserialize_with = "given")]
    ends_at: Option<Time>,
    /// How many pieces it gives out in all: not fewer than are sold and held already.
    #[schema(value_type = u32, required = false, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "given")]
    quantity: Option<u32>,
    /// The limit, for purchases from now on.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 100)]
    #[serde(default, deserialize_with = "given")]
    buyer_limit: Option<u32>,
    /// How long pieces are held from now on; null: not at all.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 86_400)]
    #[serde(default, deserialize_with = "given")]
    hold_seconds: Option<Option<u32>>,
    /// The price of purchases from now on.
    #[schema(value_type = MoneyBody, required = false)]
    #[serde(default, deserialize_with = "given")]
    price: Option<MoneyBody>,
}

/// A sale as it is recorded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sale)]
pub struct SaleBody {
    id: Uuid,
    /// Of what.
    product_id: Uuid,
    /// The first instant at which it sells.
    starts_at: Time,
    /// The first instant at which it no longer does.
    ends_at: Time,
    /// How many pieces were given to it.
    quantity: u32,
    /// How many pieces one buyer may have.
    buyer_limit: u32,
    /// For how many seconds a piece is held until it is paid.
    hold_seconds: Option<u32>,
    /// What a piece costs.
    price: MoneyBody,
    /// Since when it is closed, if it is: what was left is back in the product's inventory.
    closed_at: Option<Time>,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<Versioned<Sale>> for SaleBody {
    fn from(Versioned { version, updated_at, is }: Versioned<Sale>) -> Self {
        SaleBody {
            id: is.id,
            product_id: is.product,
            starts_at: Time(is.starts_at),
            ends_at: Time(is.ends_at),
            quantity: is.quantity,
            buyer_limit: is.buyer_limit,
            hold_seconds: is.hold_seconds,
            price: is.price.into(),
            closed_at: is.closed.map(|closed| Time(closed.at)),
            version,
            created_at: Time(is.created_at),
            updated_at: Time(updated_at),
        }
    }
}

/// A sale with what is left of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleWithStock {
    #[serde(flatten)]
    sale: SaleBody,
    /// The product's name.
    product_name: String,
    /// Where the sale stands.
    state: SaleStateName,
    /// How many pieces are to be had.
    left: u32,
    /// How many wait to be paid.
    held: u32,
    /// How many are sold.
    sold: u32,
    /// How many went back to the product when the sale was closed.
    returned: u32,
}

impl SaleWithStock {
    fn new(view: &View, tenant: TenantNumber, found: Versioned<Sale>, stock: Stock, moment: Moment) -> Self {
        let name = view::product_name(view, tenant, found.is.product, moment.as_of);
        let state = found.is.state_at(moment.at, stock.free);
        SaleWithStock {
            sale: found.into(),
            product_name: name.unwrap_or_default(),
            state: state.into(),
            left: stock.free,
            held: stock.held,
            sold: stock.sold,
            returned: stock.returned,
        }
    }

    fn read(view: &View, tenant: TenantNumber, found: Versioned<Sale>, moment: Moment) -> Self {
        let stock = view::stock_at(view, tenant, found.is.id, moment.at, moment.as_of);
        SaleWithStock::new(view, tenant, found, stock.unwrap_or_default(), moment)
    }
}

pub(crate) fn answer(app: &App, tenant: TenantNumber, accepted: Accepted<Outcome>) -> Response {
    let Accepted { outcome: Outcome::Sale { effect, sale, stock }, position, replayed } = accepted else {
        unreachable!("a command on a sale is answered with {accepted:?}");
    };
    let view = app.engine().view();
    let location = (effect == Effect::Created).then(|| {
        let slug = crate::tenants::tenant(&view, tenant).map(|tenant| tenant.profile.slug);
        format!("/v1/tenants/{}/sales/{}", slug.unwrap_or_default(), sale.is.id)
    });
    let moment = Moment { as_of: None, at: app.engine().now().max(sale.updated_at) };
    let version = sale.version;
    let body = SaleWithStock::new(&view, tenant, sale, stock, moment);
    write_reply((version, body), location, (position, replayed))
}

/// Announce a sale. Its pieces are taken from the product's inventory at once.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/sales",
    tag = "flash sales",
    operation_id = "sales_create",
    params(TenantPath, IdempotencyHeader),
    request_body = SaleInput,
    responses(
        (status = 201, description = "It is there", body = SaleWithStock),
        (status = 404, description = "There is no such product"),
        (status = 409, description = "The product has not as many pieces available"),
        (status = 429, description = "The product has 100 open sales already"),
    )
)]
pub async fn create(
    State(app): State<App>,
    scope: Scope,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<SaleInput>,
) -> Result<Response, Problem> {
    if value.quantity == 0 {
        // The rules allow it: the sale of a replaced service is there before it is given anything.
        let detail = "quantity must be at least 1: a sale of nothing is sold out at once";
        refuse_any(&[Violation::new("/quantity", "invalid-quantity", detail)])?;
    }
    let command = CreateSale {
        id: None,
        product: value.product_id,
        starts_at: value.starts_at.0,
        ends_at: value.ends_at.0,
        quantity: value.quantity,
        buyer_limit: value.buyer_limit.unwrap_or(1),
        hold_seconds: value.hold_seconds,
        price: value.price.as_ref().map(price).transpose()?,
    };
    let accepted = submit(&app, &scope, &attempt, &bytes, Command::CreateSale(command)).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Which sales are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SalesQuery {
    /// Those of this product.
    #[serde(default)]
    product_id: Option<Uuid>,
    /// Those that stand so.
    #[param(inline)]
    #[serde(default)]
    state: Option<SaleStateName>,
    /// As the system knew them then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// The sales, by id: those that were announced first come first, to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/sales",
    tag = "flash sales",
    operation_id = "sales_list",
    params(TenantPath, SalesQuery, PositionHeader),
    responses((status = 200, description = "A page of sales; it may be short and have a next one", body = Page<SaleWithStock>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<SalesQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = paging::cursors(&app, "sales", scope.tenant, query.as_of)
        .filtered_by(query.product_id)
        .filtered_by(query.state.map(|state| format!("{state:?}")));
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), query.as_of, at_least).await?;
    let (view, moment) = (&listing.view, listing.moment());
    let after = listing.after.as_deref().map(|place| Uuid::from_bytes(paging::place(place)));
    let free = |id| view::stock_at(view, scope.tenant, id, moment.at, moment.as_of).map_or(0, |s| s.free);
    let want = |found: &Versioned<Sale>| {
        let state = |sale: &Sale| SaleStateName::from(sale.state_at(moment.at, free(sale.id)));
        query.product_id.is_none_or(|product| found.is.product == product)
            && query.state.is_none_or(|wanted| state(&found.is) == wanted)
    };
    let found = view::sales(view, scope.tenant, after, moment.as_of, query.limit.get(), &want);
    let body = |sale| SaleWithStock::read(view, scope.tenant, sale, moment);
    Ok(listing.reply(found.items.into_iter().map(body), found.next))
}

/// One sale, and what is left of it. `If-None-Match` makes asking again and again cheap.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/sales/{id}",
    tag = "flash sales",
    operation_id = "sales_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The sale", body = SaleWithStock),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    let found = view::sale(&one.view, one.who.tenant, id, one.moment.as_of)
        .ok_or_else(|| Problem::not_found("sale"))?;
    let version = found.version;
    let body = SaleWithStock::read(&one.view, one.who.tenant, found, one.moment);
    Ok(one.reply(tag(version, &body), body))
}

/// Change a sale that has not ended, while it runs too: what is absent stays.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/sales/{id}",
    tag = "flash sales",
    operation_id = "sales_update",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), IfMatchHeader, IdempotencyHeader),
    request_body = SalePatchInput,
    responses(
        (status = 200, description = "The sale as it is now", body = SaleWithStock),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It is closed, more is sold, or the product has not as many pieces"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn update(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, sale)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<SalePatchInput>,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, sale)?;
    let patch = SalePatch {
        starts_at: value.starts_at.map(Timestamp::from),
        ends_at: value.ends_at.map(Timestamp::from),
        quantity: value.quantity,
        buyer_limit: value.buyer_limit,
        hold_seconds: value.hold_seconds,
        price: value.price.as_ref().map(price).transpose()?,
    };
    let command = Command::UpdateSale(UpdateSale { sale, patch, if_version });
    let accepted = submit(&app, &scope, &attempt, &bytes, command).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// Cancel a sale. What is left goes back to the product; orders stay as they are.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/sales/{id}/cancel",
    tag = "flash sales",
    operation_id = "sales_cancel",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It is cancelled, now or before", body = SaleWithStock),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It has ended"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, sale)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, sale)?;
    let accepted = submit(&app, &scope, &attempt, &[], Command::CancelSale { sale, if_version }).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

/// End a sale before its time. What is left goes back to the product; orders stay as they are.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/sales/{id}/end",
    tag = "flash sales",
    operation_id = "sales_end",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), IfMatchHeader, IdempotencyHeader),
    responses(
        (status = 200, description = "It has ended, now or before", body = SaleWithStock),
        (status = 404, description = "It is not there"),
        (status = 409, description = "It is cancelled"),
        (status = 412, description = "It is at another version"),
    )
)]
pub async fn end(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, sale)): Path<(String, Uuid)>,
    preconditions: Preconditions,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let if_version = version_now(&app, &scope, &preconditions, sale)?;
    let accepted = submit(&app, &scope, &attempt, &[], Command::EndSale { sale, if_version }).await?;
    Ok(answer(&app, scope.tenant, accepted))
}

fn version_now(
    app: &App,
    scope: &Scope,
    preconditions: &Preconditions,
    id: Uuid,
) -> Result<Option<u64>, Problem> {
    version_wanted(preconditions, || Some(view::sale(&app.engine().view(), scope.tenant, id, None)?.version))
}

/// Every version of a sale, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/sales/{id}/versions",
    tag = "flash sales",
    operation_id = "sales_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<SaleBody>>),
        (status = 404, description = "It is not there"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    super::versions::<Sale, SaleBody>(&app, &scope, (Kind::Sale, id), &query, at_least).await
}

/// A sale live, as server-sent events: its state and stock now, and then whenever they change, at most four times a
/// second. Each event's `data` is a `LiveSale` with `server_time`, by which a client counts down.
///
/// The stream ends when the server shuts down.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/sales/{id}/stream",
    tag = "flash sales",
    operation_id = "sales_stream",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), PositionHeader),
    responses(
        (status = 200, description = "The sale", content((live::LiveSale = "text/event-stream"))),
        (status = 404, description = "It is not there"),
        (status = 503, description = "10,000 listen to this server already"),
    )
)]
pub async fn stream(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    app.view(at_least).await?;
    Ok(sse::stream(live::listen(&app, scope.tenant, id)?))
}
