//! `kill -9` under a load of bookings: each that was acknowledged is there as it was last acknowledged, and no two overlap.
//!
//! A client changes its own bookings alone, one request after another, so that it knows of each what was acknowledged last,
//! and of which the answer was cut off.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::salon::{Client, Salon, calendar, day, text};
use crate::{CLIENTS, Server, rounds, tempdir};

const EMPLOYEES: usize = 3;
const DAYS: i64 = 6;
/// Longer than the test takes.
const HOLD_SECONDS: u64 = 900;

/// What a client knows of its bookings.
#[derive(Default)]
struct Known {
    /// As they were last acknowledged, by id.
    bookings: BTreeMap<String, Value>,
    /// Of which nobody knows whether the last change was made.
    in_doubt: Option<String>,
    /// Changes that were acknowledged, by what they were.
    acknowledged: BTreeMap<&'static str, u64>,
}

/// What can be said of a booking by its version.
fn said(booking: &Value) -> Value {
    json!([booking["version"], booking["status"], booking["starts_at"], booking["ends_at"], booking["items"]])
}

/// Pseudo-random numbers.
struct Lots(u64);

impl Lots {
    fn draw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below
    }

    /// A quarter of an hour in the days from the seventh on, at which a visit may start.
    fn start(&mut self) -> String {
        let (day, quarter) = (day(7 + self.draw(DAYS as usize) as i64), 36 + self.draw(31));
        format!("{day}T{:02}:{:02}:00Z", quarter / 4, quarter % 4 * 15)
    }
}

/// Books, confirms, moves and cancels until the connection ends.
fn work(
    address: &str,
    salon: &Salon,
    number: usize,
    lots: &mut Lots,
    known: &mut Known,
    answers: &AtomicU64,
) {
    let mut client = Client::new(address);
    loop {
        let own: Vec<String> = known.bookings.keys().cloned().collect();
        let id = if own.is_empty() { None } else { Some(own[lots.draw(own.len())].clone()) };
        let status = id.as_ref().map_or("", |id| known.bookings[id]["status"].as_str().expect("a status"));
        let (what, id, body) = match (lots.draw(10), id, status) {
            (0..=1, Some(id), "held") => ("confirm", Some(id), Value::Null),
            (2..=3, Some(id), "held" | "confirmed") => ("cancel", Some(id), Value::Null),
            (4..=6, Some(id), "held" | "confirmed") => {
                ("reschedule", Some(id), json!({"starts_at": lots.start()}))
            }
            (draw, _, _) => {
                let employee = if draw % 2 == 0 { "any" } else { &*salon.employees[lots.draw(EMPLOYEES)] };
                let mut body = salon.booking(number, employee, &lots.start());
                let held = draw >= 8;
                if held {
                    body["hold_seconds"] = HOLD_SECONDS.into();
                }
                (if held { "hold" } else { "create" }, None, body)
            }
        };
        let path = id.as_ref().map_or("bookings".to_owned(), |id| format!("bookings/{id}/{what}"));
        match client.try_ask("POST", &path, &body) {
            Some((200 | 201, booking)) => {
                known.bookings.insert(text(&booking["id"]), booking);
                *known.acknowledged.entry(what).or_default() += 1;
                answers.fetch_add(1, Ordering::Relaxed);
            }
            // The time is taken, or the customer holds as much as one may.
            Some((409 | 429, _)) => {}
            Some((status, body)) => panic!("{what}: {status} {body}"),
            None => {
                known.in_doubt = id;
                return;
            }
        }
    }
}

/// Each booking is as it was last acknowledged, or as the change left it whose answer was cut off. What is there is known
/// from then on.
fn check(server: &Server, known: &mut [Known], round: u64) {
    let mut client = Client::new(&server.address);
    let (from, to) = (day(7), day(7 + DAYS));
    let calendar = calendar(&mut client, (&from, &to));
    for Known { bookings, in_doubt, .. } in known {
        for (id, booking) in bookings {
            let there = client.get(&format!("bookings/{id}"));
            let newer = there["version"].as_u64() == booking["version"].as_u64().map(|version| version + 1);
            if newer && in_doubt.as_ref() == Some(id) {
                *booking = there;
            } else {
                assert_eq!(said(&there), said(booking), "round {round}: {id} is not as it was acknowledged");
            }
            let stands = matches!(booking["status"].as_str(), Some("held" | "confirmed"));
            let shown = calendar.get(id).map(said);
            assert_eq!(shown, stands.then(|| said(booking)), "round {round}: {id} in the calendar");
        }
        *in_doubt = None;
    }
}

#[test]
fn no_acknowledged_booking_is_lost_or_changed_by_kill_9_under_load() {
    let dir = tempdir("crash-bookings");
    let mut server = Server::start(&dir);
    let clients = usize::try_from(CLIENTS).expect("a few");
    let salon = Salon::new(&server, EMPLOYEES, clients);
    let mut known: Vec<Known> = (0..clients).map(|_| Known::default()).collect();
    for round in 0..rounds() {
        let answers = AtomicU64::new(0);
        let address = server.address.clone();
        thread::scope(|scope| {
            for (number, known) in known.iter_mut().enumerate() {
                let (address, salon, answers) = (&address, &salon, &answers);
                let mut lots = Lots(round * 1_000 + number as u64);
                scope.spawn(move || work(address, salon, number, &mut lots, known, answers));
            }
            // The rounds kill at different depths.
            while answers.load(Ordering::Relaxed) < 40 + round * 37 % 200 {
                thread::sleep(Duration::from_micros(200));
            }
            server.kill();
        });
        server = Server::start(&dir);
        check(&server, &mut known, round);
    }
    drop(server);
    let mut all = BTreeMap::new();
    for (what, count) in known.iter().flat_map(|known| &known.acknowledged) {
        *all.entry(*what).or_default() += *count;
    }
    let kinds: Vec<_> =
        all.iter().filter(|(_, count): &(_, &u64)| **count >= rounds()).map(|(what, _)| *what).collect();
    assert_eq!(kinds, ["cancel", "confirm", "create", "hold", "reschedule"], "{all:?}");
    let checked = Command::new(env!("CARGO_BIN_EXE_maitred")).arg("check").arg("--data").arg(&dir).output();
    let checked = checked.expect("check runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}
