//! Jobs and schedules: what is queued is done behind the answer, and what is due queues by itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use maitred_booking::jobs::{HISTORY_KEPT, RESULT_KEPT};
use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::clock::Ahead;
use crate::server::Server;

const JOBS: &str = "/v1/tenants/default/jobs";
const SCHEDULES: &str = "/v1/tenants/default/schedules";
/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(30);

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
}

/// Asks until the answer is so.
fn wait(mut ask: impl FnMut() -> Value, is: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let answer = ask();
        if is(&answer) {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "it does not come: {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn has_ended(job: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].iter().any(|state| job["state"] == *state)
}

fn until_ended(server: &Server, path: &str) -> Value {
    wait(|| server.get(path).send().ok(200), has_ended)
}

fn appointment(server: &Server, tenant: &str, id: u32) {
    let body = json!({
        "resource": format!("chair-{id}"), "starts_at": "2030-05-06T10:00:00Z", "ends_at": "2030-05-06T11:00:00Z",
        "created_at": "2030-05-01T08:00:00Z", "updated_at": "2030-05-01T08:00:00Z",
    });
    server.put(format!("/v1/tenants/{tenant}/appointments/a{id}"), &body).send().ok(201);
}

#[test]
fn an_export_is_done_behind_the_answer_and_its_file_is_there_for_a_day() {
    let clock = Arc::new(Ahead::default());
    let server = Server::with_keys_by(clock.clone());
    for id in 0..50 {
        appointment(&server, "salon", id);
    }
    let queued = server.post("/v1/tenants/salon/jobs").json(&json!({"kind": "export"})).send();
    let job = queued.ok(202);
    assert_eq!((&job["state"], &job["version"], &job["attempts"]), (&json!("queued"), &json!(1), &json!(0)));
    let path = queued.header("location").expect("where to look").to_owned();
    assert_eq!(path, format!("/v1/tenants/salon/jobs/{}", job["id"].as_str().expect("an id")));
    let done = until_ended(&server, &path);
    assert_eq!((&done["state"], &done["progress"]), (&json!("succeeded"), &json!(1.0)), "{done}");
    assert_eq!(done["attempts"], 1);
    let file = server.get(format!("{path}/result")).send();
    assert_eq!(file.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(done["result"]["bytes"], file.text().len());
    let position = done["result"]["position"].as_str().expect("a position");
    let export = server.get(format!("/v1/tenants/salon/export?as_of={position}")).send();
    assert_eq!(file.text(), export.text(), "it is what an export says");
    assert_eq!(file.text().lines().count(), 52);

    let etag = server.get(&*path).send().etag();
    assert_eq!(server.get(&*path).header("If-None-Match", etag).send().status, 304);
    let then = server.get(format!("{path}?as_of={}", queued.position())).send().ok(200);
    assert_eq!((&then["state"], &then["version"]), (&json!("queued"), &json!(1)));
    let list = server.get("/v1/tenants/salon/jobs").send().ok(200);
    assert_eq!(list["items"][0]["id"], job["id"]);
    refused(&server.post(format!("{path}/cancel")).send(), 409, "job-ended");
    refused(&server.post(format!("{path}/retry")).send(), 409, "job-not-ended");

    // A day later the file is gone, and after a week the job has left the list.
    let confirm = |seconds: i64| {
        clock.seconds.store(seconds.unsigned_abs(), Ordering::Relaxed);
        server.post("/v1/clock/confirm").send().ok(200);
    };
    confirm(RESULT_KEPT + 60);
    refused(&server.get(format!("{path}/result")).send(), 404, "job-result-not-found");
    confirm(HISTORY_KEPT + 60);
    wait(|| server.get("/v1/tenants/salon/jobs").send().ok(200), |list| list["items"] == json!([]));
    assert_eq!(server.get(&*path).send().ok(200)["state"], "succeeded", "by its id it is there");
}

#[test]
fn jobs_are_the_owners_and_the_servers_an_admins() {
    let server = Server::with_keys();
    let owner = server.tenant_key("salon", Role::Owner);
    let staff = server.tenant_key("salon", Role::Staff);
    let ask = |path: &str, key: &str| {
        server.anonymous("POST", path.to_owned()).key(key).json(&json!({"kind": "export"})).send()
    };
    ask("/v1/tenants/salon/jobs", &owner).ok(202);
    refused(&ask("/v1/tenants/salon/jobs", &staff), 403, "forbidden");
    refused(&ask("/v1/jobs", &owner), 403, "forbidden");
    let scrub = server.post("/v1/jobs").json(&json!({"kind": "scrub"})).send();
    scrub.ok(202);
    let path = scrub.header("location").expect("where to look").to_owned();
    assert!(path.starts_with("/v1/jobs/"), "{path}");
    let done = until_ended(&server, &path);
    assert_eq!((&done["state"], &done["result"]["damaged"]), (&json!("succeeded"), &json!([])), "{done}");
    refused(&server.post("/v1/jobs").json(&json!({"kind": "export"})).send(), 422, "invalid-job-kind");
}

#[test]
fn what_is_wrong_with_a_job_or_a_schedule_is_told() {
    let server = Server::open();
    let nobody = "01890000-0000-7000-8000-000000000000";
    for (path, body, status, code) in [
        (JOBS, json!({"kind": "dance"}), 422, "invalid-job-kind"),
        (JOBS, json!({"kind": "export", "input": [1]}), 422, "invalid-job-input"),
        (JOBS, json!({"kind": "export", "when": 1}), 400, "body-invalid"),
        (SCHEDULES, json!({"name": "a", "kind": "export"}), 422, "field-refused"),
        (SCHEDULES, json!({"name": "a", "kind": "export", "every_seconds": 1}), 422, "invalid-schedule"),
        (SCHEDULES, json!({"name": "a", "kind": "export", "cron": "0 3 * *"}), 422, "invalid-schedule"),
        (
            SCHEDULES,
            json!({"name": "a", "kind": "export", "cron": "0 3 * * *", "time_zone": "Berlin"}),
            422,
            "invalid-time-zone",
        ),
        (
            SCHEDULES,
            json!({"name": "a", "kind": "export", "cron": "0 3 * * *", "every_seconds": 60}),
            422,
            "field-refused",
        ),
    ] {
        refused(&server.post(path).json(&body).send(), status, code);
    }
    refused(&server.get(format!("{JOBS}/{nobody}")).send(), 404, "job-not-found");
    refused(&server.get(format!("{JOBS}/{nobody}/result")).send(), 404, "job-not-found");
    refused(&server.post(format!("{JOBS}/{nobody}/cancel")).send(), 404, "job-not-found");
    refused(&server.get(format!("{SCHEDULES}/{nobody}")).send(), 404, "schedule-not-found");
    refused(&server.delete(format!("{SCHEDULES}/{nobody}")).send(), 404, "schedule-not-found");
}

#[test]
fn a_schedule_queues_jobs_by_itself_and_is_changed_and_deleted() {
    let clock = Arc::new(Ahead::default());
    let server = Server::with_keys_by(clock.clone());
    let schedules = "/v1/tenants/salon/schedules";
    let input =
        json!({"name": "nightly", "kind": "export", "cron": "30 3 * * *", "time_zone": "Europe/Berlin"});
    let made = server.post(schedules).json(&input).send();
    let schedule = made.ok(201);
    let path = made.header("location").expect("where it is").to_owned();
    let next = schedule["next_at"].as_str().expect("it is due").to_owned();
    assert_eq!(server.get(&*path).send().ok(200), schedule);

    // Three days pass while nobody looks: one job.
    clock.seconds.store(3 * 86_400, Ordering::Relaxed);
    server.post("/v1/clock/confirm").send().ok(200);
    let fired = wait(|| server.get(&*path).send().ok(200), |schedule| schedule["fired_at"].is_string());
    assert!(fired["next_at"].as_str().expect("it goes on") > next.as_str(), "{fired}");
    let job = format!("/v1/tenants/salon/jobs/{}", fired["last_job_id"].as_str().expect("a job"));
    let job = until_ended(&server, &job);
    assert_eq!((&job["state"], &job["schedule_id"]), (&json!("succeeded"), &schedule["id"]));
    let list = server.get("/v1/tenants/salon/jobs").send().ok(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");

    let etag = server.get(&*path).send().etag();
    let changed = server
        .patch(&*path, &json!({"every_seconds": 3600, "active": false}))
        .header("If-Match", etag.clone());
    let changed = changed.send().ok(200);
    assert_eq!((&changed["every_seconds"], &changed["cron"]), (&json!(3600), &Value::Null));
    assert_eq!(changed["next_at"], Value::Null);
    let stale = server.delete(&*path).header("If-Match", etag).send();
    assert_eq!(stale.refusal().0, 412);
    assert_eq!(server.delete(&*path).send().ok(200)["deleted"], true);
    refused(&server.get(&*path).send(), 404, "schedule-not-found");
    assert_eq!(server.get(schedules).send().ok(200)["items"], json!([]));
    let changes = server.get("/v1/tenants/salon/changes?limit=1000").send().ok(200);
    let kinds: Vec<_> =
        changes["items"].as_array().expect("changes").iter().map(|change| change["kind"].as_str()).collect();
    assert!(kinds.contains(&Some("job")) && kinds.contains(&Some("schedule")), "{kinds:?}");
}

#[test]
fn one_request_that_is_repeated_queues_one_job() {
    let server = Server::open();
    let queue = || {
        let request = server.post(JOBS).json(&json!({"kind": "export", "input": {"note": 1}}));
        request.header("Idempotency-Key", "one").send()
    };
    let (first, second) = (queue(), queue());
    assert!(second.replayed());
    assert_eq!(first.ok(202)["id"], second.ok(202)["id"]);
    let mut queued = BTreeSet::from([first.ok(202)["id"].to_string()]);
    for _ in 0..4 {
        queued.insert(server.post(JOBS).json(&json!({"kind": "export"})).send().ok(202)["id"].to_string());
    }
    let first_page = server.get(format!("{JOBS}?limit=3")).send().ok(200);
    let cursor = first_page["next_cursor"].as_str().expect("there are more");
    let second_page = server.get(format!("{JOBS}?limit=3&cursor={cursor}")).send().ok(200);
    assert_eq!(second_page["items"].as_array().map(Vec::len), Some(2));
    // Those of one millisecond stand in any order.
    let pages = [&first_page, &second_page].map(|page| page["items"].as_array().expect("items"));
    let listed: BTreeSet<_> = pages.into_iter().flatten().map(|job| job["id"].to_string()).collect();
    assert_eq!(listed, queued);
    assert_eq!(second_page["next_cursor"], Value::Null);
}
