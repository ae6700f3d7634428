//! Whatever events there are come back from a feed as they went in.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use jiff::Timestamp;
use jiff::civil::DateTime;
use maitred_connectors::xml_feed::{Event, FeedWriter, Moment, Plan, SellMode, Zone};
use proptest::prelude::*;

use super::{Pieces, read, read_whole, written};

fn text(chars_max: usize) -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => prop::char::range(' ', '~'),
        1 => prop::sample::select(vec!['\t', '\n', '\r', '"', '\'', '&', '<', '>', ';', '#', ']']),
        1 => prop::char::range('\u{80}', '\u{fffd}'),
        1 => prop::char::range('\u{10000}', '\u{10ffff}'),
    ];
    prop::collection::vec(char, 0..chars_max).prop_map(String::from_iter)
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[1-9][0-9]{0,3}", 1 => text(8).prop_map(|text| text + "!")]
}

fn moment() -> impl Strategy<Value = Moment> {
    // Whole milliseconds from 0001-01-02 to 9999-12-30.
    (-62_135_510_400_000..253_402_128_000_000_i64, any::<bool>()).prop_map(|(millis, civil)| {
        let at = Timestamp::from_millisecond(millis).expect("an instant");
        let utc = jiff::tz::Offset::UTC;
        if civil { Moment::Civil(utc.to_datetime(at)) } else { Moment::Instant(at) }
    })
}

fn zone() -> impl Strategy<Value = Zone> {
    let price = prop::option::weighted(0.9, -1_000_000_000_000..=1_000_000_000_000_i64);
    (id(), any::<u32>(), price, text(12), any::<bool>()).prop_map(
        |(id, capacity, price_minor, name, numbered)| Zone { id, capacity, price_minor, name, numbered },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let moments = [moment(), moment(), moment(), moment()];
    (id(), moments, any::<bool>(), prop::collection::vec(zone(), 0..4)).prop_map(
        |(id, moments, sold_out, zones)| {
            let [starts_at, ends_at, sell_from, sell_to] = moments;
            Plan {
                id,
                starts_at,
                ends_at,
                sell_from,
                sell_to,
                sold_out,
                zones: in_order(zones, |zone| &zone.id),
            }
        },
    )
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let mode = prop::option::of(prop::sample::select(vec![SellMode::Online, SellMode::Offline]));
    let event = (id(), text(20), mode, prop::option::of(id()), prop::collection::vec(plan(), 0..4));
    event.prop_map(|(id, title, sell_mode, organizer_company_id, plans)| Event {
        id,
        title,
        sell_mode,
        organizer_company_id,
        plans: in_order(plans, |plan| &plan.id),
    })
}

/// By their ids, each once.
fn in_order<T>(mut items: Vec<T>, id: fn(&T) -> &String) -> Vec<T> {
    items.sort_by(|a, b| (id(a).len(), id(a)).cmp(&(id(b).len(), id(b))));
    items.dedup_by(|a, b| id(a) == id(b));
    items
}

proptest! {
    #[test]
    fn events_come_back_as_they_went_in(events in prop::collection::vec(event(), 0..6), cut in 1..5000_usize) {
        let feed = written(&events);
        let (back, tally) = read_whole(&feed);
        prop_assert_eq!(&back, &events);
        prop_assert_eq!(tally.problems_total(), 0);
        prop_assert_eq!(tally.plans, events.iter().map(|event| event.plans.len() as u64).sum::<u64>());
        prop_assert_eq!(read(Pieces(&feed, cut)).0, events);
    }

    #[test]
    fn in_any_encoding(
        events in prop::collection::vec(event(), 0..4),
        encoding in prop::sample::select(vec![UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1252]),
    ) {
        let encoding: &'static Encoding = encoding;
        let mut writer = FeedWriter::with_encoding(Vec::new(), encoding).expect("memory");
        for event in &events {
            writer.event(event).expect("memory");
        }
        prop_assert_eq!(read_whole(&writer.finish().expect("memory")).0, events);
    }

    #[test]
    fn a_digest_tells_events_apart(a in event(), b in event()) {
        prop_assert_eq!(a.digest("UTC") == b.digest("UTC"), a == b);
        prop_assert_ne!(a.digest("UTC"), a.digest("Europe/Madrid"));
    }
}

#[test]
fn each_field_is_in_the_digest() {
    let zone = Zone { id: "1".into(), capacity: 1, price_minor: Some(0), name: "a".into(), numbered: false };
    let at = |text: &str| Moment::Civil(text.parse::<DateTime>().expect("a time"));
    let noon = at("2026-06-01T12:00");
    let plan = Plan {
        id: "1".into(),
        starts_at: noon,
        ends_at: noon,
        sell_from: noon,
        sell_to: noon,
        sold_out: false,
        zones: vec![zone],
    };
    let event = Event {
        id: "1".into(),
        title: "a".into(),
        sell_mode: None,
        organizer_company_id: None,
        plans: vec![plan],
    };
    let later = at("2026-06-01T12:00:00.001");
    let instant = Moment::Instant("2026-06-01T12:00:00Z".parse().expect("an instant"));
    let changes: [fn(&mut Event, Moment, Moment); 19] = [
        |event, _, _| event.id = "2".into(),
        |event, _, _| event.title = "b".into(),
        |event, _, _| event.sell_mode = Some(SellMode::Online),
        |event, _, _| event.sell_mode = Some(SellMode::Offline),
        |event, _, _| event.organizer_company_id = Some(String::new()),
        |event, _, _| event.plans.clear(),
        |event, _, _| event.plans[0].id = "2".into(),
        |event, later, _| event.plans[0].starts_at = later,
        |event, later, _| event.plans[0].ends_at = later,
        |event, later, _| event.plans[0].sell_from = later,
        |event, later, _| event.plans[0].sell_to = later,
        |event, _, instant| event.plans[0].starts_at = instant,
        |event, _, _| event.plans[0].sold_out = true,
        |event, _, _| event.plans[0].zones.clear(),
        |event, _, _| event.plans[0].zones[0].id = "2".into(),
        |event, _, _| event.plans[0].zones[0].capacity = 2,
        |event, _, _| event.plans[0].zones[0].price_minor = None,
        |event, _, _| event.plans[0].zones[0].name = "b".into(),
        |event, _, _| event.plans[0].zones[0].numbered = true,
    ];
    let mut digests = vec![event.digest("UTC")];
    for change in changes {
        let mut changed = event.clone();
        change(&mut changed, later, instant);
        digests.push(changed.digest("UTC"));
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 20);
}
