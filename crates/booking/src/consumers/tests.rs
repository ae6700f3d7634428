//! Every answer that consumers are given, and those who decide about their dead letters.

use std::collections::{BTreeMap, BTreeSet};

use maitred_core::{ChangeId, TenantNumber, Timestamp, Write};

use super::view::{Shelf, choices, crashes, of_key, standing, taken_up};
use super::*;
use crate::testing::World;

const SYSTEM: TenantNumber = TenantNumber::SYSTEM;

fn holder(consumer: &str, epoch: u64) -> Holder {
    Holder { consumer: consumer.into(), epoch }
}

fn keep(consumer: &str, seq: u64, ordinal: u32) -> Command {
    Command::KeepCursor(holder(consumer, 0), CursorKept { consumer: consumer.into(), seq, ordinal })
}

fn park(consumer: &str, seq: u64) -> Command {
    Command::Park(holder(consumer, 0), letter(consumer, seq))
}

fn letter(consumer: &str, seq: u64) -> DeadLetterParked {
    DeadLetterParked {
        consumer: consumer.into(),
        seq,
        ordinal: 1,
        decided_at: Timestamp::from_millis(seq as i64),
        tenant: 3,
        key: 9,
        attempts: 8,
        reason: "nobody answers".into(),
    }
}

fn place(seq: u64) -> Place {
    Place { seq, ordinal: 1 }
}

fn outcome(world: &mut World<Rules>, command: &Command) -> Result<Outcome, String> {
    let answer = world.submit(SYSTEM, command);
    answer.map(|(_, outcome)| outcome).map_err(|rejection| rejection.code.into())
}

#[test]
fn a_cursor_goes_forward_and_never_back() {
    let mut world = World::new(Rules);
    assert_eq!(cursor(&world.view, "a"), ChangeId::default());
    assert_eq!(outcome(&mut world, &keep("a", 5, 2)), Ok(Outcome::Kept));
    for behind in [keep("a", 5, 2), keep("a", 5, 1), keep("a", 4, u32::MAX)] {
        assert_eq!(outcome(&mut world, &behind), Ok(Outcome::Known));
    }
    assert_eq!(outcome(&mut world, &keep("a", 5, 3)), Ok(Outcome::Kept));
    assert_eq!(outcome(&mut world, &keep("b", 1, 0)), Ok(Outcome::Kept), "each has its own");
    assert_eq!(cursor(&world.view, "a"), ChangeId { seq: 5, ordinal: 3 });
    assert_eq!(cursor(&world.view, "b"), ChangeId { seq: 1, ordinal: 0 });
    assert_eq!(world.replay(), world.view);
}

#[test]
fn the_newest_epoch_alone_writes() {
    let mut world = World::new(Rules);
    let superseded = Err("consumer-superseded".into());
    let claim = |epoch| Command::Claim(holder("a", epoch));
    assert_eq!(outcome(&mut world, &claim(2)), superseded, "none is left out");
    assert_eq!(outcome(&mut world, &claim(1)), Ok(Outcome::Kept));
    assert_eq!(outcome(&mut world, &claim(1)), superseded, "the faster one has it");
    assert_eq!(outcome(&mut world, &claim(2)), Ok(Outcome::Kept));
    let cursor = |seq| CursorKept { consumer: "a".into(), seq, ordinal: 0 };
    for epoch in [0, 1, 3] {
        for command in [
            Command::KeepCursor(holder("a", epoch), cursor(9)),
            Command::Try(holder("a", epoch), place(1)),
            Command::Park(holder("a", epoch), letter("a", 1)),
            Command::Settle(holder("a", epoch), place(1)),
        ] {
            assert_eq!(outcome(&mut world, &command), superseded, "{command:?}");
        }
    }
    assert_eq!(standing(&world.view, "a").cursor, ChangeId::default());
    assert_eq!(outcome(&mut world, &Command::KeepCursor(holder("a", 2), cursor(9))), Ok(Outcome::Kept));
    assert_eq!(outcome(&mut world, &Command::Claim(holder("b", 1))), Ok(Outcome::Kept), "each has its own");
    assert_eq!(world.replay(), world.view);
}

