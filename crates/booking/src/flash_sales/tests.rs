//! Flash sales: every answer by row, in the precedence of the refusals; what is left, held and sold after each; and
//! random histories against a naive model ([`model`]). What is taken over from elsewhere: [`import`]. How tries are counted: [`tries`].

mod import;
mod model;
mod steps;
mod tries;

use maitred_core::{At, Class, Read, Recorded, TenantNumber, Timestamp};
use uuid::Uuid;

use super::command::{
    validate_create_product, validate_create_sale, validate_product_patch, validate_sale_patch,
};
use super::*;
use crate::money::{Currency, Money, PRICE_AMOUNT_MAX};
use crate::record::{self, ChangeType};
use crate::testing::World;
use crate::timer;

const TENANT: TenantNumber = TenantNumber(3);
const PRODUCT: Uuid = Uuid::from_u128(0xa);
const SALE: Uuid = Uuid::from_u128(0xb);
const ANN: Uuid = Uuid::from_u128(0x11);
const BOB: Uuid = Uuid::from_u128(0x12);
const CY: Uuid = Uuid::from_u128(0x13);

/// Batches come a second apart, the first at second 1.
fn second(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn euros(amount: i64) -> Money {
    Money { amount, currency: Currency::parse("EUR").expect("a code") }
}

fn product(inventory: u64) -> CreateProduct {
    let name = "Headphones".to_owned();
    CreateProduct { id: Some(PRODUCT), name, description: None, price: euros(9_999), inventory }
}

/// A sale of the whole day that began at second 0.
fn sale(quantity: u32) -> CreateSale {
    CreateSale {
        id: Some(SALE),
        product: PRODUCT,
        starts_at: second(0),
        ends_at: second(86_400),
        quantity,
        buyer_limit: 1,
        hold_seconds: None,
        price: None,
    }
}

/// The same, which holds pieces for so many seconds.
fn holding(quantity: u32, seconds: u32) -> CreateSale {
    CreateSale { hold_seconds: Some(seconds), ..sale(quantity) }
}

fn buy(buyer: Uuid) -> Command {
    Command::PlaceOrder(PlaceOrder { sale: SALE, buyer })
}

fn update(patch: SalePatch) -> Command {
    Command::UpdateSale(UpdateSale { sale: SALE, patch, if_version: None })
}

fn quantity(quantity: u32) -> SalePatch {
    SalePatch { quantity: Some(quantity), ..SalePatch::default() }
}

fn change(patch: ProductPatch) -> Command {
    Command::UpdateProduct(UpdateProduct { product: PRODUCT, patch, if_version: None })
}

fn inventory(inventory: u64) -> ProductPatch {
    ProductPatch { inventory: Some(inventory), ..ProductPatch::default() }
}

const CANCEL: Command = Command::CancelSale { sale: SALE, if_version: None };
const END: Command = Command::EndSale { sale: SALE, if_version: None };
const SETTLE: Command = Command::SettleSale { sale: SALE };

/// A world in which each command was accepted, in a batch of its own.
fn world(given: &[Command]) -> World<Rules> {
    let mut world = World::new(Rules);
    for command in given {
        world.submit(TENANT, command).unwrap_or_else(|refused| panic!("{command:?}: {refused:?}"));
    }
    world
}

/// A product of 10 pieces and this sale of it.
fn on_sale(sale: CreateSale) -> Vec<Command> {
    vec![Command::CreateProduct(product(10)), Command::CreateSale(sale)]
}

fn with(given: Vec<Command>, more: impl IntoIterator<Item = Command>) -> Vec<Command> {
    given.into_iter().chain(more).collect()
}

/// The order that the last batch placed.
fn last_order(world: &World<Rules>) -> Uuid {
    let mut last = None;
    let table = maitred_core::Key::of(maitred_core::Table::Record, TENANT).u8(record::Kind::Order as u8);
    world.view.scan(&table, &table.end(), &mut |key, _| {
        last = Some(Uuid::from_slice(&key[key.len() - 16..]).expect("sixteen bytes"));
        std::ops::ControlFlow::Continue(())
    });
    last.expect("an order was placed")
}

type Told<'a> = Result<Effect, (Class, &'a str)>;

/// What becomes of a command; and that only facts change the view, that replay gives the same, and that the sale
/// balances.
fn check(name: &str, given: &[Command], when: &Command, then: Told<'_>) {
    check_in(name, &mut world(given), when, then);
}

fn check_in(name: &str, world: &mut World<Rules>, when: &Command, then: Told<'_>) {
    let before = world.view.clone();
    let answer = world.submit(TENANT, when);
    let told = answer.as_ref().map(|(_, outcome)| outcome.effect());
    assert_eq!(told.map_err(|rejection| (rejection.class, &*rejection.code)), then, "{name}");
    let changed = answer.is_ok_and(|(facts, _)| !facts.is_empty());
    assert_eq!(world.view != before, changed, "{name}: facts change the view, and nothing else does");
    assert_eq!(world.replay(), world.view, "{name}: the log gives the same view");
    if let Some(found) = reconcile(&world.view, TENANT, SALE, world.timestamp, None) {
        assert_eq!(found.differences, [""; 0], "{name}");
    }
}

