//! The fields of a foreign record, by name, and the record that they make.
//!
//! Every format ends here, so that one rule says what a record is, whatever file it came from: names in any case and
//! with or without underscores, kinds told by what is there, instants in the spellings that the other systems use.
//! Fields that no record has are left out; whatever is there and wrong is an error, never a guess.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use crate::salon::{Customer, Kind, LegacyBooking, Record, Status};

/// The longest name of a field that can be one of ours.
const NAME_BYTES_MAX: usize = 16;

/// A field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    TenantId,
    Name,
    Email,
    Phone,
    CreatedAt,
    UpdatedAt,
    CustomerId,
    Title,
    Description,
    Date,
    Status,
    Price,
    Currency,
    /// The booking's customer as a record of its own.
    Customer,
}

const COUNT: usize = Field::Customer as usize;

impl Field {
    /// The field that a column or key of this name holds.
    pub(crate) fn of(name: &str) -> Option<Field> {
        let mut plain = [0; NAME_BYTES_MAX];
        let mut length = 0;
        for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b' ')) {
            *plain.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
        Some(match plain.get(..length)? {
            b"id" => Field::Id,
            b"tenantid" => Field::TenantId,
            b"name" => Field::Name,
            b"email" => Field::Email,
            b"phone" => Field::Phone,
            b"createdat" => Field::CreatedAt,
            b"updatedat" => Field::UpdatedAt,
            b"customerid" => Field::CustomerId,
            b"title" => Field::Title,
            b"description" => Field::Description,
            b"date" => Field::Date,
            b"status" => Field::Status,
            b"price" => Field::Price,
            b"currency" => Field::Currency,
            b"customer" => Field::Customer,
            _ => return None,
        })
    }

    /// Its name in messages.
    fn name(self) -> &'static str {
        match self {
            Field::Id => "id",
            Field::TenantId => "tenantId",
            Field::Name => "name",
            Field::Email => "email",
            Field::Phone => "phone",
            Field::CreatedAt => "createdAt",
            Field::UpdatedAt => "updatedAt",
            Field::CustomerId => "customerId",
            Field::Title => "title",
            Field::Description => "description",
            Field::Date => "date",
            Field::Status => "status",
            Field::Price => "price",
            Field::Currency => "currency",
            Field::Customer => "customer",
        }
    }
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Nothing is known.
    Null,
    Text(Cow<'a, str>),
    Integer(i64),
    Number(f64),
    /// An instant of a format that has such.
    Instant(Timestamp),
    /// Something that no field of ours is: its name.
    Other(&'static str),
}

/// The fields of one record.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    values: [Option<Value<'a>>; COUNT],
    /// The booking's customer, where the record brings it.
    pub(crate) customer: Option<Box<Fields<'a>>>,
    /// An empty list was among what is no field of ours.
    pub(crate) empty_list: bool,
}

/// Which kind fields of these names make.
pub(crate) fn kind_of(has: impl Fn(Field) -> bool) -> Option<Kind> {
    if has(Field::CustomerId) || has(Field::Title) || has(Field::Date) {
        Some(Kind::Booking)
    } else if has(Field::Name) || has(Field::Email) || has(Field::Phone) {
        Some(Kind::Customer)
    } else {
        None
    }
}

impl<'a> Fields<'a> {
    /// Keeps a value. What comes later wins.
    pub(crate) fn set(&mut self, field: Field, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(field as usize) {
            *place = Some(value);
        }
    }

