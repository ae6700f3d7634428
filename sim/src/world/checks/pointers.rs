//! What a view's tables point to, read as the tables are drawn in the product's `record.rs`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{ChangeId, Key, Read, Table, TenantNumber, Timestamp};

/// A version of a record as `Record` and `Version` have it: its number, the fact that wrote it, and when.
fn written(value: &[u8]) -> (u64, ChangeId, Timestamp) {
    let mut parts = Parts(value);
    (parts.u64(), parts.change(), parts.time())
}

/// I8: every pointer leads somewhere. `facts` are those of the log.
///
/// # Errors
/// The first pointer that does not.
pub(super) fn check(
    view: &dyn Read,
    facts: &BTreeMap<ChangeId, (TenantNumber, Timestamp)>,
) -> Result<(), String> {
    for table in [Table::Record, Table::Version] {
        each(view, table, &mut |key, value| {
            let tenant = TenantNumber(Parts(&key[1..]).u32());
            let (version, change, at) = written(value);
            if facts.get(&change) == Some(&(tenant, at)) {
                return Ok(());
            }
            Err(format!(
                "I8: version {version} of {key:?} was written by {change:?}, which is not in the log"
            ))
        })?;
    }
    each(view, Table::Change, &mut |key, value| {
        let mut parts = Parts(&key[1..]);
        let (tenant, change) = (TenantNumber(parts.u32()), parts.change());
        let mut parts = Parts(value);
        let (kind, _, version, id) = (parts.u8(), parts.u8(), parts.u64(), parts.u128());
        let record = Key::of(Table::Record, tenant).u8(kind).u128(id);
        let current = view.get(&record).map(written).filter(|(_, wrote, _)| *wrote == change);
        let superseded = Key::of(Table::Version, tenant).u8(kind).u128(id).change(change);
        let found = current.or_else(|| view.get(&superseded).map(written));
        if found.is_some_and(|(found, wrote, _)| (found, wrote) == (version, change)) {
            return Ok(());
        }
        Err(format!("I8: {change:?} wrote version {version} of {id:x}, which leads to {found:?}"))
    })
}

/// What is looked at for each entry of a table.
type Look<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), String>;

fn each(view: &dyn Read, table: Table, look: Look<'_>) -> Result<(), String> {
    let table = Key::new(table);
    let mut result = Ok(());
    view.scan(&table, &table.end(), &mut |key, value| {
        result = look(key, value);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    result
}
