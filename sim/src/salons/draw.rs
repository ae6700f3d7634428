//! What clients of a salon ask for: few people, few chairs and a short fortnight, so that everybody gets in everybody's
//! way. First a salon is set up; then visits are booked, moved and called off, while who works when is changed.

use maitred_booking::money::{Currency, Money};
use maitred_booking::salons::booking::BookedItem;
use maitred_booking::salons::command::{
    Advance, Book, BookSeries, CancelSeries, Change, Command, CustomerDetails, CustomerPatch,
    EmployeeDetails, EmployeePatch, EnterWaitlist, ForCustomer, OnClash, PlanChange, PutCustomer,
    PutLegacyBooking, Reschedule, ResourceDetails, ResourcePatch, ServiceDetails, ServicePatch,
    SettingsPatch, TimePatch, WantedItem,
};
use maitred_booking::salons::fact::{Buffers, ServiceTime};
use maitred_booking::salons::plan::{AbsenceTime, Day, DayTime, Pattern};
use maitred_booking::salons::{BookingStatus, Decimal, LegacyStatus};
use maitred_core::{TenantNumber, Timestamp};
use uuid::Uuid;

use super::fits::{DAY, Diary, MINUTE, Task, instant, minute};
use super::waiting::RULES;
use super::{Salon, Salons};
use crate::random::Random;

/// The first local day on which there are visits: 21 September 2026.
const FIRST_DAY: i64 = 20_717;
/// Among how many days visits are booked.
const DAYS: u64 = 8;
const EMPLOYEES: usize = 3;
const SERVICES: usize = 3;
const RESOURCES: usize = 2;
const CUSTOMERS: usize = 3;
/// How many records of other systems there are.
const EXTERNAL_IDS: u64 = 5;
/// How many starts a client looks at, to find one that is free.
const LOOKS: usize = 12;

impl Salons {
    /// Any command that a client of a tenant may ask for at about `now`.
    pub fn any_command(&self, random: &mut Random, tenant: TenantNumber, now: Timestamp) -> Command {
        let nothing = Salon::default();
        self.0.get(&tenant).unwrap_or(&nothing).any_command(random, now)
    }

    /// A command of an import: it may come again.
    pub fn any_import(random: &mut Random, now: Timestamp) -> Command {
        let external_id = format!("their-{}", random.below(EXTERNAL_IDS));
        let changed_at = Timestamp::from_micros(now.as_micros() - random.below(100) as i64 * 1_000_000);
        if random.chance(1, 3) {
            return Command::PutCustomer(PutCustomer {
                external_id,
                name: "Eve".into(),
                email: None,
                phone: None,
                created_at: changed_at,
                changed_at,
            });
        }
        Command::PutLegacyBooking(PutLegacyBooking {
            external_id: random.chance(7, 8).then_some(external_id),
            customer_id: format!("their-{}", random.below(EXTERNAL_IDS)),
            title: "a cut".into(),
            description: String::new(),
            date: instant((FIRST_DAY + random.below(DAYS) as i64) * DAY),
            status: *random.pick(&LegacyStatus::ALL),
            price: Decimal::from_cents(4_500),
            currency: Currency::parse("EUR").expect("a code"),
            created_at: changed_at,
            changed_at,
        })
    }
}

impl Salon {
    fn any_command(&self, random: &mut Random, now: Timestamp) -> Command {
        if let Some(missing) = self.any_missing(random) {
            return missing;
        }
        match random.below(64) {
            0..18 => self.any_book(random, now),
            18..20 => self.any_series(random, now),
            20 => self.any_cancelled_series(random, now),
            21..25 => self.any_entry(random),
            25 => self.any_end_of_an_entry(random),
            26..33 => self.any_reschedule(random, now),
            33..47 => self.any_step_of_a_booking(random),
            47..54 => self.any_change_of_plan(random),
            54..59 => self.any_change_of_a_record(random),
            59 => self.any_deletion(random),
            _ => Salons::any_import(random, now),
        }
    }