fn conflict(code: &str) -> Told<'_> {
    Err((Class::Conflict, code))
}

fn absent(code: &str) -> Told<'_> {
    Err((Class::Absent, code))
}

/// Free, held, sold, returned: as recorded.
fn counts(world: &World<Rules>) -> [u32; 4] {
    let stock = stock::stock(&world.view, TENANT, SALE).expect("the sale is there");
    [stock.free, stock.held, stock.sold, stock.returned]
}

#[test]
fn every_answer_to_a_purchase() {
    let two = CreateSale { buyer_limit: 2, ..sale(3) };
    check("the first", &on_sale(sale(2)), &buy(ANN), Ok(Effect::Placed));
    check("the last", &with(on_sale(sale(2)), [buy(ANN)]), &buy(BOB), Ok(Effect::Placed));
    check("one too many", &with(on_sale(sale(1)), [buy(ANN)]), &buy(BOB), conflict("sold-out"));
    check("a second one", &with(on_sale(sale(2)), [buy(ANN)]), &buy(ANN), conflict("buyer-limit-reached"));
    check("a second of two", &with(on_sale(two.clone()), [buy(ANN)]), &buy(ANN), Ok(Effect::Placed));
    let third = with(on_sale(two), [buy(ANN), buy(ANN)]);
    check("a third of two", &third, &buy(ANN), conflict("buyer-limit-reached"));
    check("no sale", &[Command::CreateProduct(product(1))], &buy(ANN), absent("sale-not-found"));
    check("nothing to sell", &on_sale(sale(0)), &buy(ANN), conflict("sold-out"));

    let later = CreateSale { starts_at: second(100), ..sale(2) };
    check("too early", &on_sale(later), &buy(ANN), conflict("sale-not-active"));
    // Batch 3 is decided at second 3.
    let window =
        |starts_at, ends_at| CreateSale { starts_at: second(starts_at), ends_at: second(ends_at), ..sale(2) };
    check("at its first instant", &on_sale(window(3, 9)), &buy(ANN), Ok(Effect::Placed));
    check("at the instant behind it", &on_sale(window(0, 3)), &buy(ANN), conflict("sale-not-active"));
    check("cancelled", &with(on_sale(sale(2)), [CANCEL]), &buy(ANN), conflict("sale-not-active"));
    check("ended", &with(on_sale(sale(2)), [END]), &buy(ANN), conflict("sale-not-active"));
}

#[test]
fn a_purchase_is_refused_for_stock_before_the_limit_before_the_window() {
    let over = CreateSale { ends_at: second(4), ..sale(2) };
    // Second 4 or later: the window is over in each of these.
    let sold_out = with(on_sale(CreateSale { quantity: 1, ..over.clone() }), [buy(ANN)]);
    check("sold out, limit, window", &sold_out, &buy(ANN), conflict("sold-out"));
    check("sold out, window", &sold_out, &buy(BOB), conflict("sold-out"));
    let bought = with(on_sale(over), [buy(ANN)]);
    check("limit, window", &bought, &buy(ANN), conflict("buyer-limit-reached"));
    check("window", &bought, &buy(BOB), conflict("sale-not-active"));
    let cancelled = with(on_sale(sale(2)), [buy(ANN), CANCEL]);
    check("limit, cancelled", &cancelled, &buy(ANN), conflict("buyer-limit-reached"));
    check("cancelled, with pieces returned", &cancelled, &buy(BOB), conflict("sale-not-active"));
    let emptied = with(on_sale(sale(1)), [buy(ANN), CANCEL]);
    check("cancelled, with none returned", &emptied, &buy(BOB), conflict("sold-out"));
}

#[test]
fn a_purchase_says_why_not() {
    let mut world = world(&with(on_sale(CreateSale { starts_at: second(100), ..sale(2) }), []));
    let refused = world.submit(TENANT, &buy(ANN)).expect_err("it has not begun");
    assert_eq!(refused.members[0].json, "\"upcoming\"");
    let mut world = self::world(&with(on_sale(sale(2)), [buy(ANN)]));
    let refused = world.submit(TENANT, &buy(ANN)).expect_err("one each");
    assert_eq!((&*refused.members[0].name, &*refused.members[0].json), ("buyer_limit", "1"));
}

