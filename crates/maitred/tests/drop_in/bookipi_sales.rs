//! The flash sale's sale and orders: recorded requests, the rush, an order's way, and who may do what with keys.

use std::sync::Barrier;
use std::thread;

use maitred_booking::app::Access;
use maitred_booking::flash_sales::reconcile;
use maitred_booking::tenants::{self, CreateApiKey, CreateTenant, DropIn, DropIns, Role};
use maitred_core::TenantNumber;
use maitred_web::auth::ApiKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::rows;
use crate::server::Server;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PRODUCT: &str = "550e8400-e29b-41d4-a716-446655440000";
const SALE: Uuid = Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0001);

#[test]
fn every_recorded_request_is_answered_as_recorded() {
    rows::replay(include_str!("bookipi_sales.json"), &["2.1", "2.4", "2.5", "2.6", "2.7", "2.8"]);
}

fn update(client: &mut Client, headers: &[(&str, &str)], quantity: u32) -> u16 {
    let body =
        json!({"start_date": "2020-01-01", "end_date": "3020-01-01", "quantity": quantity}).to_string();
    let headers: Vec<_> = [JSON].into_iter().chain(headers.iter().copied()).collect();
    client.send("POST /sales/update", &headers, body.as_bytes()).status
}

/// Registers a user; their `Authorization`.
fn register(client: &mut Client, email: &str) -> String {
    let body = json!({"email": email, "password": "secret password"}).to_string();
    let registered = client.send("POST /users", &[JSON], body.as_bytes());
    assert_eq!(registered.status, 201);
    format!("Bearer {}", registered.json()["token"].as_str().expect("a token"))
}

fn buy(client: &mut Client, user: &str) -> (u16, Value) {
    let body = json!({ "productId": PRODUCT }).to_string();
    let answered = client.send("POST /orders", &[JSON, ("Authorization", user)], body.as_bytes());
    (answered.status, answered.json())
}

#[test]
fn an_order_is_pending_and_then_completed() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(update(&mut client, &[], 3), 200);
    let ann = register(&mut client, "ann@example.com");
    let bob = register(&mut client, "bob@example.com");
    let (status, placed) = buy(&mut client, &ann);
    assert_eq!(status, 200);
    let mut published = server.app.engine().watch();
    let completed = loop {
        published.borrow_and_update();
        let order = client.send("GET /orders", &[("Authorization", &ann)], b"").json();
        assert_eq!((&order["order_id"], &order["product_id"]), (&placed["order_id"], &json!(PRODUCT)));
        if order["status"] == "completed" {
            break order;
        }
        assert_eq!(order["status"], "pending");
        server.block_on(published.changed()).expect("the engine runs");
    };
    let mut fields: Vec<_> = completed.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["created_at", "order_id", "product_id", "status"]);
    let others = client.send("GET /orders", &[("Authorization", &bob)], b"");
    assert_eq!(others.json(), Value::Null, "another user has none");
}

#[test]
fn a_key_of_two_users_is_two_keys() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(update(&mut client, &[], 3), 200);
    let body = json!({ "productId": PRODUCT }).to_string();
    let mut buy = |user: &str| {
        let headers = [JSON, ("Authorization", user), ("Idempotency-Key", "k1")];
        let answered = client.send("POST /orders", &headers, body.as_bytes());
        assert_eq!(answered.status, 200, "{answered:?}");
        (answered.json()["order_id"].clone(), answered.header("idempotent-replayed").is_some())
    };
    let [ann, bob] =
        ["ann@example.com", "bob@example.com"].map(|email| register(&mut server.client(), email));
    let (of_ann, of_bob) = (buy(&ann), buy(&bob));
    assert!(of_ann.0 != of_bob.0 && !of_ann.1 && !of_bob.1, "each has an order: {of_ann:?} {of_bob:?}");
    assert_eq!((buy(&ann), buy(&bob)), ((of_ann.0, true), (of_bob.0, true)), "and is told of it again");
    assert_eq!(server.client().get("/sales").json()["remaining_stock"], 1);
}

#[test]
fn a_repeated_request_says_that_it_is_one() {
    let server = Server::open();
    let mut client = server.client();
    let mut again = |line: &str, headers: &[(&str, &str)], body: &Value| {
        let headers = [&[JSON, ("Idempotency-Key", "k1")][..], headers].concat();
        let answered = client.send(line, &headers, body.to_string().as_bytes());
        (answered.status, answered.header("idempotent-replayed").is_some())
    };
    // Whole, however it is written.
    let sale = json!({"start_date": "2020-01-01", "end_date": "3020-01-01", "quantity": 1.0});
    assert_eq!(again("POST /sales/update", &[], &sale), (200, false));
    assert_eq!(again("POST /sales/update", &[], &sale), (200, true));
    let users = ["ann@example.com", "bob@example.com"].map(|email| register(&mut server.client(), email));
    let order = json!({ "productId": PRODUCT });
    for (user, status) in users.iter().zip([200, 400]) {
        let user = [("Authorization", &**user)];
        assert_eq!(again("POST /orders", &user, &order), (status, false));
        assert_eq!(again("POST /orders", &user, &order), (status, true));
    }
}

