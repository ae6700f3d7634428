//! Claims, and what stood when: rows, and histories against a model.

use proptest::prelude::*;

use super::*;
use crate::testing::MemoryView;

const OWNER: RecordId = RecordId { tenant: TenantNumber(1), kind: Kind::Appointment, id: 5 };
const OTHER: RecordId = RecordId { id: 6, ..OWNER };

fn at(hour: i64) -> Timestamp {
    Timestamp::from_millis(hour * 3_600_000)
}

fn claim(owner: RecordId, starts_at: i64, ends_at: i64, since: Seq) -> Claim {
    let since = ChangeId { seq: since, ordinal: 0 };
    let (starts_at, ends_at) = (at(starts_at), at(ends_at));
    let terms = Terms::default();
    Claim { resource: 1, starts_at, ends_at, kind: owner.kind, id: owner.id, since, terms }
}

#[test]
fn terms_are_kept_beside_a_claim_and_are_no_part_of_its_history() {
    let mut view = MemoryView::default();
    let usual = claim(OWNER, 0, 1, 1);
    let until = Some(at(5));
    for terms in [
        Terms { before_minutes: 5, after_minutes: u32::MAX, until },
        Terms { until: None, ..Terms::default() },
    ] {
        put(&mut view, OWNER.tenant, &usual);
        renew(&mut view, OWNER, 1, at(0), terms);
        let found = standing(&view, OWNER.tenant, 1, Interval::ALL, None, None, 2).claims;
        assert_eq!(found, [Claim { terms, ..usual }]);
    }
    put(&mut view, OWNER.tenant, &Claim { terms: Terms { until, ..Terms::default() }, ..usual });
    end(&mut view, OWNER, 1, at(0), ChangeId { seq: 2, ordinal: 0 });
    let found = standing(&view, OWNER.tenant, 1, Interval::ALL, Some(1), None, 2).claims;
    assert_eq!(found, [usual]);
}

#[test]
fn an_owner_of_several_claims_is_never_in_its_own_way() {
    let mut view = MemoryView::default();
    for (owner, hour) in [(OTHER, 0), (OWNER, 2), (OWNER, 4), (OWNER, 6)] {
        put(&mut view, OWNER.tenant, &claim(owner, hour, hour + 2, 1));
    }
    let free = |owner, from, to| is_free(&view, owner, 1, at(from), at(to));
    assert!(free(OWNER, 2, 9));
    assert!(!free(OWNER, 1, 9));
    assert!(!free(OTHER, 7, 9));
    assert!(free(OTHER, 0, 2));
    let same_id = RecordId { kind: Kind::Tenant, ..OWNER };
    assert!(!free(same_id, 2, 4), "another kind's record of the same id is another owner");
    let (in_it, more) = in_the_way(&view, OTHER, 1, at(1), at(7), 2);
    assert_eq!((in_it, more), (vec![claim(OWNER, 2, 4, 1), claim(OWNER, 4, 6, 1)], true));
    let (in_it, more) = in_the_way(&view, OWNER, 1, at(1), at(7), 2);
    assert_eq!((in_it, more), (vec![claim(OTHER, 0, 2, 1)], false));
}

#[test]
fn the_past_is_found_through_any_number_of_later_moves() {
    let mut view = MemoryView::default();
    let moves = VISITS_MAX as i64 * 2;
    let long = claim(OTHER, 0, moves, 1);
    put(&mut view, OWNER.tenant, &long);
    end(&mut view, OTHER, 1, long.starts_at, ChangeId { seq: 2, ordinal: 0 });
    for hour in 1..moves {
        let seq = hour as Seq + 1;
        put(&mut view, OWNER.tenant, &claim(OWNER, hour, hour + 1, seq));
        end(&mut view, OWNER, 1, at(hour), ChangeId { seq: seq + 1, ordinal: 0 });
    }
    let after_all = claim(RecordId { id: 7, ..OWNER }, moves, moves + 1, 1);
    put(&mut view, OWNER.tenant, &after_all);
    // After the first batch the long one stood and the last one; both reach into the last two hours.
    let interval = Interval::new(at(moves - 1), at(moves + 1));
    let first = standing(&view, OWNER.tenant, 1, interval, Some(1), None, 10);
    assert_eq!(first.claims, [long]);
    assert!(first.visits <= VISITS_MAX + 2 && first.through.is_some());
    assert_eq!(
        in_parts(&view, interval, Some(1), 10),
        [long, after_all].map(|claim| (claim.starts_at, claim.ends_at, claim.id))
    );
    // A batch later each move stood alone.
    let late = standing(&view, OWNER.tenant, 1, Interval::ALL, Some(3), Some(at(1)), 10);
    assert_eq!(late.claims, [claim(OWNER, 2, 3, 3)]);
}

