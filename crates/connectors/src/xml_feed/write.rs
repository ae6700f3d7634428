//! Feeds as providers write them.

use std::fmt::Write as _;
use std::io::{self, Write};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::record::{Event, Moment, Plan, Zone};

/// Writes a feed, one event after the other.
///
/// Events come out of [`super::Feed`] as they went in here, if their plans and zones are in the order of their ids.
#[derive(Debug)]
pub struct FeedWriter<W: Write> {
    out: W,
    encoding: &'static Encoding,
    text: String,
}

impl<W: Write> FeedWriter<W> {
    /// Begins a feed in UTF-8.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn new(out: W) -> io::Result<Self> {
        FeedWriter::with_encoding(out, UTF_8)
    }

    /// Begins a feed in this encoding, which it declares. What the encoding has not is written as references. UTF-16 is
    /// written with its mark.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn with_encoding(out: W, encoding: &'static Encoding) -> io::Result<Self> {
        let mut writer = FeedWriter { out, encoding, text: String::new() };
        if writer.is_wide() {
            writer.text.push('\u{feff}');
        }
        let name = encoding.name();
        // Both byte orders have one name in XML.
        let name = if writer.is_wide() { "UTF-16" } else { name };
        let _ = write!(
            writer.text,
            "<?xml version=\"1.0\" encoding=\"{name}\"?>\n<planList version=\"1.0\">\n  <output>\n"
        );
        writer.flush_text()?;
        Ok(writer)
    }

    /// Writes an event.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        write_event(&mut self.text, event);
        self.flush_text()
    }

    /// Ends the feed, and gives back what it was written to.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn finish(mut self) -> io::Result<W> {
        self.text.push_str("  </output>\n</planList>\n");
        self.flush_text()?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// What is written to, to take out what stands there.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    fn is_wide(&self) -> bool {
        self.encoding == UTF_16BE || self.encoding == UTF_16LE
    }

    fn flush_text(&mut self) -> io::Result<()> {
        if self.encoding == UTF_16BE {
            let bytes: Vec<u8> = self.text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            self.out.write_all(&bytes)?;
        } else if self.encoding == UTF_16LE {
            let bytes: Vec<u8> = self.text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            self.out.write_all(&bytes)?;
        } else {
            self.out.write_all(&self.encoding.encode(&self.text).0)?;
        }
        self.text.clear();
        Ok(())
    }
}

fn write_event(out: &mut String, event: &Event) {
    out.push_str("    <base_plan");
    attribute(out, "base_plan_id", &event.id);
    if let Some(mode) = event.sell_mode {
        attribute(out, "sell_mode", mode.as_str());
    }
    if let Some(company) = &event.organizer_company_id {
        attribute(out, "organizer_company_id", company);
    }
    attribute(out, "title", &event.title);
    out.push_str(">\n");
    for plan in &event.plans {
        write_plan(out, plan);
    }
    out.push_str("    </base_plan>\n");
}

fn write_plan(out: &mut String, plan: &Plan) {
    out.push_str("      <plan");
    attribute(out, "plan_id", &plan.id);
    moment(out, "plan_start_date", plan.starts_at);
    moment(out, "plan_end_date", plan.ends_at);
    moment(out, "sell_from", plan.sell_from);
    moment(out, "sell_to", plan.sell_to);
    attribute(out, "sold_out", if plan.sold_out { "true" } else { "false" });
    out.push_str(">\n");
    for zone in &plan.zones {
        write_zone(out, zone);
    }
    out.push_str("      </plan>\n");
}

fn write_zone(out: &mut String, zone: &Zone) {
    out.push_str("        <zone");
    attribute(out, "zone_id", &zone.id);
    let _ = write!(out, " capacity=\"{}\" price=\"", zone.capacity);
    match zone.price_minor {
        None => out.push_str("NaN"),
        Some(minor) => {
            let (sign, minor) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
            let _ = write!(out, "{sign}{}.{:02}", minor / 100, minor % 100);
        }
    }
    out.push('"');
    attribute(out, "name", &zone.name);
    attribute(out, "numbered", if zone.numbered { "true" } else { "false" });
    out.push_str("/>\n");
}

fn moment(out: &mut String, name: &str, moment: Moment) {
    let _ = match moment {
        Moment::Civil(civil) => write!(out, " {name}=\"{civil}\""),
        Moment::Instant(at) => write!(out, " {name}=\"{at}\""),
    };
}

fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            // A reader would take them for blanks, were they written as they are.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
