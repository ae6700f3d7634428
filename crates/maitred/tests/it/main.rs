//! The native API on the wire: a started server, a file per route file.
//!
//! [`server`] starts one in this process, [`client`] speaks HTTP/1.1 to it over a socket.

mod admission;
mod api_keys;
mod appointments;
mod batch;
mod catalogue;
mod changes;
mod client;
mod clock;
mod consumers;
mod docs;
mod examples;
mod feed_faults;
mod feed_server;
mod feeds;
mod flash_sales;
mod generated;
mod imports;
mod jobs;
mod legacy_bookings;
mod operation;
mod past;
mod phone;
mod rates;
#[path = "../reconciled/mod.rs"]
mod reconciled;
mod router;
mod sale_statistics;
mod salons;
mod scrub;
mod series;
mod server;
mod serving;
mod strictness;
mod tenants;
mod tokens;
mod users;
mod waitlist;
mod webhooks;
