//! The demo's events: two made-up providers on this machine, whose feeds change as one watches.

use std::io;
use std::time::Duration;

use jiff::Zoned;
use tokio::net::TcpListener;

use crate::feed_server::{Fault, FeedServer, Settings};
use crate::first_providers::{Interval, NamedFeed};

/// The names of the providers.
const NAMES: [&str; 2] = ["arena", "hall"];
/// How many events each has.
const EVENTS: u64 = 200;
/// What they follow from.
const SEED: u64 = 1;
/// How long a feed stays as it is.
const CHANGE_EVERY: Duration = Duration::from_secs(60);
/// How often each is synced.
pub const SYNC_INTERVAL: Interval = Interval { seconds: 15 };

/// Serves the feeds on a port of their own, on the runtime of the caller, as long as that runs.
///
/// # Errors
/// No port can be had.
pub async fn start() -> io::Result<Vec<NamedFeed>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let settings = Settings {
        providers: NAMES.len() as u32,
        events: EVENTS,
        seed: SEED,
        from: Zoned::now().date(),
        change_every: CHANGE_EVERY,
        fault: Fault::None,
    };
    let server = FeedServer::new(settings);
    tokio::spawn(async move { server.serve(listener).await });
    let feeds = NAMES.iter().zip(1..).map(|(name, number)| {
        let named = format!("{name}=http://{address}{}", FeedServer::path(number));
        named.parse().map_err(io::Error::other)
    });
    feeds.collect()
}
