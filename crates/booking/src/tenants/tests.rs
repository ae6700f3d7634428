//! Tenants and keys: every answer by row, and random histories against a naive model.

use maitred_core::{Class, Read, Seq, TenantNumber, Write};
use proptest::prelude::*;
use uuid::Uuid;

use super::command::{validate_api_key, validate_create, validate_patch};
use super::*;
use crate::name::{self, Counter};
use crate::testing::World;

const SYSTEM: TenantNumber = TenantNumber::SYSTEM;

fn create(slug: &str, alias: Option<&str>) -> CreateTenant {
    CreateTenant {
        slug: slug.into(),
        alias: alias.map(Into::into),
        name: "Salon".into(),
        time_zone: "Europe/Berlin".into(),
        currency: "EUR".into(),
        locale: "de-DE".into(),
        drop_ins: DropIns::NONE,
        public: false,
        automatic: false,
    }
}

fn automatic(alias: &str) -> CreateTenant {
    CreateTenant { automatic: true, ..create(&slug_for(alias), Some(alias)) }
}

fn update(tenant: u32, patch: TenantPatch) -> UpdateTenant {
    UpdateTenant { tenant: TenantNumber(tenant), patch, if_version: None }
}

fn alias(alias: Option<&str>) -> TenantPatch {
    TenantPatch { alias: Some(alias.map(Into::into)), ..TenantPatch::default() }
}

fn delete(tenant: u32) -> DeleteTenant {
    DeleteTenant { tenant: TenantNumber(tenant), if_version: None }
}

fn key(tenant: Option<u32>, id: u128, role: Role) -> CreateApiKey {
    let mut secret_hash = [0; 32];
    secret_hash[..16].copy_from_slice(&id.to_be_bytes());
    let tenant = tenant.map(TenantNumber);
    CreateApiKey { tenant, id: Uuid::from_u128(id), name: "till".into(), role, secret_hash }
}

fn revoke(tenant: Option<u32>, id: u128) -> RevokeApiKey {
    RevokeApiKey { tenant: tenant.map(TenantNumber), id: Uuid::from_u128(id) }
}

macro_rules! into_command {
    ($($name:ident)*) => {
        $(impl From<$name> for Command {
            fn from(command: $name) -> Self {
                Command::$name(command)
            }
        })*
    };
}
into_command!(CreateTenant UpdateTenant DeleteTenant CreateApiKey RevokeApiKey);

fn world(given: &[Command]) -> World<Rules> {
    let mut world = World::new(Rules);
    for command in given {
        world.submit(SYSTEM, command).expect("what is given is accepted");
    }
    world
}

/// What became of a command: the outcome's name, and whether the view is another one.
fn check(name: &str, given: &[Command], when: impl Into<Command>, then: Result<&str, (Class, &str)>) {
    check_in(name, &mut world(given), when, then);
}

fn check_in(
    name: &str,
    world: &mut World<Rules>,
    when: impl Into<Command>,
    then: Result<&str, (Class, &str)>,
) {
    let before = world.view.clone();
    let answer = world.submit(SYSTEM, &when.into());
    let told = answer.as_ref().map(|(_, outcome)| match outcome {
        Outcome::TenantCreated(_) => "created",
        Outcome::TenantExists(_) => "exists",
        Outcome::TenantUpdated(_) => "updated",
        Outcome::TenantClosed(_) => "closed",
        Outcome::ApiKeyCreated(_) => "key created",
        Outcome::ApiKeyRevoked(_) => "key revoked",
    });
    assert_eq!(told.map_err(|rejection| (rejection.class, &*rejection.code)), then, "{name}");
    let changed = answer.is_ok_and(|(facts, _)| !facts.is_empty());
    assert_eq!(world.view != before, changed, "{name}: facts change the view, and nothing else does");
    assert_eq!(world.replay(), world.view, "{name}: the log gives the same view");
}

