//! The back ends: logs and view stores.
//!
//! [`log_file`] keeps a log in segments on a [`disk`]; [`log_memory`] is the baseline of the conformance
//! suite. What they promise is written in `maitred_engine::log` and proved by `maitred_engine::conformance`.

pub mod disk;
pub mod log_file;
pub mod log_memory;
pub mod open;
mod placement;
mod private;
pub mod snapshots;
pub mod untouched;
pub mod view_lmdb;
pub mod view_memory;
