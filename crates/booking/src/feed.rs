//! Live change feeds: what a tenant's listeners hear, read and encoded once for all of them.
//!
//! ```text
//!   engine.watch() ─▶ one task per tenant that is listened to ── chunks ──▶ listener ─▶ socket
//!                                                     view ── catching up ──▶ ┘
//! ```
//!
//! Invariants:
//! - A listener sends every change behind its place once, in the order of the log. It believes no chunk that does
//!   not reach back to its place: what lies between is read from the view.
//! - A listener holds one chunk at most, and no view while its socket blocks. One that is too slow for its tenant's
//!   chunks loses them, and reads what it missed from the view.
//! - A feed whose last listener has gone ends with the next batch.
//! - Whoever may no longer listen, by a key that was revoked or a tenant that was closed, soon hears no more. Both are
//!   changes of the system tenant: every listener hears that there were some, and only then looks who it is again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use bytes::Bytes;
use futures_util::Stream;
use maitred_core::{ChangeId, Ordinal, Seq, TenantNumber};
use maitred_engine::View;
use maitred_web::sse;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::app::{App, Scope};
use crate::readiness::Phase;
use crate::{changes, record};

/// About how many bytes of events a chunk has: no event is begun behind them.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many chunks a tenant's feed keeps for its listeners.
const CHUNKS_KEPT: usize = 32;
/// A feed reads at most this often, however many batches are written.
const READ_PAUSE: Duration = Duration::from_millis(1);

/// The feeds that are listened to.
#[derive(Debug, Default)]
pub struct Feeds {
    feeds: Mutex<Senders>,
    listeners: AtomicUsize,
}

type Senders = HashMap<TenantNumber, broadcast::Sender<Arc<Chunk>>>;

/// The changes of a stretch of the log.
#[derive(Debug)]
struct Chunk {
    /// The stretch begins behind this place.
    after: ChangeId,
    /// And ends with this one.
    through: ChangeId,
    /// Each change, and where its bytes end in `events`.
    ends: Vec<(ChangeId, usize)>,
    events: Bytes,
}

impl Chunk {
    /// The changes behind `after`, up to the view's end or the size of a chunk.
    fn read(view: &View, tenant: TenantNumber, after: ChangeId) -> Chunk {
        let mut events = Vec::new();
        let mut ends: Vec<(ChangeId, usize)> = Vec::new();
        let mut through = behind_batch(view.seq()).max(after);
        record::changes(view, tenant, after, &mut |change| {
            if events.len() >= CHUNK_BYTES {
                through = ends.last().map_or(after, |(last, _)| *last);
                return ControlFlow::Break(());
            }
            let (id, json) = changes::encode(view, &change);
            events.extend_from_slice(&sse::event(Some(&id), None, &json));
            ends.push((change.version.change, events.len()));
            ControlFlow::Continue(())
        });
        Chunk { after, through, ends, events: events.into() }
    }

    /// Whether the view had more behind it.
    fn is_cut(&self) -> bool {
        self.through.ordinal != Ordinal::MAX
    }

    /// The events behind `place`.
    fn behind(&self, place: ChangeId) -> Bytes {
        let heard = self.ends.partition_point(|(id, _)| *id <= place);
        let from = heard.checked_sub(1).map_or(0, |last| self.ends[last].1);
        self.events.slice(from..)
    }
}

/// The place behind all of a batch.
fn behind_batch(seq: Seq) -> ChangeId {
    ChangeId { seq, ordinal: Ordinal::MAX }
}

impl Feeds {
    /// How many listeners there are, over all tenants.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among a tenant's listeners; the first one starts the feed.
    fn join(&self, app: &App, tenant: TenantNumber) -> broadcast::Receiver<Arc<Chunk>> {
        match self.lock().entry(tenant) {
            Entry::Occupied(feed) => feed.get().subscribe(),
            Entry::Vacant(vacant) => {
                let (sender, receiver) = broadcast::channel(CHUNKS_KEPT);
                vacant.insert(sender.clone());
                // Here, and not in the task: the first listener reads from the view what was published until now.
                let mut published = app.engine().watch();
                let start = behind_batch(*published.borrow_and_update());
                let feed = Feed { app: app.clone(), tenant, sender, told: start, read: start };
                tokio::spawn(feed.follow(published));
                receiver
            }
        }
    }
}

/// The one task that reads a tenant's changes while somebody listens.
struct Feed {
    app: App,
    tenant: TenantNumber,
    sender: broadcast::Sender<Arc<Chunk>>,
    /// Where the last chunk ended.
    told: ChangeId,
    /// Up to here there is nothing that was not told.
    read: ChangeId,
}

