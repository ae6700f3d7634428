//! Who is logged in, and what logging in takes: what handlers of any domain need of accounts.
//!
//! A handler of the native API takes a [`LoggedIn`] behind its [`crate::app::Scope`]. A drop-in reads the token as
//! its service did, and asks [`App::user_of_token`].

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maitred_core::{Actor, Read, TenantNumber, Timestamp};
use maitred_engine::Unavailable;
use maitred_web::auth::{Caller, PublicRoutes};
use maitred_web::{Credentials, Permission, Problem, Role, problem};
use uuid::Uuid;

use super::delays::{Delays, Tried};
use super::hasher::Hasher;
use super::password::{Password, PasswordHash, SALT_BYTES};
use super::token::{Claims, Secrets, Unverified};
use super::view::{self, Credential};
use crate::app::{App, Scope};
use crate::name;

/// The user whose token came with the request.
///
/// # Errors
/// As an argument of a handler: 401 where there is no token or no valid one, 403 for an API key, and for a user of
/// another tenant than the path's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoggedIn {
    /// The tenant in which they have their account.
    pub tenant: TenantNumber,
    /// Their id, the same for as long as there is the account.
    pub user: Uuid,
}

impl LoggedIn {
    /// The user whom a caller is, if it is one.
    pub fn of(caller: &Caller) -> Option<Self> {
        match *caller {
            Caller { actor: Actor::User(user), tenant: Some(tenant), .. } => {
                Some(LoggedIn { tenant, user: Uuid::from_u128(user) })
            }
            _ => None,
        }
    }

    /// For the log, and for idempotency.
    pub fn actor(&self) -> Actor {
        Actor::User(self.user.as_u128())
    }

    /// For [`App::submit`].
    pub fn who(&self) -> (TenantNumber, Actor) {
        (self.tenant, self.actor())
    }

    /// As what they may do things.
    pub fn caller(&self) -> Caller {
        Caller { actor: self.actor(), role: Role::Customer, tenant: Some(self.tenant) }
    }
}

impl FromRequestParts<App> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let scope = Scope::from_request_parts(parts, app).await?;
        if let Some(user) = LoggedIn::of(&scope.caller) {
            return Ok(user);
        }
        // An open server has not looked at the credentials.
        let user = match Credentials::parse(&parts.headers)? {
            Credentials::None => return Err(Problem::unauthenticated()),
            Credentials::ApiKey(_) => {
                return Err(Problem::forbidden(
                    "This needs the token of a user; an API key is nobody's account.",
                ));
            }
            Credentials::Token(token) => {
                app.user_of_token(&token).ok_or_else(Problem::credentials_invalid)?
            }
        };
        user.caller().require(Permission::Customer, scope.tenant, PublicRoutes::Closed)?;
        Ok(user)
    }
}

/// What accounts need besides the view. One of an application.
#[derive(Debug)]
pub struct Accounts {
    secrets: Secrets,
    hasher: Hasher,
    delays: Delays,
    body_key: [u8; 32],
}

/// A login that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such account, or the password is not its.
    Credentials,
    /// Too many have failed; this one was not tried.
    Delayed(Duration),
    /// The server is busy; this one was not tried.
    Unavailable(Unavailable),
}

/// A login that succeeded, or an account that is new.
pub struct Login {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Credentials => {
                Problem::new(problem::CREDENTIALS_INVALID, "There is no account of this email and password.")
                    .with_header(
                        axum::http::header::WWW_AUTHENTICATE,
                        axum::http::HeaderValue::from_static("Bearer"),
                    )
            }
            Refused::Delayed(left) => {
                Problem::new(problem::RATE_LIMITED, "Too many logins failed; wait before the next one.")
                    .with_retry_after(left)
            }
            Refused::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl Accounts {
    /// Tokens are signed with `secrets`. `body_key` keeps bodies with passwords from being guessed by the identity
    /// under which their requests are remembered.
    pub fn new(secrets: Secrets, body_key: [u8; 32]) -> Self {
        Accounts { secrets, hasher: Hasher::default(), delays: Delays::default(), body_key }
    }

    /// The threads that hash passwords.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// The server's secrets.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What stands for a body that has a password in it, wherever a hash of the body is stored. A plain hash would
    /// let whoever has the log try passwords by the billion.
    pub fn blinded(&self, body: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.body_key, body).as_bytes()
    }
}

impl App {
    /// Who holds this token, if it is valid now: signed by this server for a tenant that is there, not expired, and
    /// made under the password that its user has now. Takes a few microseconds.
    pub fn user_of_token(&self, token: &str) -> Option<LoggedIn> {
        let unverified = Unverified::parse(token)?;
        let tenant = unverified.tenant();
        let keys = self.token_keys(tenant)?;
        let claims = unverified.verify(&keys, self.engine().now())?;
        let credential = view::credential_number(&self.engine().view(), tenant, claims.id)?;
        (credential == claims.credential).then_some(LoggedIn { tenant, user: claims.id })
    }

    /// A token of a user, made now.
    ///
    /// # Errors
    /// 404 for a tenant that is closed meanwhile.
    pub fn log_in(&self, user: LoggedIn, email: &str, credential: u64) -> Result<Login, Problem> {
        let keys = self.token_keys(user.tenant).ok_or_else(|| Problem::not_found("tenant"))?;
        let claims = Claims::new((user.tenant, user.user), email, credential, self.engine().now());
        Ok(Login { token: keys.sign(&claims), expires_at: claims.expires_at() })
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// 503 where too many wait, 500 where the system gives no random bits.
    pub async fn hash_password(&self, password: Password) -> Result<PasswordHash, Problem> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| {
            tracing::error!(error = %error, "the system gives no random bits");
            Problem::internal_error()
        })?;
        Ok(self.accounts().hasher.make(password, salt).await?)
    }

    /// The account of this email, normalised, if `password` is its password. Whether there is one, and how it fails,
    /// cannot be told apart, but for what a delay tells of attempts before.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn check_password(
        &self,
        tenant: TenantNumber,
        email: &str,
        password: Password,
        address: Option<IpAddr>,
    ) -> Result<Credential, Refused> {
        let Accounts { hasher, delays, .. } = self.accounts();
        let tried = Tried { tenant, email: name::hash(email), address };
        let attempt = delays.begin(tried, Instant::now()).map_err(Refused::Delayed)?;
        if !password.can_be_right() {
            return Err(Refused::Credentials);
        }
        let found = find(&self.engine().view(), tenant, email);
        let hash = found.as_ref().map(|found| found.password.clone());
        let right = hasher.verify(password, hash).await.map_err(Refused::Unavailable)?;
        match found.filter(|_| right) {
            Some(found) => {
                attempt.succeeded();
                Ok(found)
            }
            None => {
                attempt.failed(Instant::now());
                Err(Refused::Credentials)
            }
        }
    }
}

fn find(view: &dyn Read, tenant: TenantNumber, email: &str) -> Option<Credential> {
    view::user_by_email(view, tenant, email)
}