#[test]
fn claims_count_how_long_the_cursor_has_not_moved() {
    let mut world = World::new(Rules);
    let mut stalled = Vec::new();
    for epoch in 1..=6 {
        outcome(&mut world, &Command::Claim(holder("a", epoch))).expect("it is the next one");
        stalled.push(standing(&world.view, "a").stalled);
        if epoch == 4 {
            let cursor = CursorKept { consumer: "a".into(), seq: 7, ordinal: 0 };
            outcome(&mut world, &Command::KeepCursor(holder("a", epoch), cursor)).expect("it is kept");
        }
    }
    assert_eq!(stalled, [0, 1, 2, 3, 0, 1]);
    assert_eq!(world.replay(), world.view);
}

#[test]
fn a_try_counts_when_its_epoch_ended_with_it() {
    let mut world = World::new(Rules);
    let mut tried = |epoch, claims: bool, seq| {
        if claims {
            outcome(&mut world, &Command::Claim(holder("a", epoch))).expect("it is the next one");
        }
        let before = crashes(&world.view, "a", epoch, place(seq).into());
        outcome(&mut world, &Command::Try(holder("a", epoch), place(seq))).expect("it is noted");
        assert_eq!(crashes(&world.view, "a", epoch, place(seq).into()), before);
        before
    };
    assert_eq!(tried(1, true, 5), 0);
    assert_eq!(tried(1, false, 6), 0, "the first one came to its end");
    assert_eq!(tried(2, true, 5), 0);
    assert_eq!(tried(2, false, 6), 1, "the process ended with this one");
    assert_eq!(tried(2, false, 6), 1, "tried twice by one process");
    assert_eq!(tried(3, true, 5), 0);
    assert_eq!(tried(3, false, 6), 2);
    let kept = CursorKept { consumer: "a".into(), seq: 6, ordinal: 1 };
    outcome(&mut world, &Command::KeepCursor(holder("a", 3), kept)).expect("it is kept");
    assert_eq!(crashes(&world.view, "a", 9, place(6).into()), 0, "what is done has no past");
    assert_eq!(world.replay(), world.view);
}

#[test]
fn what_is_put_aside_is_kept_once_and_listed_in_the_logs_order() {
    let mut world = World::new(Rules);
    for seq in [7, 5, 6, 5] {
        let expected =
            if seq == 5 && dead_letter_count(&world.view, "a") == 3 { Outcome::Known } else { Outcome::Kept };
        assert_eq!(outcome(&mut world, &park("a", seq)), Ok(expected), "{seq}");
    }
    assert_eq!(outcome(&mut world, &park("b", 1)), Ok(Outcome::Kept));
    assert_eq!(dead_letter_count(&world.view, "a"), 3);
    let all = [5, 6, 7].map(|seq| letter("a", seq));
    assert_eq!(dead_letters(&world.view, "a", None, 9), all);
    assert_eq!(dead_letters(&world.view, "a", None, 2), all[..2]);
    let after = |place| dead_letters(&world.view, "a", Some(place), 9);
    assert_eq!(after(all[0].place()), all[1..]);
    assert_eq!(after(ChangeId { seq: 5, ordinal: 0 }), all);
    assert_eq!(after(ChangeId { seq: 5, ordinal: u32::MAX }), all[1..]);
    assert_eq!(all[0].tenant(), TenantNumber(3));
    assert_eq!(of_key(&world.view, "a", TenantNumber(3), 9), (3, 0));
    assert_eq!(world.replay(), world.view);
}

/// A selection of the consumer `a`'s letters.
fn of_a() -> Selection {
    Selection { consumer: "a".into(), ..Selection::default() }
}

