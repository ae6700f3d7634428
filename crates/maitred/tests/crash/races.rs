//! Clients who book the same time at the same moment: one of them has it, the others are told what else they can have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::salon::{Client, Salon, calendar, day, text};
use crate::{Server, tempdir};

const CLIENTS: usize = 64;
const EMPLOYEES: usize = 3;
/// How often all clients want the same time.
const RACES: usize = 4;

/// All clients book this at once. Returns what each was answered.
fn race(server: &Server, salon: &Salon, employee: &str, starts_at: &str) -> Vec<(u16, Value)> {
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let book = |number| {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut client = Client::new(&server.address);
                barrier.wait();
                client.ask("POST", "bookings", &salon.booking(number, employee, starts_at))
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(book).collect();
        clients.into_iter().map(|client| client.join().expect("no client panics")).collect()
    })
}

/// All but the winners are refused with starts that are offered now. Returns the winners, and one such start.
fn judge(answers: Vec<(u16, Value)>, offered: &[(String, String)]) -> (Vec<Value>, (String, String)) {
    let offered: BTreeSet<_> = offered.iter().cloned().collect();
    let mut winners = Vec::new();
    let mut alternatives = BTreeSet::new();
    for (status, body) in answers {
        if status == 201 {
            winners.push(body);
            continue;
        }
        assert_eq!((status, &body["code"]), (409, &"slot-unavailable".into()), "{body}");
        let named = body["alternatives"].as_array().expect("alternatives");
        assert!(!named.is_empty(), "{body}");
        alternatives.extend(named.iter().map(|slot| (text(&slot["starts_at"]), text(&slot["employee_id"]))));
    }
    for alternative in &alternatives {
        assert!(offered.contains(alternative), "{alternative:?} is named, and not offered");
    }
    (winners, alternatives.pop_last().expect("somebody was refused"))
}

#[test]
fn of_clients_who_book_the_same_time_one_has_it_and_the_others_are_told_what_they_can_have() {
    let dir = tempdir("races");
    let server = Server::start(&dir);
    let salon = Salon::new(&server, EMPLOYEES, CLIENTS);
    let (day, next) = (day(7), day(8));
    let days = (&*day, &*next);
    let mut client = Client::new(&server.address);
    let mut booked = BTreeMap::new();
    for number in 0..RACES {
        // One employee: the time is one client's.
        let ann = &salon.employees[number % EMPLOYEES];
        let (starts_at, _) = salon.offered(&mut client, ann, days).swap_remove(number);
        let answers = race(&server, &salon, ann, &starts_at);
        let (winners, alternative) = judge(answers, &salon.offered(&mut client, ann, days));
        assert_eq!(winners.len(), 1, "{starts_at}");
        let (status, body) = client.ask("POST", "bookings", &salon.booking(0, ann, &alternative.0));
        assert_eq!((status, &body["starts_at"]), (201, &alternative.0.as_str().into()), "{body}");
        booked.extend(winners.into_iter().chain([body]).map(|booking| (text(&booking["id"]), booking)));

        // Any employee: the time is as many clients' as there are employees who are free then.
        let (starts_at, _) = salon.offered(&mut client, "any", days).swap_remove(number);
        let each: Vec<_> = salon.employees.iter().map(|id| salon.offered(&mut client, id, days)).collect();
        let free = each.iter().filter(|offered| offered.iter().any(|(at, _)| *at == starts_at)).count();
        let answers = race(&server, &salon, "any", &starts_at);
        let (winners, alternative) = judge(answers, &salon.offered(&mut client, "any", days));
        let with: BTreeSet<_> = winners.iter().map(|won| text(&won["items"][0]["employee_id"])).collect();
        assert_eq!((winners.len(), with.len()), (free, free), "{starts_at}: {with:?}");
        let (status, body) = client.ask("POST", "bookings", &salon.booking(0, "any", &alternative.0));
        assert_eq!(status, 201, "{body}");
        assert_eq!(body["items"][0]["employee_id"], alternative.1.as_str(), "the employee who was named");
        booked.extend(winners.into_iter().chain([body]).map(|booking| (text(&booking["id"]), booking)));
    }
    let there = calendar(&mut client, days);
    assert_eq!(there.keys().collect::<Vec<_>>(), booked.keys().collect::<Vec<_>>());
    drop(server);
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}

#[test]
fn all_that_is_offered_is_booked_until_nothing_is_and_no_two_overlap() {
    let dir = tempdir("races-all");
    let server = Server::start(&dir);
    let salon = Salon::new(&server, EMPLOYEES, CLIENTS);
    let (from, to) = (day(7), day(9));
    let days = (&*from, &*to);
    let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (server, salon, won, lost) = (&server, &salon, &won, &lost);
            scope.spawn(move || {
                let mut client = Client::new(&server.address);
                let mut lot = number;
                loop {
                    // Half of them want one employee, half any.
                    let of = if number % 2 == 0 { "any" } else { &*salon.employees[number % EMPLOYEES] };
                    let offered = salon.offered(&mut client, of, days);
                    if offered.is_empty() {
                        return;
                    }
                    lot = lot.wrapping_mul(25_214_903_917).wrapping_add(11);
                    let (starts_at, _) = &offered[(lot >> 16) % offered.len()];
                    let (status, body) =
                        client.ask("POST", "bookings", &salon.booking(number, of, starts_at));
                    match status {
                        201 => won.fetch_add(1, Ordering::Relaxed),
                        409 => lost.fetch_add(1, Ordering::Relaxed),
                        _ => panic!("{status}: {body}"),
                    };
                }
            });
        }
    });
    let mut client = Client::new(&server.address);
    for employee in salon.employees.iter().map(String::as_str).chain(["any"]) {
        assert!(salon.offered(&mut client, employee, days).is_empty(), "{employee}");
    }
    let (won, lost) = (won.into_inner(), lost.into_inner());
    assert_eq!(calendar(&mut client, days).len(), won);
    // Between two visits there is a quarter of an hour at most, and they are half an hour long.
    let most = EMPLOYEES * 2 * 16;
    assert!((most * 2 / 3..=most).contains(&won), "{won} of at most {most}");
    assert!(lost >= CLIENTS / 2, "only {lost} were refused: that is no race");
    drop(server);
    std::fs::remove_dir_all(&dir).expect("the folder is ours");
}
