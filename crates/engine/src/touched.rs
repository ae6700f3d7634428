//! Whose commands the newest batches decided: who follows the changes of many tenants looks at these alone.
//!
//! Invariants:
//! - A batch is noted before it is published, so what is asked about a view is all there.
//! - It says too many tenants rather than too few: a command may have left nothing.
//! - [`BATCHES_MAX`] batches are remembered. Whoever asks about more, or about what this process did not decide itself, is
//!   told that it is not known, and looks at everybody.

use std::collections::{BTreeSet, VecDeque};

use maitred_core::{Seq, TenantNumber};

use crate::sync::Mutex;

/// The most batches that are remembered: at 512 commands each, of as many tenants, that is 8 MiB.
pub const BATCHES_MAX: usize = 4_096;

/// Whose commands the newest batches decided.
#[derive(Debug)]
pub struct Touched(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Everything behind this batch is known.
    behind: Seq,
    batches: VecDeque<(Seq, Box<[TenantNumber]>)>,
}

impl Touched {
    /// Knows what comes behind this batch.
    pub fn new(behind: Seq) -> Self {
        Touched(Mutex::new(Known { behind, batches: VecDeque::new() }))
    }

    /// Notes a batch, the next one. It is published after that.
    pub fn note(&self, seq: Seq, tenants: impl Iterator<Item = TenantNumber>) {
        let tenants: BTreeSet<_> = tenants.collect();
        let mut known = self.0.lock().expect("nobody panics while holding what is known of batches");
        known.batches.push_back((seq, tenants.into_iter().collect()));
        while known.batches.len() > BATCHES_MAX
            && let Some((forgotten, _)) = known.batches.pop_front()
        {
            known.behind = forgotten;
        }
    }

    /// Knows nothing any more up to this batch: others have decided it.
    pub fn forget(&self, seq: Seq) {
        let mut known = self.0.lock().expect("nobody panics while holding what is known of batches");
        *known = Known { behind: seq, batches: VecDeque::new() };
    }

    /// The tenants whose commands the batches behind `after` decided. `None` if that is not known.
    pub fn behind(&self, after: Seq) -> Option<BTreeSet<TenantNumber>> {
        let known = self.0.lock().expect("nobody panics while holding what is known of batches");
        if after < known.behind {
            return None;
        }
        let newer = known.batches.iter().rev().take_while(|(seq, _)| *seq > after);
        Some(newer.flat_map(|(_, tenants)| tenants.iter().copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(touched: &Touched, after: Seq, expected: Option<&[u32]>) {
        let expected = expected.map(|numbers| numbers.iter().copied().map(TenantNumber).collect());
        assert_eq!(touched.behind(after), expected, "behind {after}");
    }

    #[test]
    fn the_newest_batches_are_known_and_what_others_decided_is_not() {
        let touched = Touched::new(5);
        check(&touched, 4, None);
        check(&touched, 5, Some(&[]));
        let note = |seq, numbers: &[u32]| touched.note(seq, numbers.iter().copied().map(TenantNumber));
        note(6, &[2, 1, 2]);
        note(7, &[3]);
        check(&touched, 5, Some(&[1, 2, 3]));
        check(&touched, 6, Some(&[3]));
        check(&touched, 7, Some(&[]));
        touched.forget(9);
        check(&touched, 8, None);
        note(10, &[4]);
        check(&touched, 9, Some(&[4]));
        for seq in 0..BATCHES_MAX as Seq {
            note(11 + seq, &[5]);
        }
        check(&touched, 9, None);
        check(&touched, 10, Some(&[5]));
    }
}
