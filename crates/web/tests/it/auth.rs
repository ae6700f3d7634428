//! Who asks, and what they may do.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Uri};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maitred_core::{Actor, TenantNumber};
use maitred_web::auth::{ApiKey, KeyHash, Known, KnownKey, PublicRoutes};
use maitred_web::loopback::{loopback_only, require_loopback};
use maitred_web::{Caller, Credentials, Guard, Permission, Problem, Role};
use proptest::prelude::*;

use crate::{header_lines, send};

fn key() -> ApiKey {
    ApiKey::from_random(&std::array::from_fn(|i| i as u8 * 7))
}

fn read(lines: &[&str]) -> Result<Credentials, Problem> {
    Credentials::parse(&header_lines("authorization", lines))
}

/// The API key that a header presents, if it presents one.
fn presented(line: &str) -> Option<String> {
    match read(&[line]) {
        Ok(Credentials::ApiKey(key)) => Some(key.reveal().to_owned()),
        _ => None,
    }
}

#[test]
fn a_key_is_text_of_46_characters_and_stored_as_its_hash() {
    let key = key();
    assert_eq!(key.reveal().len(), 46);
    assert_eq!(ApiKey::parse(key.reveal()).map(|read| read.hash()), Some(key.hash()));
    assert_ne!(key.hash(), ApiKey::from_random(&[0; 32]).hash());
    let known = ApiKey::from_random(&[0; 32]);
    assert_eq!(known.reveal(), "mk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    // sha256sum of that text.
    let hash: String = known.hash().0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "99e486a4273ed468c603dc51c1ba2232199a90d1df4a5d0a099a9d41f215d54a");
    assert!(!format!("{key:?} {:?}", Credentials::ApiKey(key.clone())).contains(&key.reveal()[4..]));
}

#[test]
fn a_text_that_is_almost_a_key_is_none() {
    let key = key().reveal().to_owned();
    for text in
        [&key[..45], &format!("{key}A"), &key[3..], &key.replace("mk_", "MK_"), &format!("{key}="), "mk_", ""]
    {
        assert!(ApiKey::parse(text).is_none(), "{text}");
    }
}

#[test]
fn a_key_comes_as_a_bearer_or_as_the_password_of_basic() {
    let key = key().reveal().to_owned();
    let basic = |user_and_password: &str| format!("Basic {}", STANDARD.encode(user_and_password));
    for line in [
        format!("Bearer {key}"),
        format!("bearer  {key} "),
        basic(&format!("x:{key}")),
        basic(&format!(":{key}")),
        basic(&format!("jos\u{e9}:{key}")),
        basic(&format!("x:{}", key.replace('_', "%5F"))).replace("Basic", "BASIC"),
        basic(&format!("x:{key}")).trim_end_matches('=').to_owned(),
    ] {
        assert_eq!(presented(&line).as_ref(), Some(&key), "{line}");
    }
    // A user name that is not UTF-8 does not matter.
    let latin1 = [&b"jos\xe9:"[..], key.as_bytes()].concat();
    assert_eq!(presented(&format!("Basic {}", STANDARD.encode(latin1))), Some(key));
}

#[test]
fn other_bearers_are_tokens_and_nothing_is_nothing() {
    assert!(matches!(read(&[]), Ok(Credentials::None)));
    let Ok(Credentials::Token(token)) = read(&["Bearer eyJ.abc-_.x=="]) else { panic!("a token") };
    assert_eq!(token, "eyJ.abc-_.x==");
}

#[test]
fn unreadable_credentials_are_401_and_name_the_scheme() {
    let key = key().reveal().to_owned();
    let bearer = format!("Bearer {key}");
    let long = format!("Bearer {}", "a".repeat(9_000));
    let no_colon = format!("Basic {}", STANDARD.encode(&key));
    let colon_in_password = format!("Basic {}", STANDARD.encode(format!("x:y:{key}")));
    let not_utf8 = format!("Basic {}", STANDARD.encode(b"x:\xff"));
    let percent = format!("Basic {}", STANDARD.encode("x:%ff"));
    let rows: [&[&str]; 15] = [
        &[""],
        &["Bearer"],
        &["Bearer "],
        &["Bearer a b"],
        &["Bearer mk_short"],
        &["Bearer \u{e9}"],
        &["Digest x"],
        &[&key],
        &["Basic"],
        &["Basic !"],
        &[&no_colon],
        &[&colon_in_password],
        &[&not_utf8],
        &[&percent],
        &[&bearer, &bearer],
    ];
    for lines in rows.into_iter().chain([&[long.as_str()][..]]) {
        let problem = read(lines).expect_err("refused");
        assert_eq!((problem.status().as_u16(), problem.code()), (401, "credentials-invalid"), "{lines:?}");
    }
}

