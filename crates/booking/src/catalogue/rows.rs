//! What the search reads: an entry for each instant at which an event that was ever sold online starts, with the event
//! as JSON text.
//!
//! Table: `Index/tenant/EventByStart/start/event` → an [`Entry`]:
//! ```text
//! before 8 · ended 8 · end_min 8 · end_max 8 · price_min 8 · price_max 8 · priced 1 · provider 16
//! folded_len 2 · row_len 2 · folded title · row · legacy row
//! ```
//!
//! Invariants:
//! - The entries of an event are those of its record, at every batch: one fact writes both.
//! - An entry says by itself whether it is the first of its event in a range ([`super::search`]), so that no search
//!   remembers what it has found, and nothing is decoded but the numbers in front.
//! - The counter `CatalogueChanged` is the last batch that touched an entry of the tenant.

use std::fmt::Write as _;

use maitred_core::key::Parts;
use maitred_core::{At, Key, Read, TenantNumber, Timestamp, Write};
use uuid::Uuid;

use super::fact::Event;
use super::fold::fold;
use crate::name::{self, Counter};
use crate::record::Index;

/// Where the entry of an event that starts at an instant stands.
pub(super) fn key(tenant: TenantNumber, start: Timestamp, event: u128) -> Key {
    Index::EventByStart.key(tenant).time(start).u128(event)
}

/// An entry, as it stands in the view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// The start of the event's entry before this one; the earliest instant before the first.
    pub(super) before: Timestamp,
    /// The latest end of all entries before this one.
    pub(super) ended: Timestamp,
    /// The earliest end of the plans that start here; not before the start.
    pub(super) end_min: Timestamp,
    /// The latest end of the plans that start here; behind the start.
    pub(super) end_max: Timestamp,
    /// The smallest and the greatest price of the event.
    pub(super) prices: Option<(i64, i64)>,
    /// The hash of its provider's name.
    pub(super) provider: u128,
    /// The title as searches compare it.
    pub(super) folded: &'a [u8],
    /// The event as JSON text.
    pub(super) row: &'a [u8],
    /// The event as the replaced service showed it.
    pub(super) legacy: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(super) fn read(value: &'a [u8]) -> Self {
        let mut parts = Parts(value);
        let (before, ended, end_min, end_max) = (parts.time(), parts.time(), parts.time(), parts.time());
        let (price_min, price_max) = (parts.u64() as i64, parts.u64() as i64);
        let prices = (parts.u8() == 1).then_some((price_min, price_max));
        let provider = parts.u128();
        let mut length = || usize::from(parts.u8()) << 8 | usize::from(parts.u8());
        let (folded_len, row_len) = (length(), length());
        let (folded, row) = (parts.raw(folded_len), parts.raw(row_len));
        Entry { before, ended, end_min, end_max, prices, provider, folded, row, legacy: parts.0 }
    }
}

/// What starts at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    at: Timestamp,
    end_min: Timestamp,
    end_max: Timestamp,
}

/// The starts of an event, in their order. An end before the start counts as the start.
fn starts(event: &Event) -> Vec<Start> {
    let mut starts: Vec<Start> = event
        .plans
        .iter()
        .map(|plan| {
            let end = plan.ends_at.max(plan.starts_at);
            let behind = Timestamp::from_micros(plan.starts_at.as_micros().saturating_add(1));
            Start { at: plan.starts_at, end_min: end, end_max: end.max(behind) }
        })
        .collect();
    starts.sort_unstable_by_key(|start| start.at);
    starts.dedup_by(|later, kept| {
        let same = later.at == kept.at;
        if same {
            kept.end_min = kept.end_min.min(later.end_min);
            kept.end_max = kept.end_max.max(later.end_max);
        }
        same
    });
    starts
}

/// Replaces the entries of `old` by those of `new`.
pub(super) fn replace(view: &mut dyn Write, old: Option<&Event>, new: &Event, at: At) {
    let tenant = at.tenant;
    let shown = |event: &Event| if event.ever_online { starts(event) } else { Vec::new() };
    let (gone, starts) = (old.map(shown).unwrap_or_default(), shown(new));
    for start in gone.iter().filter(|gone| starts.iter().all(|start| start.at != gone.at)) {
        view.delete(&key(tenant, start.at, new.id.as_u128()));
    }
    if !starts.is_empty() {
        put(view, new, &starts, at);
    }
    if !(gone.is_empty() && starts.is_empty()) {
        name::set_counter(view, tenant, Counter::CatalogueChanged, 0, at.seq);
    }
}

fn put(view: &mut dyn Write, event: &Event, starts: &[Start], at: At) {
    let (folded, row, legacy) = (fold(&event.title), row(event), legacy(event));
    let length = |text: &str| u16::try_from(text.len()).expect("titles are short").to_be_bytes();
    let prices = event.prices();
    let (price_min, price_max) = prices.unwrap_or_default();
    let mut tail = Vec::with_capacity(64 + folded.len() + row.len() + legacy.len());
    tail.extend_from_slice(&price_min.to_be_bytes());
    tail.extend_from_slice(&price_max.to_be_bytes());
    tail.push(u8::from(prices.is_some()));
    tail.extend_from_slice(&name::hash(&event.provider).to_be_bytes());
    tail.extend_from_slice(&length(&folded));
    tail.extend_from_slice(&length(&row));
    for text in [&folded, &row, &legacy] {
        tail.extend_from_slice(text.as_bytes());
    }
    let mut longest = longest(view, at.tenant);
    let mut before = Timestamp::from_micros(i64::MIN);
    let mut ended = before;
    let mut value = Vec::with_capacity(32 + tail.len());
    for start in starts {
        value.clear();
        for instant in [before, ended, start.end_min, start.end_max] {
            value.extend_from_slice(&instant.to_ordered().to_be_bytes());
        }
        value.extend_from_slice(&tail);
        view.put(&key(at.tenant, start.at, event.id.as_u128()), &value);
        before = start.at;
        ended = ended.max(start.end_max);
        longest = longest.max(start.end_max.as_micros().abs_diff(start.at.as_micros()));
    }
    if longest > self::longest(view, at.tenant) {
        name::set_counter(view, at.tenant, Counter::LongestPlan, 0, longest);
    }
}

