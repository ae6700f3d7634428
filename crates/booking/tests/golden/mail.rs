//! A fact of every kind of mail, and more where a field can be missing.

use maitred_booking::mail::fact::{Place, PutOff, Queued, Told};
use maitred_booking::mail::{Fact, Language, MailKind, Settings};
use maitred_core::Timestamp;
use uuid::Uuid;

pub(super) fn all() -> impl Iterator<Item = (&'static str, Fact)> {
    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
    let id = |number: u128| Uuid::from_u128(0x0190_d3c5_a4b2_7cde_8f00_0000_0000_0000 + number);
    let settings = Settings { enabled: true, since: at(1), reminders_since: at(1), ..Settings::default() };
    let other = Settings {
        mails: MailKind::ALL.to_vec(),
        sender_name: Some("Salon Ünal".into()),
        reply_to: Some("salon@example.com".into()),
        language: Language::German,
        reminder_hours: 48,
        ..settings.clone()
    };
    let queued = |kind, seq| Queued {
        kind,
        source: Place { seq, ordinal: 2 },
        record: id(u128::from(seq)),
        to: id(99),
    };
    // The places of the mails are where these facts stand when the golden view is made: three to a batch.
    let told = |number: u64, answer: &str| Told {
        mail: Place { seq: 1 + number / 3, ordinal: (number % 3) as u32 },
        answer: answer.into(),
    };
    let put_off = PutOff { mail: told(2, "").mail, answer: "450 Come again".into(), next_at: at(60_000) };
    [
        ("mail_settings_changed", Fact::MailSettingsChanged(settings)),
        ("mail_settings_changed_german", Fact::MailSettingsChanged(other)),
        ("mail_queued", Fact::MailQueued(queued(MailKind::Booked, 40))),
        ("mail_queued_reminder", Fact::MailQueued(queued(MailKind::Reminder, 41))),
        ("mail_queued_order", Fact::MailQueued(queued(MailKind::OrderCompleted, 42))),
        ("mail_queued_offer", Fact::MailQueued(queued(MailKind::Offered, 43))),
        ("mail_overflowed", Fact::MailOverflowed(queued(MailKind::Cancelled, 44))),
        ("mail_put_off", Fact::MailPutOff(put_off)),
        ("mail_sent", Fact::MailSent(told(3, "250 Taken"))),
        ("mail_died", Fact::MailDied(told(4, "550 5.1.1 (address) no such user"))),
        ("mail_retried", Fact::MailRetried(told(4, "550 5.1.1 (address) no such user"))),
        ("mail_dropped", Fact::MailDropped(told(5, "the offer is over"))),
    ]
    .into_iter()
}
