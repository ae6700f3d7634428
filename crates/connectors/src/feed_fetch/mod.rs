//! Fetching the feeds of many providers, so that none of them holds up another.
//!
//! ```text
//!   Order ──▶ circuit closed? ──▶ a slot ──▶ conditional GET ──▶ 304: unchanged
//!                  │                ▲               │ 200 ──▶ Spool: a file without a name, on disk
//!                  ▼                └── wait ◀──────┘ 408, 429, 5xx: up to TRIES_MAX times
//!            refused at once
//! ```
//!
//! Invariants:
//! - A provider is asked by one fetch at a time. What is kept of it between fetches is kept only while it fails.
//! - At most [`Settings::slots`] requests are under way. Providers that were too slow the last time share a quarter of
//!   them, so that those that hang cannot take the slots of the others. Nobody holds a slot while waiting to try again.
//! - A spool has no name from the moment it is open: whatever ends the process, nothing of it stays on the disk.
//! - Memory is [`PIECE_BYTES`] for each request; the disk holds [`Settings::spools_bytes_max`] of all spools together.
//! - No header of an order is shown in an error or a log line.
//!
//! All requests go through [`crate::outgoing`], which says where they may go.
//!
//! Next: [`Fetcher::fetch`]; [`circuit`](Circuit) for when a provider is left alone.

mod circuit;
mod failure;
mod slots;
mod spool;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::time::Instant;

use self::circuit::Breaker;
pub use self::circuit::{Circuit, FAILURES_MAX, OPEN_FOR, REST_MAX};
pub use self::failure::Failure;
use self::slots::Slots;
use self::spool::Disk;
pub use self::spool::Spool;
use crate::outgoing::header::{self, HeaderName, HeaderValue};
use crate::outgoing::{Bounds, Client, HeaderMap, Method, Request, Response, StatusCode, Target, Validators};

/// How often a provider is asked in one fetch.
pub const TRIES_MAX: u32 = 3;
/// Most bytes of a feed that are in memory before they are written to its spool.
pub const PIECE_BYTES: usize = 256 * 1024;
/// Slots unless set otherwise: a socket and a file each.
pub const SLOTS: usize = 256;
/// The longest wait for a try that nobody asked for.
pub const WAIT_MAX: Duration = Duration::from_secs(8);
/// The longest `Retry-After` that is waited for within a fetch; a longer one ends it, and the provider rests.
pub const RETRY_AFTER_WAIT_MAX: Duration = Duration::from_secs(30);
/// The whole of a try, however large the feed.
pub const TOTAL_MAX: Duration = Duration::from_secs(15 * 60);
/// Once a feed has taken its timeout, it must have come at this pace on average.
pub const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// The whole of a reading of a spool, from [`Spool::options`] on.
pub const READING_MAX: Duration = Duration::from_secs(10 * 60);
/// Most headers of an order.
pub const HEADERS_MAX: usize = 16;
/// Spools together, unless set otherwise.
pub const SPOOLS_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// The first wait is below this; each further one below twice as much.
const WAIT_BASE: Duration = Duration::from_millis(500);

/// How fetching is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where spools are; it belongs to the fetcher alone.
    pub folder: PathBuf,
    /// Most requests under way, at least 4.
    pub slots: usize,
    /// Most bytes of all spools together.
    pub spools_bytes_max: u64,
    /// A random number below the given one, for waits.
    pub random: fn(u64) -> u64,
}

/// What is to be fetched.
pub struct Order<'a> {
    /// Tells providers apart, across tenants.
    pub provider: &'a str,
    /// `http` or `https`.
    pub url: &'a str,
    /// Names and values, which may be secret; see [`check_header`].
    pub headers: &'a [(String, String)],
    /// Of the last feed that was believed: they are kept by the caller, and only then.
    pub kept: &'a Validators,
    /// For the answer to begin, and between two pieces of it.
    pub timeout: Duration,
    /// Most bytes of the feed.
    pub bytes_max: u64,
}

