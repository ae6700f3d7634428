//! Sesami's clients, many at once, with long lists, and in a server's bad moments.

use std::sync::Barrier;
use std::thread;

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use maitred_booking::Outcome;
use maitred_booking::appointments::{self, Cancel, RESOURCE_DEFAULT};
use maitred_booking::tenants::{self, CreateTenant};
use maitred_core::{Actor, TenantNumber, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa::openapi::path::HttpMethod;

use crate::client::Client;
use crate::rows;
use crate::server::Server;

const APPOINTMENTS: &str = "/api/appointments";

#[test]
fn every_recorded_request_is_answered_as_recorded() {
    rows::replay(include_str!("sesami.json"), &["1", "1.1", "1.2", "1.3", "1.4"]);
}

fn body(org: &str, id: &str) -> Value {
    json!({
        "orgId": org,
        "id": id,
        "start": "2020-10-10 20:20",
        "end": "2020-10-10 20:30",
        "createdAt": "2020-09-02 14:23:12",
        "updatedAt": "2020-09-28 14:23:12",
    })
}

/// Statuses and bodies of `count` posts that are sent at the same time, each on a connection of its own.
fn post_at_once(server: &Server, count: usize, body: impl Fn(usize) -> Value) -> Vec<(u16, Value)> {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count)
            .map(|i| {
                let (barrier, body) = (&barrier, body(i));
                let address = server.address;
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    barrier.wait();
                    let answered = client.post(APPOINTMENTS, &body);
                    (answered.status, answered.json())
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("an answer")).collect()
    })
}

#[test]
fn of_64_posts_for_one_slot_one_gets_it() {
    let server = Server::open();
    let mut answers = post_at_once(&server, 64, |i| body("race", &format!("a{i}")));
    answers.sort_by_key(|(status, _)| *status);
    let (status, ok) = answers.remove(0);
    assert_eq!((status, ok), (200, json!({"status": "ok"})));
    for (status, refused) in answers {
        assert_eq!((status, &refused["code"]), (409, &json!("TIME_RANGE_UNAVAILABLE")));
    }
    let listed = server.client().get("/api/appointments?org=race").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}

#[test]
fn of_60_versions_the_newest_stays() {
    let server = Server::open();
    let version = |i: usize| {
        let mut body = body("versions", "a1");
        body["updatedAt"] = format!("2021-01-01 00:00:{i:02}").into();
        body["start"] = format!("2020-10-10 19:{i:02}").into();
        body
    };
    for (status, answer) in post_at_once(&server, 60, version) {
        let known = [json!({"status": "ok"}), json!({"status": "ignored-stale"})];
        assert!(status == 200 && known.contains(&answer), "{status} {answer}");
    }
    let listed = server.client().get("/api/appointments?org=versions").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["payloadUpdatedAt"], "2021-01-01T00:00:59.000Z");
    assert_eq!(listed[0]["start"], "2020-10-10T19:59:00.000Z");
}

#[test]
fn first_writes_of_an_organisation_create_one_tenant() {
    let server = Server::open();
    let answers = post_at_once(&server, 32, |i| {
        let mut body = body("Org Ä", &format!("a{i}"));
        body["start"] = format!("2020-10-10 {:02}:{:02}", 10 + i / 4, i % 4 * 15).into();
        body["end"] = format!("2020-10-10 {:02}:{:02}", 10 + i / 4, i % 4 * 15 + 15).into();
        if i % 4 == 3 {
            body["end"] = format!("2020-10-10 {:02}:00", 11 + i / 4).into();
        }
        body
    });
    assert!(answers.iter().all(|answer| *answer == (200, json!({"status": "ok"}))), "{answers:?}");
    let found = tenants::tenants(&server.app.engine().view(), TenantNumber::SYSTEM, 10);
    let profile = &found[0].profile;
    assert_eq!(found.len(), 1);
    assert_eq!((profile.alias.as_deref(), profile.automatic), (Some("Org Ä"), true));
    assert_eq!(profile.slug, tenants::slug_for("Org Ä"));
    let by_slug = server.client().get(&format!("/api/appointments?org={}", profile.slug)).json();
    assert_eq!(by_slug.as_array().map(Vec::len), Some(32));
    assert_eq!(by_slug[0]["orgId"], *profile.slug, "an organisation is called as it was asked for");
}

