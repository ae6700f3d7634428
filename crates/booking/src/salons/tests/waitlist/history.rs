//! Random histories of a waitlist, and what must hold of every list when all is followed and all timers are served.

use proptest::prelude::*;

use super::*;
use crate::salons::intervals::Span;

#[derive(Debug, Clone)]
enum Step {
    Book { quarter: u8, is_cut: bool, bob: bool },
    Advance { which: u8, what: Advance },
    Move { which: u8, quarter: u8 },
    Enter { from: u8, quarters: u8, is_cut: bool, employee: u8 },
    Leave { which: u8 },
    Answer { which: u8, takes: bool },
    Wait { minutes: u8 },
    Shift { from: u8, quarters: u8 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let advance = prop_oneof![Just(Advance::Cancel), Just(Advance::NoShow), Just(Advance::Confirm)];
    prop_oneof![
        3 => (34..48_u8, any::<bool>(), any::<bool>())
            .prop_map(|(quarter, is_cut, bob)| Step::Book { quarter, is_cut, bob }),
        3 => (any::<u8>(), advance).prop_map(|(which, what)| Step::Advance { which, what }),
        1 => (any::<u8>(), 34..48_u8).prop_map(|(which, quarter)| Step::Move { which, quarter }),
        4 => (34..46_u8, 1..9_u8, any::<bool>(), 0..3_u8)
            .prop_map(|(from, quarters, is_cut, employee)| Step::Enter { from, quarters, is_cut, employee }),
        1 => any::<u8>().prop_map(|which| Step::Leave { which }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(which, takes)| Step::Answer { which, takes }),
        2 => (1..25_u8).prop_map(|minutes| Step::Wait { minutes }),
        1 => (34..46_u8, 0..8_u8).prop_map(|(from, quarters)| Step::Shift { from, quarters }),
    ]
}

/// A history, and who has entered in it.
struct History {
    floor: Floor,
    entries: Vec<Uuid>,
    bookings: Vec<Uuid>,
}

impl History {
    fn step(&mut self, step: &Step) {
        let quarter_at = |quarter: u8| at(0, i64::from(quarter) * 15);
        let pick =
            |list: &[Uuid], which: u8| (!list.is_empty()).then(|| list[usize::from(which) % list.len()]);
        let Floor { salon, .. } = &self.floor;
        let (cut, colour, ann, bob) = (salon.cut, salon.colour, salon.ann, salon.bob);
        let service = |is_cut: bool| if is_cut { cut } else { colour };
        self.next_minutes(match step {
            Step::Wait { minutes } => i64::from(*minutes),
            _ => 1,
        });
        // What is refused is of no interest here: it changes nothing.
        match *step {
            Step::Book { quarter, is_cut, bob: by_bob } => {
                let employee = if by_bob { bob } else { ann };
                let book = self.floor.salon.visit(service(is_cut), Some(employee), quarter_at(quarter));
                if let Ok(Outcome::Booking(_, booking)) = self.floor.submit(&Command::Book(book)) {
                    self.bookings.push(booking.is.id);
                }
            }
            Step::Advance { which, what } => {
                if let Some(id) = pick(&self.bookings, which) {
                    let _ = self.floor.advance(id, what);
                }
            }
            Step::Move { which, quarter } => {
                if let Some(booking) = pick(&self.bookings, which) {
                    let (starts_at, items) = (quarter_at(quarter), None);
                    let command = Reschedule { booking, starts_at, items, force: false, if_version: None };
                    let _ = self.floor.submit(&Command::Reschedule(command));
                }
            }
            Step::Enter { from, quarters, is_cut, employee } => {
                let employee = [None, Some(ann.id), Some(bob.id)][usize::from(employee)];
                let (from, to) = (quarter_at(from), quarter_at(from + quarters));
                let waits = self.floor.waits(self.floor.salon.customer, from, to);
                let waits = EnterWaitlist { services: vec![service(is_cut)], employee, ..waits };
                if let Ok(id) = self.floor.enter(waits) {
                    self.entries.push(id);
                }
            }
            Step::Leave { which } => {
                if let Some(id) = pick(&self.entries, which) {
                    let _ = self.floor.leave(id);
                }
            }
            Step::Answer { which, takes } => {
                let offer = pick(&self.entries, which).and_then(|id| self.floor.offer(id));
                if let Some(offer) = offer {
                    let _ =
                        self.floor.advance(offer.id, if takes { Advance::Confirm } else { Advance::Cancel });
                    self.bookings.push(offer.id);
                }
            }
            Step::Wait { .. } => {}
            Step::Shift { from, quarters } => {
                let (from_minute, to_minute) = (u16::from(from) * 15, u16::from(from + quarters) * 15);
                let spans = match quarters {
                    0 => Vec::new(),
                    _ => vec![DayTime { from_minute, to_minute }],
                };
                self.floor.plan(PlanChange::SetException(day(1), spans));
            }
        }
    }

