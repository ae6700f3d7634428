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
        let wanted = ["OrderPlaced", "OrderImported"];
        Fact::KINDS.iter().any(|known| known.kind == kind && wanted.contains(&known.name))
    }

    fn key(&self, fact: &crate::Fact, _: At) -> Option<u128> {
        to_process(fact).map(|order| order.id.as_u128())
    }

    fn consume(&self, view: &dyn Read, fact: &crate::Fact, at: At) -> Result<Vec<crate::Command>, String> {
        let order = to_process(fact);
        Ok(order.map(|order| process(view, at.tenant, order).into()).into_iter().collect())
    }
}

/// The order that a fact leaves to be processed. Of one that is taken over, a later version may say what became of it.
fn to_process(fact: &crate::Fact) -> Option<&Order> {
    let order = match fact {
        crate::Fact::FlashSales(Fact::OrderPlaced(order)) => order,
        crate::Fact::FlashSales(Fact::OrderImported(import)) if import.latest => &import.is,
        _ => return None,
    };
    (order.status == OrderStatus::Pending).then_some(order)
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

#[cfg(test)]
mod tests {
    use maitred_core::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::accounts::{CloseAccount, PasswordHash, RegisterUser};
    use crate::flash_sales::{CreateProduct, CreateSale, PlaceOrder};
    use crate::money::{Currency, Money};
    use crate::testing::World;

    const TENANT: TenantNumber = TenantNumber(3);

    /// What follows from the purchase of a buyer who is registered, and has left by then or not.
    fn follow(leaves: bool) -> Vec<crate::Command> {
        let mut world = World::new(Booking);
        let mut submit = |command: crate::Command| world.submit(TENANT, &command).expect("accepted");
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw";
        let register =
            RegisterUser { email: "ann@example.com".to_owned(), password: PasswordHash::from_phc(hash) };
        let (_, outcome) = submit(accounts::Command::Register(register).into());
        let crate::Outcome::Accounts(outcome) = outcome else { panic!("{outcome:?}") };
        let buyer = outcome.account.account.id;
        let (product, sale) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let price = Money { amount: 5, currency: Currency::parse("EUR").expect("a code") };
        let create =
            CreateProduct { id: Some(product), name: "x".to_owned(), description: None, price, inventory: 9 };
        submit(Command::CreateProduct(create).into());
        let create = CreateSale {
            id: Some(sale),
            product,
            starts_at: Timestamp::from_millis(0),
            ends_at: Timestamp::from_millis(1_000_000),
            quantity: 9,
            buyer_limit: 1,
            hold_seconds: None,
            price: None,
        };
        submit(Command::CreateSale(create).into());
        let (facts, _) = submit(Command::PlaceOrder(PlaceOrder { sale, buyer }).into());
        if leaves {
            submit(accounts::Command::Close(CloseAccount { user: buyer }).into());
        }
        let at = At { tenant: TENANT, seq: 9, ordinal: 0, timestamp: world.timestamp };
        let follow = |fact: &crate::Fact| OrderProcessing.consume(&world.view, fact, at).expect("no reason");
        facts.iter().flat_map(follow).collect()
    }

    #[test]
    fn the_order_of_somebody_who_has_left_fails() {
        let commands = follow(false);
        assert!(
            matches!(&commands[..], [crate::Command::FlashSales(Command::CompleteOrder { .. })]),
            "{commands:?}"
        );
        let commands = follow(true);
        assert!(
            matches!(&commands[..], [crate::Command::FlashSales(Command::FailOrder(fail))] if fail.reason == ACCOUNT_CLOSED),
            "{commands:?}"
        );
    }
}
