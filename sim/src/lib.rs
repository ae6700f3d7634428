//! A whole node on a simulated disk and clock, from a seed: the real writer, committer, flusher, recovery
//! and file log, stepped by one thread, with faults at any step, and checkers that know what must hold.
//!
//! Two runs of a seed are byte-equal. A failure prints its seed; `just sim-seed SEED` runs it again.
//!
//! [`side_effects`] is a smaller world, of timers and consumers whose work fails.
//!
//! Next: [`world`] for what happens, [`model`] for what should have, [`disk`] for what may go wrong.

pub mod clock;
pub mod disk;
pub mod log;
pub mod model;
pub mod operation;
pub mod random;
pub mod report;
pub mod sabotage;
pub mod sales;
pub mod salons;
pub mod side_effects;
pub mod users;
pub mod world;
