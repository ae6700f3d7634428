//! Every answer that webhooks are given. The records whose changes are delivered are webhooks too: they are in the feed
//! like any other.

use std::time::Duration;

use maitred_core::{ChangeId, Class, TenantNumber, Timestamp};
use uuid::Uuid;

use super::command::{CreateWebhook, Failed, UpdateWebhook};
use super::fact::{Attempt, Cursor, DisabledReason, Lane, Place, RecordKey};
use super::secret::Sealed;
use super::view::State;
use super::*;
use crate::flash_sales::Versioned;
use crate::record::{ChangeType, Kind};
use crate::testing::World;
use crate::timer;

const TENANT: TenantNumber = TenantNumber(3);
const SYSTEM: TenantNumber = TenantNumber::SYSTEM;
/// The endpoint under test, and the record whose changes it gets.
const ENDPOINT: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn creation(id: Uuid) -> CreateWebhook {
    CreateWebhook {
        id,
        url: "https://example.com/hook".into(),
        description: None,
        kinds: Vec::new(),
        types: Vec::new(),
        active: true,
        secret: Sealed(vec![1, 2, 3]),
    }
}

fn patch(endpoint: Uuid) -> UpdateWebhook {
    UpdateWebhook {
        endpoint,
        url: None,
        description: None,
        kinds: None,
        types: None,
        active: None,
        if_version: None,
    }
}

/// A world in which both webhooks are there.
fn world() -> World<Rules> {
    let mut world = World::new(Rules);
    for id in [ENDPOINT, OTHER] {
        world.submit(TENANT, &Command::Create(creation(id))).expect("it is created");
    }
    world
}

/// Changes the other webhook, and says where.
fn change(world: &mut World<Rules>) -> ChangeId {
    let description = Some(Some(format!("at {}", world.seq)));
    let update = Command::Update(UpdateWebhook { description, ..patch(OTHER) });
    world.submit(TENANT, &update).expect("it is changed");
    ChangeId { seq: world.seq, ordinal: 0 }
}

const RECORD: RecordKey = RecordKey { kind: Kind::Webhook as u8, id: OTHER.as_u128() };
const EVERYTHING: ChangeId = ChangeId { seq: u64::MAX, ordinal: 0 };

fn attempt(status: u16) -> Attempt {
    let at = Timestamp::from_millis(5);
    Attempt { at, duration_ms: 7, status: Some(status), answer: "no".into(), problem: None }
}

fn failed(change: ChangeId, status: u16) -> Failed {
    Failed {
        endpoint: ENDPOINT,
        record: RECORD,
        change,
        attempt: attempt(status),
        next_at: Timestamp::from_millis(99),
        through: EVERYTHING,
        gone: status == 410,
    }
}

fn fail(world: &mut World<Rules>, change: ChangeId) {
    assert_eq!(ask(world, &Command::Fail(failed(change, 500))), Ok(Outcome::Noted));
}

fn deliver(change: ChangeId, through: ChangeId) -> Command {
    Command::Deliver { endpoint: ENDPOINT, record: RECORD, change, through }
}

fn ask(world: &mut World<Rules>, command: &Command) -> Result<Outcome, String> {
    let answer = world.submit(TENANT, command);
    answer.map(|(_, outcome)| outcome).map_err(|rejection| rejection.code.into())
}

fn lane(world: &World<Rules>) -> Option<Lane> {
    view::lane(&world.view, TENANT, ENDPOINT, RECORD)
}

fn state(world: &World<Rules>) -> State {
    view::state(&world.view, TENANT, ENDPOINT).expect("it is there")
}

fn endpoint(world: &World<Rules>) -> Versioned<Endpoint> {
    view::endpoint(&world.view, TENANT, ENDPOINT, None).expect("it is there")
}

fn disabled(world: &World<Rules>) -> Option<DisabledReason> {
    endpoint(world).is.disabled.map(|disabled| disabled.reason)
}

