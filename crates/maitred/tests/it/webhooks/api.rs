//! The webhooks themselves.

use maitred_booking::tenants::Role;
use serde_json::json;

use super::receiver::{Receiver, sign};
use super::{WEBHOOKS, World};
use crate::server::Server;

#[test]
fn the_standards_own_example_is_signed_alike() {
    let text = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    let signature = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", text);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_secret_is_in_the_answer_that_made_it_and_nowhere_else() {
    let world = World::new();
    let input = json!({ "url": "https://hooks.invalid/hook" });
    let create = || world.server.post(WEBHOOKS).header("Idempotency-Key", "once").json(&input).send();
    let answer = create();
    let created = answer.ok(201);
    let secret = created["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let path = format!("{WEBHOOKS}/{}", created["id"].as_str().expect("an id"));
    assert_eq!(answer.header("location"), Some(path.as_str()));
    let again = create();
    assert!(again.replayed());
    assert_eq!(again.ok(201)["secret"], json!(null));
    assert_eq!(again.ok(201)["id"], created["id"]);

    let changes = world.server.get("/v1/tenants/default/changes").send();
    for answer in [world.server.get(&path).send(), world.server.get(WEBHOOKS).send(), changes] {
        answer.ok(200);
        assert!(
            !answer.text().contains("whsec_") && !answer.text().contains("\"secret\""),
            "{}",
            answer.text()
        );
    }
    let folder = world.server.folder();
    let key = std::fs::metadata(folder.join("keys").join("webhook")).expect("a key");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
    let bytes = std::fs::read(
        std::fs::read_dir(folder.join("log"))
            .expect("a log")
            .next()
            .expect("a segment")
            .expect("a file")
            .path(),
    );
    let bytes = bytes.expect("a segment");
    let raw =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &secret[6..]).expect("base64");
    assert!(!bytes.windows(raw.len()).any(|part| part == raw), "the log holds it sealed");

    let rotate = |body| world.server.post(format!("{path}/rotate-secret")).json(&body).send();
    let rotated = rotate(json!({})).ok(200);
    assert_ne!(rotated["secret"].as_str().expect("a secret"), secret);
    assert!(rotated["previous_secret_until"].is_string(), "{rotated}");
    assert_eq!(rotate(json!({ "overlap_hours": 169 })).refusal(), (422, "field-refused".to_owned()));
    assert_eq!(rotate(json!({ "overlap_hours": 0 })).ok(200)["previous_secret_until"], json!(null));
}

#[test]
fn a_webhook_is_changed_and_taken_away() {
    let world = World::new();
    let created = world.create(&json!({ "url": "https://hooks.invalid/hook", "description": "ours" }));
    let path = world.webhook_path(created["id"].as_str().expect("an id"));
    let patch = json!({ "description": null, "kinds": ["booking"], "types": ["created"], "active": false });
    let changed = world.server.patch(&path, &patch).instead("If-Match", "\"v1\"").send().ok(200);
    assert_eq!(changed["version"], 2);
    for (name, value) in patch.as_object().expect("an object") {
        assert_eq!(&changed[name], value, "{name}");
    }
    let stale = world.server.patch(&path, &patch).header("If-Match", "\"v1\"").send();
    assert_eq!(stale.refusal(), (412, "version-mismatch".to_owned()));
    let listed = world.server.get(WEBHOOKS).send().ok(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.server.delete(&path).send().ok(200)["deleted"], true);
    assert_eq!(world.server.get(&path).send().status, 404);
    assert_eq!(world.server.delete(&path).send().refusal(), (404, "webhook-not-found".to_owned()));
    assert_eq!(world.server.get(format!("{path}/deliveries")).send().refusal().0, 404);
    assert_eq!(world.server.post(format!("{path}/test")).send().refusal().0, 404);
}

#[test]
fn a_url_to_which_nothing_may_be_sent_is_refused_and_says_how_it_could_be() {
    let world = World::new();
    for (url, says) in [
        ("http://localhost:9/hook", "--allow-host localhost:9"),
        ("http://[::1]:9/hook", "--allow-host [::1]:9"),
        ("http://192.168.0.1/hook", "--allow-host 192.168.0.1:80"),
        ("http://169.254.169.254/latest", "nothing is sent"),
        ("http://user:secret@example.com/", "no user name"),
        ("http://", "no URL"),
        ("gopher://example.com/", "http://"),
    ] {
        let answer = world.server.post(WEBHOOKS).json(&json!({ "url": url })).send();
        assert_eq!(answer.refusal(), (422, "invalid-url".to_owned()), "{url}");
        assert!(answer.text().contains(says), "{url}: {}", answer.text());
    }
}

#[test]
fn a_test_is_sent_at_once_and_says_what_came_of_it() {
    let world = World::new();
    let receiver = Receiver::kind();
    let (id, secret) = world.webhook(&receiver.url());
    let test = || world.server.post(format!("{WEBHOOKS}/{id}/test")).send().ok(200);
    let tested = test();
    assert_eq!(
        (&tested["delivered"], &tested["status"], &tested["answer"]),
        (&json!(true), &json!(200), &json!("thanks"))
    );
    let received = receiver.take(1).remove(0);
    assert_eq!(
        (received.body["type"].as_str(), tested["id"].as_str()),
        (Some("ping"), Some(received.id.as_str()))
    );
    assert!(received.is_signed_by(&secret));
    receiver.now(|_, _| super::receiver::Reply::Status(500));
    let tested = test();
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(500)));
    receiver.now(|_, _| super::receiver::Reply::ClosesInHead);
    let tested = test();
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(null)));
    assert!(tested["problem"].as_str().is_some_and(|text| text.contains("broken")), "{tested}");
}

#[test]
fn webhooks_are_their_owners() {
    let server = Server::with_keys();
    let path = "/v1/tenants/salon/webhooks";
    for (role, status) in [(Role::Integration, 403), (Role::Staff, 403), (Role::Owner, 200)] {
        let key = server.tenant_key("salon", role);
        assert_eq!(server.anonymous("GET", path).key(&key).send().status, status, "{role:?}");
    }
}