/// The longest plan that a tenant ever had, in microseconds.
pub(super) fn longest(view: &dyn Read, tenant: TenantNumber) -> u64 {
    name::counter(view, tenant, Counter::LongestPlan, 0)
}

/// The last batch that changed what a search of the tenant's events finds.
pub fn changed(view: &dyn Read, tenant: TenantNumber) -> u64 {
    name::counter(view, tenant, Counter::CatalogueChanged, 0)
}

/// An event as the native search shows it.
fn row(event: &Event) -> String {
    let mut out = String::with_capacity(320);
    out.push_str("{\"id\":\"");
    push_id(&mut out, event.id);
    out.push_str("\",\"provider\":\"");
    out.push_str(&event.provider); // a slug
    out.push_str("\",\"external_id\":");
    push_text(&mut out, &event.external_id);
    out.push_str(",\"title\":");
    push_text(&mut out, &event.title);
    if let Some((start, end)) = event.span() {
        out.push_str(",\"starts_at\":\"");
        start.write_rfc3339(&mut out);
        out.push_str("\",\"ends_at\":\"");
        end.write_rfc3339(&mut out);
        out.push('"');
    }
    let (min, max) = event.prices().unzip();
    for (name, price) in [("min_price", min), ("max_price", max)] {
        match price {
            Some(amount) => {
                let currency = event.currency.as_str();
                write!(out, ",\"{name}\":{{\"amount\":{amount},\"currency\":\"{currency}\"}}")
            }
            None => write!(out, ",\"{name}\":null"),
        }
        .expect("a String takes every text");
    }
    let sold_out = !event.plans.is_empty() && event.plans.iter().all(|plan| plan.sold_out);
    let vanished = event.gone.is_some();
    write!(out, ",\"sold_out\":{sold_out},\"vanished\":{vanished}}}").expect("a String takes every text");
    out
}

/// An event as the replaced service showed it: its members by name, nothing but ASCII, times in UTC, prices as decimal
/// numbers with at least one digit behind the point.
fn legacy(event: &Event) -> String {
    let mut out = String::with_capacity(256);
    let (start, end) = event.span().unzip();
    push_moment(&mut out, "{\"end_date\":", ",\"end_time\":", end);
    out.push_str(",\"id\":\"");
    push_id(&mut out, event.id);
    let (min, max) = event.prices().unzip();
    out.push_str("\",\"max_price\":");
    push_decimal(&mut out, max, event.currency.decimals());
    out.push_str(",\"min_price\":");
    push_decimal(&mut out, min, event.currency.decimals());
    push_moment(&mut out, ",\"start_date\":", ",\"start_time\":", start);
    out.push_str(",\"title\":\"");
    push_ascii(&mut out, &event.title);
    out.push_str("\"}");
    out
}

fn push_id(out: &mut String, id: Uuid) {
    out.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
}

fn push_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a text has a JSON form"));
}

fn push_moment(out: &mut String, date_name: &str, time_name: &str, at: Option<Timestamp>) {
    let text = at.map(|at| at.to_string());
    let part = |out: &mut String, name: &str, part: std::ops::Range<usize>| {
        out.push_str(name);
        match &text {
            Some(text) => {
                out.push('"');
                out.push_str(&text[part]);
                out.push('"');
            }
            None => out.push_str("null"),
        }
    };
    part(out, date_name, 0..10);
    part(out, time_name, 11..19);
}

fn push_decimal(out: &mut String, minor: Option<i64>, decimals: u8) {
    let Some(minor) = minor else { return out.push_str("null") };
    let sign = if minor < 0 { "-" } else { "" };
    let major = 10_u64.pow(decimals.into());
    let (whole, rest) = (minor.unsigned_abs() / major, minor.unsigned_abs() % major);
    let rest = format!("{rest:0digits$}", digits = usize::from(decimals.max(1)));
    let (first, others) = rest.split_at(1);
    write!(out, "{sign}{whole}.{first}{}", others.trim_end_matches('0')).expect("a String takes every text");
}

fn push_ascii(out: &mut String, text: &str) {
    for unit in text.chars() {
        match unit {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(unit),
            _ => {
                for half in unit.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{half:04x}").expect("a String takes every text");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_decimal_numbers() {
        let text = |minor| {
            let mut out = String::new();
            push_decimal(&mut out, minor, 2);
            out
        };
        let cents = [1500, 3005, 2050, 5, 0, -125, i64::MIN].map(Some);
        let texts = ["15.0", "30.05", "20.5", "0.05", "0.0", "-1.25", "-92233720368547758.08"];
        assert_eq!(cents.map(text), texts);
        assert_eq!(text(None), "null");
        for (minor, decimals, text) in [(5_000, 0, "5000.0"), (1_255, 3, "1.255"), (-20, 4, "-0.002")] {
            let mut out = String::new();
            push_decimal(&mut out, Some(minor), decimals);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn old_clients_read_ascii() {
        let mut out = String::new();
        push_ascii(&mut out, "Ñ\u{7f}\"\\\n\u{1}😀 ok");
        assert_eq!(out, "\\u00d1\\u007f\\\"\\\\\\n\\u0001\\ud83d\\ude00 ok");
    }
}
