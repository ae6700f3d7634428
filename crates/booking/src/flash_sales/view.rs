//! What can be read of products, sales and orders, now or as of any batch.
//!
//! Reads that show what a record is *at an instant* take that instant: a hold or a window that is over then is
//! shown as over, whether or not the record says so yet.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Seq, Table, TenantNumber, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{Closing, Order, OrderStatus, Product, Sale};
use super::stock::{self, Entry, Stock};
use crate::encoding::micros;
use crate::record::{self, Index, Kind, RecordId, Version};

/// The most records that a list looks at for one page, so that no read keeps the store's transaction for long.
pub const VISITS_MAX: usize = 10_000;

/// One version of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// From 1.
    pub version: u64,
    /// When this version was decided.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// What it is.
    pub is: T,
}

impl<T: DeserializeOwned> Versioned<T> {
    /// From a record, such as one of the change stream.
    pub fn read(version: &Version<'_>) -> Self {
        Versioned { version: version.version, updated_at: version.at, is: version.decode() }
    }
}

/// Where a sale stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SaleState {
    /// Its window has not begun.
    Upcoming,
    /// It sells.
    Active,
    /// Its window is open, and nothing is left.
    SoldOut,
    /// Its window is over, or somebody ended it.
    Ended,
    /// Somebody cancelled it.
    Cancelled,
}

impl SaleState {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            SaleState::Upcoming => "upcoming",
            SaleState::Active => "active",
            SaleState::SoldOut => "sold_out",
            SaleState::Ended => "ended",
            SaleState::Cancelled => "cancelled",
        }
    }
}

impl Sale {
    /// Where it stands at an instant at which `free` pieces are to be had.
    pub fn state_at(&self, at: Timestamp, free: u32) -> SaleState {
        match self.closed.map(|closed| closed.closing) {
            Some(Closing::Cancelled) => SaleState::Cancelled,
            Some(Closing::Ended) => SaleState::Ended,
            None if at < self.starts_at => SaleState::Upcoming,
            None if at >= self.ends_at => SaleState::Ended,
            None if free == 0 => SaleState::SoldOut,
            None => SaleState::Active,
        }
    }

    /// Whether it takes no more changes at an instant.
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.closed.is_some() || at >= self.ends_at
    }
}

/// A product that is there, now or after the batch `as_of`.
pub fn product(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<Product>> {
    get(view, tenant, Kind::Product, id, as_of).filter(|product: &Versioned<Product>| !product.is.deleted)
}

/// A sale, now or after the batch `as_of`.
pub fn sale(view: &dyn Read, tenant: TenantNumber, id: Uuid, as_of: Option<Seq>) -> Option<Versioned<Sale>> {
    get(view, tenant, Kind::Sale, id, as_of)
}

/// An order, now or after the batch `as_of`.
pub fn order(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<Order>> {
    get(view, tenant, Kind::Order, id, as_of)
}

/// The stock of a sale at an instant: pieces whose hold is over by then are to be had. With `as_of` it is the stock as
/// that batch left it, with what was recorded as held: so the second page of a list may count a piece as held whose hold
/// was over, and not yet recorded so, when the first page was read.
pub fn stock_at(
    view: &dyn Read,
    tenant: TenantNumber,
    sale: Uuid,
    at: Timestamp,
    as_of: Option<Seq>,
) -> Option<Stock> {
    if let Some(seq) = as_of {
        return stock::stock_as_of(view, tenant, sale, seq);
    }
    let stock = stock::stock(view, tenant, sale)?;
    if stock.held == 0 {
        return Some(stock);
    }
    let over = stock::expired_holds(view, tenant, sale, at, stock.held as usize).len();
    Some(stock.without_holds(over as u32))
}

/// The name of a product, gone or not.
pub fn product_name(view: &dyn Read, tenant: TenantNumber, id: Uuid, as_of: Option<Seq>) -> Option<String> {
    get::<Product>(view, tenant, Kind::Product, id, as_of).map(|product| product.is.name)
}

/// A part of a list, and where to go on; a page may be short and have a next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T, Place> {
    /// The records.
    pub items: Vec<T>,
    /// Behind this place there may be more.
    pub next: Option<Place>,
}

/// The products behind `after`, in the order of their ids.
pub fn products(
    view: &dyn Read,
    tenant: TenantNumber,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
) -> Found<Versioned<Product>, Uuid> {
    let want = |product: &Versioned<Product>| !product.is.deleted;
    records(view, tenant, Kind::Product, after, as_of, limit, &want)
}

/// The sales behind `after` that `want` wants, in the order of their ids.
pub fn sales(
    view: &dyn Read,
    tenant: TenantNumber,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
    want: &dyn Fn(&Versioned<Sale>) -> bool,
) -> Found<Versioned<Sale>, Uuid> {
    records(view, tenant, Kind::Sale, after, as_of, limit, want)
}

/// Which orders are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderQuery {
    /// Those of this sale.
    pub sale: Option<Uuid>,
    /// Those of this buyer.
    pub buyer: Option<Uuid>,
    /// Those with this status at [`OrderQuery::at`].
    pub status: Option<OrderStatus>,
    /// The instant of the read.
    pub at: Timestamp,
    /// As they were after this batch.
    pub as_of: Option<Seq>,
}

impl OrderQuery {
    fn wants(&self, order: &Order) -> bool {
        self.sale.is_none_or(|sale| order.sale == sale)
            && self.buyer.is_none_or(|buyer| order.buyer == buyer)
            && self.status.is_none_or(|status| order.status_at(self.at) == status)
    }
}

