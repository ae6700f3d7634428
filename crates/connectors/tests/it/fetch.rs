//! Fetching feeds from servers that answer, fail, hang and drip.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maitred_connectors::feed_fetch::{
    Circuit, FAILURES_MAX, Failure, Fetched, Fetcher, Order, PIECE_BYTES, SPOOLS_BYTES_MAX, Settings, Spool,
    check_header,
};
use maitred_connectors::outgoing::{self, Client, Validators};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is served to a request.
#[derive(Debug, Clone)]
enum Answer {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing, for ever.
    Hang(Vec<u8>),
    /// This head, then a byte every 20 ms.
    Drip(&'static str),
}

fn status(line: &str, headers: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\n\r\n").into_bytes())
}

fn feed(headers: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// Answers each path with one of its answers after the other, and with the last for ever.
struct Server {
    at: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: impl IntoIterator<Item = (&'static str, Vec<Answer>)>) -> Self {
        let answers: Arc<HashMap<_, _>> = Arc::new(answers.into_iter().collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Server { at: listener.local_addr().expect("an address"), heads: Arc::default() };
        let heads = Arc::clone(&server.heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&heads)));
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn requests(&self) -> usize {
        self.heads.lock().expect("no panic").len()
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<HashMap<&'static str, Vec<Answer>>>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).expect("ASCII");
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    let answer = {
        let mut heads = heads.lock().expect("no panic");
        let before = heads.iter().filter(|head| head.split(' ').nth(1) == Some(&path)).count();
        heads.push(head);
        let of_path = &answers[&*path];
        of_path[before.min(of_path.len() - 1)].clone()
    };
    let _ = match answer {
        Answer::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            stream.shutdown().await
        }
        Answer::Hang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending().await
        }
        Answer::Drip(head) => {
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                sent = stream.write_all(b" ").await;
            }
            sent
        }
    };
}

/// A folder that is removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("maitred-fetch-{}-{number}", std::process::id())))
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fetcher_with(folder: &Folder, slots: usize, spools_bytes_max: u64) -> Fetcher {
    let allowed = vec!["127.0.0.1".parse().expect("a host")];
    let client = Client::new(outgoing::Settings { allowed, roots: Vec::new() }).expect("a client");
    // The least of all waits.
    let settings = Settings { folder: folder.0.clone(), slots, spools_bytes_max, random: |_| 0 };
    Fetcher::new(client, settings).expect("a folder")
}

fn fetcher(folder: &Folder) -> Fetcher {
    fetcher_with(folder, 256, SPOOLS_BYTES_MAX)
}

const LONG: Duration = Duration::from_secs(60);

async fn fetch(fetcher: &Fetcher, provider: &str, url: &str) -> Fetched {
    fetch_within(fetcher, provider, url, LONG).await
}

async fn fetch_within(fetcher: &Fetcher, provider: &str, url: &str, timeout: Duration) -> Fetched {
    let kept = &Validators::default();
    fetcher.fetch(&Order { provider, url, headers: &[], kept, timeout, bytes_max: 10_000_000 }).await
}

fn text(spool: &Spool) -> String {
    let mut text = String::new();
    spool.rewound().expect("a file").read_to_string(&mut text).expect("text");
    text
}

fn failure(fetched: Fetched) -> (Failure, u32) {
    (fetched.feed.expect_err("no feed"), fetched.tries)
}

#[tokio::test]
async fn a_feed_is_spooled_to_a_file_without_a_name_and_asked_for_again_only_if_it_has_changed() {
    let headers = "ETag: \"v1\"\r\nContent-Type: text/xml; Charset=\"ISO-8859-1\"\r\n";
    let server =
        Server::start([("/feed", vec![feed(headers, b"<planList/>"), status("304 Not Modified", "")])]).await;
    let folder = Folder::new();
    let fetcher = fetcher(&folder);
    let secret = [("X-Api-Key".to_owned(), "s3cr3t".to_owned())];
    let url = server.url("/feed");
    let order =
        |kept| Order { provider: "a", url: &url, headers: &secret, kept, timeout: LONG, bytes_max: 100 };
    let none = Validators::default();
    let fetched = fetcher.fetch(&order(&none)).await;
    assert!(!format!("{fetched:?} {fetcher:?}").contains("s3cr3t"));
    let spool = fetched.feed.expect("a feed").expect("it is new");
    assert_eq!(
        (text(&spool).as_str(), spool.bytes(), spool.charset()),
        ("<planList/>", 11, Some("ISO-8859-1"))
    );
    assert_eq!(text(&spool), "<planList/>", "it can be read again");
    assert_eq!(folder.names(), Vec::<String>::new());
    assert!(fetcher.fetch(&order(spool.validators())).await.feed.expect("an answer").is_none());
    let heads = server.heads.lock().expect("no panic").join("").to_lowercase();
    assert_eq!(heads.matches("x-api-key: s3cr3t\r\n").count(), 2, "{heads}");
    assert_eq!(heads.matches("if-none-match: \"v1\"\r\n").count(), 1, "{heads}");
    assert_eq!(heads.matches("accept-encoding: identity\r\n").count(), 2, "{heads}");
}

