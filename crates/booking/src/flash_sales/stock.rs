//! How many pieces there are, and where: small entries apart from the records, so that a purchase in a rush changes
//! a few bytes and writes no new version of its sale or product.
//!
//! Tables:
//! - `Stock/tenant/sale` → free 4 · held 4 · sold 4 · returned 4 · open 1.
//! - `Stock/tenant/product` → allocated 8: what sales have taken and not returned.
//! - `Ledger/tenant/sale/seq/ordinal` → timestamp 8 · entry 1 · order 16 · the stock as above: after each fact.
//! - `Ledger/tenant/product/seq/ordinal` → timestamp 8 · allocated 8: after each fact that changed it.
//! - `Buyer/tenant/sale/buyer` → pieces 4 · (expiry 8 · order 16) for each piece that is held.
//! - `Index/tenant/HoldBySale/sale/expiry/order` → nothing.
//!
//! Invariant: [`Stock::move_piece`] takes a piece from one place and puts it into another; nothing else changes the
//! counts but a change of the sale's quantity and its closing. So their sum is the sale's quantity, always.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{At, ChangeId, Key, Read, Seq, Table, TenantNumber, Timestamp, Write};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::BUYER_LIMIT_MAX;
use crate::record::Index;

const STOCK_BYTES: usize = 17;

/// Where the pieces of a sale are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stock {
    /// To be had; none of a closed sale.
    pub free: u32,
    /// Waiting to be paid.
    pub held: u32,
    /// Sold.
    pub sold: u32,
    /// Back in the product's inventory, since the sale was closed.
    pub returned: u32,
    /// Whether the sale is not closed.
    pub open: bool,
}

/// A place where a piece can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With the sale: to be had, or back in the inventory if the sale is closed.
    Shelf,
    /// With an order that is to be paid.
    Held,
    /// With an order.
    Sold,
}

impl Stock {
    /// All pieces: the sale's quantity.
    pub fn issued(&self) -> u64 {
        [self.free, self.held, self.sold, self.returned].map(u64::from).iter().sum()
    }

    /// The pieces that the sale has taken from its product and not returned.
    pub fn taken(&self) -> u64 {
        self.issued() - u64::from(self.returned)
    }

    /// Moves a piece. From a place that has none, nothing moves.
    pub fn move_piece(&mut self, from: Place, to: Place) {
        let [from, to] = [from, to].map(|place| self.index(place));
        let mut counts = [self.free, self.held, self.sold, self.returned];
        if counts[from] > 0 {
            counts[from] -= 1;
            counts[to] += 1;
        }
        [self.free, self.held, self.sold, self.returned] = counts;
    }

    fn index(&self, place: Place) -> usize {
        match place {
            Place::Shelf if self.open => 0,
            Place::Shelf => 3,
            Place::Held => 1,
            Place::Sold => 2,
        }
    }

    /// The same when `holds` of what is held are over.
    #[must_use]
    pub fn without_holds(mut self, holds: u32) -> Self {
        for _ in 0..holds.min(self.held) {
            self.move_piece(Place::Held, Place::Shelf);
        }
        self
    }

    /// Gives the sale another quantity, and opens it; what is sold and held stays so.
    pub fn set_quantity(&mut self, quantity: u32) {
        self.free = quantity.saturating_sub(self.held).saturating_sub(self.sold);
        (self.returned, self.open) = (0, true);
    }

    /// Returns what is left.
    pub fn close(&mut self) {
        self.returned += std::mem::take(&mut self.free);
        self.open = false;
    }

    fn to_bytes(self) -> [u8; STOCK_BYTES] {
        let mut bytes = [0; STOCK_BYTES];
        for (i, count) in [self.free, self.held, self.sold, self.returned].into_iter().enumerate() {
            bytes[i * 4..][..4].copy_from_slice(&count.to_be_bytes());
        }
        bytes[16] = u8::from(self.open);
        bytes
    }

    fn read(parts: &mut Parts<'_>) -> Self {
        Stock {
            free: parts.u32(),
            held: parts.u32(),
            sold: parts.u32(),
            returned: parts.u32(),
            open: parts.u8() == 1,
        }
    }
}

/// What a fact did to a sale's stock. The number is part of the values and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Entry {
    /// The sale was announced, changed or reset.
    Set = 1,
    /// The sale was closed.
    Closed = 2,
    /// An order was placed.
    Placed = 3,
    /// A held piece was paid.
    Paid = 4,
    /// A piece came back.
    Back = 5,
}

/// A line of a sale's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The fact.
    pub change: ChangeId,
    /// When it was decided.
    pub at: Timestamp,
    /// What it did.
    pub entry: Entry,
    /// The order it was about; nil if about none.
    pub order: Uuid,
    /// What was there since.
    pub stock: Stock,
}