/// What came of an order.
#[derive(Debug)]
pub struct Fetched {
    /// The feed, or none if it is as it was (304).
    pub feed: Result<Option<Spool>, Failure>,
    /// How often the provider was asked.
    pub tries: u32,
}

/// Fetches feeds. One serves the whole process.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    settings: Settings,
    slots: Slots,
    disk: Disk,
    /// Those that are asked just now, and those that failed the last time.
    providers: Mutex<HashMap<String, Standing>>,
}

/// What is known of a provider.
#[derive(Debug, Default)]
struct Standing {
    breaker: Breaker,
    busy: bool,
    /// It was too slow the last time.
    slow: bool,
}

/// The only fetch of a provider. Dropped without a word, it has learnt nothing.
struct Turn<'a> {
    fetcher: &'a Fetcher,
    provider: &'a str,
    slow: bool,
    ended: bool,
}

impl Fetcher {
    /// Makes the folder, if need be, and removes what a process that was killed may have left there.
    ///
    /// # Errors
    /// What is wrong with the folder.
    pub fn new(client: Client, settings: Settings) -> io::Result<Self> {
        let disk = Disk::new(settings.folder.clone(), settings.spools_bytes_max)?;
        let slots = Slots::new(settings.slots);
        Ok(Fetcher { client, settings, slots, disk, providers: Mutex::default() })
    }

    /// Fetches a feed. Waits for a slot, for answers and for tries, all of it bounded.
    pub async fn fetch(&self, order: &Order<'_>) -> Fetched {
        let turn = match self.turn(order.provider) {
            Ok(turn) => turn,
            Err(failure) => return Fetched { feed: Err(failure), tries: 0 },
        };
        let mut tries = 0;
        let feed = loop {
            let tried = {
                let _slot = self.slots.take(turn.slow).await;
                tries += 1;
                self.try_once(order).await
            };
            let wait = match &tried {
                Err(failure) if failure.is_temporary() && tries < TRIES_MAX => {
                    self.wait(tries, failure.retry_after())
                }
                _ => None,
            };
            let Some(wait) = wait else { break tried };
            tokio::time::sleep(wait).await;
        };
        turn.end(feed.as_ref().err());
        Fetched { feed, tries }
    }

    /// How the circuit of a provider stands.
    pub fn circuit(&self, provider: &str) -> Circuit {
        let now = Instant::now();
        self.providers().get(provider).map_or(Circuit::Closed, |standing| standing.breaker.circuit(now))
    }

    /// Forgets the failures of a provider: it was removed, or given another URL.
    pub fn forget(&self, provider: &str) {
        let mut providers = self.providers();
        if let Some(standing) = providers.get_mut(provider) {
            let busy = standing.busy;
            *standing = Standing { busy, ..Standing::default() };
            if !busy {
                providers.remove(provider);
            }
        }
    }

