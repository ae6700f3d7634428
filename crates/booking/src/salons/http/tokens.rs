//! Tokens of bookings and calendars: random texts that are shown once, of which a hash is kept.

use maitred_web::Problem;
use subtle::ConstantTimeEq;

use crate::name;

/// How many random bytes a token has.
const TOKEN_BYTES: usize = 24;
/// The longest token that is read, in bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// A new token.
///
/// # Errors
/// 500 where the operating system gives no random numbers.
pub(super) fn new_token() -> Result<String, Problem> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gives no random numbers");
        Problem::internal_error()
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The hash under which a token is kept.
pub(super) fn token_hash(token: &str) -> u128 {
    name::hash(token)
}

/// Whether a token that was given is the one of this hash. How long that takes tells nothing of either.
pub(super) fn opens(given: Option<&str>, kept: Option<u128>) -> bool {
    let given = given.filter(|token| token.len() <= TOKEN_BYTES_MAX).map(token_hash);
    match (given, kept) {
        (Some(given), Some(kept)) => given.to_be_bytes().ct_eq(&kept.to_be_bytes()).into(),
        _ => false,
    }
}
