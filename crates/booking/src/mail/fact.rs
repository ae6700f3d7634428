//! What is decided about mail, as the log keeps it for ever. Nobody's address is in it.

use maitred_core::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encoding::{micros, recorded};
pub use crate::webhooks::fact::Place;

recorded! {
    /// A fact of this domain. The first carries the settings' new state; the others are about mails, make no version and
    /// stand in no change feed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Fact {
        /// What is sent, and in whose name, is otherwise than before.
        MailSettingsChanged(Settings) = 1100 version 1,
        /// A mail is to be sent.
        MailQueued(Queued) = 1110 version 1,
        /// A server has taken a mail.
        MailSent(Told) = 1111 version 1,
        /// A mail was not taken, and is tried again.
        MailPutOff(PutOff) = 1112 version 1,
        /// A mail was refused for good, or for too long: it is a dead letter.
        MailDied(Told) = 1113 version 1,
        /// A mail is of no use any more: its visit has begun, or is at another time.
        MailDropped(Told) = 1114 version 1,
        /// A dead letter is to be tried again.
        MailRetried(Told) = 1115 version 1,
        /// So many mails wait that this one is a dead letter at once.
        MailOverflowed(Queued) = 1116 version 1,
    }
    older {}
}

/// What a tenant sends, and in whose name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether anything is sent.
    pub enabled: bool,
    /// Since when: what was decided before is told to nobody.
    #[serde(with = "micros")]
    pub since: Timestamp,
    /// What is sent.
    pub mails: Vec<MailKind>,
    /// The sender's name; the tenant's without it.
    pub sender_name: Option<String>,
    /// Where answers go; to the server's own address without it.
    pub reply_to: Option<String>,
    /// In which language.
    pub language: Language,
    /// How many hours before a visit its reminder is sent.
    pub reminder_hours: u32,
    /// Reminders that were due before then are not sent.
    #[serde(with = "micros")]
    pub reminders_since: Timestamp,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: false,
            since: Timestamp::default(),
            mails: MailKind::ALL.into_iter().filter(|kind| *kind != MailKind::OrderCompleted).collect(),
            sender_name: None,
            reply_to: None,
            language: Language::English,
            reminder_hours: 24,
            reminders_since: Timestamp::default(),
        }
    }
}

impl Settings {
    /// Whether mails of this kind are sent.
    pub fn sends(&self, kind: MailKind) -> bool {
        self.enabled && self.mails.contains(&kind)
    }
}

/// What a mail tells. In the log it is its place in this list: new ones come last. The number is part of the keys and of
/// `Message-ID`, and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum MailKind {
    /// A booking, or a series of them, is made.
    Booked = 1,
    /// A held booking is confirmed.
    Confirmed = 2,
    /// A booking is at another time, or with others.
    Rescheduled = 3,
    /// A booking, or what was ahead of a series, was called off.
    Cancelled = 4,
    /// A time is held for whoever waits for one.
    Offered = 5,
    /// A visit is near.
    Reminder = 6,
    /// An order of a flash sale was processed.
    OrderCompleted = 7,
}

impl MailKind {
    /// Every kind.
    pub const ALL: [MailKind; 7] = [
        MailKind::Booked,
        MailKind::Confirmed,
        MailKind::Rescheduled,
        MailKind::Cancelled,
        MailKind::Offered,
        MailKind::Reminder,
        MailKind::OrderCompleted,
    ];

    /// Its name in the API, and in `Message-ID`.
    pub const fn as_str(self) -> &'static str {
        match self {
            MailKind::Booked => "booked",
            MailKind::Confirmed => "confirmed",
            MailKind::Rescheduled => "rescheduled",
            MailKind::Cancelled => "cancelled",
            MailKind::Offered => "offered",
            MailKind::Reminder => "reminder",
            MailKind::OrderCompleted => "order_completed",
        }
    }
}

/// A language of mails. In the log it is its place in this list: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

/// A mail that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// What it tells.
    pub kind: MailKind,
    /// The fact that it tells of; of a reminder, the one that gave the visit its time.
    pub source: Place,
    /// The record that this fact changed.
    #[serde(with = "uuid::serde::compact")]
    pub record: Uuid,
    /// The customer to whom it goes; of an order, the user.
    #[serde(with = "uuid::serde::compact")]
    pub to: Uuid,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The fact that queued it.
    pub mail: Place,
    /// What a server answered, or why it was not asked.
    pub answer: String,
}

/// A mail that is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOff {
    /// The fact that queued it.
    pub mail: Place,
    /// What a server answered, or that there was no answer.
    pub answer: String,
    /// When it is tried again.
    #[serde(with = "micros")]
    pub next_at: Timestamp,
}

/// A mail, as the view keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// What it is about.
    pub queued: Queued,
    /// When it was queued.
    #[serde(with = "micros")]
    pub queued_at: Timestamp,
    /// Where it stands.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// When its state was noted.
    #[serde(with = "micros")]
    pub noted_at: Timestamp,
    /// What a server answered the last time, or why it was not asked.
    pub answer: String,
    /// Since when it may be tried: its age is counted from then.
    #[serde(with = "micros")]
    pub fresh_at: Timestamp,
}

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailState {
    /// It is tried at this instant.
    Waiting(#[serde(with = "micros")] Timestamp),
    /// A server has taken it.
    Sent,
    /// It was refused for good, or for too long.
    Dead,
    /// It is of no use any more.
    Dropped,
}

impl MailState {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            MailState::Waiting(_) => "waiting",
            MailState::Sent => "sent",
            MailState::Dead => "dead",
            MailState::Dropped => "dropped",
        }
    }
}
