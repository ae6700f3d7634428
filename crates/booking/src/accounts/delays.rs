//! Delays after failed logins: guessing gets slower, by account and by address.
//!
//! Invariants:
//! - Whether there is an account makes no difference: what is counted is the email that was tried.
//! - A right password ends the account's delay, and not the address's.
//! - Nothing is counted for ever, and no more than [`COUNTED_MAX`] of each are counted at once.
//!
//! Counts are in memory: a restart forgets them, and so does nobody else. This machine's own addresses are not
//! counted: programs here, such as a proxy, speak for many.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maitred_core::TenantNumber;
use maitred_web::address::one_client;

/// How many failures in a row an account has free.
pub const ACCOUNT_FREE: u32 = 5;
/// How many an address has free: many people may share one.
pub const ADDRESS_FREE: u32 = 50;
/// The longest delay. The first is a second, and each further failure doubles it.
pub const DELAY_MAX: Duration = Duration::from_secs(60);
/// After so long without a failure, those before are forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
/// How many accounts, and how many addresses, are counted at once. A failure costs a hash: so many in
/// [`FORGOTTEN_AFTER`] take many cores.
pub const COUNTED_MAX: usize = 65_536;

/// Who tries to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Where.
    pub tenant: TenantNumber,
    /// The hash of the email.
    pub email: u128,
    /// From where, if it is known.
    pub address: Option<IpAddr>,
}

/// Failures so far.
#[derive(Debug, Default)]
pub struct Delays {
    accounts: Mutex<Counts<(TenantNumber, u128)>>,
    addresses: Mutex<Counts<IpAddr>>,
}

#[derive(Debug)]
struct Counts<K>(HashMap<K, Failures>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(HashMap::new())
    }
}

impl Delays {
    /// Begins an attempt, unless `tried` has to wait so long. Who had to wait has one attempt then, not as many as
    /// can be sent at once.
    pub fn begin(&self, tried: &Tried, now: Instant) -> Option<Duration> {
        let account = lock(&self.accounts).left(&tried.account(), ACCOUNT_FREE, now);
        let address = tried
            .counted_address()
            .and_then(|address| lock(&self.addresses).left(&address, ADDRESS_FREE, now));
        let left = account.max(address);
        if left.is_none() {
            lock(&self.accounts).wait_anew(&tried.account(), ACCOUNT_FREE, now);
            if let Some(address) = tried.counted_address() {
                lock(&self.addresses).wait_anew(&address, ADDRESS_FREE, now);
            }
        }
        left
    }

    /// The password was wrong, or there is no such account.
    pub fn failed(&self, tried: &Tried, now: Instant) {
        lock(&self.accounts).count(tried.account(), now);
        if let Some(address) = tried.counted_address() {
            lock(&self.addresses).count(address, now);
        }
    }

    /// The password was right.
    pub fn succeeded(&self, tried: &Tried) {
        lock(&self.accounts).0.remove(&tried.account());
    }
}

impl Tried {
    fn account(&self) -> (TenantNumber, u128) {
        (self.tenant, self.email)
    }

    fn counted_address(&self) -> Option<IpAddr> {
        self.address.filter(|address| !address.to_canonical().is_loopback()).map(one_client)
    }
}

