//! FAPI's clients: recorded requests, customers that come along, native bookings beside legacy ones, long lists, keys.

use maitred_booking::app::Access;
use maitred_booking::money::{Currency, Money};
use maitred_booking::salons::command::{
    Advance, Book, Change, EmployeeDetails, ForCustomer, ServiceDetails, WantedItem,
};
use maitred_booking::salons::fact::ServiceTime;
use maitred_booking::salons::{
    Command, CustomerDetails, Decimal, LegacyStatus, Outcome, PutCustomer, PutLegacyBooking,
};
use maitred_booking::tenants::{self, CreateTenant, DropIn, DropIns};
use maitred_core::{TenantNumber, Timestamp};
use serde_json::{Value, json};

use crate::rows;
use crate::server::Server;

#[test]
fn every_recorded_request_is_answered_as_recorded() {
    rows::replay(include_str!("fapi.json"), &["4"]);
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("an instant")
}

fn submit(server: &Server, tenant: TenantNumber, command: Command) -> Outcome {
    match server.submit(tenant, command) {
        maitred_booking::Outcome::Salons(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// A tenant with FAPI switched on.
fn tenant(server: &Server) -> TenantNumber {
    let create = CreateTenant {
        slug: "salon".into(),
        alias: None,
        name: "Salon".into(),
        time_zone: "UTC".into(),
        currency: "EUR".into(),
        locale: "en".into(),
        drop_ins: DropIns::NONE.with(DropIn::Fapi),
        public: false,
        automatic: false,
    };
    match server.submit(TenantNumber::SYSTEM, tenants::Command::CreateTenant(create)) {
        maitred_booking::Outcome::Tenants(tenants::Outcome::TenantCreated(created)) => {
            created.profile.tenant()
        }
        other => panic!("{other:?}"),
    }
}

fn put_customer(id: &str, name: &str) -> Command {
    Command::PutCustomer(PutCustomer {
        external_id: id.into(),
        name: name.into(),
        email: Some("a@x".into()),
        phone: Some("1".into()),
        created_at: at("2023-01-01T00:00:00Z"),
        changed_at: at("2023-02-01T00:00:00Z"),
    })
}

fn put_booking(id: &str, customer: &str, date: Timestamp) -> Command {
    Command::PutLegacyBooking(PutLegacyBooking {
        external_id: Some(id.into()),
        customer_id: customer.into(),
        title: "Schnitt \"kurz\"".into(),
        description: "é\n".into(),
        date,
        status: LegacyStatus::Completed,
        price: Decimal::from_cents(4_500),
        currency: Currency::parse("EUR").expect("a code"),
        created_at: at("2023-01-01T00:00:00Z"),
        changed_at: at("2023-02-01T00:00:00Z"),
    })
}

const TENANT: (&str, &str) = ("X-Tenant", "salon");

#[test]
fn the_first_customer_and_the_customers_of_bookings_are_shown_whole() {
    let server = Server::open();
    let tenant = tenant(&server);
    submit(&server, tenant, put_customer("c9", "Ann"));
    submit(&server, tenant, put_customer("c1", "Bob"));
    submit(&server, tenant, put_booking("b1", "c1", at("2025-01-02T10:00:00Z")));
    let mut client = server.client();
    let first = client.send("GET /api/customers", &[TENANT], b"").json();
    let tenant_id = first["tenantId"].clone();
    assert_eq!(
        first,
        json!({"id": "c9", "tenantId": tenant_id, "name": "Ann", "email": "a@x", "phone": "1",
            "createdAt": "2023-01-01T00:00:00.000Z", "updatedAt": "2023-02-01T00:00:00.000Z"})
    );
    let list = client.send("GET /api/bookings?start=2025-01-01&end=2025-01-03", &[TENANT], b"").json();
    assert_eq!(
        list["bookings"],
        json!([{"id": "b1", "tenantId": tenant_id, "customerId": "c1", "title": "Schnitt \"kurz\"",
            "description": "é\n", "date": "2025-01-02T10:00:00.000Z", "status": "completed", "price": 45,
            "currency": "EUR", "createdAt": "2023-01-01T00:00:00.000Z",
            "updatedAt": "2023-02-01T00:00:00.000Z",
            "customer": {"id": "c1", "tenantId": tenant_id, "name": "Bob", "email": "a@x", "phone": "1",
                "createdAt": "2023-01-01T00:00:00.000Z", "updatedAt": "2023-02-01T00:00:00.000Z"}}])
    );
    let head = client.send("HEAD /api/customers", &[TENANT], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_native_booking_is_read_through_it() {
    let server = Server::open();
    let tenant = tenant(&server);
    let price = Money { amount: 4_550, currency: Currency::parse("EUR").expect("a code") };
    let service = |name: &str| {
        let time = ServiceTime {
            duration_minutes: 30,
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            processing: None,
        };
        let details = ServiceDetails { name: name.into(), time, price, needs_resource: None, active: true };
        match submit(&server, tenant, Command::CreateService(details)) {
            Outcome::Service(_, service) => service.is.id,
            other => panic!("{other:?}"),
        }
    };
    let (cut, wash) = (service("Cut"), service("Wash"));
    let details = EmployeeDetails { name: "Ann".into(), skills: vec![cut, wash], colour: None, active: true };
    submit(&server, tenant, Command::CreateEmployee(details));
    let item = |service| WantedItem { service, employee: None };
    let book = |hour: &str, hold_seconds| Book {
        customer: ForCustomer::New(CustomerDetails {
            name: "Eve".into(),
            email: None,
            phone: None,
            notes: None,
        }),
        starts_at: at(&format!("2025-01-02T{hour}:00:00Z")),
        items: vec![item(cut), item(wash)],
        hold_seconds,
        holder: None,
        token_hash: None,
        force: true,
        notes: Some("Tea".into()),
    };
    submit(&server, tenant, Command::Book(book("10", Some(900))));
    let Outcome::Booking(_, gone) = submit(&server, tenant, Command::Book(book("11", None))) else {
        panic!("a booking is answered with a booking")
    };
    let change = Change { id: gone.is.id, what: Advance::NoShow, if_version: None };
    submit(&server, tenant, Command::Advance(change));
    let list = server.client().send("GET /api/bookings?start=2025&end=2026", &[TENANT], b"").json();
    assert_eq!(list["count"], 2);
    let (held, no_show) = (&list["bookings"][0], &list["bookings"][1]);
    for (field, value) in [
        ("title", json!("Cut, Wash")),
        ("description", json!("Tea")),
        ("date", json!("2025-01-02T10:00:00.000Z")),
        ("status", json!("pending")),
        ("price", json!(91)),
        ("currency", json!("EUR")),
    ] {
        assert_eq!(held[field], value, "{field}");
    }
    assert_eq!(held["customer"]["id"], held["customerId"]);
    assert_eq!(no_show["status"], "cancelled");
}

#[test]
fn a_list_of_any_length_is_one_array_of_one_moment() {
    let server = Server::open();
    let tenant = tenant(&server);
    submit(&server, tenant, put_customer("c1", "Ann"));
    let count = 1_500;
    let start = at("2025-01-01T00:00:00Z").as_millis();
    for number in 0..count {
        let date = Timestamp::from_millis(start + number * 60_000);
        submit(&server, tenant, put_booking(&format!("b{number}"), "c1", date));
    }
    let list = server.client().send("GET /api/bookings?start=2025&end=2026", &[TENANT], b"");
    assert!(list.body.len() > 512 << 10, "it is sent in several parts");
    let list: Value = list.json();
    assert_eq!(list["count"], count);
    let bookings = list["bookings"].as_array().expect("an array");
    let ids: Vec<_> = bookings.iter().map(|booking| booking["id"].as_str().expect("an id")).collect();
    let expected: Vec<_> = (0..count).map(|number| format!("b{number}")).collect();
    assert_eq!(ids, expected);
    assert!(bookings.iter().all(|booking| booking["customer"]["id"] == "c1"));
}

#[test]
fn where_keys_are_demanded_it_answers_nobody_without_one() {
    let server = Server::start(Access::Keys, "salon");
    tenant(&server);
    for line in ["GET /api/customers", "GET /api/bookings?start=2025&end=2026", "POST /api/bookings"] {
        let answered = server.client().send(line, &[("content-type", "application/json")], b"{}");
        assert_eq!(answered.status, 401, "{line}");
        assert_eq!(answered.json()["statusCode"], 401);
        assert!(answered.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
    }
}
