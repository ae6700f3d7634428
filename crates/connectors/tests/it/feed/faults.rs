//! A feed that is not whole and well-formed is refused, and none is too large for the memory.

use std::io::{self, Read};

use maitred_connectors::xml_feed::limits::{
    ATTRIBUTES_MAX, DEPTH_MAX, MARKUP_BYTES_MAX, PLANS_MAX, PROBLEMS_KEPT_MAX, ZONES_MAX,
};
use maitred_connectors::xml_feed::{Options, Reason};

use super::{Pieces, event_of, feed_of, plan_of, read, read_whole, read_with, refusal, zone_of};

fn whole() -> String {
    feed_of(&event_of("1", &plan_of("1", &zone_of("1", "1"))))
}

#[test]
fn what_is_no_feed_is_refused() {
    for (input, reason) in [
        ("", Reason::Empty),
        (" \n ", Reason::Empty),
        ("<?xml version='1.0'?>\n<!-- soon -->", Reason::Empty),
        ("<html><body>Service unavailable</body></html>", Reason::NotAPlanList),
        ("<!DOCTYPE html><html><br></html>", Reason::DocumentType),
        ("Service unavailable", Reason::Malformed),
        ("{\"error\": null}", Reason::Malformed),
        ("<PlanList/>", Reason::NotAPlanList),
        ("<planList", Reason::CutShort),
        ("<", Reason::CutShort),
    ] {
        assert_eq!(refusal(input.as_bytes()), reason, "{input}");
    }
    assert_eq!(read_whole(b"<planList/>").0, []);
    assert_eq!(read_whole(b"<planList><output/></planList>").0, []);
}

#[test]
fn a_feed_that_is_cut_anywhere_is_refused() {
    let whole = format!("<?xml version='1.0'?><!-- a --><planList><?b?><![CDATA[c]]>{}</planList>", whole());
    assert_eq!(read(whole.as_bytes()).2, Ok(()));
    for end in 0..whole.len() {
        assert!(read(&whole.as_bytes()[..end]).2.is_err(), "{}", &whole[..end]);
    }
}

#[test]
fn what_is_not_well_formed_is_refused_as_a_whole() {
    let whole = whole();
    for (from, to, reason) in [
        ("</plan>", "", Reason::Malformed),
        ("</plan>", "</plans>", Reason::Malformed),
        ("</output>", "</output></output>", Reason::Malformed),
        ("numbered=\"true\"", "numbered=true", Reason::Malformed),
        ("numbered=\"true\"", "numbered", Reason::Malformed),
        ("numbered=\"true\"", "name=\"twice\"", Reason::Malformed),
        ("Zone 1", "Zone & 1", Reason::Malformed),
        ("Zone 1", "Zone < 1", Reason::Malformed),
        ("Zone 1", "Zone \u{1} 1", Reason::Malformed),
        ("Zone 1", "Zone &#1; 1", Reason::Malformed),
        ("Zone 1", "Zone &#xD800; 1", Reason::Malformed),
        ("Zone 1", "Zone &#0; 1", Reason::Malformed),
        ("Zone 1", "Zone &eacute; 1", Reason::DocumentType),
        ("<output>", "<output>&eacute;", Reason::DocumentType),
        ("<output>", "<output>& more", Reason::Malformed),
        ("<output>", "<output>\u{8}", Reason::Malformed),
        ("<output>", "<output><?xml version='1.0'?>", Reason::Malformed),
        ("<output>", "<output><!-- a -- b -->", Reason::Malformed),
        ("<output>", "<output><!ELEMENT a>", Reason::Malformed),
        ("<planList", "more <planList", Reason::Malformed),
        ("</planList>", "</planList>more", Reason::Malformed),
        ("</planList>", "</planList><planList/>", Reason::Malformed),
        ("</planList>", "</planList>&amp;", Reason::Malformed),
    ] {
        assert!(whole.contains(from), "{from}");
        assert_eq!(refusal(whole.replacen(from, to, 1).as_bytes()), reason, "{from} -> {to}");
    }
}

#[test]
fn a_refusal_says_where() {
    let (events, _, end) = read(whole().replace("</output>", "\n  <broken a=b/></output>").as_bytes());
    assert_eq!(events.len(), 1, "what came before was handed on, and the caller throws it away");
    let refused = end.expect_err("a refusal");
    assert_eq!((refused.place.line, refused.reason), (Some(5), Reason::Malformed));
    assert!(refused.to_string().starts_with("feed-malformed: "), "{refused}");
}

#[test]
fn document_types_are_refused_whatever_they_hold() {
    let bomb = "<!DOCTYPE planList [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
                <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]>";
    let outside = "<!DOCTYPE planList [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>";
    for doctype in
        [bomb, outside, "<!DOCTYPE planList>", "<!DOCTYPE planList SYSTEM \"http://a.example/x.dtd\">"]
    {
        let feed = doctype.to_owned() + &whole().replace("Zone 1", "&x;&c;");
        assert_eq!(refusal(feed.as_bytes()), Reason::DocumentType, "{doctype}");
        assert_eq!(refusal(&doctype.as_bytes()[..doctype.len() - 1]), Reason::CutShort, "{doctype}");
    }
}

