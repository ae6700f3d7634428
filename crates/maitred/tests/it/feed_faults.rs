//! Every fault of a feed through a server that syncs: what was there stays, the run says what is the matter, and when the
//! fault is over, so is its effect, without anybody's help. And providers that hang, in numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use maitred::feed_server::{Fault, FeedServer, Settings};
use maitred::syncer::Syncer;
use maitred_booking::catalogue::{RunState, view};
use maitred_core::{TenantNumber, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::catalogue::{PROVIDERS, get, stop, sync_within, wait_for};
use crate::server::Server;

/// So many that losing half of them holds a run.
const EVENTS: u64 = 300;
/// The programme of the feeds.
const FROM: jiff::civil::Date = jiff::civil::date(2030, 1, 1);

/// A server of feeds, on the runtime of the server that fetches them.
fn feed_server(server: &Server, providers: u32, events: u64) -> (FeedServer, SocketAddr) {
    let settings =
        Settings { providers, events, seed: 7, from: FROM, change_every: Duration::ZERO, fault: Fault::None };
    let feeds = FeedServer::new(settings);
    let serving = feeds.clone();
    let address = server.runtime().block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { serving.serve(listener).await });
        address
    });
    (feeds, address)
}

fn create(server: &Server, name: &str, address: SocketAddr, number: u32, timeout_seconds: u32) {
    let url = format!("http://{address}{}", FeedServer::path(number));
    let input = json!({"name": name, "url": url, "interval_seconds": 1, "timeout_seconds": timeout_seconds});
    server.post(PROVIDERS).json(&input).send().ok(201);
}