impl Feed {
    async fn follow(mut self, mut published: watch::Receiver<Seq>) {
        while published.changed().await.is_ok() && !self.leave_if_silent() {
            let began = Instant::now();
            while self.tell() {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep_until(began + READ_PAUSE).await;
        }
    }

    /// Reads a chunk and sends it; tells whether there is more.
    fn tell(&mut self) -> bool {
        let chunk = Chunk::read(&self.app.engine().view(), self.tenant, self.read);
        let more = chunk.is_cut();
        self.read = chunk.through;
        if !chunk.ends.is_empty() {
            // What lies between the last chunk and this one is empty: this one reaches back over it.
            let after = std::mem::replace(&mut self.told, chunk.through);
            let _ = self.sender.send(Arc::new(Chunk { after, ..chunk })); // the last listener may just have gone
        }
        more
    }

    /// Ends the feed if nobody listens any more; tells whether it did. Nobody can join in between.
    fn leave_if_silent(&mut self) -> bool {
        let mut feeds = self.app.feeds().lock();
        let silent = self.sender.receiver_count() == 0;
        if silent {
            feeds.remove(&self.tenant);
        }
        silent
    }
}

impl Drop for Feed {
    /// After a panic too: listeners that would never hear anything again are told to come back.
    fn drop(&mut self) {
        let mut feeds = self.app.feeds().lock();
        if feeds.get(&self.tenant).is_some_and(|sender| sender.same_channel(&self.sender)) {
            feeds.remove(&self.tenant);
        }
    }
}

/// One client's place in a tenant's changes.
struct Listener {
    app: App,
    scope: Scope,
    /// By which it was let in.
    credentials: HeaderMap,
    /// Everything up to here was sent.
    place: ChangeId,
    chunks: broadcast::Receiver<Arc<Chunk>>,
    /// Tells when tenants or keys have changed.
    system: broadcast::Receiver<Arc<Chunk>>,
    /// Whether they have since the credentials were looked at.
    in_doubt: bool,
    /// Whether the next events come from the view.
    catching_up: bool,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The events behind `after`, for whom `scope` let in by these headers. It ends when the server drains, and when they
/// would be let in no more.
pub fn listen(
    app: &App,
    scope: Scope,
    headers: &HeaderMap,
    after: ChangeId,
) -> impl Stream<Item = Bytes> + Send + use<> {
    let credentials = headers.get_all(AUTHORIZATION).iter().map(|value| (AUTHORIZATION, value.clone()));
    app.feeds().listeners.fetch_add(1, Ordering::Relaxed);
    let listener = Listener {
        app: app.clone(),
        scope,
        credentials: credentials.collect(),
        place: after,
        chunks: app.feeds().join(app, scope.tenant),
        system: app.feeds().join(app, TenantNumber::SYSTEM),
        in_doubt: true,
        catching_up: true,
        draining: Box::pin(app.readiness().draining()),
    };
    futures_util::stream::unfold(listener, |mut listener| async move {
        let events = listener.next().await?;
        Some((events, listener))
    })
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.app.feeds().listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.app.readiness().phase() == Phase::Draining {
                return None;
            }
            match self.system.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => {
                    self.in_doubt = true;
                    continue;
                }
                Err(TryRecvError::Empty) => {}
                // Its task has panicked: the client comes back and finds a new one.
                Err(TryRecvError::Closed) => return None,
            }
            if std::mem::take(&mut self.in_doubt) && !self.app.still_admits(&self.scope, &self.credentials) {
                return None;
            }
            if self.catching_up {
                let chunk = Chunk::read(&self.app.engine().view(), self.scope.tenant, self.place);
                self.place = chunk.through;
                self.catching_up = chunk.is_cut();
                if !chunk.events.is_empty() {
                    return Some(chunk.events);
                }
            }
            let chunk = tokio::select! {
                biased;
                () = &mut self.draining => return None,
                _ = self.system.recv() => {
                    self.in_doubt = true;
                    continue;
                }
                chunk = self.chunks.recv() => chunk,
            };
            match chunk {
                Ok(chunk) if chunk.after > self.place => self.catching_up = true,
                Ok(chunk) => {
                    let events = chunk.behind(self.place);
                    self.place = self.place.max(chunk.through);
                    if !events.is_empty() {
                        return Some(events);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.catching_up = true,
                // The feed's task has panicked: the client comes back and finds a new one.
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
