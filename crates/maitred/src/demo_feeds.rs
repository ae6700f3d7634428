//! The demo's events: two made-up providers on this machine, whose feeds change as one watches; and where its webhook
//! arrives.
//!
//! Invariant: there is one webhook of the demo, however often it was started: each start has a port and a secret of its
//! own, and tells the webhook of them. What happened in between arrives then.

use std::io;
use std::time::Duration;

use jiff::Zoned;
use maitred_booking::Command;
use maitred_booking::app::App;
use maitred_booking::record::Kind;
use maitred_booking::tenants;
use maitred_booking::webhooks::command::{CreateWebhook, UpdateWebhook};
use maitred_booking::webhooks::secret::Secret;
use maitred_booking::webhooks::{self, view};
use maitred_core::{Actor, Ids};
use tokio::net::TcpListener;

use crate::assemble::random;
use crate::demo::{DemoError, TENANT};
use crate::feed_server::{Fault, FeedServer, Settings, WEBHOOKS_PATH};
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

/// By this the demo's webhook is known again.
const DESCRIPTION: &str = "What changes in the demo";
/// What it tells of: not of events, of which the feeds of the demo have many, and change them all the time.
const KINDS: [Kind; 3] = [Kind::Appointment, Kind::Booking, Kind::Order];
/// The most webhooks that are looked through for it.
const LOOKED_THROUGH: usize = 1_000;

/// What runs beside the demo.
#[derive(Debug)]
pub struct Beside {
    /// The feeds of its providers.
    pub feeds: Vec<NamedFeed>,
    /// Where its webhook arrives, and can be looked at.
    pub inbox: String,
    secret: Secret,
}

/// Serves the feeds and the inbox on a port of their own, on the runtime of the caller, as long as that runs.
///
/// # Errors
/// No port can be had, or no random bits.
pub async fn start() -> io::Result<Beside> {
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
    let secret = Secret::new(random().map_err(io::Error::other)?);
    let server = FeedServer::with_secret(settings, Some(secret.clone()));
    tokio::spawn(async move { server.serve(listener).await });
    let feeds = NAMES.iter().zip(1..).map(|(name, number)| {
        let named = format!("{name}=http://{address}{}", FeedServer::path(number));
        named.parse().map_err(io::Error::other)
    });
    let inbox = format!("http://{address}{WEBHOOKS_PATH}");
    Ok(Beside { feeds: feeds.collect::<io::Result<_>>()?, inbox, secret })
}

/// Has the demo's changes sent to the inbox.
///
/// # Errors
/// [`DemoError`].
pub async fn subscribe(app: &App, beside: &Beside) -> Result<(), DemoError> {
    let view = app.engine().view();
    let tenant = tenants::tenant_by_slug(&view, TENANT).map(|tenant| tenant.profile.tenant());
    let tenant = tenant.ok_or_else(|| DemoError::Refused("there is no demo tenant".to_owned()))?;
    let known = view::endpoints(&view, tenant, None, None, LOOKED_THROUGH);
    let known = known.into_iter().find(|known| known.is.description.as_deref() == Some(DESCRIPTION));
    drop(view);
    let no_random = |_| DemoError::Refused("the system gives no random bits".to_owned());
    let id = match &known {
        Some(known) => known.is.id,
        None => Ids::new(app.engine().now(), u64::from_le_bytes(random().map_err(no_random)?)).next(),
    };
    let sealed = app.webhooks().sealer().and_then(|sealer| sealer.seal(&beside.secret, tenant, id));
    let secret = sealed.ok_or_else(|| DemoError::Refused("no secret can be sealed".to_owned()))?;
    let url = beside.inbox.clone();
    let commands = if known.is_some() {
        let rotate = webhooks::Command::RotateSecret { endpoint: id, secret, overlap_hours: 0 };
        let update = UpdateWebhook {
            endpoint: id,
            url: Some(url),
            description: None,
            kinds: None,
            types: None,
            active: Some(true),
            if_version: None,
        };
        vec![rotate, webhooks::Command::Update(update)]
    } else {
        let create = CreateWebhook {
            id,
            url,
            description: Some(DESCRIPTION.to_owned()),
            kinds: KINDS.map(|kind| kind.as_str().to_owned()).into(),
            types: Vec::new(),
            active: true,
            secret,
        };
        vec![webhooks::Command::Create(create)]
    };
    for command in commands {
        let decided = app.decide((tenant, Actor::System), None, 1_024, Command::Webhooks(command)).await?;
        decided.result.map_err(|rejection| DemoError::Refused(rejection.detail))?;
    }
    Ok(())
}
