//! Which servers the program may ask on its own: webhooks, feeds.

use std::path::PathBuf;

use maitred_connectors::outgoing::{ALLOWED_MAX, AllowedHost, Client, Settings};

use super::{ConfigError, settings};

settings! {
    /// Which servers the program may ask on its own.
    Outgoing, layer OutgoingLayer {
        /// Host that webhooks and feeds may reach although its address is private: HOST for all its ports, or HOST:PORT;
        /// may be repeated. Link-local and metadata addresses are never reached [default: []]
        allow: Vec<String> = Vec::new(), "allow-host" "MAITRED_ALLOW_HOST" [value_name = "HOST[:PORT]", value_delimiter = ','];
        /// File with certificates in PEM that are trusted for https, beside the bundled ones [default: ]
        roots_file: PathBuf = PathBuf::new(), "outgoing-roots-file" "MAITRED_OUTGOING_ROOTS_FILE" [value_name = "FILE"];
    }
}

impl Outgoing {
    /// The client that makes every outgoing request.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the host.
    pub fn client(&self) -> Result<Client, ConfigError> {
        let path = &self.roots_file;
        let roots = match path.as_os_str().is_empty() {
            true => Vec::new(),
            false => std::fs::read(path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?,
        };
        let invalid = |reason| ConfigError::Invalid { key: "outgoing.roots_file", reason };
        Client::new(Settings { allowed: self.allowed()?, roots }).map_err(invalid)
    }

    /// The hosts that may have private addresses.
    pub(super) fn allowed(&self) -> Result<Vec<AllowedHost>, ConfigError> {
        let invalid = |reason| ConfigError::Invalid { key: "outgoing.allow", reason };
        if self.allow.len() > ALLOWED_MAX {
            return Err(invalid(format!("{} hosts; the most is {ALLOWED_MAX}", self.allow.len())));
        }
        self.allow.iter().map(|host| host.parse().map_err(invalid)).collect()
    }
}
