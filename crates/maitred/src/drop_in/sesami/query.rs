//! The query of `GET /api/appointments`. Unknown parameters are ignored.

use std::borrow::Cow;

use maitred_core::Timestamp;
use maitred_web::query::decode;

use super::answer::{Answer, INVALID_AT_FORMAT};
use super::org::ORG_DEFAULT;
use crate::drop_in::time;

/// What `GET /api/appointments` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The organisation, trimmed; empty where the client sent blanks alone: no organisation has that name.
    pub(crate) org: String,
    /// Only what covers this instant.
    pub(crate) at: Option<Timestamp>,
}

/// Reads the query, which is what stands behind the `?`.
///
/// # Errors
/// The answer to send instead.
pub(crate) fn read(query: &str) -> Result<Selection, Answer> {
    let org = parameter(query, "org")?;
    let at = parameter(query, "at")?;
    let at = at.map(|text| time::parse(&text).ok_or(INVALID_AT_FORMAT)).transpose()?;
    let org = org.as_deref().map_or(ORG_DEFAULT, time::trim).to_owned();
    Ok(Selection { org, at })
}

/// The value of a parameter that is given once; `None` where it is missing or empty.
fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Answer> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then_some(value)
    });
    let (value, further) = (values.next(), values.next());
    if further.is_some() {
        return Err(Answer::bad_request(&format!("{name} must be given once")));
    }
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let not_text = || Answer::bad_request(&format!("{name} must be UTF-8"));
    decode(value).map(Some).ok_or_else(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_query(query: &str, org: &str, at: Option<&str>) {
        let at = at.map(|text| Timestamp::parse_rfc3339(text).expect("an instant"));
        assert_eq!(read(query), Ok(Selection { org: org.into(), at }), "{query}");
    }

    #[test]
    fn a_query_names_an_organisation_and_perhaps_an_instant() {
        check_query("", "default", None);
        check_query("org=&at=", "default", None);
        check_query("org=%20o%20", "o", None);
        check_query("org=%20%20", "", None);
        check_query("org=o+p&unknown=1&unknown=2", "o p", None);
        check_query("org=o&at=2020-10-10%2021:10", "o", Some("2020-10-10T21:10:00Z"));
        check_query("at=2020-10-10T23:10:00%2B02:00", "default", Some("2020-10-10T21:10:00Z"));
        check_query("at=2020", "default", Some("2020-01-01T00:00:00Z"));
    }

    #[test]
    fn a_query_that_cannot_be_read_is_refused() {
        for query in ["at=x", "at=%20", "at=2020-10-10T23:10:00+02:00", "org=o&at=2020-10-10 25:61"] {
            assert_eq!(read(query), Err(INVALID_AT_FORMAT), "{query}");
        }
        for query in ["at=2020&at=2020", "org=a&org=b", "org=&%6Frg=", "org=%ff"] {
            assert_eq!(read(query).map_err(|answer| answer.status.as_u16()), Err(400), "{query}");
        }
    }
}
