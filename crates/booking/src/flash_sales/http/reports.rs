//! `/v1/tenants/{tenant}/sales/{id}/reconciliation` and `…/statistics`: what the owner of a sale looks at.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maitred_web::{AtLeast, Path, Problem, Query, Reply, Time};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::time;
use crate::app::{App, Scope};
use crate::flash_sales::fact::OrderStatus;
use crate::flash_sales::reconciliation::{self, OrderCounts};
use crate::flash_sales::{Second, statistics, view};
use crate::parameters::{PositionHeader, TenantPath};
use crate::reading::OneQuery;

/// How many orders stand where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderCounts)]
pub struct OrderCountsBody {
    /// All of them.
    all: u64,
    /// To be processed.
    pending: u64,
    /// Processed.
    completed: u64,
    /// Not to be carried out.
    failed: u64,
    /// To be paid.
    held: u64,
    /// Paid.
    paid: u64,
    /// Not paid in time.
    expired: u64,
    /// Given back.
    cancelled: u64,
}

impl From<OrderCounts> for OrderCountsBody {
    fn from(counts: OrderCounts) -> Self {
        OrderCountsBody {
            all: counts.all(),
            pending: counts.of(OrderStatus::Pending),
            completed: counts.of(OrderStatus::Completed),
            failed: counts.of(OrderStatus::Failed),
            held: counts.of(OrderStatus::Held),
            paid: counts.of(OrderStatus::Paid),
            expired: counts.of(OrderStatus::Expired),
            cancelled: counts.of(OrderStatus::Cancelled),
        }
    }
}

/// Looks at all of a sale. A large one takes a while: not on a thread that answers others.
async fn aside<T: Send + 'static>(
    sale: Uuid,
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(look).await.map_err(|error| {
        tracing::error!(error = %error, sale.id = %sale, "a report on a sale panicked");
        Problem::internal_error()
    })
}

/// What a sale was given, where its counts say the pieces are, and the orders behind them, counted one by one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reconciliation)]
pub struct ReconciliationBody {
    sale_id: Uuid,
    /// The instant it is about.
    at: Time,
    /// How many pieces the sale was given: the sum of the next four.
    issued: u64,
    /// How many are sold: to orders that are pending, completed or paid.
    sold: u32,
    /// How many wait to be paid.
    held: u32,
    /// How many are to be had.
    left: u32,
    /// How many went back to the product when the sale was closed.
    returned: u32,
    /// The orders, each looked at.
    orders: OrderCountsBody,
    /// How many buyers have a piece.
    buyers: u64,
    /// The most pieces that one of them has.
    most_per_buyer: u32,
    /// Whether everything agrees.
    balanced: bool,
    /// What does not, in words.
    differences: Vec<String>,
}

/// Hold a sale's counts against its orders, now or at any time before. Every order is looked at.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/sales/{id}/reconciliation",
    tag = "flash sales",
    operation_id = "sales_reconciliation",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), OneQuery, PositionHeader),
    responses(
        (status = 200, description = "What was found", body = ReconciliationBody),
        (status = 404, description = "It is not there, or was not there then"),
    )
)]
pub async fn reconciliation(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    Query(query): Query<OneQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let (view, moment) = query.open(&app, at_least).await?;
    let position = view.position();
    let look = move || reconciliation::reconcile(&view, scope.tenant, id, moment.at, moment.as_of);
    let found = aside(id, look).await?.ok_or_else(|| Problem::not_found("sale"))?;
    let body = ReconciliationBody {
        sale_id: id,
        at: Time(moment.at),
        issued: found.issued,
        sold: found.stock.sold,
        held: found.stock.held,
        left: found.stock.free,
        returned: found.stock.returned,
        orders: found.orders.into(),
        buyers: found.buyers,
        most_per_buyer: found.most_per_buyer,
        balanced: found.differences.is_empty(),
        differences: found.differences,
    };
    Ok(Reply::ok(body).at(position).into_response())
}

/// How the purchases of a sale were admitted.
#[derive(Debug, Serialize, ToSchema)]
pub struct SaleStatistics {
    sale_id: Uuid,
    /// What the log knows: every purchase, since the sale was announced.
    sold: SoldStatistics,
    /// What was counted, restarts included. Refusals write nothing to the log by themselves: their sums do, once a
    /// second, so that a server that is killed forgets about the last second of them.
    tries: TryStatistics,
}

/// The purchases of a sale, from the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoldStatistics {
    /// How many orders were placed.
    orders: u64,
    /// When the first was.
    first_at: Option<Time>,
    /// When the last was.
    last_at: Option<Time>,
    /// The seconds with an order, the newest 900, the oldest first.
    seconds: Vec<SoldSecond>,
    /// False for a sale of more than 200,000 movements: the newest of them were counted.
    complete: bool,
}

/// The purchases within a second.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoldSecond {
    /// Its first instant.
    at: Time,
    /// How many orders were placed.
    orders: u32,
}

/// The tries to buy, as they were counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct TryStatistics {
    /// How many there were.
    count: u64,
    /// How many were accepted.
    accepted: u64,
    /// How many were answered as an earlier one with the same key.
    replayed: u64,
    /// How many could not be decided: too many at once, say.
    undecided: u64,
    /// How many were refused, by code.
    refused: std::collections::BTreeMap<String, u64>,
    /// When the first was.
    first_at: Option<Time>,
    /// When the last was.
    last_at: Option<Time>,
    /// The seconds with a try, the newest 900, the oldest first.
    seconds: Vec<TrySecond>,
}

/// The tries within a second.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrySecond {
    /// Its first instant.
    at: Time,
    /// How many there were.
    tries: u32,
    /// How many were accepted.
    accepted: u32,
}

/// How the purchases of a sale were admitted: tries, refusals by reason, first and last sale, rates over time.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/sales/{id}/statistics",
    tag = "flash sales",
    operation_id = "sales_statistics",
    params(TenantPath, ("id" = Uuid, Path, description = "The sale's id"), PositionHeader),
    responses(
        (status = 200, description = "The statistics", body = SaleStatistics),
        (status = 404, description = "It is not there"),
    )
)]
pub async fn statistics(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, Uuid)>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let view = app.view(at_least).await?;
    view::sale(&view, scope.tenant, id, None).ok_or_else(|| Problem::not_found("sale"))?;
    let position = view.position();
    let accepted = aside(id, move || statistics::accepted(&view, scope.tenant, id)).await?;
    let tally = app.tries(scope.tenant, id);
    let seconds = accepted.seconds.into_iter();
    let count = tally.count();
    let tries = tally.seconds.into_iter();
    let body = SaleStatistics {
        sale_id: id,
        sold: SoldStatistics {
            orders: accepted.orders,
            first_at: time(accepted.first_at),
            last_at: time(accepted.last_at),
            seconds: seconds.map(|(at, orders)| SoldSecond { at: Time(at), orders }).collect(),
            complete: accepted.complete,
        },
        tries: TryStatistics {
            count,
            accepted: tally.accepted,
            replayed: tally.replayed,
            undecided: tally.undecided,
            refused: tally.refused,
            first_at: time(tally.first_at),
            last_at: time(tally.last_at),
            seconds: tries
                .map(|Second { at, tries, accepted }| TrySecond { at: Time(at), tries, accepted })
                .collect(),
        },
    };
    Ok(Reply::ok(body).at(position).into_response())
}
