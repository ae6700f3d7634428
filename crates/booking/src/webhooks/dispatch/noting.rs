//! A command that was decided upon and is not in a view yet.

use maitred_core::{ChangeId, Seq};
use maitred_engine::View;
use maitred_engine::queue::Pending;
use tokio::sync::oneshot::error::TryRecvError;

use crate::Booking;
use crate::webhooks::Command;

/// Enters a command into the tenant's line; `None` where it is not taken at the moment.
pub(super) type Enter<'a> = &'a mut dyn FnMut(Command) -> Option<Pending<Booking>>;

/// A command that notes what came of a delivery.
#[derive(Debug)]
pub(super) struct Noting {
    command: Command,
    pending: Option<Pending<Booking>>,
    /// The batch that includes it.
    seq: Option<Seq>,
    /// A lane stands for the changes of its record up to here until this is noted.
    pub(super) through: ChangeId,
}

impl Noting {
    pub(super) fn new(command: Command, through: ChangeId) -> Self {
        Noting { command, pending: None, seq: None, through }
    }

    /// Enters the command, or looks for its answer. True once a view includes it; an error where it was refused.
    pub(super) fn look(&mut self, view: &View, enter: Enter<'_>) -> Result<bool, ()> {
        if let Some(seq) = self.seq {
            return Ok(seq <= view.seq());
        }
        let Some(pending) = &mut self.pending else {
            self.pending = enter(self.command.clone());
            return Ok(false);
        };
        match pending.try_recv() {
            Err(TryRecvError::Empty) => Ok(false),
            Ok(Ok(answer)) => {
                answer.result.map_err(|_| ())?;
                self.seq = Some(answer.position.seq);
                // Published before it was answered, and perhaps after this view was taken.
                Ok(answer.position.seq <= view.seq())
            }
            // Nobody could decide it, or nobody knows: it is entered again.
            Ok(Err(_)) | Err(TryRecvError::Closed) => {
                self.pending = None;
                Ok(false)
            }
        }
    }
}
