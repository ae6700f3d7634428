//! The nodes of a layer's tree, and how one is copied, filled and split.
//!
//! A node that the writer shares with a frozen view is copied when it is first touched, one that it
//! holds alone is changed in place ([`Arc::make_mut`]). A full node that grows at its end keeps what it
//! has and starts an empty one, so that ascending keys fill nodes to the brim.
//!
//! What a search costs is mostly lines of memory that are not in the cache. So a node has, in front of
//! its keys, a word of each that tells them apart ([`Keys`]), and is searched by those.

use std::sync::Arc;

use maitred_core::KEY_BYTES_MAX;

use super::arena::Place;

/// Entries of a leaf: 2 KB to copy. Measured with `examples/tree_speed.rs`; so is the next.
const LEAF_MAX: usize = 32;
/// Children of an inner node. Copying one touches the reference count of each, hence not many.
const INNER_MAX: usize = 16;

/// A key's value, or `None` for a tombstone.
pub(super) type Slot = Option<Place>;

/// A key, padded with zeros, and its length behind it: so that its order is that of six big-endian words.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
pub(in super::super) struct Packed([u8; KEY_BYTES_MAX + 1]);

impl Packed {
    /// Above every key and every bound.
    pub(super) const BEHIND_ALL: Packed = Packed([0xff; KEY_BYTES_MAX + 1]);
    const EMPTY: Packed = Packed([0; KEY_BYTES_MAX + 1]);

    /// A key to be stored.
    pub(super) fn key(bytes: &[u8]) -> Self {
        assert!(bytes.len() <= KEY_BYTES_MAX, "a key of {} bytes; the most is {KEY_BYTES_MAX}", bytes.len());
        Packed::bound(bytes)
    }

    /// A key to compare with, of any length: one that is too long sorts right behind the longest key
    /// that it starts with.
    pub(in super::super) fn bound(bytes: &[u8]) -> Self {
        let mut packed = Packed::EMPTY;
        let kept = bytes.len().min(KEY_BYTES_MAX);
        packed.0[..kept].copy_from_slice(&bytes[..kept]);
        packed.0[KEY_BYTES_MAX] = bytes.len().min(KEY_BYTES_MAX + 1) as u8;
        packed
    }

    /// The bytes from `skip` on, as a number that compares as they sort. Signed, since vector units of
    /// every x86-64 compare signed numbers only.
    fn head(&self, skip: usize) -> Head {
        let bytes = *self.0[skip..].first_chunk().expect("a head is left");
        (u32::from_be_bytes(bytes) ^ (1 << 31)).cast_signed()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0[..usize::from(self.0[KEY_BYTES_MAX])]
    }

    /// A number that looks random: each word folded in by a multiplication of 128 bits, as in wyhash.
    pub(in super::super) fn hash(&self) -> u64 {
        let (words, _) = self.0.as_chunks::<8>();
        words.iter().fold(0x243f_6a88_85a3_08d3, |hash, word| {
            let product = u128::from(hash ^ u64::from_le_bytes(*word)) * 0xa076_1d64_78bd_642f;
            product as u64 ^ (product >> 64) as u64
        })
    }
}

impl Ord for Packed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (mine, _) = self.0.as_chunks::<8>();
        let (others, _) = other.0.as_chunks::<8>();
        let words = mine.iter().zip(others).map(|(a, b)| (u64::from_be_bytes(*a), u64::from_be_bytes(*b)));
        for (a, b) in words {
            if a != b {
                return a.cmp(&b);
            }
        }
        std::cmp::Ordering::Equal
    }
}

impl PartialOrd for Packed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The tree: O(1) to clone, and the clone is not changed by later puts.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: Node,
    sizes: Sizes,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    entries: usize,
    leaves: usize,
    inners: usize,
}

/// A leaf and the bounds of the keys that belong into it, `None` where there is no other leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) leaf: &'a Leaf,
    /// The smallest key that belongs here.
    pub(super) lower: Option<&'a Packed>,
    /// The smallest key that belongs into the next leaf.
    pub(super) upper: Option<&'a Packed>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node::Leaf(Arc::new(Leaf::EMPTY));
        Tree { root, sizes: Sizes { entries: 0, leaves: 1, inners: 0 } }
    }
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.sizes.entries
    }

    pub(super) fn bytes(&self) -> usize {
        // Two counters stand before each node.
        const COUNTERS: usize = 2 * size_of::<usize>();
        self.sizes.leaves * (size_of::<Leaf>() + COUNTERS)
            + self.sizes.inners * (size_of::<Inner>() + COUNTERS)
    }

    pub(super) fn put(&mut self, key: &Packed, slot: Slot) {
        if let Some((bound, right)) = self.root.put(key, slot, Fences::NONE, &mut self.sizes) {
            let mut root = Inner::EMPTY;
            root.insert(0, &Packed::EMPTY, self.root.clone());
            root.insert(1, &bound, right);
            self.root = Node::Inner(Arc::new(root));
            self.sizes.inners += 1;
        }
    }

    /// The leaf that `key` belongs into.
    pub(super) fn leaf_of(&self, key: &Packed) -> Found<'_> {
        self.descend(|bounds| bounds.up_to(key))
    }

    /// The leaf that the keys right below `key` belong into. There must be a leaf that begins at `key`.
    pub(super) fn leaf_before(&self, key: &Packed) -> Found<'_> {
        self.descend(|bounds| bounds.below(key))
    }

    fn descend(&self, passed: impl Fn(&Keys<INNER_MAX>) -> usize) -> Found<'_> {
        let (mut node, mut fences) = (&self.root, Fences::NONE);
        loop {
            match node {
                Node::Leaf(leaf) => return Found { leaf, lower: fences.lower, upper: fences.upper },
                Node::Inner(inner) => {
                    let at = passed(&inner.bounds) - 1;
                    fences = fences.of_child(&inner.bounds, at);
                    node = inner.children[at].as_ref().expect("a bound stands before a child");
                }
            }
        }
    }
}

