//! Values in Avro's binary encoding. `None` means that the bytes are none of the type.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::schema::{Schema, Time, Type};
use crate::fields::{Field, Fields, Value};

/// The deepest nesting of a value.
const DEPTH_MAX: usize = 32;

/// Bytes that are read from their beginning.
#[derive(Debug)]
pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bytes { bytes, at: 0 }
    }

    /// How many have been read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A whole number: zigzag, seven bits a byte, the lowest first.
    pub(super) fn long(&mut self) -> Option<i64> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            bits |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
            }
        }
        None
    }

    /// A size, and so many bytes.
    pub(super) fn sized(&mut self) -> Option<&'a [u8]> {
        let size = usize::try_from(self.long()?).ok()?;
        self.take(size)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// How many bytes have not been read.
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }
}

impl Schema {
    /// The fields of the next record. A value that is no record has none.
    pub(super) fn decode<'a>(&self, bytes: &mut Bytes<'a>) -> Option<Fields<'a>> {
        let mut fields = Fields::default();
        self.fields(self.root, bytes, &mut fields, 0)?;
        Some(fields)
    }

    fn fields<'a>(
        &self,
        ty: usize,
        bytes: &mut Bytes<'a>,
        fields: &mut Fields<'a>,
        depth: usize,
    ) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.types.get(ty)? {
            Type::Record(members) => {
                for (field, ty) in members {
                    match field {
                        Some(Field::Customer) if depth < DEPTH_MAX / 2 => {
                            let mut customer = Fields::default();
                            self.fields(*ty, bytes, &mut customer, DEPTH_MAX / 2)?;
                            fields.customer = (!customer.is_empty()).then(|| Box::new(customer));
                        }
                        Some(field) => fields.set(*field, self.value(*ty, bytes, depth + 1)?),
                        None => drop(self.value(*ty, bytes, depth + 1)?),
                    }
                }
            }
            Type::Union(branches) => {
                let branch = usize::try_from(bytes.long()?).ok()?;
                self.fields(*branches.get(branch)?, bytes, fields, depth + 1)?;
            }
            _ => drop(self.value(ty, bytes, depth)?),
        }
        Some(())
    }

    fn value<'a>(&self, ty: usize, bytes: &mut Bytes<'a>, depth: usize) -> Option<Value<'a>> {
        if depth > DEPTH_MAX {
            return None;
        }
        Some(match self.types.get(ty)? {
            Type::Null => Value::Null,
            Type::Boolean => {
                bytes.take(1)?;
                Value::Other("true or false")
            }
            Type::Integer(time) => integer(bytes.long()?, *time)?,
            Type::Float => Value::Number(float(f32::from_le_bytes(bytes.array()?))),
            Type::Double => Value::Number(f64::from_le_bytes(bytes.array()?)),
            Type::Text => Value::Text(Cow::Borrowed(std::str::from_utf8(bytes.sized()?).ok()?)),
            Type::Fixed(size) => {
                bytes.take(*size)?;
                Value::Other("raw bytes")
            }
            Type::Decimal { scale, fixed } => {
                let digits = match fixed {
                    Some(size) => bytes.take(*size)?,
                    None => bytes.sized()?,
                };
                Value::Number(decimal(digits, *scale)?)
            }
            Type::Enum(symbols) => {
                let symbol = symbols.get(usize::try_from(bytes.long()?).ok()?)?;
                Value::Text(Cow::Owned(symbol.clone()))
            }
            Type::Array(item) => {
                self.blocks(bytes, |bytes| self.value(*item, bytes, depth + 1).map(drop))?;
                Value::Other("a list")
            }
            Type::Map(value) => {
                self.blocks(bytes, |bytes| {
                    bytes.sized()?;
                    self.value(*value, bytes, depth + 1).map(drop)
                })?;
                Value::Other("an object")
            }
            Type::Union(branches) => {
                let branch = usize::try_from(bytes.long()?).ok()?;
                self.value(*branches.get(branch)?, bytes, depth + 1)?
            }
            Type::Record(members) => {
                for (_, ty) in members {
                    self.value(*ty, bytes, depth + 1)?;
                }
                Value::Other("an object")
            }
        })
    }

    /// Passes over the items of an array or a map.
    fn blocks<'a>(
        &self,
        bytes: &mut Bytes<'a>,
        mut item: impl FnMut(&mut Bytes<'a>) -> Option<()>,
    ) -> Option<()> {
        loop {
            let count = bytes.long()?;
            if count == 0 {
                return Some(());
            }
            if count < 0 {
                // The size of the block follows, so that it can be left out as a whole.
                bytes.sized()?;
                continue;
            }
            // An item has at least a byte; else a few bytes could ask for work without end.
            if usize::try_from(count).ok()? > bytes.left() {
                return None;
            }
            for _ in 0..count {
                item(bytes)?;
            }
        }
    }
}

fn integer<'a>(number: i64, time: Time) -> Option<Value<'a>> {
    let at = match time {
        Time::None => return Some(Value::Integer(number)),
        Time::Days => {
            Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(number.checked_mul(86_400)?)).ok()
        }
        Time::Millis => Timestamp::from_millisecond(number).ok(),
        Time::Micros => Timestamp::from_microsecond(number).ok(),
    };
    // What lies outside of the calendar is a wrong value of a record that is whole.
    Some(at.map_or(Value::Other("an instant out of range"), Value::Instant))
}

/// The double that is written like this float: 29.99 and not 29.989999771118164.
fn float(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// Big-endian two's complement, divided by a power of ten.
fn decimal(digits: &[u8], scale: u32) -> Option<f64> {
    if digits.len() > size_of::<i128>() {
        return None;
    }
    let negative = digits.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1_i128 } else { 0 };
    let number = digits.iter().fold(start, |number, byte| number << 8 | i128::from(*byte));
    Some(number as f64 / 10_f64.powi(scale.cast_signed()))
}