#[test]
fn the_past_is_found_behind_any_number_of_claims_of_one_start() {
    let mut view = MemoryView::default();
    let last = VISITS_MAX as Seq + 5;
    for seq in 1..=last {
        put(&mut view, OWNER.tenant, &claim(OWNER, 0, 1, seq));
        end(&mut view, OWNER, 1, at(0), ChangeId { seq: seq + 1, ordinal: 0 });
    }
    let found = in_parts(&view, Interval::ALL, Some(last), 10);
    assert_eq!(found, [(at(0), at(1), OWNER.id)]);
}

#[test]
#[should_panic(expected = "a record ends its own claims only")]
fn nobody_ends_the_claim_of_another() {
    let mut view = MemoryView::default();
    put(&mut view, OWNER.tenant, &claim(OWNER, 0, 1, 1));
    end(&mut view, OTHER, 1, at(0), ChangeId { seq: 2, ordinal: 0 });
}

/// All that [`standing`] hands over, in parts of at most `claims_max`.
fn in_parts(
    view: &MemoryView,
    interval: Interval,
    as_of: Option<Seq>,
    claims_max: usize,
) -> Vec<(Timestamp, Timestamp, u128)> {
    let mut all = Vec::new();
    let mut behind = None;
    loop {
        let part = standing(view, OWNER.tenant, 1, interval, as_of, behind, claims_max);
        assert!(part.claims.len() <= claims_max);
        all.extend(part.claims.iter().map(|claim| (claim.starts_at, claim.ends_at, claim.id)));
        if part.through.is_none() {
            return all;
        }
        assert!(part.through > behind, "every part goes on");
        behind = part.through;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Each move gives one of four owners another time, where that is free; the model keeps every claim
    /// with the batches between which it stood.
    #[test]
    fn every_past_comes_back_in_parts_of_any_size(
        moves in proptest::collection::vec((0_u128..4, 0_i64..12, 1_i64..4), 1..60),
        interval in prop_oneof![
            (proptest::option::of(0_i64..8), proptest::option::of(8_i64..16))
                .prop_map(|(from, to)| Interval { from: from.map(at), to: to.map(at) }),
            (0_i64..16).prop_map(|hour| Interval::at(at(hour))),
            (0_i64..16).prop_map(|hour| Interval::at(before(at(hour), 1))),
        ],
        claims_max in 1_usize..4,
    ) {
        let mut view = MemoryView::default();
        let mut model: Vec<(Claim, Option<Seq>)> = Vec::new();
        for (i, (owner, start, length)) in moves.iter().enumerate() {
            let seq = i as Seq + 1;
            let owner = RecordId { id: *owner, ..OWNER };
            let new = claim(owner, *start, start + length, seq);
            let stands = |(_, ended): &&mut (Claim, Option<Seq>)| ended.is_none();
            let free = !model.iter_mut().filter(stands).any(|(other, _)| {
                other.id != owner.id && other.starts_at < new.ends_at && new.starts_at < other.ends_at
            });
            prop_assert_eq!(is_free(&view, owner, 1, new.starts_at, new.ends_at), free);
            if !free {
                continue;
            }
            if let Some((old, ended)) = model.iter_mut().filter(stands).find(|(old, _)| old.id == owner.id) {
                *ended = Some(seq);
                end(&mut view, owner, 1, old.starts_at, ChangeId { seq, ordinal: 0 });
            }
            put(&mut view, OWNER.tenant, &new);
            model.push((new, None));
        }
        for as_of in (0..=moves.len() as Seq).map(Some).chain([None]) {
            let seq = as_of.unwrap_or(Seq::MAX - 1);
            let stood = |(claim, ended): &&(Claim, Option<Seq>)| {
                claim.since.seq <= seq
                    && ended.is_none_or(|ended| seq < ended)
                    && interval.from.is_none_or(|from| claim.ends_at > from)
                    && interval.to.is_none_or(|to| claim.starts_at < to)
            };
            let claims = model.iter().filter(stood).map(|(claim, _)| claim);
            let mut expected: Vec<_> = claims.map(|c| (c.starts_at, c.ends_at, c.id)).collect();
            expected.sort_unstable();
            prop_assert_eq!(in_parts(&view, interval, as_of, claims_max), expected);
        }
    }
}
