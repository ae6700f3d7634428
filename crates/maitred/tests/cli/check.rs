//! `check`: green on a good folder, red where something is wrong, and the place is named.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use maitred_core::{Key, Table};
use maitred_engine::store::Store;
use maitred_storage::view_lmdb::{LmdbOptions, LmdbStore};
use serde_json::{Value, json};

use crate::program::{Folder, Ran, Server, run, run_unread};

/// A folder with several segments, a view that is partly flushed, and snapshots.
pub(crate) fn filled(folder: &Folder) -> PathBuf {
    let data = folder.path("data");
    let server = Server::start(&data, &["--demo", "--snapshot-log-bytes", "65536"]);
    (0..300).for_each(|number| server.put(number, 1));
    (0..20).for_each(|number| server.put(number, 2));
    server.stop();
    data
}

pub(crate) fn check(data: &Path) -> Ran {
    run(&["check", "--data", &data.display().to_string()])
}

/// Asserts that it is red, and that one line names all of this.
#[track_caller]
pub(crate) fn problem(ran: &Ran, said: &[&str]) {
    assert_eq!(ran.status, 1, "{ran:?}");
    let mut problems = ran.stdout.lines().filter(|line| line.starts_with("PROBLEM"));
    assert!(problems.any(|line| said.iter().all(|said| line.contains(said))), "{said:?}: {}", ran.stdout);
}

/// The files of a folder with their contents, but for the lock.
pub(crate) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            files.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    files
}

/// The files in a folder with this ending, ascending.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[at] ^= 0x40;
    std::fs::write(file, bytes).expect("it can be written");
}

