//! Passwords, and what is kept of them: argon2id (RFC 9106) as a PHC string.
//!
//! Invariants:
//! - A password has no `Debug` or `Display` form, and its hash none either: neither enters a log.
//! - A hash that is kept is one that can be verified: its costs are within the bounds below.
//!
//! ```text
//!   $argon2id$v=19$m=19456,t=2,p=1$<salt, base64>$<hash, base64>
//! ```

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

/// The shortest password that the native API takes, in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The shortest password that the drop-in of the replaced flash sale takes, in characters. Its users log in natively
/// too: a login asks for no length.
pub const PASSWORD_CHARS_MIN_DROP_IN: usize = 6;
/// The longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// The memory of a hash, in KiB. With the two below, the least that OWASP's password storage sheet recommends.
pub const MEMORY_KIB: u32 = 19_456;
/// The passes over it.
pub const PASSES: u32 = 2;
/// The lanes of it.
pub const LANES: u32 = 1;
/// The random bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// The bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// The most that a hash may demand, so that nobody's login takes all memory: KiB, passes, lanes.
const COSTS_MAX: (u32, u32, u32) = (65_536, 16, 4);
/// The longest PHC string that is read, in bytes.
const PHC_BYTES_MAX: usize = 256;

/// A password in the clear, between the request and the hash.
#[derive(Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = Password, min_length = 1, max_length = 1024)]
pub struct Password(String);

impl Password {
    /// A password.
    pub fn new(text: impl Into<String>) -> Self {
        Password(text.into())
    }

    /// Whether it may become an account's: at least `chars_min` characters, at most [`PASSWORD_BYTES_MAX`] bytes.
    pub fn is_allowed(&self, chars_min: usize) -> bool {
        self.can_be_right() && self.0.chars().count() >= chars_min
    }

    /// Whether it could be an account's, as far as its length tells.
    pub fn can_be_right(&self) -> bool {
        (1..=PASSWORD_BYTES_MAX).contains(&self.0.len())
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A value that is no text is not shown in the refusal: it may be the password all the same.
impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Password).map_err(|_| D::Error::custom("expected a string"))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The hash of a password, as a PHC string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The memory in which one hash after another is computed: taking 19 MiB anew each time costs as much as a pass.
#[derive(Debug, Default)]
pub struct Workspace(Vec<Block>);

/// A hash taken apart.
struct Parts {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// What `text` says, whoever wrote it; [`PasswordHash::is_sound`] tells whether it can be verified.
    pub fn from_phc(text: impl Into<String>) -> Self {
        PasswordHash(text.into())
    }

    /// Its text, for an export: whoever has it can try passwords against it.
    pub fn as_phc(&self) -> &str {
        &self.0
    }

    /// Hashes a password with the costs of this build.
    pub fn make(password: &Password, salt: &[u8; SALT_BYTES], workspace: &mut Workspace) -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("costs that are sound");
        let mut hash = [0; HASH_BYTES];
        workspace.compute(&params, password, salt, &mut hash);
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        PasswordHash(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
    }

    /// Whether this is the hash of `password`. Compared in constant time.
    pub fn verify(&self, password: &Password, workspace: &mut Workspace) -> bool {
        let Some(Parts { params, salt, hash: expected }) = self.parts() else { return false };
        let mut hash = vec![0; expected.len()];
        workspace.compute(&params, password, &salt, &mut hash);
        hash.ct_eq(&expected).into()
    }

    /// Whether it can be verified: argon2id, version 19, within the bounds of costs and lengths.
    pub fn is_sound(&self) -> bool {
        self.parts().is_some()
    }

