//! A log in memory: the baseline of the conformance suite, and the log of tests.
//!
//! Several writers may hold it at once, as they would a shared log; it lives as long as one of its
//! handles. It declares no durability.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use maitred_core::Seq;
use maitred_engine::batch::{GENESIS, Sealed};
use maitred_engine::log::{Appended, Log, LogError, LogReader, Tail};

use crate::placement::{Place, confirm, place};

/// One writer's handle of a log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    log: u32,
    batches: Arc<Batches>,
}

#[derive(Debug, Default)]
struct Batches(RwLock<Vec<Sealed>>);

impl MemoryLog {
    /// A new, empty log with this number.
    pub fn new(log: u32) -> Self {
        MemoryLog { log, batches: Arc::default() }
    }

    /// Another writer's handle of the same log.
    #[must_use]
    pub fn another_writer(&self) -> Self {
        MemoryLog { log: self.log, batches: Arc::clone(&self.batches) }
    }
}

impl Log for MemoryLog {
    fn tail(&self) -> Tail {
        LogReader::tail(&*self.batches)
    }

    fn append_if(&mut self, expected: Tail, batch: &Sealed) -> Result<Appended, LogError> {
        let mut batches = self.batches.0.write().unwrap_or_else(PoisonError::into_inner);
        match place(self.log, tail_of(&batches), expected, batch)? {
            Place::Next => batches.push(batch.clone()),
            Place::Taken => {
                if batches[batch.header.seq as usize - 1].hash != batch.hash {
                    return Ok(Appended::Lost { head: tail_of(&batches).0 });
                }
            }
        }
        Ok(Appended::Committed)
    }

    fn confirm(&mut self, at: Tail) -> Result<(), LogError> {
        confirm(self.tail(), at)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::clone(&self.batches) as Arc<dyn LogReader>
    }
}

impl Batches {
    fn read(&self) -> RwLockReadGuard<'_, Vec<Sealed>> {
        // A push either happened or it did not: a poisoned lock guards nothing half done.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogReader for Batches {
    fn read(&self, from: Seq, bytes_max: usize) -> Result<Vec<Sealed>, LogError> {
        let batches = Batches::read(self);
        let mut chunk: Vec<Sealed> = Vec::new();
        let mut bytes = 0;
        for batch in batches.iter().skip(from.saturating_sub(1) as usize) {
            bytes += batch.bytes.len();
            if bytes > bytes_max && !chunk.is_empty() {
                break;
            }
            chunk.push(batch.clone());
        }
        Ok(chunk)
    }

    fn tail(&self) -> Tail {
        tail_of(&Batches::read(self))
    }
}

fn tail_of(batches: &[Sealed]) -> Tail {
    batches.last().map_or((0, GENESIS), |last| (last.header.seq, last.hash))
}
