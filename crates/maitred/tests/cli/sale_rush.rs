//! What goes on beside a rush: a storm of logins, and thousands of people who only watch.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use maitred_booking::accounts::hasher::WAITING_MAX;
use serde_json::{Value, json};

use crate::program::{Folder, Server};

const JSON: &str = "Content-Type: application/json\r\n";
const SALES: &str = "/v1/tenants/demo/sales";
const SALE: &str = "550e8400-e29b-41d4-a716-446655440001";
/// What the demo's sale has.
const PIECES: usize = 100;
/// As many clients log in at most.
const CLIENTS_MAX: usize = 400;
const LISTENERS: usize = 3_000;
/// What a listener may cost the server, its connection included, in KiB.
const LISTENER_KIB_MAX: u64 = 64;
/// A server that is silent for longer has failed the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Buys a piece for a buyer.
fn buy(server: &Server, buyer: usize) -> (u16, String) {
    let body = json!({"buyer_id": format!("01890000-0000-7000-8000-{buyer:012x}")});
    server.ask("POST", &format!("{SALES}/{SALE}/orders"), JSON, &body.to_string())
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

#[test]
fn purchases_are_answered_beside_a_storm_of_logins_which_is_bounded() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let threads = thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
    // More than may wait, unless the machine is a large one.
    let room = threads * (WAITING_MAX + 1);
    let clients = (room + 100).min(CLIENTS_MAX);
    let (waited, refused) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let mut purchases = Vec::new();
    thread::scope(|scope| {
        for client in 0..clients {
            let (server, waited, refused) = (&server, &waited, &refused);
            scope.spawn(move || {
                let body =
                    json!({"email": format!("nobody-{client}@example.com"), "password": "a long password"});
                let began = Instant::now();
                match server.ask("POST", "/v1/tenants/demo/users/authenticate", JSON, &body.to_string()) {
                    (401, _) => waited.lock().expect("no client panics").push(began.elapsed()),
                    (503, problem) => {
                        assert!(problem.contains("\"code\":\"overloaded\""), "{problem}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    (status, answer) => panic!("{status}: {answer}"),
                }
            });
        }
        // In the thick of it: some have had their turn, many wait.
        while waited.lock().expect("no client panics").len() < 3 {
            thread::sleep(Duration::from_millis(1));
        }
        for buyer in 0..PIECES {
            let began = Instant::now();
            let (status, answer) = buy(&server, buyer);
            assert_eq!(status, 201, "{answer}");
            purchases.push(began.elapsed());
        }
        assert_eq!(hashing_threads(server.pid()), threads, "a core is left to everything else");
    });
    let (waited, refused) = (waited.into_inner().expect("no client panics"), refused.into_inner());
    assert_eq!(waited.len() + refused, clients, "every login was answered");
    assert!(clients < room + 100 || refused > 0, "{} of {clients} logins waited", waited.len());
    let (purchase, login) = (median(purchases), median(waited));
    assert!(purchase * 4 < login, "a purchase took {purchase:?} beside logins that took {login:?}");
    assert!(buy(&server, PIECES).1.contains("\"code\":\"sold-out\""));
}

/// How many threads of a process hash passwords, by their names.
fn hashing_threads(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.flatten().map(name).filter(|name| name.starts_with("maitred-hash")).count()
}

/// How much memory a process has, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Somebody who watches the sale.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn new(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let head = format!("GET {SALES}/{SALE}/stream HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        stream.write_all(head.as_bytes()).expect("the server reads");
        Listener(BufReader::new(stream))
    }

    /// The next event's data.
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("the stream goes on");
            assert!(read > 0, "the stream has ended");
            // Events come one in a chunk, so that no line is cut.
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }
}

#[test]
fn three_thousand_listeners_of_one_sale_all_see_its_last_state() {
    // This process and the server have a connection for each: the server sees to its own limit.
    let needed = LISTENERS as u64 + 256;
    let allowed = maitred::open_files::allow(needed).expect("a limit can be read");
    assert!(allowed >= needed, "{needed} open files are needed and {allowed} are allowed (ulimit -Hn)");
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let before = resident_kib(server.pid());
    let mut listeners: Vec<_> = (0..LISTENERS).map(|_| Listener::new(&server)).collect();
    for listener in &mut listeners {
        let first = listener.next();
        assert_eq!((&first["state"], &first["left"]), (&json!("active"), &json!(PIECES)), "{first}");
    }
    let each = resident_kib(server.pid()).saturating_sub(before) / LISTENERS as u64;
    println!("{LISTENERS} listeners cost {each} KiB each");
    assert!(each <= LISTENER_KIB_MAX, "a listener costs {each} KiB");
    let began = Instant::now();
    for buyer in 0..PIECES {
        let (status, answer) = buy(&server, buyer);
        assert_eq!(status, 201, "{answer}");
    }
    let mut events = 0;
    for listener in &mut listeners {
        let mut left = PIECES as u64;
        while left > 0 {
            let event = listener.next();
            let now = event["left"].as_u64().expect("a number");
            assert!(now < left, "{left}, and then {event}");
            assert_eq!(event["sold"].as_u64(), Some(PIECES as u64 - now), "{event}");
            assert_eq!(event["state"] == "sold_out", now == 0, "{event}");
            (left, events) = (now, events + 1);
        }
    }
    // At most four times a second, however many buy.
    let told_max = LISTENERS as u128 * (2 + began.elapsed().as_millis() / 250);
    assert!(events <= told_max, "{events} events for {LISTENERS} listeners");
    let (status, answer) = buy(&server, PIECES);
    assert!(status == 409 && answer.contains("\"code\":\"sold-out\""), "{answer}");
    drop(listeners);
    server.stop();
}

#[test]
fn a_server_takes_the_open_files_it_may_have_and_says_how_many_connections_that_are() {
    let folder = Folder::new();
    let script = "ulimit -S -n 200; ulimit -H -n 400; exec \"$0\" serve --listen 127.0.0.1:0 --free-bytes 0 --data \"$1\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_maitred"), &folder.arg("data")]);
    let mut server = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("there is a shell");
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("piped"));
    while !line.starts_with("listening on ") {
        line.clear();
        assert!(stdout.read_line(&mut line).expect("UTF-8") > 0, "the server ended before it was ready");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("it runs");
    server.kill().expect("it runs");
    let said = server.wait_with_output().expect("it has ended").stderr;
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(files.split_whitespace().nth(3), Some("400"), "{files}");
    let said = String::from_utf8(said).expect("UTF-8");
    assert!(said.contains("272 connections at once instead of 16384"), "{said}");
}
