//! Lists in pages: `limit`, an opaque `cursor`, and `{"items": […], "next_cursor": …}`.
//!
//! Invariants:
//! - A cursor is what the server gave out, for the same list: it carries a BLAKE3 MAC under a key of the data
//!   folder, over its bytes, the route, the tenant and the filters. Any other text is 400 `cursor-invalid`.
//! - A cursor is opaque by agreement, not secret: no personal data stands in one.

#![expect(unused_qualifications, reason = "utoipa's derive writes them for a generic type")]

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maitred_core::TenantNumber;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Problem;
use crate::limits::CURSOR_CHARS_MAX;
use crate::problem::{CURSOR_INVALID, Place};

/// The most items of a page.
pub const LIMIT_MAX: u16 = 1_000;
/// The items of a page whose size the client does not say.
pub const LIMIT_DEFAULT: u16 = 100;
const MAC_BYTES: usize = 16;

/// How many items a page may have: 1 to 1,000, 100 by default. A field `limit` of a query, with `#[serde(default)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit(u16);

impl Limit {
    /// As a number.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit(LIMIT_DEFAULT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = u64::deserialize(deserializer)?;
        match u16::try_from(limit) {
            Ok(limit @ 1..=LIMIT_MAX) => Ok(Limit(limit)),
            _ => Err(de::Error::custom(format_args!("a page has 1 to {LIMIT_MAX} items"))),
        }
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(LIMIT_MAX))
            .default(Some(LIMIT_DEFAULT.into()))
            .description(Some("How many items a page may have"))
            .into()
    }
}

impl ToSchema for Limit {
    fn name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Makes and checks cursors, with the key of a data folder: a cursor outlives a restart, but not its folder.
#[derive(Clone)]
pub struct Cursors([u8; 32]);

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursors")
    }
}

impl Cursors {
    /// With a secret key.
    pub fn new(key: &[u8; 32]) -> Self {
        Cursors(*key)
    }

    /// The cursors of one list: those of `route` (its pattern) in `tenant`.
    pub fn of(&self, route: &str, tenant: TenantNumber) -> ListCursors {
        let list = ListCursors { key: self.0, list: b"maitred cursor 3".to_vec() };
        list.with(route.as_bytes()).with(&tenant.0.to_be_bytes())
    }
}

/// The cursors of one list, whose filters are part of what it is. Nothing is hashed before there is a cursor: most lists
/// have one page.
#[derive(Clone)]
pub struct ListCursors {
    key: [u8; 32],
    /// What the list is, unambiguously.
    list: Vec<u8>,
}

impl fmt::Debug for ListCursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListCursors")
    }
}

impl ListCursors {
    /// Adds a filter's value. Each filter is added in each request, in the same order, absent ones too.
    #[must_use]
    pub fn filtered_by(self, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            None => self.with(b"none"),
            Some(value) => self.with(b"some").with(value.as_ref()),
        }
    }

    fn with(mut self, part: &[u8]) -> Self {
        self.list.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.list.extend_from_slice(part);
        self
    }

    fn mac(&self, place: &[u8]) -> [u8; MAC_BYTES] {
        let hash = blake3::keyed_hash(&self.key, &self.clone().with(place).list);
        let (mac, _) = hash.as_bytes().split_first_chunk().expect("a BLAKE3 hash has 32 bytes");
        *mac
    }

    /// The cursor of a place in the list: at most 750 bytes, such as the last key that was sent.
    ///
    /// # Panics
    /// If `place` is longer than a cursor can carry: keys are bounded far below.
    pub fn seal(&self, place: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(MAC_BYTES + place.len());
        bytes.extend_from_slice(&self.mac(place));
        bytes.extend_from_slice(place);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert!(text.len() <= CURSOR_CHARS_MAX, "a place in a list has {} bytes", place.len());
        text
    }

    /// The place that a cursor means.
    ///
    /// # Errors
    /// 400 `cursor-invalid` for a text that this list never gave out.
    pub fn open(&self, cursor: &str) -> Result<Vec<u8>, Problem> {
        self.place(cursor).ok_or_else(|| {
            let detail = "Send a cursor back as it was given, with the same path and filters.";
            Problem::new(CURSOR_INVALID, detail).with_error(Place::Parameter("cursor".into()), detail)
        })
    }

    fn place(&self, cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (mac, place) = bytes.split_first_chunk::<MAC_BYTES>()?;
        let genuine = bool::from(mac.ct_eq(&self.mac(place)));
        bytes.drain(..MAC_BYTES);
        genuine.then_some(bytes)
    }
}
