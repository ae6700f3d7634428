//! What every HTTP route shares, and nothing that any one of them is about.
//!
//! Invariants:
//! - Only this crate and the routes know status codes; a domain says [`maitred_core::Rejection`].
//! - Every refusal leaves as one [`Problem`] (RFC 9457); its code is a row of [`problem::CODES`] or the code of
//!   a rejection, and each has a page in `docs/errors/`.
//! - Whatever a client sends, nothing here panics but at the loss of data ([`data_loss`]), and everything read has a named bound ([`limits`]).
//!
//! Next: [`problem`] for errors, [`json`] for bodies, [`auth`] for who may do what, [`request_id`] for the layer
//! that goes around all routes.

pub mod address;
pub mod as_of;
pub mod auth;
mod data_loss;
pub mod etag;
pub mod guard;
pub mod idempotency;
pub mod json;
pub mod limits;
pub mod loopback;
mod objects;
pub mod page;
pub mod path;
pub mod position;
pub mod problem;
pub mod query;
pub mod rate;
pub mod request_id;
pub mod sse;
pub mod time;

pub use address::ClientAddress;
pub use as_of::AsOf;
pub use auth::{Caller, Credentials, Permission, Role};
pub use data_loss::data_loss;
pub use etag::{ETag, IfMatch, IfNoneMatch, Preconditions};
pub use guard::Guard;
pub use idempotency::Attempt;
pub use json::{Json, JsonBody, OptionalJsonBody, Reply};
pub use page::{Cursors, Limit, Page};
pub use path::Path;
pub use position::AtLeast;
pub use problem::{Code, Problem};
pub use query::Query;
pub use request_id::RequestId;
pub use time::Time;
