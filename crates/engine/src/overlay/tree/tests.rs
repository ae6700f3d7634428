//! A layer against a plain ordered map, its frozen views included.

use std::collections::BTreeMap;

use maitred_core::KEY_BYTES_MAX;
use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Few first bytes, so that keys repeat, are prefixes of each other, and end in zeros.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(prop::sample::select(&[0u8, 1, 2, 0xff][..]), 0..7),
        1 => prop::collection::vec(any::<u8>(), KEY_BYTES_MAX - 1..=KEY_BYTES_MAX),
        1 => (any::<u16>()).prop_map(|n| [vec![9; KEY_BYTES_MAX - 2], n.to_be_bytes().to_vec()].concat()),
    ]
}

/// Bounds may be longer than any key.
fn bound() -> impl Strategy<Value = Vec<u8>> {
    (key(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(key, more)| [key, more].concat())
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..20))
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, Option<Vec<u8>>),
    /// Puts this many keys from `first` upwards, or downwards.
    Run {
        first: u32,
        count: u32,
        up: bool,
    },
    Freeze,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (any::<u32>(), 1u32..200, any::<bool>()).prop_map(|(first, count, up)| Step::Run { first, count, up }),
        3 => Just(Step::Freeze),
    ]
}

fn put(layer: &mut Layer, model: &mut Model, key: &[u8], value: Option<&[u8]>) {
    layer.put(key, value);
    model.insert(key.to_vec(), value.map(<[u8]>::to_vec));
}

fn owned((key, value): Change<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.to_vec(), value.map(<[u8]>::to_vec))
}

/// Everything that a view can be asked, answered as the model answers it.
fn check(view: LayerView<'_>, model: &Model, bounds: &[Vec<u8>]) {
    let all: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(view.all().map(owned).collect::<Vec<_>>(), all);
    for key in bounds.iter().chain(model.keys()) {
        assert_eq!(view.get(key), model.get(key).map(Option::as_deref), "{key:02x?}");
    }
    for from in bounds {
        for to in bounds {
            let within: Vec<_> =
                all.iter().filter(|(key, _)| (from..to).contains(&key)).cloned().collect::<Vec<_>>();
            assert_eq!(view.range(from, to).map(owned).collect::<Vec<_>>(), within, "{from:02x?}..{to:02x?}");
            assert_eq!(view.first(from, to).map(owned).as_ref(), within.first(), "{from:02x?}..{to:02x?}");
            assert_eq!(view.last(from, to).map(owned).as_ref(), within.last(), "{from:02x?}..{to:02x?}");
            let back: Vec<_> = view.range_back(from, to).map(owned).collect();
            assert!(back.iter().eq(within.iter().rev()), "{from:02x?}..{to:02x?} back");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_layer_and_all_its_frozen_views_answer_as_a_map_does(
        steps in prop::collection::vec(step(), 1..300),
        bounds in prop::collection::vec(bound(), 1..6),
    ) {
        let (mut layer, mut model, mut frozen) = (Layer::new(), Model::new(), Vec::new());
        for step in steps {
            match step {
                Step::Put(key, value) => put(&mut layer, &mut model, &key, value.as_deref()),
                Step::Run { first, count, up } => (0..count).for_each(|n| {
                    let number = if up { first.wrapping_add(n) } else { first.wrapping_sub(n) };
                    put(&mut layer, &mut model, &number.to_be_bytes(), Some(&n.to_le_bytes()));
                }),
                Step::Freeze => frozen.push((layer.freeze(), model.clone())),
            }
            prop_assert_eq!(layer.len(), model.len());
        }
        check(layer.view(), &model, &bounds);
        for (frozen, then) in &frozen {
            check(frozen.view(), then, &bounds);
            prop_assert_eq!(frozen.len(), then.len());
        }
    }

    #[test]
    fn packed_keys_sort_as_their_bytes_do(a in bound(), b in key()) {
        prop_assert_eq!(Packed::bound(&a).cmp(&Packed::key(&b)), a.cmp(&b));
        let packed = Packed::key(&b);
        prop_assert_eq!(packed.bytes(), &b[..]);
    }
}

#[test]
fn an_empty_layer_answers_nothing() {
    check(Layer::new().view(), &Model::new(), &[vec![], vec![1], vec![0xff; 60]]);
    assert!(Layer::new().is_empty());
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty() {
    let mut layer = Layer::new();
    (0..1000u32).for_each(|n| layer.put(&n.to_be_bytes(), None));
    let (low, high) = (10u32.to_be_bytes(), 900u32.to_be_bytes());
    let view = layer.view();
    assert_eq!(view.range(&high, &low).count() + view.range_back(&high, &low).count(), 0);
    assert_eq!((view.first(&high, &low), view.last(&high, &low)), (None, None));
    assert_eq!(view.range(&low, &high).count(), 890);
}

#[test]
fn ascending_keys_fill_their_nodes() {
    let bytes_per_entry = |mut key_of: Box<dyn FnMut(u64) -> u64>| {
        let mut layer = Layer::new();
        (0..100_000).for_each(|n| layer.put(&key_of(n).to_be_bytes(), None));
        layer.bytes() as f64 / 1e5
    };
    let ascending = bytes_per_entry(Box::new(|n| n));
    let scattered = bytes_per_entry(Box::new(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    assert!(ascending < 70.0, "{ascending} bytes an entry");
    assert!(scattered < 115.0, "{scattered} bytes an entry");
}

#[test]
fn what_was_overwritten_is_counted_as_long_as_it_is_kept() {
    let mut layer = Layer::new();
    layer.put(b"key", Some(&[1; 1 << 20]));
    let before = layer.bytes();
    layer.put(b"key", None);
    assert!(layer.bytes() >= before && before > 1 << 20);
}

#[test]
#[should_panic(expected = "a key of 48 bytes")]
fn a_key_that_is_too_long_is_not_taken() {
    Layer::new().put(&[1; KEY_BYTES_MAX + 1], None);
}

#[test]
fn readers_on_other_threads_see_their_moment_while_the_writer_goes_on() {
    const MOMENTS: u64 = 60;
    let mut layer = Layer::new();
    std::thread::scope(|scope| {
        for moment in 0..MOMENTS {
            for n in 0..500u64 {
                let key = (n * 7919 % 500).to_be_bytes();
                layer.put(&key, (n % 7 != moment % 7).then_some(&moment.to_be_bytes()));
            }
            let frozen = layer.freeze();
            scope.spawn(move || {
                let mut seen = 0;
                for (_, value) in frozen.view().all() {
                    assert!(value.is_none_or(|value| value == moment.to_be_bytes()));
                    seen += 1;
                }
                assert_eq!(seen, 500);
            });
        }
    });
}
