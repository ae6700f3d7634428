//! The checkers: each says by its invariant's name what does not hold.

mod pointers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use maitred_booking::appointments::{self, Appointment};
use maitred_booking::salons::BookingStatus;
use maitred_booking::{Outcome, salons};
use maitred_core::{Actor, ChangeId, Seq, TenantNumber, Timestamp};
use maitred_engine::clock::Clock;
use maitred_engine::publish::Shared;
use maitred_engine::queue::Queued;
use maitred_engine::view_hash::ViewHash;
use maitred_engine::writer::Writer;
use maitred_engine::{Envelope, View, apply};

use super::{Node, Result, World};
use crate::model::ModelVersion;
use crate::operation::{Operation, TENANTS};
use crate::sabotage::Sabotage;
use crate::salons::{Probe, allotted};

/// How far ahead of the clock sabotaged offers are.
const OFFERS_AHEAD_MICROS: i64 = 20_000_000;

impl World {
    pub(super) fn view(&self, node: &Node) -> View {
        View::take(0, || node.shared.published(), &*self.store)
    }

    /// The follower reads what was appended: I1, I2 and I9 on the way.
    pub(super) fn follow(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        if self.sabotage == Sabotage::AnswersEarly {
            return Ok(()); // what was answered is not there to be read
        }
        let read = node.reader.read(self.followed.0 + 1, 1 << 20);
        let batches = read.map_err(|error| format!("I3: the log cannot be read: {error}"))?;
        for batch in batches {
            let header = &batch.header;
            if (header.seq, header.prev_hash) != (self.followed.0 + 1, self.followed.1) {
                return Err(format!("I1/I2: batch {} does not follow batch {}", header.seq, self.followed.0));
            }
            if header.timestamp <= self.followed_at {
                return Err(format!("I9: batch {} is not later than the one before", header.seq));
            }
            apply::apply_batch(&*self.rules, &mut self.follower, &batch)
                .map_err(|error| format!("I10: {error}"))?;
            self.note_orders(&batch)?;
            (self.followed, self.followed_at) = ((header.seq, batch.hash), header.timestamp);
            self.decided_at.push((header.seq, header.timestamp));
        }
        Ok(())
    }

    /// I4, I10: the view is what replaying the log gives.
    pub(super) fn check_view(&self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        if self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        // A batch of unknown outcome may be in the log, and is not published before that is known.
        let mut under_way = self.rival.iter().chain(&self.promises);
        if view.seq() + 1 == self.followed.0 && under_way.any(|next| next.tail == self.followed) {
            return Ok(());
        }
        if view.seq() != self.followed.0 {
            return Err(format!("I4: the view is at batch {}, the log at {}", view.seq(), self.followed.0));
        }
        if ViewHash::of(&view) != ViewHash::of(&self.follower) {
            return Err(format!("I4/I10: the view at batch {} is not what the log gives", view.seq()));
        }
        Ok(())
    }

    /// I8: what the view points to is there: every fact that a version or a change names stands in the log, of the same
    /// tenant and instant, and every change finds the version that it wrote.
    pub(super) fn check_pointers(&self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        if self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        let view = self.view(node);
        let mut facts: BTreeMap<ChangeId, (TenantNumber, Timestamp)> = BTreeMap::new();
        let mut read = 0;
        while read < view.seq() {
            let batches = node.reader.read(read + 1, 1 << 20);
            for batch in batches.map_err(|error| format!("I8: batch {}: {error}", read + 1))? {
                read = batch.header.seq;
                let items =
                    batch.items().map(|item| item.map_err(|error| format!("I8: batch {read}: {error:?}")));
                let mut ordinal = 0;
                for item in items {
                    let item = item?;
                    for _ in &item.facts {
                        facts.insert(ChangeId { seq: read, ordinal }, (item.tenant, batch.header.timestamp));
                        ordinal += 1;
                    }
                }
            }
        }
        pointers::check(&view, &facts)
    }

