//! `maitred serve`.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use clap::Args;
use maitred_booking::app::{Access, App};
use maitred_booking::readiness::Readiness;
use maitred_booking::tenants;
use maitred_connectors::feed_fetch::{self, Fetcher};
use maitred_connectors::outgoing::Client;
use maitred_web::{Guard, Problem};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower::Layer as _;
use tower::util::option_layer;

use super::failure::{Done, Failure, not_started};
use super::{logging, out};
use crate::assemble::{Node, random};
#[cfg(feature = "rabbitmq")]
use crate::brokers;
use crate::config::{Config, Flags, Limits};
use crate::first_providers::{self, Interval, NamedFeed, Wanted};
use crate::gate::Gate;
use crate::starting::Starting;
use crate::syncer::Syncer;
use crate::{demo, demo_feeds, open_files, router, serve};

/// How many connections wait to be accepted.
const BACKLOG: u32 = 1_024;
/// Open files besides the connections: those of the log and the view, and whatever a snapshot or a scrub reads.
const OTHER_FILES: u64 = 128;
/// The folder in the data folder where feeds are while they are read.
const FEEDS_FOLDER: &str = "feeds";
/// How long a stop waits until the last tries to buy are written.
const KEEPING_TIME: Duration = Duration::from_secs(5);
/// The exit status after a second signal.
const EXIT_AT_ONCE: i32 = 130;

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Try it out, with demo data and requests to paste:
    maitred serve --demo
  Keep the data in another folder, and listen on another port:
    maitred serve --data /var/lib/maitred --listen 127.0.0.1:9000
  Search the events of others, fetched every 15 seconds:
    maitred serve --provider arena=http://127.0.0.1:9100/feed.xml --sync-interval 15s
  Serve other machines: make a key first, then demand keys:
    maitred keys create --role admin --data /var/lib/maitred
    maitred serve --auth --listen 0.0.0.0:8080 --data /var/lib/maitred

A flag goes before its variable, that before the file of --config, that before the default. SIGTERM or SIGINT stops \
it gracefully: not ready, no new work, open requests finished, everything flushed. A second signal stops it at once; \
nothing acknowledged is lost either way.")]
pub struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// A provider of events for the default tenant, and where its feed is; may be given several times, in the variable
    /// with blanks between. Its host may have a private address
    #[arg(long = "provider", value_name = "NAME=URL", env = "MAITRED_PROVIDER", value_delimiter = ' ')]
    providers: Vec<NamedFeed>,
    /// How often those providers are synced, such as 15s or 5m
    #[arg(long, value_name = "INTERVAL", env = "MAITRED_SYNC_INTERVAL", default_value = "60s")]
    sync_interval: Interval,
    /// Publish the changes of all tenants to RabbitMQ, to the topic exchange `maitred` that is declared there; --config has
    /// more settings, and keeps the password out of sight
    #[arg(long, env = "MAITRED_PUBLISH", hide_env_values = true, value_name = "URL")]
    publish: Option<String>,
}

