//! The tries to buy are in a sale's statistics after a stop, the last second's too.

use serde_json::{Value, json};

use crate::program::{Folder, Server};

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v1/tenants/demo/{path}");
    let (status, body) = server.ask("POST", &path, "Content-Type: application/json\r\n", &body.to_string());
    (status, serde_json::from_str(&body).expect("JSON"))
}

fn made(server: &Server, path: &str, body: &Value) -> String {
    let (status, body) = post(server, path, body);
    assert_eq!(status, 201, "{body}");
    body["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_stop_loses_no_try() {
    let folder = Folder::new();
    let data = folder.path("data");
    let server = Server::start(&data, &["--demo"]);
    let price = json!({"amount": 100, "currency": "EUR"});
    let product = made(&server, "products", &json!({"name": "Cap", "price": price, "inventory": 1}));
    let sale = json!({
        "product_id": product, "quantity": 1,
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
    });
    let sale = made(&server, "sales", &sale);
    let buy = |server: &Server, buyer: u32| {
        let buyer = format!("01890000-0000-7000-8000-{buyer:012}");
        post(server, &format!("sales/{sale}/orders"), &json!({"buyer_id": buyer})).0
    };
    let tries =
        |server: &Server| server.get(&format!("/v1/tenants/demo/sales/{sale}/statistics")).1["tries"].clone();
    assert_eq!([1, 2, 3].map(|buyer| buy(&server, buyer)), [201, 409, 409]);
    let before = tries(&server);
    assert_eq!((&before["count"], &before["refused"]), (&json!(3), &json!({"sold-out": 2})));
    server.stop();

    let server = Server::start(&data, &[]);
    assert_eq!(tries(&server), before);
    assert_eq!(buy(&server, 4), 409);
    let after = tries(&server);
    assert_eq!((&after["count"], &after["first_at"]), (&json!(4), &before["first_at"]));
    server.stop();
}
