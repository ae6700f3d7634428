//! Flash sales in the simulation: what clients ask for, and what should become of it, by the plainest means: a list
//! of orders, counted anew for every answer.
//!
//! A tenant has one product of so many pieces that no sale is ever short of them: what sales take from a product and
//! give back is the domain's own proof. Here the rush is: few pieces, few buyers, holds that end, and crashes.

use std::collections::BTreeMap;

use maitred_booking::flash_sales::view as read;
use maitred_booking::flash_sales::{
    Closing, Command, CreateProduct, CreateSale, Effect, FailOrder, OrderStatus, Outcome, PlaceOrder,
    ResetSale, SalePatch, Second, Tally, TriesCounted, UpdateSale, reconcile, tries,
};
use maitred_booking::money::{Currency, Money};
use maitred_core::{Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use crate::random::Random;
use crate::users::Users;

const PRODUCT: Uuid = Uuid::from_u128(0x50);
const SALES: u128 = 3;
const BUYERS: u64 = 5;
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// The sales of a run lie around this instant.
const AROUND: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The conflicts among the refusals: those that stick to an idempotency key.
pub const CONFLICTS: [&str; 8] = [
    "buyer-limit-reached",
    "hold-expired",
    "id-taken",
    "invalid-transition",
    "quantity-below-sold",
    "sale-closed",
    "sale-not-active",
    "sold-out",
];

/// What became of a command: what it did, or the code of its refusal.
pub type Verdict = Result<Effect, &'static str>;

/// A sale, as far as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sale {
    starts_at: Timestamp,
    ends_at: Timestamp,
    quantity: u32,
    limit: u32,
    hold_seconds: Option<u32>,
    closed: Option<Closing>,
    /// How many tries were counted.
    tries: u64,
}

impl Sale {
    fn is_over(&self, at: Timestamp) -> bool {
        self.closed.is_some() || at >= self.ends_at
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    tenant: TenantNumber,
    /// As the product named it, once it was told.
    id: Option<Uuid>,
    sale: Uuid,
    buyer: Uuid,
    status: OrderStatus,
    expires_at: Option<Timestamp>,
}

impl Order {
    fn status_at(&self, at: Timestamp) -> OrderStatus {
        let over = self.status == OrderStatus::Held && self.expires_at.is_some_and(|over| over <= at);
        if over { OrderStatus::Expired } else { self.status }
    }

    fn has_piece(&self, at: Timestamp) -> bool {
        let status = self.status_at(at);
        status.is_sold() || status == OrderStatus::Held
    }
}

/// So many tries, all accepted, within one second.
fn tally(accepted: u64) -> Tally {
    if accepted == 0 {
        return Tally::default();
    }
    let seconds = [Second { at: AROUND, tries: accepted as u32, accepted: accepted as u32 }].into();
    Tally { accepted, first_at: Some(AROUND), last_at: Some(AROUND), seconds, ..Tally::default() }
}

/// All tenants' sales and orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sales {
    products: Vec<TenantNumber>,
    sales: BTreeMap<(TenantNumber, Uuid), Sale>,
    orders: Vec<Order>,
}

