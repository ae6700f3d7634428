//! Events: what becomes of what a run states, and of what it states no more.

use std::collections::BTreeSet;

use maitred_core::{Class, Context, Decision, Read, Rejection};

use super::runs::{active, require_running};
use super::{APPLIED_BYTES_MAX, Applied, Decided, EVENT_BYTES_MAX, EVENTS_MAX, Outcome};
use crate::catalogue::command::{
    ApplyEvents, FeedEvent, FeedPlan, FeedZone, ID_CHARS_MAX, TITLE_CHARS_MAX, VanishEvents,
};
use crate::catalogue::fact::{Event, Fact, Gone, Plan, Provider, SellMode, Zone};
use crate::catalogue::view;
use crate::encoding;

pub(super) fn apply(view: &dyn Read, command: &ApplyEvents, cx: &Context) -> Decided {
    let provider = active(view, cx.tenant, &command.provider)?;
    require_running(view, cx.tenant, &command.provider, command.run)?;
    let known = view::state(view, cx.tenant, &command.provider).events;
    let mut room = Room::default();
    for stated in &command.events {
        let was = view::known(view, cx.tenant, &provider.name, &stated.external_id);
        if was.is_some_and(|was| was.digest == stated.digest && !was.gone) || room.has(&stated.external_id) {
            room.applied.taken += 1;
            continue;
        }
        let was =
            was.map(|was| view::event(view, cx.tenant, was.id, None).expect("a known event is there").is);
        if was.is_none() && known + u64::from(room.applied.created) >= EVENTS_MAX {
            let detail = format!("A provider has at most {EVENTS_MAX} events.");
            return Err(Rejection::new(Class::TooMany, "too-many-events", detail));
        }
        let is_new = was.is_none();
        let short = Some(stated).filter(|stated| is_short(stated));
        let Some((event, bytes)) = short.and_then(|stated| fitting(next(&provider, was, stated, cx))) else {
            room.applied.taken += 1;
            room.applied.too_large += 1;
            continue;
        };
        if !room.take(bytes) {
            break;
        }
        room.stated.insert(stated.external_id.clone());
        match is_new {
            true => room.applied.created += 1,
            false => room.applied.updated += 1,
        }
        room.facts.push(if is_new { Fact::EventCreated(event) } else { Fact::EventUpdated(event) });
    }
    Ok(Decision { facts: room.facts, outcome: Outcome::Applied(room.applied) })
}

pub(super) fn vanish(view: &dyn Read, command: &VanishEvents, cx: &Context) -> Decided {
    active(view, cx.tenant, &command.provider)?;
    require_running(view, cx.tenant, &command.provider, command.run)?;
    let mut room = Room::default();
    for (i, id) in command.events.iter().enumerate() {
        let found = view::event(view, cx.tenant, *id, None)
            .filter(|found| found.is.provider == command.provider && found.is.gone.is_none())
            .filter(|_| !command.events[..i].contains(id));
        let Some(found) = found else {
            room.applied.taken += 1;
            continue;
        };
        let last_seen_at = view::last_seen_at(view, cx.tenant, &found);
        let event = Event { gone: Some(Gone { at: cx.timestamp, last_seen_at }), ..found.is };
        if !room.take(bytes(&event)) {
            break;
        }
        room.applied.updated += 1;
        room.facts.push(Fact::EventVanished(event));
    }
    Ok(Decision { facts: room.facts, outcome: Outcome::Applied(room.applied) })
}

/// The facts of one command, as many as there is room for.
#[derive(Default)]
struct Room {
    facts: Vec<Fact>,
    applied: Applied,
    bytes: usize,
    stated: BTreeSet<String>,
}

impl Room {
    /// Whether an event is in this command already: it is stated once, and the first statement has the word.
    fn has(&self, external_id: &str) -> bool {
        self.stated.contains(external_id)
    }

    /// Takes one more fact of so many bytes, unless there is no room. The first always finds some.
    fn take(&mut self, bytes: usize) -> bool {
        if !self.facts.is_empty() && self.bytes + bytes > APPLIED_BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        self.applied.taken += 1;
        true
    }
}

/// What an event is once it is stated so.
fn next(provider: &Provider, was: Option<Event>, stated: &FeedEvent, cx: &Context) -> Event {
    let online = stated.sell_mode == Some(SellMode::Online);
    let (id, first_seen_at, ever_online, plans) = match was {
        Some(was) => (was.id, was.first_seen_at, was.ever_online || online, was.plans),
        None => (cx.ids.next(), cx.timestamp, online, Vec::new()),
    };
    Event {
        id,
        provider: provider.name.clone(),
        external_id: stated.external_id.clone(),
        title: stated.title.clone(),
        sell_mode: stated.sell_mode,
        organizer: stated.organizer.clone(),
        ever_online,
        currency: provider.currency,
        plans: next_plans(plans, &stated.plans),
        first_seen_at,
        gone: None,
        digest: stated.digest,
    }
}

/// The plans that are stated, in the order of the feed, and behind them those that are no more.
fn next_plans(was: Vec<Plan>, stated: &[FeedPlan]) -> Vec<Plan> {
    let mut was: Vec<(String, Plan)> = was.into_iter().map(|plan| (plan.id.clone(), plan)).collect();
    let mut plans = Vec::with_capacity(stated.len().max(was.len()));
    for stated in stated {
        let before = was.iter().position(|(id, _)| *id == stated.id);
        let zones = before.map(|i| was.remove(i).1.zones).unwrap_or_default();
        plans.push(Plan {
            id: stated.id.clone(),
            starts_at: stated.starts_at,
            ends_at: stated.ends_at,
            sell_from: stated.sell_from,
            sell_to: stated.sell_to,
            sold_out: stated.sold_out,
            vanished: false,
            zones: next_zones(zones, &stated.zones),
        });
    }
    plans.extend(was.into_iter().map(|(_, plan)| Plan { vanished: true, ..plan }));
    plans
}

fn next_zones(mut was: Vec<Zone>, stated: &[FeedZone]) -> Vec<Zone> {
    let mut zones = Vec::with_capacity(stated.len().max(was.len()));
    for stated in stated {
        was.retain(|zone| zone.id != stated.id);
        zones.push(Zone {
            id: stated.id.clone(),
            name: stated.name.clone(),
            capacity: stated.capacity,
            price: stated.price,
            numbered: stated.numbered,
            vanished: false,
        });
    }
    zones.extend(was.into_iter().map(|zone| Zone { vanished: true, ..zone }));
    zones
}

/// Whether a title and an id are short enough for a row of the search.
fn is_short(stated: &FeedEvent) -> bool {
    let short = |text: &str, chars_max: usize| text.len() <= chars_max || text.chars().count() <= chars_max;
    short(&stated.title, TITLE_CHARS_MAX) && short(&stated.external_id, ID_CHARS_MAX)
}

/// The event and its bytes, if it fits: plans that are missing from the feed give way, the first ones first.
fn fitting(mut event: Event) -> Option<(Event, usize)> {
    loop {
        let bytes = bytes(&event);
        if bytes <= EVENT_BYTES_MAX {
            return Some((event, bytes));
        }
        let oldest = event.plans.iter().enumerate().filter(|(_, plan)| plan.vanished);
        let (oldest, _) = oldest.min_by_key(|(_, plan)| plan.starts_at)?;
        event.plans.remove(oldest);
    }
}

fn bytes(event: &Event) -> usize {
    let mut out = Vec::with_capacity(512);
    encoding::encode(event, &mut out);
    out.len()
}
