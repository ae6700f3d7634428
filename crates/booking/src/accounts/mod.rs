//! Accounts: the users of a tenant, who register, log in, change their password and close their account.
//!
//! Invariants:
//! - An email is one account's, in the form that [`email::normalise`] gives it. A closed account gives it free.
//! - A password is hashed before its command is submitted ([`hasher`]): rules, facts, views and logs see the hash
//!   alone, and neither a password nor a token has a `Debug` form.
//! - What is personal (the email, the hash of the password) stands in one place of the view, beside the versions of
//!   the record: closing an account removes it there, and no version shows it any more, past ones included.
//! - A password has a number, its credential, that counts up with each change. A token carries the number it was
//!   made under, and opens nothing under another one ([`token`]).
//! - An answer to a login does not tell whether there is an account: not by its text, not by its time.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-email`, `invalid-password` | unprocessable | a field breaks a rule |
//! | `user-not-found` | absent | the tenant has no such user |
//! | (accepted) | | an account that is closed already is closed once more |
//! | `account-closed` | conflict | the account is closed |
//! | `password-changed` | conflict | the password is not the one that was proved |
//! | `id-collision` | conflict | another email has the hash of this one |
//! | `email-taken` | conflict | there is an account of this email |
//!
//! A version that is taken over from another server is refused by the same codes, and by `version-missing` and
//! `version-differs` (conflicts) where it is neither the next one nor one that is here.
//!
//! Next: [`session`] for how a handler learns who is logged in.

pub mod command;
pub mod delays;
pub mod email;
pub mod fact;
pub mod hasher;
pub mod http;
pub mod password;
pub mod rules;
pub mod session;
#[cfg(test)]
mod tests;
pub mod token;
pub mod view;

pub use command::{ChangePassword, CloseAccount, Command, RegisterUser};
pub use fact::{Account, Fact, Imported, Person, State};
pub use password::{Password, PasswordHash};
pub use rules::{Effect, Outcome, Rules};
pub use session::{Accounts, LoggedIn, Login};
pub use view::{AccountVersion, User, from_version, user, user_as_of, user_by_email};
