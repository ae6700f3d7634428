//! `import` of the records of the replaced salon system, on folders and at servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::generate::small;
use crate::program::{Folder, Ran, Server, run, run_with};

/// The sums that an import has told, a file after the other: imported, there already, refused, not to be read.
fn sums(ran: &Ran) -> Vec<[u64; 4]> {
    let line = |line: &str| {
        let (_, told) = line.rsplit_once(": ").expect("a file and its sums");
        let numbers: Vec<u64> = told.split([' ', ',']).filter_map(|word| word.parse().ok()).take(4).collect();
        numbers.try_into().expect("four sums")
    };
    ran.stdout.lines().map(line).collect()
}

fn files(out: &str, format: &str) -> [String; 2] {
    ["customers", "bookings"].map(|kind| format!("{out}/appa_{kind}.{format}"))
}

/// The whole tenant `appa` of a folder.
fn export(data: &str) -> String {
    run(&["export", "--tenant", "appa", "--data", data]).succeeds().stdout
}

/// An export without what tells one import from another: when a version was decided, and who the tenant is.
fn imported(export: &str) -> Vec<Value> {
    let line = |line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let members = line.as_object_mut().expect("an object");
        if members["type"] == "tenant" {
            members.retain(|name, _| matches!(&**name, "type" | "slug"));
        }
        members.remove("updated_at");
        line
    };
    export.lines().map(line).collect()
}

#[test]
fn what_is_generated_is_imported_from_every_format_and_twice_is_once() {
    let folder = Folder::new();
    let out = small(&folder, "out", "1", "60", "1500");
    let mut first: Option<Vec<Value>> = None;
    for format in ["csv", "json", "sql", "avro"] {
        let data = folder.arg(&format!("data-{format}"));
        let import = |format: &str| {
            let [customers, bookings] = files(&out, format);
            run(&["import", &customers, &bookings, "--tenant", "appa", "--data", &data]).succeeds()
        };
        assert_eq!(sums(&import(format)), [[60, 0, 0, 0], [1500, 0, 0, 0]], "{format}");
        let once = export(&data);
        assert_eq!(once.lines().count(), 1 + 60 + 1500 + 1, "{format}");
        // The same again, and what another format says of the same records.
        for again in [format, "json", "csv"] {
            assert_eq!(sums(&import(again)), [[0, 60, 0, 0], [0, 1500, 0, 0]], "{again} behind {format}");
            assert!(export(&data) == once, "{again} behind {format}: the tenant is the same, byte by byte");
        }
        assert!(run(&["check", "--data", &data]).succeeds().stdout.ends_with("all is well\n"));
        let imported = imported(&once);
        assert!(*first.get_or_insert_with(|| imported.clone()) == imported, "{format} says what csv does");
    }
}

#[test]
fn what_cannot_be_imported_is_named_beside_the_file_and_the_rest_is() {
    let folder = Folder::new();
    let long = "x".repeat(300);
    let file = folder.write(
        "salon.csv",
        &format!(
            "id,tenantId,name,email,phone,createdAt,updatedAt\n\
             c1,APPA,Ann,ann@example.com,,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z\n\
             c2,appa,\"Bob\"by,,,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z\n\
             {long},appa,Cleo,,,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z\n\
             c4,appb,Dan,,,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z\n\
             c5,appa,Eve,,,yesterday,\n\
             c6,appa,Fay,,,2024-01-01T00:00:00Z,\n"
        ),
    );
    let data = folder.arg("data");
    let import = || run(&["import", &file, "--tenant", "appa", "--data", &data]);
    let ran = import().fails(1, &[]);
    assert_eq!(sums(&ran), [[2, 0, 2, 2]], "{}", ran.stdout);
    let errors = folder.path("salon.csv.errors.ndjson");
    let told = || -> Vec<(u64, String)> {
        let lines = std::fs::read_to_string(&errors).expect("the file");
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines
            .map(|line| {
                (line["line"].as_u64().expect("a line"), line["code"].as_str().expect("a code").to_owned())
            })
            .collect()
    };
    let expected =
        [(3, "record-malformed"), (4, "invalid-external-id"), (5, "tenant-differs"), (6, "record-invalid")]
            .map(|(line, code)| (line, code.to_owned()));
    assert_eq!(told(), expected);
    assert_eq!(sums(&import().fails(1, &[])), [[0, 2, 2, 2]]);
    assert_eq!(told(), expected, "of the last import alone");
    // Once all is well the errors of before are gone.
    folder.write("salon.csv", "id,name,createdAt\nc6,Fay,2024-01-01\n");
    import().succeeds();
    assert!(!errors.exists());
}

