//! What a fact brings, and how a list that is long is looked through for it.

use super::*;

#[test]
fn a_long_list_is_looked_through_in_parts_in_order_of_entry() {
    const WAITING: usize = 200;
    let mut floor = Floor::new();
    // Nobody works, until everybody has entered.
    for employee in [floor.salon.ann.id, floor.salon.bob.id] {
        let what = PlanChange::SetPatterns(Vec::new());
        let change = Command::ChangePlan(Change { id: employee, what, if_version: None });
        floor.submit(&change).expect("a plan");
    }
    let mut entries = Vec::new();
    for number in 0..WAITING / OPEN_OF_CUSTOMER_MAX {
        let customer = floor.customer(&number.to_string());
        for _ in 0..OPEN_OF_CUSTOMER_MAX {
            let waits = floor.waits(customer, at(24, 0), at(24 * 60, 0));
            entries.push(floor.enter(waits).expect("there is room"));
        }
    }
    floor.settle();
    let pattern = Pattern {
        valid_from: day(1),
        valid_to: None,
        every_weeks: 1,
        days: std::array::from_fn(|_| vec![DayTime { from_minute: 540, to_minute: 600 }]),
    };
    floor.plan(PlanChange::SetPatterns(vec![pattern]));
    let (fact, at) = floor.facts.pop_back().expect("the plan's");
    let parts = floor.follow_in_parts(&fact, at);
    assert!(parts.len() > 3, "{parts:?}");
    // An hour a day, for as many of the first as there is room for.
    let offered = entries.iter().take_while(|id| floor.offer(**id).is_some()).count();
    assert_eq!((offered, parts.iter().sum::<usize>()), (2 * 59, 2 * 59));
    let starts: Vec<_> =
        entries[..offered].iter().map(|id| floor.offer(*id).map(|offer| offer.starts_at)).collect();
    assert!(starts.is_sorted(), "the first have the first visits");
}

#[test]
fn settings_that_bring_no_time_offer_none() {
    let mut floor = Floor::new();
    let taken = floor.book(floor.salon.cut, floor.salon.ann, at(9, 0));
    let eve = floor.customer("Eve");
    let waits = floor.waits(eve, at(9, 0), at(9, 30));
    floor.enter(waits).expect("there is room");
    floor.settle();
    floor.advance(taken, Advance::Cancel).expect("it stands");
    floor.facts.clear(); // nobody follows it
    for (patch, offers) in [
        (SettingsPatch { offer_minutes: Some(20), ..SettingsPatch::default() }, 0),
        (SettingsPatch { step_minutes: Some(30), ..SettingsPatch::default() }, 1),
    ] {
        let change = Command::ChangeSettings(Change { id: (), what: patch, if_version: None });
        floor.submit(&change).expect("settings");
        let (fact, at) = floor.facts.pop_back().expect("that of the settings");
        assert_eq!(floor.follow(&fact, at), offers, "{fact:?}");
    }
}