impl Line {
    fn read(key: &[u8], value: &[u8]) -> Self {
        let change = Parts(&key[key.len() - 12..]).change();
        let mut parts = Parts(value);
        let at = parts.time();
        let entry = match parts.u8() {
            1 => Entry::Set,
            2 => Entry::Closed,
            3 => Entry::Placed,
            4 => Entry::Paid,
            5 => Entry::Back,
            entry => panic!("a view of this build holds no ledger entries of kind {entry}"),
        };
        Line { change, at, entry, order: Uuid::from_u128(parts.u128()), stock: Stock::read(&mut parts) }
    }
}

/// The stock of a sale, as it is recorded: holds that are over and not yet settled count as held.
pub fn stock(view: &dyn Read, tenant: TenantNumber, sale: Uuid) -> Option<Stock> {
    view.get(&stock_key(tenant, sale)).map(|value| Stock::read(&mut Parts(value)))
}

/// The same as it was after the batch `as_of`.
pub fn stock_as_of(view: &dyn Read, tenant: TenantNumber, sale: Uuid, as_of: Seq) -> Option<Stock> {
    let ledger = ledger_key(tenant, sale);
    let (key, value) = view.last(&ledger, &ledger.change(behind(as_of)))?;
    Some(Line::read(key, value).stock)
}

/// What sales have taken of a product and not returned, now or after a batch.
pub fn allocated(view: &dyn Read, tenant: TenantNumber, product: Uuid, as_of: Option<Seq>) -> u64 {
    match as_of {
        None => view.get(&stock_key(tenant, product)).map_or(0, |value| Parts(value).u64()),
        Some(seq) => {
            let ledger = ledger_key(tenant, product);
            let last = view.last(&ledger, &ledger.change(behind(seq)));
            last.map_or(0, |(_, value)| Parts(&value[8..]).u64())
        }
    }
}

/// Visits a sale's ledger behind `after` until `as_of`, the oldest line first.
pub fn ledger(
    view: &dyn Read,
    tenant: TenantNumber,
    sale: Uuid,
    after: Option<ChangeId>,
    as_of: Option<Seq>,
    visit: &mut dyn FnMut(Line) -> ControlFlow<()>,
) {
    let table = ledger_key(tenant, sale);
    let from = after.map_or(table, |after| table.change(next(after)));
    let to = as_of.map_or(table.end(), |seq| table.change(behind(seq)));
    view.scan(&from, &to, &mut |key, value| visit(Line::read(key, value)));
}

/// Visits a sale's ledger, the newest line first.
pub fn ledger_back(
    view: &dyn Read,
    tenant: TenantNumber,
    sale: Uuid,
    visit: &mut dyn FnMut(Line) -> ControlFlow<()>,
) {
    let table = ledger_key(tenant, sale);
    view.scan_back(&table, &table.end(), &mut |key, value| visit(Line::read(key, value)));
}

/// The pieces of a buyer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buyer {
    /// How many, held ones included.
    pub pieces: u32,
    /// Until when which orders hold one.
    pub holds: Vec<(Timestamp, Uuid)>,
}

impl Buyer {
    fn read(value: &[u8]) -> Self {
        let mut parts = Parts(value);
        let pieces = parts.u32();
        let mut holds = Vec::new();
        while !parts.0.is_empty() {
            holds.push((parts.time(), Uuid::from_u128(parts.u128())));
        }
        Buyer { pieces, holds }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 24 * self.holds.len());
        bytes.extend_from_slice(&self.pieces.to_be_bytes());
        for (expires_at, order) in &self.holds {
            bytes.extend_from_slice(&expires_at.to_ordered().to_be_bytes());
            bytes.extend_from_slice(order.as_bytes());
        }
        bytes
    }

    /// The orders whose hold is over.
    pub fn expired(&self, at: Timestamp) -> impl Iterator<Item = Uuid> {
        self.holds.iter().filter(move |(expires_at, _)| *expires_at <= at).map(|(_, order)| *order)
    }
}

/// What a buyer has of a sale.
pub fn buyer(view: &dyn Read, tenant: TenantNumber, sale: Uuid, buyer: Uuid) -> Buyer {
    view.get(&buyer_key(tenant, sale, buyer)).map_or_else(Buyer::default, Buyer::read)
}

/// The orders of a sale whose hold is over and which are still recorded as held, the longest over first, at most
/// `limit`.
pub fn expired_holds(
    view: &dyn Read,
    tenant: TenantNumber,
    sale: Uuid,
    at: Timestamp,
    limit: usize,
) -> Vec<Uuid> {
    let index = holds_key(tenant, sale);
    let behind = Timestamp::from_micros(at.as_micros().saturating_add(1));
    let mut found = Vec::new();
    view.scan(&index, &index.time(behind), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push(Uuid::from_u128(Parts(&key[key.len() - 16..]).u128()));
        ControlFlow::Continue(())
    });
    found
}

/// When the next hold of a sale is over that is not over at `at`.
pub fn next_expiry(view: &dyn Read, tenant: TenantNumber, sale: Uuid, at: Timestamp) -> Option<Timestamp> {
    let index = holds_key(tenant, sale);
    let behind = Timestamp::from_micros(at.as_micros().saturating_add(1));
    let (key, _) = view.first(&index.time(behind), &index.end())?;
    Some(Parts(&key[key.len() - 24..]).time())
}

