//! The native API of mail: `/v1/tenants/{tenant}/mail-settings` and `…/mails…`.
//!
//! Handlers translate and nothing else, but for one refusal: mail is not enabled where the server has nobody who takes
//! it, which only the edge can know.
//!
//! Invariant: addresses are shown masked, and are looked up when they are shown: no mail keeps one.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maitred_core::{ChangeId, PartitionId, Read, Rejection, TenantNumber};
use maitred_web::{
    AtLeast, Attempt, ETag, JsonBody, Limit, Page, Path, Preconditions, Problem, Query, Reply, Time,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::command::{REMINDER_HOURS_MAX, SENDER_NAME_CHARS_MAX, SettingsPatch};
use super::fact::{Language, Mail, MailKind, MailState, Place, Settings};
use super::{Command, Outcome, letter, subject, view};
use crate::app::{Accepted, App, Scope, submit, version_wanted};
use crate::flash_sales::Versioned;
use crate::json::given;
use crate::paging::{self, Listing};
use crate::parameters::{IdempotencyHeader, IfMatchHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::tenants;

/// The most mails that one page looks at.
const LOOKS_MAX: usize = 10_000;

// The attributes below take literals alone.
const _: () = assert!(SENDER_NAME_CHARS_MAX == 100 && REMINDER_HOURS_MAX == 336);

/// What a mail tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MailKind)]
pub enum KindName {
    /// A booking, or a series of them, is made.
    Booked,
    /// A held booking is confirmed.
    Confirmed,
    /// A booking is at another time, or with others.
    Rescheduled,
    /// A booking, or what was ahead of a series, was called off.
    Cancelled,
    /// A time is held for whoever is on the waitlist.
    Offered,
    /// A visit is near.
    Reminder,
    /// An order of a flash sale was processed.
    OrderCompleted,
}

impl From<MailKind> for KindName {
    fn from(kind: MailKind) -> Self {
        match kind {
            MailKind::Booked => KindName::Booked,
            MailKind::Confirmed => KindName::Confirmed,
            MailKind::Rescheduled => KindName::Rescheduled,
            MailKind::Cancelled => KindName::Cancelled,
            MailKind::Offered => KindName::Offered,
            MailKind::Reminder => KindName::Reminder,
            MailKind::OrderCompleted => KindName::OrderCompleted,
        }
    }
}

impl From<KindName> for MailKind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Booked => MailKind::Booked,
            KindName::Confirmed => MailKind::Confirmed,
            KindName::Rescheduled => MailKind::Rescheduled,
            KindName::Cancelled => MailKind::Cancelled,
            KindName::Offered => MailKind::Offered,
            KindName::Reminder => MailKind::Reminder,
            KindName::OrderCompleted => MailKind::OrderCompleted,
        }
    }
}

/// A language of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MailLanguage)]
pub enum LanguageName {
    /// English.
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

impl From<Language> for LanguageName {
    fn from(language: Language) -> Self {
        match language {
            Language::English => LanguageName::English,
            Language::German => LanguageName::German,
        }
    }
}

impl From<LanguageName> for Language {
    fn from(name: LanguageName) -> Self {
        match name {
            LanguageName::English => Language::English,
            LanguageName::German => Language::German,
        }
    }
}

/// What a tenant sends by mail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MailSettings)]
pub struct MailSettingsBody {
    /// Whether anything is sent.
    enabled: bool,
    /// What is sent.
    mails: Vec<KindName>,
    /// The sender's name; the tenant's where it is null.
    sender_name: Option<String>,
    /// Where answers go; to the server's own address where it is null.
    reply_to: Option<String>,
    /// In which language.
    language: LanguageName,
    /// How many hours before a visit its reminder is sent.
    reminder_hours: u32,
    /// From 1; 0 while nobody has changed them.
    version: u64,
}

impl From<Versioned<Settings>> for MailSettingsBody {
    fn from(Versioned { version, is, .. }: Versioned<Settings>) -> Self {
        let Settings { enabled, mails, sender_name, reply_to, language, reminder_hours, .. } = is;
        let mails = mails.into_iter().map(Into::into).collect();
        let language = language.into();
        MailSettingsBody { enabled, mails, sender_name, reply_to, language, reminder_hours, version }
    }
}

/// New values of the settings of mail; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailSettingsPatch)]
pub struct MailSettingsInput {
    /// Whether anything is sent.
    #[schema(value_type = bool, required = false)]
    #[serde(default, deserialize_with = "given")]
    enabled: Option<bool>,
    /// What is sent.
    #[schema(value_type = Vec<KindName>, required = false, max_items = 7)]
    #[serde(default, deserialize_with = "given")]
    mails: Option<Vec<KindName>>,
    /// The sender's name, on one line; null for the tenant's.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    #[serde(default, deserialize_with = "given")]
    sender_name: Option<Option<String>>,
    /// Where answers go; null for the server's own address.
    #[schema(value_type = Option<String>, max_length = 254, example = "salon@example.com")]
    #[serde(default, deserialize_with = "given")]
    reply_to: Option<Option<String>>,
    /// In which language.
    #[schema(value_type = LanguageName, required = false)]
    #[serde(default, deserialize_with = "given")]
    language: Option<LanguageName>,
    /// How many hours before a visit its reminder is sent.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 336)]
    #[serde(default, deserialize_with = "given")]
    reminder_hours: Option<u32>,
}

/// What is sent by mail, and in whose name.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/mail-settings",
    tag = "mail",
    operation_id = "mail_settings_get",
    params(TenantPath, OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The settings", body = MailSettingsBody),
        (status = 304, description = "The client has them"),
    )
)]
pub async fn settings(one: One) -> Result<Response, Problem> {
    let found = view::settings(&one.view, one.who.tenant, one.moment.as_of);
    Ok(one.reply(ETag::version(found.version), MailSettingsBody::from(found)))
}

