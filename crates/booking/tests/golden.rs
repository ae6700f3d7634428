//! Facts are read for ever: the bytes of every released encoding are kept, and still mean the same.
//!
//! A file of `tests/golden/` is `<kind>.<version>.<name>.hex`. It is written once, by this test with
//! `MAITRED_GOLDEN=write` in the environment, and never changed: an encoding that differs needs a new version.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use maitred_booking::accounts::PasswordHash;
use maitred_booking::accounts::fact::{Account, Person, State as AccountState};
use maitred_booking::appointments::fact::{Details, Imported, ResourceNamed, State};
use maitred_booking::consumers::{CursorKept, DeadLetterParked};
use maitred_booking::tenants::fact::KeyState;
use maitred_booking::tenants::{DropIn, DropIns, Profile, Role};
use maitred_booking::testing::MemoryView;
use maitred_booking::{Booking, Fact, accounts, appointments, consumers, registry, tenants};
use maitred_core::{At, Domain, Recorded, TenantNumber, Timestamp};
use uuid::Uuid;

/// At least one fact of every kind, in an order in which they could have been decided; several of a kind
/// where a field can be missing.
fn samples() -> Vec<(&'static str, Fact)> {
    use appointments::Fact::{
        AppointmentCancelled, AppointmentCreated, AppointmentImported, AppointmentUpdated,
        ResourceNamed as Named,
    };
    use tenants::Fact::{ApiKeyCreated, ApiKeyRevoked, TenantClosed, TenantCreated, TenantUpdated};

    let id = |last: u8| Uuid::from_bytes([1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, last]);
    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
    let salon = Profile {
        number: 1,
        id: id(1),
        slug: "salon".into(),
        alias: None,
        name: "Salon Ä".into(),
        time_zone: "Europe/Berlin".into(),
        currency: "EUR".into(),
        locale: "de-DE".into(),
        drop_ins: DropIns::NONE,
        public: false,
        automatic: false,
        closed: false,
        created_at: at(0),
    };
    let renamed = Profile {
        alias: Some("The Salon".into()),
        drop_ins: DropIns::NONE.with(DropIn::Sesami).with(DropIn::EventIntegrator),
        public: true,
        automatic: true,
        ..salon.clone()
    };
    let closed = Profile { closed: true, ..renamed.clone() };
    let key = |last: u8, role| KeyState {
        id: id(last),
        tenant: u32::from(role != Role::Admin),
        name: "till".into(),
        role,
        secret_hash: std::array::from_fn(|i| last ^ i as u8),
        revoked: false,
        created_at: at(1),
    };
    let revoked = KeyState { revoked: true, ..key(2, Role::Owner) };
    let state = State {
        id: id(9),
        external_id: "ext-1".to_owned(),
        updated_at: at(60_000),
        cancelled: false,
        details: Some(Details {
            resource: 1,
            starts_at: at(3_600_000),
            ends_at: at(5_400_000),
            created_at: Timestamp::from_millis(-1),
            title: None,
            metadata: None,
        }),
    };
    let mut full = State { updated_at: at(60_001), ..state.clone() };
    if let Some(details) = &mut full.details {
        details.title = Some("Schnitt & Farbe".into());
        details.metadata = Some("{\"room\": 4}".into());
    }
    let cancelled = State { updated_at: at(60_002), cancelled: true, ..full.clone() };
    let tombstone =
        State { id: id(10), external_id: "ext-2".into(), cancelled: true, details: None, ..state.clone() };
    let imported = State { id: id(11), external_id: "ext-3".into(), cancelled: true, ..state.clone() };
    let imported = Imported { version: 1, received_at: at(-5), state: imported };
    let mut samples: Vec<(&'static str, Fact)> = [
        ("tenant_created", TenantCreated(salon)),
        ("tenant_updated", TenantUpdated(renamed)),
        ("api_key_created_owner", ApiKeyCreated(key(2, Role::Owner))),
        ("api_key_created_admin", ApiKeyCreated(key(3, Role::Admin))),
        ("api_key_created_public", ApiKeyCreated(key(4, Role::Public))),
        ("api_key_created_customer", ApiKeyCreated(key(5, Role::Customer))),
        ("api_key_created_integration", ApiKeyCreated(key(6, Role::Integration))),
        ("api_key_created_staff", ApiKeyCreated(key(7, Role::Staff))),
        ("api_key_revoked", ApiKeyRevoked(revoked)),
        ("tenant_closed", TenantClosed(closed)),
    ]
    .map(|(name, fact)| (name, Fact::Tenants(fact)))
    .into();
    samples.extend(
        [
            ("resource_named", Named(ResourceNamed { number: 1, name: "Stuhl 1".into() })),
            ("appointment_created", AppointmentCreated(state)),
            ("appointment_updated", AppointmentUpdated(full)),
            ("appointment_cancelled", AppointmentCancelled(cancelled)),
            ("appointment_cancelled_unknown", AppointmentCancelled(tombstone)),
            ("appointment_imported", AppointmentImported(imported)),
        ]
        .map(|(name, fact)| (name, Fact::Appointments(fact))),
    );
    let cursor = CursorKept { consumer: "orders".into(), seq: 1_000, ordinal: u32::MAX };
    let letter = DeadLetterParked {
        consumer: "orders".into(),
        seq: 999,
        ordinal: 3,
        decided_at: at(120_000),
        tenant: 1,
        key: id(12).as_u128(),
        attempts: 8,
        reason: "nobody answers".into(),
    };
    samples.extend([
        ("cursor_kept", Fact::Consumers(consumers::Fact::CursorKept(cursor))),
        ("dead_letter_parked", Fact::Consumers(consumers::Fact::DeadLetterParked(letter))),
    ]);
    samples.extend(account_samples().map(|(name, fact)| (name, Fact::Accounts(fact))));
    samples
}

