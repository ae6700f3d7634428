//! What stands in a feed is read as the services that maitred replaces read it.

use jiff::civil::DateTime;
use maitred_connectors::xml_feed::{Event, Moment, Plan, SellMode, Zone};

use super::{event_of, feed_of, plan_of, read_whole, zone_of};

/// The example of the observed contract.
const CAMELA: &str = r#"<planList><output>
  <base_plan base_plan_id="291" sell_mode="online" organizer_company_id="1" title="Camela en concierto">
    <plan plan_id="291" plan_start_date="2021-06-30T21:00:00" plan_end_date="2021-06-30T22:00:00" sell_from="2020-07-01T00:00:00" sell_to="2021-06-30T20:00:00" sold_out="false">
      <zone zone_id="40" capacity="243" price="20.00" name="Platea" numbered="true"/>
    </plan></base_plan></output></planList>"#;

fn civil(text: &str) -> Moment {
    Moment::Civil(text.parse::<DateTime>().expect("a time"))
}

#[test]
fn the_example_is_read_whole() {
    let (events, tally) = read_whole(CAMELA.as_bytes());
    let zone = Zone {
        id: "40".into(),
        capacity: 243,
        price_minor: Some(2_000),
        name: "Platea".into(),
        numbered: true,
    };
    let plan = Plan {
        id: "291".into(),
        starts_at: civil("2021-06-30T21:00"),
        ends_at: civil("2021-06-30T22:00"),
        sell_from: civil("2020-07-01T00:00"),
        sell_to: civil("2021-06-30T20:00"),
        sold_out: false,
        zones: vec![zone],
    };
    let event = Event {
        id: "291".into(),
        title: "Camela en concierto".into(),
        sell_mode: Some(SellMode::Online),
        organizer_company_id: Some("1".into()),
        plans: vec![plan],
    };
    assert_eq!(events, [event]);
    assert_eq!((tally.events, tally.plans, tally.zones, tally.problems_total()), (1, 1, 1, 0));
}

/// Reads one event with these attributes.
fn event(attributes: &str) -> Event {
    let (mut events, tally) = read_whole(feed_of(&format!("<base_plan {attributes}/>")).as_bytes());
    assert_eq!(tally.problems_total(), 0, "{:?}", tally.problems);
    events.pop().expect("an event")
}

#[test]
fn a_sell_mode_is_read_in_any_case_and_an_unknown_one_is_none() {
    for (text, mode) in [
        ("sell_mode='online'", Some(SellMode::Online)),
        ("sell_mode='ONLINE'", Some(SellMode::Online)),
        ("sell_mode='Offline'", Some(SellMode::Offline)),
        ("sell_mode='later'", None),
        ("sell_mode=''", None),
        ("", None),
    ] {
        assert_eq!(event(&format!("base_plan_id='1' title='' {text}")).sell_mode, mode, "{text}");
    }
}

#[test]
fn references_and_blanks_in_a_title_mean_what_xml_says() {
    let title = |raw: &str| event(&format!("base_plan_id='1' title=\"{raw}\"")).title;
    assert_eq!(title("Tom &amp; Jerry &lt;3 &quot;&apos;&gt;"), "Tom & Jerry <3 \"'>");
    assert_eq!(title("Caf&#233; &#x1F3B5; &#10;x"), "Café 🎵 \nx");
    assert_eq!(title("a\tb\nc"), "a b c");
    assert_eq!(title("  a  "), "  a  ");
    assert_eq!(title(""), "");
}

#[test]
fn an_offset_makes_an_instant() {
    let plan = plan_of("1", "").replace("2021-06-30T21:00:00", "2021-06-30T10:00:00+05:00");
    let (events, _) = read_whole(feed_of(&event_of("1", &plan)).as_bytes());
    let starts_at = "2021-06-30T05:00:00Z".parse().expect("an instant");
    assert_eq!(events[0].plans[0].starts_at, Moment::Instant(starts_at));
}

#[test]
fn what_is_odd_but_not_wrong_is_kept() {
    let reversed = plan_of("1", "").replace("2021-06-30T22", "2021-06-30T20");
    let zones: String =
        [("1", "-5"), ("2", "NaN"), ("3", "0")].iter().map(|(id, price)| zone_of(id, price)).collect();
    let feed = feed_of(
        &[event_of("1", &reversed), event_of("2", &plan_of("1", &zones)), event_of("3", "")].concat(),
    );
    let (events, tally) = read_whole(feed.as_bytes());
    assert_eq!((events.len(), tally.problems_total()), (3, 0));
    let prices: Vec<_> = events[1].plans[0].zones.iter().map(|zone| zone.price_minor).collect();
    assert_eq!(prices, [Some(-500), None, Some(0)]);
    assert!(events[2].plans.is_empty());
}

/// What is left of one event with a plan with two zones after a replacement.
fn left(from: &str, to: &str) -> (Vec<(usize, usize)>, Vec<String>) {
    let good = event_of("9", &plan_of("9", &zone_of("9", "1")));
    let zones = zone_of("1", "10") + &zone_of("2", "20");
    let event = event_of("1", &plan_of("1", &zones));
    assert!(event.contains(from), "{from}");
    let feed = feed_of(&(event.replacen(from, to, 1) + &good));
    let (events, tally) = read_whole(feed.as_bytes());
    let left =
        events.iter().map(|event| (event.plans.len(), event.plans.iter().map(|plan| plan.zones.len()).sum()));
    let said = tally.problems.iter().map(|problem| {
        format!("{}:{} {}", problem.place.line.expect("a line"), problem.code, problem.detail)
    });
    (left.collect(), said.collect())
}

