//! The body of `POST /api/appointments`.
//!
//! Read as Sesami reads it, in its order: the content type, the JSON, `orgId`, the four times, their order, and
//! last the id, on which Sesami failed in its database. Unknown members are ignored, and of a repeated one the last
//! counts. Where Sesami failed with a 500, the answer is a 400 of the same shape.

use std::borrow::Cow;
use std::fmt;

use maitred_core::Timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::ToSchema;

use super::answer::{Answer, BODY_EMPTY, INVALID_DATE_FORMAT, INVALID_METADATA, INVALID_TIME_RANGE};
use super::org::ORG_DEFAULT;
use crate::drop_in::time;

/// The longest `id`, in characters.
pub(crate) const ID_CHARS_MAX: usize = 255;
/// The longest `orgId`, in characters.
pub(crate) const ORG_CHARS_MAX: usize = 128;

/// An appointment to be created or moved. Times are ISO 8601, `YYYY-MM-DD[ HH:mm[:ss]]` or `YYYY`; without a zone
/// they are in UTC.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = SesamiUpsert, rename_all = "camelCase")]
pub(crate) struct Upsert {
    /// The organisation, trimmed: 1 to 128 characters. Missing or blank, it is `default`.
    #[schema(rename = "orgId", required = false, default = "default")]
    pub(crate) org: String,
    /// The client's id: 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) id: String,
    /// When it starts: before `end`.
    #[schema(value_type = String, example = "2020-10-10 20:20")]
    pub(crate) start: Timestamp,
    /// When it ends.
    #[schema(value_type = String, example = "2020-10-10 20:30")]
    pub(crate) end: Timestamp,
    /// When the client made it: not after `updatedAt`.
    #[schema(value_type = String, example = "2020-09-02 14:23:12")]
    pub(crate) created_at: Timestamp,
    /// When the client changed it last. The newest wins.
    #[schema(value_type = String, example = "2020-09-28T14:23:12Z")]
    pub(crate) updated_at: Timestamp,
}

/// Reads the body of `POST /api/appointments`.
///
/// # Errors
/// The answer to send instead.
pub(crate) fn read(content_type: Option<&[u8]>, body: &[u8]) -> Result<Upsert, Answer> {
    let Some(content_type) = content_type else {
        return Err(match body {
            [] => Answer::bad_request("A body is required"),
            _ => Answer::unsupported("undefined"),
        });
    };
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        let read_but_useless = ["text/plain", "application/x-www-form-urlencoded"];
        return Err(if read_but_useless.iter().any(|known| essence.eq_ignore_ascii_case(known.as_bytes())) {
            INVALID_DATE_FORMAT
        } else {
            Answer::unsupported(&String::from_utf8_lossy(content_type))
        });
    }
    if body.is_empty() {
        return Err(BODY_EMPTY);
    }
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    match serde_json::from_slice(text) {
        Ok(Payload::Object(object)) => check(object),
        Ok(Payload::Null) => Err(Answer::bad_request("The body must be an object")),
        Ok(Payload::Other) => Err(INVALID_DATE_FORMAT),
        Err(error) if error.is_eof() => Err(Answer::malformed("Unexpected end of JSON input")),
        Err(error) => Err(Answer::malformed(&error.to_string())),
    }
}

fn check(object: Object<'_>) -> Result<Upsert, Answer> {
    let org = match object.org {
        Field::Absent => ORG_DEFAULT,
        Field::Text(ref text) => match time::trim(text) {
            "" => ORG_DEFAULT,
            org => org,
        },
        Field::Other => return Err(Answer::bad_request("orgId must be a string")),
    };
    let start = instant("start", &object.start)?;
    let end = instant("end", &object.end)?;
    let created_at = instant("createdAt", &object.created_at)?;
    let updated_at = instant("updatedAt", &object.updated_at)?;
    if start >= end {
        return Err(INVALID_TIME_RANGE);
    }
    if created_at > updated_at {
        return Err(INVALID_METADATA);
    }
    let Field::Text(id) = object.id else { return Err(Answer::bad_request("id must be a string")) };
    require_length("id", &id, ID_CHARS_MAX)?;
    require_length("orgId", org, ORG_CHARS_MAX)?;
    Ok(Upsert { org: org.to_owned(), id: id.into_owned(), start, end, created_at, updated_at })
}

fn instant(name: &str, field: &Field<'_>) -> Result<Timestamp, Answer> {
    match field {
        Field::Absent => Err(INVALID_DATE_FORMAT),
        Field::Text(text) => time::parse(text).ok_or(INVALID_DATE_FORMAT),
        Field::Other => Err(Answer::bad_request(&format!("{name} must be a string"))),
    }
}

