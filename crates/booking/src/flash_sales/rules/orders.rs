//! Commands on orders. The purchase is the hot path: a look at the sale, at its stock and at what the buyer has.

use std::time::Duration;

use maitred_core::{Context, Decision, Read, Rejection, Timestamp};
use uuid::Uuid;

use super::{Decided, Effect, Outcome, next_version, order_not_found, sale_not_found, stock_of};
use crate::flash_sales::command::{FailOrder, PlaceOrder, validate_reason, validate_reference};
use crate::flash_sales::fact::{Fact, Order, OrderStatus, TriesCounted};
use crate::flash_sales::stock;
use crate::flash_sales::view::{self, SaleState, Versioned};
use crate::violation::refuse_any;

/// Sells or holds one piece: the sale known, then stock, then the buyer's limit, then the window.
pub(super) fn place(view: &dyn Read, command: &PlaceOrder, cx: &Context) -> Decided {
    let now = cx.timestamp;
    let sale = view::sale(view, cx.tenant, command.sale, None).ok_or_else(sale_not_found)?.is;
    let stock = stock_of(view, cx.tenant, sale.id);
    // Holds that are over and have to go so that this piece can be had.
    let mut over: Vec<Uuid> = Vec::new();
    if stock.free == 0 && stock.returned == 0 {
        over = stock::expired_holds(view, cx.tenant, sale.id, now, 1);
        if over.is_empty() {
            return Err(Rejection::conflict("sold-out", "Nothing is left of this sale."));
        }
    }
    let buyer = stock::buyer(view, cx.tenant, sale.id, command.buyer);
    if buyer.pieces >= sale.buyer_limit {
        let own: Vec<Uuid> = buyer.expired(now).collect();
        if buyer.pieces - own.len() as u32 >= sale.buyer_limit {
            let detail = format!("A buyer may have {} of this sale.", sale.buyer_limit);
            return Err(Rejection::conflict("buyer-limit-reached", detail)
                .with("buyer_limit", sale.buyer_limit.to_string()));
        }
        over.extend(own.into_iter().filter(|order| !over.contains(order)).collect::<Vec<_>>());
    }
    let state = sale.state_at(now, 1);
    if state != SaleState::Active {
        let detail = format!("The sale is {}.", state.as_str());
        return Err(
            Rejection::conflict("sale-not-active", detail).with("state", format!("\"{}\"", state.as_str()))
        );
    }

    let hold_expires_at = sale.hold_seconds.map(|seconds| later(now, seconds));
    let order = Order {
        id: cx.ids.next(),
        sale: sale.id,
        product: sale.product,
        buyer: command.buyer,
        status: if hold_expires_at.is_some() { OrderStatus::Held } else { OrderStatus::Pending },
        price: sale.price,
        hold_expires_at,
        placed_at: now,
        failure: None,
        payment_reference: None,
    };
    let mut facts = Vec::with_capacity(1 + over.len());
    facts.extend(over.into_iter().map(|order| expired(view, order, cx)));
    facts.push(Fact::OrderPlaced(order.clone()));
    let order = next_version(0, order, cx);
    Ok(Decision { facts, outcome: Outcome::Order { effect: Effect::Placed, order } })
}

pub(super) fn pay(
    view: &dyn Read,
    id: Uuid,
    buyer: Option<Uuid>,
    reference: Option<&str>,
    cx: &Context,
) -> Decided {
    refuse_any(&validate_reference(reference))?;
    let found = held(view, id, buyer, cx)?;
    let payment_reference = reference.map(str::to_owned);
    let order = Order { status: OrderStatus::Paid, payment_reference, ..found.is };
    Ok(changed(found.version, order, Effect::Paid, Fact::OrderPaid, cx))
}

pub(super) fn cancel(view: &dyn Read, id: Uuid, buyer: Option<Uuid>, cx: &Context) -> Decided {
    let found = own(view, id, buyer, cx)?;
    if found.is.status == OrderStatus::Cancelled {
        return Ok(unchanged(found));
    }
    let found = held(view, id, buyer, cx)?;
    let order = Order { status: OrderStatus::Cancelled, ..found.is };
    Ok(changed(found.version, order, Effect::Cancelled, Fact::OrderCancelled, cx))
}

