//! What was recorded and cannot be found: it is said, and never answered as if it had not been (I8).
//!
//! A reader that meets it has no answer to give, and its callers have none to choose: [`data_loss`] panics, and the
//! request is answered 500 `data-loss` ([`crate::request_id`]). Nothing writes such a view; a damaged store, or a part
//! of it that was thrown away, is what leads here.

/// What the text of such a panic begins with.
const MARK: &str = "data loss: ";

/// Ends a read that has met a pointer which leads nowhere.
///
/// # Panics
/// Always: `what` names the record and what is missing.
pub fn data_loss(what: &str) -> ! {
    panic!("{MARK}{what}");
}

/// Whether a panic with this text comes from [`data_loss`].
pub(crate) fn is_data_loss(text: &str) -> bool {
    text.starts_with(MARK)
}
