//! Brokers: changes published to a real RabbitMQ, commands taken from it, while either of both ends and comes back.
//!
//! One test has one broker, for a broker takes seconds to start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Folder, Server, run};
use crate::rabbitmq::{Got, RabbitMq};

/// How long messages may take to be where they should.
const PATIENCE: Duration = Duration::from_secs(60);
const RECORDS: usize = 7;

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A number of the metrics.
fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = server.ask("GET", "/metrics", "", "");
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(f64::NAN)
}

/// The most memory that it ever had.
fn peak_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

fn is_ready(server: &Server) -> bool {
    ["/health/live", "/health/ready"].iter().all(|path| server.get(path).0 == 200)
}

/// What the change feed has of the records that the test writes: by record, the ids in their order.
fn told(server: &Server) -> BTreeMap<String, Vec<String>> {
    let (mut all, mut after): (BTreeMap<_, Vec<_>>, _) = (BTreeMap::new(), String::new());
    loop {
        let (_, page) = server.get(&format!("/v1/tenants/demo/changes?limit=1000{after}"));
        let items = page["items"].as_array().expect("items");
        for change in items.iter().filter(|change| is_ours(change)) {
            let id = change["id"].as_str().expect("an id").to_owned();
            all.entry(change["record_id"].to_string()).or_default().push(id);
        }
        if items.is_empty() {
            return all;
        }
        after = format!("&after={}", page["next_after"].as_str().expect("a place"));
    }
}

fn is_ours(change: &Value) -> bool {
    change["data"]["external_id"].as_str().is_some_and(|id| id.starts_with("test-"))
}

/// Every change is there, and none of a record came for the first time after a later one of it. Says how many came more
/// than once.
#[track_caller]
fn check_arrived(told: &BTreeMap<String, Vec<String>>, got: &[Got]) -> usize {
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut seen, mut doubles) = (BTreeSet::new(), 0);
    for message in got {
        let body: Value = serde_json::from_str(&message.body).expect("JSON");
        assert_eq!(body["id"], message.id.as_str());
        match seen.insert(message.id.clone()) {
            true => arrived.entry(body["record_id"].to_string()).or_default().push(message.id.clone()),
            false => doubles += 1,
        }
    }
    assert_eq!(&arrived, told);
    doubles
}

