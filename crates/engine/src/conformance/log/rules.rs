//! The rules of a log, a function each. They panic where a log breaks one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Call, Fate, Faulty, LOG, NewSubject, append_all, append_surely, batch_after, batch_with, read_all,
    tail_after,
};
use crate::batch::{GENESIS, SEALED_BYTES_MAX, Sealed};
use crate::log::{Appended, Log, LogError, Tail};

/// A log begins empty, before its first batch.
pub fn a_new_log_is_empty(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    assert_eq!(log.tail(), (0, GENESIS));
    assert_eq!(log.confirm((0, GENESIS)), Ok(()));
    assert_eq!(log.reader().tail(), (0, GENESIS));
    assert_eq!(log.reader().read(1, usize::MAX), Ok(vec![]));
}

/// I1, I2: numbers rise by one from 1, each batch names the one before, bytes come back as they were.
pub fn batches_are_read_back_in_order_as_they_were_appended(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[10, 0, 5_000, 300, 470, 471, 472, 20_000, 1]);
    let read = read_all(&*log.reader()).unwrap();
    assert_eq!(read, appended);
    let mut tail = (0, GENESIS);
    for batch in &read {
        assert_eq!((batch.header.seq, batch.header.prev_hash), (tail.0 + 1, tail.1));
        tail = tail_after(batch);
    }
    assert_eq!(log.tail(), tail);
    assert_eq!(log.reader().tail(), tail);
    for (from, _) in appended.iter().enumerate() {
        assert_eq!(log.reader().read(from as u64 + 1, usize::MAX).unwrap(), appended[from..]);
    }
}

/// Where another batch stands, an append is lost, and nothing changes.
pub fn an_append_on_a_tail_that_others_passed_is_lost(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[10, 20, 30]);
    for before in 0..3 {
        let expected = if before == 0 { (0, GENESIS) } else { tail_after(&appended[before - 1]) };
        let late = batch_after(expected, 1_000, 7);
        assert_eq!(log.append_if(expected, &late), Ok(Appended::Lost { head: 3 }));
    }
    assert_eq!(read_all(&*log.reader()).unwrap(), appended);
    append_all(&mut *log, &[40]);
}

/// A writer that has seen more than the log holds must not be answered `Lost`, or it would go on.
pub fn an_append_on_a_tail_that_the_log_never_had_is_regressed(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[10, 20]);
    let ahead = tail_after(&batch_after(log.tail(), 3, 5));
    let forked = (2, [7; 32]);
    for expected in [ahead, forked] {
        let answer = log.append_if(expected, &batch_after(expected, 4, 5));
        assert!(matches!(answer, Err(LogError::Regressed(_))), "{answer:?}");
    }
    assert_eq!(read_all(&*log.reader()).unwrap(), appended);
    append_all(&mut *log, &[30]);
}

/// I2: a batch is only taken on the tail that it names.
pub fn a_batch_that_does_not_follow_its_tail_is_refused(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[10, 20]);
    let tail = log.tail();
    let wrong_hash = batch_after((tail.0, [7; 32]), 3, 5);
    let wrong_seq = batch_after((tail.0 + 1, tail.1), 3, 5);
    for batch in [wrong_hash, wrong_seq] {
        let answer = log.append_if(tail, &batch);
        assert!(matches!(answer, Err(LogError::Determinate(_))), "{answer:?}");
    }
    assert_eq!(log.tail(), tail);
    assert_eq!(read_all(&*log.reader()).unwrap(), appended);
    append_all(&mut *log, &[30]);
}

/// A batch belongs to one log.
pub fn a_batch_of_another_log_is_refused(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let answer = log.append_if(log.tail(), &batch_with(log.tail(), 1, b"astray", LOG + 1));
    assert!(matches!(answer, Err(LogError::Determinate(_))), "{answer:?}");
    assert_eq!(read_all(&*log.reader()), Ok(vec![]));
}

