//! `?as_of=`: the past that a read asks for.

use std::borrow::Cow;
use std::fmt;

use maitred_core::{Position, Timestamp};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A point in the past, as the value of the query parameter `as_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// As the system knew it at this instant, everything of the named millisecond included.
    Instant(Timestamp),
    /// As the system knew it when this batch was in.
    Position(Position),
}

impl AsOf {
    /// Reads an RFC 3339 instant or a position. An instant becomes the last microsecond of its millisecond, since
    /// it includes every batch whose timestamp, cut to milliseconds, is at or before it.
    pub fn parse(text: &str) -> Option<Self> {
        // A position has digits and a point alone; an instant has a `-` in fifth place.
        if let Ok(position) = text.parse() {
            return Some(AsOf::Position(position));
        }
        let instant = Timestamp::parse_rfc3339(text).ok()?;
        Some(AsOf::Instant(instant.end_of_millisecond()))
    }
}

impl<'de> Deserialize<'de> for AsOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InstantOrPosition;
        impl Visitor<'_> for InstantOrPosition {
            type Value = AsOf;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 instant (a + in a query is written %2B) or a position such as 0.42")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AsOf, E> {
                AsOf::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(InstantOrPosition)
    }
}

impl PartialSchema for AsOf {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("An RFC 3339 instant, or a position as `Maitred-Position` gives it"))
            .examples(["2026-11-21T09:30:00.000Z", "0.42"])
            .into()
    }
}

impl ToSchema for AsOf {
    fn name() -> Cow<'static, str> {
        "AsOf".into()
    }
}