#[test]
fn every_change_arrives_in_its_records_order_whoever_is_killed_in_between() {
    let (folder, mut broker) = (Folder::new(), RabbitMq::start());
    let password = folder.write("password", "guest\n");
    let settings = |tenants: &str| {
        let url = broker.url().replace("guest:guest", "guest");
        folder.write(
            "maitred.toml",
            &format!(
                "[[brokers]]\nname = \"test\"\nurl = \"{url}\"\npassword_file = \"{password}\"\n\
                 [brokers.publish]\ntenants = [{tenants}]\nkinds = [\"appointment\"]\nexchange = \"changes\"\n"
            ),
        )
    };
    let config = settings("\"demo\"");
    let data = folder.path("data");
    // The demo's own appointments are there before anything is published.
    Server::start(&data, &["--demo"]).stop();
    let start = || Server::start(&data, &["--demo", "--config", &config]);
    let mut server = start();

    // A new publisher begins with what comes once it is there.
    until("it is connected", || (metric(&server, "maitred_broker_connected") > 0.0).then_some(()));

    // Nobody is bound: what is published waits, and is not lost.
    server.put(0, 1);
    until("a message came back", || (metric(&server, "maitred_broker_unroutable_total") > 0.0).then_some(()));
    assert!(is_ready(&server));
    broker.bind("all", "changes", "demo.appointment.*");
    until("the message is taken", || (broker.waiting("all") == Some(1)).then_some(()));
    let first = broker.drain("all").remove(0);
    assert_eq!(first.routing_key, "demo.appointment.created");
    assert_eq!([first.header("tenant"), first.header("kind")], ["demo".to_owned(), "appointment".to_owned()]);
    assert!(first.id.starts_with(&format!("{}.", first.header("position"))), "{first:?}");
    let properties = &first.properties;
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.content_type().as_ref().map(|text| text.as_str()), Some("application/json"));
    assert_eq!(properties.kind().as_ref().map(|text| text.as_str()), Some("appointment.created"));
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    assert!(age.abs_diff(properties.timestamp().expect("a time")) < 60);
    // The body is what the change feed has.
    let (_, page) = server.get("/v1/tenants/demo/changes?limit=1000");
    let feed = page["items"].as_array().expect("items").iter();
    let same = feed.filter(|change| change["id"] == first.id.as_str()).map(Value::to_string);
    assert_eq!(
        same.collect::<Vec<_>>(),
        [serde_json::from_str::<Value>(&first.body).expect("JSON").to_string()]
    );

    let mut got = vec![first];
    let mut version = 1;
    let mut write = |server: &Server, times: usize| {
        for _ in 0..times {
            version += 1;
            (0..RECORDS).for_each(|record| server.put(record, version));
        }
    };
    write(&server, 20);
    // The broker is stopped in the middle, as for an upgrade.
    broker.end("TERM");
    write(&server, 5);
    assert!(is_ready(&server));
    until("it is said that the broker is away", || {
        (metric(&server, "maitred_broker_connected") == 0.0).then_some(())
    });
    until("what waits is counted", || (metric(&server, "maitred_broker_waiting") >= 1.0).then_some(()));
    assert!(metric(&server, "maitred_broker_behind") > 0.0);
    // Operators find it among the consumers, with how much waits and for how long.
    let (_, consumers) = server.get("/v1/consumers");
    let found = consumers["items"].as_array().expect("items").iter().find(|one| one["name"] == "broker-test");
    let found = found.expect("the publisher is listed");
    assert_eq!((&found["connected"], &found["superseded"]), (&Value::Bool(false), &Value::Bool(false)));
    assert!(found["unfinished"].as_u64() >= Some(1) && found["behind"].as_u64() >= Some(1), "{found}");
    assert!(found["oldest_seconds"].as_f64() > Some(0.0) && found["epoch"].as_u64() >= Some(1), "{found}");
    broker.start_again();
    write(&server, 5);
    // The broker is killed, and so is the server, both in the middle of a stream of changes.
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(&server, 60));
        std::thread::sleep(Duration::from_millis(100));
        broker.end("KILL");
        writing.join().expect("written");
    });
    server.signal("KILL");
    server.wait();
    server = start();
    write(&server, 5);
    broker.start_again();
    until("the broker is found again", || (metric(&server, "maitred_broker_connected") == 1.0).then_some(()));
    write(&server, 10);
    server.signal("KILL");
    server.wait();
    server = start();
    write(&server, 1);
    until("all is published", || {
        let behind = metric(&server, "maitred_broker_waiting");
        (behind == 0.0 && metric(&server, "maitred_broker_published_total") > 0.0).then_some(())
    });
    let told = told(&server);
    until("all has arrived", || {
        got.extend(broker.drain("all"));
        let ids: BTreeSet<_> = got.iter().map(|message| &message.id).collect();
        (ids.len() >= told.values().map(Vec::len).sum()).then_some(())
    });
    let doubles = check_arrived(&told, &got);
    println!("{} changes, {doubles} of them again", got.len() - doubles);

    // A graceful stop keeps the cursor: the next start sends nothing again.
    server.stop();
    let server = start();
    write(&server, 1);
    let mut newest = Vec::new();
    until("the newest have arrived", || {
        newest.extend(broker.drain("all"));
        (newest.len() >= RECORDS).then_some(())
    });
    let before: BTreeSet<_> = got.iter().map(|message| &message.id).collect();
    let again: Vec<_> = newest.iter().filter(|message| before.contains(&message.id)).collect();
    assert!(again.is_empty() && newest.len() == RECORDS, "{again:?}");
    let errors = server.stop();
    assert!(!errors.contains("guest"), "{errors}");
}

/// An appointment as a message has it, in the native shape.
fn item(id: &str, hour: u32, updated_at: u32) -> String {
    format!(
        r#"{{"external_id":"{id}","resource":"mq","starts_at":"2031-05-05T{hour:02}:00:00Z","ends_at":"2031-05-05T{hour:02}:30:00Z","created_at":"2000-01-01T00:00:00Z","updated_at":"{}-01-01T00:00:00Z"}}"#,
        2000 + updated_at
    )
}

