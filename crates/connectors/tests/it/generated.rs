//! What no input and no way of cutting it may do.

use maitred_connectors::salon::{Customer, Kind, LegacyBooking, Record, Status};
use maitred_connectors::{Format, Writer};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{read, read_cut};

const SYNC: [u8; 16] = *b"\x01sync\xff'\"{}()\n,;.";

fn text() -> impl Strategy<Value = String> {
    let hostile = prop_oneof![
        Just("'"),
        Just("''"),
        Just("\""),
        Just("\\"),
        Just("\n"),
        Just("\r\n"),
        Just(","),
        Just(";"),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("("),
        Just(")"),
        Just("),("),
        Just("},{"),
        Just("--"),
        Just("/*"),
        Just("é"),
        Just("\u{1F487}"),
        Just("\t"),
        Just(" "),
        Just("\u{0}"),
        Just("a"),
        Just("INSERT INTO "),
    ];
    vec(hostile, 0..8).prop_map(|parts| parts.concat())
}

fn instant() -> impl Strategy<Value = jiff::Timestamp> {
    (-1_000_000_000_000_i64..4_000_000_000_000)
        .prop_map(|millis| jiff::Timestamp::from_millisecond(millis).expect("within the calendar"))
}

fn id() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("x{text}"))
}

fn customer() -> impl Strategy<Value = Record> {
    (id(), text(), id(), text(), text(), instant(), instant()).prop_map(
        |(id, tenant, name, email, phone, created_at, updated_at)| {
            let tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
            Record::Customer(Customer { id, tenant, name, email, phone, created_at, updated_at })
        },
    )
}

fn booking() -> impl Strategy<Value = Record> {
    let price = prop_oneof![(-100_000_i64..100_000).prop_map(|cents| cents as f64 / 100.0), -1e15..1e15_f64];
    let status = (0..4_usize).prop_map(|at| Status::ALL[at]);
    (id(), text(), id(), text(), text(), (instant(), instant(), instant()), status, price).prop_map(
        |(id, tenant, customer_id, title, description, (date, created_at, updated_at), status, price)| {
            let tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
            let currency = "EUR".to_owned();
            Record::Booking(LegacyBooking {
                id,
                tenant,
                customer_id,
                title,
                description,
                date,
                status,
                price,
                currency,
                created_at,
                updated_at,
            })
        },
    )
}

fn records() -> impl Strategy<Value = (Kind, Vec<Record>)> {
    prop_oneof![
        vec(customer(), 0..40).prop_map(|records| (Kind::Customer, records)),
        vec(booking(), 0..40).prop_map(|records| (Kind::Booking, records)),
    ]
}

fn written(format: Format, kind: Kind, records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), format, kind, SYNC).expect("a vector takes all");
    for record in records {
        writer.write(record).expect("a vector takes all");
    }
    writer.finish().expect("a vector takes all")
}

fn format() -> impl Strategy<Value = Format> {
    (0..4_usize).prop_map(|at| Format::ALL[at])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read((kind, records) in records(), format in format(), sizes in vec(1..3000_usize, 1..5)) {
        let bytes = written(format, kind, &records);
        let items = read_cut(format, None, &bytes, &sizes);
        let read: Vec<_> = items.into_iter().map(|item| item.expect("it is whole").1).collect();
        prop_assert_eq!(read, records);
        prop_assert_eq!(Format::of_content(&bytes), format);
    }

    #[test]
    fn a_mutated_input_is_read_without_panic_and_alike_however_it_is_cut(
        (kind, records) in records(),
        format in format(),
        mutations in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
        sizes in vec(1..400_usize, 1..6),
    ) {
        let mut bytes = written(format, kind, &records);
        for (at, byte, how) in mutations {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let whole = read(format, &bytes);
        prop_assert_eq!(&read_cut(format, None, &bytes, &sizes), &whole);
        prop_assert_eq!(&read_cut(format, None, &bytes, &[1]), &whole);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_alike_however_they_are_cut(
        parts in vec(prop_oneof![text(), Just("INSERT INTO customers (id, name, created_at) VALUES ('a".to_owned()),
            Just("{\"id\":[{\"".to_owned()), Just("Obj\u{1}".to_owned()), Just("id,name\n\"".to_owned())], 0..12),
        format in format(),
        size in 1..50_usize,
    ) {
        let bytes = parts.concat().into_bytes();
        prop_assert_eq!(read_cut(format, None, &bytes, &[size]), read(format, &bytes));
    }
}