#[test]
fn a_first_sale_whose_product_was_deleted_comes_back_under_new_ids() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(update(&mut client, &[], 3), 200);
    let user = register(&mut client, "ann@example.com");
    let end = format!("POST /v1/tenants/default/sales/{SALE}/end");
    assert_eq!(client.send(&end, &[JSON], b"{}").status, 200);
    assert_eq!(client.send(&format!("DELETE /v1/tenants/default/products/{PRODUCT}"), &[], b"").status, 200);
    assert_eq!(client.get("/sales").status, 500, "there is none");
    assert_eq!(update(&mut client, &[], 2), 200);
    let sale = client.get("/sales").json();
    assert!(sale["flash_sale_id"] != json!(SALE) && sale["product_id"] != PRODUCT, "{sale}");
    assert_eq!(sale["remaining_stock"], 2);
    assert_eq!(update(&mut client, &[], 5), 200);
    let same = client.get("/sales").json();
    assert_eq!((&same["flash_sale_id"], &same["remaining_stock"]), (&sale["flash_sale_id"], &json!(5)));
    let body = json!({ "productId": sale["product_id"] }).to_string();
    let bought = client.send("POST /orders", &[JSON, ("Authorization", &user)], body.as_bytes());
    assert_eq!(bought.status, 200, "{bought:?}");
    let order = client.send("GET /orders", &[("Authorization", &user)], b"").json();
    assert_eq!(order["order_id"], bought.json()["order_id"]);
}

#[test]
fn a_connection_is_kept_and_its_client_told_so() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(update(&mut client, &[], 1), 200);
    let user = register(&mut client, "ann@example.com");
    let json = |body: Value| body.to_string();
    type Line<'a> = (&'a str, Vec<(&'a str, &'a str)>, String, u16);
    let lines: [Line<'_>; 9] = [
        ("GET /health", vec![], String::new(), 200),
        ("GET /sales", vec![], String::new(), 200),
        ("GET /Sales/", vec![], String::new(), 200),
        ("OPTIONS /sales", vec![], String::new(), 204),
        ("GET /orders", vec![("Authorization", &user)], String::new(), 200),
        ("GET /orders", vec![], String::new(), 401),
        ("POST /orders", vec![JSON, ("Authorization", &user)], json(json!({"productId": PRODUCT})), 200),
        ("POST /users", vec![JSON], json(json!({})), 400),
        ("DELETE /sales/update", vec![], String::new(), 404),
    ];
    for (line, headers, body, status) in lines {
        // All on one connection: what is promised is kept.
        let answered = client.send(line, &headers, body.as_bytes());
        let said = (answered.header("connection"), answered.header("keep-alive"));
        assert_eq!((answered.status, said), (status, (Some("keep-alive"), Some("timeout=5"))), "{line}");
        let close = [&headers[..], &[("Connection", "close")]].concat();
        let last = server.client().send(line, &close, body.as_bytes());
        assert_eq!(last.header("keep-alive"), None, "{line}: whoever closes is promised nothing");
    }
}

#[test]
fn a_rush_sells_each_piece_once_and_one_to_each_buyer() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(update(&mut client, &[], 5), 200);
    let users: Vec<String> =
        (0..12).map(|number| register(&mut client, &format!("user{number}@example.com"))).collect();
    let barrier = Barrier::new(users.len());
    let sold: usize = thread::scope(|scope| {
        let buyers: Vec<_> = users
            .iter()
            .map(|user| {
                let (barrier, address) = (&barrier, server.address);
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    barrier.wait();
                    (0..4).filter(|_| buy(&mut client, user).0 == 200).count()
                })
            })
            .collect();
        buyers.into_iter().map(|buyer| buyer.join().expect("an answer")).sum()
    });
    assert_eq!(sold, 5);
    let tenant = server.app.tenant("default").expect("created by the first write").number;
    let view = server.app.engine().view();
    let found = reconcile(&view, tenant, SALE, server.app.engine().now(), None).expect("the sale");
    assert_eq!((found.differences.len(), found.stock.sold, found.stock.free), (0, 5, 0));
    assert_eq!((found.buyers, found.most_per_buyer), (5, 1));
}