#[test]
fn a_webhook_is_created_changed_and_deleted_and_its_past_stays() {
    let mut world = world();
    let created = endpoint(&world);
    assert_eq!((created.version, created.is.url.as_str()), (1, "https://example.com/hook"));
    assert_eq!(state(&world).through, Place { seq: 1, ordinal: 0 }, "it gets what comes behind it");
    let update = UpdateWebhook {
        url: Some("http://example.com/2".into()),
        kinds: Some(vec!["booking".into()]),
        active: Some(false),
        ..patch(ENDPOINT)
    };
    ask(&mut world, &Command::Update(update.clone())).expect("it is changed");
    let changed = endpoint(&world);
    assert_eq!((changed.version, changed.is.kinds.len(), changed.is.delivers()), (2, 1, false));
    assert!(matches!(ask(&mut world, &Command::Update(update)), Ok(Outcome::Endpoint { .. })));
    assert_eq!(endpoint(&world).version, 2, "nothing changed");
    let before = world.seq;
    let delete = Command::Delete { endpoint: ENDPOINT, if_version: Some(2) };
    ask(&mut world, &delete).expect("it is deleted");
    assert_eq!(view::endpoint(&world.view, TENANT, ENDPOINT, None), None);
    assert_eq!(view::state(&world.view, TENANT, ENDPOINT), None);
    assert!(view::endpoint(&world.view, TENANT, ENDPOINT, Some(before)).is_some());
    let ids = |as_of| -> Vec<Uuid> {
        let found = view::endpoints(&world.view, TENANT, None, as_of, 9);
        found.into_iter().map(|found| found.is.id).collect()
    };
    assert_eq!((ids(None), ids(Some(before))), (vec![OTHER], vec![ENDPOINT, OTHER]));
    assert_eq!(view::endpoints(&world.view, TENANT, Some(ENDPOINT), Some(before), 9).len(), 1);
    assert_eq!(world.replay(), world.view);
}

#[test]
fn every_refusal() {
    let nobody = Uuid::from_u128(9);
    let long = "x".repeat(501);
    let rows: Vec<(Command, &str)> = vec![
        (
            Command::Create(CreateWebhook { url: "ftp://example.com".into(), ..creation(nobody) }),
            "invalid-url",
        ),
        (Command::Create(CreateWebhook { url: String::new(), ..creation(nobody) }), "invalid-url"),
        (
            Command::Create(CreateWebhook {
                url: format!("https://{long}{long}{long}{long}{long}"),
                ..creation(nobody)
            }),
            "invalid-url",
        ),
        (
            Command::Create(CreateWebhook { description: Some(long.clone()), ..creation(nobody) }),
            "invalid-description",
        ),
        (
            Command::Create(CreateWebhook { kinds: vec!["chair".into()], ..creation(nobody) }),
            "invalid-filter",
        ),
        (
            Command::Create(CreateWebhook { kinds: vec!["tenant".into()], ..creation(nobody) }),
            "invalid-filter",
        ),
        (
            Command::Create(CreateWebhook { types: vec!["moved".into()], ..creation(nobody) }),
            "invalid-filter",
        ),
        (Command::Create(creation(ENDPOINT)), "id-taken"),
        (Command::Update(UpdateWebhook { url: Some("x".into()), ..patch(nobody) }), "invalid-url"),
        (Command::Update(patch(nobody)), "webhook-not-found"),
        (Command::Update(UpdateWebhook { if_version: Some(7), ..patch(ENDPOINT) }), "version-mismatch"),
        (Command::Delete { endpoint: nobody, if_version: None }, "webhook-not-found"),
        (Command::Delete { endpoint: ENDPOINT, if_version: Some(2) }, "version-mismatch"),
        (
            Command::RotateSecret { endpoint: nobody, secret: Sealed(vec![1]), overlap_hours: 1 },
            "webhook-not-found",
        ),
        (Command::Retry { endpoint: nobody, change: ChangeId { seq: 2, ordinal: 0 } }, "webhook-not-found"),
        (
            Command::Retry { endpoint: ENDPOINT, change: ChangeId { seq: 2, ordinal: 1 } },
            "delivery-not-found",
        ),
        (Command::Retry { endpoint: ENDPOINT, change: EVERYTHING }, "delivery-not-found"),
        (
            Command::Replay { endpoint: nobody, after: ChangeId::default(), to: EVERYTHING },
            "webhook-not-found",
        ),
    ];
    let mut world = world();
    let view = world.view.clone();
    for (command, code) in rows {
        assert_eq!(ask(&mut world, &command), Err(code.into()), "{command:?}");
        assert_eq!(world.view, view, "a refusal changes nothing: {command:?}");
    }
    for n in 0..WEBHOOKS_MAX - 2 {
        let create = Command::Create(creation(Uuid::from_u128(100 + n as u128)));
        ask(&mut world, &create).expect("there is room");
    }
    let refused = world.submit(TENANT, &Command::Create(creation(nobody))).expect_err("no room");
    assert_eq!((refused.class, &*refused.code), (Class::TooMany, "too-many-webhooks"));
}