fn sesami(id: &str, org: &str, hour: u32) -> String {
    format!(
        r#"{{"id":"{id}","orgId":"{org}","start":"2032-05-05 {hour:02}:00","end":"2032-05-05 {hour:02}:30","createdAt":"2020-01-01","updatedAt":"2020-01-02"}}"#
    )
}

#[test]
fn commands_are_taken_once_and_what_cannot_be_done_is_put_aside_with_its_reason() {
    let (folder, mut broker) = (Folder::new(), RabbitMq::start());
    let config = folder.write(
        "maitred.toml",
        &format!(
            "[[brokers]]\nname = \"in\"\nurl = \"{}\"\n\
             [[brokers.consume]]\nqueue = \"native\"\ntenant = \"demo\"\ncommands = \"appointments\"\nprefetch = 5\n\
             [[brokers.consume]]\nqueue = \"foreign\"\ntenant = \"demo\"\ncommands = \"sesami\"\n\
             dead_letter_exchange = \"foreign.dlx\"\n",
            broker.url()
        ),
    );
    let data = folder.path("data");
    let start = || Server::start(&data, &["--demo", "--config", &config]);
    let mut server = start();
    until("the queues are there", || {
        (broker.waiting("native").is_some() && broker.waiting("foreign").is_some()).then_some(())
    });

    // What is no command, and what the rules refuse, is put aside; the others go on.
    let (first, second, taken, backwards) = (
        item("mq-1", 8, 1),
        item("mq-2", 9, 1),
        item("mq-3", 8, 1),
        item("mq-4", 10, 1).replace("10:30", "09:30"),
    );
    let large = item("mq-5", 11, 1).replace("mq-5", &"x".repeat(70_000));
    broker.send(
        "native",
        &[
            ("a", &first),
            ("b", "{\"external_id\":"),
            ("c", &taken),
            ("d", &backwards),
            ("e", "\u{1}"),
            ("f", &large),
            ("g", &second),
            ("g", &second),
        ],
    );
    until("five are put aside", || (broker.waiting("native.dead") == Some(5)).then_some(()));
    let letters = broker.drain("native.dead");
    let reasons: Vec<_> =
        letters.iter().map(|letter| (letter.id.as_str(), letter.header("x-maitred-code"))).collect();
    let expected = [
        ("b", "body-invalid"),
        ("c", "time-range-unavailable"),
        ("d", "invalid-time-range"),
        ("e", "body-invalid"),
        ("f", "message-too-large"),
    ];
    let mut sorted = reasons.clone();
    sorted.sort();
    assert_eq!(sorted, expected.map(|(id, code)| (id, code.to_owned())));
    assert!(letters.iter().all(|letter| !letter.header("x-maitred-reason").is_empty()));
    assert_eq!(
        letters.iter().find(|letter| letter.id == "c").map(|letter| letter.body.as_str()),
        Some(&*taken)
    );
    let version = |server: &Server, id: &str| {
        server.get(&format!("/v1/tenants/demo/appointments/{id}")).1["version"].as_u64()
    };
    until("the last is there", || version(&server, "mq-2"));
    assert_eq!([version(&server, "mq-1"), version(&server, "mq-2")], [Some(1), Some(1)]);
    assert_eq!(version(&server, "mq-3"), None);

    // A dead letter that is moved back when its time is free is decided anew, though its id is known.
    let moved = item("mq-1", 20, 2);
    broker.send("native", &[("h", &moved), ("c", &taken)]);
    until("the refused one is accepted", || version(&server, "mq-3"));
    assert_eq!(version(&server, "mq-1"), Some(2));

    // The other shape, and messages that are not meant for this tenant.
    broker.send(
        "foreign",
        &[("k", &sesami("s-1", "default", 8)), ("l", &sesami("s-2", "elsewhere", 9)), ("m", "{}")],
    );
    until("two are put aside", || (broker.waiting("foreign.dead") == Some(2)).then_some(()));
    let codes: BTreeSet<_> =
        broker.drain("foreign.dead").iter().map(|letter| letter.header("x-maitred-code")).collect();
    assert_eq!(codes, ["INVALID_DATE_FORMAT", "other-organisation"].map(str::to_owned).into());
    assert_eq!(version(&server, "s-1"), Some(1));

    // A burst of messages that are far too large: they are put aside, a few at a time.
    server.stop();
    let enormous = "x".repeat(6 * 1024 * 1024);
    let burst: Vec<_> = (0..80).map(|n| format!("large-{n}")).collect();
    broker.send("foreign", &burst.iter().map(|id| (id.as_str(), &*enormous)).collect::<Vec<_>>());
    server = start();
    until("all are put aside", || (broker.waiting("foreign.dead") >= Some(burst.len() as u32)).then_some(()));
    let aside: BTreeSet<_> = broker.drain("foreign.dead").into_iter().map(|letter| letter.id).collect();
    assert_eq!(aside, burst.iter().cloned().collect());
    let peak = peak_mib(&server);
    println!("peak of memory: {peak} MiB");
    assert!(peak < 350, "{peak} MiB: the burst alone has 480, and what is given out at once 384");
    let said = server.stop();
    assert!(said.contains("more than 67108864 bytes"), "{said}");
    server = start();

    // The server is killed again and again while messages come, and the broker once: each is carried out, and none twice.
    let messages: Vec<_> = (0..600).map(|n| (format!("m{n}"), n)).collect();
    for (round, part) in messages.chunks(150).enumerate() {
        let bodies: Vec<_> = part
            .iter()
            .map(|(id, n)| {
                (id.as_str(), item(&format!("run-{n}"), 0, 1).replace("\"mq\"", &format!("\"mq-{n}\"")))
            })
            .collect();
        let part: Vec<_> = bodies.iter().map(|(id, body)| (*id, body.as_str())).collect();
        broker.send("native", &part);
        if round == 2 {
            broker.end("KILL");
            broker.start_again();
        }
        server.signal("KILL");
        server.wait();
        server = start();
    }
    until("all are taken", || (broker.waiting("native") == Some(0)).then_some(()));
    for (_, n) in &messages {
        let id = format!("run-{n}");
        until(&id, || version(&server, &id).map(|version| assert_eq!(version, 1, "{id}")));
    }
    // The broker that was killed may have forgotten that the letters of before were taken: none is of these messages.
    let refused = broker.drain("native.dead");
    let refused: Vec<_> = refused.iter().filter(|letter| letter.body.contains("run-")).collect();
    assert!(refused.is_empty(), "{refused:?}");
    until("nothing is on its way", || {
        (metric(&server, "maitred_broker_queue_waiting{broker=\"in\",queue=\"native\"}") == 0.0).then_some(())
    });
    assert!(is_ready(&server));
    server.stop();
    assert_eq!(broker.waiting("native"), Some(0), "nothing goes back into the queue");
}

