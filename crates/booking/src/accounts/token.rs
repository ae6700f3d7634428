//! Users' tokens: JWT (RFC 7519), HS256 and nothing else.
//!
//! Invariants:
//! - The header is compared with the one text that this server writes. It is never parsed, so that no token can say
//!   how it wants to be verified.
//! - Each tenant has keys of its own, derived from the server's secret; the tenant stands in the claims too.
//! - A token has no `Debug` form, and neither has a key.
//!
//! A valid signature is half of it: [`super::session`] also asks whether the user is still there, with the password
//! under which the token was made. Nothing is remembered of a token: to verify one takes a few microseconds, no more
//! than it would take to look it up safely. See `docs/decisions/0011-tokens-by-hand.md`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use maitred_core::{TenantNumber, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// How long a token is valid, in seconds: a day.
pub const TOKEN_SECONDS: i64 = 86_400;
/// The longest token that is read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 2_048;

/// `{"alg":"HS256","typ":"JWT"}`, in base64.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// The server's secrets: one signs and verifies; the one before it still verifies.
#[derive(Clone)]
pub struct Secrets {
    /// Signs and verifies.
    pub current: [u8; 32],
    /// Still verifies, while the tokens that it signed are alive.
    pub previous: Option<[u8; 32]>,
}

/// A tenant's keys.
#[derive(Clone, Copy)]
pub struct TenantKeys {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub id: Uuid,
    /// Their email, for the client: nothing here believes it.
    pub email: String,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// The number of the tenant.
    pub tenant: u32,
    /// The number of the user's password when it was made.
    pub credential: u64,
}

/// A token that has the form of one. Nobody has said that its claims are true.
pub struct Unverified<'a> {
    claims: Claims,
    signed: &'a str,
    signature: [u8; 32],
}

impl Secrets {
    /// The keys of a tenant.
    pub fn of(&self, tenant: TenantNumber, id: Uuid) -> TenantKeys {
        let derive = |secret: &[u8; 32]| {
            let mut hasher = blake3::Hasher::new_derive_key("maitred 2026-11-21 keys of users' tokens");
            hasher.update(secret).update(&tenant.0.to_be_bytes()).update(id.as_bytes());
            *hasher.finalize().as_bytes()
        };
        TenantKeys { current: derive(&self.current), previous: self.previous.as_ref().map(derive) }
    }
}

impl Claims {
    /// The claims of a token that is made at `now`.
    pub fn new((tenant, id): (TenantNumber, Uuid), email: &str, credential: u64, now: Timestamp) -> Self {
        let iat = seconds(now);
        let exp = iat + TOKEN_SECONDS;
        Claims { id, email: email.to_owned(), iat, exp, tenant: tenant.0, credential }
    }

    /// When it ends, for claims of this server's own making.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp * 1_000)
    }
}

impl TenantKeys {
    /// The token of these claims.
    pub fn sign(&self, claims: &Claims) -> String {
        let mut token = HEADER.to_owned();
        token.push('.');
        let claims = serde_json::to_vec(claims).expect("texts and numbers have a JSON form");
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = mac(&self.current, &token).finalize().into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }
}

impl<'a> Unverified<'a> {
    /// Reads a token; `None` for what has another form, or another algorithm.
    pub fn parse(token: &'a str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let claims = signed.strip_prefix(HEADER)?.strip_prefix('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        Some(Unverified { claims, signed, signature })
    }

    /// Whose keys can verify it, as it says itself.
    pub fn tenant(&self) -> TenantNumber {
        TenantNumber(self.claims.tenant)
    }