const SLUG_TAKEN: Result<&str, (Class, &str)> = Err((Class::Conflict, "slug-taken"));
const ALIAS_TAKEN: Result<&str, (Class, &str)> = Err((Class::Conflict, "alias-taken"));
const NOT_FOUND: Result<&str, (Class, &str)> = Err((Class::Absent, "tenant-not-found"));
const MISMATCH: Result<&str, (Class, &str)> = Err((Class::Precondition, "version-mismatch"));

#[test]
fn every_answer_to_a_creation() {
    let salon = || [Command::from(create("salon", Some("Salon Ä")))];
    let closed = || [create("salon", Some("Salon Ä")).into(), Command::from(delete(1))];

    check("the first", &[], create("salon", None), Ok("created"));
    check("another", &salon(), create("shop", Some("Shop")), Ok("created"));
    check("one whose alias is its slug", &[], create("salon", Some("salon")), Ok("created"));
    check("a slug that is there", &salon(), create("salon", None), SLUG_TAKEN);
    check("an alias that is there", &salon(), create("shop", Some("Salon Ä")), ALIAS_TAKEN);
    check("both, the slug first", &salon(), create("salon", Some("Salon Ä")), SLUG_TAKEN);
    check("an alias that is another's slug", &salon(), create("shop", Some("salon")), ALIAS_TAKEN);
    let by_alias = [Command::from(create("shop", Some("salon")))];
    check("a slug that is another's alias", &by_alias, create("salon", None), SLUG_TAKEN);
    check("the slug of one that is closed", &closed(), create("salon", None), SLUG_TAKEN);
    check("the alias of one that is closed", &closed(), create("shop", Some("Salon Ä")), ALIAS_TAKEN);

    check("a first write", &[], automatic("Salon Ä"), Ok("created"));
    check(
        "a first write that was second",
        &[automatic("Salon Ä").into()],
        automatic("Salon Ä"),
        Ok("exists"),
    );
    check("a first write to an alias", &salon(), automatic("Salon Ä"), Ok("exists"));
    check("a first write to a slug", &salon(), automatic("salon"), Ok("exists"));
    check("a first write to what is closed", &closed(), automatic("salon"), SLUG_TAKEN);
    check("a first write to a closed alias", &closed(), automatic("Salon Ä"), ALIAS_TAKEN);
}

#[test]
fn an_automatic_creation_answers_the_tenant_that_is_there() {
    let mut world = world(&[create("salon", Some("Salon Ä")).into(), create("shop", None).into()]);
    let (_, outcome) = world.submit(SYSTEM, &automatic("Salon Ä").into()).expect("it is there");
    assert_eq!(outcome, Outcome::TenantExists(tenant_by_slug(&world.view, "salon").expect("it is open")));
}

#[test]
fn first_writes_create_no_more_than_the_limit() {
    let mut world = world(&[automatic("a").into(), automatic("b").into(), delete(2).into()]);
    assert_eq!(name::counter(&world.view, SYSTEM, Counter::TenantsAutomatic, 0), 2);
    name::set_counter(&mut world.view, SYSTEM, Counter::TenantsAutomatic, 0, TENANTS_AUTOMATIC_MAX - 1);
    let submit = |world: &mut World<Rules>, command: CreateTenant| {
        let answer = world.submit(SYSTEM, &command.into());
        answer.map(|_| ()).map_err(|rejection| (rejection.class, rejection.code.into_owned()))
    };
    assert_eq!(submit(&mut world, automatic("c")), Ok(()));
    let refused = Err((Class::TooMany, "too-many-automatic-tenants".into()));
    assert_eq!(submit(&mut world, automatic("d")), refused);
    assert_eq!(submit(&mut world, automatic("c")), Ok(()), "one that is there is answered");
    assert_eq!(submit(&mut world, create("d", None)), Ok(()), "others are not counted");
}

