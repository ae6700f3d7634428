//! The lines of an export: their JSON, and how they are cut out of a stream. Those of users and of flash sales stand in
//! [`shop`], those of salons in [`salon`], [`visit`] and [`waiting`].

mod salon;
mod shop;
mod visit;
mod waiting;

use std::borrow::Cow;

use maitred_booking::accounts;
use maitred_booking::appointments::{self, Appointment, ImportDetails};
use maitred_booking::flash_sales::{Imported, Order, Product, Sale};
use maitred_booking::json::JsonObject;
use maitred_booking::salons;
use maitred_booking::tenants::{CreateTenant, DropIn, DropIns, Profile, TenantPatch};
use maitred_engine::batch::COMMAND_BYTES_MAX;
use maitred_web::Time;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

pub(super) use salon::write_record;
use salon::{AsLine, RecordLine, read_record};
pub(super) use shop::{write_order, write_product, write_sale, write_user};

/// The version of the lines that [`super::Export`] writes.
pub const FORMAT: u32 = 1;
/// The longest line that is read. No value takes more than sixteen times as much room in a line as in its fact: a span of
/// a shift does, of two bytes there, and a character of a text takes six bytes at most.
pub const LINE_BYTES_MAX: usize = 16 * COMMAND_BYTES_MAX;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) code: &'static str,
    pub(super) detail: String,
}

fn malformed(code: &'static str, detail: impl Into<String>) -> Malformed {
    Malformed { code, detail: detail.into() }
}

/// A line that was read.
#[derive(Debug)]
pub(super) enum Line {
    Tenant(TenantInput),
    Appointment(appointments::Import),
    User(accounts::Imported),
    Product(Imported<Product>),
    Sale(Imported<Sale>),
    Order(Imported<Order>),
    Salon(salons::command::Import),
    End { lines: u64 },
}

/// A tenant's profile as a line brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TenantInput {
    pub(super) slug: String,
    alias: Option<String>,
    name: String,
    time_zone: String,
    currency: String,
    locale: String,
    drop_ins: DropIns,
    public: bool,
}

#[derive(Deserialize)]
struct TypeOf<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    format: u32,
    #[serde(borrow)]
    slug: Cow<'a, str>,
    alias: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    time_zone: Cow<'a, str>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    locale: Cow<'a, str>,
    drop_ins: Vec<Cow<'a, str>>,
    public: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppointmentLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Uuid,
    #[serde(borrow)]
    external_id: Cow<'a, str>,
    version: u64,
    received_at: Time,
    updated_at: Time,
    cancelled: bool,
    resource: Option<Cow<'a, str>>,
    starts_at: Option<Time>,
    ends_at: Option<Time>,
    created_at: Option<Time>,
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    lines: u64,
}

pub(super) fn write_tenant(out: &mut Vec<u8>, profile: &Profile) {
    let line = TenantLine {
        kind: "tenant".into(),
        format: FORMAT,
        slug: (&profile.slug).into(),
        alias: profile.alias.as_deref().map(Cow::from),
        name: (&profile.name).into(),
        time_zone: (&profile.time_zone).into(),
        currency: (&profile.currency).into(),
        locale: (&profile.locale).into(),
        drop_ins: profile.drop_ins.iter().map(|drop_in| drop_in.as_str().into()).collect(),
        public: profile.public,
    };
    write(out, &line);
}

pub(super) fn write_appointment(out: &mut Vec<u8>, from: &Appointment<&str>) {
    // A line has no line breaks; between the tokens of a JSON text they mean as little as blanks.
    let metadata = from.metadata.map(|text| text.replace(['\n', '\r'], " "));
    let metadata = metadata.as_deref().map(|text| serde_json::from_str(text).expect("what is kept is JSON"));
    let line = AppointmentLine {
        kind: "appointment".into(),
        id: from.id,
        external_id: from.external_id.into(),
        version: from.version,
        received_at: Time(from.received_at),
        updated_at: Time(from.updated_at),
        cancelled: from.cancelled,
        resource: from.resource.map(Cow::from),
        starts_at: from.starts_at.map(Time),
        ends_at: from.ends_at.map(Time),
        created_at: from.created_at.map(Time),
        title: from.title.map(Cow::from),
        metadata,
    };
    write(out, &line);
}

