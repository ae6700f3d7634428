//! What may be asked of products, sales and orders.

use maitred_core::Timestamp;
use uuid::Uuid;

use super::fact::{Imported, Order, Product, Sale, TriesCounted};
use crate::imported::check_version;
use crate::money::{Money, check_price};
use crate::violation::{Violation, check_text};

/// The longest name of a product, in characters; the shortest has one.
pub const NAME_CHARS_MAX: usize = 200;
/// The longest description of a product, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// The most pieces of a product that are ever brought in.
pub const INVENTORY_MAX: u64 = 1_000_000_000;
/// The most pieces that one sale gives out.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// The most pieces that one buyer may have of a sale.
pub const BUYER_LIMIT_MAX: u32 = 100;
/// The longest that an unpaid piece is held, in seconds: a day.
pub const HOLD_SECONDS_MAX: u32 = 86_400;
/// The longest reason of a failure and reference of a payment, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// A command on a product, a sale or an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Bring in a product.
    CreateProduct(CreateProduct),
    /// Change a product.
    UpdateProduct(UpdateProduct),
    /// Take a product away for good; its history stays.
    DeleteProduct {
        /// Which.
        product: Uuid,
        /// Only if this is the current version (`If-Match`).
        if_version: Option<u64>,
    },
    /// Announce a sale, which takes its pieces from the product at once.
    CreateSale(CreateSale),
    /// Change a sale that has not ended.
    UpdateSale(UpdateSale),
    /// Give a sale, closed or not, another window and so many pieces to sell from now on.
    ResetSale(ResetSale),
    /// End a sale before its time. What is left goes back to the product; orders stay as they are.
    EndSale {
        /// Which.
        sale: Uuid,
        /// Only if this is the current version (`If-Match`).
        if_version: Option<u64>,
    },
    /// Cancel a sale. What is left goes back to the product; orders stay as they are.
    CancelSale {
        /// Which.
        sale: Uuid,
        /// Only if this is the current version (`If-Match`).
        if_version: Option<u64>,
    },
    /// Of the system: close a sale whose window is over.
    SettleSale {
        /// Which.
        sale: Uuid,
    },
    /// Buy one piece.
    PlaceOrder(PlaceOrder),
    /// Record that a held piece is paid.
    PayOrder {
        /// Which order.
        order: Uuid,
        /// Only if it is this buyer's.
        buyer: Option<Uuid>,
        /// What the payment is known by elsewhere; 1 to [`REASON_CHARS_MAX`] characters.
        reference: Option<String>,
    },
    /// Give a held piece back.
    CancelOrder {
        /// Which order.
        order: Uuid,
        /// Only if it is this buyer's.
        buyer: Option<Uuid>,
    },
    /// Of the system: the order was processed.
    CompleteOrder {
        /// Which.
        order: Uuid,
    },
    /// Of the system: the order cannot be carried out; its piece goes back.
    FailOrder(FailOrder),
    /// Of the system: give back what is held longer than it may be.
    ExpireOrder {
        /// Which order.
        order: Uuid,
    },
    /// Of the system: keep how often a sale was tried.
    CountTries(TriesCounted),
    /// Take over one version of a product as another server exported it, id and instants included. Versions come in
    /// their order, and those of a tenant in the order of its log. One that is there already changes nothing.
    ImportProduct(Imported<Product>),
    /// The same of a sale.
    ImportSale(Imported<Sale>),
    /// The same of an order.
    ImportOrder(Imported<Order>),
}

/// Brings in a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateProduct {
    /// A certain id, for what is taken over or made for a demo; else a new one.
    pub id: Option<Uuid>,
    /// For people; 1 to [`NAME_CHARS_MAX`] characters.
    pub name: String,
    /// For people; at most [`DESCRIPTION_CHARS_MAX`] characters.
    pub description: Option<String>,
    /// What a piece costs, unless a sale says otherwise.
    pub price: Money,
    /// How many pieces are brought in; at most [`INVENTORY_MAX`].
    pub inventory: u64,
}

/// Changes what is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProduct {
    /// Which.
    pub product: Uuid,
    /// What.
    pub patch: ProductPatch,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// New values of a product's fields; `None` leaves a field alone. The bounds are those of [`CreateProduct`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductPatch {
    /// The name.
    pub name: Option<String>,
    /// The description; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// The price. Sales that are there keep theirs.
    pub price: Option<Money>,
    /// How many pieces were ever brought in: not fewer than sales have taken.
    pub inventory: Option<u64>,
}