#[test]
fn reading_an_unknown_organisation_writes_nothing() {
    let server = Server::open();
    let before = server.app.engine().position();
    for target in ["?org=nobody", "", "?org=%20", "?org=nobody&at=2020"] {
        let answered = server.client().get(&format!("{APPOINTMENTS}{target}"));
        assert_eq!((answered.status, answered.json()), (200, json!([])), "{target}");
    }
    assert_eq!(server.app.engine().position(), before);
    assert_eq!(tenants::tenants(&server.app.engine().view(), TenantNumber::SYSTEM, 1), []);
}

#[test]
fn a_refused_first_write_creates_no_tenant() {
    let server = Server::open();
    let mut wrong = body("wrong", "a1");
    wrong["end"] = wrong["start"].clone();
    assert_eq!(server.client().post(APPOINTMENTS, &wrong).status, 400);
    // JavaScript's trim leaves U+0085, with which no alias begins.
    let answered = server.client().post(APPOINTMENTS, &body("\u{85}wrong", "a1"));
    assert_eq!((answered.status, &answered.json()["statusCode"]), (400, &json!(400)));
    assert_eq!(tenants::tenants(&server.app.engine().view(), TenantNumber::SYSTEM, 1), []);
}

#[test]
fn first_writes_create_a_bounded_number_of_tenants() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(client.post(APPOINTMENTS, &body("org 0", "a1")).status, 200);
    let template = tenants::tenant(&server.app.engine().view(), tenant(&server, "org 0"));
    let template = template.expect("the organisation is known").profile;
    let creations = futures_util::stream::iter(1..tenants::TENANTS_AUTOMATIC_MAX)
        .map(|i| {
            let alias = format!("org {i}");
            let command = CreateTenant {
                slug: tenants::slug_for(&alias).into_owned(),
                alias: Some(alias.clone()),
                name: alias,
                time_zone: template.time_zone.clone(),
                currency: template.currency.clone(),
                locale: template.locale.clone(),
                drop_ins: template.drop_ins,
                public: template.public,
                automatic: template.automatic,
            };
            let command = tenants::Command::CreateTenant(command);
            let app = server.app.clone();
            async move { app.submit((TenantNumber::SYSTEM, Actor::System), None, 256, command).await }
        })
        .buffered(256)
        .filter(|created| std::future::ready(created.is_ok()))
        .count();
    assert_eq!(server.block_on(creations) as u64, tenants::TENANTS_AUTOMATIC_MAX - 1);
    let answered = client.post(APPOINTMENTS, &body("one too many", "a1"));
    let message = "There are 10000 tenants created by first writes already.";
    assert_eq!(
        (answered.status, answered.json()),
        (429, json!({"statusCode": 429, "code": "TOO_MANY_REQUESTS", "message": message}))
    );
    assert_eq!(answered.header("retry-after"), Some("60"));
    assert_eq!(client.post(APPOINTMENTS, &body("org 9999", "a1")).status, 200, "those that are there go on");
}

#[test]
fn the_api_document_has_both_operations() {
    let server = Server::open();
    let (_, document) = maitred::router::router(&server.app);
    for method in [HttpMethod::Post, HttpMethod::Get] {
        let operation = document.paths.get_path_operation(APPOINTMENTS, method);
        assert_eq!(
            operation.and_then(|operation| operation.tags.as_deref()),
            Some(&["sesami".to_owned()][..])
        );
    }
}

#[test]
fn a_closed_organisation_is_not_inherited() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(client.post(APPOINTMENTS, &body("left", "a1")).status, 200);
    let tenant = tenant(&server, "left");
    let close = tenants::DeleteTenant { tenant, if_version: None };
    server.submit(TenantNumber::SYSTEM, tenants::Command::DeleteTenant(close));
    let answered = client.post(APPOINTMENTS, &body("left", "a1"));
    let refused = json!({"message": "This organization is closed.", "error": "Forbidden", "statusCode": 403});
    assert_eq!((answered.status, answered.json()), (403, refused));
    assert_eq!(client.get("/api/appointments?org=left").json(), json!([]));
}

