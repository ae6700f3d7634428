//! Example bodies of the API document: what an interactive page offers to send, and what a reader copies.
//!
//! Invariant: a server accepts each of them as it stands, but for ids of other records (a test sends them all).

use serde_json::{Value, json};

/// The id that stands in the examples for a product of the reader's own.
pub const PRODUCT: &str = "550e8400-e29b-41d4-a716-446655440000";

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
        _ => return None,
    })
}
