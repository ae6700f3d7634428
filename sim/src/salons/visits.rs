//! Visits, held against what was asked for and against each other.

use maitred_booking::salons::Booking;
use maitred_booking::salons::booking::BookedItem;
use maitred_core::Timestamp;

use super::fits::{self, Diary, Task, spans};

/// A visit has the services that were asked for, one behind the other from a start on, each with whom it may be with.
pub(super) fn check_items(
    diary: &Diary<'_>,
    tasks: &[Task],
    is: &Booking,
    starts_at: Timestamp,
    force: bool,
) -> Result<(), String> {
    let mut start = starts_at;
    for (item, task) in is.items.iter().zip(tasks) {
        if (item.service, item.starts_at) != (task.service, start) || !diary.allows(item, task, force) {
            return Err(format!("the product allots {item:?}, which nobody may have"));
        }
        start = fits::instant(fits::minute(start) + i64::from(item.time.duration_minutes));
    }
    if (is.items.len(), is.starts_at, is.ends_at) == (tasks.len(), starts_at, start) {
        Ok(())
    } else {
        Err(format!("the visit is {is:?}"))
    }
}

/// Whether two bookings have somebody or something at once.
pub(super) fn overlap(one: &Booking, other: &Booking) -> bool {
    let claims = |booking: &Booking| {
        let numbers = |item: &BookedItem| [Some(item.employee), item.resource].into_iter().flatten();
        let of = |item: &BookedItem| {
            let spans = |number: u32| spans(item, number).map(move |span| (number, span));
            numbers(item).flat_map(|place| spans(place.number)).collect::<Vec<_>>()
        };
        booking.items.iter().flat_map(of).collect::<Vec<_>>()
    };
    let theirs = claims(other);
    claims(one).iter().any(|(number, (from, to))| {
        theirs.iter().any(|(their_number, (their_from, their_to))| {
            number == their_number && from < their_to && their_from < to
        })
    })
}

pub(super) fn same(found: &Booking, expected: &Booking) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("it is {found:?}, not {expected:?}")) }
}
