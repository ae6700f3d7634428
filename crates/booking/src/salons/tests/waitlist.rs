//! The waitlist by row: every way by which time comes free, and every answer. Random histories are in [`history`], long lists
//! in `parts`.

mod history;
mod parts;

use std::collections::VecDeque;

use maitred_core::At;
use maitred_engine::consumers::Consumer;

use super::*;
use crate::salons::offering::WaitlistOffers;
use crate::salons::plan::AbsenceTime;
use crate::salons::waitlist::{OPEN_MAX, OPEN_OF_CUSTOMER_MAX, PASSED_MAX};

/// A salon with its consumer and its timers.
#[derive(Clone)]
struct Floor {
    salon: Salon,
    /// What is not followed yet.
    facts: VecDeque<(Fact, At)>,
}

impl Floor {
    fn new() -> Self {
        Floor { salon: Salon::new(), facts: VecDeque::new() }
    }

    fn submit(&mut self, command: &Command) -> Result<Outcome, Rejection> {
        let (facts, outcome) = self.salon.world.submit(TENANT, command)?;
        let (seq, timestamp) = (self.salon.world.seq, self.salon.world.timestamp);
        let at = |ordinal| At { tenant: TENANT, seq, ordinal, timestamp };
        let facts = facts.into_iter().zip(0..).map(|(fact, ordinal)| (fact, at(ordinal)));
        self.facts.extend(facts.filter(|(fact, _)| {
            use maitred_core::Recorded;
            WaitlistOffers.wants(fact.kind())
        }));
        Ok(outcome)
    }

    /// Serves every timer that is due and follows every fact, until there is nothing more to do.
    fn settle(&mut self) {
        loop {
            let due = timer::due(&self.salon.world.view, self.salon.world.timestamp, 100);
            for (_, command) in &due {
                let crate::Command::Salons(command) = command else { panic!("{command:?}") };
                self.submit(command).expect("a timer is harmless");
            }
            let Some((fact, at)) = self.facts.pop_front() else {
                if due.is_empty() {
                    return;
                }
                continue;
            };
            self.follow(&fact, at);
        }
    }

    /// Follows one fact, part by part. Answers how many offers it led to.
    fn follow(&mut self, fact: &Fact, at: At) -> usize {
        self.follow_in_parts(fact, at).iter().sum()
    }

    /// The same, and answers for each part.
    fn follow_in_parts(&mut self, fact: &Fact, at: At) -> Vec<usize> {
        let fact = crate::Fact::Salons(fact.clone());
        let (mut offers, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let part =
                WaitlistOffers.consume_part(&self.salon.world.view, &fact, at, from).expect("commands");
            assert!(part.next.is_none_or(|next| from < next), "each part goes on behind the one before");
            next = part.next;
            offers.push(self.make(part.commands));
        }
        offers
    }

    fn make(&mut self, commands: Vec<crate::Command>) -> usize {
        let mut offers = 0;
        for command in commands {
            let crate::Command::Salons(command) = command else { panic!("{command:?}") };
            match self.submit(&command).expect("an offer is accepted, or changes nothing") {
                Outcome::Waitlist(effect, _) => offers += usize::from(effect == Effect::Updated),
                other => panic!("{other:?}"),
            }
        }
        offers
    }

    fn customer(&mut self, name: &str) -> Uuid {
        let details = CustomerDetails { name: name.into(), email: None, phone: None, notes: None };
        match self.submit(&Command::CreateCustomer(details)).expect("a customer") {
            Outcome::Customer(Effect::Created, found) => found.is.id,
            other => panic!("{other:?}"),
        }
    }

    fn waits(&self, customer: Uuid, from: Timestamp, to: Timestamp) -> EnterWaitlist {
        let (services, employee) = (vec![self.salon.cut], Some(self.salon.ann.id));
        EnterWaitlist { customer, services, employee, from, to, token_hash: None }
    }

    fn enter(&mut self, entry: EnterWaitlist) -> Result<Uuid, Rejection> {
        match self.submit(&Command::EnterWaitlist(entry))? {
            Outcome::Waitlist(Effect::Created, found) => Ok(found.is.id),
            other => panic!("{other:?}"),
        }
    }