#[test]
fn an_order_without_hold_is_completed_or_gives_its_piece_back() {
    let mut world = world(&with(on_sale(sale(1)), [buy(ANN)]));
    let order = last_order(&world);
    assert_eq!(counts(&world), [0, 0, 1, 0]);
    let complete = Command::CompleteOrder { order };
    let fail = Command::FailOrder(FailOrder { order, reason: "No such user.".into() });
    let mut failed = world.clone();
    check_in("completing", &mut world, &complete, Ok(Effect::Completed));
    check_in("completing again", &mut world, &complete, Ok(Effect::Unchanged));
    check_in("failing what is completed", &mut world, &fail, Ok(Effect::Unchanged));
    assert_eq!(counts(&world), [0, 0, 1, 0]);
    check_in("another buyer", &mut world, &buy(BOB), conflict("sold-out"));

    check_in("failing", &mut failed, &fail, Ok(Effect::Failed));
    check_in("failing again", &mut failed, &fail, Ok(Effect::Unchanged));
    check_in("completing what failed", &mut failed, &complete, Ok(Effect::Unchanged));
    assert_eq!(counts(&failed), [1, 0, 0, 0]);
    let kept = view::order(&failed.view, TENANT, order, None).expect("it is kept");
    assert_eq!((kept.is.status, kept.is.failure.as_deref()), (OrderStatus::Failed, Some("No such user.")));
    check_in("the same buyer again", &mut failed, &buy(ANN), Ok(Effect::Placed));
    check_in("and no other", &mut failed, &buy(BOB), conflict("sold-out"));

    let nobody = Uuid::from_u128(99);
    for command in [
        Command::CompleteOrder { order: nobody },
        Command::ExpireOrder { order: nobody },
        Command::FailOrder(FailOrder { order: nobody, reason: "x".into() }),
        Command::PayOrder { order: nobody, buyer: None, reference: None },
        Command::CancelOrder { order: nobody, buyer: None },
    ] {
        check_in("no order", &mut failed, &command, absent("order-not-found"));
    }
    let held = Command::PayOrder { order, buyer: None, reference: None };
    check_in("paying what failed", &mut failed, &held, conflict("invalid-transition"));
}

#[test]
fn every_answer_about_a_hold() {
    let mut world = world(&with(on_sale(holding(1, 10)), [buy(ANN)]));
    let order = last_order(&world);
    assert_eq!(counts(&world), [0, 1, 0, 0]);
    let pay = |buyer| Command::PayOrder { order, buyer, reference: Some("till-7".into()) };
    let cancel = |buyer| Command::CancelOrder { order, buyer };
    let expire = Command::ExpireOrder { order };

    check_in("before its time", &mut world, &expire, Ok(Effect::Unchanged));
    check_in("another's", &mut world, &pay(Some(BOB)), absent("order-not-found"));
    check_in("another's", &mut world, &cancel(Some(BOB)), absent("order-not-found"));
    check_in("completing", &mut world, &Command::CompleteOrder { order }, Ok(Effect::Unchanged));
    check_in("sold out meanwhile", &mut world, &buy(BOB), conflict("sold-out"));

    let mut paid = world.clone();
    check_in("paying", &mut paid, &pay(Some(ANN)), Ok(Effect::Paid));
    assert_eq!(counts(&paid), [0, 0, 1, 0]);
    check_in("paying twice", &mut paid, &pay(Some(ANN)), conflict("invalid-transition"));
    check_in("cancelling what is paid", &mut paid, &cancel(None), conflict("invalid-transition"));
    check_in("one each", &mut paid, &buy(ANN), conflict("sold-out"));
    assert_eq!(timer::due(&paid.view, second(1_000), 9), [], "nothing is due any more");

    let mut cancelled = world.clone();
    check_in("cancelling", &mut cancelled, &cancel(Some(ANN)), Ok(Effect::Cancelled));
    check_in("cancelling again", &mut cancelled, &cancel(Some(ANN)), Ok(Effect::Unchanged));
    check_in("paying what is cancelled", &mut cancelled, &pay(None), conflict("invalid-transition"));
    assert_eq!(counts(&cancelled), [1, 0, 0, 0]);
    check_in("the same buyer again", &mut cancelled, &buy(ANN), Ok(Effect::Placed));

    // The order was placed at second 3, so that its hold is over at second 13.
    world.timestamp = second(12);
    check_in("at its last instant", &mut world.clone(), &expire, Ok(Effect::Expired));
    check_in("too late to pay", &mut world.clone(), &pay(None), conflict("hold-expired"));
    check_in("too late to cancel", &mut world.clone(), &cancel(None), conflict("hold-expired"));
    world.timestamp = Timestamp::from_micros(second(12).as_micros() - 1);
    check_in("in time", &mut world, &pay(None), Ok(Effect::Paid));
}

#[test]
fn a_hold_that_is_over_is_gone_before_anybody_says_so() {
    let mut world = world(&with(on_sale(holding(1, 10)), [buy(ANN)]));
    let first = last_order(&world);
    world.timestamp = second(12);
    assert_eq!(timer::next_due(&world.view), Some(second(13)));
    let expire = crate::Command::from(Command::ExpireOrder { order: first });
    assert_eq!(timer::due(&world.view, second(13), 9), [(TENANT, expire)]);
    // Reads say so.
    let stock = view::stock_at(&world.view, TENANT, SALE, second(13), None).expect("there");
    assert_eq!((stock.free, stock.held), (1, 0));
    let order = view::order(&world.view, TENANT, first, None).expect("there").is;
    assert_eq!(order.status_at(second(12)), OrderStatus::Held);
    assert_eq!(order.status_at(second(13)), OrderStatus::Expired);
    let found = reconcile(&world.view, TENANT, SALE, second(13), None).expect("there");
    assert_eq!((found.stock.free, found.stock.held, found.orders.of(OrderStatus::Expired)), (1, 0, 1));
    assert_eq!((found.differences.len(), found.buyers), (0, 0));

    // The rules act on it, and settle it on the way.
    let mut again = world.clone();
    check_in("another buyer", &mut world, &buy(BOB), Ok(Effect::Placed));
    assert_eq!(counts(&world), [0, 1, 0, 0]);
    let settled = view::order(&world.view, TENANT, first, None).expect("there").is;
    assert_eq!(settled.status, OrderStatus::Expired);
    check_in("the same buyer", &mut again, &buy(ANN), Ok(Effect::Placed));
    assert_eq!(counts(&again), [0, 1, 0, 0]);
    check_in(
        "the timer comes late",
        &mut again,
        &Command::ExpireOrder { order: first },
        Ok(Effect::Unchanged),
    );

    // And a refusal settles nothing: it writes nothing.
    let over = with(on_sale(CreateSale { ends_at: second(20), ..holding(1, 10) }), [buy(ANN)]);
    let mut over = self::world(&over);
    over.timestamp = second(30);
    check_in("after the window", &mut over, &buy(BOB), conflict("sale-not-active"));
    assert_eq!(counts(&over), [0, 1, 0, 0]);
}

