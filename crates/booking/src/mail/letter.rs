//! A mail in full: what stands in it, read from the version that its fact wrote, and from whoever it goes to now.
//!
//! Invariants:
//! - A mail that is written again has the same `Message-ID` and `Date`, and tells the same of what it is about.
//! - Names stand on one line: no text of a client makes a line of a head ([`one_line`]). Whoever sends it encodes them.
//! - In HTML no text of a client is markup ([`escaped`]).

use maitred_core::{PartitionId, Read, TenantNumber, Timestamp};

use super::courier::MailServer;
use super::fact::{Language, Mail, MailKind, MailState, Place, Settings};
use super::rules::{AGE_MAX, later};
use super::subject::{self, Recipient, Subject};
use super::{view, words};
use crate::flash_sales::{self, Versioned};
use crate::salons::http::ical::Ical;
use crate::salons::intervals::Span;
use crate::salons::local_time::local_time;
use crate::salons::{self, Booking, Employee, gather};
use crate::tenants;

/// The longest name of a sender or a recipient, and the longest subject, in characters.
const LINE_CHARS_MAX: usize = 150;

/// A mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `Message-ID`, without the angle brackets.
    pub message_id: String,
    /// `Date`.
    pub date: Timestamp,
    /// The name of the sender.
    pub sender_name: String,
    /// `Reply-To`, if it is not the sender's.
    pub reply_to: Option<String>,
    /// The name of the recipient, if it is known.
    pub name: Option<String>,
    /// The address of the recipient, as it was given.
    pub address: String,
    /// `Subject`.
    pub subject: String,
    /// `Content-Language`.
    pub language: &'static str,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// The visits, for a calendar.
    pub calendar: Option<Calendar>,
}

/// Visits for a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// What is to be done with it (RFC 5546).
    pub method: &'static str,
    /// The calendar (RFC 5545).
    pub text: String,
}