#[test]
fn a_server_takes_the_same_and_makes_the_tenant() {
    let folder = Folder::new();
    let out = small(&folder, "out", "1", "60", "1500");
    let [customers, bookings] = files(&out, "sql");
    let data = folder.arg("data");
    let admin = run(&["keys", "create", "--role", "admin", "--data", &data]).succeeds().stdout;
    let server = Server::start(&folder.path("data"), &["--auth"]);
    let url = server.url();
    let import = |key: &str| {
        let args = ["import", &customers, &bookings, "--tenant", "appa", "--url", &url];
        run_with(&args, &[("MAITRED_KEY", key.trim_end())])
    };
    import("mk_0vHmu6rb_2Byoy12VzoUx4Q8cISvThDZBlJRrpS6imI").fails(3, &["(credentials-invalid)"]);
    let ran = import(&admin).succeeds();
    assert_eq!(sums(&ran), [[60, 0, 0, 0], [1500, 0, 0, 0]], "{}", ran.stdout);
    let make = ["keys", "create", "--role", "integration", "--tenant", "appa", "--url", &url];
    let key = run_with(&make, &[("MAITRED_KEY", admin.trim_end())]).succeeds().stdout;
    assert_eq!(sums(&import(&key).succeeds()), [[0, 60, 0, 0], [0, 1500, 0, 0]]);
    // The clients of the replaced system go on with it.
    let list = |server: &Server, tenant: &str| {
        let headers = format!("X-Tenant: {tenant}\r\nAuthorization: Bearer {}\r\n", admin.trim_end());
        let (status, body) = server.ask("GET", "/api/bookings?start=2000&end=2100", &headers, "");
        (status, serde_json::from_str::<Value>(&body).expect("JSON")["count"].as_u64())
    };
    assert_eq!(list(&server, "appa"), (200, Some(1500)));
    server.stop();
    // A folder is the same place.
    let ran = run(&["import", &bookings, "--tenant", "appa", "--data", &data]).succeeds();
    assert_eq!(sums(&ran), [[0, 1500, 0, 0]]);
    run(&["import", &customers, &bookings, "--tenant", "there", "--data", &data]).succeeds();
    let server = Server::start(&folder.path("data"), &["--auth"]);
    assert_eq!(list(&server, "there"), (200, Some(1500)));
    server.stop();
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anything_is_imported() {
    let folder = Folder::new();
    let file = folder.write("c.csv", "id,name,createdAt\nc1,Ann,2024-01-01\n");
    let data = folder.arg("data");
    run(&["import", &file, "--data", &data]).fails(3, &["this is no export", "--tenant"]);
    run(&["import", &file, &folder.arg("none.csv"), "--tenant", "t", "--data", &data])
        .fails(3, &["none.csv"]);
    run(&["import", &file, "--tenant", "t", "--time-zone", "Mars/Base", "--data", &data]).fails(2, &["IANA"]);
    let ran = run(&["import", &file, "--tenant", "t", "--kind", "bookings", "--data", &data]).fails(1, &[]);
    assert_eq!(sums(&ran), [[0, 0, 0, 1]]);
    let ran = run(&["import", &file, "--tenant", "t", "--format", "csv", "--data", &data]).succeeds();
    assert_eq!(sums(&ran), [[1, 0, 0, 0]]);
}

/// Sends so much of a body in one chunk.
fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let sent = write!(stream, "{:x}\r\n", bytes.len()).and_then(|()| stream.write_all(bytes));
    sent.and_then(|()| stream.write_all(b"\r\n")).expect("the server reads");
}

