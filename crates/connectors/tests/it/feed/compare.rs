//! Two readings of a file: what is new, changed, repeated, and what would be lost.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use maitred_connectors::xml_feed::limits::{LOSS_EVENTS_MIN, PENDING_BYTES_MAX};
use maitred_connectors::xml_feed::{
    Changed, Changes, Digest, Event, Known, KnownEvent, Loss, Options, Reason, Survey, Tally, Written, survey,
};
use proptest::prelude::*;

use super::generated::event;
use super::{event_of, feed_of, plan_of, read_whole, written, zone_of};

const ZONE: &str = "Europe/Madrid";

/// What was written of a provider, as a domain would keep it.
#[derive(Debug, Default)]
struct Shelf(HashMap<String, (KnownEvent, Event)>);

impl Known for Shelf {
    fn event(&self, id: &str) -> Option<KnownEvent> {
        self.0.get(id).map(|(known, _)| *known)
    }

    fn present(&self) -> u64 {
        self.0.values().filter(|(known, _)| !known.vanished).count() as u64
    }
}

/// What a run came to.
struct Run {
    survey: Survey,
    written: Written,
    tally: Tally,
    changed: Vec<Changed>,
}

impl Shelf {
    fn compare(&self, feed: &[u8]) -> Run {
        let survey = survey(feed, Options::default(), ZONE, self).expect("a feed");
        let mut changes =
            Changes::new(Cursor::new(feed), Options::default(), &survey, ZONE, self).expect("memory");
        let mut changed = Vec::new();
        while let Some(group) = changes.next_group(7, 2_000).expect("the same feed") {
            let bytes: usize = group.iter().map(|changed| changed.event.size()).sum();
            assert!((1..=7).contains(&group.len()) && (bytes <= 2_000 || group.len() == 1), "{bytes}");
            changed.extend(group);
        }
        let (written, tally) = (changes.written(), changes.tally());
        Run { survey, written, tally, changed }
    }

    /// Writes what is new and changed, and marks what has vanished.
    fn believe(&mut self, feed: &[u8]) -> Run {
        let run = self.compare(feed);
        for (id, (known, _)) in &mut self.0 {
            known.vanished |= !run.survey.contains(id);
        }
        for Changed { event, digest, .. } in run.changed.iter().cloned() {
            self.0.insert(event.id.clone(), (KnownEvent { digest, vanished: false }, event));
        }
        run
    }

    fn ids(&self, vanished: bool) -> Vec<&str> {
        let mut ids: Vec<&str> =
            self.0.iter().filter(|(_, (known, _))| known.vanished == vanished).map(|(id, _)| &**id).collect();
        ids.sort_unstable();
        ids
    }
}

fn feed(ids: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let events: Vec<String> =
        ids.into_iter().map(|id| event_of(&id.to_string(), &plan_of("1", &zone_of("1", "1")))).collect();
    feed_of(&events.concat()).into_bytes()
}

#[test]
fn a_feed_that_says_the_same_again_changes_nothing() {
    let mut shelf = Shelf::default();
    let run = shelf.believe(&feed(1..=20));
    assert_eq!((run.survey.new, run.survey.changed, run.survey.unchanged), (20, 0, 0));
    assert_eq!(run.written, Written { new: 20, ..Written::default() });
    assert!(run.changed.iter().all(|changed| changed.new));
    // In another order, with other blanks.
    let again = String::from_utf8(feed((1..=20).rev())).expect("text").replace(" zone_id", "\n\tzone_id");
    let run = shelf.believe(again.as_bytes());
    assert_eq!((run.survey.new, run.survey.changed, run.survey.unchanged), (0, 0, 20));
    assert_eq!(run.written, Written { unchanged: 20, ..Written::default() });
    assert_eq!(run.changed, []);
    assert_eq!(run.survey.loss, Loss { present: 20, lost: 0 });
}