#[test]
fn holds_of_one_buyer_that_are_over_do_not_count_against_the_limit() {
    let given = with(on_sale(CreateSale { buyer_limit: 3, ..holding(9, 4) }), [buy(ANN), buy(ANN), buy(ANN)]);
    // Placed at seconds 3, 4 and 5: over at 7, 8 and 9.
    let mut world = world(&given);
    check_in("none is over", &mut world, &buy(ANN), conflict("buyer-limit-reached"));
    assert_eq!(world.timestamp, second(6));
    world.timestamp = second(7);
    check_in("two are over", &mut world, &buy(ANN), Ok(Effect::Placed));
    assert_eq!(counts(&world), [7, 2, 0, 0]);
    check_in("three are over", &mut world, &buy(ANN), Ok(Effect::Placed));
    assert_eq!(stock::buyer(&world.view, TENANT, SALE, ANN).pieces, 3);
}

#[test]
fn every_answer_to_a_new_sale() {
    let product_of = |pieces| vec![Command::CreateProduct(product(pieces))];
    let create = |sale| Command::CreateSale(sale);
    check("all of it", &product_of(3), &create(sale(3)), Ok(Effect::Created));
    check("more than there is", &product_of(3), &create(sale(4)), conflict("inventory-short"));
    check("no product", &[], &create(sale(1)), absent("product-not-found"));
    let gone = with(product_of(3), [Command::DeleteProduct { product: PRODUCT, if_version: None }]);
    check("a product that is gone", &gone, &create(sale(1)), absent("product-not-found"));
    check("an id that is there", &on_sale(sale(1)), &create(sale(1)), conflict("id-taken"));
    let as_product = CreateSale { id: Some(PRODUCT), ..sale(1) };
    check("the id of a product", &product_of(3), &create(as_product), conflict("id-taken"));
    let second_sale = |quantity| create(CreateSale { id: Some(Uuid::from_u128(0xc)), ..sale(quantity) });
    check("what another has left", &on_sale(sale(7)), &second_sale(3), Ok(Effect::Created));
    check("what another has taken", &on_sale(sale(7)), &second_sale(4), conflict("inventory-short"));
    let cancelled = with(on_sale(sale(7)), [buy(ANN), CANCEL]);
    check("what another has returned", &cancelled, &second_sale(9), Ok(Effect::Created));
    check("what another has sold", &cancelled, &second_sale(10), conflict("inventory-short"));
    // Its window ended at second 4, and nobody has settled it.
    let ended = with(on_sale(CreateSale { ends_at: second(4), ..sale(7) }), [buy(ANN)]);
    check("what an ended one has left", &ended, &second_sale(9), Ok(Effect::Created));
    check("what an ended one has sold", &ended, &second_sale(10), conflict("inventory-short"));
}

#[test]
fn a_product_has_no_more_open_sales_than_the_limit() {
    let mut world = world(&[Command::CreateProduct(product(0))]);
    for number in 0..OPEN_SALES_MAX as u128 {
        let id = Some(Uuid::from_u128(0x1000 + number));
        let ends_at = second(if number == 0 { 200 } else { 86_400 });
        let create = CreateSale { id, ends_at, ..sale(0) };
        world.submit(TENANT, &Command::CreateSale(create)).expect("there is room");
    }
    let one_more = Command::CreateSale(sale(0));
    check_in("full", &mut world, &one_more, Err((Class::TooMany, "too-many-open-sales")));
    world.timestamp = second(200);
    check_in("one has ended", &mut world, &one_more, Ok(Effect::Created));

    // A reset opens a closed one again.
    let reset = |number: u128| {
        let sale = Uuid::from_u128(0x1000 + number);
        Command::ResetSale(ResetSale { sale, starts_at: second(0), ends_at: second(99_999), left: 1 })
    };
    check_in("full again", &mut world, &reset(0), Err((Class::TooMany, "too-many-open-sales")));
    check_in("what is open", &mut world, &reset(1), Ok(Effect::Updated));
    check_in("one less", &mut world, &END, Ok(Effect::Ended));
    check_in("room", &mut world, &reset(0), Ok(Effect::Updated));
}

