//! `maitred project`: keeps the tables of a projection up with a running server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use clap::Args;
use hyper::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::client::{Client, refusal};
use super::failure::{Done, Failure};
use super::out;
use super::place::runtime;
use crate::projection::{Page, ProjectionError, Sink};

/// How many changes a page may have: as many as the server gives at most.
const PAGE_MAX: usize = 1000;
/// How often a tenant of which nothing new came is asked again: at first, and at the least, the longer nothing came.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often the server is asked for its tenants.
const TENANTS_EVERY: Duration = Duration::from_secs(10);
/// How often the tables are told that they still hold everything.
const CAUGHT_UP_EVERY: Duration = Duration::from_secs(5);
/// How long to wait where the server or the database is away: at first, and at most.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Options of `project`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  maitred project --to postgres://me@localhost/salon --url http://127.0.0.1:8080
  maitred project --to postgres://me@localhost/salon --tenant salon --once
  psql salon -c 'SELECT resource, starts_at, title FROM maitred.appointments WHERE NOT cancelled'

The tables: appointments (an EXCLUDE constraint keeps them from overlapping), appointment_versions, bookings, \
booking_items, orders, events, event_plans, event_zones, and records for all others as JSON; projection_cursors and projection_lag tell how far they are. \
Rows and cursor are written in one transaction, so it can be stopped and started at any time. Tables are for reading: \
what is changed in them changes nothing at the server.

PostgreSQL from version 13 on. The connection is not encrypted: let it stay on a machine or a network that you trust. A \
password in --to is seen in the list of processes; in MAITRED_PROJECT_TO it is not.")]
pub struct Project {
    /// The database: `postgres://USER[:PASSWORD]@HOST[:PORT]/NAME`, or `host=… user=…`
    #[arg(long, env = "MAITRED_PROJECT_TO", hide_env_values = true, value_name = "URL")]
    to: tokio_postgres::Config,

    /// Schema of the tables; made where it is not there
    #[arg(long, default_value = "maitred", value_name = "NAME")]
    schema: String,

    /// Tenants; all of the server without it (which takes an admin's key)
    #[arg(long, value_name = "SLUG")]
    tenant: Vec<String>,

    /// Ends once everything is there that the server had
    #[arg(long)]
    once: bool,

    /// Drops the schema first, with all that is in it, and builds it anew
    #[arg(long)]
    rebuild: bool,

    /// Takes records with personal data too: of the kinds customer and user
    #[arg(long)]
    personal_data: bool,

    /// Address under which /metrics tells how far behind the tables are, such as 127.0.0.1:9465
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,

    /// Address of the running server
    #[arg(long, env = "MAITRED_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,

    /// API key (`mk_…`), where the server asks for one: of the role integration or above for named tenants
    #[arg(long, env = "MAITRED_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
}

/// What became of one attempt.
enum Trouble {
    /// It may go away by itself.
    Passing(String),
    /// It will not.
    Lasting(Failure),
}

impl From<ProjectionError> for Trouble {
    fn from(error: ProjectionError) -> Self {
        if error.is_passing() {
            Trouble::Passing(error.to_string())
        } else {
            Trouble::Lasting(Failure::unable(error))
        }
    }
}

/// What `/metrics` tells.
#[derive(Debug, Default)]
struct Counters {
    changes: AtomicU64,
    troubles: AtomicU64,
    /// How long ago all tenants were caught up, as milliseconds since the start; for the lag.
    caught_up_at: AtomicU64,
}

impl Project {
    /// Projects until a signal, or with `--once` until nothing is left.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Done {
        super::logging::start_quiet()?;
        runtime()?.block_on(async {
            let (mut terminated, mut interrupted) =
                (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            tokio::select! {
                done = self.follow() => done,
                _ = terminated.recv() => Ok(ExitCode::SUCCESS),
                _ = interrupted.recv() => Ok(ExitCode::SUCCESS),
            }
        })
    }

