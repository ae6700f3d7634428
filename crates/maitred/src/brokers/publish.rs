//! Publishing: an outbox's messages to a broker, and what becomes of them back to it.
//!
//! Invariants:
//! - The publisher is a consumer of the log as others are: it claims its name before it does anything, and one whose
//!   name another has claimed stops.
//! - The cursor is kept when everything before it is confirmed, at most once a second.
//! - A message that no queue takes is sent again until one does, unless the settings say that it may be dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use maitred_booking::app::App;
use maitred_booking::brokers::{CONSUMER_PREFIX, Message, Outbox, Publishing, Selection};
use maitred_booking::consumers::{Command, CursorKept, Holder, view};
use maitred_connectors::rabbitmq::{self, Address, Exchange, Failure, Outlet, Receipt};
use maitred_core::{Actor, ChangeId, Ordinal, TenantNumber};
use maitred_engine::consumers::SUPERSEDED;
use maitred_engine::queue::Pending;
use tokio::sync::oneshot::error::TryRecvError;

use super::{Reconnecting, STOP_PATIENCE, Shared, stopped};
use crate::config::{Broker, From, Publish, Unroutable};

/// Between two looks there is at least this: a server in a rush publishes thousands of batches a second.
const PAUSE: Duration = Duration::from_millis(2);
/// It looks at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The cursor is kept at most this often.
const CURSOR_EVERY: Duration = Duration::from_secs(1);
/// How long it waits before it asks again for what the server did not take.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The size of a command in memory, roughly.
const COMMAND_BYTES: usize = 256;
/// What is said to be unroutable is said again after so many.
const SAY_EVERY: u64 = 1_000;

/// Why it ends.
enum Ended {
    /// The server stops.
    Stopping,
    /// Another one has claimed the name.
    Superseded,
    /// The connection is lost.
    Lost(Failure),
}

impl std::convert::From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended::Lost(failure)
    }
}

/// What is measured of this publisher, from now on.
pub(super) fn known(app: &App, broker: &Broker) -> Arc<Publishing> {
    let status = Arc::new(Publishing { broker: broker.name.clone(), ..Publishing::default() });
    app.brokers().add_publishing(Arc::clone(&status));
    status
}

/// Publishes until the server stops.
pub(super) async fn publish(
    mut shared: Shared,
    broker: Arc<Broker>,
    address: Address,
    status: Arc<Publishing>,
) {
    let Some(settings) = broker.publish.as_ref() else { return };
    let what = format!("publishing to {address}, exchange {}", settings.exchange);
    let Some((holder, cursor)) = claim(&mut shared, &broker, settings).await else { return };
    let selection = Selection { tenants: settings.tenants.clone(), kinds: settings.kinds.clone() };
    let outbox = Outbox::new(selection, cursor, shared.seed);
    let mut publisher = Publisher { shared, holder, outbox, keeping: None, kept_at: Duration::ZERO, status };
    let mut connections = Reconnecting::new(what, publisher.shared.seed);
    let exchange = Exchange { name: settings.exchange.clone(), declare: settings.declare };
    let name = format!("maitred {}", broker.name);
    while !publisher.shared.is_stopping() {
        let ended = match Outlet::open(&address, &name, &exchange).await {
            Ok(outlet) => {
                connections.connected(publisher.shared.monotonic());
                publisher.status.connected.store(true, Relaxed);
                let ended = publisher.carry(&outlet, settings.unroutable).await;
                publisher.status.connected.store(false, Relaxed);
                outlet.close().await;
                ended
            }
            Err(failure) => Ended::Lost(failure),
        };
        let again = publisher.outbox.lost();
        publisher.status.retried.fetch_add(again as u64, Relaxed);
        match ended {
            Ended::Stopping => {}
            Ended::Superseded => {
                publisher.status.superseded.store(true, Relaxed);
                tracing::error!("another server publishes as {}: this one stops", publisher.holder.consumer);
                return;
            }
            Ended::Lost(failure) => {
                let now = publisher.shared.monotonic();
                publisher.idle(now + connections.failed(&failure, now)).await;
            }
        }
    }
    publisher.leave();
}