/// Announces a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSale {
    /// A certain id, for what is taken over or made for a demo; else a new one.
    pub id: Option<Uuid>,
    /// Of what.
    pub product: Uuid,
    /// The first instant at which it sells.
    pub starts_at: Timestamp,
    /// The first instant at which it no longer does; after `starts_at`.
    pub ends_at: Timestamp,
    /// How many pieces it gives out; at most [`QUANTITY_MAX`].
    pub quantity: u32,
    /// How many of them one buyer may have: 1 to [`BUYER_LIMIT_MAX`].
    pub buyer_limit: u32,
    /// How long a piece is held until it is paid: 1 to [`HOLD_SECONDS_MAX`]; without it nothing need be paid here.
    pub hold_seconds: Option<u32>,
    /// What a piece costs; the product's price without it.
    pub price: Option<Money>,
}

/// Changes what is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSale {
    /// Which.
    pub sale: Uuid,
    /// What.
    pub patch: SalePatch,
    /// Only if this is the current version (`If-Match`).
    pub if_version: Option<u64>,
}

/// New values of a sale's fields; `None` leaves a field alone. The bounds are those of [`CreateSale`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SalePatch {
    /// The start.
    pub starts_at: Option<Timestamp>,
    /// The end.
    pub ends_at: Option<Timestamp>,
    /// How many pieces it gives out in all: not fewer than are sold and held already.
    pub quantity: Option<u32>,
    /// The limit, for purchases from now on.
    pub buyer_limit: Option<u32>,
    /// How long pieces are held from now on; `Some(None)`: not at all.
    pub hold_seconds: Option<Option<u32>>,
    /// The price of purchases from now on.
    pub price: Option<Money>,
}

/// Gives a sale another window and another number of pieces that are left. Where the product has not as many,
/// more are brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetSale {
    /// Which.
    pub sale: Uuid,
    /// The first instant at which it sells.
    pub starts_at: Timestamp,
    /// The first instant at which it no longer does; after `starts_at`.
    pub ends_at: Timestamp,
    /// How many pieces are left from now on; at most [`QUANTITY_MAX`].
    pub left: u32,
}

/// Buys one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceOrder {
    /// Of which sale.
    pub sale: Uuid,
    /// For whom.
    pub buyer: Uuid,
}

/// Says that an order cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailOrder {
    /// Which.
    pub order: Uuid,
    /// Why; 1 to [`REASON_CHARS_MAX`] characters.
    pub reason: String,
}

/// What is wrong with a product to be created.
pub fn validate_create_product(create: &CreateProduct) -> Vec<Violation> {
    let mut found = Vec::new();
    check_name(&mut found, &create.name);
    check_description(&mut found, create.description.as_deref());
    check_price(&mut found, create.price);
    check_inventory(&mut found, create.inventory);
    found
}

/// What is wrong with a change of a product.
pub fn validate_product_patch(patch: &ProductPatch) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(name) = &patch.name {
        check_name(&mut found, name);
    }
    check_description(&mut found, patch.description.as_ref().and_then(Option::as_deref));
    if let Some(price) = patch.price {
        check_price(&mut found, price);
    }
    check_inventory(&mut found, patch.inventory.unwrap_or(0));
    found
}

/// What is wrong with a sale to be created.
pub fn validate_create_sale(create: &CreateSale) -> Vec<Violation> {
    let mut found = Vec::new();
    check_window(&mut found, create.starts_at, create.ends_at);
    check_quantity(&mut found, create.quantity);
    check_buyer_limit(&mut found, create.buyer_limit);
    check_hold_seconds(&mut found, create.hold_seconds);
    if let Some(price) = create.price {
        check_price(&mut found, price);
    }
    found
}

/// What is wrong with a change of a sale, but for its window, which may be half of one.
pub fn validate_sale_patch(patch: &SalePatch) -> Vec<Violation> {
    let mut found = Vec::new();
    check_quantity(&mut found, patch.quantity.unwrap_or(0));
    check_buyer_limit(&mut found, patch.buyer_limit.unwrap_or(1));
    check_hold_seconds(&mut found, patch.hold_seconds.flatten());
    if let Some(price) = patch.price {
        check_price(&mut found, price);
    }
    found
}

