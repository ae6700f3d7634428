//! The secrets of users' tokens over restarts: the data folder's own, and those of the configuration.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use maitred::assemble::Node;
use maitred::config::TokenSecrets;
use maitred_booking::Outcome;
use maitred_booking::accounts::{Command, LoggedIn, PasswordHash, RegisterUser};
use maitred_booking::app::{Access, App};
use maitred_core::Actor;
use tokio::runtime::Runtime;

const NONE: TokenSecrets = TokenSecrets { current: None, previous: None };

/// Starts on a folder with these secrets, looks, and stops.
fn with<T>(dir: &Path, secrets: TokenSecrets, look: impl FnOnce(&App, &Runtime) -> T) -> T {
    let node = Node::start(dir).expect("a folder that can be used");
    let app = node.app_with(Access::Open, "default", secrets).expect("a folder that can be written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let seen = look(&app, &runtime);
    drop(app);
    node.stop();
    seen
}

/// Makes the account of `email`, and logs its user in.
fn register(app: &App, runtime: &Runtime, email: &str) -> String {
    runtime.block_on(async {
        app.ensure_default_tenant().await.expect("the default tenant");
        let tenant = app.tenant("default").expect("the default tenant").number;
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw";
        let register = RegisterUser { email: email.to_owned(), password: PasswordHash::from_phc(hash) };
        let accepted = app.submit((tenant, Actor::System), None, 512, Command::Register(register)).await;
        let Outcome::Accounts(outcome) = accepted.expect("accepted").outcome else { panic!("an account") };
        let account = outcome.account.account;
        let user = LoggedIn { tenant, user: account.id };
        app.log_in(user, email, account.credential).expect("an open tenant").token
    })
}

/// A folder for a test, and whether a token is valid after a start on it.
fn folder(name: &str) -> (PathBuf, impl Fn(TokenSecrets, &str) -> bool) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{name}-{}", std::process::id()));
    let valid = {
        let dir = dir.clone();
        move |secrets, token: &str| with(&dir, secrets, |app, _| app.user_of_token(token).is_some())
    };
    (dir, valid)
}

fn current(byte: u8) -> TokenSecrets {
    TokenSecrets { current: Some([byte; 32]), previous: None }
}

fn after(byte: u8, before: u8) -> TokenSecrets {
    TokenSecrets { previous: Some([before; 32]), ..current(byte) }
}

#[test]
fn a_secret_is_replaced_without_ending_a_session_and_lost_ones_end_all() {
    let (dir, valid) = folder("tokens");
    let first = with(&dir, current(1), |app, runtime| register(app, runtime, "b@example.com"));
    assert!(!dir.join("keys/token").exists(), "the folder has no secret of its own that nobody asked for");
    assert!(valid(after(2, 1), &first), "the one before still verifies");
    let second = with(&dir, after(2, 1), |app, runtime| register(app, runtime, "c@example.com"));
    assert!(valid(current(2), &second), "the newest signs");
    assert!(!valid(current(2), &first) && !valid(after(3, 2), &first) && !valid(NONE, &first));
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
}

#[test]
fn the_first_secret_that_is_named_follows_the_folders_own() {
    let (dir, valid) = folder("own-token-secret");
    let own = with(&dir, NONE, |app, runtime| register(app, runtime, "a@example.com"));
    assert!(valid(NONE, &own), "the folder keeps its secret");
    let mode = std::fs::metadata(dir.join("keys/token")).expect("the folder's secret").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert!(valid(current(1), &own), "the folder's own is the one before");
    let named = with(&dir, current(1), |app, runtime| register(app, runtime, "b@example.com"));
    assert!(valid(current(1), &named) && !valid(NONE, &named), "the one that is named signs");
    assert!(!valid(after(2, 1), &own), "there is one secret before, no more");
    let back = TokenSecrets { current: None, previous: Some([1; 32]) };
    assert!(valid(back.clone(), &own) && valid(back, &named), "and the way back");

    std::fs::remove_file(dir.join("keys/token")).expect("it is there");
    assert!(!valid(current(1), &own), "who knew it can sign nothing any more");
    assert!(valid(current(1), &named));
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
}
