//! Sales as they are now, live: what the listeners of a sale hear, read and encoded once for all of them.
//!
//! ```text
//!   engine.watch(), the clock ─▶ one task per sale that is listened to ── watch ──▶ listener ─▶ socket
//! ```
//!
//! Invariants:
//! - A listener hears the present state at once and then each change of it, at most once in [`PAUSE`]: what changes
//!   faster is told as it stands at the end of the pause. The last state is always told.
//! - A listener holds no view and no buffer of its own, however slow it is.
//! - A task whose last listener has gone ends. At most [`LISTENERS_MAX`] listen at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use maitred_core::{Seq, TenantNumber, Timestamp};
use maitred_engine::{Unavailable, View};
use maitred_web::{Problem, Time, sse};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::{self, SaleState};
use super::{http::SaleStateName, stock};
use crate::app::App;
use crate::readiness::Phase;

/// The most listeners of this server, over all sales: fewer than it has connections, so that buyers get through.
pub const LISTENERS_MAX: usize = 10_000;
/// A sale's listeners are told at most this often: four times a second.
pub const PAUSE: Duration = Duration::from_millis(250);
/// A sale is looked at this often at least, whatever the clocks do.
const LOOK: Duration = Duration::from_secs(1);
/// When a listener for whom there is no room is told to come back.
const RETRY_AFTER: Duration = Duration::from_secs(5);

type Key = (TenantNumber, Uuid);

/// The sales that are listened to.
#[derive(Debug, Default)]
pub struct Streams(Mutex<HashMap<Key, watch::Sender<Arc<Told>>>>);

/// What listeners are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    is: LiveSale,
    event: Bytes,
}

/// A sale as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LiveSale {
    /// Which.
    sale_id: Uuid,
    /// Where it stands.
    state: SaleStateName,
    /// How many pieces are to be had.
    left: u32,
    /// How many wait to be paid.
    held: u32,
    /// How many are sold.
    sold: u32,
    /// The first instant at which it sells.
    starts_at: Time,
    /// The first instant at which it no longer does.
    ends_at: Time,
    /// The version of the sale's record.
    version: u64,
}

/// The data of an event: the sale, and the server's time, by which a client counts down.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    sale: &'a LiveSale,
    server_time: Time,
}

impl LiveSale {
    /// A sale at an instant, and the next instant at which it changes by itself.
    fn read(view: &View, (tenant, id): Key, now: Timestamp) -> Option<(Self, Option<Timestamp>)> {
        let found = view::sale(view, tenant, id, None)?;
        let stock = view::stock_at(view, tenant, id, now, None)?;
        let sale = found.is;
        let state = sale.state_at(now, stock.free);
        let edges = match state {
            SaleState::Ended | SaleState::Cancelled => [None, None],
            _ => [Some(sale.starts_at), Some(sale.ends_at)],
        };
        let expiry = stock::next_expiry(view, tenant, id, now);
        let next = edges.into_iter().chain([expiry]).flatten().filter(|edge| *edge > now).min();
        let live = LiveSale {
            sale_id: id,
            state: state.into(),
            left: stock.free,
            held: stock.held,
            sold: stock.sold,
            starts_at: Time(sale.starts_at),
            ends_at: Time(sale.ends_at),
            version: found.version,
        };
        Some((live, next))
    }

    fn told(self, now: Timestamp) -> Arc<Told> {
        let event = Event { sale: &self, server_time: Time(now) };
        let data = serde_json::to_string(&event).expect("texts and numbers have a JSON form");
        let event = sse::event(None, Some("sale"), &data);
        Arc::new(Told { is: self, event })
    }
}

