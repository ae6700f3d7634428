//! What is taken over from another server: the same view at the end, and every refusal by row.

use std::ops::ControlFlow;

use maitred_core::{Actor, Context, Domain, Ids};
use proptest::prelude::*;

use super::*;
use crate::flash_sales::fact::{Closed, Imported};
use crate::testing::MemoryView;

/// The commands that take over every version of a world, in the order of its log.
fn commands(world: &World<Rules>) -> Vec<(At, Command)> {
    let mut found = Vec::new();
    record::changes(&world.view, TENANT, maitred_core::ChangeId::default(), &mut |change| {
        let version = change.version;
        let newest = record::current(&world.view, change.record).expect("it has a newest version");
        let latest = newest.version == version.version;
        let command = match change.record.kind {
            record::Kind::Product => Command::ImportProduct(imported(&version, latest)),
            record::Kind::Sale => Command::ImportSale(imported(&version, latest)),
            record::Kind::Order => Command::ImportOrder(imported(&version, latest)),
            kind => panic!("{kind:?} is none of this domain's"),
        };
        // Decided long after, but where it was: so that the tables can be held against each other.
        let timestamp = Timestamp::from_millis(1 << 40);
        found.push((
            At { tenant: TENANT, seq: version.change.seq, ordinal: version.change.ordinal, timestamp },
            command,
        ));
        ControlFlow::Continue(())
    });
    found
}

fn imported<T: serde::de::DeserializeOwned>(version: &record::Version<'_>, latest: bool) -> Imported<T> {
    Imported { version: version.version, updated_at: version.at, latest, is: version.decode() }
}

fn decide(view: &MemoryView, command: &Command, at: At) -> Result<(Vec<Fact>, Effect), (Class, String)> {
    let ids = Ids::new(at.timestamp, 1);
    let cx = Context { timestamp: at.timestamp, tenant: at.tenant, actor: Actor::System, ids };
    let decision = Rules.decide(view, command, &cx);
    let decision = decision.map_err(|refused| (refused.class, refused.code.into_owned()))?;
    Ok((decision.facts, decision.outcome.effect()))
}

/// Takes a world over, version by version: the view is the same at the end, to the byte, and until then nothing is due
/// that would not be due in that world.
pub(super) fn check_import(world: &World<Rules>) -> Result<(), TestCaseError> {
    let mut copy = MemoryView::default();
    let end = Timestamp::from_millis(1 << 41);
    let due = timer::due(&world.view, end, 1_000);
    for (at, command) in commands(world) {
        let decided = decide(&copy, &command, at);
        let (facts, effect) = decided.map_err(|why| TestCaseError::fail(format!("{why:?}: {command:?}")))?;
        prop_assert_eq!((facts.len(), effect), (1, Effect::Imported));
        Rules.apply(&mut copy, &facts[0], at);
        for command in timer::due(&copy, end, 1_000) {
            prop_assert!(due.contains(&command), "{:?} is not due where it came from", command);
        }
    }
    prop_assert_eq!(&copy, &world.view);
    for (at, command) in commands(world) {
        let again = decide(&copy, &command, at).map_err(|why| TestCaseError::fail(format!("{why:?}")))?;
        prop_assert_eq!(again, (Vec::new(), Effect::Unchanged));
    }
    Ok(())
}

fn product_version(version: u64, product: Product) -> Command {
    Command::ImportProduct(Imported { version, updated_at: second(9), latest: true, is: product })
}

fn sale_version(version: u64, sale: Sale) -> Command {
    Command::ImportSale(Imported { version, updated_at: second(9), latest: true, is: sale })
}

fn order_version(version: u64, order: Order) -> Command {
    Command::ImportOrder(Imported { version, updated_at: second(9), latest: true, is: order })
}