#[tokio::test]
async fn a_large_feed_comes_whole() {
    let body: Vec<u8> = (0..PIECE_BYTES * 3 + 17).map(|at| b'a' + (at % 23) as u8).collect();
    let server = Server::start([("/feed", vec![feed("", &body)])]).await;
    let folder = Folder::new();
    let spool =
        fetch(&fetcher(&folder), "a", &server.url("/feed")).await.feed.expect("a feed").expect("it is new");
    assert!(text(&spool).as_bytes() == body && spool.bytes() == body.len() as u64);
}

/// A path, its answers, the status that the fetch ends with, and how often it asked.
type Row = (&'static str, Vec<Answer>, Result<(), u16>, u32);

#[tokio::test]
async fn what_is_temporary_is_tried_again_and_the_rest_is_not() {
    let good = || feed("", b"<planList/>");
    let folder = Folder::new();
    let fetcher = fetcher(&folder);
    let rows: [Row; 9] = [
        ("/500", vec![status("500 Oh", ""), status("503 Oh", "Retry-After: 0\r\n"), good()], Ok(()), 3),
        ("/429", vec![status("429 Slow down", ""), good()], Ok(()), 2),
        ("/408", vec![status("408 Late", ""), good()], Ok(()), 2),
        ("/down", vec![status("502 Down", "")], Err(502), 3),
        ("/404", vec![status("404 Gone", "")], Err(404), 1),
        ("/204", vec![status("204 None", "")], Err(204), 1),
        ("/304", vec![status("304 Not asked", "")], Err(304), 1),
        ("/302", vec![status("302 There", "Location: /500\r\n")], Err(302), 1),
        ("/rest", vec![status("503 Rest", "Retry-After: 300\r\n"), good()], Err(503), 1),
    ];
    let server = Server::start(rows.iter().map(|(path, answers, ..)| (*path, answers.clone()))).await;
    for (path, _, expected, tries) in rows {
        let fetched = fetch(&fetcher, path, &server.url(path)).await;
        let found = match &fetched.feed {
            Ok(feed) if feed.is_some() => Ok(()),
            Ok(_) => Err(304),
            Err(Failure::Status { status, .. }) => Err(*status),
            Err(other) => panic!("{path}: {other}"),
        };
        assert_eq!((found, fetched.tries), (expected, tries), "{path}");
    }
    // Who asked for a rest is left alone.
    let before = server.requests();
    let (failure, tries) = failure(fetch(&fetcher, "/rest", &server.url("/rest")).await);
    let Failure::CircuitOpen { again_in } = failure else { panic!("{failure}") };
    assert!(again_in > Duration::from_secs(290) && again_in <= Duration::from_secs(300), "{again_in:?}");
    assert_eq!((tries, server.requests()), (0, before));
}

#[tokio::test]
async fn what_is_slow_too_long_or_broken_leaves_nothing_behind() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<plan\r\n";
    let server = Server::start([
        ("/hang", vec![Answer::Hang(Vec::new())]),
        ("/body", vec![Answer::Hang(head.into())]),
        ("/drip", vec![Answer::Drip(head)]),
        ("/long", vec![Answer::Hang(head.replace("9000000", "10000001").into_bytes())]),
        ("/cut", vec![Answer::Bytes(head.into())]),
        ("/chunks", vec![Answer::Bytes(chunks.into())]),
        ("/noise", vec![Answer::Bytes(b"\0\0\0\0".to_vec())]),
    ])
    .await;
    let folder = Folder::new();
    let fetcher = fetcher(&folder);
    for (path, code) in [
        ("/hang", "provider-too-slow"),
        ("/body", "provider-too-slow"),
        ("/drip", "provider-too-slow"),
        ("/long", "feed-too-long"),
        ("/cut", "provider-answer-broken"),
        ("/chunks", "provider-answer-broken"),
        ("/noise", "provider-answer-broken"),
    ] {
        let timeout = Duration::from_millis(150);
        let (failure, tries) = failure(fetch_within(&fetcher, path, &server.url(path), timeout).await);
        assert_eq!((failure.code(), tries), (code, 1), "{path}: {failure}");
        assert_eq!(folder.names(), Vec::<String>::new(), "{path}");
    }
    let nowhere = fetch(&fetcher, "x", "http://10.0.0.1/feed").await;
    assert_eq!(failure(nowhere).0.code(), "provider-url-refused");
}