/// Takes the publisher's name over; gives its cursor. `None` where the server stops first.
async fn claim(shared: &mut Shared, broker: &Broker, settings: &Publish) -> Option<(Holder, ChangeId)> {
    let consumer = format!("{CONSUMER_PREFIX}{}", broker.name);
    while !shared.is_stopping() {
        let view = shared.app.engine().view();
        let (standing, end) =
            (view::standing(&view, &consumer), ChangeId { seq: view.seq(), ordinal: Ordinal::MAX });
        drop(view);
        let holder = Holder { consumer: consumer.clone(), epoch: standing.epoch + 1 };
        let is_new = standing.cursor == ChangeId::default() && settings.from == From::Now;
        let cursor = if is_new { end } else { standing.cursor };
        let mut commands = vec![Command::Claim(holder.clone())];
        if is_new {
            commands.push(keep(&holder, cursor));
        }
        let mut done = 0;
        for command in commands {
            let who = (TenantNumber::SYSTEM, Actor::System);
            match shared.app.decide(who, None, COMMAND_BYTES, command).await {
                Ok(answer) if answer.result.is_ok() => done += 1,
                _ => break,
            }
        }
        if done == 1 + usize::from(is_new) {
            return Some((holder, cursor));
        }
        shared.pause(ASK_AGAIN).await;
    }
    None
}

fn keep(holder: &Holder, ChangeId { seq, ordinal }: ChangeId) -> Command {
    Command::KeepCursor(holder.clone(), CursorKept { consumer: holder.consumer.clone(), seq, ordinal })
}

struct Publisher {
    shared: Shared,
    holder: Holder,
    outbox: Outbox,
    keeping: Option<(Pending<maitred_booking::Booking>, ChangeId)>,
    kept_at: Duration,
    status: Arc<Publishing>,
}

impl Publisher {
    /// Reads, and says how far it is, until this time of the monotonic clock.
    async fn idle(&mut self, until: Duration) {
        while !self.shared.is_stopping() {
            self.look();
            let left = until.saturating_sub(self.shared.monotonic());
            if left.is_zero() {
                return;
            }
            self.shared.pause(left.min(LOOK_EVERY)).await;
        }
    }

    /// Reads what is new; true if there is more at once.
    fn look(&mut self) -> bool {
        let engine = self.shared.app.engine();
        let view = engine.view();
        let more = self.outbox.read(&view, |behind| engine.touched(behind));
        self.outbox.report(view.seq(), &self.status);
        more
    }

    /// Publishes by one connection, for as long as it lasts.
    async fn carry(&mut self, outlet: &Outlet, unroutable: Unroutable) -> Ended {
        match self.carry_on(outlet, unroutable).await {
            Ok(()) => Ended::Stopping,
            Err(ended) => ended,
        }
    }

    async fn carry_on(&mut self, outlet: &Outlet, unroutable: Unroutable) -> Result<(), Ended> {
        let mut published = self.shared.app.engine().watch();
        let mut flights = FuturesUnordered::new();
        loop {
            published.borrow_and_update(); // before the view is taken: what comes later wakes
            let more = self.look();
            self.keep_cursor()?;
            let now = self.shared.monotonic();
            for message in self.outbox.pick(now) {
                let confirm = send(outlet, &message).await?;
                flights.push(async move { (message, confirm.await) });
            }
            let due = self.outbox.due(now).map_or(LOOK_EVERY, |due| due.saturating_sub(now));
            let look = if more || self.keeping.is_some() { PAUSE } else { due.clamp(PAUSE, LOOK_EVERY) };
            tokio::time::sleep(PAUSE).await;
            let mut next = tokio::select! {
                () = stopped(&mut self.shared.stopping) => break,
                landed = flights.next(), if !flights.is_empty() => landed,
                _ = published.changed() => None,
                () = tokio::time::sleep(look) => None,
            };
            while let Some((message, receipt)) = next {
                self.landed(&message, receipt?, unroutable);
                next = flights.next().now_or_never().flatten();
            }
        }
        self.land(&mut flights, unroutable).await?;
        Ok(())
    }

