//! Feeds that are mangled at random, from a corpus that is kept.
//!
//! `corpus/xml_feed/` holds feeds that once showed something of their own. Each run mangles them for a bounded number of
//! times; `MAITRED_FUZZ_SECONDS=600` goes on for ten minutes. What behaves unlike anything before (another reason,
//! other problems, other counts) joins the pool; with `MAITRED_FUZZ_KEEP=1` it is written to the corpus as well. What
//! fails is written there always, before the test does.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use encoding_rs::{UTF_8, UTF_16LE};
use maitred_connectors::xml_feed::limits::{
    ID_CHARS_MAX, PLANS_MAX, PRICE_MINOR_MAX, TEXT_CHARS_MAX, ZONES_MAX,
};
use maitred_connectors::xml_feed::{Changes, Event, FeedWriter, Known, KnownEvent, Options, survey};

use super::{Pieces, read, read_whole, written};

/// Feeds that are tried in every run.
const TRIES: u64 = 4_000;
/// None grows longer.
const BYTES_MAX: usize = 32 * 1024;

const PIECES: &[&[u8]] = &[
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&b;",
    b"&#0;",
    b"&#x10FFFF;",
    b"&amp;",
    b"&",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<?xml version=\"1.0\" encoding=\"UTF-16\"?>",
    b"<?",
    b"?>",
    b"<",
    b">",
    b"/>",
    b"</",
    b"\"",
    b"'",
    b"=",
    b"\0",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"\xe2\x82\xac",
    b"\r\n",
    b"<planList>",
    b"</planList>",
    b"<output>",
    b"</output>",
    b"<base_plan base_plan_id=\"1\" title=\"a\">",
    b"</base_plan>",
    b"<plan/>",
    b"</plan>",
    b"<zone/>",
    b"NaN",
    b"-1",
    b"1e400",
    b"99999999999999999999",
    b"2021-02-29T24:00:00+99:99",
    b"encoding=\"ISO-8859-1\"",
];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % end.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/xml_feed")
}

fn corpus() -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|is| is == "xml"))
        .map(|path| std::fs::read(path).expect("a feed"))
        .collect()
}

/// Another feed, made from one of these and some of others.
fn mangled(pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut feed = random.pick(pool).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(feed.len() + 1);
        let reach = 1 << random.below(10);
        let end = at + random.below((feed.len() - at).min(reach) + 1);
        match random.below(9) {
            0 => feed.truncate(at),
            1 => drop(feed.drain(at..end)),
            2 => {
                let again = feed[at..end].to_vec();
                let times = 1 + random.below(4);
                feed.splice(at..at, again.repeat(times));
            }
            3 => drop(feed.splice(at..end, random.pick(PIECES).iter().copied())),
            4 if at < feed.len() => feed[at] ^= 1 << random.below(8),
            5 if at < feed.len() => feed[at] = random.below(256) as u8,
            6 => {
                let other = random.pick(pool);
                let from = random.below(other.len() + 1);
                let len = random.below(other.len() - from + 1);
                feed.splice(at..end, other[from..from + len].iter().copied());
            }
            7 => {
                // A digit for a digit: form stays, meaning goes.
                for byte in feed[at..end].iter_mut().filter(|byte| byte.is_ascii_digit()).take(8) {
                    *byte = b'0' + random.below(10) as u8;
                }
            }
            _ => drop(feed.splice(at..at, random.pick(PIECES).iter().copied())),
        }
        feed.truncate(BYTES_MAX);
    }
    feed
}

struct Nothing;

impl Known for Nothing {
    fn event(&self, _: &str) -> Option<KnownEvent> {
        None
    }

    fn present(&self) -> u64 {
        0
    }
}

