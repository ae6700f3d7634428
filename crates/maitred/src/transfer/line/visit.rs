//! The lines of a salon's bookings and of those of the replaced system: a version each. Next: [`super::salon`].

use maitred_booking::money::{Currency, MoneyBody};
use maitred_booking::salons::booking::{BookedItem, BookingStatus, Place};
use maitred_booking::salons::{Booking, Decimal, LegacyBooking, LegacyStatus};
use maitred_web::Time;
use uuid::Uuid;

use super::salon::{AsLine, Hash, TimeLine, line};
use super::shop::price;
use super::{Malformed, malformed};

line! {
    ItemLine {
        service_id: Uuid,
        name: String,
        time: TimeLine,
        price: MoneyBody,
        starts_at: Time,
        employee_id: Uuid,
        resource_id: Option<Uuid>,
    }
}

impl ItemLine {
    fn read(self) -> Result<BookedItem, Malformed> {
        let place = |id| Place { id, number: 0 };
        Ok(BookedItem {
            service: self.service_id,
            name: self.name,
            time: self.time.into(),
            price: price(&self.price)?,
            starts_at: self.starts_at.0,
            employee: place(self.employee_id),
            resource: self.resource_id.map(place),
        })
    }
}

impl From<BookedItem> for ItemLine {
    fn from(item: BookedItem) -> Self {
        ItemLine {
            service_id: item.service,
            name: item.name,
            time: item.time.into(),
            price: item.price.into(),
            starts_at: Time(item.starts_at),
            employee_id: item.employee.id,
            resource_id: item.resource.map(|place| place.id),
        }
    }
}

line! {
    BookingLine {
        id: Uuid,
        customer_id: Uuid,
        status: String,
        starts_at: Time,
        ends_at: Time,
        items: Vec<ItemLine>,
        hold_expires_at: Option<Time>,
        holder: Option<Hash>,
        token_hash: Option<Hash>,
        series_id: Option<Uuid>,
        waitlist_entry_id: Option<Uuid>,
        forced: bool,
        notes: Option<String>,
        created_at: Time,
    }
}

impl AsLine for Booking {
    type Line = BookingLine;
    const TYPE: &'static str = "booking";

    fn line(self) -> BookingLine {
        BookingLine {
            id: self.id,
            customer_id: self.customer,
            status: self.status.as_str().to_owned(),
            starts_at: Time(self.starts_at),
            ends_at: Time(self.ends_at),
            items: self.items.into_iter().map(Into::into).collect(),
            hold_expires_at: self.hold_expires_at.map(Time),
            holder: self.holder.map(Hash),
            token_hash: self.token_hash.map(Hash),
            series_id: self.series,
            waitlist_entry_id: self.offered_to,
            forced: self.forced,
            notes: self.notes,
            created_at: Time(self.created_at),
        }
    }

    fn read(line: BookingLine) -> Result<Self, Malformed> {
        let status = BookingStatus::ALL.into_iter().find(|status| status.as_str() == line.status);
        let no_status = || malformed("line-invalid", format!("no booking is \"{}\"", line.status));
        Ok(Booking {
            id: line.id,
            customer: line.customer_id,
            status: status.ok_or_else(no_status)?,
            starts_at: line.starts_at.0,
            ends_at: line.ends_at.0,
            items: line.items.into_iter().map(ItemLine::read).collect::<Result<_, _>>()?,
            hold_expires_at: line.hold_expires_at.map(|at| at.0),
            holder: line.holder.map(|hash| hash.0),
            token_hash: line.token_hash.map(|hash| hash.0),
            series: line.series_id,
            offered_to: line.waitlist_entry_id,
            forced: line.forced,
            notes: line.notes,
            created_at: line.created_at.0,
        })
    }
}

line! {
    LegacyBookingLine {
        id: Uuid,
        external_id: Option<String>,
        customer_id: String,
        title: String,
        description: String,
        date: Time,
        status: String,
        price: f64,
        currency: String,
        created_at: Time,
        changed_at: Time,
    }
}

impl AsLine for LegacyBooking {
    type Line = LegacyBookingLine;
    const TYPE: &'static str = "legacy_booking";

    fn line(self) -> LegacyBookingLine {
        LegacyBookingLine {
            id: self.id,
            external_id: self.external_id,
            customer_id: self.customer_id,
            title: self.title,
            description: self.description,
            date: Time(self.date),
            status: self.status.as_str().to_owned(),
            price: self.price.get(),
            currency: self.currency.as_str().to_owned(),
            created_at: Time(self.created_at),
            changed_at: Time(self.changed_at),
        }
    }

    fn read(line: LegacyBookingLine) -> Result<Self, Malformed> {
        let wrong = |what: &str| malformed("line-invalid", format!("{what} is none of a legacy booking"));
        Ok(LegacyBooking {
            id: line.id,
            external_id: line.external_id,
            customer_id: line.customer_id,
            title: line.title,
            description: line.description,
            date: line.date.0,
            status: LegacyStatus::from_name(&line.status).ok_or_else(|| wrong(&line.status))?,
            price: Decimal::new(line.price).ok_or_else(|| wrong("the price"))?,
            currency: Currency::parse(&line.currency).ok_or_else(|| wrong(&line.currency))?,
            created_at: line.created_at.0,
            changed_at: line.changed_at.0,
        })
    }
}
