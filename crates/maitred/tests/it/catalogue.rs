//! Providers, their runs and their events over HTTP, with a provider that answers, fails, hangs and lies.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use maitred::syncer::Syncer;
use maitred_booking::tenants::Role;
use maitred_connectors::feed_fetch::{Fetcher, SPOOLS_BYTES_MAX, Settings};
use maitred_connectors::outgoing::{self, Client};
use serde_json::{Value, json};

use crate::feeds::{Feeds, Says, feed};
use crate::server::Server;

pub(crate) const PROVIDERS: &str = "/v1/tenants/default/providers";
const ARENA: &str = "/v1/tenants/default/providers/arena";
const EVENTS: &str = "/v1/tenants/default/events";
const YEAR: &str = "starts_at=2030-01-01T00:00:00Z&ends_at=2031-01-01T00:00:00Z";
/// Whatever is waited for comes within this, on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Syncs the providers of a server; those on these addresses may be private.
fn sync(server: &Server, feeds: &[&Feeds]) -> Syncer {
    sync_within(server, &feeds.iter().map(|feeds| feeds.address).collect::<Vec<_>>(), 8)
}

/// The same with so many fetches at once.
pub(crate) fn sync_within(server: &Server, feeds: &[SocketAddr], slots: usize) -> Syncer {
    let allowed = feeds.iter().map(|address| address.to_string().parse().expect("a host")).collect();
    let client = Client::new(outgoing::Settings { allowed, ..outgoing::Settings::default() });
    let folder = server.folder().join("feeds");
    let settings = Settings { folder, slots, spools_bytes_max: SPOOLS_BYTES_MAX, random: |_| 0 };
    let fetcher = Fetcher::new(client.expect("certificates"), settings).expect("a folder");
    let _runtime = server.runtime().enter();
    Syncer::start(&server.app, fetcher)
}

pub(crate) fn stop(server: &Server, syncer: Syncer) {
    server.runtime().block_on(syncer.stop());
}

/// A provider that is synced once, and then when it is asked to.
fn arena(feeds: &Feeds) -> Value {
    json!({"name": "arena", "url": feeds.url(), "interval_seconds": 3_600, "timeout_seconds": 1})
}

pub(crate) fn get(server: &Server, path: &str) -> Value {
    server.get(path).send().ok(200)
}

