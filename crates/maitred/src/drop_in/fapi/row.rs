//! Bookings and customers as FAPI shows them, written as text: a list of years is nothing but that.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

use maitred_booking::flash_sales::Versioned;
use maitred_booking::salons::view::{any, id_of_text};
use maitred_booking::salons::{Booking, BookingStatus, Customer, LegacyBooking};
use maitred_core::{Read, TenantNumber, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

/// The most customers whose text is remembered while a list is written.
const REMEMBERED_MAX: usize = 20_000;
/// The currencies without hundredths that salons are likely to have (ISO 4217).
const WITHOUT_HUNDREDTHS: [&str; 4] = ["JPY", "KRW", "CLP", "ISK"];

/// Bookings of a range.
#[derive(Debug, ToSchema)]
#[schema(as = FapiBookings)]
#[expect(dead_code, reason = "it describes what is written as text")]
pub(super) struct BookingRows {
    /// How many there are.
    count: u64,
    /// From when, as an instant.
    #[schema(format = DateTime)]
    start: String,
    /// To when, as an instant.
    #[schema(format = DateTime)]
    end: String,
    /// Those of the replaced system by date, and behind them those of the native API.
    bookings: Vec<BookingRow>,
}

/// A booking.
#[derive(Debug, ToSchema)]
#[schema(as = FapiBooking, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as text")]
pub(super) struct BookingRow {
    id: String,
    /// The tenant's id.
    tenant_id: Uuid,
    customer_id: String,
    title: String,
    description: String,
    #[schema(format = DateTime)]
    date: String,
    #[schema(pattern = "^(pending|confirmed|cancelled|completed)$")]
    status: String,
    /// In major units.
    price: f64,
    currency: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// Whose it is, in lists, where it is known.
    customer: Option<CustomerRow>,
}

/// A customer.
#[derive(Debug, ToSchema)]
#[schema(as = FapiCustomer, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written as text")]
pub(super) struct CustomerRow {
    id: String,
    /// The tenant's id.
    tenant_id: Uuid,
    name: String,
    email: String,
    phone: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// The text of bookings and customers, which can be taken away in parts as it grows.
#[derive(Debug)]
pub(super) struct Rows {
    out: String,
    tenant_id: String,
    customers: Remembered,
}

/// The customers that were written, each once: whose is where in the text.
#[derive(Debug, Default)]
struct Remembered {
    text: String,
    places: HashMap<Uuid, Option<Range<usize>>>,
}

impl Rows {
    /// Nothing yet, of a tenant's.
    pub(super) fn new(tenant_id: Uuid) -> Self {
        let tenant_id = tenant_id.to_string();
        Rows { out: String::new(), tenant_id, customers: Remembered::default() }
    }

    /// Adds a text as it stands.
    pub(super) fn push_str(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// How many bytes were added and not yet taken away.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes away what was added.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Adds a customer.
    pub(super) fn push_customer(&mut self, found: &Versioned<Customer>) {
        write_customer(&mut self.out, &self.tenant_id, found);
    }

    /// Adds a legacy booking with its customer, if there is one.
    pub(super) fn push_legacy(
        &mut self,
        view: &dyn Read,
        tenant: TenantNumber,
        booking: &LegacyBooking<&str>,
    ) {
        self.out.push_str("{\"id\":");
        push_id(&mut self.out, booking.external_id, booking.id);
        self.push_fields(booking.customer_id, (booking.title, booking.description), booking.date);
        push_legacy_rest(&mut self.out, booking);
        self.push_customer_of(view, tenant, id_of_text(booking.customer_id));
        self.out.push('}');
    }

    /// Adds a booking of the native API at an instant, with its customer.
    pub(super) fn push_native(
        &mut self,
        view: &dyn Read,
        tenant: TenantNumber,
        found: &Versioned<Booking>,
        at: Timestamp,
    ) {
        let booking = &found.is;
        self.out.push_str("{\"id\":");
        push_id(&mut self.out, None, booking.id);
        let names: Vec<&str> = booking.items.iter().map(|item| &*item.name).collect();
        let customer = any::<Customer>(view, tenant, booking.customer, None);
        let external_id = customer.and_then(|customer| customer.is.external_id);
        let customer_id = external_id.unwrap_or_else(|| booking.customer.to_string());
        let description = booking.notes.as_deref().unwrap_or_default();
        self.push_fields(&customer_id, (&names.join(", "), description), booking.starts_at);
        let currency = booking.items.first().map(|item| item.price.currency);
        let currency = currency.as_ref().map_or("XXX", |currency| currency.as_str());
        let amount: i64 = booking.items.iter().map(|item| item.price.amount).sum();
        let major =
            if WITHOUT_HUNDREDTHS.contains(&currency) { amount as f64 } else { amount as f64 / 100.0 };
        push_rest(&mut self.out, shown(booking.status_at(at)), major, currency);
        push_times(&mut self.out, booking.created_at, found.updated_at);
        self.push_customer_of(view, tenant, booking.customer);
        self.out.push('}');
    }

    fn push_fields(&mut self, customer_id: &str, (title, description): (&str, &str), date: Timestamp) {
        let Rows { out, tenant_id, .. } = self;
        out.push_str(",\"tenantId\":\"");
        out.push_str(tenant_id);
        out.push_str("\",\"customerId\":");
        push_text(out, customer_id);
        out.push_str(",\"title\":");
        push_text(out, title);
        out.push_str(",\"description\":");
        push_text(out, description);
        out.push_str(",\"date\":\"");
        date.write_rfc3339(out);
        out.push('"');
    }

    fn push_customer_of(&mut self, view: &dyn Read, tenant: TenantNumber, id: Uuid) {
        let Remembered { text, places } = &mut self.customers;
        if places.len() >= REMEMBERED_MAX {
            places.clear();
            text.clear();
        }
        let place = places.entry(id).or_insert_with(|| {
            let found = any::<Customer>(view, tenant, id, None).filter(|found| !found.is.deleted)?;
            let start = text.len();
            write_customer(text, &self.tenant_id, &found);
            Some(start..text.len())
        });
        if let Some(place) = place {
            self.out.push_str(",\"customer\":");
            self.out.push_str(&text[place.clone()]);
        }
    }
}

/// The answer to the creation of a legacy booking: the fields as FAPI orders them, without the customer.
pub(super) fn created(booking: &LegacyBooking, tenant_id: Uuid) -> String {
    let mut rows = Rows::new(tenant_id);
    rows.out.push_str("{\"id\":");
    push_id(&mut rows.out, booking.external_id.as_deref(), booking.id);
    rows.push_fields(&booking.customer_id, (&booking.title, &booking.description), booking.date);
    push_legacy_rest(&mut rows.out, booking);
    rows.out.push('}');
    rows.out
}

/// The status that FAPI has for one of ours.
fn shown(status: BookingStatus) -> &'static str {
    match status {
        BookingStatus::Held => "pending",
        BookingStatus::Confirmed => "confirmed",
        BookingStatus::Completed => "completed",
        BookingStatus::Cancelled | BookingStatus::Expired | BookingStatus::NoShow => "cancelled",
    }
}

fn push_legacy_rest<Text>(out: &mut String, booking: &LegacyBooking<Text>) {
    push_rest(out, booking.status.as_str(), booking.price.get(), booking.currency.as_str());
    push_times(out, booking.created_at, booking.changed_at);
}

fn push_rest(out: &mut String, status: &str, price: f64, currency: &str) {
    let written = write!(out, ",\"status\":\"{status}\",\"price\":{price},\"currency\":\"{currency}\"");
    written.expect("a String takes every text");
}

fn push_times(out: &mut String, created_at: Timestamp, updated_at: Timestamp) {
    out.push_str(",\"createdAt\":\"");
    created_at.write_rfc3339(out);
    out.push_str("\",\"updatedAt\":\"");
    updated_at.write_rfc3339(out);
    out.push('"');
}

fn write_customer(out: &mut String, tenant_id: &str, found: &Versioned<Customer>) {
    let customer = &found.is;
    out.push_str("{\"id\":");
    push_id(out, customer.external_id.as_deref(), customer.id);
    out.push_str(",\"tenantId\":\"");
    out.push_str(tenant_id);
    out.push_str("\",\"name\":");
    push_text(out, &customer.name);
    out.push_str(",\"email\":");
    push_text(out, customer.email.as_deref().unwrap_or_default());
    out.push_str(",\"phone\":");
    push_text(out, customer.phone.as_deref().unwrap_or_default());
    push_times(out, customer.created_at, customer.changed_at.unwrap_or(found.updated_at));
    out.push('}');
}

fn push_id(out: &mut String, external_id: Option<&str>, id: Uuid) {
    match external_id {
        Some(text) => push_text(out, text),
        None => {
            out.push('"');
            out.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            out.push('"');
        }
    }
}

fn push_text(out: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::to_string(text).expect("a text has a JSON form"));
        return;
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
}
