//! What lists share: where a page begins and as of when it is read, and a page out of what was read.
//!
//! Invariant: all pages of a list show it as it was at one point of the log: the first page's, or the one that `as_of`
//! meant when the first page was read. What is written meanwhile moves nothing out of a page or into one.

use maitred_core::{ChangeId, Position, Seq};
use maitred_engine::View;
use maitred_web::page::ListCursors;
use maitred_web::{AsOf, AtLeast, Limit, Page, Problem};

use crate::app::App;

const SEQ_BYTES: usize = size_of::<Seq>();

/// One page of a list that is asked for.
#[derive(Debug)]
pub struct Listing {
    /// What it is read from.
    pub view: View,
    /// The batch as of which it is read; `None` is the view's own, which costs less.
    pub as_of: Option<Seq>,
    /// Behind which place in the list it begins.
    pub after: Option<Vec<u8>>,
    cursors: ListCursors,
    /// The batch that all pages show.
    through: Seq,
}

impl Listing {
    /// A page of the list of `cursors`: the first one without a `cursor`.
    ///
    /// # Errors
    /// 400 `cursor-invalid`, and those of [`App::view`] and [`App::as_of`].
    pub async fn open(
        app: &App,
        cursors: ListCursors,
        cursor: Option<&str>,
        as_of: Option<AsOf>,
        at_least: AtLeast,
    ) -> Result<Listing, Problem> {
        let opened = cursor.map(|cursor| cursors.open(cursor)).transpose()?;
        let view = app.view(at_least).await?;
        let (view, through, after) = match opened.as_deref().map(<[u8]>::split_first_chunk::<SEQ_BYTES>) {
            None => {
                let through = app.as_of(&view, as_of)?.unwrap_or(view.seq()).min(view.seq());
                (view, through, None)
            }
            Some(place) => {
                let (seq, place) = place.expect("a cursor carries what was sealed for its list");
                let through = Seq::from_be_bytes(*seq);
                // The first page may have come from a node that was ahead of this one.
                let partition = app.engine().partition();
                let view = match through > view.seq() {
                    true => app.view(AtLeast(Some(Position { partition, seq: through }))).await?,
                    false => view,
                };
                (view, through, Some(place.to_vec()))
            }
        };
        let as_of = (through < view.seq()).then_some(through);
        Ok(Listing { view, as_of, after, cursors, through })
    }

    /// The cursor of the page behind `place`.
    pub fn seal(&self, place: &[u8]) -> String {
        self.cursors.seal(&[&self.through.to_be_bytes(), place].concat())
    }

    /// A page of what was read; an item more than fits tells that there is another page. `place` says where an item
    /// stands in the list.
    pub fn page<T, Item: From<T>, const PLACE: usize>(
        &self,
        mut found: Vec<T>,
        limit: Limit,
        place: impl FnOnce(&T) -> [u8; PLACE],
    ) -> Page<Item> {
        let more = found.len() > limit.get();
        found.truncate(limit.get());
        let next_cursor = found.last().filter(|_| more).map(|last| self.seal(&place(last)));
        Page { items: found.into_iter().map(Item::from).collect(), next_cursor }
    }
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