    fn entry(&self, id: Uuid) -> WaitlistEntry {
        view::get::<WaitlistEntry>(&self.salon.world.view, TENANT, id, None).expect("it is there").is
    }

    fn booking(&self, id: Uuid) -> Booking {
        view::get::<Booking>(&self.salon.world.view, TENANT, id, None).expect("it is there").is
    }

    /// The booking that is offered to an entry.
    fn offer(&self, id: Uuid) -> Option<Booking> {
        let entry = self.entry(id);
        let offer = entry.offer.filter(|_| entry.status == WaitlistStatus::Offered)?;
        Some(self.booking(offer.booking))
    }

    fn book(&mut self, service: Uuid, employee: Place, starts_at: Timestamp) -> Uuid {
        let book = self.salon.visit(service, Some(employee), starts_at);
        match self.submit(&Command::Book(book)).expect("free") {
            Outcome::Booking(_, booking) => booking.is.id,
            other => panic!("{other:?}"),
        }
    }

    fn advance(&mut self, id: Uuid, what: Advance) -> Result<(), Rejection> {
        self.submit(&Command::Advance(Change { id, what, if_version: None })).map(|_| ())
    }

    fn leave(&mut self, id: Uuid) -> Result<Effect, Rejection> {
        let change = Change { id, what: (), if_version: None };
        self.submit(&Command::CancelWaitlistEntry(change)).map(|outcome| outcome.effect())
    }

    fn plan(&mut self, what: PlanChange) {
        let change = Change { id: self.salon.ann.id, what, if_version: None };
        self.submit(&Command::ChangePlan(change)).expect("a plan");
    }

    fn statuses(&self, entries: &[Uuid]) -> Vec<&'static str> {
        entries.iter().map(|id| self.entry(*id).status_at(self.salon.world.timestamp).as_str()).collect()
    }
}

fn day(of_january: i8) -> Day {
    Day::of(date(1970, 1, of_january))
}

#[test]
fn a_freed_time_is_offered_in_order_of_entry() {
    let mut floor = Floor::new();
    let taken = floor.book(floor.salon.cut, floor.salon.ann, at(9, 0));
    let (eve, ida) = (floor.customer("Eve"), floor.customer("Ida"));
    let entries = [eve, ida, eve].map(|customer| {
        let waits = floor.waits(customer, at(9, 0), at(9, 30));
        floor.enter(waits).expect("they wait")
    });
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["waiting"; 3]);
    floor.advance(taken, Advance::Cancel).expect("called off");
    let freed = floor.salon.world.timestamp;
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["offered", "waiting", "waiting"]);
    let offer = floor.offer(entries[0]).expect("an offer");
    assert_eq!((offer.customer, offer.status, offer.starts_at), (eve, BookingStatus::Held, at(9, 0)));
    assert_eq!(offer.offered_to, Some(entries[0]));
    let until = offer.hold_expires_at.expect("it is held");
    let made = Timestamp::from_micros(until.as_micros() - 15 * 60_000_000);
    assert!(freed < made && made <= floor.salon.world.timestamp, "for 15 minutes");

    floor.advance(offer.id, Advance::Cancel).expect("declined");
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["waiting", "offered", "waiting"]);
    assert_eq!(floor.entry(entries[0]).passed.len(), 1);
    let offer = floor.offer(entries[1]).expect("the next");
    let until = offer.hold_expires_at.expect("it is held");
    floor.salon.wait_until(until);
    floor.customer("a batch at that very instant");
    assert_eq!(floor.statuses(&entries), ["waiting"; 3], "an offer is over at its instant");
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["waiting", "waiting", "offered"]);
    let offer = floor.offer(entries[2]).expect("the last");
    floor.advance(offer.id, Advance::Confirm).expect("taken");
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["waiting", "waiting", "taken"]);
    assert_eq!(floor.entry(entries[2]).offer.map(|offer| offer.booking), Some(offer.id));
    floor.advance(offer.id, Advance::Cancel).expect("and called off after all");
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["waiting", "waiting", "taken"], "all have let it pass");
    assert_eq!(floor.salon.world.replay().hash(), floor.salon.world.view.hash());
}

/// What makes time free, given what is booked.
type Free<'a> = &'a dyn Fn(&mut Floor, Uuid);

