//! What arrives: everything, signed, of each record in order, whatever a receiver does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::receiver::{Received, Receiver, Reply};
use super::{WEBHOOKS, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The versions of each record, in the order of their first arrival.
fn arrived(received: &[Received]) -> BTreeMap<String, Vec<u64>> {
    let mut arrived: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for delivery in received {
        let external_id = delivery.body["data"]["external_id"].as_str().expect("an id").to_owned();
        let versions = arrived.entry(external_id).or_default();
        let (_, _, version) = delivery.told();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    arrived
}

fn versions(received: &[Received], record: &str) -> Vec<u64> {
    arrived(received).remove(record).unwrap_or_default()
}

#[test]
fn a_delivery_is_the_line_of_the_change_feed_signed_with_every_secret_there_is() {
    let world = World::new();
    let receiver = Receiver::kind();
    let (id, secret) = world.webhook(&receiver.url());
    world.put("a", 1);
    let received = receiver.take(1).remove(0);
    let feed = world.server.get("/v1/tenants/default/changes").send().ok(200);
    let line = feed["items"].as_array().expect("a list").iter().find(|line| line["kind"] == "appointment");
    assert_eq!(Some(&received.body), line);
    assert!(received.is_signed_by(&secret), "{received:?}");
    let now = jiff::Timestamp::now().as_second();
    assert!((now - received.timestamp).abs() < 60, "{} at {now}", received.timestamp);

    let rotate =
        world.server.post(format!("{WEBHOOKS}/{id}/rotate-secret")).json(&json!({ "overlap_hours": 2 }));
    let second = rotate.send().ok(200)["secret"].as_str().expect("a secret").to_owned();
    world.put("a", 2);
    let received = receiver.take(2).remove(1);
    assert_eq!(received.signatures.len(), 2);
    assert!(received.is_signed_by(&secret) && received.is_signed_by(&second));
    world.clock.advance(3 * HOUR);
    world.put("a", 3);
    let received = receiver.take(3).remove(2);
    assert!(received.signatures.len() == 1 && received.is_signed_by(&second), "{received:?}");
    let delivered = world.until("three attempts", Duration::ZERO, || {
        Some(world.deliveries(&id, "attempted")).filter(|found| found.len() == 3)
    });
    assert_eq!(delivered[0]["id"], received.id);
    let metrics = world.server.get("/metrics").send();
    for line in [
        "maitred_webhook_attempts_total{outcome=\"delivered\"} 3",
        "maitred_webhook_attempts_total{outcome=\"refused\"} 0",
        "maitred_webhook_deliveries_waiting 0",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line} in {}", metrics.text());
    }
    assert_eq!(
        (&delivered[0]["state"], &delivered[0]["attempt"]["answer"]),
        (&json!("delivered"), &json!("thanks"))
    );
}

#[test]
fn a_failing_change_holds_back_its_own_record_alone_and_keeps_its_id() {
    let world = World::new();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let receiver = Receiver::start(move |_, received| {
        let is_a = received.body["data"]["external_id"] == "a";
        Reply::Status(if is_a && is_broken.load(Ordering::SeqCst) { 500 } else { 204 })
    });
    let (id, _) = world.webhook(&receiver.url());
    for version in 1..=3 {
        for record in ["a", "b", "c"] {
            world.put(record, version);
        }
    }
    receiver.wait("the others", |received| {
        versions(received, "b") == [1, 2, 3] && versions(received, "c") == [1, 2, 3]
    });
    world.until("a second attempt", SECOND, || {
        let attempts = receiver
            .received()
            .iter()
            .filter(|it| it.told().2 == 1 && it.body["data"]["external_id"] == "a")
            .count();
        (attempts >= 2).then_some(())
    });
    assert_eq!(versions(&receiver.received(), "a"), [1], "the later ones wait");
    let failing = world.deliveries(&id, "failing");
    assert_eq!(failing.len(), 1, "{failing:?}");
    assert_eq!(failing[0]["attempt"]["status"], 500);
    broken.store(false, Ordering::SeqCst);
    let received = world.until("the rest", 10 * SECOND, || {
        let received = receiver.received();
        (versions(&received, "a") == [1, 2, 3]).then_some(received)
    });
    let ids: Vec<&str> = received
        .iter()
        .filter(|it| it.body["data"]["external_id"] == "a" && it.told().2 == 1)
        .map(|it| it.id.as_str())
        .collect();
    assert!(ids.len() >= 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    world.until("no lane", SECOND, || world.deliveries(&id, "failing").is_empty().then_some(()));
}

#[test]
fn a_receiver_that_hangs_keeps_nobody_else_waiting() {
    let world = World::new();
    let hanging = Receiver::start(|_, _| Reply::Hangs);
    let kind = Receiver::kind();
    for _ in 0..5 {
        world.webhook(&hanging.url());
    }
    world.webhook(&kind.url());
    for n in 0..40 {
        world.put(&format!("r{n}"), 1);
    }
    let began = std::time::Instant::now();
    kind.wait("all of them", |received| arrived(received).len() == 40);
    assert!(began.elapsed() < Duration::from_secs(10), "before any of the others timed out");
    assert!(!hanging.received().is_empty());
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let world = World::new();
    let hidden = Receiver::kind();
    let location = format!("location: {}", hidden.url());
    let receiver = Receiver::start(move |_, _| Reply::With(307, location.clone()));
    let (id, _) = world.webhook(&receiver.url());
    world.put("a", 1);
    let failing = world.until("a failure", Duration::ZERO, || world.deliveries(&id, "failing").pop());
    assert_eq!(failing["attempt"]["status"], 307);
    assert!(hidden.received().is_empty());
}

#[test]
fn an_endpoint_that_is_gone_is_disabled_and_goes_on_where_it_stopped() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| Reply::Status(410));
    let (id, _) = world.webhook(&receiver.url());
    world.put("a", 1);
    let path = world.webhook_path(&id);
    let disabled = world.until("the end", Duration::ZERO, || {
        let found = world.server.get(&path).send().ok(200);
        (found["disabled_reason"] == "gone").then_some(found)
    });
    assert!(disabled["disabled_at"].is_string() && disabled["active"] == true, "{disabled}");
    let feed = world.server.get("/v1/tenants/default/changes").send().ok(200);
    let last = feed["items"].as_array().expect("a list").last().expect("a change").clone();
    assert_eq!((&last["kind"], &last["data"]["disabled_reason"]), (&json!("webhook"), &json!("gone")));
    world.put("b", 1);
    world.clock.advance(HOUR);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.received().len(), 1, "nothing is sent any more");
    receiver.now(|_, _| Reply::Status(200));
    let active = world.server.patch(&path, &json!({ "active": true })).send().ok(200);
    assert_eq!(active["disabled_reason"], json!(null));
    receiver.wait("both", |received| {
        arrived(received).len() == 2
            && received.iter().filter(|it| it.body["data"]["external_id"] == "a").count() == 2
    });
}