#[test]
fn a_change_that_fails_opens_a_lane_and_dies_at_the_tenth_time() {
    let mut world = world();
    let (first, second) = (change(&mut world), change(&mut world));
    for attempts in 1..ATTEMPTS_MAX {
        fail(&mut world, first);
        let lane = lane(&world).expect("a lane");
        assert_eq!((lane.change, lane.attempts), (first.into(), attempts));
        assert_eq!((lane.next_at, lane.last), (Timestamp::from_millis(99), Some(attempt(500))));
        fail(&mut world, second);
        assert_eq!(
            self::lane(&world).map(|lane| lane.change),
            Some(first.into()),
            "the lane stands for both"
        );
    }
    assert_eq!((state(&world).lanes, state(&world).dead), (1, 0));
    fail(&mut world, first);
    assert_eq!((state(&world).lanes, state(&world).dead), (1, 1));
    let next = lane(&world).expect("the lane goes on");
    assert_eq!((next.change, next.attempts, next.next_at), (second.into(), 0, world.timestamp));
    let dead = view::dead_letters(&world.view, TENANT, ENDPOINT, None, 9);
    assert_eq!((dead.len(), dead[0].record, dead[0].lane.attempts), (1, RECORD, ATTEMPTS_MAX));
    assert_eq!(view::dead_letters(&world.view, TENANT, ENDPOINT, Some(first), 9), []);

    ask(&mut world, &Command::Retry { endpoint: ENDPOINT, change: first }).expect("it is tried again");
    assert_eq!((state(&world).lanes, state(&world).dead), (1, 0));
    assert_eq!(lane(&world).map(|lane| (lane.change, lane.attempts)), Some((first.into(), 0)));
    assert_eq!(ask(&mut world, &deliver(first, EVERYTHING)), Ok(Outcome::Noted));
    assert_eq!(lane(&world).map(|lane| lane.change), Some(second.into()), "what came later comes again");
    ask(&mut world, &Command::Retry { endpoint: ENDPOINT, change: second }).expect("it is tried at once");
    assert_eq!(ask(&mut world, &deliver(second, EVERYTHING)), Ok(Outcome::Noted));
    assert_eq!((lane(&world), state(&world).lanes), (None, 0));
    assert_eq!(world.replay(), world.view);
}

