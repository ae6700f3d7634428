//! `/v1/tenants/{tenant}/imports`.

use serde_json::{Value, json};

use crate::server::Server;

const HERE: &str = "/v1/tenants/default/imports";
const CSV: &str = "id,name,created_at\nc1,Ann,2024-01-01\nc2,Bob,2024-01-01\n";

/// The lines of the answer to an import.
#[track_caller]
fn import(server: &Server, query: &str, content_type: &str, body: &[u8]) -> Vec<Value> {
    let mut request = server.post(format!("{HERE}{query}")).bytes(body);
    if !content_type.is_empty() {
        request = request.header("Content-Type", content_type);
    }
    let answer = request.send();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/x-ndjson")),
        "{}",
        answer.text()
    );
    answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn done(imported: u64, unchanged: u64, refused: u64, problems: u64) -> Value {
    json!({"type": "done", "imported": imported, "unchanged": unchanged, "refused": refused, "problems": problems})
}

#[test]
fn the_format_is_told_by_the_query_the_content_type_or_the_content() {
    let server = Server::open();
    let object = "{\"id\":\"c3\",\"name\":\"Cleo\",\"createdAt\":\"2024-01-01\"}";
    assert_eq!(import(&server, "", "text/csv; charset=utf-8", CSV.as_bytes()), [done(2, 0, 0, 0)]);
    assert_eq!(import(&server, "?format=csv", "application/json", CSV.as_bytes()), [done(0, 2, 0, 0)]);
    assert_eq!(import(&server, "", "", CSV.as_bytes()), [done(0, 2, 0, 0)]);
    assert_eq!(import(&server, "", "application/x-ndjson", object.as_bytes()), [done(1, 0, 0, 0)]);
    assert_eq!(import(&server, "?format=json&kind=customers", "", object.as_bytes()), [done(0, 1, 0, 0)]);
    let sql = "INSERT INTO customers (id, name, created_at) VALUES ('c4', 'Dan', '2024-01-01');";
    assert_eq!(import(&server, "", "application/x-www-form-urlencoded", sql.as_bytes()), [done(1, 0, 0, 0)]);
    assert_eq!(import(&server, "", "", b""), [done(0, 0, 0, 0)]);
}

#[test]
fn the_newest_change_wins_whatever_the_order() {
    let server = Server::open();
    let row = |name: &str, at: &str| format!("id,name,created_at,updated_at\nc1,{name},2024-01-01,{at}\n");
    for (name, at, expected) in [
        ("Ann", "2024-02-01", done(1, 0, 0, 0)),
        ("Anna", "2024-03-01", done(1, 0, 0, 0)),
        ("Ann", "2024-02-15", done(0, 1, 0, 0)),
    ] {
        assert_eq!(import(&server, "", "text/csv", row(name, at).as_bytes()), [expected], "{name}");
    }
}

#[test]
fn problems_are_told_with_their_lines_in_order() {
    let server = Server::open();
    let input = "id,customer_id,title,date,status,price,currency,created_at\n\
        b1,c1,Cut,2024-01-01T10:00:00Z,completed,45.5,EUR,2024-01-01\n\
        b2,c1,Cut,2024-01-01T10:00:00Z,lost,45.5,EUR,2024-01-01\n\
        b3,c1,Cut\n\
        b4,c1,Cut,2024-01-01T10:00:00Z,pending,45.5,EUR,2024-01-01";
    let lines = import(&server, "", "text/csv", input.as_bytes());
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((&lines[0]["line"], &lines[0]["code"]), (&json!(3), &json!("record-invalid")));
    assert_eq!((&lines[1]["line"], &lines[1]["code"]), (&json!(4), &json!("record-malformed")));
    assert!(lines[0]["detail"].as_str().is_some_and(|detail| detail.contains("lost")), "{lines:?}");
    assert_eq!(lines[2], done(2, 0, 0, 2));
}

#[test]
fn records_of_two_salons_are_not_mixed() {
    let server = Server::open();
    let input = "id,tenantId,name,created_at\nc1,APPA,Ann,2024-01-01\nc2,appa,Bob,2024-01-01\nc3,appb,Cleo,2024-01-01\n";
    let lines = import(&server, "", "text/csv", input.as_bytes());
    assert_eq!((&lines[0]["line"], &lines[0]["code"]), (&json!(4), &json!("tenant-differs")));
    assert_eq!(lines[1], done(2, 0, 1, 0));
}

#[test]
fn what_is_no_import_is_refused() {
    let server = Server::open();
    let post = |path: &str| server.post(path).bytes(CSV);
    for (request, expected) in [
        (post("/v1/tenants/nobody/imports"), (404, "tenant-not-found")),
        (post(&format!("{HERE}?format=xml")), (400, "query-invalid")),
        (post(&format!("{HERE}?kind=dogs")), (400, "query-invalid")),
        (post(&format!("{HERE}?foo=1")), (400, "query-invalid")),
        (post(HERE).header("Content-Type", "application/xml"), (415, "content-type-unsupported")),
        (post(HERE).header("Content-Encoding", "gzip"), (415, "content-encoding-unsupported")),
    ] {
        let (status, code) = request.send().refusal();
        assert_eq!((status, &*code), expected);
    }
}
