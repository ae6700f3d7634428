//! The engine on its real threads, with a log, a store and a clock that do as they are told.
//!
//! Nothing here sleeps: a test holds a gate, waits until somebody stands before it, looks, and opens it.

#[path = "../toy/mod.rs"]
mod toy;
mod world;

mod background;
mod commit;
mod decide;
mod idempotency;
mod overload;
mod queue;
mod read;
mod recovery;
mod stop;
