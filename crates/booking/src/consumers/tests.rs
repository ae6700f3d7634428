//! Every answer that consumers are given.

use maitred_core::{ChangeId, TenantNumber, Timestamp, Write};

use super::*;
use crate::testing::World;

const SYSTEM: TenantNumber = TenantNumber::SYSTEM;

fn keep(consumer: &str, seq: u64, ordinal: u32) -> Command {
    Command::KeepCursor(CursorKept { consumer: consumer.into(), seq, ordinal })
}

fn letter(consumer: &str, seq: u64) -> DeadLetterParked {
    DeadLetterParked {
        consumer: consumer.into(),
        seq,
        ordinal: 1,
        decided_at: Timestamp::from_millis(7),
        tenant: 3,
        key: 9,
        attempts: 8,
        reason: "nobody answers".into(),
    }
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
fn what_is_put_aside_is_kept_once_and_listed_in_the_logs_order() {
    let mut world = World::new(Rules);
    for seq in [7, 5, 6, 5] {
        let expected =
            if seq == 5 && dead_letter_count(&world.view, "a") == 3 { Outcome::Known } else { Outcome::Kept };
        assert_eq!(outcome(&mut world, &Command::Park(letter("a", seq))), Ok(expected), "{seq}");
    }
    assert_eq!(outcome(&mut world, &Command::Park(letter("b", 1))), Ok(Outcome::Kept));
    assert_eq!(dead_letter_count(&world.view, "a"), 3);
    let all = [5, 6, 7].map(|seq| letter("a", seq));
    assert_eq!(dead_letters(&world.view, "a", None, 9), all);
    assert_eq!(dead_letters(&world.view, "a", None, 2), all[..2]);
    let after = |place| dead_letters(&world.view, "a", Some(place), 9);
    assert_eq!(after(all[0].place()), all[1..]);
    assert_eq!(after(ChangeId { seq: 5, ordinal: 0 }), all);
    assert_eq!(after(ChangeId { seq: 5, ordinal: u32::MAX }), all[1..]);
    assert_eq!(all[0].tenant(), TenantNumber(3));
    assert_eq!(world.replay(), world.view);
}

#[test]
fn a_consumer_with_too_many_dead_letters_keeps_the_next_one() {
    let mut world = World::new(Rules);
    assert_eq!(outcome(&mut world, &Command::Park(letter("a", 1))), Ok(Outcome::Kept));
    let count =
        maitred_core::Key::of(maitred_core::Table::Consumer, SYSTEM).u128(crate::name::hash("a")).u8(1);
    world.view.put(&count, &DEAD_LETTERS_MAX.to_be_bytes());
    let refused = outcome(&mut world, &Command::Park(letter("a", 2)));
    assert_eq!(refused, Err("too-many-dead-letters".into()));
    assert_eq!(outcome(&mut world, &Command::Park(letter("a", 1))), Ok(Outcome::Known), "it is there");
    assert_eq!(outcome(&mut world, &Command::Park(letter("b", 2))), Ok(Outcome::Kept));
}

#[test]
fn two_names_of_one_hash_are_never_taken_for_each_other() {
    let mut world = World::new(Rules);
    super::view::put_cursor(&mut world.view, "a", ChangeId { seq: 9, ordinal: 0 });
    let key = maitred_core::Key::of(maitred_core::Table::Consumer, SYSTEM).u128(crate::name::hash("a")).u8(0);
    world.view.put(&key, b"\0\0\0\0\0\0\0\x09\0\0\0\0b");
    assert_eq!(cursor(&world.view, "a"), ChangeId::default());
    for command in [keep("a", 10, 0), Command::Park(letter("a", 1))] {
        assert_eq!(outcome(&mut world, &command), Err("id-collision".into()));
    }
}
