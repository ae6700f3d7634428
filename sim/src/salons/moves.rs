//! Visits that are moved: what should become of the command, and what it must not have left behind.
//!
//! What was agreed stays: a service that the visit has already is as it was booked, whatever has become of it since.

use maitred_booking::salons::command::{Reschedule, WantedItem};
use maitred_booking::salons::{Booking, BookingStatus, Effect};
use maitred_core::Timestamp;

use super::fits::{Diary, Task};
use super::visits::{check_items, same};
use super::{Salon, Verdict, status_at};

impl Salon {
    pub(super) fn reschedule(&self, command: &Reschedule, at: Timestamp) -> Verdict {
        let found = self.bookings.at_version(command.booking, command.if_version, "booking-not-found")?;
        match status_at(&found.is, at) {
            BookingStatus::Held | BookingStatus::Confirmed => {}
            BookingStatus::Expired => return Err("hold-expired"),
            _ => return Err("invalid-transition"),
        }
        let tasks = self.tasks_of_moved(&found.is, command.items.as_deref())?;
        let diary = Diary::new(self, command.starts_at, at, Some(found.is.id));
        if diary.has_room(&tasks, command.starts_at, command.force) {
            Ok(Effect::Updated)
        } else {
            Err("slot-unavailable")
        }
    }

    pub(super) fn check_moved(
        &self,
        command: &Reschedule,
        is: &Booking,
        at: Timestamp,
    ) -> Result<(), String> {
        let known = &self.bookings.current(command.booking).ok_or("it is not there")?.is;
        let Booking { starts_at, ends_at, items, forced, .. } = is.clone();
        same(is, &Booking { starts_at, ends_at, items, forced, ..known.clone() })?;
        let tasks = self.tasks_of_moved(known, command.items.as_deref())?;
        let diary = Diary::new(self, command.starts_at, at, Some(known.id));
        check_items(&diary, &tasks, is, command.starts_at, command.force)
    }

    /// What is done at a visit from now on: the same by the same employees, unless there are others.
    pub(super) fn tasks_of_moved(
        &self,
        booking: &Booking,
        items: Option<&[WantedItem]>,
    ) -> Result<Vec<Task>, &'static str> {
        let mut tasks = Vec::new();
        if items.is_none() {
            for item in &booking.items {
                self.require_employee(Some(item.employee.id))?;
                tasks.push(self.task_as_booked(item, Some(item.employee.id)));
            }
        }
        let mut left: Vec<_> = booking.items.iter().filter(|_| items.is_some()).collect();
        for item in items.unwrap_or_default() {
            // Whoever does it already comes first; what was booked once is as booked once.
            let fits: Vec<usize> = (0..left.len()).filter(|at| left[*at].service == item.service).collect();
            let same = fits.iter().find(|at| Some(left[**at].employee.id) == item.employee);
            let known = same.or(fits.first()).map(|at| left.remove(*at));
            let task = known.map(|known| self.task_as_booked(known, item.employee));
            tasks.push(task.or_else(|| self.task(item)).ok_or("service-not-found")?);
            self.require_employee(item.employee)?;
        }
        Ok(tasks)
    }
}
