//! `/v1/consumers…`: how far they are, what they have put aside, and what becomes of that.

use std::time::{Duration, Instant};

use maitred_booking::consumers::{Command, CursorKept, DeadLetterParked, Holder};
use maitred_booking::tenants::Role;
use maitred_core::Timestamp;
use serde_json::{Value, json};

use crate::server::Server;

const NAME: &str = "order-processing";
const LETTERS: &str = "/v1/consumers/order-processing/dead-letters";

/// Puts so many facts aside in the consumer's name, before it has anything to do: of the first batches, of tenant 1, of
/// two keys in turns.
fn put_aside(server: &Server, count: u64) {
    let holder = || Holder { consumer: NAME.into(), epoch: 0 };
    for seq in 1..=count {
        server.submit_to_server(Command::Park(
            holder(),
            DeadLetterParked {
                consumer: NAME.into(),
                seq,
                ordinal: 0,
                decided_at: Timestamp::from_millis(seq as i64 * 1_000),
                tenant: 1,
                key: u128::from(seq % 2),
                attempts: 8,
                reason: "nobody answers".into(),
            },
        ));
    }
    let cursor = CursorKept { consumer: NAME.into(), seq: count, ordinal: u32::MAX };
    server.submit_to_server(Command::KeepCursor(holder(), cursor));
}

fn consumer(server: &Server) -> Value {
    let list = server.get("/v1/consumers").send().ok(200);
    let found = list["items"].as_array().expect("a list").iter().find(|one| one["name"] == NAME);
    found.expect("it runs").clone()
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

#[test]
fn dead_letters_are_listed_selected_redriven_and_thrown_away() {
    let server = Server::with_keys();
    server.tenant("other");
    put_aside(&server, 4); // the tenant salon is number 1
    assert_eq!(consumer(&server)["dead_letters"], 4);
    let all = server.get(LETTERS).send().ok(200);
    assert_eq!(ids(&all), ["0.1.0", "0.2.0", "0.3.0", "0.4.0"]);
    assert_eq!((&all["items"][0]["tenant"], &all["items"][0]["attempts"]), (&json!("salon"), &json!(8)));
    let page = server.get(format!("{LETTERS}?limit=3&tenant=salon")).send().ok(200);
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let rest = server.get(format!("{LETTERS}?limit=3&tenant=salon&cursor={cursor}")).send().ok(200);
    assert_eq!(ids(&rest), ["0.4.0"]);
    let key = "00000000-0000-0000-0000-000000000001";
    assert_eq!(ids(&server.get(format!("{LETTERS}?key={key}")).send().ok(200)), ["0.1.0", "0.3.0"]);
    let before = server.get(format!("{LETTERS}?before=1970-01-01T00:00:02Z")).send().ok(200);
    assert_eq!(ids(&before), ["0.1.0"]);
    assert_eq!(ids(&server.get(format!("{LETTERS}?tenant=other")).send().ok(200)), [""; 0]);

    let decide = |what: &str, body: Value| {
        server.post(format!("/v1/consumers/{NAME}/{what}")).json(&body).send().ok(200)
    };
    let position = server.position();
    let dry = decide("redrive", json!({"key": key}));
    assert_eq!((&dry["dry_run"], &dry["count"]), (&json!(true), &json!(2)));
    assert_eq!(dry["ids"], json!(["0.1.0", "0.3.0"]));
    assert_eq!(server.position(), position, "nothing was done");
    assert_eq!(decide("discard", json!({"tenant": "other", "dry_run": false}))["count"], 0);
    let gone = decide("discard", json!({"before": "1970-01-01T00:00:02.500Z", "dry_run": false}));
    assert_eq!((&gone["dry_run"], &gone["ids"]), (&json!(false), &json!(["0.1.0", "0.2.0"])));
    let up = decide("redrive", json!({"tenant": "salon", "dry_run": false}));
    assert_eq!(up["ids"], json!(["0.3.0", "0.4.0"]));

    // These facts are none of the consumer's: taken up again, there is nothing to do about them.
    let since = Instant::now();
    while consumer(&server)["dead_letters"] != 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "{}", consumer(&server));
        std::thread::sleep(Duration::from_millis(20));
    }
    let now = consumer(&server);
    assert_eq!((&now["epoch"], &now["superseded"]), (&json!(1), &json!(false)), "{now}");
    let decided = server.get(format!("/v1/consumers/{NAME}/decisions")).send().ok(200);
    let told: Vec<_> = decided["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|one| (one["type"].clone(), one["actor"].clone(), one["dead_letters"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("discard"), json!("api_key"), json!(["0.1.0", "0.2.0"])),
            (json!("redrive"), json!("api_key"), json!(["0.3.0", "0.4.0"])),
        ]
    );
    let metrics = server.get("/metrics").send();
    for (name, value) in [
        ("maitred_consumer_dead_letters{consumer=\"order-processing\"}", 0.0),
        ("maitred_consumer_superseded{consumer=\"order-processing\"}", 0.0),
        ("maitred_consumer_attempts_total{consumer=\"order-processing\"}", 2.0),
        ("maitred_consumer_parked_total{consumer=\"order-processing\"}", 0.0),
        ("maitred_jobs_waiting", 0.0),
        ("maitred_jobs_waiting_oldest_seconds", 0.0),
    ] {
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let shown: f64 = line.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN);
        assert_eq!(shown, value, "{name}: {}", metrics.text());
    }
}

#[test]
fn consumers_are_an_admins_and_have_names() {
    let server = Server::with_keys();
    let owner = server.tenant_key("salon", Role::Owner);
    for path in ["/v1/consumers", LETTERS, "/v1/consumers/order-processing/decisions"] {
        let answer = server.anonymous("GET", path).key(&owner).send();
        assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{path}");
    }
    let nobody = server.get("/v1/consumers/nobody/dead-letters").send();
    assert_eq!(nobody.refusal(), (404, "consumer-not-found".to_owned()));
    let nobody = server.post("/v1/consumers/nobody/redrive").json(&json!({})).send();
    assert_eq!(nobody.refusal(), (404, "consumer-not-found".to_owned()));
    let nowhere = server.get(format!("{LETTERS}?tenant=nowhere")).send();
    assert_eq!(nowhere.refusal(), (404, "tenant-not-found".to_owned()));
    let wrong = server.post("/v1/consumers/order-processing/redrive").json(&json!({"dry": true})).send();
    assert_eq!(wrong.refusal(), (400, "body-invalid".to_owned()));
}
