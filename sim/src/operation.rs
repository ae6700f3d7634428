//! What the simulated clients ask for: few records, few resources and a short day, so that everything
//! gets in everything's way.

use maitred_booking::{Command, accounts, appointments, flash_sales, timer};
use maitred_core::{Read, TenantNumber, Timestamp};
use maitred_engine::batch::Idempotency;

use crate::random::Random;
use crate::sales::Sales;
use crate::users::Users;

/// The tenants of a world, which it creates first.
pub const TENANTS: u32 = 2;
/// How many appointments a tenant has ids for.
const IDS: u64 = 14;
/// How many resources it has.
const RESOURCES: u64 = 2;
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
}

impl Operation {
    /// Any operation. `now` counts up with the world, so that later updates tend to be newer; `users` are those who
    /// have accounts, `sales` is what there is to be bought.
    pub fn any(random: &mut Random, now: u64, users: &Users, sales: &Sales) -> Self {
        let tenant = TenantNumber(1 + random.below(u64::from(TENANTS)) as u32);
        let command = if random.chance(1, 6) {
            Asked::Account(users.any_command(random, tenant))
        } else if random.chance(2, 5) {
            Asked::Sale(sales.any_command(random, tenant))
        } else {
            Asked::Appointment(Self::any_of_an_appointment(random, now))
        };
        Operation { tenant, idempotency: Self::any_key(random), command }
    }

    /// What a timer asks for, if one is due.
    pub fn due(random: &mut Random, view: &dyn Read, now: Timestamp) -> Option<Self> {
        let due = timer::due(view, now, 4);
        let (tenant, command) = due.get(random.below(4) as usize)?.clone();
        let Command::FlashSales(command) = command else { return None };
        Some(Operation { tenant, idempotency: None, command: Asked::Sale(command) })
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
        }
    }
}
