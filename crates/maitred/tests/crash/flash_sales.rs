//! `kill -9` in the middle of a rush: who was told that a piece is theirs has it, nobody has two, and the books agree.
//!
//! Each round has a sale of its own, of which a part is sold when the server is killed; the rest is sold afterwards.
//! In every second round pieces are held until they are paid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{CLIENTS, Connection, Server, rounds, tempdir};

const STOCK: u64 = 800;
/// So many that nearly each try is another buyer's, so few that some come twice.
const BUYERS: u64 = 4 * STOCK;
const BASE: &str = "/v1/tenants/default";
/// Orders that are placed are processed within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the clients of a rush have heard.
#[derive(Default)]
struct Heard {
    /// Orders that were acknowledged, and whose they are.
    orders: BTreeMap<String, String>,
    /// Buyers whose tries got no answer.
    unknown: BTreeSet<String>,
    /// Buyers who were told that they have one already.
    limited: BTreeSet<String>,
}

#[test]
fn no_piece_is_lost_or_sold_twice_by_kill_9_in_mid_rush() {
    let dir = tempdir("crash-sale");
    let mut server = Server::start(&dir);
    for round in 0..rounds() {
        let sale = announce(&server, round % 2 == 1);
        let heard = Mutex::new(Heard::default());
        // The rounds kill at different depths.
        let depth = 1 + round * 331 % (STOCK - CLIENTS);
        let answered = AtomicU64::new(0);
        let address = server.address.clone();
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (address, sale, heard, answered) = (&address, &sale, &heard, &answered);
                let lots = Lots(round * CLIENTS + client);
                scope.spawn(move || rush(address, sale, lots, heard, answered));
            }
            while answered.load(Ordering::Relaxed) < depth {
                thread::sleep(Duration::from_micros(100));
            }
            server.kill();
        });
        server = Server::start(&dir);

        let before = heard.into_inner().expect("no client panics");
        assert!(before.orders.len() as u64 >= depth);
        let found = orders(&server, &sale);
        for (order, buyer) in &before.orders {
            assert_eq!(found.get(order), Some(buyer), "round {round}: {order} was acknowledged");
        }
        for (order, buyer) in &found {
            let known = before.orders.contains_key(order) || before.unknown.contains(buyer);
            assert!(known, "round {round}: {buyer} has {order} and never asked for it");
        }
        books(&server, &sale, &found);
        // That nothing is left is said before that somebody has one already.
        let code = if found.len() as u64 == STOCK { "sold-out" } else { "buyer-limit-reached" };
        nobody_gets_another(&server, &sale, found.values().chain(&before.limited), code);

        let heard = Mutex::new(Heard::default());
        rush(&server.address, &sale, Lots(round + 1_000_000), &heard, &AtomicU64::new(0));
        let after = heard.into_inner().expect("no client panics");
        assert!(after.unknown.is_empty());
        let all = orders(&server, &sale);
        assert_eq!(all.len() as u64, STOCK, "round {round}: as many orders as pieces");
        assert_eq!(all.len(), found.len() + after.orders.len());
        books(&server, &sale, &all);
        processed(&server, &sale);
    }
    drop(server);
    check(&dir);
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

/// Buyers, drawn at random.
struct Lots(u64);

impl Iterator for Lots {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(format!("01890000-0000-7000-8000-{:012x}", (self.0 >> 33) % BUYERS))
    }
}

/// Announces a sale that is on, of a product of its own.
fn announce(server: &Server, held: bool) -> String {
    let product =
        json!({"name": "Headphones", "price": {"amount": 9999, "currency": "USD"}, "inventory": STOCK});
    let product = made(server, "products", &product);
    let sale = json!({
        "product_id": product, "quantity": STOCK, "hold_seconds": held.then_some(3600),
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
    });
    made(server, "sales", &sale)
}

fn made(server: &Server, path: &str, body: &Value) -> String {
    let mut connection = Connection::open(&server.address).expect("the server is up");
    let sent = connection.send("POST", &format!("{BASE}/{path}"), &body.to_string());
    let (status, answer) = sent.expect("the server answers");
    assert_eq!(status, 201, "{answer}");
    id(&serde_json::from_str(&answer).expect("JSON"))
}

