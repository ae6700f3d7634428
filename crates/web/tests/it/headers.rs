//! The headers that every route knows.

use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use maitred_core::{Actor, ChangeId, Position};
use maitred_engine::batch::Idempotency;
use maitred_web::etag::{Versions, not_modified};
use maitred_web::idempotency::derived;
use maitred_web::position::header_value;
use maitred_web::sse::LastEventId;
use maitred_web::{AtLeast, Attempt, ETag, Preconditions, Problem};
use proptest::prelude::*;

use crate::header_lines;

fn attempt(headers: &HeaderMap, method: Method, uri: &'static str) -> Result<Attempt, Problem> {
    Attempt::parse(headers, &method, &Uri::from_static(uri))
}

fn identify(key: &str, actor: Actor, method: Method, uri: &'static str, body: &[u8]) -> Idempotency {
    let attempt = attempt(&header_lines("idempotency-key", [key]), method, uri).expect("a sound key");
    assert!(attempt.is_keyed());
    attempt.identify(actor, body).expect("a key")
}

#[test]
fn without_a_key_a_request_has_no_identity() {
    let attempt = attempt(&HeaderMap::new(), Method::POST, "/a").expect("no key is sound");
    assert!(!attempt.is_keyed());
    assert_eq!(attempt.identify(Actor::Anonymous, b""), None);
}

#[test]
fn a_key_is_one_of_1_to_255_visible_characters() {
    let longest = "k".repeat(255);
    assert!(attempt(&header_lines("idempotency-key", [&longest]), Method::POST, "/").is_ok());
    let too_long = longest + "k";
    for lines in [vec![""], vec![&too_long], vec!["a b"], vec!["\u{e9}"], vec!["a\tb"], vec!["a", "a"]] {
        let problem =
            attempt(&header_lines("idempotency-key", &lines), Method::POST, "/").expect_err("refused");
        assert_eq!(
            (problem.status().as_u16(), problem.code()),
            (400, "idempotency-key-invalid"),
            "{lines:?}"
        );
    }
}

#[test]
fn a_key_belongs_to_who_asks_and_its_fingerprint_is_the_request() {
    let user = Actor::User(1);
    let first = identify("k", user, Method::POST, "/a?b=1", b"body");
    assert_eq!(identify("k", user, Method::POST, "/a?b=1", b"body"), first, "a repeated request is the same");
    for (method, uri, body) in [
        (Method::PUT, "/a?b=1", &b"body"[..]),
        (Method::POST, "/a?b=2", b"body"),
        (Method::POST, "/a", b"body"),
        (Method::POST, "/a?b=1", b"BODY"),
        (Method::POST, "/a?b=1", b""),
    ] {
        let other = identify("k", user, method.clone(), uri, body);
        assert_eq!(other.key, first.key, "{method} {uri}");
        assert_ne!(other.fingerprint, first.fingerprint, "{method} {uri}");
    }
    let others = [Actor::User(2), Actor::ApiKey(1), Actor::System, Actor::Anonymous];
    for actor in others {
        assert_ne!(identify("k", actor, Method::POST, "/a?b=1", b"body").key, first.key, "{actor:?}");
    }
    assert_ne!(identify("l", user, Method::POST, "/a?b=1", b"body").key, first.key);
}

#[test]
fn a_strangers_key_is_scoped_to_the_body_too() {
    let stranger = |body: &[u8]| identify("k", Actor::Anonymous, Method::POST, "/a", body);
    assert_eq!(stranger(b"1"), stranger(b"1"));
    assert_ne!(stranger(b"1").key, stranger(b"2").key);
}

#[test]
fn the_items_of_a_batch_have_keys_of_their_own() {
    let batch = identify("k", Actor::ApiKey(1), Method::POST, "/batch", b"[]");
    assert_ne!(derived(batch, 0).key, batch.key);
    assert_ne!(derived(batch, 0).key, derived(batch, 1).key);
    assert_eq!(derived(batch, 1), derived(batch, 1));
    assert_eq!(derived(batch, 1).fingerprint, batch.fingerprint);
}

