//! Outgoing requests, against servers that do as they are told: whom the guard lets through, what bounds hold, what
//! comes of answers that lie.

mod answers;
mod guard;
mod kept;
mod server;
mod tls;
