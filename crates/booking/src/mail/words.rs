//! What mails say, in each language.

use jiff::civil::{Date, DateTime};

use super::fact::{Language, MailKind};

/// What a mail says besides what it is about: its subject, its first sentence and the names of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// The subject, in front of the name of the tenant.
    pub subject: &'static str,
    /// Before the name of whoever is written to.
    pub hello: &'static str,
    /// What has happened.
    pub sentence: &'static str,
    /// When a visit is.
    pub when: &'static str,
    /// What is done there.
    pub what: &'static str,
    /// Who does it.
    pub who: &'static str,
    /// Until when an offer is held.
    pub until: &'static str,
    /// What was bought.
    pub product: &'static str,
    /// The number of an order.
    pub order: &'static str,
}

/// The words for a mail; `many` where it is about more than one visit.
pub fn words(language: Language, kind: MailKind, many: bool) -> Words {
    let (subject, sentence) = match language {
        Language::English => english(kind, many),
        Language::German => german(kind, many),
    };
    match language {
        Language::English => Words {
            subject,
            hello: "Hello",
            sentence,
            when: "When",
            what: "What",
            who: "With",
            until: "Held until",
            product: "Product",
            order: "Order",
        },
        Language::German => Words {
            subject,
            hello: "Guten Tag",
            sentence,
            when: "Wann",
            what: "Was",
            who: "Bei",
            until: "Frei gehalten bis",
            product: "Artikel",
            order: "Bestellung",
        },
    }
}

fn english(kind: MailKind, many: bool) -> (&'static str, &'static str) {
    match (kind, many) {
        (MailKind::Booked, false) => ("Your appointment at", "your appointment is booked."),
        (MailKind::Booked, true) => ("Your appointments at", "your appointments are booked."),
        (MailKind::Confirmed, _) => ("Your appointment at", "your appointment is confirmed."),
        (MailKind::Rescheduled, _) => {
            ("Your appointment has changed at", "your appointment has changed. It is now:")
        }
        (MailKind::Cancelled, false) => {
            ("Your appointment is cancelled at", "this appointment is cancelled:")
        }
        (MailKind::Cancelled, true) => {
            ("Your appointments are cancelled at", "these appointments are cancelled:")
        }
        (MailKind::Offered, _) => {
            ("A time is free at", "a time that you are waiting for is free. We hold it for you:")
        }
        (MailKind::Reminder, _) => {
            ("A reminder of your appointment at", "we look forward to seeing you soon:")
        }
        (MailKind::OrderCompleted, _) => ("Your order at", "your order is complete. Thank you."),
    }
}

fn german(kind: MailKind, many: bool) -> (&'static str, &'static str) {
    match (kind, many) {
        (MailKind::Booked, false) => ("Ihr Termin bei", "Ihr Termin ist gebucht."),
        (MailKind::Booked, true) => ("Ihre Termine bei", "Ihre Termine sind gebucht."),
        (MailKind::Confirmed, _) => ("Ihr Termin bei", "Ihr Termin ist bestätigt."),
        (MailKind::Rescheduled, _) => {
            ("Ihr Termin hat sich geändert bei", "Ihr Termin hat sich geändert. Er ist jetzt:")
        }
        (MailKind::Cancelled, false) => ("Ihr Termin ist abgesagt bei", "dieser Termin ist abgesagt:"),
        (MailKind::Cancelled, true) => ("Ihre Termine sind abgesagt bei", "diese Termine sind abgesagt:"),
        (MailKind::Offered, _) => (
            "Ein Termin ist frei bei",
            "ein Termin, auf den Sie warten, ist frei. Wir halten ihn für Sie frei:",
        ),
        (MailKind::Reminder, _) => ("Erinnerung an Ihren Termin bei", "wir freuen uns auf Ihren Besuch:"),
        (MailKind::OrderCompleted, _) => {
            ("Ihre Bestellung bei", "Ihre Bestellung ist abgeschlossen. Vielen Dank.")
        }
    }
}

/// From one local time to another: `Monday, 23 November 2026, 10:00 – 11:30`.
pub fn span(language: Language, from: DateTime, to: DateTime) -> String {
    if from.date() == to.date() {
        return format!("{} – {}", instant(language, from), clock(to));
    }
    format!("{} – {}", instant(language, from), instant(language, to))
}

/// A local time: `Monday, 23 November 2026, 10:00`.
pub fn instant(language: Language, at: DateTime) -> String {
    format!("{}, {}", day(language, at.date()), clock(at))
}

fn clock(at: DateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

fn day(language: Language, date: Date) -> String {
    const ENGLISH: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    const GERMAN: [&str; 7] =
        ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const MONATE: [&str; 12] = [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ];
    let (weekday, month) = (date.weekday().to_monday_zero_offset() as usize, date.month() as usize - 1);
    let (day, year) = (date.day(), date.year());
    match language {
        Language::English => format!("{}, {day} {} {year}", ENGLISH[weekday], MONTHS[month]),
        Language::German => format!("{}, {day}. {} {year}", GERMAN[weekday], MONATE[month]),
    }
}
