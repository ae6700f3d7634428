//! Commands that bring in what another system knows: the newest word of that system wins.

use maitred_core::{Context, Decision, Read};

use super::records::put;
use super::{Decided, Effect, Outcome};
use crate::name;
use crate::salons::command::{PutCustomer, PutLegacyBooking};
use crate::salons::fact::{Customer, Fact};
use crate::salons::legacy::LegacyBooking;
use crate::salons::validation;
use crate::salons::view::{any, id_of_text, text_beside_id};
use crate::violation::refuse_any;

pub(super) fn put_customer(view: &dyn Read, command: &PutCustomer, cx: &Context) -> Decided {
    refuse_any(&validation::put_customer(command))?;
    let id = id_of_text(&command.external_id);
    let mut is = Customer {
        id,
        external_id: text_beside_id(&command.external_id, id),
        name: command.name.clone(),
        email: command.email.clone(),
        phone: command.phone.clone(),
        notes: None,
        deleted: false,
        created_at: command.created_at,
        changed_at: Some(command.changed_at),
    };
    let Some(found) = any::<Customer>(view, cx.tenant, id, None) else {
        return Ok(put(0, is, Effect::Created, (Fact::CustomerCreated, Outcome::Customer), cx));
    };
    if found.is.external_id != is.external_id {
        return Err(name::collision());
    }
    // Who was deleted here stays so: the other system does not know of it.
    let known_until = found.is.changed_at.unwrap_or(found.updated_at);
    if found.is.deleted || command.changed_at <= known_until {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::Customer(Effect::IgnoredStale, found) });
    }
    is.notes.clone_from(&found.is.notes);
    Ok(put(found.version, is, Effect::Updated, (Fact::CustomerUpdated, Outcome::Customer), cx))
}

pub(super) fn put_legacy_booking(view: &dyn Read, command: &PutLegacyBooking, cx: &Context) -> Decided {
    refuse_any(&validation::put_legacy_booking(command))?;
    let external_id = command.external_id.as_deref();
    let id = external_id.map_or_else(|| cx.ids.next(), id_of_text);
    let is = LegacyBooking {
        id,
        external_id: external_id.and_then(|text| text_beside_id(text, id)),
        customer_id: command.customer_id.clone(),
        title: command.title.clone(),
        description: command.description.clone(),
        date: command.date,
        status: command.status,
        price: command.price,
        currency: command.currency,
        created_at: command.created_at,
        changed_at: command.changed_at,
    };
    let told = (Fact::LegacyBookingPut as fn(LegacyBooking) -> Fact, Outcome::LegacyBooking as fn(_, _) -> _);
    let Some(found) = any::<LegacyBooking>(view, cx.tenant, id, None) else {
        return Ok(put(0, is, Effect::Created, told, cx));
    };
    if found.is.external_id != is.external_id {
        return Err(name::collision());
    }
    if command.changed_at <= found.is.changed_at {
        let outcome = Outcome::LegacyBooking(Effect::IgnoredStale, found);
        return Ok(Decision { facts: Vec::new(), outcome });
    }
    Ok(put(found.version, is, Effect::Updated, told, cx))
}
