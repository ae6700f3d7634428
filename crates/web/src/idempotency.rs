//! `Idempotency-Key`: a repeated request gets the first one's answer.
//!
//! Invariants:
//! - The key is scoped to the tenant (the engine keeps keys per tenant) and to who asks; an anonymous caller's
//!   also to the body, so that two strangers with one key never see each other's answers.
//! - The fingerprint covers the method, the path with its query, and the body: another request under the same key
//!   is 422 `idempotency-key-reused`, which the writer decides.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use maitred_core::Actor;
use maitred_engine::batch::Idempotency;

use crate::Problem;
use crate::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use crate::problem::IDEMPOTENCY_KEY_INVALID;

/// The request header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before: `true`.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a request says about being repeated, as an argument of a handler (before the body).
///
/// # Errors
/// 400 `idempotency-key-invalid` unless there is at most one key, of 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt(Option<Keyed>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Keyed {
    key: Box<str>,
    method: Method,
    uri: Uri,
}

impl Attempt {
    /// Reads the header of a request to `uri`, as the client sent it: behind `Router::nest` that is not the
    /// request's own.
    ///
    /// # Errors
    /// 400 `idempotency-key-invalid`.
    pub fn parse(headers: &HeaderMap, method: &Method, uri: &Uri) -> Result<Self, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Attempt(None)) };
        let key = value.as_bytes();
        let sound = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len())
            && key.iter().all(u8::is_ascii_graphic)
            && values.next().is_none();
        let key = std::str::from_utf8(key).ok().filter(|_| sound).ok_or_else(|| {
            let detail = "Idempotency-Key is given once, and has 1 to 255 visible ASCII characters.";
            Problem::header_invalid(IDEMPOTENCY_KEY_INVALID, &IDEMPOTENCY_KEY, detail)
        })?;
        Ok(Attempt(Some(Keyed { key: key.into(), method: method.clone(), uri: uri.clone() })))
    }

    /// Whether the request has a key.
    pub fn is_keyed(&self) -> bool {
        self.0.is_some()
    }

    /// What the engine remembers the answer under; `None` without a key. `body` is the body as it came.
    pub fn identify(&self, actor: Actor, body: &[u8]) -> Option<Idempotency> {
        let Keyed { key, method, uri } = self.0.as_ref()?;
        let body = blake3::hash(body);
        let mut scope = Digest::new(b"maitred idempotency key 1");
        scope = match actor {
            Actor::System => scope.with(b"system"),
            Actor::Anonymous => scope.with(b"anonymous").with(body.as_bytes()),
            Actor::ApiKey(id) => scope.with(b"api-key").with(&id.to_be_bytes()),
            Actor::User(id) => scope.with(b"user").with(&id.to_be_bytes()),
        };
        let fingerprint = Digest::new(b"maitred idempotency fingerprint 1")
            .with(method.as_str().as_bytes())
            .with(uri.path().as_bytes())
            .with(uri.query().unwrap_or_default().as_bytes())
            .with(body.as_bytes());
        Some(Idempotency { key: scope.with(key.as_bytes()).finish(), fingerprint: fingerprint.finish() })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Attempt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Attempt::parse(&parts.headers, &parts.method, &parts.uri)
    }
}

/// The identity of item `item` of a batch that was sent under one key: a retry of the batch replays the items
/// that are done and does the rest. The fingerprint stays the whole batch's.
#[must_use]
pub fn derived(batch: Idempotency, item: u32) -> Idempotency {
    let key = Digest::new(b"maitred idempotency item 1")
        .with(&batch.key.to_be_bytes())
        .with(&item.to_be_bytes())
        .finish();
    Idempotency { key, ..batch }
}

/// BLAKE3 over parts with their lengths, so that no two lists of parts give the same bytes.
struct Digest(blake3::Hasher);

impl Digest {
    fn new(purpose: &[u8]) -> Self {
        Digest(blake3::Hasher::new()).with(purpose)
    }

    fn with(mut self, part: &[u8]) -> Self {
        self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        self
    }

    fn finish(&self) -> u128 {
        let hash = self.0.finalize();
        let (head, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
        u128::from_le_bytes(*head)
    }
}