pub(super) fn complete(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = own(view, id, None, cx)?;
    if found.is.status != OrderStatus::Pending {
        return Ok(unchanged(found));
    }
    let order = Order { status: OrderStatus::Completed, ..found.is };
    Ok(changed(found.version, order, Effect::Completed, Fact::OrderCompleted, cx))
}

pub(super) fn fail(view: &dyn Read, command: &FailOrder, cx: &Context) -> Decided {
    refuse_any(&validate_reason(&command.reason))?;
    let found = own(view, command.order, None, cx)?;
    if found.is.status != OrderStatus::Pending {
        return Ok(unchanged(found));
    }
    let failure = Some(command.reason.clone());
    let order = Order { status: OrderStatus::Failed, failure, ..found.is };
    Ok(changed(found.version, order, Effect::Failed, Fact::OrderFailed, cx))
}

pub(super) fn expire(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = own(view, id, None, cx)?;
    if found.is.status != OrderStatus::Held || found.is.status_at(cx.timestamp) != OrderStatus::Expired {
        return Ok(unchanged(found));
    }
    let order = Order { status: OrderStatus::Expired, ..found.is };
    Ok(changed(found.version, order, Effect::Expired, Fact::OrderExpired, cx))
}

/// Keeps what was counted of a sale that is there.
pub(super) fn count_tries(view: &dyn Read, counted: &TriesCounted, cx: &Context) -> Decided {
    view::sale(view, cx.tenant, counted.sale, None).ok_or_else(sale_not_found)?;
    if counted.tries.is_empty() {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::Tries { effect: Effect::Unchanged } });
    }
    let facts = vec![Fact::TriesCounted(counted.clone())];
    Ok(Decision { facts, outcome: Outcome::Tries { effect: Effect::Counted } })
}

/// The fact that settles a hold which is over.
pub(super) fn expired(view: &dyn Read, id: Uuid, cx: &Context) -> Fact {
    let found = view::order(view, cx.tenant, id, None).expect("a hold has its order");
    Fact::OrderExpired(Order { status: OrderStatus::Expired, ..found.is })
}

/// An order that is there, and the buyer's if one is given.
fn own(view: &dyn Read, id: Uuid, buyer: Option<Uuid>, cx: &Context) -> Result<Versioned<Order>, Rejection> {
    let found = view::order(view, cx.tenant, id, None);
    let own = found.filter(|found| buyer.is_none_or(|buyer| found.is.buyer == buyer));
    own.ok_or_else(order_not_found)
}

/// The same, if it holds a piece.
fn held(view: &dyn Read, id: Uuid, buyer: Option<Uuid>, cx: &Context) -> Result<Versioned<Order>, Rejection> {
    let found = own(view, id, buyer, cx)?;
    match found.is.status_at(cx.timestamp) {
        OrderStatus::Held => Ok(found),
        OrderStatus::Expired => {
            Err(Rejection::conflict("hold-expired", "The piece was not paid in time, and is back on sale."))
        }
        status => {
            let detail = format!("The order is {}, and not held.", status.as_str());
            Err(Rejection::conflict("invalid-transition", detail)
                .with("order_status", format!("\"{}\"", status.as_str())))
        }
    }
}

fn changed(
    version: u64,
    order: Order,
    effect: Effect,
    fact: fn(Order) -> Fact,
    cx: &Context,
) -> Decision<Fact, Outcome> {
    let next = next_version(version, order.clone(), cx);
    Decision { facts: vec![fact(order)], outcome: Outcome::Order { effect, order: next } }
}

fn unchanged(order: Versioned<Order>) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome: Outcome::Order { effect: Effect::Unchanged, order } }
}

fn later(at: Timestamp, seconds: u32) -> Timestamp {
    let micros = Duration::from_secs(u64::from(seconds)).as_micros() as i64;
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}