    /// What a salon that has just opened lacks.
    fn any_missing(&self, random: &mut Random) -> Option<Command> {
        let name = || "x".to_owned();
        if self.services.there().count() < SERVICES {
            let has_gap = random.chance(1, 3);
            let time = ServiceTime {
                duration_minutes: if has_gap { 90 } else { *random.pick(&[15, 30, 60]) },
                buffer_before_minutes: *random.pick(&[0, 0, 5]),
                buffer_after_minutes: *random.pick(&[0, 0, 10]),
                processing: has_gap.then_some((30, 45)),
            };
            return Some(Command::CreateService(ServiceDetails {
                name: name(),
                time,
                price: Money { amount: 4_500, currency: Currency::parse("EUR").expect("a code") },
                needs_resource: random.chance(1, 3).then(|| "chair".into()),
                active: true,
            }));
        }
        if self.employees.there().count() < EMPLOYEES {
            let skills = self.any_skills(random);
            return Some(Command::CreateEmployee(EmployeeDetails {
                name: name(),
                skills,
                colour: None,
                active: true,
            }));
        }
        if self.resources.there().count() < RESOURCES {
            let details = ResourceDetails { name: name(), kind: "chair".into(), active: true };
            return Some(Command::CreateResource(details));
        }
        if self.customers.there().count() < CUSTOMERS {
            let details = CustomerDetails { name: name(), email: None, phone: None, notes: None };
            return Some(Command::CreateCustomer(details));
        }
        let idle = self.employees.there().find(|employee| self.plans.current(employee.id).is_none())?;
        let what = PlanChange::SetPatterns(any_patterns(random));
        Some(Command::ChangePlan(change(random, idle.id, 0, what)))
    }

    /// Most services that are there, and now and then one that is not.
    fn any_skills(&self, random: &mut Random) -> Vec<Uuid> {
        let known: Vec<Uuid> = self.services.there().map(|service| service.id).collect();
        let mut skills: Vec<Uuid> = known.into_iter().filter(|_| random.chance(7, 8)).collect();
        if random.chance(1, 24) {
            skills.push(Uuid::max());
        }
        skills
    }

    fn any_items(&self, random: &mut Random) -> Vec<WantedItem> {
        let services: Vec<Uuid> = self.services.there().map(|service| service.id).collect();
        let employees: Vec<Uuid> = self.employees.there().map(|employee| employee.id).collect();
        let count = *random.pick(&[1, 1, 1, 2, 3]);
        let mut item = || {
            let unknown = random.chance(1, 64);
            let service = if unknown { Uuid::max() } else { *random.pick(&services) };
            let employee = random.chance(1, 2).then(|| match random.chance(1, 64) {
                true => Uuid::max(),
                false => *random.pick(&employees),
            });
            WantedItem { service, employee }
        };
        (0..count).map(|_| item()).collect()
    }

    /// Mostly a start that can be had: a client books what was offered.
    fn any_start(
        &self,
        random: &mut Random,
        tasks: Option<&[Task]>,
        now: Timestamp,
        except: Option<Uuid>,
        force: bool,
    ) -> Timestamp {
        let day = FIRST_DAY + random.below(DAYS) as i64;
        let mut any = || {
            let quarter = if random.chance(1, 8) { random.below(96) } else { random.between(36, 72) };
            let odd = if random.chance(1, 32) { 7 } else { 0 };
            instant(day * DAY + quarter as i64 * 15 + odd)
        };
        let mut start = any();
        let diary = Diary::new(self, start, now, except);
        for _ in 0..LOOKS {
            if tasks.is_some_and(|tasks| diary.has_room(tasks, start, force)) {
                break;
            }
            start = any();
        }
        start
    }

    fn any_book(&self, random: &mut Random, now: Timestamp) -> Command {
        let items = self.any_items(random);
        let force = random.chance(1, 8);
        let starts_at = self.any_start(random, self.tasks(&items).as_deref(), now, None, force);
        let known: Vec<Uuid> = self.customers.there().map(|customer| customer.id).collect();
        let customer = match random.below(32) {
            0 => ForCustomer::Known(Uuid::max()),
            1..4 => {
                let details = CustomerDetails { name: "Kim".into(), email: None, phone: None, notes: None };
                ForCustomer::New(details)
            }
            _ => ForCustomer::Known(*random.pick(&known)),
        };
        Command::Book(Book {
            customer,
            starts_at,
            items,
            hold_seconds: random.chance(1, 2).then(|| *random.pick(&[1, 5, 20, 300, 900])),
            holder: random.chance(1, 2).then_some(1),
            token_hash: None,
            force,
            notes: None,
        })
    }

