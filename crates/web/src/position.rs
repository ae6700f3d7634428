//! `Maitred-Position`: read your writes, on whichever node.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use maitred_core::Position;

use crate::problem::POSITION_INVALID;
use crate::{AsOf, Problem, query};

/// The header: an answer carries the point in the log that includes it, a read may ask for at least that point.
pub const MAITRED_POSITION: HeaderName = HeaderName::from_static("maitred-position");

/// The position that a read asks for, as an argument of a handler: the header's, or a later one that the query's
/// `as_of` names.
///
/// # Errors
/// 400 `position-invalid` for anything but one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLeast(pub Option<Position>);

impl AtLeast {
    /// Reads the header.
    ///
    /// # Errors
    /// 400 `position-invalid`.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(MAITRED_POSITION).iter();
        let Some(value) = values.next() else { return Ok(AtLeast(None)) };
        let position = value.to_str().ok().and_then(|text| text.parse().ok());
        match (position, values.next()) {
            (Some(position), None) => Ok(AtLeast(Some(position))),
            _ => Err(Problem::header_invalid(
                POSITION_INVALID,
                &MAITRED_POSITION,
                "Maitred-Position is one position as an answer gave it, such as 0.42.",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtLeast {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let AtLeast(at_least) = AtLeast::parse(&parts.headers)?;
        let Some(AsOf::Position(as_of)) = query::one(parts.uri.query().unwrap_or_default(), "as_of") else {
            return Ok(AtLeast(at_least));
        };
        // One of another partition is refused by whoever reads the past.
        let later =
            at_least.is_none_or(|at_least| as_of.partition == at_least.partition && as_of.seq > at_least.seq);
        Ok(AtLeast(if later { Some(as_of) } else { at_least }))
    }
}

/// The header's value for a position.
pub fn header_value(position: Position) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(position.to_string())).expect("digits and a point")
}
