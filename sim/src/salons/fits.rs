//! When a visit can start, by the plainest means: minute by minute, and every booking looked at for every question.
//!
//! Nothing is shared with the product's calculus but the words for records. Local time is that of Berlin in summer, two
//! hours before UTC: the simulated weeks have no other.

use maitred_booking::salons::booking::BookedItem;
use maitred_booking::salons::command::WantedItem;
use maitred_booking::salons::fact::{Buffers, Employee, Resource, ServiceTime, Settings};
use maitred_booking::salons::plan::{AbsenceTime, Day, DayTime, Pattern, PlanState};
use maitred_booking::slot::ResourceNumber;
use maitred_core::Timestamp;
use uuid::Uuid;

use super::Salon;

/// Minutes that local time is ahead of UTC.
const OFFSET: i64 = 120;
/// Microseconds of a minute.
pub(super) const MINUTE: i64 = 60_000_000;
/// Minutes of a day.
pub(super) const DAY: i64 = 24 * 60;

/// Occupied time in local minutes, with its buffers.
#[derive(Debug, Clone, Copy)]
struct Occupied {
    from: i64,
    to: i64,
    before: i64,
    after: i64,
}

/// A service that is to be done at a visit, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) service: Uuid,
    time: ServiceTime,
    kind: Option<String>,
    can_be_booked: bool,
    employee: Option<Uuid>,
    /// The employee does it in the visit that is moved already: nobody asks for the skill.
    is_kept: bool,
}

impl Salon {
    /// Services as they are now, if they are all there.
    pub(super) fn tasks(&self, items: &[WantedItem]) -> Option<Vec<Task>> {
        items.iter().map(|item| self.task(item)).collect()
    }

    pub(super) fn task(&self, item: &WantedItem) -> Option<Task> {
        let service = self.services.get(item.service)?;
        Some(Task {
            service: service.id,
            time: service.time,
            kind: service.needs_resource.clone(),
            can_be_booked: service.active,
            employee: item.employee,
            is_kept: false,
        })
    }

    /// A service as it was booked, by the same or another employee.
    pub(super) fn task_as_booked(&self, item: &BookedItem, employee: Option<Uuid>) -> Task {
        let resource = item.resource.and_then(|place| self.resources.current(place.id));
        Task {
            service: item.service,
            time: item.time,
            kind: resource.map(|resource| resource.is.kind.clone()),
            can_be_booked: true,
            employee,
            is_kept: employee == Some(item.employee.id),
        }
    }
}

/// What is booked of whom at an instant, for questions about one local day.
pub(super) struct Diary<'a> {
    salon: &'a Salon,
    settings: Settings,
    at: Timestamp,
    /// The first local minute of the day before.
    first: i64,
    employees: Vec<Page<'a, Employee>>,
    resources: Vec<Page<'a, Resource>>,
}

/// An employee or a resource.
struct Page<'a, T> {
    is: &'a T,
    /// Whether each minute from the diary's first on, for three days, is worked.
    works: Vec<bool>,
    booked: Vec<Occupied>,
}

/// The local minute of an instant; starts of visits are whole minutes.
pub(super) fn minute(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(MINUTE) + OFFSET
}

/// The instant of a local minute.
pub(super) fn instant(minute: i64) -> Timestamp {
    Timestamp::from_micros((minute - OFFSET) * MINUTE)
}

impl<'a> Diary<'a> {
    /// The diary at `at`, around the local day of `day`. A booking that is to be moved is not in it.
    pub(super) fn new(salon: &'a Salon, day: Timestamp, at: Timestamp, except: Option<Uuid>) -> Self {
        let first = minute(day).div_euclid(DAY) * DAY - DAY;
        let booked = |number: ResourceNumber, is_employee: bool| {
            let items = salon.active(at).filter(|booking| Some(booking.id) != except);
            let items = items.flat_map(|booking| &booking.items);
            items.flat_map(|item| occupied(item, number, is_employee)).collect()
        };
        let employees = salon.employees.there().map(|is| {
            let plan = salon.plans.current(is.id).map(|plan| &plan.is);
            let works = plan.map_or(Vec::new(), |plan| worked(plan, first));
            Page { is, works, booked: booked(is.number, true) }
        });
        let employees = employees.collect();
        let resources = salon.resources.there();
        let resources =
            resources.map(|is| Page { is, works: Vec::new(), booked: booked(is.number, false) }).collect();
        Diary { salon, settings: salon.settings(), at, first, employees, resources }
    }

