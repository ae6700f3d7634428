//! Sets of instants: sorted, half-open spans, with the few operations that shifts and openings need.
//!
//! Invariants: the spans of a set are in order, not empty, and neither overlap nor touch, so that two sets
//! of the same instants are equal; every operation is one walk over both sets.

use std::cmp::{max, min};

use maitred_core::Timestamp;

/// A half-open stretch of time `[starts_at, ends_at)`; empty where the end is not behind the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first instant in it.
    pub starts_at: Timestamp,
    /// The first instant behind it.
    pub ends_at: Timestamp,
}

impl Span {
    /// From `starts_at` to before `ends_at`.
    pub const fn new(starts_at: Timestamp, ends_at: Timestamp) -> Self {
        Span { starts_at, ends_at }
    }

    /// Whether no instant is in it.
    pub fn is_empty(self) -> bool {
        self.ends_at <= self.starts_at
    }

    /// Whether an instant is in it.
    pub fn has(self, at: Timestamp) -> bool {
        self.starts_at <= at && at < self.ends_at
    }

    /// Whether an instant is in both. Ends that touch are no overlap.
    pub fn overlaps(self, other: Span) -> bool {
        !self.common(other).is_empty()
    }

    /// What is in both; empty where nothing is.
    #[must_use]
    pub fn common(self, other: Span) -> Span {
        Span::new(max(self.starts_at, other.starts_at), min(self.ends_at, other.ends_at))
    }

    /// Its length in microseconds; 0 where it is empty.
    pub fn micros(self) -> i64 {
        max(0, self.ends_at.as_micros().saturating_sub(self.starts_at.as_micros()))
    }
}

/// A set of instants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals(Vec<Span>);

impl Intervals {
    /// No instant.
    pub const NONE: Intervals = Intervals(Vec::new());

    /// What is in any of the spans, which may be empty, overlap and come in any order.
    pub fn of(spans: impl IntoIterator<Item = Span>) -> Self {
        let mut spans: Vec<Span> = spans.into_iter().filter(|span| !span.is_empty()).collect();
        spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.starts_at <= last.ends_at => {
                    last.ends_at = max(last.ends_at, span.ends_at);
                }
                _ => merged.push(span),
            }
        }
        Intervals(merged)
    }

    /// The spans, in order.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Whether no instant is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Intervals) -> Intervals {
        Intervals::of(self.0.iter().chain(&other.0).copied())
    }

    /// What is in both.
    #[must_use]
    pub fn intersect(&self, other: &Intervals) -> Intervals {
        let (mut ours, mut theirs) = (self.0.as_slice(), other.0.as_slice());
        let mut common = Vec::new();
        while let ([our, our_rest @ ..], [their, their_rest @ ..]) = (ours, theirs) {
            let both = our.common(*their);
            if !both.is_empty() {
                common.push(both);
            }
            if our.ends_at <= their.ends_at {
                ours = our_rest;
            } else {
                theirs = their_rest;
            }
        }
        Intervals(common)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn subtract(&self, other: &Intervals) -> Intervals {
        let mut left = Vec::with_capacity(self.0.len());
        let mut holes = other.0.as_slice();
        for span in &self.0 {
            let mut from = span.starts_at;
            while let [hole, rest @ ..] = holes {
                if hole.starts_at >= span.ends_at {
                    break;
                }
                if hole.starts_at > from {
                    left.push(Span::new(from, hole.starts_at));
                }
                from = max(from, hole.ends_at);
                if hole.ends_at > span.ends_at {
                    break;
                }
                holes = rest;
            }
            if from < span.ends_at {
                left.push(Span::new(from, span.ends_at));
            }
        }
        Intervals(left)
    }

    /// What is in this one and within `span`.
    #[must_use]
    pub fn within(&self, span: Span) -> Intervals {
        let first = self.0.partition_point(|own| own.ends_at <= span.starts_at);
        let rest = self.0.iter().skip(first).take_while(|own| own.starts_at < span.ends_at);
        Intervals(rest.map(|own| own.common(span)).filter(|own| !own.is_empty()).collect())
    }

    /// The span that an instant is in.
    pub fn around(&self, at: Timestamp) -> Option<Span> {
        let next = self.0.partition_point(|span| span.ends_at <= at);
        self.0.get(next).copied().filter(|span| span.has(at))
    }

    /// Whether every instant of `span` is in it; an empty span is in every set.
    pub fn contains(&self, span: Span) -> bool {
        span.is_empty() || self.around(span.starts_at).is_some_and(|own| span.ends_at <= own.ends_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(number: i64) -> Timestamp {
        Timestamp::from_micros(number)
    }

    fn span(from: i64, to: i64) -> Span {
        Span::new(at(from), at(to))
    }

    fn set(spans: &[(i64, i64)]) -> Intervals {
        Intervals::of(spans.iter().map(|(from, to)| span(*from, *to)))
    }

    #[test]
    fn spans_that_touch_or_overlap_become_one_and_empty_ones_none() {
        assert_eq!(
            set(&[(5, 9), (1, 3), (3, 4), (8, 12), (20, 20), (31, 30)]).spans(),
            [span(1, 4), span(5, 12)]
        );
        assert!(set(&[(4, 4)]).is_empty());
    }

    #[test]
    fn a_span_across_a_hole_is_not_contained() {
        let own = set(&[(0, 10), (11, 20)]);
        assert!(own.contains(span(0, 10)));
        assert!(!own.contains(span(0, 11)));
        assert!(!own.contains(span(9, 12)));
        assert!(own.contains(span(10, 10)));
        assert_eq!(own.around(at(10)), None);
        assert_eq!(own.around(at(11)), Some(span(11, 20)));
    }

    /// The instants 0 to 63, a bit each: the model that shares nothing with the walks above.
    fn bits(set: &Intervals) -> u64 {
        (0..64)
            .filter(|bit| set.spans().iter().any(|span| span.has(at(*bit))))
            .fold(0, |bits, bit| bits | 1 << bit)
    }

    fn is_sound(set: &Intervals) -> bool {
        set.spans().iter().all(|span| !span.is_empty())
            && set.spans().windows(2).all(|pair| pair[0].ends_at < pair[1].starts_at)
    }

    proptest! {
        #[test]
        fn every_operation_is_that_of_sets(
            one in prop::collection::vec((0..64_i64, 0..64_i64), 0..8),
            other in prop::collection::vec((0..64_i64, 0..64_i64), 0..8),
            (from, to) in (0..64_i64, 0..64_i64),
        ) {
            let (one, other) = (set(&one), set(&other));
            let (ones, others) = (bits(&one), bits(&other));
            let window = span(from, to);
            let in_window = bits(&Intervals::of([window]));
            for (result, expected) in [
                (one.union(&other), ones | others),
                (one.intersect(&other), ones & others),
                (one.subtract(&other), ones & !others),
                (one.within(window), ones & in_window),
            ] {
                prop_assert!(is_sound(&result), "{result:?}");
                prop_assert_eq!(bits(&result), expected);
            }
            prop_assert_eq!(one.contains(window), in_window & !ones == 0);
        }
    }
}