    /// Whether no field of ours is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none) && self.customer.is_none()
    }

    /// The record, of `kind` or of the kind that its fields tell.
    ///
    /// # Errors
    /// A sentence: which field is missing or wrong, or that no kind can be told.
    pub(crate) fn record(&self, kind: Option<Kind>) -> Result<Record, String> {
        let kind = kind.or_else(|| kind_of(|field| self.value(field).is_some()));
        match kind {
            Some(Kind::Customer) => self.to_customer().map(Record::Customer),
            Some(Kind::Booking) => self.to_booking().map(Record::Booking),
            None => {
                Err("neither a customer (name, email, phone) nor a booking (customerId, title, date)".into())
            }
        }
    }

    fn to_customer(&self) -> Result<Customer, String> {
        let (created_at, updated_at) = self.times()?;
        Ok(Customer {
            id: self.required(Field::Id)?,
            tenant: self.text(Field::TenantId)?.filter(|tenant| !tenant.is_empty()),
            name: self.required(Field::Name)?,
            email: self.text(Field::Email)?.unwrap_or_default(),
            phone: self.text(Field::Phone)?.unwrap_or_default(),
            created_at,
            updated_at,
        })
    }

    fn to_booking(&self) -> Result<LegacyBooking, String> {
        let (created_at, updated_at) = self.times()?;
        let status = self.required(Field::Status)?;
        Ok(LegacyBooking {
            id: self.required(Field::Id)?,
            tenant: self.text(Field::TenantId)?.filter(|tenant| !tenant.is_empty()),
            customer_id: self.required(Field::CustomerId)?,
            title: self.text(Field::Title)?.ok_or_else(|| missing(Field::Title))?,
            description: self.text(Field::Description)?.unwrap_or_default(),
            date: self.instant(Field::Date)?.ok_or_else(|| missing(Field::Date))?,
            status: Status::from_name(&status).ok_or_else(|| {
                format!("status is {}, and none of pending, confirmed, cancelled, completed", quoted(&status))
            })?,
            price: self.price()?,
            currency: self.currency()?,
            created_at,
            updated_at,
        })
    }

    /// When it was created and changed; each stands for the other where one is missing.
    fn times(&self) -> Result<(Timestamp, Timestamp), String> {
        match (self.instant(Field::CreatedAt)?, self.instant(Field::UpdatedAt)?) {
            (Some(created_at), Some(updated_at)) => Ok((created_at, updated_at)),
            (Some(only), None) | (None, Some(only)) => Ok((only, only)),
            (None, None) => Err("createdAt and updatedAt are both missing".into()),
        }
    }

    fn value(&self, field: Field) -> Option<&Value<'a>> {
        self.values.get(field as usize)?.as_ref().filter(|value| **value != Value::Null)
    }

    fn text(&self, field: Field) -> Result<Option<String>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.as_ref().to_owned())),
            Some(Value::Integer(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(format!("{} is {}, and no text", field.name(), describe(other))),
        }
    }

    fn required(&self, field: Field) -> Result<String, String> {
        self.text(field)?.filter(|text| !text.is_empty()).ok_or_else(|| missing(field))
    }

    fn instant(&self, field: Field) -> Result<Option<Timestamp>, String> {
        let wrong = |value: &Value<'_>| format!("{} is {}, and no instant", field.name(), describe(value));
        match self.value(field) {
            None => Ok(None),
            // A CSV has no other way to say that there is none.
            Some(Value::Text(text)) if text.is_empty() => Ok(None),
            Some(value @ Value::Text(text)) => instant(text).ok_or_else(|| wrong(value)).map(Some),
            Some(Value::Instant(at)) => Ok(Some(*at)),
            Some(value @ Value::Integer(millis)) => {
                Timestamp::from_millisecond(*millis).map(Some).map_err(|_| wrong(value))
            }
            Some(other) => Err(wrong(other)),
        }
    }

    fn price(&self) -> Result<f64, String> {
        let wrong = |shown: String| format!("price is {shown}, and no finite number");
        match self.value(Field::Price) {
            None => Err(missing(Field::Price)),
            Some(Value::Integer(number)) => Ok(*number as f64),
            Some(Value::Number(number)) if number.is_finite() => Ok(*number),
            Some(Value::Text(text)) => {
                let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
                number.ok_or_else(|| wrong(quoted(text)))
            }
            Some(other) => Err(wrong(describe(other))),
        }
    }

    fn currency(&self) -> Result<String, String> {
        let Some(code) = self.text(Field::Currency)? else { return Err(missing(Field::Currency)) };
        if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(code)
        } else {
            Err(format!("currency is {}, and no code such as EUR", quoted(&code)))
        }
    }
}