#[test]
fn every_answer_to_a_change() {
    let given = || [create("salon", Some("Salon Ä")).into(), Command::from(create("shop", Some("Shop")))];
    let with = |more: Command| given().into_iter().chain([more]).collect::<Vec<_>>();
    let name = |name: &str| TenantPatch { name: Some(name.into()), ..TenantPatch::default() };
    let if_version = |version| UpdateTenant { if_version: Some(version), ..update(1, name("New")) };

    check("a name", &given(), update(1, name("New")), Ok("updated"));
    check("nothing", &given(), update(1, TenantPatch::default()), Ok("updated"));
    check("the current version", &given(), if_version(1), Ok("updated"));
    check("another version", &given(), if_version(2), MISMATCH);
    check("the version of a closed one", &with(delete(1).into()), if_version(2), NOT_FOUND);
    check("no tenant", &given(), update(3, name("New")), NOT_FOUND);
    check("the system tenant", &given(), update(0, name("New")), NOT_FOUND);
    check("another alias", &given(), update(1, alias(Some("Studio"))), Ok("updated"));
    check("its own alias", &given(), update(1, alias(Some("Salon Ä"))), Ok("updated"));
    check("its own slug as alias", &given(), update(1, alias(Some("salon"))), Ok("updated"));
    check("no alias", &given(), update(1, alias(None)), Ok("updated"));
    check("another's alias", &given(), update(1, alias(Some("Shop"))), ALIAS_TAKEN);
    check("another's slug as alias", &given(), update(1, alias(Some("shop"))), ALIAS_TAKEN);
    check(
        "an alias that is free again",
        &with(update(2, alias(None)).into()),
        update(1, alias(Some("Shop"))),
        Ok("updated"),
    );

    let delete_if = |version| DeleteTenant { if_version: Some(version), ..delete(1) };
    check("closing", &given(), delete(1), Ok("closed"));
    check("closing once more", &with(delete(1).into()), delete(1), NOT_FOUND);
    check("closing the current version", &given(), delete_if(1), Ok("closed"));
    check("closing another version", &given(), delete_if(7), MISMATCH);
    check("closing the system tenant", &given(), delete(0), NOT_FOUND);
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let mut world = world(&[create("salon", None).into()]);
    let before = tenant(&world.view, TenantNumber(1)).expect("it is open");
    let patch = TenantPatch {
        alias: Some(Some("Salon Ä".into())),
        name: Some("Studio".into()),
        time_zone: Some("Asia/Tokyo".into()),
        currency: Some("JPY".into()),
        locale: Some("ja".into()),
        drop_ins: Some(DropIns::NONE.with(DropIn::Fapi)),
        public: Some(true),
    };
    let (_, outcome) = world.submit(SYSTEM, &update(1, patch).into()).expect("it is open");
    let after = tenant(&world.view, TenantNumber(1)).expect("it is open");
    let profile = Profile {
        alias: Some("Salon Ä".into()),
        name: "Studio".into(),
        time_zone: "Asia/Tokyo".into(),
        currency: "JPY".into(),
        locale: "ja".into(),
        drop_ins: DropIns::NONE.with(DropIn::Fapi),
        public: true,
        ..before.profile.clone()
    };
    assert_eq!(after, Tenant { version: 2, updated_at: world.timestamp, profile });
    assert_eq!(outcome, Outcome::TenantUpdated(after.clone()));
    assert_eq!(tenant_as_of(&world.view, TenantNumber(1), Some(1)), Some(before.clone()));

    world.submit(SYSTEM, &delete(1).into()).expect("it is open");
    assert_eq!(tenant_as_of(&world.view, TenantNumber(1), Some(2)), Some(after.clone()));
    assert_eq!(tenant_as_of(&world.view, TenantNumber(1), Some(3)), None);
    let history = tenant_versions(&world.view, TenantNumber(1), None, None, 9);
    let closed = Profile { closed: true, ..after.profile.clone() };
    assert_eq!(
        history.iter().map(|version| (version.change.seq, &version.tenant.profile)).collect::<Vec<_>>(),
        [(1, &before.profile), (2, &after.profile), (3, &closed)]
    );
}

