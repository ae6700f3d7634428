//! Requests made from the API document, sound and broken, against a started server: whatever is sent, the answer is
//! one that the document knows, no fault, and there in time.
//!
//! `GENERATED_SEED` chooses other requests than the usual ones; a failure names the seed and the request.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use maitred::demo;
use serde_json::{Map, Value, json};

use crate::client::Request;
use crate::server::Server;

/// How many requests each operation gets, unless the time is over before.
const ROUNDS: usize = 24;
/// How long one server is asked.
const TIME_MAX: Duration = Duration::from_secs(9);
/// The longest that one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(12);
/// Texts that break what reads them carelessly.
const BROKEN: [&str; 14] = [
    "",
    " ",
    "\u{0}",
    "..",
    "%zz",
    "ä💥\u{202e}",
    "-1",
    "1e999",
    "null",
    "'\"<>\\",
    "9999999999999999999999",
    "a,b;c=d",
    "0.99999999",
    "2030-02-30T25:00:00+99:99",
];

/// The records of the demo tenant and of the server: the names of each list's items, by the list's path.
#[derive(Default)]
struct Records(BTreeMap<String, Vec<String>>);

impl Records {
    /// Asks for every list of the document.
    fn read(server: &Server, document: &Value) -> Self {
        let mut records = Records::default();
        for (path, item) in document["paths"].as_object().expect("paths") {
            let target = path.replace("{tenant}", demo::TENANT);
            let is_list = path.starts_with("/v1/") && !target.contains('{') && item.get("get").is_some();
            if !is_list || target.ends_with("/export") {
                continue;
            }
            let answer = server.get(target).send();
            let Ok(body) = serde_json::from_str::<Value>(answer.text()) else { continue };
            let field = match path.rsplit('/').next() {
                Some("appointments") => "external_id",
                Some("consumers" | "providers") => "name",
                _ => "id",
            };
            if path == "/v1/api-keys" {
                continue; // who takes its own key away is answered nothing else any more
            }
            let name = |item: &Value| item[field].as_str().map(str::to_owned);
            let names: Vec<_> = body["items"].as_array().into_iter().flatten().filter_map(name).collect();
            if !names.is_empty() {
                records.0.insert(path.clone(), names);
            }
        }
        records
    }

    /// One of the records that a parameter of a path, or a field such as `service_id`, names.
    fn one(&self, dice: &mut Dice, path: &str, name: &str) -> Option<String> {
        if name == "tenant" {
            return None; // by its slug, and seldom another than the one with the records
        }
        let before = path.split_once(&format!("/{{{name}}}")).map(|(before, _)| before.to_owned());
        let list = before.or_else(|| {
            let record = name.strip_suffix("_id").or((name == "provider").then_some(name))?;
            Some(format!("/v1/tenants/{{tenant}}/{record}s"))
        });
        let names = self.0.get(&list?)?;
        (!dice.once_in(8)).then(|| names[dice.below(names.len())].clone())
    }
}

/// A sequence of numbers by a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Happens once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// What requests are made of.
struct Source<'a> {
    document: &'a Value,
    records: &'a Records,
    /// The path of the operation.
    path: &'a str,
}

