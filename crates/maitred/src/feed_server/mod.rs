//! A server of feeds, for demonstrations, tests and measurements: providers that sell made-up events, change with time,
//! and fail as they are told.
//!
//! ```text
//!   GET /providers/1/feed.xml                      the feed; 304 for its ETag
//!       ?fault=hang  ?revision=7  ?events=20000    other than the server is set up
//!   PUT /providers/1/fault/hang                    from now on, until …/fault/none
//!   POST /webhooks                                 takes a delivery of a webhook; GET shows what has arrived
//! ```
//!
//! Invariants:
//! - The same seed, provider, revision and number of events give the same feed, byte for byte.
//! - A feed is made as it is sent: memory does not grow with it.
//! - It is no part of the server that gives out what is scarce, and shares nothing with it.
//!
//! Next: [`Fault`] for what can go wrong, [`programme`] for the events, [`inbox`] for webhooks.

mod answer;
mod fault;
mod inbox;
mod programme;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use maitred_booking::webhooks::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use self::fault::Fault;
use self::inbox::{BODY_BYTES_MAX, Inbox, Untrue};
use self::programme::Programme;

/// Most connections at once.
const CONNECTIONS_MAX: usize = 1_024;
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a head may take, and how long somebody who hangs is kept.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Most providers.
pub const PROVIDERS_MAX: u32 = 1_000;
/// Where webhooks are sent to, and looked at.
pub const WEBHOOKS_PATH: &str = "/webhooks";
/// Most events of a provider.
pub const EVENTS_MAX: u64 = 10_000_000;

/// How the feeds are.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many providers there are, at most [`PROVIDERS_MAX`].
    pub providers: u32,
    /// How many events each has, at most [`EVENTS_MAX`].
    pub events: u64,
    /// What the events follow from.
    pub seed: u64,
    /// The first day of events.
    pub from: Date,
    /// How long a revision lasts; zero for one that lasts for ever.
    pub change_every: Duration,
    /// What goes wrong with all of them.
    pub fault: Fault,
}

/// A server of feeds.
#[derive(Debug, Clone)]
pub struct FeedServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    begun: Instant,
    /// By provider.
    faults: Mutex<Vec<Fault>>,
    requests: AtomicU64,
    inbox: Inbox,
}

/// A feed that was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    programme: Programme,
    revision: u64,
    fault: Fault,
}

impl FeedServer {
    /// A server whose first revision begins now.
    pub fn new(settings: Settings) -> Self {
        FeedServer::with_secret(settings, None)
    }

    /// The same, taking webhooks that `secret` signed and no others.
    pub fn with_secret(settings: Settings, secret: Option<Secret>) -> Self {
        let faults = Mutex::new(vec![settings.fault; settings.providers as usize]);
        let (begun, requests, inbox) = (Instant::now(), AtomicU64::new(0), Inbox::new(secret));
        FeedServer(Arc::new(Shared { settings, begun, faults, requests, inbox }))
    }

