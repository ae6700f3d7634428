//! `/v1/tenants/{tenant}/products…`, `…/sales…` and `…/orders…`.

use std::collections::BTreeSet;

use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::server::Server;

const NOBODY: &str = "01890000-0000-7000-8000-000000000000";
const ANN: &str = "01890000-0000-7000-8000-00000000000a";
const BOB: &str = "01890000-0000-7000-8000-00000000000b";

/// A shop on a server.
struct Shop<'a> {
    server: &'a Server,
    base: String,
}

impl<'a> Shop<'a> {
    fn new(server: &'a Server, tenant: &str) -> Self {
        Shop { server, base: format!("/v1/tenants/{tenant}") }
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }

    fn product(&self, inventory: u32) -> String {
        let body = json!({
            "name": "Headphones", "price": {"amount": 9999, "currency": "USD"}, "inventory": inventory,
        });
        id(&self.server.post(self.path("products")).json(&body).send().ok(201))
    }

    /// A sale that began long ago and ends in a thousand years, with more fields or other ones.
    fn sale(&self, product: &str, quantity: u32, more: &Value) -> String {
        id(&self.announce(product, quantity, more).ok(201))
    }

    fn announce(&self, product: &str, quantity: u32, more: &Value) -> Answer {
        let mut body = json!({
            "product_id": product, "quantity": quantity,
            "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
        });
        let more = more.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(more);
        self.server.post(self.path("sales")).json(&body).send()
    }

    fn buy(&self, sale: &str, buyer: &str) -> Request {
        self.server.post(self.path(&format!("sales/{sale}/orders"))).json(&json!({"buyer_id": buyer}))
    }

    fn get(&self, rest: &str) -> Value {
        self.server.get(self.path(rest)).send().ok(200)
    }

    fn reconcile(&self, sale: &str) -> Value {
        let found = self.get(&format!("sales/{sale}/reconciliation"));
        assert_eq!((&found["balanced"], &found["differences"]), (&json!(true), &json!([])), "{found}");
        found
    }
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("items").clone()
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
}

#[test]
fn a_product_is_brought_in_changed_and_taken_away() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let input = json!({
        "name": "Headphones", "description": "Good ones", "price": {"amount": 9999, "currency": "USD"},
        "inventory": 100,
    });
    let created = server.post(shop.path("products")).json(&input).send();
    let body = created.ok(201);
    for (field, value) in input.as_object().expect("an object") {
        assert_eq!(&body[field], value, "{field}");
    }
    assert_eq!(
        (&body["available"], &body["allocated"], &body["version"]),
        (&json!(100), &json!(0), &json!(1))
    );
    let path = created.header("location").expect("a location").to_owned();
    assert_eq!(path, shop.path(&format!("products/{}", id(&body))));
    let read = server.get(&*path).send();
    assert_eq!((read.ok(200), read.etag()), (body.clone(), created.etag()));
    assert!(read.etag().starts_with("\"v1-"), "{}", read.etag());
    assert_eq!(server.get(&*path).header("If-None-Match", read.etag()).send().status, 304);

    let sale = shop.sale(&id(&body), 30, &json!({}));
    let with_sale = server.get(&*path).header("If-None-Match", read.etag()).send();
    let taken = with_sale.ok(200);
    assert_eq!((&taken["available"], &taken["version"]), (&json!(70), &json!(1)), "its stock is another");
    let patch = json!({"description": null, "inventory": 40});
    let changed = server.patch(&path, &patch).header("If-Match", read.etag()).send();
    let after = changed.ok(200);
    assert_eq!(
        [&after["description"], &after["inventory"], &after["available"], &after["version"]],
        [&Value::Null, &json!(40), &json!(10), &json!(2)]
    );
    let stale = server.patch(&path, &json!({"inventory": 50})).header("If-Match", read.etag()).send();
    assert_eq!(stale.status, 412);
    refused(&server.patch(&path, &json!({"inventory": 29})).send(), 409, "inventory-below-allocated");
    refused(&server.delete(&*path).send(), 409, "product-in-use");
    let past = server.get(format!("{path}?as_of={}", created.position())).send();
    assert_eq!(past.ok(200), body, "as it was before the sale");

    server.post(shop.path(&format!("sales/{sale}/end"))).send().ok(200);
    assert_eq!(server.delete(&*path).send().ok(200)["deleted"], true);
    refused(&server.get(&*path).send(), 404, "not-found");
    let versions = items(&server.get(format!("{path}/versions")).send().ok(200));
    assert_eq!(versions.len(), 3);
    assert_eq!(items(&shop.get("products")), [json!(null); 0]);
    let then = shop.get(&format!("products?as_of={}", changed.position()));
    assert_eq!(items(&then), [after]);
}