fn missing(field: Field) -> String {
    format!("{} is missing", field.name())
}

fn describe(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Instant(at) => at.to_string(),
        Value::Other(what) => (*what).into(),
    }
}

/// A foreign text in a message: its beginning, without line breaks.
fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let more = if text.chars().nth(CHARS_MAX).is_some() { "…" } else { "" };
    let beginning: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{beginning}{more}\"")
}

/// Reads an instant: RFC 3339; without an offset UTC is meant; a date alone is its midnight.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local = match text.parse::<civil::DateTime>() {
        Ok(local) => local,
        Err(_) => text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0),
    };
    local.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn booking() -> Fields<'static> {
        let mut fields = Fields::default();
        for (name, value) in [
            ("id", "b1"),
            ("customer_id", "c1"),
            ("Title", "Cut"),
            ("DATE", "2024-02-29T09:30:00.000Z"),
            ("status", "Confirmed"),
            ("price", "45.90"),
            ("currency", "EUR"),
            ("createdAt", "2024-02-01 08:00:00"),
        ] {
            fields.set(Field::of(name).expect("a field of ours"), text(value));
        }
        fields
    }

    fn refused(field: Field, value: Value<'static>) -> String {
        let mut fields = booking();
        fields.set(field, value);
        fields.record(None).expect_err("it is wrong")
    }

    #[test]
    fn a_booking_is_told_by_its_fields_and_each_missing_time_is_the_other() {
        let Ok(Record::Booking(booking)) = booking().record(None) else { panic!("a booking") };
        assert_eq!((booking.price, booking.status), (45.9, Status::Confirmed));
        assert_eq!(booking.date.to_string(), "2024-02-29T09:30:00Z");
        assert_eq!(booking.created_at.to_string(), "2024-02-01T08:00:00Z");
        assert_eq!(booking.updated_at, booking.created_at);
        assert_eq!((booking.tenant, booking.description), (None, String::new()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (field, value, said) in [
            (Field::Id, text(""), "id is missing"),
            (Field::CustomerId, Value::Null, "customerId is missing"),
            (Field::Date, text("garbage"), "date is \"garbage\", and no instant"),
            (Field::Date, Value::Integer(i64::MAX), "and no instant"),
            (Field::Status, text("lost"), "status is \"lost\""),
            (Field::Price, Value::Number(f64::NAN), "no finite number"),
            (Field::Price, text("inf"), "no finite number"),
            (Field::Price, text("dear"), "price is \"dear\", and no finite number"),
            (Field::Currency, text("euro"), "no code such as EUR"),
            (Field::Title, Value::Other("a list"), "title is a list"),
            (Field::CreatedAt, Value::Null, "both missing"),
        ] {
            let why = refused(field, value);
            assert!(why.contains(said), "{field:?}: {why}");
        }
        assert!(Fields::default().record(None).is_err());
    }

    #[test]
    fn instants_are_read_in_the_spellings_of_the_other_systems() {
        for (spelling, at) in [
            ("2024-03-31T01:00:00.123Z", "2024-03-31T01:00:00.123Z"),
            ("2024-03-31T03:00:00+02:00", "2024-03-31T01:00:00Z"),
            ("2024-03-31 01:00:00", "2024-03-31T01:00:00Z"),
            ("2024-03-31T01:00", "2024-03-31T01:00:00Z"),
            ("2024-03-31", "2024-03-31T00:00:00Z"),
        ] {
            assert_eq!(instant(spelling).map(|at| at.to_string()).as_deref(), Some(at), "{spelling}");
        }
        for wrong in ["", "31.03.2024", "2024-13-01", "now"] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_read_in_any_case_and_others_are_none_of_ours() {
        for name in ["customerId", "customer_id", "CUSTOMERID", "Customer Id"] {
            assert_eq!(Field::of(name), Some(Field::CustomerId), "{name}");
        }
        for name in ["", "customer id of the booking", "ids", "Größe"] {
            assert_eq!(Field::of(name), None, "{name}");
        }
    }
}