#[test]
fn every_field_that_breaks_a_rule() {
    let text = |chars: usize| "ä".repeat(chars);
    let locale = "abcdefgh-12345678-12345678-12345678";
    let limit = CreateTenant {
        slug: format!("0{}", "-".repeat(SLUG_BYTES_MAX - 1)),
        alias: Some(text(ALIAS_CHARS_MAX)),
        name: text(NAME_CHARS_MAX),
        time_zone: "America/Argentina/ComodRivadavia_+-0".into(),
        locale: locale.into(),
        ..create("", None)
    };
    check("all at its limit", &[], limit.clone(), Ok("created"));

    let slugs = ["", "-a", "A", "a_b", "ä", "_system", "a b", &"a".repeat(SLUG_BYTES_MAX + 1)];
    let aliases = ["", " a", "a\t", "a\0b", &text(ALIAS_CHARS_MAX + 1)];
    let names = ["", "a\0", &text(NAME_CHARS_MAX + 1)];
    let zones = ["", "Europe Berlin", "../etc\\passwd", "Zürich", &"a".repeat(65)];
    let currencies = ["", "EU", "EURO", "eur", "E1R", "ÄR"];
    let locales = ["", "d", "de_DE", "de-", "-de", "de-123456789", "12", &format!("{locale}9")];
    type Break = fn(&mut CreateTenant, &str);
    let fields: [(&str, &[&str], Break); 6] = [
        ("invalid-slug", &slugs, |create, text| create.slug = text.into()),
        ("invalid-alias", &aliases, |create, text| create.alias = Some(text.into())),
        ("invalid-name", &names, |create, text| create.name = text.into()),
        ("invalid-time-zone", &zones, |create, text| create.time_zone = text.into()),
        ("invalid-currency", &currencies, |create, text| create.currency = text.into()),
        ("invalid-locale", &locales, |create, text| create.locale = text.into()),
    ];
    let rows = fields.iter().flat_map(|(code, texts, break_it)| {
        texts.iter().map(|text| {
            let mut broken = limit.clone();
            break_it(&mut broken, text);
            (*code, broken)
        })
    });
    for (code, broken) in rows {
        let found = validate_create(&broken);
        assert_eq!(found.iter().map(|violation| violation.code).collect::<Vec<_>>(), [code], "{broken:?}");
        check(code, &[limit.clone().into()], broken.clone(), Err((Class::Unprocessable, code)));
        if code == "invalid-slug" {
            continue;
        }
        // A patch is held to the same rules, field by field.
        let changed = |was: &String, is: String| (*was != is).then_some(is);
        let patch = TenantPatch {
            alias: (broken.alias != limit.alias).then_some(broken.alias),
            name: changed(&limit.name, broken.name),
            time_zone: changed(&limit.time_zone, broken.time_zone),
            currency: changed(&limit.currency, broken.currency),
            locale: changed(&limit.locale, broken.locale),
            ..TenantPatch::default()
        };
        assert_eq!(validate_patch(&patch), found);
        check(code, &[], update(1, patch), Err((Class::Unprocessable, code)));
    }
}

#[test]
fn a_text_that_is_no_slug_gets_one_from_its_hash() {
    assert_eq!(slug_for("salon-1"), "salon-1");
    for text in ["Salon", "_system", "org x", ""] {
        let slug = slug_for(text);
        let hash = blake3::hash(text.as_bytes()).to_hex();
        assert_eq!(slug, format!("org-{}", &hash.as_str()[..16]));
        assert!(is_slug(&slug));
    }
}

