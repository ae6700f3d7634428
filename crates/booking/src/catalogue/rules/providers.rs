//! Providers: who they are and how they are asked.

use maitred_core::{Class, Context, Decision, Read, Rejection};

use super::{Decided, Effect, Outcome, PROVIDERS_MAX, provider_of};
use crate::catalogue::command::{CreateProvider, UpdateProvider, validate_create, validate_patch};
use crate::catalogue::fact::{Fact, Provider};
use crate::catalogue::view::{self, Versioned};
use crate::violation::refuse_any;

pub(super) fn create(view: &dyn Read, command: &CreateProvider, cx: &Context) -> Decided {
    refuse_any(&validate_create(command))?;
    if view::provider(view, cx.tenant, &command.name, None).is_some() {
        return Err(Rejection::conflict("provider-exists", "There is a provider of this name already."));
    }
    if view::providers(view, cx.tenant, None, None, PROVIDERS_MAX).items.len() == PROVIDERS_MAX {
        let detail = format!("A tenant has at most {PROVIDERS_MAX} providers.");
        return Err(Rejection::new(Class::TooMany, "too-many-providers", detail));
    }
    let provider = Provider {
        id: cx.ids.next(),
        name: command.name.clone(),
        url: command.url.clone(),
        format: command.format,
        interval_seconds: command.interval_seconds,
        timeout_seconds: command.timeout_seconds,
        time_zone: command.time_zone.clone(),
        currency: command.currency,
        headers: command.headers.clone(),
        active: command.active,
        created_at: cx.timestamp,
    };
    let is = Versioned { version: 1, updated_at: cx.timestamp, is: provider.clone() };
    let outcome = Outcome::Provider { effect: Effect::Created, provider: is };
    Ok(Decision { facts: vec![Fact::ProviderCreated(provider)], outcome })
}

pub(super) fn update(view: &dyn Read, command: &UpdateProvider, cx: &Context) -> Decided {
    let patch = &command.patch;
    refuse_any(&validate_patch(patch))?;
    let found = provider_of(view, cx.tenant, &command.provider)?;
    if let Some(wanted) = command.if_version
        && wanted != found.version
    {
        let detail = format!("The current version is {}, not {wanted}.", found.version);
        return Err(Rejection::new(Class::Precondition, "version-mismatch", detail));
    }
    let old = &found.is;
    let new = Provider {
        url: patch.url.clone().unwrap_or_else(|| old.url.clone()),
        interval_seconds: patch.interval_seconds.unwrap_or(old.interval_seconds),
        timeout_seconds: patch.timeout_seconds.unwrap_or(old.timeout_seconds),
        time_zone: patch.time_zone.clone().unwrap_or_else(|| old.time_zone.clone()),
        currency: patch.currency.unwrap_or(old.currency),
        headers: patch.headers.clone().unwrap_or_else(|| old.headers.clone()),
        active: patch.active.unwrap_or(old.active),
        ..old.clone()
    };
    if new == *old {
        let outcome = Outcome::Provider { effect: Effect::Unchanged, provider: found };
        return Ok(Decision { facts: Vec::new(), outcome });
    }
    let is = Versioned { version: found.version + 1, updated_at: cx.timestamp, is: new.clone() };
    let outcome = Outcome::Provider { effect: Effect::Updated, provider: is };
    Ok(Decision { facts: vec![Fact::ProviderUpdated(new)], outcome })
}