/// Neither empty nor longer than `chars_max`, and without the NUL that Sesami's database cannot store.
fn require_length(name: &str, text: &str, chars_max: usize) -> Result<(), Answer> {
    // A character has at most four bytes: most texts need no counting.
    let sound = !text.is_empty() && (text.len() <= chars_max || text.chars().count() <= chars_max);
    if sound && !text.contains('\0') {
        return Ok(());
    }
    Err(Answer::bad_request(&format!("{name} must have 1 to {chars_max} characters, none of them NUL")))
}

/// A JSON text, as far as it matters here.
enum Payload<'a> {
    Object(Object<'a>),
    Null,
    Other,
}

#[derive(Default)]
struct Object<'a> {
    org: Field<'a>,
    id: Field<'a>,
    start: Field<'a>,
    end: Field<'a>,
    created_at: Field<'a>,
    updated_at: Field<'a>,
}

/// A member's value.
#[derive(Default)]
enum Field<'a> {
    /// Missing or null.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    /// A number, a truth value, an array or an object.
    Other,
}

impl<'de> Deserialize<'de> for Payload<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Payload<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut object = Object::default();
                while let Some(name) = members.next_key::<Field<'de>>()? {
                    let Field::Text(name) = name else { continue };
                    let field = match &*name {
                        "orgId" => &mut object.org,
                        "id" => &mut object.id,
                        "start" => &mut object.start,
                        "end" => &mut object.end,
                        "createdAt" => &mut object.created_at,
                        "updatedAt" => &mut object.updated_at,
                        _ => {
                            members.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = members.next_value()?;
                }
                Ok(Payload::Object(object))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Payload::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Payload::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Payload::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Payload::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Payload::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Payload::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Payload::Other)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Field<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Field::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Field::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Field::Absent)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const JSON: Option<&[u8]> = Some(b"application/json");

    fn sound() -> Value {
        json!({
            "id": "a1",
            "start": "2020-10-10 20:20",
            "end": "2020-10-10T21:00:00Z",
            "createdAt": "2020-09-02 14:23:12",
            "updatedAt": "2020-09-28T14:25:12+00:00",
            "orgId": "org-x",
        })
    }

    /// The sound body with one member replaced.
    fn with(name: &str, value: Value) -> Result<Upsert, Answer> {
        let mut body = sound();
        body[name] = value;
        read(JSON, body.to_string().as_bytes())
    }

    fn without(name: &str) -> Result<Upsert, Answer> {
        let mut body = sound();
        body.as_object_mut().expect("an object").remove(name);
        read(JSON, body.to_string().as_bytes())
    }

    /// Bad input on which Sesami failed: 400, and a body of the shape of its 500.
    fn check_400_of_500(result: &Result<Upsert, Answer>) {
        let Err(answer) = result else { panic!("accepted: {result:?}") };
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status.as_u16(), &body["statusCode"]), (400, &json!(400)), "{body}");
        assert!(body["message"].is_string() && body.as_object().is_some_and(|o| o.len() == 2), "{body}");
    }

    #[test]
    fn a_sound_body_is_read() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("an instant");
        let expected = Upsert {
            org: "org-x".into(),
            id: "a1".into(),
            start: at("2020-10-10T20:20:00Z"),
            end: at("2020-10-10T21:00:00Z"),
            created_at: at("2020-09-02T14:23:12Z"),
            updated_at: at("2020-09-28T14:25:12Z"),
        };
        let text = sound().to_string();
        for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            assert_eq!(read(Some(content_type.as_bytes()), text.as_bytes()), Ok(expected.clone()));
        }
        assert_eq!(read(JSON, format!("\u{feff}{text}").as_bytes()), Ok(expected));
    }

    #[test]
    fn an_organisation_is_trimmed_and_none_is_the_default() {
        for blank in [Value::Null, json!(""), json!("   ")] {
            assert_eq!(with("orgId", blank).map(|upsert| upsert.org), Ok("default".into()));
        }
        assert_eq!(without("orgId").map(|upsert| upsert.org), Ok("default".into()));
        assert_eq!(with("orgId", json!(" o ")).map(|upsert| upsert.org), Ok("o".into()));
        let longest = "ö".repeat(ORG_CHARS_MAX);
        assert_eq!(with("orgId", json!(longest)).map(|upsert| upsert.org), Ok(longest.clone()));
        check_400_of_500(&with("orgId", json!(longest + "o")));
        check_400_of_500(&with("orgId", json!("a\0b")));
    }

    #[test]
    fn times_that_are_missing_or_unreadable_have_one_answer() {
        for name in ["start", "end", "createdAt", "updatedAt"] {
            assert_eq!(without(name), Err(INVALID_DATE_FORMAT), "{name}");
            for value in [
                Value::Null,
                json!(""),
                json!("2020-10-10 25:61"),
                json!("2020-13-10"),
                json!("2020-10-10  20:20"),
            ] {
                assert_eq!(with(name, value.clone()), Err(INVALID_DATE_FORMAT), "{name}: {value}");
            }
        }
        assert_eq!(with("start", json!("+275759-01-01T00:00:00Z")), Err(INVALID_DATE_FORMAT));
    }

    #[test]
    fn a_range_is_not_empty_and_a_change_not_before_its_creation() {
        assert_eq!(with("start", json!("2020-10-10 21:00")), Err(INVALID_TIME_RANGE));
        assert_eq!(with("start", json!("2020-10-10 21:01")), Err(INVALID_TIME_RANGE));
        assert_eq!(with("createdAt", json!("2020-09-28 14:25:13")), Err(INVALID_METADATA));
        assert!(with("createdAt", json!("2020-09-28 14:25:12")).is_ok(), "equal is fine");
    }

    #[test]
    fn the_checks_have_an_order() {
        let body = json!({ "orgId": 5, "start": "x" });
        check_400_of_500(&read(JSON, body.to_string().as_bytes()));
        let mut body = sound();
        body["createdAt"] = json!("2021-01-01");
        body["id"] = Value::Null;
        assert_eq!(read(JSON, body.to_string().as_bytes()), Err(INVALID_METADATA));
        body["start"] = json!("2021-01-01");
        assert_eq!(read(JSON, body.to_string().as_bytes()), Err(INVALID_TIME_RANGE));
        body["updatedAt"] = json!("x");
        assert_eq!(read(JSON, body.to_string().as_bytes()), Err(INVALID_DATE_FORMAT));
    }

    #[test]
    fn what_is_no_object_has_no_times() {
        for body in ["{}", "[]", "[{\"id\":1}]", "5", "-5", "1.5", "\"text\"", "true"] {
            assert_eq!(read(JSON, body.as_bytes()), Err(INVALID_DATE_FORMAT), "{body}");
        }
        for content_type in ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"] {
            assert_eq!(read(Some(content_type.as_bytes()), b"id=a1"), Err(INVALID_DATE_FORMAT));
        }
    }

    #[test]
    fn a_body_that_is_not_there_or_not_json_is_refused() {
        check_400_of_500(&read(None, b""));
        check_400_of_500(&read(JSON, b"null"));
        assert_eq!(read(JSON, b""), Err(BODY_EMPTY));
        for body in ["{\"id\":", " ", "{\"id\":\"a"] {
            assert_eq!(read(JSON, body.as_bytes()), Err(Answer::malformed("Unexpected end of JSON input")));
        }
        for body in [&b"{id:1}"[..], b"{} {}", b"{\"id\":\"\xff\"}"] {
            let answer = read(JSON, body).expect_err("malformed");
            let body: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!((answer.status.as_u16(), &body["error"]), (400, &json!("Bad Request")));
        }
    }

    #[test]
    fn other_content_types_are_unsupported() {
        let xml = read(Some(b"application/xml"), b"<a/>");
        assert_eq!(xml, Err(Answer::unsupported("application/xml")));
        assert_eq!(read(None, b"{}").map_err(|answer| answer.status.as_u16()), Err(415));
    }

    #[test]
    fn an_id_is_a_text_of_1_to_255_characters_without_nul() {
        for id in [Value::Null, json!(1), json!({ "a": [1] }), json!(["a"]), json!(true), json!("")] {
            check_400_of_500(&with("id", id));
        }
        check_400_of_500(&without("id"));
        check_400_of_500(&with("id", json!("a\0")));
        let longest = "é".repeat(ID_CHARS_MAX);
        assert_eq!(with("id", json!(longest)).map(|upsert| upsert.id), Ok(longest.clone()));
        check_400_of_500(&with("id", json!(longest + "e")));
        assert_eq!(with("id", json!(" ")).map(|upsert| upsert.id), Ok(" ".into()), "an id is not trimmed");
    }

    #[test]
    fn times_and_organisations_of_another_type_are_refused() {
        check_400_of_500(&with("orgId", json!(5)));
        for name in ["start", "end", "createdAt", "updatedAt"] {
            check_400_of_500(&with(name, json!(1_602_361_200_000_u64)));
            check_400_of_500(&with(name, json!({})));
        }
    }

    #[test]
    fn unknown_members_are_ignored_and_the_last_of_two_counts() {
        assert!(with("payload", json!({ "deep": [[{}, 1.5, null]] })).is_ok());
        let text = sound().to_string().replace("\"id\":\"a1\"", "\"id\":7,\"\\u0069d\":\"a2\"");
        assert_eq!(read(JSON, text.as_bytes()).map(|upsert| upsert.id), Ok("a2".into()));
    }
}
