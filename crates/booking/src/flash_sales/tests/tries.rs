//! How tries are counted: what is kept of them, and what it leaves alone.

use std::ops::ControlFlow;

use maitred_core::ChangeId;

use super::*;
use crate::flash_sales::tries;

fn counted(accepted: u64) -> Command {
    let at = Some(second(9));
    let seconds = [Second { at: second(9), tries: accepted as u32, accepted: accepted as u32 }].into();
    let tries = if accepted == 0 {
        Tally::default()
    } else {
        Tally { accepted, first_at: at, last_at: at, seconds, ..Tally::default() }
    };
    Command::CountTries(TriesCounted { sale: SALE, tries })
}

#[test]
fn tries_of_a_sale_that_is_there_are_added_up() {
    check("no sale", &[Command::CreateProduct(product(1))], &counted(1), absent("sale-not-found"));
    check("the first", &on_sale(sale(1)), &counted(1), Ok(Effect::Counted));
    check("nothing", &on_sale(sale(1)), &counted(0), Ok(Effect::Unchanged));
    check("of an ended sale", &with(on_sale(sale(1)), [END]), &counted(1), Ok(Effect::Counted));
    let world = world(&with(on_sale(sale(1)), [counted(3), counted(4)]));
    assert_eq!(tries::read(&world.view, TENANT, SALE).accepted, 7);
}

#[test]
fn counted_tries_make_no_version_and_no_change() {
    let changes = |world: &World<Rules>| {
        let mut found = Vec::new();
        record::changes(&world.view, TENANT, ChangeId::default(), &mut |change| {
            found.push((change.record, change.version.version));
            ControlFlow::Continue(())
        });
        found
    };
    let mut world = world(&on_sale(sale(1)));
    let before = (changes(&world), view::sale(&world.view, TENANT, SALE, None), counts(&world));
    world.submit(TENANT, &counted(5)).expect("accepted");
    assert_eq!((changes(&world), view::sale(&world.view, TENANT, SALE, None), counts(&world)), before);
}
