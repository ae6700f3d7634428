//! The lines of a salon's series and of who waits for a time: a version each. Next: [`super::salon`].

use maitred_booking::salons::intervals::Span;
use maitred_booking::salons::series::Series;
use maitred_booking::salons::waitlist::{OpenOffer, PassedOffer, WaitlistEntry, WaitlistStatus};
use maitred_web::Time;
use uuid::Uuid;

use super::salon::{AsLine, Hash, line};
use super::{Malformed, malformed};

line! {
    SeriesLine {
        id: Uuid,
        customer_id: Uuid,
        starts_at: Time,
        rrule: String,
        booking_ids: Vec<Uuid>,
        cancelled_from: Option<Time>,
        created_at: Time,
    }
}

impl AsLine for Series {
    type Line = SeriesLine;
    const TYPE: &'static str = "series";

    fn line(self) -> SeriesLine {
        SeriesLine {
            id: self.id,
            customer_id: self.customer,
            starts_at: Time(self.starts_at),
            rrule: self.rule,
            booking_ids: self.bookings,
            cancelled_from: self.cancelled_from.map(Time),
            created_at: Time(self.created_at),
        }
    }

    fn read(line: SeriesLine) -> Result<Self, Malformed> {
        Ok(Series {
            id: line.id,
            customer: line.customer_id,
            starts_at: line.starts_at.0,
            rule: line.rrule,
            bookings: line.booking_ids,
            cancelled_from: line.cancelled_from.map(|at| at.0),
            created_at: line.created_at.0,
        })
    }
}

line! {
    OfferLine {
        booking_id: Uuid,
        expires_at: Time,
    }
}

line! {
    PassedLine {
        starts_at: Time,
        ends_at: Time,
    }
}

line! {
    WaitlistLine {
        id: Uuid,
        customer_id: Uuid,
        service_ids: Vec<Uuid>,
        employee_id: Option<Uuid>,
        from: Time,
        to: Time,
        status: String,
        offer: Option<OfferLine>,
        passed: Vec<PassedLine>,
        token_hash: Option<Hash>,
        created_at: Time,
    }
}

impl AsLine for WaitlistEntry {
    type Line = WaitlistLine;
    const TYPE: &'static str = "waitlist_entry";

    fn line(self) -> WaitlistLine {
        let offer =
            |offer: OpenOffer| OfferLine { booking_id: offer.booking, expires_at: Time(offer.expires_at) };
        let passed = |passed: PassedOffer| {
            let Span { starts_at, ends_at } = passed.span();
            PassedLine { starts_at: Time(starts_at), ends_at: Time(ends_at) }
        };
        WaitlistLine {
            id: self.id,
            customer_id: self.customer,
            service_ids: self.services,
            employee_id: self.employee,
            from: Time(self.from),
            to: Time(self.to),
            status: self.status.as_str().to_owned(),
            offer: self.offer.map(offer),
            passed: self.passed.into_iter().map(passed).collect(),
            token_hash: self.token_hash.map(Hash),
            created_at: Time(self.created_at),
        }
    }

    fn read(line: WaitlistLine) -> Result<Self, Malformed> {
        let status = WaitlistStatus::ALL.into_iter().find(|status| status.as_str() == line.status);
        let no_status = || malformed("line-invalid", format!("nobody who waits is \"{}\"", line.status));
        let offer =
            |offer: OfferLine| OpenOffer { booking: offer.booking_id, expires_at: offer.expires_at.0 };
        let passed = |passed: PassedLine| PassedOffer::new(Span::new(passed.starts_at.0, passed.ends_at.0));
        Ok(WaitlistEntry {
            id: line.id,
            number: 0,
            customer: line.customer_id,
            services: line.service_ids,
            employee: line.employee_id,
            from: line.from.0,
            to: line.to.0,
            status: status.ok_or_else(no_status)?,
            offer: line.offer.map(offer),
            passed: line.passed.into_iter().map(passed).collect(),
            token_hash: line.token_hash.map(|hash| hash.0),
            created_at: line.created_at.0,
        })
    }
}