    fn parts(&self) -> Option<Parts> {
        let costs_and_rest =
            self.0.strip_prefix("$argon2id$v=19$m=").filter(|_| self.0.len() <= PHC_BYTES_MAX)?;
        let mut parts = costs_and_rest.split('$');
        let costs = parts.next()?;
        let (memory, rest) = costs.split_once(",t=")?;
        let (passes, lanes) = rest.split_once(",p=")?;
        let number = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            text.parse::<u32>().ok().filter(|_| plain)
        };
        let (memory, passes, lanes) = (number(memory)?, number(passes)?, number(lanes)?);
        let (memory_max, passes_max, lanes_max) = COSTS_MAX;
        if memory > memory_max || passes > passes_max || lanes > lanes_max {
            return None;
        }
        let salt =
            STANDARD_NO_PAD.decode(parts.next()?).ok().filter(|salt| (8..=64).contains(&salt.len()))?;
        let hash =
            STANDARD_NO_PAD.decode(parts.next()?).ok().filter(|hash| (16..=64).contains(&hash.len()))?;
        let params = Params::new(memory, passes, lanes, Some(hash.len())).ok()?;
        parts.next().is_none().then_some(Parts { params, salt, hash })
    }
}

impl Workspace {
    fn compute(&mut self, params: &Params, password: &Password, salt: &[u8], hash: &mut [u8]) {
        let needed = params.block_count();
        if self.0.len() < needed {
            self.0.resize(needed, Block::default());
        }
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
            .hash_password_into_with_memory(password.as_bytes(), salt, hash, &mut self.0[..needed])
            .expect("lengths and costs that were checked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_a_phc_string_that_its_password_alone_verifies() {
        let mut workspace = Workspace::default();
        let password = Password::new("correct horse");
        let hash = PasswordHash::make(&password, &[7; SALT_BYTES], &mut workspace);
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{}", hash.0);
        assert!(hash.is_sound() && hash.verify(&password, &mut workspace));
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert!(!hash.verify(&Password::new(wrong), &mut workspace), "{wrong:?}");
        }
        let other = PasswordHash::make(&password, &[8; SALT_BYTES], &mut workspace);
        assert_ne!(hash, other);
    }

    #[test]
    fn hashes_of_the_reference_implementation_are_verified() {
        // `argon2 somesalt -id -t 2 -m 16 -p 1 -l 32`, from the test program of the reference implementation.
        let hash = PasswordHash::from_phc(
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        );
        let mut workspace = Workspace::default();
        assert!(hash.verify(&Password::new("password"), &mut workspace));
        assert!(!hash.verify(&Password::new("Password"), &mut workspace));
    }

    #[test]
    fn what_cannot_be_verified_is_not_sound() {
        let sound = "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$AAECAwQFBgcICQoLDA0ODw";
        assert!(PasswordHash::from_phc(sound).is_sound());
        let mut workspace = Workspace::default();
        for text in [
            String::new(),
            "password".to_owned(),
            sound.replace("argon2id", "argon2i"),
            sound.replace("v=19", "v=16"),
            sound.replace("m=19456", "m=65537"),
            sound.replace("m=19456", "m=4"),
            sound.replace("m=19456", "m=+9456"),
            sound.replace("m=19456", "m=09456"),
            sound.replace("t=2", "t=17"),
            sound.replace("t=2", "t=0"),
            sound.replace("p=1", "p=5"),
            sound.replace("$AAE", "$AAE="),
            sound.replace("$BwcHBwcHBwcHBwcHBwcHBw", "$Bwc"),
            format!("{sound}$"),
            format!("{sound}{}", "A".repeat(PHC_BYTES_MAX)),
        ] {
            let hash = PasswordHash::from_phc(text.clone());
            assert!(!hash.is_sound(), "{text}");
            assert!(!hash.verify(&Password::new("x"), &mut workspace), "{text}");
        }
    }

    #[test]
    fn the_length_of_a_password_has_its_bounds() {
        let allowed = |text: &str| Password::new(text).is_allowed(PASSWORD_CHARS_MIN);
        assert!(["12345678", "äöüßäöüß", &"x".repeat(PASSWORD_BYTES_MAX)].iter().all(|text| allowed(text)));
        assert!(
            !["", "1234567", "äöüßäöü", &"x".repeat(PASSWORD_BYTES_MAX + 1)].iter().any(|text| allowed(text))
        );
    }

    #[test]
    fn nothing_of_a_password_is_shown() {
        let hash = PasswordHash::from_phc("$argon2id$secret");
        let shown = format!("{:?} {hash:?} {:?}", Password::new("secret"), Workspace::default());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
