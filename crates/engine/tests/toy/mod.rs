//! A small shop, and a log, a store and a clock that do what a test says: everything an engine is made of.
//!
//! The rules keep the engine honest by themselves: a fact says what was seen when it was decided, and
//! cannot be applied where something else stands (I2).

pub(crate) mod clock;
pub(crate) mod log;
pub(crate) mod model;
pub(crate) mod shop;
pub(crate) mod store;
