//! How fast a feed of 20,000 events is carried over, and how many searches with about 50 hits are answered, compared
//! with a server of the same making that answers the same bytes, alone and while feeds are carried over:
//! `cargo run --release -p maitred --example catalogue_speed -- 256 5` (connections, seconds of each part). Everything
//! is in this process: the load, both servers and the provider share the machine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use maitred::assemble::Node;
use maitred::syncer::Syncer;
use maitred::{router, serve};
use maitred_booking::app::{Access, App};
use maitred_booking::catalogue::fact::Format;
use maitred_booking::catalogue::{Command, CreateProvider, view};
use maitred_booking::money::Currency;
use maitred_connectors::feed_fetch::{Fetcher, SPOOLS_BYTES_MAX, Settings};
use maitred_connectors::outgoing::{self, Client};
use maitred_core::{Actor, TenantNumber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: u32 = 20_000;
/// One event starts every so many minutes: 50 of them within this and the range of a search.
const MINUTES: u32 = 20;
const RANGE_MINUTES: u32 = 49 * MINUTES;

fn main() {
    let argument = |n: usize, default: u64| {
        std::env::args().nth(n).map_or(default, |text| text.parse().expect("a number"))
    };
    let (connections, seconds) = (argument(1, 256), argument(2, 5));
    let dir = std::env::temp_dir().join(format!("maitred-catalogue-speed-{}", std::process::id()));
    let node = Node::start(&dir).expect("a fresh folder");
    let app = node.app(Access::Open, "default").expect("a folder that can be written");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&app, &dir, connections, Duration::from_secs(seconds)));
    drop(runtime);
    drop(app);
    node.stop();
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
}

async fn measure(app: &App, dir: &std::path::Path, connections: u64, duration: Duration) {
    app.ensure_default_tenant().await.expect("a fresh folder takes the default tenant");
    let tenant = app.tenant("default").expect("it was just made").number;
    let generation = Arc::new(AtomicU64::new(0));
    let provider = provider(Arc::clone(&generation)).await;
    let syncer = sync(app, dir, provider).expect("a folder");
    let begun = Instant::now();
    create(app, tenant, provider).await;
    wait(app, tenant, 1).await;
    println!("{EVENTS} new events: {:.2} s from the provider's creation", begun.elapsed().as_secs_f64());
    tell_run(app, tenant);

    app.readiness().ready();
    let server = listen(router::router(app).0).await;
    let sample = fetch(server, &path(0)).await;
    println!(
        "{} bytes an answer, {} events",
        sample.len(),
        sample.windows(8).filter(|text| text == b"\"title\":").count()
    );
    let fixed = Bytes::from(sample);
    let ceiling = listen(Router::new().fallback(get(move || std::future::ready(fixed.clone())))).await;
    for _ in 0..3 {
        load("ceiling", ceiling, connections, duration).await;
        load("search", server, connections, duration).await;
    }
    let syncing = Arc::new(AtomicBool::new(true));
    let (changing, of) = (Arc::clone(&syncing), app.clone());
    let again = tokio::spawn(async move {
        let mut runs = 1;
        while changing.load(Ordering::Relaxed) {
            generation.fetch_add(1, Ordering::Relaxed);
            request(&of, tenant).await;
            runs += 1;
            wait(&of, tenant, runs).await;
            tell_run(&of, tenant);
        }
    });
    load("search while 20,000 events change again and again", server, connections, duration * 2).await;
    syncing.store(false, Ordering::Relaxed);
    again.await.expect("it ends");
    syncer.stop().await;
}

/// A page of the list, the `n`th range of time.
fn path(n: u32) -> String {
    let at = |minutes: u32| {
        let (day, minute) = (minutes / 1_440, minutes % 1_440);
        let (month, day) = (day / 28 % 12 + 1, day % 28 + 1);
        format!("2030-{month:02}-{day:02}T{:02}:{:02}:00Z", minute / 60, minute % 60)
    };
    // Within the first 28 days of a month, so that every range has as many.
    let start = n * 7_919 % (27 * 1_440 - RANGE_MINUTES) / MINUTES * MINUTES;
    let month = n % 9 * 28 * 1_440;
    format!(
        "/v1/tenants/default/events/search?starts_at={}&ends_at={}",
        at(month + start),
        at(month + start + RANGE_MINUTES)
    )
}