    /// Whether a visit can be booked to start at an instant, or with `force` be put there.
    pub(super) fn fits(&self, items: &[WantedItem], starts_at: Timestamp, force: bool) -> bool {
        self.salon.tasks(items).is_some_and(|tasks| self.has_room(&tasks, starts_at, force))
    }

    /// The same of tasks.
    pub(super) fn has_room(&self, tasks: &[Task], starts_at: Timestamp, force: bool) -> bool {
        if !force && (tasks.iter().any(|task| !task.can_be_booked) || !self.may_start(starts_at)) {
            return false;
        }
        let mut start = minute(starts_at);
        tasks.iter().all(|task| {
            let begins = start;
            start += i64::from(task.time.duration_minutes);
            let can = |page: &Page<'_, Employee>| self.does(page, task, begins, force);
            let has = |page: &Page<'_, Resource>| self.has(page, task, begins, force);
            self.employees.iter().any(can) && (task.kind.is_none() || self.resources.iter().any(has))
        })
    }

    /// Whether a booked item is with somebody, and somewhere, that it may be with.
    pub(super) fn allows(&self, item: &BookedItem, task: &Task, force: bool) -> bool {
        let begins = minute(item.starts_at);
        let employee = self.employees.iter().find(|page| page.is.id == item.employee.id);
        let resource = item.resource.map(|place| self.resources.iter().find(|page| page.is.id == place.id));
        let has =
            |page: Option<&Page<'_, Resource>>| page.is_some_and(|page| self.has(page, task, begins, force));
        item.time == task.time
            && employee.is_some_and(|page| self.does(page, task, begins, force))
            && resource.is_some() == task.kind.is_some()
            && resource.is_none_or(has)
    }

    /// Notice, horizon and step.
    fn may_start(&self, starts_at: Timestamp) -> bool {
        let (micros, now) = (starts_at.as_micros(), self.at.as_micros());
        let minutes = i64::from(self.settings.min_notice_minutes);
        let days = i64::from(self.settings.max_horizon_days);
        micros >= now + minutes * MINUTE
            && micros < now + days * DAY * MINUTE
            && micros % MINUTE == 0
            && minute(starts_at).rem_euclid(DAY) % i64::from(self.settings.step_minutes) == 0
    }

    fn does(&self, page: &Page<'_, Employee>, task: &Task, begins: i64, force: bool) -> bool {
        let may = page.is.active && (task.is_kept || page.is.skills.contains(&task.service));
        let suits = match task.employee {
            Some(named) => page.is.id == named && (may || force),
            None => may,
        };
        suits
            && employee_time(&task.time, begins).all(|time| {
                self.is_apart(time, &page.booked, force) && (force || self.is_worked(time, &page.works))
            })
    }

    fn has(&self, page: &Page<'_, Resource>, task: &Task, begins: i64, force: bool) -> bool {
        page.is.active
            && task.kind.as_ref() == Some(&page.is.kind)
            && self.is_apart(resource_time(&task.time, begins), &page.booked, force)
    }

    fn is_worked(&self, time: Occupied, works: &[bool]) -> bool {
        let kept = |buffer| if self.settings.buffers_may_leave_shift { 0 } else { buffer };
        let mut minutes = time.from - kept(time.before)..time.to + kept(time.after);
        minutes.all(|minute| works.get((minute - self.first) as usize).copied().unwrap_or(false))
    }

    /// Whether it keeps its distance from all that is booked; force keeps none.
    fn is_apart(&self, time: Occupied, booked: &[Occupied], force: bool) -> bool {
        let between = |after: i64, before: i64| match self.settings.buffers {
            _ if force => 0,
            Buffers::Sum => after + before,
            Buffers::Max => after.max(before),
        };
        booked.iter().all(|booked| {
            time.to + between(time.after, booked.before) <= booked.from
                || booked.to + between(booked.after, time.before) <= time.from
        })
    }
}

