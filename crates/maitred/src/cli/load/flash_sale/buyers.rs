//! The buyers of a sale under load, and the request of each.
//!
//! Invariants: the passwords of accounts that are made here are random, and forgotten; a file of tokens can be read
//! by the user who runs the load tester and by nobody else.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, StatusCode};
use uuid::Uuid;

use super::super::answer::Answer;
use super::super::generator::Workload;
use super::super::judge;
use super::super::records::{push_number, scramble};
use super::super::tally::{Outcome, Outcomes};
use super::super::target::{RequestTemplate, Target};
use super::super::{LoadError, errand, shared_report};
use crate::cli::client::Client;
use crate::cli::place::runtime;

/// Accounts that are asked for at once: fewer than the server lets wait for their password's hash.
const REGISTERING_MAX: u64 = 32;
/// How long an account may take to be made.
const REGISTERING_SECONDS_MAX: f64 = 60.0;
/// How long the server may take to say whether a token is valid.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the answer with a token that are looked at.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// The requests of buyers who send these tokens.
pub(super) fn with_tokens(target: &Target, sale: Uuid, tokens: &[String]) -> Result<Vec<Vec<u8>>, LoadError> {
    let request = |token: &String| {
        let target = Target { key: Some(token.clone()), ..target.clone() };
        let mut request = Vec::new();
        orders(&target, sale)?.write(&mut request, b"", b"{}");
        Ok(request)
    };
    tokens.iter().map(request).collect()
}

/// The requests of the key's holder for buyers who are ids and nothing else.
pub(super) fn named(target: &Target, sale: Uuid, users: u64) -> Result<Vec<Vec<u8>>, LoadError> {
    let orders = orders(target, sale)?;
    let request = |user| {
        let id = u128::from(scramble(user)) << 64 | u128::from(scramble(!user));
        let id = uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid();
        let mut request = Vec::new();
        orders.write(&mut request, b"", format!("{{\"buyer_id\":\"{id}\"}}").as_bytes());
        request
    };
    Ok((0..users).map(request).collect())
}

fn orders(target: &Target, sale: Uuid) -> Result<RequestTemplate, LoadError> {
    target.tenant_request("POST", &format!("sales/{sale}/orders"))
}

/// The tokens of so many users: those in the file if they are enough and valid, else those of new accounts, which
/// then are in the file.
pub(super) fn tokens(target: &Target, users: u64, file: Option<&Path>) -> Result<Vec<String>, LoadError> {
    let Some(file) = file else { return register(target, users) };
    let mut kept = read(file)?;
    kept.truncate(users as usize);
    // They were made one after the other under one secret: what the first and the last are, all are.
    let ends = [kept.first(), kept.last()].into_iter().flatten();
    let valid = ends.map(|token| is_valid(target, token)).collect::<Result<Vec<bool>, LoadError>>()?;
    if kept.len() as u64 == users && !valid.contains(&false) {
        return Ok(kept);
    }
    let tokens = register(target, users)?;
    write(file, &tokens)?;
    Ok(tokens)
}

/// The tokens of a file; none where there is none.
fn read(file: &Path) -> Result<Vec<String>, LoadError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LoadError::file(file, &error)),
    }
}

fn write(file: &Path, tokens: &[String]) -> Result<(), LoadError> {
    // A file that is there may be open to others.
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(LoadError::file(file, &error)),
        _ => {}
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut out| out.write_all((tokens.join("\n") + "\n").as_bytes()));
    written.map_err(|error| LoadError::file(file, &error))
}

fn is_valid(target: &Target, token: &str) -> Result<bool, LoadError> {
    let client = Client::new(&target.url, Some(token.to_owned()))?;
    let path = format!("/v1/tenants/{}/users/me", target.slug()?);
    let asked = async { tokio::time::timeout(PATIENCE, client.exchange(Method::GET, &path, None)).await };
    let answered = runtime()?.block_on(asked);
    let (status, _) =
        answered.map_err(|_elapsed| LoadError::Unavailable(format!("{path}: no answer in time")))??;
    Ok(status == StatusCode::OK)
}

/// Makes accounts, and gives the tokens of their users.
fn register(target: &Target, users: u64) -> Result<Vec<String>, LoadError> {
    let registration = Arc::new(Registration {
        request: target.tenant_request("POST", "users")?,
        run: random()?,
        password: random()?,
        tokens: Mutex::default(),
    });
    let plan = errand(target, REGISTERING_MAX.min(users), users, REGISTERING_SECONDS_MAX)?;
    let report = shared_report(format!("{users} accounts"), &plan, &registration, Some(&[Outcome::Created]))?;
    let tokens = std::mem::take(&mut *registration.tokens.lock().unwrap_or_else(PoisonError::into_inner));
    match report.problems() {
        [] if tokens.len() as u64 == users => Ok(tokens),
        problems => Err(LoadError::Unavailable(format!(
            "{} of {users} accounts were made; {}. Buyers register by themselves where the tenant is open to the public",
            tokens.len(),
            problems.join("; ")
        ))),
    }
}

/// 128 random bits in hexadecimal digits.
fn random() -> Result<String, LoadError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| LoadError::Unavailable(format!("the system gives no random bits: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Accounts that are made.
struct Registration {
    request: RequestTemplate,
    /// Sets the addresses of a run apart from those of any other.
    run: String,
    password: String,
    tokens: Mutex<Vec<String>>,
}

impl Workload for Registration {
    fn request(&self, number: u64, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        scratch.clear();
        scratch.extend_from_slice(b"{\"email\":\"load-");
        push_number(scratch, number);
        // A domain that RFC 2606 keeps from ever being anybody's.
        let rest = format!("-{}@example.com\",\"password\":\"{}\"}}", self.run, self.password);
        scratch.extend_from_slice(rest.as_bytes());
        self.request.write(out, b"", scratch);
    }

    fn judge(&self, _number: u64, answer: Answer<'_>) -> Outcomes {
        let token =
            || judge::text_after(answer.body, b"\"token\":\"").and_then(|token| str::from_utf8(token).ok());
        let outcome = match (answer.status, token()) {
            (201, Some(token)) => {
                self.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(token.to_owned());
                Outcome::Created
            }
            (201, None) => Outcome::Other,
            (status, _) => Outcome::of_error_status(status),
        };
        let mut outcomes = Outcomes::default();
        outcomes.add(outcome, 1);
        outcomes
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}