    /// I6: what is left, held and sold of every sale is what the model says.
    pub(super) fn check_sales(&self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        // A batch of unknown outcome is known to neither until it is settled.
        if view.seq() != self.durable.0 || self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        self.model.sales.check(&view, view.timestamp())
    }

    /// I6: every order is looked at, and every claim: stock and buyers' limits, and whom bookings occupy.
    pub(super) fn check_books(&self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        if view.seq() != self.durable.0 || self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        self.model.sales.check_orders(&view, view.timestamp(), None)?;
        self.model.salons.check_claims(&view)
    }

    /// What is offered at this position is what can be booked by the very next command, and nothing else is.
    fn check_offers(&mut self, view: &View) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        if view.seq() != self.durable.0 || self.sabotage == Sabotage::AnswersEarly {
            return Ok(());
        }
        let at = self.clock.wall().max(Timestamp::from_micros(view.timestamp().as_micros() + 1));
        let ahead = if self.sabotage == Sabotage::OffersAhead { OFFERS_AHEAD_MICROS } else { 0 };
        let asked_at = Timestamp::from_micros(at.as_micros() + ahead);
        let probes = self.model.salons.check_offers(&mut self.random, view, (at, asked_at))?;
        for Probe { tenant, command, offered } in probes {
            // A writer of its own, on what is published: nothing of it is appended.
            let shared = Arc::new(Shared::new((*node.shared.published()).clone()));
            let (rules, store) = (Arc::clone(&self.rules), Arc::clone(&self.store));
            let mut writer = Writer::new(rules, store, shared, 0, u128::from(self.random.bits()));
            let envelope = Envelope {
                tenant,
                actor: Actor::Anonymous,
                idempotency: None,
                bytes: 300,
                command: command.clone().into(),
            };
            let (reply, _) = tokio::sync::oneshot::channel();
            let mut queue = VecDeque::from([Queued { envelope, reply, arrived: self.clock.monotonic() }]);
            let prepared = writer.decide(&mut queue, self.clock.wall());
            let answer = prepared.decided.into_iter().next().and_then(|decided| decided.answer.ok());
            let answer = answer.ok_or("I6: an offer is not decided")?;
            let is_as_offered = match (&answer.result, &offered) {
                (Ok(Outcome::Salons(salons::Outcome::Booking(_, found))), Some(offered)) => {
                    allotted(&found.is) == *offered
                }
                (Err(rejection), None) => {
                    let expected = self.model.salons.carry_out(tenant, &command, at);
                    expected.is_err_and(|code| rejection.code == code)
                }
                _ => false,
            };
            if !is_as_offered {
                let result = answer.result;
                return Err(format!(
                    "I6: {offered:?} is offered at {at}, and {command:?} is answered {result:?}"
                ));
            }
            self.report.count(if offered.is_some() { "offer: booked" } else { "offer: none, refused" });
        }
        Ok(())
    }

    /// An instant means every batch whose timestamp, cut to milliseconds, is at or before it.
    pub(super) fn check_instant(&mut self, view: &View) -> Result {
        let Some(batch) = self.random.below(self.decided_at.len() as u64 + 1).checked_sub(1) else {
            return Ok(());
        };
        let (_, near) = self.decided_at[batch as usize];
        let instant = Timestamp::from_millis(near.as_millis() + self.random.below(3) as i64 - 1);
        let within =
            |(seq, at): &&(Seq, Timestamp)| *seq <= view.seq() && at.as_millis() <= instant.as_millis();
        let within = self.decided_at.iter().rev().find(within);
        let (expected, found) = (within.map_or(0, |(seq, _)| *seq), view.seq_at(instant));
        if found == expected { Ok(()) } else { Err(format!("{instant} is batch {found}, not {expected}")) }
    }

    /// A reader looks at something, now or in the past.
    pub(super) fn read(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let view = self.view(node);
        if view.seq() > self.durable.0 {
            return Err(format!(
                "I5: a reader sees batch {}, and {} is the last",
                view.seq(),
                self.durable.0
            ));
        }
        if self.random.chance(1, 4) {
            self.check_view()?;
            self.check_instant(&view)?;
            self.model.users.check(&view, self.random.below(view.seq() + 1), false)?;
            let as_of = self.random.below(view.seq() + 1);
            self.model.sales.check_orders(&view, view.timestamp(), Some(as_of))?;
        }
        if view.seq() == self.durable.0 && self.random.chance(1, 4) {
            let past = self.random.chance(1, 2).then(|| self.random.below(view.seq() + 1));
            let status = self.random.chance(2, 3).then(|| *self.random.pick(&BookingStatus::ALL));
            let now = self.clock.wall().max(view.timestamp());
            self.model.salons.check_claims(&view)?;
            self.model.salons.check_lists(&view, now, past, status)?;
        }
        if self.random.chance(1, 4) {
            self.check_offers(&view)?;
        }
        let tenant = TenantNumber(1 + self.random.below(u64::from(TENANTS)) as u32);
        let as_of = self.random.chance(1, 2).then(|| self.random.below(view.seq() + 1));
        let seq = as_of.unwrap_or(view.seq());
        if self.random.chance(1, 2) {
            let external_id = Operation::any_external_id(&mut self.random);
            let found = appointments::get(&view, tenant, &external_id, as_of);
            let expected = self.model.as_of(tenant, &external_id, seq);
            return same(expected, found.as_ref(), || format!("{external_id} at {seq}"));
        }
        let resource = format!("chair-{}", self.random.below(3));
        let query =
            appointments::Query { resource: Some(&resource), as_of, ..appointments::Query::default() };
        let found = appointments::list(&view, tenant, &query, None, 1_000).items;
        let expected = self.model.standing(tenant, &resource, seq);
        if found.len() != expected.len() {
            let (found, expected) = (found.len(), expected.len());
            return Err(format!("I6: {found} claims on {resource} at {seq}; the model has {expected}"));
        }
        for ((id, version), found) in expected.into_iter().zip(&found) {
            same(Some(version), Some(found).filter(|found| found.external_id == id), || {
                format!("{id} on {resource} at {seq}")
            })?;
        }
        Ok(())
    }

    pub(super) fn check_record(&self, tenant: TenantNumber, answered: &Appointment) -> Result {
        let expected = self.model.versions(tenant, &answered.external_id);
        let expected = expected.iter().find(|version| version.version == answered.version);
        same(expected, Some(answered), || format!("the answer about {}", answered.external_id))
    }

    pub(super) fn check_versions(&self) -> Result {
        let node = self.node.as_ref().ok_or("the node is down")?;
        let view = self.view(node);
        self.model.users.check(&view, view.seq(), true)?;
        self.model.salons.check_records(&view, view.seq() / 2)?;
        for tenant in (1..=TENANTS).map(TenantNumber) {
            for id in self.model.external_ids(tenant) {
                let expected = self.model.versions(tenant, id);
                let found = appointments::versions(&view, tenant, id, None, None, usize::MAX);
                if found.len() != expected.len() {
                    let (found, expected) = (found.len(), expected.len());
                    return Err(format!("{id} has {found} versions; the model has {expected}"));
                }
                for (expected, found) in expected.iter().zip(&found) {
                    same(Some(expected), Some(&found.appointment), || format!("a version of {id}"))?;
                }
            }
        }
        Ok(())
    }
}

fn same(
    expected: Option<&ModelVersion>,
    found: Option<&Appointment>,
    what: impl FnOnce() -> String,
) -> Result {
    let equal = match (expected, found) {
        (None, None) => true,
        (Some(expected), Some(found)) => expected.is(found),
        _ => false,
    };
    if equal { Ok(()) } else { Err(format!("{}: found {found:?}; the model has {expected:?}", what())) }
}