#[test]
fn every_answer_to_a_change_of_a_sale() {
    let given = || with(on_sale(sale(5)), [buy(ANN), buy(BOB)]);
    check("more", &given(), &update(quantity(10)), Ok(Effect::Updated));
    check("more than there is", &given(), &update(quantity(11)), conflict("inventory-short"));
    check("fewer", &given(), &update(quantity(2)), Ok(Effect::Updated));
    check("fewer than are sold", &given(), &update(quantity(1)), conflict("quantity-below-sold"));
    check("nothing", &given(), &update(SalePatch::default()), Ok(Effect::Unchanged));
    check("the same", &given(), &update(quantity(5)), Ok(Effect::Unchanged));
    check("cancelled", &with(given(), [CANCEL]), &update(quantity(3)), conflict("sale-closed"));
    check("ended", &with(given(), [END]), &update(quantity(3)), conflict("sale-closed"));
    let over = on_sale(CreateSale { ends_at: second(3), ..sale(5) });
    check("over", &over, &update(quantity(3)), conflict("sale-closed"));
    let no_sale = [Command::CreateProduct(product(1))];
    check("no sale", &no_sale, &update(quantity(3)), absent("sale-not-found"));
    let ends = |at| update(SalePatch { ends_at: Some(second(at)), ..SalePatch::default() });
    check("another end", &given(), &ends(90_000), Ok(Effect::Updated));
    check("an end at its start", &given(), &ends(0), Err((Class::Unprocessable, "invalid-time-range")));
    let if_version = |version| {
        Command::UpdateSale(UpdateSale { sale: SALE, patch: quantity(6), if_version: Some(version) })
    };
    check("the current version", &given(), &if_version(1), Ok(Effect::Updated));
    check("another version", &given(), &if_version(2), Err((Class::Precondition, "version-mismatch")));
    // Placed at second 3, over at second 5.
    let held = with(on_sale(holding(5, 2)), [buy(ANN)]);
    check("fewer than are held", &held, &update(quantity(0)), conflict("quantity-below-sold"));
    let mut expired = world(&held);
    expired.timestamp = second(4);
    check_in("holds that are over do not count", &mut expired, &update(quantity(0)), Ok(Effect::Updated));
    assert_eq!(counts(&expired), [0; 4]);
}

#[test]
fn a_sale_gives_back_what_is_left_of_it_once() {
    let given = || with(on_sale(sale(7)), [buy(ANN)]);
    check("cancelling", &given(), &CANCEL, Ok(Effect::Cancelled));
    check("cancelling again", &with(given(), [CANCEL]), &CANCEL, Ok(Effect::Unchanged));
    check("ending what is cancelled", &with(given(), [CANCEL]), &END, conflict("sale-closed"));
    check("ending", &given(), &END, Ok(Effect::Ended));
    check("ending again", &with(given(), [END]), &END, Ok(Effect::Unchanged));
    check("cancelling what has ended", &with(given(), [END]), &CANCEL, conflict("sale-closed"));
    check("settling too early", &given(), &SETTLE, Ok(Effect::Unchanged));
    let over = || on_sale(CreateSale { ends_at: second(3), ..sale(7) });
    check("settling", &over(), &SETTLE, Ok(Effect::Ended));
    check("settling again", &with(over(), [SETTLE]), &SETTLE, Ok(Effect::Unchanged));
    check("cancelling what is over", &over(), &CANCEL, conflict("sale-closed"));
    check("ending what is over", &over(), &END, Ok(Effect::Ended));
    let stale = Command::EndSale { sale: SALE, if_version: Some(2) };
    check("another version", &given(), &stale, Err((Class::Precondition, "version-mismatch")));

    let mut world = world(&given());
    let available = |world: &World<Rules>| 10 - stock::allocated(&world.view, TENANT, PRODUCT, None);
    assert_eq!((available(&world), counts(&world)), (3, [6, 0, 1, 0]));
    let due = timer::due(&world.view, second(86_400), 9);
    assert_eq!(due, [(TENANT, crate::Command::from(SETTLE))]);
    let order = last_order(&world);
    check_in("ending", &mut world, &END, Ok(Effect::Ended));
    assert_eq!((available(&world), counts(&world)), (9, [0, 0, 1, 6]));
    assert_eq!(timer::next_due(&world.view), None);
    // A piece that comes back after the end goes to the product too.
    let fail = Command::FailOrder(FailOrder { order, reason: "x".into() });
    check_in("failing late", &mut world, &fail, Ok(Effect::Failed));
    assert_eq!((available(&world), counts(&world)), (10, [0, 0, 0, 7]));
    assert_eq!(stock::allocated(&world.view, TENANT, PRODUCT, Some(4)), 1, "and was sold then");
}

