//! Facts are read for ever: the bytes of every released encoding are kept, and still mean the same.
//!
//! A file of `tests/golden/` is `<kind>.<version>.<name>.hex`. It is written once, by this test with
//! `MAITRED_GOLDEN=write` in the environment, and never changed: an encoding that differs needs a new version.

#[path = "golden/catalogue.rs"]
mod catalogue_samples;
#[path = "golden/jobs.rs"]
mod job_samples;
#[path = "golden/mail.rs"]
mod mail_samples;
#[path = "golden/salons.rs"]
mod salon_samples;
#[path = "golden/webhooks.rs"]
mod webhook_samples;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use maitred_booking::accounts::PasswordHash;
use maitred_booking::accounts::fact::{Account, Person, State as AccountState};
use maitred_booking::appointments::fact::{Details, Imported, ResourceNamed, State};
use maitred_booking::consumers::{CursorKept, DeadLetterParked};
use maitred_booking::flash_sales::fact::Closed;
use maitred_booking::flash_sales::{Closing, Imported as Taken, Order, OrderStatus, Product, Sale};
use maitred_booking::flash_sales::{Second, Tally, TriesCounted};
use maitred_booking::money::{Currency, Money};
use maitred_booking::tenants::fact::KeyState;
use maitred_booking::tenants::{DropIn, DropIns, Profile, Role};
use maitred_booking::testing::MemoryView;
use maitred_booking::{Booking, Fact, accounts, appointments, consumers, flash_sales, registry, tenants};
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
    samples.extend(job_samples::consumers().map(|(name, fact)| (name, Fact::Consumers(fact))));
    samples.extend(job_samples::jobs().map(|(name, fact)| (name, Fact::Jobs(fact))));
    samples.extend(flash_sale_samples().map(|(name, fact)| (name, Fact::FlashSales(fact))));
    samples.extend(salon_samples::all().map(|(name, fact)| (name, Fact::Salons(fact))));
    samples.extend(webhook_samples::all().map(|(name, fact)| (name, Fact::Webhooks(fact))));
    samples.extend(catalogue_samples::all().map(|(name, fact)| (name, Fact::Catalogue(fact))));
    samples.extend(mail_samples::all().map(|(name, fact)| (name, Fact::Mail(fact))));
    samples.extend(account_samples().map(|(name, fact)| (name, Fact::Accounts(fact))));
    samples
}

