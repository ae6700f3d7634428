//! `POST /orders` and `GET /orders`, for users who are logged in.

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_booking::Outcome;
use maitred_booking::accounts::LoggedIn;
use maitred_booking::app::App;
use maitred_booking::flash_sales::http::orders::place;
use maitred_booking::flash_sales::{self, Order, OrderStatus, PlaceOrder, view};
use maitred_core::Rejection;
use maitred_web::{Attempt, Problem, Time};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Answer;
use super::body::{self, Fields};
use super::sales;
use super::tenant::{self, Asked};

/// The most orders of one buyer that are looked through, from the newest back.
const ORDERS_MAX: usize = 1_000;

/// What is to be bought.
#[derive(ToSchema)]
#[schema(as = BookipiOrderInput)]
#[expect(dead_code, reason = "the API document alone reads it; the body is read as that service read it")]
pub(super) struct OrderInput {
    #[schema(rename = "productId", example = "550e8400-e29b-41d4-a716-446655440000")]
    product_id: Uuid,
}

/// An order that was placed.
#[derive(Serialize, ToSchema)]
#[schema(as = BookipiOrderPlaced)]
pub(super) struct Placed {
    order_id: Uuid,
    /// The same once more, as that service's clients read it.
    oder_id: Uuid,
    product_id: Uuid,
    /// `pending`.
    #[schema(pattern = "^pending$")]
    status: &'static str,
}

/// An order.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = BookipiOrder)]
#[serde(untagged)]
pub(super) enum OrderBody {
    /// It is to be processed.
    Pending {
        /// Its id.
        order_id: Uuid,
        /// Of what.
        product_id: Uuid,
        /// Whose.
        user_id: Uuid,
        /// `pending`.
        status: &'static str,
    },
    /// It was processed.
    Completed {
        /// Its id.
        order_id: Uuid,
        /// Of what.
        product_id: Uuid,
        /// `completed`.
        status: &'static str,
        /// When it was placed.
        created_at: Time,
    },
}

impl OrderBody {
    /// An order that has a piece; any other is none to that service's clients.
    fn of(order: Order, status: OrderStatus) -> Option<Self> {
        let Order { id: order_id, product: product_id, buyer: user_id, placed_at, .. } = order;
        match status {
            OrderStatus::Pending | OrderStatus::Held => {
                Some(OrderBody::Pending { order_id, product_id, user_id, status: "pending" })
            }
            OrderStatus::Completed | OrderStatus::Paid => {
                let created_at = Time(placed_at);
                Some(OrderBody::Completed { order_id, product_id, status: "completed", created_at })
            }
            OrderStatus::Failed | OrderStatus::Expired | OrderStatus::Cancelled => None,
        }
    }
}

/// Who asks: whoever has no token is told so before anything else.
pub(super) fn user(app: &App, asked: &Asked) -> Result<LoggedIn, Answer> {
    if !asked.headers.contains_key(axum::http::header::AUTHORIZATION) {
        return tenant::user(app, maitred_core::TenantNumber::SYSTEM, asked);
    }
    // Where an open server has no such tenant, no token is valid there.
    let tenant = tenant::of_read(app, &asked.headers)?.unwrap_or_default();
    tenant::user(app, tenant, asked)
}

/// Buy one piece of the sale.
#[utoipa::path(
    post,
    path = "/orders",
    operation_id = "bookipi_orders_create",
    tag = "bookipi",
    params(("X-Tenant" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    request_body = OrderInput,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A piece is the user's", body = Placed),
        (status = 400, description = "Not to be had, for the first of these reasons: `Product sold out`, `Already purchased`, `Sale is not active`", body = serde_json::Value, example = json!({"error": "Product sold out"})),
        (status = 401, description = "No token, or none that is valid", body = serde_json::Value, example = json!({"error": "Access token required"})),
    )
)]
pub(super) async fn create(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let attempt = Attempt::parse(request.headers(), request.method(), request.uri())?;
    let asked = Asked::of(&app, &request);
    let bytes = body::read(request).await?;
    let fields = Fields::parse(asked.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes), &bytes)?;
    let user = user(&app, &asked)?;
    let product = check(&fields)?;
    let sold_out = || Answer::error(StatusCode::BAD_REQUEST, "Product sold out");
    let sale = sales::current(&app.engine().view(), user.tenant).map(|sale| sale.is);
    // Compared as texts: the same id in capital letters was another product there.
    let sale = sale.filter(|sale| sale.product.to_string() == product).ok_or_else(sold_out)?;
    let order = PlaceOrder { sale: sale.id, buyer: user.user };
    let decided = place(&app, user.who(), order, attempt.identify(user.actor(), &bytes)).await?;
    let order = match decided.result {
        Ok(Outcome::FlashSales(flash_sales::Outcome::Order { order, .. })) => order.is,
        Ok(other) => unreachable!("a purchase is answered with {other:?}"),
        Err(rejection) => return Err(refused(rejection).replayed(decided.replayed)),
    };
    let placed =
        Placed { order_id: order.id, oder_id: order.id, product_id: order.product, status: "pending" };
    Ok(Answer::json(StatusCode::OK, &placed).replayed(decided.replayed).into_response())
}