impl Sales {
    /// Any command that a client of a tenant may ask for.
    /// Some buyers are users, who may have left when their order is processed.
    pub fn any_command(&self, random: &mut Random, tenant: TenantNumber, users: &Users) -> Command {
        if !self.products.contains(&tenant) || random.chance(1, 40) {
            let price = Money { amount: 5, currency: Currency::parse("EUR").expect("a code") };
            let (name, description) = ("x".to_owned(), None);
            let create =
                CreateProduct { id: Some(PRODUCT), name, description, price, inventory: 1_000_000_000 };
            return Command::CreateProduct(create);
        }
        let sale = Uuid::from_u128(0x51 + u128::from(random.below(SALES as u64)));
        let missing = !self.sales.contains_key(&(tenant, sale));
        let instant =
            |random: &mut Random, hours| AROUND.as_micros() + random.below(hours) as i64 * HOUR - HOUR;
        match random.below(64) {
            _ if missing && random.chance(3, 4) => {
                let starts_at = instant(random, 3);
                Command::CreateSale(CreateSale {
                    id: Some(sale),
                    product: PRODUCT,
                    starts_at: Timestamp::from_micros(starts_at),
                    ends_at: Timestamp::from_micros(starts_at + random.between(1, 60) as i64 * HOUR),
                    quantity: random.below(9) as u32,
                    buyer_limit: random.between(1, 3) as u32,
                    hold_seconds: random.chance(1, 2).then(|| random.between(1, 40) as u32),
                    price: None,
                })
            }
            0..2 => Command::EndSale { sale, if_version: None },
            2 => Command::CancelSale { sale, if_version: None },
            3..5 => Command::SettleSale { sale },
            63 => Command::CountTries(TriesCounted { sale, tries: tally(random.below(4)) }),
            5..11 => {
                let quantity = Some(random.below(14) as u32);
                let patch = SalePatch { quantity, ..SalePatch::default() };
                Command::UpdateSale(UpdateSale { sale, patch, if_version: None })
            }
            11..15 => {
                let starts_at = instant(random, 8);
                let ends_at = starts_at + random.between(1, 60) as i64 * HOUR;
                let (starts_at, ends_at) =
                    (Timestamp::from_micros(starts_at), Timestamp::from_micros(ends_at));
                Command::ResetSale(ResetSale { sale, starts_at, ends_at, left: random.below(9) as u32 })
            }
            15..40 => {
                let user = random.chance(1, 3).then(|| users.any_id(random, tenant)).flatten();
                let buyer = user.unwrap_or(Uuid::from_u128(0x100 + u128::from(random.below(BUYERS))));
                Command::PlaceOrder(PlaceOrder { sale, buyer })
            }
            _ => self.any_step_of_an_order(random, tenant),
        }
    }

    /// Mostly of a recent order: an old one has come to its end.
    fn any_step_of_an_order(&self, random: &mut Random, tenant: TenantNumber) -> Command {
        let known: Vec<Uuid> =
            self.orders.iter().filter(|order| order.tenant == tenant).filter_map(|order| order.id).collect();
        let recent = &known[known.len().saturating_sub(6)..];
        let order = match (recent.is_empty(), random.chance(1, 6)) {
            (true, _) => Uuid::from_u128(1),
            (false, true) => *random.pick(&known),
            (false, false) => *random.pick(recent),
        };
        match random.below(7) {
            0..2 => Command::FailOrder(FailOrder { order, reason: "no".into() }),
            2..5 => Command::PayOrder { order, buyer: None, reference: None },
            5 => Command::CancelOrder { order, buyer: None },
            _ => Command::ExpireOrder { order },
        }
    }

    /// Carries out a command that is decided at an instant.
    pub fn carry_out(&mut self, tenant: TenantNumber, command: &Command, at: Timestamp) -> Verdict {
        match command {
            Command::CreateProduct(_) => {
                if self.products.contains(&tenant) {
                    return Err("id-taken");
                }
                self.products.push(tenant);
                Ok(Effect::Created)
            }
            Command::CreateSale(create) => self.create(tenant, create),
            Command::UpdateSale(update) => self.update(tenant, update, at),
            Command::ResetSale(reset) => self.reset(tenant, reset, at),
            Command::EndSale { sale, .. } => self.close(tenant, *sale, Closing::Ended, at),
            Command::CancelSale { sale, .. } => self.close(tenant, *sale, Closing::Cancelled, at),
            Command::SettleSale { sale } => {
                let known = self.sales.get_mut(&(tenant, *sale)).ok_or("sale-not-found")?;
                if known.closed.is_some() || !known.is_over(at) {
                    return Ok(Effect::Unchanged);
                }
                known.closed = Some(Closing::Ended);
                Ok(Effect::Ended)
            }
            Command::CountTries(counted) => {
                let known = self.sales.get_mut(&(tenant, counted.sale)).ok_or("sale-not-found")?;
                if counted.tries.accepted == 0 {
                    return Ok(Effect::Unchanged);
                }
                known.tries += counted.tries.accepted;
                Ok(Effect::Counted)
            }
            Command::PlaceOrder(place) => self.place(tenant, *place, at),
            Command::CompleteOrder { order } => self.advance(tenant, *order, Effect::Completed, at),
            Command::FailOrder(fail) => self.advance(tenant, fail.order, Effect::Failed, at),
            Command::PayOrder { order, .. } => self.advance(tenant, *order, Effect::Paid, at),
            Command::CancelOrder { order, .. } => self.advance(tenant, *order, Effect::Cancelled, at),
            Command::ExpireOrder { order } => self.advance(tenant, *order, Effect::Expired, at),
            Command::UpdateProduct(_)
            | Command::DeleteProduct { .. }
            | Command::ImportProduct(_)
            | Command::ImportSale(_)
            | Command::ImportOrder(_) => {
                unreachable!("nobody asks for {command:?}")
            }
        }
    }

