//! How often callers may ask: by address, user and key, in each tenant, on every route and drop-in.

use std::net::IpAddr;
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::response::Response;
use http_body_util::BodyExt;
use maitred::assemble::Node;
use maitred::config::Storage;
use maitred::router;
use maitred_booking::accounts::PasswordHash;
use maitred_booking::accounts::{self, RegisterUser};
use maitred_booking::app::{Access, App, count};
use maitred_booking::tenants::{self, CreateApiKey, CreateTenant, DropIn, Role};
use maitred_booking::{Command, Outcome};
use maitred_core::{Actor, TenantNumber};
use maitred_web::ClientAddress;
use maitred_web::auth::ApiKey;
use maitred_web::rate::Quotas;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use uuid::Uuid;

const QUOTAS: Quotas = Quotas { address: 3, user: 4, key: 5 };
const FAR: &str = "203.0.113.7";
const NEAR: &str = "127.0.0.1";

/// A server without a socket, with the public tenants `salon` and `shop`.
struct Server {
    node: Option<Node>,
    app: App,
    routes: Router,
    runtime: Runtime,
    dir: PathBuf,
}

impl Server {
    fn start(name: &str, access: Access, limited: bool) -> Server {
        let dir =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{name}-{}", std::process::id()));
        let storage = Storage { segment_bytes: 4 << 20, ..Storage::default() };
        let node = Node::start_with(&dir, &storage).expect("a fresh folder");
        let app = node.app(access, "shop").expect("a folder that can be written");
        if limited {
            app.limit_rates(QUOTAS);
        }
        let (routes, _) = router::router(&app);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let server = Server { node: Some(node), app, routes, runtime: runtime.expect("a runtime"), dir };
        for slug in ["salon", "shop"] {
            server.submit(
                TenantNumber::SYSTEM,
                tenants::Command::CreateTenant(CreateTenant {
                    slug: slug.to_owned(),
                    alias: None,
                    name: slug.to_owned(),
                    time_zone: "UTC".to_owned(),
                    currency: "EUR".to_owned(),
                    locale: "en".to_owned(),
                    drop_ins: DropIn::ALL.into_iter().collect(),
                    public: true,
                    automatic: false,
                }),
            );
        }
        server
    }

    fn submit(&self, tenant: TenantNumber, command: impl Into<Command>) -> Outcome {
        let accepted = self.app.submit((tenant, Actor::System), None, 256, command);
        self.runtime.block_on(accepted).expect("it is accepted").outcome
    }

    fn number(&self, slug: &str) -> TenantNumber {
        self.app.tenant(slug).expect("it is there").number
    }

    /// An owner's key of a tenant.
    fn key(&self, slug: &str, id: u128) -> String {
        let secret = ApiKey::from_random(&[id as u8; 32]);
        let create = CreateApiKey {
            tenant: Some(self.number(slug)),
            id: Uuid::from_u128(id),
            name: "test".to_owned(),
            role: Role::Owner,
            secret_hash: secret.hash().0,
        };
        self.submit(TenantNumber::SYSTEM, tenants::Command::CreateApiKey(create));
        format!("Bearer {}", secret.reveal())
    }

    /// A user's token.
    fn token(&self, slug: &str, email: &str) -> String {
        let tenant = self.number(slug);
        let password =
            PasswordHash::from_phc("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw");
        let register = RegisterUser { email: email.to_owned(), password };
        let Outcome::Accounts(made) = self.submit(tenant, accounts::Command::Register(register)) else {
            panic!("an account is made");
        };
        let account = made.account.account;
        let user = accounts::LoggedIn { tenant, user: account.id };
        let login = self.app.log_in(user, email, account.credential).expect("a token");
        format!("Bearer {}", login.token)
    }

    fn send(&self, from: &str, line: &str, authorization: Option<&str>) -> (u16, HeaderMap) {
        let answer = self.answer(from, line, authorization);
        (answer.status().as_u16(), answer.headers().clone())
    }

    fn answer(&self, from: &str, line: &str, authorization: Option<&str>) -> Response {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        let address: IpAddr = from.parse().expect("an address");
        request.extensions_mut().insert(ClientAddress(Some(address)));
        let answer = self.runtime.block_on(self.routes.clone().oneshot(request));
        answer.expect("a router cannot fail")
    }