impl Streams {
    /// How many listeners there are, over all sales.
    pub fn listeners(&self) -> usize {
        self.lock().values().map(watch::Sender::receiver_count).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Sender<Arc<Told>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among a sale's listeners; the first one starts the task.
    fn join(&self, app: &App, key: Key) -> Result<watch::Receiver<Arc<Told>>, Problem> {
        let mut streams = self.lock();
        if streams.values().map(watch::Sender::receiver_count).sum::<usize>() >= LISTENERS_MAX {
            return Err(Unavailable::Overloaded { retry_after: RETRY_AFTER }.into());
        }
        match streams.entry(key) {
            Entry::Occupied(stream) => Ok(stream.get().subscribe()),
            Entry::Vacant(vacant) => {
                // Before the view is taken: what is published from now on wakes the task.
                let mut published = app.engine().watch();
                published.mark_unchanged();
                let view = app.engine().view();
                let now = app.engine().now().max(view.timestamp());
                let (live, next) =
                    LiveSale::read(&view, key, now).ok_or_else(|| Problem::not_found("sale"))?;
                drop(view);
                let (sender, receiver) = watch::channel(live.told(now));
                vacant.insert(sender.clone());
                tokio::spawn(Teller { app: app.clone(), key, sender, next }.tell(published));
                Ok(receiver)
            }
        }
    }
}

/// The one task that looks at a sale while somebody listens.
struct Teller {
    app: App,
    key: Key,
    sender: watch::Sender<Arc<Told>>,
    /// When the sale changes by itself.
    next: Option<Timestamp>,
}

impl Teller {
    async fn tell(mut self, mut published: watch::Receiver<Seq>) {
        let mut draining = Box::pin(self.app.readiness().draining());
        loop {
            tokio::select! {
                changed = published.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(self.patience()) => {}
                () = &mut draining => return,
            }
            if self.leave_if_silent() {
                return;
            }
            let began = Instant::now();
            self.look();
            tokio::time::sleep_until(began + PAUSE).await;
        }
    }

    fn patience(&self) -> Duration {
        let Some(next) = self.next else { return LOOK };
        let micros = next.as_micros().saturating_sub(self.app.engine().now().as_micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(LOOK)
    }

    fn look(&mut self) {
        let engine = self.app.engine();
        let view = engine.view();
        let now = engine.now().max(view.timestamp());
        let Some((live, next)) = LiveSale::read(&view, self.key, now) else { return };
        drop(view);
        self.next = next;
        self.sender.send_if_modified(|told| {
            let changed = told.is != live;
            if changed {
                *told = live.told(now);
            }
            changed
        });
    }

    /// Ends the stream if nobody listens any more; tells whether it did. Nobody can join in between.
    fn leave_if_silent(&mut self) -> bool {
        let mut streams = self.app.sale_streams().lock();
        let silent = self.sender.receiver_count() == 0;
        if silent {
            streams.remove(&self.key);
        }
        silent
    }
}

impl Drop for Teller {
    /// After a panic too: listeners that would never hear anything again are told to come back.
    fn drop(&mut self) {
        let mut streams = self.app.sale_streams().lock();
        if streams.get(&self.key).is_some_and(|sender| sender.same_channel(&self.sender)) {
            streams.remove(&self.key);
        }
    }
}

/// One client's place among a sale's listeners.
struct Listener {
    app: App,
    told: watch::Receiver<Arc<Told>>,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The state of a sale now, and whenever it changes, for ever: it ends when the server drains.
///
/// # Errors
/// 404 for a sale that is not there, 503 where [`LISTENERS_MAX`] listen already.
pub fn listen(
    app: &App,
    tenant: TenantNumber,
    sale: Uuid,
) -> Result<impl Stream<Item = Bytes> + Send + use<>, Problem> {
    let mut told = app.sale_streams().join(app, (tenant, sale))?;
    told.mark_changed();
    let listener = Listener { app: app.clone(), told, draining: Box::pin(app.readiness().draining()) };
    Ok(futures_util::stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((event, listener))
    }))
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        if self.app.readiness().phase() == Phase::Draining {
            return None;
        }
        tokio::select! {
            biased;
            () = &mut self.draining => None,
            // An error means that the sale's task has panicked: the client comes back and finds a new one.
            changed = self.told.changed() => changed.is_ok().then(|| self.told.borrow_and_update().event.clone()),
        }
    }
}