fn refused(rejection: Rejection) -> Answer {
    let error = match &*rejection.code {
        "sold-out" | "sale-not-found" => "Product sold out",
        "buyer-limit-reached" => "Already purchased",
        "sale-not-active" => "Sale is not active",
        _ => return Problem::from(rejection).into(),
    };
    Answer::error(StatusCode::BAD_REQUEST, error)
}

/// The text of the product's id, if it has the form of one.
fn check(fields: &Fields) -> Result<&str, Answer> {
    let is_id = |text: &str| text.len() == 36 && Uuid::try_parse(text).is_ok();
    let mut invalid = Vec::new();
    for rule in [&is_id as &dyn Fn(&str) -> bool, &|text: &str| !text.is_empty()] {
        if !fields.keeps("productId", rule) {
            invalid.push(fields.invalid("productId"));
        }
    }
    match fields.text("productId") {
        Some(product) if invalid.is_empty() => Ok(product),
        _ if invalid.is_empty() => Err(Answer::invalid(&[fields.invalid("productId")])),
        _ => Err(Answer::invalid(&invalid)),
    }
}

/// The user's order in the sale, or null.
#[utoipa::path(
    get,
    path = "/orders",
    operation_id = "bookipi_orders_get",
    tag = "bookipi",
    params(("X-Tenant" = Option<String>, Header)),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The order, or null", body = Option<OrderBody>),
        (status = 401, description = "No token, or none that is valid", body = serde_json::Value, example = json!({"error": "Invalid token"})),
    )
)]
pub(super) async fn get(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let user = user(&app, &Asked::of(&app, &request))?;
    let view = app.engine().view();
    let at = app.engine().now().max(view.timestamp());
    let order = sales::current(&view, user.tenant).and_then(|sale| {
        view::newest_order(&view, user.tenant, user.user, ORDERS_MAX, &mut |order| {
            let status = order.status_at(at);
            (order.sale == sale.is.id).then(|| OrderBody::of(order, status)).flatten()
        })
    });
    Ok(Answer::json(StatusCode::OK, &order).into_response())
}

/// Another method of this path: whoever has no token is told so first.
pub(super) async fn unknown(State(app): State<App>, request: Request) -> Answer {
    user(&app, &Asked::of(&app, &request)).err().unwrap_or_else(Answer::route_not_found)
}

#[cfg(test)]
mod tests {
    use maitred_booking::money::{Currency, Money};
    use maitred_core::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_has_the_form_of_where_it_stands() {
        let id = Uuid::from_u128;
        let order = |status| Order {
            id: id(1),
            sale: id(2),
            product: id(3),
            buyer: id(4),
            status,
            price: Money { amount: 1, currency: Currency::parse("USD").expect("a code") },
            hold_expires_at: None,
            placed_at: Timestamp::from_millis(1_700_000_000_000),
            failure: None,
            payment_reference: None,
        };
        let body = |status| serde_json::to_value(OrderBody::of(order(status), status)).expect("JSON");
        assert_eq!(
            body(OrderStatus::Pending),
            json!({"order_id": id(1), "product_id": id(3), "user_id": id(4), "status": "pending"})
        );
        assert_eq!(
            body(OrderStatus::Completed),
            json!({
                "order_id": id(1), "product_id": id(3), "status": "completed",
                "created_at": "2023-11-14T22:13:20.000Z",
            })
        );
        assert_eq!(body(OrderStatus::Failed), json!(null));
    }
}
