//! The tries to buy, and what the server has said to them.
//!
//! Invariant: what was said is counted as each answer is read, whatever becomes of the run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::answer::Answer;
use super::super::generator::Workload;
use super::super::judge;
use super::super::records::scramble;
use super::super::tally::{Outcome, Outcomes};

/// Bytes of an answer that are looked at: more than an order or a problem has.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What a refusal can mean that is the sale's own.
const REASONS: [Outcome; 3] = [Outcome::SoldOut, Outcome::BuyerLimitReached, Outcome::SaleNotActive];

/// Tries of buyers who are drawn at random, as often as the run asks for.
#[derive(Debug)]
pub(super) struct Tries {
    /// The request of each buyer.
    requests: Vec<Vec<u8>>,
    seed: u64,
    /// Tries of each buyer that were accepted or refused.
    decided: Vec<AtomicU32>,
    reasons: [AtomicU64; REASONS.len()],
    /// Ids of orders that were acknowledged.
    acknowledged: Mutex<Vec<String>>,
}

/// What the server has said in a run, and so what its books must show.
#[derive(Debug)]
pub(super) struct Said {
    /// Pieces that the sale was given.
    pub(super) stock: u32,
    pub(super) buyer_limit: u32,
    /// Ids of the orders it has acknowledged.
    pub(super) acknowledged: Vec<String>,
    /// Orders there must be: pieces, or what the buyers who tried may have if that is less.
    pub(super) orders: u64,
    /// Tries of which nobody knows what became: each may have made an order more.
    pub(super) unknown: u64,
}

impl Tries {
    /// Tries of buyers whose requests these are.
    pub(super) fn new(requests: Vec<Vec<u8>>, seed: u64) -> Self {
        let decided = requests.iter().map(|_| AtomicU32::new(0)).collect();
        Tries { requests, seed, decided, reasons: Default::default(), acknowledged: Mutex::default() }
    }

    fn buyer(&self, number: u64) -> usize {
        (scramble(self.seed ^ number) % self.requests.len() as u64) as usize
    }

    /// What was said of a sale of `stock` pieces to answered tries, `unknown` others aside.
    pub(super) fn said(&self, stock: u32, buyer_limit: u32, unknown: u64) -> Said {
        let may_have = |tries: &AtomicU32| u64::from(tries.load(Ordering::Relaxed).min(buyer_limit));
        let wanted: u64 = self.decided.iter().map(may_have).sum();
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Said { stock, buyer_limit, acknowledged, orders: wanted.min(stock.into()), unknown }
    }

    /// How many were accepted, and refused by reason.
    pub(super) fn counts(&self) -> (u64, BTreeMap<&'static str, u64>) {
        let accepted = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        let refused = REASONS
            .iter()
            .zip(&self.reasons)
            .map(|(reason, times)| (reason.name(), times.load(Ordering::Relaxed)));
        (accepted, refused.filter(|(_, times)| *times > 0).collect())
    }
}

impl Workload for Tries {
    fn request(&self, number: u64, out: &mut Vec<u8>, _scratch: &mut Vec<u8>) {
        out.extend_from_slice(&self.requests[self.buyer(number)]);
    }

    fn judge(&self, number: u64, answer: Answer<'_>) -> Outcomes {
        let mut outcome = judge::purchase(answer);
        if outcome == Outcome::Created {
            match judge::text_after(answer.body, b"\"id\":\"").and_then(|id| str::from_utf8(id).ok()) {
                Some(id) => {
                    self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
                }
                // An order that cannot be looked for proves nothing.
                None => outcome = Outcome::Other,
            }
        }
        let reason = REASONS.iter().position(|reason| *reason == outcome);
        if let Some(reason) = reason {
            self.reasons[reason].fetch_add(1, Ordering::Relaxed);
        }
        if outcome == Outcome::Created || reason.is_some() {
            self.decided[self.buyer(number)].fetch_add(1, Ordering::Relaxed);
        }
        let mut outcomes = Outcomes::default();
        outcomes.add(outcome, 1);
        outcomes
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(buyers: u8) -> Tries {
        Tries::new((0..buyers).map(|buyer| vec![buyer]).collect(), 1)
    }

    fn request(tries: &Tries, number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        tries.request(number, &mut out, &mut Vec::new());
        out
    }

    #[test]
    fn buyers_come_at_random_and_in_the_same_order_for_the_same_seed() {
        let one = tries(100);
        let order: Vec<_> = (0..1000).map(|number| request(&one, number)).collect();
        assert_eq!(order, (0..1000).map(|number| request(&tries(100), number)).collect::<Vec<_>>());
        let other = Tries { seed: 2, ..tries(100) };
        assert_ne!(order, (0..1000).map(|number| request(&other, number)).collect::<Vec<_>>());
        let first: std::collections::BTreeSet<_> = order[..100].iter().collect();
        assert!((50..80).contains(&first.len()), "{} of 100 buyers in the first 100 tries", first.len());
    }

    #[test]
    fn there_must_be_as_many_orders_as_pieces_or_as_those_who_tried_may_have() {
        let tries = tries(1);
        let refused = Answer { status: 409, body: br#"{"code":"buyer-limit-reached"}"# };
        let order = Answer { status: 201, body: br#"{"id":"o1","sale_id":"s"}"# };
        tries.judge(0, order);
        tries.judge(1, refused);
        tries.judge(2, Answer { status: 503, body: b"" });
        let orders = |stock, limit| tries.said(stock, limit, 0).orders;
        assert_eq!([orders(5, 1), orders(5, 2), orders(5, 3), orders(1, 3), orders(0, 1)], [1, 2, 2, 1, 0]);
        assert_eq!(tries.said(5, 1, 0).acknowledged, ["o1"]);
        assert_eq!(tries.counts(), (1, BTreeMap::from([("buyer_limit_reached", 1)])));
    }

    #[test]
    fn a_purchase_without_an_id_is_none() {
        let tries = tries(1);
        let outcomes = tries.judge(0, Answer { status: 201, body: b"{}" });
        assert_eq!(outcomes.count(Outcome::Other), 1);
        assert!(tries.said(1, 1, 0).acknowledged.is_empty());
    }
}