#[test]
fn a_reset_leaves_what_it_says_and_keeps_buyers_and_orders() {
    let reset = |starts_at, ends_at, left| {
        let (starts_at, ends_at) = (second(starts_at), second(ends_at));
        Command::ResetSale(ResetSale { sale: SALE, starts_at, ends_at, left })
    };
    let given = || with(on_sale(sale(10)), [buy(ANN), buy(BOB)]);
    check("fewer", &given(), &reset(0, 99, 1), Ok(Effect::Updated));
    check("none", &given(), &reset(0, 99, 0), Ok(Effect::Updated));
    check("more than there are", &given(), &reset(0, 99, 500), Ok(Effect::Updated));
    check("cancelled", &with(given(), [CANCEL]), &reset(0, 99, 5), Ok(Effect::Updated));
    check("no sale", &[], &reset(0, 99, 5), absent("sale-not-found"));
    let range = Err((Class::Unprocessable, "invalid-time-range"));
    check("no window", &given(), &reset(9, 9, 5), range);
    let quantity = Err((Class::Unprocessable, "invalid-quantity"));
    check("too many", &given(), &reset(0, 99, QUANTITY_MAX + 1), quantity);
    check("too many in all", &given(), &reset(0, 99, QUANTITY_MAX - 1), quantity);

    let mut world = world(&with(given(), [END]));
    check_in("a closed one", &mut world, &reset(0, 99, 20), Ok(Effect::Updated));
    assert_eq!(counts(&world), [20, 0, 2, 0]);
    let brought_in = view::product(&world.view, TENANT, PRODUCT, None).expect("there");
    assert_eq!((brought_in.is.inventory, brought_in.version), (22, 2));
    let sale = view::sale(&world.view, TENANT, SALE, None).expect("there").is;
    assert_eq!((sale.quantity, sale.restocked, sale.closed), (22, Some(20), None));
    check_in("the same quantity", &mut world, &update(super::tests::quantity(22)), Ok(Effect::Unchanged));
    check_in("an earlier buyer", &mut world, &buy(ANN), conflict("buyer-limit-reached"));
    check_in("another buyer", &mut world, &buy(CY), Ok(Effect::Placed));
    assert_eq!(timer::next_due(&world.view), Some(second(99)));
}

#[test]
fn a_reset_brings_in_no_more_than_is_missing() {
    let reset =
        Command::ResetSale(ResetSale { sale: SALE, starts_at: second(0), ends_at: second(99_999), left: 5 });
    // Another sale's window is over, and nobody has settled it: its pieces are the product's again.
    let other = CreateSale { id: Some(Uuid::from_u128(0xc)), ends_at: second(4), ..sale(6) };
    let given = with(on_sale(sale(1)), [buy(ANN), Command::CreateSale(other)]);
    let mut world = world(&given);
    check_in("what another has left", &mut world, &reset, Ok(Effect::Updated));
    let product = view::product(&world.view, TENANT, PRODUCT, None).expect("there").is;
    assert_eq!((product.inventory, stock::allocated(&world.view, TENANT, PRODUCT, None)), (10, 6));
    assert_eq!(counts(&world), [5, 0, 1, 0]);
}

#[test]
fn a_reset_behind_a_long_stop_counts_out_what_it_says_or_nothing() {
    let reset =
        Command::ResetSale(ResetSale { sale: SALE, starts_at: second(0), ends_at: second(99_999), left: 7 });
    let pieces = rules::SWEEP_MAX as u32 + 1;
    let create = Command::CreateSale(holding(pieces, 1_000));
    let buyers = (0..pieces).map(|number| buy(Uuid::from_u128(u128::from(number))));
    let mut world = world(&with(vec![Command::CreateProduct(product(u64::from(pieces))), create], buyers));
    let first_placed = 3;
    // All but the last one are over: as many as one command settles.
    world.timestamp = second(i64::from(pieces) + first_placed - 3 + 1_000);
    let mut all_over = world.clone();
    check_in("all that are over", &mut world, &reset, Ok(Effect::Updated));
    assert_eq!(counts(&world), [7, 1, 0, 0]);

    all_over.timestamp = second(9_000);
    let unsettled = || Err((Class::TooMany, "holds-unsettled"));
    check_in("more than one command settles", &mut all_over, &reset, unsettled());
    check_in("the same of fewer pieces", &mut all_over, &update(quantity(3)), unsettled());
    for (tenant, expire) in timer::due(&all_over.view, second(9_000), 1) {
        let crate::Command::FlashSales(expire) = expire else { panic!("{expire:?}") };
        all_over.submit(tenant, &expire).expect("accepted");
    }
    check_in("when the timer has settled one", &mut all_over, &reset, Ok(Effect::Updated));
    assert_eq!(counts(&all_over), [7, 0, 0, 0]);
}

