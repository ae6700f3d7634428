//! Whether the server takes traffic: the program says so, health checks and streams follow.

use std::sync::Arc;

use tokio::sync::watch;

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The view has not caught up with the log.
    Starting,
    /// Requests are answered.
    Ready,
    /// It is shutting down: what is under way is finished, streams end, new traffic belongs elsewhere.
    Draining,
}

/// A handle on the server's phase. Clones are handles to the same. Phases only advance.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<Phase>>);

impl Default for Readiness {
    fn default() -> Self {
        Readiness(Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl Readiness {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// The server has caught up and answers.
    pub fn ready(&self) {
        self.advance(Phase::Ready);
    }

    /// The server is shutting down.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Is done once the server is shutting down.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut phase = self.0.subscribe();
        async move {
            // A handle that is gone without a word means the same: nobody will ever say so.
            let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
        }
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = *phase < to;
            *phase = to.max(*phase);
            later
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_advance() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.ready();
        assert_eq!(readiness.phase(), Phase::Ready);
        readiness.clone().drain();
        readiness.ready();
        assert_eq!(readiness.phase(), Phase::Draining);
    }
}
