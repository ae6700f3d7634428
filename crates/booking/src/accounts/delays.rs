//! Delays after failed logins: guessing gets slower, by account and by address.
//!
//! Invariants:
//! - Whether there is an account makes no difference: what is counted is the email that was tried.
//! - An attempt under way counts as a failure until it is known to be none: as many guesses are free at once as one
//!   after another. One that comes to no answer counts for nothing.
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
/// How many attempts under way at once of an address count for nothing: many people may log in when a sale begins.
pub const ADDRESS_CROWD: u32 = 200;
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

/// Failures so far, and attempts under way.
#[derive(Debug, Default)]
pub struct Delays {
    accounts: Mutex<Counts<(TenantNumber, u128)>>,
    addresses: Mutex<Counts<IpAddr>>,
}

#[derive(Debug)]
struct Counts<K>(HashMap<K, Attempts>);

#[derive(Debug, Clone, Copy)]
struct Attempts {
    failed: u32,
    under_way: u32,
    /// When the last one failed; where none did, when the first one began.
    last_failed: Instant,
    /// When the last one began.
    last_begun: Instant,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(HashMap::new())
    }
}

/// An attempt under way. Dropped, it was none: whoever made it has gone, or the server was too busy to try.
#[derive(Debug)]
pub struct Attempt<'a> {
    delays: &'a Delays,
    tried: Tried,
    end: End,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Abandoned,
    Failed(Instant),
    Succeeded,
}

impl Delays {
    /// Begins an attempt.
    ///
    /// # Errors
    /// How long `tried` has to wait for it.
    pub fn begin(&self, tried: Tried, now: Instant) -> Result<Attempt<'_>, Duration> {
        let mut accounts = lock(&self.accounts);
        let mut addresses = lock(&self.addresses);
        let (account, address) = (tried.account(), tried.counted_address());
        let left = accounts.left(&account, (ACCOUNT_FREE, 0), now);
        let of_address = |address| addresses.left(&address, (ADDRESS_FREE, ADDRESS_CROWD), now);
        match left.max(address.and_then(of_address)) {
            Some(left) => Err(left),
            None => {
                accounts.begin(account, now);
                if let Some(address) = address {
                    addresses.begin(address, now);
                }
                Ok(Attempt { delays: self, tried, end: End::Abandoned })
            }
        }
    }
}

impl Attempt<'_> {
    /// The password was wrong, or there is no such account.
    pub fn failed(mut self, now: Instant) {
        self.end = End::Failed(now);
    }

    /// The password was right.
    pub fn succeeded(mut self) {
        self.end = End::Succeeded;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        lock(&self.delays.accounts).end(&self.tried.account(), self.end);
        if let Some(address) = self.tried.counted_address() {
            let end = if let End::Succeeded = self.end { End::Abandoned } else { self.end };
            lock(&self.delays.addresses).end(&address, end);
        }
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
    /// How long `key` has to wait, when so many tries are free and so many under way are not counted.
    fn left(&self, key: &K, (free, crowd): (u32, u32), now: Instant) -> Option<Duration> {
        let attempts = self.0.get(key)?;
        let is_forgotten = now.saturating_duration_since(attempts.last_failed) >= FORGOTTEN_AFTER;
        let failed = if is_forgotten { 0 } else { attempts.failed };
        let count = failed.saturating_add(attempts.under_way.saturating_sub(crowd));
        let doublings = count.checked_sub(free)?;
        let delay = Duration::from_secs(1).saturating_mul(1 << doublings.min(16)).min(DELAY_MAX);
        delay.checked_sub(now.saturating_duration_since(attempts.last())).filter(|left| !left.is_zero())
    }

    fn begin(&mut self, key: K, now: Instant) {
        if self.0.len() >= COUNTED_MAX && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let begun = Attempts { failed: 0, under_way: 0, last_failed: now, last_begun: now };
        let attempts = self.0.entry(key).or_insert(begun);
        attempts.under_way = attempts.under_way.saturating_add(1);
        attempts.last_begun = now;
    }

    fn end(&mut self, key: &K, end: End) {
        // It may have been forgotten to make room, and begun again by another attempt.
        let Some(attempts) = self.0.get_mut(key) else { return };
        attempts.under_way = attempts.under_way.saturating_sub(1);
        match end {
            End::Abandoned => {}
            End::Succeeded => attempts.failed = 0,
            End::Failed(now) => {
                let is_forgotten = now.saturating_duration_since(attempts.last_failed) >= FORGOTTEN_AFTER;
                attempts.failed = if is_forgotten { 1 } else { attempts.failed.saturating_add(1) };
                attempts.last_failed = now;
            }
        }
        if attempts.count() == 0 {
            self.0.remove(key);
        }
    }

    /// Forgets what is old; where that is nothing, what failed once, and at last everything.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, attempts| now.saturating_duration_since(attempts.last()) < FORGOTTEN_AFTER);
        if self.0.len() >= COUNTED_MAX {
            // Who is under way is about to fail, or to be gone.
            self.0.retain(|_, attempts| attempts.count() > 1 || attempts.under_way > 0);
        }
        if self.0.len() >= COUNTED_MAX {
            self.0.clear();
        }
    }
}