#[test]
fn the_list_is_what_claims_time_on_the_one_resource() {
    let server = Server::open();
    let mut client = server.client();
    for id in ["kept", "cancelled"] {
        let mut body = body("mixed", id);
        if id == "cancelled" {
            body["start"] = "2020-10-10 20:30".into();
            body["end"] = "2020-10-10 20:40".into();
        }
        assert_eq!(client.post(APPOINTMENTS, &body).status, 200);
    }
    let tenant = tenant(&server, "mixed");
    let updated_at = Timestamp::parse_rfc3339("2021-01-01T00:00:00Z").expect("an instant");
    let cancel = Cancel { external_id: "cancelled".to_owned(), updated_at, if_version: None };
    server.submit(tenant, appointments::Command::Cancel(cancel));
    server.submit(tenant, upsert("native", "chair", 0, 0));
    server.submit(tenant, upsert("native too", RESOURCE_DEFAULT, 0, 0));
    let listed = client.get("/api/appointments?org=mixed").json();
    let listed: Vec<_> = listed.as_array().into_iter().flatten().map(|row| &row["externalId"]).collect();
    assert_eq!(listed, ["native too", "kept"]);
}

#[test]
fn a_key_of_a_repeated_request_gives_the_first_answer_again() {
    let server = Server::open();
    let body = body("keyed", "a1").to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k1")];
    let mut client = server.client();
    for replayed in [None, Some("true")] {
        let answered = client.send("POST /api/appointments", &headers, body.as_bytes());
        assert_eq!((answered.status, answered.json()), (200, json!({"status": "ok"})));
        assert_eq!(answered.header("idempotent-replayed"), replayed);
    }
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "not one")];
    let answered = client.send("POST /api/appointments", &headers, body.as_bytes());
    assert_eq!((answered.status, &answered.json()["statusCode"]), (400, &json!(400)));
}

#[test]
fn a_body_over_a_mebibyte_is_refused() {
    let server = Server::open();
    let refused = json!({"statusCode": 413, "message": "Request body is too large"});
    let head = |more: &str| {
        format!(
            "POST {APPOINTMENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}\r\n\r\n"
        )
    };
    // Declared: refused before a byte of it is read.
    let mut client = server.client();
    client.send_raw(head("Content-Length: 1048577").as_bytes());
    let answered = client.read(false);
    assert_eq!((answered.status, answered.json()), (413, refused.clone()));
    assert_eq!(answered.header("connection"), Some("close"));
    // Not declared: refused at the first byte too many.
    let mut client = server.client();
    client.send_raw(head("Transfer-Encoding: chunked").as_bytes());
    client.send_raw(&[b"100001\r\n", &[b' '; 0x10_0001][..]].concat());
    let answered = client.read(false);
    assert_eq!((answered.status, answered.json()), (413, refused));
    // All of a mebibyte is read.
    let mut body = body("large", "a1").to_string();
    body.extend(std::iter::repeat_n(' ', (1 << 20) - body.len()));
    let json = [("Content-Type", "application/json")];
    assert_eq!(server.client().send("POST /api/appointments", &json, body.as_bytes()).status, 200);
}

#[test]
fn a_server_that_takes_no_writes_says_when_to_come_back() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(client.post(APPOINTMENTS, &body("o", "a1")).status, 200);
    server.app.engine().drain();
    for org in ["o", "new"] {
        let answered = client.post(APPOINTMENTS, &body(org, "a2"));
        let message = "The server is shutting down; try again.";
        assert_eq!((answered.status, answered.json()), (503, json!({"statusCode": 503, "message": message})));
        assert_eq!(answered.header("retry-after"), Some("5"));
        assert_eq!(answered.header("content-type"), Some("application/json; charset=utf-8"));
    }
    assert_eq!(client.get("/api/appointments?org=o").json().as_array().map(Vec::len), Some(1));
}

/// The tenant that `org` has become.
fn tenant(server: &Server, org: &str) -> TenantNumber {
    let found = tenants::tenant_by_alias_or_slug(&server.app.engine().view(), org);
    found.expect("the organisation is known").profile.tenant()
}