fn account_samples() -> [(&'static str, accounts::Fact); 5] {
    use accounts::Fact::{AccountClosed, PasswordChanged, UserImported, UserRegistered};
    let account = Account {
        id: Uuid::from_bytes([1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 12]),
        credential: 1,
        closed: false,
        created_at: Timestamp::from_millis(1_700_000_000_002),
    };
    let person = |password: &str| Person {
        email: "jürgen@example.com".into(),
        password: PasswordHash::from_phc(format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ${password}")),
        given: Some("Jürgen@Example.com".into()),
    };
    let registered =
        AccountState { account: account.clone(), person: Some(person("AAECAwQFBgcICQoLDA0ODw")) };
    let changed = AccountState {
        account: Account { credential: 2, ..account.clone() },
        person: Some(person("Dw4NDAsKCQgHBgUEAwIBAA")),
    };
    let closed = AccountState { account: Account { credential: 2, closed: true, ..account }, person: None };
    let imported = |version, state: &AccountState| {
        let updated_at = Timestamp::from_millis(1_600_000_000_003);
        UserImported(accounts::Imported { version, updated_at, state: state.clone() })
    };
    let (first, last) = (imported(1, &registered), imported(2, &closed));
    [
        ("user_registered", UserRegistered(registered)),
        ("password_changed", PasswordChanged(changed)),
        ("account_closed", AccountClosed(closed)),
        ("user_imported", first),
        ("user_imported_closed", last),
    ]
}

/// A product, a sale of it that holds pieces and one that does not, and the orders of both.
fn flash_sale_samples() -> impl Iterator<Item = (&'static str, flash_sales::Fact)> {
    use flash_sales::Fact::{
        OrderCancelled, OrderCompleted, OrderExpired, OrderFailed, OrderImported, OrderPaid, OrderPlaced,
        ProductCreated, ProductDeleted, ProductImported, ProductUpdated, SaleCancelled, SaleCreated,
        SaleEnded, SaleImported, SaleUpdated, TriesCounted as Counted,
    };

    let id = |last: u8| Uuid::from_bytes([2, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, last]);
    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
    let price = |amount| Money { amount, currency: Currency::parse("EUR").expect("a code") };
    let product = Product {
        id: id(1),
        name: "Kopfhörer".into(),
        description: None,
        price: price(9_999),
        inventory: 100,
        deleted: false,
        created_at: at(0),
    };
    let renamed = Product { description: Some("Die guten".into()), inventory: 300, ..product.clone() };
    let sale = Sale {
        id: id(2),
        product: id(1),
        starts_at: at(1_000),
        ends_at: at(3_600_000),
        quantity: 50,
        restocked: None,
        buyer_limit: 1,
        hold_seconds: None,
        price: price(4_999),
        closed: None,
        created_at: at(1),
    };
    let holding = Sale { id: id(3), hold_seconds: Some(600), buyer_limit: 2, ..sale.clone() };
    let reset = Sale { quantity: 70, restocked: Some(20), ..sale.clone() };
    let closed =
        |closing, sale: &Sale| Sale { closed: Some(Closed { closing, at: at(9_000) }), ..sale.clone() };
    let order = |last: u8, status| Order {
        id: id(last),
        sale: id(2),
        product: id(1),
        buyer: id(100),
        status,
        price: price(4_999),
        hold_expires_at: None,
        placed_at: at(2_000),
        failure: None,
        payment_reference: None,
    };
    let held =
        |last: u8, status| Order { sale: id(3), hold_expires_at: Some(at(602_000)), ..order(last, status) };
    let failed = Order { failure: Some("No such user.".into()), ..order(11, OrderStatus::Failed) };
    let paid = Order { payment_reference: Some("till-7".into()), ..held(12, OrderStatus::Paid) };
    fn taken<T>(version: u64, latest: bool, is: T) -> Taken<T> {
        Taken { version, updated_at: Timestamp::from_millis(1_600_000_000_004), latest, is }
    }
    let sold = order(22, OrderStatus::Pending);
    let tries = Tally {
        accepted: 2,
        replayed: 1,
        undecided: 300,
        refused: [("sold-out".to_owned(), 9_000_000_000), ("buyer-limit-reached".to_owned(), 1)].into(),
        first_at: Some(at(2_001)),
        last_at: Some(at(3_999)),
        seconds: [(2_000, 4), (3_000, 4_000_000_000)]
            .map(|(millis, tries)| Second { at: at(millis), tries, accepted: 1 })
            .into(),
    };
    let empty = TriesCounted { sale: id(3), tries: Tally::default() };
    let imported = [
        ("product_imported", ProductImported(taken(1, true, product.clone()))),
        ("sale_imported", SaleImported(taken(1, false, holding.clone()))),
        ("order_imported", OrderImported(taken(1, false, held(20, OrderStatus::Held)))),
        ("order_imported_paid", OrderImported(taken(2, true, held(20, OrderStatus::Paid)))),
        ("order_imported_held", OrderImported(taken(1, true, held(21, OrderStatus::Held)))),
        ("sale_imported_closed", SaleImported(taken(2, true, closed(Closing::Ended, &holding)))),
        ("sale_imported_open", SaleImported(taken(1, true, sale.clone()))),
        ("order_imported_pending", OrderImported(taken(1, true, sold))),
    ];
    [
        ("product_created", ProductCreated(product)),
        ("product_updated", ProductUpdated(renamed.clone())),
        ("sale_created", SaleCreated(sale.clone())),
        ("sale_created_with_hold", SaleCreated(holding.clone())),
        ("order_placed", OrderPlaced(order(10, OrderStatus::Pending))),
        ("order_placed_failing", OrderPlaced(order(11, OrderStatus::Pending))),
        ("order_completed", OrderCompleted(order(10, OrderStatus::Completed))),
        ("order_failed", OrderFailed(failed)),
        ("order_placed_held", OrderPlaced(held(12, OrderStatus::Held))),
        ("order_placed_held_expiring", OrderPlaced(held(13, OrderStatus::Held))),
        ("order_placed_held_cancelled", OrderPlaced(held(14, OrderStatus::Held))),
        ("order_placed_held_open", OrderPlaced(held(15, OrderStatus::Held))),
        ("order_paid", OrderPaid(paid)),
        ("order_expired", OrderExpired(held(13, OrderStatus::Expired))),
        ("order_cancelled", OrderCancelled(held(14, OrderStatus::Cancelled))),
        ("sale_updated_reset", SaleUpdated(reset.clone())),
        ("sale_ended", SaleEnded(closed(Closing::Ended, &reset))),
        ("tries_counted", Counted(TriesCounted { sale: id(2), tries })),
        ("tries_counted_empty", Counted(empty)),
        ("sale_cancelled", SaleCancelled(closed(Closing::Cancelled, &holding))),
        ("product_deleted", ProductDeleted(Product { deleted: true, ..renamed })),
    ]
    .into_iter()
    .chain(imported)
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

/// Kind, version and body of every golden file, by its name.
fn golden_facts() -> Vec<(String, u16, u8, Vec<u8>)> {
    let mut facts = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the golden files are there") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let Some(stem) = file.strip_suffix(".hex") else { continue };
        let mut parts = stem.splitn(3, '.');
        let mut number = || parts.next().and_then(|part| part.parse::<u16>().ok()).expect("a number");
        let (kind, version) = (number(), u8::try_from(number()).expect("a version"));
        let text = std::fs::read_to_string(&path).expect("a text");
        facts.push((file, kind, version, unhex(text.trim())));
    }
    facts
}

#[test]
fn every_golden_file_of_any_version_can_be_read() {
    let facts = golden_facts();
    for (file, kind, version, body) in &facts {
        let fact = Fact::decode(*kind, *version, body).expect("a released fact");
        assert_eq!(fact.kind(), *kind, "{file}");
    }
    assert!(facts.len() >= samples().len(), "only {} files", facts.len());
}

#[test]
fn a_fact_that_is_mangled_is_refused_or_is_another_fact() {
    const TRIES: u32 = 200;
    let mut counter = 0_u64;
    let mut below = |end: usize| {
        counter += 1;
        let random = blake3::hash(&counter.to_le_bytes());
        usize::from(u16::from_le_bytes([random.as_bytes()[0], random.as_bytes()[1]])) % end.max(1)
    };
    let (mut refused, mut read) = (0_u32, 0_u32);
    for (file, kind, version, golden) in golden_facts() {
        for _ in 0..TRIES {
            let mut body = golden.clone();
            for _ in 0..=below(3) {
                let at = below(body.len());
                match below(4) {
                    0 => body.truncate(at),
                    1 => body.insert(at, below(256) as u8),
                    _ if at < body.len() => body[at] ^= 1 << below(8),
                    _ => {}
                }
            }
            let Ok(fact) = Fact::decode(kind, version, &body) else {
                refused += 1;
                continue;
            };
            read += 1;
            let mut again = Vec::new();
            fact.encode(&mut again);
            assert_eq!(Fact::decode(kind, fact.version(), &again), Ok(fact), "{file}: {body:02x?}");
        }
    }
    assert!(refused > 1_000 && read > 1_000, "{refused} were refused, {read} were read");
}

/// The views that have a hash of their own, so that a domain that comes later leaves those before it as they are: the
/// name of the file, and the kinds of the facts that make it.
const VIEWS: &[(&str, std::ops::RangeInclusive<u16>)] = &[
    ("view", 1..=199),
    ("view-salons", 200..=279),
    ("view-salons-imported", 280..=287),
    ("view-waiting-imported", 288..=299),
    ("view-accounts", 300..=302),
    ("view-accounts-imported", 303..=399),
    ("view-flash-sales", 400..=425),
    ("view-flash-sales-imported", 430..=439),
    ("view-tries", 440..=449),
    ("view-consumers", 500..=599),
    ("view-jobs", 1000..=1099),
    ("view-webhooks", 700..=799),
    ("view-catalogue", 800..=899),
    ("view-mail", 1100..=1199),
];

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
