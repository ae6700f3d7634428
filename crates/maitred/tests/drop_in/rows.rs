//! Replays a table of requests and answers against a started server.
//!
//! A table is a JSON file: `sent`, the body that requests start from, `answers` by name, and `rows`. A row names the section and the
//! line of the record that it transcribes, and has steps that are done one after another on one connection; with
//! `"fresh"` on a server of its own. A step is one of
//! - `"post": {…}`: the table's path and body, with these members put over it, and those of `"without"` taken away;
//! - `"send": "METHOD target"` as it stands, with `"headers"`, and a body given by `"json"` or `"text"`, or of so
//!   many `"bytes"`, which are no JSON;
//!
//! and what must come back: an answer by its name (`"is"`), or `"status"` and `"body"` (equal as a JSON value); no body
//! where there is none of these; and `"answer_headers"` (`null`: there is no such header). `"peer"` is the status that the replaced service answered with, where ours is another one, on
//! purpose.
//!
//! In requests and in expected bodies `$org` is an organisation of the row's own. In expected bodies `$uuid…` binds
//! a UUID, every other `$…` any text, by its name within the row, and requests may send what is bound; `*` is any text
//! that is not empty.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::client::{Answered, Client};
use crate::server::Server;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: String,
    sent: Map<String, Value>,
    answers: BTreeMap<String, Expected>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    body: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    section: String,
    line: String,
    #[serde(default)]
    fresh: bool,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    post: Option<Map<String, Value>>,
    #[serde(default)]
    without: Vec<String>,
    send: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    text: Option<String>,
    bytes: Option<usize>,
    is: Option<String>,
    status: Option<u16>,
    #[serde(default, deserialize_with = "given")]
    body: Option<Value>,
    peer: Option<u16>,
    #[serde(default)]
    answer_headers: BTreeMap<String, Option<String>>,
}

/// A body that is there, `null` too.
fn given<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(reader).map(Some)
}

/// Replays `table`, which must have rows of each of `sections`, and of no other.
pub(crate) fn replay(table: &str, sections: &[&str]) {
    replay_with(table, sections, |_| {});
}

/// The same on servers that `prepare` has filled.
pub(crate) fn replay_with(table: &str, sections: &[&str], prepare: impl Fn(&Server)) {
    let table: Table = serde_json::from_str(table).expect("a table");
    let mut seen: Vec<&str> = table.rows.iter().map(|row| &*row.section).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, sections);
    let open = || {
        let server = Server::open();
        prepare(&server);
        server
    };
    let shared = open();
    for (number, row) in table.rows.iter().enumerate() {
        let fresh = row.fresh.then(open);
        let server = fresh.as_ref().unwrap_or(&shared);
        // No slug, and nothing that JSON escapes.
        let mut bound = BTreeMap::from([("$org".to_owned(), format!("Org {number}"))]);
        assert!(!row.steps.is_empty(), "§{} {}: nothing is sent", row.section, row.line);
        let mut client = server.client();
        for (i, step) in row.steps.iter().enumerate() {
            let place = format!("§{} {}, step {}", row.section, row.line, i + 1);
            let answered = send(&mut client, &table, step, &bound);
            check(&place, &table, step, &answered, &mut bound);
        }
    }
}

