//! The search for events by time: a range of entries, and of each its event's text, as it stands in the view.
//!
//! Invariants:
//! - An event is found once, at the first of its entries that matches; the entries say which one that is.
//! - A search visits at most [`VISITS_MAX`] entries and gives a cursor: a page may be short and have a next one.
//!
//! Sources: the replaced service's rule is [`Match::Start`], both ends included.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::time::{TIMESTAMP_MAX, TIMESTAMP_MIN};
use maitred_core::{Read, TenantNumber, Timestamp};

use super::rows::{self, Entry};
use crate::record::Index;

/// The most entries that one search looks at, so that no read keeps the store's transaction for long.
pub const VISITS_MAX: usize = 10_000;

/// When an event matches a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Match {
    /// A plan starts in it, both ends included.
    #[default]
    Start,
    /// A plan takes place in it, at least in part; both are half-open.
    Overlap,
    /// A plan starts and ends in it; the plan may end when the range does.
    Contained,
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The start of the range.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// How plans and range go together.
    pub matching: Match,
    /// Each of these stands in the title; folded ([`super::fold`]).
    pub words: Vec<String>,
    /// A zone costs at least so much, in minor units.
    pub min_price: Option<i64>,
    /// A zone costs at most so much.
    pub max_price: Option<i64>,
    /// The hash of the name of the provider.
    pub provider: Option<u128>,
}

impl Search {
    /// Whatever starts in a range.
    pub fn starting(from: Timestamp, to: Timestamp) -> Self {
        Search {
            from,
            to,
            matching: Match::Start,
            words: Vec::new(),
            min_price: None,
            max_price: None,
            provider: None,
        }
    }
}

/// Where a search goes on: behind this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its start.
    pub start: Timestamp,
    /// Its event.
    pub event: u128,
}

/// In which form events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the native API shows them.
    Native,
    /// As the replaced service did.
    Legacy,
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How many events.
    pub count: usize,
    /// Behind this place there may be more.
    pub next: Option<Place>,
}

/// Appends the events behind `after` to `out`, with commas between them, at most `limit`.
pub fn search(
    view: &dyn Read,
    tenant: TenantNumber,
    search: &Search,
    (after, limit): (Option<Place>, usize),
    form: Form,
    out: &mut Vec<u8>,
) -> Found {
    let mut found = Found { count: 0, next: None };
    let (mut visits, mut last) = (0, after);
    let Some((from, to)) = search.keys(view, tenant, after) else { return found };
    view.scan(&from, &to, &mut |key, value| {
        if visits == VISITS_MAX {
            found.next = last;
            return ControlFlow::Break(());
        }
        visits += 1;
        let mut parts = Parts(&key[key.len() - 24..]);
        let place = Place { start: parts.time(), event: parts.u128() };
        let entry = Entry::read(value);
        if search.is_first(view, tenant, place, &entry) && search.wants(&entry) {
            if found.count == limit {
                found.next = last;
                return ControlFlow::Break(());
            }
            if found.count > 0 {
                out.push(b',');
            }
            out.extend_from_slice(match form {
                Form::Native => entry.row,
                Form::Legacy => entry.legacy,
            });
            found.count += 1;
        }
        last = Some(place);
        ControlFlow::Continue(())
    });
    found
}

impl Search {
    /// The keys of the entries that may match, behind `after`.
    fn keys(
        &self,
        view: &dyn Read,
        tenant: TenantNumber,
        after: Option<Place>,
    ) -> Option<(maitred_core::Key, maitred_core::Key)> {
        let index = Index::EventByStart.key(tenant);
        let step = |at: Timestamp, micros: i64| Timestamp::from_micros(at.as_micros().saturating_add(micros));
        let (from, to) = match self.matching {
            Match::Start | Match::Contained => (self.from, step(self.to, 1)),
            Match::Overlap => {
                let longest = i64::try_from(rows::longest(view, tenant)).unwrap_or(i64::MAX);
                (step(self.from, longest.saturating_neg()), self.to)
            }
        };
        // No plan lies outside the years that the API knows.
        let from = from.max(TIMESTAMP_MIN);
        let to = to.min(step(TIMESTAMP_MAX, 1));
        let from = match after {
            Some(Place { start, event }) => index.time(start).u128(event).raw(&[0]),
            None => index.time(from),
        };
        let to = index.time(to);
        (from < to).then_some((from, to))
    }

    /// Whether an entry matches the range, and none of its event before it does.
    fn is_first(&self, view: &dyn Read, tenant: TenantNumber, place: Place, entry: &Entry<'_>) -> bool {
        match self.matching {
            Match::Start => entry.before < self.from,
            Match::Overlap => entry.end_max > self.from && entry.ended <= self.from,
            Match::Contained => {
                let mut before = entry.before;
                let mut first = entry.end_min <= self.to;
                while first && before >= self.from {
                    let key = rows::key(tenant, before, place.event);
                    let earlier = Entry::read(view.get(&key).expect("an entry names one that is there"));
                    first = earlier.end_min > self.to;
                    before = earlier.before;
                }
                first
            }
        }
    }

    fn wants(&self, entry: &Entry<'_>) -> bool {
        let priced = self.min_price.is_some() || self.max_price.is_some();
        let in_prices = || {
            entry.prices.is_some_and(|(min, max)| {
                self.min_price.is_none_or(|wanted| max >= wanted)
                    && self.max_price.is_none_or(|wanted| min <= wanted)
            })
        };
        let has_words = || {
            let title = std::str::from_utf8(entry.folded).unwrap_or_default();
            self.words.iter().all(|word| title.contains(word.as_str()))
        };
        self.provider.is_none_or(|wanted| entry.provider == wanted)
            && (!priced || in_prices())
            && (self.words.is_empty() || has_words())
    }
}
