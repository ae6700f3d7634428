//! Feeds as bytes on a connection, whole or as a fault has them.

use std::io;
use std::time::Duration;

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, UTF_16LE, WINDOWS_1252};
use maitred_connectors::xml_feed::{Event, FeedWriter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Asked, Fault};

/// About so many bytes of a feed are made before they are sent.
const PIECE_BYTES: usize = 64 * 1024;
/// Between two bytes of a feed that drips.
const DRIP_WAIT: Duration = Duration::from_millis(100);
/// How often an event stands in a feed that repeats.
const REPEATS: u64 = 10;
/// Revisions run back from here.
const LAST_REVISION: u64 = 1_000;

const HTML: &str = "<html><head><title>Maintenance</title></head><body><p>Back soon.<br></body></html>\n";
const BOMB: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE planList [\n\
    <!ENTITY a \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\">\n\
    <!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\n\
    <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">\n\
    <!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">\n\
    <!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\">\n]>\n\
    <planList><output><base_plan base_plan_id=\"1\" sell_mode=\"online\" title=\"&e;\"/></output></planList>\n";

/// Sends a short text.
pub(super) async fn text(stream: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    whole(stream, status, "Content-Type: text/plain; charset=utf-8\r\n", text.as_bytes()).await
}

/// Sends JSON.
pub(super) async fn json(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    whole(stream, "200 OK", "Content-Type: application/json\r\n", text.as_bytes()).await
}

async fn whole(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = if status.starts_with("204") || status.starts_with("304") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let head = format!("HTTP/1.1 {status}\r\n{headers}{length}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

/// Sends a feed, or what the fault makes of it.
pub(super) async fn feed(
    stream: &mut TcpStream,
    asked: &Asked,
    if_none_match: Option<&str>,
) -> io::Result<()> {
    let xml = "Content-Type: application/xml\r\n";
    match asked.fault {
        Fault::Error => return text(stream, "500 Internal Server Error", "it broke\n").await,
        Fault::Busy => return whole(stream, "503 Service Unavailable", "Retry-After: 1\r\n", b"").await,
        Fault::Absent => return text(stream, "404 Not Found", "").await,
        Fault::Redirect => return whole(stream, "302 Found", "Location: ?fault=none\r\n", b"").await,
        Fault::Hang => return hang(stream).await,
        Fault::Empty => return whole(stream, "200 OK", xml, b"").await,
        Fault::NoEvents => return whole(stream, "200 OK", xml, b"<planList><output/></planList>").await,
        Fault::Html => return whole(stream, "200 OK", "Content-Type: text/html\r\n", HTML.as_bytes()).await,
        Fault::Bomb => return whole(stream, "200 OK", xml, BOMB.as_bytes()).await,
        _ => {}
    }
    let tag = tag(asked);
    let etag = format!("ETag: {tag}\r\n");
    if if_none_match == Some(&*tag) {
        return whole(stream, "304 Not Modified", &etag, b"").await;
    }
    let head =
        format!("HTTP/1.1 200 OK\r\n{xml}{etag}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut writing = Writing::new(asked)?;
    while let Some(piece) = writing.next()? {
        if asked.fault == Fault::Drip {
            for byte in piece {
                chunk(stream, &[byte]).await?;
                tokio::time::sleep(DRIP_WAIT).await;
            }
        } else {
            chunk(stream, &piece).await?;
        }
    }
    match asked.fault {
        Fault::HangWithin => hang(stream).await,
        // The last chunk is missing.
        Fault::Truncate => Ok(()),
        Fault::Endless => loop {
            chunk(stream, &[b'\n'; PIECE_BYTES]).await?;
        },
        _ => stream.write_all(b"0\r\n\r\n").await,
    }
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await
}

/// Nothing, until the other side has had enough.
async fn hang(stream: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// What tells this feed from others.
fn tag(asked: &Asked) -> String {
    let (programme, revision, fault) = (asked.programme, asked.revision, asked.fault);
    let seed = programme.seed;
    format!("\"{seed}-{}-{}-{}-{revision}-{fault:?}\"", programme.provider, programme.events, programme.from)
}

/// A feed that is being written.
struct Writing<'a> {
    asked: &'a Asked,
    writer: Option<FeedWriter<Vec<u8>>>,
    /// The event to be written next, and the one to stop before.
    next: u64,
    end: u64,
    revision: u64,
}

impl<'a> Writing<'a> {
    fn new(asked: &'a Asked) -> io::Result<Self> {
        let (events, fault) = (asked.programme.events, asked.fault);
        let encoding: &'static Encoding = match fault {
            Fault::Latin1 | Fault::Undeclared => WINDOWS_1252,
            Fault::Utf16 => UTF_16LE,
            Fault::ShiftJis => SHIFT_JIS,
            _ => UTF_8,
        };
        let mut writer = FeedWriter::with_encoding(Vec::new(), encoding)?;
        match fault {
            Fault::Latin1 => rename(writer.out(), "ISO-8859-1"),
            Fault::Undeclared => rename(writer.out(), "UTF-8"),
            _ => {}
        }
        let half = matches!(fault, Fault::HangWithin | Fault::Truncate | Fault::Cut | Fault::Fewer);
        let end = if half { events / 2 } else { events };
        let revision = if fault == Fault::Backwards {
            LAST_REVISION.saturating_sub(asked.revision)
        } else {
            asked.revision
        };
        Ok(Writing { asked, writer: Some(writer), next: 0, end, revision })
    }

    /// The next piece; none behind the last.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        while self.next < self.end && writer.out().len() < PIECE_BYTES {
            let number = self.next;
            self.next += 1;
            if let Some(event) = self.asked.programme.event(number, self.revision) {
                write(&mut writer, event, number, self.asked.fault)?;
            }
        }
        if self.next < self.end {
            let piece = std::mem::take(writer.out());
            self.writer = Some(writer);
            return Ok(Some(piece));
        }
        let is_cut =
            matches!(self.asked.fault, Fault::HangWithin | Fault::Truncate | Fault::Cut | Fault::Endless);
        let last = if is_cut { std::mem::take(writer.out()) } else { writer.finish()? };
        // A chunk of no bytes would end the answer.
        Ok(Some(last).filter(|last| !last.is_empty()))
    }
}

/// Writes an event, as often and as badly as the fault has it.
fn write(writer: &mut FeedWriter<Vec<u8>>, mut event: Event, number: u64, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Repeat => (0..REPEATS).try_for_each(|_| writer.event(&event)),
        Fault::RepeatOtherwise => {
            let title = event.title.clone();
            (1..=REPEATS).try_for_each(|time| {
                event.title = format!("{title} ({time})");
                writer.event(&event)
            })
        }
        Fault::BadRecords => {
            let begin = writer.out().len();
            writer.event(&event)?;
            let (from, to) = match number % 10 {
                3 => (" price=\"", " price=\"about "),
                5 => (" plan_start_date=\"20", " plan_start_date=\"20x"),
                7 => (" title=\"", " name=\""),
                _ => return Ok(()),
            };
            let text = String::from_utf8_lossy(&writer.out()[begin..]).replacen(from, to, 1);
            writer.out().truncate(begin);
            writer.out().extend_from_slice(text.as_bytes());
            Ok(())
        }
        _ => writer.event(&event),
    }
}

/// Declares another encoding than the bytes are in; the declaration is ASCII, whatever they are.
fn rename(beginning: &mut Vec<u8>, name: &str) {
    *beginning = String::from_utf8_lossy(beginning).replacen("windows-1252", name, 1).into_bytes();
}
