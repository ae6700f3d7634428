//! Appointments: every answer by row, and random histories against a naive model.

use std::ops::{ControlFlow, Range};

use maitred_core::{ChangeId, Class, Rejection, Seq, TenantNumber, Timestamp, Write};
use proptest::prelude::*;

use super::*;
use crate::json::JsonObject;
use crate::name;
use crate::record::{self, ChangeType};
use crate::slot::{Interval, VISITS_MAX};
use crate::testing::World;

const TENANT: TenantNumber = TenantNumber(7);
const DAY: i64 = 24;

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_millis(1_600_000_000_000 + hour * 3_600_000)
}

/// An upsert on `resource` over these hours, written at that hour.
fn put(external_id: &str, resource: &str, hours: Range<i64>, updated_at: i64) -> Upsert {
    Upsert {
        external_id: external_id.into(),
        resource: resource.into(),
        starts_at: hour(hours.start),
        ends_at: hour(hours.end),
        created_at: hour(-DAY),
        updated_at: hour(updated_at),
        title: None,
        metadata: None,
        if_version: None,
        if_none_match_any: false,
    }
}

fn cancel(external_id: &str, updated_at: i64) -> Cancel {
    Cancel { external_id: external_id.into(), updated_at: hour(updated_at), if_version: None }
}

impl From<Upsert> for Command {
    fn from(upsert: Upsert) -> Self {
        Command::Upsert(upsert)
    }
}

impl From<Import> for Command {
    fn from(import: Import) -> Self {
        Command::Import(import)
    }
}

impl From<Cancel> for Command {
    fn from(cancel: Cancel) -> Self {
        Command::Cancel(cancel)
    }
}

fn world(given: &[Command]) -> World<Rules> {
    let mut world = World::new(Rules);
    for command in given {
        world.submit(TENANT, command).expect("what is given is accepted");
    }
    world
}

/// Given accepted commands, when another one comes, then this is its answer. Whatever is refused or ignored
/// changes nothing.
fn check(name: &str, given: &[Command], when: impl Into<Command>, then: Result<Effect, (Class, &str)>) {
    let mut world = world(given);
    let before = world.view.clone();
    let answer = world.submit(TENANT, &when.into());
    let changed = world.view != before;
    let told = answer.as_ref().map(|(_, outcome)| outcome.effect);
    let told = told.map_err(|rejection| (rejection.class, &*rejection.code));
    assert_eq!(told, then, "{name}");
    assert_eq!(
        changed,
        !matches!(then, Err(_) | Ok(Effect::IgnoredStale | Effect::Unchanged)),
        "{name}: what is in the view"
    );
}

const TAKEN: Result<Effect, (Class, &str)> = Err((Class::Conflict, "time-range-unavailable"));

#[test]
fn every_answer_to_an_upsert() {
    use Effect::{Created, IgnoredStale, Updated};
    let a = || Command::from(put("a", "chair", 9..10, 0));
    let b = || Command::from(put("b", "chair", 11..12, 0));
    let given = || [a(), b()];

    check("a new id on free time", &[], put("a", "chair", 9..10, 0), Ok(Created));
    check("a newer one", &given(), put("a", "chair", 9..10, 1), Ok(Updated));
    check("a newer one elsewhere", &given(), put("a", "chair", 13..14, 1), Ok(Updated));
    check("a newer one on another resource", &given(), put("a", "room", 11..12, 1), Ok(Updated));
    check("one as old", &given(), put("a", "chair", 13..14, 0), Ok(IgnoredStale));
    check("an older one", &given(), put("a", "chair", 13..14, -1), Ok(IgnoredStale));
    check("a stale one over another is stale", &given(), put("a", "chair", 11..12, 0), Ok(IgnoredStale));

    check("over the whole of another", &given(), put("c", "chair", 8..13, 0), TAKEN);
    check("inside of another", &[put("a", "chair", 8..13, 0).into()], put("c", "chair", 9..10, 0), TAKEN);
    check("the same time as another", &given(), put("c", "chair", 9..10, 0), TAKEN);
    check("over another's start", &given(), put("c", "chair", 8..10, 0), TAKEN);
    check("over another's end", &[put("a", "chair", 8..10, 0).into()], put("c", "chair", 9..11, 0), TAKEN);
    check("a newer one over another", &given(), put("a", "chair", 9..12, 1), TAKEN);
    check("a newer one beyond another", &given(), put("a", "chair", 8..13, 1), TAKEN);
    check("up to another's start", &given(), put("c", "chair", 8..9, 0), Ok(Created));
    check("from another's end", &given(), put("c", "chair", 12..13, 0), Ok(Created));
    check("from end to start", &given(), put("c", "chair", 10..11, 0), Ok(Created));
    check("the same time on another resource", &given(), put("c", "room", 9..10, 0), Ok(Created));
    check("longer over itself", &given(), put("a", "chair", 8..11, 1), Ok(Updated));
    check(
        "shifted over itself",
        &[put("a", "chair", 8..10, 0).into()],
        put("a", "chair", 9..11, 1),
        Ok(Updated),
    );
}

