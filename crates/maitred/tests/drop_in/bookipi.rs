//! The flash sale's clients: recorded requests, many at once, tenants, keys and tokens.

use std::sync::Barrier;
use std::thread;

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Request};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use maitred::drop_in::bookipi::tenant;
use maitred_booking::accounts::hasher::WAITING_MAX;
use maitred_booking::accounts::{self, ChangePassword, CloseAccount, PasswordHash};
use maitred_booking::app::Access;
use maitred_booking::tenants::{self, CreateTenant, DropIn, DropIns};
use maitred_core::TenantNumber;
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa::openapi::path::HttpMethod;
use uuid::Uuid;

use crate::client::{Answered, Client};
use crate::rows;
use crate::server::Server;

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn every_recorded_request_is_answered_as_recorded() {
    rows::replay(include_str!("bookipi.json"), &["2", "2.2", "2.3"]);
}

fn credentials(email: &str) -> Value {
    json!({ "email": email, "password": "secret password" })
}

/// Registers a user of the tenant `name`, or of the default one.
fn register(client: &mut Client, tenant: Option<&str>, email: &str) -> Answered {
    let tenant = tenant.map(|tenant| ("X-Tenant", tenant));
    let headers: Vec<_> = [JSON].into_iter().chain(tenant).collect();
    client.send("POST /users", &headers, credentials(email).to_string().as_bytes())
}

#[test]
fn of_32_registrations_of_one_email_one_makes_the_account() {
    let server = Server::open();
    let barrier = Barrier::new(32);
    let mut statuses: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..32)
            .map(|_| {
                let (barrier, address) = (&barrier, server.address);
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    barrier.wait();
                    register(&mut client, None, "race@example.com").status
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("an answer")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
}

#[test]
fn a_token_names_its_user_for_a_day() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let server = Server::open();
    let user = register(&mut server.client(), None, "Token@Example.com").json();
    let token = user["token"].as_str().expect("a token");
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON"))
        .collect();
    assert_eq!(parts[0], json!({"alg": "HS256", "typ": "JWT"}));
    assert_eq!((&parts[1]["id"], &parts[1]["email"]), (&user["user_id"], &json!("token@example.com")));
    let seconds = |name: &str| parts[1][name].as_i64().expect("seconds");
    assert_eq!(seconds("exp") - seconds("iat"), 86_400);
}

/// What is said of an `Authorization` header in a tenant.
fn user_of(server: &Server, tenant: TenantNumber, header: Option<&str>) -> Result<Uuid, (u16, Value)> {
    let mut request = Request::new(Body::empty());
    if let Some(header) = header {
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(header).expect("a header"));
    }
    let asked = tenant::Asked::of(&server.app, &request);
    tenant::user(&server.app, tenant, &asked).map(|user| user.user).map_err(|answer| {
        let response = answer.into_response();
        let status = response.status().as_u16();
        let body = server.block_on(response.into_body().collect()).expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    })
}

