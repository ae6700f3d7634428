//! How commands on mail are answered.

use std::time::Duration;

use maitred_core::{
    At, Class, Context, Decision, Domain, Read, Rejection, Storable, Timestamp, Undecodable, Write,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::{Became, Command, SettingsPatch, validate};
use super::fact::{Fact, Mail, MailKind, MailState, Place, PutOff, Queued, Settings, Told};
use super::{subject, view};
use crate::flash_sales::Versioned;
use crate::record::{self, ChangeType};
use crate::violation::refuse_any;
use crate::{Booking, encoding};

/// The most mails of a tenant that wait: what comes beside them is a dead letter at once, and no dead letter is tried
/// again.
pub const WAITING_MAX: u32 = 10_000;
/// The most mails of a tenant that are remembered; the oldest that does not wait is forgotten for a new one.
pub const KEPT_MAX: u32 = 100_000;
/// A mail that was not taken for so long is a dead letter; what was decided so long ago is told to nobody any more.
pub const AGE_MAX: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What is said of a mail that found no room to wait.
const OVERFLOWED: &str = "too many mails wait";

/// The rules of mail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

/// What whoever asked is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The settings as they are now.
    Settings(Box<Versioned<Settings>>),
    /// It is noted.
    Noted,
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
            Command::ChangeSettings { patch, if_version } => change_settings(view, patch, *if_version, cx),
            Command::Queue { kind, source, record } => Ok(queue(view, (*kind, *source, *record), cx)),
            Command::Note { mail, became, answer } => Ok(note(view, *mail, *became, answer, cx)),
            Command::Retry { mail } => retry(view, *mail, cx),
        }
    }

    fn apply(&self, view: &mut dyn Write, fact: &Fact, at: At) {
        match fact {
            Fact::MailSettingsChanged(settings) => {
                record::put_version(
                    view,
                    view::settings_record(at.tenant),
                    ChangeType::Updated,
                    at,
                    settings,
                );
                let counts = view::counts(view, at.tenant);
                view::put_counts(view, at.tenant, counts);
            }
            Fact::MailQueued(queued) => put_queued(view, *queued, MailState::Waiting(at.timestamp), at),
            Fact::MailOverflowed(queued) => put_queued(view, *queued, MailState::Dead, at),
            Fact::MailSent(told) => put_state(view, told, MailState::Sent, at),
            Fact::MailPutOff(PutOff { mail, answer, next_at }) => {
                let told = Told { mail: *mail, answer: answer.clone() };
                put_state(view, &told, MailState::Waiting(*next_at), at);
            }
            Fact::MailDied(told) => put_state(view, told, MailState::Dead, at),
            Fact::MailDropped(told) => put_state(view, told, MailState::Dropped, at),
            Fact::MailRetried(told) => put_state(view, told, MailState::Waiting(at.timestamp), at),
        }
    }
}

fn change_settings(view: &dyn Read, patch: &SettingsPatch, if_version: Option<u64>, cx: &Context) -> Decided {
    let found = view::settings(view, cx.tenant, None);
    let before = &found.is;
    let SettingsPatch { enabled, mails, sender_name, reply_to, language, reminder_hours } = patch.clone();
    let mut mails = mails.unwrap_or_else(|| before.mails.clone());
    mails.sort_unstable();
    mails.dedup();
    let mut is = Settings {
        enabled: enabled.unwrap_or(before.enabled),
        mails,
        sender_name: sender_name.unwrap_or_else(|| before.sender_name.clone()),
        reply_to: reply_to.unwrap_or_else(|| before.reply_to.clone()),
        language: language.unwrap_or(before.language),
        reminder_hours: reminder_hours.unwrap_or(before.reminder_hours),
        ..*before
    };
    refuse_any(&validate(&is))?;
    if if_version.is_some_and(|wanted| wanted != found.version) {
        let detail = format!("The settings of mail are at version {}.", found.version);
        return Err(Rejection::new(Class::Precondition, "version-mismatch", detail)
            .with("version", found.version.to_string()));
    }
    if is == *before {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::Settings(Box::new(found)) });
    }
    if is.enabled && !before.enabled {
        is.since = cx.timestamp;
    }
    let reminds = (is.sends(MailKind::Reminder), is.reminder_hours);
    if reminds != (before.sends(MailKind::Reminder), before.reminder_hours) {
        is.reminders_since = cx.timestamp;
    }
    let now = Versioned { version: found.version + 1, updated_at: cx.timestamp, is: is.clone() };
    Ok(Decision { facts: vec![Fact::MailSettingsChanged(is)], outcome: Outcome::Settings(Box::new(now)) })
}

