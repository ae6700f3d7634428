//! Which mail is sent next, and what is noted of it: a state machine that the program gives its time.
//!
//! Invariants:
//! - A mail is under way once at a time, until a view includes what became of it. After a crash it is sent again where
//!   that was not noted: at least once.
//! - Tenants are served in turns, a mail each, and no mail of a record overtakes another one of that record.
//! - While no server takes mail, one is tried at a time, with growing waits; nothing else of the product notices.
//! - No more than [`MailServer::per_second`] mails are begun in a second, after a burst of as many.

use std::collections::BTreeMap;
use std::time::Duration;

use maitred_core::{Seq, TenantNumber, Timestamp};
use maitred_engine::View;
use maitred_engine::backoff::Backoff;
use maitred_engine::queue::Pending;
use tokio::sync::oneshot::error::TryRecvError;

use super::command::{Became, Command};
use super::courier::{MailServer, Mailing, Sent};
use super::fact::{MailState, Place};
use super::letter::{self, Letter, Unwritten};
use super::reminders::Reminders;
use super::rules::later;
use super::view;
use crate::Booking;

/// The waits before a mail is tried again that a server put off.
const RETRY_FIRST: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);
/// The waits while no server takes mail.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The most due mails of a tenant that one look goes through: behind each may be others of its record.
const DUE_LOOK_MAX: usize = 64;
/// The most tenants that one step asks.
const TENANTS_LOOK_MAX: usize = 256;
/// The most commands that are under way.
const NOTINGS_MAX: usize = 256;
/// The longest answer that is kept, in characters.
pub const ANSWER_CHARS_MAX: usize = 200;
/// What a mail costs of the allowance: it is counted in millionths.
const MAIL: i64 = 1_000_000;
/// How long nothing is looked at again: while commands are under way, while mails wait, and else.
const LOOK_SOON: Duration = Duration::from_millis(20);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Enters a command into a tenant's line; `None` where it is not taken at the moment.
pub type Submit<'a> = &'a mut dyn FnMut(TenantNumber, super::Command) -> Option<Pending<Booking>>;

/// Which mail, of whom.
type Key = (TenantNumber, Place);

/// What a step wants done.
#[derive(Debug)]
pub struct Step {
    /// To be sent; what came of each is told by its number.
    pub letters: Vec<(u64, Letter)>,
    /// The next step is due after that at the latest.
    pub patience: Duration,
}

/// The dispatcher of all tenants.
#[derive(Debug)]
pub struct Dispatcher {
    flights: BTreeMap<u64, Key>,
    flown: u64,
    notings: Vec<Noting>,
    /// How many attempts in a row found no server that takes mail.
    streak: u32,
    paused_until: Timestamp,
    allowance: i64,
    filled_at: Timestamp,
    /// The tenant whose turn is next.
    turn: TenantNumber,
    reminders: Reminders,
    retry: Backoff,
    pause: Backoff,
}

/// A command on its way into a view.
#[derive(Debug)]
struct Noting {
    tenant: TenantNumber,
    /// The mail that it is about; of a reminder that is queued there is none yet.
    mail: Option<Place>,
    command: Command,
    pending: Option<Pending<Booking>>,
    /// The batch that includes it.
    seq: Option<Seq>,
}

impl Dispatcher {
    /// One that knows of nothing yet. `seed` is for the jitter of waits.
    pub fn new(seed: u64) -> Self {
        Dispatcher {
            flights: BTreeMap::new(),
            flown: 0,
            notings: Vec::new(),
            streak: 0,
            paused_until: Timestamp::default(),
            allowance: 0,
            filled_at: Timestamp::default(),
            turn: TenantNumber(0),
            reminders: Reminders::default(),
            retry: Backoff::new(RETRY_FIRST, RETRY_MAX, seed),
            pause: Backoff::new(PAUSE_FIRST, PAUSE_MAX, seed.rotate_left(32)),
        }
    }

    /// Looks at what is there.
    pub fn step(&mut self, view: &View, now: Timestamp, server: &MailServer, submit: Submit<'_>) -> Step {
        self.fill(now, server);
        for (tenant, command) in
            self.reminders.look(view, now, NOTINGS_MAX.saturating_sub(self.notings.len()))
        {
            self.notings.push(Noting { tenant, mail: None, command, pending: None, seq: None });
        }
        let letters = self.pick(view, now, server);
        self.notings.retain_mut(|noting| !noting.look(view, submit));
        let patience = if !self.notings.is_empty() {
            LOOK_SOON
        } else if view::first_waiting(view, TenantNumber(0)).is_some() {
            LOOK_AGAIN
        } else {
            LOOK_EVERY
        };
        Step { letters, patience }
    }

    /// Takes in what came of a letter.
    pub fn finished(&mut self, number: u64, sent: &Sent, view: &View, now: Timestamp, mailing: &Mailing) {
        let Some((tenant, mail)) = self.flights.remove(&number) else { return };
        mailing.status.count(sent);
        let attempts = view::mail(view, tenant, mail).map_or(0, |mail| mail.attempts);
        let (became, answer) = match sent {
            Sent::Taken(answer) => (Became::Sent, answer),
            Sent::Later(answer) => {
                (Became::PutOff(later(now, self.retry.delay(attempts.saturating_add(1)))), answer)
            }
            Sent::Never(answer) => (Became::Dead, answer),
            Sent::NoServer(answer) => {
                self.streak = self.streak.saturating_add(1);
                self.paused_until = later(now, self.pause.delay(self.streak));
                (Became::PutOff(later(now, self.pause.delay(attempts.saturating_add(1)))), answer)
            }
        };
        if matches!(sent, Sent::NoServer(_)) {
            if self.streak == 1 {
                tracing::warn!(reason = %without_addresses(answer), "no server takes mail; trying again");
            }
        } else {
            if self.streak > 0 {
                tracing::info!("the mail server answers again");
            }
            (self.streak, self.paused_until) = (0, Timestamp::default());
        }
        if let Sent::Never(answer) = sent {
            tracing::warn!(
                tenant.number = tenant.0,
                mail.id = %maitred_core::ChangeId::from(mail).to_text(view.position().partition),
                reason = %without_addresses(answer),
                "a mail was refused for good: it is a dead letter"
            );
        }
        self.note((tenant, mail), became, answer);
    }

