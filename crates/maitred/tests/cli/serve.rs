//! Starting, stopping, and being killed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Folder, Server, run, try_put};

#[test]
fn it_says_when_it_is_ready_and_stops_gracefully() {
    let folder = Folder::new();
    let data = folder.path("data");
    let server = Server::start(&data, &["--demo"]);
    assert_eq!(server.get("/health/ready").0, 200);
    server.put(1, 1);
    let lock = || std::fs::read_to_string(data.join("lock")).expect("a file");
    assert!(!lock().is_empty());
    let errors = server.stop();
    assert_eq!(lock(), "", "it names no process that is gone");
    assert!(errors.contains("recovered: 0 segments"), "{errors}");
    assert!(errors.contains("stopping") && errors.contains("stopped"), "{errors}");

    let server = Server::start(&data, &[]);
    assert_eq!(server.get("/v1/tenants/demo/appointments/test-1").0, 200);
    let errors = server.stop();
    assert!(errors.contains("the view was kept"), "{errors}");
    assert!(errors.contains(" 0 batches replayed"), "all was flushed: {errors}");
}

#[test]
fn it_is_not_ready_first_then_takes_no_work_and_a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo", "--stop-delay-seconds", "3600"]);
    server.signal("INT");
    let started = Instant::now();
    while server.get("/health/ready").0 == 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "the signal is not seen");
        std::thread::yield_now();
    }
    let (status, problem) = server.get("/health/ready");
    assert_eq!((status, problem["code"].as_str()), (503, Some("draining")));
    server.put(1, 1); // requests are served until the delay is over
    server.signal("TERM");
    let (status, errors) = server.wait();
    assert_eq!(status.code(), Some(130), "{errors}");

    let server = Server::start(&folder.path("data"), &[]);
    assert_eq!(server.get("/v1/tenants/demo/appointments/test-1").0, 200, "what was acknowledged is there");
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("a"), &[]);
    let (data, address) = (folder.arg("b"), server.address.to_string());
    let ran = run(&["serve", "--data", &data, "--listen", &address]);
    ran.fails(3, &[&format!("cannot listen on {address}"), "choose another with --listen"]);
    assert!(!folder.path("b").exists(), "nothing was begun");
}

#[test]
fn a_folder_in_use_is_named_with_the_process_that_has_it() {
    let folder = Folder::new();
    let data = folder.arg("data");
    let server = Server::start(&folder.path("data"), &[]);
    let holder = format!("is in use by process {}", server.pid());
    run(&["serve", "--data", &data, "--listen", "127.0.0.1:0"]).fails(3, &[&holder, "--data"]);
    run(&["check", "--data", &data]).fails(3, &[&holder]);
    run(&["export", "--tenant", "demo", "--data", &data]).fails(3, &[&holder, "--url"]);
    run(&["keys", "list", "--data", &data]).fails(3, &[&holder, "--url"]);
}