#[test]
fn a_sale_is_announced_changed_and_ended() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let product = shop.product(10);
    let created = shop.announce(&product, 4, &json!({"buyer_limit": 2, "hold_seconds": 60}));
    let body = created.ok(201);
    assert_eq!(
        [&body["state"], &body["left"], &body["held"], &body["sold"], &body["product_name"], &body["price"]],
        [
            &json!("active"),
            &json!(4),
            &json!(0),
            &json!(0),
            &json!("Headphones"),
            &json!({"amount": 9999, "currency": "USD"})
        ]
    );
    let path = created.header("location").expect("a location").to_owned();
    let read = server.get(&*path).send();
    assert_eq!((read.ok(200), read.etag()), (body.clone(), created.etag()));
    assert_eq!(server.get(&*path).header("If-None-Match", read.etag()).send().status, 304);
    let sale = id(&body);
    shop.buy(&sale, ANN).send().ok(201);
    let bought = server.get(&*path).header("If-None-Match", read.etag()).send().ok(200);
    assert_eq!((&bought["left"], &bought["held"], &bought["version"]), (&json!(3), &json!(1), &json!(1)));

    let patch = json!({"quantity": 10, "hold_seconds": null, "price": {"amount": 1, "currency": "EUR"}});
    let changed = server.patch(&path, &patch).header("If-Match", read.etag()).send();
    let after = changed.ok(200);
    assert_eq!(
        [&after["left"], &after["hold_seconds"], &after["price"]["amount"], &after["version"]],
        [&json!(9), &Value::Null, &json!(1), &json!(2)],
        "a stock that changed is no other version"
    );
    refused(&server.patch(&path, &json!({"quantity": 11})).send(), 409, "inventory-short");
    refused(&server.patch(&path, &json!({"quantity": 0})).send(), 409, "quantity-below-sold");
    let past = server.get(format!("{path}?as_of={}", created.position())).send();
    assert_eq!(past.ok(200), body);

    let ended = server.post(format!("{path}/end")).send().ok(200);
    assert_eq!(
        (&ended["state"], &ended["left"], &ended["returned"]),
        (&json!("ended"), &json!(0), &json!(9))
    );
    assert_eq!(shop.get(&format!("products/{product}"))["available"], 9);
    refused(&server.patch(&path, &json!({"quantity": 5})).send(), 409, "sale-closed");
    refused(&server.post(format!("{path}/cancel")).send(), 409, "sale-closed");
    refused(&shop.buy(&sale, BOB).send(), 409, "sale-not-active");
    assert_eq!(items(&server.get(format!("{path}/versions")).send().ok(200)).len(), 3);

    let coming = shop.sale(&product, 1, &json!({"starts_at": "3000-01-01T00:00:00Z"}));
    let cancelled = shop.sale(&product, 1, &json!({}));
    server.post(shop.path(&format!("sales/{cancelled}/cancel"))).send().ok(200);
    for (query, expected) in [
        ("", vec![&sale, &coming, &cancelled]),
        ("?state=ended", vec![&sale]),
        ("?state=upcoming", vec![&coming]),
        ("?state=cancelled", vec![&cancelled]),
        ("?state=active", vec![]),
        (&format!("?product_id={NOBODY}"), vec![]),
    ] {
        let found: BTreeSet<_> = items(&shop.get(&format!("sales{query}"))).iter().map(id).collect();
        assert_eq!(found.iter().collect::<BTreeSet<_>>(), BTreeSet::from_iter(expected), "{query}");
    }
    let first = shop.get("sales?limit=1");
    let cursor = first["next_cursor"].as_str().expect("there are more");
    let second = shop.get(&format!("sales?limit=1&cursor={cursor}"));
    let all = items(&shop.get("sales"));
    assert_eq!([items(&first), items(&second)].concat(), all[..2]);
}

