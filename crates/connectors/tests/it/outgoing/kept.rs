//! Connections that are kept: when the next request goes over one of them, and when it must not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use maitred_connectors::outgoing::{Bounds, Client};

use super::server::{Names, Server, Then, client, get, local};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An answer that is read to its end.
async fn ask(client: &Client, url: &str) -> Vec<u8> {
    let answer = get(client, url, Bounds::WEBHOOK).await.expect("an answer");
    answer.body.whole().await.expect("a whole one")
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another_once_their_answers_are_read() {
    let server = Server::start(OK, Then::Keeps).await;
    let names = Names::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let asked = Arc::clone(&names.asked);
    let client = client(&["hooks.example"], names);
    let url = format!("http://hooks.example:{}/", server.at.port());
    for _ in 0..3 {
        assert_eq!(ask(&client, &url).await, b"ok");
    }
    assert_eq!((server.connections(), asked.load(Ordering::SeqCst)), (1, 1), "the name is asked once");
    // A second request at the same time needs another connection, and that one is judged anew.
    let first = get(&client, &url, Bounds::WEBHOOK).await.expect("an answer");
    let refused = get(&client, &url, Bounds::WEBHOOK).await.expect_err("the name means something else now");
    assert!(refused.to_string().contains("link-local"), "{refused}");
    // An answer that nobody reads ends its connection.
    drop(first);
    assert!(get(&client, &url, Bounds::WEBHOOK).await.is_err());
    assert_eq!((server.connections(), asked.load(Ordering::SeqCst)), (1, 3));
}

#[tokio::test]
async fn an_answer_without_a_body_need_not_be_read() {
    let server = Server::start("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n", Then::Keeps).await;
    let client = local();
    for _ in 0..3 {
        assert_eq!(get(&client, &server.url("/"), Bounds::FEED).await.expect("an answer").status, 304);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_is_of_one_host_alone() {
    let server = Server::start(OK, Then::Keeps).await;
    let names = Names::new(&[&["127.0.0.1"]]);
    let client = client(&["a.example", "b.example"], names);
    for host in ["a.example", "b.example", "A.example.", "b.example"] {
        ask(&client, &format!("http://{host}:{}/", server.at.port())).await;
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_closes_costs_nothing() {
    for (then, heads) in [(Then::Closes, 3), (Then::Leaves, 5)] {
        let server = Server::start(OK, then).await;
        let client = local();
        for _ in 0..3 {
            assert_eq!(ask(&client, &server.url("/")).await, b"ok", "{then:?}");
        }
        assert_eq!(server.connections(), 3, "{then:?}");
        // What was sent over a connection that closed is sent once more.
        assert_eq!(server.heads.lock().expect("no panic").len(), heads, "{then:?}");
    }
}

#[tokio::test]
async fn nothing_that_is_said_beforehand_is_taken_for_an_answer() {
    let twice = format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlies");
    let server = Server::start(twice, Then::Keeps).await;
    let client = local();
    for _ in 0..3 {
        assert_eq!(ask(&client, &server.url("/")).await, b"ok");
    }
    assert_eq!(server.connections(), 3);
}