#[test]
fn every_refusal_of_a_version_that_is_taken_over() {
    const NEW: Uuid = Uuid::from_u128(0x99);
    let world = world(&with(on_sale(holding(2, 60)), [buy(ANN)]));
    let here = view::product(&world.view, TENANT, PRODUCT, None).expect("it is there");
    let on_sale = view::sale(&world.view, TENANT, SALE, None).expect("it is there");
    let held = view::order(&world.view, TENANT, last_order(&world), None).expect("it is there").is;
    let (product, sale) = (here.is.clone(), on_sale.is.clone());
    let other = |buyer| Order { id: NEW, buyer, ..held.clone() };
    let closed = Some(Closed { closing: Closing::Ended, at: second(9) });
    let mut full = world.clone();
    full.submit(TENANT, &buy(BOB)).expect("a second piece");
    let mut ended = world.clone();
    ended.submit(TENANT, &END).expect("it ends");
    let conflict = |code: &'static str| Err((Class::Conflict, code));
    let invalid = |code: &'static str| Err((Class::Unprocessable, code));
    type Row<'a> = (&'a str, &'a World<Rules>, Command, Result<Effect, (Class, &'static str)>);
    let rows: Vec<Row<'_>> = vec![
        ("no version", &world, product_version(0, product.clone()), invalid("invalid-version")),
        (
            "a name",
            &world,
            product_version(2, Product { name: String::new(), ..product.clone() }),
            invalid("invalid-name"),
        ),
        ("a gap", &world, product_version(3, product.clone()), conflict("version-missing")),
        (
            "another one",
            &world,
            product_version(1, Product { inventory: 9, ..product.clone() }),
            conflict("version-differs"),
        ),
        (
            "a next one",
            &world,
            product_version(2, Product { inventory: 9, ..product.clone() }),
            Ok(Effect::Imported),
        ),
        (
            "too few",
            &world,
            product_version(2, Product { inventory: 1, ..product.clone() }),
            conflict("inventory-below-allocated"),
        ),
        (
            "in use",
            &world,
            product_version(2, Product { deleted: true, ..product.clone() }),
            conflict("product-in-use"),
        ),
        ("a sale's id", &world, product_version(1, Product { id: SALE, ..product }), conflict("id-taken")),
        (
            "a product's id",
            &world,
            sale_version(1, Sale { id: PRODUCT, ..sale.clone() }),
            conflict("id-taken"),
        ),
        (
            "a quantity",
            &world,
            sale_version(2, Sale { quantity: QUANTITY_MAX + 1, ..sale.clone() }),
            invalid("invalid-quantity"),
        ),
        (
            "of another product",
            &world,
            sale_version(2, Sale { product: NEW, ..sale.clone() }),
            conflict("version-differs"),
        ),
        (
            "of no product",
            &world,
            sale_version(1, Sale { id: NEW, product: NEW, ..sale.clone() }),
            Err((Class::Absent, "product-not-found")),
        ),
        (
            "more than there is",
            &world,
            sale_version(2, Sale { quantity: 11, ..sale.clone() }),
            conflict("inventory-short"),
        ),
        (
            "as many as there are",
            &world,
            sale_version(2, Sale { quantity: 10, ..sale.clone() }),
            Ok(Effect::Imported),
        ),
        (
            "fewer than are held",
            &world,
            sale_version(2, Sale { quantity: 0, ..sale.clone() }),
            conflict("quantity-below-sold"),
        ),
        ("closed", &world, sale_version(2, Sale { closed, ..sale.clone() }), Ok(Effect::Imported)),
        (
            "closed and changed",
            &world,
            sale_version(2, Sale { closed, quantity: 3, ..sale.clone() }),
            conflict("sale-closed"),
        ),
        ("closed twice", &ended, sale_version(3, Sale { closed, ..sale.clone() }), conflict("sale-closed")),
        (
            "closed from the start",
            &world,
            sale_version(1, Sale { id: NEW, closed, ..sale }),
            conflict("sale-closed"),
        ),
        (
            "of no sale",
            &world,
            order_version(1, Order { sale: NEW, ..other(BOB) }),
            Err((Class::Absent, "sale-not-found")),
        ),
        ("a second piece", &world, order_version(1, other(BOB)), Ok(Effect::Imported)),
        ("one too many", &full, order_version(1, other(CY)), conflict("sold-out")),
        ("one too many of a buyer's", &world, order_version(1, other(ANN)), conflict("buyer-limit-reached")),
        ("after the end", &ended, order_version(1, other(BOB)), conflict("sale-not-active")),
        (
            "paid from the start",
            &world,
            order_version(1, Order { status: OrderStatus::Paid, ..other(BOB) }),
            conflict("invalid-transition"),
        ),
        (
            "held for ever",
            &world,
            order_version(1, Order { hold_expires_at: None, ..other(BOB) }),
            conflict("invalid-transition"),
        ),
        (
            "completed without a payment",
            &world,
            order_version(2, Order { status: OrderStatus::Completed, ..held.clone() }),
            conflict("invalid-transition"),
        ),
        (
            "paid",
            &world,
            order_version(2, Order { status: OrderStatus::Paid, ..held.clone() }),
            Ok(Effect::Imported),
        ),
        (
            "paid by another",
            &world,
            order_version(2, Order { status: OrderStatus::Paid, buyer: BOB, ..held }),
            conflict("version-differs"),
        ),
    ];
    for (name, world, command, expected) in rows {
        check_in(name, &mut world.clone(), &command, expected);
    }
}

#[test]
fn an_older_version_waits_for_the_one_behind_it_and_ends_by_itself_only_then() {
    let mut source = world(&with(on_sale(holding(2, 60)), [buy(ANN)]));
    let order = last_order(&source);
    let pay = Command::PayOrder { order, buyer: None, reference: None };
    source.submit(TENANT, &pay).expect("paid in time");
    let mut copy = World::new(Rules);
    copy.timestamp = second(90_000); // every window and hold is over by now
    let all: Vec<Command> = commands(&source).into_iter().map(|(_, command)| command).collect();
    for command in &all[..3] {
        copy.submit(TENANT, command).expect("it is the next one");
    }
    let held = timer::due(&copy.view, copy.timestamp, 9);
    let settle: Vec<crate::Command> = held.into_iter().map(|(_, command)| command).collect();
    assert_eq!(settle, [SETTLE.into()], "the sale ends, and the hold waits for its payment");
    copy.submit(TENANT, &all[3]).expect("the payment");
    let found = view::order(&copy.view, TENANT, order, None).expect("it is there");
    assert_eq!((found.is.status, found.version), (OrderStatus::Paid, 2));
}