#[test]
fn with_keys_an_owner_sets_the_sale_and_users_buy_with_their_tokens() {
    let server = Server::start(Access::Keys, "shop");
    let create = CreateTenant {
        slug: "shop".to_owned(),
        alias: None,
        name: "Shop".to_owned(),
        time_zone: "UTC".to_owned(),
        currency: "USD".to_owned(),
        locale: "en".to_owned(),
        drop_ins: DropIns::NONE.with(DropIn::Bookipi),
        public: false,
        automatic: false,
    };
    server.submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(create));
    let tenant = server.app.tenant("shop").map(|found| found.number);
    let key = |number: u8, role| {
        let secret = ApiKey::from_random(&[number; 32]);
        let create = CreateApiKey {
            tenant,
            id: Uuid::from_u128(u128::from(number)),
            name: "test".to_owned(),
            role,
            secret_hash: secret.hash().0,
        };
        server.submit(TenantNumber::SYSTEM, tenants::Command::CreateApiKey(create));
        format!("Bearer {}", secret.reveal())
    };
    let (owner, staff) = (key(1, Role::Owner), key(2, Role::Staff));
    let mut client = server.client();
    let user = register(&mut client, "ann@example.com");
    for (given, status) in [(None, 401), (Some(&staff), 403), (Some(&user), 403), (Some(&owner), 200)] {
        let headers: Vec<_> = given.map(|given| ("Authorization", given.as_str())).into_iter().collect();
        assert_eq!(update(&mut client, &headers, 1), status, "{given:?}");
    }
    assert_eq!(client.send("GET /sales", &[], b"").json()["remaining_stock"], 1);
    assert_eq!(buy(&mut client, &user).0, 200);
    assert_eq!(buy(&mut client, &owner).1, json!({"error": "Invalid token"}));
}

#[test]
fn a_client_that_has_an_answer_is_not_sent_it_again() {
    let server = Server::open();
    let mut client = server.client();
    assert_eq!(update(&mut client, &[], 3), 200);
    let user = register(&mut client, "ann@example.com");
    for (line, headers) in
        [("GET /sales", vec![]), ("GET /Sales/", vec![]), ("GET /orders", vec![("Authorization", &*user)])]
    {
        let first = client.send(line, &headers, b"");
        let tag = first.header("etag").expect("a tag").to_owned();
        assert!(first.status == 200 && tag.starts_with("W/\""), "{line}: {tag}");
        let mut ask = |more: &[(&str, &str)]| client.send(line, &[&headers[..], more].concat(), b"");
        let again = ask(&[("If-None-Match", &tag)]);
        assert_eq!(
            (again.status, &*again.body, again.header("etag")),
            (304, &b""[..], Some(&*tag)),
            "{line}"
        );
        assert_eq!((again.header("content-type"), again.header("content-length")), (None, None), "{line}");
        assert_eq!(again.header("access-control-allow-origin"), Some("*"), "{line}");
        let reloaded = ask(&[("If-None-Match", &tag), ("Cache-Control", "no-cache")]);
        assert_eq!((reloaded.status, &reloaded.body), (200, &first.body), "{line}");
        assert_eq!(ask(&[("If-None-Match", "W/\"5-abc\"")]).status, 200, "{line}");
    }
    let tag = client.get("/sales").header("etag").expect("a tag").to_owned();
    assert_eq!(update(&mut client, &[("If-None-Match", &tag)], 4), 200, "a write is no read");
    let changed = client.send("GET /sales", &[("If-None-Match", &tag)], b"");
    assert_eq!((changed.status, &changed.json()["remaining_stock"]), (200, &json!(4)));
}

#[test]
fn health_has_this_services_manners_and_unknown_paths_have_none() {
    let server = Server::open();
    let mut client = server.client();
    for line in ["GET /health", "GET /HEALTH", "GET /health/"] {
        let well = client.send(line, &[], b"");
        assert_eq!((well.status, &well.json()["status"]), (200, &json!("OK")), "{line}");
        assert_eq!(well.header("content-type"), Some("application/json; charset=utf-8"), "{line}");
        assert_eq!(well.header("access-control-allow-origin"), Some("*"), "{line}");
        assert!(well.header("etag").is_some_and(|tag| tag.starts_with("W/\"")), "{line}");
    }
    let head = client.send("HEAD /health", &[], b"");
    let length = client.get("/health").body.len().to_string();
    assert_eq!((head.status, head.header("content-length")), (200, Some(&*length)));
    assert_eq!(client.send("OPTIONS /health", &[], b"").status, 204);
    for line in ["PUT /health", "POST /health/", "DELETE /sales", "PATCH /users"] {
        let other = client.send(line, &[], b"");
        assert_eq!((other.status, other.json()), (404, json!({"error": "Route not found"})), "{line}");
        assert_eq!(other.header("allow"), None, "{line}");
    }
    for line in ["GET /nothing", "GET /sales/5", "GET /users/me", "POST /health/live/x"] {
        let unknown = client.send(line, &[], b"");
        assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("path-unknown")), "{line}");
        assert_eq!(unknown.header("content-type"), Some("application/problem+json"), "{line}");
    }
}
