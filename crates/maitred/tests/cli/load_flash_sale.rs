//! `load flash-sale`, against real servers: open ones, and one that demands keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::check::check;
use crate::program::{Folder, Ran, Server, run, run_with};

fn load(url: &str, key: &str, args: &[&str]) -> Ran {
    let all = ["load", "flash-sale", "--tenant", "demo", "--connections", "16", "--url", url];
    let key = Some(("MAITRED_KEY", key.trim_end())).filter(|(_, key)| !key.is_empty());
    run_with(&[&all[..], args].concat(), key.as_slice())
}

fn report(ran: Ran) -> Value {
    serde_json::from_str(&ran.succeeds().stdout).expect("JSON")
}

#[test]
fn the_load_test_of_the_replaced_service_passes_and_has_its_figures() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let args = ["--users", "40", "--stock", "10", "--rate", "400", "--seconds", "1"];
    let ran = load(&server.url(), "", &args).succeeds();
    for said in [
        "open loop, 400 arrivals/s",
        "  of a class    2xx: min ",
        "  of a class    4xx: min ",
        "created: 10, sold_out: ",
        "201: 10, 409: 390",
        "400 created, 400 completed, 0 failed",
        "10 accepted, 390 refused (",
        "10 orders (10 expected) of 10 buyers, at most 1 each; 0 left; balanced",
    ] {
        assert!(ran.stdout.contains(said), "{said:?}: {}", ran.stdout);
    }
    let (_, sales) = server.get("/v1/tenants/demo/sales?state=ended");
    assert_eq!(sales["items"].as_array().map(Vec::len), Some(1), "it is ended: {sales}");
    server.stop();
    run(&["check", "--data", &folder.arg("data")]).succeeds();
}

#[test]
fn a_rush_without_accounts_gives_each_buyer_what_they_may_have() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let rush = ["--mode", "rush", "--buyers", "named", "--users", "20", "--tries", "2000", "--json"];
    let few = report(load(&server.url(), "", &[&rush[..], &["--stock", "1000"]].concat()));
    assert_eq!((&few["requests"], &few["accepted"]), (&json!(2000), &json!(20)));
    assert_eq!(few["refused"], json!({"buyer_limit_reached": 1980}));
    let check = &few["check"];
    assert_eq!([&check["orders"], &check["buyers"], &check["left"]], [20, 20, 980]);
    let many =
        report(load(&server.url(), "", &[&rush[..], &["--stock", "1000", "--buyer-limit", "3"]].concat()));
    assert_eq!((&many["accepted"], &many["check"]["most_per_buyer"]), (&json!(60), &json!(3)));
    let none = report(load(&server.url(), "", &[&rush[..], &["--stock", "0"]].concat()));
    assert_eq!((&none["accepted"], &none["refused"]), (&json!(0), &json!({"sold_out": 2000})));
}

#[test]
fn tokens_are_kept_for_the_next_run_and_replaced_when_they_are_not_valid() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let file = folder.path("tokens");
    let kept = file.display().to_string();
    let args = ["--users", "5", "--stock", "3", "--mode", "rush", "--tries", "100", "--tokens", &kept];
    load(&server.url(), "", &args).succeeds();
    let first = fs::read_to_string(&file).expect("tokens were kept");
    assert_eq!(first.lines().count(), 5);
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    load(&server.url(), "", &args).succeeds();
    assert_eq!(fs::read_to_string(&file).expect("a file"), first, "nobody registered again");
    fs::write(&file, "not.a.token\n".repeat(5)).expect("it is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    load(&server.url(), "", &args).succeeds();
    let third = fs::read_to_string(&file).expect("a file");
    assert!(third.lines().count() == 5 && third.starts_with("eyJ"), "{third}");
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn buyers_and_shop_have_rights_of_their_own_where_keys_are_demanded() {
    let folder = Folder::new();
    Server::start(&folder.path("data"), &["--demo"]).stop();
    let data = folder.arg("data");
    let make = |role: &str| {
        let args = ["keys", "create", "--role", role, "--tenant", "demo", "--data", &data];
        run(&args).succeeds().stdout
    };
    let (owner, customer) = (make("owner"), make("customer"));
    let server = Server::start(&folder.path("data"), &["--auth"]);
    let url = server.url();
    let few = ["--users", "5", "--stock", "3", "--mode", "rush", "--tries", "50"];
    load(&url, &owner, &few).succeeds();
    load(&url, &owner, &[&few[..], &["--buyers", "named"]].concat()).succeeds();
    load(&url, "", &few).fails(2, &["unauthenticated"]);
    load(&url, &customer, &few).fails(2, &["forbidden"]);
    load(&url, &owner, &[&few[..], &["--rate", "5"]].concat()).fails(2, &["--rate"]);
    server.stop();
    check(&folder.path("data")).succeeds();
}

#[test]
fn a_sale_that_is_there_is_tried_and_left_alone() {
    let folder = Folder::new();
    let server = Server::start(&folder.path("data"), &["--demo"]);
    let sale = "550e8400-e29b-41d4-a716-446655440001";
    let args =
        ["--sale", sale, "--buyers", "named", "--users", "30", "--mode", "rush", "--tries", "300", "--json"];
    let tried = report(load(&server.url(), "", &args));
    assert_eq!((&tried["accepted"], &tried["check"]), (&json!(30), &Value::Null));
    let (_, shown) = server.get(&format!("/v1/tenants/demo/sales/{sale}"));
    assert_eq!((&shown["state"], &shown["sold"], &shown["left"]), (&json!("active"), &json!(30), &json!(70)));
    let unknown = "550e8400-e29b-41d4-a716-446655449999";
    let args = ["--sale", unknown, "--buyers", "named", "--mode", "rush", "--tries", "30"];
    let ran = load(&server.url(), "", &args).fails(1, &[]);
    assert!(ran.stdout.contains("30 unexpected outcomes `missing`"), "{}", ran.stdout);
}
