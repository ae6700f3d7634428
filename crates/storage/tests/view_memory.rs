//! The store in memory is a store.

use maitred_engine::store_conformance;
use maitred_storage::view_memory::MemoryStore;

store_conformance!(Box::new(MemoryStore::new()));

#[test]
#[should_panic(expected = "ascending order")]
fn changes_out_of_order_are_a_bug() {
    use maitred_engine::store::{Change, Store};
    let changes: [Change<'_>; 2] = [(b"b", None), (b"a", None)];
    let _ = MemoryStore::new().write(&mut changes.into_iter());
}
