//! What the overlay's tree costs: nanoseconds for each put, get and seek.
//!
//! `cargo run --release -p maitred-engine --example tree_speed [entries]`

use std::hint::black_box;
use std::time::Instant;

use maitred_core::{Key, Table, TenantNumber};
use maitred_engine::overlay::tree::Layer;

const PUTS_BETWEEN_FREEZES: u64 = 150;
const ROUNDS: u64 = 300_000;
const VALUE: [u8; 100] = [7; 100];

/// A record's key of one of many tenants, spread over all of them.
fn scattered(n: u64) -> Key {
    let hash = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Key::of(Table::Record, TenantNumber((hash >> 64) as u32 % 50)).u8(1).u128(hash)
}

fn sequential(n: u64) -> Key {
    Key::of(Table::Change, TenantNumber(1)).u64(n / 4).u32(n as u32 % 4)
}

fn report(what: &str, count: u64, mut run: impl FnMut(u64)) {
    let start = Instant::now();
    (0..count).for_each(&mut run);
    println!("{what:44} {:7.0} ns", start.elapsed().as_nanos() as f64 / count as f64);
}

fn main() {
    let entries: u64 = std::env::args().nth(1).map_or(300_000, |count| count.parse().expect("a number"));

    let mut layer = Layer::new();
    report("put, ascending keys, never frozen", entries, |n| layer.put(&sequential(n), Some(&VALUE)));
    println!(
        "{:44} {:7.0} bytes",
        "  an entry, its 100 bytes included",
        layer.bytes() as f64 / entries as f64
    );

    let mut layer = Layer::new();
    let mut frozen = layer.freeze();
    report("put, ascending keys, frozen every 150", entries, |n| {
        layer.put(&sequential(n), Some(&VALUE));
        if n % PUTS_BETWEEN_FREEZES == 0 {
            frozen = layer.freeze();
        }
    });

    let mut layer = Layer::new();
    report("put, scattered keys, never frozen, growing", entries, |n| layer.put(&scattered(n), Some(&VALUE)));
    println!(
        "{:44} {:7.0} bytes",
        "  an entry, its 100 bytes included",
        layer.bytes() as f64 / entries as f64
    );
    report("put, scattered keys, never frozen, full", ROUNDS, |n| {
        layer.put(&scattered(n * 7919 % entries), Some(&VALUE));
    });
    report("put, scattered keys, frozen every 150, full", ROUNDS, |n| {
        layer.put(&scattered(n * 104_729 % entries), Some(&VALUE));
        if n % PUTS_BETWEEN_FREEZES == 0 {
            frozen = layer.freeze();
        }
    });
    report("making a scattered key (part of all above)", ROUNDS, |n| {
        black_box(scattered(n * 7919 % entries));
    });
    let last = layer.freeze();
    let view = last.view();
    report("get, scattered", ROUNDS, |n| {
        black_box(view.get(&scattered(n * 7919 % entries)).expect("it was put"));
    });
    report("get, of a key that is not there", ROUNDS, |n| {
        assert!(view.get(&scattered(1 << 40 | n)).is_none());
    });
    let end = Key::new(Table::Slot);
    report("first", ROUNDS, |n| {
        black_box(view.first(&scattered(n * 7919 % entries), &end).expect("it was put"));
    });
    let start = Key::new(Table::Record);
    report("last", ROUNDS, |n| {
        black_box(view.last(&start, &scattered(n * 7919 % entries)));
    });
    let (mut ascending, mut descending) = (view.all(), view.range_back(&start, &end));
    let count = view.all().count() as u64;
    report("a step ascending", count, |_| {
        black_box(ascending.next().expect("as many as were counted"));
    });
    report("a step descending", count, |_| {
        black_box(descending.next().expect("as many as were counted"));
    });

    report("put, scattered new keys, frozen every 150", ROUNDS, |n| {
        layer.put(&scattered(entries + n), Some(&VALUE));
        if n % PUTS_BETWEEN_FREEZES == 0 {
            frozen = layer.freeze();
        }
    });
}
