//! Accounts in the simulation: what clients ask for, and what should become of it, by the plainest means: a list of
//! accounts, of which each keeps all that it ever was.
//!
//! Nobody hashes a password here: the hash of one was made before.

use std::collections::BTreeMap;

use maitred_booking::accounts::view::{Holder, credential_number, holder, user_as_of};
use maitred_booking::accounts::{
    ChangePassword, CloseAccount, Command, Effect, Outcome, PasswordHash, RegisterUser,
};
use maitred_core::{Read, Seq, TenantNumber};
use uuid::Uuid;

use crate::random::Random;

/// How many emails the users of a tenant have between them.
const EMAILS: u64 = 6;
const HASHES: [&str; 2] = [
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw",
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$Dw4NDAsKCQgHBgUEAwIBAA",
];

/// The conflicts among the refusals: those that stick to an idempotency key.
pub const CONFLICTS: [&str; 3] = ["account-closed", "email-taken", "password-changed"];

/// What became of a command: what it did and the version since, or the code of its refusal.
pub type Verdict = Result<(Effect, u64), &'static str>;

/// All tenants' accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<TenantNumber, Vec<Account>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    /// What the rules made; nothing until it is adopted.
    id: Option<Uuid>,
    email: Option<String>,
    /// What each version was: the batch that wrote it, the number of the password, whether it is closed.
    versions: Vec<(Seq, u64, bool)>,
}

impl Account {
    fn credential(&self) -> u64 {
        self.versions.last().expect("an account has a version").1
    }

    fn add(&mut self, seq: Seq, credential: u64) -> u64 {
        self.versions.push((seq, credential, self.email.is_none()));
        self.versions.len() as u64
    }
}

impl Users {
    /// Any command on an account.
    pub fn any_command(&self, random: &mut Random, tenant: TenantNumber) -> Command {
        let known = self.0.get(&tenant).map_or(&[][..], Vec::as_slice);
        let password = PasswordHash::from_phc(*random.pick(&HASHES));
        if known.is_empty() || random.chance(1, 2) {
            let number = random.below(EMAILS);
            // Now and then an email in another spelling, and what is none.
            let name = if random.chance(1, 16) { "User" } else { "user" };
            let domain = if random.chance(1, 16) { "" } else { "@example.com" };
            return Command::Register(RegisterUser { email: format!("{name}-{number}{domain}"), password });
        }
        let account = random.pick(known);
        let user = if random.chance(1, 16) { Uuid::nil() } else { account.id.unwrap_or_default() };
        if random.chance(1, 3) {
            return Command::Close(CloseAccount { user });
        }
        let late = u64::from(random.chance(1, 4));
        let credential = account.credential() - late.min(account.credential() - 1);
        Command::ChangePassword(ChangePassword { user, password, credential })
    }

    /// The id of anybody who has, or had, an account.
    pub fn any_id(&self, random: &mut Random, tenant: TenantNumber) -> Option<Uuid> {
        let known = self.0.get(&tenant).filter(|known| !known.is_empty())?;
        random.pick(known).id
    }

    /// Carries out a command of batch `seq`.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn carry_out(&mut self, tenant: TenantNumber, command: &Command, seq: Seq) -> Verdict {
        let accounts = self.0.entry(tenant).or_default();
        match command {
            Command::Register(register) => {
                let email = register.email.to_lowercase();
                if !email.contains('@') {
                    return Err("invalid-email");
                }
                if accounts.iter().any(|account| account.email.as_ref() == Some(&email)) {
                    return Err("email-taken");
                }
                let versions = vec![(seq, 1, false)];
                accounts.push(Account { id: None, email: Some(email), versions });
                Ok((Effect::Registered, 1))
            }
            Command::ChangePassword(change) => {
                let account = by_id(accounts, change.user)?;
                if account.email.is_none() {
                    return Err("account-closed");
                }
                if account.credential() != change.credential {
                    return Err("password-changed");
                }
                Ok((Effect::PasswordChanged, account.add(seq, change.credential + 1)))
            }
            Command::Close(close) => {
                let account = by_id(accounts, close.user)?;
                if account.email.take().is_some() {
                    account.add(seq, account.credential());
                }
                Ok((Effect::Closed, account.versions.len() as u64))
            }
            Command::Import(_) => unreachable!("no operation imports"),
        }
    }

    /// Takes over the id that the rules made for the account that was registered last.
    pub fn adopt(&mut self, tenant: TenantNumber, outcome: &Outcome) {
        let accounts = self.0.entry(tenant).or_default();
        if let Some(new) = accounts.last_mut().filter(|account| account.id.is_none()) {
            new.id = Some(outcome.account.account.id);
        }
    }

    /// Whether a view says the same after batch `seq`; `now` is whether that is its last.
    ///
    /// # Errors
    /// What it says instead.
    pub fn check(&self, view: &dyn Read, seq: Seq, now: bool) -> Result<(), String> {
        for (tenant, accounts) in &self.0 {
            for account in accounts {
                let id = account.id.ok_or("an account has no id")?;
                let found = user_as_of(view, *tenant, id, (!now).then_some(seq));
                let found = found.map(|user| (user.account.version, user.account.account));
                let found = found.map(|(version, account)| (version, account.credential, account.closed));
                let expected =
                    account.versions.iter().zip(1..).filter(|((wrote, ..), _)| *wrote <= seq).last();
                let expected =
                    expected.map(|((_, credential, closed), version)| (version, *credential, *closed));
                if found != expected {
                    return Err(format!("user {id} at {seq}: found {found:?}; the model has {expected:?}"));
                }
                if now {
                    account.check_now(view, *tenant, id)?;
                }
            }
        }
        Ok(())
    }
}

impl Account {
    fn check_now(&self, view: &dyn Read, tenant: TenantNumber, id: Uuid) -> Result<(), String> {
        let expected = self.email.as_ref().map(|_| self.credential());
        let found = credential_number(view, tenant, id);
        if found != expected {
            return Err(format!("user {id}: tokens of password {found:?}; the model has {expected:?}"));
        }
        match &self.email {
            Some(email) if holder(view, tenant, email) != Holder::User(id) => {
                Err(format!("{email} leads to {:?}, not to {id}", holder(view, tenant, email)))
            }
            _ => Ok(()),
        }
    }
}

fn by_id(accounts: &mut [Account], id: Uuid) -> Result<&mut Account, &'static str> {
    accounts.iter_mut().find(|account| account.id == Some(id)).ok_or("user-not-found")
}

/// An effect's name in reports.
pub fn name(effect: Effect) -> &'static str {
    match effect {
        Effect::Registered => "registered",
        Effect::PasswordChanged => "password_changed",
        Effect::Closed => "closed",
        Effect::Imported | Effect::Unchanged => unreachable!("no operation imports"),
    }
}