fn lock<K>(counts: &Mutex<Counts<K>>) -> MutexGuard<'_, Counts<K>> {
    // Nothing here leaves the counts half changed.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Hash + Eq> Counts<K> {
    fn left(&self, key: &K, free: u32, now: Instant) -> Option<Duration> {
        let failures = self.0.get(key)?;
        let doublings = failures.count.checked_sub(free)?;
        let delay = Duration::from_secs(1).saturating_mul(1 << doublings.min(16)).min(DELAY_MAX);
        delay.checked_sub(now.saturating_duration_since(failures.last)).filter(|left| !left.is_zero())
    }

    /// Lets the delay begin anew for whoever has one.
    fn wait_anew(&mut self, key: &K, free: u32, now: Instant) {
        if let Some(failures) = self.0.get_mut(key).filter(|failures| failures.count >= free) {
            failures.last = now;
        }
    }

    fn count(&mut self, key: K, now: Instant) {
        if self.0.len() >= COUNTED_MAX && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let failures = self.0.entry(key).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) >= FORGOTTEN_AFTER {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
    }

    /// Forgets what is old; where that is nothing, what failed once, and at last everything.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, failures| now.saturating_duration_since(failures.last) < FORGOTTEN_AFTER);
        if self.0.len() >= COUNTED_MAX {
            self.0.retain(|_, failures| failures.count > 1);
        }
        if self.0.len() >= COUNTED_MAX {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(email: u128, address: &str) -> Tried {
        Tried { tenant: TenantNumber(1), email, address: Some(address.parse().expect("an address")) }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_doubles_the_delay_up_to_a_bound() {
        let (delays, start) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        let mut waits = Vec::new();
        for _ in 0..ACCOUNT_FREE + 9 {
            waits.push(delays.begin(&tried, start).map_or(0, |left| left.as_secs()));
            delays.failed(&tried, start);
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(delays.begin(&tried, start + SECOND * 59), Some(SECOND));
        assert_eq!(delays.begin(&tried, start + DELAY_MAX), None);
    }

    #[test]
    fn who_had_to_wait_has_one_attempt() {
        let (delays, start) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        for _ in 0..ACCOUNT_FREE + 2 {
            delays.failed(&tried, start);
        }
        let later = start + SECOND * 4;
        let all_at_once: Vec<_> = (0..100).map(|_| delays.begin(&tried, later)).collect();
        assert_eq!(all_at_once[0], None);
        assert!(all_at_once[1..].iter().all(|left| *left == Some(SECOND * 4)), "{all_at_once:?}");
    }

    #[test]
    fn an_account_and_an_address_are_counted_apart() {
        let (delays, now) = (Delays::default(), Instant::now());
        for _ in 0..=ACCOUNT_FREE {
            delays.failed(&tried(1, "192.0.2.1"), now);
        }
        assert!(delays.begin(&tried(1, "192.0.2.9"), now).is_some(), "the account, from anywhere");
        assert_eq!(delays.begin(&Tried { tenant: TenantNumber(2), ..tried(1, "192.0.2.9") }, now), None);
        assert_eq!(delays.begin(&tried(2, "192.0.2.1"), now), None, "another account, from there");
        for email in 0..u128::from(ADDRESS_FREE) {
            delays.failed(&tried(100 + email, "192.0.2.1"), now);
        }
        assert!(delays.begin(&tried(2, "192.0.2.1"), now).is_some());
        assert_eq!(delays.begin(&tried(2, "192.0.2.2"), now), None);
    }

    #[test]
    fn a_network_of_one_host_is_one_address_and_this_machine_is_none() {
        let (delays, now) = (Delays::default(), Instant::now());
        for (email, last) in (0..=ADDRESS_FREE).enumerate() {
            delays.failed(&tried(email as u128, &format!("2001:db8::{last:x}")), now);
            delays.failed(&tried(email as u128, "127.0.0.1"), now);
            delays.failed(&tried(email as u128, "::ffff:127.0.0.1"), now);
        }
        assert!(delays.begin(&tried(999, "2001:db8::ffff:1"), now).is_some());
        assert_eq!(delays.begin(&tried(999, "2001:db8:0:1::1"), now), None);
        assert_eq!(delays.begin(&tried(999, "127.0.0.1"), now), None);
        assert_eq!(delays.begin(&tried(999, "::1"), now), None);
    }

    #[test]
    fn a_right_password_and_time_end_a_delay() {
        let (delays, now) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        for _ in 0..ACCOUNT_FREE + 3 {
            delays.failed(&tried, now);
        }
        delays.succeeded(&tried);
        assert_eq!(delays.begin(&tried, now), None);
        for _ in 0..ACCOUNT_FREE + 3 {
            delays.failed(&tried, now);
        }
        let later = now + FORGOTTEN_AFTER;
        delays.failed(&tried, later);
        assert_eq!(delays.begin(&tried, later), None, "the first failure after a long time is free");
    }

    #[test]
    fn no_more_are_counted_than_there_is_room_for() {
        let (delays, now) = (Delays::default(), Instant::now());
        let guessed = tried(u128::MAX, "192.0.2.1");
        for _ in 0..ACCOUNT_FREE + 3 {
            delays.failed(&guessed, now);
        }
        for email in 0..2 * COUNTED_MAX as u128 {
            delays.failed(&Tried { address: None, ..tried(email, "192.0.2.1") }, now);
        }
        assert!(lock(&delays.accounts).0.len() <= COUNTED_MAX);
        assert!(delays.begin(&guessed, now).is_some(), "what was guessed often is kept");
    }
}
