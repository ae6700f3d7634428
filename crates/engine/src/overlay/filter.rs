//! Which keys a full layer surely lacks, so that a search for one need not walk its tree.
//!
//! A Bloom filter whose bits of one key lie in one line of the cache (Putze, Sanders, Singler 2007, "blocked"). It says
//! "no" to about 99 of 100 keys that are not there, and never to one that is.

use super::tree::Packed;

/// Bits for each key.
const BITS_PER_KEY: usize = 12;
/// Bits that are set for each key, in its line.
const BITS_SET: u32 = 5;
/// Words of a line of the cache.
const LINE: usize = 8;
/// Takes one of a line's 512 bits.
const BIT_BITS: u32 = 9;

/// The keys of a layer, roughly.
#[derive(Debug)]
pub(super) struct Filter {
    lines: Box<[[u64; LINE]]>,
}

impl Filter {
    /// Of so many keys.
    pub(super) fn of<'a>(count: usize, keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let lines = (count * BITS_PER_KEY).div_ceil(LINE * 64).max(1);
        let mut filter = Filter { lines: vec![[0; LINE]; lines].into() };
        for key in keys {
            let hash = Packed::bound(key).hash();
            let line = filter.line(hash);
            for (word, bit) in bits(hash) {
                filter.lines[line][word] |= bit;
            }
        }
        filter
    }

    /// Whether a key of this hash may be there.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let line = &self.lines[self.line(hash)];
        bits(hash).all(|(word, bit)| line[word] & bit != 0)
    }

    /// The memory it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// By the upper half of the hash, without a division.
    fn line(&self, hash: u64) -> usize {
        (((hash >> 32) * self.lines.len() as u64) >> 32) as usize
    }
}

/// The bits of a hash within its line: each a word's place, and a bit of it. By the lower 45 bits, which share 13 with the
/// choice of the line; a multiplication parts them.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..BITS_SET).map(move |number| {
        let bit = spread >> (number * BIT_BITS) & ((1 << BIT_BITS) - 1);
        ((bit >> 6) as usize, 1 << (bit & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_every_key_and_hardly_any_other() {
        for count in [0_u32, 1, 100, 50_000] {
            let key = |number: u32| [&[7; 20][..], &number.to_be_bytes()].concat();
            let keys: Vec<_> = (0..count).map(key).collect();
            let filter = Filter::of(keys.len(), keys.iter().map(Vec::as_slice));
            let holds = |number: u32| filter.may_hold(Packed::bound(&key(number)).hash());
            assert!((0..count).all(holds), "{count}");
            let others = (1_000_000..1_100_000).filter(|number| holds(*number)).count();
            assert!(others < 2_500, "{others} of 100,000 beside {count}");
        }
    }

    #[test]
    fn keys_that_differ_in_their_length_alone_differ() {
        let filter = Filter::of(1, [&[0_u8; 4][..]].into_iter());
        let holds = |length: usize| filter.may_hold(Packed::bound(&vec![0; length]).hash());
        assert!(holds(4) && (0..40).filter(|length| holds(*length)).count() < 5);
    }
}
