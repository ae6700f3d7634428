//! What is known of one endpoint: how far it is in the feed, what is under way to it, and its lanes.
//!
//! ```text
//!   feed ──read──▶ window: waits ──▶ flying ──▶ done (2xx)
//!   replay ──read──▶   │                └─▶ noting a failure ──▶ done (a lane stands for it)
//!                      └──▶ done, where a lane stands for it already
//!   lanes: waits until it is due ──▶ flying ──▶ noting what came of it ──▶ as the view says
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use maitred_core::{ChangeId, TenantNumber, Timestamp};
use maitred_engine::View;
use uuid::Uuid;

use super::noting::{Enter, Noting};
use super::schedule::{self, Random};
use super::{AILING_AFTER, ENDPOINT_IN_FLIGHT_MAX, PAUSE_MAX, WINDOW_MAX, delivery_id, place_before};
use crate::webhooks::command::Failed;
use crate::webhooks::courier::{Job, Webhooks};
use crate::webhooks::fact::{Attempt, Cursor, Endpoint, Lane, Place, RecordKey, Replay};
use crate::webhooks::rules::LANES_MAX;
use crate::webhooks::secret::{self, Secret};
use crate::webhooks::view::{self, State};
use crate::webhooks::{Command, courier};
use crate::{changes, record};

/// The most changes of a feed that one step looks at.
const LOOKED_AT_MAX: usize = 1_000;

/// One endpoint.
#[derive(Debug)]
pub(super) struct Follower {
    endpoint: Endpoint,
    /// What signs, the newest first, and until when the last one does.
    secrets: (Vec<Secret>, Option<Timestamp>),
    touched: Place,
    feed: Part,
    replay: Option<(Part, Place)>,
    window: VecDeque<Item>,
    lanes: BTreeMap<RecordKey, InLane>,
    /// Since when it fails, by the view.
    failing: bool,
    /// The command that says that it answers again.
    recovering: Option<Noting>,
    in_flight: usize,
    /// How many deliveries failed in a row.
    streak: u32,
    /// How many succeeded in a row.
    answered: usize,
    paused_until: Timestamp,
    /// What was tried before then is due.
    answers_since: Timestamp,
}

/// A part of the feed that is read.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Everything up to here was read.
    read: ChangeId,
    /// The cursor that is kept.
    kept: Place,
}

/// Where a delivery comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Feed,
    Replay,
    Lane(RecordKey),
}

/// A change that was read and is not passed yet.
#[derive(Debug)]
struct Item {
    change: ChangeId,
    record: RecordKey,
    at: Timestamp,
    source: Source,
    state: Doing,
}

#[derive(Debug)]
struct InLane {
    lane: Lane,
    state: Doing,
}

#[derive(Debug)]
enum Doing {
    Waits,
    /// This change is under way.
    Flies(ChangeId),
    Noting(Noting),
    Done,
}

/// A delivery that can begin.
#[derive(Debug)]
pub(super) struct Picked {
    pub(super) change: ChangeId,
    pub(super) source: Source,
    pub(super) payload: String,
}

impl Follower {
    /// What the view says of an endpoint, on top of what was known; `None` where nothing is delivered to it.
    pub(super) fn refreshed(
        known: Option<Follower>,
        view: &View,
        (tenant, id): (TenantNumber, Uuid),
        state: &State,
        webhooks: &Webhooks,
    ) -> Option<Follower> {
        let endpoint = view::endpoint(view, tenant, id, None)?.is;
        if !endpoint.delivers() {
            return None;
        }
        let read = |place: Place| Part { read: place.into(), kept: place };
        let known = known.unwrap_or_else(|| Follower {
            endpoint: endpoint.clone(),
            secrets: (Vec::new(), None),
            touched: state.touched,
            feed: read(state.through),
            replay: None,
            window: VecDeque::new(),
            lanes: BTreeMap::new(),
            failing: false,
            recovering: None,
            in_flight: 0,
            streak: 0,
            answered: 0,
            paused_until: Timestamp::default(),
            answers_since: Timestamp::default(),
        });
        let open = |sealed| webhooks.sealer()?.open(sealed, tenant, id);
        let newest = open(&endpoint.secret);
        if newest.is_none() {
            tracing::error!(webhook.id = %id, "the secret of a webhook cannot be opened: rotate it");
        }
        let previous = endpoint.previous.as_ref();
        let secrets =
            newest.into_iter().chain(previous.and_then(|previous| open(&previous.secret))).collect();
        let until = previous.map(|previous| previous.until);
        let mut lanes = known.lanes;
        let all = view::lanes(view, tenant, id, None, LANES_MAX as usize + WINDOW_MAX);
        let lanes = all.into_iter().map(|(record, lane)| {
            let state = lanes.remove(&record).map_or(Doing::Waits, |was| was.state);
            (record, InLane { lane, state })
        });
        let begun = || state.replay.map(|Replay { through, to }| (read(through), to));
        Some(Follower {
            endpoint,
            secrets: (secrets, until),
            touched: state.touched,
            replay: known.replay.or_else(begun),
            lanes: lanes.collect(),
            failing: state.failing_since.is_some(),
            ..known
        })
    }

