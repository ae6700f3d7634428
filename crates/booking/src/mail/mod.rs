//! Mail: what a tenant's customers are told of their bookings and orders, by SMTP.
//!
//! ```text
//!   log ──▶ Notices ──▶ Queue ──▶ outbox ──▶ Dispatcher ──▶ letter ──▶ an SMTP client of the program
//!   bookings by start ──▶ reminders ─┘          ▲                                   │
//!                                               └──── sent, put off, died, dropped ─┘
//! ```
//!
//! A mail is tied to the fact that it tells of: [`notices`] follows the log and queues it, [`reminders`] finds visits
//! that come near. What a mail says is read from the version that its fact wrote ([`letter`]), whenever it is sent.
//!
//! Invariants:
//! - A fact leads to one mail of a kind, however often it is followed: the outbox knows what a mail was queued for.
//! - Every mail that is queued is sent at least once, or is dead, or is of no use any more; which of these is a fact. One
//!   that is sent again after a crash has the same `Message-ID` and the same `Date`; no other mail ever has them, also
//!   where a restored log goes on otherwise than the one before.
//! - Mails about one record are sent in the order of their facts; those of others wait for none of them.
//! - No fact and no table of this domain holds an address or a name: they are looked up when a mail is sent. What a
//!   server answered is kept without the addresses in it ([`dispatch::without_addresses`]).
//! - Everything has a bound: [`WAITING_MAX`] mails that wait, and [`KEPT_MAX`] mails that are remembered, of a tenant.
//!
//! Refusals, in the order in which they are looked for ([`rules`]):
//!
//! | code | class | when |
//! |---|---|---|
//! | `invalid-sender-name`, `invalid-reply-to`, `invalid-reminder-hours` | unprocessable | a field breaks a rule |
//! | `version-mismatch` | precondition | the settings are at another version than demanded |
//! | `mail-not-found` | absent | the tenant has no such mail |
//! | `mail-not-dead` | conflict | the mail to be tried again waits, was sent, or is of no use any more |
//! | `too-many-mails` | too many | [`WAITING_MAX`] mails wait, and another is to be tried again |
//!
//! The edge refuses one more: `mail-not-configured` (409), where mail is to be enabled and the server can send none.
//!
//! Source of `Auto-Submitted` and of calendars in mail: RFC 3834, RFC 5546, RFC 6047.

pub mod command;
pub mod courier;
pub mod dispatch;
pub mod fact;
pub mod http;
pub mod letter;
pub mod notices;
pub mod reminders;
pub mod rules;
pub mod subject;
#[cfg(test)]
mod tests;
pub mod view;
pub mod words;

pub use command::Command;
pub use courier::{MailServer, Status};
pub use fact::{Fact, Language, Mail, MailKind, MailState, Settings};
pub use rules::{AGE_MAX, KEPT_MAX, Outcome, Rules, WAITING_MAX};
