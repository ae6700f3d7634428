//! Writing a tenant's lines, a piece at a time, from whichever view is the newest.

use std::ops::ControlFlow;

use maitred_booking::appointments;
use maitred_booking::record::{self, Kind};
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
            match change.record.kind {
                Kind::Appointment => {
                    let appointment = appointments::from_version(view, tenant, &change.version);
                    line::write_appointment(out, &appointment);
                    lines += 1;
                }
                // These are the system tenant's, which is not exported.
                Kind::Tenant | Kind::ApiKey | Kind::User => {}
                // An export is a tenant's appointments.
                Kind::Product | Kind::Sale | Kind::Order => {}
            }
            after = change.version.change;
            ControlFlow::Continue(())
        });
        (self.after, self.lines) = (after, lines);
        more
    }
}
