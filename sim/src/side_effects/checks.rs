//! What must hold after every commit, and what in the end.

use maitred_core::{ChangeId, Read, Recorded};
use maitred_engine::View;
use maitred_engine::consumers::Bookkeeping;
use maitred_engine::testing::{
    self, COMPLETION, Fact, Noted, Orders, is_killer, is_parked, is_poison, key_of,
};
use maitred_engine::view_hash::ViewHash;

use super::{Placed, Report, Result, World};

impl World {
    pub(super) fn view(&self) -> Option<View> {
        let node = self.node.as_ref()?;
        Some(View::take(0, || node.shared.published(), &*self.store))
    }

    /// Looks at what is new in the log, and at the cursor.
    pub(super) fn look(&mut self) -> Result {
        let Some(node) = &self.node else { return Ok(()) };
        let read = node.reader.read(self.seen + 1, 1 << 20);
        for batch in read.map_err(|error| format!("the log cannot be read: {error}"))? {
            let header = batch.header;
            let items = batch.items().map(|item| item.expect("it was verified"));
            let facts = items.flat_map(|item| item.facts.into_iter().map(move |raw| (item.tenant, raw)));
            for ((tenant, raw), ordinal) in facts.zip(0..) {
                let fact =
                    Fact::decode(raw.kind, raw.version, raw.body).map_err(|error| error.to_string())?;
                match fact {
                    Fact::Placed(order, holds_until) => {
                        let placed = Placed { tenant, order, holds_until };
                        self.placed.insert(ChangeId { seq: header.seq, ordinal }, placed);
                    }
                    Fact::Expired(order, until) if header.timestamp < until => {
                        let at = header.timestamp;
                        return Err(format!("order {order} holds until {until}, and expired at {at}"));
                    }
                    Fact::Expired(..) => self.report.count("order: expired"),
                    Fact::Completed(order) => {
                        self.check_order_of_keys(tenant, order)?;
                        self.report.count("order: completed");
                    }
                    Fact::Kept(noted) => self.look_at_note(&noted)?,
                }
            }
            (self.seen, self.seen_at) = (header.seq, self.steps);
        }
        self.check_cursor()
    }

    fn look_at_note(&mut self, noted: &Noted) -> Result {
        match *noted {
            Noted::Claimed { epoch, .. } if epoch == self.epoch + 1 => self.epoch = epoch,
            _ if ![0, self.epoch].contains(&noted.epoch()) => {
                return Err(format!("{noted:?} is written in epoch {}", self.epoch));
            }
            Noted::Claimed { .. } => return Err(format!("{noted:?} in epoch {}", self.epoch)),
            Noted::CursorKept(..) => self.report.count("cursor: kept"),
            Noted::Tried(..) => self.report.count("a fact is tried carefully"),
            Noted::Parked(_, letter) => {
                let again = self.aside.insert(letter.place, letter).is_some();
                self.ever_aside.insert(letter.place);
                let placed = self.placed.get(&letter.place).ok_or("what is put aside stands nowhere")?;
                self.report.count(match placed.order {
                    _ if again => "dead letter: put back",
                    order if is_poison(order) => "order: put aside",
                    order if is_killer(order) => "order: ends processes, put aside",
                    _ => "dead letter: waits behind another",
                });
            }
            Noted::TakenUp(_) => self.report.count("dead letter: taken up"),
            Noted::Removed(epoch, place) => {
                self.aside.remove(&place);
                if epoch == 0 {
                    self.discarded.insert(place);
                    self.report.count("dead letter: thrown away");
                } else {
                    self.report.count("dead letter: done");
                }
            }
        }
        Ok(())
    }

    /// No order is completed while an earlier one of its key is put aside.
    fn check_order_of_keys(&self, tenant: maitred_core::TenantNumber, order: u64) -> Result {
        let placed = self.placed.iter().find(|(_, is)| (is.tenant, is.order) == (tenant, order));
        let (place, _) = placed.ok_or("an order is completed that was never placed")?;
        let before = self.aside.range(..*place);
        match before.into_iter().find(|(_, is)| (is.tenant, is.key) == (tenant, key_of(order))) {
            None => Ok(()),
            Some((earlier, _)) => Err(format!("order {order} at {place:?} has overtaken {earlier:?}")),
        }
    }

    /// Nothing at or before the cursor is undone.
    fn check_cursor(&self) -> Result {
        let Some(view) = self.view() else { return Ok(()) };
        let cursor = Orders.cursor(&view, COMPLETION);
        let undone = |(place, placed): &(&ChangeId, &Placed)| {
            placed.holds_until.is_none() && !self.is_done(&view, **place, placed)
        };
        match self.placed.range(..=cursor).find(undone) {
            None => Ok(()),
            Some((place, placed)) => Err(format!("the cursor {cursor:?} has passed {placed:?} at {place:?}")),
        }
    }

    /// What is not done yet.
    pub(super) fn unfinished(&self) -> Vec<Placed> {
        let Some(view) = self.view() else { return self.placed.values().copied().collect() };
        let undone = self.placed.iter().filter(|(place, placed)| !self.is_done(&view, **place, placed));
        undone.map(|(_, placed)| *placed).collect()
    }

    fn is_done(&self, view: &dyn Read, place: ChangeId, placed: &Placed) -> bool {
        let status = testing::status(view, placed.tenant, placed.order);
        match placed.holds_until {
            Some(_) => status == Some(testing::Status::Expired),
            None => {
                status == Some(testing::Status::Completed)
                    || is_parked(view, place)
                    || self.discarded.contains(&place)
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<(Report, blake3::Hash)> {
        let view = self.view().ok_or("the node is down")?;
        let consumed = self.consumed.lock().expect("the simulation has one thread").clone();
        for (place, placed) in self.placed.iter().filter(|(_, placed)| placed.holds_until.is_none()) {
            let times = consumed.get(place).copied().unwrap_or(0);
            if times == 0 {
                return Err(format!("{placed:?} at {place:?} was never given to the consumer"));
            }
            let never = is_poison(placed.order) || is_killer(placed.order);
            if times > 1 && !never {
                self.report.count("consumed again after a crash");
            }
            if never && !(self.ever_aside.contains(place) && self.discarded.contains(place)) {
                return Err(format!("{placed:?} at {place:?} should have been put aside and thrown away"));
            }
            let completed =
                testing::status(&view, placed.tenant, placed.order) == Some(testing::Status::Completed);
            if completed == never {
                return Err(format!("{placed:?} at {place:?} is completed, or should be"));
            }
        }
        let cursor = Orders.cursor(&view, COMPLETION);
        let mut consumable = self.placed.iter().filter(|(_, placed)| placed.holds_until.is_none());
        let last = consumable.next_back().map_or(ChangeId::default(), |(place, _)| *place);
        if cursor < last {
            return Err(format!("the cursor stays at {cursor:?}, before {last:?}"));
        }
        self.report.add("orders", self.placed.len() as u64);
        self.report.add("steps", self.steps);
        let mut digest = blake3::Hasher::new();
        digest.update(&ViewHash::of(&view).to_bytes());
        digest.update(&view.seq().to_be_bytes()).update(&self.steps.to_be_bytes());
        Ok((self.report, digest.finalize()))
    }
}
