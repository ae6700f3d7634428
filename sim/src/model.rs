//! What should have happened: appointments and idempotency keys by the plainest means, without facts,
//! views or logs. Accounts are in [`crate::users`], sales in [`crate::sales`], salons in [`crate::salons`].

use std::collections::BTreeMap;

use maitred_booking::accounts;
use maitred_booking::appointments::{self, Appointment, rules::Effect};
use maitred_booking::{batches, flash_sales, salons as product};
use maitred_core::{Rejection, Seq, TenantNumber, Timestamp};
use maitred_engine::apply::IDEMPOTENCY_MICROS;

use crate::operation::{Asked, Operation};
use crate::sales::{self, Sales};
use crate::salons::{self, Salons};
use crate::users::{self, Users};

/// What became of an operation, as far as the model can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was accepted with this effect, and the appointment has this version since.
    Accepted(Effect, u64),
    /// A command on an account was accepted with this effect, and the account has this version since.
    Account(accounts::Effect, u64),
    /// A command on a flash sale was accepted with this effect.
    Sale(flash_sales::Effect),
    /// A command on a salon was accepted with this effect.
    Salon(product::Effect),
    /// A request of many commands has begun.
    Begun,
    /// It was refused with this code.
    Refused(String),
}

/// A version of an appointment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// The batch that wrote it.
    pub seq: Seq,
    /// From 1.
    pub version: u64,
    /// When that batch was decided.
    pub received_at: Timestamp,
    /// The owner's time.
    pub updated_at: Timestamp,
    /// Whether it claims no time.
    pub cancelled: bool,
    /// Resource, start, end; none for a tombstone.
    pub claim: Option<(String, Timestamp, Timestamp)>,
    /// Its title.
    pub title: Option<String>,
}

/// What is known under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Remembered {
    fingerprint: u128,
    timestamp: Timestamp,
    verdict: Verdict,
}

/// All tenants' appointments and accounts, with all their versions, their sales and their salons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// Accounts.
    pub users: Users,
    /// Products, sales and orders.
    pub sales: Sales,
    /// Salons, and what is booked there.
    pub salons: Salons,
    appointments: BTreeMap<(TenantNumber, String), Vec<ModelVersion>>,
    remembered: BTreeMap<(TenantNumber, u128), Remembered>,
}

impl Model {
    /// Carries out an operation of batch `seq`. Returns the verdict, and whether it is a remembered one.
    pub fn carry_out(&mut self, operation: &Operation, seq: Seq, timestamp: Timestamp) -> (Verdict, bool) {
        if let Some(key) = operation.idempotency
            && let Some(known) = self.remembered.get(&(operation.tenant, key.key))
            && timestamp.as_micros() - known.timestamp.as_micros() < IDEMPOTENCY_MICROS
        {
            if known.fingerprint == key.fingerprint {
                return (known.verdict.clone(), true);
            }
            return (Verdict::Refused("idempotency-key-reused".into()), false);
        }
        let verdict = match &operation.command {
            Asked::Appointment(appointments::Command::Upsert(upsert)) => {
                self.upsert(operation.tenant, upsert, seq, timestamp)
            }
            Asked::Appointment(appointments::Command::Cancel(cancel)) => {
                self.cancel(operation.tenant, cancel, seq, timestamp)
            }
            Asked::Appointment(appointments::Command::Import(_)) => unreachable!("no operation imports"),
            Asked::Account(command) => match self.users.carry_out(operation.tenant, command, seq) {
                Ok((effect, version)) => Verdict::Account(effect, version),
                Err(code) => Verdict::Refused(code.into()),
            },
            Asked::Sale(command) => match self.sales.carry_out(operation.tenant, command, timestamp) {
                Ok(effect) => Verdict::Sale(effect),
                Err(code) => Verdict::Refused(code.into()),
            },
            Asked::Salon(command) => match self.salons.carry_out(operation.tenant, command, timestamp) {
                Ok(effect) => Verdict::Salon(effect),
                Err(code) => Verdict::Refused(code.into()),
            },
            Asked::Batch(batches::Command::Begin) => Verdict::Begun,
        };
        let sticks = match &verdict {
            Verdict::Accepted(..)
            | Verdict::Account(..)
            | Verdict::Sale(_)
            | Verdict::Salon(_)
            | Verdict::Begun => true,
            Verdict::Refused(code) => {
                let conflicts = users::CONFLICTS.iter().chain(&sales::CONFLICTS).chain(&salons::CONFLICTS);
                code == "time-range-unavailable" || conflicts.into_iter().any(|known| known == code)
            }
        };
        if let Some(key) = operation.idempotency.filter(|_| sticks) {
            let known = Remembered { fingerprint: key.fingerprint, timestamp, verdict: verdict.clone() };
            self.remembered.insert((operation.tenant, key.key), known);
        }
        (verdict, false)
    }

