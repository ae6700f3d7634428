//! How fast feeds are read, and in how much memory: `cargo run --release -p maitred-connectors --example feed_speed -- \
//! 20000 1000000`, where each number is of events in a feed, 0 for a feed of a gigabyte.
//!
//! A feed is made on the disk, then read three times: parsed alone, surveyed against nothing that is known, and read
//! for its changes. The most memory that the process ever had is printed before and behind.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom};
use std::time::Instant;

use maitred_connectors::xml_feed::{
    Changes, Digest, Event, Feed, FeedWriter, Known, KnownEvent, Moment, Options, Plan, SellMode, Zone,
    survey,
};

const GIGABYTE: u64 = 1_000_000_000;

/// An event like those of the observed feeds: two dates with three zones each.
fn event(number: u64) -> Event {
    let civil =
        |hour: i8| Moment::Civil(jiff::civil::date(2027, 1 + (number % 12) as i8, 1).at(hour, 0, 0, 0));
    let zone = |id: u64| Zone {
        id: (id * 10).to_string(),
        capacity: 240,
        price_minor: Some(2_000 + (number % 50) as i64 * 50),
        name: "Platea".into(),
        numbered: true,
    };
    let plan = |id: u64| Plan {
        id: (number * 2 + id).to_string(),
        starts_at: civil(20),
        ends_at: civil(22),
        sell_from: civil(8),
        sell_to: civil(19),
        sold_out: false,
        zones: (1..=3).map(zone).collect(),
    };
    Event {
        id: number.to_string(),
        title: format!("Concierto número {number}"),
        sell_mode: Some(SellMode::Online),
        organizer_company_id: Some("1".into()),
        plans: vec![plan(1), plan(2)],
    }
}

/// What is known, as a caller may keep it: the digests of all events.
#[derive(Default)]
struct Shelf(HashMap<String, Digest>);

impl Known for Shelf {
    fn event(&self, id: &str) -> Option<KnownEvent> {
        self.0.get(id).map(|digest| KnownEvent { digest: *digest, vanished: false })
    }

    fn present(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The most memory that this process had, in bytes.
fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for argument in std::env::args().skip(1) {
        let events = argument.parse()?;
        let mut file = tempfile()?;
        let mut writer = FeedWriter::new(BufWriter::new(file.try_clone()?))?;
        let mut number = 0;
        while if events == 0 { file.metadata()?.len() < GIGABYTE } else { number < events } {
            number += 1;
            writer.event(&event(number))?;
        }
        writer.finish()?;
        let bytes = file.metadata()?.len();
        println!("{number} events, {bytes} bytes; memory {} MB", memory_peak() / 1_000_000);
        let timed = |what: &str, begun: Instant| {
            let seconds = begun.elapsed().as_secs_f64();
            let (rate, memory) = (bytes as f64 / seconds / 1e6, memory_peak() / 1_000_000);
            println!("  {what:<32} {seconds:7.3} s  {rate:6.0} MB/s  memory {memory} MB");
        };

        file.seek(SeekFrom::Start(0))?;
        let begun = Instant::now();
        let mut feed = Feed::new(&file, Options::default());
        while feed.next_event()?.is_some() {}
        timed("parsed", begun);

        file.seek(SeekFrom::Start(0))?;
        let begun = Instant::now();
        let nothing = Shelf::default();
        let found = survey(&file, Options::default(), "Europe/Madrid", &nothing)?;
        timed("surveyed, nothing known", begun);

        let begun = Instant::now();
        let mut changes = Changes::new(&file, Options::default(), &found, "Europe/Madrid", &nothing)?;
        let mut shelf = Shelf::default();
        let keep = number <= 100_000;
        while let Some(group) = changes.next_group(64, 128 * 1024)? {
            if keep {
                shelf.0.extend(group.into_iter().map(|changed| (changed.event.id, changed.digest)));
            }
        }
        timed("read for changes, all are new", begun);

        if keep {
            file.seek(SeekFrom::Start(0))?;
            let begun = Instant::now();
            let found = survey(&file, Options::default(), "Europe/Madrid", &shelf)?;
            assert_eq!(found.unchanged, number);
            timed("surveyed, all known", begun);
        }
    }
    Ok(())
}

/// A file without a name.
fn tempfile() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("feed-speed-{}.xml", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}
