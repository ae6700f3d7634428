//! The native API of accounts: `/v1/tenants/{tenant}/users…`.
//!
//! Invariants:
//! - A token is in the answer that made it, and in nothing that is stored or repeated.
//! - A body with a password is remembered under its blinded form alone ([`super::session::Accounts::blinded`]).
//! - A user sees and changes their own account, whatever they put into the path.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use maitred_core::{Class, Rejection};
use maitred_web::{Attempt, ClientAddress, ETag, Json, JsonBody, Path, Problem, Reply, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::command::{ChangePassword, CloseAccount, Command, RegisterUser, invalid_email};
use super::email;
use super::password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, Password};
use super::rules::{Outcome, email_taken};
use super::session::{LoggedIn, Login, Refused};
use super::view::{self, User};
use crate::app::{Accepted, App, Scope};
use crate::parameters::{IdempotencyHeader, IfNoneMatchHeader, PositionHeader, TenantPath};
use crate::reading::{One, OneQuery};
use crate::violation::{Violation, refuse_any};

/// The size of a command of this domain in memory, roughly.
const COMMAND_BYTES: usize = 512;

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInput {
    /// The address. It is kept in small letters; for some mail providers also without what leads to the same inbox.
    #[schema(min_length = 3, max_length = 254, format = Email, example = "name@example.com")]
    email: String,
    /// The password: at least 8 characters, at most 1,024 bytes.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    password: Password,
}

/// A login.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginInput {
    /// The address, in any of its spellings.
    #[schema(max_length = 254, example = "name@example.com")]
    email: String,
    /// The password.
    password: Password,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordInput {
    /// The password that is right now.
    password: Password,
    /// The one that shall be: at least 8 characters, at most 1,024 bytes.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    new_password: Password,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    id: Uuid,
    /// The address that the account has now, in the form that is kept; null once the account is closed, in what is
    /// shown of its past too.
    email: Option<String>,
    /// Whether the account is closed for good.
    closed: bool,
    /// From 1.
    version: u64,
    created_at: Time,
    /// When this version was decided.
    updated_at: Time,
}

impl From<User> for UserBody {
    fn from(User { account, email }: User) -> Self {
        UserBody {
            id: account.account.id,
            email,
            closed: account.account.closed,
            version: account.version,
            created_at: Time(account.account.created_at),
            updated_at: Time(account.updated_at),
        }
    }
}

/// A user who is logged in.
#[derive(Serialize, ToSchema)]
pub struct LoggedInUser {
    #[serde(flatten)]
    user: UserBody,
    /// For `Authorization: Bearer`, for 24 hours or until the password is changed. Shown now and never again; a
    /// repeated request is answered without it.
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// When the token ends.
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires_at: Option<Time>,
}

impl LoggedInUser {
    fn new(user: User, login: Option<Login>) -> Self {
        let (token, expires_at) = login.map(|login| (login.token, Time(login.expires_at))).unzip();
        LoggedInUser { user: user.into(), token, token_expires_at: expires_at }
    }
}

impl std::fmt::Debug for LoggedInUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggedInUser").field("user", &self.user.id).finish_non_exhaustive()
    }
}

