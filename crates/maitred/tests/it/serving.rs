//! The socket: how a server stops, and what clients may leave undone.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::stream;
use maitred::connection::Patience;
use maitred::gate::Gate;
use maitred::router;
use maitred::serve::{Bounds, serve_within};
use maitred::starting::Starting;
use maitred_web::limits::BodySilenceMax;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tower::Layer;

use crate::server::Server;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// What is over soon, in a test that would else take [`LONG`].
const SOON: Duration = Duration::from_secs(20);
/// A bound that is to be passed.
const SHORT: Duration = Duration::from_millis(100);
const PATIENT: Patience = Patience { head: LONG, idle: LONG, unread: LONG, stopping: LONG };
const BOUNDS: Bounds = Bounds {
    connections_max: 64,
    header_bytes_max: 16_384,
    patience: PATIENT,
    refusing: LONG,
    drain_timeout: LONG,
};

/// A server of a few routes behind a gate.
struct Small {
    runtime: Runtime,
    address: SocketAddr,
    gate: Gate,
    /// Lets requests of `/slow` go on.
    go_on: Arc<Notify>,
    /// Hears when a request of `/slow` has begun, and when the body of an `/endless` answer is dropped.
    heard: mpsc::UnboundedReceiver<()>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// Tells when it is dropped.
struct Told(mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(()); // the test may be over
    }
}

impl Small {
    fn start(bounds: Bounds) -> Small {
        let (go_on, (tell, heard)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let slow = Arc::clone(&go_on);
        let begun = tell.clone();
        let slow = move || {
            let slow = Arc::clone(&slow);
            let _ = begun.send(()); // the test may be over
            async move {
                slow.notified().await;
                "at last"
            }
        };
        let endless = move || {
            let chunks = stream::unfold(Told(tell.clone()), |told| async {
                Some((Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 65_536])), told))
            });
            std::future::ready(Body::from_stream(chunks))
        };
        let routes = Router::new()
            .route("/", get(|| std::future::ready("ok")))
            .route("/slow", get(slow))
            .route("/endless", get(endless));
        Small::serve(bounds, routes, go_on, heard)
    }

    fn serve(
        bounds: Bounds,
        routes: Router,
        go_on: Arc<Notify>,
        heard: mpsc::UnboundedReceiver<()>,
    ) -> Small {
        let gate = Gate::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let service = gate.guard().layer(routes);
        let served = runtime.spawn(serve_within(bounds, listener, service, async { drop(stopped.await) }));
        Small { runtime, address, gate, go_on, heard, stop: Some(stop), served }
    }

    /// Waits for news from the routes; whether there were any soon.
    fn hears(&mut self) -> bool {
        let heard = async { tokio::time::timeout(SOON, self.heard.recv()).await };
        self.runtime.block_on(heard).is_ok()
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        Connection(BufReader::new(stream))
    }

    /// Closes the gate and stops the server, as a signal does.
    fn stop(&mut self) {
        self.gate.close();
        let _ = self.stop.take().expect("once").send(()); // it listens for it
    }

    /// Waits for the end, and tells how long that took.
    fn wait(&mut self) -> Duration {
        let started = Instant::now();
        self.runtime.block_on(&mut self.served).expect("no panic");
        started.elapsed()
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("the server reads");
    }

    fn ask(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    /// The head of the next answer in lower case, whose body is then read too if its length is known.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).expect("an answer in time"), 0, "cut short: {head:?}");
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if let Some(length) = length.and_then(|length| length.parse().ok()) {
            self.0.read_exact(&mut vec![0; length]).expect("the whole body");
        }
        head
    }

    #[track_caller]
    fn is_refused(&mut self) {
        self.ask("/");
        let head = self.head();
        assert!(head.starts_with("http/1.1 503 "), "{head}");
        assert!(
            head.contains("\r\nretry-after: 5\r\n") && head.contains("\r\nconnection: close\r\n"),
            "{head}"
        );
        self.0.read_to_end(&mut Vec::new()).expect("the rest, and the end of the connection");
    }

    #[track_caller]
    fn is_closed(&mut self) {
        match self.0.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("it is not closed: {other:?}"),
        }
    }
}

