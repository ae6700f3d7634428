//! What lists share: a page out of what was read, and places in a list as the bytes of a cursor.

use maitred_core::ChangeId;
use maitred_web::page::ListCursors;
use maitred_web::{Limit, Page};

/// A page of what was read; an item more than fits tells that there is another page. `place` says where an item
/// stands in the list.
pub fn page<T, Item: From<T>, const PLACE: usize>(
    mut found: Vec<T>,
    limit: Limit,
    cursors: &ListCursors,
    place: impl FnOnce(&T) -> [u8; PLACE],
) -> Page<Item> {
    let more = found.len() > limit.get();
    found.truncate(limit.get());
    let next_cursor = found.last().filter(|_| more).map(|last| cursors.seal(&place(last)));
    Page { items: found.into_iter().map(Item::from).collect(), next_cursor }
}

/// The place that was sealed into a cursor of a list whose places have `LEN` bytes.
///
/// # Panics
/// When it has another length: cursors of another list do not open.
pub fn place<const LEN: usize>(opened: &[u8]) -> [u8; LEN] {
    opened.try_into().expect("a cursor carries what was sealed for its list")
}

/// A change as a place in a list of versions.
pub fn write_change(change: ChangeId) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&change.seq.to_be_bytes());
    bytes[8..].copy_from_slice(&change.ordinal.to_be_bytes());
    bytes
}

/// The change that [`write_change`] wrote.
///
/// # Panics
/// As [`place`].
pub fn read_change(opened: &[u8]) -> ChangeId {
    let (seq, ordinal) = opened.split_at(8);
    ChangeId { seq: u64::from_be_bytes(place(seq)), ordinal: u32::from_be_bytes(place(ordinal)) }
}
