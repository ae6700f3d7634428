//! The program: it reads its configuration, assembles storage, engine and routes, and serves.
//!
//! Next: [`router`] for the whole API on one page, [`assemble`] for what a server is made of, [`cli`] for
//! the commands.

pub mod assemble;
#[cfg(feature = "rabbitmq")]
pub mod brokers;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod demo;
pub mod demo_feeds;
mod demo_salon;
pub mod docs;
pub mod drop_in;
pub mod examples;
pub mod feed_server;
pub mod first_providers;
pub mod first_sale;
pub mod gate;
pub mod health;
pub mod imports;
pub mod imports_http;
pub mod jobs;
mod leftover;
pub mod mail;
pub mod metrics;
pub mod open_files;
pub mod openapi;
pub mod projection;
pub mod router;
pub mod scrubber;
pub mod serve;
pub mod snapshotter;
pub mod starting;
pub mod syncer;
pub mod transfer;
pub mod transfer_http;
pub mod upload;
pub mod webhooks;
mod welcome;
