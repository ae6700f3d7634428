//! Random histories against a naive model: every answer, every list of the past, and a reconciliation after each step.

use std::collections::BTreeMap;

use maitred_core::{Seq, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use super::import::check_import;
use super::steps::{Advance, Step, any_step, buyer_id, command};
use super::{PRODUCT, TENANT, product, second};
use crate::testing::World;
use crate::timer;

pub(super) const SALES: [Uuid; 2] = [Uuid::from_u128(0x51), Uuid::from_u128(0x52)];

/// An order as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelOrder {
    pub(super) id: Uuid,
    sale: usize,
    buyer: Uuid,
    /// Every status with the batch since which it holds.
    statuses: Vec<(Seq, OrderStatus)>,
    expires_at: Option<Timestamp>,
}

impl ModelOrder {
    fn status(&self, at: Timestamp) -> OrderStatus {
        let status = self.statuses.last().expect("a first one").1;
        if status == OrderStatus::Held && self.expires_at.is_some_and(|over| over <= at) {
            return OrderStatus::Expired;
        }
        status
    }

    /// Whether it has a piece.
    fn has_piece(&self, at: Timestamp) -> bool {
        let status = self.status(at);
        status.is_sold() || status == OrderStatus::Held
    }
}

/// A sale as the model knows it: how many pieces it was given, and whether it is closed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelSale {
    starts_at: Timestamp,
    ends_at: Timestamp,
    quantity: u32,
    limit: u32,
    hold_seconds: Option<u32>,
    closed: Option<Closing>,
}

impl ModelSale {
    fn is_over(&self, at: Timestamp) -> bool {
        self.closed.is_some() || at >= self.ends_at
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    inventory: u64,
    sales: BTreeMap<usize, ModelSale>,
    pub(super) orders: Vec<ModelOrder>,
}

type Told = Result<Effect, &'static str>;

impl Model {
    fn pieces(&self, sale: usize, at: Timestamp) -> u32 {
        self.orders.iter().filter(|order| order.sale == sale && order.has_piece(at)).count() as u32
    }

    fn step(&mut self, step: &Step, at: Timestamp, seq: Seq) -> Told {
        match *step {
            Step::Create { sale, starts_in, length, quantity, limit, hold } => {
                if self.sales.contains_key(&sale) {
                    return Err("id-taken");
                }
                if self.is_short(at, quantity) {
                    return Err("inventory-short");
                }
                let starts_at = Timestamp::from_micros(at.as_micros() + starts_in * 1_000_000);
                let ends_at = Timestamp::from_micros(starts_at.as_micros() + length * 1_000_000);
                let sale_of =
                    ModelSale { starts_at, ends_at, quantity, limit, hold_seconds: hold, closed: None };
                self.sales.insert(sale, sale_of);
                Ok(Effect::Created)
            }
            Step::Quantity { sale, quantity } => {
                let known = self.sales.get(&sale).ok_or("sale-not-found")?.clone();
                if known.is_over(at) {
                    return Err("sale-closed");
                }
                if known.quantity == quantity {
                    return Ok(Effect::Unchanged);
                }
                if quantity < self.pieces(sale, at) {
                    return Err("quantity-below-sold");
                }
                let more = quantity.saturating_sub(known.quantity);
                if more > 0 && self.is_short(at, more) {
                    return Err("inventory-short");
                }
                self.sales.get_mut(&sale).expect("known").quantity = quantity;
                Ok(Effect::Updated)
            }
            Step::Close { sale, closing } => {
                let known = self.sales.get_mut(&sale).ok_or("sale-not-found")?;
                match known.closed {
                    Some(closed) if closed == closing => return Ok(Effect::Unchanged),
                    Some(_) => return Err("sale-closed"),
                    None if closing == Closing::Cancelled && known.is_over(at) => return Err("sale-closed"),
                    None => known.closed = Some(closing),
                }
                Ok(if closing == Closing::Ended { Effect::Ended } else { Effect::Cancelled })
            }
            Step::Inventory { inventory } => {
                let inventory = u64::from(inventory);
                if inventory == self.inventory {
                    return Ok(Effect::Unchanged);
                }
                if inventory < self.taken(at) {
                    return Err("inventory-below-allocated");
                }
                self.inventory = inventory;
                Ok(Effect::Updated)
            }
            Step::Buy { sale, buyer } => {
                let known = self.sales.get(&sale).ok_or("sale-not-found")?;
                let pieces = self.pieces(sale, at);
                // A sale that was closed with pieces left is not sold out, but no longer active.
                if pieces >= known.quantity {
                    return Err("sold-out");
                }
                let own = |order: &&ModelOrder| order.sale == sale && order.buyer == buyer_id(buyer);
                let has = self.orders.iter().filter(own).filter(|order| order.has_piece(at)).count() as u32;
                if has >= known.limit {
                    return Err("buyer-limit-reached");
                }
                if known.is_over(at) || at < known.starts_at {
                    return Err("sale-not-active");
                }
                let held = |seconds| Timestamp::from_micros(at.as_micros() + i64::from(seconds) * 1_000_000);
                let expires_at = known.hold_seconds.map(held);
                let status = if expires_at.is_some() { OrderStatus::Held } else { OrderStatus::Pending };
                self.orders.push(ModelOrder {
                    id: Uuid::nil(),
                    sale,
                    buyer: buyer_id(buyer),
                    statuses: vec![(seq, status)],
                    expires_at,
                });
                Ok(Effect::Placed)
            }
            Step::Reset { sale, length, left } => {
                let quantity = self.pieces(sale, at) + left;
                let known = self.sales.get_mut(&sale).ok_or("sale-not-found")?;
                let ends_at = Timestamp::from_micros(at.as_micros() + length * 1_000_000);
                // No others' pieces are touched: what is missing is brought in.
                (known.starts_at, known.ends_at, known.quantity, known.closed) =
                    (at, ends_at, quantity, None);
                self.inventory = self.inventory.max(self.taken(at));
                Ok(Effect::Updated)
            }
            Step::Order { order, to } => self.advance(order, to, at, seq),
            Step::Sweep | Step::Wait { .. } => unreachable!("these are no commands"),
        }
    }