/// Whatever it is, reading it does what it should; answers what sort of feed it is.
fn check(feed: &[u8], random: &mut Random) -> String {
    let (events, tally, end) = read(feed);
    assert_eq!(
        read(Pieces(feed, 1 + random.below(100))),
        (events.clone(), tally.clone(), end.clone()),
        "cut"
    );
    for event in &events {
        check_event(event);
    }
    if end.is_ok() {
        // What was read once, and written, reads alike.
        assert_eq!(read_whole(&written(&events)).0, events);
        let compared = survey(feed, Options::default(), "UTC", &Nothing).expect("it was read before");
        let ids: HashSet<&str> = events.iter().map(|event| &*event.id).collect();
        assert_eq!(compared.events(), ids.len() as u64);
        assert!(ids.iter().all(|id| compared.contains(id)));
        let file = std::io::Cursor::new(feed);
        let mut changes = Changes::new(file, Options::default(), &compared, "UTC", &Nothing).expect("memory");
        let mut seen = HashSet::new();
        while let Some(group) = changes.next_group(10, 10_000).expect("it was read before") {
            assert!(group.iter().all(|changed| seen.insert(changed.event.id.clone())), "an event comes once");
        }
        assert_eq!(seen.len() as u64 + changes.written().left_out, compared.events());
    }
    let mut codes: Vec<&str> = tally.problems.iter().map(|problem| problem.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let size = |count: u64| count.min(3);
    let counts = [tally.events, tally.plans, tally.zones].map(size);
    let why = end.err().map(|refused| {
        (refused.reason, refused.detail.chars().filter(|c| c.is_alphabetic()).take(24).collect::<String>())
    });
    format!("{why:?} {codes:?} {counts:?}")
}

fn check_event(event: &Event) {
    let id = |id: &str| assert!((1..=ID_CHARS_MAX).contains(&id.chars().count()));
    id(&event.id);
    assert!(event.title.chars().count() <= TEXT_CHARS_MAX && event.plans.len() <= PLANS_MAX);
    let order = |ids: Vec<&String>| {
        assert!(ids.windows(2).all(|pair| (pair[0].len(), pair[0]) < (pair[1].len(), pair[1])));
    };
    order(event.plans.iter().map(|plan| &plan.id).collect());
    for plan in &event.plans {
        id(&plan.id);
        assert!(plan.zones.len() <= ZONES_MAX);
        order(plan.zones.iter().map(|zone| &zone.id).collect());
        for zone in &plan.zones {
            assert!(zone.price_minor.is_none_or(|price| price.abs() <= PRICE_MINOR_MAX));
        }
    }
}

/// Runs a check; what panics is kept as a file first.
fn check_and_keep(feed: &[u8], random: &mut Random) -> String {
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(feed, random)));
    checked.unwrap_or_else(|panic| {
        let name = format!("failed-{}.xml", &blake3::hash(feed).to_hex()[..16]);
        std::fs::write(folder().join(&name), feed).expect("the corpus can be written to");
        eprintln!("kept as {name}");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn no_feed_however_mangled_does_harm() {
    let seconds = std::env::var("MAITRED_FUZZ_SECONDS").ok().map(|text| text.parse().expect("seconds"));
    let keep = std::env::var_os("MAITRED_FUZZ_KEEP").is_some();
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    // A long run takes another way each time, and says which.
    let seed = std::env::var("MAITRED_FUZZ_SEED").ok().map_or(1, |text| text.parse().expect("a seed"));
    let mut random = Random(seed);
    let mut pool = corpus();
    assert!(pool.len() >= 8, "the corpus is there");
    let mut sorts: HashSet<String> = HashSet::new();
    for feed in &pool {
        sorts.insert(check_and_keep(feed, &mut random));
    }
    let (known, mut tries, mut slowest) = (sorts.len(), 0_u64, Duration::ZERO);
    while end.map_or(tries < TRIES, |end| Instant::now() < end) {
        tries += 1;
        let feed = mangled(&pool, &mut random);
        let begun = Instant::now();
        let sort = check_and_keep(&feed, &mut random);
        slowest = slowest.max(begun.elapsed());
        if sorts.insert(sort) {
            if keep {
                let name = format!("found-{}.xml", &blake3::hash(&feed).to_hex()[..16]);
                std::fs::write(folder().join(name), &feed).expect("the corpus can be written to");
            }
            pool.push(feed);
        }
    }
    println!(
        "{tries} feeds of seed {seed}: {known} sorts were known, {} found; slowest {slowest:?}",
        sorts.len() - known
    );
    assert!(sorts.len() > known / 2, "mangling shows something");
}

#[test]
fn the_corpus_has_a_feed_for_every_reason() {
    let mut random = Random(7);
    let sorts: Vec<String> = corpus().iter().map(|feed| check(feed, &mut random)).collect();
    for reason in [
        "None",
        "Empty",
        "NotAPlanList",
        "Malformed",
        "CutShort",
        "DocumentType",
        "Encoding",
        "TooDeep",
        "TooManyAttributes",
    ] {
        assert!(sorts.iter().any(|sort| sort.contains(reason)), "{reason}");
    }
}

/// Writes the corpus's first feeds; what a long run finds is added to them.
#[test]
fn the_first_feeds_of_the_corpus_are_as_the_writer_writes_them() {
    let (events, _) = read_whole(&std::fs::read(folder().join("two-events.xml")).expect("a feed"));
    assert_eq!(events.len(), 2);
    for encoding in [UTF_8, UTF_16LE] {
        let mut writer = FeedWriter::with_encoding(Vec::new(), encoding).expect("memory");
        events.iter().for_each(|event| writer.event(event).expect("memory"));
        assert_eq!(read_whole(&writer.finish().expect("memory")).0, events);
    }
}
