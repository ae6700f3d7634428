//! Rate limits: how many requests a caller may send, and how often.
//!
//! A caller has a quota for a minute, which it may spend at once, and which fills up again evenly: a token bucket, kept
//! as the one instant at which it will be full (the generic cell rate algorithm, ITU-T I.371). That is one word, so a
//! request costs a hash, a look at one line of the cache, and one compare-and-swap.
//!
//! ```text
//!   hash of the caller ─▶ one of SETS lines of the cache ─▶ one of 8 cells:  tag 16 · full again at 48 (µs)
//! ```
//!
//! Invariants:
//! - Memory is fixed: [`CALLERS_MAX`] cells, whoever asks. A bucket that is full again is a free cell; where none is
//!   free, the bucket that is nearest to it gives way: that caller has its whole quota again. So a flood of callers lets
//!   more requests through, and never fewer.
//! - Two callers share a bucket only if 29 bits of their keyed hashes are the same at the same time.
//!
//! Why not a map of buckets (the crate `governor`, say): it grows with the callers until somebody sweeps it, and takes a
//! lock for each request.
//!
//! Source of the headers: draft-ietf-httpapi-ratelimit-headers-10.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use maitred_core::TenantNumber;

use crate::Problem;
use crate::address::one_client;
use crate::guard::Mark;

/// The most callers that are counted at once.
pub const CALLERS_MAX: usize = SETS * WAYS;
/// The most requests a minute that a quota can be.
pub const QUOTA_MAX: u32 = 6_000_000;
/// In how long a quota that is spent fills up again.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The header that tells what is left of the quota.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The header that tells the quota.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const SETS: usize = 8_192;
const WAYS: usize = 8;
const WINDOW_MICROS: u64 = WINDOW.as_micros() as u64;
/// Where a cell's tag begins. The instant below it lasts for eight years of uptime.
const TAG_SHIFT: u32 = 48;
const INSTANT: u64 = (1 << TAG_SHIFT) - 1;

/// How many requests a minute callers of each kind may send; 0 for as many as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// An address, for requests without credentials, and with those that are not valid.
    pub address: u32,
    /// A user, in their tenant.
    pub user: u32,
    /// An API key, in a tenant.
    pub key: u32,
}

/// Who sends a request, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Nobody in particular. This machine's own addresses are not counted: programs here, such as a proxy, speak for
    /// many.
    Address(IpAddr),
    /// A user, by their id.
    User(u128),
    /// An API key, by its id.
    Key(u128),
}

/// The buckets of all callers.
pub struct Limiter {
    sets: Box<[Set]>,
    hasher: RandomState,
    /// In the order of [`Sender`].
    policies: [Option<Policy>; 3],
    epoch: Instant,
}

/// A line of the cache.
#[derive(Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// The quota of a kind of caller.
#[derive(Debug)]
struct Policy {
    name: &'static str,
    /// How long it takes until there is room for one more, in microseconds.
    interval: u64,
    header: HeaderValue,
}

/// What is left of a caller's quota: for the headers of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    name: &'static str,
    policy: HeaderValue,
    /// How many requests may be sent at once.
    left: u64,
    /// In how many seconds the quota is whole again.
    whole_in: u64,
}

impl Policy {
    fn new(name: &'static str, quota: u32) -> Option<Self> {
        let interval = WINDOW_MICROS.checked_div(u64::from(quota.min(QUOTA_MAX)))?;
        let header = format!("\"{name}\";q={quota};w={}", WINDOW.as_secs());
        let header = HeaderValue::try_from(header).expect("names and numbers are visible ASCII");
        Some(Policy { name, interval, header })
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("policies", &self.policies).finish_non_exhaustive()
    }
}

impl Limiter {
    /// Nobody has sent anything.
    pub fn new(quotas: Quotas) -> Self {
        let Quotas { address, user, key } = quotas;
        Limiter {
            sets: (0..SETS).map(|_| Set::default()).collect(),
            hasher: RandomState::new(),
            policies: [("address", address), ("user", user), ("key", key)]
                .map(|(name, quota)| Policy::new(name, quota)),
            epoch: Instant::now(),
        }
    }

