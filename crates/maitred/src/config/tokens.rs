//! The secrets that sign the tokens of users.
//!
//! Invariants:
//! - A secret is in a file or in a variable, never on a command line, which every user of the machine can read; and it
//!   is never shown.
//! - Two are active at once: one signs and verifies, the one before it still verifies. So a secret is replaced without
//!   ending anybody's session.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{ConfigError, settings};

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 32;
/// The variable with the secret itself.
pub(super) const SECRET_VARIABLE: &str = "MAITRED_TOKEN_SECRET";
/// The variable with the one before it.
pub(super) const PREVIOUS_VARIABLE: &str = "MAITRED_TOKEN_SECRET_PREVIOUS";

settings! {
    /// Where the secrets of users' tokens are.
    Tokens, layer TokensLayer {
        /// File with the secret that signs users' tokens, at least 32 bytes; none: the data folder's own, or the
        /// variable MAITRED_TOKEN_SECRET [default: ]
        secret_file: PathBuf = PathBuf::new(), "token-secret-file" "MAITRED_TOKEN_SECRET_FILE" [value_name = "FILE"];
        /// File with the secret before it, whose tokens are still valid; none: the data folder's own, or the variable
        /// MAITRED_TOKEN_SECRET_PREVIOUS [default: ]
        previous_secret_file: PathBuf = PathBuf::new(), "token-previous-secret-file"
            "MAITRED_TOKEN_PREVIOUS_SECRET_FILE" [value_name = "FILE"];
    }
}

/// The secrets that the configuration names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenSecrets {
    /// Signs and verifies; `None` for the data folder's own.
    pub current: Option<[u8; 32]>,
    /// Still verifies; `None` for the data folder's own, if it has one.
    pub previous: Option<[u8; 32]>,
}

impl fmt::Debug for TokenSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecrets(…)")
    }
}

impl Tokens {
    /// Reads the secrets.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the key, and nothing of the secret.
    pub fn secrets(&self) -> Result<TokenSecrets, ConfigError> {
        self.secrets_with(|name| std::env::var(name).ok())
    }

    pub(super) fn secrets_with(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<TokenSecrets, ConfigError> {
        let current = secret("tokens.secret_file", &self.secret_file, variable(SECRET_VARIABLE))?;
        let previous =
            secret("tokens.previous_secret_file", &self.previous_secret_file, variable(PREVIOUS_VARIABLE))?;
        Ok(TokenSecrets { current, previous })
    }
}

/// A secret from its file or its variable, whatever its length, as 32 bytes.
fn secret(key: &'static str, file: &Path, variable: Option<String>) -> Result<Option<[u8; 32]>, ConfigError> {
    let invalid = |reason: String| ConfigError::Invalid { key, reason };
    let variable = variable.filter(|text| !text.is_empty());
    let bytes = match (file.as_os_str().is_empty(), variable) {
        (true, None) => return Ok(None),
        (true, Some(text)) => text.into_bytes(),
        (false, None) => {
            std::fs::read(file).map_err(|source| ConfigError::Unreadable { path: file.to_owned(), source })?
        }
        (false, Some(_)) => {
            return Err(invalid("the secret is given twice, by a file and by a variable".to_owned()));
        }
    };
    let bytes = bytes.trim_ascii();
    if bytes.len() < SECRET_BYTES_MIN {
        let reason = format!("the secret has {} bytes; it needs at least {SECRET_BYTES_MIN}", bytes.len());
        return Err(invalid(reason));
    }
    Ok(Some(blake3::derive_key("maitred 2026-11-21 secret of users' tokens", bytes)))
}
