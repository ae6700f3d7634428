//! The bookings of a generated salon, day by day.
//!
//! The salon is in Berlin: open from Tuesday to Saturday (the larger ones on Mondays too), closed on holidays, busy
//! before weekends, in spring and above all in December. Each open day gets its share of the bookings, so that their
//! number is exact; within a day they come in the order of their times, on a grid of five minutes.

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use maitred_connectors::salon::{LegacyBooking, Status};

use super::people::{END_MILLIS, OPENED_MILLIS, People, id, instant};
use super::random::Random;

const FIRST_DAY: Date = date(2023, 1, 1);
const LAST_DAY: Date = date(2025, 12, 31);
/// Month and day of the holidays that fall on the same date each year.
const HOLIDAYS: [(i8, i8); 5] = [(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)];
/// How busy the months are, from January on.
const MONTHS: [u64; 12] = [8, 8, 10, 11, 11, 10, 9, 9, 10, 10, 11, 14];
/// So many bookings are a salon that opens on Mondays.
const MONDAY_BOOKINGS_MIN: u64 = 100_000;
const MINUTE_MILLIS: i64 = 60_000;
const DAY_MINUTES: u64 = 24 * 60;
/// Starts lie on a grid of so many minutes.
const STEP_MINUTES: u64 = 5;
/// Nothing starts later than this before closing time.
const LAST_START_MINUTES: u64 = 30;
/// Nobody books longer ahead.
const LEAD_MINUTES_MAX: u64 = 42 * DAY_MINUTES;

/// What is done, what it cost in 2023 in cents, and how many minutes it takes.
const SERVICES: [(&str, u32, u64); 20] = [
    ("Damenhaarschnitt", 4900, 60),
    ("Herrenhaarschnitt", 2900, 30),
    ("Kinderhaarschnitt", 1950, 30),
    ("Waschen, Schneiden, Föhnen", 5900, 60),
    ("Waschen & Föhnen", 2900, 30),
    ("Ansatzfarbe", 4900, 90),
    ("Komplettfarbe", 7900, 120),
    ("Strähnen \"Balayage\"", 12900, 150),
    ("Foliensträhnen (halber Kopf)", 8900, 120),
    ("Tönung/Glossing", 3950, 45),
    ("Dauerwelle", 8400, 120),
    ("Keratin-Glättung", 18900, 180),
    ("Hochsteckfrisur", 6900, 60),
    ("Brautfrisur inkl. Probe", 24900, 180),
    ("Bart trimmen", 1550, 15),
    ("Cut & Beard", 4200, 45),
    ("Men's Cut", 3450, 30),
    ("Kopfhautpflege 'Detox'", 2500, 30),
    ("Olaplex; Behandlung", 4500, 45),
    ("Augenbrauen färben", 1250, 15),
];
/// What is noted of a booking now and then.
const NOTES: [&str; 10] = [
    "Stammkundin, trinkt Kaffee schwarz",
    "Bitte \"nur\" die Spitzen",
    "Kommt ca. 10 min später",
    "Allergie: Ammoniak!",
    "Wunsch: wie letztes Mal",
    "Farbe 7/43 + 6%",
    "Termin telefonisch bestätigt\nRückruf erbeten",
    "Pony 1/2 cm kürzer",
    "Doesn't want any styling products",
    "Gutschein (50,00 €)",
];

/// Gives the bookings one after the other.
#[derive(Debug)]
pub(super) struct Diary<'a> {
    people: &'a People,
    zone: TimeZone,
    /// The open days, each with the weight of all days up to it.
    days: Vec<(Date, u64)>,
    bookings: u64,
    /// Bookings given.
    given: u64,
    /// The day at hand, the number of its first booking, and that of the next day's.
    day: usize,
    first: u64,
    end: u64,
}

impl<'a> Diary<'a> {
    /// The diary of a salon with so many bookings.
    pub(super) fn new(people: &'a People, bookings: u64) -> Self {
        let mut days = Vec::new();
        let mut weight = 0;
        let mut day = FIRST_DAY;
        while day <= LAST_DAY {
            let of_day = weight_of(day, bookings >= MONDAY_BOOKINGS_MIN);
            if of_day > 0 {
                weight += of_day;
                days.push((day, weight));
            }
            day = day.saturating_add(1.day());
        }
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        let mut diary = Diary { people, zone, days, bookings, given: 0, day: 0, first: 0, end: 0 };
        diary.end = diary.number_behind(0);
        diary
    }