fn id(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

/// Tries to buy for one buyer after the other until nothing is left or the connection ends.
fn rush(address: &str, sale: &str, lots: Lots, heard: &Mutex<Heard>, answered: &AtomicU64) {
    let Ok(mut connection) = Connection::open(address) else { return };
    for buyer in lots {
        let answer = buy(&mut connection, sale, &buyer);
        let mut heard = heard.lock().expect("no client panics");
        match answer {
            Ok((201, answer)) => {
                let order = serde_json::from_str(&answer).expect("JSON");
                heard.orders.insert(id(&order), buyer);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok((409, answer)) if answer.contains("\"code\":\"buyer-limit-reached\"") => {
                heard.limited.insert(buyer);
            }
            Ok((409, answer)) if answer.contains("\"code\":\"sold-out\"") => return,
            Ok((status, answer)) => panic!("{status}: {answer}"),
            Err(_) => {
                heard.unknown.insert(buyer);
                return;
            }
        }
    }
}

fn buy(connection: &mut Connection, sale: &str, buyer: &str) -> std::io::Result<(u16, String)> {
    let body = json!({"buyer_id": buyer}).to_string();
    connection.send("POST", &format!("{BASE}/sales/{sale}/orders"), &body)
}

fn get(server: &Server, path: &str) -> Value {
    let mut connection = Connection::open(&server.address).expect("the server is up");
    let sent = connection.send("GET", &format!("{BASE}/{path}"), "");
    let (status, answer) = sent.expect("the server answers");
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).expect("JSON")
}

/// The orders of a sale, and whose they are.
fn orders(server: &Server, sale: &str) -> BTreeMap<String, String> {
    let page = get(server, &format!("orders?sale_id={sale}&limit=1000"));
    assert_eq!(page["next_cursor"], Value::Null, "they fit on a page");
    let items = page["items"].as_array().expect("items");
    let buyer = |order: &Value| order["buyer_id"].as_str().expect("a buyer").to_owned();
    items.iter().map(|order| (id(order), buyer(order))).collect()
}

/// The sale's counts are those of its orders, and no buyer has two.
fn books(server: &Server, sale: &str, orders: &BTreeMap<String, String>) {
    let found = get(server, &format!("sales/{sale}/reconciliation"));
    assert_eq!((&found["balanced"], &found["differences"]), (&json!(true), &json!([])), "{found}");
    let number = |field: &str| found[field].as_u64().expect("a number");
    let (count, buyers) = (orders.len() as u64, orders.values().collect::<BTreeSet<_>>());
    assert_eq!(buyers.len() as u64, count, "a buyer has two");
    assert_eq!([number("buyers"), number("most_per_buyer")], [count, u64::from(count > 0)], "{found}");
    assert_eq!((number("sold") + number("held"), number("left")), (count, STOCK - count), "{found}");
}

/// Each of the buyers is refused, for this reason.
fn nobody_gets_another<'a>(
    server: &Server,
    sale: &str,
    buyers: impl Iterator<Item = &'a String>,
    code: &str,
) {
    let mut connection = Connection::open(&server.address).expect("the server is up");
    for buyer in buyers {
        let (status, answer) = buy(&mut connection, sale, buyer).expect("the server answers");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((status, &answer["code"]), (409, &json!(code)), "{buyer} has got two: {answer}");
    }
}

/// What was placed, before the kill too, is processed in the end.
fn processed(server: &Server, sale: &str) {
    let began = Instant::now();
    loop {
        let found = get(server, &format!("sales/{sale}/reconciliation"));
        if found["orders"]["pending"] == 0 {
            let done = ["completed", "held"].map(|status| found["orders"][status].as_u64());
            assert_eq!(done.iter().flatten().sum::<u64>(), STOCK, "{found}");
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{found}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn check(dir: &Path) {
    let checked = Command::new(env!("CARGO_BIN_EXE_maitred")).arg("check").arg("--data").arg(dir).output();
    let checked = checked.expect("check runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("what is left, held and sold is what they were given"), "{said}");
}
