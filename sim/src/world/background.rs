//! What happens by itself: the product's own timers and its consumers of orders and of freed time, stepped as clients of
//! the node, and killed at every moment of a purchase.
//!
//! Checked at the end, when all faults have healed and time has passed: every order has come to its one end, every
//! hold and every entry of a waitlist is settled, nothing is put aside, and then nothing more is due. What the process was
//! killed at so often that it was put aside is first taken up again, as an operator would. Checked whenever a time is to
//! be offered: nobody who waits comes before.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use maitred_booking::consumers::Selection;
use maitred_booking::salons::Booking;
use maitred_booking::salons::offering::WaitlistOffers;
use maitred_booking::{Fact, Outcome, consumers, flash_sales, salons, timer};
use maitred_core::{Actor, Recorded as _, TenantNumber};
use maitred_engine::background::{Machine, Round};
use maitred_engine::batch::Sealed;
use maitred_engine::clock::Clock;
use maitred_engine::consumers::{CRASHED, Consumer, ConsumerRunner, KEY_PARKED, Status};
use maitred_engine::log::LogReader;
use maitred_engine::writer::Prepared;
use maitred_engine::{Envelope, Unavailable, View};
use uuid::Uuid;

use super::{Asked, Node, Promise, Result, World};
use crate::operation;
use crate::random::Random;
use crate::sabotage::{Processing, Rules, Sabotage};

/// After so many rounds without faults everything must be done.
const ROUNDS_MAX: u32 = 20_000;
/// How much time passes in one of them.
const ROUND: Duration = Duration::from_millis(500);

/// A moment at which the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    what: What,
    when: When,
}

/// What the batch under way holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Purchase,
    Completion,
    Failure,
    Payment,
    Cancellation,
    EndOfHold,
    Visit,
    EndOfVisitsHold,
}

/// How far the batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// It is decided, and not appended: nobody will ever know of it.
    Decided,
    /// It is appended, and not published: nobody was told.
    Appended,
    /// It is published and answered: nobody has followed it, and no cursor behind it is kept.
    Published,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Purchase => "purchase",
            What::Completion => "completion",
            What::Failure => "failure of an order",
            What::Payment => "payment",
            What::Cancellation => "cancellation of an order",
            What::EndOfHold => "end of a hold",
            What::Visit => "visit",
            What::EndOfVisitsHold => "end of a visit's hold",
        };
        let when = match self.when {
            When::Decided => "decided",
            When::Appended => "appended",
            When::Published => "published",
        };
        write!(f, "killed: {what} {when}")
    }
}

impl Moment {
    pub(super) fn any(random: &mut Random) -> Self {
        use What::{Cancellation, Completion, EndOfHold, EndOfVisitsHold, Failure, Payment, Purchase, Visit};
        let all = [Purchase, Completion, Failure, Payment, Cancellation, EndOfHold, Visit, EndOfVisitsHold];
        Moment {
            what: *random.pick(&all),
            when: *random.pick(&[When::Decided, When::Appended, When::Published]),
        }
    }

    /// When it strikes, if a batch holds what it waits for.
    pub(super) fn of(self, promise: &Promise) -> Option<When> {
        let mut done = promise.entries.iter().filter_map(|(asked, answer)| match (asked, answer) {
            (Asked::Operation(operation), Ok(answer)) => {
                Some((&operation.command, answer.result.as_ref().ok()?))
            }
            _ => None,
        });
        done.any(|(asked, outcome)| self.what.is(asked, outcome)).then_some(self.when)
    }
}

impl What {
    fn is(self, asked: &operation::Asked, outcome: &Outcome) -> bool {
        use flash_sales::{Command as Sale, Effect};
        match (asked, outcome) {
            (operation::Asked::Sale(Sale::PlaceOrder(_)), _) => self == What::Purchase,
            (
                operation::Asked::Sale(_),
                Outcome::FlashSales(outcome @ flash_sales::Outcome::Order { .. }),
            ) => match outcome.effect() {
                Effect::Completed => self == What::Completion,
                Effect::Failed => self == What::Failure,
                Effect::Paid => self == What::Payment,
                Effect::Cancelled => self == What::Cancellation,
                Effect::Expired => self == What::EndOfHold,
                _ => false,
            },
            (operation::Asked::Salon(salons::Command::Book(_)), _) => self == What::Visit,
            (operation::Asked::Salon(salons::Command::ExpireBooking { .. }), Outcome::Salons(outcome)) => {
                self == What::EndOfVisitsHold && outcome.effect() == salons::Effect::Updated
            }
            _ => false,
        }
    }
}