/// The same bytes at the same place are the same append, also when others followed or the log was reopened.
pub fn a_batch_sent_again_is_committed_once(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let first = batch_after((0, GENESIS), 1, 10);
    let second = batch_after(tail_after(&first), 2, 5_000);
    let resend = |log: &mut dyn Log, batches: &[(Tail, &Sealed)]| {
        for (expected, batch) in batches {
            assert_eq!(log.append_if(*expected, batch), Ok(Appended::Committed));
        }
    };
    let both = [((0, GENESIS), &first), (tail_after(&first), &second)];
    resend(&mut *log, &[both[0], both[0], both[1], both[1], both[0]]);
    drop(log);
    let mut log = subject.open();
    resend(&mut *log, &[both[1], both[0]]);
    assert_eq!(read_all(&*log.reader()), Ok(vec![first, second]));
}

/// A read answers with whole batches that fit in its limit, and with one where none fits.
pub fn a_read_gives_as_many_as_fit_and_at_least_one(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[100, 100, 3_000, 100, 100, 9_000, 100]);
    let reader = log.reader();
    for from in 0..appended.len() {
        let mut sums = Vec::new();
        for batch in &appended[from..] {
            sums.push(sums.last().unwrap_or(&0) + batch.bytes.len());
        }
        for (nth, sum) in sums.iter().enumerate() {
            for (bytes_max, fit) in [(sum - 1, nth.max(1)), (*sum, nth + 1), (sum + 1, nth + 1)] {
                let read = reader.read(from as u64 + 1, bytes_max).unwrap();
                assert_eq!(read, appended[from..from + fit], "from {from}, {bytes_max} bytes");
            }
        }
        assert_eq!(reader.read(from as u64 + 1, 0).unwrap(), appended[from..=from]);
    }
}

/// Behind the end there is nothing, which is no error; "from 0" is from the start.
pub fn a_read_beyond_the_end_is_empty(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[10, 20]);
    for from in [3, 4, u64::MAX] {
        assert_eq!(log.reader().read(from, usize::MAX), Ok(vec![]));
    }
    assert_eq!(log.reader().read(0, usize::MAX), Ok(appended));
}

/// The bound of a batch is the same for all logs.
pub fn the_longest_batch_is_taken_and_a_longer_one_refused(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let empty = batch_after((0, GENESIS), 1, 0).bytes.len();
    let room = SEALED_BYTES_MAX - empty;
    let tail = log.tail();
    let answer = log.append_if(tail, &batch_after(tail, 1, room + 1));
    assert!(matches!(answer, Err(LogError::Determinate(_))), "{answer:?}");
    let appended = append_all(&mut *log, &[10, room, 10, room, room]);
    assert_eq!(appended[1].bytes.len(), SEALED_BYTES_MAX);
    assert_eq!(read_all(&*log.reader()).unwrap(), appended);
    drop(log);
    assert_eq!(read_all(&*subject.open().reader()).unwrap(), appended);
}

/// No length is special, and neither are zeros: a client may send nothing else.
pub fn batches_of_every_length_are_read_back(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let mut appended = Vec::new();
    for bytes in (0..700).step_by(7).chain([1_021, 1_022, 1_023, 4_096]) {
        let tail = log.tail();
        let batch = batch_with(tail, 1, &vec![0; bytes], LOG);
        assert_eq!(log.append_if(tail, &batch), Ok(Appended::Committed));
        appended.push(batch);
    }
    drop(log);
    assert_eq!(read_all(&*subject.open().reader()).unwrap(), appended);
}

/// I3: what was committed is there when the log is opened again, byte for byte, and it goes on from there.
pub fn a_reopened_log_is_the_same_log(new: NewSubject<'_>) {
    let mut subject = new();
    let mut appended = Vec::new();
    for _ in 0..4 {
        let mut log = subject.open();
        assert_eq!(log.tail(), appended.last().map_or((0, GENESIS), tail_after));
        assert_eq!(read_all(&*log.reader()).unwrap(), appended);
        appended.extend(append_all(&mut *log, &[10, 9_000, 400]));
        assert_eq!(read_all(&*log.reader()).unwrap(), appended);
    }
    let log = subject.open();
    assert_eq!(log.tail(), log.reader().tail());
    assert_eq!(read_all(&*log.reader()).unwrap(), appended);
}

