//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).
//!
//! A versioned record's tag is `"v<version>"`. `If-Match` compares strongly (a weak tag never matches),
//! `If-None-Match` weakly.

use std::borrow::Cow;
use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::Problem;
use crate::limits::ENTITY_TAGS_MAX;
use crate::problem::PRECONDITION_INVALID;

/// A strong entity tag, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(Cow<'static, str>);

impl ETag {
    /// The tag of a record's version.
    pub fn version(version: u64) -> Self {
        ETag(Cow::Owned(format!("v{version}")))
    }

    /// The tag of an answer that shows a record's version and what changes without one, such as a stock: `"v7-…"`.
    /// `If-None-Match` compares all of it, `If-Match` the version alone.
    pub fn live(version: u64, hash: u64) -> Self {
        ETag(Cow::Owned(format!("v{version}-{hash:016x}")))
    }

    /// The tag of an answer that is computed, from a hash of what it rests on.
    pub fn hash(hash: u64) -> Self {
        ETag(Cow::Owned(format!("h{hash:016x}")))
    }

    /// The version, if it is the tag of one.
    pub fn to_version(&self) -> Option<u64> {
        let text = self.0.strip_prefix('v')?;
        let (digits, hash) = text.split_once('-').map_or((text, None), |(digits, hash)| (digits, Some(hash)));
        let version = digits.parse().ok()?;
        let same = match hash {
            None => ETag::version(version),
            Some(hash) => ETag::live(version, u64::from_str_radix(hash, 16).ok()?),
        };
        (same == *self).then_some(version)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl From<ETag> for HeaderValue {
    fn from(etag: ETag) -> Self {
        HeaderValue::try_from(etag.to_string()).expect("tags are made of visible ASCII")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Listed(Vec<Tag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    weak: bool,
    etag: ETag,
}

/// The preconditions of a request, as an argument of a handler.
///
/// # Errors
/// 400 `precondition-invalid`: a malformed one is not ignored, since it was meant to prevent something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `If-Match`: change it only as I know it.
    pub if_match: Option<IfMatch>,
    /// `If-None-Match`: on a read, send it only if I do not have it; on a write (`*`), only create.
    pub if_none_match: Option<IfNoneMatch>,
}

/// A read `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Tags);

/// A read `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfNoneMatch(Tags);

/// The versions at which a command may be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Any, as long as the record exists (`If-Match: *`).
    Any,
    /// One of these; none at all if empty.
    OneOf(Vec<u64>),
}

impl IfMatch {
    /// Whether the condition holds for a record with this tag, or for none.
    pub fn holds(&self, current: Option<&ETag>) -> bool {
        match &self.0 {
            Tags::Any => current.is_some(),
            Tags::Listed(tags) => tags.iter().any(|tag| !tag.weak && Some(&tag.etag) == current),
        }
    }

    /// The versions it permits, for a command: the writer compares, since only it knows the present version.
    pub fn versions(&self) -> Versions {
        match &self.0 {
            Tags::Any => Versions::Any,
            Tags::Listed(tags) => {
                let strong = tags.iter().filter(|tag| !tag.weak);
                Versions::OneOf(strong.filter_map(|tag| tag.etag.to_version()).collect())
            }
        }
    }
}

impl IfNoneMatch {
    /// Whether the condition holds for a record with this tag, or for none. Where it does not, a read answers 304
    /// and a write 412.
    pub fn holds(&self, current: Option<&ETag>) -> bool {
        match &self.0 {
            Tags::Any => current.is_none(),
            Tags::Listed(tags) => tags.iter().all(|tag| Some(&tag.etag) != current),
        }
    }
}

impl Preconditions {
    /// Reads both headers.
    ///
    /// # Errors
    /// 400 `precondition-invalid`.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Preconditions {
            if_match: tags(headers, &IF_MATCH)?.map(IfMatch),
            if_none_match: tags(headers, &IF_NONE_MATCH)?.map(IfNoneMatch),
        })
    }

    /// Whether a read can be answered with 304: the client has this version.
    pub fn is_fresh(&self, current: &ETag) -> bool {
        self.if_none_match.as_ref().is_some_and(|condition| !condition.holds(Some(current)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Preconditions::parse(&parts.headers)
    }
}

/// 304: the client has it.
pub fn not_modified(etag: ETag) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, HeaderValue::from(etag))]).into_response()
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let lines = headers.get_all(name);
    let mut tags = Vec::new();
    let mut any = 0;
    for line in &lines {
        if line.as_bytes().trim_ascii() == b"*" {
            any += 1;
        } else if read_list(line.as_bytes(), &mut tags).is_none() {
            return Err(malformed(name));
        }
    }
    match (any, tags.is_empty()) {
        (1, true) => Ok(Some(Tags::Any)),
        (0, false) => Ok(Some(Tags::Listed(tags))),
        (0, true) if lines.iter().next().is_none() => Ok(None),
        _ => Err(malformed(name)),
    }
}

fn malformed(name: &HeaderName) -> Problem {
    let detail = "A precondition is `*` or a list of entity tags, such as \"v7\".";
    Problem::header_invalid(PRECONDITION_INVALID, name, detail)
}

/// Reads `"v1", W/"v2"` behind what `tags` holds already; `None` for another form, or for too many.
fn read_list(line: &[u8], tags: &mut Vec<Tag>) -> Option<()> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut rest = line;
    loop {
        let skipped = rest.iter().take_while(|byte| is_blank(byte) || **byte == b',').count();
        rest = &rest[skipped..];
        if rest.is_empty() {
            return Some(());
        }
        let weak = rest.strip_prefix(b"W/");
        let quoted = weak.unwrap_or(rest).strip_prefix(b"\"")?;
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let text = &quoted[..end];
        if tags.len() == ENTITY_TAGS_MAX || text.iter().any(is_blank) {
            return None;
        }
        let etag = ETag(Cow::Owned(String::from_utf8_lossy(text).into_owned()));
        tags.push(Tag { weak: weak.is_some(), etag });
        rest = quoted[end + 1..].trim_ascii_start();
        if !rest.is_empty() && rest[0] != b',' {
            return None;
        }
    }
}