#[test]
fn what_changed_vanished_or_came_back_is_told() {
    let mut shelf = Shelf::default();
    shelf.believe(&feed(1..=4));
    let second = String::from_utf8(feed(3..=5)).expect("text").replace("Event 4", "Other 4");
    let run = shelf.believe(second.as_bytes());
    let changed: Vec<_> = run.changed.iter().map(|changed| (&*changed.event.id, changed.new)).collect();
    assert_eq!(changed, [("4", false), ("5", true)]);
    assert_eq!(run.survey.loss, Loss { present: 4, lost: 2 });
    assert_eq!((shelf.ids(true), shelf.ids(false)), (vec!["1", "2"], vec!["3", "4", "5"]));
    // One that comes back just as it was is written for it.
    let run = shelf.believe(&feed([1]));
    assert_eq!(run.written, Written { changed: 1, ..Written::default() });
    assert_eq!(run.survey.loss, Loss { present: 3, lost: 3 });
    assert_eq!(shelf.ids(false), ["1"]);
}

#[test]
fn a_great_loss_is_suspicious() {
    let least = LOSS_EVENTS_MIN;
    for (present, lost, suspicious) in [
        (0, 0, false),
        (least - 1, least - 1, false),
        (least, least, true),
        (5 * least, least, false),
        (5 * least - 1, least, true),
        (20_000, 4_000, false),
        (20_000, 4_001, true),
        (u64::MAX, u64::MAX, true),
    ] {
        assert_eq!(Loss { present, lost }.is_suspicious(), suspicious, "{lost} of {present}");
    }
    let mut shelf = Shelf::default();
    shelf.believe(&feed(0..500));
    assert!(!shelf.compare(&feed(100..500)).survey.loss.is_suspicious());
    assert!(shelf.compare(&feed(101..500)).survey.loss.is_suspicious());
    assert!(shelf.compare(b"<planList/>").survey.loss.is_suspicious());
}

#[test]
fn repeated_events_are_merged_into_one() {
    let plans = |id: &str, zone: &str| plan_of(id, &zone_of(zone, zone));
    let same = event_of("1", &plans("1", "1"));
    let parts = [
        event_of("2", &plans("1", "1")),
        event_of("3", ""),
        event_of("2", &(plans("1", "2") + &plans("2", "1"))).replace("Event 2", "Middle 2"),
        event_of("2", &plans("2", "9")).replace("Event 2", "Last 2"),
    ];
    let feed = feed_of(&[same.repeat(10), parts.concat()].concat());
    let mut shelf = Shelf::default();
    let run = shelf.believe(feed.as_bytes());
    assert_eq!((run.survey.events(), run.survey.tally.events, run.survey.tally.events_repeated), (3, 14, 11));
    assert_eq!(run.written, Written { new: 3, ..Written::default() });
    assert_eq!(run.tally.events_repeated, 11);
    let repeated = run.tally.problems.iter().filter(|problem| problem.code == "event-repeated");
    assert_eq!(repeated.count(), 11);
    let event = &shelf.0["2"].1;
    assert_eq!(event.title, "Last 2");
    let zones: Vec<Vec<_>> =
        event.plans.iter().map(|plan| plan.zones.iter().map(|zone| &*zone.id).collect()).collect();
    assert_eq!(zones, [vec!["1", "2"], vec!["1", "9"]]);
    // The order in which they come out is that of their last words.
    let ids: Vec<_> = run.changed.iter().map(|changed| &*changed.event.id).collect();
    assert_eq!(ids, ["1", "3", "2"]);
    let run = shelf.believe(feed.as_bytes());
    assert_eq!(run.written, Written { unchanged: 3, ..Written::default() });
}

#[test]
fn repeated_events_that_would_fill_the_memory_take_several_readings() {
    // Each of these takes some 14 KB of memory, twice.
    let zones: String = (0..60).map(|id| zone_of(&id.to_string(), "1")).collect();
    let count = 2 * PENDING_BYTES_MAX / 14_000;
    let once = |title: &str| -> String {
        (0..count)
            .map(|id| event_of(&id.to_string(), &plan_of(title, &zones)).replace("Event", title))
            .collect()
    };
    let feed = feed_of(&[once("first"), event_of("x", ""), once("last")].concat());
    let mut shelf = Shelf::default();
    let run = shelf.believe(feed.as_bytes());
    assert_eq!(run.written, Written { new: count as u64 + 1, ..Written::default() });
    assert_eq!(run.survey.events(), count as u64 + 1);
    for (_, event) in shelf.0.values().filter(|(_, event)| event.id != "x") {
        assert_eq!((event.title.starts_with("last "), event.plans.len()), (true, 2));
    }
    assert_eq!(run.tally.events, 2 * count as u64 + 1, "what is read again is not counted again");
}

