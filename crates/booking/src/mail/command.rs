//! What may be asked about mail. Settings and retries come from clients, the others from the server's own work.

use maitred_core::Timestamp;
use uuid::Uuid;

use super::fact::{Language, MailKind, Place, Settings};
use crate::accounts::email;
use crate::violation::{Violation, check_text};

/// The longest name of a sender, in characters.
pub const SENDER_NAME_CHARS_MAX: usize = 100;
/// The most hours that a reminder comes before its visit: two weeks.
pub const REMINDER_HOURS_MAX: u32 = 24 * 14;

/// A command on mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Change what is sent.
    ChangeSettings {
        /// What is given.
        patch: SettingsPatch,
        /// Only if this is the current version (`If-Match`).
        if_version: Option<u64>,
    },
    /// Queue the mail of a fact, if the tenant wants it and there is somebody to send it to.
    Queue {
        /// What it tells.
        kind: MailKind,
        /// The fact.
        source: Place,
        /// The record that it changed.
        record: Uuid,
    },
    /// Keep what became of a mail.
    Note {
        /// The fact that queued it.
        mail: Place,
        /// What became of it.
        became: Became,
        /// What a server answered, or why it was not asked.
        answer: String,
    },
    /// Try a dead letter again.
    Retry {
        /// The fact that queued it.
        mail: Place,
    },
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// A server has taken it.
    Sent,
    /// It is tried again then.
    PutOff(Timestamp),
    /// It was refused for good, or for too long.
    Dead,
    /// It is of no use any more.
    Dropped,
}

/// New values of the settings; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsPatch {
    /// Whether anything is sent.
    pub enabled: Option<bool>,
    /// What is sent.
    pub mails: Option<Vec<MailKind>>,
    /// The sender's name; `Some(None)` takes it away.
    pub sender_name: Option<Option<String>>,
    /// Where answers go; `Some(None)` takes it away.
    pub reply_to: Option<Option<String>>,
    /// In which language.
    pub language: Option<Language>,
    /// How many hours before a visit its reminder is sent.
    pub reminder_hours: Option<u32>,
}

/// What is wrong with settings.
pub fn validate(settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(name) = &settings.sender_name {
        let (pointer, code) = ("/sender_name", "invalid-sender-name");
        check_text(&mut found, pointer, code, name, 1..=SENDER_NAME_CHARS_MAX);
        if name.chars().any(char::is_control) {
            found.push(Violation::new(
                pointer,
                code,
                "sender_name must be one line without control characters",
            ));
        }
    }
    if let Some(address) = &settings.reply_to
        && (email::normalise(address).is_none() || !is_plain(address))
    {
        let detail = "reply_to must be an address such as salon@example.com";
        found.push(Violation::new("/reply_to", "invalid-reply-to", detail));
    }
    if !(1..=REMINDER_HOURS_MAX).contains(&settings.reminder_hours) {
        let detail = format!("reminder_hours must be 1 to {REMINDER_HOURS_MAX}");
        found.push(Violation::new("/reminder_hours", "invalid-reminder-hours", detail));
    }
    found
}

/// Whether every server and every program takes an address: it is ASCII without blanks and quotes.
fn is_plain(address: &str) -> bool {
    address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}