    /// Lets so many times two minutes pass. An offer is decided within the first minute of two, and is held for fifteen: no
    /// hold is over while a step and what follows from it are carried out.
    fn next_minutes(&mut self, twos: i64) {
        const TWO: i64 = 2 * 60_000_000;
        let now = self.floor.salon.world.timestamp.as_micros();
        let then = (now.div_euclid(TWO) + twos) * TWO;
        self.floor.salon.wait_until(Timestamp::from_micros(then));
        self.floor.customer("a batch at that instant");
    }

    /// Follows and serves all that is due, and looks whether what was offered went to the first who could have it.
    fn settle(&mut self) {
        let began = self.floor.salon.world.timestamp;
        self.floor.settle();
        let took = self.floor.salon.world.timestamp.as_micros() - began.as_micros();
        assert!(took < 60_000_000 - 5_000_000, "within the first minute");
        let found = |id: &Uuid| view::get::<WaitlistEntry>(&self.floor.salon.world.view, TENANT, *id, None);
        let entries: Vec<_> = self.entries.iter().filter_map(found).collect();
        let offers: Vec<_> = self.entries.iter().filter_map(|id| self.floor.offer(*id)).collect();
        for offer in offers.iter().filter(|offer| began < offer.created_at) {
            let number = offer.offered_to.map(|id| self.floor.entry(id).number);
            let before = entries.iter().filter(|found| {
                found.is.status == WaitlistStatus::Waiting
                    && Some(found.is.number) < number
                    && found.updated_at < offer.created_at
            });
            for waiting in before {
                let could = self.could_have(&waiting.is, offer.starts_at, Some(offer.id));
                assert!(!could, "{waiting:?} comes before whoever was offered {offer:?}");
            }
        }
    }

    /// Whether an entry could have the visit of this start, if the offer `but` were not there.
    fn could_have(&self, entry: &WaitlistEntry, starts_at: Timestamp, but: Option<Uuid>) -> bool {
        let mut floor = self.floor.clone();
        if let Some(but) = but {
            floor.advance(but, Advance::Cancel).expect("an open offer");
        }
        let book = floor.salon.visit(self.floor.salon.cut, None, starts_at);
        let booked = floor.salon.book(Book { items: entry.items(), ..book });
        booked.is_ok_and(|booked| entry.wants(Span::new(booked.is.starts_at, booked.is.ends_at)))
    }

    fn check(&self) {
        let now = self.floor.salon.world.timestamp;
        let entries: Vec<_> = self.entries.iter().map(|id| self.floor.entry(*id)).collect();
        for entry in &entries {
            assert_eq!(entry.status, entry.status_at(now), "timers are served");
            let booking = entry.offer.map(|offer| self.floor.booking(offer.booking));
            match (entry.status, booking) {
                (WaitlistStatus::Offered, Some(booking)) => {
                    assert_eq!(
                        (booking.status_at(now), booking.offered_to),
                        (BookingStatus::Held, Some(entry.id))
                    );
                }
                (WaitlistStatus::Taken, Some(booking)) => assert_ne!(booking.status, BookingStatus::Held),
                (WaitlistStatus::Offered | WaitlistStatus::Taken, None) => panic!("{entry:?}"),
                (_, booking) => assert_eq!(booking, None),
            }
        }
        let starts = (34..60).map(|quarter| at(0, quarter * 15));
        for entry in entries.iter().filter(|entry| entry.status == WaitlistStatus::Waiting) {
            for starts_at in starts.clone().filter(|starts_at| now < *starts_at) {
                assert!(!self.could_have(entry, starts_at, None), "{entry:?} could have {starts_at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// When all is followed and all timers are served, nobody waits who could have a time that they did not let pass; and no
    /// time was offered to anybody that somebody before them, who waited then, could have had. Facts are followed late now
    /// and then, several at once.
    #[test]
    fn nobody_waits_for_what_they_could_have(
        steps in prop::collection::vec((any_step(), prop::bool::weighted(0.7)), 1..40),
    ) {
        let mut history = History { floor: Floor::new(), entries: Vec::new(), bookings: Vec::new() };
        history.floor.salon.wait_until(at(8, 0));
        for (step, is_followed) in &steps {
            history.step(step);
            if *is_followed {
                history.settle();
            }
        }
        history.next_minutes(1);
        history.settle();
        history.check();
        let world = &history.floor.salon.world;
        prop_assert_eq!(world.replay().hash(), world.view.hash());
        crate::salons::tests::transfer::check_import(world)?;
    }
}