/// A mail of a fact that is told already, that nobody wants told, or whose recipient has no address, is not queued.
fn queue(
    view: &dyn Read,
    (kind, source, record): (MailKind, Place, Uuid),
    cx: &Context,
) -> Decision<Fact, Outcome> {
    let settings = view::settings(view, cx.tenant, None).is;
    if !settings.sends(kind) || view::by_source(view, cx.tenant, kind, source).is_some() {
        return noted([]);
    }
    let about = (cx.tenant, kind, source, record);
    let Some(to) = subject::recipient(view, &settings, about, cx.timestamp) else { return noted([]) };
    let queued = Queued { kind, source, record, to };
    let waiting = view::counts(view, cx.tenant).waiting;
    noted([if waiting < WAITING_MAX { Fact::MailQueued(queued) } else { Fact::MailOverflowed(queued) }])
}

fn note(view: &dyn Read, mail: Place, became: Became, answer: &str, cx: &Context) -> Decision<Fact, Outcome> {
    let found = view::mail(view, cx.tenant, mail);
    if !found.is_some_and(|found| matches!(found.state, MailState::Waiting(_))) {
        return noted([]);
    }
    let told = Told { mail, answer: answer.to_owned() };
    noted([match became {
        Became::Sent => Fact::MailSent(told),
        Became::PutOff(next_at) => Fact::MailPutOff(PutOff { mail, answer: told.answer, next_at }),
        Became::Dead => Fact::MailDied(told),
        Became::Dropped => Fact::MailDropped(told),
    }])
}

fn retry(view: &dyn Read, mail: Place, cx: &Context) -> Decided {
    let Some(found) = view::mail(view, cx.tenant, mail) else {
        return Err(Rejection::new(Class::Absent, "mail-not-found", "There is no mail of this id."));
    };
    if found.state != MailState::Dead {
        let detail = format!("The mail is {}; only a dead one is tried again.", found.state.as_str());
        return Err(Rejection::conflict("mail-not-dead", detail));
    }
    let waiting = view::counts(view, cx.tenant).waiting;
    if waiting >= WAITING_MAX {
        let detail = format!("{waiting} mails wait; try again when there are fewer.");
        return Err(Rejection::new(Class::TooMany, "too-many-mails", detail));
    }
    Ok(noted([Fact::MailRetried(Told { mail, answer: found.answer })]))
}

fn put_queued(view: &mut dyn Write, queued: Queued, state: MailState, at: At) {
    let mut counts = view::counts(view, at.tenant);
    let mail = Mail {
        queued,
        queued_at: at.timestamp,
        state,
        attempts: 0,
        noted_at: at.timestamp,
        answer: if state == MailState::Dead { OVERFLOWED.to_owned() } else { String::new() },
        fresh_at: at.timestamp,
    };
    view::put_mail(view, at.tenant, Place { seq: at.seq, ordinal: at.ordinal }, &mail);
    counts.waiting += u32::from(state != MailState::Dead);
    counts.kept += 1;
    if counts.kept > KEPT_MAX && view::forget_oldest(view, at.tenant) {
        counts.kept -= 1;
    }
    view::put_counts(view, at.tenant, counts);
}

fn put_state(view: &mut dyn Write, told: &Told, state: MailState, at: At) {
    let Some(before) = view::mail(view, at.tenant, told.mail) else { return };
    let was_dead = before.state == MailState::Dead;
    let waited = matches!(before.state, MailState::Waiting(_));
    let waits = matches!(state, MailState::Waiting(_));
    let mail = Mail {
        state,
        attempts: before.attempts + u32::from(!was_dead && state != MailState::Dropped),
        noted_at: at.timestamp,
        answer: told.answer.clone(),
        fresh_at: if was_dead { at.timestamp } else { before.fresh_at },
        ..before
    };
    view::put_mail(view, at.tenant, told.mail, &mail);
    if waited != waits {
        let mut counts = view::counts(view, at.tenant);
        counts.waiting = if waits { counts.waiting + 1 } else { counts.waiting.saturating_sub(1) };
        view::put_counts(view, at.tenant, counts);
    }
}

fn noted(facts: impl IntoIterator<Item = Fact>) -> Decision<Fact, Outcome> {
    Decision { facts: facts.into_iter().collect(), outcome: Outcome::Noted }
}

/// An instant so much later, or earlier.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(micros(by)))
}

pub(super) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(micros(by)))
}

fn micros(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).unwrap_or(i64::MAX)
}

const STORED: u8 = 1;

impl Storable for Outcome {
    fn store(&self, out: &mut Vec<u8>) {
        encoding::store(STORED, self, out);
    }

    fn restore(bytes: &[u8]) -> Result<Self, Undecodable> {
        encoding::restore(STORED, bytes, "an outcome of mail")
    }
}
