//! Secrets of others, such as the headers that a provider's feed demands, as they are kept: sealed.
//!
//! Invariants:
//! - AES-256-GCM-SIV (RFC 8452) under a key of the data folder, which is in no log, no snapshot and no export.
//! - What was sealed opens in its own context alone: moved to another tenant or record, it is nothing.
//! - Neither the key nor what is sealed has a `Debug` form that shows it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// By how many bytes a sealed text is longer than the text: nonce and tag.
pub const OVERHEAD_BYTES: usize = NONCE_LEN + 16;

/// Seals and opens, with a key of the data folder.
pub struct Sealer(RandomizedNonceKey);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// With a key of its own.
    pub fn new(key: &[u8; 32]) -> Self {
        Sealer(RandomizedNonceKey::new(&AES_256_GCM_SIV, key).expect("the key has the right length"))
    }

    /// The nonce, and behind it what was sealed; `None` where the system gives no random bits.
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(context), &mut bytes).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Some(sealed)
    }

    /// What was sealed in this context; `None` for anything else.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut bytes = sealed.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(context), &mut bytes).ok()?.len();
        bytes.truncate(plain);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_context_alone() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal(b"a secret", b"here").expect("random bits");
        assert_eq!(sealed.len(), 8 + OVERHEAD_BYTES);
        assert_ne!(sealer.seal(b"a secret", b"here"), Some(sealed.clone()), "each time with another nonce");
        assert_eq!(sealer.open(&sealed, b"here").as_deref(), Some(&b"a secret"[..]));
        assert_eq!(sealer.open(&sealed, b"there"), None);
        assert_eq!(Sealer::new(&[8; 32]).open(&sealed, b"here"), None);
        for cut in 0..sealed.len() {
            assert_eq!(sealer.open(&sealed[..cut], b"here"), None, "cut at {cut}");
        }
        let mut damaged = sealed;
        damaged[20] ^= 1;
        assert_eq!(sealer.open(&damaged, b"here"), None);
    }
}
