//! The query of `GET /api/bookings`. Unknown parameters are ignored.

use maitred_core::Timestamp;
use maitred_web::query::decode;

use super::answer::{Answer, Issue};
use crate::drop_in::time;

/// From one instant to another, both included.
pub(super) type Range = (Timestamp, Timestamp);

/// Reads the query, which is what stands behind the `?`.
///
/// # Errors
/// The answer to send instead.
pub(super) fn read(query: &str) -> Result<Range, Answer> {
    let mut issues = Vec::new();
    let (start, end) = (parameter(query, "start", &mut issues), parameter(query, "end", &mut issues));
    match (start, end) {
        (Some(start), Some(end)) if start <= end => Ok((start, end)),
        (Some(_), Some(_)) => {
            let message = "end must not be before start".to_owned();
            Err(Answer::invalid(&[Issue { code: "too_small", path: vec!["end"], message }]))
        }
        _ => Err(Answer::invalid(&issues)),
    }
}

fn parameter(query: &str, name: &'static str, issues: &mut Vec<Issue>) -> Option<Timestamp> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then_some(value)
    });
    let once = values.next().filter(|_| values.next().is_none());
    let instant = once.and_then(decode).and_then(|text| time::parse(&text));
    if instant.is_none() {
        let message = "Invalid input: expected date".to_owned();
        issues.push(Issue { code: "invalid_type", path: vec![name], message });
    }
    instant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_needed_once_and_in_order() {
        let read = |query: &str| read(query).ok().map(|(start, end)| format!("{start} {end}"));
        let range = "2025-01-01T00:00:00.000Z 2025-01-03T00:00:00.000Z".to_owned();
        assert_eq!(read("start=2025-01-01&end=2025-01-03&x=1"), Some(range.clone()));
        assert_eq!(read("start=2025&end=2025-01-03T01:00:00%2B01:00"), Some(range));
        assert!(read("start=2025&end=2025").is_some(), "both ends are included");
        for query in
            ["", "start=2025", "end=2025", "start=&end=2025", "start=x&end=2025", "start=2026&end=2025"]
        {
            assert_eq!(read(query), None, "{query}");
        }
        assert_eq!(read("start=2025&end=2026&end=2026"), None);
        assert_eq!(read("start=2025-02-30&end=2026"), None);
    }
}
