//! Taking commands from a queue: in its order, acknowledged after they are durable.
//!
//! Invariants:
//! - A message is acknowledged when its command is committed or known to be so already, or when the broker has confirmed
//!   its copy among the dead letters: one that is no command, or that the rules refuse.
//! - What the server cannot decide at the moment (a full disk, a suspect clock, overload) is no message's fault: it is
//!   tried again for ever, the limit of what is taken stays, and nothing is put aside for it.
//! - Commands are entered into the tenant's line in the order of the queue, and no message is put aside for what an earlier
//!   one has yet to change ([`super::line`]). A message that comes again does nothing new: of two that are about one
//!   appointment the later `updated_at` wins, and one that is not newer is ignored.
//! - Where messages are so large that more than [`HELD_BYTES_MAX`] of them come at once, the connection is given up, and the
//!   next one takes fewer at a time, for as long as it lasts.
//!
//! No idempotency key is taken of a message: its refusal would be remembered, and a dead letter that is moved back into
//! its queue refused for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use maitred_booking::Booking;
use maitred_booking::app::App;
use maitred_booking::brokers::Consuming;
use maitred_booking::tenants::{self, Tenant};
use maitred_connectors::rabbitmq::intake::HELD_BYTES_MAX;
use maitred_connectors::rabbitmq::{Address, Failure, Intake, Queue, Received};
use maitred_core::Actor;
use maitred_engine::Unavailable;
use maitred_engine::backoff::Backoff;
use maitred_engine::queue::Pending;

use super::line::{Line, Settled, Verdict};
use super::shape::{self, Unreadable};
use super::{Reconnecting, STOP_PATIENCE, Shared, stopped};
use crate::config::{Broker, Consume};

/// How often it looks whether the tenant is there.
const TENANT_EVERY: Duration = Duration::from_secs(1);
/// The waits before a command is entered again.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What is measured of this queue, from now on.
pub(super) fn known(app: &App, broker: &Broker, consume: &Consume) -> Arc<Consuming> {
    let (broker, queue) = (broker.name.clone(), consume.queue.clone());
    let status = Arc::new(Consuming { broker, queue, ..Consuming::default() });
    app.brokers().add_consuming(Arc::clone(&status));
    status
}

