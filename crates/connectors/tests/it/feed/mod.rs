//! Feeds of events: what is read, what is left out, what is refused.

mod compare;
mod encodings;
mod faults;
mod fuzz;
mod generated;
mod records;

use std::io::Read;

use maitred_connectors::xml_feed::{Event, Feed, FeedWriter, Options, Reason, Refused, Tally};

/// Reads a whole feed.
pub(crate) fn read(input: impl Read) -> (Vec<Event>, Tally, Result<(), Refused>) {
    read_with(input, Options::default())
}

/// The same, with options.
pub(crate) fn read_with(input: impl Read, options: Options) -> (Vec<Event>, Tally, Result<(), Refused>) {
    let mut feed = Feed::new(input, options);
    let mut events = Vec::new();
    let end = loop {
        match feed.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break Ok(()),
            Err(refused) => {
                assert_eq!(feed.next_event(), Err(refused.clone()), "what is refused stays so");
                break Err(refused);
            }
        }
    };
    (events, feed.into_tally(), end)
}

/// Reads what must be whole.
pub(crate) fn read_whole(input: &[u8]) -> (Vec<Event>, Tally) {
    let (events, tally, end) = read(input);
    assert_eq!(end, Ok(()), "{}", String::from_utf8_lossy(input));
    (events, tally)
}

/// Why it is refused.
pub(crate) fn refusal(input: &[u8]) -> Reason {
    let (_, _, end) = read(input);
    end.expect_err("it is refused").reason
}

/// A feed of these events.
pub(crate) fn written(events: &[Event]) -> Vec<u8> {
    let mut writer = FeedWriter::new(Vec::new()).expect("memory");
    for event in events {
        writer.event(event).expect("memory");
    }
    writer.finish().expect("memory")
}

/// A feed around these elements.
pub(crate) fn feed_of(elements: &str) -> String {
    format!("<planList version=\"1.0\"><output>{elements}</output></planList>")
}

/// An event with this id and these plans.
pub(crate) fn event_of(id: &str, plans: &str) -> String {
    format!(
        "<base_plan base_plan_id=\"{id}\" sell_mode=\"online\" title=\"Event {id}\">{plans}</base_plan>\n"
    )
}

/// A plan with this id and these zones, of an hour.
pub(crate) fn plan_of(id: &str, zones: &str) -> String {
    format!(
        "<plan plan_id=\"{id}\" plan_start_date=\"2021-06-30T21:00:00\" plan_end_date=\"2021-06-30T22:00:00\" \
         sell_from=\"2020-07-01T00:00:00\" sell_to=\"2021-06-30T20:00:00\" sold_out=\"false\">{zones}</plan>\n"
    )
}

/// A zone with this id at this price.
pub(crate) fn zone_of(id: &str, price: &str) -> String {
    format!(
        "<zone zone_id=\"{id}\" capacity=\"100\" price=\"{price}\" name=\"Zone {id}\" numbered=\"true\"/>\n"
    )
}

/// Gives pieces of so many bytes.
pub(crate) struct Pieces<'a>(pub &'a [u8], pub usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let len = self.1.min(self.0.len()).min(into.len());
        let (piece, rest) = self.0.split_at(len);
        into[..len].copy_from_slice(piece);
        self.0 = rest;
        Ok(len)
    }
}
