//! Comparing two views: by their hashes, and where those differ, entry by entry.

use std::ops::ControlFlow;

use maitred_core::{KEY_BYTES_MAX, Key, Read, Table};
use maitred_engine::View;
use maitred_engine::view_hash::ViewHash;

use super::Watch;

/// The hash of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) entries: u64,
    hash: ViewHash,
}

impl Hashed {
    /// Its beginning, to be shown.
    pub(super) fn short(&self) -> String {
        self.hash.to_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Hashes a view.
pub(super) fn hash(view: &View, watch: &dyn Watch) -> Hashed {
    watch.begin("hashing a view", 0);
    let mut hashed = Hashed { entries: 0, hash: ViewHash::default() };
    scan(view, |key, value| {
        hashed.entries += 1;
        hashed.hash.add(key, value);
        ControlFlow::Continue(())
    });
    hashed
}

/// Where two views differ first, in words.
pub(super) fn first_difference(rebuilt: &dyn Read, other: &dyn Read) -> String {
    let mut found = None;
    scan(rebuilt, |key, value| {
        let what = match other.get(key) {
            Some(same) if same == value => return ControlFlow::Continue(()),
            Some(_) => "has another value",
            None => "is missing",
        };
        found = Some(format!("{} {what}", describe(key)));
        ControlFlow::Break(())
    });
    if found.is_none() {
        scan(other, |key, _| {
            if rebuilt.get(key).is_some() {
                return ControlFlow::Continue(());
            }
            found = Some(format!("{} should not be there", describe(key)));
            ControlFlow::Break(())
        });
    }
    found.unwrap_or_else(|| "no entry does, though the hashes do".to_owned())
}

/// Visits all of a view but the engine's own table.
pub(super) fn scan(view: &dyn Read, mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) {
    view.scan(&Key::new(Table::Meta).end(), &[0xff; KEY_BYTES_MAX + 1], &mut visit);
}

/// A key for people: its table, its tenant, and the rest in hex.
fn describe(key: &[u8]) -> String {
    const TABLES: [Table; 12] = [
        Table::Record,
        Table::Slot,
        Table::Was,
        Table::Version,
        Table::Change,
        Table::Time,
        Table::Idempotency,
        Table::IdempotencyDue,
        Table::Name,
        Table::Number,
        Table::Counter,
        Table::Index,
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let table = key.first().and_then(|first| TABLES.into_iter().find(|table| *table as u8 == *first));
    match (table, key.get(1..5)) {
        (Some(Table::Time), _) => format!("the entry {} of the table Time", hex(&key[1..])),
        (Some(table), Some(tenant)) => {
            let tenant = u32::from_be_bytes(tenant.try_into().expect("four bytes"));
            format!("the entry {} of the table {table:?} of tenant {tenant}", hex(&key[5..]))
        }
        _ => format!("the entry {}", hex(key)),
    }
}

#[cfg(test)]
mod tests {
    use maitred_booking::testing::MemoryView;
    use maitred_core::{TenantNumber, Write};

    use super::*;

    #[test]
    fn the_first_difference_is_named_with_its_table_and_tenant() {
        let key = |last| Key::of(Table::Slot, TenantNumber(3)).u8(last);
        let view = |entries: &[(u8, &[u8])]| {
            let mut view = MemoryView::default();
            entries.iter().for_each(|(last, value)| view.put(&key(*last), value));
            view
        };
        let rebuilt = view(&[(1, b"a"), (2, b"b")]);
        for (other, said) in [
            (view(&[(1, b"a"), (2, b"x")]), "the entry 02 of the table Slot of tenant 3 has another value"),
            (view(&[(2, b"b")]), "the entry 01 of the table Slot of tenant 3 is missing"),
            (
                view(&[(1, b"a"), (2, b"b"), (7, b"")]),
                "the entry 07 of the table Slot of tenant 3 should not be there",
            ),
        ] {
            assert_eq!(first_difference(&rebuilt, &other), said);
        }
    }
}