#[test]
fn all_dead_letters_are_sent_again_in_their_order() {
    let mut world = world();
    let [first, second] = [(); 2].map(|()| change(&mut world));
    for dead in [second, first] {
        for _ in 0..ATTEMPTS_MAX {
            fail(&mut world, dead);
        }
        // What came later comes by itself: it is not what this is about.
        if let Some(lane) = lane(&world) {
            ask(&mut world, &deliver(lane.change.into(), EVERYTHING)).expect("it moves");
        }
    }
    assert_eq!((state(&world).lanes, state(&world).dead), (0, 2));
    let all = Command::RetryDead { endpoint: ENDPOINT };
    assert_eq!(ask(&mut world, &all), Ok(Outcome::Retried { retried: 2, left: 0 }));
    assert_eq!((state(&world).lanes, state(&world).dead), (1, 0), "both are of one record");
    assert_eq!(lane(&world).map(|lane| (lane.change, lane.attempts)), Some((first.into(), 0)));
    ask(&mut world, &deliver(first, EVERYTHING)).expect("it moves");
    assert_eq!(lane(&world).map(|lane| lane.change), Some(second.into()));
    assert_eq!(ask(&mut world, &all), Ok(Outcome::Retried { retried: 0, left: 0 }));
    let nobody = Command::RetryDead { endpoint: Uuid::from_u128(77) };
    assert!(ask(&mut world, &nobody).is_err());
    let active = Some(false);
    ask(&mut world, &Command::Update(UpdateWebhook { active, ..patch(ENDPOINT) })).expect("it is changed");
    let refused = world.submit(TENANT, &all).expect_err("it delivers nothing");
    assert_eq!((refused.class, &*refused.code), (Class::Conflict, "webhook-inactive"));
    assert_eq!(world.replay(), world.view);
}

#[test]
fn a_lane_stands_for_what_was_read_and_an_earlier_failure_takes_it_back() {
    let mut world = world();
    let [first, second, third] = [(); 3].map(|()| change(&mut world));
    fail(&mut world, second);
    fail(&mut world, first);
    assert_eq!(lane(&world).map(|lane| (lane.change, lane.attempts)), Some((first.into(), 1)));
    assert_eq!(ask(&mut world, &deliver(second, EVERYTHING)), Ok(Outcome::Noted));
    assert_eq!(
        lane(&world).map(|lane| lane.change),
        Some(first.into()),
        "another change was not asked about"
    );
    ask(&mut world, &deliver(first, second)).expect("it moves");
    ask(&mut world, &deliver(second, second)).expect("it moves");
    assert_eq!(
        lane(&world),
        None,
        "the third was not read when the second was delivered: it comes by itself"
    );
    fail(&mut world, third);
    assert_eq!(lane(&world).map(|lane| lane.change), Some(third.into()));
    // What the filter does not want is passed by.
    let types = Some(vec![ChangeType::Created.as_str().to_owned()]);
    ask(&mut world, &Command::Update(UpdateWebhook { types, ..patch(ENDPOINT) })).expect("it is changed");
    change(&mut world);
    ask(&mut world, &deliver(third, EVERYTHING)).expect("it moves");
    assert_eq!(lane(&world), None);
    assert_eq!(world.replay(), world.view);
}

#[test]
fn an_endpoint_that_fails_for_five_days_is_disabled_unless_it_answers() {
    let mut world = world();
    let first = change(&mut world);
    let jump = |world: &mut World<Rules>, by: Duration| {
        world.timestamp = Timestamp::from_micros(world.timestamp.as_micros() + by.as_micros() as i64);
    };
    fail(&mut world, first);
    let since = world.timestamp;
    assert_eq!(state(&world).failing_since, Some(since));
    jump(&mut world, FAILING_MAX - Duration::from_secs(2));
    fail(&mut world, first);
    assert_eq!((disabled(&world), state(&world).failing_since), (None, Some(since)));
    ask(&mut world, &Command::Recover { endpoint: ENDPOINT }).expect("it answers");
    assert_eq!(state(&world).failing_since, None);
    let version = world.seq;
    ask(&mut world, &Command::Recover { endpoint: ENDPOINT }).expect("it is so already");
    assert_eq!(state(&world).touched.seq, version, "nothing to note");

    fail(&mut world, first);
    jump(&mut world, FAILING_MAX - Duration::from_secs(1));
    fail(&mut world, first);
    assert_eq!(disabled(&world), Some(DisabledReason::Failing));
    assert!(!endpoint(&world).is.delivers());
    let replay = Command::Replay { endpoint: ENDPOINT, after: ChangeId::default(), to: EVERYTHING };
    assert_eq!(ask(&mut world, &replay), Err("webhook-inactive".into()));
    let activate = UpdateWebhook { active: Some(true), ..patch(ENDPOINT) };
    ask(&mut world, &Command::Update(activate)).expect("it is changed");
    assert_eq!((disabled(&world), state(&world).failing_since), (None, None));
    assert_eq!(lane(&world).map(|lane| lane.attempts), Some(4), "what it had to deliver is still there");
    assert_eq!(world.replay(), world.view);
}