#[test]
fn a_broker_that_cannot_be_is_refused_and_its_password_is_not_repeated() {
    let folder = Folder::new();
    for (text, said) in [
        ("name = \"A\"\nurl = \"amqp://u:secret@h\"", "name of \"A\": 1 to 32 lower-case letters"),
        (
            "name = \"a\"\nurl = \"http://u:secret@h\"",
            "url of \"a\": http: a broker's URL begins with amqp://",
        ),
        (
            "name = \"a\"\nurl = \"amqp://u:secret@h\"\npublish = { kinds = [\"nope\"] }",
            "\"nope\" is none of",
        ),
        ("name = \"a\"\nurl = \"amqp://u:secret@h\"\npassword_file = \"/nowhere\"", "/nowhere"),
        ("name = \"a\"\nurl = \"amqp://u:secret@h\"\nnope = 1", "unknown field `nope`"),
    ] {
        let config = folder.write("maitred.toml", &format!("[[brokers]]\n{text}\n"));
        let ran =
            run(&["serve", "--data", &folder.arg("data"), "--listen", "127.0.0.1:0", "--config", &config]);
        assert_ne!(ran.status, 0);
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("secret"), "{text}: {ran:?}");
    }
    let ran = run(&[
        "serve",
        "--data",
        &folder.arg("data"),
        "--listen",
        "127.0.0.1:0",
        "--publish",
        "amqp://u:secret@",
    ]);
    assert!(ran.status != 0 && !ran.stderr.contains("secret"), "{ran:?}");
}