#[test]
fn every_answer_to_a_cancellation_and_to_what_follows_it() {
    use Effect::{Cancelled, Created, IgnoredStale, Updated};
    let a = || Command::from(put("a", "chair", 9..10, 0));
    let cancelled = || [a(), cancel("a", 2).into()];
    let tombstone = || [Command::from(cancel("a", 2))];

    check("a newer one", &[a()], cancel("a", 1), Ok(Cancelled));
    check("one as old", &[a()], cancel("a", 0), Ok(IgnoredStale));
    check("an older one", &[a()], cancel("a", -1), Ok(IgnoredStale));
    check("an unknown id", &[], cancel("a", 0), Ok(Cancelled));
    check("once more, newer", &cancelled(), cancel("a", 3), Ok(Cancelled));
    check("once more, as old", &cancelled(), cancel("a", 2), Ok(IgnoredStale));
    check("a tombstone once more", &tombstone(), cancel("a", 3), Ok(Cancelled));

    check("its time is free", &cancelled(), put("b", "chair", 9..10, 0), Ok(Created));
    check("an older upsert is stale", &cancelled(), put("a", "chair", 9..10, 1), Ok(IgnoredStale));
    check(
        "an older upsert of a tombstone is stale",
        &tombstone(),
        put("a", "chair", 9..10, 2),
        Ok(IgnoredStale),
    );
    check("a newer upsert brings it back", &cancelled(), put("a", "chair", 9..10, 3), Ok(Updated));
    check("a newer upsert brings a tombstone back", &tombstone(), put("a", "chair", 9..10, 3), Ok(Updated));
    let taken = [a(), cancel("a", 2).into(), put("b", "chair", 9..10, 0).into()];
    check("it does not come back to taken time", &taken, put("a", "chair", 9..10, 3), TAKEN);
    check("it comes back to other time", &taken, put("a", "chair", 10..11, 3), Ok(Updated));
    let twice = [a(), cancel("a", 2).into(), cancel("a", 5).into()];
    check("the later cancellation counts", &twice, put("a", "chair", 9..10, 4), Ok(IgnoredStale));
}

#[test]
fn every_precondition() {
    let given = [Command::from(put("a", "chair", 9..10, 0)), put("b", "chair", 11..12, 0).into()];
    let if_version = |version, upsert| Upsert { if_version: Some(version), ..upsert };
    let if_none = |upsert| Upsert { if_none_match_any: true, ..upsert };
    let newer = || put("a", "chair", 9..10, 1);
    let mismatch = Err((Class::Precondition, "version-mismatch"));
    let exists = Err((Class::Precondition, "already-exists"));

    check("the current version", &given, if_version(1, newer()), Ok(Effect::Updated));
    check("another version", &given, if_version(2, newer()), mismatch);
    check("no version at all", &given, if_version(1, put("c", "chair", 0..1, 0)), mismatch);
    check("before staleness", &given, if_version(2, put("a", "chair", 9..10, 0)), mismatch);
    check("before overlap", &given, if_version(2, put("a", "chair", 11..12, 1)), mismatch);
    check("none, and none is there", &given, if_none(put("c", "chair", 0..1, 0)), Ok(Effect::Created));
    check("none, and one is there", &given, if_none(newer()), exists);
    check("none, before staleness", &given, if_none(put("a", "chair", 9..10, 0)), exists);
    check("none, but a tombstone", &[cancel("a", 0).into()], if_none(newer()), exists);
    check("both, the version first", &given, if_none(if_version(2, newer())), mismatch);
    let cancel = |version| Cancel { if_version: Some(version), ..cancel("a", 1) };
    check("cancelling the current version", &given, cancel(1), Ok(Effect::Cancelled));
    check("cancelling another version", &given, cancel(2), mismatch);
    check("cancelling a version of nothing", &[], cancel(1), mismatch);
}

