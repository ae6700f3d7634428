//! `POST /users` and `POST /users/authenticate`.
//!
//! Where that service failed with a 500 on a client's mistake, the answer is a 400 of the same shape.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maitred_booking::Outcome;
use maitred_booking::accounts::password::PASSWORD_CHARS_MIN_DROP_IN;
use maitred_booking::accounts::session::Refused;
use maitred_booking::accounts::{Command, LoggedIn, Password, RegisterUser, email, user_by_email};
use maitred_booking::app::App;
use maitred_core::Actor;
use maitred_web::{Attempt, ClientAddress, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::Answer;
use super::body::{self, Fields};
use super::tenant;

/// The size of a command in memory, roughly.
const COMMAND_BYTES: usize = 512;

/// Whom an account is for.
#[derive(Debug, ToSchema)]
#[schema(as = BookipiUserInput)]
#[expect(dead_code, reason = "the API document alone reads it; the body is read as that service read it")]
pub(super) struct UserInput {
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// At least 6 characters, at most 1,024 bytes.
    #[schema(format = Password, min_length = 6, max_length = 1024)]
    password: String,
}

/// A user with a token.
#[derive(Serialize, ToSchema)]
#[schema(as = BookipiUser)]
pub(super) struct UserBody {
    user_id: Uuid,
    /// In the form that is kept.
    email: String,
    /// Valid for 24 hours, or until the password is changed. A repeated request is answered without it.
    #[schema(required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Make an account.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "bookipi_users_register",
    tag = "bookipi",
    params(("X-Tenant" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    request_body = UserInput,
    security(()),
    responses(
        (status = 201, description = "It is there, and its user is logged in", body = UserBody),
        (status = 400, description = "Fields that do not keep their rules, an entry for each rule", body = serde_json::Value, example = json!({"errors": [{"type": "field", "value": "x", "msg": "Invalid value", "path": "email", "location": "body"}]})),
        (status = 409, description = "There is an account of this email", body = serde_json::Value, example = json!({"error": "User already exists"})),
    )
)]
pub(super) async fn register(State(app): State<App>, request: Request) -> Result<Response, Answer> {
    let attempt = Attempt::parse(request.headers(), request.method(), request.uri())?;
    let headers = request.headers().clone();
    let bytes = body::read(request).await?;
    let fields = Fields::parse(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes), &bytes)?;
    let long_enough = |text: &str| text.chars().count() >= PASSWORD_CHARS_MIN_DROP_IN;
    let (email, password) = check(&fields, &[&long_enough, &is_given], "Failed to create user")?;
    if !password.is_allowed(PASSWORD_CHARS_MIN_DROP_IN) {
        return Err(Answer::invalid(&[fields.invalid("password")]));
    }
    let tenant = tenant::of_write(&app, &headers).await?;
    if !attempt.is_keyed() && user_by_email(&app.engine().view(), tenant, &email).is_some() {
        return Err(already_exists());
    }
    let password = app.hash_password(password).await?;
    let idempotency = attempt.identify(Actor::Anonymous, &app.accounts().blinded(&bytes));
    let given = fields.text("email").unwrap_or(&email).to_owned();
    let command = Command::Register(RegisterUser { email: given, password });
    let decided = app.decide((tenant, Actor::Anonymous), idempotency, COMMAND_BYTES, command).await?;
    let account = match decided.result {
        Ok(Outcome::Accounts(outcome)) => outcome.account.account,
        Ok(other) => unreachable!("a command on accounts is answered with {other:?}"),
        Err(rejection) => {
            let refused = match &*rejection.code {
                "email-taken" => already_exists(),
                _ => Problem::from(rejection).into(),
            };
            return Err(refused.replayed(decided.replayed));
        }
    };
    let user = LoggedIn { tenant, user: account.id };
    let answer = if decided.replayed {
        let body = UserBody { user_id: account.id, email, token: None };
        Answer::json(StatusCode::CREATED, &body).replayed(true)
    } else {
        logged_in(&app, StatusCode::CREATED, user, email, account.credential)?
    };
    Ok(answer.into_response())
}

/// Log in.
#[utoipa::path(
    post,
    path = "/users/authenticate",
    operation_id = "bookipi_users_authenticate",
    tag = "bookipi",
    params(("X-Tenant" = Option<String>, Header)),
    request_body = UserInput,
    security(()),
    responses(
        (status = 200, description = "The user and a token", body = UserBody),
        (status = 400, description = "Fields that do not keep their rules, an entry for each rule", body = serde_json::Value, example = json!({"errors": [{"type": "field", "msg": "Invalid value", "path": "password", "location": "body"}]})),
        (status = 401, description = "There is no account of this email and password", body = serde_json::Value, example = json!({"error": "Invalid credentials"})),
    )
)]
pub(super) async fn authenticate(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    request: Request,
) -> Result<Response, Answer> {
    let headers = request.headers().clone();
    let bytes = body::read(request).await?;
    let fields = Fields::parse(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes), &bytes)?;
    let (email, password) = check(&fields, &[&is_given], "Authentication failed")?;
    // Where an open server has no such tenant, nobody has an account there; it takes as long to say so.
    let tenant = tenant::of_read(&app, &headers)?.unwrap_or_default();
    let found =
        app.check_password(tenant, &email, password, address).await.map_err(|refused| match refused {
            Refused::Credentials => Answer::error(StatusCode::UNAUTHORIZED, "Invalid credentials"),
            other => Problem::from(other).into(),
        })?;
    let account = found.account.account;
    let user = LoggedIn { tenant, user: account.id };
    Ok(logged_in(&app, StatusCode::OK, user, email, account.credential)?.into_response())
}

/// The email in the form that is kept, and the password, if they keep their rules; `failed` is what that service says
/// of a password that keeps them and is no text.
fn check(
    fields: &Fields,
    password_rules: &[&dyn Fn(&str) -> bool],
    failed: &str,
) -> Result<(String, Password), Answer> {
    let email = fields.text("email").and_then(email::normalise);
    let mut invalid = Vec::new();
    if email.is_none() {
        invalid.push(fields.invalid("email"));
    }
    for rule in password_rules {
        if !fields.keeps("password", rule) {
            invalid.push(fields.invalid("password"));
        }
    }
    match (email, fields.text("password")) {
        _ if !invalid.is_empty() => Err(Answer::invalid(&invalid)),
        (Some(email), Some(password)) => Ok((email, Password::new(password))),
        _ => Err(Answer::error(StatusCode::BAD_REQUEST, failed)),
    }
}

fn is_given(text: &str) -> bool {
    !text.is_empty()
}

fn logged_in(
    app: &App,
    status: StatusCode,
    user: LoggedIn,
    email: String,
    credential: u64,
) -> Result<Answer, Answer> {
    let login = app.log_in(user, &email, credential)?;
    let body = UserBody { user_id: user.user, email, token: Some(login.token) };
    Ok(Answer::json(status, &body).with_header(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

fn already_exists() -> Answer {
    Answer::error(StatusCode::CONFLICT, "User already exists")
}
