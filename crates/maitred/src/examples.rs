//! Example bodies of the API document: what an interactive page offers to send, and what a reader copies.
//!
//! Invariant: a server accepts each of them as it stands, but for ids of other records, and for when a visit begins, which
//! lies within a salon's horizon (a test sends them all, and finds a salon's body that has none).

use serde_json::{Value, json};

/// The id that stands in the examples for a product of the reader's own.
pub const PRODUCT: &str = "550e8400-e29b-41d4-a716-446655440000";

/// The id that stands in the examples for a service of the reader's own.
pub const SERVICE: &str = "550e8400-e29b-41d4-a716-446655440010";
/// For an employee.
pub const EMPLOYEE: &str = "550e8400-e29b-41d4-a716-446655440011";
/// For a customer.
pub const CUSTOMER: &str = "550e8400-e29b-41d4-a716-446655440012";
/// When a visit begins in the examples.
pub const STARTS_AT: &str = "2030-05-06T08:00:00Z";

/// The example of an operation's body, if it has one in JSON.
pub fn body(method: &str, path: &str) -> Option<Value> {
    let appointment = || {
        json!({
            "resource": "chair-1", "title": "Cut",
            "starts_at": "2030-05-06T10:00:00Z", "ends_at": "2030-05-06T11:00:00Z",
            "created_at": "2030-05-01T08:00:00Z", "updated_at": "2030-05-01T08:00:00Z",
            "metadata": {"source": "the guide"},
        })
    };
    let person = || json!({"email": "ann@example.com", "password": "a long password"});
    let price = || json!({"amount": 9_999, "currency": "EUR"});
    let tenant = path.strip_prefix("/v1/tenants/{tenant}");
    Some(match (method, tenant.unwrap_or(path)) {
        ("PUT", "/appointments/{external_id}") => appointment(),
        ("POST", "/appointments/batch") => {
            let mut item = appointment();
            item["external_id"] = json!("visit-1");
            json!({"items": [item]})
        }
        ("POST", "/v1/tenants") => json!({
            "slug": "north", "alias": "Nord GmbH", "name": "Salon North", "time_zone": "Europe/Berlin",
            "currency": "EUR", "locale": "de-DE", "drop_ins": ["sesami"], "public": true,
        }),
        ("PATCH", "") => json!({"name": "Salon North", "public": true}),
        ("POST", "/api-keys") => json!({"name": "the calendar", "role": "integration"}),
        ("POST", "/v1/api-keys") => json!({"name": "the operator"}),
        ("POST", "/products") => {
            json!({"name": "Headphones", "description": "Good ones", "price": price(), "inventory": 100})
        }
        ("PATCH", "/products/{id}") => json!({"inventory": 120}),
        ("POST", "/sales") => json!({
            "product_id": PRODUCT, "quantity": 10, "buyer_limit": 1, "price": price(),
            "starts_at": "2030-05-06T10:00:00Z", "ends_at": "2030-05-06T11:00:00Z",
        }),
        ("PATCH", "/sales/{id}") => json!({"quantity": 20}),
        ("POST", "/providers") => json!({
            "name": "arena", "url": "https://feeds.example/arena.xml", "interval_seconds": 60,
            "time_zone": "Europe/Madrid", "currency": "EUR", "headers": {"X-Key": "a secret"}, "active": false,
        }),
        ("PATCH", "/providers/{provider}") => json!({"interval_seconds": 15}),
        ("POST", "/users" | "/users/authenticate") => person(),
        ("POST", "/users/me/password") => {
            json!({"password": "a long password", "new_password": "another long password"})
        }
        ("POST", "/sales/{id}/orders") => json!({}),
        ("POST", "/orders/{id}/pay") => json!({"reference": "invoice 17"}),
        ("POST", "/api/appointments") => json!({
            "id": "a1", "orgId": "north", "start": "2030-05-06 10:00", "end": "2030-05-06 11:00",
            "createdAt": "2030-05-01 08:00", "updatedAt": "2030-05-01 08:00",
        }),
        ("POST", "/orders") => json!({"productId": PRODUCT}),
        ("POST", "/sales/update") => json!({
            "start_date": "2030-05-06T10:00:00Z", "end_date": "2030-05-06T11:00:00Z", "quantity": 100,
        }),
        _ => return tenant.and_then(|rest| of_salon(method, rest)),
    })
}

/// The example of a body of a salon's operation, by its path below the tenant.
fn of_salon(method: &str, path: &str) -> Option<Value> {
    let items = || json!([{"service_id": SERVICE, "employee_id": "any"}]);
    let shift = || json!([{"from": "09:00", "to": "13:00"}, {"from": "14:00", "to": "18:00"}]);
    Some(match (method, path) {
        ("POST", "/services") => json!({
            "name": "Colour", "duration_minutes": 90, "buffer_after_minutes": 10,
            "processing": {"after_minutes": 30, "for_minutes": 45},
            "price": {"amount": 8_900, "currency": "EUR"}, "needs_resource": "chair",
        }),
        ("PATCH", "/services/{id}") => json!({"duration_minutes": 100}),
        ("POST", "/employees") => json!({"name": "Ann", "skills": [SERVICE], "colour": "#00ff7f"}),
        ("PATCH", "/employees/{id}") => json!({"colour": "#ff007f"}),
        ("POST", "/resources") => json!({"name": "By the window", "kind": "chair"}),
        ("PATCH", "/resources/{id}") => json!({"name": "By the door"}),
        ("POST", "/customers") => {
            json!({"name": "Eve", "email": "eve@example.com", "phone": "030 1234", "notes": "Comes early"})
        }
        ("PATCH", "/customers/{id}") => json!({"phone": null}),
        ("PATCH", "/salon-settings") => json!({"step_minutes": 10, "offer_minutes": 30}),
        ("PUT", "/employees/{id}/shifts") => json!({"patterns": [{
            "valid_from": "2026-01-05",
            "days": {
                "monday": shift(), "tuesday": shift(), "wednesday": shift(), "thursday": shift(), "friday": shift(),
                "saturday": shift(), "sunday": [],
            },
        }]}),
        ("PUT", "/employees/{id}/shift-exceptions/{date}") => {
            json!({"spans": [{"from": "09:00", "to": "12:00"}]})
        }
        ("POST", "/employees/{id}/absences") => {
            json!({"from": "2030-07-01", "to": "2030-07-15", "reason": "On holiday"})
        }
        ("POST", "/bookings") => json!({"customer_id": CUSTOMER, "starts_at": STARTS_AT, "items": items()}),
        ("POST", "/bookings/{id}/reschedule") => json!({"starts_at": STARTS_AT, "items": items()}),
        ("POST", "/bookings/series") => json!({
            "customer_id": CUSTOMER, "starts_at": STARTS_AT, "items": items(),
            "rrule": "FREQ=WEEKLY;INTERVAL=2;COUNT=4", "on_clash": "skip",
        }),
        ("POST", "/bookings/series/{id}/cancel") => json!({"from": STARTS_AT}),
        ("POST", "/waitlist") => json!({
            "customer_id": CUSTOMER, "service_ids": [SERVICE], "employee_id": EMPLOYEE,
            "from": "2030-05-06T07:00:00Z", "to": "2030-05-11T16:00:00Z",
        }),
        _ => return None,
    })
}
