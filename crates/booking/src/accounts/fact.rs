//! What is decided about accounts, as the log keeps it for ever.

use std::fmt;

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::password::PasswordHash;
use crate::encoding::{micros, recorded};

recorded! {
    /// A fact of this domain. It carries all of the account as it is since.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// An account is new.
        UserRegistered(State) = 300 version 2,
        /// An account has another password.
        PasswordChanged(State) = 301 version 2,
        /// An account is closed for good.
        AccountClosed(State) = 302 version 2,
        /// A version of an account was taken over from another server.
        UserImported(Imported) = 303 version 2,
    }
    older {
        300 version 1: StateV1 => UserRegistered,
        301 version 1: StateV1 => PasswordChanged,
        302 version 1: StateV1 => AccountClosed,
        303 version 1: ImportedV1 => UserImported,
    }
}

/// A version that was taken over as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its number there and here.
    pub version: u64,
    /// When it was decided there.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// The account, and what was personal of it when it was exported: nothing of one that was closed by then.
    pub state: State,
}

/// An account, as facts keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What is nobody's secret.
    pub account: Account,
    /// What is personal; nothing of a closed account.
    pub person: Option<Person>,
}

/// What of an account is not personal, as facts and records keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's id.
    #[serde(with = "uuid::serde::compact")]
    pub id: Uuid,
    /// The number of the password, from 1.
    pub credential: u64,
    /// Whether it is closed for good.
    pub closed: bool,
    /// When it was made.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// What of an account is personal. It stands once in the view, and no version of the record has a copy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The address, normalised: what it is known by.
    pub email: String,
    /// The hash of the password.
    pub password: PasswordHash,
    /// The address as it was given, where that is another text: what is written to. The form of an address can be
    /// somebody else's. Facts of version 1 do not know it.
    pub given: Option<String>,
}

/// [`State`] as version 1 of the facts has it.
#[derive(Debug, Deserialize)]
pub struct StateV1 {
    account: Account,
    person: Option<PersonV1>,
}

/// [`Imported`] as version 1 of its fact has it.
#[derive(Debug, Deserialize)]
pub struct ImportedV1 {
    version: u64,
    #[serde(with = "micros")]
    updated_at: Timestamp,
    state: StateV1,
}

/// [`Person`] as version 1 of the facts has it.
#[derive(Deserialize)]
struct PersonV1 {
    email: String,
    password: PasswordHash,
}

impl From<StateV1> for State {
    fn from(StateV1 { account, person }: StateV1) -> Self {
        let person = person.map(|PersonV1 { email, password }| Person { email, password, given: None });
        State { account, person }
    }
}

impl From<ImportedV1> for Imported {
    fn from(ImportedV1 { version, updated_at, state }: ImportedV1) -> Self {
        Imported { version, updated_at, state: state.into() }
    }
}

impl fmt::Debug for PersonV1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonV1(…)")
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(…)")
    }
}
