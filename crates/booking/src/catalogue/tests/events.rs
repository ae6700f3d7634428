//! What a run leaves of events, and what a search finds of them.

use super::*;
use crate::encoding;

#[test]
fn what_is_missing_is_marked_and_still_served() {
    let mut world = world(&[create(provider())]);
    let zones = || vec![zone("1", Some(1_000)), zone("2", Some(9_000))];
    let both = event("a", "A", vec![plan("1", (1, 2), zones()), plan("2", (30, 31), zones())]);
    sync(&mut world, NAME, &[both, concert(5)], 2);
    let id = view::known(&world.view, TENANT, NAME, "a").expect("it is known").id;
    let seen_whole = state(&world).last_success_at.expect("it was carried over");

    let one = event("a", "A", vec![plan("1", (1, 2), vec![zone("1", Some(2_000))])]);
    sync(&mut world, NAME, &[one], 2);
    let found = view::event(&world.view, TENANT, id, None).expect("it is there");
    let marks: Vec<_> =
        found.is.plans.iter().map(|plan| (plan.id.as_str(), plan.vanished, plan.zones.len())).collect();
    assert_eq!(marks, [("1", false, 2), ("2", true, 2)]);
    assert_eq!(found.is.prices(), Some((1_000, 9_000)), "prices of what is missing count");
    assert_eq!(titles(&world, &Search::starting(hour(30), hour(30))), ["A"]);
    assert!(view::last_seen_at(&world.view, TENANT, &found) > seen_whole);

    let gone = view::known(&world.view, TENANT, NAME, "e5").expect("it is known");
    let missing = view::event(&world.view, TENANT, gone.id, None).expect("it is there");
    assert_eq!(missing.is.gone.map(|gone| gone.last_seen_at), Some(seen_whole));
    assert_eq!(titles(&world, &Search::starting(hour(5), hour(5))), ["Concert 5"], "and it is served");
    assert_eq!((state(&world).events, state(&world).vanished), (1, 1));

    sync(&mut world, NAME, &[concert(5)], 2);
    let back = view::event(&world.view, TENANT, gone.id, None).expect("it is there");
    assert_eq!((back.is.gone, back.version), (None, 3), "it is back, under the same id");
    assert_eq!((state(&world).events, state(&world).vanished), (1, 1));
}

#[test]
fn an_event_that_was_ever_online_stays_so() {
    let mut world = world(&[create(provider())]);
    let mode = |sell_mode| digested(FeedEvent { sell_mode, ..concert(1) });
    let all = Search::starting(hour(0), hour(9));
    sync(&mut world, NAME, &[mode(Some(SellMode::Offline))], 1);
    assert_eq!(titles(&world, &all), [""; 0]);
    let quiet = rows::changed(&world.view, TENANT);
    assert_eq!(quiet, 0, "nobody could have found it");
    sync(&mut world, NAME, &[mode(Some(SellMode::Online))], 1);
    assert_eq!(titles(&world, &all), ["Concert 1"]);
    assert!(rows::changed(&world.view, TENANT) > 0);
    sync(&mut world, NAME, &[mode(None)], 1);
    assert_eq!(titles(&world, &all), ["Concert 1"]);
    assert_eq!(SellMode::from_name("ONLINE"), Some(SellMode::Online));
    assert_eq!(SellMode::from_name("on line"), None);
}

#[test]
fn ids_are_scoped_by_their_parent() {
    let mut world =
        world(&[create(provider()), create(CreateProvider { name: "hall".into(), ..provider() })]);
    let same = |title: &str| event("1", title, vec![plan("1", (1, 2), vec![zone("1", Some(100))])]);
    sync(&mut world, NAME, &[same("At the arena")], 1);
    sync(&mut world, "hall", &[same("In the hall")], 1);
    let mut both = titles(&world, &Search::starting(hour(1), hour(1)));
    both.sort();
    assert_eq!(both, ["At the arena", "In the hall"]);
    let only = Search { provider: Some(name::hash("hall")), ..Search::starting(hour(1), hour(1)) };
    assert_eq!(titles(&world, &only), ["In the hall"]);
}