#[tokio::test]
async fn those_that_hang_do_not_hold_up_the_others() {
    let server = Server::start([
        ("/good", vec![feed("", b"<planList/>")]),
        ("/hang", vec![Answer::Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec())]),
    ])
    .await;
    let (good, hang) = (server.url("/good"), server.url("/hang"));
    // With room for all, and with eight slots once it is known who hangs. No clock decides: those that hang would do so
    // for a minute, and the others are waited for meanwhile.
    for slots in [256, 8] {
        let folder = Folder::new();
        let fetcher = Arc::new(fetcher_with(&folder, slots, SPOOLS_BYTES_MAX));
        let spawn = |name: String, url: &str, timeout: Duration| {
            let (fetcher, url) = (Arc::clone(&fetcher), url.to_owned());
            tokio::spawn(async move { fetch_within(&fetcher, &name, &url, timeout).await.feed.is_ok() })
        };
        if slots == 8 {
            let first: Vec<_> =
                (0..50).map(|number| spawn(format!("h{number}"), &hang, Duration::from_millis(50))).collect();
            for fetch in first {
                assert!(!fetch.await.expect("no panic"));
            }
        }
        let hanging: Vec<_> = (0..50).map(|number| spawn(format!("h{number}"), &hang, LONG)).collect();
        let begun = std::time::Instant::now();
        let others: Vec<_> = (0..150).map(|number| spawn(format!("g{number}"), &good, LONG)).collect();
        for fetch in others {
            assert!(fetch.await.expect("no panic"));
        }
        println!("{slots} slots: 150 feeds in {:?} beside 50 that hang", begun.elapsed());
        for fetch in hanging {
            assert!(!fetch.is_finished());
            fetch.abort();
        }
    }
}

#[tokio::test]
async fn a_provider_is_asked_by_one_fetch_at_a_time() {
    let server = Server::start([("/feed", vec![Answer::Hang(Vec::new()), feed("", b"<planList/>")])]).await;
    let folder = Folder::new();
    let fetcher = fetcher(&folder);
    let url = server.url("/feed");
    {
        let mut first = Box::pin(fetch(&fetcher, "a", &url));
        let until_asked = async {
            while server.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = &mut first => panic!("it hangs"),
            () = until_asked => {}
        }
        assert_eq!(failure(fetch(&fetcher, "a", &url).await), (Failure::Busy, 0));
    }
    // The first was given up: the provider is free again, and nothing is held against it.
    assert!(fetch(&fetcher, "a", &url).await.feed.is_ok());
}

#[tokio::test]
async fn a_circuit_opens_after_failures_and_closes_when_it_is_forgotten_or_works() {
    let mut answers = vec![status("404 Gone", ""); FAILURES_MAX as usize];
    answers.push(feed("", b"<planList/>"));
    let server = Server::start([("/feed", answers.clone()), ("/other", answers)]).await;
    let folder = Folder::new();
    let fetcher = fetcher(&folder);
    for failures in 1..=FAILURES_MAX {
        assert_eq!(fetcher.circuit("a"), Circuit::Closed, "{failures}");
        fetch(&fetcher, "a", &server.url("/feed")).await.feed.expect_err("it is gone");
    }
    assert_eq!(fetcher.circuit("a"), Circuit::Open);
    let (failure, tries) = failure(fetch(&fetcher, "a", &server.url("/feed")).await);
    assert_eq!(
        (failure.code(), tries, server.requests()),
        ("provider-circuit-open", 0, FAILURES_MAX as usize)
    );
    assert_eq!(fetcher.circuit("b"), Circuit::Closed);
    fetcher.forget("a");
    assert!(fetch(&fetcher, "a", &server.url("/feed")).await.feed.is_ok());
    for _ in 1..FAILURES_MAX {
        fetch(&fetcher, "a", &server.url("/other")).await.feed.expect_err("it is gone");
    }
    assert!(fetch(&fetcher, "a", &server.url("/feed")).await.feed.is_ok(), "what works is forgiven");
    fetch(&fetcher, "a", &server.url("/other")).await.feed.expect_err("it is gone");
    assert_eq!(fetcher.circuit("a"), Circuit::Closed);
}

#[tokio::test]
async fn the_disk_has_a_bound_and_spools_of_the_dead_are_removed() {
    let server = Server::start([("/feed", vec![feed("", &[b' '; 600])])]).await;
    let folder = Folder::new();
    std::fs::create_dir_all(&folder.0).expect("a folder");
    std::fs::write(folder.0.join("7.spool"), "left behind").expect("a file");
    let fetcher = fetcher_with(&folder, 4, 1_000);
    assert_eq!(folder.names(), Vec::<String>::new());
    let url = server.url("/feed");
    let first = fetch(&fetcher, "a", &url).await.feed.expect("a feed");
    assert_eq!(failure(fetch(&fetcher, "b", &url).await).0, Failure::NoRoom(1_000));
    drop(first);
    let again = fetch(&fetcher, "b", &url).await.feed.expect("there is room again");
    assert_eq!(again.map(|spool| spool.bytes()), Some(600));
}

#[test]
fn headers_of_an_order_are_checked_and_their_values_never_told() {
    for (name, value) in [("X-Api-Key", "s3cr3t"), ("authorization", "Bearer s3cr3t"), ("accept", "text/xml")]
    {
        assert_eq!(check_header(name, value), Ok(()), "{name}");
    }
    for (name, value) in [
        ("Host", "s3cr3t"),
        ("content-length", "s3cr3t"),
        ("te", "s3cr3t"),
        ("a b", "s3cr3t"),
        ("", "s3cr3t"),
        ("x", "s3cr3t\n"),
    ] {
        let why = check_header(name, value).expect_err("it cannot be sent");
        assert!(!why.contains("s3cr3t"), "{why}");
    }
}
