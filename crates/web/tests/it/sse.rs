//! Server-sent events.

use axum::response::Response;
use bytes::Bytes;
use maitred_web::sse::{event, stream};

fn check(id: Option<&str>, kind: Option<&str>, data: &str, expected: &str) {
    assert_eq!(event(id, kind, data), expected.as_bytes());
}

#[test]
fn an_event_is_lines_and_an_empty_line() {
    check(Some("0.42.1"), Some("change"), r#"{"a":1}"#, "id: 0.42.1\nevent: change\ndata: {\"a\":1}\n\n");
    check(None, None, "", "data: \n\n");
    check(None, None, "a\nb\r\nc\rd\n", "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    check(Some("1\n\ndata: x\0"), Some("a\r\nb"), "y", "id: 1data: x\nevent: ab\ndata: y\n\n");
}

async fn read(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a stream that ends");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn a_stream_tells_when_to_come_back_and_then_its_events() {
    let events = [event(Some("0.1.0"), None, "a"), event(Some("0.1.1"), None, "b")];
    let response = stream(futures_util::stream::iter(events));
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(read(response).await, "retry: 2000\n\nid: 0.1.0\ndata: a\n\nid: 0.1.1\ndata: b\n\n");
    assert_eq!(read(stream(futures_util::stream::empty::<Bytes>())).await, "retry: 2000\n\n");
}
