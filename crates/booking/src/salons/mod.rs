//! Salons: who works there and when, what is done there, what can start when and with whom, and what is booked.
//!
//! The calculus stands apart from everything else: plain values in, plain values out, no view, no clock.
//! [`calculus`] has its words, [`shifts`] says when somebody works, [`availability`] what can be offered and
//! booked, by one predicate for both. [`gather`] brings the view to it.
//!
//! Invariants:
//! - Two bookings never occupy an employee or a resource at once (I6): the occupied times of each are claims
//!   ([`crate::slot`]). A processing gap is nobody's claim, and is sold again.
//! - What is offered can be booked, and what is not offered cannot, unless somebody who works there forces it; that is
//!   recorded. Force passes over shifts, buffers, notice and step; time that is taken stays taken.
//! - A hold that is over is over for every rule and every read at that very instant ([`crate::timer`] only tidies up).
//! - A booking carries the times and prices of its services as they were when it was booked, through moves too: it can
//!   be moved whatever has become of them ([`rules::wanted_of_moved`]).
//! - A series is booked as a whole by one command, each of its visits as if it were booked alone ([`series`]).
//! - A time that comes free is offered to whoever waits for it, in order of entry ([`waitlist`]).
//! - Bookings of the replaced system have a date and nothing else of time: they are kept and shown ([`legacy`]).
//! - Nothing is forgotten: every version stays, and every list can be read as of any batch ([`bookings_view`]).
//!
//! Commands are refused in this order:
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-…` | unprocessable | a field breaks a rule ([`validation`]); of a series also its rule |
//! | `employee-not-found`, `service-not-found`, `resource-not-found`, `customer-not-found`, `booking-not-found`, `series-not-found`, `waitlist-entry-not-found` | absent | there is none |
//! | `version-mismatch` | precondition | `if_version` is not the current version |
//! | `id-collision` | conflict | another system's id has the hash of another one |
//! | `invalid-skills` | unprocessable | an employee is to do a service, newly, that is not there |
//! | `too-many-records` | too many | a salon, or a shift plan, has as many of these as it may have |
//! | `employee-in-use`, `resource-in-use` | conflict | there are bookings ahead |
//! | `absence-not-found` | absent | the employee has no such absence |
//! | (accepted) | | a booking is where it is to be taken already, or is not yet to expire; an import knows nothing newer; nobody waits any more, or there is nothing to offer |
//! | `hold-expired` | conflict | the booking's hold is over |
//! | `invalid-transition` | conflict | the booking's status does not lead there |
//! | `too-many-holds` | too many | a customer or an address holds as many bookings as one may |
//! | `too-many-waiting` | too many | a salon, or a customer, has as many open entries of the waitlist as it may have |
//! | `slot-unavailable` | conflict | the visit cannot start then; `reason` says why |
//! | `series-clashes` | conflict | visits of a series cannot start when they would; `clashes` says which, and why |
//!
//! A version that is taken over from another server is refused by the same codes, and by `version-missing` and
//! `version-differs` (conflicts) where it is neither the next one nor one that is here ([`rules`]). Of bookings no more
//! is asked than that they have a customer, services, employees and resources, and that their time is free.
//!
//! Sources: the salon system that is replaced, RFC 5545 for local times.

pub mod availability;
pub mod booking;
pub mod bookings_view;
pub mod calculus;
pub mod command;
pub mod fact;
pub mod gather;
pub mod http;
pub mod import;
mod import_validation;
pub mod intervals;
pub mod legacy;
pub mod legacy_view;
pub mod local_time;
pub mod offering;
pub mod offers;
mod openings;
pub mod plan;
pub mod recurrence;
pub mod rules;
pub mod series;
pub mod shifts;
#[cfg(test)]
mod tests;
pub mod validation;
pub mod view;
pub mod waitlist;

pub use booking::{Booking, BookingStatus};
pub use command::{Command, CustomerDetails, PutCustomer, PutLegacyBooking};
pub use fact::{Customer, Employee, Fact, Resource, Service, Settings};
pub use legacy::{Decimal, LegacyBooking, LegacyStatus};
pub use rules::{Effect, Occurrence, Outcome, Rules, Visited};
pub use series::Series;
pub use waitlist::{WaitlistEntry, WaitlistStatus};