    /// Whether the view says nothing of it that is not known.
    pub(super) fn is_current(&self, state: &State) -> bool {
        self.touched == state.touched
    }

    /// Whether its last delivery failed.
    pub(super) fn is_ailing(&self) -> bool {
        self.streak > 0
    }

    // ---- the feed -------------------------------------------------------------------------------------

    /// Reads on in the feed, and in the part that is sent again. True when there may be more at once.
    pub(super) fn read(&mut self, view: &View, tenant: TenantNumber) -> bool {
        let mut more = false;
        if let Some((part, to)) = &mut self.replay {
            let to = ChangeId::from(*to);
            let found = read_part(view, tenant, &self.endpoint, (part, Source::Replay), &mut self.window, to);
            more |= found;
            if !found && self.window.len() < WINDOW_MAX {
                part.read = part.read.max(to); // nothing is left of it
            }
        }
        let end = ChangeId { seq: view.seq(), ordinal: u32::MAX };
        let room = self.lanes.len() < LANES_MAX as usize;
        more | (room
            && read_part(view, tenant, &self.endpoint, (&mut self.feed, Source::Feed), &mut self.window, end))
    }

    /// Where the parts are now, if they are further than what is kept.
    pub(super) fn moved(&self) -> Option<(Place, Option<Place>)> {
        let through = self.done(Source::Feed, self.feed);
        let replayed = self.replay.map(|(part, _)| (self.done(Source::Replay, part), part.kept));
        let moved = through > self.feed.kept || replayed.is_some_and(|(done, kept)| done > kept);
        moved.then_some((through, replayed.map(|(done, _)| done)))
    }

    /// The cursor is kept.
    pub(super) fn kept(&mut self, cursor: &Cursor) {
        self.feed.kept = self.feed.kept.max(cursor.through);
        if let (Some((part, to)), Some(replayed)) = (&mut self.replay, cursor.replayed) {
            part.kept = part.kept.max(replayed);
            if part.kept >= *to {
                self.replay = None;
            }
        }
    }

    fn done(&self, source: Source, part: Part) -> Place {
        let first =
            self.window.iter().find(|item| item.source == source && !matches!(item.state, Doing::Done));
        first.map_or(part.read.into(), |item| place_before(item.change))
    }

    // ---- deliveries -----------------------------------------------------------------------------------

    /// The next delivery that can begin, the lanes first.
    pub(super) fn pick(&mut self, view: &View, tenant: TenantNumber, now: Timestamp) -> Option<Picked> {
        let places = self.answered.saturating_add(1).min(ENDPOINT_IN_FLIGHT_MAX);
        if self.in_flight >= places || now < self.paused_until || self.secrets.0.is_empty() {
            return None;
        }
        let (source, change) = self.due_lane(view, tenant, now).or_else(|| self.next_item())?;
        let encode = |change: &record::Change<'_>| changes::encode(view, change).1;
        let payload =
            view::with_change(view, tenant, change, encode).expect("a change that was read is there");
        Some(Picked { change, source, payload })
    }

