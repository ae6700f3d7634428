//! What the calculation of availability is given, and what it answers: plain values, in minutes and instants.
//!
//! Invariants: nothing here knows the view, a clock or HTTP. What is guarded is the *occupied* time of
//! employees and resources: in a processing gap the client sits and the employee is free, and what keeps
//! two visits apart are the buffers of their occupied times. Between the services of one visit no buffer is
//! kept, since the client stays.
//!
//! Next: [`super::shifts`] makes `working`, [`super::availability`] answers.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use maitred_core::Timestamp;

use super::intervals::{Intervals, Span};
use super::local_time::{DAY_MINUTES, later};

/// The most services of one visit.
pub const SERVICES_IN_A_ROW_MAX: usize = 10;
/// The longest service, in minutes.
pub const DURATION_MINUTES_MAX: u32 = DAY_MINUTES;
/// The longest buffer before or after a service, in minutes.
pub const BUFFER_MINUTES_MAX: u32 = 4 * 60;
/// The shortest step from one start to the next, in minutes.
pub const STEP_MINUTES_MIN: u32 = 5;
/// The longest step from one start to the next, in minutes.
pub const STEP_MINUTES_MAX: u32 = 60;
/// The most local days of one question.
pub const DAYS_MAX: u32 = 366;

/// How far two neighbours stay apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Buffers {
    /// By the buffer after the first and the buffer before the second, added up.
    #[default]
    Sum,
    /// By the longer of the two.
    Max,
}

impl Buffers {
    /// The minutes between the end of one and the start of the next.
    pub fn between(self, after_first: u32, before_second: u32) -> u32 {
        match self {
            Buffers::Sum => after_first.saturating_add(before_second),
            Buffers::Max => after_first.max(before_second),
        }
    }
}

/// A tenant's rules for offering time.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where local days and times are meant.
    pub zone: TimeZone,
    /// Starts are multiples of this after local midnight; [`STEP_MINUTES_MIN`] to [`STEP_MINUTES_MAX`].
    pub step_minutes: u32,
    /// How far two visits stay apart.
    pub buffers: Buffers,
    /// Whether buffers may lie outside the working time; occupied time never may.
    pub buffers_may_leave_shift: bool,
    /// A visit starts at least this long after now.
    pub min_notice_minutes: u32,
    /// A visit starts less than this many times 24 hours after now.
    pub max_horizon_days: u32,
}

/// A time within a service in which the client sits and the employee is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processing {
    /// From the start of the service to the start of the gap.
    pub after_minutes: u32,
    /// How long the gap is; it is part of the service's duration.
    pub for_minutes: u32,
}

/// What kind of resource it is: a number that the caller gives to "chair" or "room".
pub type ResourceKind = u32;

/// A service, as far as time is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its id, which employees have among their skills.
    pub id: u128,
    /// How long the client is there, a processing gap included; at least 1, at most [`DURATION_MINUTES_MAX`].
    pub duration_minutes: u32,
    /// What the employee and the resource need before it; at most [`BUFFER_MINUTES_MAX`].
    pub buffer_before_minutes: u32,
    /// What they need after it; at most [`BUFFER_MINUTES_MAX`].
    pub buffer_after_minutes: u32,
    /// The gap in which the employee is free.
    pub processing: Option<Processing>,
    /// A resource of this kind is taken for the whole duration.
    pub needs_resource: Option<ResourceKind>,
}

/// Occupied time, with the buffers that keep others away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Occupied {
    /// When. An empty span occupies nothing.
    pub span: Span,
    /// The buffer before it, in minutes.
    pub before_minutes: u32,
    /// The buffer after it, in minutes.
    pub after_minutes: u32,
}

impl Service {
    /// Whether a processing gap has the employee's work on both its sides: it begins at least a minute
    /// after the start, is at least a minute long, and ends before the service does.
    pub fn has_sound_processing(&self) -> bool {
        self.processing.is_none_or(|gap| {
            let ends = gap.after_minutes.checked_add(gap.for_minutes);
            gap.after_minutes > 0
                && gap.for_minutes > 0
                && ends.is_some_and(|ends| ends < self.duration_minutes)
        })
    }

    /// When the service ends.
    pub fn ends_at(&self, starts_at: Timestamp) -> Timestamp {
        later(starts_at, self.duration_minutes.max(1))
    }

