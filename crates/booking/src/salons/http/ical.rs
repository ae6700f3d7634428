//! Calendars as text (RFC 5545): lines, texts and times of bookings.
//!
//! Times are local times of the salon's zone, which stands in the calendar with every change of its clocks in the time
//! that is shown. A zone of no name and no changes is UTC. A time that clocks show twice is told in UTC, since local time
//! means the first of the two.

use std::fmt::Write;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use maitred_core::Timestamp;
use uuid::Uuid;

use crate::flash_sales::Versioned;
use crate::salons::booking::{Booking, BookingStatus};
use crate::salons::intervals::Span;
use crate::salons::local_time::{instant, local_time, theirs};

/// The longest line of a calendar, in bytes (RFC 5545, 3.1).
const LINE_BYTES_MAX: usize = 75;
/// The most changes of the clocks that a calendar tells of; there are four a year at most.
const CHANGES_MAX: usize = 32;

/// A calendar under construction.
#[derive(Debug)]
pub(crate) struct Ical {
    lines: Lines,
    zone: TimeZone,
    /// `None` is UTC.
    name: Option<String>,
}

impl Ical {
    /// A calendar of this name in a zone, which shows this time and nothing before it.
    pub(super) fn new(name: &str, zone: TimeZone, shown: Span) -> Self {
        Ical::begin(&format!("X-WR-CALNAME:{}", escaped(name)), zone, shown)
    }

    /// A calendar that is sent by mail, for this method (RFC 5546).
    pub(crate) fn sent(method: &str, zone: TimeZone, shown: Span) -> Self {
        Ical::begin(&format!("METHOD:{method}"), zone, shown)
    }

    fn begin(first_line: &str, zone: TimeZone, shown: Span) -> Self {
        let zone_name = zone.iana_name().filter(|name| *name != "UTC").map(str::to_owned);
        let mut ical = Ical { lines: Lines::default(), zone, name: zone_name };
        for line in ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//maitred//salons//EN", "CALSCALE:GREGORIAN"]
        {
            ical.lines.add(line);
        }
        ical.lines.add(first_line);
        ical.add_zone(shown);
        ical
    }

    /// Adds the zone: how it was before, and every change of its clocks.
    fn add_zone(&mut self, shown: Span) {
        let Some(name) = &self.name else { return };
        let (from, to) = (theirs(shown.starts_at), theirs(shown.ends_at));
        let lines = &mut self.lines;
        lines.add("BEGIN:VTIMEZONE");
        lines.add(&format!("TZID:{name}"));
        let before = self.zone.to_offset_info(from);
        let first = Change {
            local: DateTime::constant(1970, 1, 1, 0, 0, 0, 0),
            from: before.offset(),
            to: before.offset(),
            is_summer: before.dst().is_dst(),
            name: before.abbreviation(),
        };
        lines.change(&first);
        let mut offset = before.offset();
        let changes = self.zone.following(from).take_while(|change| change.timestamp() <= to);
        for change in changes.take(CHANGES_MAX) {
            lines.change(&Change {
                local: offset.to_datetime(change.timestamp()),
                from: offset,
                to: change.offset(),
                is_summer: change.dst().is_dst(),
                name: change.abbreviation(),
            });
            offset = change.offset();
        }
        lines.add("END:VTIMEZONE");
    }

