//! The drop-ins on the wire: recorded requests of the replaced services, sent to a started server.
//!
//! [`rows`] replays a table of requests and answers, such as `sesami.json`; what no single connection can show
//! (races, keys, long lists) stands in a file per service.

mod bookipi;
mod bookipi_sales;
mod client;
mod fapi;
mod integrator;
#[path = "../reconciled/mod.rs"]
mod reconciled;
mod rows;
mod server;
mod sesami;
mod sesami_keys;