    fn create(&mut self, tenant: TenantNumber, create: &CreateSale) -> Verdict {
        if !self.products.contains(&tenant) {
            return Err("product-not-found");
        }
        let key = (tenant, create.id.expect("sales of the simulation have ids"));
        if self.sales.contains_key(&key) {
            return Err("id-taken");
        }
        let CreateSale { starts_at, ends_at, quantity, buyer_limit, hold_seconds, .. } = *create;
        let sale =
            Sale { starts_at, ends_at, quantity, limit: buyer_limit, hold_seconds, closed: None, tries: 0 };
        self.sales.insert(key, sale);
        Ok(Effect::Created)
    }

    fn update(&mut self, tenant: TenantNumber, update: &UpdateSale, at: Timestamp) -> Verdict {
        let taken = self.taken(tenant, update.sale, at);
        let known = self.sales.get_mut(&(tenant, update.sale)).ok_or("sale-not-found")?;
        if known.is_over(at) {
            return Err("sale-closed");
        }
        let quantity = update.patch.quantity.expect("the simulation changes quantities");
        if quantity == known.quantity {
            return Ok(Effect::Unchanged);
        }
        if quantity < taken {
            return Err("quantity-below-sold");
        }
        known.quantity = quantity;
        Ok(Effect::Updated)
    }

    fn reset(&mut self, tenant: TenantNumber, reset: &ResetSale, at: Timestamp) -> Verdict {
        let taken = self.taken(tenant, reset.sale, at);
        let known = self.sales.get_mut(&(tenant, reset.sale)).ok_or("sale-not-found")?;
        (known.starts_at, known.ends_at) = (reset.starts_at, reset.ends_at);
        (known.quantity, known.closed) = (taken + reset.left, None);
        Ok(Effect::Updated)
    }

    fn close(&mut self, tenant: TenantNumber, sale: Uuid, closing: Closing, at: Timestamp) -> Verdict {
        let known = self.sales.get_mut(&(tenant, sale)).ok_or("sale-not-found")?;
        match known.closed {
            Some(closed) if closed == closing => return Ok(Effect::Unchanged),
            Some(_) => return Err("sale-closed"),
            None if closing == Closing::Cancelled && known.is_over(at) => return Err("sale-closed"),
            None => known.closed = Some(closing),
        }
        Ok(if closing == Closing::Ended { Effect::Ended } else { Effect::Cancelled })
    }

    fn place(&mut self, tenant: TenantNumber, place: PlaceOrder, at: Timestamp) -> Verdict {
        let known = self.sales.get(&(tenant, place.sale)).ok_or("sale-not-found")?;
        if self.taken(tenant, place.sale, at) >= known.quantity {
            return Err("sold-out");
        }
        let own = |order: &&Order| order.buyer == place.buyer;
        if self.of(tenant, place.sale).filter(own).filter(|order| order.has_piece(at)).count()
            >= known.limit as usize
        {
            return Err("buyer-limit-reached");
        }
        if known.is_over(at) || at < known.starts_at {
            return Err("sale-not-active");
        }
        let over = |seconds: u32| Timestamp::from_micros(at.as_micros() + i64::from(seconds) * SECOND);
        let expires_at = known.hold_seconds.map(over);
        let status = if expires_at.is_some() { OrderStatus::Held } else { OrderStatus::Pending };
        let PlaceOrder { sale, buyer } = place;
        self.orders.push(Order { tenant, id: None, sale, buyer, status, expires_at });
        Ok(Effect::Placed)
    }

    fn advance(&mut self, tenant: TenantNumber, id: Uuid, to: Effect, at: Timestamp) -> Verdict {
        let own = |order: &&mut Order| order.tenant == tenant && order.id == Some(id);
        let order = self.orders.iter_mut().find(own).ok_or("order-not-found")?;
        let status = order.status_at(at);
        order.status = match (to, status) {
            (Effect::Completed, OrderStatus::Pending) => OrderStatus::Completed,
            (Effect::Failed, OrderStatus::Pending) => OrderStatus::Failed,
            (Effect::Completed | Effect::Failed | Effect::Expired, _) => return Ok(Effect::Unchanged),
            (Effect::Paid, OrderStatus::Held) => OrderStatus::Paid,
            (Effect::Cancelled, OrderStatus::Held) => OrderStatus::Cancelled,
            (Effect::Cancelled, OrderStatus::Cancelled) => return Ok(Effect::Unchanged),
            (_, OrderStatus::Expired) => return Err("hold-expired"),
            _ => return Err("invalid-transition"),
        };
        Ok(to)
    }

