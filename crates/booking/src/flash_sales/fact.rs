//! What is decided about products, sales and orders, as the log keeps it for ever.

use std::collections::{BTreeMap, VecDeque};

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::{micros, recorded};
pub use crate::imported::Imported;
use crate::money::Money;

recorded! {
    /// A fact of this domain. It carries all of its record's new state. How it moves pieces between left, held, sold
    /// and returned is part of what the fact means, and of nothing else.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A product is new.
        ProductCreated(Product) = 400 version 1,
        /// A product has another content.
        ProductUpdated(Product) = 401 version 1,
        /// A product is gone for good.
        ProductDeleted(Product) = 402 version 1,
        /// A sale is announced: its pieces are taken from the product.
        SaleCreated(Sale) = 410 version 1,
        /// A sale has another content, or is open again: what is left of it follows its quantity.
        SaleUpdated(Sale) = 411 version 1,
        /// A sale has ended: what was left is returned to the product.
        SaleEnded(Sale) = 412 version 1,
        /// A sale was cancelled: what was left is returned to the product.
        SaleCancelled(Sale) = 413 version 1,
        /// A piece was bought: it is held until it is paid, or sold.
        OrderPlaced(Order) = 420 version 1,
        /// An order was processed.
        OrderCompleted(Order) = 421 version 1,
        /// An order cannot be carried out: a sold piece is back.
        OrderFailed(Order) = 422 version 1,
        /// A held piece is paid: it is sold.
        OrderPaid(Order) = 423 version 1,
        /// A held piece was not paid in time: it is back.
        OrderExpired(Order) = 424 version 1,
        /// A held piece was given back.
        OrderCancelled(Order) = 425 version 1,
        /// A version of a product was taken over from another server.
        ProductImported(Imported<Product>) = 430 version 1,
        /// A version of a sale was taken over from another server: its pieces move as they did there.
        SaleImported(Imported<Sale>) = 431 version 1,
        /// A version of an order was taken over from another server: its piece moves as it did there.
        OrderImported(Imported<Order>) = 432 version 1,
        /// How often a sale was tried since the last such fact. It changes no record, so that it makes no version and
        /// no change feed tells of it.
        TriesCounted(TriesCounted) = 440 version 1,
    }
    older {}
}

/// How often a sale was tried, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriesCounted {
    /// Which.
    #[serde(with = "uuid::serde::compact")]
    pub sale: Uuid,
    /// What was counted.
    pub tries: Tally,
}

/// Tries to buy, counted by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many were accepted.
    pub accepted: u64,
    /// How many were answered as an earlier one.
    pub replayed: u64,
    /// How many were not decided.
    pub undecided: u64,
    /// How many were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// When the first was.
    #[serde(with = "micros::option")]
    pub first_at: Option<Timestamp>,
    /// When the last was.
    #[serde(with = "micros::option")]
    pub last_at: Option<Timestamp>,
    /// The newest seconds with a try, the oldest first.
    pub seconds: VecDeque<Second>,
}

/// What happened within a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Its first instant.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// How many tries there were.
    pub tries: u32,
    /// How many of them were accepted.
    pub accepted: u32,
}

/// A product, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What a piece costs, unless a sale says otherwise.
    pub price: Money,
    /// How many pieces were ever brought in.
    pub inventory: u64,
    /// Whether it is gone for good.
    pub deleted: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// A sale, as facts and records keep it. How many pieces are left stands apart ([`super::stock`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Of which product.
    #[serde(with = "uuid::serde::compact")]
    pub product: Uuid,
    /// The first instant at which it sells.
    #[serde(with = "micros")]
    pub starts_at: Timestamp,
    /// The first instant at which it no longer does.
    #[serde(with = "micros")]
    pub ends_at: Timestamp,
    /// How many pieces were given to it.
    pub quantity: u32,
    /// What its last reset left in it, if nothing has changed the quantity since.
    pub restocked: Option<u32>,
    /// How many pieces one buyer may have.
    pub buyer_limit: u32,
    /// How long a piece is held until it is paid.
    pub hold_seconds: Option<u32>,
    /// What a piece costs.
    pub price: Money,
    /// That it is closed, if it is.
    pub closed: Option<Closed>,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// That a sale is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// How.
    pub closing: Closing,
    /// Since when.
    #[serde(with = "micros")]
    pub at: Timestamp,
}

/// How a sale comes to its end. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closing {
    /// Its window is over, or somebody ended it.
    Ended,
    /// Somebody cancelled it.
    Cancelled,
}

impl Closing {
    /// Its name in exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Closing::Ended => "ended",
            Closing::Cancelled => "cancelled",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Closing::Ended, Closing::Cancelled].into_iter().find(|closing| closing.as_str() == name)
    }
}

/// An order for one piece, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// In which sale.
    #[serde(with = "uuid::serde::compact")]
    pub sale: Uuid,
    /// Of which product.
    #[serde(with = "uuid::serde::compact")]
    pub product: Uuid,
    /// Whose.
    #[serde(with = "uuid::serde::compact")]
    pub buyer: Uuid,
    /// Where it stands.
    pub status: OrderStatus,
    /// What the piece costs.
    pub price: Money,
    /// Until when the piece is, or was, held.
    #[serde(with = "micros::option")]
    pub hold_expires_at: Option<Timestamp>,
    /// When it was placed.
    #[serde(with = "micros")]
    pub placed_at: Timestamp,
    /// Why it failed.
    pub failure: Option<String>,
    /// What its payment is known by elsewhere.
    pub payment_reference: Option<String>,
}

/// Where an order stands. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OrderStatus {
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

impl OrderStatus {
    /// Every status.
    pub const ALL: [OrderStatus; 7] = [
        OrderStatus::Pending,
        OrderStatus::Completed,
        OrderStatus::Failed,
        OrderStatus::Held,
        OrderStatus::Paid,
        OrderStatus::Expired,
        OrderStatus::Cancelled,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderStatus::Pending => "pending",
            OrderStatus::Completed => "completed",
            OrderStatus::Failed => "failed",
            OrderStatus::Held => "held",
            OrderStatus::Paid => "paid",
            OrderStatus::Expired => "expired",
            OrderStatus::Cancelled => "cancelled",
        }
    }

    /// Whether a piece is sold to such an order.
    pub const fn is_sold(self) -> bool {
        matches!(self, OrderStatus::Pending | OrderStatus::Completed | OrderStatus::Paid)
    }
}

impl Order {
    /// Where it stands at an instant: a hold that is over is expired, whether or not the record says so yet.
    pub fn status_at(&self, at: Timestamp) -> OrderStatus {
        match (self.status, self.hold_expires_at) {
            (OrderStatus::Held, Some(expires_at)) if expires_at <= at => OrderStatus::Expired,
            (status, _) => status,
        }
    }
}
