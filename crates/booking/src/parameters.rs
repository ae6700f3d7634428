//! Path parameters and headers that many routes share, as the API document describes them.
//!
//! Nothing reads these types: the extractors of `maitred_web` read the requests. They stand in the handlers'
//! `params(…)`, so that a bound reaches the document wherever its parameter does.

use maitred_web::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use utoipa::IntoParams;

use crate::tenants::SLUG_BYTES_MAX;

// The attributes below take literals alone.
const _: () = assert!(IDEMPOTENCY_KEY_CHARS_MAX == 255 && SLUG_BYTES_MAX == 63);

/// The tenant of a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TenantPath {
    /// The tenant's slug.
    #[param(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub tenant: String,
}

/// What makes a write safe to repeat.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyHeader {
    /// A repeated request with the same key, path and body is answered like the first one, for 24 hours.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    pub idempotency_key: Option<String>,
}

/// What makes a write conditional.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchHeader {
    /// Only if the record is at one of these versions (`"v7"`), or exists (`*`); else 412.
    #[param(rename = "If-Match")]
    pub if_match: Option<String>,
}

/// What makes a read cheap.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatchHeader {
    /// Answer 304 if the record is at one of these versions (`"v7"`).
    #[param(rename = "If-None-Match")]
    pub if_none_match: Option<String>,
}

/// What makes a read see an earlier write, on whichever node.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct PositionHeader {
    /// Answer from this point of the log or a later one: the `Maitred-Position` of an earlier answer.
    #[param(rename = "Maitred-Position", pattern = r"^[0-9]+\.[0-9]+$")]
    pub maitred_position: Option<String>,
}
