//! What facts do to the view: total, and without any rule. Every move of pieces stands here.

use maitred_core::{At, Write};
use uuid::Uuid;

use crate::flash_sales::fact::{Closing, Fact, Order, OrderStatus, Product, Sale};
use crate::flash_sales::stock::{self, Entry, Place, Stock};
use crate::flash_sales::{tries, view};
use crate::imported::Imported;
use crate::record::{self, ChangeType, Kind};
use crate::timer::{self, Timer, TimerKind};

pub(super) fn apply(view: &mut dyn Write, fact: &Fact, at: At) {
    match fact {
        Fact::ProductCreated(product) => put_product(view, ChangeType::Created, product, at),
        Fact::ProductUpdated(product) => put_product(view, ChangeType::Updated, product, at),
        Fact::ProductDeleted(product) => put_product(view, ChangeType::Deleted, product, at),
        Fact::SaleCreated(sale) => set_sale(view, ChangeType::Created, sale, at),
        Fact::SaleUpdated(sale) => set_sale(view, ChangeType::Updated, sale, at),
        Fact::SaleEnded(sale) => close_sale(view, ChangeType::Updated, sale, at),
        Fact::SaleCancelled(sale) => close_sale(view, ChangeType::Cancelled, sale, at),
        Fact::OrderPlaced(order) => place_order(view, order, at),
        Fact::OrderCompleted(order) => put_order(view, ChangeType::Updated, order, at),
        Fact::OrderPaid(order) => pay_order(view, order, at),
        Fact::OrderFailed(order) => give_back(view, order, Place::Sold, at),
        Fact::OrderExpired(order) | Fact::OrderCancelled(order) => give_back(view, order, Place::Held, at),
        Fact::TriesCounted(counted) => tries::add(view, at.tenant, counted),
        // What is taken over is remembered as of when it was decided first.
        Fact::ProductImported(import) => import_product(view, import, import.at(at)),
        Fact::SaleImported(import) => import_sale(view, import, import.at(at)),
        Fact::OrderImported(import) => import_order(view, import, import.at(at)),
    }
}

fn import_product(view: &mut dyn Write, import: &Imported<Product>, at: At) {
    let change_type = match (import.is.deleted, import.version) {
        (true, _) => ChangeType::Deleted,
        (false, 1) => ChangeType::Created,
        (false, _) => ChangeType::Updated,
    };
    put_product(view, change_type, &import.is, at);
}

fn import_sale(view: &mut dyn Write, import: &Imported<Sale>, at: At) {
    let sale = &import.is;
    match (sale.closed.map(|closed| closed.closing), import.version) {
        (None, 1) => set_sale(view, ChangeType::Created, sale, at),
        (None, _) => set_sale(view, ChangeType::Updated, sale, at),
        (Some(Closing::Ended), _) => close_sale(view, ChangeType::Updated, sale, at),
        (Some(Closing::Cancelled), _) => close_sale(view, ChangeType::Cancelled, sale, at),
    }
    if sale.closed.is_none() && !import.latest {
        timer::put_off(view, &sale_end(sale, at));
    }
}

fn import_order(view: &mut dyn Write, import: &Imported<Order>, at: At) {
    let order = &import.is;
    match order.status {
        OrderStatus::Pending | OrderStatus::Held => place_order(view, order, at),
        OrderStatus::Completed => put_order(view, ChangeType::Updated, order, at),
        OrderStatus::Paid => pay_order(view, order, at),
        OrderStatus::Failed => give_back(view, order, Place::Sold, at),
        OrderStatus::Expired | OrderStatus::Cancelled => give_back(view, order, Place::Held, at),
    }
    if let Some(timer) = hold_end(order, at).filter(|_| order.status == OrderStatus::Held && !import.latest) {
        timer::put_off(view, &timer);
    }
}

fn put_product(view: &mut dyn Write, change_type: ChangeType, product: &Product, at: At) {
    record::put_version(
        view,
        view::record_id(at.tenant, Kind::Product, product.id),
        change_type,
        at,
        product,
    );
}

