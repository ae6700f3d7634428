//! The owner's side of a sale under load: it is announced, looked into afterwards, and ended.
//!
//! The books are the orders, each of them, and the server's own reconciliation.

use std::collections::HashSet;
use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::report::grouped;
use super::super::{LoadError, Target};
use super::tries::Said;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::place::runtime;

/// How long a request of the shop may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The sale's window begins and ends so far from now: clocks may differ.
const WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Orders of a page: the server's limit.
const PAGE: u32 = 1000;

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> Self {
        LoadError::Unavailable(failure.message().to_owned())
    }
}

/// A tenant's shop.
#[derive(Debug)]
pub(super) struct Shop {
    client: Client,
    runtime: tokio::runtime::Runtime,
    base: String,
}

/// What the server's books show.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Orders, listed one by one.
    orders: u64,
    /// As many as there must be.
    orders_expected: u64,
    /// Orders that were acknowledged and are not there.
    acknowledged_missing: u64,
    /// Buyers who have a piece, and the most that one has.
    buyers: u64,
    most_per_buyer: u64,
    sold: u64,
    left: u64,
    /// What the server's reconciliation says.
    balanced: bool,
    differences: Value,
}

impl Shop {
    /// The shop of a tenant.
    pub(super) fn new(target: &Target) -> Result<Self, LoadError> {
        Ok(Shop {
            client: Client::new(&target.url, target.key.clone())?,
            runtime: runtime()?,
            base: format!("/v1/tenants/{}", target.slug()?),
        })
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, LoadError> {
        let path = format!("{}/{path}", self.base);
        let answer = self.client.json(method, &path, body);
        let answered = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
        let answered =
            answered.map_err(|_elapsed| LoadError::Unavailable(format!("{path}: no answer in time")))?;
        answered.map_err(|failure| LoadError::Unavailable(format!("{path}: {}", failure.message())))
    }

    /// Brings a product in and announces a sale of all of it, which is on at once. A sale begins with a piece at least;
    /// one that is to have none is left with none.
    pub(super) fn announce(&self, stock: u32, buyer_limit: u32) -> Result<Uuid, LoadError> {
        let product = json!({
            "name": "Load test", "price": {"amount": 9999, "currency": "EUR"}, "inventory": stock.max(1),
        });
        let product = id(&self.ask(Method::POST, "products", Some(&product))?)?;
        let now = Timestamp::now();
        let sale = json!({
            "product_id": product, "quantity": stock.max(1), "buyer_limit": buyer_limit,
            "starts_at": (now - WINDOW).to_string(), "ends_at": (now + WINDOW).to_string(),
        });
        let sale = id(&self.ask(Method::POST, "sales", Some(&sale))?)?;
        if stock == 0 {
            self.ask(Method::PATCH, &format!("sales/{sale}"), Some(&json!({"quantity": 0})))?;
        }
        Ok(sale)
    }

    /// Ends a sale.
    pub(super) fn end(&self, sale: Uuid) -> Result<(), LoadError> {
        self.ask(Method::POST, &format!("sales/{sale}/end"), None).map(drop)
    }

    /// Holds a sale against what was said of it.
    pub(super) fn check(&self, sale: Uuid, said: &Said) -> Result<Check, LoadError> {
        let orders = self.orders(sale, said.stock)?;
        let found = self.ask(Method::GET, &format!("sales/{sale}/reconciliation"), None)?;
        let number = |field: &str| {
            found[field].as_u64().ok_or_else(|| LoadError::Unavailable(format!("no {field} in {found}")))
        };
        let missing = said.acknowledged.iter().filter(|id| !orders.contains(*id));
        Ok(Check {
            orders: orders.len() as u64,
            orders_expected: said.orders,
            acknowledged_missing: missing.count() as u64,
            buyers: number("buyers")?,
            most_per_buyer: number("most_per_buyer")?,
            sold: number("sold")?,
            left: number("left")?,
            balanced: found["balanced"] == true,
            differences: found["differences"].clone(),
        })
    }

    /// The ids of a sale's orders; no page more once there are more than pieces.
    fn orders(&self, sale: Uuid, stock: u32) -> Result<HashSet<String>, LoadError> {
        let mut ids = HashSet::new();
        let mut path = format!("orders?sale_id={sale}&limit={PAGE}");
        loop {
            let page = self.ask(Method::GET, &path, None)?;
            let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            ids.extend(items.iter().filter_map(|order| order["id"].as_str()).map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(cursor) if ids.len() as u64 <= u64::from(stock) => {
                    path = format!("orders?sale_id={sale}&limit={PAGE}&cursor={cursor}");
                }
                _ => return Ok(ids),
            }
        }
    }
}

fn id(body: &Value) -> Result<Uuid, LoadError> {
    let id = body["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| LoadError::Unavailable(format!("the answer has no id: {body}")))
}

impl Check {
    /// What is wrong; empty if nothing is.
    pub(super) fn problems(&self, said: &Said) -> Vec<String> {
        let mut problems = Vec::new();
        let mut demand = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let most = self.orders_expected + said.unknown;
        demand(
            (self.orders_expected..=most.min(said.stock.into())).contains(&self.orders),
            format!("{} orders instead of {}", self.orders, self.orders_expected),
        );
        demand(
            self.acknowledged_missing == 0,
            format!("{} orders were acknowledged and are not there", self.acknowledged_missing),
        );
        demand(
            self.orders <= said.acknowledged.len() as u64 + said.unknown,
            format!("{} orders, of which {} were acknowledged", self.orders, said.acknowledged.len()),
        );
        demand(
            self.most_per_buyer <= said.buyer_limit.into(),
            format!("a buyer has {} pieces, and may have {}", self.most_per_buyer, said.buyer_limit),
        );
        demand(
            self.sold == self.orders && self.sold + self.left == u64::from(said.stock),
            format!(
                "{} sold and {} left of {} with {} orders",
                self.sold, self.left, said.stock, self.orders
            ),
        );
        demand(self.balanced, format!("the reconciliation found: {}", self.differences));
        problems
    }

    /// In a line.
    pub(super) fn text(&self) -> String {
        let Check { orders, orders_expected, buyers, most_per_buyer, left, .. } = self;
        let [orders, expected, buyers, left] =
            [orders, orders_expected, buyers, left].map(|number| grouped(*number));
        let balanced = if self.balanced { "balanced" } else { "NOT balanced" };
        format!(
            "{orders} orders ({expected} expected) of {buyers} buyers, at most {most_per_buyer} each; {left} left; {balanced}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(acknowledged: u64, unknown: u64) -> Said {
        let acknowledged: Vec<_> = (0..acknowledged).map(|order| order.to_string()).collect();
        let orders = acknowledged.len() as u64;
        Said { stock: 10, buyer_limit: 1, acknowledged, orders, unknown }
    }

    fn books(orders: u64) -> Check {
        Check {
            orders,
            orders_expected: 10,
            acknowledged_missing: 0,
            buyers: orders,
            most_per_buyer: 1,
            sold: orders,
            left: 10_u64.saturating_sub(orders),
            balanced: true,
            differences: json!([]),
        }
    }

    #[test]
    fn books_that_agree_have_no_problems_and_every_other_book_has() {
        assert_eq!(books(10).problems(&said(10, 0)), [""; 0]);
        for (what, check) in [
            ("9 orders instead of 10", books(9)),
            ("11 orders instead of 10", books(11)),
            ("1 orders were acknowledged and", Check { acknowledged_missing: 1, ..books(10) }),
            ("a buyer has 2 pieces", Check { most_per_buyer: 2, ..books(10) }),
            ("10 sold and 1 left", Check { left: 1, ..books(10) }),
            ("9 sold and 0 left", Check { sold: 9, ..books(10) }),
            ("the reconciliation found", Check { balanced: false, ..books(10) }),
        ] {
            let problems = check.problems(&said(10, 0));
            assert!(problems.iter().any(|problem| problem.starts_with(what)), "{what}: {problems:?}");
        }
        let unheard = Check { orders_expected: 9, ..books(10) };
        assert_eq!(unheard.problems(&said(9, 1)), [""; 0], "a try without an answer may have bought");
        assert!(!unheard.problems(&said(9, 0)).is_empty());
    }
}