/// Waits until `seen` sees in `path` what it looks for.
pub(crate) fn wait_for(server: &Server, path: &str, seen: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let found = get(server, path);
        if seen(&found) {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{path} still is {found}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks for a run, and waits for what comes of it.
fn run(server: &Server) -> Value {
    let asked = server.post(format!("{ARENA}/sync")).send();
    let location = asked.header("location").expect("a location").to_owned();
    assert_eq!(asked.ok(202)["provider"], "arena");
    wait_for(server, &location, |run| {
        !["requested", "running"].contains(&run["state"].as_str().unwrap_or_default())
    })
}

fn titles(server: &Server, query: &str) -> Vec<String> {
    let page = get(server, &format!("{EVENTS}/search?{YEAR}&{query}"));
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["title"].as_str().expect("a title").to_owned()).collect()
}

#[test]
fn a_provider_is_synced_and_its_events_are_found() {
    let server = Server::open();
    let feeds = Feeds::start(Says::Feed(feed(1..=3, "Fête")));
    let syncer = sync(&server, &[&feeds]);
    let mut input = arena(&feeds);
    (input["headers"], input["time_zone"]) = (json!({"X-Key": "a secret"}), json!("Europe/Madrid"));
    let made = server.post(PROVIDERS).json(&input).send();
    assert_eq!(made.header("location"), Some(ARENA));
    let made = made.ok(201);
    assert_eq!((&made["header_names"], &made["currency"]), (&json!(["x-key"]), &json!("EUR")));
    assert!(!made.to_string().contains("secret"), "it is never shown");
    let status = wait_for(&server, ARENA, |provider| provider["last_success_at"].is_string());
    assert_eq!((&status["events"], &status["failures"]), (&json!(3), &json!(0)));
    assert!(feeds.asked()[0].contains("x-key: a secret"), "and it is sent");

    assert_eq!(titles(&server, "q=FETE"), ["Fête 1", "Fête 2", "Fête 3"]);
    assert_eq!(titles(&server, "q=fete%202&min_price=3050&provider=arena"), ["Fête 2"]);
    assert_eq!(titles(&server, "provider=hall"), [""; 0]);
    let first = get(&server, &format!("{EVENTS}/search?{YEAR}&limit=2"));
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = get(&server, &format!("{EVENTS}/search?{YEAR}&limit=2&cursor={cursor}"));
    assert_eq!(
        (second["items"][0]["title"].as_str(), &second["next_cursor"]),
        (Some("Fête 3"), &json!(null))
    );

    let id = first["items"][0]["id"].as_str().expect("an id");
    let event = get(&server, &format!("{EVENTS}/{id}"));
    assert_eq!(
        (&event["starts_at"], &event["max_price"]["amount"]),
        (&json!("2030-01-01T00:00:00.000Z"), &json!(3_050))
    );
    assert_eq!(event["plans"][0]["zones"][1]["capacity"], 50);
    assert_eq!(get(&server, &format!("{EVENTS}/{id}/versions"))["items"][0]["version"], 1);
    let runs = get(&server, &format!("{ARENA}/runs"));
    assert_eq!(
        (&runs["items"][0]["state"], &runs["items"][0]["counts"]["created"]),
        (&json!("finished"), &json!(3))
    );
    let changes = get(&server, "/v1/tenants/default/changes");
    let kinds: Vec<_> =
        changes["items"].as_array().expect("items").iter().map(|change| &change["kind"]).collect();
    assert_eq!(kinds, ["provider", "event", "event", "event"]);
    stop(&server, syncer);
}

#[test]
fn a_search_is_cached_until_the_catalogue_changes() {
    let server = Server::open();
    let feeds = Feeds::start(Says::Feed(feed(1..=3, "Show")));
    let syncer = sync(&server, &[&feeds]);
    server.post(PROVIDERS).json(&arena(&feeds)).send().ok(201);
    wait_for(&server, ARENA, |provider| provider["last_success_at"].is_string());
    let search = format!("{EVENTS}/search?{YEAR}");
    let answer = server.get(search.as_str()).send();
    let etag = answer.header("etag").expect("a tag").to_owned();
    assert_eq!(answer.header("cache-control"), Some("max-age=1, stale-while-revalidate=30"));
    let again = |etag: &str| server.get(search.as_str()).header("If-None-Match", etag).send().status;
    assert_eq!(again(&etag), 304);
    let position = server.position();
    assert_eq!(run(&server)["state"], "unchanged");
    assert!(
        feeds.asked().last().expect("it was asked").contains("if-none-match"),
        "it asks for changes alone"
    );
    assert_ne!(server.position(), position, "the run is recorded,");
    assert_eq!(again(&etag), 304, "and nothing else");
    feeds.say(Says::Feed(feed(1..=4, "Show")));
    let found = run(&server);
    assert_eq!((&found["state"], &found["counts"]["created"]), (&json!("finished"), &json!(1)));
    assert_eq!(again(&etag), 200);
    stop(&server, syncer);
}

#[test]
fn whatever_a_feed_is_what_was_there_stays_and_a_sound_one_is_taken_again() {
    let server = Server::open();
    let sound = feed(1..=3, "Show");
    let feeds = Feeds::start(Says::Feed(sound.clone()));
    let syncer = sync(&server, &[&feeds]);
    server.post(PROVIDERS).json(&arena(&feeds)).send().ok(201);
    wait_for(&server, ARENA, |provider| provider["last_success_at"].is_string());
    let before = titles(&server, "");
    assert_eq!(before.len(), 3);
    // Fewer than so many that the provider is left alone for a while.
    for (fault, code) in [
        (Says::Status(404), "provider-status"),
        (Says::Half(feed(1..=9, "Half")), "provider-answer-broken"),
        (Says::Other("<html><body>Sorry</body></html>"), ""),
        (Says::Other("<!DOCTYPE a [<!ENTITY b \"bbb\">]><planList><output>&b;</output></planList>"), ""),
    ] {
        feeds.say(fault.clone());
        let found = run(&server);
        assert_eq!(found["state"], "failed", "{fault:?}");
        let problem = found["problems"][0]["code"].as_str().expect("a problem");
        assert!(code.is_empty() || problem == code, "{fault:?}: {problem}");
        assert_eq!(titles(&server, ""), before, "{fault:?}");
        feeds.say(Says::Feed(sound.clone()));
        assert_eq!(run(&server)["state"], "unchanged", "after {fault:?}");
    }
    feeds.say(Says::Nothing);
    assert_eq!(run(&server)["problems"][0]["code"], "provider-too-slow");
    feeds.say(Says::Feed(feed(2..=4, "Show")));
    let found = run(&server);
    assert_eq!((&found["counts"]["created"], &found["counts"]["missing"]), (&json!(1), &json!(1)));
    assert_eq!(titles(&server, "").len(), 4, "what is missing is still served");
    let row = &get(&server, &format!("{EVENTS}/search?{YEAR}&limit=1"))["items"][0];
    assert_eq!((&row["title"], &row["vanished"]), (&json!("Show 1"), &json!(true)));
    stop(&server, syncer);
}

#[test]
fn a_feed_that_loses_much_waits_for_an_operator() {
    let server = Server::open();
    let feeds = Feeds::start(Says::Feed(feed(1..=300, "Show")));
    let syncer = sync(&server, &[&feeds]);
    server.post(PROVIDERS).json(&arena(&feeds)).send().ok(201);
    wait_for(&server, ARENA, |provider| provider["last_success_at"].is_string());
    feeds.say(Says::Feed(feed(1..=100, "Show")));
    let held = run(&server);
    assert_eq!((&held["state"], &held["counts"]["missing"]), (&json!("held"), &json!(200)));
    assert_eq!(get(&server, ARENA)["held_run"], held["id"]);
    assert_eq!(get(&server, ARENA)["events"], 300, "nothing was lost");
    let settle = |what: &str| {
        server.post(format!("{ARENA}/runs/{}/{what}", held["id"].as_str().expect("an id"))).send()
    };
    assert_eq!(settle("accept").ok(200)["state"], "accepted");
    assert_eq!(settle("discard").status, 409);
    let after = wait_for(&server, ARENA, |provider| provider["events"] == 100);
    assert_eq!(after["vanished_events"], 200);
    stop(&server, syncer);
}

#[test]
fn a_provider_that_hangs_delays_nobody() {
    let server = Server::open();
    let hanging: Vec<Feeds> = (0..6).map(|_| Feeds::start(Says::Nothing)).collect();
    let feeds = Feeds::start(Says::Feed(feed(1..=3, "Show")));
    let all: Vec<&Feeds> = hanging.iter().chain([&feeds]).collect();
    let syncer = sync(&server, &all);
    for (i, hanging) in hanging.iter().enumerate() {
        let mut input = arena(hanging);
        (input["name"], input["timeout_seconds"]) = (json!(format!("hangs-{i}")), json!(20));
        server.post(PROVIDERS).json(&input).send().ok(201);
    }
    server.post(PROVIDERS).json(&arena(&feeds)).send().ok(201);
    let since = Instant::now();
    wait_for(&server, ARENA, |provider| provider["last_success_at"].is_string());
    assert!(since.elapsed() < Duration::from_secs(15), "it waited for those that hang");
    stop(&server, syncer);
}

#[test]
fn an_event_that_was_never_online_is_for_who_works_there() {
    let server = Server::with_keys();
    let feeds = Feeds::start(Says::Feed(feed(1..=1, "Secret").replace("online", "offline")));
    let syncer = sync(&server, &[&feeds]);
    let base = "/v1/tenants/salon";
    server.patch(base, &json!({"public": true})).send().ok(200);
    server.post(format!("{base}/providers")).json(&arena(&feeds)).send().ok(201);
    let arena = format!("{base}/providers/arena");
    wait_for(&server, &arena, |provider| provider["last_success_at"].is_string());
    assert_eq!(server.anonymous("GET", arena.as_str()).send().status, 401);
    let search = server.anonymous("GET", format!("{base}/events/search?{YEAR}")).send().ok(200);
    assert_eq!(search["items"], json!([]));
    let changes = get(&server, &format!("{base}/changes"));
    let change = changes["items"].as_array().expect("items").iter().find(|change| change["kind"] == "event");
    let id = change.expect("an event")["record_id"].as_str().expect("an id").to_owned();
    for path in [format!("{base}/events/{id}"), format!("{base}/events/{id}/versions")] {
        assert_eq!(server.anonymous("GET", path.as_str()).send().status, 404, "{path}");
        let staff = server.tenant_key("salon", Role::Staff);
        assert_eq!(server.anonymous("GET", path.as_str()).key(&staff).send().status, 200, "{path}");
    }
    stop(&server, syncer);
}

#[test]
fn a_zone_is_put_on_sale_and_its_capacity_is_the_stock() {
    let server = Server::open();
    let feeds = Feeds::start(Says::Feed(feed(1..=1, "Show").replace("price=\"15.00\"", "price=\"NaN\"")));
    let syncer = sync(&server, &[&feeds]);
    server.post(PROVIDERS).json(&arena(&feeds)).send().ok(201);
    wait_for(&server, ARENA, |provider| provider["last_success_at"].is_string());
    let found = get(&server, &format!("{EVENTS}/search?{YEAR}"));
    let id = found["items"][0]["id"].as_str().expect("an id");
    let sell = |body: Value| server.post(format!("{EVENTS}/{id}/sales")).json(&body).send();
    let zone = |zone: &str| json!({"plan_id": "1", "zone_id": zone});
    let sale = sell(zone("2")).ok(201);
    assert_eq!((&sale["quantity"], &sale["price"]["amount"]), (&json!(50), &json!(3_050)));
    assert_eq!(sale["ends_at"], "2030-01-01T01:00:00.000Z", "the plan's end of sale");
    let product = get(
        &server,
        &format!("/v1/tenants/default/products/{}", sale["product_id"].as_str().expect("an id")),
    );
    assert_eq!((&product["name"], &product["inventory"]), (&json!("Show 1: Seats"), &json!(50)));
    assert_eq!(sell(zone("2")).status, 409, "everything is on sale");
    assert_eq!(sell(zone("1")).status, 422, "it has no price");
    assert_eq!(sell(zone("3")).status, 404);
    assert_eq!(sell(json!({"plan_id": "7", "zone_id": "1"})).status, 404);
    stop(&server, syncer);
}

#[test]
fn what_is_wrong_with_a_request_is_told() {
    let server = Server::open();
    let refused = |body: Value| {
        let answer = server.post(PROVIDERS).json(&body).send();
        (answer.status, serde_json::from_str::<Value>(answer.text()).expect("JSON")["code"].clone())
    };
    let input = |name: &str, value: Value| {
        let mut input = json!({"name": "arena", "url": "http://feeds.example/"});
        input[name] = value;
        input
    };
    for (body, code) in [
        (input("url", json!("feeds.example")), "invalid-url"),
        (input("time_zone", json!("Mars/Olympus")), "invalid-time-zone"),
        (input("currency", json!("euro")), "invalid-currency"),
        (input("headers", json!({"X-Key": ""})), "invalid-headers"),
        (input("headers", json!({"Host": "x"})), "invalid-headers"),
        (input("interval_seconds", json!(0)), "invalid-interval"),
        (input("timeout_seconds", json!(9_999)), "invalid-timeout"),
        (input("name", json!("Arena")), "invalid-slug"),
    ] {
        assert_eq!(refused(body), (422, json!(code)));
    }
    for query in [
        "",
        "starts_at=2030-01-01T00:00:00Z",
        "starts_at=2030-01-02T00:00:00Z&ends_at=2030-01-01T00:00:00Z",
        &format!("{YEAR}&match=near"),
        &format!("{YEAR}&min_price=1.5"),
        &format!("{YEAR}&as_of=0.1"),
        &format!("{YEAR}&cursor=x"),
        &format!("{YEAR}&q={}", "x".repeat(201)),
    ] {
        assert_eq!(server.get(format!("{EVENTS}/search?{query}")).send().status, 400, "{query}");
    }
    assert_eq!(server.post(format!("{ARENA}/sync")).send().status, 404);
    assert_eq!(server.get(format!("{ARENA}/runs")).send().status, 404);
    assert_eq!(server.get(format!("{EVENTS}/01890000-0000-7000-8000-000000000000")).send().status, 404);
}
