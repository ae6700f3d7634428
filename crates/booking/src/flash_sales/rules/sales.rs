//! Commands on sales.

use maitred_core::{Class, Context, Decision, Read, Rejection};
use uuid::Uuid;

use super::{
    Decided, Effect, OPEN_SALES_MAX, Outcome, SWEEP_MAX, at_version, closed, new_id, next_version, orders,
    product_not_found, sale_not_found, settle_ended, stock_of,
};
use crate::flash_sales::command::{
    CreateSale, QUANTITY_MAX, ResetSale, UpdateSale, check_window, validate_create_sale, validate_reset,
    validate_sale_patch,
};
use crate::flash_sales::fact::{Closing, Fact, Product, Sale};
use crate::flash_sales::stock::{self, Stock};
use crate::flash_sales::view::{self, Versioned};
use crate::violation::refuse_any;

pub(super) fn create(view: &dyn Read, command: &CreateSale, cx: &Context) -> Decided {
    refuse_any(&validate_create_sale(command))?;
    let product = view::product(view, cx.tenant, command.product, None).ok_or_else(product_not_found)?;
    let id = new_id(view, command.id, cx)?;
    let mut facts = allocate(view, &product.is, u64::from(command.quantity), true, cx)?;
    let sale = Sale {
        id,
        product: command.product,
        starts_at: command.starts_at,
        ends_at: command.ends_at,
        quantity: command.quantity,
        restocked: None,
        buyer_limit: command.buyer_limit,
        hold_seconds: command.hold_seconds,
        price: command.price.unwrap_or(product.is.price),
        closed: None,
        created_at: cx.timestamp,
    };
    let mut stock = Stock::default();
    stock.set_quantity(sale.quantity);
    facts.push(Fact::SaleCreated(sale.clone()));
    let sale = next_version(0, sale, cx);
    Ok(Decision { facts, outcome: Outcome::Sale { effect: Effect::Created, sale, stock } })
}

pub(super) fn update(view: &dyn Read, command: &UpdateSale, cx: &Context) -> Decided {
    let UpdateSale { sale: id, patch, if_version } = command;
    refuse_any(&validate_sale_patch(patch))?;
    let found = at_version(view::sale(view, cx.tenant, *id, None), *if_version, sale_not_found())?;
    if found.is.is_over(cx.timestamp) {
        return Err(sale_closed());
    }
    let mut sale = found.is.clone();
    sale.starts_at = patch.starts_at.unwrap_or(sale.starts_at);
    sale.ends_at = patch.ends_at.unwrap_or(sale.ends_at);
    if let Some(quantity) = patch.quantity.filter(|quantity| *quantity != sale.quantity) {
        (sale.quantity, sale.restocked) = (quantity, None);
    }
    sale.buyer_limit = patch.buyer_limit.unwrap_or(sale.buyer_limit);
    sale.hold_seconds = patch.hold_seconds.unwrap_or(sale.hold_seconds);
    sale.price = patch.price.unwrap_or(sale.price);
    let mut window = Vec::new();
    check_window(&mut window, sale.starts_at, sale.ends_at);
    refuse_any(&window)?;
    let mut stock = stock_of(view, cx.tenant, *id);
    if sale == found.is {
        return Ok(unchanged(found, stock));
    }
    let mut facts = Vec::new();
    if u64::from(sale.quantity) < u64::from(stock.held) + u64::from(stock.sold) {
        facts = sweep(view, *id, &mut stock, cx)?;
    }
    if sale.quantity < stock.held + stock.sold {
        let detail = format!("{} pieces are sold, and {} are held.", stock.sold, stock.held);
        return Err(Rejection::conflict("quantity-below-sold", detail)
            .with("sold", stock.sold.to_string())
            .with("held", stock.held.to_string()));
    }
    let more = u64::from(sale.quantity).saturating_sub(u64::from(found.is.quantity));
    if more > 0 {
        let product = view::product(view, cx.tenant, sale.product, None);
        let product = product.expect("the product of an open sale is there").is;
        facts.extend(allocate(view, &product, more, false, cx)?);
    }
    stock.set_quantity(sale.quantity);
    facts.push(Fact::SaleUpdated(sale.clone()));
    let sale = next_version(found.version, sale, cx);
    Ok(Decision { facts, outcome: Outcome::Sale { effect: Effect::Updated, sale, stock } })
}

pub(super) fn reset(view: &dyn Read, command: &ResetSale, cx: &Context) -> Decided {
    refuse_any(&validate_reset(command))?;
    let found = view::sale(view, cx.tenant, command.sale, None).ok_or_else(sale_not_found)?;
    let product = view::product(view, cx.tenant, found.is.product, None).ok_or_else(product_not_found)?;
    let before = stock_of(view, cx.tenant, command.sale);
    let mut stock = before;
    let mut facts = sweep(view, command.sale, &mut stock, cx)?;
    let quantity = stock.held.saturating_add(stock.sold).saturating_add(command.left);
    if quantity > QUANTITY_MAX {
        let detail = format!("A sale gives out at most {QUANTITY_MAX} pieces in all.");
        return Err(Rejection::new(Class::Unprocessable, "invalid-quantity", detail));
    }
    // What other sales have taken, and what those give back whose window is over.
    let mut others = stock::open_sales(view, cx.tenant, found.is.product, OPEN_SALES_MAX);
    others.retain(|other| *other != command.sale);
    let mut taken = stock::allocated(view, cx.tenant, found.is.product, None) - before.taken();
    let is_crowded = others.len() >= OPEN_SALES_MAX;
    if is_crowded || product.is.inventory < taken + u64::from(quantity) {
        let (ended, returned) = settle_ended(view, &others, cx);
        if is_crowded && ended.is_empty() {
            return Err(too_many_open_sales());
        }
        facts.extend(ended);
        taken -= returned;
    }
    let needed = taken + u64::from(quantity);
    if product.is.inventory < needed {
        facts.push(Fact::ProductUpdated(Product { inventory: needed, ..product.is }));
    }
    let sale = Sale {
        starts_at: command.starts_at,
        ends_at: command.ends_at,
        quantity,
        restocked: Some(command.left),
        closed: None,
        ..found.is
    };
    stock.set_quantity(quantity);
    facts.push(Fact::SaleUpdated(sale.clone()));
    let sale = next_version(found.version, sale, cx);
    Ok(Decision { facts, outcome: Outcome::Sale { effect: Effect::Updated, sale, stock } })
}