#[test]
fn a_purchase_is_refused_in_the_order_of_the_rules() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let product = shop.product(10);
    // Held pieces are not processed: nothing is written behind the test's back.
    let hold = json!({"hold_seconds": 3_600});
    let sale = shop.sale(&product, 2, &hold);
    refused(&shop.buy(NOBODY, ANN).send(), 404, "sale-not-found");
    let order = shop.buy(&sale, ANN).send();
    let body = order.ok(201);
    assert_eq!(
        [&body["status"], &body["buyer_id"], &body["sale_id"], &body["price"]["amount"], &body["version"]],
        [&json!("held"), &json!(ANN), &json!(sale), &json!(9999), &json!(1)]
    );
    assert_eq!(server.get(order.header("location").expect("a location")).send().ok(200)["id"], body["id"]);
    let before = server.position();
    let again = shop.buy(&sale, ANN).send();
    refused(&again, 409, "buyer-limit-reached");
    assert_eq!(again.problem()["buyer_limit"], 1);
    shop.buy(&sale, BOB).send().ok(201);
    assert_ne!(server.position(), before);
    let before = server.position();
    for buyer in [ANN, NOBODY] {
        refused(&shop.buy(&sale, buyer).send(), 409, "sold-out");
    }
    let coming = shop.sale(&product, 1, &json!({"starts_at": "3000-01-01T00:00:00Z"}));
    let announced = server.position();
    assert_ne!(announced, before);
    let early = shop.buy(&coming, ANN).send();
    refused(&early, 409, "sale-not-active");
    assert_eq!(early.problem()["state"], "upcoming");
    assert_eq!(server.position(), announced, "a refusal writes nothing");
    assert_eq!(shop.get(&format!("sales/{sale}"))["state"], "sold_out");

    let nobody = server.post(shop.path(&format!("sales/{sale}/orders"))).json(&json!({})).send();
    refused(&nobody, 422, "field-refused");
    let detail = nobody.problem()["errors"][0]["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("users/authenticate") && detail.contains("Authorization: Bearer"), "{detail}");
    let unknown = server.post(shop.path(&format!("sales/{sale}/orders"))).json(&json!({"buyer": ANN})).send();
    refused(&unknown, 400, "body-invalid");
}

#[test]
fn a_repeated_purchase_is_answered_as_the_first() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let sale = shop.sale(&shop.product(10), 1, &json!({}));
    let buy = |key: &str, buyer: &str| shop.buy(&sale, buyer).header("Idempotency-Key", key).send();
    let first = buy("a", ANN);
    let again = buy("a", ANN);
    assert_eq!((again.ok(201), again.replayed()), (first.ok(201), true));
    refused(&buy("b", BOB), 409, "sold-out");
    let repeated = buy("b", BOB);
    refused(&repeated, 409, "sold-out");
    assert!(repeated.replayed(), "the refusal of a keyed purchase sticks");
    assert_eq!(shop.reconcile(&sale)["sold"], 1);
    let tries = &shop.get(&format!("sales/{sale}/statistics"))["tries"];
    assert_eq!((&tries["count"], &tries["accepted"], &tries["replayed"]), (&json!(4), &json!(1), &json!(2)));
}

