//! Which changes are to be published, and when: a state machine without threads, clocks or I/O, as the engine has
//! them. The program calls [`Outbox::read`] whenever something is published in the log, sends what [`Outbox::pick`]
//! gives it in that order, and says what became of each.
//!
//! Invariant: once it has caught up it looks at those tenants alone that were touched since, and at those of whom there is
//! something left to read, however many there are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use maitred_core::{ChangeId, Ordinal, Position, Seq, TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_engine::backoff::Backoff;

use super::status::Publishing;
use crate::record::{self, Kind};
use crate::{changes, tenants};

/// The most changes that are read and not confirmed.
pub const WINDOW_MAX: usize = 2_048;
/// The most of these of one tenant.
pub const TENANT_WINDOW_MAX: usize = 512;
/// No further change is read while those that are there have so many bytes.
pub const WINDOW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most changes that are handed over and not confirmed.
pub const IN_FLIGHT_MAX: usize = 512;
/// The most changes of a tenant that one look passes.
const VISITS_MAX: usize = 4_096;
/// How many tenants are read of the directory at once.
const TENANTS_PAGE: usize = 1_000;
/// The cursor is kept though nothing was published when it has moved over so many batches.
const IDLE_BATCHES: u64 = 10_000;
/// The waits of a change that the broker did not take.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Which changes are published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those of the tenants of these slugs; of all where it is empty.
    pub tenants: Vec<String>,
    /// Those of records of these kinds; of all where it is empty.
    pub kinds: Vec<String>,
}

/// A change, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which change.
    pub change: ChangeId,
    /// The change's id in the API, the same whenever it is sent.
    pub id: String,
    /// The tenant's slug.
    pub tenant: String,
    /// The kind of record.
    pub kind: &'static str,
    /// What happened to it.
    pub change_type: &'static str,
    /// The position behind which it can be read.
    pub position: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The change as the change feed has it, in JSON.
    pub body: String,
}

impl Message {
    /// `<tenant>.<kind>.<change>`.
    pub fn routing_key(&self) -> String {
        format!("{}.{}.{}", self.tenant, self.kind, self.change_type)
    }
}

/// The changes of one publisher.
#[derive(Debug)]
pub struct Outbox {
    selection: Selection,
    /// The tenants whose changes are published, with their slugs.
    followed: BTreeMap<TenantNumber, String>,
    /// Those of them whose feeds may have more, and how far these were read. Those of the others were read as far as
    /// `caught_up`.
    behind: BTreeMap<TenantNumber, ChangeId>,
    /// The place behind the last batch whose tenants are all in `behind`, or read. `None` before anything was read.
    caught_up: Option<Seq>,
    /// In the order of the log.
    window: BTreeMap<ChangeId, Entry>,
    bytes: usize,
    /// Whose turn to be read was last.
    turn: TenantNumber,
    /// How often a tenant's feed was looked at.
    looks: u64,
    kept: ChangeId,
    /// Whether anything was confirmed since.
    moved: bool,
    backoff: Backoff,
}

/// Of which record a change is.
type Record = (TenantNumber, u8, u128);

#[derive(Debug)]
struct Entry {
    record: Record,
    message: Arc<Message>,
    failures: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not before this time of the monotonic clock.
    Waiting(Duration),
    /// Handed over.
    Sent,
}