/// A consumer as a start finds it: behind its kept cursor.
pub(super) fn consumer(
    (rules, reader, view): (&Arc<Rules>, &Arc<dyn LogReader>, &View),
    consumer: impl Consumer<Rules> + 'static,
    seed: u64,
) -> ConsumerRunner<Rules> {
    let status = Arc::new(Status::new(consumer.name()));
    ConsumerRunner::new(Arc::clone(rules), Arc::new(consumer), Arc::clone(reader), status, view, seed)
}

/// The bookings that a batch offers to those on a waitlist.
pub(super) fn offers(prepared: &Prepared<Rules>) -> Result<BTreeMap<Uuid, Booking>> {
    let mut offers = BTreeMap::new();
    for item in prepared.sealed.iter().flat_map(Sealed::items) {
        let item = item.map_err(|error| format!("a batch that was just made: {error:?}"))?;
        let salons = |kind: u16| salons::Fact::KINDS.iter().any(|known| known.kind == kind);
        for raw in item.facts.iter().filter(|raw| salons(raw.kind)) {
            let fact = Fact::decode(raw.kind, raw.version, raw.body).map_err(|error| error.to_string())?;
            if let Fact::Salons(salons::Fact::BookingCreated(booking)) = fact
                && booking.offered_to.is_some()
            {
                offers.insert(booking.id, booking);
            }
        }
    }
    Ok(offers)
}

impl World {
    pub(super) fn step_timers(&mut self) {
        self.step_machine(|node| &mut node.timers);
    }

    pub(super) fn step_consumer(&mut self) {
        self.step_machine(|node| &mut node.consumer);
    }

    /// The consumer of freed time, and whom it wants to offer some: as of the view that it was shown.
    pub(super) fn step_offering(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let seq = self.view(node).seq();
        self.step_machine(|node| &mut node.offering);
        for (at, offers) in self.looks.take() {
            // A batch of unknown outcome is known to neither until it is settled.
            if seq == self.durable.0 {
                self.model.salons.check_order(at.tenant, &offers, at.timestamp)?;
                self.report.count("waitlist: looked for whom a time is");
            }
        }
        Ok(())
    }

