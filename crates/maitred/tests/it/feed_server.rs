//! The bundled feed server, and what becomes of its faults: fetched and read, a fault leaves what was there, and once it
//! is over the feed is believed again.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use maitred::feed_server::{Fault, FeedServer, Settings};
use maitred_connectors::feed_fetch::{self, Fetcher, Order};
use maitred_connectors::outgoing::{self, Client, Validators};
use maitred_connectors::xml_feed::{Changes, Digest, Event, Known, KnownEvent, Survey, survey};
use tokio::net::TcpListener;

const EVENTS: u64 = 300;

/// What came of one run.
#[derive(Debug)]
enum Came {
    /// The code of what went wrong with fetching or reading.
    Refused(&'static str),
    Unchanged,
    Read {
        survey: Box<Survey>,
        changed: Vec<Event>,
    },
}

/// A provider's events, as they were believed last.
#[derive(Debug, Default)]
struct Shelf {
    events: HashMap<String, Digest>,
    kept: Validators,
}

impl Known for Shelf {
    fn event(&self, id: &str) -> Option<KnownEvent> {
        self.events.get(id).map(|digest| KnownEvent { digest: *digest, vanished: false })
    }

    fn present(&self) -> u64 {
        self.events.len() as u64
    }
}

struct World {
    server: FeedServer,
    address: SocketAddr,
    fetcher: Fetcher,
    folder: PathBuf,
}

impl World {
    async fn start(name: &str, providers: u32) -> Self {
        let from = jiff::civil::date(2027, 3, 1);
        let (events, change_every, fault) = (EVENTS, Duration::ZERO, Fault::None);
        let server = FeedServer::new(Settings { providers, events, seed: 7, from, change_every, fault });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        let allowed = vec![address.to_string().parse().expect("a host")];
        let client = Client::new(outgoing::Settings { allowed, roots: Vec::new() }).expect("a client");
        let folder = std::env::temp_dir().join(format!("maitred-feeds-{name}-{}", std::process::id()));
        let settings = feed_fetch::Settings {
            folder: folder.clone(),
            slots: feed_fetch::SLOTS,
            spools_bytes_max: feed_fetch::SPOOLS_BYTES_MAX,
            random: |_| 0,
        };
        let fetcher = Fetcher::new(client, settings).expect("a folder");
        World { server, address, fetcher, folder }
    }

