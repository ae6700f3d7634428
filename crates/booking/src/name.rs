//! Names as numbers: no text of a client stands in a key.
//!
//! A name (of a resource, of a tenant) is given a number by a fact; keys hold the number, or the name's
//! 128-bit hash. The full text stands in the value and is compared on every read, so that two texts of
//! one hash can never be taken for each other.

use maitred_core::{Key, Read, Rejection, Table, TenantNumber, Write};

/// What is named. Part of the keys: a number is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NameKind {
    /// A resource on which time is claimed.
    Resource = 1,
    /// A tenant, by slug or alias. Kept in the system tenant.
    Tenant = 2,
}

/// What is counted. Part of the keys: a number is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Counter {
    /// The last number given to a resource.
    Resources = 1,
    /// The longest claim on a resource that was ever superseded, in microseconds.
    LongestWas = 2,
    /// The last number given to a tenant.
    Tenants = 3,
    /// The tenants that drop-in routes created by themselves.
    TenantsAutomatic = 4,
    /// The API keys of a tenant that are not revoked.
    ApiKeys = 5,
    /// The numbers given to employees and resources of a salon.
    SalonNumbers = 20,
    /// The last number given to an entry of the waitlist.
    WaitlistNumbers = 21,
    /// The last batch that changed a customer of a salon.
    CustomersChanged = 22,
    /// The longest plan that an event ever had, in microseconds.
    LongestPlan = 24,
    /// The last batch that changed what a search for events finds.
    CatalogueChanged = 25,
}

/// The hash under which a text stands in keys: the first 128 bits of its BLAKE3.
pub fn hash(text: &str) -> u128 {
    hash_bytes(text.as_bytes())
}

/// The same for the bytes of a text.
pub fn hash_bytes(text: &[u8]) -> u128 {
    let hash = blake3::hash(text);
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().expect("sixteen bytes"))
}

/// The number of a name, if it has one.
///
/// # Errors
/// `id-collision` when another text of the same hash holds it.
pub fn number(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: NameKind,
    text: &str,
) -> Result<Option<u32>, Rejection> {
    let Some(value) = view.get(&name_key(tenant, kind, hash(text))) else { return Ok(None) };
    let (number, named) = value.split_at(4);
    if named != text.as_bytes() {
        return Err(collision());
    }
    Ok(Some(u32::from_be_bytes(number.try_into().expect("four bytes"))))
}

/// The name of a number.
///
/// # Panics
/// When the number was never given: views hold numbers behind their names only.
pub fn text(view: &dyn Read, tenant: TenantNumber, kind: NameKind, number: u32) -> &str {
    let name = view.get(&number_key(tenant, kind, number)).expect("a number has a name");
    std::str::from_utf8(name).expect("names are UTF-8")
}

/// Gives `number` to `text`.
pub fn put(view: &mut dyn Write, tenant: TenantNumber, kind: NameKind, number: u32, text: &str) {
    let mut value = Vec::with_capacity(4 + text.len());
    value.extend_from_slice(&number.to_be_bytes());
    value.extend_from_slice(text.as_bytes());
    view.put(&name_key(tenant, kind, hash(text)), &value);
    view.put(&number_key(tenant, kind, number), text.as_bytes());
}

/// Frees `text`; its number keeps the name it was given last.
pub fn forget(view: &mut dyn Write, tenant: TenantNumber, kind: NameKind, text: &str) {
    view.delete(&name_key(tenant, kind, hash(text)));
}

/// A counter's value; 0 before the first [`set_counter`]. `of` tells counters of one kind apart.
pub fn counter(view: &dyn Read, tenant: TenantNumber, counter: Counter, of: u32) -> u64 {
    let value = view.get(&counter_key(tenant, counter, of));
    value.map_or(0, |value| u64::from_be_bytes(value.try_into().expect("a counter has eight bytes")))
}

/// Sets a counter.
pub fn set_counter(view: &mut dyn Write, tenant: TenantNumber, counter: Counter, of: u32, value: u64) {
    view.put(&counter_key(tenant, counter, of), &value.to_be_bytes());
}

/// The number after the last one that `counter` has seen.
///
/// # Panics
/// After 4,294,967,295 of them.
pub fn next_number(view: &dyn Read, tenant: TenantNumber, last: Counter) -> u32 {
    u32::try_from(counter(view, tenant, last, 0) + 1).expect("fewer than 2^32 names are given")
}

/// Two texts have one hash: nobody can bring that about, and nothing is mixed up if it happens.
pub fn collision() -> Rejection {
    Rejection::conflict("id-collision", "Another id has the same hash as this one; choose another id.")
}

fn name_key(tenant: TenantNumber, kind: NameKind, hash: u128) -> Key {
    Key::of(Table::Name, tenant).u8(kind as u8).u128(hash)
}

fn number_key(tenant: TenantNumber, kind: NameKind, number: u32) -> Key {
    Key::of(Table::Number, tenant).u8(kind as u8).u32(number)
}

fn counter_key(tenant: TenantNumber, counter: Counter, of: u32) -> Key {
    Key::of(Table::Counter, tenant).u8(counter as u8).u32(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryView;

    const TENANT: TenantNumber = TenantNumber(1);

    #[test]
    fn a_name_and_its_number_find_each_other() {
        let mut view = MemoryView::default();
        put(&mut view, TENANT, NameKind::Resource, 7, "Stuhl ä");
        assert_eq!(number(&view, TENANT, NameKind::Resource, "Stuhl ä"), Ok(Some(7)));
        assert_eq!(number(&view, TENANT, NameKind::Resource, "Stuhl a"), Ok(None));
        assert_eq!(number(&view, TenantNumber(2), NameKind::Resource, "Stuhl ä"), Ok(None));
        assert_eq!(text(&view, TENANT, NameKind::Resource, 7), "Stuhl ä");
        forget(&mut view, TENANT, NameKind::Resource, "Stuhl ä");
        assert_eq!(number(&view, TENANT, NameKind::Resource, "Stuhl ä"), Ok(None));
    }

    #[test]
    fn two_texts_of_one_hash_are_never_taken_for_each_other() {
        let mut view = MemoryView::default();
        view.put(&name_key(TENANT, NameKind::Resource, hash("a")), b"\0\0\0\x01b");
        assert_eq!(number(&view, TENANT, NameKind::Resource, "a"), Err(collision()));
    }

    #[test]
    fn counters_start_at_nothing_and_are_told_apart() {
        let mut view = MemoryView::default();
        assert_eq!(next_number(&view, TENANT, Counter::Resources), 1);
        set_counter(&mut view, TENANT, Counter::Resources, 0, 41);
        assert_eq!(next_number(&view, TENANT, Counter::Resources), 42);
        assert_eq!(counter(&view, TENANT, Counter::Resources, 1), 0);
        assert_eq!(counter(&view, TENANT, Counter::Tenants, 0), 0);
    }
}