#[test]
fn held_pieces_are_paid_given_back_or_expire_by_themselves() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let product = shop.product(10);
    let sale = shop.sale(&product, 3, &json!({"hold_seconds": 3_600, "buyer_limit": 9}));
    let hold = || id(&shop.buy(&sale, ANN).send().ok(201));
    let (paid, cancelled) = (hold(), hold());
    let act = |order: &str, action: &str| {
        let request = server.post(shop.path(&format!("orders/{order}/{action}")));
        if action == "pay" { request.json(&json!({"reference": "till-7"})) } else { request }
    };
    let order = shop.get(&format!("orders/{paid}"));
    assert_eq!(order["status"], "held");
    assert!(order["hold_expires_at"].is_string());
    let after = act(&paid, "pay").send().ok(200);
    assert_eq!((&after["status"], &after["payment_reference"]), (&json!("paid"), &json!("till-7")));
    refused(&act(&paid, "pay").send(), 409, "invalid-transition");
    refused(&act(&paid, "cancel").send(), 409, "invalid-transition");
    assert_eq!(act(&cancelled, "cancel").send().ok(200)["status"], "cancelled");
    assert_eq!(act(&cancelled, "cancel").send().ok(200)["version"], 2, "once more changes nothing");
    refused(&act(NOBODY, "cancel").send(), 404, "order-not-found");
    let found = shop.reconcile(&sale);
    assert_eq!([&found["sold"], &found["held"], &found["left"]], [1, 0, 2]);
    assert_eq!((&found["orders"]["paid"], &found["orders"]["cancelled"]), (&json!(1), &json!(1)));

    // A hold of one second is over without anybody's help, for reads and for the next buyer.
    let quick = shop.sale(&product, 1, &json!({"hold_seconds": 1}));
    let order = id(&shop.buy(&quick, ANN).send().ok(201));
    let mut events = server.get(shop.path(&format!("sales/{quick}/stream"))).listen();
    assert_eq!(events.data(1)[0]["left"], 0);
    let told = &events.data(1)[0];
    assert_eq!((&told["left"], &told["held"], &told["state"]), (&json!(1), &json!(0), &json!("active")));
    assert_eq!(shop.get(&format!("orders/{order}"))["status"], "expired");
    assert_eq!(items(&shop.get(&format!("orders?sale_id={quick}&status=expired"))).len(), 1);
    refused(&act(&order, "pay").send(), 409, "hold-expired");
    shop.buy(&quick, BOB).send().ok(201);
    assert_eq!(shop.reconcile(&quick)["orders"]["expired"], 1);
}