    fn step_machine<M: Machine<Rules> + 'static>(&mut self, machine: impl Fn(&mut Node) -> &mut M) {
        if self.sabotage == Sabotage::AnswersEarly {
            return; // what is published is not there to be followed
        }
        let Some(mut node) = self.node.take() else { return };
        let view = self.view(&node);
        let monotonic = self.clock.monotonic();
        let now = node.guard.read(&*self.clock).map(|wall| wall.max(view.timestamp()));
        let queue = std::mem::take(&mut node.queue);
        let report = &mut self.report;
        let mut submit = |envelope| {
            queue.push(envelope, monotonic).inspect_err(|refused| {
                if matches!(refused, Unavailable::Overloaded { .. }) {
                    report.count("refused: overloaded");
                }
            })
        };
        machine(&mut node).step(&mut Round { view: &view, now, monotonic, submit: &mut submit });
        node.queue = queue;
        self.node = Some(node);
    }

    /// Every order comes to one end. Notes what a batch says of orders.
    pub(super) fn note_orders(&mut self, batch: &Sealed) -> Result {
        let kinds = || flash_sales::Fact::KINDS.iter().chain(salons::Fact::KINDS);
        let wanted = |kind: u16| kinds().any(|known| known.kind == kind);
        for item in batch.items() {
            let item = item.map_err(|error| format!("I3: batch {}: {error:?}", batch.header.seq))?;
            for raw in item.facts.iter().filter(|raw| wanted(raw.kind)) {
                let fact =
                    Fact::decode(raw.kind, raw.version, raw.body).map_err(|error| error.to_string())?;
                use flash_sales::Fact as Sale;
                let fact = match fact {
                    Fact::FlashSales(fact) => fact,
                    Fact::Salons(fact) => {
                        use salons::Fact as Salon;
                        match fact {
                            Salon::BookingExpired(_) => self.report.count("visit: hold expired"),
                            Salon::SeriesBooked(_) => self.report.count("series: booked"),
                            Salon::SeriesCancelled(_) => self.report.count("series: called off"),
                            Salon::WaitlistOffered(_) => self.report.count("waitlist: offered"),
                            Salon::WaitlistPassed(_) => self.report.count("waitlist: passed"),
                            Salon::WaitlistTaken(_) => self.report.count("waitlist: taken"),
                            Salon::WaitlistExpired(_) => self.report.count("waitlist: expired"),
                            _ => {}
                        }
                        continue;
                    }
                    _ => continue,
                };
                match fact {
                    Sale::OrderPlaced(order) => {
                        self.ends.insert((item.tenant, order.id), 0);
                    }
                    Sale::OrderCompleted(order)
                    | Sale::OrderFailed(order)
                    | Sale::OrderPaid(order)
                    | Sale::OrderExpired(order)
                    | Sale::OrderCancelled(order) => {
                        let ends = self.ends.entry((item.tenant, order.id)).or_default();
                        *ends += 1;
                        let status = order.status.as_str();
                        self.report.count(format!("order: {status}"));
                        if *ends > 1 {
                            return Err(format!("I6: order {} ends twice, now as {status}", order.id));
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more, and time passes until everything that happens by itself has happened.
    pub(super) fn come_to_rest(&mut self) -> Result {
        if self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        for _ in 0..ROUNDS_MAX {
            self.redrive()?;
            self.step_timers();
            self.step_consumer();
            self.step_offering()?;
            self.decide()?;
            self.commit()?;
            self.flush()?;
            self.clock.advance(ROUND);
            let Some(node) = &self.node else { return Err("a healthy node is down".into()) };
            let (depth, view) = (node.queue.depth().0, self.view(node));
            if depth > 0 || !node.waiting.is_empty() || !node.prepared.is_empty() {
                continue;
            }
            match timer::next_due(&view) {
                Some(due) if due > self.clock.wall() => {
                    let wait = due.as_micros().saturating_sub(self.clock.wall().as_micros());
                    self.clock.advance(Duration::from_micros(wait.unsigned_abs()));
                }
                None if self.unprocessed().is_none() && self.put_aside(&view) == 0 => {
                    return self.check_done();
                }
                _ => {}
            }
        }
        self.check_done()?;
        Err("something is due for ever".into())
    }

    /// Has facts taken up again at which the process was killed too often, and what waits behind them. None is put aside
    /// for another reason.
    fn redrive(&mut self) -> Result {
        for consumer in self.consumers() {
            let node = self.node.as_ref().ok_or("a healthy node is down")?;
            let letters = consumers::dead_letters(&self.view(node), consumer, None, usize::MAX);
            let expected = [CRASHED, KEY_PARKED];
            if let Some(letter) = letters.iter().find(|letter| !expected.contains(&&*letter.reason)) {
                return Err(format!("a fact was put aside by {consumer}: {}", letter.reason));
            }
            if letters.is_empty() || node.queue.depth().0 > 0 {
                continue;
            }
            self.report.count(format!("{consumer}: killed too often, taken up again"));
            let selection = Selection { consumer: consumer.to_owned(), ..Selection::default() };
            let envelope = Envelope {
                tenant: TenantNumber::SYSTEM,
                actor: Actor::Anonymous,
                idempotency: None,
                bytes: 64,
                command: consumers::Command::Redrive(selection).into(),
            };
            // What is not taken now is asked for again in the next round.
            let _ = node.queue.push(envelope, self.clock.monotonic());
        }
        Ok(())
    }

    fn consumers(&self) -> [&'static str; 2] {
        [Processing(self.sabotage).name(), WaitlistOffers.name()]
    }

    fn put_aside(&self, view: &View) -> u64 {
        self.consumers().iter().map(|consumer| consumers::dead_letter_count(view, consumer)).sum()
    }

    /// An order of which no fact says what became of it.
    fn unprocessed(&self) -> Option<String> {
        let ((tenant, order), _) = self.ends.iter().find(|(_, ends)| **ends == 0)?;
        Some(format!("I6: order {order} of tenant {} is not processed", tenant.0))
    }

    fn check_done(&self) -> Result {
        let node = self.node.as_ref().ok_or("a healthy node is down")?;
        let (view, now) = (self.view(node), self.clock.wall());
        let put_aside = self.put_aside(&view);
        if put_aside > 0 {
            return Err(format!("{put_aside} facts are put aside"));
        }
        if let Some(unprocessed) = self.unprocessed() {
            return Err(unprocessed);
        }
        if let Some((order, status)) = self.model.sales.unfinished(now) {
            return Err(format!("I6: order {order} is {}", status.as_str()));
        }
        if let Some(booking) = self.model.salons.held() {
            return Err(format!("I6: a hold is not settled: booking {booking}"));
        }
        match self.model.salons.waiting(now) {
            Some(entry) => Err(format!("I6: an entry of the waitlist is not settled: {entry}")),
            None => Ok(()),
        }
    }
}