    /// The product has named the order that was placed last.
    pub fn adopt(&mut self, outcome: &Outcome) {
        if let (Outcome::Order { effect: Effect::Placed, order }, Some(last)) =
            (outcome, self.orders.last_mut())
        {
            last.id = Some(order.is.id);
        }
    }

    /// An order that waits for the consumer, or whose hold has come to no end by an instant.
    pub fn unfinished(&self, at: Timestamp) -> Option<(Uuid, OrderStatus)> {
        let status = self.orders.iter().map(|order| (order.id.unwrap_or_default(), order.status_at(at)));
        let mut open =
            status.filter(|(_, status)| matches!(status, OrderStatus::Pending | OrderStatus::Held));
        open.next()
    }

    fn of(&self, tenant: TenantNumber, sale: Uuid) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(move |order| (order.tenant, order.sale) == (tenant, sale))
    }

    /// The pieces of a sale that are sold or held.
    fn taken(&self, tenant: TenantNumber, sale: Uuid, at: Timestamp) -> u32 {
        self.of(tenant, sale).filter(|order| order.has_piece(at)).count() as u32
    }

    /// I6: what is left, held and sold of every sale is what the orders say, and its tries are as many as were counted, at an
    /// instant that is not before the
    /// view's last batch.
    ///
    /// # Errors
    /// The sale that is not as it should be.
    pub fn check(&self, view: &dyn Read, at: Timestamp) -> Result<(), String> {
        for ((tenant, id), sale) in &self.sales {
            let found = read::stock_at(view, *tenant, *id, at, None).unwrap_or_default();
            let count = |wanted: fn(OrderStatus) -> bool| {
                self.of(*tenant, *id).filter(|order| wanted(order.status_at(at))).count() as u32
            };
            let (held, sold) = (count(|status| status == OrderStatus::Held), count(OrderStatus::is_sold));
            let rest = sale.quantity - held - sold;
            let (free, returned) = if sale.closed.is_none() { (rest, 0) } else { (0, rest) };
            if [found.free, found.held, found.sold, found.returned] != [free, held, sold, returned] {
                return Err(format!(
                    "I6: sale {id} of tenant {}: {found:?}; the model has {free} free, {held} held, {sold} sold and \
                     {returned} returned",
                    tenant.0
                ));
            }
            let kept = tries::read(view, *tenant, *id).accepted;
            if kept != sale.tries {
                return Err(format!("sale {id} was tried {} times, and {kept} are kept", sale.tries));
            }
        }
        Ok(())
    }

    /// The same, with every order looked at, now or as of a batch.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check_orders(&self, view: &dyn Read, at: Timestamp, as_of: Option<Seq>) -> Result<(), String> {
        for ((tenant, id), sale) in &self.sales {
            let Some(found) = reconcile(view, *tenant, *id, at, as_of) else {
                if as_of.is_none() {
                    return Err(format!("I6: sale {id} of tenant {} is not there", tenant.0));
                }
                continue;
            };
            if !found.differences.is_empty() {
                let differences = found.differences.join("; ");
                return Err(format!("I6: sale {id} of tenant {} as of {as_of:?}: {differences}", tenant.0));
            }
            if found.most_per_buyer > sale.limit {
                let (most, limit) = (found.most_per_buyer, sale.limit);
                return Err(format!("I6: of sale {id} a buyer has {most}; {limit} is the most: {as_of:?}"));
            }
        }
        if as_of.is_some() {
            return Ok(());
        }
        for order in &self.orders {
            let Some(id) = order.id else { continue };
            let found = read::order(view, order.tenant, id, None).map(|found| found.is.status_at(at));
            if found != Some(order.status_at(at)) {
                let expected = order.status_at(at);
                return Err(format!("I6: order {id} is {found:?}; the model has {expected:?}"));
            }
        }
        Ok(())
    }
}

/// What the product says that it did. Whether a timer or a purchase has settled a hold that is over is nobody's
/// business but the records': for every other purpose it was over.
pub fn effect(outcome: &Outcome) -> Effect {
    match outcome.effect() {
        Effect::Expired => Effect::Unchanged,
        effect => effect,
    }
}
