//! What a start and `check` say of a folder of which a part is missing, damaged, open to others, or on a disk that
//! takes nothing more.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check::{check, contents, files, filled, problem};
use crate::program::{Folder, Ran, Server, run};

/// Starts an engine on the folder for as long as it takes to make a key.
fn start(data: &Path) -> Ran {
    run(&["keys", "create", "--role", "admin", "--data", &data.display().to_string()])
}

/// Asserts that a start is refused because batches are missing, and that nothing is changed by it.
#[track_caller]
fn loss(data: &Path, said: &[&str]) {
    // Who reads a store is written down beside it.
    let truth = || {
        let mut files = contents(data);
        files.retain(|path, _| path.file_name().is_some_and(|name| name != "lock.mdb"));
        files
    };
    let before = truth();
    start(data).fails(3, &["data loss: ", "Nothing was changed. "]).fails(3, said);
    let after = truth();
    let changed: Vec<_> = before.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(
        changed.is_empty() && before.len() == after.len(),
        "a start that was refused has changed {changed:?}"
    );
}

fn move_away(data: &Path) {
    for name in ["view", "snapshots"] {
        if data.join(name).exists() {
            fs::rename(data.join(name), data.with_file_name(format!("{name}.away")))
                .expect("it can be moved");
        }
    }
}

#[test]
fn a_log_that_ends_before_its_store_and_its_snapshots_stops_the_start() {
    let folder = Folder::new();
    let data = filled(&folder);
    let newest = files(&data.join("log"), ".segment").pop().expect("a segment");
    let away = folder.path("newest");
    fs::rename(&newest, &away).expect("it can be moved");
    let said =
        ["the log ends at batch ", "which were acknowledged, are missing", "move `view` and `snapshots`"];
    loss(&data, &said);
    let ran = check(&data);
    problem(&ran, &["the stored view: data loss: the log ends at batch ", "are missing"]);
    assert!(!ran.stdout.contains("may be deleted"), "{}", ran.stdout);

    // It starts again with the segment, and on purpose without it.
    fs::rename(&away, &newest).expect("it can be moved back");
    check(&data).succeeds();
    fs::remove_file(&newest).expect("it can be removed");
    move_away(&data);
    start(&data).succeeds();
    check(&data).succeeds();
}

#[test]
fn a_damaged_log_stops_the_start_with_the_next_step() {
    let folder = Folder::new();
    let data = filled(&folder);
    let newest = files(&data.join("log"), ".segment").pop().expect("a segment");
    let mut bytes = fs::read(&newest).expect("a file");
    bytes[600] ^= 0x40;
    fs::write(&newest, bytes).expect("it can be written");
    let (name, dir) = (newest.display().to_string(), data.display().to_string());
    let next = format!("maitred check --data {dir}");
    start(&data).fails(3, &[&name, "byte ", "Next: ", &next, "backup", "docs/operations.md"]);
    run(&["serve", "--listen", "0", "--data", &dir]).fails(3, &[&name, &next]);
}

#[test]
fn a_snapshot_alone_proves_what_is_missing() {
    let folder = Folder::new();
    let data = filled(&folder);
    let snapshot = files(&data.join("snapshots"), ".snapshot").pop().expect("a snapshot");
    fs::write(data.join("view.boot"), "another boot").expect("it can be written");
    for segment in files(&data.join("log"), ".segment") {
        fs::remove_file(segment).expect("it can be removed");
    }
    let name = snapshot.display().to_string();
    loss(&data, &["the log ends at batch 0, but ", &name]);
    problem(&check(&data), &[&name, "data loss: the log ends at batch 0", "are missing"]);
    fs::remove_dir_all(data.join("log")).expect("it can be removed");
    fs::create_dir(data.join("log")).expect("it can be made");
    loss(&data, &["the log ends at batch 0, but ", &name]);
}

#[test]
fn a_last_batch_whose_sectors_read_as_zeros_is_missed() {
    let folder = Folder::new();
    let data = filled(&folder);
    let newest = files(&data.join("log"), ".segment").pop().expect("a segment");
    let mut bytes = fs::read(&newest).expect("a file");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty") / 512 * 512;
    bytes[last..last + 512].fill(0);
    fs::write(&newest, bytes).expect("it can be written");
    loss(&data, &["which were acknowledged, are missing"]);
    assert!(files(&data.join("log"), ".torn").is_empty(), "it was cut as if a crash had torn it");
}

