//! What a question about availability needs of the view, as the plain values of [`super::calculus`].
//!
//! Invariants:
//! - A hold that is over at the instant of the question occupies nothing, whether or not it is settled.
//! - What is read is bounded: by the salon's employees and resources, and by the window of the question.

use jiff::tz::TimeZone;
use maitred_core::{Read, Seq, TenantNumber, Timestamp};
use uuid::Uuid;

use super::availability;
use super::booking::BookedItem;
use super::calculus::{self, Choice, Item, Occupied, Salon};
use super::fact::{Buffers, Employee, Resource, Service, Settings};
use super::intervals::Span;
use super::view;
use crate::record::Kind;
use crate::slot::{self, Claim, Interval, ResourceNumber};
use crate::tenants;

/// The most claims of an employee that are looked up at once.
const CLAIMS_MAX: usize = 1_000;

/// The time zone of a tenant.
pub fn zone(view: &dyn Read, tenant: TenantNumber) -> TimeZone {
    zone_as_of(view, tenant, None)
}

/// The time zone that a tenant has now, or had after the batch `as_of`.
pub fn zone_as_of(view: &dyn Read, tenant: TenantNumber, as_of: Option<Seq>) -> TimeZone {
    let profile = tenants::tenant_as_of(view, tenant, as_of).map(|tenant| tenant.profile);
    let zone = profile.and_then(|profile| TimeZone::get(&profile.time_zone).ok());
    zone.unwrap_or(TimeZone::UTC) // of a tenant that is closed
}

/// A service that is wanted, and who is to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What is done.
    pub service: Service,
    /// Who does it; whoever suits best without it.
    pub employee: Option<Uuid>,
    /// Whether that employee does it in the visit that is moved already: then the skill is not asked for again.
    pub is_kept: bool,
}

impl Wanted {
    /// A service as it is now.
    pub fn now(service: Service, employee: Option<Uuid>) -> Self {
        Wanted { service, employee, is_kept: false }
    }

    /// An item of a visit that is moved, by `employee` from now on: its name, times and price are those it was booked
    /// with, whatever has become of its service. Where it has a resource, it takes one of that kind.
    pub fn as_booked(
        view: &dyn Read,
        tenant: TenantNumber,
        item: &BookedItem,
        employee: Option<Uuid>,
    ) -> Self {
        let resource = item.resource.and_then(|place| view::any::<Resource>(view, tenant, place.id, None));
        let service = Service {
            id: item.service,
            name: item.name.clone(),
            time: item.time,
            price: item.price,
            needs_resource: resource.map(|resource| resource.is.kind),
            // It was booked: whether it can be now is not asked, and how old it is by nobody.
            active: true,
            deleted: false,
            created_at: item.starts_at,
        };
        Wanted { service, employee, is_kept: employee == Some(item.employee.id) }
    }
}

/// A salon as a question sees it, with what its numbers mean.
#[derive(Debug)]
pub struct Gathered {
    /// What is calculated with.
    pub salon: Salon,
    /// The services of the visit.
    pub items: Vec<Item>,
    /// The employees.
    pub employees: Vec<Employee>,
    /// The resources.
    pub resources: Vec<Resource>,
}

/// Who asks about whose time, and when.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Where it is read.
    pub view: &'a dyn Read,
    /// Whose salon.
    pub tenant: TenantNumber,
    /// The instant of the question.
    pub now: Timestamp,
    /// A booking that is to be moved: what it claims is free.
    pub except: Option<Uuid>,
}

impl Gathered {
    /// Reads what a visit of these services needs whose start lies within `days`.
    pub fn read(
        asked: &Asked<'_>,
        wanted: &[Wanted],
        days: impl FnOnce(&calculus::Settings) -> Span,
    ) -> Self {
        Self::read_beside(asked, wanted, &[], days)
    }

