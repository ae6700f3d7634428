//! Salons: who works when, what can start when and with whom.
//!
//! The calculus stands apart from everything else: plain values in, plain values out, no view, no clock.
//! [`calculus`] has its words, [`shifts`] says when somebody works, [`availability`] what can be offered and
//! booked, by one predicate for both.

pub mod availability;
pub mod calculus;
pub mod intervals;
pub mod local_time;
mod openings;
pub mod recurrence;
pub mod shifts;