/// Knows one key and one token. The key is found by half of its hash, as an index might.
struct OneOfEach(ApiKey);

const STAFF: Caller = Caller { actor: Actor::ApiKey(1), role: Role::Staff, tenant: Some(TenantNumber(1)) };
const CUSTOMER: Caller =
    Caller { actor: Actor::User(1), role: Role::Customer, tenant: Some(TenantNumber(1)) };

impl Known for OneOfEach {
    fn key(&self, hash: &KeyHash) -> Option<KnownKey> {
        let own = self.0.hash();
        (hash.0[..16] == own.0[..16]).then_some(KnownKey { hash: own, caller: STAFF })
    }
    fn token(&self, token: &str) -> Option<Caller> {
        (token == "good").then_some(CUSTOMER)
    }
}

#[test]
fn who_is_known_is_let_in_as_what_they_are() {
    let known = OneOfEach(key());
    assert_eq!(Credentials::None.authenticate(&known), Ok(Caller::ANONYMOUS));
    assert_eq!(Credentials::ApiKey(key()).authenticate(&known), Ok(STAFF));
    assert_eq!(Credentials::Token("good".into()).authenticate(&known), Ok(CUSTOMER));
    let stranger = ApiKey::from_random(&[0; 32]);
    for credentials in [Credentials::Token("bad".into()), Credentials::ApiKey(stranger)] {
        let problem = credentials.authenticate(&known).expect_err("unknown");
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (401, "credentials-invalid"),
            "{credentials:?}"
        );
    }
}

#[test]
fn a_key_that_is_found_is_compared_whole() {
    struct Careless;
    impl Known for Careless {
        fn key(&self, hash: &KeyHash) -> Option<KnownKey> {
            let mut other = *hash;
            other.0[31] ^= 1;
            Some(KnownKey { hash: other, caller: STAFF })
        }
        fn token(&self, _: &str) -> Option<Caller> {
            None
        }
    }
    assert!(Credentials::ApiKey(key()).authenticate(&Careless).is_err());
}

const ROLES: [Role; 6] =
    [Role::Anonymous, Role::Customer, Role::Integration, Role::Staff, Role::Owner, Role::Admin];

#[test]
fn the_table_of_roles_and_permissions() {
    // anonymous, customer, integration, staff, owner, admin
    let rows = [
        (Permission::Public, "yyyyyy"),
        (Permission::Customer, "-y-yyy"),
        (Permission::Integration, "--y-yy"),
        (Permission::Staff, "---yyy"),
        (Permission::Owner, "----yy"),
        (Permission::Admin, "-----y"),
    ];
    for (permission, expected) in rows {
        let row: String = ROLES.iter().map(|role| if role.has(permission) { 'y' } else { '-' }).collect();
        assert_eq!(row, expected, "{}", permission.name());
    }
}

#[test]
fn a_caller_is_bound_to_its_tenant() {
    let (home, away) = (TenantNumber(1), TenantNumber(2));
    let caller = |role, tenant| Caller { actor: Actor::ApiKey(1), role, tenant };
    let code = |result: Result<(), Problem>| result.err().map(|problem| problem.code().to_owned());
    let open = PublicRoutes::Open;
    let owner = caller(Role::Owner, Some(home));
    assert_eq!(code(owner.require(Permission::Staff, home, open)), None);
    assert_eq!(code(owner.require(Permission::Staff, away, open)).as_deref(), Some("forbidden"));
    assert_eq!(code(owner.require(Permission::Admin, home, open)).as_deref(), Some("forbidden"));
    assert_eq!(code(owner.require_on_server(Permission::Owner)).as_deref(), Some("forbidden"));
    let admin = caller(Role::Admin, None);
    assert_eq!(code(admin.require(Permission::Owner, away, open)), None);
    assert_eq!(code(admin.require_on_server(Permission::Admin)), None);
    assert_eq!(code(Caller::OPEN.require(Permission::Owner, away, PublicRoutes::Closed)), None);
    assert_eq!(
        code(Caller::ANONYMOUS.require(Permission::Staff, home, open)).as_deref(),
        Some("unauthenticated")
    );
    assert_eq!(
        code(Caller::ANONYMOUS.require_on_server(Permission::Admin)).as_deref(),
        Some("unauthenticated")
    );
    assert_eq!(code(Caller::ANONYMOUS.require_on_server(Permission::Public)), None);
}

