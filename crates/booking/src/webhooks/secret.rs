//! The secrets that deliveries are signed with, and their signatures.
//!
//! Invariants:
//! - A secret is 32 bytes of the system's random source, shown as `whsec_` and base64, and kept sealed
//!   ([`crate::sealing`]), bound to its endpoint.
//! - Neither a secret nor a sealed one has a `Debug` form that shows it.
//!
//! Source: Standard Webhooks, <https://github.com/standard-webhooks/standard-webhooks>, "Signature scheme".

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use maitred_core::{TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use crate::sealing;

/// How many bytes a secret has.
pub const SECRET_BYTES: usize = 32;
/// What a secret begins with where it is shown.
const PREFIX: &str = "whsec_";

/// A secret that signs deliveries.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A secret as it is kept: the nonce, then what was sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(pub Vec<u8>);

/// Seals and opens secrets, with a key of the data folder.
pub struct Sealer(sealing::Sealer);

macro_rules! opaque {
    ($($name:ident)*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        })*
    };
}
opaque!(Secret Sealed Sealer);

impl Secret {
    /// Of random bytes.
    pub fn new(random: [u8; SECRET_BYTES]) -> Self {
        Secret(random.to_vec())
    }

    /// Of the form in which it is shown.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text.strip_prefix(PREFIX)?).ok().map(Secret)
    }

    /// As it is shown.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The signature of a delivery: `v1,` and the HMAC-SHA256 of id, timestamp and payload in base64.
    pub fn sign(&self, id: &str, timestamp: i64, payload: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        let head = format!("{id}.{timestamp}.");
        let signature = mac.chain_update(head).chain_update(payload).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(signature))
    }
}

/// The header `webhook-signature`: a signature of each secret, the newest first.
pub fn signatures(secrets: &[Secret], id: &str, at: Timestamp, payload: &[u8]) -> String {
    let seconds = at.as_millis().div_euclid(1_000);
    let signed: Vec<String> = secrets.iter().map(|secret| secret.sign(id, seconds, payload)).collect();
    signed.join(" ")
}

impl Sealer {
    /// With a key of its own.
    pub fn new(key: &[u8; 32]) -> Self {
        Sealer(sealing::Sealer::new(key))
    }

    /// Seals an endpoint's secret; `None` where the system gives no random bits.
    pub fn seal(&self, secret: &Secret, tenant: TenantNumber, endpoint: Uuid) -> Option<Sealed> {
        self.0.seal(&secret.0, &bound(tenant, endpoint)).map(Sealed)
    }

    /// Opens it; `None` where it was sealed for another endpoint or by another key.
    pub fn open(&self, sealed: &Sealed, tenant: TenantNumber, endpoint: Uuid) -> Option<Secret> {
        self.0.open(&sealed.0, &bound(tenant, endpoint)).map(Secret)
    }
}

fn bound(tenant: TenantNumber, endpoint: Uuid) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&tenant.0.to_be_bytes());
    bytes[4..].copy_from_slice(endpoint.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standards_own_example() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let (id, payload) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signature = secret.sign(id, 1_614_265_330, payload);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signatures(
            &[Secret::new([7; SECRET_BYTES]), secret],
            id,
            Timestamp::from_millis(1_614_265_330_999),
            payload,
        );
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert_eq!(second, signature);
        assert!(first.starts_with("v1,") && first != second, "{first}");
    }

    #[test]
    fn a_secret_is_shown_as_it_is_read() {
        let secret = Secret::new([0xa5; SECRET_BYTES]);
        assert_eq!(secret.reveal(), "whsec_paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=");
        assert_eq!(Secret::parse(&secret.reveal()), Some(secret.clone()));
        assert_eq!(format!("{secret:?} {:?}", Sealed(vec![1])), "Secret(…) Sealed(…)");
        for text in ["", "whsec_", "paWl", "whsec_*"] {
            assert!(Secret::parse(text).is_none_or(|secret| secret.0.is_empty()), "{text}");
        }
    }

    #[test]
    fn a_sealed_secret_opens_for_its_endpoint_and_key_alone() {
        let (sealer, other) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let (tenant, id) = (TenantNumber(3), Uuid::from_u128(4));
        let secret = Secret::new([9; SECRET_BYTES]);
        let sealed = sealer.seal(&secret, tenant, id).expect("random bits");
        assert_eq!(sealer.open(&sealed, tenant, id), Some(secret.clone()));
        assert_ne!(
            sealer.seal(&secret, tenant, id).expect("random bits"),
            sealed,
            "each has a nonce of its own"
        );
        assert!(!sealed.0.windows(4).any(|part| part == [9; 4]));
        assert_eq!(other.open(&sealed, tenant, id), None);
        assert_eq!(sealer.open(&sealed, TenantNumber(4), id), None);
        assert_eq!(sealer.open(&sealed, tenant, Uuid::from_u128(5)), None);
        for cut in 0..sealed.0.len() {
            assert_eq!(sealer.open(&Sealed(sealed.0[..cut].to_vec()), tenant, id), None, "{cut}");
        }
    }
}
