//! What can be read of accounts.
//!
//! Tables: the record of kind `User`, by the user's id, holds an [`Account`]. Beside it stand `UserPerson` id →
//! [`Person`], and `UserByEmail` hash of the email → id, of accounts that are not closed.

use std::ops::ControlFlow;

use maitred_core::key::Parts;
use maitred_core::{Key, Read, Seq, TenantNumber, Timestamp, Write};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fact::{Account, Person};
use super::password::PasswordHash;
use crate::encoding::{self, micros};
use crate::name;
use crate::record::{self, Index, Kind, RecordId, Version};

/// One version of an account, without what is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountVersion {
    /// From 1.
    pub version: u64,
    /// When this version was decided.
    #[serde(with = "micros")]
    pub updated_at: Timestamp,
    /// What it is.
    pub account: Account,
}

/// One version of an account, with the email that it has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub account: AccountVersion,
    /// The email; `None` once the account is closed, in the versions before that too.
    pub email: Option<String>,
}

/// What a login is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: AccountVersion,
    /// The hash of its password.
    pub password: PasswordHash,
}

/// Whose an email is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// It is free.
    Nobody,
    /// This user's.
    User(Uuid),
    /// Another email has its hash.
    AnotherEmail,
}

/// A user by id, closed ones too.
pub fn user(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<User> {
    user_as_of(view, tenant, id, None)
}

/// The same as it was after the batch `as_of`, or now; with the email that it has now.
pub fn user_as_of(view: &dyn Read, tenant: TenantNumber, id: Uuid, as_of: Option<Seq>) -> Option<User> {
    Some(from_version(view, tenant, &record::as_of(view, record(tenant, id), as_of)?))
}

/// What a login with this email, normalised, is held against. Nothing of a closed account.
pub fn user_by_email(view: &dyn Read, tenant: TenantNumber, email: &str) -> Option<Credential> {
    match holder(view, tenant, email) {
        Holder::User(id) => credential(view, tenant, id),
        Holder::Nobody | Holder::AnotherEmail => None,
    }
}

/// What a proof of a user's password is held against. Nothing of a closed account.
pub fn credential(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<Credential> {
    let password = person(view, tenant, id)?.password;
    Some(Credential { account: account(view, tenant, id)?, password })
}

/// The number of a user's password, if there is such a user and the account is not closed: what a token must carry.
pub fn credential_number(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<u64> {
    let account: Account = record::current(view, record(tenant, id))?.decode();
    (!account.closed).then_some(account.credential)
}

/// Whose an email is, in its normalised form.
pub fn holder(view: &dyn Read, tenant: TenantNumber, email: &str) -> Holder {
    let Some(value) = view.get(&email_key(tenant, email)) else { return Holder::Nobody };
    let id = Uuid::from_u128(Parts(value).u128());
    let person = person(view, tenant, id).expect("an email leads to its person");
    if person.email == email { Holder::User(id) } else { Holder::AnotherEmail }
}

/// A user from their record, such as one of the change stream; with the email that it has now.
pub fn from_version(view: &dyn Read, tenant: TenantNumber, version: &Version<'_>) -> User {
    let account = read(version);
    let email = person(view, tenant, account.account.id).map(|person| person.email);
    User { account, email }
}

pub(super) fn account(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<AccountVersion> {
    record::current(view, record(tenant, id)).map(|version| read(&version))
}

/// The version of this number, if there is one.
pub(super) fn version(
    view: &dyn Read,
    tenant: TenantNumber,
    id: Uuid,
    number: u64,
) -> Option<AccountVersion> {
    let mut found = None;
    record::versions(view, record(tenant, id), None, None, &mut |version| {
        if version.version < number {
            return ControlFlow::Continue(());
        }
        found = Some(read(&version));
        ControlFlow::Break(())
    });
    found
}

/// What is personal of a user, unless the account is closed.
pub fn person(view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Option<Person> {
    let value = view.get(&person_key(tenant, id))?;
    Some(postcard::from_bytes(value).expect("a view holds what this build wrote"))
}

/// Puts what is personal in the place of what was; `None` removes it.
pub(super) fn put_person(view: &mut dyn Write, tenant: TenantNumber, id: Uuid, now: Option<&Person>) {
    let before = person(view, tenant, id);
    if let Some(before) = before.filter(|before| now.is_none_or(|now| now.email != before.email)) {
        view.delete(&email_key(tenant, &before.email));
    }
    let key = person_key(tenant, id);
    let Some(now) = now else { return view.delete(&key) };
    let mut value = Vec::new();
    encoding::encode(now, &mut value);
    view.put(&key, &value);
    view.put(&email_key(tenant, &now.email), &id.as_u128().to_be_bytes());
}

pub(super) fn record(tenant: TenantNumber, id: Uuid) -> RecordId {
    RecordId { tenant, kind: Kind::User, id: id.as_u128() }
}

fn read(version: &Version<'_>) -> AccountVersion {
    AccountVersion { version: version.version, updated_at: version.at, account: version.decode() }
}

fn person_key(tenant: TenantNumber, id: Uuid) -> Key {
    Index::UserPerson.key(tenant).u128(id.as_u128())
}

fn email_key(tenant: TenantNumber, email: &str) -> Key {
    Index::UserByEmail.key(tenant).u128(name::hash(email))
}
