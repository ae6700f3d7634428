//! Messages in the order of their queue, and what came of their commands.
//!
//! Invariants:
//! - What came of a message is said when all before it are settled.
//! - A refusal counts only where it was decided after all of these. One that was decided while an earlier message was put
//!   off may rest on what that message has yet to change: its command waits its turn and is entered again.

use std::collections::VecDeque;

use maitred_booking::{Booking, Command, Outcome};
use maitred_engine::queue::Pending;
use maitred_engine::{Answer, Unavailable};

/// A command at which the server fails by a bug is tried so often.
const BUGS_MAX: u32 = 3;

/// What came of a command.
pub(super) type Settled = Result<Answer<Outcome>, Unavailable>;

/// Messages whose commands are to be decided.
pub(super) struct Line<M> {
    taken: VecDeque<Taken<M>>,
}

struct Taken<M> {
    message: M,
    command: Command,
    pending: Option<Pending<Booking>>,
    /// Whether it was entered before an earlier one was settled that was put off since.
    is_early: bool,
    bugs: u32,
}

/// What came of the first message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<M> {
    /// Its command was accepted, and it is gone from the line.
    Accepted(M),
    /// Its command is never carried out, and it is gone from the line: a stable code, and a reason for people.
    Refused(M, String, String),
    /// Nobody could decide it. It is the first still, and to be entered again later.
    PutOff,
    /// It is the first still, and to be entered again at once: now all before it are settled.
    Early,
}

impl<M> Line<M> {
    pub(super) fn new() -> Self {
        Line { taken: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn push(&mut self, message: M, command: Command) {
        self.taken.push_back(Taken { message, command, pending: None, is_early: false, bugs: 0 });
    }

    /// The answer that the first one waits for, if it is entered.
    pub(super) fn first(&mut self) -> Option<&mut Pending<Booking>> {
        self.taken.front_mut().and_then(|taken| taken.pending.as_mut())
    }

    /// Enters what is not entered, in order, up to the first that is not taken.
    ///
    /// # Errors
    /// [`Unavailable`]: that one was not.
    pub(super) fn enter(
        &mut self,
        mut enter: impl FnMut(&M, &Command) -> Result<Pending<Booking>, Unavailable>,
    ) -> Result<(), Unavailable> {
        for taken in self.taken.iter_mut().filter(|taken| taken.pending.is_none()) {
            taken.pending = Some(enter(&taken.message, &taken.command)?);
        }
        Ok(())
    }

    /// Takes in the answer of the first one. `None` where there is none.
    pub(super) fn settle(&mut self, answer: Settled) -> Option<Verdict<M>> {
        let mut first = self.taken.pop_front()?;
        let verdict = match answer {
            Ok(answer) => match answer.result {
                Ok(_) => return Some(Verdict::Accepted(first.message)),
                Err(_) if first.is_early => Verdict::Early,
                Err(rejection) => {
                    let code = rejection.code.into_owned();
                    return Some(Verdict::Refused(first.message, code, rejection.detail));
                }
            },
            Err(Unavailable::Bug) if first.bugs + 1 >= BUGS_MAX => {
                let reason = "the server failed at it; its log has the details".to_owned();
                return Some(Verdict::Refused(first.message, "internal-error".to_owned(), reason));
            }
            Err(unavailable) => {
                first.bugs += u32::from(matches!(unavailable, Unavailable::Bug));
                Verdict::PutOff
            }
        };
        (first.pending, first.is_early) = (None, false);
        self.taken.push_front(first);
        for behind in &mut self.taken {
            behind.is_early |= behind.pending.is_some();
        }
        Some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use maitred_booking::{appointments, batches};
    use maitred_core::{Class, Position, Rejection, Timestamp};
    use tokio::sync::oneshot;

    use super::*;

    fn answered(result: Result<Outcome, Rejection>) -> Settled {
        let position = Position { partition: Default::default(), seq: 1 };
        Ok(Answer { result, position, timestamp: Timestamp::default(), replayed: false })
    }

    fn accepted() -> Settled {
        answered(Ok(Outcome::Batches(batches::Outcome::Begun)))
    }

    fn refused() -> Settled {
        answered(Err(Rejection::new(Class::Conflict, "time-range-unavailable", "It is taken.")))
    }

    fn line(messages: &[&'static str]) -> Line<&'static str> {
        let mut line = Line::new();
        for message in messages {
            let command = appointments::Command::Cancel(appointments::command::Cancel {
                external_id: (*message).to_owned(),
                updated_at: Timestamp::default(),
                if_version: None,
            });
            line.push(*message, command.into());
        }
        line
    }

    /// Enters what can be entered: says what was, in order.
    fn entered(line: &mut Line<&'static str>) -> Vec<&'static str> {
        let mut all = Vec::new();
        line.enter(|message, _| {
            all.push(*message);
            Ok(oneshot::channel().1)
        })
        .expect("nothing is refused here");
        all
    }

    #[test]
    fn a_refusal_that_came_while_an_earlier_message_was_put_off_is_none() {
        let mut line = line(&["frees", "books", "other"]);
        assert_eq!(entered(&mut line), ["frees", "books", "other"]);
        assert_eq!(line.settle(Err(Unavailable::DiskFull)), Some(Verdict::PutOff));
        assert_eq!(entered(&mut line), ["frees"], "the others are entered already");
        assert_eq!(line.settle(accepted()), Some(Verdict::Accepted("frees")));
        // It was decided before the first one had freed its time, and the last one before it has booked that.
        assert_eq!(line.settle(refused()), Some(Verdict::Early));
        assert_eq!(entered(&mut line), ["books"]);
        assert_eq!(line.settle(accepted()), Some(Verdict::Accepted("books")));
        assert_eq!(line.settle(refused()), Some(Verdict::Early));
        assert_eq!(entered(&mut line), ["other"]);
        let Some(Verdict::Refused("other", code, _)) = line.settle(refused()) else {
            panic!("now all before it are settled");
        };
        assert_eq!((&*code, line.len()), ("time-range-unavailable", 0));
    }

    #[test]
    fn what_is_entered_after_one_was_put_off_is_decided_in_its_turn() {
        let mut line = line(&["a", "b"]);
        entered(&mut line);
        assert_eq!(line.settle(Err(Unavailable::Unknown)), Some(Verdict::PutOff));
        line.push("c", line.taken[0].command.clone());
        assert_eq!(entered(&mut line), ["a", "c"]);
        assert_eq!(line.settle(accepted()), Some(Verdict::Accepted("a")));
        assert_eq!(line.settle(accepted()), Some(Verdict::Accepted("b")), "an acceptance counts");
        assert!(matches!(line.settle(refused()), Some(Verdict::Refused("c", ..))));
    }

    #[test]
    fn a_bug_is_tried_three_times_and_nothing_behind_what_is_not_taken_is_entered() {
        let mut line = line(&["a", "b"]);
        let mut times = 0;
        let refused = line.enter(|_, _| {
            times += 1;
            Err(Unavailable::Draining)
        });
        assert_eq!((refused, times), (Err(Unavailable::Draining), 1));
        for _ in 1..BUGS_MAX {
            entered(&mut line);
            assert_eq!(line.settle(Err(Unavailable::Bug)), Some(Verdict::PutOff));
        }
        let Some(Verdict::Refused("a", code, _)) = line.settle(Err(Unavailable::Bug)) else {
            panic!("it is put aside");
        };
        assert_eq!((&*code, line.len()), ("internal-error", 1));
    }
}