    fn any_series(&self, random: &mut Random, now: Timestamp) -> Command {
        let Command::Book(book) = self.any_book(random, now) else { unreachable!("it is a booking") };
        let Book { customer, starts_at, items, force, notes, .. } = book;
        Command::BookSeries(BookSeries {
            customer,
            starts_at,
            items,
            rule: random.pick(&RULES).0.into(),
            on_clash: *random.pick(&[OnClash::Refuse, OnClash::Skip]),
            force,
            notes,
        })
    }

    fn any_cancelled_series(&self, random: &mut Random, now: Timestamp) -> Command {
        let (series, version) = any_of(random, self.series.all().map(|found| (found.is.id, found.version)));
        let days = random.below(DAYS) as i64 * DAY * MINUTE;
        let from = random.chance(1, 2).then(|| Timestamp::from_micros(now.as_micros() + days));
        Command::CancelSeries(CancelSeries { series, from, if_version: any_version(random, version) })
    }

    /// Somebody waits for a few hours of a day, now and then of one that is over.
    fn any_entry(&self, random: &mut Random) -> Command {
        let items = self.any_items(random);
        let customers: Vec<Uuid> = self.customers.there().map(|customer| customer.id).collect();
        let customer = if random.chance(1, 32) { Uuid::max() } else { *random.pick(&customers) };
        let from = (FIRST_DAY + random.below(DAYS) as i64) * DAY + random.between(36, 60) as i64 * 15;
        Command::EnterWaitlist(EnterWaitlist {
            customer,
            services: items.iter().map(|item| item.service).collect(),
            employee: items[0].employee,
            from: instant(from),
            to: instant(from + random.between(2, 24) as i64 * 15),
            token_hash: random.chance(1, 2).then_some(7),
        })
    }

    fn any_end_of_an_entry(&self, random: &mut Random) -> Command {
        let (id, version) = any_of(random, self.waitlist.all().map(|found| (found.is.id, found.version)));
        match random.chance(3, 4) {
            true => Command::CancelWaitlistEntry(change(random, id, version, ())),
            false => Command::ExpireWaitlistEntry { entry: id },
        }
    }

    fn any_booking(&self, random: &mut Random) -> (Uuid, u64) {
        let all: Vec<(Uuid, u64)> =
            self.bookings.all().map(|booking| (booking.is.id, booking.version)).collect();
        let open: Vec<(Uuid, u64)> = self
            .bookings
            .all()
            .filter(|booking| matches!(booking.is.status, BookingStatus::Held | BookingStatus::Confirmed))
            .map(|booking| (booking.is.id, booking.version))
            .collect();
        match (all.is_empty(), open.is_empty() || random.chance(1, 6)) {
            (true, _) => (Uuid::max(), 1),
            (false, true) => *random.pick(&all),
            (false, false) => *random.pick(&open),
        }
    }

    fn any_reschedule(&self, random: &mut Random, now: Timestamp) -> Command {
        let (booking, version) = self.any_booking(random);
        let force = random.chance(1, 8);
        let known = self.bookings.current(booking).map(|found| &found.is);
        let items = match (random.below(6), known) {
            (0..2, _) => Some(self.any_items(random)),
            // Some send back what they read, or what they read by other employees.
            (2, Some(known)) => {
                let keeps = random.chance(1, 2);
                let same = |item: &BookedItem| WantedItem {
                    service: item.service,
                    employee: keeps.then_some(item.employee.id),
                };
                Some(known.items.iter().map(same).collect())
            }
            _ => None,
        };
        let tasks = known.and_then(|known| self.tasks_of_moved(known, items.as_deref()).ok());
        let starts_at = match known {
            Some(known) if random.chance(1, 8) => known.starts_at,
            _ => self.any_start(random, tasks.as_deref(), now, Some(booking), force),
        };
        let if_version = any_version(random, version);
        Command::Reschedule(Reschedule { booking, starts_at, items, force, if_version })
    }