#[test]
fn every_field_that_breaks_a_rule_in_its_precedence() {
    let long = |chars: usize| "ä".repeat(chars);
    let metadata = |bytes: usize| JsonObject::parse(&format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8))).ok();
    let limit = Upsert {
        title: Some(long(TITLE_CHARS_MAX)),
        metadata: metadata(METADATA_BYTES_MAX),
        created_at: hour(0),
        ..put(&long(EXTERNAL_ID_CHARS_MAX), &long(RESOURCE_CHARS_MAX), 9..10, 0)
    };
    check("all at its limit", &[], limit.clone(), Ok(Effect::Created));
    check("an empty title", &[], Upsert { title: Some(String::new()), ..limit.clone() }, Ok(Effect::Created));

    // Each row breaks one more rule, and the gravest is told.
    let mut broken = limit.clone();
    let given = [Command::from(put(&long(EXTERNAL_ID_CHARS_MAX), &long(RESOURCE_CHARS_MAX), 9..10, 5))];
    type Break<'a> = (&'a str, &'a str, &'a dyn Fn(&mut Upsert));
    let breaks: [Break<'_>; 10] = [
        ("/metadata", "invalid-metadata", &|upsert| upsert.metadata = metadata(METADATA_BYTES_MAX + 1)),
        ("/title", "invalid-title", &|upsert| upsert.title = Some(long(TITLE_CHARS_MAX + 1))),
        ("/title", "invalid-title", &|upsert| upsert.title = Some("\0".into())),
        ("/resource", "invalid-resource", &|upsert| upsert.resource = long(RESOURCE_CHARS_MAX + 1)),
        ("/resource", "invalid-resource", &|upsert| upsert.resource = String::new()),
        ("/external_id", "invalid-external-id", &|upsert| upsert.external_id = "a\0".into()),
        ("/external_id", "invalid-external-id", &|upsert| upsert.external_id = String::new()),
        ("/created_at", "invalid-created-at", &|upsert| upsert.created_at = hour(1)),
        ("/ends_at", "invalid-time-range", &|upsert| upsert.ends_at = hour(9)),
        ("/ends_at", "invalid-time-range", &|upsert| upsert.ends_at = hour(8)),
    ];
    for (pointer, code, break_it) in breaks {
        break_it(&mut broken);
        check(pointer, &given, broken.clone(), Err((Class::Unprocessable, code)));
        assert_eq!(validate(&broken)[0].pointer, pointer);
        let mut alone = limit.clone();
        break_it(&mut alone);
        assert_eq!(validate(&alone).len(), 1, "{pointer} alone");
    }
    assert_eq!(validate(&broken).len(), 6, "each field is told once");
    let invalid = Err((Class::Unprocessable, "invalid-external-id"));
    check("cancelling no id", &[], cancel("", 0), invalid);
    check("cancelling a long id", &[], cancel(&long(EXTERNAL_ID_CHARS_MAX + 1), 0), invalid);
}

#[test]
fn ids_and_resources_of_one_hash_are_never_taken_for_each_other() {
    let mut world = world(&[put("a", "chair", 9..10, 0).into()]);
    // As if "b" had the hash of "a": its record stands under the other's id.
    let stored = record::current(&world.view, record_id(TENANT, "a")).expect("it is there");
    let state: fact::State = stored.decode();
    let at = maitred_core::At { tenant: TENANT, seq: 9, ordinal: 0, timestamp: hour(0) };
    record::put_version(&mut world.view, record_id(TENANT, "b"), ChangeType::Created, at, &state);

    assert_eq!(get(&world.view, TENANT, "b", None), None);
    assert_eq!(versions(&world.view, TENANT, "b", None, None, 9), []);
    for command in [put("b", "chair", 13..14, 9).into(), Command::from(cancel("b", 9))] {
        assert_eq!(world.submit(TENANT, &command).map(|(facts, _)| facts), Err(name::collision()));
    }
    let hash = name::hash("room").to_be_bytes();
    let key = maitred_core::Key::of(maitred_core::Table::Name, TENANT).u8(1).raw(&hash);
    world.view.put(&key, b"\0\0\0\x01chair");
    let room = Command::from(put("c", "room", 13..14, 9));
    assert_eq!(world.submit(TENANT, &room).map(|(facts, _)| facts), Err(name::collision()));
    let query = Query { resource: Some("room"), ..Query::default() };
    assert_eq!(list(&world.view, TENANT, &query, None, 9).items, []);
}

