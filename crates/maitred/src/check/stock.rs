//! What must hold of sales in any view, looked at in the tables themselves: this reads keys and values as `stock.rs`
//! of the product draws them, counts the orders one by one, and shares none of the code that writes the counts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use maitred_booking::flash_sales::{Order, OrderStatus, Product, Sale};
use maitred_core::key::Parts;
use maitred_core::{Key, Read, Table, TenantNumber};
use uuid::Uuid;

use super::invariants::{Found, Problems, records, version};

const PRODUCT: u8 = 5;
const SALE: u8 = 6;
const ORDER: u8 = 7;
/// The index of holds by sale, and the kinds of timers.
const HOLD_BY_SALE: u8 = 6;
const ORDER_HOLD: u8 = 1;
const SALE_END: u8 = 2;

type Owner = (u32, u128);

/// What the records say, counted.
#[derive(Default)]
struct Counted {
    products: BTreeMap<Owner, Product>,
    sales: BTreeMap<Owner, Sale>,
    orders: BTreeMap<Owner, Tally>,
    buyers: BTreeMap<(Owner, u128), Tally>,
    all: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    held: u64,
    sold: u64,
}

impl Tally {
    fn add(&mut self, status: OrderStatus) {
        self.held += u64::from(status == OrderStatus::Held);
        self.sold += u64::from(status.is_sold());
    }
}

impl Counted {
    fn read(view: &dyn Read) -> Self {
        let mut counted = Counted::default();
        records(view, |tenant, kind, id, value| match kind {
            PRODUCT => drop(counted.products.insert((tenant, id), version(value).decode())),
            SALE => drop(counted.sales.insert((tenant, id), version(value).decode())),
            ORDER => {
                let order: Order = version(value).decode();
                let sale = (tenant, order.sale.as_u128());
                counted.orders.entry(sale).or_default().add(order.status);
                counted.buyers.entry((sale, order.buyer.as_u128())).or_default().add(order.status);
                counted.all += 1;
            }
            _ => {}
        });
        counted
    }
}

/// Every sale, with the number of its tenant.
pub(super) fn sales(view: &dyn Read) -> Vec<(u32, Uuid)> {
    let mut sales = Vec::new();
    records(view, |tenant, kind, id, _| {
        if kind == SALE {
            sales.push((tenant, Uuid::from_u128(id)));
        }
    });
    sales
}

/// I6: of every sale, free + held + sold + returned is what it was given, and held and sold are what its orders say;
/// a product's sales have taken what it says, and no more than it has; buyers have what their orders say.
pub(super) fn check(view: &dyn Read, found: &mut Found) {
    let counted = Counted::read(view);
    let mut problems = Problems::default();
    let mut taken: BTreeMap<Owner, u64> = BTreeMap::new();
    for (owner, sale) in &counted.sales {
        let orders = counted.orders.get(owner).copied().unwrap_or_default();
        let place = || format!("tenant {}, sale {}", owner.0, sale.id);
        let Some(stock) = stock_of(view, *owner) else {
            problems.add(|| format!("{} has no stock", place()));
            continue;
        };
        let [free, held, sold, returned] = stock.counts;
        let issued = free + held + sold + returned;
        if issued != u64::from(sale.quantity) {
            problems.add(|| {
                format!(
                    "{}: {free} free + {held} held + {sold} sold + {returned} returned is not the {} that it was \
                     given (I6)",
                    place(),
                    sale.quantity
                )
            });
        }
        if (held, sold) != (orders.held, orders.sold) {
            problems.add(|| {
                format!(
                    "{}: {held} are held and {sold} sold, and its orders hold {} and have {} (I6)",
                    place(),
                    orders.held,
                    orders.sold
                )
            });
        }
        if stock.open != sale.closed.is_none() || (!stock.open && free > 0) {
            problems.add(|| format!("{}: what is left does not fit whether it is closed", place()));
        }
        if last_line(view, *owner).as_deref() != Some(&stock.bytes) {
            problems.add(|| format!("{}: the last line of its ledger is not its stock", place()));
        }
        *taken.entry((owner.0, sale.product.as_u128())).or_default() += free + held + sold;
    }
    products(view, &counted, &taken, &mut problems);
    buyers(view, &counted, &mut problems);
    timers(view, &counted, &mut problems);
    let (sales, orders) = (counted.sales.len(), counted.all);
    let good =
        format!("sales: {sales} with {orders} orders; what is left, held and sold is what they were given");
    problems.settle(good, found);
}

