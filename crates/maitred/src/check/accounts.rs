//! What must hold of accounts in any view, looked at in the tables themselves: this reads keys and values as `view.rs` of
//! the accounts draws them, and shares none of the code that writes them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use maitred_booking::accounts::{Account, Person};
use maitred_booking::{encoding, name};
use maitred_core::key::Parts;
use maitred_core::{Key, Read, Table, Undecodable};
use uuid::Uuid;

use super::invariants::{Found, Problems, records, version};

const USER: u8 = 4;
/// The index of users by email, and that of what is personal of them.
const USER_BY_EMAIL: u8 = 3;
const USER_PERSON: u8 = 4;

/// An id or a hash, within its tenant.
type Owned = (u32, u128);

/// What the two indexes say.
#[derive(Default)]
struct Indexes {
    /// By the hash of the email: whose it is.
    emails: BTreeMap<Owned, u128>,
    /// By user.
    persons: BTreeMap<Owned, Person>,
}

impl Indexes {
    fn read(view: &dyn Read, problems: &mut Problems) -> Self {
        let mut indexes = Indexes::default();
        let table = Key::new(Table::Index);
        view.scan(&table, &table.end(), &mut |key, value| {
            let mut parts = Parts(&key[1..]);
            let (tenant, index) = (parts.u32(), parts.u8());
            match index {
                USER_BY_EMAIL => {
                    indexes.emails.insert((tenant, parts.u128()), Parts(value).u128());
                }
                USER_PERSON => {
                    let user = (tenant, parts.u128());
                    match encoding::decode(value, || Undecodable { what: "a person".into() }) {
                        Ok(person) => drop(indexes.persons.insert(user, person)),
                        Err(_) => {
                            problems.add(|| format!("{}: what is personal cannot be read", place(user)));
                        }
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        indexes
    }
}

/// Of each open account its email leads to it, of no two to the same, and of a closed one nothing personal is left.
pub(super) fn check(view: &dyn Read, found: &mut Found) {
    let mut problems = Problems::default();
    let Indexes { emails, persons } = Indexes::read(view, &mut problems);
    let mut accounts: BTreeMap<Owned, Account> = BTreeMap::new();
    records(view, |tenant, kind, id, value| {
        if kind == USER {
            accounts.insert((tenant, id), version(value).decode());
        }
    });
    let mut holders: BTreeMap<(u32, &str), u128> = BTreeMap::new();
    for (user, person) in &persons {
        match accounts.get(user) {
            None => {
                problems
                    .add(|| format!("{}: there is no such account, and something personal", place(*user)));
            }
            Some(account) if account.closed => {
                problems.add(|| {
                    format!("{}: the account is closed, and something personal is left", place(*user))
                });
            }
            Some(_) => {}
        }
        if let Some(other) = holders.insert((user.0, &person.email), user.1) {
            problems.add(|| {
                format!("{} and user {}: two accounts have one email", place(*user), Uuid::from_u128(other))
            });
        }
        if emails.get(&(user.0, name::hash(&person.email))) != Some(&user.1) {
            problems.add(|| format!("{}: the email does not lead to its account", place(*user)));
        }
    }
    for ((tenant, hash), id) in &emails {
        let leads = persons.get(&(*tenant, *id)).is_some_and(|person| name::hash(&person.email) == *hash);
        if !leads {
            problems.add(|| format!("{}: an email leads to it that it does not have", place((*tenant, *id))));
        }
    }
    let open = accounts.values().filter(|account| !account.closed).count();
    let closed = accounts.len() - open;
    let good = match accounts
        .iter()
        .filter(|(user, account)| !account.closed && !persons.contains_key(user))
        .count()
    {
        0 => format!(
            "accounts: {open} open and {closed} closed; each email leads to one, and of closed ones none is left"
        ),
        without => format!(
            "accounts: {open} open and {closed} closed; {without} of the open ones have no email: an import has stopped \
             before it closed them"
        ),
    };
    problems.settle(good, found);
}

/// Without the email: what is told may end in a log.
fn place((tenant, id): Owned) -> String {
    format!("tenant {tenant}, user {}", Uuid::from_u128(id))
}

#[cfg(test)]
mod tests {
    use maitred_booking::accounts::{CloseAccount, Command, PasswordHash, RegisterUser, Rules};
    use maitred_booking::testing::World;
    use maitred_core::{TenantNumber, Write};

    use super::*;

    const TENANT: TenantNumber = TenantNumber(4);
    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$AAECAwQFBgcICQoLDA0ODw";

    fn register(world: &mut World<Rules>, email: &str) -> Uuid {
        let command = RegisterUser { email: email.to_owned(), password: PasswordHash::from_phc(HASH) };
        let (_, outcome) = world.submit(TENANT, &Command::Register(command)).expect("the email is free");
        outcome.account.account.id
    }

    /// Two open accounts and a closed one, whose email the second has now.
    fn world() -> (World<Rules>, [Uuid; 3]) {
        let mut world = World::new(Rules);
        let closed = register(&mut world, "b@example.com");
        world.submit(TENANT, &Command::Close(CloseAccount { user: closed })).expect("it is there");
        let ids = [register(&mut world, "a@example.com"), register(&mut world, "b@example.com"), closed];
        (world, ids)
    }

    fn looked_at(world: &World<Rules>) -> Found {
        let mut found = Found::default();
        check(&world.view, &mut found);
        found
    }

    fn key(index: u8, id: u128) -> Key {
        Key::of(Table::Index, TENANT).u8(index).u128(id)
    }

    #[test]
    fn a_sound_view_has_no_problem() {
        let found = looked_at(&world().0);
        let good = "accounts: 2 open and 1 closed; each email leads to one, and of closed ones none is left";
        assert_eq!((found.good, found.bad), (vec![good.to_owned()], Vec::new()));
    }

    #[test]
    fn an_email_that_leads_nowhere_or_elsewhere_is_named() {
        let (sound, [ann, bob, _]) = world();
        let email = key(USER_BY_EMAIL, name::hash("a@example.com"));
        let mut lost = sound.clone();
        lost.view.delete(&email);
        let expected = format!("tenant 4, user {ann}: the email does not lead to its account");
        assert_eq!(looked_at(&lost).bad, std::slice::from_ref(&expected));
        let mut astray = sound.clone();
        astray.view.put(&email, &bob.as_u128().to_be_bytes());
        let other = format!("tenant 4, user {bob}: an email leads to it that it does not have");
        assert_eq!(looked_at(&astray).bad, [expected, other]);
    }

    #[test]
    fn two_accounts_of_one_email_and_what_a_closed_one_keeps_are_named() {
        let (sound, [ann, bob, closed]) = world();
        let person = |world: &World<Rules>, id: Uuid| {
            world.view.get(&key(USER_PERSON, id.as_u128())).expect("it is open").to_vec()
        };
        let mut twice = sound.clone();
        let theirs = person(&sound, bob);
        twice.view.put(&key(USER_PERSON, ann.as_u128()), &theirs);
        let bad = looked_at(&twice).bad;
        assert!(bad.iter().any(|text| text.contains("two accounts have one email")), "{bad:?}");
        assert!(bad.iter().any(|text| text.contains(&format!("{ann}: an email leads to it"))), "{bad:?}");
        let mut kept = sound.clone();
        kept.view.put(&key(USER_PERSON, closed.as_u128()), &theirs);
        let bad = looked_at(&kept).bad;
        assert!(bad.iter().any(|text| text.contains("closed, and something personal is left")), "{bad:?}");
        let mut stranger = sound;
        stranger.view.put(&key(USER_PERSON, 7), &theirs);
        let bad = looked_at(&stranger).bad;
        assert!(bad.iter().any(|text| text.contains("there is no such account")), "{bad:?}");
        assert!(bad.iter().all(|text| !text.contains("example.com")), "no email is told: {bad:?}");
    }
}