    /// The claims, if one of the tenant's keys signed them and they hold at `now`. Compared in constant time.
    pub fn verify(self, keys: &TenantKeys, now: Timestamp) -> Option<Claims> {
        let signed_with = |key: &[u8; 32]| mac(key, self.signed).verify_slice(&self.signature).is_ok();
        let signed = signed_with(&keys.current) || keys.previous.as_ref().is_some_and(signed_with);
        (signed && seconds(now) < self.claims.exp).then_some(self.claims)
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

fn mac(key: &[u8; 32], text: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.chain_update(text)
}

macro_rules! opaque {
    ($($name:ident)*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        })*
    };
}
opaque!(Secrets TenantKeys Claims);

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified(…)")
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha512};

    use super::*;

    const TENANT: TenantNumber = TenantNumber(3);
    const USER: Uuid = Uuid::from_u128(7);

    fn secrets(current: u8, previous: Option<u8>) -> Secrets {
        Secrets { current: [current; 32], previous: previous.map(|byte| [byte; 32]) }
    }

    fn keys(current: u8, previous: Option<u8>) -> TenantKeys {
        secrets(current, previous).of(TENANT, Uuid::from_u128(9))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn claims() -> Claims {
        Claims::new((TENANT, USER), "a@b.de", 2, at(1_700_000_000))
    }

    fn verified(token: &str, keys: &TenantKeys, seconds: i64) -> Option<Claims> {
        Unverified::parse(token)?.verify(keys, at(seconds))
    }

    const THEN: i64 = 1_700_000_100;

    #[test]
    fn a_token_is_a_jwt_whose_claims_come_back() {
        let token = keys(1, None).sign(&claims());
        let parts: Vec<_> =
            token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64")).collect();
        assert_eq!(parts[0], br#"{"alg":"HS256","typ":"JWT"}"#);
        let expected = r#"{"id":"00000000-0000-0000-0000-000000000007","email":"a@b.de","iat":1700000000,"exp":1700086400,"tenant":3,"credential":2}"#;
        assert_eq!(String::from_utf8_lossy(&parts[1]), expected);
        assert_eq!(parts.len(), 3);
        assert_eq!(verified(&token, &keys(1, None), THEN), Some(claims()));
    }

    #[test]
    fn the_signature_is_the_one_that_rfc_4231_gives() {
        // Test case 2 of RFC 4231; the key is padded with zeros, which HMAC does too.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = mac(&key, "what do ya want for nothing?").finalize().into_bytes();
        assert_eq!(tag[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    #[test]
    fn a_token_ends_with_its_last_second() {
        let (token, keys) = (keys(1, None).sign(&claims()), keys(1, None));
        let end = claims().exp;
        assert!(verified(&token, &keys, end - 1).is_some());
        assert!(verified(&token, &keys, end).is_none());
        assert!(verified(&token, &keys, i64::MAX / 10_000_000).is_none());
        let endless = Claims { exp: i64::MAX, ..claims() };
        assert!(verified(&keys.sign(&endless), &keys, THEN).is_some(), "no overflow");
    }

    #[test]
    fn the_secret_before_still_verifies_and_no_other() {
        let token = keys(1, None).sign(&claims());
        assert!(verified(&token, &keys(2, Some(1)), THEN).is_some());
        assert!(verified(&token, &keys(2, None), THEN).is_none());
        assert!(verified(&token, &keys(3, Some(2)), THEN).is_none());
        let of_current = keys(2, Some(1)).sign(&claims());
        assert!(verified(&of_current, &keys(2, None), THEN).is_some(), "the newest signs");
    }

    #[test]
    fn each_tenant_has_keys_of_its_own() {
        let token = keys(1, None).sign(&claims());
        for (tenant, id) in [(TenantNumber(4), Uuid::from_u128(9)), (TENANT, Uuid::from_u128(10))] {
            assert!(verified(&token, &secrets(1, None).of(tenant, id), THEN).is_none());
        }
    }

    #[test]
    fn no_byte_of_a_token_can_be_another() {
        let (token, keys) = (keys(1, None).sign(&claims()), keys(1, None));
        for at in 0..token.len() {
            for with in ["A", "z", ".", "=", "-", ""] {
                let mut tampered = token.clone();
                tampered.replace_range(at..=at, with);
                assert!(tampered == token || verified(&tampered, &keys, THEN).is_none(), "{at}: {with:?}");
            }
        }
        for garbage in ["", ".", "..", "...", HEADER, "a.b.c", &format!("{token}."), &format!("{token}A")] {
            assert!(verified(garbage, &keys, THEN).is_none(), "{garbage}");
        }
        assert!(verified(&format!("{HEADER}.{}.x", "A".repeat(TOKEN_BYTES_MAX)), &keys, THEN).is_none());
    }

    #[test]
    fn no_other_algorithm_is_believed_whoever_signed() {
        let keys = keys(1, None);
        let token = keys.sign(&claims());
        let (_, rest) = token.split_once('.').expect("a header");
        let (claims, _) = rest.split_once('.').expect("claims");
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"alg":"RS256","typ":"JWT"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
            r#"{"alg":"HS256","typ":"JWT","jku":"https://evil.example"}"#,
        ] {
            let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
            let right = URL_SAFE_NO_PAD.encode(mac(&keys.current, &signed).finalize().into_bytes());
            let sha512 = URL_SAFE_NO_PAD.encode(Sha512::digest(&signed));
            for signature in ["", &right, &sha512] {
                let token = format!("{signed}.{signature}");
                assert!(verified(&token, &keys, THEN).is_none(), "{header} {signature}");
            }
        }
    }

    #[test]
    fn nothing_of_a_token_is_shown() {
        let token = keys(1, None).sign(&claims());
        let unverified = Unverified::parse(&token).expect("a token");
        let shown = format!("{:?} {:?} {:?} {unverified:?}", secrets(1, None), keys(1, None), claims());
        assert_eq!(shown, "Secrets(…) TenantKeys(…) Claims(…) Unverified(…)");
    }
}