/// The open sales of a product, at most `limit`.
pub fn open_sales(view: &dyn Read, tenant: TenantNumber, product: Uuid, limit: usize) -> Vec<Uuid> {
    let index = open_key(tenant, product);
    let mut found = Vec::new();
    view.scan(&index, &index.end(), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        found.push(Uuid::from_u128(Parts(&key[key.len() - 16..]).u128()));
        ControlFlow::Continue(())
    });
    found
}

/// Puts a sale's stock, notes it in the ledger, and lets the product know what was taken or returned.
pub(super) fn put_stock(
    view: &mut dyn Write,
    (sale, product): (Uuid, Uuid),
    (before, after): (Stock, Stock),
    entry: (Entry, Uuid),
    at: At,
) {
    let bytes = after.to_bytes();
    view.put(&stock_key(at.tenant, sale), &bytes);
    let mut line = [0; 25 + STOCK_BYTES];
    line[..8].copy_from_slice(&at.timestamp.to_ordered().to_be_bytes());
    line[8] = entry.0 as u8;
    line[9..25].copy_from_slice(entry.1.as_bytes());
    line[25..].copy_from_slice(&bytes);
    let change = ChangeId { seq: at.seq, ordinal: at.ordinal };
    view.put(&ledger_key(at.tenant, sale).change(change), &line);
    if before.taken() == after.taken() {
        return;
    }
    let allocated = allocated(view, at.tenant, product, None);
    let allocated = (allocated + after.taken()).saturating_sub(before.taken());
    view.put(&stock_key(at.tenant, product), &allocated.to_be_bytes());
    let mut line = [0; 16];
    line[..8].copy_from_slice(&at.timestamp.to_ordered().to_be_bytes());
    line[8..].copy_from_slice(&allocated.to_be_bytes());
    view.put(&ledger_key(at.tenant, product).change(change), &line);
}

/// Gives a buyer a piece, held until an instant if one is given.
pub(super) fn give(
    view: &mut dyn Write,
    tenant: TenantNumber,
    (sale, buyer): (Uuid, Uuid),
    hold: Option<(Timestamp, Uuid)>,
) {
    let mut has = self::buyer(view, tenant, sale, buyer);
    has.pieces += 1;
    has.holds.extend(hold);
    debug_assert!(has.holds.len() <= BUYER_LIMIT_MAX as usize, "a limit bounds what a buyer holds");
    view.put(&buyer_key(tenant, sale, buyer), &has.to_bytes());
    if let Some((expires_at, order)) = hold {
        view.put(&holds_key(tenant, sale).time(expires_at).u128(order.as_u128()), &[]);
    }
}

/// Ends an order's hold, if it has one; takes the piece back unless the buyer keeps it.
pub(super) fn release(
    view: &mut dyn Write,
    tenant: TenantNumber,
    (sale, buyer): (Uuid, Uuid),
    hold: Option<(Timestamp, Uuid)>,
    keeps: bool,
) {
    let mut has = self::buyer(view, tenant, sale, buyer);
    if !keeps {
        has.pieces = has.pieces.saturating_sub(1);
    }
    if let Some((expires_at, order)) = hold {
        has.holds.retain(|(_, held)| *held != order);
        view.delete(&holds_key(tenant, sale).time(expires_at).u128(order.as_u128()));
    }
    let key = buyer_key(tenant, sale, buyer);
    if has.pieces == 0 { view.delete(&key) } else { view.put(&key, &has.to_bytes()) }
}

/// Notes that a sale is open, or no longer.
pub(super) fn set_open(view: &mut dyn Write, tenant: TenantNumber, product: Uuid, sale: Uuid, open: bool) {
    let key = open_key(tenant, product).u128(sale.as_u128());
    if open { view.put(&key, &[]) } else { view.delete(&key) }
}

fn stock_key(tenant: TenantNumber, owner: Uuid) -> Key {
    Key::of(Table::Stock, tenant).u128(owner.as_u128())
}

fn ledger_key(tenant: TenantNumber, owner: Uuid) -> Key {
    Key::of(Table::Ledger, tenant).u128(owner.as_u128())
}

fn buyer_key(tenant: TenantNumber, sale: Uuid, buyer: Uuid) -> Key {
    Key::of(Table::Buyer, tenant).u128(sale.as_u128()).u128(buyer.as_u128())
}

fn holds_key(tenant: TenantNumber, sale: Uuid) -> Key {
    Index::HoldBySale.key(tenant).u128(sale.as_u128())
}

fn open_key(tenant: TenantNumber, product: Uuid) -> Key {
    Index::OpenSaleByProduct.key(tenant).u128(product.as_u128())
}

/// The first place behind a whole batch.
fn behind(seq: Seq) -> ChangeId {
    ChangeId { seq: seq.saturating_add(1), ordinal: 0 }
}

/// The place after another.
fn next(change: ChangeId) -> ChangeId {
    match change.ordinal.checked_add(1) {
        Some(ordinal) => ChangeId { ordinal, ..change },
        None => behind(change.seq),
    }
}