#[test]
fn a_refusal_names_the_first_ten_in_the_way_and_no_more() {
    let names = |given: &[Command], hours: Range<i64>| -> (String, String) {
        let rejection: Rejection = world(given)
            .submit(TENANT, &put("new", "chair", hours, 9).into())
            .expect_err("the time is taken");
        let [conflicts, more] = &rejection.members[..] else { panic!("two members, not {rejection:?}") };
        assert_eq!((&*conflicts.name, &*more.name), ("conflicts", "conflicts_more"));
        (conflicts.json.clone(), more.json.clone())
    };
    let given = [Command::from(put("say \"a\"", "chair", 9..10, 0)), put("b", "chair", 10..11, 0).into()];
    let a = concat!(
        r#"[{"external_id":"say \"a\"","resource":"chair","#,
        r#""starts_at":"2020-09-13T21:26:40.000Z","ends_at":"2020-09-13T22:26:40.000Z"}]"#
    );
    assert_eq!(names(&given, 9..10), (a.into(), "false".into()));

    let hours = |count: i64| (0..count).map(|h| put(&format!("{h}"), "chair", h..h + 1, 0).into());
    for (count, more) in [(10, "false"), (11, "true")] {
        let (conflicts, told) = names(&hours(count).collect::<Vec<_>>(), -5..50);
        let ids: Vec<_> = conflicts.split("external_id\":\"").skip(1).map(|rest| &rest[..1]).collect();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(told, more);
    }
}

#[test]
fn an_accepted_command_answers_the_appointment_as_it_is_read_afterwards() {
    let mut world = World::new(Rules);
    let metadata = JsonObject::parse(r#"{"room": 4}"#).ok();
    let full = Upsert { title: Some("Cut".into()), metadata, ..put("a", "chair", 9..10, 0) };
    let commands = [
        full.into(),
        put("a", "chair", 9..11, 1).into(),
        put("a", "room", 9..11, 0).into(),
        cancel("a", 2).into(),
        put("a", "room", 9..11, 3).into(),
        cancel("b", 0).into(),
    ];
    let mut id = None;
    for command in &commands {
        let (_, outcome) = world.submit(TENANT, command).expect("all are accepted");
        let external_id = outcome.appointment.external_id.clone();
        assert_eq!(get(&world.view, TENANT, &external_id, None).as_ref(), Some(&outcome.appointment));
        if external_id == "a" {
            assert_eq!(*id.get_or_insert(outcome.appointment.id), outcome.appointment.id);
        }
    }
    let history: Vec<_> = versions(&world.view, TENANT, "a", None, None, 9)
        .into_iter()
        .map(|Versioned { change, appointment }| {
            (change.seq, appointment.version, appointment.resource, appointment.title, appointment.cancelled)
        })
        .collect();
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        history,
        [
            (1, 1, named("chair"), named("Cut"), false),
            (2, 2, named("chair"), None, false),
            (4, 3, named("chair"), None, true),
            (5, 4, named("room"), None, false),
        ]
    );
    let tombstone = get(&world.view, TENANT, "b", None).expect("it is kept");
    assert_eq!((tombstone.cancelled, tombstone.resource, tombstone.starts_at), (true, None, None));
}

#[test]
fn two_that_change_places_by_way_of_a_third_leave_the_past_as_it_was() {
    let mut world = world(&[
        put("a", "chair", 9..10, 0).into(),
        put("b", "chair", 10..11, 0).into(),
        put("a", "chair", 12..13, 1).into(),
        put("b", "chair", 9..10, 1).into(),
        put("a", "chair", 10..11, 2).into(),
    ]);
    world.submit(TENANT, &cancel("b", 2).into()).expect("it is newer");
    let standing = |as_of| {
        let page = list(&world.view, TENANT, &Query { as_of, ..Query::default() }, None, 9);
        let hour_of = |at: Option<Timestamp>| at.map(|at| (at.as_millis() - hour(0).as_millis()) / 3_600_000);
        page.items.iter().map(|a| format!("{} {}", a.external_id, hour_of(a.starts_at).unwrap())).collect()
    };
    let history: [Vec<String>; 7] = std::array::from_fn(|seq| standing(Some(seq as Seq)));
    let expected: [&[&str]; 7] =
        [&[], &["a 9"], &["a 9", "b 10"], &["b 10", "a 12"], &["b 9", "a 12"], &["b 9", "a 10"], &["a 10"]];
    assert_eq!(history, expected);
    assert_eq!(standing(None), ["a 10"]);
}

