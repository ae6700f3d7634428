//! Avro files that another implementation has written, and files that are broken.

use maitred_connectors::Format;
use maitred_connectors::salon::{Record, Status};

use crate::support::{read, read_cut, summary};

/// Written by avsc 5.7.9 for JavaScript (`tests/fixtures/README.md`).
const PLAIN: &[u8] = include_bytes!("../fixtures/bookings-null.avro");
const DEFLATED: &[u8] = include_bytes!("../fixtures/bookings-deflate.avro");
/// Written by fastavro 1.13.1 for Python.
const UNION: &[u8] = include_bytes!("../fixtures/both-kinds.avro");

#[test]
fn files_of_other_implementations_are_read() {
    for file in [PLAIN, DEFLATED] {
        let items = read(Format::Avro, file);
        assert_eq!(summary(&items), ["c1", "b1", "b2"], "{items:?}");
        assert_eq!(read_cut(Format::Avro, None, file, &[1]), items);
        let Ok((_, Record::Booking(booking))) = &items[1] else { panic!("{items:?}") };
        assert_eq!((&*booking.title, booking.price, booking.status), ("Föhnen", 29.99, Status::Completed));
        assert_eq!(booking.date.to_string(), "2024-02-29T09:30:00.123Z");
        assert_eq!((booking.tenant.as_deref(), &*booking.description), (Some("appa"), ""));
    }
}

#[test]
fn a_file_may_hold_both_kinds_with_decimals_maps_and_floats() {
    let items = read(Format::Avro, UNION);
    assert_eq!(summary(&items), ["c1", "b1"], "{items:?}");
    let Ok((_, Record::Booking(booking))) = &items[1] else { panic!("{items:?}") };
    assert_eq!(booking.price, -45.5);
    assert_eq!(booking.updated_at.to_string(), "2024-03-01T10:00:00.000001Z");
}

#[test]
fn a_broken_block_costs_itself_and_a_file_cut_short_says_so() {
    // The block's records, of a known text in the plain file.
    let at = PLAIN.windows(2).position(|bytes| bytes == b"b1").expect("the first booking");
    let mut broken = PLAIN.to_vec();
    broken[at - 1] = 0xff; // the length of the id
    let items = read(Format::Avro, &broken);
    assert!(
        items.iter().any(|item| item.as_ref().is_err_and(|problem| problem.code == "record-malformed")),
        "{items:?}"
    );
    let cut = &PLAIN[..PLAIN.len() - 20];
    let items = read(Format::Avro, cut);
    assert_eq!(summary(&items).last().map(String::as_str), Some("0:record-cut-short"), "{items:?}");
    assert_eq!(summary(&read(Format::Avro, b"no Avro")), ["0:format-unknown"]);
    assert_eq!(summary(&read(Format::Avro, &PLAIN[..50])), ["0:format-unknown"]);
}
