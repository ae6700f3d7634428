//! What is to be done at a certain instant, of all tenants and domains: the earliest is found by one look.
//!
//! Table: `Timer/due/kind/tenant/id` → nothing.
//!
//! Invariants:
//! - A timer does no more than say that a command is due. Rules and reads treat what is due as done already, so
//!   that nothing depends on when, or whether, a timer is served.
//! - The command that a timer leads to removes the timer, and is harmless when it comes again.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, Table, TenantNumber, Timestamp, Write};
use uuid::Uuid;

use crate::{Command, flash_sales, jobs, salons, webhooks};

/// What is due. Part of the keys: a number is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TimerKind {
    /// The hold of an order that was not paid is over.
    OrderHold = 1,
    /// A sale's window is over: what is left goes back to its product.
    SaleEnd = 2,
    /// The hold of a booking that was not confirmed is over.
    BookingHold = 20,
    /// The time that somebody waits for is over.
    WaitlistEnd = 21,
    /// The lease of a job runs out, or a job that has ended leaves the lists.
    Job = 30,
    /// A schedule queues a job.
    Schedule = 31,
    /// The secret before a webhook's last rotation signs no more.
    WebhookSecretEnd = 25,
}

/// When something is due that is not to be done yet: never.
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// When.
    pub due: Timestamp,
    /// What.
    pub kind: TimerKind,
    /// In which tenant.
    pub tenant: TenantNumber,
    /// About which record.
    pub id: Uuid,
}

impl Timer {
    fn key(&self) -> Key {
        let Timer { due, kind, tenant, id } = self;
        Key::new(Table::Timer).time(*due).u8(*kind as u8).u32(tenant.0).u128(id.as_u128())
    }

    fn read(key: &[u8]) -> Self {
        let mut parts = Parts(&key[1..]);
        let due = parts.time();
        let kind = match parts.u8() {
            1 => TimerKind::OrderHold,
            2 => TimerKind::SaleEnd,
            20 => TimerKind::BookingHold,
            21 => TimerKind::WaitlistEnd,
            30 => TimerKind::Job,
            31 => TimerKind::Schedule,
            25 => TimerKind::WebhookSecretEnd,
            kind => panic!("a view of this build holds no timers of kind {kind}"),
        };
        Timer { due, kind, tenant: TenantNumber(parts.u32()), id: Uuid::from_u128(parts.u128()) }
    }

    /// The command it leads to.
    fn command(&self) -> Command {
        match self.kind {
            TimerKind::OrderHold => flash_sales::Command::ExpireOrder { order: self.id }.into(),
            TimerKind::SaleEnd => flash_sales::Command::SettleSale { sale: self.id }.into(),
            TimerKind::BookingHold => salons::Command::ExpireBooking { booking: self.id }.into(),
            TimerKind::WaitlistEnd => salons::Command::ExpireWaitlistEntry { entry: self.id }.into(),
            TimerKind::Job => jobs::Command::Attend { job: self.id }.into(),
            TimerKind::Schedule => jobs::Command::Fire { schedule: self.id }.into(),
            TimerKind::WebhookSecretEnd => webhooks::Command::DropPrevious { endpoint: self.id }.into(),
        }
    }
}

/// Sets a timer.
pub fn put(view: &mut dyn Write, timer: &Timer) {
    view.put(&timer.key(), &[]);
}

/// Puts a timer that is there off until it is removed: what it is about is still being taken over, and ends by a version
/// that is to come.
pub fn put_off(view: &mut dyn Write, timer: &Timer) {
    view.delete(&timer.key());
    view.put(&Timer { due: NEVER, ..*timer }.key(), &[]);
}

/// Takes a timer away, if it is there, put off or not.
pub fn remove(view: &mut dyn Write, timer: &Timer) {
    view.delete(&timer.key());
    let never = Timer { due: NEVER, ..*timer }.key();
    if view.get(&never).is_some() {
        view.delete(&never);
    }
}

/// The commands that are due, the longest due first, at most `limit`: to be submitted as the actor `system`.
pub fn due(view: &dyn Read, now: Timestamp, limit: usize) -> Vec<(TenantNumber, Command)> {
    let table = Key::new(Table::Timer);
    let behind = Timestamp::from_micros(now.as_micros().saturating_add(1));
    let mut found = Vec::new();
    view.scan(&table, &table.time(behind), &mut |key, _| {
        if found.len() == limit {
            return ControlFlow::Break(());
        }
        let timer = Timer::read(key);
        found.push((timer.tenant, timer.command()));
        ControlFlow::Continue(())
    });
    found
}

/// When the next command is due.
pub fn next_due(view: &dyn Read) -> Option<Timestamp> {
    let table = Key::new(Table::Timer);
    view.first(&table, &table.end()).map(|(key, _)| Timer::read(key).due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryView;

    #[test]
    fn the_earliest_of_all_tenants_is_first_and_nothing_is_early() {
        let mut view = MemoryView::default();
        let timer = |millis, tenant| Timer {
            due: Timestamp::from_millis(millis),
            kind: TimerKind::OrderHold,
            tenant: TenantNumber(tenant),
            id: Uuid::from_u128(7),
        };
        assert_eq!(next_due(&view), None);
        for timer in [timer(30, 1), timer(10, 2), timer(20, 1)] {
            put(&mut view, &timer);
        }
        assert_eq!(next_due(&view), Some(Timestamp::from_millis(10)));
        let tenants = |now, limit| {
            let due = due(&view, Timestamp::from_millis(now), limit);
            due.iter().map(|(tenant, _)| tenant.0).collect::<Vec<_>>()
        };
        assert_eq!(tenants(9, 9), [0; 0]);
        assert_eq!(tenants(10, 9), [2]);
        assert_eq!(tenants(30, 9), [2, 1, 1]);
        assert_eq!(tenants(30, 2), [2, 1]);
        remove(&mut view, &timer(10, 2));
        assert_eq!(next_due(&view), Some(Timestamp::from_millis(20)));
        for millis in [20, 30] {
            put_off(&mut view, &timer(millis, 1));
        }
        assert_eq!(due(&view, Timestamp::from_millis(1 << 40), 9), [], "what is put off is never due");
        assert_eq!(next_due(&view), Some(NEVER));
        remove(&mut view, &timer(30, 1));
        assert_eq!(view, MemoryView::default(), "and goes as any other");
    }
}
