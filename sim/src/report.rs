//! What happened in a run, counted: a set of seeds that never met a fault proves nothing about it.

use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(BTreeMap<String, u64>);

/// What a set of runs must have met at least once.
pub const EXPECTED: &[&str] = &[
    "answer: absence-not-found",
    "answer: accepted cancelled",
    "answer: accepted created",
    "answer: accepted ignored_stale",
    "answer: accepted updated",
    "answer: account closed",
    "answer: account password_changed",
    "answer: account registered",
    "answer: account-closed",
    "answer: already-exists",
    "answer: begun",
    "answer: booking-not-found",
    "answer: buyer-limit-reached",
    "answer: customer-not-found",
    "answer: email-taken",
    "answer: employee-in-use",
    "answer: employee-not-found",
    "answer: hold-expired",
    "answer: id-taken",
    "answer: idempotency-key-reused",
    "answer: invalid-email",
    "answer: invalid-skills",
    "answer: invalid-transition",
    "answer: order-not-found",
    "answer: password-changed",
    "answer: quantity-below-sold",
    "answer: replayed",
    "answer: resource-in-use",
    "answer: sale cancelled",
    "answer: sale counted",
    "answer: sale created",
    "answer: sale ended",
    "answer: sale failed",
    "answer: sale paid",
    "answer: sale placed",
    "answer: sale unchanged",
    "answer: sale updated",
    "answer: sale-closed",
    "answer: sale-not-active",
    "answer: sale-not-found",
    "answer: salon created",
    "answer: salon deleted",
    "answer: salon ignored_stale",
    "answer: salon unchanged",
    "answer: salon updated",
    "answer: series-clashes",
    "answer: service-not-found",
    "answer: slot-unavailable",
    "answer: sold-out",
    "answer: time-range-unavailable",
    "answer: too-many-holds",
    "answer: user-not-found",
    "answer: version-mismatch",
    "fault: append lost to a rival",
    "fault: append of unknown outcome, done",
    "fault: append of unknown outcome, not done",
    "fault: clock back",
    "fault: clock far ahead",
    "fault: disk full",
    "fault: power cut",
    "fault: process killed",
    "fault: sync failed",
    "import: done",
    "killed: cancellation of an order appended",
    "killed: cancellation of an order decided",
    "killed: cancellation of an order published",
    "killed: completion appended",
    "killed: completion decided",
    "killed: completion published",
    "killed: end of a hold appended",
    "killed: end of a hold decided",
    "killed: end of a hold published",
    "killed: end of a visit's hold appended",
    "killed: end of a visit's hold decided",
    "killed: end of a visit's hold published",
    "killed: failure of an order appended",
    "killed: failure of an order decided",
    "killed: failure of an order published",
    "killed: payment appended",
    "killed: payment decided",
    "killed: payment published",
    "killed: purchase appended",
    "killed: purchase decided",
    "killed: purchase published",
    "killed: visit appended",
    "killed: visit decided",
    "killed: visit published",
    "lost older segment: said",
    "lost segment: refused",
    "offer: booked",
    "offer: none, refused",
    "order: cancelled",
    "order: completed",
    "order: expired",
    "order: failed",
    "order: paid",
    "recovery: batch of unknown outcome kept",
    "recovery: batch of unknown outcome lost",
    "recovery: from a snapshot",
    "recovery: from the log alone",
    "recovery: from the store as it was",
    "recovery: torn tail cut",
    "refused: clock suspect",
    "refused: disk full",
    "refused: overloaded",
    "series: booked",
    "series: called off",
    "start: behind a kept cursor",
    "step: flush",
    "step: segment prepared",
    "step: snapshot",
    "visit: hold expired",
    "waitlist: expired",
    "waitlist: looked for whom a time is",
    "waitlist: offered",
    "waitlist: passed",
    "waitlist: taken",
];

impl Report {
    /// It happened once more.
    pub fn count(&mut self, what: impl Into<String>) {
        self.add(what, 1);
    }

    /// It happened `times` more.
    pub fn add(&mut self, what: impl Into<String>, times: u64) {
        *self.0.entry(what.into()).or_default() += times;
    }

    /// How often it happened.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// How many faults there were.
    pub fn faults(&self) -> u64 {
        self.0.iter().filter(|(what, _)| what.starts_with("fault: ")).map(|(_, times)| times).sum()
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Report) {
        for (what, times) in &other.0 {
            self.add(what, *times);
        }
    }

    /// What should have happened and did not.
    pub fn missing(&self) -> Vec<&'static str> {
        EXPECTED.iter().copied().filter(|what| self.of(what) == 0).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, times)| writeln!(f, "{times:>10}  {what}"))
    }
}
