//! `export` and `import`, on folders and at servers.

use crate::program::{Folder, Server, run, run_with};

/// A folder with the demo data and some more, whose server is stopped.
fn filled(folder: &Folder) -> String {
    let server = Server::start(&folder.path("data"), &["--demo"]);
    (0..300).for_each(|number| server.put(number, 1));
    (0..50).for_each(|number| server.put(number, 2));
    server.stop();
    folder.arg("data")
}

fn export(data: &str) -> String {
    run(&["export", "--tenant", "demo", "--data", data]).succeeds().stdout
}

#[test]
fn an_export_is_the_same_after_an_import_into_an_empty_folder() {
    let folder = Folder::new();
    let data = filled(&folder);
    let exported = export(&data);
    assert!(exported.lines().count() > 400 && exported.contains("\"cancelled\":true"));
    let file = folder.write("demo.ndjson", &exported);
    let copy = folder.arg("copy");
    let ran = run(&["import", &file, "--data", &copy]).succeeds();
    let lines = exported.lines().count() - 1;
    assert_eq!(ran.stdout, format!("{lines} lines imported, 0 were there already, 0 refused\n"));
    assert!(export(&copy) == exported, "versions, ids and received_at survive");
    let again = run(&["import", &file, "--data", &copy]).succeeds();
    assert_eq!(again.stdout, format!("0 lines imported, {lines} were there already, 0 refused\n"));
    assert!(export(&copy) == exported);
    assert!(run(&["check", "--data", &copy]).succeeds().stdout.ends_with("all is well\n"));
}

#[test]
fn a_running_server_gives_and_takes_the_same() {
    let folder = Folder::new();
    let data = filled(&folder);
    let exported = export(&data);
    let server = Server::start(&folder.path("data"), &[]);
    let (file, url) = (folder.arg("demo.ndjson"), server.url());
    run(&["export", "--tenant", "demo", "--url", &url, "--output", &file]).succeeds();
    assert!(std::fs::read_to_string(&file).expect("the file") == exported);
    assert!(!folder.path("demo.ndjson.part").exists());
    let ran = run(&["import", &file, "--url", &url]).succeeds();
    let lines = exported.lines().count() - 1;
    assert_eq!(ran.stdout, format!("0 lines imported, {lines} were there already, 0 refused\n"));

    // Another server has the tenant's profile and nothing else, then all of it.
    let profile = exported.lines().next().expect("a profile");
    let profile = folder.write("profile.ndjson", &format!("{profile}\n{{\"type\":\"end\",\"lines\":1}}\n"));
    run(&["import", &profile, "--data", &folder.arg("copy")]).succeeds();
    let copy = Server::start(&folder.path("copy"), &[]);
    let ran = run(&["import", &file, "--url", &copy.url()]).succeeds();
    assert_eq!(ran.stdout, format!("{} lines imported, 1 were there already, 0 refused\n", lines - 1));
    copy.stop();
    assert!(export(&folder.arg("copy")) == exported);
}

#[test]
fn an_import_makes_the_tenant_at_a_server_that_demands_keys() {
    let folder = Folder::new();
    let exported = export(&filled(&folder));
    let file = folder.write("demo.ndjson", &exported);
    let copy = folder.arg("copy");
    let admin = run(&["keys", "create", "--role", "admin", "--data", &copy]).succeeds().stdout;
    let server = Server::start(&folder.path("copy"), &["--auth"]);
    let url = server.url();
    let with = |key: &str, args: &[&str]| {
        run_with(&[args, &["--url", &url]].concat(), &[("MAITRED_KEY", key.trim_end())])
    };
    run(&["import", &file, "--url", &url]).fails(3, &["(unauthenticated)"]);
    let ran = with(&admin, &["import", &file]).succeeds();
    let lines = exported.lines().count() - 1;
    assert!(ran.stdout.ends_with(" were there already, 0 refused\n"), "{}", ran.stdout);
    let again = with(&admin, &["import", &file]).succeeds();
    assert_eq!(again.stdout, format!("0 lines imported, {lines} were there already, 0 refused\n"));
    assert!(with(&admin, &["export", "--tenant", "demo"]).succeeds().stdout == exported);

    // An owner imports into the tenant that is there, and makes no other.
    let make = ["keys", "create", "--role", "owner", "--tenant", "demo"];
    let owner = with(&admin, &make).succeeds().stdout;
    with(&owner, &["import", &file]).succeeds();
    with(&owner, &["import", &file, "--tenant", "other"]).fails(3, &["(forbidden)"]);
}