    fn providers(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        // Nothing panics under this lock, and what it holds may be stale at worst.
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn<'a>(&'a self, provider: &'a str) -> Result<Turn<'a>, Failure> {
        let mut providers = self.providers();
        let standing = providers.entry(provider.to_owned()).or_default();
        if standing.busy {
            return Err(Failure::Busy);
        }
        if let Err(again_in) = standing.breaker.admit(Instant::now()) {
            return Err(Failure::CircuitOpen { again_in });
        }
        standing.busy = true;
        Ok(Turn { fetcher: self, provider, slow: standing.slow, ended: false })
    }

    async fn try_once(&self, order: &Order<'_>) -> Result<Option<Spool>, Failure> {
        let target = Target::parse(order.url, self.client.rules())
            .map_err(|refused| Failure::Outgoing(refused.into()))?;
        let (headers, conditional) = headers_of(order)?;
        let bounds = Bounds {
            connect: Bounds::FEED.connect.min(order.timeout),
            answer: order.timeout,
            silence: order.timeout,
            total: TOTAL_MAX,
            body_bytes_max: order.bytes_max,
        };
        let request = Request { method: Method::GET, target: &target, headers, body: Bytes::new() };
        let answer = self.client.send(request, bounds).await.map_err(Failure::Outgoing)?;
        match answer.status {
            StatusCode::OK => self.spool(answer, order.timeout).await.map(Some),
            StatusCode::NOT_MODIFIED if conditional => Ok(None),
            status => Err(Failure::Status { status: status.as_u16(), retry_after: answer.retry_after() }),
        }
    }

    /// Reads the answer into a file.
    async fn spool(&self, answer: Response, timeout: Duration) -> Result<Spool, Failure> {
        let Response { headers, mut body, .. } = answer;
        let begun = Instant::now();
        let mut spool = self.disk.open(Validators::of(&headers), charset_of(&headers)).await?;
        let mut gathered = Vec::new();
        let mut bytes: u64 = 0;
        while let Some(piece) = body.piece().await.map_err(Failure::Outgoing)? {
            bytes += piece.len() as u64;
            gathered.extend_from_slice(&piece);
            let elapsed = begun.elapsed();
            let least = elapsed.as_millis() * u128::from(BYTES_PER_SECOND_MIN) / 1_000;
            if elapsed > timeout && u128::from(bytes) < least {
                return Err(Failure::TooSlow);
            }
            if gathered.len() >= PIECE_BYTES {
                (spool, gathered) = spool.write(gathered).await?;
            }
        }
        let (spool, _) = spool.write(gathered).await?;
        Ok(spool)
    }

    /// How long to wait before trying again; none if that is too long for this fetch. Full jitter: any wait up to a
    /// bound that doubles, so that those who failed together do not come back together.
    fn wait(&self, tries: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let bound = (WAIT_BASE * 2_u32.saturating_pow(tries - 1)).min(WAIT_MAX);
        let jitter = Duration::from_millis((self.settings.random)(bound.as_millis() as u64));
        match retry_after {
            None => Some(jitter),
            Some(asked) if asked <= RETRY_AFTER_WAIT_MAX => Some(asked + jitter),
            Some(_) => None,
        }
    }
}

impl Turn<'_> {
    fn end(mut self, failure: Option<&Failure>) {
        let mut providers = self.fetcher.providers();
        self.ended = true;
        match failure {
            // What works is nothing to remember.
            None => drop(providers.remove(self.provider)),
            Some(failure) => {
                let standing = providers.entry(self.provider.to_owned()).or_default();
                standing.breaker.failed(Instant::now(), failure.retry_after());
                standing.slow = failure.is_slow();
                standing.busy = false;
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // The turn of who came after an end must not be taken for this one.
        if self.ended {
            return;
        }
        let mut providers = self.fetcher.providers();
        if let Some(standing) = providers.get_mut(self.provider) {
            standing.busy = false;
            if !standing.breaker.has_failed() {
                providers.remove(self.provider);
            }
        }
    }
}

/// Whether a header may be sent with an order: its form, and that it is none that the request itself needs.
///
/// # Errors
/// A sentence that names the header, and never its value.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    header_of(name, value).map(drop)
}

fn header_of(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    const OURS: [HeaderName; 12] = [
        header::ACCEPT_ENCODING,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::RANGE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))?;
    if OURS.contains(&parsed) {
        return Err(format!("the header {parsed} is set by the request itself"));
    }
    let mut value =
        HeaderValue::from_str(value).map_err(|_| format!("the value of {parsed} is none of a header"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// The headers of the request, and whether it is conditional.
fn headers_of(order: &Order<'_>) -> Result<(HeaderMap, bool), Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/xml, text/xml;q=0.9, */*;q=0.1"));
    for (name, value) in order.headers.iter().take(HEADERS_MAX) {
        let (name, value) = header_of(name, value).map_err(Failure::Header)?;
        headers.insert(name, value);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    order.kept.put(&mut headers);
    let conditional =
        [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE].iter().any(|name| headers.contains_key(name));
    Ok((headers, conditional))
}

/// The encoding in `Content-Type: text/xml; charset="…"`.
fn charset_of(headers: &HeaderMap) -> Option<String> {
    let parameters = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').skip(1);
    let charset = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, charset) = charset.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    let charset = charset.trim().trim_matches('"');
    (!charset.is_empty() && charset.len() <= 64).then(|| charset.to_owned())
}
