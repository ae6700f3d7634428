//! The data of a load: record number `i` has always the same external id, resource and time.
//!
//! The records fill a calendar: chairs times days times half hours from nine to five. Record `i` lies on day
//! `i / (chairs · 16)`, so that two records never overlap however many there are, and neighbours in number are
//! neighbours in time on one chair. A seed changes the ids and the order in which records are visited.

use std::io::Write as _;

/// Half hours offered per chair and day.
const SLOTS_PER_DAY: u64 = 16;
const SLOT_MILLIS: i64 = 30 * 60 * 1000;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// 2026-01-01T09:00:00Z, a Thursday: the opening of the first day.
const FIRST_OPENING_MILLIS: i64 = 1_767_258_000_000;
/// 2025-12-01T08:00:00Z: when every record was created in the system it came from.
pub(super) const CREATED_AT_MILLIS: i64 = 1_764_576_000_000;
/// Length of a slot where all records of a tenant share one resource.
const SHARED_SLOT_MILLIS: i64 = 5 * 60 * 1000;

/// Bytes of an external id.
pub(super) const EXTERNAL_ID_BYTES: usize = 17;

/// Most records: at a chair alone they end before the year 9999.
pub(super) const RECORDS_MAX: u64 = 40_000_000;

/// In which order the records of a range are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyOrder {
    /// At random, each once before any comes again.
    Uniform,
    /// One after the other: by day, then chair, then time.
    Clustered,
}

/// The calendar, and the order of visits.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub(super) seed: u64,
    pub(super) chairs: u64,
    pub(super) order: KeyOrder,
}

/// When something starts and ends, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) starts_at: i64,
    pub(super) ends_at: i64,
}

impl Records {
    /// The record of visit `visit` among `count` records, and how often all were visited before.
    pub(super) fn visit(&self, visit: u64, count: u64) -> (u64, u64) {
        let (round, position) = (visit / count, visit % count);
        match self.order {
            KeyOrder::Clustered => (position, round),
            KeyOrder::Uniform => (permute(position, count, scramble(self.seed ^ round)), round),
        }
    }

    /// The external id of a record: distinct for each number.
    pub(super) fn external_id(&self, record: u64) -> [u8; EXTERNAL_ID_BYTES] {
        self.id(b'a', record)
    }

    /// An external id that no record has.
    pub(super) fn other_external_id(&self, number: u64) -> [u8; EXTERNAL_ID_BYTES] {
        self.id(b'c', number)
    }

    fn id(&self, kind: u8, number: u64) -> [u8; EXTERNAL_ID_BYTES] {
        let mut id = [kind; EXTERNAL_ID_BYTES];
        let bits = scramble(scramble(self.seed) ^ number);
        for (digit, shift) in id[1..].iter_mut().zip((0..64).step_by(4).rev()) {
            *digit = b"0123456789abcdef"[(bits >> shift) as usize & 15];
        }
        id
    }

    /// The number of the chair a record is on.
    pub(super) fn chair(&self, record: u64) -> u64 {
        record / SLOTS_PER_DAY % self.chairs
    }

    /// When a record starts and ends.
    pub(super) fn span(&self, record: u64) -> Span {
        let slot = (record % SLOTS_PER_DAY).cast_signed();
        let starts_at = self.opening(record) + slot * SLOT_MILLIS;
        Span { starts_at, ends_at: starts_at + SLOT_MILLIS }
    }

    /// From the opening to the closing of a record's day.
    pub(super) fn day(&self, record: u64) -> Span {
        let opening = self.opening(record);
        Span { starts_at: opening, ends_at: opening + SLOTS_PER_DAY.cast_signed() * SLOT_MILLIS }
    }

    /// A record's own time where the whole tenant is one resource.
    pub(super) fn shared_span(&self, record: u64) -> Span {
        let starts_at = FIRST_OPENING_MILLIS + record.cast_signed() * SHARED_SLOT_MILLIS;
        Span { starts_at, ends_at: starts_at + SHARED_SLOT_MILLIS }
    }

    fn opening(&self, record: u64) -> i64 {
        let day = record / (SLOTS_PER_DAY * self.chairs);
        FIRST_OPENING_MILLIS + day.cast_signed() * DAY_MILLIS
    }
}

/// A bijection of 64 bits that looks random: the finish of SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn scramble(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A permutation of `0..count` chosen by `key`: a Feistel network over the next even number of bits, walked until
/// it is back inside (Black, Rogaway 2002). No table, so a range of any size costs no memory.
fn permute(position: u64, count: u64, key: u64) -> u64 {
    assert!(position < count);
    let bits = u64::BITS - (count - 1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut value = position;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..4 {
            (left, right) = (right, left ^ (scramble(key.wrapping_add(round) ^ (right << 8)) & mask));
        }
        value = left << half | right;
        if value < count {
            return value;
        }
    }
}

