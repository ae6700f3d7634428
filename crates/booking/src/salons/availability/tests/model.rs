//! Availability against a model that walks minute by minute and shares no code with it.
//!
//! The model knows one thing of the time zone: the offset of each minute. From that it finds local midnights,
//! aligned starts, shifts and absences by looking at every minute; what is free it counts minute by minute.
//! Zones and days are those on which clocks do odd things, and any other zone on any day.
//!
//! `MAITRED_SALON_CASES` sets the number of cases (default [`CASES`]); a night's run has 100,000 and more.

use super::drawn::{Drawn, DrawnPerson, date_of, drawn};
use super::*;
use crate::salons::calculus::Choice;
use crate::salons::local_time::first_instant;
use crate::salons::shifts::{Absence, DaySpan, ShiftPlan, WeeklyPattern};
use proptest::prelude::*;

const CASES: u32 = 2_000;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1_440;
/// How many days the model sees before and behind the question: a visit may reach into the day after, and beyond a day
/// that the zone leaves out.
const AROUND: i64 = 5;

/// Every minute from some days before the question to some days behind it, by number.
struct Minutes {
    /// The first one, in minutes since the epoch.
    base: i64,
    /// What clocks show then, in minutes since the local epoch.
    shown: Vec<i64>,
    /// By what clocks show, from `shown_base` on: when they show it first.
    first: Vec<Option<usize>>,
    shown_base: i64,
}

impl Minutes {
    /// `None` where offsets are no whole minutes.
    fn new(zone: &TimeZone, first_day: i64, days: i64) -> Option<Minutes> {
        let base = (first_day - AROUND) * DAY;
        let len = (days + 2 * AROUND) * DAY;
        let shown = (base..base + len).map(|minute| {
            let offset = zone.to_offset(jiff::Timestamp::from_second(minute * 60).unwrap()).seconds();
            (offset % 60 == 0).then(|| minute + i64::from(offset) / 60)
        });
        let shown: Vec<i64> = shown.collect::<Option<_>>()?;
        let shown_base = base - 2 * DAY;
        let mut first = vec![None; usize::try_from(len + 4 * DAY).unwrap()];
        for (number, shown) in shown.iter().enumerate() {
            first[usize::try_from(shown - shown_base).unwrap()].get_or_insert(number);
        }
        Some(Minutes { base, shown, first, shown_base })
    }

    /// When clocks first show this; where they never do, when they would have without the gap.
    fn when(&self, shown: i64) -> i64 {
        let place = usize::try_from(shown - self.shown_base).unwrap();
        if let Some(number) = self.first[place] {
            return number as i64;
        }
        let behind = self.shown.iter().position(|other| *other > shown).unwrap();
        let last = behind - 1;
        last as i64 + shown - self.shown[last]
    }

    fn instant(&self, number: i64) -> Timestamp {
        Timestamp::from_micros((self.base + number) * MINUTE)
    }

    fn span(&self, from: i64, to: i64) -> Span {
        Span::new(self.instant(from), self.instant(to))
    }

    fn len(&self) -> usize {
        self.shown.len()
    }

