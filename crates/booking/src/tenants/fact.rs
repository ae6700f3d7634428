//! What is decided about tenants and keys, as the log keeps it for ever.

use std::fmt;

use maitred_core::{TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::{micros, recorded};

recorded! {
    /// A fact of this domain. A tenant's facts carry all of its new profile.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// A tenant is new.
        TenantCreated(Profile) = 1 version 1,
        /// A tenant's profile is another one.
        TenantUpdated(Profile) = 2 version 1,
        /// A tenant is closed for good.
        TenantClosed(Profile) = 3 version 1,
        /// An API key is new.
        ApiKeyCreated(KeyState) = 4 version 1,
        /// An API key is revoked for good.
        ApiKeyRevoked(KeyState) = 5 version 1,
    }
    older {}
}

/// A tenant, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its number, from 1: the prefix of all its keys.
    pub number: u32,
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// Its name in paths.
    pub slug: String,
    /// The text under which clients of a replaced service know it.
    pub alias: Option<String>,
    /// Its name for people.
    pub name: String,
    /// An IANA time zone.
    pub time_zone: String,
    /// An ISO 4217 code.
    pub currency: String,
    /// A BCP 47 language tag.
    pub locale: String,
    /// The replaced services that answer for it while the server demands keys.
    pub drop_ins: DropIns,
    /// Whether its public routes answer without a key.
    pub public: bool,
    /// Whether a drop-in's first write created it.
    pub automatic: bool,
    /// Whether it is closed for good.
    pub closed: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

impl Profile {
    /// The number as the rest of the product takes it.
    pub fn tenant(&self) -> TenantNumber {
        TenantNumber(self.number)
    }
}

/// An API key, as facts and records keep it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// Its id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The number of the tenant whose it is; 0 for the server's own.
    pub tenant: u32,
    /// For people.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// Whether it is revoked for good.
    pub revoked: bool,
    /// When it was created.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

impl fmt::Debug for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyState { id, tenant, name, role, revoked, created_at, .. } = self;
        f.debug_struct("KeyState")
            .field("id", id)
            .field("tenant", tenant)
            .field("name", name)
            .field("role", role)
            .field("revoked", revoked)
            .field("created_at", created_at)
            .finish_non_exhaustive()
    }
}

/// What an API key, or a user, may do. In the log a role is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// What everyone may where a tenant allows it: services, availability, search, sales.
    Public,
    /// Own bookings, orders and account.
    Customer,
    /// Appointments, imports and changes.
    Integration,
    /// Calendar, bookings and customers.
    Staff,
    /// All of a tenant.
    Owner,
    /// All of the server.
    Admin,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: [Role; 6] =
        [Role::Public, Role::Customer, Role::Integration, Role::Staff, Role::Owner, Role::Admin];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Public => "public",
            Role::Customer => "customer",
            Role::Integration => "integration",
            Role::Staff => "staff",
            Role::Owner => "owner",
            Role::Admin => "admin",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A replaced service. Its number is its bit in [`DropIns`] and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DropIn {
    /// Appointments.
    Sesami = 0,
    /// Bookings of salons.
    Fapi = 1,
    /// Flash sales.
    Bookipi = 2,
    /// Event search.
    EventIntegrator = 3,
}

impl DropIn {
    /// Every one.
    pub const ALL: [DropIn; 4] = [DropIn::Sesami, DropIn::Fapi, DropIn::Bookipi, DropIn::EventIntegrator];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            DropIn::Sesami => "sesami",
            DropIn::Fapi => "fapi",
            DropIn::Bookipi => "bookipi",
            DropIn::EventIntegrator => "event-integrator",
        }
    }

    /// The drop-in of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        DropIn::ALL.into_iter().find(|drop_in| drop_in.as_str() == name)
    }
}

/// A set of replaced services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DropIns(u8);

impl DropIns {
    /// None of them.
    pub const NONE: DropIns = DropIns(0);

    /// These and `drop_in`.
    #[must_use]
    pub const fn with(self, drop_in: DropIn) -> Self {
        DropIns(self.0 | 1 << drop_in as u8)
    }

    /// Whether `drop_in` is one of them.
    pub const fn contains(self, drop_in: DropIn) -> bool {
        self.0 & 1 << drop_in as u8 != 0
    }

    /// Those in it, in the order of [`DropIn::ALL`].
    pub fn iter(self) -> impl Iterator<Item = DropIn> {
        DropIn::ALL.into_iter().filter(move |drop_in| self.contains(*drop_in))
    }
}

impl FromIterator<DropIn> for DropIns {
    fn from_iter<I: IntoIterator<Item = DropIn>>(drop_ins: I) -> Self {
        drop_ins.into_iter().fold(DropIns::NONE, DropIns::with)
    }
}
