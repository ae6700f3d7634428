//! A salon on a started server, for the tests of its bookings: who works there, what is offered, and the calendar.

use std::collections::BTreeMap;

use jiff::ToSpan;
use serde_json::{Map, Value, json};

use crate::{Connection, Server};

pub(crate) const BASE: &str = "/v1/tenants/default";

/// A connection that speaks JSON.
pub(crate) struct Client(Connection);

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Client(Connection::open(address).expect("the server is up"))
    }

    /// The status and the body of an answer, if there is one.
    pub(crate) fn try_ask(&mut self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.0.send(method, &format!("{BASE}/{path}"), &body).ok()?;
        Some((status, serde_json::from_str(&answer).expect("JSON")))
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.try_ask(method, path, body).expect("the server answers")
    }

    pub(crate) fn get(&mut self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn create(&mut self, what: &str, body: &Value) -> String {
        let (status, body) = self.ask("POST", what, body);
        assert_eq!(status, 201, "{what}: {body}");
        text(&body["id"])
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A salon with one service of half an hour, whose employees work from 9 to 17 on every day. Its time zone is UTC.
pub(crate) struct Salon {
    pub(crate) service: String,
    pub(crate) employees: Vec<String>,
    pub(crate) customers: Vec<String>,
}

impl Salon {
    pub(crate) fn new(server: &Server, employees: usize, customers: usize) -> Self {
        let mut client = Client::new(&server.address);
        let price = json!({"amount": 4500, "currency": "EUR"});
        let service =
            client.create("services", &json!({"name": "Cut", "duration_minutes": 30, "price": price}));
        let span = json!([{"from": "09:00", "to": "17:00"}]);
        let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let days: Map<_, _> = names.map(|day| (day.to_owned(), span.clone())).into_iter().collect();
        let shifts = json!({"patterns": [{"valid_from": "2020-01-01", "days": days}]});
        let employ = |number| {
            let input = json!({"name": format!("Employee {number}"), "skills": [service]});
            let id = client.create("employees", &input);
            let (status, body) = client.ask("PUT", &format!("employees/{id}/shifts"), &shifts);
            assert_eq!(status, 200, "{body}");
            id
        };
        let employees = (0..employees).map(employ).collect();
        let customers = (0..customers)
            .map(|number| client.create("customers", &json!({"name": format!("Customer {number}")})))
            .collect();
        Salon { service, employees, customers }
    }

    /// What is asked to be booked for a customer.
    pub(crate) fn booking(&self, customer: usize, employee: &str, starts_at: &str) -> Value {
        json!({
            "customer_id": self.customers[customer], "starts_at": starts_at,
            "items": [{"service_id": self.service, "employee_id": employee}],
        })
    }

    /// What is offered: starts, and with whom.
    pub(crate) fn offered(
        &self,
        client: &mut Client,
        employee: &str,
        days: (&str, &str),
    ) -> Vec<(String, String)> {
        let (from, to) = days;
        let query = format!("service_id={}&employee_id={employee}&from={from}&to={to}", self.service);
        let found = client.get(&format!("availability?{query}"));
        let slots = found["slots"].as_array().expect("slots");
        slots.iter().map(|slot| (text(&slot["starts_at"]), text(&slot["employee_id"]))).collect()
    }
}

/// The day so many days from now.
pub(crate) fn day(days: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.checked_add(days.days()).expect("a day").to_string()
}

/// The bookings of the calendar by id, none of which overlaps another of the same employee.
pub(crate) fn calendar(client: &mut Client, (from, to): (&str, &str)) -> BTreeMap<String, Value> {
    let calendar = client.get(&format!("calendar?from={from}&to={to}"));
    let mut found = BTreeMap::new();
    for employee in calendar["employees"].as_array().expect("employees") {
        let mut times: Vec<(String, String)> = Vec::new();
        for booking in employee["bookings"].as_array().expect("bookings") {
            for item in booking["items"].as_array().expect("items") {
                assert_eq!(item["employee_id"], employee["employee_id"], "{booking}");
                times.push((text(&booking["starts_at"]), text(&booking["ends_at"])));
            }
            assert!(found.insert(text(&booking["id"]), booking.clone()).is_none(), "once: {booking}");
        }
        times.sort();
        for pair in times.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{:?} overlaps {:?}: {}", pair[0], pair[1], employee["name"]);
        }
    }
    found
}
