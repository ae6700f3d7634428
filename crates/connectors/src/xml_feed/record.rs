//! What a feed holds: events with plans (dates) with zones (seats at a price).

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::limits::{EVENT_BYTES_MAX, PLANS_MAX, ZONES_MAX};

/// An event of a provider: a concert, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `base_plan_id`: 1 to [`super::limits::ID_CHARS_MAX`] characters, unique for the provider.
    pub id: String,
    /// At most [`super::limits::TEXT_CHARS_MAX`] characters; may be empty.
    pub title: String,
    /// None for a mode that is unknown, or not given.
    pub sell_mode: Option<SellMode>,
    /// The provider's id of who organises it, if given.
    pub organizer_company_id: Option<String>,
    /// In the order of their ids, each once. An event without any is kept.
    pub plans: Vec<Plan>,
}

/// Where an event is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SellMode {
    /// `online`, in any case of letters.
    Online,
    /// `offline`, in any case of letters.
    Offline,
}

/// A date of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// `plan_id`, unique for the event.
    pub id: String,
    /// When it begins.
    pub starts_at: Moment,
    /// When it ends; feeds are known that end before they begin.
    pub ends_at: Moment,
    /// When its sale begins.
    pub sell_from: Moment,
    /// When its sale ends.
    pub sell_to: Moment,
    /// Whether nothing is left, says the provider.
    pub sold_out: bool,
    /// In the order of their ids, each once.
    pub zones: Vec<Zone>,
}

/// A part of a venue, at one price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// `zone_id`, unique for the plan.
    pub id: String,
    /// How many it holds.
    pub capacity: u32,
    /// In minor units of the provider's currency ([`super::Options::price_decimals`]), rounded half away from zero; may be
    /// negative, as those that are served are taken. None for `NaN`.
    pub price_minor: Option<i64>,
    /// At most [`super::limits::TEXT_CHARS_MAX`] characters; may be empty.
    pub name: String,
    /// Whether its seats have numbers.
    pub numbered: bool,
}

/// When something is, in whole milliseconds, from year 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Given without an offset: a time on the walls of the provider.
    Civil(DateTime),
    /// Given with one.
    Instant(Timestamp),
}

impl SellMode {
    /// As feeds write it.
    pub fn as_str(self) -> &'static str {
        match self {
            SellMode::Online => "online",
            SellMode::Offline => "offline",
        }
    }

    /// Reads a mode; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [SellMode::Online, SellMode::Offline]
            .into_iter()
            .find(|mode| text.eq_ignore_ascii_case(mode.as_str()))
    }
}

impl Event {
    /// What it takes to store, about: its texts, and a dozen bytes for each number and time.
    pub fn size(&self) -> usize {
        let company = self.organizer_company_id.as_ref().map_or(0, String::len);
        let plans: usize = self.plans.iter().map(Plan::size).sum();
        16 + self.id.len() + self.title.len() + company + plans
    }

    /// What it takes in memory, about.
    pub(super) fn footprint(&self) -> usize {
        let zones = self.plans.iter().map(|plan| plan.zones.len()).sum::<usize>();
        let texts = 3 + self.plans.len() * 2 + zones * 2;
        let records = size_of::<Self>() + self.plans.len() * size_of::<Plan>() + zones * size_of::<Zone>();
        // Each text is an allocation of its own, with what the allocator adds.
        self.size() + records + texts * 16
    }

    /// Whether it may be kept.
    pub(super) fn fits(&self) -> bool {
        let zones = self.plans.iter().map(|plan| plan.zones.len()).sum::<usize>();
        self.plans.len() <= PLANS_MAX && zones <= ZONES_MAX && self.size() <= EVENT_BYTES_MAX
    }

    /// Takes over what a later occurrence of the same event says: its attributes, and its plans into these.
    pub(super) fn merge(&mut self, mut later: Event) {
        self.plans.append(&mut later.plans);
        later.plans = std::mem::take(&mut self.plans);
        later.settle();
        *self = later;
    }

    /// Puts plans in order and merges those that are repeated; returns how many were.
    pub(super) fn settle(&mut self) -> u64 {
        let before = self.plans.len();
        // The sort is stable: of two with one id the earlier stays in front.
        self.plans.sort_by(|a, b| by_id(&a.id, &b.id));
        self.plans.dedup_by(|later, earlier| {
            let same = later.id == earlier.id;
            if same {
                earlier.zones.append(&mut later.zones);
                later.zones = std::mem::take(&mut earlier.zones);
                later.settle();
                std::mem::swap(later, earlier);
            }
            same
        });
        (before - self.plans.len()) as u64
    }
}

impl Plan {
    pub(super) fn size(&self) -> usize {
        64 + self.id.len() + self.zones.iter().map(Zone::size).sum::<usize>()
    }

    /// Puts zones in order, of those that are repeated the last; returns how many were.
    pub(super) fn settle(&mut self) -> u64 {
        let before = self.zones.len();
        self.zones.sort_by(|a, b| by_id(&a.id, &b.id));
        self.zones.dedup_by(|later, earlier| {
            let same = later.id == earlier.id;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        (before - self.zones.len()) as u64
    }
}

impl Zone {
    pub(super) fn size(&self) -> usize {
        24 + self.id.len() + self.name.len()
    }
}

/// The shorter id first, so that numbers stand in the order of numbers.
fn by_id(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
