//! The waitlist: who waits for a time that is taken, in order of entry.
//!
//! A time that comes free is offered to the first who could use it: as a booking that is held for them, for the salon's
//! `offer_minutes` or until the visit would begin. Confirmed, the entry is taken; called off or over, the time is offered
//! to the next, and whoever let it pass keeps their place for other times.
//!
//! Invariants:
//! - An entry has one open offer at a time, and no time is offered to it that overlaps one it let pass.
//! - An offer lies within the entry's `[from, to)`, and is one that could be booked: the same predicate decides.
//! - An entry whose time is over is over for every rule and every read at that very instant; one whose offer is over
//!   waits from that instant on.
//! - Offers are the salon's doing: they do not count among the bookings that a customer may hold.
//!
//! Table: `Index/tenant/WaitlistOpen/number` → id 16 · customer 16 · from 8 · to 8: who waits or has an offer.
//!
//! Next: [`super::offering`] for what makes the offers.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::WantedItem;
use super::intervals::Span;
use crate::encoding::micros;
use crate::record::Index;

/// The most entries of a salon that are open at once.
pub const OPEN_MAX: usize = 500;
/// The most entries of a customer that are open at once.
pub const OPEN_OF_CUSTOMER_MAX: usize = 10;
/// The longest time that is waited for, in days of 24 hours.
pub const WINDOW_DAYS_MAX: i64 = 62;
/// After so many offers that were not taken an entry is over.
pub const PASSED_MAX: usize = 20;

/// Somebody who waits, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitlistEntry {
    /// The id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Its place in the order of entry, from 1.
    pub number: u64,
    /// Who waits.
    #[serde(with = "uuid::serde::compact")]
    pub customer: Uuid,
    /// What is to be done, one after another.
    pub services: Vec<Uuid>,
    /// By whom; by whoever suits best without it.
    pub employee: Option<Uuid>,
    /// The visit begins then or later.
    #[serde(with = "micros")]
    pub from: Timestamp,
    /// The visit ends then or sooner.
    #[serde(with = "micros")]
    pub to: Timestamp,
    /// Where it stands.
    pub status: WaitlistStatus,
    /// The last offer, while it is open and when it was taken.
    pub offer: Option<OpenOffer>,
    /// When the visits were that it was offered and did not take, at most [`PASSED_MAX`].
    pub passed: Vec<PassedOffer>,
    /// The hash of the token by which whoever waits may see the entry, and take or decline its offers.
    pub token_hash: Option<u128>,
    /// When it was entered.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// An offer that is open, or was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOffer {
    /// The booking that is held.
    #[serde(with = "uuid::serde::compact")]
    pub booking: Uuid,
    /// Until when.
    #[serde(with = "micros")]
    pub expires_at: Timestamp,
}

/// When a visit was that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOffer {
    #[serde(with = "micros")]
    starts_at: Timestamp,
    #[serde(with = "micros")]
    ends_at: Timestamp,
}

/// Where an entry stands. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WaitlistStatus {
    /// For a time that comes free.
    Waiting,
    /// A time is held for them.
    Offered,
    /// They took an offer.
    Taken,
    /// The time that was waited for is over, or too many offers were not taken.
    Expired,
    /// They wait no more.
    Cancelled,
}

impl WaitlistStatus {
    /// Every status.
    pub const ALL: [WaitlistStatus; 5] = [
        WaitlistStatus::Waiting,
        WaitlistStatus::Offered,
        WaitlistStatus::Taken,
        WaitlistStatus::Expired,
        WaitlistStatus::Cancelled,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            WaitlistStatus::Waiting => "waiting",
            WaitlistStatus::Offered => "offered",
            WaitlistStatus::Taken => "taken",
            WaitlistStatus::Expired => "expired",
            WaitlistStatus::Cancelled => "cancelled",
        }
    }

    /// Whether something may still come of it.
    pub const fn is_open(self) -> bool {
        matches!(self, WaitlistStatus::Waiting | WaitlistStatus::Offered)
    }
}

impl PassedOffer {
    /// Of a visit.
    pub fn new(visit: Span) -> Self {
        PassedOffer { starts_at: visit.starts_at, ends_at: visit.ends_at }
    }

    /// When the visit was.
    pub fn span(self) -> Span {
        Span::new(self.starts_at, self.ends_at)
    }
}

impl WaitlistEntry {
    /// Where it stands at an instant: what is over is over, whether or not the record says so yet.
    pub fn status_at(&self, at: Timestamp) -> WaitlistStatus {
        let offer_is_over = self.offer.is_none_or(|offer| offer.expires_at <= at);
        match self.status {
            status if status.is_open() && self.to <= at => WaitlistStatus::Expired,
            WaitlistStatus::Offered if offer_is_over => self.status_after_passing(),
            status => status,
        }
    }

    /// Where it stands when its offer is not taken.
    pub fn status_after_passing(&self) -> WaitlistStatus {
        match self.passed.len() + 1 < PASSED_MAX {
            true => WaitlistStatus::Waiting,
            false => WaitlistStatus::Expired,
        }
    }

    /// When it wants its visit, from the first start to the last end.
    pub fn window(&self) -> Span {
        Span::new(self.from, self.to)
    }

    /// Whether a visit may be offered, as far as the entry has a say.
    pub fn wants(&self, visit: Span) -> bool {
        self.from <= visit.starts_at
            && visit.ends_at <= self.to
            && !self.passed.iter().any(|passed| passed.span().overlaps(visit))
    }

    /// What is to be done, as a booking would say it.
    pub fn items(&self) -> Vec<WantedItem> {
        let item = |service: &Uuid| WantedItem { service: *service, employee: self.employee };
        self.services.iter().map(item).collect()
    }
}

/// An entry that is open, as far as the index tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Its place in the order of entry.
    pub number: u64,
    /// Of which entry.
    pub id: Uuid,
    /// Who waits.
    pub customer: Uuid,
    /// For what time.
    pub window: Span,
}

/// The entries that are open at an instant, in order of entry: at most [`OPEN_MAX`] of them.
pub fn open(view: &dyn Read, tenant: TenantNumber, at: Timestamp) -> Vec<Open> {
    let index = Index::WaitlistOpen.key(tenant);
    let mut found = Vec::new();
    view.scan(&index, &index.end(), &mut |key, value| {
        let open = Open::read(key, value);
        if at < open.window.ends_at {
            found.push(open);
        }
        if found.len() < OPEN_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// Where an open entry stands in the index.
pub(super) fn place(tenant: TenantNumber, number: u64) -> Key {
    Index::WaitlistOpen.key(tenant).u64(number)
}

impl Open {
    /// Of an entry.
    pub(super) fn of(entry: &WaitlistEntry) -> Self {
        let WaitlistEntry { id, number, customer, from, to, .. } = *entry;
        Open { number, id, customer, window: Span::new(from, to) }
    }

    pub(super) fn write(&self) -> [u8; 48] {
        let mut value = [0; 48];
        value[..16].copy_from_slice(self.id.as_bytes());
        value[16..32].copy_from_slice(self.customer.as_bytes());
        value[32..40].copy_from_slice(&self.window.starts_at.to_ordered().to_be_bytes());
        value[40..].copy_from_slice(&self.window.ends_at.to_ordered().to_be_bytes());
        value
    }

    fn read(key: &[u8], value: &[u8]) -> Self {
        let number = Parts(&key[key.len() - 8..]).u64();
        let mut parts = Parts(value);
        let (id, customer) = (Uuid::from_u128(parts.u128()), Uuid::from_u128(parts.u128()));
        Open { number, id, customer, window: Span::new(parts.time(), parts.time()) }
    }
}