#[test]
fn a_token_is_taken_with_its_scheme_or_alone_and_nothing_else_is() {
    let server = Server::open();
    let mut client = server.client();
    let here = register(&mut client, None, "a@example.com").json();
    let there = register(&mut client, Some("another shop"), "a@example.com").json();
    let found = |alias| {
        let found = tenants::tenant_by_alias_or_slug(&server.app.engine().view(), alias);
        found.expect("a first write creates the tenant").profile.tenant()
    };
    let (tenant, other) = (found("default"), found("another shop"));
    let id = |user: &Value| user["user_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let token = here["token"].as_str().expect("a token");
    let other_token = there["token"].as_str().expect("a token");
    let invalid = Err((401, json!({"error": "Invalid token"})));
    let missing = Err((401, json!({"error": "Access token required"})));
    let id: Uuid = id(&here);

    assert_eq!(user_of(&server, tenant, None), missing);
    assert_eq!(user_of(&server, tenant, Some(&format!("Bearer {token}"))), Ok(id));
    assert_eq!(user_of(&server, tenant, Some(token)), Ok(id));
    let header = token.split('.').next().expect("a header");
    for garbage in [
        "",
        "Bearer ",
        "token",
        "Bearer token",
        &format!("bearer {token}"),
        &format!("Basic {token}"),
        &format!("Bearer  {token}"),
        &format!("{token}x"),
        &token[..token.len() - 1],
        &token.replace(header, "eyJhbGciOiJub25lIn0"),
        &format!("eyJhbGciOiJub25lIn0{}", &token[header.len()..=token.rfind('.').expect("a dot")]),
        other_token,
    ] {
        assert_eq!(user_of(&server, tenant, Some(garbage)), invalid, "{garbage}");
    }
    assert_eq!(user_of(&server, other, Some(token)), invalid, "a token of another tenant");
    assert!(user_of(&server, other, Some(other_token)).is_ok());

    let password =
        PasswordHash::from_phc("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw");
    let change = ChangePassword { user: id, password, credential: 1 };
    server.submit(tenant, accounts::Command::ChangePassword(change));
    assert_eq!(
        user_of(&server, tenant, Some(token)),
        invalid,
        "a token from before the password was changed"
    );
    let close = CloseAccount { user: there["user_id"].as_str().expect("an id").parse().expect("an id") };
    server.submit(other, accounts::Command::Close(close));
    assert_eq!(user_of(&server, other, Some(other_token)), invalid, "a token of a closed account");
}

#[test]
fn a_tenant_has_users_of_its_own() {
    let server = Server::open();
    let mut client = server.client();
    for tenant in [None, Some("Shop Ä"), Some("shop-b")] {
        assert_eq!(register(&mut client, tenant, "a@example.com").status, 201, "{tenant:?}");
        assert_eq!(register(&mut client, tenant, "a@example.com").status, 409, "{tenant:?}");
    }
    let login = credentials("a@example.com").to_string();
    for (tenant, status) in [("default", 200), ("Shop Ä", 200), ("nobody", 401)] {
        let headers = [JSON, ("X-Tenant", tenant)];
        let answered = client.send("POST /users/authenticate", &headers, login.as_bytes());
        assert_eq!(answered.status, status, "{tenant}");
    }
    let answered = register(&mut client, Some(&"x".repeat(129)), "a@example.com");
    assert_eq!(answered.status, 400);
    let found = tenants::tenants(&server.app.engine().view(), TenantNumber::SYSTEM, 10);
    assert_eq!(found.len(), 3, "logging in creates none");
}

#[test]
fn a_server_that_demands_keys_answers_for_tenants_that_have_it_enabled() {
    let server = Server::start(Access::Keys, "shop");
    for (slug, drop_ins) in
        [("shop", DropIns::NONE.with(DropIn::Bookipi)), ("salon", DropIns::NONE.with(DropIn::Sesami))]
    {
        let create = CreateTenant {
            slug: slug.to_owned(),
            alias: None,
            name: slug.to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            currency: "EUR".to_owned(),
            locale: "de".to_owned(),
            drop_ins,
            public: false,
            automatic: false,
        };
        server.submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(create));
    }
    let mut client = server.client();
    assert_eq!(register(&mut client, None, "a@example.com").status, 201, "users have no keys");
    let off = json!({"error": "This API is not enabled for this tenant"});
    for tenant in ["salon", "nobody"] {
        let answered = register(&mut client, Some(tenant), "a@example.com");
        assert_eq!((answered.status, answered.json()), (403, off.clone()), "{tenant}");
    }
}

#[test]
fn a_key_of_a_repeated_registration_gives_the_first_answer_without_the_token() {
    let server = Server::open();
    let mut client = server.client();
    let headers = [JSON, ("Idempotency-Key", "k1")];
    let body = credentials("keyed@example.com").to_string();
    let first = client.send("POST /users", &headers, body.as_bytes());
    assert!(first.status == 201 && first.json()["token"].is_string());
    let again = client.send("POST /users", &headers, body.as_bytes());
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    let expected = json!({"user_id": first.json()["user_id"], "email": "keyed@example.com"});
    assert_eq!(again.json(), expected);
}