#[test]
fn what_is_repeated_until_it_is_too_large_is_left_out() {
    let parts: String = (0..60)
        .map(|plan| {
            let zones: String = (0..100).map(|id| zone_of(&id.to_string(), "1")).collect();
            event_of("1", &plan_of(&plan.to_string(), &zones))
        })
        .collect();
    let run = Shelf::default().compare(feed_of(&(parts + &event_of("2", ""))).as_bytes());
    let ids: Vec<_> = run.changed.iter().map(|changed| &*changed.event.id).collect();
    assert_eq!(ids, ["2"]);
    assert_eq!((run.written.left_out, run.tally.events_left_out), (1, 1));
    assert!(run.tally.problems.iter().any(|problem| problem.code == "event-too-large"));
}

#[test]
fn a_feed_that_is_refused_is_compared_with_nothing() {
    let shelf = Shelf::default();
    let mut cut = feed(1..=3);
    cut.truncate(cut.len() - 5);
    let refused = survey(&*cut, Options::default(), ZONE, &shelf).expect_err("a refusal");
    assert_eq!(refused.reason, Reason::CutShort);
}

#[test]
fn another_time_zone_makes_other_events() {
    let shelf = Shelf::default();
    let digest = |zone: &str| -> Digest { read_whole(&feed([1])).0[0].digest(zone) };
    assert_ne!(digest("Europe/Madrid"), digest("Atlantic/Canary"));
    assert_eq!(shelf.compare(&feed([1])).changed[0].digest, digest(ZONE));
}

/// What feeds mean, without a thought for memory.
#[derive(Debug, Default)]
struct Model(BTreeMap<String, (bool, Event)>);

impl Model {
    fn believe(&mut self, feed: &[Event]) {
        let mut said: BTreeMap<String, Event> = BTreeMap::new();
        for event in feed {
            let before = said.remove(&event.id);
            let mut plans: BTreeMap<(usize, String), _> = BTreeMap::new();
            for plan in before.iter().flat_map(|event| &event.plans).chain(&event.plans).cloned() {
                let key = (plan.id.len(), plan.id.clone());
                let mut plan = plan;
                if let Some(earlier) = plans.remove(&key) {
                    let earlier: maitred_connectors::xml_feed::Plan = earlier;
                    let mut zones: BTreeMap<(usize, String), _> = BTreeMap::new();
                    for zone in earlier.zones.into_iter().chain(std::mem::take(&mut plan.zones)) {
                        zones.insert((zone.id.len(), zone.id.clone()), zone);
                    }
                    plan.zones = zones.into_values().collect();
                }
                plans.insert(key, plan);
            }
            said.insert(event.id.clone(), Event { plans: plans.into_values().collect(), ..event.clone() });
        }
        for (id, (vanished, _)) in &mut self.0 {
            *vanished = !said.contains_key(id);
        }
        self.0.extend(said.into_iter().map(|(id, event)| (id, (false, event))));
    }
}

proptest! {
    #[test]
    fn feeds_in_a_row_come_to_what_the_model_says(
        feeds in prop::collection::vec(prop::collection::vec((0..6_u8, event()), 0..12), 1..5),
    ) {
        let (mut shelf, mut model) = (Shelf::default(), Model::default());
        for feed in feeds {
            let feed: Vec<Event> =
                feed.into_iter().map(|(id, event)| Event { id: format!("e{id}"), ..event }).collect();
            model.believe(&feed);
            shelf.believe(&written(&feed));
            let kept: BTreeMap<String, (bool, Event)> =
                shelf.0.iter().map(|(id, (known, event))| (id.clone(), (known.vanished, event.clone()))).collect();
            prop_assert_eq!(&kept, &model.0);
            let again = shelf.compare(&written(&feed));
            prop_assert_eq!(again.changed, vec![]);
        }
    }
}
