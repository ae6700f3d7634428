//! Providers of events that the file and the command line name; the demo's, and its webhook.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Folder, Server, run};

/// Whatever is waited for comes within this.
const PATIENCE: Duration = Duration::from_secs(60);
const FEED: &str = "<planList><output><base_plan base_plan_id=\"1\" sell_mode=\"online\" title=\"A concert\">\
    <plan plan_id=\"1\" plan_start_date=\"2030-06-30T21:00:00\" plan_end_date=\"2030-06-30T22:00:00\" \
    sell_from=\"2020-01-01T00:00:00\" sell_to=\"2030-06-30T20:00:00\" sold_out=\"false\">\
    <zone zone_id=\"1\" capacity=\"10\" price=\"20.00\" name=\"Floor\" numbered=\"false\"/>\
    </plan></base_plan></output></planList>";

/// A provider that remembers what it was asked.
fn feed() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(String::new()));
    let heads = Arc::clone(&asked);
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut piece = [0; 4_096];
            let read = stream.read(&mut piece).unwrap_or(0);
            *heads.lock().expect("no panic") += &String::from_utf8_lossy(&piece[..read]);
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", FEED.len());
            let _ = stream.write_all((head + FEED).as_bytes()); // who asked may have gone
        }
    });
    (address, asked)
}

