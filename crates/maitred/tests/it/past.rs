//! The past: pages that show one point of the log, positions that are still to come, and tenants that are closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use maitred_booking::tenants::Role;
use maitred_core::Timestamp;
use maitred_engine::clock::Clock;
use serde_json::{Value, json};

use crate::client::Answer;
use crate::clock::Ahead;
use crate::server::{Server, tenant_input};

const HERE: &str = "/v1/tenants/default/appointments";

/// An appointment at a minute of 2026-11-21, changed by its owner at a second of that day.
fn minute(minute: u32, changed: u32) -> Value {
    json!({
        "starts_at": format!("2026-11-21T{:02}:{:02}:00Z", minute / 60, minute % 60),
        "ends_at": format!("2026-11-21T{:02}:{:02}:30Z", minute / 60, minute % 60),
        "created_at": "2026-11-21T00:00:00Z",
        "updated_at": format!("2026-11-21T00:00:{changed:02}Z"),
    })
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|item| item["external_id"].as_str().expect("an id").to_owned()).collect()
}

/// Reads the pages of a list, and does something behind the first.
fn pages(server: &Server, list: &str, meanwhile: impl FnOnce()) -> Vec<Value> {
    let mut pages = vec![server.get(list).send().ok(200)];
    meanwhile();
    while let Some(cursor) = pages.last().expect("the first")["next_cursor"].as_str() {
        let next = server.get(format!("{list}&cursor={cursor}")).send().ok(200);
        pages.push(next);
    }
    pages
}

#[test]
fn pages_show_one_point_of_the_log_whatever_is_written_meanwhile() {
    for as_of in ["", "&as_of=2999-01-01T00:00:00Z"] {
        let server = Server::open();
        let put = |id: u32, at: u32, changed: u32| {
            let answer = server.put(format!("{HERE}/p{id:02}"), &minute(at, changed)).send();
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        };
        for id in 0..20 {
            put(id, 100 + id, 1);
        }
        let list = format!("{HERE}?limit=5{as_of}");
        let read = pages(&server, &list, || {
            put(15, 10, 2); // to the front: it was not seen yet
            put(2, 900, 2); // to the end: it was
            server.delete(format!("{HERE}/p09?updated_at=2026-11-21T01:00:00Z")).send().ok(200);
            put(20, 130, 1);
        });
        let seen: Vec<_> = read.iter().flat_map(ids).collect();
        let expected: Vec<_> = (0..20).map(|id| format!("p{id:02}")).collect();
        assert_eq!(seen, expected, "{as_of}");
        assert_eq!(read[3]["items"][0]["version"], 1, "p15 is told as it was");
        let now = pages(&server, &list, || ());
        let seen: Vec<_> = now.iter().flat_map(ids).collect();
        assert_eq!((seen.len(), seen[0].as_str(), seen[19].as_str()), (20, "p15", "p02"));
    }
}

#[test]
fn versions_tenants_and_keys_are_paged_as_they_were_at_the_first_page() {
    let server = Server::open();
    for changed in 1..=5 {
        server.put(format!("{HERE}/a"), &minute(10, changed)).send();
    }
    let versions = pages(&server, &format!("{HERE}/a/versions?limit=2"), || {
        server.put(format!("{HERE}/a"), &minute(10, 6)).send().ok(200);
    });
    assert_eq!(versions.iter().flat_map(ids).count(), 5);

    for i in 0..4 {
        server.tenant(&format!("t-{i}"));
        let input = json!({"name": format!("k-{i}"), "role": "staff"});
        server.post("/v1/tenants/default/api-keys").json(&input).send().ok(201);
    }
    let slugs = |pages: &[Value], field: &str| -> Vec<String> {
        let items = pages.iter().flat_map(|page| page["items"].as_array().expect("items"));
        items.map(|item| item[field].as_str().expect("a text").to_owned()).collect()
    };
    let tenants = pages(&server, "/v1/tenants?limit=2", || {
        server.delete("/v1/tenants/t-2").send().ok(200);
        server.post("/v1/tenants").json(&tenant_input("t-4")).send().ok(201);
    });
    assert_eq!(slugs(&tenants, "slug"), ["default", "t-0", "t-1", "t-2", "t-3"]);
    let keys = pages(&server, "/v1/tenants/default/api-keys?limit=3", || {
        let input = json!({"name": "late", "role": "staff"});
        server.post("/v1/tenants/default/api-keys").json(&input).send().ok(201);
    });
    let mut names = slugs(&keys, "name");
    names.sort(); // they come by id, which within a millisecond is not the order in which they were made
    assert_eq!(names, ["k-0", "k-1", "k-2", "k-3"]);
}