/// The form of an email, if it and a new password are what an account may have.
fn check_new(email: Option<&str>, password: (&'static str, &Password)) -> Result<Option<String>, Rejection> {
    let mut violations = Vec::new();
    let form = email.and_then(email::normalise);
    if email.is_some() && form.is_none() {
        violations.push(invalid_email());
    }
    let (pointer, password) = password;
    if !password.is_allowed(PASSWORD_CHARS_MIN) {
        let name = &pointer[1..];
        let detail = format!(
            "{name} must have at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        );
        violations.push(Violation::new(pointer, "invalid-password", detail));
    }
    refuse_any(&violations)?;
    Ok(form)
}

/// Decides a command of this domain. `body` has a password in it, or nothing.
async fn submit(
    app: &App,
    who: (maitred_core::TenantNumber, maitred_core::Actor),
    attempt: &Attempt,
    body: &[u8],
    command: Command,
) -> Result<Accepted<Outcome>, Problem> {
    let key = attempt.identify(who.1, &app.accounts().blinded(body));
    let Accepted { outcome, position, replayed } = app.submit(who, key, COMMAND_BYTES, command).await?;
    match outcome {
        crate::Outcome::Accounts(outcome) => Ok(Accepted { outcome, position, replayed }),
        other => unreachable!("a command on accounts is answered with {other:?}"),
    }
}

/// An answer that nobody may keep.
fn secret(reply: impl IntoResponse) -> Response {
    let mut response = reply.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Make an account.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/users",
    tag = "users",
    operation_id = "users_register",
    params(TenantPath, IdempotencyHeader),
    request_body = UserInput,
    responses(
        (status = 201, description = "It is there, and its user is logged in. The only answer with the token", body = LoggedInUser),
        (status = 409, description = "There is an account of this email"),
        (status = 503, description = "Too many passwords wait to be hashed"),
    )
)]
pub async fn register(
    State(app): State<App>,
    scope: Scope,
    Path(slug): Path<String>,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<UserInput>,
) -> Result<Response, Problem> {
    let form = check_new(Some(&value.email), ("/password", &value.password))?;
    let email = form.expect("an email was checked");
    // A repeated request may be one that made this account; any other need not wait for a hash.
    if !attempt.is_keyed() && view::user_by_email(&app.engine().view(), scope.tenant, &email).is_some() {
        return Err(email_taken().into());
    }
    let password = app.hash_password(value.password).await?;
    let command = Command::Register(RegisterUser { email: value.email, password });
    let Accepted { outcome, position, replayed } =
        submit(&app, scope.who(), &attempt, &bytes, command).await?;
    let account = outcome.account;
    let user = LoggedIn { tenant: scope.tenant, user: account.account.id };
    // A remembered answer is about the first attempt, and shows of its user what is there now.
    let (login, email) = match replayed {
        false => (Some(app.log_in(user, &email, account.account.credential)?), Some(email)),
        true => (None, view::user(&app.engine().view(), user.tenant, user.user).and_then(|now| now.email)),
    };
    let location = format!("/v1/tenants/{slug}/users/{}", user.user);
    let body = LoggedInUser::new(User { account, email }, login);
    Ok(secret(Reply::created(&location, body).at(position).replayed(replayed)))
}

/// Log in.
///
/// The answer to a login that fails does not tell whether there is an account, and takes as long either way. After
/// five failures in a row the account has to wait, a second at first and a minute at last; so has an address after
/// fifty.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/users/authenticate",
    tag = "users",
    operation_id = "users_authenticate",
    params(TenantPath),
    request_body = LoginInput,
    responses(
        (status = 200, description = "The user and a token", body = LoggedInUser),
        (status = 401, description = "There is no account of this email and password"),
        (status = 429, description = "Too many logins failed: wait as long as `Retry-After` says"),
        (status = 503, description = "Too many passwords wait to be verified"),
    )
)]
pub async fn authenticate(
    State(app): State<App>,
    scope: Scope,
    ClientAddress(address): ClientAddress,
    Json(value): Json<LoginInput>,
) -> Result<Response, Problem> {
    let Some(email) = email::normalise(&value.email) else { return Err(Refused::Credentials.into()) };
    let found = app.check_password(scope.tenant, &email, value.password, address).await?;
    let user = LoggedIn { tenant: scope.tenant, user: found.account.account.id };
    let login = app.log_in(user, &email, found.account.account.credential)?;
    let body = LoggedInUser::new(User { account: found.account, email: Some(email) }, Some(login));
    Ok(secret(Reply::ok(body).at(app.engine().position())))
}

/// One's own account. Of the past, what is personal is shown as it is now.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/users/me",
    tag = "users",
    operation_id = "users_me",
    params(TenantPath, OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The user whose token was sent", body = UserBody),
        (status = 304, description = "The client has it"),
    )
)]
pub async fn me(one: One<LoggedIn>) -> Result<Response, Problem> {
    show(&one, one.who)
}