    /// Enters what is still to be noted, at a stop.
    pub fn leave(&mut self, view: &View, submit: Submit<'_>) {
        self.notings.retain_mut(|noting| !noting.look(view, submit));
    }

    fn fill(&mut self, now: Timestamp, server: &MailServer) {
        let (second, rate) = (1_000_000, i64::from(server.per_second.max(1)));
        let passed = now.as_micros().saturating_sub(self.filled_at.as_micros()).clamp(0, second);
        self.allowance = (self.allowance + passed * rate).min(rate * MAIL);
        self.filled_at = now;
    }

    /// Begins what can begin, the tenants in turns.
    fn pick(&mut self, view: &View, now: Timestamp, server: &MailServer) -> Vec<(u64, Letter)> {
        let mut letters = Vec::new();
        let (mut asked, mut idle) = (0, 0);
        let mut first_idle = None;
        while asked < TENANTS_LOOK_MAX && self.has_room(now, server) {
            let waiting =
                view::first_waiting(view, self.turn).or_else(|| view::first_waiting(view, TenantNumber(0)));
            let Some(waiting) = waiting else { break };
            let tenant = waiting.tenant;
            if idle > 0 && first_idle == Some(tenant) {
                break; // all of them were asked since one had something
            }
            asked += 1;
            self.turn = TenantNumber(tenant.0.wrapping_add(1));
            let mine = view::due(view, tenant, now, DUE_LOOK_MAX);
            match mine.iter().find(|it| self.can_begin(view, (tenant, it.mail))) {
                Some(found) => {
                    (idle, first_idle) = (0, None);
                    letters.extend(self.begin(view, (tenant, found.mail), server, now));
                }
                None => {
                    idle += 1;
                    first_idle = first_idle.or(Some(tenant));
                }
            }
        }
        letters
    }

    fn has_room(&self, now: Timestamp, server: &MailServer) -> bool {
        let places = if self.streak > 0 { 1 } else { server.connections.max(1) };
        now >= self.paused_until
            && self.allowance >= MAIL
            && self.flights.len() < places
            && self.notings.len() < NOTINGS_MAX
    }

    fn can_begin(&self, view: &View, key: Key) -> bool {
        let is_noted = |noting: &Noting| noting.mail.is_some_and(|mail| (noting.tenant, mail) == key);
        if self.flights.values().any(|flight| *flight == key) || self.notings.iter().any(is_noted) {
            return false;
        }
        let (tenant, place) = key;
        let mail = view::mail(view, tenant, place);
        mail.is_some_and(|mail| view::first_in_line(view, tenant, mail.queued.record) == Some(place))
    }

    fn begin(&mut self, view: &View, key: Key, server: &MailServer, now: Timestamp) -> Option<(u64, Letter)> {
        let (tenant, place) = key;
        let mail =
            view::mail(view, tenant, place).filter(|mail| matches!(mail.state, MailState::Waiting(_)))?;
        match letter::write(view, (view.position().partition, tenant), &mail, server, now) {
            Ok(letter) => {
                self.allowance -= MAIL;
                self.flown += 1;
                self.flights.insert(self.flown, key);
                Some((self.flown, letter))
            }
            Err(Unwritten::OfNoUse(reason)) => {
                self.note(key, Became::Dropped, reason);
                None
            }
            Err(Unwritten::Dead(reason)) => {
                self.note(key, Became::Dead, reason);
                None
            }
        }
    }

    fn note(&mut self, (tenant, mail): Key, became: Became, answer: &str) {
        let command = Command::Note { mail, became, answer: without_addresses(answer) };
        self.notings.push(Noting { tenant, mail: Some(mail), command, pending: None, seq: None });
    }
}

impl Noting {
    /// Enters the command, or looks for its answer. True once a view includes it, or it was refused.
    fn look(&mut self, view: &View, submit: Submit<'_>) -> bool {
        if let Some(seq) = self.seq {
            return seq <= view.seq();
        }
        let Some(pending) = &mut self.pending else {
            self.pending = submit(self.tenant, self.command.clone());
            return false;
        };
        match pending.try_recv() {
            Err(TryRecvError::Empty) => false,
            Ok(Ok(answer)) => {
                if let Err(rejection) = &answer.result {
                    tracing::error!(code = %rejection.code, "what became of a mail was refused");
                    return true;
                }
                self.seq = Some(answer.position.seq);
                answer.position.seq <= view.seq()
            }
            // Nobody could decide it, or nobody knows: it is entered again.
            Ok(Err(_)) | Err(TryRecvError::Closed) => {
                self.pending = None;
                false
            }
        }
    }
}

/// A server's answer as it is kept: on one line, of bounded length, and with no address in it.
pub fn without_addresses(answer: &str) -> String {
    let hide = |word: &str| match word.contains('@') {
        true => "(address)".to_owned(),
        false => word.chars().filter(|c| !c.is_control()).collect(),
    };
    let words: Vec<String> = answer.split_whitespace().map(hide).collect();
    words.join(" ").chars().take(ANSWER_CHARS_MAX).collect()
}