/// The id of what is made.
fn made(answer: &Answer) -> String {
    answer.ok(201)["id"].as_str().expect("an id").to_owned()
}

fn product(server: &Server, shop: &str) -> String {
    let price = json!({"amount": 1, "currency": "EUR"});
    let body = json!({"name": "p", "price": price, "inventory": 100});
    made(&server.post(format!("{shop}/products")).json(&body).send())
}

fn sale(server: &Server, shop: &str, product: &str, more: &Value) -> String {
    let mut body = json!({
        "product_id": product, "quantity": 5, "buyer_limit": 5,
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
    });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    made(&server.post(format!("{shop}/sales")).json(&body).send())
}

fn buy(server: &Server, shop: &str, sale: &str) -> String {
    let body = json!({"buyer_id": "01890000-0000-7000-8000-00000000000a"});
    made(&server.post(format!("{shop}/sales/{sale}/orders")).json(&body).send())
}

/// The items of all pages, by id: products, sales and orders come in the order of random ids within a millisecond.
fn by_id(pages: &[Value]) -> BTreeMap<String, Value> {
    let items = pages.iter().flat_map(|page| page["items"].as_array().expect("items"));
    let mut seen = BTreeMap::new();
    for item in items {
        let id = item["id"].as_str().expect("an id").to_owned();
        assert!(seen.insert(id, item.clone()).is_none(), "an item stands in one page");
    }
    seen
}

