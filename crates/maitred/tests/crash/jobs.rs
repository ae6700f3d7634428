//! `kill -9` in the middle of jobs: each is taken up again when its lease has run out, and by one worker at a time; a
//! schedule that was due meanwhile has queued one job.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Connection, Server, tempdir};

const BASE: &str = "/v1/tenants/default";
/// Leases run out, and jobs are done, within this.
const PATIENCE: Duration = Duration::from_secs(90);
/// A lease lasts a little longer than this.
const LEASE: Duration = Duration::from_secs(14);
/// So many appointments that an export takes a while.
const RECORDS: usize = 40_000;

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut connection = Connection::open(&server.address).expect("the server is up");
    let (status, answer) = connection.send(method, path, &body).expect("the server answers");
    assert!(status < 300, "{method} {path}: {status} {answer}");
    serde_json::from_str(&answer).expect("JSON")
}

fn fill(server: &Server) {
    let mut connection = Connection::open(&server.address).expect("the server is up");
    for chunk in 0..RECORDS / 5_000 {
        let items: Vec<_> = (0..5_000)
            .map(|item| {
                let id = chunk * 5_000 + item;
                json!({
                    "external_id": format!("a{id}"), "resource": format!("chair-{id}"), "title": "x".repeat(100),
                    "starts_at": "2030-05-06T10:00:00Z", "ends_at": "2030-05-06T11:00:00Z",
                    "created_at": "2030-05-01T08:00:00Z", "updated_at": "2030-05-01T08:00:00Z",
                })
            })
            .collect();
        let body = json!({ "items": items }).to_string();
        let sent = connection.send("POST", &format!("{BASE}/appointments/batch"), &body);
        assert_eq!(sent.expect("the server answers").0, 200);
    }
}

#[test]
fn a_job_is_taken_up_again_after_kill_9() {
    let dir = tempdir("crash-jobs");
    let mut server = Server::start(&dir);
    fill(&server);
    let schedule = json!({"name": "often", "kind": "export", "every_seconds": 10});
    let schedule = ask(&server, "POST", &format!("{BASE}/schedules"), &schedule);
    let schedule = format!("{BASE}/schedules/{}", schedule["id"].as_str().expect("an id"));
    let job = ask(&server, "POST", &format!("{BASE}/jobs"), &json!({"kind": "export"}));
    let path = format!("{BASE}/jobs/{}", job["id"].as_str().expect("an id"));
    let since = Instant::now();
    loop {
        let job = ask(&server, "GET", &path, &Value::Null);
        if job["state"] == "running" {
            break;
        }
        assert_eq!(job["state"], "queued", "it was done before it could be killed");
        assert!(since.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let killed = Instant::now();
    let file = dir.join("jobs").join(job["id"].as_str().expect("an id"));
    assert!(!file.exists(), "what is half made has no name");
    thread::sleep(Duration::from_secs(11)); // the schedule is due meanwhile
    server = Server::start(&dir);
    let left = ask(&server, "GET", &path, &Value::Null);
    if killed.elapsed() < LEASE {
        assert_eq!(
            (&left["state"], &left["attempts"]),
            (&json!("running"), &json!(1)),
            "its lease still runs"
        );
    }
    let since = Instant::now();
    let done = loop {
        let job = ask(&server, "GET", &path, &Value::Null);
        assert!(job["attempts"].as_u64() <= Some(2), "{job}");
        if job["state"] == "succeeded" {
            break job;
        }
        assert!(["running", "queued"].iter().any(|state| job["state"] == *state), "{job}");
        assert!(since.elapsed() < PATIENCE, "{job}");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((&done["attempts"], &done["problem"]), (&json!(2), &Value::Null));
    let length = std::fs::metadata(&file).expect("it is whole").len();
    assert_eq!(done["result"]["bytes"], length);
    let fired = ask(&server, "GET", &schedule, &Value::Null);
    assert!(fired["fired_at"].is_string(), "{fired}");
    ask(&server, "DELETE", &schedule, &Value::Null);
    // Every version of the job, as the changes tell them: it is never started while it runs.
    let mut states = Vec::new();
    let mut after = "0.1.0".to_owned();
    loop {
        let page = ask(&server, "GET", &format!("{BASE}/changes?limit=1000&after={after}"), &Value::Null);
        let items = page["items"].as_array().expect("changes").clone();
        let Some(last) = items.last() else { break };
        after = last["id"].as_str().expect("an id").to_owned();
        let of_job = items.iter().filter(|change| change["record_id"] == job["id"]);
        states.extend(of_job.map(|change| change["data"]["state"].as_str().expect("a state").to_owned()));
    }
    assert_eq!(states, ["queued", "running", "queued", "running", "succeeded"]);
    drop(server);
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}