#[test]
fn every_answer_about_a_key() {
    let given = || {
        [
            Command::from(create("salon", None)),
            create("shop", None).into(),
            key(Some(1), 1, Role::Owner).into(),
            key(None, 2, Role::Admin).into(),
        ]
    };
    let with = |more: Command| given().into_iter().chain([more]).collect::<Vec<_>>();
    let unprocessable = |code| Err((Class::Unprocessable, code));
    let absent = Err((Class::Absent, "api-key-not-found"));

    check("a tenant's", &given(), key(Some(1), 3, Role::Public), Ok("key created"));
    check("the server's", &given(), key(None, 3, Role::Admin), Ok("key created"));
    check("an admin of a tenant", &given(), key(Some(1), 3, Role::Admin), unprocessable("invalid-role"));
    check("an owner of the server", &given(), key(None, 3, Role::Owner), unprocessable("invalid-role"));
    let nameless = CreateApiKey { name: String::new(), ..key(Some(9), 1, Role::Owner) };
    check("no name", &given(), nameless, unprocessable("invalid-name"));
    check("no tenant", &given(), key(Some(9), 1, Role::Owner), NOT_FOUND);
    check("a closed tenant", &with(delete(1).into()), key(Some(1), 3, Role::Owner), NOT_FOUND);
    check("an id that is there", &given(), key(Some(2), 1, Role::Staff), Err((Class::Conflict, "id-taken")));
    let same_secret = CreateApiKey { id: Uuid::from_u128(3), ..key(Some(2), 1, Role::Staff) };
    check("a secret that is there", &given(), same_secret, Err((Class::Conflict, "id-collision")));

    check("revoking", &given(), revoke(Some(1), 1), Ok("key revoked"));
    check("revoking the server's", &given(), revoke(None, 2), Ok("key revoked"));
    check("revoking once more", &with(revoke(Some(1), 1).into()), revoke(Some(1), 1), Ok("key revoked"));
    check("revoking another's", &given(), revoke(Some(2), 1), absent);
    check("revoking the server's as a tenant's", &given(), revoke(Some(1), 2), absent);
    check("revoking a tenant's as the server's", &given(), revoke(None, 1), absent);
    check("revoking none", &given(), revoke(Some(1), 9), absent);
    let again = with(revoke(Some(1), 1).into());
    check(
        "the id of a revoked one",
        &again,
        key(Some(1), 1, Role::Owner),
        Err((Class::Conflict, "id-taken")),
    );
}

#[test]
fn a_tenant_has_no_more_keys_than_the_limit() {
    let mut world = world(&[create("salon", None).into(), create("shop", None).into()]);
    for id in 1..=u128::from(API_KEYS_MAX) {
        world.submit(SYSTEM, &key(Some(1), id, Role::Staff).into()).expect("below the limit");
    }
    let next = API_KEYS_MAX as u128 + 1;
    let refused = Err((Class::TooMany, "too-many-api-keys"));
    check_in("one too many", &mut world, key(Some(1), next, Role::Staff), refused);
    check_in("another tenant's", &mut world, key(Some(2), next, Role::Staff), Ok("key created"));
    check_in("one less", &mut world, revoke(Some(1), 5), Ok("key revoked"));
    check_in("and one less does not count twice", &mut world, revoke(Some(1), 5), Ok("key revoked"));
    check_in("one more", &mut world, key(Some(1), next + 1, Role::Staff), Ok("key created"));
    check_in("one too many again", &mut world, key(Some(1), next + 2, Role::Staff), refused);
}

