//! What becomes of a record of the other system: the command that notes it, or what is newer of it.

use maitred_booking::money::Currency;
use maitred_booking::salons::{Command, Decimal, LegacyStatus, PutCustomer, PutLegacyBooking};
use maitred_connectors::salon::{Customer, LegacyBooking, Record, Status};
use maitred_core::Timestamp;

/// The command of a record and how many bytes it is worth in a queue.
///
/// # Errors
/// A stable code and a sentence, where the record is one that no command can express. Lengths are the rules' business.
pub(super) fn of(record: Record) -> Result<(Command, usize), (&'static str, String)> {
    match record {
        Record::Customer(customer) => Ok(of_customer(customer)),
        Record::Booking(booking) => of_booking(booking),
    }
}

fn of_customer(from: Customer) -> (Command, usize) {
    let Customer { id, tenant: _, name, email, phone, created_at, updated_at } = from;
    let bytes = id.len() + name.len() + email.len() + phone.len();
    let command = PutCustomer {
        external_id: id,
        name,
        email: Some(email).filter(|email| !email.is_empty()),
        phone: Some(phone).filter(|phone| !phone.is_empty()),
        created_at: instant(created_at),
        changed_at: instant(updated_at),
    };
    (Command::PutCustomer(command), bytes)
}

fn of_booking(from: LegacyBooking) -> Result<(Command, usize), (&'static str, String)> {
    let bytes = from.id.len() + from.customer_id.len() + from.title.len() + from.description.len();
    let currency = Currency::parse(&from.currency)
        .ok_or_else(|| ("invalid-currency", format!("{} is no code such as EUR", from.currency)))?;
    let price = Decimal::new(from.price)
        .ok_or_else(|| ("invalid-price", format!("{} is no amount of money", from.price)))?;
    let command = PutLegacyBooking {
        external_id: Some(from.id),
        customer_id: from.customer_id,
        title: from.title,
        description: from.description,
        date: instant(from.date),
        status: match from.status {
            Status::Pending => LegacyStatus::Pending,
            Status::Confirmed => LegacyStatus::Confirmed,
            Status::Cancelled => LegacyStatus::Cancelled,
            Status::Completed => LegacyStatus::Completed,
        },
        price,
        currency,
        created_at: instant(from.created_at),
        changed_at: instant(from.updated_at),
    };
    Ok((Command::PutLegacyBooking(command), bytes))
}

fn instant(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_microsecond())
}