#[test]
fn a_store_that_is_none_is_built_anew() {
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.fill(0x55),
        |bytes| bytes[2 * 4096..].fill(0x55),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.truncate(bytes.len() - 4096),
        |bytes| bytes.truncate(4096),
    ];
    for damage in damages {
        let folder = Folder::new();
        let data = filled(&folder);
        let file = data.join("view/data.mdb");
        let mut bytes = fs::read(&file).expect("a file");
        damage(&mut bytes);
        fs::write(&file, bytes).expect("it can be written");
        let ran = check(&data);
        problem(&ran, &["the stored view", "the next start builds it anew"]);
        assert!(ran.stdout.contains("equal to the rebuilt view"), "check went on: {}", ran.stdout);
        let server = Server::start(&data, &[]);
        assert_eq!(server.get("/v1/tenants/demo/appointments/test-7").0, 200);
        let errors = server.stop();
        assert!(
            errors.contains("the view's store is damaged; it is built anew, nothing is lost"),
            "{errors}"
        );
        check(&data).succeeds();
    }
}

/// What is in a folder, itself included, with its mode.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    let mode = fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let mut modes = vec![(path.to_owned(), mode)];
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder");
        modes.extend(entries.flat_map(|entry| self::modes(&entry.expect("an entry").path())));
    }
    modes
}

#[test]
fn nobody_else_may_read_a_data_folder_that_is_made_or_started_on() {
    let folder = Folder::new();
    let data = filled(&folder);
    let private = || {
        for (path, mode) in modes(&data) {
            assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}: {mode:o}", path.display());
        }
    };
    private();
    for (path, mode) in modes(&data) {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o055)).expect("it is ours");
    }
    start(&data).succeeds();
    private();
}

/// Runs a script in which folders can be mounted. `None` where the system does not let its users do so.
fn with_mounts(script: &str, data: &Path) -> Option<Ran> {
    let can = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-e", "-c", script]).env("DATA", data);
    let output = shell.env("MAITRED", env!("CARGO_BIN_EXE_maitred")).output().expect("a shell");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let status = output.status.code().unwrap_or(-1);
    Some(Ran { status, stdout: text(output.stdout), stderr: text(output.stderr) })
}

#[test]
fn a_folder_that_can_only_be_read_is_checked() {
    let folder = Folder::new();
    let data = filled(&folder);
    let script = "mount --bind \"$DATA\" \"$DATA\"; mount -o remount,bind,ro \"$DATA\"; \
                  if touch \"$DATA/x\" 2>/dev/null; then exit 9; fi; \"$MAITRED\" check --data \"$DATA\"";
    let Some(ran) = with_mounts(script, &data) else { return };
    let ran = ran.succeeds();
    for said in ["the stored view: at batch ", "equal to the rebuilt view", ": all is well\n"] {
        assert!(ran.stdout.contains(said), "{said:?}: {}", ran.stdout);
    }
}

#[test]
fn on_a_full_disk_check_and_a_start_without_a_view_fail_in_words() {
    let folder = Folder::new();
    let data = filled(&folder);
    for command in ["check --data", "keys create --role admin --data"] {
        let script = format!(
            "copy=\"$DATA.full\"; mkdir -p \"$copy\"; mount -t tmpfs -o size=32m tmpfs \"$copy\"; \
             cp -r \"$DATA\" \"$copy/data\"; rm -r \"$copy/data/view\" \"$copy/data/view.boot\"; \
             cat /dev/zero > \"$copy/filler\" 2>/dev/null || true; \"$MAITRED\" {command} \"$copy/data\""
        );
        let Some(ran) = with_mounts(&script, &data) else { return };
        assert_eq!(ran.status, 3, "{command}: {ran:?}");
        assert!(ran.stderr.contains("is full") || ran.stderr.contains("No space left"), "{command}: {ran:?}");
    }
}