    fn due_lane(&mut self, view: &View, tenant: TenantNumber, now: Timestamp) -> Option<(Source, ChangeId)> {
        let under_way: BTreeSet<RecordKey> = self
            .window
            .iter()
            .filter(|item| matches!(item.state, Doing::Flies(_) | Doing::Noting(_)))
            .map(|item| item.record)
            .collect();
        let through = self.feed.read;
        for (record, InLane { lane, state }) in &mut self.lanes {
            let tried = lane.last.as_ref().map_or(Timestamp::default(), |last| last.at);
            let is_due = lane.next_at <= now || tried < self.answers_since;
            if !matches!(state, Doing::Waits) || !is_due || under_way.contains(record) {
                continue;
            }
            let change = ChangeId::from(lane.change);
            let wants = |change: &record::Change<'_>| {
                self.endpoint.wants(change.record.kind.as_str(), change.change_type.as_str())
            };
            if view::with_change(view, tenant, change, wants).unwrap_or(false) {
                return Some((Source::Lane(*record), change));
            }
            // Its filter has changed since: this one is passed by.
            let (endpoint, record) = (self.endpoint.id, *record);
            *state =
                Doing::Noting(Noting::new(Command::Deliver { endpoint, record, change, through }, through));
        }
        None
    }

    fn next_item(&mut self) -> Option<(Source, ChangeId)> {
        let mut before = BTreeSet::new();
        for item in &mut self.window {
            if matches!(item.state, Doing::Done) || !before.insert(item.record) {
                continue;
            }
            if !matches!(item.state, Doing::Waits) {
                continue;
            }
            match self.lanes.get(&item.record) {
                Some(lane) if lane.stands_for(item.change) => {
                    item.state = Doing::Done;
                    before.remove(&item.record);
                }
                Some(InLane { state: Doing::Waits, .. }) | None => return Some((item.source, item.change)),
                Some(_) => {}
            }
        }
        None
    }

    /// A delivery has begun.
    pub(super) fn begin(&mut self, source: Source, change: ChangeId) {
        self.in_flight += 1;
        if let Some(state) = self.state_of(source, change) {
            *state = Doing::Flies(change);
        }
    }

    /// What is sent.
    pub(super) fn job(
        &self,
        view: &View,
        endpoint: Uuid,
        change: ChangeId,
        payload: String,
        now: Timestamp,
    ) -> Job {
        let id = delivery_id(view.position().partition, endpoint, change);
        let (secrets, until) = &self.secrets;
        let signing = if until.is_some_and(|until| now >= until) { 1 } else { secrets.len() };
        let signature =
            secret::signatures(&secrets[..signing.min(secrets.len())], &id, now, payload.as_bytes());
        Job { url: self.endpoint.url.clone(), id, at: now, signature, payload }
    }

    /// A delivery has ended.
    pub(super) fn finished(
        &mut self,
        source: Source,
        change: ChangeId,
        (attempt, retry_after): (Attempt, Option<Duration>),
        now: Timestamp,
        random: &mut Random,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let (endpoint, through) = (self.endpoint.id, self.feed.read);
        if courier::is_accepted(&attempt) {
            if self.streak >= AILING_AFTER {
                self.answers_since = now;
            }
            (self.streak, self.paused_until) = (0, Timestamp::default());
            self.answered = self.answered.saturating_add(1);
            let Source::Lane(record) = source else {
                if self.failing && self.recovering.is_none() {
                    self.recovering = Some(Noting::new(Command::Recover { endpoint }, through));
                }
                return self.set(source, change, Doing::Done);
            };
            // From now on the lane goes on up to here, and no further: what is read later comes by itself.
            for item in &mut self.window {
                if item.record == record && item.change > change && matches!(item.state, Doing::Waits) {
                    item.state = Doing::Done;
                }
            }
            let deliver = Command::Deliver { endpoint, record, change, through };
            return self.set(source, change, Doing::Noting(Noting::new(deliver, through)));
        }
        (self.streak, self.answered) = (self.streak.saturating_add(1), 0);
        self.paused_until = self.paused_until.max(schedule::pause(self.streak, now, retry_after, random));
        let record = match source {
            Source::Lane(record) => Some(record),
            _ => self.item(source, change).map(|item| item.record),
        };
        let Some(record) = record else { return };
        let place = Place::from(change);
        let lane = self.lanes.get(&record).map(|lane| &lane.lane).filter(|lane| lane.change == place);
        let attempts = lane.map_or(0, |lane| lane.attempts) + 1;
        let next_at = schedule::next_attempt(attempts, now, retry_after, random);
        let gone = attempt.status == Some(410);
        let failed = Failed { endpoint, record, change, attempt, next_at, through, gone };
        self.set(source, change, Doing::Noting(Noting::new(Command::Fail(failed), through)));
    }

    /// Notes what came of deliveries, and takes what is done off the window.
    pub(super) fn note(&mut self, view: &View, now: Timestamp, enter: Enter<'_>) -> bool {
        let mut waits = false;
        for InLane { state, .. } in self.lanes.values_mut() {
            let Doing::Noting(noting) = state else { continue };
            match noting.look(view, enter) {
                Ok(false) => waits = true,
                // The view has said what the lane is now.
                Ok(true) | Err(()) => *state = Doing::Waits,
            }
        }
        for item in &mut self.window {
            let Doing::Noting(noting) = &mut item.state else { continue };
            match noting.look(view, enter) {
                Ok(false) => waits = true,
                Ok(true) => item.state = Doing::Done,
                // There are too many lanes: it is tried again, like one that was not tried.
                Err(()) => {
                    item.state = Doing::Waits;
                    self.paused_until = self.paused_until.max(schedule::later(now, PAUSE_MAX));
                }
            }
        }
        if let Some(noting) = &mut self.recovering {
            match noting.look(view, enter) {
                Ok(false) => waits = true,
                Ok(true) | Err(()) => self.recovering = None,
            }
        }
        self.window.retain(|item| !matches!(item.state, Doing::Done));
        waits
    }

    // ---- what is said of it ---------------------------------------------------------------------------

    pub(super) fn depth(&self) -> usize {
        self.window.len() + self.lanes.len()
    }

    pub(super) fn oldest(&self, view: &View) -> Option<Timestamp> {
        let lane = self.lanes.values().map(|lane| lane.lane.change.seq).min();
        let waiting = self.window.iter().map(|item| item.at);
        waiting.chain(lane.map(|seq| view.timestamp_of(seq))).min()
    }

    fn item(&mut self, source: Source, change: ChangeId) -> Option<&mut Item> {
        self.window.iter_mut().find(|item| item.source == source && item.change == change)
    }

    fn state_of(&mut self, source: Source, change: ChangeId) -> Option<&mut Doing> {
        match source {
            Source::Lane(record) => self.lanes.get_mut(&record).map(|lane| &mut lane.state),
            _ => self.item(source, change).map(|item| &mut item.state),
        }
    }

    /// Sets what is done about a delivery, unless the endpoint was built anew in between.
    fn set(&mut self, source: Source, change: ChangeId, doing: Doing) {
        if let Some(state) = self.state_of(source, change)
            && matches!(state, Doing::Flies(flying) if *flying == change)
        {
            *state = doing;
        }
    }
}

