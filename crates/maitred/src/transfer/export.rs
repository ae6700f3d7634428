//! Writing a tenant's lines, a piece at a time, from whichever view is the newest.

use std::ops::ControlFlow;

use maitred_booking::accounts::{self, Account};
use maitred_booking::appointments;
use maitred_booking::flash_sales::Versioned;
use maitred_booking::record::{self, Change, Kind, RecordId, Version};
use maitred_booking::salons::plan::PlanState;
use maitred_booking::salons::series::Series;
use maitred_booking::salons::waitlist::WaitlistEntry;
use maitred_booking::salons::{Booking, Customer, Employee, LegacyBooking, Resource, Service, Settings};
use maitred_booking::tenants;
use maitred_core::{ChangeId, Read, Seq, TenantNumber};

use super::line;

/// An export under way. It holds no view: each piece is read from one that its caller has taken.
#[derive(Debug)]
pub struct Export {
    tenant: TenantNumber,
    /// The batch after which the tenant is exported as it stood.
    through: Seq,
    after: ChangeId,
    lines: u64,
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Tenant,
    Records,
    Nothing,
}

/// There was no such tenant then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such tenant, or there was none then")]
pub struct NoSuchTenant;

impl Export {
    /// An export of `tenant` as it stood after batch `through`, which `view` includes. One that was closed by then is
    /// exported as it was in the end: who may have it is the caller's question.
    ///
    /// # Errors
    /// [`NoSuchTenant`].
    pub fn new(view: &dyn Read, tenant: TenantNumber, through: Seq) -> Result<Self, NoSuchTenant> {
        tenants::profile_as_of(view, tenant, through).ok_or(NoSuchTenant)?;
        Ok(Export { tenant, through, after: ChangeId::default(), lines: 0, next: Next::Tenant })
    }

    /// The batch of the last line that was written, and the batch after which the tenant is exported.
    pub fn progress(&self) -> (Seq, Seq) {
        (self.after.seq, self.through)
    }

    /// Appends the next lines to `out`, until it has at least `bytes` more or there are none. Returns whether
    /// there may be more. Any view will do that is not older than the first.
    pub fn fill(&mut self, view: &dyn Read, out: &mut Vec<u8>, bytes: usize) -> bool {
        let full = out.len() + bytes;
        if self.next == Next::Tenant {
            let profile = tenants::profile_as_of(view, self.tenant, self.through);
            line::write_tenant(out, &profile.expect("what was there then stays"));
            self.lines += 1;
            self.next = Next::Records;
        }
        if self.next == Next::Records && !self.fill_records(view, out, full) {
            line::write_end(out, self.lines);
            self.next = Next::Nothing;
        }
        self.next != Next::Nothing
    }

    /// Appends versions; whether there may be more.
    fn fill_records(&mut self, view: &dyn Read, out: &mut Vec<u8>, full: usize) -> bool {
        let mut more = false;
        let Export { tenant, through, mut after, mut lines, .. } = *self;
        record::changes(view, tenant, after, &mut |change| {
            if change.version.change.seq > through {
                return ControlFlow::Break(());
            }
            if out.len() >= full {
                more = true;
                return ControlFlow::Break(());
            }
            lines += u64::from(write_version(view, &change, through, out));
            after = change.version.change;
            ControlFlow::Continue(())
        });
        (self.after, self.lines) = (after, lines);
        more
    }
}

/// Appends the line of a version; whether it has one.
fn write_version(view: &dyn Read, change: &Change<'_>, through: Seq, out: &mut Vec<u8>) -> bool {
    let Change { record, version, .. } = change;
    let latest = || is_latest(view, *record, version.version, through);
    match record.kind {
        Kind::Appointment => {
            line::write_appointment(out, &appointments::from_version(view, record.tenant, version));
        }
        Kind::User => return write_user(view, *record, version, through, out),
        Kind::Product => line::write_product(out, &Versioned::read(version), latest()),
        Kind::Sale => line::write_sale(out, &Versioned::read(version), latest()),
        Kind::Order => line::write_order(out, &Versioned::read(version), latest()),
        // These are the system tenant's, which is not exported.
        Kind::Tenant | Kind::ApiKey => return false,
        Kind::SalonSettings => line::write_record::<Settings>(out, Versioned::read(version), latest()),
        Kind::Employee => line::write_record::<Employee>(out, Versioned::read(version), latest()),
        Kind::Service => line::write_record::<Service>(out, Versioned::read(version), latest()),
        Kind::Resource => line::write_record::<Resource>(out, Versioned::read(version), latest()),
        Kind::Customer => line::write_record::<Customer>(out, Versioned::read(version), latest()),
        Kind::ShiftPlan => line::write_record::<PlanState>(out, Versioned::read(version), latest()),
        Kind::Booking => line::write_record::<Booking>(out, Versioned::read(version), latest()),
        Kind::LegacyBooking => line::write_record::<LegacyBooking>(out, Versioned::read(version), latest()),
        Kind::Series => line::write_record::<Series>(out, Versioned::read(version), latest()),
        Kind::WaitlistEntry => line::write_record::<WaitlistEntry>(out, Versioned::read(version), latest()),
        // What was to be done here is not to be done elsewhere.
        Kind::Job | Kind::Schedule => return false,
        // What it delivers is the other server's own, and its secret opens here alone.
        Kind::Webhook => return false,
        // Whether mail is sent, and by which server, is for the other one to say.
        Kind::MailSettings => return false,
        // A provider's secrets open here alone, and its events come with its next feed.
        Kind::Provider | Kind::Event => return false,
    }
    true
}

/// Whether a version was the newest of its record after batch `through`.
fn is_latest(view: &dyn Read, record: RecordId, version: u64, through: Seq) -> bool {
    record::as_of(view, record, Some(through)).is_some_and(|then| then.version == version)
}

/// A user's version with what is personal now: of an account that was open then and is closed now nothing is left, and
/// it is not exported.
fn write_user(
    view: &dyn Read,
    record: RecordId,
    version: &Version<'_>,
    through: Seq,
    out: &mut Vec<u8>,
) -> bool {
    let user = accounts::from_version(view, record.tenant, version);
    let person = accounts::view::person(view, record.tenant, user.account.account.id);
    let then = record::as_of(view, record, Some(through)).map(|then| then.decode::<Account>());
    if person.is_none() && then.is_none_or(|then| !then.closed) {
        return false;
    }
    // It may have been closed then, and its earlier versions have nothing personal any more.
    line::write_user(out, &user.account, person.as_ref());
    true
}