#[test]
fn a_key_is_found_by_its_secret_and_listed_without_it() {
    let mut world = world(&[
        create("salon", None).into(),
        key(Some(1), 3, Role::Owner).into(),
        key(Some(1), 1, Role::Staff).into(),
        key(None, 2, Role::Admin).into(),
        revoke(Some(1), 3).into(),
    ]);
    let ids = |tenant: Option<u32>, after: Option<u128>, limit| {
        let keys = api_keys(&world.view, tenant.map(TenantNumber), after.map(Uuid::from_u128), limit);
        keys.iter().map(|key| (key.id.as_u128(), key.role, key.revoked)).collect::<Vec<_>>()
    };
    let (one, three) = ((1, Role::Staff, false), (3, Role::Owner, true));
    assert_eq!(ids(Some(1), None, 9), [one, three]);
    assert_eq!(ids(Some(1), None, 1), [one]);
    assert_eq!(ids(Some(1), Some(1), 9), [three]);
    assert_eq!(ids(Some(1), Some(u128::MAX), 9), []);
    assert_eq!(ids(None, None, 9), [(2, Role::Admin, false)]);
    assert_eq!(ids(Some(2), None, 9), []);

    let CreateApiKey { secret_hash, .. } = key(Some(1), 3, Role::Owner);
    let credential = api_key_by_secret_hash(&world.view, &secret_hash).expect("it is there");
    assert_eq!((credential.key.tenant, credential.key.revoked), (Some(1), true));
    assert_eq!(credential.secret_hash, secret_hash);
    assert!(!format!("{credential:?} {:?}", key(Some(1), 3, Role::Owner)).contains("secret_hash"));
    // A hash of the same start leads to the key, and the caller sees that it is another one.
    let mut other = secret_hash;
    other[31] ^= 1;
    assert_eq!(api_key_by_secret_hash(&world.view, &other).map(|found| found.secret_hash), Some(secret_hash));
    other[0] ^= 1;
    assert_eq!(api_key_by_secret_hash(&world.view, &other), None);

    let id = Uuid::from_u128(3);
    assert_eq!(api_key(&world.view, Some(TenantNumber(1)), id), Some(credential.key));
    assert_eq!(api_key(&world.view, None, id), None);
    // A view that lost the index is no view of this build; nothing else may lead there.
    world.view.delete(&view::secret_key(&secret_hash));
    assert_eq!(api_key_by_secret_hash(&world.view, &secret_hash), None);
}

#[test]
#[should_panic(expected = "tenants and keys belong to the system tenant")]
fn a_command_of_another_tenant_is_a_bug() {
    let _ = World::new(Rules).submit(TenantNumber(1), &create("salon", None).into());
}

#[test]
fn roles_and_drop_ins_are_known_by_their_names() {
    assert!(Role::ALL.iter().all(|role| Role::from_name(role.as_str()) == Some(*role)));
    assert!(DropIn::ALL.iter().all(|drop_in| DropIn::from_name(drop_in.as_str()) == Some(*drop_in)));
    assert_eq!((Role::from_name("Owner"), DropIn::from_name("")), (None, None));
    let some: DropIns = [DropIn::Bookipi, DropIn::Sesami].into_iter().collect();
    assert_eq!(some.iter().collect::<Vec<_>>(), [DropIn::Sesami, DropIn::Bookipi]);
    assert_eq!(validate_api_key(&key(Some(1), 1, Role::Owner)), []);
}

/// A tenant as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    number: u32,
    version: u64,
    slug: String,
    alias: Option<String>,
    closed: bool,
}

impl Known {
    fn is_named(&self, text: &str) -> bool {
        self.slug == text || self.alias.as_deref() == Some(text)
    }
}

/// What should become of a command, done to the model. `Ok(true)` where something changes.
fn model(known: &mut Vec<Known>, command: &Command) -> Result<bool, &'static str> {
    let open = |known: &Vec<Known>, tenant: TenantNumber| {
        let found = known.iter().position(|known| known.number == tenant.0 && !known.closed);
        found.ok_or("tenant-not-found")
    };
    match command {
        Command::CreateTenant(create) => {
            let alias = create.alias.as_deref();
            let there = |text| known.iter().find(|known: &&Known| known.is_named(text));
            if create.automatic && alias.and_then(there).is_some_and(|known| !known.closed) {
                return Ok(false);
            }
            if there(&create.slug).is_some() {
                return Err("slug-taken");
            }
            if alias.and_then(there).is_some() {
                return Err("alias-taken");
            }
            let (slug, alias) = (create.slug.clone(), create.alias.clone());
            known.push(Known { number: known.len() as u32 + 1, version: 1, slug, alias, closed: false });
        }
        Command::UpdateTenant(UpdateTenant { tenant, patch, .. }) => {
            let i = open(known, *tenant)?;
            let Some(alias) = &patch.alias else { return Ok(false) };
            let text = alias.as_deref().unwrap_or_default();
            if known.iter().any(|known| known.number != tenant.0 && known.is_named(text)) {
                return Err("alias-taken");
            }
            if known[i].alias == *alias {
                return Ok(false);
            }
            known[i].alias.clone_from(alias);
            known[i].version += 1;
        }
        Command::DeleteTenant(delete) => {
            let i = open(known, delete.tenant)?;
            known[i].closed = true;
            known[i].version += 1;
        }
        _ => unreachable!("the model knows tenants only"),
    }
    Ok(true)
}

