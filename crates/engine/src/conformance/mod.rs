//! What every back end must pass, whatever it is made of.

pub mod store;
