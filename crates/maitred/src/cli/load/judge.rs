//! What an answer about appointments means, read without parsing its JSON: a load tester that spends as much on an
//! answer as the server does measures itself.

use super::answer::Answer;
use super::tally::{Outcome, Outcomes};

/// The outcome of a single upsert.
pub(super) fn upsert(answer: Answer<'_>) -> Outcome {
    match answer.status {
        200 | 201 => match text_after(answer.body, b"\"outcome\":\"") {
            Some(b"created") => Outcome::Created,
            Some(b"updated") => Outcome::Updated,
            Some(b"ignored_stale") => Outcome::IgnoredStale,
            _ => Outcome::Other,
        },
        status => Outcome::of_error_status(status),
    }
}

/// The outcomes of a batch of `items` upserts: one each, [`Outcome::Other`] for those the answer does not name.
pub(super) fn batch(answer: Answer<'_>, items: u64) -> Outcomes {
    let mut outcomes = Outcomes::default();
    if !(200..300).contains(&answer.status) {
        outcomes.add(Outcome::of_error_status(answer.status), items);
        return outcomes;
    }
    outcomes.add(Outcome::Created, count(answer.body, b"\"outcome\":\"created\""));
    outcomes.add(Outcome::Updated, count(answer.body, b"\"outcome\":\"updated\""));
    outcomes.add(Outcome::IgnoredStale, count(answer.body, b"\"outcome\":\"ignored_stale\""));
    outcomes.add(Outcome::Conflict, count(answer.body, b"\"code\":\"time-range-unavailable\""));
    outcomes.add(Outcome::Other, items.saturating_sub(outcomes.total()));
    outcomes
}

/// The outcome of an upsert through the drop-in route of Sesami's clients.
pub(super) fn sesami(answer: Answer<'_>) -> Outcome {
    match answer.status {
        200 => match text_after(answer.body, b"\"status\":\"") {
            Some(b"ok") => Outcome::Created,
            Some(b"ignored-stale") => Outcome::IgnoredStale,
            _ => Outcome::Other,
        },
        status => Outcome::of_error_status(status),
    }
}

/// The outcome of a try to buy.
pub(super) fn purchase(answer: Answer<'_>) -> Outcome {
    let code = || text_after(answer.body, b"\"code\":\"");
    match answer.status {
        201 => Outcome::Created,
        409 => match code() {
            Some(b"sold-out") => Outcome::SoldOut,
            Some(b"buyer-limit-reached") => Outcome::BuyerLimitReached,
            Some(b"sale-not-active") => Outcome::SaleNotActive,
            _ => Outcome::Conflict,
        },
        status => Outcome::of_error_status(status),
    }
}

/// The outcome of reading one record.
pub(super) fn read(answer: Answer<'_>) -> Outcome {
    if answer.status == 200 { Outcome::Found } else { Outcome::of_error_status(answer.status) }
}

/// The outcome of reading a list.
pub(super) fn list(answer: Answer<'_>) -> Outcome {
    match (answer.status, find(answer.body, b"\"items\":[")) {
        (200, Some(begin)) if answer.body.get(begin) == Some(&b']') => Outcome::Empty,
        (200, Some(_)) => Outcome::Found,
        (200, None) => Outcome::Other,
        (status, _) => Outcome::of_error_status(status),
    }
}

