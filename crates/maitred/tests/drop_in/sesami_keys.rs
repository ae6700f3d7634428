//! Sesami on a server that demands keys: who may write and read where.

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maitred_booking::Outcome;
use maitred_booking::app::Access;
use maitred_booking::tenants::{self, CreateApiKey, CreateTenant, DropIn, DropIns, RevokeApiKey, Role};
use maitred_core::TenantNumber;
use maitred_web::auth::ApiKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Answered;
use crate::server::Server;

const SYSTEM: TenantNumber = TenantNumber::SYSTEM;

/// A server with two tenants that Sesami answers for, the first of them its default, and one that it does not.
struct Guarded {
    server: Server,
    keys: Vec<(&'static str, ApiKey)>,
}

impl Guarded {
    fn start() -> Guarded {
        let mut guarded = Guarded { server: Server::start(Access::Keys, "salon-a"), keys: Vec::new() };
        let sesami = DropIns::NONE.with(DropIn::Sesami);
        let a = guarded.create_tenant("salon-a", Some("Salon A"), sesami);
        let b = guarded.create_tenant("salon-b", None, sesami);
        let c = guarded.create_tenant("salon-c", None, DropIns::NONE.with(DropIn::Fapi));
        guarded.create_key("a", Some(a), Role::Integration);
        guarded.create_key("b", Some(b), Role::Integration);
        guarded.create_key("c", Some(c), Role::Integration);
        guarded.create_key("owner of a", Some(a), Role::Owner);
        guarded.create_key("staff of a", Some(a), Role::Staff);
        guarded.create_key("public of a", Some(a), Role::Public);
        guarded.create_key("admin", None, Role::Admin);
        let revoked = guarded.create_key("revoked", Some(a), Role::Integration);
        let revoke = RevokeApiKey { tenant: Some(a), id: revoked };
        guarded.server.submit(SYSTEM, tenants::Command::RevokeApiKey(revoke));
        guarded.keys.push(("unknown", ApiKey::from_random(&[0xff; 32])));
        guarded
    }

    fn create_tenant(&self, slug: &str, alias: Option<&str>, drop_ins: DropIns) -> TenantNumber {
        let create = CreateTenant {
            slug: slug.to_owned(),
            alias: alias.map(str::to_owned),
            name: slug.to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            currency: "EUR".to_owned(),
            locale: "de".to_owned(),
            drop_ins,
            public: true,
            automatic: false,
        };
        match self.server.submit(SYSTEM, tenants::Command::CreateTenant(create)) {
            Outcome::Tenants(tenants::Outcome::TenantCreated(tenant)) => tenant.profile.tenant(),
            other => panic!("a tenant, not {other:?}"),
        }
    }

    fn create_key(&mut self, name: &'static str, tenant: Option<TenantNumber>, role: Role) -> Uuid {
        let number = self.keys.len() as u8;
        let key = ApiKey::from_random(&[number; 32]);
        let id = Uuid::from_u128(u128::from(number) + 1);
        let secret_hash = key.hash().0;
        let create = CreateApiKey { tenant, id, name: name.to_owned(), role, secret_hash };
        self.server.submit(SYSTEM, tenants::Command::CreateApiKey(create));
        self.keys.push((name, key));
        id
    }

    /// The header with the key `name`; `Basic` puts it behind a user name, as a base URL does.
    fn authorization(&self, scheme: &str, name: &str) -> String {
        let (_, key) = self.keys.iter().find(|(known, _)| *known == name).expect("a key of this name");
        match scheme {
            "Bearer" => format!("Bearer {}", key.reveal()),
            _ => format!("Basic {}", STANDARD.encode(format!("sesami:{}", key.reveal()))),
        }
    }

