//! `/v1/tenants/{tenant}/sales/{id}/orders` and `/v1/tenants/{tenant}/orders…`.

use axum::extract::State;
use axum::response::Response;
use maitred_core::{Actor, TenantNumber};
use maitred_engine::batch::Idempotency;
use maitred_engine::{Answer, Envelope, Unavailable};
use maitred_web::{AsOf, AtLeast, Attempt, Limit, OptionalJsonBody, Page, Path, Problem, Query, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Asking, COMMAND_BYTES, RecordVersion, buyer, confined_to, own, submit, tag, time, write_reply};
use crate::app::{Accepted, App, refusal};
use crate::flash_sales::command::{Command, PlaceOrder, REASON_CHARS_MAX};
use crate::flash_sales::fact::{Order, OrderStatus};
use crate::flash_sales::rules::Outcome;
use crate::flash_sales::statistics::Try;
use crate::flash_sales::view::{self, OrderPlace, OrderQuery, Versioned};
use crate::money::MoneyBody;
use crate::paging::{self, ListQuery, Listing};
use crate::parameters::{IdempotencyHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{Moment, One, OneQuery};
use crate::record::Kind;

// The attribute below takes literals alone.
const _: () = assert!(REASON_CHARS_MAX == 200);

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderStatus)]
pub enum OrderStatusName {
    /// Its piece is sold; it is to be processed.
    Pending,
    /// It was processed.
    Completed,
    /// It could not be carried out; its piece is back.
    Failed,
    /// Its piece waits to be paid.
    Held,
    /// Its piece is paid, and sold.
    Paid,
    /// Its piece was not paid in time, and is back.
    Expired,
    /// Its piece was given back.
    Cancelled,
}

impl From<OrderStatus> for OrderStatusName {
    fn from(from: OrderStatus) -> Self {
        match from {
            OrderStatus::Pending => OrderStatusName::Pending,
            OrderStatus::Completed => OrderStatusName::Completed,
            OrderStatus::Failed => OrderStatusName::Failed,
            OrderStatus::Held => OrderStatusName::Held,
            OrderStatus::Paid => OrderStatusName::Paid,
            OrderStatus::Expired => OrderStatusName::Expired,
            OrderStatus::Cancelled => OrderStatusName::Cancelled,
        }
    }
}

impl From<OrderStatusName> for OrderStatus {
    fn from(from: OrderStatusName) -> Self {
        match from {
            OrderStatusName::Pending => OrderStatus::Pending,
            OrderStatusName::Completed => OrderStatus::Completed,
            OrderStatusName::Failed => OrderStatus::Failed,
            OrderStatusName::Held => OrderStatus::Held,
            OrderStatusName::Paid => OrderStatus::Paid,
            OrderStatusName::Expired => OrderStatus::Expired,
            OrderStatusName::Cancelled => OrderStatus::Cancelled,
        }
    }
}

/// For whom a piece is bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderInput {
    /// Required of whoever works for the tenant; a customer buys for themselves.
    #[serde(default)]
    buyer_id: Option<Uuid>,
}

/// A payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentInput {
    /// What the payment is known by elsewhere.
    #[schema(min_length = 1, max_length = 200)]
    #[serde(default)]
    reference: Option<String>,
}

/// An order for one piece.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody {
    id: Uuid,
    sale_id: Uuid,
    product_id: Uuid,
    /// Whose it is.
    buyer_id: Uuid,
    /// Where it stands.
    status: OrderStatusName,
    /// What the piece costs.
    price: MoneyBody,
    /// Until when the piece is, or was, held.
    hold_expires_at: Option<Time>,
    /// Why it failed.
    failure: Option<String>,
    /// What its payment is known by elsewhere.
    payment_reference: Option<String>,
    /// From 1.
    version: u64,
    placed_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl OrderBody {
    /// An order that is shown with this status.
    pub fn new(Versioned { version, updated_at, is }: Versioned<Order>, status: OrderStatus) -> Self {
        OrderBody {
            id: is.id,
            sale_id: is.sale,
            product_id: is.product,
            buyer_id: is.buyer,
            status: status.into(),
            price: is.price.into(),
            hold_expires_at: time(is.hold_expires_at),
            failure: is.failure,
            payment_reference: is.payment_reference,
            version,
            placed_at: Time(is.placed_at),
            updated_at: Time(updated_at),
        }
    }

    fn at(order: Versioned<Order>, moment: Moment) -> Self {
        let status = order.is.status_at(moment.at);
        OrderBody::new(order, status)
    }
}

impl From<Versioned<Order>> for OrderBody {
    fn from(order: Versioned<Order>) -> Self {
        let status = order.is.status;
        OrderBody::new(order, status)
    }
}