#[test]
fn products_sales_and_orders_are_paged_as_they_were_at_the_first_page() {
    let server = Server::open();
    const SHOP: &str = "/v1/tenants/default";
    let products: Vec<_> = (0..5).map(|_| product(&server, SHOP)).collect();
    // Held pieces are not processed: nothing is written behind the test's back.
    let held = json!({"hold_seconds": 3_600});
    let sales: Vec<_> = products.iter().map(|product| sale(&server, SHOP, product, &held)).collect();
    let doomed = sale(&server, SHOP, &products[4], &held);
    let buy = |sale: &str| buy(&server, SHOP, sale);
    let orders: Vec<_> = (0..5).map(|_| buy(&sales[0])).collect();
    for list in ["products", "sales", "orders"] {
        let before = by_id(&[server.get(format!("{SHOP}/{list}?limit=1000")).send().ok(200)]);
        let paged = pages(&server, &format!("{SHOP}/{list}?limit=2"), || {
            for product in &products {
                let body = json!({"name": format!("changed before {list}")});
                server.patch(format!("{SHOP}/products/{product}"), &body).send().ok(200);
            }
            for sale in &sales[1..] {
                buy(sale);
            }
            if list == "sales" {
                server.post(format!("{SHOP}/sales/{doomed}/cancel")).send().ok(200);
            }
            for order in &orders {
                server.post(format!("{SHOP}/orders/{order}/cancel")).send().ok(200);
            }
            sale(&server, SHOP, &product(&server, SHOP), &json!({}));
        });
        assert_eq!(by_id(&paged), before, "{list}: every page shows the first page's point");
    }
    for path in
        [format!("products/{}", products[0]), format!("sales/{doomed}"), format!("orders/{}", orders[0])]
    {
        let whole = server.get(format!("{SHOP}/{path}/versions?limit=1000")).send().ok(200);
        let paged = pages(&server, &format!("{SHOP}/{path}/versions?limit=1"), || {
            server.patch(format!("{SHOP}/products/{}", products[0]), &json!({"inventory": 200})).send();
        });
        let items: Vec<_> = paged.iter().flat_map(|page| page["items"].as_array().expect("items")).collect();
        let expected = whole["items"].as_array().expect("items");
        assert!(expected.len() >= 2, "{path} has changed");
        assert_eq!(items, expected.iter().collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn a_window_and_a_hold_that_end_between_two_pages_are_open_on_both() {
    let clock = Arc::new(Ahead::default());
    let server = Server::with_keys_by(clock.clone());
    let shop = "/v1/tenants/salon";
    let product = product(&server, shop);
    let ends_at = Timestamp::from_micros(clock.wall().as_micros() + 1_800_000_000).to_string();
    let more = json!({"ends_at": ends_at, "hold_seconds": 600});
    let sales: Vec<_> = (0..3).map(|_| sale(&server, shop, &product, &more)).collect();
    for sale in &sales {
        buy(&server, shop, sale);
    }
    for (list, field, then, now) in [
        ("sales?state=active", "state", "active", "ended"),
        ("sales?limit=1000", "state", "active", "ended"),
        ("orders?status=held", "status", "held", "expired"),
        ("orders?limit=1000", "status", "held", "expired"),
    ] {
        clock.seconds.store(0, Ordering::Relaxed);
        let list = format!("{shop}/{list}").replace("limit=1000", "limit=1");
        let list = if list.contains("limit") { list } else { format!("{list}&limit=1") };
        // Nothing is written by a clock that has jumped: only the instant tells.
        let paged = pages(&server, &list, || clock.seconds.store(3_600, Ordering::Relaxed));
        let all = |pages: &[Value]| -> Vec<String> {
            by_id(pages).values().map(|item| item[field].as_str().expect("a text").to_owned()).collect()
        };
        assert_eq!(all(&paged), [then; 3], "{list}: judged at the first page's instant");
        let plain = list.split('?').next().expect("a path");
        assert_eq!(all(&[server.get(plain).send().ok(200)]), [now; 3], "{list}: it is over now");
    }
}

#[test]
fn a_position_that_is_still_to_come_is_waited_for() {
    let server = Server::open();
    let next = server.app.engine().position().seq + 1;
    std::thread::scope(|scope| {
        let read = scope.spawn(|| server.get(format!("{HERE}/a?as_of=0.{next}")).send());
        // It may be written before the read comes or behind it: either way it is answered.
        server.put(format!("{HERE}/a"), &minute(10, 1)).send().ok(201);
        assert_eq!(read.join().expect("it is answered").ok(200)["version"], 1);
    });
    let began = Instant::now();
    let never = server.get(format!("{HERE}?as_of=0.99999")).send();
    assert_eq!(never.refusal(), (400, "position-invalid".to_owned()));
    assert!(began.elapsed() >= Duration::from_secs(2), "it was waited for");
    let elsewhere = server.get(format!("{HERE}?as_of=7.1")).header("Maitred-Position", "0.1").send();
    assert_eq!(elsewhere.refusal(), (400, "position-invalid".to_owned()));
}

#[test]
fn an_admin_reads_and_exports_what_a_closed_tenant_was() {
    let server = Server::with_keys();
    let owner = server.tenant_key("salon", Role::Owner);
    let tenant = "/v1/tenants/salon";
    server.put(format!("{tenant}/appointments/a"), &minute(10, 1)).send().ok(201);
    let open = server.position();
    let profile = server.get(tenant).send().ok(200);
    let export = server.get(format!("{tenant}/export")).send().text().to_owned();
    server.delete(tenant).send().ok(200);
    let closed = server.position();

    let gone = (404, "tenant-not-found".to_owned());
    for path in ["", "/appointments", "/appointments/a", "/appointments/a/versions", "/versions"] {
        let at = |as_of: &str| server.get(format!("{tenant}{path}?as_of={as_of}"));
        at(&open).send().ok(200);
        assert_eq!(at(&closed).send().refusal(), gone, "{path}: it was closed then");
        assert_eq!(at("0.1").send().refusal(), gone, "{path}: it was not there yet");
        assert_eq!(server.get(format!("{tenant}{path}")).send().refusal(), gone, "{path}: it is closed now");
        let request = server.anonymous("GET", format!("{tenant}{path}?as_of={open}"));
        assert_eq!(request.clone().send().refusal().0, 401, "{path}: to a stranger");
        assert_eq!(request.key(&owner).send().refusal().0, 403, "{path}: to its owner");
    }
    assert_eq!(server.get(format!("{tenant}?as_of={open}")).send().ok(200), profile);
    let list = server.get(format!("{tenant}/appointments?as_of={open}")).send().ok(200);
    assert_eq!(ids(&list), ["a"]);
    for query in [String::new(), format!("?as_of={open}")] {
        let answer = server.get(format!("{tenant}/export{query}")).send();
        assert_eq!((answer.status, answer.text()), (200, export.as_str()), "{query}");
    }
    for request in [
        server.put(format!("{tenant}/appointments/a"), &minute(10, 2)),
        server.delete(format!("{tenant}/appointments/a?updated_at=2026-11-21T01:00:00Z")),
        server.patch(tenant, &json!({"name": "x"})),
        server.post(format!("{tenant}/import")).bytes(export.clone()),
        server.get(format!("{tenant}/changes")),
    ] {
        assert_eq!(request.send().refusal(), gone);
    }
    assert_eq!(server.position(), closed, "nothing of it can be written");
}