    fn upsert(
        &mut self,
        tenant: TenantNumber,
        upsert: &appointments::Upsert,
        seq: Seq,
        timestamp: Timestamp,
    ) -> Verdict {
        let current = self.current(tenant, &upsert.external_id).cloned();
        let version = current.as_ref().map_or(0, |current| current.version);
        if upsert.if_version.is_some_and(|wanted| wanted != version) {
            return Verdict::Refused("version-mismatch".into());
        }
        if upsert.if_none_match_any && current.is_some() {
            return Verdict::Refused("already-exists".into());
        }
        if current.as_ref().is_some_and(|current| current.updated_at >= upsert.updated_at) {
            return Verdict::Accepted(Effect::IgnoredStale, version);
        }
        let taken = self.appointments.iter().any(|((of, id), versions)| {
            let other = versions.last().expect("an appointment has a version");
            *of == tenant
                && *id != upsert.external_id
                && !other.cancelled
                && other.claim.as_ref().is_some_and(|(resource, starts_at, ends_at)| {
                    *resource == upsert.resource && *starts_at < upsert.ends_at && upsert.starts_at < *ends_at
                })
        });
        if taken {
            return Verdict::Refused("time-range-unavailable".into());
        }
        let next = ModelVersion {
            seq,
            version: version + 1,
            received_at: timestamp,
            updated_at: upsert.updated_at,
            cancelled: false,
            claim: Some((upsert.resource.clone(), upsert.starts_at, upsert.ends_at)),
            title: upsert.title.clone(),
        };
        self.push(tenant, &upsert.external_id, next);
        let effect = if version == 0 { Effect::Created } else { Effect::Updated };
        Verdict::Accepted(effect, version + 1)
    }

    fn cancel(
        &mut self,
        tenant: TenantNumber,
        cancel: &appointments::Cancel,
        seq: Seq,
        timestamp: Timestamp,
    ) -> Verdict {
        let current = self.current(tenant, &cancel.external_id).cloned();
        let version = current.as_ref().map_or(0, |current| current.version);
        if current.as_ref().is_some_and(|current| current.updated_at >= cancel.updated_at) {
            return Verdict::Accepted(Effect::IgnoredStale, version);
        }
        let next = ModelVersion {
            seq,
            version: version + 1,
            received_at: timestamp,
            updated_at: cancel.updated_at,
            cancelled: true,
            claim: current.as_ref().and_then(|current| current.claim.clone()),
            title: current.and_then(|current| current.title),
        };
        self.push(tenant, &cancel.external_id, next);
        Verdict::Accepted(Effect::Cancelled, version + 1)
    }

    fn push(&mut self, tenant: TenantNumber, external_id: &str, version: ModelVersion) {
        self.appointments.entry((tenant, external_id.to_owned())).or_default().push(version);
    }

    fn current(&self, tenant: TenantNumber, external_id: &str) -> Option<&ModelVersion> {
        self.versions(tenant, external_id).last()
    }

    /// Every version of an appointment.
    pub fn versions(&self, tenant: TenantNumber, external_id: &str) -> &[ModelVersion] {
        self.appointments.get(&(tenant, external_id.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The ids of a tenant's appointments.
    pub fn external_ids(&self, tenant: TenantNumber) -> impl Iterator<Item = &str> {
        self.appointments.keys().filter(move |(of, _)| *of == tenant).map(|(_, id)| id.as_str())
    }

    /// The version that stood after batch `seq`.
    pub fn as_of(&self, tenant: TenantNumber, external_id: &str, seq: Seq) -> Option<&ModelVersion> {
        self.versions(tenant, external_id).iter().rev().find(|version| version.seq <= seq)
    }

    /// What claimed `resource` after batch `seq`, by start: external id and version.
    pub fn standing(&self, tenant: TenantNumber, resource: &str, seq: Seq) -> Vec<(&str, &ModelVersion)> {
        let mut standing: Vec<_> = self
            .external_ids(tenant)
            .filter_map(|id| Some((id, self.as_of(tenant, id, seq)?)))
            .filter(|(_, version)| {
                !version.cancelled && version.claim.as_ref().is_some_and(|(on, ..)| on == resource)
            })
            .collect();
        standing.sort_by_key(|(_, version)| version.claim.as_ref().map(|claim| claim.1));
        standing
    }
}

impl ModelVersion {
    /// Whether the product says the same.
    pub fn is(&self, appointment: &Appointment) -> bool {
        let claim = self.claim.as_ref();
        self.version == appointment.version
            && self.received_at == appointment.received_at
            && self.updated_at == appointment.updated_at
            && self.cancelled == appointment.cancelled
            && claim.map(|claim| &claim.0) == appointment.resource.as_ref()
            && claim.map(|claim| claim.1) == appointment.starts_at
            && claim.map(|claim| claim.2) == appointment.ends_at
            && self.title == appointment.title
    }
}

impl Verdict {
    /// The product's verdict on an operation.
    pub fn of(result: &Result<maitred_booking::Outcome, Rejection>) -> Self {
        match result {
            Ok(maitred_booking::Outcome::Appointments(outcome)) => {
                Verdict::Accepted(outcome.effect, outcome.appointment.version)
            }
            Ok(maitred_booking::Outcome::Accounts(outcome)) => {
                Verdict::Account(outcome.effect, outcome.account.version)
            }
            Ok(maitred_booking::Outcome::FlashSales(outcome)) => Verdict::Sale(sales::effect(outcome)),
            Ok(maitred_booking::Outcome::Salons(outcome)) => Verdict::Salon(salons::effect(outcome)),
            Ok(maitred_booking::Outcome::Batches(_)) => Verdict::Begun,
            Ok(other) => panic!("an operation is answered with {other:?}"),
            Err(rejection) => Verdict::Refused(rejection.code.to_string()),
        }
    }
}
