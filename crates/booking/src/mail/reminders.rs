//! Which visits are to be reminded of: found among the bookings by their start, and queued when they are due.
//!
//! Nothing is scheduled when a visit is booked, so nothing is to be moved or taken away when it is rescheduled or
//! called off: a reminder is due when the visit that is there then is near.
//!
//! Invariants:
//! - A visit is looked at from its customer's instant on: so many hours before it begins. What is queued is decided by the
//!   rules: not twice for one time of a visit, not where that instant had passed when the visit was given its time or
//!   when reminders were switched on.
//! - What was looked at is remembered in memory alone: after a start, all visits that are near are looked at again, and
//!   those that were reminded of are known by their mails.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use maitred_core::key::Parts;
use maitred_core::{Read, TenantNumber, Timestamp};
use uuid::Uuid;

use super::command::Command;
use super::fact::MailKind;
use super::rules::later;
use super::{subject, view};
use crate::salons::bookings_view::by_start;
use crate::salons::{self, Booking, BookingStatus};

/// How often the bookings are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The most bookings of a tenant that one look goes through.
const BOOKINGS_LOOK_MAX: usize = 500;

/// How far the bookings of each tenant were looked at.
#[derive(Debug, Default)]
pub(super) struct Reminders {
    next_look: Timestamp,
    /// How many hours ahead it was, and the start and the id of the last booking.
    through: BTreeMap<TenantNumber, (u32, Timestamp, Uuid)>,
}

impl Reminders {
    /// The commands that queue what is due, at most `limit`.
    pub(super) fn look(
        &mut self,
        view: &dyn Read,
        now: Timestamp,
        limit: usize,
    ) -> Vec<(TenantNumber, Command)> {
        if now < self.next_look || limit == 0 {
            return Vec::new();
        }
        self.next_look = later(now, LOOK_EVERY);
        let mut tenants = Vec::new();
        view::tenants(view, &mut |tenant, _| tenants.push(tenant));
        let mut commands = Vec::new();
        for tenant in tenants {
            let settings = view::settings(view, tenant, None).is;
            if settings.sends(MailKind::Reminder) && commands.len() < limit {
                let hours = settings.reminder_hours;
                let ahead = Duration::from_secs(u64::from(hours) * 3_600);
                // What is near is another thing now.
                if self.through.get(&tenant).is_some_and(|(looked, ..)| *looked != hours) {
                    self.through.remove(&tenant);
                }
                let room = limit - commands.len();
                commands.extend(self.of_tenant(view, (tenant, hours), (now, later(now, ahead)), room));
            } else if !settings.sends(MailKind::Reminder) {
                self.through.remove(&tenant);
            }
        }
        commands
    }

    fn of_tenant(
        &mut self,
        view: &dyn Read,
        (tenant, hours): (TenantNumber, u32),
        (now, horizon): (Timestamp, Timestamp),
        limit: usize,
    ) -> Vec<(TenantNumber, Command)> {
        let index = by_start(tenant);
        let from = match self.through.get(&tenant) {
            Some((_, starts_at, id)) if *starts_at > now => index.time(*starts_at).u128(id.as_u128()).end(),
            _ => index.time(now),
        };
        let to = index.time(later(horizon, Duration::from_micros(1)));
        let (mut looked, mut found, mut last) = (0, Vec::new(), None);
        view.scan(&from, &to, &mut |key, _| {
            let mut parts = Parts(&key[key.len() - 24..]);
            let place = (parts.time(), Uuid::from_u128(parts.u128()));
            last = Some(place);
            found.extend(queue(view, tenant, place));
            looked += 1;
            let goes_on = looked < BOOKINGS_LOOK_MAX && found.len() < limit;
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if let Some((starts_at, id)) = last {
            self.through.insert(tenant, (hours, starts_at, id));
        }
        found.into_iter().map(|command| (tenant, command)).collect()
    }
}

/// The command that queues the reminder of a booking that began then when the index was written.
fn queue(view: &dyn Read, tenant: TenantNumber, (starts_at, id): (Timestamp, Uuid)) -> Option<Command> {
    let booking = salons::view::any::<Booking>(view, tenant, id, None)?.is;
    if booking.starts_at != starts_at || booking.status != BookingStatus::Confirmed {
        return None;
    }
    let (change, _) = subject::timed_by(view, tenant, id)?;
    let source = change.into();
    let is_new = view::by_source(view, tenant, MailKind::Reminder, source).is_none();
    is_new.then_some(Command::Queue { kind: MailKind::Reminder, source, record: id })
}
