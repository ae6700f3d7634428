//! JSON that is kept as the client wrote it, and fields that may be absent.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// The text of a JSON object, as it was sent. Whoever holds one may copy it into an answer unread.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonObject(Box<str>);

/// A text that is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnObject;

impl fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a JSON object is expected, nested at most 128 deep, its numbers within those of a 64-bit float",
        )
    }
}

impl std::error::Error for NotAnObject {}

impl JsonObject {
    /// Checks that `text` is one JSON object that any parser reads, and keeps it without the blanks around.
    ///
    /// # Errors
    /// [`NotAnObject`] for anything else, numbers beyond `f64` and nesting beyond 128 included.
    pub fn parse(text: &str) -> Result<Self, NotAnObject> {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).map_err(|_| NotAnObject)?;
        Ok(JsonObject(text.trim_matches([' ', '\t', '\r', '\n']).into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a field that is there: `#[serde(default, deserialize_with = "given")]`. Null is a value of `T` or is refused:
/// it never means "absent".
///
/// # Errors
/// Those of the deserializer.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_kept_as_written() {
        let object = JsonObject::parse(" \n{\"a\": [1, 2.50], \"a\": \"\\u00e4\"}\t").expect("an object");
        assert_eq!(object.as_str(), "{\"a\": [1, 2.50], \"a\": \"\\u00e4\"}");
    }

    #[test]
    fn anything_else_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for text in ["", "null", "[]", "\"{}\"", "{", "{}{}", "{} x", "{'a':1}", "{\"a\":1e999}", &deep] {
            assert_eq!(JsonObject::parse(text), Err(NotAnObject), "{text}");
        }
    }
}