fn account_samples() -> [(&'static str, accounts::Fact); 3] {
    use accounts::Fact::{AccountClosed, PasswordChanged, UserRegistered};
    let account = Account {
        id: Uuid::from_bytes([1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 12]),
        credential: 1,
        closed: false,
        created_at: Timestamp::from_millis(1_700_000_000_002),
    };
    let person = |password: &str| Person {
        email: "jürgen@example.com".into(),
        password: PasswordHash::from_phc(format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ${password}")),
    };
    let registered =
        AccountState { account: account.clone(), person: Some(person("AAECAwQFBgcICQoLDA0ODw")) };
    let changed = AccountState {
        account: Account { credential: 2, ..account.clone() },
        person: Some(person("Dw4NDAsKCQgHBgUEAwIBAA")),
    };
    let closed = AccountState { account: Account { credential: 2, closed: true, ..account }, person: None };
    [
        ("user_registered", UserRegistered(registered)),
        ("password_changed", PasswordChanged(changed)),
        ("account_closed", AccountClosed(closed)),
    ]
}

#[test]
fn every_kind_of_fact_has_a_golden_file_and_is_still_encoded_so() {
    let mut kinds = BTreeSet::new();
    for (name, fact) in samples() {
        kinds.insert((fact.kind(), fact.version()));
        let mut body = Vec::new();
        fact.encode(&mut body);
        let file = format!("{}.{}.{name}.hex", fact.kind(), fact.version());
        assert_eq!(golden(&file, &hex(&body)), hex(&body), "{file}: a changed encoding needs a new version");
        assert_eq!(Fact::decode(fact.kind(), fact.version(), &body), Ok(fact), "{file}");
    }
    let all: BTreeSet<_> = registry::fact_kinds().map(|kind| (kind.kind, kind.version)).collect();
    assert_eq!(kinds, all, "every kind needs a sample");
}

#[test]
fn every_golden_file_of_any_version_can_be_read() {
    let mut read = 0;
    for entry in std::fs::read_dir(folder()).expect("the golden files are there") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let Some(stem) = file.strip_suffix(".hex") else { continue };
        let mut parts = stem.splitn(3, '.');
        let mut number = || parts.next().and_then(|part| part.parse::<u16>().ok()).expect("a number");
        let (kind, version) = (number(), u8::try_from(number()).expect("a version"));
        let text = std::fs::read_to_string(&path).expect("a text");
        let fact = Fact::decode(kind, version, &unhex(text.trim())).expect("a released fact");
        assert_eq!(fact.kind(), kind, "{file}");
        read += 1;
    }
    assert!(read >= samples().len(), "only {read} files");
}

/// The views that have a hash of their own, so that a domain that comes later leaves those before it as they are: the
/// name of the file, and the kinds of the facts that make it.
const VIEWS: &[(&str, std::ops::RangeInclusive<u16>)] =
    &[("view", 1..=199), ("view-accounts", 300..=399), ("view-consumers", 500..=599)];

#[test]
fn the_view_changes_its_schema_when_it_changes_its_bytes() {
    for (_, fact) in samples() {
        assert!(VIEWS.iter().any(|(_, kinds)| kinds.contains(&fact.kind())), "{fact:?} is in no view");
    }
    for (name, kinds) in VIEWS {
        let mut view = MemoryView::default();
        let of_view = samples().into_iter().map(|(_, fact)| fact).filter(|fact| kinds.contains(&fact.kind()));
        for (ordinal, fact) in of_view.enumerate() {
            let tenant = match fact {
                Fact::Tenants(_) | Fact::Consumers(_) => TenantNumber::SYSTEM,
                _ => TenantNumber(1),
            };
            let timestamp = Timestamp::from_millis(1_700_000_100_000);
            let at = At { tenant, seq: 1 + ordinal as u64 / 3, ordinal: ordinal as u32 % 3, timestamp };
            Booking.apply(&mut view, &fact, at);
            if matches!(&fact, Fact::Accounts(accounts::Fact::PasswordChanged(_))) {
                // A closed account leaves less behind: the view before that has a hash too.
                check_view(&format!("{name}-open"), &view);
            }
        }
        check_view(name, &view);
    }
}

fn check_view(name: &str, view: &MemoryView) {
    let hash = view.hash().to_hex().to_string();
    let file = format!("{name}.{}.txt", Booking::VIEW_SCHEMA);
    assert_eq!(golden(&file, &hash), hash, "{file}: what apply writes has changed: raise VIEW_SCHEMA");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What a golden file says. With `MAITRED_GOLDEN=write` one that is missing is written first.
fn golden(file: &str, now: &str) -> String {
    let path = folder().join(file);
    if !path.exists() && std::env::var("MAITRED_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(&path, format!("{now}\n")).expect("the folder takes files");
    }
    let text = std::fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}; it would say {now}", path.display())).trim().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.map(byte).collect()
}