/// What bounds the keys below a node: those from `lower` to right below `upper`.
#[derive(Debug, Clone, Copy)]
struct Fences<'a> {
    lower: Option<&'a Packed>,
    upper: Option<&'a Packed>,
}

impl<'a> Fences<'a> {
    const NONE: Fences<'static> = Fences { lower: None, upper: None };

    fn of_child<'b>(self, bounds: &'b Keys<INNER_MAX>, at: usize) -> Fences<'b>
    where
        'a: 'b,
    {
        let lower = if at > 0 { Some(&bounds.all()[at]) } else { self.lower };
        Fences { lower, upper: bounds.all().get(at + 1).or(self.upper) }
    }

    /// How many leading bytes are the same in all keys between the fences, both included.
    fn shared(self) -> usize {
        let (Some(lower), Some(upper)) = (self.lower, self.upper) else { return 0 };
        lower.0.iter().zip(&upper.0).take_while(|(a, b)| a == b).count()
    }
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

impl Node {
    /// Puts an entry below this node. If the node had to be split: its new right half, and the smallest
    /// key that belongs there.
    fn put(
        &mut self,
        key: &Packed,
        slot: Slot,
        fences: Fences<'_>,
        sizes: &mut Sizes,
    ) -> Option<(Packed, Node)> {
        match self {
            Node::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                let at = match leaf.find(key) {
                    Ok(at) => {
                        leaf.slots[at] = slot;
                        return None;
                    }
                    Err(at) => at,
                };
                sizes.entries += 1;
                if leaf.len() < LEAF_MAX {
                    leaf.insert(at, key, slot);
                    return None;
                }
                sizes.leaves += 1;
                let right = leaf.split(at, key, slot, fences);
                Some((right.keys.all()[0], Node::Leaf(Arc::new(right))))
            }
            Node::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let at = inner.bounds.up_to(key) - 1;
                let child = inner.children[at].as_mut().expect("a bound stands before a child");
                let (bound, right) = child.put(key, slot, fences.of_child(&inner.bounds, at), sizes)?;
                if inner.bounds.len < INNER_MAX {
                    inner.insert(at + 1, &bound, right);
                    return None;
                }
                sizes.inners += 1;
                let right = inner.split(at + 1, &bound, right, fences);
                Some((right.bounds.all()[0], Node::Inner(Arc::new(right))))
            }
        }
    }
}

/// Some bytes of a key.
type Head = i32;

/// Up to `N` keys in order.
///
/// `heads` holds four bytes of each key, those behind the bytes that all keys between the node's fences
/// share, as a number. Any key that a descent brings here lies between the fences too, so that two
/// different heads are in the order of their keys, and whole keys need comparing only where heads are equal.
#[derive(Debug, Clone)]
struct Keys<const N: usize> {
    len: usize,
    /// Where in a key its head begins.
    skip: usize,
    /// Those behind `len` are as large as can be.
    heads: [Head; N],
    keys: [Packed; N],
}

impl<const N: usize> Keys<N> {
    const EMPTY: Self = Keys { len: 0, skip: 0, heads: [Head::MAX; N], keys: [Packed::EMPTY; N] };

    fn all(&self) -> &[Packed] {
        &self.keys[..self.len]
    }

    /// How many keys are below `key`, which lies between the node's fences.
    fn below(&self, key: &Packed) -> usize {
        self.count(key, |other| other < key)
    }

    /// How many keys are at or below `key`, which lies between the node's fences.
    fn up_to(&self, key: &Packed) -> usize {
        self.count(key, |other| other <= key)
    }