    /// Adds a booking, from the first to the last service that this employee does.
    pub(super) fn add(&mut self, booking: &Versioned<Booking>, employee: Uuid, customer: &str) {
        let own = || booking.is.items.iter().filter(|item| item.employee.id == employee);
        let (Some(first), Some(last)) = (own().next(), own().next_back()) else { return };
        let services: Vec<&str> = own().map(|item| &*item.name).collect();
        let [start, end] = self.times([first.starts_at, last.ends_at()]);
        let lines = &mut self.lines;
        lines.add("BEGIN:VEVENT");
        lines.add(&format!("UID:{}@maitred", booking.is.id));
        lines.add(&format!("SEQUENCE:{}", booking.version - 1));
        lines.add(&format!("DTSTAMP:{}", in_utc(booking.updated_at)));
        lines.add(&format!("DTSTART{start}"));
        lines.add(&format!("DTEND{end}"));
        lines.add(&format!("SUMMARY:{}", escaped(&format!("{}: {customer}", services.join(", ")))));
        if let Some(notes) = &booking.is.notes {
            lines.add(&format!("DESCRIPTION:{}", escaped(notes)));
        }
        let held = booking.is.status == BookingStatus::Held;
        lines.add(if held { "STATUS:TENTATIVE" } else { "STATUS:CONFIRMED" });
        lines.add("END:VEVENT");
    }

    /// Adds a visit as its customer sees it, at a salon of this name that writes from this address.
    pub(crate) fn add_visit(&mut self, booking: &Versioned<Booking>, (salon, address): (&str, &str)) {
        let services: Vec<&str> = booking.is.items.iter().map(|item| &*item.name).collect();
        let [start, end] = self.times([booking.is.starts_at, booking.is.ends_at]);
        let lines = &mut self.lines;
        lines.add("BEGIN:VEVENT");
        lines.add(&format!("UID:{}@maitred", booking.is.id));
        lines.add(&format!("SEQUENCE:{}", booking.version - 1));
        lines.add(&format!("DTSTAMP:{}", in_utc(booking.updated_at)));
        lines.add(&format!("DTSTART{start}"));
        lines.add(&format!("DTEND{end}"));
        lines.add(&format!("SUMMARY:{}", escaped(&format!("{salon}: {}", services.join(", ")))));
        // Without a name beside it: a parameter's value takes no quotes, whatever stands in a name.
        lines.add(&format!("ORGANIZER:mailto:{address}"));
        lines.add(match booking.is.status {
            BookingStatus::Held => "STATUS:TENTATIVE",
            BookingStatus::Cancelled | BookingStatus::Expired => "STATUS:CANCELLED",
            _ => "STATUS:CONFIRMED",
        });
        lines.add("END:VEVENT");
    }

    /// What stands behind the names of two properties, in the same form.
    fn times(&self, times: [Timestamp; 2]) -> [String; 2] {
        let locals = times.map(|at| local_time(&self.zone, at));
        let is_plain = |(at, local): (&Timestamp, &DateTime)| {
            // Seconds are all that is told.
            instant(&self.zone, *local).as_millis() == at.as_millis()
        };
        match &self.name {
            Some(name) if times.iter().zip(&locals).all(is_plain) => {
                locals.map(|local| format!(";TZID={name}:{}", basic(local)))
            }
            _ => times.map(|at| format!(":{}", in_utc(at))),
        }
    }

    /// The whole calendar.
    pub(crate) fn finish(mut self) -> String {
        self.lines.add("END:VCALENDAR");
        self.lines.0
    }
}

/// A change of a zone's clocks.
struct Change<'a> {
    /// What they showed before it.
    local: DateTime,
    from: Offset,
    to: Offset,
    is_summer: bool,
    name: &'a str,
}

/// Lines of a calendar.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    /// Adds a line, folded where it is long: never within a character.
    fn add(&mut self, line: &str) {
        let mut room = LINE_BYTES_MAX;
        for character in line.chars() {
            if character.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE_BYTES_MAX - 1;
            }
            self.0.push(character);
            room -= character.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    fn change(&mut self, change: &Change<'_>) {
        let part = if change.is_summer { "DAYLIGHT" } else { "STANDARD" };
        self.add(&format!("BEGIN:{part}"));
        self.add(&format!("DTSTART:{}", basic(change.local)));
        self.add(&format!("TZOFFSETFROM:{}", of_offset(change.from)));
        self.add(&format!("TZOFFSETTO:{}", of_offset(change.to)));
        self.add(&format!("TZNAME:{}", escaped(change.name)));
        self.add(&format!("END:{part}"));
    }
}