impl InLane {
    /// Whether the lane will deliver this change.
    fn stands_for(&self, change: ChangeId) -> bool {
        let noting = match &self.state {
            Doing::Noting(noting) => Some(noting.through),
            _ => None,
        };
        change >= self.lane.change.into() && noting.is_none_or(|through| change <= through)
    }
}

/// Reads what is wanted of a part into the window. True when there may be more.
fn read_part(
    view: &View,
    tenant: TenantNumber,
    endpoint: &Endpoint,
    (part, source): (&mut Part, Source),
    window: &mut VecDeque<Item>,
    to: ChangeId,
) -> bool {
    if window.len() >= WINDOW_MAX || part.read >= to {
        return false;
    }
    let (mut looked_at, mut more) = (0, false);
    record::changes(view, tenant, part.read, &mut |change| {
        let place = change.version.change;
        if place > to {
            return ControlFlow::Break(());
        }
        if window.len() >= WINDOW_MAX || looked_at >= LOOKED_AT_MAX {
            more = looked_at >= LOOKED_AT_MAX;
            return ControlFlow::Break(());
        }
        (looked_at, part.read) = (looked_at + 1, place);
        if endpoint.wants(change.record.kind.as_str(), change.change_type.as_str()) {
            let record = view::record_key(change.record);
            window.push_back(Item {
                change: place,
                record,
                at: change.version.at,
                source,
                state: Doing::Waits,
            });
        }
        ControlFlow::Continue(())
    });
    more
}