#[test]
fn a_command_takes_as_many_events_as_there_is_room_for() {
    let mut world = world(&[create(provider())]);
    let run = run_of(&mut world, &begin(0, 1));
    let zones = |n: usize| (0..n).map(|i| zone(&format!("{i:0>60}"), Some(1))).collect::<Vec<_>>();
    let big = |id: &str| event(id, "Big", vec![plan("1", (1, 2), zones(500))]);
    let events = vec![big("a"), big("b"), big("c"), big("d"), concert(1)];
    let mut rest = events.as_slice();
    let mut taken = Vec::new();
    while !rest.is_empty() {
        let applied = applied(&mut world, &apply(run.id, rest.to_vec()));
        taken.push(applied.taken as usize);
        rest = &rest[applied.taken as usize..];
    }
    assert!(taken.len() > 1 && taken.iter().sum::<usize>() == events.len(), "{taken:?}");
    let huge = event("z", "Huge", vec![plan("1", (1, 2), zones(3_000))]);
    let applied = applied(&mut world, &apply(run.id, vec![huge]));
    assert_eq!((applied.taken, applied.too_large, applied.created), (1, 1, 0));
    let titled = event("y", &"ä".repeat(1_001), vec![]);
    let named = event(&"y".repeat(256), "A", vec![]);
    let longest = event(&"y".repeat(255), &"\u{1}".repeat(1_000), vec![plan("1", (1, 2), vec![])]);
    let applied = self::applied(&mut world, &apply(run.id, vec![titled, named, longest]));
    assert_eq!((applied.taken, applied.too_large, applied.created), (3, 2, 1));
}

#[test]
fn plans_that_are_missing_give_way_when_an_event_grows() {
    let mut world = world(&[create(provider())]);
    let zones = || (0..700).map(|i| zone(&format!("{i:0>80}"), Some(1))).collect::<Vec<_>>();
    for start in 1..=4 {
        let stated = event("a", "A", vec![plan(&start.to_string(), (start, start + 1), zones())]);
        sync(&mut world, NAME, &[stated], 1);
    }
    let id = view::known(&world.view, TENANT, NAME, "a").expect("it is known").id;
    let found = view::event(&world.view, TENANT, id, None).expect("it is there").is;
    let mut bytes = Vec::new();
    encoding::encode(&found, &mut bytes);
    assert!(bytes.len() <= rules::EVENT_BYTES_MAX);
    assert!(found.plans.iter().any(|plan| plan.id == "4") && found.plans.iter().all(|plan| plan.id != "1"));
    assert_eq!(titles(&world, &Search::starting(hour(1), hour(1))), [""; 0]);
    assert_eq!(titles(&world, &Search::starting(hour(4), hour(4))), ["A"]);
}

/// Two plans of one event, and one of another.
fn two_events() -> World<Rules> {
    let mut world = world(&[create(provider())]);
    let zones = || vec![zone("1", Some(1_500)), zone("2", Some(3_000))];
    let shows =
        event("a", "Los Morancos: ¡Señor!", vec![plan("1", (10, 12), zones()), plan("2", (20, 30), zones())]);
    let free = event("b", "Open air", vec![plan("1", (20, 21), vec![zone("1", None)])]);
    sync(&mut world, NAME, &[shows, free], 2);
    world
}

#[test]
fn a_range_and_a_plan_go_together_in_three_ways() {
    let world = two_events();
    let found = |matching, from, to| {
        let search = Search { matching, ..Search::starting(hour(from), hour(to)) };
        titles(&world, &search).iter().map(|title| &title[..1]).collect::<String>()
    };
    use Match::{Contained, Overlap, Start};
    for (matching, from, to, then) in [
        // Both ends are included.
        (Start, 10, 10, "L"),
        (Start, 11, 19, ""),
        (Start, 0, 10, "L"),
        (Start, 10, 20, "LO"),
        (Start, 20, 99, "LO"),
        (Start, 21, 99, ""),
        // Both are half-open.
        (Overlap, 12, 20, ""),
        (Overlap, 11, 20, "L"),
        (Overlap, 12, 21, "LO"),
        (Overlap, 21, 22, "L"),
        (Overlap, 30, 99, ""),
        (Overlap, 0, 99, "LO"),
        (Overlap, 25, 26, "L"),
        // The end may be the range's.
        (Contained, 10, 12, "L"),
        (Contained, 11, 29, "O"),
        (Contained, 0, 99, "LO"),
        (Contained, 20, 30, "LO"),
        (Contained, 20, 29, "O"),
    ] {
        let mut letters: Vec<char> = found(matching, from, to).chars().collect();
        letters.sort_unstable();
        assert_eq!(letters.iter().collect::<String>(), then, "{matching:?} {from}..{to}");
    }
}

