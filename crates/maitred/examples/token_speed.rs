//! How long it takes to tell who holds a token, on a real data folder with so many users (10,000 without a number):
//! `cargo run --release -p maitred --example token_speed -- 10000`. All of it is in it: the form, the signature, the
//! view, the user's record; HTTP is not. And how long a password takes to be hashed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use maitred::assemble::{Node, StartError};
use maitred_booking::Outcome;
use maitred_booking::accounts::password::Workspace;
use maitred_booking::accounts::{Command, LoggedIn, Password, PasswordHash, RegisterUser};
use maitred_booking::app::{Access, App};
use maitred_core::Actor;

const ROUNDS: usize = 300_000;
const HASHES: u32 = 20;
/// How many registrations wait at once.
const AT_ONCE: usize = 256;

fn main() -> Result<(), StartError> {
    let users = std::env::args().nth(1).map_or(10_000, |count| count.parse().expect("a number"));
    let dir = std::env::temp_dir().join(format!("maitred-token-speed-{}", std::process::id()));
    let node = Node::start(&dir)?;
    let app = node.app(Access::Open, "default")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tokens = runtime.block_on(register(&app, users));
    let settled = Duration::from_millis(500);
    std::thread::sleep(settled); // so that nothing is flushed meanwhile

    let begun = Instant::now();
    for round in 0..ROUNDS {
        let token = &tokens[round.wrapping_mul(7_919) % tokens.len()];
        assert!(black_box(app.user_of_token(token)).is_some());
    }
    println!("{:8.2} µs  a valid token of one of {users} users", micros(begun) / ROUNDS as f64);

    let mut forged = tokens[0].clone();
    let last = if forged.ends_with('A') { "E" } else { "A" };
    forged.replace_range(forged.len() - 1.., last);
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        assert!(black_box(app.user_of_token(&forged)).is_none());
    }
    println!("{:8.2} µs  a token that is signed by somebody else", micros(begun) / ROUNDS as f64);

    let mut workspace = Workspace::default();
    let begun = Instant::now();
    for round in 0..HASHES {
        black_box(PasswordHash::make(&Password::new("correct horse"), &[round as u8; 16], &mut workspace));
    }
    println!("{:8.2} ms  a password, hashed", micros(begun) / 1_000.0 / f64::from(HASHES));
    drop(app);
    node.stop();
    std::fs::remove_dir_all(&dir).expect("the folder can be removed");
    Ok(())
}

/// Makes the accounts, with a hash that was made before, and logs their users in.
async fn register(app: &App, users: usize) -> Vec<String> {
    app.ensure_default_tenant().await.expect("a fresh folder takes the default tenant");
    let tenant = app.tenant("default").expect("the default tenant").number;
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAECAwQFBgcICQoLDA0ODw";
    let registrations = (0..users).map(|number| async move {
        let email = format!("user-{number}@example.com");
        let password = PasswordHash::from_phc(hash);
        let command = Command::Register(RegisterUser { email: email.clone(), password });
        let accepted = app.submit((tenant, Actor::System), None, 512, command).await.expect("accepted");
        let Outcome::Accounts(outcome) = accepted.outcome else { unreachable!("an account is made") };
        let account = outcome.account.account;
        let user = LoggedIn { tenant, user: account.id };
        app.log_in(user, &email, account.credential).expect("an open tenant").token
    });
    futures_util::stream::iter(registrations).buffered(AT_ONCE).collect().await
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}