/// An upsert of the minute `minute` of 2020, changed `changed` milliseconds after the year began.
fn upsert(id: &str, resource: &str, minute: i64, changed: i64) -> appointments::Command {
    let start = Timestamp::parse_rfc3339("2020-01-01T00:00:00Z").expect("an instant").as_millis();
    appointments::Command::Upsert(appointments::Upsert {
        external_id: id.to_owned(),
        resource: resource.to_owned(),
        starts_at: Timestamp::from_millis(start + minute * 60_000),
        ends_at: Timestamp::from_millis(start + (minute + 1) * 60_000),
        created_at: Timestamp::from_millis(start),
        updated_at: Timestamp::from_millis(start + changed),
        title: None,
        metadata: None,
        if_version: None,
        if_none_match_any: false,
    })
}

const MANY: i64 = 20_000;

/// A server with [`MANY`] appointments of the organisation `many`, and the list that it must show.
fn server_with_many() -> (Server, TenantNumber, Value) {
    let server = Server::open();
    assert_eq!(server.client().post(APPOINTMENTS, &body("many", "first")).status, 200);
    let tenant = tenant(&server, "many");
    let decided = futures_util::stream::iter(0..MANY)
        .map(|minute| {
            let app = server.app.clone();
            async move {
                let command = upsert(&format!("id \"{minute}\""), RESOURCE_DEFAULT, minute, 0);
                app.submit((tenant, Actor::System), None, 256, command).await.expect("accepted").outcome
            }
        })
        .buffered(256)
        .collect::<Vec<_>>();
    let mut rows: Vec<Value> = server.block_on(decided).iter().map(row).collect();
    let first = server.client().get("/api/appointments?org=many&at=2020-10-10T20:20:00Z").json();
    rows.push(first[0].clone());
    (server, tenant, rows.into())
}

fn row(outcome: &Outcome) -> Value {
    let Outcome::Appointments(outcome) = outcome else { panic!("an appointment, not {outcome:?}") };
    let appointment = &outcome.appointment;
    json!({
        "id": appointment.id,
        "orgId": "many",
        "externalId": appointment.external_id,
        "start": appointment.starts_at.expect("a start").to_string(),
        "end": appointment.ends_at.expect("an end").to_string(),
        "payloadCreatedAt": appointment.created_at.expect("a creation").to_string(),
        "payloadUpdatedAt": appointment.updated_at.to_string(),
        "version": appointment.version,
    })
}

#[test]
fn a_long_list_is_sent_whole_and_in_parts() {
    let (server, tenant, expected) = server_with_many();
    let mut client = server.client();
    let answered = client.get("/api/appointments?org=many");
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("content-length"), None);
    assert_eq!(answered.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(answered.json() == expected, "the list is another one");
    let head = client.send("HEAD /api/appointments?org=many", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, None));
    assert_eq!(client.get("/api/appointments?org=nobody").json(), json!([]), "the connection goes on");

    let (parts, text) = server.block_on(read_while_changing(&server, tenant));
    assert!(parts.len() > 10 && parts.iter().all(|part| *part < (256 << 10) + 1_024), "{parts:?}");
    let read: Value = serde_json::from_slice(&text).expect("JSON");
    assert!(read == expected, "the list is not what stood when it was asked for");

    let after = client.get("/api/appointments?org=many").json();
    let after: Vec<_> = after.as_array().expect("an array").iter().map(|row| &row["externalId"]).collect();
    assert_eq!(after.len(), expected.as_array().map_or(0, Vec::len) - 1);
    assert_eq!(after[..3], ["new", "id \"19998\"", "id \"2\""]);
    assert_eq!(after[after.len() - 3..], ["id \"19997\"", "id \"1\"", "first"]);
}

/// The sizes of the parts and the whole text of a list that changes at both ends once its first part is read.
async fn read_while_changing(server: &Server, tenant: TenantNumber) -> (Vec<usize>, Vec<u8>) {
    let request = Request::get("/api/appointments?org=many").header("host", "localhost");
    let request = request.body(Body::empty()).expect("a request");
    let answer = server.router.clone().oneshot(request).await.expect("an answer");
    let mut body = answer.into_body();
    let mut parts = Vec::new();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let part = frame.expect("a part").into_data().expect("no trailers");
        parts.push(part.len());
        text.extend_from_slice(&part);
        if parts.len() == 1 {
            change(server, tenant).await;
        }
    }
    (parts, text)
}

