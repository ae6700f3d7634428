//! What is read of records with many versions, and of some that lack one.

use super::*;
use crate::testing::MemoryView;

const RECORD: RecordId = RecordId { tenant: TenantNumber(3), kind: Kind::Appointment, id: 77 };

/// Record 77 written in batches 2, 2, 5 and 9, with another record's version in between.
fn four_versions() -> MemoryView {
    let mut view = MemoryView::default();
    let mut put = |record, seq, ordinal, body: &str| {
        let timestamp = Timestamp::from_millis(seq as i64 * 1_000);
        let at = At { tenant: RECORD.tenant, seq, ordinal, timestamp };
        put_version(&mut view, record, ChangeType::Updated, at, &body)
            .map(|superseded| superseded.version().decode::<&str>().to_owned())
    };
    assert_eq!(put(RECORD, 2, 0, "one"), None);
    assert_eq!(put(RECORD, 2, 3, "two"), Some("one".into()));
    assert_eq!(put(RecordId { id: 78, ..RECORD }, 3, 0, "other"), None);
    assert_eq!(put(RECORD, 5, 0, "three"), Some("two".into()));
    assert_eq!(put(RECORD, 9, 1, "four"), Some("three".into()));
    view
}

fn seen(view: &MemoryView, after: Option<ChangeId>, as_of: Option<Seq>, max: usize) -> Vec<String> {
    let mut seen = Vec::new();
    versions(view, RECORD, after, as_of, &mut |version| {
        assert_eq!(version.at, Timestamp::from_millis(version.change.seq as i64 * 1_000));
        seen.push(format!("{} {}", version.version, version.decode::<&str>()));
        if seen.len() == max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    seen
}

#[test]
fn every_kind_but_those_of_the_server_is_in_feeds() {
    let known = (0..=u8::MAX).filter_map(|n| std::panic::catch_unwind(|| Kind::from_number(n)).ok());
    let known: Vec<_> = known.filter(|kind| !matches!(kind, Kind::Tenant | Kind::ApiKey)).collect();
    assert_eq!(known, Kind::in_feeds().collect::<Vec<_>>());
}

#[test]
fn the_past_is_found_by_the_last_batch_it_knew() {
    let view = four_versions();
    let body = |seq| as_of(&view, RECORD, seq).map(|version| version.decode::<&str>());
    let past = [0, 1, 2, 4, 5, 8, 9, Seq::MAX].map(|seq| body(Some(seq)));
    let (two, three, four) = (Some("two"), Some("three"), Some("four"));
    assert_eq!(past, [None, None, two, two, three, three, four, four]);
    assert_eq!(body(None), four);
    assert_eq!(as_of(&view, RecordId { id: 79, ..RECORD }, None), None);
}

/// What reading a view says without the entries of `Version` for which `is_lost` holds of their number.
fn without(is_lost: impl Fn(u64) -> bool, read: impl FnOnce(&MemoryView)) -> Result<(), String> {
    let mut view = four_versions();
    let lost = |(key, value): &(&[u8], &[u8])| {
        key.starts_with(&RECORD.versions()) && is_lost(Version::read(value).version)
    };
    let keys: Vec<_> = view.entries().filter(lost).map(|(key, _)| key.to_vec()).collect();
    assert!(!keys.is_empty(), "something is lost");
    keys.iter().for_each(|key| view.delete(key));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&view)));
    caught.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn i8_a_version_that_is_not_there_is_the_loss_of_data_and_no_empty_answer() {
    let missing = |what: Result<(), String>, number: u64| {
        let text = what.expect_err("it is not answered");
        let expected = format!("data loss: version {number} of appointment");
        assert!(text.starts_with(&expected), "{text}");
    };
    let as_of = |seq| {
        move |view: &MemoryView| {
            let _ = as_of(view, RECORD, Some(seq));
        }
    };
    // Of a record that is there from batch 2 on all versions but the current one are lost...
    missing(without(|_| true, as_of(1)), 1);
    missing(without(|_| true, as_of(5)), 1);
    // ... or the first ones, or one in the middle.
    missing(without(|version| version < 3, as_of(2)), 1);
    missing(without(|version| version == 3, as_of(5)), 3);
    missing(without(|version| version == 2, as_of(2)), 2);
    missing(without(|version| version == 1, as_of(1)), 1);
    assert_eq!(without(|version| version == 2, as_of(1)), Ok(()), "it was not there yet");
    assert_eq!(without(|version| version < 3, as_of(5)), Ok(()), "this one is there");
    let all = |view: &MemoryView| drop(seen(view, None, None, usize::MAX));
    for (lost, first) in [(1, 1), (2, 2), (3, 3)] {
        missing(without(|version| version == lost, all), first);
    }
    missing(without(|_| true, all), 1);
    let resumed =
        |view: &MemoryView| drop(seen(view, Some(ChangeId { seq: 2, ordinal: 0 }), None, usize::MAX));
    missing(without(|version| version == 3, resumed), 3);
    let stream = |view: &MemoryView| {
        changes(view, RECORD.tenant, ChangeId::default(), &mut |_| ControlFlow::Continue(()));
    };
    missing(without(|version| version == 2, stream), 2);
}

#[test]
fn versions_come_oldest_first_and_resume_behind_the_last_one() {
    let view = four_versions();
    assert_eq!(seen(&view, None, None, 9), ["1 one", "2 two", "3 three", "4 four"]);
    assert_eq!(seen(&view, None, None, 2), ["1 one", "2 two"]);
    assert_eq!(seen(&view, Some(ChangeId { seq: 2, ordinal: 3 }), None, 9), ["3 three", "4 four"]);
    assert_eq!(seen(&view, Some(ChangeId { seq: 2, ordinal: Ordinal::MAX }), None, 1), ["3 three"]);
    assert_eq!(seen(&view, Some(ChangeId { seq: 9, ordinal: 1 }), None, 9), [""; 0]);
    assert_eq!(seen(&view, None, Some(5), 9), ["1 one", "2 two", "3 three"]);
    assert_eq!(seen(&view, Some(ChangeId { seq: 2, ordinal: 0 }), Some(2), 9), ["2 two"]);
}

#[test]
fn changes_come_in_the_order_of_the_log_with_the_body_of_their_time() {
    let view = four_versions();
    let since = |after| {
        let mut seen = Vec::new();
        changes(&view, RECORD.tenant, after, &mut |change| {
            let Change { record, version, .. } = change;
            seen.push(format!("{} v{} {}", record.id, version.version, version.decode::<&str>()));
            ControlFlow::Continue(())
        });
        seen
    };
    let all = ["77 v1 one", "77 v2 two", "78 v1 other", "77 v3 three", "77 v4 four"];
    assert_eq!(since(ChangeId::default()), all);
    assert_eq!(since(ChangeId { seq: 2, ordinal: 0 }), all[1..]);
    assert_eq!(since(ChangeId { seq: 2, ordinal: Ordinal::MAX }), all[2..]);
    assert_eq!(since(ChangeId { seq: 9, ordinal: 1 }), [""; 0]);
}
