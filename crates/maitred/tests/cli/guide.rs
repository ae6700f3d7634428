//! The guide for integrators: its commands, run in order by the shell that a reader has, and their answers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::Folder;

const GUIDE: &str = include_str!("../../../../docs/guide.md");
/// Where the guide's server listens.
const ADDRESS: &str = "127.0.0.1:8080";
/// Stands between the outputs of two blocks.
const SEPARATOR: char = '\u{1e}';
/// What differs each time.
const ANYTHING: char = '…';

/// A block of commands, and what it answers where the guide shows it.
#[derive(Default)]
struct Block {
    commands: String,
    answers: Option<String>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for fenced in GUIDE.split("\n```").skip(1).step_by(2) {
        let (language, text) = fenced.split_once('\n').expect("a block has lines");
        match language {
            "sh" => blocks.push(Block { commands: text.to_owned(), answers: None }),
            "text" => blocks.last_mut().expect("an answer has a question").answers = Some(text.to_owned()),
            "json" | "toml" => {} // shown, and not run
            other => panic!("the test knows no blocks of {other}"),
        }
    }
    blocks
}

/// Asserts that `said` has the pieces of `pattern` in their order, its beginning and end included.
fn assert_like(said: &str, pattern: &str) {
    let mut rest = said;
    for (number, piece) in pattern.split(ANYTHING).enumerate() {
        let found = rest.find(piece).filter(|at| number > 0 || *at == 0);
        let at = found.unwrap_or_else(|| panic!("not said: {piece}\nof {pattern}\nbut {said}"));
        rest = &rest[at + piece.len()..];
    }
    assert_eq!(rest, "", "more is said than {pattern}");
}

fn has_program(name: &str) -> bool {
    let mut command = Command::new(name);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A path that begins with the folder of the program under test.
fn path_with_program() -> std::ffi::OsString {
    let folder = Path::new(env!("CARGO_BIN_EXE_maitred")).parent().expect("a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(
        std::iter::once(folder).chain(std::env::split_paths(&others).collect::<Vec<PathBuf>>()),
    )
    .expect("folders without colons")
}

#[test]
fn every_command_of_the_guide_answers_as_the_guide_says() {
    if !has_program("bash") || !has_program("curl") {
        eprintln!("not run: the guide's commands need bash and curl");
        return;
    }
    // On an address of its own, so that no other test is given the port meanwhile.
    let free = TcpListener::bind("127.0.0.9:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port").to_string();
    let blocks = blocks();
    let mut script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for block in &blocks {
        script += &block.commands.replace(ADDRESS, &address);
        script += &format!("\nprintf '{SEPARATOR}'\n");
    }
    let folder = Folder::new();
    let mut command = Command::new("timeout");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MAITRED_")) {
        command.env_remove(name);
    }
    let output = command
        .args(["--kill-after", "10", "100", "bash", &folder.write("guide.sh", &script)])
        .current_dir(folder.path(""))
        .env("PATH", path_with_program())
        .stdin(Stdio::null())
        .output()
        .expect("the guide runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
    let said: Vec<&str> = said.split_terminator(SEPARATOR).collect();
    assert_eq!(said.len(), blocks.len(), "{errors}");
    for (said, Block { answers, .. }) in said.into_iter().zip(&blocks) {
        if let Some(answers) = answers {
            assert_like(said.trim_end(), answers.trim_end());
        }
    }
}
