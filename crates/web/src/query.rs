//! The query of a URL, read strictly.
//!
//! Invariants:
//! - Unknown parameters are refused (types are written with `#[serde(deny_unknown_fields)]`), and so is a
//!   repeated one, unless its field is a list: `service_id=A&service_id=B` for a `Vec`.
//! - A refusal names the parameter.

use std::borrow::Cow;
use std::fmt::{self, Display};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::Problem;
use crate::limits::QUERY_PARAMETERS_MAX;
use crate::problem::QUERY_INVALID;

/// The parameters of the query as an argument of a handler.
///
/// Fields are texts, numbers, booleans, unit enums, whatever reads itself from a text ([`crate::Time`],
/// [`crate::AsOf`], [`crate::Limit`], `Uuid`), `Option`s of these, and `Vec`s of these (with `#[serde(default)]`
/// where none may be given). `#[serde(flatten)]` works with texts alone.
///
/// # Errors
/// 400 `query-invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default()).map(Query)
    }
}

/// Reads a query, which is what stands behind the `?` of a URL.
///
/// # Errors
/// 400 `query-invalid`, naming the parameter.
pub fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let parameters = Parameters { rest: group(query)?.into_iter(), next: None };
    let reader = MapAccessDeserializer::new(parameters);
    T::deserialize(reader).map_err(|Refusal { parameter, detail }| match parameter {
        Some(parameter) => Problem::query_invalid(parameter, detail),
        None => Problem::new(QUERY_INVALID, detail),
    })
}

/// Refuses any parameter, where none is read.
///
/// # Errors
/// 400 `query-invalid`, naming the first.
pub fn refuse_any(query: &str) -> Result<(), Problem> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    parse::<Nothing>(query).map(|Nothing {}| ())
}

/// The value of one parameter, whatever others there are; `None` where it is absent, repeated or malformed. For who
/// looks at a query before its handler reads it strictly.
pub fn one<T: DeserializeOwned>(query: &str, name: &str) -> Option<T> {
    if !query.contains(name) {
        return None;
    }
    let parameter = group(query).ok()?.into_iter().find(|parameter| parameter.name == name)?;
    T::deserialize(Values(parameter.values)).ok()
}

/// A parameter with all of its values, in their order.
struct Parameter<'a> {
    name: Cow<'a, str>,
    values: Vec<Cow<'a, str>>,
}

fn group(query: &str) -> Result<Vec<Parameter<'_>>, Problem> {
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for (count, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if count == QUERY_PARAMETERS_MAX {
            let detail = format!("A query may have at most {QUERY_PARAMETERS_MAX} parameters.");
            return Err(Problem::new(QUERY_INVALID, detail));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let not_utf8 = |name: &str| Problem::query_invalid(name, "the text is not UTF-8.");
        let name = decode(name).ok_or_else(|| not_utf8(name))?;
        let value = decode(value).ok_or_else(|| not_utf8(&name))?;
        match parameters.iter_mut().find(|parameter| parameter.name == name) {
            Some(parameter) => parameter.values.push(value),
            None => parameters.push(Parameter { name, values: vec![value] }),
        }
    }
    Ok(parameters)
}

/// Undoes percent-encoding, and `+` for a blank; `None` where the result is not UTF-8.
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode(text.as_bytes()).decode_utf8().ok();
    }
    let blanks = text.replace('+', " ");
    let decoded = percent_decode(blanks.as_bytes()).decode_utf8().ok()?.into_owned();
    Some(Cow::Owned(decoded))
}

/// Why a query was refused.
#[derive(Debug)]
struct Refusal {
    parameter: Option<String>,
    detail: String,
}

impl Refusal {
    fn about(parameter: &str, detail: impl Into<String>) -> Self {
        Refusal { parameter: Some(parameter.to_owned()), detail: detail.into() }
    }

    fn because(detail: &str) -> Self {
        Refusal { parameter: None, detail: detail.to_owned() }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: Display>(detail: T) -> Self {
        Refusal { parameter: None, detail: format!("{detail}.") }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = match expected {
            [] => "there are none here.".to_owned(),
            names => format!("known are {}.", names.join(", ")),
        };
        Refusal::about(field, format!("unknown; {known}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Refusal::about(field, "required.")
    }
}

/// The parameters as a map. Whatever is wrong with a value is told under its parameter's name.
struct Parameters<'a> {
    rest: std::vec::IntoIter<Parameter<'a>>,
    next: Option<Parameter<'a>>,
}

impl<'de> MapAccess<'de> for Parameters<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        self.next = self.rest.next();
        let Some(Parameter { name, .. }) = &self.next else { return Ok(None) };
        seed.deserialize(CowStrDeserializer::new(Cow::Borrowed(name))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let Parameter { name, values } = self.next.take().expect("serde asks for the key first");
        let lost_plus = values.iter().any(|value| ends_in_offset_without_sign(value));
        seed.deserialize(Values(values)).map_err(|Refusal { parameter, mut detail }| {
            if lost_plus {
                detail
                    .push_str(" The offset has no sign: in a query a `+` is a blank, so write it as `%2B`.");
            }
            Refusal { parameter: parameter.or_else(|| Some(name.into_owned())), detail }
        })
    }
}

/// Whether a text ends as an instant whose `+` was read as a blank: `2030-05-06T10:00:00 02:00`.
fn ends_in_offset_without_sign(text: &str) -> bool {
    let Some((_, offset)) = text.rsplit_once(' ') else { return false };
    matches!(offset.as_bytes(), [a, b, b':', c, d] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()))
        && text.contains('T')
}

/// What a field is read from: all values of one parameter.
struct Values<'a>(Vec<Cow<'a, str>>);

impl<'a> Values<'a> {
    /// The value, when there is one alone.
    fn one(self) -> Result<Cow<'a, str>, Refusal> {
        let Values(mut values) = self;
        match (values.pop(), values.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(Refusal::because("given more than once.")),
        }
    }
}

impl IntoDeserializer<'_, Refusal> for Values<'_> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty: $what:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let value = self.one()?.parse::<$type>();
            visitor.$visit(value.map_err(|_| Refusal::because(concat!($what, " is expected.")))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Values<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(&self.one()?)
    }

    parsed! {
        deserialize_bool visit_bool bool: "`true` or `false`"
        deserialize_i8 visit_i8 i8: "a whole number"
        deserialize_i16 visit_i16 i16: "a whole number"
        deserialize_i32 visit_i32 i32: "a whole number"
        deserialize_i64 visit_i64 i64: "a whole number"
        deserialize_u8 visit_u8 u8: "a whole number, not negative,"
        deserialize_u16 visit_u16 u16: "a whole number, not negative,"
        deserialize_u32 visit_u32 u32: "a whole number, not negative,"
        deserialize_u64 visit_u64 u64: "a whole number, not negative,"
        deserialize_f64 visit_f64 f64: "a number"
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let Values(values) = self;
        visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(|value| Values(vec![value]))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        CowStrDeserializer::<Refusal>::new(self.one()?).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}
