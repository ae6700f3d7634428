//! What every [`Log`] must do, as tests that any implementation runs.
//!
//! A back end calls [`crate::log_conformance!`] with a factory of [`Subject`]s, and gets one test for each
//! rule. Logs that several writers share run [`two_writers_share_one_history`] as well.
//!
//! Next: [`faulty`] makes calls fail in every way a network can, [`rules`] are the tests.

pub mod faulty;
pub mod rules;

use maitred_core::{Actor, Seq, TenantNumber, Timestamp};

use crate::batch::{BatchBuilder, Header, Sealed};
use crate::log::{Appended, Log, LogError, LogReader, Tail};

pub use faulty::{Call, Fate, Faulty, append_surely};

/// The number of every log under test.
pub const LOG: u32 = 0;

/// One log under test, and what keeps it alive.
pub trait Subject {
    /// Opens the log: empty the first time, later as the handle opened before had left it. That one has
    /// been dropped.
    fn open(&mut self) -> Box<dyn Log>;
}

/// Makes subjects, each with a log of its own.
pub type NewSubject<'a> = &'a dyn Fn() -> Box<dyn Subject>;

/// Expands to a test for each rule. The argument makes a `Box<dyn Subject>` with a fresh log.
#[macro_export]
macro_rules! log_conformance {
    ($new:expr) => {
        $crate::log_conformance!(@rules $new;
            a_new_log_is_empty
            batches_are_read_back_in_order_as_they_were_appended
            an_append_on_a_tail_that_others_passed_is_lost
            an_append_on_a_tail_that_the_log_never_had_is_regressed
            a_batch_that_does_not_follow_its_tail_is_refused
            a_batch_of_another_log_is_refused
            a_batch_sent_again_is_committed_once
            a_read_gives_as_many_as_fit_and_at_least_one
            a_read_beyond_the_end_is_empty
            the_longest_batch_is_taken_and_a_longer_one_refused
            batches_of_every_length_are_read_back
            a_reopened_log_is_the_same_log
            only_the_tail_is_confirmed
            readers_see_what_is_committed_and_nothing_else
            every_append_resolves_whatever_becomes_of_the_calls
        );
    };
    (@rules $new:expr; $($rule:ident)+) => {
        $(
            #[test]
            fn $rule() {
                $crate::conformance::log::rules::$rule(&|| $new);
            }
        )+
    };
}

/// A batch that follows `tail`, with one fact of `body_bytes` bytes. Batches with different `id`s differ.
pub fn batch_after(tail: Tail, id: u128, body_bytes: usize) -> Sealed {
    batch_with(tail, id, &vec![id as u8; body_bytes], LOG)
}

/// A batch for log `log` that follows `tail`, with one fact of these bytes.
pub fn batch_with(tail: Tail, id: u128, body: &[u8], log: u32) -> Sealed {
    let seq = tail.0 + 1;
    let mut builder = BatchBuilder::new(Header {
        rules_version: 1,
        log,
        epoch: 0,
        seq,
        batch_id: id,
        writer: 1,
        timestamp: Timestamp::from_micros(1_700_000_000_000_000 + seq as i64),
        prev_hash: tail.1,
    });
    builder.push(TenantNumber(1), Actor::System, None, |facts| {
        facts.push(1, 1, |out| out.extend_from_slice(body));
    });
    builder.seal()
}

/// Where a log ends after this batch.
pub fn tail_after(batch: &Sealed) -> Tail {
    (batch.header.seq, batch.hash)
}

/// Appends batches of these many bytes in their facts, each of which must be committed at once.
pub fn append_all(log: &mut dyn Log, body_bytes: &[usize]) -> Vec<Sealed> {
    let mut appended = Vec::new();
    for bytes in body_bytes {
        let tail = log.tail();
        let batch = batch_after(tail, u128::from(tail.0) + 1, *bytes);
        assert_eq!(log.append_if(tail, &batch), Ok(Appended::Committed));
        appended.push(batch);
    }
    appended
}

/// Reads a whole log, a little at a time.
pub fn read_all(reader: &dyn LogReader) -> Result<Vec<Sealed>, LogError> {
    let mut batches: Vec<Sealed> = Vec::new();
    loop {
        let from = batches.len() as Seq + 1;
        let chunk = reader.read(from, 2_000)?;
        if chunk.is_empty() {
            return Ok(batches);
        }
        batches.extend(chunk);
    }
}