/// An answer that appends nothing rests on the tail it was decided on.
pub fn only_the_tail_is_confirmed(new: NewSubject<'_>) {
    let mut subject = new();
    let mut log = subject.open();
    let appended = append_all(&mut *log, &[10, 20]);
    assert_eq!(log.confirm(log.tail()), Ok(()));
    for at in [tail_after(&appended[0]), (2, GENESIS), (3, appended[1].hash), (0, GENESIS)] {
        let answer = log.confirm(at);
        assert!(matches!(answer, Err(LogError::Regressed(_))), "{at:?}: {answer:?}");
    }
}

/// I5: a reader on another thread sees everything that was acknowledged before it asked, and nothing whose
/// append had not begun when it was answered.
pub fn readers_see_what_is_committed_and_nothing_else(new: NewSubject<'_>) {
    const BATCHES: u64 = 100;
    let mut subject = new();
    let mut log = subject.open();
    let reader = log.reader();
    let (begun, committed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while committed.load(Ordering::SeqCst) < BATCHES {
                let before = committed.load(Ordering::SeqCst);
                let tail = reader.tail();
                let read = read_all(&*reader).unwrap();
                let after = begun.load(Ordering::SeqCst);
                let seen = read.len() as u64;
                assert!(before <= tail.0 && tail.0 <= seen, "{before} <= {} <= {seen}", tail.0);
                assert!(seen <= after, "{seen} batches were read when {after} had been begun");
                assert!(read.iter().zip(1..).all(|(batch, seq)| batch.header.seq == seq));
                if let Some(last) = tail.0.checked_sub(1) {
                    assert_eq!(tail_after(&read[last as usize]), tail);
                }
            }
        });
        for bytes in 0..BATCHES {
            begun.fetch_add(1, Ordering::SeqCst);
            append_all(&mut *log, &[bytes as usize * 37]);
            committed.fetch_add(1, Ordering::SeqCst);
        }
    });
}

/// No batch is lost or doubled, whichever of the first calls happen or not and are answered or not.
pub fn every_append_resolves_whatever_becomes_of_the_calls(new: NewSubject<'_>) {
    const CALLS: u32 = 4;
    for plan in 0..4_usize.pow(CALLS) {
        let mut subject = new();
        let mut fates = (0..CALLS).map(move |call| Fate::ALL[plan >> (2 * call) & 3]);
        let plan = move |call| match call {
            Call::Append => fates.next().unwrap_or(Fate::Answered),
            Call::Confirm | Call::Read => Fate::Answered,
        };
        let mut log = Faulty::new(subject.open(), plan);
        let mut appended = Vec::new();
        for id in 1..=2 {
            let tail = log.tail();
            let batch = batch_after(tail, id, 600);
            assert_eq!(append_surely(&mut log, tail, &batch), Ok(Appended::Committed));
            assert_eq!(log.confirm(tail_after(&batch)), Ok(()));
            appended.push(batch);
        }
        assert_eq!(read_all(&*log.reader()).unwrap(), appended);
    }
}

/// Two writers of one shared log, each behind a network that loses calls and answers: every batch that was
/// committed is there once, in its writer's order, and no other is.
pub fn two_writers_share_one_history(one: Box<dyn Log>, other: Box<dyn Log>) {
    const BATCHES: u128 = 50;
    let reader = one.reader();
    std::thread::scope(|scope| {
        for (writer, log) in [(1_000, one), (2_000, other)] {
            scope.spawn(move || {
                let mut calls = writer as usize;
                let mut log = Faulty::new(log, move |_| {
                    calls += 1;
                    Fate::ALL[calls * calls / 3 % 4]
                });
                let mut id = writer;
                while id < writer + BATCHES {
                    let tail = log.tail();
                    let batch = batch_after(tail, id, 100);
                    match append_surely(&mut log, tail, &batch).unwrap() {
                        Appended::Committed => id += 1,
                        Appended::Lost { head } => assert!(head > tail.0),
                    }
                }
            });
        }
    });
    let ids: Vec<_> = read_all(&*reader).unwrap().iter().map(|batch| batch.header.batch_id).collect();
    for writer in [1_000, 2_000] {
        let own: Vec<_> = ids.iter().copied().filter(|id| id / 1_000 == writer / 1_000).collect();
        assert_eq!(own, (writer..writer + BATCHES).collect::<Vec<_>>());
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}