#[test]
fn every_answer_to_a_change_of_a_product() {
    let delete = |if_version| Command::DeleteProduct { product: PRODUCT, if_version };
    let name = |name: &str| change(ProductPatch { name: Some(name.into()), ..ProductPatch::default() });
    let given = || on_sale(sale(7));
    check("a name", &given(), &name("Phones"), Ok(Effect::Updated));
    check("the same name", &given(), &name("Headphones"), Ok(Effect::Unchanged));
    check("nothing", &given(), &change(ProductPatch::default()), Ok(Effect::Unchanged));
    check("no product", &[], &name("Phones"), absent("product-not-found"));
    check("what sales have taken", &given(), &change(inventory(7)), Ok(Effect::Updated));
    check("less", &given(), &change(inventory(6)), conflict("inventory-below-allocated"));
    let over = on_sale(CreateSale { ends_at: second(3), ..sale(7) });
    check("what an ended sale has left", &over, &change(inventory(0)), Ok(Effect::Updated));
    check("deleting it on sale", &given(), &delete(None), conflict("product-in-use"));
    check("deleting it after a sale", &with(given(), [END]), &delete(None), Ok(Effect::Deleted));
    check("deleting it when a sale is over", &over, &delete(None), Ok(Effect::Deleted));
    let twice = with(given(), [END, delete(None)]);
    check("deleting it twice", &twice, &delete(None), absent("product-not-found"));
    let mismatch = Err((Class::Precondition, "version-mismatch"));
    check("deleting another version", &given(), &delete(Some(2)), mismatch);
    let create = Command::CreateProduct(product(1));
    check("an id that is there", &given(), &create, conflict("id-taken"));
    let reset = ResetSale { sale: SALE, starts_at: second(0), ends_at: second(9), left: 1 };
    check("resetting its sale", &twice, &Command::ResetSale(reset), absent("product-not-found"));
}

#[test]
fn every_field_that_breaks_a_rule() {
    let text = |chars: usize| "ä".repeat(chars);
    let fine = CreateProduct {
        name: text(NAME_CHARS_MAX),
        description: Some(text(DESCRIPTION_CHARS_MAX)),
        price: euros(PRICE_AMOUNT_MAX),
        ..product(INVENTORY_MAX)
    };
    assert_eq!(validate_create_product(&fine), []);
    let rows: [(&str, CreateProduct); 7] = [
        ("invalid-name", CreateProduct { name: String::new(), ..fine.clone() }),
        ("invalid-name", CreateProduct { name: text(NAME_CHARS_MAX + 1), ..fine.clone() }),
        ("invalid-name", CreateProduct { name: "a\0".into(), ..fine.clone() }),
        ("invalid-description", CreateProduct { description: Some(text(2_001)), ..fine.clone() }),
        ("invalid-price", CreateProduct { price: euros(-1), ..fine.clone() }),
        ("invalid-price", CreateProduct { price: euros(PRICE_AMOUNT_MAX + 1), ..fine.clone() }),
        ("invalid-inventory", CreateProduct { inventory: INVENTORY_MAX + 1, ..fine.clone() }),
    ];
    for (code, broken) in rows {
        let found = validate_create_product(&broken);
        assert_eq!(found.iter().map(|violation| violation.code).collect::<Vec<_>>(), [code], "{broken:?}");
        let patch = ProductPatch {
            name: Some(broken.name.clone()),
            description: Some(broken.description.clone()),
            price: Some(broken.price),
            inventory: Some(broken.inventory),
        };
        assert_eq!(validate_product_patch(&patch), found);
        check(code, &[], &Command::CreateProduct(broken), Err((Class::Unprocessable, code)));
        check(code, &[], &change(patch), Err((Class::Unprocessable, code)));
    }

    let fine = CreateSale { buyer_limit: BUYER_LIMIT_MAX, ..holding(QUANTITY_MAX, HOLD_SECONDS_MAX) };
    assert_eq!(validate_create_sale(&fine), []);
    let rows: [(&str, CreateSale); 7] = [
        ("invalid-time-range", CreateSale { ends_at: fine.starts_at, ..fine.clone() }),
        ("invalid-quantity", CreateSale { quantity: QUANTITY_MAX + 1, ..fine.clone() }),
        ("invalid-buyer-limit", CreateSale { buyer_limit: 0, ..fine.clone() }),
        ("invalid-buyer-limit", CreateSale { buyer_limit: BUYER_LIMIT_MAX + 1, ..fine.clone() }),
        ("invalid-hold-seconds", CreateSale { hold_seconds: Some(0), ..fine.clone() }),
        ("invalid-hold-seconds", CreateSale { hold_seconds: Some(HOLD_SECONDS_MAX + 1), ..fine.clone() }),
        ("invalid-price", CreateSale { price: Some(euros(-1)), ..fine.clone() }),
    ];
    for (code, broken) in rows {
        let found = validate_create_sale(&broken);
        assert_eq!(found.iter().map(|violation| violation.code).collect::<Vec<_>>(), [code], "{broken:?}");
        check(code, &[], &Command::CreateSale(broken.clone()), Err((Class::Unprocessable, code)));
        if code != "invalid-time-range" {
            let patch = SalePatch {
                quantity: Some(broken.quantity),
                buyer_limit: Some(broken.buyer_limit),
                hold_seconds: Some(broken.hold_seconds),
                price: broken.price,
                ..SalePatch::default()
            };
            assert_eq!(validate_sale_patch(&patch), found);
            check(code, &[], &update(patch), Err((Class::Unprocessable, code)));
        }
    }
    for text in [String::new(), text(REASON_CHARS_MAX + 1)] {
        let fail = Command::FailOrder(FailOrder { order: SALE, reason: text.clone() });
        check("a reason", &[], &fail, Err((Class::Unprocessable, "invalid-reason")));
        let pay = Command::PayOrder { order: SALE, buyer: None, reference: Some(text) };
        check("a reference", &[], &pay, Err((Class::Unprocessable, "invalid-reference")));
    }
}