    fn advance(&mut self, order: usize, to: Advance, at: Timestamp, seq: Seq) -> Told {
        let order = self.orders.get_mut(order).ok_or("order-not-found")?;
        let status = order.status(at);
        let recorded = order.statuses.last().expect("a first one").1;
        let (next, effect) = match (to, status) {
            (Advance::Complete, OrderStatus::Pending) => (OrderStatus::Completed, Effect::Completed),
            (Advance::Fail, OrderStatus::Pending) => (OrderStatus::Failed, Effect::Failed),
            (Advance::Expire, OrderStatus::Expired) if recorded == OrderStatus::Held => {
                (OrderStatus::Expired, Effect::Expired)
            }
            (Advance::Complete | Advance::Fail | Advance::Expire, _) => return Ok(Effect::Unchanged),
            (Advance::Pay, OrderStatus::Held) => (OrderStatus::Paid, Effect::Paid),
            (Advance::Cancel, OrderStatus::Held) => (OrderStatus::Cancelled, Effect::Cancelled),
            (Advance::Cancel, OrderStatus::Cancelled) => return Ok(Effect::Unchanged),
            (_, OrderStatus::Expired) => return Err("hold-expired"),
            _ => return Err("invalid-transition"),
        };
        order.statuses.push((seq, next));
        Ok(effect)
    }

    /// Whether the product has fewer pieces available than wanted.
    fn is_short(&self, at: Timestamp, wanted: u32) -> bool {
        self.inventory < self.taken(at) + u64::from(wanted)
    }

    /// What sales have of the product: all of an open one, and what a closed one has sold and holds. A sale whose
    /// window is over counts as closed. The piece of a closed sale's hold is the product's again when the hold is
    /// recorded as over.
    fn taken(&self, at: Timestamp) -> u64 {
        let taken = |(number, sale): (&usize, &ModelSale)| {
            if sale.is_over(at) { self.recorded_of(*number) } else { u64::from(sale.quantity) }
        };
        self.sales.iter().map(taken).sum()
    }