pub(super) fn write_end(out: &mut Vec<u8>, lines: u64) {
    write(out, &EndLine { kind: "end".into(), lines });
}

fn write(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line).expect("texts and numbers have a JSON form");
    out.push(b'\n');
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Line, Malformed> {
    let invalid = |error: serde_json::Error| {
        let code = if error.is_data() { "line-invalid" } else { "line-malformed" };
        malformed(code, error.to_string())
    };
    fn of_salon<T: AsLine>(
        line: &[u8],
        invalid: impl Fn(serde_json::Error) -> Malformed,
        import: fn(Imported<T>) -> salons::command::Import,
    ) -> Result<Line, Malformed> {
        let line: RecordLine<T::Line> = serde_json::from_slice(line).map_err(invalid)?;
        read_record(line).map(import).map(Line::Salon)
    }
    use salons::command::Import;
    let TypeOf { kind } = serde_json::from_slice(line).map_err(invalid)?;
    match &*kind {
        "tenant" => read_tenant(serde_json::from_slice(line).map_err(invalid)?).map(Line::Tenant),
        "appointment" => {
            read_appointment(serde_json::from_slice(line).map_err(invalid)?).map(Line::Appointment)
        }
        "user" => shop::read_user(serde_json::from_slice(line).map_err(invalid)?),
        "product" => shop::read_product(serde_json::from_slice(line).map_err(invalid)?),
        "sale" => shop::read_sale(serde_json::from_slice(line).map_err(invalid)?),
        "order" => shop::read_order(serde_json::from_slice(line).map_err(invalid)?),
        "salon_settings" => of_salon(line, invalid, Import::Settings),
        "employee" => of_salon(line, invalid, Import::Employee),
        "service" => of_salon(line, invalid, Import::Service),
        "resource" => of_salon(line, invalid, Import::Resource),
        "customer" => of_salon(line, invalid, Import::Customer),
        "shift_plan" => of_salon(line, invalid, Import::Plan),
        "booking" => of_salon(line, invalid, Import::Booking),
        "legacy_booking" => of_salon(line, invalid, Import::LegacyBooking),
        "series" => of_salon(line, invalid, Import::Series),
        "waitlist_entry" => of_salon(line, invalid, Import::Waitlist),
        "end" => {
            let EndLine { lines, .. } = serde_json::from_slice(line).map_err(invalid)?;
            Ok(Line::End { lines })
        }
        other => Err(malformed("line-unknown", format!("there is no line of type \"{other}\""))),
    }
}

fn read_tenant(line: TenantLine<'_>) -> Result<TenantInput, Malformed> {
    if line.format != FORMAT {
        let detail = format!("the file has format {}, and this build reads format {FORMAT}", line.format);
        return Err(malformed("format-unknown", detail));
    }
    if jiff::tz::TimeZone::get(&line.time_zone).is_err() {
        return Err(malformed("invalid-time-zone", format!("there is no time zone \"{}\"", line.time_zone)));
    }
    let drop_in = |name: &Cow<'_, str>| {
        DropIn::from_name(name).ok_or_else(|| malformed("line-invalid", format!("no drop-in is \"{name}\"")))
    };
    Ok(TenantInput {
        slug: line.slug.into(),
        alias: line.alias.map(Cow::into_owned),
        name: line.name.into(),
        time_zone: line.time_zone.into(),
        currency: line.currency.into(),
        locale: line.locale.into(),
        drop_ins: line.drop_ins.iter().map(drop_in).collect::<Result<_, _>>()?,
        public: line.public,
    })
}