/// Whatever frees ten o'clock, where Ann does not work or is taken, leads to an offer of it.
#[test]
fn time_comes_free_in_many_ways() {
    let absence = |floor: &mut Floor| {
        floor.plan(PlanChange::AddAbsence { time: AbsenceTime::Days(day(1), day(2)), reason: None });
    };
    let moves = |floor: &mut Floor, booking| {
        let (starts_at, items) = (at(14, 0), None);
        let command = Reschedule { booking, starts_at, items, force: false, if_version: None };
        floor.submit(&Command::Reschedule(command)).expect("free");
    };
    let free: [(&str, Free<'_>); 8] = [
        ("cancelled", &|floor, booking| floor.advance(booking, Advance::Cancel).expect("it stands")),
        ("no-show", &|floor, booking| floor.advance(booking, Advance::NoShow).expect("it stands")),
        ("moved", &|floor, booking| moves(floor, booking)),
        ("hold over", &|floor, booking| {
            let over = floor.booking(booking).hold_expires_at.expect("it is held");
            floor.salon.wait_until(over);
            floor.customer("somebody");
        }),
        ("absence taken back", &|floor, _| {
            let plan = view::plan(&floor.salon.world.view, TENANT, floor.salon.ann.id, None).is;
            floor.plan(PlanChange::RemoveAbsence(plan.absences[0].id));
        }),
        ("other shift", &|floor, _| {
            let spans = vec![DayTime { from_minute: 600, to_minute: 630 }];
            floor.plan(PlanChange::SetException(day(1), spans));
        }),
        ("active again", &|floor, _| {
            let patch = EmployeePatch { active: Some(true), ..EmployeePatch::default() };
            let change = Change { id: floor.salon.ann.id, what: patch, if_version: None };
            floor.submit(&Command::UpdateEmployee(change)).expect("active");
        }),
        ("other settings", &|floor, _| {
            let patch = SettingsPatch { min_notice_minutes: Some(0), ..SettingsPatch::default() };
            floor
                .submit(&Command::ChangeSettings(Change { id: (), what: patch, if_version: None }))
                .expect("settings");
        }),
    ];
    for (what, free) in free {
        let mut floor = Floor::new();
        let book = floor.salon.visit(floor.salon.cut, Some(floor.salon.ann), at(10, 0));
        let hold_seconds = (what == "hold over").then_some(60);
        let booking = floor.salon.book(Book { hold_seconds, ..book }).expect("free").is.id;
        match what {
            "absence taken back" => absence(&mut floor),
            "other shift" => floor.plan(PlanChange::SetException(day(1), Vec::new())),
            "active again" => {
                let patch = EmployeePatch { active: Some(false), ..EmployeePatch::default() };
                let change = Change { id: floor.salon.ann.id, what: patch, if_version: None };
                floor.submit(&Command::UpdateEmployee(change)).expect("inactive");
            }
            "other settings" => {
                let patch = SettingsPatch { min_notice_minutes: Some(24 * 60), ..SettingsPatch::default() };
                let change = Change { id: (), what: patch, if_version: None };
                floor.submit(&Command::ChangeSettings(change)).expect("settings");
            }
            _ => {}
        }
        if matches!(what, "absence taken back" | "other shift" | "active again" | "other settings") {
            floor.salon.advance(booking, Advance::Cancel).expect("it was free but for that");
        }
        let eve = floor.salon.customer;
        let waits = floor.waits(eve, at(10, 0), at(10, 30));
        let entry = floor.enter(waits).expect("they wait");
        floor.settle();
        assert_eq!(floor.statuses(&[entry]), ["waiting"], "{what}");
        free(&mut floor, booking);
        floor.settle();
        assert_eq!(floor.offer(entry).map(|offer| offer.starts_at), Some(at(10, 0)), "{what}");
    }
}

#[test]
fn what_is_free_is_offered_to_whoever_comes_and_the_next_get_the_rest() {
    let mut floor = Floor::new();
    let eve = floor.salon.customer;
    let entries = [0; 4].map(|_| {
        let waits = floor.waits(eve, at(9, 0), at(10, 30));
        floor.enter(waits).expect("they wait")
    });
    floor.settle();
    let starts: Vec<_> = entries.iter().map(|id| floor.offer(*id).map(|offer| offer.starts_at)).collect();
    assert_eq!(starts, [Some(at(9, 0)), Some(at(9, 30)), Some(at(10, 0)), None]);
    // One wide gap for all of them at once.
    let mut floor = Floor::new();
    let entries = [0; 4].map(|_| {
        let waits = floor.waits(eve, at(9, 0), at(10, 30));
        floor.enter(waits).expect("they wait")
    });
    floor.facts.clear();
    let patch = SettingsPatch { max_horizon_days: Some(300), ..SettingsPatch::default() };
    floor
        .submit(&Command::ChangeSettings(Change { id: (), what: patch, if_version: None }))
        .expect("settings");
    let (fact, at_fact) = floor.facts.pop_front().expect("the settings");
    assert_eq!(floor.follow(&fact, at_fact), 3);
    assert_eq!(floor.statuses(&entries), ["offered", "offered", "offered", "waiting"]);
    assert_eq!(floor.follow(&fact, at_fact), 0, "the same fact again leads to nothing");
}

/// The server follows facts as of its newest view: that somebody entered may be followed when time has come free since.
#[test]
fn nobody_jumps_the_line_while_facts_are_behind() {
    let mut floor = Floor::new();
    let taken = floor.book(floor.salon.cut, floor.salon.ann, at(9, 0));
    let eve = floor.salon.customer;
    let waits = floor.waits(eve, at(9, 0), at(9, 30));
    let first = floor.enter(waits.clone()).expect("they wait");
    floor.settle();
    let second = floor.enter(waits).expect("they wait");
    floor.advance(taken, Advance::Cancel).expect("called off");
    let (entered, at_entered) = floor.facts.pop_front().expect("that the second entered");
    assert_eq!(floor.follow(&entered, at_entered), 1);
    assert_eq!(floor.statuses(&[first, second]), ["offered", "waiting"]);
    floor.settle();
    assert_eq!(floor.statuses(&[first, second]), ["offered", "waiting"]);
}

#[test]
fn offers_are_not_counted_among_what_a_customer_holds() {
    let mut floor = Floor::new();
    let eve = floor.salon.customer;
    for hour in [9, 10, 11, 12] {
        let waits = floor.waits(eve, at(hour, 0), at(hour, 30));
        floor.enter(waits).expect("they wait");
    }
    floor.settle();
    for minute in [0, 30, 60] {
        let held =
            Book { hold_seconds: Some(60), ..floor.salon.visit(floor.salon.cut, None, at(14, minute)) };
        floor.salon.book(held).expect("three holds of their own");
    }
    let waits = floor.waits(eve, at(13, 0), at(13, 30));
    let entry = floor.enter(waits).expect("they wait");
    floor.settle();
    assert_eq!(floor.statuses(&[entry]), ["offered"]);
}

#[test]
fn whoever_leaves_declines_and_time_that_is_over_is_waited_for_no_more() {
    let mut floor = Floor::new();
    let eve = floor.salon.customer;
    let entries = [0; 3].map(|_| {
        let waits = floor.waits(eve, at(9, 0), at(9, 30));
        floor.enter(waits).expect("they wait")
    });
    floor.settle();
    let offer = floor.offer(entries[0]).expect("an offer");
    assert_eq!(floor.leave(entries[0]), Ok(Effect::Updated));
    assert_eq!(floor.leave(entries[0]), Ok(Effect::Unchanged));
    assert_eq!(floor.booking(offer.id).status, BookingStatus::Cancelled);
    floor.settle();
    assert_eq!(floor.statuses(&entries), ["cancelled", "offered", "waiting"]);
    let offer = floor.offer(entries[1]).expect("an offer");
    floor.advance(offer.id, Advance::Confirm).expect("taken");
    let rejection = floor.leave(entries[1]).expect_err("it is taken");
    assert_eq!((rejection.class, &*rejection.code), (Class::Conflict, "invalid-transition"));
    floor.salon.wait_until(at(9, 30));
    floor.customer("a batch at that very instant");
    assert_eq!(floor.statuses(&entries), ["cancelled", "taken", "expired"]);
    let rejection = floor.leave(entries[2]).expect_err("it is over");
    assert_eq!(rejection.code, "invalid-transition");
    floor.settle();
    assert_eq!(floor.entry(entries[2]).status, WaitlistStatus::Expired);
    assert_eq!(timer::next_due(&floor.salon.world.view), None);
    let expire = Command::ExpireWaitlistEntry { entry: entries[2] };
    assert_eq!(floor.submit(&expire).map(|outcome| outcome.effect()), Ok(Effect::Unchanged));
}

#[test]
fn an_offer_ends_before_the_visit_begins() {
    let mut floor = Floor::new();
    floor.salon.wait_until(at(9, 55));
    let waits = floor.waits(floor.salon.customer, at(9, 0), at(10, 30));
    let entry = floor.enter(waits).expect("they wait");
    floor.settle();
    let offer = floor.offer(entry).expect("an offer");
    assert_eq!((offer.starts_at, offer.hold_expires_at), (at(10, 0), Some(at(10, 0))));
}

#[test]
fn after_many_offers_that_were_not_taken_an_entry_is_over() {
    let mut floor = Floor::new();
    let waits = floor.waits(floor.salon.customer, at(9, 0), at(2 * 24, 0));
    let entry = floor.enter(waits).expect("they wait");
    for _ in 0..PASSED_MAX {
        floor.settle();
        let offer = floor.offer(entry).expect("another time");
        assert!(!floor.entry(entry).passed.iter().any(|passed| passed.span().has(offer.starts_at)));
        floor.advance(offer.id, Advance::Cancel).expect("declined");
    }
    floor.settle();
    assert_eq!(floor.entry(entry).status, WaitlistStatus::Expired);
    assert_eq!(timer::next_due(&floor.salon.world.view), None);
}

#[test]
fn an_entry_is_refused_in_this_order() {
    let mut floor = Floor::new();
    let unknown = Uuid::from_u128(7);
    let check = |floor: &mut Floor, entry: &EnterWaitlist, class, code| {
        let before = floor.salon.world.view.hash();
        let rejection = floor.enter(entry.clone()).expect_err("refused");
        assert_eq!((rejection.class, &*rejection.code), (class, code), "{entry:?}");
        assert_eq!(floor.salon.world.view.hash(), before, "a refusal changes nothing");
    };
    let (services, employee) = (Vec::new(), Some(unknown));
    let mut entry = EnterWaitlist {
        customer: unknown,
        services,
        employee,
        from: at(9, 0),
        to: at(9, 0),
        token_hash: None,
    };
    check(&mut floor, &entry, Class::Unprocessable, "invalid-items");
    entry.services = vec![unknown];
    check(&mut floor, &entry, Class::Unprocessable, "invalid-time-range");
    (entry.from, entry.to) = (at(-2, 0), at(0, 0));
    check(&mut floor, &entry, Class::Unprocessable, "invalid-time-range");
    (entry.from, entry.to) = (at(9, 0), at(9 + 62 * 24, 1));
    check(&mut floor, &entry, Class::Unprocessable, "invalid-time-range");
    entry.to = at(9 + 62 * 24, 0);
    check(&mut floor, &entry, Class::Absent, "customer-not-found");
    entry.customer = floor.salon.customer;
    check(&mut floor, &entry, Class::Absent, "service-not-found");
    entry.services = vec![floor.salon.cut];
    check(&mut floor, &entry, Class::Absent, "employee-not-found");
    entry.employee = None;
    for _ in 0..OPEN_OF_CUSTOMER_MAX {
        floor.enter(entry.clone()).expect("they wait");
    }
    check(&mut floor, &entry, Class::TooMany, "too-many-waiting");
    for _ in 1..OPEN_MAX / OPEN_OF_CUSTOMER_MAX {
        entry.customer = floor.customer("Another");
        for _ in 0..OPEN_OF_CUSTOMER_MAX {
            floor.enter(entry.clone()).expect("they wait");
        }
    }
    entry.customer = floor.customer("One more");
    check(&mut floor, &entry, Class::TooMany, "too-many-waiting");
    let rejection = floor.leave(unknown).expect_err("there is none");
    assert_eq!((rejection.class, &*rejection.code), (Class::Absent, "waitlist-entry-not-found"));
}
