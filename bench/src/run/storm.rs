//! A login storm: clients that log in with accounts that are not there, again and again, as fast as they are answered.
//!
//! A server that does not tell who has an account takes as long for these as for any login. Invariant: the storm ends
//! with its value, and every client ends within its time limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;

/// What a client does that was refused, or whose connection broke.
const PAUSE: Duration = Duration::from_millis(200);

/// A storm that blows.
#[derive(Debug)]
pub(crate) struct Storm {
    calm: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Logins>>,
    began: Instant,
}

/// What became of the logins.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Logins {
    /// Passwords that were looked at, and not right.
    pub(crate) tried: u64,
    /// Logins that were told to come back later.
    pub(crate) refused: u64,
    /// Any other answer, or none.
    pub(crate) other: u64,
    elapsed: Duration,
}

impl Logins {
    /// Passwords looked at in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.tried as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

impl Storm {
    /// Lets so many clients log in.
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        let calm = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let calm = Arc::clone(&calm);
            std::thread::spawn(move || log_in(address, number, &calm))
        };
        let clients = (0..clients).map(client).collect();
        Storm { calm, clients, began: Instant::now() }
    }

    /// Ends it.
    pub(crate) fn end(mut self) -> Logins {
        self.calm.store(true, Ordering::Relaxed);
        let mut all = Logins::default();
        for client in self.clients.drain(..) {
            let Ok(logins) = client.join() else { continue };
            all.tried += logins.tried;
            all.refused += logins.refused;
            all.other += logins.other;
        }
        // Behind the last answer: what waited when it ended was looked at too.
        all.elapsed = self.began.elapsed();
        all
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.calm.store(true, Ordering::Relaxed);
    }
}

fn log_in(address: SocketAddr, number: usize, calm: &AtomicBool) -> Logins {
    let mut logins = Logins::default();
    let mut client = Client::new(address);
    for login in 0_u64.. {
        if calm.load(Ordering::Relaxed) {
            break;
        }
        let body =
            format!(r#"{{"email":"storm-{number}-{login}@example.com","password":"nobody's password"}}"#);
        match client.ask("POST", "/v1/tenants/default/users/authenticate", &body) {
            Ok((401, _)) => logins.tried += 1,
            Ok((503, _)) => {
                logins.refused += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(_) | Err(_) => {
                logins.other += 1;
                std::thread::sleep(PAUSE);
            }
        }
    }
    logins
}