    /// How many of 20 requests are not refused for their rate.
    fn through(&self, from: &str, line: &str, authorization: Option<&str>) -> usize {
        (0..20).filter(|_| self.send(from, line, authorization).0 != 429).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.node.take().expect("it stops once").stop();
        let _ = std::fs::remove_dir_all(&self.dir); // left behind at worst
    }
}

#[test]
fn a_stranger_is_counted_by_address_and_tenant() {
    let server = Server::start("rates-address", Access::Keys, true);
    let (status, headers) = server.send(FAR, "GET /v1/tenants/salon/services", None);
    assert_eq!((status, &headers["ratelimit-policy"]), (200, &"\"address\";q=3;w=60".parse().unwrap()));
    assert_eq!(headers["ratelimit"], "\"address\";r=2;t=20");
    assert_eq!(server.through(FAR, "GET /v1/tenants/salon/services", None), 2);
    let (status, headers) = server.send(FAR, "GET /v1/tenants/salon/services", None);
    assert_eq!((status, &headers[CONTENT_TYPE]), (429, &"application/problem+json".parse().unwrap()));
    assert!(headers["ratelimit"].to_str().unwrap().starts_with("\"address\";r=0;t="));
    assert!(headers.contains_key("retry-after") && headers.contains_key("x-request-id"));

    assert_eq!(server.through(FAR, "GET /v1/tenants/shop/services", None), 3, "another tenant");
    assert_eq!(server.through("203.0.113.8", "GET /v1/tenants/salon/services", None), 3, "another address");
    assert_eq!(
        server.through("203.0.113.9", "GET /v1/tenants/salon/bookings", None),
        3,
        "what is refused counts"
    );
    assert_eq!(server.through(FAR, "GET /v1/tenants/nobody/services", None), 3, "so does what is not there");
    assert_eq!(server.through(NEAR, "GET /v1/tenants/salon/services", None), 20, "this machine");
    for path in ["/health", "/health/live", "/health/ready"] {
        let line = format!("GET {path}");
        assert_eq!(server.through(FAR, &line, None), 20, "load balancers ask {path}");
        assert!(!server.send(FAR, &line, None).1.contains_key("ratelimit"));
    }
}

#[test]
fn a_key_is_counted_wherever_it_comes_from() {
    let server = Server::start("rates-key", Access::Keys, true);
    let (key, other) = (server.key("salon", 1), server.key("salon", 2));
    let (status, headers) = server.send(FAR, "GET /v1/tenants/salon/bookings", Some(&key));
    assert_eq!((status, &headers["ratelimit"]), (200, &"\"key\";r=4;t=12".parse().unwrap()));
    assert_eq!(headers["ratelimit-policy"], "\"key\";q=5;w=60");
    assert_eq!(server.through(NEAR, "GET /v1/tenants/salon/bookings", Some(&key)), 4);
    assert_eq!(server.through(FAR, "GET /v1/tenants/salon/bookings", Some(&other)), 5);
    // A drop-in takes from the same quota.
    assert_eq!(server.through(FAR, "GET /api/appointments?org=salon", Some(&key)), 0);
    // What is no key is the address's.
    let wrong = format!("Bearer {}", ApiKey::from_random(&[9; 32]).reveal());
    assert_eq!(server.through("203.0.113.1", "GET /v1/tenants/salon/bookings", Some(&wrong)), 3);
    assert_eq!(server.through("203.0.113.1", "GET /v1/tenants/salon/bookings", Some("Bearer x")), 0);
}