#[test]
fn a_good_folder_is_found_good_in_words_and_left_as_it_was() {
    let folder = Folder::new();
    let data = filled(&folder);
    let (before, there) = (contents(&data), files(&data, ""));
    let ran = check(&data).succeeds();
    for said in [
        "ok      the log: ",
        "every checksum, hash and link of the chain is right",
        "ok      the view: rebuilt from the log alone up to batch ",
        "ok      claims: ",
        "; none overlap, and each has its owner",
        "ok      versions: ",
        "ok      timestamps: ",
        "ok      the stored view: at batch ",
        "equal to the rebuilt one",
        ".snapshot: ",
        "equal to the rebuilt view",
        ": all is well\n",
    ] {
        assert!(ran.stdout.contains(said), "{said:?}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("PROBLEM"));
    assert!(contents(&data) == before, "check has changed a file");
    assert_eq!(files(&data, ""), there, "check has left something");
}

#[test]
fn a_reader_that_went_away_ends_no_command_loudly() {
    let folder = Folder::new();
    let data = filled(&folder).display().to_string();
    let quiet = |args: &[&str], status: i32| {
        let ran = run_unread(args);
        assert_eq!((ran.status, &*ran.stderr), (status, ""), "{args:?}");
    };
    quiet(&["check", "--data", &data], 0);
    quiet(&["export", "--tenant", "demo", "--data", &data], 141);
    quiet(&["openapi"], 141);
    quiet(&["completions", "bash"], 0);
    run(&["keys", "create", "--role", "admin", "--data", &data]).succeeds();
    quiet(&["keys", "list", "--data", &data], 141);
    let create = ["keys", "create", "--role", "admin", "--data", &data];
    run_unread(&create).fails(3, &["the secret could not be written", "revoke key "]);
}

#[test]
fn after_a_kill_the_folder_is_good_too_and_left_as_it_was() {
    let folder = Folder::new();
    let data = folder.path("data");
    let server = Server::start(&data, &["--demo"]);
    (0..50).for_each(|number| server.put(number, 1));
    server.signal("KILL");
    server.wait();
    let before = contents(&data);
    let ran = check(&data).succeeds();
    assert!(ran.stdout.contains(" batches caught up: equal to the rebuilt one"), "{}", ran.stdout);
    assert!(contents(&data) == before, "check has changed a file");
}

#[test]
fn a_flipped_byte_of_an_old_segment_is_named() {
    let folder = Folder::new();
    let data = filled(&folder);
    let segments = files(&data.join("log"), ".segment");
    assert!(segments.len() >= 3, "{segments:?}");
    let oldest = &segments[0];
    for at in [600, 20_000] {
        flip(oldest, at);
        let ran = check(&data);
        problem(&ran, &[&oldest.display().to_string(), "byte ", "batch "]);
        assert!(ran.stdout.ends_with(": 1 problem\n"), "{}", ran.stdout);
        flip(oldest, at);
    }
    check(&data).succeeds();
    let renamed = oldest.with_extension("lost");
    std::fs::rename(oldest, &renamed).expect("it can be renamed");
    problem(&check(&data), &["the segment before it", "is missing"]);
}

#[test]
fn a_view_store_that_was_tampered_with_is_named() {
    let folder = Folder::new();
    let data = filled(&folder);
    let store = LmdbStore::open(&data.join("view"), LmdbOptions::default()).expect("the store");
    let snapshot = store.snapshot();
    let table = Key::new(Table::Slot);
    let mut first = None;
    snapshot.scan(&table, &table.end(), &mut |key, value| {
        first = Some((key.to_vec(), value.to_vec()));
        ControlFlow::Break(())
    });
    let (key, value) = first.expect("there are claims");
    drop(snapshot);
    let write = |value: Option<&[u8]>| {
        store.write(&mut std::iter::once((&*key, value))).expect("it can be written");
    };
    let mut other = value.clone();
    other[7] ^= 1;
    write(Some(&other));
    problem(&check(&data), &["the stored view differs", "of the table Slot of tenant 2 has another value"]);
    write(None);
    problem(&check(&data), &["the stored view differs", "of the table Slot of tenant 2 is missing"]);
    write(Some(&value));
    check(&data).succeeds();
}

#[test]
fn a_damaged_snapshot_is_named() {
    let folder = Folder::new();
    let data = filled(&folder);
    let snapshot = files(&data.join("snapshots"), ".snapshot").pop().expect("a snapshot");
    flip(&snapshot, 500);
    problem(&check(&data), &[&snapshot.display().to_string(), "checksum", "it may be deleted"]);
}

#[test]
fn remains_of_torn_batches_are_named() {
    let folder = Folder::new();
    let data = filled(&folder);
    let segment = files(&data.join("log"), ".segment").pop().expect("a segment");
    let torn = segment.with_added_extension("torn");
    std::fs::write(&torn, b"remains").expect("a file");
    let ran = check(&data).succeeds();
    assert!(ran.stdout.contains(&format!("{}: remains of a batch", torn.display())), "{}", ran.stdout);
}

#[test]
fn a_time_that_is_over_is_looked_at_as_it_was() {
    let folder = Folder::new();
    let data = folder.path("data");
    let server = Server::start(&data, &[]);
    let post = |path: &str, body: &Value| {
        let (status, body) =
            server.ask("POST", path, "Content-Type: application/json\r\n", &body.to_string());
        assert_eq!(status, 201, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        body["id"].as_str().expect("an id").to_owned()
    };
    let tenant =
        json!({"slug": "shop", "name": "Shop", "time_zone": "UTC", "currency": "EUR", "locale": "en"});
    post("/v1/tenants", &tenant);
    let price = json!({"amount": 100, "currency": "EUR"});
    let product = post("/v1/tenants/shop/products", &json!({"name": "Cap", "price": price, "inventory": 9}));
    let sale = json!({
        "product_id": product, "quantity": 3,
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
    });
    let sale = post("/v1/tenants/shop/sales", &sale);
    let orders = [1, 2].map(|buyer| {
        let buyer = format!("01890000-0000-7000-8000-{buyer:012}");
        post(&format!("/v1/tenants/shop/sales/{sale}/orders"), &json!({"buyer_id": buyer}))
    });
    let changes = server.get("/v1/tenants/shop/changes?limit=1000").1["items"].clone();
    let position = |record: &str| {
        let change = changes.as_array().expect("items").iter().find(|item| item["record_id"] == record);
        let id = change.expect("it was announced")["id"].as_str().expect("a text").to_owned();
        id.rsplit_once('.').expect("a position and a number").0.to_owned()
    };
    let times = [
        (position(&sale), Some(0)),
        (position(&orders[0]), Some(1)),
        (position(&orders[1]), Some(2)),
        ("3000-01-01T00:00:00Z".to_owned(), Some(2)),
        ("2000-01-01T00:00:00Z".to_owned(), None),
    ];
    // What the API says of the past is what the log, up to then, makes of it.
    for (time, sold) in &times {
        let (status, told) =
            server.get(&format!("/v1/tenants/shop/sales/{sale}/reconciliation?as_of={time}"));
        assert_eq!((status, &told["sold"]), (if sold.is_some() { 200 } else { 404 }, &json!(sold)), "{time}");
    }
    server.stop();
    let before = contents(&data);
    for (time, sold) in &times {
        let ran = run(&["check", "--as-of", time, "--data", &data.display().to_string()]).succeeds();
        match sold {
            Some(sold) => {
                let left = 3 - sold;
                let (each, sale) = (u8::from(*sold > 0), format!("sale {sale}: "));
                let said = format!(
                    "{sale}3 issued = {sold} sold + 0 held + {left} left + 0 returned; {sold} orders, {sold} buyers with \
                     at most {each} each"
                );
                assert!(ran.stdout.contains(&said), "{said}\n{}", ran.stdout);
                assert!(ran.stdout.contains(&format!("sales: 1 with {sold} orders")), "{}", ran.stdout);
            }
            None => assert!(ran.stdout.contains("reconciliation: 0 sales at 2000"), "{}", ran.stdout),
        }
    }
    let data_arg = data.display().to_string();
    problem(&run(&["check", "--as-of", "0.99999", "--data", &data_arg]), &["there is no position 0.99999"]);
    run(&["check", "--as-of", "yesterday", "--data", &data_arg]).fails(2, &["an RFC 3339 instant"]);
    assert!(contents(&data) == before, "check has changed a file");
}

#[test]
fn a_folder_of_nobody_is_refused_and_not_made() {
    let folder = Folder::new();
    check(&folder.path("typo")).fails(3, &["is no data folder of a server", "--data"]);
    assert!(!folder.path("typo").exists());
}
