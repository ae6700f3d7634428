//! What is generated is plausible, exact in number, and the same every time.

use std::collections::HashSet;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use maitred_connectors::salon::{Kind, LegacyBooking, Record, Status};
use maitred_connectors::{Format, Reader, Writer};

use super::diary::Diary;
use super::people::{OPENED_MILLIS, People};

const BOOKINGS: u64 = 20_000;

fn generated(seed: u64) -> (People, Vec<LegacyBooking>) {
    let people = People::new(seed, "appa", 500);
    let bookings = Diary::new(&people, BOOKINGS).collect();
    (people, bookings)
}

#[test]
fn the_number_of_bookings_is_exact_and_their_order_is_that_of_their_dates() {
    for bookings in [0, 1, 7, 939, BOOKINGS, 150_001] {
        let people = People::new(1, "appa", 20);
        let dates: Vec<_> = Diary::new(&people, bookings).map(|booking| booking.date).collect();
        assert_eq!(dates.len() as u64, bookings);
        assert!(dates.is_sorted());
    }
}

#[test]
fn ids_are_unique_and_every_customer_was_there_when_they_booked() {
    let (people, bookings) = generated(1);
    let customers: Vec<_> = (0..500).map(|number| people.customer(number)).collect();
    assert!(customers.is_sorted_by_key(|customer| customer.created_at));
    let created: std::collections::HashMap<_, _> =
        customers.iter().map(|customer| (&*customer.id, customer.created_at)).collect();
    assert_eq!(created.len(), 500);
    for booking in &bookings {
        let since = created.get(&*booking.customer_id).expect("a customer of this salon");
        assert!(*since <= booking.created_at, "{booking:?}");
        assert!(
            booking.created_at <= booking.updated_at && booking.created_at <= booking.date,
            "{booking:?}"
        );
    }
    assert_eq!(bookings.iter().map(|booking| &booking.id).collect::<HashSet<_>>().len() as u64, BOOKINGS);
    let used: HashSet<_> = bookings.iter().map(|booking| &booking.customer_id).collect();
    assert!(used.len() > 400, "{}", used.len());
}

#[test]
fn bookings_keep_the_opening_hours_and_the_years() {
    let (_, bookings) = generated(2);
    let berlin = TimeZone::get("Europe/Berlin").expect("it is there");
    for booking in &bookings {
        let local = booking.date.to_zoned(berlin.clone()).datetime();
        assert!((2023..=2025).contains(&local.year()), "{local}");
        assert!(!matches!(local.weekday(), Weekday::Sunday | Weekday::Monday), "{local}");
        assert!((8..20).contains(&local.hour()) && local.minute() % 5 == 0, "{local}");
    }
    let in_month = |month| {
        bookings.iter().filter(|booking| booking.date.to_zoned(berlin.clone()).month() == month).count()
    };
    assert!(in_month(12) > in_month(1), "December is busier than January");
    for status in Status::ALL {
        assert!(bookings.iter().filter(|booking| booking.status == status).count() > 100, "{status:?}");
    }
}

#[test]
fn a_seed_gives_the_same_again_and_another_seed_something_else() {
    let (_, one) = generated(1);
    assert_eq!(generated(1).1, one);
    let other = generated(2).1;
    assert!(one.iter().zip(&other).all(|(one, other)| one.id != other.id));
}

#[test]
fn one_customer_is_enough() {
    let people = People::new(1, "appa", 1);
    assert_eq!(people.count_at(OPENED_MILLIS), 1);
    let bookings: Vec<_> = Diary::new(&people, 10).collect();
    assert!(bookings.iter().all(|booking| booking.customer_id == people.customer(0).id));
}

#[test]
fn what_is_generated_is_read_alike_from_every_format() {
    let (people, bookings) = generated(3);
    let customers = (0..500).map(|number| Record::Customer(people.customer(number))).collect();
    let bookings: Vec<_> = bookings.into_iter().map(Record::Booking).collect();
    for (kind, records) in [(Kind::Customer, customers), (Kind::Booking, bookings)] {
        for format in Format::ALL {
            let mut writer = Writer::new(Vec::new(), format, kind, [7; 16]).expect("a vector takes all");
            records.iter().for_each(|record| writer.write(record).expect("a vector takes all"));
            let bytes = writer.finish().expect("a vector takes all");
            let mut reader = Reader::new(format, None);
            let mut read = Vec::new();
            for piece in bytes.chunks(10_007) {
                reader.push(piece);
                read.extend(std::iter::from_fn(|| reader.next()).map(|item| item.expect("it is whole").1));
            }
            reader.end();
            read.extend(std::iter::from_fn(|| reader.next()).map(|item| item.expect("it is whole").1));
            assert!(read == records, "{format:?}: {} of {}", read.len(), records.len());
        }
    }
}
