//! What is taken over from another server: versions one by one, in the order in which they were decided there.
//!
//! Invariants:
//! - A version becomes the next one here, or is here already, or is refused ([`crate::imported`]).
//! - Pieces are counted as they are for any other fact, and a version that would sell a piece twice, or give a buyer
//!   more than the limit, is refused: an export of a sound server has none.

use maitred_core::{Context, Decision, Read, Rejection};
use uuid::Uuid;

use super::{
    Decided, Effect, OPEN_SALES_MAX, Outcome, order_not_found, product_not_found, sale_not_found, stock_of,
};
use crate::flash_sales::command::{validate_order_import, validate_product_import, validate_sale_import};
use crate::flash_sales::fact::{Closed, Fact, Order, OrderStatus, Product, Sale};
use crate::flash_sales::stock::{self, Stock};
use crate::flash_sales::view;
use crate::imported::{Imported, InMillis, Place, version_differs};
use crate::record::{self, Kind};
use crate::violation::refuse_any;

pub(super) fn product(view: &dyn Read, import: &Imported<Product>, cx: &Context) -> Decided {
    refuse_any(&validate_product_import(import))?;
    let id = import.is.id;
    let allocated = stock::allocated(view, cx.tenant, id, None);
    let outcome = |effect, product| Outcome::Product { effect, product, allocated };
    let before = match Place::of(view, view::record_id(cx.tenant, Kind::Product, id), import)? {
        Place::Known(known) => return Ok(unchanged(outcome(Effect::Unchanged, known))),
        Place::Next(before) => before,
    };
    match before {
        Some(before) if before.created_at.as_millis() != import.is.created_at.as_millis() => {
            return Err(version_differs());
        }
        Some(before) if before.deleted => return Err(product_not_found()),
        Some(_) => {}
        None => check_id_free(view, Kind::Sale, id, cx)?,
    }
    if import.is.inventory < allocated {
        let detail = format!("Sales have taken {allocated} pieces.");
        return Err(
            Rejection::conflict("inventory-below-allocated", detail).with("allocated", allocated.to_string())
        );
    }
    if import.is.deleted && !stock::open_sales(view, cx.tenant, id, 1).is_empty() {
        return Err(Rejection::conflict("product-in-use", "The product has sales that have not ended."));
    }
    let outcome = outcome(Effect::Imported, import.versioned());
    Ok(Decision { facts: vec![Fact::ProductImported(import.clone())], outcome })
}

pub(super) fn sale(view: &dyn Read, import: &Imported<Sale>, cx: &Context) -> Decided {
    refuse_any(&validate_sale_import(import))?;
    let sale = &import.is;
    let before = match Place::of(view, view::record_id(cx.tenant, Kind::Sale, sale.id), import)? {
        Place::Known(known) => {
            let stock = stock_of(view, cx.tenant, sale.id);
            return Ok(unchanged(Outcome::Sale { effect: Effect::Unchanged, sale: known, stock }));
        }
        Place::Next(before) => before,
    };
    let now = match &before {
        Some(before) => {
            let same = |sale: &Sale| (sale.product, sale.created_at.as_millis());
            if same(before) != same(sale) {
                return Err(version_differs());
            }
            stock_of(view, cx.tenant, sale.id)
        }
        None => {
            check_id_free(view, Kind::Product, sale.id, cx)?;
            Stock::default()
        }
    };
    let mut stock = now;
    if sale.closed.is_some() {
        // Nothing changes with the closing but that it is closed; only an open sale can be.
        let open = before.filter(|before| before.closed.is_none()).map(|before| before.in_millis());
        if open != Some(Sale { closed: None, ..sale.clone().in_millis() }) {
            return Err(Rejection::conflict("sale-closed", "A sale is closed once, and as it was."));
        }
        stock.close();
    } else {
        check_room(view, sale, now, cx)?;
        stock.set_quantity(sale.quantity);
    }
    let outcome = Outcome::Sale { effect: Effect::Imported, sale: import.versioned(), stock };
    Ok(Decision { facts: vec![Fact::SaleImported(import.clone())], outcome })
}

/// What an open sale needs: its product, with as many pieces, and no fewer pieces than are sold and held.
fn check_room(view: &dyn Read, sale: &Sale, now: Stock, cx: &Context) -> Result<(), Rejection> {
    let product = view::product(view, cx.tenant, sale.product, None).ok_or_else(product_not_found)?.is;
    if u64::from(sale.quantity) < u64::from(now.held) + u64::from(now.sold) {
        let detail = format!("{} pieces are sold, and {} are held.", now.sold, now.held);
        return Err(Rejection::conflict("quantity-below-sold", detail));
    }
    let others = stock::allocated(view, cx.tenant, sale.product, None) - now.taken();
    let available = product.inventory.saturating_sub(others);
    if available < u64::from(sale.quantity) {
        let detail =
            format!("{available} pieces of the product are available, and {} are wanted.", sale.quantity);
        return Err(Rejection::conflict("inventory-short", detail).with("available", available.to_string()));
    }
    let open = stock::open_sales(view, cx.tenant, sale.product, OPEN_SALES_MAX);
    if !now.open && open.len() >= OPEN_SALES_MAX {
        let detail = format!("A product has at most {OPEN_SALES_MAX} open sales.");
        return Err(Rejection::new(maitred_core::Class::TooMany, "too-many-open-sales", detail));
    }
    Ok(())
}

