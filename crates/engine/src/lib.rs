//! Runs any domain on any log.
//!
//! The engine knows no domain and no back end: it sees a fact as `(kind, version, bytes)`, a log as
//! [`log::Log`] and a view's store as [`store::Store`].
//!
//! A command's way: [`engine`] (submit) → [`queue`] → [`writer`] (decide) → [`committer`] (append, publish,
//! answer) → [`flusher`] (into the store). A reader's way: [`view`] over [`overlay`] and [`store`]. What happens
//! by itself: [`timers`] and [`consumers`], on the threads of [`background`].

pub mod apply;
pub mod background;
pub mod backoff;
pub mod batch;
pub mod clock;
pub mod command;
pub mod committer;
pub mod conformance;
pub mod consumers;
pub mod engine;
pub mod flusher;
pub mod log;
pub mod meta;
pub mod overlay;
pub mod publish;
pub mod queue;
pub mod recovery;
pub mod snapshot_file;
pub mod store;
pub mod sync;
pub mod testing;
pub mod throttle;
pub mod timers;
pub mod touched;
pub mod view;
pub mod view_hash;
pub mod witness;
pub mod writer;

pub use command::{Answer, AnswerOf, Envelope, Unavailable};
pub use engine::Engine;
pub use view::View;
