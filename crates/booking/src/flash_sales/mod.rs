//! Flash sales: products, sales that give out some of their pieces within a window, and the orders of buyers.
//!
//! Invariants:
//! - Of every sale, `left + held + sold + returned` is what was given to it, at every batch (I6): a fact on an
//!   order moves one piece between two of them, and none does more. No piece is sold twice, or lost.
//! - A buyer never has more pieces of a sale than its limit allows; a piece that comes back no longer counts.
//! - A product's inventory is what was ever brought in. A sale takes from what is available of it, and gives back
//!   what is left when it is closed; what was sold is gone for good.
//! - A hold that is over is over for every rule and every read at that very instant, and so is a window. That the
//!   records say so follows ([`crate::timer`]), and nobody waits for it.
//! - A purchase is one decision, and touches no record but its own order: the sale's counts stand apart ([`stock`]).
//! - Every order that was placed is completed, or fails and gives its piece back ([`processing`]).
//! - Nothing is forgotten: every version stays, and the counts after every fact ([`reconciliation`]). Of tries to buy
//!   only sums are kept, and the newest seconds ([`tries`]).
//!
//! A purchase is refused in this order:
//!
//! | code | class | when |
//! |---|---|---|
//! | `sale-not-found` | absent | there is no such sale |
//! | `sold-out` | conflict | nothing is left of it (a closed sale that gave pieces back is not sold out) |
//! | `buyer-limit-reached` | conflict | the buyer has as many as one may have |
//! | `sale-not-active` | conflict | its window has not begun, or is over, or it is cancelled; `state` says which |
//!
//! Everything else is refused in this order:
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-name`, `invalid-description`, `invalid-price`, `invalid-inventory`, `invalid-time-range`, `invalid-quantity`, `invalid-buyer-limit`, `invalid-hold-seconds`, `invalid-reason`, `invalid-reference` | unprocessable | a field breaks a rule |
//! | `product-not-found`, `sale-not-found`, `order-not-found` | absent | there is none, or it is not the buyer's |
//! | `version-mismatch` | precondition | `if_version` is not the current version |
//! | `id-taken` | conflict | there is a record of this id |
//! | (accepted) | | what is to be ended or cancelled is so already, or a hold or window that is to be settled is not over |
//! | `sale-closed` | conflict | it has ended, or was cancelled |
//! | `invalid-time-range` | unprocessable | the changed window ends before it starts |
//! | `quantity-below-sold` | conflict | fewer pieces than are sold and held already |
//! | `product-in-use` | conflict | a product with open sales cannot go |
//! | `inventory-below-allocated` | conflict | sales have taken more than that |
//! | `inventory-short` | conflict | the product has not as many pieces available |
//! | `too-many-open-sales` | too many | a product has as many as it may have at once |
//! | `holds-unsettled` | too many | more holds are over than a command settles, and pieces are to be counted out |
//! | `hold-expired` | conflict | the order's hold is over |
//! | `invalid-transition` | conflict | the order's status does not lead there |
//!
//! A version that is taken over from another server is refused by the same codes, and by `version-missing` and
//! `version-differs` (conflicts) where it is neither the next one nor one that is here ([`rules`]).
//!
//! Sources: the flash-sale service that is replaced (its precedence, its order processing with compensation).

pub mod command;
pub mod fact;
pub(crate) mod hints;
pub mod http;
pub mod live;
pub mod processing;
pub mod reconciliation;
pub mod rules;
pub mod statistics;
pub mod stock;
#[cfg(test)]
mod tests;
pub mod tries;
pub mod view;

pub use command::{
    BUYER_LIMIT_MAX, Command, CreateProduct, CreateSale, DESCRIPTION_CHARS_MAX, FailOrder, HOLD_SECONDS_MAX,
    INVENTORY_MAX, NAME_CHARS_MAX, PlaceOrder, ProductPatch, QUANTITY_MAX, REASON_CHARS_MAX, ResetSale,
    SalePatch, UpdateProduct, UpdateSale, validate_reset,
};
pub use fact::{
    Closed, Closing, Fact, Imported, Order, OrderStatus, Product, Sale, Second, Tally, TriesCounted,
};
pub use reconciliation::{OrderCounts, Reconciliation, reconcile};
pub use rules::{Effect, OPEN_SALES_MAX, Outcome, Rules};
pub use stock::Stock;
pub use view::{OrderQuery, SaleState, Versioned};
