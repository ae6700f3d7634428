//! The variable parts of a path, percent-decoded, with refusals that name the part.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path as AxumPath};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::Problem;
use crate::problem::{PATH_INVALID, Place};

/// The variable parts of the path as an argument of a handler: one value, a tuple, or a struct by their names.
///
/// # Errors
/// 400 `path-invalid`, naming the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Path(value)),
            Err(rejection) => Err(refusal(rejection)),
        }
    }
}

/// Refuses a path in which a `%` begins no percent-encoding: read as itself, it would name the record that `%25` does.
///
/// # Errors
/// 400 `path-invalid`.
pub fn require_encoded(path: &str) -> Result<(), Problem> {
    let encoded =
        |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if path.split('%').skip(1).all(encoded) {
        return Ok(());
    }
    Err(invalid(
        "A % in the path is followed by two hexadecimal digits; a % itself is written %25.".to_owned(),
    ))
}

#[cold]
fn refusal(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return misused(&rejection.body_text());
    };
    let text = failed.body_text();
    let (part, detail) = match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            (key, format!("a {expected_type} is expected"))
        }
        ErrorKind::DeserializeError { key, message, .. } => (key, message),
        ErrorKind::InvalidUtf8InPathParam { key } => (key, "the text is not UTF-8".to_owned()),
        ErrorKind::ParseErrorAtIndex { index, expected_type, .. } => {
            (format!("part {}", index + 1), format!("a {expected_type} is expected"))
        }
        ErrorKind::ParseError { expected_type, .. } => {
            return invalid(format!("A {expected_type} is expected."));
        }
        ErrorKind::Message(message) => return invalid(format!("{message}.")),
        _ => return misused(&text),
    };
    invalid(format!("The part `{part}` of the path: {detail}.")).with_error(Place::Parameter(part), detail)
}

fn invalid(detail: String) -> Problem {
    Problem::new(PATH_INVALID, detail)
}

/// The handler asks for what its route does not have: a fault of ours.
fn misused(text: &str) -> Problem {
    tracing::error!(error = text, "a route and its handler disagree about the path");
    Problem::internal_error()
}