    /// Counts a request of `sender` in `tenant`. Nothing where no limit applies.
    ///
    /// # Errors
    /// 429 `rate-limited`, with the headers of the limit.
    pub fn count(&self, tenant: TenantNumber, sender: Sender) -> Result<Option<Standing>, Problem> {
        self.count_at(tenant, sender, self.epoch.elapsed())
    }

    /// The same, so long after the limiter was made.
    ///
    /// # Errors
    /// As [`Limiter::count`].
    pub fn count_at(
        &self,
        tenant: TenantNumber,
        sender: Sender,
        now: Duration,
    ) -> Result<Option<Standing>, Problem> {
        let (kind, id) = match sender {
            Sender::Address(address) if address.to_canonical().is_loopback() => return Ok(None),
            Sender::Address(address) => match one_client(address) {
                // No IPv6 address in use has this beginning but the IPv4 ones.
                IpAddr::V4(address) => (0, u128::from(address.to_ipv6_mapped())),
                IpAddr::V6(address) => (0, u128::from(address)),
            },
            Sender::User(id) => (1, id),
            Sender::Key(id) => (2, id),
        };
        let Some(policy) = &self.policies[kind] else { return Ok(None) };
        let hash = self.hasher.hash_one((kind, tenant.0, id));
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX) & INSTANT;
        let standing = |left, whole_in| Standing {
            name: policy.name,
            policy: policy.header.clone(),
            left,
            whole_in: seconds(whole_in),
        };
        match self.take(hash, now, policy.interval) {
            Ok(full_at) => {
                let spent = full_at - now;
                Ok(Some(standing(WINDOW_MICROS.saturating_sub(spent) / policy.interval, spent)))
            }
            Err(wait) => Err(refused(&standing(0, wait), Duration::from_micros(wait))),
        }
    }

    /// Takes one from the bucket of a caller: when it is full again, or how long it has none.
    fn take(&self, hash: u64, now: u64, interval: u64) -> Result<u64, u64> {
        let Set(cells) = &self.sets[hash as usize % SETS];
        let tag = hash >> TAG_SHIFT;
        loop {
            let mut nearest = (&cells[0], u64::MAX);
            let mut own = None;
            for cell in cells {
                let value = cell.load(Relaxed);
                let full_at = value & INSTANT;
                if value >> TAG_SHIFT == tag && full_at > now {
                    own = Some((cell, value));
                    break;
                }
                if full_at < nearest.1 & INSTANT {
                    nearest = (cell, value);
                }
            }
            let (cell, before) = own.unwrap_or(nearest);
            let full_at = own.map_or(now, |(_, value)| value & INSTANT) + interval;
            if full_at > now + WINDOW_MICROS {
                return Err(full_at - now - WINDOW_MICROS);
            }
            let after = (tag << TAG_SHIFT) | (full_at & INSTANT);
            if cell.compare_exchange_weak(before, after, Relaxed, Relaxed).is_ok() {
                return Ok(full_at);
            }
        }
    }
}

#[cold]
fn refused(standing: &Standing, wait: Duration) -> Problem {
    Problem::rate_limited(wait)
        .with_header(RATE_LIMIT, standing.to_header())
        .with_header(RATE_LIMIT_POLICY, standing.policy.clone())
}

/// Rounded up.
fn seconds(micros: u64) -> u64 {
    micros.div_ceil(1_000_000)
}

impl Standing {
    fn to_header(&self) -> HeaderValue {
        let mut text = String::with_capacity(40);
        let _ = write!(text, "\"{}\";r={};t={}", self.name, self.left, self.whole_in); // a String takes it
        HeaderValue::from_maybe_shared(Bytes::from(text)).expect("names and numbers are visible ASCII")
    }

    fn put(self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT, self.to_header());
        headers.insert(RATE_LIMIT_POLICY, self.policy);
    }
}

impl Mark for Option<Standing> {
    fn mark(self, response: &mut Response) {
        if let Some(standing) = self {
            standing.put(response.headers_mut());
        }
    }
}