struct Stock {
    counts: [u64; 4],
    open: bool,
    bytes: Vec<u8>,
}

fn stock_of(view: &dyn Read, (tenant, id): Owner) -> Option<Stock> {
    let bytes = view.get(&Key::of(Table::Stock, TenantNumber(tenant)).u128(id))?;
    let mut parts = Parts(bytes);
    let counts = std::array::from_fn(|_| u64::from(parts.u32()));
    Some(Stock { counts, open: parts.u8() == 1, bytes: bytes.to_vec() })
}

/// The stock in the last line of a sale's ledger.
fn last_line(view: &dyn Read, (tenant, id): Owner) -> Option<Vec<u8>> {
    let table = Key::of(Table::Ledger, TenantNumber(tenant)).u128(id);
    view.last(&table, &table.end()).map(|(_, line)| line[25..].to_vec())
}

fn products(view: &dyn Read, counted: &Counted, taken: &BTreeMap<Owner, u64>, problems: &mut Problems) {
    for (owner, product) in &counted.products {
        let key = Key::of(Table::Stock, TenantNumber(owner.0)).u128(owner.1);
        let allocated = view.get(&key).map_or(0, |value| Parts(value).u64());
        let taken = taken.get(owner).copied().unwrap_or(0);
        if allocated != taken || allocated > product.inventory {
            problems.add(|| {
                format!(
                    "tenant {}, product {}: of {} pieces {allocated} are counted as taken, and its sales have {taken} \
                     (I6)",
                    owner.0, product.id, product.inventory
                )
            });
        }
    }
}

fn buyers(view: &dyn Read, counted: &Counted, problems: &mut Problems) {
    let mut entries = 0_u64;
    let table = Key::new(Table::Buyer);
    view.scan(&table, &table.end(), &mut |key, value| {
        let mut parts = Parts(&key[1..]);
        let (tenant, sale, buyer) = (parts.u32(), parts.u128(), parts.u128());
        let has = counted.buyers.get(&((tenant, sale), buyer)).copied().unwrap_or_default();
        let pieces = u64::from(Parts(value).u32());
        let holds = (value.len() as u64 - 4) / 24;
        entries += 1;
        if (pieces, holds) != (has.held + has.sold, has.held) {
            problems.add(|| {
                format!(
                    "tenant {tenant}, sale {}: buyer {} is counted with {pieces} pieces of which {holds} are held, and \
                     has {} orders for {}",
                    Uuid::from_u128(sale),
                    Uuid::from_u128(buyer),
                    has.held,
                    has.held + has.sold
                )
            });
        }
        ControlFlow::Continue(())
    });
    let expected = counted.buyers.values().filter(|has| has.held + has.sold > 0).count() as u64;
    if entries != expected {
        problems.add(|| format!("{expected} buyers have a piece, and {entries} are counted"));
    }
}

