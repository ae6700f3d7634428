//! The lines of a salon: a version each of its settings, employees, services, resources, customers and shift plans.
//! Bookings are in [`super::visit`], series and who waits in [`super::waiting`].
//!
//! Invariant: the numbers under which time is claimed, or by which who waits follows another, are no part of a line:
//! another server gives its own.

use std::borrow::Cow;
use std::fmt;

use maitred_booking::flash_sales::Versioned;
use maitred_booking::imported::Imported;
use maitred_booking::money::MoneyBody;
use maitred_booking::salons::fact::{Customer, Employee, Resource, Service, ServiceTime, Settings};
use maitred_booking::salons::http::bodies::{BuffersName, ProcessingBody};
use maitred_booking::salons::http::plans::{AbsenceBody, ExceptionBody, PatternBody};
use maitred_booking::salons::plan::PlanState;
use maitred_web::Time;
use serde::de::{self, DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::shop::price;
use super::{Malformed, malformed, write};

/// A record that has a line.
pub(in crate::transfer) trait AsLine: Sized {
    /// What stands in the line besides its type and what every version has.
    type Line: Serialize + DeserializeOwned;
    /// The type that stands in it.
    const TYPE: &'static str;

    /// The line of a version.
    fn line(self) -> Self::Line;

    /// The version of a line.
    ///
    /// # Errors
    /// Where something in it is no value of its field.
    fn read(line: Self::Line) -> Result<Self, Malformed>;
}

/// What the line of a salon's record has in any case.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordLine<T> {
    #[serde(rename = "type")]
    tag: Cow<'static, str>,
    version: u64,
    updated_at: Time,
    latest: bool,
    record: T,
}

/// Appends the line of a version.
pub(in crate::transfer) fn write_record<T: AsLine>(out: &mut Vec<u8>, version: Versioned<T>, latest: bool) {
    let Versioned { version, updated_at, is } = version;
    let (tag, updated_at, record) = (T::TYPE.into(), Time(updated_at), is.line());
    write(out, &RecordLine { tag, version, updated_at, latest, record });
}

/// The version of a line.
pub(super) fn read_record<T: AsLine>(line: RecordLine<T::Line>) -> Result<Imported<T>, Malformed> {
    let RecordLine { version, updated_at, latest, record, .. } = line;
    Ok(Imported { version, updated_at: updated_at.0, latest, is: T::read(record)? })
}

/// The hash of a token or of an address: 32 hexadecimal digits.
#[derive(Clone, Copy)]
pub(super) struct Hash(pub(super) u128);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = is_hash.then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        hash.map(Hash).ok_or_else(|| de::Error::custom("a hash has 32 hexadecimal digits"))
    }
}

/// Defines what stands in a line.
macro_rules! line {
    ($line:ident { $($field:ident: $type:ty,)* }) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(in crate::transfer) struct $line {
            $($field: $type,)*
        }
    };
}
pub(super) use line;

line! {
    SettingsLine {
        step_minutes: u32,
        buffers: BuffersName,
        buffers_may_leave_shift: bool,
        min_notice_minutes: u32,
        max_horizon_days: u32,
        offer_minutes: u32,
    }
}

impl AsLine for Settings {
    type Line = SettingsLine;
    const TYPE: &'static str = "salon_settings";

    fn line(self) -> SettingsLine {
        SettingsLine {
            step_minutes: self.step_minutes,
            buffers: self.buffers.into(),
            buffers_may_leave_shift: self.buffers_may_leave_shift,
            min_notice_minutes: self.min_notice_minutes,
            max_horizon_days: self.max_horizon_days,
            offer_minutes: self.offer_minutes,
        }
    }

    fn read(line: SettingsLine) -> Result<Self, Malformed> {
        Ok(Settings {
            step_minutes: line.step_minutes,
            buffers: line.buffers.into(),
            buffers_may_leave_shift: line.buffers_may_leave_shift,
            min_notice_minutes: line.min_notice_minutes,
            max_horizon_days: line.max_horizon_days,
            offer_minutes: line.offer_minutes,
        })
    }
}

line! {
    EmployeeLine {
        id: Uuid,
        name: String,
        skills: Vec<Uuid>,
        colour: Option<String>,
        active: bool,
        calendar_token_hash: Option<Hash>,
        deleted: bool,
        created_at: Time,
    }
}

impl AsLine for Employee {
    type Line = EmployeeLine;
    const TYPE: &'static str = "employee";

    fn line(self) -> EmployeeLine {
        EmployeeLine {
            id: self.id,
            name: self.name,
            skills: self.skills,
            colour: self.colour,
            active: self.active,
            calendar_token_hash: self.calendar_token_hash.map(Hash),
            deleted: self.deleted,
            created_at: Time(self.created_at),
        }
    }

    fn read(line: EmployeeLine) -> Result<Self, Malformed> {
        Ok(Employee {
            id: line.id,
            number: 0,
            name: line.name,
            skills: line.skills,
            colour: line.colour,
            active: line.active,
            calendar_token_hash: line.calendar_token_hash.map(|hash| hash.0),
            deleted: line.deleted,
            created_at: line.created_at.0,
        })
    }
}