/// Decides a purchase, and counts the try.
///
/// Without an idempotency key a refusal is decided on this thread against the newest published view, so that a sale
/// that is sold out costs no place in the queue; whatever can be accepted, or probably is (`flash_sales/hints.rs`),
/// goes to the writer.
///
/// # Errors
/// [`Unavailable`].
pub async fn place(
    app: &App,
    (tenant, actor): (TenantNumber, Actor),
    command: PlaceOrder,
    idempotency: Option<Idempotency>,
) -> Result<Answer<crate::Outcome>, Unavailable> {
    let envelope = Envelope {
        tenant,
        actor,
        idempotency,
        bytes: COMMAND_BYTES,
        command: crate::Command::from(Command::PlaceOrder(command)),
    };
    let hints = app.purchase_hints();
    let counted = Counted { app, tenant, sale: command.sale, is_over: false };
    let refusal = if hints.refuses(command.sale) { app.engine().refuse(&envelope) } else { None };
    let answer = match refusal {
        Some(refusal) => Ok(refusal),
        None => app.engine().submit(envelope).await,
    };
    let what = match &answer {
        Err(_) => Try::Undecided,
        Ok(answer) if answer.replayed => Try::Replayed,
        Ok(Answer { result: Ok(_), .. }) => Try::Accepted,
        Ok(Answer { result: Err(rejection), .. }) => Try::Refused(&rejection.code),
    };
    if let Ok(answer) = &answer {
        hints.note(command.sale, answer.result.is_err());
    }
    counted.end(what);
    answer
}

/// A try that will be counted, whatever becomes of it: one whose client goes meanwhile may be decided, and nobody here
/// will know.
struct Counted<'a> {
    app: &'a App,
    tenant: TenantNumber,
    sale: Uuid,
    is_over: bool,
}

impl Counted<'_> {
    fn end(mut self, what: Try<'_>) {
        self.is_over = true;
        self.count(what);
    }

    fn count(&self, what: Try<'_>) {
        let Counted { app, tenant, sale, .. } = *self;
        // Anybody can name a sale that is not there.
        let is_there = match what {
            Try::Undecided => view::sale(&app.engine().view(), tenant, sale, None).is_some(),
            what => what != Try::Refused("sale-not-found"),
        };
        if is_there {
            app.count_try(tenant, sale, what);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.count(Try::Undecided);
        }
    }
}

/// Buy one piece: in one decision, refused for what comes first of: the sale known, stock, limit, window.
///
/// Without payment hold the order is `pending`, and `completed` as soon as it was processed. With one it is `held`
/// until it is paid, cancelled, or expires.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/sales/{id}/orders",
    tag = "flash sales",
    operation_id = "orders_create",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), IdempotencyHeader),
    request_body = Option<OrderInput>,
    responses(
        (status = 201, description = "A piece is the buyer's", body = OrderBody),
        (status = 404, description = "There is no such sale"),
        (status = 409, description = "It is sold out, the buyer has as many as one may have, or it is not active"),
    )
)]
pub async fn create(
    State(app): State<App>,
    Asking(scope): Asking,
    Path((slug, sale)): Path<(String, Uuid)>,
    attempt: Attempt,
    OptionalJsonBody { value, bytes }: OptionalJsonBody<OrderInput>,
) -> Result<Response, Problem> {
    let buyer = buyer(&scope.caller, value.buyer_id)?;
    let key = attempt.identify(scope.caller.actor, &bytes);
    let answer = place(&app, scope.who(), PlaceOrder { sale, buyer }, key).await?;
    let Answer { result, position, replayed, .. } = answer;
    let outcome = own(result.map_err(|rejection| refusal(rejection, position, replayed))?);
    let Outcome::Order { order, .. } = outcome else {
        unreachable!("a purchase is answered with {outcome:?}");
    };
    let location = format!("/v1/tenants/{slug}/orders/{}", order.is.id);
    Ok(write_reply((order.version, OrderBody::from(order)), Some(location), (position, replayed)))
}

/// Which orders are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrdersQuery {
    /// Those of this sale.
    #[serde(default)]
    sale_id: Option<Uuid>,
    /// Those of this buyer. A customer sees their own alone.
    #[serde(default)]
    buyer_id: Option<Uuid>,
    /// Those that stand so.
    #[param(inline)]
    #[serde(default)]
    status: Option<OrderStatusName>,
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

/// The orders: a customer's own, or those of all. Those of one sale come in the order in which they were placed, others
/// by id, which is the same to the millisecond.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/orders",
    tag = "flash sales",
    operation_id = "orders_list",
    params(TenantPath, OrdersQuery, PositionHeader),
    responses((status = 200, description = "A page of orders; it may be short and have a next one", body = Page<OrderBody>))
)]
pub async fn list(
    State(app): State<App>,
    Asking(scope): Asking,
    Query(query): Query<OrdersQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let own = confined_to(&scope.caller);
    if own.is_some() && query.buyer_id.is_some_and(|named| Some(named) != own) {
        return Err(Problem::forbidden("A customer sees their own orders; leave buyer_id out."));
    }
    let buyer = own.or(query.buyer_id);
    let cursors = paging::cursors(&app, "orders", scope.tenant, query.as_of)
        .filtered_by(query.sale_id)
        .filtered_by(buyer)
        .filtered_by(query.status.map(|status| format!("{status:?}")));
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), query.as_of, at_least).await?;
    let moment = listing.moment();
    let after = listing.after.as_deref().map(read_place);
    let wanted = OrderQuery {
        sale: query.sale_id,
        buyer,
        status: query.status.map(OrderStatus::from),
        at: moment.at,
        as_of: moment.as_of,
    };
    let found = view::orders(&listing.view, scope.tenant, &wanted, after, query.limit.get());
    let items = found.items.into_iter().map(|order| OrderBody::at(order, moment));
    Ok(listing.reply(items, found.next.map(write_place)))
}

