//! Reading layers and a store as one ordered map.
//!
//! Where several speak of a key, the newest has the word; a tombstone means that the key is not there.

use std::ops::ControlFlow;

use maitred_core::{
    Read,
    view::{Entry, Visit},
};

use super::Layers;
use crate::store::Change;

/// The value of `key`.
pub fn get<'a>(layers: Layers<'a>, store: &'a dyn Read, key: &[u8]) -> Option<&'a [u8]> {
    match layers.get(key) {
        Some(found) => found,
        None => store.get(key),
    }
}

/// The entry of the smallest key in `[from, to)`.
pub fn first<'a>(layers: Layers<'a>, store: &'a dyn Read, from: &[u8], to: &[u8]) -> Option<Entry<'a>> {
    let mut below = store.first(from, to);
    let mut behind: Vec<u8>;
    let mut from = from;
    loop {
        let nearest = |best: Option<Change<'a>>, found: Change<'a>| match best {
            Some(best) if best.0 <= found.0 => Some(best),
            _ => Some(found),
        };
        let above = layers.newest_first().filter_map(|layer| layer.first(from, to)).fold(None, nearest);
        let Some((key, value)) = above else { return below };
        match (below, value) {
            (Some(below), _) if below.0 < key => return Some(below),
            (_, Some(value)) => return Some((key, value)),
            (_, None) => {}
        }
        behind = [key, &[0]].concat();
        from = &behind;
        if below.is_some_and(|below| below.0 == key) {
            below = store.first(from, to);
        }
    }
}

/// The entry of the largest key in `[from, to)`.
pub fn last<'a>(layers: Layers<'a>, store: &'a dyn Read, from: &[u8], to: &[u8]) -> Option<Entry<'a>> {
    let mut below = store.last(from, to);
    let mut to = to;
    loop {
        let nearest = |best: Option<Change<'a>>, found: Change<'a>| match best {
            Some(best) if best.0 >= found.0 => Some(best),
            _ => Some(found),
        };
        let above = layers.newest_first().filter_map(|layer| layer.last(from, to)).fold(None, nearest);
        let Some((key, value)) = above else { return below };
        match (below, value) {
            (Some(below), _) if below.0 > key => return Some(below),
            (_, Some(value)) => return Some((key, value)),
            (_, None) => {}
        }
        to = key;
        if below.is_some_and(|below| below.0 == key) {
            below = store.last(from, to);
        }
    }
}

/// Visits the entries of `[from, to)` in ascending order.
pub fn scan(layers: Layers<'_>, store: &dyn Read, from: &[u8], to: &[u8], visit: Visit<'_>) {
    let above = Merge::new(layers.newest_first().map(|layer| layer.range(from, to)), |a, b| a < b);
    weave(above, |visit| store.scan(from, to, visit), visit, |a, b| a < b);
}

/// Visits the entries of `[from, to)` in descending order.
pub fn scan_back(layers: Layers<'_>, store: &dyn Read, from: &[u8], to: &[u8], visit: Visit<'_>) {
    let above = Merge::new(layers.newest_first().map(|layer| layer.range_back(from, to)), |a, b| a > b);
    weave(above, |visit| store.scan_back(from, to, visit), visit, |a, b| a > b);
}

/// Visits what the layers and the store say together; `before` is the order in which both go.
fn weave<'a>(
    mut above: impl Iterator<Item = Change<'a>>,
    below: impl FnOnce(Visit<'_>),
    visit: Visit<'_>,
    before: fn(&[u8], &[u8]) -> bool,
) {
    let mut next = above.next();
    let mut flow = ControlFlow::Continue(());
    below(&mut |key, value| {
        while let Some((upper, change)) = next
            && !before(key, upper)
        {
            next = above.next();
            if let Some(change) = change {
                flow = visit(upper, change);
            }
            if flow.is_break() || upper == key {
                return flow; // the layer's word hides the store's
            }
        }
        flow = visit(key, value);
        flow
    });
    while flow.is_continue()
        && let Some((key, change)) = next
    {
        next = above.next();
        if let Some(change) = change {
            flow = visit(key, change);
        }
    }
}

