//! How commands on accounts are answered.

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, Timestamp, Undecodable, Write,
};
use serde::{Deserialize, Serialize};

use super::command::{
    ChangePassword, CloseAccount, Command, RegisterUser, validate_change, validate_import, validate_register,
};
use super::email;
use super::fact::{Account, Fact, Imported, Person, State};
use super::view::{self, AccountVersion, Holder};
use crate::name;
use crate::record::{self, ChangeType};
use crate::violation::refuse_any;
use crate::{Booking, encoding};

/// The rules of accounts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What the client of an accepted command is told. Nothing of it is personal: outcomes are kept for a while, whatever
/// becomes of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the command did.
    pub effect: Effect,
    /// The account since.
    pub account: AccountVersion,
}

/// What a command did. In stored outcomes it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The account is new.
    Registered,
    /// It has another password.
    PasswordChanged,
    /// It is closed, now or before.
    Closed,
    /// A version was taken over.
    Imported,
    /// Nothing: the imported version is here already.
    Unchanged,
}

type Decided = Result<Decision<Fact, Outcome>, Rejection>;

impl Domain for Rules {
    type Command = Command;
    type Fact = Fact;
    type Outcome = Outcome;

    const RULES_VERSION: u16 = Booking::RULES_VERSION;
    const VIEW_SCHEMA: u16 = Booking::VIEW_SCHEMA;