fn write_place(place: OrderPlace) -> Vec<u8> {
    match place {
        OrderPlace::Id(id) => id.as_bytes().to_vec(),
        OrderPlace::Placed(change) => paging::write_change(change).to_vec(),
    }
}

fn read_place(opened: &[u8]) -> OrderPlace {
    match <[u8; 16]>::try_from(opened) {
        Ok(id) => OrderPlace::Id(Uuid::from_bytes(id)),
        Err(_) => OrderPlace::Placed(paging::read_change(opened)),
    }
}

/// One order.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/orders/{id}",
    tag = "flash sales",
    operation_id = "orders_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The order's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The order", body = OrderBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "It is not there, was not there then, or is another customer's"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One<Asking>) -> Result<Response, Problem> {
    let Asking(scope) = one.who;
    let own = confined_to(&scope.caller);
    let found = view::order(&one.view, scope.tenant, id, one.moment.as_of)
        .filter(|found| own.is_none_or(|own| found.is.buyer == own))
        .ok_or_else(|| Problem::not_found("order"))?;
    let version = found.version;
    let body = OrderBody::at(found, one.moment);
    Ok(one.reply(tag(version, &body), body))
}

/// Every version of an order, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/orders/{id}/versions",
    tag = "flash sales",
    operation_id = "orders_versions",
    params(TenantPath, ("id" = Uuid, Path, description = "The order's id"), ListQuery, PositionHeader),
    responses(
        (status = 200, description = "A page of versions", body = Page<RecordVersion<OrderBody>>),
        (status = 404, description = "It is not there, or is another customer's"),
    )
)]
pub async fn versions(
    State(app): State<App>,
    Asking(scope): Asking,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<ListQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    if let Some(own) = confined_to(&scope.caller) {
        let view = app.view(at_least).await?;
        view::order(&view, scope.tenant, id, None)
            .filter(|found| found.is.buyer == own)
            .ok_or_else(|| Problem::not_found("order"))?;
    }
    super::versions::<Order, OrderBody>(&app, &scope, (Kind::Order, id), &query, at_least).await
}

fn answer(Accepted { outcome, position, replayed }: Accepted<Outcome>) -> Response {
    let Outcome::Order { order, .. } = outcome else {
        unreachable!("a command on an order is answered with {outcome:?}");
    };
    write_reply((order.version, OrderBody::from(order)), None, (position, replayed))
}

/// Record that the held piece of an order is paid. This server takes no money: the shop, or what takes its payments,
/// says so.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/orders/{id}/pay",
    tag = "flash sales",
    operation_id = "orders_pay",
    params(TenantPath, ("id" = Uuid, Path, description = "The order's id"), IdempotencyHeader),
    request_body = Option<PaymentInput>,
    responses(
        (status = 200, description = "It is paid", body = OrderBody),
        (status = 404, description = "It is not there, or is another customer's"),
        (status = 409, description = "Its hold is over, or it holds nothing"),
    )
)]
pub async fn pay(
    State(app): State<App>,
    Asking(scope): Asking,
    Path((_tenant, order)): Path<(String, Uuid)>,
    attempt: Attempt,
    OptionalJsonBody { value, bytes }: OptionalJsonBody<PaymentInput>,
) -> Result<Response, Problem> {
    let buyer = confined_to(&scope.caller);
    let command = Command::PayOrder { order, buyer, reference: value.reference };
    submit(&app, &scope, &attempt, &bytes, command).await.map(answer)
}

/// Give the held piece of an order back.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/orders/{id}/cancel",
    tag = "flash sales",
    operation_id = "orders_cancel",
    params(TenantPath, ("id" = Uuid, Path, description = "The order's id"), IdempotencyHeader),
    responses(
        (status = 200, description = "It is cancelled, now or before", body = OrderBody),
        (status = 404, description = "It is not there, or is another customer's"),
        (status = 409, description = "Its hold is over, or it holds nothing"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    Asking(scope): Asking,
    Path((_tenant, order)): Path<(String, Uuid)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let buyer = confined_to(&scope.caller);
    submit(&app, &scope, &attempt, &[], Command::CancelOrder { order, buyer }).await.map(answer)
}