/// Of what was read already, one goes and one moves behind what is still to come; of that, one goes and one moves
/// into its place; and one is new.
async fn change(server: &Server, tenant: TenantNumber) {
    let id = |minute: i64| format!("id \"{minute}\"");
    let cancel = |minute: i64| {
        let updated_at = Timestamp::parse_rfc3339("2021-01-01T00:00:00Z").expect("an instant");
        appointments::Command::Cancel(Cancel { external_id: id(minute), updated_at, if_version: None })
    };
    let last = MANY - 1;
    for command in [
        cancel(0),
        cancel(last),
        upsert(&id(1), RESOURCE_DEFAULT, last, last),
        upsert(&id(last - 1), RESOURCE_DEFAULT, 1, last),
        upsert("new", RESOURCE_DEFAULT, 0, 0),
    ] {
        server.app.submit((tenant, Actor::System), None, 256, command).await.expect("accepted");
    }
}

#[test]
fn nothing_that_is_sent_breaks_the_server() {
    let server = Server::open();
    for bytes in [
        &b"POST /api/appointments HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"[..],
        b"POST /api/appointments HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /api/appointments?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/appointments?org=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/appointments?org=%00%zz& HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET  /api/appointments\r\n\r\n",
    ] {
        let mut client = server.client();
        client.send_raw(bytes);
        let status = client.read(false).status;
        assert!(status < 500, "{status} to {:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(server.client().post(APPOINTMENTS, &body("o", "a1")).status, 200);
}

#[test]
fn its_own_document_describes_the_routes_as_the_native_one_does() {
    let server = Server::open();
    let answered = server.client().get("/api/docs-json");
    assert_eq!(
        (answered.status, answered.header("content-type")),
        (200, Some("application/json; charset=utf-8"))
    );
    let (theirs, ours) = (answered.json(), server.client().get("/openapi.json").json());
    assert_eq!(theirs["openapi"], "3.0.0");
    let ours_below_api =
        ours["paths"].as_object().expect("paths").keys().filter(|path| path.starts_with("/api/appointments"));
    assert!(theirs["paths"].as_object().expect("paths").keys().eq(ours_below_api));
    let names = |value: &Value| -> Vec<String> {
        value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default()
    };
    for method in ["get", "post"] {
        let [theirs, ours] = [&theirs, &ours].map(|document| &document["paths"]["/api/appointments"][method]);
        let statuses = |operation: &Value| {
            let mut names = names(&operation["responses"]);
            names.sort();
            names
        };
        assert_eq!(statuses(theirs), statuses(ours), "{method}");
        let parameters = |operation: &Value| -> Vec<(Value, Value)> {
            let all = operation["parameters"].as_array().expect("parameters").iter();
            all.map(|one| (one["name"].clone(), one["in"].clone())).collect()
        };
        assert_eq!(parameters(theirs), parameters(ours), "{method}");
        assert_eq!(theirs["security"], ours["security"], "{method}");
    }
    let body = |document: &Value| document["components"]["schemas"]["SesamiUpsert"].clone();
    assert_eq!(names(&body(&theirs)["properties"]), names(&body(&ours)["properties"]));
    assert_eq!(body(&theirs)["required"], body(&ours)["required"]);
    let answered = server.client().get("/api/appointments?org=nobody");
    assert_eq!(answered.json(), Value::Array(Vec::new()));
    server.client().send("POST /api/docs-json", &[], b"{}").json()["statusCode"]
        .as_u64()
        .expect("a 404 of its own");
}

#[test]
fn json_answers_say_for_how_long_their_connection_is_kept() {
    let server = Server::open();
    let mut client = server.client();
    let body = serde_json::json!({"id": "a"});
    for answered in [
        client.get("/api/appointments"),
        client.get("/api/nope"),
        client.post("/api/appointments", &body),
        client.send("GET /api/appointments?org=a&org=b", &[("Connection", "keep-alive")], b""),
    ] {
        let said = (answered.header("connection"), answered.header("keep-alive"));
        assert_eq!(said, (Some("keep-alive"), Some("timeout=72")), "{answered:?}");
    }
    let page = client.get("/api/docs");
    assert_eq!(page.header("keep-alive"), None);
    let last = client.send("GET /api/appointments", &[("Connection", "close")], b"");
    assert_eq!((last.header("connection"), last.header("keep-alive")), (Some("close"), None));
}