/// Change what is sent by mail: what is absent stays. What was decided before mail is enabled is told to nobody.
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant}/mail-settings",
    tag = "mail",
    operation_id = "mail_settings_update",
    params(TenantPath, IfMatchHeader, IdempotencyHeader),
    request_body = MailSettingsInput,
    responses(
        (status = 200, description = "The settings as they are now", body = MailSettingsBody),
        (status = 409, description = "The server has no mail server to send by"),
        (status = 412, description = "They are at another version"),
    )
)]
pub async fn update_settings(
    State(app): State<App>,
    scope: Scope,
    preconditions: Preconditions,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<MailSettingsInput>,
) -> Result<Response, Problem> {
    if value.enabled == Some(true) && app.mailing().server().is_none() {
        let detail = "Whoever runs the server has named no mail server in its configuration.";
        return Err(Problem::from(Rejection::conflict("mail-not-configured", detail)));
    }
    let current = || Some(view::settings(&app.engine().view(), scope.tenant, None).version);
    let if_version = version_wanted(&preconditions, current)?;
    let patch = SettingsPatch {
        enabled: value.enabled,
        mails: value.mails.map(|mails| mails.into_iter().map(Into::into).collect()),
        sender_name: value.sender_name,
        reply_to: value.reply_to,
        language: value.language.map(Into::into),
        reminder_hours: value.reminder_hours,
    };
    let accepted =
        submit(&app, &scope, &attempt, &bytes, Command::ChangeSettings { patch, if_version }).await?;
    let Accepted { outcome: Outcome::Settings(found), position, replayed } = accepted else {
        unreachable!("a change of settings is answered with {accepted:?}");
    };
    let tag = ETag::version(found.version);
    let reply = Reply::new(StatusCode::OK, MailSettingsBody::from(*found));
    Ok(reply.at(position).tagged(tag).replayed(replayed).into_response())
}

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MailState)]
pub enum StateName {
    /// It is tried, again if need be.
    Waiting,
    /// A mail server has taken it.
    Sent,
    /// It was refused for good, or for three days: it can be tried again by hand.
    Dead,
    /// It is of no use any more, and was not sent.
    Dropped,
}

impl From<MailState> for StateName {
    fn from(state: MailState) -> Self {
        match state {
            MailState::Waiting(_) => StateName::Waiting,
            MailState::Sent => StateName::Sent,
            MailState::Dead => StateName::Dead,
            MailState::Dropped => StateName::Dropped,
        }
    }
}

/// Which mails are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MailsQuery {
    /// Those in this state; all of them without it.
    #[param(inline)]
    #[serde(default)]
    state: Option<StateName>,
    /// How many items a page may have.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the last page ended.
    #[param(max_length = 1024)]
    #[serde(default)]
    cursor: Option<String>,
}

/// A mail that was sent, or is to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mail)]
pub struct MailBody {
    /// Where it was queued in the log.
    #[schema(example = "0.42.0")]
    id: String,
    kind: KindName,
    /// The change that it tells of, as the change feed names it; of a reminder, the one that gave the visit its time.
    change_id: String,
    /// Its `Message-ID`, where the server has a mail server.
    message_id: Option<String>,
    /// To whom, masked; null where there is no address any more.
    #[schema(example = "a…@example.com")]
    to: Option<String>,
    state: StateName,
    queued_at: Time,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried again.
    next_attempt_at: Option<Time>,
    /// When its state was noted.
    noted_at: Time,
    /// What the mail server answered the last time, without addresses; or why it was not asked.
    answer: String,
}