fn feed(generation: u64) -> String {
    use std::fmt::Write as _;
    let mut feed = "<planList><output>\n".to_owned();
    for number in 0..EVENTS {
        let minutes = number * MINUTES;
        let (day, minute) = (minutes / 1_440, minutes % 1_440);
        let (month, day) = (day / 28 % 12 + 1, day % 28 + 1);
        let date = format!("2030-{month:02}-{day:02}T{:02}:{:02}", minute / 60, minute % 60);
        write!(
            feed,
            "<base_plan base_plan_id=\"{number}\" sell_mode=\"online\" title=\"Concert {number} of tour {generation}\">\n\
             <plan plan_id=\"1\" plan_start_date=\"{date}:00\" plan_end_date=\"{date}:30\" \
             sell_from=\"2020-01-01T00:00:00\" sell_to=\"{date}:00\" sold_out=\"false\">\n\
             <zone zone_id=\"1\" capacity=\"100\" price=\"15.00\" name=\"Floor\" numbered=\"false\"/>\n\
             <zone zone_id=\"2\" capacity=\"50\" price=\"30.50\" name=\"Seats\" numbered=\"true\"/>\n\
             </plan></base_plan>\n"
        )
        .expect("a string takes everything");
    }
    feed + "</output></planList>\n"
}

/// A provider whose feed is another in each generation.
async fn provider(generation: Arc<AtomicU64>) -> SocketAddr {
    let answer = move || {
        let generation = generation.load(Ordering::Relaxed);
        async move { feed(generation) }
    };
    listen(Router::new().fallback(get(answer))).await
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve::serve(listener, router, std::future::pending()));
    address
}

fn sync(app: &App, dir: &std::path::Path, provider: SocketAddr) -> io::Result<Syncer> {
    let allowed = vec![provider.to_string().parse().expect("a host")];
    let client = Client::new(outgoing::Settings { allowed, ..outgoing::Settings::default() });
    let folder = dir.join("feeds");
    let settings = Settings { folder, slots: 8, spools_bytes_max: SPOOLS_BYTES_MAX, random: |_| 0 };
    Ok(Syncer::start(app, Fetcher::new(client.expect("certificates"), settings)?))
}

async fn decide(app: &App, tenant: TenantNumber, command: Command) {
    let decided = app.decide((tenant, Actor::System), None, 512, command).await.expect("it is decided");
    decided.result.expect("it is accepted");
}

async fn create(app: &App, tenant: TenantNumber, provider: SocketAddr) {
    let create = CreateProvider {
        name: "arena".into(),
        url: format!("http://{provider}/feed.xml"),
        format: Format::PlanlistXml,
        interval_seconds: 86_400,
        timeout_seconds: 60,
        time_zone: "UTC".into(),
        currency: Currency::parse("EUR").expect("a code"),
        headers: vec![],
        active: true,
    };
    decide(app, tenant, Command::CreateProvider(create)).await;
}

async fn request(app: &App, tenant: TenantNumber) {
    decide(app, tenant, Command::RequestRun { provider: "arena".into() }).await;
}

/// Waits until so many runs are over.
async fn wait(app: &App, tenant: TenantNumber, runs: u32) {
    loop {
        let state = view::state(&app.engine().view(), tenant, "arena");
        if state.runs >= runs && state.open_run.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn tell_run(app: &App, tenant: TenantNumber) {
    let runs = view::runs(&app.engine().view(), tenant, "arena", None, 1);
    let run = runs.first().expect("there was one");
    let millis = run.updated_at.as_millis() - run.created_at.as_millis();
    println!("  run {}: {:?}, {millis} ms since it was asked for or begun", run.state.as_str(), run.counts);
}

/// One answer's body.
async fn fetch(server: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.expect("it listens");
    exchange(&mut stream, path, &mut Vec::new()).await.expect("an answer")
}

async fn exchange(stream: &mut TcpStream, path: &str, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    buffer.clear();
    loop {
        stream.read_buf(buffer).await?;
        let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).expect("a head is ASCII").to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{text}");
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.and_then(|digits| digits.parse().ok()).expect("a length");
        while buffer.len() < head + 4 + length {
            stream.read_buf(buffer).await?;
        }
        return Ok(buffer.split_off(head + 4));
    }
}

/// Asks over so many connections, one request after another on each.
async fn load(name: &str, server: SocketAddr, connections: u64, duration: Duration) {
    let until = Instant::now() + duration;
    let clients = (0..connections).map(|client| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(server).await.expect("it listens");
            stream.set_nodelay(true).expect("no delay");
            let (mut took, mut n, mut buffer) =
                (Vec::new(), client as u32 * 1_000, Vec::with_capacity(1 << 16));
            while Instant::now() < until {
                let (begun, path) = (Instant::now(), path(n));
                exchange(&mut stream, &path, &mut buffer).await.expect("an answer");
                took.push(begun.elapsed());
                n += 1;
            }
            took
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut took = Vec::new();
    for client in clients {
        took.extend(client.await.expect("it ends"));
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 1_000).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    println!(
        "{name}: {:.0} answers/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        took.len() as f64 / duration.as_secs_f64(),
        at(500),
        at(990),
        at(999)
    );
}
