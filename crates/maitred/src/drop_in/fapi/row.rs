//! Bookings and customers as FAPI shows them, written as text: a list of years is nothing but that.

use std::io::Write;

use maitred_booking::flash_sales::Versioned;
use maitred_booking::salons::view::{any, id_of_bytes};
use maitred_booking::salons::{Booking, BookingStatus, Customer, LegacyBooking};
use maitred_core::{Read, TenantNumber, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use super::customers::Customers;

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

/// The text of bookings with their customers, which can be taken away in parts as it grows.
#[derive(Debug)]
pub(super) struct Rows {
    out: Vec<u8>,
    tenant_id: String,
    customers: Option<Customers>,
}

impl Rows {
    /// Nothing yet, of a tenant's; whose bookings they are is shown if `customers` are given.
    pub(super) fn new(tenant_id: Uuid, customers: Option<Customers>) -> Self {
        Rows { out: Vec::new(), tenant_id: tenant_id.to_string(), customers }
    }

    /// Adds a text as it stands.
    pub(super) fn push_str(&mut self, text: &str) {
        push(&mut self.out, text);
    }

    /// How many bytes were added and not yet taken away.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes away what was added.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let room = self.out.capacity();
        std::mem::replace(&mut self.out, Vec::with_capacity(room))
    }

    /// Adds a legacy booking with its customer, if there is one.
    pub(super) fn push_legacy(
        &mut self,
        view: &dyn Read,
        tenant: TenantNumber,
        booking: &LegacyBooking<&[u8]>,
    ) {
        push(&mut self.out, "{\"id\":");
        push_id(&mut self.out, booking.external_id, booking.id);
        self.push_fields(booking.customer_id, (booking.title, booking.description), booking.date);
        push_legacy_rest(&mut self.out, booking);
        self.push_customer_of(view, tenant, id_of_bytes(booking.customer_id));
        self.out.push(b'}');
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
        push(&mut self.out, "{\"id\":");
        push_id(&mut self.out, None, booking.id);
        let names: Vec<&str> = booking.items.iter().map(|item| &*item.name).collect();
        let customer = any::<Customer>(view, tenant, booking.customer, None);
        let external_id = customer.and_then(|customer| customer.is.external_id);
        let customer_id = external_id.unwrap_or_else(|| booking.customer.to_string());
        let description = booking.notes.as_deref().unwrap_or_default();
        let title = names.join(", ");
        let texts = (title.as_bytes(), description.as_bytes());
        self.push_fields(customer_id.as_bytes(), texts, booking.starts_at);
        let currency = booking.items.first().map(|item| item.price.currency);
        let amount: i64 = booking.items.iter().map(|item| item.price.amount).sum();
        let decimals = currency.map_or(2, |currency| currency.decimals());
        let major = amount as f64 / 10_f64.powi(decimals.into());
        let currency = currency.as_ref().map_or("XXX", |currency| currency.as_str());
        push_rest(&mut self.out, shown(booking.status_at(at)), major, currency);
        push_times(&mut self.out, booking.created_at, found.updated_at);
        self.push_customer_of(view, tenant, booking.customer);
        self.out.push(b'}');
    }

    fn push_fields(&mut self, customer_id: &[u8], (title, description): (&[u8], &[u8]), date: Timestamp) {
        let Rows { out, tenant_id, .. } = self;
        push(out, ",\"tenantId\":\"");
        push(out, tenant_id);
        push(out, "\",\"customerId\":");
        push_text(out, customer_id);
        push(out, ",\"title\":");
        push_text(out, title);
        push(out, ",\"description\":");
        push_text(out, description);
        push(out, ",\"date\":\"");
        out.extend_from_slice(&date.to_rfc3339());
        out.push(b'"');
    }

    fn push_customer_of(&mut self, view: &dyn Read, tenant: TenantNumber, id: Uuid) {
        let Rows { out, tenant_id, customers } = self;
        let Some(customers) = customers else { return };
        let text = customers.text(id, |text| {
            let found = any::<Customer>(view, tenant, id, None).filter(|found| !found.is.deleted)?;
            write_customer(text, tenant_id, &found);
            Some(())
        });
        if let Some(text) = text {
            push(out, ",\"customer\":");
            out.extend_from_slice(text);
        }
    }
}