/// The mails of a tenant, the newest first: to whom, masked, when, what, and what became of it. The oldest of more than
/// 100,000 are forgotten.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/mails",
    tag = "mail",
    operation_id = "mails_list",
    params(TenantPath, MailsQuery, PositionHeader),
    responses((status = 200, description = "A page of mails", body = Page<MailBody>))
)]
pub async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(query): Query<MailsQuery>,
    at_least: AtLeast,
) -> Result<Response, Problem> {
    let cursors = paging::cursors(&app, "mails", scope.tenant, None);
    let cursors = cursors.filtered_by(query.state.map(|state| format!("{state:?}")));
    let listing = Listing::open(&app, cursors, query.cursor.as_deref(), None, at_least).await?;
    let view = &listing.view;
    let before = listing.after.as_deref().map(|place| Place::from(paging::read_change(place)));
    let wants = |mail: &Mail| query.state.is_none_or(|state| state == mail.state.into());
    let bounds = (query.limit.get(), LOOKS_MAX);
    let (found, next) = view::newest(view, scope.tenant, before, bounds, wants);
    let slug = tenants::tenant(view, scope.tenant).map(|tenant| tenant.profile.slug).unwrap_or_default();
    let place = (view.position().partition, scope.tenant, &*slug);
    let body = |(id, mail): (Place, Mail)| MailBody::new(&app, view, place, (id, mail));
    Ok(listing.reply(found.into_iter().map(body), next.map(|next| paging::write_change(next.into()))))
}

impl MailBody {
    fn new(
        app: &App,
        view: &dyn Read,
        (partition, tenant, slug): (PartitionId, TenantNumber, &str),
        (place, mail): (Place, Mail),
    ) -> Self {
        let text = |place: Place| ChangeId::from(place).to_text(partition);
        let to = subject::address(view, tenant, mail.queued.kind, mail.queued.to);
        let server = app.mailing().server();
        MailBody {
            id: text(place),
            kind: mail.queued.kind.into(),
            change_id: text(mail.queued.source),
            message_id: server.map(|server| letter::message_id(server, (partition, slug), &mail)),
            to: to.map(|to| masked(&to.address)),
            state: mail.state.into(),
            queued_at: Time(mail.queued_at),
            attempts: mail.attempts,
            next_attempt_at: match mail.state {
                MailState::Waiting(at) => Some(Time(at)),
                _ => None,
            },
            noted_at: Time(mail.noted_at),
            answer: mail.answer,
        }
    }
}

/// That something will be done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MailAsked)]
pub struct Asked {
    /// Always true.
    accepted: bool,
}

/// Try a dead mail again.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/mails/{id}/retry",
    tag = "mail",
    operation_id = "mails_retry",
    params(TenantPath, ("id" = String, Path, description = "The mail's id", max_length = 64), IdempotencyHeader),
    responses(
        (status = 202, description = "It is tried at once", body = Asked),
        (status = 404, description = "There is no such mail"),
        (status = 409, description = "It is not dead"),
        (status = 429, description = "So many mails wait that it finds no room"),
    )
)]
pub async fn retry(
    State(app): State<App>,
    scope: Scope,
    Path((_tenant, id)): Path<(String, String)>,
    attempt: Attempt,
) -> Result<Response, Problem> {
    let own = app.engine().partition();
    let place = ChangeId::parse(&id).ok().filter(|(partition, _)| *partition == own);
    // One that cannot be is refused by the same rule as one that is not there.
    let mail = place.map_or(Place { seq: u64::MAX, ordinal: 0 }, |(_, change)| change.into());
    let accepted = submit(&app, &scope, &attempt, &[], Command::Retry { mail }).await?;
    let reply = Reply::new(StatusCode::ACCEPTED, Asked { accepted: true });
    Ok(reply.at(accepted.position).replayed(accepted.replayed).into_response())
}

/// An address of which only the first letter and the domain can be read.
fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}…@{domain}", local.chars().take(1).collect::<String>()),
        None => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_by_its_first_letter_and_its_domain() {
        for (address, shown) in [
            ("ann@example.com", "a…@example.com"),
            ("\"a@b\"@example.com", "\"…@example.com"),
            ("@example.com", "…@example.com"),
            ("nobody", "…"),
        ] {
            assert_eq!(masked(address), shown);
        }
    }
}