    /// Waits for what is on its way, for a little while.
    async fn land<F>(
        &mut self,
        flights: &mut FuturesUnordered<F>,
        unroutable: Unroutable,
    ) -> Result<(), Failure>
    where
        F: Future<Output = (Arc<Message>, Result<Receipt, Failure>)>,
    {
        let ends = tokio::time::Instant::now() + STOP_PATIENCE;
        while let Ok(Some((message, receipt))) = tokio::time::timeout_at(ends, flights.next()).await {
            self.landed(&message, receipt?, unroutable);
        }
        Ok(())
    }

    fn landed(&mut self, message: &Message, receipt: Receipt, unroutable: Unroutable) {
        let status = &self.status;
        if receipt == Receipt::Unroutable && status.unroutable.fetch_add(1, Relaxed).is_multiple_of(SAY_EVERY)
        {
            let fate = match unroutable {
                Unroutable::Wait => "sent again until one does",
                Unroutable::Drop => "dropped",
            };
            tracing::warn!("no queue takes {}: it is {fate}", message.routing_key());
        }
        match (receipt, unroutable) {
            (Receipt::Taken, _) | (Receipt::Unroutable, Unroutable::Drop) => {
                status.published.fetch_add(1, Relaxed);
                self.outbox.confirmed(message.change);
            }
            (Receipt::Refused, _) | (Receipt::Unroutable, Unroutable::Wait) => {
                status.retried.fetch_add(1, Relaxed);
                self.outbox.refused(message.change, self.shared.monotonic());
            }
        }
    }

    /// Keeps the cursor if it has moved, without waiting for it.
    fn keep_cursor(&mut self) -> Result<(), Ended> {
        if let Some((pending, cursor)) = &mut self.keeping {
            match pending.try_recv() {
                Err(TryRecvError::Empty) => return Ok(()),
                Ok(Ok(answer)) => match &answer.result {
                    Ok(_) => self.outbox.kept(*cursor),
                    Err(rejection) if rejection.code == SUPERSEDED => return Err(Ended::Superseded),
                    Err(_) => {} // it is kept the next time
                },
                _ => {}
            }
            self.keeping = None;
        }
        let now = self.shared.monotonic();
        if now.saturating_sub(self.kept_at) < CURSOR_EVERY {
            return Ok(());
        }
        let Some(cursor) = self.outbox.cursor() else { return Ok(()) };
        self.kept_at = now;
        self.keeping = self.enter(cursor).map(|pending| (pending, cursor));
        Ok(())
    }

    fn enter(&self, cursor: ChangeId) -> Option<Pending<maitred_booking::Booking>> {
        let who = (TenantNumber::SYSTEM, Actor::System);
        self.shared.app.enter(who, None, COMMAND_BYTES, keep(&self.holder, cursor)).ok()
    }

    /// Keeps the cursor before a stop, without waiting for an answer.
    fn leave(&mut self) {
        if let Some(cursor) = self.outbox.cursor() {
            let _ = self.enter(cursor); // what is not kept is sent again
        }
    }
}

async fn send(
    outlet: &Outlet,
    message: &Message,
) -> Result<impl Future<Output = Result<Receipt, Failure>> + Send + use<>, Failure> {
    let kind = format!("{}.{}", message.kind, message.change_type);
    outlet
        .send(&rabbitmq::Message {
            routing_key: &message.routing_key(),
            id: &message.id,
            kind: &kind,
            at_seconds: u64::try_from(message.at.as_micros() / 1_000_000).unwrap_or(0),
            headers: &[("tenant", &message.tenant), ("position", &message.position), ("kind", message.kind)],
            body: message.body.as_bytes(),
        })
        .await
}
