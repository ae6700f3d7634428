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
        /// File with certificates in PEM that are trusted for https and amqps, beside the bundled ones [default: ]
        roots_file: PathBuf = PathBuf::new(), "outgoing-roots-file" "MAITRED_OUTGOING_ROOTS_FILE" [value_name = "FILE"];
    }
}

impl Outgoing {
    /// The client that makes every outgoing request. Beside the hosts that are allowed here, `named` may have private
    /// addresses: those of feeds that the operator named.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the host.
    pub fn client(&self, named: impl IntoIterator<Item = AllowedHost>) -> Result<Client, ConfigError> {
        let roots = self.roots()?;
        let mut allowed = self.allowed()?;
        for host in named {
            if !allowed.contains(&host) {
                allowed.push(host);
            }
        }
        few_enough(allowed.len())?;
        let invalid = |reason| ConfigError::Invalid { key: "outgoing.roots_file", reason };
        Client::new(Settings { allowed, roots }).map_err(invalid)
    }

    /// The certificates in PEM that are trusted beside the bundled ones; nothing where no file is named.
    ///
    /// # Errors
    /// [`ConfigError`] names the file.
    pub fn roots(&self) -> Result<Vec<u8>, ConfigError> {
        let path = &self.roots_file;
        match path.as_os_str().is_empty() {
            true => Ok(Vec::new()),
            false => {
                std::fs::read(path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })
            }
        }
    }

    /// The hosts that may have private addresses.
    pub(super) fn allowed(&self) -> Result<Vec<AllowedHost>, ConfigError> {
        let invalid = |reason| ConfigError::Invalid { key: "outgoing.allow", reason };
        few_enough(self.allow.len())?;
        self.allow.iter().map(|host| host.parse().map_err(invalid)).collect()
    }
}

/// More hosts than are looked at would be forgotten.
fn few_enough(hosts: usize) -> Result<(), ConfigError> {
    if hosts <= ALLOWED_MAX {
        return Ok(());
    }
    let reason = format!("{hosts} hosts, those of providers included; the most is {ALLOWED_MAX}");
    Err(ConfigError::Invalid { key: "outgoing.allow", reason })
}