impl Serve {
    /// Serves until a signal.
    ///
    /// # Errors
    /// [`Failure`]: whatever keeps it from starting.
    pub fn run(self) -> Done {
        let mut config = Config::load(self.flags.clone())?;
        if let Some(url) = self.publish.clone() {
            config.publish_to(url)?;
        }
        logging::start(&config.log)?;
        config.limits.connections = connections(config.limits.connections)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (starting, listener) = runtime.block_on(async {
            let listener = bind(config.server.listen.0)?.listen(BACKLOG)?;
            Ok::<_, Failure>(Starting::begin(listener, config.limits.of_socket())?)
        })?;
        let secrets = config.tokens.secrets()?;
        let mut providers = self.providers(&config)?;
        let beside_demo = match config.server.demo {
            true => Some(runtime.block_on(demo_feeds::start())?),
            false => None,
        };
        let of_demo = beside_demo.iter().flat_map(|beside| &beside.feeds);
        providers.extend(of_demo.map(|feed| Wanted::named(demo::TENANT, feed, demo_feeds::SYNC_INTERVAL)));
        let client = config.outgoing.client(providers.iter().map(|provider| provider.feed.host.clone()))?;
        #[cfg(feature = "rabbitmq")]
        let brokers = config.broker_addresses()?;
        let relay = config.mail.relay()?;
        let data = &config.server.data;
        let node = Node::start_with(data, &config.storage).map_err(|error| not_started(&error, data))?;
        announce(&node);
        let access = if config.server.auth { Access::Keys } else { Access::Open };
        if access == Access::Keys && tenants::live_api_keys(&node.engine.view(), None) == 0 {
            tracing::warn!(
                "keys are demanded, and there is no admin's key: stop the server, and make one with `maitred keys create \
                 --role admin --data {}`",
                data.display()
            );
        }
        let app = node.app_with(access, &config.server.default_tenant, secrets)?;
        let fetcher = fetcher(data, client.clone())?;
        let workers = node.employ(&app, client)?;
        let mail = relay.map(|relay| node.employ_mail(&app, relay)).transpose()?;
        let proxies = config.server.proxies();
        // An open server answers this machine, which is not limited; a proxy may bring others.
        if access == Access::Keys || proxies.is_some() {
            app.limit_rates(config.rates.quotas());
        }
        let gate = Gate::default();
        let addresses = proxies.map(Arc::new).map(|proxies| {
            Guard::new(move |request: &mut Request| {
                proxies.resolve(request);
                Ok(())
            })
        });
        let (routes, _) = router::with_limits(&app, &config.limits);
        let service = (gate.guard(), option_layer(addresses)).layer(routes);
        let served = runtime.block_on(async {
            let mut signals = Signals::new()?;
            app.ensure_default_tenant().await.map_err(|problem| no_tenant(&problem, &config))?;
            let address = listener.local_addr()?;
            if let Some(beside) = &beside_demo {
                tokio::select! {
                    seeded = demo::seed(&app) => out::tell(seeded?.to_text(address, access)),
                    () = signals.next() => return Ok(()),
                }
                demo_feeds::subscribe(&app, beside).await?;
                out::tell(format_args!("Its changes arrive as webhooks, to look at: {}\n", beside.inbox));
            }
            first_providers::ensure(&app, &providers).await.map_err(Failure::unable)?;
            let syncer = Syncer::start(&app, fetcher);
            #[cfg(feature = "rabbitmq")]
            let brokers = match brokers.is_empty() {
                true => None,
                false => Some(brokers::Workers::start(&app, brokers, random().map(u64::from_le_bytes)?)?),
            };
            starting.end().await;
            app.readiness().ready();
            out::tell(format_args!("listening on http://{address}"));
            let life = (gate, app.readiness().clone());
            serve_until_stopped(listener, service, life, signals, &config.limits).await;
            #[cfg(feature = "rabbitmq")]
            if let Some(brokers) = brokers {
                tokio::task::block_in_place(|| brokers.stop());
            }
            syncer.stop().await;
            keep_tries(&app).await;
            Ok::<_, Failure>(())
        });
        drop(app);
        workers.stop();
        if let Some(mail) = mail {
            mail.stop();
        }
        node.stop();
        tracing::info!("stopped");
        served.map(|()| ExitCode::SUCCESS)
    }

    /// The providers that were named. Those of the command line go before those of the file.
    fn providers(&self, config: &Config) -> Result<Vec<Wanted>, Failure> {
        let tenant = &config.server.default_tenant;
        let named = self.providers.iter().map(|feed| Wanted::named(tenant, feed, self.sync_interval));
        let mut providers: Vec<Wanted> = named.collect();
        for provider in &config.providers {
            let wanted = Wanted::of_file(provider, tenant)?;
            let names = |other: &Wanted| (other.tenant.clone(), other.feed.name.clone());
            if !providers.iter().any(|other| names(other) == names(&wanted)) {
                providers.push(wanted);
            }
        }
        Ok(providers)
    }
}

