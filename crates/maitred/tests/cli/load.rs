//! `load`, against a server that demands keys.

use crate::generate::small;
use crate::program::{Folder, Ran, Server, run, run_with};

/// A load of a hundred requests with a key, on the tenant `demo`.
fn load(url: &str, key: &str, args: &[&str]) -> Ran {
    let all = ["load", "appointments", "--tenant", "demo", "--requests", "100", "--connections", "4"];
    let place = ["--warm-up", "0", "--url", url];
    run_with(&[&all[..], &place, args].concat(), &[("MAITRED_KEY", key.trim_end())])
}

#[test]
fn every_kind_of_load_does_what_it_should_with_a_key_and_nothing_without() {
    let folder = Folder::new();
    Server::start(&folder.path("data"), &["--demo"]).stop();
    let data = folder.arg("data");
    let admin = run(&["keys", "create", "--role", "admin", "--data", &data]).succeeds().stdout;
    let make = ["keys", "create", "--role", "integration", "--tenant", "demo", "--data", &data];
    let key = run(&make).succeeds().stdout;
    let server = Server::start(&folder.path("data"), &["--auth"]);
    let url = server.url();
    let sesami = ["--mix", "sesami", "--first", "20000", "--records", "1000"];
    load(&url, &key, &sesami).fails(1, &[]); // the tenant has not enabled it
    let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", admin.trim_end());
    let enable = "{\"drop_ins\": [\"sesami\"]}";
    assert_eq!(server.ask("PATCH", "/v1/tenants/demo", &headers, enable).0, 200);
    let ran = load(&url, &key, &sesami).succeeds();
    assert!(ran.stdout.contains("created: 100"), "{}", ran.stdout);

    let preload = ["load", "preload", "--tenant", "demo", "--records", "500", "--url", &url];
    run_with(&preload, &[("MAITRED_KEY", key.trim_end())]).succeeds();
    for (mix, outcome) in [
        ("upsert", "created: 100"),
        ("update", "updated: 100"),
        ("get", "found: 100"),
        ("list", "found: 100"),
    ] {
        let first = if mix == "upsert" { "30000" } else { "0" };
        let ran = load(&url, &key, &["--mix", mix, "--records", "500", "--first", first]).succeeds();
        assert!(ran.stdout.contains(outcome), "{mix}: {}", ran.stdout);
    }
    for key in ["", "mk_0vHmu6rb_2Byoy12VzoUx4Q8cISvThDZBlJRrpS6imI"] {
        let ran = load(&url, key, &["--mix", "get", "--records", "500"]);
        assert!(ran.status == if key.is_empty() { 2 } else { 1 }, "{ran:?}");
    }
}

#[test]
fn a_salon_that_was_imported_is_read_and_written_by_its_old_clients() {
    let folder = Folder::new();
    let out = small(&folder, "out", "1", "60", "1500");
    let server = Server::start(&folder.path("data"), &[]);
    let url = server.url();
    let files = ["customers", "bookings"].map(|kind| format!("{out}/appa_{kind}.avro"));
    run(&["import", &files[0], &files[1], "--tenant", "appa", "--url", &url]).succeeds();
    let all = "/api/bookings?start=2023-01-01&end=2026-01-01";
    let (status, body) = server.ask("GET", all, "X-Tenant: appa\r\n", "");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &body["count"]), (200, &serde_json::json!(1500)));
    for booking in body["bookings"].as_array().expect("a list") {
        assert_eq!(booking["customer"]["id"], booking["customerId"], "{booking}");
    }
    let load = ["load", "salon", "--tenant", "appa", "--url", &url, "--requests", "200"];
    let ran =
        run(&[&load[..], &["--connections", "4", "--warm-up", "0", "--timeout", "60"]].concat()).succeeds();
    for part in ["salon: reads of 7 days", "salon: writes", "salon: reads again of 7 days"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("created: 200") && !ran.stdout.contains("FAILED"), "{}", ran.stdout);
    run(&[&load[..3], &["nobody", "--url", &url]].concat()).fails(2, &[]);
}