/// Everything that ends by itself has its timer.
fn timers(view: &dyn Read, counted: &Counted, problems: &mut Problems) {
    let (mut holds, mut ends) = (0_u64, 0_u64);
    let table = Key::new(Table::Timer);
    view.scan(&table, &table.end(), &mut |key, _| {
        holds += u64::from(key[9] == ORDER_HOLD);
        ends += u64::from(key[9] == SALE_END);
        ControlFlow::Continue(())
    });
    let mut indexed = 0_u64;
    let index = Key::new(Table::Index);
    view.scan(&index, &index.end(), &mut |key, _| {
        indexed += u64::from(key[5] == HOLD_BY_SALE);
        ControlFlow::Continue(())
    });
    let held: u64 = counted.orders.values().map(|tally| tally.held).sum();
    let open = counted.sales.values().filter(|sale| sale.closed.is_none()).count() as u64;
    if (holds, indexed, ends) != (held, held, open) {
        problems.add(|| {
            format!(
                "{held} orders are held and {open} sales open; there are timers for {holds} and {ends}, and {indexed} \
                 holds are indexed"
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use maitred_booking::flash_sales::{Command, CreateProduct, CreateSale, PlaceOrder, Rules};
    use maitred_booking::money::{Currency, Money};
    use maitred_booking::testing::World;
    use maitred_core::{Timestamp, Write};

    use super::*;

    const TENANT: TenantNumber = TenantNumber(4);
    const ID: Uuid = Uuid::from_u128(0x51);

    /// A sale of 5 pieces, one of them sold, and one that holds one of 3.
    fn world() -> World<Rules> {
        let mut world = World::new(Rules);
        let price = Money { amount: 5, currency: Currency::parse("EUR").expect("a code") };
        let product = Uuid::from_u128(0x50);
        let create =
            CreateProduct { id: Some(product), name: "x".into(), description: None, price, inventory: 9 };
        let sale = |id, quantity, hold_seconds| CreateSale {
            id: Some(id),
            product,
            starts_at: Timestamp::from_millis(0),
            ends_at: Timestamp::from_millis(1_000_000),
            quantity,
            buyer_limit: 1,
            hold_seconds,
            price: None,
        };
        let other = Uuid::from_u128(0x52);
        let buy = |sale| Command::PlaceOrder(PlaceOrder { sale, buyer: Uuid::from_u128(0x60) });
        for command in [
            Command::CreateProduct(create),
            Command::CreateSale(sale(ID, 5, None)),
            Command::CreateSale(sale(other, 3, Some(60))),
            buy(ID),
            buy(other),
        ] {
            world.submit(TENANT, &command).expect("accepted");
        }
        world
    }

    fn bad(world: &World<Rules>) -> Vec<String> {
        let mut found = Found::default();
        check(&world.view, &mut found);
        assert_eq!(found.good.is_empty(), !found.bad.is_empty(), "{found:?}");
        found.bad
    }

    fn first(world: &World<Rules>, table: Key) -> Vec<u8> {
        world.view.first(&table, &table.end()).expect("the table has entries").0.to_vec()
    }

    #[test]
    fn a_sound_view_has_no_problem() {
        let mut found = Found::default();
        check(&world().view, &mut found);
        let good = "sales: 2 with 2 orders; what is left, held and sold is what they were given";
        assert_eq!((found.good, found.bad), (vec![good.to_owned()], Vec::new()));
    }

    #[test]
    fn a_piece_that_is_lost_or_sold_twice_is_named() {
        let sound = world();
        let key = Key::of(Table::Stock, TENANT).u128(ID.as_u128());
        for (at, expected) in
            [(3, "is not the 5 that it was given (I6)"), (11, "its orders hold 0 and have 1 (I6)")]
        {
            let mut world = sound.clone();
            let mut value = world.view.get(&key).expect("there").to_vec();
            value[at] += 1;
            world.view.put(&key, &value);
            let bad = bad(&world);
            assert!(bad.iter().any(|text| text.contains(expected)), "{bad:?}");
            assert!(bad.iter().any(|text| text.contains("the last line of its ledger")), "{bad:?}");
            assert!(bad.iter().any(|text| text.contains("product")), "{bad:?}");
        }
        let mut lost = sound.clone();
        lost.view.delete(&key);
        assert!(bad(&lost)[0].contains("has no stock"));
    }

    #[test]
    fn a_buyer_who_is_not_counted_and_a_hold_that_never_ends_are_named() {
        let sound = world();
        let mut forgotten = sound.clone();
        forgotten.view.delete(&first(&sound, Key::new(Table::Buyer)));
        assert_eq!(bad(&forgotten), ["2 buyers have a piece, and 1 are counted"]);
        let mut miscounted = sound.clone();
        miscounted.view.put(&first(&sound, Key::new(Table::Buyer)), &[0, 0, 0, 7]);
        assert!(bad(&miscounted)[0].contains("is counted with 7 pieces"));
        let mut endless = sound.clone();
        endless.view.delete(&first(&sound, Key::new(Table::Timer)));
        assert_eq!(
            bad(&endless),
            ["1 orders are held and 2 sales open; there are timers for 0 and 2, and 1 holds are indexed"]
        );
    }
}