    async fn follow(self) -> Done {
        let client = Client::new(&self.url, self.key.clone().filter(|key| !key.is_empty()))?;
        let counters = Arc::new(Counters::default());
        let started = Instant::now();
        if let Some(address) = self.metrics {
            serve_metrics(address, started, Arc::clone(&counters)).await?;
        }
        let open = |anew| Sink::open(&self.to, &self.schema, anew, self.personal_data);
        let mut sink = Some(open(self.rebuild).await.map_err(Failure::unable)?);
        out::tell(format_args!("projecting {} into schema {}", self.url, self.schema));
        let mut follower = Follower { options: &self, client, tenants: HashMap::new(), asked: None };
        let mut retry = RETRY_MIN;
        loop {
            let round = async {
                let sink = match &mut sink {
                    Some(sink) => sink,
                    none => none.insert(open(false).await?),
                };
                follower.round(sink, &counters).await
            };
            match round.await {
                Ok(true) if self.once => break,
                Ok(caught_up) => {
                    retry = RETRY_MIN;
                    if caught_up {
                        counters.caught_up_at.store(started.elapsed().as_millis() as u64, Ordering::Relaxed);
                        sleep_until(follower.next()).await;
                    }
                }
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(why)) if self.once => return Err(Failure::unable(why)),
                Err(Trouble::Passing(why)) => {
                    counters.troubles.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("{why}; trying again in {} s", retry.as_secs_f64());
                    sink = None;
                    sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
        out::tell(format_args!("{} changes projected", counters.changes.load(Ordering::Relaxed)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks the server, tenant by tenant.
struct Follower<'a> {
    options: &'a Project,
    client: Client,
    tenants: HashMap<String, Asked>,
    /// When the server was asked for its tenants.
    asked: Option<Instant>,
}

/// A tenant that is followed.
#[derive(Debug, Clone, Copy)]
struct Asked {
    next: Instant,
    pause: Duration,
    /// When the tables were last told that they hold everything.
    told: Option<Instant>,
}

impl Follower<'_> {
    /// Takes a page of each tenant whose turn it is. Whether all that were asked had no more.
    async fn round(&mut self, sink: &mut Sink, counters: &Counters) -> Result<bool, Trouble> {
        self.find_tenants().await?;
        let now = Instant::now();
        let due = self.tenants.iter().filter(|(_, asked)| asked.next <= now).map(|(slug, _)| slug.clone());
        let mut all = true;
        for tenant in due.collect::<Vec<_>>() {
            let Some(page) = self.page(&tenant, sink.cursor(&tenant)).await? else {
                self.tenants.remove(&tenant);
                continue;
            };
            // The end of the feed is a position, and no change.
            let caught_up = page.next_after.matches('.').count() == 1;
            let changes = page.items.len();
            let Some(asked) = self.tenants.get_mut(&tenant) else { continue };
            asked.pause = if changes > 0 { PAUSE_MIN } else { (asked.pause * 5 / 4).min(PAUSE_MAX) };
            asked.next = if caught_up { now + asked.pause } else { now };
            all &= caught_up;
            let is_told = asked.told.is_some_and(|told| now - told < CAUGHT_UP_EVERY);
            if changes > 0 || (caught_up && !is_told) {
                sink.take(&tenant, page, caught_up).await?;
                asked.told = caught_up.then_some(now);
                counters.changes.fetch_add(changes as u64, Ordering::Relaxed);
            }
        }
        Ok(all)
    }

    /// When a tenant is to be asked next.
    fn next(&self) -> Instant {
        let soon = Instant::now() + PAUSE_MAX;
        self.tenants.values().map(|asked| asked.next).fold(soon, Instant::min)
    }

    async fn find_tenants(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        if self.asked.is_some_and(|asked| now - asked < TENANTS_EVERY) {
            return Ok(());
        }
        let mut slugs = self.options.tenant.clone();
        if slugs.is_empty() {
            let mut cursor = String::new();
            loop {
                let path = format!("/v1/tenants?limit=1000{cursor}");
                let page = self.ask(&path).await?.ok_or_else(|| unexpected(&path))?;
                let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
                slugs.extend(items.iter().filter_map(|tenant| Some(tenant["slug"].as_str()?.to_owned())));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
        }
        let new = Asked { next: now, pause: PAUSE_MIN, told: None };
        self.tenants = slugs
            .into_iter()
            .map(|slug| {
                let asked = self.tenants.get(&slug).copied().unwrap_or(new);
                (slug, asked)
            })
            .collect();
        self.asked = Some(now);
        Ok(())
    }

    /// The page behind a cursor. `None`: the tenant is there no more, and was not asked for by name.
    async fn page(&self, tenant: &str, after: Option<&str>) -> Result<Option<Page>, Trouble> {
        let after = after.map_or(String::new(), |after| format!("&after={after}"));
        let path = format!("/v1/tenants/{tenant}/changes?limit={PAGE_MAX}{after}");
        let Some(page) = self.ask(&path).await? else { return Ok(None) };
        serde_json::from_value(page).map(Some).map_err(|_| unexpected(&path))
    }

    async fn ask(&self, path: &str) -> Result<Option<serde_json::Value>, Trouble> {
        let asked = self.client.exchange(Method::GET, path, None).await;
        let (status, body) = asked.map_err(|failure| Trouble::Passing(failure.message().to_owned()))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map(Some).map_err(|_| unexpected(path)),
            StatusCode::NOT_FOUND if self.options.tenant.is_empty() => Ok(None),
            StatusCode::TOO_MANY_REQUESTS => {
                Err(Trouble::Passing(refusal(status, &body).message().to_owned()))
            }
            status if status.is_server_error() => {
                Err(Trouble::Passing(refusal(status, &body).message().to_owned()))
            }
            status => Err(Trouble::Lasting(refusal(status, &body))),
        }
    }
}

fn unexpected(path: &str) -> Trouble {
    Trouble::Lasting(Failure::unable(format!("the answer to {path} is none of a maitred server")))
}

/// Tells whoever asks how far the tables are.
async fn serve_metrics(
    address: SocketAddr,
    started: Instant,
    counters: Arc<Counters>,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::unable(format!("--metrics {address}: {error}")))?;
    let metrics = move |State(counters): State<Arc<Counters>>| async move {
        let caught_up = Duration::from_millis(counters.caught_up_at.load(Ordering::Relaxed));
        format!(
            "# HELP maitred_projection_lag_seconds Time since the tables last held all that the server had.\n\
             # TYPE maitred_projection_lag_seconds gauge\n\
             maitred_projection_lag_seconds {:.3}\n\
             # TYPE maitred_projection_changes_total counter\n\
             maitred_projection_changes_total {}\n\
             # TYPE maitred_projection_troubles_total counter\n\
             maitred_projection_troubles_total {}\n",
            started.elapsed().saturating_sub(caught_up).as_secs_f64(),
            counters.changes.load(Ordering::Relaxed),
            counters.troubles.load(Ordering::Relaxed),
        )
    };
    let router = Router::new().route("/metrics", get(metrics)).with_state(counters);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}