#[test]
fn what_is_redriven_is_taken_up_in_order_and_goes_back_with_what_is_behind_it() {
    let mut world = World::new(Rules);
    for seq in [5, 6, 7, 9] {
        outcome(&mut world, &park("a", seq)).expect("it is put aside");
    }
    let redrive = Command::Redrive(of_a());
    assert_eq!(outcome(&mut world, &redrive), Ok(Outcome::Chosen(0)), "all of it is still the runner's");
    outcome(&mut world, &keep("a", 8, 0)).expect("it is kept");
    let some = Selection { before: Some(Timestamp::from_millis(7)), ..of_a() };
    assert_eq!(outcome(&mut world, &Command::Redrive(some)), Ok(Outcome::Chosen(2)));
    let taken =
        |world: &World<Rules>| taken_up(&world.view, "a", 9).iter().map(|at| at.seq).collect::<Vec<_>>();
    let aside = |world: &World<Rules>| {
        dead_letters(&world.view, "a", None, 9).iter().map(|letter| letter.seq).collect::<Vec<_>>()
    };
    assert_eq!((taken(&world), aside(&world)), (vec![5, 6], vec![7, 9]));
    assert_eq!(of_key(&world.view, "a", TenantNumber(3), 9), (2, 2));
    assert_eq!(taken_up(&world.view, "a", 1).len(), 1);
    assert_eq!(outcome(&mut world, &park("a", 5)), Ok(Outcome::Kept), "it fails again");
    assert_eq!((taken(&world), aside(&world)), (vec![], vec![5, 6, 7, 9]));
    assert_eq!(outcome(&mut world, &redrive), Ok(Outcome::Chosen(3)), "9 stands behind the cursor");
    for (seq, expected) in [(5, Outcome::Kept), (5, Outcome::Known), (6, Outcome::Kept), (9, Outcome::Known)]
    {
        assert_eq!(outcome(&mut world, &Command::Settle(holder("a", 0), place(seq))), Ok(expected), "{seq}");
    }
    assert_eq!((taken(&world), aside(&world)), (vec![7], vec![9]));
    assert_eq!(dead_letter_count(&world.view, "a"), 2);
    assert_eq!(outcome(&mut world, &Command::Discard(of_a())), Ok(Outcome::Chosen(0)));
    outcome(&mut world, &keep("a", 10, 0)).expect("it is kept");
    assert_eq!(outcome(&mut world, &Command::Discard(of_a())), Ok(Outcome::Chosen(1)));
    assert_eq!((taken(&world), aside(&world)), (vec![7], vec![]), "what is taken up is not thrown away");
    let decided: Vec<_> = choices(&world.view, "a", None, 9)
        .into_iter()
        .map(|choice| (choice.redriven, choice.chosen.places.iter().map(|at| at.seq).collect::<Vec<_>>()))
        .collect();
    assert_eq!(decided, [(true, vec![5, 6]), (true, vec![5, 6, 7]), (false, vec![9])]);
    let first = choices(&world.view, "a", None, 1).remove(0);
    assert_eq!(choices(&world.view, "a", Some(first.change), 9).len(), 2);
    assert_eq!(world.replay(), world.view);
}

#[test]
fn a_selection_has_what_matches_all_of_it() {
    let is = letter("a", 5);
    let cases = [
        (of_a(), true),
        (Selection { tenant: Some(TenantNumber(3)), ..of_a() }, true),
        (Selection { tenant: Some(TenantNumber(4)), ..of_a() }, false),
        (Selection { key: Some(9), ..of_a() }, true),
        (Selection { key: Some(8), ..of_a() }, false),
        (Selection { before: Some(Timestamp::from_millis(5)), ..of_a() }, false),
        (Selection { before: Some(Timestamp::from_millis(6)), key: Some(9), ..of_a() }, true),
        (Selection { before: Some(Timestamp::from_millis(6)), key: Some(8), ..of_a() }, false),
    ];
    for (selection, has) in cases {
        assert_eq!(selection.has(&is), has, "{selection:?}");
    }
}

#[test]
fn one_command_decides_about_so_many_and_no_more() {
    let mut world = World::new(Rules);
    for seq in 1..=CHOSEN_MAX as u64 + 1 {
        outcome(&mut world, &park("a", seq)).expect("it is put aside");
    }
    outcome(&mut world, &keep("a", 5_000, 0)).expect("it is kept");
    assert_eq!(outcome(&mut world, &Command::Discard(of_a())), Ok(Outcome::Chosen(CHOSEN_MAX as u32)));
    assert_eq!(dead_letters(&world.view, "a", None, 9), [letter("a", CHOSEN_MAX as u64 + 1)]);
    assert_eq!(world.replay(), world.view);
}