/// Waits until `seen` sees what it looks for.
#[track_caller]
fn wait_for(read: impl Fn() -> Value, seen: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let found = read();
        if seen(&found) {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "it still is {found}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn providers_of_the_file_are_brought_in_with_their_secrets_and_a_second_start_changes_nothing() {
    let folder = Folder::new();
    let (address, asked) = feed();
    let key = folder.write("key", "key-of-a-file\n");
    let config = |interval: &str| {
        let text = format!(
            "[storage]\nfree_bytes = 0\n[[providers]]\nname = \"arena\"\nurl = \"http://{address}/feed\"\n\
             interval = \"{interval}\"\ntimeout = \"5s\"\ntime_zone = \"Europe/Madrid\"\ncurrency = \"USD\"\n\
             format = \"planlist-xml\"\n[providers.headers]\nX-Key = {{ file = \"{key}\" }}\n\
             authorization = {{ env = \"ARENA_TOKEN\" }}\n"
        );
        folder.write("maitred.toml", &text)
    };
    let data = folder.arg("data");
    let path = "/v1/tenants/default/providers/arena";
    let start = |config: &str, more: &[&str]| {
        let args = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--config", config];
        Server::start_with(&[&args[..], more].concat(), &[("ARENA_TOKEN", "token-of-a-variable")])
    };
    let server = start(&config("1h"), &[]);
    let found = wait_for(|| server.get(path).1, |provider| provider["last_success_at"].is_string());
    assert_eq!((&found["interval_seconds"], &found["timeout_seconds"]), (&3_600.into(), &5.into()));
    assert_eq!((&found["time_zone"], &found["currency"]), (&"Europe/Madrid".into(), &"USD".into()));
    assert_eq!(found["header_names"], serde_json::json!(["authorization", "x-key"]));
    let search =
        "/v1/tenants/default/events/search?starts_at=2030-06-30T19:00:00Z&ends_at=2030-06-30T19:00:01Z";
    assert_eq!(server.get(search).1["items"][0]["title"], "A concert", "its times are those of Madrid");
    let heads = asked.lock().expect("no panic").clone();
    assert!(heads.contains("x-key: key-of-a-file\r\n"), "{heads}");
    assert!(heads.contains("authorization: token-of-a-variable\r\n"), "{heads}");
    let errors = server.stop();
    assert!(!errors.contains("-of-a-"), "{errors}");

    let server = start(&config("1h"), &[]);
    assert_eq!(server.get(path).1["version"], 1, "nothing was written");
    server.stop();
    let server = start(&config("2h"), &[]);
    let found = server.get(path).1;
    assert_eq!((&found["version"], &found["interval_seconds"]), (&2.into(), &7_200.into()));
    server.stop();
    let named = format!("arena=http://{address}/other");
    let server = start(&config("2h"), &["--provider", &named, "--sync-interval", "15s"]);
    let found = server.get(path).1;
    assert_eq!(
        (&found["version"], &found["interval_seconds"]),
        (&3.into(), &15.into()),
        "a flag goes before the file"
    );
    assert_eq!(found["time_zone"], "Europe/Madrid", "what it does not say stays");
    server.stop();
}

#[test]
fn a_provider_that_cannot_be_is_refused_and_named() {
    let folder = Folder::new();
    let data = folder.arg("data");
    let one = "[[providers]]\nname = \"arena\"\nurl = \"http://feeds.example/\"\n";
    for (text, said) in [
        ("[[providers]]\nname = \"arena\"\n", "missing field `url`"),
        ("[[providers]]\nname = \"Arena\"\nurl = \"http://x/\"\n", "providers: Arena: "),
        (&format!("{one}intervall = \"15s\"\n"), "unknown field `intervall`"),
        (&format!("{one}interval = \"15\"\n"), "write 15s"),
        (&format!("{one}format = \"json\"\n"), "there is \"planlist-xml\""),
        (&format!("{one}time_zone = \"Mars/Olympus\"\n"), "no IANA time zone"),
        (&format!("{one}headers = {{ a = \"secret\" }}\n"), "unknown variant"),
        (&format!("{one}headers = {{ host = {{ env = \"HOME\" }} }}\n"), "set by the request itself"),
        (&format!("{one}headers = {{ a = {{ env = \"NOT_THERE\" }} }}\n"), "there is no variable NOT_THERE"),
        (&format!("{one}headers = {{ a = {{ file = \"/nowhere/key\" }} }}\n"), "/nowhere/key: "),
        (&format!("{one}{one}"), "it is there twice"),
        ("[[providers]]\nname = \"a\"\nurl = \"http://169.254.169.254/\"\n", "link-local"),
    ] {
        let file = folder.write("maitred.toml", &format!("[storage]\nfree_bytes = 0\n{text}"));
        let ran = run(&["serve", "--data", &data, "--listen", "127.0.0.1:0", "--config", &file]);
        assert!(ran.status == 2 && ran.stderr.contains(said), "{text}: {ran:?}");
        assert!(!folder.path("data").exists(), "nothing was begun");
    }
}

/// One GET of another server than ours: its body.
fn fetch(url: &str) -> Value {
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("UTF-8");
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn a_webhook_arrives_in_the_demo_signed_and_again_after_a_restart() {
    let folder = Folder::new();
    let data = folder.path("data");
    for number in [1, 2] {
        let server = Server::start(&data, &["--demo"]);
        let (_, webhooks) = server.get("/v1/tenants/demo/webhooks");
        let [webhook] = webhooks["items"].as_array().expect("items").as_slice() else { panic!("{webhooks}") };
        let inbox = webhook["url"].as_str().expect("a URL").to_owned();
        assert!(server.greeting.contains(&inbox), "{}", server.greeting);
        server.put(number, 1);
        let id = server.get(&format!("/v1/tenants/demo/appointments/test-{number}")).1["id"].clone();
        let arrived = |inbox: &Value| {
            let newest = inbox["newest"].as_array().expect("deliveries");
            newest.iter().any(|one| one["body"]["record_id"] == id && one["signature"] == "valid")
        };
        let found = wait_for(|| fetch(&inbox), arrived);
        assert_eq!(found["refused"], 0, "{found}");
        for provider in ["arena", "hall"] {
            let path = format!("/v1/tenants/demo/providers/{provider}");
            wait_for(|| server.get(&path).1, |provider| provider["last_success_at"].is_string());
        }
        server.stop();
    }
}
