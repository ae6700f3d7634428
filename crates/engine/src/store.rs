//! What a view's store on disk is: an ordered map of bytes to bytes, changed by whole transactions.
//!
//! A store is disposable. It carries no durability of its own: what it lacks is replayed from the log,
//! and what does not match the log is thrown away and rebuilt.

use maitred_core::Read;

/// One change of a transaction: a key, and its new value or `None` to remove it.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// A view's store. One passes `crate::conformance::store`.
pub trait Store: Send + Sync {
    /// The store as it is now. Never blocks, and never sees half a transaction.
    fn snapshot(&self) -> Box<dyn StoreSnapshot>;

    /// Applies `changes`, in strictly ascending order of keys, in one atomic transaction. One writer at a time.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StoreError>;

    /// Removes everything.
    ///
    /// # Errors
    /// [`StoreError`].
    fn clear(&self) -> Result<(), StoreError>;

    /// Asks that what was written reach the disk bit by bit rather than all at once. Not a promise.
    fn ease(&self) {}
}

/// A view's store as it stood at one moment; holding it keeps that moment's pages alive.
pub trait StoreSnapshot: Read + Send {}

/// A store that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk, or past the store's configured size.
    #[error("the view's store is full: {0}")]
    Full(String),
    /// What is there is no store, or not a whole one. It can be thrown away and made anew.
    #[error("the view's store is damaged: {0}")]
    Damaged(String),
    /// Anything else.
    #[error("the view's store failed: {0}")]
    Failed(String),
}