    fn starts(&self, from: i64, to: i64, step: i64) -> Vec<i64> {
        let (first, behind) = (self.when(from * DAY), self.when(to * DAY));
        let days = from - 2..to + 2;
        let times =
            days.flat_map(|day| (0..DAY).filter(|minute| minute % step == 0).map(move |m| day * DAY + m));
        let mut starts: Vec<i64> = times.map(|shown| self.when(shown)).collect();
        starts.retain(|start| first <= *start && *start < behind);
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// A booked time in minutes: from, to, buffers before and after.
pub(super) type Busy = (i64, i64, i64, i64);

struct Person {
    id: u128,
    skills: Vec<u128>,
    works: Vec<bool>,
    busy: Vec<Busy>,
}

struct Chair {
    id: u128,
    kind: u32,
    busy: Vec<Busy>,
}

/// The salon as the model sees it.
struct Model {
    minutes: Minutes,
    people: Vec<Person>,
    chairs: Vec<Chair>,
    max: bool,
    may_leave: bool,
    shortest: i64,
}

impl Model {
    /// Whether this piece of time is at least its buffers away from everything booked.
    fn is_clear(&self, busy: &[Busy], (from, to, before, after): Busy) -> bool {
        busy.iter().filter(|other| other.0 < other.1).all(
            |(other_from, other_to, other_before, other_after)| {
                let apart = |one: i64, other: i64| if self.max { one.max(other) } else { one + other };
                let behind = from - other_to >= apart(before, *other_after);
                let ahead = other_from - to >= apart(after, *other_before);
                behind || ahead
            },
        )
    }

    fn is_worked(&self, works: &[bool], (from, to, before, after): Busy) -> bool {
        let (from, to) = if self.may_leave { (from, to) } else { (from - before, to + after) };
        (from..to).all(|minute| works[usize::try_from(minute).unwrap()])
    }

    /// The work that a service is, when it starts at a minute.
    fn pieces(service: &Service, start: i64) -> Vec<Busy> {
        let of = |minutes: u32| i64::from(minutes);
        let (before, after) = (of(service.buffer_before_minutes), of(service.buffer_after_minutes));
        let end = start + of(service.duration_minutes);
        match service.processing {
            None => vec![(start, end, before, after)],
            Some(gap) => {
                let gap_start = start + of(gap.after_minutes);
                vec![(start, gap_start, before, 0), (gap_start + of(gap.for_minutes), end, 0, after)]
            }
        }
    }

    fn can(&self, person: &Person, item: &Item, start: i64) -> bool {
        let has_skill = person.skills.contains(&item.service.id);
        let may = match item.employee {
            Choice::Any => has_skill,
            Choice::One(id) => id == person.id && has_skill,
            Choice::Keeps(id) => id == person.id,
        };
        let does = |piece: Busy| self.is_worked(&person.works, piece) && self.is_clear(&person.busy, piece);
        may && Model::pieces(&item.service, start).into_iter().all(does)
    }

    /// The free minutes beside a piece, on one side; no more than the shortest service are counted.
    fn free_beside(&self, person: &Person, piece: Busy, direction: i64) -> i64 {
        let fits = |by: i64| {
            let moved = (piece.0 + by * direction, piece.1 + by * direction, piece.2, piece.3);
            self.is_worked(&person.works, moved) && self.is_clear(&person.busy, moved)
        };
        (1..=self.shortest).take_while(|by| fits(*by)).count() as i64
    }

    /// Who does which item, and at which chair.
    fn visit(
        &self,
        items: &[Item],
        start: i64,
        first: Option<u128>,
    ) -> Result<Vec<(u128, Option<u128>)>, Misfit> {
        let mut times = Vec::new();
        let mut end = start;
        for item in items {
            times.push((end, end + i64::from(item.service.duration_minutes)));
            end = times.last().unwrap().1;
        }
        let day = (0..)
            .map(|back| self.day_of(start) - back)
            .find(|day| self.minutes.when(day * DAY) <= start)
            .unwrap();
        let (midnight, next) = (self.minutes.when(day * DAY), self.minutes.when((day + 1) * DAY));
        let is_demanded =
            |number: usize| items[number].employee != Choice::Any || (number == 0 && first.is_some());
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|number| (!is_demanded(*number), *number));
        let mut who: Vec<Option<u128>> = vec![None; items.len()];
        for number in order {
            let costs = self.people.iter().filter(|person| {
                (number > 0 || first.is_none_or(|first| first == person.id))
                    && self.can(person, &items[number], times[number].0)
            });
            let costs = costs.map(|person| {
                let pieces = Model::pieces(&items[number].service, times[number].0);
                let mut before = self.free_beside(person, pieces[0], -1);
                let mut after = self.free_beside(person, pieces[pieces.len() - 1], 1);
                for (other, other_who) in who.iter().enumerate() {
                    if *other_who == Some(person.id) {
                        if other < number {
                            before = before.min(times[number].0 - times[other].1);
                        } else {
                            after = after.min(times[other].0 - times[number].1);
                        }
                    }
                }
                let gaps = [before, after].iter().filter(|free| (1..self.shortest).contains(*free)).count();
                let booked: i64 =
                    person.busy.iter().map(|busy| (busy.1.min(next) - busy.0.max(midnight)).max(0)).sum();
                (gaps, booked, person.id)
            });
            who[number] = costs.min().map(|(.., id)| id);
        }
        let mut allotted = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let employee = who[number].ok_or(Misfit::NoEmployee(number))?;
            let chair = match item.service.needs_resource {
                None => None,
                Some(kind) => {
                    let service = &item.service;
                    let (before, after) =
                        (i64::from(service.buffer_before_minutes), i64::from(service.buffer_after_minutes));
                    let time = (times[number].0, times[number].1, before, after);
                    let free = self
                        .chairs
                        .iter()
                        .filter(|chair| chair.kind == kind && self.is_clear(&chair.busy, time));
                    Some(free.map(|chair| chair.id).min().ok_or(Misfit::NoResource(number))?)
                }
            };
            allotted.push((employee, chair));
        }
        Ok(allotted)
    }