#[test]
fn a_customer_sees_and_touches_their_own_alone() {
    let server = Server::with_keys();
    let shop = Shop::new(&server, "salon");
    let sale = shop.sale(&shop.product(10), 5, &json!({"hold_seconds": 600}));
    let [ann, bob] = [(); 2].map(|()| server.tenant_key("salon", Role::Customer));
    let ask = |key: &str, method, rest: &str| server.anonymous(method, shop.path(rest)).key(key);
    let orders = format!("sales/{sale}/orders");
    let own = ask(&ann, "POST", &orders).json(&json!({})).send().ok(201);
    let other = ask(&bob, "POST", &orders).json(&json!({})).send().ok(201);
    assert_ne!(own["buyer_id"], other["buyer_id"]);
    let for_bob = json!({"buyer_id": other["buyer_id"]});
    refused(&ask(&ann, "POST", &orders).json(&for_bob).send(), 403, "forbidden");
    let for_self = json!({"buyer_id": own["buyer_id"]});
    refused(&ask(&ann, "POST", &orders).json(&for_self).send(), 409, "buyer-limit-reached");

    // That an order is paid is for the shop to say, not for the buyer.
    let pay = ask(&ann, "POST", &format!("orders/{}/pay", id(&own))).json(&json!({}));
    refused(&pay.send(), 403, "forbidden");

    let theirs = id(&other);
    for (method, rest, code) in [
        ("GET", format!("orders/{theirs}"), "not-found"),
        ("GET", format!("orders/{theirs}/versions"), "not-found"),
        ("POST", format!("orders/{theirs}/cancel"), "order-not-found"),
    ] {
        let request = |key| ask(key, method, &rest);
        refused(&request(&ann).send(), 404, code);
        if method == "GET" {
            request(&bob).send().ok(200);
        }
    }
    let listed = |key: &str, query: &str| -> BTreeSet<String> {
        items(&ask(key, "GET", &format!("orders{query}")).send().ok(200)).iter().map(id).collect()
    };
    assert_eq!(listed(&ann, ""), [id(&own)].into());
    assert_eq!(listed(&ann, &format!("?sale_id={sale}")), [id(&own)].into());
    let named = format!("orders?buyer_id={}", other["buyer_id"].as_str().expect("an id"));
    refused(&ask(&ann, "GET", &named).send(), 403, "forbidden");
    let staff = server.tenant_key("salon", Role::Staff);
    assert_eq!(listed(&staff, ""), [id(&own), id(&other)].into());
    let of_bob = format!("?buyer_id={}", other["buyer_id"].as_str().expect("an id"));
    assert_eq!(listed(&staff, &of_bob), [id(&other)].into());
    assert_eq!(listed(&staff, "?limit=1").len(), 1);

    for (key, method, rest) in [
        (&ann, "GET", "products".to_owned()),
        (&ann, "GET", format!("sales/{sale}/statistics")),
        (&ann, "GET", format!("sales/{sale}/reconciliation")),
        (&ann, "GET", format!("sales/{sale}/versions")),
        (&ann, "POST", format!("sales/{sale}/end")),
        (&staff, "POST", format!("sales/{sale}/cancel")),
        (&staff, "GET", format!("sales/{sale}/statistics")),
    ] {
        refused(&ask(key, method, &rest).send(), 403, "forbidden");
    }
    let elsewhere = "/v1/tenants/elsewhere/orders";
    server.tenant("elsewhere");
    refused(&server.anonymous("GET", elsewhere).key(&ann).send(), 403, "forbidden");
    ask(&ann, "POST", &format!("orders/{}/cancel", id(&own))).send().ok(200);
}

#[test]
fn strangers_see_the_sales_of_a_tenant_that_is_public_and_nothing_else() {
    let server = Server::with_keys();
    let shop = Shop::new(&server, "salon");
    let sale = shop.sale(&shop.product(10), 5, &json!({}));
    let ask = |method, rest: &str| server.anonymous(method, shop.path(rest));
    refused(&ask("GET", &format!("sales/{sale}")).send(), 401, "unauthenticated");
    server.patch("/v1/tenants/salon", &json!({"public": true})).send().ok(200);
    assert_eq!(ask("GET", &format!("sales/{sale}")).send().ok(200)["left"], 5);
    assert_eq!(items(&ask("GET", "sales").send().ok(200)).len(), 1);
    let mut events = ask("GET", &format!("sales/{sale}/stream")).listen();
    assert_eq!(events.data(1)[0]["left"], 5);
    for (method, rest) in [
        ("GET", "products".to_owned()),
        ("GET", "orders".to_owned()),
        ("POST", format!("sales/{sale}/orders")),
        ("POST", format!("sales/{sale}/end")),
        ("GET", format!("sales/{sale}/reconciliation")),
    ] {
        refused(&ask(method, &rest).send(), 401, "unauthenticated");
    }
}

