//! `/v1/tenants/{tenant}/imports`.

use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::client::Answer;
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
    json!({
        "type": "done", "read": imported + unchanged + refused + problems,
        "imported": imported, "unchanged": unchanged, "refused": refused, "problems": problems, "untold": 0,
    })
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
    assert_eq!(lines[0]["id"], "c3");
    assert_eq!(lines[1], done(2, 0, 1, 0));
}

#[test]
fn however_many_records_are_broken_the_rest_is_imported_and_each_is_named() {
    const BROKEN: u64 = 12_000;
    let server = Server::open();
    // A record, and a broken one, again and again; then broken ones alone, and at last a record.
    let record = |id: u64| format!("c{id},Ann,2024-01-01\n");
    let mut input = "id,name,created_at\n".to_owned();
    (0..100).for_each(|id| input += &(record(id) + "c,\"An\"n,2024-01-01\n"));
    (100..BROKEN).for_each(|_| input += "c,Ann\n");
    input += &record(100);

    let mut told: Vec<u64> = Vec::new();
    let mut query = String::new();
    loop {
        let lines = import(&server, &query, "text/csv", input.as_bytes());
        let (last, lines) = lines.split_last().expect("a last line");
        let problems: Vec<_> = lines.iter().filter(|line| line["type"] == "problem").collect();
        let imported = if query.is_empty() { 101 } else { 0 };
        let untold = BROKEN - problems.len() as u64;
        assert_eq!(
            last,
            &json!({
                "type": "done", "read": BROKEN + 101, "imported": imported, "unchanged": 101 - imported, "refused": 0,
                "problems": BROKEN, "untold": untold,
            })
        );
        assert!(problems.iter().all(|problem| problem["code"] == "record-malformed"));
        told.extend(problems.iter().map(|problem| problem["line"].as_u64().expect("a line")));
        let Some(last) = problems.last() else { break };
        assert!(problems.len() <= if query.is_empty() { 1_000 } else { 5_000 }, "{}", problems.len());
        query = format!("?problems_max=5000&problems_after={}", last["byte"]);
    }
    let expected = (0..100).map(|id| 3 + 2 * id).chain(202..202 + BROKEN - 100);
    assert_eq!(told, expected.collect::<Vec<_>>());
}

#[test]
fn every_record_is_answered_for_where_that_is_asked_for() {
    let server = Server::open();
    assert_eq!(import(&server, "", "text/csv", CSV.as_bytes()), [done(2, 0, 0, 0)]);
    let input = "id,name,created_at\nc2,Bob,2024-01-01\nc,\"B\"ob,x\nc3,Cleo,2024-01-01\n";
    let lines = import(&server, "?outcomes=all", "text/csv", input.as_bytes());
    let record = |line: u64, byte: u64, id: &str, outcome: &str| json!({"type": "record", "line": line, "byte": byte, "id": id, "outcome": outcome});
    assert_eq!(lines[0], record(2, 19, "c2", "unchanged"));
    assert_eq!((&lines[1]["type"], &lines[1]["line"]), (&json!("problem"), &json!(3)));
    assert_eq!(lines[2], record(4, 47, "c3", "imported"));
    assert_eq!(lines[3], done(1, 1, 0, 1));
}

#[test]
fn an_input_of_another_format_fails() {
    let server = Server::open();
    for (query, input) in [
        ("?format=csv", "name;day\nAnn;monday\n"),
        ("?format=json", "<xml><customer/></xml>"),
        ("?format=sql", "id,name\n1,2\n"),
        ("?format=avro", "no Avro"),
    ] {
        let lines = import(&server, query, "", input.as_bytes());
        let last = lines.last().expect("a line");
        assert_eq!((&last["type"], &last["imported"]), (&json!("failed"), &json!(0)), "{query}: {lines:?}");
        assert!(last["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{lines:?}");
    }
}

#[test]
fn a_tenant_that_is_missing_is_made_by_whoever_may_make_tenants() {
    let server = Server::with_keys();
    let post = |tenant: &str| {
        server.post(format!("/v1/tenants/{tenant}/imports?time_zone=Europe/Lisbon")).bytes(CSV)
    };
    let told = |answer: &Answer| serde_json::from_str::<Value>(answer.text()).expect("one line of JSON");
    let [owner, key] = [Role::Owner, Role::Integration].map(|role| server.tenant_key("salon", role));
    for (request, expected) in [
        (post("new").instead("Authorization", &format!("Bearer {owner}")), (403, "forbidden")),
        (post("new").instead("Authorization", &format!("Bearer {key}")), (403, "forbidden")),
        (post("No-Slug"), (404, "tenant-not-found")),
        (server.post("/v1/tenants/new/imports?time_zone=Mars/Base").bytes(CSV), (400, "query-invalid")),
        (server.post("/v1/tenants/new/imports?format=xml").bytes(CSV), (400, "query-invalid")),
        (server.get("/v1/tenants/new"), (404, "tenant-not-found")),
    ] {
        let (status, code) = request.send().refusal();
        assert_eq!((status, &*code), expected);
    }
    for expected in [done(2, 0, 0, 0), done(0, 2, 0, 0)] {
        assert_eq!(told(&post("new").send()), expected);
    }
    assert_eq!(server.get("/v1/tenants/new").send().ok(200)["time_zone"], "Europe/Lisbon");
    assert_eq!(
        server.get("/v1/tenants/new/customers").send().ok(200)["items"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(told(&post("salon").send()), done(2, 0, 0, 0));
    let zone = &server.get("/v1/tenants/salon").send().ok(200)["time_zone"];
    assert_eq!(zone, "Europe/Berlin", "one that is there keeps its own");
    server.delete("/v1/tenants/new").send().ok(200);
    assert_eq!(post("new").send().refusal(), (409, "slug-taken".to_owned()));
}

#[test]
fn what_is_no_import_is_refused() {
    let server = Server::open();
    let post = |path: &str| server.post(path).bytes(CSV);
    for (request, expected) in [
        (post("/v1/tenants/No-Slug/imports"), (404, "tenant-not-found")),
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