    /// A day whose midnight is at or behind that of the minute's day.
    fn day_of(&self, minute: i64) -> i64 {
        self.minutes.shown[usize::try_from(minute).unwrap()].div_euclid(DAY) + 1
    }
}

impl DrawnPerson {
    /// The model's way from patterns to minutes.
    fn works(&self, minutes: &Minutes, first_day: i64, days: i64) -> Vec<bool> {
        let mut works = vec![false; minutes.len()];
        for day in first_day - AROUND + 1..first_day + days + AROUND - 2 {
            let week = |day: i64| (day + 3).div_euclid(7);
            let mut spans: Vec<(u16, u16)> = Vec::new();
            for pattern in &self.patterns {
                let (from, to) = (first_day + pattern.from, pattern.to.map(|to| first_day + to));
                let is_valid = from <= day && to.is_none_or(|to| day < to);
                if is_valid && (week(day) - week(from)) % i64::from(pattern.every_weeks) == 0 {
                    spans.extend(&pattern.days[usize::try_from((day + 3).rem_euclid(7)).unwrap()]);
                }
            }
            if let Some(exception) = self.exceptions.get(&(day - first_day)) {
                spans.clone_from(exception);
            }
            for (from, to) in spans {
                let to_day = if to <= from { day + 1 } else { day };
                let from = minutes.when(day * DAY + i64::from(from));
                for minute in from..minutes.when(to_day * DAY + i64::from(to)) {
                    works[usize::try_from(minute).unwrap()] = true;
                }
            }
        }
        let base = AROUND * DAY;
        let days = self
            .away_days
            .map(|(from, to)| (minutes.when((first_day + from) * DAY), minutes.when((first_day + to) * DAY)));
        for (from, to) in self.away.map(|(from, to)| (base + from, base + to)).into_iter().chain(days) {
            for minute in from..to {
                works[usize::try_from(minute).unwrap()] = false;
            }
        }
        works
    }