    fn send(&self, method: &Method, org: Option<&str>, headers: &[(&str, &str)]) -> Answered {
        let mut client = self.server.client();
        if method == Method::GET {
            let query = org.map(|org| format!("?org={}", org.replace(' ', "%20"))).unwrap_or_default();
            return client.send(&format!("GET /api/appointments{query}"), headers, b"");
        }
        let body = json!({
            "orgId": org,
            "id": "a1",
            "start": "2020-10-10 20:20",
            "end": "2020-10-10 20:30",
            "createdAt": "2020-09-02 14:23:12",
            "updatedAt": "2020-09-28 14:23:12",
        });
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        client.send("POST /api/appointments", &headers, body.to_string().as_bytes())
    }
}

const NO_ENTRY: &str = "This key gives no access to this organization.";
const NOT_ENABLED: &str = "This API is not enabled for this organization.";

#[test]
fn who_may_do_what_is_a_table() {
    let guarded = Guarded::start();
    let position = || guarded.server.app.engine().position();
    #[rustfmt::skip]
    let rows: &[(&str, Option<&str>, Result<(), &str>)] = &[
        // key           organisation       answer
        ("a",           Some("Salon A"),   Ok(())),
        ("a",           Some(" Salon A "), Ok(())),
        ("a",           Some("salon-a"),   Ok(())),
        ("a",           Some("default"),   Ok(())),
        ("a",           None,              Ok(())),
        ("owner of a",  Some("Salon A"),   Ok(())),
        ("admin",       Some("Salon A"),   Ok(())),
        ("b",           Some("salon-b"),   Ok(())),
        ("staff of a",  Some("Salon A"),   Err(NO_ENTRY)),
        ("a",           Some("salon-b"),   Err(NO_ENTRY)),
        ("b",           None,              Err(NO_ENTRY)),
        ("a",           Some("nobody"),    Err(NO_ENTRY)),
        ("admin",       Some("nobody"),    Err(NO_ENTRY)),
        ("a",           Some("salon-c"),   Err(NO_ENTRY)),
        ("c",           Some("salon-c"),   Err(NOT_ENABLED)),
        ("admin",       Some("salon-c"),   Err(NOT_ENABLED)),
    ];
    for (key, org, expected) in rows {
        for (method, scheme) in [
            (Method::POST, "Basic"),
            (Method::POST, "Bearer"),
            (Method::GET, "Basic"),
            (Method::GET, "Bearer"),
        ] {
            let before = position();
            let authorization = guarded.authorization(scheme, key);
            let answered = guarded.send(&method, *org, &[("Authorization", &authorization)]);
            let place = format!("{method} {org:?} as {key} by {scheme}");
            match expected {
                Ok(()) => assert_eq!(answered.status, 200, "{place}: {}", answered.json()),
                Err(message) => {
                    let refused = json!({"message": message, "error": "Forbidden", "statusCode": 403});
                    assert_eq!((answered.status, answered.json()), (403, refused), "{place}");
                    assert_eq!(position(), before, "{place}: a refusal writes nothing");
                }
            }
        }
    }
    let listed = guarded.send(&Method::GET, None, &[("Authorization", &guarded.authorization("Basic", "a"))]);
    assert_eq!(
        (listed.json()[0]["orgId"].clone(), listed.json()[0]["version"].clone()),
        (json!("default"), json!(1))
    );
}

#[test]
fn without_a_sound_key_there_is_a_challenge_and_nothing_else() {
    let guarded = Guarded::start();
    let before = guarded.server.app.engine().position();
    let sent = [
        None,
        Some(guarded.authorization("Basic", "unknown")),
        Some(guarded.authorization("Bearer", "unknown")),
        Some(guarded.authorization("Basic", "revoked")),
        Some(guarded.authorization("Basic", "public of a")),
        Some("Basic !".to_owned()),
        Some(format!("Basic {}", STANDARD.encode("sesami:secret"))),
        Some("Bearer eyJhbGciOiJub25lIn0.e30.".to_owned()),
        Some("Digest username=\"sesami\"".to_owned()),
    ];
    for authorization in &sent {
        let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", &**value)).collect();
        for method in [Method::POST, Method::GET] {
            for org in [Some("Salon A"), Some("nobody"), None] {
                let answered = guarded.send(&method, org, &headers);
                let refused: Value = json!({"statusCode": 401, "message": "Unauthorized"});
                assert_eq!(
                    (answered.status, answered.json()),
                    (401, refused),
                    "{method} by {authorization:?}"
                );
                let challenge = "Basic realm=\"maitred\", charset=\"UTF-8\"";
                assert_eq!(answered.header("www-authenticate"), Some(challenge));
            }
        }
    }
    assert_eq!(guarded.server.app.engine().position(), before);
}

#[test]
fn a_key_of_a_repeated_request_is_of_one_caller_and_one_body() {
    let guarded = Guarded::start();
    let send = |as_whom: &str, org: &str, id: &str| {
        let authorization = guarded.authorization("Basic", as_whom);
        let body = json!({
            "orgId": org,
            "id": id,
            "start": "2020-10-10 20:20",
            "end": "2020-10-10 20:30",
            "createdAt": "2020-09-02",
            "updatedAt": "2020-09-28",
        });
        let headers = [
            ("Content-Type", "application/json"),
            ("Authorization", &authorization),
            ("Idempotency-Key", "k1"),
        ];
        guarded.server.client().send("POST /api/appointments", &headers, body.to_string().as_bytes())
    };
    assert_eq!(send("a", "Salon A", "a1").json(), json!({"status": "ok"}));
    let again = send("a", "Salon A", "a1");
    assert_eq!((again.json(), again.header("idempotent-replayed")), (json!({"status": "ok"}), Some("true")));
    let other = send("a", "Salon A", "a2");
    assert_eq!((other.status, &other.json()["statusCode"]), (422, &json!(422)));
    let owner = send("owner of a", "Salon A", "a1");
    assert_eq!(
        (owner.json(), owner.header("idempotent-replayed")),
        (json!({"status": "ignored-stale"}), None)
    );
}