/// The whole number behind the first `label`.
pub(super) fn number_after(body: &[u8], label: &[u8]) -> Option<u64> {
    let digits = &body[find(body, label)?..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// The text between the first `label` and the next quotation mark.
pub(super) fn text_after<'a>(body: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    let rest = &body[find(body, label)?..];
    Some(&rest[..rest.iter().position(|byte| *byte == b'"')?])
}

/// Where the first `label` ends.
fn find(body: &[u8], label: &[u8]) -> Option<usize> {
    body.windows(label.len()).position(|window| window == label).map(|at| at + label.len())
}

fn count(body: &[u8], label: &[u8]) -> u64 {
    let (mut rest, mut times) = (body, 0);
    while let Some(end) = find(rest, label) {
        rest = &rest[end..];
        times += 1;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer<'_> {
        Answer { status, body: body.as_bytes() }
    }

    #[test]
    fn an_upsert_is_judged_by_its_outcome_and_a_refusal_by_its_status() {
        let rows = [
            (201, r#"{"outcome":"created","appointment":{}}"#, Outcome::Created),
            (200, r#"{"appointment":{},"outcome":"updated"}"#, Outcome::Updated),
            (200, r#"{"outcome":"ignored_stale"}"#, Outcome::IgnoredStale),
            (200, r#"{"outcome":"cancelled"}"#, Outcome::Other),
            (200, "", Outcome::Other),
            (409, r#"{"code":"time-range-unavailable"}"#, Outcome::Conflict),
            (422, r#"{"outcome":"created"}"#, Outcome::Refused),
            (503, "", Outcome::Unavailable),
        ];
        for (status, body, outcome) in rows {
            assert_eq!(upsert(answer(status, body)), outcome, "{status} {body}");
        }
    }

    #[test]
    fn a_batch_has_one_outcome_per_item_and_what_it_does_not_name_is_other() {
        let body = r#"{"items":[{"outcome":"created"},{"outcome":"created"},{"outcome":"ignored_stale"},
            {"problem":{"code":"time-range-unavailable"}}]}"#;
        let outcomes = batch(answer(200, body), 6);
        let counts = [Outcome::Created, Outcome::IgnoredStale, Outcome::Conflict, Outcome::Other];
        assert_eq!(counts.map(|outcome| outcomes.count(outcome)), [2, 1, 1, 2]);
        assert_eq!(outcomes.total(), 6);
        assert_eq!(batch(answer(413, body), 6).count(Outcome::Refused), 6);
    }

    #[test]
    fn an_empty_list_is_told_from_one_with_items() {
        assert_eq!(list(answer(200, r#"{"items":[],"next_cursor":null}"#)), Outcome::Empty);
        assert_eq!(list(answer(200, r#"{"items":[{"id":"x"}],"next_cursor":null}"#)), Outcome::Found);
        assert_eq!(list(answer(200, "[]")), Outcome::Other);
        assert_eq!(list(answer(404, r#"{"items":[]}"#)), Outcome::Missing);
    }

    #[test]
    fn the_drop_in_route_says_ok_or_stale() {
        assert_eq!(sesami(answer(200, r#"{"status":"ok"}"#)), Outcome::Created);
        assert_eq!(sesami(answer(200, r#"{"status":"ignored-stale"}"#)), Outcome::IgnoredStale);
        assert_eq!(sesami(answer(409, r#"{"status":"ok"}"#)), Outcome::Conflict);
    }

    #[test]
    fn a_refused_purchase_is_told_by_its_code() {
        let rows = [
            (201, r#"{"id":"x","status":"pending"}"#, Outcome::Created),
            (409, r#"{"status":409,"code":"sold-out"}"#, Outcome::SoldOut),
            (409, r#"{"code":"buyer-limit-reached","buyer_limit":1}"#, Outcome::BuyerLimitReached),
            (409, r#"{"code":"sale-not-active"}"#, Outcome::SaleNotActive),
            (409, r#"{"code":"idempotency-key-reused"}"#, Outcome::Conflict),
            (401, r#"{"code":"credentials-invalid"}"#, Outcome::Refused),
            (503, r#"{"code":"sold-out"}"#, Outcome::Unavailable),
        ];
        for (status, body, outcome) in rows {
            assert_eq!(purchase(answer(status, body)), outcome, "{status} {body}");
        }
    }

    #[test]
    fn numbers_are_found_behind_their_label() {
        assert_eq!(number_after(br#"{"version":12,"x":3}"#, b"\"version\":"), Some(12));
        assert_eq!(number_after(br#"{"version":12"#, b"\"version\":"), Some(12));
        assert_eq!(number_after(br#"{"version":"v1"}"#, b"\"version\":"), None);
        assert_eq!(number_after(b"{}", b"\"version\":"), None);
    }
}
