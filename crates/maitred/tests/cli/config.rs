//! Settings: where they come from, and what is refused.

use crate::program::{Folder, Server, run, run_with};

#[test]
fn a_flag_goes_before_a_variable_and_that_before_the_file() {
    let folder = Folder::new();
    let file =
        folder.write("maitred.toml", "[server]\nlisten = \"127.0.0.2:0\"\n[storage]\nfree_bytes = 0\n");
    let data = folder.arg("data");
    let args = ["serve", "--data", &data, "--config", &file];
    let variable = [("MAITRED_LISTEN", "127.0.0.3:0"), ("MAITRED_LOG_LEVEL", "warn")];
    for (args, variables, host) in [
        (args.to_vec(), &variable[1..], "127.0.0.2"),
        (args.to_vec(), &variable[..], "127.0.0.3"),
        ([&args[..], &["--listen", "127.0.0.4:0"]].concat(), &variable[..], "127.0.0.4"),
    ] {
        let server = Server::start_with(&args, variables);
        assert_eq!(server.address.ip().to_string(), host);
        assert_eq!(server.stop(), "", "only warnings are logged");
    }
}

#[test]
fn every_setting_can_come_from_a_variable() {
    run_with(&["serve"], &[("MAITRED_REQUEST_SECONDS", "0")]).fails(2, &["limits.request_seconds: 0 is not"]);
    run_with(&["serve"], &[("MAITRED_AUTH", "perhaps")]).fails(2, &["--auth"]);
    run_with(&["serve"], &[("MAITRED_CONFIG", "/nowhere/m.toml")]).fails(2, &["/nowhere/m.toml: "]);
}

#[test]
fn an_unknown_key_is_refused_and_named() {
    let folder = Folder::new();
    let file = folder.write("maitred.toml", "[server]\ndata = \"x\"\n\n[log]\nlevell = \"info\"\n");
    run(&["serve", "--config", &file]).fails(2, &["maitred.toml: log.levell: ", "unknown field `levell`"]);
    assert!(!folder.path("x").exists(), "nothing was begun");
}

#[test]
fn without_keys_only_this_machine_is_served() {
    let ran = run(&["serve", "--listen", "0.0.0.0:0"]);
    ran.fails(2, &["0.0.0.0:0 is not a loopback address", "--auth (MAITRED_AUTH=true)"]);
}