    /// Serves whoever connects, until it is dropped.
    pub async fn serve(&self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                // No files, say: somebody gives one back in a while.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let server = self.clone();
            connections.spawn(async move {
                // Nobody waits to hear that a client went away.
                let _ = server.connection(stream).await;
                drop(permit);
            });
        }
    }

    /// Lets something go wrong with a provider's feed from now on; whether there is such a provider (from 1).
    pub fn set_fault(&self, provider: u32, fault: Fault) -> bool {
        let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (provider as usize).checked_sub(1).and_then(|at| faults.get_mut(at));
        place.map(|place| *place = fault).is_some()
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// The path of a provider's feed; providers are counted from 1.
    pub fn path(provider: u32) -> String {
        format!("/providers/{provider}/feed.xml")
    }

    /// One request, and its answer: the connection ends with it.
    async fn connection(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Ok(head) = timeout(HEAD_WAIT, head(&mut stream)).await else { return Ok(()) };
        let (head, rest) = head?;
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        let of_provider = |text: &str| text.parse::<u32>().unwrap_or(0);
        match (method, &*steps) {
            ("GET", ["providers", provider, "feed.xml"]) => match self.asked(of_provider(provider), query) {
                Ok(asked) => answer::feed(&mut stream, &asked, header(&head, "if-none-match")).await?,
                Err(why) => answer::text(&mut stream, "404 Not Found", &why).await?,
            },
            ("PUT", ["providers", provider, "fault", name]) => {
                let set =
                    Fault::parse(name).is_some_and(|fault| self.set_fault(of_provider(provider), fault));
                let status = if set { "204 No Content" } else { "404 Not Found" };
                answer::text(&mut stream, status, "").await?;
            }
            ("POST", ["webhooks"]) => {
                let length = header(&head, "content-length").and_then(|text| text.parse().ok());
                let body = timeout(HEAD_WAIT, body(&mut stream, rest, length.unwrap_or(0))).await;
                let (status, why) = match body.unwrap_or(Ok(None))? {
                    None => ("413 Content Too Large", "too long, or too slow"),
                    Some(body) => {
                        match self.0.inbox.take(|name| header(&head, name), &body, Timestamp::now()) {
                            Ok(()) => ("204 No Content", ""),
                            Err(Untrue(why)) => ("401 Unauthorized", why),
                        }
                    }
                };
                answer::text(&mut stream, status, why).await?;
            }
            ("GET", ["webhooks"]) => answer::json(&mut stream, &self.0.inbox.to_json()).await?,
            ("GET", [""]) => answer::text(&mut stream, "200 OK", &self.contents()).await?,
            ("GET" | "PUT" | "POST", _) => answer::text(&mut stream, "404 Not Found", "see /\n").await?,
            _ => answer::text(&mut stream, "405 Method Not Allowed", "").await?,
        }
        stream.shutdown().await
    }

    /// What there is, for people.
    fn contents(&self) -> String {
        let feeds = (1..=self.0.settings.providers).map(|provider| FeedServer::path(provider) + "\n");
        feeds.chain([WEBHOOKS_PATH.to_owned() + "\n"]).collect()
    }

    fn asked(&self, provider: u32, query: &str) -> Result<Asked, String> {
        let Settings { events, seed, from, change_every, .. } = self.0.settings;
        let fault = {
            let faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
            *(provider as usize)
                .checked_sub(1)
                .and_then(|at| faults.get(at))
                .ok_or("there is no such provider\n")?
        };
        let revision =
            self.0.begun.elapsed().as_millis().checked_div(change_every.as_millis()).unwrap_or(0) as u64;
        let mut asked = Asked { programme: Programme { seed, provider, events, from }, revision, fault };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let wrong = || format!("{name}={value} is not understood\n");
            match name {
                "fault" => asked.fault = Fault::parse(value).ok_or_else(wrong)?,
                "revision" => asked.revision = value.parse::<u32>().map_err(|_| wrong())?.into(),
                "events" => {
                    let events = value.parse().ok().filter(|events| *events <= EVENTS_MAX);
                    asked.programme.events = events.ok_or_else(wrong)?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(asked)
    }
}

/// The head of a request, as far as it is text, and what came behind it.
async fn head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut piece = [0; 1_024];
    loop {
        let end = head.windows(4).position(|end| end == b"\r\n\r\n");
        let read =
            if end.is_none() && head.len() < HEAD_BYTES_MAX { stream.read(&mut piece).await? } else { 0 };
        if read == 0 {
            let rest = head.split_off(end.map_or(head.len(), |end| end + 4));
            return Ok((String::from_utf8_lossy(&head).into_owned(), rest));
        }
        head.extend_from_slice(&piece[..read]);
    }
}

/// The body of a request, of which there is the beginning; none where it is too long.
async fn body(stream: &mut TcpStream, mut body: Vec<u8>, length: usize) -> std::io::Result<Option<Vec<u8>>> {
    if length > BODY_BYTES_MAX {
        return Ok(None);
    }
    let begun = body.len().min(length);
    body.resize(length, 0);
    stream.read_exact(&mut body[begun..]).await?;
    Ok(Some(body))
}

/// A header, by its name in lower case.
fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}
