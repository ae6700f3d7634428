//! Customers as text, kept from one list to the next: a week of a large salon shows most of its customers once.
//!
//! Invariants:
//! - What is kept of a salon was read from views in which its customers had last changed at one batch, and is used for no
//!   other ([`Counter::CustomersChanged`](maitred_booking::name::Counter)).
//! - All that is kept together is at most [`KEPT_BYTES_MAX`].

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use maitred_booking::salons::view::customers_changed;
use maitred_core::{Read, TenantNumber};
use uuid::Uuid;

/// What a customer's place takes, roughly.
const PLACE_BYTES: usize = 64;
/// The most bytes that are kept of all salons; where there is more, all is read anew.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// The most bytes that one list gathers; a list of more customers reads some of them again.
const GATHERED_BYTES_MAX: usize = 8 << 20;

/// The customers of all salons, as far as they were shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct CustomerTexts(Arc<Mutex<HashMap<TenantNumber, Arc<Texts>>>>);

/// Customers of one salon.
#[derive(Debug, Default)]
struct Texts {
    /// The batch that had changed one of them last.
    changed: u64,
    text: Vec<u8>,
    /// Where each stands in the text; `None` for those that there are not.
    places: HashMap<Uuid, Option<Range<usize>>>,
}

/// The customers of one list.
#[derive(Debug)]
pub(super) struct Customers {
    all: CustomerTexts,
    tenant: TenantNumber,
    kept: Arc<Texts>,
    gathered: Texts,
}

impl CustomerTexts {
    /// Those of a salon that are kept and as they are in the view.
    pub(super) fn of(&self, view: &dyn Read, tenant: TenantNumber) -> Customers {
        let changed = customers_changed(view, tenant);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        let kept = kept.filter(|kept| kept.changed == changed).unwrap_or_default();
        let gathered = Texts { changed, ..Texts::default() };
        Customers { all: self.clone(), tenant, kept, gathered }
    }
}

impl Texts {
    /// What it takes of memory, roughly: of those that there are not, the place.
    fn bytes(&self) -> usize {
        self.text.len() + self.places.len() * PLACE_BYTES
    }

    /// The text of a customer; `Some(None)` where there is none.
    fn get(&self, id: Uuid) -> Option<Option<&[u8]>> {
        let place = self.places.get(&id)?;
        Some(place.clone().map(|place| &self.text[place]))
    }

    fn add(&mut self, id: Uuid, text: Option<&[u8]>) {
        let start = self.text.len();
        self.text.extend_from_slice(text.unwrap_or_default());
        self.places.insert(id, text.map(|_| start..self.text.len()));
    }
}

impl Customers {
    /// The text of a customer, written by `write` where it is not known yet; `None` where there is no such customer.
    pub(super) fn text(&mut self, id: Uuid, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<&[u8]> {
        if let Some(known) = self.kept.get(id) {
            return known;
        }
        if self.gathered.bytes() >= GATHERED_BYTES_MAX {
            self.gathered.text.clear();
            self.gathered.places.clear();
        }
        let Texts { text, places, .. } = &mut self.gathered;
        let place = places.entry(id).or_insert_with(|| {
            let start = text.len();
            write(text).map(|()| start..text.len())
        });
        place.clone().map(|place| &text[place])
    }
}

impl Drop for Customers {
    /// Keeps what the list has gathered for the next one.
    fn drop(&mut self) {
        let Customers { all, tenant, kept, gathered } = self;
        if gathered.places.is_empty() {
            return;
        }
        for (id, place) in &kept.places {
            gathered.add(*id, place.clone().map(|place| &kept.text[place]));
        }
        let gathered = std::mem::take(gathered);
        let mut all = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(tenant);
        if gathered.bytes() > KEPT_BYTES_MAX {
            return;
        }
        let kept: usize = all.values().map(|texts| texts.bytes()).sum();
        if kept + gathered.bytes() > KEPT_BYTES_MAX {
            all.clear();
        }
        all.insert(*tenant, Arc::new(gathered));
    }
}