pub(super) fn order(view: &dyn Read, import: &Imported<Order>, cx: &Context) -> Decided {
    refuse_any(&validate_order_import(import))?;
    let order = &import.is;
    match Place::of(view, view::record_id(cx.tenant, Kind::Order, order.id), import)? {
        Place::Known(order) => {
            return Ok(unchanged(Outcome::Order { effect: Effect::Unchanged, order }));
        }
        Place::Next(Some(before)) => check_step(&before, order)?,
        Place::Next(None) => check_purchase(view, order, cx)?,
    }
    let outcome = Outcome::Order { effect: Effect::Imported, order: import.versioned() };
    Ok(Decision { facts: vec![Fact::OrderImported(import.clone())], outcome })
}

/// What lets an order begin: a piece for it, and a buyer who may have it.
fn check_purchase(view: &dyn Read, order: &Order, cx: &Context) -> Result<(), Rejection> {
    let sale = view::sale(view, cx.tenant, order.sale, None).ok_or_else(sale_not_found)?.is;
    let holds = order.hold_expires_at.is_some();
    let begins = match order.status {
        OrderStatus::Pending => !holds,
        OrderStatus::Held => holds,
        _ => false,
    };
    if !begins {
        return Err(invalid_transition(order.status));
    }
    if order.product != sale.product {
        return Err(order_not_found());
    }
    let stock = stock_of(view, cx.tenant, sale.id);
    if !stock.open {
        return Err(Rejection::conflict("sale-not-active", "The sale is closed."));
    }
    if stock.free == 0 {
        return Err(Rejection::conflict("sold-out", "Nothing is left of this sale."));
    }
    if stock::buyer(view, cx.tenant, sale.id, order.buyer).pieces >= sale.buyer_limit {
        let detail = format!("A buyer may have {} of this sale.", sale.buyer_limit);
        return Err(Rejection::conflict("buyer-limit-reached", detail)
            .with("buyer_limit", sale.buyer_limit.to_string()));
    }
    Ok(())
}

/// What an order may become: nothing of it changes but where it stands, and what is said of that.
fn check_step(before: &Order, order: &Order) -> Result<(), Rejection> {
    let leads = match before.status {
        OrderStatus::Pending => matches!(order.status, OrderStatus::Completed | OrderStatus::Failed),
        OrderStatus::Held => {
            matches!(order.status, OrderStatus::Paid | OrderStatus::Expired | OrderStatus::Cancelled)
        }
        _ => false,
    };
    if !leads {
        return Err(invalid_transition(order.status));
    }
    let Order { status, failure, payment_reference, .. } = order.clone();
    let expected = Order { status, failure, payment_reference, ..before.clone() };
    if expected.in_millis() == order.clone().in_millis() { Ok(()) } else { Err(version_differs()) }
}

/// The id of a new product or sale; the counts of both stand under their ids, so that no two share one.
fn check_id_free(view: &dyn Read, other: Kind, id: Uuid, cx: &Context) -> Result<(), Rejection> {
    match record::current(view, view::record_id(cx.tenant, other, id)) {
        Some(_) => Err(Rejection::conflict("id-taken", "There is a record of this id already.")),
        None => Ok(()),
    }
}

fn unchanged(outcome: Outcome) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome }
}

fn invalid_transition(status: OrderStatus) -> Rejection {
    let detail = format!("No order becomes {} so.", status.as_str());
    Rejection::conflict("invalid-transition", detail)
}

impl InMillis for Product {
    fn in_millis(self) -> Self {
        Product { created_at: self.created_at.in_millis(), ..self }
    }
}

impl InMillis for Sale {
    fn in_millis(self) -> Self {
        Sale {
            starts_at: self.starts_at.in_millis(),
            ends_at: self.ends_at.in_millis(),
            closed: self.closed.map(|closed| Closed { at: closed.at.in_millis(), ..closed }),
            created_at: self.created_at.in_millis(),
            ..self
        }
    }
}

impl InMillis for Order {
    fn in_millis(self) -> Self {
        Order {
            hold_expires_at: self.hold_expires_at.in_millis(),
            placed_at: self.placed_at.in_millis(),
            ..self
        }
    }
}