    fn plan(&self, minutes: &Minutes, first_day: i64) -> ShiftPlan {
        let spans = |drawn: &[(u16, u16)]| -> Vec<DaySpan> {
            drawn
                .iter()
                .map(|(from_minute, to_minute)| DaySpan { from_minute: *from_minute, to_minute: *to_minute })
                .collect()
        };
        let patterns = self.patterns.iter().map(|pattern| WeeklyPattern {
            valid_from: date_of(first_day + pattern.from),
            valid_to: pattern.to.map(|to| date_of(first_day + to)),
            every_weeks: pattern.every_weeks,
            days: std::array::from_fn(|day| spans(&pattern.days[day])),
        });
        let base = AROUND * DAY;
        let away = self.away.map(|(from, to)| Absence::Instants(minutes.span(base + from, base + to)));
        let away_days = self
            .away_days
            .map(|(from, to)| Absence::Days(date_of(first_day + from), date_of(first_day + to)));
        ShiftPlan {
            patterns: patterns.collect(),
            exceptions: self
                .exceptions
                .iter()
                .map(|(day, drawn)| (date_of(first_day + day), spans(drawn)))
                .collect(),
            absences: away.into_iter().chain(away_days).collect(),
        }
    }
}

fn shifted(busy: &[Busy]) -> Vec<Busy> {
    busy.iter()
        .map(|(from, to, before, after)| (AROUND * DAY + from, AROUND * DAY + to, *before, *after))
        .collect()
}

/// Only what overlaps the window is given, as the window promises to be enough.
fn occupied(minutes: &Minutes, busy: &[Busy], window: Span) -> Vec<Occupied> {
    let of = |(from, to, before, after): &Busy| Occupied {
        span: minutes.span(*from, *to),
        before_minutes: u32::try_from(*before).unwrap(),
        after_minutes: u32::try_from(*after).unwrap(),
    };
    busy.iter().map(of).filter(|occupied| occupied.span.overlaps(window)).collect()
}

impl Drawn {
    fn items(&self) -> Vec<Item> {
        let of = |(service, employee): &(usize, Choice)| Item {
            service: self.services[*service].clone(),
            employee: *employee,
        };
        self.items.iter().map(of).collect()
    }

    fn skills(person: &DrawnPerson) -> Vec<u128> {
        (0..).zip(person.skills).filter(|(_, has)| *has).map(|(id, _)| id).collect()
    }

    /// The ids fall as the numbers rise, so that the order given is not the order of ids.
    fn id(&self, number: usize) -> u128 {
        (self.people.len() - number) as u128
    }

    fn model(&self, minutes: Minutes) -> Model {
        let people = self.people.iter().enumerate().map(|(number, person)| Person {
            id: self.id(number),
            skills: Drawn::skills(person),
            works: person.works(&minutes, self.first_day, self.days),
            busy: shifted(&person.busy),
        });
        let chairs = (0..).zip(&self.chairs);
        Model {
            people: people.collect(),
            chairs: chairs.map(|(id, (kind, busy))| Chair { id, kind: *kind, busy: shifted(busy) }).collect(),
            max: self.flags.0,
            may_leave: self.flags.1,
            shortest: i64::from(self.shortest),
            minutes,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            zone: self.zone.clone(),
            step_minutes: self.step,
            buffers: if self.flags.0 { Buffers::Max } else { Buffers::Sum },
            buffers_may_leave_shift: self.flags.1,
            min_notice_minutes: self.notice.1,
            max_horizon_days: self.notice.2,
        }
    }

    /// The salon as it is given for a question about these days.
    fn salon(&self, model: &Model, days: Span) -> Salon {
        let window = window(self.shortest, &self.items(), days);
        let people = self.people.iter().zip(&model.people);
        let employees = people.map(|(drawn, person)| Employee {
            id: person.id,
            skills: person.skills.clone(),
            working: drawn.plan(&model.minutes, self.first_day).working(&self.zone, window),
            booked: occupied(&model.minutes, &person.busy, window),
        });
        let chairs = model.chairs.iter();
        let resources = chairs.map(|chair| Resource {
            id: chair.id,
            kind: chair.kind,
            booked: occupied(&model.minutes, &chair.busy, window),
        });
        Salon {
            settings: self.settings(),
            shortest_service_minutes: self.shortest,
            employees: employees.collect(),
            resources: resources.collect(),
        }
    }