/// A place in a list of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderPlace {
    /// An order, by its id.
    Id(Uuid),
    /// In a list of a sale's: the fact that placed the order.
    Placed(ChangeId),
}

/// The orders behind `after`: of one sale in the order in which they were placed, else in the order of their ids, which
/// is the same to the millisecond.
pub fn orders(
    view: &dyn Read,
    tenant: TenantNumber,
    query: &OrderQuery,
    after: Option<OrderPlace>,
    limit: usize,
) -> Found<Versioned<Order>, OrderPlace> {
    let mut page = Pages::new(limit);
    let read = |id| order(view, tenant, id, query.as_of).filter(|order| query.wants(&order.is));
    let after_id = match after {
        Some(OrderPlace::Id(id)) => Some(id),
        _ => None,
    };
    if let Some(buyer) = query.buyer {
        let index = buyers_orders(tenant, buyer);
        let Some(from) = behind_id(after_id) else { return page.finish() };
        view.scan(&index.u128(from), &index.end(), &mut |key, _| {
            let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
            page.look(OrderPlace::Id(id), || read(id))
        });
    } else if let Some(sale) = query.sale {
        let after = match after {
            Some(OrderPlace::Placed(change)) => Some(change),
            _ => None,
        };
        stock::ledger(view, tenant, sale, after, query.as_of, &mut |line| {
            let placed = line.entry == Entry::Placed;
            page.look(OrderPlace::Placed(line.change), || if placed { read(line.order) } else { None })
        });
    } else {
        let want = |order: &Versioned<Order>| query.wants(&order.is);
        let Found { items, next } = records(view, tenant, Kind::Order, after_id, query.as_of, limit, &want);
        return Found { items, next: next.map(OrderPlace::Id) };
    }
    page.finish()
}

/// What `find` makes of the newest order of a buyer of which it makes something; at most `limit` are looked at.
pub fn newest_order<T>(
    view: &dyn Read,
    tenant: TenantNumber,
    buyer: Uuid,
    limit: usize,
    find: &mut dyn FnMut(Order) -> Option<T>,
) -> Option<T> {
    let index = buyers_orders(tenant, buyer);
    let (mut looked, mut found) = (0, None);
    view.scan_back(&index, &index.end(), &mut |key, _| {
        looked += 1;
        let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
        found = order(view, tenant, id, None).and_then(|order| find(order.is));
        if found.is_some() || looked == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// The versions of a record that came behind `after`, the oldest first, at most `limit`.
pub fn versions<T: DeserializeOwned>(
    view: &dyn Read,
    record: RecordId,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    limit: usize,
) -> Vec<(ChangeId, Versioned<T>)> {
    let mut found = Vec::new();
    record::versions(view, record, after, as_of, &mut |version| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push((version.change, Versioned::read(&version)));
        ControlFlow::Continue(())
    });
    found
}

/// A page under construction: it looks one record further than it shows, to know whether there are more.
struct Pages<T, Place> {
    items: Vec<T>,
    limit: usize,
    visits: usize,
    last: Option<Place>,
    next: Option<Place>,
}

impl<T, Place: Copy> Pages<T, Place> {
    fn new(limit: usize) -> Self {
        Pages { items: Vec::new(), limit, visits: 0, last: None, next: None }
    }

    fn look(&mut self, place: Place, read: impl FnOnce() -> Option<T>) -> ControlFlow<()> {
        if self.visits == VISITS_MAX {
            self.next = self.last;
            return ControlFlow::Break(());
        }
        self.visits += 1;
        if let Some(item) = read() {
            if self.items.len() == self.limit {
                self.next = self.last;
                return ControlFlow::Break(());
            }
            self.items.push(item);
        }
        self.last = Some(place);
        ControlFlow::Continue(())
    }

    fn finish(self) -> Found<T, Place> {
        Found { items: self.items, next: self.next }
    }
}

/// The records of a kind behind `after` that `want` wants, in the order of their ids.
pub(crate) fn records<T: DeserializeOwned>(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: Kind,
    after: Option<Uuid>,
    as_of: Option<Seq>,
    limit: usize,
    want: &dyn Fn(&Versioned<T>) -> bool,
) -> Found<Versioned<T>, Uuid> {
    let mut page = Pages::new(limit);
    let table = Key::of(Table::Record, tenant).u8(kind as u8);
    let Some(from) = behind_id(after) else { return page.finish() };
    view.scan(&table.u128(from), &table.end(), &mut |key, value| {
        let id = Uuid::from_u128(Parts(&key[key.len() - 16..]).u128());
        page.look(id, || {
            let current = Version::read(value);
            let found = match as_of {
                Some(seq) if current.change.seq > seq => get(view, tenant, kind, id, as_of)?,
                _ => Versioned::read(&current),
            };
            want(&found).then_some(found)
        })
    });
    page.finish()
}

/// The first id behind another; `None` behind the last there can be.
fn behind_id(after: Option<Uuid>) -> Option<u128> {
    after.map_or(Some(0), |after| after.as_u128().checked_add(1))
}

fn get<T: DeserializeOwned>(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: Kind,
    id: Uuid,
    as_of: Option<Seq>,
) -> Option<Versioned<T>> {
    record::as_of(view, record_id(tenant, kind, id), as_of).map(|version| Versioned::read(&version))
}

/// The record of a product, a sale or an order.
pub fn record_id(tenant: TenantNumber, kind: Kind, id: Uuid) -> RecordId {
    RecordId { tenant, kind, id: id.as_u128() }
}

/// Where the orders of a buyer stand, by id.
pub(super) fn buyers_orders(tenant: TenantNumber, buyer: Uuid) -> Key {
    Index::OrderByBuyer.key(tenant).u128(buyer.as_u128())
}