/// The ids and titles of a provider's events, as searches give them.
fn shown(server: &Server, provider: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!(
            "/v1/tenants/default/events/search?starts_at=2020-01-01T00:00:00Z&ends_at=2060-01-01T00:00:00Z\
             &provider={provider}&limit=1000{cursor}"
        );
        let page = get(server, &path);
        for item in page["items"].as_array().expect("items") {
            let text = |field: &str| item[field].as_str().expect("a text").to_owned();
            found.insert(text("id"), text("title"));
        }
        let Some(next) = page["next_cursor"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

/// What a run under a fault comes to: its state, and the code of its first problem.
fn expected(fault: Fault) -> (&'static str, Option<&'static str>) {
    match fault {
        Fault::None => ("unchanged", None),
        Fault::Error | Fault::Busy | Fault::Absent | Fault::Redirect => ("failed", Some("provider-status")),
        Fault::Hang | Fault::HangWithin | Fault::Drip => ("failed", Some("provider-too-slow")),
        Fault::Truncate => ("failed", Some("provider-answer-broken")),
        Fault::Cut => ("failed", Some("feed-cut-short")),
        Fault::Empty => ("failed", Some("feed-empty")),
        Fault::Html => ("failed", Some("feed-not-a-plan-list")),
        Fault::Bomb => ("failed", Some("feed-document-type")),
        Fault::Undeclared => ("failed", Some("feed-encoding")),
        Fault::NoEvents | Fault::Fewer => ("held", None),
        Fault::Repeat => ("unchanged", Some("event-repeated")),
        Fault::Latin1 | Fault::Utf16 | Fault::ShiftJis => ("unchanged", None),
        // They state something else, and that is carried over.
        Fault::RepeatOtherwise => ("finished", Some("event-repeated")),
        Fault::BadRecords => ("finished", Some("")),
        Fault::Backwards => ("finished", None),
        Fault::Endless => unreachable!("it would fill the disk: see the tests of the fetcher"),
    }
}

#[test]
fn a_fault_leaves_what_was_there_is_told_and_is_over_by_itself() {
    let faults: Vec<Fault> =
        Fault::value_variants().iter().copied().filter(|fault| *fault != Fault::Endless).collect();
    let server = Server::open();
    let (feeds, address) = feed_server(&server, faults.len() as u32, EVENTS);
    let syncer = sync_within(&server, &[address], 64);
    let name = |number: usize| format!("p-{}", number + 1);
    for number in 0..faults.len() {
        create(&server, &name(number), address, number as u32 + 1, 2);
    }
    let path = |number: usize| format!("{PROVIDERS}/{}", name(number));
    for number in 0..faults.len() {
        wait_for(&server, &path(number), |provider| provider["last_success_at"].is_string());
    }
    let before: Vec<_> = (0..faults.len()).map(|number| shown(&server, &name(number))).collect();
    assert!(before.iter().all(|events| events.len() > EVENTS as usize / 2), "{:?}", before[0]);
    // Under every fault at once.
    let newest =
        |number: usize| get(&server, &format!("{}/runs?limit=1", path(number)))["items"][0]["id"].clone();
    let last: Vec<Value> = (0..faults.len()).map(newest).collect();
    for (number, fault) in faults.iter().enumerate() {
        assert!(feeds.set_fault(number as u32 + 1, *fault));
    }
    for (number, fault) in faults.iter().enumerate() {
        let (state, code) = expected(*fault);
        let told = |page: &Value| {
            let runs = page["items"].as_array().expect("runs").iter();
            let mut since = runs.take_while(|run| run["id"] != last[number]);
            since.any(|run| {
                let problem = run["problems"][0]["code"].as_str();
                run["state"] == state
                    && match code {
                        None => problem.is_none(),
                        Some("") => problem.is_some() && run["counts"]["skipped"].as_u64() > Some(10),
                        Some(code) => {
                            problem == Some(code)
                                && !run["problems"][0]["detail"].as_str().unwrap_or_default().is_empty()
                        }
                    }
            })
        };
        let runs = format!("{}/runs?limit=100", path(number));
        // An encoding of the same events may give another feed and the same statement.
        wait_for(&server, &runs, told);
        let now = shown(&server, &name(number));
        match state {
            "finished" => assert!(before[number].keys().all(|id| now.contains_key(id)), "{fault:?}"),
            _ => assert_eq!(now, before[number], "{fault:?}"),
        }
    }
    let text = server.get("/metrics").send().text().to_owned();
    let failed = text.lines().filter(|line| {
        line.starts_with("maitred_catalogue_runs_total{tenant=\"default\"")
            && line.contains("outcome=\"failed\"")
            && !line.ends_with(" 0")
    });
    let failing = faults.iter().filter(|fault| expected(**fault).0 == "failed").count();
    assert!(failed.count() >= failing, "{text}");
    // And then there is none any more, and nobody does anything.
    let until = server.app.engine().now();
    for number in 1..=faults.len() as u32 {
        feeds.set_fault(number, Fault::None);
    }
    for (number, fault) in faults.iter().enumerate() {
        let since = |provider: &Value| {
            let at =
                provider["last_success_at"].as_str().and_then(|text| Timestamp::parse_rfc3339(text).ok());
            at.is_some_and(|at| at > until) && provider["failures"] == 0
        };
        wait_for(&server, &path(number), since);
        let now = shown(&server, &name(number));
        assert!(before[number].iter().all(|(id, title)| now.get(id) == Some(title)), "{fault:?}");
    }
    stop(&server, syncer);
}

/// How long each provider that works went without a run, at most.
fn longest_pause(
    server: &Server,
    tenant: TenantNumber,
    provider: &str,
    since: Timestamp,
) -> (usize, Duration) {
    let runs = view::runs(&server.app.engine().view(), tenant, provider, None, 1_000);
    let mut ended: Vec<i64> = runs
        .iter()
        .filter(|run| matches!(run.state, RunState::Finished | RunState::Unchanged) && run.updated_at > since)
        .map(|run| run.updated_at.as_micros())
        .collect();
    ended.sort_unstable();
    let from = std::iter::once(since.as_micros()).chain(ended.iter().copied());
    let to = ended.iter().copied().chain([server.app.engine().now().as_micros()]);
    let longest = from.zip(to).map(|(from, to)| to - from).max().unwrap_or(i64::MAX);
    (ended.len(), Duration::from_micros(longest.unsigned_abs()))
}

#[test]
fn a_quarter_of_the_providers_hangs_and_the_others_keep_their_interval() {
    const PROVIDERS_COUNT: u32 = 40;
    const HANGING: u32 = 10;
    const WATCHED: Duration = Duration::from_secs(12);
    let server = Server::open();
    let tenant = server.app.tenant("default").expect("it is there").number;
    let (feeds, address) = feed_server(&server, PROVIDERS_COUNT, 20);
    // As many slots as hang and a few: those that hang must not have them all.
    let syncer = sync_within(&server, &[address], HANGING as usize + 6);
    for number in 1..=PROVIDERS_COUNT {
        if number <= HANGING {
            feeds.set_fault(number, Fault::Hang);
        }
        create(&server, &format!("p-{number}"), address, number, 4);
    }
    for number in HANGING + 1..=PROVIDERS_COUNT {
        wait_for(&server, &format!("{PROVIDERS}/p-{number}"), |provider| {
            provider["last_success_at"].is_string()
        });
    }
    let since = server.app.engine().now();
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    for number in HANGING + 1..=PROVIDERS_COUNT {
        let (runs, longest) = longest_pause(&server, tenant, &format!("p-{number}"), since);
        // One second, a tick, and whatever else the machine has to do; never the time that those take that hang.
        assert!(longest < Duration::from_secs(4), "p-{number}: {longest:?} without a run, {runs} runs");
        assert!(runs >= 5, "p-{number}: {runs} runs");
    }
    for number in 1..=HANGING {
        let provider = get(&server, &format!("{PROVIDERS}/p-{number}"));
        assert!(
            provider["failures"].as_u64() >= Some(1) && provider["last_success_at"].is_null(),
            "{provider}"
        );
    }
    stop(&server, syncer);
}

#[test]
fn a_feed_that_says_it_is_too_long_is_not_begun() {
    use crate::feeds::{Feeds, Says, feed};
    let server = Server::open();
    let feeds = Feeds::start(Says::Feed(feed(1..=3, "Show")));
    let syncer: Syncer = sync_within(&server, &[feeds.address], 8);
    let input = json!({"name": "arena", "url": feeds.url(), "interval_seconds": 1, "timeout_seconds": 1});
    server.post(PROVIDERS).json(&input).send().ok(201);
    let arena = format!("{PROVIDERS}/arena");
    wait_for(&server, &arena, |provider| provider["last_success_at"].is_string());
    feeds.say(Says::TooLong);
    let run =
        wait_for(&server, &format!("{arena}/runs?limit=1"), |page| page["items"][0]["state"] == "failed");
    assert_eq!(run["items"][0]["problems"][0]["code"], "feed-too-long");
    assert_eq!(get(&server, &arena)["events"], 3);
    feeds.say(Says::Feed(feed(1..=4, "Show")));
    wait_for(&server, &arena, |provider| provider["events"] == 4);
    stop(&server, syncer);
}