#[test]
fn an_endpoint_that_says_that_it_is_gone_is_disabled_at_once() {
    let mut world = world();
    let first = change(&mut world);
    ask(&mut world, &Command::Fail(failed(first, 410))).expect("it is noted");
    assert_eq!(disabled(&world), Some(DisabledReason::Gone));
    assert!(lane(&world).is_some());
}

#[test]
fn cursors_go_forward_and_a_replay_ends_where_it_was_to_end() {
    let mut world = world();
    let changes = [(); 4].map(|()| change(&mut world));
    let keep = |world: &mut World<Rules>, through: ChangeId, replayed: Option<ChangeId>| {
        let cursor = Cursor {
            tenant: TENANT.0,
            endpoint: ENDPOINT,
            through: through.into(),
            replayed: replayed.map(Place::from),
        };
        let gone = Cursor { endpoint: Uuid::from_u128(9), ..cursor };
        let (facts, _) =
            world.submit(SYSTEM, &Command::KeepCursors(vec![cursor, gone])).expect("they are kept");
        facts.len()
    };
    assert_eq!(keep(&mut world, changes[2], None), 1);
    assert_eq!(keep(&mut world, changes[1], None), 0, "a cursor never goes back");
    assert_eq!(state(&world).through, changes[2].into());

    let replay = |after, to| Command::Replay { endpoint: ENDPOINT, after, to };
    ask(&mut world, &replay(changes[0], EVERYTHING)).expect("it begins");
    let begun = state(&world).replay.expect("a replay");
    assert_eq!((begun.through, begun.to), (changes[0].into(), changes[2].into()), "the rest comes anyway");
    assert_eq!(ask(&mut world, &replay(changes[0], changes[1])), Err("replay-under-way".into()));
    assert_eq!(keep(&mut world, changes[2], Some(changes[1])), 1);
    assert_eq!(state(&world).replay.map(|replay| replay.through), Some(changes[1].into()));
    assert_eq!(keep(&mut world, changes[3], Some(changes[2])), 1);
    assert_eq!((state(&world).replay, state(&world).through), (None, changes[3].into()));
    ask(&mut world, &replay(changes[3], changes[1])).expect("there is nothing to send");
    assert_eq!(state(&world).replay, None);
    assert_eq!(world.replay(), world.view);
}

#[test]
fn the_secret_before_a_rotation_is_forgotten_when_it_signs_no_more() {
    let mut world = world();
    let rotate = |secret: u8, overlap_hours| {
        let secret = Sealed(vec![secret]);
        Command::RotateSecret { endpoint: ENDPOINT, secret, overlap_hours }
    };
    ask(&mut world, &rotate(7, 1)).expect("it is rotated");
    let until = Timestamp::from_micros(world.timestamp.as_micros() + 3_600_000_000);
    let is = endpoint(&world).is;
    assert_eq!((is.secret, is.previous.map(|previous| previous.until)), (Sealed(vec![7]), Some(until)));
    assert_eq!(timer::next_due(&world.view), Some(until));
    ask(&mut world, &rotate(8, 1)).expect("it is rotated once more");
    let later = Timestamp::from_micros(until.as_micros() + 1_000_000);
    assert_eq!(timer::next_due(&world.view), Some(later), "one timer for one secret");
    let drop = Command::DropPrevious { endpoint: ENDPOINT };
    ask(&mut world, &drop).expect("it is early");
    assert!(endpoint(&world).is.previous.is_some());
    world.timestamp = later;
    ask(&mut world, &drop).expect("it is time");
    assert_eq!((endpoint(&world).is.previous, timer::next_due(&world.view)), (None, None));
    ask(&mut world, &rotate(9, 0)).expect("it is rotated at once");
    assert_eq!(endpoint(&world).is.previous, None);
    assert_eq!(world.replay(), world.view);
}
