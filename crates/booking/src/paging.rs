//! What lists share: where a page begins and as of when it is read, and a page out of what was read.
//!
//! Invariant: all pages of a list show it as it was at one point of the log and at one instant: the first page's, or
//! those that `as_of` meant when the first page was read. What is written meanwhile moves nothing out of a page or into
//! one, and no window or hold that ends meanwhile does.

use axum::response::{IntoResponse, Response};
use maitred_core::{ChangeId, Position, Seq, TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_web::page::ListCursors;
use maitred_web::{AsOf, AtLeast, Limit, Page, Problem, Reply};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::app::App;
use crate::reading::Moment;

/// What a cursor carries before the place: the batch, and the instant.
const MOMENT_BYTES: usize = size_of::<Seq>() + size_of::<i64>();

/// Which page of a list is wanted that has no filter but its past.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// As the system knew them then: an instant or a position.
    #[param(inline)]
    #[serde(default)]
    as_of: Option<AsOf>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    pub limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

impl ListQuery {
    /// The page of the list named `list`; of the list of this record where it is about `one`.
    ///
    /// # Errors
    /// Those of [`Listing::open`].
    pub async fn open(
        &self,
        app: &App,
        (list, one): (&str, Option<&[u8]>),
        tenant: TenantNumber,
        at_least: AtLeast,
    ) -> Result<Listing, Problem> {
        let cursors = cursors(app, list, tenant, self.as_of).filtered_by(one);
        Listing::open(app, cursors, self.cursor.as_deref(), self.as_of, at_least).await
    }
}

/// The cursors of a list, whose past is one of its filters.
pub fn cursors(app: &App, list: &str, tenant: TenantNumber, as_of: Option<AsOf>) -> ListCursors {
    app.cursors().of(list, tenant).filtered_by(as_of.map(|as_of| format!("{as_of:?}")))
}

/// One page of a list that is asked for.
#[derive(Debug)]
pub struct Listing {
    /// What it is read from.
    pub view: View,
    /// The batch as of which it is read; `None` is the view's own, which costs less.
    pub as_of: Option<Seq>,
    /// The instant at which all pages are judged.
    pub at: Timestamp,
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
    /// 400 `cursor-invalid`, and those of [`App::view`] and [`Moment::of`].
    pub async fn open(
        app: &App,
        cursors: ListCursors,
        cursor: Option<&str>,
        as_of: Option<AsOf>,
        at_least: AtLeast,
    ) -> Result<Listing, Problem> {
        let opened = cursor.map(|cursor| cursors.open(cursor)).transpose()?;
        let view = app.view(at_least).await?;
        let (view, through, at, after) = match opened {
            None => {
                let Moment { as_of, at } = Moment::of(app, &view, as_of)?;
                let through = as_of.unwrap_or(view.seq()).min(view.seq());
                (view, through, at, None)
            }
            Some(opened) => {
                let (moment, place) = opened.split_at(MOMENT_BYTES);
                let (seq, micros) = moment.split_at(size_of::<Seq>());
                let through = Seq::from_be_bytes(self::place(seq));
                let at = Timestamp::from_micros(i64::from_be_bytes(self::place(micros)));
                // The first page may have come from a node that was ahead of this one.
                let partition = app.engine().partition();
                let view = match through > view.seq() {
                    true => app.view(AtLeast(Some(Position { partition, seq: through }))).await?,
                    false => view,
                };
                (view, through, at, Some(place.to_vec()))
            }
        };
        let as_of = (through < view.seq()).then_some(through);
        Ok(Listing { view, as_of, at, after, cursors, through })
    }

    /// The point in time that all pages show.
    pub fn moment(&self) -> Moment {
        Moment { as_of: self.as_of, at: self.at }
    }

    /// The cursor of the page behind `place`.
    fn seal(&self, place: &[u8]) -> String {
        let (seq, micros) = (self.through.to_be_bytes(), self.at.as_micros().to_be_bytes());
        self.cursors.seal(&[&seq, &micros, place].concat())
    }

    /// The answer: this page, whose next one begins behind the place `next`.
    pub fn reply<Item: Serialize>(
        &self,
        items: impl Iterator<Item = Item>,
        next: Option<impl AsRef<[u8]>>,
    ) -> Response {
        let next_cursor = next.map(|place| self.seal(place.as_ref()));
        let page = Page { items: items.collect(), next_cursor };
        Reply::ok(page).at(self.view.position()).into_response()
    }

    /// The answer out of what was read: an item more than fits tells that there is another page. `place` says where an
    /// item stands in the list.
    pub fn reply_cut<T, Item: Serialize, const PLACE: usize>(
        &self,
        mut found: Vec<T>,
        limit: Limit,
        place: impl FnOnce(&T) -> [u8; PLACE],
        item: impl FnMut(T) -> Item,
    ) -> Response {
        let more = found.len() > limit.get();
        found.truncate(limit.get());
        let next = found.last().filter(|_| more).map(place);
        self.reply(found.into_iter().map(item), next)
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
