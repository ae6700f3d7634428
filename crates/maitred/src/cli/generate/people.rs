//! The customers of a generated salon: each follows from its number, so that a booking knows its customer without a
//! list of them.
//!
//! Three in ten were there when the system was taken into use, on the first morning of 2023; the others came since,
//! evenly, up to the last days of 2025. So whoever is there at an instant are the first so many.

use jiff::Timestamp;
use maitred_connectors::salon::Customer;
use uuid::{Builder, Uuid};

use super::random::Random;

/// 2023-01-01T06:00:00Z: the first customer is taken over.
const FIRST_MILLIS: i64 = 1_672_552_800_000;
/// 2023-01-01T08:00:00Z: all were taken over that were there before.
pub(super) const OPENED_MILLIS: i64 = FIRST_MILLIS + 2 * 3_600_000;
/// 2025-12-20T17:00:00Z: the last customer is new.
const LAST_MILLIS: i64 = 1_766_250_000_000;
/// 2025-12-31T22:00:00Z: nothing is later.
pub(super) const END_MILLIS: i64 = 1_767_218_400_000;

const FIRST_NAMES: [&str; 48] = [
    "Anna",
    "Emma",
    "Mia",
    "Hannah",
    "Sofia",
    "Lena",
    "Lea",
    "Marie",
    "Clara",
    "Ida",
    "Frieda",
    "Greta",
    "Zoë",
    "Chloë",
    "Aylin",
    "Elif",
    "Zeynep",
    "Fatma",
    "Olga",
    "Irina",
    "Ágnes",
    "Zofia",
    "Małgorzata",
    "Chiara",
    "Giulia",
    "Inès",
    "Beatriz",
    "Siobhán",
    "Noor",
    "Amira",
    "Ben",
    "Paul",
    "Leon",
    "Finn",
    "Jonas",
    "Felix",
    "Jürgen",
    "Günther",
    "Björn",
    "Søren",
    "Mehmet",
    "Can",
    "Dmitri",
    "Piotr",
    "Luca",
    "José",
    "Seán",
    "Karim",
];
const LAST_NAMES: [&str; 48] = [
    "Müller",
    "Schmidt",
    "Schneider",
    "Fischer",
    "Weber",
    "Meyer",
    "Wagner",
    "Becker",
    "Schulz",
    "Hoffmann",
    "Schäfer",
    "Koch",
    "Bauer",
    "Richter",
    "Klein",
    "Wolf",
    "Schröder",
    "Neumann",
    "Schwarz",
    "Zimmermann",
    "Braun",
    "Krüger",
    "Hofmann",
    "Hartmann",
    "Lange",
    "Werner",
    "Weiß",
    "Groß",
    "von der Heide",
    "Freifrau von Stein",
    "Yılmaz",
    "Kaya",
    "Demir",
    "Öztürk",
    "Kowalska",
    "Nowak",
    "Ivanova",
    "Rossi",
    "D'Angelo",
    "Müller-Lüdenscheidt",
    "O'Brien",
    "O'Connor",
    "Nguyễn",
    "García",
    "da Silva",
    "El-Sayed",
    "Jensen",
    "Lindström",
];
/// Reserved for examples (RFC 2606).
const MAIL_DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];

/// The customers of a salon.
#[derive(Debug, Clone)]
pub(super) struct People {
    pub(super) seed: u64,
    pub(super) tenant: String,
    count: u64,
}

impl People {
    pub(super) fn new(seed: u64, tenant: &str, count: u64) -> Self {
        People { seed, tenant: tenant.to_owned(), count }
    }

    /// How many were there when the system was taken into use: at least one.
    fn taken_over(&self) -> u64 {
        (self.count * 3 / 10).max(1)
    }

    /// How many are there at an instant, which is not before [`OPENED_MILLIS`].
    pub(super) fn count_at(&self, millis: i64) -> u64 {
        let passed = (millis - OPENED_MILLIS).clamp(0, LAST_MILLIS - OPENED_MILLIS).cast_unsigned();
        let since = self.count - self.taken_over();
        let span = (LAST_MILLIS - OPENED_MILLIS).cast_unsigned();
        self.taken_over() + (u128::from(since) * u128::from(passed) / u128::from(span)) as u64
    }

    /// When customer `number` came: the first instant at which [`People::count_at`] counts them.
    fn created_millis(&self, number: u64) -> i64 {
        let taken_over = self.taken_over();
        if number < taken_over {
            let span = (OPENED_MILLIS - FIRST_MILLIS).cast_unsigned();
            return FIRST_MILLIS + (number * span / taken_over).cast_signed();
        }
        let since = self.count - taken_over;
        let span = (LAST_MILLIS - OPENED_MILLIS).cast_unsigned();
        let nth = u128::from(number - taken_over + 1);
        OPENED_MILLIS + ((nth * u128::from(span)).div_ceil(u128::from(since)) as u64).cast_signed()
    }

    /// The id of customer `number`.
    pub(super) fn id(&self, number: u64) -> String {
        id(Random::of(self.seed, b'c', number).bytes())
    }

    /// Customer `number`.
    pub(super) fn customer(&self, number: u64) -> Customer {
        let mut random = Random::of(self.seed, b'p', number);
        let (first, last) = (*random.pick(&FIRST_NAMES), *random.pick(&LAST_NAMES));
        let created = self.created_millis(number);
        let updated = if random.percent(60) {
            created
        } else {
            created + random.below((END_MILLIS - created).cast_unsigned()).cast_signed()
        };
        let domain = random.pick(&MAIL_DOMAINS);
        Customer {
            id: self.id(number),
            tenant: Some(self.tenant.clone()),
            name: format!("{first} {last}"),
            email: format!("{}.{}{number}@{domain}", mail_part(first), mail_part(last)),
            // Numbers that belong to nobody: the Federal Network Agency keeps them for films.
            phone: format!("+49 30 23125 {:03}", random.below(1000)),
            created_at: instant(created),
            updated_at: instant(updated),
        }
    }
}

/// A version 4 UUID of these bits, as text.
pub(super) fn id(bits: [u8; 16]) -> String {
    let id: Uuid = Builder::from_random_bytes(bits).into_uuid();
    id.hyphenated().to_string()
}

/// An instant of the years that are generated.
pub(super) fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A name as mail addresses have it: its plain letters, and the usual spellings of the German ones.
fn mail_part(name: &str) -> String {
    let mut part = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'ä' => part.push_str("ae"),
            'ö' | 'ø' => part.push_str("oe"),
            'ü' => part.push_str("ue"),
            'ß' => part.push_str("ss"),
            'á' | 'à' => part.push('a'),
            'é' | 'è' | 'ë' | 'ễ' => part.push('e'),
            'í' | 'ı' => part.push('i'),
            'ł' => part.push('l'),
            letter if letter.is_ascii_alphanumeric() => part.push(letter),
            _ => {}
        }
    }
    part
}