#[test]
fn a_position_goes_out_as_it_comes_in() {
    let position = Position { partition: 3, seq: u64::MAX };
    assert_eq!(header_value(position), "3.18446744073709551615");
    let mut headers = HeaderMap::new();
    assert_eq!(AtLeast::parse(&headers), Ok(AtLeast(None)));
    headers.insert("maitred-position", header_value(position));
    assert_eq!(AtLeast::parse(&headers), Ok(AtLeast(Some(position))));
    for lines in
        [vec![""], vec!["42"], vec!["0.42", "0.42"], vec!["0.42, 0.43"], vec!["0.-1"], vec!["\u{e9}"]]
    {
        let problem = AtLeast::parse(&header_lines("maitred-position", &lines)).expect_err("refused");
        assert_eq!((problem.status().as_u16(), problem.code()), (400, "position-invalid"), "{lines:?}");
    }
}

fn if_match(lines: &[&str]) -> Result<Preconditions, Problem> {
    Preconditions::parse(&header_lines("if-match", lines))
}

fn if_none_match(lines: &[&str]) -> Preconditions {
    Preconditions::parse(&header_lines("if-none-match", lines)).expect("a sound precondition")
}

#[test]
fn if_match_names_the_versions_at_which_to_change() {
    let rows: [(&[&str], Versions, bool); 7] = [
        (&["*"], Versions::Any, true),
        (&["\"v7\""], Versions::OneOf(vec![7]), true),
        (&["\"v8\""], Versions::OneOf(vec![8]), false),
        (&["\"v1\" , \"v7\"", "\"v9\""], Versions::OneOf(vec![1, 7, 9]), true),
        (&["W/\"v7\""], Versions::OneOf(vec![]), false),
        (&["\"7\",\"v07\",\"v+7\",\"V7\",\"x,y\""], Versions::OneOf(vec![]), false),
        (&[",\"v7\",,"], Versions::OneOf(vec![7]), true),
    ];
    for (lines, versions, holds) in rows {
        let condition = if_match(lines).expect("sound").if_match.expect("a condition");
        assert_eq!(condition.versions(), versions, "{lines:?}");
        assert_eq!(condition.holds(Some(&ETag::version(7))), holds, "{lines:?}");
        assert!(!condition.holds(None), "{lines:?}: nothing is there");
    }
    assert_eq!(if_match(&[]), Ok(Preconditions::default()));
}

#[test]
fn a_live_tag_stands_for_its_version_on_a_write_and_for_itself_on_a_read() {
    let live = ETag::live(7, 0xab);
    assert_eq!(live.to_string(), "\"v7-00000000000000ab\"");
    assert_eq!(live.to_version(), Some(7));
    let tags = [
        "\"v7-00000000000000ab\"",
        "\"v7-ab\"",
        "\"v7-\"",
        "\"v-00000000000000ab\"",
        "\"v07-00000000000000ab\"",
    ];
    let versions = tags.map(|tag| {
        let condition = if_match(&[tag]).expect("sound").if_match.expect("a condition");
        condition.versions()
    });
    let none = || Versions::OneOf(vec![]);
    assert_eq!(versions, [Versions::OneOf(vec![7]), none(), none(), none(), none()]);
    assert!(if_none_match(&[tags[0]]).is_fresh(&live));
    for other in [ETag::live(7, 0xac), ETag::live(8, 0xab), ETag::version(7)] {
        assert!(!if_none_match(&[tags[0]]).is_fresh(&other), "{other}");
    }
}

