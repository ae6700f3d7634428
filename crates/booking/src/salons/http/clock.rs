//! Local dates and times of day in requests and answers.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::Date;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A local date: `2026-11-21`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalDate(pub Date);

/// A time of day in minutes after midnight: `09:30`, up to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(pub u16);

impl LocalDate {
    /// Reads `YYYY-MM-DD`, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        is_plain.then(|| text.parse().ok()).flatten().map(LocalDate)
    }
}

impl TimeOfDay {
    /// Reads `HH:MM`, 00:00 to 24:00.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) =
            text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
        let number =
            |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
        let (hour, minute): (u16, u16) = (number(hour)??, number(minute)??);
        let minutes = hour * 60 + minute;
        (minute < 60 && minutes <= 24 * 60).then_some(TimeOfDay(minutes))
    }
}

impl fmt::Display for LocalDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Gives a type the text form of its `parse` and `Display`.
macro_rules! as_text {
    ($type:ident, $expected:literal, $build:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text)
                            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &$expected))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new().schema_type(Type::String);
                let build: fn(ObjectBuilder) -> ObjectBuilder = $build;
                build(object).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    };
}

as_text!(LocalDate, "a date such as 2026-11-21", |object| {
    object.format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))).examples(["2026-11-21"])
});
as_text!(TimeOfDay, "a time of day from 00:00 to 24:00", |object| {
    object.pattern(Some("^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")).examples(["09:30"])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_have_one_spelling() {
        let time = |text| TimeOfDay::parse(text).map(|time| time.0);
        assert_eq!(
            ["00:00", "09:30", "23:59", "24:00"].map(time),
            [Some(0), Some(570), Some(1_439), Some(1_440)]
        );
        assert_eq!(["24:01", "9:30", "09:60", "09-30", "+9:30", "25:00", ""].map(time), [None; 7]);
        let date = |text| LocalDate::parse(text).map(|date| date.to_string());
        assert_eq!(date("2026-02-28").as_deref(), Some("2026-02-28"));
        assert_eq!(
            ["2026-02-30", "20260228", "2026-2-28", "2026-02-28T00:00", ""].map(date),
            [const { None }; 5]
        );
    }
}
