//! Whether a purchase is looked at before it goes to the writer.
//!
//! A purchase that is refused by the published view needs no place in the queue; for one that is accepted the look was
//! for nothing, since the writer decides it anyway. In a rush the next purchase ends as the last one did: so it is looked
//! at where the last one of its sale was refused.
//!
//! Invariant: a hint costs time if it is wrong, and changes no answer. Sales may share one.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use uuid::Uuid;

/// How many hints there are.
const HINTS: usize = 1_024;

/// Hints of all sales.
#[derive(Debug)]
pub(crate) struct Hints([AtomicBool; HINTS]);

impl Default for Hints {
    fn default() -> Self {
        Hints([const { AtomicBool::new(true) }; HINTS])
    }
}

impl Hints {
    /// Whether the last purchase of a sale was refused; true before there was one.
    pub(crate) fn refuses(&self, sale: Uuid) -> bool {
        self.of(sale).load(Relaxed)
    }

    /// Notes how a purchase of a sale ended.
    pub(crate) fn note(&self, sale: Uuid, refused: bool) {
        let hint = self.of(sale);
        if hint.load(Relaxed) != refused {
            hint.store(refused, Relaxed);
        }
    }

    fn of(&self, sale: Uuid) -> &AtomicBool {
        &self.0[(sale.as_u128() % HINTS as u128) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_purchase_is_taken_for_one_like_the_last() {
        let (hints, sale, other) = (Hints::default(), Uuid::from_u128(7), Uuid::from_u128(8));
        assert!(hints.refuses(sale), "nothing is known");
        hints.note(sale, false);
        assert!(!hints.refuses(sale) && hints.refuses(other));
        hints.note(sale, true);
        assert!(hints.refuses(sale));
    }
}
