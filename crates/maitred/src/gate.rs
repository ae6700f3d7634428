//! The gate before all routes, which closes when the server stops: first it is not ready, then it takes no work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use maitred_engine::Unavailable;
use maitred_web::{Guard, Problem};

/// The path that says whether the server wants requests.
pub const READY_PATH: &str = "/health/ready";
/// The path that says whether the process lives.
pub const LIVE_PATH: &str = "/health/live";

/// How far the gate is closed. A clone is the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU8>);

const OPEN: u8 = 0;
const NOT_READY: u8 = 1;
const CLOSED: u8 = 2;

impl Gate {
    /// From now on the server is not ready; requests are still served.
    pub fn unready(&self) {
        self.0.store(NOT_READY, Ordering::Relaxed);
    }

    /// From now on every new request is refused with 503; those under way go on.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Relaxed);
    }

    /// The gate as a layer around everything.
    pub fn guard(
        &self,
    ) -> Guard<impl Fn(&mut Request) -> Result<(), Problem> + Clone + Send + Sync + 'static> {
        let gate = self.clone();
        Guard::new(move |request: &mut Request| {
            if gate.admits(request.uri().path()) {
                return Ok(());
            }
            let close = HeaderValue::from_static("close");
            Err(Problem::from(Unavailable::Draining).with_header(CONNECTION, close))
        })
    }

    fn admits(&self, path: &str) -> bool {
        match self.0.load(Ordering::Relaxed) {
            OPEN => true,
            NOT_READY => path != READY_PATH,
            _ => path == LIVE_PATH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_ends_first_then_everything_but_liveness() {
        let gate = Gate::default();
        let admitted = |gate: &Gate| [READY_PATH, LIVE_PATH, "/v1/tenants"].map(|path| gate.admits(path));
        assert_eq!(admitted(&gate), [true, true, true]);
        gate.unready();
        assert_eq!(admitted(&gate), [false, true, true]);
        gate.clone().close();
        assert_eq!(admitted(&gate), [false, true, false]);
    }
}
