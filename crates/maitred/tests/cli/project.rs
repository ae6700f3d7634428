//! `maitred project`, on a real PostgreSQL.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postgres::Postgres;
use crate::program::{Folder, Server, run};

/// How long the tables may take to be as they should.
const PATIENCE: Duration = Duration::from_secs(60);

/// The demo's server: appointments, bookings, a sale.
fn demo(folder: &Folder) -> Server {
    Server::start(&folder.path("data"), &["--demo"])
}

fn project(server: &Server, postgres: &Postgres, more: &[&str]) -> crate::program::Ran {
    run(&[&["project", "--to", &postgres.url(), "--url", &server.url()], more].concat())
}

/// A projection that goes on. Killed with the value.
struct Projecting(Child);

impl Projecting {
    fn start(server: &Server, postgres: &Postgres) -> Projecting {
        let child = Command::new(env!("CARGO_BIN_EXE_maitred"))
            .args(["project", "--to", &postgres.url(), "--url", &server.url()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Projecting(child.expect("the program runs"))
    }
}

impl Drop for Projecting {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

#[track_caller]
fn becomes(postgres: &Postgres, query: &str, expected: &str) {
    let started = Instant::now();
    loop {
        let found = postgres.try_ask(query); // at first there are no tables
        if matches!(&found, Some(Ok(rows)) if rows == &[expected]) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{query}: {found:?} instead of {expected}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn count(server: &Server, path: &str) -> usize {
    let mut found = 0;
    let mut cursor = String::new();
    loop {
        let (status, page) = server.get(&format!("{path}?limit=1000{cursor}"));
        assert_eq!(status, 200, "{page}");
        found += page["items"].as_array().expect("items").len();
        let Some(next) = page["next_cursor"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn the_tables_hold_what_the_server_shows_and_no_person_unless_asked_for() {
    let (folder, postgres) = (Folder::new(), Postgres::start());
    let server = demo(&folder);
    server.put(1, 1);
    server.put(1, 2);
    let odd = r#"{"starts_at":"0001-01-01T00:00:00Z","ends_at":"9999-12-31T23:59:59Z","created_at":"2020-01-01T00:00:00Z",
        "updated_at":"2020-01-01T00:00:00Z","resource":"odd","title":"a \\u0000","metadata":{"a\u0000":["\u0000"]}}"#;
    let json = "Content-Type: application/json\r\n";
    let (status, said) = server.ask("PUT", "/v1/tenants/demo/appointments/odd", json, odd);
    assert_eq!(status, 201, "{said}");
    let cancelled = "/v1/tenants/demo/appointments/unheard-of?updated_at=2020-01-01T00:00:00Z";
    assert_eq!(server.ask("DELETE", cancelled, "", "").0, 200);
    project(&server, &postgres, &["--once"]).succeeds();

    for (table, path) in [
        ("appointments WHERE tenant = 'demo' AND NOT cancelled", "/v1/tenants/demo/appointments"),
        ("bookings WHERE tenant = 'demo'", "/v1/tenants/demo/bookings"),
        ("records WHERE tenant = 'demo' AND kind = 'employee' AND NOT deleted", "/v1/tenants/demo/employees"),
    ] {
        let shown = count(&server, path);
        assert!(shown > 1, "{path}");
        assert_eq!(
            postgres.ask(&format!("SELECT count(*) FROM maitred.{table}")),
            [shown.to_string()],
            "{table}"
        );
    }
    let test_1 = "FROM maitred.appointment_versions WHERE external_id = 'test-1'";
    assert_eq!(
        postgres.ask(&format!("SELECT version, type {test_1} ORDER BY version")),
        ["1 created", "2 updated"]
    );
    let odd = "SELECT title, metadata::text, extract(year FROM starts_at) FROM maitred.appointments WHERE external_id = 'odd'";
    assert_eq!(postgres.ask(odd), ["a \\u0000 {\"a\u{fffd}\": [\"\u{fffd}\"]} 1"]);
    let tombstone = "SELECT cancelled, starts_at FROM maitred.appointments WHERE external_id = 'unheard-of'";
    assert_eq!(postgres.ask(tombstone), ["t -"]);
    let items = "SELECT count(*) FROM maitred.bookings b LEFT JOIN maitred.booking_items i
                 ON (i.tenant, i.booking_id, i.place) = (b.tenant, b.id, 1) WHERE i.place IS NULL";
    assert_eq!(postgres.ask(items), ["0"], "every booking has its first item");
    let people = "SELECT count(*) > 0 FROM maitred.records WHERE kind IN ('customer', 'user')";
    assert_eq!(postgres.ask(people), ["f"]);

    // The database keeps what the engine keeps.
    let twice = "INSERT INTO maitred.appointments (tenant, id, external_id, resource, starts_at, ends_at, updated_at, version,
                     received_at, cancelled)
                 SELECT tenant, gen_random_uuid(), 'twice', resource, starts_at, ends_at, updated_at, version, received_at,
                     false FROM maitred.appointments WHERE external_id = 'test-1'";
    assert!(postgres.refusal(twice).contains("appointments_never_overlap"), "{}", postgres.refusal(twice));

    project(&server, &postgres, &["--once", "--rebuild", "--personal-data", "--tenant", "demo"]).succeeds();
    assert_eq!(postgres.ask(people), ["t"]);
    assert_eq!(postgres.ask("SELECT DISTINCT tenant FROM maitred.projection_cursors"), ["demo"]);
    server.stop();
}

#[test]
fn it_goes_on_where_it_was_whichever_of_the_three_is_killed() {
    const PUTS: usize = 300;
    let (folder, mut postgres) = (Folder::new(), Postgres::start());
    let server = demo(&folder);
    let versions = "SELECT count(*), count(DISTINCT external_id) FROM maitred.appointment_versions
                    WHERE external_id LIKE 'test-%'";
    let mut projecting = Projecting::start(&server, &postgres);
    for number in 0..PUTS {
        server.put(number, 1);
        match number {
            60 => becomes(&postgres, "SELECT count(*) > 0 FROM maitred.projection_cursors", "t"),
            100 | 140 => {
                drop(projecting);
                projecting = Projecting::start(&server, &postgres);
            }
            // The last one is at work: whoever cannot reach the database at the start ends.
            200 => {
                let at_work =
                    "SELECT count(*) > 140 FROM maitred.appointment_versions WHERE external_id LIKE 'test-%'";
                becomes(&postgres, at_work, "t");
                postgres.kill();
            }
            240 => postgres.start_again(),
            _ => {}
        }
    }
    becomes(&postgres, versions, &format!("{PUTS} {PUTS}"));
    let address = server.address.to_string();
    server.signal("KILL");
    server.wait();
    let server = Server::start(&folder.path("data"), &["--listen", &address]);
    server.put(0, 2);
    becomes(&postgres, versions, &format!("{} {PUTS}", PUTS + 1));
    let newest = "SELECT version FROM maitred.appointments WHERE external_id = 'test-0'";
    assert_eq!(postgres.ask(newest), ["2"]);
    becomes(&postgres, "SELECT seconds < 15 FROM maitred.projection_lag WHERE tenant = 'demo'", "t");

    // Another one that is further: this one ends, and says why.
    postgres.ask("UPDATE maitred.projection_cursors SET after = '0.999999' WHERE tenant = 'demo'");
    server.put(1, 2);
    let output = {
        let mut child = std::mem::replace(&mut projecting, Projecting::start(&server, &postgres));
        let status = child.0.wait().expect("it ends");
        let mut said = String::new();
        std::io::Read::read_to_string(child.0.stderr.as_mut().expect("piped"), &mut said).expect("UTF-8");
        (status.code(), said)
    };
    assert_eq!(output.0, Some(3), "{}", output.1);
    assert!(output.1.contains("another projection"), "{}", output.1);
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = Folder::new();
    let server = demo(&folder);
    let postgres = Postgres::start();
    project(&server, &postgres, &["--once", "--schema", "No Schema"]).fails(3, &["is no name for a schema"]);
    project(&server, &postgres, &["--once", "--tenant", "nobody"]).fails(3, &["tenant"]);
    postgres.ask(
        "CREATE SCHEMA later; CREATE TABLE later.projection_versions (version integer PRIMARY KEY);
                  INSERT INTO later.projection_versions VALUES (99)",
    );
    project(&server, &postgres, &["--once", "--schema", "later"]).fails(3, &["version 99"]);
    let url = server.url();
    run(&["project", "--once", "--to", "postgres://a@127.0.0.1:1/x", "--url", &url])
        .fails(3, &["PostgreSQL"]);
    run(&["project", "--once", "--to", "mysql://x", "--url", &url]).fails(2, &["--to"]);
    server.stop();
}

#[test]
fn events_are_tables_and_those_of_an_older_projection_move_there() {
    let (folder, postgres) = (Folder::new(), Postgres::start());
    let server = demo(&folder);
    let synced = |provider: &str| {
        let path = format!("/v1/tenants/demo/providers/{provider}");
        let started = Instant::now();
        while server.get(&path).1["last_success_at"].is_null() {
            assert!(started.elapsed() < PATIENCE, "{provider} is not synced");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    synced("arena");
    synced("hall");
    project(&server, &postgres, &["--once"]).succeeds();
    let find =
        "/v1/tenants/demo/events/search?starts_at=2000-01-01T00:00:00Z&ends_at=2100-01-01T00:00:00Z&limit=1";
    let shown = server.get(find).1["items"][0].clone();
    let id = shown["id"].as_str().expect("an id");
    let event = server.get(&format!("/v1/tenants/demo/events/{id}")).1;
    let counted = |table: &str, column: &str| {
        postgres
            .ask(&format!("SELECT count(*) FROM maitred.{table} WHERE tenant = 'demo' AND {column} = '{id}'"))
    };
    let plans = event["plans"].as_array().expect("plans");
    let zones: usize = plans.iter().map(|plan| plan["zones"].as_array().expect("zones").len()).sum();
    assert_eq!(counted("event_plans", "event_id"), [plans.len().to_string()]);
    assert_eq!(counted("event_zones", "event_id"), [zones.to_string()]);
    let row = "SELECT provider, external_id, min_price_amount, max_price_amount, price_currency, version";
    let row = postgres.ask(&format!("{row} FROM maitred.events WHERE id = '{id}'"));
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = [
        &event["provider"],
        &event["external_id"],
        &event["min_price"]["amount"],
        &event["max_price"]["amount"],
        &event["min_price"]["currency"],
        &event["version"],
    ];
    assert_eq!(row, [fields.map(text).join(" ")]);
    let same_start =
        format!("SELECT starts_at = '{}' FROM maitred.events WHERE id = '{id}'", text(&event["starts_at"]));
    assert_eq!(postgres.ask(&same_start), ["t"]);

    // Tables as an older program has left them: events are records there, and the cursor is behind them.
    let everything = "SELECT (SELECT md5(string_agg(e::text, ';' ORDER BY e.id)) FROM maitred.events e),
        (SELECT md5(string_agg(p::text, ';' ORDER BY p.event_id, p.id)) FROM maitred.event_plans p),
        (SELECT md5(string_agg(z::text, ';' ORDER BY z.event_id, z.plan_id, z.id)) FROM maitred.event_zones z)";
    let ids = postgres.ask("SELECT id FROM maitred.events ORDER BY id");
    assert!(ids.len() > 100, "{}", ids.len());
    // Those of the newest versions alone, so that a change of a feed in between does not show.
    let kept = postgres.ask(everything);
    server.signal("STOP");
    postgres.ask(
        "INSERT INTO maitred.records SELECT e.tenant, 'event', e.id, e.version, now(), false, jsonb_build_object(
             'provider', provider, 'external_id', external_id, 'title', title, 'sell_mode', sell_mode, 'ever_online',
             ever_online, 'organizer', organizer, 'starts_at', starts_at, 'ends_at', ends_at, 'min_price',
             jsonb_build_object('amount', min_price_amount, 'currency', price_currency), 'max_price',
             jsonb_build_object('amount', max_price_amount, 'currency', price_currency), 'first_seen_at',
             first_seen_at, 'vanished_at', vanished_at, 'updated_at', updated_at, 'plans', (SELECT
             coalesce(jsonb_agg(to_jsonb(p) || jsonb_build_object('zones', (SELECT coalesce(jsonb_agg(to_jsonb(z) ||
             jsonb_build_object('price', jsonb_build_object('amount', z.price_amount, 'currency', z.price_currency))),
             '[]') FROM maitred.event_zones z WHERE (z.tenant, z.event_id, z.plan_id) = (p.tenant, p.event_id, p.id))
             )), '[]') FROM maitred.event_plans p WHERE (p.tenant, p.event_id) = (e.tenant, e.id)))
         FROM maitred.events e;
         DROP TABLE maitred.events, maitred.event_plans, maitred.event_zones;
         DELETE FROM maitred.projection_versions WHERE version = 2;
         -- No tenant is asked for, so that nothing but the tables changes.
         ALTER TABLE maitred.projection_cursors RENAME TO kept_cursors;
         CREATE TABLE maitred.projection_cursors (LIKE maitred.kept_cursors INCLUDING ALL)",
    );
    server.signal("CONT");
    project(&server, &postgres, &["--once", "--tenant", "default"]).succeeds();
    assert_eq!(postgres.ask(everything), kept, "they moved as they were");
    assert_eq!(
        postgres.ask("SELECT count(*) FROM maitred.records WHERE kind = 'event' AND tenant = 'demo'"),
        ["0"]
    );
    server.stop();
}
