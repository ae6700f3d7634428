//! The readers, from outside: what they read, what they refuse, and what no input may do to them.

mod avro;
mod broken;
mod feed;
mod fetch;
mod generated;
mod outgoing;
mod shapes;
mod support;
