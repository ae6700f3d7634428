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

#[test]
fn what_a_long_visit_could_use_goes_to_a_short_one_that_came_before() {
    let mut floor = Floor::new();
    let works = |hours: Option<(u16, u16)>| {
        let spans = hours.map(|(from, to)| DayTime { from_minute: from * 60, to_minute: to * 60 });
        PlanChange::SetPatterns(vec![Pattern {
            valid_from: day(1),
            valid_to: None,
            every_weeks: 1,
            days: std::array::from_fn(|_| spans.into_iter().collect()),
        }])
    };
    let taken = floor.book(floor.salon.cut, floor.salon.bob, at(16, 30));
    floor.plan(works(None));
    let (eve, ida) = (floor.customer("Eve"), floor.customer("Ida"));
    let short = floor.waits(eve, at(7, 0), at(7, 45));
    let long = EnterWaitlist { services: vec![floor.salon.colour], ..floor.waits(ida, at(7, 0), at(12, 0)) };
    let entries = [short, long].map(|waits| floor.enter(waits).expect("there is room"));
    floor.settle();
    floor.plan(works(Some((6, 17))));
    floor.facts.clear(); // it is yet to be followed
    floor.advance(taken, Advance::Cancel).expect("it stands");
    // The time of 16:30 is of use to a visit of 90 minutes from 7:00 on, and to one of 30 minutes from 8:00 on.
    let (fact, at) = floor.facts.pop_back().expect("that of the booking");
    assert_eq!(floor.follow(&fact, at), 2);
    let starts = entries.map(|entry| floor.offer(entry).expect("an offer").starts_at);
    assert!(starts[0] == super::at(7, 0) && starts[1] >= super::at(7, 30), "{starts:?}");
}