/// What an item occupies of an employee, or of a resource, in spans of local minutes.
pub(super) fn spans(item: &BookedItem, number: ResourceNumber) -> impl Iterator<Item = (i64, i64)> {
    let of = |is_employee| occupied(item, number, is_employee).map(|time| (time.from, time.to));
    of(true).chain(of(false)).collect::<Vec<_>>().into_iter()
}

fn occupied(
    item: &BookedItem,
    number: ResourceNumber,
    is_employee: bool,
) -> impl Iterator<Item = Occupied> + use<> {
    let begins = minute(item.starts_at);
    let employee = (is_employee && item.employee.number == number).then(|| employee_time(&item.time, begins));
    let resource = item.resource.filter(|place| !is_employee && place.number == number);
    employee.into_iter().flatten().chain(resource.map(|_| resource_time(&item.time, begins)))
}

fn resource_time(time: &ServiceTime, from: i64) -> Occupied {
    let to = from + i64::from(time.duration_minutes);
    let (before, after) = (i64::from(time.buffer_before_minutes), i64::from(time.buffer_after_minutes));
    Occupied { from, to, before, after }
}

/// The employee is free while something works in: between the two parts there is nobody's time.
fn employee_time(time: &ServiceTime, from: i64) -> impl Iterator<Item = Occupied> + use<> {
    let whole = resource_time(time, from);
    let parts = match time.processing {
        None => vec![whole],
        Some((after, minutes)) => {
            let gap = from + i64::from(after);
            let first = Occupied { to: gap, after: 0, ..whole };
            vec![first, Occupied { from: gap + i64::from(minutes), before: 0, ..whole }]
        }
    };
    parts.into_iter()
}

/// Days after 1 January 1970.
fn number(day: Day) -> i64 {
    day.date().duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24
}

/// Which local minutes of the three days from `first` on somebody with this plan works.
fn worked(plan: &PlanState, first: i64) -> Vec<bool> {
    let mut works = vec![false; 3 * DAY as usize];
    let mut paint = |from: i64, to: i64, is_worked: bool| {
        let within = |minute: i64| (minute - first).clamp(0, 3 * DAY) as usize;
        works[within(from)..within(to.max(from))].fill(is_worked);
    };
    // A span of the day before may reach into the first one.
    for day in first / DAY - 1..first / DAY + 3 {
        for (from, to) in shifts(plan, day) {
            paint(from, to, true);
        }
    }
    for absence in &plan.absences {
        match absence.time {
            AbsenceTime::Days(from, to) => paint(number(from) * DAY, number(to) * DAY, false),
            AbsenceTime::Instants(from, to) => paint(minute(from), minute(to), false),
        }
    }
    works
}

/// The shifts that begin on a day, in local minutes.
fn shifts(plan: &PlanState, day: i64) -> Vec<(i64, i64)> {
    let span = |span: &DayTime| {
        let (from, to) = (i64::from(span.from_minute), i64::from(span.to_minute));
        let to = if to <= from { to + DAY } else { to };
        (day * DAY + from, day * DAY + to)
    };
    if let Some((_, spans)) = plan.exceptions.iter().find(|(exception, _)| number(*exception) == day) {
        return spans.iter().map(span).collect();
    }
    let monday = |day: i64| day - (day + 3).rem_euclid(7); // the first day of all was a Thursday
    let is_valid = |pattern: &&Pattern| {
        let valid_from = number(pattern.valid_from);
        let weeks = (monday(day) - monday(valid_from)) / 7;
        valid_from <= day
            && pattern.valid_to.is_none_or(|to| day < number(to))
            && weeks % i64::from(pattern.every_weeks) == 0
    };
    let valid = plan.patterns.iter().filter(is_valid);
    valid.flat_map(|pattern| &pattern.days[(day - monday(day)) as usize]).map(span).collect()
}
