//! The body of `POST /api/bookings`: unknown fields are ignored, and every fault is named.

use axum::http::StatusCode;
use maitred_booking::money::Currency;
use maitred_booking::salons::{Decimal, LegacyStatus, PutLegacyBooking, validation};
use maitred_core::Timestamp;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answer::{Answer, Issue};
use crate::drop_in::time;

/// A booking to be noted.
#[derive(Debug, ToSchema)]
#[schema(as = FapiNewBooking, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes the body, which is read field by field")]
pub(super) struct NewBooking {
    /// Whose: an id, known or not.
    #[schema(max_length = 255)]
    customer_id: String,
    #[schema(max_length = 2000)]
    title: String,
    #[schema(max_length = 20000)]
    description: String,
    /// ISO 8601, `YYYY-MM-DD[ HH:mm[:ss]]` or `YYYY`; in UTC without a zone.
    date: String,
    #[schema(pattern = "^(pending|confirmed|cancelled|completed)$")]
    status: String,
    /// In major units.
    price: f64,
    #[schema(pattern = "^EUR$")]
    currency: String,
    created_at: String,
    updated_at: String,
}

/// Reads the body.
///
/// # Errors
/// The answer to send instead.
pub(super) fn read(content_type: Option<&[u8]>, body: &[u8]) -> Result<PutLegacyBooking, Answer> {
    let Some(content_type) = content_type else {
        return Err(match body {
            [] => Answer::invalid(&[expected("object", vec![])]),
            _ => unsupported(),
        });
    };
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"text/plain") {
        return Err(Answer::invalid(&[expected("object", vec![])]));
    }
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(unsupported());
    }
    if body.is_empty() {
        let message = "Body cannot be empty when content-type is set to 'application/json'";
        return Err(Answer::coded(StatusCode::BAD_REQUEST, "FST_ERR_CTP_EMPTY_JSON_BODY", message));
    }
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => check(&fields),
        Ok(_) => Err(Answer::invalid(&[expected("object", vec![])])),
        Err(error) => Err(Answer::error(StatusCode::BAD_REQUEST, &format!("JSON Parse error: {error}"))),
    }
}

fn unsupported() -> Answer {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Answer::coded(status, "FST_ERR_CTP_INVALID_MEDIA_TYPE", "Unsupported Media Type")
}

fn check(fields: &Map<String, Value>) -> Result<PutLegacyBooking, Answer> {
    let mut reader = Fields { fields, issues: Vec::new() };
    let customer_id = reader.text("customerId");
    let title = reader.text("title");
    let description = reader.text("description");
    let date = reader.instant("date");
    let status = reader.one_of("status", &LegacyStatus::ALL.map(LegacyStatus::as_str));
    let price = reader.number("price");
    let currency = reader.one_of("currency", &["EUR"]);
    let created_at = reader.instant("createdAt");
    let changed_at = reader.instant("updatedAt");
    if !reader.issues.is_empty() {
        return Err(Answer::invalid(&reader.issues));
    }
    let booking = (|| {
        Some(PutLegacyBooking {
            external_id: None,
            customer_id: customer_id?,
            title: title?,
            description: description?,
            date: date?,
            status: LegacyStatus::from_name(&status?)?,
            price: price?,
            currency: Currency::parse(&currency?)?,
            created_at: created_at?,
            changed_at: changed_at?,
        })
    })();
    let booking = booking.ok_or_else(|| Answer::invalid(&[expected("object", vec![])]))?;
    let too_long: Vec<Issue> = validation::put_legacy_booking(&booking)
        .into_iter()
        .map(|violation| Issue {
            code: "too_big",
            path: vec![&violation.pointer[1..]],
            message: violation.detail,
        })
        .collect();
    if too_long.is_empty() { Ok(booking) } else { Err(Answer::invalid(&too_long)) }
}

fn expected(what: &str, path: Vec<&'static str>) -> Issue {
    Issue { code: "invalid_type", path, message: format!("Invalid input: expected {what}") }
}

/// The fields of a body, and what was found wrong with them so far.
struct Fields<'a> {
    fields: &'a Map<String, Value>,
    issues: Vec<Issue>,
}

impl Fields<'_> {
    fn text(&mut self, name: &'static str) -> Option<String> {
        let text = self.fields.get(name).and_then(Value::as_str);
        if text.is_none() {
            self.issues.push(expected("string", vec![name]));
        }
        text.map(str::to_owned)
    }

    fn instant(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let instant = time::parse(&text);
        if instant.is_none() {
            let message = "Invalid input: expected a date in ISO 8601".to_owned();
            self.issues.push(Issue { code: "invalid_value", path: vec![name], message });
        }
        instant
    }

    fn number(&mut self, name: &'static str) -> Option<Decimal> {
        let number = self.fields.get(name).and_then(Value::as_f64).and_then(Decimal::new);
        if number.is_none() {
            self.issues.push(expected("number", vec![name]));
        }
        number
    }

    fn one_of(&mut self, name: &'static str, values: &[&str]) -> Option<String> {
        let text = self.fields.get(name).and_then(Value::as_str).filter(|text| values.contains(text));
        if text.is_none() {
            let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            let message = format!("Invalid option: expected one of {}", quoted.join("|"));
            self.issues.push(Issue { code: "invalid_value", path: vec![name], message });
        }
        text.map(str::to_owned)
    }
}