/// What fetches the feeds of providers, by the client of all outgoing requests.
fn fetcher(data: &Path, client: Client) -> Result<Fetcher, Failure> {
    let settings = feed_fetch::Settings {
        folder: data.join(FEEDS_FOLDER),
        slots: feed_fetch::SLOTS,
        spools_bytes_max: feed_fetch::SPOOLS_BYTES_MAX,
        random: below,
    };
    let fetcher = DirBuilder::new().mode(0o700).recursive(true).create(&settings.folder);
    let fetcher = fetcher.and_then(|()| Fetcher::new(client, settings));
    fetcher.map_err(|error| Failure::unable(format!("the folder for feeds cannot be used: {error}")))
}

/// A random number below another; 0 where the system gives none.
fn below(bound: u64) -> u64 {
    random().map_or(0, u64::from_le_bytes).checked_rem(bound).unwrap_or(0)
}

/// How many connections of those that are wanted there are files for.
fn connections(wanted: u64) -> Result<u64, Failure> {
    let allowed = open_files::allow(wanted + OTHER_FILES)?;
    let possible = allowed.saturating_sub(OTHER_FILES).clamp(1, wanted);
    if possible < wanted {
        tracing::warn!(
            "{possible} connections at once instead of {wanted}: the system allows {allowed} open files (ulimit -Hn)"
        );
    }
    Ok(possible)
}

fn announce(node: &Node) {
    let started = &node.started;
    tracing::info!(
        log.segments = started.log.segments,
        log.batches_verified = started.log.batches_verified,
        log.duration_ms = started.log_took.as_millis() as u64,
        view.store_seq = started.view.store_seq,
        view.replayed = started.view.replayed,
        view.duration_ms = started.view_took.as_millis() as u64,
        position.seq = started.view.seq,
        "{}",
        started.to_line()
    );
}

/// Why the first write to a new folder was refused.
fn no_tenant(problem: &Problem, config: &Config) -> Failure {
    if problem.code() != maitred_web::problem::DISK_FULL.code {
        return Failure::unable(problem.detail());
    }
    let (segment, free) = (config.storage.segment_bytes, config.storage.free_bytes);
    Failure::unable(format!(
        "{}: too little room on the disk to begin here: a segment of the log takes {segment} bytes, and must leave \
         {free}; make room, choose another folder with --data, or lower --free-bytes",
        config.server.data.display()
    ))
}

/// Takes the address, before anything that lasts. Connections are refused until it listens.
fn bind(address: SocketAddr) -> Result<TcpSocket, Failure> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bind().map_err(|error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there; choose another with --listen",
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege; choose another with --listen"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; choose another with --listen"
            }
            _ => "choose another with --listen",
        };
        Failure::unable(format!("cannot listen on {address}: {error}: {hint}"))
    })
}

/// Serves until a signal; then not ready, after the delay no new work and the end of streams, and the end of all once
/// open requests are done ([`crate::serve`] has the steps).
async fn serve_until_stopped(
    listener: TcpListener,
    service: impl serve::Http,
    (gate, readiness): (Gate, Readiness),
    mut signals: Signals,
    limits: &Limits,
) {
    let delay = Duration::from_secs(limits.stop_delay_seconds);
    let stop = async move {
        signals.next().await;
        tracing::info!("stopping: open requests are finished; a second signal stops at once");
        gate.unready();
        tokio::spawn(at_once(signals));
        tokio::time::sleep(delay).await;
        gate.close();
        readiness.drain();
    };
    serve::serve_within(limits.of_socket(), listener, service, stop).await;
}

/// Writes what was counted of sales since the last second: nothing is counted any more.
async fn keep_tries(app: &App) {
    match tokio::time::timeout(KEEPING_TIME, app.write_tries()).await {
        Ok(Ok(())) => {}
        Ok(Err(unavailable)) => {
            tracing::warn!("the last tries to buy are not in the statistics of their sales: {unavailable}");
        }
        Err(_) => tracing::warn!("the last tries to buy are not in the statistics of their sales: no time"),
    }
}

async fn at_once(mut signals: Signals) {
    signals.next().await;
    tracing::warn!("a second signal: stopping at once; the next start replays what was not flushed");
    std::process::exit(EXIT_AT_ONCE);
}

/// The signals that ask for a stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Signals { terminate, interrupt })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