#[test]
fn what_follows_from_a_purchase_is_its_completion() {
    use maitred_engine::consumers::Consumer;
    let consumer = processing::OrderProcessing;
    let at = |seq| At { tenant: TENANT, seq, ordinal: 0, timestamp: second(9) };
    let follow = |world: &World<Rules>, facts: Vec<Fact>| -> Vec<crate::Command> {
        let facts = facts.into_iter().map(crate::Fact::FlashSales);
        let wanted = facts.filter(|fact| consumer.wants(fact.kind()));
        wanted
            .flat_map(|fact| consumer.consume(&world.view, &fact, at(world.seq)).expect("no reason"))
            .collect()
    };
    let mut world = world(&on_sale(sale(3)));
    let (facts, _) = world.submit(TENANT, &buy(ANN)).expect("there is one");
    let complete = Command::CompleteOrder { order: last_order(&world) };
    assert_eq!(follow(&world, facts), [complete.clone().into()]);
    let (facts, _) = world.submit(TENANT, &complete).expect("it is pending");
    assert_eq!(follow(&world, facts), [], "a completed order leads to nothing");
    check_in("coming again", &mut world, &complete, Ok(Effect::Unchanged));
    let mut held = self::world(&on_sale(holding(3, 9)));
    let (facts, _) = held.submit(TENANT, &buy(ANN)).expect("there is one");
    assert_eq!(follow(&held, facts), [], "what is held waits to be paid");
}

#[test]
fn a_purchase_writes_its_order_and_no_version_of_anything_else() {
    let mut world = world(&on_sale(sale(3)));
    let versions = |world: &World<Rules>| {
        let sale = view::sale(&world.view, TENANT, SALE, None).expect("there").version;
        (sale, view::product(&world.view, TENANT, PRODUCT, None).expect("there").version)
    };
    let before = versions(&world);
    let (facts, _) = world.submit(TENANT, &buy(ANN)).expect("there is one");
    assert_eq!((facts.len(), versions(&world)), (1, before));
    let mut told = Vec::new();
    record::changes(&world.view, TENANT, maitred_core::ChangeId { seq: 2, ordinal: 9 }, &mut |change| {
        told.push((change.record.kind, change.change_type));
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(told, [(record::Kind::Order, ChangeType::Created)]);
}

#[test]
fn orders_are_found_by_sale_and_by_buyer_in_pages() {
    let other = CreateSale { id: Some(Uuid::from_u128(0xc)), ..sale(3) };
    let elsewhere = |buyer| Command::PlaceOrder(PlaceOrder { sale: Uuid::from_u128(0xc), buyer });
    let given = with(
        on_sale(sale(4)),
        [Command::CreateSale(other), buy(ANN), elsewhere(ANN), buy(BOB), elsewhere(CY), buy(CY)],
    );
    let world = world(&given);
    let all = |query: OrderQuery, limit| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = view::orders(&world.view, TENANT, &query, after, limit);
            assert!(page.items.len() <= limit);
            found.extend(page.items.into_iter().map(|order| (order.is.sale.as_u128(), order.is.buyer)));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    let query = OrderQuery { at: world.timestamp, ..OrderQuery::default() };
    for limit in [1, 2, 9] {
        let rows = [
            (query, vec![(0xb, ANN), (0xc, ANN), (0xb, BOB), (0xc, CY), (0xb, CY)]),
            (OrderQuery { sale: Some(SALE), ..query }, vec![(0xb, ANN), (0xb, BOB), (0xb, CY)]),
            (OrderQuery { buyer: Some(ANN), ..query }, vec![(0xb, ANN), (0xc, ANN)]),
            (OrderQuery { buyer: Some(ANN), sale: Some(SALE), ..query }, vec![(0xb, ANN)]),
            (OrderQuery { status: Some(OrderStatus::Completed), ..query }, vec![]),
            (OrderQuery { as_of: Some(5), ..query }, vec![(0xb, ANN), (0xc, ANN)]),
            (OrderQuery { as_of: Some(6), sale: Some(SALE), ..query }, vec![(0xb, ANN), (0xb, BOB)]),
        ];
        for (query, expected) in rows {
            assert_eq!(all(query, limit), expected, "{query:?} by {limit}");
        }
    }
}

#[test]
fn a_difference_is_named() {
    use maitred_core::{Key, Table, Write};
    let mut world = world(&with(on_sale(sale(3)), [buy(ANN)]));
    let key = Key::of(Table::Stock, TENANT).u128(SALE.as_u128());
    let mut value = world.view.get(&key).expect("there").to_vec();
    value[11] = 2; // two are sold
    world.view.put(&key, &value);
    let found = reconcile(&world.view, TENANT, SALE, world.timestamp, None).expect("there");
    assert_eq!(
        found.differences,
        ["issued: the counts say 4, and 3 were found", "sold: the counts say 2, and 1 were found"]
    );
    let past = reconcile(&world.view, TENANT, SALE, world.timestamp, Some(world.seq)).expect("there");
    assert_eq!(past.differences, [""; 0], "the ledger was not touched");
}