/// A text for `name`: one that means something there, or a broken one.
fn text(dice: &mut Dice, source: &Source<'_>, name: &str, schema: &Value) -> String {
    if dice.once_in(8) {
        return if dice.once_in(4) { "x".repeat(300) } else { dice.one(&BROKEN).to_owned() };
    }
    if let Some(record) = source.records.one(dice, source.path, name) {
        return record;
    }
    let example = schema.get("example").or_else(|| schema["examples"].get(0)).and_then(Value::as_str);
    let is_time_of_day = schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("24:00"));
    let known = match name {
        _ if schema["format"] == "date" => dice.one(&["2030-01-01", "2030-01-02", "2030-01-08"]),
        _ if is_time_of_day => dice.one(&["09:00", "17:00"]),
        "tenant" if !dice.once_in(6) => demo::TENANT,
        "tenant" | "slug" | "X-Tenant" | "org" | "orgId" => {
            dice.one(&["salon", "default", "spare", "no-such"])
        }
        "external_id" => dice.one(&["a", "b", "c", "d"]),
        "id" => dice.one(&["a", "b", "01890000-0000-7000-8000-000000000000", "0"]),
        "from" | "starts_at" | "start" | "at" => {
            dice.one(&["2030-01-01T10:00:00Z", "2030-01-02T10:00:00+02:00"])
        }
        "to" | "ends_at" | "end" => dice.one(&["2030-01-01T11:00:00Z", "2031-01-02T12:00:00.001Z"]),
        "created_at" | "createdAt" => dice.one(&["2020-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
        "updated_at" | "updatedAt" => dice.one(&["2029-01-01T00:00:00Z", "2029-01-02T00:00:00Z"]),
        "as_of" => dice.one(&["0.1", "0.3", "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"]),
        "after" | "Last-Event-ID" => dice.one(&["0.1.1", "0.99.1", "0.0.0"]),
        "Maitred-Position" => dice.one(&["0.1", "0.2"]),
        "If-Match" | "If-None-Match" => dice.one(&["*", "\"v1\"", "\"v2\", \"v3\""]),
        "limit" => dice.one(&["1", "3", "1000", "1001", "0"]),
        "time_zone" => "Europe/Berlin",
        "currency" => "EUR",
        "locale" => "de-DE",
        "role" => dice.one(&["staff", "integration", "owner", "king"]),
        "kinds" => dice.one(&["appointment", "booking"]),
        "types" => dice.one(&["created", "updated"]),
        "state" => dice.one(&["attempted", "failing", "dead"]),
        "email" => dice.one(&["a@b.example", "A@b.example", "c"]),
        _ => example.unwrap_or("text"),
    };
    known.to_owned()
}

/// A value that a schema describes, more or less.
fn value(dice: &mut Dice, source: &Source<'_>, name: &str, schema: &Value, depth: usize) -> Value {
    let schema = match schema["$ref"].as_str() {
        Some(at) => {
            source.document.pointer(at.trim_start_matches('#')).expect("the document has what it names")
        }
        None => schema,
    };
    if depth > 6 || dice.once_in(25) {
        let strange =
            [json!(null), json!([]), json!({}), json!(-1), json!(1e300), json!([[["x"]]]), json!(true)];
        return strange[dice.below(strange.len())].clone();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(of) = schema[choice].as_array() {
            let at = dice.below(of.len());
            return value(dice, source, name, &of[at], depth + 1);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Value::as_str));
    match kind {
        Some("object") => {
            let required = schema["required"].as_array();
            let mut members = Map::new();
            for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
                let is_required = required.is_some_and(|names| names.iter().any(|name| name == member));
                if if is_required { !dice.once_in(20) } else { dice.once_in(2) } {
                    members.insert(member.clone(), value(dice, source, member, schema, depth + 1));
                }
            }
            if dice.once_in(20) {
                members.insert("unknown".to_owned(), json!(1));
            }
            Value::Object(members)
        }
        Some("array") => {
            (0..dice.below(4)).map(|_| value(dice, source, name, &schema["items"], depth + 1)).collect()
        }
        Some("integer" | "number") => json!(dice.below(5)),
        Some("boolean") => json!(dice.once_in(2)),
        _ => match schema["enum"].as_array() {
            Some(of) => of[dice.below(of.len())].clone(),
            None => json!(text(dice, source, name, schema)),
        },
    }
}

