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
            200 => postgres.kill(),
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