    fn count(&self, key: &Packed, passed: impl Fn(&Packed) -> bool) -> usize {
        let head = key.head(self.skip);
        // Every head is looked at, without a branch: by vectors, and all their lines are fetched at once.
        let below = self.heads.iter().map(|other| Head::from(*other < head)).sum::<Head>() as usize;
        let up_to = self.heads.iter().map(|other| Head::from(*other <= head)).sum::<Head>() as usize;
        let alike = &self.keys[below..up_to.min(self.len)];
        // Ascending keys arrive behind all others.
        let at = if alike.last().is_some_and(&passed) { alike.len() } else { alike.partition_point(passed) };
        below + at
    }

    fn insert(&mut self, at: usize, key: &Packed) {
        self.heads.copy_within(at..self.len, at + 1);
        self.keys.copy_within(at..self.len, at + 1);
        (self.heads[at], self.keys[at]) = (key.head(self.skip), *key);
        self.len += 1;
    }

    /// Leaves the first `middle` keys here and gives the others.
    fn split_off(&mut self, middle: usize) -> Self {
        let mut right = Self::EMPTY;
        right.len = self.len - middle;
        right.keys[..right.len].copy_from_slice(&self.keys[middle..self.len]);
        self.len = middle;
        right
    }

    /// Makes the heads anew, for narrower fences.
    fn set_fences(&mut self, fences: Fences<'_>) {
        self.skip = fences.shared().min(size_of::<Packed>() - size_of::<Head>());
        self.heads = [Head::MAX; N];
        for (head, key) in self.heads.iter_mut().zip(&self.keys[..self.len]) {
            *head = key.head(self.skip);
        }
    }
}

/// How many of a full node's `len` parts stay in its left half when one more is inserted `at`.
fn split_point(at: usize, len: usize) -> usize {
    if at == len { len } else { len / 2 }
}

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    keys: Keys<LEAF_MAX>,
    slots: [Slot; LEAF_MAX],
}

impl Leaf {
    const EMPTY: Leaf = Leaf { keys: Keys::EMPTY, slots: [None; LEAF_MAX] };

    pub(super) fn len(&self) -> usize {
        self.keys.len
    }

    pub(super) fn keys(&self) -> &[Packed] {
        self.keys.all()
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots[..self.keys.len]
    }

    /// Where `key`, which belongs into this leaf, is or would be.
    pub(super) fn find(&self, key: &Packed) -> Result<usize, usize> {
        let at = self.position(key);
        if self.keys().get(at) == Some(key) { Ok(at) } else { Err(at) }
    }

    /// How many keys are below `key`, which belongs into this leaf or begins the next.
    pub(super) fn position(&self, key: &Packed) -> usize {
        self.keys.below(key)
    }

    fn insert(&mut self, at: usize, key: &Packed, slot: Slot) {
        self.slots.copy_within(at..self.keys.len, at + 1);
        self.slots[at] = slot;
        self.keys.insert(at, key);
    }

    /// Inserts into a full leaf, which keeps the smaller keys; gives the leaf of the larger ones.
    fn split(&mut self, at: usize, key: &Packed, slot: Slot, fences: Fences<'_>) -> Leaf {
        let middle = split_point(at, LEAF_MAX);
        let mut right = Leaf { keys: self.keys.split_off(middle), slots: [None; LEAF_MAX] };
        right.slots[..LEAF_MAX - middle].copy_from_slice(&self.slots[middle..]);
        if at <= middle && middle < LEAF_MAX {
            self.insert(at, key, slot);
        } else {
            right.insert(at - middle, key, slot);
        }
        let bound = right.keys.keys[0];
        self.keys.set_fences(Fences { upper: Some(&bound), ..fences });
        right.keys.set_fences(Fences { lower: Some(&bound), ..fences });
        right
    }
}

/// Children in order. `bounds[i]` is the smallest key that belongs below child `i`.
#[derive(Debug, Clone)]
struct Inner {
    bounds: Keys<INNER_MAX>,
    children: [Option<Node>; INNER_MAX],
}

impl Inner {
    const EMPTY: Inner = Inner { bounds: Keys::EMPTY, children: [const { None }; INNER_MAX] };

    fn insert(&mut self, at: usize, bound: &Packed, child: Node) {
        self.children[at..=self.bounds.len].rotate_right(1);
        self.children[at] = Some(child);
        self.bounds.insert(at, bound);
    }

    /// As [`Leaf::split`]. A new child never comes first, so both halves have at least one.
    fn split(&mut self, at: usize, bound: &Packed, child: Node, fences: Fences<'_>) -> Inner {
        let middle = split_point(at, INNER_MAX);
        let mut right = Inner { bounds: self.bounds.split_off(middle), ..Inner::EMPTY };
        right.children[..INNER_MAX - middle].swap_with_slice(&mut self.children[middle..]);
        if at <= middle && middle < INNER_MAX {
            self.insert(at, bound, child);
        } else {
            right.insert(at - middle, bound, child);
        }
        let bound = right.bounds.keys[0];
        self.bounds.set_fences(Fences { upper: Some(&bound), ..fences });
        right.bounds.set_fences(Fences { lower: Some(&bound), ..fences });
        right
    }
}