#[test]
fn refused_lines_are_named_and_the_rest_is_imported() {
    let folder = Folder::new();
    let exported = export(&filled(&folder));
    let mut lines: Vec<String> = exported.lines().map(str::to_owned).collect();
    // Behind a version of "test-299" comes another id on the same time, then no JSON, then the end.
    let last = lines.iter().rposition(|line| line.contains("\"test-299\"")).expect("it is there");
    lines.insert(last + 1, lines[last].replace("test-299", "intruder"));
    lines.insert(last + 2, "{nonsense".to_owned());
    let end = lines.len() - 1;
    lines[end] = format!("{{\"type\":\"end\",\"lines\":{end}}}");
    let file = folder.write("demo.ndjson", &lines.join("\n"));
    let ran = run(&["import", &file, "--data", &folder.arg("copy")]);
    let refused = ran.fails(
        1,
        &[
            &format!("line {}: The time range is not available", last + 2),
            "(time-range-unavailable)",
            &format!("line {}: ", last + 3),
            "(line-malformed)",
        ],
    );
    assert!(refused.stdout.ends_with("2 refused\n"), "{}", refused.stdout);
    assert!(export(&folder.arg("copy")) == exported, "the rest is the same");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = Folder::new();
    let data = filled(&folder);
    run(&["export", "--tenant", "none", "--data", &data]).fails(3, &["there is no tenant \"none\""]);
    run(&["export", "--tenant", "No Slug", "--data", &data]).fails(2, &["--tenant No Slug"]);
    run(&["export", "--tenant", "demo", "--data", &folder.arg("typo")]).fails(3, &["is no data folder"]);
    run(&["import", &folder.arg("none.ndjson"), "--data", &data]).fails(3, &["none.ndjson"]);
    assert!(!folder.path("typo").exists());
    let server = Server::start(&folder.path("data"), &[]);
    let url = server.url();
    let ran = run(&["export", "--tenant", "none", "--url", &url]);
    ran.fails(3, &["There is no tenant \"none\".", "tenant-not-found"]);
    let output = folder.arg("out.ndjson");
    run(&["export", "--tenant", "none", "--url", &url, "--output", &output]).fails(3, &["tenant-not-found"]);
    assert!(!folder.path("out.ndjson").exists() && !folder.path("out.ndjson.part").exists());
}

#[test]
fn an_import_under_another_slug_leaves_the_alias_with_its_tenant() {
    let folder = Folder::new();
    let data = filled(&folder);
    let exported = export(&data);
    assert!(exported.contains("\"alias\":\"Demo Salon\""));
    let file = folder.write("demo.ndjson", &exported);
    let lines = exported.lines().count() - 1;
    let alias = |slug: &str| {
        let exported = run(&["export", "--tenant", slug, "--data", &data]).succeeds().stdout;
        let profile: serde_json::Value =
            serde_json::from_str(exported.lines().next().expect("a profile")).expect("JSON");
        profile["alias"].clone()
    };
    let ran = run(&["import", &file, "--tenant", "copy", "--data", &data]).succeeds();
    assert_eq!(ran.stdout, format!("{lines} lines imported, 0 were there already, 0 refused\n"));
    assert!(ran.stderr.contains("\"Demo Salon\"") && ran.stderr.contains("--alias"), "{}", ran.stderr);
    assert_eq!((alias("copy"), alias("demo")), (serde_json::Value::Null, "Demo Salon".into()));

    // The one that is given is kept by the next import, which gives none.
    run(&["import", &file, "--tenant", "copy", "--alias", "Copied", "--data", &data]).succeeds();
    let again = run(&["import", &file, "--tenant", "copy", "--data", &data]).succeeds();
    assert_eq!((again.stderr, alias("copy")), (String::new(), "Copied".into()));

    // A running server does the same.
    let server = Server::start(&folder.path("data"), &[]);
    let url = server.url();
    let ran = run(&["import", &file, "--tenant", "third", "--url", &url]).succeeds();
    assert!(ran.stderr.contains("--alias"), "{}", ran.stderr);
    run(&["import", &file, "--tenant", "copy", "--url", &url]).succeeds();
    server.stop();
    assert_eq!((alias("third"), alias("copy")), (serde_json::Value::Null, "Copied".into()));
}

#[test]
fn a_file_that_is_no_export_is_refused_before_anything_is_done() {
    let folder = Folder::new();
    for text in ["", "{}\n", "[1]\n", "external_id;starts_at\na;b\n", "{\"type\":\"dog\"}\n"] {
        let file = folder.write("other.csv", text);
        let ran = run(&["import", &file, "--data", &folder.arg("data")]);
        ran.fails(3, &["other.csv: this is no export", "`maitred export`"]);
    }
    assert!(!folder.path("data").exists(), "nothing was begun");
}