fn read_appointment(line: AppointmentLine<'_>) -> Result<appointments::Import, Malformed> {
    let metadata = line.metadata.map(|metadata| JsonObject::parse(metadata.get())).transpose();
    let metadata = metadata.map_err(|not| malformed("line-invalid", format!("metadata: {not}")))?;
    let title = line.title.map(Cow::into_owned);
    let details = match (line.resource, line.starts_at, line.ends_at, line.created_at) {
        (Some(resource), Some(starts_at), Some(ends_at), Some(created_at)) => Some(ImportDetails {
            resource: resource.into(),
            starts_at: starts_at.0,
            ends_at: ends_at.0,
            created_at: created_at.0,
            title,
            metadata,
        }),
        (None, None, None, None) if title.is_none() && metadata.is_none() => None,
        _ => {
            let detail = "resource, starts_at, ends_at and created_at stand together, and title and metadata \
                          only with them";
            return Err(malformed("line-invalid", detail));
        }
    };
    Ok(appointments::Import {
        id: line.id,
        external_id: line.external_id.into(),
        version: line.version,
        received_at: line.received_at.0,
        updated_at: line.updated_at.0,
        cancelled: line.cancelled,
        details,
    })
}

/// The slug that the first line of an export names, if it is a tenant's.
pub fn tenant_slug(line: &[u8]) -> Option<String> {
    match read(line) {
        Ok(Line::Tenant(tenant)) => Some(tenant.slug),
        _ => None,
    }
}

impl TenantInput {
    /// The command that makes this tenant, under `slug`.
    pub(super) fn create(&self, slug: String) -> CreateTenant {
        CreateTenant {
            slug,
            alias: self.alias.clone(),
            name: self.name.clone(),
            time_zone: self.time_zone.clone(),
            currency: self.currency.clone(),
            locale: self.locale.clone(),
            drop_ins: self.drop_ins,
            public: self.public,
            automatic: false,
        }
    }

    /// What makes another tenant like this one.
    pub(super) fn patch(&self) -> TenantPatch {
        TenantPatch {
            alias: Some(self.alias.clone()),
            name: Some(self.name.clone()),
            time_zone: Some(self.time_zone.clone()),
            currency: Some(self.currency.clone()),
            locale: Some(self.locale.clone()),
            drop_ins: Some(self.drop_ins),
            public: Some(self.public),
        }
    }
}

/// Cuts a stream of bytes into lines, of which it never holds more than one that is too long.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    taken: usize,
    /// Up to here there is no end of the line.
    sought: usize,
    number: u64,
    /// The current line is too long, and its rest is left out.
    skipping: bool,
}

impl Lines {
    /// Takes the next bytes of the stream. The lines before must have been taken out.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.sought -= self.taken;
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The stream is over: what is left is a line too.
    pub fn end(&mut self) {
        let unended = self.buffer.len() > self.taken && self.buffer.last() != Some(&b'\n');
        if unended || self.skipping {
            self.buffer.push(b'\n');
        }
    }

    /// The next line with its number, or `None` until there is more; `Err` for one that is too long.
    #[expect(clippy::should_implement_trait, reason = "what it returns is borrowed")]
    pub fn next(&mut self) -> Option<(u64, Result<&[u8], ()>)> {
        let start = self.taken;
        let Some(more) = self.buffer[self.sought..].iter().position(|byte| *byte == b'\n') else {
            self.sought = self.buffer.len();
            if self.sought - start > LINE_BYTES_MAX {
                self.skipping = true;
                self.taken = self.sought;
            }
            return None;
        };
        let len = self.sought + more - start;
        self.taken = start + len + 1;
        self.sought = self.taken;
        self.number += 1;
        let skipped = std::mem::take(&mut self.skipping);
        if skipped || len > LINE_BYTES_MAX {
            return Some((self.number, Err(())));
        }
        Some((self.number, Ok(&self.buffer[start..start + len])))
    }
}