    /// The same beside visits that the view does not have yet.
    pub fn read_beside(
        asked: &Asked<'_>,
        wanted: &[Wanted],
        beside: &[BookedItem],
        days: impl FnOnce(&calculus::Settings) -> Span,
    ) -> Self {
        let Asked { view, tenant, .. } = *asked;
        let settings = calculated(&view::settings(view, tenant, None).is, zone(view, tenant));
        let services: Vec<Service> = view::all(view, tenant);
        let active = services.iter().filter(|service| service.active);
        let shortest = active.map(|service| service.time.duration_minutes).min().unwrap_or(0);
        let kinds = Kinds::of(wanted);
        let items = kinds.items(wanted);
        let window = availability::window(shortest, &items, days(&settings));
        let suits =
            |employee: &Employee| employee.active && wanted.iter().any(|wanted| can_do(wanted, employee));
        let near = |item: &&BookedItem| Span::new(item.starts_at, item.ends_at()).overlaps(window);
        let beside: Vec<&BookedItem> = beside.iter().filter(near).collect();
        let employees: Vec<Employee> = view::all(view, tenant).into_iter().filter(suits).collect();
        let calculated_employees = employees.iter().map(|employee| {
            let plan = view::plan(view, tenant, employee.id, None).is.calculated();
            calculus::Employee {
                id: employee.id.as_u128(),
                skills: employee.skills.iter().map(Uuid::as_u128).collect(),
                working: plan.working(&settings.zone, window),
                booked: booked(asked, &beside, employee.number, window),
            }
        });
        let calculated_employees = calculated_employees.collect();
        let needed = |resource: &Resource| resource.active && kinds.number(&resource.kind).is_some();
        let resources: Vec<Resource> = match kinds.0.is_empty() {
            true => Vec::new(),
            false => view::all(view, tenant).into_iter().filter(needed).collect(),
        };
        let calculated_resources = resources.iter().map(|resource| calculus::Resource {
            id: resource.id.as_u128(),
            kind: kinds.number(&resource.kind).unwrap_or_default(),
            booked: booked(asked, &beside, resource.number, window),
        });
        let calculated_resources = calculated_resources.collect();
        let salon = Salon {
            settings,
            shortest_service_minutes: shortest,
            employees: calculated_employees,
            resources: calculated_resources,
        };
        Gathered { salon, items, employees, resources }
    }
}

fn can_do(wanted: &Wanted, employee: &Employee) -> bool {
    wanted.employee.is_none_or(|id| id == employee.id)
        && (wanted.is_kept || employee.skills.contains(&wanted.service.id))
}

fn calculated(settings: &Settings, zone: TimeZone) -> calculus::Settings {
    calculus::Settings {
        zone,
        step_minutes: settings.step_minutes,
        buffers: match settings.buffers {
            Buffers::Sum => calculus::Buffers::Sum,
            Buffers::Max => calculus::Buffers::Max,
        },
        buffers_may_leave_shift: settings.buffers_may_leave_shift,
        min_notice_minutes: settings.min_notice_minutes,
        max_horizon_days: settings.max_horizon_days,
    }
}

/// The kinds of resource that a visit needs: each has its place here as its number.
struct Kinds<'a>(Vec<&'a str>);

impl<'a> Kinds<'a> {
    fn of(wanted: &'a [Wanted]) -> Self {
        let mut kinds: Vec<&str> =
            wanted.iter().filter_map(|wanted| wanted.service.needs_resource.as_deref()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Kinds(kinds)
    }

    fn number(&self, kind: &str) -> Option<calculus::ResourceKind> {
        let place = self.0.iter().position(|known| *known == kind)?;
        calculus::ResourceKind::try_from(place).ok()
    }

    fn items(&self, wanted: &[Wanted]) -> Vec<Item> {
        let item = |wanted: &Wanted| {
            let kind = wanted.service.needs_resource.as_deref().and_then(|kind| self.number(kind));
            let employee = match wanted.employee {
                None => Choice::Any,
                Some(id) if wanted.is_kept => Choice::Keeps(id.as_u128()),
                Some(id) => Choice::One(id.as_u128()),
            };
            Item { service: wanted.service.time.calculated(wanted.service.id, kind), employee }
        };
        wanted.iter().map(item).collect()
    }
}

/// What is booked of an employee or a resource within a window, by its claims alone: no booking is read.
fn booked(asked: &Asked<'_>, beside: &[&BookedItem], number: ResourceNumber, window: Span) -> Vec<Occupied> {
    let Asked { view, tenant, now, except } = *asked;
    let interval = Interval::new(window.starts_at, window.ends_at);
    let beside = beside.iter().flat_map(|item| item.occupied()).filter(|(of, _)| *of == number);
    let mut occupied: Vec<Occupied> = beside.map(|(_, occupied)| occupied).collect();
    let mut behind = None;
    loop {
        let standing = slot::standing(view, tenant, number, interval, None, behind, CLAIMS_MAX);
        let holds = |claim: &&Claim| {
            claim.kind == Kind::Booking
                && except.is_none_or(|except| except.as_u128() != claim.id)
                && claim.terms.until.is_none_or(|until| until > now)
        };
        occupied.extend(standing.claims.iter().filter(holds).map(|claim| Occupied {
            span: Span::new(claim.starts_at, claim.ends_at),
            before_minutes: claim.terms.before_minutes,
            after_minutes: claim.terms.after_minutes,
        }));
        behind = standing.through;
        if behind.is_none() {
            return occupied;
        }
    }
}
