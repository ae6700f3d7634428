//! What the simulated clients ask for: few records, few resources and a short day, so that everything
//! gets in everything's way.

use maitred_booking::{Command, accounts, appointments, batches, flash_sales, salons};
use maitred_core::{TenantNumber, Timestamp};
use maitred_engine::batch::Idempotency;

use crate::model::Model;
use crate::random::Random;
use crate::salons::Salons;

/// The tenants of a world, which it creates first.
pub const TENANTS: u32 = 2;
/// How many appointments a tenant has ids for.
const IDS: u64 = 14;
/// How many resources it has.
const RESOURCES: u64 = 2;
/// The most records of an import.
const IMPORT_MAX: u64 = 6;
/// When the simulated day begins.
const DAY: i64 = 1_790_000_000_000;
const HOUR: i64 = 3_600_000;

/// A client's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Whose.
    pub tenant: TenantNumber,
    /// The key it is sent under.
    pub idempotency: Option<Idempotency>,
    /// What is asked.
    pub command: Asked,
}

/// A command of one of the domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// On an appointment.
    Appointment(appointments::Command),
    /// On an account.
    Account(accounts::Command),
    /// On a flash sale.
    Sale(flash_sales::Command),
    /// On a salon.
    Salon(salons::Command),
    /// To begin a request of many commands.
    Batch(batches::Command),
}

impl Operation {
    /// Any operation at about `now`. `step` counts up with the world, so that later updates tend to be newer; `model` is
    /// what there is.
    pub fn any(random: &mut Random, step: u64, model: &Model, now: Timestamp) -> Self {
        let tenant = Self::any_tenant(random);
        let command = match random.below(30) {
            0..4 => Asked::Account(model.users.any_command(random, tenant)),
            4..13 => Asked::Sale(model.sales.any_command(random, tenant, &model.users)),
            13..23 => Asked::Salon(model.salons.any_command(random, tenant, now)),
            _ => Asked::Appointment(Self::any_of_an_appointment(random, step)),
        };
        Operation { tenant, idempotency: Self::any_key(random), command }
    }

    /// The commands of one import, under keys of their own: it can be sent again as a whole.
    pub fn any_import(random: &mut Random, now: Timestamp) -> Vec<Self> {
        let tenant = Self::any_tenant(random);
        let items = (0..random.between(2, IMPORT_MAX)).map(|_| Asked::Salon(Salons::any_import(random, now)));
        let commands: Vec<Asked> = [Asked::Batch(batches::Command::Begin)].into_iter().chain(items).collect();
        let mut operation = |command| {
            let key = u128::from(random.bits()) << 64 | u128::from(random.bits());
            Operation { tenant, idempotency: Some(Idempotency { key, fingerprint: 0 }), command }
        };
        commands.into_iter().map(&mut operation).collect()
    }

    fn any_tenant(random: &mut Random) -> TenantNumber {
        TenantNumber(1 + random.below(u64::from(TENANTS)) as u32)
    }

    /// Any appointment's id.
    pub fn any_external_id(random: &mut Random) -> String {
        format!("appointment-{}", random.below(IDS))
    }

    fn any_of_an_appointment(random: &mut Random, now: u64) -> appointments::Command {
        let external_id = Self::any_external_id(random);
        let updated_at = Timestamp::from_millis(DAY + now as i64 / 4 + random.below(30) as i64);
        if random.chance(1, 8) {
            let cancel = appointments::Cancel { external_id, updated_at, if_version: None };
            appointments::Command::Cancel(cancel)
        } else {
            let starts_at = DAY + random.below(24) as i64 * HOUR;
            let ends_at = starts_at + random.between(1, 3) as i64 * HOUR;
            appointments::Command::Upsert(appointments::Upsert {
                external_id,
                resource: format!("chair-{}", random.below(RESOURCES)),
                starts_at: Timestamp::from_millis(starts_at),
                ends_at: Timestamp::from_millis(ends_at),
                created_at: Timestamp::from_millis(DAY - 1),
                updated_at,
                // Long runs of one byte: a record must not look like a hole in the log.
                title: random.chance(1, 4).then(|| "\u{1}".repeat(random.between(1, 190) as usize)),
                metadata: None,
                if_version: random.chance(1, 16).then(|| random.between(1, 4)),
                if_none_match_any: random.chance(1, 32),
            })
        }
    }

    /// One in three has a key, out of so few that they are used again, sometimes for something else.
    fn any_key(random: &mut Random) -> Option<Idempotency> {
        random.chance(1, 3).then(|| Idempotency {
            key: u128::from(random.below(200)),
            fingerprint: u128::from(random.below(2)),
        })
    }

    /// The command as the engine takes it.
    pub fn command(&self) -> Command {
        match &self.command {
            Asked::Appointment(command) => command.clone().into(),
            Asked::Account(command) => command.clone().into(),
            Asked::Sale(command) => command.clone().into(),
            Asked::Salon(command) => command.clone().into(),
            Asked::Batch(command) => (*command).into(),
        }
    }
}
