//! The file log, with the answers that only a shared log gives: appends of unknown outcome, and appends
//! that lose their place to another writer's batch.

use std::sync::{Arc, Mutex, MutexGuard};

use maitred_engine::batch::Sealed;
use maitred_engine::log::{Appended, Log, LogError, LogReader, Tail};
use maitred_storage::log_file::FileLog;

use crate::disk::SimDisk;

/// What the next append meets.
#[derive(Debug, Default)]
pub struct LogFaults {
    /// It happens or not, and nobody is told which.
    pub unknown: Option<bool>,
    /// Another writer's batch is there first.
    pub rival: Option<Sealed>,
    /// Whether it was, once that is known.
    pub rival_first: Option<bool>,
    /// Appends are answered one late: what was answered last is not in the log yet. No honest log does this.
    pub answers_early: bool,
    /// The process is killed behind the next append that happens: nobody is told of it.
    pub killed: bool,
    late: Option<Sealed>,
}

/// The faults of a log, shared between the world and the log.
#[derive(Debug, Clone, Default)]
pub struct SharedFaults(Arc<Mutex<LogFaults>>);

impl SharedFaults {
    /// The faults, to look at or change.
    pub fn lock(&self) -> MutexGuard<'_, LogFaults> {
        self.0.lock().expect("the simulation has one thread")
    }
}

/// The file log with faults in front.
pub struct SimLog {
    inner: FileLog<SimDisk>,
    faults: SharedFaults,
}

impl SimLog {
    /// Puts `faults` before `inner`.
    pub fn new(inner: FileLog<SimDisk>, faults: SharedFaults) -> Self {
        let mut state = faults.lock();
        (state.late, state.killed) = (None, false);
        drop(state);
        SimLog { inner, faults }
    }
}

impl Log for SimLog {
    fn tail(&self) -> Tail {
        self.inner.tail()
    }

    fn append_if(&mut self, expected: Tail, batch: &Sealed) -> Result<Appended, LogError> {
        let mut faults = self.faults.lock();
        if faults.answers_early {
            if let Some(late) = faults.late.replace(batch.clone()) {
                let tail = self.inner.tail();
                self.inner.append_if(tail, &late)?;
            }
            return Ok(Appended::Committed);
        }
        if let Some(rival) = faults.rival.take() {
            let appended = self.inner.append_if(expected, &rival);
            faults.rival_first = Some(appended == Ok(Appended::Committed));
            appended?;
        }
        let unknown = faults.unknown.take();
        drop(faults);
        match unknown {
            None => {
                let appended = self.inner.append_if(expected, batch)?;
                if appended == Appended::Committed && std::mem::take(&mut self.faults.lock().killed) {
                    return Err(LogError::Broken("the process was killed (simulated)".into()));
                }
                Ok(appended)
            }
            Some(happens) => {
                if happens {
                    self.inner.append_if(expected, batch)?;
                }
                Err(LogError::Indeterminate("no answer (simulated)".into()))
            }
        }
    }

    fn confirm(&mut self, at: Tail) -> Result<(), LogError> {
        if self.faults.lock().answers_early {
            return Ok(());
        }
        self.inner.confirm(at)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.inner.reader()
    }
}