    fn any_step_of_a_booking(&self, random: &mut Random) -> Command {
        let (booking, version) = self.any_booking(random);
        let what = match random.below(16) {
            0..8 => Advance::Confirm,
            8..12 => Advance::Cancel,
            12..14 => Advance::Complete,
            14 => Advance::NoShow,
            _ => return Command::ExpireBooking { booking },
        };
        Command::Advance(change(random, booking, version, what))
    }

    fn any_change_of_plan(&self, random: &mut Random) -> Command {
        let employees: Vec<Uuid> = self.employees.there().map(|employee| employee.id).collect();
        let employee = if random.chance(1, 32) { Uuid::max() } else { *random.pick(&employees) };
        let plan = self.plans.current(employee);
        let date = FIRST_DAY + random.below(DAYS) as i64;
        let day = day(date);
        let what = match random.below(12) {
            0..2 => PlanChange::SetPatterns(any_patterns(random)),
            2..5 => PlanChange::SetException(day, any_spans(random)),
            5..7 => PlanChange::RemoveException(day),
            7 => {
                let time = AbsenceTime::Days(day, self::day(date + random.between(1, 2) as i64));
                PlanChange::AddAbsence { time, reason: None }
            }
            8..10 => {
                let from = date * DAY + random.between(32, 64) as i64 * 15;
                let to = instant(from + random.between(1, 8) as i64 * 30);
                PlanChange::AddAbsence { time: AbsenceTime::Instants(instant(from), to), reason: None }
            }
            _ => {
                let known = plan.map_or(&[][..], |plan| &plan.is.absences);
                let known: Vec<Uuid> = known.iter().map(|absence| absence.id).collect();
                let unknown = known.is_empty() || random.chance(1, 8);
                PlanChange::RemoveAbsence(if unknown { Uuid::max() } else { *random.pick(&known) })
            }
        };
        Command::ChangePlan(change(random, employee, plan.map_or(0, |plan| plan.version), what))
    }

    fn any_change_of_a_record(&self, random: &mut Random) -> Command {
        let active = Some(random.chance(7, 8));
        match random.below(10) {
            0..2 => {
                let patch = SettingsPatch {
                    step_minutes: random.chance(1, 2).then(|| *random.pick(&[15, 30])),
                    buffers: random.chance(1, 2).then(|| *random.pick(&[Buffers::Sum, Buffers::Max])),
                    buffers_may_leave_shift: random.chance(1, 2).then(|| random.chance(1, 2)),
                    min_notice_minutes: random.chance(1, 2).then(|| *random.pick(&[0, 0, 60])),
                    max_horizon_days: random.chance(1, 4).then(|| *random.pick(&[6, 60])),
                    offer_minutes: random.chance(1, 2).then(|| *random.pick(&[15, 60, 240])),
                };
                let version = self.settings.current(Uuid::nil()).map_or(0, |found| found.version);
                Command::ChangeSettings(change(random, (), version, patch))
            }
            2..5 => {
                let (id, version) =
                    any_of(random, self.employees.all().map(|found| (found.is.id, found.version)));
                if random.chance(1, 6) {
                    let hash = random.chance(3, 4).then(|| u128::from(random.below(2)));
                    return Command::SetCalendarToken(change(random, id, version, hash));
                }
                // Some send back what they read, skills whose service is gone among them.
                let known = self.employees.current(id).map(|found| found.is.skills.clone());
                let skills = match random.below(4) {
                    0 => known,
                    1 => Some(self.any_skills(random)),
                    _ => None,
                };
                let patch = EmployeePatch { skills, active, ..EmployeePatch::default() };
                Command::UpdateEmployee(change(random, id, version, patch))
            }
            5..8 => {
                let (id, version) =
                    any_of(random, self.services.all().map(|found| (found.is.id, found.version)));
                let buffer_after_minutes = random.chance(1, 2).then(|| *random.pick(&[0, 5, 15]));
                let time = TimePatch { buffer_after_minutes, ..TimePatch::default() };
                let needs_resource =
                    random.chance(1, 6).then(|| random.chance(1, 2).then(|| "chair".to_owned()));
                let patch = ServicePatch { time, active, needs_resource, ..ServicePatch::default() };
                Command::UpdateService(change(random, id, version, patch))
            }
            8 => {
                let (id, version) =
                    any_of(random, self.resources.all().map(|found| (found.is.id, found.version)));
                let patch = ResourcePatch { active, ..ResourcePatch::default() };
                Command::UpdateResource(change(random, id, version, patch))
            }
            _ => {
                let (id, version) =
                    any_of(random, self.customers.all().map(|found| (found.is.id, found.version)));
                let name = Some(if random.chance(1, 2) { "Ann" } else { "Bo" }.to_owned());
                Command::UpdateCustomer(change(
                    random,
                    id,
                    version,
                    CustomerPatch { name, ..CustomerPatch::default() },
                ))
            }
        }
    }

