//! What a runner says durably of itself: that the consumer is its own, and how far it is.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use maitred_core::{ChangeId, Domain, Ordinal, Seq};

use super::{ConsumerRunner, Heard, RETRY_FIRST, heard};
use crate::{
    background::Round,
    consumers::{Bookkeeping, Hold, Note},
    queue::Pending,
};

/// A cursor is kept at most this often...
const CURSOR_EVERY: Duration = Duration::from_secs(1);
/// ...or after so many facts that were done. Without any there is no hurry.
const CURSOR_FACTS: u64 = 1_000;
/// After so many facts that were none of the consumer's it is kept too: a start looks through them again.
const CURSOR_PASSED: u64 = 100_000;

/// Whose the consumer is.
pub(super) enum Claim<D: Domain> {
    /// Nobody has said; it is not claimed before then, by the monotonic clock.
    None(Duration),
    /// This epoch is being claimed.
    Claiming(Pending<D>, Hold),
    /// It is claimed since this batch.
    Claimed(Seq, Hold),
    /// It is ours. Up to this place one fact is tried at a time.
    Held(Hold, ChangeId),
    /// Another runner's. This one has stopped.
    Superseded,
}

impl<D: Domain> Claim<D> {
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Claim::Claiming(..) | Claim::Claimed(..))
    }
}

/// The cursor, and whether it is worth keeping.
pub(super) struct Cursor<D: Domain> {
    kept: ChangeId,
    keeping: Option<(Pending<D>, ChangeId)>,
    /// When it was last tried, by the monotonic clock. The first time there is hurry: a server that is stopped at once
    /// would seem not to have got on.
    tried: Option<Duration>,
    /// Facts that were done since.
    pub(super) done: u64,
    /// Facts that were passed since, bookkeeping not counted.
    pub(super) passed: u64,
}

impl<D: Domain> Cursor<D> {
    pub(super) fn at(kept: ChangeId) -> Self {
        Cursor { kept, keeping: None, tried: None, done: 0, passed: 0 }
    }

    pub(super) fn is_being_kept(&self) -> bool {
        self.keeping.is_some()
    }
}

impl<D: Bookkeeping> ConsumerRunner<D> {
    /// The hold under which things are done, and up to where one at a time. A consumer that has nothing to do is not
    /// claimed: that would be a fact for nothing.
    pub(super) fn hold(&mut self, round: &mut Round<'_, D>) -> Option<(Hold, ChangeId)> {
        let name = self.consumer.name();
        match &mut self.claim {
            Claim::Held(hold, careful) => return Some((*hold, *careful)),
            Claim::Superseded => {}
            Claim::None(until) => {
                let idle = self.window.is_empty() && self.taken_up.is_empty();
                if *until > round.monotonic || idle && self.cursor.passed < CURSOR_PASSED {
                    return None;
                }
                let epoch = self.domain.standing(round.view, name).epoch + 1;
                let hold = Hold { consumer: name, epoch };
                self.claim = match self.say(hold, Note::Claim, round) {
                    Some(pending) => Claim::Claiming(pending, hold),
                    None => Claim::None(round.monotonic + RETRY_FIRST),
                };
            }
            Claim::Claiming(pending, hold) => {
                let hold = *hold;
                match heard::<D>(pending)? {
                    Heard::Kept(seq) => self.claim = Claim::Claimed(seq, hold),
                    // Somebody was faster, or nobody knows: with what the next view says.
                    Heard::Superseded | Heard::Not => {
                        self.claim = Claim::None(round.monotonic + RETRY_FIRST);
                    }
                }
            }
            Claim::Claimed(seq, hold) if round.view.seq() >= *seq => {
                let hold = *hold;
                let standing = self.domain.standing(round.view, name);
                if standing.epoch != hold.epoch {
                    self.supersede();
                    return None;
                }
                let head = ChangeId { seq: round.view.seq(), ordinal: Ordinal::MAX };
                let careful = if standing.stalled > 0 { head } else { ChangeId::default() };
                if standing.stalled > 0 {
                    let (consumer, claims) = (name, standing.stalled);
                    tracing::warn!(
                        consumer,
                        claims,
                        "the consumer has not got on since the last start: one fact at a time, up to here"
                    );
                }
                self.claim = Claim::Held(hold, careful);
                return Some((hold, careful));
            }
            Claim::Claimed(..) => {}
        }
        None
    }

    /// Another runner has claimed the consumer: this one stops, and what it had under way is that one's to repeat.
    pub(super) fn supersede(&mut self) {
        let consumer = self.consumer.name();
        tracing::error!(consumer, "another runner has claimed the consumer since: this one stops");
        self.claim = Claim::Superseded;
        self.window.clear();
        self.taken_up.clear();
        self.cursor.keeping = None;
        self.status.superseded.store(true, Relaxed);
    }

    /// Keeps the cursor where that is worth it.
    pub(super) fn keep_cursor(&mut self, hold: Hold, round: &mut Round<'_, D>) {
        let done = self.done();
        let cursor = &mut self.cursor;
        if let Some((pending, place)) = &mut cursor.keeping {
            match heard::<D>(pending) {
                None => return,
                Some(Heard::Kept(_)) => cursor.kept = *place,
                Some(Heard::Superseded) => return self.supersede(),
                Some(Heard::Not) => cursor.done = cursor.done.max(1), // it is worth another try
            }
            cursor.keeping = None;
        }
        let for_time = cursor.tried.is_none_or(|tried| round.monotonic.saturating_sub(tried) >= CURSOR_EVERY);
        let is_worth_it =
            cursor.done >= CURSOR_FACTS || cursor.passed >= CURSOR_PASSED || for_time && cursor.done > 0;
        if !is_worth_it || done <= cursor.kept {
            return;
        }
        let pending = self.say(hold, Note::Cursor(done), round);
        let cursor = &mut self.cursor;
        if let Some(pending) = pending {
            cursor.keeping = Some((pending, done));
            (cursor.done, cursor.passed) = (0, 0);
        }
        cursor.tried = Some(round.monotonic);
    }
}