#[test]
fn words_and_prices_narrow_a_search() {
    let world = two_events();
    let all = Search::starting(hour(0), hour(99));
    for (words, then) in [
        ("MORANCOS", 1),
        ("morancos senor", 1),
        ("señor los", 1),
        ("open", 1),
        ("o", 2),
        ("morancos open", 0),
        ("", 2),
    ] {
        let search = Search { words: fold::words(words), ..all.clone() };
        assert_eq!(titles(&world, &search).len(), then, "{words}");
    }
    for (min_price, max_price, then) in [
        (None, None, 2),
        (Some(0), None, 1),
        (Some(3_000), None, 1),
        (Some(3_001), None, 0),
        (None, Some(1_500), 1),
        (None, Some(1_499), 0),
        (Some(1_600), Some(2_000), 1),
    ] {
        let search = Search { min_price, max_price, ..all.clone() };
        assert_eq!(titles(&world, &search).len(), then, "{min_price:?} {max_price:?}");
    }
}

#[test]
fn a_row_says_what_the_event_is() {
    let world = two_events();
    let rows = found(&world, &Search::starting(hour(10), hour(10)), 1);
    let id = view::known(&world.view, TENANT, NAME, "a").expect("it is known").id;
    assert_eq!(
        rows,
        [serde_json::json!({
            "id": id, "provider": "arena", "external_id": "a", "title": "Los Morancos: ¡Señor!",
            "starts_at": "1970-01-01T10:00:00.000Z", "ends_at": "1970-01-02T06:00:00.000Z",
            "min_price": { "amount": 1500, "currency": "EUR" }, "max_price": { "amount": 3000, "currency": "EUR" },
            "sold_out": false, "vanished": false,
        })]
    );
    let mut out = Vec::new();
    let search = Search::starting(hour(20), hour(20));
    search::search(&world.view, TENANT, &search, (None, 9), Form::Legacy, &mut out);
    let text = String::from_utf8(out).expect("it is ASCII");
    let free = view::known(&world.view, TENANT, NAME, "b").expect("it is known").id;
    let one = format!(
        r#"{{"end_date":"1970-01-02","end_time":"06:00:00","id":"{id}","max_price":30.0,"min_price":15.0,"start_date":"1970-01-01","start_time":"10:00:00","title":"Los Morancos: \u00a1Se\u00f1or!"}}"#
    );
    let other = format!(
        r#"{{"end_date":"1970-01-01","end_time":"21:00:00","id":"{free}","max_price":null,"min_price":null,"start_date":"1970-01-01","start_time":"20:00:00","title":"Open air"}}"#
    );
    assert!(text == format!("{one},{other}") || text == format!("{other},{one}"), "{text}");
}

#[test]
fn a_search_that_visits_much_goes_on_behind_a_cursor() {
    let mut world = world(&[create(provider())]);
    let feed: Vec<FeedEvent> = (0..search::VISITS_MAX + 10)
        .map(|i| {
            event(
                &format!("e{i}"),
                if i % 5_000 == 7 { "rare" } else { "usual" },
                vec![plan("1", (1, 2), vec![])],
            )
        })
        .collect();
    sync(&mut world, NAME, &feed, EVENTS_PER_COMMAND_MAX);
    let rare = Search { words: fold::words("rare"), ..Search::starting(hour(1), hour(1)) };
    let mut out = Vec::new();
    let page = search::search(&world.view, TENANT, &rare, (None, 100), Form::Native, &mut out);
    assert!(matches!(page.next, Some(Place { .. })), "the page is short, and there is another");
    assert_eq!(found(&world, &rare, 100).len(), 3);
    assert_eq!(found(&world, &Search::starting(hour(1), hour(1)), 1_000).len(), feed.len());
}
