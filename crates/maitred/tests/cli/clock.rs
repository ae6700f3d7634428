//! `clock confirm`: an operator's word, at a running server.

use crate::program::{Folder, Server, run, run_with};

#[test]
fn an_admin_confirms_the_clock_and_is_told_what_it_was_thought_to_be() {
    let folder = Folder::new();
    let make = ["keys", "create", "--role", "admin", "--data", &folder.arg("data")];
    let secret = run(&make).succeeds().stdout;
    let server = Server::start(&folder.path("data"), &["--auth"]);
    let url = server.url();
    run(&["clock", "confirm", "--url", &url]).fails(3, &["(unauthenticated)"]);
    let ran = run_with(&["clock", "confirm", "--url", &url], &[("MAITRED_KEY", secret.trim_end())]);
    let said = ran.succeeds().stdout;
    assert!(said.starts_with("confirmed: it is 2") && said.contains("the server expected 2"), "{said}");
    assert!(server.stop().contains("an operator confirmed the clock"));
    run(&["clock", "confirm", "--url", &url]).fails(3, &[&format!("cannot reach {url}")]);
    run(&["clock", "confirm", "--url", "somewhere"]).fails(2, &["--url"]);
}
