//! A feed is read in the encoding that it declares.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use maitred_connectors::xml_feed::{Event, FeedWriter, Options, Reason};

use super::{Pieces, event_of, feed_of, read, read_whole, read_with, refusal};

fn titled(title: &str) -> Event {
    Event {
        id: "1".into(),
        title: title.into(),
        sell_mode: None,
        organizer_company_id: None,
        plans: Vec::new(),
    }
}

fn in_encoding(event: &Event, encoding: &'static Encoding) -> Vec<u8> {
    let mut writer = FeedWriter::with_encoding(Vec::new(), encoding).expect("memory");
    writer.event(event).expect("memory");
    writer.finish().expect("memory")
}

#[test]
fn declared_encodings_are_honoured() {
    let names = [
        "UTF-8",
        "UTF-16LE",
        "UTF-16BE",
        "windows-1252",
        "ISO-8859-2",
        "ISO-8859-15",
        "windows-1251",
        "KOI8-R",
        "Big5",
        "Shift_JIS",
        "EUC-JP",
        "EUC-KR",
        "GBK",
        "gb18030",
        "macintosh",
        "ISO-2022-JP",
    ];
    // What an encoding has not is written as a reference, and comes back alike.
    let event = titled("Café «Ñandú» €5 Ελλάς Жук 音楽 🎵 & <3");
    for name in names {
        let encoding = Encoding::for_label(name.as_bytes()).expect("an encoding");
        let feed = in_encoding(&event, encoding);
        assert_eq!(read_whole(&feed).0, std::slice::from_ref(&event), "{name}");
        assert_eq!(read(Pieces(&feed, 1)).0, std::slice::from_ref(&event), "{name}");
    }
}

#[test]
fn latin_1_is_no_mojibake() {
    let feed = format!("<?xml version='1.0' encoding='ISO-8859-1'?>{}", feed_of(&event_of("1", "")));
    let mut bytes = feed.replace("Event 1", "Caf?").into_bytes();
    let at = bytes.windows(5).position(|part| part == b"Caf?\"").expect("the title");
    bytes[at + 3] = 0xe9;
    assert_eq!(read_whole(&bytes).0[0].title, "Café");
    // Undeclared, it is UTF-8, which such a byte is not.
    let undeclared = &bytes[feed.find("<planList").expect("the feed")..];
    assert_eq!(refusal(undeclared), Reason::Encoding);
    // Unless the server has said so.
    let said = |charset: &str| {
        let options = Options { charset: Some(charset.into()), ..Options::default() };
        read_with(undeclared, options).0.pop().map(|event| event.title)
    };
    assert_eq!(said("iso-8859-1").as_deref(), Some("Café"));
    assert_eq!(said("utf-8"), None);
    assert_eq!(said("latin-fancy"), None);
}

#[test]
fn a_mark_counts_more_than_a_declaration_and_that_more_than_the_server() {
    let event = titled("Café");
    let utf_8 = in_encoding(&event, UTF_8);
    let lying = String::from_utf8(utf_8.clone()).expect("text").replace("UTF-8", "ISO-8859-1");
    assert_eq!(read_whole(&[b"\xef\xbb\xbf", lying.as_bytes()].concat()).0, std::slice::from_ref(&event));
    let options = Options { charset: Some("ISO-8859-1".into()), ..Options::default() };
    assert_eq!(read_with(&*utf_8, options).0, std::slice::from_ref(&event));
    for encoding in [UTF_16LE, UTF_16BE] {
        let feed = in_encoding(&event, encoding);
        assert_eq!(read_whole(&feed).0, std::slice::from_ref(&event));
        assert_eq!(read_whole(&feed[2..]).0, std::slice::from_ref(&event), "without a mark");
    }
    // It says sixteen bits in eight.
    let sixteen = String::from_utf8(utf_8).expect("text").replace("UTF-8", "UTF-16");
    assert_eq!(read_whole(sixteen.as_bytes()).0, [event]);
}

#[test]
fn an_unknown_encoding_and_bytes_that_are_not_in_theirs_are_refused() {
    let declared = |name: &str| format!("<?xml version='1.0' encoding='{name}'?><planList/>");
    for name in ["UTF-7", "latin-fancy", "", "ISO-2022-KR", "x-user-undefined"] {
        assert_eq!(refusal(declared(name).as_bytes()), Reason::Encoding, "{name}");
    }
    read_whole(declared("us-ascii").as_bytes());
    let event = titled("Café");
    let mut cut = in_encoding(&event, UTF_16LE);
    cut.truncate(cut.len() - 1);
    assert_eq!(refusal(&cut), Reason::Encoding);
    let mut broken = in_encoding(&event, UTF_8);
    let at = broken.iter().position(|byte| *byte == 0xc3).expect("the accent");
    broken[at + 1] = b'x';
    assert_eq!(refusal(&broken), Reason::Encoding);
    let sjis = Encoding::for_label(b"Shift_JIS").expect("an encoding");
    let mut broken = in_encoding(&titled("音楽"), sjis);
    let at = broken.iter().position(|byte| *byte >= 0x80).expect("a sign");
    broken[at] = 0xff;
    assert_eq!(refusal(&broken), Reason::Encoding);
}