    fn decide(&self, view: &dyn Read, command: &Command, cx: &Context) -> Decided {
        match command {
            Command::Register(command) => register(view, command, cx),
            Command::ChangePassword(command) => change_password(view, command, cx),
            Command::Close(command) => close(view, command, cx),
            Command::Import(command) => import(view, command, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        let (change_type, State { account, person }) = match fact {
            Fact::UserRegistered(state) => (ChangeType::Created, state),
            Fact::PasswordChanged(state) => (ChangeType::Updated, state),
            Fact::AccountClosed(state) => (ChangeType::Deleted, state),
            Fact::UserImported(Imported { version, state, .. }) => match (state.account.closed, version) {
                (true, _) => (ChangeType::Deleted, state),
                (false, 1) => (ChangeType::Created, state),
                (false, _) => (ChangeType::Updated, state),
            },
        };
        // The record remembers when its version was decided first, not when it was taken over.
        let timestamp = match fact {
            Fact::UserImported(import) => import.updated_at,
            _ => at.timestamp,
        };
        let at = At { timestamp, ..at };
        record::put_version(view, view::record(at.tenant, account.id), change_type, at, account);
        view::put_person(view, at.tenant, account.id, person.as_ref());
    }
}

fn register(view: &dyn Read, command: &RegisterUser, cx: &Context) -> Decided {
    refuse_any(&validate_register(command))?;
    let email = email::normalise(&command.email).unwrap_or_default();
    match view::holder(view, cx.tenant, &email) {
        Holder::Nobody => {}
        Holder::User(_) => return Err(email_taken()),
        Holder::AnotherEmail => return Err(name::collision()),
    }
    let account = Account { id: cx.ids.next(), credential: 1, closed: false, created_at: cx.timestamp };
    let given = Some(&command.email).filter(|given| **given != email).cloned();
    let person = Person { email, password: command.password.clone(), given };
    let version = AccountVersion { version: 1, updated_at: cx.timestamp, account: account.clone() };
    Ok(Decision {
        facts: vec![Fact::UserRegistered(State { account, person: Some(person) })],
        outcome: Outcome { effect: Effect::Registered, account: version },
    })
}

fn change_password(view: &dyn Read, command: &ChangePassword, cx: &Context) -> Decided {
    refuse_any(&validate_change(command))?;
    let before = view::account(view, cx.tenant, command.user).ok_or_else(user_not_found)?;
    let person = view::person(view, cx.tenant, command.user);
    let Some(person) = person.filter(|_| !before.account.closed) else {
        return Err(Rejection::conflict("account-closed", "The account is closed."));
    };
    if before.account.credential != command.credential {
        let detail = "The password was changed meanwhile; log in with the new one.";
        return Err(Rejection::conflict("password-changed", detail));
    }
    let account = Account { credential: command.credential + 1, ..before.account };
    let person = Person { password: command.password.clone(), ..person };
    let version =
        AccountVersion { version: before.version + 1, updated_at: cx.timestamp, account: account.clone() };
    Ok(Decision {
        facts: vec![Fact::PasswordChanged(State { account, person: Some(person) })],
        outcome: Outcome { effect: Effect::PasswordChanged, account: version },
    })
}

fn close(view: &dyn Read, command: &CloseAccount, cx: &Context) -> Decided {
    let before = view::account(view, cx.tenant, command.user).ok_or_else(user_not_found)?;
    if before.account.closed {
        let outcome = Outcome { effect: Effect::Closed, account: before };
        return Ok(Decision { facts: Vec::new(), outcome });
    }
    let account = Account { closed: true, ..before.account };
    let version =
        AccountVersion { version: before.version + 1, updated_at: cx.timestamp, account: account.clone() };
    Ok(Decision {
        facts: vec![Fact::AccountClosed(State { account, person: None })],
        outcome: Outcome { effect: Effect::Closed, account: version },
    })
}

/// Takes a version over if it is the next one, and its email is free. Instants are compared in milliseconds, as exports
/// tell them.
fn import(view: &dyn Read, command: &Imported, cx: &Context) -> Decided {
    refuse_any(&validate_import(command))?;
    let State { account, person } = &command.state;
    let before = view::account(view, cx.tenant, account.id);
    let newest = before.as_ref().map_or(0, |before| before.version);
    if command.version > newest + 1 {
        let detail = format!("The newest version here is {newest}; those before this one are missing.");
        return Err(Rejection::conflict("version-missing", detail));
    }
    if command.version <= newest {
        let known = view::version(view, cx.tenant, account.id, command.version);
        let known = known.expect("versions count without a gap up to the newest");
        let same = known.updated_at.as_millis() == command.updated_at.as_millis()
            && in_millis(&known.account) == in_millis(account);
        let outcome = Outcome { effect: Effect::Unchanged, account: known };
        return if same { Ok(Decision { facts: Vec::new(), outcome }) } else { Err(version_differs()) };
    }
    if let Some(AccountVersion { account: before, .. }) = before {
        let grows = before.credential <= account.credential && !before.closed;
        if !grows || before.created_at.as_millis() != account.created_at.as_millis() {
            return Err(version_differs());
        }
    }
    if account.closed && person.is_some() {
        return Err(Rejection::conflict("account-closed", "Of a closed account nothing is personal."));
    }
    if let Some(person) = person {
        match view::holder(view, cx.tenant, &person.email) {
            Holder::Nobody => {}
            Holder::User(user) if user == account.id => {}
            Holder::User(_) => return Err(email_taken()),
            Holder::AnotherEmail => return Err(name::collision()),
        }
    }
    let (version, updated_at) = (command.version, command.updated_at);
    let account = AccountVersion { version, updated_at, account: account.clone() };
    Ok(Decision {
        facts: vec![Fact::UserImported(command.clone())],
        outcome: Outcome { effect: Effect::Imported, account },
    })
}

fn in_millis(account: &Account) -> Account {
    Account { created_at: Timestamp::from_millis(account.created_at.as_millis()), ..account.clone() }
}

fn version_differs() -> Rejection {
    let detail =
        "This version is here already, or the one before it, with another content; it is not overwritten.";
    Rejection::conflict("version-differs", detail)
}

/// There is an account of this email.
pub(super) fn email_taken() -> Rejection {
    Rejection::conflict("email-taken", "There is an account of this email already.")
}

fn user_not_found() -> Rejection {
    Rejection::new(Class::Absent, "user-not-found", "There is no such user.")
}

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(1, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(1, bytes, "the outcome of an account's command")
    }
}
