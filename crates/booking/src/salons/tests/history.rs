//! Random histories of bookings against a model that knows minutes and nothing else: who has which minute, and what each
//! booking was at every batch.

use std::collections::BTreeMap;

use maitred_core::Seq;
use proptest::prelude::*;

use super::*;
use crate::salons::bookings_view::{BookingQuery, bookings};

/// A booking as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    status: BookingStatus,
    starts_at: Timestamp,
    employee: Place,
    /// Of which service: the cut, else the colour.
    is_cut: bool,
    hold_expires_at: Option<Timestamp>,
}

impl Known {
    /// The minutes of the day that it takes from its employee.
    fn minutes(&self) -> Vec<i64> {
        let start = self.starts_at.as_millis() / 60_000;
        if self.is_cut {
            return (start..start + 30).collect();
        }
        (start..start + 30).chain(start + 75..start + 90).collect()
    }

    fn status_at(&self, now: Timestamp) -> BookingStatus {
        match self.hold_expires_at {
            Some(over) if self.status == BookingStatus::Held && over <= now => BookingStatus::Expired,
            _ => self.status,
        }
    }

    fn stands_at(&self, now: Timestamp) -> bool {
        matches!(
            self.status_at(now),
            BookingStatus::Held | BookingStatus::Confirmed | BookingStatus::Completed
        )
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Book { quarter: u8, is_cut: bool, bob: bool, hold: Option<u8> },
    Move { which: u8, quarter: u8 },
    Advance { which: u8, what: Advance },
    Wait { seconds: u8 },
    Expire { which: u8 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let advance = prop_oneof![
        Just(Advance::Confirm),
        Just(Advance::Cancel),
        Just(Advance::Complete),
        Just(Advance::NoShow)
    ];
    prop_oneof![
        6 => (30..50_u8, any::<bool>(), any::<bool>(), prop::option::of(1..20_u8))
            .prop_map(|(quarter, is_cut, bob, hold)| Step::Book { quarter, is_cut, bob, hold }),
        2 => (any::<u8>(), 30..50_u8).prop_map(|(which, quarter)| Step::Move { which, quarter }),
        3 => (any::<u8>(), advance).prop_map(|(which, what)| Step::Advance { which, what }),
        1 => (1..30_u8).prop_map(|seconds| Step::Wait { seconds }),
        1 => any::<u8>().prop_map(|which| Step::Expire { which }),
    ]
}

struct Model {
    salon: Salon,
    known: BTreeMap<Uuid, Known>,
    past: Vec<(Seq, Timestamp, BTreeMap<Uuid, Known>)>,
}

impl Model {
    /// Whether a visit can be had: within 9 to 17, and none of its minutes taken; ten minutes are kept behind a colour.
    fn is_free(&self, wanted: &Known, except: Option<Uuid>, now: Timestamp) -> bool {
        if !wanted.is_cut && wanted.employee == self.salon.bob {
            return false;
        }
        let cleared = |known: &Known| {
            let mut minutes = known.minutes();
            if !known.is_cut {
                let end = minutes[minutes.len() - 1];
                minutes.extend(end + 1..=end + 10);
            }
            minutes
        };
        let cleared_wanted = cleared(wanted);
        if cleared_wanted.iter().any(|minute| !(9 * 60..17 * 60).contains(minute)) {
            return false;
        }
        self.known.iter().filter(|(id, known)| Some(**id) != except && known.stands_at(now)).all(
            |(_, known)| {
                let apart = |one: &[i64], other: &[i64]| one.iter().all(|minute| !other.contains(minute));
                known.employee != wanted.employee
                    || (apart(&known.minutes(), &cleared_wanted) && apart(&cleared(known), &wanted.minutes()))
            },
        )
    }

    fn which(&self, which: u8) -> Option<Uuid> {
        let count = self.known.len();
        (count > 0).then(|| self.known.keys().nth(usize::from(which) % count).copied()).flatten()
    }

    fn step(&mut self, step: Step) {
        let now = self.salon.next_second();
        let quarter_at = |quarter: u8| at(0, i64::from(quarter) * 15);
        match step {
            Step::Wait { seconds } => {
                let later = now.as_micros() + i64::from(seconds) * 1_000_000;
                self.salon.wait_until(Timestamp::from_micros(later));
            }
            Step::Book { quarter, is_cut, bob, hold } => {
                let employee = if bob { self.salon.bob } else { self.salon.ann };
                let hold_expires_at = hold
                    .map(|seconds| Timestamp::from_micros(now.as_micros() + i64::from(seconds) * 1_000_000));
                let status = if hold.is_some() { BookingStatus::Held } else { BookingStatus::Confirmed };
                let starts_at = quarter_at(quarter);
                let wanted = Known { status, starts_at, employee, is_cut, hold_expires_at };
                let service = if is_cut { self.salon.cut } else { self.salon.colour };
                let book = Book {
                    hold_seconds: hold.map(u32::from),
                    ..self.salon.visit(service, Some(employee), starts_at)
                };
                let held = self.known.values().filter(|known| known.status_at(now) == BookingStatus::Held);
                let expected = match (hold.is_some() && held.count() >= 3, self.is_free(&wanted, None, now)) {
                    (true, _) => Err("too-many-holds"),
                    (false, false) => Err("slot-unavailable"),
                    (false, true) => Ok(()),
                };
                match (self.salon.book(book), expected) {
                    (Ok(booked), Ok(())) => {
                        self.known.insert(booked.is.id, wanted);
                    }
                    (Err(rejection), Err(code)) => assert_eq!(rejection.code, code),
                    (said, expected) => panic!("{said:?}, and the model says {expected:?}"),
                }
            }
            Step::Move { which, quarter } => {
                let Some(id) = self.which(which) else { return };
                let known = self.known[&id].clone();
                let wanted = Known { starts_at: quarter_at(quarter), ..known.clone() };
                let expected = match known.status_at(now) {
                    BookingStatus::Expired => Err("hold-expired"),
                    BookingStatus::Held | BookingStatus::Confirmed
                        if self.is_free(&wanted, Some(id), now) =>
                    {
                        Ok(())
                    }
                    BookingStatus::Held | BookingStatus::Confirmed => Err("slot-unavailable"),
                    _ => Err("invalid-transition"),
                };
                let command = Reschedule {
                    booking: id,
                    starts_at: wanted.starts_at,
                    items: None,
                    force: false,
                    if_version: None,
                };
                let said = self.salon.submit(Command::Reschedule(command)).map(|_| ());
                assert_eq!(said.map_err(|rejection| rejection.code), expected.map_err(Into::into));
                if expected.is_ok() {
                    self.known.insert(id, wanted);
                }
            }
            Step::Advance { which, what } => {
                let Some(id) = self.which(which) else { return };
                let from = self.known[&id].status_at(now);
                let to = match what {
                    Advance::Confirm => BookingStatus::Confirmed,
                    Advance::Cancel => BookingStatus::Cancelled,
                    Advance::Complete => BookingStatus::Completed,
                    Advance::NoShow => BookingStatus::NoShow,
                };
                let leads = from == to
                    || matches!((from, what), (BookingStatus::Held, Advance::Confirm | Advance::Cancel))
                    || (from == BookingStatus::Confirmed && what != Advance::Confirm);
                let said = self.salon.advance(id, what);
                assert_eq!(said.is_ok(), leads, "{from:?} {what:?} {said:?}");
                if leads {
                    self.known.entry(id).and_modify(|known| known.status = to);
                }
            }
            Step::Expire { which } => {
                let Some(id) = self.which(which) else { return };
                self.salon.submit(Command::ExpireBooking { booking: id }).expect("a timer is harmless");
            }
        }
    }

    /// What was over is over, whether or not the record says so: the model says it at once.
    fn note(&mut self) {
        let now = self.salon.world.timestamp;
        self.known.values_mut().for_each(|known| known.status = known.status_at(now));
        self.past.push((self.salon.world.seq, now, self.known.clone()));
    }

    /// The list as it was after a batch.
    fn listed(&self, seq: Seq, at: Timestamp) -> BTreeMap<Uuid, Known> {
        let query = BookingQuery { at, as_of: Some(seq), ..BookingQuery::default() };
        let found = bookings(&self.salon.world.view, TENANT, &query, None, 1_000);
        assert!(found.next.is_none());
        let known = |found: Versioned<Booking>| {
            let booking = found.is;
            let item = &booking.items[0];
            let known = Known {
                status: booking.status_at(at),
                starts_at: booking.starts_at,
                employee: item.employee,
                is_cut: item.service == self.salon.cut,
                hold_expires_at: booking.hold_expires_at,
            };
            (booking.id, known)
        };
        found.items.into_iter().map(known).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_salon_answers_as_one_that_counts_minutes(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut model = Model { salon: Salon::new(), known: BTreeMap::new(), past: Vec::new() };
        for step in steps {
            model.step(step);
            model.note();
        }
        for (seq, at, known) in &model.past {
            prop_assert_eq!(&model.listed(*seq, *at), known);
        }
        prop_assert_eq!(model.salon.world.replay().hash(), model.salon.world.view.hash());
        super::transfer::check_import(&model.salon.world)?;
    }
}
