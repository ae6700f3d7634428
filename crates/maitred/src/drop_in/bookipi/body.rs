//! Bodies, and how their fields are found wrong.
//!
//! A body is JSON or a form, by its content type; any other has no fields. Values are judged by their text, as that
//! service's validator did: a number is its digits, what is missing is empty.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::StatusCode;
use bytes::Bytes;
use maitred_web::limits::BodyBytesMax;
use maitred_web::{json, query};
use serde_json::{Map, Value};

use super::answer::{Answer, Invalid};

/// The largest body, in bytes. Over it 413.
const BODY_BYTES_MAX: usize = 100 << 10;
/// The most fields of a form.
const FORM_FIELDS_MAX: usize = 1_000;
/// Whole numbers below this are exact in a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The fields of a body.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fields(Map<String, Value>);

/// Reads a whole body.
///
/// # Errors
/// 413 over [`BODY_BYTES_MAX`].
pub(super) async fn read(mut request: Request) -> Result<Bytes, Answer> {
    // Neither more nor less by configuration: it is that service's own bound.
    request.extensions_mut().insert(BodyBytesMax(BODY_BYTES_MAX));
    Ok(json::read(request, BODY_BYTES_MAX).await?)
}

impl Fields {
    /// The fields of a body.
    ///
    /// # Errors
    /// 400 for a text that is declared as JSON and is none.
    pub(super) fn parse(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, Answer> {
        let content_type = content_type.unwrap_or_default();
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/json") {
            return Self::parse_json(body);
        }
        if essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            return Ok(Self::parse_form(body));
        }
        Ok(Fields::default())
    }

    fn parse_json(body: &[u8]) -> Result<Self, Answer> {
        if body.is_empty() {
            return Ok(Fields::default());
        }
        let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let malformed = |message: &str| Answer::error(StatusCode::BAD_REQUEST, message);
        match serde_json::from_slice(text) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            Ok(Value::Array(_)) => Ok(Fields::default()),
            Ok(_) => Err(malformed("Unexpected token: the body must be an object or an array")),
            Err(error) if error.is_eof() => Err(malformed("Unexpected end of JSON input")),
            Err(error) => Err(malformed(&error.to_string())),
        }
    }

    /// Of a field that is there twice, the values are a list.
    fn parse_form(body: &[u8]) -> Self {
        let mut fields = Map::new();
        let text = String::from_utf8_lossy(body);
        for pair in text.split('&').filter(|pair| !pair.is_empty()).take(FORM_FIELDS_MAX) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| query::decode(text).map_or_else(|| text.to_owned(), Cow::into_owned);
            let value = Value::String(decode(value));
            match fields.entry(decode(name)).or_insert(Value::Null) {
                there @ Value::Null => *there = value,
                Value::Array(values) => values.push(value),
                there => *there = Value::Array(vec![there.take(), value]),
            }
        }
        Fields(fields)
    }

    /// What was sent as `name`; nothing where it is missing.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The text that was sent as `name`, if it was a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The entry of a rule that the field `name` does not keep.
    pub(super) fn invalid(&self, name: &'static str) -> Invalid {
        Invalid::new(name, self.get(name))
    }

    /// Whether each value of the field keeps a rule about its text.
    pub(super) fn keeps(&self, name: &str, rule: impl Fn(&str) -> bool) -> bool {
        match self.get(name) {
            Some(Value::Array(values)) => values.iter().all(|value| rule(&spelt(Some(value)))),
            value => rule(&spelt(value)),
        }
    }
}

/// A value as the text that the validator sees. A number that is whole has no decimals, however it was written.
pub(super) fn spelt(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Array(values)) => spelt(values.first()),
        Some(Value::Object(_)) => Cow::Borrowed("[object Object]"),
        Some(Value::Number(number)) => Cow::Owned(match number.as_f64() {
            Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() < EXACT_MAX => {
                format!("{whole:.0}")
            }
            _ => number.to_string(),
        }),
        Some(Value::Bool(is)) => Cow::Borrowed(if *is { "true" } else { "false" }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JSON: Option<&[u8]> = Some(b"application/json");
    const FORM: Option<&[u8]> = Some(b"application/x-www-form-urlencoded; charset=UTF-8");

    fn parsed(content_type: Option<&[u8]>, body: &str) -> Value {
        Value::Object(Fields::parse(content_type, body.as_bytes()).expect("fields").0)
    }

    #[test]
    fn json_and_forms_have_fields_and_nothing_else_has() {
        assert_eq!(parsed(JSON, "{\"a\": 1}"), json!({"a": 1}));
        assert_eq!(parsed(Some(b"Application/JSON; charset=utf-8"), "\u{feff}{\"a\":1}"), json!({"a": 1}));
        assert_eq!(
            parsed(FORM, "a=b+c&d=%C3%A4&e&f=%zz"),
            json!({"a": "b c", "d": "ä", "e": "", "f": "%zz"})
        );
        assert_eq!(parsed(FORM, "a=1&a=2&a=3&&"), json!({"a": ["1", "2", "3"]}));
        for (content_type, body) in
            [(JSON, ""), (JSON, "[1]"), (None, "{\"a\":1}"), (Some(b"text/plain"), "a=1")]
        {
            assert_eq!(parsed(content_type, body), json!({}), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let refused = |body: &str| Fields::parse(JSON, body.as_bytes());
        let end = Answer::error(StatusCode::BAD_REQUEST, "Unexpected end of JSON input");
        assert_eq!(refused("{\"a\":"), Err(end));
        assert!(["{a:1}", "5", "\"text\"", "null", "{} {}"].iter().all(|body| refused(body).is_err()));
    }

    #[test]
    fn a_rule_is_about_the_text_of_a_value() {
        let fields = Fields::parse(JSON, br#"{"n": 123456, "l": ["abc", ""], "o": {}, "e": [], "z": null}"#);
        let fields = fields.expect("fields");
        let spelt_as = |name: &str, text: &str| fields.keeps(name, |value| value == text);
        assert!(spelt_as("n", "123456") && spelt_as("o", "[object Object]"));
        let numbers = Fields::parse(JSON, br#"{"a": 5.0, "b": 5e2, "c": 5.5, "d": 1e300, "t": true}"#);
        let numbers = numbers.expect("fields");
        for (name, text) in [("a", "5"), ("b", "500"), ("c", "5.5"), ("d", "1e+300"), ("t", "true")] {
            assert!(numbers.keeps(name, |value| value == text), "{name}");
        }
        assert!(spelt_as("z", "") && spelt_as("missing", ""));
        assert!(!spelt_as("l", "abc") && spelt_as("e", "anything"));
        assert_eq!((fields.text("n"), fields.text("missing")), (None, None));
    }
}