/// A local time to the second: `20261121T093000`.
fn basic(local: DateTime) -> String {
    let (date, time) = (local.date(), local.time());
    let [month, day, hour, minute, second] =
        [date.month(), date.day(), time.hour(), time.minute(), time.second()];
    format!("{:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}", date.year())
}

/// An instant in UTC to the second: `20261121T093000Z`.
fn in_utc(at: Timestamp) -> String {
    format!("{}Z", basic(local_time(&TimeZone::UTC, at)))
}

/// An offset: `+0200`, with seconds where it has some.
fn of_offset(offset: Offset) -> String {
    let seconds = offset.seconds().unsigned_abs();
    let sign = if offset.is_negative() { '-' } else { '+' };
    let mut text = format!("{sign}{:02}{:02}", seconds / 3_600, seconds / 60 % 60);
    if !seconds.is_multiple_of(60) {
        let _ = write!(text, "{:02}", seconds % 60); // a String takes every text
    }
    text
}

/// A text as a value of a calendar (RFC 5545, 3.3.11), without the characters that none can hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => {
                let _ = write!(out, "\\{character}"); // a String takes every text
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push('\t'),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::salons::local_time::ours;

    #[test]
    fn long_lines_are_folded_between_characters() {
        let mut lines = Lines::default();
        lines.add(&format!("SUMMARY:{}", "ä".repeat(80)));
        assert!(lines.0.split("\r\n").all(|line| line.len() <= LINE_BYTES_MAX));
        assert_eq!(lines.0.replace("\r\n ", ""), format!("SUMMARY:{}\r\n", "ä".repeat(80)));
    }

    #[test]
    fn texts_and_instants_have_the_form_of_calendars() {
        assert_eq!(escaped("a,b;c\\d\r\ne\0\t"), "a\\,b\\;c\\\\d\\ne\t");
        assert_eq!(in_utc(Timestamp::from_millis(1_763_718_600_123)), "20251121T095000Z");
        let offset = |seconds| of_offset(Offset::from_seconds(seconds).expect("an offset"));
        assert_eq!([0, 7_200, -12_600, 3_208].map(offset), ["+0000", "+0200", "-0330", "+005328"]);
    }

    #[test]
    fn a_zone_is_told_with_its_changes_and_a_repeated_hour_in_utc() {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let at = |text: &str| ours(text.parse().expect("an instant"));
        let shown = Span::new(at("2026-06-01T00:00:00Z"), at("2027-04-01T00:00:00Z"));
        let ical = Ical::new("Ann", zone, shown);
        let told = ical.times([at("2026-10-25T00:30:00Z"), at("2026-10-25T02:00:00Z")]);
        assert_eq!(told, [";TZID=Europe/Berlin:20261025T023000", ";TZID=Europe/Berlin:20261025T030000"]);
        let told = ical.times([at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z")]);
        assert_eq!(told, [":20261025T003000Z", ":20261025T013000Z"], "02:30 comes twice");
        let text = ical.finish();
        let change = |part, local, from, to, name| {
            format!(
                "BEGIN:{part}\r\nDTSTART:{local}\r\nTZOFFSETFROM:{from}\r\nTZOFFSETTO:{to}\r\nTZNAME:{name}\r\nEND:{part}\r\n"
            )
        };
        let changes = [
            change("DAYLIGHT", "19700101T000000", "+0200", "+0200", "CEST"),
            change("STANDARD", "20261025T030000", "+0200", "+0100", "CET"),
            change("DAYLIGHT", "20270328T020000", "+0100", "+0200", "CEST"),
        ];
        let expected =
            format!("BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\n{}END:VTIMEZONE\r\n", changes.concat());
        assert!(text.contains(&expected), "{text}");
    }
}
