//! The scrub of the log's older segments, as `/health` and `/metrics` tell of it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use maitred::scrubber::{Rate, Scrubber};
use maitred_engine::batch::BATCH_BYTES_MAX;
use maitred_storage::disk::RealDisk;
use serde_json::json;

use crate::server::Server;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// The byte that changes, in the middle of a segment's batches.
const AT: u64 = 2_500_000;

/// The segments' files of a server that has several of them, ascending.
fn filled(server: &Server) -> Vec<PathBuf> {
    for round in 0..3 {
        let item = |n: u32| {
            json!({
                "external_id": format!("{round}-{n}"), "resource": format!("{round}-{n}"),
                "starts_at": "2026-11-21T09:00:00Z", "ends_at": "2026-11-21T10:00:00Z",
                "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
                "metadata": {"filling": "x".repeat(4_000)},
            })
        };
        let batch = json!({"items": (0..1_200).map(item).collect::<Vec<_>>()});
        server.post("/v1/tenants/default/appointments/batch").json(&batch).send().ok(200);
    }
    let entries = fs::read_dir(server.folder().join("log")).expect("a folder");
    let mut segments: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    segments.sort();
    assert!(segments.len() >= 3, "{segments:?}");
    segments
}

fn scrub(server: &Server, bytes_per_second: u64) -> Scrubber {
    let disk = RealDisk::new(server.folder().join("log")).expect("a folder");
    let rate = Rate { bytes_per_second, pause: Duration::from_millis(1) };
    Scrubber::start(disk, rate, server.app.soundness().clone())
}

/// Asks until it is so.
fn wait_until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::yield_now();
    }
}

fn health(server: &Server, path: &str) -> String {
    server.get(path).send().ok(200)["status"].as_str().expect("a status").to_owned()
}

#[test]
fn a_byte_that_has_changed_in_an_old_segment_is_found_and_named_while_the_server_goes_on() {
    let server = Server::open();
    let segments = filled(&server);
    let scrubber = scrub(&server, u64::MAX);
    let soundness = server.app.soundness();
    let old = fs::metadata(&segments[0]).expect("it is there").len() * (segments.len() as u64 - 1);
    wait_until("everything is read twice", || soundness.bytes_verified() >= 2 * old);
    assert_eq!((soundness.damage(), health(&server, "/health")), (vec![], "OK".to_owned()));

    let flip = || {
        let file = OpenOptions::new().read(true).write(true).open(&segments[1]).expect("a file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, AT).expect("it is longer");
        file.write_all_at(&[byte[0] ^ 1], AT).expect("it can be written");
    };
    flip();
    wait_until("the damage is found", || !soundness.damage().is_empty());
    let damage = soundness.damage();
    let [what] = damage.as_slice() else { panic!("one segment is damaged: {damage:?}") };
    let (file, place) = what.split_once(", byte ").expect("a file and a place in it");
    assert_eq!(file, segments[1].display().to_string());
    let offset: u64 = place.split(',').next().and_then(|byte| byte.parse().ok()).expect("an offset");
    let frame_bytes_max = BATCH_BYTES_MAX as u64 * 5 / 4;
    assert!((AT - frame_bytes_max..=AT).contains(&offset), "the batch around the byte: {what}");

    assert_eq!(health(&server, "/health"), "LOG_DAMAGED");
    assert_eq!(["/health/live", "/health/ready"].map(|path| health(&server, path)), ["OK", "OK"]);
    let metrics = server.get("/metrics").send().text().to_owned();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect("a sample").parse::<f64>().expect("a number")
    };
    assert_eq!(value("maitred_scrub_damaged_segments"), 1.0);
    assert!(value("maitred_scrub_verified_bytes_total") >= 2.0 * old as f64);
    assert!(value("maitred_scrub_completed_timestamp_seconds") > 1.7e9);
    let body = json!({
        "resource": "later", "starts_at": "2026-11-22T09:00:00Z", "ends_at": "2026-11-22T10:00:00Z",
        "created_at": "2026-11-21T00:00:00Z", "updated_at": "2026-11-21T00:00:00Z",
    });
    server.put("/v1/tenants/default/appointments/later", &body).send().ok(201);
    server.get("/v1/tenants/default/appointments/later").send().ok(200);

    flip();
    wait_until("the segment is sound again", || soundness.damage().is_empty());
    assert_eq!(health(&server, "/health"), "OK");
    scrubber.stop();
}

#[test]
fn a_scrub_keeps_to_its_rate_and_stops_at_once() {
    let server = Server::open();
    filled(&server);
    let before = server.app.soundness().bytes_verified();
    let scrubber = scrub(&server, 1_000);
    let began = Instant::now();
    scrubber.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "a read would have taken a thousand seconds");
    assert_eq!((server.app.soundness().bytes_verified(), server.app.soundness().damage()), (before, vec![]));
}