#[test]
fn a_claim_that_is_only_retitled_stands_since_it_was_made() {
    let titled = |title: &str, updated_at| Upsert {
        title: Some(title.into()),
        ..put("a", "chair", 9..10, updated_at)
    };
    let world = world(&[titled("one", 0).into(), titled("two", 1).into()]);
    let title = |as_of| {
        let page = list(&world.view, TENANT, &Query { as_of: Some(as_of), ..Query::default() }, None, 9);
        page.items.into_iter().map(|a| a.title.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((title(1), title(2)), (vec!["one".to_owned()], vec!["two".to_owned()]));
    let was = maitred_core::Key::of(maitred_core::Table::Was, TENANT);
    assert_eq!(maitred_core::Read::first(&world.view, &was, &was.end()), None);
}

#[test]
fn a_page_that_looked_at_too_much_is_short_and_has_a_next_one() {
    let mut world = World::new(Rules);
    let count = VISITS_MAX + 50;
    let commands: Vec<_> =
        (0..count).map(|i| put(&format!("{i}"), &format!("r{i}"), 0..1, 0).into()).collect();
    assert!(world.batch(TENANT, &commands).iter().all(Result::is_ok));
    // Only the last resource is claimed at the second hour.
    let last = format!("r{}", count - 1);
    world.submit(TENANT, &put("last", &last, 1..2, 0).into()).expect("it is free");
    for as_of in [None, Some(2)] {
        let query = Query { interval: Interval::at(hour(1)), as_of, ..Query::default() };
        let first = list(&world.view, TENANT, &query, None, 10);
        assert_eq!(first.items, []);
        assert!(first.next.is_some());
        let second = list(&world.view, TENANT, &query, first.next, 10);
        assert_eq!(second.items.iter().map(|a| a.external_id.as_str()).collect::<Vec<_>>(), ["last"]);
        assert_eq!(second.next, None);
    }
}

#[test]
fn a_list_goes_on_when_the_resource_it_stopped_at_has_been_emptied() {
    let mut world = world(&[put("late", "one", 9..10, 0).into(), put("early", "two", 1..2, 0).into()]);
    let first = list(&world.view, TENANT, &Query::default(), None, 1);
    assert_eq!(first.items[0].external_id, "late");
    world.submit(TENANT, &cancel("late", 1).into()).expect("it is newer");
    let second = list(&world.view, TENANT, &Query::default(), first.next, 1);
    assert_eq!(second.items.iter().map(|a| a.external_id.as_str()).collect::<Vec<_>>(), ["early"]);
    assert_eq!(second.next, None);
}

/// What the tests think an appointment went through: each version with the batch that wrote it.
#[derive(Debug, Clone, Default)]
struct Model {
    histories: Vec<Vec<(Seq, Appointment)>>,
    resources: Vec<String>,
}

impl Model {
    fn of(&self, external_id: &str) -> Option<usize> {
        self.histories.iter().position(|history| history[0].1.external_id == external_id)
    }

    fn as_of(history: &[(Seq, Appointment)], seq: Seq) -> Option<&Appointment> {
        history.iter().rev().find(|(written, _)| *written <= seq).map(|(_, appointment)| appointment)
    }

    /// What stood after a batch, as lists have it.
    fn standing(&self, seq: Seq) -> Vec<&Appointment> {
        let known = self.histories.iter().filter_map(|history| Model::as_of(history, seq));
        let mut active: Vec<_> = known.filter(|appointment| !appointment.cancelled).collect();
        active.sort_by_key(|appointment| (self.resource(appointment), appointment.starts_at));
        active
    }

    fn resource(&self, appointment: &Appointment) -> usize {
        let name = appointment.resource.as_ref().expect("an active one has a resource");
        self.resources.iter().position(|resource| resource == name).expect("it was named")
    }

    /// The answer that the rules should give, without its id and received_at.
    fn expect(&self, command: &Command) -> Result<Effect, &'static str> {
        let (external_id, updated_at, if_version) = match command {
            Command::Upsert(upsert) => (&upsert.external_id, upsert.updated_at, upsert.if_version),
            Command::Cancel(cancel) => (&cancel.external_id, cancel.updated_at, cancel.if_version),
            Command::Import(_) => unreachable!("the model imports nothing"),
        };
        let known = self.of(external_id).map(|i| &self.histories[i].last().expect("never empty").1);
        if if_version.is_some() && known.map(|known| known.version) != if_version {
            return Err("version-mismatch");
        }
        if matches!(command, Command::Upsert(Upsert { if_none_match_any: true, .. })) && known.is_some() {
            return Err("already-exists");
        }
        if known.is_some_and(|known| known.updated_at >= updated_at) {
            return Ok(Effect::IgnoredStale);
        }
        let Command::Upsert(upsert) = command else { return Ok(Effect::Cancelled) };
        let taken = self.standing(Seq::MAX).iter().any(|other| {
            other.external_id != upsert.external_id
                && other.resource.as_ref() == Some(&upsert.resource)
                && other.starts_at < Some(upsert.ends_at)
                && other.ends_at > Some(upsert.starts_at)
        });
        match (taken, known.is_some()) {
            (true, _) => Err("time-range-unavailable"),
            (false, true) => Ok(Effect::Updated),
            (false, false) => Ok(Effect::Created),
        }
    }

    fn record(&mut self, seq: Seq, received_at: Timestamp, command: &Command, told: &Appointment) {
        let external_id = match command {
            Command::Upsert(upsert) => &upsert.external_id,
            Command::Cancel(cancel) => &cancel.external_id,
            Command::Import(_) => unreachable!("the model imports nothing"),
        };
        let i = self.of(external_id).unwrap_or_else(|| {
            self.histories.push(Vec::new());
            self.histories.len() - 1
        });
        let before = self.histories[i].last().map(|(_, appointment)| appointment.clone());
        let (id, version) = before.as_ref().map_or((told.id, 1), |before| (before.id, before.version + 1));
        let appointment = match command {
            Command::Upsert(upsert) => {
                if !self.resources.contains(&upsert.resource) {
                    self.resources.push(upsert.resource.clone());
                }
                Appointment {
                    id,
                    external_id: upsert.external_id.clone(),
                    version,
                    received_at,
                    updated_at: upsert.updated_at,
                    cancelled: false,
                    resource: Some(upsert.resource.clone()),
                    starts_at: Some(upsert.starts_at),
                    ends_at: Some(upsert.ends_at),
                    created_at: Some(upsert.created_at),
                    title: upsert.title.clone(),
                    metadata: None,
                }
            }
            Command::Cancel(cancel) => {
                let nothing = Appointment {
                    id,
                    external_id: cancel.external_id.clone(),
                    version,
                    received_at,
                    updated_at: cancel.updated_at,
                    cancelled: true,
                    resource: None,
                    starts_at: None,
                    ends_at: None,
                    created_at: None,
                    title: None,
                    metadata: None,
                };
                let updated_at = cancel.updated_at;
                before.map_or(nothing, |before| Appointment {
                    version,
                    received_at,
                    updated_at,
                    cancelled: true,
                    ..before
                })
            }
            Command::Import(_) => unreachable!("the model imports nothing"),
        };
        self.histories[i].push((seq, appointment));
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let if_version = prop_oneof![9 => Just(None), 1 => (1_u64..4).prop_map(Some)];
    let upsert = (
        (0..6, 0..2, 0_i64..16, 1_i64..5, 0_i64..20),
        proptest::option::of("[xy]"),
        if_version.clone(),
        proptest::bool::weighted(0.05),
    )
        .prop_map(|((id, resource, start, length, updated_at), title, if_version, if_none_match_any)| {
            let upsert = put(&format!("a{id}"), &format!("r{resource}"), start..start + length, updated_at);
            Command::Upsert(Upsert { title, if_version, if_none_match_any, ..upsert })
        });
    let cancel = (0..6, 0_i64..20, if_version).prop_map(|(id, updated_at, if_version)| {
        Command::Cancel(Cancel { if_version, ..cancel(&format!("a{id}"), updated_at) })
    });
    prop_oneof![4 => upsert, 1 => cancel]
}

/// All pages of a list, each of at most `limit`.
fn all_pages(world: &World<Rules>, query: &Query<'_>, limit: usize) -> Vec<Appointment> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = list(&world.view, TENANT, query, after, limit);
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        assert!(page.next.is_none() || page.next > after, "a page goes on behind the one before it");
        after = page.next;
        if after.is_none() {
            return items;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_histories_go_as_the_model_says(
        batches in proptest::collection::vec(proptest::collection::vec(any_command(), 1..4), 1..30),
        intervals in proptest::collection::vec((proptest::option::of(0_i64..20), proptest::option::of(0_i64..20)), 3),
        limit in 1_usize..5,
    ) {
        let mut world = World::new(Rules);
        let mut model = Model::default();
        for commands in &batches {
            for (command, answer) in commands.iter().zip(world.batch(TENANT, commands)) {
                let expected = model.expect(command);
                let told = answer.as_ref().map(|(_, outcome)| outcome.effect);
                prop_assert_eq!(told.map_err(|rejection| &*rejection.code), expected, "{:?}", command);
                let Ok((facts, outcome)) = answer else { continue };
                prop_assert_eq!(facts.is_empty(), outcome.effect == Effect::IgnoredStale);
                if !facts.is_empty() {
                    model.record(world.seq, world.timestamp, command, &outcome.appointment);
                }
                let known = &model.histories[model.of(&outcome.appointment.external_id).unwrap()];
                prop_assert_eq!(&outcome.appointment, &known.last().unwrap().1);
            }
        }
        prop_assert_eq!(&world.replay(), &world.view);

        for seq in (0..=world.seq).map(Some).chain([None]) {
            let until = seq.unwrap_or(Seq::MAX);
            let standing = model.standing(until);
            for pair in standing.windows(2) {
                prop_assert!(pair[0].resource != pair[1].resource || pair[0].ends_at <= pair[1].starts_at);
            }
            for history in &model.histories {
                let external_id = &history[0].1.external_id;
                let read = get(&world.view, TENANT, external_id, seq);
                prop_assert_eq!(read.as_ref(), Model::as_of(history, until));
                let read = versions(&world.view, TENANT, external_id, None, seq, usize::MAX);
                let read: Vec<_> = read.into_iter().map(|v| (v.change.seq, v.appointment)).collect();
                let known = history.partition_point(|(written, _)| *written <= until);
                prop_assert_eq!(&read[..], &history[..known]);
            }
            let all = (None, None);
            for (from, to) in intervals.iter().copied().chain([all]) {
                let interval = Interval { from: from.map(hour), to: to.map(hour) };
                for resource in [None, Some("r0"), Some("r1"), Some("r9")] {
                    let wanted = standing.iter().copied().filter(|appointment| {
                        resource.is_none_or(|resource| appointment.resource.as_deref() == Some(resource))
                            && interval.from.is_none_or(|from| appointment.ends_at > Some(from))
                            && interval.to.is_none_or(|to| appointment.starts_at < Some(to))
                    });
                    // An interval that ends before it starts is the edge's to refuse; it overlaps nothing.
                    if from.zip(to).is_some_and(|(from, to)| from >= to) {
                        continue;
                    }
                    let query = Query { resource, interval, as_of: seq };
                    prop_assert_eq!(all_pages(&world, &query, limit), wanted.cloned().collect::<Vec<_>>());
                }
            }
        }
        check_changes(&world, &model)?;
    }
}

/// Every version of every appointment is in the change stream once, with the body it had.
fn check_changes(world: &World<Rules>, model: &Model) -> Result<(), TestCaseError> {
    let mut versions = 0;
    let mut last = ChangeId::default();
    let mut outcome = Ok(());
    record::changes(&world.view, TENANT, last, &mut |change| {
        versions += 1;
        assert!(change.version.change > last, "changes rise");
        last = change.version.change;
        let appointment = from_version(&world.view, TENANT, &change.version);
        let history = &model.histories[model.of(appointment.external_id).unwrap()];
        let known = &history[appointment.version as usize - 1];
        let change_type = match (&known.1, appointment.version) {
            (known, _) if known.cancelled => ChangeType::Cancelled,
            (_, 1) => ChangeType::Created,
            _ => ChangeType::Updated,
        };
        if (last.seq, &appointment.to_owned(), change.change_type) != (known.0, &known.1, change_type) {
            outcome = Err(TestCaseError::fail(format!("{change:?} is not {known:?}")));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    prop_assert_eq!(versions, model.histories.iter().map(Vec::len).sum::<usize>());
    outcome
}

/// A version of "a" on "chair" over these hours, written and received at that hour.
fn version(version: u64, hours: Range<i64>, updated_at: i64) -> Import {
    Import {
        id: uuid::Uuid::from_u128(0xa),
        external_id: "a".into(),
        version,
        received_at: hour(updated_at),
        updated_at: hour(updated_at),
        cancelled: false,
        details: Some(ImportDetails {
            resource: "chair".into(),
            starts_at: hour(hours.start),
            ends_at: hour(hours.end),
            created_at: hour(-DAY),
            title: Some("Schnitt".into()),
            metadata: JsonObject::parse("{\"room\": 4}").ok(),
        }),
    }
}

fn with_details(mut import: Import, change: impl FnOnce(&mut ImportDetails)) -> Import {
    change(import.details.as_mut().expect("it is no tombstone"));
    import
}

#[test]
fn every_answer_to_an_import() {
    use Effect::{Imported, Unchanged};
    let first = || Command::from(version(1, 9..10, 0));
    let tombstone = || Import { cancelled: true, details: None, ..version(1, 0..1, 0) };
    let taken = || Command::from(put("b", "chair", 9..10, 0));
    let differs = Err((Class::Conflict, "version-differs"));
    let unprocessable = |code| Err((Class::Unprocessable, code));

    check("the first version", &[], version(1, 9..10, 0), Ok(Imported));
    check("the next version", &[first()], version(2, 10..11, 1), Ok(Imported));
    check("a tombstone", &[], tombstone(), Ok(Imported));
    check("back after a tombstone", &[tombstone().into()], version(2, 9..10, 1), Ok(Imported));
    let cancelled = Import { cancelled: true, ..version(1, 9..10, 0) };
    check("a cancelled one claims no time", &[taken()], cancelled, Ok(Imported));
    check("the same once more", &[first()], version(1, 9..10, 0), Ok(Unchanged));
    let given = [first(), version(2, 10..11, 1).into()];
    check("an earlier one once more", &given, version(1, 9..10, 0), Ok(Unchanged));
    let blanks = with_details(version(1, 9..10, 0), |details| {
        details.metadata = JsonObject::parse("{ \"room\":\t4 }").ok();
    });
    check("the same with other blanks in its metadata", &[first()], blanks, Ok(Unchanged));

    for (name, change) in [
        ("times", (|details| details.ends_at = hour(11)) as fn(&mut ImportDetails)),
        ("resource", |details| details.resource = "desk".into()),
        ("title", |details| details.title = None),
        ("metadata", |details| details.metadata = None),
        ("created_at", |details| details.created_at = hour(-DAY - 1)),
    ] {
        check(name, &[first()], with_details(version(1, 9..10, 0), change), differs);
    }
    let other_id = |import| Import { id: uuid::Uuid::from_u128(0xb), ..import };
    check("another id", &[first()], other_id(version(1, 9..10, 0)), differs);
    check("another id in the next", &[first()], other_id(version(2, 9..10, 1)), differs);
    let late = Import { received_at: hour(5), ..version(1, 9..10, 0) };
    check("received at another time", &[first()], late, differs);

    let missing = Err((Class::Conflict, "version-missing"));
    check("none before it", &[], version(2, 9..10, 0), missing);
    check("one too far", &[first()], version(3, 9..10, 1), missing);
    let not_newer = Err((Class::Conflict, "version-not-newer"));
    check("as old as the one before", &[first()], version(2, 9..10, 0), not_newer);
    check("the time is taken", &[taken()], version(1, 9..10, 0), TAKEN);
    check(
        "the time is taken in the next",
        &[taken(), version(1, 8..9, 0).into()],
        version(2, 8..10, 1),
        TAKEN,
    );

    check("version 0", &[], version(0, 9..10, 0), unprocessable("invalid-version"));
    check("no time", &[], version(1, 9..9, 0), unprocessable("invalid-time-range"));
    let active = Import { cancelled: false, ..tombstone() };
    check("an active tombstone", &[], active, unprocessable("invalid-tombstone"));
    let nameless = Import { external_id: String::new(), ..version(1, 9..10, 0) };
    check("no external id", &[], nameless, unprocessable("invalid-external-id"));
}

#[test]
fn what_is_imported_keeps_its_ids_versions_and_instants() {
    let cancelled = Import { cancelled: true, ..version(3, 10..11, 2) };
    let given = [version(1, 9..10, 0).into(), version(2, 10..11, 1).into(), cancelled.into()];
    let world = world(&given);
    let versions = versions(&world.view, TENANT, "a", None, None, 9);
    let kept: Vec<_> = versions
        .iter()
        .map(|found| {
            let Appointment { id, version, received_at, updated_at, cancelled, .. } = found.appointment;
            (id.as_u128(), version, received_at, updated_at, cancelled)
        })
        .collect();
    let expected = [(1, 0, false), (2, 1, false), (3, 2, true)]
        .map(|(version, at, cancelled)| (0xa, version, hour(at), hour(at), cancelled));
    assert_eq!(kept, expected);
    assert!(list(&world.view, TENANT, &Query::default(), None, 9).items.is_empty(), "its time is free");
    assert_eq!(world.replay(), world.view);
}

#[test]
fn a_write_goes_on_behind_an_imported_version() {
    let mut world = world(&[version(1, 9..10, 5).into()]);
    let stale = world.submit(TENANT, &put("a", "chair", 11..12, 5).into()).expect("stale is accepted");
    assert_eq!(stale.1.effect, Effect::IgnoredStale);
    let (_, outcome) = world.submit(TENANT, &put("a", "chair", 11..12, 6).into()).expect("newer");
    assert_eq!((outcome.effect, outcome.appointment.version), (Effect::Updated, 2));
    assert_eq!(outcome.appointment.id.as_u128(), 0xa);
}