fn send(client: &mut Client, table: &Table, step: &Step, bound: &BTreeMap<String, String>) -> Answered {
    let org = &bound["$org"];
    let fill = |text: &str| fill(text, bound);
    let line = match &step.send {
        Some(line) => line.replace("$org", &org.replace(' ', "%20")),
        None => format!("POST {}", table.path),
    };
    let json = match (&step.post, &step.json) {
        (Some(over), None) => {
            let mut body = table.sent.clone();
            body.extend(over.clone());
            for name in &step.without {
                body.remove(name).unwrap_or_else(|| panic!("there is no {name} to take away"));
            }
            Some(Value::Object(body))
        }
        (None, json) => json.clone(),
        (Some(_), Some(_)) => panic!("a step has one body"),
    };
    let body = match (json, &step.text, step.bytes) {
        (Some(json), None, None) => fill(&json.to_string()),
        (None, None, Some(bytes)) => "x".repeat(bytes),
        (None, text, None) => text.clone().unwrap_or_default(),
        _ => panic!("a step has one body"),
    };
    let filled: Vec<_> = step.headers.iter().map(|(name, value)| (&**name, fill(value))).collect();
    let typed = step.post.is_some() || step.json.is_some();
    let json = [("content-type", "application/json")].into_iter().filter(|_| typed);
    let given = filled.iter().map(|(name, value)| (*name, &**value));
    let headers: Vec<_> = json.chain(given).collect();
    client.send(&line, &headers, body.as_bytes())
}

/// A text with what is bound in the place of the names.
fn fill(text: &str, bound: &BTreeMap<String, String>) -> String {
    // A name may be the beginning of another: the longest first.
    bound.iter().rev().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

fn check(place: &str, table: &Table, step: &Step, answered: &Answered, bound: &mut BTreeMap<String, String>) {
    let (status, body) = match (&step.is, step.status) {
        (Some(name), None) => {
            let Expected { status, body } =
                table.answers.get(name).unwrap_or_else(|| panic!("{place}: there is no answer {name}"));
            (*status, Some(body))
        }
        (None, Some(status)) => (status, step.body.as_ref()),
        _ => panic!("{place}: an answer is expected, by its name or by its status"),
    };
    let text = String::from_utf8_lossy(&answered.body);
    assert_eq!(answered.status, status, "{place}: {text}");
    assert_ne!(step.peer, Some(status), "{place}: `peer` is for what differs");
    for (name, value) in &step.answer_headers {
        assert_eq!(answered.header(name), value.as_deref(), "{place}: {name}");
    }
    match body {
        Some(expected) => {
            let given = answered.json();
            if let Err(why) = compare(expected, &given, bound) {
                panic!("{place}: {why}\nexpected {expected}\n   given {given}");
            }
        }
        None => assert!(answered.body.is_empty(), "{place}: {text}"),
    }
}

/// Whether `given` is what is expected; names that it holds are bound.
fn compare(expected: &Value, given: &Value, bound: &mut BTreeMap<String, String>) -> Result<(), String> {
    match (expected, given) {
        (Value::Object(expected), Value::Object(given)) => {
            for name in given.keys() {
                expected.get(name).ok_or_else(|| format!("{name} is not expected"))?;
            }
            for (name, expected) in expected {
                let given = given.get(name).ok_or_else(|| format!("{name} is missing"))?;
                compare(expected, given, bound).map_err(|why| format!("{name}: {why}"))?;
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(given)) if expected.len() == given.len() => {
            expected.iter().zip(given).try_for_each(|(expected, given)| compare(expected, given, bound))
        }
        (Value::String(expected), Value::String(given)) => compare_texts(expected, given, bound),
        _ if expected == given => Ok(()),
        _ => Err(format!("{given} instead of {expected}")),
    }
}

fn compare_texts(expected: &str, given: &str, bound: &mut BTreeMap<String, String>) -> Result<(), String> {
    if expected == "*" {
        return if given.is_empty() { Err("an empty text".to_owned()) } else { Ok(()) };
    }
    let expected = match expected.strip_prefix('$') {
        Some(name) if !bound.contains_key(expected) => {
            if name.starts_with("uuid") {
                Uuid::try_parse(given).map_err(|error| format!("{given}: {error}"))?;
            }
            bound.insert(expected.to_owned(), given.to_owned());
            return Ok(());
        }
        Some(_) => &bound[expected],
        None => expected,
    };
    if expected == given { Ok(()) } else { Err(format!("{given:?} instead of {expected:?}")) }
}