#[test]
fn a_malformed_precondition_is_refused_and_not_ignored() {
    let too_many = vec!["\"v1\""; 65].join(",");
    let rows: [&[&str]; 11] = [
        &[""],
        &[","],
        &["v7"],
        &["\"v7"],
        &["\"v7\" \"v8\""],
        &["\"v7\"x"],
        &["w/\"v7\""],
        &["*, \"v7\""],
        &["*", "*"],
        &["\"a b\""],
        &[&too_many],
    ];
    for lines in rows {
        let problem = if_match(lines).expect_err("refused");
        assert_eq!((problem.status().as_u16(), problem.code()), (400, "precondition-invalid"), "{lines:?}");
    }
}

#[test]
fn if_none_match_spares_what_the_client_has() {
    let now = ETag::version(7);
    for lines in [&["\"v7\""][..], &["W/\"v7\""], &["\"v6\", \"v7\""], &["*"]] {
        assert!(if_none_match(lines).is_fresh(&now), "{lines:?}");
    }
    assert!(!if_none_match(&["\"v6\""]).is_fresh(&now));
    assert!(!Preconditions::default().is_fresh(&now));
    let only_create = if_none_match(&["*"]).if_none_match.expect("a condition");
    assert!(only_create.holds(None));
    let response = not_modified(now);
    assert_eq!(
        (response.status().as_u16(), &response.headers()["etag"]),
        (304, &HeaderValue::from_static("\"v7\""))
    );
    assert_eq!(ETag::hash(0xab).to_string(), "\"h00000000000000ab\"");
}

#[test]
fn a_stream_goes_on_after_the_last_event() {
    let parse = |lines: &[&str]| LastEventId::parse(&header_lines("last-event-id", lines));
    assert_eq!(parse(&[]), Ok(LastEventId(None)));
    assert_eq!(parse(&[""]), Ok(LastEventId(None)));
    assert_eq!(parse(&["0.42.1"]), Ok(LastEventId(Some((0, ChangeId { seq: 42, ordinal: 1 })))));
    assert_eq!(parse(&["0.42"]), Ok(LastEventId(Some((0, ChangeId { seq: 42, ordinal: u32::MAX })))));
    for lines in [&["x"][..], &["0.42.1", "0.42.2"], &["42"]] {
        assert_eq!(parse(lines).expect_err("refused").code(), "last-event-id-invalid", "{lines:?}");
    }
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused_with_400(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..3)) {
        let mut headers = HeaderMap::new();
        for name in ["idempotency-key", "maitred-position", "if-match", "if-none-match", "last-event-id"] {
            headers.extend(header_lines(name, &lines));
        }
        let refusals = [
            attempt(&headers, Method::POST, "/").err(),
            AtLeast::parse(&headers).err(),
            Preconditions::parse(&headers).err(),
            LastEventId::parse(&headers).err(),
        ];
        for problem in refusals.into_iter().flatten() {
            prop_assert_eq!(problem.status(), 400);
        }
    }

    #[test]
    fn any_list_of_tags_is_read(versions in proptest::collection::vec((any::<u64>(), any::<bool>()), 1..20), blanks in "[ \t]{0,2}") {
        let tag = |(version, weak): &(u64, bool)| format!("{}{}", if *weak { "W/" } else { "" }, ETag::version(*version));
        let line = versions.iter().map(tag).collect::<Vec<_>>().join(&format!("{blanks},{blanks}"));
        let strong = versions.iter().filter(|(_, weak)| !weak).map(|(version, _)| *version).collect();
        let read = if_match(&[&line]).expect("sound").if_match.expect("a condition");
        prop_assert_eq!(read.versions(), Versions::OneOf(strong));
        for (version, _) in &versions {
            prop_assert!(if_none_match(&[&line]).is_fresh(&ETag::version(*version)));
        }
    }

    #[test]
    fn almost_a_list_of_tags_never_panics(line in "[Wwv/\"*, \t0-9]{0,20}") {
        if let Ok(Preconditions { if_match: Some(condition), .. }) = if_match(&[&line]) {
            prop_assert!(line.contains('*') || line.contains('"'), "{:?} is {:?}", line, condition);
        }
    }
}
