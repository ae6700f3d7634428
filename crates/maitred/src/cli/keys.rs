//! `maitred keys`: API keys, in a folder or at a running server.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use maitred_booking::tenants::{self, ApiKey, CreateApiKey, RevokeApiKey, Role};
use maitred_booking::{Command, Outcome};
use maitred_core::{Actor, TenantNumber};
use maitred_engine::{Engine, Envelope};
use maitred_web::auth;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Client;
use super::failure::{Done, Failure};
use super::out;
use super::place::{Place, PlaceArgs, open, require_folder, runtime};
use crate::assemble::{Node, random};

/// How many keys are listed at once.
const PAGE: usize = 1_000;

/// Make, list and revoke API keys
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key, and print its secret, which is shown this once
    Create(Create),
    /// List the keys of the server or of a tenant, without their secrets
    List(List),
    /// Revoke a key for good
    Revoke(Revoke),
}

/// Options of `keys create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  The first key of a server, before it is started with --auth:
    maitred keys create --role admin --data ./maitred-data
  A key with which a salon's system pushes appointments, made at the running server:
    maitred keys create --role integration --tenant salon --url http://127.0.0.1:8080 --key mk_…

The secret alone is printed to standard output. Nobody can read it again: keep it, or revoke the key.")]
pub struct Create {
    /// What it allows
    #[arg(long, value_parser = role, value_name = "admin|owner|staff|integration|customer|public")]
    role: Role,
    /// Tenant that it is bound to; none for the role admin, which has all of the server
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Name for people
    #[arg(long, default_value = "made on the command line", value_name = "TEXT")]
    name: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `keys list`.
#[derive(Debug, Args)]
#[command(after_help = "Example: maitred keys list --tenant salon --data ./maitred-data")]
pub struct List {
    /// Tenant whose keys; without it the server's own
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `keys revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: maitred keys revoke 0197c0de-… --tenant salon --data ./maitred-data

The server's last key is revoked with --force alone: from then on nobody can administer a server that demands keys, \
until another key is made on its folder, with the server stopped.")]
pub struct Revoke {
    /// The key's id, as `keys list` has it
    id: Uuid,
    /// Tenant whose key; without it one of the server's own
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Revoke the server's last key too
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

fn role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("the roles are {}", names.join(", "))
    })
}

impl Keys {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Done {
        super::logging::start_quiet()?;
        match self {
            Keys::Create(create) => create.run(),
            Keys::List(list) => list.run(),
            Keys::Revoke(revoke) => revoke.run(),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        if (self.role == Role::Admin) != self.tenant.is_none() {
            let reason = "the role admin takes no --tenant, and every other role needs one";
            return Err(Failure::usage(reason));
        }
        let (id, secret) = match self.place.place()? {
            Place::Folder(dir) => {
                let secret = auth::ApiKey::from_random(&random()?);
                let id = on_folder(open(&dir)?, |node| {
                    let tenant = tenant_number(&node.engine, self.tenant.as_deref())?;
                    let id = maitred_core::Ids::new(node.engine.now(), u64::from_le_bytes(random()?)).next();
                    let create = CreateApiKey {
                        tenant,
                        id,
                        name: self.name,
                        role: self.role,
                        secret_hash: secret.hash().0,
                    };
                    submit(&node.engine, tenants::Command::CreateApiKey(create)).map(|_| id)
                })?;
                (id.to_string(), secret.reveal().to_owned())
            }
            Place::Server(client) => {
                let mut body = json!({ "name": self.name });
                if self.tenant.is_some() {
                    body["role"] = self.role.as_str().into(); // the server's own keys have one role
                }
                let answer = ask(&client, Method::POST, &keys_path(self.tenant.as_deref())?, Some(&body))?;
                let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
                let secret = text("secret").ok_or_else(|| Failure::unable("the answer has no secret"))?;
                (text("id").unwrap_or_default(), secret)
            }
        };
        eprintln!("key {id} with the role {}; its secret is shown this once:", self.role.as_str());
        let lost = |error| {
            Failure::unable(format!(
                "the secret could not be written, {error}: revoke key {id}, and make another"
            ))
        };
        writeln!(std::io::stdout(), "{secret}").map_err(lost)
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        match self.place.place()? {
            Place::Folder(dir) => {
                require_folder(&dir)?;
                on_folder(open(&dir)?, |node| {
                    let tenant = tenant_number(&node.engine, self.tenant.as_deref())?;
                    let mut after = None;
                    loop {
                        let keys = tenants::api_keys(&node.engine.view(), tenant, after, PAGE);
                        keys.iter().try_for_each(|key| out::line(to_line(key)))?;
                        after = match keys.last() {
                            Some(last) if keys.len() == PAGE => Some(last.id),
                            _ => return Ok(()),
                        };
                    }
                })
            }
            Place::Server(client) => pages(&client, self.tenant.as_deref(), &mut |key| {
                let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let revoked = key.get("revoked").and_then(Value::as_bool).unwrap_or_default();
                out::line(line(&text("id"), &text("role"), &text("created_at"), revoked, &text("name")))
            }),
        }
    }
}

impl Revoke {
    fn run(self) -> Result<(), Failure> {
        let Revoke { id, tenant, force, place } = self;
        match place.place()? {
            Place::Folder(dir) => {
                require_folder(&dir)?;
                on_folder(open(&dir)?, |node| {
                    let tenant = tenant_number(&node.engine, tenant.as_deref())?;
                    let view = node.engine.view();
                    let lives = tenants::api_key(&view, tenant, id).is_some_and(|key| !key.revoked);
                    if tenant.is_none() && lives && tenants::live_api_keys(&view, None) == 1 && !force {
                        return Err(last_key(id));
                    }
                    let revoke = RevokeApiKey { tenant, id };
                    submit(&node.engine, tenants::Command::RevokeApiKey(revoke)).map(drop)
                })?;
            }
            Place::Server(client) => {
                if tenant.is_none() && !force && is_last(&client, id)? {
                    return Err(last_key(id));
                }
                let path = format!("{}/{id}", keys_path(tenant.as_deref())?);
                ask(&client, Method::DELETE, &path, None)?;
            }
        }
        eprintln!("key {id} is revoked");
        Ok(())
    }
}

/// Why the last key of a server stays.
fn last_key(id: Uuid) -> Failure {
    Failure::unable(format!(
        "key {id} is the server's last: without it nobody can administer a server that demands keys. Make another first \
         with `maitred keys create --role admin`, or revoke it all the same with --force"
    ))
}

/// Whether it is the one key of the server that is live.
fn is_last(client: &Client, id: Uuid) -> Result<bool, Failure> {
    let (mut lives, mut others) = (false, false);
    pages(client, None, &mut |key| {
        let live = key.get("revoked").and_then(Value::as_bool) == Some(false);
        let is_this = key.get("id").and_then(Value::as_str) == Some(&id.to_string());
        *if is_this { &mut lives } else { &mut others } |= live;
        Ok(())
    })?;
    Ok(lives && !others)
}

/// Every key of a tenant, or of the server, as a running server lists them.
fn pages(
    client: &Client,
    tenant: Option<&str>,
    key: &mut dyn FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let path = keys_path(tenant)?;
    let mut cursor = String::new();
    loop {
        let page = ask(client, Method::GET, &format!("{path}?limit={PAGE}{cursor}"), None)?;
        page.get("items").and_then(Value::as_array).into_iter().flatten().try_for_each(&mut *key)?;
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(()),
        }
    }
}

/// Does something with a node, and stops it whatever came of it.
fn on_folder<T>(node: Node, doing: impl FnOnce(&Node) -> Result<T, Failure>) -> Result<T, Failure> {
    let done = doing(&node);
    node.stop();
    done
}

fn ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    runtime()?.block_on(client.json(method, path, body))
}

fn keys_path(tenant: Option<&str>) -> Result<String, Failure> {
    let Some(tenant) = tenant else { return Ok("/v1/api-keys".to_owned()) };
    if !tenants::is_slug(tenant) {
        return Err(Failure::usage(format!("--tenant {tenant}: expected a slug such as salon-3")));
    }
    Ok(format!("/v1/tenants/{tenant}/api-keys"))
}

fn tenant_number(
    engine: &Engine<maitred_booking::Booking>,
    slug: Option<&str>,
) -> Result<Option<TenantNumber>, Failure> {
    let Some(slug) = slug else { return Ok(None) };
    let tenant = tenants::tenant_by_slug(&engine.view(), slug);
    let tenant = tenant.ok_or_else(|| Failure::unable(format!("there is no tenant \"{slug}\"")))?;
    Ok(Some(tenant.profile.tenant()))
}

fn submit(engine: &Engine<maitred_booking::Booking>, command: tenants::Command) -> Result<Outcome, Failure> {
    let envelope = Envelope {
        tenant: TenantNumber::SYSTEM,
        actor: Actor::System,
        idempotency: None,
        bytes: 512,
        command: Command::Tenants(command),
    };
    let answer = runtime()?.block_on(engine.submit(envelope)).map_err(Failure::unable)?;
    answer.result.map_err(|rejection| Failure::unable(format!("{} ({})", rejection.detail, rejection.code)))
}

fn to_line(key: &ApiKey) -> String {
    line(&key.id.to_string(), key.role.as_str(), &key.created_at.to_string(), key.revoked, &key.name)
}

fn line(id: &str, role: &str, created_at: &str, revoked: bool, name: &str) -> String {
    let state = if revoked { "revoked" } else { "live" };
    format!("{id}  {role:<11}  {created_at}  {state:<7}  {}", name.escape_debug())
}
