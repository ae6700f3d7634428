//! What webhooks need besides the log and the view: somebody who sends, the key of secrets, and what was last heard.
//!
//! The program gives the first two once, before it serves ([`Webhooks::employ`]). What was heard is remembered in memory
//! alone: what has failed stands in the view too, and what was delivered needs no fact.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use maitred_core::{ChangeId, TenantNumber, Timestamp};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::fact::Attempt;
use super::secret::Sealer;

/// So many attempts of an endpoint are remembered, the newest ones.
pub const RECENT_MAX: usize = 50;
/// So many tests wait for their answers at once.
pub const TESTS_MAX: usize = 16;
/// So many endpoints' attempts are remembered.
const RECENT_ENDPOINTS_MAX: usize = 500;
/// The longest beginning of an answer that is kept, in bytes.
pub const ANSWER_BYTES_MAX: usize = 512;
/// The longest text of a problem that is kept, in characters.
pub const PROBLEM_CHARS_MAX: usize = 200;

/// A delivery to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where to.
    pub url: String,
    /// The header `webhook-id`.
    pub id: String,
    /// For the header `webhook-timestamp`.
    pub at: Timestamp,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body: JSON.
    pub payload: String,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// How long it took.
    pub took: Duration,
    /// What was answered, or why nothing was.
    pub result: Result<Answer, Unanswered>,
}

/// An answer, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The beginning of the body, at most [`ANSWER_BYTES_MAX`].
    pub beginning: Vec<u8>,
    /// What `Retry-After` asks for.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Whether the guard of outgoing requests let it go nowhere.
    pub refused: bool,
    /// A sentence for a person.
    pub problem: String,
}

impl Answered {
    /// Whether it was accepted: any 2xx.
    pub fn is_delivered(&self) -> bool {
        matches!(&self.result, Ok(answer) if is_success(answer.status))
    }

    /// As it is kept.
    pub fn attempt(&self, at: Timestamp) -> Attempt {
        let duration_ms = u32::try_from(self.took.as_millis()).unwrap_or(u32::MAX);
        let (status, answer, problem) = match &self.result {
            Ok(answer) => (Some(answer.status), text(&answer.beginning), None),
            Err(none) => (None, String::new(), Some(none.problem.chars().take(PROBLEM_CHARS_MAX).collect())),
        };
        Attempt { at, duration_ms, status, answer, problem }
    }
}

/// Whether an attempt was accepted.
pub fn is_accepted(attempt: &Attempt) -> bool {
    attempt.status.is_some_and(is_success)
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The beginning of a body as text that every reader takes.
fn text(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(ANSWER_BYTES_MAX)];
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control() || c.is_whitespace()).collect()
}

/// What a courier promises.
pub type Delivery = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Sends deliveries to other servers.
pub trait Courier: fmt::Debug + Send + Sync {
    /// Why nothing may be sent to this URL, as far as can be said without asking the network.
    fn refuses(&self, url: &str) -> Option<String>;

    /// Sends a job, within `patience`.
    fn deliver(&self, job: Job, patience: Duration) -> Delivery;
}

/// An attempt that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Which change.
    pub change: ChangeId,
    /// The attempt.
    pub attempt: Attempt,
    /// Whether it was accepted.
    pub delivered: bool,
}

/// What webhooks need besides the log and the view. One of an application.
#[derive(Debug)]
pub struct Webhooks {
    /// The places of tests that wait for an answer.
    pub(super) tests: Semaphore,
    employed: OnceLock<Employed>,
    recent: Mutex<BTreeMap<(TenantNumber, Uuid), VecDeque<Remembered>>>,
    /// What the dispatcher does, for `/metrics`.
    pub status: Status,
}

impl Default for Webhooks {
    fn default() -> Self {
        Webhooks {
            tests: Semaphore::new(TESTS_MAX),
            employed: OnceLock::new(),
            recent: Mutex::default(),
            status: Status::default(),
        }
    }
}

#[derive(Debug)]
struct Employed {
    sealer: Sealer,
    courier: Box<dyn Courier>,
}

/// What the dispatcher does.
#[derive(Debug, Default)]
pub struct Status {
    /// Deliveries that it knows of and that are not done, those in lanes included (a lane counts as one).
    pub depth: AtomicU64,
    /// When the oldest of these was decided, in microseconds since 1970; 0 for none.
    pub oldest: AtomicI64,
    /// Attempts that were accepted.
    pub delivered: AtomicU64,
    /// Attempts that were answered by another status than 2xx.
    pub refused: AtomicU64,
    /// Attempts without an answer.
    pub unanswered: AtomicU64,
    /// Attempts that the guard of outgoing requests let go nowhere.
    pub guarded: AtomicU64,
}

impl Status {
    pub(super) fn count(&self, answered: &Answered) {
        let counter = match &answered.result {
            Ok(_) if answered.is_delivered() => &self.delivered,
            Ok(_) => &self.refused,
            Err(Unanswered { refused: true, .. }) => &self.guarded,
            Err(_) => &self.unanswered,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// How old the oldest delivery is that is not done.
    pub fn oldest_age(&self, now: Timestamp) -> Duration {
        match self.oldest.load(Relaxed) {
            0 => Duration::ZERO,
            oldest => Duration::from_micros(u64::try_from(now.as_micros() - oldest).unwrap_or(0)),
        }
    }
}

impl Webhooks {
    /// Gives it a courier and the key of secrets; a second call changes nothing.
    pub fn employ(&self, sealer: Sealer, courier: Box<dyn Courier>) {
        let _ = self.employed.set(Employed { sealer, courier });
    }

    /// The courier.
    pub fn courier(&self) -> Option<&dyn Courier> {
        self.employed.get().map(|employed| &*employed.courier)
    }

    /// The key of secrets.
    pub fn sealer(&self) -> Option<&Sealer> {
        self.employed.get().map(|employed| &employed.sealer)
    }

    /// The last attempts of an endpoint, the newest first.
    pub fn recent(&self, tenant: TenantNumber, endpoint: Uuid) -> Vec<Remembered> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(&(tenant, endpoint)).map_or_else(Vec::new, |found| found.iter().rev().cloned().collect())
    }

    pub(super) fn remember(&self, tenant: TenantNumber, endpoint: Uuid, attempt: Remembered) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_ENDPOINTS_MAX && !recent.contains_key(&(tenant, endpoint)) {
            recent.pop_first();
        }
        let of_endpoint = recent.entry((tenant, endpoint)).or_default();
        if of_endpoint.len() >= RECENT_MAX {
            of_endpoint.pop_front();
        }
        of_endpoint.push_back(attempt);
    }

    pub(super) fn forget(&self, tenant: TenantNumber, endpoint: Uuid) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, endpoint));
    }
}
