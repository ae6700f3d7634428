//! Runs any domain on any log.
//!
//! The engine knows no domain and no back end: it sees a fact as `(kind, version, bytes)`, a log as
//! [`log::Log`] and a view's store as [`store::Store`].

pub mod batch;
pub mod command;
pub mod log;
pub mod store;

pub use command::{Answer, AnswerOf, Envelope, Unavailable};