    /// The pieces of a sale that are recorded as sold or held.
    fn recorded_of(&self, sale: usize) -> u64 {
        let recorded = |order: &&ModelOrder| {
            let status = order.statuses.last().expect("a first one").1;
            order.sale == sale && (status.is_sold() || status == OrderStatus::Held)
        };
        self.orders.iter().filter(recorded).count() as u64
    }
}

/// What facts say beyond the answer: holds and sales that a command has settled on its way.
fn settle(model: &mut Model, facts: &[Fact], seq: Seq) {
    for fact in facts {
        match fact {
            Fact::OrderExpired(order) => {
                let known = model.orders.iter_mut().find(|known| known.id == order.id).expect("known");
                if known.statuses.last().expect("a first one").1 == OrderStatus::Held {
                    known.statuses.push((seq, OrderStatus::Expired));
                }
            }
            Fact::SaleEnded(sale) => {
                let number = SALES.iter().position(|id| *id == sale.id).expect("known");
                model.sales.get_mut(&number).expect("known").closed = Some(Closing::Ended);
            }
            _ => {}
        }
    }
}

/// I6, the whole of it, at an instant.
fn check_stock(world: &World<Rules>, model: &Model) -> Result<(), TestCaseError> {
    let at = world.timestamp;
    for (number, sale) in &model.sales {
        let found = reconcile(&world.view, TENANT, SALES[*number], at, None).expect("it is there");
        prop_assert_eq!(&found.differences, &Vec::<String>::new());
        let all = [found.stock.free, found.stock.held, found.stock.sold, found.stock.returned];
        prop_assert_eq!(all.iter().sum::<u32>(), sale.quantity);
        prop_assert_eq!(found.stock.held + found.stock.sold, model.pieces(*number, at));
        for buyer in 0..4 {
            let own = |order: &&ModelOrder| order.sale == *number && order.buyer == buyer_id(buyer);
            let has = model.orders.iter().filter(own).filter(|order| order.has_piece(at)).count();
            prop_assert!(has <= sale.limit as usize);
        }
    }
    let product = view::product(&world.view, TENANT, PRODUCT, None).expect("it is there").is;
    prop_assert_eq!(product.inventory, model.inventory);
    prop_assert!(stock::allocated(&world.view, TENANT, PRODUCT, None) <= model.inventory);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_histories_go_as_the_model_says(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut world = World::new(Rules);
        world.submit(TENANT, &Command::CreateProduct(product(8))).expect("a product");
        let mut model = Model { inventory: 8, ..Model::default() };
        let mut counts = vec![(world.seq, Vec::new())];
        for step in &steps {
            match step {
                Step::Wait { seconds } => {
                    let later = world.timestamp.as_micros() + seconds * 1_000_000;
                    world.timestamp = Timestamp::from_micros(later);
                    continue;
                }
                Step::Sweep => {
                    for (tenant, due) in timer::due(&world.view, world.timestamp, 3) {
                        let crate::Command::FlashSales(command) = due else { panic!("{due:?}") };
                        let (facts, _) = world.submit(tenant, &command).expect("what is due is accepted");
                        prop_assert!(!facts.is_empty(), "a timer that is due has something to do");
                        settle(&mut model, &facts, world.seq);
                    }
                }
                step => {
                    let at = Timestamp::from_micros(world.timestamp.as_micros() + 1_000_000);
                    let command = command(step, &model, at);
                    let answer = world.submit(TENANT, &command);
                    let expected = model.step(step, at, world.seq);
                    let told = answer.as_ref().map(|(_, outcome)| outcome.effect());
                    prop_assert_eq!(told.map_err(|refused| &*refused.code), expected, "{:?} at {}", step, at);
                    if let Ok((facts, outcome)) = answer {
                        prop_assert_eq!(facts.is_empty(), outcome.effect() == Effect::Unchanged);
                        if let (Effect::Placed, Outcome::Order { order, .. }) = (outcome.effect(), &outcome) {
                            model.orders.last_mut().expect("the model has it too").id = order.is.id;
                        }
                        settle(&mut model, &facts, world.seq);
                        check_outcome(&world, &outcome)?;
                    }
                }
            }
            check_stock(&world, &model)?;
            let now = model.sales.keys().map(|sale| stock::stock(&world.view, TENANT, SALES[*sale]));
            counts.push((world.seq, now.collect()));
        }
        prop_assert_eq!(&world.replay(), &world.view);
        check_past(&world, &model, &counts)?;
        check_import(&world)?;
    }
}

/// What a client is told is what is there.
fn check_outcome(world: &World<Rules>, outcome: &Outcome) -> Result<(), TestCaseError> {
    match outcome {
        Outcome::Product { product, allocated, .. } => {
            let found = view::product(&world.view, TENANT, product.is.id, None);
            prop_assert_eq!(found.as_ref(), Some(product));
            prop_assert_eq!(stock::allocated(&world.view, TENANT, product.is.id, None), *allocated);
        }
        Outcome::Sale { sale, stock, .. } => {
            let found = view::sale(&world.view, TENANT, sale.is.id, None);
            prop_assert_eq!(found.as_ref(), Some(sale));
            prop_assert_eq!(stock::stock(&world.view, TENANT, sale.is.id), Some(*stock));
        }
        Outcome::Order { order, .. } => {
            let found = view::order(&world.view, TENANT, order.is.id, None);
            prop_assert_eq!(found.as_ref(), Some(order));
        }
        Outcome::Tries { .. } => unreachable!("no step counts tries"),
    }
    Ok(())
}

/// Every past batch is listed and reconciled as it was then.
fn check_past(
    world: &World<Rules>,
    model: &Model,
    counts: &[(Seq, Vec<Option<Stock>>)],
) -> Result<(), TestCaseError> {
    for seq in 0..=world.seq {
        for (number, id) in SALES.into_iter().enumerate() {
            let of_sale = model.orders.iter().filter(|order| order.sale == number);
            let then: Vec<(Uuid, OrderStatus)> = of_sale
                .filter_map(|order| {
                    let (_, status) = order.statuses.iter().rev().find(|(since, _)| *since <= seq)?;
                    Some((order.id, *status))
                })
                .collect();
            let query = OrderQuery { sale: Some(id), as_of: Some(seq), ..OrderQuery::default() };
            let listed = view::orders(&world.view, TENANT, &query, None, 1_000).items;
            let listed: Vec<_> = listed.into_iter().map(|order| (order.is.id, order.is.status)).collect();
            prop_assert_eq!(listed, then, "sale {} as of {}", number, seq);
            if let Some(found) = reconcile(&world.view, TENANT, id, second(0), Some(seq)) {
                prop_assert_eq!(found.differences, Vec::<String>::new(), "as of {}", seq);
            }
        }
    }
    for (seq, then) in counts {
        let numbers = model.sales.keys().take(then.len());
        for (number, stock) in numbers.zip(then) {
            // Sales are announced in any order: one that came later is in the model's keys before an earlier one.
            if model.sales.len() == then.len() {
                prop_assert_eq!(stock::stock_as_of(&world.view, TENANT, SALES[*number], *seq), *stock);
            }
        }
    }
    Ok(())
}
