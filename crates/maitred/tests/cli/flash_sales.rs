//! What a flash sale does by itself, across restarts and without any client's help; and that `check` looks at it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Folder, Server, run};

/// A server that has not done by itself what is due for so long has failed the test.
const PATIENCE: Duration = Duration::from_secs(60);
const SALE: &str = "/v1/tenants/demo/sales/550e8400-e29b-41d4-a716-446655440001";
const BUYER: &str = "01890000-0000-7000-8000-00000000000a";

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let (status, text) = server.ask(method, path, "Content-Type: application/json\r\n", &body.to_string());
    assert!(matches!(status, 200 | 201), "{method} {path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Asks until an order has so many versions; where it stands in each of them.
fn statuses(server: &Server, order: &str, versions: usize) -> Vec<String> {
    let started = Instant::now();
    loop {
        let (_, page) = server.get(&format!("/v1/tenants/demo/orders/{order}/versions"));
        let found = page["items"].as_array().expect("items");
        if found.len() >= versions {
            let status = |version: &Value| version["status"].as_str().expect("a status").to_owned();
            return found.iter().map(status).collect();
        }
        assert!(started.elapsed() < PATIENCE, "{page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn check(data: &Path) -> String {
    run(&["check", "--data", &data.display().to_string()]).succeeds().stdout
}

#[test]
fn a_hold_that_ends_while_the_server_is_down_is_settled_by_the_next_start() {
    let folder = Folder::new();
    let data = folder.path("data");
    let server = Server::start(&data, &["--demo"]);
    let (_, seeded) = server.get(SALE);
    assert_eq!((&seeded["state"], &seeded["left"]), (&json!("active"), &json!(100)));
    send(&server, "PATCH", SALE, &json!({"hold_seconds": 1}));
    let orders = format!("{SALE}/orders");
    let held = send(&server, "POST", &orders, &json!({"buyer_id": BUYER}));
    assert_eq!(held["status"], "held");
    server.stop();

    let server = Server::start(&data, &[]);
    let order = held["id"].as_str().expect("an id");
    assert_eq!(statuses(&server, order, 2), ["held", "expired"]);
    let (_, sale) = server.get(SALE);
    assert_eq!((&sale["left"], &sale["held"], &sale["sold"]), (&json!(100), &json!(0), &json!(0)));

    send(&server, "PATCH", SALE, &json!({"hold_seconds": null}));
    let sold = send(&server, "POST", &orders, &json!({"buyer_id": BUYER}));
    let order = sold["id"].as_str().expect("an id").to_owned();
    assert_eq!(statuses(&server, &order, 2), ["pending", "completed"]);
    server.stop();
    let said = check(&data);
    let good = "sales: 2 with 2 orders; what is left, held and sold is what they were given";
    assert!(said.contains(good), "{said}");
}

#[test]
fn an_order_that_was_placed_right_before_a_crash_is_completed_by_the_next_start() {
    let folder = Folder::new();
    let data = folder.path("data");
    let server = Server::start(&data, &["--demo"]);
    let placed = send(&server, "POST", &format!("{SALE}/orders"), &json!({"buyer_id": BUYER}));
    drop(server); // killed
    let server = Server::start(&data, &[]);
    let order = placed["id"].as_str().expect("an id").to_owned();
    assert_eq!(statuses(&server, &order, 2), ["pending", "completed"]);
    server.stop();
    check(&data);
}