impl Attempts {
    fn count(self) -> u32 {
        self.failed.saturating_add(self.under_way)
    }

    fn last(self) -> Instant {
        if self.under_way > 0 { self.last_begun.max(self.last_failed) } else { self.last_failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(email: u128, address: &str) -> Tried {
        Tried { tenant: TenantNumber(1), email, address: Some(address.parse().expect("an address")) }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(delays: &Delays, tried: Tried, now: Instant) {
        // Whatever the delay: it may have begun before that.
        lock(&delays.accounts).begin(tried.account(), now);
        if let Some(address) = tried.counted_address() {
            lock(&delays.addresses).begin(address, now);
        }
        Attempt { delays, tried, end: End::Abandoned }.failed(now);
    }

    /// How long `tried` would have to wait.
    fn left(delays: &Delays, tried: Tried, now: Instant) -> Option<Duration> {
        delays.begin(tried, now).err()
    }

    #[test]
    fn each_failure_doubles_the_delay_up_to_a_bound() {
        let (delays, start) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        let mut waits = Vec::new();
        for _ in 0..ACCOUNT_FREE + 9 {
            waits.push(left(&delays, tried, start).map_or(0, |left| left.as_secs()));
            fail(&delays, tried, start);
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(left(&delays, tried, start + SECOND * 59), Some(SECOND));
        assert_eq!(left(&delays, tried, start + DELAY_MAX), None);
    }

    #[test]
    fn as_many_are_free_at_once_as_one_after_another() {
        let (delays, start) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        let (begun, waiting): (Vec<_>, Vec<_>) =
            (0..100).map(|_| delays.begin(tried, start)).partition(Result::is_ok);
        assert_eq!(begun.len(), ACCOUNT_FREE as usize);
        assert!(waiting.iter().all(|left| left.as_ref().is_err_and(|left| *left == SECOND)));
        for attempt in begun {
            attempt.expect("begun").failed(start + SECOND / 2);
        }
        assert_eq!(left(&delays, tried, start + SECOND), Some(SECOND / 2), "from the failure on");
        let elsewhere: Vec<_> =
            (0..1_000).map(|of| delays.begin(self::tried(10 + of, "192.0.2.9"), start)).collect();
        let crowd = (ADDRESS_FREE + ADDRESS_CROWD) as usize;
        assert_eq!(elsewhere.iter().filter(|begun| begun.is_ok()).count(), crowd);
    }

    #[test]
    fn an_attempt_without_an_answer_counts_for_nothing() {
        let (delays, start) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        for _ in 0..10 * ADDRESS_FREE {
            drop(delays.begin(tried, start).expect("no delay"));
        }
        assert!(lock(&delays.accounts).0.is_empty() && lock(&delays.addresses).0.is_empty());
        for _ in 0..ACCOUNT_FREE {
            fail(&delays, tried, start);
        }
        drop(delays.begin(tried, start + SECOND).expect("it has waited"));
        assert_eq!(left(&delays, tried, start + SECOND), None, "nor does it begin the delay anew");
    }

    #[test]
    fn who_had_to_wait_has_one_attempt() {
        let (delays, start) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        for _ in 0..ACCOUNT_FREE + 2 {
            fail(&delays, tried, start);
        }
        let later = start + SECOND * 4;
        let all_at_once: Vec<_> = (0..100).map(|_| delays.begin(tried, later)).collect();
        assert!(all_at_once[0].is_ok());
        let wait = |begun: &Result<_, _>| begun.as_ref().is_err_and(|left| *left == SECOND * 8);
        assert!(all_at_once[1..].iter().all(wait), "{all_at_once:?}");
    }

    #[test]
    fn an_account_and_an_address_are_counted_apart() {
        let (delays, now) = (Delays::default(), Instant::now());
        for _ in 0..=ACCOUNT_FREE {
            fail(&delays, tried(1, "192.0.2.1"), now);
        }
        assert!(left(&delays, tried(1, "192.0.2.9"), now).is_some(), "the account, from anywhere");
        assert_eq!(left(&delays, Tried { tenant: TenantNumber(2), ..tried(1, "192.0.2.9") }, now), None);
        assert_eq!(left(&delays, tried(2, "192.0.2.1"), now), None, "another account, from there");
        for email in 0..u128::from(ADDRESS_FREE) {
            fail(&delays, tried(100 + email, "192.0.2.1"), now);
        }
        assert!(left(&delays, tried(2, "192.0.2.1"), now).is_some());
        assert_eq!(left(&delays, tried(2, "192.0.2.2"), now), None);
    }

    #[test]
    fn a_network_of_one_host_is_one_address_and_this_machine_is_none() {
        let (delays, now) = (Delays::default(), Instant::now());
        for (email, last) in (0..=ADDRESS_FREE).enumerate() {
            fail(&delays, tried(email as u128, &format!("2001:db8::{last:x}")), now);
            fail(&delays, tried(email as u128, "127.0.0.1"), now);
            fail(&delays, tried(email as u128, "::ffff:127.0.0.1"), now);
        }
        assert!(left(&delays, tried(999, "2001:db8::ffff:1"), now).is_some());
        assert_eq!(left(&delays, tried(999, "2001:db8:0:1::1"), now), None);
        assert_eq!(left(&delays, tried(999, "127.0.0.1"), now), None);
        assert_eq!(left(&delays, tried(999, "::1"), now), None);
    }

    #[test]
    fn a_right_password_and_time_end_a_delay() {
        let (delays, now) = (Delays::default(), Instant::now());
        let tried = tried(1, "192.0.2.1");
        for _ in 0..ACCOUNT_FREE + 3 {
            fail(&delays, tried, now);
        }
        delays.begin(tried, now + DELAY_MAX).expect("it has waited").succeeded();
        assert_eq!(left(&delays, tried, now), None);
        assert_eq!(lock(&delays.addresses).0[&one_client("192.0.2.1".parse().expect("one"))].failed, 8);
        for _ in 0..ACCOUNT_FREE + 3 {
            fail(&delays, tried, now);
        }
        let later = now + FORGOTTEN_AFTER;
        fail(&delays, tried, later);
        assert_eq!(left(&delays, tried, later), None, "the first failure after a long time is free");
    }

    #[test]
    fn no_more_are_counted_than_there_is_room_for() {
        let (delays, now) = (Delays::default(), Instant::now());
        let guessed = tried(u128::MAX, "192.0.2.1");
        for _ in 0..ACCOUNT_FREE + 3 {
            fail(&delays, guessed, now);
        }
        for email in 0..2 * COUNTED_MAX as u128 {
            fail(&delays, Tried { address: None, ..tried(email, "192.0.2.1") }, now);
        }
        assert!(lock(&delays.accounts).0.len() <= COUNTED_MAX);
        assert!(left(&delays, guessed, now).is_some(), "what was guessed often is kept");
    }
}
