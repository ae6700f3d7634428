//! Every answer that mail is given, and what the tables say of mails. What is told of which fact is tested on the whole
//! program, with a receiver (`crates/maitred/tests/crash/mail.rs`).

use maitred_core::{At, Class, Domain, Rejection, TenantNumber, Timestamp};
use uuid::Uuid;

use super::command::{Became, SettingsPatch};
use super::dispatch::{ANSWER_CHARS_MAX, without_addresses};
use super::fact::{Place, PutOff, Queued, Told};
use super::letter::{escaped, one_line};
use super::view::Counts;
use super::words::span;
use super::*;
use crate::testing::{MemoryView, World};

const TENANT: TenantNumber = TenantNumber(3);
const RECORD: Uuid = Uuid::from_u128(7);

fn change(world: &mut World<Rules>, patch: SettingsPatch, if_version: Option<u64>) -> Result<(), Rejection> {
    world.submit(TENANT, &Command::ChangeSettings { patch, if_version }).map(drop)
}

fn refused(answer: Result<(), Rejection>, class: Class, code: &str) {
    let rejection = answer.expect_err(code);
    assert_eq!((rejection.class, &*rejection.code), (class, code));
}

#[test]
fn settings_are_refused_in_the_order_of_the_table() {
    let mut world = World::new(Rules);
    let name = |name: &str| SettingsPatch { sender_name: Some(Some(name.to_owned())), ..Default::default() };
    for text in ["", "a\nBcc: b", "a\u{7f}", &"a".repeat(101)] {
        refused(change(&mut world, name(text), Some(9)), Class::Unprocessable, "invalid-sender-name");
    }
    for text in ["nobody", "a@b", "a@b.de\r\nBcc: c@d.de", "<a@b.de>"] {
        let patch = SettingsPatch { reply_to: Some(Some(text.to_owned())), ..Default::default() };
        refused(change(&mut world, patch, Some(9)), Class::Unprocessable, "invalid-reply-to");
    }
    for hours in [0, 337] {
        let patch = SettingsPatch { reminder_hours: Some(hours), ..Default::default() };
        refused(change(&mut world, patch, Some(9)), Class::Unprocessable, "invalid-reminder-hours");
    }
    refused(change(&mut world, name("Ann"), Some(9)), Class::Precondition, "version-mismatch");
    change(&mut world, name("Ann"), Some(0)).expect("it is changed");
    let found = view::settings(&world.view, TENANT, None);
    assert_eq!((found.version, found.is.sender_name.as_deref(), found.is.enabled), (1, Some("Ann"), false));
    assert!(!found.is.mails.contains(&MailKind::OrderCompleted) && found.is.reminder_hours == 24);
    change(&mut world, name("Ann"), Some(1)).expect("nothing is changed");
    assert_eq!(view::settings(&world.view, TENANT, None).version, 1);
    let mail = Place { seq: 1, ordinal: 0 };
    refused(world.submit(TENANT, &Command::Retry { mail }).map(drop), Class::Absent, "mail-not-found");
}

/// A mail about the record that was queued by the batch `seq`.
fn put(view: &mut MemoryView, seq: u64) -> Place {
    apply(view, seq, &Fact::MailQueued(queued(seq)));
    Place { seq, ordinal: 0 }
}

fn queued(seq: u64) -> Queued {
    let source = Place { seq: seq + 1_000, ordinal: 0 };
    Queued { kind: MailKind::Booked, source, record: RECORD, to: RECORD }
}

fn at(seq: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seq).expect("a small number"))
}

fn apply(view: &mut MemoryView, seq: u64, fact: &Fact) {
    Rules.apply(view, fact, At { tenant: TENANT, seq, ordinal: 0, timestamp: at(seq) });
}

#[test]
fn a_mail_waits_in_line_until_what_became_of_it_is_noted_once() {
    let mut view = MemoryView::default();
    let [first, second] = [1, 2].map(|seq| put(&mut view, seq));
    let told = |mail| Told { mail, answer: "said".into() };
    let due = |view: &MemoryView, seq| {
        let found = view::due(view, TENANT, at(seq), 9);
        found.into_iter().map(|waiting| waiting.mail).collect::<Vec<_>>()
    };
    assert_eq!(view::counts(&view, TENANT), Counts { waiting: 2, kept: 2 });
    assert_eq!((view::first_in_line(&view, TENANT, RECORD), due(&view, 2)), (Some(first), vec![first]));
    assert_eq!(view::by_source(&view, TENANT, MailKind::Booked, queued(1).source), Some(first));
    let put_off = PutOff { mail: first, answer: "450".into(), next_at: at(50) };
    apply(&mut view, 3, &Fact::MailPutOff(put_off));
    assert_eq!((due(&view, 49), due(&view, 50)), (vec![], vec![first]));
    assert_eq!(view::first_in_line(&view, TENANT, RECORD), Some(first), "others of its record wait");
    apply(&mut view, 4, &Fact::MailDied(told(first)));
    assert_eq!((view::first_in_line(&view, TENANT, RECORD), due(&view, 4)), (Some(second), vec![second]));
    apply(&mut view, 5, &Fact::MailRetried(told(first)));
    assert_eq!(due(&view, 5), [first], "it is first again");
    let mail = view::mail(&view, TENANT, first).expect("it is there");
    assert_eq!(
        (mail.state, mail.attempts, mail.fresh_at, mail.queued_at),
        (MailState::Waiting(at(5)), 2, at(5), at(1))
    );
    for mail in [first, second] {
        apply(&mut view, 6, &Fact::MailSent(told(mail)));
    }
    assert_eq!((view::counts(&view, TENANT), due(&view, 99)), (Counts { waiting: 0, kept: 2 }, vec![]));
    assert_eq!(
        (view::first_in_line(&view, TENANT, RECORD), view::first_waiting(&view, TENANT)),
        (None, None)
    );

    let mut world = World::new(Rules);
    world.view = view;
    let note = Command::Note { mail: first, became: Became::Dead, answer: String::new() };
    world.submit(TENANT, &note).expect("it is known already");
    assert_eq!(view::mail(&world.view, TENANT, first).map(|mail| mail.state), Some(MailState::Sent));
    let retried = world.submit(TENANT, &Command::Retry { mail: first }).map(drop);
    refused(retried, Class::Conflict, "mail-not-dead");
}