impl Outbox {
    /// An outbox that goes on behind a cursor. `seed` is for the jitter of its waits.
    pub fn new(selection: Selection, cursor: ChangeId, seed: u64) -> Self {
        Outbox {
            selection,
            followed: BTreeMap::new(),
            behind: BTreeMap::new(),
            caught_up: None,
            window: BTreeMap::new(),
            bytes: 0,
            turn: TenantNumber::SYSTEM,
            looks: 0,
            kept: cursor,
            moved: false,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX, seed),
        }
    }

    /// Reads what is new, as far as there is room. True if it should be called again at once. `touched` tells whose
    /// commands were decided behind a batch, or more of them; `None` where it does not know.
    pub fn read(&mut self, view: &View, touched: impl FnOnce(Seq) -> Option<BTreeSet<TenantNumber>>) -> bool {
        self.catch_up(view, touched);
        let behind = self.behind.range((Excluded(self.turn), Unbounded)).map(|(number, _)| *number);
        let turns: Vec<_> =
            behind.chain(self.behind.range(..=self.turn).map(|(number, _)| *number)).collect();
        if turns.is_empty() {
            return false;
        }
        let mut of_tenant: HashMap<TenantNumber, usize> = HashMap::new();
        for entry in self.window.values() {
            *of_tenant.entry(entry.record.0).or_default() += 1;
        }
        let mut cut = false;
        for number in turns {
            if self.window.len() >= WINDOW_MAX || self.bytes >= WINDOW_BYTES_MAX {
                break;
            }
            self.turn = number;
            let held = of_tenant.get(&number).copied().unwrap_or(0);
            cut |= matches!(self.read_tenant(view, number, held), Read::Cut);
        }
        cut
    }

    /// How often a tenant's feed was looked at.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Learns whose feeds may have more since the last time.
    fn catch_up(&mut self, view: &View, touched: impl FnOnce(Seq) -> Option<BTreeSet<TenantNumber>>) {
        if self.caught_up == Some(view.seq()) {
            return;
        }
        self.look_up(view);
        if let Some(before) = self.caught_up {
            let place = behind_batch(before);
            match touched(before) {
                Some(touched) => {
                    for number in touched.into_iter().filter(|number| self.followed.contains_key(number)) {
                        self.behind.entry(number).or_insert(place);
                    }
                }
                None => {
                    for number in self.followed.keys() {
                        self.behind.entry(*number).or_insert(place);
                    }
                }
            }
        }
        self.caught_up = Some(view.seq());
    }

    /// The directory of tenants, if it has changed. Whoever is new in it is read behind the cursor.
    fn look_up(&mut self, view: &View) {
        let mut changed = self.caught_up.is_none();
        if let Some(before) = self.caught_up {
            record::changes(view, TenantNumber::SYSTEM, behind_batch(before), &mut |change| {
                changed = change.record.kind == Kind::Tenant;
                if changed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        if !changed {
            return;
        }
        let before = std::mem::take(&mut self.followed);
        let mut last = TenantNumber::SYSTEM;
        loop {
            let page = tenants::tenants(view, last, TENANTS_PAGE);
            for tenant in &page {
                last = tenant.profile.tenant();
                let slug = tenant.profile.slug.clone();
                if self.selection.tenants.is_empty() || self.selection.tenants.contains(&slug) {
                    if !before.contains_key(&last) {
                        self.behind.insert(last, self.kept);
                    }
                    self.followed.insert(last, slug);
                }
            }
            if page.len() < TENANTS_PAGE {
                break;
            }
        }
        self.behind.retain(|number, _| self.followed.contains_key(number));
    }

    /// Reads a tenant's feed on; `held` of its changes are in the window.
    fn read_tenant(&mut self, view: &View, number: TenantNumber, held: usize) -> Read {
        let (Some(slug), Some(read)) = (self.followed.get(&number), self.behind.get(&number).copied()) else {
            return Read::All;
        };
        self.looks += 1;
        let (mut held, mut visits, mut cut) = (held, 0, Read::All);
        let partition = view.position().partition;
        let mut last = read;
        record::changes(view, number, read, &mut |change| {
            cut = match () {
                () if held >= TENANT_WINDOW_MAX || self.bytes >= WINDOW_BYTES_MAX => Read::Full,
                () if self.window.len() >= WINDOW_MAX => Read::Full,
                () if visits >= VISITS_MAX => Read::Cut,
                () => Read::All,
            };
            if !matches!(cut, Read::All) {
                return ControlFlow::Break(());
            }
            visits += 1;
            let (kind, place) = (change.record.kind, change.version.change);
            last = place;
            let kinds = &self.selection.kinds;
            if !kinds.is_empty() && !kinds.iter().any(|wanted| wanted == kind.as_str()) {
                return ControlFlow::Continue(());
            }
            let (id, body) = changes::encode(view, &change);
            held += 1;
            self.bytes += body.len();
            let message = Arc::new(Message {
                change: place,
                id,
                tenant: slug.clone(),
                kind: kind.as_str(),
                change_type: change.change_type.as_str(),
                position: Position { partition, seq: place.seq }.to_string(),
                at: change.version.at,
                body,
            });
            let record = (number, kind as u8, change.record.id);
            let state = State::Waiting(Duration::ZERO);
            self.window.insert(place, Entry { record, message, failures: 0, state });
            ControlFlow::Continue(())
        });
        match cut {
            Read::All => self.behind.remove(&number),
            Read::Cut | Read::Full => self.behind.insert(number, last),
        };
        cut
    }

    /// What is to be sent now, in this order: of each record the first change that is not confirmed, unless it is on
    /// its way.
    pub fn pick(&mut self, now: Duration) -> Vec<Arc<Message>> {
        let sent = self.window.values().filter(|entry| matches!(entry.state, State::Sent)).count();
        let mut places = IN_FLIGHT_MAX.saturating_sub(sent);
        let mut seen = HashSet::new();
        let mut picked = Vec::new();
        for entry in self.window.values_mut() {
            if places == 0 {
                break;
            }
            let is_first = seen.insert(entry.record);
            if is_first && matches!(entry.state, State::Waiting(until) if until <= now) {
                entry.state = State::Sent;
                picked.push(Arc::clone(&entry.message));
                places -= 1;
            }
        }
        picked
    }

    /// When something is to be sent again that waits for its time.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        let waiting = self.window.values().filter_map(|entry| match entry.state {
            State::Waiting(until) if until > now => Some(until),
            _ => None,
        });
        waiting.min()
    }

    /// The broker has a change.
    pub fn confirmed(&mut self, change: ChangeId) {
        if let Some(entry) = self.window.remove(&change) {
            self.bytes -= entry.message.body.len();
            self.moved = true;
        }
    }

    /// The broker did not take a change: it is sent again, later each time.
    pub fn refused(&mut self, change: ChangeId, now: Duration) {
        if let Some(entry) = self.window.get_mut(&change) {
            entry.failures += 1;
            entry.state = State::Waiting(now + self.backoff.delay(entry.failures));
        }
    }

    /// The connection is lost: whether the broker has what was on its way is not known, so that goes out again. Says how
    /// many changes that are.
    pub fn lost(&mut self) -> usize {
        let sent = self.window.values_mut().filter(|entry| matches!(entry.state, State::Sent));
        sent.map(|entry| entry.state = State::Waiting(Duration::ZERO)).count()
    }

    /// Everything up to here is confirmed.
    pub fn done(&self) -> ChangeId {
        let window = self.window.keys().next().map(|first| before(*first));
        let read = self.behind.values().copied().min().or(self.caught_up.map(behind_batch));
        window.into_iter().chain(read).min().unwrap_or(self.kept).max(self.kept)
    }

    /// The cursor, if it is worth to be kept.
    pub fn cursor(&self) -> Option<ChangeId> {
        let done = self.done();
        let is_worth = self.moved || done.seq.saturating_sub(self.kept.seq) >= IDLE_BATCHES;
        (is_worth && done > self.kept).then_some(done)
    }

    /// The cursor is kept.
    pub fn kept(&mut self, cursor: ChangeId) {
        self.kept = self.kept.max(cursor);
        // What was confirmed while it was being kept is still to be kept.
        self.moved = self.done() > self.kept;
    }

    /// Says how far it is at `seq`.
    pub fn report(&self, seq: Seq, status: &Publishing) {
        let done = self.done();
        let whole = if done.ordinal == Ordinal::MAX { done.seq } else { done.seq.saturating_sub(1) };
        let oldest = self.window.values().map(|entry| entry.message.at.as_micros()).min();
        status.behind.store(seq.saturating_sub(whole), Relaxed);
        status.waiting.store(self.window.len() as u64, Relaxed);
        status.oldest.store(oldest.unwrap_or(0), Relaxed);
    }
}

/// How much of a tenant's feed was read.
enum Read {
    /// All that the view has.
    All,
    /// A piece: there is more, and there is room.
    Cut,
    /// Until there was no room.
    Full,
}

/// The place behind all of a batch.
fn behind_batch(seq: Seq) -> ChangeId {
    ChangeId { seq, ordinal: Ordinal::MAX }
}

/// The place before a change: all before it is done.
fn before(change: ChangeId) -> ChangeId {
    match change.ordinal {
        0 => behind_batch(change.seq.saturating_sub(1)),
        ordinal => ChangeId { ordinal: ordinal - 1, ..change },
    }
}
