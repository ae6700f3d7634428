//! What is taken over from another server: a version of one of a salon's records, as it was exported there.

use super::booking::Booking;
use super::fact::{Customer, Employee, Resource, Service, Settings};
use super::legacy::LegacyBooking;
use super::plan::PlanState;
use super::series::Series;
use super::waitlist::WaitlistEntry;
use crate::imported::Imported;

/// A version to be taken over. The numbers under which time is claimed, and by which entries of the waitlist follow
/// one another, are this server's: those that come are not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// Of the settings.
    Settings(Imported<Settings>),
    /// Of an employee.
    Employee(Imported<Employee>),
    /// Of a service.
    Service(Imported<Service>),
    /// Of a resource.
    Resource(Imported<Resource>),
    /// Of a customer.
    Customer(Imported<Customer>),
    /// Of a shift plan.
    Plan(Imported<PlanState>),
    /// Of a booking.
    Booking(Imported<Booking>),
    /// Of a booking of the replaced system.
    LegacyBooking(Imported<LegacyBooking>),
    /// Of a series, behind its bookings.
    Series(Imported<Series>),
    /// Of an entry of the waitlist; an offer of it stands behind its booking.
    Waitlist(Imported<WaitlistEntry>),
}