#[test]
fn a_dead_letter_is_not_tried_again_beside_too_many_that_wait() {
    let mut world = World::new(Rules);
    let dead = put(&mut world.view, 1);
    apply(&mut world.view, 2, &Fact::MailDied(Told { mail: dead, answer: "550".into() }));
    view::put_counts(&mut world.view, TENANT, Counts { waiting: WAITING_MAX, kept: WAITING_MAX + 1 });
    let retry = Command::Retry { mail: dead };
    refused(world.submit(TENANT, &retry).map(drop), Class::TooMany, "too-many-mails");
    view::put_counts(&mut world.view, TENANT, Counts { waiting: WAITING_MAX - 1, kept: WAITING_MAX + 1 });
    world.submit(TENANT, &retry).expect("there is room for one");
    assert_eq!(view::counts(&world.view, TENANT).waiting, WAITING_MAX);
}

#[test]
fn a_mail_keeps_its_message_id_and_one_of_another_log_has_another() {
    let server = MailServer { from: "salon@example.com".into(), per_second: 1, connections: 1 };
    let mut view = MemoryView::default();
    let place = put(&mut view, 1);
    let id = |mail: &Mail| letter::message_id(&server, (Default::default(), "salon"), mail);
    let mail = view::mail(&view, TENANT, place).expect("it is there");
    let put_off = PutOff { mail: place, answer: "450".into(), next_at: at(50) };
    apply(&mut view, 2, &Fact::MailPutOff(put_off));
    apply(&mut view, 3, &Fact::MailDied(Told { mail: place, answer: "550".into() }));
    apply(&mut view, 4, &Fact::MailRetried(Told { mail: place, answer: "550".into() }));
    let again = view::mail(&view, TENANT, place).expect("it is there");
    assert_eq!(id(&again), id(&mail));
    let later = Mail { queued_at: at(9), ..mail.clone() };
    let other = Mail { queued: Queued { record: Uuid::from_u128(8), ..mail.queued }, ..mail.clone() };
    assert!(id(&later) != id(&mail) && id(&other) != id(&mail), "a restored log has the same places");
}

#[test]
fn a_user_is_written_to_under_the_address_that_was_given() {
    use crate::accounts::command::RegisterUser;
    use crate::accounts::{self, PasswordHash};
    let mut world = World::new(accounts::Rules);
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw";
    let register =
        RegisterUser { email: "Anna-Maria@yahoo.com".into(), password: PasswordHash::from_phc(hash) };
    let (_, outcome) = world.submit(TENANT, &accounts::Command::Register(register)).expect("accepted");
    let user = outcome.account.account.id;
    let to = subject::address(&world.view, TENANT, MailKind::OrderCompleted, user).expect("an address");
    assert_eq!(to.address, "Anna-Maria@yahoo.com", "anna@yahoo.com is somebody else");
}

#[test]
fn the_newest_come_first_and_the_oldest_that_does_not_wait_is_forgotten() {
    let mut view = MemoryView::default();
    let all: Vec<Place> = (1..=4).map(|seq| put(&mut view, seq)).collect();
    apply(&mut view, 9, &Fact::MailDropped(Told { mail: all[1], answer: "why".into() }));
    apply(&mut view, 10, &Fact::MailOverflowed(queued(10)));
    let places = |view: &MemoryView, before, limit| {
        let (found, next) = view::newest(view, TENANT, before, (limit, 99), |_| true);
        (found.into_iter().map(|(place, _)| place.seq).collect::<Vec<_>>(), next)
    };
    assert_eq!(places(&view, None, 2), (vec![10, 4], Some(all[3])));
    assert_eq!(places(&view, Some(all[3]), 9), (vec![3, 2, 1], None));
    let dead = |mail: &Mail| mail.state == MailState::Dead;
    assert_eq!(view::newest(&view, TENANT, None, (9, 99), dead).0.len(), 1);
    assert!(view::forget_oldest(&mut view, TENANT));
    assert_eq!(places(&view, None, 9).0, [10, 4, 3, 1]);
    assert_eq!(view::by_source(&view, TENANT, MailKind::Booked, queued(2).source), None);
}

#[test]
fn names_are_lines_html_is_text_and_answers_have_no_addresses() {
    assert_eq!(one_line("Eve\r\nBcc: <a@b.de>\u{2028}\tx\0 "), "Eve Bcc: <a@b.de> x");
    assert_eq!(one_line(&"ä".repeat(999)).chars().count(), 150);
    assert_eq!(escaped("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    assert_eq!(without_addresses("550 <eve@example.com>:\r\n no"), "550 (address) no");
    assert_eq!(without_addresses(&"a ".repeat(999)).chars().count(), ANSWER_CHARS_MAX);
    let [from, to] =
        [(9, 30), (11, 0)].map(|(hour, minute)| jiff::civil::datetime(2026, 11, 23, hour, minute, 0, 0));
    assert_eq!(span(Language::English, from, to), "Monday, 23 November 2026, 09:30 – 11:00");
    assert_eq!(span(Language::German, from, to), "Montag, 23. November 2026, 09:30 – 11:00");
}