#[test]
fn failed_logins_have_to_wait_whether_or_not_there_is_an_account() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(register(&mut client, None, "there@example.com").status, 201);
    for email in ["there@example.com", "nobody@example.com"] {
        let wrong = json!({ "email": email, "password": "wrong password" });
        let mut answers: Vec<_> =
            (0..7).map(|_| client.post("/users/authenticate", &wrong)).map(|answer| answer.status).collect();
        assert_eq!(answers.drain(..5).collect::<Vec<_>>(), [401; 5], "{email}");
        assert!(answers.contains(&429), "{email}: {answers:?}");
    }
    let answered = client.post("/users/authenticate", &credentials("there@example.com"));
    assert_eq!(answered.status, 429, "the right one too");
    let seconds = answered.header("retry-after").and_then(|text| text.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{seconds:?}");
    assert_eq!(register(&mut client, None, "other@example.com").status, 201);
    assert_eq!(client.post("/users/authenticate", &credentials("other@example.com")).status, 200);
}

#[test]
fn a_storm_of_logins_is_refused_at_the_end_of_the_line() {
    let server = Server::open();
    assert_eq!(register(&mut server.client(), None, "a@example.com").status, 201);
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1);
    let storm = WAITING_MAX * threads + 100;
    let logins = (0..storm).map(|i| {
        let request = Request::post("/users/authenticate")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Body::from(credentials(&format!("stranger-{i}@example.com")).to_string()));
        server.router.clone().oneshot(request.expect("a request"))
    });
    let mut refused = 0;
    for answer in server.block_on(futures_util::future::join_all(logins)) {
        let answer = answer.expect("an answer");
        match answer.status().as_u16() {
            401 => {}
            503 => {
                let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                assert!(after.is_some_and(|after| after.parse().is_ok_and(|after: u32| after >= 1)));
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0 && refused < storm, "{refused} of {storm} were refused");
    assert_eq!(server.client().post("/users/authenticate", &credentials("a@example.com")).status, 200);
}

#[test]
fn a_server_that_takes_no_writes_says_when_to_come_back() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(register(&mut client, None, "a@example.com").status, 201);
    server.app.engine().drain();
    let answered = register(&mut client, None, "b@example.com");
    assert_eq!((answered.status, answered.header("retry-after")), (503, Some("5")));
    assert_eq!(answered.json(), json!({"error": "The server is shutting down; try again."}));
    assert_eq!(answered.header("access-control-allow-origin"), Some("*"));
    assert_eq!(client.post("/users/authenticate", &credentials("a@example.com")).status, 200);
}

#[test]
fn nothing_of_a_password_is_in_the_log() {
    let server = Server::open();
    let mut client = server.client();
    let headers = [JSON, ("Idempotency-Key", "k1")];
    let body = credentials("logged@example.com").to_string();
    let answered = client.send("POST /users", &headers, body.as_bytes());
    let token = answered.json()["token"].as_str().expect("a token").to_owned();
    let plain = blake3::hash(body.as_bytes());
    let bytes = server.log_bytes();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"logged@example.com") && holds(b"$argon2id$"), "the log is looked at");
    assert!(!holds(b"secret password") && !holds(token.as_bytes()));
    assert!(!holds(plain.as_bytes()) && !holds(&plain.as_bytes()[..16]), "a hash that can be tried quickly");
}

#[test]
fn the_api_document_has_both_operations() {
    let server = Server::open();
    let (_, document) = maitred::router::router(&server.app);
    for path in ["/users", "/users/authenticate"] {
        let operation = document.paths.get_path_operation(path, HttpMethod::Post);
        let tags = operation.and_then(|operation| operation.tags.as_deref());
        assert_eq!(tags, Some(&["bookipi".to_owned()][..]), "{path}");
    }
}

#[test]
fn a_native_account_logs_in_here_and_the_other_way_round() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(register(&mut client, None, "first@example.com").status, 201);
    let native = json!({"email": "first@example.com", "password": "secret password"});
    let answered = client.post("/v1/tenants/default/users/authenticate", &native);
    assert_eq!(answered.status, 200);
    let native = json!({"email": "Second@example.com", "password": "secret password"});
    let answered = client.post("/v1/tenants/default/users", &native);
    assert_eq!(answered.status, 201);
    let answered = client.post("/users/authenticate", &credentials("second@example.com"));
    assert_eq!(answered.status, 200);
    let short = json!({"email": "short@example.com", "password": "123456"});
    assert_eq!(client.post("/users", &short).status, 201);
    assert_eq!(client.post("/v1/tenants/default/users/authenticate", &short).status, 200);
}
