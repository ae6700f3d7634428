//! Accounts: every answer by row, and random histories against a naive model.

use maitred_core::{Class, TenantNumber, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::command::{validate_change, validate_register};
use super::fact::{Account, Person};
use super::view::{Holder, credential, credential_number, holder};
use super::*;
use crate::testing::World;

const TENANT: TenantNumber = TenantNumber(1);
const OTHER: TenantNumber = TenantNumber(2);

/// A hash of nothing in particular; `of` tells hashes apart.
fn hash(of: u8) -> PasswordHash {
    PasswordHash::from_phc(format!(
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAA{}",
        ['A', 'Q', 'g', 'w'][usize::from(of)]
    ))
}

fn register(email: &str) -> Command {
    Command::Register(RegisterUser { email: email.into(), password: hash(0) })
}

fn change(user: Uuid, credential: u64) -> Command {
    Command::ChangePassword(ChangePassword { user, password: hash(1), credential })
}

fn close(user: Uuid) -> Command {
    Command::Close(CloseAccount { user })
}

/// A world with an account for each email; the ids in their order.
fn world(emails: &[&str]) -> (World<Rules>, Vec<Uuid>) {
    let mut world = World::new(Rules);
    let ids = emails.iter().map(|email| registered(&mut world, email)).collect();
    (world, ids)
}

fn registered(world: &mut World<Rules>, email: &str) -> Uuid {
    let (_, outcome) = world.submit(TENANT, &register(email)).expect("what is given is accepted");
    outcome.account.account.id
}

fn check(name: &str, world: &mut World<Rules>, when: &Command, then: Result<Effect, (Class, &str)>) {
    let before = world.view.clone();
    let answer = world.submit(TENANT, when);
    let told = answer.as_ref().map(|(_, outcome)| outcome.effect);
    assert_eq!(told.map_err(|rejection| (rejection.class, &*rejection.code)), then, "{name}");
    let changed = answer.is_ok_and(|(facts, _)| !facts.is_empty());
    assert_eq!(world.view != before, changed, "{name}: facts change the view, and nothing else does");
    assert_eq!(world.replay(), world.view, "{name}: the log gives the same view");
}

const INVALID_EMAIL: Result<Effect, (Class, &str)> = Err((Class::Unprocessable, "invalid-email"));
const INVALID_PASSWORD: Result<Effect, (Class, &str)> = Err((Class::Unprocessable, "invalid-password"));
const EMAIL_TAKEN: Result<Effect, (Class, &str)> = Err((Class::Conflict, "email-taken"));
const NOT_FOUND: Result<Effect, (Class, &str)> = Err((Class::Absent, "user-not-found"));
const CLOSED: Result<Effect, (Class, &str)> = Err((Class::Conflict, "account-closed"));
const PASSWORD_CHANGED: Result<Effect, (Class, &str)> = Err((Class::Conflict, "password-changed"));

#[test]
fn every_answer_to_a_registration() {
    let unsound = PasswordHash::from_phc("plain text");
    let with = |email: &str, password: &PasswordHash| {
        Command::Register(RegisterUser { email: email.into(), password: password.clone() })
    };
    check("the first", &mut world(&[]).0, &register("a@b.de"), Ok(Effect::Registered));
    check("another", &mut world(&["a@b.de"]).0, &register("b@b.de"), Ok(Effect::Registered));
    check("an email that is there", &mut world(&["a@b.de"]).0, &register("a@b.de"), EMAIL_TAKEN);
    let (mut left, ids) = world(&["a@b.de"]);
    left.submit(TENANT, &close(ids[0])).expect("accepted");
    check("the email of an account that is closed", &mut left, &register("a@b.de"), Ok(Effect::Registered));
    check("another spelling of it", &mut world(&["a@b.de"]).0, &register("A@b.de"), EMAIL_TAKEN);
    for email in ["", "a", "a@b", " a@b.de"] {
        check(email, &mut world(&[]).0, &register(email), INVALID_EMAIL);
    }
    check("a password", &mut world(&[]).0, &with("a@b.de", &unsound), INVALID_PASSWORD);
    check("an email, then a password", &mut world(&[]).0, &with("a", &unsound), INVALID_EMAIL);
    check(
        "a password, then an email",
        &mut world(&["a@b.de"]).0,
        &with("a@b.de", &unsound),
        INVALID_PASSWORD,
    );
}

#[test]
fn an_address_is_known_by_its_form_and_kept_as_it_was_given() {
    let (mut world, ids) = world(&["Anna-Maria@Yahoo.com", "ann@example.com"]);
    let person = |world: &World<Rules>, id| view::person(&world.view, TENANT, id).expect("an open account");
    let anna = person(&world, ids[0]);
    assert_eq!((&*anna.email, anna.given.as_deref()), ("anna@yahoo.com", Some("Anna-Maria@Yahoo.com")));
    assert_eq!(person(&world, ids[1]).given, None, "it is its form");
    world.submit(TENANT, &change(ids[0], 1)).expect("accepted");
    assert_eq!(person(&world, ids[0]).given, anna.given, "another password is no other address");
}

#[test]
fn every_answer_to_a_change_of_the_password() {
    let (mut world, ids) = world(&["a@b.de", "b@b.de"]);
    let unknown = Uuid::from_u128(1);
    check("the first", &mut world, &change(ids[0], 1), Ok(Effect::PasswordChanged));
    check("one that was proved before it", &mut world, &change(ids[0], 1), PASSWORD_CHANGED);
    check("one that was never there", &mut world, &change(ids[0], 3), PASSWORD_CHANGED);
    check("the second", &mut world, &change(ids[0], 2), Ok(Effect::PasswordChanged));
    check("of nobody", &mut world, &change(unknown, 1), NOT_FOUND);
    world.submit(TENANT, &close(ids[0])).expect("accepted");
    check("of a closed account", &mut world, &change(ids[0], 3), CLOSED);
    check("the wrong one of a closed account", &mut world, &change(ids[0], 1), CLOSED);
    let unsound = |user, credential| {
        let password = PasswordHash::from_phc("$argon2id$");
        Command::ChangePassword(ChangePassword { user, password, credential })
    };
    check("what cannot be verified", &mut world, &unsound(unknown, 1), INVALID_PASSWORD);
    assert_eq!(world.submit(OTHER, &change(ids[1], 1)).expect_err("another tenant's").code, "user-not-found");
}

#[test]
fn every_answer_to_the_closing_of_an_account() {
    let (mut world, ids) = world(&["a@b.de"]);
    check("of nobody", &mut world, &close(Uuid::from_u128(1)), NOT_FOUND);
    assert_eq!(world.submit(OTHER, &close(ids[0])).expect_err("another tenant's").code, "user-not-found");
    check("an open one", &mut world, &close(ids[0]), Ok(Effect::Closed));
    check("a closed one", &mut world, &close(ids[0]), Ok(Effect::Closed));
}

#[test]
fn every_answer_to_a_version_that_is_taken_over() {
    let second = |second: i64| Timestamp::from_millis(second * 1_000);
    let fresh = Uuid::from_u128(0x99);
    let version = |version, credential, email: Option<&str>, closed| {
        let account = Account { id: fresh, credential, closed, created_at: second(5) };
        let person = email.map(|email| Person { email: email.into(), password: hash(2), given: None });
        Command::Import(Imported {
            version,
            updated_at: second(4 + version as i64),
            state: State { account, person },
        })
    };
    const MISSING: Result<Effect, (Class, &str)> = Err((Class::Conflict, "version-missing"));
    const DIFFERS: Result<Effect, (Class, &str)> = Err((Class::Conflict, "version-differs"));
    const NO_VERSION: Result<Effect, (Class, &str)> = Err((Class::Unprocessable, "invalid-version"));
    let (mut world, _) = world(&["a@b.de"]);
    let first = version(1, 1, Some("x@b.de"), false);
    check("no version", &mut world, &version(0, 1, None, false), NO_VERSION);
    check("an email", &mut world, &version(1, 1, Some("X"), false), INVALID_EMAIL);
    let with_given = |given: &str| {
        let Command::Import(mut import) = version(1, 1, Some("x@b.de"), false) else { unreachable!() };
        if let Some(person) = &mut import.state.person {
            person.given = Some(given.into());
        }
        Command::Import(import)
    };
    check("an address of another form", &mut world, &with_given("y@b.de"), INVALID_EMAIL);
    check("an address of its form", &mut world.clone(), &with_given("X@B.de"), Ok(Effect::Imported));
    check("a gap", &mut world, &version(2, 1, Some("x@b.de"), false), MISSING);
    check("another's email", &mut world, &version(1, 1, Some("a@b.de"), false), EMAIL_TAKEN);
    check("closed, and somebody's", &mut world, &version(1, 1, Some("x@b.de"), true), CLOSED);
    check("the first", &mut world, &first, Ok(Effect::Imported));
    check("once more", &mut world, &first, Ok(Effect::Unchanged));
    check("once more, another", &mut world, &version(1, 2, Some("x@b.de"), false), DIFFERS);
    check("an older password", &mut world, &version(2, 0, Some("x@b.de"), false), DIFFERS);
    check("the next", &mut world, &version(2, 2, Some("x@b.de"), false), Ok(Effect::Imported));
    let found = user_by_email(&world.view, TENANT, "x@b.de").expect("it can log in");
    assert_eq!((found.password, found.account.account.credential), (hash(2), 2));
    assert_eq!((found.account.version, found.account.updated_at), (2, second(6)), "as it was decided there");
    check("its email", &mut world, &register("x@b.de"), EMAIL_TAKEN);
    check("the closing", &mut world, &version(3, 2, None, true), Ok(Effect::Imported));
    check("one behind the closing", &mut world, &version(4, 2, Some("x@b.de"), false), DIFFERS);
    check(
        "the first, of which nothing personal is left",
        &mut world,
        &version(1, 1, None, false),
        Ok(Effect::Unchanged),
    );
    check("its email is free", &mut world, &register("x@b.de"), Ok(Effect::Registered));
}

#[test]
fn an_email_is_one_account_of_each_tenant() {
    let (mut world, ids) = world(&["a@b.de"]);
    let (_, outcome) = world.submit(OTHER, &register("a@b.de")).expect("another tenant's");
    let other = outcome.account.account.id;
    assert_ne!(other, ids[0]);
    assert_eq!(holder(&world.view, TENANT, "a@b.de"), Holder::User(ids[0]));
    assert_eq!(holder(&world.view, OTHER, "a@b.de"), Holder::User(other));
    for (tenant, id) in [(TENANT, other), (OTHER, ids[0])] {
        assert_eq!(user(&world.view, tenant, id), None);
        assert_eq!(credential(&world.view, tenant, id), None);
        assert_eq!(credential_number(&world.view, tenant, id), None);
    }
}

#[test]
fn a_password_is_counted_and_only_the_newest_is_asked_for() {
    let (mut world, ids) = world(&["a@b.de"]);
    let id = ids[0];
    assert_eq!(credential_number(&world.view, TENANT, id), Some(1));
    assert_eq!(user_by_email(&world.view, TENANT, "a@b.de").expect("an account").password, hash(0));
    world.submit(TENANT, &change(id, 1)).expect("accepted");
    assert_eq!(credential_number(&world.view, TENANT, id), Some(2));
    assert_eq!(user_by_email(&world.view, TENANT, "a@b.de").expect("an account").password, hash(1));
    world.submit(TENANT, &close(id)).expect("accepted");
    assert_eq!(credential_number(&world.view, TENANT, id), None);
    assert_eq!(user_by_email(&world.view, TENANT, "a@b.de"), None);
}

#[test]
fn nothing_of_the_view_is_personal_once_the_account_is_closed() {
    let (mut world, ids) = world(&["somebody@example.com", "b@b.de"]);
    let registered_at = world.seq - 1;
    world.submit(TENANT, &change(ids[0], 1)).expect("accepted");
    let before = user_as_of(&world.view, TENANT, ids[0], Some(registered_at)).expect("it was there");
    assert_eq!(before.email.as_deref(), Some("somebody@example.com"));
    world.submit(TENANT, &close(ids[0])).expect("accepted");

    for (key, value) in world.view.entries() {
        let text = String::from_utf8_lossy(value);
        assert!(!text.contains("somebody"), "{key:02x?} holds {text}");
        assert!(!text.contains("AAAAAAAAQ"), "{key:02x?} holds the hash of the password");
    }
    let past = user_as_of(&world.view, TENANT, ids[0], Some(registered_at)).expect("it was there");
    assert_eq!((past.email.clone(), past.account.account.closed), (None, false));
    assert_eq!((past.account.version, past.account.account.credential), (1, 1));
    let now = user(&world.view, TENANT, ids[0]).expect("its history stays");
    assert_eq!((now.email, now.account.account.closed, now.account.version), (None, true, 3));
    assert_eq!(user(&world.view, TENANT, ids[1]).expect("another").email.as_deref(), Some("b@b.de"));
}

#[test]
fn an_outcome_is_not_personal() {
    let (mut world, ids) = world(&[]);
    assert!(ids.is_empty());
    let (_, outcome) = world.submit(TENANT, &register("somebody@example.com")).expect("accepted");
    let mut stored = Vec::new();
    maitred_core::Storable::store(&outcome, &mut stored);
    let text = String::from_utf8_lossy(&stored);
    assert!(!text.contains("somebody") && !text.contains("argon2id"), "{text}");
}

#[test]
fn the_edge_and_the_rules_look_for_the_same() {
    let wrong = RegisterUser { email: "a".into(), password: PasswordHash::from_phc("") };
    let codes: Vec<_> = validate_register(&wrong).iter().map(|found| (found.pointer, found.code)).collect();
    assert_eq!(codes, [("/email", "invalid-email"), ("/password", "invalid-password")]);
    let wrong = ChangePassword { user: Uuid::nil(), password: PasswordHash::from_phc(""), credential: 1 };
    let codes: Vec<_> = validate_change(&wrong).iter().map(|found| (found.pointer, found.code)).collect();
    assert_eq!(codes, [("/new_password", "invalid-password")]);
}

#[test]
fn nothing_personal_has_a_debug_form() {
    let (_, outcome) = World::new(Rules).submit(TENANT, &register("a@b.de")).expect("accepted");
    let account =
        Account { id: Uuid::nil(), credential: 1, closed: false, created_at: outcome.account.updated_at };
    let person = Person {
        email: "somebody@example.com".into(),
        password: hash(0),
        given: Some("Somebody@example.com".into()),
    };
    let shown = format!("{:?}", Fact::UserRegistered(fact::State { account, person: Some(person) }));
    assert!(!shown.to_lowercase().contains("somebody") && !shown.contains("argon2id"), "{shown}");
}

/// What should happen, by the plainest means.
#[derive(Debug, Clone, Default)]
struct Model(Vec<ModelAccount>);

#[derive(Debug, Clone)]
struct ModelAccount {
    tenant: TenantNumber,
    email: Option<String>,
    credential: u64,
    version: u64,
}

/// A command on the `n`-th account that was ever made, by its number.
#[derive(Debug, Clone)]
enum Step {
    Register(String),
    Change(usize, u64),
    Close(usize),
}

impl Model {
    fn carry_out(&mut self, tenant: TenantNumber, step: &Step) -> Result<(Effect, u64), &'static str> {
        match step {
            Step::Register(email) => {
                if self.0.iter().any(|one| one.tenant == tenant && one.email.as_ref() == Some(email)) {
                    return Err("email-taken");
                }
                self.0.push(ModelAccount { tenant, email: Some(email.clone()), credential: 1, version: 1 });
                Ok((Effect::Registered, 1))
            }
            Step::Change(number, credential) => {
                let one =
                    self.0.get_mut(*number).filter(|one| one.tenant == tenant).ok_or("user-not-found")?;
                if one.email.is_none() {
                    return Err("account-closed");
                }
                if one.credential != *credential {
                    return Err("password-changed");
                }
                one.credential += 1;
                one.version += 1;
                Ok((Effect::PasswordChanged, one.version))
            }
            Step::Close(number) => {
                let one =
                    self.0.get_mut(*number).filter(|one| one.tenant == tenant).ok_or("user-not-found")?;
                one.version += u64::from(one.email.take().is_some());
                Ok((Effect::Closed, one.version))
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        "[ab]{1,2}@c\\.de".prop_map(Step::Register),
        (0..8_usize, 1..4_u64).prop_map(|(number, credential)| Step::Change(number, credential)),
        (0..8_usize).prop_map(Step::Close),
    ];
    proptest::collection::vec((any::<bool>(), step), 1..60)
}

proptest! {
    #[test]
    fn random_histories_are_answered_as_the_model_answers(steps in steps()) {
        let (mut world, mut model) = (World::new(Rules), Model::default());
        let mut ids: Vec<Uuid> = Vec::new();
        for (first, step) in steps {
            let tenant = if first { TENANT } else { OTHER };
            let id = |number: usize| ids.get(number).copied().unwrap_or(Uuid::nil());
            let command = match &step {
                Step::Register(email) => register(email),
                Step::Change(number, credential) => change(id(*number), *credential),
                Step::Close(number) => close(id(*number)),
            };
            let expected = model.carry_out(tenant, &step);
            let answer = world.submit(tenant, &command);
            let given = answer.as_ref().map(|(_, outcome)| (outcome.effect, outcome.account.version));
            prop_assert_eq!(given.map_err(|rejection| rejection.code.as_ref()), expected);
            if let Ok((_, outcome)) = &answer && outcome.effect == Effect::Registered {
                ids.push(outcome.account.account.id);
            }
        }
        for (id, one) in ids.iter().zip(&model.0) {
            let found = user(&world.view, one.tenant, *id).expect("an account stays");
            prop_assert_eq!(&found.email, &one.email);
            prop_assert_eq!((found.account.version, found.account.account.credential), (one.version, one.credential));
            prop_assert_eq!(found.account.account.closed, one.email.is_none());
            let number = credential_number(&world.view, one.tenant, *id);
            prop_assert_eq!(number, one.email.as_ref().map(|_| one.credential));
            if let Some(email) = &one.email {
                prop_assert_eq!(holder(&world.view, one.tenant, email), Holder::User(*id));
            }
        }
        prop_assert_eq!(world.replay(), world.view);
    }
}
