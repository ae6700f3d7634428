//! `kill -9` while webhooks are being delivered: every change arrives at least once, and of each record in its order.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Connection, Server, rounds, tempdir};

const RECORDS: u64 = 20;
/// How many versions of each are written in a round.
const VERSIONS: u64 = 5;
/// One in so many deliveries is refused the first time it is tried.
const REFUSED: usize = 40;
/// What has not arrived in this time is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ids of the changes in the order in which they were accepted, with their record and version.
type Accepted = Arc<Mutex<Vec<(String, String, u64)>>>;

#[test]
fn every_change_is_delivered_in_its_records_order_though_the_server_is_killed_meanwhile() {
    let dir = tempdir("crash-webhooks");
    let accepted = Accepted::default();
    let url = receive(Arc::clone(&accepted));
    let rounds = rounds();
    for round in 0..rounds {
        let mut server = Server::start_with(&dir, &["--allow-host", "127.0.0.1"]);
        let mut connection = Connection::open(&server.address).expect("the server is up");
        if round == 0 {
            let body = format!(r#"{{"url":"{url}","kinds":["appointment"]}}"#);
            let (status, answer) =
                connection.send("POST", "/v1/tenants/default/webhooks", &body).expect("an answer");
            assert_eq!(status, 201, "{answer}");
        }
        for version in round * VERSIONS..(round + 1) * VERSIONS {
            for record in 0..RECORDS {
                put(&mut connection, record, version);
            }
        }
        // Some rounds die with nearly nothing delivered, some with all of it and no cursor kept.
        thread::sleep(Duration::from_millis(round * 97 % 400));
        server.kill();
    }
    let server = Server::start_with(&dir, &["--allow-host", "127.0.0.1"]);
    let expected = changes(&server.address);
    assert_eq!(expected.len() as u64, RECORDS * VERSIONS * rounds);
    let ends = Instant::now() + PATIENCE;
    loop {
        let arrived = accepted.lock().expect("no panic").clone();
        let missing = expected.iter().filter(|id| !arrived.iter().any(|(there, ..)| there == *id)).count();
        if missing == 0 {
            break;
        }
        assert!(Instant::now() < ends, "{missing} of {} changes never arrived", expected.len());
        thread::sleep(Duration::from_millis(100));
    }
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = Vec::new();
    for (id, record, version) in accepted.lock().expect("no panic").iter() {
        if !seen.contains(id) {
            seen.push(id.clone());
            let before = newest.insert(record.clone(), *version).unwrap_or(0);
            assert_eq!(*version, before + 1, "{record}: version {version} came first behind {before}");
        }
    }
    drop(server);
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

fn put(connection: &mut Connection, record: u64, version: u64) {
    let (day, minute) = (1 + version / 60 % 28, version % 60);
    let body = format!(
        r#"{{"resource":"r{record}","starts_at":"2030-01-01T10:00:00Z","ends_at":"2030-01-01T11:00:00Z","created_at":"2029-01-01T00:00:00Z","updated_at":"2029-02-{day:02}T00:{minute:02}:00Z"}}"#
    );
    let path = format!("/v1/tenants/default/appointments/a{record}");
    let (status, answer) = connection.send("PUT", &path, &body).expect("an answer");
    assert!(matches!(status, 200 | 201), "{answer}");
}

/// The ids of all changes of appointments.
fn changes(address: &str) -> Vec<String> {
    let mut connection = Connection::open(address).expect("the server is up");
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/tenants/default/changes?limit=1000{after}");
        let (status, body) = connection.send("GET", &path, "").expect("an answer");
        assert_eq!(status, 200, "{body}");
        let page: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let items = page["items"].as_array().expect("a list");
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        ids.extend(items.iter().filter(|it| it["kind"] == "appointment").map(|it| text(&it["id"])));
        if items.is_empty() {
            return ids;
        }
        after = format!("&after={}", text(&page["next_after"]));
    }
}

/// A receiver that notes what it accepts. Returns its URL.
fn receive(accepted: Accepted) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let tried: Arc<Mutex<Vec<String>>> = Arc::default();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (accepted, tried) = (Arc::clone(&accepted), Arc::clone(&tried));
            thread::spawn(move || serve(stream, &accepted, &tried));
        }
    });
    url
}

fn serve(stream: TcpStream, accepted: &Accepted, tried: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = found.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let change: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let (id, record) = (text(&change["id"]), text(&change["record_id"]));
    let refused = {
        let mut tried = tried.lock().expect("no panic");
        let is_new = !tried.contains(&id);
        tried.push(id.clone());
        is_new && tried.len().is_multiple_of(REFUSED)
    };
    if !refused {
        let version = change["version"].as_u64().expect("a version");
        accepted.lock().expect("no panic").push((id, record, version));
    }
    let status = if refused { "500 No" } else { "200 OK" };
    (&stream).write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
}
