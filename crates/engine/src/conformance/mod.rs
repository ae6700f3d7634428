//! What every back end must pass, whatever it is made of.

pub mod log;
pub mod store;