/// Takes commands until the server stops.
pub(super) async fn consume(
    mut shared: Shared,
    (broker, number): (Arc<Broker>, usize),
    address: Address,
    status: Arc<Consuming>,
) {
    let Some(settings) = broker.consume.get(number) else { return };
    let what = format!("taking {} from {address}", settings.queue);
    let mut queue = Queue {
        name: settings.queue.clone(),
        dead_letter_exchange: settings.dead_letter_exchange.clone(),
        dead_letter_queue: format!("{}.dead", settings.queue),
        declare: settings.declare,
        prefetch: settings.prefetch,
    };
    let mut connections = Reconnecting::new(what, shared.seed);
    let name = format!("maitred {}", broker.name);
    let mut told = false;
    while !shared.is_stopping() {
        if tenant(&shared.app, &settings.tenant).is_none() {
            if !std::mem::replace(&mut told, true) {
                tracing::warn!("{} waits: there is no tenant {}", settings.queue, settings.tenant);
            }
            shared.pause(TENANT_EVERY).await;
            continue;
        }
        told = false;
        let ended = match Intake::open(&address, &name, queue.clone()).await {
            Ok(mut intake) => {
                connections.connected(shared.monotonic());
                status.connected.store(true, Relaxed);
                let backoff = Backoff::new(RETRY_FIRST, RETRY_MAX, shared.seed);
                let mut taking = Taking {
                    shared: shared.clone(),
                    settings,
                    status: &status,
                    line: Line::new(),
                    retry_at: None,
                    failures: 0,
                    backoff,
                };
                let ended = taking.take(&mut intake).await;
                status.connected.store(false, Relaxed);
                status.waiting.store(0, Relaxed);
                queue.prefetch = fewer(settings, intake.overrun());
                intake.close().await;
                ended
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = ended {
            let wait = connections.failed(&failure, shared.monotonic());
            shared.pause(wait).await;
        }
    }
}

/// How many messages the next connection takes at a time: fewer, where so many were too many bytes.
fn fewer(settings: &Consume, overrun: Option<u16>) -> u16 {
    let Some(messages) = overrun else { return settings.prefetch };
    let fewer = (messages / 2).max(1);
    tracing::warn!(
        queue = %settings.queue,
        "{messages} messages at a time are more than {HELD_BYTES_MAX} bytes: taking {fewer}"
    );
    fewer
}

fn tenant(app: &App, slug: &str) -> Option<Tenant> {
    tenants::tenant_by_slug(&app.engine().view(), slug)
}

/// What comes next.
enum Next {
    /// The first command has its answer.
    Settled(Settled),
    /// Another message.
    Received(Received),
    /// It is time to enter commands again.
    Again,
}

struct Taking<'a> {
    shared: Shared,
    settings: &'a Consume,
    status: &'a Consuming,
    line: Line<Received>,
    /// Nothing is entered before then, by the monotonic clock.
    retry_at: Option<Duration>,
    failures: u32,
    backoff: Backoff,
}

impl Taking<'_> {
    /// Takes messages by one connection, until the server stops or the tenant is gone.
    async fn take(&mut self, intake: &mut Intake) -> Result<(), Failure> {
        loop {
            self.status.waiting.store(self.line.len() as u64, Relaxed);
            if !self.enter() {
                return Ok(()); // the tenant is gone; what was taken goes back into the queue
            }
            let wait = self.retry_at.map(|at| at.saturating_sub(self.shared.monotonic()));
            let room = self.line.len() < usize::from(self.settings.prefetch);
            let next = tokio::select! {
                () = stopped(&mut self.shared.stopping) => break,
                answer = settled(self.line.first()) => Next::Settled(answer),
                received = intake.next(), if room => Next::Received(received?),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => Next::Again,
            };
            match next {
                Next::Settled(answer) => self.settle(intake, answer).await?,
                Next::Received(received) => self.receive(intake, received).await?,
                Next::Again => self.retry_at = None,
            }
        }
        let ends = tokio::time::Instant::now() + STOP_PATIENCE;
        while let Some(pending) = self.line.first() {
            let Ok(answer) = tokio::time::timeout_at(ends, settled(Some(pending))).await else { break };
            self.settle(intake, answer).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, intake: &Intake, received: Received) -> Result<(), Failure> {
        let Some(tenant) = tenant(&self.shared.app, &self.settings.tenant) else {
            return Ok(()); // it is seen when commands are entered; the message goes back with the connection
        };
        match shape::read(self.settings.commands, &tenant, &received.body) {
            Ok(command) => {
                self.line.push(received, command);
                Ok(())
            }
            Err(Unreadable { code, reason }) => self.put_aside(intake, &received, &code, &reason).await,
        }
    }

    /// Enters what is not entered, in order. False if the tenant is gone.
    fn enter(&mut self) -> bool {
        let Some(tenant) = tenant(&self.shared.app, &self.settings.tenant) else { return false };
        let who = (tenant.profile.tenant(), Actor::System);
        if self.retry_at.is_some() {
            return true;
        }
        let app = &self.shared.app;
        let enter = |received: &Received, command: &_| {
            app.enter(who, None, received.body.len(), Clone::clone(command))
        };
        if self.line.enter(enter).is_err() {
            self.later();
        }
        true
    }

    /// Enters nothing for a while.
    fn later(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.status.retried.fetch_add(1, Relaxed);
        self.retry_at = Some(self.shared.monotonic() + self.backoff.delay(self.failures));
    }

    /// What became of the first one.
    async fn settle(&mut self, intake: &Intake, answer: Settled) -> Result<(), Failure> {
        let is_decided = answer.is_ok();
        let Some(verdict) = self.line.settle(answer) else { return Ok(()) };
        if is_decided {
            self.failures = 0;
        }
        match verdict {
            Verdict::Accepted(received) => {
                self.status.accepted.fetch_add(1, Relaxed);
                intake.done(&received).await
            }
            Verdict::Refused(received, code, reason) => {
                self.put_aside(intake, &received, &code, &reason).await
            }
            Verdict::PutOff => {
                self.later();
                Ok(())
            }
            Verdict::Early => {
                self.status.retried.fetch_add(1, Relaxed);
                Ok(()) // it is entered before anything else is looked at
            }
        }
    }

    async fn put_aside(
        &self,
        intake: &Intake,
        received: &Received,
        code: &str,
        reason: &str,
    ) -> Result<(), Failure> {
        intake.put_aside(received, code, reason).await?;
        self.status.put_aside.fetch_add(1, Relaxed);
        tracing::warn!(
            queue = %self.settings.queue,
            message.id = received.id.as_deref().unwrap_or("-"),
            code,
            "a message was put aside"
        );
        Ok(())
    }
}

/// Waits for an answer; for ever where nothing is entered.
async fn settled(pending: Option<&mut Pending<Booking>>) -> Settled {
    match pending {
        Some(pending) => pending.await.unwrap_or(Err(Unavailable::Unknown)),
        None => std::future::pending().await,
    }
}