/// So many bytes that never end a tag.
struct Endless(&'static [u8], u64);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.0.is_empty() {
            let len = self.0.read(into)?;
            return Ok(len);
        }
        self.1 += into.len() as u64;
        into.fill(b'a');
        Ok(into.len())
    }
}

#[test]
fn markup_that_does_not_end_is_given_up_early() {
    for beginning in [
        "<",
        "<planList a='",
        "<planList><!--",
        "<planList><![CDATA[",
        "<planList>",
        "<!DOCTYPE ",
        "<?",
        "<planList>&",
    ] {
        let mut input = Endless(beginning.as_bytes(), 0);
        let (_, _, end) = read(&mut input);
        let reason = end.expect_err("a refusal").reason;
        assert_eq!(reason, Reason::MarkupTooLong, "{beginning}");
        assert!(input.1 <= 4 * MARKUP_BYTES_MAX as u64, "{beginning}: {} bytes", input.1);
    }
    let fits = whole().replace("<output>", &format!("<output>{}", "a".repeat(MARKUP_BYTES_MAX - 1)));
    assert_eq!(read(fits.as_bytes()).2, Ok(()));
}

#[test]
fn depth_and_attributes_have_bounds() {
    let nested = |depth: usize| {
        let inner = depth - 1;
        format!("<planList>{}{}</planList>", "<a>".repeat(inner), "</a>".repeat(inner))
    };
    read_whole(nested(DEPTH_MAX).as_bytes());
    assert_eq!(refusal(nested(DEPTH_MAX + 1).as_bytes()), Reason::TooDeep);
    let wide = |count: usize| {
        let attributes: String = (0..count).map(|number| format!(" a{number}=''")).collect();
        format!("<planList><x{attributes}/></planList>")
    };
    read_whole(wide(ATTRIBUTES_MAX).as_bytes());
    assert_eq!(refusal(wide(ATTRIBUTES_MAX + 1).as_bytes()), Reason::TooManyAttributes);
}

#[test]
fn an_event_that_is_too_large_costs_itself() {
    let good = event_of("2", &plan_of("1", &zone_of("1", "1")));
    let plans: String = (0..=PLANS_MAX).map(|id| plan_of(&id.to_string(), "")).collect();
    let zones: String = (0..=ZONES_MAX)
        .map(|id| format!("<zone zone_id='{id}' capacity='1' price='1' name='' numbered=''/>"))
        .collect();
    let long = "x".repeat(900);
    let heavy: String = (0..200).map(|id| zone_of(&id.to_string(), "1").replace("Zone", &long)).collect();
    for large in [plans, plan_of("1", &zones), plan_of("1", &heavy)] {
        let (events, tally) = read_whole(feed_of(&(event_of("1", &large) + &good)).as_bytes());
        assert_eq!(events.iter().map(|event| &*event.id).collect::<Vec<_>>(), ["2"]);
        assert_eq!((tally.events, tally.events_left_out, tally.problems_total()), (1, 1, 1));
        assert_eq!(tally.problems[0].code, "event-too-large");
    }
}

#[test]
fn all_problems_are_counted_and_some_are_kept() {
    let zones: String = (0..1_000).map(|id| zone_of(&id.to_string(), "free")).collect();
    let (events, tally) = read_whole(feed_of(&event_of("1", &plan_of("1", &zones))).as_bytes());
    assert_eq!(events[0].plans[0].zones, []);
    assert_eq!((tally.zones_left_out, tally.problems_total()), (1_000, 1_000));
    assert_eq!(tally.problems.len(), PROBLEMS_KEPT_MAX);
    assert!(tally.problems.windows(2).all(|pair| pair[0].place.byte < pair[1].place.byte));
}

#[test]
fn bytes_and_time_have_bounds() {
    let whole = whole();
    let bytes_max = whole.len() as u64;
    let with = |bytes_max: u64, go_on: bool| {
        let options = Options { bytes_max, go_on: Box::new(move || go_on), ..Options::default() };
        read_with(Pieces(whole.as_bytes(), 7), options).2.map_err(|refused| refused.reason)
    };
    assert_eq!(with(bytes_max, true), Ok(()));
    assert_eq!(with(bytes_max - 1, true), Err(Reason::TooLong));
    assert_eq!(with(bytes_max, false), Err(Reason::TooSlow));
}

#[test]
fn a_file_that_fails_is_no_end() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let whole = whole();
    let (_, _, end) = read(whole.as_bytes().chain(Failing));
    let refused = end.expect_err("a refusal");
    assert_eq!(refused.reason, Reason::Unreadable);
    assert!(refused.detail.contains("the disk is gone"), "{refused}");
}

#[test]
fn how_the_input_is_cut_changes_nothing() {
    let feed = whole().replace("Zone 1", "Zoné 1 &amp; \u{1F3B5}").replace("price=\"1\"", "price=\"?\"");
    let expected = read(feed.as_bytes());
    for len in [1, 2, 3, 5, 64] {
        assert_eq!(read(Pieces(feed.as_bytes(), len)), expected, "{len}");
    }
}