const TEXTS: [&str; 6] = ["a", "b", "c", "A", "B", "a b"];

fn any_command() -> impl Strategy<Value = Command> {
    let text = || (0..TEXTS.len()).prop_map(|i| TEXTS[i]);
    let number = 0_u32..6;
    prop_oneof![
        3 => (text(), proptest::option::of(text()))
            .prop_map(|(slug, alias)| create(&slug_for(slug), alias).into()),
        2 => text().prop_map(|text| automatic(text).into()),
        3 => (number.clone(), proptest::option::of(text()))
            .prop_map(|(tenant, text)| update(tenant, alias(text)).into()),
        1 => number.prop_map(|tenant| delete(tenant).into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_histories_go_as_the_model_says(commands in proptest::collection::vec(any_command(), 1..40)) {
        let mut world = World::new(Rules);
        let mut known = Vec::new();
        let mut past = vec![Vec::new()];
        for command in &commands {
            let expected = model(&mut known, command);
            let answer = world.submit(SYSTEM, command);
            let told = answer.as_ref().map(|(facts, _)| !facts.is_empty());
            prop_assert_eq!(told.map_err(|rejection| &*rejection.code), expected, "{:?}", command);
            past.push(known.clone());

            let open: Vec<_> = known.iter().filter(|known| !known.closed).collect();
            let seen = |tenant: &Tenant| Known {
                number: tenant.profile.number,
                version: tenant.version,
                slug: tenant.profile.slug.clone(),
                alias: tenant.profile.alias.clone(),
                closed: tenant.profile.closed,
            };
            for text in TEXTS {
                let by_any = open.iter().find(|known| known.is_named(text)).copied().cloned();
                prop_assert_eq!(tenant_by_alias_or_slug(&world.view, text).as_ref().map(seen), by_any);
                let by_slug = open.iter().find(|known| known.slug == text).copied().cloned();
                prop_assert_eq!(tenant_by_slug(&world.view, text).as_ref().map(seen), by_slug);
            }
            for limit in 1..3 {
                let mut listed: Vec<Known> = Vec::new();
                loop {
                    let after = listed.last().map_or(SYSTEM, |known| TenantNumber(known.number));
                    let page = tenants(&world.view, after, limit);
                    listed.extend(page.iter().map(seen));
                    prop_assert!(listed.len() <= open.len(), "a page goes on behind the one before it");
                    if page.len() < limit {
                        break;
                    }
                }
                prop_assert_eq!(listed.iter().collect::<Vec<_>>(), open.clone());
            }
        }
        prop_assert_eq!(world.replay(), world.view.clone());
        for (seq, known) in past.iter().enumerate() {
            for number in 0..=known.len() as u32 {
                let then = known.iter().find(|known| known.number == number && !known.closed);
                let read = tenant_as_of(&world.view, TenantNumber(number), Some(seq as Seq));
                prop_assert_eq!(read.map(|tenant| tenant.version), then.map(|known| known.version));
            }
        }
        // Every name that leads anywhere leads to a tenant that has it.
        let names = maitred_core::Key::of(maitred_core::Table::Name, SYSTEM);
        let mut leading = 0;
        world.view.scan(&names, &names.end(), &mut |_, value| {
            let text = std::str::from_utf8(&value[4..]).expect("a name");
            let number = u32::from_be_bytes(value[..4].try_into().expect("four bytes"));
            assert!(known[number as usize - 1].is_named(text), "{text} leads to {number}");
            leading += 1;
            std::ops::ControlFlow::Continue(())
        });
        let alone = |known: &&Known| known.alias.as_ref().is_some_and(|alias| *alias != known.slug);
        prop_assert_eq!(leading, known.len() + known.iter().filter(alone).count());
    }
}
