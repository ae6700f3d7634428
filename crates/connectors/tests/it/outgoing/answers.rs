//! What comes of answers: whole ones, broken ones, and such as never end.

use std::io::{Read, Seek, SeekFrom};

use maitred_connectors::outgoing::{
    Bounds, Failure, Fetched, HEADERS_MAX, HeaderMap, Method, Request, Target, Validators,
};

use super::server::{SHORT, Server, Then, get, local};

#[tokio::test]
async fn a_request_says_whom_it_is_for_and_carries_its_body() {
    let server = Server::start("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok", Then::Closes).await;
    let client = local();
    let target = Target::parse(&server.url("/in/a b?x=1#y"), client.rules()).expect("a target");
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "msg_1".parse().expect("a value"));
    headers.insert("host", "elsewhere".parse().expect("a value"));
    let request = Request { method: Method::POST, target: &target, headers, body: "{}".into() };
    let answer = client.send(request, Bounds::WEBHOOK).await.expect("an answer");
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body.whole().await.as_deref(), Ok(&b"ok"[..]));
    let head = server.heads.lock().expect("no panic").remove(0).to_lowercase();
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines[0], "post /in/a%20b?x=1 http/1.1");
    let host = format!("host: {}", server.at);
    let agent = concat!("user-agent: maitred/", env!("CARGO_PKG_VERSION"));
    for line in [host.as_str(), "webhook-id: msg_1", "content-length: 2", agent] {
        assert!(lines.contains(&line), "{line} in {head}");
    }
    assert!(!head.contains("connection:"), "it may be kept: {head}");
}

#[tokio::test]
async fn what_is_no_whole_answer_is_a_failure() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
    let large = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(100_000));
    for (answer, then, expected) in [
        ("", Then::Closes, "broken"),
        ("HTTP/1.1 20", Then::Closes, "broken"),
        ("HTTP/1.1 200 OK\r\ncontent-le", Then::Closes, "broken"),
        ("220 mail.example ESMTP\r\n", Then::Closes, "broken"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", Then::Closes, "broken"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Then::Closes, "broken"),
        ("", Then::Hangs, "too slow: waiting for an answer"),
        ("HTTP/1.1 200 OK\r\na: ", Then::Hangs, "too slow: waiting for an answer"),
        (&large, Then::Hangs, "the head of the answer"),
        (&many, Then::Closes, "the head of the answer"),
    ] {
        let server = Server::start(answer, then).await;
        let Err(failure) = get(&local(), &server.url("/"), SHORT).await else {
            panic!("{answer:.60} is an answer")
        };
        let shown = failure.to_string();
        assert!(shown.contains(expected), "{answer:.60}: {shown}");
    }
}

#[tokio::test]
async fn a_body_that_lies_is_a_failure_and_its_beginning_can_be_read() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let too_large = "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\nabc".to_owned();
    let endless = format!("{chunked}{}", "a\r\n0123456789\r\n".repeat(101));
    for (answer, then, expected, beginning) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".into(), Then::Closes, "broken", "abc"),
        (format!("{chunked}3\r\nabc\r\n"), Then::Closes, "broken", "abc"),
        (format!("{chunked}x\r\nabc\r\n"), Then::Closes, "broken", ""),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".into(), Then::Hangs, "too slow", "abc"),
        (too_large, Then::Hangs, "more than 1000 bytes", ""),
        (endless, Then::Hangs, "more than 1000 bytes", "0123456789"),
    ] {
        let server = Server::start(answer.as_str(), then).await;
        let read = get(&local(), &server.url("/"), SHORT).await.expect("a head");
        let failure = read.body.whole().await.expect_err(&answer).to_string();
        assert!(failure.contains(expected), "{answer}: {failure}");
        let read = get(&local(), &server.url("/"), SHORT).await.expect("a head");
        assert_eq!(read.body.beginning(10).await, beginning.as_bytes(), "{answer}");
    }
    // What stands behind the length that was said belongs to nobody.
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef", Then::Closes).await;
    let read = get(&local(), &server.url("/"), SHORT).await.expect("a head");
    assert_eq!(read.body.whole().await.as_deref(), Ok(&b"abc"[..]));
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_time_for_everything() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
    let server = Server::start(answer, Then::Hangs).await;
    let bounds = Bounds { silence: Bounds::FEED.silence, total: SHORT.silence, ..SHORT };
    let read = get(&local(), &server.url("/"), bounds).await.expect("a head");
    assert_eq!(read.body.whole().await, Err(Failure::TimedOut("waiting for more of the answer")));
}

#[tokio::test]
async fn a_feed_goes_to_a_file_and_comes_again_only_when_it_changed() {
    let feed: Vec<u8> = (0..5_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nETag: W/\"7\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: {}\r\n\r\n",
        feed.len()
    )
    .into_bytes();
    answer.extend_from_slice(&feed);
    let server = Server::start(answer, Then::Closes).await;
    let client = local();
    let target = Target::parse(&server.url("/feed.xml"), client.rules()).expect("a target");
    let fetched = client.fetch(&target, &Validators::default(), Bounds::FEED).await.expect("an answer");
    let Fetched::Changed { validators, body } = fetched else { panic!("{fetched:?}") };
    let path = std::env::temp_dir().join(format!("maitred-spool-{}", std::process::id()));
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    std::fs::remove_file(&path).expect("a file");
    let mut spooled = body.spool(file).await.expect("a body");
    assert_eq!(spooled.bytes, feed.len() as u64);
    let mut read = Vec::new();
    spooled.file.seek(SeekFrom::Start(0)).and_then(|_| spooled.file.read_to_end(&mut read)).expect("a file");
    assert!(read == feed, "the file holds what was sent");
    let expected = Validators {
        etag: Some("W/\"7\"".into()),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()),
    };
    assert_eq!(validators, expected);

    let server = Server::start("HTTP/1.1 304 Not Modified\r\n\r\n", Then::Hangs).await;
    let target = Target::parse(&server.url("/feed.xml"), client.rules()).expect("a target");
    let fetched = client.fetch(&target, &validators, Bounds::FEED).await.expect("an answer");
    assert!(matches!(fetched, Fetched::NotModified), "{fetched:?}");
    let head = server.heads.lock().expect("no panic").remove(0);
    for line in ["if-none-match: W/\"7\"", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT"] {
        assert!(head.lines().any(|found| found == line), "{line} in {head}");
    }

    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 17\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(busy, Then::Closes).await;
    let target = Target::parse(&server.url("/feed.xml"), client.rules()).expect("a target");
    let fetched = client.fetch(&target, &validators, Bounds::FEED).await.expect("an answer");
    let Fetched::Refused(answer) = fetched else { panic!("{fetched:?}") };
    assert_eq!((answer.status.as_u16(), answer.retry_after().map(|wait| wait.as_secs())), (503, Some(17)));
}