#[test]
fn an_address_may_be_a_name_or_a_port() {
    let folder = Folder::new();
    for listen in ["localhost:0", "0", ":0"] {
        let server = Server::start(&folder.path("data"), &["--listen", listen]);
        assert!(server.address.ip().is_loopback(), "{listen}: {}", server.address);
        assert_eq!(server.get("/health/ready").0, 200, "{listen}");
    }
    run(&["serve", "--listen", "here"]).fails(2, &["--listen", "HOST:PORT"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let ran = run(&["serve", "--data", "/proc/maitred/data", "--listen", "127.0.0.1:0"]);
    ran.fails(3, &["/proc/maitred"]);
}

#[test]
fn log_lines_are_json_where_that_is_asked_for() {
    let folder = Folder::new();
    let errors = Server::start(&folder.path("data"), &["--log-format", "json"]).stop();
    let lines: Vec<Value> = errors.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let recovered =
        lines.iter().find(|line| line["message"].as_str().is_some_and(|m| m.starts_with("recovered")));
    let recovered = recovered.expect("a line about recovery");
    assert_eq!((&recovered["level"], &recovered["position.seq"]), (&"INFO".into(), &0.into()));
    assert!(recovered["view.duration_ms"].is_u64() && recovered["log.segments"].is_u64(), "{recovered}");
}

#[test]
fn the_demo_prints_requests_that_work_and_is_seeded_once() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let lines: Vec<&str> =
        server.greeting.lines().filter_map(|line| line.trim().strip_prefix("curl ")).collect();
    assert_eq!(lines.len(), 4, "{}", server.greeting);
    let path = |line: &str| {
        let url = line.split('\'').nth(1).expect("a URL in quotes");
        url.strip_prefix(&server.url()).expect("of this server").to_owned()
    };
    let (status, list) = server.get(&path(lines[0]));
    assert_eq!((status, list["items"].as_array().map(Vec::len)), (200, Some(4)), "{list}");
    let (status, versions) = server.get(&path(lines[1]));
    assert_eq!((status, versions["items"].as_array().map(Vec::len)), (200, Some(2)), "{versions}");
    assert!(lines[2].starts_with("-X PUT "), "{}", lines[2]);
    let body = lines[2].rsplit('\'').nth(1).expect("a body in quotes");
    let answer = server.ask("PUT", &path(lines[2]), "Content-Type: application/json\r\n", body);
    assert_eq!(answer.0, 201, "{}", answer.1);
    let exported = server.ask("GET", "/v1/tenants/demo/export", "", "");
    server.stop();

    let server = Server::start(&folder.path("data"), &["--demo"]);
    let again = server.ask("GET", "/v1/tenants/demo/export", "", "");
    assert!(again.1.starts_with(exported.1.rsplit_once("{\"type\":\"end\"").expect("an end").0));
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = Folder::new();
    let data = folder.path("data");
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let server = Server::start(&data, &["--demo"]);
        let (address, next, stop) =
            (server.address, AtomicUsize::new(round * 10_000), AtomicBool::new(false));
        let written = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut written = Vec::new();
                        while !stop.load(Ordering::Relaxed) {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if let Some((201, _)) = try_put(address, number, 1) {
                                written.push(number);
                            }
                        }
                        written
                    })
                })
                .collect();
            while next.load(Ordering::Relaxed) < round * 10_000 + 150 {
                std::thread::yield_now();
            }
            server.signal("KILL");
            let (status, _) = server.wait();
            assert_eq!(status.code(), None, "it was killed");
            stop.store(true, Ordering::Relaxed);
            writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect::<Vec<_>>()
        });
        assert!(written.len() >= 100, "only {} writes were acknowledged", written.len());
        acknowledged.extend(written);
    }
    let server = Server::start(&data, &[]);
    let (_, exported) = server.ask("GET", "/v1/tenants/demo/export", "", "");
    for number in acknowledged {
        assert!(exported.contains(&format!("\"external_id\":\"test-{number}\"")), "test-{number} is lost");
    }
    server.stop();
    let data = data.display().to_string();
    assert!(run(&["check", "--data", &data]).succeeds().stdout.ends_with("all is well\n"));
}

/// Sends this on a connection of its own, and waits for the status of the answer; `None` where none comes.
fn status(stream: &mut TcpStream, request: &str) -> Option<String> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line[9..]).into_owned())
}

#[test]
fn heads_and_connections_are_as_many_as_is_set() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--header-bytes", "65536", "--connections", "1"]);
    let head = |bytes: usize| {
        format!("GET /health HTTP/1.1\r\nHost: {}\r\nX-Fill: {}\r\n\r\n", server.address, "x".repeat(bytes))
    };
    let connect = || {
        let stream = TcpStream::connect(server.address).expect("the system takes connections");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        stream
    };
    let mut first = connect();
    assert_eq!(status(&mut first, &head(40_000)).as_deref(), Some("200"), "the default is 16 KiB");
    let mut second = connect();
    second.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    assert_eq!(status(&mut second, &head(0)), None, "it waits to be accepted");
    drop(first);
    second.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut line = [0; 12];
    second.read_exact(&mut line).expect("its turn has come");
    assert!(line.ends_with(b"200"));
    drop(second);
    assert_eq!(status(&mut connect(), &head(200_000)).as_deref(), Some("431"));
}

#[test]
fn a_request_that_does_not_end_is_cut_off_after_the_time_that_is_set() {
    let folder = Folder::new();
    let server = Server::start_with(
        &["serve", "--demo", "--listen", "127.0.0.1:0", "--data", &folder.arg("data")],
        &[("MAITRED_DRAIN_SECONDS", "0"), ("MAITRED_OVERLAY_BYTES", "33554432")],
    );
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    let head = "PUT /v1/tenants/demo/appointments/a HTTP/1.1\r\nContent-Type: application/json\r\n";
    let open =
        format!("{head}Host: {}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", server.address);
    assert_eq!(status(&mut stream, &open).as_deref(), Some("100"), "the handler waits for the body");
    let errors = server.stop();
    assert!(errors.contains("requests were still open when the server stopped"), "{errors}");
}