#[test]
fn a_stopping_server_refuses_in_words_on_kept_and_on_new_connections() {
    let mut server = Small::start(BOUNDS);
    let (mut kept, mut slow) = (server.connect(), server.connect());
    kept.ask("/");
    assert!(kept.head().starts_with("http/1.1 200 "));
    server.gate.unready();
    slow.ask("/health/ready");
    assert!(slow.head().starts_with("http/1.1 503 "), "readiness ends first");
    let mut slow = server.connect();
    slow.ask("/slow");
    assert!(server.hears(), "it is under way");
    server.stop();
    kept.is_refused();
    server.connect().is_refused();
    server.go_on.notify_one();
    assert!(slow.head().starts_with("http/1.1 200 "), "what was under way is finished");
    slow.is_refused();
    assert!(server.wait() < SOON);
    assert!(TcpStream::connect(server.address).is_err(), "the listener is closed at the end");
}

#[test]
fn new_connections_are_refused_in_words_as_long_as_requests_are_open() {
    let mut server = Small::start(Bounds { refusing: Duration::ZERO, ..BOUNDS });
    let (mut idle, mut slow) = (server.connect(), server.connect());
    idle.ask("/");
    assert!(idle.head().starts_with("http/1.1 200 "));
    slow.ask("/slow");
    assert!(server.hears(), "it is under way");
    server.stop();
    idle.is_closed(); // the time for refusing on kept connections is over
    for _ in 0..3 {
        server.connect().is_refused();
    }
    server.go_on.notify_one();
    assert!(slow.head().starts_with("http/1.1 200 "));
    assert!(server.wait() < SOON);
}

#[test]
fn a_server_that_starts_says_that_it_lives_and_gives_its_socket_on() {
    let runtime = Runtime::new().expect("a runtime");
    let begin = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Starting::begin(listener, BOUNDS).expect("a socket")
    };
    let (starting, listener) = runtime.block_on(begin);
    let address = listener.local_addr().expect("an address");
    let connect = || Connection(BufReader::new(TcpStream::connect(address).expect("the server accepts")));
    for (path, answer) in [
        ("/health/live", "http/1.1 200 ok\r\n"),
        ("/health/ready", "http/1.1 503 service unavailable\r\n"),
        ("/v1/tenants", "http/1.1 503 service unavailable\r\n"),
    ] {
        let mut client = connect();
        client.ask(path);
        let head = client.head();
        assert!(head.starts_with(answer) && head.contains("\r\nconnection: close\r\n"), "{path}: {head}");
        assert_eq!(head.contains("\r\nretry-after: "), path != "/health/live", "{path}: {head}");
        client.0.read_to_end(&mut Vec::new()).expect("the rest, and the end of the connection");
    }
    runtime.block_on(starting.end());
    // Who comes before the server is there waits for it.
    let mut early = connect();
    early.ask("/");
    let routes = Router::new().route("/", get(|| std::future::ready("ok")));
    runtime.spawn(serve_within(BOUNDS, listener, routes, std::future::pending()));
    assert!(early.head().starts_with("http/1.1 200 "));
}

#[test]
fn with_nothing_open_a_stop_takes_no_time() {
    let mut server = Small::start(BOUNDS);
    server.stop();
    assert!(server.wait() < SOON);
}

