//! `maitred feed-server`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Zoned;
use jiff::civil::Date;
use tokio::net::TcpListener;

use super::failure::{Done, Failure};
use super::out;
use super::serve::Signals;
use crate::feed_server::{EVENTS_MAX, Fault, FeedServer, PROVIDERS_MAX, Settings};

/// Options of `feed-server`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Two providers with 200 events each, beside a server that asks them:
    maitred feed-server --listen 127.0.0.1:8090
    maitred serve --provider one=http://127.0.0.1:8090/providers/1/feed.xml
  Let a provider hang, and work again:
    curl -X PUT http://127.0.0.1:8090/providers/1/fault/hang
    curl -X PUT http://127.0.0.1:8090/providers/1/fault/none

Webhooks sent to POST /webhooks are taken unchecked, and GET /webhooks shows the newest.

GET /providers/N/feed.xml takes ?fault=NAME, ?revision=N and ?events=N as well. The same options give the same feeds; \
only which revision it is, follows the clock.")]
pub struct FeedServerCommand {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Providers
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(PROVIDERS_MAX)))]
    providers: u32,
    /// Events of each provider
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=EVENTS_MAX))]
    events: u64,
    /// Seed: the same one makes the same events
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// First day of events, today unless given
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Seconds after which a feed changes; 0 for never
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    change_seconds: u32,
    /// What goes wrong with every feed
    #[arg(long, value_enum, default_value_t = Fault::None, value_name = "NAME")]
    fault: Fault,
}

impl FeedServerCommand {
    /// Serves until a signal.
    ///
    /// # Errors
    /// [`Failure`]: whatever keeps it from starting.
    pub fn run(self) -> Done {
        let settings = Settings {
            providers: self.providers,
            events: self.events,
            seed: self.seed,
            from: self.from.unwrap_or_else(|| Zoned::now().date()),
            change_every: Duration::from_secs(self.change_seconds.into()),
            fault: self.fault,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            let listening = TcpListener::bind(self.listen).await;
            let listener = listening.map_err(|error| Failure::unable(format!("{}: {error}", self.listen)))?;
            let address = listener.local_addr()?;
            out::tell(format_args!("feeds on http://{address}{} and so on", FeedServer::path(1)));
            let server = FeedServer::new(settings);
            tokio::select! {
                () = server.serve(listener) => {}
                () = signals.next() => {}
            }
            Ok::<_, Failure>(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