#[test]
fn a_user_is_counted_in_the_api_and_in_the_drop_in_together() {
    let server = Server::start("rates-user", Access::Keys, true);
    let (ann, bob) = (server.token("shop", "ann@example.com"), server.token("shop", "bob@example.com"));
    let (status, headers) = server.send(FAR, "GET /v1/tenants/shop/orders", Some(&ann));
    assert_eq!((status, &headers["ratelimit"]), (200, &"\"user\";r=3;t=15".parse().unwrap()));
    let (status, headers) = server.send(FAR, "GET /orders", Some(&ann));
    assert_eq!((status, &headers["ratelimit"]), (200, &"\"user\";r=2;t=30".parse().unwrap()));
    assert_eq!(server.through(FAR, "GET /Orders/", Some(&ann)), 2, "in any spelling");
    assert_eq!(server.through(FAR, "GET /v1/tenants/shop/orders", Some(&ann)), 0);
    assert_eq!(server.through(FAR, "POST /orders", Some(&bob)), 4, "who buys from the same address");
    assert_eq!(server.through(FAR, "POST /users", None), 3, "who has no account yet is the address's");
    assert_eq!(server.through(FAR, "POST /users/authenticate", None), 0);
}

#[test]
fn each_drop_in_says_in_its_manner_that_a_caller_is_to_wait() {
    let server = Server::start("rates-manner", Access::Keys, true);
    assert_eq!(server.through(FAR, "GET /sales", None), 3);
    let sentence = "This client or tenant sends more than its share; slow down.";
    let sesami = || json!({"statusCode": 429, "code": "TOO_MANY_REQUESTS", "message": sentence});
    let bookipi = || json!({ "error": sentence });
    for (line, manner) in [
        ("GET /sales", bookipi()),
        ("POST /Users/", bookipi()),
        ("GET /api/appointments?org=salon", sesami()),
        ("GET /api/nothing", sesami()),
        (
            "GET /api/bookings?start=2025-01-01&end=2025-01-02",
            json!({"statusCode": 429, "error": "Too Many Requests", "message": sentence}),
        ),
        (
            "GET /v1/events/search",
            json!({"data": null, "error": {"code": "rate_limited", "message": sentence}}),
        ),
    ] {
        let answer = server.answer(FAR, line, None);
        let (head, body) = answer.into_parts();
        let body = server.runtime.block_on(body.collect()).expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((head.status.as_u16(), body), (429, manner), "{line}");
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().expect("ASCII"));
        assert!(header("content-type").is_some_and(|kind| kind.starts_with("application/json")), "{line}");
        assert!(header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{line}");
        assert!(header("ratelimit").is_some() && header("ratelimit-policy").is_some(), "{line}");
        // Pages elsewhere may read it where they may read the other answers.
        let open = !line.contains("/api/");
        assert_eq!(header("access-control-allow-origin"), open.then_some("*"), "{line}");
    }
}

#[test]
fn credentials_are_checked_once() {
    let server = Server::start("rates-once", Access::Keys, true);
    let look = count(server.app.clone());
    let mut request = Request::new(Body::empty());
    let value = server.key("salon", 1).parse().expect("a header");
    request.headers_mut().insert(AUTHORIZATION, value);
    look(&mut request).expect("the first is within the quota");
    let found = server.app.caller_of(&request).expect("a key that is known");
    // What a handler is told is what was found then: it does not look again.
    request.headers_mut().insert(AUTHORIZATION, "Bearer nothing".parse().expect("a header"));
    assert_eq!(server.app.caller_of(&request), Ok(found));
    let mut unknown = Request::new(Body::empty());
    unknown.headers_mut().insert(AUTHORIZATION, "Bearer nothing".parse().expect("a header"));
    look(&mut unknown).expect("who is not known counts as anybody");
    assert_eq!(server.app.caller_of(&unknown).map_err(|problem| problem.status().as_u16()), Err(401));
}

#[test]
fn an_open_server_limits_nobody_on_this_machine() {
    let server = Server::start("rates-open", Access::Open, true);
    for line in [
        "GET /v1/tenants/salon/services",
        "GET /v1/tenants/salon/bookings",
        "GET /sales",
        "GET /api/appointments?org=salon",
    ] {
        assert_eq!(server.through(NEAR, line, None), 20, "{line}");
        assert!(!server.send(NEAR, line, None).1.contains_key("ratelimit"), "{line}");
    }
    assert_eq!(server.through(FAR, "GET /v1/tenants/salon/services", None), 3, "whom a proxy brings");
    drop(server);
    let server = Server::start("rates-off", Access::Keys, false);
    assert_eq!(server.through(FAR, "GET /v1/tenants/salon/services", None), 20, "where nothing is limited");
}