/// Several ranges of layers as one; of equal keys the first range's, the newest layer's, is kept.
struct Merge<'a, I: Iterator<Item = Change<'a>>> {
    ranges: Vec<std::iter::Peekable<I>>,
    before: fn(&[u8], &[u8]) -> bool,
}

impl<'a, I: Iterator<Item = Change<'a>>> Merge<'a, I> {
    fn new(ranges: impl Iterator<Item = I>, before: fn(&[u8], &[u8]) -> bool) -> Self {
        Merge { ranges: ranges.map(Iterator::peekable).collect(), before }
    }
}

impl<'a, I: Iterator<Item = Change<'a>>> Iterator for Merge<'a, I> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        let mut best: Option<Change<'a>> = None;
        for range in &mut self.ranges {
            if let Some(found) = range.peek()
                && best.is_none_or(|best| (self.before)(found.0, best.0))
            {
                best = Some(*found);
            }
        }
        let best = best?;
        for range in &mut self.ranges {
            range.next_if(|found| found.0 == best.0);
        }
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use maitred_core::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::overlay::Overlay;
    use crate::overlay::WriterOverlay;

    /// A store for tests: a plain ordered map.
    #[derive(Default)]
    struct Map(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Read for Map {
        fn get(&self, key: &[u8]) -> Option<&[u8]> {
            self.0.get(key).map(Vec::as_slice)
        }
        fn first(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
            if from >= to {
                return None;
            }
            self.0.range(from.to_vec()..to.to_vec()).next().map(|(k, v)| (&k[..], &v[..]))
        }
        fn last(&self, from: &[u8], to: &[u8]) -> Option<Entry<'_>> {
            if from >= to {
                return None;
            }
            self.0.range(from.to_vec()..to.to_vec()).next_back().map(|(k, v)| (&k[..], &v[..]))
        }
        fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
            if from < to {
                let _ = self.0.range(from.to_vec()..to.to_vec()).try_for_each(|(k, v)| visit(k, v));
            }
        }
        fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) {
            if from < to {
                let _ = self.0.range(from.to_vec()..to.to_vec()).rev().try_for_each(|(k, v)| visit(k, v));
            }
        }
    }

    proptest! {
        #[test]
        fn layers_over_a_store_read_as_one_map(
            stored in prop::collection::btree_map(0u8..30, 0u8..4, 0..20),
            layers in prop::collection::vec(prop::collection::vec((0u8..30, prop::option::of(0u8..4)), 0..12), 1..4),
            from in 0u8..32,
            to in 0u8..32,
            take in 1usize..20,
        ) {
            let store = Map(stored.iter().map(|(k, v)| (vec![*k], vec![*v])).collect());
            let mut model = store.0.clone();
            let mut overlay = WriterOverlay::above(&Overlay::new(0), (0, [0; 32]), Timestamp::default());
            for (i, layer) in layers.iter().enumerate() {
                if i > 0 {
                    overlay.fill((i as u64, [0; 32]), Timestamp::default());
                }
                for (key, value) in layer {
                    let value = value.map(|v| vec![v]);
                    overlay.put(&[*key], value.as_deref());
                    match value {
                        Some(value) => model.insert(vec![*key], value),
                        None => model.remove(&vec![*key]),
                    };
                }
            }
            let model = Map(model);
            let (from, to) = ([from], [to]);
            let layers = overlay.layers();
            prop_assert_eq!(get(layers, &store, &from), model.get(&from));
            prop_assert_eq!(first(layers, &store, &from, &to), model.first(&from, &to));
            prop_assert_eq!(last(layers, &store, &from, &to), model.last(&from, &to));
            let collect = |scan: &dyn Fn(Visit<'_>)| {
                let mut seen = Vec::new();
                scan(&mut |k, v| {
                    seen.push((k.to_vec(), v.to_vec()));
                    if seen.len() == take { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                seen
            };
            prop_assert_eq!(
                collect(&|visit| scan(layers, &store, &from, &to, visit)),
                collect(&|visit| model.scan(&from, &to, visit))
            );
            prop_assert_eq!(
                collect(&|visit| scan_back(layers, &store, &from, &to, visit)),
                collect(&|visit| model.scan_back(&from, &to, visit))
            );
        }
    }
}