/// A user of the tenant. Of the past, what is personal is shown as it is now.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/users/{id}",
    tag = "users",
    operation_id = "users_get",
    params(TenantPath, ("id" = Uuid, Path, description = "The user's id"), OneQuery, PositionHeader, IfNoneMatchHeader),
    responses(
        (status = 200, description = "The user", body = UserBody),
        (status = 304, description = "The client has it"),
        (status = 404, description = "The tenant has no such user, or had none then"),
    )
)]
pub async fn get(Path((_tenant, id)): Path<(String, Uuid)>, one: One) -> Result<Response, Problem> {
    show(&one, LoggedIn { tenant: one.who.tenant, user: id })
}

fn show<Who>(one: &One<Who>, LoggedIn { tenant, user }: LoggedIn) -> Result<Response, Problem> {
    let found = view::user_as_of(&one.view, tenant, user, one.moment.as_of).ok_or_else(user_not_found)?;
    Ok(one.reply(ETag::version(found.account.version), UserBody::from(found)))
}

/// Change one's password. Every token that was made before opens nothing any more.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/users/me/password",
    tag = "users",
    operation_id = "users_change_password",
    params(TenantPath, IdempotencyHeader),
    request_body = PasswordInput,
    responses(
        (status = 200, description = "It is changed. The only answer with the new token", body = LoggedInUser),
        (status = 403, description = "`password` is not the account's (`wrong-password`)"),
        (status = 409, description = "It was changed meanwhile, or the account is closed"),
        (status = 429, description = "Too many wrong passwords: wait as long as `Retry-After` says"),
        (status = 503, description = "Too many passwords wait to be hashed"),
    )
)]
pub async fn change_password(
    State(app): State<App>,
    user: LoggedIn,
    ClientAddress(address): ClientAddress,
    attempt: Attempt,
    JsonBody { value, bytes }: JsonBody<PasswordInput>,
) -> Result<Response, Problem> {
    check_new(None, ("/new_password", &value.new_password))?;
    let now = view::user(&app.engine().view(), user.tenant, user.user).ok_or_else(user_not_found)?;
    let email = now.email.ok_or_else(Problem::credentials_invalid)?;
    let proved = app.check_password(user.tenant, &email, value.password, address).await;
    let proved = proved.map_err(|refused| match refused {
        // The caller is who they are: their client must not take this for the end of its session.
        Refused::Credentials => {
            let detail = "The password is not the account's.";
            Rejection::new(Class::Forbidden, "wrong-password", detail).into()
        }
        other => Problem::from(other),
    })?;
    let password = app.hash_password(value.new_password).await?;
    let credential = proved.account.account.credential;
    let command = Command::ChangePassword(ChangePassword { user: user.user, password, credential });
    let Accepted { outcome, position, replayed } =
        submit(&app, user.who(), &attempt, &bytes, command).await?;
    let account = outcome.account;
    let login = (!replayed).then(|| app.log_in(user, &email, account.account.credential)).transpose()?;
    let body = LoggedInUser::new(User { account, email: Some(email) }, login);
    Ok(secret(Reply::ok(body).at(position).replayed(replayed)))
}

/// Close one's account for good. What is personal is shown no more, its tokens open nothing, and its email is free.
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant}/users/me",
    tag = "users",
    operation_id = "users_close",
    params(TenantPath, IdempotencyHeader),
    responses((status = 200, description = "It is closed; this is its last version", body = UserBody))
)]
pub async fn close(State(app): State<App>, user: LoggedIn, attempt: Attempt) -> Result<Response, Problem> {
    let command = Command::Close(CloseAccount { user: user.user });
    let Accepted { outcome, position, replayed } = submit(&app, user.who(), &attempt, &[], command).await?;
    let body = UserBody::from(User { account: outcome.account, email: None });
    Ok(Reply::ok(body).at(position).replayed(replayed).into_response())
}

fn user_not_found() -> Problem {
    Rejection::new(Class::Absent, "user-not-found", "There is no such user.").into()
}
