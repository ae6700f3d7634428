//! The processing of orders: every order that was placed without a hold is completed, by a consumer that follows the
//! log and submits what this says. An order that cannot be carried out fails, and gives its piece back.
//!
//! Invariant: following a fact again leads to the same commands, and a command that comes again changes nothing: so
//! "at least once" is enough, and a crash between a purchase and its processing delays the order and loses nothing.

use maitred_core::{At, Read, TenantNumber};
use maitred_engine::consumers::Consumer;

use super::command::{Command, FailOrder};
use super::fact::{Fact, Order, OrderStatus};
use crate::{Booking, accounts};

/// Why the order of somebody who has left is not carried out.
const ACCOUNT_CLOSED: &str = "The buyer's account is closed.";

/// The consumer that processes orders.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderProcessing;

impl Consumer<Booking> for OrderProcessing {
    fn name(&self) -> &'static str {
        "order-processing"
    }

    fn wants(&self, kind: u16) -> bool {
        Fact::KINDS.iter().any(|known| known.kind == kind && known.name == "OrderPlaced")
    }

    fn key(&self, fact: &crate::Fact, _: At) -> Option<u128> {
        to_process(fact).map(|order| order.id.as_u128())
    }

    fn consume(&self, view: &dyn Read, fact: &crate::Fact, at: At) -> Result<Vec<crate::Command>, String> {
        let order = to_process(fact);
        Ok(order.map(|order| process(view, at.tenant, order).into()).into_iter().collect())
    }
}

/// The order that a fact leaves to be processed.
fn to_process(fact: &crate::Fact) -> Option<&Order> {
    match fact {
        crate::Fact::FlashSales(Fact::OrderPlaced(order)) if order.status == OrderStatus::Pending => {
            Some(order)
        }
        _ => None,
    }
}

/// What becomes of an order: it is completed, unless its buyer has left. Whoever works for a tenant may sell to people
/// who have no account.
fn process(view: &dyn Read, tenant: TenantNumber, order: &Order) -> Command {
    let left =
        accounts::view::user(view, tenant, order.buyer).is_some_and(|user| user.account.account.closed);
    if left {
        return Command::FailOrder(FailOrder { order: order.id, reason: ACCOUNT_CLOSED.to_owned() });
    }
    Command::CompleteOrder { order: order.id }
}