#[test]
fn whoever_is_refused_before_the_body_is_read_gets_the_answer_and_keeps_the_connection() {
    let server = Small::start(BOUNDS);
    let mut kept = server.connect();
    for length in [1, 70_000, 900_000, 8 << 20, 0, 3] {
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        kept.send(&format!("{head}{}", "x".repeat(length)));
        let head = kept.head();
        assert!(head.starts_with("http/1.1 405 ") && !head.contains("connection: close"), "{length}: {head}");
    }
    // In pieces, the last of them late.
    kept.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    std::thread::sleep(SHORT);
    kept.send("0\r\n\r\n");
    assert!(kept.head().starts_with("http/1.1 405 "));
    // One that asks first is not told to go on.
    kept.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    let head = kept.head();
    assert!(head.starts_with("http/1.1 405 ") && head.contains("\r\nconnection: close\r\n"), "{head}");
    kept.is_closed();
    // What never comes is not waited for.
    let mut silent = server.connect();
    silent.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc");
    let head = silent.head();
    assert!(head.starts_with("http/1.1 405 ") && head.contains("\r\nconnection: close\r\n"), "{head}");
    silent.is_closed();
}

#[test]
fn an_answer_that_nobody_takes_is_cut_off() {
    let mut server = Small::start(Bounds { patience: Patience { unread: SHORT, ..PATIENT }, ..BOUNDS });
    let mut client = server.connect();
    client.ask("/endless");
    assert!(server.hears(), "the answer is still held");
    drop(client);
}

#[test]
fn an_answer_that_nobody_takes_does_not_hold_up_a_stop() {
    let patience = Patience { stopping: SHORT, ..PATIENT };
    let mut server = Small::start(Bounds { patience, refusing: SHORT, ..BOUNDS });
    let mut client = server.connect();
    client.ask("/endless");
    assert!(client.head().starts_with("http/1.1 200 "));
    server.stop();
    assert!(server.wait() < SOON);
}

#[test]
fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let server = Small::start(Bounds { patience: Patience { head: SHORT, ..PATIENT }, ..BOUNDS });
    let mut client = server.connect();
    client.ask("/");
    client.head();
    client.0.get_ref().set_read_timeout(Some(10 * SHORT)).expect("a timeout");
    let silent = client.0.read(&mut [0]).expect_err("it is open and silent");
    assert!(matches!(silent.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silent}");
    client.0.get_ref().set_read_timeout(Some(LONG)).expect("a timeout");
    client.ask("/");
    assert!(client.head().starts_with("http/1.1 200 "), "it was kept");
    client.send("GET / HT"); // and no more
    client.is_closed();
    server.connect().is_closed(); // who connects and says nothing has as long as for a head
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let server = Small::start(Bounds { patience: Patience { idle: SHORT, ..PATIENT }, ..BOUNDS });
    let mut client = server.connect();
    client.ask("/slow");
    client.0.get_ref().set_read_timeout(Some(10 * SHORT)).expect("a timeout");
    assert!(client.0.read(&mut [0]).is_err(), "a request under way is not idle");
    client.0.get_ref().set_read_timeout(Some(LONG)).expect("a timeout");
    server.go_on.notify_one();
    assert!(client.head().starts_with("http/1.1 200 "));
    client.is_closed();
}

/// Begins an import, sends one line of it and nothing more; the answer's last line.
fn silent_import(silence_max: Duration, stop: impl FnOnce(&Server)) -> Value {
    let server = Server::open();
    let routes = router::router(&server.app).0.layer(Extension(BodySilenceMax(silence_max)));
    let small = Small::serve(BOUNDS, routes, Arc::default(), mpsc::unbounded_channel().1);
    let mut client = small.connect();
    client.send(
        "POST /v1/tenants/default/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{}\n",
    );
    assert!(client.head().starts_with("http/1.1 200 "));
    stop(&server);
    let mut body = String::new();
    client.0.read_to_string(&mut body).expect("text");
    let last = body.lines().rev().find(|line| line.starts_with('{')).expect("a line");
    serde_json::from_str(last).expect("JSON")
}

#[test]
fn an_import_that_falls_silent_stops() {
    let stopped = silent_import(SHORT, |_| {});
    assert_eq!((&stopped["type"], &stopped["detail"]), (&"stopped".into(), &"no byte came for 0.1 s".into()));
    let draining = silent_import(LONG, |server| server.app.readiness().drain());
    assert_eq!(draining["type"], "stopped", "{draining}");
    assert!(draining["detail"].as_str().is_some_and(|why| why.contains("shutting down")), "{draining}");
}
