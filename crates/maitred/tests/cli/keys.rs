//! Keys: made, listed, revoked, and what they open.

use crate::program::{Folder, Server, run, run_with};

/// What a key is answered when it asks for a tenant that is not there: 404 if it is valid.
fn status(server: &Server, key: &str) -> u16 {
    let headers = format!("Authorization: Bearer {key}\r\n");
    server.ask("GET", "/v1/tenants/none/export", &headers, "").0
}

#[test]
fn the_first_key_is_made_on_the_folder_and_opens_the_server_until_it_is_revoked() {
    let folder = Folder::new();
    let data = folder.arg("data");
    let made = run(&["keys", "create", "--role", "admin", "--name", "first", "--data", &data]).succeeds();
    let secret = made.stdout.trim_end();
    assert!(secret.starts_with("mk_") && !secret.contains(char::is_whitespace), "{secret}");
    assert!(made.stderr.contains("shown this once") && !made.stderr.contains(secret), "{}", made.stderr);

    let listed = run(&["keys", "list", "--data", &data]).succeeds().stdout;
    let fields: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!((fields[1], fields[3], fields[4]), ("admin", "live", "first"), "{listed}");
    assert!(!listed.contains(secret));

    let server = Server::start(&folder.path("data"), &["--auth"]);
    assert_eq!(server.ask("GET", "/v1/tenants/none/export", "", "").0, 401);
    assert_eq!((status(&server, secret), status(&server, &secret.replacen('_', "_x", 1))), (404, 401));
    assert!(!server.stop().contains("there is no admin's key"));

    run(&["keys", "revoke", fields[0], "--data", &data]).fails(3, &["is the server's last", "--force"]);
    assert!(!run(&["keys", "list", "--data", &data]).succeeds().stdout.contains("revoked"));
    run(&["keys", "revoke", fields[0], "--force", "--data", &data]).succeeds();
    assert!(run(&["keys", "list", "--data", &data]).succeeds().stdout.contains("revoked"));
    let server = Server::start(&folder.path("data"), &["--auth"]);
    assert_eq!(status(&server, secret), 401);
    let said = server.stop();
    assert!(said.contains("there is no admin's key") && said.contains("maitred keys create"), "{said}");
}

#[test]
fn a_tenants_key_opens_that_tenant_alone() {
    let folder = Folder::new();
    let data = folder.arg("data");
    Server::start(&folder.path("data"), &["--demo"]).stop();
    let make = ["keys", "create", "--role", "owner", "--tenant", "demo", "--data", &data];
    let secret = run(&make).succeeds().stdout;
    let server = Server::start(&folder.path("data"), &["--auth"]);
    let headers = format!("Authorization: Bearer {}\r\n", secret.trim_end());
    let (status, exported) = server.ask("GET", "/v1/tenants/demo/export", &headers, "");
    assert_eq!(status, 200);
    assert!(!exported.contains("mk_") && !exported.contains("secret"), "keys are not exported");
    assert_eq!(server.ask("GET", "/v1/tenants/other/export", &headers, "").0, 403);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = Folder::new();
    let data = folder.arg("data");
    let create = |args: &[&str]| run(&[&["keys", "create", "--data", &data][..], args].concat());
    create(&["--role", "admin", "--tenant", "demo"]).fails(2, &["takes no --tenant"]);
    create(&["--role", "owner"]).fails(2, &["needs one"]);
    create(&["--role", "king"])
        .fails(2, &["the roles are public, customer, integration, staff, owner, admin"]);
    assert!(!folder.path("data").exists(), "nothing was begun");
    create(&["--role", "owner", "--tenant", "none"]).fails(3, &["there is no tenant \"none\""]);
    let unknown = "00000000-0000-7000-8000-000000000000";
    run(&["keys", "revoke", unknown, "--data", &data]).fails(3, &["api-key-not-found"]);
    run(&["keys", "list", "--data", &folder.arg("typo")]).fails(3, &["is no data folder of a server"]);
    assert!(!folder.path("typo").exists(), "a typo makes no folder");
    run(&["keys", "list", "--data", &data, "--url", "http://127.0.0.1:1"]).fails(2, &["--url"]);
    run(&["keys", "list", "--url", "http://127.0.0.1:1"])
        .fails(3, &["cannot reach http://127.0.0.1:1", "--data"]);
}

#[test]
fn keys_are_made_listed_and_revoked_at_a_running_server() {
    let folder = Folder::new();
    Server::start(&folder.path("data"), &["--demo"]).stop();
    let first = run(&["keys", "create", "--role", "admin", "--data", &folder.arg("data")]).succeeds().stdout;
    let server = Server::start(&folder.path("data"), &["--auth"]);
    let url = server.url();
    let keys = |key: &str, args: &[&str]| {
        run_with(&[&["keys"][..], args, &["--url", &url]].concat(), &[("MAITRED_KEY", key.trim_end())])
    };
    let admin = keys(&first, &["create", "--role", "admin", "--name", "second"]).succeeds().stdout;
    assert_eq!(status(&server, admin.trim_end()), 404);
    let owner = keys(&admin, &["create", "--role", "owner", "--tenant", "demo"]).succeeds().stdout;
    let pushes = keys(&owner, &["create", "--role", "integration", "--tenant", "demo"]).succeeds();
    assert!(pushes.stderr.contains("with the role integration") && pushes.stdout.starts_with("mk_"));
    keys(&owner, &["create", "--role", "admin"]).fails(3, &["(forbidden)"]);
    keys(&pushes.stdout, &["create", "--role", "owner", "--tenant", "demo"]).fails(3, &["(forbidden)"]);
    keys(&admin, &["create", "--role", "owner", "--tenant", "none"]).fails(3, &["(tenant-not-found)"]);

    assert_eq!(keys(&admin, &["list"]).succeeds().stdout.lines().count(), 2);
    let listed = keys(&owner, &["list", "--tenant", "demo"]).succeeds().stdout;
    let id = listed.lines().find(|line| line.contains("integration")).and_then(|line| line.split(' ').next());
    keys(&owner, &["revoke", id.expect("an id"), "--tenant", "demo"]).succeeds();
    assert_eq!(status(&server, pushes.stdout.trim_end()), 401);
    assert!(keys(&owner, &["list", "--tenant", "demo"]).succeeds().stdout.contains("revoked"));
    keys("", &["list"]).fails(3, &["(unauthenticated)", "--key", "MAITRED_KEY"]);

    // Of the server's two keys one can be revoked at once, and the last only by force.
    let ids: Vec<String> = keys(&admin, &["list"]).succeeds().stdout.lines().map(id_of).collect();
    keys(&admin, &["revoke", &ids[0]]).succeeds();
    keys(&admin, &["revoke", &ids[1]]).fails(3, &["is the server's last", "--force"]);
    assert_eq!(status(&server, admin.trim_end()), 404, "it is live");
    keys(&admin, &["revoke", &ids[1], "--force"]).succeeds();
    assert_eq!(status(&server, admin.trim_end()), 401);
    assert!(server.stop().contains("the last key of the role admin is revoked"));
}

fn id_of(line: &str) -> String {
    line.split(' ').next().expect("an id").to_owned()
}