pub(super) fn close(
    view: &dyn Read,
    id: Uuid,
    if_version: Option<u64>,
    closing: Closing,
    cx: &Context,
) -> Decided {
    let found = at_version(view::sale(view, cx.tenant, id, None), if_version, sale_not_found())?;
    match found.is.closed {
        None if closing == Closing::Cancelled && found.is.is_over(cx.timestamp) => Err(sale_closed()),
        None => Ok(close_now(view, found, closing, cx)),
        Some(closed) if closed.closing == closing => {
            let stock = stock_of(view, cx.tenant, id);
            Ok(unchanged(found, stock))
        }
        Some(_) => Err(sale_closed()),
    }
}

/// Closes a sale whose window is over.
pub(super) fn settle(view: &dyn Read, id: Uuid, cx: &Context) -> Decided {
    let found = view::sale(view, cx.tenant, id, None).ok_or_else(sale_not_found)?;
    if found.is.closed.is_some() || !found.is.is_over(cx.timestamp) {
        let stock = stock_of(view, cx.tenant, id);
        return Ok(unchanged(found, stock));
    }
    Ok(close_now(view, found, Closing::Ended, cx))
}

fn close_now(
    view: &dyn Read,
    found: Versioned<Sale>,
    closing: Closing,
    cx: &Context,
) -> Decision<Fact, Outcome> {
    let mut stock = stock_of(view, cx.tenant, found.is.id);
    stock.close();
    let sale = closed(found.is, closing, cx);
    let (fact, effect) = match closing {
        Closing::Ended => (Fact::SaleEnded(sale.clone()), Effect::Ended),
        Closing::Cancelled => (Fact::SaleCancelled(sale.clone()), Effect::Cancelled),
    };
    let sale = next_version(found.version, sale, cx);
    Decision { facts: vec![fact], outcome: Outcome::Sale { effect, sale, stock } }
}

fn unchanged(sale: Versioned<Sale>, stock: Stock) -> Decision<Fact, Outcome> {
    Decision { facts: Vec::new(), outcome: Outcome::Sale { effect: Effect::Unchanged, sale, stock } }
}

fn sale_closed() -> Rejection {
    Rejection::conflict("sale-closed", "The sale has ended, or was cancelled.")
}

/// The facts that make `wanted` pieces of a product available, and room for one more sale if it is a new one: none as
/// a rule, and else the closing of sales whose window is over.
fn allocate(
    view: &dyn Read,
    product: &Product,
    wanted: u64,
    new_sale: bool,
    cx: &Context,
) -> Result<Vec<Fact>, Rejection> {
    let open = stock::open_sales(view, cx.tenant, product.id, OPEN_SALES_MAX);
    let mut available = product.inventory - stock::allocated(view, cx.tenant, product.id, None);
    let crowded = |closed: usize| new_sale && open.len() - closed >= OPEN_SALES_MAX;
    let mut facts = Vec::new();
    if available < wanted || crowded(0) {
        let (ended, returned) = settle_ended(view, &open, cx);
        (facts, available) = (ended, available + returned);
    }
    if available < wanted {
        let detail = format!("{available} pieces of the product are available, and {wanted} are wanted.");
        return Err(Rejection::conflict("inventory-short", detail).with("available", available.to_string()));
    }
    if crowded(facts.len()) {
        return Err(too_many_open_sales());
    }
    Ok(facts)
}

fn too_many_open_sales() -> Rejection {
    let detail = format!("A product has at most {OPEN_SALES_MAX} open sales; end some.");
    Rejection::new(Class::TooMany, "too-many-open-sales", detail)
}

/// The facts that settle every hold of a sale which is over. There may be more than one command can settle: then the
/// pieces cannot be counted out yet, and the timer is nearly done with them.
fn sweep(view: &dyn Read, sale: Uuid, stock: &mut Stock, cx: &Context) -> Result<Vec<Fact>, Rejection> {
    let over = stock::expired_holds(view, cx.tenant, sale, cx.timestamp, SWEEP_MAX + 1);
    if over.len() > SWEEP_MAX {
        let detail =
            format!("More than {SWEEP_MAX} holds are over and being settled; try again in a moment.");
        return Err(Rejection::new(Class::TooMany, "holds-unsettled", detail));
    }
    *stock = stock.without_holds(over.len() as u32);
    Ok(over.into_iter().map(|order| orders::expired(view, order, cx)).collect())
}
