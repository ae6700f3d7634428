//! Whether providers that hang delay the others: `cargo run --release -p maitred --example catalogue_many -- 200 50 15 60`
//! (providers, how many of them hang, seconds of the interval, seconds that are watched). Everything is in this process:
//! the server that syncs and the one with the feeds share the machine. Of each provider that works it is taken down how
//! long it went without a run, beyond the interval.

use std::time::Duration;

use maitred::assemble::Node;
use maitred::feed_server::{Fault, FeedServer, Settings};
use maitred::syncer::Syncer;
use maitred_booking::app::{Access, App};
use maitred_booking::catalogue::fact::Format;
use maitred_booking::catalogue::{Command, CreateProvider, RunState, view};
use maitred_booking::money::Currency;
use maitred_connectors::feed_fetch::{self, Fetcher, SLOTS, SPOOLS_BYTES_MAX};
use maitred_connectors::outgoing::{self, Client};
use maitred_core::{Actor, TenantNumber};
use tokio::net::TcpListener;

/// How many events each feed has.
const EVENTS: u64 = 200;
/// How long those that hang are waited for.
const TIMEOUT_SECONDS: u32 = 10;

fn main() {
    let argument = |n: usize, default: u32| {
        std::env::args().nth(n).map_or(default, |text| text.parse().expect("a number"))
    };
    let (providers, hanging, interval, seconds) =
        (argument(1, 200), argument(2, 50), argument(3, 15), argument(4, 60));
    let dir = std::env::temp_dir().join(format!("maitred-catalogue-many-{}", std::process::id()));
    let node = Node::start(&dir).expect("a fresh folder");
    let app = node.app(Access::Open, "default").expect("a folder that can be written");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(watch(&app, &dir, (providers, hanging), interval, Duration::from_secs(seconds.into())));
    drop(runtime);
    drop(app);
    node.stop();
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
}

async fn watch(
    app: &App,
    dir: &std::path::Path,
    (providers, hanging): (u32, u32),
    interval: u32,
    watched: Duration,
) {
    app.ensure_default_tenant().await.expect("a fresh folder takes the default tenant");
    let tenant = app.tenant("default").expect("it was just made").number;
    let settings = Settings {
        providers,
        events: EVENTS,
        seed: 1,
        from: jiff::civil::date(2030, 1, 1),
        change_every: Duration::from_secs(20),
        fault: Fault::None,
    };
    let feeds = FeedServer::new(settings);
    (1..=hanging).for_each(|number| assert!(feeds.set_fault(number, Fault::Hang)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = feeds.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    let allowed = vec![address.to_string().parse().expect("a host")];
    let client = Client::new(outgoing::Settings { allowed, roots: Vec::new() }).expect("certificates");
    let folder = dir.join("feeds");
    let settings =
        feed_fetch::Settings { folder, slots: SLOTS, spools_bytes_max: SPOOLS_BYTES_MAX, random: |_| 0 };
    let syncer = Syncer::start(app, Fetcher::new(client, settings).expect("a folder"));
    for number in 1..=providers {
        create(app, tenant, number, format!("http://{address}{}", FeedServer::path(number)), interval).await;
    }
    let synced = |number: u32| {
        view::state(&app.engine().view(), tenant, &format!("p-{number}")).last_success_at.is_some()
    };
    let begun = tokio::time::Instant::now();
    while !(hanging + 1..=providers).all(synced) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("{} providers of {EVENTS} events were synced in {:?}", providers - hanging, begun.elapsed());
    let since = app.engine().now().as_micros();
    tokio::time::sleep(watched).await;
    let mut late = Vec::new();
    for number in hanging + 1..=providers {
        let runs = view::runs(&app.engine().view(), tenant, &format!("p-{number}"), None, 1_000);
        let done = |state| matches!(state, RunState::Finished | RunState::Unchanged);
        let ended = runs.iter().filter(|run| done(run.state)).map(|run| run.updated_at.as_micros());
        let mut ended: Vec<i64> = ended.filter(|at| at + i64::from(interval) * 1_000_000 > since).collect();
        ended.sort_unstable();
        late.extend(
            ended
                .windows(2)
                .map(|two| (two[1] - two[0] - i64::from(interval) * 1_000_000).max(0) as f64 / 1e3),
        );
    }
    let failed: u32 = (1..=hanging)
        .map(|number| view::state(&app.engine().view(), tenant, &format!("p-{number}")).failures)
        .sum();
    late.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| late[(late.len() * share / 1_000).min(late.len() - 1)];
    println!(
        "{providers} providers, {hanging} of them hanging ({failed} failed runs), every {interval} s, for {watched:?}: \
         {} runs of the others, each later than its interval by p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms; {} requests",
        late.len(),
        at(500),
        at(990),
        at(1_000),
        feeds.requests(),
    );
    syncer.stop().await;
}

async fn create(app: &App, tenant: TenantNumber, number: u32, url: String, interval_seconds: u32) {
    let create = CreateProvider {
        name: format!("p-{number}"),
        url,
        format: Format::PlanlistXml,
        interval_seconds,
        timeout_seconds: TIMEOUT_SECONDS,
        time_zone: "UTC".into(),
        currency: Currency::parse("EUR").expect("a code"),
        headers: vec![],
        active: true,
    };
    let command = Command::CreateProvider(create);
    let decided = app.decide((tenant, Actor::System), None, 512, command).await.expect("it is decided");
    decided.result.expect("it is accepted");
}
