//! How commands on products, sales and orders are answered.
//!
//! Next: [`orders`] for the purchase, [`apply`] for what facts do to the view, [`import`] for what is taken over.

mod apply;
mod import;
mod orders;
mod products;
mod sales;

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, TenantNumber, Undecodable, Write,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::Command;
use super::fact::{Closed, Closing, Fact, Order, Product, Sale};
use super::stock::{self, Stock};
use super::view::{self, Versioned};
use crate::Booking;
use crate::encoding;
use crate::record::{self, Kind};

/// The most sales of a product that are open at once.
pub const OPEN_SALES_MAX: usize = 100;
/// The most holds that are over which one command on a sale settles.
pub const SWEEP_MAX: usize = 256;

/// The rules of flash sales.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What the client of an accepted command is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The product as it is now.
    Product {
        /// What happened.
        effect: Effect,
        /// The product.
        product: Versioned<Product>,
        /// What sales have taken of it.
        allocated: u64,
    },
    /// The sale as it is now.
    Sale {
        /// What happened.
        effect: Effect,
        /// The sale.
        sale: Versioned<Sale>,
        /// Where its pieces are.
        stock: Stock,
    },
    /// The order as it is now.
    Order {
        /// What happened.
        effect: Effect,
        /// The order.
        order: Versioned<Order>,
    },
    /// Tries were counted.
    Tries {
        /// What happened.
        effect: Effect,
    },
}

/// What an accepted command did. In a stored outcome it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Nothing: it was so already.
    Unchanged,
    /// The product or sale is new.
    Created,
    /// It has another content.
    Updated,
    /// The product is gone for good.
    Deleted,
    /// The sale has ended.
    Ended,
    /// The sale or the order was cancelled.
    Cancelled,
    /// The order is new.
    Placed,
    /// The order was processed.
    Completed,
    /// The order could not be carried out.
    Failed,
    /// The order is paid.
    Paid,
    /// The order's hold is over.
    Expired,
    /// A version was taken over.
    Imported,
    /// Tries were counted.
    Counted,
}

impl Effect {
    /// Its name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Effect::Unchanged => "unchanged",
            Effect::Created => "created",
            Effect::Updated => "updated",
            Effect::Deleted => "deleted",
            Effect::Ended => "ended",
            Effect::Cancelled => "cancelled",
            Effect::Placed => "placed",
            Effect::Completed => "completed",
            Effect::Failed => "failed",
            Effect::Paid => "paid",
            Effect::Expired => "expired",
            Effect::Imported => "imported",
            Effect::Counted => "counted",
        }
    }
}

impl Outcome {
    /// What happened.
    pub fn effect(&self) -> Effect {
        match self {
            Outcome::Product { effect, .. }
            | Outcome::Sale { effect, .. }
            | Outcome::Order { effect, .. }
            | Outcome::Tries { effect } => *effect,
        }
    }
}

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        match command {
            Command::CreateProduct(command) => products::create(view, command, cx),
            Command::UpdateProduct(command) => products::update(view, command, cx),
            Command::DeleteProduct { product, if_version } => {
                products::delete(view, *product, *if_version, cx)
            }
            Command::CreateSale(command) => sales::create(view, command, cx),
            Command::UpdateSale(command) => sales::update(view, command, cx),
            Command::ResetSale(command) => sales::reset(view, command, cx),
            Command::EndSale { sale, if_version } => {
                sales::close(view, *sale, *if_version, Closing::Ended, cx)
            }
            Command::CancelSale { sale, if_version } => {
                sales::close(view, *sale, *if_version, Closing::Cancelled, cx)
            }
            Command::SettleSale { sale } => sales::settle(view, *sale, cx),
            Command::PlaceOrder(command) => orders::place(view, command, cx),
            Command::PayOrder { order, buyer, reference } => {
                orders::pay(view, *order, *buyer, reference.as_deref(), cx)
            }
            Command::CancelOrder { order, buyer } => orders::cancel(view, *order, *buyer, cx),
            Command::CompleteOrder { order } => orders::complete(view, *order, cx),
            Command::FailOrder(command) => orders::fail(view, command, cx),
            Command::ExpireOrder { order } => orders::expire(view, *order, cx),
            Command::CountTries(counted) => orders::count_tries(view, counted, cx),
            Command::ImportProduct(import) => import::product(view, import, cx),
            Command::ImportSale(import) => import::sale(view, import, cx),
            Command::ImportOrder(import) => import::order(view, import, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        apply::apply(view, fact, at);
    }
}

/// The record of an id, of a certain version if one is demanded.
fn at_version<T>(
    found: Option<Versioned<T>>,
    if_version: Option<u64>,
    absent: Rejection,
) -> Result<Versioned<T>, Rejection> {
    let found = found.ok_or(absent)?;
    match if_version {
        Some(wanted) if wanted != found.version => {
            let detail = format!("The current version is {}, not {wanted}.", found.version);
            Err(Rejection::new(Class::Precondition, "version-mismatch", detail))
        }
        _ => Ok(found),
    }
}

fn product_not_found() -> Rejection {
    Rejection::new(Class::Absent, "product-not-found", "There is no such product.")
}

fn sale_not_found() -> Rejection {
    Rejection::new(Class::Absent, "sale-not-found", "There is no such sale.")
}

fn order_not_found() -> Rejection {
    Rejection::new(Class::Absent, "order-not-found", "There is no such order.")
}

/// The id of a new product or sale. The counts of both stand under their ids, so that no two share one.
fn new_id(view: &dyn Read, wanted: Option<Uuid>, cx: &Context) -> Result<Uuid, Rejection> {
    let Some(id) = wanted else { return Ok(cx.ids.next()) };
    let taken = |kind| record::current(view, view::record_id(cx.tenant, kind, id)).is_some();
    if taken(Kind::Product) || taken(Kind::Sale) {
        return Err(Rejection::conflict("id-taken", "There is a record of this id already."));
    }
    Ok(id)
}

/// The stock of a sale that is there.
fn stock_of(view: &dyn Read, tenant: TenantNumber, sale: Uuid) -> Stock {
    stock::stock(view, tenant, sale).expect("a sale has its stock")
}

/// The next version of a record whose fact is applied at `cx.timestamp`.
fn next_version<T>(version: u64, is: T, cx: &Context) -> Versioned<T> {
    Versioned { version: version + 1, updated_at: cx.timestamp, is }
}

/// The facts that close those sales of a product whose window is over, and how many pieces they return. Until a timer
/// does it, they have no right to what is left of them.
fn settle_ended(view: &dyn Read, open: &[Uuid], cx: &Context) -> (Vec<Fact>, u64) {
    let mut facts = Vec::new();
    let mut returned = 0;
    for sale in open {
        let sale = view::sale(view, cx.tenant, *sale, None).expect("an open sale is there").is;
        if sale.is_over(cx.timestamp) {
            returned += u64::from(stock_of(view, cx.tenant, sale.id).free);
            facts.push(Fact::SaleEnded(closed(sale, Closing::Ended, cx)));
        }
    }
    (facts, returned)
}

fn closed(sale: Sale, closing: Closing, cx: &Context) -> Sale {
    Sale { closed: Some(Closed { closing, at: cx.timestamp }), ..sale }
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of a flash sale's command")
    }
}