/// Why a mail is not to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwritten {
    /// It is of no use any more.
    OfNoUse(&'static str),
    /// It can never be sent.
    Dead(&'static str),
}

/// The `Message-ID` of a mail, which tells one that came twice: kind, place of the fact, its record, the microsecond in
/// which the mail was queued, and the tenant. A log that was restored from a backup has the places of the one before once
/// more, and neither its instants nor its new records.
pub fn message_id(server: &MailServer, (partition, slug): (PartitionId, &str), mail: &Mail) -> String {
    let Place { seq, ordinal } = mail.queued.source;
    let (kind, record, queued_at) =
        (mail.queued.kind.as_str(), mail.queued.record, mail.queued_at.as_micros());
    let record = record.simple();
    format!("{kind}.{partition}.{seq}.{ordinal}.{record}.{queued_at}.{slug}@{}", server.domain())
}

/// Writes a mail.
///
/// # Errors
/// [`Unwritten`].
pub fn write(
    view: &dyn Read,
    (partition, tenant): (PartitionId, TenantNumber),
    mail: &Mail,
    server: &MailServer,
    now: Timestamp,
) -> Result<Letter, Unwritten> {
    let profile = tenants::tenant(view, tenant).ok_or(Unwritten::OfNoUse("the tenant is closed"))?.profile;
    let settings = view::settings(view, tenant, None).is;
    let kind = mail.queued.kind;
    if !settings.sends(kind) {
        return Err(Unwritten::OfNoUse("the tenant sends no such mail any more"));
    }
    let subject = subject::of_mail(view, tenant, mail).ok_or(Unwritten::OfNoUse("it is about nothing"))?;
    if let Some(reason) = subject::of_no_use(view, tenant, kind, &subject, now) {
        return Err(Unwritten::OfNoUse(reason));
    }
    if matches!(mail.state, MailState::Waiting(_)) && later(mail.fresh_at, AGE_MAX) <= now {
        return Err(Unwritten::Dead("no server has taken it for three days"));
    }
    let to = subject::address(view, tenant, kind, mail.queued.to);
    let Recipient { name, address } = to.ok_or(Unwritten::Dead("there is no address any more"))?;
    let business = one_line(&profile.name);
    let many = matches!(&subject, Subject::Visits(visits) if visits.len() > 1);
    let words = words::words(settings.language, kind, many);
    let rows = rows(view, tenant, &subject, &settings, &words);
    let name = name.map(|name| one_line(&name)).filter(|name| !name.is_empty());
    let body = Body {
        hello: words.hello,
        name: name.as_deref(),
        sentence: words.sentence,
        rows: &rows,
        business: &business,
    };
    Ok(Letter {
        message_id: message_id(server, (partition, &profile.slug), mail),
        date: mail.queued_at,
        sender_name: settings.sender_name.as_deref().map_or_else(|| business.clone(), one_line),
        reply_to: settings.reply_to,
        address,
        subject: one_line(&format!("{} {business}", words.subject)),
        language: match settings.language {
            Language::English => "en",
            Language::German => "de",
        },
        text: body.text(),
        html: body.html(),
        calendar: calendar(view, tenant, kind, &subject, (&business, server)),
        name,
    })
}

type Rows = Vec<(&'static str, String)>;

fn rows(
    view: &dyn Read,
    tenant: TenantNumber,
    subject: &Subject,
    settings: &Settings,
    words: &words::Words,
) -> Rows {
    let zone = gather::zone(view, tenant);
    let local = |at| local_time(&zone, at);
    match subject {
        Subject::Order(order) => {
            let product = flash_sales::view::product(view, tenant, order.is.product, None);
            let name = product.map_or_else(String::new, |product| one_line(&product.is.name));
            vec![(words.product, name), (words.order, order.is.id.to_string())]
        }
        Subject::Offer(booking, expires_at) => {
            let mut rows = visit_rows(view, tenant, booking, settings.language, words);
            rows.push((words.until, words::instant(settings.language, local(*expires_at))));
            rows
        }
        Subject::Visits(visits) => match visits.as_slice() {
            [visit] => visit_rows(view, tenant, visit, settings.language, words),
            visits => {
                let when = |visit: &Versioned<Booking>| {
                    let span = (local(visit.is.starts_at), local(visit.is.ends_at));
                    (words.when, words::span(settings.language, span.0, span.1))
                };
                let what = visits.first().map(|visit| (words.what, services(&visit.is)));
                visits.iter().map(when).chain(what).collect()
            }
        },
    }
}

fn visit_rows(
    view: &dyn Read,
    tenant: TenantNumber,
    visit: &Versioned<Booking>,
    language: Language,
    words: &words::Words,
) -> Rows {
    let zone = gather::zone(view, tenant);
    let [from, to] = [visit.is.starts_at, visit.is.ends_at].map(|at| local_time(&zone, at));
    let name_of =
        |id| salons::view::any::<Employee>(view, tenant, id, None).map(|found| one_line(&found.is.name));
    let mut employees: Vec<String> = Vec::new();
    for name in visit.is.items.iter().filter_map(|item| name_of(item.employee.id)) {
        if !employees.contains(&name) {
            employees.push(name);
        }
    }
    vec![
        (words.when, words::span(language, from, to)),
        (words.what, services(&visit.is)),
        (words.who, employees.join(", ")),
    ]
}

fn services(booking: &Booking) -> String {
    let names: Vec<String> = booking.items.iter().map(|item| one_line(&item.name)).collect();
    names.join(", ")
}

fn calendar(
    view: &dyn Read,
    tenant: TenantNumber,
    kind: MailKind,
    subject: &Subject,
    (business, server): (&str, &MailServer),
) -> Option<Calendar> {
    let Subject::Visits(visits) = subject else { return None };
    let method = if kind == MailKind::Cancelled { "CANCEL" } else { "PUBLISH" };
    let shown = Span::new(visits.first()?.is.starts_at, visits.last()?.is.ends_at);
    let mut ical = Ical::sent(method, gather::zone(view, tenant), shown);
    for visit in visits {
        ical.add_visit(visit, (business, &server.from));
    }
    Some(Calendar { method, text: ical.finish() })
}

/// What both forms of a mail say.
struct Body<'a> {
    hello: &'a str,
    name: Option<&'a str>,
    sentence: &'a str,
    rows: &'a [(&'static str, String)],
    business: &'a str,
}

impl Body<'_> {
    fn greeting(&self) -> String {
        self.name.map_or_else(|| self.hello.to_owned(), |name| format!("{} {name}", self.hello))
    }

    fn text(&self) -> String {
        let rows: String = self.rows.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{},\n\n{}\n\n{rows}\n{}\n", self.greeting(), self.sentence, self.business)
    }

    fn html(&self) -> String {
        let row = |(name, value): &(&str, String)| {
            format!("<tr><th align=\"left\">{}</th><td>{}</td></tr>\n", escaped(name), escaped(value))
        };
        let rows: String = self.rows.iter().map(row).collect();
        let [greeting, sentence, business] = [&*self.greeting(), self.sentence, self.business].map(escaped);
        format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{business}</title></head><body>\n\
             <p>{greeting},</p>\n<p>{sentence}</p>\n<table cellpadding=\"4\">\n{rows}</table>\n<p>{business}</p>\n\
             </body></html>\n"
        )
    }
}

/// A text on one line, without control characters, and cut where it is too long for a head.
pub fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let parts = text.split(|c: char| breaks(c) || c.is_whitespace()).filter(|part| !part.is_empty());
    let line = parts.collect::<Vec<_>>().join(" ");
    line.chars().take(LINE_CHARS_MAX).collect()
}

/// A text within HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
