//! What the program says of itself.

use serde_json::Value;

use crate::program::run;

#[test]
fn every_command_has_examples_in_its_help() {
    for command in [
        &["serve"][..],
        &["check"],
        &["export"],
        &["import"],
        &["keys", "create"],
        &["keys", "list"],
        &["keys", "revoke"],
        &["clock", "confirm"],
        &["openapi"],
        &["load", "appointments"],
        &["load", "flash-sale"],
        &["load", "salon"],
        &["generate", "salon"],
        &["project"],
        &["completions"],
    ] {
        let help = run(&[command, &["--help"]].concat()).succeeds().stdout;
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
}

#[test]
fn the_exit_statuses_are_told_and_a_wrong_command_line_is_2() {
    let help = run(&["--help"]).succeeds().stdout;
    for status in
        ["0 done", "1 done, and", "2 the command line", "3 it could not", "70 the log", "130 stopped"]
    {
        assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(status), "{status}: {help}");
    }
    run(&[]).fails(2, &["Usage: maitred"]);
    run(&["srve"]).fails(2, &["serve"]);
    run(&["serve", "--lissten", "x"]).fails(2, &["--listen"]);
}

#[test]
fn the_document_is_the_one_of_the_routes() {
    let document: Value = serde_json::from_str(&run(&["openapi"]).succeeds().stdout).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for path in
        ["/v1/tenants/{tenant}/appointments", "/v1/tenants/{tenant}/export", "/v1/tenants/{tenant}/import"]
    {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}

#[test]
fn shells_can_complete_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).succeeds().stdout;
        assert!(script.contains("maitred") && script.contains("completions"), "{shell}");
    }
    run(&["completions", "cobol"]).fails(2, &["cobol"]);
}