/// Appends an instant as `2026-01-01T09:00:00.000Z`. By hand, for it is written four times per request.
pub(super) fn push_timestamp(out: &mut Vec<u8>, millis: i64) {
    let (days, of_day) = (millis.div_euclid(DAY_MILLIS), millis.rem_euclid(DAY_MILLIS).cast_unsigned());
    // Days to a civil date, counted from March so that the leap day comes last:
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);

    let mut text = *b"0000-00-00T00:00:00.000Z";
    digits(&mut text[0..4], year.cast_unsigned());
    digits(&mut text[5..7], month.cast_unsigned());
    digits(&mut text[8..10], day.cast_unsigned());
    digits(&mut text[11..13], of_day / 3_600_000);
    digits(&mut text[14..16], of_day / 60_000 % 60);
    digits(&mut text[17..19], of_day / 1000 % 60);
    digits(&mut text[20..23], of_day % 1000);
    out.extend_from_slice(&text);
}

fn digits(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Appends a number in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn records(order: KeyOrder) -> Records {
        Records { seed: 7, chairs: 3, order }
    }

    #[test]
    fn a_uniform_round_visits_every_record_once_and_in_another_order_each_time() {
        for count in [1, 2, 3, 16, 1000, 1025] {
            let records = records(KeyOrder::Uniform);
            let round = |number: u64| -> Vec<u64> {
                (0..count)
                    .map(|visit| records.visit(number * count + visit, count))
                    .map(|(record, _)| record)
                    .collect()
            };
            let (first, second) = (round(0), round(1));
            assert_eq!(first.iter().collect::<HashSet<_>>().len() as u64, count);
            assert!(first.iter().all(|record| *record < count));
            if count >= 1000 {
                assert_ne!(first, second);
                assert_ne!(first, (0..count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_clustered_round_visits_them_in_order_and_counts_rounds() {
        let records = records(KeyOrder::Clustered);
        assert_eq!(
            (0..5).map(|visit| records.visit(visit, 3)).collect::<Vec<_>>(),
            [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]
        );
    }

    #[test]
    fn records_of_one_chair_never_overlap_and_their_ids_differ() {
        let records = records(KeyOrder::Uniform);
        let mut ids = HashSet::new();
        let mut spans: Vec<(u64, i64, i64)> = Vec::new();
        for record in 0..500 {
            let span = records.span(record);
            let day = records.day(record);
            assert!(day.starts_at <= span.starts_at && span.ends_at <= day.ends_at);
            spans.push((records.chair(record), span.starts_at, span.ends_at));
            assert!(ids.insert(records.external_id(record)));
            assert!(ids.insert(records.other_external_id(record)));
        }
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1, "{pair:?}");
        }
        assert_eq!(spans.iter().map(|(chair, ..)| *chair).collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn seeds_give_other_ids() {
        let other = Records { seed: 8, ..records(KeyOrder::Uniform) };
        assert_ne!(records(KeyOrder::Uniform).external_id(0), other.external_id(0));
    }

    #[test]
    fn timestamps_are_those_of_the_calendar() {
        let leap_day_2400 = 13_574_649_599_999;
        for millis in [
            0,
            -1,
            FIRST_OPENING_MILLIS,
            CREATED_AT_MILLIS,
            951_782_400_000,
            leap_day_2400,
            4_102_444_800_000,
        ] {
            let mut text = Vec::new();
            push_timestamp(&mut text, millis);
            let expected = jiff::Timestamp::from_millisecond(millis).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), format!("{expected:.3}"));
        }
        let mut text = Vec::new();
        push_timestamp(&mut text, FIRST_OPENING_MILLIS);
        assert_eq!(text, b"2026-01-01T09:00:00.000Z");
        text.clear();
        push_timestamp(&mut text, CREATED_AT_MILLIS);
        assert_eq!(text, b"2025-12-01T08:00:00.000Z");
    }

    #[test]
    fn the_last_record_still_lies_before_the_year_9999() {
        let records = Records { seed: 0, chairs: 1, order: KeyOrder::Clustered };
        let year_9999 = 253_370_764_800_000;
        assert!(records.span(RECORDS_MAX).ends_at < year_9999);
        assert!(records.shared_span(RECORDS_MAX).ends_at < year_9999);
    }
}