#[test]
fn closed_public_routes_are_for_those_whom_the_tenant_knows() {
    let (home, away) = (TenantNumber(1), TenantNumber(2));
    let customer = Caller { actor: Actor::User(1), role: Role::Customer, tenant: Some(home) };
    let status = |caller: Caller, tenant, public| {
        caller.require(Permission::Public, tenant, public).err().map(|problem| problem.status().as_u16())
    };
    assert_eq!(status(Caller::ANONYMOUS, home, PublicRoutes::Open), None);
    assert_eq!(status(Caller::ANONYMOUS, home, PublicRoutes::Closed), Some(401));
    assert_eq!(status(customer, home, PublicRoutes::Closed), None);
    assert_eq!(status(customer, away, PublicRoutes::Open), None);
    assert_eq!(status(customer, away, PublicRoutes::Closed), Some(403));
    assert_eq!(status(Caller::OPEN, home, PublicRoutes::Closed), None);
}

fn loopback(hosts: &[&str], origins: &[&str], uri: &str) -> Option<String> {
    let mut headers = header_lines("host", hosts);
    headers.extend(header_lines("origin", origins));
    let uri: Uri = uri.parse().expect("a URI");
    require_loopback(&headers, &uri).err().map(|problem| problem.code().to_owned())
}

#[test]
fn an_open_server_answers_this_machine() {
    for host in
        ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "127.255.3.4:65535", "[::1]", "[::1]:80"]
    {
        assert_eq!(loopback(&[host], &[], "/"), None, "{host}");
        assert_eq!(loopback(&[host], &[&format!("http://{host}")], "/"), None, "{host}");
        assert_eq!(loopback(&[host], &[&format!("https://{host}")], "/"), None, "{host}");
    }
    assert_eq!(loopback(&["localhost"], &[], "http://localhost:1/x"), None);
}

#[test]
fn an_open_server_refuses_other_hosts_and_origins() {
    let foreign = [
        "",
        "example.com",
        "localhost.example.com",
        "localhost.",
        "127.0.0.1.example.com",
        "127.1",
        "0127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "[::2]",
        "::1",
        "[::1",
        "localhost:",
        "localhost:x",
        "localhost:65536",
        "localhost:80:80",
        "x@localhost",
        "localhost/",
        "\u{e9}",
    ];
    for host in foreign {
        assert_eq!(loopback(&[host], &[], "/").as_deref(), Some("not-loopback"), "{host}");
        let origin = format!("http://{host}");
        assert_eq!(loopback(&["localhost"], &[&origin], "/").as_deref(), Some("not-loopback"), "{origin}");
    }
    for origin in
        ["null", "", "localhost", "file://localhost", "http:localhost", "http://localhost http://evil"]
    {
        assert_eq!(loopback(&["localhost"], &[origin], "/").as_deref(), Some("not-loopback"), "{origin}");
    }
    assert!(loopback(&[], &[], "/").is_some(), "no host");
    assert!(loopback(&["localhost", "localhost"], &[], "/").is_some(), "two hosts");
    assert!(loopback(&["localhost"], &[], "http://evil/").is_some(), "another target");
    assert!(loopback(&["localhost"], &["http://localhost", "http://evil"], "/").is_some(), "two origins");
}

#[tokio::test]
async fn the_guard_stands_before_the_routes() {
    let router = Router::new().route("/", get(async || "secret")).layer(Guard::new(loopback_only));
    let request = |host: &str| Request::get("/").header("host", host).body(Body::empty()).expect("a request");
    assert_eq!(send(&router, request("localhost:1")).await.body, "secret");
    assert_eq!(send(&router, request("evil.example")).await.problem(), (403, "not-loopback".into()));
}

proptest! {
    #[test]
    fn any_authorization_is_read_or_refused_with_401(line in proptest::collection::vec(any::<u8>(), 0..80), scheme in "(Bearer|Basic|) ?") {
        let line = [scheme.as_bytes(), &line].concat();
        if let Err(problem) = Credentials::parse(&header_lines("authorization", [line])) {
            prop_assert_eq!(problem.status(), 401);
        }
    }

    #[test]
    fn any_decoded_basic_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let line = format!("Basic {}", STANDARD.encode(&bytes));
        let holds_key = String::from_utf8_lossy(&bytes).contains("mk_");
        prop_assert!(read(&[&line]).is_err() || holds_key);
    }

    #[test]
    fn every_key_is_read_back(bytes: [u8; 32]) {
        let key = ApiKey::from_random(&bytes);
        let line = format!("Bearer {}", key.reveal());
        prop_assert_eq!(presented(&line), Some(key.reveal().to_owned()));
    }

    #[test]
    fn no_host_makes_the_guard_panic(host in proptest::collection::vec(any::<u8>(), 0..30)) {
        let mut headers: HeaderMap = header_lines("host", [&host]);
        headers.extend(header_lines("origin", [&host]));
        // An origin needs a scheme and a host has none: nothing is both.
        prop_assert!(require_loopback(&headers, &Uri::from_static("/")).is_err());
    }
}
