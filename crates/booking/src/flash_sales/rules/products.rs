//! Commands on products.

use maitred_core::{Context, Decision, Read, Rejection};
use uuid::Uuid;

use super::{
    Decided, Effect, OPEN_SALES_MAX, Outcome, at_version, new_id, next_version, product_not_found,
    settle_ended,
};
use crate::flash_sales::command::{
    CreateProduct, UpdateProduct, validate_create_product, validate_product_patch,
};
use crate::flash_sales::fact::{Fact, Product};
use crate::flash_sales::{stock, view};
use crate::violation::refuse_any;

pub(super) fn create(view: &dyn Read, command: &CreateProduct, cx: &Context) -> Decided {
    refuse_any(&validate_create_product(command))?;
    let id = new_id(view, command.id, cx)?;
    let product = Product {
        id,
        name: command.name.clone(),
        description: command.description.clone(),
        price: command.price,
        inventory: command.inventory,
        deleted: false,
        created_at: cx.timestamp,
    };
    let next = next_version(0, product.clone(), cx);
    let outcome = Outcome::Product { effect: Effect::Created, product: next, allocated: 0 };
    Ok(Decision { facts: vec![Fact::ProductCreated(product)], outcome })
}

pub(super) fn update(view: &dyn Read, command: &UpdateProduct, cx: &Context) -> Decided {
    let UpdateProduct { product: id, patch, if_version } = command;
    refuse_any(&validate_product_patch(patch))?;
    let found = at_version(view::product(view, cx.tenant, *id, None), *if_version, product_not_found())?;
    let mut allocated = stock::allocated(view, cx.tenant, *id, None);
    let mut product = found.is.clone();
    if let Some(name) = &patch.name {
        product.name.clone_from(name);
    }
    if let Some(description) = &patch.description {
        product.description.clone_from(description);
    }
    product.price = patch.price.unwrap_or(product.price);
    product.inventory = patch.inventory.unwrap_or(product.inventory);
    if product == found.is {
        let outcome = Outcome::Product { effect: Effect::Unchanged, product: found, allocated };
        return Ok(Decision { facts: Vec::new(), outcome });
    }
    let mut facts = Vec::new();
    if product.inventory < allocated {
        let open = stock::open_sales(view, cx.tenant, *id, OPEN_SALES_MAX);
        let (ended, returned) = settle_ended(view, &open, cx);
        (facts, allocated) = (ended, allocated - returned);
    }
    if product.inventory < allocated {
        let detail = format!("Sales have taken {allocated} pieces; end or shrink some first.");
        return Err(
            Rejection::conflict("inventory-below-allocated", detail).with("allocated", allocated.to_string())
        );
    }
    facts.push(Fact::ProductUpdated(product.clone()));
    let product = next_version(found.version, product, cx);
    Ok(Decision { facts, outcome: Outcome::Product { effect: Effect::Updated, product, allocated } })
}

pub(super) fn delete(view: &dyn Read, id: Uuid, if_version: Option<u64>, cx: &Context) -> Decided {
    let found = at_version(view::product(view, cx.tenant, id, None), if_version, product_not_found())?;
    let open = stock::open_sales(view, cx.tenant, id, OPEN_SALES_MAX);
    let (mut facts, returned) = settle_ended(view, &open, cx);
    if facts.len() < open.len() {
        let detail = "The product has sales that have not ended; end or cancel them first.";
        return Err(Rejection::conflict("product-in-use", detail));
    }
    let product = Product { deleted: true, ..found.is };
    facts.push(Fact::ProductDeleted(product.clone()));
    let allocated = stock::allocated(view, cx.tenant, id, None) - returned;
    let product = next_version(found.version, product, cx);
    Ok(Decision { facts, outcome: Outcome::Product { effect: Effect::Deleted, product, allocated } })
}
