//! The customers and bookings of the salon system that is replaced, as its files and its API show them.
//!
//! A legacy booking has a date and neither a length nor an employee. Both kinds carry their tenant, under whatever
//! name that system has for it.

use jiff::Timestamp;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person.
    Customer,
    /// A booking.
    Booking,
}

impl Kind {
    /// Its name, and that of the table of a dump.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Customer => "customers",
            Kind::Booking => "bookings",
        }
    }
}

/// A record of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A person.
    Customer(Customer),
    /// A booking.
    Booking(LegacyBooking),
}

impl Record {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Record::Customer(_) => Kind::Customer,
            Record::Booking(_) => Kind::Booking,
        }
    }
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The other system's id; not empty.
    pub id: String,
    /// The other system's name of the tenant.
    pub tenant: Option<String>,
    /// Not empty.
    pub name: String,
    /// Empty where none is known.
    pub email: String,
    /// Empty where none is known.
    pub phone: String,
    /// When the other system created it.
    pub created_at: Timestamp,
    /// When the other system changed it last.
    pub updated_at: Timestamp,
}

/// A booking without length and employee.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyBooking {
    /// The other system's id; not empty.
    pub id: String,
    /// The other system's name of the tenant.
    pub tenant: Option<String>,
    /// Whose it is: an id that may be unknown.
    pub customer_id: String,
    /// What was booked.
    pub title: String,
    /// More of it; may be empty.
    pub description: String,
    /// When.
    pub date: Timestamp,
    /// How far it is.
    pub status: Status,
    /// In units of the currency, such as 45.9: a finite number, as that system has it.
    pub price: f64,
    /// An ISO 4217 code.
    pub currency: String,
    /// When the other system created it.
    pub created_at: Timestamp,
    /// When the other system changed it last.
    pub updated_at: Timestamp,
}

/// How far a legacy booking is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Asked for.
    Pending,
    /// Agreed.
    Confirmed,
    /// Called off.
    Cancelled,
    /// Done.
    Completed,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 4] = [Status::Pending, Status::Confirmed, Status::Cancelled, Status::Completed];

    /// As that system spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Confirmed => "confirmed",
            Status::Cancelled => "cancelled",
            Status::Completed => "completed",
        }
    }

    /// Reads its name, in either case.
    pub fn from_name(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(name))
    }
}