/// What is wrong with a reset of a sale.
pub fn validate_reset(reset: &ResetSale) -> Vec<Violation> {
    let mut found = Vec::new();
    check_window(&mut found, reset.starts_at, reset.ends_at);
    check_quantity(&mut found, reset.left);
    found
}

/// What is wrong with an imported version of a product.
pub fn validate_product_import(import: &Imported<Product>) -> Vec<Violation> {
    let mut found = Vec::new();
    check_version(&mut found, import.version);
    check_name(&mut found, &import.is.name);
    check_description(&mut found, import.is.description.as_deref());
    check_price(&mut found, import.is.price);
    check_inventory(&mut found, import.is.inventory);
    found
}

/// What is wrong with an imported version of a sale.
pub fn validate_sale_import(import: &Imported<Sale>) -> Vec<Violation> {
    let Imported { version, is: sale, .. } = import;
    let mut found = Vec::new();
    check_version(&mut found, *version);
    // In milliseconds, as exports tell them, a very short window has no length.
    if sale.starts_at > sale.ends_at {
        check_window(&mut found, sale.starts_at, sale.ends_at);
    }
    check_quantity(&mut found, sale.quantity);
    check_buyer_limit(&mut found, sale.buyer_limit);
    check_hold_seconds(&mut found, sale.hold_seconds);
    check_price(&mut found, sale.price);
    found
}

/// What is wrong with an imported version of an order.
pub fn validate_order_import(import: &Imported<Order>) -> Vec<Violation> {
    let Imported { version, is: order, .. } = import;
    let mut found = Vec::new();
    check_version(&mut found, *version);
    check_price(&mut found, order.price);
    if let Some(failure) = &order.failure {
        check_text(&mut found, "/failure", "invalid-reason", failure, 1..=REASON_CHARS_MAX);
    }
    found.extend(validate_reference(order.payment_reference.as_deref()));
    found
}

/// What is wrong with a reason.
pub fn validate_reason(reason: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    check_text(&mut found, "/reason", "invalid-reason", reason, 1..=REASON_CHARS_MAX);
    found
}

/// What is wrong with the reference of a payment.
pub fn validate_reference(reference: Option<&str>) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(reference) = reference {
        check_text(&mut found, "/reference", "invalid-reference", reference, 1..=REASON_CHARS_MAX);
    }
    found
}

/// Checks that a window ends after it starts.
pub fn check_window(found: &mut Vec<Violation>, starts_at: Timestamp, ends_at: Timestamp) {
    if starts_at >= ends_at {
        found.push(Violation::new("/ends_at", "invalid-time-range", "ends_at must be after starts_at"));
    }
}

fn check_name(found: &mut Vec<Violation>, name: &str) {
    check_text(found, "/name", "invalid-name", name, 1..=NAME_CHARS_MAX);
}

fn check_description(found: &mut Vec<Violation>, description: Option<&str>) {
    if let Some(description) = description {
        check_text(found, "/description", "invalid-description", description, 0..=DESCRIPTION_CHARS_MAX);
    }
}

fn check_inventory(found: &mut Vec<Violation>, inventory: u64) {
    if inventory > INVENTORY_MAX {
        let detail = format!("inventory must be at most {INVENTORY_MAX}");
        found.push(Violation::new("/inventory", "invalid-inventory", detail));
    }
}

fn check_quantity(found: &mut Vec<Violation>, quantity: u32) {
    if quantity > QUANTITY_MAX {
        let detail = format!("quantity must be at most {QUANTITY_MAX}");
        found.push(Violation::new("/quantity", "invalid-quantity", detail));
    }
}

fn check_buyer_limit(found: &mut Vec<Violation>, buyer_limit: u32) {
    if !(1..=BUYER_LIMIT_MAX).contains(&buyer_limit) {
        let detail = format!("buyer_limit must be from 1 to {BUYER_LIMIT_MAX}");
        found.push(Violation::new("/buyer_limit", "invalid-buyer-limit", detail));
    }
}

fn check_hold_seconds(found: &mut Vec<Violation>, hold_seconds: Option<u32>) {
    if hold_seconds.is_some_and(|seconds| !(1..=HOLD_SECONDS_MAX).contains(&seconds)) {
        let detail = format!("hold_seconds must be from 1 to {HOLD_SECONDS_MAX}");
        found.push(Violation::new("/hold_seconds", "invalid-hold-seconds", detail));
    }
}
