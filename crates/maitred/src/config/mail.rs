//! The server that takes mail.
//!
//! Invariants:
//! - The password is in a file or in a variable, never on a command line, which every user of the machine can read; and it
//!   is never shown.
//! - Nothing is sent in plain text to another machine, unless that is allowed in so many words.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use super::{ConfigError, settings};
use crate::mail::Relay;

/// The variable with the password itself.
const PASSWORD_VARIABLE: &str = "MAITRED_MAIL_PASSWORD";

/// How a connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// It begins in plain text, and nothing is said before STARTTLS.
    Starttls,
    /// It is TLS from the beginning.
    Tls,
    /// It is plain text.
    None,
}

settings! {
    /// The server that takes mail.
    Mail, layer MailLayer {
        /// Host of the server that takes mail; without one none is sent [default: ]
        host: String = String::new(), "mail-host" "MAITRED_MAIL_HOST" [value_name = "HOST"];
        /// Its port: 587 for starttls, 465 for tls [default: 587]
        port: u16 = 587, "mail-port" "MAITRED_MAIL_PORT" [value_name = "PORT"];
        /// How the connection is secured; none is for this machine alone [default: starttls]
        security: MailSecurity = MailSecurity::Starttls, "mail-security" "MAITRED_MAIL_SECURITY"
            [value_enum, value_name = "SECURITY"];
        /// Allow none for another machine: mails and the password can be read on the way [default: false]
        allow_plaintext: bool = false, "mail-allow-plaintext" "MAITRED_MAIL_ALLOW_PLAINTEXT"
            [num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL"];
        /// User at that server; without one nobody logs in [default: ]
        user: String = String::new(), "mail-user" "MAITRED_MAIL_USER" [value_name = "NAME"];
        /// File with the password; or the variable MAITRED_MAIL_PASSWORD [default: ]
        password_file: PathBuf = PathBuf::new(), "mail-password-file" "MAITRED_MAIL_PASSWORD_FILE"
            [value_name = "FILE"];
        /// Address of the sender of every mail [default: ]
        from: String = String::new(), "mail-from" "MAITRED_MAIL_FROM" [value_name = "ADDRESS"];
        /// The most mails in a second [default: 10]
        per_second: u32 = 10, "mail-per-second" "MAITRED_MAIL_PER_SECOND" [value_name = "N"];
        /// The most mails that are sent beside each other [default: 4]
        parallel: u32 = 4, "mail-parallel" "MAITRED_MAIL_PARALLEL" [value_name = "N"];
        /// How long the server may take for a mail, in seconds [default: 30]
        timeout_seconds: u64 = 30, "mail-timeout-seconds" "MAITRED_MAIL_TIMEOUT_SECONDS" [value_name = "SECONDS"];
        /// File with certificates in PEM that are trusted beside the bundled ones [default: ]
        certificates_file: PathBuf = PathBuf::new(), "mail-certificates-file" "MAITRED_MAIL_CERTIFICATES_FILE" [value_name = "FILE"];
    }
}

/// The user and the password at the mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct MailLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for MailLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailLogin(…)")
    }
}

impl Mail {
    /// The server that takes mail, if one is named.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the key, and nothing of the password.
    pub fn relay(&self) -> Result<Option<Relay>, ConfigError> {
        if self.host.is_empty() {
            return Ok(None);
        }
        self.check()?;
        let path = &self.certificates_file;
        let roots = match path.as_os_str().is_empty() {
            true => Vec::new(),
            false => std::fs::read(path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?,
        };
        let login = self.login(std::env::var(PASSWORD_VARIABLE).ok())?;
        let invalid = |reason| ConfigError::Invalid { key: "mail.certificates_file", reason };
        Relay::new(self, login, &roots).map(Some).map_err(invalid)
    }

    /// What is wrong with it, as far as that can be said without reading files.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key, reason: &str| Err(ConfigError::Invalid { key, reason: reason.to_owned() });
        if self.host.is_empty() {
            return Ok(());
        }
        if self.from.parse::<lettre::Address>().is_err() {
            return invalid("mail.from", "an address such as salon@example.com is needed");
        }
        if self.security == MailSecurity::None && !self.allow_plaintext && !self.is_loopback() {
            let reason = "none sends mails and the password in plain text to another machine; choose starttls or tls, or \
                          set mail.allow_plaintext";
            return invalid("mail.security", reason);
        }
        Ok(())
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    pub(super) fn login(&self, variable: Option<String>) -> Result<Option<MailLogin>, ConfigError> {
        let invalid =
            |reason: &str| Err(ConfigError::Invalid { key: "mail.password_file", reason: reason.to_owned() });
        let (file, variable) = (&self.password_file, variable.filter(|text| !text.is_empty()));
        let given = match (file.as_os_str().is_empty(), variable) {
            (true, None) => None,
            (true, Some(text)) => Some(text),
            (false, None) => Some(
                std::fs::read_to_string(file)
                    .map_err(|source| ConfigError::Unreadable { path: file.clone(), source })?,
            ),
            (false, Some(_)) => return invalid("the password is given twice, by a file and by a variable"),
        };
        let password = given.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        match (self.user.is_empty(), password.filter(|password| !password.is_empty())) {
            (true, None) => Ok(None),
            (false, Some(password)) => Ok(Some(MailLogin { user: self.user.clone(), password })),
            (true, Some(_)) => invalid("there is a password, and no mail.user"),
            (false, None) => invalid("there is a mail.user, and no password"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &str, security: MailSecurity) -> Mail {
        Mail { host: host.into(), security, from: "salon@example.com".into(), ..Mail::default() }
    }

    #[test]
    fn plain_text_leaves_this_machine_only_where_that_is_allowed() {
        for (host, is_fine) in [
            ("localhost", true),
            ("127.0.0.9", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("mail.example", false),
        ] {
            let mail = named(host, MailSecurity::None);
            assert_eq!(mail.check().is_ok(), is_fine, "{host}");
            assert!(Mail { allow_plaintext: true, ..mail }.check().is_ok(), "{host}");
            assert!(named(host, MailSecurity::Starttls).check().is_ok(), "{host}");
        }
        let nobody = Mail { from: "nobody".into(), ..named("localhost", MailSecurity::None) };
        assert!(nobody.check().is_err());
        assert!(Mail::default().check().is_ok() && Mail::default().relay().expect("nothing").is_none());
    }

    #[test]
    fn a_user_has_one_password_which_is_not_shown() {
        let mail = Mail { user: "salon".into(), ..named("localhost", MailSecurity::None) };
        let login = mail.login(Some("secret\n".into())).expect("a login").expect("a login");
        assert_eq!((login.user.as_str(), login.password.as_str()), ("salon", "secret"));
        assert!(!format!("{login:?} {mail:?}").contains("secret"));
        assert!(mail.login(None).is_err());
        let nobody = named("localhost", MailSecurity::None);
        assert_eq!(nobody.login(None).expect("nothing"), None);
        assert!(nobody.login(Some("secret".into())).is_err());
        let twice = Mail { password_file: PathBuf::from("/dev/null"), ..mail };
        assert!(twice.login(Some("secret".into())).is_err());
    }
}