#[test]
fn what_is_bad_costs_itself_and_is_named_with_its_place() {
    let all = "<base_plan base_plan_id=\"1\" sell_mode=\"online\" title=\"Event 1\">";
    for (from, to, counts, said) in [
        (
            "capacity=\"100\"",
            "capacity=\"many\"",
            &[(1, 1), (1, 1)][..],
            "1:zone-invalid capacity \"many\" is no number of places",
        ),
        (
            "capacity=\"100\"",
            "capacity=\"-1\"",
            &[(1, 1), (1, 1)],
            "1:zone-invalid capacity \"-1\" is no number of places",
        ),
        ("price=\"20\"", "price=\"free\"", &[(1, 1), (1, 1)], "2:zone-invalid price \"free\" is no price"),
        ("price=\"20\"", "", &[(1, 1), (1, 1)], "2:zone-invalid price is missing"),
        ("numbered=\"true\"", "", &[(1, 1), (1, 1)], "1:zone-invalid numbered is missing"),
        ("zone_id=\"1\"", "zone_id=\"\"", &[(1, 1), (1, 1)], "1:zone-invalid zone_id is empty"),
        ("name=\"Zone 1\"", "", &[(1, 1), (1, 1)], "1:zone-invalid name is missing"),
        (" plan_id=\"1\"", "", &[(0, 0), (1, 1)], "1:plan-invalid plan_id is missing"),
        (
            "2021-06-30T21:00:00",
            "2021-02-30T21:00:00",
            &[(0, 0), (1, 1)],
            "1:plan-invalid plan_start_date \"2021-02-30T21:00:00\" is no time",
        ),
        (
            "plan_end_date=\"2021-06-30T22:00:00\"",
            "",
            &[(0, 0), (1, 1)],
            "1:plan-invalid plan_end_date is missing",
        ),
        (
            "sell_from=\"2020-07-01T00:00:00\"",
            "sell_from=\"\"",
            &[(0, 0), (1, 1)],
            "1:plan-invalid sell_from \"\" is no time",
        ),
        (
            all,
            "<base_plan sell_mode=\"online\" title=\"x\">",
            &[(1, 1)],
            "1:event-invalid base_plan_id is missing",
        ),
        (
            all,
            "<base_plan base_plan_id=\"\" title=\"x\">",
            &[(1, 1)],
            "1:event-invalid base_plan_id is empty",
        ),
        (all, "<base_plan base_plan_id=\"1\">", &[(1, 1)], "1:event-invalid title is missing"),
    ] {
        assert_eq!(left(from, to), (counts.to_vec(), vec![said.to_owned()]), "{from} -> {to}");
    }
}

#[test]
fn texts_have_a_length() {
    let long = "é".repeat(129);
    let (events, tally) =
        read_whole(feed_of(&(event_of(&long[..256], "") + &event_of(&long, ""))).as_bytes());
    assert_eq!((events.len(), tally.events_left_out), (1, 1));
    assert_eq!(tally.problems[0].detail, "base_plan_id has more than 128 characters");
}

#[test]
fn unknown_elements_are_passed_over_with_all_within_them() {
    let inner = event_of("1", &plan_of("1", &zone_of("1", "1")));
    let feed = format!(
        "<?xml version='1.0'?><!-- a --><planList><page n='1'>{inner}</page>{inner}<output>text<![CDATA[<]]>&lt;\
         <zone/><plan/>{}</output><output/><?pi?></planList>\n<!-- z -->",
        event_of("2", &format!("<artists><plan/></artists>{}", plan_of("1", "<seat/><zone/>"))),
    );
    let (events, tally) = read_whole(feed.as_bytes());
    assert_eq!(events.iter().map(|event| &*event.id).collect::<Vec<_>>(), ["2"]);
    assert_eq!((tally.plans, tally.zones, tally.zones_left_out), (1, 0, 1));
}

#[test]
fn what_is_repeated_within_an_event_is_merged_and_the_last_attributes_hold() {
    let first = plan_of("7", &(zone_of("1", "1") + &zone_of("2", "2") + &zone_of("1", "3")));
    let second = plan_of("7", &(zone_of("3", "4") + &zone_of("2", "5"))).replace("\"false\"", "\"true\"");
    let feed = feed_of(&event_of("1", &(plan_of("10", "") + &first + &second)));
    let (events, tally) = read_whole(feed.as_bytes());
    let plans: Vec<_> = events[0].plans.iter().map(|plan| (&*plan.id, plan.sold_out)).collect();
    assert_eq!(plans, [("7", true), ("10", false)]);
    let zones: Vec<_> = events[0].plans[0].zones.iter().map(|zone| (&*zone.id, zone.price_minor)).collect();
    assert_eq!(zones, [("1", Some(300)), ("2", Some(500)), ("3", Some(400))]);
    assert_eq!((tally.plans_repeated, tally.zones_repeated), (1, 1));
    let codes: Vec<_> = tally.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["zone-repeated", "plan-repeated"]);
}
