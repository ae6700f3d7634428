//! `kill -9` under load, again and again: what was acknowledged is there, nothing is half there.
//!
//! Every test run does a few rounds; `CRASH_ROUNDS=100` does as many as it says. A kill proves recovery, not
//! durability, since the system keeps what the process wrote: that is the simulation's part.
//!
//! Beside it, [`races`]: clients of the same program who want the same time.

mod bookings;
mod flash_sales;
mod jobs;
mod mail;
mod races;
mod salon;
mod webhooks;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const ROUNDS: u64 = 5;
const CLIENTS: u64 = 8;
/// Few ids and few slots, so that updates, conflicts and moves are frequent.
const IDS: u64 = 400;
const SLOTS: u64 = 20 * 288;

#[test]
fn nothing_acknowledged_is_lost_to_kill_9_under_load() {
    let rounds = rounds();
    let dir = tempdir("crash");
    let acknowledged = Mutex::new(BTreeMap::new());
    let clock = AtomicU64::new(0);
    let mut answers = 0;
    for round in 0..rounds {
        let mut server = Server::start(&dir);
        check(&server.address, &acknowledged.lock().unwrap(), round);
        let (stop, address) = (AtomicBool::new(false), server.address.clone());
        thread::scope(|scope| {
            let address = &address;
            let (acknowledged, clock, stop) = (&acknowledged, &clock, &stop);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| scope.spawn(move || write(address, client, clock, acknowledged, stop)))
                .collect();
            // The rounds kill at different depths: from nearly empty overlays to flushes under way.
            thread::sleep(Duration::from_millis(100 + round * 137 % 900));
            server.kill();
            stop.store(true, Ordering::Relaxed);
            answers +=
                clients.into_iter().map(|client| client.join().expect("no client panics")).sum::<u64>();
        });
    }
    let server = Server::start(&dir);
    check(&server.address, &acknowledged.lock().unwrap(), rounds);
    no_two_overlap(&server.address);
    drop(server);
    let checked = Command::new(env!("CARGO_BIN_EXE_maitred")).arg("check").arg("--data").arg(&dir).output();
    let checked = checked.expect("check runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(answers > rounds * 100, "only {answers} writes were acknowledged: that is no load");
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

fn rounds() -> u64 {
    std::env::var("CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"))
}

/// Puts appointments until the connection ends. Remembers, for each id, the newest acknowledged version, and when it was
/// changed.
fn write(
    address: &str,
    client: u64,
    clock: &AtomicU64,
    acknowledged: &Mutex<BTreeMap<String, (u64, String)>>,
    stop: &AtomicBool,
) -> u64 {
    let mut answers = 0;
    let Ok(mut connection) = Connection::open(address) else { return 0 };
    let mut lot = client + clock.load(Ordering::Relaxed) * CLIENTS;
    while !stop.load(Ordering::Relaxed) {
        let now = clock.fetch_add(1, Ordering::Relaxed);
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let id = format!("appointment-{}", (lot >> 33) % IDS);
        let slot = (lot >> 17) % SLOTS;
        let (day, hour, minute) = (1 + slot / 288, slot / 12 % 24, slot % 12 * 5);
        let body = format!(
            r#"{{"resource":"chair-{}","starts_at":"2026-01-{day:02}T{hour:02}:{minute:02}:00Z","ends_at":"2026-01-{day:02}T{hour:02}:{:02}:59Z","created_at":"2026-01-01T00:00:00Z","updated_at":"{}"}}"#,
            slot % 3,
            minute + 4,
            instant(now),
        );
        match connection.send("PUT", &format!("/v1/tenants/default/appointments/{id}"), &body) {
            Ok((200 | 201, answer)) => {
                answers += 1;
                let version = number_after(&answer, "\"version\":");
                let mut known = acknowledged.lock().unwrap();
                let newest = known.entry(id).or_default();
                // One that is stale is answered with the version that is there.
                if version > newest.0 {
                    let changed_at = text_after(&answer, "\"updated_at\":\"");
                    *newest = (version, changed_at);
                }
            }
            Ok((409 | 503, _)) => {}
            Ok((status, answer)) => panic!("{status}: {answer}"),
            Err(_) => return answers,
        }
    }
    answers
}

/// Every acknowledged version is there as it was acknowledged, or a newer one, and none before it is missing.
fn check(address: &str, acknowledged: &BTreeMap<String, (u64, String)>, round: u64) {
    let mut connection = Connection::open(address).expect("the server is up");
    for (id, (version, changed_at)) in acknowledged {
        let path = format!("/v1/tenants/default/appointments/{id}");
        let (status, body) = connection.send("GET", &path, "").expect("the server answers");
        assert_eq!(status, 200, "round {round}: {id} is gone");
        let there = number_after(&body, "\"version\":");
        assert!(there >= *version, "round {round}: {id} is at version {there}, {version} was acknowledged");
        if there == *version {
            let there = text_after(&body, "\"updated_at\":\"");
            assert_eq!(there, *changed_at, "round {round}: version {version} of {id}");
        }
        let (status, body) =
            connection.send("GET", &format!("{path}/versions?limit=1000"), "").expect("the server answers");
        assert_eq!(status, 200, "round {round}: {id}");
        let versions = body.matches("\"external_id\":").count() as u64;
        assert!(versions >= (*version).min(1000), "round {round}: {id} has {versions} versions of {version}");
    }
}

/// The active appointments of every resource, as the list gives them, do not overlap.
fn no_two_overlap(address: &str) {
    let mut connection = Connection::open(address).expect("the server is up");
    for chair in 0..3 {
        let path = format!("/v1/tenants/default/appointments?resource=chair-{chair}&limit=1000");
        let (status, body) = connection.send("GET", &path, "").expect("the server answers");
        assert_eq!(status, 200);
        let texts = |field: &str| -> Vec<String> {
            body.split(field).skip(1).map(|rest| rest[..24].to_owned()).collect()
        };
        let (starts, ends) = (texts("\"starts_at\":\""), texts("\"ends_at\":\""));
        assert_eq!(starts.len(), ends.len());
        assert!(!starts.is_empty());
        for next in 1..starts.len() {
            assert!(
                ends[next - 1] <= starts[next],
                "chair-{chair}: {} overlaps {}",
                starts[next - 1],
                starts[next]
            );
        }
    }
}

/// A later instant for a larger `now`.
fn instant(now: u64) -> String {
    let (seconds, millis) = (now / 1_000, now % 1_000);
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    format!("2026-02-{:02}T{:02}:{minute:02}:{second:02}.{millis:03}Z", 1 + hours / 24, hours % 24)
}

fn number_after(text: &str, field: &str) -> u64 {
    let rest = &text[text.find(field).expect("the field is there") + field.len()..];
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

fn text_after(text: &str, field: &str) -> String {
    let rest = &text[text.find(field).expect("the field is there") + field.len()..];
    rest.chars().take_while(|c| *c != '"').collect()
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("maitred-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// The real binary.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        Server::start_with(dir, &[])
    }

    /// The same with further options.
    fn start_with(dir: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_maitred"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(dir)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = lines.read_line(&mut line).expect("the server's output can be read");
            assert!(read > 0, "the server ended before it was listening");
            if let Some((_, address)) = line.trim().split_once("listening on http://") {
                break address.to_owned();
            }
        };
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Server { child, address }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("it has ended");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, kept alive.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Connection(BufReader::new(stream)))
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length, mut status) = (String::new(), 0, 0);
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).expect("JSON is UTF-8")))
    }
}