#[test]
fn an_import_that_kill_9_cuts_off_is_finished_by_running_it_again() {
    let folder = Folder::new();
    let out = small(&folder, "out", "1", "200", "30000");
    let [_, bookings] = files(&out, "csv");
    let bytes = std::fs::read(&bookings).expect("the file");
    let server = Server::start(&folder.path("data"), &["--default-tenant", "appa"]);
    let mut stream = TcpStream::connect(server.address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let head = "POST /v1/tenants/appa/imports?format=csv HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("the server reads");
    // Two thirds, so that there is progress, and no end.
    bytes[..bytes.len() * 2 / 3].chunks(50_000).for_each(|piece| send(&mut stream, piece));
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    let imported = loop {
        line.clear();
        assert!(answer.read_line(&mut line).expect("text") > 0, "the answer ended");
        if let Some(progress) = line.strip_prefix("{\"type\":\"progress\"") {
            let (_, number) = progress.split_once("\"imported\":").expect("a number");
            break number.split(',').next().and_then(|number| number.parse::<u64>().ok()).expect("a number");
        }
    };
    server.signal("KILL");
    let _ = answer.read_to_end(&mut Vec::new()); // it is over in whatever way
    server.wait();
    assert!((10_000..30_000).contains(&imported), "{imported}");

    let data = folder.arg("data");
    let ran = run(&["import", &bookings, "--tenant", "appa", "--data", &data]).succeeds();
    let [[rest, there, refused, problems]] = sums(&ran)[..] else { panic!("{}", ran.stdout) };
    assert_eq!((rest + there, refused + problems), (30_000, 0));
    assert!(there >= imported && rest > 0, "{there} were there, and {imported} had been acknowledged");
    let again = run(&["import", &bookings, "--tenant", "appa", "--data", &data]).succeeds();
    assert_eq!(sums(&again), [[0, 30_000, 0, 0]]);
    assert!(run(&["check", "--data", &data]).succeeds().stdout.ends_with("all is well\n"));
}

/// Imports from standard input, is given so much of it, and is killed while it is at work.
fn import_and_kill(data: &str, input: &[u8]) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_maitred"))
        .args(["import", "-", "--format", "csv", "--tenant", "appa", "--data", data])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("piped");
    // Once all of it is written, no more of it waits than a pipe and a piece hold: the rest is being decided.
    stdin.write_all(input).expect("the import reads");
    child.kill().expect("it runs");
    assert!(!child.wait().expect("it is over").success());
}

#[test]
fn an_import_into_a_folder_that_kill_9_cuts_off_is_finished_by_running_it_again() {
    let folder = Folder::new();
    let out = small(&folder, "out", "1", "200", "30000");
    let [_, bookings] = files(&out, "csv");
    let bytes = std::fs::read(&bookings).expect("the file");
    let (whole, data) = (folder.arg("whole"), folder.arg("data"));
    let import = |data: &str| run(&["import", &bookings, "--tenant", "appa", "--data", data]).succeeds();
    assert_eq!(sums(&import(&whole)), [[30_000, 0, 0, 0]]);
    let mut before = 0;
    for part in 1..=3 {
        import_and_kill(&data, &bytes[..bytes.len() * part / 4]);
        let lines = imported(&export(&data));
        let there = lines.iter().filter(|line| line["type"] == "legacy_booking").count();
        assert!(
            there > before && there < 30_000,
            "{there} were there when it was killed, and {before} before"
        );
        before = there;
    }
    let ran = import(&data);
    let [[rest, there, refused, problems]] = sums(&ran)[..] else { panic!("{}", ran.stdout) };
    assert_eq!((rest + there, there, refused + problems), (30_000, before as u64, 0));
    let finished = export(&data);
    assert!(
        imported(&finished) == imported(&export(&whole)),
        "it is what an import that nobody killed has made"
    );
    assert_eq!(sums(&import(&data)), [[0, 30_000, 0, 0]]);
    assert!(export(&data) == finished);
    assert!(run(&["check", "--data", &data]).succeeds().stdout.ends_with("all is well\n"));
}

#[test]
fn however_many_records_are_broken_all_are_named_and_the_rest_is_imported() {
    const BROKEN: u64 = 12_000;
    let folder = Folder::new();
    let mut text = "id,name,createdAt\nc0,Ann,2024-01-01\n".to_owned();
    (0..BROKEN).for_each(|_| text.push_str("c,\"An\"n,2024-01-01\n"));
    text.push_str("c1,Bob,2024-01-01\n");
    let file = folder.write("salon.csv", &text);
    let (data, errors) = (folder.arg("data"), folder.path("salon.csv.errors.ndjson"));
    let server = Server::start(&folder.path("served"), &["--default-tenant", "appa"]);
    let url = server.url();
    for place in [["--data", &*data], ["--url", &*url]] {
        let ran = run(&[&["import", &*file, "--tenant", "appa"][..], &place].concat()).fails(1, &[]);
        assert_eq!(sums(&ran), [[2, 0, 0, BROKEN]], "{place:?}");
        let told = std::fs::read_to_string(&errors).expect("the file");
        let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["line"].as_u64();
        assert!(told.lines().map(line).eq((3..3 + BROKEN).map(Some)), "{place:?}");
    }
    server.stop();
    // What is of another format altogether fails, and says so.
    let file = folder.write("other.csv", "name;day\nAnn;monday\n");
    run(&["import", &file, "--tenant", "appa", "--data", &data])
        .fails(3, &["other.csv", "the import failed"]);
}