/// Opens a sale with the quantity it says.
fn set_sale(view: &mut dyn Write, change_type: ChangeType, sale: &Sale, at: At) {
    let record = view::record_id(at.tenant, Kind::Sale, sale.id);
    let superseded = record::put_version(view, record, change_type, at, sale);
    if let Some(before) = superseded.map(|superseded| superseded.version().decode::<Sale>()) {
        timer::remove(view, &sale_end(&before, at));
    }
    timer::put(view, &sale_end(sale, at));
    stock::set_open(view, at.tenant, sale.product, sale.id, true);
    let before = stock::stock(view, at.tenant, sale.id).unwrap_or_default();
    let mut after = before;
    after.set_quantity(sale.quantity);
    put_stock(view, sale, (before, after), Entry::Set, at);
}

fn close_sale(view: &mut dyn Write, change_type: ChangeType, sale: &Sale, at: At) {
    record::put_version(view, view::record_id(at.tenant, Kind::Sale, sale.id), change_type, at, sale);
    timer::remove(view, &sale_end(sale, at));
    stock::set_open(view, at.tenant, sale.product, sale.id, false);
    let before = stock::stock(view, at.tenant, sale.id).unwrap_or_default();
    let mut after = before;
    after.close();
    put_stock(view, sale, (before, after), Entry::Closed, at);
}

fn put_stock(view: &mut dyn Write, sale: &Sale, change: (Stock, Stock), entry: Entry, at: At) {
    stock::put_stock(view, (sale.id, sale.product), change, (entry, Uuid::nil()), at);
}

fn place_order(view: &mut dyn Write, order: &Order, at: At) {
    put_order(view, ChangeType::Created, order, at);
    view.put(&view::buyers_orders(at.tenant, order.buyer).u128(order.id.as_u128()), &[]);
    let to = if order.hold_expires_at.is_some() { Place::Held } else { Place::Sold };
    move_piece(view, order, (Place::Shelf, to), Entry::Placed, at);
    let hold = order.hold_expires_at.map(|expires_at| (expires_at, order.id));
    stock::give(view, at.tenant, (order.sale, order.buyer), hold);
    if let Some(timer) = hold_end(order, at) {
        timer::put(view, &timer);
    }
}

/// The held piece of an order is paid, and stays the buyer's.
fn pay_order(view: &mut dyn Write, order: &Order, at: At) {
    put_order(view, ChangeType::Updated, order, at);
    move_piece(view, order, (Place::Held, Place::Sold), Entry::Paid, at);
    release(view, order, true, at);
}

/// The piece of an order comes back, and no longer counts as the buyer's.
fn give_back(view: &mut dyn Write, order: &Order, from: Place, at: At) {
    put_order(view, ChangeType::Cancelled, order, at);
    move_piece(view, order, (from, Place::Shelf), Entry::Back, at);
    release(view, order, false, at);
}

fn put_order(view: &mut dyn Write, change_type: ChangeType, order: &Order, at: At) {
    record::put_version(view, view::record_id(at.tenant, Kind::Order, order.id), change_type, at, order);
}

fn move_piece(view: &mut dyn Write, order: &Order, (from, to): (Place, Place), entry: Entry, at: At) {
    let before = stock::stock(view, at.tenant, order.sale).unwrap_or_default();
    let mut after = before;
    after.move_piece(from, to);
    stock::put_stock(view, (order.sale, order.product), (before, after), (entry, order.id), at);
}

/// Ends an order's hold, if it had one; the buyer keeps the piece, or not.
fn release(view: &mut dyn Write, order: &Order, keeps: bool, at: At) {
    let hold = order.hold_expires_at.map(|expires_at| (expires_at, order.id));
    stock::release(view, at.tenant, (order.sale, order.buyer), hold, keeps);
    if let Some(timer) = hold_end(order, at) {
        timer::remove(view, &timer);
    }
}

fn sale_end(sale: &Sale, at: At) -> Timer {
    Timer { due: sale.ends_at, kind: TimerKind::SaleEnd, tenant: at.tenant, id: sale.id }
}

fn hold_end(order: &Order, at: At) -> Option<Timer> {
    let due = order.hold_expires_at?;
    Some(Timer { due, kind: TimerKind::OrderHold, tenant: at.tenant, id: order.id })
}