#[test]
fn a_stream_tells_what_is_left_now_and_whenever_it_changes() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let sale = shop.sale(&shop.product(10), 3, &json!({"buyer_limit": 9}));
    let path = shop.path(&format!("sales/{sale}/stream"));
    let mut early = server.get(&*path).listen();
    let first = &early.data(1)[0];
    assert_eq!(
        (&first["sale_id"], &first["left"], &first["state"]),
        (&json!(sale), &json!(3), &json!("active"))
    );
    assert!(first["server_time"].is_string());
    for left in [2, 1, 0] {
        shop.buy(&sale, ANN).send().ok(201);
        assert_eq!(early.data(1)[0]["left"], left);
    }
    let mut late = server.get(&*path).listen();
    assert_eq!(late.data(1)[0]["state"], "sold_out", "whoever comes late hears how it is at once");
    assert_eq!(server.app.sale_streams().listeners(), 2);
    server.post(shop.path(&format!("sales/{sale}/end"))).send().ok(200);
    for events in [&mut early, &mut late] {
        assert_eq!(events.data(1)[0]["state"], "ended");
    }
    refused(&server.get(shop.path(&format!("sales/{NOBODY}/stream"))).send(), 404, "not-found");
}

#[test]
fn many_at_once_get_exactly_what_there_is() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let sale = shop.sale(&shop.product(100), 20, &json!({}));
    let created = server.position();
    let accepted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u32)
            .map(|thread| {
                let (shop, sale) = (&shop, &sale);
                scope.spawn(move || {
                    let buyer = |i: u32| format!("01890000-0000-7000-8000-{:012}", thread * 6 + i);
                    let buy = |i| shop.buy(sale, &buyer(i)).send();
                    (0..12).filter(|i| buy(*i).status == 201).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(accepted, 20);
    let found = shop.reconcile(&sale);
    assert_eq!([&found["sold"], &found["left"], &found["buyers"], &found["most_per_buyer"]], [20, 0, 20, 1]);
    let statistics = shop.get(&format!("sales/{sale}/statistics"));
    let (sold, tries) = (&statistics["sold"], &statistics["tries"]);
    assert_eq!((&sold["orders"], &sold["complete"]), (&json!(20), &json!(true)));
    assert!(sold["first_at"].as_str() <= sold["last_at"].as_str());
    assert_eq!((&tries["count"], &tries["accepted"]), (&json!(96), &json!(20)));
    let refusals = tries["refused"].as_object().expect("an object").values().filter_map(Value::as_u64);
    assert_eq!(refusals.sum::<u64>(), 76, "{tries}");
    let counted = tries["seconds"].as_array().expect("seconds").iter();
    assert_eq!(counted.filter_map(|second| second["tries"].as_u64()).sum::<u64>(), 96);

    let then = shop.get(&format!("sales/{sale}/reconciliation?as_of={created}"));
    assert_eq!([&then["issued"], &then["left"], &then["sold"]], [20, 20, 0]);
    assert_eq!(then["balanced"], true);
    let listed = shop.get(&format!("orders?sale_id={sale}&limit=1000"));
    assert_eq!(items(&listed).len(), 20);
    let page = shop.get(&format!("orders?sale_id={sale}&limit=15"));
    let cursor = page["next_cursor"].as_str().expect("there are more");
    assert_eq!(items(&shop.get(&format!("orders?sale_id={sale}&limit=15&cursor={cursor}"))).len(), 5);
}

#[test]
fn an_order_is_completed_by_itself_and_everything_is_told() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let sale = shop.sale(&shop.product(10), 3, &json!({}));
    let mut events = server.get(shop.path("changes")).listen();
    let placed = shop.buy(&sale, ANN).send().ok(201);
    assert_eq!(placed["status"], "pending");
    let told = events.data(4);
    let kinds: Vec<_> = told.iter().map(|change| change["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["product", "sale", "order", "order"]);
    assert_eq!(told[2]["data"], placed);
    assert_eq!((&told[3]["record_id"], &told[3]["data"]["status"]), (&placed["id"], &json!("completed")));
    assert_eq!(shop.reconcile(&sale)["orders"]["completed"], 1);
}

#[test]
fn users_buy_with_their_token_on_an_open_server_too() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let sale = shop.sale(&shop.product(10), 3, &json!({"hold_seconds": 600}));
    let user = |email: &str| -> Value {
        let body = json!({"email": email, "password": "correct horse"});
        server.post(shop.path("users")).json(&body).send().ok(201)
    };
    let [ann, bob] = ["ann@example.com", "bob@example.com"].map(user);
    let token = |user: &Value| user["token"].as_str().expect("a token").to_owned();
    let orders = shop.path(&format!("sales/{sale}/orders"));
    let buy = |user: &Value| server.post(&*orders).key(&token(user)).json(&json!({})).send();
    let own = buy(&ann).ok(201);
    let other = buy(&bob).ok(201);
    refused(&buy(&ann), 409, "buyer-limit-reached");
    let list = |user: &Value| items(&server.get(shop.path("orders")).key(&token(user)).send().ok(200));
    assert_eq!((list(&ann), list(&bob)), (vec![own], vec![other.clone()]));
    let theirs = server.get(shop.path(&format!("orders/{}", id(&other)))).key(&token(&ann)).send();
    refused(&theirs, 404, "not-found");
    let garbage = server.post(&*orders).key("a.b.c").json(&json!({})).send();
    refused(&garbage, 401, "credentials-invalid");
}

#[test]
fn fields_that_break_a_rule_are_named() {
    let server = Server::open();
    let shop = Shop::new(&server, "default");
    let product = shop.product(10);
    let sale = shop.sale(&product, 1, &json!({}));
    let with = |mut body: Value, field: &str, value: Value| {
        body[field] = value;
        body
    };
    let fine = json!({"name": "x", "price": {"amount": 1, "currency": "EUR"}, "inventory": 1});
    let create = |field: &str, value: Value| {
        server.post(shop.path("products")).json(&with(fine.clone(), field, value)).send()
    };
    let euro = |currency: &str, amount: i64| json!({"currency": currency, "amount": amount});
    for (answer, status, code, pointer) in [
        (create("name", json!("")), 422, "invalid-name", "/name"),
        (create("price", euro("euro", 1)), 422, "invalid-currency", "/price/currency"),
        (create("price", euro("EUR", -1)), 422, "invalid-price", "/price/amount"),
        (create("price", json!(5)), 400, "body-invalid", "/price"),
        (create("inventory", json!(1_000_000_001)), 422, "invalid-inventory", "/inventory"),
        (create("stock", json!(1)), 400, "body-invalid", "/stock"),
        (shop.announce(&product, 1_000_001, &json!({})), 422, "invalid-quantity", "/quantity"),
        (shop.announce(&product, 0, &json!({})), 422, "invalid-quantity", "/quantity"),
        (shop.announce(&product, 1, &json!({"buyer_limit": 0})), 422, "invalid-buyer-limit", "/buyer_limit"),
        (
            shop.announce(&product, 1, &json!({"hold_seconds": 0})),
            422,
            "invalid-hold-seconds",
            "/hold_seconds",
        ),
        (
            shop.announce(&product, 1, &json!({"ends_at": "2020-01-01T00:00:00Z"})),
            422,
            "invalid-time-range",
            "/ends_at",
        ),
        (
            server.patch(shop.path(&format!("sales/{sale}")), &json!({"price": null})).send(),
            400,
            "body-invalid",
            "/price",
        ),
    ] {
        refused(&answer, status, code);
        assert_eq!(answer.problem()["errors"][0]["pointer"], pointer);
    }
    refused(&shop.announce(NOBODY, 1, &json!({})), 404, "product-not-found");
    refused(&shop.announce(&product, 10, &json!({})), 409, "inventory-short");
    refused(&server.get(shop.path("sales/none")).send(), 400, "path-invalid");
    let unsold = server.patch(shop.path(&format!("sales/{sale}")), &json!({"quantity": 0})).send();
    assert_eq!(unsold.ok(200)["state"], "sold_out", "a sale that is there may be left with what is sold");
}
