//! The query of `GET /v1/events/search`. Unknown parameters are ignored; of a repeated one the first counts.

use maitred_core::Timestamp;
use maitred_web::query::decode;

use super::answer::Answer;
use super::instant::{self, Instant};

/// From one instant to another, both included.
pub(super) type Range = (Timestamp, Timestamp);

/// Reads the query, which is what stands behind the `?`.
///
/// # Errors
/// The answer to send instead.
pub(super) fn read(query: &str) -> Result<Range, Answer> {
    let (ends_at, starts_at) = (parameter(query, "ends_at"), parameter(query, "starts_at"));
    let (end, start) = match (ends_at, starts_at) {
        (Ok(end), Ok(start)) => (end, start),
        (ends_at, starts_at) => {
            let told =
                |name: &str, read: Result<Instant, &str>| read.err().map(|why| format!("{name}: {why}"));
            let reasons = [told("ends_at", ends_at), told("starts_at", starts_at)];
            let reasons: Vec<String> = reasons.into_iter().flatten().collect();
            return Err(Answer::bad_request(&reasons.join(" ")));
        }
    };
    if start.zoned != end.zoned {
        return Err(Answer::bad_request("'starts_at' and 'ends_at' must both have a zone, or neither."));
    }
    if start.at >= end.at {
        return Err(Answer::bad_request("'ends_at' must be after 'starts_at'."));
    }
    Ok((start.at, end.at))
}

fn parameter(query: &str, name: &str) -> Result<Instant, &'static str> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then_some(value)
    });
    let given = values.next().ok_or("Missing data for required field.")?;
    decode(given).and_then(|text| instant::parse(&text)).ok_or("Not a valid datetime.")
}
