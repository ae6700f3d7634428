//! What befalls a node: crashes, power cuts, clocks that jump, rivals, and logs that lack a part of themselves.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use maitred_engine::clock::Clock;
use maitred_engine::log::{Log as _, LogError};
use maitred_engine::meta::{self, Schema};
use maitred_engine::publish::Shared;
use maitred_engine::queue::Queued;
use maitred_engine::recovery::{Recovery, RecoveryError};
use maitred_engine::store::Store;
use maitred_engine::writer::Writer;
use maitred_storage::disk::Disk as _;
use maitred_storage::log_file::FileLog;
use maitred_storage::snapshots::SnapshotFolder;
use maitred_storage::view_memory::MemoryStore;

use super::background::Moment;
use super::clients::envelope;
use super::{Asked, Crash, Promise, Result, World};
use crate::operation::Operation;
use crate::sabotage::{Rules, Sabotage};

impl World {
    pub(super) fn strike(&mut self) {
        let random = &mut self.random;
        match random.below(32) {
            0..3 => {
                let after = random.below(12);
                self.crash = Some(Crash::Process);
                self.disk.set_faults(|faults| faults.down_after = Some(after));
            }
            3..7 => {
                let after = random.below(12);
                let keep_of_8 = *random.pick(&[0, 1, 4, 7, 8]);
                self.crash = Some(Crash::Power { keep_of_8 });
                let disk = if random.chance(1, 8) { &self.snapshot_disk } else { &self.disk };
                disk.set_faults(|faults| faults.down_after = Some(after));
            }
            7 => self.disk.set_faults(|faults| faults.sync_fails = true),
            8..11 => {
                self.report.count("fault: disk full");
                let left = random.below(4) * 4096;
                self.disk.set_faults(|faults| faults.free_bytes = left);
            }
            11..15 => self.disk.set_faults(|faults| faults.free_bytes = u64::MAX),
            15..17 => {
                self.report.count("fault: clock back");
                self.clock.jump(-(random.below(5_000_000) as i64));
            }
            17 => {
                self.report.count("fault: clock far ahead");
                self.clock.jump(random.between(61, 7200) as i64 * 1_000_000);
            }
            18..20 => {
                if let Some(node) = &mut self.node {
                    node.guard.confirm(&*self.clock);
                }
            }
            20..22 => self.faults.lock().unknown = Some(random.chance(1, 2)),
            22..30 => self.moment = Some(Moment::any(random)),
            _ => self.rival(),
        }
    }

    /// Another node decides a command on the same tail, and will be there first.
    pub(super) fn rival(&mut self) {
        let Some(node) = &self.node else { return };
        if self.sabotage == Sabotage::AnswersEarly || !node.prepared.is_empty() {
            return;
        }
        let published = node.shared.published();
        let shared = Arc::new(Shared::new((*published).clone()));
        let seed = u128::from(self.random.bits());
        let mut rival = Writer::new(Arc::clone(&self.rules), Arc::clone(&self.store), shared, 0, seed);
        let operation = Operation::any(&mut self.random, self.steps, &self.model, self.clock.wall());
        let (reply, _) = tokio::sync::oneshot::channel();
        let arrived = self.clock.monotonic();
        let mut queue = VecDeque::from([Queued {
            envelope: envelope(&Asked::Operation(Box::new(operation.clone()))),
            reply,
            arrived,
        }]);
        let prepared = rival.decide(&mut queue, self.clock.wall());
        let Some(sealed) = prepared.sealed else { return };
        let answer = prepared.decided.into_iter().next().expect("one was decided").answer;
        self.rival = Some(Promise {
            tail: prepared.tail,
            entries: vec![(Asked::Operation(Box::new(operation)), answer)],
            offers: Default::default(), // no client offers anything
        });
        self.faults.lock().rival = Some(sealed);
    }

    pub(super) fn crash_now(&mut self) -> Result {
        self.node = None;
        self.rival_first = false;
        let mut faults = self.faults.lock();
        (faults.unknown, faults.rival, faults.killed) = (None, None, false);
        drop(faults);
        match self.crash.take() {
            Some(Crash::Power { keep_of_8 }) => {
                self.report.count("fault: power cut");
                self.disk.cut_power(&mut self.random, keep_of_8);
                self.snapshot_disk.cut_power(&mut self.random, keep_of_8);
                self.boot += 1;
            }
            _ => {
                self.report.count("fault: process killed");
                self.disk.restart_process();
                self.snapshot_disk.restart_process();
            }
        }
        for client in &mut self.clients {
            let asked = client.asked.take().map(|(asked, _)| asked);
            match &mut client.import {
                Some(import) => (import.next, client.again) = (0, None),
                None => client.again = asked.or(client.again.take()),
            }
        }
        Ok(())
    }