    /// The number of the first booking behind a day.
    fn number_behind(&self, day: usize) -> u64 {
        let through = self.days.get(day).map_or(0, |(_, weight)| *weight);
        let all = self.days.last().map_or(1, |(_, weight)| *weight);
        (u128::from(self.bookings) * u128::from(through) / u128::from(all)) as u64
    }

    fn booking(&self, number: u64, day: Date) -> LegacyBooking {
        let mut random = Random::of(self.people.seed, b'b', number);
        let id = id(random.bytes());
        let millis = self.start_millis(number, day, &mut random);
        let lead = random.below(LEAD_MINUTES_MAX).min(random.below(LEAD_MINUTES_MAX)).cast_signed();
        let seconds = random.below(60_000).cast_signed();
        let created = (millis - lead * MINUTE_MILLIS - seconds).max(OPENED_MILLIS);
        let people = self.people.count_at(created);
        // Those who came first come most often.
        let customer = random.below(people).min(random.below(people));
        let (title, cents, minutes) = *random.pick(&SERVICES);
        // Prices rise by three percent a year, and stay multiples of half a euro.
        let raised = cents * (100 + 3 * (day.year() - FIRST_DAY.year()).unsigned_abs() as u32) / 100;
        let cents = raised / 50 * 50;
        let (status, updated) = match random.below(100) {
            0..84 => (Status::Completed, millis + minutes.cast_signed() * MINUTE_MILLIS),
            84..93 => (Status::Cancelled, created + span_below(millis - created, &mut random)),
            93..98 => (Status::Confirmed, created + span_below((millis - created) / 4, &mut random)),
            _ => (Status::Pending, created),
        };
        LegacyBooking {
            id,
            tenant: Some(self.people.tenant.clone()),
            customer_id: self.people.id(customer),
            title: title.to_owned(),
            description: if random.percent(25) { (*random.pick(&NOTES)).to_owned() } else { String::new() },
            date: instant(millis),
            status,
            price: f64::from(cents) / 100.0,
            currency: "EUR".to_owned(),
            created_at: instant(created),
            updated_at: instant(updated.clamp(created, END_MILLIS)),
        }
    }

    /// When a booking starts: the later in the day, the higher its number.
    fn start_millis(&self, number: u64, day: Date, random: &mut Random) -> i64 {
        let (opens, closes) = hours(day);
        let steps = (closes - opens - LAST_START_MINUTES) / STEP_MINUTES + 1;
        // Each booking has a part of the day, in which it starts anywhere.
        let parts = (self.end - self.first).max(1);
        let part = u128::from(number - self.first) << 32 | u128::from(random.bits() >> 32);
        let step = ((part * u128::from(steps) / u128::from(parts)) >> 32) as u64;
        let minute = opens + step.min(steps - 1) * STEP_MINUTES;
        let local = day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        local.to_zoned(self.zone.clone()).map_or(OPENED_MILLIS, |at| at.timestamp().as_millisecond())
    }
}

impl Iterator for Diary<'_> {
    type Item = LegacyBooking;

    fn next(&mut self) -> Option<LegacyBooking> {
        if self.given == self.bookings {
            return None;
        }
        while self.given == self.end {
            self.day += 1;
            self.first = self.end;
            self.end = self.number_behind(self.day);
        }
        let (day, _) = *self.days.get(self.day)?;
        let number = self.given;
        self.given += 1;
        Some(self.booking(number, day))
    }
}

/// How busy a day is; 0: closed.
fn weight_of(day: Date, open_on_mondays: bool) -> u64 {
    if HOLIDAYS.contains(&(day.month(), day.day())) {
        return 0;
    }
    let of_weekday = match day.weekday() {
        Weekday::Sunday => 0,
        Weekday::Monday => 7 * u64::from(open_on_mondays),
        Weekday::Tuesday => 8,
        Weekday::Wednesday => 9,
        Weekday::Thursday => 11,
        Weekday::Friday => 14,
        Weekday::Saturday => 13,
    };
    of_weekday * MONTHS[day.month().unsigned_abs() as usize - 1]
}

/// From when to when a day is open, in minutes after local midnight.
fn hours(day: Date) -> (u64, u64) {
    match (day.month(), day.day(), day.weekday()) {
        (12, 24 | 31, _) => (9 * 60, 14 * 60),
        (_, _, Weekday::Saturday) => (8 * 60, 16 * 60),
        (_, _, Weekday::Thursday | Weekday::Friday) => (9 * 60, 20 * 60),
        _ => (9 * 60, 19 * 60),
    }
}

fn span_below(millis: i64, random: &mut Random) -> i64 {
    random.below(millis.max(1).cast_unsigned()).cast_signed()
}