    /// Compares every answer with the model's.
    fn check(&self) -> Result<usize, TestCaseError> {
        let Some(minutes) = Minutes::new(&self.zone, self.first_day, self.days) else { return Ok(0) };
        let model = self.model(minutes);
        let items = self.items();
        let (from, to) = (self.first_day, self.first_day + self.days);
        let now = AROUND * DAY + self.notice.0;
        let earliest = now + i64::from(self.notice.1);
        let latest = now + i64::from(self.notice.2) * DAY;
        let is_multiple = self.asked_step > 0 && self.asked_step.is_multiple_of(self.step);
        let step = i64::from(if is_multiple { self.asked_step } else { self.step });
        let mut expected = Vec::new();
        for start in model.minutes.starts(from, to, step) {
            let mut firsts: Vec<Option<u128>> = model.people.iter().map(|person| Some(person.id)).collect();
            firsts.sort_unstable();
            let firsts = if self.flags.2 { firsts } else { vec![None] };
            for first in firsts.into_iter().filter(|_| (earliest..latest).contains(&start)) {
                if let Ok(allotted) = model.visit(&items, start, first) {
                    expected.push((model.minutes.instant(start), allotted));
                }
            }
        }
        let question = Question {
            items: items.clone(),
            from: date_of(from),
            to: date_of(to),
            step_minutes: self.asked_step,
            each_employee: self.flags.2,
        };
        let settings = self.settings();
        let salon = self.salon(&model, days_of(&settings, question.from, question.to));
        let mut offered = Vec::new();
        offers(&salon, &question, model.minutes.instant(now), |offer| {
            offered.push((
                offer.span.starts_at,
                offer.items.iter().map(|item| (item.employee, item.resource)).collect(),
            ));
            ControlFlow::Continue(())
        });
        prop_assert_eq!(&offered, &expected);
        self.check_single_starts(&model, &items, now)?;
        Ok(offered.len())
    }

    /// Compares the predicate for single starts: any minutes, and aligned ones.
    fn check_single_starts(&self, model: &Model, items: &[Item], now: i64) -> Result<(), TestCaseError> {
        let settings = self.settings();
        let aligned =
            model.minutes.starts(self.first_day - 1, self.first_day + self.days + 1, i64::from(self.step));
        let some = aligned.iter().step_by(11).copied();
        for start in self.tries.iter().map(|start| AROUND * DAY + start).chain(some) {
            let expected = if start < now + i64::from(self.notice.1) {
                Err(Misfit::TooSoon)
            } else if start >= now + i64::from(self.notice.2) * DAY {
                Err(Misfit::TooFar)
            } else if aligned.binary_search(&start).is_err() {
                Err(Misfit::NotAligned)
            } else {
                model.visit(items, start, None)
            };
            let at = model.minutes.instant(start);
            let salon = self.salon(model, day_of(&settings, at));
            let fits = fits(&salon, items, at, model.minutes.instant(now));
            let fits =
                fits.map(|offer| offer.items.iter().map(|item| (item.employee, item.resource)).collect());
            prop_assert_eq!(fits, expected, "{}", at);
        }
        prop_assert_eq!(
            first_instant(&self.zone, date_of(self.first_day)),
            model.minutes.instant(model.minutes.when(self.first_day * DAY))
        );
        Ok(())
    }
}

fn cases() -> u32 {
    std::env::var("MAITRED_SALON_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

#[test]
fn availability_is_what_the_model_counts_minute_by_minute() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let offered = std::cell::Cell::new((0_usize, 0_usize));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&drawn(), |drawn| {
        let found = drawn.check()?;
        let (with, starts) = offered.get();
        offered.set((with + usize::from(found > 0), starts + found));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let (with, starts) = offered.get();
    println!("{} cases, {with} of them with offers, {starts} offers", cases());
    assert!(with * 5 > cases() as usize, "a fifth of the cases offer something");
}