    /// What the service occupies of its employee: one span, or two with a processing gap between them. The
    /// buffers stand at the outer ends. A gap that is not sound is none.
    pub fn employee_time(&self, starts_at: Timestamp) -> impl Iterator<Item = Occupied> + use<> {
        let whole = self.resource_time(starts_at);
        let gap = self.processing.filter(|_| self.has_sound_processing());
        let (first, second) = match gap {
            None => (whole, None),
            Some(gap) => {
                let gap_starts_at = later(starts_at, gap.after_minutes);
                let gap_ends_at = later(gap_starts_at, gap.for_minutes);
                let before = Span::new(starts_at, gap_starts_at);
                let after = Span::new(gap_ends_at, whole.span.ends_at);
                let first = Occupied { span: before, after_minutes: 0, ..whole };
                (first, Some(Occupied { span: after, before_minutes: 0, ..whole }))
            }
        };
        std::iter::once(first).chain(second)
    }

    /// What the service occupies of its resource: all of its duration.
    pub fn resource_time(&self, starts_at: Timestamp) -> Occupied {
        Occupied {
            span: Span::new(starts_at, self.ends_at(starts_at)),
            before_minutes: self.buffer_before_minutes,
            after_minutes: self.buffer_after_minutes,
        }
    }
}

/// An active employee, within the window of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Employee {
    /// The id.
    pub id: u128,
    /// The ids of the services that this employee does.
    pub skills: Vec<u128>,
    /// When the employee works: shifts without absences.
    pub working: Intervals,
    /// What is booked, in any order. Of a visit that is to be moved, nothing.
    pub booked: Vec<Occupied>,
}

/// An active resource, within the window of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The id.
    pub id: u128,
    /// What it is.
    pub kind: ResourceKind,
    /// What is booked, in any order. Of a visit that is to be moved, nothing.
    pub booked: Vec<Occupied>,
}

/// A salon, as far as a question concerns it.
#[derive(Debug, Clone, PartialEq)]
pub struct Salon {
    /// The rules.
    pub settings: Settings,
    /// The duration of the shortest active service: a free time shorter than this cannot be sold.
    pub shortest_service_minutes: u32,
    /// Who can be booked.
    pub employees: Vec<Employee>,
    /// Which chairs and rooms there are.
    pub resources: Vec<Resource>,
}

/// Who is to do a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Whoever suits best.
    Any,
    /// This employee, who must have the skill.
    One(u128),
    /// This employee, who does it in the visit that is moved already: the skill is not asked for again.
    Keeps(u128),
}

impl Choice {
    /// The employee, if one is named.
    pub fn named(self) -> Option<u128> {
        match self {
            Choice::Any => None,
            Choice::One(id) | Choice::Keeps(id) => Some(id),
        }
    }

    /// Whether an employee may do a service.
    pub fn allows(self, service: &Service, employee: &Employee) -> bool {
        let has_skill = || employee.skills.contains(&service.id);
        match self {
            Choice::Any => has_skill(),
            Choice::One(wanted) => employee.id == wanted && has_skill(),
            Choice::Keeps(wanted) => employee.id == wanted,
        }
    }
}

/// A service of a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What is done.
    pub service: Service,
    /// Who is to do it.
    pub employee: Choice,
}

/// A question: when can these services be done, one after another?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The services, in their order: 1 to [`SERVICES_IN_A_ROW_MAX`]. For none nothing is offered.
    pub items: Vec<Item>,
    /// The first local day of the starts.
    pub from: Date,
    /// The first local day behind them. Days from the [`DAYS_MAX`]-th on are not looked at.
    pub to: Date,
    /// A multiple of the tenant's step, to be offered fewer starts. Starts that are not aligned to the
    /// tenant's step as well are not offered.
    pub step_minutes: u32,
    /// Whether each start is wanted once for each employee who can do the first service, and not only with
    /// the one who suits best.
    pub each_employee: bool,
}

/// A service of a visit with its time, and who and what it is allotted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allotted {
    /// When the client is there for it.
    pub span: Span,
    /// Who does it.
    pub employee: u128,
    /// Where, if it needs a resource.
    pub resource: Option<u128>,
}

/// A start that can be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// From the start of the first service to the end of the last; buffers are outside of it.
    pub span: Span,
    /// The services, in their order.
    pub items: Vec<Allotted>,
}

/// Why a visit cannot start at an instant; the first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// There is no service in it, or more than [`SERVICES_IN_A_ROW_MAX`].
    Services,
    /// The start is sooner than `min_notice_minutes` from now.
    TooSoon,
    /// The start is `max_horizon_days` from now or later.
    TooFar,
    /// The start is not aligned to the step.
    NotAligned,
    /// Nobody who may and can do the service with this number (from 0) is free for it.
    NoEmployee(usize),
    /// No resource that the service with this number needs is free for it.
    NoResource(usize),
}