#[test]
fn random_histories_agree_with_two_maps() {
    for seed in 0..50_u64 {
        let mut world = World::new(Rules);
        let mut parked: BTreeMap<u64, u128> = BTreeMap::new();
        let mut taken: BTreeMap<u64, u128> = BTreeMap::new();
        let mut lot = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        outcome(&mut world, &keep("a", 100, 0)).expect("all of it may be decided about");
        for _ in 0..200 {
            lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (what, seq, key) = (lot >> 60, (lot >> 40) % 30, u128::from((lot >> 33) % 3));
            let mut is = letter("a", seq);
            is.key = parked.get(&seq).or(taken.get(&seq)).copied().unwrap_or(key);
            match what {
                0..8 => {
                    let was_taken = taken.contains_key(&seq);
                    outcome(&mut world, &Command::Park(holder("a", 0), is.clone())).expect("there is room");
                    parked.insert(seq, is.key);
                    if was_taken {
                        let back: Vec<u64> = taken
                            .iter()
                            .filter(|(at, of)| **at >= seq && **of == is.key)
                            .map(|(at, _)| *at)
                            .collect();
                        for at in back {
                            parked.extend(taken.remove_entry(&at));
                        }
                    }
                }
                8..12 => {
                    let selection = Selection { key: Some(key), ..of_a() };
                    outcome(&mut world, &Command::Redrive(selection)).expect("it may be");
                    let moved: Vec<u64> =
                        parked.iter().filter(|(_, of)| **of == key).map(|(at, _)| *at).collect();
                    for at in moved {
                        taken.extend(parked.remove_entry(&at));
                    }
                }
                12..15 => {
                    outcome(&mut world, &Command::Settle(holder("a", 0), place(seq))).expect("it may be");
                    taken.remove(&seq);
                }
                _ => {
                    let before = Timestamp::from_millis(seq as i64);
                    let selection = Selection { key: Some(key), before: Some(before), ..of_a() };
                    outcome(&mut world, &Command::Discard(selection)).expect("it may be");
                    parked.retain(|at, of| *at >= seq || *of != key);
                }
            }
            let view = &world.view;
            let aside: BTreeSet<u64> = dead_letters(view, "a", None, 99).iter().map(|is| is.seq).collect();
            assert_eq!(aside, parked.keys().copied().collect(), "seed {seed}");
            let up: BTreeSet<u64> = taken_up(view, "a", 99).iter().map(|at| at.seq).collect();
            assert_eq!(up, taken.keys().copied().collect(), "seed {seed}");
            assert_eq!(dead_letter_count(view, "a"), (parked.len() + taken.len()) as u64, "seed {seed}");
            for key in 0..3 {
                let of = |map: &BTreeMap<u64, u128>| map.values().filter(|of| **of == key).count() as u32;
                let counts = of_key(view, "a", TenantNumber(3), key);
                assert_eq!(counts, (of(&parked), of(&taken)), "seed {seed}");
            }
            for at in taken.keys() {
                let is = super::view::letter(view, "a", Shelf::TakenUp, place(*at).into());
                assert!(is.is_some_and(|is| is.seq == *at), "seed {seed}");
            }
        }
        assert_eq!(world.replay(), world.view);
    }
}

#[test]
fn a_consumer_with_too_many_dead_letters_keeps_the_next_one() {
    let mut world = World::new(Rules);
    assert_eq!(outcome(&mut world, &park("a", 1)), Ok(Outcome::Kept));
    let count =
        maitred_core::Key::of(maitred_core::Table::Consumer, SYSTEM).u128(crate::name::hash("a")).u8(1);
    world.view.put(&count, &DEAD_LETTERS_MAX.to_be_bytes());
    let refused = outcome(&mut world, &park("a", 2));
    assert_eq!(refused, Err("too-many-dead-letters".into()));
    assert_eq!(outcome(&mut world, &park("a", 1)), Ok(Outcome::Known), "it is there");
    assert_eq!(outcome(&mut world, &park("b", 2)), Ok(Outcome::Kept));
}

#[test]
fn two_names_of_one_hash_are_never_taken_for_each_other() {
    let mut world = World::new(Rules);
    super::view::put_cursor(&mut world.view, "a", ChangeId { seq: 9, ordinal: 0 });
    let key = maitred_core::Key::of(maitred_core::Table::Consumer, SYSTEM).u128(crate::name::hash("a")).u8(0);
    world.view.put(&key, b"\0\0\0\0\0\0\0\x09\0\0\0\0b");
    assert_eq!(cursor(&world.view, "a"), ChangeId::default());
    for command in [keep("a", 10, 0), park("a", 1), Command::Claim(holder("a", 1))] {
        assert_eq!(outcome(&mut world, &command), Err("id-collision".into()));
    }
}