    fn any_deletion(&self, random: &mut Random) -> Command {
        match random.below(5) {
            0..2 => {
                let (id, version) =
                    any_of(random, self.employees.all().map(|found| (found.is.id, found.version)));
                Command::DeleteEmployee(change(random, id, version, ()))
            }
            2 => {
                let (id, version) =
                    any_of(random, self.resources.all().map(|found| (found.is.id, found.version)));
                Command::DeleteResource(change(random, id, version, ()))
            }
            3 => {
                let (id, version) =
                    any_of(random, self.services.all().map(|found| (found.is.id, found.version)));
                Command::DeleteService(change(random, id, version, ()))
            }
            _ => {
                let (id, version) =
                    any_of(random, self.customers.all().map(|found| (found.is.id, found.version)));
                Command::DeleteCustomer(change(random, id, version, ()))
            }
        }
    }

    /// What a client may ask to be offered: services, and a day.
    pub(super) fn any_question(&self, random: &mut Random) -> Option<(Vec<WantedItem>, Timestamp)> {
        let is_open = self.services.there().next().is_some() && self.employees.there().next().is_some();
        let day = FIRST_DAY + random.below(DAYS) as i64;
        is_open.then(|| (self.any_items(random), instant(day * DAY)))
    }

    /// The starts that a local day might have, and some that it cannot.
    pub(super) fn starts_of(day: Timestamp) -> impl Iterator<Item = Timestamp> {
        let first = minute(day);
        (0..DAY / 15).map(move |quarter| instant(first + quarter * 15))
    }
}

fn any_of(random: &mut Random, known: impl Iterator<Item = (Uuid, u64)>) -> (Uuid, u64) {
    let known: Vec<(Uuid, u64)> = known.collect();
    if known.is_empty() { (Uuid::max(), 1) } else { *random.pick(&known) }
}

/// Now and then only of a certain version, which is the current one or the one before.
fn any_version(random: &mut Random, version: u64) -> Option<u64> {
    random.chance(1, 6).then(|| version - random.below(2).min(version))
}

fn change<Id, What>(random: &mut Random, id: Id, version: u64, what: What) -> Change<Id, What> {
    Change { id, what, if_version: any_version(random, version) }
}

fn day(number: i64) -> Day {
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::SignedDuration::from_hours(24 * number));
    Day::of(date.expect("the simulated fortnight has dates"))
}

fn any_spans(random: &mut Random) -> Vec<DayTime> {
    let span = |from: u16, to: u16| DayTime { from_minute: from * 60, to_minute: to * 60 };
    match random.below(6) {
        0 => Vec::new(),
        1 => vec![span(9, 12), span(13, 18)],
        2 => vec![span(20, 2)],
        3 => vec![span(8, 13), span(12, 16)],
        _ => vec![span(9, 18)],
    }
}

fn any_patterns(random: &mut Random) -> Vec<Pattern> {
    let any = |random: &mut Random| {
        let valid_from = FIRST_DAY - 10 + random.below(14) as i64;
        let ends = random.chance(1, 3);
        let valid_to = ends.then(|| day(valid_from + random.between(7, 20) as i64));
        let spans = [any_spans(random), any_spans(random)];
        let days = std::array::from_fn(|_| random.pick(&spans).clone());
        Pattern { valid_from: day(valid_from), valid_to, every_weeks: *random.pick(&[1, 1, 1, 2]), days }
    };
    let first = any(random);
    if random.chance(1, 4) { vec![first, any(random)] } else { vec![first] }
}
