//! Whom the guard lets through.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use maitred_connectors::outgoing::{
    Bounds, Client, Failure, HeaderMap, Method, Request, Rules, Settings, Target,
};

use super::server::{Names, SHORT, Server, Then, client, get, local};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

async fn refused(client: &Client, url: &str) -> String {
    match get(client, url, Bounds::WEBHOOK).await {
        Err(Failure::Refused(refused)) => refused.to_string(),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_refused_before_anything_connects() {
    let server = Server::start(OK, Then::Closes).await;
    let port = server.at.port();
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "64:ff9b::7f00:1"]
    {
        let client = client(&[], Names::new(&[&[address]]));
        let why = refused(&client, &format!("http://rebound.example:{port}/")).await;
        assert!(why.starts_with("rebound.example has a"), "{address}: {why}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_mixes_public_and_private_addresses_is_refused_as_a_whole() {
    let server = Server::start(OK, Then::Closes).await;
    for mixed in [["1.1.1.1", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["2606:4700::1", "fd00::1"]] {
        let client = client(&[], Names::new(&[&mixed]));
        refused(&client, &format!("http://mixed.example:{}/", server.at.port())).await;
    }
    // An allowed host may have both, and still nothing that is never spoken to.
    let client =
        client(&["mixed.example"], Names::new(&[&["127.0.0.1", "1.1.1.1"], &["127.0.0.1", "fe80::1"]]));
    let url = format!("http://mixed.example:{}/", server.at.port());
    assert_eq!(get(&client, &url, Bounds::WEBHOOK).await.expect("allowed").status, 200);
    refused(&client, &url).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_goes_to_the_address_that_was_looked_at_and_the_name_is_asked_once() {
    let server = Server::start(OK, Then::Closes).await;
    let names = Names::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let asked = Arc::clone(&names.asked);
    let client = client(&["rebound.example"], names);
    let url = format!("http://rebound.example:{}/", server.at.port());
    assert_eq!(get(&client, &url, Bounds::WEBHOOK).await.expect("an answer").status, 200);
    assert_eq!((asked.load(Ordering::SeqCst), server.connections()), (1, 1));
    refused(&client, &url).await;
    assert_eq!((asked.load(Ordering::SeqCst), server.connections()), (2, 1));
}

#[tokio::test]
async fn an_address_in_the_url_is_refused_though_no_name_is_resolved() {
    let server = Server::start(OK, Then::Closes).await;
    let strict = client(&[], Names::new(&[&["1.1.1.1"]]));
    let port = server.at.port();
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost", "localhost."] {
        refused(&strict, &format!("http://{host}:{port}/")).await;
    }
    // Nor does it help to have the URL looked at elsewhere, under other rules.
    let lenient = Rules::new(["127.0.0.1".parse().expect("a host")]);
    let target = Target::parse(&server.url("/"), &lenient).expect("allowed there");
    let request =
        Request { method: Method::GET, target: &target, headers: HeaderMap::new(), body: Default::default() };
    let failure = strict.send(request, Bounds::WEBHOOK).await.expect_err("refused here");
    assert!(matches!(failure, Failure::Refused(_)), "{failure}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn localhost_is_what_it_is_called_whatever_a_resolver_says() {
    let client = client(&[], Names::new(&[&["1.1.1.1"]]));
    for host in ["localhost", "LOCALHOST.", "db.localhost"] {
        refused(&client, &format!("http://{host}/")).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let hidden = Server::start(OK, Then::Closes).await;
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent"]
    {
        let head = format!("HTTP/1.1 {status}\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", hidden.url("/"));
        let server = Server::start(head, Then::Closes).await;
        let answer = get(&local(), &server.url("/"), Bounds::WEBHOOK).await.expect("an answer");
        assert!(answer.status.is_redirection(), "{}", answer.status);
        assert_eq!(answer.headers["location"], hidden.url("/"));
        assert_eq!(answer.body.whole().await, Ok(Vec::new()));
    }
    assert_eq!(hidden.connections(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_or_an_answer_is_a_failure() {
    let none = client(&[], Names::new(&[&[]]));
    let failure = get(&none, "http://none.example/", Bounds::WEBHOOK).await.expect_err("no address");
    assert!(matches!(failure, Failure::Unresolved(_)), "{failure}");
    let silent = client(&[], Names::default());
    let bounds = Bounds { connect: SHORT.answer, ..Bounds::WEBHOOK };
    let failure = get(&silent, "http://silent.example/", bounds).await.expect_err("no answer");
    assert_eq!(failure, Failure::TimedOut("connecting"));
}

#[tokio::test]
async fn another_address_is_tried_where_one_takes_no_connection() {
    let server = Server::start(OK, Then::Closes).await;
    let client = client(&["twice.example"], Names::new(&[&["127.0.0.2", "127.0.0.1"]]));
    let url = format!("http://twice.example:{}/", server.at.port());
    assert_eq!(get(&client, &url, Bounds::WEBHOOK).await.expect("an answer").status, 200);
    drop(server);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let failure =
        get(&local(), &format!("http://{closed}/"), Bounds::WEBHOOK).await.expect_err("nobody there");
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
}

#[tokio::test]
async fn the_system_resolver_knows_this_machine_and_the_guard_refuses_it() {
    let server = Server::start(OK, Then::Closes).await;
    let url = format!("http://localhost:{}/", server.at.port());
    let strict = Client::new(Settings::default()).expect("a client");
    refused(&strict, &url).await;
    let allowed = vec!["localhost".parse().expect("a host")];
    let lenient = Client::new(Settings { allowed, roots: Vec::new() }).expect("a client");
    assert_eq!(get(&lenient, &url, Bounds::WEBHOOK).await.expect("an answer").status, 200);
}