    /// One run of a provider: fetched, compared, and believed if it is whole.
    async fn run(&self, provider: u32, query: &str, shelf: &mut Shelf) -> Came {
        let url = format!("http://{}{}{query}", self.address, FeedServer::path(provider));
        let name = provider.to_string();
        let order = Order {
            provider: &name,
            url: &url,
            headers: &[],
            kept: &shelf.kept,
            timeout: Duration::from_millis(400),
            bytes_max: 4_000_000,
        };
        let spool = match self.fetcher.fetch(&order).await.feed {
            Ok(Some(spool)) => spool,
            Ok(None) => return Came::Unchanged,
            Err(failure) => return Came::Refused(failure.code()),
        };
        let file = spool.rewound().expect("a file");
        let survey = match survey(file, spool.options(), "Europe/Madrid", shelf) {
            Ok(survey) => Box::new(survey),
            Err(refused) => return Came::Refused(refused.reason.code()),
        };
        let mut changes =
            Changes::new(file, spool.options(), &survey, "Europe/Madrid", shelf).expect("a file");
        let mut changed = Vec::new();
        while let Some(group) = changes.next_group(64, 100_000).expect("the same feed") {
            changed.extend(group);
        }
        shelf.events.extend(changed.iter().map(|changed| (changed.event.id.clone(), changed.digest)));
        shelf.kept = spool.validators().clone();
        Came::Read { survey, changed: changed.into_iter().map(|changed| changed.event).collect() }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let left: Vec<_> = std::fs::read_dir(&self.folder).expect("a folder").collect();
        assert!(left.is_empty() || std::thread::panicking(), "{left:?}");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn a_fault_leaves_what_was_there_and_is_over_when_it_is_over() {
    let faults = Fault::value_variants();
    let world = World::start("faults", faults.len() as u32).await;
    let rows = (1..).zip(faults).map(|(provider, fault)| check_fault(&world, provider, *fault));
    futures_util::future::join_all(rows).await;
}

async fn check_fault(world: &World, provider: u32, fault: Fault) {
    let mut shelf = Shelf::default();
    let Came::Read { survey: before, .. } = world.run(provider, "", &mut shelf).await else {
        panic!("{fault:?}")
    };
    let count = before.events();
    assert!((EVENTS - 20..EVENTS).contains(&count), "{count}");
    assert!(matches!(world.run(provider, "", &mut shelf).await, Came::Unchanged));
    let known = shelf.events.clone();

    assert!(world.server.set_fault(provider, fault));
    let came = world.run(provider, "", &mut shelf).await;
    let expected = match fault {
        Fault::None => None,
        Fault::Error | Fault::Busy | Fault::Absent | Fault::Redirect => Some("provider-status"),
        Fault::Hang | Fault::HangWithin | Fault::Drip => Some("provider-too-slow"),
        Fault::Truncate => Some("provider-answer-broken"),
        Fault::Endless => Some("feed-too-long"),
        Fault::Cut => Some("feed-cut-short"),
        Fault::Empty => Some("feed-empty"),
        Fault::Html => Some("feed-not-a-plan-list"),
        Fault::Bomb => Some("feed-document-type"),
        Fault::Undeclared => Some("feed-encoding"),
        _ => None,
    };
    match (&came, expected) {
        (Came::Refused(code), Some(expected)) => {
            assert_eq!(*code, expected, "{fault:?}");
            assert_eq!(shelf.events, known, "{fault:?}");
        }
        (Came::Unchanged, None) => assert_eq!(fault, Fault::None),
        (Came::Read { survey, changed }, None) => check_read(fault, survey, changed, count),
        _ => panic!("{fault:?}: {came:?}"),
    }

    world.server.set_fault(provider, Fault::None);
    world.fetcher.forget(&provider.to_string());
    match world.run(provider, "", &mut shelf).await {
        Came::Unchanged => assert!(expected.is_some() || fault == Fault::None, "{fault:?}"),
        Came::Read { survey, .. } => assert_eq!(survey.events(), count, "{fault:?}"),
        Came::Refused(code) => panic!("{fault:?}: {code}"),
    }
    assert!(matches!(world.run(provider, "", &mut shelf).await, Came::Unchanged), "{fault:?}");
}

/// What is read of a feed that is whole, and odd.
fn check_read(fault: Fault, survey: &Survey, changed: &[Event], count: u64) {
    let ids: HashSet<&str> = changed.iter().map(|event| &*event.id).collect();
    assert_eq!(ids.len(), changed.len(), "{fault:?}: each once");
    match fault {
        Fault::NoEvents => assert!(survey.loss.is_suspicious() && survey.loss.lost == count),
        Fault::Fewer => assert!(survey.loss.is_suspicious(), "{:?}", survey.loss),
        Fault::Repeat => {
            assert_eq!((survey.events(), survey.tally.events_repeated, changed), (count, 9 * count, &[][..]));
        }
        Fault::RepeatOtherwise => {
            assert_eq!((survey.events(), changed.len() as u64), (count, count));
            assert!(changed.iter().all(|event| event.title.ends_with(" (10)")));
        }
        Fault::Backwards => assert!(survey.events() > EVENTS - 20 && !changed.is_empty()),
        Fault::BadRecords => {
            let left_out =
                [survey.tally.events_left_out, survey.tally.plans_left_out, survey.tally.zones_left_out];
            assert!(left_out.iter().all(|count| *count > 10), "{left_out:?}");
            assert!(!survey.loss.is_suspicious());
        }
        Fault::Latin1 | Fault::Utf16 | Fault::ShiftJis => {
            assert_eq!((survey.unchanged, changed), (count, &[][..]), "{fault:?}");
        }
        _ => panic!("{fault:?} was to be refused"),
    }
}

#[tokio::test]
async fn a_feed_follows_from_its_seed_and_changes_by_revisions() {
    let world = World::start("revisions", 2).await;
    let mut shelf = Shelf::default();
    assert!(matches!(world.run(1, "?revision=3", &mut shelf).await, Came::Read { .. }));
    assert!(matches!(world.run(1, "?revision=3", &mut shelf).await, Came::Unchanged));
    let Came::Read { survey, changed } = world.run(1, "?revision=4", &mut shelf).await else {
        panic!("it changes")
    };
    assert!((1..EVENTS / 10).contains(&survey.changed), "{}", survey.changed);
    assert!(survey.loss.lost < 20 && !changed.is_empty(), "{:?}", survey.loss);
    // Another provider sells something else.
    let Came::Read { survey, .. } = world.run(2, "?revision=4", &mut shelf).await else {
        panic!("it is read")
    };
    assert!(survey.changed > EVENTS / 2);
    assert_eq!(world.server.requests(), 4);
    // And the same server started again, the same.
    let again = World::start("again", 2).await;
    let mut shelf = Shelf::default();
    again.run(1, "?revision=4", &mut shelf).await;
    shelf.kept = Validators::default();
    let Came::Read { survey, .. } = world.run(1, "?revision=4", &mut shelf).await else {
        panic!("it is read")
    };
    assert_eq!((survey.new, survey.changed), (0, 0));
}