    /// The log broke under the process: it exits, and what is on the disk decides.
    pub(super) fn broken(&mut self, error: &LogError) -> Result {
        match error {
            LogError::Broken(_) => {}
            _ if self.disk.is_down() => {}
            other => return Err(format!("I3: a healthy disk made the log say: {other}")),
        }
        if !self.disk.is_down() {
            self.report.count("fault: sync failed");
        }
        self.crash_now()
    }

    /// I8: a log that has lost an older segment says so, at its start or when it is read: nothing that a version points
    /// to is missing without a word.
    pub(super) fn lose_older_segment(&mut self) -> Result {
        let disk = self.disk.copy();
        let names = disk.list().map_err(|error| error.to_string())?;
        let mut segments: Vec<_> = names.iter().filter(|name| name.ends_with(".segment")).collect();
        segments.pop();
        if segments.is_empty() {
            return Ok(());
        }
        let lost = self.random.pick(&segments);
        disk.remove(lost).map_err(|error| error.to_string())?;
        let found = FileLog::open(disk, self.options).and_then(|opened| {
            let reader = opened.log.reader();
            let mut read = 0;
            while read < reader.tail().0 {
                let batches = reader.read(read + 1, 1 << 20)?;
                read = batches.last().map_or(read, |batch| batch.header.seq);
                if batches.is_empty() {
                    break;
                }
            }
            Ok(read)
        });
        match found {
            Err(LogError::DataLoss(_)) => {
                self.report.count("lost older segment: said");
                Ok(())
            }
            Err(error) => Err(format!("I8: a log without an older segment says {error}")),
            Ok(read) => Err(format!("I8: a log without an older segment is read up to batch {read}")),
        }
    }

    /// Tries a start on a copy of everything whose log has lost its newest segment.
    pub(super) fn lose_segment(&mut self) -> Result {
        let disk = self.disk.copy();
        let names = disk.list().map_err(|error| error.to_string())?;
        let Some(newest) = names.iter().rfind(|name| name.ends_with(".segment")) else { return Ok(()) };
        disk.remove(newest).map_err(|error| error.to_string())?;
        let opened = FileLog::open(disk, self.options).map_err(|error| format!("a shorter log: {error}"))?;
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let kept = self.store.snapshot();
        let mut entries = Vec::new();
        kept.scan(&[], &[u8::MAX], &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        let filled = store.write(&mut entries.iter().map(|(key, value)| (&**key, Some(&**value))));
        filled.map_err(|error| error.to_string())?;
        let copied = meta::flushed(&*store.snapshot());
        let snapshots = SnapshotFolder::new(self.snapshot_disk.copy(), Schema::of::<Rules>());
        let boot = self.boot.to_be_bytes();
        let in_store = copied.filter(|_| meta::boot(&*store.snapshot()) == Some(&boot[..]));
        let in_snapshots = snapshots.newest_first().map_err(|error| error.to_string())?.first().copied();
        let end = opened.log.reader().tail().0;
        let proved = in_store.map(|flushed| flushed.tail.0).max(in_snapshots) > Some(end);
        let (log, snapshots) = (&*opened.log.reader(), &snapshots);
        let domain = &*self.rules;
        match (Recovery { domain, log, store: &store, snapshots, partition: 0, boot: &boot }.run(), proved) {
            (Err(RecoveryError::Log(LogError::DataLoss(_))), true) => {
                self.report.count("lost segment: refused");
                if meta::flushed(&*store.snapshot()) == copied {
                    return Ok(());
                }
                Err("I3: a start that was refused has changed the store".to_owned())
            }
            (Ok(_), false) => {
                self.report.count("lost segment: nothing proves it");
                Ok(())
            }
            (Ok(_), true) => Err("I3: a start passes over a segment that is missing".to_owned()),
            (Err(error), _) => Err(format!("I3: a log without its newest segment: {error}")),
        }
    }
}