/// The answer to the creation of a legacy booking: the fields as FAPI orders them, without the customer.
pub(super) fn created(booking: &LegacyBooking, tenant_id: Uuid) -> Vec<u8> {
    let mut rows = Rows::new(tenant_id, None);
    push(&mut rows.out, "{\"id\":");
    push_id(&mut rows.out, booking.external_id.as_deref().map(str::as_bytes), booking.id);
    let texts = (booking.title.as_bytes(), booking.description.as_bytes());
    rows.push_fields(booking.customer_id.as_bytes(), texts, booking.date);
    push_legacy_rest(&mut rows.out, booking);
    rows.out.push(b'}');
    rows.out
}

/// A customer.
pub(super) fn customer(found: &Versioned<Customer>, tenant_id: Uuid) -> Vec<u8> {
    let mut out = Vec::new();
    write_customer(&mut out, &tenant_id.to_string(), found);
    out
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

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_legacy_rest<Text>(out: &mut Vec<u8>, booking: &LegacyBooking<Text>) {
    push_rest(out, booking.status.as_str(), booking.price.get(), booking.currency.as_str());
    push_times(out, booking.created_at, booking.changed_at);
}

fn push_rest(out: &mut Vec<u8>, status: &str, price: f64, currency: &str) {
    push(out, ",\"status\":\"");
    push(out, status);
    push(out, "\",\"price\":");
    push_number(out, price);
    push(out, ",\"currency\":\"");
    push(out, currency);
    out.push(b'"');
}

/// A number in the fewest digits that mean it; prices are hundredths, and these are quick.
fn push_number(out: &mut Vec<u8>, number: f64) {
    let hundredths = (number * 100.0).round();
    let is_price = (0.0..1e12).contains(&hundredths) && hundredths / 100.0 == number;
    let written = if is_price && number.is_sign_positive() {
        let hundredths = hundredths as u64;
        let written = write!(out, "{}", hundredths / 100);
        let (tenths, rest) = ((hundredths / 10 % 10) as u8, (hundredths % 10) as u8);
        match (tenths, rest) {
            (0, 0) => {}
            (_, 0) => out.extend([b'.', b'0' + tenths]),
            (_, _) => out.extend([b'.', b'0' + tenths, b'0' + rest]),
        }
        written
    } else {
        write!(out, "{number}")
    };
    written.expect("memory takes every text");
}

fn push_times(out: &mut Vec<u8>, created_at: Timestamp, updated_at: Timestamp) {
    push(out, ",\"createdAt\":\"");
    out.extend_from_slice(&created_at.to_rfc3339());
    push(out, "\",\"updatedAt\":\"");
    out.extend_from_slice(&updated_at.to_rfc3339());
    out.push(b'"');
}

fn write_customer(out: &mut Vec<u8>, tenant_id: &str, found: &Versioned<Customer>) {
    let customer = &found.is;
    push(out, "{\"id\":");
    push_id(out, customer.external_id.as_deref().map(str::as_bytes), customer.id);
    push(out, ",\"tenantId\":\"");
    push(out, tenant_id);
    push(out, "\",\"name\":");
    push_text(out, customer.name.as_bytes());
    push(out, ",\"email\":");
    push_text(out, customer.email.as_deref().unwrap_or_default().as_bytes());
    push(out, ",\"phone\":");
    push_text(out, customer.phone.as_deref().unwrap_or_default().as_bytes());
    push_times(out, customer.created_at, customer.changed_at.unwrap_or(found.updated_at));
    out.push(b'}');
}

fn push_id(out: &mut Vec<u8>, external_id: Option<&[u8]>, id: Uuid) {
    match external_id {
        Some(text) => push_text(out, text),
        None => {
            out.push(b'"');
            push(out, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            out.push(b'"');
        }
    }
}

/// A text of UTF-8 as JSON has it. Nearly all are as they stand, which is seen without a branch for each byte.
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.iter().fold(false, |special, byte| special | is_special(*byte)) {
        let text = String::from_utf8_lossy(text);
        return serde_json::to_writer(out, &*text).expect("a text has a JSON form");
    }
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(number: f64) -> String {
        let mut out = Vec::new();
        push_number(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_they_always_were(cents in -10_i64..2_000_000_000_000, double in proptest::num::f64::ANY) {
            let cents = cents as f64 / 100.0;
            prop_assert_eq!(number(cents), format!("{cents}"));
            if double.is_finite() {
                prop_assert_eq!(number(double), format!("{double}"));
            }
        }
    }

    #[test]
    fn texts_are_json() {
        for text in ["", "plain", "ä €", "a \"quote\"", "back\\slash", "line\nbreak", "\u{1}"] {
            let mut out = Vec::new();
            push_text(&mut out, text.as_bytes());
            assert_eq!(out, serde_json::to_vec(text).unwrap());
        }
    }
}
