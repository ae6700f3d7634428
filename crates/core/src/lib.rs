//! The vocabulary of maitred and the contract between its rules and its engine.
//!
//! A domain decides commands against a view and says in facts what changed ([`Domain::decide`]);
//! the engine logs the facts and applies them to the view ([`Domain::apply`]). Everything here is
//! synchronous and free of I/O, clocks and randomness: time and ids arrive as inputs, so that the
//! same log gives the same view on every machine.
//!
//! Next: [`domain`] for the contract, [`view`] for what a view can do, [`key`] for how its keys are made.

pub mod domain;
pub mod ids;
pub mod key;
pub mod position;
pub mod time;
pub mod view;

pub use domain::{
    Actor, At, Class, Context, Decision, Domain, Member, Recorded, Rejection, Storable, Undecodable,
};
pub use ids::{Ids, TenantNumber};
pub use key::{KEY_BYTES_MAX, Key, Table};
pub use position::{ChangeId, Ordinal, PartitionId, Position, Seq};
pub use time::Timestamp;
pub use view::{Read, Write};