fn percent_encoded(dice: &mut Dice, text: &str) -> String {
    if text.contains('%') && dice.once_in(2) {
        return text.to_owned(); // as it stands, which is no encoding of anything
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// A request of an operation, and what it is in words.
fn request(
    dice: &mut Dice,
    server: &Server,
    source: &Source<'_>,
    (method, operation): (&'static str, &Value),
) -> (Request, String) {
    let path = source.path;
    let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let value = text(dice, source, name, &parameter["schema"]);
        match parameter["in"].as_str() {
            // The tenants that the others use stay.
            Some("path") if method == "DELETE" && path == "/v1/tenants/{tenant}" => {
                path = "/v1/tenants/spare".into();
            }
            Some("path") => path = path.replace(&format!("{{{name}}}"), &percent_encoded(dice, &value)),
            Some("query") if dice.once_in(3) => {
                query.push(format!("{name}={}", percent_encoded(dice, &value)));
            }
            Some("header") if dice.once_in(4) => headers.push((name, value.replace('\0', "x"))),
            _ => {}
        }
    }
    if dice.once_in(15) {
        query.push(dice.one(&["unknown=1", "&&=", "%ff=%ff", "limit=1&limit=2", "?"]).to_owned());
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let mut request = if dice.once_in(8) {
        server.anonymous(method, path.as_str())
    } else {
        server.request(method, path.as_str())
    };
    let mut body = Vec::new();
    if let Some((content_type, content)) =
        operation["requestBody"]["content"].as_object().and_then(|content| content.iter().next())
    {
        let value = value(dice, source, "", &content["schema"], 0);
        body = value.to_string().into_bytes();
        match dice.below(12) {
            0 => body.truncate(body.len() / 2),
            1 => body.push(0xff),
            2 => body = "[".repeat(4_000).into_bytes(),
            _ => {}
        }
        let broken = dice.once_in(12);
        request = request
            .header("Content-Type", if broken { "text/x; ;=" } else { content_type })
            .bytes(body.clone());
    }
    for (name, value) in &headers {
        request = request.header(name, value.as_str());
    }
    (request, format!("{method} {path} {headers:?} {}", String::from_utf8_lossy(&body)))
}

/// Asks `server` for everything in the document.
fn check(server: &Server) {
    server.runtime().block_on(demo::seed(&server.app)).expect("the demo data");
    let document: Value = serde_json::from_str(server.get("/openapi.json").send().text()).expect("JSON");
    let seed = std::env::var("GENERATED_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut dice = Dice(seed);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            if let Some(operation) = item.get(method.to_ascii_lowercase()) {
                let content = operation["responses"]["200"]["content"].as_object();
                if content
                    .is_none_or(|content| content.len() != 1 || !content.contains_key("text/event-stream"))
                {
                    operations.push((path.as_str(), method, operation)); // all but streams without an end
                }
            }
        }
    }
    assert!(operations.len() > 30, "the document has the whole API");
    let (started, mut asked, mut accepted) = (Instant::now(), 0, 0);
    for _ in 0..ROUNDS {
        // What the rounds before have made, too.
        let records = Records::read(server, &document);
        for operation in &operations {
            let source = Source { document: &document, records: &records, path: operation.0 };
            let (request, what) = request(&mut dice, server, &source, (operation.1, operation.2));
            let what = format!("seed {seed}: {what}");
            let sent = Instant::now();
            let answer = request.send();
            assert!(sent.elapsed() < ANSWER_MAX, "{what}\ntook {:?}", sent.elapsed());
            // What that service said before there was any sale, and its clients know.
            let is_no_sale =
                operation.0 == "/sales" && answer.text() == r#"{"error":"Flash sale not found"}"#;
            assert!(
                answer.status < 500 || answer.status == 503 || is_no_sale,
                "{what}\n{}: {}",
                answer.status,
                answer.text()
            );
            let responses = &operation.2["responses"];
            let described = responses.get(answer.status.to_string()).filter(|_| answer.status != 404);
            let described = described.unwrap_or(&responses["default"]);
            let content = described["content"].as_object();
            let content_type = answer.header("content-type").unwrap_or("none");
            let content_type = content_type.split(';').next().unwrap_or_default();
            let is_described = match content {
                Some(content) => content.contains_key(content_type),
                None => answer.is_empty(),
            };
            assert!(is_described, "{what}\n{} {content_type}: {}", answer.status, answer.text());
            asked += 1;
            accepted += usize::from(answer.status < 300);
        }
        if started.elapsed() > TIME_MAX {
            break;
        }
    }
    println!("{accepted} of {asked} were accepted");
    assert!(asked >= 2 * operations.len() && accepted > asked / 12, "{accepted} of {asked} were accepted");
}

#[test]
fn an_open_server_answers_whatever_is_sent_as_its_document_says() {
    let server = Server::open();
    server.tenant("salon");
    server.tenant("spare");
    check(&server);
}

#[test]
fn a_server_with_keys_answers_whatever_is_sent_as_its_document_says() {
    let server = Server::with_keys();
    server.tenant("spare");
    check(&server);
}
