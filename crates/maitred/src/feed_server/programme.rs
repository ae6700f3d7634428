//! The events that a provider of the feed server sells: made up, and the same for the same seed.
//!
//! A programme goes from revision to revision: each event has other prices and fewer places every fiftieth revision,
//! a new title every two hundredth, and one in a hundred is missing from a revision. What an event is like at a
//! revision follows from the seed, the provider, its number and the revision alone.

use jiff::ToSpan;
use jiff::civil::Date;
use maitred_connectors::xml_feed::{Event, Moment, Plan, SellMode, Zone};

/// Revisions until an event has changed.
const CHANGE_REVISIONS: u64 = 50;
/// Changes until it has another title.
const TITLE_CHANGES: u64 = 4;
/// In one of so many revisions an event is missing.
const MISSING_REVISIONS: u64 = 100;
/// Over so many days from the first events are spread.
const DAYS: u64 = 180;

const ARTISTS: [&str; 16] = [
    "Camela",
    "Los Morancos",
    "Pantomima Full",
    "Orquesta Sinfónica",
    "Niña Pastori",
    "El Kanka",
    "Café Quijano",
    "Rozalén",
    "Vetusta Morla",
    "Ballet Nacional",
    "Tricicle",
    "Ara Malikian",
    "La Fura dels Baus",
    "Lori Meyers",
    "Coro de la Catedral",
    "Zahara & Amigos",
];
const FORMS: [&str; 8] = [
    "en concierto",
    "gira de otoño",
    "acústico",
    "todo por el aire",
    "matiné",
    "gala benéfica",
    "última función",
    "noche <única>",
];
const ZONES: [&str; 6] = ["Platea", "Anfiteatro", "Grada", "Palco", "Pista", "Visión reducida"];

/// The events of a provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Programme {
    pub(super) seed: u64,
    /// From 1.
    pub(super) provider: u32,
    /// How many, missing ones counted.
    pub(super) events: u64,
    /// The first day of events.
    pub(super) from: Date,
}

impl Programme {
    /// An event at a revision; none if it is missing there.
    pub(super) fn event(&self, number: u64, revision: u64) -> Option<Event> {
        let random = |what: u64| mix(self.seed, u64::from(self.provider), number, what);
        if (random(0) + revision).is_multiple_of(MISSING_REVISIONS) {
            return None;
        }
        let changes = (random(1) % CHANGE_REVISIONS + revision) / CHANGE_REVISIONS;
        let artist = pick(&ARTISTS, random(2));
        let form = pick(&FORMS, random(3) + changes / TITLE_CHANGES);
        Some(Event {
            id: (number * 7 + 291).to_string(),
            title: format!("{artist} {form}"),
            sell_mode: Some(if random(4) % 20 < 17 { SellMode::Online } else { SellMode::Offline }),
            organizer_company_id: random(5).is_multiple_of(3).then(|| (random(5) % 40).to_string()),
            plans: (0..1 + random(6) % 3).map(|plan| self.plan(number, plan, changes)).collect(),
        })
    }

    fn plan(&self, number: u64, plan: u64, changes: u64) -> Plan {
        let random = |what: u64| mix(self.seed, u64::from(self.provider), number * 4 + plan, 100 + what);
        let first_day = mix(self.seed, u64::from(self.provider), number, 99) % DAYS;
        let days = (first_day + plan) as i64;
        let day = self.from.checked_add(days.days()).unwrap_or(self.from);
        let hour = 17 + (random(0) % 5) as i8;
        let sale = self.from.checked_sub(30.days()).unwrap_or(self.from);
        Plan {
            id: (number * 7 + 291 + plan).to_string(),
            starts_at: Moment::Civil(day.at(hour, 30 * (random(1) % 2) as i8, 0, 0)),
            ends_at: Moment::Civil(day.at(hour + 1 + (random(2) % 2) as i8, 30, 0, 0)),
            sell_from: Moment::Civil(sale.at(0, 0, 0, 0)),
            sell_to: Moment::Civil(day.at(hour - 1, 0, 0, 0)),
            sold_out: (random(3) + changes).is_multiple_of(15),
            zones: (0..1 + random(4) % 5)
                .map(|zone| {
                    let random = |what: u64| random(10 + zone * 10 + what);
                    Zone {
                        id: (zone * 2 + 30).to_string(),
                        capacity: (random(0) % 400).saturating_sub(changes * 7) as u32,
                        price_minor: Some((1_000 + random(1) % 27 * 500 + changes * 50) as i64),
                        name: pick(&ZONES, zone + random(2) % 2).to_owned(),
                        numbered: random(3) % 3 > 0,
                    }
                })
                .collect(),
        }
    }
}

fn pick<'a>(of: &[&'a str], number: u64) -> &'a str {
    of[(number % of.len() as u64) as usize]
}

/// A number that follows from these: the finish of SplitMix64 (Steele, Lea, Flood 2014) over each.
fn mix(seed: u64, provider: u64, number: u64, what: u64) -> u64 {
    [provider, number, what].into_iter().fold(seed, |mixed, next| {
        let z = (mixed ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }) >> 1
}
