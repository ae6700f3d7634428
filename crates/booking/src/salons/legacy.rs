//! Bookings of the replaced salon system: a date, and neither a length nor an employee.
//!
//! Invariants:
//! - They are kept and shown, and claim no time.
//! - Their ids and those of their customers are texts of that system, which need not be known here.
//! - They are read by date from one stretch of the index `LegacyByDate`, whose values are whole bookings: a list of a
//!   week looks nothing else up.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::micros;
use crate::money::Currency;

/// A legacy booking, as facts and records keep it; `Text` is `&str` where it is only read, and `&[u8]` where it is only
/// copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyBooking<Text = String> {
    /// The record's id; it follows from `external_id` where there is one ([`super::view::id_of_text`]).
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The other system's id, if it is not `id` itself.
    pub external_id: Option<Text>,
    /// The customer's id there; there may be no such customer.
    pub customer_id: Text,
    /// What was booked.
    pub title: Text,
    /// More of it.
    pub description: Text,
    /// When.
    #[serde(with = "micros")]
    pub date: Timestamp,
    /// How far it is.
    pub status: LegacyStatus,
    /// What it costs.
    pub price: Decimal,
    /// Of what.
    pub currency: Currency,
    /// When the other system created it.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
    /// When the other system changed it last.
    #[serde(with = "micros")]
    pub changed_at: Timestamp,
}

/// How far a legacy booking is. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LegacyStatus {
    /// Asked for.
    Pending,
    /// Agreed.
    Confirmed,
    /// Called off.
    Cancelled,
    /// Done.
    Completed,
}

impl LegacyStatus {
    /// Every status, in the order in which the replaced system names them.
    pub const ALL: [LegacyStatus; 4] =
        [LegacyStatus::Pending, LegacyStatus::Confirmed, LegacyStatus::Cancelled, LegacyStatus::Completed];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            LegacyStatus::Pending => "pending",
            LegacyStatus::Confirmed => "confirmed",
            LegacyStatus::Cancelled => "cancelled",
            LegacyStatus::Completed => "completed",
        }
    }

    /// The status of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        LegacyStatus::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// An amount in major units as the replaced system has it: a finite number, kept to the bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decimal(u64);

impl Decimal {
    /// The number; `None` if it is not finite.
    pub fn new(number: f64) -> Option<Self> {
        // Zero has two signs, and means one amount.
        number.is_finite().then(|| Decimal((number + 0.0).to_bits()))
    }

    /// So many hundredths.
    pub fn from_cents(cents: i64) -> Self {
        Decimal((cents as f64 / 100.0).to_bits())
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl<Text: AsRef<str>> LegacyBooking<Text> {
    /// The id that the other system knows it by.
    pub fn write_id(&self, out: &mut String) {
        match &self.external_id {
            Some(text) => out.push_str(text.as_ref()),
            None => out.push_str(self.id.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
        }
    }
}
