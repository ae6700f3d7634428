//! What may be asked about accounts.

use uuid::Uuid;

use super::email::{self, EMAIL_UNITS_MAX};
use super::fact::Imported;
use super::password::PasswordHash;
use crate::violation::Violation;

/// A command on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make an account.
    Register(RegisterUser),
    /// Set another password.
    ChangePassword(ChangePassword),
    /// Close an account for good.
    Close(CloseAccount),
    /// Take over one version of an account as another server exported it. Versions come in their order. One that is
    /// there already changes nothing.
    Import(Imported),
}

/// Makes an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterUser {
    /// An address, as it was given: the account is known by what [`email::normalise`] makes of it.
    pub email: String,
    /// The hash of the password.
    pub password: PasswordHash,
}

/// Sets another password. Every token that was made before it opens nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePassword {
    /// Whose.
    pub user: Uuid,
    /// The hash of the new password.
    pub password: PasswordHash,
    /// The number of the password that the user has proved to know.
    pub credential: u64,
}

/// Closes an account for good, and removes what is personal. Closing once more is accepted and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseAccount {
    /// Whose.
    pub user: Uuid,
}

/// What is wrong with an account to be made.
pub fn validate_register(register: &RegisterUser) -> Vec<Violation> {
    let mut found = Vec::new();
    if email::normalise(&register.email).is_none() {
        found.push(invalid_email());
    }
    check_hash(&mut found, "/password", &register.password);
    found
}

/// What is wrong with a new password.
pub fn validate_change(change: &ChangePassword) -> Vec<Violation> {
    let mut found = Vec::new();
    check_hash(&mut found, "/new_password", &change.password);
    found
}

/// What is wrong with an imported version of an account.
pub fn validate_import(import: &Imported) -> Vec<Violation> {
    let mut found = Vec::new();
    if import.version == 0 {
        found.push(Violation::new("/version", "invalid-version", "versions count from 1"));
    }
    if let Some(person) = &import.state.person {
        let leads_elsewhere = |given: &String| email::normalise(given).as_ref() != Some(&person.email);
        if !email::is_form(&person.email) || person.given.as_ref().is_some_and(leads_elsewhere) {
            found.push(invalid_email());
        }
        check_hash(&mut found, "/password_hash", &person.password);
    }
    found
}

/// What is said of a text that is no address.
pub fn invalid_email() -> Violation {
    let detail =
        format!("email must be an address such as name@example.com, of at most {EMAIL_UNITS_MAX} characters");
    Violation::new("/email", "invalid-email", detail)
}

fn check_hash(found: &mut Vec<Violation>, pointer: &'static str, password: &PasswordHash) {
    if !password.is_sound() {
        let detail = "the hash of a password must be one that this build can verify";
        found.push(Violation::new(pointer, "invalid-password", detail));
    }
}
