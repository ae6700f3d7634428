//! Reconciliation: what a sale was given, where its counts say the pieces are, and the orders behind them, counted
//! one by one. The three are written by different facts and kept in different tables; here they must agree.

use std::collections::HashMap;
use std::ops::ControlFlow;

use maitred_core::{Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::fact::{Order, OrderStatus};
use super::stock::{self, Entry, Stock};
use super::view;
use crate::record::{self, Kind};

/// The orders of a sale by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCounts([u64; OrderStatus::ALL.len()]);

impl OrderCounts {
    /// How many have this status.
    pub fn of(&self, status: OrderStatus) -> u64 {
        self.0[status as usize]
    }

    /// How many there are.
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many have a piece sold to them.
    pub fn sold(&self) -> u64 {
        OrderStatus::ALL.into_iter().filter(|status| status.is_sold()).map(|status| self.of(status)).sum()
    }

    fn add(&mut self, status: OrderStatus) {
        self.0[status as usize] += 1;
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// What the sale's record says it was given.
    pub issued: u64,
    /// Where its counts say they are, with holds that are over settled.
    pub stock: Stock,
    /// Its orders, each looked at, with holds that are over counted as expired.
    pub orders: OrderCounts,
    /// How many buyers have a piece.
    pub buyers: u64,
    /// The most that one of them has.
    pub most_per_buyer: u32,
    /// What does not agree, in words; nothing if all is well.
    pub differences: Vec<String>,
}

/// Reconciles a sale at an instant, as of a batch or now. `None` if it is not there.
///
/// Looks at every order: for a sale of a million pieces that takes a second.
pub fn reconcile(
    view: &dyn Read,
    tenant: TenantNumber,
    sale: Uuid,
    at: Timestamp,
    as_of: Option<Seq>,
) -> Option<Reconciliation> {
    let record = view::sale(view, tenant, sale, as_of)?.is;
    let recorded = match as_of {
        Some(seq) => stock::stock_as_of(view, tenant, sale, seq),
        None => stock::stock(view, tenant, sale),
    };
    let recorded = recorded.unwrap_or_default();
    let (mut orders, mut as_recorded) = (OrderCounts::default(), OrderCounts::default());
    let mut buyers: HashMap<Uuid, u32> = HashMap::new();
    let mut missing = 0_u64;
    stock::ledger(view, tenant, sale, None, as_of, &mut |line| {
        if line.entry == Entry::Placed {
            let id = view::record_id(tenant, Kind::Order, line.order);
            match record::as_of(view, id, as_of).map(|version| version.decode::<Order>()) {
                Some(order) if order.sale == sale => {
                    let status = order.status_at(at);
                    as_recorded.add(order.status);
                    orders.add(status);
                    if status.is_sold() || status == OrderStatus::Held {
                        *buyers.entry(order.buyer).or_default() += 1;
                    }
                }
                _ => missing += 1,
            }
        }
        ControlFlow::Continue(())
    });

    let issued = u64::from(record.quantity);
    let mut differences = Vec::new();
    let mut compare = |what: &str, counted: u64, found: u64| {
        if counted != found {
            differences.push(format!("{what}: the counts say {counted}, and {found} were found"));
        }
    };
    compare("issued", recorded.issued(), issued);
    compare("held", u64::from(recorded.held), as_recorded.of(OrderStatus::Held));
    compare("sold", u64::from(recorded.sold), as_recorded.sold());
    compare("open", u64::from(recorded.open), u64::from(record.closed.is_none()));
    compare("orders that are in the ledger and nowhere else", 0, missing);
    let over = as_recorded.of(OrderStatus::Held) - orders.of(OrderStatus::Held);
    Some(Reconciliation {
        issued,
        stock: recorded.without_holds(u32::try_from(over).unwrap_or(u32::MAX)),
        orders,
        buyers: buyers.len() as u64,
        most_per_buyer: buyers.values().copied().max().unwrap_or(0),
        differences,
    })
}