line! {
    TimeLine {
        duration_minutes: u32,
        buffer_before_minutes: u32,
        buffer_after_minutes: u32,
        processing: Option<ProcessingBody>,
    }
}

impl From<ServiceTime> for TimeLine {
    fn from(time: ServiceTime) -> Self {
        TimeLine {
            duration_minutes: time.duration_minutes,
            buffer_before_minutes: time.buffer_before_minutes,
            buffer_after_minutes: time.buffer_after_minutes,
            processing: time.processing.map(Into::into),
        }
    }
}

impl From<TimeLine> for ServiceTime {
    fn from(line: TimeLine) -> Self {
        ServiceTime {
            duration_minutes: line.duration_minutes,
            buffer_before_minutes: line.buffer_before_minutes,
            buffer_after_minutes: line.buffer_after_minutes,
            processing: line.processing.map(Into::into),
        }
    }
}

line! {
    ServiceLine {
        id: Uuid,
        name: String,
        time: TimeLine,
        price: MoneyBody,
        needs_resource: Option<String>,
        active: bool,
        deleted: bool,
        created_at: Time,
    }
}

impl AsLine for Service {
    type Line = ServiceLine;
    const TYPE: &'static str = "service";

    fn line(self) -> ServiceLine {
        ServiceLine {
            id: self.id,
            name: self.name,
            time: self.time.into(),
            price: self.price.into(),
            needs_resource: self.needs_resource,
            active: self.active,
            deleted: self.deleted,
            created_at: Time(self.created_at),
        }
    }

    fn read(line: ServiceLine) -> Result<Self, Malformed> {
        Ok(Service {
            id: line.id,
            name: line.name,
            time: line.time.into(),
            price: price(&line.price)?,
            needs_resource: line.needs_resource,
            active: line.active,
            deleted: line.deleted,
            created_at: line.created_at.0,
        })
    }
}

line! {
    ResourceLine {
        id: Uuid,
        name: String,
        kind: String,
        active: bool,
        deleted: bool,
        created_at: Time,
    }
}

impl AsLine for Resource {
    type Line = ResourceLine;
    const TYPE: &'static str = "resource";

    fn line(self) -> ResourceLine {
        let Resource { id, name, kind, active, deleted, created_at, .. } = self;
        ResourceLine { id, name, kind, active, deleted, created_at: Time(created_at) }
    }

    fn read(line: ResourceLine) -> Result<Self, Malformed> {
        let ResourceLine { id, name, kind, active, deleted, created_at } = line;
        Ok(Resource { id, number: 0, name, kind, active, deleted, created_at: created_at.0 })
    }
}

line! {
    CustomerLine {
        id: Uuid,
        external_id: Option<String>,
        name: String,
        email: Option<String>,
        phone: Option<String>,
        notes: Option<String>,
        deleted: bool,
        created_at: Time,
        changed_at: Option<Time>,
    }
}

impl AsLine for Customer {
    type Line = CustomerLine;
    const TYPE: &'static str = "customer";

    fn line(self) -> CustomerLine {
        CustomerLine {
            id: self.id,
            external_id: self.external_id,
            name: self.name,
            email: self.email,
            phone: self.phone,
            notes: self.notes,
            deleted: self.deleted,
            created_at: Time(self.created_at),
            changed_at: self.changed_at.map(Time),
        }
    }

    fn read(line: CustomerLine) -> Result<Self, Malformed> {
        Ok(Customer {
            id: line.id,
            external_id: line.external_id,
            name: line.name,
            email: line.email,
            phone: line.phone,
            notes: line.notes,
            deleted: line.deleted,
            created_at: line.created_at.0,
            changed_at: line.changed_at.map(|at| at.0),
        })
    }
}

line! {
    PlanLine {
        employee_id: Uuid,
        patterns: Vec<PatternBody>,
        exceptions: Vec<ExceptionBody>,
        absences: Vec<AbsenceBody>,
    }
}

impl AsLine for PlanState {
    type Line = PlanLine;
    const TYPE: &'static str = "shift_plan";

    fn line(self) -> PlanLine {
        PlanLine {
            employee_id: self.employee,
            patterns: self.patterns.into_iter().map(Into::into).collect(),
            exceptions: self.exceptions.into_iter().map(Into::into).collect(),
            absences: self.absences.into_iter().map(Into::into).collect(),
        }
    }

    fn read(line: PlanLine) -> Result<Self, Malformed> {
        let absence = |body: AbsenceBody| {
            let detail = "an absence has from and to, or starts_at and ends_at";
            body.state().ok_or_else(|| malformed("line-invalid", detail))
        };
        Ok(PlanState {
            employee: line.employee_id,
            patterns: line.patterns.into_iter().map(Into::into).collect(),
            exceptions: line.exceptions.into_iter().map(Into::into).collect(),
            absences: line.absences.into_iter().map(absence).collect::<Result<_, _>>()?,
        })
    }
}