#[test]
fn what_a_receiver_asks_for_is_waited_for() {
    for status in [429, 503] {
        let world = World::new();
        let receiver = Receiver::start(move |before, _| match before {
            0 => Reply::With(status, "retry-after: 7200".to_owned()),
            _ => Reply::Status(200),
        });
        let (id, _) = world.webhook(&receiver.url());
        world.put("a", 1);
        let failing = world.until("a failure", Duration::ZERO, || world.deliveries(&id, "failing").pop());
        let at: jiff::Timestamp =
            failing["attempt"]["at"].as_str().expect("an instant").parse().expect("one");
        let next: jiff::Timestamp =
            failing["next_attempt_at"].as_str().expect("an instant").parse().expect("one");
        assert!(next.duration_since(at).as_secs() >= 7_199, "{failing}");
        world.clock.advance(HOUR + 55 * MINUTE);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(receiver.received().len(), 1, "it is early");
        world.clock.advance(6 * MINUTE);
        receiver.take(2);
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_answer_and_the_head_is_enough_of_one() {
    let world = World::new();
    let receiver =
        Receiver::start(|before, received| match (before, received.body["data"]["external_id"].as_str()) {
            (0, Some("closes")) => Reply::ClosesInHead,
            (_, Some("lies")) => Reply::Lies,
            _ => Reply::Status(200),
        });
    let (id, _) = world.webhook(&receiver.url());
    world.put("closes", 1);
    world.put("lies", 1);
    let received = world.until("the second attempt", SECOND, || {
        let received = receiver.received();
        (received.len() == 3).then_some(received)
    });
    assert_eq!(received.iter().filter(|it| it.body["data"]["external_id"] == "lies").count(), 1);
    world.until("an end", SECOND, || world.deliveries(&id, "failing").is_empty().then_some(()));
    let attempted = world.deliveries(&id, "attempted");
    let broken = attempted.iter().find(|it| it["state"] == "failing").expect("an attempt without an answer");
    assert!(broken["attempt"]["problem"].as_str().is_some_and(|text| text.contains("broken")), "{broken}");
}

#[test]
fn a_change_that_is_given_up_is_listed_and_can_be_sent_again() {
    let world = World::new();
    let receiver = Receiver::start(|_, received| {
        let is_poison = received.body["data"]["external_id"] == "poison" && received.told().2 == 1;
        Reply::Status(if is_poison { 400 } else { 200 })
    });
    let (id, _) = world.webhook(&receiver.url());
    world.put("poison", 1);
    world.put("poison", 2);
    // Something that succeeds in between, or five days of failures would disable it.
    let mut others = 0;
    let dead = world.until("its death", HOUR, || {
        others += 1;
        if others % 12 == 0 {
            world.put(&format!("other{others}"), 1);
        }
        world.deliveries(&id, "dead").pop()
    });
    assert_eq!(
        (&dead["attempts"], &dead["attempt"]["status"], &dead["next_attempt_at"]),
        (&json!(10), &json!(400), &json!(null))
    );
    receiver.wait("the next version", |received| versions(received, "poison") == [1, 2]);
    let tries = receiver.received().iter().filter(|it| it.id == dead["id"]).count();
    assert_eq!(tries, 10);
    receiver.now(|_, _| Reply::Status(200));
    let retry = |name: &str| world.server.post(format!("{WEBHOOKS}/{id}/deliveries/{name}/retry")).send();
    let delivery = dead["id"].as_str().expect("an id");
    let retry_dead = |id: &str| world.server.post(format!("{WEBHOOKS}/{id}/deliveries/retry")).send();
    assert_eq!(retry_dead(&id).ok(202), json!({ "retried": 1, "left": 0 }));
    let nobody = "0190d3c5-a4b2-7cde-8f00-112233445566";
    assert_eq!(retry_dead(nobody).refusal(), (404, "webhook-not-found".to_owned()));
    receiver.wait("once more", |received| received.iter().filter(|it| it.id == delivery).count() == 11);
    receiver.wait("the newest behind it", |received| received.last().is_some_and(|last| last.told().2 == 2));
    world.until("an empty list", SECOND, || world.deliveries(&id, "dead").is_empty().then_some(()));
    assert_eq!(retry_dead(&id).ok(202), json!({ "retried": 0, "left": 0 }), "nothing is left");
    assert_eq!(retry(delivery).ok(202), json!({ "accepted": true }));
    receiver.wait("this one", |received| received.iter().filter(|it| it.id == delivery).count() == 12);
    for name in ["msg_0", "x", &delivery.replace("msg_", "msg_0")] {
        assert_eq!(retry(name).refusal(), (404, "delivery-not-found".to_owned()));
    }
}

#[test]
fn an_endpoint_that_fails_for_five_days_is_disabled() {
    let world = World::new();
    let receiver = Receiver::start(|_, _| Reply::Status(502));
    let (id, _) = world.webhook(&receiver.url());
    for n in 0..8 {
        world.put(&format!("r{n}"), 1);
    }
    let path = world.webhook_path(&id);
    world.until("the end", HOUR, || {
        let found = world.server.get(&path).send().ok(200);
        (found["disabled_reason"] == "failing").then_some(())
    });
    let days = world.clock.ahead().as_secs_f64() / 86_400.0;
    assert!(days > 4.9, "{days} days");
}

#[test]
fn a_part_of_the_feed_is_sent_again_and_what_is_filtered_is_not() {
    let world = World::new();
    let receiver = Receiver::kind();
    let input = json!({ "url": receiver.url(), "kinds": ["appointment"], "types": ["created"] });
    let created = world.create(&input);
    let id = created["id"].as_str().expect("an id");
    for record in ["a", "b", "c", "d"] {
        world.put(record, 1);
        world.put(record, 2);
    }
    let mut first = receiver.take(4);
    assert_eq!(
        arrived(&first).values().flatten().copied().collect::<Vec<_>>(),
        [1; 4],
        "updates are not wanted"
    );
    // Those of different records arrive in any order.
    first.sort_by_key(|delivery| place(&delivery.body));
    let change = |n: usize| first[n].body["id"].as_str().expect("an id").to_owned();
    let replay =
        |body: serde_json::Value| world.server.post(format!("{WEBHOOKS}/{id}/replay")).json(&body).send();
    // The cursor is kept once a second.
    world.clock.advance(2 * SECOND);
    world.until("the cursor", SECOND, || {
        // Once it is taken up, another one has to wait for its end.
        let answer = replay(json!({ "from": change(0), "to": change(2) }));
        assert!(answer.status == 202 || answer.refusal() == (409, "replay-under-way".to_owned()));
        (receiver.received().len() >= 6).then_some(())
    });
    let again = receiver.take(6);
    let sent_again: BTreeSet<_> = again[4..].iter().map(|delivery| &delivery.id).collect();
    assert_eq!(sent_again, BTreeSet::from([&first[1].id, &first[2].id]));
    assert_eq!(replay(json!({ "from": "yesterday" })).refusal(), (422, "field-refused".to_owned()));
    let path = world.webhook_path(id);
    world.server.patch(&path, &json!({ "active": false })).send().ok(200);
    assert_eq!(replay(json!({ "from": "0.0" })).refusal(), (409, "webhook-inactive".to_owned()));
}

/// Where a change stands in the log: batch and place.
fn place(change: &serde_json::Value) -> (u64, u64) {
    let mut parts =
        change["id"].as_str().expect("an id").split('.').skip(1).map(|part| part.parse().expect("a number"));
    (parts.next().expect("a batch"), parts.next().expect("a place"))
}
